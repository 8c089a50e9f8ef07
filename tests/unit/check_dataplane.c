/* Two whole dataplanes that meet over loopback: sessions, streams, loss of either, two that dial at once. */
#include <check.h>
#include <errno.h>
#include <netinet/udp.h>
#include <sys/syscall.h>

#include "dp_pair.h"
#include "suite.h"


static void
start_both(void)
{
	node_start(&a);
	node_start(&b);
	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 1 && b.vpnd.up == 1));
}

START_TEST(session_comes_up)
{
	struct conn *c;

	start_both();
	ck_assert_uint_eq(a.routed.up, 1);
	ck_assert_uint_eq(a.svc.up, 1);
	ck_assert_uint_eq(b.routed.up, 1);
	ck_assert_mem_eq(a.vpnd.last_up.node_id, b.id, NODE_ID_LEN);
	ck_assert_str_eq(a.vpnd.last_up.name, "b");
	ck_assert_str_eq(b.vpnd.last_up.name, "a");
	ck_assert(a.vpnd.last_up.initiator);
	ck_assert(!b.vpnd.last_up.initiator);
	ck_assert_uint_eq(a.vpnd.last_up.tier, 5);
	ck_assert_uint_ge(a.vpnd.last_up.datagram_max, 1100);
	c = node_session(&a, &b);
	ck_assert_ptr_nonnull(c);
	/* PING and PONG went. */
	ck_assert(RUN_UNTIL(base, 3000, node_session(&a, &b)->session.rtt_ns > 0 &&
	    node_session(&b, &a)->session.rtt_ns > 0));
	ck_assert_uint_eq(a.dp->nhalf_open, 0);
	ck_assert_uint_eq(b.dp->nhalf_open, 0);
}
END_TEST

START_TEST(streams_carry_both_ways)
{
	static const char text[] = "first packet", answer[] = "and back";

	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_RELIABLE);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1));
	ck_assert_str_eq(b.vpnd.last_open_service, "vpn");
	ck_assert(b.vpnd.last_open_has_source);
	ck_assert_mem_eq(b.vpnd.last_open_source, a.id, NODE_ID_LEN);
	ck_assert_uint_eq(b.vpnd.last_open_id & 1, 1);
	fake_data(&a.vpnd, 2, 7, text, sizeof(text));
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.data_frames == 1));
	ck_assert_uint_eq(b.vpnd.last_data_len, sizeof(text));
	ck_assert_mem_eq(b.vpnd.last_data, text, sizeof(text));
	ck_assert_uint_eq(b.vpnd.last_data_seq, 7);
	ck_assert_uint_eq(b.vpnd.last_data_id, b.vpnd.last_open_id);
	fake_data(&b.vpnd, b.vpnd.last_open_id, 0, answer, sizeof(answer));
	ipc_flush(b.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.data_frames == 1));
	ck_assert_mem_eq(a.vpnd.last_data, answer, sizeof(answer));
	ck_assert_uint_eq(a.vpnd.last_data_id, 2);
}
END_TEST

START_TEST(over_ipv6)
{
	a.addr.family = b.addr.family = 6;
	start_both();
	ck_assert_uint_eq(a.vpnd.last_up.addr.family, 6);
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_RELIABLE);
	fake_data(&a.vpnd, 2, 7, "six", 3);
	ipc_flush(a.vpnd.ipc);
	/* The data may have overtaken the OPEN; what comes after cannot. */
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1));
	fake_data(&a.vpnd, 2, 8, "six", 3);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.data_frames >= 1 && b.vpnd.last_data_seq == 8));
}
END_TEST

START_TEST(refusals_of_streams)
{
	start_both();
	fake_open(&a.svc, 2, b.id, "nothing-there", CLASS_BULK);
	ipc_flush(a.svc.ipc);
	ck_assert(RUN_UNTIL(base, 2000, a.svc.resets == 1));
	ck_assert_uint_eq(a.svc.last_reset_id, 2);
	ck_assert_uint_eq(a.svc.last_reset_reason, REASON_NO_SERVICE);
	fake_open(&a.svc, 4, a.authority_trusted, "echo", CLASS_BULK);
	ipc_flush(a.svc.ipc);
	ck_assert(RUN_UNTIL(base, 2000, a.svc.resets == 2));
	ck_assert_uint_eq(a.svc.last_reset_reason, REASON_UNREACHABLE);
	ck_assert_uint_eq(a.dp->sw.nstreams, 0);
	ck_assert_uint_eq(b.dp->sw.nstreams, 0);
}
END_TEST

