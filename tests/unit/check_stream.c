#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/stream.h"
#include "fabric/stream_table.h"
#include "stream_bytes.h"
#include "suite.h"

#define MS	1000000ull
#define SEC	1000000000ull

/* Two adapters that are joined by a path without faults: what one sends, the other gets. */
static struct streams a, b;
static struct budget abudget, bbudget;
static struct fabric_stream *s, *t;	/* the opener's end at a, the acceptor's at b */
static uint64_t now, next_id;
static uint8_t token[STREAM_TOKEN_LEN] = "a token of 16 by";
static struct stream_conf conf;

static void
setup(void)
{
	stream_conf_default(&conf);
	conf.idle_ns = 600 * SEC;
	budget_init(&abudget, 64u << 20);
	budget_init(&bbudget, 64u << 20);
	ck_assert_int_eq(streams_init(&a, &conf, &abudget, 12345), 0);
	ck_assert_int_eq(streams_init(&b, &conf, &bbudget, 54321), 0);
	now = 1000 * SEC;
	next_id = 0;
	s = t = NULL;
}

static void
teardown(void)
{
	streams_free(&a);
	streams_free(&b);
	ck_assert_uint_eq(abudget.used, 0);
	ck_assert_uint_eq(bbudget.used, 0);
	ck_assert_uint_eq(abudget.held, 0);
	ck_assert_uint_eq(bbudget.held, 0);
}

/* Decodes one frame that `from' sends. False when it has none. */
static bool
next_frame(struct streams *from, uint8_t *buf, struct frame *f)
{
	static const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_DEFAULT };
	size_t n = streams_output(from, buf, 20000, now);

	if (n == 0)
		return false;
	ck_assert_int_eq(frame_decode(f, buf, n, &lim), FRAME_OK);
	ck_assert_uint_eq(f->raw.len, n);
	return true;
}

static size_t
move(struct streams *from, struct streams *to)
{
	static uint8_t buf[20000];
	struct frame f;
	size_t n = 0;
	bool unit;

	while (next_frame(from, buf, &f)) {
		streams_input(to, &f, now, &unit);
		n++;
	}
	return n;
}

static void
pump(void)
{
	while (move(&a, &b) + move(&b, &a) > 0)
		now += MS / 10;
}

/* The same as pump(), with the readers reading all and giving back no ACK before its time. */
static void
discard(struct streams *from)
{
	static uint8_t buf[20000];
	struct frame f;

	while (next_frame(from, buf, &f))
		;
}

static void
open_a(bool reliable)
{
	uint64_t reason;

	s = streams_open(&a, token, CLASS_BULK, reliable, &s, now, &reason);
	ck_assert_ptr_nonnull(s);
	next_id += 2;
	ck_assert_int_eq(stream_attach(s, next_id, now), 0);
}

static void
accept_b(bool reliable)
{
	uint64_t reason;

	t = streams_accept(&b, token, next_id, CLASS_BULK, reliable, &t, now, &reason);
	ck_assert_ptr_nonnull(t);
}

static void
open_both(void)
{
	open_a(true);
	accept_b(true);
	pump();
	ck_assert_int_eq(s->leg, LEG_UP);
	ck_assert_int_eq(t->leg, LEG_UP);
}

static void
resume(void)
{
	next_id += 2;
	ck_assert_int_eq(stream_attach(s, next_id, now), 0);
	ck_assert_int_eq(stream_attach(t, next_id, now), 0);
}

