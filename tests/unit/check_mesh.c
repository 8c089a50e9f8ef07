/*
 * Meshes that talk to each other: each frame that one's port takes comes out at the other's, as two dataplanes would pass
 * it on. Time is the test's.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "fabric/stream.h"
#include "proc/stats.h"
#include "routed/mesh.h"
#include "suite.h"
#include "wire/varint.h"

#define FRAMES_MAX	4096

struct side {
	struct mesh	*mesh;
	uint8_t		 id[NODE_ID_LEN];
	struct { uint8_t *p; size_t len; } q[FRAMES_MAX];	/* what left, and has not come to the other */
	size_t		 n;
	uint8_t		 buf[32768];
	uint64_t	 map[64];	/* own stream id / 2 -> the other's id for it; and the other way */
	bool		 full;		/* the port takes nothing */
	unsigned	 up, down, messages, last_type;
	size_t		 last_len, total;
	uint8_t		 last[MESH_BODY_MAX];
	int		 answer;	/* of `message' */
	bool		 echo;
};

static struct side a, b;
static uint64_t now;

static struct side *
other(struct side *s)
{
	return s == &a ? &b : &a;
}

static void
queue(struct side *s, const uint8_t *p, size_t len)
{
	ck_assert_uint_lt(s->n, FRAMES_MAX);
	s->q[s->n].p = malloc(len);
	memcpy(s->q[s->n].p, p, len);
	s->q[s->n++].len = len;
}

static int
port_send(const struct frame *f, void *arg)
{
	struct side *s = arg;
	uint8_t buf[2048];
	size_t len;

	if (s->full)
		return -1;
	len = frame_encode(buf, sizeof(buf), f, FRAME_PORT_PROC);
	ck_assert_uint_gt(len, 0);
	queue(s, buf, len);
	return 0;
}

static uint8_t *
port_reserve(size_t len, void *arg)
{
	struct side *s = arg;

	ck_assert_uint_le(len, sizeof(s->buf));
	return s->full ? NULL : s->buf;
}

static void
port_commit(size_t used, void *arg)
{
	struct side *s = arg;

	if (used > 0)
		queue(s, s->buf, used);
}

static const struct mesh_port_ops port_ops = { port_send, port_reserve, port_commit };

static int
on_message(const uint8_t *from, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	struct side *s = arg;

	ck_assert_mem_eq(from, other(s)->id, NODE_ID_LEN);
	s->messages++;
	s->last_type = type;
	s->last_len = len;
	s->total += len;
	memcpy(s->last, body, len);
	if (s->echo)
		mesh_send(s->mesh, from, type + 1, body, len);
	return s->answer;
}

static void
on_up(const uint8_t *node_id, void *arg)
{
	struct side *s = arg;

	s->up++;
	ck_assert(mesh_adjacent(s->mesh, node_id));
}

static void
on_down(const uint8_t *node_id, void *arg)
{
	((struct side *)arg)->down++;
}

static const struct mesh_ops ops = { on_message, on_up, on_down };

/* As the two dataplanes: ids are each port's own, and OPEN names its source. The id of one is here the other's minus one. */
static void
pass(struct side *s, const uint8_t *p, size_t len)
{
	static const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_CEILING };
	struct frame f;

	ck_assert_int_eq(frame_decode(&f, p, len, &lim), FRAME_OK);
	switch (f.type) {
	case FT_OPEN_STREAM:
		ck_assert_mem_eq(f.open.dest, other(s)->id, NODE_ID_LEN);
		f.open.dest = NULL;
		f.open.source = s->id;
		f.open.stream_id ^= 1;
		break;
	case FT_DATA:
		f.data.stream_id ^= 1;
		break;
	case FT_ACK:
		f.ack.stream_id ^= 1;
		break;
	case FT_STREAM_CREDIT:
		f.credit.stream_id ^= 1;
		break;
	case FT_CLOSE_STREAM:
		f.close.stream_id ^= 1;
		break;
	default:
		ck_assert_uint_eq(f.type, FT_RESET_STREAM);
		f.reset.stream_id ^= 1;
		break;
	}
	ck_assert_int_eq(mesh_frame(other(s)->mesh, &f, now), 0);
}

static void
pass_all(struct side *s)
{
	for (size_t i = 0; i < s->n; i++) {
		pass(s, s->q[i].p, s->q[i].len);
		free(s->q[i].p);
	}
	s->n = 0;
}

