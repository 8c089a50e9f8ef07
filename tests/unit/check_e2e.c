/* The handshake between two adapters: that both know who the other is, and each way in which it can be wrong. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>

#include "e2e_world.h"
#include "suite.h"

static struct world w;
static uint8_t m1[E2E_MESSAGE_MAX], m2[E2E_MESSAGE_MAX];
static size_t m1_len, m2_len;

static void
setup(void)
{
	world_init(&w);
}

static struct e2e_service
service(void)
{
	struct e2e_service s;

	ck_assert_int_eq(e2e_service_check(&s, w.b.sbuf, w.b.slen, WORLD_NOW), REASON_NONE);
	return s;
}

/* a's message 1 with some app bytes, into m1. */
static struct e2e *
open_it(void)
{
	struct e2e_service s = service();
	struct e2e *e = e2e_open(&w.a.self, &s, 0, "seventeen bytes!!", 17, m1, &m1_len, WORLD_NOW);

	ck_assert_ptr_nonnull(e);
	return e;
}

/* What b says to m1, as it is now. */
static int
accept_it(struct e2e **e, struct e2e_hello *hello)
{
	return e2e_accept(e, &w.b.self, "ssh", 0, w.a.self.node_id, m1, m1_len, WORLD_NOW, hello);
}

static int
refused(void)
{
	struct e2e_hello hello;
	struct e2e *e;
	int reason = accept_it(&e, &hello);

	ck_assert_ptr_null(e);
	ck_assert_int_ne(reason, REASON_NONE);
	return reason;
}

/* --- all well ---------------------------------------------------------------- */

START_TEST(test_both_know)
{
	struct e2e_keys ka, kb, sa, sb;
	struct peer_identity peer;
	struct e2e_hello hello;
	struct e2e *a = open_it(), *b;

	ck_assert_int_eq(accept_it(&b, &hello), REASON_NONE);
	ck_assert_mem_eq(hello.peer.node_id, w.a.self.node_id, NODE_ID_LEN);
	ck_assert_str_eq(hello.peer.name, "phone");
	ck_assert_str_eq(hello.peer.tenant, WORLD_TENANT);
	ck_assert_uint_eq(hello.peer.roles, 1u << ROLE_SERVICE_HOST);
	ck_assert_uint_eq(hello.peer.not_after, WORLD_NOW + 6 * WORLD_HOUR);
	ck_assert_uint_eq(hello.app_len, 17);
	ck_assert_mem_eq(hello.app, "seventeen bytes!!", 17);
	ck_assert_int_eq(e2e_answer(b, &w.b.self, m2, &m2_len, &kb), 0);
	ck_assert_int_eq(e2e_finish(a, &w.a.self, m2, m2_len, WORLD_NOW, &ka, &peer), REASON_NONE);
	ck_assert_mem_eq(peer.node_id, w.b.self.node_id, NODE_ID_LEN);
	ck_assert_str_eq(peer.name, "home");
	ck_assert_mem_eq(ka.tx, kb.rx, AEAD_KEY_LEN);
	ck_assert_mem_eq(ka.rx, kb.tx, AEAD_KEY_LEN);
	ck_assert_mem_ne(ka.rx, ka.tx, AEAD_KEY_LEN);
	ck_assert_mem_eq(ka.id, kb.id, E2E_KEY_ID_LEN);
	/* Neither a message nor a key of it twice. */
	ck_assert_int_ne(e2e_finish(a, &w.a.self, m2, m2_len, WORLD_NOW, &sa, &peer), REASON_NONE);
	ck_assert_int_eq(e2e_answer(b, &w.b.self, m2, &m2_len, &sb), -1);
	e2e_free(a);
	e2e_free(b);
}
END_TEST

