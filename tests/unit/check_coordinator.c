/*
 * Leases as they are given: every hop's ticket is one that the hop accepts; no relay learns a third node from all that it
 * holds; epochs never go back, also over a restart with a clock that was set back; who gets none and why; and what is kept.
 */
#include "lease_world.h"
#include "suite.h"

#include <sys/wait.h>

START_TEST(each_hop_accepts_its_ticket)
{
	begin();
	ask.classes = ALL;
	ask.kbps = 7000;
	ask.streams = 9;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_ge(nout, 2);
	for (int i = 0; i < nout; i++) {
		const struct lease *l = &out[i];
		struct ticket k;

		ck_assert_uint_eq(l->epoch, out[0].epoch);
		ck_assert_uint_eq(l->soft, NOW + LEASE_SOFT_S);
		ck_assert_uint_eq(l->hard, NOW + LEASE_HARD_S);
		for (int j = 0; j < i; j++)
			ck_assert_uint_ne(l->route_id, out[j].route_id);
		for (unsigned hop = 0; hop < l->n; hop++) {
			ck_assert_int_eq(shown(l, hop, &k), TICKET_OK);
			ck_assert_uint_eq(k.place, hop == 0 ? TICKET_SOURCE : hop + 1u == l->n ? TICKET_DEST : TICKET_RELAY);
			ck_assert_uint_eq(k.epoch, l->epoch);
			ck_assert_uint_eq(k.classes, l->classes);
			ck_assert_uint_eq(k.kbps, 7000);
			ck_assert_uint_eq(k.streams, 9);
			ck_assert_str_eq(k.tenant, "home");
			if (hop > 0)
				ck_assert_mem_eq(k.prev, l->nodes[hop - 1], NODE_ID_LEN);
			if (hop + 1u < l->n)
				ck_assert_mem_eq(k.next, l->nodes[hop + 1], NODE_ID_LEN);
		}
		ck_assert_int_eq(shown(l, 0, &k), TICKET_OK);
		ck_assert_mem_eq(k.far, l->nodes[l->n - 1], NODE_ID_LEN);
		ck_assert_int_eq(lease_check(l, &k), 0);
		ck_assert_int_eq(shown(l, l->n - 1, &k), TICKET_OK);
		ck_assert_mem_eq(k.far, l->nodes[0], NODE_ID_LEN);
		ck_assert_int_eq(lease_check(l, &k), -1);
		t.now_ms = l->hard * 1000;
		ck_assert_int_eq(shown(l, 1, &k), TICKET_E_EXPIRED);
		t.now_ms = NOW * 1000;
	}
	end();
}
END_TEST

/* --- what a relay holds --- */

static bool
contains(const uint8_t *p, size_t len, const void *what, size_t what_len)
{
	return memmem(p, len, what, what_len) != NULL;
}

/* All bytes of a relay's, back to back: what it was handed, what it could open, and what it passes on. */
static size_t
held_by(const struct lease *l, unsigned hop, uint8_t *buf, size_t size)
{
	struct node *x = node_at(l, hop);
	uint8_t pro[sizeof(TICKET_PROLOGUE) + 8];
	size_t len = 0;
	int opened;

	memcpy(pro, TICKET_PROLOGUE, sizeof(TICKET_PROLOGUE));
	for (unsigned i = 0; i < 8; i++)
		pro[sizeof(TICKET_PROLOGUE) + i] = (uint8_t)(l->route_id >> (56 - 8 * i));
	for (unsigned i = hop; i < l->n; i++) {
		ck_assert_uint_ge(size - len, 2 * TICKET_SEALED_MAX);
		memcpy(buf + len, l->sealed[i].p, l->sealed[i].len);
		len += l->sealed[i].len;
		opened = box_open(buf + len, size - len, &x->ticket, pro, sizeof(pro), l->sealed[i].p, l->sealed[i].len);
		ck_assert_int_eq(opened > 0, i == hop);
		len += opened > 0 ? (size_t)opened : 0;
	}
	return len;
}

/* Any part of a node that would tell who it is. */
static bool
tells_of(const uint8_t *p, size_t len, const struct node *x)
{
	return contains(p, len, x->id, 8) || contains(p, len, x->id + 24, 8) || contains(p, len, x->node.public, 8) ||
	    contains(p, len, x->route.public, 8) || contains(p, len, x->ticket.public, 8) ||
	    contains(p, len, x->name, strlen(x->name));
}

