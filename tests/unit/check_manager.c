/* The route manager's requests and answers, its routes, and what ends them. */
#include "manager_world.h"
#include "suite.h"

#include "crypto/box.h"
#include "fabric/policy_build.h"

/* --- asking, and being asked --- */

static struct route_answer answer;
static uint8_t request[REQUEST_MAX + BOX_OVERHEAD + 64];	/* the last one */
static size_t request_len;

/* It asks this node, which coordinates: what it is answered. A refusal is proven by what was asked. */
static enum lease_error
asked_by(const struct kw_node *n, struct lease_ask a, uint64_t id, uint64_t serial)
{
	static uint8_t content[REQUEST_MAX], record[REQUEST_MAX], box[REQUEST_MAX + BOX_OVERHEAD];
	struct route_request q = { .ttl = 1, .id = id, .n = 1, .sealed = { { me.id, { box, 0 } } } };
	struct record r = { .kind = RECORD_ROUTE_REQUEST, .subject = n->key.public, .serial = serial, .not_before = kw_wall,
	    .not_after = kw_wall + ROUTEMSG_LIFE_S, .content = { content, route_ask_encode(content, sizeof(content), &a, id) } };
	uint8_t prologue[64], key[HASH_LEN], proof[REFUSAL_PROOF_LEN];
	size_t rlen = record_sign(record, sizeof(record), &r, &n->route);
	int len = box_seal(box, sizeof(box), my_ticket.public, prologue, route_request_prologue(prologue, id), record, rlen);

	ck_assert_int_gt(len, 0);
	q.sealed[0].box.len = (size_t)len;
	sent.type = 0;
	ck_assert_uint_gt(request_len = route_request_encode(request, sizeof(request), &q), 0);
	ck_assert_int_eq(manager_message(m, relay.id, DIRMSG_ROUTE_REQUEST, request, request_len), 0);
	ck_assert_uint_eq(sent.type, DIRMSG_ROUTE_ANSWER);
	ck_assert_int_eq(route_answer_decode(&answer, sent.body, sent.len), 0);
	ck_assert_uint_eq(answer.id, id);
	if (answer.error != LEASE_OK) {
		route_refusal_key(key, record, rlen);
		ck_assert_int_eq(route_refusal_proof(proof, key, id, answer.error), 0);
		ck_assert_mem_eq(answer.box.p, proof, sizeof(proof));
	}
	return answer.error;
}

static enum lease_error
coord_asks(struct lease_ask a, uint64_t id, uint64_t serial)
{
	return asked_by(&coord, a, id, serial);
}

/* The same, from one that has heard of no fence, and is given leases: how many. */
static int
asked_by_coord(struct lease_ask a)
{
	static uint8_t plain[64 * 1024];
	static uint64_t last = 76;
	uint8_t prologue[64];
	int len;

	last++;
	ck_assert_int_eq(coord_asks(a, last, kw_wall * 1000 + last), LEASE_OK);
	len = box_open(plain, sizeof(plain), &coord_ticket, prologue, route_answer_prologue(prologue, last), answer.box.p, answer.box.len);
	ck_assert_int_gt(len, 0);
	return route_leases_decode(out, plain, (size_t)len);
}

static uint64_t asked_serial;

/*
 * Asks over its neighbour, signed and sealed to coord: what coord reads. Of who asks, for what and with what routes the
 * neighbour reads nothing.
 */
static struct lease_ask
asked(void)
{
	static uint8_t plain[REQUEST_MAX];
	struct lease_ask a = wish();
	struct route_request q;
	uint8_t bound[64];
	struct record r;
	uint64_t id;
	int len;

	a.nheld = 1;
	a.held[0].route_id = 9;
	a.held[0].n = 3;
	memcpy(a.held[0].nodes[1], relay.id, NODE_ID_LEN);
	ck_assert_int_eq(manager_ask(&a, 5, 0, out, &why, m), ROUTES_SENT);
	ck_assert_uint_eq(sent.type, DIRMSG_ROUTE_REQUEST);
	ck_assert_int_eq(route_request_decode(&q, sent.body, sent.len), 0);
	ck_assert_ptr_null(memmem(sent.body, sent.len, me.id, NODE_ID_LEN));
	ck_assert_ptr_null(memmem(sent.body, sent.len, me.key.public, RECORD_KEY_LEN));
	ck_assert_ptr_null(memmem(sent.body, sent.len, host.id, NODE_ID_LEN));
	ck_assert_ptr_null(memmem(sent.body, sent.len, relay.id, NODE_ID_LEN));
	ck_assert_uint_eq(q.n, 1);
	ck_assert_mem_eq(q.sealed[0].to, coord.id, NODE_ID_LEN);
	len = box_open(plain, sizeof(plain), &coord_ticket, bound, route_request_prologue(bound, q.id), q.sealed[0].box.p,
	    q.sealed[0].box.len);
	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(record_decode(&r, plain, (size_t)len), RECORD_OK);
	ck_assert_int_eq(route_ask_decode(&a, &id, r.content.p, r.content.len), 0);
	asked_serial = r.serial;
	return a;
}

