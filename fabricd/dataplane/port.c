/* The channels to the workers of this node: each a port of the switch, and the way of PM_* between workers. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/dp.h"
#include "fabricd/dataplane/peer.h"
#include "fabricd/dataplane/quic.h"
#include "fabricd/dataplane/reach.h"
#include "proc/shmring.h"
#include "proc/stats.h"

/*
 * Beyond this a channel has room for the urgent classes only, and beyond that for control frames only. What waits here
 * is what the worker could not read yet: less than all that TCP has under way would be lost each time it is not
 * scheduled for some milliseconds.
 */
#define DATA_BACKLOG_OTHER (SHMRING_SIZE / 4 * 3)
#define DATA_BACKLOG_MAX (SHMRING_SIZE - IPC_MSG_MAX)
/* Reliable frames wait in their own buffers, where each stream has its place, beyond this. */
#define DATA_BACKLOG_PULL (64u * 1024)
#define WANTS_PER_SEC	50u	/* nodes that an adapter looks for a way to */
#define WANTS_BURST	200u
#define PULL_FRAME	(CREDIT_DATA_MAX + CREDIT_FRAME_MIN)

#define WPORT_OF(ptr) ((struct wport *)(void *)((char *)(ptr) - offsetof(struct wport, port)))

static int
port_control(struct port *p, const struct frame *f)
{
	struct wport *w = WPORT_OF(p);

	if (w->ipc == NULL || w->broken)
		return -1;
	w->dirty = true;
	if (ipc_send(w->ipc, f) == 0)
		return 0;
	/* Without its control frames a worker is out of step: it gets a new channel instead. */
	STAT_INC(DP_PORT_OVERRUN);
	w->broken = true;
	return -1;
}

/* What packets may have waiting. While streams wait as well it is as much as theirs: neither keeps the other out. */
static size_t
packets_limit(const struct port *p, unsigned class)
{
	if (!turn_idle(&p->turn))
		return DATA_BACKLOG_PULL;
	return class <= CLASS_INTERACTIVE ? DATA_BACKLOG_MAX : DATA_BACKLOG_OTHER;
}

static bool
port_data(struct port *p, const struct stream_end *out, unsigned class, const struct frame_data *d)
{
	struct wport *w = WPORT_OF(p);
	uint8_t hdr[FRAME_HEADER_MAX + 24], *to;
	size_t hdr_len = frame_data_rewrite(hdr, d, out->id);

	if (hdr_len == 0 || w->ipc == NULL || w->broken ||
	    ipc_backlog(w->ipc) > packets_limit(p, class) ||
	    (to = ipc_reserve(w->ipc, hdr_len + d->payload_len)) == NULL) {
		stats->counter[STAT_DP_DROP_PORT_CONTROL + class]++;
		return false;
	}
	memcpy(to, hdr, hdr_len);
	memcpy(to + hdr_len, d->payload, d->payload_len);
	ipc_commit(w->ipc, hdr_len + d->payload_len);
	w->dirty = true;
	return true;
}

static bool
port_opens(const struct port *p)
{
	const struct wport *w = (const struct wport *)(const void *)((const char *)p - offsetof(struct wport, port));

	return w->ipc != NULL && ipc_backlog(w->ipc) < DATA_BACKLOG_OTHER;
}

static void
port_ready(struct port *p)
{
	WPORT_OF(p)->dirty = true;
}

static const struct port_ops port_ops = {
	.control = port_control, .data = port_data, .opens = port_opens, .ready = port_ready,
};

/* Reliable frames, whose turn it is, while the channel has room for them: none of these is ever dropped. */
static void
pull(struct wport *w)
{
	struct turn_entry *e;

	while (!w->broken && (e = turn_next(&w->port.turn)) != NULL) {
		uint8_t *to;

		if (ipc_backlog(w->ipc) >= DATA_BACKLOG_PULL || (to = ipc_reserve(w->ipc, PULL_FRAME)) == NULL) {
			ipc_want_room(w->ipc);
			return;
		}
		ipc_commit(w->ipc, switch_output(switch_turn_end(e), to, PULL_FRAME));
	}
}

static void
stream_limits(struct wport *w)
{
	port_attach(&w->port, &w->dp->sw, &port_ops, PORT_WORKER, false, DP_WORKER_STREAMS_MAX, DP_WORKER_STREAMS_MAX);
	memcpy(w->port.node_id, w->dp->self.node_id, NODE_ID_LEN);
}

/* Who may say what: targets are routed's, services the adapters'. */
static int
on_message(struct wport *w, const struct procmsg *m)
{
	bool routed = w->kind == WORKER_ROUTED;

	switch (m->type) {
	case PM_BIND:
		/* Neither adapter can put itself in the other's place. */
		if (adapter_of(m->bind.service) != w->kind || strcmp(m->bind.service, SWITCH_PROBE) == 0)
			return -1;
		return switch_bind(&w->port, m->bind.service);
	case PM_UNBIND:
		return switch_unbind(&w->port, m->bind.service);
	case PM_TARGET:
		if (routed)
			peer_target(w->dp, &m->target);
		return routed ? 0 : -1;
	case PM_TARGET_ADDR:
		if (routed)
			peer_target_addr(w->dp, &m->target_addr);
		return routed ? 0 : -1;
	case PM_TARGET_DEL:
		if (routed)
			peer_target_del(w->dp, m->target_del.node_id);
		return routed ? 0 : -1;
	default:
		return m->type >= PM_SIGNED && m->type != PM_UNBIND ? reach_message(w, m) : records_message(w, m);
	}
}