START_TEST(no_relay_learns_a_third_node)
{
	static uint8_t buf[16 * TICKET_SEALED_MAX];
	unsigned relays = 0;

	begin();
	/* phone - entry - relay - other - host - alone, and what is shorter. */
	link_of(RELAY, OTHER, 10, 0);
	link_of(HOST, ALONE, 10, 0);
	n[HOST].roles |= 1u << ROLE_RELAY;
	for (unsigned i = 0; i < AUTHORITY; i++)
		node_put(i);
	memcpy(ask.dest, n[ALONE].id, NODE_ID_LEN);
	ask.classes = ALL;
	ck_assert_int_eq(issue(), LEASE_OK);
	for (int k = 0; k < nout; k++) {
		const struct lease *l = &out[k];

		for (unsigned hop = 1; hop + 1 < l->n; hop++) {
			size_t len = held_by(l, hop, buf, sizeof(buf));

			relays++;
			ck_assert(contains(buf, len, l->nodes[hop - 1], NODE_ID_LEN));
			ck_assert(contains(buf, len, l->nodes[hop + 1], NODE_ID_LEN));
			ck_assert(tells_of(buf, len, node_at(l, hop)));
			ck_assert(tells_of(buf, len, &n[COORD]));	/* who issued it */
			for (unsigned i = 0; i < NODES; i++) {
				if (i == COORD || i == AUTHORITY || &n[i] == node_at(l, hop) || &n[i] == node_at(l, hop - 1) ||
				    &n[i] == node_at(l, hop + 1))
					continue;
				ck_assert_msg(!tells_of(buf, len, &n[i]), "relay %u of %s learns of %s", hop, path(l), n[i].name);
			}
			/* Not even of its neighbours more than their ids. */
			ck_assert(!contains(buf, len, node_at(l, hop - 1)->name, strlen(node_at(l, hop - 1)->name)));
			ck_assert(!contains(buf, len, node_at(l, hop + 1)->node.public, 8));
		}
		/* Nor by the lengths of what it passes on. */
		for (unsigned hop = 2; hop < l->n; hop++)
			ck_assert_uint_eq(l->sealed[hop].len, l->sealed[1].len);
	}
	ck_assert_uint_ge(relays, 4);
	end();
}
END_TEST

/* --- the answer --- */

START_TEST(answers_both_ways)
{
	static uint8_t buf[LEASE_ANSWER_MAX], again[LEASE_ANSWER_MAX];
	struct lease back;
	struct ticket k;
	size_t len;

	begin();
	ask.classes = 1u << CLASS_INTERACTIVE | 1u << CLASS_BULK;
	ck_assert_int_eq(issue(), LEASE_OK);
	len = lease_encode(buf, sizeof(buf), &out[0]);
	ck_assert_uint_gt(len, 0);
	ck_assert_uint_eq(lease_encode(again, len - 1, &out[0]), 0);
	ck_assert_int_eq(lease_decode(&back, buf, len), 0);
	ck_assert_uint_eq(lease_encode(again, sizeof(again), &back), len);
	ck_assert_mem_eq(again, buf, len);
	ck_assert_mem_eq(back.nodes, out[0].nodes, sizeof(back.nodes));
	ck_assert_mem_eq(back.score, out[0].score, sizeof(back.score));
	ck_assert_mem_eq(back.scored.part, out[0].scored.part, sizeof(back.scored.part));
	ck_assert_uint_eq(back.scored.score, out[0].scored.score);
	ck_assert_uint_eq(back.scored.rtt_us, out[0].scored.rtt_us);
	ck_assert_uint_eq(back.kbps, out[0].kbps);
	ck_assert_int_eq(shown(&back, 0, &k), TICKET_OK);
	ck_assert_int_eq(lease_check(&back, &k), 0);
	lease_free(&back);
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = exact_copy(buf, cut);

		ck_assert_int_ne(lease_decode(&back, copy, cut), 0);
		free(copy);
	}
	buf[len] = 0;
	ck_assert_int_eq(lease_decode(&back, buf, len + 1), FRAME_E_TRAILING);
	/* Whatever is changed is no lease, or not what the issuer signed. */
	for (size_t bit = 0; bit < len * 8; bit += bit < 2400 ? 1 : 13) {
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (lease_decode(&back, buf, len) == 0) {
			ck_assert(shown_to(&n[PHONE], &back, 0, &k) != TICKET_OK || lease_check(&back, &k) == -1);
			lease_free(&back);
		}
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* One lease's own ticket in another. */
	ck_assert_int_ge(nout, 2);
	ck_assert_int_eq(shown(&out[1], 0, &k), TICKET_OK);
	ck_assert_int_eq(lease_check(&out[0], &k), -1);
	/* What encoding must not make. */
	back = out[0];
#define REFUSED(change) do { back = out[0]; change; ck_assert_uint_eq(lease_encode(again, sizeof(again), &back), 0); } while (0)
	REFUSED(back.n = 1);
	REFUSED(back.n = LEASE_HOPS_MAX + 1);
	REFUSED(back.route_id = 0);
	REFUSED(back.epoch = 0);
	REFUSED(back.classes = 0);
	REFUSED(back.soft = back.hard + 1);
	REFUSED(back.self = true);		/* over two relays */
	REFUSED(back.score[CLASS_BULK] = UINT32_MAX);
	REFUSED(back.score[CLASS_DNS] = 1);
	REFUSED(memcpy(back.nodes[1], back.nodes[0], NODE_ID_LEN));
	REFUSED(back.sealed[1].len = 0);
	REFUSED(back.sealed[1].len = TICKET_SEALED_MAX + 1);
	end();
}
END_TEST

/* --- choice --- */