/* Over a node that was fenced off a moment ago there are leases again, also to where there was none: they are newer. */
START_TEST(leases_after_a_fence)
{
	const uint64_t newest = epoch_ahead();
	struct lease_ask a;
	int n;

	begin(1u << ROLE_MOBILE_EDGE);
	a = wish();
	has_neighbour = true;
	coord_opens();
	ck_assert_uint_eq(asked().known_epoch, 0);
	ck_assert_int_eq(fence(&coord, &relay, newest), KNOWN_OK);
	ck_assert_int_eq(fence(&coord, &coord, newest - 1000), KNOWN_OK);
	ck_assert_uint_eq(asked().known_epoch, newest);
	n = manager_ask_self(&a, out, &why, m);
	ck_assert_msg(n > 0, "%s", lease_strerror(why));
	ck_assert_uint_gt(out[0].epoch, newest);
	ck_assert_mem_eq(out[0].nodes[1], relay.id, NODE_ID_LEN);
	ck_assert_uint_eq(install_lease(m->install, &out[0], &m->now), INSTALL_OK);
	drop(n);
	/* What the source knows already is newer still. */
	a.known_epoch = newest + 5;
	n = manager_ask_self(&a, out, &why, m);
	ck_assert_msg(n > 0, "%s", lease_strerror(why));
	ck_assert_uint_eq(out[0].epoch, newest + 6);
	drop(n);
	end();
	/* The coordinator: for itself, and for one that has not heard of the fence. */
	begin(1u << ROLE_ROUTE_COORDINATOR);
	link_add(&coord, &relay);
	coord_opens();
	a = wish();
	ck_assert_int_eq(fence(&me, &relay, newest), KNOWN_OK);
	ck_assert_int_gt(n = manager_ask(&a, 6, 0, out, &why, m), 0);
	ck_assert_uint_gt(out[0].epoch, newest);
	drop(n);
	ck_assert_int_gt(n = asked_by_coord(wish()), 0);
	ck_assert_uint_gt(out[0].epoch, newest);
	drop(n);
	end();
}
END_TEST

/* --- a request that comes again --- */

static uint64_t
counted(unsigned counter)
{
	return stats->counter[counter];
}

/*
 * Who handed a request on can hand it on again while it is valid: it gets no second answer, and costs the source nothing of
 * what it may ask. What the source asks anew is answered, also in the same moment, and where one request overtakes another.
 */
START_TEST(a_request_is_served_once)
{
	const uint64_t now = kw_wall * 1000, replays = counted(STAT_ROUTED_LEASE_E_REPLAYED);
	struct lease_ask a;

	begin(1u << ROLE_ROUTE_COORDINATOR);
	link_add(&coord, &relay);
	coord_opens();
	a = wish();
	ck_assert_int_eq(coord_asks(a, 5, now), LEASE_OK);
	for (unsigned i = 1; i < 6; i++) {
		at(i * 11000);
		sent.type = 0;
		ck_assert_int_eq(manager_message(m, host.id, DIRMSG_ROUTE_REQUEST, request, request_len), 0);
		ck_assert_uint_eq(sent.type, DIRMSG_ROUTE_ANSWER);
		ck_assert_int_eq(route_answer_decode(&answer, sent.body, sent.len), 0);
		ck_assert_int_eq(answer.error, LEASE_E_REPLAYED);
		ck_assert_uint_eq(counted(STAT_ROUTED_LEASE_E_REPLAYED) - replays, i);
	}
	for (uint64_t i = 0; i < 2 * SOURCE_BURST; i++)
		ck_assert_int_eq(coord_asks(a, 100 + i, now), LEASE_E_REPLAYED);
	ck_assert_int_eq(coord_asks(a, 6, now + 2), LEASE_OK);
	ck_assert_int_eq(coord_asks(a, 7, now + 1), LEASE_OK);
	ck_assert_int_eq(coord_asks(a, 8, now + 1), LEASE_E_REPLAYED);
	for (uint64_t i = 3; i <= SOURCE_BURST; i++)
		ck_assert_int_eq(coord_asks(a, 200 + i, now + i), LEASE_OK);
	ck_assert_int_eq(coord_asks(a, 9, now + 100), LEASE_E_RATE);
	end();
}
END_TEST

