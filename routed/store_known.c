/* The known nodes on disk: what is read is verified like what comes from a neighbour. */
#include <string.h>

#include "base/clock.h"
#include "proc/stats.h"
#include "routed/known.h"
#include "routed/store_int.h"
#include "wire/varint.h"

#define META_SERIAL "own-serial"

/* --- reading --- */

static struct frame_bytes
column(sqlite3_stmt *st, int col, size_t max)
{
	struct frame_bytes b = { NULL, 0 };

	b.p = store_blob(st, col, 1, max, &b.len);
	if (b.p == NULL)
		b.len = 0;
	return b;
}

/* Where a row is not believed its node may have been heard of meanwhile, or it goes. */
static int
load_known(struct knowns *ks, sqlite3_stmt *st, uint64_t wall)
{
	struct dirmsg_item item = { .membership = column(st, 1, FRAME_RECORD_MAX), .route = column(st, 2, FRAME_RECORD_MAX),
	    .ticket = column(st, 3, FRAME_RECORD_MAX), .record = column(st, 4, FRAME_RECORD_MAX),
	    .services = column(st, 5, PM_RECORDS_MAX), .has_services = true };
	struct known *k = NULL;
	enum known_error e = item.record.len == 0 ? KNOWN_E_FORM : knowns_take(ks, &item, NULL, wall, &k);

	if (e == KNOWN_OK)
		k->dirty = false;
	if (k != NULL)
		k->in_store = true;
	return e == KNOWN_OK || (e == KNOWN_E_OLD && k != NULL) ? 0 : -1;
}

#define CHUNK 32u	/* as GET_KNOWN has it */

/* The next rows. How many, or -1. */
static int
load_chunk(struct store *s, struct knowns *ks, uint8_t cursor[NODE_ID_LEN], uint64_t wall)
{
	sqlite3_stmt *st = s->st[GET_KNOWN];
	uint8_t bad[CHUNK][NODE_ID_LEN];
	size_t nbad = 0, len;
	const uint8_t *id;
	int rc, n = 0;

	sqlite3_bind_blob(st, 1, cursor, NODE_ID_LEN, SQLITE_TRANSIENT);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && (unsigned)n < CHUNK) {
		n++;
		if ((id = store_blob(st, 0, NODE_ID_LEN, NODE_ID_LEN, &len)) == NULL)
			continue;
		memcpy(cursor, id, NODE_ID_LEN);
		if (load_known(ks, st, wall) == 0)
			continue;
		STAT_INC(ROUTED_STORE_ROWS_REFUSED);
		memcpy(bad[nbad++], cursor, NODE_ID_LEN);
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	for (size_t i = 0; i < nbad && rc == SQLITE_DONE; i++) {
		sqlite3_bind_blob(s->st[DEL_KNOWN], 1, bad[i], NODE_ID_LEN, SQLITE_STATIC);
		store_step(s->st[DEL_KNOWN]);
	}
	return rc == SQLITE_DONE ? n : -1;
}