START_TEST(close_ends_both_ends)
{
	struct frame f = { .type = FT_CLOSE_STREAM };

	start_both();
	fake_open(&a.svc, 2, b.id, "echo", CLASS_CONTROL);
	ipc_flush(a.svc.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.svc.opens == 1));
	f.close.stream_id = b.svc.last_open_id;
	ipc_send(b.svc.ipc, &f);
	ipc_flush(b.svc.ipc);
	ck_assert(RUN_UNTIL(base, 2000, a.svc.closes == 1));
	ck_assert_uint_eq(a.dp->sw.nstreams, 0);
	ck_assert_uint_eq(b.dp->sw.nstreams, 0);
}
END_TEST

/* Kill -9 of one side: its next generation answers with a stateless reset, and the dialler is back at once. */
START_TEST(killed_and_back)
{
	uint64_t resets = STAT(DP_RESETS_RECEIVED), began;

	a.session.dead_ms = b.session.dead_ms = 30000;
	a.session.keepalive_ms = b.session.keepalive_ms = 200;
	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1));
	node_kill(&b);
	node_start(&b);
	began = clock_ns();
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2 && b.vpnd.up == 1));
	ck_assert_uint_lt(clock_ns() - began, 3 * NS_PER_SEC);
	ck_assert_uint_gt(STAT(DP_RESETS_RECEIVED), resets);
	ck_assert_uint_eq(a.vpnd.down, 1);
	ck_assert_uint_eq(a.vpnd.last_down_reason, REASON_PEER_GONE);
	ck_assert_uint_eq(a.vpnd.resets, 1);
	ck_assert_uint_eq(a.vpnd.last_reset_reason, REASON_PEER_GONE);
	ck_assert_uint_eq(a.dp->sw.nstreams, 0);
	ck_assert_uint_eq(a.dp->nup, 1);
}
END_TEST

/* The dialling side dies: its next generation has another boot id and replaces what the peer still holds. */
START_TEST(dialler_killed_and_back)
{
	a.session.dead_ms = b.session.dead_ms = 30000;
	a.session.keepalive_ms = b.session.keepalive_ms = 20000;
	start_both();
	node_kill(&a);
	node_start(&a);
	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 1 && b.vpnd.up == 2));
	ck_assert_uint_eq(b.vpnd.down, 1);
	ck_assert_uint_eq(b.dp->nup, 1);
	ck_assert(RUN_UNTIL(base, 2000, b.dp->nconns == 1));
}
END_TEST

START_TEST(both_dial_at_once)
{
	for (int round = 0; round < 10; round++) {
		struct conn *ca, *cb;

		node_start(&a);
		node_start(&b);
		node_target(&a, &b);
		node_target(&b, &a);
		ck_assert(RUN_UNTIL(base, 5000, a.dp->nup == 1 && b.dp->nup == 1 &&
		    a.dp->nconns == 1 && b.dp->nconns == 1 && a.routed.up == a.routed.down + 1 &&
		    b.routed.up == b.routed.down + 1));
		ca = node_session(&a, &b);
		cb = node_session(&b, &a);
		ck_assert_int_ne(ca->session.initiator, cb->session.initiator);
		/* And it stays one: no side dials again. */
		RUN_UNTIL(base, 300, false);
		ck_assert_ptr_eq(node_session(&a, &b), ca);
		ck_assert_ptr_eq(node_session(&b, &a), cb);
		node_free(&a);
		node_free(&b);
	}
}
END_TEST

/* The other side dials as well while a session is young: of the two, that of the lower id stays, whichever came first. */
START_TEST(lower_id_wins)
{
	unsigned first = 0, second = 0;

	while (first == 0 || second == 0) {
		bool a_lower, kept;

		node_init(&a, base, "a", &authority);
		node_init(&b, base, "b", &authority);
		start_both();
		a_lower = memcmp(a.id, b.id, NODE_ID_LEN) < 0;
		dp_begin(b.dp);
		ck_assert_ptr_nonnull(quic_dial(b.dp, peer_get(b.dp, a.id), &a.addr, b.dp->socks[0]));
		dp_flush(b.dp);
		ck_assert(RUN_UNTIL(base, 3000, a.dp->nconns == 1 && b.dp->nconns == 1 && a.dp->nup == 1 &&
		    b.dp->nup == 1));
		kept = node_session(&a, &b)->session.initiator;
		ck_assert_int_eq(kept, a_lower);
		ck_assert_int_eq(node_session(&b, &a)->session.initiator, !a_lower);
		*(kept ? &first : &second) += 1;
		node_free(&a);
		node_free(&b);
	}
}
END_TEST

