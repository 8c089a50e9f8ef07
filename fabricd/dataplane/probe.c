#include "fabricd/dataplane/probe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "fabricd/dataplane/quic.h"
#include "fabricd/dataplane/reach.h"
#include "proc/stats.h"

#define FAST_NS		(30 * NS_PER_MS)	/* of a way whose streams carry something, or that is in doubt */
#define SURE_NS		(15 * NS_PER_MS)	/* of the former while it loses: how much, is to be known soon */
#define WARM_NS		(200 * NS_PER_MS)	/* of its alternates; of a way that is not known to work */
#define SLOW_NS		NS_PER_SEC
#define FLOOR_NS	(100 * NS_PER_MS)	/* an answer is never missed before that */
#define MISSED		3u
#define DEAF		10u			/* so many without an answer, though something else came */
#define GOOD		3u			/* answers on end, before a way that was silent works again */
#define LATE_NS		(50 * NS_PER_MS)	/* this process was not there: what it missed nobody else did */
#define SIZE_AGAIN_NS	(10 * NS_PER_SEC)
#define SIZE_FIRST_NS	(20 * NS_PER_MS)
#define SIZE_TRIES	3u

#define PROBE_LEN	8u			/* the nonce */
#define PROBE_STREAMS	16384u
#define ECHOES_MAX	512u			/* answers that wait for the end of an event */
#define ECHO_BUCKETS	1024u
#define ECHO_RATE	100u			/* a second, for the streams of one bucket, */
#define ECHO_BURST	100u
#define ECHO_RATE_FROM	800u			/* for all of one neighbour or route, whatever streams it opens one after the other, */
#define ECHO_RATE_ALL	20000u			/* and for all */
#define ID_BUCKETS	1024u

static const uint16_t sizes[PROBE_SIZES] = { UINT16_MAX, 1400, 1340, 1260 };	/* the first: what the first hop takes */

struct echo {
	uint32_t id, seq;
	uint8_t	 len, data[PROBE_ECHO_MAX];
};

struct probes {
	struct dataplane *dp;
	struct port	 port;
	struct stream_ids ids;
	struct timers	*timers;
	LIST_HEAD(, probe) by_id[ID_BUCKETS];
	struct ratelimit rate[ECHO_BUCKETS], rate_from[ECHO_BUCKETS], rate_all;
	struct echo	 echo[ECHOES_MAX];
	size_t		 nechoes;
};

#define PROBES_OF(ptr) ((struct probes *)(void *)((char *)(ptr) - offsetof(struct probes, port)))
#define WAY_OF(ptr) ((struct way *)(void *)((char *)(ptr) - offsetof(struct way, probe)))

static struct probes *
probes_of(const struct way *w)
{
	return w->reach->dp->probes;
}

static uint64_t
now_of(const struct way *w)
{
	return w->reach->dp->now_ns;
}

static uint64_t
max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* How long an answer may take. */
static uint64_t
patience(const struct probe *p)
{
	return max64(FLOOR_NS, p->srtt_ns + 4 * p->rttvar_ns);
}

static void
timer_move(struct way *w, uint64_t at_ns)
{
	struct probe *p = &w->probe;

	p->due_ns = at_ns;
	timers_set(probes_of(w)->timers, &p->timer, at_ns);
}

/* --- streams of this node's probes --- */

static void
stream_gone(struct probe *p)
{
	if (p->stream_id == 0)
		return;
	LIST_REMOVE(p, by_id);
	p->stream_id = 0;
}

static struct probe *
find(struct probes *ps, uint64_t id)
{
	struct probe *p;

	LIST_FOREACH(p, &ps->by_id[id / 2 % ID_BUCKETS], by_id)
		if (p->stream_id == id)
			return p;
	return NULL;
}

static bool
stream_open(struct way *w)
{
	struct probes *ps = probes_of(w);
	struct probe *p = &w->probe;
	struct frame f = { .type = FT_OPEN_STREAM };
	uint64_t id;

	if (way_port(w) == NULL || (id = stream_id_alloc(&ps->ids)) == 0)
		return false;
	p->stream_id = id;
	LIST_INSERT_HEAD(&ps->by_id[id / 2 % ID_BUCKETS], p, by_id);
	f.open.stream_id = id;
	f.open.route_id = way_id(w);
	f.open.class = CLASS_CONTROL;
	f.open.flags = OPEN_UNRELIABLE;
	f.open.service = (struct frame_bytes){ (const uint8_t *)SWITCH_PROBE, strlen(SWITCH_PROBE) };
	f.open.dest = w->reach->node_id;
	switch_control(&ps->port, &f);
	return p->stream_id != 0;	/* else it was refused at once */
}

