/* svchostd's core: pumps and hubs, two of them over a channel that a test holds, with real sockets at both ends. */
#include "base/hex.h"
#include "hub_talk.h"
#include "suite.h"

#include <malloc.h>

static void
setup(void)
{
	pair_start(&pair, &pair_conf);
}

/* Nothing is left of any stream, but for what lingers. */
static void
teardown(void)
{
	for (unsigned k = 0; k < 2; k++) {
		struct hub *h = pair.side[k].hub;

		ck_assert_uint_eq(hub_streams(h), 0);
		ck_assert(RUN_UNTIL(&pair, h->streams.n == h->streams.nlinger));
		ck_assert_uint_eq(h->budget.held, 0);
		ck_assert_uint_le(h->budget.used, h->streams.n * 2 * RING_COST(STREAM_WINDOW_INITIAL));
		ck_assert_uint_eq(h->nsamples, 0);
		ck_assert_ptr_null(TAILQ_FIRST(&h->opening));
	}
	pair_stop(&pair);
}

/* --- bytes and their ends --- */

static const struct { uint64_t there, back; } sizes[] = {
	{ 0, 0 }, { 1, 0 }, { 0, 1 }, { 15982, 15983 }, { 3 * MB + 17, 2 * MB + 5 }, { 20 * MB, 0 }, { 0, 20 * MB },
};

START_TEST(both_ways)
{
	struct talk t;

	talk_open(&t, "ssh");
	t.client.target = sizes[_i].there;
	t.server.target = sizes[_i].back;
	talk_answer(&t, 0);
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	ck_assert_uint_eq(t.opened, 1);
	talk_whole(&t);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_STREAMS_WHOLE], 2);
	talk_close(&t);
}
END_TEST

/* Who has said all goes on hearing the other. */
START_TEST(half_closed)
{
	struct talk t;

	talk_open(&t, "ssh");
	t.client.target = 100;
	t.server.target = 50000;
	talk_answer(&t, 0);
	while (!t.server.eof) {
		app_done(&t.client);
		app_read(&t.server);
		run_for(&pair, 1);
		ck_assert(!t.client.eof);
	}
	ck_assert_uint_eq(t.server.read, 100);
	run_for(&pair, 50);
	ck_assert_uint_eq(t.ended, 0);
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_whole(&t);
	talk_close(&t);
}
END_TEST

/* As SOCKS does: its answer goes before what the server says. */
START_TEST(owner_writes_first)
{
	struct talk t;
	char buf[64];
	ssize_t n;

	talk_open(&t, "ssh");
	t.greeting = "hello ";
	talk_answer(&t, 0);
	ck_assert_int_eq(write(t.server.fd, "world", 5), 5);
	ck_assert(RUN_UNTIL(&pair, t.pump != NULL && hub_streams(pair.side[0].hub) == 1 && t.opened == 1));
	run_for(&pair, 20);
	n = read(t.client.fd, buf, sizeof(buf));
	ck_assert_int_eq(n, 11);
	ck_assert_mem_eq(buf, "hello world", 11);
	talk_close(&t);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
}
END_TEST

/* Nothing is read from the client before the target is there. */
START_TEST(waits_for_the_target)
{
	struct talk t;

	talk_open(&t, "ssh");
	t.client.target = 5000;
	app_write(&t.client);
	ck_assert(RUN_UNTIL(&pair, pair.naccepted == 1));
	run_for(&pair, 50);
	ck_assert_uint_eq(t.opened, 0);
	ck_assert_uint_eq(pair.data[0], 0);
	talk_answer(&t, 0);
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_whole(&t);
	talk_close(&t);
}
END_TEST

/* --- broken off --- */

static void
reset_app(struct app *a)
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(a->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(a->fd);
	a->fd = -1;
}

START_TEST(reset)
{
	struct talk t;
	struct app *who, *other;

	talk_open(&t, "ssh");
	who = _i == 0 ? &t.client : &t.server;
	other = _i == 0 ? &t.server : &t.client;
	t.client.target = t.server.target = 100 * MB;
	talk_answer(&t, 0);
	ck_assert(RUN_UNTIL(&pair, !both_done(&t) && other->read > MB));
	reset_app(who);
	ck_assert(RUN_UNTIL(&pair, app_done(other)));
	ck_assert(other->error == ECONNRESET || other->error == EPIPE);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	ck_assert_uint_eq(t.ended, 1);
	ck_assert_uint_eq(t.reason, REASON_CONNECTION_RESET);
	close(other->fd);
}
END_TEST

