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

/* Writes v, at most VARINT_MAX, to p, which has varint_len(v) bytes; returns the byte after it. */
static inline uint8_t *
varint_put(uint8_t *p, uint64_t v)
{
	size_t n = varint_len(v);

	switch (n) {
	case 8:
		p[7] = (uint8_t)v;
		p[6] = (uint8_t)(v >> 8);
		p[5] = (uint8_t)(v >> 16);
		p[4] = (uint8_t)(v >> 24);
		p[3] = (uint8_t)(v >> 32);
		p[2] = (uint8_t)(v >> 40);
		p[1] = (uint8_t)(v >> 48);
		p[0] = (uint8_t)(v >> 56 | 0xc0);
		break;
	case 4:
		p[3] = (uint8_t)v;
		p[2] = (uint8_t)(v >> 8);
		p[1] = (uint8_t)(v >> 16);
		p[0] = (uint8_t)(v >> 24 | 0x80);
		break;
	case 2:
		p[1] = (uint8_t)v;
		p[0] = (uint8_t)(v >> 8 | 0x40);
		break;
	default:
		p[0] = (uint8_t)v;
	}
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
