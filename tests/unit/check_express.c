/* The form of express packets: the examples of fabric-frame(5), which another implementation made, and what is refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "crypto/seal.h"
#include "suite.h"
#include "wire/express.h"

static const uint8_t cid[EXPRESS_CID_LEN] = { 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8 };
static const uint8_t whole[] = { 0x09, 0x0b, 2, 0, 0, 0, 1, 'p', 'a', 'c', 'k', 'e', 't' };
#define HEADER 7u	/* of these */

/* The bytes of an example in the manual page. */
static size_t
example(const char *name, uint8_t *out)
{
	char line[512], want[64];
	FILE *fp = fopen("man/fabric-frame.5", "r");
	bool in = false;
	size_t n = 0;

	ck_assert_ptr_nonnull(fp);
	snprintf(want, sizeof(want), ".\\\" express: %s\n", name);
	while (fgets(line, sizeof(line), fp) != NULL) {
		if (strcmp(line, want) == 0)
			in = true;
		else if (in && strncmp(line, ".Ed", 3) == 0)
			break;
		else if (in && line[0] != '.')
			for (const char *p = line; *p != ';' && *p != '\n'; p++)
				if (*p != ' ') {
					ck_assert_int_eq(sscanf(p++, "%2hhx", &out[n]), 1);
					n++;
				}
	}
	fclose(fp);
	ck_assert_uint_gt(n, EXPRESS_OVERHEAD);
	return n;
}

/* The second packet under a key of the examples. */
static size_t
make(uint8_t *pkt, enum express_kind kind, enum express_key key, const uint8_t *head, size_t head_len, const uint8_t *rest,
    size_t rest_len)
{
	struct express_header h = { .kind = kind, .number = 1, .head_len = (uint16_t)head_len };
	uint8_t first[16] = { 0 }, raw[EXPRESS_KEY_LEN];
	struct seal_pkt sp = { .data = first };
	struct seal_tx *tx;

	for (unsigned i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)((unsigned)key * EXPRESS_KEY_LEN + i);
	tx = seal_tx_new(AEAD_AESGCM, raw, NULL, 0);
	ck_assert_uint_eq(seal_packets(tx, &sp, 1, 0), 1);
	memcpy(h.cid, cid, sizeof(cid));
	express_header_put(pkt, &h);
	memcpy(pkt + EXPRESS_HEADER_LEN, head, head_len);
	sp = (struct seal_pkt){ .data = pkt + EXPRESS_HEADER_LEN, .len = head_len, .ad = pkt, .ad_len = EXPRESS_HEADER_LEN };
	ck_assert_uint_eq(seal_packets(tx, &sp, 1, 0), 1);
	ck_assert_uint_eq(sp.number, 1);
	express_phase_set(pkt, sp.phase);
	if (rest_len > 0)
		memcpy(pkt + EXPRESS_OVERHEAD + head_len, rest, rest_len);
	seal_tx_free(tx);
	return EXPRESS_OVERHEAD + head_len + rest_len;
}

START_TEST(examples)
{
	static const struct express_feedback f = { .highest = 1, .count = 2, .bytes = 88, .held_us = 250 };
	uint8_t want[256], got[256], head[EXPRESS_FEEDBACK_LEN];
	size_t n;

	n = make(got, EXPRESS_WHOLE, EXPRESS_KEY_DATA_I, whole, sizeof(whole), NULL, 0);
	ck_assert_uint_eq(n, example("whole", want));
	ck_assert_mem_eq(got, want, n);
	n = make(got, EXPRESS_BARE, EXPRESS_KEY_DATA_I, whole, HEADER, whole + HEADER, sizeof(whole) - HEADER);
	ck_assert_uint_eq(n, example("bare", want));
	ck_assert_mem_eq(got, want, n);
	express_feedback_put(head, &f);
	n = make(got, EXPRESS_FEEDBACK, EXPRESS_KEY_FEEDBACK_R, head, sizeof(head), NULL, 0);
	ck_assert_uint_eq(n, example("feedback", want));
	ck_assert_mem_eq(got, want, n);
}
END_TEST

