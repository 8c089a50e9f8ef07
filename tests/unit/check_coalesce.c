#include <check.h>
#include <stdlib.h>

#include "packets.h"
#include "suite.h"
#include "vpnd/coalesce.h"
#include "vpnd/segment.h"

#define WRITES_MAX 400

static struct {
	struct vnet_hdr h;
	bool	 header;
	size_t	 len;
	uint8_t	*pkt;
} writes[WRITES_MAX];
static unsigned nwrites;
static struct coalescer *c;
static uint8_t buf[70000], super[70000];

static void
keep(void *arg, const struct vnet_hdr *h, const uint8_t *pkt, size_t len)
{
	ck_assert_uint_lt(nwrites, WRITES_MAX);
	writes[nwrites].header = h != NULL;
	if (h != NULL)
		writes[nwrites].h = *h;
	writes[nwrites].len = len;
	writes[nwrites].pkt = malloc(len);
	memcpy(writes[nwrites].pkt, pkt, len);
	nwrites++;
}

static void
forget(void)
{
	while (nwrites > 0)
		free(writes[--nwrites].pkt);
}

static void
make(bool vnet, bool tcp, bool udp)
{
	struct coalesce_config conf = { .vnet_hdr = vnet, .tcp = tcp, .udp = udp, .seed = 99, .write = keep };

	c = coalesce_new(&conf);
	ck_assert_ptr_nonnull(c);
}

static void
setup(void)
{
	make(true, true, true);
}

static void
teardown(void)
{
	forget();
	coalesce_free(c);
}

static void
add_bytes(const uint8_t *p, size_t len, bool partial)
{
	struct ip_packet ip;

	ck_assert_int_eq(ip_parse(&ip, p, len), IP_OK);
	coalesce_add(c, &ip, partial);
}

static void
add(const struct spec *s, bool partial)
{
	add_bytes(buf, build(buf, s, partial), partial);
	memset(buf, 0xee, 2000);	/* nothing may point there any more */
}

/* Whatever was written is a packet that a kernel takes and whose checksum is right when it is completed. */
static void
check_write(unsigned i)
{
	const struct vnet_hdr *h = &writes[i].h;
	uint8_t *p = writes[i].pkt;
	size_t len = writes[i].len;

	ck_assert(ref_ip_ok(p, len));
	if (!writes[i].header || h->flags == 0) {
		ck_assert_uint_eq(h->gso_type, VNET_GSO_NONE);
		ck_assert(ref_l4_ok(p, len));
		return;
	}
	ck_assert_uint_eq(h->flags, VNET_F_NEEDS_CSUM);
	ck_assert_uint_eq(h->csum_start, ref_l4(p));
	ck_assert_uint_eq(h->csum_start + h->csum_offset, ref_field(p));
	ck_assert(ref_partial_ok(p, len));
	if (h->gso_type != VNET_GSO_NONE) {
		ck_assert_uint_gt(h->gso_size, 0);
		ck_assert_uint_gt(len - h->hdr_len, h->gso_size);
	}
}

static void
check_writes(unsigned n)
{
	coalesce_flush(c);
	ck_assert_uint_eq(nwrites, n);
	for (unsigned i = 0; i < n; i++)
		check_write(i);
}

static const struct {
	struct spec s;
	unsigned size;
} supers[] = {
	{ { .version = 4, .proto = 6, .payload = 65000, .seq = 0xffffff00, .ack = 5, .tcp_flags = TF_ACK | TF_PSH,
	    .options = 12, .id = 0xfff0 }, 1328 },
	{ { .version = 4, .proto = 6, .payload = 2656, .tcp_flags = TF_ACK | TF_FIN, .no_df = true, .id = 9 }, 1328 },
	{ { .version = 4, .proto = 6, .payload = 5000, .tcp_flags = TF_ACK | TF_ECE, .tos = 0x03 }, 1328 },
	{ { .version = 6, .proto = 6, .payload = 64000, .tcp_flags = TF_ACK, .options = 12, .label = 0xabcde }, 1308 },
	{ { .version = 6, .proto = 6, .payload = 1309, .tcp_flags = TF_ACK | TF_PSH, .tos = 0xb8 }, 1308 },
	{ { .version = 4, .proto = 17, .payload = 64000, .id = 3 }, 1200 },
	{ { .version = 6, .proto = 17, .payload = 2401, .tos = 0xb8 }, 1200 },
	{ { .version = 4, .proto = 6, .payload = 65495, .tcp_flags = TF_ACK }, 1000 },	/* 65535 bytes in all */
};