START_TEST(classes_and_alternates)
{
	begin();
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(nout, 2);
	ck_assert_str_eq(path(&out[0]), "0123");
	ck_assert_str_eq(path(&out[1]), "0143");
	ask.classes = 1u << CLASS_INTERACTIVE | 1u << CLASS_BULK;
	ask.routes = 1;		/* of each kind: they differ */
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(nout, 2);
	ck_assert_str_eq(path(&out[0]), "0123");
	ck_assert_str_eq(path(&out[1]), "0143");
	ck_assert_uint_lt(out[0].score[CLASS_INTERACTIVE], out[1].score[CLASS_INTERACTIVE]);
	ck_assert_uint_gt(out[0].score[CLASS_BULK], out[1].score[CLASS_BULK]);
	ck_assert_uint_eq(out[0].score[CLASS_DNS], UINT32_MAX);
	/* A relay that does not carry one of them. */
	n[RELAY].facts.relay_classes = 1u << CLASS_INTERACTIVE;
	node_put(RELAY);
	ask.routes = 0;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_str_eq(path(&out[0]), "0123");
	ck_assert_uint_eq(out[0].classes, 1u << CLASS_INTERACTIVE);
	ck_assert_uint_eq(out[1].classes, ask.classes);
	/* Two classes of a kind, no relay carries both: each has its route. */
	n[OTHER].facts.relay_classes = 1u << CLASS_DNS;
	node_put(OTHER);
	ask.classes = 1u << CLASS_INTERACTIVE | 1u << CLASS_DNS;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(nout, 2);
	ck_assert_uint_eq(out[0].classes | out[1].classes, ask.classes);
	ck_assert_uint_eq(out[0].classes & out[1].classes, 0);
	/* Only what the source may do at the destination. */
	reach_classes = 1u << CLASS_DNS;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(nout, 1);
	ck_assert_uint_eq(out[0].classes, 1u << CLASS_DNS);
	end();
}
END_TEST

START_TEST(a_route_that_is_held_keeps_its_id)
{
	uint64_t id, epoch;

	begin();
	ck_assert_int_eq(issue(), LEASE_OK);
	id = out[1].route_id;
	epoch = out[1].epoch;
	ask.nheld = 2;
	ask.held[0] = (struct lease_held){ .route_id = 77, .n = 3 };
	ask.held[1] = (struct lease_held){ .route_id = id, .n = out[1].n };
	memcpy(ask.held[1].nodes, out[1].nodes, sizeof(out[1].nodes));
	ask.known_epoch = epoch;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_eq(out[1].route_id, id);
	ck_assert_uint_ne(out[0].route_id, id);
	ck_assert_uint_gt(out[1].epoch, epoch);
	end();
}
END_TEST

/* Without a coordinator: the source itself, directly or over one relay. */
START_TEST(by_the_source_itself)
{
	struct ticket k;

	begin();
	coordinator_is(PHONE, NULL);
	ask.self = true;
	ck_assert_int_eq(issue(), LEASE_E_NO_ROUTE);	/* two relays */
	memcpy(ask.dest, n[RELAY].id, NODE_ID_LEN);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(nout, 1);
	ck_assert_str_eq(path(&out[0]), "012");
	ck_assert(out[0].self);
	for (unsigned hop = 0; hop < 3; hop++)
		ck_assert_int_eq(shown(&out[0], hop, &k), TICKET_OK);
	memcpy(ask.dest, n[ENTRY].id, NODE_ID_LEN);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_str_eq(path(&out[0]), "01");
	ck_assert_int_eq(shown(&out[0], 1, &k), TICKET_OK);
	memcpy(ask.source, n[ENTRY].id, NODE_ID_LEN);	/* not for others */
	memcpy(ask.dest, n[RELAY].id, NODE_ID_LEN);
	ck_assert_int_eq(issue(), LEASE_E_FORM);
	ask.self = false;
	ck_assert_int_eq(issue(), LEASE_E_KEYS);
	end();
}
END_TEST

