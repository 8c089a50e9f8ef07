/* The session that a connection carries, as a port of the switch. */
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "fabricd/dataplane/conn.h"
#include "fabricd/dataplane/limits.h"
#include "fabricd/dataplane/peer.h"
#include "fabricd/dataplane/reach.h"
#include "proc/stats.h"

#define CONN_OF(member, ptr) ((struct conn *)(void *)((char *)(ptr) - offsetof(struct conn, member)))

static int
port_control(struct port *p, const struct frame *f)
{
	struct conn *c = CONN_OF(port, p);

	conn_dirty(c);
	return session_send(&c->session, f);
}

static bool
port_data(struct port *p, const struct stream_end *out, unsigned class, const struct frame_data *d)
{
	struct conn *c = CONN_OF(port, p);
	uint8_t hdr[FRAME_HEADER_MAX + 24];
	size_t hdr_len = frame_data_rewrite(hdr, d, out->id);
	struct sched_pkt *pkt;

	if (hdr_len == 0 || hdr_len + d->payload_len > c->datagram_max) {
		STAT_INC(DP_DROP_TOO_LONG);
		return false;
	}
	if (c->express_on) {
		conn_touch(c);
		if (express_send_direct(c, hdr, hdr_len, d->payload, d->payload_len, stream_of(out)->sealed))
			return true;
	} else {
		conn_dirty(c);
		if (stream_of(out)->end[1 - out->side].port->kind == PORT_WORKER &&
		    conn_send_direct(c, hdr, hdr_len, d->payload, d->payload_len))
			return true;
	}
	if ((pkt = sched_alloc(c->sched, class, hdr_len + d->payload_len)) == NULL)
		return false;
	pkt->bare_at = stream_of(out)->sealed ? (uint8_t)hdr_len : 0;
	memcpy(pkt->data, hdr, hdr_len);
	memcpy(pkt->data + hdr_len, d->payload, d->payload_len);
	sched_enqueue(c->sched, pkt, (uint32_t)out->id, c->dp->now_ns);
	if (!c->express_on)
		turn_add(&p->turn, &c->packets[class]);
	return true;
}

/* An OPEN is a kilobyte, and the control stream has to have room for what cannot be refused. */
static bool
port_opens(const struct port *p)
{
	const struct conn *c = (const struct conn *)(const void *)((const char *)p - offsetof(struct conn, port));

	return c->out.end - c->out.acked < CONTROL_QUEUE_OPENS;
}

static void
port_ready(struct port *p)
{
	conn_dirty(CONN_OF(port, p));
}

static void
port_begins(struct port *p, struct stream_end *e)
{
	qstream_begins(CONN_OF(port, p), e);
}

static void
port_ends(struct port *p, struct stream_end *e)
{
	qstream_ends(CONN_OF(port, p), e);
}

static const struct port_ops port_ops = {
	.control = port_control, .data = port_data, .opens = port_opens, .ready = port_ready, .begins = port_begins,
	.ends = port_ends,
};

static int
hop_send(struct session *s, const uint8_t *frame, size_t len, void *arg)
{
	struct conn *c = arg;

	(void)s;
	conn_dirty(c);
	return control_put(&c->out, frame, len);
}

static uint64_t
hop_accept(struct session *s, void *arg)
{
	struct conn *c = arg;

	(void)s;
	return peer_accept(c->dp, c);
}

static void
log_peer(const struct conn *c, const char *what, uint64_t reason)
{
	char id[2 * NODE_ID_LEN + 1];

	hex_encode(id, c->session.peer_known ? c->session.peer.node_id : c->session.peer_hello_id, NODE_ID_LEN);
	id[16] = '\0';
	if (c->session.peer_known)
		log_info("session %s peer=%s name=%s initiator=%d reason=%s by_peer=%d", what, id,
		    c->session.peer.name, c->session.initiator, reason_name(reason), c->by_peer);
	else
		log_info("session %s claimed=%s initiator=%d reason=%s by_peer=%d", what, id, c->session.initiator,
		    reason_name(reason), c->by_peer);
}

static void
hop_up(struct session *s, void *arg)
{
	struct conn *c = arg;
	struct dataplane *dp = c->dp;

	if (c->half_open) {
		c->half_open = false;
		dp->nhalf_open--;
	}
	if (s->theirs.max_datagram == 0) {
		session_fail(s, REASON_UNSUPPORTED);	/* nothing could travel */
		return;
	}
	if (!peer_up(dp, c)) {
		session_fail(s, REASON_DUPLICATE);
		return;
	}
	if ((c->sched = sched_new(&dp->pool, DP_SESSION_BYTES)) == NULL) {
		session_fail(s, REASON_INTERNAL);
		return;
	}
	sched_weigh(c->sched, dp->sw.weight);
	c->datagram_max = conn_datagram_max(c);
	c->datagram_told = c->datagram_max;
	c->mtu_ns = dp->now_ns;
	express_start(c);
	c->own_not_after = dp->own_not_after;
	memcpy(c->port.node_id, s->peer.node_id, NODE_ID_LEN);
	port_attach(&c->port, &dp->sw, &port_ops, PORT_SESSION, s->initiator, s->ours.max_streams,
	    s->theirs.max_streams);
	c->port.initial_credit = s->theirs.max_credit;
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		turn_entry_init(&c->packets[i], i);
		c->packets[i].tag = CREDIT_TAGS;
	}
	c->port_on = true;
	qstreams_up(c);
	ngtcp2_conn_set_keep_alive_timeout(c->q, s->self->keepalive_ns);
	c->told_up = true;
	STAT_INC(DP_SESSIONS_STARTED);
	log_peer(c, "up", REASON_NONE);
	wport_peer_up(dp, WORKER_ROUTED, c);
	reach_session_up(c);
	if (pressure_level(&dp->load.pressure.told) > 0)
		pressure_tell(c);
}

