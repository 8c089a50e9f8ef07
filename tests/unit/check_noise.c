/*
 * The Noise IK handshake: public vectors, in both roles; each way to fail; states. `check_noise FILE...' runs further
 * vector files of the same form instead of ours.
 */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "crypto/crypto.h"
#include "crypto/noise.h"
#include "crypto/seal.h"
#include "suite.h"

#define MSGS_MAX 10
#define BYTES_MAX 4096

struct bytes {
	uint8_t	p[BYTES_MAX];
	size_t	len;
};

struct handshake {
	enum aead_cipher cipher;
	struct bytes	 init_static, resp_static, init_e, resp_e, prologue, hash;
	struct bytes	 payload[MSGS_MAX], message[MSGS_MAX];
	size_t		 n;
};

static const char *const our_files[] = { "tests/unit/vectors/noise_ik.txt", "tests/unit/vectors/noise_more.txt", NULL };
static const char *const *files = our_files;

static const enum aead_cipher ciphers[] = { AEAD_AESGCM, AEAD_CHACHAPOLY };
#define add_each_cipher(t, test) tcase_add_loop_test(t, test, 0, 2)

static void
bytes_read(struct bytes *b, const char *hex)
{
	b->len = strlen(hex) / 2;
	ck_assert_uint_le(b->len, sizeof(b->p));
	ck_assert_int_eq(hex_decode(b->p, b->len, hex), 0);
}

static void
handshake_name(struct handshake *v, const char *name)
{
	memset(v, 0, sizeof(*v));
	for (v->cipher = 0; v->cipher < AEAD_COUNT; v->cipher++)
		if (strcmp(name, noise_protocol_name(v->cipher)) == 0)
			return;
	ck_abort_msg("%s is not for here", name);
}

static void
handshake_line(struct handshake *v, char *line)
{
	char *value = line, *key = strsep(&value, "=");
	const struct {
		const char   *key;
		struct bytes *to;
	} fields[] = {
		{ "init_static", &v->init_static }, { "resp_static", &v->resp_static },
		{ "gen_init_ephemeral", &v->init_e }, { "gen_resp_ephemeral", &v->resp_e },
		{ "prologue", &v->prologue }, { "handshake_hash", &v->hash },
	};
	unsigned i;
	char what[16];

	ck_assert_ptr_nonnull(value);
	if (strcmp(key, "handshake") == 0) {
		handshake_name(v, value);
		return;
	}
	if (sscanf(key, "msg_%u_%15s", &i, what) == 2) {
		ck_assert_uint_lt(i, MSGS_MAX);
		bytes_read(strcmp(what, "payload") == 0 ? &v->payload[i] : &v->message[i], value);
		v->n = i + 1;
		return;
	}
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(key, fields[i].key) == 0) {
			bytes_read(fields[i].to, value);
			return;
		}
	ck_abort_msg("%s?", key);
}

/* Calls fn for every vector of the files. */
static void
each(void (*fn)(const struct handshake *))
{
	static struct handshake v;
	static char line[2 * BYTES_MAX + 64];
	size_t seen = 0;

	for (size_t i = 0; files[i] != NULL; i++) {
		FILE *f = fopen(files[i], "r");

		ck_assert_msg(f != NULL, "%s: run from the top of the tree", files[i]);
		v.n = 0;
		for (bool more = true; more;) {
			more = fgets(line, sizeof(line), f) != NULL;
			if (more && line[0] == '#')
				continue;
			line[strcspn(line, "\n")] = '\0';
			if (more && line[0] != '\0') {
				handshake_line(&v, line);
			} else if (v.n > 0) {
				fn(&v);
				v.n = 0;
				seen++;
			}
		}
		fclose(f);
	}
	ck_assert_uint_ge(seen, files == our_files ? 14 : 1);
}

static void
key_of(struct noise_key *k, const struct bytes *secret)
{
	ck_assert_uint_eq(secret->len, NOISE_DH_LEN);
	memcpy(k->secret, secret->p, NOISE_DH_LEN);
	ck_assert_int_eq(noise_key_from_secret(k), 0);
}

