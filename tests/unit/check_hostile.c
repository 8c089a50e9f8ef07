/*
 * Peers that do not keep the rules, against a whole dataplane over real QUIC. The hostile side is a dataplane as well,
 * with wrong records or with a hook where its session hands frames to the carrier. Each ends with its own reason on
 * both sides, a counter, and nothing left behind.
 */
#include <check.h>

#include "dp_node.h"
#include "fabricd/dataplane/conn.h"
#include "suite.h"

static struct event_base *base;
static struct sign_key authority, other_authority;
static struct node v, e;	/* the victim, the evil one */
static struct session_ops evil_ops;
static int (*evil_send)(struct conn *, uint64_t type, const uint8_t *, size_t);
static uint64_t us_before[REASON_COUNT], peer_before[REASON_COUNT];
static uint8_t recorded[FRAME_CONTROL_MAX];
static size_t recorded_len;

static void
setup(void)
{
	log_setlevel(getenv("DP_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	base = event_base_new();
	ck_assert_int_eq(sign_key_generate(&authority), 0);
	ck_assert_int_eq(sign_key_generate(&other_authority), 0);
	node_init(&v, base, "victim", &authority);
	node_init(&e, base, "evil", &authority);
	evil_send = NULL;
	recorded_len = 0;
	for (unsigned r = 0; r < REASON_COUNT; r++) {
		us_before[r] = stats->counter[STAT_DP_END_NONE + r];
		peer_before[r] = stats->counter[STAT_DP_END_PEER_NONE + r];
	}
}

/* Nothing of the hostile peer may be left at the victim. */
static void
teardown(void)
{
	if (v.dp != NULL) {
		ck_assert(RUN_UNTIL(base, 5000, v.dp->nconns == 0));
		ck_assert_uint_eq(v.dp->nhalf_open, 0);
		ck_assert_uint_eq(v.dp->nup, 0);
		ck_assert_uint_eq(v.dp->pool.in_use, 0);
		ck_assert_uint_eq(v.dp->sw.nstreams, 0);
	}
	node_free(&v);
	node_free(&e);
	event_base_free(base);
}

static uint64_t
by_us(unsigned reason)
{
	return stats->counter[STAT_DP_END_NONE + reason] - us_before[reason];
}

static uint64_t
by_peer(unsigned reason)
{
	return stats->counter[STAT_DP_END_PEER_NONE + reason] - peer_before[reason];
}

static int
evil_hook(struct session *s, const uint8_t *frame, size_t len, void *arg)
{
	(void)s;
	return evil_send(arg, frame[0], frame, len);
}

static int
plain_send(struct conn *c, const uint8_t *frame, size_t len)
{
	return hop_ops.send(&c->session, frame, len, c);
}

static struct conn *
evil_conn(void)
{
	return TAILQ_FIRST(&e.dp->conns);
}

/* The evil one dials; its frames go through `hook`, if there is one, from the first. */
static void
attack(int (*hook)(struct conn *, uint64_t, const uint8_t *, size_t))
{
	node_start(&v);
	node_start(&e);
	node_target(&e, &v);
	ck_assert(RUN_UNTIL(base, 2000, evil_conn() != NULL));
	if (hook == NULL)
		return;
	evil_send = hook;
	evil_ops = hop_ops;
	evil_ops.send = evil_hook;
	evil_conn()->session.ops = &evil_ops;
}

/* It comes to an end for `reason`, which both sides learn, and never was up. */
static void
refused_for(unsigned reason)
{
	ck_assert_msg(RUN_UNTIL(base, 5000, by_us(reason) >= 1 && by_peer(reason) >= 1), "reason %s: us %lu peer %lu",
	    reason_name(reason), (unsigned long)by_us(reason), (unsigned long)by_peer(reason));
	ck_assert_uint_eq(v.vpnd.up, 0);
	node_kill(&e);
}

START_TEST(expired)
{
	e.not_before = clock_wall() - 7200;
	e.not_after = clock_wall() - 1;
	e.delegation_after = clock_wall() + 3600;
	attack(NULL);
	refused_for(REASON_AUTH_EXPIRED);
}
END_TEST

START_TEST(expired_delegation)
{
	e.not_before = clock_wall() - 7200;
	e.delegation_after = clock_wall() - 1;
	attack(NULL);
	refused_for(REASON_AUTH_EXPIRED);
}
END_TEST

START_TEST(not_yet_valid)
{
	e.not_before = clock_wall() + 3600;
	attack(NULL);
	refused_for(REASON_AUTH_NOT_YET);
}
END_TEST

START_TEST(wrong_tenant)
{
	e.tenant = "office";
	attack(NULL);
	refused_for(REASON_AUTH_TENANT);
}
END_TEST

START_TEST(wrong_authority)
{
	e.authority = other_authority;
	attack(NULL);
	refused_for(REASON_AUTH_AUTHORITY);
}
END_TEST

/* The far end is not who was dialled: the dialler ends it, and the other one is told. */
START_TEST(wrong_node)
{
	struct procmsg m = { .type = PM_TARGET };

	node_start(&v);
	node_start(&e);
	memset(m.target.node_id, 7, NODE_ID_LEN);
	m.target.dial = true;
	procmsg_send(e.routed.ipc, &m, -1);
	m.type = PM_TARGET_ADDR;
	memset(m.target_addr.node_id, 7, NODE_ID_LEN);
	m.target_addr.addr = v.addr;
	procmsg_send(e.routed.ipc, &m, -1);
	ipc_flush(e.routed.ipc);
	refused_for(REASON_AUTH_NODE);
}
END_TEST

START_TEST(policy)
{
	v.session.peers_only = true;
	attack(NULL);
	refused_for(REASON_AUTH_POLICY);
}
END_TEST

START_TEST(dials_itself)
{
	node_start(&v);
	v.dp->self.node_id[0] ^= 1;	/* so that it dials itself at all */
	node_target(&v, &v);
	ck_assert(RUN_UNTIL(base, 2000, TAILQ_FIRST(&v.dp->conns) != NULL));
	v.dp->self.node_id[0] ^= 1;
	ck_assert(RUN_UNTIL(base, 5000, by_us(REASON_AUTH_SELF) >= 1));
	v.dp->draining = true;
}
END_TEST

static int
record_auth(struct conn *c, uint64_t type, const uint8_t *frame, size_t len)
{
	if (type == FT_AUTH) {
		memcpy(recorded, frame, len);
		recorded_len = len;
	}
	return plain_send(c, frame, len);
}

static int
replay_auth(struct conn *c, uint64_t type, const uint8_t *frame, size_t len)
{
	if (type == FT_AUTH && recorded_len > 0)
		return plain_send(c, recorded, recorded_len);
	return plain_send(c, frame, len);
}

static void
hook_next(int (*hook)(struct conn *, uint64_t, const uint8_t *, size_t))
{
	ck_assert(RUN_UNTIL(base, 5000, evil_conn() == NULL));
	ck_assert(RUN_UNTIL(base, 5000, evil_conn() != NULL));
	evil_send = hook;
	evil_conn()->session.ops = &evil_ops;
}

/* A good AUTH, word for word, on the node's own next connection: the exporter and the nonces differ. */
START_TEST(replayed_auth)
{
	attack(record_auth);
	ck_assert(RUN_UNTIL(base, 5000, v.vpnd.up == 1));
	ck_assert_uint_gt(recorded_len, 0);
	conn_end(evil_conn(), REASON_NONE);
	dp_flush(e.dp);
	hook_next(replay_auth);
	ck_assert(RUN_UNTIL(base, 5000, by_us(REASON_AUTH_PROOF) == 1 && by_peer(REASON_AUTH_PROOF) == 1));
	ck_assert_uint_eq(v.vpnd.up, 1);
	node_kill(&e);
}
END_TEST

/*
 * A good AUTH of another node's, moved to one's own connection, with that node's id in HELLO: what one gets who
 * makes a member dial him and hands its words on.
 */
START_TEST(moved_auth)
{
	static struct node good;

	node_init(&good, base, "good", &authority);
	node_start(&good);
	node_start(&v);
	evil_send = record_auth;
	evil_ops = hop_ops;
	evil_ops.send = evil_hook;
	node_target(&good, &v);
	ck_assert(RUN_UNTIL(base, 2000, TAILQ_FIRST(&good.dp->conns) != NULL));
	TAILQ_FIRST(&good.dp->conns)->session.ops = &evil_ops;
	ck_assert(RUN_UNTIL(base, 5000, v.vpnd.up == 1));
	node_start(&e);
	memcpy(e.dp->self.node_id, good.id, NODE_ID_LEN);
	node_target(&e, &v);
	ck_assert(RUN_UNTIL(base, 2000, evil_conn() != NULL));
	evil_send = replay_auth;
	evil_conn()->session.ops = &evil_ops;
	ck_assert(RUN_UNTIL(base, 5000, by_us(REASON_AUTH_PROOF) >= 1 && by_peer(REASON_AUTH_PROOF) >= 1));
	/* The good one's session does not suffer. */
	ck_assert_uint_eq(v.vpnd.up, 1);
	ck_assert_uint_eq(v.vpnd.down, 0);
	ck_assert_ptr_nonnull(node_session(&v, &good));
	node_kill(&e);
	node_free(&good);
}
END_TEST

/* Somebody in the middle takes the better version out of HELLO: both ends sign what they saw, and that differs. */
static int
downgrade(struct conn *c, uint64_t type, const uint8_t *frame, size_t len)
{
	struct frame_limits lim = { FRAME_PORT_STREAM, FRAME_CONTROL_MAX };
	uint8_t buf[SESSION_HELLO_MAX];
	struct frame f;

	if (type != FT_HELLO)
		return plain_send(c, frame, len);
	ck_assert_int_eq(frame_decode(&f, frame, len, &lim), FRAME_OK);
	ck_assert_uint_eq(f.hello.nversions, 2);
	f.hello.versions[0] = f.hello.versions[1];
	f.hello.nversions = 1;
	len = frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM);
	return plain_send(c, buf, len);
}

START_TEST(downgraded)
{
	node_start(&v);
	node_start(&e);
	for (int i = 0; i < 2; i++) {
		struct session_self *self = i == 0 ? &v.dp->self : &e.dp->self;

		self->versions[0] = 2;
		self->versions[1] = 1;
		self->nversions = 2;
	}
	node_target(&e, &v);
	ck_assert(RUN_UNTIL(base, 2000, evil_conn() != NULL));
	evil_send = downgrade;
	evil_ops = hop_ops;
	evil_ops.send = evil_hook;
	evil_conn()->session.ops = &evil_ops;
	refused_for(REASON_AUTH_PROOF);
}
END_TEST

START_TEST(no_common_version)
{
	node_start(&v);
	node_start(&e);
	e.dp->self.versions[0] = 9;
	node_target(&e, &v);
	refused_for(REASON_VERSION);
}
END_TEST

static int
oversize(struct conn *c, uint64_t type, const uint8_t *frame, size_t len)
{
	uint8_t big[SESSION_HELLO_MAX + 64] = { FT_HELLO, 0x44, 0x20 };	/* a body of 1056 bytes */

	if (type != FT_HELLO)
		return plain_send(c, frame, len);
	return plain_send(c, big, sizeof(big));
}

START_TEST(oversized_hello)
{
	attack(oversize);
	refused_for(REASON_LIMIT);
}
END_TEST

static int
swallow(struct conn *c, uint64_t type, const uint8_t *frame, size_t len)
{
	(void)c;
	(void)type;
	(void)frame;
	(void)len;
	return 0;
}

START_TEST(silence)
{
	uint64_t before = STAT(DP_SILENT_HELLO);

	e.session.auth_timeout_ms = 60000;
	attack(swallow);
	refused_for(REASON_AUTH_TIMEOUT);
	ck_assert_uint_eq(STAT(DP_SILENT_HELLO), before + 1);
}
END_TEST

static int
swallow_auth(struct conn *c, uint64_t type, const uint8_t *frame, size_t len)
{
	return type == FT_AUTH ? 0 : plain_send(c, frame, len);
}

START_TEST(silence_after_hello)
{
	uint64_t before = STAT(DP_SILENT_AUTH);

	e.session.auth_timeout_ms = 60000;
	attack(swallow_auth);
	refused_for(REASON_AUTH_TIMEOUT);
	ck_assert_uint_eq(STAT(DP_SILENT_AUTH), before + 1);
}
END_TEST

/* Not even the handshake goes on. */
START_TEST(silence_in_the_handshake)
{
	e.session.auth_timeout_ms = 60000;
	attack(NULL);
	event_del(e.dp->socks[0]->read);
	ck_assert(RUN_UNTIL(base, 2000, v.dp->nhalf_open == 1));
	ck_assert(RUN_UNTIL(base, 4000, v.dp->nconns == 0));
	ck_assert_uint_ge(by_us(REASON_AUTH_TIMEOUT), 1);
	ck_assert_uint_eq(v.vpnd.up, 0);
	node_kill(&e);
}
END_TEST

/* A byte of HELLO now and then: it is the time since the first packet that counts, not the time since the last. */
static uint8_t loris_frame[SESSION_HELLO_MAX];
static size_t loris_len, loris_sent;
static struct event *loris_timer;

static void
loris_tick(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = evil_conn();
	struct timeval tv = { 0, 50000 };

	(void)fd;
	(void)what;
	(void)arg;
	if (c == NULL || loris_sent == loris_len)
		return;
	dp_begin(e.dp);
	plain_send(c, loris_frame + loris_sent++, 1);
	dp_flush(e.dp);
	event_add(loris_timer, &tv);
}

static int
loris(struct conn *c, uint64_t type, const uint8_t *frame, size_t len)
{
	struct timeval tv = { 0, 1000 };

	(void)c;
	if (type == FT_HELLO) {
		memcpy(loris_frame, frame, len);
		loris_len = len;
		loris_sent = 0;
		event_add(loris_timer, &tv);
	}
	return 0;
}

START_TEST(slow_loris)
{
	uint64_t before = STAT(DP_SILENT_HELLO);

	loris_timer = evtimer_new(base, loris_tick, NULL);
	e.session.auth_timeout_ms = 60000;
	attack(loris);
	refused_for(REASON_AUTH_TIMEOUT);
	ck_assert_uint_eq(STAT(DP_SILENT_HELLO), before + 1);
	ck_assert_uint_gt(loris_sent, 10);
	event_free(loris_timer);
}
END_TEST

static void
up_then(int (*hook)(struct conn *, uint64_t, const uint8_t *, size_t))
{
	attack(hook);
	ck_assert(RUN_UNTIL(base, 5000, v.vpnd.up == 1 && e.vpnd.up == 1));
}

static void
down_for(unsigned reason)
{
	ck_assert_msg(RUN_UNTIL(base, 5000, by_us(reason) == 1 && by_peer(reason) == 1), "reason %s: us %lu peer %lu",
	    reason_name(reason), (unsigned long)by_us(reason), (unsigned long)by_peer(reason));
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.down == 1));
	ck_assert_uint_eq(v.vpnd.last_down_reason, reason);
	node_kill(&e);
}

