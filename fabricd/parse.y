/*
 * The grammar of fabricd.conf(5). A statement ends with its line, a block with its brace; the checks of
 * values are in confset.c. The first thing that is wrong ends the parse, with its file, line and word.
 */
%{
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/lex.h"
#include "fabricd/confset.h"

#define YYSTYPE struct lex_token
#define TRY(x) do { if ((x) == -1) YYABORT; } while (0)

static struct confset set;
static struct lexer *lexer;
static struct lex_token last;		/* the token that yyerror() speaks of */
static struct lex_token first;		/* of the line */
static unsigned in_line;		/* tokens of the line */
static bool may_include, at_end;

static int	yylex(void);
static void	yyerror(const char *);
static int	include(const struct lex_token *);
static int	macro(const struct lex_token *name, const struct lex_token *value);
%}

%token	INCLUDE NODE KEY CERTIFICATE AUTHORITY DELEGATION LISTEN ON PORT SESSION KEEPALIVE DEAD AUTH TIMEOUT
%token	FAILURES MAX ACCEPT MEMBERS PEERS RETRY ABOVE GSO YES NO PEER ID ADDRESS PREFIX VPN INTERFACE NETWORK
%token	MTU TUN SOCKET SERVICE METRICS LOG LEVEL DIRECTORY RUN STATE CHROOT USER GROUP LIBEXEC RESTART DELAY
%token	TO SOCKS SHARED TCP CLASS ALLOW ROLE TENANT WEIGHT
%token	BANDWIDTH COST DOMAIN HOURS METERED POLICY REGION RELAY REVOCATIONS ROUTE
%token	STRING NUMBER INVALID

%%

grammar	: /* empty */
	| grammar '\n'
	| grammar statement '\n'
	| grammar INCLUDE STRING '\n'	{ TRY(include(&$3)); }
	;

statement : word '=' value		{ TRY(macro(&$1, &$3)); }
	| node
	| LISTEN ON STRING port		{ TRY(confset_listen(&set, &$3, &$4)); }
	| LISTEN ON STRING PORT NUMBER TO SERVICE word shared	{ TRY(confset_forward(&set, &$3, &$5, &$8, &$9)); }
	| SOCKS LISTEN ON STRING PORT NUMBER shared	{ TRY(confset_forward(&set, &$4, &$6, NULL, &$7)); }
	| session
	| peer
	| vpn
	| service
	| relay
	| route
	| POLICY STRING			{ TRY(confset_once(&set, SET_POLICY, &$1)); TRY(confset_path(&set, set.conf->policy, &$2)); }
	| REVOCATIONS STRING		{ TRY(confset_once(&set, SET_REVOCATIONS, &$1)); TRY(confset_path(&set, set.conf->revocations, &$2)); }
	| METRICS LISTEN ON STRING PORT NUMBER	{ TRY(confset_metrics(&set, &$4, &$6)); }
	| LOG LEVEL STRING		{ TRY(confset_once(&set, SET_LOG, &$1)); TRY(confset_log(&set, &$3)); }
	| DIRECTORY RUN STRING		{ TRY(confset_once(&set, SET_RUN, &$2)); TRY(confset_dir(&set, DIR_RUN, &$3)); }
	| DIRECTORY LOG STRING		{ TRY(confset_once(&set, SET_LOGDIR, &$2)); TRY(confset_dir(&set, DIR_LOG, &$3)); }
	| DIRECTORY STATE STRING	{ TRY(confset_once(&set, SET_STATE, &$2)); TRY(confset_dir(&set, DIR_STATE, &$3)); }
	| DIRECTORY CHROOT STRING	{ TRY(confset_once(&set, SET_CHROOT, &$2)); TRY(confset_dir(&set, DIR_CHROOT, &$3)); }
	| LIBEXEC STRING		{ TRY(confset_once(&set, SET_LIBEXEC, &$1)); TRY(confset_libexec(&set, &$2)); }
	| USER STRING word		{ TRY(confset_user_name(&set, &$2, &$3)); }
	| USER STRING NUMBER		{ TRY(confset_user_ids(&set, &$2, &$3, &$3)); }
	| USER STRING NUMBER GROUP NUMBER { TRY(confset_user_ids(&set, &$2, &$3, &$5)); }
	| RESTART DELAY time MAX time	{ TRY(confset_once(&set, SET_RESTART, &$1)); TRY(confset_restart(&set, &$3, &$5)); }
	;

value	: word | NUMBER ;

