/* routed: the messages about routes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "routed/routemsg.h"
#include "suite.h"
#include "wire/varint.h"

#define WALL	1800000000ull
#define ROUTE	0x77665544332211ull
#define CLASSES	(1u << CLASS_INTERACTIVE | 1u << CLASS_BULK)

static const uint8_t r1[NODE_ID_LEN] = { 1 }, r2[NODE_ID_LEN] = { 2 }, dest[NODE_ID_LEN] = { 3 };

/* Each is cut at each byte. */
START_TEST(messages)
{
	const struct route_request q = { 3, 77, 2, { { r1, { (const uint8_t *)"sealed", 6 } },
	    { r2, { (const uint8_t *)"to another", 10 } } } };
	const struct route_answer a = { 77, LEASE_OK, { (const uint8_t *)"box", 3 } };
	struct lease_ask ask = { .classes = CLASSES, .routes = 3, .known_epoch = 5, .kbps = 6, .streams = 7, .nheld = 1 }, back;
	struct route_request q2;
	struct route_answer a2;
	uint8_t buf[1024], *copy;
	uint64_t id = 0;
	size_t len;

	len = route_request_encode(buf, sizeof(buf), &q);
	ck_assert_int_eq(route_request_decode(&q2, buf, len), 0);
	ck_assert_uint_eq(q2.ttl, 3);
	ck_assert_uint_eq(q2.id, 77);
	ck_assert_uint_eq(q2.n, 2);
	ck_assert_uint_eq(q2.sealed[0].box.len, 6);
	ck_assert_mem_eq(q2.sealed[1].to, r2, NODE_ID_LEN);
	for (size_t i = 0; i < len; i++)	/* but where it ends behind the first */
		ck_assert(i == len - NODE_ID_LEN - 11 || route_request_decode(&q2, buf, i) < 0);
	len = route_answer_encode(buf, sizeof(buf), &a);
	ck_assert_int_eq(route_answer_decode(&a2, buf, len), 0);
	ck_assert_uint_eq(a2.box.len, 3);
	for (size_t i = 0; i < len; i++)
		ck_assert_int_lt(route_answer_decode(&a2, buf, i), 0);
	memcpy(ask.dest, dest, NODE_ID_LEN);
	ask.held[0].route_id = ROUTE;
	ask.held[0].n = 3;
	memcpy(ask.held[0].nodes[1], r1, NODE_ID_LEN);
	ask.nfailed = 2;
	memcpy(ask.failed[1], r2, NODE_ID_LEN);
	len = route_ask_encode(buf, sizeof(buf), &ask, 77);
	ck_assert_uint_gt(len, 0);
	ck_assert_int_eq(route_ask_decode(&back, &id, buf, len), 0);
	ck_assert_uint_eq(id, 77);
	ck_assert_mem_eq(&back, &ask, sizeof(ask));
	for (size_t i = 0; i < len; i++) {
		copy = malloc(i + 1);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, buf, i);
		/* A field that is missing at the end is no error, but for those that have to be there. */
		if (route_ask_decode(&back, &id, copy, i) == 0)
			ck_assert_uint_ge(i, 8 + 2 + NODE_ID_LEN + 2 + 3);
		free(copy);
	}
	ask.classes = 0;
	ck_assert_uint_eq(route_ask_encode(buf, sizeof(buf), &ask, 77), 0);
}
END_TEST

