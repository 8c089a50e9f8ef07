/* routed: what it keeps on disk, and what becomes of that. */
#include "fake_routed.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* A new routed over what the one before left. */
static void
restart(void)
{
	fk.worker.ops->drain(&fk.worker, 0);
	fake_stop(&fk);
	fake_start(&fk, &routed_ops);
}

static bool
exists(const char *name)
{
	struct stat st;

	return stat(name, &st) == 0;
}

START_TEST(directory_outlives_routed)
{
	struct procmsg stat = fake_peer_stat(1, 7000, 1100, 20, 0), failed = dial_failed(1, fake_addr(1, 4433), REASON_TIMEOUT);
	struct procmsg down = peer_down(1, REASON_SHUTDOWN);
	struct peer before, *after;

	bring_up();
	fake_tell(&fk, &stat);
	fake_tell(&fk, &down);
	fake_tell(&fk, &failed);
	before = *peer(1);
	restart();
	after = peer(1);
	ck_assert_ptr_nonnull(after);
	ck_assert(!after->configured && !after->session.up);
	ck_assert_uint_eq(after->quality.srtt_us, before.quality.srtt_us);
	ck_assert_uint_eq(after->quality.min_us, before.quality.min_us);
	ck_assert_uint_eq(after->quality.loss_permille, before.quality.loss_permille);
	ck_assert_uint_gt(after->quality.loss_permille, 0);
	ck_assert_uint_eq(after->last_seen, before.last_seen);
	ck_assert_uint_eq(after->first_seen, before.first_seen);
	ck_assert_uint_eq(after->down_reason, before.down_reason);
	ck_assert_str_eq(after->member.name, "home-1");
	ck_assert_str_eq(after->member.tenant, "home");
	ck_assert_uint_eq(after->member.tier, 3);
	ck_assert_uint_eq(after->naddrs, 1);	/* where it was; what was only configured comes from the configuration */
	ck_assert(peer_addr_equal(&after->addrs[0].addr, &before.addrs[0].addr));
	ck_assert(after->addrs[0].learned && !after->addrs[0].configured);
	ck_assert_uint_eq(after->addrs[0].failures, 1);
	ck_assert_uint_eq(after->addrs[0].last_ok, before.addrs[0].last_ok);
	ck_assert_ptr_null(peer(2));	/* it was never seen */
	configure_two();
	ck_assert_uint_eq(peer(1)->naddrs, 2);
	ck_assert_str_eq(peer_name(peer(2)), "phone-a");
}
END_TEST

/* A remembered address of a peer that has none in the configuration is dialled after the restart. */
START_TEST(remembered_address_is_a_target)
{
	struct procmsg up = fake_peer_up(2, "phone-a", fake_addr(77, 5000));

	configure_two();
	new_port();
	fake_tell(&fk, &up);
	restart();
	configure_two();
	new_port();
	ck_assert(told[2].dial && has_addr(2, fake_addr(77, 5000)));
}
END_TEST

static int
count_rows(void *n, int columns, char **text, char **names)
{
	*(int *)n = atoi(text[0]);
	return 0;
}

/* What was only configured is not left behind when it is configured no more. */
START_TEST(only_the_seen_stay_on_disk)
{
	sqlite3 *db;
	int n = -1;

	bring_up();
	restart();
	fk.worker.ops->drain(&fk.worker, 0);
	ck_assert_int_eq(sqlite3_open("directory.db", &db), SQLITE_OK);
	sqlite3_exec(db, "SELECT count(*) FROM peer", count_rows, &n, NULL);
	ck_assert_int_eq(n, 1);
	sqlite3_exec(db, "SELECT count(*) FROM prefix", count_rows, &n, NULL);
	ck_assert_int_eq(n, 0);
	sqlite3_close(db);
}
END_TEST

