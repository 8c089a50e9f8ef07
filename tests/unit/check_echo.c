/* svchostd: the echo service, the pings of fabricctl, and who is meant by a name. */
#include "fake_worker.h"

#include "svchostd/svchostd.h"

#define WAIT_MS 10000	/* for what comes at once: a slow machine is no failure */

static struct fake fk;

static struct procmsg
conf_service(const char *name)
{
	struct procmsg m = { .type = PM_CONF_SERVICE };

	snprintf(m.conf_service.name, sizeof(m.conf_service.name), "%s", name);
	return m;
}

static void
setup(void)
{
	const struct procmsg items[] = { fake_conf_node(), fake_conf_peer(1, "home-1"), fake_conf_peer(2, "entry-1"),
	    conf_service("echo") };
	struct procmsg m;

	fake_start(&fk, &svchostd_ops);
	ck_assert(fake_configure(&fk, items, 4));
	ck_assert(fake_message(&fk, &fk.supervisor, &m, WAIT_MS));
	ck_assert_int_eq(m.type, PM_DELEGATE);
	ck_assert_uint_eq(m.delegate.purpose, PURPOSE_E2E);
	fake_forget(&fk.supervisor);
	fake_port(&fk);
}

static void
teardown(void)
{
	fake_stop(&fk);
}

static void
expect_bind(void)
{
	struct procmsg m;

	ck_assert(fake_message(&fk, &fk.dataplane, &m, WAIT_MS));
	if (m.type == PM_SERVICES)	/* a port begins with that */
		ck_assert(fake_message(&fk, &fk.dataplane, &m, WAIT_MS));
	ck_assert_int_eq(m.type, PM_BIND);
	ck_assert_str_eq(m.bind.service, "echo");
}

START_TEST(binds_at_each_port)
{
	expect_bind();
	fake_port(&fk);
	expect_bind();
}
END_TEST

START_TEST(binds_only_what_is_configured)
{
	const struct procmsg without[] = { fake_conf_node() };
	const struct procmsg with[] = { fake_conf_node(), conf_service("echo") };
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

static struct frame
open_frame(uint64_t id, uint8_t from, const char *service)
{
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = id, .class = CLASS_INTERACTIVE,
	    .flags = OPEN_UNRELIABLE, .service = { (const uint8_t *)service, strlen(service) }, .source = source } };

	fake_id(source, from);
	return f;
}

static struct frame
data_frame(uint64_t id, uint64_t seq, const char *payload)
{
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = id, .seq = seq, .flags = DATA_UNRELIABLE,
	    .payload = (const uint8_t *)payload, .payload_len = strlen(payload) } };

	return f;
}

static void
open_echo(uint64_t id, uint8_t from)
{
	struct frame f = open_frame(id, from, "echo");

	fake_send(&fk, &f);
}

static void
send_data(uint64_t id, uint64_t seq, const char *payload)
{
	struct frame f = data_frame(id, seq, payload);

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
expect_echo(uint64_t id, uint64_t seq, const char *payload)
{
	struct frame f;

	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_DATA_U);
	ck_assert_uint_eq(f.data.stream_id, id);
	ck_assert_uint_eq(f.data.seq, seq);
	ck_assert_uint_eq(f.data.payload_len, strlen(payload));
	ck_assert_mem_eq(f.data.payload, payload, strlen(payload));
}

static void
expect_nothing(void)
{
	struct frame f;

	ck_assert(!fake_wait(&fk, &fk.dataplane, &f, 30));
}

START_TEST(echo_answers_on_its_stream)
{
	expect_bind();
	open_echo(1, 1);
	open_echo(3, 1);
	send_data(1, 40, "hello");
	send_data(3, 9, "other");
	send_data(1, 42, "again");
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
		send_data(1, i, payload);
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
	send_data(1, 0, "late");
	expect_nothing();
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_NO_STREAM], 1);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_ECHO_STREAMS], 0);
}
END_TEST