static void
stream_close(struct way *w)
{
	struct frame f = { .type = FT_RESET_STREAM };
	uint64_t id = w->probe.stream_id;

	if (id == 0)
		return;
	stream_gone(&w->probe);
	f.reset.stream_id = id;
	f.reset.reason = REASON_NONE;
	switch_control(&probes_of(w)->port, &f);
}

/* --- loss --- */

static void
count(struct probe *p, uint64_t now_ns, bool ok)
{
	uint32_t second = (uint32_t)(now_ns / NS_PER_SEC), i = second % PROBE_SECONDS;

	if (p->counts[i].second != second) {
		p->counts[i].second = second;
		p->counts[i].ok = p->counts[i].lost = 0;
	}
	if (ok)
		p->counts[i].ok++;
	else
		p->counts[i].lost++;
}

uint16_t
probe_loss(const struct probe *p, uint64_t now_ns, uint32_t *probes)
{
	uint32_t second = (uint32_t)(now_ns / NS_PER_SEC), ok = 0, lost = 0;

	for (unsigned i = 0; i < PROBE_SECONDS; i++) {
		if (second - p->counts[i].second >= PROBE_SECONDS)
			continue;
		ok += p->counts[i].ok;
		lost += p->counts[i].lost;
	}
	*probes = ok + lost;
	return pressure_of(lost, ok + lost);
}

/* Those whose answer does not come any more. */
static void
judge(struct way *w)
{
	struct probe *p = &w->probe;
	uint64_t now = now_of(w);

	for (; p->judged != p->seq; p->judged++) {
		const struct probe_sent *s = &p->sent[p->judged % PROBE_RING];

		if (!s->answered && s->at_ns + patience(p) > now)
			return;
		if (s->size == 0)
			count(p, now, s->answered);
	}
}

/* --- what a datagram holds --- */

static uint16_t
size_of(const struct way *w, unsigned i)
{
	struct port *port = way_port(w);
	const struct conn *c = (const struct conn *)(const void *)((const char *)port - offsetof(struct conn, port));

	if (port == NULL)
		return 0;
	return (uint16_t)(sizes[i] < c->datagram_max ? sizes[i] : c->datagram_max);
}

static void
size_known(struct way *w, uint16_t size)
{
	struct probe *p = &w->probe;

	if (p->datagram_max != size) {
		p->datagram_max = size;
		reach_update(w->reach);
	}
	/* Again later: the path may be another, or its nodes may have found out more. */
	p->size_at = 0;
	p->size_tries = 0;
	p->size_ns = now_of(w) + SIZE_AGAIN_NS;
}

/* The largest that comes through; 0 when it is not time to ask. */
static uint16_t
size_next(struct way *w)
{
	struct probe *p = &w->probe;
	uint16_t size;

	if (w->route == NULL || w->state != WAY_UP || now_of(w) < p->size_ns)
		return 0;
	if (p->size_tries >= SIZE_TRIES) {
		p->size_tries = 0;
		do
			p->size_at++;
		while (p->size_at < PROBE_SIZES && size_of(w, p->size_at) >= size_of(w, p->size_at - 1u));
	}
	if (p->size_at >= PROBE_SIZES) {
		size_known(w, 0);
		return 0;
	}
	if ((size = size_of(w, p->size_at)) == 0)
		return 0;
	p->size_tries++;
	p->size_ns = now_of(w) + patience(p);
	return size;
}

/* --- out --- */