/* Segmenting and then coalescing gives the superpacket back, with partial checksums and with real ones. */
START_TEST(round_trip)
{
	const struct spec *s = &supers[_i / 2].s;
	bool partial = _i % 2 == 0;
	size_t len = build(super, s, true);
	struct vnet_hdr h = { .flags = VNET_F_NEEDS_CSUM, .gso_size = (uint16_t)supers[_i / 2].size,
	    .csum_start = (uint16_t)ref_l4(super), .csum_offset = (uint16_t)(ref_field(super) - ref_l4(super)),
	    .gso_type = s->proto == 17 ? VNET_GSO_UDP_L4 : s->version == 4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6 };
	struct segmenter sg;
	struct ip_packet ip;

	ck_assert_int_eq(ip_parse_super(&ip, super, len), IP_OK);
	ck_assert_int_eq(segment_init(&sg, &h, &ip, 0), SEGMENT_OK);
	for (uint32_t i = 0; i < sg.count; i++) {
		segment_write(&sg, i, buf);
		if (!partial)
			ref_make_full(buf, segment_len(&sg, i));
		add_bytes(buf, segment_len(&sg, i), partial);
	}
	check_writes(1);
	ck_assert_uint_eq(writes[0].len, len);
	ck_assert_mem_eq(writes[0].pkt, super, len);
	ck_assert_uint_eq(writes[0].h.gso_type, h.gso_type);
	ck_assert_uint_eq(writes[0].h.gso_size, h.gso_size);
	ck_assert_uint_eq(writes[0].h.hdr_len, sg.hdr_len);
}
END_TEST

static const struct spec first4 = { .version = 4, .proto = 6, .payload = 1000, .seq = 1000, .ack = 77,
    .tcp_flags = TF_ACK, .options = 12, .id = 100 };

/* What a second packet may differ in from the one that would follow, and that it is then not merged. */
static const struct {
	const char *what;
	size_t offset;	/* a byte of the second packet */
	uint8_t	xor;
	bool ip;	/* in the IPv4 header */
	bool merged;
} differences[] = {
	{ "nothing", 0, 0, false, true },
	{ "tos", 1, 4, true, false },
	{ "ecn", 1, 3, true, false },
	{ "id, with DF", 5, 9, true, true },
	{ "ttl", 8, 1, true, false },
	{ "DF", 6, 0x40, true, false },
	{ "source port", 21, 1, false, false },
	{ "destination port", 23, 1, false, false },
	{ "source address", 15, 2, true, false },
	{ "destination address", 19, 1, true, false },
	{ "seq", 27, 1, false, false },
	{ "ack", 31, 1, false, false },
	{ "reserved bit", 32, 1, false, false },
	{ "window", 35, 1, false, false },
	{ "urgent pointer", 39, 1, false, true },	/* not URG: no meaning, as in the kernel's GRO */
	{ "option", 45, 1, false, false },
	{ "SYN", 33, TF_SYN, false, false },
	{ "RST", 33, TF_RST, false, false },
	{ "URG", 33, TF_URG, false, false },
	{ "ECE", 33, TF_ECE, false, false },
	{ "CWR", 33, TF_CWR, false, false },
	{ "no ACK", 33, TF_ACK, false, false },
	{ "PSH", 33, TF_PSH, false, true },
	{ "FIN", 33, TF_FIN, false, true },
};

START_TEST(second_differs)
{
	struct spec s = first4;
	size_t len;

	add(&s, true);
	s.seq += 1000;
	s.id++;
	s.fill = 1000;
	len = build(buf, &s, true);
	buf[differences[_i].offset] ^= differences[_i].xor;
	ref_ip4_checksum(buf);
	ref_make_partial(buf, len);
	add_bytes(buf, len, true);
	coalesce_flush(c);
	ck_assert_msg(nwrites == (differences[_i].merged ? 1 : 2), "%s: %u writes", differences[_i].what, nwrites);
	for (unsigned i = 0; i < nwrites; i++)
		check_write(i);
	if (!differences[_i].merged)
		ck_assert_mem_eq(writes[1].pkt, buf, len);
}
END_TEST

