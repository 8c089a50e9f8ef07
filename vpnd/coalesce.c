#include "vpnd/coalesce.h"

#include <stdlib.h>
#include <string.h>

#include "vpnd/checksum.h"

#define TCP_FIN	0x01
#define TCP_SYN	0x02
#define TCP_RST	0x04
#define TCP_PSH	0x08
#define TCP_ACK	0x10
#define TCP_URG	0x20
#define TCP_CWR	0x80

struct slot {
	uint64_t	 born;		/* order of opening, for eviction */
	uint32_t	 len;		/* bytes in buf */
	uint32_t	 hdr_len;	/* IP and transport header */
	uint32_t	 next_seq;	/* TCP */
	uint16_t	 size;		/* payload of each segment but the last */
	uint16_t	 l4;
	uint16_t	 segs;
	uint8_t		 version;
	uint8_t		 proto;
	bool		 partial;	/* the checksum field holds the pseudo-header's sum */
	uint8_t		*buf;
};

struct coalescer {
	struct coalesce_config conf;
	uint64_t	 clock;
	uint32_t	 used;			/* a bit a slot */
	uint32_t	 hash[COALESCE_SLOTS];
	struct slot	 slot[COALESCE_SLOTS];
	uint8_t		*memory;		/* the slots' buffers; one more for what is written alone */
};
_Static_assert(COALESCE_SLOTS <= 32, "used has a bit for each");

struct coalescer *
coalesce_new(const struct coalesce_config *conf)
{
	struct coalescer *c = calloc(1, sizeof(*c));
	size_t room = IP_PACKET_MAX + 1;

	if (c == NULL)
		return NULL;
	c->conf = *conf;
	c->memory = malloc((COALESCE_SLOTS + 1) * room);
	if (c->memory == NULL) {
		free(c);
		return NULL;
	}
	for (unsigned i = 0; i < COALESCE_SLOTS; i++)
		c->slot[i].buf = c->memory + i * room;
	return c;
}

void
coalesce_free(struct coalescer *c)
{
	if (c == NULL)
		return;
	free(c->memory);
	free(c);
}

void
coalesce_set(struct coalescer *c, bool tcp, bool udp)
{
	coalesce_flush(c);
	c->conf.tcp = tcp;
	c->conf.udp = udp;
}

static void
set_needs_csum(struct vnet_hdr *h, unsigned l4, uint8_t proto)
{
	h->flags = VNET_F_NEEDS_CSUM;
	h->csum_start = (uint16_t)l4;
	h->csum_offset = (uint16_t)csum_field(proto);
}

/* A packet that is not collected goes out as it is. */
static void
write_alone(struct coalescer *c, const struct ip_packet *ip, bool partial)
{
	struct vnet_hdr h = { 0 };
	uint8_t *copy = c->memory + (size_t)COALESCE_SLOTS * (IP_PACKET_MAX + 1);

	if (c->conf.vnet_hdr) {
		if (partial)
			set_needs_csum(&h, ip->l4, ip->proto);
		c->conf.write(c->conf.arg, &h, ip->data, ip->len);
		return;
	}
	if (!partial) {
		c->conf.write(c->conf.arg, NULL, ip->data, ip->len);
		return;
	}
	memcpy(copy, ip->data, ip->len);
	csum_complete(copy, ip->len, ip->l4, csum_field(ip->proto));
	c->conf.write(c->conf.arg, NULL, copy, ip->len);
}

/* Lengths and checksums of a superpacket: each header field speaks of the whole. */
static void
finish_headers(struct slot *s)
{
	uint8_t *p = s->buf;
	struct ip_packet ip = {
		.version = s->version, .proto = s->proto,
		.src = p + (s->version == 4 ? 12 : 8),
	};

	if (s->version == 4) {
		put16(p + 2, (uint16_t)s->len);
		csum_ip4_set(p, s->l4);
	} else {
		put16(p + 4, (uint16_t)(s->len - IP_HDR6_LEN));
	}
	if (s->proto == IP_UDP)
		put16(p + s->l4 + 4, (uint16_t)(s->len - s->l4));
	put16(p + s->l4 + csum_field(s->proto), csum_fold(csum_pseudo(&ip, s->len - s->l4)));
}

