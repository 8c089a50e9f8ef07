/*
 * The header that a TUN with IFF_VNET_HDR puts before each packet (virtio 1.2 section 5.1.6), in the byte order of the
 * host as Linux has it by default. Debian 12's headers do not know UDP_L4 yet, hence our own names.
 */
#ifndef VPND_VNET_H
#define VPND_VNET_H

#include <stdint.h>

#define VNET_HDR_LEN		10u	/* what the kernel uses unless TUNSETVNETHDRSZ said otherwise */
#define VNET_HDR_LEN_MAX	12u	/* with num_buffers */

#define VNET_F_NEEDS_CSUM	1
#define VNET_F_DATA_VALID	2

#define VNET_GSO_NONE		0
#define VNET_GSO_TCPV4		1
#define VNET_GSO_TCPV6		4
#define VNET_GSO_UDP_L4		5
#define VNET_GSO_ECN		0x80

struct vnet_hdr {
	uint8_t		flags;
	uint8_t		gso_type;
	uint16_t	hdr_len;
	uint16_t	gso_size;
	uint16_t	csum_start;
	uint16_t	csum_offset;
};
_Static_assert(sizeof(struct vnet_hdr) == VNET_HDR_LEN, "the kernel's layout");

#endif
