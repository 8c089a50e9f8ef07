/* The session state machine, two of them joined by buffers under a clock of the test's. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fabric/session.h"
#include "suite.h"

#define WALL	1800000000ull
#define SEC	1000000000ull
#define MS	1000000ull

struct side {
	struct session	s;
	struct session_self self;
	struct sign_key	node_key;
	uint8_t		out[64 * 1024];
	size_t		out_len, out_max;
	unsigned	ups, ends, frames;
	uint64_t	reason, accept_reason, frame_reason;
	bool		remote;
	uint64_t	last_type;
};

static struct side i, r;	/* initiator, responder */
static struct sign_key authority;
static uint64_t now;
static uint8_t exporter[EXPORTER_LEN];

static int
side_send(struct session *s, const uint8_t *p, size_t len, void *arg)
{
	struct side *d = arg;

	(void)s;
	if (d->out_len + len > d->out_max)
		return -1;
	memcpy(d->out + d->out_len, p, len);
	d->out_len += len;
	return 0;
}

static uint64_t
side_accept(struct session *s, void *arg)
{
	(void)s;
	return ((struct side *)arg)->accept_reason;
}

static void
side_up(struct session *s, void *arg)
{
	(void)s;
	((struct side *)arg)->ups++;
}

static uint64_t
side_frame(struct session *s, const struct frame *f, void *arg)
{
	struct side *d = arg;

	(void)s;
	d->frames++;
	d->last_type = f->type;
	return d->frame_reason;
}

static void
side_failed(struct session *s, uint64_t reason, bool remote, void *arg)
{
	struct side *d = arg;

	(void)s;
	d->ends++;
	d->reason = reason;
	d->remote = remote;
}

static const struct session_ops ops = {
	.send = side_send, .accept = side_accept, .up = side_up, .frame = side_frame, .failed = side_failed,
};

static const char *tenant = "t";	/* of who is made next */

static size_t
membership_make(uint8_t *buf, size_t size, const struct sign_key *node)
{
	struct record rec = { .kind = RECORD_MEMBERSHIP, .subject = node->public, .serial = 1,
	    .not_before = WALL - 100, .not_after = WALL + 10000, .roles = 1, .tier = 3 };

	strcpy(rec.name, "n");
	strcpy(rec.tenant, tenant);
	return record_sign(buf, size, &rec, &authority);
}

static size_t
delegation_make(uint8_t *buf, size_t size, const struct sign_key *node, const uint8_t *key)
{
	struct record rec = { .kind = RECORD_DELEGATION, .subject = key, .serial = 1,
	    .not_before = WALL - 100, .not_after = WALL + 5000, .purpose = PURPOSE_SESSION };

	return record_sign(buf, size, &rec, node);
}

static void
self_make(struct side *d)
{
	struct session_self *self = &d->self;

	ck_assert_int_eq(sign_key_generate(&d->node_key), 0);
	ck_assert_int_eq(sign_key_generate(&self->key), 0);
	node_id_from_key(self->node_id, d->node_key.public);
	self->boot_id = 77;
	memcpy(self->authority, authority.public, SIGN_PUBLIC_LEN);
	tenants_init(&self->tenants, tenant);
	self->membership_len = membership_make(self->membership, sizeof(self->membership), &d->node_key);
	self->delegation_len = delegation_make(self->delegation, sizeof(self->delegation), &d->node_key,
	    self->key.public);
	ck_assert_uint_gt(self->membership_len, 0);
	ck_assert_uint_gt(self->delegation_len, 0);
	self->versions[0] = 1;
	self->nversions = 1;
	self->limits = (struct session_limits){ FRAME_MAX_DEFAULT, 100, 1 << 20, 65535 };
	self->auth_timeout_ns = 5 * SEC;
	self->keepalive_ns = 2 * SEC;
	self->dead_ns = 10 * SEC;
	d->out_max = sizeof(d->out);
}

static void
setup(void)
{
	log_setlevel(LOG_LEVEL_ERROR);
	memset(&i, 0, sizeof(i));
	memset(&r, 0, sizeof(r));
	now = 1000 * SEC;
	memset(exporter, 0x5a, sizeof(exporter));
	ck_assert_int_eq(sign_key_generate(&authority), 0);
	self_make(&i);
	self_make(&r);
	session_init(&i.s, &i.self, &ops, &i, true, r.self.node_id, now);
	session_init(&r.s, &r.self, &ops, &r, false, NULL, now);
}