START_TEST(silent_peer_is_dead)
{
	a.session.dead_ms = 800;
	a.session.keepalive_ms = 200;
	start_both();
	event_del(b.dp->socks[0]->read);	/* it hears nothing any more, and so says nothing */
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.down == 1));
	ck_assert_uint_eq(a.vpnd.last_down_reason, REASON_TIMEOUT);
	event_add(b.dp->socks[0]->read, NULL);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2));
}
END_TEST

START_TEST(worker_gone_resets_streams)
{
	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1));
	fake_port_free(&b.vpnd);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.resets == 1));
	ck_assert_uint_eq(a.vpnd.last_reset_reason, REASON_PEER_GONE);
	/* The service is gone with it, until the next generation binds it. */
	fake_open(&a.vpnd, 4, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.resets == 2));
	ck_assert_uint_eq(a.vpnd.last_reset_reason, REASON_NO_SERVICE);
	fake_port_attach(&b, &b.vpnd, WORKER_VPND);
	fake_bind(&b.vpnd, "vpn");
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.up == 1));	/* told again who is there */
	fake_open(&a.vpnd, 6, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1));
	ck_assert_uint_eq(a.vpnd.down, 0);
}
END_TEST

START_TEST(drain_says_goodbye)
{
	start_both();
	dp_drain(b.dp, 1000);
	ck_assert(RUN_UNTIL(base, 2000, b.drained && a.vpnd.down == 1));
	ck_assert_uint_eq(a.vpnd.last_down_reason, REASON_SHUTDOWN);
	ck_assert_uint_eq(b.dp->nconns, 0);
}
END_TEST

START_TEST(statistics_reach_routed)
{
	start_both();
	ck_assert(RUN_UNTIL(base, 3000, a.routed.last_stat.rtt_us > 0));
	ck_assert_uint_gt(a.routed.last_stat.sent, 0);
	ck_assert_uint_gt(a.routed.last_stat.bytes_in, 0);
	ck_assert_uint_ge(a.routed.last_stat.datagram_max, 1100);
	/* Loopback takes the largest probe there is. */
	ck_assert(RUN_UNTIL(base, 3000, a.routed.last_stat.datagram_max == 1440));
}
END_TEST

START_TEST(requests_are_answered)
{
	struct pm_request r = { .id = 7 };

	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1));
	strcpy(r.command, "sessions");
	dp_request(a.dp, &r);
	ck_assert_uint_eq(a.rows, 1);
	strcpy(r.command, "streams");
	dp_request(a.dp, &r);
	ck_assert_uint_eq(a.rows, 2);
	strcpy(r.command, "no such");
	dp_request(a.dp, &r);
	ck_assert_uint_eq(a.dones, 3);
}
END_TEST

/* One datagram that came for b, taken before it sees it. */
static size_t
intercept(uint8_t *pkt, size_t size)
{
	uint32_t seq = 77;
	static const uint8_t payload[1300] = { 1 };
	ssize_t n = -1;

	event_del(b.dp->socks[0]->read);
	fake_data(&a.vpnd, 2, seq, payload, sizeof(payload));
	ipc_flush(a.vpnd.ipc);
	for (unsigned i = 0; i < 100 && (n < 1 || !express_is(pkt[0])); i++) {
		RUN_UNTIL(base, 10, false);
		n = recv(b.dp->socks[0]->fd, pkt, size, MSG_DONTWAIT);
	}
	event_add(b.dp->socks[0]->read, NULL);
	ck_assert_int_gt(n, 1300);
	return (size_t)n;
}

static void
strange(int fd, const uint8_t *pkt, size_t len)
{
	struct sockaddr_storage to;
	socklen_t to_len;

	ck_assert_int_eq(udp_addr_to_sockaddr(&b.addr, &to, &to_len), 0);
	ck_assert_int_eq(sendto(fd, pkt, len, 0, (struct sockaddr *)&to, to_len), (ssize_t)len);
}

/* DATA goes in express packets, and while the path is not proven in DATAGRAMs. */
START_TEST(express_and_datagrams)
{
	static const uint8_t payload[1300] = { 1 };
	uint64_t in = STAT(DP_EXPRESS_IN), told = STAT(DP_EXPRESS_FEEDBACK_IN);
	struct conn *c;

	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1 && node_session(&a, &b)->datagram_max > 1400));
	for (uint32_t i = 0; i < 10; i++)
		fake_data(&a.vpnd, 2, i, payload, sizeof(payload));
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.data_frames == 10));
	ck_assert_uint_eq(STAT(DP_EXPRESS_IN), in + 10);
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_EXPRESS_FEEDBACK_IN) > told));
	c = node_session(&a, &b);
	c->path_unproven = true;
	express_choose(c);
	for (uint32_t i = 10; i < 20; i++)
		fake_data(&a.vpnd, 2, i, payload, sizeof(payload));
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.data_frames == 20));
	ck_assert_uint_eq(STAT(DP_EXPRESS_IN), in + 10);
	c->path_unproven = false;
	fake_data(&a.vpnd, 2, 20, payload, sizeof(payload));
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.data_frames == 21));
}
END_TEST

