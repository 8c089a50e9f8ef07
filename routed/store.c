#include "routed/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/stats.h"
#include "routed/store_int.h"
#include "wire/varint.h"

#define HEAP_MAX	(8 * 1024 * 1024)
#define BUSY_MS		200	/* the routed before this one may not be gone yet */

static const char *const sql[STATEMENT_COUNT] = {
	[PUT_PEER] = "INSERT OR REPLACE INTO peer VALUES (?,?,?,?,?,?,?,?,?,?)",
	[DEL_PEER] = "DELETE FROM peer WHERE node_id = ?",
	[DEL_ADDRS] = "DELETE FROM address WHERE node_id = ?",
	[PUT_ADDR] = "INSERT INTO address VALUES (?,?,?,?,?,?,?,?)",
	[DEL_PREFIXES] = "DELETE FROM prefix WHERE node_id = ?",
	[PUT_PREFIX] = "INSERT OR IGNORE INTO prefix VALUES (?,?,?,?)",
	[GET_PEERS] = ("SELECT node_id, membership, first_seen, last_seen, down_reason, rtt_us, rtt_min_us,"
	    " loss_permille FROM peer WHERE membership IS NOT NULL"),
	[DEL_SERVICES] = "DELETE FROM service WHERE node_id = ?",
	[PUT_SERVICE] = "INSERT INTO service VALUES (?,?,?)",
	[GET_SERVICES] = "SELECT node_id, record FROM service",
	[PUT_KNOWN] = "INSERT OR REPLACE INTO known VALUES (?,?,?,?,?,?)",
	[DEL_KNOWN] = "DELETE FROM known WHERE node_id = ?",
	[GET_KNOWN] = ("SELECT node_id, membership, route, ticket, record, services FROM known WHERE node_id > ?"
	    " ORDER BY node_id LIMIT 32"),
	[PUT_SIGNED] = "INSERT INTO signed VALUES (?,?)",
	[GET_SIGNED] = "SELECT record FROM signed ORDER BY place",
	[PUT_META] = "INSERT OR REPLACE INTO meta VALUES (?,?)",
	[GET_META] = "SELECT value FROM meta WHERE name = ?",
	[GET_ADDRS] = "SELECT node_id, family, addr, port, last_ok, last_failed, failures, reason FROM address",
};

static const char schema[] =
    "CREATE TABLE peer ("
    " node_id BLOB PRIMARY KEY NOT NULL,"
    " name TEXT NOT NULL,"		/* as configured, else as proven */
    " configured INTEGER NOT NULL,"
    " membership BLOB,"			/* the record, as the dataplane verified it */
    " first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,"
    " down_reason INTEGER NOT NULL,"
    " rtt_us INTEGER NOT NULL, rtt_min_us INTEGER NOT NULL, loss_permille INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE TABLE address ("		/* where an authenticated session ran */
    " node_id BLOB NOT NULL, family INTEGER NOT NULL, addr BLOB NOT NULL, port INTEGER NOT NULL,"
    " last_ok INTEGER NOT NULL, last_failed INTEGER NOT NULL,"
    " failures INTEGER NOT NULL, reason INTEGER NOT NULL,"
    " PRIMARY KEY (node_id, family, addr, port)"
    ") WITHOUT ROWID;"
    "CREATE TABLE prefix ("		/* as configured; the proven ones are in the membership */
    " node_id BLOB NOT NULL, family INTEGER NOT NULL, len INTEGER NOT NULL, addr BLOB NOT NULL,"
    " PRIMARY KEY (node_id, family, len, addr)"
    ") WITHOUT ROWID;";

static const char schema_2[] =		/* since version 2 */
    "CREATE TABLE service ("
    " node_id BLOB NOT NULL, name TEXT NOT NULL, record BLOB NOT NULL,"
    " PRIMARY KEY (node_id, name)"
    ") WITHOUT ROWID;";

static const char schema_3[] =		/* since version 3 */
    "CREATE TABLE known ("		/* nodes anywhere: their records, each verified again when it is read */
    " node_id BLOB PRIMARY KEY NOT NULL,"
    " membership BLOB NOT NULL, route BLOB NOT NULL, ticket BLOB, record BLOB NOT NULL, services BLOB"
    ") WITHOUT ROWID;"
    "CREATE TABLE signed ("		/* revocation, policy, fences */
    " place INTEGER PRIMARY KEY NOT NULL, record BLOB NOT NULL"
    ");"
    "CREATE TABLE meta ("
    " name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL"
    ") WITHOUT ROWID;";

