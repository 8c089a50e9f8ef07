/* routed: what is relayed, the receipts of both ends of a hop, and what of it is on disk. A source and a relay. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/identity.h"
#include "routed/usage.h"
#include "suite.h"
#include "wire/fields.h"

#define WALL 1800000000ull

struct node {
	struct sign_key	 node, route;
	uint8_t		 id[NODE_ID_LEN];
	struct usage	*u;
	struct installed in;
	bool		 keyed, deaf, away;	/* away: nothing can be sent to it */
	enum usage_error last;
	unsigned	 messages;
};

enum { S, R, NODES };
static struct node n[NODES];
static char dir[] = "/tmp/check_usage.XXXXXX";
static uint64_t wall;
static uint8_t kept[8192];
static size_t kept_len;

static int
on_send(const uint8_t *id, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	struct node *from = arg, *to = from == &n[S] ? &n[R] : &n[S];
	uint8_t copy[8192];

	ck_assert_uint_eq(type, DIRMSG_RECEIPT);
	if (to->away || memcmp(id, to->id, NODE_ID_LEN) != 0)
		return -1;	/* the node behind the relay is not of this test */
	ck_assert_uint_le(len, sizeof(copy));
	memcpy(copy, body, len);
	memcpy(kept, body, len);
	kept_len = len;
	to->messages++;
	if (!to->deaf)
		to->last = usage_message(to->u, from->id, copy, len, wall);
	return 0;
}

static const uint8_t *
on_route_key(const uint8_t *id, void *arg)
{
	for (unsigned i = 0; i < NODES; i++)
		if (memcmp(n[i].id, id, NODE_ID_LEN) == 0)
			return n[i].route.public;
	return NULL;
}

static const struct sign_key *
on_own_key(const uint8_t **node_key, void *arg)
{
	struct node *x = arg;

	*node_key = x->node.public;
	return x->keyed ? &x->route : NULL;
}

static const struct usage_ops ops = { on_send, on_route_key, on_own_key };

static void
open_usage(unsigned i, bool store)
{
	n[i].u = usage_new(&ops, &n[i], n[i].id, store ? usage_store_open(USAGE_FILE) : NULL);
	ck_assert_ptr_nonnull(n[i].u);
}

static void
setup(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	wall = WALL - WALL % USAGE_EVERY_S;
	memset(n, 0, sizeof(n));
	for (unsigned i = 0; i < NODES; i++) {
		memset(n[i].node.secret, (int)i + 1, SIGN_SECRET_LEN);
		memset(n[i].route.secret, (int)i + 11, SIGN_SECRET_LEN);
		ck_assert_int_eq(sign_key_from_secret(&n[i].node), 0);
		ck_assert_int_eq(sign_key_from_secret(&n[i].route), 0);
		node_id_from_key(n[i].id, n[i].node.public);
		n[i].keyed = true;
		n[i].in.t.place = i == S ? TICKET_SOURCE : TICKET_RELAY;
		strcpy(n[i].in.t.tenant, "home");
		open_usage(i, i == R);
	}
	memcpy(n[S].in.t.next, n[R].id, NODE_ID_LEN);
	memcpy(n[R].in.t.prev, n[S].id, NODE_ID_LEN);
	memset(n[R].in.t.next, 9, NODE_ID_LEN);
	for (unsigned i = 0; i < NODES; i++)
		usage_tick(n[i].u, wall);
}

static void
teardown(void)
{
	char command[64];

	usage_free(n[S].u);
	usage_free(n[R].u);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

/* The dataplane of a node says how much it was since it last did. */
static void
used(unsigned i, unsigned class, uint64_t forth, uint64_t back)
{
	const struct pm_route_used m = { 1, (uint8_t)class, forth, back };

	usage_used(n[i].u, &n[i].in, &m);
}

static const struct usage_entry *
entry(unsigned i, const uint8_t *neighbour, unsigned class)
{
	for (size_t k = 0; k < usage_count(n[i].u); k++) {
		const struct usage_entry *e = usage_get(n[i].u, k);

		if (e->class == class && memcmp(e->neighbour, neighbour, NODE_ID_LEN) == 0)
			return e;
	}
	return NULL;
}

static void
minute(void)
{
	wall += USAGE_EVERY_S;
	usage_tick(n[R].u, wall);
	usage_tick(n[S].u, wall);
}

START_TEST(counts)
{
	used(R, CLASS_BULK, 1000, 10);
	used(R, CLASS_BULK, 500, 0);
	used(R, CLASS_DNS, 7, 0);
	used(R, CLASS_BULK, 200, 5);
	ck_assert_uint_eq(n[R].in.used[CLASS_BULK][0], 1700);
	ck_assert_uint_eq(n[R].in.used[CLASS_BULK][1], 15);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->forth, 1700);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->back, 15);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_DNS)->forth, 7);
	ck_assert_str_eq(entry(R, n[S].id, CLASS_DNS)->tenant, "home");
	ck_assert_uint_eq(entry(R, n[R].in.t.next, CLASS_BULK)->seen_forth, 1700);
	ck_assert_uint_eq(entry(R, n[R].in.t.next, CLASS_BULK)->forth, 0);	/* a byte is relayed once */
	used(S, CLASS_BULK, 1700, 15);
	ck_assert_uint_eq(entry(S, n[R].id, CLASS_BULK)->forth, 0);		/* an end relays nothing */
	used(S, CLASS_COUNT, 1, 1);
}
END_TEST

