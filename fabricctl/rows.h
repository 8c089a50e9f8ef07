/* The rows of an answer, kept and printed: as a table for people, as JSON for programs. */
#ifndef FABRICCTL_ROWS_H
#define FABRICCTL_ROWS_H

#include <stdio.h>

#include "proc/row.h"

#define ROWS_MAX	200000		/* of one answer */
#define ROW_FIELDS_MAX	64

struct rows {
	struct frame_bytes *list;	/* copies */
	size_t	n, size;
	bool	full;			/* there were more, or no memory for more */
};

/* Keeps a copy of a well-formed row; others are left out. */
void	rows_add(struct rows *, const struct frame_bytes *row);
void	rows_free(struct rows *);

/* The field of that name: false when the row has none. */
bool	row_find(const struct frame_bytes *row, const char *name, struct row_field *f);
/* As text for comparison: true when it is a string and equal. */
bool	row_is(const struct frame_bytes *row, const char *name, const char *value);
uint64_t row_number(const struct frame_bytes *row, const char *name, uint64_t otherwise);

/* table.c: columns in the order in which fields first appear; columns without any value are left out. */
void	table_print(FILE *, const struct rows *);
/* A value for people: units by the end of the name (_us, _ms, _s, bytes). Returns the buffer. */
#define VALUE_MAX 4200
char	*table_value(char buf[VALUE_MAX], const struct row_field *);

/* What a field is called when its value is shown with the unit: "rtt_us" is rtt, "bytes_in" is in. Returns out. */
char	*table_label(char out[ROW_NAME_MAX + 1], const char *name);

/* json.c: {"version":1,"command":...,"rows":[...]} on one line. `error` may be NULL. */
void	json_print(FILE *, const char *command, const struct rows *, int status, const char *error);

#endif
