/* Ed25519 against its vectors, SHA-256, and the small helpers. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "crypto/crypto.h"
#include "suite.h"

#define VECTORS "tests/unit/vectors/ed25519.txt"
#define FIELDS 4
#define FIELD_MAX 128

/* One line: its first word, up to four hex fields, and the note. */
struct vector {
	char	word[8];
	uint8_t	field[FIELDS][FIELD_MAX];
	size_t	len[FIELDS];
	char	note[128];
};

static const struct {
	const char *word;
	int	    fields;
} words[] = {
	{ "sign", 4 }, { "good", 3 }, { "bad", 3 }, { "key", 1 }, { "nokey", 1 }, { "enc", 1 }, { "noenc", 1 },
};

static void
vector_parse(struct vector *v, char *line)
{
	char *p = line, *word = strsep(&p, " ");
	int fields = 0;

	memset(v, 0, sizeof(*v));
	snprintf(v->word, sizeof(v->word), "%s", word);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0)
			fields = words[i].fields;
	ck_assert_msg(fields > 0, "%s: no such word in %s", word, VECTORS);
	for (int i = 0; i < fields; i++) {
		const char *hex = strsep(&p, " ");

		ck_assert_ptr_nonnull(hex);
		v->len[i] = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
		ck_assert_uint_le(v->len[i], FIELD_MAX);
		ck_assert_int_eq(hex_decode(v->field[i], v->len[i], v->len[i] == 0 ? "" : hex), 0);
	}
	snprintf(v->note, sizeof(v->note), "%s", p == NULL ? "" : p);
	v->note[strcspn(v->note, "\n")] = '\0';
}

/* Calls fn for every vector whose word is one of the two; says that there were some. */
static void
each(const char *word, const char *other, void (*fn)(const struct vector *))
{
	FILE *f = fopen(VECTORS, "r");
	struct vector v;
	char line[1024];
	int seen = 0;

	ck_assert_msg(f != NULL, "%s: run from the top of the tree", VECTORS);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[0] == '#')
			continue;
		vector_parse(&v, line);
		if (strcmp(v.word, word) == 0 || strcmp(v.word, other) == 0) {
			fn(&v);
			seen++;
		}
	}
	fclose(f);
	ck_assert_int_gt(seen, 0);
}

static void
sign_one(const struct vector *v)
{
	struct crypto_piece msg = { v->field[3], v->len[3] };
	struct sign_key k;
	uint8_t sig[SIGN_LEN];

	memcpy(k.secret, v->field[0], SIGN_SECRET_LEN);
	ck_assert_int_eq(sign_key_from_secret(&k), 0);
	ck_assert_msg(memcmp(k.public, v->field[1], SIGN_PUBLIC_LEN) == 0, "%s: public key", v->note);
	ck_assert_int_eq(sign_make(sig, &k, &msg, 1), 0);
	ck_assert_msg(memcmp(sig, v->field[2], SIGN_LEN) == 0, "%s: signature", v->note);
	ck_assert_msg(sign_verify(sig, k.public, &msg, 1) == 0, "%s: its own signature does not verify", v->note);
}

START_TEST(test_sign)
{
	each("sign", "", sign_one);
}
END_TEST

static void
verify_one(const struct vector *v)
{
	struct crypto_piece msg = { v->field[2], v->len[2] };
	int want = strcmp(v->word, "good") == 0 ? 0 : -1;

	ck_assert_msg(sign_verify(v->field[1], v->field[0], &msg, 1) == want, "%s: %s", v->word, v->note);
}

START_TEST(test_verify)
{
	each("good", "bad", verify_one);
}
END_TEST

static void
key_one(const struct vector *v)
{
	int want = strcmp(v->word, "key") == 0 ? 0 : -1;

	ck_assert_msg(sign_public_check(v->field[0]) == want, "%s: %s", v->word, v->note);
}

START_TEST(test_public)
{
	each("key", "nokey", key_one);
}
END_TEST

static void
encoding_one(const struct vector *v)
{
	int want = strcmp(v->word, "enc") == 0 ? 0 : -1;

	ck_assert_msg(sign_encoding_check(v->field[0]) == want, "%s: %s", v->word, v->note);
}

START_TEST(test_encoding)
{
	each("enc", "noenc", encoding_one);
}
END_TEST

/* Every bit of a signature, of the key and of the message counts. */
START_TEST(test_every_bit)
{
	uint8_t sig[SIGN_LEN], msg[5] = "bytes";
	struct crypto_piece piece = { msg, sizeof(msg) };
	struct sign_key k;
	struct { uint8_t *p; size_t len; } parts[] = { { sig, SIGN_LEN }, { k.public, SIGN_PUBLIC_LEN }, { msg, 5 } };

	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(sign_make(sig, &k, &piece, 1), 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (size_t bit = 0; bit < parts[i].len * 8; bit++) {
			parts[i].p[bit / 8] ^= 1 << bit % 8;
			ck_assert_msg(sign_verify(sig, k.public, &piece, 1) == -1, "part %zu, bit %zu", i, bit);
			parts[i].p[bit / 8] ^= 1 << bit % 8;
		}
	}
	ck_assert_int_eq(sign_verify(sig, k.public, &piece, 1), 0);
}
END_TEST