static struct noise *
vector_side(const struct handshake *v, enum noise_role role)
{
	struct noise_key si, sr;
	struct noise *n;

	key_of(&si, &v->init_static);
	key_of(&sr, &v->resp_static);
	if (role == NOISE_INITIATOR)
		n = noise_new(v->cipher, role, &si, sr.public, v->prologue.p, v->prologue.len, v->init_e.p);
	else
		n = noise_new(v->cipher, role, &sr, NULL, v->prologue.p, v->prologue.len, v->resp_e.p);
	ck_assert_ptr_nonnull(n);
	return n;
}

static void
write_is(struct noise *n, const struct bytes *payload, const struct bytes *message)
{
	uint8_t out[BYTES_MAX];

	ck_assert_int_eq(noise_write(n, out, sizeof(out), payload->p, payload->len), (int)message->len);
	ck_assert_mem_eq(out, message->p, message->len);
}

static void
read_is(struct noise *n, const struct bytes *message, const struct bytes *payload)
{
	uint8_t out[BYTES_MAX];

	ck_assert_int_eq(noise_read(n, out, payload->len, message->p, message->len), (int)payload->len);
	ck_assert_mem_eq(out, payload->p, payload->len);
}

/* The messages after the handshake, in turns: those of `role` are sealed, the others opened. */
static void
transport_is(const struct handshake *v, enum noise_role role, const uint8_t *tx_key, const uint8_t *rx_key)
{
	struct seal_tx *tx = seal_tx_new(v->cipher, tx_key, NULL, 0);
	struct seal_rx *rx = seal_rx_new(v->cipher, rx_key, NULL, true);
	uint8_t buf[BYTES_MAX];

	for (size_t i = 2; i < v->n; i++) {
		bool ours = (i % 2 == 0) == (role == NOISE_INITIATOR);
		const struct bytes *in = ours ? &v->payload[i] : &v->message[i];
		const struct bytes *out = ours ? &v->message[i] : &v->payload[i];
		struct seal_pkt pkt = { .data = buf, .len = in->len };

		memcpy(buf, in->p, in->len);
		pkt.number = seal_rx_next(rx);
		ck_assert_uint_eq(ours ? seal_packets(tx, &pkt, 1, 0) : seal_open(rx, &pkt, 1, 0), 1);
		ck_assert_uint_eq(pkt.len, out->len);
		ck_assert_mem_eq(buf, out->p, out->len);
	}
	seal_tx_free(tx);
	seal_rx_free(rx);
}

static void
split_is(struct noise *n, const struct handshake *v, enum noise_role role)
{
	uint8_t tx[AEAD_KEY_LEN], rx[AEAD_KEY_LEN], hash[NOISE_HASH_LEN];

	ck_assert_int_eq(noise_split(n, tx, rx, hash), NOISE_OK);
	if (v->hash.len > 0)
		ck_assert_mem_eq(hash, v->hash.p, NOISE_HASH_LEN);
	transport_is(v, role, tx, rx);
	noise_free(n);
}

static void
initiator_one(const struct handshake *v)
{
	struct noise *n = vector_side(v, NOISE_INITIATOR);

	write_is(n, &v->payload[0], &v->message[0]);
	read_is(n, &v->message[1], &v->payload[1]);
	split_is(n, v, NOISE_INITIATOR);
}

START_TEST(test_initiator)
{
	each(initiator_one);
}
END_TEST

static void
responder_one(const struct handshake *v)
{
	struct noise *n = vector_side(v, NOISE_RESPONDER);
	struct noise_key si;

	key_of(&si, &v->init_static);
	ck_assert_ptr_null(noise_remote(n));
	read_is(n, &v->message[0], &v->payload[0]);
	ck_assert_mem_eq(noise_remote(n), si.public, NOISE_DH_LEN);
	write_is(n, &v->payload[1], &v->message[1]);
	split_is(n, v, NOISE_RESPONDER);
}

START_TEST(test_responder)
{
	each(responder_one);
}
END_TEST

