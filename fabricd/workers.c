#include "fabricd/workers.h"

#include <sys/wait.h>

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fabricd/confsend.h"
#include "fabricd/connect.h"
#include "fabricd/control.h"
#include "fabricd/fabricd.h"
#include "fabricd/logs.h"
#include "fabricd/reload.h"
#include "fabricd/request.h"
#include "proc/stats.h"
#include "proc/worker.h"

#define BIT(kind) (1u << (kind))
#define ADAPTER_SAYS(more) {						\
	[CHILD_STARTING] = SAYS_READY,					\
	[CHILD_WIRED] = (more),						\
	[CHILD_CONFIGURING] = SAYS_VERDICT | (more),			\
	[CHILD_RUNNING] = SAYS_VERDICT | SAYS_ANSWERS | (more),	\
}

const struct worker_kind_desc worker_table[WORKER_COUNT] = {
	[WORKER_DATAPLANE] = {
		.executable = "dataplane", .chroot = CHROOT_EMPTY, .ring = true,
		.channels = BIT(WORKER_ROUTED) | BIT(WORKER_VPND) | BIT(WORKER_SVCHOSTD),
		.says = ADAPTER_SAYS(SAYS_DELEGATE | SAYS_PORT_LOST),
		.config = CONFIG_PEERS | CONFIG_SESSION | CONFIG_LISTEN,
	},
	[WORKER_ROUTED] = {
		.executable = "routed", .chroot = CHROOT_STATE,
		.channels = BIT(WORKER_DATAPLANE),
		.says = ADAPTER_SAYS(SAYS_DELEGATE),
		.config = CONFIG_PEERS | CONFIG_ADDRS | CONFIG_PREFIXES | CONFIG_SESSION | CONFIG_ROUTING,
	},
	[WORKER_VPND] = {
		.executable = "vpnd", .chroot = CHROOT_EMPTY, .ring = true,
		.channels = BIT(WORKER_DATAPLANE),
		.says = ADAPTER_SAYS(SAYS_DELEGATE), .config = CONFIG_PEERS | CONFIG_PREFIXES | CONFIG_VPN,
	},
	[WORKER_SVCHOSTD] = {
		.executable = "svchostd", .chroot = CHROOT_EMPTY, .ring = true,
		.channels = BIT(WORKER_DATAPLANE),
		.says = ADAPTER_SAYS(SAYS_DELEGATE | SAYS_CONNECT), .config = CONFIG_PEERS | CONFIG_SERVICES | CONFIG_FORWARDS,
	},
	[WORKER_TELEMD] = {
		.executable = "telemd", .chroot = CHROOT_EMPTY,
		.channels = 0,
		.says = ADAPTER_SAYS(0), .config = CONFIG_METRICS,
	},
};

#define SETTLED_NS	(5 * NS_PER_SEC)	/* who lives so long dies for another reason than its start */
#define START_LIMIT_S	10			/* to enter the sandbox; then, to take its configuration */

#define CLOSED_GRACE_MS 300

/* New channels that a worker may need before it counts as one that cannot use them. */
#define REWIRE_NS	(10 * NS_PER_SEC)
#define REWIRE_BURST	5

static void	child_start(struct child *);

const char *
child_state_name(enum child_state s)
{
	static const char *const names[] = { "down", "starting", "wired", "configuring", "running", "ending" };

	return names[s];
}

static void
arm(struct child *c, uint64_t ms)
{
	struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

	event_add(c->timer, &tv);
}

static void
end_closed(struct child *c)
{
	log_warnx("worker=%s pid=%d generation=%u is ended: its control channel: %s", worker_name(c->kind), (int)c->pid,
	    c->generation, c->closed_why);
	kill(c->pid, SIGKILL);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;

	(void)fd;
	(void)what;
	if (c->state == CHILD_DOWN)
		child_start(c);
	else if (c->state == CHILD_STARTING)
		child_kill(c, "it was not ready in time");
	else if (c->state == CHILD_CONFIGURING)
		child_kill(c, "it did not take its configuration in time");
	else if (c->state == CHILD_ENDING && c->pid != 0)
		end_closed(c);
}

static void
on_delegate_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	keys_delegate_due(arg);
}

void
workers_init(struct fabricd *d)
{
	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		struct child *c = &d->child[k];

		c->fabricd = d;
		c->kind = k;
		c->stats_fd = c->log_fd = -1;
		c->timer = evtimer_new(d->base, on_timer, c);
		c->delegate_timer = evtimer_new(d->base, on_delegate_timer, c);
		if (c->timer == NULL || c->delegate_timer == NULL)
			fatalx("out of memory");
		ratelimit_init(&c->delegate_rate, NS_PER_SEC, 10);
		ratelimit_init(&c->rewire_rate, REWIRE_NS, REWIRE_BURST);
		ratelimit_init(&c->connect_rate, NS_PER_SEC / CONNECT_RATE, CONNECT_BURST);
	}
}

void
workers_start(struct fabricd *d)
{
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		child_start(&d->child[k]);
}