START_TEST(aborted)
{
	struct talk t;

	talk_open(&t, "ssh");
	talk_answer(&t, 0);
	ck_assert(RUN_UNTIL(&pair, t.opened == 1));
	t.client.target = t.server.target = 1;
	pump_abort(t.pump, REASON_REFUSED);
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert(t.client.error != 0 && t.server.error != 0);
	ck_assert_uint_eq(t.ended + t.failed, 0);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_close(&t);
}
END_TEST

START_TEST(aborted_when_opened)
{
	struct talk t;

	talk_open(&t, "ssh");
	t.abort_when_open = true;
	t.client.target = t.server.target = 1;
	talk_answer(&t, 0);
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert_uint_eq(t.opened, 1);
	ck_assert_uint_eq(t.ended + t.failed, 0);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_close(&t);
}
END_TEST

/* --- refused --- */

static uint64_t
no_access(struct pair *p, struct pump *pump, const struct peer_identity *peer)
{
	ck_assert_str_eq(peer->name, "phone");
	ck_assert_str_eq(peer->tenant, WORLD_TENANT);
	ck_assert_mem_eq(peer->node_id, p->world.a.self.node_id, NODE_ID_LEN);
	ck_assert_str_eq(pump_tenant(pump), WORLD_TENANT);
	ck_assert_uint_eq(pump_roles(pump), 1u << ROLE_SERVICE_HOST);
	return REASON_NOT_ALLOWED;
}

START_TEST(not_allowed)
{
	struct talk t;

	pair.accept = no_access;
	talk_open(&t, "ssh");
	expect_failed(&t, REASON_NOT_ALLOWED);
	ck_assert_uint_eq(pair.ngone, 0);
}
END_TEST

START_TEST(target_down)
{
	struct talk t;

	talk_open(&t, "ssh");
	ck_assert(RUN_UNTIL(&pair, pair.naccepted == 1));
	hub_refuse(pair.accepted[0], REASON_TARGET_DOWN);
	expect_failed(&t, REASON_TARGET_DOWN);
	ck_assert_uint_eq(pair.ngone, 0);
}
END_TEST

/* The client goes while the target is being reached. */
START_TEST(gone_while_connecting)
{
	struct talk t;

	talk_open(&t, "ssh");
	ck_assert(RUN_UNTIL(&pair, pair.naccepted == 1));
	pump_abort(t.pump, REASON_NONE);
	ck_assert(RUN_UNTIL(&pair, pair.ngone == 1));
	ck_assert(BOTH_EMPTY);
	talk_close(&t);
}
END_TEST

/* A far end that says nothing is not waited for for ever. */
START_TEST(never_answered)
{
	struct talk t;

	talk_open(&t, "ssh");
	ck_assert(RUN_UNTIL(&pair, pair.naccepted == 1));
	run_for(&pair, 50);
	ck_assert_uint_eq(t.failed, 0);
	t.pump->started_ns -= OPEN_NS;
	hub_run(pair.side[0].hub);
	expect_failed(&t, REASON_TIMEOUT);
}
END_TEST

START_TEST(no_dataplane)
{
	struct e2e_service to = pair_service(&pair, "ssh");
	uint64_t reason = 0;
	int fds[2];

	port_down(&pair, 0);
	tcp_pair(fds);
	ck_assert_ptr_null(pump_open(pair.side[0].hub, &to, fds[0], &pump_ops, NULL, &reason));
	ck_assert_uint_eq(reason, REASON_UNREACHABLE);
	ck_assert_int_ne(fcntl(fds[0], F_GETFD), -1);	/* still the caller's */
	close(fds[0]);
	close(fds[1]);
	port_up(&pair, 0);
}
END_TEST

START_TEST(not_certified)
{
	struct talk t;

	pair.world.b.self.delegation_len = 0;
	talk_open(&t, "ssh");
	expect_failed(&t, REASON_UNREACHABLE);
}
END_TEST

/* Who is not a member, or not who the dataplane says: the handshake is what counts. */
START_TEST(another_source)
{
	static const uint8_t other[NODE_ID_LEN] = { 1, 2, 3 };
	struct talk t;

	pair.source = other;
	talk_open(&t, "ssh");
	expect_failed(&t, REASON_AUTH_NODE);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_REFUSED_AUTH], 1);
	ck_assert_uint_eq(pair.naccepted, 0);
}
END_TEST

START_TEST(another_key)
{
	struct talk t;

	memset(pair.world.b.self.key.secret, 42, sizeof(pair.world.b.self.key.secret));
	talk_open(&t, "ssh");	/* to the key of the record, which b has not */
	ck_assert_int_eq(noise_key_from_secret(&pair.world.b.self.key), 0);
	expect_failed(&t, REASON_AUTH_PROOF);
}
END_TEST