START_TEST(test_keys_of_streams)
{
	struct e2e_keys ka, kb, x, y, z;
	struct peer_identity peer;
	struct e2e_hello hello;
	struct e2e *a = open_it(), *b;

	ck_assert_int_eq(accept_it(&b, &hello), REASON_NONE);
	ck_assert_int_eq(e2e_answer(b, &w.b.self, m2, &m2_len, &kb), 0);
	ck_assert_int_eq(e2e_finish(a, &w.a.self, m2, m2_len, WORLD_NOW, &ka, &peer), REASON_NONE);
	ck_assert_int_eq(e2e_keys_derive(&x, &ka, 1, CLASS_BULK), 0);
	ck_assert_int_eq(e2e_keys_derive(&y, &kb, 1, CLASS_BULK), 0);
	ck_assert_mem_eq(x.tx, y.rx, AEAD_KEY_LEN);
	ck_assert_mem_eq(x.rx, y.tx, AEAD_KEY_LEN);
	ck_assert_mem_ne(x.tx, ka.tx, AEAD_KEY_LEN);
	/* Another counter, another class: another key. */
	ck_assert_int_eq(e2e_keys_derive(&z, &kb, 2, CLASS_BULK), 0);
	ck_assert_mem_ne(x.tx, z.rx, AEAD_KEY_LEN);
	ck_assert_int_eq(e2e_keys_derive(&z, &kb, 1ull << 56 | 1, CLASS_BULK), 0);
	ck_assert_mem_ne(x.tx, z.rx, AEAD_KEY_LEN);
	ck_assert_int_eq(e2e_keys_derive(&z, &kb, 1, CLASS_DNS), 0);
	ck_assert_mem_ne(x.tx, z.rx, AEAD_KEY_LEN);
	e2e_free(a);
	e2e_free(b);
}
END_TEST

START_TEST(test_largest_records_fit)
{
	struct e2e_service s;
	struct e2e *e;

	memset(w.a.m.name, 'n', RECORD_NAME_MAX);
	memset(w.a.m.tenant, 't', RECORD_TENANT_MAX);
	w.a.m.serial = w.a.d.serial = 1ull << 61;
	w.a.m.roles = UINT32_MAX;
	w.a.m.nprefixes = RECORD_ADDRS_MAX;
	for (unsigned i = 0; i < RECORD_ADDRS_MAX; i++) {
		w.a.m.prefixes[i] = (struct record_prefix){ .family = 6, .len = 128 };
		w.a.m.prefixes[i].addr[0] = (uint8_t)i;
	}
	world_node_sign(&w.a);
	s = service();
	e = e2e_open(&w.a.self, &s, 0, m2, E2E_APP_MAX, m1, &m1_len, WORLD_NOW);
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_le(m1_len, FRAME_NOISE_MAX);
	e2e_free(e);
	ck_assert_ptr_null(e2e_open(&w.a.self, &s, 0, m2, E2E_APP_MAX + 1, m1, &m1_len, WORLD_NOW));
}
END_TEST

START_TEST(test_self)
{
	struct e2e_self self;
	struct frame_bytes m = { w.a.mbuf, w.a.mlen }, d = { w.a.dbuf, w.a.dlen };
	struct e2e_service s = service();

	ck_assert_int_eq(e2e_self_init(&self), 0);
	ck_assert_mem_ne(self.key.public, w.a.self.key.public, NOISE_DH_LEN);
	e2e_self_node(&self, w.a.self.node_id, w.authority.public, WORLD_TENANT);
	ck_assert_int_eq(e2e_self_certify(&self, m, d), -1);	/* for another key */
	ck_assert(!e2e_self_ready(&self, WORLD_NOW));
	ck_assert_ptr_null(e2e_open(&self, &s, 0, NULL, 0, m1, &m1_len, WORLD_NOW));
	self.key = w.a.self.key;
	ck_assert_int_eq(e2e_self_certify(&self, d, m), -1);
	ck_assert_int_eq(e2e_self_certify(&self, m, (struct frame_bytes){ w.b.dbuf, w.b.dlen }), -1);
	ck_assert_int_eq(e2e_self_certify(&self, (struct frame_bytes){ w.b.mbuf, w.b.mlen }, d), -1);
	ck_assert_int_eq(e2e_self_certify(&self, (struct frame_bytes){ m.p, m.len - 1 }, d), -1);
	ck_assert_int_eq(e2e_self_certify(&self, m, d), 0);
	ck_assert(e2e_self_ready(&self, WORLD_NOW));
	ck_assert(!e2e_self_ready(&self, WORLD_NOW + 6 * WORLD_HOUR));
	e2e_self_node(&self, w.a.self.node_id, w.authority.public, WORLD_TENANT);
	ck_assert(e2e_self_ready(&self, WORLD_NOW));
	e2e_self_node(&self, w.a.self.node_id, w.authority.public, "other");
	ck_assert(!e2e_self_ready(&self, WORLD_NOW));
	e2e_self_wipe(&self);
}
END_TEST

