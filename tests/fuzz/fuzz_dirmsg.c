/* The codec of the directory's messages. Input: the type, the body. What is decoded is encoded to the same bytes. */
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