static bool
garbage_noise(struct pair *p, unsigned from, struct frame *f)
{
	static uint8_t noise[E2E_MESSAGE_MAX];

	if (f->type != FT_OPEN_STREAM)
		return true;
	memset(noise, 0x41, sizeof(noise));
	f->open.noise.p = noise;
	f->open.noise.len = (p->side[0].opens * 37) % sizeof(noise);
	return true;
}

START_TEST(garbage)
{
	pair.meddle = garbage_noise;
	for (unsigned i = 0; i < 60; i++) {
		struct talk t;

		talk_open(&t, "ssh");
		ck_assert(RUN_UNTIL(&pair, t.failed == 1));
		talk_close(&t);
	}
	ck_assert_uint_eq(pair.naccepted, 0);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_OPENS_REFUSED], 60);
}
END_TEST

/* --- limits --- */

static const struct hub_conf few = { .memory = 64u << 20, .streams_max = 20, .node_streams_max = 3 };
static const struct hub_conf small = { .memory = 200000, .streams_max = 1000, .node_streams_max = 1000 };

static void
setup_few(void)
{
	pair_start(&pair, &few);
}

static void
setup_small(void)
{
	pair_start(&pair, &small);
}

START_TEST(limit)
{
	struct talk t[4];

	for (unsigned i = 0; i < 4; i++) {
		talk_open(&t[i], "ssh");
		if (i < 3)
			talk_answer(&t[i], i);
	}
	ck_assert(RUN_UNTIL(&pair, t[3].failed == 1));
	ck_assert_uint_eq(t[3].reason, REASON_LIMIT);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_REFUSED_LIMIT], 1);
	for (unsigned i = 0; i < 3; i++) {	/* the old ones go on */
		t[i].client.target = t[i].server.target = 30000;
		ck_assert(RUN_UNTIL(&pair, both_done(&t[i])));
	}
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_close(&t[3]);
	for (unsigned i = 0; i < 3; i++) {
		talk_whole(&t[i]);
		talk_close(&t[i]);
	}
	talk_open(&t[0], "ssh");	/* and there is room again */
	talk_answer(&t[0], 3);
	ck_assert(RUN_UNTIL(&pair, both_done(&t[0])));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_close(&t[0]);
}
END_TEST

/* Own pumps are bounded too. */
START_TEST(limit_own)
{
	struct e2e_service to = pair_service(&pair, "ssh");
	struct pump *p[20];
	uint64_t reason;
	struct talk t;
	int fds[2];

	memset(&t, 0, sizeof(t));
	pair.meddle = garbage_noise;
	for (unsigned i = 0; i < 20; i++) {
		tcp_pair(fds);
		p[i] = pump_open(pair.side[0].hub, &to, fds[0], &pump_ops, &t, &reason);
		ck_assert_ptr_nonnull(p[i]);
		close(fds[1]);
	}
	tcp_pair(fds);
	ck_assert_ptr_null(pump_open(pair.side[0].hub, &to, fds[0], &pump_ops, &t, &reason));
	ck_assert_uint_eq(reason, REASON_LIMIT);
	close(fds[0]);
	close(fds[1]);
	ck_assert(RUN_UNTIL(&pair, t.failed == 20));
}
END_TEST

/* Memory for eight streams: the ninth is refused, and none of the eight takes more than there is. */
START_TEST(limit_memory)
{
	struct talk t[9];
	unsigned up = 0;

	for (unsigned i = 0; i < 9; i++) {
		uint64_t reason;
		struct e2e_service to = pair_service(&pair, "ssh");
		int fds[2];

		memset(&t[i], 0, sizeof(t[i]));
		tcp_pair(fds);
		t[i].client = (struct app){ .fd = fds[1], .salt = 7, .expect = 99 };
		t[i].server = (struct app){ .fd = -1, .salt = 99, .expect = 7 };
		t[i].pump = pump_open(pair.side[0].hub, &to, fds[0], &pump_ops, &t[i], &reason);
		if (t[i].pump == NULL) {
			ck_assert_uint_eq(reason, REASON_LIMIT);
			close(fds[1]);
			continue;
		}
		talk_answer(&t[i], up++);
		t[i].client.target = t[i].server.target = MB;
		t[i].client.lazy = t[i].server.lazy = true;
	}
	ck_assert_uint_eq(up, 8);
	for (unsigned n = 0; n < 100; n++) {
		for (unsigned i = 0; i < up; i++)
			both_done(&t[i]);
		run_for(&pair, 2);
		for (unsigned k = 0; k < 2; k++)
			ck_assert_uint_le(pair.side[k].hub->budget.held, small.memory);
	}
	for (unsigned i = 0; i < up; i++)
		t[i].client.lazy = t[i].server.lazy = false;
	for (unsigned i = 0; i < up; i++)
		ck_assert(RUN_UNTIL(&pair, both_done(&t[i])));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	for (unsigned i = 0; i < up; i++) {
		talk_whole(&t[i]);
		talk_close(&t[i]);
	}
}
END_TEST

