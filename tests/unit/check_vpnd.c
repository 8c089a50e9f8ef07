/* vpnd between a TUN and a dataplane; vpnd_stage.h plays both. */
#include "proc/shmring.h"
#include "suite.h"
#include "vpnd_stage.h"

static const struct spec tcp4 = { .version = 4, .proto = 6, .payload = 1000, .tcp_flags = TF_ACK };
static const struct spec ping4 = { .version = 4, .proto = 1, .payload = 56 };

START_TEST(out_single)
{
	struct spec s = tcp4;

	write_packet(&s);
	ck_assert_uint_eq(nframes, 2);
	ck_assert_uint_eq(frames[0].type, FT_OPEN_STREAM);
	ck_assert_uint_eq(frames[0].class, CLASS_RELIABLE);
	ck_assert_uint_eq(frames[0].dest0, 2);
	ck_assert_uint_eq(frames[0].id % 2, 0);
	ck_assert_uint_eq(frames[1].type, FT_DATA_U);
	ck_assert_uint_eq(frames[1].id, frames[0].id);
	ck_assert_uint_eq(frames[1].seq, 0);
	ck_assert_uint_eq(frames[1].payload[0], 0);
	ck_assert_mem_eq(frames[1].payload + 1, buf, 1040);
	write_packet(&s);
	ck_assert_uint_eq(nframes, 3);	/* the same stream */
	ck_assert_uint_eq(frames[2].seq, 1);
	s.tos = 0xb8;
	write_packet(&s);
	ck_assert_uint_eq(frames[3].type, FT_OPEN_STREAM);
	ck_assert_uint_eq(frames[3].class, CLASS_INTERACTIVE);
	ck_assert_uint_eq(COUNTED(VPND_OUT_PACKETS), 3);
	ck_assert_uint_eq(COUNTED(VPND_OUT_BYTES), 3 * 1040);
}
END_TEST

START_TEST(out_super)
{
	struct spec s = { .version = 4, .proto = 6, .payload = 60000, .tcp_flags = TF_ACK | TF_PSH };
	size_t len = build(buf, &s, true), sum = 0;
	struct vnet_hdr h = { .flags = VNET_F_NEEDS_CSUM, .gso_type = VNET_GSO_TCPV4, .gso_size = 1340, .csum_start = 20,
	    .csum_offset = 16 };

	write_super(buf, len, h);
	ck_assert_uint_eq(nframes, 1 + 45);
	for (unsigned i = 1; i < nframes; i++) {
		ck_assert_uint_eq(frames[i].payload[0], UNIT_CSUM_PARTIAL);
		ck_assert(ref_ip_ok(frames[i].payload + 1, frames[i].len - 1));
		ck_assert(ref_partial_ok(frames[i].payload + 1, frames[i].len - 1));
		ck_assert_uint_eq(frames[i].seq, i - 1);
		sum += frames[i].len - 41;
	}
	ck_assert_uint_eq(sum, 60000);
	ck_assert_uint_eq(COUNTED(VPND_OUT_PACKETS), 45);
	/* A path with smaller datagrams: TCP is cut smaller, and no fragment is needed. */
	forget_frames();
	peer_stat(2, 1228, false);
	write_super(buf, len, h);
	for (unsigned i = 0; i < nframes; i++) {
		ck_assert_uint_eq(frames[i].type, FT_DATA_U);
		ck_assert_uint_le(frames[i].len + FRAME_DATA_OVERHEAD + SEAL_TAG_LEN, 1228);
	}
	ck_assert_uint_eq(COUNTED(VPND_OUT_FRAGMENTS), 0);
}
END_TEST

/* A checksum that stands elsewhere than in the packet's own transport header is completed here. */
START_TEST(out_inner_checksum)
{
	struct spec s = { .version = 4, .proto = 17, .payload = 200 };
	size_t len = build(buf, &s, false);
	struct vnet_hdr h = { .flags = VNET_F_NEEDS_CSUM, .csum_start = 100, .csum_offset = 16 };

	write_super(buf, len, h);
	ck_assert_uint_eq(nframes, 2);
	ck_assert_uint_eq(frames[1].payload[0], 0);
	/* The field was part of the sum, as with a pseudo-header's in it. */
	ck_assert_uint_eq(ref_get16(frames[1].payload + 1 + 116), ~ref_sum(0, buf + 100, len - 100) & 0xffff);
	ck_assert_uint_eq(COUNTED(VPND_OUT_CSUM), 1);
	h.csum_start = 4000;
	write_super(buf, len, h);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_MALFORMED), 1);
	h = (struct vnet_hdr){ .flags = VNET_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 6 };
	forget_frames();
	write_super(buf, len, h);
	ck_assert_uint_eq(frames[0].payload[0], UNIT_CSUM_PARTIAL);
}
END_TEST

