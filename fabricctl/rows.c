#include "fabricctl/rows.h"

#include <stdlib.h>
#include <string.h>

static bool
well_formed(const struct frame_bytes *row)
{
	struct row_field f;
	size_t off = 0;
	unsigned n = 0;
	int rv;

	while ((rv = row_next(row, &off, &f)) == 1)
		n++;
	return rv == 0 && n > 0 && n <= ROW_FIELDS_MAX;
}

static bool
grow(struct rows *r)
{
	size_t size = r->size == 0 ? 64 : r->size * 2;
	struct frame_bytes *list;

	if (r->n < r->size)
		return true;
	if (r->n >= ROWS_MAX || (list = realloc(r->list, size * sizeof(*list))) == NULL)
		return false;
	r->list = list;
	r->size = size;
	return true;
}

void
rows_add(struct rows *r, const struct frame_bytes *row)
{
	uint8_t *copy;

	if (!well_formed(row))
		return;
	if (!grow(r) || (copy = malloc(row->len)) == NULL) {
		r->full = true;
		return;
	}
	memcpy(copy, row->p, row->len);
	r->list[r->n++] = (struct frame_bytes){ copy, row->len };
}

void
rows_free(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		free((void *)(uintptr_t)r->list[i].p);
	free(r->list);
	memset(r, 0, sizeof(*r));
}

bool
row_find(const struct frame_bytes *row, const char *name, struct row_field *f)
{
	size_t off = 0;

	while (row_next(row, &off, f) == 1)
		if (strcmp(f->name, name) == 0)
			return true;
	return false;
}

bool
row_is(const struct frame_bytes *row, const char *name, const char *value)
{
	struct row_field f;

	return row_find(row, name, &f) && f.type == ROW_STR && f.str.len == strlen(value) &&
	    memcmp(f.str.p, value, f.str.len) == 0;
}

uint64_t
row_number(const struct frame_bytes *row, const char *name, uint64_t otherwise)
{
	struct row_field f;

	return row_find(row, name, &f) && f.type != ROW_STR ? f.num : otherwise;
}
