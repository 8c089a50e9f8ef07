/* UDP sockets: batches in and out, with UDP_GRO and UDP_SEGMENT where the kernel has them. */
#ifndef DATAPLANE_UDP_H
#define DATAPLANE_UDP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "proc/procmsg.h"

#define UDP_BATCH_MAX	65507u		/* bytes one send takes */
#define UDP_SEGMENTS_MAX 64u		/* UDP_MAX_SEGMENTS of Linux before 6.9 */
#define UDP_RECV_MSGS	8u
#define UDP_RECV_LEN	65536u

struct dataplane;
struct event;

/* The own address of a datagram, as IP_PKTINFO tells it; family 0: not known, the kernel chooses. */
struct udp_local {
	uint8_t	family;
	uint8_t	addr[16];
	unsigned ifindex;	/* link-local IPv6 only */
};

struct udp_meta {
	const struct sockaddr *remote;
	socklen_t	remote_len;
	struct udp_local local;
	uint8_t		ecn;
};

struct udp_sock {
	struct dataplane *dp;
	int		fd;
	int		family;
	struct sockaddr_storage bound;
	socklen_t	bound_len;
	struct pm_addr	addr;
	struct event	*read, *write;
	bool		gso, gro;
	bool		blocked;	/* pending waits for the socket */
	uint8_t		*pending;
	size_t		pending_len, pending_segment;
	struct sockaddr_storage pending_to;
	socklen_t	pending_to_len;
	struct udp_local pending_from;
	uint8_t		pending_ecn;
};

/* Takes fd, which is bound. NULL with errno. */
struct udp_sock *udp_new(struct dataplane *, int fd, const struct pm_addr *, bool gso);
void	udp_free(struct udp_sock *);
void	udp_set_gso(struct udp_sock *, bool on);

/*
 * Sends buf as datagrams of `segment` bytes, the last may be shorter. 0 when it is sent, lost to an error that is counted,
 * or kept as the socket's pending batch; then sock->blocked is set, and nothing may be sent until it is clear.
 */
void	udp_send(struct udp_sock *, const struct sockaddr *to, socklen_t to_len, struct udp_local *from, uint8_t ecn,
	    const uint8_t *buf, size_t len, size_t segment);

int	udp_addr_to_sockaddr(const struct pm_addr *, struct sockaddr_storage *, socklen_t *);
void	udp_addr_from_sockaddr(const struct sockaddr *, struct pm_addr *);

#endif
