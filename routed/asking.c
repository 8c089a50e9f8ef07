#include "routed/asking.h"

#include <string.h>

#include "base/clock.h"

static size_t
slot(uint64_t id)
{
	return (size_t)((id ^ id >> 23 ^ id >> 41) % ASKING_MAX);
}

static void
entry_init(struct asking_entry *e, uint64_t id, uint64_t now_ns)
{
	memset(e, 0, sizeof(*e));
	e->id = id;
	e->until_ns = now_ns + ASKING_LIFE_NS;
}

bool
asking_note(struct asking *a, uint64_t id, const uint8_t *from, uint64_t now_ns)
{
	struct asking_entry *e = &a->v[slot(id)];

	/* An own one keeps its place: who was asked knows its id, and could drive it out by another of the same slot. */
	if (now_ns < e->until_ns && (e->id == id || e->own))
		return false;
	entry_init(e, id, now_ns);
	memcpy(e->from, from, NODE_ID_LEN);
	return true;
}

void
asking_own(struct asking *a, uint64_t id, const uint8_t key[HASH_LEN], uint64_t now_ns)
{
	struct asking_entry *e = &a->v[slot(id)];

	entry_init(e, id, now_ns);
	e->own = true;
	memcpy(e->key, key, HASH_LEN);
}

uint64_t
asking_serial(struct asking *a, uint64_t wall_ms)
{
	bool later = wall_ms > a->serial, set_back = wall_ms + ROUTEMSG_LIFE_S * 1000 <= a->serial;

	a->serial = later || set_back ? wall_ms : a->serial + 1;
	return a->serial;
}

const struct asking_entry *
asking_find(const struct asking *a, uint64_t id, uint64_t now_ns)
{
	const struct asking_entry *e = &a->v[slot(id)];

	return e->id == id && now_ns < e->until_ns ? e : NULL;
}

bool
asking_allowed(struct asking *a, const uint8_t *from, uint64_t now_ns)
{
	size_t n = sizeof(a->peers) / sizeof(a->peers[0]), at = 0;

	for (size_t i = 0; i < n; i++) {
		if (a->peers[i].used && memcmp(a->peers[i].id, from, NODE_ID_LEN) == 0) {
			at = i;
			break;
		}
		if (a->peers[i].limit.full_at_ns < a->peers[at].limit.full_at_ns)
			at = i;		/* it has the least to lose: who is driven out comes back with a full bucket */
	}
	if (!a->peers[at].used || memcmp(a->peers[at].id, from, NODE_ID_LEN) != 0) {
		memcpy(a->peers[at].id, from, NODE_ID_LEN);
		ratelimit_init(&a->peers[at].limit, ASKING_PEER_MS * NS_PER_MS, ASKING_PEER_BURST);
	}
	a->peers[at].used = true;
	return ratelimit_take(&a->peers[at].limit, now_ns);
}

void
asking_failed(struct asking *a, const uint8_t *node_id, uint64_t now_ns)
{
	struct asking_failed *at = a->failed;

	for (struct asking_failed *f = a->failed; f < a->failed + LEASE_FAILED_MAX; f++) {
		if (memcmp(f->id, node_id, NODE_ID_LEN) == 0) {
			at = f;
			break;
		}
		if (f->until_ns < at->until_ns)
			at = f;
	}
	memcpy(at->id, node_id, NODE_ID_LEN);
	at->until_ns = now_ns + GRAPH_TOLD_NS;
}

void
asking_tell(const struct asking *a, struct lease_ask *ask, uint64_t now_ns)
{
	ask->nfailed = 0;
	for (size_t i = 0; i < LEASE_FAILED_MAX; i++)
		if (now_ns < a->failed[i].until_ns)
			memcpy(ask->failed[ask->nfailed++], a->failed[i].id, NODE_ID_LEN);
}

static bool
other(const uint8_t *node_id, const uint8_t *from)
{
	return from == NULL || memcmp(node_id, from, NODE_ID_LEN) != 0;
}

unsigned
asking_spread(const struct route_request *m, const uint8_t *from, unsigned attempt, const struct asking_ops *ops, void *arg)
{
	const uint8_t *near[ASKING_SPREAD], *id;
	uint8_t buf[32 + REQUEST_TO_MAX * (NODE_ID_LEN + 8 + REQUEST_MAX + BOX_OVERHEAD)];
	size_t len = route_request_encode(buf, sizeof(buf), m);
	unsigned n = 0, sent = 0;

	if (len == 0)
		return 0;
	for (unsigned i = 0; n < ASKING_SPREAD && (id = ops->coordinator(i, arg)) != NULL; i++)
		if (other(id, from))
			near[n++] = id;
	for (unsigned i = 0; i < n; i++)
		if (ops->send(near[(attempt + i) % n], DIRMSG_ROUTE_REQUEST, buf, len, arg) == 0)
			return 1;
	for (unsigned i = 0; m->ttl > 0 && sent < ASKING_SPREAD && (id = ops->neighbour(i, arg)) != NULL; i++)
		if (other(id, from) && ops->send(id, DIRMSG_ROUTE_REQUEST, buf, len, arg) == 0)
			sent++;
	return sent;
}
