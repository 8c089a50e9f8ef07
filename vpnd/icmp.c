#include "vpnd/icmp.h"

#include <string.h>

#include "vpnd/checksum.h"

#define ICMP_HDR_LEN	8u
#define ICMP4_MAX	576u	/* RFC 1812 section 4.3.2.3 */
#define ICMP_HOPS	64
#define ICMP_TOS	0xc0	/* CS6: control */

struct code {
	uint8_t type, code;
};

static const struct code codes4[] = {
	[ICMP_TOO_BIG] = { 3, 4 }, [ICMP_NO_ROUTE] = { 3, 0 }, [ICMP_HOST] = { 3, 1 }, [ICMP_PROHIBITED] = { 3, 13 },
};
static const struct code codes6[] = {
	[ICMP_TOO_BIG] = { 2, 0 }, [ICMP_NO_ROUTE] = { 1, 0 }, [ICMP_HOST] = { 1, 3 }, [ICMP_PROHIBITED] = { 1, 1 },
};

/* Only questions and answers are no errors; of any other type one is not sure. */
static bool
is_icmp_error(const struct ip_packet *ip)
{
	const uint8_t *l4 = ip->data + ip->l4;

	if (ip->proto == IP_ICMP6 && ip->version == 6)
		return ip->len == ip->l4 || l4[0] < 128;
	if (ip->proto != IP_ICMP || ip->version != 4)
		return false;
	if (ip->len == ip->l4)
		return true;
	return l4[0] != 0 && l4[0] != 8 && (l4[0] < 13 || l4[0] > 18);
}

static bool
may_answer(const struct ip_packet *ip)
{
	return ip->first && !is_icmp_error(ip) && !ip_bogus_source(ip) && !ip_not_unicast(ip);
}

static void
write_ip4(uint8_t *out, const struct ip_packet *ip, size_t len)
{
	memset(out, 0, IP_HDR4_LEN);
	out[0] = 0x45;
	out[1] = ICMP_TOS;
	put16(out + 2, (uint16_t)len);
	out[8] = ICMP_HOPS;
	out[9] = IP_ICMP;
	memcpy(out + 12, ip->dst, 4);
	memcpy(out + 16, ip->src, 4);
	csum_ip4_set(out, IP_HDR4_LEN);
}

static void
write_ip6(uint8_t *out, const struct ip_packet *ip, size_t len)
{
	memset(out, 0, IP_HDR6_LEN);
	out[0] = 0x60 | ICMP_TOS >> 4;
	out[1] = (uint8_t)(ICMP_TOS << 4);
	put16(out + 4, (uint16_t)(len - IP_HDR6_LEN));
	out[6] = IP_ICMP6;
	out[7] = ICMP_HOPS;
	memcpy(out + 8, ip->dst, 16);
	memcpy(out + 24, ip->src, 16);
}

size_t
icmp_error(uint8_t out[ICMP_MAX], const struct ip_packet *ip, enum icmp_kind kind, uint32_t mtu)
{
	bool v4 = ip->version == 4;
	size_t hdr = v4 ? IP_HDR4_LEN : IP_HDR6_LEN;
	size_t room = (v4 ? ICMP4_MAX : ICMP_MAX) - hdr - ICMP_HDR_LEN;
	size_t quote = ip->len < room ? ip->len : room;
	size_t len = hdr + ICMP_HDR_LEN + quote;
	const struct code *c = v4 ? &codes4[kind] : &codes6[kind];
	uint8_t *icmp = out + hdr;
	uint64_t sum = 0;

	if (!may_answer(ip))
		return 0;
	memset(icmp, 0, ICMP_HDR_LEN);
	icmp[0] = c->type;
	icmp[1] = c->code;
	if (kind == ICMP_TOO_BIG)
		put32(icmp + 4, mtu);	/* RFC 1191: the upper half stays 0 */
	memcpy(icmp + ICMP_HDR_LEN, ip->data, quote);
	if (v4) {
		write_ip4(out, ip, len);
	} else {
		struct ip_packet pseudo = { .version = 6, .proto = IP_ICMP6, .src = out + 8 };

		write_ip6(out, ip, len);
		sum = csum_pseudo(&pseudo, (uint32_t)(len - hdr));
	}
	put16(icmp + 2, (uint16_t)~csum_fold(csum_add(sum, icmp, len - hdr)));
	return len;
}
