/*
 * The grammar of policy.conf(5). A statement ends with its line, a block with its brace; the checks of values are in
 * policy_set.c. The first thing that is wrong ends the parse, with its file, line and word.
 */
%{
#include <stdlib.h>
#include <string.h>

#include "fabricctl/policy_set.h"

/* fabricd's grammar has these names, too, and tests link both. */
#define yyparse policy_yyparse
#define yylval policy_yylval
#define yychar policy_yychar
#define yynerrs policy_yynerrs
#define yydebug policy_yydebug

#define YYSTYPE struct lex_token
#define TRY(x) do { if ((x) == -1) YYABORT; } while (0)

static struct policy_set set;
static struct lex_token last;		/* the token that yyerror() speaks of */
static struct lex_token first;		/* of the line */
static unsigned in_line;		/* tokens of the line */
static bool at_end, colon;		/* the file ended; a colon was cut off the last word */

static int	yylex(void);
static void	yyerror(const char *);
%}

%token	PASS BLOCK QUICK RELAY ACROSS TENANTS FROM TO BY FOR ON ALL ANY SERVICE CLASS BANDWIDTH STREAMS
%token	TABLE NODE ROLE TENANT TIER ID TEST
%token	STRING NUMBER REF INVALID

%%

grammar	: /* empty */
	| grammar '\n'
	| grammar statement '\n'
	;

statement : STRING '=' value		{ TRY(policy_set_macro(&set, &$1, &$3)); }
	| TABLE REF			{ TRY(policy_set_table(&set, &$2)); }
	  '{' entries '}'		{ TRY(policy_set_table_end(&set, &$6)); }
	| rule				{ TRY(policy_set_rule_end(&set)); }
	| NODE value			{ TRY(policy_set_node(&set, &$2)); }
	  facts				{ TRY(policy_set_node_end(&set)); }
	| TEST '{' tests '}'
	;

value	: STRING | NUMBER ;

/* One word, or several in braces, on as many lines as one likes. */
words	: word
	| '{' nl some '}'
	;
some	: word nl
	| some word nl
	;
word	: value				{ TRY(policy_set_word(&set, &$1)); }
	| RELAY				{ TRY(policy_set_word(&set, &$1)); }	/* the role */
	;
nl	: /* empty */ | nl '\n' ;

rule	: action quick across FROM	{ policy_set_from(&set); }
	  who TO			{ policy_set_to(&set); }
	  target class
	| action quick relay across BY	{ policy_set_from(&set); }
	  who FOR			{ policy_set_to(&set); }
	  who class bandwidth streams
	| action quick ALL
	| action quick relay ALL
	;
action	: PASS				{ TRY(policy_set_rule(&set, &$1, true)); }
	| BLOCK				{ TRY(policy_set_rule(&set, &$1, false)); }
	;
quick	: /* empty */
	| QUICK				{ set.rule->quick = true; }
	;
relay	: RELAY				{ set.rule->relay = true; }
	;
across	: /* empty */
	| ACROSS TENANTS		{ TRY(policy_set_across(&set, &$1)); }
	;
target	: who
	| services
	| services ON who
	;
services : SERVICE			{ TRY(policy_set_list(&set, POLICY_SERVICES, &$1)); }
	  words
	;
class	: /* empty */
	| CLASS				{ TRY(policy_set_list(&set, POLICY_CLASSES, &$1)); }
	  words
	;
bandwidth : /* empty */
	| BANDWIDTH NUMBER STRING	{ TRY(policy_set_bandwidth(&set, &$2, &$3)); }
	;

streams	: /* empty */
	| STREAMS NUMBER		{ TRY(policy_set_streams(&set, &$2)); }
	;

who	: ANY
	| criteria
	;
criteria : criterion
	| criteria criterion
	;
criterion : fact
	| NODE				{ TRY(policy_set_list(&set, POLICY_NODES, &$1)); }
	  words
	| REF				{ TRY(policy_set_ref(&set, &$1)); }
	;
fact	: ROLE				{ TRY(policy_set_list(&set, POLICY_ROLES, &$1)); }
	  words
	| TENANT			{ TRY(policy_set_list(&set, POLICY_TENANTS, &$1)); }
	  words
	| ID				{ TRY(policy_set_list(&set, POLICY_IDS, &$1)); }
	  words
	| TIER value			{ TRY(policy_set_tier(&set, &$2)); }
	;

entries	: /* empty */
	| entries '\n'			{ policy_set_entry_end(&set); }
	| entries value			{ TRY(policy_set_entry(&set, &$2)); }
	| entries criterion
	;

