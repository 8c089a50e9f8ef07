/* svchostd: the pings of fabricctl, and who is meant by a name. */
#include "suite.h"
#include "svc_stage.h"

/* --- pings --- */

/* A session to that node, and its record of the service echo. */
static void
node_up(unsigned n)
{
	struct procmsg m = fake_peer_up(1, "proven", fake_addr(1, 1));

	memcpy(m.peer_up.node_id, peer(n)->self.node_id, NODE_ID_LEN);
	fake_tell(&fk, &m);
}

static void
node_serves(unsigned n)
{
	struct procmsg m = { .type = PM_SERVICE, .service = { .name = "echo", .record = { peer(n)->sbuf, peer(n)->slen } } };

	memcpy(m.service.node_id, peer(n)->self.node_id, NODE_ID_LEN);
	fake_tell(&fk, &m);
}

static struct unit_seal theirs;		/* the pinged node's */

/* OPEN_STREAM with message 1, which that node accepts; message 2 is sent when it is said. */
static void
expect_ping_open(uint64_t id, unsigned to, bool answer)
{
	struct frame back = { .type = FT_DATA_U, .data = { .stream_id = id, .flags = DATA_UNRELIABLE } }, f;
	uint8_t message[E2E_MESSAGE_MAX];
	struct e2e_hello said;
	struct e2e_keys keys;
	struct e2e *e;

	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_OPEN_STREAM);
	ck_assert_uint_eq(f.open.stream_id, id);
	ck_assert_int_eq(f.open.class, CLASS_INTERACTIVE);
	ck_assert_int_eq(f.open.flags, OPEN_UNRELIABLE);
	ck_assert_ptr_nonnull(f.open.dest);
	ck_assert_mem_eq(f.open.dest, peer(to)->self.node_id, NODE_ID_LEN);
	ck_assert_uint_eq(f.open.service.len, 4);
	ck_assert_mem_eq(f.open.service.p, "echo", 4);
	ck_assert_int_eq(e2e_accept(&e, &peer(to)->self, "echo", f.open.flags, world.b.self.node_id, f.open.noise.p,
	    f.open.noise.len, clock_wall(), &said), REASON_NONE);
	ck_assert_uint_eq(said.app_len, 0);
	ck_assert_int_eq(e2e_answer(e, &peer(to)->self, message, &back.data.payload_len, &keys), 0);
	e2e_free(e);
	unit_seal_free(&theirs);
	ck_assert_int_eq(unit_seal_init(&theirs, &keys, clock_ns()), 0);
	back.data.payload = message;
	if (answer)
		fake_send(&fk, &back);
}

static uint8_t pinged[PING_PAYLOAD_LEN];	/* what the last ping said */

/* The next ping, and the frame that answers it. */
static struct frame
expect_ping(uint64_t id, uint64_t number)
{
	static uint8_t unit[PING_PAYLOAD_LEN + UNIT_OVERHEAD];
	struct frame f;
	size_t len;

	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_DATA_U);
	ck_assert_uint_eq(f.data.stream_id, id);
	ck_assert_uint_eq(f.data.seq, number);
	ck_assert_uint_eq(f.data.payload_len, sizeof(unit));
	memcpy(unit, f.data.payload, sizeof(unit));
	ck_assert_int_eq(unit_open(&theirs, unit, sizeof(unit), (uint32_t)number, clock_ns(), &len), SEAL_OK);
	memcpy(pinged, unit + UNIT_HEAD, sizeof(pinged));
	ck_assert_uint_eq(unit_seal(&theirs, unit, len, clock_ns(), &number), sizeof(unit));
	f.data.payload = unit;
	f.data.seq = number + 1;
	return f;
}

/* Sealed as it should be, with these bytes. */
static void
send_answer(uint64_t id, const uint8_t *p, size_t n)
{
	uint8_t unit[2 * PING_PAYLOAD_LEN + UNIT_OVERHEAD];
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = id, .flags = DATA_UNRELIABLE, .payload = unit } };
	uint64_t number;

	memcpy(unit + UNIT_HEAD, p, n);
	f.data.payload_len = unit_seal(&theirs, unit, n, clock_ns(), &number);
	f.data.seq = number + 1;
	fake_send(&fk, &f);
}

/* A ping of home-1 whose handshake is over. */
static void
begin_ping(uint64_t count)
{
	expect_bind();
	node_up(1);
	node_serves(1);
	fake_request(&fk, "ping", "home-1", count);
	expect_ping_open(2, 1, true);
}