static void
teardown(void)
{
	session_free(&i.s);
	session_free(&r.s);
}

static void
start(void)
{
	uint8_t nonce[FRAME_NONCE_LEN];

	crypto_random(nonce, sizeof(nonce));
	session_start(&r.s, exporter, nonce, now);
	crypto_random(nonce, sizeof(nonce));
	session_start(&i.s, exporter, nonce, now);
}

/* Hands on what one side sent, `step` bytes at a time. */
static bool
pass(struct side *from, struct side *to, size_t step)
{
	static uint8_t buf[sizeof(from->out)];
	size_t len = from->out_len;

	memcpy(buf, from->out, len);
	from->out_len = 0;
	for (size_t off = 0; off < len; off += step)
		session_input(&to->s, buf + off, len - off < step ? len - off : step, now, WALL);
	return len > 0;
}

static void
settle(size_t step)
{
	while (pass(&i, &r, step) || pass(&r, &i, step))
		;
}

static void
come_up(void)
{
	start();
	settle(SIZE_MAX / 2);
	ck_assert_uint_eq(i.ups, 1);
	ck_assert_uint_eq(r.ups, 1);
}

static void
ended(const struct side *d, unsigned reason, bool remote)
{
	ck_assert_uint_eq(d->ends, 1);
	ck_assert_str_eq(reason_name(d->reason), reason_name(reason));
	ck_assert_int_eq(d->remote, remote);
	ck_assert_int_eq(d->s.state, SESSION_FAILED);
}

START_TEST(comes_up)
{
	come_up();
	ck_assert_mem_eq(i.s.peer.node_id, r.self.node_id, NODE_ID_LEN);
	ck_assert_mem_eq(r.s.peer.node_id, i.self.node_id, NODE_ID_LEN);
	ck_assert_uint_eq(r.s.peer.tier, 3);
	ck_assert_uint_eq(i.s.peer_boot_id, 77);
	ck_assert_uint_eq(i.s.membership_len, r.self.membership_len);
	ck_assert_mem_eq(i.s.membership, r.self.membership, i.s.membership_len);
}
END_TEST

/* The carrier may cut anywhere. */
START_TEST(comes_up_byte_by_byte)
{
	static const size_t steps[] = { 1, 2, 3, 7, 100 };

	start();
	settle(steps[_i]);
	ck_assert_uint_eq(i.ups, 1);
	ck_assert_uint_eq(r.ups, 1);
}
END_TEST

START_TEST(limits_meet)
{
	r.self.limits = (struct session_limits){ 20000, 5, 1000, 1200 };
	session_init(&r.s, &r.self, &ops, &r, false, NULL, now);
	come_up();
	for (int k = 0; k < 2; k++) {
		const struct session *s = k == 0 ? &i.s : &r.s;

		ck_assert_uint_eq(s->ours.max_frame, 20000);
		ck_assert_uint_eq(s->theirs.max_frame, 20000);
		ck_assert_uint_eq(s->theirs.max_streams, 5);
		ck_assert_uint_eq(s->theirs.max_credit, 1000);
		ck_assert_uint_eq(s->theirs.max_datagram, 1200);
	}
}
END_TEST

/* READY may take back, never add. */
START_TEST(ready_above_hello)
{
	struct frame f = { .type = FT_SESSION_READY };

	start();
	pass(&i, &r, 4096);	/* HELLO */
	pass(&r, &i, 4096);
	pass(&i, &r, 4096);	/* AUTH: the responder waits for READY */
	ck_assert_int_eq(r.s.state, SESSION_WAIT_READY);
	f.ready = (struct frame_session_ready){ .version = 1, .max_frame = FRAME_MAX_DEFAULT, .max_streams = 101,
	    .max_credit = 1 << 20, .max_datagram = 65535 };
	i.out_len = frame_encode(i.out, sizeof(i.out), &f, FRAME_PORT_STREAM);
	pass(&i, &r, 4096);
	ended(&r, REASON_LIMIT, false);
}
END_TEST

