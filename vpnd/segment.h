/*
 * Cuts a superpacket (TCP or UDP, as a TUN with TUNSETOFFLOAD gives it) into packets. The transport checksum of each
 * stays partial: its field holds the pseudo-header's sum for its own length, so that no payload is summed here.
 */
#ifndef VPND_SEGMENT_H
#define VPND_SEGMENT_H

#include "vpnd/ip.h"
#include "vpnd/vnet.h"

#define SEGMENT_HDR_MAX	(60u + 60u)	/* IPv4 with options and TCP with options; IPv6 with few extensions */

enum segment_error {
	SEGMENT_OK = 0,
	SEGMENT_E_TYPE = -1,	/* a kind of superpacket that was not asked for */
	SEGMENT_E_PACKET = -2,	/* the packet is not what the header says */
	SEGMENT_E_CSUM = -3,	/* no partial checksum where one has to be */
};

struct segmenter {
	const uint8_t	*data;
	uint64_t	 pseudo;	/* of addresses and protocol, without a length */
	uint64_t	 ip_sum;	/* IPv4 header without length, id and checksum */
	uint32_t	 hdr_len;	/* IP and transport header */
	uint32_t	 payload;	/* bytes behind it */
	uint32_t	 size;		/* payload bytes of each but the last */
	uint32_t	 count;
	uint32_t	 seq;		/* TCP */
	uint16_t	 id;		/* IPv4 */
	uint16_t	 l4;
	uint8_t		 version;
	uint8_t		 proto;
};

/*
 * Prepares to cut the superpacket that `ip` (from ip_parse_super()) describes. `size_max` bounds the payload of a TCP
 * segment further than gso_size does, since TCP may be cut anywhere; UDP is always cut at gso_size. 0: no bound.
 */
int	segment_init(struct segmenter *, const struct vnet_hdr *, const struct ip_packet *ip, uint32_t size_max);

/* The length of segment i < count. */
static inline uint32_t
segment_len(const struct segmenter *s, uint32_t i)
{
	return s->hdr_len + (i + 1 < s->count ? s->size : s->payload - (s->count - 1) * s->size);
}

/* Writes segment i, segment_len() bytes. */
void	segment_write(const struct segmenter *, uint32_t i, uint8_t *out);

#endif
