#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fabricctl/rows.h"
#include "wire/fields.h"

#define COLUMNS_MAX ROW_FIELDS_MAX
#define MOMENT_S 1000000000	/* seconds since 1970, not since something: 2001 and later */
#define ID_LEN (2 * NODE_ID_LEN)
#define ID_SHOWN 16		/* digits of a node id that people get to see */

struct column {
	char	name[ROW_NAME_MAX + 1];
	size_t	width;
	bool	number, used;
};

struct table {
	struct column column[COLUMNS_MAX];
	size_t	n;
};

static bool
ends_with(const char *s, const char *end)
{
	size_t a = strlen(s), b = strlen(end);

	return a >= b && strcmp(s + a - b, end) == 0;
}

static void
put_text(char buf[VALUE_MAX], const uint8_t *p, size_t len)
{
	bool text = text_printable(p, len);
	size_t n = 0;

	for (size_t i = 0; i < len && n + 5 < VALUE_MAX; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f || (p[i] > 0x7f && !text))
			n += (size_t)snprintf(buf + n, VALUE_MAX - n, "\\x%02x", p[i]);
		else
			buf[n++] = (char)p[i];
	}
	buf[n] = '\0';
}

static void
put_bytes(char buf[VALUE_MAX], uint64_t v)
{
	static const char units[] = "KMGTPE";
	double d = (double)v;
	unsigned u = 0;

	if (v < 1024) {
		snprintf(buf, VALUE_MAX, "%" PRIu64 " B", v);
		return;
	}
	for (d /= 1024; d >= 999.95 && u + 1 < sizeof(units) - 1; u++)
		d /= 1024;
	snprintf(buf, VALUE_MAX, "%.1f %ciB", d, units[u]);
}

static void
put_duration(char buf[VALUE_MAX], uint64_t s)
{
	if (s < 60)
		snprintf(buf, VALUE_MAX, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(buf, VALUE_MAX, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, VALUE_MAX, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(buf, VALUE_MAX, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
}

static void
put_moment(char buf[VALUE_MAX], uint64_t s)
{
	time_t t = (time_t)s;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(buf, VALUE_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(buf, VALUE_MAX, "%" PRIu64, s);
}

char *
table_value(char buf[VALUE_MAX], const struct row_field *f)
{
	if (f->type == ROW_STR)
		put_text(buf, f->str.p, f->str.len);
	else if (f->type == ROW_BOOL)
		strcpy(buf, f->num ? "yes" : "no");
	else if (ends_with(f->name, "_us"))
		snprintf(buf, VALUE_MAX, "%.2f ms", (double)f->num / 1000);
	else if (ends_with(f->name, "_ms") && f->num < 10000)
		snprintf(buf, VALUE_MAX, "%" PRIu64 " ms", f->num);
	else if (ends_with(f->name, "_ms"))
		put_duration(buf, f->num / 1000);
	else if (ends_with(f->name, "_s") && f->num >= MOMENT_S)
		put_moment(buf, f->num);
	else if (ends_with(f->name, "_s"))
		put_duration(buf, f->num);
	else if (ends_with(f->name, "_permille"))
		snprintf(buf, VALUE_MAX, "%.1f %%", (double)f->num / 10);
	else if (strstr(f->name, "bytes") != NULL)
		put_bytes(buf, f->num);
	else
		snprintf(buf, VALUE_MAX, "%" PRIu64, f->num);
	if (f->type == ROW_STR && strlen(buf) == ID_LEN && strspn(buf, "0123456789abcdef") == ID_LEN)
		buf[ID_SHOWN] = '\0';
	return buf;
}

char *
table_label(char out[ROW_NAME_MAX + 1], const char *name)
{
	static const char *const units[] = { "_us", "_ms", "_s", "_permille" };

	strcpy(out, strncmp(name, "bytes_", 6) == 0 ? name + 6 : name);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (ends_with(out, units[i])) {
			out[strlen(out) - strlen(units[i])] = '\0';
			break;
		}
	return out;
}

static void
heading(char out[ROW_NAME_MAX + 1], const char *name)
{
	table_label(out, name);
	for (size_t i = 0; out[i] != '\0'; i++)
		out[i] = out[i] == '_' ? '-' : isprint((unsigned char)out[i]) ? (char)toupper((unsigned char)out[i]) : '?';
}

/* Characters, not bytes; whatever has a double width is not ours to know. */
static size_t
width_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static struct column *
column_of(struct table *t, const char *name)
{
	char head[ROW_NAME_MAX + 1];
	struct column *c;

	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->column[i].name, name) == 0)
			return &t->column[i];
	if (t->n == COLUMNS_MAX)
		return NULL;
	c = &t->column[t->n++];
	strcpy(c->name, name);
	heading(head, name);
	c->width = strlen(head);
	return c;
}

static void
measure(struct table *t, const struct frame_bytes *row)
{
	char buf[VALUE_MAX];
	struct row_field f;
	struct column *c;
	size_t off = 0, width;

	while (row_next(row, &off, &f) == 1) {
		if ((c = column_of(t, f.name)) == NULL)
			continue;
		width = width_of(table_value(buf, &f));
		c->number = f.type == ROW_UINT;
		c->used |= width > 0;
		if (width > c->width)
			c->width = width;
	}
}

/* The last column is not filled up: no line ends with spaces. */
static void
put_cell(FILE *f, const struct column *c, const char *text, bool last)
{
	size_t width = width_of(text), fill = c->width > width ? c->width - width : 0;

	if (c->number)
		fprintf(f, "%*s%s", (int)fill, "", text);
	else
		fprintf(f, "%s%*s", text, last ? 0 : (int)fill, "");
	fputs(last ? "\n" : "  ", f);
}

void
table_print(FILE *f, const struct rows *r)
{
	struct table *t = calloc(1, sizeof(*t));
	char buf[VALUE_MAX], head[ROW_NAME_MAX + 1];
	struct row_field v;
	size_t last = 0;

	if (t == NULL || r->n == 0) {
		free(t);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		measure(t, &r->list[i]);
	for (size_t c = 0; c < t->n; c++)
		if (t->column[c].used)
			last = c;
	for (size_t c = 0; c <= last; c++) {
		heading(head, t->column[c].name);
		if (t->column[c].used)
			put_cell(f, &t->column[c], head, c == last);
	}
	for (size_t i = 0; i < r->n; i++)
		for (size_t c = 0; c <= last; c++) {
			if (!t->column[c].used)
				continue;
			strcpy(buf, "-");
			if (row_find(&r->list[i], t->column[c].name, &v))
				table_value(buf, &v);
			put_cell(f, &t->column[c], buf[0] == '\0' ? "-" : buf, c == last);
		}
	free(t);
}