START_TEST(ready_of_another_version)
{
	struct frame f = { .type = FT_SESSION_READY };

	start();
	pass(&i, &r, 4096);
	pass(&r, &i, 4096);
	pass(&i, &r, 4096);
	f.ready = (struct frame_session_ready){ .version = 2, .max_frame = FRAME_MAX_DEFAULT, .max_streams = 1 };
	i.out_len = frame_encode(i.out, sizeof(i.out), &f, FRAME_PORT_STREAM);
	pass(&i, &r, 4096);
	ended(&r, REASON_VERSION, false);
}
END_TEST

/* Each state takes the one frame it waits for. */
START_TEST(order_is_strict)
{
	static const struct frame auth = { .type = FT_AUTH }, ready = { .type = FT_SESSION_READY };
	static const uint8_t sig[64], rec[4] = { 1, 2, 3, 4 };
	struct frame f;
	uint8_t buf[512];
	size_t len;

	start();
	switch (_i) {
	case 0:		/* AUTH before HELLO */
		f = auth;
		f.auth.signature = sig;
		f.auth.membership = f.auth.delegation = (struct frame_bytes){ rec, sizeof(rec) };
		break;
	case 1:		/* READY before HELLO */
		f = ready;
		f.ready.version = 1;
		f.ready.max_frame = FRAME_MAX_MIN;
		break;
	case 2:		/* PING before HELLO */
		memset(&f, 0, sizeof(f));
		f.type = FT_PING;
		f.ping.id = 1;
		break;
	case 3:		/* READY instead of AUTH */
		pass(&i, &r, 4096);
		r.out_len = 0;
		f = ready;
		f.ready.version = 1;
		f.ready.max_frame = FRAME_MAX_MIN;
		break;
	case 4:		/* HELLO again instead of AUTH */
		memcpy(buf, i.out, len = i.out_len);
		pass(&i, &r, 4096);
		r.out_len = 0;
		session_input(&r.s, buf, len, now, WALL);
		ended(&r, REASON_PROTOCOL, false);
		return;
	default:	/* PING instead of READY */
		pass(&i, &r, 4096);
		pass(&r, &i, 4096);
		pass(&i, &r, 4096);
		r.out_len = 0;
		memset(&f, 0, sizeof(f));
		f.type = FT_PING;
		f.ping.id = 1;
	}
	len = frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM);
	ck_assert_uint_gt(len, 0);
	session_input(&r.s, buf, len, now, WALL);
	ended(&r, REASON_PROTOCOL, false);
	ck_assert_uint_gt(r.out_len, 0);	/* GOAWAY says so */
}
END_TEST

START_TEST(peer_is_told)
{
	r.accept_reason = REASON_AUTH_POLICY;
	start();
	settle(4096);
	ended(&r, REASON_AUTH_POLICY, false);
	ended(&i, REASON_AUTH_POLICY, true);
	ck_assert_uint_eq(i.ups, 0);
}
END_TEST

/* What was signed for one connection is worth nothing on another: the exporter differs. */
/* Each side meets whom it is told, in the strict sense of the words; and the one that does not is heard. */
static const struct { const char *list; bool others; const char *tenant; bool up; } meetings[] = {
	{ "", false, "u", false }, { "\1u", false, "u", true }, { "\1v\1u\1w", false, "u", true }, { "\2uu", false, "u", false },
	{ "\1u", false, "uu", false }, { "", true, "u", true }, { "\1u", true, "u", false }, { "\1v", true, "u", true },
	{ "\1u", true, "t", true },
};

START_TEST(tenants_that_meet)
{
	struct frame_bytes list = { (const uint8_t *)meetings[_i].list, strlen(meetings[_i].list) };

	tenant = meetings[_i].tenant;
	self_make(&i);
	tenant = "t";
	ck_assert_int_eq(tenants_set(&i.self.tenants, true, (struct frame_bytes){ NULL, 0 }), 0);
	ck_assert_int_eq(tenants_set(&r.self.tenants, meetings[_i].others, list), 0);
	start();
	settle(SIZE_MAX / 2);
	if (meetings[_i].up) {
		ck_assert_uint_eq(i.ups + r.ups, 2);
		ck_assert_str_eq(r.s.peer.tenant, meetings[_i].tenant);
		return;
	}
	ended(&r, REASON_AUTH_TENANT, false);
	ended(&i, REASON_AUTH_TENANT, true);
}
END_TEST