/* A reader that does not read holds its writer, and nobody else. */
START_TEST(blocked)
{
	struct talk t, other;
	struct pump_info info;
	uint64_t wrote;

	talk_open(&t, "bulk");
	t.client.target = 200 * MB;
	t.server.lazy = true;
	talk_answer(&t, 0);
	do {
		wrote = t.client.wrote;
		for (unsigned i = 0; i < 50; i++) {
			both_done(&t);
			run_for(&pair, 2);
		}
	} while (t.client.wrote > wrote);
	ck_assert_uint_lt(wrote, 80 * MB);
	pump_info(pair.accepted[0], &info, clock_ns());
	ck_assert_uint_gt(info.stall_local_us, 50000);
	pump_info(t.pump, &info, clock_ns());
	ck_assert_uint_gt(info.stall_far_us, 50000);
	ck_assert_uint_eq(info.stall_local_us, 0);
	talk_open(&other, "ssh");
	other.client.target = other.server.target = 5 * MB;
	talk_answer(&other, 1);
	ck_assert(RUN_UNTIL(&pair, both_done(&other)));
	talk_whole(&other);
	ck_assert_uint_eq(t.client.wrote, wrote);
	t.server.lazy = false;
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_whole(&t);
	talk_close(&t);
	talk_close(&other);
}
END_TEST

/* --- paths that are lost --- */

START_TEST(port_lost)
{
	struct talk t;
	struct pump_info info;

	talk_open(&t, "ssh");
	t.client.target = 12 * MB;
	t.server.target = 8 * MB;
	talk_answer(&t, 0);
	for (unsigned i = 1; i <= 3; i++) {
		unsigned side = (unsigned)_i == 2 ? i % 2 : (unsigned)_i;

		ck_assert(RUN_UNTIL(&pair, !both_done(&t) && t.server.read > i * 2 * MB));
		port_down(&pair, side);
		run_for(&pair, 20);
		port_up(&pair, side);
	}
	ck_assert(RUN_UNTIL(&pair, both_done(&t) || t.pump == NULL || t.pump->s->n.legs == 4));
	if (t.pump != NULL) {
		pump_info(t.pump, &info, clock_ns());
		ck_assert_uint_eq(info.legs, 4);
		ck_assert_uint_gt(info.stall_leg_us, 40000);
	}
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_whole(&t);
	talk_close(&t);
}
END_TEST

/* The dataplane has another way: the OPEN for it says which stream it follows, for that to be known as one that moved. */
START_TEST(a_leg_is_moved)
{
	struct frame f = { .type = FT_RESET_STREAM, .reset = { .reason = REASON_MOVED } };
	struct talk t;

	talk_open(&t, "ssh");
	t.client.target = 20 * MB;
	t.server.target = 10;
	talk_answer(&t, 0);
	ck_assert_uint_eq(pair.side[0].before, 0);
	for (unsigned i = 1; i <= 2; i++) {
		uint64_t id = t.pump->s->id;

		ck_assert(RUN_UNTIL(&pair, !both_done(&t) && t.server.read > i * 2 * MB));
		f.reset.stream_id = id;
		pair_send(&pair.side[0], &f);
		pair_flush(&pair.side[0]);
		ck_assert(RUN_UNTIL(&pair, pair.side[0].opens == 1 + i && t.pump->s->leg == LEG_UP));
		ck_assert_uint_eq(pair.side[0].before, id);
	}
	port_down(&pair, 0);
	run_for(&pair, 20);
	port_up(&pair, 0);
	ck_assert(RUN_UNTIL(&pair, pair.side[0].opens == 4));
	ck_assert_uint_eq(pair.side[0].before, 0);	/* the ids are others now */
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	talk_whole(&t);
	talk_close(&t);
}
END_TEST

/* While it is being opened: the same message 1 again, whichever of them arrived. */
static unsigned dropped;

static bool
drop_answers(struct pair *p, unsigned from, struct frame *f)
{
	if (from == 0)
		return true;
	dropped++;
	return false;
}

