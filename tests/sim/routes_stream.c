/*
 * What goes over the routes of a pair: the ways as the source's dataplane knows them, and one reliable stream.
 *
 * The dataplane looks at each way each tick, which stands for its probes: one that did not work at two looks is silent, one
 * that was silent and worked at three is up again (fabricd/dataplane/probe.c: MISSED at 30 ms, and 100 ms; GOOD at 200 ms).
 * What is on a silent way goes to the best that is up, at once; without such it stays. It follows routed's order.
 *
 * The stream has its end at each node, which dies with the node, and a leg over a way. Moved, it has another leg at once. When
 * its way is taken back and there is no other, or nothing has come over it for 90 s, it has none, and looks for one after
 * 50 ms, and twice as long each time to 5 s, whereby routed hears that it is wanted; one that is not answered within 10 s is
 * none. After 60 s without, it is lost (fabric-stream(7)). Its bytes are not modelled: check_stream.c and sim.c have them.
 */
#include <string.h>

#include "tests/sim/routes.h"

#define SILENT_LOOKS	2u
#define UP_LOOKS	3u
#define ROUTED_SILENT_NS (5 * SEC)	/* manager.c's MANAGER_SILENT_NS */
#define AGAIN_NS	(50 * MS)
#define AGAIN_MAX_NS	(5 * SEC)
#define ANSWER_NS	(10 * SEC)
#define HEARD_NS	(90 * SEC)
#define BARE_NS		(60 * SEC)

/* --- ways --- */

static struct rway *
way_find(struct rpair *p, uint64_t route_id)
{
	for (unsigned i = 0; route_id != 0 && i < p->nways; i++)
		if (p->ways[i].route_id == route_id)
			return &p->ways[i];
	return NULL;
}

const struct rway *
stream_way(const struct rpair *p)
{
	return way_find((struct rpair *)p, p->way);
}

static bool
leads_there(const struct rsim *s, const struct rpair *p, const struct pm_route *r)
{
	return r->place == TICKET_SOURCE && r->classes >> STREAM_CLASS & 1 &&
	    memcmp(r->far, s->node[p->dest].id, NODE_ID_LEN) == 0;
}

/* Those that are in the table, in its order; what is known of one that was there before goes on. */
static void
ways_look_up(const struct rsim *s, struct rpair *p, const struct rway *old, unsigned nold)
{
	const struct rnode *n = &s->node[p->source];

	p->nways = 0;
	for (size_t i = 0; i < n->nentries && p->nways < PAIR_WAYS; i++) {
		const struct pm_route *r = &n->table[i].r;
		struct rway *w = &p->ways[p->nways];

		if (!leads_there(s, p, r))
			continue;
		*w = (struct rway){ .route_id = r->route_id, .state = WAY_NEW };
		for (unsigned k = 0; k < nold; k++)
			if (old[k].route_id == w->route_id)
				*w = old[k];
		w->epoch = r->epoch;
		w->hard = r->hard;
		w->classes = r->classes;
		p->nways++;
	}
}

static void
look(struct rsim *s, const struct rpair *p, struct rway *w)
{
	struct walk x = judge_walk(s, p->source, w->route_id);

	if (x.up && !w->works)
		w->works_ns = s->now_ns;
	w->works = x.up;
	if (x.up) {
		w->worked_ns = s->now_ns;
		w->walk = x;
	}
	if (w->works == (w->state == WAY_UP)) {
		w->looks = 0;
	} else if (w->state == WAY_NEW || ++w->looks == (w->works ? UP_LOOKS : SILENT_LOOKS)) {
		w->state = w->works ? WAY_UP : WAY_SILENT;
		w->looks = 0;
	}
}

static void
ways_tick(struct rsim *s, struct rpair *p)
{
	struct rway old[PAIR_WAYS];
	unsigned nold = p->nways;

	memcpy(old, p->ways, nold * sizeof(old[0]));
	ways_look_up(s, p, old, nold);
	for (unsigned i = 0; i < p->nways && !s->failed; i++)
		look(s, p, &p->ways[i]);
	for (unsigned i = 0; i < nold; i++)
		if (old[i].works && (way_find(p, old[i].route_id) == NULL || !way_find(p, old[i].route_id)->works))
			judge_ended(s, p, &old[i]);
}

/* Its place in routed's order; what that does not name comes behind. */
static unsigned
place(const struct rpair *p, const struct rway *w)
{
	unsigned i = 0;

	while (i < p->norder && p->order[i] != w->route_id)
		i++;
	return i;
}

/* The first of those that are known to work; or, with `any', of those that there are. */
static struct rway *
best(struct rpair *p, bool any)
{
	struct rway *b = NULL;

	for (unsigned i = 0; i < p->nways; i++) {
		struct rway *w = &p->ways[i];

		if ((any || w->state == WAY_UP) && (b == NULL || place(p, w) < place(p, b) ||
		    (place(p, w) == place(p, b) && w->walk.rtt_us < b->walk.rtt_us)))
			b = w;
	}
	return b;
}

/* --- the stream --- */

static void
leg_begin(struct rsim *s, struct rpair *p, uint64_t way)
{
	struct rstream *st = &p->stream;

	p->way = way;
	st->leg = true;
	st->answered = false;
	st->sent_ns = st->heard_ns = s->now_ns;
}