/* What the dataplane says of a route that has ended is counted as its; of one that is not known, nothing. */
START_TEST(last_words)
{
	const struct pm_route_used m = { 77, CLASS_BULK, 1000, 10 };
	struct ticket t = n[R].in.t;

	usage_used(n[R].u, NULL, &m);
	ck_assert_ptr_null(entry(R, n[S].id, CLASS_BULK));
	t.route_id = 77;
	usage_ended(n[R].u, &t);
	for (unsigned i = 0; i < 1023; i++) {
		t.route_id = 1000 + i;
		strcpy(t.tenant, "other");
		usage_ended(n[R].u, &t);
	}
	usage_used(n[R].u, NULL, &m);
	ck_assert_ptr_nonnull(entry(R, n[S].id, CLASS_BULK));
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->forth, 1000);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->back, 10);
	ck_assert_str_eq(entry(R, n[S].id, CLASS_BULK)->tenant, "home");
	usage_ended(n[R].u, &t);	/* one more than are kept */
	usage_used(n[R].u, NULL, &m);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->forth, 1000);
}
END_TEST

/* Both have signed what both have counted, once; and nothing is claimed where nothing passed. */
START_TEST(receipts)
{
	used(R, CLASS_BULK, 5000000, 100);
	used(S, CLASS_BULK, 5000000, 100);
	minute();
	ck_assert_int_eq(n[S].last, USAGE_OK);
	ck_assert_int_eq(n[R].last, USAGE_OK);
	ck_assert_uint_eq(entry(S, n[R].id, CLASS_BULK)->signed_bytes, 5000100);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->confirmed, 5000100);
	/* The answer again confirms nothing again. */
	ck_assert_int_eq(usage_message(n[R].u, n[S].id, kept, kept_len, wall), USAGE_E_MORE);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->confirmed, 5000100);
	n[S].messages = 0;
	minute();
	ck_assert_uint_eq(n[S].messages, 0);
	used(R, CLASS_BULK, 100, 0);
	minute();
	ck_assert_uint_eq(n[S].messages, 1);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->confirmed, 5000200);
}
END_TEST

/* What could not be sent, or was not signed as there was no key yet, is claimed with the next minute's, and once. */
START_TEST(claims_again)
{
	const struct usage_entry *e;

	used(R, CLASS_BULK, 5000000, 100);
	used(R, CLASS_DNS, 50, 0);
	used(S, CLASS_BULK, 5000000, 100);
	used(S, CLASS_DNS, 50, 0);
	n[S].away = true;
	minute();
	n[S].away = false;
	n[R].keyed = false;
	minute();
	n[R].keyed = true;
	ck_assert_uint_eq(n[S].messages, 0);
	e = entry(R, n[S].id, CLASS_BULK);
	ck_assert_uint_eq(e->confirmed, 0);
	ck_assert_uint_eq(e->claimed, 0);
	used(R, CLASS_BULK, 1, 0);
	minute();
	ck_assert_int_eq(n[S].last, USAGE_OK);
	ck_assert_uint_eq(e->confirmed, 5000101);
	ck_assert_uint_eq(e->claimed, 5000101);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_DNS)->confirmed, 50);
	ck_assert_uint_eq(n[S].messages, 1);
	minute();
	ck_assert_uint_eq(n[S].messages, 1);
}
END_TEST

/* A relay that claims more than passed gets no signature, beyond what clocks and counts may differ. */
START_TEST(claims_too_much)
{
	used(S, CLASS_BULK, 1000000, 0);
	used(R, CLASS_BULK, 1000000 + USAGE_SLACK, 0);
	minute();
	ck_assert_int_eq(n[S].last, USAGE_OK);
	used(R, CLASS_BULK, 100000, 0);
	minute();
	ck_assert_int_eq(n[S].last, USAGE_E_MORE);
	used(R, CLASS_DNS, 10, 0);	/* of which the other saw nothing at all */
	minute();
	ck_assert_int_eq(n[S].last, USAGE_E_MORE);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->confirmed, 1000000 + USAGE_SLACK);
}
END_TEST

static void
claim(void)
{
	n[S].deaf = true;
	used(R, CLASS_BULK, 1000, 0);
	used(S, CLASS_BULK, 1000, 0);
	minute();
	ck_assert_uint_gt(kept_len, 0);
}