/* No adapter speaks for routed, here or to another node, and routed uses no other's service. */
static bool
may_open(const struct wport *w, const struct frame_open_stream *o)
{
	bool directory = o->service.len == strlen(DIRECTORY_SERVICE) &&
	    memcmp(o->service.p, DIRECTORY_SERVICE, o->service.len) == 0;

	return directory == (w->kind == WORKER_ROUTED) && (!directory || o->route_id == 0);
}

static int
on_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct wport *w = arg;
	struct procmsg m;

	(void)ipc;
	(void)fd;	/* none of these types carries one */
	if (!w->in_batch) {	/* one reading of the clock for all frames of a read */
		w->in_batch = true;
		dp_begin(w->dp);
	}
	if (frame_type_is_data(f->type) && (f->data.flags & DATA_UNRELIABLE)) {
		switch_data(&w->port, &f->data);
		return 0;
	}
	if (f->type >= FT_PROC_FIRST && f->type <= FT_PROC_LAST)
		return procmsg_decode(&m, f) == 0 ? on_message(w, &m) : -1;
	if (f->type == FT_OPEN_STREAM && !may_open(w, &f->open))
		return -1;
	return switch_control(&w->port, f) == REASON_NONE ? 0 : -1;
}

static void
on_batch_end(struct ipc *ipc, void *arg)
{
	struct wport *w = arg;

	(void)ipc;
	w->in_batch = false;
	dp_flush(w->dp);
}

static void
on_closed(struct ipc *ipc, const char *why, void *arg)
{
	struct wport *w = arg;

	(void)ipc;
	log_info("port closed worker=%s why=\"%s\"", worker_name(w->kind), why);
	w->broken = true;
	dp_flush(w->dp);
}

static void
on_writable(struct ipc *ipc, void *arg)
{
	struct wport *w = arg;

	(void)ipc;
	dp_begin(w->dp);
	w->dirty = true;
	dp_flush(w->dp);
}

static const struct ipc_ops ipc_ops = {
	.frame = on_frame, .batch_end = on_batch_end, .writable = on_writable, .closed = on_closed,
};

void
wports_init(struct dataplane *dp)
{
	for (unsigned i = 0; i < WORKER_COUNT; i++) {
		dp->workers[i].dp = dp;
		dp->workers[i].kind = (enum worker_kind)i;
	}
}

void
wport_close(struct wport *w)
{
	if (w->ipc == NULL)
		return;
	ipc_free(w->ipc);
	w->ipc = NULL;
	w->dirty = w->broken = w->in_batch = false;
	port_detach(&w->port);
	move_port_gone(w->dp, &w->port);
}

void
wport_tenants(struct dataplane *dp, enum worker_kind kind)
{
	const struct tenants *t = &dp->self.tenants;
	struct procmsg m = { .type = PM_TENANTS, .tenants = { t->others, { t->list, t->len } } };

	wport_send(dp, kind, &m);
}

static void
peers_tell(struct dataplane *dp, enum worker_kind kind)
{
	struct conn *c;

	if (kind != WORKER_ROUTED) {
		wport_tenants(dp, kind);
		reach_tell(dp, kind);
		return;
	}
	TAILQ_FOREACH(c, &dp->conns, all)
		if (c->told_up)
			wport_peer_up(dp, kind, c);
}

void
wport_attach(struct dataplane *dp, enum worker_kind kind, int fd)
{
	struct wport *w = &dp->workers[kind];

	wport_close(w);
	if ((w->ipc = ipc_new_port(dp->base, fd, &ipc_ops, w)) == NULL) {
		log_warn("port worker=%s", worker_name(kind));
		return;
	}
	stream_limits(w);
	ratelimit_init(&w->asked, NS_PER_SEC, 4);
	ratelimit_init(&w->wants, NS_PER_SEC / WANTS_PER_SEC, WANTS_BURST);
	if (kind == WORKER_ROUTED) {
		peers_targets_forget(dp);
		dp->sw.routes.routed++;
	}
	peers_tell(dp, kind);
	log_debug("port open worker=%s", worker_name(kind));
}

/* Both may live on: a worker that left too much unread, or that found a frame wrong. The supervisor knows. */
static void
wport_lost(struct wport *w)
{
	struct procmsg m = { .type = PM_PORT_LOST, .port_lost.kind = (uint8_t)w->kind };

	wport_close(w);
	w->dp->ops->send(&m, w->dp->arg);
}

static void
wport_flush(struct wport *w)
{
	w->dirty = false;
	if (w->ipc == NULL) {
		w->broken = false;
		return;
	}
	if (!w->broken) {
		pull(w);
		ipc_flush(w->ipc);
	}
	if (w->broken)
		wport_lost(w);
}

