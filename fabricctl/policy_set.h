/*
 * What the grammar of policy.conf(5) calls: each adds what a word says to the policy that is being read, and checks it. All
 * return 0, or -1 with set->err filled.
 */
#ifndef FABRICCTL_POLICY_SET_H
#define FABRICCTL_POLICY_SET_H

#include "fabricctl/policy_conf.h"

enum policy_list { POLICY_ROLES, POLICY_TENANTS, POLICY_NODES, POLICY_IDS, POLICY_SERVICES, POLICY_CLASSES };

struct policy_set {
	struct policy_conf *conf;
	char		*err;		/* POLICY_CONF_ERR_MAX */
	struct policy_source_rule *rule;	/* the statement that is open: a rule, a table, ... */
	struct policy_source_table *table;
	struct policy_conf_node *node;
	struct policy_conf_test *test;
	struct policy_who *who;		/* of the rule, or the table's entry: NULL between entries */
	enum policy_list list;		/* what the words that come are */
	unsigned	seen;		/* 1 << enum policy_list, and tiers: of this who, node or rule */
	struct lex_token at;		/* where the statement began */
};

int	policy_set_fail(struct policy_set *, const struct lex_token *, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

int	policy_set_rule(struct policy_set *, const struct lex_token *action, bool pass);
int	policy_set_across(struct policy_set *, const struct lex_token *);
void	policy_set_from(struct policy_set *);
void	policy_set_to(struct policy_set *);
int	policy_set_bandwidth(struct policy_set *, const struct lex_token *n, const struct lex_token *unit);
int	policy_set_streams(struct policy_set *, const struct lex_token *n);
int	policy_set_rule_end(struct policy_set *);

int	policy_set_table(struct policy_set *, const struct lex_token *name);
int	policy_set_entry(struct policy_set *, const struct lex_token *node);	/* a bare name begins an entry */
void	policy_set_entry_end(struct policy_set *);
int	policy_set_table_end(struct policy_set *, const struct lex_token *end);

/* The words of a list that follow are of this kind; said twice of one thing is an error. */
int	policy_set_list(struct policy_set *, enum policy_list, const struct lex_token *);
int	policy_set_word(struct policy_set *, const struct lex_token *);
int	policy_set_tier(struct policy_set *, const struct lex_token *);
int	policy_set_ref(struct policy_set *, const struct lex_token *);		/* <table>, !<table> */

int	policy_set_node(struct policy_set *, const struct lex_token *name);
int	policy_set_node_end(struct policy_set *);

int	policy_set_test(struct policy_set *, const struct lex_token *from, const struct lex_token *to);
int	policy_set_test_relay(struct policy_set *, const struct lex_token *relay, const struct lex_token *to);
void	policy_set_test_end(struct policy_set *, bool pass);

int	policy_set_macro(struct policy_set *, const struct lex_token *name, const struct lex_token *value);
/* After the whole text: compiles. */
int	policy_set_finish(struct policy_set *, const struct lex_token *end);

#endif