START_TEST(port_lost_while_opening)
{
	struct talk t;

	dropped = 0;
	pair.meddle = drop_answers;
	talk_open(&t, "ssh");
	t.client.target = t.server.target = 100000;
	talk_answer(&t, 0);
	ck_assert(RUN_UNTIL(&pair, dropped >= 2));	/* ACK and message 2 */
	port_down(&pair, 0);
	pair.meddle = NULL;
	port_up(&pair, 0);
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_whole(&t);
	ck_assert_uint_eq(pair.naccepted, 1);
	talk_close(&t);
}
END_TEST

/* svchostd at the far end dies and comes back: it knows nothing of the stream. */
START_TEST(far_hub_dies)
{
	struct talk t;

	talk_open(&t, "ssh");
	t.client.target = 100 * MB;
	talk_answer(&t, 0);
	ck_assert(RUN_UNTIL(&pair, !both_done(&t) && t.server.read > MB));
	hub_free(pair.side[1].hub);
	pair.side[1].hub = NULL;
	port_down(&pair, 1);
	side_start(&pair, 1, &pair_conf);
	ck_assert(RUN_UNTIL(&pair, t.ended == 1));
	ck_assert_uint_eq(t.reason, REASON_REFUSED);
	ck_assert(RUN_UNTIL(&pair, app_done(&t.client)));
	ck_assert(t.client.error == ECONNRESET || t.client.error == EPIPE);
	ck_assert(RUN_UNTIL(&pair, app_done(&t.server)));
	ck_assert(t.server.error == ECONNRESET || t.server.error == EPIPE);
	talk_close(&t);
}
END_TEST

/* Another node that has learnt the token does not get the stream. */
START_TEST(token_of_another)
{
	struct world_node *c = calloc(1, sizeof(*c));
	struct e2e_service to = pair_service(&pair, "ssh");
	uint8_t message[E2E_MESSAGE_MAX], stolen[STREAM_ID_LEN];
	struct frame f = { .type = FT_OPEN_STREAM };
	struct frame_open_stream *o = &f.open;
	struct talk t;
	struct e2e *e;
	size_t len;

	ck_assert_ptr_nonnull(c);
	world_node_init(&pair.world, c, "thief", 9);
	node_now(c);
	talk_open(&t, "ssh");
	t.client.target = t.server.target = 3 * MB;
	talk_answer(&t, 0);
	ck_assert(RUN_UNTIL(&pair, !both_done(&t) && t.server.read > MB / 4));
	stolen[0] = 1;
	memcpy(stolen + 1, t.pump->s->token, STREAM_TOKEN_LEN);
	e = e2e_open(&c->self, &to, 0, stolen, sizeof(stolen), message, &len, clock_wall());
	ck_assert_ptr_nonnull(e);
	e2e_free(e);
	*o = (struct frame_open_stream){ .stream_id = stream_id_alloc(&pair.side[1].plane_ids), .class = CLASS_INTERACTIVE,
	    .service = { (const uint8_t *)"ssh", 3 }, .noise = { message, len }, .source = c->self.node_id };
	pair_send(&pair.side[1], &f);
	pair_flush(&pair.side[1]);
	ck_assert(RUN_UNTIL(&pair, stats->counter[STAT_SVCHOSTD_OPENS_REFUSED] == 1));
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_whole(&t);
	ck_assert_uint_eq(pair.naccepted, 1);
	talk_close(&t);
	free(c);
}
END_TEST

/* --- what a node on the way may try --- */

static unsigned meddle_at, meddle_side;

static bool
flip(struct pair *p, unsigned from, struct frame *f)
{
	static uint8_t copy[FRAME_MAX_CEILING];

	if (f->type != FT_DATA || from != meddle_side || p->data[from] != meddle_at)
		return true;
	memcpy(copy, f->data.payload, f->data.payload_len);
	copy[f->data.payload_len / 2] ^= 1;
	f->data.payload = copy;
	return true;
}

/* It ends the direction where it is, as if that were all. */
static bool
cut(struct pair *p, unsigned from, struct frame *f)
{
	if (f->type != FT_DATA || from != meddle_side || p->data[from] < meddle_at)
		return true;
	if (p->data[from] == meddle_at) {
		uint64_t id = f->data.stream_id, seq = f->data.seq;

		f->type = FT_CLOSE_STREAM;
		f->close = (struct frame_close_stream){ .stream_id = id, .final_seq = seq };
		return true;
	}
	return false;
}