void
workers_free(struct fabricd *d)
{
	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		struct child *c = &d->child[k];

		event_free(c->timer);
		event_free(c->delegate_timer);
		ipc_free(c->ctl);
		c->ctl = NULL;
		confsend_free(c->confsend);
		c->confsend = NULL;
		if (c->stats_fd != -1)
			close(c->stats_fd);
		if (c->log_fd != -1)
			close(c->log_fd);
	}
}

/* --- in the child, between fork and exec ---------------------------------------------------------- */

/* Signals as at the start of the world: what the supervisor ignores or handles is its own affair. */
static void
reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Exactly 0-5: nothing, nothing, the log (for what a library or a sanitizer says on its way out),
 * control, log, counters. First out of each other's way, then into place.
 */
static int
place_fds(int ctl, int log_fd, int stats_fd)
{
	int from[3] = { ctl, log_fd, stats_fd };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null == -1)
		return -1;
	for (unsigned i = 0; i < 3; i++)
		if ((from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 16)) == -1)
			return -1;
	if (dup2(null, 0) == -1 || dup2(null, 1) == -1 || dup2(from[1], 2) == -1 ||
	    dup2(from[0], WORKER_FD_CTL) == -1 || dup2(from[1], WORKER_FD_LOG) == -1 ||
	    dup2(from[2], WORKER_FD_STATS) == -1)
		return -1;
	closefrom(WORKER_FD_FIRST_FREE);
	return 0;
}

struct exec_plan {
	char	path[CONF_PATH_MAX + 40];
	char	cwd[CONF_PATH_MAX + 40];
	char	generation[16], uid[16], gid[16];
	char	*argv[12];
};

static void
plan_exec(struct exec_plan *p, const struct child *c)
{
	const struct fabricd *d = c->fabricd;
	const struct worker_kind_desc *w = &worker_table[c->kind];
	const struct conf *conf = d->setup->conf;
	unsigned n = 0;

	snprintf(p->path, sizeof(p->path), "%s/%s", conf->libexec, w->executable);
	if (w->chroot == CHROOT_STATE)
		snprintf(p->cwd, sizeof(p->cwd), "%s/%s", conf->dir[DIR_STATE], w->executable);
	else
		snprintf(p->cwd, sizeof(p->cwd), "%s", d->root ? conf->dir[DIR_CHROOT] : "/");
	snprintf(p->generation, sizeof(p->generation), "%u", c->generation);
	p->argv[n++] = (char *)(uintptr_t)w->executable;
	p->argv[n++] = "-g";
	p->argv[n++] = p->generation;
	if (d->root) {
		snprintf(p->uid, sizeof(p->uid), "%u", (unsigned)d->setup->user[c->kind].uid);
		snprintf(p->gid, sizeof(p->gid), "%u", (unsigned)d->setup->user[c->kind].gid);
		p->argv[n++] = "-u";
		p->argv[n++] = p->uid;
		p->argv[n++] = "-G";
		p->argv[n++] = p->gid;
	}
	/* Without root a worker is not locked in; the one that has files still has to find them. */
	if (d->root || w->chroot == CHROOT_STATE) {
		p->argv[n++] = "-c";
		p->argv[n++] = p->cwd;
	}
	p->argv[n++] = "-l";
	p->argv[n++] = (char *)(uintptr_t)log_level_name(d->log_level);
	p->argv[n] = NULL;
}

static void __attribute__((noreturn))
exec_worker(const struct exec_plan *p, int ctl, int log_fd, int stats_fd)
{
	static char *const no_environment[] = { NULL };

	reset_signals();
	umask(077);
	if (place_fds(ctl, log_fd, stats_fd) == -1 || chdir("/") == -1)
		_exit(126);
	execve(p->path, p->argv, no_environment);
	dprintf(WORKER_FD_LOG, "%s: %s\n", p->path, strerror(errno));
	_exit(127);
}

/* --- in the supervisor ---------------------------------------------------------------------------- */

/* What a child has open on our side. */
static int
child_open(struct child *c, int *theirs)
{
	int fds[2];

	if (c->stats_fd != -1)
		close(c->stats_fd);
	if ((c->stats_fd = stats_create()) == -1)
		return -1;
	if (c->log_fd == -1 && (c->log_fd = logs_open(c->fabricd, worker_name(c->kind))) == -1)
		return -1;
	if (ipc_pair(fds) == -1)
		return -1;
	if ((c->ctl = ipc_new(c->fabricd->base, fds[0], &dispatch_ops, c)) == NULL) {
		close(fds[1]);	/* the other one is closed already */
		return -1;
	}
	*theirs = fds[1];
	return 0;
}

/* How long to wait for the next start of one that lived for `lived_ns`. */
static uint32_t
next_backoff(const struct child *c, uint64_t lived_ns, bool had_backoff)
{
	const struct conf *conf = c->fabricd->setup->conf;

	if (lived_ns >= SETTLED_NS)
		return 0;
	if (c->backoff_ms == 0)
		return had_backoff ? conf->restart_ms : 0;
	return c->backoff_ms > conf->restart_max_ms / 2 ? conf->restart_max_ms : c->backoff_ms * 2;
}