/* A serial that is no time of the request: once heard, it would stand before all others. */
START_TEST(a_request_has_its_time)
{
	const uint64_t now = kw_wall * 1000;
	struct lease_ask a;

	begin(1u << ROLE_ROUTE_COORDINATOR);
	link_add(&coord, &relay);
	coord_opens();
	a = wish();
	ck_assert_int_eq(coord_asks(a, 5, now - 1), LEASE_E_FORM);
	ck_assert_int_eq(coord_asks(a, 6, now + (ROUTEMSG_LIFE_S + 1) * 1000), LEASE_E_FORM);
	ck_assert_int_eq(coord_asks(a, 7, UINT64_MAX >> 2), LEASE_E_FORM);
	ck_assert_int_eq(coord_asks(a, 8, now), LEASE_OK);
	end();
}
END_TEST

/* What this node asks has a time of its own each time, also within one millisecond. */
START_TEST(each_request_is_another)
{
	uint64_t first;

	begin(1u << ROLE_MOBILE_EDGE);
	has_neighbour = true;
	coord_opens();
	asked();
	first = asked_serial;
	ck_assert_uint_eq(first, m->wall_ms);
	asked();
	ck_assert_uint_eq(asked_serial, first + 1);
	at(500);
	asked();
	ck_assert_uint_eq(asked_serial, first + 500);
	end();
}
END_TEST

/* --- a refusal --- */

/* Asks by itself, over its neighbour; the record of what it asks, as coord opens it. */
static size_t
asks(uint8_t record[REQUEST_MAX], uint64_t *id)
{
	struct route_request q;
	uint8_t bound[64];
	int len;

	sent.type = 0;
	ck_assert_int_eq(routes_want(m->routes, host.id, ALL, &m->now), 0);
	manager_tick(m);
	ck_assert_uint_eq(sent.type, DIRMSG_ROUTE_REQUEST);
	ck_assert_int_eq(route_request_decode(&q, sent.body, sent.len), 0);
	len = box_open(record, REQUEST_MAX, &coord_ticket, bound, route_request_prologue(bound, q.id), q.sealed[0].box.p,
	    q.sealed[0].box.len);
	ck_assert_int_gt(len, 0);
	*id = q.id;
	return (size_t)len;
}

static void
refusal(uint64_t id, enum lease_error said, const uint8_t *record, size_t len, enum lease_error proven, unsigned flip)
{
	uint8_t key[HASH_LEN], proof[REFUSAL_PROOF_LEN];
	const struct route_answer a = { id, (uint8_t)said, { proof, sizeof(proof) } };

	route_refusal_key(key, record, len);
	ck_assert_int_eq(route_refusal_proof(proof, key, id, proven), 0);
	proof[flip / 8 % REFUSAL_PROOF_LEN] ^= flip < 8 * REFUSAL_PROOF_LEN ? 1u << flip % 8 : 0;
	ck_assert_int_eq(manager_message(m, relay.id, DIRMSG_ROUTE_ANSWER, buf, route_answer_encode(buf, sizeof(buf), &a)), 0);
}

