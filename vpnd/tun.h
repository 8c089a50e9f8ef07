/* The TUN device: a descriptor that the supervisor opened, or Android's VpnService. */
#ifndef VPND_TUN_H
#define VPND_TUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vpnd/ip.h"
#include "vpnd/vnet.h"

#define TUN_READ_ROOM	(IP_PACKET_MAX + 1 + VNET_HDR_LEN_MAX)

struct tun {
	int	 fd;			/* -1: none */
	bool	 vnet_hdr;
	uint8_t	 hdr_len;		/* bytes before each packet: 0 without vnet_hdr */
	uint8_t	 buf[TUN_READ_ROOM];
};

enum tun_result { TUN_OK = 1, TUN_EMPTY = 0, TUN_ERROR = -1, TUN_REFUSED = -2, TUN_FULL = -3 };

/* Takes ownership of fd and makes it non-blocking. -1 with errno. */
int	tun_attach(struct tun *, int fd, bool vnet_hdr);
void	tun_detach(struct tun *);

/*
 * Reads one packet or superpacket: TUN_OK and its header (zeroes without vnet_hdr), bytes (in tun->buf, until the next
 * read) and length. TUN_EMPTY: none is waiting. TUN_ERROR with errno.
 */
int	tun_read(struct tun *, struct vnet_hdr *h, uint8_t **pkt, size_t *len);

/*
 * Writes one. TUN_REFUSED: this kernel does not take such a header (EINVAL); TUN_FULL: it has no room;
 * TUN_ERROR with errno: the device is down, or gone.
 */
int	tun_write(struct tun *, const struct vnet_hdr *h, const uint8_t *pkt, size_t len);

#endif