START_TEST(who_gets_none)
{
#define NONE(error, change) do { begin(); change; ck_assert_int_eq(issue(), error); } while (0)
	NONE(LEASE_E_FORM, ask.classes = 0);
	NONE(LEASE_E_FORM, ask.classes = 1u << CLASS_COUNT);
	NONE(LEASE_E_FORM, memcpy(ask.dest, ask.source, NODE_ID_LEN));
	NONE(LEASE_E_FORM, ask.known_epoch = UINT64_MAX);
	NONE(LEASE_E_UNKNOWN, n[PHONE].known = false);
	NONE(LEASE_E_UNKNOWN, n[HOST].known = false);
	NONE(LEASE_E_REVOKED, is_revoked = n[PHONE].id);
	NONE(LEASE_E_REVOKED, is_revoked = n[HOST].id);
	NONE(LEASE_E_NO_ROUTE, is_revoked = n[ENTRY].id);
	NONE(LEASE_E_POLICY, reach_classes = 1u << CLASS_BULK);
	NONE(LEASE_E_NO_ROUTE, memcpy(ask.dest, n[ALONE].id, NODE_ID_LEN));
	NONE(LEASE_E_NO_ROUTE, graph_node_del(g, n[ENTRY].id));
	NONE(LEASE_E_KEYS, n[ENTRY].key_end = NOW);
	NONE(LEASE_E_KEYS, n[ENTRY].known = false);
	NONE(LEASE_E_KEYS, n[HOST].key_end = NOW + 4);
	NONE(LEASE_E_KEYS, (n[COORD].key_end = NOW + 4, coordinator_is(COORD, NULL)));
	NONE(LEASE_E_KEYS, (n[COORD].roles = 0, coordinator_is(COORD, NULL)));
	begin();	/* one relay without keys leaves the other */
	n[RELAY].key_end = NOW;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(nout, 1);
	ck_assert_str_eq(path(&out[0]), "0143");
	begin();	/* a lease ends before the first of the keys */
	n[RELAY].key_end = NOW + 100;
	n[OTHER].key_end = NOW + 20;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_eq(out[0].hard, NOW + 100);
	ck_assert_uint_eq(out[0].soft, NOW + 60);
	ck_assert_uint_eq(out[1].hard, NOW + 20);
	ck_assert_uint_eq(out[1].soft, NOW + 20);
	for (unsigned i = 0; i < LEASE_E_COUNT; i++)
		for (unsigned j = 0; j < i; j++)
			ck_assert_str_ne(lease_strerror(i), lease_strerror(j));
	end();
}
END_TEST

START_TEST(keys_that_do_not_belong_together)
{
	struct frame_bytes m, d, none = { NULL, 0 };

	begin();
	records_make(&n[ENTRY]);
	m = (struct frame_bytes){ n[COORD].membership, n[COORD].mlen };
	d = (struct frame_bytes){ n[COORD].delegation, n[COORD].dlen };
	ck_assert_int_eq(coordinator_keys(c, &n[ENTRY].route, m, d), -1);
	ck_assert_int_eq(issue(), LEASE_E_KEYS);
	ck_assert_int_eq(coordinator_keys(c, &n[COORD].route, (struct frame_bytes){ n[ENTRY].membership, n[ENTRY].mlen }, d), -1);
	ck_assert_int_eq(coordinator_keys(c, &n[COORD].route, d, m), -1);
	ck_assert_int_eq(coordinator_keys(c, &n[COORD].route, none, none), -1);
	ck_assert_int_eq(coordinator_keys(c, &n[COORD].route, m, d), 0);
	ck_assert_int_eq(issue(), LEASE_OK);
	end();
}
END_TEST

START_TEST(sources_are_limited)
{
	unsigned given = 0;

	begin();
	for (unsigned i = 0; i < 50; i++)
		given += issue() == LEASE_OK;
	ck_assert_uint_eq(given, SOURCE_BURST);
	ck_assert_int_eq(issue(), LEASE_E_RATE);
	memcpy(ask.source, n[OTHER].id, NODE_ID_LEN);	/* another is not */
	ck_assert_int_eq(issue(), LEASE_OK);
	memcpy(ask.source, n[PHONE].id, NODE_ID_LEN);
	t.now_ns += SOURCE_EVERY_MS * 1000000ull;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(issue(), LEASE_E_RATE);
	end();
}
END_TEST

/* --- what failed at others --- */

static void
blame(unsigned node)
{
	ask.nfailed = 1;
	memcpy(ask.failed[0], n[node].id, NODE_ID_LEN);
}

static uint32_t
history(void)
{
	for (int i = 0; i < nout; i++)
		if (strchr(path(&out[i]), '0' + RELAY) != NULL)
			return out[i].scored.part[SCORE_HISTORY];
	ck_abort_msg("no route over it");
}

static void
from_to(unsigned source, unsigned dest)
{
	memcpy(ask.source, n[source].id, NODE_ID_LEN);
	memcpy(ask.dest, n[dest].id, NODE_ID_LEN);
	ask.nfailed = ask.nheld = 0;
}

static void
holds(unsigned source, unsigned relay)
{
	ask.nheld = 1;
	ask.held[0] = (struct lease_held){ .route_id = 77, .n = 3 };
	memcpy(ask.held[0].nodes[0], n[source].id, NODE_ID_LEN);
	memcpy(ask.held[0].nodes[1], n[relay].id, NODE_ID_LEN);
	memcpy(ask.held[0].nodes[2], n[HOST].id, NODE_ID_LEN);
}

/* Where a source says that a relay failed which was leased to it, or that it holds, the other one is given. */
START_TEST(what_failed_at_a_source)
{
	begin();
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_str_eq(path(&out[0]), "0123");
	blame(RELAY);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_str_eq(path(&out[0]), "0143");
	ck_assert_uint_eq(history(), 50000);
	ck_assert_int_eq(issue(), LEASE_OK);	/* the same again is the same failure */
	ck_assert_uint_eq(history(), 50000);
	t.now_ns += 61 * 60 * 1000000000ull;
	ask.nfailed = 0;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_str_eq(path(&out[0]), "0123");
	begin();	/* another coordinator gave it, or this one before a restart */
	blame(RELAY);
	holds(PHONE, RELAY);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_str_eq(path(&out[0]), "0143");
	end();
}
END_TEST

