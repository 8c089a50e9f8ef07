/* routed: who serves what. What it believes, keeps, forgets, and whom it tells. */
#include "fake_routed.h"

#include <sqlite3.h>

#include "crypto/identity.h"
#include "wire/varint.h"

#define NODES 4
#define WAIT_MS 5000

static struct sign_key keys[NODES];
static uint8_t ids[NODES][NODE_ID_LEN];		/* 0 is this node */
static uint8_t buf[PM_RECORDS_MAX + 1];
static size_t buf_len;
static uint64_t now;

static void
begin(void)
{
	for (unsigned i = 0; i < NODES; i++) {
		memset(keys[i].secret, (int)(i + 1), sizeof(keys[i].secret));
		ck_assert_int_eq(sign_key_from_secret(&keys[i]), 0);
		node_id_from_key(ids[i], keys[i].public);
	}
	now = clock_wall();
	buf_len = 0;
}

/* Appends a record of node n to buf. */
static void
say(unsigned n, const char *name, uint8_t key, uint64_t from, uint64_t end)
{
	uint8_t subject[RECORD_KEY_LEN] = { key };
	struct record r = { .kind = RECORD_SERVICE, .subject = subject, .serial = 1, .not_before = from, .not_after = end,
	    .class = CLASS_BULK };
	size_t len;

	snprintf(r.name, sizeof(r.name), "%s", name);
	len = record_sign(buf + buf_len, sizeof(buf) - buf_len, &r, &keys[n]);
	ck_assert_uint_gt(len, 0);
	buf_len += len;
}

static void
says(unsigned n, const char *name, uint8_t key)
{
	say(n, name, key, now, now + 1000);
}

/* What buf has, as the dataplane's word about what node n sent. */
static void
from_peer(unsigned n)
{
	struct procmsg m = { .type = PM_RECORDS, .records = { .records = { buf, buf_len } } };

	memcpy(m.records.node_id, ids[n], NODE_ID_LEN);
	fake_tell(&fk, &m);
	buf_len = 0;
}

static int
from_supervisor(void)
{
	struct procmsg m = { .type = PM_RECORDS, .records = { .records = { buf, buf_len } } };
	int rv;

	memcpy(m.records.node_id, ids[0], NODE_ID_LEN);
	rv = fk.worker.ops->message(&fk.worker, &m, -1);
	buf_len = 0;
	fake_run(&fk);
	return rv;
}

static void
up(unsigned n, uint32_t roles)
{
	struct procmsg m = fake_peer_up((uint8_t)n, "peer", fake_addr((uint8_t)n, 1));
	struct record r = { .kind = RECORD_MEMBERSHIP, .subject = keys[n].public, .not_after = now + 1000, .tenant = "home",
	    .roles = roles };
	uint8_t member[FRAME_RECORD_MAX];

	m.peer_up.roles = roles;
	m.peer_up.name[4] = (char)('0' + n);
	strcpy(r.name, m.peer_up.name);
	m.peer_up.membership = (struct frame_bytes){ member, record_sign(member, sizeof(member), &r, &keys[0]) };
	memcpy(m.peer_up.node_id, ids[n], NODE_ID_LEN);
	fake_tell(&fk, &m);
}

static void
down(unsigned n)
{
	struct procmsg m = { .type = PM_PEER_DOWN, .peer_down.reason = REASON_SHUTDOWN };

	memcpy(m.peer_down.node_id, ids[n], NODE_ID_LEN);
	fake_tell(&fk, &m);
}

static void
configure(void)
{
	struct procmsg items[] = { fake_conf_node() };

	memcpy(items[0].conf_node.node_id, ids[0], NODE_ID_LEN);
	ck_assert(fake_configure(&fk, items, 1));
}

#define HOST (1u << ROLE_SERVICE_HOST)

static void
ready(void)
{
	configure();
	fake_port(&fk);
	up(1, HOST);
	up(2, HOST);
}

