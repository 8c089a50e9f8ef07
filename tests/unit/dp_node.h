/*
 * Whole dataplanes in one process and one event loop, over loopback sockets: each with a fake supervisor that
 * certifies its key, and fake routed, vpnd and svchostd at the other ends of real channels.
 */
#ifndef TESTS_DP_NODE_H
#define TESTS_DP_NODE_H

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/identity.h"
#include "fabricd/dataplane/dp.h"
#include "fabricd/dataplane/peer.h"
#include "fabricd/dataplane/quic.h"
#include "fabricd/dataplane/udp.h"
#include "proc/stats.h"

#define PORT_FRAMES	64u

/* What came out of a channel, kept as raw frames. */
struct fake_port {
	struct ipc	*ipc;
	unsigned	 up, down, resets, opens, closes, dial_failed;
	uint64_t	 last_down_reason, last_reset_reason, last_dial_reason;
	struct pm_peer_up last_up;
	struct pm_peer_stat last_stat;
	uint64_t	 last_open_id, last_reset_id;
	uint8_t		 last_open_source[NODE_ID_LEN];
	bool		 last_open_has_source;
	uint64_t	 last_open_before;
	char		 last_open_service[FRAME_SERVICE_MAX + 1];
	unsigned	 data_frames;
	uint64_t	 data_bytes, last_data_id, last_data_seq;
	uint8_t		 last_data[2048];
	size_t		 last_data_len;
	bool		 closed;
	bool		 echo;		/* sends each DATA back */
	unsigned	 records, services, service_dels, asks;
	uint8_t		 last_node[NODE_ID_LEN];	/* of these */
	char		 last_name[FRAME_SERVICE_MAX + 1];
	uint8_t		 last_records[PM_RECORDS_MAX];
	size_t		 last_records_len;
	unsigned	 loads, stats, moves, useds, wants, want_faileds, tenants;
	size_t		 tenants_len;	/* of the last list */
	struct pm_route_stat route_stat[8];		/* by the low bits of the route id */
	struct pm_route_moved last_moved;
	unsigned	 stream_moves;
	struct pm_stream_moved last_stream;		/* of these */
	struct pm_route_used used[CLASS_COUNT];		/* what was told so far, and of which route last */
};

struct node {
	struct event_base *base;
	const char	*name;
	struct sign_key	 key;
	uint8_t		 id[NODE_ID_LEN];
	struct sign_key	 authority;	/* that signed the membership */
	uint8_t		 authority_trusted[SIGN_PUBLIC_LEN];
	const char	*tenant;
	uint64_t	 not_before, not_after;
	uint64_t	 delegation_after;
	struct dataplane *dp;
	struct pm_addr	 addr;
	struct fake_port routed, vpnd, svc;
	struct pm_conf_session session;
	bool		 no_delegation;
	bool		 drained;
	unsigned	 rows, dones, ports_lost;
	int		 last_port_lost;
	uint64_t	 rows_seen;
};

