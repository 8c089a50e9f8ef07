/* The keys of vpnd: that nothing crosses unsealed, in either direction, and that keys are lost and found. */
#include "suite.h"
#include "vpnd_stage.h"

static const struct spec tcp4 = { .version = 4, .proto = 6, .payload = 1000, .tcp_flags = TF_ACK };
static const struct spec ping4 = { .version = 4, .proto = 1, .payload = 56 };

/* The peer's service names a key that vpnd has none with yet. */
static void
forget_keys(uint8_t n)
{
	vpn_keys_clear(&v->peers[n - 2]->keys);
	with[n].have_in = false;
}

/* --- keys --------------------------------------------------------------------- */

/* What crosses the channel has nothing of the packet in it, at any offset. */
START_TEST(seal_hides)
{
	struct spec s = { .version = 4, .proto = 6, .payload = 60000, .tcp_flags = TF_ACK };
	struct vnet_hdr h = { .flags = VNET_F_NEEDS_CSUM, .gso_type = VNET_GSO_TCPV4, .gso_size = 1340, .csum_start = 20,
	    .csum_offset = 16 };
	size_t len;

	raw = true;
	len = build(buf, &s, true);
	for (size_t i = 40; i < len; i++)
		buf[i] = (uint8_t)"a known text, 16"[(i - 40) % 16];
	write_super(buf, len, h);
	write_packet(&tcp4);
	peer_stat(2, 800, false);
	s.payload = 1200;
	s.proto = 17;
	write_super(buf, build(buf, &s, false), (struct vnet_hdr){ 0 });	/* in fragments */
	ck_assert_uint_gt(nframes, 48);
	for (unsigned i = 0; i < nframes; i++) {
		if (!frame_type_is_data(frames[i].type))
			continue;
		for (size_t at = 0; at < 16; at++) {
			uint8_t text[8];

			for (size_t k = 0; k < sizeof(text); k++)
				text[k] = (uint8_t)"a known text, 16"[(at + k) % 16];
			ck_assert_ptr_null(memmem(frames[i].payload, frames[i].len, text, sizeof(text)));
		}
		ck_assert_ptr_null(memmem(frames[i].payload, frames[i].len, "\x0a\x4d\x00\x01\x0a\x4d", 6));
		ck_assert_uint_eq(frames[i].off == 0 ? frames[i].payload[0] & ~(UNIT_CSUM_PARTIAL | UNIT_PHASE) : 0, 0);
	}
}
END_TEST

START_TEST(no_key_no_packet)
{
	silent = true;
	forget_keys(2);
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 0);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_NO_KEY), 1);
	ck_assert_uint_eq(COUNTED(VPND_OUT_PACKETS), 0);
	expect_icmp(3, 1, 0);
	/* With the record there is a handshake, and with its answer there are packets. */
	silent = false;
	shakes = 0;
	service(2);
	ck_assert_uint_eq(shakes, 1);
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 2);
	ck_assert_uint_eq(not_opened, 0);
}
END_TEST

/* Message 2 does not come: begun anew within half a second, and again. */
START_TEST(message_2_lost)
{
	uint64_t start = clock_ns();

	silent = true;
	forget_keys(2);
	shakes = 0;
	service(2);
	ck_assert_uint_eq(shakes, 1);
	while (shakes == 1 && clock_ns() - start < 2 * NS_PER_SEC)
		event_base_loop(w.base, EVLOOP_ONCE);
	ck_assert_uint_eq(shakes, 2);
	ck_assert_uint_lt(clock_ns() - start, 900 * NS_PER_MS);
	ck_assert_uint_eq(COUNTED(VPND_SHAKES_TIMEOUT), 1);
	silent = false;
	while (!v->peers[0]->keys.have && clock_ns() - start < 5 * NS_PER_SEC)
		event_base_loop(w.base, EVLOOP_ONCE);
	forget_frames();
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 2);
	ck_assert_uint_eq(v->streams.count, 1);	/* nothing is left of the attempts */
}
END_TEST

