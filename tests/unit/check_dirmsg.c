/* The directory's messages: vectors both ways, truncation at every byte, what is refused. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "routed/dirmsg.h"
#include "suite.h"

#define ID1 "0101010101010101010101010101010101010101010101010101010101010101"
#define ID2 "0202020202020202020202020202020202020202020202020202020202020202"

enum { OK = 0 };

/* result 0: it decodes, and encodes to the same again; `cut': also some shorter form of it does. */
static const struct {
	const char *what;
	unsigned type;
	const char *hex;
	int	 result;
	bool	 cut;
} vectors[] = {
	{ "hello", DIRMSG_HELLO, "01" "00" "c00000006b49d200" "00", OK, false },
	{ "hello of a leaf, seen", DIRMSG_HELLO, "01" "01" "c00000006b49d200" "04" "c0000201" "51f8", OK, false },
	{ "hello, seen by IPv6", DIRMSG_HELLO, "01" "00" "00" "06" "20010db8000000000000000000000001" "8000ffff", OK, false },
	{ "hello of version 0", DIRMSG_HELLO, "00" "00" "00" "00", FRAME_E_VALUE, false },
	{ "hello, leaf 2", DIRMSG_HELLO, "01" "02" "00" "00", FRAME_E_VALUE, false },
	{ "hello, family 5", DIRMSG_HELLO, "01" "00" "00" "05" "c0000201" "51f8", FRAME_E_VALUE, false },
	{ "hello, port 0", DIRMSG_HELLO, "01" "00" "00" "04" "c0000201" "00", FRAME_E_VALUE, false },
	{ "hello and more", DIRMSG_HELLO, "01" "00" "00" "00" "00", FRAME_E_TRAILING, false },
	{ "hello, a long varint", DIRMSG_HELLO, "4001" "00" "00" "00", FRAME_E_VARINT, false },

	{ "digest of nothing", DIRMSG_DIGEST, "00" "00" "0000000000000000" "00", OK, false },
	{ "digest", DIRMSG_DIGEST, "05" "07" "0123456789abcdef" "02" "00" "1111111111111111" "ff" "2222222222222222", OK, true },
	{ "digest, buckets descend", DIRMSG_DIGEST, "05" "07" "0123456789abcdef" "02" "05" "1111111111111111" "04"
	    "2222222222222222", FRAME_E_VALUE, false },
	{ "digest, a bucket twice", DIRMSG_DIGEST, "05" "07" "0123456789abcdef" "02" "05" "1111111111111111" "05"
	    "2222222222222222", FRAME_E_VALUE, false },
	{ "digest, an empty bucket", DIRMSG_DIGEST, "05" "07" "0123456789abcdef" "02" "05" "0000000000000000", FRAME_E_VALUE, false },

	{ "have", DIRMSG_HAVE, ID1 "05", OK, false },
	{ "have two", DIRMSG_HAVE, ID1 "05" ID2 "00", OK, true },
	{ "have nothing", DIRMSG_HAVE, "", FRAME_E_SHORT, false },

	{ "item", DIRMSG_ITEM, "00" "00" "00" "00" "02" "beef", OK, false },
	{ "item of all", DIRMSG_ITEM, "01" "01aa" "02bbbb" "03cccccc" "02beef" "01dd", OK, false },
	{ "item without services, which is all", DIRMSG_ITEM, "01" "00" "00" "00" "01ee" "00", OK, false },
	{ "item without a record", DIRMSG_ITEM, "00" "01aa" "00" "00" "00", FRAME_E_VALUE, false },
	{ "item, flag 2", DIRMSG_ITEM, "02" "00" "00" "00" "02" "beef", FRAME_E_VALUE, false },
	{ "item and more", DIRMSG_ITEM, "00" "00" "00" "00" "02" "beef" "00", FRAME_E_TRAILING, false },
	{ "item of a long record", DIRMSG_ITEM, "00" "5001", FRAME_E_VALUE, false },

	{ "query by id", DIRMSG_QUERY, "04" "00" ID1, OK, false },
	{ "query by name", DIRMSG_QUERY, "00" "01" "686f6d65", OK, true },
	{ "query for ever", DIRMSG_QUERY, "05" "00" ID1, FRAME_E_VALUE, false },
	{ "query by no name", DIRMSG_QUERY, "00" "01", FRAME_E_TEXT, false },
	{ "query by a name in capitals", DIRMSG_QUERY, "00" "01" "486f6d65", FRAME_E_TEXT, false },
	{ "query by a longer id", DIRMSG_QUERY, "00" "00" ID1 "01", FRAME_E_TRAILING, false },
};

static union {
	struct dirmsg_hello hello;
	struct dirmsg_digest digest;
	struct dirmsg_have have;
	struct dirmsg_item item;
	struct dirmsg_query query;
} m;

