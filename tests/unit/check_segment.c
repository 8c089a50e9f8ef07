#include <check.h>
#include <stdlib.h>

#include "packets.h"
#include "suite.h"
#include "vpnd/segment.h"

static uint8_t super[70000], seg[70000];

static struct vnet_hdr
header(const uint8_t *p, unsigned size)
{
	struct vnet_hdr h = { .flags = VNET_F_NEEDS_CSUM, .gso_size = (uint16_t)size };

	h.csum_start = (uint16_t)ref_l4(p);
	h.csum_offset = (uint16_t)(ref_field(p) - ref_l4(p));
	h.gso_type = ref_proto(p) == 17 ? VNET_GSO_UDP_L4 : p[0] >> 4 == 4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
	return h;
}

static const struct {
	struct spec s;
	unsigned size;
	unsigned count;
} supers[] = {
	{ { .version = 4, .proto = 6, .payload = 65000, .seq = 0xffffff00, .ack = 5, .tcp_flags = TF_ACK | TF_PSH,
	    .options = 12, .id = 0xfff0 }, 1328, 49 },
	{ { .version = 4, .proto = 6, .payload = 2656, .tcp_flags = TF_ACK | TF_FIN, .no_df = true, .id = 9 }, 1328, 2 },
	{ { .version = 4, .proto = 6, .payload = 2657, .tcp_flags = TF_ACK | TF_CWR | TF_ECE, .tos = 0x03 }, 1328, 3 },
	{ { .version = 4, .proto = 6, .payload = 5000, .tcp_flags = TF_ACK | TF_CWR | TF_FIN | TF_PSH, .ip_options = 8 }, 1000, 5 },
	{ { .version = 6, .proto = 6, .payload = 64000, .tcp_flags = TF_ACK, .options = 12, .label = 0xabcde }, 1308, 49 },
	{ { .version = 6, .proto = 6, .payload = 1, .tcp_flags = TF_ACK | TF_PSH }, 1308, 1 },
	{ { .version = 4, .proto = 17, .payload = 64000, .id = 3 }, 1200, 54 },
	{ { .version = 4, .proto = 17, .payload = 2400 }, 1200, 2 },
	{ { .version = 6, .proto = 17, .payload = 2401, .tos = 0xb8 }, 1200, 3 },
	{ { .version = 6, .proto = 17, .payload = 300 }, 1, 300 },
};

/* Each segment against the packet that the builder would have made in its place. */
START_TEST(segments)
{
	const struct spec *s = &supers[_i].s;
	unsigned size = supers[_i].size;
	size_t len = build(super, s, true), l4_hdr;
	struct vnet_hdr h = header(super, size);
	struct segmenter sg;
	struct ip_packet ip;
	static uint8_t want[70000];

	ck_assert_int_eq(ip_parse_super(&ip, super, len), IP_OK);
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 0), SEGMENT_OK);
	ck_assert_uint_eq(sg.count, supers[_i].count);
	l4_hdr = s->proto == 6 ? 20u + s->options : 8;
	for (uint32_t i = 0; i < sg.count; i++) {
		struct spec w = *s;
		size_t wlen;

		w.fill = i * size;
		w.payload = i + 1 < sg.count ? size : s->payload - i * size;
		w.seq = s->seq + i * size;
		w.id = (uint16_t)(s->id + i);
		if (i + 1 < sg.count)
			w.tcp_flags &= (uint8_t)~(TF_FIN | TF_PSH);
		if (i != 0)
			w.tcp_flags &= (uint8_t)~TF_CWR;
		wlen = build(want, &w, true);
		ck_assert_uint_eq(segment_len(&sg, i), wlen);
		memset(seg, 0xa5, wlen + 8);
		segment_write(&sg, i, seg);
		ck_assert_uint_eq(seg[wlen], 0xa5);
		ck_assert(ref_ip_ok(seg, wlen));
		ck_assert(ref_partial_ok(seg, wlen));
		ck_assert_mem_eq(seg, want, wlen);
		ref_make_full(seg, wlen);
		ck_assert(ref_l4_ok(seg, wlen));
	}
	ck_assert_uint_eq(l4_hdr + ref_l4(super), sg.hdr_len);
}
END_TEST

