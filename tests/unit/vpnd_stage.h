/*
 * A stage for vpnd whole, but for its process: the TUN is one end of a socketpair, the dataplane the other end of a
 * channel, and both are played here. Node 1 is vpnd's own; 2 and 3 are peers (4 sometimes), of which everybody has the
 * keys. What vpnd seals is opened before a test sees it, and what a test sends is sealed. For one test program.
 */
#ifndef TESTS_VPND_STAGE_H
#define TESTS_VPND_STAGE_H

#include <check.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/identity.h"
#include "e2e_world.h"
#include "packets.h"
#include "proc/worker.h"
#include "vpnd/vpnd.h"

#define DATAGRAM_MAX 1420u
#define FRAMES_MAX 4096
#define NODES 5			/* 0 is nobody */
#define TX_MAX 8192		/* streams of the peers' */
#define ID_BASE 1000u		/* the tests' odd ids begin there, behind the peers' handshakes */

static struct worker w;
static struct vpnd *v;
static struct ipc *dp;		/* the dataplane's end */
static int kernel;		/* the kernel's end of the TUN */
static struct stats_page before;
static struct ipc *ctl;		/* the supervisor's end */

static struct world acme;
static struct world_node nodes[NODES];
static bool silent;		/* the peers answer no handshake */
static unsigned shakes;		/* that vpnd began */

/* Keys with each peer: of its handshake towards us, and of ours towards it. */
static struct {
	bool		have_out, have_in;
	struct e2e	*shake;
	uint64_t	shake_id;
	struct e2e_keys	out, in;	/* as the peer has them: it sends with out.tx, opens with in.rx */
	uint64_t	counter;
} with[NODES];

/* The peers' ends of streams. */
static struct {
	uint64_t	id;
	struct seal_tx	*tx;
} txs[TX_MAX];
static struct {
	struct seal_rx	*rx;
	uint8_t		node;
} rxs[TX_MAX];			/* by vpnd's id / 2 */

/* What the dataplane received. */
static struct {
	uint64_t type, id;
	uint8_t	 class;
	uint8_t	 dest0;
	uint64_t reason, seq, before;
	uint16_t off;
	uint8_t	*payload;
	size_t	 len;
} frames[FRAMES_MAX];
static unsigned nframes;

static uint8_t buf[70000];
static bool raw;		/* what vpnd sealed is left as it is */
static unsigned not_opened;	/* of vpnd's units */

static const uint8_t *
node_id(unsigned n)
{
	ck_assert_uint_lt(n, NODES);
	return nodes[n].self.node_id;
}

static uint8_t
node_of(const uint8_t *id)
{
	for (uint8_t n = 1; n < NODES; n++)
		if (memcmp(node_id(n), id, NODE_ID_LEN) == 0)
			return n;
	return 0;
}

static void
nodes_init(void)
{
	world_now = clock_wall();
	world_init(&acme);
	for (uint8_t n = 0; n < NODES; n++) {
		world_node_init(&acme, &nodes[n], (const char *[]){ "0", "1", "2", "3", "4" }[n], 20 + n);
		memcpy(nodes[n].s.name, "vpn", 4);
		world_node_sign(&nodes[n]);
	}
}

/* The wire's id of a test's. */
static uint64_t
wire_id(uint64_t id)
{
	return id % 2 == 0 ? id : id + ID_BASE;
}

/* A peer gets vpnd's message 1 and says message 2. */
static void
answer_shake(uint64_t id, uint8_t n, struct frame_bytes message)
{
	uint8_t out[E2E_MESSAGE_MAX];
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = id, .flags = DATA_UNRELIABLE, .payload = out } };
	struct e2e_hello hello;
	struct e2e *e;

	ck_assert_int_eq(e2e_accept(&e, &nodes[n].self, "vpn", OPEN_UNRELIABLE, NULL, message.p, message.len, world_now,
	    &hello), REASON_NONE);
	ck_assert_str_eq(hello.peer.name, "1");
	ck_assert_int_eq(e2e_answer(e, &nodes[n].self, out, &f.data.payload_len, &with[n].in), 0);
	with[n].have_in = true;
	e2e_free(e);
	ck_assert_int_eq(ipc_send(dp, &f), 0);
	ipc_flush(dp);
}