START_TEST(forgotten_is_gone_from_disk)
{
	struct procmsg up = fake_peer_up(9, "guest", fake_addr(9, 9)), down = peer_down(9, REASON_SHUTDOWN);
	struct directory *d = routed()->dir;

	ck_assert_int_eq(directory_peer_up(d, &up.peer_up, 1, clock_wall()), 0);
	directory_peer_down(d, &down.peer_down);
	ck_assert_int_eq(store_save(routed()->store, d, true), 0);
	directory_expire(d, clock_wall() + 2 * PEER_FORGET_S);
	ck_assert_ptr_null(peer(9));
	ck_assert_int_eq(store_save(routed()->store, d, false), 0);
	restart();
	ck_assert_ptr_null(peer(9));
}
END_TEST

/* A measurement alone is written now and then, anything else at the next tick. */
START_TEST(what_is_written_when)
{
	struct procmsg stat = fake_peer_stat(1, 1000, 200, 0, 0), down = peer_down(1, REASON_SHUTDOWN);
	uint64_t *commits = &stats->counter[STAT_ROUTED_STORE_COMMITS];

	bring_up();
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, false), 0);
	ck_assert_uint_eq(*commits, 1);
	fake_tell(&fk, &stat);
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, false), 0);
	ck_assert_uint_eq(*commits, 1);
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, true), 0);
	ck_assert_uint_eq(*commits, 2);
	fake_tell(&fk, &stat);
	fake_tell(&fk, &down);
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, false), 0);
	ck_assert_uint_eq(*commits, 3);
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, true), 0);
	ck_assert_uint_eq(*commits, 3);
}
END_TEST

static void
sql(const char *text)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open("directory.db", &db), SQLITE_OK);
	ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void
overwrite(off_t at, const char *bytes, size_t len)
{
	int fd = open("directory.db", O_RDWR | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, len, at), (ssize_t)len);
	close(fd);
}

/* Not readable as what it should be: moved aside, a new one begun, and the old one is still there to be looked at. */
static const struct { const char *what, *sql, *bytes, *aside; off_t at; } bad_files[] = {
	{ "no database", NULL, "this is not a database, whatever its name says of it", "directory.db.bad", 0 },
	{ "a broken page", NULL, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "directory.db.bad", 4096 },
	{ "a broken schema page", NULL, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "directory.db.bad", 100 },
	{ "a newer schema", "PRAGMA user_version = 4", NULL, "directory.db.newer", 0 },
	{ "an older schema", "PRAGMA user_version = -1", NULL, "directory.db.bad", 0 },
	{ "another program's", "PRAGMA application_id = 7", NULL, "directory.db.bad", 0 },
	{ "a table is missing", "DROP TABLE address", NULL, "directory.db.bad", 0 },
	{ "a column is missing", "ALTER TABLE peer DROP COLUMN rtt_us", NULL, "directory.db.bad", 0 },
	{ "no version", "PRAGMA user_version = 0", NULL, "directory.db.bad", 0 },
};

START_TEST(bad_file_is_moved_aside)
{
	bring_up();
	fk.worker.ops->drain(&fk.worker, 0);
	if (bad_files[_i].sql != NULL)
		sql(bad_files[_i].sql);
	else
		overwrite(bad_files[_i].at, bad_files[_i].bytes, strlen(bad_files[_i].bytes));
	fake_stop(&fk);
	fake_start(&fk, &routed_ops);
	ck_assert_msg(exists(bad_files[_i].aside), "%s", bad_files[_i].what);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_STORE_MOVED], 1);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_STORE_OPEN], 1);
	ck_assert_uint_eq(routed()->dir->npeers, 0);
	bring_up();
	restart();
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_STORE_MOVED], 0);
	ck_assert_ptr_nonnull(peer(1));
}
END_TEST

