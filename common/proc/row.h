/*
 * Rows: what a worker answers to fabricctl. A row says its own names, so that the
 * supervisor hands it on unread and fabricctl prints any row as a table or as JSON.
 *
 *	field = name (length byte, then [a-z0-9_] bytes), type (1 byte), value
 *	value = STR: length (2 bytes, big endian), bytes; UINT: 8 bytes, big endian; BOOL: 1 byte, 0 or 1
 */
#ifndef PROC_ROW_H
#define PROC_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

#define ROW_MAX 4096
#define ROW_NAME_MAX 31

enum row_type { ROW_STR = 1, ROW_UINT, ROW_BOOL };

struct row_writer {
	uint8_t	buf[ROW_MAX];
	size_t	len;
	bool	failed;		/* a field did not fit; the row must not be sent */
};

void	row_init(struct row_writer *w);
void	row_str(struct row_writer *w, const char *name, const char *value);	/* value is cut at 1024 bytes */
void	row_uint(struct row_writer *w, const char *name, uint64_t value);
void	row_bool(struct row_writer *w, const char *name, bool value);

struct row_field {
	char		  name[ROW_NAME_MAX + 1];
	enum row_type	  type;
	struct frame_bytes str;		/* ROW_STR; not NUL-terminated, any bytes: escape before printing */
	uint64_t	  num;		/* ROW_UINT, ROW_BOOL */
};

/* Reads the next field at *off: 1, 0 at the end, -1 malformed. */
int	row_next(const struct frame_bytes *row, size_t *off, struct row_field *f);

#endif
