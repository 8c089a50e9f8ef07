/*
 * What was relayed, on disk, and which routes are held: a database of its own, since unlike the directory's it cannot be
 * learned again.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "proc/stats.h"
#include "routed/usage.h"
#include "wire/fields.h"
#include "wire/varint.h"

#define USAGE_SCHEMA	1
#define USAGE_APP_ID	0x46414255	/* "FABU" */
#define BUSY_MS		200

enum statement { PUT_ENTRY, GET_ENTRIES, PUT_RECEIPT, PUT_ANSWER, TRIM, CLEAR_HELD, PUT_HELD, GET_HELD,
	STATEMENT_COUNT };

static const char *const sql[STATEMENT_COUNT] = {
	[PUT_ENTRY] = "INSERT OR REPLACE INTO relayed VALUES (?,?,?,?,?,?)",
	[GET_ENTRIES] = "SELECT neighbour, tenant, class, forth, back, confirmed FROM relayed",
	[PUT_RECEIPT] = "INSERT OR IGNORE INTO receipt (hash, neighbour, begins, ends, claim, answer) VALUES (?,?,?,?,?,?)",
	[PUT_ANSWER] = "UPDATE receipt SET answer = ? WHERE hash = ?",
	[CLEAR_HELD] = "DELETE FROM held",
	[PUT_HELD] = "INSERT INTO held (route_id, epoch, hard, classes, nodes) VALUES (?,?,?,?,?)",
	[GET_HELD] = "SELECT route_id, epoch, hard, classes, nodes FROM held ORDER BY place",
	[TRIM] = "DELETE FROM receipt WHERE id <= (SELECT max(id) FROM receipt) - ?",
};

static const char settings[] =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "PRAGMA wal_autocheckpoint = 64; PRAGMA journal_size_limit = 524288; PRAGMA temp_store = MEMORY;"
    "PRAGMA mmap_size = 0; PRAGMA cache_size = -512; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;";

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS relayed ("
    " neighbour BLOB NOT NULL, tenant TEXT NOT NULL, class INTEGER NOT NULL,"
    " forth INTEGER NOT NULL, back INTEGER NOT NULL, confirmed INTEGER NOT NULL,"
    " PRIMARY KEY (neighbour, tenant, class)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS receipt ("
    " id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, neighbour BLOB NOT NULL,"
    " begins INTEGER NOT NULL, ends INTEGER NOT NULL, claim BLOB NOT NULL, answer BLOB);"
    "CREATE TABLE IF NOT EXISTS held ("
    " place INTEGER PRIMARY KEY, route_id INTEGER NOT NULL, epoch INTEGER NOT NULL, hard INTEGER NOT NULL,"
    " classes INTEGER NOT NULL, nodes BLOB NOT NULL);";

struct usage_store {
	sqlite3		*db;
	sqlite3_stmt	*st[STATEMENT_COUNT];
};

void
usage_store_close(struct usage_store *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(s->st[i]);
	sqlite3_close(s->db);
	free(s);
}

static int
user_version(sqlite3 *db)
{
	sqlite3_stmt *st;
	int v = -1;

	if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(st) == SQLITE_ROW)
		v = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return v;
}

static bool
prepare(struct usage_store *s, const char *path)
{
	char text[sizeof(schema) + 96];
	int v;

	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
	    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
		return false;
	sqlite3_busy_timeout(s->db, BUSY_MS);
	sqlite3_snprintf(sizeof(text), text, "BEGIN IMMEDIATE; %s PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
	    schema, USAGE_SCHEMA, USAGE_APP_ID);
	if (sqlite3_exec(s->db, settings, NULL, NULL, NULL) != SQLITE_OK || (v = user_version(s->db)) < 0 || v > USAGE_SCHEMA ||
	    (v == 0 && sqlite3_exec(s->db, text, NULL, NULL, NULL) != SQLITE_OK))
		return false;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL) != SQLITE_OK)
			return false;
	return true;
}

/* One that is not of this program, or corrupt, is moved aside, once; what it held is for people to look at. */
struct usage_store *
usage_store_open(const char *path)
{
	char bad[256], wal[256];

	for (int i = 0; i < 2; i++) {
		struct usage_store *s = calloc(1, sizeof(*s));

		if (s == NULL)
			return NULL;
		if (prepare(s, path))
			return s;
		log_warnx("usage database: %s", s->db == NULL ? "no memory" : sqlite3_errmsg(s->db));
		usage_store_close(s);
		sqlite3_snprintf(sizeof(bad), bad, "%s.bad", path);
		sqlite3_snprintf(sizeof(wal), wal, "%s-wal", path);
		if (rename(path, bad) == -1)
			break;
		unlink(wal);
	}
	STAT_INC(ROUTED_USAGE_ERRORS);
	return NULL;
}

static uint64_t
column_uint(sqlite3_stmt *st, int col)
{
	int64_t v = sqlite3_column_int64(st, col);

	return v < 0 ? 0 : (uint64_t)v;
}

