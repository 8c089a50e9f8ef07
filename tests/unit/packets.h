/*
 * IP packets for tests, and their checksums by the plainest implementation there is: nothing of vpnd/checksum.c is used
 * here, so that it can be judged by this.
 */
#ifndef TESTS_PACKETS_H
#define TESTS_PACKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct spec {
	int	 version, proto;	/* 4 or 6; 6 TCP, 17 UDP, 1 or 58 ICMP */
	size_t	 payload;
	uint32_t seq, ack;
	uint8_t	 tcp_flags;
	uint16_t window;
	uint8_t	 options;	/* bytes of TCP options: a multiple of 4 */
	uint8_t	 ip_options;	/* bytes of IPv4 options: a multiple of 4 */
	uint8_t	 tos, ttl;
	uint16_t id;
	bool	 no_df;
	uint32_t label;
	uint16_t sport, dport;
	uint8_t	 host;		/* the last byte of the source address */
	uint32_t fill;		/* where the payload's pattern begins */
};

#define TF_FIN 0x01
#define TF_SYN 0x02
#define TF_RST 0x04
#define TF_PSH 0x08
#define TF_ACK 0x10
#define TF_URG 0x20
#define TF_ECE 0x40
#define TF_CWR 0x80

static inline void
ref_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
ref_put32(uint8_t *p, uint32_t v)
{
	ref_put16(p, v >> 16);
	ref_put16(p + 2, v & 0xffff);
}

static inline unsigned
ref_get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* RFC 1071: the one's complement sum, not complemented. */
static inline unsigned
ref_sum(unsigned sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 == 0 ? (unsigned)p[i] << 8 : p[i];
		while (sum > 0xffff)
			sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static inline size_t
ref_l4(const uint8_t *p)
{
	return p[0] >> 4 == 4 ? (size_t)(p[0] & 15) * 4 : 40;
}

static inline int
ref_proto(const uint8_t *p)
{
	return p[0] >> 4 == 4 ? p[9] : p[6];
}

static inline unsigned
ref_pseudo(const uint8_t *p, size_t l4_len)
{
	uint8_t tail[4] = { (uint8_t)(l4_len >> 8), (uint8_t)l4_len, 0, (uint8_t)ref_proto(p) };
	unsigned sum = p[0] >> 4 == 4 ? ref_sum(0, p + 12, 8) : ref_sum(0, p + 8, 32);

	return ref_sum(sum, tail, 4);
}

static inline size_t
ref_field(const uint8_t *p)
{
	return ref_l4(p) + (ref_proto(p) == 6 ? 16 : ref_proto(p) == 17 ? 6 : 2);
}

/* The header checksum, and lengths, are right. */
static inline bool
ref_ip_ok(const uint8_t *p, size_t len)
{
	if (p[0] >> 4 == 6)
		return ref_get16(p + 4) == len - 40;
	return ref_get16(p + 2) == len && ref_sum(0, p, ref_l4(p)) == 0xffff;
}

static inline bool
ref_l4_ok(const uint8_t *p, size_t len)
{
	size_t l4 = ref_l4(p);

	if (ref_proto(p) == 17 && ref_get16(p + l4 + 4) != len - l4)
		return false;
	return ref_sum(ref_pseudo(p, len - l4), p + l4, len - l4) == 0xffff;
}

/* The checksum field holds the sum of the pseudo-header for this very length. */
static inline bool
ref_partial_ok(const uint8_t *p, size_t len)
{
	return ref_get16(p + ref_field(p)) == ref_pseudo(p, len - ref_l4(p)) &&
	    (ref_proto(p) != 17 || ref_get16(p + ref_l4(p) + 4) == len - ref_l4(p));
}

static inline void
ref_make_partial(uint8_t *p, size_t len)
{
	ref_put16(p + ref_field(p), ref_pseudo(p, len - ref_l4(p)));
}

static inline void
ref_make_full(uint8_t *p, size_t len)
{
	size_t l4 = ref_l4(p);
	unsigned sum;

	ref_put16(p + ref_field(p), 0);
	sum = ~ref_sum(ref_proto(p) == 1 ? 0 : ref_pseudo(p, len - l4), p + l4, len - l4) & 0xffff;
	ref_put16(p + ref_field(p), sum == 0 && ref_proto(p) == 17 ? 0xffff : sum);
}

static inline void
ref_ip4_checksum(uint8_t *p)
{
	ref_put16(p + 10, 0);
	ref_put16(p + 10, ~ref_sum(0, p, ref_l4(p)) & 0xffff);
}

static inline size_t
build_ip(uint8_t *p, const struct spec *s, size_t l4_len)
{
	size_t hdr = s->version == 4 ? 20u + s->ip_options : 40, len = hdr + l4_len;

	memset(p, 0, hdr);
	if (s->version == 6) {
		ref_put32(p, 6u << 28 | (uint32_t)s->tos << 20 | s->label);
		ref_put16(p + 4, (unsigned)l4_len);
		p[6] = (uint8_t)s->proto;
		p[7] = s->ttl ? s->ttl : 64;
		p[8] = p[24] = 0xfd;
		p[23] = s->host ? s->host : 1;
		p[39] = 2;
		return hdr;
	}
	p[0] = (uint8_t)(4 << 4 | hdr / 4);
	p[1] = s->tos;
	ref_put16(p + 2, (unsigned)len);
	ref_put16(p + 4, s->id);
	ref_put16(p + 6, s->no_df ? 0 : 0x4000);
	p[8] = s->ttl ? s->ttl : 64;
	p[9] = (uint8_t)s->proto;
	memcpy(p + 12, (uint8_t[]){ 10, 77, 0, s->host ? s->host : 1, 10, 77, 0, 2 }, 8);
	memset(p + 20, 1, s->ip_options);
	ref_ip4_checksum(p);
	return hdr;
}

/* Writes the packet with a right (or a partial) checksum; returns its length. */
static inline size_t
build(uint8_t *p, const struct spec *s, bool partial)
{
	size_t l4_hdr = s->proto == 6 ? 20u + s->options : 8, l4, len;
	uint8_t *t;

	l4 = build_ip(p, s, l4_hdr + s->payload);
	len = l4 + l4_hdr + s->payload;
	t = p + l4;
	memset(t, 0, l4_hdr);
	ref_put16(t, s->sport ? s->sport : 40000);
	ref_put16(t + 2, s->dport ? s->dport : 5201);
	if (s->proto == 6) {
		ref_put32(t + 4, s->seq);
		ref_put32(t + 8, s->ack);
		t[12] = (uint8_t)(l4_hdr / 4 << 4);
		t[13] = s->tcp_flags;
		ref_put16(t + 14, s->window ? s->window : 500);
		for (unsigned i = 0; i < s->options; i++)
			t[20 + i] = (uint8_t)(i + 1);
	} else if (s->proto == 17) {
		ref_put16(t + 4, (unsigned)(l4_hdr + s->payload));
	} else {
		t[0] = s->proto == 1 ? 8 : 128;
		t[1] = 0;
	}
	for (size_t i = 0; i < s->payload; i++)
		p[l4 + l4_hdr + i] = (uint8_t)((s->fill + i) * 131 >> 3);
	if (partial)
		ref_make_partial(p, len);
	else
		ref_make_full(p, len);
	return len;
}

#endif