START_TEST(garbage_after_handshake)
{
	static const uint8_t garbage[] = { 0x3f, 0xff, 0xff, 0x12, 0x34, 0x00, 0x99 };

	up_then(NULL);
	dp_begin(e.dp);
	plain_send(evil_conn(), garbage, sizeof(garbage));
	dp_flush(e.dp);
	down_for(REASON_PROTOCOL);
}
END_TEST

START_TEST(garbage_datagram)
{
	struct conn *c;
	struct sched_pkt *pkt;
	uint64_t before = STAT(DP_DATAGRAMS_MALFORMED);

	up_then(NULL);
	c = evil_conn();
	dp_begin(e.dp);
	c->path_unproven = true;	/* so that it goes in a DATAGRAM */
	express_choose(c);
	pkt = sched_alloc(c->sched, CLASS_BULK, 40);
	ck_assert_ptr_nonnull(pkt);
	memset(pkt->data, 0xa5, pkt->len);
	sched_enqueue(c->sched, pkt, 1, e.dp->now_ns);
	turn_add(&c->port.turn, &c->packets[CLASS_BULK]);
	conn_dirty(c);
	dp_flush(e.dp);
	down_for(REASON_PROTOCOL);
	ck_assert_uint_eq(STAT(DP_DATAGRAMS_MALFORMED), before + 1);
}
END_TEST

