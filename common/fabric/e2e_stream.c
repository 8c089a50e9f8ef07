#include "fabric/e2e_stream.h"

#include <stdlib.h>
#include <string.h>

#define PHASE_BIT	0x8000u
#define BUF_MIN		2048u	/* what a record in part gets at first; doubled as they need it */

struct e2e_stream {
	struct e2e	*handshake;	/* opener: until message 2 was read */
	const struct e2e_self *self;	/* as long */
	struct peer_identity *peer;	/* opener: until trimmed */
	struct seal_tx	*tx;
	struct seal_rx	*rx;
	uint8_t		*buf;		/* the body of a record that came in part */
	size_t		 room, have;	/* of buf; `have' counts the header as well */
	uint8_t		 header[E2E_RECORD_HEADER];
	bool		 finished;	/* we have said the end */
	bool		 ended;		/* the other end has */
	bool		 confirmed;
	int		 reason;
};

static enum e2e_stream_result
fail(struct e2e_stream *s, int reason)
{
	s->reason = reason;
	e2e_free(s->handshake);
	seal_tx_free(s->tx);
	seal_rx_free(s->rx);
	s->handshake = NULL;
	s->tx = NULL;
	s->rx = NULL;
	return E2E_STREAM_FAILED;
}

struct e2e_stream *
e2e_stream_connect(struct e2e *handshake, const struct e2e_self *self)
{
	struct e2e_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->handshake = handshake;
	s->self = self;
	return s;
}

/* From a handshake's keys. -1 when memory is short. */
static int
keys_set(struct e2e_stream *s, const struct e2e_keys *keys, uint64_t now_ns)
{
	s->tx = seal_tx_new(keys->cipher, keys->tx, NULL, now_ns);
	s->rx = seal_rx_new(keys->cipher, keys->rx, NULL, true);
	return s->tx != NULL && s->rx != NULL ? 0 : -1;
}

struct e2e_stream *
e2e_stream_accept(const struct e2e_keys *keys, uint64_t now_ns)
{
	struct e2e_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	if (keys_set(s, keys, now_ns) == 0)
		return s;
	e2e_stream_free(s);
	return NULL;
}

static void
buf_drop(struct e2e_stream *s)
{
	if (s->buf != NULL)
		crypto_wipe(s->buf, s->room);
	free(s->buf);
	s->buf = NULL;
	s->room = 0;
}

void
e2e_stream_free(struct e2e_stream *s)
{
	if (s == NULL)
		return;
	fail(s, REASON_NONE);
	buf_drop(s);
	free(s->peer);
	free(s);
}

void
e2e_stream_trim(struct e2e_stream *s)
{
	if (s->have <= E2E_RECORD_HEADER)
		buf_drop(s);
	free(s->peer);
	s->peer = NULL;
}

void
e2e_stream_rest(struct e2e_stream *s)
{
	e2e_stream_trim(s);
	if (s->tx != NULL)
		seal_tx_trim(s->tx);
	if (s->rx != NULL)
		seal_rx_trim(s->rx);
}

bool
e2e_stream_ready(const struct e2e_stream *s)
{
	return s->tx != NULL && !s->finished;
}

bool
e2e_stream_confirmed(const struct e2e_stream *s)
{
	return s->confirmed;
}

int
e2e_stream_reason(const struct e2e_stream *s)
{
	return s->reason;
}

const struct peer_identity *
e2e_stream_peer(const struct e2e_stream *s)
{
	return s->peer;
}

void
e2e_stream_rekey(struct e2e_stream *s)
{
	if (s->tx != NULL)
		seal_tx_rekey(s->tx);
}

/* --- what goes --------------------------------------------------------------- */

static void
header_put(uint8_t out[E2E_RECORD_HEADER], size_t len, bool phase)
{
	unsigned v = (unsigned)len | (phase ? PHASE_BIT : 0);

	out[0] = (uint8_t)(v >> 8);
	out[1] = (uint8_t)v;
}

size_t
e2e_stream_message_put(uint8_t *out, const uint8_t *message, size_t len)
{
	header_put(out, len, false);
	memcpy(out + E2E_RECORD_HEADER, message, len);
	return E2E_RECORD_HEADER + len;
}

/* One record of n bytes, for which there is room. Its length, or 0: no more can be sealed, ever. */
static size_t
record_put(struct e2e_stream *s, uint8_t *out, const uint8_t *text, size_t n, uint64_t now_ns)
{
	struct seal_pkt pkt = { .data = out + E2E_RECORD_HEADER, .text = text, .len = n };

	if (seal_packets(s->tx, &pkt, 1, now_ns) != 1) {
		fail(s, REASON_INTERNAL);
		return 0;
	}
	header_put(out, pkt.len, pkt.phase);
	return E2E_RECORD_HEADER + pkt.len;
}

size_t
e2e_stream_seal(struct e2e_stream *s, uint8_t *out, size_t size, const uint8_t *text, size_t n, size_t *used,
    uint64_t now_ns)
{
	size_t len;

	*used = 0;
	if (!e2e_stream_ready(s) || size <= E2E_OVERHEAD || n == 0)
		return 0;
	if (n > size - E2E_OVERHEAD)
		n = size - E2E_OVERHEAD;
	if (n > E2E_TEXT_MAX)
		n = E2E_TEXT_MAX;
	if ((len = record_put(s, out, text, n, now_ns)) != 0)
		*used = n;
	return len;
}

