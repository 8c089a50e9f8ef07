/*
 * What is shown to a hop. Input: one byte that says what the rest is: a ticket's content, a fence's, what was sealed to us,
 * records back to back, or a lease as the source gets it. What is decoded must be encoded to the same bytes, and no ticket is good that nobody signed.
 */
#include <stdlib.h>
#include <string.h>

#include "routed/coordinator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)
#define NOW 1767225600ull

static struct sign_key authority, node;
static struct noise_key key;
static uint8_t node_id[NODE_ID_LEN];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	crypto_init();
	memset(authority.secret, 1, sizeof(authority.secret));
	memset(node.secret, 2, sizeof(node.secret));
	memset(key.secret, 3, sizeof(key.secret));
	HOLDS(sign_key_from_secret(&authority) == 0 && sign_key_from_secret(&node) == 0);
	HOLDS(noise_key_from_secret(&key) == 0);
	node_id_from_key(node_id, node.public);
	return 0;
}

static struct record
record_of(unsigned kind, const uint8_t *data, size_t size)
{
	return (struct record){ .kind = kind, .issuer = node.public, .subject = node.public, .serial = 1, .not_before = NOW,
	    .not_after = RECORD_TIME_MAX, .content = { data, size } };
}

static void
ticket(const uint8_t *data, size_t size)
{
	struct record r = record_of(RECORD_TICKET, data, size);
	uint8_t out[512];
	struct ticket t;
	size_t len;

	if (ticket_decode(&t, &r) != 0)
		return;
	HOLDS(t.route_id > 0 && t.place <= TICKET_DEST && t.classes != 0 && t.tenant[RECORD_TENANT_MAX] == '\0');
	len = ticket_encode(out, sizeof(out), &t);
	HOLDS(len > 0 && len <= size);		/* less: fields from 0x40 on were skipped */
	HOLDS(memcmp(out, data, len) == 0);
	HOLDS(len == size || data[len] >= 0x40);
}

static void
fence(const uint8_t *data, size_t size)
{
	struct record r = record_of(RECORD_FENCE, data, size);
	uint8_t out[128];
	struct fence f;
	size_t len;

	if (fence_decode(&f, &r) != 0)
		return;
	len = fence_encode(out, sizeof(out), &f);
	HOLDS(len > 0 && len <= size && memcmp(out, data, len) == 0);
	HOLDS(len == size || data[len] >= 0x40);
}

static bool
anybody(const uint8_t *route_key, struct ticket_issuer *by, void *arg)
{
	memcpy(by->who.node_id, node_id, NODE_ID_LEN);
	by->who.roles = UINT32_MAX;
	by->who.not_after = UINT64_MAX;
	return true;
}

static void
sealed(const uint8_t *data, size_t size)
{
	const struct frame_bytes none = { NULL, 0 };
	struct ticket_ctx c = { .node_id = node_id, .node_key = node.public, .keys = &key, .nkeys = 1,
	    .authority = authority.public, .from = node_id, .route_id = 300, .now = NOW, .roles = UINT32_MAX, .relays = true,
	    .relay_classes = 0x3f, .issuer = anybody };
	uint8_t box[TICKET_SEALED_MAX];
	struct ticket_issuer by;
	struct ticket t;
	size_t len = ticket_seal(box, sizeof(box), key.public, 300, none, none, (struct frame_bytes){ data, size });

	HOLDS((len > 0) == (size <= TICKET_MAX));
	if (len > 0)
		HOLDS(ticket_check(&c, box, len, &t, &by) != TICKET_OK);
}

static void
lease(const uint8_t *data, size_t size)
{
	static uint8_t out[LEASE_ANSWER_MAX];
	uint8_t hash[HASH_LEN];
	struct lease l;

	if (lease_decode(&l, data, size) == 0) {
		HOLDS(lease_encode(out, sizeof(out), &l) == size && memcmp(out, data, size) == 0);
		HOLDS(lease_answer_hash(hash, &l) == 0);
		lease_free(&l);
	}
	for (unsigned i = 0; i < LEASE_HOPS_MAX; i++)
		HOLDS(l.sealed[i].p == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		ticket(data + 1, size - 1);
		break;
	case 1:
		fence(data + 1, size - 1);
		break;
	case 2:
		sealed(data + 1, size - 1);
		break;
	default:
		lease(data + 1, size - 1);
	}
	return 0;
}