START_TEST(id_without_df)
{
	struct spec s = first4;

	s.no_df = true;
	add(&s, true);
	s.seq += 1000;
	add(&s, true);	/* the same id again */
	check_writes(2);
	forget();
	s.seq += 1000;
	add(&s, true);
	s.seq += 1000;
	s.id++;
	add(&s, true);
	check_writes(1);
}
END_TEST

START_TEST(sizes)
{
	struct spec s = first4;

	add(&s, true);
	s.seq += 1000;
	s.payload = 500;
	add(&s, true);		/* shorter: the last */
	s.seq += 500;
	add(&s, true);		/* so this begins another */
	s.seq += 500;
	s.payload = 501;
	add(&s, true);		/* longer than that one: yet another */
	check_writes(3);
	ck_assert_uint_eq(writes[0].len, 52 + 1500);
	ck_assert_uint_eq(writes[0].h.gso_size, 1000);
}
END_TEST

/* More than an IP packet can hold: two superpackets. */
START_TEST(longest)
{
	struct spec s = first4;
	size_t bytes = 0;

	for (unsigned k = 0; k < 100; k++, s.seq += 1000, s.id++)
		add(&s, true);
	check_writes(2);
	for (unsigned i = 0; i < nwrites; i++) {
		ck_assert_uint_le(writes[i].len, IP_PACKET_MAX);
		bytes += writes[i].len - 52;
	}
	ck_assert_uint_eq(bytes, 100000);
}
END_TEST

/* PSH and FIN end a superpacket, at once; a packet that has them alone waits for nothing. */
START_TEST(push)
{
	struct spec s = first4;

	add(&s, true);
	s.seq += 1000;
	s.tcp_flags |= _i;
	add(&s, true);
	ck_assert_uint_eq(nwrites, 1);
	ck_assert_uint_eq(writes[0].pkt[33], TF_ACK | _i);
	s.seq += 1000;
	add(&s, true);
	ck_assert_uint_eq(nwrites, 2);
	check_writes(2);
}
END_TEST

/* A pure ACK goes out behind the data of its flow that came before it. */
START_TEST(order_with_acks)
{
	struct spec s = first4;

	add(&s, true);
	s.seq += 1000;
	s.payload = 0;
	add(&s, true);
	ck_assert_uint_eq(nwrites, 2);
	ck_assert_uint_eq(writes[0].len, 1052);
	ck_assert_uint_eq(writes[1].len, 52);
	check_writes(2);
}
END_TEST

/* Packets of many flows, interleaved: one superpacket each, each in order. */
START_TEST(interleaved)
{
	enum { FLOWS = COALESCE_SLOTS, EACH = 10 };

	for (unsigned k = 0; k < EACH; k++) {
		for (unsigned f = 0; f < FLOWS; f++) {
			struct spec s = { .version = f % 2 ? 4 : 6, .proto = f % 4 < 2 ? 6 : 17, .payload = 1000,
			    .seq = k * 1000, .tcp_flags = TF_ACK, .id = (uint16_t)k, .sport = (uint16_t)(2000 + f),
			    .fill = k * 1000 };

			add(&s, true);
		}
	}
	check_writes(FLOWS);
	for (unsigned f = 0; f < FLOWS; f++) {
		struct spec s = { .version = f % 2 ? 4 : 6, .proto = f % 4 < 2 ? 6 : 17, .payload = EACH * 1000,
		    .tcp_flags = TF_ACK, .sport = (uint16_t)(2000 + f) };
		size_t len = build(super, &s, true);

		ck_assert_uint_eq(writes[f].len, len);
		ck_assert_mem_eq(writes[f].pkt, super, len);
	}
}
END_TEST