/* vpnd opens a stream: true when it is one with packets. */
static bool
on_dp_open(const struct frame_open_stream *o)
{
	uint8_t n = node_of(o->dest);
	struct e2e_keys keys;
	uint64_t counter = 0;

	ck_assert_uint_gt(o->noise.len, 0);
	if (o->noise.len != KEYED_LEN) {
		ck_assert_uint_eq(o->class, CLASS_CONTROL);
		shakes++;
		if (!silent)
			answer_shake(o->stream_id, n, o->noise);
		return false;
	}
	ck_assert_uint_eq(o->noise.p[0], KEYED_KIND);
	ck_assert(with[n].have_in);
	ck_assert_mem_eq(o->noise.p + 1, with[n].in.id, E2E_KEY_ID_LEN);
	for (unsigned i = 0; i < 8; i++)
		counter = counter << 8 | o->noise.p[1 + E2E_KEY_ID_LEN + i];
	ck_assert_int_eq(e2e_keys_derive(&keys, &with[n].in, counter, o->class), 0);
	seal_rx_free(rxs[o->stream_id / 2].rx);
	rxs[o->stream_id / 2].rx = seal_rx_new(keys.cipher, keys.rx, NULL, false);
	rxs[o->stream_id / 2].node = n;
	return true;
}

/* A whole unit of vpnd's, opened where it is. The length that is left. */
static size_t
open_unit(uint64_t id, uint64_t seq, uint8_t *p, size_t len)
{
	uint8_t flags = p[0] & (uint8_t)~UNIT_PHASE;
	struct seal_pkt pkt = { .data = p + 1, .len = len - 1, .ad = &flags, .ad_len = 1, .number = seq,
	    .phase = (p[0] & UNIT_PHASE) != 0 };

	ck_assert_uint_gt(len, UNIT_OVERHEAD);
	ck_assert_ptr_nonnull(rxs[id / 2].rx);
	if (seal_open(rxs[id / 2].rx, &pkt, 1, 0) != 1)
		not_opened++;
	p[0] = flags;
	return 1 + pkt.len;
}

/* Message 2 for a peer's handshake. */
static void
finish_shake(uint64_t id, const uint8_t *p, size_t len)
{
	struct frame f = { .type = FT_CLOSE_STREAM };
	struct peer_identity peer;

	for (uint8_t n = 1; n < NODES; n++) {
		if (with[n].shake == NULL || with[n].shake_id != id)
			continue;
		ck_assert_int_eq(e2e_finish(with[n].shake, &nodes[n].self, p, len, world_now, &with[n].out, &peer),
		    REASON_NONE);
		ck_assert_str_eq(peer.name, "1");
		e2e_free(with[n].shake);
		with[n].shake = NULL;
		with[n].have_out = true;
		with[n].counter = 0;
		f.close.stream_id = id;
		ck_assert_int_eq(ipc_send(dp, &f), 0);
		ipc_flush(dp);
		return;
	}
	ck_abort_msg("a message 2 that nobody waits for");
}

static uint64_t
counted(unsigned stat)
{
	return stats->counter[stat] - before.counter[stat];
}
#define COUNTED(sym) counted(STAT_##sym)

