/*
 * A stage for vpnd whole, but for its process: the TUN is one end of a socketpair, the dataplane the other end of a
 * channel, and both are played here. Node 1 is vpnd's own; 2 and 3 are peers. For one test program.
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

#include "base/log.h"
#include "crypto/identity.h"
#include "packets.h"
#include "proc/worker.h"
#include "vpnd/vpnd.h"

#define DATAGRAM_MAX 1420u
#define FRAMES_MAX 4096

static struct worker w;
static struct vpnd *v;
static struct ipc *dp;		/* the dataplane's end */
static int kernel;		/* the kernel's end of the TUN */
static struct stats_page before;

/* What the dataplane received. */
static struct {
	uint64_t type, id;
	uint8_t	 class;
	uint8_t	 dest0;
	uint64_t reason, seq;
	uint16_t off;
	uint8_t	*payload;
	size_t	 len;
} frames[FRAMES_MAX];
static unsigned nframes;

static uint8_t buf[70000];

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
	frames[nframes].type = f->type;
	if (frame_type_is_data(f->type)) {
		frames[nframes].id = f->data.stream_id;
		frames[nframes].seq = f->data.seq;
		frames[nframes].off = f->data.frag_offset;
		frames[nframes].len = f->data.payload_len;
		frames[nframes].payload = malloc(f->data.payload_len);
		memcpy(frames[nframes].payload, f->data.payload, f->data.payload_len);
	} else if (f->type == FT_OPEN_STREAM) {
		frames[nframes].id = f->open.stream_id;
		frames[nframes].class = f->open.class;
		ck_assert_ptr_nonnull(f->open.dest);
		frames[nframes].dest0 = f->open.dest[0];
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

static void
conf_item(struct procmsg m, int fd)
{
	ck_assert_int_eq(vpnd_ops.conf_item(&w, &m, fd), 0);
}

static struct procmsg
peer_item(uint8_t id)
{
	struct procmsg m = { .type = PM_CONF_PEER };

	memset(m.conf_peer.node_id, id, NODE_ID_LEN);
	m.conf_peer.name[0] = (char)('0' + id);
	return m;
}

static struct procmsg
prefix_item(uint8_t id, struct record_prefix p)
{
	struct procmsg m = { .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix.prefix = p };

	memset(m.conf_peer_prefix.node_id, id, NODE_ID_LEN);
	return m;
}

static const struct record_prefix net4 = { 4, 24, { 10, 77, 2 } }, host2 = { 4, 32, { 10, 77, 0, 2 } },
    host3 = { 4, 32, { 10, 77, 0, 3 } }, behind = { 4, 24, { 192, 168, 5 } };

static void
begin_conf(void)
{
	struct procmsg m = { .type = PM_CONF_NODE };

	vpnd_ops.conf_begin(&w);
	memset(m.conf_node.node_id, 1, NODE_ID_LEN);
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
	uint8_t authority[SIGN_PUBLIC_LEN] = { 0 };
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
	node_overlay_addr6(m.conf_vpn.addr6.addr, authority, v->next->node.node_id);
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

	memset(m.peer_stat.node_id, id, NODE_ID_LEN);
	ck_assert_int_eq(procmsg_send(dp, &m, -1), 0);
	ipc_flush(dp);
	turn();
}

static void
peer_up_with(uint8_t id, const uint8_t *prefixes, size_t n)
{
	struct procmsg m = { .type = PM_PEER_UP };

	memset(m.peer_up.node_id, id, NODE_ID_LEN);
	m.peer_up.name[0] = (char)('0' + id);
	m.peer_up.tenant[0] = 't';
	m.peer_up.not_after = 4000000000u;
	m.peer_up.addr = (struct pm_addr){ 4, { 192, 0, 2, id }, 4600 };
	m.peer_up.datagram_max = DATAGRAM_MAX;
	m.peer_up.prefixes = (struct frame_bytes){ prefixes, n };
	m.peer_up.membership = (struct frame_bytes){ buf, 1 };
	ck_assert_int_eq(procmsg_send(dp, &m, -1), 0);
	ipc_flush(dp);
	turn();
}

static void
peer_up(uint8_t id)
{
	peer_up_with(id, NULL, 0);
}

static void
peer_down(uint8_t id)
{
	struct procmsg m = { .type = PM_PEER_DOWN, .peer_down.reason = REASON_TIMEOUT };

	memset(m.peer_down.node_id, id, NODE_ID_LEN);
	ck_assert_int_eq(procmsg_send(dp, &m, -1), 0);
	ipc_flush(dp);
	turn();
}

static void
setup(void)
{
	log_setlevel(LOG_LEVEL_ERROR);
	memcpy(&before, stats, sizeof(before));
	w = (struct worker){ .ops = &vpnd_ops, .base = event_base_new(), .kind = WORKER_VPND, .generation = 1 };
	vpnd_ops.start(&w);
	v = w.state;
	configure();
	connect_dataplane();
	peer_up(2);
	peer_up(3);
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

static void
dp_open(uint64_t id, uint8_t source, const char *service)
{
	uint8_t node[NODE_ID_LEN];
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = id, .class = CLASS_RELIABLE,
	    .flags = OPEN_UNRELIABLE, .service = { (const uint8_t *)service, strlen(service) }, .source = node } };

	memset(node, source, NODE_ID_LEN);
	ck_assert_int_eq(ipc_send(dp, &f), 0);
	ipc_flush(dp);
	turn();
}

static void
dp_end(uint64_t type, uint64_t id)
{
	struct frame f = { .type = type };

	if (type == FT_RESET_STREAM) {
		f.reset.stream_id = id;
		f.reset.reason = REASON_PEER_GONE;
	} else {
		f.close.stream_id = id;
	}
	ck_assert_int_eq(ipc_send(dp, &f), 0);
	ipc_flush(dp);
	turn();
}

static void
queue_unit(uint64_t id, uint32_t seq, uint8_t flags, const uint8_t *p, size_t len)
{
	static uint8_t unit[66000];
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = id, .seq = seq, .flags = DATA_UNRELIABLE,
	    .payload = unit, .payload_len = len + 1 } };

	unit[0] = flags;
	memcpy(unit + 1, p, len);
	ck_assert_int_eq(ipc_send(dp, &f), 0);
}

static void
dp_unit(uint64_t id, uint8_t flags, const uint8_t *p, size_t len)
{
	queue_unit(id, 0, flags, p, len);
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
		uint8_t authority[SIGN_PUBLIC_LEN] = { 0 }, id[NODE_ID_LEN];

		memset(id, host, sizeof(id));
		node_overlay_addr6(p + 8, authority, id);
		memset(id, 1, sizeof(id));
		node_overlay_addr6(p + 24, authority, id);
	}
	if (partial)
		ref_make_partial(p, len);
	else
		ref_make_full(p, len);
	return len;
}

#endif