/* Who hands a request on, and its answer, cannot refuse it for the coordinator: the answer is still waited for. */
START_TEST(refusals_are_proven)
{
	const uint64_t forged = counted(STAT_ROUTED_REFUSALS_FORGED);
	const unsigned bits = 8 * REFUSAL_PROOF_LEN;
	const struct route_dest *dest;
	uint8_t record[REQUEST_MAX];
	uint64_t id;
	size_t len;

	begin(1u << ROLE_MOBILE_EDGE);
	has_neighbour = true;
	coord_opens();
	len = asks(record, &id);
	dest = routes_find(m->routes, host.id);
	ck_assert_uint_ne(dest->answer_ns, 0);
	for (unsigned i = 0; i < bits; i++)
		refusal(id, LEASE_E_POLICY, record, len, LEASE_E_POLICY, i);
	refusal(id, LEASE_E_POLICY, record, len, LEASE_E_RATE, bits);
	refusal(id, LEASE_E_POLICY, record, len - 1, LEASE_E_POLICY, bits);
	refusal(id, LEASE_E_POLICY, me.key.public, RECORD_KEY_LEN, LEASE_E_POLICY, bits);
	ck_assert_uint_eq(counted(STAT_ROUTED_REFUSALS_FORGED) - forged, bits + 3);
	ck_assert_uint_ne(dest->answer_ns, 0);
	ck_assert_uint_ne(dest->error, LEASE_E_POLICY);
	ck_assert_uint_eq(m->answered_ns, 0);
	refusal(id, LEASE_E_POLICY, record, len, LEASE_E_POLICY, bits);
	ck_assert_uint_eq(counted(STAT_ROUTED_REFUSALS_FORGED) - forged, bits + 3);
	ck_assert_uint_eq(dest->answer_ns, 0);
	ck_assert_uint_eq(dest->error, LEASE_E_POLICY);
	ck_assert_uint_eq(m->answered_ns, m->now.now_ns);	/* netcheck: there is a coordinator */
	end();
}
END_TEST

/* What a coordinator cannot open it cannot refuse, neither. */
START_TEST(what_does_not_open)
{
	const uint64_t unknown = counted(STAT_ROUTED_LEASE_E_UNKNOWN);

	begin(1u << ROLE_ROUTE_COORDINATOR);
	link_add(&coord, &relay);
	coord_opens();
	ck_assert_int_eq(coord_asks(wish(), 5, kw_wall * 1000), LEASE_OK);
	at(11000);
	sent.type = 0;
	request[request_len - 1] ^= 1;
	ck_assert_int_eq(manager_message(m, relay.id, DIRMSG_ROUTE_REQUEST, request, request_len), 0);
	ck_assert_uint_eq(sent.type, 0);
	ck_assert_uint_eq(counted(STAT_ROUTED_LEASE_E_UNKNOWN) - unknown, 1);
	end();
}
END_TEST

/* --- a route of its own, over the relay --- */

static uint32_t
history_share(void)
{
	struct lease_ask a = wish();
	uint32_t share;
	int n = manager_ask_self(&a, out, &why, m);

	ck_assert_int_gt(n, 0);
	share = out[0].scored.part[SCORE_HISTORY];
	drop(n);
	return share;
}

/* The relays of a route count as failed where it broke, and not where something else was better. */
START_TEST(blame)
{
	struct procmsg msg = { .type = PM_ROUTE_MOVED };
	uint32_t before;

	begin(1u << ROLE_MOBILE_EDGE);
	msg.route_moved.from = installed();
	memcpy(msg.route_moved.node_id, host.id, NODE_ID_LEN);
	ck_assert_uint_eq(history_share(), 0);
	for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
		bool broke = reason == REASON_TIMEOUT || reason == REASON_HOP_GONE || reason == REASON_PEER_GONE;

		before = history_share();
		msg.route_moved.reason = reason;
		ck_assert_int_eq(manager_dataplane(m, &msg), 0);
		ck_assert_msg(broke ? history_share() > before : history_share() == before, "%s", reason_name(reason));
	}
	/* Where there is nothing else, it may be this node's own network. */
	msg.route_moved.reason = REASON_TIMEOUT;
	msg.route_moved.to_none = true;
	before = history_share();
	ck_assert_uint_gt(before, 0);
	ck_assert_int_eq(manager_dataplane(m, &msg), 0);
	ck_assert_uint_eq(history_share(), before);
	end();
}
END_TEST

/* At the coordinator: what others say that failed is in the scores of its own leases, too. */
START_TEST(blame_is_heard)
{
	struct lease_ask a;
	int n;

	begin(1u << ROLE_ROUTE_COORDINATOR);
	link_add(&coord, &relay);
	coord_opens();
	a = wish();
	drop(n = asked_by_coord(a));
	ck_assert_int_gt(n, 0);
	a.nfailed = 1;
	memcpy(a.failed[0], relay.id, NODE_ID_LEN);
	drop(asked_by_coord(a));
	ck_assert_int_gt(n = manager_ask(&a, 6, 0, out, &why, m), 0);
	ck_assert_uint_eq(out[0].scored.part[SCORE_HISTORY], 50000);
	drop(n);
	end();
}
END_TEST

