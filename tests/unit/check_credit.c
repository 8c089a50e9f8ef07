#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/credit.h"
#include "suite.h"

#define MS	1000000ull
#define SEC	1000000000ull

static struct credit c;
static struct credit_node node;
static struct budget budget;
static struct turn turn[2];
static uint64_t now;
static const uint64_t initial[2] = { CREDIT_INITIAL, CREDIT_INITIAL };

static void
node_setup(uint64_t memory)
{
	struct credit_conf conf;

	credit_conf_default(&conf);
	budget_init(&budget, memory);
	credit_node_init(&node, &conf, &budget);
	turn_init(&turn[0], NULL);
	turn_init(&turn[1], NULL);
	now = 1000 * SEC;
}

static void
setup(void)
{
	node_setup(64u << 20);
	ck_assert_uint_eq(credit_init(&c, &node, CLASS_BULK, &turn[0], &turn[1], initial, now), REASON_NONE);
}

static void
teardown(void)
{
	credit_free(&c);
	ck_assert_uint_eq(budget.used, 0);
	ck_assert_uint_eq(budget.held, 0);
	ck_assert(turn_idle(&turn[0]) && turn_idle(&turn[1]));
	ck_assert_uint_eq(node.streams, 0);
}

static uint8_t
byte_at(uint64_t off)
{
	return (uint8_t)((off * 0x9e3779b97f4a7c15ull) >> 56);
}

static void
data(unsigned side, uint64_t seq, size_t len)
{
	static uint8_t buf[70000];
	struct frame f = { .type = FT_DATA };

	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(seq + i);
	f.data = (struct frame_data){ .stream_id = 7, .seq = seq, .payload = buf, .payload_len = len };
	credit_input(&c, side, &f, MS, now);
}

static void
ack(unsigned side, uint64_t seq, uint64_t window)
{
	struct frame f = { .type = FT_ACK };

	f.ack.stream_id = 7;
	f.ack.seq = seq;
	f.ack.window = window;
	credit_input(&c, side, &f, MS, now);
}

static void
grant(unsigned side, uint64_t limit)
{
	struct frame f = { .type = FT_STREAM_CREDIT };

	f.credit.stream_id = 7;
	f.credit.limit = limit;
	credit_input(&c, side, &f, MS, now);
}

static void
close_stream(unsigned side, uint64_t final)
{
	struct frame f = { .type = FT_CLOSE_STREAM };

	f.close.stream_id = 7;
	f.close.final_seq = final;
	credit_input(&c, side, &f, MS, now);
}

static void
reset(unsigned side, uint64_t reason)
{
	struct frame f = { .type = FT_RESET_STREAM };

	f.reset.stream_id = 7;
	f.reset.reason = reason;
	credit_input(&c, side, &f, MS, now);
}

/* The next frame that leaves at a side. False when there is none. */
static bool
out(unsigned side, struct frame *f)
{
	static const struct frame_limits lim = { FRAME_PORT_STREAM, FRAME_MAX_DEFAULT };
	static uint8_t buf[20000];
	size_t n;
	bool ready = credit_ready(&c, side);

	ck_assert(ready == c.out[side].listed || c.turn[side] == NULL);
	n = credit_output(&c, side, 9, buf, sizeof(buf), now);
	ck_assert(ready == (n > 0));
	if (n == 0)
		return false;
	ck_assert_int_eq(frame_decode(f, buf, n, &lim), FRAME_OK);
	ck_assert_uint_eq(f->raw.len, n);
	return true;
}

static void
drain(unsigned side)
{
	struct frame f;

	while (out(side, &f))
		;
}

static void
check_out(unsigned side, uint64_t type)
{
	struct frame f;

	ck_assert_msg(out(side, &f), "nothing leaves at side %u", side);
	ck_assert_msg(f.type == type, "%s leaves", frame_type_name(f.type));
}

/* --- every frame in every state --- */

enum feed { F_DATA, F_DATA_GAP, F_DATA_OVER, F_ACK, F_CREDIT, F_CLOSE, F_CLOSE_BELOW, F_RESET, F_DATA_U, F_DATA_UF, F_DATA_UFL,
	F_OPEN, F_PING, F_COUNT };

