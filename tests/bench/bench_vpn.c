/*
 * What vpnd does per segment, in nanoseconds and Gbit/s, of one core: cutting a superpacket, collecting it again (with
 * partial checksums, as between two TUNs; and with real ones, as from a router, that have to be verified), a route
 * look-up, and the checksums that the partial ones save. Then what sealing adds: the way out (cut, seal, copy into the
 * message) and the way in (copy, open, parse, collect), with the seal and without it, which only this program can do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/seal.h"
#include "vpnd/checksum.h"
#include "vpnd/coalesce.h"
#include "vpnd/lpm.h"
#include "vpnd/segment.h"

#define SIZE	1328u	/* payload of a segment: an MTU of 1380 with time stamps */
#define HDR	52u
#define SEGS	49u
#define SUPER	(HDR + SIZE * SEGS)
#define ROUND_NS (NS_PER_SEC / 10)
#define ROUNDS	5

static uint8_t super[SUPER], segments[SEGS * (SIZE + HDR)];
static struct vnet_hdr header = { .flags = VNET_F_NEEDS_CSUM, .gso_type = VNET_GSO_TCPV4, .gso_size = SIZE,
    .csum_start = 20, .csum_offset = 16 };
static struct ip_packet super_ip, segment_ip[SEGS];
static struct coalescer *coalescer;
static bool partial = true;
static uint64_t written;
static volatile uint32_t sink;

static void
make_super(void)
{
	uint8_t *p = super;

	for (size_t i = 0; i < SUPER; i++)
		p[i] = (uint8_t)(i * 7);
	memset(p, 0, HDR);
	p[0] = 0x45;
	put16(p + 2, SUPER);
	p[6] = 0x40;
	p[8] = 64;
	p[9] = IP_TCP;
	memcpy(p + 12, (uint8_t[]){ 10, 77, 0, 1, 10, 77, 0, 2 }, 8);
	csum_ip4_set(p, 20);
	put16(p + 20, 40000);
	put16(p + 22, 5201);
	p[32] = 0x80;
	p[33] = 0x10;
	if (ip_parse(&super_ip, super, SUPER) != IP_OK)
		abort();
}

static void
cut(void)
{
	struct segmenter s;

	if (segment_init(&s, &header, &super_ip, 0) != SEGMENT_OK || s.count != SEGS)
		abort();
	for (uint32_t i = 0; i < SEGS; i++)
		segment_write(&s, i, segments + i * (SIZE + HDR));
}

/* As an ordinary segmenter would: the checksum of each segment computed over its payload. */
static void
cut_and_sum(void)
{
	cut();
	for (uint32_t i = 0; i < SEGS; i++)
		csum_complete(segments + i * (SIZE + HDR), SIZE + HDR, 20, 16);
}

static void
count_write(void *arg, const struct vnet_hdr *h, const uint8_t *pkt, size_t len)
{
	(void)arg;
	(void)h;
	(void)pkt;
	written += len;
}

static void
collect(void)
{
	for (uint32_t i = 0; i < SEGS; i++) {
		if (ip_parse(&segment_ip[i], segments + i * (SIZE + HDR), SIZE + HDR) != IP_OK)
			abort();
		coalesce_add(coalescer, &segment_ip[i], partial);
	}
	coalesce_flush(coalescer);
}

/* As vpnd: in a place of its own, then one copy; `sealed' apart. */
static uint8_t message[SEGS * (SIZE + HDR + 1 + SEAL_TAG_LEN)];
static uint8_t room[15 + 1 + SIZE + HDR + SEAL_TAG_LEN] __attribute__((aligned(64)));
static struct seal_tx *tx;
static struct seal_rx *rx;
static bool sealed;
#define UNIT (1 + SIZE + HDR + SEAL_TAG_LEN)

static void
way_out(void)
{
	struct segmenter s;

	if (segment_init(&s, &header, &super_ip, 0) != SEGMENT_OK || s.count != SEGS)
		abort();
	for (uint32_t i = 0; i < SEGS; i++) {
		uint8_t flags = 1, *unit = room + 15;
		struct seal_pkt pkt = { .data = unit + 1, .len = SIZE + HDR, .ad = &flags, .ad_len = 1 };

		segment_write(&s, i, unit + 1);
		if (sealed && seal_packets(tx, &pkt, 1, 0) != 1)
			abort();
		unit[0] = flags | (pkt.phase ? 0x80 : 0);
		memcpy(message + i * UNIT, unit, UNIT);
	}
}

/* The way out goes before each, since nothing opens twice; measure() of it alone is taken off. */
static void
both_ways(void)
{
	uint64_t first = seal_tx_next(tx);

	way_out();
	for (uint32_t i = 0; i < SEGS; i++) {
		uint8_t flags, *unit = room + 15;
		struct seal_pkt pkt = { .data = unit + 1, .len = UNIT - 1, .ad = &flags, .ad_len = 1, .number = first + i };

		memcpy(unit, message + i * UNIT, UNIT);
		flags = unit[0] & 0x7f;
		pkt.phase = (unit[0] & 0x80) != 0;
		if (sealed && seal_open(rx, &pkt, 1, 0) != 1)
			abort();
		if (ip_parse(&segment_ip[i], unit + 1, SIZE + HDR) != IP_OK)
			abort();
		coalesce_add(coalescer, &segment_ip[i], true);
	}
	coalesce_flush(coalescer);
}