static void
stat(uint64_t route_id, enum way_state state)
{
	struct procmsg msg = { .type = PM_ROUTE_STAT, .route_stat = { .route_id = route_id, .state = state } };

	memcpy(msg.route_stat.node_id, host.id, NODE_ID_LEN);
	ck_assert_int_eq(manager_dataplane(m, &msg), 0);
}

static void
silent(uint64_t route_id)
{
	for (unsigned i = 0; i < 2; i++) {
		at(i * MANAGER_SILENT_NS / NS_PER_MS + 6000);
		stat(route_id, WAY_SILENT);
	}
}

/*
 * The requests of the next minute say which relays failed; not when nothing else answers, neither: then it may be this
 * node's own network, or the far end.
 */
START_TEST(blame_is_told)
{
	struct procmsg msg = { .type = PM_ROUTE_MOVED, .route_moved = { .reason = REASON_TIMEOUT } };
	uint64_t route;

	begin(1u << ROLE_MOBILE_EDGE);
	coord_opens();
	route = installed();
	has_neighbour = true;
	ck_assert_uint_eq(asked().nfailed, 0);
	if (_i < 2) {
		ck_assert_int_eq(ways_add(m->ways, host.id, route ^ 1, 3, ALL, m->now.now_ns), 0);
		stat(route ^ 1, _i == 0 ? WAY_UP : WAY_SILENT);
		silent(route);
		ck_assert_uint_gt(history_share(), 0);
		ck_assert_uint_eq(asked().nfailed, _i == 0);
	} else {
		memcpy(msg.route_moved.node_id, host.id, NODE_ID_LEN);
		msg.route_moved.from = route;
		ck_assert_int_eq(manager_dataplane(m, &msg), 0);
	}
	if (_i != 1) {
		ck_assert_uint_eq(asked().nfailed, 1);
		ck_assert_mem_eq(asked().failed[0], relay.id, NODE_ID_LEN);
	}
	at(2 * GRAPH_TOLD_NS / NS_PER_MS);
	ck_assert_uint_eq(asked().nfailed, 0);
	end();
}
END_TEST

/* --- a coordinator comes --- */

/* Ticks on, from 10 s on: after how many ms a coordinator is asked, or `most'. */
static uint64_t
asked_after(uint64_t from, uint64_t most)
{
	uint64_t ms = 0;

	for (sent.type = 0; ms < most && sent.type != DIRMSG_ROUTE_REQUEST; ms += MANAGER_TICK_MS) {
		at(10000 + from + ms);
		manager_tick(m);
	}
	return ms;
}

/*
 * As no coordinator is known, or no neighbour's routed, a node makes a lease itself, and asks the first coordinator that it hears
 * of, or over the first neighbour, at once. One that was asked and did not answer is asked when the lease has to be renewed,
 * whenever it is back. Either way what there is carries on.
 */
START_TEST(a_coordinator_comes)
{
	uint64_t id;

	alone = _i == 0;
	begin(1u << ROLE_MOBILE_EDGE);
	alone = false;
	has_neighbour = _i == 2;
	id = installed();
	ck_assert(routes_find(m->routes, host.id)->held[0].lease.self);
	ck_assert_uint_eq(asked_after(0, 10000), 10000);
	has_neighbour = true;
	if (_i == 0) {
		coord_opens();
		ck_assert_uint_le(asked_after(10000, 5000), 1000);
	} else if (_i == 1) {
		manager_mesh_up(m, relay.id);
		ck_assert_uint_le(asked_after(10000, 5000), 1000);
	} else {
		manager_mesh_up(m, relay.id);
		coord_opens();
		coord.r.serial++;	/* its routed was started again */
		take(&coord);
		ck_assert_uint_eq(asked_after(10000, 10000), 10000);
		ck_assert_uint_le(asked_after(20000, 60000), LEASE_SOFT_S * 1000 - 20000);
	}
	ck_assert_ptr_nonnull(install_find(m->install, id));
	ck_assert_uint_eq(routes_find(m->routes, host.id)->held[0].state, HELD_UP);
	end();
}
END_TEST

