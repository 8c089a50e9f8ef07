/*
 * TLV lists: tag and length are varints, tags strictly ascend. One reader and one
 * writer serve frames' parameters, records and process messages.
 */
#ifndef WIRE_TLV_H
#define WIRE_TLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

struct tlv_reader {
	const uint8_t	*p, *end;
	uint64_t	 last;		/* last tag */
	bool		 any;
};

struct tlv {
	uint64_t	 tag;
	struct frame_bytes value;
};

void	tlv_read_init(struct tlv_reader *r, const uint8_t *p, size_t len);

/* The next entry: 1, 0 at the end, or FRAME_E_SHORT, FRAME_E_VARINT, FRAME_E_TLV_ORDER. */
int	tlv_read(struct tlv_reader *r, struct tlv *t);

/* A value that is one varint and nothing else, at most `max`: 0, or a negative frame_error. */
int	tlv_uint(const struct tlv *t, uint64_t max, uint64_t *v);

/*
 * A bounded writer: after the first entry that does not fit, or whose tag does not ascend, `failed` stays set.
 * With buf NULL it only counts, up to `size`.
 */
struct tlv_writer {
	uint8_t	*buf;
	size_t	 len, size;
	uint64_t last;
	bool	 any, failed;
};

void	tlv_write_init(struct tlv_writer *w, uint8_t *buf, size_t size);
/* `len` bytes at `value`; NULL only when len is 0. */
void	tlv_put(struct tlv_writer *w, uint64_t tag, const void *value, size_t len);
/* A value that is one varint; `failed` when v is above VARINT_MAX. */
void	tlv_put_uint(struct tlv_writer *w, uint64_t tag, uint64_t v);

#endif