START_TEST(lists_of_tenants)
{
	static const struct { const char *p; size_t len; bool ok; } lists[] = {
		{ "", 0, true }, { "\1a", 2, true }, { "\1a\2bc", 5, true }, { "\0", 1, false }, { "\1", 1, false }, { "\2a", 2, false },
		{ "\1a\1", 3, false }, { "\1A", 2, false }, { "\1 ", 2, false }, { "\1a\0", 3, false }, { "\377a", 2, false },
	};
	static uint8_t longest[TENANTS_LIST_MAX + 2];
	struct tenants t, before;

	tenants_init(&t, "t");
	for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
		uint8_t *exact = malloc(lists[k].len + 1);

		memcpy(exact + 1, lists[k].p, lists[k].len);
		before = t;
		ck_assert_msg((tenants_set(&t, k % 2, (struct frame_bytes){ exact + 1, lists[k].len }) == 0) == lists[k].ok, "%zu", k);
		ck_assert(lists[k].ok || memcmp(&before, &t, sizeof(t)) == 0);
		free(exact);
	}
	for (size_t k = 0; k < sizeof(longest); k += 2)
		memcpy(longest + k, "\1a", 2);
	ck_assert_int_eq(tenants_set(&t, false, (struct frame_bytes){ longest, sizeof(longest) }), -1);
	ck_assert_int_eq(tenants_set(&t, false, (struct frame_bytes){ longest, sizeof(longest) - 2 }), 0);
	ck_assert_int_eq(tenants_add(&t, "b"), -1);
	ck_assert(tenants_meet(&t, "a") && !tenants_meet(&t, "b"));
}
END_TEST

START_TEST(other_exporter)
{
	uint8_t nonce[FRAME_NONCE_LEN] = { 1 };

	session_start(&r.s, exporter, nonce, now);
	exporter[31] ^= 1;
	session_start(&i.s, exporter, nonce, now);
	settle(4096);
	ended(&r, REASON_AUTH_PROOF, false);
	ended(&i, REASON_AUTH_PROOF, true);
}
END_TEST

/* A byte of HELLO changed on the way, in either direction. */
START_TEST(hello_changed_on_the_way)
{
	struct side *from = _i == 0 ? &i : &r;

	start();
	if (_i == 1)
		pass(&i, &r, 4096);
	from->out[from->out_len - 1] ^= 1;	/* of the nonce or a limit's last byte: still well formed or not */
	settle(4096);
	ck_assert_uint_eq(i.ups + r.ups, 0);
	ck_assert_uint_eq(r.ends, 1);
	ck_assert(r.reason == REASON_AUTH_PROOF || r.reason == REASON_PROTOCOL || i.reason == REASON_PROTOCOL);
}
END_TEST

START_TEST(unexpected_node)
{
	uint8_t other[NODE_ID_LEN] = { 9 };

	session_init(&i.s, &i.self, &ops, &i, true, other, now);
	start();
	settle(4096);
	ended(&i, REASON_AUTH_NODE, false);
	ended(&r, REASON_AUTH_NODE, true);
}
END_TEST

START_TEST(runs_out_of_time)
{
	ck_assert_uint_eq(session_deadline(&r.s), now + 5 * SEC);
	start();
	ck_assert_uint_eq(session_deadline(&r.s), now + 5 * SEC);
	now += 5 * SEC - 1;
	session_tick(&r.s, now);
	ck_assert_uint_eq(r.ends, 0);
	now++;
	session_tick(&r.s, now);
	ended(&r, REASON_AUTH_TIMEOUT, false);
	ck_assert_int_eq(r.s.failed_in, SESSION_WAIT_HELLO);
	ck_assert_uint_eq(session_deadline(&r.s), UINT64_MAX);
}
END_TEST

