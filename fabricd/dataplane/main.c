/* The dataplane worker: carriers, sessions, the frame switch. All but the start is in the library beside. */
#include <sys/syscall.h>

#include "base/log.h"
#include "crypto/crypto.h"
#include "fabricd/dataplane/dp.h"
#include "proc/stats.h"
#include "proc/worker.h"

#define NOFILE	64u
#define NICE	(-10)	/* packets go before whatever else this machine computes, as in its kernel */
#define MEMORY	(1024u << 20)	/* thousands of sessions, and all that streams may set aside; what is queued is bounded below */

/* Beyond what every worker may do. */
static const int syscalls[] = {
	SYS_recvmmsg,
	SYS_setsockopt, SYS_getsockopt, SYS_getsockname,	/* a socket that a new configuration brings */
	SYS_timerfd_create, SYS_timerfd_settime,
	-1
};

static void
up_send(const struct procmsg *m, void *arg)
{
	worker_send(arg, m, -1);
}

static void
up_row(uint64_t id, const struct row_writer *row, void *arg)
{
	worker_row_once(arg, id, row);
}

static void
up_done(uint64_t id, unsigned status, const char *text, void *arg)
{
	worker_done(arg, id, status, text);
}

static void
up_drained(void *arg)
{
	worker_exit(arg);
}

static const struct dp_ops ops = { .send = up_send, .row = up_row, .done = up_done, .drained = up_drained };

static void
init(struct worker *w)
{
	(void)w;
	crypto_init();
}

static void
start(struct worker *w)
{
	struct dataplane *dp;

	if ((w->state = dp = dp_new(w->base, &ops, w)) == NULL)
		fatalx("cannot start TLS");
	dp->load.nofile = NOFILE;
	STAT_SET(DATAPLANE_STARTS, w->generation);
}

static void
conf_begin(struct worker *w)
{
	dp_conf_begin(w->state);
}

static int
conf_item(struct worker *w, const struct procmsg *m, int fd)
{
	return dp_conf_item(w->state, m, fd, w->conf_error);
}

static int
conf_check(struct worker *w)
{
	return dp_conf_check(w->state, w->conf_error);
}

static void
conf_commit(struct worker *w)
{
	dp_conf_commit(w->state);
}

static void
conf_abort(struct worker *w)
{
	dp_conf_abort(w->state);
}

static void
port(struct worker *w, enum worker_kind kind, int fd)
{
	dp_port(w->state, kind, fd);
}

static int
message(struct worker *w, const struct procmsg *m, int fd)
{
	(void)fd;	/* none of these brings one */
	return dp_message(w->state, m);
}

static void
request(struct worker *w, const struct pm_request *r)
{
	dp_request(w->state, r);
}

static void
drain(struct worker *w, unsigned ms)
{
	dp_drain(w->state, ms);
}

static const struct worker_ops worker_ops = {
	.kind = WORKER_DATAPLANE, .network = true, .nice = NICE, .nofile = NOFILE, .memory = MEMORY, .syscalls = syscalls,
	.init = init, .start = start,
	.conf_begin = conf_begin, .conf_item = conf_item, .conf_check = conf_check,
	.conf_commit = conf_commit, .conf_abort = conf_abort,
	.port = port, .message = message, .request = request, .drain = drain,
};

int
main(int argc, char **argv)
{
	return worker_main(&worker_ops, argc, argv);
}
