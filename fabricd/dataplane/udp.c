#include "fabricd/dataplane/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "fabricd/dataplane/dp.h"
#include "fabricd/dataplane/quic.h"
#include "proc/stats.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define SOCKBUF (4 << 20)

/* Room for a segment size, an address and an ECN mark. */
#define CONTROL_LEN (CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)))

/* One event runs at a time: all sockets of the process share what a read lands in. */
static uint8_t recv_buf[UDP_RECV_MSGS][UDP_RECV_LEN];

int
udp_addr_to_sockaddr(const struct pm_addr *a, struct sockaddr_storage *ss, socklen_t *len)
{
	memset(ss, 0, sizeof(*ss));
	if (a->family == 4) {
		struct sockaddr_in *sin = (struct sockaddr_in *)(void *)ss;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(a->port);
		memcpy(&sin->sin_addr, a->addr, 4);
		*len = sizeof(*sin);
		return 0;
	}
	if (a->family == 6) {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)ss;

		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(a->port);
		memcpy(&sin6->sin6_addr, a->addr, 16);
		*len = sizeof(*sin6);
		return 0;
	}
	return -1;
}

void
udp_addr_from_sockaddr(const struct sockaddr *sa, struct pm_addr *a)
{
	memset(a, 0, sizeof(*a));
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)sa;

		a->family = 4;
		a->port = ntohs(sin->sin_port);
		memcpy(a->addr, &sin->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)(const void *)sa;

		a->family = 6;
		a->port = ntohs(sin6->sin6_port);
		memcpy(a->addr, &sin6->sin6_addr, 16);
	}
}

/* What one control message says of a datagram. */
static void
cmsg_take(struct cmsghdr *cm, struct udp_meta *meta, size_t *segment)
{
	if (cm->cmsg_level == SOL_UDP && cm->cmsg_type == UDP_GRO) {
		int v;

		memcpy(&v, CMSG_DATA(cm), sizeof(v));
		*segment = v > 0 ? (size_t)v : 0;
	} else if (cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo pi;

		memcpy(&pi, CMSG_DATA(cm), sizeof(pi));
		meta->local.family = 4;
		memcpy(meta->local.addr, &pi.ipi_addr, 4);
	} else if (cm->cmsg_level == IPPROTO_IPV6 && cm->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo pi;

		memcpy(&pi, CMSG_DATA(cm), sizeof(pi));
		meta->local.family = 6;
		memcpy(meta->local.addr, &pi.ipi6_addr, 16);
		meta->local.ifindex = IN6_IS_ADDR_LINKLOCAL(&pi.ipi6_addr) ? pi.ipi6_ifindex : 0;
	} else if (cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_TOS) {
		meta->ecn = *CMSG_DATA(cm) & 3;
	} else if (cm->cmsg_level == IPPROTO_IPV6 && cm->cmsg_type == IPV6_TCLASS) {
		int v;

		memcpy(&v, CMSG_DATA(cm), sizeof(v));
		meta->ecn = (uint8_t)(v & 3);
	}
}

/* One message of the kernel's: one datagram, or several that it put together. */
static void
message_take(struct udp_sock *us, struct msghdr *mh, uint8_t *buf, size_t len)
{
	struct udp_meta meta = { .remote = mh->msg_name, .remote_len = mh->msg_namelen };
	size_t segment = 0, n;

	if (mh->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		STAT_INC(DP_UDP_TRUNCATED);
		return;
	}
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm))
		cmsg_take(cm, &meta, &segment);
	if (segment == 0)
		segment = len;
	STAT_INC(DP_UDP_READS);
	if (len == 0)
		return;
	STAT_ADD(DP_UDP_DATAGRAMS_IN, (len + segment - 1) / segment);
	for (; len > 0; buf += n, len -= n) {
		if (express_is(*buf)) {
			n = express_input(us->dp, us, &meta, buf, len, segment);
			continue;
		}
		n = len < segment ? len : segment;
		quic_input(us->dp, us, &meta, buf, n);
	}
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
	struct udp_sock *us = arg;
	struct mmsghdr mm[UDP_RECV_MSGS];
	struct iovec iov[UDP_RECV_MSGS];
	struct sockaddr_storage from[UDP_RECV_MSGS];
	_Alignas(struct cmsghdr) uint8_t control[UDP_RECV_MSGS][CONTROL_LEN];
	int n;

	(void)what;
	dp_begin(us->dp);
	for (size_t i = 0; i < UDP_RECV_MSGS; i++) {
		iov[i] = (struct iovec){ recv_buf[i], UDP_RECV_LEN };
		memset(&mm[i], 0, sizeof(mm[i]));
		mm[i].msg_hdr = (struct msghdr){ .msg_name = &from[i], .msg_namelen = sizeof(from[i]),
		    .msg_iov = &iov[i], .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = CONTROL_LEN };
	}
	n = recvmmsg(fd, mm, UDP_RECV_MSGS, MSG_DONTWAIT, NULL);
	if (n == -1 && errno != EAGAIN && errno != EINTR)
		STAT_INC(DP_UDP_RECV_ERRORS);	/* an ICMP error of some earlier send; QUIC finds out by itself */
	for (int i = 0; i < n; i++)
		message_take(us, &mm[i].msg_hdr, recv_buf[i], mm[i].msg_len);
	dp_flush(us->dp);
}