/* Of what is on none of its routes, what it says changes nothing; nor of their ends. */
START_TEST(what_failed_elsewhere)
{
	begin();
	blame(RELAY);	/* nothing was leased to it yet */
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_str_eq(path(&out[0]), "0123");
	ck_assert_uint_eq(history(), 0);
	from_to(ALONE, HOST);
	blame(RELAY);
	ck_assert_int_eq(issue(), LEASE_E_NO_ROUTE);
	holds(PHONE, RELAY);	/* another's */
	ck_assert_int_eq(issue(), LEASE_E_NO_ROUTE);
	from_to(PHONE, RELAY);
	ck_assert_int_eq(issue(), LEASE_OK);
	from_to(PHONE, HOST);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_eq(history(), 0);
	/* What was leased is forgotten some time after it has ended. */
	t.now_ns += SOURCE_LEASED_NS;
	blame(RELAY);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_eq(history(), 0);
	end();
	begin();	/* the destination, and the source itself */
	ck_assert_int_eq(issue(), LEASE_OK);
	holds(PHONE, ENTRY);
	blame(HOST);
	ck_assert_int_eq(issue(), LEASE_OK);
	blame(PHONE);
	ck_assert_int_eq(issue(), LEASE_OK);
	from_to(ENTRY, ALONE);
	link_of(HOST, ALONE, 10, 0);
	n[HOST].roles |= 1u << ROLE_RELAY;
	node_put(HOST);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_eq(history(), 0);
	end();
}
END_TEST

/* One that blames all the time counts for two failures; two count for more, and none for a relay that it does not use. */
START_TEST(one_source_counts_so_much)
{
	uint32_t most = 0;

	begin();
	for (unsigned i = 0; i < 120; i++) {
		blame(RELAY);
		ck_assert_int_eq(issue(), LEASE_OK);
		ck_assert_uint_le(history(), 2 * 50000);
		most = history() > most ? history() : most;
		t.now_ns += GRAPH_TOLD_NS / 2;
	}
	ck_assert_uint_gt(most, 95000);
	from_to(ENTRY, HOST);
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_int_eq(issue(), LEASE_OK);
		most = history();
		blame(RELAY);
		t.now_ns += GRAPH_TOLD_NS;
	}
	ck_assert_uint_gt(most, 3 * 50000);
	ck_assert_uint_le(most, 4 * 50000);
	end();
}
END_TEST

/* --- what outlives a restart --- */

static char dir[] = "/tmp/check_coordinator.XXXXXX";
static char file[64];

static void
dir_make(void)
{
	strcpy(dir, "/tmp/check_coordinator.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/%s", dir, LEASESTORE_FILE);
}

static void
dir_remove(void)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

START_TEST(epochs_never_go_back)
{
	struct leasestore *s = leasestore_sqlite(file);
	uint64_t last = 0;

	begin();
	ck_assert_ptr_nonnull(s);
	coordinator_is(COORD, s);
	for (unsigned i = 0; i < 10; i++) {	/* also within a millisecond */
		ck_assert_int_eq(issue(), LEASE_OK);
		ck_assert_uint_gt(out[0].epoch, last);
		ck_assert_uint_ge(out[0].epoch, NOW * 1000);
		last = out[0].epoch;
	}
	/* A restart, and the clock an hour back. */
	s->ops->free(s);
	s = leasestore_sqlite(file);
	coordinator_is(COORD, s);
	t.now_ms -= 3600 * 1000;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_gt(out[0].epoch, last);
	last = out[0].epoch;
	/* A source that knows of a greater one gets a greater one; the others are not dragged along. */
	ask.known_epoch = last + 100000;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_eq(out[0].epoch, ask.known_epoch + 1);
	/* But none that no hop would take. */
	ask.known_epoch = 1ull << 61;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_eq(out[0].epoch, t.now_ms + LEASE_AHEAD_MAX_S * 1000ull);
	ask.known_epoch = 0;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_gt(out[0].epoch, last);
	ck_assert_uint_lt(out[0].epoch, last + 1000);
	/* Without a store it is the time. */
	coordinator_is(COORD, NULL);
	t.now_ms = (NOW + 5000) * 1000;
	n[COORD].key_end = NOW + 9000;
	for (unsigned i = 0; i < NODES; i++)
		n[i].key_end = NOW + 9000;
	coordinator_is(COORD, NULL);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_eq(out[0].epoch, t.now_ms);
	s->ops->free(s);
	end();
}
END_TEST

