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

/* How many of its streams go by a route: from or to this node, and handed on for others. */
static void
session_routes(struct row_writer *row, const struct conn *c)
{
	uint64_t routed = 0, relayed = 0;

	for (size_t i = 0; c->port_on && i < c->port.table_len; i++) {
		for (const struct stream_end *e = c->port.table[i]; e != NULL; e = e->next) {
			const struct route *r = stream_of(e)->route;

			routed += r != NULL && r->place != TICKET_RELAY;
			relayed += r != NULL && r->place == TICKET_RELAY;
		}
	}
	row_uint(row, "routed", routed);
	row_uint(row, "relayed", relayed);
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
	session_routes(&row, c);
	row_str(&row, "cipher", c->handshake_done ? tls_cipher(c->ssl) : "");
	row_str(&row, "group", c->handshake_done ? tls_group(c->ssl) : "");
	row_bool(&row, "initiator", s->initiator);
	row_uint(&row, "pressure_queue", c->pressure.queue);
	row_uint(&row, "pressure_cpu", c->pressure.cpu);
	row_uint(&row, "pressure_memory", c->pressure.memory);
	row_uint(&row, "pressure_descriptors", c->pressure.descriptors);
	row_uint(&row, "pressure_loss", c->pressure.loss);
	dp->ops->row(id, &row, dp->arg);
}

static const struct wport *
worker_of(const struct stream *st)
{
	for (int i = 0; i < 2; i++)
		if (st->end[i].port != NULL && st->end[i].port->kind == PORT_WORKER)
			return (const struct wport *)(const void *)((const char *)st->end[i].port -
			    offsetof(struct wport, port));
	return NULL;
}

/* What goes one way: w is what came in at the end `in' and leaves at the other. */
static void
way_row(struct row_writer *row, const struct credit_way *w, bool out, uint64_t now_ns)
{
	uint64_t since = credit_stalled_since(w), stalled = w->stalled_ns + (since != 0 ? now_ns - since : 0);

	row_uint(row, out ? "queued_out" : "queued_in", credit_waiting(w));
	row_uint(row, out ? "window_out" : "window_in", credit_window(w));
	row_uint(row, out ? "delay_out_us" : "delay_in_us", w->delay_us);
	row_uint(row, out ? "delay_max_out_us" : "delay_max_in_us", w->delay_max_us);
	/* What goes out waits for the peer's credit, what comes in for the adapter's. */
	row_uint(row, out ? "stalled_by_peer_ms" : "stalled_by_adapter_ms", stalled / NS_PER_MS);
}

static void
reliable_row(struct row_writer *row, const struct stream *st, const struct stream_end *far, uint64_t now_ns)
{
	const struct credit *c = &st->credit;
	bool out_stalls = credit_stalled_since(&c->way[1 - far->side]) != 0;
	bool in_stalls = credit_stalled_since(&c->way[far->side]) != 0;

	row_str(row, "state", credit_state_name(c->state));
	row_uint(row, "age_ms", (now_ns - c->opened_ns) / NS_PER_MS);
	row_uint(row, "quiet_ms", (now_ns - c->moved_ns) / NS_PER_MS);
	row_uint(row, "rtt_us", far->port == NULL ? 0 : far->port->rtt_ns / NS_PER_US);
	way_row(row, &c->way[far->side], false, now_ns);
	way_row(row, &c->way[1 - far->side], true, now_ns);
	row_str(row, "blocked_by", out_stalls ? in_stalls ? "both" : "peer" : in_stalls ? "adapter" : "");
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
	char way[20];

	row_init(&row);
	row_str(&row, "port", w != NULL ? worker_name(w->kind) : far->port != NULL && near->port != NULL &&
	    (far->port->kind == PORT_PROBE || near->port->kind == PORT_PROBE) ? SWITCH_PROBE : "session");
	snprintf(way, sizeof(way), st->route == NULL ? "session" : "%016llx",
	    st->route == NULL ? 0ull : (unsigned long long)st->route->id);
	row_str(&row, "way", way);
	if (st->route != NULL && st->route->place != TICKET_RELAY)
		row_id(&row, "far", st->route->far);
	row_id(&row, "peer", far->port == NULL ? arg->dp->self.node_id : far->port->node_id);
	row_uint(&row, "stream", far->id);
	row_str(&row, "class", class_name(st->class));
	row_str(&row, "service", st->service);
	row_str(&row, "opened_by", st->end[0].port->kind == PORT_SESSION ? "peer" : "us");
	row_bool(&row, "reliable", st->reliable);
	row_bool(&row, "sealed", st->sealed);
	row_uint(&row, "packets_in", far->packets);
	row_uint(&row, "bytes_in", far->bytes);
	row_uint(&row, "dropped_in", st->reliable ? 0 : far->dropped);
	row_uint(&row, "packets_out", near->packets);
	row_uint(&row, "bytes_out", near->bytes);
	row_uint(&row, "dropped_out", st->reliable ? 0 : near->dropped);
	if (st->reliable)
		reliable_row(&row, st, far, arg->dp->now_ns);
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

#define REL_COUNTERS 5u		/* of each class, in the page's order */

static void
reliable_counters(const struct fswitch *sw)
{
	const struct credit_node *n = &sw->credits;

	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		uint64_t *at = &stats->counter[STAT_DP_REL_CONTROL_BYTES + c * REL_COUNTERS];
		const struct credit_class *k = &n->class[c];

		*at++ = k->bytes;
		*at++ = k->frames;
		*at++ = k->stalled_ns / NS_PER_MS;
		*at++ = credit_delay(k, 500);
		*at = credit_delay(k, 990);
	}
	STAT_SET(DP_STREAMS_RELIABLE, n->streams);
	STAT_SET(DP_STREAM_MEMORY_SET_ASIDE, sw->budget.used);
	STAT_SET(DP_STREAM_MEMORY_HELD, sw->budget.held);
	STAT_SET(DP_STREAM_MEMORY_LIMIT, sw->budget.limit);
	STAT_SET(DP_STREAM_VIOLATIONS, n->violations);
	STAT_SET(DP_STREAM_REAPED, n->reaped);
}

static void
route_counters(const struct routes *rs)
{
	const struct route_counters *n = &rs->counters;

	STAT_SET(DP_ROUTES, rs->n);
	STAT_SET(DP_ROUTE_FRAMES, n->passed);
	STAT_SET(DP_ROUTE_NO_ROUTE, n->no_route);
	STAT_SET(DP_ROUTE_EXPIRED, n->expired);
	STAT_SET(DP_ROUTE_CLASS, n->class);
	STAT_SET(DP_ROUTE_LIMIT, n->limit);
	STAT_SET(DP_ROUTE_RATE, n->rate);
	STAT_SET(DP_ROUTE_HOP_GONE, n->hop_gone);
	STAT_SET(DP_ROUTE_OVER_RATE, n->over_rate);
	STAT_SET(DP_ROUTE_HELD, n->held);
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
	reliable_counters(&dp->sw);
	route_counters(&dp->sw.routes);
	STAT_SET(DP_EXPRESS_BARE, sw->bare);
	STAT_SET(DP_POOL_PACKETS, dp->pool.in_use);
	STAT_SET(DP_POOL_BYTES, dp->pool.nslabs * dp->pool.stride * 64);
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		for (unsigned d = 0; d < SCHED_DROP_COUNT; d++)
			stats->counter[STAT_DP_DROP_CONTROL_CODEL + c * SCHED_DROP_COUNT + d] = dp->pool.drops[c][d];
}