static struct cmsghdr *
cmsg_put(struct msghdr *mh, int level, int type, const void *p, size_t len)
{
	struct cmsghdr *cm = (struct cmsghdr *)(void *)((uint8_t *)mh->msg_control + mh->msg_controllen);

	cm->cmsg_level = level;
	cm->cmsg_type = type;
	cm->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(cm), p, len);
	mh->msg_controllen += CMSG_SPACE(len);
	return cm;
}

static void
cmsg_local(struct msghdr *mh, const struct udp_local *from)
{
	if (from->family == 4) {
		struct in_pktinfo pi = { .ipi_ifindex = 0 };

		memcpy(&pi.ipi_spec_dst, from->addr, 4);
		cmsg_put(mh, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi));
	} else if (from->family == 6) {
		struct in6_pktinfo pi = { .ipi6_ifindex = from->ifindex };

		memcpy(&pi.ipi6_addr, from->addr, 16);
		cmsg_put(mh, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi));
	}
}

static void
cmsg_ecn(struct msghdr *mh, int family, uint8_t ecn)
{
	int v = ecn;

	if (family == AF_INET)
		cmsg_put(mh, IPPROTO_IP, IP_TOS, &v, sizeof(v));
	else
		cmsg_put(mh, IPPROTO_IPV6, IPV6_TCLASS, &v, sizeof(v));
}

/* One sendmsg. 0, or -1 with errno. */
static int
send_one(struct udp_sock *us, const struct sockaddr *to, socklen_t to_len, const struct udp_local *from, uint8_t ecn,
    const uint8_t *buf, size_t len, size_t segment)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_LEN];
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr mh = { .msg_name = (void *)(uintptr_t)to, .msg_namelen = to_len,
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };

	memset(control, 0, sizeof(control));
	cmsg_local(&mh, from);
	if (ecn != 0)
		cmsg_ecn(&mh, us->family, ecn);
	if (segment < len) {
		uint16_t v = (uint16_t)segment;

		cmsg_put(&mh, SOL_UDP, UDP_SEGMENT, &v, sizeof(v));
	}
	if (mh.msg_controllen == 0)
		mh.msg_control = NULL;
	while (sendmsg(us->fd, &mh, MSG_DONTWAIT) == -1)
		if (errno != EINTR)
			return -1;
	STAT_INC(DP_UDP_WRITES);
	STAT_ADD(DP_UDP_DATAGRAMS_OUT, (len + segment - 1) / segment);
	return 0;
}

static void
pend(struct udp_sock *us, const struct sockaddr *to, socklen_t to_len, const struct udp_local *from, uint8_t ecn,
    const uint8_t *buf, size_t len, size_t segment)
{
	if (us->pending == NULL && (us->pending = malloc(UDP_BATCH_MAX)) == NULL) {
		STAT_INC(DP_UDP_SEND_ERRORS);
		return;
	}
	memcpy(us->pending, buf, len);
	us->pending_len = len;
	us->pending_segment = segment;
	memcpy(&us->pending_to, to, to_len);
	us->pending_to_len = to_len;
	us->pending_from = *from;
	us->pending_ecn = ecn;
	us->blocked = true;
	STAT_INC(DP_UDP_BLOCKED);
	event_add(us->write, NULL);
}

static int
gso_off(struct udp_sock *us)
{
	us->gso = false;
	STAT_INC(DP_UDP_GSO_OFF);
	log_warnx("udp gso=off fd=%d: the device or the kernel refuses segments", us->fd);
	return 0;
}

/* The rest of a batch after an error: 0 to go on with what is left, -1 when it is dealt with. */
static int
send_error(struct udp_sock *us, struct udp_local *from, bool many)
{
	switch (errno) {
	case EMSGSIZE:		/* a probe of the path's size that the device itself cannot send */
		STAT_INC(DP_UDP_TOO_BIG);
		return -1;
	case EIO:		/* no checksums over segments */
		if (many)
			return gso_off(us);
		break;
	case EINVAL:
	case EADDRNOTAVAIL:
	case ENETUNREACH:
	case EHOSTUNREACH:
		/* The own address may be gone: let the kernel choose again. */
		if (from->family != 0) {
			from->family = 0;
			return 0;
		}
		if (errno == EINVAL && many)
			return gso_off(us);
		break;
	default:
		break;
	}
	STAT_INC(DP_UDP_SEND_ERRORS);
	return -1;
}

