#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/shmring.h"
#include "vpnd/checksum.h"
#include "vpnd/classify.h"
#include "vpnd/vpnd.h"

/*
 * Where a unit is sealed, before it is copied into the message to the dataplane, which must not see a packet, nor change
 * what is being sealed. The packet behind the flags is aligned.
 */
static uint8_t unit_room[15 + UNIT_MAX] __attribute__((aligned(64)));
static uint8_t *const unit = unit_room + 15;

/*
 * Bytes that may wait for the dataplane before a class has to go: what bounds the time that a packet waits here. The more
 * urgent find room where the others do not.
 */
#define BACKLOG_URGENT	(SHMRING_SIZE - IPC_MSG_MAX)
#define BACKLOG_OTHER	(SHMRING_SIZE / 4 * 3)

/* What a unit in fragments can hold. */
#define PACKET_MAX (DATA_UNIT_MAX - UNIT_OVERHEAD)

/* A packet or superpacket on its way. */
struct out {
	struct vpn_peer	*peer;
	struct flow	*flow;
	uint32_t	 index;		/* the peer's */
	unsigned	 class;
	uint8_t		 unit_flags;
	uint32_t	 unit_max;	/* bytes of a unit that fit one datagram */
	uint32_t	 fits;		/* bytes of a packet in it */
};

static void
drop_queue(const struct out *o, uint64_t n)
{
	stats->counter[STAT_VPND_OUT_DROP_QUEUE_CONTROL + o->class] += n;
}

/* Tells the sender through its own kernel why a packet went nowhere. */
static void
answer(struct vpnd *v, const struct ip_packet *ip, enum icmp_kind kind, uint32_t mtu)
{
	uint8_t error[ICMP_MAX];
	size_t len;

	if (!ratelimit_take(&v->icmp_limit, v->now_ns)) {
		STAT_INC(VPND_ICMP_LIMITED);
		return;
	}
	len = icmp_error(error, ip, kind, mtu);
	if (len == 0)
		return;
	stats->counter[STAT_VPND_ICMP_TOO_BIG + kind]++;
	tun_write(&v->tun, NULL, error, len);
}

/*
 * The checksum stays partial when it is the packet's own TCP or UDP checksum; any other (of a packet inside this one,
 * say) is completed here, since the far side is only told of the plain case. -1: the header is wrong.
 */
static int
take_checksum(struct out *o, const struct vnet_hdr *h, const struct ip_packet *ip, uint8_t *pkt)
{
	o->unit_flags = 0;
	if ((h->flags & VNET_F_NEEDS_CSUM) == 0)
		return 0;
	if (ip->l4_hdr != 0 && h->csum_start == ip->l4 && h->csum_offset == csum_field(ip->proto)) {
		o->unit_flags = UNIT_CSUM_PARTIAL;
		return 0;
	}
	STAT_INC(VPND_OUT_CSUM);
	return csum_complete(pkt, ip->len, h->csum_start, h->csum_offset);
}

/* Whose it is and by which stream. 0, or -1: counted, answered and dropped. */
static int
find_peer(struct vpnd *v, struct out *o, const struct ip_packet *ip)
{
	if (ip_not_unicast(ip)) {
		STAT_INC(VPND_OUT_DROP_NOT_UNICAST);
		return -1;
	}
	if (vpn_route(v, ip, ip->src) != VPN_ROUTE_SELF) {
		STAT_INC(VPND_OUT_DROP_SOURCE);
		return -1;
	}
	o->index = vpn_route(v, ip, ip->dst);
	if (o->index == LPM_NONE || o->index == VPN_ROUTE_SELF) {
		STAT_INC(VPND_OUT_DROP_NO_ROUTE);
		answer(v, ip, ICMP_NO_ROUTE, 0);
		return -1;
	}
	o->peer = v->peers[o->index];
	if (!o->peer->up) {
		STAT_INC(VPND_OUT_DROP_PEER_DOWN);
		vpn_peer_want(v, o->index, classify_packet(ip));
		answer(v, ip, ICMP_HOST, 0);
		return -1;
	}
	return 0;
}

static int
find_stream(struct vpnd *v, struct out *o, const struct ip_packet *ip)
{
	o->class = classify_packet(ip);
	o->flow = &o->peer->flow[o->class][ip_flow_hash(ip, v->seed) % FLOW_GROUPS];
	switch (flow_state(o->flow, v->now_ns)) {
	case FLOW_READY:
		break;
	case FLOW_WAIT:
		STAT_INC(VPND_OUT_DROP_STREAM);
		answer(v, ip, ICMP_HOST, 0);
		return -1;
	case FLOW_CLOSED:
		switch (vpn_flow_open(v, o->index, o->class, o->flow)) {
		case VPN_FLOW_OPEN:
			break;
		case VPN_FLOW_NO_KEY:
			STAT_INC(VPND_OUT_DROP_NO_KEY);
			answer(v, ip, ICMP_HOST, 0);
			return -1;
		case VPN_FLOW_FULL:
			drop_queue(o, 1);
			return -1;
		}
	}
	o->flow->used_ns = v->now_ns;
	return 0;
}

