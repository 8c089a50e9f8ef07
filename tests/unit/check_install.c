/* routed: what is installed hop by hop, and what is refused, by whom and why; who may end it; and how much there may be. */
#include "install_world.h"
#include "suite.h"

START_TEST(installs)
{
	n[R1].kbps_all = 7000;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	ck_assert_uint_eq(n[S].results, 1);
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
	assert_everywhere(1);
	for (unsigned i = S; i <= D; i++) {
		const struct pm_route *r = &n[i].routes[0];

		ck_assert_str_eq(r->tenant, "home");
		ck_assert_uint_eq(r->place, i == S ? TICKET_SOURCE : i == D ? TICKET_DEST : TICKET_RELAY);
		ck_assert_uint_eq(r->classes, CLASSES);
		ck_assert_uint_eq(r->hard, HARD);
		ck_assert_uint_eq(r->kbps, i == R1 || i == R2 ? 5000 : 0);
		ck_assert_uint_eq(r->streams, i == R1 || i == R2 ? 40 : 0);
		ck_assert_uint_eq(r->kbps_all, i == R1 ? 7000 : 0);
		if (i > S)
			ck_assert_mem_eq(r->prev, n[i - 1].id, NODE_ID_LEN);
		if (i < D)
			ck_assert_mem_eq(r->next, n[i + 1].id, NODE_ID_LEN);
	}
	ck_assert_mem_eq(n[D].routes[0].far, n[S].id, NODE_ID_LEN);
	ck_assert_mem_eq(n[S].routes[0].far, n[D].id, NODE_ID_LEN);
}
END_TEST

/* The source's dataplane hears of a route when all of it is there, and not before. */
/* The dataplane of a relay is told the tighter of what the ticket allows and what the policy lets the relay carry. */
START_TEST(the_tighter_limit)
{
	struct wish w = usual;

	for (unsigned i = 0; i < 2; i++) {
		w.kbps = i == 0 ? 100 : 9000;
		w.streams = i == 0 ? 3 : 50;
		ck_assert_uint_eq(install(&w), INSTALL_OK);
		for (unsigned k = S; k <= D; k++) {
			bool relay = k == R1 || k == R2;

			ck_assert_uint_eq(n[k].routes[0].kbps, i == 0 ? 100 : relay ? 5000 : 9000);
			ck_assert_uint_eq(n[k].routes[0].streams, i == 0 ? 3 : relay ? 40 : 50);
		}
	}
}
END_TEST

START_TEST(source_last)
{
	deaf[D] = true;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	ck_assert_uint_eq(n[R2].nroutes, 1);
	ck_assert_uint_eq(n[S].nroutes, 0);
	deaf[D] = false;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	ck_assert_uint_eq(n[S].nroutes, 1);
}
END_TEST

static void forged(struct wish *w) { w->by = THIEF; }
static void expired(struct wish *w) { w->not_before = WALL - 300; w->hard = WALL; }
static void not_yet(struct wish *w) { w->not_before = WALL + 200; w->hard = WALL + 500; }
static void too_long(struct wish *w) { w->hard = WALL + LEASE_LIFE_MAX_S; }
static void other_key(struct wish *w) { w->sealed_to[R1] = R2; }
static void other_hop(struct wish *w) { w->subject[R1] = D; }
static void other_prev(struct wish *w) { w->prev[R1] = THIEF; }
static void wrong_class(struct wish *w) { (void)w; n[R1].relay_classes = 1u << CLASS_BULK; }
static void no_relay(struct wish *w) { (void)w; n[R1].relays = false; }
static void no_role(struct wish *w) { (void)w; n[R1].who.roles = 1u << ROLE_ENTRY >> 1; }
static void policy(struct wish *w) { (void)w; n[R1].permits = false; }
static void revoked_prev(struct wish *w) { (void)w; n[R1].revoked[S] = true; }
static void revoked_issuer(struct wish *w) { (void)w; n[R1].revoked[C] = true; }
static void over_limit(struct wish *w) { w->kbps = 2000; n[R1].kbps_all = 1000; }
static void second_hop(struct wish *w) { w->subject[R2] = S; }
static void at_dest(struct wish *w) { (void)w; n[D].permits = false; }
static void unknown_source(struct wish *w) { (void)w; n[D].knows_far = false; }
static void no_next(struct wish *w) { (void)w; n[R1].up[R2] = false; }