/* Words that have a meaning at the start of a line only, and may be names: of a role, of a part of the score, of a node. */
word	: STRING | BANDWIDTH | COST | DOMAIN | HOURS | METERED | POLICY | REGION | RELAY | REVOCATIONS | ROUTE ;

port	: /* empty */			{ memset(&$$, 0, sizeof($$)); $$.number = CONF_PORT; }
	| PORT NUMBER			{ $$ = $2; }
	;

shared	: /* empty */			{ memset(&$$, 0, sizeof($$)); }
	| SHARED			{ $$ = $1; $$.number = 1; }
	;

/* In milliseconds. */
time	: NUMBER STRING			{ $$ = $1; TRY(confset_time(&set, &$1, &$2, &$$.number)); }
	| STRING			{ $$ = $1; TRY(confset_time_word(&set, &$1, &$$.number)); }
	| NUMBER			{ TRY(confset_fail(&set, &$1, "\"%s\" needs a unit: ms, s, m or h", $1.text)); }
	;

yesno	: YES				{ $$ = $1; $$.number = 1; }
	| NO				{ $$ = $1; $$.number = 0; }
	;

node	: NODE word			{ TRY(confset_once(&set, SET_NODE, &$1)); TRY(confset_node(&set, &$2)); }
	  '{' node_items '}'
	;
node_items : /* empty */ | node_items '\n' | node_items node_item ;
node_item : KEY STRING			{ TRY(confset_in_block(&set, 0, &$1)); TRY(confset_path(&set, set.conf->key, &$2)); }
	| CERTIFICATE STRING		{ TRY(confset_in_block(&set, 1, &$1)); TRY(confset_path(&set, set.conf->certificate, &$2)); }
	| AUTHORITY STRING		{ TRY(confset_in_block(&set, 2, &$1)); TRY(confset_path(&set, set.conf->authority, &$2)); }
	| DELEGATION time		{ TRY(confset_in_block(&set, 3, &$1)); TRY(confset_delegation(&set, &$2)); }
	;

session	: SESSION			{ TRY(confset_once(&set, SET_SESSION, &$1)); }
	  '{' session_items '}'		{ TRY(confset_session_end(&set, &$5)); }
	;
session_items : /* empty */ | session_items '\n' | session_items session_item ;
session_item : KEEPALIVE time		{ TRY(confset_in_block(&set, 0, &$1)); TRY(confset_keepalive(&set, &$2)); }
	| DEAD time			{ TRY(confset_in_block(&set, 1, &$1)); TRY(confset_dead(&set, &$2)); }
	| AUTH TIMEOUT time		{ TRY(confset_in_block(&set, 2, &$2)); TRY(confset_auth_timeout(&set, &$3)); }
	| AUTH FAILURES NUMBER		{ TRY(confset_in_block(&set, 3, &$2)); TRY(confset_auth_failures(&set, &$3)); }
	| MAX NUMBER			{ TRY(confset_in_block(&set, 4, &$1)); TRY(confset_max_sessions(&set, &$2)); }
	| ACCEPT MEMBERS		{ TRY(confset_in_block(&set, 5, &$1)); set.conf->session.peers_only = false; }
	| ACCEPT PEERS			{ TRY(confset_in_block(&set, 5, &$1)); set.conf->session.peers_only = true; }
	| RETRY ABOVE NUMBER		{ TRY(confset_in_block(&set, 6, &$1)); TRY(confset_retry(&set, &$3)); }
	| GSO yesno			{ TRY(confset_in_block(&set, 7, &$1)); set.conf->session.gso = $2.number; }
	| WEIGHT STRING NUMBER		{ TRY(confset_weight(&set, &$2, &$3)); }
	;

peer	: PEER word			{ TRY(confset_peer(&set, &$2)); }
	  '{' peer_items '}'		{ TRY(confset_peer_end(&set, &$6)); }
	;
peer_items : /* empty */ | peer_items '\n' | peer_items peer_item ;
peer_item : ID value			{ TRY(confset_in_block(&set, 0, &$1)); TRY(confset_peer_id(&set, &$2)); }
	| ADDRESS STRING port		{ TRY(confset_peer_addr(&set, &$2, &$3)); }
	| PREFIX STRING			{ TRY(confset_peer_prefix(&set, &$2)); }
	;

service	: SERVICE word		{ TRY(confset_service(&set, &$2)); TRY(confset_service_own(&set, &$2)); }
	| SERVICE word		{ TRY(confset_service(&set, &$2)); }
	  '{' service_items '}'		{ TRY(confset_service_end(&set, &$6)); }
	;
