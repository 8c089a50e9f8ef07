/*
 * bench_idle: what an idle reliable stream costs the dataplane: two dataplanes in a process of their own, adapters in
 * this one that open STREAMS streams and leave them alone; how long that took, and what that process grew by, for each
 * stream and dataplane.
 *
 *	bench_idle STREAMS
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/unit/dp_adapter.h"

#define SESSION_STREAMS 60000u

static struct event_base *base;
static struct node a, b;
static struct adapter from, to;
static struct user *users;

/* The dataplanes: says b's id when the session is up, and runs until it is killed. */
static void
planes(int fd_a, int fd_b, int ready)
{
	struct sign_key authority;

	base = event_base_new();
	log_setlevel(LOG_LEVEL_WARN);
	sign_key_generate(&authority);
	node_init(&a, base, "a", &authority);
	node_init(&b, base, "b", &authority);
	a.session.dead_ms = b.session.dead_ms = 30000;
	node_start(&a);
	node_start(&b);
	a.dp->self.limits.max_streams = b.dp->self.limits.max_streams = SESSION_STREAMS;
	a.dp->sw.budget.limit = b.dp->sw.budget.limit = 8ull << 30;
	dp_port(a.dp, WORKER_SVCHOSTD, fd_a);
	dp_port(b.dp, WORKER_SVCHOSTD, fd_b);
	node_target(&a, &b);
	if (!RUN_UNTIL(base, 5000, a.vpnd.up == 1 && b.vpnd.up == 1))
		errx(1, "no session");
	if (write(ready, b.id, NODE_ID_LEN) != NODE_ID_LEN)
		_exit(1);
	event_base_dispatch(base);
}

static void
join(struct adapter *at, int fd, const char *service)
{
	struct procmsg m = { .type = PM_BIND };

	adapter_init(at, base);
	at->next_id = 2;
	at->hold = true;
	if ((at->ipc = ipc_new(base, fd, &adapter_ops, at)) == NULL)
		errx(1, "channel");
	if (service == NULL)
		return;
	strcpy(m.bind.service, service);
	procmsg_send(at->ipc, &m, -1);
	ipc_flush(at->ipc);
}

/* Bytes of its memory that are in use. */
static double
resident(pid_t pid)
{
	char path[64];
	unsigned long size = 0, rss = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if ((f = fopen(path, "r")) == NULL || fscanf(f, "%lu %lu", &size, &rss) != 2)
		err(1, "%s", path);
	fclose(f);
	return (double)rss * (double)sysconf(_SC_PAGESIZE);
}

static unsigned
up(unsigned n)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n; i++)
		k += users[i].up;
	return k;
}

static void
open_all(const uint8_t *dest, unsigned first, unsigned n)
{
	for (unsigned i = first; i < n; i++) {
		users[i].hold = true;
		user_open(&users[i], &from, dest, "tcp", CLASS_INTERACTIVE, 0);
		if (i % 200 != 199)
			continue;
		adapter_pump(&from);
		if (!RUN_UNTIL(base, 20000, up(i + 1) == i + 1))
			errx(1, "%u of %u came up", up(i + 1), i + 1);
	}
	adapter_pump(&from);
	if (!RUN_UNTIL(base, 20000, up(n) == n))
		errx(1, "%u of %u came up", up(n), n);
}

int
main(int argc, char **argv)
{
	unsigned n = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
	int fa[2], fb[2], ready[2];
	uint8_t dest[NODE_ID_LEN];
	double before, after;
	uint64_t began;
	pid_t pid;

	if (n == 0 || n + 1000 > ADAPTER_STREAMS || (users = calloc(n + 1000, sizeof(*users))) == NULL)
		errx(1, "usage: bench_idle STREAMS");
	crypto_init();
	if (ipc_pair(fa) == -1 || ipc_pair(fb) == -1 || pipe(ready) == -1)
		err(1, "channels");
	if ((pid = fork()) == 0) {
		planes(fa[0], fb[0], ready[1]);
		_exit(0);
	}
	close(fa[0]);
	close(fb[0]);
	close(ready[1]);
	base = event_base_new();
	join(&from, fa[1], NULL);
	join(&to, fb[1], "tcp");
	if (read(ready[0], dest, NODE_ID_LEN) != NODE_ID_LEN)
		errx(1, "no dataplanes");
	RUN_UNTIL(base, 300, false);
	open_all(dest, 0, 1000);	/* what the first cost is not each one's */
	RUN_UNTIL(base, 1500, false);
	before = resident(pid);
	began = clock_ns();
	open_all(dest, 1000, n + 1000);
	printf("opened %u in %.0f ms: %.0f a second\n", n, (double)(clock_ns() - began) / 1e6,
	    n / ((double)(clock_ns() - began) / 1e9));
	RUN_UNTIL(base, 1500, false);
	after = resident(pid);
	printf("each takes %.0f bytes at each dataplane\n", (after - before) / n / 2);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}
