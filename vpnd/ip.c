#include "vpnd/ip.h"

#include <string.h>

static int
parse_tcp(struct ip_packet *ip, const uint8_t *l4, size_t len)
{
	size_t hdr;

	if (len < TCP_HDR_LEN)
		return IP_E_SHORT;
	hdr = (size_t)(l4[12] >> 4) * 4;
	if (hdr < TCP_HDR_LEN || hdr > len)
		return IP_E_HEADER;
	ip->l4_hdr = (uint16_t)hdr;
	return IP_OK;
}

static int
parse_udp(struct ip_packet *ip, const uint8_t *l4, size_t len, bool super)
{
	size_t udp_len;

	if (len < UDP_HDR_LEN)
		return IP_E_SHORT;
	udp_len = get16(l4 + 4);
	/* Shorter than the IP payload is UDP with options behind it (RFC 9868). */
	if (!super && (udp_len < UDP_HDR_LEN || udp_len > len))
		return IP_E_LENGTH;
	ip->l4_hdr = UDP_HDR_LEN;
	return IP_OK;
}

static int
parse_l4(struct ip_packet *ip, bool super)
{
	const uint8_t *l4 = ip->data + ip->l4;
	size_t len = ip->len - ip->l4;
	int err = IP_OK;

	ip->l4_hdr = 0;
	ip->sport = ip->dport = 0;
	if (ip->fragment || (ip->proto != IP_TCP && ip->proto != IP_UDP))
		return IP_OK;
	if (ip->proto == IP_TCP)
		err = parse_tcp(ip, l4, len);
	else
		err = parse_udp(ip, l4, len, super);
	if (err != IP_OK)
		return err;
	ip->sport = get16(l4);
	ip->dport = get16(l4 + 2);
	return IP_OK;
}

static int
parse4(struct ip_packet *ip, const uint8_t *p, size_t len, bool super)
{
	size_t hdr;
	uint16_t off;

	if (len < IP_HDR4_LEN)
		return IP_E_SHORT;
	hdr = (size_t)(p[0] & 0x0f) * 4;
	if (hdr < IP_HDR4_LEN)
		return IP_E_HEADER;
	if (hdr > len)
		return IP_E_SHORT;
	if (len > IP_PACKET_MAX || (!super && get16(p + 2) != len))
		return IP_E_LENGTH;
	off = get16(p + 6);
	ip->version = 4;
	ip->src = p + 12;
	ip->dst = p + 16;
	ip->tos = p[1];
	ip->proto = p[9];
	ip->df = (off & 0x4000) != 0;
	ip->fragment = (off & 0x3fff) != 0;
	ip->first = (off & 0x1fff) == 0;
	ip->plain = hdr == IP_HDR4_LEN && !ip->fragment;
	ip->l4 = (uint16_t)hdr;
	return parse_l4(ip, super);
}

/* The length of the extension header of kind `next` at p, or 0 when it is not one that has a length. */
static size_t
ext_len(uint8_t next, const uint8_t *p)
{
	switch (next) {
	case IP_HOPOPTS:
	case IP_ROUTING:
	case IP_DSTOPTS:
		return ((size_t)p[1] + 1) * 8;
	case IP_FRAGMENT:
		return 8;
	case IP_AH:
		return ((size_t)p[1] + 2) * 4;
	default:
		return 0;
	}
}

static bool
is_ext(uint8_t next)
{
	return next == IP_HOPOPTS || next == IP_ROUTING || next == IP_DSTOPTS || next == IP_FRAGMENT || next == IP_AH;
}