static void
send_one(struct way *w, uint16_t size)
{
	static uint8_t payload[DP_DATAGRAM_MAX];
	struct probe *p = &w->probe;
	struct probe_sent *s = &p->sent[p->seq % PROBE_RING];
	struct frame_data d = { .stream_id = p->stream_id, .seq = p->seq, .flags = DATA_UNRELIABLE, .payload = payload,
	    .payload_len = size > FRAME_DATA_OVERHEAD + PROBE_LEN ? (size_t)size - FRAME_DATA_OVERHEAD : PROBE_LEN };

	if (p->seq - p->judged >= PROBE_RING)
		p->judged = p->seq - PROBE_RING + 1;
	s->at_ns = now_of(w);
	s->size = size;
	s->answered = false;
	crypto_random(&s->nonce, sizeof(s->nonce));
	memcpy(payload, &s->nonce, sizeof(s->nonce));
	p->seq++;
	if (size == 0) {
		if (p->since++ == 0)
			p->first_ns = now_of(w);
		STAT_INC(DP_PROBES);
	}
	switch_data(&probes_of(w)->port, &d);
}

/* One was lost in this second or the last. Where answers may take long the ring would not hold more. */
static bool
loses(const struct probe *p, uint64_t now_ns)
{
	uint32_t second = (uint32_t)(now_ns / NS_PER_SEC);

	for (uint32_t i = second - 1; i != second + 1; i++)
		if (p->counts[i % PROBE_SECONDS].second == i && p->counts[i % PROBE_SECONDS].lost > 0)
			return patience(p) < PROBE_RING / 2 * SURE_NS;
	return false;
}

static uint64_t
interval(const struct way *w)
{
	const struct probe *p = &w->probe;
	bool doubt = p->since > 0 && now_of(w) - p->first_ns >= patience(p);

	if (w->state != WAY_UP)
		return p->since > 50 ? SLOW_NS : WARM_NS;
	if (w->active && loses(p, now_of(w)))
		return SURE_NS;
	if (w->active || doubt || p->size_tries > 0)
		return FAST_NS;
	return w->reach->active ? WARM_NS : SLOW_NS;
}

/* When something last came over it. */
static uint64_t
proof(const struct way *w)
{
	uint64_t heard = w->route != NULL ? w->route->heard_ns : w->conn->session.heard_ns;

	return max64(w->probe.answered_ns, heard);
}

static bool
is_silent(const struct way *w)
{
	const struct probe *p = &w->probe;
	uint64_t now = now_of(w), wait = patience(p);

	if (w->state != WAY_UP || p->refused || p->since < MISSED || now - p->first_ns < wait)
		return false;
	return now - proof(w) >= wait || (p->since >= DEAF && now - p->first_ns >= DEAF * wait / 2);
}

/* When there is something to do: to send, or to see what became of what was sent. */
static uint64_t
wanted(const struct way *w)
{
	const struct probe *p = &w->probe;
	uint64_t at = p->first_ns + patience(p);

	if (w->state != WAY_UP || p->since == 0 || at >= p->next_ns)
		return p->next_ns;
	return max64(at, now_of(w) + NS_PER_MS * 10);
}

static void
on_due(struct way *w)
{
	struct probe *p = &w->probe;
	uint64_t now = now_of(w);
	uint16_t size;

	judge(w);
	if (is_silent(w)) {
		way_silent(w, REASON_TIMEOUT, proof(w));
		stream_close(w);	/* what it leads over may be another node by now */
		p->since = 0;
		p->good = 0;
	}
	if (!p->on || p->refused)
		return;
	if (w->state == WAY_UP && p->since == 1 && now - p->first_ns >= patience(p))
		p->next_ns = now;	/* in doubt: not at leisure any more */
	if (now >= p->next_ns) {
		if (p->stream_id != 0 || stream_open(w)) {
			send_one(w, 0);
			if ((size = size_next(w)) != 0)
				send_one(w, size);
		} else if (p->since++ == 0) {
			p->first_ns = now;
		}
		p->next_ns = now + interval(w);
	}
	if (p->on && !p->refused)
		timer_move(w, wanted(w));
}

static void
on_timers(void *arg)
{
	struct probes *ps = arg;
	uint64_t now = dp_begin(ps->dp);
	struct timer *tm;

	while ((tm = timers_due(ps->timers, now)) != NULL) {
		struct probe *p = (struct probe *)(void *)((char *)tm - offsetof(struct probe, timer));
		struct way *w = WAY_OF(p);

		/* Answers wait unread in the sockets: they come first. */
		if (now - p->due_ns >= LATE_NS && p->since > 0) {
			p->first_ns = now;
			timer_move(w, now + FAST_NS / 3);
			continue;
		}
		on_due(w);
	}
	dp_flush(ps->dp);
}

