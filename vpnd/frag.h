/*
 * Units that do not fit one datagram: how to cut them, and a bounded place to put them together again.
 *
 * The fragments of a unit share its sequence number. A unit that is not whole after a second is given up.
 */
#ifndef VPND_FRAG_H
#define VPND_FRAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

#define FRAG_SLOTS	32u		/* units being put together; 64 KiB each at most */
#define FRAG_PER_OWNER	8u		/* of one peer */
#define FRAG_TIMEOUT_NS	1000000000ull

/*
 * The next piece of a unit of `len` bytes when `max` bytes fit a frame: the piece that begins at `off` < len. 0 when
 * `max` is too small for any piece. A last piece has off + piece == len.
 */
size_t	frag_piece(size_t len, size_t off, size_t max);

enum frag_result {
	FRAG_DONE = 1,		/* the unit is whole */
	FRAG_MORE = 0,		/* kept */
	FRAG_E_DUPLICATE = -1,	/* this piece was here already: ignored */
	FRAG_E_OVERLAP = -2,	/* it contradicts an earlier piece: the unit is given up */
	FRAG_E_RANGE = -3,	/* no piece of any unit */
};

struct frag_table;

struct frag_table *frag_new(void);
void	frag_free(struct frag_table *);

/*
 * One fragment of stream `stream_id`, which belongs to peer `owner`. After FRAG_DONE `unit` is the whole unit, borrowed
 * until the next call.
 */
int	frag_add(struct frag_table *, uint32_t owner, const struct frame_data *d, uint64_t now_ns,
	    struct frame_bytes *unit);

/* Gives up what is too old, or what a peer or (stream_id not 0) one of its streams began. How many units that were. */
unsigned	frag_expire(struct frag_table *, uint64_t now_ns);
unsigned	frag_forget(struct frag_table *, uint32_t owner, uint64_t stream_id);

/* Units given up to make room, since the table exists. */
uint64_t	frag_evicted(const struct frag_table *);

#endif
