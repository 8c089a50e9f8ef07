/*
 * What workers say. Right worker? right state? exact form? then one call. Anything else is the word of a
 * worker that was taken over: it is killed and replaced, and nothing it said is acted on.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "fabricd/confsend.h"
#include "fabricd/connect.h"
#include "fabricd/control.h"
#include "fabricd/fabricd.h"
#include "fabricd/reload.h"
#include "fabricd/request.h"
#include "fabricd/services.h"
#include "fabricd/system.h"

/* Which right a message needs; 0: no worker may send it. */
static unsigned
needed(enum procmsg_type type)
{
	switch (type) {
	case PM_READY:
		return SAYS_READY;
	case PM_CONF_OK:
	case PM_CONF_BAD:
		return SAYS_VERDICT;
	case PM_ROW:
	case PM_DONE:
		return SAYS_ANSWERS;
	case PM_DELEGATE:
		return SAYS_DELEGATE;
	case PM_PORT_LOST:
		return SAYS_PORT_LOST;
	case PM_CONNECT:
		return SAYS_CONNECT;
	default:
		return 0;
	}
}

static int
on_ready(struct child *c, const struct pm_ready *r)
{
	if (r->generation != c->generation || r->pid != (uint32_t)c->pid)
		return -1;
	event_del(c->timer);
	c->state = CHILD_WIRED;
	wire_child(c);
	if (c->fabricd->reload == NULL)		/* else when that has ended */
		reload_configure(c);
	return 0;
}

/*
 * It has its configuration, and knows nothing yet of what comes beside it. Once it knows what is served here it says who
 * may reach that, which is not to be asked without the policy.
 */
static void
on_routed(struct fabricd *d)
{
	signed_send(d);
	services_send(d);
	system_send(d->sysinfo);
}

static int
on_verdict(struct child *c, const struct procmsg *m)
{
	const struct procmsg commit = { .type = PM_CONF_COMMIT };

	if (!c->verdict_due)
		return -1;
	c->verdict_due = false;
	if (c->state == CHILD_RUNNING) {
		reload_verdict(c, m->type == PM_CONF_OK ? NULL : m->conf_bad.text);
		return 0;
	}
	event_del(c->timer);
	if (m->type == PM_CONF_BAD) {
		log_warnx("worker=%s refuses the configuration: %s", worker_name(c->kind), m->conf_bad.text);
		child_kill(c, "it does not take the running configuration");
		return 0;
	}
	child_send(c, &commit, -1);
	c->state = CHILD_RUNNING;
	c->running_ns = clock_ns();
	if (c->kind == WORKER_ROUTED)
		on_routed(c->fabricd);
	log_info("worker=%s pid=%d generation=%u runs", worker_name(c->kind), (int)c->pid, c->generation);
	reload_worker_ready(c->fabricd);
	fabricd_running(c->fabricd);
	return 0;
}

static int
act(struct child *c, const struct procmsg *m)
{
	switch (m->type) {
	case PM_READY:
		return on_ready(c, &m->ready);
	case PM_CONF_OK:
	case PM_CONF_BAD:
		return on_verdict(c, m);
	case PM_ROW:
		return request_row(c, &m->row);
	case PM_DONE:
		return request_done(c, &m->done);
	case PM_DELEGATE:
		return keys_delegate(c, &m->delegate);
	case PM_PORT_LOST:
		return wire_lost(c, &m->port_lost);
	case PM_CONNECT:
		return connect_target(c, &m->connect);
	default:
		return -1;
	}
}

static int
refuse(struct child *c, const char *fmt, const char *what, const char *more)
{
	char why[160];

	snprintf(why, sizeof(why), fmt, what, more);
	child_kill(c, why);
	return -1;
}

static int
on_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct child *c = arg;
	struct procmsg m;
	int err;

	(void)ipc;
	if (fd != -1)
		close(fd);
	if (c->state == CHILD_ENDING || c->state == CHILD_DOWN)
		return -1;
	if (fd != -1)
		return refuse(c, "it sent a descriptor with %s%s", procmsg_name(f->type), "");
	if ((err = procmsg_decode(&m, f)) < 0)
		return refuse(c, "it sent a malformed %s: %s", procmsg_name(f->type), frame_strerror(err));
	if ((needed(m.type) & worker_table[c->kind].says[c->state]) == 0 || act(c, &m) == -1)
		return refuse(c, "it sent %s while %s", procmsg_name(m.type), child_state_name(c->state));
	return 0;
}

static void
on_writable(struct ipc *ipc, void *arg)
{
	(void)ipc;
	confsend_continue(arg);
}

static void
on_batch_end(struct ipc *ipc, void *arg)
{
	struct child *c = arg;

	(void)ipc;
	control_flush(c->fabricd);
}

static void
on_closed(struct ipc *ipc, const char *why, void *arg)
{
	(void)ipc;
	child_closed(arg, why);
}

const struct ipc_ops dispatch_ops = { .frame = on_frame, .batch_end = on_batch_end, .writable = on_writable,
    .closed = on_closed };