START_TEST(ping_measures)
{
	struct frame f;
	struct pm_row row;

	begin_ping(3);
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

	begin_ping(1);
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

/* Anything but the very bytes that were sent, once, is no answer, though it is sealed. */
START_TEST(ping_believes_only_its_own_bytes)
{
	uint8_t payload[PING_PAYLOAD_LEN + 1] = { 0 };

	begin_ping(1);
	expect_ping(2, 0);
	memcpy(payload, pinged, PING_PAYLOAD_LEN);
	for (size_t i = 0; i < PING_PAYLOAD_LEN; i++) {
		payload[i] ^= 1;
		send_answer(2, payload, PING_PAYLOAD_LEN);
		payload[i] ^= 1;
	}
	send_answer(2, payload, PING_PAYLOAD_LEN - 1);
	send_answer(2, payload, PING_PAYLOAD_LEN + 1);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_STRAY], PING_PAYLOAD_LEN + 2);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_ANSWERED], 0);
	send_answer(2, payload, PING_PAYLOAD_LEN);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_ANSWERED], 1);
}
END_TEST

/* The right bytes, but not sealed, or changed by who carries them. */
START_TEST(ping_believes_only_what_opens)
{
	uint8_t unit[PING_PAYLOAD_LEN + UNIT_OVERHEAD];
	struct frame f;

	begin_ping(1);
	f = expect_ping(2, 0);
	ck_assert_ptr_null(memmem(f.data.payload, f.data.payload_len, pinged + 8, 8));
	memcpy(unit, f.data.payload, sizeof(unit));
	f.data.payload = unit;
	for (size_t i = 0; i < sizeof(unit); i++) {
		unit[i] ^= 1;
		fake_send(&fk, &f);
		unit[i] ^= 1;
	}
	f.data.payload = pinged;
	f.data.payload_len = sizeof(pinged);
	fake_send(&fk, &f);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_STRAY], sizeof(unit) + 1);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_ANSWERED], 0);
	f.data.payload = unit;
	f.data.payload_len = sizeof(unit);
	fake_send(&fk, &f);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_PINGS_ANSWERED], 1);
}
END_TEST

/* Message 2, or message 1, is lost: another handshake, on another stream. */
START_TEST(ping_shakes_again)
{
	struct frame f;

	expect_bind();
	node_up(1);
	node_serves(1);
	fake_request(&fk, "ping", "home-1", 1);
	expect_ping_open(2, 1, false);
	ck_assert(fake_wait(&fk, &fk.dataplane, &f, WAIT_MS));
	ck_assert_uint_eq(f.type, FT_CLOSE_STREAM);
	ck_assert_uint_eq(f.close.stream_id, 2);
	expect_ping_open(4, 1, true);
	f = expect_ping(4, 0);
	fake_send(&fk, &f);
	expect_row(WAIT_MS);
	expect_row(WAIT_MS);
	ck_assert_int_eq(expect_done(WAIT_MS).status, 0);
}
END_TEST

/* Its adapter began anew with another key: the handshake is tried again, and goes well once the new record is here. */
START_TEST(ping_of_a_new_key)
{
	struct frame reset = { .type = FT_RESET_STREAM, .reset = { .stream_id = 2, .reason = REASON_AUTH_PROOF } };

	expect_bind();
	node_up(1);
	node_serves(1);
	fake_request(&fk, "ping", "home-1", 1);
	expect_ping_open(2, 1, false);
	fake_send(&fk, &reset);
	memset(peer(1)->self.key.secret, 0xaa, sizeof(peer(1)->self.key.secret));
	ck_assert_int_eq(noise_key_from_secret(&peer(1)->self.key), 0);
	peer(1)->s.serial++;
	world_node_sign(peer(1));
	node_serves(1);
	expect_ping_open(4, 1, true);
	expect_ping(4, 0);
}
END_TEST

/* A session, and no record: it is waited for, as it comes right behind the session; and then there is no such service. */
START_TEST(ping_waits_for_the_record)
{
	struct pm_done done;

	expect_bind();
	node_up(1);
	fake_request(&fk, "ping", "home-1", 1);
	expect_nothing();
	if (_i == 0) {
		node_serves(1);
		expect_ping_open(2, 1, true);
		expect_ping(2, 0);
		return;
	}
	done = expect_done(WAIT_MS);
	ck_assert_int_eq(done.status, 1);
	ck_assert_ptr_nonnull(strstr(done.text, "no-service"));
}
END_TEST

