/* Errors that go back to the sender of a packet, through the TUN that it came from (RFC 792, RFC 4443, RFC 1812). */
#ifndef VPND_ICMP_H
#define VPND_ICMP_H

#include "vpnd/ip.h"

#define ICMP_MAX	IP_MTU_MIN6	/* bytes of an error; over IPv4 less */

enum icmp_kind {
	ICMP_TOO_BIG,		/* `mtu` fits */
	ICMP_NO_ROUTE,		/* no peer has this destination */
	ICMP_HOST,		/* the peer that has it cannot be reached now */
	ICMP_PROHIBITED,	/* not from this source, or not to that destination */
};

/*
 * Writes the error about `ip` to out (ICMP_MAX bytes) and returns its length. 0: there must not be one, since the
 * packet is an ICMP error itself, a later fragment, or one of its addresses is no single host's.
 *
 * It comes from the destination's address: the node's own would look forged to its kernel, which checks that a packet
 * from an interface could have come from there.
 */
size_t	icmp_error(uint8_t out[ICMP_MAX], const struct ip_packet *ip, enum icmp_kind kind, uint32_t mtu);

#endif