START_TEST(process_frame_from_the_network)
{
	static const uint8_t target_del[] = { 0x50, 0x82, 0x00 };

	up_then(NULL);
	dp_begin(e.dp);
	plain_send(evil_conn(), target_del, sizeof(target_del));
	dp_flush(e.dp);
	down_for(REASON_PROTOCOL);
}
END_TEST

START_TEST(second_hello)
{
	up_then(NULL);
	dp_begin(e.dp);
	plain_send(evil_conn(), evil_conn()->session.hello[0], evil_conn()->session.hello_len[0]);
	dp_flush(e.dp);
	down_for(REASON_PROTOCOL);
}
END_TEST

static void
open_raw(struct conn *c, uint64_t id)
{
	struct frame f = { .type = FT_OPEN_STREAM };

	f.open.stream_id = id;
	f.open.class = CLASS_BULK;
	f.open.flags = OPEN_UNRELIABLE;
	f.open.service.p = (const uint8_t *)"vpn";
	f.open.service.len = 3;
	session_send(&c->session, &f);
	c->port.ids.next = id + 2;	/* answers are for streams that it knows */
}

START_TEST(wrong_parity)
{
	up_then(NULL);
	dp_begin(e.dp);
	open_raw(evil_conn(), 1);	/* odd ids are the responder's */
	dp_flush(e.dp);
	down_for(REASON_PROTOCOL);
}
END_TEST

