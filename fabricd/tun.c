#include "fabricd/tun.h"

#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fabricd/rtnl.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define OFFLOAD_TSO (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
#define OFFLOAD_USO (TUN_F_USO4 | TUN_F_USO6)	/* Linux 6.2 */

/* The most that the kernel has. */
static bool
set_offload(int fd)
{
	return ioctl(fd, TUNSETOFFLOAD, OFFLOAD_TSO | OFFLOAD_USO) == 0 || ioctl(fd, TUNSETOFFLOAD, OFFLOAD_TSO) == 0;
}

int
tun_open(struct tun *t, const char *ifname, char err[CONF_ERR_MAX])
{
	struct ifreq ifr;

	memset(t, 0, sizeof(*t));
	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, ifname, strlen(ifname));
	ifr.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
	if ((t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) == -1) {
		snprintf(err, CONF_ERR_MAX, "/dev/net/tun: %s", strerror(errno));
		return -1;
	}
	if (ioctl(t->fd, TUNSETIFF, &ifr) == -1 || (t->ifindex = rtnl_ifindex(ifr.ifr_name)) == 0) {
		snprintf(err, CONF_ERR_MAX, "interface %s: %s", ifname, strerror(errno));
		close(t->fd);
		t->fd = -1;
		return -1;
	}
	t->vnet_hdr = true;
	t->offload = set_offload(t->fd);
	return 0;
}

static int
receive_fd(int sock)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	char line[64];
	struct iovec iov = { line, sizeof(line) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
	    .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(sock, &mh, MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	c = CMSG_FIRSTHDR(&mh);
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (fd == -1)
		errno = EBADMSG;
	return fd;
}

int
tun_receive(struct tun *t, const char *path, char err[CONF_ERR_MAX])
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval limit = { 5, 0 };
	struct ifreq ifr;
	int sock = -1;

	memset(t, 0, sizeof(*t));
	t->fd = -1;
	errno = ENAMETOOLONG;
	if (strlen(path) < sizeof(sun.sun_path) && (sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) != -1) {
		memcpy(sun.sun_path, path, strlen(path));
		setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));	/* connect(2) */
		if (connect(sock, (struct sockaddr *)&sun, sizeof(sun)) == 0)
			t->fd = receive_fd(sock);
	}
	if (t->fd == -1)
		snprintf(err, CONF_ERR_MAX, "tun socket %s: %s", path, strerror(errno));
	if (sock != -1)
		close(sock);
	if (t->fd == -1)
		return -1;
	fcntl(t->fd, F_SETFL, fcntl(t->fd, F_GETFL) | O_NONBLOCK);
	memset(&ifr, 0, sizeof(ifr));
	/* Not every such descriptor is a Linux TUN; one that is may have been opened with the header. */
	if (ioctl(t->fd, TUNGETIFF, &ifr) == 0)
		t->vnet_hdr = (ifr.ifr_flags & IFF_VNET_HDR) != 0;
	return 0;
}

bool
tun_is_up(const struct tun *t)
{
	if (t->fd == -1)
		return false;
	return t->ifindex == 0 || rtnl_is_up(t->ifindex);
}
