#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "vpnd/vpnd.h"

#define RETIRE_NS NS_PER_SEC	/* far longer than anything waits in the dataplane */

static int
send_reset(struct vpnd *v, uint64_t id, uint64_t reason)
{
	struct frame f = { .type = FT_RESET_STREAM, .reset = { .stream_id = id, .reason = reason } };

	return ipc_send(v->port, &f);
}

uint64_t
vpn_stream_open(struct vpnd *v, uint32_t peer, unsigned class, enum vpn_stream_kind kind, struct frame_bytes field,
    uint64_t before)
{
	struct frame f = { .type = FT_OPEN_STREAM, .open = {
		.class = (uint8_t)class,
		.flags = OPEN_UNRELIABLE,
		.service = { (const uint8_t *)VPN_SERVICE, sizeof(VPN_SERVICE) - 1 },
		.noise = field,
		.dest = v->peers[peer]->node_id,
		.before = before,
	} };

	f.open.stream_id = stream_id_alloc(&v->ids);
	if (f.open.stream_id == 0) {
		/* Half a billion streams later. Ids begin anew with a new channel, and that comes with a new vpnd. */
		log_warnx("stream ids are used up");
		worker_exit(v->worker);
		return 0;
	}
	if (vpn_stream_add(&v->streams, f.open.stream_id, peer, kind) == NULL)
		return 0;
	if (ipc_send(v->port, &f) == -1) {
		vpn_stream_remove(&v->streams, f.open.stream_id);
		return 0;
	}
	STAT_INC(VPND_OUT_STREAMS);
	return f.open.stream_id;
}

void
vpn_peer_want(struct vpnd *v, uint32_t peer, unsigned class)
{
	struct vpn_peer *p = v->peers[peer];
	struct procmsg m = { .type = PM_WANT };

	if (v->port == NULL || (p->wanted_ns != 0 && v->now_ns - p->wanted_ns < NS_PER_SEC))
		return;
	p->wanted_ns = v->now_ns;
	memcpy(m.want.node_id, p->node_id, NODE_ID_LEN);
	m.want.class = (uint8_t)class;
	procmsg_send(v->port, &m, -1);
	STAT_INC(VPND_WANTS);
}

enum vpn_flow_result
vpn_flow_open(struct vpnd *v, uint32_t peer, unsigned class, struct flow *flow)
{
	uint8_t field[KEYED_LEN];
	struct vpn_stream *s;
	struct e2e_keys keys;
	struct seal_tx *tx;
	uint64_t id;

	if (vpn_keys_out(v, peer, class, &keys, field) == -1)
		return VPN_FLOW_NO_KEY;
	tx = seal_tx_new(keys.cipher, keys.tx, NULL, v->now_ns);
	e2e_keys_wipe(&keys);
	if (tx == NULL)
		return VPN_FLOW_FULL;
	id = vpn_stream_open(v, peer, class, STREAM_FLOW, (struct frame_bytes){ field, sizeof(field) },
	    flow_before(flow, v->now_ns));
	if (id == 0) {
		seal_tx_free(tx);
		return VPN_FLOW_FULL;
	}
	s = vpn_stream_find(&v->streams, id);
	s->flow = flow;
	memcpy(s->key_id, field + 1, sizeof(s->key_id));
	flow_opened(flow, id, tx, v->now_ns);
	return VPN_FLOW_OPEN;
}

void
vpn_flows_retire(struct vpnd *v, uint32_t peer)
{
	struct vpn_peer *p = v->peers[peer];

	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		for (unsigned g = 0; g < FLOW_GROUPS; g++) {
			struct flow *flow = &p->flow[c][g];
			struct vpn_stream *s;

			if (flow->stream_id == 0)
				continue;
			s = vpn_stream_find(&v->streams, flow->stream_id);
			s->kind = STREAM_RETIRED;
			s->flow = NULL;
			s->sent = seal_tx_next(flow->tx);
			s->close_ns = v->now_ns + RETIRE_NS;
			flow_forget(flow);
		}
	}
}