static const struct {
	const char *what;
	uint8_t src3, dst2, dst3;	/* 10.77.0.src3 -> 10.77.dst2.dst3 */
	unsigned stat;
	int type, code;
} refusals[] = {
	{ "a source that is not ours", 9, 0, 2, STAT_VPND_OUT_DROP_SOURCE, -1, 0 },
	{ "a peer's address as source", 2, 0, 3, STAT_VPND_OUT_DROP_SOURCE, -1, 0 },
	{ "no such peer", 1, 9, 9, STAT_VPND_OUT_DROP_NO_ROUTE, 3, 0 },
	{ "ourselves", 1, 0, 1, STAT_VPND_OUT_DROP_NO_ROUTE, 3, 0 },
};

START_TEST(out_refused)
{
	struct spec s = tcp4;
	size_t len;

	s.host = refusals[_i].src3;
	len = build(buf, &s, false);
	buf[18] = refusals[_i].dst2;
	buf[19] = refusals[_i].dst3;
	write_super(buf, len, (struct vnet_hdr){ 0 });
	ck_assert_uint_eq(nframes, 0);
	ck_assert_msg(counted(refusals[_i].stat) == 1, "%s", refusals[_i].what);
	if (refusals[_i].type == -1)
		ck_assert(tun_is_silent());
	else
		expect_icmp((unsigned)refusals[_i].type, (unsigned)refusals[_i].code, 0);
}
END_TEST

START_TEST(out_not_unicast)
{
	size_t len = build(buf, &ping4, false);

	buf[16] = 224;
	write_super(buf, len, (struct vnet_hdr){ 0 });
	buf[16] = 255;
	write_super(buf, len, (struct vnet_hdr){ 0 });
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_NOT_UNICAST), 2);
	write_super(buf, 19, (struct vnet_hdr){ 0 });
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_MALFORMED), 1);
	ck_assert_uint_eq(nframes, 0);
	ck_assert(tun_is_silent());
}
END_TEST

START_TEST(out_peer_down)
{
	write_packet(&tcp4);
	peer_down(2);
	forget_frames();
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 1);	/* a way is asked for, once a second */
	ck_assert_uint_eq(frames[0].type, PM_WANT);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_PEER_DOWN), 1);
	expect_icmp(3, 1, 0);
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 1);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_PEER_DOWN), 2);
	ck_assert_uint_eq(COUNTED(VPND_WANTS), 1);
	forget_frames();
	peer_up(2);
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 2);	/* a new stream */
	ck_assert_uint_eq(frames[0].type, FT_OPEN_STREAM);
}
END_TEST

START_TEST(out_icmp_is_limited)
{
	peer_down(2);
	for (unsigned i = 0; i < 200; i++)
		write_packet(&tcp4);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_PEER_DOWN), 200);
	ck_assert_uint_ge(COUNTED(VPND_ICMP_HOST), 50);
	ck_assert_uint_ge(COUNTED(VPND_ICMP_LIMITED), 100);
}
END_TEST

/* Three ways for a packet of 1400 bytes when 1220 bytes fit a datagram; see vpnd(8). */
START_TEST(out_too_big)
{
	struct spec s = { .version = _i, .proto = 17, .payload = 1400 };
	size_t len = build(buf, &s, false), hdr = ref_l4(buf) + 8;
	uint8_t whole[2000];
	uint32_t max = 1329;	/* 1300 of them for a packet */

	if (_i == 6) {
		node_overlay_addr6(buf + 8, acme.authority.public, node_id(1));
		node_overlay_addr6(buf + 24, acme.authority.public, node_id(2));
		ref_make_full(buf, len);
	}
	peer_stat(2, max, false);
	write_super(buf, len, (struct vnet_hdr){ 0 });
	ck_assert_uint_eq(nframes, 3);
	ck_assert_uint_eq(frames[1].type, FT_DATA_UF);
	ck_assert_uint_eq(frames[2].type, FT_DATA_UFL);
	ck_assert_uint_eq(frames[1].seq, frames[2].seq);
	ck_assert_uint_eq(frames[1].len, 1280);
	ck_assert_uint_eq(frames[2].off, 1280);
	ck_assert_uint_eq(frames[1].len + frames[2].len, len + UNIT_OVERHEAD);
	memcpy(whole, frames[1].payload, 1280);
	memcpy(whole + 1280, frames[2].payload, frames[2].len);
	ck_assert_uint_eq(open_unit(frames[1].id, frames[1].seq, whole, len + UNIT_OVERHEAD), len + 1);
	ck_assert_uint_eq(whole[0], 0);
	ck_assert_mem_eq(whole + 1, buf, len);
	forget_frames();
	peer_stat(2, max, true);
	write_super(buf, len, (struct vnet_hdr){ 0 });
	ck_assert_uint_eq(nframes, 0);
	expect_icmp(_i == 4 ? 3 : 2, _i == 4 ? 4 : 0, 1300);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_TOO_BIG), 1);
	ck_assert_uint_eq(COUNTED(VPND_ICMP_TOO_BIG), 1);
	/* Just what was promised does fit. */
	s.payload = 1300 - hdr;
	if (_i == 4)
		write_packet(&s);
	ck_assert_uint_eq(nframes, _i == 4 ? 1 : 0);
	/* Less than IPv6's least: fragments, settled or not. */
	forget_frames();
	s.payload = 1400;
	peer_stat(2, 1280 + 28, true);
	write_super(buf, build(buf, &s, false), (struct vnet_hdr){ 0 });
	ck_assert_uint_eq(nframes, _i == 4 ? 2 : 0);
}
END_TEST