static bool
read_entry(sqlite3_stmt *st, struct usage_entry *e)
{
	const uint8_t *id = sqlite3_column_blob(st, 0);
	const uint8_t *tenant = sqlite3_column_text(st, 1);
	size_t len = (size_t)sqlite3_column_bytes(st, 1);

	memset(e, 0, sizeof(*e));
	if (id == NULL || sqlite3_column_bytes(st, 0) != NODE_ID_LEN || tenant == NULL || column_uint(st, 2) > CLASS_COUNT ||
	    (len > 0 && !text_name(tenant, len, RECORD_TENANT_MAX, true)))
		return false;
	memcpy(e->neighbour, id, NODE_ID_LEN);
	memcpy(e->tenant, tenant, len);
	e->class = (uint8_t)column_uint(st, 2);
	e->forth = column_uint(st, 3);
	e->back = column_uint(st, 4);
	e->confirmed = column_uint(st, 5);
	return true;
}

void
usage_store_load(struct usage_store *s, void (*fn)(const struct usage_entry *, void *), void *arg)
{
	sqlite3_stmt *st = s->st[GET_ENTRIES];
	struct usage_entry e;

	while (sqlite3_step(st) == SQLITE_ROW)
		if (read_entry(st, &e))
			fn(&e, arg);
	sqlite3_reset(st);
}

static int
step(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

int
usage_store_begin(struct usage_store *s)
{
	return sqlite3_exec(s->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

int
usage_store_commit(struct usage_store *s)
{
	sqlite3_bind_int64(s->st[TRIM], 1, USAGE_KEEP);
	step(s->st[TRIM]);
	if (sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

int
usage_store_entry(struct usage_store *s, const struct usage_entry *e)
{
	sqlite3_stmt *st = s->st[PUT_ENTRY];

	sqlite3_bind_blob(st, 1, e->neighbour, NODE_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, e->tenant, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, e->class);
	sqlite3_bind_int64(st, 4, (sqlite3_int64)e->forth);
	sqlite3_bind_int64(st, 5, (sqlite3_int64)e->back);
	sqlite3_bind_int64(st, 6, (sqlite3_int64)e->confirmed);
	return step(st);
}

int
usage_store_receipt(struct usage_store *s, const uint8_t hash[HASH_LEN], const uint8_t *neighbour, uint64_t from, uint64_t to,
    struct frame_bytes claim, struct frame_bytes answer)
{
	sqlite3_stmt *st = s->st[PUT_RECEIPT];

	sqlite3_bind_blob(st, 1, hash, HASH_LEN, SQLITE_STATIC);
	sqlite3_bind_blob(st, 2, neighbour, NODE_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)from);
	sqlite3_bind_int64(st, 4, (sqlite3_int64)to);
	sqlite3_bind_blob(st, 5, claim.p, (int)claim.len, SQLITE_STATIC);
	if (answer.len > 0)
		sqlite3_bind_blob(st, 6, answer.p, (int)answer.len, SQLITE_STATIC);
	if (step(st) == -1)
		return -1;
	if (answer.len == 0 || sqlite3_changes(s->db) > 0)
		return 0;
	st = s->st[PUT_ANSWER];
	sqlite3_bind_blob(st, 1, answer.p, (int)answer.len, SQLITE_STATIC);
	sqlite3_bind_blob(st, 2, hash, HASH_LEN, SQLITE_STATIC);
	return step(st);
}

int
usage_store_clear_held(struct usage_store *s)
{
	return step(s->st[CLEAR_HELD]);
}

int
usage_store_held(struct usage_store *s, const struct lease *l)
{
	sqlite3_stmt *st = s->st[PUT_HELD];

	sqlite3_bind_int64(st, 1, (sqlite3_int64)l->route_id);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)l->epoch);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)l->hard);
	sqlite3_bind_int64(st, 4, l->classes);
	sqlite3_bind_blob(st, 5, l->nodes, (int)(l->n * sizeof(l->nodes[0])), SQLITE_STATIC);
	return step(st);
}

static bool
read_held(sqlite3_stmt *st, struct lease *l)
{
	const uint8_t *nodes = sqlite3_column_blob(st, 4);
	size_t len = (size_t)sqlite3_column_bytes(st, 4);

	memset(l, 0, sizeof(*l));
	l->route_id = column_uint(st, 0);
	l->epoch = column_uint(st, 1);
	l->hard = l->soft = column_uint(st, 2);
	l->classes = (uint8_t)(column_uint(st, 3) & ((1u << CLASS_COUNT) - 1));
	if (nodes == NULL || len % NODE_ID_LEN != 0 || len < 3 * NODE_ID_LEN || len > sizeof(l->nodes) || l->route_id == 0 ||
	    l->route_id > VARINT_MAX || l->epoch > VARINT_MAX || l->hard > RECORD_TIME_MAX || l->classes == 0)
		return false;
	l->n = (uint8_t)(len / NODE_ID_LEN);
	memcpy(l->nodes, nodes, len);
	return true;
}

void
usage_store_load_held(struct usage_store *s, void (*fn)(const struct lease *, void *), void *arg)
{
	sqlite3_stmt *st = s->st[GET_HELD];
	struct lease l;

	while (sqlite3_step(st) == SQLITE_ROW)
		if (read_held(st, &l))
			fn(&l, arg);
	sqlite3_reset(st);
}