/* From another address, twice, changed, cut short, for nobody: each is counted, only the first is taken, none moves the path. */
START_TEST(express_from_a_stranger)
{
	static uint8_t pkt[2048], bad[2048];
	uint64_t replayed = STAT(DP_EXPRESS_REPLAYED), tampered = STAT(DP_EXPRESS_TAMPERED), cut = STAT(DP_EXPRESS_SHORT),
	    unknown = STAT(DP_EXPRESS_UNKNOWN);
	struct pm_addr from = { .family = 4 }, before, after;
	uint64_t frames;
	size_t len;
	int fd;

	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1 && node_session(&a, &b)->datagram_max > 1400));
	conn_remote(node_session(&b, &a), &before);
	fd = node_socket(&from);
	len = intercept(pkt, sizeof(pkt));
	frames = b.vpnd.data_frames;
	memcpy(bad, pkt, len);
	bad[EXPRESS_HEADER_LEN + 3] ^= 1;
	strange(fd, bad, len);
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_EXPRESS_TAMPERED) == tampered + 1));
	memcpy(bad, pkt, len);
	bad[0] ^= 2;		/* another kind */
	strange(fd, bad, len);
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_EXPRESS_TAMPERED) == tampered + 2));
	strange(fd, pkt, len - 1);
	strange(fd, pkt, EXPRESS_OVERHEAD - 1);
	strange(fd, pkt, 1);
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_EXPRESS_SHORT) == cut + 3));
	memcpy(bad, pkt, len);
	bad[4] ^= 1;
	strange(fd, bad, len);
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_EXPRESS_UNKNOWN) == unknown + 1));
	ck_assert_uint_eq(b.vpnd.data_frames, frames);
	strange(fd, pkt, len);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.data_frames == frames + 1));
	strange(fd, pkt, len);
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_EXPRESS_REPLAYED) == replayed + 1));
	ck_assert_uint_eq(b.vpnd.data_frames, frames + 1);
	conn_remote(node_session(&b, &a), &after);
	ck_assert_uint_eq(after.port, before.port);
	ck_assert_uint_eq(b.vpnd.down, 0);
	close(fd);
}
END_TEST

/* What is sealed end to end is not the hop's to prove: a packet whose payload became longer or shorter is just lost. */
START_TEST(express_bare_of_another_length)
{
	static const uint8_t noise[17] = { 1 };
	static uint8_t pkt[2048];
	struct frame open = { .type = FT_OPEN_STREAM, .open = { .stream_id = 2, .class = CLASS_BULK,
	    .flags = OPEN_UNRELIABLE, .service = { (const uint8_t *)"vpn", 3 }, .noise = { noise, sizeof(noise) },
	    .dest = b.id } };
	uint64_t tampered = STAT(DP_EXPRESS_TAMPERED), malformed = STAT(DP_EXPRESS_MALFORMED);
	struct pm_addr from = { .family = 4 };
	size_t len;
	int fd;

	start_both();
	ck_assert_int_eq(ipc_send(a.vpnd.ipc, &open), 0);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1 && node_session(&a, &b)->datagram_max > 1400));
	fd = node_socket(&from);
	len = intercept(pkt, sizeof(pkt));
	ck_assert_uint_eq(pkt[0] & 0xfe, 0x22);
	strange(fd, pkt, len + 1);
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_EXPRESS_TAMPERED) == tampered + 1));
	len = intercept(pkt, sizeof(pkt));
	strange(fd, pkt, len - 1);
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_EXPRESS_TAMPERED) == tampered + 2));
	len = intercept(pkt, sizeof(pkt));
	strange(fd, pkt, len);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.data_frames == 1));
	RUN_UNTIL(base, 100, false);
	ck_assert_uint_eq(STAT(DP_EXPRESS_MALFORMED), malformed);
	ck_assert_uint_eq(a.vpnd.down + b.vpnd.down, 0);
	close(fd);
}
END_TEST

/* One that opens and holds garbage ends the session. */
START_TEST(express_with_garbage)
{
	uint64_t before = STAT(DP_EXPRESS_MALFORMED);
	struct sched_pkt *pkt;
	struct conn *c;

	start_both();
	c = node_session(&a, &b);
	dp_begin(a.dp);
	express_choose(c);
	ck_assert(c->express_on);
	pkt = sched_alloc(c->sched, CLASS_BULK, 40);
	ck_assert_ptr_nonnull(pkt);
	memset(pkt->data, 0xa5, pkt->len);
	sched_enqueue(c->sched, pkt, 1, a.dp->now_ns);
	conn_touch(c);
	dp_flush(a.dp);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.down == 1));
	ck_assert_uint_eq(b.vpnd.last_down_reason, REASON_PROTOCOL);
	ck_assert_uint_eq(STAT(DP_EXPRESS_MALFORMED), before + 1);
}
END_TEST

