/*
 * Records against their golden vectors, both ways, and the vectors' signatures and AUTH proofs against the
 * code that verifies a peer: what fabric-record(5) and fabric-frame(5) show is what a node accepts.
 */
#include <check.h>
#include <inttypes.h>

#include "crypto/identity.h"
#include "fabric/facts.h"
#include "fabric/policy.h"
#include "fabric/ticket.h"
#include "suite.h"
#include "tests/unit/vectors.h"

#define NOW (1767225600 + 3600)		/* an hour into the validity of the vectors' records */

static struct vector v;
static struct text want, got;
static FILE *fp;

static int
error_number(const char *name)
{
	static const struct {
		const char	*name;
		int		 err;
	} names[] = {
		{ "MAGIC", RECORD_E_MAGIC }, { "VERSION", RECORD_E_VERSION }, { "KIND", RECORD_E_KIND },
		{ "LENGTH", RECORD_E_LENGTH }, { "FIELD", RECORD_E_FIELD }, { "MISSING", RECORD_E_MISSING },
		{ "TLV", RECORD_E_TLV }, { "NAME", RECORD_E_NAME }, { "TIME", RECORD_E_TIME },
		{ "PREFIX", RECORD_E_PREFIX }, { "TRAILING", RECORD_E_TRAILING },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].err;
	errx(1, "error %s?", name);
}

static void
record_to_text(struct text *t, const struct record *r)
{
	t->len = 0;
	text_add(t, "kind %s\n", record_kind_name(r->kind));
	text_add_hex(t, "issuer", r->issuer, RECORD_KEY_LEN);
	text_add_hex(t, "subject", r->subject, RECORD_KEY_LEN);
	text_add(t, "serial %" PRIu64 "\nnot_before %" PRIu64 "\nnot_after %" PRIu64 "\n", r->serial,
	    r->not_before, r->not_after);
	if (r->kind != RECORD_DELEGATION && r->content.len == 0)
		text_add(t, "name %s\n", r->name);
	if (r->kind == RECORD_MEMBERSHIP) {
		text_add(t, "tenant %s\nroles %" PRIu32 "\ntier %u\n", r->tenant, r->roles, r->tier);
		for (const struct record_prefix *x = r->prefixes; x < r->prefixes + r->nprefixes; x++) {
			text_add(t, "prefix %u %u", x->family, x->len);
			text_add_hex(t, "", x->addr, sizeof x->addr);
		}
	}
	if (r->kind == RECORD_DELEGATION)
		text_add(t, "purpose %u\n", r->purpose);
	if (r->kind == RECORD_SERVICE)
		text_add(t, "class %u\n", r->class);
	if (r->content.len > 0)
		text_add_hex(t, "content", r->content.p, r->content.len);
	if (r->params_skipped)
		text_add(t, "skipped 1\n");
	text_add_hex(t, "signature", r->signature, RECORD_SIG_LEN);
}

/* Decodes from an exact copy, kept in *keep; whatever is accepted must be encoded to the same bytes. */
static int
decode(struct record *r, uint8_t **keep, const uint8_t *p, size_t len)
{
	int err;
	size_t n;
	uint8_t *out;

	*keep = exact_copy(p, len);
	err = record_decode(r, *keep, len);
	if (err != RECORD_OK || r->params_skipped)
		return err;
	ck_assert(r->raw.p == *keep && r->raw.len == len);
	n = r->signed_part.len;
	ck_assert(r->signed_part.p == *keep && n == len - RECORD_SIG_LEN && r->signature == *keep + n);
	out = malloc(n);
	ck_assert_uint_eq(record_encode(out, n, r), n);
	ck_assert_mem_eq(out, *keep, n);
	ck_assert_uint_eq(record_encode(out, n - 1, r), 0);
	free(out);
	return err;
}

static int
decode_only(const uint8_t *p, size_t len)
{
	struct record r;
	uint8_t *keep;
	int err = decode(&r, &keep, p, len);

	free(keep);
	return err;
}