START_TEST(echo_without_open_is_dropped)
{
	expect_bind();
	send_data(5, 0, "early");
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

static const struct {
	const char *what, *service;
	uint8_t flags;
	size_t noise;
	uint64_t reason;
} refused_open[] = {
	{ "another service", "mail", OPEN_UNRELIABLE, 0, REASON_NO_SERVICE },
	{ "a longer name", "echoo", OPEN_UNRELIABLE, 0, REASON_NO_SERVICE },
	{ "a shorter name", "ech", OPEN_UNRELIABLE, 0, REASON_NO_SERVICE },
	{ "reliable", "echo", 0, 0, REASON_UNSUPPORTED },
	{ "end to end", "echo", OPEN_UNRELIABLE, 48, REASON_UNSUPPORTED },
};

START_TEST(open_refused)
{
	uint8_t noise[64] = { 0 };
	struct frame f = open_frame(1, 1, refused_open[_i].service);

	f.open.flags = refused_open[_i].flags;
	f.open.noise = (struct frame_bytes){ noise, refused_open[_i].noise };
	expect_bind();
	fake_send(&fk, &f);
	expect_reset(1, refused_open[_i].reason);
	send_data(1, 0, "x");
	expect_nothing();
}
END_TEST

/* One node's streams are limited; another's are not touched by that, and a place that was left is free again. */
START_TEST(streams_are_limited_per_node)
{
	struct frame end = { .type = FT_CLOSE_STREAM, .close = { .stream_id = 1 } };
	uint64_t id = 1;

	expect_bind();
	for (int i = 0; i < ECHO_STREAMS_PER_NODE; i++, id += 2)
		open_echo(id, 1);
	expect_nothing();
	open_echo(id, 1);
	expect_reset(id, REASON_LIMIT);
	open_echo(id + 2, 2);
	expect_nothing();
	fake_send(&fk, &end);
	open_echo(id + 4, 1);
	expect_nothing();
}
END_TEST

START_TEST(streams_are_limited)
{
	uint64_t id = 1;

	expect_bind();
	for (int i = 0; i < ECHO_STREAMS_MAX; i++, id += 2)
		open_echo(id, (uint8_t)(i / ECHO_STREAMS_PER_NODE));
	expect_nothing();
	open_echo(id, 0xdd);
	expect_reset(id, REASON_LIMIT);
}
END_TEST

START_TEST(packets_are_limited_per_node)
{
	expect_bind();
	open_echo(1, 1);
	open_echo(3, 2);
	for (int i = 0; i < 2 * ECHO_BURST; i++)
		send_data(1, (uint64_t)i, "x");
	fake_clear(&fk.dataplane);
	ck_assert_uint_gt(stats->counter[STAT_SVCHOSTD_ECHO_LIMITED], 0);
	ck_assert_uint_ge(stats->counter[STAT_SVCHOSTD_ECHO_PACKETS], ECHO_BURST);
	send_data(3, 0, "mine");
	expect_echo(3, 0, "mine");
}
END_TEST

/* The echo object alone, with a clock of ours. */
START_TEST(idle_streams_are_closed)
{
	struct echo *e = echo_new();
	struct frame o = open_frame(101, 1, "echo"), p = open_frame(103, 1, "echo"), d = data_frame(101, 0, "x"), f;
	struct svchostd *s = fk.worker.state;
	uint64_t t0 = 1000 * NS_PER_SEC;

	expect_bind();
	echo_open(e, s->dataplane, &o.open, t0);
	echo_open(e, s->dataplane, &p.open, t0 + 1);
	ck_assert(echo_data(e, s->dataplane, &d.data, t0 + 30 * NS_PER_SEC));
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
	ck_assert_uint_eq(f.close.final_seq, 0);
	echo_expire(e, s->dataplane, t0 + (30 + ECHO_IDLE_S) * NS_PER_SEC);
	ck_assert_uint_eq(echo_streams(e), 0);
	echo_free(e);
}
END_TEST

START_TEST(service_taken_away_ends_its_streams)
{
	const struct procmsg without[] = { fake_conf_node() };
	struct procmsg m;

	expect_bind();
	open_echo(1, 1);
	ck_assert(fake_configure(&fk, without, 1));
	expect_reset(1, REASON_NO_SERVICE);
	ck_assert(fake_message(&fk, &fk.dataplane, &m, WAIT_MS));
	ck_assert_int_eq(m.type, PM_UNBIND);
	ck_assert_str_eq(m.bind.service, "echo");
	open_echo(3, 1);
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

/* --- pings --- */

static struct frame
expect_ping_open(uint64_t id, uint8_t to)
{
	struct frame f;
	uint8_t node[NODE_ID_LEN];

	fake_id(node, to);
	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_OPEN_STREAM);
	ck_assert_uint_eq(f.open.stream_id, id);
	ck_assert_int_eq(f.open.class, CLASS_INTERACTIVE);
	ck_assert_int_eq(f.open.flags, OPEN_UNRELIABLE);
	ck_assert_ptr_nonnull(f.open.dest);
	ck_assert_mem_eq(f.open.dest, node, NODE_ID_LEN);
	ck_assert_uint_eq(f.open.service.len, 4);
	ck_assert_mem_eq(f.open.service.p, "echo", 4);
	return f;
}

static struct frame
expect_ping(uint64_t id, uint64_t seq)
{
	struct frame f;

	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_DATA_U);
	ck_assert_uint_eq(f.data.stream_id, id);
	ck_assert_uint_eq(f.data.seq, seq);
	ck_assert_uint_eq(f.data.payload_len, PING_PAYLOAD_LEN);
	return f;
}

