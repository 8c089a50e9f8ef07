/*
 * load: puts load on a way to `serve at' and measures it. Prints one JSON object.
 *
 *	load [-s NAME | -x] [-h ADDRESS] -p PORT [-I PORT] -t SECONDS [-w WARM-UP] [-i] [-b STREAMS] [-z STREAMS]
 *	load ... -o STREAMS -t SECONDS	opens and ends, so many at a time
 *	load ... -n STREAMS		opens so many, says so, and keeps them until its stdin ends
 *
 * -i: a message of 64 bytes every 10 ms on a connection of its own. -b: connections that download what they can. -z: such
 * that ask for a download and never read it. -I: messages go by this port. -s: the way begins with SOCKS5 to NAME; -x: with HTTP CONNECT.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define MESSAGE 64
#define EVERY_NS (10 * NS_PER_MS)
#define SAMPLES_MAX 1000000u
#define GRACE_NS (5 * NS_PER_SEC)	/* for answers that are late */
#define BLOCKED_RCVBUF 65536

enum step { STEP_CONNECT, STEP_SOCKS_METHOD, STEP_SOCKS_ANSWER, STEP_HTTP, STEP_READY };

struct conn {
	int	 fd;
	char	 what;		/* e, d, o; z: a d that never reads */
	enum step step;
	uint8_t	 in[256];	/* of the handshake, or of a message */
	size_t	 in_len;
	uint64_t bytes, opened_ns;
};

static int ep;
static struct sockaddr_in way, talk_way;
static const char *socks_name;
static bool http_connect;
static size_t nready, nfailed;
static double *samples;
static size_t nsamples;
static uint64_t measure_from, measure_until;	/* what was sent between counts */
static struct conn *talker;
static uint64_t *said_at;	/* answers come in this order */
static uint64_t said, answered;

static void	opener_done(struct conn *);

static struct conn *
conn_new(char what)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	const struct sockaddr_in *to = what == 'e' ? &talk_way : &way;
	int one = 1, small = BLOCKED_RCVBUF;

	if (c == NULL || (c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1)
		err(1, "connection");
	c->what = what;
	c->opened_ns = clock_ns();
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (what == 'z')
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if ((connect(c->fd, (const struct sockaddr *)to, sizeof(*to)) == -1 && errno != EINPROGRESS) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		err(1, "connect");
	return c;
}

static void
conn_fail(struct conn *c)
{
	nfailed++;
	close(c->fd);
	c->fd = -1;
	if (c->what == 'o')
		opener_done(c);
}

static void
say(struct conn *c, const void *p, size_t len)
{
	if (write(c->fd, p, len) != (ssize_t)len)
		conn_fail(c);
}

static void
ready(struct conn *c)
{
	struct epoll_event ev = { .events = c->what == 'z' ? 0 : EPOLLIN, .data.ptr = c };

	c->step = STEP_READY;
	c->in_len = 0;
	nready++;
	epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);	/* from now on as long as there is something */
	say(c, c->what == 'z' ? "d" : &c->what, 1);
}

static void
connected(struct conn *c)
{
	char text[256];
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0) {
		conn_fail(c);
		return;
	}
	if (socks_name != NULL) {
		c->step = STEP_SOCKS_METHOD;
		say(c, "\5\1\0", 3);
	} else if (http_connect) {
		c->step = STEP_HTTP;
		say(c, text, (size_t)snprintf(text, sizeof(text), "CONNECT target:80 HTTP/1.1\r\nHost: target:80\r\n\r\n"));
	} else {
		ready(c);
	}
}

/* One step of the handshake; false when it needs more bytes. */
static bool
handshake(struct conn *c)
{
	uint8_t request[300] = { 5, 1, 0, 3 };
	size_t n = socks_name == NULL ? 0 : strlen(socks_name);

	switch (c->step) {
	case STEP_SOCKS_METHOD:
		if (c->in_len < 2)
			return false;
		request[4] = (uint8_t)n;
		memcpy(request + 5, socks_name, n);
		request[5 + n] = 0;
		request[6 + n] = 80;
		c->in_len = 0;
		c->step = STEP_SOCKS_ANSWER;
		say(c, request, 7 + n);
		return true;
	case STEP_SOCKS_ANSWER:
		if (c->in_len < 10)
			return false;
		if (c->in[1] != 0)
			conn_fail(c);
		else
			ready(c);
		return true;
	default:
		if (memmem(c->in, c->in_len, "\r\n\r\n", 4) == NULL)
			return false;
		if (memcmp(c->in, "HTTP/1.1 200", 12) != 0)
			conn_fail(c);
		else
			ready(c);
		return true;
	}
}

