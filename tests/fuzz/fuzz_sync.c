/*
 * What neighbours send of the directory, message by message, into a routed that has two of them, one a leaf: nothing that is
 * not signed is believed, and what it keeps for them stays bounded. Input: who (1 byte), type (1), length (2), body; and so on.
 * Type 0 lets a second go by; type 0x20 and 0x21 stand for a true item, and the same changed in one byte, which the body
 * names. Of the first byte, 0x80 makes this one a leaf, and 0x40 its neighbours those of another tenant.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "routed/sync.h"
#include "tests/unit/known_world.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) KW_HOLDS(x)

static const uint8_t who[2][NODE_ID_LEN] = { "neighbour a, with a long name..", "neighbour b, which is a leaf..." };
static struct kw_node real;
static uint8_t item[8192];
static size_t item_len;
static struct sync *sync_now;
static struct sync_time now;
static size_t sent;
static bool foreign_now;	/* both are of another tenant */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setlevel(LOG_LEVEL_ERROR);
	kw_init();
	kw_node_init(&real, 5, "real", 1u << ROLE_ROUTE_COORDINATOR);
	real.nservices = 1;
	item_len = dirmsg_item_encode(item, sizeof(item), kw_item(&real));
	HOLDS(item_len > 0);
	return 0;
}

static int
on_send(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	(void)node_id;
	(void)body;
	(void)arg;
	HOLDS(type >= DIRMSG_HELLO && type <= DIRMSG_QUERY && len > 0);
	sent += len;
	return 0;
}

static size_t
on_room(const uint8_t *node_id, void *arg)
{
	(void)node_id;
	(void)arg;
	return 256 * 1024;
}

static void
on_hello(const uint8_t *node_id, const struct pm_addr *seen, int64_t skew_s, void *arg)
{
	(void)node_id;
	(void)skew_s;
	(void)arg;
	HOLDS(seen->family == 0 || seen->family == 4 || seen->family == 6);
}

static void
changed(struct known *k, enum known_change change, void *arg)
{
	(void)arg;
	HOLDS(memcmp(k->node_id, real.id, NODE_ID_LEN) == 0);	/* nobody else is signed by the authority */
	HOLDS(!foreign_now);	/* and it is none of these */
	sync_changed(sync_now, k, change, &now);
}

static void
signed_record(const struct record *r, const struct known *issuer, void *arg)
{
	(void)r;
	(void)issuer;
	(void)arg;
	abort();	/* none was ever signed */
}

static const struct sync_ops ops = { on_send, on_room, on_hello };
static const struct known_ops known_ops = { .changed = changed, .signed_record = signed_record };

static void
message(unsigned from, unsigned type, const uint8_t *body, size_t len)
{
	uint8_t copy[sizeof(item)];

	if (type == 0) {
		now.ns += NS_PER_SEC;
		now.wall++;
		sync_run(sync_now, &now);
		return;
	}
	if (type == 0x20 || type == 0x21) {
		memcpy(copy, item, item_len);
		if (type == 0x21 && len >= 3)
			copy[(body[0] << 8 | body[1]) % item_len] ^= body[2];
		body = copy;
		len = item_len;
		type = DIRMSG_ITEM;
	}
	/* A neighbour that is broken off is another one when it comes again. */
	if (sync_message(sync_now, who[from], type, body, len, &now) == -1)
		HOLDS(sync_up(sync_now, who[from], from == 1, foreign_now, &(struct pm_addr){ 0 }, &now) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t self[NODE_ID_LEN] = { 0xee };
	struct knowns *ks = knowns_new(64, 1, &known_ops, NULL);

	HOLDS(ks != NULL && (sync_now = sync_new(ks, &ops, NULL)) != NULL);
	now = (struct sync_time){ .ns = 1000 * NS_PER_SEC, .wall = KW_NOW };
	sent = 0;
	knowns_self(ks, self, kw_authority.public, KW_TENANT);
	sync_self(sync_now, size > 0 && data[0] & 0x80);
	foreign_now = size > 0 && data[0] & 0x40;
	for (unsigned i = 0; i < 2; i++)
		HOLDS(sync_up(sync_now, who[i], i == 1, foreign_now, &(struct pm_addr){ 0 }, &now) == 0);
	while (size >= 4) {
		size_t len = (size_t)data[2] << 8 | data[3];

		if (len > size - 4)
			len = size - 4;
		message(data[0] & 1, data[1], data + 4, len);
		data += 4 + len;
		size -= 4 + len;
	}
	now.ns += NS_PER_SEC;
	sync_run(sync_now, &now);
	HOLDS(knowns_count(ks) <= 1);
	sync_free(sync_now);
	knowns_free(ks);
	return 0;
}