/* --- the service record ------------------------------------------------------ */

static int
service_reason(uint64_t now)
{
	struct e2e_service s;

	world_node_sign(&w.b);
	return e2e_service_check(&s, w.b.sbuf, w.b.slen, now);
}

START_TEST(test_service_record)
{
	struct e2e_service s = service();

	ck_assert_mem_eq(s.node_id, w.b.self.node_id, NODE_ID_LEN);
	ck_assert_mem_eq(s.node_key, w.b.key.public, SIGN_PUBLIC_LEN);
	ck_assert_mem_eq(s.key, w.b.self.key.public, NOISE_DH_LEN);
	ck_assert_str_eq(s.name, "ssh");
	ck_assert_uint_eq(s.class, CLASS_INTERACTIVE);
	ck_assert_uint_eq(s.serial, 9);
	ck_assert_uint_eq(s.not_after, WORLD_NOW + 6 * WORLD_HOUR);
	ck_assert_int_eq(service_reason(WORLD_NOW + 6 * WORLD_HOUR), REASON_AUTH_EXPIRED);
	ck_assert_int_eq(service_reason(WORLD_NOW + 6 * WORLD_HOUR - 1), REASON_NONE);
	ck_assert_int_eq(service_reason(WORLD_NOW - 60 - CLOCK_SKEW_S), REASON_NONE);
	ck_assert_int_eq(service_reason(WORLD_NOW - 61 - CLOCK_SKEW_S), REASON_AUTH_NOT_YET);
	w.b.s.not_after = w.b.s.not_before + DELEGATION_MAX_S;
	ck_assert_int_eq(service_reason(WORLD_NOW), REASON_NONE);
	w.b.s.not_after++;
	ck_assert_int_eq(service_reason(WORLD_NOW), REASON_AUTH_DELEGATION);
	ck_assert_int_eq(e2e_service_check(&s, w.b.dbuf, w.b.dlen, WORLD_NOW), REASON_AUTH_RECORD);
	ck_assert_int_eq(e2e_service_check(&s, w.b.mbuf, w.b.mlen, WORLD_NOW), REASON_AUTH_RECORD);
}
END_TEST

START_TEST(test_service_record_tampered)
{
	struct e2e_service s;

	for (size_t i = 0; i < w.b.slen; i++) {
		w.b.sbuf[i] ^= 0x04;
		ck_assert_int_eq(e2e_service_check(&s, w.b.sbuf, w.b.slen, WORLD_NOW), REASON_AUTH_RECORD);
		w.b.sbuf[i] ^= 0x04;
		ck_assert_int_eq(e2e_service_check(&s, w.b.sbuf, i, WORLD_NOW), REASON_AUTH_RECORD);
	}
	ck_assert_int_eq(e2e_service_check(&s, w.b.sbuf, w.b.slen, WORLD_NOW), REASON_NONE);
}
END_TEST

/* --- message 1 --------------------------------------------------------------- */