START_TEST(tampered)
{
	struct talk t;

	meddle_side = _i & 1;
	meddle_at = 30;
	pair.meddle = _i & 2 ? cut : flip;
	talk_open(&t, "ssh");
	t.client.target = t.server.target = 20 * MB;
	talk_answer(&t, 0);
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert_int_ne(t.client.error, 0);
	ck_assert_int_ne(t.server.error, 0);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	ck_assert_uint_eq(t.ended, 1);
	ck_assert_uint_eq(t.reason, REASON_TAMPERED);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_STREAMS_TAMPERED], 2);
	talk_close(&t);
}
END_TEST

/* Nothing of what is said stands in any frame. */
static bool spied;

static bool
spy(struct pair *p, unsigned from, struct frame *f)
{
	if (f->type == FT_DATA && memmem(f->data.payload, f->data.payload_len, "swordfish", 9) != NULL)
		spied = true;
	return true;
}

START_TEST(sealed)
{
	struct talk t;
	char buf[16];

	spied = false;
	pair.meddle = spy;
	talk_open(&t, "ssh");
	talk_answer(&t, 0);
	ck_assert_int_eq(write(t.client.fd, "swordfish", 9), 9);
	ck_assert(RUN_UNTIL(&pair, recv(t.server.fd, buf, sizeof(buf), MSG_PEEK) == 9));
	ck_assert_int_eq(write(t.server.fd, "swordfish", 9), 9);
	ck_assert(RUN_UNTIL(&pair, recv(t.client.fd, buf, sizeof(buf), MSG_PEEK) == 9));
	ck_assert(!spied);
	ck_assert_uint_gt(pair.data[0], 0);
	talk_close(&t);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
}
END_TEST

/* --- many --- */

START_TEST(many_short)
{
	enum { N = 400 };
	static struct talk t[N];
	size_t done = 0;

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < N; i++) {
			talk_open(&t[i], "ssh");
			t[i].client.target = i * 13 % 3000;
			t[i].server.target = i * 29 % 5000;
		}
		for (unsigned i = 0; i < N; i++)
			talk_answer(&t[i], round * N + i);
		ck_assert(RUN_UNTIL(&pair, ({ done = 0; for (unsigned i = 0; i < N; i++) done += both_done(&t[i]); done == N; })));
		ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
		for (unsigned i = 0; i < N; i++) {
			talk_close(&t[i]);
			ck_assert_uint_eq(t[i].reason, REASON_NONE);
			ck_assert_uint_eq(t[i].ended, 1);
		}
	}
}
END_TEST

/* What an idle stream costs one end, kernel and test apart. */
START_TEST(idle_memory)
{
	enum { N = 300 };
	static struct talk t[N];
	size_t before, after;

	for (unsigned i = 0; i < 20; i++) {	/* tables have grown */
		talk_open(&t[i], "ssh");
		talk_answer(&t[i], i);
	}
	run_for(&pair, 50);
	before = mallinfo2().uordblks;
	for (unsigned i = 20; i < N; i++) {
		talk_open(&t[i], "ssh");
		talk_answer(&t[i], i);
	}
	for (unsigned i = 0; i < N; i++)
		ck_assert(RUN_UNTIL(&pair, t[i].opened == 1));
	run_for(&pair, 50);
	after = mallinfo2().uordblks;
	printf("an idle stream holds %zu bytes at each end\n", (after - before) / (N - 20) / 2);
#ifndef __SANITIZE_ADDRESS__
	ck_assert_uint_lt((after - before) / (N - 20) / 2, 4096);
#endif
	for (unsigned i = 0; i < N; i++)
		talk_close(&t[i]);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
}
END_TEST

/* --- numbers --- */

