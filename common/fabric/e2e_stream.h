/*
 * The bytes of a reliable stream, sealed end to end: fabric-e2e(7). Sans-I/O: plaintext in and records out, bytes of the
 * stream in, cut anywhere, and plaintext out. What comes out goes to stream_write(), whole and in order; what
 * stream_read() gives goes in.
 *
 * The acceptor's direction begins with message 2; both then are records, of which the last is empty: the end. Whoever
 * cuts, changes, adds, repeats or moves anything ends the stream with REASON_TAMPERED.
 *
 * Memory: about 2.7 KiB, of which e2e_stream_rest() gives 1.7 back, and while a record has come in part up to 32 KiB, which e2e_stream_trim() gives back.
 */
#ifndef FABRIC_E2E_STREAM_H
#define FABRIC_E2E_STREAM_H

#include "crypto/seal.h"
#include "fabric/e2e.h"

#define E2E_RECORD_HEADER 2u
#define E2E_RECORD_MAX	(0x7fffu)				/* ciphertext with its tag */
#define E2E_TEXT_MAX	(E2E_RECORD_MAX - SEAL_TAG_LEN)		/* plaintext of one record */
#define E2E_OVERHEAD	(E2E_RECORD_HEADER + SEAL_TAG_LEN)	/* of a record */

struct e2e_stream;

/*
 * The opener's: of e2e_open(), which it owns from now on. Nothing can be sealed before E2E_STREAM_READY. `self` has to
 * stay where it is until then. NULL when memory is short (the handshake is then still the caller's).
 */
struct e2e_stream *e2e_stream_connect(struct e2e *, const struct e2e_self *);

/* The acceptor's, of e2e_answer()'s keys, which are copied; message 2 is the caller's to write before all else. */
struct e2e_stream *e2e_stream_accept(const struct e2e_keys *, uint64_t now_ns);

void	e2e_stream_free(struct e2e_stream *);	/* wipes it; NULL is fine */

/* Message 2 as the stream carries it, with its length before it. out has E2E_RECORD_HEADER + len bytes. Its length. */
size_t	e2e_stream_message_put(uint8_t *out, const uint8_t *message, size_t len);

/*
 * Seals up to n bytes of `text` as one record, which it writes to `out` with `size` bytes of room; the two do not
 * overlap. *used is how many bytes of text are in it. Returns the record's length, 0 when there is not room for one
 * byte (E2E_OVERHEAD + 1), nothing to seal, or it is not ready or over.
 */
size_t	e2e_stream_seal(struct e2e_stream *, uint8_t *out, size_t size, const uint8_t *text, size_t n, size_t *used,
	    uint64_t now_ns);

/* Writes the end (E2E_OVERHEAD bytes), after which nothing can be sealed. Its length, or 0: no room, not ready, over. */
size_t	e2e_stream_finish(struct e2e_stream *, uint8_t *out, size_t size, uint64_t now_ns);

/* The next record is sealed with the next key, as happens by itself after 32 GiB, 2^22 records or two minutes. */
void	e2e_stream_rekey(struct e2e_stream *);

enum e2e_stream_result {
	E2E_STREAM_MORE = 0,	/* all bytes were taken */
	E2E_STREAM_READY,	/* opener: message 2 was good; see e2e_stream_peer() */
	E2E_STREAM_TEXT,	/* *text is the next of the plaintext */
	E2E_STREAM_END,		/* the other end said that this was all */
	E2E_STREAM_FAILED,	/* e2e_stream_reason(): nothing more comes out */
};

/*
 * Takes bytes of the stream from *in, moving it and *len on, until something has happened; to be called until it gives
 * E2E_STREAM_MORE or _FAILED. The bytes are changed. *text points into them or into the stream, until the next call.
 * `now` is the time of day in seconds, for message 2.
 */
enum e2e_stream_result e2e_stream_open(struct e2e_stream *, uint8_t **in, size_t *len, struct frame_bytes *text,
	    uint64_t now_ns, uint64_t now);

/* The other end closed its direction. REASON_NONE when the end was said before it, else REASON_TAMPERED. */
int	e2e_stream_closed(struct e2e_stream *);

bool	e2e_stream_ready(const struct e2e_stream *);	/* something can be sealed */
bool	e2e_stream_confirmed(const struct e2e_stream *); /* something has opened: the other end is there now */
int	e2e_stream_reason(const struct e2e_stream *);	/* why it failed; REASON_NONE */

/* Opener, at E2E_STREAM_READY and until e2e_stream_trim(): who answered; else NULL. */
const struct peer_identity *e2e_stream_peer(const struct e2e_stream *);

/* Gives back what is not needed between two records. */
void	e2e_stream_trim(struct e2e_stream *);

/* And what a stream does not need on which nothing has moved for a while, and that costs something to have again. */
void	e2e_stream_rest(struct e2e_stream *);

#endif
