#include "vpnd/classify.h"

#define DSCPS 64

/*
 * RFC 4594 and RFC 8622. What is not named is treated as best effort: the ports decide. OpenSSH marks what is typed
 * AF21 or EF and its copies CS1 or nothing.
 */
static const uint8_t by_dscp[DSCPS] = {
	[1] = 1 + CLASS_DROPPABLE,						/* LE */
	[8] = 1 + CLASS_BULK,							/* CS1 */
	[10] = 1 + CLASS_BULK, [12] = 1 + CLASS_BULK, [14] = 1 + CLASS_BULK,	/* AF1x */
	[16] = 1 + CLASS_INTERACTIVE,						/* CS2: operations */
	[18] = 1 + CLASS_INTERACTIVE, [20] = 1 + CLASS_INTERACTIVE, [22] = 1 + CLASS_INTERACTIVE,	/* AF2x */
	[24] = 1 + CLASS_RELIABLE,						/* CS3: video */
	[26] = 1 + CLASS_RELIABLE, [28] = 1 + CLASS_RELIABLE, [30] = 1 + CLASS_RELIABLE,		/* AF3x */
	[32] = 1 + CLASS_INTERACTIVE,						/* CS4 */
	[34] = 1 + CLASS_INTERACTIVE, [36] = 1 + CLASS_INTERACTIVE, [38] = 1 + CLASS_INTERACTIVE,	/* AF4x */
	[40] = 1 + CLASS_INTERACTIVE,						/* CS5 */
	[44] = 1 + CLASS_INTERACTIVE, [46] = 1 + CLASS_INTERACTIVE,		/* VA, EF */
	[48] = 1 + CLASS_INTERACTIVE, [56] = 1 + CLASS_INTERACTIVE,		/* CS6, CS7 */
};

/* -1: this port says nothing. */
static int
by_port(uint16_t port)
{
	switch (port) {
	case 53:	/* DNS */
	case 853:	/* DNS over TLS or QUIC */
	case 5353:	/* multicast DNS, asked by unicast */
		return CLASS_DNS;
	case 22:	/* ssh: one that copies files says so in its DSCP */
	case 23:	/* telnet */
	case 123:	/* NTP */
	case 3389:	/* RDP */
	case 3478:	/* STUN, TURN */
	case 5060:	/* SIP */
	case 5061:
	case 5900:	/* VNC */
	case 5901:
		return CLASS_INTERACTIVE;
	case 20:	/* FTP data */
	case 873:	/* rsync */
		return CLASS_BULK;
	default:
		return -1;
	}
}

enum traffic_class
classify_packet(const struct ip_packet *ip)
{
	int class = by_dscp[ip->tos >> 2] - 1;

	if (class != -1)
		return (enum traffic_class)class;
	if (ip->proto == IP_ICMP || ip->proto == IP_ICMP6)
		return CLASS_INTERACTIVE;
	if (ip->l4_hdr != 0) {
		class = by_port(ip->dport);
		if (class == -1)
			class = by_port(ip->sport);
	}
	return class == -1 ? CLASS_RELIABLE : (enum traffic_class)class;
}
