/* svchostd: the echo service. */
#include "suite.h"
#include "svc_stage.h"

START_TEST(binds_at_each_port)
{
	expect_bind();
	fake_port(&fk);
	expect_bind();
}
END_TEST

START_TEST(binds_only_what_is_configured)
{
	const struct procmsg without[] = { conf_node() };
	const struct procmsg with[] = { conf_node(), conf_service("echo") };
	struct frame f;

	ck_assert(fake_configure(&fk, without, 1));
	fake_port(&fk);
	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, PM_SERVICES);
	ck_assert(!fake_wait(&fk, &fk.dataplane, &f, 50));
	ck_assert(fake_configure(&fk, with, 2));
	expect_bind();
}
END_TEST

static const struct {
	const char *what, *service, *error;
	bool node;
} refused_conf[] = {
	{ "no node", "echo", "node is missing", false },
	{ "another service", "mail", "no service \"mail\"", true },
};

START_TEST(conf_refused)
{
	struct procmsg items[2];
	size_t n = 0;

	if (refused_conf[_i].node)
		items[n++] = fake_conf_node();
	items[n++] = conf_service(refused_conf[_i].service);
	ck_assert_msg(!fake_configure(&fk, items, n), "%s", refused_conf[_i].what);
	ck_assert_ptr_nonnull(strstr(fk.worker.conf_error, refused_conf[_i].error));
}
END_TEST

/* --- the service --- */

static uint8_t source[NODE_ID_LEN];
static uint8_t hello[E2E_MESSAGE_MAX];

/* The far ends of streams, by (id - 1) / 2. */
static struct far {
	struct e2e	*shake;
	struct unit_seal seal;
} far[ECHO_STREAMS_MAX + 8];

static struct far *
far_of(uint64_t id)
{
	ck_assert_uint_lt(id / 2, sizeof(far) / sizeof(far[0]));
	return &far[id / 2];
}

/* OPEN_STREAM with message 1 of that peer. */
static struct frame
open_frame(uint64_t id, unsigned from, const char *service)
{
	const struct svchostd *s = fk.worker.state;
	struct e2e_service to = { .class = CLASS_INTERACTIVE, .name = "echo" };
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = id, .class = CLASS_INTERACTIVE,
	    .flags = OPEN_UNRELIABLE, .service = { (const uint8_t *)service, strlen(service) }, .source = source } };

	memcpy(to.node_id, world.b.self.node_id, NODE_ID_LEN);
	memcpy(to.node_key, world.b.key.public, SIGN_PUBLIC_LEN);
	memcpy(to.key, s->certify.self.key.public, NOISE_DH_LEN);
	memcpy(source, peer(from)->self.node_id, NODE_ID_LEN);
	e2e_free(far_of(id)->shake);
	far_of(id)->shake = e2e_open(&peer(from)->self, &to, OPEN_UNRELIABLE, NULL, 0, hello, &f.open.noise.len,
	    clock_wall());
	ck_assert_ptr_nonnull(far_of(id)->shake);
	f.open.noise.p = hello;
	return f;
}

/* Message 2 has come. */
static void
shaken(uint64_t id, unsigned from, const struct frame *f)
{
	struct peer_identity here;
	struct e2e_keys keys;

	ck_assert_uint_eq(f->type, FT_DATA_U);
	ck_assert_uint_eq(f->data.stream_id, id);
	ck_assert_uint_eq(f->data.seq, 0);
	ck_assert_int_eq(e2e_finish(far_of(id)->shake, &peer(from)->self, f->data.payload, f->data.payload_len,
	    clock_wall(), &keys, &here), REASON_NONE);
	e2e_free(far_of(id)->shake);
	far_of(id)->shake = NULL;
	unit_seal_free(&far_of(id)->seal);
	ck_assert_int_eq(unit_seal_init(&far_of(id)->seal, &keys, clock_ns()), 0);
}