/* o open, 0 half-0, 1 half-1, c closing, e ending, d done: what follows from a frame of side 0 and of side 1. */
static const struct { const char *side0, *side1; } expected[F_COUNT] = {
	/*		    o01ced    o01ced */
	[F_DATA] =	  { "oe1eed", "o0eeed" },	/* nothing may follow what was closed */
	[F_DATA_GAP] =	  { "eeeeed", "eeeeed" },
	[F_DATA_OVER] =	  { "eeeeed", "eeeeed" },
	[F_ACK] =	  { "o01ced", "o01ced" },
	[F_CREDIT] =	  { "o01ced", "o01ced" },
	[F_CLOSE] =	  { "0eceed", "1ceeed" },
	[F_CLOSE_BELOW] = { "eeeeed", "eeeeed" },
	[F_RESET] =	  { "eeeeed", "eeeeed" },
	[F_DATA_U] =	  { "eeeeed", "eeeeed" },
	[F_DATA_UF] =	  { "eeeeed", "eeeeed" },
	[F_DATA_UFL] =	  { "eeeeed", "eeeeed" },
	[F_OPEN] =	  { "eeeeed", "eeeeed" },
	[F_PING] =	  { "eeeeed", "eeeeed" },
};

/* An open stream on which 100 bytes went each way. */
static void
state_reach(unsigned state)
{
	ack(1, 0, 10000);
	data(0, 0, 100);
	data(1, 0, 100);
	drain(0);
	drain(1);
	if (state == CREDIT_HALF_0 || state == CREDIT_CLOSING || state == CREDIT_DONE)
		close_stream(0, 100);
	if (state == CREDIT_HALF_1 || state == CREDIT_CLOSING || state == CREDIT_DONE)
		close_stream(1, 100);
	drain(0);
	drain(1);
	if (state == CREDIT_DONE) {
		ack(0, 101, 0);
		ack(1, 101, 0);
		drain(0);
		drain(1);
	}
	if (state == CREDIT_ENDING)
		credit_fail(&c, REASON_INTERNAL);
	ck_assert_msg(c.state == state, "%s", credit_state_name(c.state));
}

static void
feed_one(unsigned state, unsigned side, enum feed feed)
{
	static const char letters[] = "o01ced";
	char want = (side == 0 ? expected[feed].side0 : expected[feed].side1)[state];
	struct frame f = { 0 };

	setup();
	state_reach(state);
	switch (feed) {
	case F_DATA:
		data(side, 100, 10);
		break;
	case F_DATA_GAP:
		data(side, 101, 10);
		break;
	case F_DATA_OVER:
		data(side, 100, c.way[side].granted - c.way[side].received + 1);
		break;
	case F_ACK:
		ack(side, 100, 10000);
		break;
	case F_CREDIT:
		grant(side, 100000);
		break;
	case F_CLOSE:
		close_stream(side, 100);
		break;
	case F_CLOSE_BELOW:
		close_stream(side, 99);
		break;
	case F_RESET:
		reset(side, REASON_REFUSED);
		break;
	default:
		f.type = feed == F_DATA_U ? FT_DATA_U : feed == F_DATA_UF ? FT_DATA_UF : feed == F_DATA_UFL ? FT_DATA_UFL :
		    feed == F_OPEN ? FT_OPEN_STREAM : FT_PING;
		credit_input(&c, side, &f, MS, now);
	}
	ck_assert_msg(letters[c.state] == want, "state %s side %u feed %d: %c, not %c", credit_state_name(state), side, feed,
	    letters[c.state], want);
	if (want == 'e' && state < CREDIT_ENDING) {
		ck_assert_uint_eq(c.reset_reason, feed == F_RESET ? REASON_REFUSED : REASON_PROTOCOL);
		ck_assert(c.reset_due[1 - side] && c.reset_due[side] == (feed != F_RESET));
		drain(0);
		drain(1);
		ck_assert(credit_done(&c));
	}
	teardown();
}

START_TEST(every_frame_in_every_state)
{
	for (unsigned state = 0; state < CREDIT_STATES; state++)
		for (unsigned side = 0; side < 2; side++)
			for (unsigned feed = 0; feed < F_COUNT; feed++)
				feed_one(state, side, feed);
}
END_TEST

START_TEST(the_answer_comes_first)
{
	setup();
	data(1, 0, 10);
	ck_assert_int_eq(c.state, CREDIT_ENDING);
	teardown();
	setup();
	close_stream(1, 0);
	ck_assert_int_eq(c.state, CREDIT_ENDING);
	teardown();
	setup();
	data(0, 0, 10);		/* the opener need not wait */
	close_stream(0, 10);
	ck_assert_int_eq(c.state, CREDIT_HALF_0);
	teardown();
}
END_TEST

