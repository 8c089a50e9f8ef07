/*
 * Cuts the bytes of one stream's own channel into its frames, without room for a whole frame: of DATA the payload is
 * given on as it comes, in parts with the sequence number of each, as if every part had been a frame.
 */
#ifndef FABRIC_CUT_H
#define FABRIC_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

#define CUT_FRAME_MAX	256u	/* bytes of a frame that is not DATA; RESET_STREAM takes the most, 151 */

struct cut {
	uint8_t	*in;		/* what there is of a frame that is not whole, exactly in_len bytes; NULL: nothing */
	uint64_t id, seq;	/* of the DATA whose payload is still coming */
	uint32_t left;		/* bytes of it, or of a frame to be skipped, that are to come */
	uint16_t in_len;
	bool	 skip;
};

void	cut_init(struct cut *);
void	cut_free(struct cut *);

/*
 * The next frame, or part of a DATA, of the *len bytes at *p, which it moves on; f is good until the next call, for any
 * stream. FRAME_OK, FRAME_MORE when all was used, or a negative enum frame_error. Frames that are to be skipped are.
 */
int	cut_next(struct cut *, struct frame *f, const uint8_t **p, size_t *len, uint32_t max_frame);

/* Whether it stands between two frames. */
bool	cut_between(const struct cut *);

/*
 * The stream that the first frame of these bytes is of: FRAME_OK, FRAME_MORE, or negative when no frame of a stream's own
 * channel begins so.
 */
int	cut_peek(uint64_t *id, const uint8_t *p, size_t len);

#endif
