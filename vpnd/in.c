#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "vpnd/checksum.h"
#include "vpnd/vpnd.h"

/* A partial checksum is TCP's or UDP's, of a packet that is whole. */
static bool
unit_flags_fit(uint8_t flags, const struct ip_packet *ip)
{
	if ((flags & ~UNIT_FLAGS) != 0)
		return false;
	return (flags & UNIT_CSUM_PARTIAL) == 0 || ip->l4_hdr != 0;
}

static void
in_unit(struct vpnd *v, uint32_t peer, const uint8_t *unit, size_t len)
{
	struct ip_packet ip;

	if (len <= UNIT_HDR_LEN || ip_parse(&ip, unit + UNIT_HDR_LEN, len - UNIT_HDR_LEN) != IP_OK ||
	    !unit_flags_fit(unit[0], &ip)) {
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
	coalesce_add(v->coalescer, &ip, (unit[0] & UNIT_CSUM_PARTIAL) != 0);
}

static void
in_fragment(struct vpnd *v, uint32_t peer, const struct frame_data *d)
{
	struct frame_bytes unit;

	STAT_INC(VPND_IN_FRAGMENTS);
	switch (frag_add(v->frags, peer, d, v->now_ns, &unit)) {
	case FRAG_DONE:
		STAT_INC(VPND_IN_FRAGMENTED);
		in_unit(v, peer, unit.p, unit.len);
		break;
	case FRAG_MORE:
		break;
	default:
		STAT_INC(VPND_IN_DROP_FRAGMENT);
		break;
	}
}

/* The fragments of a unit share a number: only the first of them counts. */
static void
count_seq(struct vpn_stream *s, const struct frame_data *d)
{
	int64_t gap;

	if ((d->flags & DATA_FRAGMENT) != 0 && d->frag_offset != 0)
		return;
	gap = vpn_stream_seen(s, (uint32_t)d->seq);
	if (gap > 0)
		STAT_ADD(VPND_IN_MISSING, (uint64_t)gap);
	else if (gap < 0)
		STAT_INC(VPND_IN_LATE);
}

/* The dataplane can go on changing what it gave: what is checked and what is written has to be the same bytes. */
static void
in_whole(struct vpnd *v, uint32_t peer, const struct frame_data *d)
{
	static uint8_t unit[UNIT_HDR_LEN + IP_PACKET_MAX];

	if (d->payload_len > sizeof(unit)) {
		STAT_INC(VPND_IN_DROP_MALFORMED);
		return;
	}
	memcpy(unit, d->payload, d->payload_len);
	in_unit(v, peer, unit, d->payload_len);
}

void
vpn_in_data(struct vpnd *v, const struct frame_data *d)
{
	struct vpn_stream *s = vpn_stream_find(&v->streams, d->stream_id);

	if (s == NULL) {
		STAT_INC(VPND_IN_DROP_NO_STREAM);
		return;
	}
	count_seq(s, d);
	if ((d->flags & DATA_FRAGMENT) != 0)
		in_fragment(v, s->peer, d);
	else
		in_whole(v, s->peer, d);
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
