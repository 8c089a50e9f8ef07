/*
 * The lexer of fabricd.conf(5) and policy.conf(5): words, quoted strings, numbers, macros, included files. It knows no
 * keyword; the grammars do. Everything it gives out lives until lex_free().
 */
#ifndef BASE_LEX_H
#define BASE_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEX_FILE_MAX	(1u << 20)	/* bytes of one file */
#define LEX_TEXT_MAX	1023		/* bytes of one word or string */
#define LEX_DEPTH_MAX	16		/* files in files, macros in macros */
#define LEX_MACROS_MAX	256
#define LEX_INPUTS_MAX	256		/* files read in all, so that includes cannot multiply */
#define LEX_EXPANSIONS_MAX 4096		/* macro uses in all, for the same reason */

enum lex_kind { LEX_END, LEX_NEWLINE, LEX_CHAR, LEX_WORD, LEX_STRING, LEX_NUMBER, LEX_ERROR };

struct lex_token {
	enum lex_kind	 kind;
	const char	*text;		/* as written, without quotes; of LEX_ERROR, what is wrong */
	uint64_t	 number;	/* LEX_NUMBER; LEX_CHAR: the character */
	const char	*file;
	unsigned	 line;
};

struct lexer;

/* Reads from memory; `text` is copied, `name` is what errors call it. NULL when memory is short. */
struct lexer *lex_new(const char *name, const char *text, size_t len);
void	lex_free(struct lexer *);

struct lex_token lex_next(struct lexer *);

/* What follows comes from this file, then from the one before. -1 and *why. */
int	lex_include(struct lexer *, const char *path, const char **why);

/* Defines a macro. -1 when it exists already, or there are too many. */
int	lex_macro(struct lexer *, const char *name, const char *value);

/* Reads a whole regular file of at most LEX_FILE_MAX bytes into memory to be freed. NULL and *why. */
char	*lex_read_file(const char *path, size_t *len, const char **why);

#endif
