/*
 * The compiled policy: who may reach what, and who may relay for whom. policy.conf(5) is what people write; fabricctl
 * compiles it, the authority signs it (RECORD_POLICY: serial is its version, content the compiled form), and each routed
 * asks it. The last rule that matches decides, unless one before it is quick. Where none does, and without any policy:
 * the default. A pass rule holds between nodes of one tenant, unless it says that it goes across tenants.
 *
 * The compiled form, normative here; varints and text as in fabric-frame(5), "list" is a count (1 or more) and so many
 * indices, ascending:
 *
 *	version 1
 *	strings	count, then each as length and bytes: names, ascending, none twice and each of them used
 *	ids	count, then each 32 bytes: ascending, none twice and each used
 *	tables	count, then each: its name (string), count of entries (1 or more), each a who with neither <in> nor <not in>
 *	rules	count, then each:
 *		flags	0x01 pass, 0x02 quick, 0x04 relay, 0x08 across tenants, 0x10 services, 0x20 classes, 0x40 kbps,
 *			0x80 streams
 *		line	of policy.conf
 *		who	the source; of a relay rule, the relay
 *		who	the destination; of a relay rule, for whom it relays
 *		services (0x10) list of strings; classes (0x20) bits; kbps (0x40): bandwidth; streams (0x80): at a time
 *	who	flags	0x01 roles, 0x02 tiers, 0x04 tenants, 0x08 names, 0x10 ids, 0x20 in, 0x40 not in; none: any node
 *		roles (0x01) bits, of which the node has one; tiers (0x02) least, most; and lists of strings, ids, tables: the
 *		node is one of tenants, names, ids, in one table of <in> and in none of <not in>. All that is there must hold.
 *
 * One policy has one form: what could be written in two ways is refused in the other (all classes, tiers 0 to 9).
 *
 * Sans-I/O: policy_load() makes an object out of bytes that nobody trusts, within bounds; asking allocates nothing.
 */
#ifndef FABRIC_POLICY_H
#define FABRIC_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/record.h"
#include "wire/tenants.h"

#define POLICY_MAX	60000u	/* bytes of the compiled form */
#define POLICY_RULES_MAX 4096u
#define POLICY_TABLES_MAX 256u
#define POLICY_STREAMS_MAX 1048576u	/* of a rule: no session has more open, fabric-frame(5) */

struct policy;

/* Who is asked about: out of a membership. */
struct policy_node {
	const uint8_t	*node_id;	/* NULL: not known, and no rule that names ids matches */
	const char	*name, *tenant;
	uint32_t	 roles;
	uint8_t		 tier;
};

struct policy_verdict {
	bool	 pass;
	uint32_t rule;		/* that decided, counted from 1; 0: the default */
	uint32_t line;		/* of policy.conf, for people */
	uint32_t kbps, streams;	/* relay: limits of the rule, for each route; 0: none */
};

/* NULL, and *error a negative frame_error or 0 when memory is short. */
struct policy *policy_load(const uint8_t *p, size_t len, int *error);
void	policy_free(struct policy *);

/*
 * `p' may be NULL: the default, which passes all within a tenant, and there relaying by members with the role relay or
 * entry. Between nodes that meet, see policy_meet(), the fabric's own services, see policy_is_own(), pass whatever the rules
 * say: else a policy could cut nodes off from the next one.
 */
struct policy_verdict policy_reach(const struct policy *p, const struct policy_node *src, const struct policy_node *dest,
	    const char *service, unsigned class);

bool	policy_is_own(const char *service);

/* The tighter of two limits, of which 0 is none. */
static inline uint32_t
policy_tighter(uint32_t a, uint32_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/*
 * Has any node of tenant `a' to do with any of tenant `b': is there a pass rule across tenants by which one may reach something
 * of the other, or relay for it? With its own, always. It is the door: what each may, the rules for it say, one by one.
 */
bool	policy_meet(const struct policy *p, const char *a, const char *b);

/* All that t->own meets so. -1: there are more than t has room for; t then has some of them, and none that it must not. */
int	policy_tenants(const struct policy *p, struct tenants *t);

/* May `relay' carry this class for `src'? Never without the role relay or entry. */
struct policy_verdict policy_relay(const struct policy *p, const struct policy_node *relay, const struct policy_node *src,
	    unsigned class);

/*
 * For those who do not know all that the policy asks about.
 *
 * Is there a service of `dest', whatever it is called, that `src' may reach in this class? The verdict of a rule by which
 * there is one, or of one by which there is none.
 */
struct policy_verdict policy_reach_any(const struct policy *p, const struct policy_node *src, const struct policy_node *dest,
	    unsigned class);

/*
 * Is there a node of this tenant, whatever it is, for which `relay' may carry this class? A relay knows no more of who
 * uses it; who made the route does, and has asked policy_relay(). Of each limit it is the most that any of them is given.
 */
struct policy_verdict policy_relay_for_tenant(const struct policy *p, const struct policy_node *relay, const char *tenant,
	    unsigned class);

/*
 * The same for several classes at a time (bits), for people: one answer for all classes that one rule decides, in the order
 * of their first. `service' NULL: may `a' relay for `b'. Returns how many.
 */
struct policy_answer {
	struct policy_verdict verdict;
	uint8_t	 classes;
};
size_t	policy_answers(const struct policy *p, const struct policy_node *a, const struct policy_node *b, const char *service,
	    uint8_t classes, struct policy_answer out[CLASS_COUNT]);

/* "all", or "dns,bulk". */
#define POLICY_CLASSES_TEXT 64
char	*policy_classes_text(char out[POLICY_CLASSES_TEXT], uint8_t classes);

size_t	policy_rules(const struct policy *);		/* how many */
uint32_t policy_rule_line(const struct policy *, uint32_t rule);	/* of policy.conf; 0 when there is no such rule */

/*
 * The rule of that number (from 1; 0: the default's own words) as policy.conf(5) has it, on one line, for people who ask
 * why. As snprintf(3): always ends with NUL when size > 0, and the whole length is returned. `p' may be NULL.
 */
size_t	policy_rule_text(char *buf, size_t size, const struct policy *p, uint32_t rule);

#endif