static struct pm_row
expect_row(unsigned ms)
{
	struct procmsg m;

	ck_assert(fake_message(&fk, &fk.supervisor, &m, ms));
	ck_assert_int_eq(m.type, PM_ROW);
	ck_assert_uint_eq(m.row.id, 7);
	return m.row;
}

static struct pm_done
expect_done(unsigned ms)
{
	struct procmsg m;

	ck_assert(fake_message(&fk, &fk.supervisor, &m, ms));
	ck_assert_int_eq(m.type, PM_DONE);
	ck_assert_uint_eq(m.done.id, 7);
	return m.done;
}

START_TEST(ping_measures)
{
	struct frame f;
	struct pm_row row;

	expect_bind();
	fake_request(&fk, "ping", "home-1", 3);
	expect_ping_open(2, 1);
	for (uint64_t i = 0; i < 3; i++) {
		f = expect_ping(2, i);
		fake_send(&fk, &f);
		row = expect_row(WAIT_MS);
		ck_assert_uint_eq(row_num(&row.row, "seq"), i + 1);
		ck_assert_str_eq(row_text(&row.row, "node"), "home-1");
		ck_assert_uint_lt(row_num(&row.row, "rtt_us"), 1000000);
	}
	row = expect_row(WAIT_MS);
	ck_assert_uint_eq(row_num(&row.row, "sent"), 3);
	ck_assert_uint_eq(row_num(&row.row, "received"), 3);
	ck_assert_uint_eq(row_num(&row.row, "loss_permille"), 0);
	ck_assert_uint_le(row_num(&row.row, "min_us"), row_num(&row.row, "avg_us"));
	ck_assert_uint_le(row_num(&row.row, "avg_us"), row_num(&row.row, "max_us"));
	ck_assert_int_eq(expect_done(WAIT_MS).status, 0);
	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_CLOSE_STREAM);
	ck_assert_uint_eq(f.close.stream_id, 2);
	ck_assert_uint_eq(f.close.final_seq, 3);
}
END_TEST

/* Late by more than the time-out: reported as lost, and not counted when it comes. */
START_TEST(ping_times_out)
{
	struct frame first;
	struct pm_row row;

	expect_bind();
	fake_request(&fk, "ping", "home-1", 1);
	expect_ping_open(2, 1);
	first = expect_ping(2, 0);
	row = expect_row(WAIT_MS);
	ck_assert_uint_eq(row_num(&row.row, "seq"), 1);
	ck_assert_str_eq(row_text(&row.row, "reason"), "timeout");
	row = expect_row(WAIT_MS);
	ck_assert_uint_eq(row_num(&row.row, "sent"), 1);
	ck_assert_uint_eq(row_num(&row.row, "received"), 0);
	ck_assert_uint_eq(row_num(&row.row, "loss_permille"), 1000);
	ck_assert_int_eq(expect_done(WAIT_MS).status, 1);
	fake_send(&fk, &first);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_ANSWERED], 0);
}
END_TEST