/* --- what people are told --- */

/* The last event of this kind: why, and about whom. */
static void
told_of(enum history_kind kind, const char *why_text, const struct kw_node *whom)
{
	const struct history_event *e, *last = NULL;

	for (uint64_t i = 1; (e = history_get(&m->history, i)) != NULL; i = e->number + 1)
		if (e->kind == kind)
			last = e;
	ck_assert_msg(last != NULL, "no %s", history_kind_name(kind));
	ck_assert_str_eq(last->why, why_text);
	ck_assert(last->has_node == (whom != NULL));
	if (whom != NULL)
		ck_assert_mem_eq(last->node_id, whom->id, NODE_ID_LEN);
}

static void
say_state(unsigned type, uint64_t route_id, unsigned error)
{
	const struct route_installed i = { .route_id = route_id, .error = (uint8_t)error, .left = 1 };

	ck_assert_int_eq(manager_message(m, relay.id, type, buf, route_installed_encode(buf, sizeof(buf), &i)), 0);
}

/* Whose lease, which fence and whose, who refused or ended it: by their names. */
START_TEST(who_and_why)
{
	struct fence f = { .what = FENCE_NODE, .epoch = (kw_wall + 240) * 1000 };
	uint64_t id;

	begin(1u << ROLE_MOBILE_EDGE);
	id = installed();
	told_of(HISTORY_LEASED, "1 routes of its own", &host);
	told_of(HISTORY_INSTALLED, "lease by me", &host);
	memcpy(f.node, relay.id, NODE_ID_LEN);
	ck_assert_int_eq(knowns_take_signed(ks, buf, kw_fence_life(buf, sizeof(buf), 1, &f, LEASE_LIFE_MAX_S, &coord), false,
	    kw_wall), KNOWN_OK);
	told_of(HISTORY_FENCE, "node relay, by coord", &relay);
	told_of(HISTORY_FENCED, "node relay, by coord", &host);
	ck_assert_ptr_null(install_find(m->install, id));
	end();
	/* A hop says so that has heard of it sooner. */
	begin(1u << ROLE_MOBILE_EDGE);
	say_state(DIRMSG_TEARDOWN, installed(), TICKET_E_FENCED);
	told_of(HISTORY_FENCED, "fenced, says relay", &host);
	end();
	begin(1u << ROLE_MOBILE_EDGE);
	say_state(DIRMSG_TEARDOWN, installed(), INSTALL_E_CLOSED);
	told_of(HISTORY_ENDED, "closed, says relay", &host);
	end();
	begin(1u << ROLE_MOBILE_EDGE);
	id = installed();
	say_state(DIRMSG_INSTALLED, id, TICKET_E_POLICY);
	told_of(HISTORY_REFUSED, "not permitted by the policy, says relay", &host);
	end();
}
END_TEST

/* What cannot even be read is told of by who brought it. */
START_TEST(who_brought_rubbish)
{
	const struct route_install i = { .route_id = 9, .n = 1, .sealed = { { (const uint8_t *)"rubbish", 7 } } };

	begin(1u << ROLE_RELAY);
	ck_assert_int_eq(manager_message(m, host.id, DIRMSG_INSTALL, buf, route_install_encode(buf, sizeof(buf), &i)), 0);
	told_of(HISTORY_REFUSED, "sealed to another key, or changed on the way, from host", &host);
	end();
}
END_TEST

/* --- routes that a new policy forbids --- */

/* One rule after "pass all" and "pass relay all": what it blocks, for whom, in which classes (0: all). */
struct forbidden { const char *what; bool relay; const char *from, *to; uint8_t classes; bool ends; };

static void
policy_say(const struct forbidden *f, uint64_t serial)
{
	uint8_t content[POLICY_MAX];
	struct policy_source s = { .nrules = 0 };
	struct policy_source_rule *x;
	const char *bad;
	size_t len;

	policy_add_rule(&s)->pass = true;
	x = policy_add_rule(&s);
	x->pass = x->relay = true;
	x = policy_add_rule(&s);
	x->relay = f->relay;
	x->classes = f->classes;
	policy_add_word(&x->from.names, f->from);
	policy_add_word(&x->to.names, f->to);
	len = policy_encode(content, sizeof(content), &s, &bad);
	ck_assert_msg(len > 0, "%s", bad);
	policy_source_clear(&s);
	ck_assert_int_eq(knowns_take_signed(ks, buf, kw_signed(buf, sizeof(buf), RECORD_POLICY, serial, content, len,
	    &kw_authority), false, kw_wall), KNOWN_OK);
}