void
store_init(void)
{
	unsigned seed;

	sqlite3_initialize();
	sqlite3_randomness(sizeof(seed), &seed);
	sqlite3_hard_heap_limit64(HEAP_MAX);
}

struct store *
store_new(const char *path)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->path = path;
	return s;
}

static void
db_close(struct store *s)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(s->st[i]);
		s->st[i] = NULL;
	}
	sqlite3_close(s->db);
	s->db = NULL;
	STAT_SET(ROUTED_STORE_OPEN, 0);
}

void
store_free(struct store *s)
{
	if (s == NULL)
		return;
	db_close(s);
	free(s);
}

bool
store_is_open(const struct store *s)
{
	return s->db != NULL;
}

void
store_complain(struct store *s, const char *what)
{
	STAT_INC(ROUTED_STORE_ERRORS);
	if (!s->warned)
		log_warnx("directory database: %s: %s: goes on in memory", what,
		    s->db != NULL ? sqlite3_errmsg(s->db) : "not open");
	s->warned = true;
}

int
store_run(struct store *s, const char *text)
{
	return sqlite3_exec(s->db, text, NULL, NULL, NULL);
}

/* The first column of the first row: SQLITE_OK, or what is wrong. */
static int
get_int(struct store *s, const char *text, int64_t *v)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(s->db, text, -1, &st, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*v = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

static bool
quick_check(struct store *s)
{
	sqlite3_stmt *st;
	const unsigned char *text;
	bool ok = false;

	if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK)
		return false;
	if (sqlite3_step(st) == SQLITE_ROW) {
		text = sqlite3_column_text(st, 0);
		ok = text != NULL && strcmp((const char *)text, "ok") == 0;
	}
	sqlite3_finalize(st);
	return ok;
}

/*
 * The write-ahead log with the lock held for good: a commit is one append, nothing is created, synced or unlinked
 * each time, and no memory is shared with other processes. It is synced at checkpoints only: after a power cut the
 * last seconds may be missing, which a cache can bear.
 */
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

enum verdict { GOOD, UNUSABLE_NOW, CORRUPT, NEWER };

static enum verdict
verdict_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
		return GOOD;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR:	/* SQL that does not fit: not our tables */
	case SQLITE_SCHEMA:
		return CORRUPT;
	default:
		return UNUSABLE_NOW;
	}
}

static enum verdict
create_schema(struct store *s)
{
	char text[sizeof(schema) + sizeof(schema_2) + sizeof(schema_3) + 128];

	snprintf(text, sizeof(text), "BEGIN IMMEDIATE; %s %s %s PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
	    schema, schema_2, schema_3, STORE_SCHEMA, STORE_APP_ID);
	return verdict_of(store_run(s, text));
}

/* One of an older release goes on with what it knows. */
static enum verdict
upgrade_schema(struct store *s, int64_t from)
{
	char text[sizeof(schema_2) + sizeof(schema_3) + 128];

	if (!quick_check(s))
		return CORRUPT;
	snprintf(text, sizeof(text), "BEGIN IMMEDIATE; %s %s PRAGMA user_version = %d; COMMIT", from < 2 ? schema_2 : "",
	    schema_3, STORE_SCHEMA);
	return verdict_of(store_run(s, text));
}

static enum verdict
check_schema(struct store *s)
{
	int64_t version, tables, app;
	int rc;

	if ((rc = get_int(s, "PRAGMA user_version", &version)) != SQLITE_OK ||
	    (rc = get_int(s, "PRAGMA application_id", &app)) != SQLITE_OK ||
	    (rc = get_int(s, "SELECT count(*) FROM sqlite_schema", &tables)) != SQLITE_OK)
		return verdict_of(rc);
	if (version == 0 && tables == 0)
		return create_schema(s);
	if (version > STORE_SCHEMA)
		return NEWER;
	if (version >= 1 && version < STORE_SCHEMA && app == STORE_APP_ID)
		return upgrade_schema(s, version);
	return version == STORE_SCHEMA && app == STORE_APP_ID && quick_check(s) ? GOOD : CORRUPT;
}

static enum verdict
db_open(struct store *s)
{
	enum verdict v;
	int rc;

	rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
	    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc != SQLITE_OK)
		return UNUSABLE_NOW;
	sqlite3_busy_timeout(s->db, BUSY_MS);
	rc = store_run(s, settings);
	if (rc != SQLITE_OK)
		return verdict_of(rc);
	v = check_schema(s);
	for (size_t i = 0; v == GOOD && i < STATEMENT_COUNT; i++)
		v = verdict_of(sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL));
	return v;
}