/* Walks the extension headers from offset 40; sets proto, l4 and what a fragment header says. */
static int
walk_ext(struct ip_packet *ip)
{
	const uint8_t *p = ip->data;
	size_t off = IP_HDR6_LEN, n;
	uint8_t next = p[6];

	for (unsigned i = 0; is_ext(next); i++) {
		if (i == IP_EXT_MAX || (next == IP_HOPOPTS && i != 0))
			return IP_E_EXT;
		if (ip->len - off < 8)
			return IP_E_SHORT;
		n = ext_len(next, p + off);
		if (n < 8 || n > ip->len - off)
			return IP_E_EXT;
		if (next == IP_FRAGMENT) {
			if (ip->fragment)
				return IP_E_EXT;
			/* An atomic fragment (RFC 6946) counts as one too: its transport header is left alone. */
			ip->fragment = true;
			ip->first = (get16(p + off + 2) & 0xfff8) == 0;
		}
		next = p[off];
		off += n;
		if (ip->fragment && !ip->first)
			break;	/* what follows is the middle of something */
	}
	ip->proto = next;
	ip->plain = off == IP_HDR6_LEN;
	ip->l4 = (uint16_t)off;
	return IP_OK;
}

static int
parse6(struct ip_packet *ip, const uint8_t *p, size_t len, bool super)
{
	int err;

	if (len < IP_HDR6_LEN)
		return IP_E_SHORT;
	/* No jumbograms: a payload length of 0 with more behind it is refused with the rest. */
	if (len > IP_PACKET_MAX || (!super && get16(p + 4) != len - IP_HDR6_LEN))
		return IP_E_LENGTH;
	ip->version = 6;
	ip->src = p + 8;
	ip->dst = p + 24;
	ip->tos = (uint8_t)(p[0] << 4 | p[1] >> 4);
	ip->df = true;
	ip->fragment = false;
	ip->first = true;
	err = walk_ext(ip);
	return err != IP_OK ? err : parse_l4(ip, super);
}

static int
parse(struct ip_packet *ip, const uint8_t *data, size_t len, bool super)
{
	if (len == 0)
		return IP_E_SHORT;
	ip->data = data;
	ip->len = (uint32_t)len;
	switch (data[0] >> 4) {
	case 4:
		return parse4(ip, data, len, super);
	case 6:
		return parse6(ip, data, len, super);
	default:
		return IP_E_VERSION;
	}
}

int
ip_parse(struct ip_packet *ip, const uint8_t *data, size_t len)
{
	return parse(ip, data, len, false);
}

int
ip_parse_super(struct ip_packet *ip, const uint8_t *data, size_t len)
{
	return parse(ip, data, len, true);
}

const char *
ip_strerror(int err)
{
	static const char *const text[] = {
		"no error", "ends inside a header", "neither IPv4 nor IPv6", "length field differs",
		"impossible header length", "malformed extension headers"
	};

	if (err > 0 || (size_t)-err >= sizeof(text) / sizeof(text[0]))
		return "unknown";
	return text[-err];
}

static bool
bogus4(const uint8_t *a)
{
	return a[0] == 0 || a[0] == 127 || a[0] >= 224 || (a[0] == 169 && a[1] == 254);
}

static bool
bogus6(const uint8_t *a)
{
	static const uint8_t zero[15];

	if (a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80))
		return true;
	if (memcmp(a, zero, 10) == 0 && a[10] == 0xff && a[11] == 0xff)
		return true;	/* ::ffff:0:0/96 */
	return memcmp(a, zero, 15) == 0 && a[15] <= 1;
}

bool
ip_bogus_source(const struct ip_packet *ip)
{
	return ip->version == 4 ? bogus4(ip->src) : bogus6(ip->src);
}

bool
ip_not_unicast(const struct ip_packet *ip)
{
	return ip->version == 4 ? bogus4(ip->dst) : bogus6(ip->dst);
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

uint32_t
ip_flow_hash(const struct ip_packet *ip, uint64_t seed)
{
	uint64_t h = mix(seed, (uint64_t)ip->proto << 32 | (uint32_t)ip->sport << 16 | ip->dport);

	if (ip->version == 4) {
		h = mix(h, load64(ip->src));	/* source and destination are neighbours */
	} else {
		h = mix(h, load64(ip->src));
		h = mix(h, load64(ip->src + 8));
		h = mix(h, load64(ip->src + 16));
		h = mix(h, load64(ip->src + 24));
	}
	return (uint32_t)(h >> 32);
}