static void
child_failed_start(struct child *c, const char *what)
{
	log_warn("worker=%s cannot be started: %s", worker_name(c->kind), what);
	ipc_free(c->ctl);
	c->ctl = NULL;
	c->state = CHILD_DOWN;
	arm(c, 1000);
}

static void
child_start(struct child *c)
{
	struct exec_plan plan;
	int theirs = -1;
	pid_t pid;

	if (c->fabricd->stopping)
		return;
	c->generation++;
	plan_exec(&plan, c);
	if (child_open(c, &theirs) == -1) {
		child_failed_start(c, "open");
		return;
	}
	pid = fork();
	if (pid == 0)
		exec_worker(&plan, theirs, c->log_fd, c->stats_fd);
	close(theirs);
	if (pid == -1) {
		child_failed_start(c, "fork");
		return;
	}
	c->pid = pid;
	c->state = CHILD_STARTING;
	c->started_ns = clock_ns();
	arm(c, START_LIMIT_S * 1000);
	log_debug("worker=%s pid=%d generation=%u started", worker_name(c->kind), (int)pid, c->generation);
}

void
child_kill(struct child *c, const char *why)
{
	if (c->pid == 0 || c->state == CHILD_ENDING)
		return;
	log_warnx("worker=%s pid=%d generation=%u is ended: %s", worker_name(c->kind), (int)c->pid, c->generation, why);
	c->state = CHILD_ENDING;
	kill(c->pid, SIGKILL);
}

/* Nearly always it has died, and SIGCHLD comes at once and says how; if not, it is helped. */
void
child_closed(struct child *c, const char *why)
{
	if (c->state == CHILD_ENDING || c->pid == 0)
		return;
	snprintf(c->closed_why, sizeof(c->closed_why), "%s", why);
	c->state = CHILD_ENDING;
	arm(c, CLOSED_GRACE_MS);
}

void
child_send(struct child *c, const struct procmsg *m, int fd)
{
	if (c->ctl == NULL || c->state == CHILD_ENDING)
		return;
	if (procmsg_send(c->ctl, m, fd) == -1) {
		if (ipc_ended(c->ctl))
			return;		/* child_closed() is due */
		log_warn("worker=%s message %s", worker_name(c->kind), procmsg_name(m->type));
		child_kill(c, "it does not read its control channel");
		return;
	}
	ipc_flush(c->ctl);
}

static void
describe_exit(char out[CHILD_EXIT_MAX], int status)
{
	if (WIFSIGNALED(status))
		snprintf(out, CHILD_EXIT_MAX, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, CHILD_EXIT_MAX, "exit status %d", WEXITSTATUS(status));
}

/* Everything that the supervisor held for this generation. */
static void
child_clean(struct child *c)
{
	struct fabricd *d = c->fabricd;

	event_del(c->timer);
	ipc_free(c->ctl);
	c->ctl = NULL;
	confsend_free(c->confsend);
	c->confsend = NULL;
	c->verdict_due = false;
	c->pid = 0;
	c->state = CHILD_DOWN;
	keys_forget(c);
	request_child_gone(d, c);
	reload_child_gone(d, c);
}

static void
child_gone(struct child *c, int status)
{
	struct fabricd *d = c->fabricd;
	uint64_t lived_ns = clock_ns() - c->started_ns;

	describe_exit(c->last_exit, status);
	if (d->stopping && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		log_debug("worker=%s pid=%d ended", worker_name(c->kind), (int)c->pid);
	else
		log_warnx("worker=%s pid=%d generation=%u died after %llu ms: %s", worker_name(c->kind), (int)c->pid,
		    c->generation, (unsigned long long)(lived_ns / NS_PER_MS), c->last_exit);
	child_clean(c);
	if (d->stopping) {
		fabricd_reaped(d);
		return;
	}
	c->backoff_ms = next_backoff(c, lived_ns, c->restarts > 0);
	c->restarts++;
	if (c->backoff_ms > 0)
		log_warnx("worker=%s is started again in %u ms", worker_name(c->kind), c->backoff_ms);
	arm(c, c->backoff_ms);
}

bool
workers_stop(struct fabricd *d, unsigned drain_ms)
{
	const struct procmsg m = { .type = PM_STOP, .stop = { drain_ms } };
	bool any = false;

	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		struct child *c = &d->child[k];

		any |= c->pid != 0;
		if (c->state == CHILD_DOWN)
			event_del(c->timer);
		else
			child_send(c, &m, -1);
	}
	return any;
}

bool
workers_kill(struct fabricd *d)
{
	bool any = false;

	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		struct child *c = &d->child[k];

		if (c->pid == 0)
			continue;
		any = true;
		log_warnx("worker=%s pid=%d did not stop: killed", worker_name(k), (int)c->pid);
		kill(c->pid, SIGKILL);
	}
	return any;
}

void
workers_reap(struct fabricd *d)
{
	int status;

	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		struct child *c = &d->child[k];

		if (c->pid != 0 && waitpid(c->pid, &status, WNOHANG) == c->pid)
			child_gone(c, status);
	}
}