/* Byte by byte: nothing of what follows the handshake may be taken with it. */
static void
shake(struct conn *c)
{
	while (c->fd != -1 && c->step != STEP_READY && c->in_len < sizeof(c->in)) {
		ssize_t n = read(c->fd, c->in + c->in_len, 1);

		if (n <= 0) {
			if (n == 0 || errno != EAGAIN)
				conn_fail(c);
			return;
		}
		c->in_len++;
		handshake(c);
	}
}

static void
sample(uint64_t sent_ns, uint64_t now)
{
	if (sent_ns >= measure_from && sent_ns < measure_until && nsamples < SAMPLES_MAX)
		samples[nsamples++] = (double)(now - sent_ns) / (double)NS_PER_MS;
}

static void
heard(struct conn *c)
{
	ssize_t n;

	while ((n = read(c->fd, c->in + c->in_len, MESSAGE - c->in_len)) > 0) {
		c->in_len += (size_t)n;
		if (c->in_len < MESSAGE)
			continue;
		c->in_len = 0;
		if (answered < said)
			sample(said_at[answered++], clock_ns());
	}
	if (n == 0 || errno != EAGAIN)
		conn_fail(c);
}

static void
drink(struct conn *c)
{
	static uint8_t sink[262144];
	uint64_t now = clock_ns();
	ssize_t n = read(c->fd, sink, sizeof(sink));

	if (n > 0 && now >= measure_from && now < measure_until)
		c->bytes += (size_t)n;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		conn_fail(c);
}

static void
opened(struct conn *c)
{
	char o;

	if (read(c->fd, &o, 1) != 1) {
		if (errno != EAGAIN)
			conn_fail(c);
		return;
	}
	sample(c->opened_ns, clock_ns());
	close(c->fd);
	c->fd = -1;
	opener_done(c);
}

/* Another one in its place, as long as it is measured. */
static void
opener_done(struct conn *c)
{
	if (clock_ns() < measure_until)
		conn_new('o');
	c->what = 0;
}