static void
fenced(struct wish *w)
{
	n[R1].fences.n = 1;
	n[R1].fences.v[0] = (struct fence_held){ .fence = { .what = FENCE_ROUTE, .route_id = ROUTE, .epoch = 100 },
	    .key.not_after = HARD };
}

static const struct {
	const char *what;
	void	(*make)(struct wish *);
	unsigned error, at, left;	/* which node refuses; how many have it not */
} refusals[] = {
	{ "signed by no coordinator", forged, TICKET_E_ISSUER, S, 0 },
	{ "expired", expired, TICKET_E_EXPIRED, S, 0 },
	{ "not yet", not_yet, TICKET_E_NOT_YET, S, 0 },
	{ "for too long", too_long, TICKET_E_LIFETIME, S, 0 },
	{ "sealed to another", other_key, TICKET_E_SEAL, R1, 3 },
	{ "for another node", other_hop, TICKET_E_HOP, R1, 3 },
	{ "from another than the one before", other_prev, TICKET_E_HOP, R1, 3 },
	{ "a class that is not relayed", wrong_class, TICKET_E_CLASS, R1, 3 },
	{ "a node that does not relay", no_relay, TICKET_E_ROLE, R1, 3 },
	{ "a node without the role", no_role, TICKET_E_ROLE, R1, 3 },
	{ "the policy", policy, TICKET_E_POLICY, R1, 3 },
	{ "the one before is revoked", revoked_prev, TICKET_E_REVOKED, R1, 3 },
	{ "the issuer is revoked", revoked_issuer, TICKET_E_REVOKED, R1, 3 },
	{ "fenced", fenced, TICKET_E_FENCED, R1, 3 },
	{ "more than it relays", over_limit, TICKET_E_LIMIT, R1, 3 },
	{ "the second hop's", second_hop, TICKET_E_HOP, R2, 2 },
	{ "the destination's policy", at_dest, TICKET_E_POLICY, D, 1 },
	{ "a source that the destination does not know", unknown_source, INSTALL_E_UNKNOWN, D, 1 },
	{ "no session to the next", no_next, INSTALL_E_NO_NEXT, R1, 3 },
};

/* Each is refused where it is to be, the source hears why and where, and nothing of it is left. */
START_TEST(refuses)
{
	struct wish w = usual;
	unsigned e;

	refusals[_i].make(&w);
	e = install(&w);
	if (refusals[_i].at == S)
		ck_assert_msg(e == refusals[_i].error, "%s: %s", refusals[_i].what, install_strerror(e));
	else {
		ck_assert_uint_eq(e, INSTALL_OK);
		ck_assert_uint_eq(n[S].results, 1);
		ck_assert_msg(n[S].error == refusals[_i].error, "%s: %s", refusals[_i].what, install_strerror(n[S].error));
		ck_assert_msg(n[S].left == refusals[_i].left, "%s: %u left", refusals[_i].what, n[S].left);
	}
	ck_assert_uint_eq(n[refusals[_i].at].refused[refusals[_i].error], 1);
	assert_everywhere(0);
}
END_TEST

START_TEST(tampered)
{
	struct lease l;

	make_lease(&l, &usual);
	l.sealed[R1].p[l.sealed[R1].len / 2] ^= 1;
	ck_assert_uint_eq(install_lease(n[S].in, &l, &now), TICKET_E_FORM);	/* the answer's hash */
	l.sealed[R1].p[l.sealed[R1].len / 2] ^= 1;
	memcpy(l.nodes[2], n[THIEF].id, NODE_ID_LEN);
	ck_assert_uint_eq(install_lease(n[S].in, &l, &now), TICKET_E_FORM);
	lease_free(&l);
	assert_everywhere(0);
}
END_TEST

/* What is believed of a lease before anything of it is looked at: that somebody has made it who may, and for this node. */
START_TEST(by_whom)
{
	struct wish w = usual;
	struct lease l;

	make_lease(&l, &w);
	ck_assert(!install_forged(n[S].in, &l));
	now.wall = HARD;	/* too late, and no forgery */
	ck_assert(!install_forged(n[S].in, &l));
	now.wall = WALL;
	l.epoch++;
	ck_assert(install_forged(n[S].in, &l));
	l.epoch--;
	ck_assert(install_forged(n[R1].in, &l));
	l.n = 1;
	ck_assert(install_forged(n[S].in, &l));
	l.n = 4;
	ck_assert(!install_forged(n[S].in, &l));
	lease_free(&l);
	w.by = THIEF;
	make_lease(&l, &w);
	ck_assert(install_forged(n[S].in, &l));
	lease_free(&l);
	assert_everywhere(0);
}
END_TEST

