/*
 * Sealed messages to one key: public vectors of Noise N, each way to fail, bounds. `check_box FILE...' runs further vector
 * files of the same form instead of ours.
 */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "crypto/box.h"
#include "crypto/crypto.h"
#include "suite.h"

#define BYTES_MAX 512
#define PROLOGUE "fabric test"

struct bytes {
	uint8_t	p[BYTES_MAX];
	size_t	len;
};

struct vector {
	bool	     seen;
	struct bytes resp_static, init_e, prologue, payload, message;
};

static const char *const our_files[] = { "tests/unit/vectors/noise_n.txt", NULL };
static const char *const *files = our_files;

static void
vector_line(struct vector *v, char *line)
{
	char *value = line, *key = strsep(&value, "=");
	const struct {
		const char   *key;
		struct bytes *to;
	} fields[] = {
		{ "resp_static", &v->resp_static }, { "gen_init_ephemeral", &v->init_e }, { "prologue", &v->prologue },
		{ "msg_0_payload", &v->payload }, { "msg_0_ciphertext", &v->message },
	};

	ck_assert_ptr_nonnull(value);
	if (strcmp(key, "handshake") == 0) {
		ck_assert_str_eq(value, "Noise_N_25519_AESGCM_SHA256");
		v->seen = true;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(key, fields[i].key) == 0) {
			fields[i].to->len = strlen(value) / 2;
			ck_assert_uint_le(fields[i].to->len, BYTES_MAX);
			ck_assert_int_eq(hex_decode(fields[i].to->p, fields[i].to->len, value), 0);
		}
}

static void
key_of(struct noise_key *k, const struct bytes *secret)
{
	ck_assert_uint_eq(secret->len, NOISE_DH_LEN);
	memcpy(k->secret, secret->p, NOISE_DH_LEN);
	ck_assert_int_eq(noise_key_from_secret(k), 0);
}

/* Sealed with its ephemeral it is the vector's message; opened, its payload. */
static void
vector_is(const struct vector *v)
{
	struct noise_key to, e;
	uint8_t out[BYTES_MAX + BOX_OVERHEAD];

	key_of(&to, &v->resp_static);
	key_of(&e, &v->init_e);
	ck_assert_int_eq(box_seal_with(out, sizeof(out), to.public, v->prologue.p, v->prologue.len, v->payload.p,
	    v->payload.len, &e), (int)v->message.len);
	ck_assert_mem_eq(out, v->message.p, v->message.len);
	ck_assert_int_eq(box_open(out, v->payload.len, &to, v->prologue.p, v->prologue.len, v->message.p, v->message.len),
	    (int)v->payload.len);
	ck_assert_mem_eq(out, v->payload.p, v->payload.len);
}

START_TEST(test_vectors)
{
	static struct vector v;
	char line[2 * BYTES_MAX + 64];
	size_t seen = 0;

	for (size_t i = 0; files[i] != NULL; i++) {
		FILE *f = fopen(files[i], "r");

		ck_assert_msg(f != NULL, "%s: run from the top of the tree", files[i]);
		memset(&v, 0, sizeof(v));
		for (bool more = true; more;) {
			more = fgets(line, sizeof(line), f) != NULL;
			if (more && line[0] == '#')
				continue;
			line[strcspn(line, "\n")] = '\0';
			if (more && line[0] != '\0') {
				vector_line(&v, line);
			} else if (v.seen) {
				vector_is(&v);
				memset(&v, 0, sizeof(v));
				seen++;
			}
		}
		fclose(f);
	}
	ck_assert_uint_ge(seen, files == our_files ? 4 : 1);
}
END_TEST

/* --- a box of ours ----------------------------------------------------------- */

static struct noise_key self;
static uint8_t box[256];
static size_t box_len;
static const char message[] = "for your eyes";
#define MESSAGE_LEN (sizeof(message) - 1)

static void
setup(void)
{
	int n;

	ck_assert_int_eq(noise_key_generate(&self), 0);
	n = box_seal(box, sizeof(box), self.public, PROLOGUE, sizeof(PROLOGUE), message, MESSAGE_LEN);
	ck_assert_int_eq(n, MESSAGE_LEN + BOX_OVERHEAD);
	box_len = (size_t)n;
}

/* It is refused with this error, and nothing of the message comes out. */
static void
refused(int error, const struct noise_key *k, const char *prologue, size_t prologue_len, const uint8_t *p, size_t len,
    const char *what, size_t at)
{
	uint8_t out[256] = { 0 }, zeros[256] = { 0 };
	int rv = box_open(out, sizeof(out), k, prologue, prologue_len, p, len);

	ck_assert_msg(rv == error, "%s %zu: %s", what, at, noise_strerror(rv));
	ck_assert_mem_eq(out, zeros, sizeof(out));
}

START_TEST(test_opened)
{
	static const size_t lens[] = { 0, 1, 16, 1024, NOISE_MESSAGE_MAX - BOX_OVERHEAD };
	static uint8_t msg[NOISE_MESSAGE_MAX], sealed[NOISE_MESSAGE_MAX], out[NOISE_MESSAGE_MAX];

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		int n;

		crypto_random(msg, lens[i]);
		n = box_seal(sealed, lens[i] + BOX_OVERHEAD, self.public, NULL, 0, msg, lens[i]);
		ck_assert_int_eq(n, (int)(lens[i] + BOX_OVERHEAD));
		ck_assert_int_eq(box_open(out, lens[i], &self, NULL, 0, sealed, (size_t)n), (int)lens[i]);
		ck_assert_mem_eq(out, msg, lens[i]);
	}
}
END_TEST

