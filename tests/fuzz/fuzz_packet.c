/*
 * What peers send: a batch of units of service "vpn", each with two bytes of length before it. Whatever they are, what
 * goes to the TUN must be packets that parse, and every superpacket, cut again, must give the packets that came: their
 * transport headers and payload, in any order of flows.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vpnd/coalesce.h"
#include "vpnd/segment.h"

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

static uint64_t packets_in, packets_out;
static uint64_t digest_in, digest_out;	/* sums, so that order does not count */

/* Of transport header and payload, without the checksum, and the urgent pointer that URG does not announce. */
static uint64_t
digest(const struct ip_packet *ip)
{
	const uint8_t *l4 = ip->data + ip->l4;
	size_t len = ip->len - ip->l4;
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++) {
		if (ip->l4_hdr != 0 && ((ip->proto == IP_TCP && i >= 16 && i < 20) || (ip->proto == IP_UDP && i >= 6 && i < 8)))
			continue;
		h = (h ^ l4[i]) * 0x100000001b3ull;
	}
	return h;
}

static void
take(void *arg, const struct vnet_hdr *h, const uint8_t *pkt, size_t len)
{
	struct ip_packet ip;
	struct segmenter s;

	(void)arg;
	HOLDS(len <= IP_PACKET_MAX);
	HOLDS(ip_parse(&ip, pkt, len) == IP_OK);
	if (h == NULL || h->gso_type == VNET_GSO_NONE) {
		if (h != NULL && h->flags != 0)
			HOLDS(h->flags == VNET_F_NEEDS_CSUM && h->csum_start == ip.l4 && ip.l4_hdr != 0);
		packets_out++;
		digest_out += digest(&ip);
		return;
	}
	HOLDS(segment_init(&s, h, &ip, 0) == SEGMENT_OK);
	HOLDS(s.count > 1 && s.hdr_len == h->hdr_len);
	packets_out += s.count;
	for (uint32_t i = 0; i < s.count; i++) {
		static uint8_t seg[IP_PACKET_MAX];
		struct ip_packet one;

		segment_write(&s, i, seg);
		HOLDS(ip_parse(&one, seg, segment_len(&s, i)) == IP_OK);
		digest_out += digest(&one);
	}
}

static void
batch(bool vnet_hdr, const uint8_t *data, size_t size)
{
	struct coalesce_config cc = { .vnet_hdr = vnet_hdr, .tcp = true, .udp = true, .seed = 1, .write = take };
	static struct coalescer *both[2];
	struct ip_packet ip;

	if (both[vnet_hdr] == NULL)
		both[vnet_hdr] = coalesce_new(&cc);
	packets_in = packets_out = digest_in = digest_out = 0;
	while (size > 3) {
		size_t len = (size_t)(data[0] << 8 | data[1]) % 2048;
		uint8_t *unit;

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		unit = malloc(len + !len);
		memcpy(unit, data, len);
		if (len > 1 && ip_parse(&ip, unit + 1, len - 1) == IP_OK && (unit[0] % 2 == 0 || ip.l4_hdr != 0)) {
			packets_in++;
			digest_in += digest(&ip);
			coalesce_add(both[vnet_hdr], &ip, unit[0] % 2 != 0);
		}
		free(unit);
		data += len;
		size -= len;
	}
	coalesce_flush(both[vnet_hdr]);
	HOLDS(packets_in == packets_out && digest_in == digest_out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	batch(true, data, size);
	batch(false, data, size);
	return 0;
}
