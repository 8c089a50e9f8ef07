/*
 * Many routeds in one process, for tests of the exchange of what is known: each has its own known nodes and exchange, links
 * between them carry messages with a delay, and the time is the test's.
 */
#ifndef TESTS_SYNC_WORLD_H
#define TESTS_SYNC_WORLD_H

#include <check.h>
#include <stdio.h>

#include "known_world.h"

#include "base/clock.h"
#include "routed/sync.h"

#define NODES_MAX	24
#define LINK_NS		(5 * NS_PER_MS)
#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

struct message {
	struct message *next;
	uint64_t at_ns;
	int	 to, from;
	unsigned type;
	size_t	 len;
	uint8_t	 body[];
};

struct sim_node {
	struct kw_node	 who;
	struct knowns	*ks;
	struct sync	*sync;
	bool		 leaf;
	int64_t		 skew;		/* of its clock */
	struct pm_addr	 seen_at;
	int64_t		 seen_skew;
	unsigned	 items, haves, wants, queries, digests, signeds;	/* that came */
	uint64_t	 digest_nodes[NODES_MAX];	/* of how many nodes the last one of each was */
	unsigned	 fresh[NODES_MAX];	/* items of each that came and were new */
};

static struct sim_node nodes[NODES_MAX];
static int nnodes;
static bool linked[NODES_MAX][NODES_MAX];
static struct message *queue, **queue_end;
static uint64_t now_ns, total_bytes;
static bool punish_broken;
static const char *tenant;	/* of the next node that is made */
static size_t in_flight[NODES_MAX][NODES_MAX], link_room;
static unsigned deaf_to_have;		/* so many HAVE find no room, whatever was said before */
static unsigned broken;

static inline int
index_of(const uint8_t *id)
{
	for (int i = 0; i < nnodes; i++)
		if (memcmp(nodes[i].who.id, id, NODE_ID_LEN) == 0)
			return i;
	return -1;
}

static inline struct sync_time
time_of(const struct sim_node *n)
{
	return (struct sync_time){ .ns = now_ns, .wall = (uint64_t)((int64_t)(KW_NOW + now_ns / NS_PER_SEC) + n->skew) };
}

static inline int
on_send(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	struct sim_node *n = arg;
	int to = index_of(node_id), from = (int)(n - nodes);
	struct message *m;

	if (to == -1 || !linked[from][to] || in_flight[from][to] + len > link_room)
		return -1;
	if (type == DIRMSG_HAVE && deaf_to_have > 0) {
		deaf_to_have--;
		return -1;
	}
	in_flight[from][to] += len;
	m = malloc(sizeof(*m) + len);
	ck_assert_ptr_nonnull(m);
	*m = (struct message){ .at_ns = now_ns + LINK_NS, .to = to, .from = from, .type = type, .len = len };
	memcpy(m->body, body, len);
	*queue_end = m;
	queue_end = &m->next;
	total_bytes += len;
	return 0;
}

/* What is under way on a link fills it. */
static inline size_t
on_room(const uint8_t *node_id, void *arg)
{
	int to = index_of(node_id), from = (int)((struct sim_node *)arg - nodes);

	return in_flight[from][to] < link_room ? link_room - in_flight[from][to] : 0;
}

static inline void
on_hello(const uint8_t *node_id, const struct pm_addr *seen, int64_t skew_s, void *arg)
{
	struct sim_node *n = arg;

	n->seen_at = *seen;
	n->seen_skew = skew_s;
}

static const struct sync_ops sync_ops = { on_send, on_room, on_hello };

static inline void
changed(struct known *k, enum known_change change, void *arg)
{
	struct sim_node *n = arg;
	struct sync_time t = time_of(n);
	int i = index_of(k->node_id);

	if (i != -1 && (change == KNOWN_NEW || change == KNOWN_RECORD))
		n->fresh[i]++;
	sync_changed(n->sync, k, change, &t);
}

static inline void
signed_record(const struct record *r, const struct known *issuer, void *arg)
{
	sync_signed(((struct sim_node *)arg)->sync, r);
}

static const struct known_ops known_ops = { .changed = changed, .signed_record = signed_record };

static inline void
deliver(struct message *m)
{
	struct sim_node *n = &nodes[m->to];
	struct sync_time t = time_of(n);
	static struct dirmsg_digest digest;
	int rv;

	in_flight[m->from][m->to] -= m->len;
	if (!linked[m->from][m->to])
		return;
	n->items += m->type == DIRMSG_ITEM;
	n->haves += m->type == DIRMSG_HAVE;
	n->wants += m->type == DIRMSG_WANT;
	n->queries += m->type == DIRMSG_QUERY;
	n->digests += m->type == DIRMSG_DIGEST;
	if (m->type == DIRMSG_DIGEST && dirmsg_digest_decode(&digest, m->body, m->len) == 0)
		n->digest_nodes[m->from] = digest.nodes;
	n->signeds += m->type == DIRMSG_SIGNED;
	rv = sync_message(n->sync, nodes[m->from].who.id, m->type, m->body, m->len, &t);
	broken += rv == -1;
	ck_assert(rv == 0 || punish_broken);
}