static size_t
write_bytes(struct fabric_stream *w, size_t n)
{
	uint8_t buf[65536];
	size_t done = 0;

	while (done < n) {
		size_t k = n - done < sizeof(buf) ? n - done : sizeof(buf);
		ssize_t got;

		for (size_t i = 0; i < k; i++)
			buf[i] = byte_at(w->snd_end + i);
		if ((got = stream_write(w, buf, k, now)) <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

static size_t
read_bytes(struct fabric_stream *r, size_t n)
{
	uint8_t buf[65536];
	size_t done = 0;
	ssize_t got;

	while (done < n) {
		uint64_t at = r->rcv_read;
		size_t k = n - done < sizeof(buf) ? n - done : sizeof(buf);

		if ((got = stream_read(r, buf, k, now)) <= 0)
			break;
		bytes_check(buf, (size_t)got, at);
		done += (size_t)got;
	}
	return done;
}

/* Everything that happened to it, and nothing more waits. */
static unsigned
events_of(struct streams *set, struct fabric_stream *st)
{
	struct fabric_stream *e;
	unsigned bits, all = 0;

	while ((e = streams_event(set, &bits)) != NULL)
		if (e == st)
			all |= bits;
	return all;
}

/* --- every frame in every state --- */

/* What is fed to a stream that has received 100 bytes and sent 50, and the state it must be in then. */
enum feed { F_DATA, F_DATA_AGAIN, F_DATA_GAP, F_DATA_BEYOND, F_DATA_U, F_DATA_UF, F_DATA_UFL, F_ACK, F_ACK_OLD, F_ACK_BEYOND,
	F_CREDIT, F_CLOSE, F_CLOSE_BELOW, F_CLOSE_BEYOND, F_RESET, F_RESET_PATH, F_OPEN, F_COUNT };

/* O open, L half-local, R half-remote, C closing, I linger, G gone; after '-': as before, and without its leg. */
static const char *const expected[F_COUNT] = {
	/*		   O    L    R    C    I    G */
	[F_DATA] =	  "O"  "L"  "G"  "G"  "G"  "G",
	[F_DATA_AGAIN] =  "O"  "L"  "R"  "C"  "I"  "G",
	[F_DATA_GAP] =	  "G"  "G"  "G"  "G"  "G"  "G",
	[F_DATA_BEYOND] = "G"  "G"  "G"  "G"  "G"  "G",
	[F_DATA_U] =	  "G"  "G"  "G"  "G"  "G"  "G",
	[F_DATA_UF] =	  "G"  "G"  "G"  "G"  "G"  "G",
	[F_DATA_UFL] =	  "G"  "G"  "G"  "G"  "G"  "G",
	[F_ACK] =	  "O"  "L"  "R"  "C"  "I"  "G",
	[F_ACK_OLD] =	  "O"  "L"  "R"  "C"  "I"  "G",
	[F_ACK_BEYOND] =  "G"  "G"  "G"  "G"  "G"  "G",
	[F_CREDIT] =	  "O"  "L"  "R"  "C"  "I"  "G",
	[F_CLOSE] =	  "R"  "I"  "R"  "C"  "I"  "G",
	[F_CLOSE_BELOW] = "G"  "G"  "G"  "G"  "G"  "G",
	[F_CLOSE_BEYOND] = "G" "G"  "G"  "G"  "G"  "G",
	[F_RESET] =	  "G"  "G"  "G"  "G"  "G"  "G",
	[F_RESET_PATH] =  "o"  "l"  "r"  "c"  "i"  "G",
	[F_OPEN] =	  "G"  "G"  "G"  "G"  "G"  "G",
};

static struct frame
feed_make(enum feed feed)
{
	static const uint8_t payload[256];
	uint64_t id = s->id, acked = s->close_acked ? s->snd_end + 1 : s->snd_una;
	struct frame f = { 0 };

	switch (feed) {
	case F_DATA: case F_DATA_AGAIN: case F_DATA_GAP: case F_DATA_BEYOND:
		f.type = FT_DATA;
		f.data = (struct frame_data){ .stream_id = id, .payload = payload, .payload_len = 10 };
		f.data.seq = feed == F_DATA ? s->rcv_nxt : feed == F_DATA_AGAIN ? 0 : feed == F_DATA_GAP ? s->rcv_nxt + 1 :
		    s->rcv_edge - 9;
		break;
	case F_DATA_U: case F_DATA_UF: case F_DATA_UFL:
		f.type = feed == F_DATA_U ? FT_DATA_U : feed == F_DATA_UF ? FT_DATA_UF : FT_DATA_UFL;
		f.data = (struct frame_data){ .stream_id = id, .payload = payload, .payload_len = 256,
		    .flags = (uint8_t)(f.type - FT_DATA) };
		break;
	case F_ACK: case F_ACK_OLD: case F_ACK_BEYOND:
		f.type = FT_ACK;
		f.ack.stream_id = id;
		f.ack.seq = feed == F_ACK_BEYOND ? s->snd_end + 2 : feed == F_ACK || s->leg != LEG_UP ? acked : 1;
		f.ack.window = 1000;
		break;
	case F_CREDIT:
		f.type = FT_STREAM_CREDIT;
		f.credit.stream_id = id;
		f.credit.limit = 100000;
		break;
	case F_CLOSE: case F_CLOSE_BELOW: case F_CLOSE_BEYOND:
		f.type = FT_CLOSE_STREAM;
		f.close.stream_id = id;
		f.close.final_seq = feed == F_CLOSE ? s->rcv_nxt : feed == F_CLOSE_BELOW ? s->rcv_nxt - 1 : s->rcv_edge + 1;
		break;
	case F_RESET: case F_RESET_PATH:
		f.type = FT_RESET_STREAM;
		f.reset.stream_id = id;
		f.reset.reason = feed == F_RESET ? REASON_REFUSED : REASON_PEER_GONE;
		break;
	default:
		f.type = FT_OPEN_STREAM;
		f.open.stream_id = id;
	}
	return f;
}

static void
state_reach(unsigned state)
{
	open_both();
	write_bytes(s, 50);
	write_bytes(t, 100);
	pump();
	read_bytes(s, 100);
	read_bytes(t, 50);
	pump();
	if (state == STREAM_HALF_LOCAL || state == STREAM_LINGER) {
		stream_shut(s, now);
		pump();
	}
	if (state == STREAM_HALF_REMOTE || state == STREAM_CLOSING || state == STREAM_LINGER) {
		stream_shut(t, now);
		pump();
	}
	if (state == STREAM_CLOSING) {
		stream_shut(s, now);
		discard(&a);
	}
	if (state == STREAM_GONE)
		stream_abort(s, REASON_REFUSED, now);
	ck_assert_msg(s->state == state, "%s", stream_state_name(s->state));
}

static void
leg_reach(unsigned leg)
{
	if (leg == LEG_UP || s->state == STREAM_GONE)
		return;
	streams_port_lost(&a, now);
	if (leg == LEG_NONE)
		return;
	next_id += 2;
	ck_assert_int_eq(stream_attach(s, next_id, now), 0);
	ck_assert_int_eq(s->leg, leg);
}

static void
feed_one(unsigned state, unsigned leg, enum feed feed)
{
	static const char letters[] = "OLRCIG", lost[] = "olrci";
	char want = expected[feed][state], got;
	struct frame f;
	bool unit, known, had_id;

	setup();
	state_reach(state);
	leg_reach(leg);
	f = feed_make(feed);
	had_id = s->id != 0;
	known = streams_input(&a, &f, now, &unit);
	ck_assert(known == had_id && !unit);
	if (!had_id) {
		ck_assert_int_eq(s->state, state);
	} else {
		got = s->leg == LEG_NONE && s->state != STREAM_GONE ? lost[s->state] : letters[s->state];
		ck_assert_msg(got == want, "state %s leg %s feed %d: %c, not %c", stream_state_name(state),
		    stream_leg_name(leg), feed, got, want);
		if (s->state == STREAM_GONE && state != STREAM_GONE)
			ck_assert_uint_eq(s->reason, feed == F_RESET ? REASON_REFUSED : REASON_PROTOCOL);
	}
	teardown();
}

START_TEST(every_frame_in_every_state)
{
	for (unsigned state = 0; state < STREAM_STATES; state++)
		for (unsigned feed = 0; feed < F_COUNT; feed++) {
			feed_one(state, LEG_NONE, feed);
			feed_one(state, LEG_RESUMING, feed);
			feed_one(state, LEG_UP, feed);
		}
}
END_TEST

/* The same on the first leg, while nobody has answered: nothing has come, and some bytes may have gone. */
static const char *const before_the_answer[F_COUNT] = {
	/*		   O    L */
	[F_DATA] =	  "O"  "L", [F_DATA_AGAIN] = "O"  "L", [F_DATA_GAP] =	  "G"  "G",
	[F_DATA_BEYOND] = "G"  "G", [F_DATA_U] =     "G"  "G", [F_DATA_UF] =	  "G"  "G",
	[F_DATA_UFL] =	  "G"  "G", [F_ACK] =	     "O"  "L", [F_ACK_OLD] =	  "O"  "L",
	[F_ACK_BEYOND] =  "G"  "G", [F_CREDIT] =     "O"  "L", [F_CLOSE] =	  "R"  "C",
	[F_CLOSE_BELOW] = "G"  "G", [F_CLOSE_BEYOND] = "G" "G", [F_RESET] =	  "G"  "G",
	[F_RESET_PATH] =  "o"  "l", [F_OPEN] =	     "G"  "G",
};

static void
feed_opening(unsigned state, unsigned sent, enum feed feed)
{
	static const char letters[] = "OLRCIG", lost[] = "olrci";
	char want = before_the_answer[feed][state], got;
	struct frame f;
	bool unit;

	setup();
	open_a(true);
	write_bytes(s, sent);
	if (state == STREAM_HALF_LOCAL)
		stream_shut(s, now);
	discard(&a);
	ck_assert_int_eq(s->leg, LEG_OPENING);
	ck_assert_int_eq(s->state, state);
	f = feed_make(feed);
	ck_assert(streams_input(&a, &f, now, &unit) && !unit);
	got = s->leg == LEG_NONE && s->state != STREAM_GONE ? lost[s->state] : letters[s->state];
	ck_assert_msg(got == want, "opening, state %s sent %u feed %d: %c, not %c", stream_state_name(state), sent, feed, got,
	    want);
	if (s->state != STREAM_GONE && s->leg != LEG_NONE)	/* an ACK, and nothing else, is the answer */
		ck_assert_int_eq(s->leg, f.type == FT_ACK ? LEG_UP : LEG_OPENING);
	teardown();
}

START_TEST(every_frame_before_the_answer)
{
	for (unsigned state = STREAM_OPEN; state <= STREAM_HALF_LOCAL; state++)
		for (unsigned feed = 0; feed < F_COUNT; feed++) {
			feed_opening(state, 0, feed);
			feed_opening(state, 100, feed);
		}
}
END_TEST

/* Frames of a hop's or of no stream at all are none of an end's. */
START_TEST(other_frames_are_nobodys)
{
	static const uint64_t types[] = { FT_HELLO, FT_AUTH, FT_SESSION_READY, FT_PING, FT_PONG, FT_ROUTE_UPDATE,
	    FT_NODE_PRESSURE, FT_GOAWAY, FT_SKIP_FIRST, FT_PROC_FIRST };
	bool unit;

	setup();
	open_both();
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct frame f = { .type = types[i], .skipped = types[i] == FT_SKIP_FIRST };

		ck_assert(!streams_input(&a, &f, now, &unit));
		ck_assert_int_eq(s->state, STREAM_OPEN);
	}
	teardown();
}
END_TEST

START_TEST(every_reason_of_a_reset)
{
	for (uint64_t reason = 0; reason <= REASON_COUNT; reason++) {
		struct frame f = { .type = FT_RESET_STREAM };
		bool path = reason == REASON_PEER_GONE || reason == REASON_SHUTDOWN || reason == REASON_MOVED ||
		    reason == REASON_HOP_GONE || reason == REASON_NO_ROUTE || reason == REASON_ROUTE_EXPIRED ||
		    reason == REASON_FENCED, unit;

		setup();
		open_both();
		f.reset.stream_id = s->id;
		f.reset.reason = reason;
		streams_input(&a, &f, now, &unit);
		ck_assert_int_eq(s->state, path ? STREAM_OPEN : STREAM_GONE);
		ck_assert_int_eq(s->leg, LEG_NONE);
		if (!path)
			ck_assert_uint_eq(s->reason, reason);
		teardown();
	}
}
END_TEST

START_TEST(while_it_resumes_a_full_node_is_no_end)
{
	static const uint64_t reasons[] = { REASON_LIMIT, REASON_UNREACHABLE, REASON_NO_ROUTE, REASON_ROUTE_EXPIRED,
	    REASON_ROUTE_CLASS, REASON_ROUTE_LIMIT, REASON_ROUTE_RATE, REASON_FENCED };

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct frame f = { .type = FT_RESET_STREAM };
		bool unit;

		setup();
		open_both();
		streams_port_lost(&a, now);
		next_id += 2;
		ck_assert_int_eq(stream_attach(s, next_id, now), 0);
		f.reset.stream_id = s->id;
		f.reset.reason = reasons[i];
		streams_input(&a, &f, now, &unit);
		ck_assert_int_eq(s->state, STREAM_OPEN);
		now = s->again_ns;
		streams_tick(&a, now);
		ck_assert_uint_eq(events_of(&a, s) & STREAM_EV_LEG, STREAM_EV_LEG);
		teardown();
	}
}
END_TEST

static void
moved(void)
{
	struct frame f = { .type = FT_RESET_STREAM, .reset = { .stream_id = s->id, .reason = REASON_MOVED } };
	bool unit;

	streams_input(&a, &f, now, &unit);
	ck_assert(s->state == STREAM_OPEN && s->leg == LEG_NONE && s->before == f.reset.stream_id);
}

/* No time passes before it wants another leg; but one that is moved on and on without an answer waits like any other. */
START_TEST(a_move_wants_a_leg_at_once)
{
	setup();
	open_both();
	for (unsigned round = 0; round < 10; round++) {	/* each is answered: that is no spinning */
		moved();
		ck_assert_uint_eq(events_of(&a, s) & STREAM_EV_LEG, STREAM_EV_LEG);
		resume();
		pump();
		ck_assert_int_eq(s->leg, LEG_UP);
	}
	for (unsigned n = 0; n < 3; n++) {
		moved();
		ck_assert_uint_eq(events_of(&a, s) & STREAM_EV_LEG, STREAM_EV_LEG);
		next_id += 2;
		ck_assert_int_eq(stream_attach(s, next_id, now), 0);
	}
	moved();
	ck_assert_uint_eq(events_of(&a, s) & STREAM_EV_LEG, 0);
	ck_assert_uint_gt(s->again_ns, now);
	now = s->again_ns;
	streams_tick(&a, now);
	ck_assert_uint_eq(events_of(&a, s) & STREAM_EV_LEG, STREAM_EV_LEG);
	streams_port_lost(&a, now);
	ck_assert_uint_eq(s->before, 0);	/* at another port its ids say nothing */
	teardown();
}
END_TEST

/* The table names every pair, and what is gone stays gone. */
START_TEST(the_table_is_whole)
{
	for (unsigned state = 0; state < STREAM_STATES; state++)
		for (unsigned h = 0; h < SH_COUNT; h++)
			for (int reliable = 0; reliable < 2; reliable++) {
				const struct stream_cell *c = stream_cell(reliable, state, h);

				ck_assert_uint_lt(c->next, STREAM_STATES);
				ck_assert(c->action != SA_END || c->next == STREAM_GONE);
				ck_assert(c->action != SA_PROTOCOL || c->next == STREAM_GONE);
				ck_assert(state != STREAM_GONE || c->next == STREAM_GONE);
				if (reliable && (c->action == SA_NONE || c->action == SA_AGAIN || c->action == SA_LEG))
					ck_assert_uint_eq(c->next, state);
			}
}
END_TEST

/* --- bytes --- */

START_TEST(bytes_arrive_once_and_in_order)
{
	size_t wrote = 0, got = 0;

	setup();
	open_both();
	while (got < 3000000) {
		wrote += write_bytes(s, 3000000 - wrote);
		pump();
		got += read_bytes(t, 100000);
		now += MS;
	}
	ck_assert_uint_eq(t->n.bytes_in, 3000000);
	ck_assert_uint_eq(t->n.duplicate, 0);
	ck_assert_uint_gt(t->window.size, STREAM_WINDOW_INITIAL);
	teardown();
}
END_TEST

START_TEST(a_reader_that_does_not_read_stops_the_writer)
{
	size_t wrote;

	setup();
	open_both();
	do {
		wrote = write_bytes(s, 1000000);
		pump();
	} while (wrote > 0);
	ck_assert_uint_eq(t->in.len, STREAM_WINDOW_INITIAL);
	ck_assert_uint_le(s->out.len, 3 * STREAM_WINDOW_INITIAL);
	ck_assert_uint_gt(s->out.len, 0);
	events_of(&a, s);
	ck_assert_uint_eq(read_bytes(t, 8192), 8192);
	pump();
	ck_assert_uint_eq(events_of(&a, s) & STREAM_EV_WRITE, STREAM_EV_WRITE);
	teardown();
}
END_TEST

/*
 * The acceptor's first round trip ends with the opener's answer to its first ACK, not to a later one: a round trip that
 * is taken for too short is one that no window ever fills in time.
 */
START_TEST(the_first_round_trip_is_a_whole_one)
{
	static uint8_t buf[20000];
	uint8_t bytes[6000] = { 0 };
	struct frame f;
	bool unit;

	setup();
	open_a(true);
	accept_b(true);
	discard(&b);		/* the answer is on its way */
	now += 19 * MS;
	ck_assert_int_eq(stream_write(s, bytes, sizeof(bytes), now), sizeof(bytes));
	move(&a, &b);		/* bytes that were sent before it arrived, and are acknowledged */
	ck_assert_int_eq(stream_read(t, buf, sizeof(buf), now), sizeof(bytes));
	discard(&b);
	now += MS;
	f.type = FT_ACK;
	f.ack = (struct frame_ack){ t->id, 0, 8192 };
	ck_assert(streams_input(&b, &f, now, &unit));
	ck_assert_uint_ge(t->rtt_min_ns, 20 * MS);
	teardown();
}
END_TEST

START_TEST(it_goes_on_where_the_far_end_says)
{
	setup();
	open_both();
	ck_assert_uint_eq(write_bytes(s, 8000), 8000);
	move(&a, &b);		/* arrives, and the ACK does not come back */
	discard(&b);
	ck_assert_uint_eq(write_bytes(s, 4000), 4000);
	discard(&a);		/* this is lost */
	streams_port_lost(&a, now);
	streams_port_lost(&b, now);
	resume();
	pump();
	ck_assert_uint_eq(read_bytes(t, 20000), t->rcv_read);
	pump();
	read_bytes(t, 20000);
	ck_assert_uint_eq(t->rcv_nxt, 12000);
	ck_assert_uint_eq(t->n.duplicate, 0);
	ck_assert(s->n.bytes_again > 0 && s->before == 0);
	teardown();
}
END_TEST

START_TEST(resumed_again_and_again)
{
	size_t wrote = 0, got = 0, turns = 0;

	setup();
	open_both();
	while (got < 500000) {
		wrote += write_bytes(s, 500000 - wrote);
		switch (turns++ % 4) {
		case 0:
			discard(&a);
			break;
		case 1:
			move(&a, &b);
			discard(&b);
			break;
		case 2:
			move(&a, &b);
			move(&b, &a);
			discard(&a);
			break;
		default:
			pump();
		}
		got += read_bytes(t, 500000);
		streams_port_lost(&a, now);
		if (turns % 3 == 0)
			streams_port_lost(&b, now);
		resume();
		pump();
		got += read_bytes(t, 500000);
		pump();
		now += 5 * MS;
	}
	ck_assert_uint_eq(t->rcv_read, 500000);
	teardown();
}
END_TEST

START_TEST(each_direction_closes_by_itself)
{
	setup();
	open_both();
	write_bytes(s, 1000);
	stream_shut(s, now);
	pump();
	ck_assert_int_eq(s->state, STREAM_HALF_LOCAL);
	ck_assert_int_eq(t->state, STREAM_HALF_REMOTE);
	ck_assert_uint_eq(read_bytes(t, 2000), 1000);
	ck_assert_int_eq(stream_read(t, token, 1, now), -1);
	ck_assert_int_eq(stream_write(s, token, 1, now), -1);
	ck_assert_uint_eq(write_bytes(t, 2000), 2000);
	stream_shut(t, now);
	pump();
	ck_assert_uint_eq(read_bytes(s, 3000), 2000);
	ck_assert_int_eq(s->state, STREAM_LINGER);
	ck_assert_int_eq(t->state, STREAM_LINGER);
	stream_release(s, now);
	stream_release(t, now);
	ck_assert_uint_eq(a.n, 1);
	now += conf.linger_ns;
	streams_tick(&a, now);
	streams_tick(&b, now);
	ck_assert_uint_eq(a.n + b.n, 0);
	teardown();
}
END_TEST

START_TEST(a_close_that_was_lost_comes_again)
{
	setup();
	open_both();
	write_bytes(s, 100);
	pump();
	stream_shut(s, now);
	discard(&a);
	streams_port_lost(&a, now);
	streams_port_lost(&b, now);
	resume();
	pump();
	ck_assert_int_eq(t->state, STREAM_HALF_REMOTE);
	ck_assert(s->close_acked);
	teardown();
}
END_TEST

/* What one end did not hear of, it asks; the one that lingers says it again. */
START_TEST(the_last_ack_is_lost)
{
	setup();
	open_both();
	stream_shut(s, now);
	pump();
	stream_shut(t, now);
	move(&b, &a);
	discard(&a);		/* the ACK of t's CLOSE_STREAM */
	ck_assert_int_eq(s->state, STREAM_LINGER);
	ck_assert_int_eq(t->state, STREAM_CLOSING);
	streams_port_lost(&b, now);
	streams_port_lost(&a, now);
	now = s->again_ns;
	streams_tick(&a, now);
	ck_assert_uint_eq(events_of(&a, s) & STREAM_EV_LEG, STREAM_EV_LEG);
	resume();
	pump();
	ck_assert_int_eq(t->state, STREAM_LINGER);
	teardown();
}
END_TEST

START_TEST(an_abort_reaches_the_other_end)
{
	setup();
	open_both();
	write_bytes(s, 1000);
	stream_abort(s, REASON_REFUSED, now);
	stream_release(s, now);
	ck_assert_uint_eq(a.n, 0);
	pump();
	ck_assert_int_eq(t->state, STREAM_GONE);
	ck_assert_uint_eq(t->reason, REASON_REFUSED);
	ck_assert_uint_eq(events_of(&b, t) & STREAM_EV_END, STREAM_EV_END);
	ck_assert_int_eq(stream_read(t, token, 1, now), -1);
	teardown();
}
END_TEST

/* --- time --- */

static void
pass(uint64_t ns, bool joined)
{
	uint64_t until = now + ns;

	while (now < until) {
		uint64_t at = streams_deadline(&a) < streams_deadline(&b) ? streams_deadline(&a) : streams_deadline(&b);

		now = at < until ? at > now ? at : now + 1 : until;
		streams_tick(&a, now);
		streams_tick(&b, now);
		if (joined) {
			pump();
		} else {
			discard(&a);
			discard(&b);
		}
	}
}

START_TEST(an_idle_stream_stays_as_long_as_both_answer)
{
	setup();
	open_both();
	pass(590 * SEC, true);
	ck_assert_int_eq(s->leg, LEG_UP);
	ck_assert_uint_eq(s->n.legs, 1);
	pass(20 * SEC, true);
	ck_assert_int_eq(s->state, STREAM_GONE);
	ck_assert_uint_eq(s->reason, REASON_IDLE);
	teardown();
}
END_TEST

START_TEST(silence_loses_the_leg_and_then_the_stream)
{
	setup();
	open_both();
	pass(conf.dead_ns + SEC, false);
	ck_assert_int_eq(s->leg, LEG_NONE);
	ck_assert_int_eq(s->state, STREAM_OPEN);
	ck_assert_uint_eq(events_of(&a, s) & STREAM_EV_LEG, STREAM_EV_LEG);
	ck_assert_uint_eq(events_of(&b, t) & STREAM_EV_LEG, 0);
	pass(conf.resume_ns, false);
	ck_assert_int_eq(s->state, STREAM_GONE);
	ck_assert_int_eq(t->state, STREAM_GONE);
	ck_assert_uint_eq(s->reason, REASON_PEER_GONE);
	teardown();
}
END_TEST

START_TEST(an_open_that_nobody_answers)
{
	setup();
	open_a(true);
	discard(&a);
	pass(conf.open_ns + 100 * MS, false);
	ck_assert_int_eq(s->leg, LEG_NONE);
	ck_assert_uint_eq(events_of(&a, s) & STREAM_EV_LEG, STREAM_EV_LEG);
	pass(conf.resume_ns, false);
	ck_assert_int_eq(s->state, STREAM_GONE);
	teardown();
}
END_TEST

START_TEST(a_half_open_stream_is_reaped)
{
	setup();
	conf.half_ns = 50 * SEC;
	streams_free(&a);
	ck_assert_int_eq(streams_init(&a, &conf, &abudget, 1), 0);
	open_both();
	stream_shut(s, now);
	pass(51 * SEC, true);
	ck_assert_int_eq(s->state, STREAM_GONE);
	ck_assert_uint_eq(s->reason, REASON_IDLE);
	ck_assert_int_eq(t->state, STREAM_GONE);
	teardown();
}
END_TEST

START_TEST(only_so_many_linger)
{
	struct stream_conf few;

	setup();
	few = conf;
	few.linger_max = 3;
	streams_free(&a);
	ck_assert_int_eq(streams_init(&a, &few, &abudget, 1), 0);
	for (unsigned i = 0; i < 10; i++) {
		token[0] = (uint8_t)i;
		open_both();
		stream_shut(s, now);
		stream_shut(t, now);
		pump();
		ck_assert_int_eq(s->state, STREAM_LINGER);
		stream_release(s, now);
		stream_release(t, now);
	}
	ck_assert_uint_eq(a.n, 3);
	ck_assert_uint_eq(b.n, 10);
	teardown();
}
END_TEST

/* --- memory --- */

START_TEST(at_the_ceiling_new_ones_are_refused_and_old_ones_go_on)
{
	uint64_t reason;
	size_t n = 0;

	setup();
	abudget.limit = 100000;
	open_both();
	for (;;) {
		token[0]++;
		if (streams_open(&a, token, CLASS_BULK, true, NULL, now, &reason) == NULL)
			break;
		n++;
	}
	ck_assert_uint_eq(reason, REASON_LIMIT);
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(a.refused, 1);
	for (size_t got = 0, wrote = 0; got < 100000; now += MS) {
		wrote += write_bytes(s, 100000 - wrote);
		pump();
		got += read_bytes(t, 100000);
		ck_assert_uint_le(abudget.held, abudget.used);
		ck_assert_uint_le(abudget.used, abudget.limit);
	}
	teardown();
}
END_TEST

START_TEST(an_idle_end_is_small)
{
	setup();
	open_both();
	write_bytes(s, 8000);
	pump();
	read_bytes(t, 8000);
	pump();
	ck_assert_uint_eq(abudget.held + bbudget.held, 0);
	ck_assert_uint_lt(sizeof(struct fabric_stream), 1024);
	teardown();
}
END_TEST

START_TEST(the_identity)
{
	uint8_t id[STREAM_ID_LEN], back[STREAM_TOKEN_LEN];
	bool exist;

	setup();
	open_a(true);
	stream_identity_put(s, id);
	ck_assert_int_eq(stream_identity_get(id, sizeof(id), back, &exist), 0);
	ck_assert(!exist && memcmp(back, token, sizeof(back)) == 0);
	write_bytes(s, 10);
	stream_identity_put(s, id);
	ck_assert_int_eq(stream_identity_get(id, sizeof(id), back, &exist), 0);
	ck_assert(!exist);		/* nothing went yet */
	discard(&a);
	stream_identity_put(s, id);
	ck_assert_int_eq(stream_identity_get(id, sizeof(id), back, &exist), 0);
	ck_assert(exist);
	ck_assert_int_eq(stream_identity_get(id, sizeof(id) - 1, back, &exist), -1);
	id[0] = 2;
	ck_assert_int_eq(stream_identity_get(id, sizeof(id), back, &exist), -1);
	teardown();
}
END_TEST

/* --- unreliable --- */

START_TEST(units_are_counted)
{
	uint8_t buf[100];
	static const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_DEFAULT };
	struct frame f;
	bool unit;

	setup();
	open_a(false);
	accept_b(false);
	for (unsigned i = 0; i < 100; i++) {
		size_t n = stream_unit(s, token, sizeof(token), buf, sizeof(buf), now);

		ck_assert_uint_gt(n, 0);
		ck_assert_int_eq(frame_decode(&f, buf, n, &lim), FRAME_OK);
		if (i % 10 == 3)
			continue;	/* lost */
		ck_assert(streams_input(&b, &f, now, &unit) && unit);
		if (i % 10 == 5)
			ck_assert(streams_input(&b, &f, now, &unit) && !unit);
	}
	ck_assert_uint_eq(t->loss.received, 90);
	ck_assert_uint_eq(loss_missing(&t->loss), 10);
	ck_assert_uint_eq(t->loss.duplicates, 10);
	stream_shut(s, now);
	ck_assert_int_eq(s->state, STREAM_GONE);
	move(&a, &b);
	ck_assert_int_eq(t->state, STREAM_GONE);
	ck_assert_uint_eq(t->reason, REASON_NONE);
	teardown();
}
END_TEST