static void
slot_write(struct coalescer *c, unsigned i)
{
	struct slot *s = &c->slot[i];
	struct vnet_hdr h = { 0 };

	c->used &= ~(1u << i);
	if (s->segs > 1) {
		finish_headers(s);
		h.gso_type = s->proto == IP_UDP ? VNET_GSO_UDP_L4 : s->version == 4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
		h.gso_size = s->size;
		h.hdr_len = (uint16_t)s->hdr_len;
	}
	if (s->segs > 1 || s->partial)
		set_needs_csum(&h, s->l4, s->proto);
	c->conf.write(c->conf.arg, &h, s->buf, s->len);
}

void
coalesce_flush(struct coalescer *c)
{
	/* Oldest first, so that flows leave in the order in which they began. */
	while (c->used != 0) {
		unsigned best = (unsigned)__builtin_ctz(c->used);

		for (uint32_t rest = c->used & (c->used - 1); rest != 0; rest &= rest - 1) {
			unsigned i = (unsigned)__builtin_ctz(rest);

			if (c->slot[i].born < c->slot[best].born)
				best = i;
		}
		slot_write(c, best);
	}
}

/* A packet of which a superpacket could be made at all. */
static bool
eligible(const struct coalescer *c, const struct ip_packet *ip)
{
	const uint8_t *l4 = ip->data + ip->l4;
	uint32_t payload = ip->len - ip->l4 - ip->l4_hdr;

	if (payload == 0 || ip->len > IP_PACKET_MAX / 2)
		return false;
	/* A superpacket's header checksum is made anew and must not hide that this one is wrong. */
	if (ip->version == 4 && csum_fold(csum_add(0, ip->data, IP_HDR4_LEN)) != 0xffff)
		return false;
	if (ip->proto == IP_TCP)
		return c->conf.tcp && (l4[13] & (TCP_SYN | TCP_RST | TCP_URG | TCP_CWR)) == 0 &&
		    (l4[13] & TCP_ACK) != 0 && (l4[12] & 0x0f) == 0;
	/* UDP with no checksum would get one; UDP options behind the payload would become payload. */
	return c->conf.udp && get16(l4 + 4) == ip->len - ip->l4 && get16(l4 + 6) != 0;
}

/* Whether both packets belong to one flow: addresses and ports. */
static bool
same_flow(const struct slot *s, const struct ip_packet *ip)
{
	const uint8_t *a = s->buf, *b = ip->data;

	if (s->version != ip->version || s->proto != ip->proto || memcmp(a + s->l4, b + ip->l4, 4) != 0)
		return false;
	return ip->version == 4 ? memcmp(a + 12, b + 12, 8) == 0 : memcmp(a + 8, b + 8, 32) == 0;
}

/* The network header must be the one that segmenting would give this packet. */
static bool
same_ip(const struct slot *s, const struct ip_packet *ip)
{
	const uint8_t *a = s->buf, *b = ip->data;

	if (s->l4 != ip->l4)
		return false;
	if (ip->version == 6)	/* class and flow label; next header and hop limit */
		return memcmp(a, b, 4) == 0 && a[7] == b[7];
	/* TOS; flags; TTL. Ids count, but where fragments are forbidden they mean nothing (RFC 6864). */
	return a[1] == b[1] && a[6] == b[6] && a[8] == b[8] &&
	    (ip->df || get16(b + 4) == (uint16_t)(get16(a + 4) + s->segs));
}

static bool
same_tcp(const struct slot *s, const struct ip_packet *ip)
{
	const uint8_t *a = s->buf + s->l4, *b = ip->data + ip->l4;

	return get32(b + 4) == s->next_seq &&
	    memcmp(a + 8, b + 8, 4) == 0 &&		/* acknowledgement */
	    a[12] == b[12] && ((a[13] ^ b[13]) & ~(TCP_FIN | TCP_PSH)) == 0 &&
	    memcmp(a + 14, b + 14, 2) == 0 &&		/* window */
	    memcmp(a + TCP_HDR_LEN, b + TCP_HDR_LEN, ip->l4_hdr - TCP_HDR_LEN) == 0;
}

/*
 * A partial checksum is taken on trust as the kernel takes it; any other is checked before it is merged, since the
 * superpacket's will be declared good. The first packet's is checked when the second comes.
 */
