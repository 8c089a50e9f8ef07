/*
 * The opposite of segmenting: consecutive packets of a flow become one superpacket that the kernel takes in one write.
 * The rules are those of the kernel's own GRO: what comes out, cut again, is what went in.
 *
 * Several flows may be interleaved; the order within a flow is kept. Nothing is held back beyond coalesce_flush(),
 * which belongs at the end of every batch.
 */
#ifndef VPND_COALESCE_H
#define VPND_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vpnd/ip.h"
#include "vpnd/vnet.h"

#define COALESCE_SLOTS	16u		/* flows that are collected at once, 64 KiB each */
#define COALESCE_SEGS	64u		/* segments of a UDP superpacket: the kernel's own limit */

struct coalescer;

struct coalesce_config {
	bool	 vnet_hdr;	/* the TUN takes a header; without it checksums are completed here and nothing is merged */
	bool	 tcp, udp;	/* which superpackets it takes */
	uint64_t seed;		/* of the flows' hash */
	/* Writes one packet or superpacket; h is NULL without vnet_hdr. The bytes are the caller's after the call. */
	void	(*write)(void *arg, const struct vnet_hdr *h, const uint8_t *pkt, size_t len);
	void	*arg;
};

/* NULL with errno when memory is short. */
struct coalescer *coalesce_new(const struct coalesce_config *);
void	coalesce_free(struct coalescer *);

/* From now on these kinds only; for a kernel that refuses one. Anything collected is written first. */
void	coalesce_set(struct coalescer *, bool tcp, bool udp);

/*
 * One packet that ip_parse() accepted. `partial`: its TCP or UDP checksum field holds only the pseudo-header's sum;
 * the caller has seen that it is TCP or UDP and no fragment.
 */
void	coalesce_add(struct coalescer *, const struct ip_packet *ip, bool partial);

/* Writes all that is collected. */
void	coalesce_flush(struct coalescer *);

#endif