/* --- X25519 ---------------------------------------------------------------- */

static void
hex32(uint8_t out[32], const char *hex)
{
	ck_assert_int_eq(hex_decode(out, 32, hex), 0);
}

/* RFC 7748, section 5.2, both (the second point has its top bit set); and two ends come to the same. */
START_TEST(test_dh)
{
	static const struct {
		const char *secret, *public, *out;
	} v[] = {
		{ "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		  "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		  "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
		{ "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		  "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		  "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
	};
	uint8_t secret[32], public[32], want[32], out[32];
	struct noise_key a, b;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		hex32(secret, v[i].secret);
		hex32(public, v[i].public);
		hex32(want, v[i].out);
		ck_assert_int_eq(noise_dh(out, secret, public), NOISE_OK);
		ck_assert_mem_eq(out, want, 32);
	}
	ck_assert_int_eq(noise_key_generate(&a), 0);
	ck_assert_int_eq(noise_key_generate(&b), 0);
	ck_assert_int_eq(noise_dh(out, a.secret, b.public), NOISE_OK);
	ck_assert_int_eq(noise_dh(want, b.secret, a.public), NOISE_OK);
	ck_assert_mem_eq(out, want, 32);
}
END_TEST

/* The points whose order divides 8, on the curve and its twist, reduced and not, with and without the top bit. */
static const char *const small_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};
#define SMALL_ORDERS (sizeof(small_order) / sizeof(small_order[0]))

START_TEST(test_dh_small_order)
{
	struct noise_key k;
	uint8_t point[32], out[32];

	ck_assert_int_eq(noise_key_generate(&k), 0);
	for (size_t i = 0; i < SMALL_ORDERS; i++) {
		hex32(point, small_order[i]);
		ck_assert_msg(noise_dh(out, k.secret, point) == NOISE_E_DH, "%s", small_order[i]);
	}
}
END_TEST

/* --- two ends -------------------------------------------------------------- */

#define PROLOGUE "fabric test"

struct ends {
	struct noise_key si, sr;
	struct noise *i, *r;
};

static void
ends_open(struct ends *e, enum aead_cipher cipher)
{
	ck_assert_int_eq(noise_key_generate(&e->si), 0);
	ck_assert_int_eq(noise_key_generate(&e->sr), 0);
	e->i = noise_new(cipher, NOISE_INITIATOR, &e->si, e->sr.public, PROLOGUE, sizeof(PROLOGUE), NULL);
	e->r = noise_new(cipher, NOISE_RESPONDER, &e->sr, NULL, PROLOGUE, sizeof(PROLOGUE), NULL);
	ck_assert(e->i != NULL && e->r != NULL);
}

static void
ends_close(struct ends *e)
{
	noise_free(e->i);
	noise_free(e->r);
}

/* A responder as e->r was at first. */
static struct noise *
responder(const struct ends *e, enum aead_cipher cipher)
{
	return noise_new(cipher, NOISE_RESPONDER, &e->sr, NULL, PROLOGUE, sizeof(PROLOGUE), NULL);
}

static int
write_text(struct noise *n, uint8_t *out, size_t size, const char *text)
{
	return noise_write(n, out, size, text, strlen(text));
}

