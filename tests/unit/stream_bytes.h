/* Bytes of a stream, each known by its place. */
#ifndef TESTS_STREAM_BYTES_H
#define TESTS_STREAM_BYTES_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>

static inline uint8_t
byte_at(uint64_t off)
{
	return (uint8_t)((off * 0x9e3779b97f4a7c15ull) >> 56);
}

/* Not an assertion a byte: each of check's writes to a file. */
static inline void
bytes_check(const uint8_t *p, size_t n, uint64_t off)
{
	size_t bad = 0;

	for (size_t i = 0; i < n; i++)
		bad += p[i] != byte_at(off + i);
	ck_assert_uint_eq(bad, 0);
}

#endif
