#include "svchostd/certify.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

int
certify_init(struct certify *c)
{
	memset(c, 0, sizeof(*c));
	return e2e_self_init(&c->self);
}

static void
ask(struct certify *c, struct worker *w)
{
	struct procmsg m = { .type = PM_DELEGATE, .delegate.purpose = PURPOSE_E2E };

	memcpy(m.delegate.key, c->self.key.public, sizeof(m.delegate.key));
	worker_send(w, &m, -1);
	c->asked_ns = clock_ns();
}

void
certify_node(struct certify *c, struct worker *w, const struct pm_conf_node *node)
{
	c->configured = true;
	e2e_self_node(&c->self, node->node_id, node->authority, node->tenant);
	if (c->self.delegation_len == 0 && c->asked_ns == 0)
		ask(c, w);
}

void
certify_take(struct certify *c, const struct pm_delegation *d)
{
	if (d->purpose != PURPOSE_E2E)
		return;
	/* After a change of the node one that was on its way may still be for the old one. */
	if (e2e_self_certify(&c->self, d->membership, d->delegation) == -1) {
		log_warnx("the supervisor's delegation is not for this key and node");
		return;
	}
	c->renew_at = d->renew_at;
	c->asked_ns = 0;
}

void
certify_tick(struct certify *c, struct worker *w)
{
	bool due = c->self.delegation_len == 0 || clock_wall() >= c->renew_at;

	if (c->configured && due && (c->asked_ns == 0 || clock_ns() >= c->asked_ns + CERTIFY_AGAIN_S * NS_PER_SEC))
		ask(c, w);
}