static uint64_t
number(const char *key)
{
	const char *s = vector_get(&v, key);

	return s == NULL ? 0 : strtoull(s, NULL, 10);
}

static const uint8_t *
key_of(uint8_t out[RECORD_KEY_LEN], const char *key)
{
	ck_assert_int_eq(hex_decode(out, RECORD_KEY_LEN, vector_get(&v, key)), 0);
	return out;
}

/* The vector's fields, but the signature, as a record to encode. */
static void
record_from_vector(struct record *r)
{
	static uint8_t issuer[RECORD_KEY_LEN], subject[RECORD_KEY_LEN], content[VECTOR_BYTES_MAX];
	const char *hex;

	memset(r, 0, sizeof *r);
	while (strcmp(record_kind_name(++r->kind), vector_get(&v, "kind")) != 0)
		ck_assert_int_lt(r->kind, RECORD_KIND_COUNT);
	r->issuer = key_of(issuer, "issuer");
	r->subject = key_of(subject, "subject");
	r->serial = number("serial");
	r->not_before = number("not_before");
	r->not_after = number("not_after");
	r->roles = (uint32_t)number("roles");
	r->tier = (uint8_t)number("tier");
	r->purpose = (uint8_t)number("purpose");
	r->class = (uint8_t)number("class");
	if ((hex = vector_get(&v, "content")) != NULL) {
		r->content = (struct frame_bytes){ content, strlen(hex) / 2 };
		ck_assert_uint_le(r->content.len, sizeof content);
		ck_assert_int_eq(hex_decode(content, r->content.len, hex), 0);
	}
	if (vector_get(&v, "name") != NULL)
		vector_word(r->name, sizeof r->name, vector_get(&v, "name"));
	if (vector_get(&v, "tenant") != NULL)
		vector_word(r->tenant, sizeof r->tenant, vector_get(&v, "tenant"));
	for (size_t i = 0; i < v.nfields; i++) {
		struct record_prefix *x = &r->prefixes[r->nprefixes];
		unsigned family, len;
		char addr[33];

		if (strcmp(v.fields[i].key, "prefix") != 0)
			continue;
		ck_assert_int_eq(sscanf(v.fields[i].value, "%u %u %32s", &family, &len, addr), 3);
		x->family = (uint8_t)family;
		x->len = (uint8_t)len;
		ck_assert_int_eq(hex_decode(x->addr, sizeof x->addr, addr), 0);
		r->nprefixes++;
	}
}

static void
open_good(void)
{
	crypto_init();
	fp = vectors_open("record.txt");
}

static void
open_refused(void)
{
	fp = vectors_open("record-refused.txt");
}

static void
close_vectors(void)
{
	fclose(fp);
}

START_TEST(bytes_to_fields)
{
	unsigned kinds = 0;
	struct record r;
	uint8_t *keep;

	for (; vector_next(&v, fp); vector_free(&v)) {
		int err = decode(&r, &keep, v.bytes, v.len);

		ck_assert_msg(err == RECORD_OK, "%s: %s", v.name, record_strerror(err));
		record_to_text(&got, &r);
		vector_text(&want, &v);
		ck_assert_str_eq(got.buf, want.buf);
		ck_assert_msg(record_verify(&r) == 0, "%s: signature", v.name);
		kinds |= 1u << r.kind;
		free(keep);
	}
	for (unsigned kind = 1; kind < RECORD_KIND_COUNT; kind++)
		ck_assert_msg(kinds >> kind & 1, "no vector of a %s", record_kind_name(kind));
}
END_TEST

START_TEST(fields_to_bytes)
{
	static uint8_t out[RECORD_LARGE_MAX];
	struct record r;

	for (; vector_next(&v, fp); vector_free(&v)) {
		if (vector_get(&v, "skipped") != NULL)
			continue;
		record_from_vector(&r);
		ck_assert_msg(record_encode(out, sizeof out, &r) == v.len - RECORD_SIG_LEN, "%s", v.name);
		ck_assert_mem_eq(out, v.bytes, v.len - RECORD_SIG_LEN);
	}
}
END_TEST

