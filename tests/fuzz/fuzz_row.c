/* The reader of rows: what it reads, written again, gives the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "proc/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

/* False for a string that the writer would have cut: it holds a NUL. */
static bool
write_again(struct row_writer *w, const struct row_field *f)
{
	char text[2048];

	if (f->type == ROW_UINT)
		row_uint(w, f->name, f->num);
	if (f->type == ROW_BOOL)
		row_bool(w, f->name, f->num != 0);
	if (f->type != ROW_STR)
		return true;
	HOLDS(f->str.len < sizeof(text));
	memcpy(text, f->str.p, f->str.len);
	text[f->str.len] = '\0';
	row_str(w, f->name, text);
	return memchr(f->str.p, '\0', f->str.len) == NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct row_writer w;
	struct frame_bytes row = { data, size };
	struct row_field f;
	size_t off = 0, before = 0;
	int rv;

	while ((rv = row_next(&row, &off, &f)) == 1) {
		HOLDS(off > before && off <= size);
		HOLDS(f.name[0] != '\0' && strlen(f.name) <= ROW_NAME_MAX);
		row_init(&w);
		if (write_again(&w, &f))
			HOLDS(!w.failed && w.len == off - before && memcmp(w.buf, data + before, w.len) == 0);
		before = off;
	}
	HOLDS(rv == 0 ? off == size : rv == -1 && off == before);
	return 0;
}