service_items : /* empty */ | service_items '\n' | service_items service_item ;
service_item : TCP TO STRING PORT NUMBER { TRY(confset_in_block(&set, 0, &$1)); TRY(confset_target(&set, &$3, &$5)); }
	| CLASS STRING			{ TRY(confset_in_block(&set, 1, &$1)); TRY(confset_class(&set, &$2)); }
	| ALLOW ROLE word		{ TRY(confset_allow_role(&set, &$3)); }
	| ALLOW TENANT word		{ TRY(confset_allow_tenant(&set, &$3)); }
	;

relay	: RELAY				{ TRY(confset_once(&set, SET_RELAY, &$1)); set.conf->routing.relay = true; }
	  '{' relay_items '}'
	;
relay_items : /* empty */ | relay_items '\n' | relay_items relay_item ;
relay_item : yesno			{ TRY(confset_in_block(&set, 0, &$1)); set.conf->routing.relay = $1.number; }
	| BANDWIDTH NUMBER STRING	{ TRY(confset_in_block(&set, 1, &$1)); TRY(confset_bandwidth(&set, &$2, &$3)); }
	| BANDWIDTH STRING		{ TRY(confset_in_block(&set, 1, &$1)); TRY(confset_bandwidth_word(&set, &$2)); }
	| CLASS STRING			{ TRY(confset_in_block(&set, 2, &$1)); TRY(confset_relay_classes(&set, &$2)); }
	| HOURS STRING STRING		{ TRY(confset_in_block(&set, 3, &$1)); TRY(confset_hours(&set, &$2, &$3)); }
	;

route	: ROUTE				{ TRY(confset_once(&set, SET_ROUTE, &$1)); }
	  '{' route_items '}'
	;
route_items : /* empty */ | route_items '\n' | route_items route_item ;
route_item : DOMAIN word		{ TRY(confset_in_block(&set, 0, &$1)); TRY(confset_domain(&set, set.conf->routing.domain, &$2)); }
	| REGION word			{ TRY(confset_in_block(&set, 1, &$1)); TRY(confset_domain(&set, set.conf->routing.region, &$2)); }
	| COST NUMBER			{ TRY(confset_in_block(&set, 2, &$1)); TRY(confset_cost(&set, &$2)); }
	| METERED yesno			{ TRY(confset_in_block(&set, 3, &$1)); set.conf->routing.metered = $2.number; }
	| WEIGHT word value		{ TRY(confset_score(&set, &$2, &$3)); }
	;

vpn	: VPN				{ TRY(confset_once(&set, SET_VPN, &$1)); set.conf->vpn.configured = true; }
	  '{' vpn_items '}'		{ TRY(confset_vpn_end(&set, &$5)); }
	;
vpn_items : /* empty */ | vpn_items '\n' | vpn_items vpn_item ;
vpn_item : INTERFACE STRING		{ TRY(confset_in_block(&set, 0, &$1)); TRY(confset_ifname(&set, &$2)); }
	| ADDRESS STRING		{ TRY(confset_in_block(&set, 1, &$1)); TRY(confset_vpn_address(&set, &$2)); }
	| NETWORK STRING		{ TRY(confset_in_block(&set, 2, &$1)); TRY(confset_vpn_network(&set, &$2)); }
	| MTU NUMBER			{ TRY(confset_in_block(&set, 3, &$1)); TRY(confset_mtu(&set, &$2)); }
	| TUN SOCKET STRING		{ TRY(confset_in_block(&set, 4, &$1)); TRY(confset_path(&set, set.conf->vpn.tun_socket, &$3)); }
	;

%%

