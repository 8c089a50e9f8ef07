#include "svchostd/svchostd.h"

#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/stats.h"

#define TICK_S 5	/* how late an idle stream may be closed */

/* Nothing beyond what every worker may do: all that it has are its channels. */
static const int syscalls[] = { -1 };

static struct svchostd *
self(struct worker *w)
{
	return w->state;
}

/* --- the dataplane --- */

static bool
serves_echo(const struct svchostd *s)
{
	return s->conf != NULL && s->conf->echo;
}

static void
bind_services(struct svchostd *s)
{
	struct procmsg m = { .type = PM_BIND, .bind.service = ECHO_SERVICE };

	if (s->dataplane == NULL || s->bound || !serves_echo(s))
		return;
	if (procmsg_send(s->dataplane, &m, -1) == 0)
		s->bound = true;
	ipc_flush(s->dataplane);
}

static void
dataplane_lost(struct svchostd *s)
{
	echo_end_all(s->echo, NULL, REASON_NONE);
	pinger_port(s->pinger, NULL, NULL);
	nodes_all_down(&s->nodes);
	ipc_free(s->dataplane);
	s->dataplane = NULL;
	s->bound = false;
}

static void
refuse(struct svchostd *s, uint64_t stream_id, uint64_t reason)
{
	struct frame f = { .type = FT_RESET_STREAM, .reset = { .stream_id = stream_id, .reason = reason } };

	STAT_INC(SVCHOSTD_OPENS_REFUSED);
	if (ipc_send(s->dataplane, &f) == -1)
		STAT_INC(SVCHOSTD_IPC_DROPPED);
}

static bool
service_is(const struct frame_open_stream *o, const char *name)
{
	return o->service.len == strlen(name) && memcmp(o->service.p, name, o->service.len) == 0;
}

/* Without the source's proven id a stream is nobody's; with an id of ours the dataplane is out of its mind. */
static int
open_stream(struct svchostd *s, const struct frame_open_stream *o)
{
	if (o->source == NULL || stream_id_accept(&s->ids, o->stream_id) != STREAM_ID_OK)
		return -1;
	if (service_is(o, ECHO_SERVICE) && serves_echo(s))
		echo_open(s->echo, s->dataplane, o, clock_ns());
	else
		refuse(s, o->stream_id, REASON_NO_SERVICE);
	return 0;
}

/* Data and ends may cross with our own end of the same stream. */
static void
data(struct svchostd *s, const struct frame_data *d)
{
	if (!echo_data(s->echo, s->dataplane, d, clock_ns()) && !pinger_data(s->pinger, d))
		STAT_INC(SVCHOSTD_NO_STREAM);
}

static void
end_stream(struct svchostd *s, uint64_t stream_id, uint64_t reason)
{
	if (!echo_end(s->echo, stream_id))
		pinger_end(s->pinger, stream_id, reason);
}

static int
dispatch_proc(struct svchostd *s, const struct frame *f)
{
	struct procmsg m;

	if (procmsg_decode(&m, f) < 0)
		return -1;
	switch (m.type) {
	case PM_PEER_UP:
		if (nodes_up(&s->nodes, &m.peer_up) == -1)
			STAT_INC(SVCHOSTD_NODES_REFUSED);
		return 0;
	case PM_PEER_DOWN:
		nodes_down(&s->nodes, m.peer_down.node_id);
		return 0;
	case PM_PEER_STAT:
		nodes_stat(&s->nodes, &m.peer_stat);
		return 0;
	default:
		return -1;
	}
}

static int
dispatch(struct svchostd *s, const struct frame *f)
{
	switch (f->type) {
	case FT_OPEN_STREAM:
		return open_stream(s, &f->open);
	case FT_DATA_U:
	case FT_DATA_UF:
	case FT_DATA_UFL:
		data(s, &f->data);
		return 0;
	case FT_CLOSE_STREAM:
		end_stream(s, f->close.stream_id, f->close.reason);
		return 0;
	case FT_RESET_STREAM:
		end_stream(s, f->reset.stream_id, f->reset.reason);
		return 0;
	default:
		if (f->type >= FT_PROC_FIRST)
			return dispatch_proc(s, f);
		return f->skipped ? 0 : -1;
	}
}

static int
dataplane_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	if (fd != -1) {
		close(fd);
		return -1;
	}
	return dispatch(arg, f);
}

static void
dataplane_batch_end(struct ipc *ipc, void *arg)
{
	ipc_flush(ipc);
}

static void
dataplane_writable(struct ipc *ipc, void *arg)
{
	bind_services(arg);
}

static void
dataplane_closed(struct ipc *ipc, const char *why, void *arg)
{
	log_info("channel to dataplane closed: %s", why);
	dataplane_lost(arg);
}

static const struct ipc_ops dataplane_ops = {
	.frame = dataplane_frame,
	.batch_end = dataplane_batch_end,
	.writable = dataplane_writable,
	.closed = dataplane_closed,
};

static void
svchostd_port(struct worker *w, enum worker_kind kind, int fd)
{
	struct svchostd *s = self(w);

	if (kind != WORKER_DATAPLANE) {
		log_warnx("a channel to %s is not svchostd's", worker_name(kind));
		close(fd);
		return;
	}
	dataplane_lost(s);
	s->dataplane = ipc_new(w->base, fd, &dataplane_ops, s);
	if (s->dataplane == NULL)
		fatal("channel to dataplane");
	stream_ids_init(&s->ids, true);
	pinger_port(s->pinger, s->dataplane, &s->ids);
	bind_services(s);
}

/* --- configuration --- */

static void
conf_free(struct svchostd_conf *conf)
{
	if (conf == NULL)
		return;
	nodes_free(&conf->peers);
	free(conf);
}