/* What came since: "+1vpn5" (node 1 serves vpn, key 5), "-1vpn", "=1" (node 1 is told the own set, with its length). */
static const char *
heard(void)
{
	static char text[65536];
	struct procmsg m;
	size_t len = 0;

	text[0] = '\0';
	fake_run(&fk);
	while (fake_message(&fk, &fk.dataplane, &m, 0)) {
		const uint8_t *id = m.type == PM_SERVICE ? m.service.node_id : m.type == PM_RECORDS ? m.records.node_id :
		    m.service_del.node_id;
		struct record r;
		unsigned n = 0;

		if (m.type == PM_TARGET || m.type == PM_TARGET_ADDR || m.type == PM_TARGET_DEL)
			continue;
		while (n < NODES && memcmp(ids[n], id, NODE_ID_LEN) != 0)
			n++;
		if (m.type == PM_SERVICE) {
			ck_assert_int_eq(record_decode(&r, m.service.record.p, m.service.record.len), RECORD_OK);
			ck_assert_str_eq(r.name, m.service.name);
			ck_assert_int_eq(record_verify(&r), 0);
			len += (size_t)snprintf(text + len, sizeof(text) - len, "+%u%s%u ", n, r.name, r.subject[0]);
		} else if (m.type == PM_SERVICE_DEL) {
			len += (size_t)snprintf(text + len, sizeof(text) - len, "-%u%s ", n, m.service_del.name);
		} else {
			ck_assert_int_eq(m.type, PM_RECORDS);
			len += (size_t)snprintf(text + len, sizeof(text) - len, "=%u%s ", n,
			    m.records.records.len == 0 ? "none" : "");
		}
	}
	fake_forget(&fk.dataplane);
	return text;
}

#define HEARD(s) ck_assert_str_eq(heard(), s)

static void
restart(void)
{
	fk.worker.ops->drain(&fk.worker, 0);
	fake_stop(&fk);
	fake_start(&fk, &routed_ops);
}

/* --- what is believed --- */

START_TEST(a_set_replaces_the_one_before)
{
	ready();
	HEARD("");
	says(1, "vpn", 5);
	says(1, "ssh", 6);
	from_peer(1);
	HEARD("+1ssh6 +1vpn5 ");
	says(1, "ssh", 6);
	says(1, "web", 7);
	from_peer(1);
	HEARD("-1vpn +1web7 ");
	says(1, "ssh", 8);
	says(1, "web", 7);
	from_peer(1);
	HEARD("+1ssh8 ");
	from_peer(1);
	HEARD("-1ssh -1web ");
	ck_assert_uint_eq(routed()->dir->board.n, 0);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_SERVICES_TAKEN], 4);
}
END_TEST

/* It is as if nothing had been sent, and costs no signature. */
START_TEST(the_same_again)
{
	uint64_t verified;

	ready();
	says(1, "vpn", 5);
	from_peer(1);
	HEARD("+1vpn5 ");
	verified = stats->counter[STAT_ROUTED_SERVICE_VERIFIED];
	for (unsigned i = 0; i < 100; i++) {
		says(1, "vpn", 5);
		from_peer(1);
	}
	HEARD("");
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_SERVICE_VERIFIED], verified);
}
END_TEST

/* Every peer has its own; one that goes away keeps them. */
START_TEST(peers_do_not_touch_each_other)
{
	ready();
	says(1, "vpn", 5);
	from_peer(1);
	says(2, "vpn", 6);
	from_peer(2);
	HEARD("+1vpn5 +2vpn6 ");
	from_peer(2);
	HEARD("-2vpn ");
	down(1);
	HEARD("");
	up(1, HOST);
	HEARD("");
	ck_assert_uint_eq(routed()->dir->board.n, 1);
}
END_TEST

enum bad {
	BAD_JUNK, BAD_TAIL, BAD_KIND, BAD_ISSUER, BAD_SIGNATURE, BAD_LONG, BAD_TWICE, BAD_MANY, BAD_NOT_UP, BAD_STRANGER
};