static inline int
fake_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct fake_port *p = arg;
	struct procmsg m;

	(void)fd;
	if (frame_type_is_data(f->type)) {
		p->data_frames++;
		p->data_bytes += f->data.payload_len;
		p->last_data_id = f->data.stream_id;
		p->last_data_seq = f->data.seq;
		p->last_data_len = f->data.payload_len < sizeof(p->last_data) ? f->data.payload_len : sizeof(p->last_data);
		memcpy(p->last_data, f->data.payload, p->last_data_len);
		if (p->echo)
			ipc_send(ipc, f);
		return 0;
	}
	switch (f->type) {
	case FT_OPEN_STREAM:
		p->opens++;
		p->last_open_id = f->open.stream_id;
		p->last_open_has_source = f->open.source != NULL;
		p->last_open_before = f->open.before;
		if (f->open.source != NULL)
			memcpy(p->last_open_source, f->open.source, NODE_ID_LEN);
		memcpy(p->last_open_service, f->open.service.p, f->open.service.len);
		p->last_open_service[f->open.service.len] = '\0';
		return 0;
	case FT_RESET_STREAM:
		p->resets++;
		p->last_reset_id = f->reset.stream_id;
		p->last_reset_reason = f->reset.reason;
		return 0;
	case FT_CLOSE_STREAM:
		p->closes++;
		return 0;
	default:
		break;
	}
	if (procmsg_decode(&m, f) != 0)
		return -1;
	switch (m.type) {
	case PM_PEER_UP:
		p->up++;
		p->last_up = m.peer_up;
		break;
	case PM_RECORDS:
		p->records++;
		memcpy(p->last_node, m.records.node_id, NODE_ID_LEN);
		p->last_records_len = m.records.records.len;
		memcpy(p->last_records, m.records.records.p, m.records.records.len);
		break;
	case PM_SERVICE:
		p->services++;
		memcpy(p->last_node, m.service.node_id, NODE_ID_LEN);
		strcpy(p->last_name, m.service.name);
		break;
	case PM_SERVICE_DEL:
		p->service_dels++;
		memcpy(p->last_node, m.service_del.node_id, NODE_ID_LEN);
		strcpy(p->last_name, m.service_del.name);
		break;
	case PM_SERVICES:
		p->asks++;
		break;
	case PM_PEER_DOWN:
		p->down++;
		p->last_down_reason = m.peer_down.reason;
		break;
	case PM_PEER_STAT:
		p->last_stat = m.peer_stat;
		break;
	case PM_LOAD:
		p->loads++;
		break;
	case PM_ROUTE_STAT:
		p->stats++;
		p->route_stat[m.route_stat.route_id % 8] = m.route_stat;
		break;
	case PM_ROUTE_MOVED:
		p->moves++;
		p->last_moved = m.route_moved;
		break;
	case PM_STREAM_MOVED:
		p->stream_moves++;
		p->last_stream = m.stream_moved;
		break;
	case PM_ROUTE_USED:
		p->useds++;
		p->used[m.route_used.class].route_id = m.route_used.route_id;
		p->used[m.route_used.class].forth += m.route_used.forth;
		p->used[m.route_used.class].back += m.route_used.back;
		break;
	case PM_WANT:
		p->wants++;
		memcpy(p->last_node, m.want.node_id, NODE_ID_LEN);
		break;
	case PM_WANT_FAILED:
		p->want_faileds++;
		break;
	case PM_TENANTS:
		p->tenants++;
		p->tenants_len = m.tenants.list.len;
		break;
	case PM_DIAL_FAILED:
		p->dial_failed++;
		p->last_dial_reason = m.dial_failed.reason;
		break;
	default:
		return -1;
	}
	return 0;
}

static inline void
fake_batch_end(struct ipc *ipc, void *arg)
{
	(void)arg;
	ipc_flush(ipc);
}

static inline void
fake_closed(struct ipc *ipc, const char *why, void *arg)
{
	struct fake_port *p = arg;

	(void)ipc;
	(void)why;
	p->closed = true;
}

static const struct ipc_ops fake_ops = { .frame = fake_frame, .batch_end = fake_batch_end, .closed = fake_closed };

static inline size_t
make_membership(struct node *n, uint8_t *buf, size_t size)
{
	struct record r = { .kind = RECORD_MEMBERSHIP };

	r.subject = n->key.public;
	r.serial = 1;
	r.not_before = n->not_before;
	r.not_after = n->not_after;
	strcpy(r.name, n->name);
	strcpy(r.tenant, n->tenant);
	r.roles = 1u << ROLE_ENTRY;
	r.tier = 5;
	return record_sign(buf, size, &r, &n->authority);
}

static inline size_t
make_delegation(struct node *n, uint8_t *buf, size_t size, const uint8_t *key, uint64_t not_after)
{
	struct record r = { .kind = RECORD_DELEGATION };

	r.subject = key;
	r.serial = 1;
	r.not_before = n->not_before;
	r.not_after = not_after;
	r.purpose = PURPOSE_SESSION;
	return record_sign(buf, size, &r, &n->key);
}

static inline void
node_delegate(struct node *n)
{
	static uint8_t membership[FRAME_RECORD_MAX], delegation[FRAME_RECORD_MAX];
	struct procmsg m = { .type = PM_DELEGATION };

	m.delegation.purpose = PURPOSE_SESSION;
	m.delegation.membership.p = membership;
	m.delegation.membership.len = make_membership(n, membership, sizeof(membership));
	m.delegation.delegation.p = delegation;
	m.delegation.delegation.len = make_delegation(n, delegation, sizeof(delegation), n->dp->self.key.public,
	    n->delegation_after);
	m.delegation.renew_at = clock_wall() + 3600;
	if (dp_message(n->dp, &m) == -1)
		abort();
}

