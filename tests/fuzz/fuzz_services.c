/*
 * What routed takes from a peer as its services, and what it tells of them. Input: sets one after the other, each of two
 * bytes of length and that many bytes, told by one of two nodes in turn; the top bit of a length lets time pass. The
 * nodes are those of the golden vectors, so that a seed's signatures are good.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "crypto/identity.h"
#include "proc/ipc.h"
#include "routed/directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)
#define NOW (1767225600 + 3600)		/* an hour into the validity of the vectors' records */

static uint8_t ids[2][NODE_ID_LEN];

static void
begin(void)
{
	struct sign_key k;

	for (unsigned i = 0; i < 2; i++) {
		memset(k.secret, (int)i + 2, sizeof(k.secret));
		HOLDS(sign_key_from_secret(&k) == 0);
		node_id_from_key(ids[i], k.public);
	}
}

static void
come_up(struct directory *d, unsigned i)
{
	static const uint8_t record[] = { 1 };
	struct pm_peer_up up = { .name = "n", .tenant = "home", .roles = i << ROLE_SERVICE_HOST, .membership = { record, 1 },
	    .addr = { .family = 4 } };

	memcpy(up.node_id, ids[i], NODE_ID_LEN);
	HOLDS(directory_peer_up(d, &up, 1, NOW) == 0);
}

/* Sorted, without doubles, each what its record says, signed by whose it is, and valid. */
static void
check_set(const struct peer *p, uint64_t now)
{
	const struct service_set *set = &p->services;
	uint8_t id[NODE_ID_LEN];
	struct record r;

	HOLDS(set->n <= NODE_SERVICES_MAX);
	for (size_t i = 0; i < set->n; i++) {
		const struct service *s = &set->v[i];

		HOLDS(i == 0 || strcmp(s[-1].name, s->name) < 0);
		HOLDS(s->len <= SERVICE_RECORD_MAX && record_decode(&r, s->record, s->len) == RECORD_OK);
		HOLDS(r.kind == RECORD_SERVICE && strcmp(r.name, s->name) == 0 && r.class == s->class);
		HOLDS(memcmp(r.subject, s->key, sizeof(s->key)) == 0 && r.not_after == s->not_after);
		HOLDS(record_verify(&r) == 0 && r.not_after - r.not_before <= DELEGATION_MAX_S);
		HOLDS(now < r.not_after && r.not_before <= now + CLOCK_SKEW_S);
		node_id_from_key(id, r.issuer);
		HOLDS(memcmp(id, p->node_id, NODE_ID_LEN) == 0);
	}
}

static void
check(const struct directory *d, uint64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < d->npeers; i++) {
		check_set(d->peers[i], now);
		n += d->peers[i]->services.n;
	}
	HOLDS(n == d->board.n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct directory *d = directory_new();
	uint64_t now = NOW;

	if (ids[0][0] == 0)
		begin();
	HOLDS(d != NULL);
	come_up(d, 0);
	come_up(d, 1);
	for (unsigned turn = 0; size >= 2; turn++) {
		size_t len = (size_t)(data[0] & 0x7f) << 8 | data[1];
		struct pm_records m = { .records = { data + 2, len < size - 2 ? len : size - 2 } };
		const struct peer *p = directory_find(d, ids[turn % 2]);
		size_t before = p->services.n;

		if (data[0] & 0x80) {
			now += 7200;
			services_expire(d, now);
			before = p->services.n;
		}
		memcpy(m.node_id, ids[turn % 2], NODE_ID_LEN);
		if (services_take(d, &m, now) != SERVICES_OK)
			HOLDS(p->services.n == before);
		check(d, now);
		data += 2 + m.records.len;
		size -= 2 + m.records.len;
	}
	directory_free(d);
	return 0;
}
