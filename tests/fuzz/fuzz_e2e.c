/*
 * What comes from another adapter: the first byte says as what, the rest is
 *
 *	0	message 1, to an acceptor
 *	1	the payload of a message 1, sealed truly
 *	2	message 2, to an opener, as its stream begins
 *	3	the payload of a message 2, sealed truly
 *	4	bytes of a stream to an acceptor
 *	5	steps of a true stream: texts, rekeys, cuts, and a byte changed or not
 */
#include <stdlib.h>
#include <string.h>

#include "fabric/e2e_stream.h"
#include "tests/unit/e2e_world.h"

int	LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

#define HOLDS WORLD_HOLDS
#define INPUT_MAX 8192
#define PROLOGUE "fabric e2e v1\0ssh\0"

static struct world w;

static void
begin(void)
{
	if (w.a.mlen == 0)
		world_init(&w);
}

static void
to_acceptor(const uint8_t *in, size_t len)
{
	struct e2e_hello hello;
	struct e2e *e;
	int reason = e2e_accept(&e, &w.b.self, "ssh", 0, NULL, in, len, WORLD_NOW, &hello);

	HOLDS((reason == REASON_NONE) == (e != NULL));
	if (e != NULL)
		HOLDS(memcmp(hello.peer.node_id, w.a.self.node_id, NODE_ID_LEN) == 0 && hello.app_len <= E2E_APP_MAX);
	e2e_free(e);
}

static void
payload_1(const uint8_t *in, size_t len)
{
	uint8_t prologue[sizeof(PROLOGUE) - 1 + NODE_ID_LEN + 1] = PROLOGUE, m[E2E_MESSAGE_MAX] = { 1 };
	struct noise *n;
	int got;

	memcpy(prologue + sizeof(PROLOGUE) - 1, w.b.self.node_id, NODE_ID_LEN);
	prologue[sizeof(prologue) - 1] = 0;
	n = noise_new(AEAD_AESGCM, NOISE_INITIATOR, &w.a.self.key, w.b.self.key.public, prologue, sizeof(prologue), NULL);
	HOLDS(n != NULL);
	if ((got = noise_write(n, m + 1, sizeof(m) - 1, in, len)) > 0)
		to_acceptor(m, 1 + (size_t)got);
	noise_free(n);
}

static struct e2e *
opener(uint8_t *m1, size_t *len)
{
	struct e2e_service s;
	struct e2e *e;

	HOLDS(e2e_service_check(&s, w.b.sbuf, w.b.slen, WORLD_NOW) == REASON_NONE);
	e = e2e_open(&w.a.self, &s, 0, NULL, 0, m1, len, WORLD_NOW);
	HOLDS(e != NULL);
	return e;
}

/* Until it wants more or has failed; nothing that was not sealed comes out. */
static void
to_stream(struct e2e_stream *s, const uint8_t *in, size_t len, bool may_open)
{
	uint8_t *copy = malloc(len + 1), *p = copy;
	struct frame_bytes text;
	enum e2e_stream_result r;

	HOLDS(copy != NULL);
	memcpy(copy, in, len);
	do {
		r = e2e_stream_open(s, &p, &len, &text, 0, WORLD_NOW);
		HOLDS(may_open || r == E2E_STREAM_MORE || r == E2E_STREAM_FAILED);
		HOLDS((r == E2E_STREAM_FAILED) == (e2e_stream_reason(s) != REASON_NONE));
		HOLDS(r != E2E_STREAM_MORE || len == 0);
	} while (r != E2E_STREAM_MORE && r != E2E_STREAM_FAILED);
	free(copy);
}

static void
to_opener(const uint8_t *in, size_t len)
{
	uint8_t m1[E2E_MESSAGE_MAX];
	struct e2e_stream *s;
	size_t m1_len;

	s = e2e_stream_connect(opener(m1, &m1_len), &w.a.self);
	HOLDS(s != NULL);
	to_stream(s, in, len / 2, false);
	to_stream(s, in + len / 2, len - len / 2, false);
	HOLDS(e2e_stream_closed(s) != REASON_NONE);
	e2e_stream_free(s);
}