/* --- in --- */

static void
rtt_sample(struct probe *p, uint64_t rtt)
{
	uint64_t diff;

	if (p->srtt_ns == 0) {
		p->srtt_ns = max64(rtt, 1);
		p->rttvar_ns = rtt / 2;
		return;
	}
	diff = rtt > p->srtt_ns ? rtt - p->srtt_ns : p->srtt_ns - rtt;
	p->rttvar_ns += diff / 4 - p->rttvar_ns / 4;
	p->srtt_ns += rtt / 8 - p->srtt_ns / 8;
}

static void
on_answer(struct way *w, const struct frame_data *d)
{
	struct probe *p = &w->probe;
	uint32_t seq = (uint32_t)d->seq;
	struct probe_sent *s = &p->sent[seq % PROBE_RING];
	uint64_t now = now_of(w);

	if (p->seq - seq == 0 || p->seq - seq > PROBE_RING || d->payload_len < PROBE_LEN || s->answered ||
	    memcmp(d->payload, &s->nonce, PROBE_LEN) != 0)
		return;
	s->answered = true;
	if (s->size != 0) {
		if (s->size > p->datagram_max || p->size_at > 0 || p->size_tries > 0)
			size_known(w, s->size);
		return;
	}
	rtt_sample(p, now - s->at_ns);
	p->answered_ns = now;
	w->packets = w->route == NULL ? 0 : w->route->packets;
	p->since = 0;
	p->good++;
	if (w->state == WAY_NEW || (w->state == WAY_SILENT && p->good >= GOOD)) {
		p->size_at = p->size_tries = 0;
		p->size_ns = now + SIZE_FIRST_NS;
		way_up(w);
	} else if (w->state == WAY_UP) {
		move_proof(w);
	} else {
		p->next_ns = now + FAST_NS;
		timer_move(w, p->next_ns);
	}
}

/* The account of the far node, as far as it is known here: of the route, or of the neighbour. */
static struct ratelimit *
rate_from(struct probes *ps, const struct stream *st)
{
	const struct port *p = st->end[0].port;
	uint64_t key = 0;

	if (st->route != NULL)
		key = st->route->id;
	else if (p != NULL)
		memcpy(&key, p->node_id, sizeof(key));
	return &ps->rate_from[(key * ps->dp->sw.secret >> 40) % ECHO_BUCKETS];
}

static void
echo_add(struct probes *ps, const struct frame_data *d, const struct stream_end *out)
{
	uint64_t now = ps->dp->now_ns;
	uint32_t id = out->id;
	struct echo *e;

	if (ps->nechoes == ECHOES_MAX || !ratelimit_take(&ps->rate[id / 2 % ECHO_BUCKETS], now) ||
	    !ratelimit_take(rate_from(ps, stream_of(out)), now) || !ratelimit_take(&ps->rate_all, now)) {
		STAT_INC(DP_PROBES_REFUSED);
		return;
	}
	e = &ps->echo[ps->nechoes++];
	e->id = id;
	e->seq = (uint32_t)d->seq;
	e->len = (uint8_t)(d->payload_len < PROBE_ECHO_MAX ? d->payload_len : PROBE_ECHO_MAX);
	memcpy(e->data, d->payload, e->len);
}

/* The far end asks over a route of which this one does not know that it works: that may have changed just now. */
static void
heard_from(const struct route *r)
{
	struct way *w = r == NULL ? NULL : r->way;

	if (w != NULL && w->state != WAY_UP && w->probe.next_ns > now_of(w) + FAST_NS)
		timer_move(w, w->probe.next_ns = now_of(w) + (w->probe.since == 0 ? 0 : FAST_NS));
}

/* The switch's own ids at this port are the streams that others opened. */
static bool
port_data(struct port *port, const struct stream_end *out, unsigned class, const struct frame_data *d)
{
	struct probes *ps = PROBES_OF(port);
	struct probe *p;

	(void)class;
	if (stream_id_is_own(&port->ids, out->id)) {
		heard_from(stream_of(out)->route);
		echo_add(ps, d, out);
	} else if ((p = find(ps, out->id)) != NULL) {
		on_answer(WAY_OF(p), d);
	}
	return true;
}

