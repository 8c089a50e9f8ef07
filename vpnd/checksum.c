#include "vpnd/checksum.h"

#include <arpa/inet.h>
#include <string.h>

static inline uint64_t
load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Halves of 32 bits go into 64-bit sums: no carry to keep, and the four chains are independent. */
static inline void
add64(uint64_t *a, uint64_t *b, uint64_t v)
{
	*a += v & 0xffffffffu;
	*b += v >> 32;
}

uint64_t
csum_add(uint64_t sum, const uint8_t *p, size_t len)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;
	uint16_t last = 0;

	for (; len >= 32; len -= 32, p += 32) {
		add64(&a, &b, load(p));
		add64(&c, &d, load(p + 8));
		add64(&a, &b, load(p + 16));
		add64(&c, &d, load(p + 24));
	}
	for (; len >= 8; len -= 8, p += 8)
		add64(&a, &b, load(p));
	for (; len >= 2; len -= 2, p += 2) {
		memcpy(&last, p, 2);
		c += last;
	}
	if (len != 0) {
		last = 0;
		memcpy(&last, p, 1);
		d += last;
	}
	/* Each part is below 2^48 for any packet, so adding them cannot overflow. */
	return sum + a + b + c + d;
}

uint64_t
csum_add16(uint64_t sum, uint16_t v)
{
	return sum + htons(v);
}

uint16_t
csum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffffu);
	sum = (sum >> 16 & 0xffff) + (sum & 0xffff) + (sum >> 32);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return ntohs((uint16_t)sum);
}

uint64_t
csum_pseudo(const struct ip_packet *ip, uint32_t l4_len)
{
	uint64_t sum = csum_add(0, ip->src, ip->version == 4 ? 8 : 32);	/* src and dst are neighbours */

	sum = csum_add16(sum, (uint16_t)(l4_len >> 16));
	sum = csum_add16(sum, (uint16_t)l4_len);
	return csum_add16(sum, ip->proto);
}

void
csum_ip4_set(uint8_t *hdr, size_t len)
{
	put16(hdr + 10, 0);
	put16(hdr + 10, (uint16_t)~csum_fold(csum_add(0, hdr, len)));
}

uint16_t
csum_update16(uint16_t csum, uint16_t old, uint16_t new)
{
	uint32_t sum = (uint32_t)(uint16_t)~csum + (uint16_t)~old + new;

	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

unsigned
csum_field(uint8_t proto)
{
	switch (proto) {
	case IP_TCP:
		return 16;
	case IP_UDP:
		return 6;
	case IP_ICMP6:
		return 2;
	default:
		return 0;
	}
}

int
csum_l4_verify(const struct ip_packet *ip)
{
	const uint8_t *l4 = ip->data + ip->l4;
	uint32_t len = ip->len - ip->l4;

	if (ip->l4_hdr == 0)
		return -1;
	if (ip->proto == IP_UDP) {
		len = get16(l4 + 4);
		if (get16(l4 + 6) == 0)
			return -1;
	}
	return csum_fold(csum_add(csum_pseudo(ip, len), l4, len)) == 0xffff ? 0 : -1;
}

int
csum_complete(uint8_t *pkt, size_t len, size_t start, size_t offset)
{
	uint16_t sum;

	if (start > len || offset > len - start || len - start - offset < 2)
		return -1;
	sum = (uint16_t)~csum_fold(csum_add(0, pkt + start, len - start));
	/* 0 would say "no checksum" to UDP; 0xffff is the same number in one's complement. */
	put16(pkt + start + offset, sum == 0 ? 0xffff : sum);
	return 0;
}
