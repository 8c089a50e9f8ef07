/*
 * Bytes that wait, first in, first out, in small pieces of memory that come when they are needed and go when they are
 * empty. A cursor reads ahead of the front, for what is sent and kept until it is acknowledged.
 *
 * The memory of n bytes is at most n + RING_SLACK; empty it is nothing.
 */
#ifndef FABRIC_RING_H
#define FABRIC_RING_H

#include <stddef.h>
#include <stdint.h>

#include "fabric/budget.h"

#define RING_PIECE	2048u			/* bytes of memory a piece, its head included */
#define RING_PIECE_DATA	(RING_PIECE - 8u)
/* The first piece and the last may be nearly empty, and each piece has a head. */
#define RING_COST(n)	((n) / RING_PIECE_DATA * RING_PIECE + 2u * RING_PIECE)

struct ring_piece;

struct ring {
	struct ring_piece *head, *tail;
	struct ring_piece *cur;		/* of the cursor; NULL: at the front while nothing was read, or at the end */
	uint32_t len;			/* bytes in it */
	uint32_t ahead;			/* of those, before the cursor */
	uint16_t head_off, tail_len, cur_off;
};

void	ring_init(struct ring *);

/* Frees everything; the memory is taken off b->held. */
void	ring_free(struct ring *, struct budget *b);

/* Appends n bytes. 0, or -1 when memory is short; then nothing was appended. */
int	ring_put(struct ring *, struct budget *b, const uint8_t *p, size_t n);

/* Copies the first min(n, len) bytes to `out` and drops them; how many. */
size_t	ring_get(struct ring *, struct budget *b, uint8_t *out, size_t n);

/* Drops the first n bytes, at most len. */
void	ring_drop(struct ring *, struct budget *b, size_t n);

/* Copies min(n, len - ahead) bytes from the cursor on and moves it behind them; how many. */
size_t	ring_read(struct ring *, uint8_t *out, size_t n);

/* The cursor is at the front again. */
void	ring_rewind(struct ring *);

/* Bytes of memory that it holds. */
size_t	ring_held(const struct ring *);

#endif
