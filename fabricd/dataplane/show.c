/* What fabricctl and telemd see of the dataplane. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "fabricd/dataplane/dp.h"
#include "fabricd/dataplane/peer.h"
#include "fabricd/dataplane/quic.h"
#include "fabricd/dataplane/tls.h"
#include "proc/stats.h"

struct streams_arg {
	struct dataplane *dp;
	uint64_t	  id;
};

static void
row_id(struct row_writer *row, const char *name, const uint8_t *id)
{
	char hex[2 * NODE_ID_LEN + 1];

	row_str(row, name, hex_encode(hex, id, NODE_ID_LEN));
}

static void
row_addr(struct row_writer *row, const char *name, const struct pm_addr *a)
{
	char ip[INET6_ADDRSTRLEN] = "?", text[INET6_ADDRSTRLEN + 10];

	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->addr, ip, sizeof(ip));
	snprintf(text, sizeof(text), a->family == 4 ? "%s:%u" : "[%s]:%u", ip, a->port);
	row_str(row, name, text);
}

static void
session_row(struct dataplane *dp, uint64_t id, const struct conn *c)
{
	const struct session *s = &c->session;
	struct row_writer row;
	ngtcp2_conn_info info;
	struct pm_addr addr;

	conn_info(c, &info);
	conn_remote(c, &addr);
	row_init(&row);
	row_str(&row, "name", s->peer_known ? s->peer.name : "");
	row_id(&row, "id", s->peer_known ? s->peer.node_id : c->peer != NULL ? c->peer->node_id : s->peer_hello_id);
	row_str(&row, "state", session_state_name(s->state));
	row_str(&row, "carrier", "quic");
	row_addr(&row, "address", &addr);
	row_uint(&row, "rtt_us", info.smoothed_rtt / 1000);
	row_uint(&row, "lost", info.pkt_lost);
	row_uint(&row, "sent", info.pkt_sent);
	row_uint(&row, "bytes_in", info.bytes_recv);
	row_uint(&row, "bytes_out", info.bytes_sent);
	row_uint(&row, "since_s", clock_wall() - c->since_wall);
	row_uint(&row, "age_ms", (dp->now_ns - s->heard_ns) / NS_PER_MS);
	row_uint(&row, "datagram_max", c->datagram_max);
	row_uint(&row, "queued_bytes", c->sched == NULL ? 0 : sched_bytes(c->sched));
	row_uint(&row, "cwnd", info.cwnd);
	row_uint(&row, "streams", c->port_on ? c->port.nstreams : 0);
	row_str(&row, "cipher", c->handshake_done ? tls_cipher(c->ssl) : "");
	row_str(&row, "group", c->handshake_done ? tls_group(c->ssl) : "");
	row_bool(&row, "initiator", s->initiator);
	dp->ops->row(id, &row, dp->arg);
}

static const struct wport *
worker_of(const struct stream *st)
{
	for (int i = 0; i < 2; i++)
		if (st->end[i].port->kind == PORT_WORKER)
			return (const struct wport *)(const void *)((const char *)st->end[i].port -
			    offsetof(struct wport, port));
	return NULL;
}

static bool
stream_row(const struct stream *st, void *argp)
{
	struct streams_arg *arg = argp;
	const struct wport *w = worker_of(st);
	/* The end at the session, or the second of two sessions'. */
	const struct stream_end *far = &st->end[st->end[0].port->kind == PORT_SESSION ? 0 : 1];
	const struct stream_end *near = &st->end[1 - far->side];
	struct row_writer row;

	row_init(&row);
	row_str(&row, "port", w == NULL ? "session" : worker_name(w->kind));
	row_id(&row, "peer", far->port->node_id);
	row_uint(&row, "stream", far->id);
	row_str(&row, "class", class_name(st->class));
	row_str(&row, "service", st->service);
	row_str(&row, "opened_by", st->end[0].port->kind == PORT_SESSION ? "peer" : "us");
	row_uint(&row, "packets_in", far->packets);
	row_uint(&row, "bytes_in", far->bytes);
	row_uint(&row, "dropped_in", far->dropped);
	row_uint(&row, "packets_out", near->packets);
	row_uint(&row, "bytes_out", near->bytes);
	row_uint(&row, "dropped_out", near->dropped);
	arg->dp->ops->row(arg->id, &row, arg->dp->arg);
	return true;
}

void
show_request(struct dataplane *dp, const struct pm_request *r)
{
	struct streams_arg arg = { dp, r->id };
	struct conn *c;

	if (strcmp(r->command, "sessions") == 0) {
		TAILQ_FOREACH(c, &dp->conns, all)
			session_row(dp, r->id, c);
	} else if (strcmp(r->command, "streams") == 0) {
		switch_each(&dp->sw, stream_row, &arg);
	} else {
		dp->ops->done(r->id, 1, "the dataplane knows no such request", dp->arg);
		return;
	}
	dp->ops->done(r->id, 0, "", dp->arg);
}

void
show_counters(struct dataplane *dp)
{
	const struct switch_counters *sw = &dp->sw.counters;

	STAT_SET(DP_CONNS, dp->nconns);
	STAT_SET(DP_HALF_OPEN, dp->nhalf_open);
	STAT_SET(DP_SESSIONS, dp->nup);
	STAT_SET(DP_STREAMS, dp->sw.nstreams);
	STAT_SET(DP_STREAMS_OPENED, sw->opened);
	STAT_SET(DP_STREAMS_CLOSED, sw->closed);
	STAT_SET(DP_STREAMS_RESET, sw->reset);
	STAT_SET(DP_STREAMS_REFUSED, sw->refused);
	STAT_SET(DP_DROP_UNKNOWN, sw->unknown_stream);
	STAT_SET(DP_POOL_PACKETS, dp->pool.in_use);
	STAT_SET(DP_POOL_BYTES, dp->pool.nslabs * dp->pool.stride * 64);
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		for (unsigned d = 0; d < SCHED_DROP_COUNT; d++)
			stats->counter[STAT_DP_DROP_CONTROL_CODEL + c * SCHED_DROP_COUNT + d] = dp->pool.drops[c][d];
}
