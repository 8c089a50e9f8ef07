/* The known nodes on disk: they come back as they were, and what was tampered with does not. */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "known_world.h"
#include "suite.h"

#include "base/clock.h"
#include "base/log.h"
#include "routed/store.h"

#define FROM ((const uint8_t *)"neighbour-----------------------")

static struct knowns *ks;
static struct store *store;
static struct kw_node n[4];
static uint8_t self[NODE_ID_LEN] = { 0xee };
static uint8_t buf[RECORD_LARGE_MAX];
static char dir[] = "/tmp/check_known_store.XXXXXX";
static const uint8_t policy[] = { 1, 0, 0, 0, 0 };

static void
changed(struct known *k, enum known_change change, void *arg)
{
}

static void
signed_record(const struct record *r, const struct known *issuer, void *arg)
{
}

static const struct known_ops ops = { .changed = changed, .signed_record = signed_record };

static void
knowns_begin(const struct sign_key *authority)
{
	knowns_free(ks);
	ks = knowns_new(1000, 1, &ops, NULL);
	ck_assert_ptr_nonnull(ks);
	knowns_self(ks, self, authority->public, KW_TENANT);
}

static void
setup(void)
{
	static const uint32_t roles[] = { 1u << ROLE_RELAY, 1u << ROLE_SERVICE_HOST, 1u << ROLE_ROUTE_COORDINATOR,
	    1u << ROLE_MOBILE_EDGE };
	char name[8];

	log_setlevel(LOG_LEVEL_ERROR);
	kw_init();
	kw_wall = KW_NOW;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	ks = NULL;
	knowns_begin(&kw_authority);
	store_init();
	ck_assert_ptr_nonnull(store = store_new(STORE_FILE));
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		kw_node_init(&n[i], 10 + i, name, roles[i]);
		n[i].nservices = i % 3;
		ck_assert_int_eq(knowns_take(ks, kw_item(&n[i]), FROM, kw_wall, NULL), KNOWN_OK);
	}
}

static void
teardown(void)
{
	char command[64];

	store_free(store);
	knowns_free(ks);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static void
save(uint64_t serial)
{
	ck_assert_int_eq(store_save_known(store, ks, serial, true), 0);
}

/* A new routed. */
static uint64_t
restart(const struct sign_key *authority)
{
	uint8_t cursor[NODE_ID_LEN] = { 0 };
	uint64_t serial = 0;

	store_free(store);
	ck_assert_ptr_nonnull(store = store_new(STORE_FILE));
	knowns_begin(authority);
	ck_assert_int_eq(store_load_signed(store, ks, &serial, kw_wall), 0);
	ck_assert_int_eq(store_load_known(store, ks, cursor, kw_wall, UINT64_MAX), 0);
	return serial;
}

static void
say(enum record_kind kind, const void *content, size_t len, const struct sign_key *k)
{
	size_t size = kw_signed(buf, sizeof(buf), kind, 3, content, len, k);

	ck_assert_int_eq(knowns_take_signed(ks, buf, size, false, kw_wall), KNOWN_OK);
}

START_TEST(as_they_were)
{
	uint8_t before[PM_RECORDS_MAX], after[PM_RECORDS_MAX];
	uint64_t fences, sums[DIRMSG_BUCKETS];

	say(RECORD_POLICY, policy, sizeof(policy), &kw_authority);
	say(RECORD_REVOCATION, self, NODE_ID_LEN, &kw_authority);
	ck_assert_int_eq(knowns_take_signed(ks, buf, kw_fence(buf, sizeof(buf), 3, &n[2]), false, kw_wall), KNOWN_OK);
	fences = knowns_fences_sum(ks);
	for (unsigned i = 0; i < DIRMSG_BUCKETS; i++)
		sums[i] = knowns_bucket_sum(ks, i);
	save(77);
	ck_assert_uint_eq(restart(&kw_authority), 77);
	ck_assert_uint_eq(knowns_count(ks), 4);
	for (unsigned i = 0; i < 4; i++) {
		const struct known *k = known_find(ks, n[i].id);
		struct dirmsg_item item;

		ck_assert_ptr_nonnull(k);
		known_item(k, true, &item, after);
		ck_assert_uint_eq(item.record.len, n[i].item.record.len);
		ck_assert_mem_eq(item.record.p, n[i].item.record.p, item.record.len);
		ck_assert_uint_eq(item.services.len, n[i].item.services.len);
		memcpy(before, n[i].item.services.p, item.services.len);
		ck_assert(item.services.len == 0 || memcmp(before, after, item.services.len) == 0);
		ck_assert_uint_ne(k->ticket_end, 0);
	}
	for (unsigned i = 0; i < DIRMSG_BUCKETS; i++)
		ck_assert_uint_eq(knowns_bucket_sum(ks, i), sums[i]);
	ck_assert_uint_eq(knowns_policy(ks)->serial, 3);
	ck_assert(knowns_revoked(ks, self));
	ck_assert_uint_eq(knowns_fences_sum(ks), fences);
}
END_TEST

/* Only what differs is written, and what is gone leaves. */
START_TEST(what_is_written)
{
	uint64_t *commits = &stats->counter[STAT_ROUTED_STORE_COMMITS], before;

	save(1);
	before = *commits;
	save(1);
	ck_assert_uint_eq(*commits, before);
	ck_assert_int_eq(knowns_take(ks, kw_again(&n[1]), FROM, kw_wall, NULL), KNOWN_OK);
	save(1);
	ck_assert_uint_eq(*commits, before + 1);
	restart(&kw_authority);
	ck_assert_uint_eq(known_find(ks, n[1].id)->serial, n[1].n.serial);
	before = *commits;
	save(1);
	ck_assert_uint_eq(*commits, before);
	knowns_expire(ks, KW_NOW + KNOWN_LIFE_S);
	ck_assert_uint_eq(knowns_count(ks), 0);
	save(1);
	ck_assert_uint_eq(*commits, before + 1);
	restart(&kw_authority);
	ck_assert_uint_eq(knowns_count(ks), 0);
}
END_TEST

static int
count_rows(void *count, int columns, char **text, char **names)
{
	*(int *)count = atoi(text[0]);
	return 0;
}

static int
sql(const char *text)
{
	int count = -1;
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(STORE_FILE, &db), SQLITE_OK);
	ck_assert_msg(sqlite3_exec(db, text, count_rows, &count, NULL) == SQLITE_OK, "%s: %s", text, sqlite3_errmsg(db));
	sqlite3_close(db);
	return count;
}