/* Anything but the very bytes that were sent, once, is no answer. */
START_TEST(ping_believes_only_its_own_bytes)
{
	uint8_t payload[PING_PAYLOAD_LEN + 1] = { 0 };
	struct frame f;

	expect_bind();
	fake_request(&fk, "ping", "home-1", 1);
	expect_ping_open(2, 1);
	f = expect_ping(2, 0);
	memcpy(payload, f.data.payload, PING_PAYLOAD_LEN);
	f.data.payload = payload;
	for (size_t i = 0; i < PING_PAYLOAD_LEN; i++) {
		payload[i] ^= 1;
		fake_send(&fk, &f);
		payload[i] ^= 1;
	}
	f.data.payload_len--;
	fake_send(&fk, &f);
	f.data.payload_len += 2;
	fake_send(&fk, &f);
	f.data.payload_len--;
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_STRAY], PING_PAYLOAD_LEN + 2);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_ANSWERED], 0);
	fake_send(&fk, &f);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_ANSWERED], 1);
}
END_TEST

START_TEST(ping_twice_answered_counts_once)
{
	struct frame f;

	expect_bind();
	fake_request(&fk, "ping", "home-1", 2);
	expect_ping_open(2, 1);
	f = expect_ping(2, 0);
	fake_send(&fk, &f);
	fake_send(&fk, &f);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_ANSWERED], 1);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_STRAY], 1);
}
END_TEST

static const uint64_t end_reasons[] = { REASON_UNREACHABLE, REASON_NO_SERVICE, REASON_PEER_GONE };

START_TEST(ping_reset_says_why)
{
	struct frame reset = { .type = FT_RESET_STREAM, .reset = { .stream_id = 2, .reason = end_reasons[_i] } };
	struct pm_row row;
	struct pm_done done;

	expect_bind();
	fake_request(&fk, "ping", "home-1", 5);
	fake_send(&fk, &reset);
	row = expect_row(WAIT_MS);
	ck_assert_uint_eq(row_num(&row.row, "received"), 0);
	done = expect_done(WAIT_MS);
	ck_assert_int_eq(done.status, 1);
	ck_assert_ptr_nonnull(strstr(done.text, reason_name(end_reasons[_i])));
	ck_assert_ptr_nonnull(strstr(done.text, "home-1"));
}
END_TEST

START_TEST(ping_ends_with_the_dataplane)
{
	expect_bind();
	fake_request(&fk, "ping", "home-1", 5);
	fake_run(&fk);
	ipc_free(fk.dataplane.ipc);
	fk.dataplane.ipc = NULL;
	expect_row(WAIT_MS);
	ck_assert_ptr_nonnull(strstr(expect_done(WAIT_MS).text, "dataplane"));
	fake_request(&fk, "ping", "home-1", 5);
	ck_assert_ptr_nonnull(strstr(expect_done(WAIT_MS).text, "dataplane"));
}
END_TEST

START_TEST(pings_are_limited)
{
	expect_bind();
	for (int i = 0; i < PINGS_MAX; i++)
		fake_request(&fk, "ping", "home-1", 5);
	fake_run(&fk);
	ck_assert_uint_eq(fk.supervisor.ngot, 0);
	fake_request(&fk, "ping", "home-1", 5);
	ck_assert_ptr_nonnull(strstr(expect_done(WAIT_MS).text, "too many"));
}
END_TEST

/* --- names --- */

static const struct {
	const char *text;
	int node;		/* -1: refused */
	const char *error;
} names[] = {
	{ "home-1", 1, NULL },
	{ "entry-1", 2, NULL },
	{ "phone-a", 3, NULL },			/* connected, not configured */
	{ "home-1-proven", 1, NULL },		/* what a configured one proved */
	{ "twin", -1, "more than one" },	/* two connected nodes of the same proven name */
	{ "nobody", -1, "no such node" },
	{ "", -1, "no such node" },
	{ "01ab", 1, NULL },
	{ "01AB00", 1, NULL },
	{ "01a", -1, "no such node" },		/* too short */
	{ "01ac", -1, "no such node" },
	{ "aaab", 0xab, NULL },			/* a name that looks like the first digits of another's id */
	{ "10ab", -1, "more than one" },
	{ "05ab000000000000000000000000000000000000000000000000000000000005", 5, NULL },	/* unknown, but whole */
	{ "05ab00000000000000000000000000000000000000000000000000000000000g", -1, "no such node" },
	{ "here", 0xee, NULL },
};