static inline void
fake_send(const struct procmsg *m, void *arg)
{
	struct node *n = arg;

	if (m->type == PM_PORT_LOST) {
		n->ports_lost++;
		n->last_port_lost = m->port_lost.kind;
	}
	if (m->type == PM_DELEGATE && !n->no_delegation && n->dp != NULL)
		node_delegate(n);
}

static inline void
fake_row(uint64_t id, const struct row_writer *row, void *arg)
{
	struct node *n = arg;

	(void)id;
	if (row->failed)
		abort();
	n->rows++;
}

static inline void
fake_done(uint64_t id, unsigned status, const char *text, void *arg)
{
	struct node *n = arg;

	(void)id;
	(void)status;
	(void)text;
	n->dones++;
}

static inline void
fake_drained(void *arg)
{
	((struct node *)arg)->drained = true;
}

static const struct dp_ops fake_dp_ops = {
	.send = fake_send, .row = fake_row, .done = fake_done, .drained = fake_drained,
};

static inline void
node_init(struct node *n, struct event_base *base, const char *name, const struct sign_key *authority)
{
	memset(n, 0, sizeof(*n));
	n->base = base;
	n->name = name;
	n->authority = *authority;
	memcpy(n->authority_trusted, authority->public, SIGN_PUBLIC_LEN);
	n->tenant = "home";
	if (sign_key_generate(&n->key) == -1)
		abort();
	node_id_from_key(n->id, n->key.public);
	n->not_before = clock_wall() - 10;
	n->not_after = clock_wall() + 7200;
	n->delegation_after = n->not_after;
	n->session = (struct pm_conf_session){ .keepalive_ms = 500, .dead_ms = 2000, .auth_timeout_ms = 1500,
	    .max_sessions = 16, .retry_above = 64, .auth_fail_per_min = 1000, .gso = true };
}

/* A socket on loopback, at addr->port or at any when that is 0; addr->family 6 makes it an IPv6 one. */
static inline int
node_socket(struct pm_addr *addr)
{
	static const uint8_t loopback4[16] = { 127, 0, 0, 1 }, loopback6[16] = { [15] = 1 };
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, one = 1;

	if (addr->family != 6)
		addr->family = 4;
	memcpy(addr->addr, addr->family == 4 ? loopback4 : loopback6, sizeof(addr->addr));
	if (udp_addr_to_sockaddr(addr, &ss, &len) == -1)
		abort();
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd == -1 || bind(fd, (struct sockaddr *)&ss, len) == -1 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		abort();
	udp_addr_from_sockaddr((struct sockaddr *)&ss, addr);
	return fd;
}

static inline void
node_configure(struct node *n, bool with_socket)
{
	char err[PM_TEXT_MAX + 1];
	struct procmsg m;

	dp_conf_begin(n->dp);
	memset(&m, 0, sizeof(m));
	m.type = PM_CONF_NODE;
	strcpy(m.conf_node.name, n->name);
	memcpy(m.conf_node.node_id, n->id, NODE_ID_LEN);
	memcpy(m.conf_node.authority, n->authority_trusted, SIGN_PUBLIC_LEN);
	strcpy(m.conf_node.tenant, n->tenant);
	if (dp_conf_item(n->dp, &m, -1, err) == -1)
		abort();
	memset(&m, 0, sizeof(m));
	m.type = PM_CONF_SESSION;
	m.conf_session = n->session;
	if (dp_conf_item(n->dp, &m, -1, err) == -1)
		abort();
	if (with_socket) {
		memset(&m, 0, sizeof(m));
		m.type = PM_CONF_SOCKET;
		m.conf_socket.purpose = SOCKET_FABRIC_UDP;
		int fd = node_socket(&n->addr);
		m.conf_socket.addr = n->addr;
		if (dp_conf_item(n->dp, &m, fd, err) == -1)
			abort();
	}
	if (dp_conf_check(n->dp, err) == -1)
		abort();
	dp_conf_commit(n->dp);
}

static inline void
fake_port_free(struct fake_port *p)
{
	ipc_free(p->ipc);
	memset(p, 0, sizeof(*p));
}

