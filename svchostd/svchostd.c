#include "svchostd/svchostd.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/stats.h"
#include "svchostd/show.h"

#define TICK_S 1
#define TELL_NS (10 * NS_PER_SEC)	/* in which all services are told on a new channel, once that has begun */

/* All that it has are its channels, and sockets that it was handed. */
static const int syscalls[] = { SCMP_SYS(accept4), SCMP_SYS(shutdown), SCMP_SYS(getsockopt), -1 };

/* For connections that are broken off: the other side must not take what it has for all. */
static const int sockopts[][2] = { { SOL_SOCKET, SO_LINGER }, { -1, -1 } };

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

static bool
serves(const struct svchostd *s, const char *name)
{
	if (strcmp(name, ECHO_SERVICE) == 0)
		return serves_echo(s);
	for (size_t i = 0; s->conf != NULL && i < s->conf->tcp.n; i++)
		if (strcmp(s->conf->tcp.services[i].name, name) == 0)
			return true;
	return false;
}

static bool
is_bound(const struct svchostd *s, const char *name)
{
	for (size_t i = 0; i < s->nbound; i++)
		if (strcmp(s->bound[i], name) == 0)
			return true;
	return false;
}

/* False: the channel has no room now, and `writable' comes back here. */
static bool
bind_service(struct svchostd *s, const char *name)
{
	struct procmsg m = { .type = PM_BIND };

	if (is_bound(s, name))
		return true;
	strcpy(m.bind.service, name);
	if (procmsg_send(s->dataplane, &m, -1) == -1)
		return false;
	strcpy(s->bound[s->nbound++], name);
	return true;
}

static bool
unbind_services(struct svchostd *s)
{
	struct procmsg m = { .type = PM_UNBIND };

	for (size_t i = s->nbound; i-- > 0;) {
		if (serves(s, s->bound[i]))
			continue;
		strcpy(m.bind.service, s->bound[i]);
		if (procmsg_send(s->dataplane, &m, -1) == -1)
			return false;
		memmove(s->bound[i], s->bound[--s->nbound], sizeof(s->bound[i]));
	}
	return true;
}

/* What the dataplane knows to be here becomes what the configuration says. */
static void
bind_services(struct svchostd *s)
{
	if (s->dataplane == NULL || s->conf == NULL)
		return;
	if (unbind_services(s) && (!serves_echo(s) || bind_service(s, ECHO_SERVICE)))
		for (size_t i = 0; i < s->conf->tcp.n && bind_service(s, s->conf->tcp.services[i].name); i++)
			;
	ipc_flush(s->dataplane);
}