/* With more flows than slots the oldest goes; nothing is lost and each flow keeps its order. */
START_TEST(more_flows_than_slots)
{
	enum { FLOWS = COALESCE_SLOTS * 2, EACH = 4 };
	uint32_t next[FLOWS] = { 0 };
	size_t bytes = 0;

	for (unsigned k = 0; k < EACH; k++) {
		for (unsigned f = 0; f < FLOWS; f++) {
			struct spec s = first4;

			s.sport = (uint16_t)(2000 + f);
			s.seq = k * 1000;
			add(&s, true);
		}
	}
	coalesce_flush(c);
	for (unsigned i = 0; i < nwrites; i++) {
		const uint8_t *t = writes[i].pkt + 20;
		unsigned f = ref_get16(t) - 2000;
		uint32_t seq = (uint32_t)ref_get16(t + 4) << 16 | ref_get16(t + 6);

		check_write(i);
		ck_assert_uint_eq(seq, next[f]);
		next[f] += (uint32_t)(writes[i].len - 52);
		bytes += writes[i].len - 52;
	}
	ck_assert_uint_eq(bytes, FLOWS * EACH * 1000);
}
END_TEST

/* A wrong checksum is never hidden in a superpacket whose checksum is declared good. */
START_TEST(wrong_checksums)
{
	for (unsigned bad = 0; bad < 3; bad++) {
		struct spec s = first4;

		for (unsigned k = 0; k < 3; k++, s.seq += 1000, s.id++) {
			size_t len = build(buf, &s, false);

			if (k == bad)
				buf[len - 1] ^= 1;
			add_bytes(buf, len, false);
		}
		coalesce_flush(c);
		ck_assert_uint_eq(nwrites, bad == 1 ? 3 : 2);
		for (unsigned i = 0; i < nwrites; i++) {
			if (writes[i].h.flags == VNET_F_NEEDS_CSUM)
				check_write(i);
			else if (writes[i].len == 1052)
				ck_assert(ref_ip_ok(writes[i].pkt, 1052));
		}
		/* The bad one is alone, with no word about its checksum. */
		ck_assert_uint_eq(writes[bad == 2 ? 1 : bad].len, 1052);
		ck_assert_uint_eq(writes[bad == 2 ? 1 : bad].h.flags, 0);
		ck_assert(!ref_l4_ok(writes[bad == 2 ? 1 : bad].pkt, 1052));
		forget();
	}
}
END_TEST

START_TEST(wrong_ip_checksum)
{
	struct spec s = first4;
	size_t len;

	add(&s, true);
	s.seq += 1000;
	len = build(buf, &s, true);
	buf[11] ^= 1;
	add_bytes(buf, len, true);
	coalesce_flush(c);
	ck_assert_uint_eq(nwrites, 2);
	ck_assert_mem_eq(writes[1].pkt, buf, len);
}
END_TEST

/* Partial and full checksums of one flow may be mixed; a good one counts as good. */
START_TEST(mixed_checksums)
{
	struct spec s = first4;

	for (unsigned k = 0; k < 4; k++, s.seq += 1000, s.id++)
		add(&s, (k + (unsigned)_i) % 2 == 0);
	check_writes(1);
	ck_assert_uint_eq(writes[0].len, 4052);
}
END_TEST

START_TEST(udp_rules)
{
	struct spec s = { .version = 4, .proto = 17, .payload = 100 };
	size_t len;

	for (unsigned k = 0; k < COALESCE_SEGS + 1; k++)
		add(&s, true);
	check_writes(2);	/* the kernel takes so many and no more */
	forget();
	len = build(buf, &s, false);
	ref_put16(buf + 26, 0);
	add_bytes(buf, len, false);	/* no checksum: stays without */
	add_bytes(buf, len, false);
	coalesce_flush(c);
	ck_assert_uint_eq(nwrites, 2);
	ck_assert_uint_eq(writes[0].h.flags, 0);
	ck_assert_mem_eq(writes[1].pkt, buf, len);
	forget();
	s.payload = 0;
	add(&s, true);
	add(&s, true);
	check_writes(2);
}
END_TEST

static const struct spec never[] = {
	{ .version = 4, .proto = 1, .payload = 56 },
	{ .version = 4, .proto = 6, .payload = 100, .tcp_flags = TF_ACK, .ip_options = 4 },
	{ .version = 4, .proto = 6, .payload = 0, .tcp_flags = TF_SYN },
	{ .version = 6, .proto = 58, .payload = 56 },
};

START_TEST(never_merged)
{
	add(&never[_i], false);
	add(&never[_i], false);
	ck_assert_uint_eq(nwrites, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(writes[i].h.flags, 0);
		ck_assert_uint_eq(writes[i].h.gso_type, 0);
	}
}
END_TEST