static const struct forbidden of_its_own[] = {
	{ "others", false, "host", "me", 0, false },
	{ "it may not reach it", false, "me", "host", 0, true },
	{ "in some of the classes only", false, "me", "host", 1u << CLASS_BULK, false },
	{ "the relay may not for it", true, "relay", "me", 0, true },
	{ "nor in a class", true, "relay", "me", 1u << CLASS_BULK, true },
	{ "not for others", true, "relay", "host", 0, false },
};

/* What a node has made for itself does not wait for others to end it, nor is it made again. */
START_TEST(a_policy_ends_ones_own)
{
	const struct forbidden *f = &of_its_own[_i];
	uint64_t id;

	begin(1u << ROLE_MOBILE_EDGE);
	id = installed();
	ck_assert(routes_find(m->routes, host.id)->held[0].lease.self);
	sent.type = 0;
	policy_say(f, 1);
	ck_assert_msg((install_find(m->install, id) == NULL) == f->ends, "%s", f->what);
	ck_assert_uint_eq(routes_find(m->routes, host.id)->n, !f->ends);
	ck_assert(sent.type == (f->ends ? DIRMSG_TEARDOWN : 0));
	sent.type = 0;
	for (uint64_t ms = 0; ms < 40000; ms += MANAGER_TICK_MS) {
		at(10000 + ms);
		manager_tick(m);
	}
	ck_assert_msg(sent.type == 0 || f->classes != 0, "%s", f->what);
	end();
}
END_TEST

/* coord makes itself a lease to the last of the path and has it installed over the first: what this node holds of it. */
static uint64_t
self_made(struct kw_node *over, const struct kw_node *to)
{
	struct coordinator *c = coordinator_new(m->graph, &manager_coordinator_ops, m, NULL);
	struct lease_time t = { kw_wall * 1000, NS_PER_SEC };
	struct lease_ask a = { .classes = 1u << CLASS_INTERACTIVE, .self = true };
	struct route_install i = { .n = 0 };
	unsigned first = over == &me ? 1 : 2;

	memcpy(a.source, coord.id, NODE_ID_LEN);
	memcpy(a.dest, to->id, NODE_ID_LEN);
	link_add(&coord, over);
	link_add(over, &coord);
	take(&coord);
	take(over);
	ck_assert_int_eq(coordinator_keys(c, &coord.route, coord.item.membership, coord.item.route), 0);
	ck_assert_msg(coordinator_issue(c, &a, out, LEASE_MAX, &t, &why) == 1, "%s", lease_strerror(why));
	ck_assert(out[0].self && out[0].n == 3);
	i.route_id = out[0].route_id;
	for (unsigned k = first; k < 3; k++)
		i.sealed[i.n++] = (struct frame_bytes){ out[0].sealed[k].p, out[0].sealed[k].len };
	ck_assert_int_eq(manager_message(m, out[0].nodes[first - 1], DIRMSG_INSTALL, buf, route_install_encode(buf, sizeof(buf), &i)), 0);
	coordinator_free(c);
	drop(1);
	ck_assert_ptr_nonnull(install_find(m->install, i.route_id));
	return i.route_id;
}

static const struct forbidden of_others[] = {
	{ "not this source", true, "me", "host", 0, false },
	{ "no relaying for the source", true, "me", "coord", 0, true },
	{ "another source", false, "host", "me", 0, false },
	{ "the source may not reach it", false, "coord", "me", 0, true },
};

/* Nor does the relay of such a route or its end: a relay knows of these who made them, and so for whom it relays. */
START_TEST(a_policy_ends_anothers_own)
{
	const struct pm_conf_routing conf = { .relay = true, .classes = ALL };
	const struct forbidden *f = &of_others[_i];
	struct score_weights weights;
	uint64_t id;

	begin(f->relay ? 1u << ROLE_RELAY : 1u << ROLE_SERVICE_HOST);
	weights = m->weights;
	manager_conf(m, &conf, &weights);
	if (f->relay) {
		me.facts.relay = true;
		me.facts.relay_classes = ALL;
		link_add(&me, &host);
		link_add(&host, &me);
		take(&host);
	}
	id = f->relay ? self_made(&me, &host) : self_made(&relay, &me);
	policy_say(f, 1);
	ck_assert_msg((install_find(m->install, id) == NULL) == f->ends, "%s", f->what);
	end();
}
END_TEST