static void
drop_all(struct side *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->q[i].p);
	s->n = 0;
}

/* Until nothing moves any more at this moment. */
static void
settle(void)
{
	for (unsigned i = 0; i < 10000; i++) {
		mesh_run(a.mesh, now);
		mesh_run(b.mesh, now);
		if (a.n == 0 && b.n == 0)
			return;
		pass_all(&a);
		pass_all(&b);
	}
	ck_abort_msg("it does not settle");
}

static void
run(uint64_t ns)
{
	uint64_t until = now + ns;

	settle();
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t x = mesh_deadline(a.mesh, now), y = mesh_deadline(b.mesh, now), at = x < y ? x : y;

		if (at > until)
			break;
		now = at > now ? at : now + 1;
		settle();
	}
	now = until;
	settle();
}

static void
side_init(struct side *s, uint8_t first)
{
	memset(s, 0, sizeof(*s));
	memset(s->id, first, NODE_ID_LEN);
	s->mesh = mesh_new(&ops, s, first);
	ck_assert_ptr_nonnull(s->mesh);
	mesh_self(s->mesh, s->id, now);
	mesh_port(s->mesh, &port_ops, s, now);
}

static void
setup(void)
{
	crypto_init();
	now = 1000 * NS_PER_SEC;
	side_init(&a, 1);
	side_init(&b, 2);
	ck_assert_int_eq(mesh_peer_up(a.mesh, b.id, now), 0);
	ck_assert_int_eq(mesh_peer_up(b.mesh, a.id, now), 0);
	settle();
}

static void
teardown(void)
{
	drop_all(&a);
	drop_all(&b);
	mesh_free(a.mesh);
	mesh_free(b.mesh);
}

START_TEST(lower_id_opens_and_both_talk)
{
	ck_assert_uint_eq(a.up, 1);
	ck_assert_uint_eq(b.up, 1);
	ck_assert_int_eq(mesh_send(a.mesh, b.id, 7, (const uint8_t *)"hello", 5), 0);
	ck_assert_int_eq(mesh_send(b.mesh, a.id, 300, NULL, 0), 0);
	settle();
	ck_assert_uint_eq(b.messages, 1);
	ck_assert_uint_eq(b.last_type, 7);
	ck_assert_uint_eq(b.last_len, 5);
	ck_assert_mem_eq(b.last, "hello", 5);
	ck_assert_uint_eq(a.last_type, 300);
	ck_assert_uint_eq(a.last_len, 0);
	/* A message out of a message's handler leaves by itself. */
	b.echo = true;
	mesh_send(a.mesh, b.id, 8, (const uint8_t *)"x", 1);
	settle();
	ck_assert_uint_eq(a.last_type, 9);
}
END_TEST

START_TEST(large_and_many)
{
	static uint8_t body[MESH_BODY_MAX + 1];
	unsigned sent = 0;

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7);
	ck_assert_int_eq(mesh_send(a.mesh, b.id, 1, body, sizeof(body)), -1);
	ck_assert_int_eq(mesh_send(a.mesh, b.id, 1, body, MESH_BODY_MAX), 0);
	settle();
	ck_assert_uint_eq(b.last_len, MESH_BODY_MAX);
	ck_assert_mem_eq(b.last, body, MESH_BODY_MAX);
	/* The queue is bounded: more does not fit, and nothing that was taken is lost. */
	while (mesh_send(a.mesh, b.id, 2, body, 1000) == 0)
		sent++;
	ck_assert_uint_ge(sent, MESH_QUEUE_MAX / 1020);
	ck_assert_uint_le(sent, MESH_QUEUE_MAX / 1000);
	ck_assert_uint_lt(mesh_room(a.mesh, b.id), 1000 + 16);
	settle();
	ck_assert_uint_eq(b.messages, 1 + sent);
	ck_assert_uint_gt(mesh_room(a.mesh, b.id), MESH_QUEUE_MAX - 100);
}
END_TEST