/* IPv4 that may be fragmented travels in fragments of ours. */
START_TEST(out_big_without_df)
{
	struct spec s = { .version = 4, .proto = 17, .payload = 1390, .no_df = true };

	peer_stat(2, DATAGRAM_MAX, true);
	write_packet(&s);
	ck_assert_uint_eq(nframes, 3);
	ck_assert_uint_eq(COUNTED(VPND_OUT_FRAGMENTED), 1);
	ck_assert(tun_is_silent());
	/* No room for any piece: dropped, not looped over. */
	peer_stat(2, 100, true);
	write_packet(&s);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_TOO_BIG), 1);
}
END_TEST

START_TEST(out_reset)
{
	uint64_t id;

	write_packet(&tcp4);
	id = frames[0].id;
	ck_assert_uint_eq(frames[0].before, 0);
	dp_end(FT_RESET_STREAM, id);
	forget_frames();
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 0);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_STREAM), 1);
	usleep(60000);
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 2);
	ck_assert_uint_eq(frames[0].type, FT_OPEN_STREAM);
	ck_assert_uint_eq(frames[0].before, id);
	dp_end(FT_RESET_STREAM, frames[0].id);
	dp_end(FT_RESET_STREAM, frames[0].id);	/* both sides at once: no error */
	ck_assert_ptr_nonnull(v->port);
}
END_TEST

START_TEST(out_idle)
{
	write_packet(&tcp4);
	v->now_ns += FLOW_IDLE_NS;
	vpn_flows_expire(v);
	turn();
	ck_assert_uint_eq(nframes, 3);
	ck_assert_uint_eq(frames[2].type, FT_CLOSE_STREAM);
	ck_assert_uint_eq(frames[2].id, frames[0].id);
	ck_assert_uint_eq(frames[2].reason, REASON_IDLE);
	write_packet(&tcp4);
	ck_assert_uint_eq(frames[3].type, FT_OPEN_STREAM);
	ck_assert_uint_gt(frames[3].id, frames[0].id);
}
END_TEST

/* A dataplane that does not read: nothing blocks, the urgent goes on longer, all is counted. */
START_TEST(out_full)
{
	struct spec s = { .version = 4, .proto = 6, .payload = 60000, .tcp_flags = TF_ACK };
	struct vnet_hdr h = { .flags = VNET_F_NEEDS_CSUM, .gso_type = VNET_GSO_TCPV4, .gso_size = 1340, .csum_start = 20,
	    .csum_offset = 16 };
	struct ip_packet ip;
	uint64_t sent, urgent;
	size_t len = build(buf, &s, true);

	ipc_pause(dp);
	for (unsigned i = 0; i < 100; i++)
		vpn_out_packet(v, &h, buf, len);
	sent = COUNTED(VPND_OUT_PACKETS);
	ck_assert_uint_gt(COUNTED(VPND_OUT_DROP_QUEUE_RELIABLE), 1000);
	ck_assert_uint_eq(sent + COUNTED(VPND_OUT_DROP_QUEUE_RELIABLE), 4500);
	s = ping4;
	len = build(buf, &s, false);
	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	for (unsigned i = 0; i < 50; i++)
		vpn_out_packet(v, &(struct vnet_hdr){ 0 }, buf, len);
	urgent = COUNTED(VPND_OUT_CLASS_INTERACTIVE);
	ck_assert_uint_eq(urgent, 50);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_QUEUE_INTERACTIVE), 0);
	ck_assert_uint_lt(ipc_backlog(v->port), SHMRING_SIZE);
	ipc_flush(v->port);
	ipc_resume(dp);
	turn();
	ck_assert_uint_eq(nframes, sent + 50 + 2);
	ck_assert_uint_eq(ipc_backlog(v->port), 0);
}
END_TEST