/* A worker that does not read loses packets, which are counted, and nothing else: no memory, no session. */
START_TEST(slow_worker)
{
	uint64_t before = STAT(DP_DROP_PORT_BULK);
	static uint8_t payload[1300];
	uint32_t seq = 0;

	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1 && node_session(&a, &b)->datagram_max > 1400));
	ipc_pause(b.vpnd.ipc);
	for (unsigned i = 0; i < 200 && STAT(DP_DROP_PORT_BULK) == before; i++) {
		for (unsigned j = 0; j < 100; j++)
			fake_data(&a.vpnd, 2, seq++, payload, sizeof(payload));
		ipc_flush(a.vpnd.ipc);
		RUN_UNTIL(base, 20, false);
	}
	ck_assert_uint_gt(STAT(DP_DROP_PORT_BULK), before);
	ipc_resume(b.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.data_frames > 100));
	ck_assert_uint_eq(b.vpnd.down, 0);
	ck_assert(!b.vpnd.closed);
}
END_TEST

/* With `gso no` every datagram is one message, in and out. */
/* A worker that leaves its control frames unread loses its channel; the supervisor hears, and a new one serves. */
START_TEST(overrun_is_told)
{
	struct conn *c;

	start_both();
	c = node_session(&a, &b);
	ipc_pause(a.svc.ipc);
	for (unsigned i = 0; i < 100000 && a.ports_lost == 0; i++) {
		wport_peer_up(a.dp, WORKER_SVCHOSTD, c);
		dp_flush(a.dp);
	}
	ck_assert_uint_eq(a.ports_lost, 1);
	ck_assert_int_eq(a.last_port_lost, WORKER_SVCHOSTD);
	fake_port_attach(&a, &a.svc, WORKER_SVCHOSTD);
	fake_bind(&a.svc, "echo");
	ck_assert(RUN_UNTIL(base, 3000, a.svc.up == 1));
	fake_open(&b.svc, 2, a.id, "echo", CLASS_INTERACTIVE);
	ipc_flush(b.svc.ipc);
	ck_assert(RUN_UNTIL(base, 3000, a.svc.opens == 1));
	ck_assert_uint_eq(a.ports_lost, 1);
}
END_TEST

START_TEST(without_segmentation)
{
	uint64_t writes, datagrams;
	static uint8_t payload[1200];

	a.session.gso = b.session.gso = false;
	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1 && node_session(&a, &b)->datagram_max > 1400));
	writes = STAT(DP_UDP_WRITES);
	datagrams = STAT(DP_UDP_DATAGRAMS_OUT);
	for (uint32_t i = 0; i < 200; i++)
		fake_data(&a.vpnd, 2, i, payload, sizeof(payload));
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.data_frames == 200));
	ck_assert_uint_eq(STAT(DP_UDP_WRITES) - writes, STAT(DP_UDP_DATAGRAMS_OUT) - datagrams);
	ck_assert(!a.dp->socks[0]->gso && !a.dp->socks[0]->gro);
}
END_TEST

/* In the place of libc's: a device without checksums refuses segments only when they are sent, with EIO. */
static bool refuse_segments;
static unsigned refused_segments;

ssize_t
sendmsg(int fd, const struct msghdr *mh, int flags)
{
	const struct cmsghdr *c = refuse_segments ? CMSG_FIRSTHDR(mh) : NULL;

	for (; c != NULL; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)mh, (struct cmsghdr *)(uintptr_t)c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT) {
			refused_segments++;
			errno = EIO;
			return -1;
		}
	return syscall(SYS_sendmsg, fd, mh, flags);
}

START_TEST(segments_refused_by_the_device)
{
	static uint8_t payload[1100];
	uint64_t off = STAT(DP_UDP_GSO_OFF);

	start_both();
	ck_assert(a.dp->socks[0]->gso);
	refuse_segments = true;
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_RELIABLE);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_int_eq(fake_data(&a.vpnd, 2, i, payload, sizeof(payload)), 0);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 5000, b.vpnd.data_frames == 40));	/* the batch that was refused goes one by one */
	ck_assert_uint_eq(refused_segments, 1);
	ck_assert(!a.dp->socks[0]->gso);
	ck_assert_uint_eq(STAT(DP_UDP_GSO_OFF), off + 1);
}
END_TEST