/* Rows that make no sense are left out, the others stay. */
static const struct { const char *what, *sql; size_t peers, addrs; } bad_rows[] = {
	{ "nothing", "SELECT 1", 1, 1 },
	{ "a short id", "INSERT INTO peer SELECT x'0102', name, configured, membership, 1, 1, 1, 1, 1, 1 FROM peer"
	    " WHERE membership IS NOT NULL", 1, 1 },
	{ "no membership", "UPDATE peer SET membership = NULL", 0, 0 },
	{ "a membership cut short", "UPDATE peer SET membership = x'4652'", 0, 0 },
	{ "a membership less its last byte", "UPDATE peer SET membership = substr(membership, 1, length(membership) - 1)", 0, 0 },
	{ "a membership of text", "UPDATE peer SET membership = 'hello'", 0, 0 },
	{ "negative numbers", "UPDATE peer SET rtt_us = -5, loss_permille = 5000", 1, 1 },
	{ "family 5", "UPDATE address SET family = 5", 1, 0 },
	{ "an address of the other family", "UPDATE address SET family = 6", 1, 0 },
	{ "a long address", "UPDATE address SET addr = zeroblob(17)", 1, 0 },
	{ "port 0", "UPDATE address SET port = 0", 1, 0 },
	{ "nobody's address", "UPDATE address SET node_id = zeroblob(32)", 1, 0 },
};

START_TEST(bad_rows_are_left_out)
{
	bring_up();
	fk.worker.ops->drain(&fk.worker, 0);
	sql(bad_rows[_i].sql);
	fake_stop(&fk);
	fake_start(&fk, &routed_ops);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_STORE_MOVED], 0);
	ck_assert_msg(routed()->dir->npeers == bad_rows[_i].peers, "%s: %zu", bad_rows[_i].what, routed()->dir->npeers);
	if (bad_rows[_i].peers == 0)
		return;
	ck_assert_uint_eq(routed()->dir->peers[0]->naddrs, bad_rows[_i].addrs);
	ck_assert_uint_le(routed()->dir->peers[0]->quality.loss_permille, 1000);
	configure_two();
	fake_request(&fk, "peers", "", 0);
	fake_run(&fk);
}
END_TEST

/* A disk that takes nothing more (here: a limit on the file's size): on in memory, counted, written when it can be. */
START_TEST(a_full_disk_is_borne)
{
	struct rlimit none, full = { 0, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &none), 0);
	full.rlim_max = none.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
	bring_up();
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, true), -1);
	ck_assert_uint_ge(stats->counter[STAT_ROUTED_STORE_ERRORS], 1);
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, true), -1);
	ck_assert_int_eq(peer_state(routed()->dir, peer(1), clock_ns()), PEER_STATE_UP);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, true), 0);
	restart();
	ck_assert_ptr_nonnull(peer(1));
}
END_TEST

/* No directory to write in at all. */
START_TEST(no_disk_is_borne)
{
	fk.worker.ops->drain(&fk.worker, 0);
	fake_stop(&fk);
	ck_assert_int_eq(unlink("directory.db"), 0);
	ck_assert_int_eq(mkdir("directory.db", 0700), 0);
	fake_start(&fk, &routed_ops);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_STORE_OPEN], 0);
	bring_up();
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, true), -1);
	ck_assert_int_eq(rmdir("directory.db"), 0);
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, true), 0);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_STORE_OPEN], 1);
}
END_TEST

START_TEST(killed_without_warning)
{
	bring_up();
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, true), 0);
	/* As after kill -9: the log is not folded in. A copy is what the next one finds. */
	ck_assert_int_eq(system("mkdir left && cp directory.db* left/"), 0);
	ck_assert(exists("left/directory.db-wal"));
	ck_assert_int_eq(chdir("left"), 0);
	fake_stop(&fk);
	fake_start(&fk, &routed_ops);
	ck_assert_ptr_nonnull(peer(1));
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_STORE_MOVED], 0);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, directory_outlives_routed);
	tcase_add_test(tc, remembered_address_is_a_target);
	tcase_add_test(tc, only_the_seen_stay_on_disk);
	tcase_add_test(tc, forgotten_is_gone_from_disk);
	tcase_add_test(tc, what_is_written_when);
	tcase_add_loop_test(tc, bad_file_is_moved_aside, 0, N(bad_files));
	tcase_add_loop_test(tc, bad_rows_are_left_out, 0, N(bad_rows));
	tcase_add_test(tc, a_full_disk_is_borne);
	tcase_add_test(tc, no_disk_is_borne);
	tcase_add_test(tc, killed_without_warning);
}

int
main(void)
{
	return run_suite("store", add_tests);
}
