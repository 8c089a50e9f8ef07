/*
 * Reads the golden vectors: text files of blocks that blank lines or the next block end.
 *
 *	KIND NAME		"frame", "record", "refuse" or "proof"; NAME is unique in its file
 *	  port NAME		where a frame comes from: stream (when not said), datagram, proc
 *	  max N			the max_frame to decode with (FRAME_MAX_DEFAULT when not said)
 *	  bytes HEX		the input; several such lines continue each other
 *	  FIELD VALUE		all that it decodes to, in this order; numbers decimal, bytes in hex, text as it is
 *	  error NAME		"refuse": the frame_error or record_error without its prefix
 *
 * Included by the tests that use it: each test program is one object.
 */
#ifndef TESTS_UNIT_VECTORS_H
#define TESTS_UNIT_VECTORS_H

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "wire/frame.h"

#define VECTOR_BYTES_MAX	16384
#define VECTOR_FIELDS_MAX	32
#define VECTOR_LINE_MAX		20000

struct vector_field {
	char	key[32];
	char	*value;
};

struct vector {
	char		 kind[16];
	char		 name[64];
	struct frame_limits lim;
	uint8_t		 bytes[VECTOR_BYTES_MAX];
	size_t		 len;
	struct vector_field fields[VECTOR_FIELDS_MAX];
	size_t		 nfields;
};

/* tests/unit/vectors/NAME, from the root of the sources, which is where tests run. */
static inline FILE *
vectors_open(const char *name)
{
	char path[256];
	FILE *fp;

	snprintf(path, sizeof path, "tests/unit/vectors/%s", name);
	fp = fopen(path, "r");
	if (fp == NULL)
		err(1, "%s (tests run from the root of the sources)", path);
	return fp;
}

static inline void
vector_free(struct vector *v)
{
	for (size_t i = 0; i < v->nfields; i++)
		free(v->fields[i].value);
	v->nfields = 0;
}

static inline void
vector_word(char *out, size_t size, const char *word)
{
	if (strlen(word) >= size)
		errx(1, "%s is too long", word);
	memcpy(out, word, strlen(word) + 1);
}

static inline enum frame_port
vector_port(const char *s)
{
	if (strcmp(s, "stream") == 0)
		return FRAME_PORT_STREAM;
	if (strcmp(s, "datagram") == 0)
		return FRAME_PORT_DATAGRAM;
	if (strcmp(s, "proc") == 0)
		return FRAME_PORT_PROC;
	errx(1, "port %s?", s);
}

static inline void
vector_line(struct vector *v, const char *key, const char *value)
{
	size_t n = strlen(value) / 2;

	if (strcmp(key, "port") == 0)
		v->lim.port = vector_port(value);
	else if (strcmp(key, "max") == 0)
		v->lim.max_frame = (uint32_t)strtoul(value, NULL, 10);
	else if (strcmp(key, "bytes") == 0) {
		if (n > sizeof v->bytes - v->len || hex_decode(v->bytes + v->len, n, value) == -1)
			errx(1, "vector %s: bytes %s?", v->name, value);
		v->len += n;
	} else {
		if (v->nfields == VECTOR_FIELDS_MAX)
			errx(1, "vector %s: too many fields", v->name);
		vector_word(v->fields[v->nfields].key, sizeof v->fields[0].key, key);
		v->fields[v->nfields++].value = strdup(value);
	}
}

/* The next vector of the file into v, which vector_free() empties; false at the end. */
static inline bool
vector_next(struct vector *v, FILE *fp)
{
	static char line[VECTOR_LINE_MAX];
	char *key, *value;
	bool started = false;

	memset(v, 0, sizeof *v);
	v->lim = (struct frame_limits){ FRAME_PORT_STREAM, FRAME_MAX_DEFAULT };
	while (fgets(line, sizeof line, fp) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		if (line[0] == '\0') {
			if (started)
				break;
			continue;
		}
		key = line + strspn(line, " ");
		value = strchr(key, ' ');
		if (value != NULL)
			*value++ = '\0';
		else
			value = key + strlen(key);
		if (key != line) {
			vector_line(v, key, value);
			continue;
		}
		vector_word(v->kind, sizeof v->kind, key);
		vector_word(v->name, sizeof v->name, value);
		started = true;
	}
	return started;
}

/* The value of a field, NULL when there is none. */
static inline const char *
vector_get(const struct vector *v, const char *key)
{
	for (size_t i = 0; i < v->nfields; i++)
		if (strcmp(v->fields[i].key, key) == 0)
			return v->fields[i].value;
	return NULL;
}

/* A copy of exactly `len` bytes, so that AddressSanitizer sees a read past the end. Free it. */
static inline uint8_t *
exact_copy(const uint8_t *p, size_t len)
{
	uint8_t *q = calloc(1, len > 0 ? len : 1);

	if (q == NULL)
		err(1, NULL);
	if (len > 0)
		memcpy(q, p, len);
	return q;
}

/* Text that is made bit by bit and compared as a whole. */
struct text {
	char	buf[VECTOR_LINE_MAX * 2];
	size_t	len;
};

static inline void __attribute__((format(printf, 2, 3)))
text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, sizeof t->buf - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof t->buf - t->len)
		errx(1, "text is full");
	t->len += (size_t)n;
}

static inline void
text_add_hex(struct text *t, const char *key, const uint8_t *p, size_t len)
{
	text_add(t, "%s ", key);
	for (size_t i = 0; i < len; i++)
		text_add(t, "%02x", p[i]);
	text_add(t, "\n");
}

/* The vector's fields as the dumps of the tests write them. */
static inline void
vector_text(struct text *t, const struct vector *v)
{
	t->len = 0;
	t->buf[0] = '\0';
	for (size_t i = 0; i < v->nfields; i++)
		text_add(t, "%s %s\n", v->fields[i].key, v->fields[i].value);
}

#endif