/* Started again and again in the same moment: what it gives is newer each time, and no further ahead than another's fence. */
START_TEST(restarts_do_not_run_ahead)
{
	struct leasestore *s = leasestore_sqlite(file);
	const struct fence f = { .what = FENCE_ROUTE, .route_id = 9 };
	uint64_t last = 0, wait_s;
	uint8_t rec[512];

	begin();
	for (unsigned i = 0; i < 20; i++) {
		coordinator_is(COORD, s);
		for (unsigned k = 0; k < 3; k++) {
			ck_assert_int_eq(issue(), LEASE_OK);
			ck_assert_uint_gt(out[0].epoch, last);
			last = out[0].epoch;
		}
		s->ops->free(s);
		s = leasestore_sqlite(file);
	}
	ck_assert_uint_lt(last, (NOW + 120) * 1000);
	/* Many of one life, while they are ahead: fences, which have their numbers from there and are quickly made. */
	coordinator_is(COORD, s);
	for (unsigned i = 0; i < 1100; i++)
		ck_assert_uint_gt(coordinator_fence(c, rec, sizeof(rec), &f, &t, &wait_s), 0);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_gt(out[0].epoch, last + 1100);
	last = out[0].epoch;
	s->ops->free(s);
	s = leasestore_sqlite(file);
	coordinator_is(COORD, s);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_gt(out[0].epoch, last);
	s->ops->free(s);
	end();
}
END_TEST

static const struct leasestore_ops *real_ops;
static unsigned deaf;

static int
sometimes(struct leasestore *s, uint64_t *upto)
{
	*upto = 0;
	return deaf > 0 && deaf-- > 0 ? -1 : real_ops->epoch_get(s, upto);
}

/* The store is busy when it is first asked, and the clock is back: what it has is not lost by that. */
START_TEST(a_store_that_is_deaf_once)
{
	struct leasestore *s = leasestore_sqlite(file);
	const uint64_t upto = (NOW + 3600) * 1000;
	struct leasestore_ops some;
	uint64_t there;

	begin();
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(s->ops->epoch_put(s, upto), 0);
	real_ops = s->ops;
	some = *s->ops;
	some.epoch_get = sometimes;
	s->ops = &some;
	coordinator_is(COORD, s);
	deaf = 1;
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_eq(out[0].epoch, t.now_ms);
	ck_assert_int_eq(real_ops->epoch_get(s, &there), 0);
	ck_assert_uint_eq(there, upto);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_gt(out[0].epoch, upto);
	s->ops = real_ops;
	s->ops->free(s);
	end();
}
END_TEST

static unsigned seen;
static struct lease_out seen_lease;
static uint8_t seen_fence[512];
static size_t seen_fence_len;

static void
lease_seen(const struct lease_out *l, void *arg)
{
	seen++;
	seen_lease = *l;
}

static void
fence_seen(const uint8_t *p, size_t len, void *arg)
{
	seen++;
	ck_assert_uint_le(len, sizeof(seen_fence));
	memcpy(seen_fence, p, len);
	seen_fence_len = len;
}

START_TEST(leases_and_fences_are_kept)
{
	struct leasestore *s = leasestore_sqlite(file);
	struct fence f = { .what = FENCE_ROUTE }, back;
	uint8_t rec[512];
	uint64_t wait_s;
	struct record r;
	size_t len;

	begin();
	coordinator_is(COORD, s);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(nout, 2);
	f.route_id = out[0].route_id;
	len = coordinator_fence(c, rec, sizeof(rec), &f, &t, &wait_s);
	ck_assert_uint_gt(len, 0);
	ck_assert_int_eq(record_decode(&r, rec, len), RECORD_OK);
	ck_assert_int_eq(record_verify(&r), 0);
	ck_assert_mem_eq(r.issuer, n[COORD].route.public, RECORD_KEY_LEN);
	ck_assert_int_eq(fence_decode(&back, &r), 0);
	ck_assert_uint_eq(back.route_id, f.route_id);
	ck_assert_uint_ge(back.epoch, out[0].epoch);	/* it hits what was given */
	ck_assert_uint_eq(r.serial, back.epoch);
	s->ops->free(s);
	s = leasestore_sqlite(file);
	seen = 0;
	ck_assert_int_eq(s->ops->leases(s, NOW, lease_seen, NULL), 0);
	ck_assert_uint_eq(seen, 2);
	ck_assert_uint_eq(seen_lease.epoch, out[0].epoch);
	ck_assert_uint_eq(seen_lease.n, 4);
	ck_assert_mem_eq(seen_lease.nodes[0], n[PHONE].id, NODE_ID_LEN);
	ck_assert_mem_eq(seen_lease.nodes[3], n[HOST].id, NODE_ID_LEN);
	ck_assert_int_eq(s->ops->fences(s, NOW, 9, fence_seen, NULL), 0);
	ck_assert_uint_eq(seen, 3);
	ck_assert_uint_eq(seen_fence_len, len);
	ck_assert_mem_eq(seen_fence, rec, len);
	/* Later than that, a lease is given whose epoch the fence does not hit. */
	coordinator_is(COORD, s);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_uint_gt(out[0].epoch, back.epoch);
	/* What has expired goes. */
	ck_assert_int_eq(s->ops->expire(s, NOW + LEASE_HARD_S), 0);
	seen = 0;
	ck_assert_int_eq(s->ops->leases(s, 0, lease_seen, NULL), 0);
	ck_assert_uint_eq(seen, 0);
	ck_assert_int_eq(s->ops->fences(s, 0, 9, fence_seen, NULL), 0);
	ck_assert_uint_eq(seen, 1);
	ck_assert_int_eq(s->ops->expire(s, NOW + LEASE_LIFE_MAX_S), 0);
	ck_assert_int_eq(s->ops->fences(s, 0, 9, fence_seen, NULL), 0);
	ck_assert_uint_eq(seen, 1);
	/* Nobody who is no coordinator fences. */
	coordinator_is(PHONE, s);
	ck_assert_uint_eq(coordinator_fence(c, rec, sizeof(rec), &f, &t, &wait_s), 0);
	ck_assert_uint_eq(wait_s, 0);
	s->ops->free(s);
	end();
}
END_TEST

