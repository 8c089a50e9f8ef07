#include "routed/leasestore.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define BUSY_MS 200

enum statement {
	GET_EPOCH, PUT_EPOCH, BEGIN, COMMIT, ROLLBACK, PUT_LEASE, GET_LEASES, PUT_FENCE, GET_FENCES, OLD_LEASES, OLD_FENCES,
	MANY_LEASES, MANY_FENCES,
	STATEMENT_COUNT
};

static const char *const sql[STATEMENT_COUNT] = {
	[GET_EPOCH] = "SELECT upto FROM epoch",
	[PUT_EPOCH] = "INSERT INTO epoch VALUES (0, ?) ON CONFLICT (id) DO UPDATE SET upto = max(upto, excluded.upto)",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[PUT_LEASE] = "INSERT OR REPLACE INTO lease VALUES (?,?,?,?)",
	[GET_LEASES] = "SELECT route_id, epoch, hard, nodes FROM lease WHERE hard > ?",
	[PUT_FENCE] = "INSERT OR REPLACE INTO fence VALUES (?,?,?)",
	[GET_FENCES] = "SELECT record FROM fence WHERE until > ? ORDER BY until DESC, number DESC LIMIT ?",
	[OLD_LEASES] = "DELETE FROM lease WHERE hard <= ?",
	[OLD_FENCES] = "DELETE FROM fence WHERE until <= ?",
	[MANY_LEASES] = "DELETE FROM lease WHERE route_id IN (SELECT route_id FROM lease ORDER BY hard DESC LIMIT -1 OFFSET ?)",
	[MANY_FENCES] = "DELETE FROM fence WHERE number IN (SELECT number FROM fence ORDER BY until DESC LIMIT -1 OFFSET ?)",
};

static const char schema[] =
    "CREATE TABLE epoch (id INTEGER PRIMARY KEY CHECK (id = 0), upto INTEGER NOT NULL);"
    "CREATE TABLE lease (route_id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, hard INTEGER NOT NULL, nodes BLOB NOT NULL);"
    "CREATE TABLE fence (number INTEGER PRIMARY KEY, until INTEGER NOT NULL, record BLOB NOT NULL);"
    "CREATE INDEX lease_hard ON lease (hard);";

/* As in store.c: the log locked for good, synced at checkpoints only. What a power cut loses the time makes good. */
static const char settings[] =
    "PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = NORMAL;"
    "PRAGMA wal_autocheckpoint = 64;"
    "PRAGMA journal_size_limit = 524288;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA mmap_size = 0;"
    "PRAGMA cache_size = -1024;"
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA cell_size_check = ON;";

struct sqlite_store {
	struct leasestore s;		/* first */
	const char	*path;
	sqlite3		*db;
	sqlite3_stmt	*st[STATEMENT_COUNT];
	bool		 warned;
};

static void
db_close(struct sqlite_store *d)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(d->st[i]);
		d->st[i] = NULL;
	}
	sqlite3_close(d->db);
	d->db = NULL;
}

static int
complain(struct sqlite_store *d, const char *what)
{
	if (!d->warned)
		log_warnx("lease database: %s: %s: goes on in memory", what, d->db != NULL ? sqlite3_errmsg(d->db) : "not open");
	d->warned = true;
	return -1;
}

static int
run(struct sqlite_store *d, const char *text)
{
	return sqlite3_exec(d->db, text, NULL, NULL, NULL);
}

static int64_t
pragma(struct sqlite_store *d, const char *text)
{
	sqlite3_stmt *st;
	int64_t v = -1;

	if (sqlite3_prepare_v2(d->db, text, -1, &st, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(st) == SQLITE_ROW)
		v = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return v;
}

/* True: it is ours, or empty and now ours. */
static bool
schema_good(struct sqlite_store *d)
{
	char text[sizeof(schema) + 128];

	if (pragma(d, "SELECT count(*) FROM sqlite_schema") == 0) {
		snprintf(text, sizeof(text), "BEGIN IMMEDIATE; %s PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
		    schema, LEASESTORE_SCHEMA, LEASESTORE_APP_ID);
		return run(d, text) == SQLITE_OK;
	}
	return pragma(d, "PRAGMA user_version") == LEASESTORE_SCHEMA && pragma(d, "PRAGMA application_id") == LEASESTORE_APP_ID;
}

static bool
prepare(struct sqlite_store *d)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v3(d->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &d->st[i], NULL) != SQLITE_OK)
			return false;
	return true;
}

