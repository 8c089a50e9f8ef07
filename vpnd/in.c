#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "vpnd/checksum.h"
#include "vpnd/vpnd.h"

#define FAILED_MAX 256u	/* units in a row that do not open, and their stream ends */

/* A partial checksum is TCP's or UDP's, of a packet that is whole. */
static bool
unit_flags_fit(uint8_t flags, const struct ip_packet *ip)
{
	if ((flags & ~UNIT_FLAGS) != 0)
		return false;
	return (flags & UNIT_CSUM_PARTIAL) == 0 || ip->l4_hdr != 0;
}

/* A packet that was opened, from this very peer. */
static void
in_packet(struct vpnd *v, uint32_t peer, uint8_t flags, const uint8_t *packet, size_t len)
{
	struct ip_packet ip;

	if (ip_parse(&ip, packet, len) != IP_OK || !unit_flags_fit(flags, &ip)) {
		STAT_INC(VPND_IN_DROP_MALFORMED);
		return;
	}
	if (ip_bogus_source(&ip) || vpn_route(v, &ip, ip.src) != peer) {
		STAT_INC(VPND_IN_DROP_SOURCE);
		return;
	}
	if (ip_not_unicast(&ip) || vpn_route(v, &ip, ip.dst) != VPN_ROUTE_SELF) {
		STAT_INC(VPND_IN_DROP_DESTINATION);
		return;
	}
	if (v->coalescer == NULL) {
		STAT_INC(VPND_IN_DROP_NO_TUN);
		return;
	}
	STAT_INC(VPND_IN_PACKETS);
	STAT_ADD(VPND_IN_BYTES, ip.len);
	coalesce_add(v->coalescer, &ip, (flags & UNIT_CSUM_PARTIAL) != 0);
}

static void
count_seq(struct vpn_stream *s, uint64_t number)
{
	int64_t gap = vpn_stream_seen(s, (uint32_t)number);

	s->units++;
	if (gap > 0) {
		s->missing += (uint64_t)gap;
		STAT_ADD(VPND_IN_MISSING, (uint64_t)gap);
	} else if (gap < 0) {
		s->late++;
		STAT_INC(VPND_IN_LATE);
	}
}

/* Nothing opens any more: a whole phase was lost, or somebody sends what he has made up. A new stream helps. */
static void
count_failed(struct vpnd *v, struct vpn_stream *s, int error)
{
	switch (error) {
	case SEAL_E_REPLAYED:
		STAT_INC(VPND_IN_DROP_REPLAYED);
		return;
	case SEAL_E_OLD:
		STAT_INC(VPND_IN_DROP_OLD);
		return;
	default:
		STAT_INC(VPND_IN_DROP_TAMPERED);
	}
	if (seal_rx_failed(s->rx) >= FAILED_MAX)
		vpn_stream_refuse(v, s, REASON_TAMPERED);
}

/*
 * Opens a unit at p, of which nothing is the dataplane's to change any more, and takes the packet. `s' may be gone after
 * it.
 */
static void
in_unit(struct vpnd *v, struct vpn_stream *s, uint8_t *p, size_t len, uint64_t seq)
{
	uint8_t flags = p[0] & (uint8_t)~UNIT_PHASE;
	struct seal_pkt pkt = { .data = p + UNIT_HDR_LEN, .len = len - UNIT_HDR_LEN, .ad = &flags,
	    .ad_len = sizeof(flags), .number = seq, .phase = (p[0] & UNIT_PHASE) != 0 };

	if (seal_open(s->rx, &pkt, 1, v->now_ns) != 1) {
		count_failed(v, s, pkt.error);
		return;
	}
	count_seq(s, pkt.number);
	s->bytes += pkt.len;
	if (!s->proven) {
		s->proven = true;
		vpn_keys_proven(v, s);
	}
	in_packet(v, s->peer, flags, pkt.data, pkt.len);
}

/* A copy is opened: the dataplane can go on changing what it gave. */
static void
in_copy(struct vpnd *v, struct vpn_stream *s, const uint8_t *p, size_t len, uint64_t seq)
{
	static struct {
		uint8_t	room[15];
		uint8_t	unit[UNIT_MAX];	/* the packet behind its flags is aligned */
	} copy __attribute__((aligned(64)));

	if (len <= UNIT_OVERHEAD || len > sizeof(copy.unit)) {
		STAT_INC(VPND_IN_DROP_MALFORMED);
		return;
	}
	memcpy(copy.unit, p, len);
	in_unit(v, s, copy.unit, len, seq);
}

