/* rtnetlink, as much as an interface of ours needs. Each is one request and its answer: 0, or -1 with errno. */
#ifndef FABRICD_RTNL_H
#define FABRICD_RTNL_H

#include <stdbool.h>

#include "proc/procmsg.h"

/* Who put a route there, as `ip route` shows it. */
#define RTNL_PROTO 0xfa

unsigned rtnl_ifindex(const char *ifname);	/* 0 with errno */
bool	rtnl_is_up(unsigned ifindex);

/* MTU, queue length in packets, bytes of a superpacket at most, no link-local addresses of the kernel's own, up. */
int	rtnl_link(unsigned ifindex, unsigned mtu, unsigned txqlen, unsigned gso_max);

/* Adding what is there already is no error; nor is removing what is not. */
int	rtnl_address(unsigned ifindex, const struct record_prefix *, bool add);
int	rtnl_route(unsigned ifindex, const struct record_prefix *, bool add);

#endif