static bool
checksums_good(const struct slot *s, const struct ip_packet *ip, bool partial)
{
	struct ip_packet head;

	if (!partial && csum_l4_verify(ip) == -1)
		return false;
	if (s->segs > 1 || s->partial)
		return true;
	return ip_parse(&head, s->buf, s->len) == IP_OK && csum_l4_verify(&head) == 0;
}

static bool
can_append(const struct slot *s, const struct ip_packet *ip)
{
	uint32_t payload = ip->len - ip->l4 - ip->l4_hdr;

	if (payload > s->size || s->len + payload > IP_PACKET_MAX || !same_ip(s, ip))
		return false;
	if (ip->proto == IP_UDP)
		return s->segs < COALESCE_SEGS;
	return same_tcp(s, ip);
}

/* The end of a superpacket: a short segment, or one whose end the receiver should see at once. */
static bool
is_last(const struct slot *s, const struct ip_packet *ip, uint32_t payload)
{
	return payload < s->size || (ip->proto == IP_TCP && (ip->data[ip->l4 + 13] & (TCP_FIN | TCP_PSH)) != 0);
}

static void
append(struct coalescer *c, unsigned i, const struct ip_packet *ip)
{
	struct slot *s = &c->slot[i];
	uint32_t hdr = (uint32_t)ip->l4 + ip->l4_hdr, payload = ip->len - hdr;

	memcpy(s->buf + s->len, ip->data + hdr, payload);
	s->len += payload;
	s->segs++;
	s->next_seq += payload;
	if (ip->proto == IP_TCP)
		s->buf[s->l4 + 13] |= ip->data[ip->l4 + 13] & (TCP_FIN | TCP_PSH);
	if (is_last(s, ip, payload))
		slot_write(c, i);
}

static unsigned
free_slot(struct coalescer *c)
{
	unsigned oldest = 0;

	for (unsigned i = 0; i < COALESCE_SLOTS; i++) {
		if ((c->used & 1u << i) == 0)
			return i;
		if (c->slot[i].born < c->slot[oldest].born)
			oldest = i;
	}
	slot_write(c, oldest);
	return oldest;
}

static void
open_slot(struct coalescer *c, const struct ip_packet *ip, uint32_t hash, bool partial)
{
	unsigned i = free_slot(c);
	struct slot *s = &c->slot[i];
	uint32_t hdr = (uint32_t)ip->l4 + ip->l4_hdr;

	memcpy(s->buf, ip->data, ip->len);
	s->born = c->clock++;
	s->len = ip->len;
	s->hdr_len = hdr;
	s->size = (uint16_t)(ip->len - hdr);
	s->next_seq = ip->proto == IP_TCP ? get32(ip->data + ip->l4 + 4) + s->size : 0;
	s->l4 = ip->l4;
	s->segs = 1;
	s->version = ip->version;
	s->proto = ip->proto;
	s->partial = partial;
	c->hash[i] = hash;
	c->used |= 1u << i;
}

/* The slot that collects this packet's flow, or -1. */
static int
find_slot(const struct coalescer *c, const struct ip_packet *ip, uint32_t hash)
{
	for (uint32_t rest = c->used; rest != 0; rest &= rest - 1) {
		unsigned i = (unsigned)__builtin_ctz(rest);

		if (c->hash[i] == hash && same_flow(&c->slot[i], ip))
			return (int)i;
	}
	return -1;
}

void
coalesce_add(struct coalescer *c, const struct ip_packet *ip, bool partial)
{
	uint32_t hash;
	int i;

	if (!c->conf.vnet_hdr || ip->l4_hdr == 0 || !ip->plain) {
		write_alone(c, ip, partial);
		return;
	}
	hash = ip_flow_hash(ip, c->conf.seed);
	i = find_slot(c, ip, hash);
	if (!eligible(c, ip)) {
		if (i != -1)
			slot_write(c, (unsigned)i);
		write_alone(c, ip, partial);
		return;
	}
	if (i != -1) {
		if (can_append(&c->slot[i], ip) && checksums_good(&c->slot[i], ip, partial)) {
			append(c, (unsigned)i, ip);
			return;
		}
		slot_write(c, (unsigned)i);
	}
	if (ip->proto == IP_TCP && (ip->data[ip->l4 + 13] & (TCP_FIN | TCP_PSH)) != 0)
		write_alone(c, ip, partial);	/* nothing may follow it */
	else
		open_slot(c, ip, hash, partial);
}
