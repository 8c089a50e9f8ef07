/*
 * What a TUN gives: the virtio header and a packet or superpacket. Segments must be packets that parse, carry all of the
 * payload and nothing else, and an ICMP error about anything must be one that parses.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vpnd/checksum.h"
#include "vpnd/classify.h"
#include "vpnd/icmp.h"
#include "vpnd/segment.h"

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

static void
cut(const struct vnet_hdr *h, const struct ip_packet *ip, uint32_t max)
{
	struct segmenter s;
	uint64_t payload = 0;

	if (segment_init(&s, h, ip, max) != SEGMENT_OK)
		return;
	HOLDS(s.count > 0 && s.count <= s.payload);
	for (uint32_t i = 0; i < s.count; i++) {
		uint32_t len = segment_len(&s, i);
		struct ip_packet seg;
		uint8_t *p;

		HOLDS(len > s.hdr_len && len <= ip->len);
		p = malloc(len);	/* so that the sanitizer sees a byte too far */
		segment_write(&s, i, p);
		HOLDS(memcmp(p + s.hdr_len, ip->data + s.hdr_len + payload, len - s.hdr_len) == 0);
		HOLDS(ip_parse(&seg, p, len) == IP_OK);
		HOLDS(seg.l4 == ip->l4 && seg.l4_hdr == ip->l4_hdr && seg.proto == ip->proto);
		if (seg.version == 4)
			HOLDS(csum_fold(csum_add(0, p, seg.l4)) == 0xffff);
		HOLDS(csum_complete(p, len, seg.l4, csum_field(seg.proto)) == 0);
		HOLDS(csum_l4_verify(&seg) == 0);
		payload += len - s.hdr_len;
		free(p);
	}
	HOLDS(payload == s.payload);
}

static void
complain(const struct ip_packet *ip, enum icmp_kind kind)
{
	uint8_t *out = malloc(ICMP_MAX);
	size_t len = icmp_error(out, ip, kind, 1280);
	struct ip_packet error;

	HOLDS(len <= ICMP_MAX);
	if (len != 0) {
		HOLDS(ip_parse(&error, out, len) == IP_OK);
		HOLDS(icmp_error(out, &error, kind, 1280) == 0);
	}
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vnet_hdr h;
	struct ip_packet ip;
	uint8_t *pkt;
	size_t len;

	if (size < sizeof(h) || size - sizeof(h) > IP_PACKET_MAX + 1)
		return 0;
	memcpy(&h, data, sizeof(h));
	len = size - sizeof(h);
	pkt = malloc(len + !len);
	memcpy(pkt, data + sizeof(h), len);
	if (ip_parse_super(&ip, pkt, len) == IP_OK) {
		HOLDS(ip.l4 <= len && ip.l4 + ip.l4_hdr <= (int)len);
		HOLDS(classify_packet(&ip) > CLASS_CONTROL && classify_packet(&ip) < CLASS_COUNT);
		cut(&h, &ip, 0);
		cut(&h, &ip, 700);
		for (int kind = ICMP_TOO_BIG; kind <= ICMP_PROHIBITED; kind++)
			complain(&ip, (enum icmp_kind)kind);
	}
	csum_complete(pkt, len, h.csum_start, h.csum_offset);
	free(pkt);
	return 0;
}
