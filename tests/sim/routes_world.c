/* The network: who has a session with whom, how good it is, what breaks, and messages on their way. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/routes.h"

/* --- messages, by time and then by the order they were sent in --- */

static bool
earlier(const struct rmessage *a, const struct rmessage *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

void
world_put(struct rsim *s, struct rmessage *m, uint64_t delay_ns)
{
	size_t i = s->nheap++;

	m->at_ns = s->now_ns + delay_ns;
	m->seq = s->seq++;
	if (s->nheap > s->heap_size) {
		s->heap_size = s->heap_size * 2 + 256;
		if ((s->heap = realloc(s->heap, s->heap_size * sizeof(*s->heap))) == NULL)
			abort();
	}
	for (; i > 0 && earlier(m, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = *m;
}

static struct rmessage
take(struct rsim *s)
{
	struct rmessage top = s->heap[0], last = s->heap[--s->nheap];
	size_t i = 0, c;

	while ((c = 2 * i + 1) < s->nheap) {
		if (c + 1 < s->nheap && earlier(&s->heap[c + 1], &s->heap[c]))
			c++;
		if (!earlier(&s->heap[c], &last))
			break;
		s->heap[i] = s->heap[c];
		i = c;
	}
	if (s->nheap > 0)
		s->heap[i] = last;
	return top;
}

/* Messages of the mesh need the session that they were sent over, still or again. */
void
world_deliver(struct rsim *s)
{
	while (s->nheap > 0 && s->heap[0].at_ns <= s->now_ns && !s->failed) {
		struct rmessage m = take(s);

		s->events++;
		if (s->node[m.to].up && (m.kind != R_MESH || world_link_between(s, m.from, m.to) != NOBODY_HERE))
			node_message(&s->node[m.to], &m);
		free(m.body);
	}
}

/* --- who is where --- */

/* Nodes by two bytes of their id, each bucket a chain. */
static unsigned
bucket(const uint8_t *id)
{
	return (id[0] | (unsigned)id[1] << 8) % ID_BUCKETS;
}

struct rnode *
world_node(struct rsim *s, const uint8_t *id)
{
	for (uint32_t i = s->bucket[bucket(id)]; i != 0; i = s->node[i - 1].next)
		if (memcmp(s->node[i - 1].id, id, NODE_ID_LEN) == 0)
			return &s->node[i - 1];
	return NULL;
}

bool
world_link_up(const struct rsim *s, uint32_t link)
{
	const struct rlink *l = &s->link[link];

	return !l->down && !l->cut && s->node[l->a].up && s->node[l->b].up && !s->node[l->a].revoked && !s->node[l->b].revoked;
}

uint32_t
world_link(const struct rsim *s, uint32_t a, uint32_t b)
{
	const struct rnode *n = &s->node[a];

	for (unsigned i = 0; i < n->nlinks; i++)
		if (s->link[n->link[i]].a == b || s->link[n->link[i]].b == b)
			return n->link[i];
	return NOBODY_HERE;
}

uint32_t
world_link_between(const struct rsim *s, uint32_t a, uint32_t b)
{
	uint32_t link = world_link(s, a, b);

	return link != NOBODY_HERE && world_link_up(s, link) ? link : NOBODY_HERE;
}

void
world_distances(const struct rsim *s, uint32_t from, uint8_t *hops)
{
	uint32_t queue[NODES_MAX], head = 0, tail = 0;

	memset(hops, UINT8_MAX, NODES_MAX);
	hops[from] = 0;
	queue[tail++] = from;
	while (head < tail) {
		const struct rnode *n = &s->node[queue[head++]];

		if (n->index != from && n->index >= COORDINATORS + s->nrelays)
			continue;	/* leaves hand nothing on */
		for (unsigned i = 0; i < n->nlinks; i++) {
			const struct rlink *l = &s->link[n->link[i]];
			uint32_t to = l->a == n->index ? l->b : l->a;

			if (hops[to] != UINT8_MAX || !world_link_up(s, n->link[i]))
				continue;
			hops[to] = (uint8_t)(hops[n->index] + 1);
			queue[tail++] = to;
		}
	}
}

/* --- how it begins --- */

static void
records_make(struct rsim *s, struct rnode *n)
{
	struct record m = { .kind = RECORD_MEMBERSHIP, .subject = n->node.public, .serial = 1, .not_before = 1,
	    .not_after = RECORD_TIME_MAX, .roles = n->roles, .tier = 5 };
	struct record d = { .kind = RECORD_DELEGATION, .subject = n->route.public, .serial = 1, .not_before = WALL - 86400,
	    .not_after = WALL + 5 * 86400, .purpose = PURPOSE_ROUTE };

	snprintf(m.name, sizeof(m.name), "%s", n->name);
	snprintf(m.tenant, sizeof(m.tenant), "%s", n->tenant);
	n->mlen = record_sign(n->membership, sizeof(n->membership), &m, &s->authority);
	n->dlen = record_sign(n->delegation, sizeof(n->delegation), &d, &n->node);
	if (n->mlen == 0 || n->dlen == 0)
		abort();
}

static void
node_make(struct rsim *s, uint32_t i)
{
	struct rnode *n = &s->node[i];
	bool coordinator = i < COORDINATORS, relay = !coordinator && i < COORDINATORS + s->nrelays;

	n->sim = s;
	n->index = i;
	for (unsigned b = 0; b < SIGN_PUBLIC_LEN; b++) {
		n->node.public[b] = (uint8_t)rsim_random(s, 256);
		n->route.public[b] = (uint8_t)rsim_random(s, 256);
		n->ticket.public[b] = (uint8_t)rsim_random(s, 256);
	}
	node_id_from_key(n->id, n->node.public);
	n->next = s->bucket[bucket(n->id)];
	s->bucket[bucket(n->id)] = i + 1;
	snprintf(n->name, sizeof(n->name), "%s-%u", coordinator ? "coord" : relay ? "relay" : "leaf", i);
	n->tenant = !coordinator && rsim_chance(s, 5) ? "other" : "home";
	n->roles = coordinator ? 1u << ROLE_ROUTE_COORDINATOR : relay ? 1u << (rsim_chance(s, 3) ? ROLE_ENTRY : ROLE_RELAY) :
	    1u << (rsim_chance(s, 2) ? ROLE_MOBILE_EDGE : ROLE_SERVICE_HOST);
	/* Some that have no such role say that they relay all the same. */
	n->relays = relay || rsim_chance(s, 10);
	n->relay_classes = rsim_chance(s, 10) ? 1u << CLASS_BULK : 0x3f;
	n->offset_s = (int64_t)rsim_random(s, 61) - 30;
	records_make(s, n);
}

static void
link_make(struct rsim *s, uint32_t a, uint32_t b)
{
	struct rlink *l = &s->link[s->nlinks];

	if (a == b || s->nlinks == LINKS_ALL_MAX || s->node[a].nlinks == LINKS_OF_MAX || s->node[b].nlinks == LINKS_OF_MAX)
		return;
	for (unsigned i = 0; i < s->node[a].nlinks; i++)
		if (s->link[s->node[a].link[i]].a == b || s->link[s->node[a].link[i]].b == b)
			return;
	*l = (struct rlink){ .a = a, .b = b, .rtt_us = 1000 + (uint32_t)rsim_random(s, 40000),
	    .jitter_us = (uint32_t)rsim_random(s, 2000), .kbps = 5000 + (uint32_t)rsim_random(s, 200000) };
	s->node[a].link[s->node[a].nlinks++] = s->nlinks;
	s->node[b].link[s->node[b].nlinks++] = s->nlinks++;
}

static uint32_t
any_relay(struct rsim *s)
{
	return COORDINATORS + (uint32_t)rsim_random(s, s->nrelays);
}

/* Mostly one of its own tenant, which can do something for it. */
static uint32_t
likely_relay(struct rsim *s, const struct rnode *n)
{
	uint32_t r = any_relay(s);

	for (unsigned tries = 0; tries < 3 && s->node[r].tenant != n->tenant; tries++)
		r = any_relay(s);
	return r;
}

static void
pairs_make(struct rsim *s)
{
	for (unsigned tries = 0; s->npairs < s->nnodes / 3 && s->npairs < PAIRS_MAX && tries < 10000; tries++) {
		uint32_t first = COORDINATORS + s->nrelays, n = s->nnodes - first;
		uint32_t a = first + (uint32_t)rsim_random(s, n), b = first + (uint32_t)rsim_random(s, n);
		bool taken = a == b || world_link(s, a, b) != NOBODY_HERE || s->node[a].tenant != s->node[b].tenant;
		uint64_t from_ns = s->npairs % 3 == 2 ? UINT64_MAX : 0;		/* those come after a fence */

		for (uint32_t i = 0; i < s->npairs; i++)
			taken |= s->pair[i].source == a && s->pair[i].dest == b;
		if (!taken)
			s->pair[s->npairs++] = (struct rpair){ .source = a, .dest = b, .from_ns = from_ns, .wanted = from_ns == 0 };
	}
}

void
world_make(struct rsim *s)
{
	for (unsigned b = 0; b < SIGN_PUBLIC_LEN; b++)
		s->authority.public[b] = (uint8_t)rsim_random(s, 256);
	for (uint32_t i = 0; i < s->nnodes; i++)
		node_make(s, i);
	for (uint32_t i = 0; i < s->nnodes; i++) {
		unsigned n = i < COORDINATORS ? 5 : i < COORDINATORS + s->nrelays ? 5 : 2 + (unsigned)rsim_random(s, 2);

		while (n-- > 0)
			link_make(s, i, likely_relay(s, &s->node[i]));
	}
	pairs_make(s);
	for (unsigned i = 0; i < POLICIES; i++)
		s->policy[i] = policy_make(s, i);
	s->policy_ns = s->end_ns / 3 + rsim_random(s, s->end_ns / 3);
	for (uint32_t i = 0; i < s->nnodes; i++)
		node_start(&s->node[i]);
}

/* --- what happens --- */

static void
ends_notice(struct rsim *s, uint32_t link)
{
	node_links_changed(&s->node[s->link[link].a]);
	node_links_changed(&s->node[s->link[link].b]);
}

/* Sessions that come up: what leads over them is told again. */
static void
mesh_up(struct rsim *s, uint32_t link)
{
	struct rnode *a = &s->node[s->link[link].a], *b = &s->node[s->link[link].b];
	struct clock_both now;

	if (!world_link_up(s, link))
		return;
	now = node_clock(a);
	install_mesh_up(a->install, b->id, &now);
	routes_hint(a->routes, &now);
	now = node_clock(b);
	install_mesh_up(b->install, a->id, &now);
	routes_hint(b->routes, &now);
}

static void
links_of(struct rsim *s, const struct rnode *n, bool up)
{
	for (unsigned i = 0; i < n->nlinks; i++) {
		ends_notice(s, n->link[i]);
		if (up)
			mesh_up(s, n->link[i]);
	}
}

static void
crash(struct rsim *s)
{
	struct rnode *n = &s->node[rsim_random(s, rsim_chance(s, 2) ? COORDINATORS + s->nrelays : s->nnodes)];

	if (!n->up)
		return;
	rsim_say(s, "%s dies", n->name);
	node_stop(n);
	n->until_ns = s->now_ns + 2 * SEC + rsim_random(s, 120 * SEC);
	links_of(s, n, false);
}

static void
link_trouble(struct rsim *s)
{
	uint32_t i = (uint32_t)rsim_random(s, s->nlinks);
	struct rlink *l = &s->link[i];

	if (l->until_ns != 0)
		return;
	l->until_ns = s->now_ns + 5 * SEC + rsim_random(s, 180 * SEC);
	switch (rsim_random(s, 4)) {
	case 0:
		l->loss = 100;
		break;
	case 1:
		l->rtt_us += 200000;
		break;
	case 2:
		l->kbps = 1000;
		break;
	default:
		l->down = true;
		ends_notice(s, i);
	}
	rsim_say(s, "link %s %s: loss %u rtt %u kbps %u%s", s->node[l->a].name, s->node[l->b].name, l->loss, l->rtt_us, l->kbps,
	    l->down ? " down" : "");
}

static void
links_heal(struct rsim *s)
{
	for (uint32_t i = 0; i < s->nlinks; i++) {
		struct rlink *l = &s->link[i];

		if (l->until_ns == 0 || s->now_ns < l->until_ns)
			continue;
		if (l->rtt_us > 200000)
			l->rtt_us -= 200000;
		l->loss = 0;
		l->kbps = 20000;
		l->until_ns = 0;
		if (!l->down)
			continue;
		l->down = false;
		ends_notice(s, i);
		mesh_up(s, i);
	}
}

/* All between two parts of the nodes. */
static void
split(struct rsim *s)
{
	uint64_t by = rsim_random(s, UINT64_MAX);

	rsim_say(s, "the network splits");
	s->split_until_ns = s->now_ns + 20 * SEC + rsim_random(s, 200 * SEC);
	for (uint32_t i = 0; i < s->nlinks; i++) {
		s->link[i].cut = (by >> s->link[i].a % 61 & 1) != (by >> s->link[i].b % 61 & 1);
		if (s->link[i].cut)
			ends_notice(s, i);
	}
}

static void
heal(struct rsim *s)
{
	rsim_say(s, "the network heals");
	s->split_until_ns = 0;
	for (uint32_t i = 0; i < s->nlinks; i++)
		if (s->link[i].cut) {
			s->link[i].cut = false;
			ends_notice(s, i);
			mesh_up(s, i);
		}
}

/* --- what all are to hear --- */

static void
hear_fence(struct rsim *s, struct rnode *n, unsigned i)
{
	struct rfence *f = &s->fence[i];
	struct rmessage m = { .kind = R_FENCE, .to = n->index, .body = f->record, .len = f->len };

	n->heard[i / 64] |= 1ull << i % 64;
	node_message(n, &m);
}

static void
hear_policy(struct rnode *n)
{
	struct rmessage m = { .kind = R_POLICY, .to = n->index };

	n->policy = POLICY_SECOND;
	node_message(n, &m);
}

static bool
has_news(const struct rnode *from, const struct rnode *to)
{
	for (unsigned i = 0; i < FENCES_ALL / 64; i++)
		if (from->heard[i] & ~to->heard[i])
			return true;
	return from->policy > to->policy;
}

static void
news_over(struct rsim *s, const struct rnode *from, struct rnode *to)
{
	if (from->index >= COORDINATORS + s->nrelays)
		return;		/* leaves hand nothing on */
	for (unsigned i = 0; i < s->nfences; i++)
		if (from->heard[i / 64] & ~to->heard[i / 64] & 1ull << i % 64)
			hear_fence(s, to, i);
	if (from->policy > to->policy)
		hear_policy(to);
}

/* From neighbour to neighbour; who was away hears it when it is back. */
static void
news(struct rsim *s)
{
	for (uint32_t i = 0; i < s->nlinks; i++) {
		struct rnode *a = &s->node[s->link[i].a], *b = &s->node[s->link[i].b];

		if ((!has_news(a, b) && !has_news(b, a)) || !world_link_up(s, i) || !rsim_chance(s, 4))
			continue;
		news_over(s, a, b);
		news_over(s, b, a);
	}
}

/* One that is not wanted yet: what is new after a fence has to get its routes, too. */
static struct rpair *
late_pair(struct rsim *s)
{
	for (uint32_t i = 0; i < s->npairs; i++)
		if (s->pair[i].from_ns == UINT64_MAX && s->node[s->pair[i].source].up)
			return &s->pair[i];
	return NULL;
}

static uint32_t
neighbour(struct rsim *s, const struct rnode *n)
{
	const struct rlink *l = &s->link[n->link[rsim_random(s, n->nlinks)]];

	return l->a == n->index ? l->b : l->a;
}

/* Of the pair's route, of the pair, or of a node that it may need. */
static bool
fence_what(struct rsim *s, struct fence *f, const struct rpair *p)
{
	const uint32_t over[] = { p->source, p->dest, neighbour(s, &s->node[p->source]), neighbour(s, &s->node[p->dest]) };

	f->what = FENCE_ROUTE + (unsigned)rsim_random(s, 3);
	if (f->what == FENCE_ROUTE)
		f->route_id = p->way;
	else
		memcpy(f->node, s->node[f->what == FENCE_PAIR ? p->source : over[rsim_random(s, 4)]].id, NODE_ID_LEN);
	if (f->what == FENCE_PAIR)
		memcpy(f->dest, s->node[p->dest].id, NODE_ID_LEN);
	return f->what != FENCE_ROUTE || p->way != 0;
}

static bool
knows_all(const struct rsim *s, const struct rnode *n)
{
	for (unsigned i = 0; i < s->nfences; i++)
		if (!(n->heard[i / 64] >> i % 64 & 1))
			return false;
	return true;
}

/* As `fabricctl route fence' makes them. */
/* For people; of a fence that is of no node: none. */
static const char *
name_of(struct rsim *s, const uint8_t *node_id)
{
	const struct rnode *n = world_node(s, node_id);

	return n == NULL ? "" : n->name;
}

static void
fence(struct rsim *s)
{
	struct rpair *late = rsim_chance(s, 2) ? late_pair(s) : NULL, *p = late != NULL ? late : &s->pair[rsim_random(s, s->npairs)];
	struct rnode *c = &s->node[rsim_random(s, COORDINATORS)];
	struct lease_time t = { node_clock(c).wall * 1000, s->now_ns };
	struct rfence *f = &s->fence[s->nfences];
	char text[FENCE_TEXT_MAX];
	uint64_t wait_s;

	if (!c->up || s->nfences == FENCES_ALL || !fence_what(s, &f->f, p))
		return;
	f->f.epoch = fences_ahead(&c->fences, t.now_ms);
	f->informed = knows_all(s, c);
	f->made_ns = s->now_ns;
	if ((f->len = coordinator_fence(c->coordinator, f->record, sizeof(f->record), &f->f, &t, &wait_s)) == 0) {
		if (wait_s == 0)
			abort();
		return;
	}
	rsim_say(s, "%s fences %s up to %llu", c->name,
	    fence_text(text, &f->f, name_of(s, f->f.node), name_of(s, f->f.dest)), (unsigned long long)f->f.epoch);
	hear_fence(s, c, s->nfences++);
	if (late != NULL)
		late->from_ns = s->now_ns + rsim_random(s, 20 * SEC);
}

static void
late_begin(struct rsim *s)
{
	for (uint32_t i = 0; i < s->npairs; i++) {
		struct rpair *p = &s->pair[i];

		if (p->wanted || s->now_ns < p->from_ns)
			continue;
		p->wanted = true;
		rsim_say(s, "%s wants %s", s->node[p->source].name, s->node[p->dest].name);
		if (s->node[p->source].up)
			node_pairs(&s->node[p->source]);
	}
}

/* Wherever it begins, it is one of those that hand on. */
static void
change_policy(struct rsim *s)
{
	struct rnode *n = &s->node[rsim_random(s, COORDINATORS)];

	if (!n->up)
		return;
	rsim_say(s, "%s has the second policy", n->name);
	s->second = true;
	hear_policy(n);
}

/* --- and all else --- */

static void
revoke(struct rsim *s)
{
	uint32_t k = any_relay(s);

	if (s->node[k].revoked || s->revocations > s->nrelays / 10)
		return;
	rsim_say(s, "%s is revoked", s->node[k].name);
	s->node[k].revoked = true;
	s->revocations++;
	links_of(s, &s->node[k], false);
	for (uint32_t i = 0; i < s->nnodes; i++) {
		struct rmessage m = { .kind = R_REVOKED, .to = i, .id = k };

		world_put(s, &m, rsim_random(s, 2 * SEC));
	}
}

static void
relaying(struct rsim *s, struct rnode *n, bool relays)
{
	n->relays = relays;
	n->relays_ns = relays ? 0 : s->now_ns + 30 * SEC + rsim_random(s, 300 * SEC);
	rsim_say(s, "%s relays: %d", n->name, n->relays);
	node_relaying_changed(n);
}

/* For a while it does not want to. */
static void
stop_relaying(struct rsim *s)
{
	struct rnode *n = &s->node[any_relay(s)];

	if (n->relays)
		relaying(s, n, false);
}

/* What a thousand nodes would see in a day, some see here in an hour. */
void
world_tick(struct rsim *s)
{
	const uint64_t per = SEC / TICK;

	for (uint32_t i = 0; i < s->nnodes; i++) {
		if (!s->node[i].up && s->now_ns >= s->node[i].until_ns) {
			rsim_say(s, "%s is back", s->node[i].name);
			node_start(&s->node[i]);
			links_of(s, &s->node[i], true);
		}
		if (s->node[i].relays_ns != 0 && s->now_ns >= s->node[i].relays_ns)
			relaying(s, &s->node[i], true);
	}
	links_heal(s);
	if (s->split_until_ns != 0 && s->now_ns >= s->split_until_ns)
		heal(s);
	if (rsim_chance(s, 10 * per))
		crash(s);
	if (rsim_chance(s, 4 * per))
		link_trouble(s);
	if (s->split_until_ns == 0 && rsim_chance(s, 1200 * per))
		split(s);
	if (rsim_chance(s, 60 * per))
		fence(s);
	if (rsim_chance(s, 900 * per))
		revoke(s);
	if (rsim_chance(s, 45 * per))
		stop_relaying(s);
	if (!s->second && s->now_ns >= s->policy_ns)
		change_policy(s);
	news(s);
	late_begin(s);
}