void
udp_send(struct udp_sock *us, const struct sockaddr *to, socklen_t to_len, struct udp_local *from, uint8_t ecn,
    const uint8_t *buf, size_t len, size_t segment)
{
	if (us->blocked) {	/* its own batch waits already: QUIC sends again what this lacks */
		STAT_INC(DP_UDP_SEND_ERRORS);
		return;
	}
	while (len > 0) {
		size_t n = us->gso || len <= segment ? len : segment;

		if (send_one(us, to, to_len, from, ecn, buf, n, segment) == 0) {
			buf += n;
			len -= n;
		} else if (errno == EAGAIN || errno == ENOBUFS) {
			pend(us, to, to_len, from, ecn, buf, len, segment);
			return;
		} else if (send_error(us, from, n > segment) == -1) {
			return;
		}
	}
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	struct udp_sock *us = arg;
	uint8_t *buf = us->pending;
	size_t len = us->pending_len;
	struct conn *c;

	(void)fd;
	(void)what;
	dp_begin(us->dp);
	us->blocked = false;
	us->pending = NULL;	/* udp_send() may need to keep the rest again */
	udp_send(us, (struct sockaddr *)&us->pending_to, us->pending_to_len, &us->pending_from, us->pending_ecn,
	    buf, len, us->pending_segment);
	free(buf);
	TAILQ_FOREACH(c, &us->dp->conns, all)
		if (c->sock == us)
			conn_dirty(c);
	dp_flush(us->dp);
}

static void
sock_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) == -1)
		log_warn("udp option level=%d name=%d", level, name);
}

void
udp_set_gso(struct udp_sock *us, bool on)
{
	int v = on ? 1 : 0, segment = 0;
	socklen_t len = sizeof(segment);

	/* Asking for the size tells whether the kernel knows the option. */
	us->gso = on && getsockopt(us->fd, SOL_UDP, UDP_SEGMENT, &segment, &len) == 0;
	us->gro = setsockopt(us->fd, SOL_UDP, UDP_GRO, &v, sizeof(v)) == 0 && on;
}

static int
sock_setup(struct udp_sock *us)
{
	int fl = fcntl(us->fd, F_GETFL);

	if (fl == -1 || fcntl(us->fd, F_SETFL, fl | O_NONBLOCK) == -1)
		return -1;
	sock_option(us->fd, SOL_SOCKET, SO_RCVBUF, SOCKBUF);
	sock_option(us->fd, SOL_SOCKET, SO_SNDBUF, SOCKBUF);
	if (us->family == AF_INET) {
		sock_option(us->fd, IPPROTO_IP, IP_PKTINFO, 1);
		sock_option(us->fd, IPPROTO_IP, IP_RECVTOS, 1);
		/* Path MTU discovery is QUIC's: never fragment, never believe a cached value. */
		sock_option(us->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	} else {
		sock_option(us->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		sock_option(us->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		sock_option(us->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	}
	return 0;
}

struct udp_sock *
udp_new(struct dataplane *dp, int fd, const struct pm_addr *addr, bool gso)
{
	struct udp_sock *us;
	struct sockaddr *sa;

	if ((us = calloc(1, sizeof(*us))) == NULL) {
		close(fd);
		return NULL;
	}
	us->dp = dp;
	us->fd = fd;
	us->addr = *addr;
	us->bound_len = sizeof(us->bound);
	sa = (struct sockaddr *)&us->bound;
	if (getsockname(fd, sa, &us->bound_len) == -1)
		goto fail;
	us->family = sa->sa_family;
	if (us->family != AF_INET && us->family != AF_INET6) {
		errno = EAFNOSUPPORT;
		goto fail;
	}
	if (sock_setup(us) == -1)
		goto fail;
	udp_set_gso(us, gso);
	us->read = event_new(dp->base, fd, EV_READ | EV_PERSIST, on_read, us);
	us->write = event_new(dp->base, fd, EV_WRITE, on_write, us);
	if (us->read == NULL || us->write == NULL || event_add(us->read, NULL) == -1)
		goto fail;
	return us;
fail:
	udp_free(us);
	return NULL;
}

void
udp_free(struct udp_sock *us)
{
	if (us == NULL)
		return;
	if (us->read != NULL)
		event_free(us->read);
	if (us->write != NULL)
		event_free(us->write);
	free(us->pending);
	close(us->fd);
	free(us);
}