size_t
e2e_stream_finish(struct e2e_stream *s, uint8_t *out, size_t size, uint64_t now_ns)
{
	size_t len;

	if (!e2e_stream_ready(s) || size < E2E_OVERHEAD)
		return 0;
	if ((len = record_put(s, out, NULL, 0, now_ns)) != 0)
		s->finished = true;
	return len;
}

/* --- what comes -------------------------------------------------------------- */

static enum e2e_stream_result
message_2(struct e2e_stream *s, const uint8_t *message, size_t len, uint64_t now_ns, uint64_t now)
{
	struct e2e_keys keys;
	int reason;

	if ((s->peer = malloc(sizeof(*s->peer))) == NULL)
		return fail(s, REASON_INTERNAL);
	reason = e2e_finish(s->handshake, s->self, message, len, now, &keys, s->peer);
	if (reason == REASON_NONE && keys_set(s, &keys, now_ns) == -1)
		reason = REASON_INTERNAL;
	e2e_keys_wipe(&keys);
	e2e_free(s->handshake);
	s->handshake = NULL;
	s->self = NULL;
	return reason == REASON_NONE ? E2E_STREAM_READY : fail(s, reason);
}

static enum e2e_stream_result
record(struct e2e_stream *s, uint8_t *body, size_t len, bool phase, struct frame_bytes *text, uint64_t now_ns)
{
	struct seal_pkt pkt = { .data = body, .len = len, .number = seal_rx_next(s->rx), .phase = phase };

	if (seal_open(s->rx, &pkt, 1, now_ns) != 1)
		return fail(s, pkt.error == SEAL_E_LIBRARY ? REASON_INTERNAL : REASON_TAMPERED);
	s->confirmed = true;
	*text = (struct frame_bytes){ body, pkt.len };
	if (pkt.len > 0)
		return E2E_STREAM_TEXT;
	s->ended = true;
	return E2E_STREAM_END;
}

/* The length that a header says, or 0: it is none that can be. */
static size_t
body_len(const struct e2e_stream *s, const uint8_t header[E2E_RECORD_HEADER])
{
	size_t v = (size_t)header[0] << 8 | header[1];

	if (s->handshake != NULL)
		return v >= NOISE_2_OVERHEAD && v <= E2E_MESSAGE_MAX ? v : 0;
	v &= ~(size_t)PHASE_BIT;
	return v >= SEAL_TAG_LEN ? v : 0;
}

static enum e2e_stream_result
body_take(struct e2e_stream *s, const uint8_t *header, uint8_t *body, size_t len, struct frame_bytes *text,
    uint64_t now_ns, uint64_t now)
{
	if (s->handshake != NULL)
		return message_2(s, body, len, now_ns, now);
	return record(s, body, len, (header[0] & PHASE_BIT >> 8) != 0, text, now_ns);
}

/* Moves up to `want' bytes in all to `to', of which there are s->have - before already. */
static void
gather(struct e2e_stream *s, uint8_t *to, size_t before, size_t want, uint8_t **in, size_t *len)
{
	size_t have = s->have - before, n = want - have < *len ? want - have : *len;

	memcpy(to + have, *in, n);
	s->have += n;
	*in += n;
	*len -= n;
}

static int
buf_make(struct e2e_stream *s, size_t need)
{
	size_t room = BUF_MIN;

	if (need <= s->room)
		return 0;
	while (room < need)
		room *= 2;
	buf_drop(s);
	if ((s->buf = malloc(room)) == NULL)
		return -1;
	s->room = room;
	return 0;
}

/* A record that has come in part, and more of it. */
static enum e2e_stream_result
in_part(struct e2e_stream *s, uint8_t **in, size_t *len, struct frame_bytes *text, uint64_t now_ns, uint64_t now)
{
	size_t need;

	if (s->have < E2E_RECORD_HEADER)
		gather(s, s->header, 0, E2E_RECORD_HEADER, in, len);
	if (s->have < E2E_RECORD_HEADER)
		return E2E_STREAM_MORE;
	if ((need = body_len(s, s->header)) == 0)
		return fail(s, REASON_TAMPERED);
	if (*len == 0)
		return E2E_STREAM_MORE;
	if (buf_make(s, need) == -1)
		return fail(s, REASON_INTERNAL);
	gather(s, s->buf, E2E_RECORD_HEADER, need, in, len);
	if (s->have < E2E_RECORD_HEADER + need)
		return E2E_STREAM_MORE;
	s->have = 0;
	return body_take(s, s->header, s->buf, need, text, now_ns, now);
}

enum e2e_stream_result
e2e_stream_open(struct e2e_stream *s, uint8_t **in, size_t *len, struct frame_bytes *text, uint64_t now_ns, uint64_t now)
{
	uint8_t *p = *in;
	size_t need;

	*text = (struct frame_bytes){ NULL, 0 };
	if (s->reason != REASON_NONE)
		return E2E_STREAM_FAILED;
	if (*len == 0)
		return E2E_STREAM_MORE;
	if (s->ended)
		return fail(s, REASON_TAMPERED);
	/* The usual case: all of it is here. */
	if (s->have == 0 && *len >= E2E_RECORD_HEADER && (need = body_len(s, p)) != 0 &&
	    *len - E2E_RECORD_HEADER >= need) {
		*in += E2E_RECORD_HEADER + need;
		*len -= E2E_RECORD_HEADER + need;
		return body_take(s, p, p + E2E_RECORD_HEADER, need, text, now_ns, now);
	}
	return in_part(s, in, len, text, now_ns, now);
}

int
e2e_stream_closed(struct e2e_stream *s)
{
	if (s->reason == REASON_NONE && !s->ended)
		fail(s, REASON_TAMPERED);
	return s->reason;
}