static const struct {
	enum bad bad;
	enum services_error error;
} refused[] = {
	{ BAD_JUNK, SERVICES_E_FORM }, { BAD_TAIL, SERVICES_E_FORM }, { BAD_KIND, SERVICES_E_FORM },
	{ BAD_ISSUER, SERVICES_E_ISSUER }, { BAD_SIGNATURE, SERVICES_E_SIGNATURE }, { BAD_LONG, SERVICES_E_LIFETIME },
	{ BAD_TWICE, SERVICES_E_TWICE }, { BAD_MANY, SERVICES_E_MANY }, { BAD_NOT_UP, SERVICES_E_NODE },
	{ BAD_STRANGER, SERVICES_E_NODE },
};

static void
make_bad(enum bad bad)
{
	struct record r = { .kind = RECORD_DELEGATION, .subject = ids[3], .serial = 1, .not_before = now,
	    .not_after = now + 1000, .purpose = PURPOSE_E2E };
	char name[8];

	switch (bad) {
	case BAD_JUNK:
		memset(buf + buf_len, 0, 100);
		buf_len += 100;
		break;
	case BAD_TAIL:
		says(1, "b", 9);
		buf_len--;
		break;
	case BAD_KIND:
		buf_len += record_sign(buf + buf_len, sizeof(buf) - buf_len, &r, &keys[1]);
		break;
	case BAD_ISSUER:
		says(2, "b", 9);
		break;
	case BAD_SIGNATURE:
		says(1, "b", 9);
		buf[buf_len - 1] ^= 1;
		break;
	case BAD_LONG:
		say(1, "b", 9, now, now + DELEGATION_MAX_S + 1);
		break;
	case BAD_TWICE:
		says(1, "a", 9);
		break;
	case BAD_MANY:
		for (unsigned i = 0; i < NODE_SERVICES_MAX; i++) {
			snprintf(name, sizeof(name), "n%u", i);
			says(1, name, 9);
		}
		break;
	case BAD_NOT_UP:
	case BAD_STRANGER:
		break;
	}
}

/* Nothing of such a set is taken, and what was known stays. */
START_TEST(not_believed)
{
	enum bad bad = refused[_i].bad;

	ready();
	says(1, "vpn", 5);
	from_peer(1);
	HEARD("+1vpn5 ");
	if (bad == BAD_NOT_UP)
		down(1);
	says(bad == BAD_STRANGER ? 3 : 1, "a", 8);
	make_bad(bad);
	from_peer(bad == BAD_STRANGER ? 3 : 1);
	HEARD("");
	ck_assert_uint_eq(routed()->dir->board.n, 1);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_SERVICES_TAKEN + refused[_i].error], 1);
	ck_assert_str_ne(services_strerror(refused[_i].error), "unknown");
}
END_TEST

/* A clock that is wrong, or a key that was not renewed, takes nothing from the others. */
START_TEST(times)
{
	ready();
	say(1, "old", 5, now - 100, now);
	say(1, "new", 6, now + CLOCK_SKEW_S + 60, now + 1000);
	say(1, "soon", 7, now + CLOCK_SKEW_S - 60, now + 1000);
	say(1, "now", 8, now - DELEGATION_MAX_S + 100, now + 100);
	from_peer(1);
	HEARD("+1now8 +1soon7 ");
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_SERVICE_EXPIRED], 2);
}
END_TEST

START_TEST(expired_goes)
{
	ready();
	say(1, "a", 5, now, now + 50);
	says(1, "b", 6);
	from_peer(1);
	HEARD("+1a5 +1b6 ");
	services_expire(routed()->dir, now + 49);
	ck_assert_uint_eq(routed()->dir->board.n, 2);
	services_expire(routed()->dir, now + 50);
	ck_assert_uint_eq(routed()->dir->board.n, 1);
	up(2, HOST);	/* anything that makes it look */
	HEARD("-1a ");
}
END_TEST