/* A DATA with it, sealed, in memory of the last call only. */
static struct frame
data_frame(uint64_t id, const char *payload)
{
	static uint8_t unit[1 << 16];
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = id, .flags = DATA_UNRELIABLE, .payload = unit } };
	uint64_t number;

	memcpy(unit + UNIT_HEAD, payload, strlen(payload));
	f.data.payload_len = unit_seal(&far_of(id)->seal, unit, strlen(payload), clock_ns(), &number);
	ck_assert_uint_eq(f.data.payload_len, strlen(payload) + UNIT_OVERHEAD);
	f.data.seq = number;
	return f;
}

static void
open_echo(uint64_t id, unsigned from)
{
	struct frame f = open_frame(id, from, "echo");

	fake_send(&fk, &f);
	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	shaken(id, from, &f);
}

static void
send_data(uint64_t id, const char *payload)
{
	struct frame f = data_frame(id, payload);

	fake_send(&fk, &f);
}

/* Something that is no unit. */
static void
send_junk(uint64_t id)
{
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = id, .flags = DATA_UNRELIABLE,
	    .payload = (const uint8_t *)"junk", .payload_len = 4 } };

	fake_send(&fk, &f);
}

static void
expect_reset(uint64_t id, uint64_t reason)
{
	struct frame f;

	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_RESET_STREAM);
	ck_assert_uint_eq(f.reset.stream_id, id);
	ck_assert_str_eq(reason_name(f.reset.reason), reason_name(reason));
}

static void
expect_echo(uint64_t id, uint64_t number, const char *payload)
{
	static uint8_t unit[1 << 16];
	struct frame f;
	size_t len;

	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_DATA_U);
	ck_assert_uint_eq(f.data.stream_id, id);
	ck_assert_uint_eq(f.data.seq, number + 1);	/* message 2 had the first */
	ck_assert_ptr_null(strlen(payload) < 4 ? NULL : memmem(f.data.payload, f.data.payload_len, payload, strlen(payload)));
	memcpy(unit, f.data.payload, f.data.payload_len);
	ck_assert_int_eq(unit_open(&far_of(id)->seal, unit, f.data.payload_len, (uint32_t)number, clock_ns(), &len), SEAL_OK);
	ck_assert_uint_eq(len, strlen(payload));
	ck_assert_mem_eq(unit + UNIT_HEAD, payload, len);
}

START_TEST(echo_answers_on_its_stream)
{
	expect_bind();
	open_echo(1, 1);
	open_echo(3, 1);
	send_data(1, "hello");
	send_data(3, "other");
	send_data(1, "again");
	/* The numbers are of our direction: every packet that goes back has the next. */
	expect_echo(1, 0, "hello");
	expect_echo(3, 0, "other");
	expect_echo(1, 1, "again");
	expect_nothing();
}
END_TEST

START_TEST(echo_takes_every_size)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 1200, 16383, 16384, 65000 };
	char *payload = malloc(65001);

	expect_bind();
	open_echo(1, 1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(payload, 'a' + (int)i, sizes[i]);
		payload[sizes[i]] = '\0';
		send_data(1, payload);
		expect_echo(1, i, payload);
	}
	free(payload);
}
END_TEST

START_TEST(echo_is_over_when_ended)
{
	struct frame ends[] = {
		{ .type = FT_CLOSE_STREAM, .close = { .stream_id = 1 } },
		{ .type = FT_RESET_STREAM, .reset = { .stream_id = 1, .reason = REASON_PEER_GONE } },
	};

	expect_bind();
	open_echo(1, 1);
	fake_send(&fk, &ends[_i]);
	send_data(1, "late");
	expect_nothing();
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_NO_STREAM], 1);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_ECHO_STREAMS], 0);
}
END_TEST

START_TEST(echo_without_open_is_dropped)
{
	expect_bind();
	send_junk(5);
	expect_nothing();
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_NO_STREAM], 1);
	ck_assert(!fk.dataplane.closed);
}
END_TEST

