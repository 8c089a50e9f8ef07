#include "vpnd/segment.h"

#include <string.h>

#include "vpnd/checksum.h"

#define TCP_FIN	0x01
#define TCP_PSH	0x08
#define TCP_CWR	0x80

/* The header must say what the packet is, and that its checksum is partial and where. */
static int
check_header(const struct vnet_hdr *h, const struct ip_packet *ip)
{
	unsigned type = h->gso_type & ~(unsigned)VNET_GSO_ECN;
	bool fits;

	switch (type) {
	case VNET_GSO_TCPV4:
		fits = ip->version == 4 && ip->proto == IP_TCP;
		break;
	case VNET_GSO_TCPV6:
		fits = ip->version == 6 && ip->proto == IP_TCP;
		break;
	case VNET_GSO_UDP_L4:
		fits = ip->proto == IP_UDP;
		break;
	default:
		return SEGMENT_E_TYPE;
	}
	if (!fits || ip->l4_hdr == 0 || h->gso_size == 0)
		return SEGMENT_E_PACKET;
	if ((h->flags & VNET_F_NEEDS_CSUM) == 0 || h->csum_start != ip->l4 || h->csum_offset != csum_field(ip->proto))
		return SEGMENT_E_CSUM;
	return SEGMENT_OK;
}

int
segment_init(struct segmenter *s, const struct vnet_hdr *h, const struct ip_packet *ip, uint32_t size_max)
{
	const uint8_t *p = ip->data;
	int err = check_header(h, ip);

	if (err != SEGMENT_OK)
		return err;
	s->data = p;
	s->version = ip->version;
	s->proto = ip->proto;
	s->l4 = ip->l4;
	s->hdr_len = (uint32_t)ip->l4 + ip->l4_hdr;
	s->payload = ip->len - s->hdr_len;
	if (s->payload == 0)
		return SEGMENT_E_PACKET;
	s->size = h->gso_size;
	if (ip->proto == IP_TCP && size_max != 0 && size_max < s->size)
		s->size = size_max;
	s->count = (s->payload + s->size - 1) / s->size;
	s->pseudo = csum_pseudo(ip, 0);
	s->seq = ip->proto == IP_TCP ? get32(p + ip->l4 + 4) : 0;
	s->ip_sum = 0;
	s->id = 0;
	if (ip->version == 4) {
		s->id = get16(p + 4);
		s->ip_sum = csum_add(0, p, 2);
		s->ip_sum = csum_add(s->ip_sum, p + 6, 4);
		s->ip_sum = csum_add(s->ip_sum, p + 12, (size_t)ip->l4 - 12);
	}
	return SEGMENT_OK;
}

static void
write_ip(const struct segmenter *s, uint32_t i, uint8_t *out, uint32_t len)
{
	uint16_t id = (uint16_t)(s->id + i);

	if (s->version == 6) {
		put16(out + 4, (uint16_t)(len - IP_HDR6_LEN));
		return;
	}
	put16(out + 2, (uint16_t)len);
	put16(out + 4, id);
	put16(out + 10, (uint16_t)~csum_fold(csum_add16(csum_add16(s->ip_sum, (uint16_t)len), id)));
}

/* FIN and PSH belong to the last byte, CWR to the first. */
static void
write_tcp(const struct segmenter *s, uint32_t i, uint8_t *l4)
{
	put32(l4 + 4, s->seq + i * s->size);
	if (i + 1 < s->count)
		l4[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	if (i != 0)
		l4[13] &= (uint8_t)~TCP_CWR;
}

void
segment_write(const struct segmenter *s, uint32_t i, uint8_t *out)
{
	uint32_t len = segment_len(s, i);
	uint32_t l4_len = len - s->l4;
	uint8_t *l4 = out + s->l4;

	memcpy(out, s->data, s->hdr_len);
	memcpy(out + s->hdr_len, s->data + s->hdr_len + (size_t)i * s->size, len - s->hdr_len);
	write_ip(s, i, out, len);
	if (s->proto == IP_TCP)
		write_tcp(s, i, l4);
	else
		put16(l4 + 4, (uint16_t)l4_len);
	put16(l4 + csum_field(s->proto), csum_fold(csum_add16(s->pseudo, (uint16_t)l4_len)));
}