/* vpn and echo reach a node itself; for others its authority has to have said that it is a service host. */
START_TEST(role)
{
	ready();
	up(1, 1u << ROLE_ENTRY);
	says(1, "vpn", 5);
	says(1, "echo", 6);
	says(1, "ssh", 7);
	from_peer(1);
	HEARD("+1echo6 +1vpn5 ");
	up(1, HOST | 1u << ROLE_ENTRY);
	HEARD("+1ssh7 ");
	up(1, 0);
	HEARD("-1ssh ");
	up(1, 0);
	HEARD("");
}
END_TEST

/* What was forgotten for others' sake is told to the adapters too; who has a session loses nothing. */
START_TEST(room_for_others)
{
	struct directory *d;
	uint8_t id[NODE_ID_LEN] = { 0 };
	struct peer *p;

	ready();
	d = routed()->dir;
	for (unsigned i = 0; i < SERVICES_MAX / NODE_SERVICES_MAX; i++) {
		id[0] = (uint8_t)i;
		id[1] = 0x77;
		p = directory_add(d, id);
		p->last_seen = now - i;
		p->services.v = calloc(NODE_SERVICES_MAX, sizeof(*p->services.v));
		p->services.n = NODE_SERVICES_MAX;
		d->board.n += NODE_SERVICES_MAX;
		for (unsigned k = 0; k < NODE_SERVICES_MAX; k++)
			snprintf(p->services.v[k].name, sizeof(p->services.v[k].name), "s%02u", k);
	}
	ck_assert_uint_eq(d->board.n, SERVICES_MAX);
	p->services.v[7].told = true;	/* it is the one that was not seen for longest */
	says(1, "vpn", 5);
	from_peer(1);
	ck_assert_ptr_nonnull(strstr(heard(), "s07"));
	ck_assert_uint_eq(p->services.n, 0);
	ck_assert_uint_eq(d->board.n, SERVICES_MAX - NODE_SERVICES_MAX + 1);
	for (size_t i = 0; i < d->npeers; i++)
		d->peers[i]->session.up = true;
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < NODE_SERVICES_MAX - k; i++) {
			char name[8];

			snprintf(name, sizeof(name), "n%u", i);
			says(2, name, 6);
		}
		from_peer(2);
		ck_assert_uint_eq(stats->counter[STAT_ROUTED_SERVICES_E_MANY], 1);
		ck_assert_uint_eq(d->board.n, SERVICES_MAX - (k == 0 ? NODE_SERVICES_MAX - 1 : 0));
	}
}
END_TEST

/* --- what is told --- */

START_TEST(own_set_goes_to_every_peer)
{
	ready();
	says(0, "ssh", 4);
	ck_assert_int_eq(from_supervisor(), 0);
	ck_assert_str_eq(heard() + 6, "+0ssh4 ");	/* behind both peers, in the order of their ids */
	down(2);
	up(3, 0);
	HEARD("=3 ");
	up(2, 0);
	HEARD("=2 ");
	ck_assert_int_eq(from_supervisor(), 0);
	ck_assert_ptr_nonnull(strstr(heard(), "-0ssh "));
	ck_assert_uint_eq(routed()->dir->board.own.n, 0);
}
END_TEST

/* However often it changes, a peer is told six times in a row and then once a second, and what it is told then is the last. */
START_TEST(own_set_is_not_told_too_often)
{
	uint64_t began, told_ns;
	struct procmsg m;

	configure();
	fake_port(&fk);
	up(1, 0);
	began = clock_ns();
	for (unsigned i = 1; i <= 20; i++) {
		says(0, "vpn", (uint8_t)i);
		ck_assert_int_eq(from_supervisor(), 0);
	}
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_SERVICES_ANNOUNCED], SERVICES_ANNOUNCE_BURST);
	while (stats->counter[STAT_ROUTED_SERVICES_ANNOUNCED] == SERVICES_ANNOUNCE_BURST)
		ck_assert(fake_message(&fk, &fk.dataplane, &m, WAIT_MS));
	told_ns = clock_ns();
	ck_assert_uint_ge(told_ns - began, SERVICES_ANNOUNCE_MS * NS_PER_MS);
	while (m.type != PM_RECORDS || m.records.records.len != routed()->dir->board.own_len ||
	    memcmp(m.records.records.p, routed()->dir->board.own_records, m.records.records.len) != 0)
		ck_assert(fake_message(&fk, &fk.dataplane, &m, WAIT_MS));
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_SERVICES_ANNOUNCED], SERVICES_ANNOUNCE_BURST + 1);
}
END_TEST