START_TEST(echo_drops_fragments)
{
	uint8_t piece[256] = { 0 };
	struct frame f = { .type = FT_DATA_UF, .data = { .stream_id = 1, .flags = DATA_UNRELIABLE | DATA_FRAGMENT,
	    .payload = piece, .payload_len = sizeof(piece) } };

	expect_bind();
	open_echo(1, 1);
	fake_send(&fk, &f);
	expect_nothing();
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_ECHO_FRAGMENTS], 1);
}
END_TEST

/* What is changed on the way does not open, is counted, and the stream goes on; nor does what comes twice. */
START_TEST(echo_drops_what_was_changed)
{
	uint8_t unit[64];
	struct frame f;

	expect_bind();
	open_echo(1, 1);
	f = data_frame(1, "hello");
	memcpy(unit, f.data.payload, f.data.payload_len);
	f.data.payload = unit;
	for (size_t i = 0; i < f.data.payload_len; i++) {
		unit[i] ^= 1;
		fake_send(&fk, &f);
		unit[i] ^= 1;
	}
	f.data.payload_len--;
	fake_send(&fk, &f);
	f.data.payload_len++;
	f.data.seq++;
	fake_send(&fk, &f);
	f.data.seq--;
	send_junk(1);
	expect_nothing();
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_ECHO_TAMPERED], f.data.payload_len + 3);
	fake_send(&fk, &f);
	expect_echo(1, 0, "hello");
	fake_send(&fk, &f);
	expect_nothing();
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_ECHO_REPLAYED], 1);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_ECHO_PACKETS], 1);
}
END_TEST

/* Nothing opens any more: the stream ends, with its own reason. */
START_TEST(echo_gives_up_what_never_opens)
{
	struct frame f;

	expect_bind();
	open_echo(1, 1);
	f = data_frame(1, "hello");
	f.data.seq += 7;
	for (uint64_t end = clock_ns() + 10 * NS_PER_SEC; clock_ns() < end && stats->counter[STAT_SVCHOSTD_ECHO_STREAMS] == 1;)
		fake_send(&fk, &f);	/* some are more than the rate allows */
	expect_reset(1, REASON_TAMPERED);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_ECHO_TAMPERED], UNIT_FAILED_MAX);
}
END_TEST

static const struct {
	const char *what, *service;
	uint8_t flags;
	int noise;		/* 1: of the service named; 0: none; -1: one bit is another; 2: from another than the source */
	uint64_t reason;
} refused_open[] = {
	{ "another service", "mail", OPEN_UNRELIABLE, 1, REASON_NO_SERVICE },
	{ "a longer name", "echoo", OPEN_UNRELIABLE, 1, REASON_NO_SERVICE },
	{ "a shorter name", "ech", OPEN_UNRELIABLE, 1, REASON_NO_SERVICE },
	{ "not sealed", "echo", OPEN_UNRELIABLE, 0, REASON_NO_KEY },
	{ "changed", "echo", OPEN_UNRELIABLE, -1, REASON_AUTH_PROOF },
	{ "another's", "echo", OPEN_UNRELIABLE, 2, REASON_AUTH_NODE },
};

START_TEST(open_refused)
{
	struct frame f = open_frame(1, 1, refused_open[_i].service);

	f.open.flags = refused_open[_i].flags;
	if (refused_open[_i].noise == 0)
		f.open.noise.len = 0;
	else if (refused_open[_i].noise == -1)
		hello[f.open.noise.len - 1] ^= 1;
	else if (refused_open[_i].noise == 2)
		memcpy(source, peer(2)->self.node_id, NODE_ID_LEN);
	expect_bind();
	fake_send(&fk, &f);
	expect_reset(1, refused_open[_i].reason);
	send_junk(1);
	expect_nothing();
}
END_TEST