START_TEST(test_message_1_tampered)
{
	struct e2e_hello hello;
	struct e2e *a = open_it(), *b;
	size_t whole = m1_len;

	for (size_t i = 0; i < whole; i++) {
		/* X25519 ignores the top bit of a point, and then everything depends on it: any bit will do. */
		for (unsigned bit = 1; bit <= 0x80; bit <<= 1) {
			m1[i] ^= (uint8_t)bit;
			ck_assert_int_eq(refused(), i == 0 && m1[0] != 1 && m1[0] != 2 ? REASON_UNSUPPORTED :
			    REASON_AUTH_PROOF);
			m1[i] ^= (uint8_t)bit;
			if (i > 100)
				break;
		}
		m1_len = i;
		ck_assert_int_eq(refused(), REASON_AUTH_PROOF);
		m1_len = whole;
	}
	m1[m1_len++] = 0;
	ck_assert_int_eq(refused(), REASON_AUTH_PROOF);
	m1_len--;
	ck_assert_int_eq(accept_it(&b, &hello), REASON_NONE);
	e2e_free(a);
	e2e_free(b);
}
END_TEST

/* It is good for one service, node, kind of stream and source. */
START_TEST(test_message_1_meant_for_another)
{
	struct e2e *a = open_it(), *b;
	struct e2e_hello hello;
	struct e2e_self c = w.b.self;

	ck_assert_int_eq(e2e_accept(&b, &w.b.self, "ss", 0, NULL, m1, m1_len, WORLD_NOW, &hello), REASON_AUTH_PROOF);
	ck_assert_int_eq(e2e_accept(&b, &w.b.self, "vpn", 0, NULL, m1, m1_len, WORLD_NOW, &hello), REASON_AUTH_PROOF);
	ck_assert_int_eq(e2e_accept(&b, &w.b.self, "ssh", OPEN_UNRELIABLE, NULL, m1, m1_len, WORLD_NOW, &hello),
	    REASON_AUTH_PROOF);
	c.node_id[31] ^= 1;
	ck_assert_int_eq(e2e_accept(&b, &c, "ssh", 0, NULL, m1, m1_len, WORLD_NOW, &hello), REASON_AUTH_PROOF);
	ck_assert_int_eq(e2e_accept(&b, &w.a.self, "ssh", 0, NULL, m1, m1_len, WORLD_NOW, &hello), REASON_AUTH_PROOF);
	ck_assert_int_eq(e2e_accept(&b, &w.b.self, "ssh", 0, w.b.self.node_id, m1, m1_len, WORLD_NOW, &hello),
	    REASON_AUTH_NODE);
	ck_assert_ptr_null(b);
	ck_assert_int_eq(e2e_accept(&b, &w.b.self, "ssh", 0, NULL, m1, m1_len, WORLD_NOW, &hello), REASON_NONE);
	e2e_free(a);
	e2e_free(b);
}
END_TEST

/* What a's records can say wrongly, signed by whom they name; one after the other, each mended again. */
static int
a_refused(void)
{
	struct e2e *a;
	int reason;

	world_node_sign(&w.a);
	a = open_it();
	reason = refused();
	e2e_free(a);
	world_init(&w);
	return reason;
}