static int
on_dp_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	ck_assert_uint_lt(nframes, FRAMES_MAX);
	memset(&frames[nframes], 0, sizeof(frames[0]));
	if (f->type == FT_DATA_U && f->data.stream_id < ID_BASE && f->data.stream_id % 2 == 1) {
		finish_shake(f->data.stream_id, f->data.payload, f->data.payload_len);
		return 0;
	}
	if (f->type == FT_OPEN_STREAM && !on_dp_open(&f->open))
		return 0;
	if (f->type == PM_SERVICES || (f->type == FT_CLOSE_STREAM && rxs[f->close.stream_id / 2].rx == NULL))
		return 0;	/* a handshake's stream */
	frames[nframes].type = f->type;
	if (frame_type_is_data(f->type)) {
		frames[nframes].id = f->data.stream_id;
		frames[nframes].seq = f->data.seq;
		frames[nframes].off = f->data.frag_offset;
		frames[nframes].len = f->data.payload_len;
		frames[nframes].payload = malloc(f->data.payload_len);
		memcpy(frames[nframes].payload, f->data.payload, f->data.payload_len);
		if (f->type == FT_DATA_U && !raw)
			frames[nframes].len = open_unit(f->data.stream_id, f->data.seq, frames[nframes].payload,
			    f->data.payload_len);
	} else if (f->type == FT_OPEN_STREAM) {
		frames[nframes].id = f->open.stream_id;
		frames[nframes].class = f->open.class;
		frames[nframes].before = f->open.before;
		ck_assert_ptr_nonnull(f->open.dest);
		frames[nframes].dest0 = node_of(f->open.dest);
		ck_assert_uint_eq(f->open.flags, OPEN_UNRELIABLE);
		ck_assert_mem_eq(f->open.service.p, "vpn", 3);
	} else if (f->type == FT_RESET_STREAM) {
		frames[nframes].id = f->reset.stream_id;
		frames[nframes].reason = f->reset.reason;
	} else if (f->type == FT_CLOSE_STREAM) {
		frames[nframes].id = f->close.stream_id;
		frames[nframes].reason = f->close.reason;
	}
	nframes++;
	return 0;
}

static void
on_dp_closed(struct ipc *ipc, const char *why, void *arg)
{
	ipc_free(dp);
	dp = NULL;
}

static const struct ipc_ops dp_ops = { .frame = on_dp_frame, .closed = on_dp_closed };

static void
forget_frames(void)
{
	while (nframes > 0)
		free(frames[--nframes].payload);
}

/* Lets both sides do what they have to do. */
static void
turn(void)
{
	for (unsigned i = 0; i < 20; i++)
		event_base_loop(w.base, EVLOOP_NONBLOCK);
}

/* The supervisor: certifies vpnd's key. */
static int
on_ctl_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct procmsg m;

	ck_assert_int_eq(procmsg_decode(&m, f), 0);
	if (m.type != PM_DELEGATE)
		return 0;
	ck_assert_uint_eq(m.delegate.purpose, PURPOSE_E2E);
	memcpy(nodes[1].self.key.public, m.delegate.key, RECORD_KEY_LEN);
	world_node_sign(&nodes[1]);
	m = (struct procmsg){ .type = PM_DELEGATION, .delegation = { .purpose = PURPOSE_E2E,
	    .membership = { nodes[1].mbuf, nodes[1].mlen }, .delegation = { nodes[1].dbuf, nodes[1].dlen },
	    .renew_at = world_now + WORLD_HOUR } };
	ck_assert_int_eq(vpnd_ops.message(&w, &m, -1), 0);
	return 0;
}

static void
on_ctl_closed(struct ipc *ipc, const char *why, void *arg)
{
	ipc_free(ctl);
	ctl = NULL;
}

static const struct ipc_ops ctl_ops = { .frame = on_ctl_frame, .closed = on_ctl_closed };

static void
conf_item(struct procmsg m, int fd)
{
	ck_assert_int_eq(vpnd_ops.conf_item(&w, &m, fd), 0);
}

static struct procmsg
peer_item(uint8_t id)
{
	struct procmsg m = { .type = PM_CONF_PEER };

	memcpy(m.conf_peer.node_id, node_id(id), NODE_ID_LEN);
	m.conf_peer.name[0] = (char)('0' + id);
	return m;
}

static struct procmsg
prefix_item(uint8_t id, struct record_prefix p)
{
	struct procmsg m = { .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix.prefix = p };

	memcpy(m.conf_peer_prefix.node_id, node_id(id), NODE_ID_LEN);
	return m;
}

static const struct record_prefix net4 = { 4, 24, { 10, 77, 2 } }, host2 = { 4, 32, { 10, 77, 0, 2 } },
    host3 = { 4, 32, { 10, 77, 0, 3 } }, behind = { 4, 24, { 192, 168, 5 } };