/* A peer that lost its keys says so once for each stream; one handshake answers all. */
START_TEST(keys_lost)
{
	struct frame f = { .type = FT_RESET_STREAM, .reset.reason = REASON_NO_KEY };
	struct spec s = tcp4;

	write_packet(&s);
	s.tos = 0xb8;
	write_packet(&s);
	ck_assert_uint_eq(nframes, 4);
	shakes = 0;
	v->peers[0]->keys.out_ns -= KEYS_STABLE_NS;	/* they were good for a while */
	for (unsigned i = 0; i < 4; i += 2) {
		f.reset.stream_id = frames[i].id;
		ck_assert_int_eq(ipc_send(dp, &f), 0);
	}
	ipc_flush(dp);
	turn();
	ck_assert_uint_eq(shakes, 1);
	ck_assert_uint_eq(COUNTED(VPND_KEYS_LOST), 1);
	forget_frames();
	write_packet(&s);
	ck_assert_uint_eq(nframes, 2);
	ck_assert_uint_eq(not_opened, 0);
}
END_TEST

/* The peer's vpnd is another: its new record is enough. */
START_TEST(new_service_key)
{
	struct procmsg gone = { .type = PM_SERVICE_DEL };

	shakes = 0;
	service(2);
	ck_assert_uint_eq(shakes, 0);	/* the same again */
	gone.service_del = (struct pm_service_del){ .name = "vpn" };
	memcpy(gone.service_del.node_id, node_id(2), NODE_ID_LEN);
	ck_assert_int_eq(procmsg_send(dp, &gone, -1), 0);
	service(2);
	write_packet(&tcp4);
	ck_assert_uint_eq(shakes, 0);	/* away, and back with the key that it had */
	ck_assert_uint_eq(nframes, 2);
	memset(nodes[2].self.key.secret, 77, NOISE_DH_LEN);
	ck_assert_int_eq(noise_key_from_secret(&nodes[2].self.key), 0);
	nodes[2].s.serial++;
	world_node_sign(&nodes[2]);
	service(2);
	ck_assert_uint_eq(shakes, 1);
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 4);
	ck_assert_uint_eq(not_opened, 0);
	/* What does not verify changes nothing. */
	nodes[2].sbuf[nodes[2].slen - 1] ^= 1;
	nodes[2].sbuf[20] ^= 1;
	service(2);
	ck_assert_uint_eq(COUNTED(VPND_SERVICES_REFUSED), 1);
	ck_assert_uint_eq(shakes, 1);
}
END_TEST

/* A handshake anew in the midst of traffic: other keys for the next packet, and the old stream ends later. */
START_TEST(renewed_under_traffic)
{
	write_packet(&tcp4);
	shakes = 0;
	v->peers[0]->keys.out_ns -= KEYS_RENEW_NS;
	vpn_keys_run(v);
	ipc_flush(v->port);
	turn();
	ck_assert_uint_eq(shakes, 1);
	write_packet(&tcp4);
	ck_assert_uint_eq(nframes, 4);
	ck_assert_uint_eq(frames[2].type, FT_OPEN_STREAM);
	ck_assert_uint_eq(not_opened, 0);
	v->now_ns += 2 * NS_PER_SEC;
	vpn_streams_expire(v);
	turn();
	ck_assert_uint_eq(nframes, 5);
	ck_assert_uint_eq(frames[4].type, FT_CLOSE_STREAM);
	ck_assert_uint_eq(frames[4].id, frames[0].id);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_NO_KEY), 0);
}
END_TEST

