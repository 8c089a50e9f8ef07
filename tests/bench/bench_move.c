/*
 * bench_move: a relay fails under a stream that says something every 2 ms, and another takes over: how long until what was
 * said after that arrives. Four dataplanes in this process, over loopback:
 *
 *        .--- r ---.
 *       a           b
 *        '--- s ---'
 *
 *	bench_move KILLS DRAINS
 *
 * In each round the relay in use is killed without a word (or drained), and started again when the stream goes on.
 */
#include <err.h>
#include <stdio.h>

#include "tests/unit/dp_adapter.h"
#include "tests/unit/dp_route.h"

#define ROUNDS_MAX 10000u

static struct event_base *base;
static struct node a, b, relay[2];
static struct adapter from, to;
static struct user user;
static const struct pm_route like = { .classes = 0x3f };

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	user.target += 64;
	user_write(&user);
	adapter_pump(&from);
}

static int
compare(const void *x, const void *y)
{
	double d = *(const double *)x - *(const double *)y;

	return d < 0 ? -1 : d > 0;
}

static void
report(const char *what, double *ms, unsigned n)
{
	qsort(ms, n, sizeof(*ms), compare);
	printf("%-7s %5u rounds: p50 %6.1f ms, p90 %6.1f ms, p99 %6.1f ms, most %6.1f ms\n", what, n, ms[n / 2],
	    ms[n * 9 / 10], ms[n * 99 / 100], ms[n - 1]);
}

static bool
both_up(uint64_t id)
{
	return is_up(&a, &b, id) && is_up(&b, &a, id);
}

/* How long the stream rested. */
static double
one(unsigned i, bool kill)
{
	struct node *n = &relay[i];
	uint64_t begun, mark;
	double ms;

	begun = clock_ns();
	mark = user.wrote;
	if (kill)
		node_kill(n);
	else
		dp_drain(n->dp, 50);
	if (!RUN_UNTIL(base, 20000, user.ended || to.accepted[0]->read > mark))
		errx(1, "the stream does not go on");
	ms = (double)(clock_ns() - begun) / 1e6;
	if (user.ended || to.accepted[0]->wrong || to.naccepted != 1)
		errx(1, "the stream is broken: %s", reason_name(user.reason));
	node_kill(n);
	node_start(n);
	node_target(n, &a);	/* else a, which lost it again and again, takes its time to dial */
	node_target(n, &b);
	route_say(n, 1 + i, TICKET_RELAY, &a, &b, NULL, &like);
	if (!RUN_UNTIL(base, 30000, both_up(1 + i)))
		errx(1, "the relay does not come back");
	RUN_UNTIL(base, 150, false);
	return ms;
}

static void
rounds(const char *what, bool kill, unsigned n, unsigned *used)
{
	static double ms[ROUNDS_MAX];

	for (unsigned i = 0; i < n; i++, *used ^= 1)
		ms[i] = one(*used, kill);
	if (n > 0)
		report(what, ms, n);
}

static void
start(void)
{
	struct sign_key authority;
	struct node *all[] = { &a, &b, &relay[0], &relay[1] };

	base = event_base_new();
	log_setlevel(getenv("DP_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	sign_key_generate(&authority);
	for (unsigned i = 0; i < 4; i++) {
		static const char *const names[] = { "a", "b", "r", "s" };

		node_init(all[i], base, names[i], &authority);
		all[i]->session.dead_ms = 30000;
		all[i]->session.keepalive_ms = 10000;
		node_start(all[i]);
	}
	adapter_init(&from, base);
	adapter_init(&to, base);
	adapter_join(&from, &a, WORKER_SVCHOSTD, NULL);
	adapter_join(&to, &b, WORKER_SVCHOSTD, "tcp");
	remote_say(&a, &b);
	remote_say(&b, &a);
	for (unsigned i = 0; i < 2; i++) {
		node_target(&a, &relay[i]);
		node_target(&relay[i], &b);
		route_between(&a, &relay[i], &b, 1 + i, &like);
	}
	if (!RUN_UNTIL(base, 10000, both_up(1) && both_up(2)))
		errx(1, "no ways");
	rank_say(&a, &b, 0x3f, 1, 2);
}

int
main(int argc, char **argv)
{
	unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : 20, drains = argc > 2 ? (unsigned)atoi(argv[2]) : 20, used = 0;
	struct event *ev;

	if (kills > ROUNDS_MAX || drains > ROUNDS_MAX)
		errx(1, "too many rounds");
	crypto_init();
	start();
	user.hold = true;
	user_open(&user, &from, b.id, "tcp", CLASS_INTERACTIVE, 64);
	adapter_pump(&from);
	ev = event_new(base, -1, EV_PERSIST, on_write, NULL);
	event_add(ev, &(struct timeval){ 0, 2000 });
	if (!RUN_UNTIL(base, 5000, to.naccepted == 1 && to.accepted[0]->read > 1000))
		errx(1, "no stream");
	RUN_UNTIL(base, 2500, false);	/* until its way is known to carry something */
	rounds("killed", true, kills, &used);
	rounds("drained", false, drains, &used);
	printf("%llu bytes arrived, each once and in order\n", (unsigned long long)to.accepted[0]->read);
	return 0;
}
