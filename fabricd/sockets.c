#include "fabricd/sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define BUFFER (4 * 1024 * 1024)
#define BACKLOG 1024		/* net.core.somaxconn has its say as well */
#define KEEPALIVE_S 600

static socklen_t
to_sockaddr(struct sockaddr_storage *ss, const struct pm_addr *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (a->family == 4) {
		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->addr, 4);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(a->port);
	memcpy(&in6->sin6_addr, a->addr, 16);
	return sizeof(*in6);
}

static int
option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* More than net.core.[rw]mem_max where we may; else what there is. */
static void
set_buffers(int fd)
{
	if (option(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER) == -1)
		option(fd, SOL_SOCKET, SO_RCVBUF, BUFFER);
	if (option(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER) == -1)
		option(fd, SOL_SOCKET, SO_SNDBUF, BUFFER);
}

/*
 * Own address and ECN of each packet; no fragmentation, and no opinion of the kernel's about the path's
 * MTU, which QUIC finds out for itself.
 */
static int
set_options(int fd, unsigned family)
{
	if (family == 4)
		return option(fd, IPPROTO_IP, IP_PKTINFO, 1) | option(fd, IPPROTO_IP, IP_RECVTOS, 1) |
		    option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	return option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) | option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) |
	    option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) |
	    option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

static int
bound_address(int fd, const struct pm_addr *want, struct pm_addr *bound)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return -1;
	*bound = *want;
	bound->port = ntohs(want->family == 4 ? ((struct sockaddr_in *)&ss)->sin_port :
	    ((struct sockaddr_in6 *)&ss)->sin6_port);
	return 0;
}

void
sockets_udp_gro(int fd, bool gso)
{
	option(fd, SOL_UDP, UDP_GRO, gso);
}

int
sockets_udp(const struct pm_addr *a, bool gso, struct pm_addr *bound, char err[CONF_ERR_MAX])
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(&ss, a);
	char text[CONF_ADDR_MAX];
	int fd;

	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 || set_options(fd, a->family) != 0 || bind(fd, (struct sockaddr *)&ss, len) == -1 ||
	    bound_address(fd, a, bound) == -1) {
		snprintf(err, CONF_ERR_MAX, "listen on %s: %s", conf_addr_str(text, a), strerror(errno));
		if (fd != -1)
			close(fd);
		return -1;
	}
	set_buffers(fd);
	sockets_udp_gro(fd, gso);
	return fd;
}

int
sockets_tcp(const struct pm_addr *a, const char *what, char err[CONF_ERR_MAX])
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(&ss, a);
	char text[CONF_ADDR_MAX];
	int fd;

	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd != -1 && option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
	    (a->family == 4 || option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) == 0) &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	snprintf(err, CONF_ERR_MAX, "%s on %s: %s", what, conf_addr_str(text, a), strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}

/* A small write is not to wait for the ACK of the one before it; who vanished is to be found out. */
static void
stream_options(int fd)
{
	option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S);
}

int
sockets_forward(const struct pm_addr *a, char err[CONF_ERR_MAX])
{
	int fd = sockets_tcp(a, "listen", err);

	if (fd != -1)
		stream_options(fd);
	return fd;
}

int
sockets_connect(const struct pm_addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(&ss, a);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), saved;

	if (fd == -1)
		return -1;
	stream_options(fd);
	if (connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}
