/*
 * routed: installing routes hop by hop. Four nodes, source, two relays and destination, each with the real code, real keys
 * and real tickets; between them a mesh that delivers what was sent, in order. A fifth is the coordinator, a sixth a thief.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "routed/fences.h"
#include "routed/install.h"
#include "suite.h"

#define WALL	1800000000ull
#define HARD	(WALL + 300)
#define NODES	6
#define ROUTE	0x77665544332211ull
#define CLASSES	(1u << CLASS_INTERACTIVE | 1u << CLASS_BULK)

enum { S, R1, R2, D, C, THIEF };

struct node {
	struct sign_key	 node, route;
	struct noise_key ticket;
	uint8_t		 id[NODE_ID_LEN];
	struct peer_identity who;
	struct install	*in;
	struct fences	 fences;
	bool		 up[NODES];		/* a mesh stream to it */
	bool		 relays, permits, knows_far, full, keys_lost;
	uint8_t		 relay_classes;
	uint32_t	 kbps_all;
	bool		 revoked[NODES];
	/* what it told its dataplane */
	struct pm_route	 routes[64];
	unsigned	 nroutes, ndels;
	uint64_t	 del_reason;
	/* what became of it, at the source */
	unsigned	 results, error, left;
	unsigned	 refused[64], events[4];
};

struct message { unsigned from, to, type; size_t len; uint8_t body[8192]; };

static struct node n[NODES];
static struct message queue[64];
static unsigned head, tail;
static struct clock_both now;
static uint64_t sent[NODES];
static bool deaf[NODES];		/* messages to it are lost */
static size_t longest;

static unsigned
index_of(const uint8_t *id)
{
	for (unsigned i = 0; i < NODES; i++)
		if (memcmp(n[i].id, id, NODE_ID_LEN) == 0)
			return i;
	ck_abort_msg("a node that is none");
	return 0;
}

static int
on_send(const uint8_t *id, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	unsigned from = (unsigned)((struct node *)arg - n), to = index_of(id);
	struct message *m = &queue[tail % 64];

	if (!n[from].up[to])
		return -1;
	ck_assert_uint_lt(tail - head, 64);
	ck_assert_uint_le(len, sizeof(m->body));
	m->from = from;
	m->to = to;
	m->type = type;
	m->len = len;
	memcpy(m->body, body, len);
	tail++;
	sent[from]++;
	longest = len > longest ? len : longest;
	return 0;
}

static int
on_dataplane(const struct procmsg *m, void *arg)
{
	struct node *x = arg;
	uint8_t buf[1024];

	if (x->full)
		return -1;
	ck_assert_uint_gt(procmsg_encode(buf, sizeof(buf), m), 0);	/* nothing that would be refused */
	if (m->type == PM_ROUTE) {
		for (unsigned i = 0; i < x->nroutes; i++)
			if (x->routes[i].route_id == m->route.route_id) {
				x->routes[i] = m->route;
				return 0;
			}
		x->routes[x->nroutes++] = m->route;
		return 0;
	}
	ck_assert_int_eq(m->type, PM_ROUTE_DEL);
	x->ndels++;
	x->del_reason = m->route_del.reason;
	for (unsigned i = 0; i < x->nroutes; i++)
		if (x->routes[i].route_id == m->route_del.route_id)
			x->routes[i] = x->routes[--x->nroutes];
	return 0;
}

static void
on_context(struct ticket_ctx *c, void *arg)
{
	struct node *x = arg;

	c->node_id = x->id;
	c->node_key = x->node.public;
	c->keys = &x->ticket;
	c->nkeys = x->keys_lost ? 0 : 1;
	c->authority = NULL;
	c->now = now.wall;
	c->roles = x->who.roles;
	c->relays = x->relays;
	c->relay_classes = x->relay_classes;
}

static bool
on_issuer(const uint8_t *key, struct ticket_issuer *by, void *arg)
{
	for (unsigned i = 0; i < NODES; i++)
		if (memcmp(n[i].route.public, key, RECORD_KEY_LEN) == 0) {
			by->who = n[i].who;
			return true;
		}
	return false;
}