/* A TUN that is gone does not make vpnd spin; one that is back is read again. */
START_TEST(out_tun_gone)
{
	close(kernel);
	turn();
	ck_assert_uint_eq(COUNTED(VPND_OUT_TUN_ERRORS), 1);
	ck_assert(!event_pending(v->tun_event, EV_READ, NULL));
	event_active(v->tick, EV_TIMEOUT, 0);
	turn();
	ck_assert_uint_eq(COUNTED(VPND_OUT_TUN_ERRORS), 2);
	kernel = -1;
}
END_TEST

START_TEST(in_one)
{
	static uint8_t p[65536];
	struct vnet_hdr h;
	size_t len;

	dp_open(1, 2, "vpn");
	for (unsigned partial = 0; partial < 2; partial++) {
		len = from_peer(buf, tcp4, 2, partial);
		dp_unit(1, partial ? UNIT_CSUM_PARTIAL : 0, buf, len);
		ck_assert_uint_eq(read_tun(&h, p), len);
		ck_assert_mem_eq(p, buf, len);
		ck_assert_uint_eq(h.flags, partial ? VNET_F_NEEDS_CSUM : 0);
		ck_assert_uint_eq(h.csum_start, partial ? 20 : 0);
	}
	len = from_peer(buf, (struct spec){ .version = 6, .proto = 58, .payload = 8 }, 2, false);
	dp_unit(1, 0, buf, len);
	ck_assert_uint_eq(read_tun(&h, p), len);
	ck_assert_uint_eq(COUNTED(VPND_IN_PACKETS), 3);
	ck_assert_uint_eq(COUNTED(VPND_IN_WRITES), 3);
}
END_TEST

START_TEST(in_coalesced)
{
	static uint8_t p[65536];
	struct vnet_hdr h;
	struct spec s = tcp4;

	dp_open(1, 2, "vpn");
	for (unsigned i = 0; i < 40; i++, s.seq += 1000, s.id++)
		queue_unit(1, UNIT_CSUM_PARTIAL, buf, from_peer(buf, s, 2, true));
	ipc_flush(dp);
	turn();
	ck_assert_uint_eq(read_tun(&h, p), 40040);
	ck_assert_uint_eq(h.gso_type, VNET_GSO_TCPV4);
	ck_assert_uint_eq(h.gso_size, 1000);
	ck_assert(ref_partial_ok(p, 40040));
	ck_assert(tun_is_silent());
	ck_assert_uint_eq(COUNTED(VPND_IN_PACKETS), 40);
	ck_assert_uint_eq(COUNTED(VPND_IN_WRITES), 1);
	ck_assert_uint_eq(COUNTED(VPND_IN_MISSING), 0);
}
END_TEST

/* A network behind this node: its packets go out, packets for it come in. */
START_TEST(network_behind)
{
	static uint8_t p[65536];
	struct vnet_hdr h;
	size_t len = build(buf, &ping4, false);

	memcpy(buf + 12, (uint8_t[]){ 192, 168, 5, 7 }, 4);
	ref_ip4_checksum(buf);
	write_super(buf, len, (struct vnet_hdr){ 0 });
	ck_assert_uint_eq(nframes, 2);
	dp_open(1, 2, "vpn");
	len = from_peer(buf, ping4, 2, false);
	memcpy(buf + 16, (uint8_t[]){ 192, 168, 5, 9 }, 4);
	ref_ip4_checksum(buf);
	dp_unit(1, 0, buf, len);
	ck_assert_uint_eq(read_tun(&h, p), len);
	/* But no peer may say that it is from there. */
	memcpy(buf + 12, (uint8_t[]){ 192, 168, 5, 7 }, 4);
	dp_unit(1, 0, buf, len);
	ck_assert_uint_eq(COUNTED(VPND_IN_DROP_SOURCE), 1);
}
END_TEST