/* The stream of a way's probe was reset: that is the way's end, or the far node has no such service. */
static void
on_reset(struct way *w, uint64_t reason)
{
	struct probe *p = &w->probe;
	uint64_t now = now_of(w);

	stream_gone(p);
	if (reason == REASON_NO_SERVICE) {
		p->refused = true;
		p->since = 0;
		way_up(w);
		return;
	}
	p->good = 0;
	if (way_port(w) != NULL && reason != REASON_NONE && reason != REASON_MOVED && reason != REASON_LIMIT &&
	    reason != REASON_ROUTE_LIMIT && reason != REASON_ROUTE_RATE)
		way_silent(w, reason, max64(proof(w), now - (now < NS_PER_SEC ? now : 0)));
	p->next_ns = now + WARM_NS;
	if (p->on)
		timer_move(w, p->next_ns);
}

static int
port_control(struct port *port, const struct frame *f)
{
	struct probes *ps = PROBES_OF(port);
	struct probe *p;

	if (f->type == FT_RESET_STREAM && (p = find(ps, f->reset.stream_id)) != NULL)
		on_reset(WAY_OF(p), f->reset.reason);
	else if (f->type == FT_CLOSE_STREAM && (p = find(ps, f->close.stream_id)) != NULL)
		on_reset(WAY_OF(p), f->close.reason);
	return 0;
}

static const struct port_ops port_ops = { .control = port_control, .data = port_data };

void
probes_flush(struct dataplane *dp)
{
	struct probes *ps = dp->probes;

	for (size_t i = 0; i < ps->nechoes; i++) {
		const struct echo *e = &ps->echo[i];
		struct frame_data d = { .stream_id = e->id, .seq = e->seq, .flags = DATA_UNRELIABLE, .payload = e->data,
		    .payload_len = e->len };

		switch_data(&ps->port, &d);
	}
	ps->nechoes = 0;
}

void
probes_arm(struct dataplane *dp)
{
	timers_arm(dp->probes->timers);
}

/* --- begin and end --- */

void
probe_start(struct way *w)
{
	struct probe *p = &w->probe;

	if (p->on || timers_reserve(probes_of(w)->timers) == -1)
		return;
	memset(p, 0, sizeof(*p));
	p->on = true;
	p->next_ns = now_of(w);
	timer_move(w, p->next_ns);
}

void
probe_stop(struct way *w)
{
	struct probe *p = &w->probe;

	if (!p->on)
		return;
	p->on = false;
	stream_close(w);
	timers_release(probes_of(w)->timers, &p->timer);
	p->since = 0;
}

void
probe_soon(struct way *w)
{
	struct probe *p = &w->probe;

	if (!p->on)
		return;
	p->refused = false;
	p->since = 0;
	p->next_ns = now_of(w);
	timer_move(w, p->next_ns);
}

int
probes_init(struct dataplane *dp)
{
	struct probes *ps = calloc(1, sizeof(*ps));

	if (ps == NULL || (ps->timers = timers_new(dp->base, on_timers, ps)) == NULL) {
		free(ps);
		return -1;
	}
	ps->dp = dp;
	for (size_t i = 0; i < ECHO_BUCKETS; i++) {
		ratelimit_init(&ps->rate[i], NS_PER_SEC / ECHO_RATE, ECHO_BURST);
		ratelimit_init(&ps->rate_from[i], NS_PER_SEC / ECHO_RATE_FROM, ECHO_RATE_FROM);
	}
	ratelimit_init(&ps->rate_all, NS_PER_SEC / ECHO_RATE_ALL, ECHO_RATE_ALL / 10);
	stream_ids_init(&ps->ids, true);
	port_attach(&ps->port, &dp->sw, &port_ops, PORT_PROBE, false, PROBE_STREAMS, PROBE_STREAMS);
	memcpy(ps->port.node_id, dp->self.node_id, sizeof(ps->port.node_id));
	dp->probes = ps;
	return switch_bind(&ps->port, SWITCH_PROBE);
}

void
probes_free(struct dataplane *dp)
{
	struct probes *ps = dp->probes;

	if (ps == NULL)
		return;
	port_detach(&ps->port);
	timers_free(ps->timers);
	free(ps);
	dp->probes = NULL;
}