START_TEST(numbers)
{
	struct talk t;
	struct pump_info a, b;

	talk_open(&t, "ssh");
	pump_info(t.pump, &a, clock_ns());
	ck_assert_uint_eq(a.state, PUMP_OPENING);
	ck_assert_str_eq(a.service, "ssh");
	ck_assert(a.opener);
	ck_assert_uint_eq(a.opened_ns, 0);
	talk_answer(&t, 0);
	ck_assert_int_eq(write(t.client.fd, "12345", 5), 5);
	ck_assert(RUN_UNTIL(&pair, ({ pump_info(pair.accepted[0], &b, clock_ns()); b.bytes_in == 5; })));
	ck_assert_int_eq(write(t.server.fd, "123456789", 9), 9);
	ck_assert(RUN_UNTIL(&pair, ({ pump_info(t.pump, &a, clock_ns()); a.bytes_in == 9; })));
	ck_assert_uint_eq(a.bytes_out, 5);
	ck_assert_uint_eq(b.bytes_in, 5);
	ck_assert(!b.opener);
	ck_assert_mem_eq(a.node_id, pair.world.b.self.node_id, NODE_ID_LEN);
	ck_assert_mem_eq(b.node_id, pair.world.a.self.node_id, NODE_ID_LEN);
	ck_assert_uint_eq(a.frames_out, 1);
	ck_assert_uint_eq(a.frames_in, 2);	/* message 2 and this */
	ck_assert_uint_gt(a.rtt_us, 0);
	ck_assert_uint_gt(a.queue_p50_us, 0);
	ck_assert_uint_ge(a.queue_p99_us, a.queue_p50_us);
	ck_assert_uint_ge(a.opened_ns, a.started_ns);
	ck_assert_uint_eq(a.state, PUMP_OPEN);
	ck_assert(!a.eof_in && !a.eof_out);
	shutdown(t.client.fd, SHUT_WR);
	ck_assert(RUN_UNTIL(&pair, ({ pump_info(pair.accepted[0], &b, clock_ns()); b.eof_in; })));
	pump_info(t.pump, &a, clock_ns());
	ck_assert(a.eof_out && !a.eof_in);
	ck_assert(!b.eof_out);
	hub_tick(pair.side[0].hub);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_BYTES_OUT_CONTROL + CLASS_INTERACTIVE], 5 + 2 * E2E_OVERHEAD);
	talk_close(&t);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
}
END_TEST

static uint64_t
sum_of(enum stats_by by, const char *name, enum stats_share_value v)
{
	return stats_share(by, name)->v[v];
}

/* What streams did, by service, by peer and by class; what became of them, by reason; and those that ended, one by one. */
START_TEST(sums)
{
	static const struct { enum stats_by by; const char *name; } of[] = {
		{ BY_SERVICE, "ssh" }, { BY_CLASS, "interactive" }, { BY_PEER, NULL },
	};
	char hex[2 * NODE_ID_LEN + 1];
	struct talk t;

	memset(stats->share, 0, sizeof(stats->share));
	ck_assert_ptr_null(pump_ended(pair.side[0].hub, 0));
	talk_open(&t, "ssh");
	talk_answer(&t, 0);
	ck_assert_int_eq(write(t.client.fd, "12345", 5), 5);
	ck_assert(RUN_UNTIL(&pair, pair.data[0] == 1));
	ck_assert_int_eq(write(t.server.fd, "123456789", 9), 9);
	ck_assert(RUN_UNTIL(&pair, ({ struct pump_info a; pump_info(t.pump, &a, clock_ns()); a.bytes_in == 9; })));
	for (unsigned i = 0; i < 2; i++) {
		hub_tick(pair.side[0].hub);	/* the other hub is in this process as well, and counts when it ticks */
		for (size_t k = 0; k < sizeof(of) / sizeof(of[0]); k++) {
			const char *name = of[k].name != NULL ? of[k].name : hex_encode(hex, pair.world.b.self.node_id, NODE_ID_LEN);

			ck_assert_uint_eq(sum_of(of[k].by, name, SHARE_STREAMS), 1);
			ck_assert_uint_eq(sum_of(of[k].by, name, SHARE_BYTES_OUT), 5 + E2E_OVERHEAD);
			ck_assert_uint_eq(sum_of(of[k].by, name, SHARE_FRAMES_OUT), 1);
			ck_assert_uint_eq(sum_of(of[k].by, name, SHARE_FRAMES_IN), 2);
			ck_assert_uint_eq(sum_of(of[k].by, name, SHARE_RTT_SAMPLES), 1);
			ck_assert_uint_gt(sum_of(of[k].by, name, SHARE_RTT_US), 0);
			ck_assert_uint_eq(sum_of(of[k].by, name, SHARE_BROKEN), 0);
		}
	}
	ck_assert_int_eq(write(t.client.fd, "12345", 5), 5);
	ck_assert(RUN_UNTIL(&pair, sum_of(BY_CLASS, "interactive", SHARE_QUEUE_P50_US) > 0));
	ck_assert_uint_ge(sum_of(BY_SERVICE, "ssh", SHARE_QUEUE_P99_US), sum_of(BY_SERVICE, "ssh", SHARE_QUEUE_P50_US));
	ck_assert(RUN_UNTIL(&pair, ({ struct pump_info b; pump_info(pair.accepted[0], &b, clock_ns()); b.bytes_in == 10; })));
	ck_assert_int_eq(read(t.server.fd, hex, 10), 10);
	ck_assert_int_eq(read(t.client.fd, hex, 10), 9);
	shutdown(t.client.fd, SHUT_WR);
	shutdown(t.server.fd, SHUT_WR);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_close(&t);
	ck_assert_uint_eq(sum_of(BY_REASON, "none", SHARE_STREAMS), 2);
	ck_assert_uint_eq(sum_of(BY_REASON, "target-down", SHARE_STREAMS), 0);
	ck_assert_uint_eq(pump_ended(pair.side[0].hub, 0)->reason, REASON_NONE);
	ck_assert_uint_eq(pump_ended(pair.side[0].hub, 0)->info.bytes_in, 9);
	ck_assert_str_eq(pump_ended(pair.side[0].hub, 0)->info.service, "ssh");
	ck_assert_ptr_null(pump_ended(pair.side[0].hub, 1));
}
END_TEST