/* Whether what waits for the dataplane leaves room for this class. */
static bool
has_room(const struct vpnd *v, unsigned class)
{
	return ipc_backlog(v->port) < (class <= CLASS_INTERACTIVE ? BACKLOG_URGENT : BACKLOG_OTHER);
}

/* Room for a frame in the message to the dataplane, its header written; NULL: there is none. */
static uint8_t *
begin_frame(struct vpnd *v, const struct frame_data *d, size_t *hdr)
{
	uint8_t *p = ipc_reserve(v->port, FRAME_HEADER_MAX + 24 + d->payload_len);

	if (p == NULL)
		return NULL;
	*hdr = frame_encode_data_header(p, FRAME_HEADER_MAX + 24, d);
	return *hdr == 0 ? NULL : p + *hdr;
}

/*
 * Seals `len' bytes at `text', or (NULL) behind the flags already, into `unit'. *all is the unit's length. -1: the keys are
 * worn out, and the flow's next packet opens a stream with others.
 */
static int
seal(struct vpnd *v, const struct out *o, const uint8_t *text, size_t len, size_t *all)
{
	uint8_t flags = o->unit_flags;
	struct seal_pkt pkt = { .data = unit + UNIT_HDR_LEN, .text = text, .len = len, .ad = &flags, .ad_len = sizeof(flags) };

	if (seal_packets(o->flow->tx, &pkt, 1, v->now_ns) != 1) {
		vpn_flows_retire(v, o->index);
		return -1;
	}
	unit[0] = flags | (pkt.phase ? UNIT_PHASE : 0);
	*all = UNIT_HDR_LEN + pkt.len;
	return 0;
}

/* A unit that fits: room in the message, the seal, and one copy. `text' as seal() has it. */
static int
send_unit(struct vpnd *v, const struct out *o, const uint8_t *text, size_t len)
{
	struct frame_data d = {
		.stream_id = o->flow->stream_id, .seq = seal_tx_next(o->flow->tx), .flags = DATA_UNRELIABLE,
		.payload_len = UNIT_OVERHEAD + len,
	};
	size_t hdr, all;
	uint8_t *p = begin_frame(v, &d, &hdr);

	if (p == NULL)
		return -1;
	if (seal(v, o, text, len, &all) == -1) {
		ipc_commit(v->port, 0);
		return -1;
	}
	memcpy(p, unit, all);
	ipc_commit(v->port, hdr + all);
	return 0;
}

/* Pieces of the unit that was sealed whole. */
static int
send_pieces(struct vpnd *v, const struct out *o, uint64_t seq, size_t all)
{
	size_t off, piece, hdr;

	for (off = 0; off < all; off += piece) {
		struct frame_data d = {
			.stream_id = o->flow->stream_id, .seq = seq, .frag_offset = (uint16_t)off,
			.flags = DATA_UNRELIABLE | DATA_FRAGMENT,
		};
		uint8_t *p;

		piece = d.payload_len = frag_piece(all, off, o->unit_max);
		if (piece == 0)
			return -1;
		if (off + piece == all)
			d.flags |= DATA_LAST;
		p = begin_frame(v, &d, &hdr);
		if (p == NULL)
			return -1;
		memcpy(p, unit + off, piece);
		ipc_commit(v->port, hdr + piece);
		STAT_INC(VPND_OUT_FRAGMENTS);
	}
	STAT_INC(VPND_OUT_FRAGMENTED);
	return 0;
}

static int
send_fragments(struct vpnd *v, const struct out *o, const uint8_t *text, size_t len)
{
	uint64_t seq = seal_tx_next(o->flow->tx);
	size_t all;

	return seal(v, o, text, len, &all) == -1 ? -1 : send_pieces(v, o, seq, all);
}

/*
 * A packet that does not fit a datagram. When that will not change, it may not be fragmented by IP and what fits is no
 * less than IPv6 guarantees, its sender is told to send smaller ones; else it travels in fragments of ours.
 */
static int
send_big(struct vpnd *v, const struct out *o, const struct ip_packet *ip)
{
	bool known = o->peer->mtu_settled && ip->df && o->fits >= IP_MTU_MIN6;

	if (known || ip->len > PACKET_MAX) {
		STAT_INC(VPND_OUT_DROP_TOO_BIG);
		answer(v, ip, ICMP_TOO_BIG, known ? o->fits : PACKET_MAX);
		return 0;
	}
	return send_fragments(v, o, ip->data, ip->len);
}