START_TEST(stream_id_reused)
{
	up_then(NULL);
	dp_begin(e.dp);
	open_raw(evil_conn(), 4);
	open_raw(evil_conn(), 4);
	dp_flush(e.dp);
	down_for(REASON_PROTOCOL);
}
END_TEST

/* More streams than was said: each above the limit is refused by itself, the session lives. */
START_TEST(too_many_streams)
{
	struct conn *c;

	node_start(&v);
	v.dp->self.limits.max_streams = 8;
	node_start(&e);
	node_target(&e, &v);
	ck_assert(RUN_UNTIL(base, 5000, v.vpnd.up == 1 && e.vpnd.up == 1));
	c = evil_conn();
	dp_begin(e.dp);
	for (uint64_t id = 2; id <= 2 * 12; id += 2)
		open_raw(c, id);
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 2000, v.dp->sw.counters.refused == 4));
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.opens == 8));
	ck_assert_uint_eq(v.dp->sw.nstreams, 8);
	ck_assert_ptr_nonnull(node_session(&v, &e));
	node_kill(&e);
	ck_assert(RUN_UNTIL(base, 4000, v.vpnd.down == 1));
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.resets == 8));
}
END_TEST

/* Asks for PONGs without end and never reads: what waits for it is bounded. */
START_TEST(ping_flood)
{
	struct frame f = { .type = FT_PING };
	struct session *s;

	up_then(NULL);
	dp_begin(e.dp);
	for (unsigned i = 0; i < 500; i++) {
		f.ping.id = 1000 + i;
		session_send(&evil_conn()->session, &f);
	}
	dp_flush(e.dp);
	s = &node_session(&v, &e)->session;
	ck_assert(RUN_UNTIL(base, 3000, s->pings_ignored > 400));
	ck_assert_int_eq(s->state, SESSION_UP);
	node_kill(&e);
}
END_TEST