static inline void
step(void)
{
	for (int i = 0; i < nnodes; i++) {
		struct sync_time t = time_of(&nodes[i]);

		if (nodes[i].sync != NULL)
			sync_run(nodes[i].sync, &t);
	}
	while (queue != NULL && queue->at_ns <= now_ns) {
		struct message *m = queue;

		queue = m->next;
		if (queue == NULL)
			queue_end = &queue;
		deliver(m);
		free(m);
	}
}

/* Until then, from one event to the next. */
static inline void
run(uint64_t ns)
{
	uint64_t until = now_ns + ns;

	while (now_ns < until) {
		uint64_t at = until;

		step();
		for (int i = 0; i < nnodes; i++) {
			uint64_t d = sync_deadline(nodes[i].sync, now_ns);

			if (d < at)
				at = d;
		}
		if (queue != NULL && queue->at_ns < at)
			at = queue->at_ns;
		now_ns = at > now_ns ? at : now_ns + NS_PER_MS;
	}
	step();
}

static inline void
say(int i)
{
	struct sim_node *n = &nodes[i];
	struct sync_time t = time_of(n);

	kw_wall = t.wall;
	ck_assert_int_eq(knowns_take(n->ks, kw_again(&n->who), NULL, t.wall, NULL), KNOWN_OK);
}

static inline int
node_new(uint32_t roles)
{
	struct sim_node *n = &nodes[nnodes];
	char name[16];

	memset(n, 0, sizeof(*n));
	snprintf(name, sizeof(name), "n%d", nnodes);
	kw_node_init(&n->who, (unsigned)(100 + nnodes), name, roles);
	n->who.nservices = 1;
	n->leaf = (roles & ~(1u << ROLE_MOBILE_EDGE | 1u << ROLE_OBSERVER)) == 0;
	n->ks = knowns_new(1000, 7, &known_ops, n);
	ck_assert_ptr_nonnull(n->ks);
	strcpy(n->who.m.tenant, tenant);
	knowns_self(n->ks, n->who.id, kw_authority.public, tenant);
	n->sync = sync_new(n->ks, &sync_ops, n);
	ck_assert_ptr_nonnull(n->sync);
	sync_self(n->sync, n->leaf);
	nnodes++;
	say(nnodes - 1);
	return nnodes - 1;
}

static inline bool
foreign(int x, int y)
{
	return strcmp(nodes[x].who.m.tenant, nodes[y].who.m.tenant) != 0;
}

static inline void
link_up(int x, int y)
{
	struct pm_addr ax = { 4, { 10, 0, 0, (uint8_t)x }, 4600 }, ay = { 4, { 10, 0, 0, (uint8_t)y }, 4600 };
	struct sync_time tx = time_of(&nodes[x]), ty = time_of(&nodes[y]);

	linked[x][y] = linked[y][x] = true;
	ck_assert_int_eq(sync_up(nodes[x].sync, nodes[y].who.id, nodes[y].leaf, foreign(x, y), &ay, &tx), 0);
	ck_assert_int_eq(sync_up(nodes[y].sync, nodes[x].who.id, nodes[x].leaf, foreign(y, x), &ax, &ty), 0);
}

static inline void
link_down(int x, int y)
{
	linked[x][y] = linked[y][x] = false;
	sync_down(nodes[x].sync, nodes[y].who.id);
	sync_down(nodes[y].sync, nodes[x].who.id);
}

static inline void
setup(void)
{
	kw_init();
	kw_wall = KW_NOW;
	nnodes = 0;
	now_ns = 1000 * NS_PER_SEC;
	memset(linked, 0, sizeof(linked));
	queue = NULL;
	queue_end = &queue;
	total_bytes = broken = 0;
	memset(in_flight, 0, sizeof(in_flight));
	link_room = 256 * 1024;
	deaf_to_have = 0;
	punish_broken = false;
	tenant = KW_TENANT;
}

static inline void
teardown(void)
{
	struct message *m;

	while ((m = queue) != NULL) {
		queue = m->next;
		free(m);
	}
	for (int i = 0; i < nnodes; i++) {
		sync_free(nodes[i].sync);
		knowns_free(nodes[i].ks);
	}
}

#define FULL (1u << ROLE_RELAY)
#define LEAF (1u << ROLE_MOBILE_EDGE)
#define COORDINATOR (1u << ROLE_ROUTE_COORDINATOR)

static inline bool
knows(int who, int whom)
{
	const struct known *k = known_find(nodes[who].ks, nodes[whom].who.id);

	return k != NULL && k->serial == nodes[whom].who.n.serial;
}

static inline bool
all_know_all(void)
{
	for (int i = 0; i < nnodes; i++)
		for (int j = 0; j < nnodes; j++)
			if (!knows(i, j))
				return false;
	return true;
}

static inline void
line(int n)
{
	for (int i = 0; i < n; i++) {
		node_new(FULL);
		if (i > 0)
			link_up(i - 1, i);
	}
}

static inline void
mesh(int n)
{
	for (int i = 0; i < n; i++) {
		node_new(FULL);
		for (int j = 0; j < i; j++)
			link_up(i, j);
	}
}

static inline int
item_to(int to, int from, struct dirmsg_item *item)
{
	static uint8_t buf[32768];
	struct sync_time t = time_of(&nodes[to]);
	size_t len = dirmsg_item_encode(buf, sizeof(buf), item);

	ck_assert_uint_gt(len, 0);
	return sync_message(nodes[to].sync, nodes[from].who.id, DIRMSG_ITEM, buf, len, &t);
}

#endif
