/*
 * The headers of one IP packet, read with strict bounds. What is accepted here is what everything behind relies on:
 * the lengths in ip_packet lie within the packet.
 */
#ifndef VPND_IP_H
#define VPND_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP_PACKET_MAX	65535u
#define IP_MTU_MIN6	1280u	/* RFC 8200 section 5 */
#define IP_EXT_MAX	8u	/* IPv6 extension headers in a row; more than any honest packet has */

#define IP_HDR4_LEN	20u
#define IP_HDR6_LEN	40u
#define TCP_HDR_LEN	20u
#define UDP_HDR_LEN	8u

enum ip_proto {
	IP_HOPOPTS = 0, IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ROUTING = 43, IP_FRAGMENT = 44, IP_AH = 51,
	IP_ICMP6 = 58, IP_NONE = 59, IP_DSTOPTS = 60
};

enum ip_error {
	IP_OK = 0,
	IP_E_SHORT = -1,	/* ends inside a header */
	IP_E_VERSION = -2,	/* neither 4 nor 6 */
	IP_E_LENGTH = -3,	/* the length field is not the packet's length */
	IP_E_HEADER = -4,	/* a header's own length is impossible */
	IP_E_EXT = -5,		/* the chain of extension headers is malformed, out of order or too long */
};

struct ip_packet {
	const uint8_t	*data;		/* the packet; src and dst point into it */
	const uint8_t	*src, *dst;	/* 4 or 16 bytes */
	uint32_t	 len;
	uint16_t	 l4;		/* offset of the transport header: all IP headers are before it */
	uint16_t	 l4_hdr;	/* its length when proto is TCP or UDP and this is no fragment, else 0 */
	uint16_t	 sport, dport;	/* 0 when there are none, or the packet is a fragment */
	uint8_t		 version;	/* 4 or 6 */
	uint8_t		 proto;		/* after the extension headers */
	uint8_t		 tos;		/* DSCP and ECN */
	bool		 fragment;	/* first, middle or last */
	bool		 first;		/* holds the start of what the IP header carries */
	bool		 df;		/* IPv4's; IPv6 always */
	bool		 plain;		/* no options, no extension headers */
};

/*
 * Reads a whole packet of `len` bytes. IP_OK, or what is wrong with it. A transport that is not TCP, UDP or ICMP, and a
 * fragment, are fine; a TCP or UDP header that does not fit is not.
 */
int	ip_parse(struct ip_packet *ip, const uint8_t *data, size_t len);

/* As ip_parse(), but the length field need not be the packet's: for a superpacket, in which the kernel left it open. */
int	ip_parse_super(struct ip_packet *ip, const uint8_t *data, size_t len);

const char *ip_strerror(int err);

/* An address that nobody may use as a source between nodes: multicast, loopback, unspecified, link-local, mapped. */
bool	ip_bogus_source(const struct ip_packet *ip);

/* Multicast, broadcast or link-local: what the overlay does not carry. */
bool	ip_not_unicast(const struct ip_packet *ip);

/* The 5-tuple (addresses and protocol of a fragment) mixed into 32 bits. */
uint32_t	ip_flow_hash(const struct ip_packet *ip, uint64_t seed);

static inline uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

#endif