/* An older epoch is refused where a newer one is known: of the route at each hop, of the source at the destination. */
START_TEST(replayed)
{
	struct wish w = usual;

	ck_assert_uint_eq(install(&w), INSTALL_OK);
	ck_assert_uint_eq(install(&w), INSTALL_OK);	/* the same again is no replay */
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
	w.epoch = 101;
	w.hard += 10;
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
	assert_everywhere(1);
	for (unsigned i = S; i <= D; i++) {
		ck_assert_uint_eq(n[i].routes[0].epoch, 101);
		ck_assert_uint_eq(n[i].routes[0].hard, HARD + 10);
	}
	w.epoch = 100;
	ck_assert_uint_eq(install(&w), TICKET_E_REPLAYED);
	assert_everywhere(1);
	w.id = ROUTE + 1;	/* another route of the same source, from before */
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	ck_assert_uint_eq(n[S].error, TICKET_E_REPLAYED);
	ck_assert_uint_eq(n[D].refused[TICKET_E_REPLAYED], 1);
	assert_everywhere(1);
}
END_TEST

/* A route id that is another's: nobody gets at it by showing a ticket of his own. */
START_TEST(anothers_id)
{
	struct wish w = usual;
	struct route_install m = { .route_id = ROUTE, .n = 1 };
	uint8_t body[2048], sealed[TICKET_SEALED_MAX];
	struct ticket t = { .route_id = ROUTE, .epoch = 200, .classes = CLASSES, .tenant = "home", .soft = WALL + 10,
	    .not_before = WALL - 1, .hard = HARD, .place = TICKET_RELAY };
	size_t len;

	ck_assert_uint_eq(install(&w), INSTALL_OK);
	memcpy(t.prev, n[THIEF].id, NODE_ID_LEN);
	memcpy(t.next, n[R2].id, NODE_ID_LEN);
	n[R1].up[THIEF] = true;
	m.sealed[0] = (struct frame_bytes){ sealed, make_ticket(sealed, &w, R1, &t) };
	m.sealed[1] = m.sealed[0];
	m.n = 2;
	len = route_install_encode(body, sizeof(body), &m);
	ck_assert_uint_gt(len, 0);
	ck_assert_int_eq(install_message(n[R1].in, n[THIEF].id, DIRMSG_INSTALL, body, len, &now), 0);
	head = tail;
	ck_assert_uint_eq(n[R1].refused[TICKET_E_REPLAYED], 1);
	ck_assert_mem_eq(n[R1].routes[0].prev, n[S].id, NODE_ID_LEN);
	ck_assert_uint_eq(n[R1].ndels, 0);
	/* Nor with one that names him, who is fenced off. */
	n[R1].fences.n = 1;
	n[R1].fences.v[0] = (struct fence_held){ .fence = { .what = FENCE_NODE, .epoch = 200 }, .key.not_after = HARD };
	memcpy(n[R1].fences.v[0].fence.node, n[THIEF].id, NODE_ID_LEN);
	ck_assert_int_eq(install_message(n[R1].in, n[THIEF].id, DIRMSG_INSTALL, body, len, &now), 0);
	head = tail;
	ck_assert_uint_eq(n[R1].refused[TICKET_E_FENCED], 1);
	ck_assert_uint_eq(n[R1].ndels, 0);
}
END_TEST