static bool
on_revoked(const uint8_t *id, void *arg)
{
	struct node *x = arg;

	for (unsigned i = 0; i < NODES; i++)
		if (x->revoked[i] && memcmp(n[i].id, id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

static uint64_t
on_fenced(const struct ticket *t, void *arg)
{
	struct node *x = arg;

	return fences_epoch(&x->fences, t, x->id);
}

static bool
on_permitted(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	return ((struct node *)arg)->permits;
}

static struct install_limits
on_limits(const struct ticket *t, void *arg)
{
	return (struct install_limits){ 5000, 40 };
}

static uint32_t
on_kbps_all(void *arg)
{
	return ((struct node *)arg)->kbps_all;
}

static bool
on_far(const uint8_t *id, void *arg)
{
	return ((struct node *)arg)->knows_far;
}

static void
on_result(uint64_t route_id, unsigned error, unsigned left, void *arg)
{
	struct node *x = arg;

	x->results++;
	x->error = error;
	x->left = left;
}

static void
on_event(enum install_event what, const struct ticket *t, unsigned error, const uint8_t *from, void *arg)
{
	struct node *x = arg;

	x->events[what]++;
	if (what == INSTALL_EV_REFUSED)
		x->refused[error]++;
}

static const struct install_ops ops = {
	on_send, on_dataplane, on_context, on_issuer, on_revoked, on_fenced, on_permitted, on_limits, on_kbps_all, on_far,
	on_result, on_event,
};

static void
node_new(unsigned i)
{
	struct node *x = &n[i];

	memset(x, 0, sizeof(*x));
	memset(x->node.secret, (int)i + 1, sizeof(x->node.secret));
	memset(x->route.secret, (int)i + 101, sizeof(x->route.secret));
	memset(x->ticket.secret, (int)i + 201, sizeof(x->ticket.secret));
	ck_assert_int_eq(sign_key_from_secret(&x->node), 0);
	ck_assert_int_eq(sign_key_from_secret(&x->route), 0);
	ck_assert_int_eq(noise_key_from_secret(&x->ticket), 0);
	node_id_from_key(x->id, x->node.public);
	memcpy(x->who.node_id, x->id, NODE_ID_LEN);
	memcpy(x->who.node_key, x->node.public, SIGN_PUBLIC_LEN);
	strcpy(x->who.tenant, "home");
	x->who.roles = i == C ? 1u << ROLE_ROUTE_COORDINATOR : i == R1 || i == R2 ? 1u << ROLE_RELAY : 1u << ROLE_MOBILE_EDGE;
	x->who.not_after = WALL + 86400;
	x->relays = x->permits = x->knows_far = true;
	x->relay_classes = 0x3f;
	x->in = install_new(&ops, x);
	ck_assert_ptr_nonnull(x->in);
}

static void
setup(void)
{
	now = (struct clock_both){ 1000 * NS_PER_SEC, WALL };
	head = tail = 0;
	longest = 0;
	memset(sent, 0, sizeof(sent));
	memset(deaf, 0, sizeof(deaf));
	for (unsigned i = 0; i < NODES; i++)
		node_new(i);
	for (unsigned i = S; i < D; i++)
		n[i].up[i + 1] = n[i + 1].up[i] = true;
}

static void
teardown(void)
{
	for (unsigned i = 0; i < NODES; i++)
		install_free(n[i].in);
}

/* Delivers what was sent, and what that made be sent. */
static void
run(void)
{
	while (head < tail) {
		struct message m = queue[head++ % 64];

		if (!deaf[m.to])
			ck_assert_int_eq(install_message(n[m.to].in, n[m.from].id, m.type, m.body, m.len, &now), 0);
	}
}

/* --- leases --- */

struct wish {
	uint64_t id, epoch, not_before, hard;
	unsigned by;		/* who signs */
	uint8_t	 classes;
	uint32_t kbps;
	bool	 self;
	int	 sealed_to[4];	/* -1: to whom it is for */
	int	 subject[4];
	int	 prev[4];
	uint32_t streams;
};

static const struct wish usual = { ROUTE, 100, WALL - 30, HARD, C, CLASSES, 0, false, { -1, -1, -1, -1 }, { -1, -1, -1, -1 },
    { -1, -1, -1, -1 }, 0 };

static size_t
make_ticket(uint8_t *out, const struct wish *w, unsigned at, const struct ticket *t)
{
	uint8_t content[512], raw[TICKET_MAX];
	struct record r = { .kind = RECORD_TICKET, .subject = n[w->subject[at] < 0 ? at : (unsigned)w->subject[at]].node.public,
	    .serial = t->epoch, .not_before = t->not_before, .not_after = t->hard };
	const struct frame_bytes none = { NULL, 0 };
	size_t len = ticket_encode(content, sizeof(content), t);

	ck_assert_uint_gt(len, 0);
	r.content = (struct frame_bytes){ content, len };
	len = record_sign(raw, sizeof(raw), &r, &n[w->by].route);
	ck_assert_uint_gt(len, 0);
	return ticket_seal(out, TICKET_SEALED_MAX, n[w->sealed_to[at] < 0 ? at : (unsigned)w->sealed_to[at]].ticket.public,
	    w->id, none, none, (struct frame_bytes){ raw, len });
}

/* The lease S - R1 - R2 - D. */
static void
make_lease(struct lease *l, const struct wish *w)
{
	memset(l, 0, sizeof(*l));
	l->route_id = w->id;
	l->epoch = w->epoch;
	l->soft = w->hard - 100;
	l->hard = w->hard;
	l->n = 4;
	l->classes = w->classes;
	l->self = w->self;
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		l->score[c] = w->classes & 1u << c ? 1000 : UINT32_MAX;
	l->scored.n = 4;
	for (unsigned i = 0; i < 4; i++) {
		memcpy(l->nodes[i], n[i].id, NODE_ID_LEN);
		memcpy(l->scored.nodes[i], n[i].id, NODE_ID_LEN);
	}
	for (unsigned i = 4; i-- > 0;) {
		struct ticket t = { .route_id = w->id, .epoch = w->epoch, .classes = w->classes, .kbps = w->kbps, .streams = w->streams,
		    .self = w->self,
		    .tenant = "home", .soft = l->soft, .not_before = w->not_before, .hard = w->hard,
		    .place = i == 0 ? TICKET_SOURCE : i == 3 ? TICKET_DEST : TICKET_RELAY };

		if (i > 0)
			memcpy(t.prev, n[w->prev[i] < 0 ? i - 1 : (unsigned)w->prev[i]].id, NODE_ID_LEN);
		if (i < 3)
			memcpy(t.next, n[i + 1].id, NODE_ID_LEN);
		if (i == 0 || i == 3)
			memcpy(t.far, n[3 - i].id, NODE_ID_LEN);
		if (i == 0)
			ck_assert_int_eq(lease_answer_hash(t.answer, l), 0);
		l->sealed[i].p = malloc(TICKET_SEALED_MAX);
		ck_assert_ptr_nonnull(l->sealed[i].p);
		l->sealed[i].len = make_ticket(l->sealed[i].p, w, i, &t);
		ck_assert_uint_gt(l->sealed[i].len, 0);
	}
}

static unsigned
install(const struct wish *w)
{
	struct lease l;
	unsigned e;

	make_lease(&l, w);
	e = install_lease(n[S].in, &l, &now);
	lease_free(&l);
	run();
	return e;
}

static void
assert_everywhere(unsigned count)
{
	for (unsigned i = S; i <= D; i++) {
		ck_assert_uint_eq(n[i].nroutes, count);
		ck_assert_uint_eq(install_count(n[i].in), count);
	}
}

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

START_TEST(expires)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	now.wall = HARD - 1;
	for (unsigned i = S; i <= D; i++)
		install_tick(n[i].in, &now);
	assert_everywhere(1);
	now.wall = HARD;
	for (unsigned i = S; i <= D; i++)
		install_tick(n[i].in, &now);
	assert_everywhere(0);
	ck_assert_uint_eq(n[S].error, TICKET_E_EXPIRED);
	ck_assert_uint_eq(n[R1].events[INSTALL_EV_EXPIRED], 1);
	ck_assert_uint_eq(n[S].del_reason, REASON_ROUTE_EXPIRED);
}
END_TEST

/* The clock of all was hours ahead, and is set right: what was given then ends, and what is given now has its place. */
START_TEST(clock_set_back)
{
	struct wish w = usual;

	w.epoch = WALL * 1000ull;
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	assert_everywhere(1);
	now.wall -= 3600 + 60;
	for (unsigned i = S; i <= D; i++)
		install_tick(n[i].in, &now);
	assert_everywhere(1);		/* a fence may have been as far ahead */
	now.wall -= 3600;
	for (unsigned i = S; i <= D; i++)
		install_tick(n[i].in, &now);
	run();
	assert_everywhere(0);
	ck_assert_uint_eq(n[S].error, TICKET_E_NOT_YET);
	w.epoch = now.wall * 1000;
	w.not_before = now.wall - 30;
	w.hard = now.wall + 300;
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	assert_everywhere(1);
}
END_TEST

/* Who is silent is named by the hop before it, before the source gives up itself. */
START_TEST(silent_hop)
{
	deaf[D] = true;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	for (unsigned ms = 0; ms < 3000 && n[S].results == 0; ms += 100) {
		now.now_ns += 100 * NS_PER_MS;
		for (unsigned i = S; i <= D; i++)
			install_tick(n[i].in, &now);
		run();
	}
	ck_assert_uint_eq(n[S].error, INSTALL_E_TIMEOUT);
	ck_assert_uint_eq(n[S].left, 1);
	assert_everywhere(0);
}
END_TEST

/* A relay's routed restarts: the node before gives it the tickets again, and it passes them on. */
START_TEST(relay_restarts)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	install_free(n[R2].in);
	n[R2].in = install_new(&ops, &n[R2]);
	n[R2].nroutes = 0;
	install_mesh_up(n[R1].in, n[R2].id, &now);
	run();
	assert_everywhere(1);
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
	/* It is away for longer: nothing ends for that. */
	n[R1].up[R2] = false;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	now.now_ns += 60 * NS_PER_SEC;
	for (unsigned i = S; i <= D; i++)
		install_tick(n[i].in, &now);
	run();
	assert_everywhere(1);
}
END_TEST

/* Two restart at once: the relay that is asked again before it has a stream to the next waits, and takes nothing away. */
START_TEST(young_relay)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	install_free(n[R1].in);
	n[R1].in = install_new(&ops, &n[R1]);
	if (_i == 0)
		install_tick(n[R1].in, &now);
	else	/* who asks it was there before its first tick */
		install_mesh_up(n[R1].in, n[S].id, &now);
	n[R1].up[R2] = false;
	now.now_ns += _i == 0 ? NS_PER_SEC : 0;
	install_mesh_up(n[S].in, n[R1].id, &now);
	run();
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
	assert_everywhere(1);
	n[R1].up[R2] = true;
	install_mesh_up(n[R1].in, n[R2].id, &now);
	run();
	now.now_ns += 60 * NS_PER_SEC;
	for (unsigned i = S; i <= D; i++)
		install_tick(n[i].in, &now);
	run();
	assert_everywhere(1);
	/* Later there is no such excuse for one that is new. */
	install_end(n[S].in, ROUTE, INSTALL_E_CLOSED, REASON_HOP_GONE);
	run();
	n[R1].up[R2] = false;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	ck_assert_uint_eq(n[S].error, INSTALL_E_NO_NEXT);
}
END_TEST

