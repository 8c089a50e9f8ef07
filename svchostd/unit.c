#include "svchostd/unit.h"

#include <string.h>

int
unit_seal_init(struct unit_seal *u, const struct e2e_keys *keys, uint64_t now_ns)
{
	u->tx = seal_tx_new(keys->cipher, keys->tx, NULL, now_ns);
	u->rx = seal_rx_new(keys->cipher, keys->rx, NULL, false);
	if (u->tx != NULL && u->rx != NULL)
		return 0;
	unit_seal_free(u);
	return -1;
}

void
unit_seal_free(struct unit_seal *u)
{
	seal_tx_free(u->tx);
	seal_rx_free(u->rx);
	memset(u, 0, sizeof(*u));
}

size_t
unit_seal(struct unit_seal *u, uint8_t *buf, size_t len, uint64_t now_ns, uint64_t *number)
{
	static const uint8_t flags = 0;
	struct seal_pkt pkt = { .data = buf + UNIT_HEAD, .len = len, .ad = &flags, .ad_len = sizeof(flags) };

	if (seal_packets(u->tx, &pkt, 1, now_ns) != 1)
		return 0;
	buf[0] = pkt.phase ? UNIT_PHASE : 0;
	*number = pkt.number;
	return UNIT_HEAD + pkt.len;
}

int
unit_open(struct unit_seal *u, uint8_t *buf, size_t len, uint32_t number, uint64_t now_ns, size_t *out)
{
	uint8_t flags;
	struct seal_pkt pkt = { .data = buf + UNIT_HEAD, .ad = &flags, .ad_len = sizeof(flags), .number = number };

	if (len < UNIT_OVERHEAD)
		return SEAL_E_SHORT;
	flags = buf[0] & (uint8_t)~UNIT_PHASE;
	pkt.len = len - UNIT_HEAD;
	pkt.phase = (buf[0] & UNIT_PHASE) != 0;
	if (seal_open(u->rx, &pkt, 1, now_ns) != 1)
		return pkt.error;
	*out = pkt.len;
	return SEAL_OK;
}

bool
unit_failed(const struct unit_seal *u)
{
	return seal_rx_failed(u->rx) >= UNIT_FAILED_MAX;
}