START_TEST(test_both_ends)
{
	static const size_t lens[] = { 0, 1, 16, 500, NOISE_MESSAGE_MAX - NOISE_1_OVERHEAD };
	static uint8_t payload[NOISE_MESSAGE_MAX], message[NOISE_MESSAGE_MAX], got[NOISE_MESSAGE_MAX];
	uint8_t k[4][AEAD_KEY_LEN], hash[2][NOISE_HASH_LEN];

	for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++) {
		struct ends e;
		int n;

		ends_open(&e, ciphers[_i]);
		crypto_random(payload, lens[l]);
		n = noise_write(e.i, message, sizeof(message), payload, lens[l]);
		ck_assert_int_eq(n, (int)(lens[l] + NOISE_1_OVERHEAD));
		ck_assert_int_eq(noise_read(e.r, got, lens[l], message, (size_t)n), (int)lens[l]);
		ck_assert_mem_eq(got, payload, lens[l]);
		ck_assert_mem_eq(noise_remote(e.r), e.si.public, NOISE_DH_LEN);
		ck_assert_mem_eq(noise_remote(e.i), e.sr.public, NOISE_DH_LEN);
		n = noise_write(e.r, message, sizeof(message), payload, lens[l]);
		ck_assert_int_eq(n, (int)(lens[l] + NOISE_2_OVERHEAD));
		ck_assert_int_eq(noise_read(e.i, got, lens[l], message, (size_t)n), (int)lens[l]);
		ck_assert_mem_eq(got, payload, lens[l]);
		ck_assert_int_eq(noise_split(e.i, k[0], k[1], hash[0]), NOISE_OK);
		ck_assert_int_eq(noise_split(e.r, k[2], k[3], hash[1]), NOISE_OK);
		ck_assert_mem_eq(k[0], k[3], AEAD_KEY_LEN);
		ck_assert_mem_eq(k[1], k[2], AEAD_KEY_LEN);
		ck_assert_mem_ne(k[0], k[1], AEAD_KEY_LEN);
		ck_assert_mem_eq(hash[0], hash[1], NOISE_HASH_LEN);
		ends_close(&e);
	}
}
END_TEST

/* No two first messages are alike: the ephemeral is new each time. */
START_TEST(test_ephemeral)
{
	uint8_t a[256], b[256];
	struct ends e;
	struct noise *again;

	ends_open(&e, ciphers[_i]);
	again = noise_new(ciphers[_i], NOISE_INITIATOR, &e.si, e.sr.public, PROLOGUE, sizeof(PROLOGUE), NULL);
	ck_assert_int_gt(write_text(e.i, a, sizeof(a), "same"), 0);
	ck_assert_int_gt(write_text(again, b, sizeof(b), "same"), 0);
	ck_assert_mem_ne(a, b, NOISE_DH_LEN);
	ck_assert_mem_ne(a + NOISE_DH_LEN, b + NOISE_DH_LEN, NOISE_1_OVERHEAD - NOISE_DH_LEN);
	noise_free(again);
	ends_close(&e);
}
END_TEST

/* --- tampering ------------------------------------------------------------- */

/* n refuses the message with the error, gives nothing away, and is over. */
static void
refuses(struct noise *n, const uint8_t *message, size_t len, int error, const char *what, size_t at)
{
	uint8_t out[512], copy[512];
	uint8_t zeros[512] = { 0 };
	int rv;

	ck_assert_uint_le(len, sizeof(copy));
	memcpy(copy, message, len);
	memset(out, 0, sizeof(out));
	rv = noise_read(n, out, sizeof(out), copy, len);
	ck_assert_msg(rv == error, "%s %zu: %s", what, at, noise_strerror(rv));
	ck_assert_mem_eq(out, zeros, sizeof(out));
	ck_assert_int_eq(noise_read(n, out, sizeof(out), message, len), NOISE_E_STATE);
	ck_assert_int_eq(noise_write(n, out, sizeof(out), "", 0), NOISE_E_STATE);
	ck_assert_int_eq(noise_split(n, copy, copy + 32, NULL), NOISE_E_STATE);
	ck_assert_ptr_null(noise_remote(n));
}