/* The log goes with its database: with a new one beside it, SQLite would take it for that one's. */
static int
move_aside(struct store *s, enum verdict v)
{
	char aside[256], wal[300], wal_aside[300];

	snprintf(aside, sizeof(aside), "%s.%s", s->path, v == NEWER ? "newer" : "bad");
	snprintf(wal, sizeof(wal), "%s-wal", s->path);
	snprintf(wal_aside, sizeof(wal_aside), "%s-wal", aside);
	if (rename(s->path, aside) == -1) {
		log_warn("directory database: cannot move it aside to %s", aside);
		return -1;
	}
	if (rename(wal, wal_aside) == -1 && errno != ENOENT)
		unlink(wal);
	STAT_INC(ROUTED_STORE_MOVED);
	log_warnx("directory database: %s: moved aside to %s, a new one is begun",
	    v == NEWER ? "its schema is newer than this program" : "it is corrupt", aside);
	return 0;
}

static int
open_or_replace(struct store *s)
{
	enum verdict v = db_open(s);

	if (v == CORRUPT || v == NEWER) {
		db_close(s);
		if (move_aside(s, v) == -1)
			return -1;
		v = db_open(s);
	}
	if (v != GOOD) {
		store_complain(s, "cannot open");
		db_close(s);
		return -1;
	}
	s->warned = false;
	STAT_SET(ROUTED_STORE_OPEN, 1);
	return 0;
}

/* --- reading: what stands there is checked like anything that comes from outside --- */

const uint8_t *
store_blob(sqlite3_stmt *st, int col, size_t min, size_t max, size_t *len)
{
	const uint8_t *p = sqlite3_column_blob(st, col);

	*len = (size_t)sqlite3_column_bytes(st, col);
	return p != NULL && *len >= min && *len <= max ? p : NULL;
}

uint64_t
store_uint(sqlite3_stmt *st, int col, uint64_t max)
{
	int64_t v = sqlite3_column_int64(st, col);

	return v < 0 ? 0 : (uint64_t)v > max ? max : (uint64_t)v;
}

/* Keeps a membership that the dataplane had verified. */
static int
load_membership(struct peer_member *m, const struct record *r)
{
	m->record = malloc(r->raw.len);
	if (m->record == NULL)
		return -1;
	memcpy(m->record, r->raw.p, r->raw.len);
	m->record_len = r->raw.len;
	memcpy(m->name, r->name, sizeof(m->name));
	memcpy(m->tenant, r->tenant, sizeof(m->tenant));
	m->roles = r->roles;
	m->tier = r->tier;
	m->not_after = r->not_after;
	m->nprefixes = r->nprefixes;
	memcpy(m->prefixes, r->prefixes, sizeof(m->prefixes));
	return 0;
}

static int
load_peer(struct directory *d, sqlite3_stmt *st)
{
	size_t len, id_len;
	const uint8_t *id = store_blob(st, 0, NODE_ID_LEN, NODE_ID_LEN, &id_len);
	const uint8_t *rec = store_blob(st, 1, 1, FRAME_RECORD_MAX, &len);
	struct record r;
	struct peer *p;

	if (id == NULL || rec == NULL || record_decode(&r, rec, len) != RECORD_OK || r.kind != RECORD_MEMBERSHIP ||
	    directory_find(d, id) != NULL)
		return -1;
	p = directory_add(d, id);
	if (p == NULL)
		return -1;
	p->in_store = true;
	if (load_membership(&p->member, &r) == -1)
		return -1;
	p->first_seen = store_uint(st, 2, RECORD_TIME_MAX);
	p->last_seen = store_uint(st, 3, RECORD_TIME_MAX);
	p->down_reason = store_uint(st, 4, VARINT_MAX);
	p->quality.srtt_us = (uint32_t)store_uint(st, 5, UINT32_MAX);
	p->quality.min_us = (uint32_t)store_uint(st, 6, UINT32_MAX);
	p->quality.loss_permille = (uint32_t)store_uint(st, 7, 1000);
	return 0;
}