START_TEST(test_pieces)
{
	const struct crypto_piece whole = { "fabric", 6 };
	const struct crypto_piece parts[] = { { "fab", 3 }, { NULL, 0 }, { "ric", 3 } };
	uint8_t one[SIGN_LEN], three[SIGN_LEN], h1[HASH_LEN], h3[HASH_LEN];
	struct sign_key k;

	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(sign_make(one, &k, &whole, 1), 0);
	ck_assert_int_eq(sign_make(three, &k, parts, 3), 0);
	ck_assert_mem_eq(one, three, SIGN_LEN);
	ck_assert_int_eq(sign_verify(one, k.public, parts, 3), 0);
	ck_assert_int_eq(sign_verify(one, k.public, parts, 2), -1);
	crypto_hash(h1, &whole, 1);
	crypto_hash(h3, parts, 3);
	ck_assert_mem_eq(h1, h3, HASH_LEN);
}
END_TEST

START_TEST(test_bound)
{
	uint8_t *big = calloc(1, SIGN_MESSAGE_MAX + 1), sig[SIGN_LEN];
	struct crypto_piece pieces[] = { { big, SIGN_MESSAGE_MAX }, { big, 0 }, { big, SIZE_MAX } };
	struct sign_key k;

	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(sign_make(sig, &k, pieces, 2), 0);
	ck_assert_int_eq(sign_verify(sig, k.public, pieces, 2), 0);
	pieces[1].len = 1;
	ck_assert_int_eq(sign_make(sig, &k, pieces, 2), -1);
	ck_assert_int_eq(sign_verify(sig, k.public, pieces, 2), -1);
	pieces[1].len = 0;
	ck_assert_int_eq(sign_make(sig, &k, pieces, 3), -1);	/* a sum that would wrap */
	free(big);
}
END_TEST

/* Two signatures of one message under different public halves would give the secret away. */
START_TEST(test_halves)
{
	const struct crypto_piece msg = { "x", 1 };
	struct sign_key a, b;
	uint8_t sig[SIGN_LEN];

	ck_assert_int_eq(sign_key_generate(&a), 0);
	ck_assert_int_eq(sign_key_generate(&b), 0);
	ck_assert_mem_ne(a.secret, b.secret, SIGN_SECRET_LEN);
	memcpy(a.public, b.public, SIGN_PUBLIC_LEN);
	ck_assert_int_eq(sign_make(sig, &a, &msg, 1), -1);
}
END_TEST

/* FIPS 180-4's examples. */
START_TEST(test_hash)
{
	static const struct { const char *msg, *hex; } t[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct crypto_piece p = { t[i].msg, strlen(t[i].msg) };
		char hex[2 * HASH_LEN + 1];
		uint8_t h[HASH_LEN];

		crypto_hash(h, &p, 1);
		ck_assert_str_eq(hex_encode(hex, h, sizeof(h)), t[i].hex);
	}
}
END_TEST

START_TEST(test_helpers)
{
	uint8_t a[1000], b[1000], zero[1000] = { 0 };

	crypto_init();
	crypto_random(a, sizeof(a));
	crypto_random(b, sizeof(b));
	ck_assert_mem_ne(a, b, 32);
	ck_assert_mem_ne(a + 968, b + 968, 32);
	memcpy(b, a, sizeof(b));
	ck_assert_int_eq(crypto_memcmp(a, b, sizeof(a)), 0);
	for (size_t i = 0; i < sizeof(b); i += 111) {
		b[i] ^= 0x80;
		ck_assert_int_ne(crypto_memcmp(a, b, sizeof(a)), 0);
		b[i] ^= 0x80;
	}
	ck_assert_int_eq(crypto_memcmp(a, zero, 0), 0);
	crypto_wipe(a, sizeof(a));
	ck_assert_mem_eq(a, zero, sizeof(a));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("crypto");
	TCase *t = tcase_create("crypto");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_sign);
	tcase_add_test(t, test_verify);
	tcase_add_test(t, test_public);
	tcase_add_test(t, test_encoding);
	tcase_add_test(t, test_every_bit);
	tcase_add_test(t, test_pieces);
	tcase_add_test(t, test_bound);
	tcase_add_test(t, test_halves);
	tcase_add_test(t, test_hash);
	tcase_add_test(t, test_helpers);
	suite_add_tcase(s, t);
	return suite_run(s);
}