/* The acceptor has the record's key and says whatever it likes. */
static void
payload_2(const uint8_t *in, size_t len)
{
	uint8_t m1[E2E_MESSAGE_MAX], m2[E2E_RECORD_HEADER + E2E_MESSAGE_MAX], body[E2E_MESSAGE_MAX];
	struct e2e_self liar = w.b.self;
	struct e2e_hello hello;
	struct e2e_keys keys;
	struct e2e *a, *b;
	struct e2e_stream *s;
	size_t n;

	a = opener(m1, &n);
	HOLDS(e2e_accept(&b, &w.b.self, "ssh", 0, NULL, m1, n, WORLD_NOW, &hello) == REASON_NONE);
	liar.membership_len = len < sizeof(liar.records) ? len : sizeof(liar.records);
	memcpy(liar.records, in, liar.membership_len);
	HOLDS(e2e_answer(b, &liar, body, &n, &keys) == 0);
	e2e_free(b);
	s = e2e_stream_connect(a, &w.a.self);
	HOLDS(s != NULL);
	to_stream(s, m2, e2e_stream_message_put(m2, body, n), true);
	HOLDS(!e2e_stream_ready(s) || (liar.membership_len == w.b.mlen && memcmp(in, w.b.mbuf, w.b.mlen) == 0));
	e2e_stream_free(s);
}

/* Keys that are no handshake's. */
static struct e2e_stream *
fixed(uint8_t tx, uint8_t rx, enum aead_cipher cipher)
{
	struct e2e_keys keys = { .cipher = cipher };
	struct e2e_stream *s;

	memset(keys.tx, tx, sizeof(keys.tx));
	memset(keys.rx, rx, sizeof(keys.rx));
	s = e2e_stream_accept(&keys, 0);
	HOLDS(s != NULL);
	return s;
}

static void
bytes(const uint8_t *in, size_t len)
{
	struct e2e_stream *s = fixed(1, 2, len & 1);

	to_stream(s, in, len / 3, false);
	e2e_stream_trim(s);
	to_stream(s, in + len / 3, len - len / 3, false);
	HOLDS(e2e_stream_closed(s) == REASON_TAMPERED);
	e2e_stream_free(s);
}

struct run {
	uint8_t	stream[4 * INPUT_MAX + 64 * INPUT_MAX / 2], text[INPUT_MAX];
	size_t	stream_len, text_len;
};

/* Each step is a length, and every seventh a new key first. */
static void
run_seal(struct run *r, struct e2e_stream *a, const uint8_t *in, size_t len)
{
	while (len > 1 && sizeof(r->stream) - r->stream_len > 512) {
		size_t n = in[0] % (len > 64 ? 64 : len), used;

		if (in[0] % 7 == 0)
			e2e_stream_rekey(a);
		r->stream_len += e2e_stream_seal(a, r->stream + r->stream_len, sizeof(r->stream) - r->stream_len, in + 1, n,
		    &used, 0);
		HOLDS(used == n);
		memcpy(r->text + r->text_len, in + 1, n);
		r->text_len += n;
		in += 1 + n;
		len -= 1 + n;
	}
	r->stream_len += e2e_stream_finish(a, r->stream + r->stream_len, sizeof(r->stream) - r->stream_len, 0);
}

static void
run_open(struct run *r, struct e2e_stream *b, size_t cut, bool whole)
{
	size_t at = 0, text_len = 0;
	bool end = false;

	while (at < r->stream_len) {
		size_t n = r->stream_len - at < cut ? r->stream_len - at : cut;
		uint8_t *p = r->stream + at;
		struct frame_bytes text;
		enum e2e_stream_result res;

		at += n;
		while ((res = e2e_stream_open(b, &p, &n, &text, 0, WORLD_NOW)) == E2E_STREAM_TEXT) {
			HOLDS(text_len + text.len <= r->text_len);
			HOLDS(memcmp(r->text + text_len, text.p, text.len) == 0);
			text_len += text.len;
		}
		end = end || res == E2E_STREAM_END;
		if (res == E2E_STREAM_FAILED)
			break;
	}
	HOLDS(end == whole && (!whole || text_len == r->text_len));
	HOLDS((e2e_stream_closed(b) == REASON_NONE) == whole);
}

static void
steps(const uint8_t *in, size_t len)
{
	static struct run r;
	struct e2e_stream *a, *b;
	size_t cut;
	bool change;

	if (len < 4)
		return;
	a = fixed(1, 2, in[0] & 1);
	b = fixed(2, 1, in[0] & 1);
	change = in[0] & 2;
	cut = 1 + in[1];
	r.stream_len = r.text_len = 0;
	run_seal(&r, a, in + 4, len - 4);
	if (change)
		r.stream[((size_t)in[2] << 8 | in[3]) % r.stream_len] ^= in[0] | 1;
	run_open(&r, b, cut, !change);
	e2e_stream_free(a);
	e2e_stream_free(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	static void (*const kinds[])(const uint8_t *, size_t) = {
		to_acceptor, payload_1, to_opener, payload_2, bytes, steps,
	};

	if (len < 1 || len > INPUT_MAX || in[0] >= sizeof(kinds) / sizeof(kinds[0]))
		return 0;
	begin();
	kinds[in[0]](in + 1, len - 1);
	return 0;
}