static void
begin_conf(void)
{
	struct procmsg m = { .type = PM_CONF_NODE };

	vpnd_ops.conf_begin(&w);
	memcpy(m.conf_node.node_id, node_id(1), NODE_ID_LEN);
	memcpy(m.conf_node.authority, acme.authority.public, RECORD_KEY_LEN);
	memcpy(m.conf_node.tenant, WORLD_TENANT, sizeof(WORLD_TENANT));
	m.conf_node.name[0] = '1';
	conf_item(m, -1);
}

/* A pair that keeps packets' bounds, with room for large ones. */
static void
make_tun(int fds[2])
{
	int size = 1 << 20;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	for (unsigned i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

static void
configure(void)
{
	struct procmsg m = { .type = PM_CONF_VPN };
	int tun[2];

	begin_conf();
	conf_item(peer_item(2), -1);
	conf_item(peer_item(3), -1);
	conf_item(prefix_item(2, host2), -1);
	conf_item(prefix_item(2, net4), -1);
	conf_item(prefix_item(3, host3), -1);
	conf_item(prefix_item(1, behind), -1);
	m.conf_vpn.mtu = 1380;
	m.conf_vpn.addr4 = (struct record_prefix){ 4, 16, { 10, 77, 0, 1 } };
	m.conf_vpn.addr6.family = 6;
	m.conf_vpn.addr6.len = OVERLAY_PREFIX6_LEN;
	node_overlay_addr6(m.conf_vpn.addr6.addr, acme.authority.public, v->next->node.node_id);
	conf_item(m, -1);
	make_tun(tun);
	kernel = tun[1];
	m = (struct procmsg){ .type = PM_CONF_TUN, .conf_tun = { true, true } };
	conf_item(m, tun[0]);
	ck_assert_int_eq(vpnd_ops.conf_check(&w), 0);
	vpnd_ops.conf_commit(&w);
}

static void
connect_dataplane(void)
{
	int fds[2];

	ck_assert_int_eq(ipc_port_pair(fds), 0);
	vpnd_ops.port(&w, WORKER_DATAPLANE, fds[1]);
	dp = ipc_new_port(w.base, fds[0], &dp_ops, NULL);
	turn();
	ck_assert_uint_eq(nframes, 1);
	ck_assert_uint_eq(frames[0].type, PM_BIND);
	forget_frames();
}

static void
peer_stat(uint8_t id, uint32_t datagram_max, bool settled)
{
	struct procmsg m = { .type = PM_PEER_STAT, .peer_stat = { .datagram_max = datagram_max, .mtu_settled = settled } };

	memcpy(m.peer_stat.node_id, node_id(id), NODE_ID_LEN);
	ck_assert_int_eq(procmsg_send(dp, &m, -1), 0);
	ipc_flush(dp);
	turn();
}

static const char *peer_tenant = WORLD_TENANT;	/* of who comes up next */

static void
peer_up_with(uint8_t id, const uint8_t *prefixes, size_t n)
{
	struct procmsg m = { .type = PM_PEER_UP };

	memcpy(m.peer_up.node_id, node_id(id), NODE_ID_LEN);
	m.peer_up.name[0] = (char)('0' + id);
	strcpy(m.peer_up.tenant, peer_tenant);
	m.peer_up.not_after = 4000000000u;
	m.peer_up.addr = (struct pm_addr){ 4, { 192, 0, 2, id }, 4600 };
	m.peer_up.datagram_max = DATAGRAM_MAX;
	m.peer_up.prefixes = (struct frame_bytes){ prefixes, n };
	m.peer_up.membership = (struct frame_bytes){ buf, 1 };
	ck_assert_int_eq(procmsg_send(dp, &m, -1), 0);
	ipc_flush(dp);
	turn();
}

/* routed says that the peer serves "vpn". */
static void
service(uint8_t id)
{
	struct procmsg m = { .type = PM_SERVICE, .service.record = { nodes[id].sbuf, nodes[id].slen } };

	memcpy(m.service.node_id, node_id(id), NODE_ID_LEN);
	memcpy(m.service.name, "vpn", 4);
	ck_assert_int_eq(procmsg_send(dp, &m, -1), 0);
	ipc_flush(dp);
	turn();
}

static void
peer_up(uint8_t id)
{
	peer_up_with(id, NULL, 0);
	service(id);
}

/* A peer's handshake with vpnd, as vpnd's own service record says. */
static void
peer_shakes(uint8_t n, uint64_t id)
{
	uint8_t message[E2E_MESSAGE_MAX];
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = id, .class = CLASS_CONTROL,
	    .flags = OPEN_UNRELIABLE, .service = { (const uint8_t *)"vpn", 3 }, .noise = { message, 0 },
	    .source = node_id(n) } };
	struct e2e_service s;

	world_node_sign(&nodes[1]);
	ck_assert_int_eq(e2e_service_check(&s, nodes[1].sbuf, nodes[1].slen, world_now), REASON_NONE);
	with[n].shake = e2e_open(&nodes[n].self, &s, OPEN_UNRELIABLE, NULL, 0, message, &f.open.noise.len, world_now);
	with[n].shake_id = id;
	ck_assert_int_eq(ipc_send(dp, &f), 0);
	ipc_flush(dp);
	turn();
}