/* Frames in DATAGRAMs of a's connection, whatever express packets could do, until b has `frames` of them in all. */
static bool
carry(struct conn *c, unsigned n, unsigned frames)
{
	static const uint8_t payload[1200];

	c->path_unproven = true;
	express_choose(c);
	for (unsigned i = 0; i < n; i++)
		fake_data(&a.vpnd, 2, frames - n + i, payload, sizeof(payload));
	ipc_flush(a.vpnd.ipc);
	return RUN_UNTIL(base, 5000, b.vpnd.data_frames == frames);
}

/* After so many packets the keys are others, for both ends, and again, and nothing is lost by it. */
START_TEST(keys_are_updated)
{
	struct conn *c;
	uint64_t updates;

	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_RELIABLE);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1));
	c = node_session(&a, &b);
	for (unsigned round = 1, frames = 0; round <= 3; round++) {
		ngtcp2_conn_info info;

		updates = STAT(DP_KEY_UPDATES);
		ngtcp2_conn_get_conn_info2(c->q, &info);
		c->key_packets = info.pkt_sent - CONN_KEY_PACKETS + 5;	/* unsigned: as if the last were so long ago */
		/* It may begin when the one before it is acknowledged, and a while after. */
		for (unsigned i = 0; i < 100 && STAT(DP_KEY_UPDATES) == updates; i++) {
			ck_assert(carry(c, 10, frames += 10));
			RUN_UNTIL(base, 20, false);
		}
		ck_assert(carry(c, 40, frames += 40));
		ck_assert_uint_eq(STAT(DP_KEY_UPDATES), updates + 1);
		fake_data(&b.vpnd, b.vpnd.last_open_id, round, "back", 4);
		ipc_flush(b.vpnd.ipc);
		ck_assert(RUN_UNTIL(base, 5000, a.vpnd.data_frames == round));
	}
	RUN_UNTIL(base, 500, false);
	b.vpnd.data_frames = 0;
	updates = STAT(DP_KEY_UPDATES);
	ck_assert(carry(c, 20, 20));
	ck_assert_uint_eq(STAT(DP_KEY_UPDATES), updates);	/* not before as many packets have gone again */
	ck_assert_ptr_eq(node_session(&a, &b), c);
	ck_assert_uint_eq(a.vpnd.down, 0);
}
END_TEST

/* A peer that is not there is dialled after a pause that doubles, and not in step with anybody. */
START_TEST(dialled_again_later_and_later)
{
	uint64_t want = 200 * NS_PER_MS;
	bool apart = false;
	struct peer *p;

	a.session.auth_timeout_ms = 100;
	node_start(&b);		/* which gives it its address */
	node_kill(&b);
	node_start(&a);
	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 2000, (p = peer_find(a.dp, b.id)) != NULL));
	for (unsigned i = 0; i < 4; i++, want *= 2) {
		uint64_t from = clock_ns(), ns;
		struct timeval at, now;

		ck_assert(RUN_UNTIL(base, 10000, p->backoff_ns == want));
		ck_assert_uint_eq(p->ndials, 0);
		ck_assert_int_ne(evtimer_pending(p->timer, &at), 0);
		gettimeofday(&now, NULL);
		ns = (uint64_t)((at.tv_sec - now.tv_sec) * 1000000 + at.tv_usec - now.tv_usec) * NS_PER_US;
		ck_assert_uint_le(ns, want + want / 4);
		ck_assert_uint_ge(ns + (clock_ns() - from), want - want / 4);
		apart |= ns > want + want / 100 || ns + want / 100 < want;
	}
	ck_assert(apart);
	a.dp->self.auth_timeout_ns = 10 * NS_PER_SEC;	/* now somebody answers, on a machine that may be busy */
	node_start(&b);
	ck_assert(RUN_UNTIL(base, 10000, a.vpnd.up == 1));
}
END_TEST

/* A peer that stops answering is sent so much and no more, whatever window congestion control has found. */
START_TEST(bound_of_what_is_under_way)
{
	static const uint8_t payload[1200];
	enum { FEW = 24000, SLACK = 3000 };
	ngtcp2_conn_info info;
	struct conn *c;

	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_RELIABLE);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1 && node_session(&a, &b)->datagram_max > 1400));
	c = node_session(&a, &b);
	for (unsigned n = 100; n <= 2000; n += 100)
		ck_assert(carry(c, 100, n));
	ngtcp2_conn_get_conn_info2(c->q, &info);
	ck_assert_uint_gt(info.cwnd, FEW + 2 * SLACK);
	a.dp->inflight_max = FEW;
	ck_assert(carry(c, 10, 2010));
	event_del(b.dp->socks[0]->read);
	for (unsigned i = 0; i < 60; i++)
		fake_data(&a.vpnd, 2, 2010 + i, payload, sizeof(payload));
	ipc_flush(a.vpnd.ipc);
	RUN_UNTIL(base, 30, false);
	ngtcp2_conn_get_conn_info2(c->q, &info);
	ck_assert_uint_ge(info.bytes_in_flight, FEW - SLACK);
	ck_assert_uint_le(info.bytes_in_flight, FEW + SLACK);
	event_add(b.dp->socks[0]->read, NULL);
	ck_assert(RUN_UNTIL(base, 5000, b.vpnd.data_frames == 2070));
}
END_TEST

