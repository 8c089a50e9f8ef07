#include <inttypes.h>
#include <string.h>

#include "fabricctl/rows.h"
#include "wire/fields.h"

/* Text that is none (it came from elsewhere) is shown byte by byte: no reader of JSON stumbles over it. */
static void
put_string(FILE *f, const uint8_t *p, size_t len)
{
	bool text = text_printable(p, len);

	fputc('"', f);
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '"' || p[i] == '\\')
			fprintf(f, "\\%c", p[i]);
		else if (p[i] < 0x20 || p[i] == 0x7f || (p[i] > 0x7f && !text))
			fprintf(f, "\\u%04x", p[i]);
		else
			fputc(p[i], f);
	}
	fputc('"', f);
}

static void
put_row(FILE *f, const struct frame_bytes *row)
{
	struct row_field v;
	size_t off = 0;
	const char *comma = "";

	fputc('{', f);
	for (; row_next(row, &off, &v) == 1; comma = ",") {
		fputs(comma, f);
		put_string(f, (const uint8_t *)v.name, strlen(v.name));
		fputc(':', f);
		if (v.type == ROW_STR)
			put_string(f, v.str.p, v.str.len);
		else if (v.type == ROW_BOOL)
			fputs(v.num ? "true" : "false", f);
		else
			fprintf(f, "%" PRIu64, v.num);
	}
	fputc('}', f);
}

void
json_print(FILE *f, const char *command, const struct rows *r, int status, const char *error)
{
	fputs("{\"version\":1,\"command\":", f);
	put_string(f, (const uint8_t *)command, strlen(command));
	fprintf(f, ",\"status\":%d", status);
	if (error != NULL && error[0] != '\0') {
		fputs(",\"error\":", f);
		put_string(f, (const uint8_t *)error, strlen(error));
	}
	fputs(",\"rows\":[", f);
	for (size_t i = 0; i < r->n; i++) {
		if (i > 0)
			fputc(',', f);
		put_row(f, &r->list[i]);
	}
	fputs("]}\n", f);
}
