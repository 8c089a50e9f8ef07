/*
 * Express packets: unreliable DATA beside QUIC on the same UDP path (fabric-frame(5), "Express packets"). Here is their
 * form; crypto/seal.h seals their heads, fabric/rate.h says how fast they may go.
 */
#ifndef WIRE_EXPRESS_H
#define WIRE_EXPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

#define EXPRESS_CAPABILITY	1u	/* in HELLO: the sender of it takes express packets */
#define EXPRESS_CID_LEN		8u
#define EXPRESS_HEADER_LEN	(1u + EXPRESS_CID_LEN + 4u + 2u)
#define EXPRESS_TAG_LEN		16u
#define EXPRESS_OVERHEAD	(EXPRESS_HEADER_LEN + EXPRESS_TAG_LEN)
#define EXPRESS_FEEDBACK_LEN	32u
#define EXPRESS_LABEL		"EXPORTER-fabric-express"
#define EXPRESS_KEY_LEN		32u

enum express_kind {
	EXPRESS_WHOLE,		/* DATA frames, all of them sealed */
	EXPRESS_BARE,		/* their headers are sealed, their payloads, sealed end to end already, follow as they are */
	EXPRESS_FEEDBACK,
	EXPRESS_KINDS
};

/* The keys that the exporter gives, one after the other. */
enum express_key {
	EXPRESS_KEY_DATA_I, EXPRESS_KEY_DATA_R,		/* DATA from the initiator, from the responder */
	EXPRESS_KEY_FEEDBACK_I, EXPRESS_KEY_FEEDBACK_R,
	EXPRESS_KEYS
};

struct express_header {
	enum express_kind kind;
	bool		phase;
	uint8_t		cid[EXPRESS_CID_LEN];	/* the receiver's */
	uint32_t	number;			/* its low 32 bits */
	uint16_t	head_len;		/* bytes that are sealed, without the tag */
};

/* What the receiver of DATA says of all that it has opened so far. */
struct express_feedback {
	uint64_t highest;	/* number */
	uint64_t count;		/* packets */
	uint64_t bytes;		/* of UDP payload */
	uint32_t held_us;	/* since the highest came */
	uint32_t ce;		/* packets that came marked "congestion experienced", modulo 2^32 */
};

/* Whether the first byte of a UDP payload is an express packet's: QUIC's have its fixed bit or its long bit. */
static inline bool
express_is(uint8_t first)
{
	return (first & 0xe0) == 0x20;
}

/* False when it is none, is shorter than it says or, for all kinds but BARE, longer. */
bool	express_header_get(struct express_header *, const uint8_t *pkt, size_t len);

/*
 * Writes EXPRESS_HEADER_LEN bytes with the phase bit clear: so they are authenticated. express_phase_set() sets it, and
 * express_phase_clear() undoes that at the receiver.
 */
void	express_header_put(uint8_t *pkt, const struct express_header *);

static inline void
express_phase_set(uint8_t *pkt, bool phase)
{
	pkt[0] |= phase;
}

static inline void
express_phase_clear(uint8_t *pkt)
{
	pkt[0] &= 0xfe;
}

/*
 * The DATA frames of an opened packet, one after the other: the next of *head, its payload in the head itself or, for
 * EXPRESS_BARE, at *rest; both are moved on. 1 with a frame, 0 when both are used up, -1 when they are malformed.
 */
struct express_cursor {
	enum express_kind kind;
	const uint8_t	*head, *rest;
	size_t		 head_len, rest_len;
};
int	express_next(struct express_cursor *, struct frame_data *);

/*
 * Of an EXPRESS_BARE only the head is sealed: how long the rest is, anybody on the way can change. False when it is not as
 * long as the heads say. True also when they are malformed, which is the sender's doing: express_next() says so.
 */
bool	express_bare_fits(const uint8_t *head, size_t head_len, size_t rest_len);

/* Exactly EXPRESS_FEEDBACK_LEN bytes. False when len is another. */
bool	express_feedback_get(struct express_feedback *, const uint8_t *p, size_t len);
void	express_feedback_put(uint8_t *p, const struct express_feedback *);

#endif