facts	: fact
	| facts fact
	;

tests	: /* empty */
	| tests '\n'
	| tests test
	;
test	: value TO value		{ TRY(policy_set_test(&set, &$1, &$3)); }
	  class ':' verdict
	| RELAY value FOR value		{ TRY(policy_set_test_relay(&set, &$2, &$4)); }
	  class ':' verdict
	;
verdict	: PASS				{ policy_set_test_end(&set, true); }
	| BLOCK				{ policy_set_test_end(&set, false); }
	;

%%

static const struct {
	const char	*word;
	int		 token;
} keywords[] = {
	{ "across", ACROSS }, { "all", ALL }, { "any", ANY }, { "bandwidth", BANDWIDTH }, { "block", BLOCK }, { "by", BY },
	{ "class", CLASS }, { "for", FOR }, { "from", FROM }, { "id", ID }, { "node", NODE }, { "on", ON }, { "pass", PASS },
	{ "quick", QUICK }, { "relay", RELAY }, { "role", ROLE }, { "roles", ROLE }, { "service", SERVICE },
	{ "streams", STREAMS }, { "table", TABLE },
	{ "tenant", TENANT }, { "tenants", TENANTS }, { "test", TEST }, { "tier", TIER }, { "to", TO },
};

static int
keyword(const char *word)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (strcmp(word, keywords[i].word) == 0)
			return keywords[i].token;
	return word[0] == '<' || word[0] == '!' ? REF : STRING;
}

/* "interactive: pass": to the lexer the colon is part of the word. */
static int
word_token(void)
{
	size_t len = strlen(last.text);
	char *copy;

	if (len == 0 || last.text[len - 1] != ':')
		return keyword(last.text);
	if (len == 1)
		return ':';
	if ((copy = strndup(last.text, len - 1)) == NULL || policy_add_word(&set.conf->kept, copy) == -1) {
		free(copy);
		policy_set_fail(&set, &last, "out of memory");
		return INVALID;
	}
	colon = true;
	yylval.text = copy;
	return keyword(copy);
}

static int
yylex(void)
{
	if (colon) {
		colon = false;
		return ':';
	}
	if (last.kind == LEX_NEWLINE)
		in_line = 0;
	last = yylval = lex_next(set.conf->lexer);
	if (in_line++ == 0)
		first = last;
	switch (last.kind) {
	case LEX_WORD:
		return word_token();
	case LEX_STRING:
		return STRING;
	case LEX_NUMBER:
		return NUMBER;
	case LEX_CHAR:
		return (int)last.number;
	case LEX_NEWLINE:
		return '\n';
	case LEX_ERROR:
		return INVALID;
	case LEX_END:
		break;
	}
	/* A last line without its end is a line. */
	if (at_end)
		return 0;
	at_end = true;
	return '\n';
}

/* yacc's own word for it ("syntax error") helps nobody. */
static void
yyerror(const char *unused)
{
	(void)unused;
	/* A line may begin with any word, a macro's name, so the second one seems wrong, but is not. */
	if (in_line == 2 && first.kind == LEX_WORD && keyword(first.text) == STRING)
		last = first;
	if (last.kind == LEX_ERROR)
		policy_set_fail(&set, &last, "%s", last.text);
	else if (last.kind == LEX_END)
		policy_set_fail(&set, &last, "the file ends inside a statement or block");
	else if (last.kind == LEX_NEWLINE)
		policy_set_fail(&set, &last, "the line ends too early");
	else if (last.kind == LEX_WORD && keyword(last.text) == STRING)
		policy_set_fail(&set, &last, "unknown word \"%s\"", last.text);
	else
		policy_set_fail(&set, &last, "\"%s\" is not expected here", last.text);
}

struct policy_conf *
policy_conf_parse(const char *name, const char *text, size_t len, char err[POLICY_CONF_ERR_MAX])
{
	struct policy_conf *conf = calloc(1, sizeof(*conf));

	err[0] = '\0';
	at_end = colon = false;
	in_line = 0;
	last.kind = LEX_NEWLINE;
	set = (struct policy_set){ .conf = conf, .err = err };
	if (conf == NULL || (conf->name = strdup(name)) == NULL || (conf->lexer = lex_new(name, text, len)) == NULL)
		policy_set_fail(&set, NULL, "out of memory");
	else if (yyparse() == 0 && policy_set_finish(&set, &last) == 0)
		return conf;
	else if (err[0] == '\0')
		policy_set_fail(&set, &last, "the text is nested too deep");
	policy_conf_free(conf);
	return NULL;
}
