/* The Internet checksum (RFC 1071), whole and in parts. Sums are in the byte order of memory until csum_fold(). */
#ifndef VPND_CHECKSUM_H
#define VPND_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "vpnd/ip.h"

/* Adds `len` bytes to `sum`. A part that is not the last must have an even length. */
uint64_t	csum_add(uint64_t sum, const uint8_t *p, size_t len);

/* Adds one 16-bit value that stands at an even place. */
uint64_t	csum_add16(uint64_t sum, uint16_t v);

/* The 16-bit one's complement sum, in host order of a big-endian field: put16() stores it. Not complemented. */
uint16_t	csum_fold(uint64_t sum);

/* The pseudo-header's sum of ip for a transport header and payload of l4_len bytes. */
uint64_t	csum_pseudo(const struct ip_packet *ip, uint32_t l4_len);

/* Recomputes the IPv4 header checksum of a header of `len` bytes. */
void	csum_ip4_set(uint8_t *hdr, size_t len);

/*
 * RFC 1624: the checksum field after a 16-bit field of what it covers changed from `old` to `new`.
 */
uint16_t	csum_update16(uint16_t csum, uint16_t old, uint16_t new);

/* Where the transport checksum of TCP, UDP and ICMPv6 stands in its header; 0 for any other. */
unsigned	csum_field(uint8_t proto);

/* 0 when the TCP or UDP checksum of the packet (no fragment) is right; a UDP checksum of 0 over IPv4 is not. */
int	csum_l4_verify(const struct ip_packet *ip);

/*
 * Completes a partial checksum: sums from `start` to the end of the packet, the field at start + offset included
 * (it holds the pseudo-header's sum), and stores the complement there. -1 when the field lies outside.
 */
int	csum_complete(uint8_t *pkt, size_t len, size_t start, size_t offset);

#endif