/* Who sends too much is read no faster than that: what is more stays at the sender. */
START_TEST(rate)
{
	static uint8_t body[50000];
	unsigned at_once, sent = 0;

	for (unsigned i = 0; i < 2000; i++) {
		sent += mesh_send(a.mesh, b.id, 3, body, sizeof(body)) == 0;
		settle();
	}
	at_once = b.messages;
	ck_assert_uint_ge(at_once, MESH_BURST_S * MESH_BYTES_RATE / sizeof(body));
	ck_assert_uint_le(at_once, MESH_BURST_S * MESH_BYTES_RATE / sizeof(body) + 2);
	ck_assert_uint_gt(sent, at_once);
	run(NS_PER_SEC);
	ck_assert_uint_ge(b.messages, at_once + MESH_BYTES_RATE / sizeof(body) - 1 < sent ?
	    at_once + MESH_BYTES_RATE / sizeof(body) - 1 : sent);
	run(20 * NS_PER_SEC);
	ck_assert_uint_eq(b.messages, sent);
	ck_assert_uint_eq(b.down, 0);
}
END_TEST

START_TEST(small_messages_have_a_rate_as_well)
{
	unsigned most = MESH_BURST_S * MESH_RATE;

	for (unsigned i = 0; i < most + 5000; i++) {
		mesh_send(a.mesh, b.id, 3, (const uint8_t *)"", 0);
		if (i % 100 == 0)
			settle();
	}
	settle();
	ck_assert_uint_le(b.messages, most + 2);
	run(10 * NS_PER_SEC);
	ck_assert_uint_eq(b.messages, most + 5000);
}
END_TEST

/* The handler refuses a message: the stream is broken off on both sides, and begins anew, later each time. */
START_TEST(rubbish)
{
	uint64_t before = stats->counter[STAT_ROUTED_MESH_RUBBISH];
	unsigned ups;

	b.answer = -1;
	mesh_send(a.mesh, b.id, 7, NULL, 0);
	settle();
	ck_assert_uint_eq(b.down, 1);
	ck_assert_uint_eq(a.down, 1);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_MESH_RUBBISH], before + 1);
	ck_assert(!mesh_adjacent(a.mesh, b.id));
	ck_assert_int_eq(mesh_send(a.mesh, b.id, 7, NULL, 0), -1);
	run(NS_PER_SEC);
	ck_assert_uint_eq(a.up, 2);
	for (unsigned i = 0; i < 600; i++) {
		mesh_send(a.mesh, b.id, 7, NULL, 0);
		run(NS_PER_SEC);
	}
	ups = a.up;
	ck_assert_uint_gt(ups, 15);
	ck_assert_uint_lt(ups, 60);	/* ten minutes, half a minute apart in the end */
	b.answer = 0;
	run(120 * NS_PER_SEC);
	ck_assert(mesh_adjacent(a.mesh, b.id) && mesh_adjacent(b.mesh, a.id));
}
END_TEST

START_TEST(punished)
{
	mesh_punish(b.mesh, a.id, now);
	settle();
	ck_assert_uint_eq(b.down, 1);
	ck_assert_uint_eq(a.down, 1);
	run(5 * NS_PER_SEC);
	ck_assert(mesh_adjacent(a.mesh, b.id));
}
END_TEST

/* The session ends: nothing goes on, and with the next one all begins anew. */
START_TEST(session_lost)
{
	mesh_send(a.mesh, b.id, 7, (const uint8_t *)"lost", 4);
	mesh_peer_down(a.mesh, b.id, now);
	mesh_peer_down(b.mesh, a.id, now);
	ck_assert_uint_eq(a.down, 1);
	ck_assert_uint_eq(b.down, 1);
	ck_assert_int_eq(mesh_send(a.mesh, b.id, 7, NULL, 0), -1);
	ck_assert_uint_eq(mesh_room(a.mesh, b.id), 0);
	run(NS_PER_SEC);
	mesh_peer_up(b.mesh, a.id, now);
	mesh_peer_up(a.mesh, b.id, now);
	settle();
	ck_assert_uint_eq(a.up, 2);
	ck_assert_uint_eq(b.messages, 0);
}
END_TEST

/* The other's routed is another: its side of the stream is gone, the dataplane resets it, and it is opened again. */
START_TEST(other_side_restarts)
{
	mesh_free(b.mesh);
	drop_all(&a);
	drop_all(&b);
	side_init(&b, 2);
	mesh_peer_up(b.mesh, a.id, now);
	{
		struct frame f = { .type = FT_RESET_STREAM, .reset = { .stream_id = 2, .reason = REASON_PEER_GONE } };

		ck_assert_int_eq(mesh_frame(a.mesh, &f, now), 0);
	}
	run(2 * NS_PER_SEC);
	ck_assert_uint_eq(a.down, 1);
	ck_assert_uint_eq(a.up, 2);
	ck_assert_uint_eq(b.up, 1);
	mesh_send(b.mesh, a.id, 9, NULL, 0);
	settle();
	ck_assert_uint_eq(a.last_type, 9);
}
END_TEST

