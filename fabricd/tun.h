/* The TUN device: made here, read and written by vpnd. */
#ifndef FABRICD_TUN_H
#define FABRICD_TUN_H

#include "fabricd/conf.h"

struct tun {
	int		fd;		/* -1: none */
	unsigned	ifindex;	/* 0: handed in, not ours to configure */
	bool		vnet_hdr, offload;
};

/* Makes the interface, or attaches to a persistent one that nobody uses. No address, not up. 0, or -1 and err. */
int	tun_open(struct tun *, const char *ifname, char err[CONF_ERR_MAX]);

/* Takes one descriptor from whoever listens on the unix socket. 0, or -1 and err. */
int	tun_receive(struct tun *, const char *path, char err[CONF_ERR_MAX]);

/* Whether the interface is there and up. */
bool	tun_is_up(const struct tun *);

#endif