/* Handshakes cost more than packets do: who opens and closes all the time is slowed, and others are not. */
START_TEST(opens_are_limited_per_node)
{
	struct frame end = { .type = FT_CLOSE_STREAM }, f;
	uint64_t id = 1;

	expect_bind();
	for (int i = 0; i < 2 * ECHO_OPEN_BURST; i++, id += 2) {
		f = open_frame(id, 1, "echo");
		fake_send(&fk, &f);
		end.close.stream_id = id;
		fake_send(&fk, &end);
	}
	ck_assert_uint_ge(stats->counter[STAT_SVCHOSTD_ECHO_OPENED], ECHO_OPEN_BURST);
	ck_assert_uint_gt(stats->counter[STAT_SVCHOSTD_ECHO_REFUSED], 0);
	fake_clear(&fk.dataplane);
	open_echo(id, 2);
}
END_TEST

/* One node's streams are limited; another's are not touched by that, and a place that was left is free again. */
START_TEST(streams_are_limited_per_node)
{
	struct frame end = { .type = FT_CLOSE_STREAM, .close = { .stream_id = 1 } }, f;
	uint64_t id = 1;

	expect_bind();
	for (int i = 0; i < ECHO_STREAMS_PER_NODE; i++, id += 2)
		open_echo(id, 1);
	f = open_frame(id, 1, "echo");
	fake_send(&fk, &f);
	expect_reset(id, REASON_LIMIT);
	open_echo(id + 2, 2);
	fake_send(&fk, &end);
	open_echo(id + 4, 1);
}
END_TEST

START_TEST(streams_are_limited)
{
	uint64_t id = 1;
	struct frame f;

	expect_bind();
	for (unsigned i = 0; i < ECHO_STREAMS_MAX; i++, id += 2)
		open_echo(id, i / ECHO_STREAMS_PER_NODE);
	f = open_frame(id, 90, "echo");
	fake_send(&fk, &f);
	expect_reset(id, REASON_LIMIT);
}
END_TEST

START_TEST(packets_are_limited_per_node)
{
	expect_bind();
	open_echo(1, 1);
	open_echo(3, 2);
	for (int i = 0; i < 2 * ECHO_BURST; i++)
		send_data(1, "x");
	fake_clear(&fk.dataplane);
	ck_assert_uint_gt(stats->counter[STAT_SVCHOSTD_ECHO_LIMITED], 0);
	ck_assert_uint_ge(stats->counter[STAT_SVCHOSTD_ECHO_PACKETS], ECHO_BURST);
	send_data(3, "mine");
	expect_echo(3, 0, "mine");
}
END_TEST

/* The echo object alone, with a clock of ours. */
START_TEST(idle_streams_are_closed)
{
	struct svchostd *s = fk.worker.state;
	struct echo *e = echo_new(&s->certify.self);
	uint64_t t0 = 1000 * NS_PER_SEC;
	struct frame f;

	expect_bind();
	for (unsigned i = 0; i < 2; i++) {
		f = open_frame(101 + 2 * i, 1, "echo");
		echo_open(e, s->dataplane, &f.open, t0 + i);
		ipc_flush(s->dataplane);
		ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
		shaken(101 + 2 * i, 1, &f);
	}
	f = data_frame(101, "x");
	ck_assert(echo_data(e, s->dataplane, &f.data, t0 + 30 * NS_PER_SEC));
	echo_expire(e, s->dataplane, t0 + ECHO_IDLE_S * NS_PER_SEC);
	ck_assert_uint_eq(echo_streams(e), 2);
	echo_expire(e, s->dataplane, t0 + ECHO_IDLE_S * NS_PER_SEC + 1);
	ck_assert_uint_eq(echo_streams(e), 1);
	ipc_flush(s->dataplane);
	expect_echo(101, 0, "x");
	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_CLOSE_STREAM);
	ck_assert_uint_eq(f.close.stream_id, 103);
	ck_assert_uint_eq(f.close.reason, REASON_IDLE);
	ck_assert_uint_eq(f.close.final_seq, 1);
	echo_expire(e, s->dataplane, t0 + (30 + ECHO_IDLE_S) * NS_PER_SEC);
	ck_assert_uint_eq(echo_streams(e), 0);
	echo_free(e);
}
END_TEST