static const struct {
	const char *what;
	uint8_t from;		/* whose stream */
	uint8_t src[4], dst[4];
	unsigned stat;
} spoofs[] = {
	{ "another peer's address", 2, { 10, 77, 0, 3 }, { 10, 77, 0, 1 }, STAT_VPND_IN_DROP_SOURCE },
	{ "our own address", 2, { 10, 77, 0, 1 }, { 10, 77, 0, 1 }, STAT_VPND_IN_DROP_SOURCE },
	{ "nobody's address", 2, { 10, 99, 0, 3 }, { 10, 77, 0, 1 }, STAT_VPND_IN_DROP_SOURCE },
	{ "loopback", 2, { 127, 0, 0, 1 }, { 10, 77, 0, 1 }, STAT_VPND_IN_DROP_SOURCE },
	{ "to somebody else", 2, { 10, 77, 0, 2 }, { 10, 77, 0, 3 }, STAT_VPND_IN_DROP_DESTINATION },
	{ "to nobody", 2, { 10, 77, 0, 2 }, { 8, 8, 8, 8 }, STAT_VPND_IN_DROP_DESTINATION },
	{ "to a group", 2, { 10, 77, 0, 2 }, { 224, 0, 0, 1 }, STAT_VPND_IN_DROP_DESTINATION },
	{ "within its prefix", 2, { 10, 77, 2, 200 }, { 10, 77, 0, 1 }, STAT_VPND_IN_PACKETS },
};

START_TEST(in_spoofed)
{
	size_t len = build(buf, &ping4, false);

	dp_open(1, spoofs[_i].from, "vpn");
	memcpy(buf + 12, spoofs[_i].src, 4);
	memcpy(buf + 16, spoofs[_i].dst, 4);
	ref_ip4_checksum(buf);
	dp_unit(1, 0, buf, len);
	ck_assert_msg(counted(spoofs[_i].stat) == 1, "%s", spoofs[_i].what);
	ck_assert_uint_eq(tun_is_silent(), spoofs[_i].stat != STAT_VPND_IN_PACKETS);
}
END_TEST

/* A peer that has the rest of the world still cannot send from addresses that are nobody's. */
START_TEST(in_bogus)
{
	static const uint8_t world[] = { 4, 0, 0, 0, 0, 0 };
	size_t len = from_peer(buf, ping4, 3, false);

	peer_up_with(3, world, sizeof(world));
	dp_open(1, 3, "vpn");
	memcpy(buf + 12, (uint8_t[]){ 8, 8, 8, 8 }, 4);
	dp_unit(1, 0, buf, len);
	ck_assert_uint_eq(COUNTED(VPND_IN_PACKETS), 1);
	memcpy(buf + 12, (uint8_t[]){ 127, 0, 0, 1 }, 4);
	dp_unit(1, 0, buf, len);
	memcpy(buf + 12, (uint8_t[]){ 224, 0, 0, 1 }, 4);
	dp_unit(1, 0, buf, len);
	memcpy(buf + 12, (uint8_t[]){ 10, 77, 0, 2 }, 4);	/* 2's, by a longer prefix */
	dp_unit(1, 0, buf, len);
	ck_assert_uint_eq(COUNTED(VPND_IN_DROP_SOURCE), 3);
}
END_TEST

START_TEST(in_malformed)
{
	size_t len = from_peer(buf, tcp4, 2, true);

	dp_open(1, 2, "vpn");
	dp_unit(1, 0, buf, 0);
	dp_unit(1, 0, buf, 19);
	dp_unit(1, 0, buf, len - 1);
	dp_unit(1, 0x02, buf, len);	/* a flag that nobody knows */
	dp_unit(1, 0x7f, buf, len);
	len = from_peer(buf, ping4, 2, false);
	dp_unit(1, UNIT_CSUM_PARTIAL, buf, len);	/* of what? */
	len = from_peer(buf, tcp4, 2, true);
	ref_put16(buf + 6, 0x2000);
	ref_ip4_checksum(buf);
	dp_unit(1, UNIT_CSUM_PARTIAL, buf, len);	/* of a fragment */
	ck_assert_uint_eq(COUNTED(VPND_IN_DROP_MALFORMED), 7);
	ck_assert(tun_is_silent());
	queue_raw(3, 0, buf, len);
	ipc_flush(dp);
	turn();
	ck_assert_uint_eq(COUNTED(VPND_IN_DROP_NO_STREAM), 1);
}
END_TEST