/* --- neighbours of other tenants --- */

static void
border_add(const char *tenant)
{
	struct kw_node *n = &border[nborder];
	struct procmsg up = { .type = PM_PEER_UP, .peer_up = { .name = "b", .not_after = kw_wall + 1000, .datagram_max = 1200 } };

	kw_node_init(n, 700 + nborder++, "b", 1u << ROLE_RELAY);
	strcpy(n->m.tenant, tenant);
	take(n);
	memcpy(up.peer_up.node_id, n->id, NODE_ID_LEN);
	strcpy(up.peer_up.tenant, tenant);
	up.peer_up.membership = n->item.membership;
	up.peer_up.addr = (struct pm_addr){ 4, { 10, 0, 0, 1 }, 4600 };
	ck_assert_int_eq(directory_peer_up(d, &up.peer_up, m->now.now_ns, m->now.wall), 0);
}

/* Whom it does not answer, as it is no coordinator of that tenant's; and to whom it hands on what is for others. */
START_TEST(requests_of_other_tenants)
{
	static uint8_t content[POLICY_MAX], large[RECORD_LARGE_MAX], box[100];
	struct route_request q = { .ttl = 2, .id = 5, .n = 1, .sealed = { { host.id, { box, sizeof(box) } } } };

	begin(1u << ROLE_ROUTE_COORDINATOR);
	ck_assert_int_eq(knowns_take_signed(ks, large, kw_signed(large, sizeof(large), RECORD_POLICY, 1, content,
	    kw_policy_across(content, KW_TENANT, NULL), &kw_authority), false, kw_wall), KNOWN_OK);
	border_add("bolt");
	border_add("core");
	border_add("bolt");
	ck_assert_int_eq(asked_by(&border[0], wish(), 4, kw_wall * 1000), LEASE_E_UNKNOWN);
	sent.n = 0;
	ck_assert_int_eq(manager_message(m, border[0].id, DIRMSG_ROUTE_REQUEST, buf, route_request_encode(buf, sizeof(buf), &q)), 0);
	ck_assert_uint_eq(sent.n, 1);
	ck_assert_mem_eq(sent.to, border[2].id, NODE_ID_LEN);
	has_neighbour = true;
	q.id++;
	ck_assert_int_eq(manager_message(m, border[1].id, DIRMSG_ROUTE_REQUEST, buf, route_request_encode(buf, sizeof(buf), &q)), 0);
	ck_assert_uint_eq(sent.n, 2);
	ck_assert_mem_eq(sent.to, relay.id, NODE_ID_LEN);
	q.id++;
	ck_assert_int_eq(manager_message(m, relay.id, DIRMSG_ROUTE_REQUEST, buf, route_request_encode(buf, sizeof(buf), &q)), 0);
	ck_assert_uint_eq(sent.n, 5);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("manager");
	TCase *tc = tcase_create("manager");

	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_add_test(tc, leases_after_a_fence);
	tcase_add_test(tc, a_request_is_served_once);
	tcase_add_test(tc, a_request_has_its_time);
	tcase_add_test(tc, each_request_is_another);
	tcase_add_test(tc, refusals_are_proven);
	tcase_add_test(tc, what_does_not_open);
	tcase_add_test(tc, blame);
	tcase_add_test(tc, who_and_why);
	tcase_add_test(tc, who_brought_rubbish);
	tcase_add_test(tc, blame_is_heard);
	tcase_add_loop_test(tc, blame_is_told, 0, 3);
	tcase_add_loop_test(tc, a_coordinator_comes, 0, 3);
	tcase_add_loop_test(tc, a_policy_ends_ones_own, 0, sizeof(of_its_own) / sizeof(of_its_own[0]));
	tcase_add_loop_test(tc, a_policy_ends_anothers_own, 0, sizeof(of_others) / sizeof(of_others[0]));
	tcase_add_test(tc, requests_of_other_tenants);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
