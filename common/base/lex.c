#include "base/lex.h"

#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMBER_DIGITS_MAX 15	/* a longer one is a word: a node id may be all digits */

struct input {
	struct input	*up;
	const char	*name;
	char		*text;
	size_t		 len, off;
	unsigned	 line;
	bool		 macro;		/* an expansion: tokens stand where the macro was used */
};

struct keep {		/* memory that lives as long as the lexer */
	struct keep	*next;
	char		 text[];
};

struct macro {
	const char	*name, *value;
};

struct lexer {
	struct input	*in;
	struct keep	*kept;
	struct macro	 macros[LEX_MACROS_MAX];
	size_t		 nmacros;
	unsigned	 depth, inputs, expansions;
};

static const char *
keep(struct lexer *lx, const char *text, size_t len)
{
	struct keep *k = malloc(sizeof(*k) + len + 1);

	if (k == NULL)
		return NULL;
	memcpy(k->text, text, len);
	k->text[len] = '\0';
	k->next = lx->kept;
	lx->kept = k;
	return k->text;
}

/* Takes text over, also when it fails. */
static int
push(struct lexer *lx, const char *name, char *text, size_t len, unsigned line, bool macro)
{
	struct input *in = calloc(1, sizeof(*in));

	if (in == NULL || (in->name = keep(lx, name, strlen(name))) == NULL) {
		free(in);
		free(text);
		return -1;
	}
	in->text = text;
	in->len = len;
	in->line = line;
	in->macro = macro;
	in->up = lx->in;
	lx->in = in;
	lx->depth++;
	return 0;
}

static void
pop(struct lexer *lx)
{
	struct input *in = lx->in;

	lx->in = in->up;
	lx->depth--;
	free(in->text);
	free(in);
}

struct lexer *
lex_new(const char *name, const char *text, size_t len)
{
	struct lexer *lx = calloc(1, sizeof(*lx));
	char *copy = malloc(len + 1);

	if (lx == NULL || copy == NULL) {
		free(lx);
		free(copy);
		return NULL;
	}
	memcpy(copy, text, len);
	if (push(lx, name, copy, len, 1, false) == -1) {
		lex_free(lx);
		return NULL;
	}
	return lx;
}

void
lex_free(struct lexer *lx)
{
	struct keep *k;

	if (lx == NULL)
		return;
	while (lx->in != NULL)
		pop(lx);
	while ((k = lx->kept) != NULL) {
		lx->kept = k->next;
		free(k);
	}
	free(lx);
}

static int
peek(const struct input *in)
{
	return in->off < in->len ? (unsigned char)in->text[in->off] : EOF;
}

static void
skip_space(struct input *in)
{
	int c;

	while ((c = peek(in)) != EOF) {
		if (c == '\\' && in->off + 1 < in->len && in->text[in->off + 1] == '\n') {
			in->off += 2;
			in->line++;
		} else if (c == '#') {
			while ((c = peek(in)) != EOF && c != '\n')
				in->off++;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			in->off++;
		} else {
			return;
		}
	}
}

static struct lex_token
token(const struct input *in, enum lex_kind kind, const char *text)
{
	struct lex_token t = { .kind = kind, .text = text, .file = in->name, .line = in->line };

	if (text == NULL) {
		t.kind = LEX_ERROR;
		t.text = "out of memory";
	}
	return t;
}

static struct lex_token
quoted(struct lexer *lx)
{
	struct input *in = lx->in;
	char text[LEX_TEXT_MAX];
	size_t len = 0;
	int c;

	for (in->off++; (c = peek(in)) != '"'; in->off++) {
		if (c == '\\' && in->off + 1 < in->len &&
		    (in->text[in->off + 1] == '"' || in->text[in->off + 1] == '\\'))
			c = in->text[++in->off];
		if (c == EOF || c == '\n')
			return token(in, LEX_ERROR, "a string does not end on its line");
		if (iscntrl(c))
			return token(in, LEX_ERROR, "a string holds a control character");
		if (len == sizeof(text))
			return token(in, LEX_ERROR, "a string is too long");
		text[len++] = (char)c;
	}
	in->off++;
	return token(in, LEX_STRING, keep(lx, text, len));
}

static bool
in_word(int c)
{
	return c != EOF && isascii(c) && isgraph(c) && strchr("{}=\"#$\\", c) == NULL;
}

static size_t
word_len(const struct input *in)
{
	size_t off = in->off;

	while (off < in->len && in_word((unsigned char)in->text[off]))
		off++;
	return off - in->off;
}

static struct lex_token
word(struct lexer *lx)
{
	struct input *in = lx->in;
	const char *p = in->text + in->off;
	size_t len = word_len(in);
	struct lex_token t;

	if (len > LEX_TEXT_MAX)
		return token(in, LEX_ERROR, "a word is too long");
	t = token(in, LEX_WORD, keep(lx, p, len));
	in->off += len;
	if (t.kind == LEX_WORD && len <= NUMBER_DIGITS_MAX && strspn(t.text, "0123456789") == len) {
		t.kind = LEX_NUMBER;
		t.number = strtoull(t.text, NULL, 10);
	}
	return t;
}

