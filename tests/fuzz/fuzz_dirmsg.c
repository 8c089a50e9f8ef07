/*
 * The codec of the directory's messages. Input: the type, the body. What is decoded is encoded to the same bytes. Of the type
 * FRAMING the rest is what a mesh stream brings: message after message, each of which is cut off nowhere but at its end.
 */
#include <stdlib.h>
#include <string.h>

#include "routed/dirmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

static uint8_t out[1 << 17];

#define TRY(name, var) \
	if (dirmsg_##name##_decode(&var, data, size) == 0) { \
		HOLDS(dirmsg_##name##_encode(out, size, &var) == size); \
		HOLDS(memcmp(out, data, size) == 0); \
		HOLDS(dirmsg_##name##_encode(out, size - 1, &var) == 0); \
	}

#define FRAMING 0xff

static void
framing(const uint8_t *p, size_t len)
{
	struct frame_bytes body;
	uint64_t type;
	size_t whole, cut;

	while (dirmsg_next(p, len, &type, &body, &whole) == 1) {
		HOLDS(whole >= 2 && whole <= len && body.p + body.len == p + whole);
		for (cut = 0; cut < whole; cut += cut < 20 || cut + 1 >= whole ? 1 : whole - 1 - cut) {
			struct frame_bytes b;
			uint64_t t;
			size_t w;

			HOLDS(dirmsg_next(p, cut, &t, &b, &w) == 0);
		}
		p += whole;
		len -= whole;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dirmsg_digest digest;
	static struct dirmsg_have have;
	struct dirmsg_hello hello;
	struct dirmsg_item item;
	struct dirmsg_query query;
	uint8_t type;

	if (size == 0)
		return 0;
	type = *data++;
	size--;
	HOLDS(dirmsg_name(type) != NULL);
	if (type == FRAMING) {
		framing(data, size);
		return 0;
	}
	switch (type) {
	case DIRMSG_HELLO:
		TRY(hello, hello)
		break;
	case DIRMSG_DIGEST:
		TRY(digest, digest)
		break;
	case DIRMSG_HAVE:
	case DIRMSG_WANT:
		TRY(have, have)
		HOLDS(have.n <= DIRMSG_HAVE_MAX);
		break;
	case DIRMSG_ITEM:
		TRY(item, item)
		break;
	case DIRMSG_QUERY:
		TRY(query, query)
		HOLDS(strnlen(query.name, sizeof(query.name)) < sizeof(query.name));
		break;
	default:
		break;
	}
	return 0;
}
