/*
 * impair: a path of one's own making, for kernels without netem. Forwards UDP between whoever sends to LISTEN and
 * TARGET, both ways alike: random loss, then a bottleneck of a rate with a drop-tail buffer, and a delay.
 *
 *	impair LISTEN-IP PORT TARGET-IP PORT DELAY-MS RATE-KBIT BUFFER-KB LOSS-PERMYRIAD
 *
 * A rate of 0 is no bottleneck. SIGUSR1 cuts the path, SIGUSR2 joins it again.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "way.h"

#define UDP_HEADERS 28

/* One direction. */
struct leg {
	struct way way;
	int	 from, to;
	struct sockaddr_in *dest;
};

static struct path path;
static struct sockaddr_in client, target;
static volatile sig_atomic_t cut;

static void
on_signal(int sig)
{
	cut = sig == SIGUSR1;
}

static int
udp_bound(const char *ip, const char *port, struct sockaddr_in *sin)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 8 << 20;

	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, ip, &sin->sin_addr) != 1)
		errx(1, "address %s", ip);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return fd;
}

static void
take(struct leg *l)
{
	struct sockaddr_in from;
	socklen_t len;

	for (int i = 0; i < 64; i++) {
		struct packet *p = way_packet(&l->way);
		ssize_t n;

		len = sizeof(from);
		n = recvfrom(l->from, p->data, sizeof(p->data), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
		if (n < 0 || cut) {
			way_drop(&l->way, p);
			if (n < 0)
				return;
			continue;
		}
		if (l->dest == &target)
			client = from;
		p->len = (size_t)n;
		way_put(&l->way, &path, p, UDP_HEADERS, clock_ns());
	}
}

/* Sends what is due. */
static void
give(struct leg *l, uint64_t now)
{
	struct packet *p;

	while ((p = way_get(&l->way, now)) != NULL) {
		sendto(l->to, p->data, p->len, MSG_DONTWAIT, (struct sockaddr *)l->dest, sizeof(*l->dest));
		way_drop(&l->way, p);
	}
}

int
main(int argc, char **argv)
{
	struct leg out = { .dest = &target }, back = { .dest = &client };
	struct sockaddr_in listen_at;
	struct pollfd pfd[2];

	if (argc != 9)
		errx(1, "usage: impair listen-ip port target-ip port delay-ms rate-kbit buffer-kb loss-permyriad");
	out.from = back.to = udp_bound(argv[1], argv[2], &listen_at);
	if (bind(out.from, (struct sockaddr *)&listen_at, sizeof(listen_at)) == -1)
		err(1, "bind");
	out.to = back.from = udp_bound(argv[3], argv[4], &target);
	path = path_parse(argv + 5);
	way_init(&out.way);
	way_init(&back.way);
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	pfd[0] = (struct pollfd){ .fd = out.from, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = back.from, .events = POLLIN };
	for (;;) {
		uint64_t now = clock_ns();
		struct timespec ts;

		give(&out, now);
		give(&back, now);
		ts = way_timespec(way_wait(&back.way, now, way_wait(&out.way, now, NS_PER_SEC)));
		ppoll(pfd, 2, &ts, NULL);
		take(&out);
		take(&back);
	}
}