static void
count_sent(const struct out *o, uint64_t packets, uint64_t bytes)
{
	STAT_ADD(VPND_OUT_PACKETS, packets);
	STAT_ADD(VPND_OUT_BYTES, bytes);
	stats->counter[STAT_VPND_OUT_CLASS_CONTROL + o->class] += packets;
}

static void
send_single(struct vpnd *v, const struct out *o, const struct ip_packet *ip)
{
	if ((ip->len <= o->fits ? send_unit(v, o, ip->data, ip->len) : send_big(v, o, ip)) == -1)
		drop_queue(o, 1);
	else
		count_sent(o, 1, ip->len);
}

static int
send_segment(struct vpnd *v, const struct out *o, const struct segmenter *s, uint32_t i)
{
	segment_write(s, i, unit + UNIT_HDR_LEN);
	return send_unit(v, o, NULL, segment_len(s, i));
}

/* A UDP segment that is larger than a datagram: TCP's never are, see send_super(). */
static int
send_big_segment(struct vpnd *v, const struct out *o, const struct segmenter *s, uint32_t i)
{
	static uint8_t copy[IP_PACKET_MAX + SEGMENT_HDR_MAX];
	struct ip_packet ip;

	segment_write(s, i, copy);
	if (ip_parse(&ip, copy, segment_len(s, i)) != IP_OK)
		return -1;
	return send_big(v, o, &ip);
}

static void
send_super(struct vpnd *v, struct out *o, const struct vnet_hdr *h, const struct ip_packet *ip)
{
	uint32_t hdr = (uint32_t)ip->l4 + ip->l4_hdr, fits = o->fits;
	struct segmenter s;
	uint64_t bytes = 0;
	uint32_t i;

	/* TCP may be cut smaller than it asked for, and then needs no fragments. */
	if (segment_init(&s, h, ip, fits > hdr + 256 ? fits - hdr : 0) != SEGMENT_OK) {
		STAT_INC(VPND_OUT_DROP_MALFORMED);
		return;
	}
	o->unit_flags = UNIT_CSUM_PARTIAL;
	for (i = 0; i < s.count; i++) {
		uint32_t len = segment_len(&s, i);

		if ((len <= fits ? send_segment(v, o, &s, i) : send_big_segment(v, o, &s, i)) == -1)
			break;
		bytes += len;
	}
	count_sent(o, i, bytes);
	drop_queue(o, s.count - i);
}

void
vpn_out_packet(struct vpnd *v, const struct vnet_hdr *h, uint8_t *pkt, size_t len)
{
	bool super = h->gso_type != VNET_GSO_NONE;
	struct ip_packet ip;
	struct out o = { .peer = NULL };
	int err = super ? ip_parse_super(&ip, pkt, len) : ip_parse(&ip, pkt, len);

	STAT_INC(VPND_OUT_READS);
	if (err != IP_OK || (!super && take_checksum(&o, h, &ip, pkt) == -1)) {
		STAT_INC(VPND_OUT_DROP_MALFORMED);
		return;
	}
	if (v->port == NULL) {
		STAT_INC(VPND_OUT_DROP_NO_DATAPLANE);
		return;
	}
	if (find_peer(v, &o, &ip) == -1)
		return;
	if (o.peer->datagram_max < FRAME_DATA_OVERHEAD + UNIT_OVERHEAD + DATA_FRAGMENT_UNIT) {
		STAT_INC(VPND_OUT_DROP_TOO_BIG);
		return;
	}
	o.unit_max = o.peer->datagram_max - FRAME_DATA_OVERHEAD;
	o.fits = o.unit_max - UNIT_OVERHEAD;
	if (find_stream(v, &o, &ip) == -1)
		return;
	if (!has_room(v, o.class))
		drop_queue(&o, super ? (len + h->gso_size) / (h->gso_size + 1u) : 1);
	else if (super)
		send_super(v, &o, h, &ip);
	else
		send_single(v, &o, &ip);
}

void
vpn_out_run(struct vpnd *v)
{
	struct vnet_hdr h;
	uint8_t *pkt;
	size_t len;
	int r = TUN_OK;

	v->now_ns = clock_ns();
	for (unsigned n = 0; n < VPN_OUT_BATCH; n++) {
		r = tun_read(&v->tun, &h, &pkt, &len);
		if (r != TUN_OK)
			break;
		v->tun_failed = false;
		vpn_out_packet(v, &h, pkt, len);
	}
	if (r == TUN_ERROR) {
		/* Gone, most likely, and it would be reported as readable for ever: on_tick() tries again. */
		if (!v->tun_failed)
			log_warn("read from the TUN");
		v->tun_failed = true;
		STAT_INC(VPND_OUT_TUN_ERRORS);
		event_del(v->tun_event);
	}
	if (v->port != NULL)
		ipc_flush(v->port);
}
