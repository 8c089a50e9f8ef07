/*
 * floor -t INTERFACE -a ADDRESS/LEN -l LOCAL -r REMOTE [-p port] [-m mtu]: the path of a packet with everything left
 * out but what no user-space VPN can leave out: a TUN, superpackets cut (vpnd/segment.c), UDP with UDP_SEGMENT and
 * UDP_GRO, and collected again (vpnd/coalesce.c). No QUIC, no encryption, no scheduler, one peer, one process. What
 * another VPN costs more than this is what its own layers cost.
 *
 * In a datagram: the flags byte of service "vpn", then the packet.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vpnd/checksum.h"
#include "vpnd/coalesce.h"
#include "vpnd/segment.h"
#include "vpnd/tun.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#define BATCH_MAX	65507u	/* bytes and segments of one UDP_SEGMENT send */
#define SEGMENTS_MAX	64u
#define READS		64u
#define SOCKET_BUFFER	(7 << 20)

static const char *ifname = "floor0", *address, *local, *remote;
static unsigned port = 4605, mtu = 1380;
static struct tun tun;
static int sock;
static struct coalescer *coalescer;

/* Datagrams of one size that wait to leave together. */
static struct {
	uint8_t	 buf[BATCH_MAX + 1];
	size_t	 len, size;
	unsigned count;
	bool	 closed;	/* the last was shorter: nothing may follow it */
} batch;

static void
usage(void)
{
	fprintf(stderr, "usage: floor -t interface -a address/len -l local -r remote [-p port] [-m mtu]\n");
	exit(2);
}

static void
open_tun(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	char cmd[256];

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (fd == -1 || ioctl(fd, TUNSETIFF, &ifr) == -1)
		err(1, "tun");
	if (ioctl(fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) == -1 &&
	    ioctl(fd, TUNSETOFFLOAD, offload) == -1)
		err(1, "TUNSETOFFLOAD");
	if (tun_attach(&tun, fd, true) == -1)
		err(1, "tun");
	snprintf(cmd, sizeof(cmd), "ip addr add %s dev %s && ip link set dev %s mtu %u up", address, ifname, ifname, mtu);
	if (system(cmd) != 0)
		errx(1, "%s", cmd);
}

static struct sockaddr_in
addr_of(const char *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, s, &sin.sin_addr) != 1)
		errx(2, "not an IPv4 address: %s", s);
	return sin;
}

static void
open_socket(void)
{
	struct sockaddr_in here = addr_of(local), there = addr_of(remote);
	int on = 1, size = SOCKET_BUFFER;

	sock = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock == -1 || bind(sock, (struct sockaddr *)&here, sizeof(here)) == -1 ||
	    connect(sock, (struct sockaddr *)&there, sizeof(there)) == -1 ||
	    setsockopt(sock, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) == -1)
		err(1, "socket");
	setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

static void
batch_send(void)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(uint16_t))];
	} control = { .buf = { 0 } };
	struct iovec iov = { batch.buf, batch.len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	uint16_t size = (uint16_t)batch.size;

	if (batch.count > 1) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(size));
		memcpy(CMSG_DATA(c), &size, sizeof(size));
	}
	if (batch.count != 0)
		(void)!sendmsg(sock, &mh, 0);	/* what the network does not take is lost, as it would be later */
	batch.len = 0;
	batch.count = 0;
	batch.closed = false;
}

/* Room for a datagram of `len` bytes, which is then counted as there. */
static uint8_t *
batch_add(size_t len)
{
	uint8_t *p;

	if (batch.count != 0 && (batch.closed || len > batch.size || batch.len + len > BATCH_MAX ||
	    batch.count == SEGMENTS_MAX))
		batch_send();
	if (batch.count == 0)
		batch.size = len;
	else if (len < batch.size)
		batch.closed = true;
	p = batch.buf + batch.len;
	batch.len += len;
	batch.count++;
	return p;
}

static void
out_packet(const struct vnet_hdr *h, uint8_t *pkt, size_t len)
{
	struct ip_packet ip;
	struct segmenter s;
	uint8_t *p;

	if (h->gso_type == VNET_GSO_NONE) {
		if (ip_parse(&ip, pkt, len) != IP_OK || len > BATCH_MAX - 1)
			return;
		p = batch_add(len + 1);
		*p++ = (h->flags & VNET_F_NEEDS_CSUM) != 0 && ip.l4_hdr != 0;
		memcpy(p, pkt, len);
		return;
	}
	if (ip_parse_super(&ip, pkt, len) != IP_OK || segment_init(&s, h, &ip, 0) != SEGMENT_OK)
		return;
	for (uint32_t i = 0; i < s.count; i++) {
		p = batch_add(segment_len(&s, i) + 1);
		*p++ = 1;
		segment_write(&s, i, p);
	}
}

static void
out_run(void)
{
	struct vnet_hdr h;
	uint8_t *pkt;
	size_t len;

	for (unsigned n = 0; n < READS && tun_read(&tun, &h, &pkt, &len) == TUN_OK; n++)
		out_packet(&h, pkt, len);
	batch_send();
}

static void
in_datagrams(const uint8_t *p, size_t len, size_t size)
{
	struct ip_packet ip;

	while (len > 1) {
		size_t n = len < size ? len : size;

		if (n > 1 && ip_parse(&ip, p + 1, n - 1) == IP_OK && (p[0] == 0 || ip.l4_hdr != 0))
			coalesce_add(coalescer, &ip, p[0] != 0);
		p += n;
		len -= n;
	}
}

static bool
in_one(void)
{
	static uint8_t buf[65536];
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
	    .msg_controllen = sizeof(control.buf) };
	ssize_t n = recvmsg(sock, &mh, 0);
	int size = 0;

	if (n <= 0)
		return n == -1 && errno == ECONNREFUSED;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c != NULL; c = CMSG_NXTHDR(&mh, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&size, CMSG_DATA(c), sizeof(size));
	in_datagrams(buf, (size_t)n, size > 0 ? (size_t)size : (size_t)n);
	return true;
}

static void
in_run(void)
{
	for (unsigned n = 0; n < READS && in_one(); n++)
		;
	coalesce_flush(coalescer);
}

static void
write_tun(void *arg, const struct vnet_hdr *h, const uint8_t *pkt, size_t len)
{
	(void)arg;
	tun_write(&tun, h, pkt, len);
}

static void
options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "t:a:l:r:p:m:")) != -1) {
		switch (c) {
		case 't': ifname = optarg; break;
		case 'a': address = optarg; break;
		case 'l': local = optarg; break;
		case 'r': remote = optarg; break;
		case 'p': port = (unsigned)atoi(optarg); break;
		case 'm': mtu = (unsigned)atoi(optarg); break;
		default: usage();
		}
	}
	if (address == NULL || local == NULL || remote == NULL || optind != argc)
		usage();
}

int
main(int argc, char **argv)
{
	struct coalesce_config cc = { .vnet_hdr = true, .tcp = true, .udp = true, .seed = 1, .write = write_tun };
	struct pollfd pfd[2];

	options(argc, argv);
	open_tun();
	open_socket();
	coalescer = coalesce_new(&cc);
	if (coalescer == NULL)
		err(1, "memory");
	pfd[0] = (struct pollfd){ tun.fd, POLLIN, 0 };
	pfd[1] = (struct pollfd){ sock, POLLIN, 0 };
	for (;;) {
		if (poll(pfd, 2, -1) == -1)
			err(1, "poll");
		if (pfd[0].revents != 0)
			out_run();
		if (pfd[1].revents != 0)
			in_run();
	}
}