START_TEST(expired_keys)
{
	write_packet(&tcp4);
	silent = true;
	v->peers[0]->keys.out_not_after = clock_wall();
	vpn_keys_run(v);
	write_packet(&tcp4);
	ck_assert_uint_eq(COUNTED(VPND_OUT_DROP_NO_KEY), 1);
	/* A peer's stream lives no longer than its keys. */
	dp_open(1, 2, "vpn");
	ck_assert_uint_eq(v->peers[0]->streams_in, 1);
	vpn_stream_find(&v->streams, wire_id(1))->not_after = clock_wall();
	forget_frames();
	vpn_streams_expire(v);
	turn();
	ck_assert_uint_eq(frames[0].type, FT_RESET_STREAM);
	ck_assert_uint_eq(frames[0].reason, REASON_NO_KEY);
	ck_assert_uint_eq(v->peers[0]->streams_in, 0);
}
END_TEST

START_TEST(in_unsealed_is_refused)
{
	uint8_t field[KEYED_LEN];

	dp_open_as(1, 2, "vpn", NULL, 0);
	ck_assert_uint_eq(frames[0].type, FT_RESET_STREAM);
	ck_assert_uint_eq(frames[0].reason, REASON_NO_KEY);
	ck_assert_uint_eq(COUNTED(VPND_IN_STREAMS_UNSEALED), 1);
	/* Another peer's keys, keys that nobody has, a counter that is none. */
	field_make(field, 3, 1);
	dp_open_as(3, 2, "vpn", field, sizeof(field));
	ck_assert_uint_eq(frames[1].reason, REASON_NO_KEY);
	field_make(field, 2, 1);
	field[3] ^= 1;
	dp_open_as(5, 2, "vpn", field, sizeof(field));
	ck_assert_uint_eq(frames[2].reason, REASON_NO_KEY);
	field_make(field, 2, 0);
	dp_open_as(7, 2, "vpn", field, sizeof(field));
	ck_assert_uint_eq(frames[3].reason, REASON_NO_KEY);
	ck_assert_uint_eq(COUNTED(VPND_IN_STREAMS_NO_KEY), 3);
	/* Neither message 1 nor keys. */
	field[0] = 1;
	dp_open_as(9, 2, "vpn", field, sizeof(field));
	ck_assert_uint_eq(frames[4].reason, REASON_AUTH_PROOF);
	ck_assert_uint_eq(COUNTED(VPND_SHAKES_REFUSED), 1);
	ck_assert_uint_eq(v->peers[0]->streams_in, 0);
	ck_assert_uint_eq(v->streams.count, 0);
}
END_TEST

/* A stream's keys are made once. */
START_TEST(in_counters)
{
	static const struct { uint64_t counter; bool good; } steps[] = {
		{ 1, true }, { 1, false }, { 5, true }, { 3, true }, { 3, false }, { 5, false }, { 69, true }, { 5, false },
		{ 6, true }, { 6, false }, { 500, true }, { 436, false }, { 437, true }, { UINT64_MAX, true }, { 501, false },
	};
	uint8_t field[KEYED_LEN];

	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		unsigned refusals_before = nframes;

		field_make(field, 2, steps[i].counter);
		dp_open_as(1 + 2 * i, 2, "vpn", field, sizeof(field));
		ck_assert_msg((nframes == refusals_before) == steps[i].good, "step %u", i);
	}
}
END_TEST