START_TEST(pings_when_idle)
{
	come_up();
	/* The first at once, for a round trip time. */
	ck_assert_uint_le(session_deadline(&i.s), now);
	session_tick(&i.s, now);
	now += 30 * MS;
	settle(4096);
	ck_assert_uint_eq(i.s.rtts, 1);
	ck_assert_uint_eq(i.s.rtt_ns, 30 * MS);
	ck_assert_uint_eq(session_deadline(&i.s), now + 2 * SEC);
	now += SEC;
	session_heard(&i.s, now);
	ck_assert_uint_eq(session_deadline(&i.s), now + 2 * SEC);
	now += 2 * SEC;
	session_tick(&i.s, now);
	ck_assert_uint_gt(i.out_len, 0);
	ck_assert_uint_eq(session_deadline(&i.s), now + 2 * SEC);
}
END_TEST

START_TEST(dies_of_silence)
{
	come_up();
	for (uint64_t end = now + 10 * SEC; now < end; now += SEC) {
		session_tick(&i.s, now);
		i.out_len = 0;
		ck_assert_int_eq(i.s.state, SESSION_UP);
	}
	session_tick(&i.s, now);
	ended(&i, REASON_TIMEOUT, false);
}
END_TEST

/* A PONG that nobody asked for, or that claims to have taken longer than the whole way. */
START_TEST(pong_is_not_believed)
{
	struct frame f = { .type = FT_PONG };
	uint8_t buf[64];
	size_t len;

	come_up();
	f.ping.id = 4711;
	len = frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM);
	session_input(&i.s, buf, len, now, WALL);
	ck_assert_uint_eq(i.s.rtts, 0);
	session_tick(&i.s, now);
	f.ping.id = i.s.ping_id;
	f.ping.delay_us = UINT32_MAX;
	len = frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM);
	now += 10 * MS;
	session_input(&i.s, buf, len, now, WALL);
	ck_assert_uint_eq(i.s.rtts, 1);
	ck_assert_uint_eq(i.s.rtt_ns, 10 * MS);
}
END_TEST

START_TEST(ping_flood_is_bounded)
{
	struct frame f = { .type = FT_PING };
	uint8_t buf[64];

	come_up();
	for (unsigned k = 0; k < 1000; k++) {
		f.ping.id = k + 1;
		session_input(&r.s, buf, frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM), now, WALL);
	}
	ck_assert_int_eq(r.s.state, SESSION_UP);
	ck_assert_uint_eq(r.s.pings_ignored, 1000 - SESSION_PINGS_PER_SEC);
	now += SEC / SESSION_PINGS_PER_SEC;
	session_input(&r.s, buf, frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM), now, WALL);
	ck_assert_uint_eq(r.s.pings_ignored, 1000 - SESSION_PINGS_PER_SEC);
}
END_TEST

START_TEST(hello_twice)
{
	come_up();
	session_input(&r.s, i.s.hello[0], i.s.hello_len[0], now, WALL);
	ended(&r, REASON_PROTOCOL, false);
}
END_TEST

START_TEST(frames_reach_the_owner)
{
	struct frame f = { .type = FT_RESET_STREAM };
	uint8_t buf[64];

	come_up();
	f.reset.stream_id = 2;
	f.reset.reason = REASON_IDLE;
	session_input(&r.s, buf, frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM), now, WALL);
	ck_assert_uint_eq(r.frames, 1);
	ck_assert_uint_eq(r.last_type, FT_RESET_STREAM);
	r.frame_reason = REASON_LIMIT;
	session_input(&r.s, buf, frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM), now, WALL);
	ended(&r, REASON_LIMIT, false);
	/* Nothing after the end. */
	session_input(&r.s, buf, frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM), now, WALL);
	ck_assert_uint_eq(r.frames, 2);
}
END_TEST

START_TEST(goaway)
{
	come_up();
	session_fail(&i.s, REASON_SHUTDOWN);
	session_fail(&i.s, REASON_INTERNAL);	/* only the first counts */
	ended(&i, REASON_SHUTDOWN, false);
	settle(4096);
	ended(&r, REASON_SHUTDOWN, true);
	ck_assert_uint_eq(r.out_len, 0);	/* no answer to a GOAWAY */
}
END_TEST