START_TEST(test_opener_records)
{
	struct noise_key other;

	w.a.m_signer = &w.other;
	ck_assert_int_eq(a_refused(), REASON_AUTH_AUTHORITY);
	w.a.m.tenant[0] = 'x';
	ck_assert_int_eq(a_refused(), REASON_AUTH_TENANT);
	/* Both ends have to be told of each other. */
	w.a.m.tenant[0] = 'x';
	ck_assert_int_eq(e2e_self_tenants(&w.b.self, false, (struct frame_bytes){ (const uint8_t *)"\5other", 6 }), 0);
	ck_assert_int_eq(a_refused(), REASON_AUTH_TENANT);
	w.a.m.not_after = WORLD_NOW;
	ck_assert_int_eq(a_refused(), REASON_AUTH_EXPIRED);
	w.a.m.not_before = WORLD_NOW + CLOCK_SKEW_S + 1;
	ck_assert_int_eq(a_refused(), REASON_AUTH_NOT_YET);
	w.a.d.not_after = WORLD_NOW;
	ck_assert_int_eq(a_refused(), REASON_AUTH_EXPIRED);
	w.a.d.not_before = WORLD_NOW + CLOCK_SKEW_S + 1;
	ck_assert_int_eq(a_refused(), REASON_AUTH_NOT_YET);
	w.a.d_signer = &w.other;
	ck_assert_int_eq(a_refused(), REASON_AUTH_DELEGATION);
	w.a.d.purpose = PURPOSE_SESSION;
	ck_assert_int_eq(a_refused(), REASON_AUTH_DELEGATION);
	w.a.d.not_after = w.a.d.not_before + DELEGATION_MAX_S + 1;
	ck_assert_int_eq(a_refused(), REASON_AUTH_DELEGATION);
	w.a.d = w.a.s;
	ck_assert_int_eq(a_refused(), REASON_AUTH_DELEGATION);
	w.a.m = w.a.d;
	ck_assert_int_eq(a_refused(), REASON_AUTH_AUTHORITY);
	/* A delegation of the same node, but for another key than the one that the handshake proved. */
	ck_assert_int_eq(noise_key_generate(&other), 0);
	w.a.d.subject = other.public;
	ck_assert_int_eq(a_refused(), REASON_AUTH_PROOF);
	/* Somebody else's true records, with an own key. */
	w.a.self.key = other;
	world_node_sign(&w.a);
	memcpy(&w.a.self.records, w.b.self.records, sizeof(w.a.self.records));
	w.a.self.membership_len = w.b.mlen;
	w.a.self.delegation_len = w.b.dlen;
	e2e_free(open_it());
	ck_assert_int_eq(refused(), REASON_AUTH_PROOF);
}
END_TEST

START_TEST(test_opener_records_tampered)
{
	size_t n = w.a.self.membership_len + w.a.self.delegation_len;

	for (size_t i = 0; i < n; i++) {
		bool m = i < w.a.self.membership_len;
		size_t at = i - (m ? 0 : w.a.self.membership_len);
		int reason;

		w.a.self.records[i] ^= 0x01;
		e2e_free(open_it());
		reason = refused();
		/* The issuer is looked at before the signature. */
		if (at >= 8 && at < 40)
			ck_assert(reason == REASON_AUTH_AUTHORITY || reason == REASON_AUTH_DELEGATION ||
			    reason == REASON_AUTH_RECORD);
		else
			ck_assert_msg(reason == REASON_AUTH_RECORD || reason == REASON_AUTH_AUTHORITY ||
			    reason == REASON_AUTH_DELEGATION, "byte %zu: %s", i, reason_name((uint64_t)reason));
		w.a.self.records[i] ^= 0x01;
	}
	/* The lists cut, and something behind them. */
	w.a.self.delegation_len--;
	e2e_free(open_it());
	ck_assert_int_eq(refused(), REASON_AUTH_RECORD);
	w.a.self.delegation_len += 2;
	e2e_free(open_it());
	ck_assert_int_eq(refused(), REASON_AUTH_RECORD);
}
END_TEST

/* A payload of the handshake's own making: app bytes that are longer than they say, or than there are. */
START_TEST(test_message_1_payload)
{
	static const uint8_t lens[] = { 0, E2E_APP_MAX + 1, 200, 255 };
	uint8_t prologue[] = "fabric e2e v1\0ssh\0" "node id node id node id node id " "\0";
	uint8_t payload[300] = { 0 };

	memcpy(prologue + 18, w.b.self.node_id, NODE_ID_LEN);
	for (size_t i = 0; i < sizeof(lens); i++) {
		struct noise *n = noise_new(AEAD_AESGCM, NOISE_INITIATOR, &w.a.self.key, w.b.self.key.public, prologue,
		    sizeof(prologue) - 1, NULL);
		size_t len = lens[i] == 0 ? 0 : 150;

		payload[0] = lens[i];
		m1[0] = 1;
		m1_len = 1 + (size_t)noise_write(n, m1 + 1, sizeof(m1) - 1, payload, len);
		ck_assert_int_eq(refused(), REASON_PROTOCOL);
		noise_free(n);
	}
}
END_TEST