static void
conn_event(struct conn *c, uint32_t events)
{
	if (c->fd == -1)
		return;
	if (c->step == STEP_CONNECT && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		connected(c);
	if (c->fd != -1 && c->step > STEP_CONNECT && c->step < STEP_READY)
		shake(c);
	if (c->fd == -1 || c->step != STEP_READY)
		return;
	if (c->what == 'e')
		heard(c);
	else if (c->what == 'd')
		drink(c);
	else if (c->what == 'o')
		opened(c);
}

static void
talk(uint64_t now)
{
	static const uint8_t message[MESSAGE];

	if (talker == NULL || talker->fd == -1 || talker->step != STEP_READY || now >= measure_until ||
	    said == SAMPLES_MAX)
		return;
	if (write(talker->fd, message, sizeof(message)) == (ssize_t)sizeof(message))
		said_at[said++] = now;
}

/* Events, and a message each 10 ms, until `until` or, where a count is given, until so many are ready or failed. */
static void
run(uint64_t until, size_t count)
{
	struct epoll_event events[256];
	uint64_t next = clock_ns(), now;
	int n;

	while ((now = clock_ns()) < until && (count == 0 || nready + nfailed < count)) {
		struct timespec ts;

		if (now >= next) {
			talk(now);
			next += EVERY_NS;
			if (next < now)		/* it was late: what was missed is not sent all at once */
				next = now + EVERY_NS;
			continue;
		}
		ts = (struct timespec){ 0, (long)((next < until ? next : until) - now) };
		n = epoll_pwait2(ep, events, 256, &ts, NULL);
		for (int i = 0; i < n; i++)
			conn_event(events[i].data.ptr, events[i].events);
	}
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
at(double q)
{
	size_t i = (size_t)((double)nsamples * q);

	return nsamples == 0 ? 0 : samples[i < nsamples ? i : nsamples - 1];
}

/* Jain's index: 1 when all have the same. */
static void
print_bulk(struct conn **bulk, size_t n, double seconds)
{
	double sum = 0, squares = 0, least = 1e18, most = 0;

	for (size_t i = 0; i < n; i++) {
		double mbps = (double)bulk[i]->bytes * 8 / 1e6 / seconds;

		sum += mbps;
		squares += mbps * mbps;
		least = mbps < least ? mbps : least;
		most = mbps > most ? mbps : most;
	}
	printf(", \"streams\": %zu, \"mbps\": %.3f, \"jain\": %.4f, \"least_mbps\": %.3f, \"most_mbps\": %.3f", n, sum,
	    squares > 0 ? sum * sum / ((double)n * squares) : 0, least, most);
}

static void
measure(double warm, double seconds, bool interactive, size_t nbulk, size_t nblocked)
{
	struct conn **bulk = calloc(nbulk + 1, sizeof(struct conn *));
	uint64_t begin = clock_ns(), end, unanswered;

	for (size_t i = 0; i < nblocked; i++)
		conn_new('z');
	for (size_t i = 0; i < nbulk; i++)
		bulk[i] = conn_new('d');
	if (interactive)
		talker = conn_new('e');
	measure_from = measure_until = UINT64_MAX;
	run(begin + 20 * NS_PER_SEC, nbulk + nblocked + interactive);
	if (nready < nbulk + nblocked + interactive)
		errx(1, "%zu of %zu streams opened, %zu failed", nready, nbulk + nblocked + interactive, nfailed);
	measure_from = clock_ns() + (uint64_t)(warm * (double)NS_PER_SEC);
	measure_until = end = measure_from + (uint64_t)(seconds * (double)NS_PER_SEC);
	run(end, 0);
	printf("{\"seconds\": %.1f", seconds);
	if (nbulk > 0)
		print_bulk(bulk, nbulk, seconds);
	while (answered < said && clock_ns() < end + GRACE_NS && talker->fd != -1)
		run(clock_ns() + EVERY_NS, 0);
	unanswered = said - answered;
	while (answered < said)		/* it takes at least so long */
		sample(said_at[answered++], clock_ns());
	qsort(samples, nsamples, sizeof(*samples), by_size);
	if (interactive)
		printf(", \"messages\": %zu, \"unanswered\": %llu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f",
		    nsamples, (unsigned long long)unanswered, at(.5), at(.99), at(1));
	printf(", \"failed\": %zu}\n", nfailed);
	free(bulk);
}

static void
opens(double seconds, size_t together)
{
	measure_from = clock_ns();
	measure_until = measure_from + (uint64_t)(seconds * (double)NS_PER_SEC);
	for (size_t i = 0; i < together; i++)
		conn_new('o');
	run(measure_until, 0);
	qsort(samples, nsamples, sizeof(*samples), by_size);
	printf("{\"opens_s\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"failed\": %zu}\n", (double)nsamples / seconds,
	    at(.5), at(.99), nfailed);
}

static void
idle(size_t n)
{
	char c;

	for (size_t i = 0; i < n; i++) {
		conn_new('e');
		if (i % 64 == 63)
			run(clock_ns() + 20 * NS_PER_SEC, i + 1);
	}
	run(clock_ns() + 20 * NS_PER_SEC, n);
	run(clock_ns() + NS_PER_SEC / 2, 0);
	printf("{\"idle\": %zu, \"failed\": %zu}\n", nready, nfailed);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

static void
usage(void)
{
	errx(2, "usage: load [-s name | -x] [-h address] -p port [-I port] [-t seconds] [-w warm-up] [-i] [-b n] [-z n] [-o n] [-n n]");
}

int
main(int argc, char **argv)
{
	size_t nbulk = 0, nblocked = 0, nopens = 0, nidle = 0;
	double seconds = 3, warm = 0;
	bool interactive = false;
	struct rlimit files;
	int c;

	way = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	while ((c = getopt(argc, argv, "s:xh:p:I:t:w:ib:z:o:n:")) != -1) {
		switch (c) {
		case 's': socks_name = optarg; break;
		case 'x': http_connect = true; break;
		case 'h': inet_pton(AF_INET, optarg, &way.sin_addr); break;
		case 'p': way.sin_port = htons((uint16_t)atoi(optarg)); break;
		case 'I': talk_way.sin_port = htons((uint16_t)atoi(optarg)); break;
		case 't': seconds = atof(optarg); break;
		case 'w': warm = atof(optarg); break;
		case 'i': interactive = true; break;
		case 'b': nbulk = (size_t)atoi(optarg); break;
		case 'z': nblocked = (size_t)atoi(optarg); break;
		case 'o': nopens = (size_t)atoi(optarg); break;
		case 'n': nidle = (size_t)atoi(optarg); break;
		default: usage();
		}
	}
	talk_way.sin_addr = way.sin_addr;
	talk_way.sin_family = AF_INET;
	if (talk_way.sin_port == 0)
		talk_way.sin_port = way.sin_port;
	if (optind != argc || way.sin_port == 0 || (socks_name != NULL && strlen(socks_name) > 200))
		usage();
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	prctl(PR_SET_TIMERSLACK, 1);
	signal(SIGPIPE, SIG_IGN);
	if ((samples = calloc(SAMPLES_MAX, sizeof(*samples))) == NULL ||
	    (said_at = calloc(SAMPLES_MAX, sizeof(*said_at))) == NULL || (ep = epoll_create1(EPOLL_CLOEXEC)) == -1)
		err(1, "start");
	if (nidle > 0)
		idle(nidle);
	else if (nopens > 0)
		opens(seconds, nopens);
	else
		measure(warm, seconds, interactive, nbulk, nblocked);
	return 0;
}