/* --- credit --- */

START_TEST(it_takes_what_it_granted_and_not_a_byte_more)
{
	setup();
	data(0, 500, CREDIT_INITIAL);	/* a leg may begin anywhere */
	ck_assert_int_eq(c.state, CREDIT_OPEN);
	ck_assert_uint_eq(credit_waiting(&c.way[0]), CREDIT_INITIAL);
	data(0, 500 + CREDIT_INITIAL, 1);
	ck_assert_int_eq(c.state, CREDIT_ENDING);
	ck_assert_uint_eq(node.violations, 1);
	teardown();
}
END_TEST

START_TEST(it_sends_what_it_was_granted_and_not_a_byte_more)
{
	struct frame f;
	uint64_t sent = 0;

	setup();
	data(0, 0, CREDIT_INITIAL);
	while (out(1, &f))
		sent += f.type == FT_DATA ? f.data.payload_len : 0;
	ck_assert_uint_eq(sent, CREDIT_INITIAL);
	check_out(0, FT_STREAM_CREDIT);
	data(0, CREDIT_INITIAL, 1000);
	ck_assert(!out(1, &f));
	ck_assert(credit_stalled_since(&c.way[0]) != 0);
	grant(1, CREDIT_INITIAL + 1);
	ck_assert(out(1, &f));
	ck_assert_uint_eq(f.data.payload_len, 1);
	ck_assert_uint_eq(f.data.seq, CREDIT_INITIAL);
	ck_assert(!out(1, &f));
	grant(1, CREDIT_INITIAL);	/* a limit never shrinks */
	ck_assert(!out(1, &f));
	teardown();
}
END_TEST

/* Random pieces one way, random credit the other way. */
START_TEST(bytes_pass_once_and_in_order)
{
	uint64_t seed = 42, in = 12345, passed = 12345, granted = CREDIT_INITIAL, limit = CREDIT_INITIAL, bad;
	struct frame f;

	setup();
	for (unsigned i = 0; i < 3000; i++) {
		size_t n = (size_t)((seed = seed * 6364136223846793005ull + 1442695040888963407ull) >> 33) % 5000 + 1;

		if (n > granted - (in - 12345))
			n = (size_t)(granted - (in - 12345));
		if (n > 0)
			data(0, in, n);
		in += n;
		if (seed >> 62 == 0)
			grant(1, limit += seed >> 50);
		while (seed >> 61 != 7 && out(1, &f)) {
			ck_assert_uint_eq(f.type, FT_DATA);
			ck_assert_uint_eq(f.data.seq, passed);
			bad = 0;
			for (size_t k = 0; k < f.data.payload_len; k++)
				bad += f.data.payload[k] != byte_at(passed + k);
			ck_assert_uint_eq(bad, 0);	/* not one a byte: each writes to a file */
			passed += f.data.payload_len;
			ck_assert_uint_le(passed - 12345, limit);
		}
		while (out(0, &f)) {
			ck_assert_uint_eq(f.type, FT_STREAM_CREDIT);
			ck_assert_uint_gt(f.credit.limit, granted);
			granted = f.credit.limit;
		}
		now += MS;
		ck_assert_uint_le(credit_waiting(&c.way[0]), granted - (passed - 12345));
		ck_assert_uint_le(budget.held, budget.used);
		ck_assert_int_eq(c.state, CREDIT_OPEN);
	}
	ck_assert_uint_gt(passed, 500000);
	ck_assert_uint_gt(credit_window(&c.way[0]), CREDIT_INITIAL);
	teardown();
}
END_TEST

START_TEST(a_window_that_is_not_needed_does_not_grow)
{
	uint64_t seq = 0, limit = 0;

	setup();
	for (unsigned i = 0; i < 1000; i++) {
		data(0, seq, 1000);
		seq += 1000;
		grant(1, limit += 2000);
		drain(1);
		drain(0);
		now += 10 * MS;
	}
	ck_assert_uint_eq(credit_window(&c.way[0]), CREDIT_INITIAL);
	teardown();
}
END_TEST