/* A prefix that failed often is not even answered with a handshake. */
START_TEST(prefix_is_limited)
{
	uint64_t before = STAT(DP_ACCEPT_AUTH_RATE);

	v.session.auth_fail_per_min = 2;
	e.tenant = "office";
	attack(NULL);
	ck_assert(RUN_UNTIL(base, 8000, STAT(DP_ACCEPT_AUTH_RATE) > before));
	ck_assert_uint_eq(by_us(REASON_AUTH_TENANT), 2);
	ck_assert(RUN_UNTIL(base, 2000, e.routed.last_dial_reason == REASON_REFUSED));
	node_kill(&e);
}
END_TEST

/* With Retry, an address has to answer before anything is kept for it. */
START_TEST(retry_above_threshold)
{
	uint64_t before = STAT(DP_RETRY_SENT);

	v.session.retry_above = 0;
	attack(NULL);
	ck_assert(RUN_UNTIL(base, 5000, v.vpnd.up == 1));
	ck_assert_uint_gt(STAT(DP_RETRY_SENT), before);	/* a ClientHello takes two packets */
	ck_assert_uint_eq(v.dp->nconns, 1);
	node_kill(&e);
}
END_TEST

/* Lets streams be opened to it and reads nothing: what waits for it is bounded, and then no more are opened. */
START_TEST(never_reads)
{
	static const uint8_t noise[FRAME_NOISE_MAX];
	struct frame f = { .type = FT_OPEN_STREAM };
	struct conn *c;

	v.session.dead_ms = e.session.dead_ms = 4000;
	up_then(NULL);
	event_del(e.dp->socks[0]->read);
	c = node_session(&v, &e);
	f.open.class = CLASS_BULK;
	f.open.flags = OPEN_UNRELIABLE;
	f.open.service = (struct frame_bytes){ (const uint8_t *)"s", 1 };
	f.open.noise = (struct frame_bytes){ noise, sizeof(noise) };
	f.open.dest = e.id;
	for (uint64_t id = 2; id < 2 * 1500; id += 2) {
		f.open.stream_id = id;
		ck_assert_int_eq(ipc_send(v.vpnd.ipc, &f), 0);
		ipc_flush(v.vpnd.ipc);
		if (id % 50 == 0)
			RUN_UNTIL(base, 5, false);
	}
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.resets > 400));
	ck_assert_uint_eq(v.vpnd.last_reset_reason, REASON_LIMIT);
	ck_assert_uint_le(c->out.end - c->out.acked, CONTROL_QUEUE_OPENS + FRAME_CONTROL_MAX);
	ck_assert_int_eq(c->session.state, SESSION_UP);
	ck_assert(RUN_UNTIL(base, 10000, v.vpnd.down == 1));
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.resets == 1499));
	ck_assert(!v.vpnd.closed);
	node_kill(&e);
}
END_TEST