/* The content is what the decoder of its kind takes, and writes again. */
static void
content_read(const struct record *r)
{
	uint8_t out[FACTS_MAX];
	struct policy *p;
	struct ticket t;
	struct facts f;
	struct fence e;
	int err;

	switch (r->kind) {
	case RECORD_NODE:
		ck_assert_int_eq(facts_decode(&f, r->content.p, r->content.len), 0);
		ck_assert_uint_eq(facts_encode(out, sizeof out, &f), r->content.len);
		ck_assert_mem_eq(out, r->content.p, r->content.len);
		break;
	case RECORD_TICKET:
		ck_assert_int_eq(ticket_decode(&t, r), 0);
		ck_assert_uint_eq(ticket_encode(out, sizeof out, &t), r->content.len);
		ck_assert_mem_eq(out, r->content.p, r->content.len);
		break;
	case RECORD_FENCE:
		ck_assert_int_eq(fence_decode(&e, r), 0);
		ck_assert_uint_eq(fence_encode(out, sizeof out, &e), r->content.len);
		ck_assert_mem_eq(out, r->content.p, r->content.len);
		break;
	case RECORD_REVOCATION:
		ck_assert_int_eq(record_revoked_count(r), 2);
		break;
	case RECORD_POLICY:
		if (strcmp(v.name, "policy") != 0)
			break;
		p = policy_load(r->content.p, r->content.len, &err);
		ck_assert_msg(p != NULL, "policy: %s", frame_strerror(err));
		policy_free(p);
		break;
	default:
		break;
	}
}

START_TEST(contents)
{
	struct record r;

	for (; vector_next(&v, fp); vector_free(&v)) {
		ck_assert_int_eq(record_decode(&r, v.bytes, v.len), RECORD_OK);
		content_read(&r);
	}
}
END_TEST

START_TEST(truncated_at_every_byte)
{
	for (; vector_next(&v, fp); vector_free(&v))
		for (size_t len = 0; len < v.len; len++)
			ck_assert_msg(decode_only(v.bytes, len) == RECORD_E_LENGTH, "%s at %zu", v.name, len);
}
END_TEST