START_TEST(of_many_acks_the_newest_goes_on)
{
	struct frame f;

	setup();
	ack(1, 100, 1000);
	ack(1, 300, 500);
	ack(1, 200, 5000);
	ck_assert(out(0, &f));
	ck_assert_uint_eq(f.type, FT_ACK);
	ck_assert_uint_eq(f.ack.seq, 300);
	ck_assert_uint_eq(f.ack.window, 4900);
	ck_assert(!out(0, &f));
	teardown();
}
END_TEST

START_TEST(a_close_goes_behind_the_bytes)
{
	struct frame f;

	setup();
	data(0, 0, 5000);
	close_stream(0, 5000);
	check_out(1, FT_DATA);
	check_out(1, FT_CLOSE_STREAM);
	ck_assert(!out(1, &f));
	/* One that overtook the bytes waits for them. */
	close_stream(1, 100);
	ck_assert_int_eq(c.state, CREDIT_ENDING);
	teardown();
	setup();
	ack(1, 0, 0);
	drain(0);
	data(1, 0, 60);
	close_stream(1, 100);
	check_out(0, FT_DATA);
	ck_assert(!out(0, &f));
	data(1, 60, 40);
	check_out(0, FT_DATA);
	check_out(0, FT_CLOSE_STREAM);
	teardown();
}
END_TEST

START_TEST(it_is_done_when_both_closes_are_acknowledged)
{
	setup();
	state_reach(CREDIT_CLOSING);
	ack(0, 101, 0);
	drain(1);
	ck_assert(!credit_done(&c));
	ack(1, 100, 1);
	drain(0);
	ck_assert(!credit_done(&c));
	ack(1, 101, 0);
	ck_assert(!credit_done(&c));	/* it has to leave first */
	drain(0);
	ck_assert(credit_done(&c));
	teardown();
}
END_TEST

/* --- the end of ports, time, memory --- */

START_TEST(a_lost_port_resets_the_other)
{
	struct frame f;

	for (unsigned side = 0; side < 2; side++) {
		setup();
		data(0, 0, 8000);
		credit_port_lost(&c, side);
		ck_assert_uint_eq(budget.held, 0);
		ck_assert(out(1 - side, &f));
		ck_assert_uint_eq(f.type, FT_RESET_STREAM);
		ck_assert_uint_eq(f.reset.reason, REASON_PEER_GONE);
		ck_assert(credit_done(&c));
		teardown();
	}
	setup();
	credit_port_lost(&c, 0);
	credit_port_lost(&c, 1);
	ck_assert(credit_done(&c));
	teardown();
}
END_TEST

START_TEST(nobody_answers_and_nobody_speaks)
{
	struct frame f;

	setup();
	ck_assert_uint_eq(credit_deadline(&c), now + node.conf.open_ns);
	now += node.conf.open_ns;
	credit_tick(&c, now);
	ck_assert(out(0, &f));
	ck_assert_uint_eq(f.reset.reason, REASON_UNREACHABLE);
	drain(1);
	ck_assert(credit_done(&c));
	teardown();
	setup();
	ack(1, 0, 0);
	drain(0);
	now += node.conf.idle_ns - 1;
	credit_tick(&c, now);
	ck_assert_int_eq(c.state, CREDIT_OPEN);
	now++;
	credit_tick(&c, now);
	ck_assert_int_eq(c.state, CREDIT_ENDING);
	ck_assert_uint_eq(node.reaped, 1);
	teardown();
}
END_TEST

START_TEST(the_ceiling)
{
	struct credit many[10];
	size_t n = 0;

	node_setup(200000);
	while (n < 10 && credit_init(&many[n], &node, CLASS_BULK, &turn[0], &turn[1], initial, now) == REASON_NONE)
		n++;
	ck_assert_uint_eq(n, 8);
	ck_assert_uint_eq(node.refused, 1);
	ck_assert_uint_le(budget.used, budget.limit);
	while (n > 0)
		credit_free(&many[--n]);
	ck_assert_uint_eq(budget.used, 0);
	ck_assert_uint_lt(sizeof(struct credit), 1024);
}
END_TEST