/* Whoever sends it again gets an answer, and can do nothing with it. */
START_TEST(test_message_1_replayed)
{
	struct e2e_keys ka, kb, again;
	struct peer_identity peer;
	struct e2e_hello hello;
	struct e2e *a = open_it(), *b, *c;
	uint8_t second[E2E_MESSAGE_MAX];
	size_t len;

	ck_assert_int_eq(accept_it(&b, &hello), REASON_NONE);
	ck_assert_int_eq(e2e_answer(b, &w.b.self, m2, &m2_len, &kb), 0);
	ck_assert_int_eq(accept_it(&c, &hello), REASON_NONE);
	ck_assert_int_eq(e2e_answer(c, &w.b.self, second, &len, &again), 0);
	ck_assert_int_eq(e2e_finish(a, &w.a.self, m2, m2_len, WORLD_NOW, &ka, &peer), REASON_NONE);
	ck_assert_mem_ne(again.rx, kb.rx, AEAD_KEY_LEN);
	ck_assert_mem_ne(again.tx, kb.tx, AEAD_KEY_LEN);
	ck_assert_mem_ne(again.id, kb.id, E2E_KEY_ID_LEN);
	/* The second answer is for the same opener, but it is past that. */
	ck_assert_int_ne(e2e_finish(a, &w.a.self, second, len, WORLD_NOW, &ka, &peer), REASON_NONE);
	e2e_free(a);
	e2e_free(b);
	e2e_free(c);
}
END_TEST

START_TEST(test_acceptor_has_no_key)
{
	struct e2e *a = open_it();

	w.b.self.delegation_len = 0;
	ck_assert_int_eq(refused(), REASON_NO_KEY);
	w.b.self.delegation_len = w.b.dlen;
	w.b.self.not_after = WORLD_NOW;
	ck_assert_int_eq(refused(), REASON_NO_KEY);
	e2e_free(a);
}
END_TEST

/* --- message 2 --------------------------------------------------------------- */

/* What a says to b's answer, after `change' of m2. */
static int
answer_refused(size_t at, uint8_t change, size_t len_less)
{
	struct e2e_keys ka, kb, none = { 0 };
	struct peer_identity peer, nobody = { 0 };
	struct e2e_hello hello;
	struct e2e *a = open_it(), *b;
	int reason;

	ck_assert_int_eq(accept_it(&b, &hello), REASON_NONE);
	ck_assert_int_eq(e2e_answer(b, &w.b.self, m2, &m2_len, &kb), 0);
	m2[at] ^= change;
	reason = e2e_finish(a, &w.a.self, m2, m2_len - len_less, WORLD_NOW, &ka, &peer);
	if (reason != REASON_NONE) {
		ck_assert_mem_eq(&ka, &none, sizeof(ka));
		ck_assert_mem_eq(&peer, &nobody, sizeof(peer));
	}
	e2e_free(a);
	e2e_free(b);
	return reason;
}

START_TEST(test_message_2_tampered)
{
	ck_assert_int_eq(answer_refused(0, 0, 0), REASON_NONE);
	for (size_t i = 0; i < m2_len; i++)
		ck_assert_int_eq(answer_refused(i, 0x80, 0), REASON_AUTH_PROOF);
	for (size_t i = 1; i < m2_len; i += 7)
		ck_assert_int_eq(answer_refused(0, 0, i), REASON_AUTH_PROOF);
}
END_TEST