/* Before the supervisor has said anything, nothing is said for it; afterwards, also that there is nothing. */
START_TEST(nothing_is_said_too)
{
	ready();
	HEARD("");
	ck_assert_int_eq(from_supervisor(), 0);
	ck_assert_uint_eq(strlen(heard()), strlen("=1none =2none "));
	up(3, 0);
	HEARD("=3none ");
}
END_TEST

START_TEST(the_supervisor_errs)
{
	struct procmsg m = { .type = PM_CONNECTED };

	ready();
	memset(buf, 0, 10);
	buf_len = 10;
	ck_assert_int_eq(from_supervisor(), -1);
	ck_assert_int_eq(fk.worker.ops->message(&fk.worker, &m, -1), -1);
}
END_TEST

START_TEST(an_adapter_asks)
{
	const struct procmsg ask = { .type = PM_SERVICES };

	ready();
	says(0, "ssh", 4);
	from_supervisor();
	up(1, 0);
	says(1, "vpn", 5);
	says(1, "ssh", 6);
	from_peer(1);
	heard();
	fake_tell(&fk, &ask);
	HEARD("+0ssh4 +1vpn5 ");	/* and nothing about what it may not use */
	/* One that is new to this dataplane is told all as well, and the peers again with their sessions. */
	fake_port(&fk);
	up(1, HOST);
	ck_assert_str_eq(heard(), "+0ssh4 +1vpn5 =1 +1ssh6 ");
}
END_TEST

/* More than the adapters are told at a time: all of it arrives, in pieces. */
START_TEST(many_are_told_in_pieces)
{
	char name[8];
	unsigned plus = 0;

	ready();
	up(3, HOST);
	for (unsigned n = 1; n <= 3; n++) {
		for (unsigned i = 0; i < NODE_SERVICES_MAX; i++) {
			snprintf(name, sizeof(name), "n%u", i);
			says(n, name, 9);
		}
		from_peer(n);
	}
	heard();
	services_again(routed()->dir);
	ck_assert_int_eq(services_sync(routed()->dir, routed()->dataplane, clock_ns()), 1);
	for (const char *p = heard(); *p != '\0'; p++)
		plus += *p == '+';
	ck_assert_uint_eq(plus, SERVICES_BATCH);
	ck_assert_int_eq(services_sync(routed()->dir, routed()->dataplane, clock_ns()), 0);
	for (const char *p = heard(); *p != '\0'; p++)
		plus += *p == '+';
	ck_assert_uint_eq(plus, 3 * NODE_SERVICES_MAX);
	/* and by itself */
	services_again(routed()->dir);
	up(3, HOST);
	for (uint64_t until = clock_ns() + WAIT_MS * NS_PER_MS; plus < 6 * NODE_SERVICES_MAX && clock_ns() < until;) {
		struct procmsg m;

		plus += fake_message(&fk, &fk.dataplane, &m, 100) && m.type == PM_SERVICE;
	}
	ck_assert_uint_eq(plus, 6 * NODE_SERVICES_MAX);
}
END_TEST

/* A channel that is full is no loss. */
START_TEST(full_channel)
{
	static uint8_t filler[PM_RECORDS_MAX];
	struct procmsg m = { .type = PM_RECORDS, .records = { .records = { filler, sizeof(filler) } } };
	bool seen = false;

	ready();
	heard();
	ipc_pause(fk.dataplane.ipc);
	while (procmsg_send(routed()->dataplane, &m, -1) == 0)
		continue;
	says(1, "vpn", 5);
	from_peer(1);
	ck_assert(routed()->dir->board.changed);
	ipc_resume(fk.dataplane.ipc);
	while (!seen && fake_message(&fk, &fk.dataplane, &m, WAIT_MS)) {
		seen = m.type == PM_SERVICE;
		fake_forget(&fk.dataplane);
	}
	ck_assert(seen);
}
END_TEST