/* A refusal is as long as its proof is; an answer that is none has leases. */
START_TEST(refusals)
{
	/* HKDF-Expand(SHA-256("the record"), "fabric route refusal v1" NUL, 77, 5), computed elsewhere */
	static const uint8_t want[REFUSAL_PROOF_LEN] = { 0x09, 0x84, 0x91, 0x3f, 0x3c, 0xf6, 0xae, 0x27,
	    0x45, 0xd9, 0xa5, 0xe5, 0x16, 0xe9, 0xb3, 0x67 };
	uint8_t key[HASH_LEN], proof[REFUSAL_PROOF_LEN + 1] = { 0 }, buf[64];
	struct route_answer a = { 77, LEASE_E_POLICY, { proof, REFUSAL_PROOF_LEN } }, back;
	size_t len;

	route_refusal_key(key, (const uint8_t *)"the record", 10);
	ck_assert_int_eq(route_refusal_proof(proof, key, 77, 5), 0);
	ck_assert_mem_eq(proof, want, sizeof(want));
	ck_assert_int_eq(route_refusal_proof(proof, key, 77, 6), 0);
	ck_assert_mem_ne(proof, want, sizeof(want));
	ck_assert_int_eq(route_refusal_proof(proof, key, 78, 5), 0);
	ck_assert_mem_ne(proof, want, sizeof(want));
	len = route_answer_encode(buf, sizeof(buf), &a);
	ck_assert_uint_eq(len, 8 + 1 + 1 + REFUSAL_PROOF_LEN);
	ck_assert_int_eq(route_answer_decode(&back, buf, len), 0);
	ck_assert_uint_eq(back.error, LEASE_E_POLICY);
	ck_assert_mem_eq(back.box.p, proof, REFUSAL_PROOF_LEN);
	for (size_t i = 0; i < len; i++)
		ck_assert_int_lt(route_answer_decode(&back, buf, i), 0);
	buf[8] = LEASE_E_COUNT;
	ck_assert_int_lt(route_answer_decode(&back, buf, len), 0);
	buf[8] = LEASE_E_POLICY;
	buf[9] = REFUSAL_PROOF_LEN - 1;
	ck_assert_int_lt(route_answer_decode(&back, buf, len - 1), 0);
	buf[9] = 0;
	ck_assert_int_lt(route_answer_decode(&back, buf, 10), 0);
	buf[8] = LEASE_OK;
	ck_assert_int_lt(route_answer_decode(&back, buf, 10), 0);
	for (unsigned i = 0; i < 3; i++) {
		a.box.len = (size_t[]){ 0, REFUSAL_PROOF_LEN - 1, REFUSAL_PROOF_LEN + 1 }[i];
		ck_assert_uint_eq(route_answer_encode(buf, sizeof(buf), &a), 0);
	}
	a.error = LEASE_E_COUNT;
	a.box.len = REFUSAL_PROOF_LEN;
	ck_assert_uint_eq(route_answer_encode(buf, sizeof(buf), &a), 0);
}
END_TEST

/* The longest request there is fits a record; and nodes that failed are whole ones, and not too many. */
START_TEST(the_longest_request)
{
	struct sign_key key;
	struct lease_ask ask = { .classes = CLASSES, .routes = 3, .known_epoch = VARINT_MAX - 1, .kbps = UINT32_MAX,
	    .streams = UINT32_MAX, .nheld = LEASE_HELD_MAX, .nfailed = LEASE_FAILED_MAX }, back;
	struct record r = { .kind = RECORD_ROUTE_REQUEST, .subject = key.public, .serial = VARINT_MAX, .not_before = WALL,
	    .not_after = WALL + ROUTEMSG_LIFE_S };
	uint8_t content[REQUEST_MAX] = { 0 }, record[REQUEST_MAX];
	uint64_t id;
	size_t len;

	crypto_init();
	ck_assert_int_eq(sign_key_generate(&key), 0);
	for (unsigned i = 0; i < LEASE_HELD_MAX; i++)
		ask.held[i] = (struct lease_held){ .route_id = VARINT_MAX, .n = LEASE_HOPS_MAX };
	len = route_ask_encode(content, sizeof(content), &ask, 77);
	ck_assert_uint_gt(len, 0);
	r.content = (struct frame_bytes){ content, len };
	ck_assert_uint_gt(record_sign(record, sizeof(record), &r, &key), 0);
	ck_assert_int_eq(route_ask_decode(&back, &id, content, len), 0);
	ck_assert_mem_eq(&back, &ask, sizeof(ask));
	ask.nfailed++;
	ck_assert_uint_eq(route_ask_encode(content, sizeof(content), &ask, 77), 0);
	/* Cut within the last of them, none at all, and one more than there may be; the length is in two bytes. */
	len -= LEASE_FAILED_MAX * NODE_ID_LEN;
	for (unsigned k = 0; k <= LEASE_FAILED_MAX + 1; k++)
		for (unsigned more = 0; more < 2; more++) {
			unsigned size = k * NODE_ID_LEN + more;

			content[len - 2] = (uint8_t)(0x40 | size >> 8);
			content[len - 1] = (uint8_t)size;
			ck_assert_int_eq(route_ask_decode(&back, &id, content, len + size), size < 64 ? FRAME_E_VARINT :
			    k <= LEASE_FAILED_MAX && more == 0 ? 0 : FRAME_E_VALUE);
		}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("routemsg");
	TCase *tc = tcase_create("routemsg");

	tcase_add_test(tc, messages);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, the_longest_request);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
