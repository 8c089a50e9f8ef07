#include "fabricctl/policy_conf.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/identity.h"

void
policy_conf_free(struct policy_conf *c)
{
	if (c == NULL)
		return;
	policy_source_clear(&c->source);
	policy_free(c->policy);
	lex_free(c->lexer);
	for (uint32_t i = 0; i < c->kept.n; i++)
		free((char *)(uintptr_t)c->kept.word[i]);
	free(c->kept.word);
	free(c->compiled);
	free(c->nodes);
	free(c->tests);
	free(c->name);
	free(c);
}

struct policy_conf *
policy_conf_load(const char *name, const uint8_t *p, size_t len, char err[POLICY_CONF_ERR_MAX])
{
	struct policy_conf *c = calloc(1, sizeof(*c));
	int e = 0;

	if (c == NULL || (c->name = strdup(name)) == NULL || (c->compiled = malloc(len + 1)) == NULL ||
	    (c->policy = policy_load(p, len, &e)) == NULL) {
		snprintf(err, POLICY_CONF_ERR_MAX, "%s: %s", name, e == 0 ? "out of memory" : frame_strerror(e));
		policy_conf_free(c);
		return NULL;
	}
	memcpy(c->compiled, p, len);
	c->len = len;
	return c;
}

static struct policy_conf_node *
find(const struct policy_conf *c, const char *name)
{
	for (uint32_t i = 0; i < c->nnodes; i++)
		if (strcmp(c->nodes[i].name, name) == 0)
			return &c->nodes[i];
	return NULL;
}

const struct policy_conf_node *
policy_conf_find(const struct policy_conf *c, const char *name)
{
	return find(c, name);
}

int
policy_conf_member(struct policy_conf *c, const struct record *m)
{
	struct policy_conf_node *n = find(c, m->name), *bigger;

	if (n != NULL && n->certified)
		return -1;
	if (n == NULL) {
		if (c->nnodes == POLICY_CONF_NODES_MAX)
			return -1;
		if ((bigger = reallocarray(c->nodes, c->nnodes + 1, sizeof(*n))) == NULL)
			return -1;
		c->nodes = bigger;
		n = &c->nodes[c->nnodes++];
		c->nodes_size = c->nnodes;
	}
	*n = (struct policy_conf_node){ .roles = m->roles, .tier = m->tier, .has_id = true, .certified = true };
	memcpy(n->name, m->name, sizeof(n->name));
	memcpy(n->tenant, m->tenant, sizeof(n->tenant));
	node_id_from_key(n->id, m->subject);
	return 0;
}

struct policy_node
policy_conf_as_node(const struct policy_conf_node *n)
{
	return (struct policy_node){ n->has_id ? n->id : NULL, n->name, n->tenant, n->roles, n->tier };
}

/* What was asked, in short. */
static int
question(char *out, size_t size, const struct policy_conf_test *t, unsigned class)
{
	if (t->relay)
		return snprintf(out, size, "relay %s for %s class %s", t->from, t->to, class_name(class));
	return snprintf(out, size, "%s to %s@%s class %s", t->from, t->service, t->to, class_name(class));
}

static bool
test_class(const struct policy_conf *c, const struct policy_conf_test *t, const struct policy_node *a,
    const struct policy_node *b, unsigned class, char why[POLICY_CONF_ERR_MAX])
{
	struct policy_verdict v = t->relay ? policy_relay(c->policy, a, b, class) :
	    policy_reach(c->policy, a, b, t->service, class);
	int n;

	if (v.pass == t->pass)
		return true;
	n = question(why, POLICY_CONF_ERR_MAX, t, class);
	if (v.rule == 0)
		snprintf(why + n, POLICY_CONF_ERR_MAX - (size_t)n, ": %s by the default, not %s", v.pass ? "pass" : "block",
		    t->pass ? "pass" : "block");
	else
		snprintf(why + n, POLICY_CONF_ERR_MAX - (size_t)n, ": %s by line %u, not %s", v.pass ? "pass" : "block", v.line,
		    t->pass ? "pass" : "block");
	return false;
}

bool
policy_conf_test(const struct policy_conf *c, const struct policy_conf_test *t, char why[POLICY_CONF_ERR_MAX])
{
	const struct policy_conf_node *from = find(c, t->from), *to = find(c, t->to);
	struct policy_node a, b;

	if (from == NULL || to == NULL) {
		snprintf(why, POLICY_CONF_ERR_MAX, "node \"%s\" is not described, by a node line or a membership",
		    from == NULL ? t->from : t->to);
		return false;
	}
	a = policy_conf_as_node(from);
	b = policy_conf_as_node(to);
	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (t->classes & 1u << class && !test_class(c, t, &a, &b, class, why))
			return false;
	return true;
}