static unsigned nagain;
static uint64_t again_serials[COORDINATOR_FENCES_MAX + 1];

/* Signed with the key of now, and otherwise as it was: its number is its route. */
static void
said_again(const uint8_t *p, size_t len, void *arg)
{
	const uint64_t *made = arg;
	struct record r;
	struct fence f;

	ck_assert_uint_lt(nagain, COORDINATOR_FENCES_MAX);
	ck_assert_int_eq(record_decode(&r, p, len), RECORD_OK);
	ck_assert_int_eq(record_verify(&r), 0);
	ck_assert_mem_eq(r.issuer, n[COORD].route.public, RECORD_KEY_LEN);
	ck_assert_mem_eq(r.subject, n[COORD].node.public, RECORD_KEY_LEN);
	ck_assert_int_eq(fence_decode(&f, &r), 0);
	ck_assert_uint_eq(f.what, FENCE_ROUTE);
	ck_assert_uint_eq(f.epoch, r.serial);
	ck_assert_uint_eq(r.not_after, made[0] + f.route_id + LEASE_LIFE_MAX_S);
	ck_assert_uint_eq(r.not_before, made[0] + f.route_id - LEASE_LATER_S);
	again_serials[nagain++] = r.serial;
}

static unsigned
again(uint64_t made)
{
	nagain = 0;
	coordinator_fences_again(c, &t, said_again, &made);
	return nagain;
}

/* Route i is fenced i seconds from `made' on. */
static void
fence_routes(unsigned from, unsigned to, uint64_t made)
{
	uint8_t rec[512];
	uint64_t wait_s;

	for (unsigned i = from; i <= to; i++) {
		struct lease_time then = { (made + i) * 1000, t.now_ns };
		struct fence f = { .what = FENCE_ROUTE, .route_id = i };

		ck_assert_uint_gt(coordinator_fence(c, rec, sizeof(rec), &f, &then, &wait_s), 0);
	}
}

/* After a start the key is another: what is in force is signed with that, and then left alone. */
START_TEST(fences_are_said_again)
{
	struct leasestore *s = leasestore_sqlite(file);
	uint64_t serials[2];

	begin();
	coordinator_is(COORD, s);
	fence_routes(1, 2, NOW);
	ck_assert_uint_eq(again(NOW), 0);
	for (unsigned start = 0; start < 2; start++) {
		s->ops->free(s);
		s = leasestore_sqlite(file);
		ck_assert_int_eq(sign_key_generate(&n[COORD].route), 0);
		coordinator_is(COORD, s);
		ck_assert_uint_eq(again(NOW), 2);
		ck_assert(start == 0 || memcmp(serials, again_serials, sizeof(serials)) == 0);
		memcpy(serials, again_serials, sizeof(serials));
		ck_assert_uint_eq(again(NOW), 0);
	}
	/* One has expired. */
	ck_assert_int_eq(sign_key_generate(&n[COORD].route), 0);
	t.now_ms = (NOW + 1 + LEASE_LIFE_MAX_S) * 1000;
	n[COORD].key_end = NOW + 86400;
	coordinator_is(COORD, s);
	ck_assert_uint_eq(again(NOW), 1);
	ck_assert_uint_eq(again_serials[0], serials[0]);	/* the last comes first */
	s->ops->free(s);
	end();
}
END_TEST

/* Of many those that end last; none of another node that was here before, or by one that coordinates no more. */
START_TEST(which_fences_are_said_again)
{
	struct leasestore *s = leasestore_sqlite(file);

	begin();
	coordinator_is(COORD, s);
	fence_routes(1, COORDINATOR_FENCES_MAX + 10, NOW);
	n[PHONE].roles |= 1u << ROLE_ROUTE_COORDINATOR;
	coordinator_is(PHONE, s);
	ck_assert_uint_eq(again(NOW), 0);
	ck_assert_int_eq(sign_key_generate(&n[COORD].route), 0);
	n[COORD].roles = 1u << ROLE_RELAY;
	coordinator_is(COORD, s);
	ck_assert_uint_eq(again(NOW), 0);
	n[COORD].roles = 1u << ROLE_ROUTE_COORDINATOR;
	coordinator_is(COORD, s);
	ck_assert_uint_eq(again(NOW), COORDINATOR_FENCES_MAX);
	for (unsigned i = 1; i < COORDINATOR_FENCES_MAX; i++)
		ck_assert_uint_lt(again_serials[i], again_serials[i - 1]);
	s->ops->free(s);
	end();
}
END_TEST