static int
load_addr(struct directory *d, sqlite3_stmt *st)
{
	struct peer_addr a = { .learned = true };
	size_t len, id_len;
	const uint8_t *id = store_blob(st, 0, NODE_ID_LEN, NODE_ID_LEN, &id_len);
	const uint8_t *addr = store_blob(st, 2, 4, 16, &len);
	struct peer *p = id == NULL ? NULL : directory_find(d, id);

	a.addr.family = (uint8_t)store_uint(st, 1, 255);
	a.addr.port = (uint16_t)store_uint(st, 3, 65535);
	if (p == NULL || addr == NULL || a.addr.port == 0 || !(a.addr.family == 4 ? len == 4 : a.addr.family == 6 && len == 16))
		return -1;
	memcpy(a.addr.addr, addr, len);
	a.last_ok = store_uint(st, 4, RECORD_TIME_MAX);
	a.last_failed = store_uint(st, 5, RECORD_TIME_MAX);
	a.failures = (uint32_t)store_uint(st, 6, UINT32_MAX);
	a.reason = store_uint(st, 7, VARINT_MAX);
	return peer_addr_load(p, &a);
}

static int
load_service(struct directory *d, sqlite3_stmt *st)
{
	size_t len, id_len;
	const uint8_t *id = store_blob(st, 0, NODE_ID_LEN, NODE_ID_LEN, &id_len);
	const uint8_t *rec = store_blob(st, 1, 1, SERVICE_RECORD_MAX, &len);
	struct peer *p = id == NULL ? NULL : directory_find(d, id);

	return p == NULL || rec == NULL ? -1 : services_load(d, p, rec, len, clock_wall());
}