/* No two are alike, though they say the same to the same key. */
START_TEST(test_ephemeral)
{
	uint8_t again[256];

	ck_assert_int_eq(box_seal(again, sizeof(again), self.public, PROLOGUE, sizeof(PROLOGUE), message, MESSAGE_LEN),
	    (int)box_len);
	ck_assert_mem_ne(again, box, NOISE_DH_LEN);
	ck_assert_mem_ne(again + NOISE_DH_LEN, box + NOISE_DH_LEN, MESSAGE_LEN);
}
END_TEST

/* The message does not stand in the box, nor the receiver's key. */
START_TEST(test_sealed)
{
	ck_assert_ptr_null(memmem(box, box_len, message, MESSAGE_LEN));
	ck_assert_ptr_null(memmem(box, box_len, self.public, NOISE_DH_LEN));
}
END_TEST

START_TEST(test_tampered)
{
	uint8_t longer[sizeof(box) + 1] = { 0 };

	for (size_t i = 0; i < box_len * 8; i++) {
		box[i / 8] ^= (uint8_t)(1 << i % 8);
		refused(NOISE_E_TAMPERED, &self, PROLOGUE, sizeof(PROLOGUE), box, box_len, "bit", i);
		box[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i < box_len; i++)
		refused(i < BOX_OVERHEAD ? NOISE_E_SHORT : NOISE_E_TAMPERED, &self, PROLOGUE, sizeof(PROLOGUE), box, i,
		    "length", i);
	memcpy(longer, box, box_len);
	refused(NOISE_E_TAMPERED, &self, PROLOGUE, sizeof(PROLOGUE), longer, box_len + 1, "length", box_len + 1);
}
END_TEST

START_TEST(test_different)
{
	struct noise_key other;

	ck_assert_int_eq(noise_key_generate(&other), 0);
	refused(NOISE_E_TAMPERED, &other, PROLOGUE, sizeof(PROLOGUE), box, box_len, "another key", 0);
	/* the right secret with another public half: the receiver's key is hashed in */
	memcpy(other.secret, self.secret, NOISE_DH_LEN);
	refused(NOISE_E_TAMPERED, &other, PROLOGUE, sizeof(PROLOGUE), box, box_len, "another public half", 0);
	refused(NOISE_E_TAMPERED, &self, PROLOGUE, sizeof(PROLOGUE) - 1, box, box_len, "prologue: shorter", 0);
	refused(NOISE_E_TAMPERED, &self, "Fabric test", sizeof(PROLOGUE), box, box_len, "prologue: other", 0);
	refused(NOISE_E_TAMPERED, &self, NULL, 0, box, box_len, "prologue: none", 0);
}
END_TEST

/* Points whose order divides 8: whoever knows only public keys would know the secret. */
START_TEST(test_small_order)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000080",
	};
	uint8_t out[256], zeros[sizeof(out)] = { 0 }, point[NOISE_DH_LEN];

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		ck_assert_int_eq(hex_decode(point, sizeof(point), points[i]), 0);
		memset(out, 0xff, MESSAGE_LEN + BOX_OVERHEAD);
		ck_assert_int_eq(box_seal(out, sizeof(out), point, NULL, 0, message, MESSAGE_LEN), NOISE_E_DH);
		ck_assert_mem_eq(out, zeros, MESSAGE_LEN + BOX_OVERHEAD);
		memcpy(box, point, sizeof(point));
		refused(NOISE_E_DH, &self, PROLOGUE, sizeof(PROLOGUE), box, box_len, "ephemeral", i);
	}
}
END_TEST

START_TEST(test_room)
{
	static uint8_t big[NOISE_MESSAGE_MAX + 1], out[NOISE_MESSAGE_MAX + 1 + BOX_OVERHEAD];

	ck_assert_int_eq(box_seal(out, MESSAGE_LEN + BOX_OVERHEAD - 1, self.public, NULL, 0, message, MESSAGE_LEN),
	    NOISE_E_ROOM);
	ck_assert_int_eq(box_seal(out, sizeof(out), self.public, NULL, 0, big, NOISE_MESSAGE_MAX - BOX_OVERHEAD + 1),
	    NOISE_E_ROOM);
	ck_assert_int_eq(box_seal(out, sizeof(out), self.public, NULL, 0, big, SIZE_MAX), NOISE_E_ROOM);
	ck_assert_int_eq(box_open(out, MESSAGE_LEN - 1, &self, PROLOGUE, sizeof(PROLOGUE), box, box_len), NOISE_E_ROOM);
	ck_assert_int_eq(box_open(out, sizeof(out), &self, NULL, 0, big, NOISE_MESSAGE_MAX + 1), NOISE_E_SHORT);
}
END_TEST

static Suite *
box_suite(void)
{
	Suite *s = suite_create("box");
	TCase *t = tcase_create("box");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, test_vectors);
	if (files == our_files) {
		tcase_add_test(t, test_opened);
		tcase_add_test(t, test_ephemeral);
		tcase_add_test(t, test_sealed);
		tcase_add_test(t, test_tampered);
		tcase_add_test(t, test_different);
		tcase_add_test(t, test_small_order);
		tcase_add_test(t, test_room);
	}
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char *argv[])
{
	if (argc > 1)
		files = (const char *const *)argv + 1;
	return suite_run(box_suite());
}