static int
decode(unsigned type, const uint8_t *p, size_t len)
{
	switch (type) {
	case DIRMSG_HELLO:
		return dirmsg_hello_decode(&m.hello, p, len);
	case DIRMSG_DIGEST:
		return dirmsg_digest_decode(&m.digest, p, len);
	case DIRMSG_ITEM:
		return dirmsg_item_decode(&m.item, p, len);
	case DIRMSG_QUERY:
		return dirmsg_query_decode(&m.query, p, len);
	default:
		return dirmsg_have_decode(&m.have, p, len);
	}
}

static size_t
encode(unsigned type, uint8_t *p, size_t size)
{
	switch (type) {
	case DIRMSG_HELLO:
		return dirmsg_hello_encode(p, size, &m.hello);
	case DIRMSG_DIGEST:
		return dirmsg_digest_encode(p, size, &m.digest);
	case DIRMSG_ITEM:
		return dirmsg_item_encode(p, size, &m.item);
	case DIRMSG_QUERY:
		return dirmsg_query_encode(p, size, &m.query);
	default:
		return dirmsg_have_encode(p, size, &m.have);
	}
}

/* Out of memory that ends where the message ends. */
static int
decode_exact(unsigned type, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len + (len == 0));
	int err;

	ck_assert_ptr_nonnull(copy);
	if (len > 0)
		memcpy(copy, p, len);
	err = decode(type, copy, len);
	free(copy);
	return err;
}

START_TEST(vector)
{
	uint8_t bytes[256], out[256];
	size_t len = strlen(vectors[_i].hex) / 2;
	unsigned type = vectors[_i].type;
	int rv;

	ck_assert_int_eq(hex_decode(bytes, len, vectors[_i].hex), 0);
	rv = decode_exact(type, bytes, len);
	ck_assert_msg(rv == vectors[_i].result, "%s: %d", vectors[_i].what, rv);
	if (rv != OK)
		return;
	ck_assert_int_eq(decode(type, bytes, len), 0);
	for (size_t size = 0; size < len; size++)
		ck_assert_msg(encode(type, out, size) == 0, "%s", vectors[_i].what);
	ck_assert_uint_eq(encode(type, out, sizeof(out)), len);
	ck_assert_mem_eq(out, bytes, len);
	for (size_t cut = 0; cut < len; cut++)
		ck_assert_msg(decode_exact(type, bytes, cut) != 0 || vectors[_i].cut, "%s cut to %zu", vectors[_i].what, cut);
}
END_TEST

START_TEST(fields)
{
	static struct dirmsg_have have;
	static uint8_t buf[DIRMSG_HAVE_MAX * (NODE_ID_LEN + 8) + NODE_ID_LEN + 1];
	struct dirmsg_item item = { .record = { buf, 10 }, .services = { buf, 5 } };
	uint8_t bytes[64];
	size_t len;

	ck_assert_int_eq(hex_decode(bytes, 17, vectors[1].hex), 0);
	ck_assert_int_eq(decode(DIRMSG_HELLO, bytes, 17), 0);
	ck_assert(m.hello.leaf && m.hello.version == 1 && m.hello.wall == 1800000000);
	ck_assert(m.hello.seen.family == 4 && m.hello.seen.port == 4600 && m.hello.seen.addr[3] == 1);
	have.n = DIRMSG_HAVE_MAX;
	for (unsigned i = 0; i < have.n; i++)
		have.v[i].serial = 1ull << 40;
	len = dirmsg_have_encode(buf, sizeof(buf), &have);
	ck_assert_uint_eq(len, DIRMSG_HAVE_MAX * (NODE_ID_LEN + 8));
	ck_assert_int_eq(dirmsg_have_decode(&have, buf, len), 0);
	ck_assert_uint_eq(have.n, DIRMSG_HAVE_MAX);
	memset(buf + len, 0, NODE_ID_LEN + 1);
	ck_assert_int_eq(dirmsg_have_decode(&have, buf, len + NODE_ID_LEN + 1), FRAME_E_TOO_LONG);
	have.n = DIRMSG_HAVE_MAX + 1;
	ck_assert_uint_eq(dirmsg_have_encode(buf, sizeof(buf), &have), 0);
	/* Services that the flags do not tell of would be lost. */
	ck_assert_uint_eq(dirmsg_item_encode(buf + 100, 200, &item), 0);
	for (unsigned t = DIRMSG_HELLO; t <= DIRMSG_QUERY; t++)
		ck_assert_str_ne(dirmsg_name(t), "unknown");
	ck_assert_str_eq(dirmsg_name(DIRMSG_TEARDOWN), "teardown");
	ck_assert_str_eq(dirmsg_name(0), "unknown");
	ck_assert_str_eq(dirmsg_name(0x40), "unknown");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("dirmsg");
	TCase *tc = tcase_create("dirmsg");

	tcase_add_loop_test(tc, vector, 0, sizeof(vectors) / sizeof(vectors[0]));
	tcase_add_test(tc, fields);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
