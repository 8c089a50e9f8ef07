#include "fabricd/request.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabricd/answers.h"
#include "fabricd/fabricd.h"
#include "fabricd/reload.h"

#define WORKER_MAX	64	/* requests that a worker has not answered */
#define LIMIT_S		15
#define PING_S		3	/* more for each ping */

struct request {
	TAILQ_ENTRY(request) entry;
	struct fabricd	*d;
	uint64_t	 id;		/* towards the worker */
	enum worker_kind kind;
	struct reply	 reply;		/* zero once answered: the worker may still speak of it */
	bool		 connection;	/* ends when what it asked for ends */
	struct event	*timer;		/* NULL: it has no time limit */
};

static TAILQ_HEAD(, request) requests = TAILQ_HEAD_INITIALIZER(requests);
static unsigned nrequests[WORKER_COUNT];
static uint64_t last_id;

static void	start_connection(struct fabricd *, const struct reply *, const struct pm_request *);

static const struct command {
	const char	*name;
	enum worker_kind kind;		/* WORKER_SUPERVISOR: answer() */
	bool		 changes;	/* or makes the node send something */
	uint64_t	 max_count;
	void		(*answer)(struct fabricd *, const struct reply *, const struct pm_request *);
} commands[] = {
	{ "status", WORKER_ROUTED, false, 0, NULL },
	{ "peers", WORKER_ROUTED, false, 0, NULL },
	{ "sessions", WORKER_DATAPLANE, false, 0, NULL },
	{ "streams", WORKER_DATAPLANE, false, 0, NULL },
	{ "ends", WORKER_SVCHOSTD, false, 0, NULL },	/* of streams, at the adapters */
	{ "packets", WORKER_VPND, false, 0, NULL },	/* that came on unreliable streams */
	{ "vpn", WORKER_VPND, false, 0, NULL },
	{ "services", WORKER_ROUTED, false, 0, NULL },
	{ "nodes", WORKER_ROUTED, false, 0, NULL },
	{ "served", WORKER_SVCHOSTD, false, 0, NULL },
	{ "routes", WORKER_ROUTED, false, 0, NULL },
	{ "route-explain", WORKER_ROUTED, false, 0, NULL },
	{ "route-history", WORKER_ROUTED, false, 0, NULL },
	{ "route-fence", WORKER_ROUTED, true, 0, NULL },
	{ "relay-usage", WORKER_ROUTED, false, 0, NULL },
	{ "path", WORKER_ROUTED, false, 0, NULL },
	{ "netcheck", WORKER_ROUTED, false, 0, NULL },
	{ "events", WORKER_ROUTED, false, 0, NULL },
	{ "fences", WORKER_ROUTED, false, 0, NULL },
	{ "policy-why", WORKER_ROUTED, false, 0, NULL },
	{ "ping", WORKER_SVCHOSTD, true, 1000, NULL },
	{ "counters", WORKER_TELEMD, false, 0, NULL },
	{ "connect", WORKER_SUPERVISOR, true, 0, start_connection },
	{ "workers", WORKER_SUPERVISOR, false, 0, answer_workers },
	{ "config", WORKER_SUPERVISOR, false, 0, answer_config },
	{ "health", WORKER_SUPERVISOR, false, 0, answer_health },
	{ "log", WORKER_SUPERVISOR, true, 0, answer_log },
	{ "reload", WORKER_SUPERVISOR, true, 0, answer_reload },
	{ "stop", WORKER_SUPERVISOR, true, 0, answer_stop },
};

static void
request_free(struct request *r)
{
	TAILQ_REMOVE(&requests, r, entry);
	if (!r->connection)
		nrequests[r->kind]--;
	if (r->timer != NULL)
		event_free(r->timer);
	free(r);
}

void
requests_free(void)
{
	struct request *r;

	while ((r = TAILQ_FIRST(&requests)) != NULL)
		request_free(r);
}

static void
finish(struct request *r, unsigned status, const char *text)
{
	control_done(r->d, &r->reply, status, text);
	memset(&r->reply, 0, sizeof(r->reply));
}

/* The entry stays: the worker may answer yet, and is then no liar. */
static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct request *r = arg;
	char text[80];

	(void)fd;
	(void)what;
	snprintf(text, sizeof(text), "%s did not answer in time", worker_name(r->kind));
	finish(r, 1, text);
}

static struct request *
request_new(struct fabricd *d, const struct reply *reply, enum worker_kind kind)
{
	struct request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->d = d;
	r->kind = kind;
	r->reply = *reply;
	r->id = ++last_id;
	TAILQ_INSERT_TAIL(&requests, r, entry);
	return r;
}