START_TEST(in_tampered_replayed_old)
{
	static uint8_t unit[4200][UNIT_OVERHEAD + 84];
	uint64_t number;
	size_t len = from_peer(buf, ping4, 2, false), n = 0;

	ck_assert_uint_eq(len, 84);
	dp_open(1, 2, "vpn");
	for (unsigned i = 0; i < 4200; i++)
		n = seal_unit(unit[i], 1, 0, buf, len, &number);
	for (size_t bit = 0; bit < 8 * n; bit += 5) {
		unit[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
		queue_raw(1, 0, unit[0], n);
		unit[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	queue_raw(1, 7, unit[0], n);		/* under another number */
	ipc_flush(dp);
	turn();
	ck_assert_uint_eq(COUNTED(VPND_IN_DROP_TAMPERED), (8 * n + 4) / 5 + 1);
	ck_assert_uint_eq(COUNTED(VPND_IN_PACKETS), 0);
	ck_assert(tun_is_silent());
	queue_raw(1, 0, unit[0], n);
	queue_raw(1, 0, unit[0], n);
	queue_raw(1, 4100, unit[4100], n);
	queue_raw(1, 1, unit[1], n);
	ipc_flush(dp);
	turn();
	ck_assert_uint_eq(COUNTED(VPND_IN_PACKETS), 2);
	ck_assert_uint_eq(COUNTED(VPND_IN_DROP_REPLAYED), 1);
	ck_assert_uint_eq(COUNTED(VPND_IN_DROP_OLD), 1);
}
END_TEST

/* A stream of which nothing opens any more ends, and only then. */
START_TEST(in_hopeless)
{
	uint8_t unit[100] = { 0 };

	dp_open(1, 2, "vpn");
	for (unsigned i = 0; i < 255; i++)
		queue_raw(1, i, unit, sizeof(unit));
	ipc_flush(dp);
	turn();
	ck_assert_uint_eq(nframes, 0);
	queue_raw(1, 255, unit, sizeof(unit));
	ipc_flush(dp);
	turn();
	ck_assert_uint_eq(frames[0].type, FT_RESET_STREAM);
	ck_assert_uint_eq(frames[0].reason, REASON_TAMPERED);
	ck_assert_uint_eq(v->streams.count, 0);
	ck_assert_uint_eq(v->peers[0]->streams_in, 0);
}
END_TEST

/* Who only repeats a peer's message 1 cannot make its keys go. */
START_TEST(in_handshakes_replayed)
{
	uint8_t message[E2E_MESSAGE_MAX];
	struct e2e_service s;
	struct e2e *e;
	uint64_t accepted;
	size_t len;

	dp_open(1, 2, "vpn");
	dp_unit(1, 0, buf, from_peer(buf, ping4, 2, false));
	ck_assert(v->peers[0]->keys.in[KEYS_CURRENT].have);
	ck_assert_int_eq(e2e_service_check(&s, nodes[1].sbuf, nodes[1].slen, world_now), REASON_NONE);
	e = e2e_open(&nodes[2].self, &s, OPEN_UNRELIABLE, NULL, 0, message, &len, world_now);
	raw = true;	/* nobody takes the answers */
	for (uint64_t i = 0; i < 50; i++)
		dp_open_as(3 + 2 * i, 2, "vpn", message, len);
	ck_assert_uint_ge(COUNTED(VPND_SHAKES_ACCEPTED), 10);
	ck_assert_uint_lt(COUNTED(VPND_SHAKES_ACCEPTED), 2 + KEYS_ACCEPT_BURST + 10);	/* and not without a limit */
	dp_open(201, 2, "vpn");
	dp_unit(201, 0, buf, from_peer(buf, ping4, 2, false));
	ck_assert_uint_eq(COUNTED(VPND_IN_PACKETS), 2);
	/* In another's name not even an answer. */
	accepted = COUNTED(VPND_SHAKES_ACCEPTED);
	dp_open_as(203, 3, "vpn", message, len);
	ck_assert_uint_eq(COUNTED(VPND_SHAKES_ACCEPTED), accepted);
	ck_assert_uint_eq(COUNTED(VPND_SHAKES_REFUSED), 1);
	e2e_free(e);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("vpnd_keys");
	TCase *tc = tcase_create("vpnd_keys");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, seal_hides);
	tcase_add_test(tc, no_key_no_packet);
	tcase_add_test(tc, message_2_lost);
	tcase_add_test(tc, keys_lost);
	tcase_add_test(tc, new_service_key);
	tcase_add_test(tc, renewed_under_traffic);
	tcase_add_test(tc, expired_keys);
	tcase_add_test(tc, in_unsealed_is_refused);
	tcase_add_test(tc, in_counters);
	tcase_add_test(tc, in_tampered_replayed_old);
	tcase_add_test(tc, in_hopeless);
	tcase_add_test(tc, in_handshakes_replayed);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