/* The last of those that ended, the newest first, however many there were. */
START_TEST(ended_are_bounded)
{
	struct talk t;

	for (unsigned i = 0; i < ENDED_MAX + 3; i++) {
		talk_open(&t, i == ENDED_MAX + 2 ? "last" : "ssh");
		ck_assert(RUN_UNTIL(&pair, pair.naccepted == i + 1));
		hub_refuse(pair.accepted[i], REASON_TARGET_DOWN);
		expect_failed(&t, REASON_TARGET_DOWN);
	}
	ck_assert_str_eq(pump_ended(pair.side[0].hub, 0)->info.service, "last");
	ck_assert_uint_eq(pump_ended(pair.side[0].hub, 0)->reason, REASON_TARGET_DOWN);
	ck_assert_str_eq(pump_ended(pair.side[0].hub, 1)->info.service, "ssh");
	ck_assert_ptr_nonnull(pump_ended(pair.side[0].hub, ENDED_MAX - 1));
	ck_assert_ptr_null(pump_ended(pair.side[0].hub, ENDED_MAX));
}
END_TEST

START_TEST(delays)
{
	struct delay d = { .n = 0 };

	ck_assert_uint_eq(delay_percentile(&d, 50), 0);
	for (unsigned i = 0; i < 98; i++)
		delay_add(&d, 20);
	delay_add(&d, 3000);
	delay_add(&d, 3000);
	ck_assert_uint_eq(delay_percentile(&d, 50), 24);
	ck_assert_uint_eq(delay_percentile(&d, 98), 24);
	ck_assert_uint_eq(delay_percentile(&d, 99), 3072);
	for (unsigned i = 0; i < 100000; i++)	/* what is long ago is forgotten */
		delay_add(&d, 100);
	ck_assert_uint_eq(delay_percentile(&d, 99), 128);
	delay_add(&d, UINT64_MAX);
	ck_assert_uint_eq(delay_percentile(&d, 100), 3145728);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pump");
	TCase *tc = tcase_create("streams"), *l = tcase_create("few"), *m = tcase_create("memory");

	tcase_set_timeout(tc, 120);
	tcase_set_timeout(m, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, both_ways, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(tc, half_closed);
	tcase_add_test(tc, owner_writes_first);
	tcase_add_test(tc, waits_for_the_target);
	tcase_add_loop_test(tc, reset, 0, 2);
	tcase_add_test(tc, aborted);
	tcase_add_test(tc, aborted_when_opened);
	tcase_add_test(tc, not_allowed);
	tcase_add_test(tc, target_down);
	tcase_add_test(tc, gone_while_connecting);
	tcase_add_test(tc, never_answered);
	tcase_add_test(tc, no_dataplane);
	tcase_add_test(tc, not_certified);
	tcase_add_test(tc, another_source);
	tcase_add_test(tc, another_key);
	tcase_add_test(tc, garbage);
	tcase_add_test(tc, blocked);
	tcase_add_loop_test(tc, port_lost, 0, 3);
	tcase_add_test(tc, port_lost_while_opening);
	tcase_add_test(tc, a_leg_is_moved);
	tcase_add_test(tc, far_hub_dies);
	tcase_add_test(tc, token_of_another);
	tcase_add_loop_test(tc, tampered, 0, 4);
	tcase_add_test(tc, sealed);
	tcase_add_test(tc, many_short);
	tcase_add_test(tc, idle_memory);
	tcase_add_test(tc, numbers);
	tcase_add_test(tc, sums);
	tcase_add_test(tc, ended_are_bounded);
	tcase_add_test(tc, delays);
	tcase_add_checked_fixture(l, setup_few, teardown);
	tcase_add_test(l, limit);
	tcase_add_test(l, limit_own);
	tcase_add_checked_fixture(m, setup_small, teardown);
	tcase_add_test(m, limit_memory);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, l);
	suite_add_tcase(s, m);
	return suite_run(s);
}
