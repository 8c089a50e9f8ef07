#include "telemd/telemd.h"

#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "telemd/openmetrics.h"

/* Taking connections from the sockets it is given, and ending them in good order. */
static const int syscalls[] = { SCMP_SYS(accept4), SCMP_SYS(shutdown), -1 };

static struct telemd *
self(struct worker *w)
{
	return w->state;
}

static int
content(struct evbuffer *out, void *arg)
{
	struct telemd *t = arg;

	return openmetrics_write(out, &t->pages, t->conf == NULL ? NULL : &t->conf->node);
}

/* --- configuration --- */

static void
conf_free(struct telemd_conf *conf)
{
	if (conf == NULL)
		return;
	for (size_t i = 0; i < conf->nsockets; i++)
		close(conf->sockets[i]);
	free(conf);
}

static void
conf_begin(struct worker *w)
{
	struct telemd *t = self(w);

	conf_free(t->pending);
	t->pending = calloc(1, sizeof(*t->pending));
	if (t->pending == NULL)
		fatal("configuration");
}

static int
bad(struct worker *w, const char *why, int fd)
{
	if (fd != -1)
		close(fd);
	snprintf(w->conf_error, sizeof(w->conf_error), "%s", why);
	return -1;
}

static int
conf_socket(struct worker *w, const struct pm_conf_socket *m, int fd)
{
	struct telemd_conf *conf = self(w)->pending;

	if (m->purpose != SOCKET_METRICS || fd == -1)
		return bad(w, "telemd takes listening sockets for metrics only", fd);
	if (conf->nsockets == SERVER_SOCKETS_MAX)
		return bad(w, "too many addresses for metrics", fd);
	conf->sockets[conf->nsockets++] = fd;
	return 0;
}

static int
conf_item(struct worker *w, const struct procmsg *m, int fd)
{
	struct telemd_conf *conf = self(w)->pending;

	switch (m->type) {
	case PM_CONF_SOCKET:
		return conf_socket(w, &m->conf_socket, fd);
	case PM_CONF_NODE:
		if (fd != -1)
			return bad(w, "a descriptor with the node", fd);
		conf->node = m->conf_node;
		conf->have_node = true;
		return 0;
	default:
		return bad(w, "telemd takes its node and its sockets only", fd);
	}
}

static int
conf_check(struct worker *w)
{
	return self(w)->pending->have_node ? 0 : bad(w, "the node is missing", -1);
}

static void
conf_commit(struct worker *w)
{
	struct telemd *t = self(w);

	conf_free(t->conf);
	t->conf = t->pending;
	t->pending = NULL;
	if (server_listen(t->server, t->conf->sockets, t->conf->nsockets) == -1)
		log_warnx("not listening on all addresses for metrics");
	t->conf->nsockets = 0;	/* they are the server's now */
}

static void
conf_abort(struct worker *w)
{
	struct telemd *t = self(w);

	conf_free(t->pending);
	t->pending = NULL;
}

/* --- the supervisor --- */

static int
take_page(struct telemd *t, const struct pm_stats *m, int fd)
{
	const struct stats_page *page;

	if (m->kind >= WORKER_COUNT || fd == -1) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	page = stats_map_ro(fd);
	if (page == NULL) {
		log_warn("counter page of %s", worker_name(m->kind));
		return 0;
	}
	pages_replace(&t->pages, (enum worker_kind)m->kind, m->generation, page, true);
	return 0;
}

static int
telemd_message(struct worker *w, const struct procmsg *m, int fd)
{
	if (m->type == PM_STATS)
		return take_page(self(w), &m->stats, fd);
	if (fd != -1)
		close(fd);
	return -1;
}

static void
counter_row(struct worker *w, uint64_t request, enum worker_kind kind, const struct stats_desc *d, uint64_t value)
{
	struct row_writer row;

	row_init(&row);
	row_str(&row, "worker", worker_name(kind));
	row_str(&row, "name", d->name);
	row_str(&row, "labels", d->labels);
	row_uint(&row, "value", value);
	worker_row_once(w, request, &row);
}

static void
telemd_request(struct worker *w, const struct pm_request *req)
{
	struct telemd *t = self(w);

	if (strcmp(req->command, "counters") != 0) {
		worker_done(w, req->id, 1, "telemd does not know this command");
		return;
	}
	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		size_t count;
		const struct stats_desc *desc = stats_desc((enum worker_kind)k, &count);

		if (!pages_have(&t->pages, (enum worker_kind)k))
			continue;
		for (size_t i = 0; i < count; i++)
			counter_row(w, req->id, (enum worker_kind)k, &desc[i],
			    pages_value(&t->pages, (enum worker_kind)k, i));
	}
	worker_done(w, req->id, 0, "");
}

static void
telemd_start(struct worker *w)
{
	struct telemd *t = calloc(1, sizeof(*t));

	if (t == NULL || pages_init(&t->pages) == -1 || (t->server = server_new(w->base, content, t)) == NULL)
		fatal("start");
	w->state = t;
	t->worker = w;
	STAT_SET(TELEMD_STARTS, w->generation);
	/* The own page needs no descriptor. */
	pages_replace(&t->pages, WORKER_TELEMD, w->generation, stats, false);
}

const struct worker_ops telemd_ops = {
	.kind = WORKER_TELEMD,
	.network = false,	/* what it accepts comes from sockets that it is given */
	.nofile = 64,	/* 16 listening, 16 connections, and its own */
	.memory = 32u << 20,
	.syscalls = syscalls,
	.start = telemd_start,
	.conf_begin = conf_begin,
	.conf_item = conf_item,
	.conf_check = conf_check,
	.conf_commit = conf_commit,
	.conf_abort = conf_abort,
	.message = telemd_message,
	.request = telemd_request,
};