static int
db_open(struct sqlite_store *d, bool *bad)
{
	int rc;

	*bad = false;
	if (sqlite3_open_v2(d->path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
	    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
		return -1;
	sqlite3_busy_timeout(d->db, BUSY_MS);
	rc = run(d, settings) & 0xff;
	if (rc != SQLITE_OK) {
		*bad = rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
		return -1;
	}
	if (schema_good(d) && prepare(d))
		return 0;
	rc = sqlite3_errcode(d->db) & 0xff;
	*bad = rc != SQLITE_BUSY && rc != SQLITE_LOCKED && rc != SQLITE_FULL && rc != SQLITE_IOERR && rc != SQLITE_NOMEM;
	return -1;
}

/* The log goes with its database. */
static void
move_aside(struct sqlite_store *d)
{
	char aside[256], wal[300], wal_aside[300];

	snprintf(aside, sizeof(aside), "%s.bad", d->path);
	snprintf(wal, sizeof(wal), "%s-wal", d->path);
	snprintf(wal_aside, sizeof(wal_aside), "%s-wal", aside);
	if (rename(d->path, aside) == -1)
		return;
	if (rename(wal, wal_aside) == -1 && errno != ENOENT)
		unlink(wal);
	log_warnx("lease database: it is not one of this release: moved aside to %s, a new one is begun", aside);
}

static int
opened(struct sqlite_store *d)
{
	bool bad;

	if (d->db != NULL)
		return 0;
	if (db_open(d, &bad) == -1 && bad) {
		db_close(d);
		move_aside(d);
		db_open(d, &bad);
	}
	if (d->st[STATEMENT_COUNT - 1] == NULL) {
		complain(d, "cannot open");
		db_close(d);
		return -1;
	}
	d->warned = false;
	return 0;
}

/* The statement with its first number bound; NULL: the file is not open. */
static sqlite3_stmt *
ask(struct leasestore *s, enum statement which, uint64_t v)
{
	struct sqlite_store *d = (struct sqlite_store *)s;

	if (opened(d) == -1)
		return NULL;
	sqlite3_reset(d->st[which]);
	sqlite3_bind_int64(d->st[which], 1, (sqlite3_int64)v);
	return d->st[which];
}

static int
finish(struct leasestore *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : complain((struct sqlite_store *)s, "cannot write");
}

static int
simple(struct leasestore *s, enum statement which, uint64_t v)
{
	sqlite3_stmt *st = ask(s, which, v);

	return st == NULL ? -1 : finish(s, st);
}

static int
epoch_get(struct leasestore *s, uint64_t *upto)
{
	sqlite3_stmt *st = ask(s, GET_EPOCH, 0);
	int rc;

	*upto = 0;
	if (st == NULL)
		return -1;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW && sqlite3_column_int64(st, 0) > 0)
		*upto = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : complain((struct sqlite_store *)s, "cannot read");
}

static int
epoch_put(struct leasestore *s, uint64_t upto)
{
	return simple(s, PUT_EPOCH, upto);
}

static int
begin(struct leasestore *s)
{
	return simple(s, BEGIN, 0);
}

static int
commit(struct leasestore *s)
{
	if (simple(s, COMMIT, 0) == 0)
		return 0;
	simple(s, ROLLBACK, 0);
	return -1;
}

static int
lease_put(struct leasestore *s, const struct lease_out *l)
{
	sqlite3_stmt *st = ask(s, PUT_LEASE, l->route_id);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 2, (sqlite3_int64)l->epoch);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)l->hard);
	sqlite3_bind_blob(st, 4, l->nodes, l->n * NODE_ID_LEN, SQLITE_TRANSIENT);
	return finish(s, st);
}

/* What stands there is checked like anything that comes from outside. */
static int
leases(struct leasestore *s, uint64_t now, void (*fn)(const struct lease_out *, void *), void *arg)
{
	sqlite3_stmt *st = ask(s, GET_LEASES, now);
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct lease_out l = { .route_id = (uint64_t)sqlite3_column_int64(st, 0),
		    .epoch = (uint64_t)sqlite3_column_int64(st, 1), .hard = (uint64_t)sqlite3_column_int64(st, 2) };
		const void *p = sqlite3_column_blob(st, 3);
		size_t len = (size_t)sqlite3_column_bytes(st, 3);

		if (p == NULL || len % NODE_ID_LEN != 0 || len < 2 * NODE_ID_LEN || len > sizeof(l.nodes))
			continue;
		l.n = (uint8_t)(len / NODE_ID_LEN);
		memcpy(l.nodes, p, len);
		fn(&l, arg);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : complain((struct sqlite_store *)s, "cannot read");
}

static int
fence_put(struct leasestore *s, uint64_t number, uint64_t until, const uint8_t *record, size_t len)
{
	sqlite3_stmt *st = ask(s, PUT_FENCE, number);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 2, (sqlite3_int64)until);
	sqlite3_bind_blob(st, 3, record, (int)len, SQLITE_TRANSIENT);
	return finish(s, st);
}

static int
fences(struct leasestore *s, uint64_t now, unsigned max, void (*fn)(const uint8_t *, size_t, void *), void *arg)
{
	sqlite3_stmt *st = ask(s, GET_FENCES, now);
	int rc;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 2, max);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const uint8_t *p = sqlite3_column_blob(st, 0);
		size_t len = (size_t)sqlite3_column_bytes(st, 0);

		if (p != NULL && len <= FRAME_RECORD_MAX)
			fn(p, len, arg);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : complain((struct sqlite_store *)s, "cannot read");
}

static int
expire(struct leasestore *s, uint64_t now)
{
	int rv = 0;

	rv |= simple(s, OLD_LEASES, now);
	rv |= simple(s, OLD_FENCES, now);
	rv |= simple(s, MANY_LEASES, LEASESTORE_MAX);
	rv |= simple(s, MANY_FENCES, LEASESTORE_MAX);
	return rv;
}

static void
sqlite_free(struct leasestore *s)
{
	db_close((struct sqlite_store *)s);
	free(s);
}

static const struct leasestore_ops sqlite_ops = {
	epoch_get, epoch_put, begin, commit, lease_put, leases, fence_put, fences, expire, sqlite_free,
};

struct leasestore *
leasestore_sqlite(const char *path)
{
	struct sqlite_store *d = calloc(1, sizeof(*d));
	char wal[256];
	struct stat st;

	if (d == NULL)
		return NULL;
	d->s.ops = &sqlite_ops;
	d->path = path;
	snprintf(wal, sizeof(wal), "%s-wal", path);
	if (stat(wal, &st) == 0)	/* not access(2), which routed may not call */
		opened(d);
	return &d->s;
}
