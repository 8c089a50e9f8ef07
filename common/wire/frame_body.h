/* The body of each frame type but DATA: reading and writing. For frame.c only. */
#ifndef WIRE_FRAME_BODY_H
#define WIRE_FRAME_BODY_H

#include "wire/fields.h"

/*
 * Reads the body of f->type into its member of the union, which it fills whole, and sets
 * f->params_skipped. 0, or a negative frame_error.
 */
int	frame_body_get(struct frame *f, struct field_reader *r, enum frame_port port);

/* Writes it. Only what would harm the writing is checked: the caller reads back what was written. */
void	frame_body_put(struct tlv_writer *w, const struct frame *f);

/* A type that the two above know. */
bool	frame_body_known(uint64_t type);

#endif