/* --- what is kept --- */

START_TEST(services_outlive_routed)
{
	ready();
	says(1, "vpn", 5);
	says(1, "ssh", 6);
	say(1, "late", 7, now - 10, now + 1);
	from_peer(1);
	says(2, "vpn", 8);
	from_peer(2);
	while (clock_wall() <= now)
		usleep(10000);
	restart();
	configure();
	fake_port(&fk);		/* no peer is up */
	{
		const char *s = heard();

		/* of the adapters it is not known what they know: what has expired meanwhile is not known here either */
		ck_assert_ptr_nonnull(strstr(s, "+1ssh6 +1vpn5 "));
		ck_assert_ptr_nonnull(strstr(s, "+2vpn8 "));
		ck_assert_ptr_null(strstr(s, "late"));
	}
	/* What the one before told is taken back by this one. */
	up(1, HOST);
	HEARD("");
	says(1, "vpn", 5);
	from_peer(1);
	HEARD("-1ssh ");
	ck_assert_uint_eq(routed()->dir->board.n, 2);
}
END_TEST

/* The adapters may have heard of it from the routed before this one, when its node still had the role. */
START_TEST(role_lost_meanwhile)
{
	struct peer *p;

	configure();
	p = directory_add(routed()->dir, ids[1]);
	says(1, "ssh", 5);
	ck_assert_int_eq(services_load(routed()->dir, p, buf, buf_len, now), 0);
	ck_assert_int_eq(services_load(routed()->dir, p, buf, buf_len, now), -1);	/* it is there already */
	fake_port(&fk);
	HEARD("-1ssh ");
}
END_TEST

/* What stands in the file is believed as little as a peer. */
START_TEST(tampered_file)
{
	struct peer *p;

	ready();
	says(1, "a", 5);
	says(1, "b", 6);
	from_peer(1);
	says(2, "c", 7);
	from_peer(2);
	p = directory_find(routed()->dir, ids[1]);
	p->services.v[0].record[p->services.v[0].len - 1] ^= 1;
	free(directory_find(routed()->dir, ids[2])->services.v[0].record);	/* another node's in its place */
	says(1, "c", 7);
	directory_find(routed()->dir, ids[2])->services.v[0].record = memcpy(malloc(buf_len), buf, buf_len);
	restart();
	configure();
	fake_port(&fk);
	HEARD("+1b6 ");
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_STORE_ROWS_REFUSED], 2);
}
END_TEST

static void
sql(const char *text)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(STORE_FILE, &db), SQLITE_OK);
	ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", text, sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* A database of a release before is gone on with; one that only says so is moved aside. */
static const struct { const char *sql; bool liar; size_t services; } older[] = {
	{ "DROP TABLE service; DROP TABLE known; DROP TABLE signed; DROP TABLE meta; PRAGMA user_version = 1", false, 0 },
	{ "DROP TABLE known; DROP TABLE signed; DROP TABLE meta; PRAGMA user_version = 2", false, 1 },
	{ "PRAGMA user_version = 1", true, 0 },
	{ "PRAGMA user_version = 2", true, 0 },
};

START_TEST(older_database)
{
	bool liar = older[_i].liar;

	ready();
	says(1, "vpn", 5);
	from_peer(1);
	fk.worker.ops->drain(&fk.worker, 0);
	fake_stop(&fk);
	sql(older[_i].sql);
	fake_start(&fk, &routed_ops);
	ck_assert_int_eq(access(STORE_FILE ".bad", F_OK) == 0, liar);
	ck_assert_uint_eq(routed()->dir->npeers, liar ? 0 : 2);
	ck_assert_uint_eq(routed()->dir->board.n, older[_i].services);
	ready();
	says(1, "vpn", 5);
	from_peer(1);
	restart();
	ck_assert_uint_eq(routed()->dir->npeers, 2);
	ck_assert_uint_eq(routed()->dir->board.n, 1);
}
END_TEST

