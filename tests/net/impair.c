/*
 * impair: a path of one's own making, for kernels without netem. Forwards UDP between whoever sends to LISTEN and
 * TARGET, both ways alike: a delay, then a bottleneck of a rate with a drop-tail buffer, and random loss.
 *
 *	impair LISTEN-IP PORT TARGET-IP PORT DELAY-MS RATE-KBIT BUFFER-KB LOSS-PERMYRIAD
 *
 * A rate of 0 is no bottleneck. SIGUSR1 cuts the path, SIGUSR2 joins it again.
 */
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PACKET_MAX 2048

struct packet {
	STAILQ_ENTRY(packet) entry;
	uint64_t due_ns;
	size_t	 len;
	uint8_t	 data[PACKET_MAX];
};

/* One direction. */
struct way {
	STAILQ_HEAD(, packet) queue;
	int	 from, to;
	struct sockaddr_in *dest;
	uint64_t free_ns;	/* when the bottleneck has sent what it holds */
	uint64_t dropped, lost, sent;
};

static uint64_t delay_ns, rate_kbit, buffer_bytes, loss;
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

/* When a packet leaves: the bottleneck sends one after the other, and what does not fit its buffer is dropped. */
static int
schedule(struct way *w, struct packet *p, uint64_t now)
{
	uint64_t begin = w->free_ns > now ? w->free_ns : now, takes;

	if (cut || (uint64_t)random() % 10000 < loss) {
		w->lost++;
		return -1;
	}
	if (rate_kbit > 0) {
		takes = (p->len + 28) * 8 * 1000000 / rate_kbit;
		if ((begin - now) * rate_kbit / 8000000 > buffer_bytes) {
			w->dropped++;
			return -1;
		}
		w->free_ns = begin + takes;
		begin += takes;
	}
	p->due_ns = begin + delay_ns;
	return 0;
}

static void
take(struct way *w)
{
	struct sockaddr_in from;
	socklen_t len;

	for (int i = 0; i < 64; i++) {
		struct packet *p = malloc(sizeof(*p));
		ssize_t n;

		if (p == NULL)
			err(1, "memory");
		len = sizeof(from);
		n = recvfrom(w->from, p->data, sizeof(p->data), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
		if (n < 0) {
			free(p);
			return;
		}
		if (w->dest == &target)
			client = from;
		p->len = (size_t)n;
		if (schedule(w, p, clock_ns()) == -1)
			free(p);
		else
			STAILQ_INSERT_TAIL(&w->queue, p, entry);
	}
}

/* Sends what is due; the time until the next is, or `wait`. */
static uint64_t
give(struct way *w, uint64_t now, uint64_t wait)
{
	struct packet *p;

	while ((p = STAILQ_FIRST(&w->queue)) != NULL && p->due_ns <= now) {
		STAILQ_REMOVE_HEAD(&w->queue, entry);
		sendto(w->to, p->data, p->len, MSG_DONTWAIT, (struct sockaddr *)w->dest, sizeof(*w->dest));
		w->sent++;
		free(p);
	}
	return p != NULL && p->due_ns - now < wait ? p->due_ns - now : wait;
}

int
main(int argc, char **argv)
{
	struct way out = { .dest = &target }, back = { .dest = &client };
	struct sockaddr_in listen_at;
	struct pollfd pfd[2];

	if (argc != 9)
		errx(1, "usage: impair listen-ip port target-ip port delay-ms rate-kbit buffer-kb loss-permyriad");
	out.from = back.to = udp_bound(argv[1], argv[2], &listen_at);
	if (bind(out.from, (struct sockaddr *)&listen_at, sizeof(listen_at)) == -1)
		err(1, "bind");
	out.to = back.from = udp_bound(argv[3], argv[4], &target);
	delay_ns = strtoull(argv[5], NULL, 10) * NS_PER_MS;
	rate_kbit = strtoull(argv[6], NULL, 10);
	buffer_bytes = strtoull(argv[7], NULL, 10) * 1024;
	loss = strtoull(argv[8], NULL, 10);
	STAILQ_INIT(&out.queue);
	STAILQ_INIT(&back.queue);
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	pfd[0] = (struct pollfd){ .fd = out.from, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = back.from, .events = POLLIN };
	for (;;) {
		uint64_t now = clock_ns(), wait = give(&out, now, NS_PER_SEC);
		struct timespec ts;

		wait = give(&back, now, wait);
		ts = (struct timespec){ .tv_sec = (time_t)(wait / NS_PER_SEC), .tv_nsec = (long)(wait % NS_PER_SEC) };
		ppoll(pfd, 2, &ts, NULL);
		take(&out);
		take(&back);
	}
}