START_TEST(test_tampered_1)
{
	uint8_t m[256], zeros[NOISE_DH_LEN] = { 0 };
	struct ends e;
	struct noise *r;
	int len;

	ends_open(&e, ciphers[_i]);
	len = write_text(e.i, m, sizeof(m), "first payload");
	ck_assert_int_gt(len, 0);
	for (size_t i = 0; i < (size_t)len * 8; i++) {
		m[i / 8] ^= (uint8_t)(1 << i % 8);
		r = responder(&e, ciphers[_i]);
		refuses(r, m, (size_t)len, NOISE_E_TAMPERED, "bit", i);
		noise_free(r);
		m[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i <= (size_t)len + 1; i++) {
		if (i == (size_t)len)
			continue;
		r = responder(&e, ciphers[_i]);
		refuses(r, m, i, i < NOISE_1_OVERHEAD ? NOISE_E_SHORT : NOISE_E_TAMPERED, "length", i);
		noise_free(r);
	}
	memcpy(m, zeros, sizeof(zeros));
	refuses(e.r, m, (size_t)len, NOISE_E_DH, "zero", 0);
	ends_close(&e);
}
END_TEST

/* An initiator that waits for the second message, made anew from the same ephemeral. */
static struct noise *
waiting(const struct ends *e, enum aead_cipher cipher, const uint8_t ephemeral[NOISE_DH_LEN], uint8_t *m, int *len)
{
	struct noise *n = noise_new(cipher, NOISE_INITIATOR, &e->si, e->sr.public, PROLOGUE, sizeof(PROLOGUE), ephemeral);

	ck_assert_ptr_nonnull(n);
	*len = write_text(n, m, 256, "first payload");
	ck_assert_int_gt(*len, 0);
	return n;
}

START_TEST(test_tampered_2)
{
	uint8_t ephemeral[NOISE_DH_LEN], m1[256], m2[256], m[512], out[256];
	struct ends e;
	struct noise *n;
	int len1, len2;

	ends_open(&e, ciphers[_i]);
	crypto_random(ephemeral, sizeof(ephemeral));
	noise_free(waiting(&e, ciphers[_i], ephemeral, m1, &len1));
	ck_assert_int_gt(noise_read(e.r, out, sizeof(out), m1, (size_t)len1), 0);
	len2 = write_text(e.r, m2, sizeof(m2), "second payload");
	ck_assert_int_gt(len2, 0);

	n = waiting(&e, ciphers[_i], ephemeral, m, &len1);
	ck_assert_int_gt(noise_read(n, out, sizeof(out), m2, (size_t)len2), 0);
	noise_free(n);
	for (size_t i = 0; i < (size_t)len2 * 8; i++) {
		n = waiting(&e, ciphers[_i], ephemeral, m, &len1);
		memcpy(m, m2, (size_t)len2);
		m[i / 8] ^= (uint8_t)(1 << i % 8);
		refuses(n, m, (size_t)len2, NOISE_E_TAMPERED, "bit", i);
		noise_free(n);
	}
	for (size_t i = 0; i <= (size_t)len2 + 1; i++) {
		if (i == (size_t)len2)
			continue;
		n = waiting(&e, ciphers[_i], ephemeral, m, &len1);
		refuses(n, m2, i, i < NOISE_2_OVERHEAD ? NOISE_E_SHORT : NOISE_E_TAMPERED, "length", i);
		noise_free(n);
	}
	ends_close(&e);
}
END_TEST

/* --- what must be the same at both ends ------------------------------------- */

static void
responder_refuses(struct noise *r, const uint8_t *m, int len)
{
	ck_assert_ptr_nonnull(r);
	ck_assert_int_gt(len, 0);
	refuses(r, m, (size_t)len, NOISE_E_TAMPERED, "first message", 0);
	noise_free(r);
}

START_TEST(test_different)
{
	enum aead_cipher c = ciphers[_i];
	uint8_t m[256];
	struct ends e, other;
	int len;

	ends_open(&e, c);
	ends_open(&other, c);
	len = write_text(e.i, m, sizeof(m), "first payload");
	/* another static key, cipher, prologue (shorter, other, none) */
	responder_refuses(noise_new(c, NOISE_RESPONDER, &other.sr, NULL, PROLOGUE, sizeof(PROLOGUE), NULL), m, len);
	responder_refuses(responder(&e, ciphers[1 - _i]), m, len);
	responder_refuses(noise_new(c, NOISE_RESPONDER, &e.sr, NULL, PROLOGUE, sizeof(PROLOGUE) - 1, NULL), m, len);
	responder_refuses(noise_new(c, NOISE_RESPONDER, &e.sr, NULL, "Fabric test", sizeof(PROLOGUE), NULL), m, len);
	responder_refuses(noise_new(c, NOISE_RESPONDER, &e.sr, NULL, NULL, 0, NULL), m, len);
	/* the right secret with another public half: the responder's key is hashed in */
	memcpy(other.sr.secret, e.sr.secret, NOISE_DH_LEN);
	responder_refuses(noise_new(c, NOISE_RESPONDER, &other.sr, NULL, PROLOGUE, sizeof(PROLOGUE), NULL), m, len);
	ends_close(&e);
	ends_close(&other);
}
END_TEST

/* Somebody who knows the initiator's public key but not its secret. */
START_TEST(test_impostor)
{
	uint8_t m[256];
	struct ends e;
	struct noise_key claimed;
	struct noise *n;
	int len;

	ends_open(&e, ciphers[_i]);
	ck_assert_int_eq(noise_key_generate(&claimed), 0);
	memcpy(claimed.public, e.si.public, NOISE_DH_LEN);
	n = noise_new(ciphers[_i], NOISE_INITIATOR, &claimed, e.sr.public, PROLOGUE, sizeof(PROLOGUE), NULL);
	len = write_text(n, m, sizeof(m), "I am you");
	responder_refuses(responder(&e, ciphers[_i]), m, len);
	noise_free(n);
	ends_close(&e);
}
END_TEST

/* A second message that answers another first one, and our own first one sent back. */
START_TEST(test_crossed)
{
	uint8_t m1[256], m2[256], out[256], other1[256];
	struct ends e;
	struct noise *other;
	int len, len1, len2;

	ends_open(&e, ciphers[_i]);
	other = noise_new(ciphers[_i], NOISE_INITIATOR, &e.si, e.sr.public, PROLOGUE, sizeof(PROLOGUE), NULL);
	len1 = write_text(e.i, m1, sizeof(m1), "one");
	len = write_text(other, other1, sizeof(other1), "one");
	ck_assert_int_eq(noise_read(e.r, out, sizeof(out), m1, (size_t)len1), 3);
	len2 = write_text(e.r, m2, sizeof(m2), "two");
	refuses(other, m2, (size_t)len2, NOISE_E_TAMPERED, "another's answer", 0);
	refuses(e.i, other1, (size_t)len, NOISE_E_TAMPERED, "a first message", 0);
	noise_free(other);
	ends_close(&e);
}
END_TEST

/* --- keys of small order ----------------------------------------------------- */

START_TEST(test_small_order)
{
	uint8_t m[256], point[NOISE_DH_LEN];
	struct ends e;
	struct noise_key bad;
	struct noise *n;
	int len;

	for (size_t i = 0; i < SMALL_ORDERS; i++) {
		hex32(point, small_order[i]);
		/* the responder's static key, in the initiator's hands */
		ends_open(&e, ciphers[_i]);
		n = noise_new(ciphers[_i], NOISE_INITIATOR, &e.si, point, PROLOGUE, sizeof(PROLOGUE), NULL);
		ck_assert_int_eq(write_text(n, m, sizeof(m), ""), NOISE_E_DH);
		ck_assert_int_eq(write_text(n, m, sizeof(m), ""), NOISE_E_STATE);
		noise_free(n);
		/* the initiator's ephemeral */
		memset(m, 0, sizeof(m));
		memcpy(m, point, sizeof(point));
		n = responder(&e, ciphers[_i]);
		refuses(n, m, sizeof(m), NOISE_E_DH, "ephemeral", i);
		noise_free(n);
		/* the initiator's static key, well sealed */
		bad = e.si;
		memcpy(bad.public, point, sizeof(point));
		n = noise_new(ciphers[_i], NOISE_INITIATOR, &bad, e.sr.public, PROLOGUE, sizeof(PROLOGUE), NULL);
		len = write_text(n, m, sizeof(m), "");
		ck_assert_int_gt(len, 0);
		noise_free(n);
		refuses(e.r, m, (size_t)len, NOISE_E_DH, "static", i);
		/* the responder's ephemeral */
		ck_assert_int_gt(write_text(e.i, m, sizeof(m), ""), 0);
		memcpy(m, point, sizeof(point));
		refuses(e.i, m, NOISE_2_OVERHEAD, NOISE_E_DH, "answer", i);
		ends_close(&e);
	}
}
END_TEST

/* --- states and room --------------------------------------------------------- */

START_TEST(test_states)
{
	uint8_t m[256], out[256], k[2][AEAD_KEY_LEN];
	struct ends e;
	int len;

	ends_open(&e, ciphers[_i]);
	ck_assert_int_eq(noise_read(e.i, out, sizeof(out), m, sizeof(m)), NOISE_E_STATE);
	ck_assert_int_eq(noise_write(e.r, out, sizeof(out), NULL, 0), NOISE_E_STATE);
	ck_assert_int_eq(noise_split(e.i, k[0], k[1], NULL), NOISE_E_STATE);
	ck_assert_int_eq(noise_split(e.r, k[0], k[1], NULL), NOISE_E_STATE);
	len = write_text(e.i, m, sizeof(m), "hello");
	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(write_text(e.i, out, sizeof(out), "hello"), NOISE_E_STATE);
	ck_assert_int_eq(noise_split(e.i, k[0], k[1], NULL), NOISE_E_STATE);
	ck_assert_int_eq(noise_read(e.r, out, sizeof(out), m, (size_t)len), 5);
	ck_assert_int_eq(noise_read(e.r, out, sizeof(out), m, (size_t)len), NOISE_E_STATE);
	ck_assert_int_eq(noise_split(e.r, k[0], k[1], NULL), NOISE_E_STATE);
	len = noise_write(e.r, m, sizeof(m), NULL, 0);
	ck_assert_int_eq(len, NOISE_2_OVERHEAD);
	ck_assert_int_eq(noise_write(e.r, m, sizeof(m), NULL, 0), NOISE_E_STATE);
	ck_assert_int_eq(noise_read(e.i, NULL, 0, m, (size_t)len), 0);
	ck_assert_int_eq(noise_read(e.i, NULL, 0, m, (size_t)len), NOISE_E_STATE);
	ck_assert_int_eq(noise_split(e.i, k[0], k[1], NULL), NOISE_OK);
	ck_assert_int_eq(noise_split(e.i, k[0], k[1], NULL), NOISE_E_STATE);
	ends_close(&e);
}
END_TEST

/* What does not fit changes nothing: the same message can then be written and read with more room. */
START_TEST(test_room)
{
	static uint8_t m[NOISE_MESSAGE_MAX + 1], out[NOISE_MESSAGE_MAX + 1];
	struct ends e;

	ends_open(&e, ciphers[_i]);
	ck_assert_int_eq(noise_write(e.i, m, NOISE_1_OVERHEAD + 4, "hello", 5), NOISE_E_ROOM);
	ck_assert_int_eq(noise_write(e.i, m, sizeof(m), out, NOISE_MESSAGE_MAX - NOISE_1_OVERHEAD + 1), NOISE_E_ROOM);
	ck_assert_int_eq(noise_write(e.i, m, sizeof(m), out, SIZE_MAX), NOISE_E_ROOM);
	ck_assert_int_eq(noise_write(e.i, m, NOISE_1_OVERHEAD + 5, "hello", 5), NOISE_1_OVERHEAD + 5);
	ck_assert_int_eq(noise_read(e.r, out, 4, m, NOISE_1_OVERHEAD + 5), NOISE_E_ROOM);
	ck_assert_int_eq(noise_read(e.r, out, 5, m, NOISE_1_OVERHEAD + 5), 5);
	ck_assert_int_eq(noise_write(e.r, m, NOISE_2_OVERHEAD - 1, NULL, 0), NOISE_E_ROOM);
	ck_assert_int_eq(noise_write(e.r, m, NOISE_2_OVERHEAD, NULL, 0), NOISE_2_OVERHEAD);
	ck_assert_int_eq(noise_read(e.i, out, sizeof(out), m, sizeof(m)), NOISE_E_SHORT);
	ck_assert_int_eq(noise_read(e.i, out, sizeof(out), m, NOISE_2_OVERHEAD), NOISE_E_STATE);
	ends_close(&e);
}
END_TEST

START_TEST(test_arguments)
{
	struct ends e;

	ends_open(&e, AEAD_AESGCM);
	ck_assert_ptr_null(noise_new(AEAD_COUNT, NOISE_RESPONDER, &e.sr, NULL, NULL, 0, NULL));
	ck_assert_ptr_null(noise_new(AEAD_AESGCM, NOISE_INITIATOR, &e.si, NULL, NULL, 0, NULL));
	ck_assert_ptr_null(noise_new(AEAD_AESGCM, NOISE_RESPONDER, &e.sr, e.si.public, NULL, 0, NULL));
	noise_free(NULL);
	ends_close(&e);
	for (int i = NOISE_E_LIBRARY; i <= NOISE_OK; i++)
		ck_assert_str_ne(noise_strerror(i), "unknown");
	ck_assert_str_eq(noise_strerror(1), "unknown");
	ck_assert_str_eq(noise_strerror(NOISE_E_LIBRARY - 1), "unknown");
	ck_assert_str_eq(noise_protocol_name(AEAD_COUNT), "unknown");
}
END_TEST

/* --- what is left behind ------------------------------------------------------ */

static bool
holds(const struct noise *n, const uint8_t secret[32])
{
	return memmem(n, malloc_usable_size((void *)(uintptr_t)n), secret, 32) != NULL;
}

/* The object is searched for secrets while it lives, after the handshake is over in each of its ways. */
START_TEST(test_wiped)
{
	uint8_t ei[32], er[32], m[256], out[256], k[2][AEAD_KEY_LEN];
	struct ends e;
	struct noise *i, *r;
	int len;

	ends_open(&e, ciphers[_i]);
	crypto_random(ei, sizeof(ei));
	crypto_random(er, sizeof(er));
	i = noise_new(ciphers[_i], NOISE_INITIATOR, &e.si, e.sr.public, NULL, 0, ei);
	r = noise_new(ciphers[_i], NOISE_RESPONDER, &e.sr, NULL, NULL, 0, er);
	len = noise_write(i, m, sizeof(m), NULL, 0);
	ck_assert_int_eq(noise_read(r, out, sizeof(out), m, (size_t)len), 0);
	len = noise_write(r, m, sizeof(m), NULL, 0);
	ck_assert(holds(i, e.si.secret) && holds(i, ei) && holds(r, e.sr.secret) && holds(r, er));
	m[len - 1] ^= 1;
	ck_assert_int_eq(noise_read(i, out, sizeof(out), m, (size_t)len), NOISE_E_TAMPERED);
	ck_assert(!holds(i, e.si.secret) && !holds(i, ei));
	ck_assert_int_eq(noise_split(r, k[0], k[1], NULL), NOISE_OK);
	ck_assert(!holds(r, e.sr.secret) && !holds(r, er) && !holds(r, k[0]) && !holds(r, k[1]));
	noise_free(i);
	noise_free(r);
	ends_close(&e);
}
END_TEST

static Suite *
noise_suite(void)
{
	Suite *s = suite_create("noise");
	TCase *t = tcase_create("noise");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_initiator);
	tcase_add_test(t, test_responder);
	if (files == our_files) {
		tcase_add_test(t, test_dh);
		tcase_add_test(t, test_dh_small_order);
		add_each_cipher(t, test_both_ends);
		add_each_cipher(t, test_ephemeral);
		add_each_cipher(t, test_tampered_1);
		add_each_cipher(t, test_tampered_2);
		add_each_cipher(t, test_different);
		add_each_cipher(t, test_impostor);
		add_each_cipher(t, test_crossed);
		add_each_cipher(t, test_small_order);
		add_each_cipher(t, test_states);
		add_each_cipher(t, test_room);
		tcase_add_test(t, test_arguments);
		add_each_cipher(t, test_wiped);
	}
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char *argv[])
{
	if (argc > 1)
		files = (const char *const *)argv + 1;
	return suite_run(noise_suite());
}
