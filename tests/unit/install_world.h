/*
 * routed: installing routes hop by hop. Four nodes, source, two relays and destination, each with the real code, real keys
 * and real tickets; between them a mesh that delivers what was sent, in order. A fifth is the coordinator, a sixth a thief.
 */
#ifndef TESTS_UNIT_INSTALL_WORLD_H
#define TESTS_UNIT_INSTALL_WORLD_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "routed/fences.h"
#include "routed/install.h"

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

static inline unsigned
index_of(const uint8_t *id)
{
	for (unsigned i = 0; i < NODES; i++)
		if (memcmp(n[i].id, id, NODE_ID_LEN) == 0)
			return i;
	ck_abort_msg("a node that is none");
	return 0;
}

static inline int
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

static inline int
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

static inline void
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

static inline bool
on_issuer(const uint8_t *key, struct ticket_issuer *by, void *arg)
{
	for (unsigned i = 0; i < NODES; i++)
		if (memcmp(n[i].route.public, key, RECORD_KEY_LEN) == 0) {
			by->who = n[i].who;
			return true;
		}
	return false;
}

static inline bool
on_revoked(const uint8_t *id, void *arg)
{
	struct node *x = arg;

	for (unsigned i = 0; i < NODES; i++)
		if (x->revoked[i] && memcmp(n[i].id, id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

static inline uint64_t
on_fenced(const struct ticket *t, void *arg)
{
	struct node *x = arg;

	return fences_epoch(&x->fences, t, x->id);
}

static inline bool
on_permitted(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	return ((struct node *)arg)->permits;
}

static inline struct install_limits
on_limits(const struct ticket *t, void *arg)
{
	return (struct install_limits){ 5000, 40 };
}

static inline uint32_t
on_kbps_all(void *arg)
{
	return ((struct node *)arg)->kbps_all;
}

static inline bool
on_far(const uint8_t *id, void *arg)
{
	return ((struct node *)arg)->knows_far;
}

static inline void
on_result(uint64_t route_id, unsigned error, unsigned left, void *arg)
{
	struct node *x = arg;

	x->results++;
	x->error = error;
	x->left = left;
}

static inline void
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

static inline void
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

static inline void
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

static inline void
teardown(void)
{
	for (unsigned i = 0; i < NODES; i++)
		install_free(n[i].in);
}

/* Delivers what was sent, and what that made be sent. */
static inline void
run(void)
{
	while (head < tail) {
		struct message m = queue[head++ % 64];

		if (!deaf[m.to])
			ck_assert_int_eq(install_message(n[m.to].in, n[m.from].id, m.type, m.body, m.len, &now), 0);
	}
}

/* Their time passes; what that makes be sent is still to be delivered. */
static inline void
tick(void)
{
	for (unsigned i = S; i <= D; i++)
		install_tick(n[i].in, &now);
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

static inline size_t
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
static inline void
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

static inline unsigned
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

static inline void
assert_everywhere(unsigned count)
{
	for (unsigned i = S; i <= D; i++) {
		ck_assert_uint_eq(n[i].nroutes, count);
		ck_assert_uint_eq(install_count(n[i].in), count);
	}
}

#endif