static const struct {
	const char	*word;
	int		 token;
} keywords[] = {
	{ "above", ABOVE }, { "accept", ACCEPT }, { "address", ADDRESS }, { "allow", ALLOW }, { "auth", AUTH },
	{ "authority", AUTHORITY }, { "bandwidth", BANDWIDTH }, { "certificate", CERTIFICATE }, { "chroot", CHROOT },
	{ "class", CLASS }, { "cost", COST }, { "dead", DEAD }, { "delay", DELAY }, { "delegation", DELEGATION },
	{ "directory", DIRECTORY }, { "domain", DOMAIN }, { "failures", FAILURES }, { "group", GROUP }, { "gso", GSO },
	{ "hours", HOURS }, { "id", ID }, { "include", INCLUDE },
	{ "interface", INTERFACE }, { "keepalive", KEEPALIVE }, { "key", KEY }, { "level", LEVEL },
	{ "libexec", LIBEXEC }, { "listen", LISTEN }, { "log", LOG }, { "max", MAX }, { "members", MEMBERS },
	{ "metered", METERED }, { "metrics", METRICS }, { "mtu", MTU }, { "network", NETWORK }, { "no", NO }, { "node", NODE },
	{ "on", ON }, { "peer", PEER }, { "peers", PEERS }, { "policy", POLICY }, { "port", PORT }, { "prefix", PREFIX },
	{ "region", REGION }, { "relay", RELAY }, { "restart", RESTART }, { "retry", RETRY },
	{ "revocations", REVOCATIONS }, { "role", ROLE }, { "route", ROUTE }, { "run", RUN }, { "service", SERVICE },
	{ "session", SESSION }, { "shared", SHARED }, { "socket", SOCKET }, { "socks", SOCKS },
	{ "state", STATE }, { "tcp", TCP }, { "tenant", TENANT }, { "timeout", TIMEOUT }, { "to", TO },
	{ "tun", TUN }, { "user", USER }, { "vpn", VPN }, { "weight", WEIGHT },
	{ "yes", YES },
};

static int
keyword(const char *word)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (strcmp(word, keywords[i].word) == 0)
			return keywords[i].token;
	return STRING;
}

static int
yylex(void)
{
	if (last.kind == LEX_NEWLINE)
		in_line = 0;
	last = yylval = lex_next(lexer);
	if (in_line++ == 0)
		first = last;
	switch (last.kind) {
	case LEX_WORD:
		return keyword(last.text);
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
		confset_fail(&set, &last, "%s", last.text);
	else if (last.kind == LEX_END)
		confset_fail(&set, &last, "the file ends inside a statement or block");
	else if (last.kind == LEX_NEWLINE)
		confset_fail(&set, &last, "the line ends too early");
	else if (last.kind == LEX_WORD && keyword(last.text) == STRING)
		confset_fail(&set, &last, "unknown word \"%s\"", last.text);
	else
		confset_fail(&set, &last, "\"%s\" is not expected here", last.text);
}

static int
include(const struct lex_token *path)
{
	const char *why;

	if (path->text[0] != '/')	/* a reload reads it from another directory */
		return confset_fail(&set, path, "\"%s\" is not an absolute path", path->text);
	if (!may_include)
		return confset_fail(&set, path, "\"%s\": files cannot be included here", path->text);
	if (lex_include(lexer, path->text, &why) == -1)
		return confset_fail(&set, path, "\"%s\": %s", path->text, why);
	at_end = false;
	return 0;
}

static int
macro(const struct lex_token *name, const struct lex_token *value)
{
	if (name->text[strspn(name->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] != '\0' ||
	    name->text[0] == '\0')
		return confset_fail(&set, name, "\"%s\" is no name for a macro", name->text);
	if (lex_macro(lexer, name->text, value->text) == -1)
		return confset_fail(&set, name, "macro \"%s\" is defined twice, or there are too many", name->text);
	return 0;
}

static struct conf *
parse(const char *name, const char *text, size_t len, char err[CONF_ERR_MAX])
{
	struct conf *conf = NULL;

	err[0] = '\0';
	at_end = false;
	in_line = 0;
	last.kind = LEX_NEWLINE;
	if (confset_init(&set, name, err) == -1 || (lexer = lex_new(name, text, len)) == NULL)
		confset_fail(&set, NULL, "out of memory");
	else if (yyparse() == 0 && confset_finish(&set, &last) == 0)
		conf = set.conf;
	else if (err[0] == '\0')
		confset_fail(&set, &last, "the text is nested too deep");
	if (conf == NULL)
		conf_free(set.conf);
	confset_clear(&set);
	set.conf = NULL;
	lex_free(lexer);
	lexer = NULL;
	return conf;
}

struct conf *
conf_parse_text(const char *name, const char *text, size_t len, char err[CONF_ERR_MAX])
{
	may_include = false;
	return parse(name, text, len, err);
}

struct conf *
conf_parse_file(const char *path, char err[CONF_ERR_MAX])
{
	struct conf *conf;
	const char *why;
	size_t len;
	char *text;

	if ((text = lex_read_file(path, &len, &why)) == NULL) {
		snprintf(err, CONF_ERR_MAX, "%s: %s", path, why);
		return NULL;
	}
	may_include = true;
	conf = parse(path, text, len, err);
	free(text);
	return conf;
}