/* Frames vanish (as when the path dies without a word): it is found out, and begun anew. */
START_TEST(silence)
{
	mesh_send(a.mesh, b.id, 7, (const uint8_t *)"x", 1);
	for (unsigned i = 0; i < 300; i++) {
		mesh_run(a.mesh, now);
		mesh_run(b.mesh, now);
		drop_all(&a);
		drop_all(&b);
		now += NS_PER_SEC;
	}
	ck_assert_uint_ge(a.down, 1);
	run(60 * NS_PER_SEC);
	ck_assert(mesh_adjacent(a.mesh, b.id) && mesh_adjacent(b.mesh, a.id));
}
END_TEST

START_TEST(port_full_and_gone)
{
	a.full = true;
	mesh_send(a.mesh, b.id, 7, (const uint8_t *)"x", 1);
	settle();
	ck_assert_uint_eq(b.messages, 0);
	a.full = false;
	settle();
	ck_assert_uint_eq(b.messages, 1);
	mesh_port(a.mesh, NULL, NULL, now);
	ck_assert_uint_eq(a.down, 1);
	ck_assert_int_eq(mesh_send(a.mesh, b.id, 7, NULL, 0), -1);
	mesh_run(a.mesh, now);
	ck_assert_uint_eq(a.n, 0);
}
END_TEST

static void
open_from(const uint8_t *source, uint64_t id, uint8_t class, uint8_t flags, const uint8_t *noise, size_t len, int want)
{
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = id, .class = class, .flags = flags,
	    .service = { (const uint8_t *)MESH_SERVICE, strlen(MESH_SERVICE) }, .noise = { noise, len }, .source = source } };

	ck_assert_int_eq(mesh_frame(b.mesh, &f, now), want);
}

/* Who opens one in place of another again and again has to wait in between, longer and longer. */
START_TEST(opened_again_and_again)
{
	uint8_t noise[STREAM_ID_LEN] = { 0 };
	unsigned up = b.up;

	for (unsigned i = 0; i < 10000; i++) {
		noise[1] = (uint8_t)i;
		noise[2] = (uint8_t)(i >> 8);
		noise[3] = 1;
		open_from(a.id, 101 + 2 * i, CLASS_CONTROL, 0, noise, sizeof(noise), 0);
		drop_all(&b);
		now += NS_PER_MS;
	}
	ck_assert_uint_gt(b.up, up);
	ck_assert_uint_lt(b.up, up + 10);
}
END_TEST

/* Streams that are not the mesh's are refused one by one; only an id that cannot be closes the channel. */
START_TEST(opens_that_are_refused)
{
	uint64_t refused = stats->counter[STAT_ROUTED_MESH_REFUSED];
	uint8_t stranger[NODE_ID_LEN] = { 9 }, noise[STREAM_ID_LEN] = { 0, 5 }, resumed[STREAM_ID_LEN] = { 1, 6 };

	open_from(stranger, 101, CLASS_CONTROL, 0, noise, sizeof(noise), 0);
	open_from(NULL, 103, CLASS_CONTROL, 0, noise, sizeof(noise), 0);
	open_from(a.id, 105, CLASS_BULK, 0, noise, sizeof(noise), 0);
	open_from(a.id, 107, CLASS_CONTROL, OPEN_UNRELIABLE, noise, sizeof(noise), 0);
	open_from(a.id, 109, CLASS_CONTROL, 0, noise, sizeof(noise) - 1, 0);
	open_from(a.id, 111, CLASS_CONTROL, 0, resumed, sizeof(resumed), 0);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_MESH_REFUSED], refused + 6);
	ck_assert_uint_eq(b.down, 0);
	ck_assert(mesh_adjacent(b.mesh, a.id));
	open_from(a.id, 111, CLASS_CONTROL, 0, noise, sizeof(noise), -1);
	open_from(a.id, 200, CLASS_CONTROL, 0, noise, sizeof(noise), -1);
	mesh_run(b.mesh, now);
	drop_all(&b);
}
END_TEST