/* What a burst made grow goes back when it is used up and nothing follows. */
START_TEST(a_quiet_stream_gives_back)
{
	uint64_t seq = 0, grown;
	struct frame f;

	setup();
	for (unsigned i = 0; i < 200; i++) {
		uint64_t n = c.way[0].granted - c.way[0].received;

		n = n < 60000 ? n : 60000;
		if (n > 0)
			data(0, seq, n);
		seq += n;
		grant(1, seq + 100000);
		drain(1);
		drain(0);
	}
	grown = budget.used;
	ck_assert_uint_gt(grown, 500000);
	now += 11 * SEC;
	credit_tick(&c, now);
	while (c.way[0].granted > c.way[0].received) {
		uint64_t n = c.way[0].granted - c.way[0].received;

		n = n < 60000 ? n : 60000;
		data(0, seq, n);
		seq += n;
		grant(1, seq + 100000);
		while (out(1, &f))
			;
		now += SEC;
	}
	ck_assert_uint_lt(budget.used, grown / 5);
	teardown();
}
END_TEST

/* --- whose turn --- */

static const uint8_t other_weights[CLASS_COUNT] = { [CLASS_INTERACTIVE] = 1, [CLASS_BULK] = 20, [CLASS_DROPPABLE] = 100 };

/* The usual weights; others from the beginning; others that come later, as by a reload. */
START_TEST(classes_share_by_weight)
{
	struct turn t;
	struct turn_entry e[CLASS_COUNT];
	uint64_t sent[CLASS_COUNT] = { 0 };

	turn_init(&t, _i == 1 ? other_weights : NULL);
	if (_i == 2)
		turn_weigh(&t, other_weights);
	ck_assert_uint_eq(t.weight[CLASS_RELIABLE], 4);
	ck_assert_uint_eq(t.weight[CLASS_BULK], _i == 0 ? 2 : 20);
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		turn_entry_init(&e[i], i);
		turn_add(&t, &e[i]);
	}
	for (unsigned i = 0; i < 100000; i++) {
		struct turn_entry *n = turn_next(&t);

		sent[n->class] += 1200;
		turn_sent(&t, n, 1200, true);
	}
	ck_assert_uint_gt(sent[CLASS_CONTROL], 55000ull * 1000);	/* half goes first, and its own share of the rest */
	ck_assert_uint_lt(sent[CLASS_CONTROL], 75000ull * 1000);
	for (unsigned i = 1; i < CLASS_COUNT; i++) {
		uint64_t want = sent[CLASS_BULK] * t.weight[i] / t.weight[CLASS_BULK];

		ck_assert_uint_lt(sent[i], want + want / 50);
		ck_assert_uint_gt(sent[i], want - want / 50);
	}
}
END_TEST

START_TEST(streams_of_a_class_share_alike)
{
	struct turn t;
	struct turn_entry e[3];
	uint64_t sent[3] = { 0 };
	static const size_t size[3] = { 64, 1500, 16000 };

	turn_init(&t, NULL);
	for (unsigned i = 0; i < 3; i++) {
		turn_entry_init(&e[i], CLASS_BULK);
		turn_add(&t, &e[i]);
	}
	for (unsigned i = 0; i < 200000; i++) {
		struct turn_entry *n = turn_next(&t);

		sent[n - e] += size[n - e];
		turn_sent(&t, n, size[n - e], true);
	}
	for (unsigned i = 1; i < 3; i++)
		ck_assert_uint_lt(llabs((long long)(sent[i] - sent[0])), 40000);
	for (unsigned i = 0; i < 3; i++)
		turn_remove(&t, &e[i]);
	ck_assert(turn_idle(&t) && turn_next(&t) == NULL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("credit");
	TCase *tc = tcase_create("hop");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_frame_in_every_state);
	tcase_add_test(tc, the_answer_comes_first);
	tcase_add_test(tc, it_takes_what_it_granted_and_not_a_byte_more);
	tcase_add_test(tc, it_sends_what_it_was_granted_and_not_a_byte_more);
	tcase_add_test(tc, bytes_pass_once_and_in_order);
	tcase_add_test(tc, a_window_that_is_not_needed_does_not_grow);
	tcase_add_test(tc, of_many_acks_the_newest_goes_on);
	tcase_add_test(tc, a_close_goes_behind_the_bytes);
	tcase_add_test(tc, it_is_done_when_both_closes_are_acknowledged);
	tcase_add_test(tc, a_lost_port_resets_the_other);
	tcase_add_test(tc, nobody_answers_and_nobody_speaks);
	tcase_add_test(tc, the_ceiling);
	tcase_add_test(tc, a_quiet_stream_gives_back);
	tcase_add_loop_test(tc, classes_share_by_weight, 0, 3);
	tcase_add_test(tc, streams_of_a_class_share_alike);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
