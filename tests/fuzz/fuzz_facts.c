/* The decoder of facts. What is decoded and has no unknown fields must be encoded to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "fabric/facts.h"
#include "wire/tlv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

static bool
has_unknown(const uint8_t *data, size_t size)
{
	struct tlv_reader tr;
	struct tlv t;

	tlv_read_init(&tr, data, size);
	while (tlv_read(&tr, &t) == 1)
		if (t.tag >= TLV_SKIP_FIRST)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[FACTS_MAX];
	struct facts f;
	size_t len;

	if (facts_decode(&f, data, size) != 0)
		return 0;
	HOLDS(size <= FACTS_MAX && f.naddrs <= FACTS_ADDRS_MAX && f.nlinks <= FACTS_LINKS_MAX);
	HOLDS(f.nat < NAT_COUNT && f.net < NET_COUNT && f.battery <= 100);
	HOLDS(strnlen(f.domain, sizeof(f.domain)) < sizeof(f.domain) && strnlen(f.region, sizeof(f.region)) < sizeof(f.region));
	for (size_t i = 1; i < f.nlinks; i++)
		HOLDS(memcmp(f.links[i - 1].node_id, f.links[i].node_id, NODE_ID_LEN) < 0);
	len = facts_encode(out, sizeof(out), &f);
	HOLDS(len > 0);
	if (has_unknown(data, size))
		return 0;
	HOLDS(len == size && memcmp(out, data, len) == 0);
	HOLDS(facts_encode(out, len - 1, &f) == 0);
	return 0;
}