/* A neighbour with a higher id does not open: two streams would cross. */
START_TEST(higher_id_does_not_open)
{
	uint8_t higher[NODE_ID_LEN] = { 0xff }, noise[STREAM_ID_LEN] = { 0, 5 };
	uint64_t refused = stats->counter[STAT_ROUTED_MESH_REFUSED];

	mesh_peer_up(b.mesh, higher, now);
	open_from(higher, 301, CLASS_CONTROL, 0, noise, sizeof(noise), 0);
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_MESH_REFUSED], refused + 1);
	mesh_run(b.mesh, now);
	drop_all(&b);
}
END_TEST

START_TEST(not_a_frame_of_streams)
{
	struct frame f = { .type = FT_PING };

	ck_assert_int_eq(mesh_frame(a.mesh, &f, now), -1);
	f = (struct frame){ .type = FT_DATA_U };
	ck_assert_int_eq(mesh_frame(a.mesh, &f, now), -1);
	f = (struct frame){ .type = FT_ACK, .ack = { .stream_id = 999 } };
	ck_assert_int_eq(mesh_frame(a.mesh, &f, now), 0);
}
END_TEST

static void
count_one(const uint8_t *node_id, void *arg)
{
	++*(unsigned *)arg;
}

START_TEST(many_peers)
{
	uint8_t id[NODE_ID_LEN] = { 0 };
	unsigned n = 0;

	for (unsigned i = 1; i < MESH_PEERS_MAX; i++) {
		id[0] = (uint8_t)(i * 37);
		id[1] = (uint8_t)i;
		id[2] = (uint8_t)(i >> 8);
		ck_assert_int_eq(mesh_peer_up(b.mesh, id, now), 0);
	}
	id[3] = 1;
	ck_assert_int_eq(mesh_peer_up(b.mesh, id, now), -1);
	ck_assert_int_eq(mesh_peer_up(b.mesh, a.id, now), 0);
	mesh_each(b.mesh, count_one, &n);
	ck_assert_uint_eq(n, 1);	/* with the others it cannot talk yet */
}
END_TEST

/* Peers that do not read: what waits for all of them is bounded, and one that comes then has its share. */
START_TEST(memory_for_all)
{
	static uint8_t body[60000];
	uint8_t id[NODE_ID_LEN] = { 0 }, noise[STREAM_ID_LEN] = { 0 };
	size_t waiting = 0;
	unsigned n;

	for (n = 1; n < 400; n++) {
		id[0] = 1;
		id[1] = (uint8_t)n;
		id[2] = (uint8_t)(n >> 8);
		noise[1] = (uint8_t)n;
		noise[2] = (uint8_t)(n >> 8);
		ck_assert_int_eq(mesh_peer_up(b.mesh, id, now), 0);
		open_from(id, 1001 + 2 * n, CLASS_CONTROL, 0, noise, sizeof(noise), 0);
		ck_assert(mesh_adjacent(b.mesh, id));
		while (mesh_send(b.mesh, id, 1, body, sizeof(body)) == 0)
			waiting += sizeof(body);
		while (mesh_send(b.mesh, id, 1, body, 1000) == 0)
			waiting += 1000;
		ck_assert_uint_ge(waiting, (size_t)n * (MESH_QUEUE_LEAST - 2048));
	}
	ck_assert_uint_le(waiting, MESH_QUEUES_MAX + MESH_QUEUE_MAX + (size_t)n * MESH_QUEUE_LEAST);
	/* when one of them goes, so does what waited for it */
	mesh_peer_down(b.mesh, id, now);
	mesh_run(b.mesh, now);
	drop_all(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mesh");
	TCase *tc = tcase_create("mesh");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, lower_id_opens_and_both_talk);
	tcase_add_test(tc, large_and_many);
	tcase_add_test(tc, rate);
	tcase_add_test(tc, small_messages_have_a_rate_as_well);
	tcase_add_test(tc, rubbish);
	tcase_add_test(tc, punished);
	tcase_add_test(tc, session_lost);
	tcase_add_test(tc, other_side_restarts);
	tcase_add_test(tc, silence);
	tcase_add_test(tc, port_full_and_gone);
	tcase_add_test(tc, opened_again_and_again);
	tcase_add_test(tc, opens_that_are_refused);
	tcase_add_test(tc, higher_id_does_not_open);
	tcase_add_test(tc, not_a_frame_of_streams);
	tcase_add_test(tc, many_peers);
	tcase_add_test(tc, memory_for_all);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