/* --- reliable streams, of a peer that is proven and means ill --- */

/*
 * Opens a QUIC stream past qstream.c and puts bytes on it, which leave with the next dp_flush(), and then the end of its
 * direction. What the victim says on it is dropped.
 */
static struct qstream *
quic_stream(struct conn *c)
{
	struct qstream *q = calloc(1, sizeof(*q));

	ck_assert_ptr_nonnull(q);
	if (ngtcp2_conn_open_bidi_stream(c->q, &q->id, q) != 0) {
		free(q);
		return NULL;
	}
	STAILQ_INIT(&q->kept);
	q->over = true;
	LIST_INSERT_HEAD(&c->qs.all, q, all);
	c->qs.n++;
	return q;
}

static void
quic_put(struct conn *c, struct qstream *q, const void *p, size_t len)
{
	struct qchunk *ch = malloc(sizeof(*ch) + len);

	ck_assert_ptr_nonnull(ch);
	memcpy(ch->data, p, len);
	ch->len = (uint32_t)len;
	STAILQ_INSERT_TAIL(&q->kept, ch, link);
	if (q->at == NULL) {
		q->at = ch;
		q->at_off = 0;
	}
	q->put += len;
	c->qs.kept += len;
	if (!q->unsent) {
		q->unsent = true;
		TAILQ_INSERT_TAIL(&c->qs.unsent, q, link);
	}
	conn_dirty(c);
}

static void
open_reliable(struct conn *c, uint64_t id)
{
	struct frame f = { .type = FT_OPEN_STREAM };

	f.open.stream_id = id;
	f.open.class = CLASS_BULK;
	f.open.service.p = (const uint8_t *)"vpn";
	f.open.service.len = 3;
	session_send(&c->session, &f);
	c->port.ids.next = id + 2;
}

static size_t
data_frame(uint8_t *buf, uint64_t id, uint64_t seq, size_t len)
{
	struct frame_data d = { .stream_id = id, .seq = seq, .payload_len = len };
	size_t hdr = frame_encode_data_header(buf, len + 64, &d);

	ck_assert_uint_gt(hdr, 0);
	memset(buf + hdr, 'x', len);
	return hdr + len;
}

static struct conn *
evil_streams_up(void)
{
	up_then(NULL);
	/* The victim's leave to open streams has come. */
	ck_assert(RUN_UNTIL(base, 2000, ngtcp2_conn_get_streams_bidi_left2(evil_conn()->q) > 10));
	dp_begin(e.dp);
	return evil_conn();
}

/* One QUIC stream with these bytes, beside an open stream 2: the session ends for `reason`. */
static void
quic_bytes_end_it(const uint8_t *p, size_t len, unsigned reason)
{
	struct conn *c = evil_streams_up();

	open_reliable(c, 2);
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.opens == 1));
	dp_begin(e.dp);
	quic_put(c, quic_stream(c), p, len);
	dp_flush(e.dp);
	down_for(reason);
}

START_TEST(quic_stream_of_garbage)
{
	quic_bytes_end_it((const uint8_t *)"\x3f\xff\xff\x12\x34", 5, REASON_PROTOCOL);
}
END_TEST

START_TEST(quic_stream_with_an_open)
{
	static const uint8_t open[] = { FT_OPEN_STREAM, 0x06, 0x04, 0x00, 0x04, 0x00, 0x01, 0x00 };

	quic_bytes_end_it(open, sizeof(open), REASON_PROTOCOL);
}
END_TEST

START_TEST(quic_stream_of_our_id)
{
	static const uint8_t ack[] = { FT_ACK, 0x03, 0x03, 0x00, 0x10 };

	quic_bytes_end_it(ack, sizeof(ack), REASON_PROTOCOL);
}
END_TEST

