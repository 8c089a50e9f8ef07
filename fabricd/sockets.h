/* Sockets towards the network: opened and bound here, used elsewhere. */
#ifndef FABRICD_SOCKETS_H
#define FABRICD_SOCKETS_H

#include "fabricd/conf.h"

/* A bound UDP socket with everything set that needs privilege or precedes the first packet; *bound is its address. */
int	sockets_udp(const struct pm_addr *, bool gso, struct pm_addr *bound, char err[CONF_ERR_MAX]);
/* The same socket, after another configuration. */
void	sockets_udp_gro(int fd, bool gso);

/* A listening TCP socket; `what' names it in errors. */
int	sockets_tcp(const struct pm_addr *, const char *what, char err[CONF_ERR_MAX]);

/* The same for connections that carry other people's bytes: what they inherit is set here, once for all. */
int	sockets_forward(const struct pm_addr *, char err[CONF_ERR_MAX]);

/* A non-blocking TCP socket that is connected to the address, or on its way. -1 with errno. */
int	sockets_connect(const struct pm_addr *);

#endif