static const struct { const char *what, *sql; size_t left; } bad[] = {
	{ "nothing", "SELECT 1", 4 },
	{ "a record without its last byte", "UPDATE known SET record = substr(record, 1, length(record) - 1)", 0 },
	{ "a membership of another", "UPDATE known SET membership = (SELECT membership FROM known LIMIT 1)", 1 },
	{ "a changed signature", "UPDATE known SET route = CAST(substr(route, 1, length(route) - 1) || x'00' AS BLOB)", 0 },
	{ "no services", "UPDATE known SET services = NULL", 2 },
	{ "no ticket key", "UPDATE known SET ticket = NULL", 4 },
	{ "a long record", "UPDATE known SET record = zeroblob(5000)", 0 },
	{ "a short id", "INSERT INTO known SELECT x'00', membership, route, ticket, record, services FROM known LIMIT 1", 4 },
};

START_TEST(tampered)
{
	save(1);
	store_free(store);
	store = NULL;
	sql(bad[_i].sql);
	restart(&kw_authority);
	ck_assert_msg(knowns_count(ks) == bad[_i].left, "%s: %zu", bad[_i].what, knowns_count(ks));
	store_free(store);
	store = NULL;
	/* What is not believed is there no more, but for what has no name. */
	ck_assert_int_eq(sql("SELECT count(*) FROM known WHERE length(node_id) = 32"), (int)bad[_i].left);
}
END_TEST

/* Time has gone by, or the node belongs to somebody else now. */
START_TEST(not_for_ever)
{
	save(1);
	kw_wall = KW_NOW + KNOWN_LIFE_S;
	restart(&kw_authority);
	ck_assert_uint_eq(knowns_count(ks), 0);
	kw_wall = KW_NOW;
	restart(&kw_authority);
	ck_assert_uint_eq(knowns_count(ks), 0);		/* it was taken away */
}
END_TEST

START_TEST(not_for_others)
{
	say(RECORD_POLICY, policy, sizeof(policy), &kw_authority);
	save(1);
	restart(&kw_stranger);
	ck_assert_uint_eq(knowns_count(ks), 0);
	ck_assert_ptr_null(knowns_policy(ks));
}
END_TEST

/* A policy outlives its time there. */
START_TEST(old_policy)
{
	say(RECORD_POLICY, policy, sizeof(policy), &kw_authority);
	save(1);
	kw_wall = KW_NOW + 2 * 86400;
	restart(&kw_authority);
	ck_assert_ptr_nonnull(knowns_policy(ks));
}
END_TEST

/* Piece by piece, while newer ones come from neighbours. */
START_TEST(a_moment_at_a_time)
{
	static struct kw_node m;
	uint8_t cursor[NODE_ID_LEN] = { 0 };
	unsigned rounds = 1;
	char name[8];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		kw_node_init(&m, 1000 + i, name, 1u << ROLE_RELAY);
		ck_assert_int_eq(knowns_take(ks, kw_item(&m), FROM, kw_wall, NULL), KNOWN_OK);
	}
	save(1);
	knowns_begin(&kw_authority);
	ck_assert_int_eq(knowns_take(ks, kw_again(&n[0]), FROM, kw_wall, NULL), KNOWN_OK);
	while (store_load_known(store, ks, cursor, kw_wall, 0) == 1)
		rounds++;
	ck_assert_uint_gt(rounds, 5);
	ck_assert_uint_eq(knowns_count(ks), 204);
	ck_assert_uint_eq(known_find(ks, n[0].id)->serial, n[0].n.serial);
	store_free(store);
	store = NULL;
	ck_assert_int_eq(sql("SELECT count(*) FROM known"), 204);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("known_store");
	TCase *tc = tcase_create("known_store");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, as_they_were);
	tcase_add_test(tc, what_is_written);
	tcase_add_loop_test(tc, tampered, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, not_for_ever);
	tcase_add_test(tc, not_for_others);
	tcase_add_test(tc, old_policy);
	tcase_add_test(tc, a_moment_at_a_time);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