void
wports_flush(struct dataplane *dp)
{
	bool again;

	do {	/* what one takes may give another, of this node, credit */
		again = false;
		for (unsigned i = 0; i < WORKER_COUNT; i++) {
			struct wport *w = &dp->workers[i];

			if (!w->dirty && !w->broken)
				continue;
			wport_flush(w);
			again = true;
		}
	} while (again);
}

/* One that does not get through is followed by another, or is one of many; anything else would be missed. */
static bool
is_measurement(enum procmsg_type type)
{
	return type == PM_PEER_STAT || type == PM_ROUTE_STAT || type == PM_ROUTE_USED || type == PM_LOAD || type == PM_STREAM_MOVED;
}

int
wport_send(struct dataplane *dp, enum worker_kind kind, const struct procmsg *m)
{
	struct wport *w = &dp->workers[kind];

	if (w->ipc == NULL || w->broken)
		return -1;
	w->dirty = true;
	if (procmsg_send(w->ipc, m, -1) == 0)
		return 0;
	if (!is_measurement(m->type)) {
		STAT_INC(DP_PORT_OVERRUN);
		w->broken = true;
	}
	return -1;
}

static void
stat_fill(struct pm_peer_stat *st, const struct conn *c)
{
	ngtcp2_conn_info info;

	conn_info(c, &info);
	memset(st, 0, sizeof(*st));
	memcpy(st->node_id, c->session.peer.node_id, NODE_ID_LEN);
	st->rtt_us = (uint32_t)(info.smoothed_rtt / 1000);
	st->rttvar_us = (uint32_t)(info.rttvar / 1000);
	st->sent = info.pkt_sent;
	st->lost = info.pkt_lost;
	st->bytes_in = info.bytes_recv;
	st->bytes_out = info.bytes_sent;
	st->datagram_max = c->datagram_max;
	st->pressure = pressure_level(&c->pressure);
	st->mtu_settled = c->dp->now_ns - c->mtu_ns >= MTU_SETTLED_NS;
	st->idle_ms = (c->dp->now_ns - c->session.heard_ns) / 1000000;
	st->up_ms = (c->dp->now_ns - c->session.up_ns) / 1000000;
}

/* family, len, addr: back to back. */
static size_t
prefixes_put(uint8_t *buf, const struct peer_identity *id)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < id->nprefixes; i++) {
		size_t n = id->prefixes[i].family == 4 ? 4 : 16;

		*p++ = id->prefixes[i].family;
		*p++ = id->prefixes[i].len;
		memcpy(p, id->prefixes[i].addr, n);
		p += n;
	}
	return (size_t)(p - buf);
}

void
wport_peer_up(struct dataplane *dp, enum worker_kind kind, struct conn *c)
{
	struct procmsg m = { .type = PM_PEER_UP };
	const struct peer_identity *id = &c->session.peer;
	uint8_t prefixes[RECORD_ADDRS_MAX * 18];

	memcpy(m.peer_up.node_id, id->node_id, NODE_ID_LEN);
	memcpy(m.peer_up.name, id->name, sizeof(m.peer_up.name));
	memcpy(m.peer_up.tenant, id->tenant, sizeof(m.peer_up.tenant));
	m.peer_up.roles = id->roles;
	m.peer_up.tier = id->tier;
	m.peer_up.not_after = id->not_after;
	m.peer_up.prefixes.p = prefixes;
	m.peer_up.prefixes.len = prefixes_put(prefixes, id);
	conn_remote(c, &m.peer_up.addr);
	m.peer_up.datagram_max = c->datagram_max;
	m.peer_up.initiator = c->session.initiator;
	m.peer_up.membership.p = c->session.membership;
	m.peer_up.membership.len = c->session.membership_len;
	wport_send(dp, kind, &m);
	if (kind != WORKER_ROUTED)
		return;
	/* Of a session that was up before routed was, only this tells how old it and its last proof are. */
	m.type = PM_PEER_STAT;
	stat_fill(&m.peer_stat, c);
	wport_send(dp, kind, &m);
	records_tell(c, true);
}

/* Each second: routed measures by it, svchostd chooses by it; vpnd hears when what fits a datagram changed or has settled. */
void
wports_stats(struct dataplane *dp)
{
	struct procmsg m = { .type = PM_PEER_STAT };
	struct conn *c;

	TAILQ_FOREACH(c, &dp->conns, all) {
		if (!c->told_up)
			continue;
		stat_fill(&m.peer_stat, c);
		wport_send(dp, WORKER_ROUTED, &m);
		wport_send(dp, WORKER_SVCHOSTD, &m);
		records_tell(c, false);
		/* Where there are routes as well it depends on which of the ways is used. */
		if (reach_routed(dp, c->session.peer.node_id) ||
		    (c->datagram_told == c->datagram_max && c->settled_told == m.peer_stat.mtu_settled))
			continue;
		c->datagram_told = c->datagram_max;
		c->settled_told = m.peer_stat.mtu_settled;
		wport_send(dp, WORKER_VPND, &m);
	}
}