static int
load_rows(struct store *s, enum statement which, struct directory *d, int (*load)(struct directory *, sqlite3_stmt *))
{
	sqlite3_stmt *st = s->st[which];
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		if (load(d, st) == -1)
			STAT_INC(ROUTED_STORE_ROWS_REFUSED);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

int
store_load(struct store *s, struct directory *d)
{
	if (open_or_replace(s) == -1)
		return -1;
	/* What was only configured comes from the configuration of now. */
	if (store_run(s, "DELETE FROM peer WHERE membership IS NULL; DELETE FROM prefix") != SQLITE_OK)
		store_complain(s, "cannot write");
	if (load_rows(s, GET_PEERS, d, load_peer) == -1 || load_rows(s, GET_ADDRS, d, load_addr) == -1 ||
	    load_rows(s, GET_SERVICES, d, load_service) == -1)
		store_complain(s, "cannot read");
	for (size_t i = 0; i < d->npeers; i++)
		d->peers[i]->dirty = PEER_CLEAN;
	return 0;
}

/* --- writing --- */

int
store_step(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

void
store_bind_uint(sqlite3_stmt *st, int i, uint64_t v)
{
	sqlite3_bind_int64(st, i, (sqlite3_int64)v);
}

static int
put_peer(struct store *s, const struct peer *p)
{
	sqlite3_stmt *st = s->st[PUT_PEER];

	sqlite3_bind_blob(st, 1, p->node_id, NODE_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, peer_name(p), -1, SQLITE_STATIC);
	store_bind_uint(st, 3, p->configured);
	if (p->member.record_len > 0)
		sqlite3_bind_blob(st, 4, p->member.record, (int)p->member.record_len, SQLITE_STATIC);
	store_bind_uint(st, 5, p->first_seen);
	store_bind_uint(st, 6, p->last_seen);
	store_bind_uint(st, 7, p->down_reason);
	store_bind_uint(st, 8, p->quality.srtt_us);
	store_bind_uint(st, 9, p->quality.min_us);
	store_bind_uint(st, 10, p->quality.loss_permille);
	return store_step(st);
}

static int
put_addr(struct store *s, const struct peer *p, const struct peer_addr *a)
{
	sqlite3_stmt *st = s->st[PUT_ADDR];

	sqlite3_bind_blob(st, 1, p->node_id, NODE_ID_LEN, SQLITE_STATIC);
	store_bind_uint(st, 2, a->addr.family);
	sqlite3_bind_blob(st, 3, a->addr.addr, a->addr.family == 4 ? 4 : 16, SQLITE_STATIC);
	store_bind_uint(st, 4, a->addr.port);
	store_bind_uint(st, 5, a->last_ok);
	store_bind_uint(st, 6, a->last_failed);
	store_bind_uint(st, 7, a->failures);
	store_bind_uint(st, 8, a->reason);
	return store_step(st);
}

static int
put_prefix(struct store *s, const struct peer *p, const struct record_prefix *f)
{
	sqlite3_stmt *st = s->st[PUT_PREFIX];

	sqlite3_bind_blob(st, 1, p->node_id, NODE_ID_LEN, SQLITE_STATIC);
	store_bind_uint(st, 2, f->family);
	store_bind_uint(st, 3, f->len);
	sqlite3_bind_blob(st, 4, f->addr, f->family == 4 ? 4 : 16, SQLITE_STATIC);
	return store_step(st);
}

static int
put_service(struct store *s, const struct peer *p, const struct service *is)
{
	sqlite3_stmt *st = s->st[PUT_SERVICE];

	sqlite3_bind_blob(st, 1, p->node_id, NODE_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, is->name, -1, SQLITE_STATIC);
	sqlite3_bind_blob(st, 3, is->record, (int)is->len, SQLITE_STATIC);
	return store_step(st);
}

static int
del_by_id(struct store *s, enum statement which, const uint8_t *node_id)
{
	sqlite3_bind_blob(s->st[which], 1, node_id, NODE_ID_LEN, SQLITE_STATIC);
	return store_step(s->st[which]);
}

static int
save_services(struct store *s, const struct peer *p)
{
	if (del_by_id(s, DEL_SERVICES, p->node_id) == -1)
		return -1;
	for (size_t i = 0; i < p->services.n; i++)
		if (put_service(s, p, &p->services.v[i]) == -1)
			return -1;
	return 0;
}

/* Only what worked is remembered: the configured addresses come from the configuration each time. */
static int
save_peer(struct store *s, const struct peer *p)
{
	if (put_peer(s, p) == -1 || del_by_id(s, DEL_ADDRS, p->node_id) == -1 ||
	    del_by_id(s, DEL_PREFIXES, p->node_id) == -1)
		return -1;
	for (size_t i = 0; i < p->naddrs; i++)
		if (p->addrs[i].learned && put_addr(s, p, &p->addrs[i]) == -1)
			return -1;
	for (size_t i = 0; i < p->nprefixes; i++)
		if (put_prefix(s, p, &p->prefixes[i]) == -1)
			return -1;
	return p->services_dirty ? save_services(s, p) : 0;
}

static int
save_removed(struct store *s, const struct directory *d)
{
	for (size_t i = 0; i < d->nremoved; i++)
		if (del_by_id(s, DEL_PEER, d->removed[i]) == -1 || del_by_id(s, DEL_ADDRS, d->removed[i]) == -1 ||
		    del_by_id(s, DEL_PREFIXES, d->removed[i]) == -1 || del_by_id(s, DEL_SERVICES, d->removed[i]) == -1)
			return -1;
	return 0;
}

static bool
wanted(const struct peer *p, bool all)
{
	return p->dirty == PEER_DIRTY || (all && p->dirty == PEER_DIRTY_SOON);
}

static bool
anything(const struct directory *d, bool all)
{
	if (d->nremoved > 0)
		return true;
	for (size_t i = 0; i < d->npeers; i++)
		if (wanted(d->peers[i], all))
			return true;
	return false;
}

static int
save_in_transaction(struct store *s, const struct directory *d, bool all)
{
	if (store_run(s, "BEGIN IMMEDIATE") != SQLITE_OK)
		return -1;
	if (save_removed(s, d) == -1)
		return -1;
	for (size_t i = 0; i < d->npeers; i++)
		if (wanted(d->peers[i], all) && save_peer(s, d->peers[i]) == -1)
			return -1;
	return store_run(s, "COMMIT") == SQLITE_OK ? 0 : -1;
}

static void
all_clean(struct directory *d, bool all)
{
	d->nremoved = 0;
	for (size_t i = 0; i < d->npeers; i++) {
		if (wanted(d->peers[i], all)) {
			d->peers[i]->dirty = PEER_CLEAN;
			d->peers[i]->services_dirty = false;
			d->peers[i]->in_store = true;
		}
	}
}

int
store_open(struct store *s)
{
	return s->db != NULL ? 0 : open_or_replace(s);
}

void
store_failed(struct store *s)
{
	enum verdict v = verdict_of(sqlite3_errcode(s->db));

	store_complain(s, "cannot write");
	if (sqlite3_get_autocommit(s->db) == 0)
		store_run(s, "ROLLBACK");
	/* Opened again it is looked at again, and moved aside when it is bad. */
	if (v == CORRUPT)
		db_close(s);
}

int
store_save(struct store *s, struct directory *d, bool all)
{
	if (!anything(d, all))
		return 0;
	if (store_open(s) == -1)
		return -1;
	if (save_in_transaction(s, d, all) == -1) {
		store_failed(s);
		return -1;
	}
	all_clean(d, all);
	s->warned = false;
	STAT_INC(ROUTED_STORE_COMMITS);
	return 0;
}