void
hop_down(struct conn *c, uint64_t reason)
{
	struct procmsg m = { .type = PM_PEER_DOWN };

	if (c->port_on) {
		c->port_on = false;
		if (c->replaced)
			switch_sweep(&c->port, NULL, NULL, REASON_MOVED);
		if (c->told_up)
			reach_session_down(c, reason);
		permits_port_gone(c->dp, &c->port);
		port_detach(&c->port);
	}
	if (c->told_up) {
		c->told_up = false;
		memcpy(m.peer_down.node_id, c->session.peer.node_id, NODE_ID_LEN);
		m.peer_down.reason = reason;
		wport_send(c->dp, WORKER_ROUTED, &m);
		reach_session_over(c->dp, m.peer_down.node_id, reason, c->replaced);
	}
}

static uint64_t
hop_frame(struct session *s, const struct frame *f, void *arg)
{
	struct conn *c = arg;
	uint64_t reason;

	(void)s;
	if (!c->port_on)
		return REASON_NONE;	/* replaced: it is about to be closed */
	switch (f->type) {
	case FT_DATA_U:
	case FT_DATA_UF:
	case FT_DATA_UFL:
		switch_data(&c->port, &f->data);
		return REASON_NONE;
	case FT_ROUTE_UPDATE:
		return records_in(c, &f->route_update);
	case FT_NODE_PRESSURE:
		c->pressure = f->pressure;
		return REASON_NONE;
	case FT_OPEN_STREAM:
		reason = switch_control(&c->port, f);
		qstreams_opened(c, f->open.stream_id);
		return reason;
	case FT_RESET_STREAM:
		permits_reset(c->dp, &c->port, f->reset.stream_id);
		return switch_control(&c->port, f);
	default:
		return switch_control(&c->port, f);
	}
}

/* A peer's code is any number: those that we do not know are counted together. */
static uint64_t
reason_known(uint64_t reason)
{
	return reason < REASON_COUNT ? reason : REASON_NONE;
}

static void
count_end(const struct conn *c, uint64_t reason)
{
	unsigned base = c->by_peer ? STAT_DP_END_PEER_NONE : STAT_DP_END_NONE;

	stats->counter[base + reason_known(reason)]++;
	if (reason == REASON_AUTH_TIMEOUT && !c->by_peer && c->handshake_done)
		stats->counter[STAT_DP_SILENT_NEW + (unsigned)c->session.failed_in]++;
}

/* Only who proved its address, by finishing the handshake, can count against it. */
static bool
counts_against(const struct conn *c, uint64_t reason)
{
	if (c->session.initiator || c->by_peer || !c->handshake_done || c->session.failed_in == SESSION_UP)
		return false;
	return reason != REASON_DUPLICATE && reason != REASON_SHUTDOWN && reason != REASON_INTERNAL &&
	    reason != REASON_LIMIT;
}

static void
hop_failed(struct session *s, uint64_t reason, bool remote, void *arg)
{
	struct conn *c = arg;
	struct pm_addr from;

	c->closing = true;
	c->reason = reason;
	if (remote)
		c->by_peer = true;
	count_end(c, reason);
	if (c->q != NULL && counts_against(c, reason)) {
		conn_remote(c, &from);
		prefix_failed(c->dp->prefixes, &from, c->dp->now_ns);
	}
	if (s->failed_in == SESSION_UP)
		log_peer(c, "down", reason);
	else if (s->failed_in != SESSION_NEW && ratelimit_take(&c->dp->refused_logs, c->dp->now_ns))
		log_peer(c, "refused", reason);		/* strangers write no more than this; all are counted */
	conn_dirty(c);
}

const struct session_ops hop_ops = {
	.send = hop_send, .accept = hop_accept, .up = hop_up, .frame = hop_frame, .failed = hop_failed,
};

int
hop_datagram(struct conn *c, const uint8_t *p, size_t len)
{
	struct frame_limits lim = { FRAME_PORT_DATAGRAM, c->session.ours.max_frame };
	struct frame_data d;
	size_t used;

	if (c->session.state != SESSION_UP || !c->port_on) {
		STAT_INC(DP_DROP_EARLY);	/* overtook the peer's READY */
		return 0;
	}
	for (; len > 0; p += used, len -= used) {
		if (frame_decode_data(&d, &used, p, len, &lim) != FRAME_OK) {
			STAT_INC(DP_DATAGRAMS_MALFORMED);
			return -1;
		}
		switch_data(&c->port, &d);
		if (!c->port_on)
			return 0;
	}
	return 0;
}