static void
conf_begin(struct worker *w)
{
	struct svchostd *s = self(w);

	conf_free(s->pending);
	s->pending = calloc(1, sizeof(*s->pending));
	if (s->pending == NULL)
		fatal("configuration");
}

static int __attribute__((format(printf, 2, 3)))
bad(struct worker *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->conf_error, sizeof(w->conf_error), fmt, ap);
	va_end(ap);
	return -1;
}

static int
conf_item(struct worker *w, const struct procmsg *m, int fd)
{
	struct svchostd_conf *conf = self(w)->pending;

	if (fd != -1)
		close(fd);
	switch (m->type) {
	case PM_CONF_NODE:
		conf->node = m->conf_node;
		conf->have_node = true;
		return 0;
	case PM_CONF_PEER:
		return nodes_configure(&conf->peers, &m->conf_peer) == 0 ? 0 : bad(w, "too many peers");
	case PM_CONF_SERVICE:
		if (strcmp(m->conf_service.name, ECHO_SERVICE) != 0)
			return bad(w, "svchostd has no service \"%s\"", m->conf_service.name);
		conf->echo = true;
		return 0;
	default:
		return bad(w, "svchostd has no use for %s", procmsg_name(m->type));
	}
}

static int
conf_check(struct worker *w)
{
	return self(w)->pending->have_node ? 0 : bad(w, "the node is missing");
}

static void
conf_commit(struct worker *w)
{
	struct svchostd *s = self(w);

	conf_free(s->conf);
	s->conf = s->pending;
	s->pending = NULL;
	nodes_reconfigure(&s->nodes, &s->conf->peers);
	if (s->dataplane != NULL && !s->conf->echo) {
		echo_end_all(s->echo, s->dataplane, REASON_NO_SERVICE);
		ipc_flush(s->dataplane);
	}
	bind_services(s);
}

static void
conf_abort(struct worker *w)
{
	struct svchostd *s = self(w);

	conf_free(s->pending);
	s->pending = NULL;
}

/* --- requests --- */

static int
svchostd_message(struct worker *w, const struct procmsg *m, int fd)
{
	if (fd != -1)
		close(fd);
	if (m->type != PM_LOCAL)
		return -1;
	worker_done(w, m->local.id, CONNECT_NO_SERVICE, "no service is known");
	return 0;
}

static void
request_ping(struct svchostd *s, const struct pm_request *req)
{
	char err[PM_TEXT_MAX + 1];
	uint8_t id[NODE_ID_LEN];
	const struct node *n;

	if (s->conf == NULL) {
		worker_done(s->worker, req->id, 1, "not configured yet");
		return;
	}
	if (strcmp(req->argument, s->conf->node.name) == 0)
		memcpy(id, s->conf->node.node_id, NODE_ID_LEN);
	else if (nodes_resolve(&s->nodes, req->argument, id, err) == -1) {
		worker_done(s->worker, req->id, 1, err);
		return;
	}
	if (memcmp(id, s->conf->node.node_id, NODE_ID_LEN) == 0) {
		worker_done(s->worker, req->id, 1, "that is this node itself");
		return;
	}
	n = nodes_find(&s->nodes, id);
	pinger_start(s->pinger, req, id, n == NULL ? req->argument :
	    n->conf_name[0] != '\0' ? n->conf_name : n->proven_name);
}

static void
request_services(struct svchostd *s, const struct pm_request *req)
{
	struct row_writer w;

	if (serves_echo(s)) {
		row_init(&w);
		row_str(&w, "service", ECHO_SERVICE);
		row_bool(&w, "bound", s->bound);
		row_uint(&w, "streams", echo_streams(s->echo));
		row_uint(&w, "packets", stats->counter[STAT_SVCHOSTD_ECHO_PACKETS]);
		worker_row(s->worker, req->id, &w);
	}
	worker_done(s->worker, req->id, 0, "");
}

static void
svchostd_request(struct worker *w, const struct pm_request *req)
{
	if (strcmp(req->command, "ping") == 0)
		request_ping(self(w), req);
	else if (strcmp(req->command, "served") == 0)
		request_services(self(w), req);
	else
		worker_done(w, req->id, 1, "svchostd does not know this command");
}

/* --- life --- */

static void
tick(evutil_socket_t fd, short what, void *arg)
{
	struct svchostd *s = arg;

	if (s->dataplane == NULL)
		return;
	echo_expire(s->echo, s->dataplane, clock_ns());
	ipc_flush(s->dataplane);
}

static void
svchostd_start(struct worker *w)
{
	struct svchostd *s = calloc(1, sizeof(*s));
	struct timeval tv = { .tv_sec = TICK_S };

	if (s == NULL || (s->echo = echo_new()) == NULL || (s->pinger = pinger_new(w)) == NULL)
		fatal("start");
	w->state = s;
	s->worker = w;
	STAT_SET(SVCHOSTD_STARTS, w->generation);
	s->tick = event_new(w->base, -1, EV_PERSIST, tick, s);
	if (s->tick == NULL || event_add(s->tick, &tv) == -1)
		fatal("timer");
}

const struct worker_ops svchostd_ops = {
	.kind = WORKER_SVCHOSTD,
	.network = false,
	.nofile = 32,
	.memory = 32u << 20,
	.syscalls = syscalls,
	.start = svchostd_start,
	.conf_begin = conf_begin,
	.conf_item = conf_item,
	.conf_check = conf_check,
	.conf_commit = conf_commit,
	.conf_abort = conf_abort,
	.port = svchostd_port,
	.message = svchostd_message,
	.request = svchostd_request,
};