static void
known_nodes(void)
{
	static const struct { uint8_t n; const char *name; } up[] = {
		{ 1, "home-1-proven" }, { 3, "phone-a" }, { 4, "twin" }, { 6, "twin" }, { 0xaa, "other" },
		{ 0xab, "aaab" },
	};
	uint8_t close_id[NODE_ID_LEN];
	struct procmsg m;

	for (size_t i = 0; i < sizeof(up) / sizeof(up[0]); i++) {
		m = fake_peer_up(up[i].n, up[i].name, fake_addr(1, 1));
		fake_tell(&fk, &m);
	}
	/* Two ids with the same first digits. */
	for (uint8_t i = 0; i < 2; i++) {
		m = fake_peer_up(0x10, i == 0 ? "p" : "q", fake_addr(1, 1));
		fake_id(close_id, 0x10);
		close_id[2] = i;
		memcpy(m.peer_up.node_id, close_id, NODE_ID_LEN);
		fake_tell(&fk, &m);
	}
}

START_TEST(name_resolves)
{
	struct procmsg m;

	expect_bind();
	known_nodes();
	fake_request(&fk, "ping", names[_i].text, 1);
	if (names[_i].node == 0xee) {
		ck_assert_ptr_nonnull(strstr(expect_done(WAIT_MS).text, "itself"));
	} else if (names[_i].node != -1) {
		expect_ping_open(2, (uint8_t)names[_i].node);
	} else {
		ck_assert(fake_message(&fk, &fk.supervisor, &m, WAIT_MS));
		ck_assert_int_eq(m.type, PM_DONE);
		ck_assert_int_eq(m.done.status, 1);
		ck_assert_msg(strstr(m.done.text, names[_i].error) != NULL, "%s: %s", names[_i].text, m.done.text);
	}
}
END_TEST

START_TEST(names_go_with_the_peer)
{
	struct procmsg down = { .type = PM_PEER_DOWN };
	const struct procmsg without[] = { fake_conf_node(), conf_service("echo") };

	expect_bind();
	known_nodes();
	fake_id(down.peer_down.node_id, 3);
	fake_tell(&fk, &down);
	fake_request(&fk, "ping", "phone-a", 1);
	ck_assert_ptr_nonnull(strstr(expect_done(WAIT_MS).text, "no such node"));
	ck_assert(fake_configure(&fk, without, 2));
	fake_request(&fk, "ping", "entry-1", 1);
	ck_assert_ptr_nonnull(strstr(expect_done(WAIT_MS).text, "no such node"));
	fake_request(&fk, "ping", "home-1-proven", 1);
	expect_ping_open(2, 1);
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
	tcase_add_loop_test(tc, open_refused, 0, N(refused_open));
	tcase_add_test(tc, streams_are_limited_per_node);
	tcase_add_test(tc, streams_are_limited);
	tcase_add_test(tc, packets_are_limited_per_node);
	tcase_add_test(tc, idle_streams_are_closed);
	tcase_add_test(tc, service_taken_away_ends_its_streams);
	tcase_add_loop_test(tc, broken_dataplane, 0, N(broken));
	tcase_add_test(tc, ping_measures);
	tcase_add_test(tc, ping_times_out);
	tcase_add_test(tc, ping_believes_only_its_own_bytes);
	tcase_add_test(tc, ping_twice_answered_counts_once);
	tcase_add_loop_test(tc, ping_reset_says_why, 0, N(end_reasons));
	tcase_add_test(tc, ping_ends_with_the_dataplane);
	tcase_add_test(tc, pings_are_limited);
	tcase_add_loop_test(tc, name_resolves, 0, N(names));
	tcase_add_test(tc, names_go_with_the_peer);
	tcase_add_test(tc, services_are_told);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner *sr = srunner_create(suite());
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