/* A forgotten node takes its services along, here and on disk. */
START_TEST(forgotten_node)
{
	ready();
	says(1, "vpn", 5);
	from_peer(1);
	heard();
	ck_assert_int_eq(store_save(routed()->store, routed()->dir, false), 0);
	down(1);
	directory_find(routed()->dir, ids[1])->last_seen = 1;
	directory_expire(routed()->dir, now);
	up(2, HOST);
	HEARD("-1vpn ");
	ck_assert_uint_eq(routed()->dir->board.n, 0);
	restart();
	ck_assert_uint_eq(routed()->dir->board.n, 0);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_STORE_ROWS_REFUSED], 0);
}
END_TEST

/* --- what is shown --- */

START_TEST(shown)
{
	static const struct {
		const char *name, *node, *state;
	} want[] = {
		{ "ssh", "here", "own" }, { "ssh", "peer1", "no-role" }, { "vpn", "peer1", "reachable" },
		{ "vpn", "peer2", "unreachable" },
	};
	struct procmsg m, stat = { .type = PM_PEER_STAT, .peer_stat = { .rtt_us = 1 } };

	ready();
	says(0, "ssh", 4);
	from_supervisor();
	up(1, 0);
	says(1, "vpn", 5);
	says(1, "ssh", 6);
	from_peer(1);
	says(2, "vpn", 7);
	from_peer(2);
	memcpy(stat.peer_stat.node_id, ids[1], NODE_ID_LEN);
	fake_tell(&fk, &stat);
	fake_request(&fk, "services", "", 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		ck_assert(fake_message(&fk, &fk.supervisor, &m, WAIT_MS));
		ck_assert_int_eq(m.type, PM_ROW);
		ck_assert_str_eq(row_text(&m.row.row, "name"), want[i].name);
		ck_assert_str_eq(row_text(&m.row.row, "node"), want[i].node);
		ck_assert_str_eq(row_text(&m.row.row, "state"), want[i].state);
		ck_assert_str_eq(row_text(&m.row.row, "class"), "bulk");
		ck_assert_uint_eq(row_num(&m.row.row, "not_after_s"), now + 1000);
	}
	ck_assert(fake_message(&fk, &fk.supervisor, &m, WAIT_MS));
	ck_assert_int_eq(m.type, PM_DONE);
	ck_assert_uint_eq(m.done.status, 0);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_checked_fixture(tc, begin, NULL);
	tcase_add_test(tc, a_set_replaces_the_one_before);
	tcase_add_test(tc, the_same_again);
	tcase_add_test(tc, peers_do_not_touch_each_other);
	tcase_add_loop_test(tc, not_believed, 0, N(refused));
	tcase_add_test(tc, times);
	tcase_add_test(tc, expired_goes);
	tcase_add_test(tc, role);
	tcase_add_test(tc, room_for_others);
	tcase_add_test(tc, own_set_goes_to_every_peer);
	tcase_add_test(tc, own_set_is_not_told_too_often);
	tcase_add_test(tc, nothing_is_said_too);
	tcase_add_test(tc, the_supervisor_errs);
	tcase_add_test(tc, an_adapter_asks);
	tcase_add_test(tc, many_are_told_in_pieces);
	tcase_add_test(tc, full_channel);
	tcase_add_test(tc, services_outlive_routed);
	tcase_add_test(tc, role_lost_meanwhile);
	tcase_add_test(tc, tampered_file);
	tcase_add_loop_test(tc, older_database, 0, N(older));
	tcase_add_test(tc, forgotten_node);
	tcase_add_test(tc, shown);
}

int
main(void)
{
	return run_suite("services", add_tests);
}