/* A flipped bit is refused, or leaves a record that is encoded as it stands and no longer verifies. */
START_TEST(every_bit_flipped)
{
	struct record r;
	uint8_t *keep;

	for (; vector_next(&v, fp); vector_free(&v))
		for (size_t bit = 0; bit < v.len * 8; bit++) {
			v.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (decode(&r, &keep, v.bytes, v.len) == RECORD_OK && bit % 16 == 0)
				ck_assert_int_eq(record_verify(&r), -1);
			free(keep);
			v.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
}
END_TEST

START_TEST(one_after_the_other)
{
	static uint8_t all[VECTOR_BYTES_MAX];
	size_t len = 0, records = 0, at = 0;
	struct record r;

	for (; vector_next(&v, fp); vector_free(&v), records++) {
		memcpy(all + len, v.bytes, v.len);
		len += v.len;
	}
	ck_assert_int_eq(record_decode(&r, all, len), RECORD_E_TRAILING);
	for (; at < len; at += r.raw.len, records--)
		ck_assert_int_eq(record_decode_first(&r, all + at, len - at), RECORD_OK);
	ck_assert(at == len && records == 0);
}
END_TEST

START_TEST(refused)
{
	unsigned seen = 0;

	for (; vector_next(&v, fp); vector_free(&v)) {
		int err = error_number(vector_get(&v, "error")), rv = decode_only(v.bytes, v.len);

		ck_assert_msg(rv == err, "%s: %s", v.name, record_strerror(rv));
		for (size_t len = 0; len + 1 < v.len; len++)
			ck_assert_int_lt(decode_only(v.bytes, len), 0);
		seen |= 1u << (RECORD_E_MAGIC - err);
	}
	for (int err = RECORD_E_MAGIC; err >= RECORD_E_TRAILING; err--)
		ck_assert_msg(seen >> (RECORD_E_MAGIC - err) & 1, "no vector for: %s", record_strerror(err));
}
END_TEST

static const uint8_t some_key[RECORD_KEY_LEN] = { 1 }, other_key[RECORD_KEY_LEN] = { 2 };

static size_t
encode(const struct record *r)
{
	uint8_t out[FRAME_RECORD_MAX];

	return record_encode(out, sizeof out, r);
}

START_TEST(encode_refuses)
{
	const struct record good = { .kind = RECORD_MEMBERSHIP, .issuer = some_key, .subject = other_key,
		.not_after = 1, .name = "a", .tenant = "t", .nprefixes = 1, .prefixes = { { 4, 8, { 10 } } } };
	struct record r = good;

	ck_assert_uint_ne(encode(&r), 0);
#define REFUSED(change) r = good; change; ck_assert_msg(encode(&r) == 0, #change)
	REFUSED(r.kind = 0);
	REFUSED(r.kind = RECORD_KIND_COUNT);
	REFUSED(r.issuer = NULL);
	REFUSED(r.subject = NULL);
	REFUSED(r.serial = 1ull << 62);
	REFUSED(r.not_after = 0);
	REFUSED(r.not_before = 1);
	REFUSED(r.not_after = RECORD_TIME_MAX + 1);
	REFUSED(r.name[0] = '\0');
	REFUSED(r.name[0] = 'A');
	REFUSED(memset(r.name, 'a', sizeof r.name));	/* no NUL */
	REFUSED(r.tenant[0] = '\0');
	REFUSED(memset(r.tenant, 'a', sizeof r.tenant));
	REFUSED(r.tier = 10);
	REFUSED(r.nprefixes = RECORD_ADDRS_MAX + 1);
	REFUSED(r.nprefixes = 2);
	REFUSED(r.prefixes[0].family = 5);
	REFUSED(r.prefixes[0].len = 33);
	REFUSED(r.prefixes[0].len = 6);
	REFUSED(r.prefixes[0].addr[15] = 1);
	REFUSED(r.kind = RECORD_REQUEST);		/* two keys */
	REFUSED(r.kind = RECORD_DELEGATION);		/* no purpose */
	REFUSED((r.kind = RECORD_DELEGATION, r.purpose = PURPOSE_COUNT));
	REFUSED((r.kind = RECORD_SERVICE, r.class = CLASS_COUNT));
	REFUSED((r.kind = RECORD_SERVICE, r.name[1] = '.', r.name[2] = 'b'));
#undef REFUSED
	r = good;
	r.kind = RECORD_DELEGATION;
	r.purpose = PURPOSE_SESSION;
	ck_assert_uint_ne(encode(&r), 0);
	r.kind = RECORD_SERVICE;
	ck_assert_uint_ne(encode(&r), 0);
	r.kind = RECORD_REQUEST;
	r.subject = r.issuer;
	ck_assert_uint_ne(encode(&r), 0);
}
END_TEST

/* What a whole record may be, by kind: that long it is encoded, signed and read, a byte more and it is none of these. */
START_TEST(longest)
{
	static uint8_t content[RECORD_LARGE_MAX], out[RECORD_LARGE_MAX + 1];
	struct record r = { .issuer = some_key, .subject = other_key, .not_after = 1 }, back;
	size_t most, beside, len;
	struct sign_key key;

	ck_assert_int_eq(sign_key_generate(&key), 0);
	for (r.kind = RECORD_NODE; r.kind < RECORD_KIND_COUNT; r.kind++) {
		most = r.kind == RECORD_POLICY || r.kind == RECORD_REVOCATION ? RECORD_LARGE_MAX : FRAME_RECORD_MAX;
		ck_assert_uint_eq(record_max(r.kind), most);
		/* lengths are varints: what stands beside the content is measured with one nearly as long */
		r.content = (struct frame_bytes){ content, most - 300 };
		beside = record_encode(out, sizeof out, &r) + RECORD_SIG_LEN - r.content.len;
		r.content.len = most - beside;
		len = record_encode(out, sizeof out, &r);
		ck_assert_uint_eq(len + RECORD_SIG_LEN, most);
		ck_assert_int_eq(record_decode(&back, out, most), RECORD_OK);
		ck_assert_uint_eq(back.content.len, r.content.len);
		ck_assert_uint_eq(record_sign(out, sizeof out, &r, &key), most);
		ck_assert_int_eq(record_decode(&back, out, most), RECORD_OK);
		ck_assert_int_eq(record_verify(&back), 0);
		out[most / 2] ^= 1;
		ck_assert_int_eq(record_verify(&back), -1);
		r.content.len++;
		ck_assert_msg(record_encode(out, sizeof out, &r) == 0, "%s", record_kind_name(r.kind));
		r.content.len = 0;
		ck_assert_uint_eq(record_encode(out, sizeof out, &r), 0);
	}
	for (unsigned kind = 0; kind < RECORD_NODE; kind++)
		ck_assert_uint_eq(record_max(kind), FRAME_RECORD_MAX);
}
END_TEST

/* Lists of 1 to 5 ids: each of them is found, what lies between is not; no other form is a list. */
START_TEST(revoked)
{
	uint8_t ids[5 * NODE_ID_LEN + 1], id[NODE_ID_LEN];
	struct record r = { .kind = RECORD_REVOCATION };

	for (unsigned n = 1; n <= 5; n++) {
		for (unsigned i = 0; i < n; i++)
			memset(ids + i * NODE_ID_LEN, (int)(2 * i + 1), NODE_ID_LEN);
		r.content = (struct frame_bytes){ ids, n * NODE_ID_LEN };
		ck_assert_int_eq(record_revoked_count(&r), (int)n);
		for (unsigned i = 0; i < 2 * n + 1; i++) {
			memset(id, (int)i, sizeof id);
			ck_assert_int_eq(record_revokes(&r, id), i % 2 == 1);
		}
	}
	r.content.len = sizeof ids;
	ck_assert_int_eq(record_revoked_count(&r), -1);
	r.content.len = 0;
	ck_assert_int_eq(record_revoked_count(&r), -1);
	ck_assert(!record_revokes(&r, ids));
	r.content.len = 5 * NODE_ID_LEN;
	memcpy(ids + 3 * NODE_ID_LEN, ids + 2 * NODE_ID_LEN, NODE_ID_LEN);	/* twice */
	ck_assert_int_eq(record_revoked_count(&r), -1);
	ids[4 * NODE_ID_LEN - 1]--;						/* descends, in the last byte */
	ck_assert_int_eq(record_revoked_count(&r), -1);
}
END_TEST

START_TEST(names)
{
	for (int err = RECORD_E_MAGIC; err >= RECORD_E_TRAILING; err--)
		ck_assert_str_ne(record_strerror(err), "unknown");
	ck_assert_str_eq(record_strerror(RECORD_E_TRAILING - 1), "unknown");
	ck_assert_str_eq(record_strerror(-1), "unknown");
	for (unsigned role = 0; role < ROLE_COUNT; role++)
		ck_assert_int_eq(role_parse(role_name(role)), (int)role);
	ck_assert_int_eq(role_parse("root"), -1);
	ck_assert_str_eq(role_name(ROLE_COUNT), "unknown");
	for (unsigned purpose = 1; purpose < PURPOSE_COUNT; purpose++)
		ck_assert_str_ne(record_purpose_name(purpose), "unknown");
	ck_assert_str_eq(record_purpose_name(0), "unknown");
	ck_assert_str_eq(record_purpose_name(PURPOSE_COUNT), "unknown");
	ck_assert_str_eq(record_kind_name(0), "unknown");
	ck_assert_str_eq(record_kind_name(RECORD_KIND_COUNT), "unknown");
}
END_TEST

/* --- the proof: frame.txt's two HELLOs and two AUTHs against proof.txt --------------- */

static struct vector hello_i, hello_r, auth_i, auth_r;

static void
load_frame(struct vector *out, const char *name)
{
	fp = vectors_open("frame.txt");
	while (vector_next(out, fp) && strcmp(out->name, name) != 0)
		vector_free(out);
	ck_assert_str_eq(out->name, name);
	fclose(fp);
}

static void
load_session(void)
{
	crypto_init();
	load_frame(&hello_i, "hello-initiator");
	load_frame(&hello_r, "hello-responder");
	load_frame(&auth_i, "auth-initiator");
	load_frame(&auth_r, "auth-responder");
	fp = vectors_open("proof.txt");
}

static void
free_session(void)
{
	vector_free(&hello_i);
	vector_free(&hello_r);
	vector_free(&auth_i);
	vector_free(&auth_r);
	close_vectors();
}

START_TEST(proof)
{
	int proofs = 0;

	for (; vector_next(&v, fp); vector_free(&v), proofs++) {
		char role = *vector_get(&v, "role");
		const struct vector *auth = role == 'I' ? &auth_i : &auth_r;
		const struct vector *hello = role == 'I' ? &hello_i : &hello_r;
		uint8_t authority[32], exporter[32], made[SIGN_LEN], listed[SIGN_LEN];
		struct auth_transcript t = { exporter, { hello_i.bytes, hello_i.len },
			{ hello_r.bytes, hello_r.len }, FABRIC_VERSION_1 };
		struct crypto_piece message = { v.bytes, v.len };
		struct peer_identity id;
		struct sign_key key;
		struct frame a, h;

		ck_assert_int_eq(frame_decode(&a, auth->bytes, auth->len, &auth->lim), FRAME_OK);
		ck_assert_int_eq(frame_decode(&h, hello->bytes, hello->len, &hello->lim), FRAME_OK);
		key_of(authority, "authority");
		key_of(exporter, "exporter");
		key_of(key.secret, "session_seed");
		ck_assert_int_eq(sign_key_from_secret(&key), 0);
		ck_assert_int_eq(hex_decode(listed, SIGN_LEN, vector_get(&v, "signature")), 0);
		ck_assert_mem_eq(a.auth.signature, listed, SIGN_LEN);
		/* The message is signed as listed, the node's own code makes the same, and accepts the whole. */
		ck_assert_int_eq(sign_verify(listed, key.public, &message, 1), 0);
		ck_assert_int_eq(auth_proof_make(made, role, &t, &a.auth, &key), 0);
		ck_assert_mem_eq(made, listed, SIGN_LEN);
		ck_assert_int_eq(auth_check(&id, &a.auth, role, &t, h.hello.node_id, authority, &(struct tenants){ .own = "home" }, NOW),
		    REASON_NONE);
		ck_assert_mem_eq(id.node_id, h.hello.node_id, NODE_ID_LEN);
		exporter[0] ^= 1;
		ck_assert_int_eq(auth_check(&id, &a.auth, role, &t, h.hello.node_id, authority, &(struct tenants){ .own = "home" }, NOW),
		    REASON_AUTH_PROOF);
	}
	ck_assert_int_eq(proofs, 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("record");
	TCase *good = tcase_create("good"), *bad = tcase_create("refused"), *auth = tcase_create("proof");

	tcase_set_timeout(good, 60);
	tcase_add_checked_fixture(good, open_good, close_vectors);
	tcase_add_test(good, bytes_to_fields);
	tcase_add_test(good, fields_to_bytes);
	tcase_add_test(good, contents);
	tcase_add_test(good, truncated_at_every_byte);
	tcase_add_test(good, every_bit_flipped);
	tcase_add_test(good, one_after_the_other);
	tcase_add_checked_fixture(bad, open_refused, close_vectors);
	tcase_add_test(bad, refused);
	tcase_add_test(bad, encode_refuses);
	tcase_add_test(bad, longest);
	tcase_add_test(bad, revoked);
	tcase_add_test(bad, names);
	tcase_add_checked_fixture(auth, load_session, free_session);
	tcase_add_test(auth, proof);
	suite_add_tcase(s, good);
	suite_add_tcase(s, bad);
	suite_add_tcase(s, auth);
	return suite_run(s);
}