START_TEST(in_fragments)
{
	static uint8_t packet[3000], unit[3000], p[65536];
	struct vnet_hdr h;
	struct spec s = tcp4;
	uint64_t number;
	size_t len, all;
	struct frame f = { .type = FT_DATA_UFL, .data = { .stream_id = wire_id(1), .frag_offset = 1024,
	    .flags = DATA_UNRELIABLE | DATA_FRAGMENT | DATA_LAST, .payload = unit + 1024 } };

	s.payload = 2000;
	len = from_peer(packet, s, 2, true);
	dp_open(1, 2, "vpn");
	all = seal_unit(unit, 1, UNIT_CSUM_PARTIAL, packet, len, &number);
	f.data.seq = number;
	f.data.payload_len = all - 1024;
	ck_assert_int_eq(ipc_send(dp, &f), 0);
	f = (struct frame){ .type = FT_DATA_UF, .data = { .stream_id = wire_id(1), .seq = number, .payload = unit,
	    .payload_len = 1024, .flags = DATA_UNRELIABLE | DATA_FRAGMENT } };
	ck_assert_int_eq(ipc_send(dp, &f), 0);
	ck_assert_int_eq(ipc_send(dp, &f), 0);	/* too late: begins another that never ends */
	ipc_flush(dp);
	turn();
	ck_assert_uint_eq(read_tun(&h, p), len);
	ck_assert_mem_eq(p, packet, len);
	ck_assert_uint_eq(COUNTED(VPND_IN_FRAGMENTED), 1);
	ck_assert_uint_eq(COUNTED(VPND_IN_FRAGMENTS), 3);
	peer_down(2);
	ck_assert_uint_eq(COUNTED(VPND_IN_DROP_FRAGMENT), 1);
}
END_TEST

START_TEST(in_streams)
{
	dp_open(1, 2, "echo");
	ck_assert_uint_eq(frames[0].type, FT_RESET_STREAM);
	ck_assert_uint_eq(frames[0].reason, REASON_NO_SERVICE);
	dp_open(3, 4, "vpn");
	ck_assert_uint_eq(frames[1].reason, REASON_PEER_GONE);
	forget_frames();
	for (uint64_t i = 0; i < VPN_STREAMS_PEER_MAX; i++)
		dp_open(5 + 2 * i, 2, "vpn");
	ck_assert_uint_eq(nframes, 0);
	dp_open(5 + 2 * VPN_STREAMS_PEER_MAX, 2, "vpn");
	ck_assert_uint_eq(frames[0].reason, REASON_LIMIT);
	dp_end(FT_CLOSE_STREAM, 5);
	dp_open(7 + 2 * VPN_STREAMS_PEER_MAX, 2, "vpn");
	ck_assert_uint_eq(nframes, 1);
	ck_assert_uint_eq(v->streams.count, VPN_STREAMS_PEER_MAX);
	peer_down(2);
	ck_assert_uint_eq(v->streams.count, 0);
}
END_TEST

/* What no dataplane of ours would send ends the channel. */
START_TEST(in_protocol)
{
	struct frame f = { .type = FT_PING };

	switch (_i) {
	case 0:
		ipc_send(dp, &f);
		break;
	case 1:
		dp_open(2, 2, "vpn");	/* an id of ours */
		break;
	case 2:
		dp_open(3, 2, "vpn");
		dp_open(3, 2, "vpn");
		break;
	case 3:
		f = (struct frame){ .type = FT_RESET_STREAM, .reset = { .stream_id = 77 } };
		ipc_send(dp, &f);
		break;
	}
	if (dp != NULL)
		ipc_flush(dp);
	turn();
	ck_assert_ptr_null(v->port);
	ck_assert_ptr_null(dp);
	write_packet(&tcp4);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_NO_DATAPLANE), 1);
	connect_dataplane();
	peer_up(2);
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 2);
}
END_TEST

/* Who claims what: the configuration, then the overlay's own addresses, then proof, the first to prove it. */
START_TEST(prefix_conflicts)
{
	static const uint8_t of2[] = { 4, 32, 10, 77, 0, 2 }, free_net[] = { 4, 16, 10, 50, 0, 0 };
	struct ip_packet ip = { .version = 4 };
	uint8_t addr[4] = { 10, 77, 0, 2 }, other[4] = { 10, 50, 1, 1 };
	uint32_t i2, i3, i4;

	vpn_peer_find(v, v->conf->peers[0].node_id, &i2);
	vpn_peer_find(v, v->conf->peers[1].node_id, &i3);
	peer_up_with(3, of2, sizeof(of2));	/* configured as 2's */
	ck_assert_uint_eq(vpn_route(v, &ip, addr), i2);
	ck_assert_uint_eq(stats->counter[STAT_VPND_PREFIX_CONFLICTS], 1);
	peer_up_with(3, free_net, sizeof(free_net));
	ck_assert_uint_eq(stats->counter[STAT_VPND_PREFIX_CONFLICTS], 0);
	ck_assert_uint_eq(vpn_route(v, &ip, other), i3);
	peer_up_with(4, free_net, sizeof(free_net));	/* not configured at all: any member may come */
	ck_assert_uint_eq(vpn_route(v, &ip, other), i3);
	i4 = v->npeers - 1;
	peer_down(3);
	ck_assert_uint_eq(vpn_route(v, &ip, other), i4);
	peer_up_with(3, free_net, sizeof(free_net));
	ck_assert_uint_eq(vpn_route(v, &ip, other), i4);
	peer_down(4);
	ck_assert_uint_eq(vpn_route(v, &ip, other), i3);
	ck_assert_ptr_null(v->peers[i4]);
	/* What is given out in two tenants is the own one's, up or not: nobody of another comes in its place. */
	peer_down(3);
	peer_tenant = "office";
	peer_up_with(4, free_net, sizeof(free_net));
	ck_assert_uint_eq(vpn_route(v, &ip, other), i3);
	peer_tenant = WORLD_TENANT;
}
END_TEST