/* With it, many leave in one call; and small frames share a DATAGRAM. */
START_TEST(batches_and_packs)
{
	uint64_t writes, datagrams;
	static uint8_t payload[1200];

	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1 && node_session(&a, &b)->datagram_max > 1400));
	writes = STAT(DP_UDP_WRITES);
	datagrams = STAT(DP_UDP_DATAGRAMS_OUT);
	for (uint32_t i = 0; i < 200; i++)
		fake_data(&a.vpnd, 2, i, payload, sizeof(payload));
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.data_frames == 200));
	ck_assert_uint_ge(STAT(DP_UDP_DATAGRAMS_OUT) - datagrams, 200);
	ck_assert_uint_lt(STAT(DP_UDP_WRITES) - writes, 100);
	datagrams = STAT(DP_UDP_DATAGRAMS_OUT);
	for (uint32_t i = 0; i < 200; i++)
		fake_data(&a.vpnd, 2, 200 + i, payload, 60);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.data_frames == 400));
	ck_assert_uint_lt(STAT(DP_UDP_DATAGRAMS_OUT) - datagrams, 60);
}
END_TEST

/* The same sockets again, other limits: sessions live on. */
START_TEST(reload_keeps_sessions)
{
	start_both();
	a.session.keepalive_ms = 300;
	node_configure(&a, false);
	RUN_UNTIL(base, 700, false);
	ck_assert_uint_eq(a.vpnd.down, 0);
	ck_assert_uint_eq(a.dp->self.keepalive_ns, 300 * NS_PER_MS);
	/* Now only configured peers may be there, and b is not. */
	a.session.peers_only = true;
	node_configure(&a, false);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.down == 1 && b.vpnd.down == 1));
	ck_assert_uint_eq(b.vpnd.last_down_reason, REASON_AUTH_POLICY);
}
END_TEST

/* How many of 300 packets that a session's scheduler gives out are bulk, while droppable ones wait as well. */
static unsigned
bulk_of_300(struct conn *c)
{
	unsigned bulk = 0;
	struct sched_pkt *pkt;

	for (unsigned i = 0; i < 800; i++) {
		pkt = sched_alloc(c->sched, i % 2 ? CLASS_BULK : CLASS_DROPPABLE, 1000);
		ck_assert_ptr_nonnull(pkt);
		pkt->len = 1000;
		sched_enqueue(c->sched, pkt, 1, a.dp->now_ns);
	}
	for (unsigned i = 0; (pkt = sched_dequeue(c->sched, a.dp->now_ns)) != NULL; i++) {
		bulk += i < 300 && pkt->class == CLASS_BULK;
		sched_pkt_free(&a.dp->pool, pkt);
	}
	return bulk;
}

/* Other weights of the classes hold at the ports that there are, and at those that come. */
START_TEST(reload_changes_weights)
{
	struct conn *c;

	start_both();
	c = node_session(&a, &b);
	ck_assert_uint_eq(c->port.turn.weight[CLASS_BULK], 2);
	ck_assert_uint_ge(bulk_of_300(c), 190);		/* two of three */
	a.session.weight[CLASS_BULK] = 1;
	a.session.weight[CLASS_DROPPABLE] = 9;
	node_configure(&a, false);
	ck_assert_uint_eq(c->port.turn.weight[CLASS_BULK], 1);
	ck_assert_uint_eq(c->port.turn.weight[CLASS_DROPPABLE], 9);
	ck_assert_uint_eq(c->port.turn.weight[CLASS_DNS], 4);
	ck_assert_uint_eq(a.dp->workers[WORKER_VPND].port.turn.weight[CLASS_DROPPABLE], 9);
	ck_assert_uint_le(bulk_of_300(c), 40);		/* one of ten */
	conn_end(c, REASON_TIMEOUT);
	dp_flush(a.dp);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2 && b.vpnd.up == 2));
	c = node_session(&a, &b);
	ck_assert_uint_eq(c->port.turn.weight[CLASS_BULK], 1);
	ck_assert_uint_le(bulk_of_300(c), 40);
}
END_TEST