START_TEST(every_frame_of_an_unreliable_stream)
{
	static const uint64_t types[] = { FT_DATA, FT_ACK, FT_STREAM_CREDIT, FT_CLOSE_STREAM, FT_RESET_STREAM, FT_OPEN_STREAM };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct frame f = { .type = types[i] };
		bool unit;

		setup();
		open_a(false);
		f.data.stream_id = s->id;	/* the first field of each */
		f.data.payload = token;
		f.data.payload_len = types[i] == FT_DATA ? 1 : 0;
		ck_assert(streams_input(&a, &f, now, &unit));
		ck_assert_int_eq(s->state, STREAM_GONE);
		teardown();
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("ends");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_frame_in_every_state);
	tcase_add_test(tc, every_frame_before_the_answer);
	tcase_add_test(tc, other_frames_are_nobodys);
	tcase_add_test(tc, every_reason_of_a_reset);
	tcase_add_test(tc, while_it_resumes_a_full_node_is_no_end);
	tcase_add_test(tc, a_move_wants_a_leg_at_once);
	tcase_add_test(tc, the_table_is_whole);
	tcase_add_test(tc, bytes_arrive_once_and_in_order);
	tcase_add_test(tc, a_reader_that_does_not_read_stops_the_writer);
	tcase_add_test(tc, the_first_round_trip_is_a_whole_one);
	tcase_add_test(tc, it_goes_on_where_the_far_end_says);
	tcase_add_test(tc, resumed_again_and_again);
	tcase_add_test(tc, each_direction_closes_by_itself);
	tcase_add_test(tc, a_close_that_was_lost_comes_again);
	tcase_add_test(tc, the_last_ack_is_lost);
	tcase_add_test(tc, an_abort_reaches_the_other_end);
	tcase_add_test(tc, an_idle_stream_stays_as_long_as_both_answer);
	tcase_add_test(tc, silence_loses_the_leg_and_then_the_stream);
	tcase_add_test(tc, an_open_that_nobody_answers);
	tcase_add_test(tc, a_half_open_stream_is_reaped);
	tcase_add_test(tc, only_so_many_linger);
	tcase_add_test(tc, at_the_ceiling_new_ones_are_refused_and_old_ones_go_on);
	tcase_add_test(tc, an_idle_end_is_small);
	tcase_add_test(tc, the_identity);
	tcase_add_test(tc, units_are_counted);
	tcase_add_test(tc, every_frame_of_an_unreliable_stream);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