START_TEST(quic_stream_of_two)
{
	static const uint8_t two[] = { FT_ACK, 0x03, 0x02, 0x00, 0x10, FT_ACK, 0x03, 0x04, 0x00, 0x10 };

	quic_bytes_end_it(two, sizeof(two), REASON_PROTOCOL);
}
END_TEST

START_TEST(quic_stream_with_a_long_frame)
{
	static const uint8_t reset[] = { FT_RESET_STREAM, 0x7f, 0xff, 0x02 };

	quic_bytes_end_it(reset, sizeof(reset), REASON_LIMIT);
}
END_TEST

START_TEST(two_quic_streams_for_one)
{
	static const uint8_t ack[] = { FT_ACK, 0x03, 0x02, 0x00, 0x10 };
	struct conn *c = evil_streams_up();

	open_reliable(c, 2);
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.opens == 1));
	dp_begin(e.dp);
	quic_put(c, quic_stream(c), ack, sizeof(ack));
	quic_put(c, quic_stream(c), ack, sizeof(ack));
	dp_flush(e.dp);
	down_for(REASON_PROTOCOL);
}
END_TEST

START_TEST(quic_reset_of_a_stream)
{
	static const uint8_t credit[] = { FT_STREAM_CREDIT, 0x03, 0x02, 0x60, 0x01 };
	struct conn *c = evil_streams_up();
	struct qstream *q = quic_stream(c);

	q->over = false;
	open_reliable(c, 2);
	quic_put(c, q, credit, sizeof(credit));
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.opens == 1));
	dp_begin(e.dp);
	ngtcp2_conn_shutdown_stream(c->q, 0, q->id, 7);
	conn_dirty(c);
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.down == 1));
	ck_assert_uint_eq(v.vpnd.last_down_reason, REASON_PROTOCOL);
	node_kill(&e);
}
END_TEST

/* More than was granted, or with a gap: that stream ends, at both sides, and no other, and nothing of it stays. */
START_TEST(data_without_credit)
{
	static uint8_t buf[20000];
	struct conn *c = evil_streams_up();
	size_t len;

	for (uint64_t id = 2; id <= 6; id += 2)
		open_reliable(c, id);
	quic_put(c, quic_stream(c), buf, data_frame(buf, 2, 0, CREDIT_INITIAL + 1));
	len = data_frame(buf, 4, 0, 100);
	len += data_frame(buf + len, 4, 101, 100);
	quic_put(c, quic_stream(c), buf, len);
	quic_put(c, quic_stream(c), buf, data_frame(buf, 6, 0, CREDIT_INITIAL));
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 2000, v.vpnd.opens == 3 && v.vpnd.resets == 2));
	ck_assert_uint_eq(v.vpnd.last_reset_reason, REASON_PROTOCOL);
	ck_assert_uint_eq(v.dp->sw.credits.violations, 2);
	ck_assert_int_eq(node_session(&v, &e)->session.state, SESSION_UP);
	ck_assert(RUN_UNTIL(base, 2000, v.dp->sw.nstreams == 1));
	node_kill(&e);
	ck_assert(RUN_UNTIL(base, 4000, v.vpnd.resets == 3));
	ck_assert_uint_eq(v.dp->sw.budget.held, 0);
}
END_TEST

/* QUIC streams of fabric streams that are never opened: what is held is bounded, the node's memory and each one's. */
START_TEST(streams_that_never_open)
{
	static uint8_t buf[70000];
	struct conn *c = evil_streams_up(), *at;
	struct qstream *q;
	unsigned n = 0;

	for (uint64_t id = 2; (q = quic_stream(c)) != NULL; id += 2) {
		quic_put(c, q, buf, data_frame(buf, id, 0, n < 40 ? 65000 : 10));
		n++;
		if (n % 50 == 0) {
			dp_flush(e.dp);
			RUN_UNTIL(base, 10, false);
			dp_begin(e.dp);
		}
	}
	dp_flush(e.dp);
	ck_assert_uint_ge(n, DP_STREAMS_MAX);
	at = node_session(&v, &e);
	ck_assert(RUN_UNTIL(base, 10000, at->qs.n == n));
	ck_assert_uint_le(at->qs.held_bytes, QSTREAM_HELD_MAX);
	ck_assert_uint_le(v.dp->sw.budget.used, QSTREAM_HELD_MAX + QSTREAM_WINDOW);
	ck_assert_int_eq(at->session.state, SESSION_UP);
	/* One that is opened at last and had more than is held is refused; what came for ids before it is dropped. */
	dp_begin(e.dp);
	open_reliable(c, 2 * n);
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 5000, v.vpnd.opens == 1));
	ck_assert(RUN_UNTIL(base, 2000, at->qs.held_bytes == 0));
	node_kill(&e);
	ck_assert(RUN_UNTIL(base, 4000, v.vpnd.resets == 1));
	ck_assert_uint_eq(v.dp->sw.budget.used, 0);
}
END_TEST