START_TEST(headers_refused)
{
	struct express_header h;
	uint8_t p[EXPRESS_OVERHEAD + 40] = { 0x20, [14] = 40 };

	ck_assert(express_header_get(&h, p, sizeof(p)));
	for (size_t len = 0; len < sizeof(p); len++)
		ck_assert_msg(!express_header_get(&h, p, len), "%zu", len);
	p[14] = 39;
	ck_assert(!express_header_get(&h, p, sizeof(p)));	/* something behind the tag */
	p[0] = 0x23;						/* which BARE may have */
	ck_assert(express_header_get(&h, p, sizeof(p)));
	ck_assert_int_eq(h.kind, EXPRESS_BARE);
	ck_assert(h.phase);
	p[14] = 41;
	ck_assert(!express_header_get(&h, p, sizeof(p)));
	p[13] = 0xff;
	ck_assert(!express_header_get(&h, p, sizeof(p)));
	p[13] = 0;
	p[14] = 40;
	for (unsigned first = 0; first < 256; first++) {
		p[0] = (uint8_t)first;
		ck_assert_msg(express_header_get(&h, p, sizeof(p)) == (first >= 0x20 && first <= 0x25), "%02x", first);
	}
}
END_TEST

static int
walk(enum express_kind kind, const uint8_t *head, size_t head_len, const uint8_t *rest, size_t rest_len, unsigned *frames)
{
	struct express_cursor cur = { kind, head, rest, head_len, rest_len };
	struct frame_data d;
	int rv;

	for (*frames = 0; (rv = express_next(&cur, &d)) == 1; ++*frames) {
		ck_assert_uint_eq(d.payload_len, 6);
		ck_assert_mem_eq(d.payload, "packet", 6);
		ck_assert_uint_eq(d.seq, 1);
	}
	return rv;
}

START_TEST(frames)
{
	uint8_t two[2 * sizeof(whole)], heads[2 * HEADER];
	const uint8_t *pay = (const uint8_t *)"packetpacket";
	uint8_t reliable[] = { 0x08, 0x08, 2, 1, 'p', 'a', 'c', 'k', 'e', 't' };
	unsigned n;

	memcpy(two, whole, sizeof(whole));
	memcpy(two + sizeof(whole), whole, sizeof(whole));
	memcpy(heads, whole, HEADER);
	memcpy(heads + HEADER, whole, HEADER);
	ck_assert_int_eq(walk(EXPRESS_WHOLE, two, sizeof(two), NULL, 0, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(walk(EXPRESS_BARE, heads, sizeof(heads), pay, 12, &n), 0);
	ck_assert_uint_eq(n, 2);
	for (size_t len = 1; len < sizeof(two); len++)
		if (len != sizeof(whole))
			ck_assert_int_eq(walk(EXPRESS_WHOLE, two, len, NULL, 0, &n), -1);
	for (size_t len = 1; len < sizeof(heads); len++)
		ck_assert_int_eq(walk(EXPRESS_BARE, heads, len, pay, len < HEADER ? 12 : 6, &n), len == HEADER ? 0 : -1);
	for (size_t len = 0; len < 12; len++)
		ck_assert_int_eq(walk(EXPRESS_BARE, heads, sizeof(heads), pay, len, &n), -1);
	ck_assert_int_eq(walk(EXPRESS_BARE, heads, HEADER, pay, 7, &n), -1);	/* a byte that nobody tells of */
	for (size_t len = 0; len < 14; len++)
		ck_assert_int_eq(express_bare_fits(heads, sizeof(heads), len), len == 12);
	ck_assert(express_bare_fits(heads, sizeof(heads) - 1, 12) && express_bare_fits(reliable, 4, 1));
	ck_assert_int_eq(walk(EXPRESS_WHOLE, reliable, sizeof(reliable), NULL, 0, &n), -1);
	ck_assert_int_eq(walk(EXPRESS_BARE, reliable, 4, pay, 6, &n), -1);
	reliable[0] = 0x06;		/* PING has no business here */
	ck_assert_int_eq(walk(EXPRESS_WHOLE, reliable, sizeof(reliable), NULL, 0, &n), -1);
}
END_TEST

START_TEST(feedback_length)
{
	struct express_feedback f;
	uint8_t p[EXPRESS_FEEDBACK_LEN + 1] = { 0 };

	for (size_t len = 0; len <= sizeof(p); len++)
		ck_assert(express_feedback_get(&f, p, len) == (len == EXPRESS_FEEDBACK_LEN));
}
END_TEST

int
main(void)
{
	Suite *su = suite_create("express");
	TCase *tc = tcase_create("form");

	tcase_add_test(tc, examples);
	tcase_add_test(tc, headers_refused);
	tcase_add_test(tc, frames);
	tcase_add_test(tc, feedback_length);
	suite_add_tcase(su, tc);
	return suite_run(su);
}