/* Unknown types that may be skipped are, once the session is up; before that nothing is. */
START_TEST(skippable)
{
	static const uint8_t unknown[] = { 0x40, 0x40, 0x02, 1, 2 };

	if (_i == 1)
		come_up();
	else
		start();
	session_input(&r.s, unknown, sizeof(unknown), now, WALL);
	if (_i == 1)
		ck_assert_int_eq(r.s.state, SESSION_UP);
	else
		ended(&r, REASON_PROTOCOL, false);
}
END_TEST

/* A frame that says it is long fills no memory, before and after authentication. */
START_TEST(too_long)
{
	static const uint8_t long_hello[] = { FT_HELLO, 0x44, 0x00 };		/* 1024 */
	static const uint8_t long_auth[] = { FT_AUTH, 0x62, 0x00 };		/* 8704 */
	static const uint8_t long_open[] = { FT_OPEN_STREAM, 0x80, 0x00, 0x40, 0x01 };	/* 16385 */

	switch (_i) {
	case 0:
		start();
		session_input(&r.s, long_hello, sizeof(long_hello), now, WALL);
		break;
	case 1:
		start();
		pass(&i, &r, 4096);
		session_input(&r.s, long_auth, sizeof(long_auth), now, WALL);
		break;
	default:
		come_up();
		session_input(&r.s, long_open, sizeof(long_open), now, WALL);
	}
	ended(&r, REASON_LIMIT, false);
}
END_TEST

/* The carrier's queue is full: the session ends rather than grow. */
START_TEST(carrier_full)
{
	struct frame f = { .type = FT_PING };

	come_up();
	i.out_max = i.out_len;
	f.ping.id = 1;
	ck_assert_int_eq(session_send(&i.s, &f), -1);
	ended(&i, REASON_LIMIT, false);
}
END_TEST

/* Any bytes at any point: an end or nothing, never more. */
START_TEST(noise)
{
	for (unsigned round = 0; round < 2000; round++) {
		uint8_t junk[300];
		uint16_t len;

		teardown();
		memset(&r.s, 0, sizeof(r.s));
		session_init(&i.s, &i.self, &ops, &i, true, NULL, now);
		session_init(&r.s, &r.self, &ops, &r, false, NULL, now);
		i.out_len = r.out_len = 0;
		i.ups = r.ups = i.ends = r.ends = 0;
		start();
		for (unsigned k = 0; k < round % 4; k++)
			pass(k % 2 == 0 ? &i : &r, k % 2 == 0 ? &r : &i, 4096);
		crypto_random(&len, sizeof(len));
		crypto_random(junk, sizeof(junk));
		junk[0] %= 0x18;
		session_input(&r.s, junk, len % sizeof(junk), now, WALL);
		session_tick(&r.s, now + 20 * SEC);
		ck_assert_int_eq(r.s.state, SESSION_FAILED);
		ck_assert_uint_eq(r.ends, 1);
	}
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("session");
	TCase *tc = tcase_create("session");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, comes_up);
	tcase_add_loop_test(tc, comes_up_byte_by_byte, 0, 5);
	tcase_add_test(tc, limits_meet);
	tcase_add_test(tc, ready_above_hello);
	tcase_add_test(tc, ready_of_another_version);
	tcase_add_loop_test(tc, order_is_strict, 0, 6);
	tcase_add_test(tc, peer_is_told);
	tcase_add_loop_test(tc, tenants_that_meet, 0, sizeof(meetings) / sizeof(meetings[0]));
	tcase_add_test(tc, lists_of_tenants);
	tcase_add_test(tc, other_exporter);
	tcase_add_loop_test(tc, hello_changed_on_the_way, 0, 2);
	tcase_add_test(tc, unexpected_node);
	tcase_add_test(tc, runs_out_of_time);
	tcase_add_test(tc, pings_when_idle);
	tcase_add_test(tc, dies_of_silence);
	tcase_add_test(tc, pong_is_not_believed);
	tcase_add_test(tc, ping_flood_is_bounded);
	tcase_add_test(tc, hello_twice);
	tcase_add_test(tc, frames_reach_the_owner);
	tcase_add_test(tc, goaway);
	tcase_add_loop_test(tc, skippable, 0, 2);
	tcase_add_loop_test(tc, too_long, 0, 3);
	tcase_add_test(tc, carrier_full);
	tcase_add_test(tc, noise);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	crypto_init();
	return suite_run(suite());
}