static void
leg_end(struct rsim *s, struct rpair *p)
{
	struct rstream *st = &p->stream;

	p->way = 0;
	if (st->bare_ns == 0) {
		st->bare_ns = s->now_ns;
		st->wait_ns = AGAIN_NS;
	}
	st->leg = false;
	st->again_ns = s->now_ns + st->wait_ns;
	st->wait_ns = st->wait_ns * 2 < AGAIN_MAX_NS ? st->wait_ns * 2 : AGAIN_MAX_NS;
}

static void
moved(struct rsim *s, struct rpair *p, uint64_t to, bool forced)
{
	struct pm_route_moved m = { .from = p->way, .to = to, .reason = REASON_TIMEOUT };

	memcpy(m.node_id, s->node[p->dest].id, NODE_ID_LEN);
	rsim_say(s, "%s: %llx -> %llx%s", s->node[p->source].name, (unsigned long long)p->way, (unsigned long long)to,
	    forced ? ", silent" : "");
	if (forced) {
		p->forced++;
		s->forced++;
		ways_moved(s->node[p->source].ways, &m, s->now_ns);
	} else {
		p->flaps++;
		s->flaps++;
	}
	leg_begin(s, p, to);
}

/* A new one, which is opened when there is a way. */
static void
stream_new(struct rsim *s, struct rpair *p)
{
	p->stream = (struct rstream){ .bare_ns = s->now_ns, .again_ns = s->now_ns, .wait_ns = AGAIN_NS,
	    .source = s->node[p->source].generation };
	p->way = 0;
}

/* Something comes over its leg. */
static void
heard(struct rsim *s, struct rpair *p)
{
	struct rstream *st = &p->stream;

	if (!st->open) {
		st->open = true;
		st->dest = s->node[p->dest].generation;
		s->streams++;
	}
	st->answered = true;
	st->heard_ns = s->now_ns;
	st->bare_ns = 0;
}

static void
again(struct rsim *s, struct rpair *p)
{
	struct rnode *n = &s->node[p->source];
	struct rway *w = best(p, false);
	struct clock_both now = node_clock(n);

	if (w == NULL && (w = best(p, true)) == NULL) {
		routes_want(n->routes, s->node[p->dest].id, 1u << STREAM_CLASS, &now);
		leg_end(s, p);
		return;
	}
	rsim_say(s, "%s: begins on %llx", n->name, (unsigned long long)w->route_id);
	leg_begin(s, p, w->route_id);
}

/* What the ways are, decides where its leg is. */
static void
leg_tick(struct rsim *s, struct rpair *p)
{
	struct rstream *st = &p->stream;
	struct rway *cur = way_find(p, p->way), *b = best(p, false);

	if (!st->leg) {
		if (s->now_ns >= st->again_ns)
			again(s, p);
		return;
	}
	if (cur != NULL && cur->works)
		heard(s, p);
	if (cur != NULL && cur->state == WAY_UP) {
		if (b != cur && place(p, b) < place(p, cur))
			moved(s, p, b->route_id, false);
	} else if (b != NULL) {
		moved(s, p, b->route_id, true);
	} else if (cur == NULL || s->now_ns - st->heard_ns > (st->answered ? HEARD_NS : ANSWER_NS)) {
		leg_end(s, p);
	}
}

void
stream_down(struct rpair *p)
{
	p->stream.source = 0;
	p->way = 0;
	p->nways = 0;
	p->norder = 0;
	p->dead_ns = p->out_ns = 0;
}

void
stream_tick(struct rsim *s, struct rpair *p)
{
	struct rstream *st = &p->stream;

	ways_tick(s, p);
	if (st->source != s->node[p->source].generation) {
		stream_new(s, p);
	} else if (st->open && s->node[p->dest].up && st->dest != s->node[p->dest].generation) {
		s->bereft++;
		stream_new(s, p);
	} else if (st->open && st->bare_ns != 0 && s->now_ns - st->bare_ns >= BARE_NS) {
		s->lost++;
		judge_lost(s, p);
		stream_new(s, p);
	}
	leg_tick(s, p);
}

/* The dataplane's report, of which routed makes the order, and leaves what is silent for long. */
void
stream_second(struct rsim *s, struct rpair *p)
{
	struct rnode *n = &s->node[p->source];
	struct clock_both now = node_clock(n);

	for (unsigned i = 0; i < p->nways; i++) {
		struct rway *w = &p->ways[i];
		struct pm_route_stat stat = { .route_id = w->route_id, .state = w->state, .jitter_us = 500, .loss = w->walk.loss,
		    .probes = 30, .kbps = 100, .streams = w->route_id == p->way };

		if (w->walk.up)
			stat.rtt_us = w->walk.rtt_us + (uint32_t)rsim_random(s, 1000);
		memcpy(stat.node_id, s->node[p->dest].id, NODE_ID_LEN);
		ways_stat(n->ways, &stat, s->now_ns);
		if (w->state != WAY_SILENT) {
			w->silent_ns = 0;
		} else if (w->silent_ns == 0) {
			w->silent_ns = s->now_ns;
		} else if (s->now_ns - w->silent_ns >= ROUTED_SILENT_NS) {
			w->silent_ns = s->now_ns;
			rsim_say(s, "%s: %llx is silent", n->name, (unsigned long long)w->route_id);
			routes_silent(n->routes, w->route_id, &now);
		}
	}
}