/* And where the next one has other keys by now, the source hears of it, and what is there is not taken away before it can answer. */
START_TEST(young_relays)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	for (unsigned i = R1; i <= R2; i++) {
		install_free(n[i].in);
		n[i].in = install_new(&ops, &n[i]);
		install_tick(n[i].in, &now);
	}
	n[R2].ticket.secret[5] ^= 1;
	ck_assert_int_eq(noise_key_from_secret(&n[R2].ticket), 0);
	now.now_ns += NS_PER_SEC;
	install_mesh_up(n[S].in, n[R1].id, &now);
	run();
	ck_assert_uint_eq(n[S].error, TICKET_E_SEAL);
	ck_assert_uint_eq(n[R1].nroutes, 1);
	now.now_ns += INSTALL_YOUNG_NS;
	install_tick(n[R1].in, &now);
	ck_assert_uint_eq(n[R1].nroutes, 1);
	if (_i == 0) {		/* the source has a lease for the new key */
		ck_assert_uint_eq(install(&usual), INSTALL_OK);
		ck_assert_uint_eq(n[S].error, INSTALL_OK);
	}
	now.now_ns += INSTALL_YOUNG_NS;
	install_tick(n[R1].in, &now);
	run();
	ck_assert_uint_eq(n[R1].nroutes, _i == 0);
}
END_TEST