/* TCP may be cut smaller than it asked for; UDP may not. */
START_TEST(smaller)
{
	struct spec s = { .version = 4, .proto = 6, .payload = 4000, .tcp_flags = TF_ACK };
	size_t len = build(super, &s, true), sum = 0;
	struct vnet_hdr h = header(super, 1400);
	struct segmenter sg;
	struct ip_packet ip;

	ck_assert_int_eq(ip_parse_super(&ip, super, len), IP_OK);
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 1000), SEGMENT_OK);
	ck_assert_uint_eq(sg.count, 4);
	for (uint32_t i = 0; i < sg.count; i++) {
		segment_write(&sg, i, seg);
		ck_assert(ref_partial_ok(seg, segment_len(&sg, i)));
		sum += segment_len(&sg, i) - 40;
	}
	ck_assert_uint_eq(sum, 4000);
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 2000), SEGMENT_OK);
	ck_assert_uint_eq(sg.size, 1400);
	s.proto = 17;
	len = build(super, &s, true);
	h = header(super, 1400);
	ck_assert_int_eq(ip_parse_super(&ip, super, len), IP_OK);
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 1000), SEGMENT_OK);
	ck_assert_uint_eq(sg.size, 1400);
}
END_TEST

/* What the kernel's header claims has to be what the packet is. */
START_TEST(refused)
{
	struct spec tcp = { .version = 4, .proto = 6, .payload = 4000, .tcp_flags = TF_ACK },
	    udp6 = { .version = 6, .proto = 17, .payload = 4000 }, icmp = { .version = 4, .proto = 1, .payload = 4000 };
	struct segmenter sg;
	struct ip_packet ip;
	struct vnet_hdr good, h;
	size_t len = build(super, &tcp, true);

	ck_assert_int_eq(ip_parse_super(&ip, super, len), IP_OK);
	good = header(super, 1000);
	ck_assert_int_eq(segment_init(&sg, &good, &ip, 0), SEGMENT_OK);
#define REFUSED(field, value, error) do { \
	h = good; \
	h.field = value; \
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 0), error); \
} while (0)
	REFUSED(gso_type, VNET_GSO_TCPV6, SEGMENT_E_PACKET);
	REFUSED(gso_type, VNET_GSO_UDP_L4, SEGMENT_E_PACKET);
	REFUSED(gso_type, 3, SEGMENT_E_TYPE);		/* UFO */
	REFUSED(gso_type, VNET_GSO_NONE, SEGMENT_E_TYPE);
	REFUSED(gso_size, 0, SEGMENT_E_PACKET);
	REFUSED(flags, 0, SEGMENT_E_CSUM);
	REFUSED(flags, VNET_F_DATA_VALID, SEGMENT_E_CSUM);
	REFUSED(csum_start, 24, SEGMENT_E_CSUM);
	REFUSED(csum_offset, 6, SEGMENT_E_CSUM);
	h = good;
	h.gso_type |= VNET_GSO_ECN;
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 0), SEGMENT_OK);
	len = build(super, &udp6, true);
	ck_assert_int_eq(ip_parse_super(&ip, super, len), IP_OK);
	good = header(super, 1000);
	ck_assert_int_eq(segment_init(&sg, &good, &ip, 0), SEGMENT_OK);
	REFUSED(gso_type, VNET_GSO_TCPV6, SEGMENT_E_PACKET);
	len = build(super, &icmp, false);
	ck_assert_int_eq(ip_parse_super(&ip, super, len), IP_OK);
	h = good;
	h.gso_type = VNET_GSO_TCPV4;
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 0), SEGMENT_E_PACKET);
	tcp.payload = 0;
	len = build(super, &tcp, true);
	ck_assert_int_eq(ip_parse_super(&ip, super, len), IP_OK);
	h = header(super, 1000);
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 0), SEGMENT_E_PACKET);
	/* A fragment has no transport header that could be told from payload. */
	tcp.payload = 100;
	len = build(super, &tcp, true);
	super[6] = 0x20;
	ck_assert_int_eq(ip_parse_super(&ip, super, len), IP_OK);
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 0), SEGMENT_E_PACKET);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("segment");
	TCase *tc = tcase_create("segment");

	tcase_add_loop_test(tc, segments, 0, sizeof supers / sizeof supers[0]);
	tcase_add_test(tc, smaller);
	tcase_add_test(tc, refused);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