/* Opens and breaks off, again and again: each leaves nothing behind. */
START_TEST(reset_storm)
{
	struct frame f = { .type = FT_RESET_STREAM };
	struct conn *c = evil_streams_up();

	for (unsigned i = 0; i < 20000; i++) {
		open_reliable(c, 2 + 2 * (uint64_t)i);
		f.reset.stream_id = 2 + 2 * (uint64_t)i;
		session_send(&c->session, &f);
		if (i % 200 == 0) {
			dp_flush(e.dp);
			RUN_UNTIL(base, 5, false);
			dp_begin(e.dp);
		}
	}
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 10000, v.dp->sw.counters.opened + v.dp->sw.counters.refused == 20000));
	ck_assert(RUN_UNTIL(base, 5000, v.dp->sw.nstreams == 0));
	ck_assert_uint_eq(v.dp->sw.budget.used, 0);
	ck_assert(!v.vpnd.closed);
	node_kill(&e);
}
END_TEST

/* Another version of QUIC is told which one there is; what is too short to be a first packet is told nothing. */
START_TEST(other_version)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct pm_addr addr = { 0 };
	uint8_t buf[1200] = { 0xc0, 0xba, 0xba, 0xba, 0xba, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9 };
	int fd = node_socket(&addr);
	ssize_t n = -1;

	node_start(&v);
	to.sin_port = htons(v.addr.port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sendto(fd, buf, 1199, 0, (struct sockaddr *)&to, sizeof(to));
	RUN_UNTIL(base, 100, false);
	ck_assert_int_eq(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
	sendto(fd, buf, 1200, 0, (struct sockaddr *)&to, sizeof(to));
	ck_assert(RUN_UNTIL(base, 2000, n > 0 || (n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0));
	/* Version 0, our connection id back, and QUIC 1 in the list. */
	ck_assert_mem_eq(buf + 1, "\0\0\0\0\10\11\11\11\11\11\11\11\11\10\1\2\3\4\5\6\7\10\0\0\0\1", 26);
	ck_assert_int_lt(n, 100);
	ck_assert_uint_eq(v.dp->nconns, 0);
	close(fd);
}
END_TEST

/* Noise on the socket costs nothing but counters. */
START_TEST(noise)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	uint64_t before = STAT(DP_UDP_DATAGRAMS_IN);
	struct pm_addr addr = { 0 };
	uint8_t buf[1400];
	int fd = node_socket(&addr);

	node_start(&v);
	to.sin_port = htons(v.addr.port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned i = 0; i < 500; i++) {
		size_t len = i == 0 ? 0 : 1 + (size_t)i * 7 % sizeof(buf);

		crypto_random(buf, sizeof(buf));
		sendto(fd, buf, len, 0, (struct sockaddr *)&to, sizeof(to));
		if (i % 50 == 0)
			event_base_loop(base, EVLOOP_NONBLOCK);
	}
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_UDP_DATAGRAMS_IN) >= before + 499));
	ck_assert_uint_eq(v.dp->nconns, 0);
	close(fd);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		expired, expired_delegation, not_yet_valid, wrong_tenant, wrong_authority, wrong_node, policy, dials_itself,
		replayed_auth, moved_auth, downgraded, no_common_version, oversized_hello, silence,
		silence_after_hello, silence_in_the_handshake, slow_loris, garbage_after_handshake, garbage_datagram,
		process_frame_from_the_network, second_hello, wrong_parity, stream_id_reused, too_many_streams,
		ping_flood, prefix_is_limited, retry_above_threshold, never_reads, quic_stream_of_garbage, quic_stream_with_an_open, quic_stream_of_our_id,
		quic_stream_of_two, quic_stream_with_a_long_frame, two_quic_streams_for_one, quic_reset_of_a_stream,
		data_without_credit, streams_that_never_open, reset_storm, other_version, noise,
	};

	crypto_init();
	return suite_run(suite_of("hostile", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown));
}