/* A reload brings the sockets anew: sessions go on over the one of their address, and end where there is none. */
START_TEST(reload_brings_sockets)
{
	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1));
	node_configure(&a, true);
	node_configure(&b, true);
	for (uint32_t seq = 0; seq < 5; seq++) {
		fake_data(&a.vpnd, 2, seq, "x", 1);
		fake_data(&b.vpnd, b.vpnd.last_open_id, seq, "y", 1);
	}
	ipc_flush(a.vpnd.ipc);
	ipc_flush(b.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.data_frames == 5 && b.vpnd.data_frames == 5));
	ck_assert_uint_eq(a.vpnd.down + b.vpnd.down, 0);
	a.addr.port = 0;
	node_configure(&a, true);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.down == 1));
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2));
}
END_TEST

/* Answers to its first socket do not come, as from a network that it is not in: the next one is tried beside it. */
START_TEST(dials_by_each_socket)
{
	struct pm_addr addr = { .family = 4 };
	struct udp_sock *us;

	node_start(&a);
	node_start(&b);
	event_del(a.dp->socks[0]->read);
	us = udp_new(a.dp, node_socket(&addr), &addr, true);
	ck_assert_ptr_nonnull(us);
	a.dp->socks[a.dp->nsocks++] = us;
	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.up == 1 && b.vpnd.up == 1));
	ck_assert_ptr_eq(node_session(&a, &b)->sock, us);
	ck_assert(RUN_UNTIL(base, 2000, a.dp->nconns == 1));
	/* It is the first of the next round. */
	conn_end(node_session(&a, &b), REASON_TIMEOUT);
	dp_flush(a.dp);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2));
	ck_assert_ptr_eq(node_session(&a, &b)->sock, us);
	ck_assert_uint_eq(a.dp->nconns, 1);
}
END_TEST

/* The records end soon: the session is dialled anew before, with no gap, and one whose records cannot be renewed ends. */
START_TEST(renewed_before_the_records_end)
{
	a.delegation_after = clock_wall() + 100;
	start_both();
	a.delegation_after = clock_wall() + 5000;
	node_delegate(&a);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2 && b.vpnd.up == 2));
	ck_assert_uint_eq(a.vpnd.down + b.vpnd.down, 0);	/* to the adapters it was up all the time */
	ck_assert_uint_eq(a.routed.last_down_reason, REASON_DUPLICATE);
	ck_assert_uint_eq(a.dp->nup, 1);
	ck_assert(RUN_UNTIL(base, 2000, a.dp->nconns == 1 && b.dp->nconns == 1));
	RUN_UNTIL(base, 2500, false);
	ck_assert_uint_eq(a.vpnd.up, 2);	/* once is enough */
}
END_TEST

START_TEST(ends_with_the_records)
{
	a.delegation_after = clock_wall() + 3;
	start_both();
	ck_assert(RUN_UNTIL(base, 6000, b.vpnd.down > 0 && b.vpnd.last_down_reason == REASON_AUTH_EXPIRED));
}
END_TEST

/* After a change of addresses a session that hears nothing is not waited for. */
START_TEST(probed_after_a_change_of_addresses)
{
	struct procmsg m = { .type = PM_NET_CHANGED };

	a.session.dead_ms = 60000;
	start_both();
	dp_message(a.dp, &m);
	RUN_UNTIL(base, 3500, false);
	ck_assert_uint_eq(a.vpnd.down, 0);
	event_del(b.dp->socks[0]->read);
	dp_message(a.dp, &m);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.down == 1));
	event_add(b.dp->socks[0]->read, NULL);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2));
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		session_comes_up, streams_carry_both_ways, over_ipv6, refusals_of_streams, close_ends_both_ends,
		killed_and_back, dialler_killed_and_back, both_dial_at_once, lower_id_wins, silent_peer_is_dead,
		worker_gone_resets_streams, drain_says_goodbye, statistics_reach_routed, requests_are_answered,
		keys_are_updated, dialled_again_later_and_later, bound_of_what_is_under_way,
		express_and_datagrams, express_from_a_stranger, express_bare_of_another_length,
		express_with_garbage,
		slow_worker, overrun_is_told, without_segmentation, segments_refused_by_the_device, batches_and_packs,
		reload_keeps_sessions, reload_changes_weights, reload_brings_sockets, dials_by_each_socket,
		renewed_before_the_records_end, ends_with_the_records,
		probed_after_a_change_of_addresses,
	};

	crypto_init();
	return suite_run(suite_of("dataplane", tests, sizeof(tests) / sizeof(tests[0]), pair_make, pair_free));
}
