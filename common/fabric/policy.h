/*
 * The compiled policy: who may reach what, and who may relay for whom. policy.conf(5) is what people write; fabricctl
 * compiles it, the authority signs it (RECORD_POLICY: serial is its version, content the compiled form), and each routed
 * asks it. Last match wins, unless a rule is quick. Without any policy: POLICY_DEFAULT.
 *
 * Sans-I/O: policy_load() makes an object out of bytes that nobody trusts, within bounds; asking allocates nothing.
 */
#ifndef FABRIC_POLICY_H
#define FABRIC_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/record.h"

#define POLICY_MAX	60000u	/* bytes of the compiled form */
#define POLICY_RULES_MAX 4096u

struct policy;

/* Who is asked about: out of a membership. */
struct policy_node {
	const uint8_t	*node_id;
	const char	*name, *tenant;
	uint32_t	 roles;
	uint8_t		 tier;
};

struct policy_verdict {
	bool	 pass;
	uint32_t rule;		/* that decided, counted from 1; 0: the default */
	uint32_t line;		/* of policy.conf, for people */
	uint32_t kbps;		/* relay: limit of the rule; 0: none */
};

/* NULL, and *error a negative frame_error or 0 when memory is short. */
struct policy *policy_load(const uint8_t *p, size_t len, int *error);
void	policy_free(struct policy *);

/* `p' may be NULL: the default, which passes all within a tenant, and relaying by members with the role relay or entry. */
struct policy_verdict policy_reach(const struct policy *p, const struct policy_node *src, const struct policy_node *dest,
	    const char *service, unsigned class);

/* May `relay' carry this class for `src'? */
struct policy_verdict policy_relay(const struct policy *p, const struct policy_node *relay, const struct policy_node *src,
	    unsigned class);

#endif
