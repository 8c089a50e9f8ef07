/*
 * link: a link between two network namespaces, played in user space for kernels without netem: a TUN in each, named
 * after the other, and between them loss, a bottleneck of a rate with a drop-tail buffer, and a delay, alike both ways.
 *
 *	link NETNS-A NETNS-B DELAY-MS RATE-KBIT BUFFER-KB LOSS-PERMYRIAD
 *
 * The delay is one way's. Any IP packet passes, so that all that is compared goes over the same link. Writes one line
 * when both TUNs are there; whoever started it gives them addresses. A line on stdin with the last four words anew
 * changes the link for the packets that come from then on.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../net/way.h"

#define READ_BATCH 64

struct leg {
	struct way way;
	int	 from, to;
};

static struct path path;

static int
tun_in(const char *netns, const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	char ns[256];
	int fd, tun;

	snprintf(ns, sizeof(ns), "/run/netns/%s", netns);
	if ((fd = open(ns, O_RDONLY | O_CLOEXEC)) == -1 || setns(fd, CLONE_NEWNET) == -1)
		err(1, "%s", ns);
	close(fd);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if ((tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) == -1 || ioctl(tun, TUNSETIFF, &ifr) == -1)
		err(1, "TUN %s", name);
	return tun;
}

static void
take(struct leg *l)
{
	for (int i = 0; i < READ_BATCH; i++) {
		struct packet *p = way_packet(&l->way);
		ssize_t n = read(l->from, p->data, sizeof(p->data));

		if (n <= 0) {
			way_drop(&l->way, p);
			return;
		}
		p->len = (size_t)n;
		way_put(&l->way, &path, p, 0, clock_ns());
	}
}

static void
give(struct leg *l, uint64_t now)
{
	struct packet *p;

	while ((p = way_get(&l->way, now)) != NULL) {
		if (write(l->to, p->data, p->len) == -1)	/* it is down: as lost as on any link */
			now = clock_ns();
		way_drop(&l->way, p);
	}
}

/* A line on stdin: the link as it is from now on. False when no more will come. */
static bool
path_read(void)
{
	char line[128], *word[4], *save = NULL;
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		return false;
	line[n] = '\0';
	for (unsigned i = 0; i < 4; i++)
		if ((word[i] = strtok_r(i == 0 ? line : NULL, " \n", &save)) == NULL)
			errx(1, "a line of four words is wanted");
	path = path_parse(word);
	return true;
}

int
main(int argc, char **argv)
{
	struct leg there, back;
	struct pollfd pfd[3];

	if (argc != 7)
		errx(1, "usage: link netns-a netns-b delay-ms rate-kbit buffer-kb loss-permyriad");
	path = path_parse(argv + 3);
	there.from = back.to = tun_in(argv[1], argv[2]);
	there.to = back.from = tun_in(argv[2], argv[1]);
	way_init(&there.way);
	way_init(&back.way);
	prctl(PR_SET_TIMERSLACK, 1);
	if (nice(-15) == -1)	/* else what is measured is this program's turn */
		warn("nice");
	puts("ready");
	fflush(stdout);
	pfd[0] = (struct pollfd){ .fd = there.from, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = back.from, .events = POLLIN };
	pfd[2] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	for (;;) {
		uint64_t now = clock_ns();
		struct timespec ts;

		give(&there, now);
		give(&back, now);
		ts = way_timespec(way_wait(&back.way, now, way_wait(&there.way, now, NS_PER_SEC)));
		if (ppoll(pfd, 3, &ts, NULL) == -1)
			err(1, "poll");
		if (pfd[2].revents != 0 && !path_read())
			pfd[2].fd = -1;
		take(&there);
		take(&back);
	}
}
