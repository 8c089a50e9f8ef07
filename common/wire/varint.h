/* RFC 9000 section 16 variable-length integers; only the shortest form is accepted. */
#ifndef WIRE_VARINT_H
#define WIRE_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX ((1ull << 62) - 1)
#define VARINT_LEN_MAX 8

/* Bytes that v takes: 1, 2, 4 or 8. v is at most VARINT_MAX. */
static inline size_t
varint_len(uint64_t v)
{
	return v < 0x40 ? 1 : v < 0x4000 ? 2 : v < 0x40000000 ? 4 : 8;
}

/* Writes v to p, which has varint_len(v) bytes; returns the byte after it. */
static inline uint8_t *
varint_put(uint8_t *p, uint64_t v)
{
	size_t n = varint_len(v);
	static const uint8_t prefix[9] = { 0, 0x00, 0x40, 0, 0x80, 0, 0, 0, 0xc0 };

	for (size_t i = n; i-- > 0; v >>= 8)
		p[i] = (uint8_t)v;
	p[0] |= prefix[n];
	return p + n;
}

/* Reads one: bytes used, 0 when the input ends inside it, -1 when it is not the shortest form. */
static inline int
varint_get(uint64_t *v, const uint8_t *p, size_t len)
{
	uint64_t x;

	if (len == 0)
		return 0;
	switch (p[0] >> 6) {
	case 0:
		*v = p[0];
		return 1;
	case 1:
		if (len < 2)
			return 0;
		x = (uint64_t)(p[0] & 0x3f) << 8 | p[1];
		if (x < 0x40)
			return -1;
		*v = x;
		return 2;
	case 2:
		if (len < 4)
			return 0;
		x = (uint64_t)(p[0] & 0x3f) << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
		if (x < 0x4000)
			return -1;
		*v = x;
		return 4;
	default:
		if (len < 8)
			return 0;
		x = (uint64_t)(p[0] & 0x3f) << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 |
		    (uint64_t)p[3] << 32 | (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 |
		    (uint64_t)p[6] << 8 | p[7];
		if (x < 0x40000000)
			return -1;
		*v = x;
		return 8;
	}
}

#endif