static void
dataplane_lost(struct svchostd *s)
{
	echo_end_all(s->echo, NULL, REASON_NONE);
	pinger_port(s->pinger, NULL, NULL);
	hub_port(s->hub, NULL, NULL);
	nodes_all_down(&s->nodes);
	ipc_free(s->dataplane);
	s->dataplane = NULL;
	s->nbound = 0;
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
	if ((o->flags & OPEN_UNRELIABLE) == 0)
		hub_open_frame(s->hub, o);
	else if (service_is(o, ECHO_SERVICE) && serves_echo(s))
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
end_stream(struct svchostd *s, const struct frame *f, uint64_t stream_id, uint64_t reason)
{
	if (!hub_frame(s->hub, f) && !echo_end(s->echo, stream_id))
		pinger_end(s->pinger, stream_id, reason);
}

static void
service_told(struct svchostd *s, const struct pm_service *m)
{
	uint64_t reason = names_put(s->names, m, clock_wall());

	if (s->names_stale && s->sweep_ns == 0)
		s->sweep_ns = clock_ns() + TELL_NS;
	STAT_SET(SVCHOSTD_NAMES, names_count(s->names));
	if (reason == REASON_NONE)
		return;
	STAT_INC(SVCHOSTD_NAMES_REFUSED);
	log_info("a service record is not taken: %s", reason_name(reason));
}

static void
names_tick(struct svchostd *s, uint64_t now_ns)
{
	if (s->sweep_ns == 0 || now_ns < s->sweep_ns)
		return;
	names_sweep(s->names);
	s->names_stale = false;
	s->sweep_ns = 0;
	STAT_SET(SVCHOSTD_NAMES, names_count(s->names));
}

static int
dispatch_proc(struct svchostd *s, const struct frame *f)
{
	struct procmsg m;

	if (procmsg_decode(&m, f) < 0)
		return -1;
	switch (m.type) {
	case PM_PEER_UP:
		if (nodes_up(&s->nodes, &m.peer_up, s->certify.self.tenants.own) == -1)
			STAT_INC(SVCHOSTD_NODES_REFUSED);
		local_node_news(s->local, m.peer_up.node_id);
		return 0;
	case PM_TENANTS:
		return e2e_self_tenants(&s->certify.self, m.tenants.others, m.tenants.list);
	case PM_WANT_FAILED:
		local_node_failed(s->local, m.want_failed.node_id, m.want_failed.reason);
		return 0;
	case PM_PEER_DOWN:
		nodes_down(&s->nodes, m.peer_down.node_id);
		return 0;
	case PM_PEER_STAT:
		nodes_stat(&s->nodes, &m.peer_stat);
		return 0;
	case PM_SERVICE:
		service_told(s, &m.service);
		local_node_news(s->local, m.service.node_id);
		return 0;
	case PM_SERVICE_DEL:
		names_del(s->names, &m.service_del);
		STAT_SET(SVCHOSTD_NAMES, names_count(s->names));
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
	case FT_DATA:
	case FT_ACK:
	case FT_STREAM_CREDIT:
		if (!hub_frame(s->hub, f))
			STAT_INC(SVCHOSTD_NO_STREAM);
		return 0;
	case FT_CLOSE_STREAM:
		end_stream(s, f, f->close.stream_id, f->close.reason);
		return 0;
	case FT_RESET_STREAM:
		end_stream(s, f, f->reset.stream_id, f->reset.reason);
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
	struct svchostd *s = arg;

	hub_run(s->hub);
	ipc_flush(ipc);
}

static void
dataplane_writable(struct ipc *ipc, void *arg)
{
	struct svchostd *s = arg;

	bind_services(s);
	hub_run(s->hub);
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
	const struct procmsg services = { .type = PM_SERVICES };
	struct svchostd *s = self(w);

	if (kind != WORKER_DATAPLANE) {
		log_warnx("a channel to %s is not svchostd's", worker_name(kind));
		close(fd);
		return;
	}
	dataplane_lost(s);
	s->dataplane = ipc_new_port(w->base, fd, &dataplane_ops, s);
	if (s->dataplane == NULL)
		fatal("channel to dataplane");
	stream_ids_init(&s->ids, true);
	pinger_port(s->pinger, s->dataplane, &s->ids);
	hub_port(s->hub, s->dataplane, &s->ids);
	names_stale(s->names);
	s->names_stale = true;
	s->sweep_ns = 0;
	procmsg_send(s->dataplane, &services, -1);
	bind_services(s);
}

/* --- configuration --- */

static void
conf_free(struct svchostd_conf *conf)
{
	if (conf == NULL)
		return;
	nodes_free(&conf->peers);
	local_ways_free(conf->ways);
	free(conf);
}

static void
conf_begin(struct worker *w)
{
	struct svchostd *s = self(w);

	conf_free(s->pending);
	s->pending = calloc(1, sizeof(*s->pending));
	if (s->pending == NULL || (s->pending->ways = local_ways_new()) == NULL)
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
conf_service(struct worker *w, struct svchostd_conf *conf, const struct pm_conf_service *svc)
{
	if (strcmp(svc->name, ECHO_SERVICE) == 0) {
		conf->echo = true;
		return 0;
	}
	if (svc->target.family == 0)
		return bad(w, "svchostd has no service \"%s\"", svc->name);
	if (conf->tcp.n == TCP_SERVICES_MAX)
		return bad(w, "too many services");
	conf->tcp.services[conf->tcp.n++] = *svc;
	return 0;
}

static int
conf_item(struct worker *w, const struct procmsg *m, int fd)
{
	struct svchostd_conf *conf = self(w)->pending;

	if (m->type == PM_CONF_LISTEN)
		return local_ways_add(conf->ways, &m->conf_listen, fd) == 0 ? 0 : bad(w, "out of memory");
	if (fd != -1)
		close(fd);
	switch (m->type) {
	case PM_CONF_NODE:
		conf->node = m->conf_node;
		strcpy(conf->tcp.tenant, m->conf_node.tenant);
		conf->have_node = true;
		return 0;
	case PM_CONF_PEER:
		return nodes_configure(&conf->peers, &m->conf_peer) == 0 ? 0 : bad(w, "too many peers");
	case PM_CONF_SERVICE:
		return conf_service(w, conf, &m->conf_service);
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
	struct svchostd_conf *old = s->conf;

	s->conf = s->pending;
	s->pending = NULL;
	tcp_configure(s->tcp, s->hub, &s->conf->tcp);
	conf_free(old);
	nodes_reconfigure(&s->nodes, &s->conf->peers);
	certify_node(&s->certify, w, &s->conf->node);
	local_commit(s->local, s->conf->ways);
	s->conf->ways = NULL;
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
	    n->conf_name[0] != '\0' ? n->conf_name : n->proven_name, n != NULL && n->proven_name[0] != '\0');
}

static void
services_row(struct svchostd *s, const struct pm_request *req, const char *name, const struct pm_conf_service *svc,
    size_t streams)
{
	char ip[INET6_ADDRSTRLEN] = "", target[sizeof(ip) + 8] = "-";
	struct row_writer w;

	if (svc != NULL) {
		inet_ntop(svc->target.family == 4 ? AF_INET : AF_INET6, svc->target.addr, ip, sizeof(ip));
		snprintf(target, sizeof(target), svc->target.family == 4 ? "%s:%u" : "[%s]:%u", ip, svc->target.port);
	}
	row_init(&w);
	row_str(&w, "service", name);
	row_bool(&w, "bound", is_bound(s, name));
	row_str(&w, "target", target);
	row_str(&w, "class", class_name(svc == NULL ? CLASS_INTERACTIVE : svc->class));
	row_uint(&w, "streams", streams);
	worker_row_once(s->worker, req->id, &w);
}

static size_t
streams_of(struct svchostd *s, const char *service)
{
	size_t n = 0;

	for (struct pump *p = pump_first(s->hub); p != NULL; p = pump_next(p))
		n += !pump_is_opener(p) && strcmp(pump_service(p), service) == 0;
	return n;
}

static void
request_services(struct svchostd *s, const struct pm_request *req)
{
	if (serves_echo(s))
		services_row(s, req, ECHO_SERVICE, NULL, echo_streams(s->echo));
	for (size_t i = 0; s->conf != NULL && i < s->conf->tcp.n; i++) {
		const struct pm_conf_service *svc = &s->conf->tcp.services[i];

		services_row(s, req, svc->name, svc, streams_of(s, svc->name));
	}
	local_rows(s->local, req->id);
	worker_done(s->worker, req->id, 0, "");
}

static void
svchostd_request(struct worker *w, const struct pm_request *req)
{
	if (strcmp(req->command, "ping") == 0)
		request_ping(self(w), req);
	else if (strcmp(req->command, "served") == 0)
		request_services(self(w), req);
	else if (strcmp(req->command, "ends") == 0)
		show_ends(w, self(w)->hub, &self(w)->nodes, req->id);
	else
		worker_done(w, req->id, 1, "svchostd does not know this command");
}

/* --- what else the supervisor says --- */

static int
svchostd_message(struct worker *w, const struct procmsg *m, int fd)
{
	struct svchostd *s = self(w);

	switch (m->type) {
	case PM_CONNECTED:
		return tcp_connected(s->tcp, &m->connected, fd);
	case PM_DELEGATION:
		certify_take(&s->certify, &m->delegation);
		return 0;
	case PM_LOCAL:
		local_connect(s->local, &m->local, fd);
		return 0;
	default:
		if (fd != -1)
			close(fd);
		return -1;
	}
}

/* --- life --- */

static void
tick(evutil_socket_t fd, short what, void *arg)
{
	struct svchostd *s = arg;

	certify_tick(&s->certify, s->worker);
	tcp_tick(s->tcp, clock_ns());
	hub_tick(s->hub);
	names_tick(s, clock_ns());
	STAT_SET(SVCHOSTD_HEAP, stats_heap());
	if (s->dataplane == NULL)
		return;
	echo_expire(s->echo, s->dataplane, clock_ns());
	ipc_flush(s->dataplane);
}

/* Before the sandbox, in which nobody asks for limits any more. */
static void
svchostd_init(struct worker *w)
{
	struct svchostd *s = calloc(1, sizeof(*s));
	struct rlimit rl;

	if (s == NULL || certify_init(&s->certify) == -1 || getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("start");
	w->state = s;
	s->streams_max = SVCHOSTD_STREAMS_MAX;
	if (rl.rlim_max < SVCHOSTD_STREAMS_MAX + SVCHOSTD_FDS)
		s->streams_max = rl.rlim_max > 2 * SVCHOSTD_FDS ? (size_t)rl.rlim_max - SVCHOSTD_FDS : SVCHOSTD_FDS;
}

static void
want(const uint8_t *node_id, unsigned class, void *arg)
{
	struct svchostd *s = arg;
	struct procmsg m = { .type = PM_WANT };

	if (s->dataplane == NULL)
		return;
	memcpy(m.want.node_id, node_id, NODE_ID_LEN);
	m.want.class = (uint8_t)class;
	if (procmsg_send(s->dataplane, &m, -1) == 0)
		ipc_flush(s->dataplane);
	STAT_INC(SVCHOSTD_WANTS);
}

static void
svchostd_start(struct worker *w)
{
	static const struct hub_ops ops = { .accept = tcp_accept, .gone = tcp_gone };
	struct svchostd *s = self(w);
	const struct hub_conf conf = { .memory = SVCHOSTD_BUFFERS, .streams_max = s->streams_max,
	    .node_streams_max = s->streams_max / 2 };
	struct timeval tv = { .tv_sec = TICK_S };
	struct local_env env = { .worker = w, .nodes = &s->nodes, .self = s->certify.self.node_id };

	s->worker = w;
	if ((s->echo = echo_new(&s->certify.self)) == NULL || (s->names = names_new()) == NULL ||
	    (s->pinger = pinger_new(w, &s->certify.self, s->names)) == NULL || (s->tcp = tcp_new(w)) == NULL ||
	    (s->hub = hub_new(w->base, &conf, &s->certify.self, &ops, s->tcp)) == NULL)
		fatal("start");
	env.hub = s->hub;
	env.want = want;
	env.want_arg = s;
	env.names = s->names;
	if ((s->local = local_new(&env)) == NULL)
		fatal("start");
	STAT_SET(SVCHOSTD_STARTS, w->generation);
	s->tick = event_new(w->base, -1, EV_PERSIST, tick, s);
	if (s->tick == NULL || event_add(s->tick, &tv) == -1)
		fatal("timer");
}

/* The far ends are told now, and need not find out. */
static void
svchostd_drain(struct worker *w, unsigned ms)
{
	struct svchostd *s = self(w);

	hub_end_all(s->hub, REASON_CONNECTION_RESET);
	hub_run(s->hub);
	worker_exit(w);
}

const struct worker_ops svchostd_ops = {
	.kind = WORKER_SVCHOSTD,
	.network = false,
	.nofile = SVCHOSTD_STREAMS_MAX + SVCHOSTD_FDS,
	.memory = 768u << 20,
	.syscalls = syscalls,
	.sockopts = sockopts,
	.init = svchostd_init,
	.start = svchostd_start,
	.conf_begin = conf_begin,
	.conf_item = conf_item,
	.conf_check = conf_check,
	.conf_commit = conf_commit,
	.conf_abort = conf_abort,
	.port = svchostd_port,
	.message = svchostd_message,
	.request = svchostd_request,
	.drain = svchostd_drain,
};