static inline void
peer_down(uint8_t id)
{
	struct procmsg m = { .type = PM_PEER_DOWN, .peer_down.reason = REASON_TIMEOUT };

	memcpy(m.peer_down.node_id, node_id(id), NODE_ID_LEN);
	ck_assert_int_eq(procmsg_send(dp, &m, -1), 0);
	ipc_flush(dp);
	turn();
}

static void
setup(void)
{
	memcpy(&before, stats, sizeof(before));
	int fds[2];

	log_setlevel(LOG_LEVEL_ERROR);
	nodes_init();
	w = (struct worker){ .ops = &vpnd_ops, .base = event_base_new(), .kind = WORKER_VPND, .generation = 1 };
	ck_assert_int_eq(ipc_pair(fds), 0);
	w.ctl = ipc_new(w.base, fds[1], &ctl_ops, NULL);
	ctl = ipc_new(w.base, fds[0], &ctl_ops, NULL);
	vpnd_ops.start(&w);
	v = w.state;
	configure();
	connect_dataplane();
	peer_up(2);
	peer_up(3);
	peer_shakes(2, 1);
	peer_shakes(3, 3);
	ck_assert(with[2].have_out && with[3].have_out && with[2].have_in && with[3].have_in);
	ck_assert_uint_eq(nframes, 0);
}

static void
teardown(void)
{
	forget_frames();
	vpn_port_close(v);
	ipc_free(dp);
	close(kernel);
}

/* --- the kernel's side --- */

static void
write_super(const uint8_t *p, size_t len, struct vnet_hdr h)
{
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)p, len } };

	ck_assert_int_eq(writev(kernel, iov, 2), (ssize_t)(sizeof(h) + len));
	turn();
}

static void
write_packet(const struct spec *s)
{
	write_super(buf, build(buf, s, false), (struct vnet_hdr){ 0 });
}

/* What vpnd wrote to the TUN next: its length, 0 when there is nothing. */
static size_t
read_tun(struct vnet_hdr *h, uint8_t *p)
{
	struct iovec iov[2] = { { h, sizeof(*h) }, { p, 65536 } };
	ssize_t n = readv(kernel, iov, 2);

	return n < 0 ? 0 : (size_t)n - sizeof(*h);
}

static bool
tun_is_silent(void)
{
	static uint8_t p[65536];
	struct vnet_hdr h;

	return read_tun(&h, p) == 0;
}

/* The next thing on the TUN is an ICMP error of this kind. */
static void
expect_icmp(unsigned type, unsigned code, unsigned mtu)
{
	static uint8_t p[65536];
	struct vnet_hdr h;
	size_t len = read_tun(&h, p), l4;

	ck_assert_uint_gt(len, 0);
	l4 = ref_l4(p);
	ck_assert_int_eq(ref_proto(p), p[0] >> 4 == 4 ? 1 : 58);
	ck_assert_uint_eq(p[l4], type);
	ck_assert_uint_eq(p[l4 + 1], code);
	ck_assert_uint_eq(ref_get16(p + l4 + 6), mtu);
}