static void
parse(void)
{
	for (uint32_t i = 0; i < SEGS; i++)
		sink += (uint32_t)ip_parse(&segment_ip[i], segments + i * (SIZE + HDR), SIZE + HDR);
}

static void
copy(void)
{
	for (uint32_t i = 0; i < SEGS; i++)
		memcpy(segments + i * (SIZE + HDR), super + i * SIZE, SIZE + HDR);
}

/* The best of some rounds: nanoseconds a segment. */
static double
measure(void (*f)(void))
{
	double best = 1e9;

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t start = clock_ns(), end = start, n = 0;

		while (end - start < ROUND_NS) {
			for (unsigned k = 0; k < 16; k++)
				f();
			n += 16 * SEGS;
			end = clock_ns();
		}
		if ((double)(end - start) / (double)n < best)
			best = (double)(end - start) / (double)n;
	}
	return best;
}

static void
line(const char *what, double ns, double base)
{
	printf("%-44s %8.1f %8.1f %8.2f\n", what, ns, 8.0 * (SIZE + HDR) / ns, ns / base);
}

static void
bench_lpm(unsigned count)
{
	struct lpm *t = lpm_new();
	uint8_t addr[1024][4];
	uint64_t start, end = 0, n = 0;
	double best = 1e9;

	srandom(1);
	for (unsigned i = 0; i < count; i++) {
		struct record_prefix p = { .family = 4, .len = (uint8_t)(16 + random() % 17) };

		put32(p.addr, 10u << 24 | ((uint32_t)random() & 0xffffff));
		lpm_insert(t, &p, i, NULL);
		memcpy(addr[i % 1024], p.addr, 4);
	}
	for (unsigned r = 0; r < ROUNDS; r++) {
		start = clock_ns();
		for (n = 0; n < 1000000; n++)
			sink += lpm_lookup4(t, addr[n % (count < 1024 ? count : 1024)]);
		end = clock_ns();
		if ((double)(end - start) / (double)n < best)
			best = (double)(end - start) / (double)n;
	}
	printf("route look-up, %5u prefixes %26.1f ns\n", count, best);
	lpm_free(t);
}

static void
bench_sealing(double base)
{
	static const uint8_t key[AEAD_KEY_LEN] = "a key";
	double out[2], in[2];

	partial = true;
	tx = seal_tx_new(aead_preferred(), key, NULL, 0);
	rx = seal_rx_new(aead_preferred(), key, NULL, false);
	if (tx == NULL || rx == NULL)
		abort();
	for (unsigned i = 0; i < 2; i++) {
		sealed = i == 1;
		out[i] = measure(way_out);
		if (sealed) {	/* the receiver has to follow the phases that were only sealed */
			seal_tx_free(tx);
			tx = seal_tx_new(aead_preferred(), key, NULL, 0);
		}
		in[i] = measure(both_ways) - out[i];
	}
	line("way out, not sealed", out[0], base);
	line("way out, sealed", out[1], base);
	line("way in, not sealed", in[0], base);
	line("way in, sealed", in[1], base);
	printf("sealing with %s costs: out x %.2f, in x %.2f, both x %.2f\n", aead_name(aead_preferred()), out[1] / out[0],
	    in[1] / in[0], (out[1] + in[1]) / (out[0] + in[0]));
	seal_tx_free(tx);
	seal_rx_free(rx);
}

int
main(void)
{
	struct coalesce_config cc = { .vnet_hdr = true, .tcp = true, .udp = true, .seed = 1, .write = count_write };
	double base, cut_ns, sum_ns, collect_ns, verify_ns;

	make_super();
	coalescer = coalesce_new(&cc);
	if (coalescer == NULL)
		abort();
	printf("%-44s %8s %8s %8s\n", "per segment of 1380 bytes, one core", "ns", "Gbit/s", "ratio");
	base = measure(copy);
	line("memcpy", base, base);
	cut_ns = measure(cut);
	line("cut, checksum partial", cut_ns, base);
	sum_ns = measure(cut_and_sum);
	line("cut, checksum over the payload", sum_ns, base);
	cut();
	line("parse", measure(parse), base);
	collect_ns = measure(collect);
	line("parse and collect, checksum partial", collect_ns, base);
	partial = false;
	cut_and_sum();
	verify_ns = measure(collect);
	line("parse, verify and collect", verify_ns, base);
	printf("software checksums would cost: cut x %.2f, collect x %.2f\n", sum_ns / cut_ns, verify_ns / collect_ns);
	bench_sealing(base);
	bench_lpm(8);
	bench_lpm(1000);
	bench_lpm(50000);
	if (written == 0)
		abort();
	return 0;
}