static void
expire_stream(struct vpn_stream *s, void *arg)
{
	struct vpnd *v = arg;
	struct frame f = { .type = FT_CLOSE_STREAM, .close = { .stream_id = s->id, .final_seq = s->sent,
	    .reason = REASON_NONE } };

	if (s->kind == STREAM_IN && clock_wall() >= s->not_after) {
		vpn_stream_refuse(v, s, REASON_NO_KEY);
	} else if (s->kind == STREAM_RETIRED && v->now_ns >= s->close_ns) {
		ipc_send(v->port, &f);
		vpn_stream_remove(&v->streams, s->id);
	}
}

void
vpn_streams_expire(struct vpnd *v)
{
	if (v->port == NULL)
		return;
	vpn_stream_each(&v->streams, expire_stream, v);
	ipc_flush(v->port);
}

void
vpn_stream_refuse(struct vpnd *v, struct vpn_stream *s, uint64_t reason)
{
	STAT_ADD(VPND_IN_DROP_FRAGMENT, frag_forget(v->frags, s->peer, s->id));
	v->peers[s->peer]->streams_in--;
	send_reset(v, s->id, reason);
	vpn_stream_remove(&v->streams, s->id);
}

static void
expire_peer(struct vpnd *v, struct vpn_peer *p)
{
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		for (unsigned g = 0; g < FLOW_GROUPS; g++) {
			struct flow *flow = &p->flow[c][g];
			struct frame f = { .type = FT_CLOSE_STREAM, .close = {
				.stream_id = flow->stream_id, .final_seq = flow->tx != NULL ? seal_tx_next(flow->tx) : 0, .reason = REASON_IDLE } };

			if (!flow_idle(flow, v->now_ns) || ipc_send(v->port, &f) == -1)
				continue;
			vpn_stream_remove(&v->streams, flow->stream_id);
			flow_forget(flow);
		}
	}
}

void
vpn_flows_expire(struct vpnd *v)
{
	if (v->port == NULL)
		return;
	for (uint32_t i = 0; i < v->npeers; i++)
		if (v->peers[i] != NULL)
			expire_peer(v, v->peers[i]);
	ipc_flush(v->port);
}

/* Why a peer's stream is refused, or REASON_NONE. */
static uint64_t
refuse(const struct vpnd *v, const struct frame_open_stream *o, const struct vpn_peer *p)
{
	if (o->service.len != sizeof(VPN_SERVICE) - 1 || memcmp(o->service.p, VPN_SERVICE, o->service.len) != 0)
		return REASON_NO_SERVICE;
	if ((o->flags & OPEN_UNRELIABLE) == 0)
		return REASON_UNSUPPORTED;
	if (p == NULL)
		return REASON_PEER_GONE;	/* the peer's down has overtaken it, so to speak */
	if (v->conf == NULL || v->tun.fd == -1)
		return REASON_REFUSED;
	return p->streams_in >= VPN_STREAMS_PEER_MAX ? REASON_LIMIT : REASON_NONE;
}

static int
on_open(struct vpnd *v, const struct frame_open_stream *o)
{
	struct vpn_peer *p;
	uint64_t reason;
	uint32_t index = 0;

	/* The dataplane names the peer that it proved; ids are its own to give. */
	if (o->source == NULL || stream_id_accept(&v->ids, o->stream_id) != STREAM_ID_OK)
		return -1;
	p = vpn_peer_find(v, o->source, &index);
	reason = refuse(v, o, p);
	if (reason == REASON_NONE)
		reason = vpn_keys_accept(v, o, index);
	if (reason != REASON_NONE) {
		STAT_INC(VPND_IN_STREAMS_REFUSED);
		send_reset(v, o->stream_id, reason);
		return 0;
	}
	p->streams_in++;
	STAT_INC(VPND_IN_STREAMS);
	return 0;
}

/* A flow's stream was ended. Where only the key was lost it is opened again as soon as there is one. */
static void
flow_ended(struct vpnd *v, struct vpn_stream *s, bool reset, uint64_t reason)
{
	if (reset && reason == REASON_NO_KEY) {
		uint8_t key_id[E2E_KEY_ID_LEN];

		memcpy(key_id, s->key_id, sizeof(key_id));
		flow_forget(s->flow);
		vpn_keys_lost(v, s->peer, key_id);
	} else if (reset && reason == REASON_MOVED) {
		flow_moved(s->flow, v->now_ns);
		STAT_INC(VPND_OUT_MOVED);
	} else if (reset) {
		flow_reset(s->flow, v->now_ns);
	} else {
		flow_forget(s->flow);
	}
	if (reset)
		STAT_INC(VPND_OUT_RESETS);
}