/* The fences come last, when who made them is known: `fences' false takes the others. */
static int
load_signed(struct store *s, struct knowns *ks, bool fences, uint64_t wall)
{
	sqlite3_stmt *st = s->st[GET_SIGNED];
	struct frame_bytes b;
	struct record r;
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		b = column(st, 0, RECORD_LARGE_MAX);
		if (b.len > 0 && record_decode(&r, b.p, b.len) == RECORD_OK && (r.kind == RECORD_FENCE) != fences)
			continue;
		if (b.len == 0 || knowns_take_signed(ks, b.p, b.len, true, wall) != KNOWN_OK)
			STAT_INC(ROUTED_STORE_ROWS_REFUSED);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static void
load_serial(struct store *s, uint64_t *serial)
{
	sqlite3_stmt *st = s->st[GET_META];
	uint64_t v;

	sqlite3_bind_text(st, 1, META_SERIAL, -1, SQLITE_STATIC);
	if (sqlite3_step(st) == SQLITE_ROW && (v = store_uint(st, 0, VARINT_MAX / 2)) > *serial)
		*serial = v;
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

int
store_load_signed(struct store *s, struct knowns *ks, uint64_t *serial, uint64_t wall)
{
	if (store_open(s) == -1)
		return -1;
	load_serial(s, serial);
	if (load_signed(s, ks, false, wall) == -1) {
		store_complain(s, "cannot read");
		return -1;
	}
	knowns_signed_clean(ks);
	return 0;
}

int
store_load_known(struct store *s, struct knowns *ks, uint8_t cursor[NODE_ID_LEN], uint64_t wall, uint64_t until_ns)
{
	int n;

	if (store_open(s) == -1)
		return -1;
	do {
		if ((n = load_chunk(s, ks, cursor, wall)) == -1) {
			store_complain(s, "cannot read");
			return -1;
		}
	} while (n == CHUNK && clock_ns() < until_ns);
	if (n == CHUNK)
		return 1;
	return load_signed(s, ks, true, wall);
}

/* --- writing --- */

static void
bind_raw(sqlite3_stmt *st, int i, struct frame_bytes b)
{
	if (b.len > 0)
		sqlite3_bind_blob(st, i, b.p, (int)b.len, SQLITE_STATIC);
}

struct saving {
	struct store *s;
	size_t	 n, max;
	int	 rv;
};

static bool
save_known(struct known *k, void *arg)
{
	static uint8_t buf[PM_RECORDS_MAX];
	struct saving *g = arg;
	sqlite3_stmt *st = g->s->st[PUT_KNOWN];
	struct dirmsg_item item;

	if (!k->dirty)
		return true;
	if (g->n == g->max)
		return false;
	known_item(k, true, &item, buf);
	sqlite3_bind_blob(st, 1, k->node_id, NODE_ID_LEN, SQLITE_STATIC);
	bind_raw(st, 2, item.membership);
	bind_raw(st, 3, item.route);
	bind_raw(st, 4, item.ticket);
	bind_raw(st, 5, item.record);
	bind_raw(st, 6, item.services);
	g->rv = store_step(st);
	g->n++;
	return g->rv == 0;
}

static int
save_nodes(struct store *s, struct knowns *ks, size_t max)
{
	struct saving g = { .s = s, .max = max };
	const uint8_t (*removed)[NODE_ID_LEN];
	size_t n;

	removed = knowns_removed(ks, &n);
	for (size_t i = 0; i < n; i++) {
		sqlite3_bind_blob(s->st[DEL_KNOWN], 1, removed[i], NODE_ID_LEN, SQLITE_STATIC);
		if (store_step(s->st[DEL_KNOWN]) == -1)
			return -1;
	}
	knowns_each(ks, save_known, &g);
	return g.rv;
}

static int
save_record(struct store *s, int place, const uint8_t *p, size_t len)
{
	sqlite3_stmt *st = s->st[PUT_SIGNED];

	store_bind_uint(st, 1, (uint64_t)place);
	sqlite3_bind_blob(st, 2, p, (int)len, SQLITE_STATIC);
	return store_step(st);
}

static void
save_fence(const uint8_t *record, size_t len, void *arg)
{
	struct saving *g = arg;

	if (g->rv == 0)
		g->rv = save_record(g->s, 10 + (int)g->n++, record, len);
}

static int
save_signed(struct store *s, const struct knowns *ks)
{
	const struct record *revocation = knowns_revocation(ks), *policy = knowns_policy(ks);
	struct saving g = { .s = s };

	if (!knowns_signed_dirty(ks))
		return 0;
	if (store_run(s, "DELETE FROM signed") != SQLITE_OK ||
	    (revocation != NULL && save_record(s, 1, revocation->raw.p, revocation->raw.len) == -1) ||
	    (policy != NULL && save_record(s, 2, policy->raw.p, policy->raw.len) == -1))
		return -1;
	knowns_fences_each(ks, save_fence, &g);
	return g.rv;
}

static int
save_serial(struct store *s, uint64_t serial)
{
	sqlite3_stmt *st = s->st[PUT_META];

	sqlite3_bind_text(st, 1, META_SERIAL, -1, SQLITE_STATIC);
	store_bind_uint(st, 2, serial);
	return store_step(st);
}

/* Cleaned in the order in which it was written. */
static bool
clean(struct known *k, void *arg)
{
	struct saving *g = arg;

	if (!k->dirty)
		return true;
	if (g->n == g->max)
		return false;
	k->dirty = false;
	k->in_store = true;
	g->n++;
	return true;
}

static bool
is_dirty(struct known *k, void *arg)
{
	*(bool *)arg |= k->dirty;
	return !k->dirty;
}

static int
save_in_transaction(struct store *s, struct knowns *ks, uint64_t serial, size_t max)
{
	if (store_run(s, "BEGIN IMMEDIATE") != SQLITE_OK || save_nodes(s, ks, max) == -1 || save_signed(s, ks) == -1 ||
	    save_serial(s, serial) == -1)
		return -1;
	return store_run(s, "COMMIT") == SQLITE_OK ? 0 : -1;
}

int
store_save_known(struct store *s, struct knowns *ks, uint64_t serial, bool all)
{
	struct saving g = { .s = s, .max = all ? SIZE_MAX : STORE_KNOWN_BATCH };
	bool dirty = knowns_signed_dirty(ks);
	size_t removed;

	knowns_each(ks, is_dirty, &dirty);
	knowns_removed(ks, &removed);
	if (!dirty && removed == 0)
		return 0;
	if (store_open(s) == -1)
		return -1;
	if (save_in_transaction(s, ks, serial, g.max) == -1) {
		store_failed(s);
		return -1;
	}
	knowns_each(ks, clean, &g);
	knowns_removed_clear(ks);
	knowns_signed_clean(ks);
	STAT_INC(ROUTED_STORE_COMMITS);
	return 0;
}