/* --- the dataplane's side --- */

/* A stream under the keys of the peer's handshake. */
static void
dp_open_as(uint64_t id, uint8_t source, const char *svc, const uint8_t *field, size_t len)
{
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = wire_id(id), .class = CLASS_RELIABLE,
	    .flags = OPEN_UNRELIABLE, .service = { (const uint8_t *)svc, strlen(svc) }, .noise = { field, len },
	    .source = node_id(source) } };

	ck_assert_int_eq(ipc_send(dp, &f), 0);
	ipc_flush(dp);
	turn();
}

static void
field_make(uint8_t field[KEYED_LEN], uint8_t n, uint64_t counter)
{
	field[0] = KEYED_KIND;
	memcpy(field + 1, with[n].out.id, E2E_KEY_ID_LEN);
	for (unsigned i = 0; i < 8; i++)
		field[1 + E2E_KEY_ID_LEN + i] = (uint8_t)(counter >> 8 * (7 - i));
}

static void
dp_open(uint64_t id, uint8_t source, const char *svc)
{
	uint8_t field[KEYED_LEN];
	struct e2e_keys keys;
	uint64_t counter = ++with[source].counter;

	field_make(field, source, counter);
	ck_assert_int_eq(e2e_keys_derive(&keys, &with[source].out, counter, CLASS_RELIABLE), 0);
	ck_assert_uint_lt(id, TX_MAX);
	seal_tx_free(txs[id].tx);
	txs[id].tx = seal_tx_new(keys.cipher, keys.tx, NULL, 0);
	dp_open_as(id, source, svc, field, sizeof(field));
}

static inline void
dp_end(uint64_t type, uint64_t id)
{
	struct frame f = { .type = type };

	if (type == FT_RESET_STREAM) {
		f.reset.stream_id = wire_id(id);
		f.reset.reason = REASON_PEER_GONE;
	} else {
		f.close.stream_id = wire_id(id);
	}
	ck_assert_int_eq(ipc_send(dp, &f), 0);
	ipc_flush(dp);
	turn();
}

/* A unit sealed as the stream's peer would; its length and number. */
static size_t
seal_unit(uint8_t *unit, uint64_t id, uint8_t flags, const uint8_t *p, size_t len, uint64_t *number)
{
	struct seal_pkt pkt = { .data = unit + 1, .len = len, .ad = &flags, .ad_len = 1 };

	unit[0] = flags;
	memcpy(unit + 1, p, len);
	ck_assert_uint_eq(seal_packets(txs[id].tx, &pkt, 1, 0), 1);
	unit[0] |= pkt.phase ? UNIT_PHASE : 0;
	*number = pkt.number;
	return 1 + pkt.len;
}

static void
queue_raw(uint64_t id, uint64_t seq, const uint8_t *unit, size_t len)
{
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = wire_id(id), .seq = seq, .flags = DATA_UNRELIABLE,
	    .payload = unit, .payload_len = len } };

	ck_assert_int_eq(ipc_send(dp, &f), 0);
}

static void
queue_unit(uint64_t id, uint8_t flags, const uint8_t *p, size_t len)
{
	static uint8_t unit[66000];
	uint64_t number;
	size_t n = seal_unit(unit, id, flags, p, len, &number);

	queue_raw(id, number, unit, n);
}

static void
dp_unit(uint64_t id, uint8_t flags, const uint8_t *p, size_t len)
{
	queue_unit(id, flags, p, len);
	ipc_flush(dp);
	turn();
}

/* A packet as peer `host` would send it to us. */
static size_t
from_peer(uint8_t *p, struct spec s, uint8_t host, bool partial)
{
	size_t len;

	s.host = host;
	len = build(p, &s, partial);
	if (s.version == 4) {
		p[19] = 1;
		ref_ip4_checksum(p);
	} else {
		node_overlay_addr6(p + 8, acme.authority.public, node_id(host));
		node_overlay_addr6(p + 24, acme.authority.public, node_id(1));
	}
	if (partial)
		ref_make_partial(p, len);
	else
		ref_make_full(p, len);
	return len;
}

#endif