/* A stream that both sides end at once is not there any more: that is fine. */
static int
on_end(struct vpnd *v, uint64_t id, bool reset, uint64_t reason)
{
	struct vpn_stream *s = vpn_stream_find(&v->streams, id);

	if (s == NULL)
		return stream_id_was_used(&v->ids, id) ? 0 : -1;
	switch (s->kind) {
	case STREAM_FLOW:
		flow_ended(v, s, reset, reason);
		break;
	case STREAM_SHAKE:
		vpn_keys_shake_ended(v, s->peer, reason);
		break;
	case STREAM_IN:
	case STREAM_IN_SHAKE:
		STAT_ADD(VPND_IN_DROP_FRAGMENT, frag_forget(v->frags, s->peer, id));
		v->peers[s->peer]->streams_in--;
		break;
	case STREAM_RETIRED:
		break;
	}
	vpn_stream_remove(&v->streams, id);
	return 0;
}

static int
on_procmsg(struct vpnd *v, const struct frame *f)
{
	struct procmsg m;

	if (procmsg_decode(&m, f) != 0)
		return -1;
	switch (m.type) {
	case PM_PEER_UP:
		vpn_peer_up(v, &m.peer_up);
		break;
	case PM_PEER_DOWN:
		vpn_peer_down(v, m.peer_down.node_id);
		break;
	case PM_PEER_STAT:
		vpn_peer_stat(v, &m.peer_stat);
		break;
	case PM_SERVICE:
		vpn_keys_service(v, &m.service);
		break;
	case PM_SERVICE_DEL:
		vpn_keys_service_del(v, &m.service_del);
		break;
	case PM_TENANTS:
		if (e2e_self_tenants(&v->self, m.tenants.others, m.tenants.list) == -1)
			return -1;
		break;
	case PM_WANT_FAILED:	/* the sender of the packet was told already that there is no way */
		break;
	default:
		return -1;
	}
	vpn_routes_update(v);	/* what comes behind it in this message may need them */
	return 0;
}

static int
on_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct vpnd *v = arg;

	(void)ipc;
	(void)fd;	/* the channel refuses one with any type that may come here */
	if (f->type != FT_DATA_U)
		v->now_ns = clock_ns();
	switch (f->type) {
	case FT_DATA_U:
	case FT_DATA_UF:
	case FT_DATA_UFL:
		vpn_in_data(v, &f->data);
		return 0;
	case FT_OPEN_STREAM:
		return on_open(v, &f->open);
	case FT_CLOSE_STREAM:
		return on_end(v, f->close.stream_id, false, f->close.reason);
	case FT_RESET_STREAM:
		return on_end(v, f->reset.stream_id, true, f->reset.reason);
	default:
		return f->type >= FT_PROC_FIRST && f->type <= FT_PROC_LAST ? on_procmsg(v, f) : -1;
	}
}

static void
on_batch_end(struct ipc *ipc, void *arg)
{
	vpn_in_flush(arg);
	ipc_flush(ipc);
}

static void
on_closed(struct ipc *ipc, const char *why, void *arg)
{
	struct vpnd *v = arg;

	(void)ipc;
	log_info("dataplane: %s", why);
	vpn_port_close(v);	/* the supervisor makes a new one */
}

static const struct ipc_ops port_ops = {
	.frame = on_frame, .batch_end = on_batch_end, .closed = on_closed,
};

void
vpn_port_close(struct vpnd *v)
{
	if (v->port == NULL)
		return;
	ipc_free(v->port);
	v->port = NULL;
	vpn_stream_remove_peer(&v->streams, LPM_NONE);	/* at once: not peer by peer */
	vpn_peers_reset(v);
	vpn_routes_update(v);
}

void
vpn_port_set(struct vpnd *v, int fd)
{
	struct procmsg bind = { .type = PM_BIND };

	vpn_port_close(v);
	v->port = ipc_new_port(v->worker->base, fd, &port_ops, v);
	if (v->port == NULL)
		fatal("channel to the dataplane");
	stream_ids_init(&v->ids, true);
	memcpy(bind.bind.service, VPN_SERVICE, sizeof(VPN_SERVICE));
	procmsg_send(v->port, &bind, -1);
	v->ask_ns = 0;
	vpn_keys_ask(v);
	ipc_flush(v->port);
}
