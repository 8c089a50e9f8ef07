/*
 * policy.conf(5), read and compiled. The text is not trusted; nothing is opened and nothing said: errors are given back as
 * "file:line: what is wrong", with the word at fault.
 */
#ifndef FABRICCTL_POLICY_CONF_H
#define FABRICCTL_POLICY_CONF_H

#include "base/lex.h"
#include "fabric/policy_build.h"

#define POLICY_CONF_ERR_MAX	512
#define POLICY_CONF_NODES_MAX	16384u
#define POLICY_CONF_TESTS_MAX	16384u

/* A node that tests speak of: by a line of the file, or by its membership. */
struct policy_conf_node {
	char		name[RECORD_NAME_MAX + 1], tenant[RECORD_TENANT_MAX + 1];
	uint32_t	roles;
	uint8_t		tier;
	bool		has_id, certified;
	uint8_t		id[NODE_ID_LEN];
	unsigned	line;
};

struct policy_conf_test {
	bool		relay, pass;
	char		from[RECORD_NAME_MAX + 1], to[RECORD_NAME_MAX + 1];	/* of relay: the relay, and for whom */
	char		service[FRAME_SERVICE_MAX + 1];
	uint8_t		classes;	/* never 0 */
	unsigned	line;
};

struct policy_conf {
	char		*name;		/* of the file */
	struct policy_source source;
	uint8_t		*compiled;
	size_t		 len;
	struct policy	*policy;	/* loaded from `compiled' */
	struct policy_conf_node *nodes;
	struct policy_conf_test *tests;
	uint32_t	 nnodes, nodes_size, ntests, tests_size;
	struct lexer	*lexer;		/* what owns the words of `source' */
	struct policy_words kept;	/* and those that were cut out of a word */
};

/* NULL, and err says why. */
struct policy_conf *policy_conf_parse(const char *name, const char *text, size_t len, char err[POLICY_CONF_ERR_MAX]);
/* A compiled policy, without nodes and tests. */
struct policy_conf *policy_conf_load(const char *name, const uint8_t *p, size_t len, char err[POLICY_CONF_ERR_MAX]);
void	policy_conf_free(struct policy_conf *);

/* Adds a node of its membership; one of a line of that name makes room for it. -1: another has it already, or too many. */
int	policy_conf_member(struct policy_conf *, const struct record *membership);

/* The node of that name, NULL when it is not described. */
const struct policy_conf_node *policy_conf_find(const struct policy_conf *, const char *name);
struct policy_node policy_conf_as_node(const struct policy_conf_node *);

/*
 * Runs one test: true when it came out as it should. Else `why' says what did, on one line: "phone-a to ssh@home-1 class
 * bulk: block by line 12, not pass", or that a node is not described.
 */
bool	policy_conf_test(const struct policy_conf *, const struct policy_conf_test *, char why[POLICY_CONF_ERR_MAX]);

#endif