/* Neither an answer nor a teardown counts from a node that is not on it. */
START_TEST(strangers)
{
	const struct route_installed m = { ROUTE, TICKET_E_POLICY, 1 };
	uint8_t body[32];
	size_t len = route_installed_encode(body, sizeof(body), &m);

	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	ck_assert_int_eq(install_message(n[R1].in, n[THIEF].id, DIRMSG_TEARDOWN, body, len, &now), 0);
	ck_assert_int_eq(install_message(n[R1].in, n[THIEF].id, DIRMSG_INSTALLED, body, len, &now), 0);
	ck_assert_int_eq(install_message(n[R1].in, n[S].id, DIRMSG_INSTALLED, body, len, &now), 0);
	run();
	assert_everywhere(1);
	ck_assert_int_eq(install_message(n[R1].in, n[S].id, DIRMSG_INSTALL, body, 1, &now), -1);
	ck_assert_int_eq(install_message(n[R1].in, n[S].id, DIRMSG_INSTALLED, body, len - 1, &now), -1);
	ck_assert_int_eq(install_message(n[R1].in, n[S].id, DIRMSG_ROUTE_ANSWER, body, len, &now), -1);
}
END_TEST

START_TEST(teardown_from_either_end)
{
	unsigned at[] = { S, R1, R2, D };

	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	install_end(n[at[_i]].in, ROUTE, INSTALL_E_CLOSED, REASON_MOVED);
	run();
	assert_everywhere(0);
	ck_assert_uint_eq(n[S].error, INSTALL_E_CLOSED);
}
END_TEST

static unsigned
judge_fence(const struct installed *e, void *arg)
{
	struct node *x = arg;

	return e->t.epoch <= fences_epoch(&x->fences, &e->t, x->id) ? TICKET_E_FENCED : INSTALL_OK;
}

/* A fence that one hop hears of ends all of it at once, and the source knows why. */
START_TEST(fence_ends)
{
	static const uint8_t whats[] = { FENCE_ROUTE, FENCE_PAIR, FENCE_NODE };
	struct node *x = &n[whats[_i] == FENCE_PAIR ? D : R2];
	struct fence f = { .what = whats[_i], .epoch = 100 };

	f.route_id = f.what == FENCE_ROUTE ? ROUTE : 0;
	if (f.what != FENCE_ROUTE)
		memcpy(f.node, n[f.what == FENCE_PAIR ? S : R1].id, NODE_ID_LEN);
	if (f.what == FENCE_PAIR)
		memcpy(f.dest, n[D].id, NODE_ID_LEN);
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	f.epoch = 99;
	x->fences.n = 1;
	x->fences.v[0] = (struct fence_held){ .fence = f, .key.not_after = HARD };
	ck_assert_uint_eq(install_judge(x->in, judge_fence, x, REASON_FENCED), 0);
	x->fences.v[0].fence.epoch = 100;
	ck_assert_uint_eq(install_judge(x->in, judge_fence, x, REASON_FENCED), 1);
	run();
	assert_everywhere(0);
	ck_assert_uint_eq(n[S].error, TICKET_E_FENCED);
	ck_assert_uint_eq(x->del_reason, REASON_FENCED);
}
END_TEST

/* routed of the hop that heard of a fence had restarted: its dataplane still has the route, and loses it. */
START_TEST(fenced_unknown)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	install_free(n[R1].in);
	n[R1].in = install_new(&ops, &n[R1]);
	fenced(NULL);
	install_mesh_up(n[S].in, n[R1].id, &now);
	run();
	ck_assert_uint_eq(n[R1].nroutes, 0);
	ck_assert_uint_eq(n[R1].del_reason, REASON_FENCED);
	ck_assert_uint_eq(n[S].nroutes, 0);
	ck_assert_uint_eq(n[S].error, TICKET_E_FENCED);
}
END_TEST

/* The destination takes so many of one source: each has a place among the ways back to it. */
START_TEST(of_one_source)
{
	struct wish w = usual;

	for (unsigned i = 0; i < INSTALL_FAR_MAX; i++) {
		w.id = ROUTE + i;
		ck_assert_uint_eq(install(&w), INSTALL_OK);
		ck_assert_uint_eq(n[S].error, INSTALL_OK);
	}
	assert_everywhere(INSTALL_FAR_MAX);
	w.id = ROUTE + INSTALL_FAR_MAX;
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	ck_assert_uint_eq(n[S].error, TICKET_E_LIMIT);
	ck_assert_uint_eq(n[S].left, 1);
	ck_assert_uint_eq(n[D].refused[TICKET_E_LIMIT], 1);
	assert_everywhere(INSTALL_FAR_MAX);
	ck_assert_uint_eq(install(&usual), INSTALL_OK);		/* one that is there is no other */
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
	install_end(n[S].in, ROUTE, INSTALL_E_CLOSED, REASON_MOVED);
	run();
	assert_everywhere(INSTALL_FAR_MAX - 1);
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
	assert_everywhere(INSTALL_FAR_MAX);
}
END_TEST