static int
forward(struct fabricd *d, const struct reply *reply, const struct command *cmd, const struct pm_request *q)
{
	struct child *c = &d->child[cmd->kind];
	struct timeval limit = { LIMIT_S + (time_t)q->count * PING_S, 0 };
	struct procmsg m = { .type = PM_REQUEST, .request = *q };
	struct request *r;

	if (nrequests[cmd->kind] >= WORKER_MAX || (r = request_new(d, reply, cmd->kind)) == NULL)
		return -1;
	nrequests[cmd->kind]++;
	if ((r->timer = evtimer_new(d->base, on_timeout, r)) == NULL) {
		request_free(r);
		return -1;
	}
	m.request.id = r->id;
	event_add(r->timer, &limit);
	child_send(c, &m, -1);
	return 0;
}

/*
 * Two descriptors that are joined: one to the client, one to svchostd. What passes between them is nobody's here; svchostd
 * answers when it is over.
 */
static int
hand_out(struct fabricd *d, const struct reply *reply, const struct request *r, const char *target)
{
	struct procmsg m = { .type = PM_LOCAL, .local.id = reply->id };
	int fds[2], rv = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1) {
		log_warn("connect to %s", target);
		return -1;
	}
	memcpy(m.local.target, target, strnlen(target, TARGET_MAX));
	if (control_lend(d, reply, &m, fds[0])) {
		m.local.id = r->id;
		child_send(&d->child[r->kind], &m, fds[1]);
		rv = 0;
	}
	close(fds[0]);
	close(fds[1]);
	return rv;
}

static void
start_connection(struct fabricd *d, const struct reply *reply, const struct pm_request *q)
{
	const struct child *c = &d->child[WORKER_SVCHOSTD];
	struct request *r;
	char text[80];

	if (q->argument[0] == '\0' || strlen(q->argument) > TARGET_MAX) {
		control_done(d, reply, CONNECT_UNUSABLE, "that names no service: SERVICE or SERVICE@NODE");
		return;
	}
	if (c->state != CHILD_RUNNING) {
		snprintf(text, sizeof(text), "worker %s is %s", worker_name(c->kind), child_state_name(c->state));
		control_done(d, reply, CONNECT_FAILED, text);
		return;
	}
	r = request_new(d, reply, c->kind);
	if (r != NULL)
		r->connection = true;
	if (r == NULL || hand_out(d, reply, r, q->argument) == -1) {
		control_done(d, reply, CONNECT_FAILED, "no more connections can be had");
		if (r != NULL)
			request_free(r);
	}
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

void
request_start(struct fabricd *d, const struct reply *reply, const struct pm_request *q, bool may_change)
{
	const struct command *cmd = find_command(q->command);
	char text[80];

	if (cmd == NULL) {
		control_done(d, reply, 2, "this fabricd does not know the command");
	} else if (cmd->changes && !may_change) {
		control_done(d, reply, 2, "not allowed on the read-only socket");
	} else if (q->count > cmd->max_count) {
		control_done(d, reply, 2, "the count is too large");
	} else if (cmd->kind == WORKER_SUPERVISOR) {
		cmd->answer(d, reply, q);
	} else if (d->child[cmd->kind].state != CHILD_RUNNING) {
		snprintf(text, sizeof(text), "worker %s is %s", worker_name(cmd->kind),
		    child_state_name(d->child[cmd->kind].state));
		control_done(d, reply, 1, text);
	} else if (forward(d, reply, cmd, q) == -1) {
		snprintf(text, sizeof(text), "worker %s has too many requests to answer", worker_name(cmd->kind));
		control_done(d, reply, 1, text);
	}
}

static struct request *
find(const struct child *c, uint64_t id)
{
	struct request *r;

	TAILQ_FOREACH(r, &requests, entry)
		if (r->id == id && r->kind == c->kind)
			return r;
	return NULL;
}

int
request_row(struct child *c, const struct pm_row *row)
{
	struct request *r = find(c, row->id);

	if (r == NULL)
		return -1;
	control_row(c->fabricd, &r->reply, row->row);
	return 0;
}

int
request_done(struct child *c, const struct pm_done *done)
{
	struct request *r = find(c, done->id);

	if (r == NULL)
		return -1;
	finish(r, done->status, done->text);
	request_free(r);
	return 0;
}

void
request_child_gone(struct fabricd *d, struct child *c)
{
	struct request *r, *next;
	char text[80];

	(void)d;
	for (r = TAILQ_FIRST(&requests); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		if (r->kind != c->kind)
			continue;
		snprintf(text, sizeof(text), "worker %s died before it answered", worker_name(r->kind));
		finish(r, r->connection ? CONNECT_RESET : 1, text);
		request_free(r);
	}
}