static const struct macro *
macro_find(const struct lexer *lx, const char *name, size_t len)
{
	for (size_t i = 0; i < lx->nmacros; i++)
		if (strlen(lx->macros[i].name) == len && memcmp(lx->macros[i].name, name, len) == 0)
			return &lx->macros[i];
	return NULL;
}

static size_t
macro_len(const struct input *in)
{
	size_t off = in->off;

	while (off < in->len && (isalnum((unsigned char)in->text[off]) || in->text[off] == '_'))
		off++;
	return off - in->off;
}

/* Replaces $name by its text, which is read as if it stood there. False: *t says what is wrong. */
static bool
expand(struct lexer *lx, struct lex_token *t)
{
	struct input *in = lx->in;
	const struct macro *m;
	const char *name;
	char what[80], *copy;
	size_t len;

	in->off++;
	len = macro_len(in);
	name = in->text + in->off;
	in->off += len;
	if ((m = macro_find(lx, name, len)) == NULL) {
		snprintf(what, sizeof(what), "macro \"$%.*s\" is not defined", (int)(len < 40 ? len : 40), name);
		*t = token(in, LEX_ERROR, keep(lx, what, strlen(what)));
		return false;
	}
	if (lx->depth >= LEX_DEPTH_MAX || lx->expansions++ >= LEX_EXPANSIONS_MAX) {
		*t = token(in, LEX_ERROR, "macros are used too deep or too often");
		return false;
	}
	if ((copy = strdup(m->value)) == NULL || push(lx, in->name, copy, strlen(copy), in->line, true) == -1) {
		*t = token(in, LEX_ERROR, NULL);
		return false;
	}
	return true;
}

/* At the end of an input: true when another goes on. A file's last line ends with it. */
static bool
next_input(struct lexer *lx, struct lex_token *t)
{
	bool macro = lx->in->macro;

	*t = token(lx->in, lx->in->up == NULL ? LEX_END : LEX_NEWLINE, "");
	if (lx->in->up == NULL)
		return false;
	pop(lx);
	return macro;
}

struct lex_token
lex_next(struct lexer *lx)
{
	struct lex_token t;
	int c;

	for (;;) {
		skip_space(lx->in);
		if ((c = peek(lx->in)) == EOF) {
			if (next_input(lx, &t))
				continue;
			return t;
		}
		if (c != '$')
			break;
		if (!expand(lx, &t))
			return t;
	}
	if (c == '"')
		return quoted(lx);
	if (in_word(c))
		return word(lx);
	t = token(lx->in, c == '\n' ? LEX_NEWLINE : LEX_CHAR, keep(lx, lx->in->text + lx->in->off, 1));
	t.number = (uint64_t)c;
	lx->in->off++;
	if (c == '\n')
		lx->in->line++;
	else if (strchr("{}=", c) == NULL)
		t = token(lx->in, LEX_ERROR, "a character that does not belong here");
	return t;
}

char *
lex_read_file(const char *path, size_t *len, const char **why)
{
	struct stat st;
	char *text = NULL;
	ssize_t n;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) == -1 || fstat(fd, &st) == -1) {
		*why = strerror(errno);
	} else if (!S_ISREG(st.st_mode)) {
		*why = "not a regular file";
	} else if (st.st_size > (off_t)LEX_FILE_MAX) {
		*why = "the file is too large";
	} else if ((text = malloc((size_t)st.st_size + 1)) == NULL) {
		*why = "out of memory";
	} else if ((n = pread(fd, text, (size_t)st.st_size, 0)) == -1) {
		*why = strerror(errno);
		free(text);
		text = NULL;
	} else {
		*len = (size_t)n;
	}
	if (fd != -1)
		close(fd);
	return text;
}

int
lex_include(struct lexer *lx, const char *path, const char **why)
{
	size_t len;
	char *text;

	if (lx->depth >= LEX_DEPTH_MAX || lx->inputs++ >= LEX_INPUTS_MAX) {
		*why = "files are included too deep or too often";
		return -1;
	}
	if ((text = lex_read_file(path, &len, why)) == NULL)
		return -1;
	*why = "out of memory";
	return push(lx, path, text, len, 1, false);
}

int
lex_macro(struct lexer *lx, const char *name, const char *value)
{
	struct macro *m = &lx->macros[lx->nmacros];

	if (lx->nmacros == LEX_MACROS_MAX || macro_find(lx, name, strlen(name)) != NULL)
		return -1;
	if ((m->name = keep(lx, name, strlen(name))) == NULL || (m->value = keep(lx, value, strlen(value))) == NULL)
		return -1;
	lx->nmacros++;
	return 0;
}