/* The clock was far ahead, and is set right: what it gives now all can take, and is newer each time, also after a restart. */
START_TEST(a_clock_that_was_far_ahead)
{
	struct leasestore *s = leasestore_sqlite(file);
	uint64_t last = 0;

	begin();
	ck_assert_int_eq(s->ops->epoch_put(s, (NOW + 86400) * 1000ull), 0);
	for (unsigned i = 0; i < 3; i++) {
		coordinator_is(COORD, s);
		for (unsigned k = 0; k < 3; k++) {
			ck_assert_int_eq(issue(), LEASE_OK);
			ck_assert_uint_gt(out[0].epoch, last);
			ck_assert(lease_epoch_bounded(out[0].epoch, t.now_ms / 1000 - CLOCK_SKEW_S));
			last = out[0].epoch;
			t.now_ms++;
		}
		s->ops->free(s);
		s = leasestore_sqlite(file);
	}
	s->ops->free(s);
	end();
}
END_TEST

/* A file that is not one: it is moved aside, and leases are given all the same; also where no file can be. */
START_TEST(a_bad_file_stops_nothing)
{
	static const char *const bad[] = { "not a database, and long enough that it cannot be taken for an empty one", "" };
	char aside[96], cmd[256];
	struct leasestore *s;
	uint64_t upto;

	for (size_t i = 0; i < 2; i++) {
		FILE *fp = fopen(file, "w");

		ck_assert_ptr_nonnull(fp);
		for (unsigned j = 0; j < 100 && bad[i][0] != '\0'; j++)
			fputs(bad[i], fp);
		fclose(fp);
		s = leasestore_sqlite(file);
		begin();
		coordinator_is(COORD, s);
		ck_assert_int_eq(issue(), LEASE_OK);
		ck_assert_int_eq(s->ops->epoch_get(s, &upto), 0);
		ck_assert_uint_gt(upto, NOW * 1000);
		s->ops->free(s);
		snprintf(aside, sizeof(aside), "%s.bad", file);
		ck_assert_int_eq(access(aside, F_OK), bad[i][0] == '\0' ? -1 : 0);
		snprintf(cmd, sizeof(cmd), "rm -f %s*", file);
		ck_assert_int_eq(system(cmd), 0);
	}
	s = leasestore_sqlite("/nonexistent/leases.db");
	begin();
	coordinator_is(COORD, s);
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(s->ops->epoch_get(s, &upto), -1);
	s->ops->free(s);
	end();
}
END_TEST

/* One that was killed leaves its log: the next one ends with the file alone, also when it needed nothing of it. */
START_TEST(the_log_of_one_that_was_killed)
{
	char wal[96];
	struct leasestore *s;
	uint64_t upto;
	pid_t pid;
	int status;

	snprintf(wal, sizeof(wal), "%s-wal", file);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0) {
		s = leasestore_sqlite(file);
		_exit(s != NULL && s->ops->epoch_put(s, 77) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(access(wal, F_OK), 0);
	s = leasestore_sqlite(file);
	s->ops->free(s);
	ck_assert_int_eq(access(wal, F_OK), -1);
	s = leasestore_sqlite(file);
	ck_assert_int_eq(s->ops->epoch_get(s, &upto), 0);
	ck_assert_uint_eq(upto, 77);
	s->ops->free(s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("coordinator");
	TCase *tc = tcase_create("leases"), *kept = tcase_create("kept");

	tcase_add_unchecked_fixture(tc, keys_make, NULL);
	tcase_add_test(tc, each_hop_accepts_its_ticket);
	tcase_add_test(tc, no_relay_learns_a_third_node);
	tcase_add_test(tc, answers_both_ways);
	tcase_add_test(tc, classes_and_alternates);
	tcase_add_test(tc, a_route_that_is_held_keeps_its_id);
	tcase_add_test(tc, by_the_source_itself);
	tcase_add_test(tc, who_gets_none);
	tcase_add_test(tc, keys_that_do_not_belong_together);
	tcase_add_test(tc, sources_are_limited);
	tcase_add_test(tc, what_failed_at_a_source);
	tcase_add_test(tc, what_failed_elsewhere);
	tcase_add_test(tc, one_source_counts_so_much);
	suite_add_tcase(s, tc);
	tcase_add_unchecked_fixture(kept, keys_make, NULL);
	tcase_add_checked_fixture(kept, dir_make, dir_remove);
	tcase_add_test(kept, epochs_never_go_back);
	tcase_add_test(kept, restarts_do_not_run_ahead);
	tcase_add_test(kept, a_store_that_is_deaf_once);
	tcase_add_test(kept, a_clock_that_was_far_ahead);
	tcase_add_test(kept, leases_and_fences_are_kept);
	tcase_add_test(kept, fences_are_said_again);
	tcase_add_test(kept, which_fences_are_said_again);
	tcase_add_test(kept, a_bad_file_stops_nothing);
	tcase_add_test(kept, the_log_of_one_that_was_killed);
	suite_add_tcase(s, kept);
	return suite_run(s);
}