START_TEST(service_taken_away_ends_its_streams)
{
	const struct procmsg without[] = { conf_node() };
	struct procmsg m;
	struct frame f;

	expect_bind();
	open_echo(1, 1);
	ck_assert(fake_configure(&fk, without, 1));
	expect_reset(1, REASON_NO_SERVICE);
	ck_assert(fake_message(&fk, &fk.dataplane, &m, WAIT_MS));
	ck_assert_int_eq(m.type, PM_UNBIND);
	ck_assert_str_eq(m.bind.service, "echo");
	f = open_frame(3, 1, "echo");
	fake_send(&fk, &f);
	expect_reset(3, REASON_NO_SERVICE);
}
END_TEST

/* What the dataplane must not send: the channel is closed, the worker lives. */
static const struct {
	const char *what;
	int kind;
} broken[] = {
	{ "an id of ours", 0 }, { "an id twice", 1 }, { "no source", 2 }, { "HELLO", 3 }, { "a message for routed", 4 },
};

START_TEST(broken_dataplane)
{
	struct frame f = open_frame(broken[_i].kind == 0 ? 2 : 1, 1, "echo");
	struct frame ping = { .type = FT_PING, .ping = { .id = 1 } };
	struct procmsg m = { .type = PM_TARGET_DEL };

	expect_bind();
	if (broken[_i].kind == 1)
		fake_send(&fk, &f);
	if (broken[_i].kind == 2)
		f.open.source = NULL;
	if (broken[_i].kind == 4)
		fake_tell(&fk, &m);
	else
		fake_send(&fk, broken[_i].kind == 3 ? &ping : &f);
	fake_run(&fk);
	ck_assert_msg(fk.dataplane.closed, "%s", broken[_i].what);
	fake_port(&fk);
	expect_bind();
}
END_TEST

START_TEST(services_are_told)
{
	struct pm_row row;

	expect_bind();
	open_echo(1, 1);
	fake_request(&fk, "served", "", 0);
	row = expect_row(WAIT_MS);
	ck_assert_str_eq(row_text(&row.row, "service"), "echo");
	ck_assert_uint_eq(row_num(&row.row, "bound"), 1);
	ck_assert_uint_eq(row_num(&row.row, "streams"), 1);
	ck_assert_int_eq(expect_done(WAIT_MS).status, 0);
	fake_request(&fk, "dance", "", 0);
	ck_assert_int_eq(expect_done(WAIT_MS).status, 1);
}
END_TEST

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

static Suite *
suite(void)
{
	Suite *s = suite_create("echo");
	TCase *tc = tcase_create("svchostd");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, binds_at_each_port);
	tcase_add_test(tc, binds_only_what_is_configured);
	tcase_add_loop_test(tc, conf_refused, 0, N(refused_conf));
	tcase_add_test(tc, echo_answers_on_its_stream);
	tcase_add_test(tc, echo_takes_every_size);
	tcase_add_loop_test(tc, echo_is_over_when_ended, 0, 2);
	tcase_add_test(tc, echo_without_open_is_dropped);
	tcase_add_test(tc, echo_drops_fragments);
	tcase_add_test(tc, echo_drops_what_was_changed);
	tcase_add_test(tc, echo_gives_up_what_never_opens);
	tcase_add_test(tc, opens_are_limited_per_node);
	tcase_add_loop_test(tc, open_refused, 0, N(refused_open));
	tcase_add_test(tc, streams_are_limited_per_node);
	tcase_add_test(tc, streams_are_limited);
	tcase_add_test(tc, packets_are_limited_per_node);
	tcase_add_test(tc, idle_streams_are_closed);
	tcase_add_test(tc, service_taken_away_ends_its_streams);
	tcase_add_loop_test(tc, broken_dataplane, 0, N(broken));
	tcase_add_test(tc, services_are_told);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
