/*
 * bench_beside: a small message every 10 ms and its answer, through two whole dataplanes and tests/net/impair between
 * them, alone and beside bulk streams: the round trip's median, 99th per cent and most, and what the bulk got.
 *
 *	bench_beside IMPAIR DELAY-MS RATE-KBIT BUFFER-KB LOSS-PERMYRIAD BULK-STREAMS SECONDS
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/unit/dp_adapter.h"

#define MESSAGE 64u
#define EVERY_MS 10
#define SAMPLES 100000u

static struct event_base *base;
static struct node a, b;
static struct adapter from, to;
static struct user talk, bulk[256];
static uint64_t sent_ns[SAMPLES], rtt_ns[SAMPLES];
static size_t nsent, ngot;
static bool done;

static void
on_talk(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (nsent == SAMPLES || talk.s == NULL)
		return;
	sent_ns[nsent++] = clock_ns();
	talk.target += MESSAGE;
	user_write(&talk);
	adapter_pump(&from);
}

/* The acceptor of the first stream answers what it read; the opener notes when an answer is whole. */
static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	done = true;
}

static void
watch(void)
{
	struct user *u = to.naccepted > 0 ? to.accepted[0] : NULL;

	if (u != NULL && u->s != NULL && u->target < u->read) {
		u->target = u->read;
		user_write(u);
		adapter_pump(&to);
	}
	while (ngot < nsent && talk.read >= (ngot + 1) * MESSAGE) {
		rtt_ns[ngot] = clock_ns() - sent_ns[ngot];
		ngot++;
	}
}

static int
compare(const void *x, const void *y)
{
	uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;

	return p < q ? -1 : p > q;
}

static void
run(unsigned ms)
{
	struct event *ev = evtimer_new(base, on_watch, NULL);
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	done = false;
	event_add(ev, &tv);
	while (!done) {
		event_base_loop(base, EVLOOP_ONCE);
		watch();
	}
	event_free(ev);
}

static void
report(const char *what, size_t first, uint64_t bytes, double seconds)
{
	size_t n = ngot - first;

	if (n == 0)
		errx(1, "no answer came");
	qsort(rtt_ns + first, n, sizeof(rtt_ns[0]), compare);
	printf("%-8s messages %zu p50 %.1f p99 %.1f max %.1f ms, bulk %.1f Mbit/s\n", what, n,
	    (double)rtt_ns[first + n / 2] / 1e6, (double)rtt_ns[first + n * 99 / 100] / 1e6,
	    (double)rtt_ns[ngot - 1] / 1e6, (double)bytes * 8 / 1e6 / seconds);
	fflush(stdout);
}

static pid_t
impair(char **argv, struct pm_addr *listen)
{
	char lport[8], tport[8];
	int fd = node_socket(listen);
	pid_t pid;

	close(fd);
	snprintf(lport, sizeof(lport), "%u", listen->port);
	snprintf(tport, sizeof(tport), "%u", b.addr.port);
	if ((pid = fork()) == 0) {
		execl(argv[1], "impair", "127.0.0.1", lport, "127.0.0.1", tport, argv[2], argv[3], argv[4], argv[5], NULL);
		_exit(1);
	}
	return pid;
}

static void
start(char **argv, pid_t *pid)
{
	static struct sign_key authority;
	struct event_config *cfg = event_config_new();
	struct pm_addr own;

	event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	log_setlevel(LOG_LEVEL_WARN);
	sign_key_generate(&authority);
	node_init(&a, base, "a", &authority);
	node_init(&b, base, "b", &authority);
	a.session.dead_ms = b.session.dead_ms = 20000;
	node_start(&a);
	node_start(&b);
	adapter_init(&from, base);
	adapter_init(&to, base);
	adapter_join(&from, &a, WORKER_SVCHOSTD, NULL);
	adapter_join(&to, &b, WORKER_SVCHOSTD, "tcp");
	memset(&own, 0, sizeof(own));
	*pid = impair(argv, &own);
	usleep(100000);
	b.addr = own;		/* where a dials: the path's end */
	node_target(&a, &b);
	if (!RUN_UNTIL(base, 5000, a.vpnd.up == 1 && b.vpnd.up == 1))
		errx(1, "no session");
}

int
main(int argc, char **argv)
{
	unsigned nbulk = argc > 6 ? (unsigned)atoi(argv[6]) : 0, seconds = argc > 7 ? (unsigned)atoi(argv[7]) : 0;
	struct event *tick;
	uint64_t before = 0, after = 0;
	size_t first;
	pid_t pid;

	if (argc < 8 || nbulk > 256)
		errx(1, "usage: bench_beside IMPAIR DELAY-MS RATE-KBIT BUFFER-KB LOSS-PERMYRIAD BULK-STREAMS SECONDS");
	crypto_init();
	start(argv, &pid);
	talk.hold = true;
	user_open(&talk, &from, b.id, "tcp", CLASS_INTERACTIVE, 0);
	to.hold = true;
	adapter_pump(&from);
	run(1500);
	tick = event_new(base, -1, EV_PERSIST, on_talk, NULL);
	event_add(tick, &(struct timeval){ 0, EVERY_MS * 1000 });
	run(3000);
	report("idle", 0, 0, 1);
	for (unsigned i = 0; i < nbulk; i++)
		user_open(&bulk[i], &from, b.id, "tcp", CLASS_BULK, 1ull << 40);
	adapter_pump(&from);
	run(2000);
	first = ngot;
	for (size_t i = 1; i < to.naccepted; i++)
		before += to.accepted[i]->read;
	run(seconds * 1000);
	for (size_t i = 1; i < to.naccepted; i++)
		after += to.accepted[i]->read;
	report("bulk", first, after - before, seconds);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	return 0;
}