/* Of another tenant, that each was told of; and what was told goes with the node's own tenant. */
START_TEST(test_other_tenant)
{
	char list[2 + RECORD_TENANT_MAX];
	struct frame_bytes told = { (const uint8_t *)list, 0 };
	struct e2e_keys ka, kb;
	struct peer_identity peer;
	struct e2e_hello hello;
	struct e2e *a, *b;

	w.a.m.tenant[0] = 'x';
	told.len = (size_t)snprintf(list, sizeof(list), "%c%s", (int)strlen(w.a.m.tenant), w.a.m.tenant);
	world_node_sign(&w.a);
	ck_assert_int_eq(e2e_self_tenants(&w.b.self, false, told), 0);
	a = open_it();
	ck_assert_int_eq(accept_it(&b, &hello), REASON_NONE);
	ck_assert_str_eq(hello.peer.tenant, w.a.m.tenant);
	ck_assert_int_eq(e2e_answer(b, &w.b.self, m2, &m2_len, &kb), 0);
	ck_assert_int_eq(e2e_finish(a, &w.a.self, m2, m2_len, WORLD_NOW, &ka, &peer), REASON_NONE);
	e2e_free(a);
	e2e_free(b);
	ck_assert_int_eq(e2e_self_tenants(&w.b.self, true, (struct frame_bytes){ (const uint8_t *)"\0", 1 }), -1);
	a = open_it();
	ck_assert_int_eq(accept_it(&b, &hello), REASON_NONE);
	e2e_free(b);
	e2e_self_node(&w.b.self, w.b.self.node_id, w.authority.public, "another");
	e2e_self_node(&w.b.self, w.b.self.node_id, w.authority.public, WORLD_TENANT);
	world_node_sign(&w.b);
	ck_assert_int_eq(refused(), REASON_AUTH_TENANT);
	e2e_free(a);
}
END_TEST

START_TEST(test_acceptor_records)
{
	w.b.m_signer = &w.other;
	world_node_sign(&w.b);
	ck_assert_int_eq(answer_refused(0, 0, 0), REASON_AUTH_AUTHORITY);
	world_init(&w);
	w.b.m.tenant[0] = 'x';
	world_node_sign(&w.b);
	ck_assert_int_eq(answer_refused(0, 0, 0), REASON_AUTH_TENANT);
	world_init(&w);
	w.b.m.not_after = WORLD_NOW;
	world_node_sign(&w.b);
	ck_assert_int_eq(answer_refused(0, 0, 0), REASON_AUTH_EXPIRED);
	world_init(&w);
	w.b.m.not_before = WORLD_NOW + CLOCK_SKEW_S + 1;
	world_node_sign(&w.b);
	ck_assert_int_eq(answer_refused(0, 0, 0), REASON_AUTH_NOT_YET);
	world_init(&w);
	/* Another member's. */
	memcpy(w.b.self.records, w.a.self.records, sizeof(w.b.self.records));
	w.b.self.membership_len = w.a.mlen;
	ck_assert_int_eq(answer_refused(0, 0, 0), REASON_AUTH_NODE);
	world_init(&w);
	w.b.self.records[w.b.mlen - 1] ^= 1;
	ck_assert_int_eq(answer_refused(0, 0, 0), REASON_AUTH_RECORD);
	w.b.self.membership_len--;
	ck_assert_int_eq(answer_refused(0, 0, 0), REASON_AUTH_RECORD);
}
END_TEST

/* A member that signs a service record with its own key, for a node that is not it: the record says whose it is. */
START_TEST(test_acceptor_without_the_key)
{
	struct noise_key other;
	struct e2e_hello hello;
	struct e2e *a, *b;

	ck_assert_int_eq(noise_key_generate(&other), 0);
	w.b.s.subject = other.public;
	world_node_sign(&w.b);
	a = open_it();
	ck_assert_int_eq(accept_it(&b, &hello), REASON_AUTH_PROOF);
	e2e_free(a);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("e2e");
	TCase *t = tcase_create("e2e");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_both_know);
	tcase_add_test(t, test_keys_of_streams);
	tcase_add_test(t, test_largest_records_fit);
	tcase_add_test(t, test_self);
	tcase_add_test(t, test_service_record);
	tcase_add_test(t, test_service_record_tampered);
	tcase_add_test(t, test_message_1_tampered);
	tcase_add_test(t, test_message_1_meant_for_another);
	tcase_add_test(t, test_opener_records);
	tcase_add_test(t, test_opener_records_tampered);
	tcase_add_test(t, test_message_1_payload);
	tcase_add_test(t, test_message_1_replayed);
	tcase_add_test(t, test_acceptor_has_no_key);
	tcase_add_test(t, test_message_2_tampered);
	tcase_add_test(t, test_acceptor_records);
	tcase_add_test(t, test_other_tenant);
	tcase_add_test(t, test_acceptor_without_the_key);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