static bool
held(const struct procmsg *m)
{
	static const char word[] = "conflict";

	return m->type == PM_ROW && memmem(m->row.row.p, m->row.row.len, word, strlen(word)) != NULL;
}

static int
on_answer(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct procmsg m;
	unsigned *n = arg;

	ck_assert_int_eq(procmsg_decode(&m, f), 0);
	ck_assert(!held(&m));
	n[m.type == PM_DONE]++;
	return 0;
}

static int
on_row(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	static const char *const fields[] = { "packets_in", "bytes_in", "lost_in", "late_in", "loss_permille" };
	struct procmsg m;
	struct row_field field;
	uint64_t *got = arg;

	ck_assert_int_eq(procmsg_decode(&m, f), 0);
	for (size_t off = 0; m.type == PM_ROW && row_next(&m.row.row, &off, &field) == 1;)
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (strcmp(field.name, fields[i]) == 0)
				got[i] = field.num;
	return 0;
}

/* What was lost on a stream, and what only came late, is known of each. */
START_TEST(losses_of_a_stream)
{
	static const struct ipc_ops ops = { .frame = on_row, .closed = on_dp_closed };
	static uint8_t unit[2][2000];
	struct pm_request r = { .id = 7, .command = "packets" };
	uint64_t got[5] = { 0 }, number[2];
	struct ipc *supervisor;
	size_t len, n[2];
	int fds[2];

	dp_open(1, 2, "vpn");
	len = from_peer(buf, ping4, 2, false);
	for (unsigned i = 0; i < 10; i++) {
		if (i == 3 || i == 6)	/* neither comes; the first is only late */
			n[i / 6] = seal_unit(unit[i / 6], 1, 0, buf, len, &number[i / 6]);
		else
			dp_unit(1, 0, buf, len);
	}
	queue_raw(1, number[0], unit[0], n[0]);
	ipc_flush(dp);
	turn();
	ck_assert_int_eq(ipc_pair(fds), 0);
	w.ctl = ipc_new(w.base, fds[0], &ops, got);
	supervisor = ipc_new(w.base, fds[1], &ops, got);
	vpnd_ops.request(&w, &r);
	turn();
	ck_assert_uint_eq(got[0], 9);
	ck_assert_uint_eq(got[1], 9 * len);
	ck_assert_uint_eq(got[2], 1);
	ck_assert_uint_eq(got[3], 1);
	ck_assert_uint_eq(got[4], 100);
	ipc_free(w.ctl);
	ipc_free(supervisor);
}
END_TEST

/* The membership gives this node its own address once more: that is no second claim. */
START_TEST(own_prefix)
{
	static const struct ipc_ops ops = { .frame = on_answer, .closed = on_dp_closed };
	struct procmsg m = { .type = PM_CONF_VPN, .conf_vpn = v->conf->vpn };
	struct pm_request r = { .id = 7, .command = "vpn" };
	unsigned n[2] = { 0, 0 };	/* rows, ends */
	struct ipc *supervisor;
	int fds[2];

	begin_conf();
	conf_item(peer_item(2), -1);
	conf_item(prefix_item(1, (struct record_prefix){ 4, 32, { 10, 77, 0, 1 } }), -1);
	conf_item(prefix_item(1, behind), -1);
	conf_item(m, -1);
	ck_assert_int_eq(vpnd_ops.conf_check(&w), 0);
	vpnd_ops.conf_commit(&w);
	ck_assert_uint_eq(stats->counter[STAT_VPND_PREFIX_CONFLICTS], 0);
	ck_assert_int_eq(ipc_pair(fds), 0);
	w.ctl = ipc_new(w.base, fds[0], &ops, n);
	supervisor = ipc_new(w.base, fds[1], &ops, n);
	vpnd_ops.request(&w, &r);
	turn();
	ck_assert_uint_eq(n[0], 5);	/* own v4 and v6, what is behind; the overlay of 2 and of 3, which is still up */
	ck_assert_uint_eq(n[1], 1);
	ipc_free(w.ctl);
	ipc_free(supervisor);
}
END_TEST

