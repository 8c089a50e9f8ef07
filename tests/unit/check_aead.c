/* The two ciphers against known answers, and what they refuse. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "crypto/aead.h"
#include "suite.h"

#define VECTORS "tests/unit/vectors/noise_seal.txt"

struct bytes {
	uint8_t	p[2048];
	size_t	len;
};

static void
bytes_read(struct bytes *b, const char *hex)
{
	ck_assert_ptr_nonnull(hex);
	b->len = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
	ck_assert_uint_le(b->len, sizeof(b->p));
	ck_assert_int_eq(hex_decode(b->p, b->len, b->len == 0 ? "" : hex), 0);
}

static struct aead_key *
key_read(enum aead_cipher *cipher, char **p)
{
	const char *name = strsep(p, " ");
	struct bytes k;

	for (*cipher = 0; strcmp(aead_name(*cipher), name) != 0; (*cipher)++)
		ck_assert_int_lt(*cipher, AEAD_COUNT);
	bytes_read(&k, strsep(p, " "));
	ck_assert_uint_eq(k.len, AEAD_KEY_LEN);
	return aead_key_new(*cipher, k.p);
}

/* KEY NONCE AD TEXT SEALED */
static void
seal_line(struct aead_key *k, char *p)
{
	uint64_t nonce = strtoull(strsep(&p, " "), NULL, 10);
	static struct bytes ad, text, sealed;
	static uint8_t buf[2048], other[2048];

	bytes_read(&ad, strsep(&p, " "));
	bytes_read(&text, strsep(&p, " "));
	bytes_read(&sealed, p);
	/* in place, and from one place to another */
	memcpy(buf, text.p, text.len);
	ck_assert_int_eq(aead_seal(k, nonce, ad.p, ad.len, buf, buf, text.len), 0);
	ck_assert_mem_eq(buf, sealed.p, sealed.len);
	ck_assert_int_eq(aead_seal(k, nonce, ad.p, ad.len, other, text.p, text.len), 0);
	ck_assert_mem_eq(other, sealed.p, sealed.len);
	ck_assert_int_eq(aead_open(k, nonce, ad.p, ad.len, buf, buf, sealed.len), 0);
	ck_assert_mem_eq(buf, text.p, text.len);
	ck_assert_int_eq(aead_open(k, nonce, ad.p, ad.len, other, sealed.p, sealed.len), 0);
	ck_assert_mem_eq(other, text.p, text.len);
	ck_assert_int_eq(aead_open(k, nonce + 1, ad.p, ad.len, other, sealed.p, sealed.len), -1);
}

START_TEST(test_vectors)
{
	FILE *f = fopen(VECTORS, "r");
	static char line[8192];
	int seen = 0;

	ck_assert_msg(f != NULL, "%s: run from the top of the tree", VECTORS);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *p = line, *word = strsep(&p, " ");
		enum aead_cipher cipher;
		struct aead_key *k;

		if (word[0] == '#')
			continue;
		p[strcspn(p, "\n")] = '\0';
		k = key_read(&cipher, &p);
		ck_assert_ptr_nonnull(k);
		if (strcmp(word, "seal") == 0) {
			seal_line(k, p);
		} else {
			uint8_t next[AEAD_KEY_LEN];
			struct bytes want;

			bytes_read(&want, p);
			ck_assert_int_eq(aead_rekey(next, k), 0);
			ck_assert_mem_eq(next, want.p, AEAD_KEY_LEN);
		}
		aead_key_free(k);
		seen++;
	}
	fclose(f);
	ck_assert_int_eq(seen, 24);
}
END_TEST

START_TEST(test_lengths)
{
	const uint8_t some[AEAD_KEY_LEN] = { 1 };
	struct aead_key *k = aead_key_new((enum aead_cipher)_i, some);
	uint8_t buf[AEAD_TAG_LEN] = { 0 };

	ck_assert_int_eq(aead_seal(k, 0, NULL, 0, buf, NULL, 0), 0);	/* nothing is a text like any other */
	for (size_t len = 0; len < AEAD_TAG_LEN; len++)
		ck_assert_int_eq(aead_open(k, 0, NULL, 0, NULL, buf, len), -1);
	ck_assert_int_eq(aead_open(k, 0, NULL, 0, NULL, buf, AEAD_TAG_LEN), 0);
	ck_assert_int_eq(aead_open(k, 0, buf, 1, NULL, buf, AEAD_TAG_LEN), -1);
	ck_assert_int_eq(aead_open(k, 0, NULL, 0, buf, buf, SIZE_MAX), -1);
	ck_assert_int_eq(aead_open(k, 0, NULL, SIZE_MAX, NULL, buf, AEAD_TAG_LEN), -1);
	ck_assert_int_eq(aead_seal(k, 0, NULL, 0, buf, buf, AEAD_LEN_MAX + 1), -1);
	ck_assert_int_eq(aead_seal(k, 0, buf, SIZE_MAX, buf, NULL, 0), -1);
	aead_key_free(k);
}
END_TEST

START_TEST(test_preferred)
{
	static char line[8192];
	FILE *f = fopen("/proc/cpuinfo", "r");
	bool aes = false;
	uint8_t some[AEAD_KEY_LEN] = { 1 };

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if ((strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0) && strstr(line, " aes ") != NULL)
			aes = true;
	fclose(f);
	ck_assert_int_eq(aead_preferred(), aes ? AEAD_AESGCM : AEAD_CHACHAPOLY);
	ck_assert_str_eq(aead_name(AEAD_COUNT), "unknown");
	ck_assert_ptr_null(aead_key_new(AEAD_COUNT, some));
	aead_key_free(NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("aead");
	TCase *t = tcase_create("aead");

	tcase_add_test(t, test_vectors);
	tcase_add_loop_test(t, test_lengths, 0, AEAD_COUNT);
	tcase_add_test(t, test_preferred);
	suite_add_tcase(s, t);
	return suite_run(s);
}