START_TEST(dataplane_restarts)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	for (unsigned i = S; i <= D; i++) {
		n[i].nroutes = 0;
		n[i].full = true;
		install_again(n[i].in);
		ck_assert_uint_eq(n[i].nroutes, 0);
		n[i].full = false;
		install_sync(n[i].in);
		ck_assert_uint_eq(n[i].nroutes, 1);
	}
}
END_TEST

/* The destination drops the older routes of a source a while after it has a newer one, when the source has not. */
START_TEST(outdated)
{
	struct wish w = usual;

	ck_assert_uint_eq(install(&w), INSTALL_OK);
	w.id = ROUTE + 1;
	w.epoch = 101;
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	install_tick(n[D].in, &now);	/* in the same moment */
	run();
	assert_everywhere(2);
	now.now_ns += INSTALL_OLD_NS / 2;
	install_tick(n[D].in, &now);
	assert_everywhere(2);
	/* A hop before it gives it again what it has: that ends nothing sooner, nor later. */
	install_mesh_up(n[R2].in, n[D].id, &now);
	run();
	assert_everywhere(2);
	now.now_ns += INSTALL_OLD_NS;
	install_tick(n[D].in, &now);
	run();
	assert_everywhere(1);
	ck_assert_uint_eq(n[D].routes[0].route_id, ROUTE + 1);
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
	tcase_add_test(tc, expires);
	tcase_add_test(tc, clock_set_back);
	tcase_add_test(tc, silent_hop);
	tcase_add_test(tc, relay_restarts);
	tcase_add_loop_test(tc, young_relay, 0, 2);
	tcase_add_loop_test(tc, young_relays, 0, 2);
	tcase_add_test(tc, dataplane_restarts);
	tcase_add_test(tc, outdated);
	tcase_add_test(tc, of_one_source);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, confirmed_once);
	tcase_add_test(tc, passed_on_when_there_is_room);
	tcase_add_test(tc, says_little);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