/* One neighbour can neither fill the table nor keep the node busy. */
START_TEST(limits)
{
	struct wish w = usual;
	unsigned i;

	for (i = 0; i < INSTALL_PEER_BURST + 100; i++) {
		w.subject[R1] = D;
		install(&w);
		if (n[R1].refused[INSTALL_E_RATE] > 0)
			break;
	}
	ck_assert_uint_eq(i, INSTALL_PEER_BURST);
	ck_assert_uint_eq(n[S].error, INSTALL_E_RATE);
	now.now_ns += NS_PER_SEC;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
}
END_TEST

/* A neighbour that says again and again that it is installed makes no events of that; one that is installed anew does. */
START_TEST(confirmed_once)
{
	uint8_t body[64];
	const struct route_installed m = { .route_id = ROUTE, .error = INSTALL_OK };
	size_t len = route_installed_encode(body, sizeof(body), &m);

	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	ck_assert_uint_eq(n[S].events[INSTALL_EV_UP], 1);
	ck_assert_uint_eq(n[R1].events[INSTALL_EV_UP], 1);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(install_message(n[R1].in, n[R2].id, DIRMSG_INSTALLED, body, len, &now), 0);
		run();
	}
	ck_assert_uint_eq(n[S].events[INSTALL_EV_UP], 1);
	ck_assert_uint_eq(n[R1].events[INSTALL_EV_UP], 1);
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	ck_assert_uint_eq(n[S].events[INSTALL_EV_UP], 2);
}
END_TEST

/* A stream that is up again may have no room for all that the neighbour has to be told: the rest goes when there is. */
START_TEST(passed_on_when_there_is_room)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	install_free(n[R2].in);
	n[R2].in = install_new(&ops, &n[R2]);
	n[R1].up[R2] = false;
	install_mesh_up(n[R1].in, n[R2].id, &now);
	install_tick(n[R1].in, &now);
	run();
	ck_assert_ptr_null(install_find(n[R2].in, ROUTE));
	n[R1].up[R2] = true;
	install_tick(n[R1].in, &now);
	run();
	ck_assert_ptr_nonnull(install_find(n[R2].in, ROUTE));
	sent[R1] = 0;
	install_tick(n[R1].in, &now);
	ck_assert_uint_eq(sent[R1], 0);
}
END_TEST

/* What is passed on does not hold another node than the two: neither in the clear nor by its length. */
START_TEST(says_little)
{
	struct lease l;
	const struct message *m;

	make_lease(&l, &usual);
	ck_assert_uint_eq(install_lease(n[S].in, &l, &now), INSTALL_OK);
	m = &queue[0];
	for (unsigned i = 0; i < NODES; i++)
		ck_assert_ptr_null(memmem(m->body, m->len, n[i].id, NODE_ID_LEN));
	run();
	lease_free(&l);
	for (unsigned i = R1; i <= R2; i++) {
		const struct installed *e = install_find(n[i].in, ROUTE);

		for (unsigned other = 0; other < NODES; other++) {
			if (other + 1 == i || other == i + 1 || other == C)
				continue;
			ck_assert_ptr_null(memmem(e, sizeof(*e), n[other].id, NODE_ID_LEN));
			ck_assert_ptr_null(memmem(e->rest, e->rest_len, n[other].id, NODE_ID_LEN));
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("install");
	TCase *tc = tcase_create("install");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, installs);
	tcase_add_test(tc, the_tighter_limit);
	tcase_add_test(tc, source_last);
	tcase_add_loop_test(tc, refuses, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(tc, tampered);
	tcase_add_test(tc, by_whom);
	tcase_add_test(tc, replayed);
	tcase_add_test(tc, anothers_id);
	tcase_add_test(tc, strangers);
	tcase_add_loop_test(tc, teardown_from_either_end, 0, 4);
	tcase_add_loop_test(tc, fence_ends, 0, 3);
	tcase_add_test(tc, fenced_unknown);
	tcase_add_test(tc, of_one_source);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, confirmed_once);
	tcase_add_test(tc, passed_on_when_there_is_room);
	tcase_add_test(tc, says_little);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