static void
in_fragment(struct vpnd *v, struct vpn_stream *s, const struct frame_data *d)
{
	struct frame_bytes unit;

	STAT_INC(VPND_IN_FRAGMENTS);
	switch (frag_add(v->frags, s->peer, d, v->now_ns, &unit)) {
	case FRAG_DONE:
		STAT_INC(VPND_IN_FRAGMENTED);
		in_copy(v, s, unit.p, unit.len, d->seq);
		break;
	case FRAG_MORE:
		break;
	default:
		STAT_INC(VPND_IN_DROP_FRAGMENT);
		break;
	}
}

void
vpn_in_data(struct vpnd *v, const struct frame_data *d)
{
	struct vpn_stream *s = vpn_stream_find(&v->streams, d->stream_id);

	if (s == NULL)
		STAT_INC(VPND_IN_DROP_NO_STREAM);
	else if (s->kind == STREAM_IN && (d->flags & DATA_FRAGMENT) == 0)
		in_copy(v, s, d->payload, d->payload_len, d->seq);
	else if (s->kind == STREAM_IN)
		in_fragment(v, s, d);
	else if (s->kind == STREAM_SHAKE)
		vpn_keys_message(v, s, d->payload, d->payload_len);
	else
		STAT_INC(VPND_IN_DROP_NO_KEY);
}

void
vpn_in_flush(struct vpnd *v)
{
	if (v->coalescer == NULL)
		return;
	coalesce_flush(v->coalescer);
	if (v->gso_refused != v->gso_given_up) {
		v->gso_given_up = v->gso_refused;
		log_warnx("this kernel takes no superpackets of tcp=%d udp=%d", (v->gso_refused & VPN_GSO_TCP) != 0,
		    (v->gso_refused & VPN_GSO_UDP) != 0);
		coalesce_set(v->coalescer, (v->gso_refused & VPN_GSO_TCP) == 0, (v->gso_refused & VPN_GSO_UDP) == 0);
	}
}

/*
 * Some kernels take no UDP superpackets, some (6.6.44 and its neighbours) refuse good TCP ones. What was refused is
 * written in pieces, and a kind that was never taken is not made again.
 */
static void
write_pieces(struct vpnd *v, const struct vnet_hdr *h, const uint8_t *pkt, size_t len)
{
	static uint8_t copy[IP_PACKET_MAX + SEGMENT_HDR_MAX];
	struct vnet_hdr one = { .flags = VNET_F_NEEDS_CSUM, .csum_start = h->csum_start, .csum_offset = h->csum_offset };
	struct segmenter s;
	struct ip_packet ip;

	STAT_INC(VPND_IN_GSO_REFUSED);
	if (ip_parse(&ip, pkt, len) != IP_OK || segment_init(&s, h, &ip, 0) != SEGMENT_OK) {
		STAT_INC(VPND_IN_DROP_TUN);
		return;
	}
	for (uint32_t i = 0; i < s.count; i++) {
		segment_write(&s, i, copy);
		STAT_INC(VPND_IN_WRITES);
		if (tun_write(&v->tun, &one, copy, segment_len(&s, i)) != TUN_OK)
			STAT_INC(VPND_IN_DROP_TUN);
	}
}

void
vpn_in_write(void *arg, const struct vnet_hdr *h, const uint8_t *pkt, size_t len)
{
	struct vpnd *v = arg;
	unsigned kind = h == NULL || h->gso_type == VNET_GSO_NONE ? 0 :
	    h->gso_type == VNET_GSO_UDP_L4 ? VPN_GSO_UDP : VPN_GSO_TCP;

	STAT_INC(VPND_IN_WRITES);
	switch (tun_write(&v->tun, h, pkt, len)) {
	case TUN_OK:
		v->gso_taken |= kind;
		return;
	case TUN_REFUSED:
		if (kind == 0)
			break;
		/* One that it took before is no proof against the kind. */
		v->gso_refused |= kind & ~v->gso_taken;
		write_pieces(v, h, pkt, len);
		return;
	}
	STAT_INC(VPND_IN_DROP_TUN);
}