START_TEST(configuration)
{
	struct procmsg m;

	begin_conf();
	ck_assert_int_eq(vpnd_ops.conf_check(&w), 0);
	vpnd_ops.conf_abort(&w);
	vpnd_ops.conf_begin(&w);
	ck_assert_int_eq(vpnd_ops.conf_check(&w), -1);	/* no node */
	begin_conf();
	conf_item(prefix_item(2, host2), -1);
	ck_assert_int_eq(vpnd_ops.conf_check(&w), -1);	/* no such peer */
	begin_conf();
	conf_item(peer_item(2), -1);
	conf_item(peer_item(3), -1);
	conf_item(prefix_item(2, net4), -1);
	conf_item(prefix_item(2, net4), -1);
	conf_item(prefix_item(1, host2), -1);
	ck_assert_int_eq(vpnd_ops.conf_check(&w), 0);
	conf_item(prefix_item(3, net4), -1);
	ck_assert_int_eq(vpnd_ops.conf_check(&w), -1);	/* two owners */
	begin_conf();
	m = (struct procmsg){ .type = PM_CONF_VPN, .conf_vpn = { .mtu = 1279, .addr6 = { .family = 6 } } };
	conf_item(m, -1);
	ck_assert_int_eq(vpnd_ops.conf_check(&w), -1);
	m.conf_vpn.mtu = 1280;
	conf_item(m, -1);
	ck_assert_int_eq(vpnd_ops.conf_check(&w), 0);
	m = (struct procmsg){ .type = PM_CONF_SERVICE };
	ck_assert_int_eq(vpnd_ops.conf_item(&w, &m, -1), -1);
	vpnd_ops.conf_abort(&w);
	/* What runs was not touched. */
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 2);
}
END_TEST

/* A reload that drops a peer which is up keeps its session, but not what the configuration gave it. */
START_TEST(reload)
{
	struct procmsg m = { .type = PM_CONF_VPN, .conf_vpn = v->conf->vpn };
	int tun[2];

	write_packet(&tcp4);
	forget_frames();
	begin_conf();
	conf_item(peer_item(3), -1);
	conf_item(prefix_item(3, net4), -1);
	conf_item(prefix_item(3, host2), -1);
	conf_item(m, -1);
	make_tun(tun);
	close(kernel);
	kernel = tun[1];
	m = (struct procmsg){ .type = PM_CONF_TUN, .conf_tun = { true, true } };
	conf_item(m, tun[0]);
	ck_assert_int_eq(vpnd_ops.conf_check(&w), 0);
	vpnd_ops.conf_commit(&w);
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 2);
	ck_assert_uint_eq(frames[0].dest0, 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("vpnd");
	TCase *tc = tcase_create("vpnd");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, out_single);
	tcase_add_test(tc, out_super);
	tcase_add_test(tc, out_inner_checksum);
	tcase_add_loop_test(tc, out_refused, 0, sizeof refusals / sizeof refusals[0]);
	tcase_add_test(tc, out_not_unicast);
	tcase_add_test(tc, out_peer_down);
	tcase_add_test(tc, out_icmp_is_limited);
	tcase_add_loop_test(tc, out_too_big, 4, 5);
	tcase_add_loop_test(tc, out_too_big, 6, 7);
	tcase_add_test(tc, out_big_without_df);
	tcase_add_test(tc, out_reset);
	tcase_add_test(tc, out_idle);
	tcase_add_test(tc, out_full);
	tcase_add_test(tc, out_tun_gone);
	tcase_add_test(tc, in_one);
	tcase_add_test(tc, in_coalesced);
	tcase_add_test(tc, network_behind);
	tcase_add_loop_test(tc, in_spoofed, 0, sizeof spoofs / sizeof spoofs[0]);
	tcase_add_test(tc, in_bogus);
	tcase_add_test(tc, in_malformed);
	tcase_add_test(tc, in_fragments);
	tcase_add_test(tc, in_streams);
	tcase_add_loop_test(tc, in_protocol, 0, 4);
	tcase_add_test(tc, prefix_conflicts);
	tcase_add_test(tc, own_prefix);
	tcase_add_test(tc, losses_of_a_stream);
	tcase_add_test(tc, configuration);
	tcase_add_test(tc, reload);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