static inline void
fake_port_attach(struct node *n, struct fake_port *p, enum worker_kind kind)
{
	int fds[2];

	fake_port_free(p);
	if (ipc_port_pair(fds) == -1 || (p->ipc = ipc_new_port(n->base, fds[1], &fake_ops, p)) == NULL)
		abort();
	dp_port(n->dp, kind, fds[0]);
}

static inline void
node_secret(struct node *n)
{
	struct procmsg m = { .type = PM_SECRET };

	memcpy(m.secret.token_key, n->id, 32);
	memcpy(m.secret.reset_key, n->id, 32);
	dp_message(n->dp, &m);
}

static inline void
fake_bind(struct fake_port *p, const char *service)
{
	struct procmsg m = { .type = PM_BIND };

	strcpy(m.bind.service, service);
	procmsg_send(p->ipc, &m, -1);
	ipc_flush(p->ipc);
}

/* Starts, or starts again, its dataplane: at the same port when it had one. */
static inline void
node_start(struct node *n)
{
	if ((n->dp = dp_new(n->base, &fake_dp_ops, n)) == NULL)
		abort();
	node_secret(n);
	fake_port_attach(n, &n->routed, WORKER_ROUTED);
	fake_port_attach(n, &n->vpnd, WORKER_VPND);
	fake_port_attach(n, &n->svc, WORKER_SVCHOSTD);
	fake_bind(&n->vpnd, "vpn");
	fake_bind(&n->svc, "echo");
	node_configure(n, true);
}

/* As kill -9 would: nothing is said to anybody. */
static inline void
node_kill(struct node *n)
{
	struct conn *c;

	if (n->dp == NULL)
		return;
	TAILQ_FOREACH(c, &n->dp->conns, all)
		c->silent = true;
	dp_free(n->dp);
	n->dp = NULL;
}

static inline void
node_free(struct node *n)
{
	node_kill(n);
	fake_port_free(&n->routed);
	fake_port_free(&n->vpnd);
	fake_port_free(&n->svc);
}

static inline void
node_target(struct node *n, const struct node *to)
{
	struct procmsg m = { .type = PM_TARGET };

	memcpy(m.target.node_id, to->id, NODE_ID_LEN);
	m.target.dial = true;
	procmsg_send(n->routed.ipc, &m, -1);
	memset(&m, 0, sizeof(m));
	m.type = PM_TARGET_ADDR;
	memcpy(m.target_addr.node_id, to->id, NODE_ID_LEN);
	m.target_addr.addr = to->addr;
	procmsg_send(n->routed.ipc, &m, -1);
	ipc_flush(n->routed.ipc);
}

static inline void
stop_loop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

/* Runs events until `cond` holds or ms have passed; false then. */
#define RUN_UNTIL(base, ms, cond) __extension__({						\
	bool late_ = false;									\
	struct event *ev_ = evtimer_new((base), stop_loop, &late_);				\
	struct timeval tv_ = { (ms) / 1000, (ms) % 1000 * 1000 };				\
	event_add(ev_, &tv_);									\
	while (!late_ && !(cond))								\
		event_base_loop((base), EVLOOP_ONCE);						\
	event_free(ev_);									\
	(cond);											\
})

static inline void
fake_open(struct fake_port *p, uint64_t id, const uint8_t *dest, const char *service, unsigned class)
{
	struct frame f = { .type = FT_OPEN_STREAM };

	f.open.stream_id = id;
	f.open.class = (uint8_t)class;
	f.open.flags = OPEN_UNRELIABLE;
	f.open.service.p = (const uint8_t *)service;
	f.open.service.len = strlen(service);
	f.open.dest = dest;
	if (ipc_send(p->ipc, &f) == -1)
		abort();
}

static inline int
fake_data(struct fake_port *p, uint64_t id, uint32_t seq, const void *data, size_t len)
{
	struct frame f = { .type = FT_DATA_U };

	f.data.stream_id = id;
	f.data.seq = seq;
	f.data.flags = DATA_UNRELIABLE;
	f.data.payload = data;
	f.data.payload_len = len;
	return ipc_send(p->ipc, &f);
}

static inline struct conn *
node_session(struct node *n, const struct node *to)
{
	struct peer *p = peer_find(n->dp, to->id);

	return p == NULL ? NULL : p->up;
}

#define STAT(sym) (stats->counter[STAT_##sym])

#endif
