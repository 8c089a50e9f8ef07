/*
 * The other side of fabric/policy.h: a policy as it was written, out of which the compiled form is made, and which can be
 * had back from it. For fabricctl, and for tests. What policy_encode() returns, policy_load() takes.
 */
#ifndef FABRIC_POLICY_BUILD_H
#define FABRIC_POLICY_BUILD_H

#include <stdio.h>

#include "fabric/policy.h"

struct policy_words {		/* in any order; a word may be there twice */
	const char	**word;		/* the array is the list's own, the text is not */
	uint32_t	 n, size;
};

struct policy_who {		/* all that is said must hold; of a list, one of its words */
	uint32_t	roles;		/* 0: any */
	bool		tiers;		/* the two below count */
	uint8_t		tier_min, tier_max;
	struct policy_words tenants, names;
	struct policy_words ids;	/* as 64 hex digits, small letters */
	struct policy_words in, not_in;	/* names of tables */
};

struct policy_source_rule {
	bool		pass, quick, relay;
	bool		across;		/* tenants; pass only */
	uint32_t	line;
	struct policy_who from, to;	/* of relay: the relay, and for whom */
	struct policy_words services;	/* not of relay */
	uint8_t		classes;	/* 1 << enum traffic_class; 0: all */
	uint32_t	kbps, streams;	/* of a pass relay; 0: none */
};

struct policy_source_table {
	const char	*name;
	struct policy_who *entry;
	uint32_t	n, size;
};

struct policy_source {
	struct policy_source_table *table;
	uint32_t	ntables, tables_size;
	struct policy_source_rule *rule;
	uint32_t	nrules, rules_size;
	void		*text;		/* what belongs to it besides: words of policy_unbuild() */
};

/* Each appends one and returns it, zeroed; NULL when memory is short. */
struct policy_source_table *policy_add_table(struct policy_source *, const char *name);
struct policy_who *policy_add_entry(struct policy_source_table *);
struct policy_source_rule *policy_add_rule(struct policy_source *);
int	policy_add_word(struct policy_words *, const char *word);	/* 0 or -1 */
void	policy_source_clear(struct policy_source *);			/* frees what is in it */

/*
 * The compiled form. The length, or 0 and *why: "out of memory", "the policy is too large", or that something in it is not
 * what policy_load() takes (a name that is none, a table that is not there).
 */
size_t	policy_encode(uint8_t *buf, size_t size, const struct policy_source *, const char **why);

/* What it was made of, words sorted; its text is that of `p' and lives as long. -1: memory is short. */
int	policy_unbuild(struct policy_source *, const struct policy *p);

/* All of it as policy.conf(5), which parses again to the same but for the lines of rules, which stand in comments. */
void	policy_print(FILE *, const struct policy *p);

#endif