/* A dataplane that began anew has nothing to tell yet: what is known of services holds on. */
START_TEST(ping_by_what_was_told_before)
{
	expect_bind();
	node_serves(1);
	fake_port(&fk);
	expect_bind();
	node_up(1);
	fake_request(&fk, "ping", "home-1", 1);
	expect_ping_open(2, 1, true);
	expect_ping(2, 0);
}
END_TEST

START_TEST(ping_without_a_session)
{
	expect_bind();
	node_serves(1);
	fake_request(&fk, "ping", "home-1", 1);
	ck_assert_ptr_nonnull(strstr(expect_done(WAIT_MS).text, "unreachable"));
}
END_TEST

/* Who answers is not the node that was meant. */
START_TEST(ping_answered_by_another)
{
	uint8_t message[E2E_MESSAGE_MAX] = { 0 };
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = 2, .flags = DATA_UNRELIABLE, .payload = message,
	    .payload_len = 300 } };

	expect_bind();
	node_up(1);
	node_serves(1);
	fake_request(&fk, "ping", "home-1", 1);
	expect_ping_open(2, 1, false);
	fake_send(&fk, &f);
	ck_assert_ptr_nonnull(strstr(expect_done(WAIT_MS).text, "auth-proof"));
}
END_TEST

START_TEST(ping_twice_answered_counts_once)
{
	struct frame f;

	begin_ping(2);
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

	begin_ping(5);
	expect_ping(2, 0);
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
	begin_ping(5);
	expect_ping(2, 0);
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
	node_up(1);
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
	struct procmsg items[3];
	struct procmsg m;

	m = fake_conf_node();
	items[0] = m;
	items[1] = fake_conf_peer(1, "home-1");
	items[2] = fake_conf_peer(2, "entry-1");
	ck_assert(fake_configure(&fk, items, 3));
	fake_run(&fk);
	fake_clear(&fk.supervisor);	/* another node's key is to be certified */
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

/* Which node that means, or -1. */
static int
means(const char *text)
{
	const struct svchostd *s = fk.worker.state;
	char err[PM_TEXT_MAX + 1];
	uint8_t id[NODE_ID_LEN];

	return nodes_resolve(&s->nodes, text, id, err) == -1 ? -1 : id[0];
}

START_TEST(name_resolves)
{
	struct procmsg m;

	expect_bind();
	known_nodes();
	if (names[_i].node == 0xee) {
		fake_request(&fk, "ping", names[_i].text, 1);
		ck_assert_ptr_nonnull(strstr(expect_done(WAIT_MS).text, "itself"));
	} else if (names[_i].node != -1) {
		ck_assert_int_eq(means(names[_i].text), names[_i].node);
	} else {
		fake_request(&fk, "ping", names[_i].text, 1);
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
	ck_assert_int_eq(means("phone-a"), -1);
	ck_assert(fake_configure(&fk, without, 2));
	ck_assert_int_eq(means("entry-1"), -1);
	ck_assert_int_eq(means("home-1-proven"), 1);
}
END_TEST

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

static Suite *
suite(void)
{
	Suite *s = suite_create("ping");
	TCase *tc = tcase_create("svchostd");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, ping_measures);
	tcase_add_test(tc, ping_times_out);
	tcase_add_test(tc, ping_believes_only_its_own_bytes);
	tcase_add_test(tc, ping_twice_answered_counts_once);
	tcase_add_test(tc, ping_believes_only_what_opens);
	tcase_add_test(tc, ping_shakes_again);
	tcase_add_test(tc, ping_of_a_new_key);
	tcase_add_loop_test(tc, ping_waits_for_the_record, 0, 2);
	tcase_add_test(tc, ping_by_what_was_told_before);
	tcase_add_test(tc, ping_without_a_session);
	tcase_add_test(tc, ping_answered_by_another);
	tcase_add_loop_test(tc, ping_reset_says_why, 0, N(end_reasons));
	tcase_add_test(tc, ping_ends_with_the_dataplane);
	tcase_add_test(tc, pings_are_limited);
	tcase_add_loop_test(tc, name_resolves, 0, N(names));
	tcase_add_test(tc, names_go_with_the_peer);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
