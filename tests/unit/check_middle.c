/*
 * Somebody in the middle: two good nodes, each with a connection to him in place of one to the other. He hands on their
 * words as they are, so that all that they see is the same on both sides, but the connection. Only the exporter in what
 * they sign tells them.
 */
#include <check.h>

#include "dp_pair.h"
#include "fabricd/dataplane/conn.h"
#include "suite.h"

static struct node m;		/* a dials b's name at m's address, m dials b */
static struct conn *to_a, *to_b;	/* m's */
static struct session_ops middle_ops;

static uint8_t hello[FRAME_CONTROL_MAX];	/* a's, until m has both connections; b waits for it */
static size_t hello_len;

static void
setup(void)
{
	pair_make();
	node_init(&m, base, "m", &authority);
}

static void
teardown(void)
{
	node_free(&m);
	pair_free();
}

static void
hand_on(struct conn *to, const uint8_t *frame, size_t len)
{
	const struct conn *c;

	TAILQ_FOREACH(c, &m.dp->conns, all)
		if (c == to)
			break;
	if (c == NULL)
		return;			/* it has ended */
	dp_begin(m.dp);
	hop_ops.send(&to->session, frame, len, to);
	dp_flush(m.dp);
}

/* What a or b would send on its connection to m leaves on m's other one; what m's own sessions say is dropped. */
static int
middle_send(struct session *s, const uint8_t *frame, size_t len, void *arg)
{
	const struct conn *c = arg;

	(void)s;
	if (c->dp == m.dp)
		return 0;
	if (to_a != NULL) {
		hand_on(c->dp == a.dp ? to_b : to_a, frame, len);
		return 0;
	}
	ck_assert(c->dp == a.dp && hello_len == 0 && len <= sizeof(hello));
	memcpy(hello, frame, len);
	hello_len = len;
	return hop_ops.send(&((struct conn *)arg)->session, frame, len, arg);	/* which opens the stream to m */
}

/* The connection that has just begun, before anything was said on it. */
static struct conn *
hooked(struct node *n)
{
	struct conn *c;

	ck_assert(RUN_UNTIL(base, 2000, !TAILQ_EMPTY(&n->dp->conns)));
	c = TAILQ_FIRST(&n->dp->conns);
	c->session.ops = &middle_ops;
	return c;
}

START_TEST(words_handed_on)
{
	uint64_t refused = STAT(DP_END_AUTH_PROOF);
	struct node b_at_m;
	struct conn *c;

	middle_ops = hop_ops;
	middle_ops.send = middle_send;
	to_a = to_b = NULL;
	hello_len = 0;
	node_start(&a);
	node_start(&b);
	node_start(&m);

	node_target(&m, &b);
	to_b = hooked(&m);
	hooked(&b);
	b_at_m = b;
	b_at_m.addr = m.addr;
	node_target(&a, &b_at_m);
	hooked(&a);
	ck_assert(RUN_UNTIL(base, 2000, m.dp->nconns == 2));
	c = TAILQ_FIRST(&m.dp->conns) == to_b ? TAILQ_NEXT(to_b, all) : TAILQ_FIRST(&m.dp->conns);
	c->session.ops = &middle_ops;
	ck_assert(RUN_UNTIL(base, 2000, hello_len > 0 && to_b->handshake_done && c->control_id != -1));
	to_a = c;
	hand_on(to_b, hello, hello_len);

	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up + b.vpnd.up > 0 || STAT(DP_END_AUTH_PROOF) > refused));
	ck_assert_uint_eq(a.vpnd.up, 0);
	ck_assert_uint_eq(b.vpnd.up, 0);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = { words_handed_on };

	crypto_init();
	return suite_run(suite_of("middle", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown));
}
