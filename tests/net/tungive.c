/*
 * tungive IFNAME SOCKET: makes a TUN device and gives its descriptor to each client of the unix socket, as
 * Android's VpnService would; for fabricd -U in tests/net/supervisor.sh.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void
give(int sock, int fd)
{
	union { struct cmsghdr hdr; char buf[CMSG_SPACE(sizeof(int))]; } control;
	char line[] = "tun\n";
	struct iovec iov = { line, strlen(line) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	memset(&control, 0, sizeof(control));
	control.hdr.cmsg_level = SOL_SOCKET;
	control.hdr.cmsg_type = SCM_RIGHTS;
	control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(fd));
	if (sendmsg(sock, &mh, MSG_NOSIGNAL) == -1)
		perror("sendmsg");
}

int
main(int argc, char **argv)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int tun = open("/dev/net/tun", O_RDWR), sock = socket(AF_UNIX, SOCK_STREAM, 0), client;

	if (argc != 3)
		return 2;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", argv[1]);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", argv[2]);
	if (tun == -1 || ioctl(tun, TUNSETIFF, &ifr) == -1 || sock == -1 ||
	    bind(sock, (struct sockaddr *)&sun, sizeof(sun)) == -1 || chmod(argv[2], 0666) == -1 || listen(sock, 4) == -1) {
		perror("tungive");
		return 1;
	}
	while ((client = accept(sock, NULL, NULL)) != -1) {
		give(client, tun);
		close(client);
	}
	return 1;
}
