/*
 * The fixed fields in front of a TLV list: a reader whose first error stays, and the same writer as for
 * TLVs. Text rules that frames and records share.
 */
#ifndef WIRE_FIELDS_H
#define WIRE_FIELDS_H

#include "wire/tlv.h"

struct field_reader {
	const uint8_t	*p, *end;
	int		 err;	/* 0, or the first negative frame_error */
};

void	field_read_init(struct field_reader *r, const uint8_t *p, size_t len);

/* One varint of `min`..`max`. 0 after an error: FRAME_E_SHORT, FRAME_E_VARINT or FRAME_E_VALUE. */
uint64_t	field_uint(struct field_reader *r, uint64_t min, uint64_t max);

/* `len` raw bytes, borrowed; NULL after an error. */
const uint8_t	*field_raw(struct field_reader *r, size_t len);

/* Eight bytes, big endian. */
uint64_t	field_u64(struct field_reader *r);

/* A length as varint, `min`..`max`, and so many bytes, borrowed. */
struct frame_bytes	field_bytes(struct field_reader *r, size_t min, size_t max);

/* Ends a list of fields without TLVs: the first error, FRAME_E_TRAILING when bytes are left, else 0. */
int	field_end(const struct field_reader *r);

/* The writing half of each; w->failed is set when it does not fit or cannot be written. */
void	field_put_uint(struct tlv_writer *w, uint64_t v);
void	field_put_raw(struct tlv_writer *w, const void *p, size_t len);
void	field_put_u64(struct tlv_writer *w, uint64_t v);
void	field_put_bytes(struct tlv_writer *w, struct frame_bytes b);

/*
 * UTF-8 (RFC 3629) without control characters, line and paragraph separators and the characters that
 * change the direction of the text after them, so that it can go to a log or a terminal as it is.
 */
bool	text_printable(const uint8_t *p, size_t len);

/* [a-z0-9] and then [a-z0-9-], or a dot as well when `dots`; 1..max bytes. */
bool	text_name(const uint8_t *p, size_t len, size_t max, bool dots);

#endif