START_TEST(refuses)
{
	struct sign_key other = n[S].route;

	claim();
	ck_assert_int_eq(usage_message(n[S].u, n[R].id, kept, kept_len - 1, wall), USAGE_E_FORM);
	ck_assert_int_eq(usage_message(n[S].u, n[S].id, kept, kept_len, wall), USAGE_E_ISSUER);
	kept[kept_len - 1] ^= 1;
	ck_assert_int_eq(usage_message(n[S].u, n[R].id, kept, kept_len, wall), USAGE_E_SIGNATURE);
	kept[kept_len - 1] ^= 1;
	ck_assert_int_eq(usage_message(n[S].u, n[R].id, kept, kept_len, wall + 3600), USAGE_E_TIME);
	ck_assert_int_eq(usage_message(n[S].u, n[R].id, kept, kept_len, wall - 600), USAGE_E_TIME);
	/* About another neighbour. */
	n[S].id[0] ^= 1;
	usage_self(n[S].u, n[S].id);
	ck_assert_int_eq(usage_message(n[S].u, n[R].id, kept, kept_len, wall), USAGE_E_ISSUER);
	n[S].id[0] ^= 1;
	usage_self(n[S].u, n[S].id);
	n[S].route = n[R].route;
	n[S].route = other;
	ck_assert_int_eq(usage_message(n[S].u, n[R].id, kept, kept_len, wall), USAGE_OK);
}
END_TEST

/* One kind in several lines, each of which would pass alone. */
START_TEST(claims_one_kind_twice)
{
	uint8_t content[256], raw[USAGE_RECEIPT_MAX];
	struct record r = { .kind = RECORD_RECEIPT, .subject = n[R].node.public, .serial = wall, .not_before = wall,
	    .not_after = wall + 60 };
	ssize_t len;

	used(S, CLASS_BULK, 5000000, 0);
	for (unsigned lines = 2; lines-- > 0;) {
		struct tlv_writer w;

		tlv_write_init(&w, content, sizeof(content));
		field_put_uint(&w, 1);
		field_put_raw(&w, n[S].id, NODE_ID_LEN);
		field_put_uint(&w, wall);
		field_put_uint(&w, wall);
		for (unsigned i = 0; i <= lines; i++) {
			field_put_bytes(&w, (struct frame_bytes){ (const uint8_t *)"home", 4 });
			field_put_uint(&w, CLASS_BULK);
			field_put_uint(&w, 5000000);
			field_put_uint(&w, 0);
		}
		r.content = (struct frame_bytes){ content, w.len };
		len = (ssize_t)record_sign(raw, sizeof(raw), &r, &n[R].route);
		ck_assert_int_gt(len, 0);
		ck_assert_int_eq(usage_message(n[S].u, n[R].id, raw, (size_t)len, wall), lines > 0 ? USAGE_E_FORM : USAGE_OK);
		ck_assert_uint_eq(entry(S, n[R].id, CLASS_BULK)->signed_bytes, lines > 0 ? 0 : 5000000);
	}
}
END_TEST

/* What was relayed, and the receipts, outlive the process; a file that is none is put aside. */
START_TEST(on_disk)
{
	FILE *f;

	used(R, CLASS_BULK, 5000000, 100);
	used(S, CLASS_BULK, 5000000, 100);
	minute();
	usage_save(n[R].u);
	usage_free(n[R].u);
	open_usage(R, true);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->forth, 5000000);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->back, 100);
	ck_assert_uint_eq(entry(R, n[S].id, CLASS_BULK)->confirmed, 5000100);
	usage_free(n[R].u);
	ck_assert_int_eq(system("rm -f " USAGE_FILE "*"), 0);
	f = fopen(USAGE_FILE, "w");
	ck_assert_ptr_nonnull(f);
	for (unsigned i = 0; i < 1000; i++)
		fputs("this is no database\n", f);
	fclose(f);
	open_usage(R, true);
	ck_assert_int_eq(access(USAGE_FILE ".bad", F_OK), 0);
	ck_assert_uint_eq(usage_count(n[R].u), 1);
}
END_TEST

/* More than there is room for is counted together. */
START_TEST(bounds)
{
	for (unsigned i = 0; i < USAGE_MAX + 100; i++) {
		snprintf(n[R].in.t.tenant, sizeof(n[R].in.t.tenant), "t%u", i);
		used(R, CLASS_BULK, 10, 0);
	}
	ck_assert_uint_eq(usage_count(n[R].u), USAGE_MAX);
	ck_assert_uint_gt(usage_get(n[R].u, 0)->forth, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("usage");
	TCase *tc = tcase_create("usage");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, counts);
	tcase_add_test(tc, last_words);
	tcase_add_test(tc, receipts);
	tcase_add_test(tc, claims_again);
	tcase_add_test(tc, claims_too_much);
	tcase_add_test(tc, refuses);
	tcase_add_test(tc, claims_one_kind_twice);
	tcase_add_test(tc, on_disk);
	tcase_add_test(tc, bounds);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