/* A TUN that takes one kind only, and one that stops taking a kind. */
START_TEST(kinds)
{
	struct spec tcp = first4, udp = { .version = 4, .proto = 17, .payload = 100 };

	coalesce_free(c);
	make(true, true, false);
	for (unsigned k = 0; k < 3; k++, tcp.seq += 1000, tcp.id++) {
		add(&tcp, true);
		add(&udp, true);
	}
	check_writes(4);
	coalesce_set(c, false, false);
	add(&tcp, true);
	tcp.seq += 1000;
	add(&tcp, true);
	check_writes(6);
}
END_TEST

/* Without a header every checksum is completed here. */
START_TEST(plain_tun)
{
	struct spec s = first4, udp = { .version = 6, .proto = 17, .payload = 100 };

	coalesce_free(c);
	make(false, true, true);
	add(&s, true);
	s.seq += 1000;
	add(&s, true);
	add(&s, false);
	add(&udp, true);
	ck_assert_uint_eq(nwrites, 4);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert(!writes[i].header);
		ck_assert(ref_ip_ok(writes[i].pkt, writes[i].len) && ref_l4_ok(writes[i].pkt, writes[i].len));
	}
}
END_TEST

/* Random batches: what was written, cut again, is for each flow the byte stream that went in. */
START_TEST(random_streams)
{
	enum { FLOWS = 6 };
	uint32_t sent[FLOWS] = { 0 }, got[FLOWS] = { 0 };
	unsigned wrong = 0;	/* bytes; an assertion for each would take most of the test's time */

	srandom((unsigned)_i);
	for (unsigned n = 0; n < 300; n++) {
		unsigned f = (unsigned)random() % FLOWS;
		struct spec s = first4;

		s.version = f % 2 ? 4 : 6;
		s.sport = (uint16_t)(2000 + f);
		s.payload = random() % 4 ? 1000 : (size_t)random() % 1200;
		s.seq = s.fill = sent[f];
		s.tcp_flags |= random() % 10 ? 0 : TF_PSH;
		s.ack = random() % 20 ? 77 : 78;
		sent[f] += (uint32_t)s.payload;
		add(&s, random() % 5 != 0);
		if (random() % 40 == 0)
			coalesce_flush(c);
	}
	coalesce_flush(c);
	for (unsigned i = 0; i < nwrites; i++) {
		size_t hdr = ref_l4(writes[i].pkt) + 32;
		const uint8_t *t = writes[i].pkt + ref_l4(writes[i].pkt);
		unsigned f = ref_get16(t) - 2000;
		uint32_t seq = (uint32_t)ref_get16(t + 4) << 16 | ref_get16(t + 6);

		check_write(i);
		ck_assert_uint_eq(seq, got[f]);
		for (size_t k = hdr; k < writes[i].len; k++, got[f]++)
			wrong += writes[i].pkt[k] != (uint8_t)(((size_t)got[f]) * 131 >> 3);
		ck_assert_uint_eq(wrong, 0);
	}
	ck_assert_mem_eq(got, sent, sizeof(got));
	ck_assert_uint_lt(nwrites, 250);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("coalesce");
	TCase *tc = tcase_create("coalesce");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, round_trip, 0, 2 * sizeof supers / sizeof supers[0]);
	tcase_add_loop_test(tc, second_differs, 0, sizeof differences / sizeof differences[0]);
	tcase_add_test(tc, id_without_df);
	tcase_add_test(tc, sizes);
	tcase_add_test(tc, longest);
	tcase_add_loop_test(tc, push, TF_FIN, TF_FIN + 1);
	tcase_add_loop_test(tc, push, TF_PSH, TF_PSH + 1);
	tcase_add_test(tc, order_with_acks);
	tcase_add_test(tc, interleaved);
	tcase_add_test(tc, more_flows_than_slots);
	tcase_add_test(tc, wrong_checksums);
	tcase_add_test(tc, wrong_ip_checksum);
	tcase_add_loop_test(tc, mixed_checksums, 0, 2);
	tcase_add_test(tc, udp_rules);
	tcase_add_loop_test(tc, never_merged, 0, sizeof never / sizeof never[0]);
	tcase_add_test(tc, kinds);
	tcase_add_test(tc, plain_tun);
	tcase_add_loop_test(tc, random_streams, 0, 20);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
