/* What the dataplane is told of other nodes: who is at the end of a route, what each may reach here, who is no member. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proc/stats.h"
#include "routed/manager.h"

#define TELL_BATCH	64u

static struct manager_remote *
remote_find(struct manager *m, const uint8_t *node_id)
{
	for (size_t i = 0; i < m->nremotes; i++)
		if (memcmp(m->remotes[i].node_id, node_id, NODE_ID_LEN) == 0)
			return &m->remotes[i];
	return NULL;
}

/* Family, length, address: as a pm_peer_up has them. */
static size_t
pack_prefixes(uint8_t buf[RECORD_ADDRS_MAX * 18], const struct peer_identity *who)
{
	size_t len = 0;

	for (unsigned i = 0; i < who->nprefixes; i++) {
		const struct record_prefix *p = &who->prefixes[i];
		size_t n = p->family == 4 ? 4 : 16;

		buf[len++] = p->family;
		buf[len++] = p->len;
		memcpy(buf + len, p->addr, n);
		len += n;
	}
	return len;
}

static int
send_remote(struct manager *m, const struct known *k)
{
	uint8_t prefixes[RECORD_ADDRS_MAX * 18];
	struct procmsg msg = { .type = PM_REMOTE };

	memcpy(msg.peer_up.node_id, k->node_id, NODE_ID_LEN);
	memcpy(msg.peer_up.name, k->member.name, sizeof(msg.peer_up.name));
	memcpy(msg.peer_up.tenant, k->member.tenant, sizeof(msg.peer_up.tenant));
	msg.peer_up.roles = k->member.roles;
	msg.peer_up.tier = k->member.tier;
	msg.peer_up.not_after = k->member.not_after;
	msg.peer_up.prefixes = (struct frame_bytes){ prefixes, pack_prefixes(prefixes, &k->member) };
	msg.peer_up.membership = (struct frame_bytes){ k->membership.p, k->membership.len };
	return m->ops->dataplane(&msg, m->arg);
}

int
manager_tell_remote(struct manager *m, const uint8_t *node_id)
{
	const struct known *k = known_find(m->knowns, node_id);

	if (remote_find(m, node_id) != NULL)
		return 0;
	if (k == NULL || k->membership.len == 0 || m->nremotes == MANAGER_REMOTES_MAX || send_remote(m, k) == -1)
		return -1;
	memcpy(m->remotes[m->nremotes].node_id, node_id, NODE_ID_LEN);
	m->remotes[m->nremotes++].needed = true;
	manager_tell_permit(m, k);
	return 0;
}

static void
mark(struct installed *e, void *arg)
{
	struct manager_remote *r = e->t.place == TICKET_RELAY ? NULL : remote_find(arg, e->t.far);

	if (r != NULL)
		r->needed = true;
}

void
manager_sweep_remotes(struct manager *m)
{
	struct procmsg msg = { .type = PM_REMOTE_DEL };

	for (size_t i = 0; i < m->nremotes; i++)
		m->remotes[i].needed = false;
	install_each(m->install, mark, m);
	for (size_t i = m->nremotes; m->dataplane && i-- > 0;) {
		if (m->remotes[i].needed)
			continue;
		memcpy(msg.target_del.node_id, m->remotes[i].node_id, NODE_ID_LEN);
		if (m->ops->dataplane(&msg, m->arg) == -1)
			return;
		m->remotes[i] = m->remotes[--m->nremotes];
		m->permits_next = 0;	/* while they are told: this one may be among those that were */
	}
}

/* --- what each may reach here --- */

static size_t
put_permit(uint8_t *p, const struct manager *m, const struct policy_node *who, const char *service)
{
	struct policy_node self = manager_self_policy(m);
	size_t len = strlen(service);
	uint8_t classes = 0;

	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (policy_reach(m->policy, who, &self, service, class).pass)
			classes |= (uint8_t)(1u << class);
	if (classes == 0)
		return 0;
	p[0] = (uint8_t)len;
	memcpy(p + 1, service, len);
	p[1 + len] = classes;
	return len + 2;
}

static int
send_permit(struct manager *m, const struct policy_node *who)
{
	static const char *const always[] = { "vpn", "echo" };
	const struct service_set *own = &m->dir->board.own;
	uint8_t buf[PM_PERMITS_MAX];
	struct procmsg msg = { .type = PM_PERMIT };
	size_t len = 0;

	memcpy(msg.permit.node_id, who->node_id, NODE_ID_LEN);
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		len += put_permit(buf + len, m, who, always[i]);
	for (size_t i = 0; i < own->n && len + 2 + FRAME_SERVICE_MAX <= sizeof(buf); i++)
		if (strcmp(own->v[i].name, "vpn") != 0 && strcmp(own->v[i].name, "echo") != 0)
			len += put_permit(buf + len, m, who, own->v[i].name);
	msg.permit.services = (struct frame_bytes){ buf, len };
	return m->ops->dataplane(&msg, m->arg);
}

void
manager_tell_permit(struct manager *m, const struct known *k)
{
	const struct peer *p = k == NULL ? NULL : directory_find(m->dir, k->node_id);
	struct policy_node who;

	if (!m->dataplane || !m->serves || m->policy == NULL || k == NULL ||
	    ((p == NULL || !p->session.up) && remote_find(m, k->node_id) == NULL))
		return;
	who = known_policy_node(k);
	if (send_permit(m, &who) == -1)
		m->permits_due = true;
}

/* A neighbour that is not known by its records is known by what its session proved. */
static int
permit_peer(struct manager *m, const struct peer *p)
{
	const struct known *k = known_find(m->knowns, p->node_id);
	struct policy_node who = { .node_id = p->node_id, .name = p->member.name, .tenant = p->member.tenant,
	    .roles = p->member.roles, .tier = p->member.tier };

	if (!p->session.up)
		return 0;
	if (k != NULL)
		who = known_policy_node(k);
	return send_permit(m, &who);
}

static int
permit_remote(struct manager *m, const struct manager_remote *r)
{
	const struct known *k = known_find(m->knowns, r->node_id);
	struct policy_node who;

	if (k == NULL)
		return 0;
	who = known_policy_node(k);
	return send_permit(m, &who);
}

/* Of whom is not named: without a policy all of this tenant may reach all, and there is nobody else; with one, nothing. */
static int
permit_others(struct manager *m)
{
	struct procmsg msg = { .type = PM_PERMIT, .permit.all = m->policy == NULL };

	return m->ops->dataplane(&msg, m->arg);
}

/* A session has come up: what was said of its node before may be from an older policy. */
void
manager_tell_permit_peer(struct manager *m, const uint8_t *node_id)
{
	const struct peer *p = directory_find(m->dir, node_id);

	if (m->dataplane && m->serves && m->policy != NULL && (p == NULL || permit_peer(m, p) == -1))
		m->permits_due = true;
}

/* First that, then the neighbours, then the far nodes; where it stopped when the channel was full, it goes on. */
static void
tell_permits(struct manager *m)
{
	size_t n = m->dir->npeers;

	if (m->permits_next == 0 && permit_others(m) == -1)
		return;
	if (m->policy == NULL)
		m->permits_next = n + m->nremotes;
	for (; m->permits_next < n + m->nremotes; m->permits_next++)
		if ((m->permits_next < n ? permit_peer(m, m->dir->peers[m->permits_next]) :
		    permit_remote(m, &m->remotes[m->permits_next - n])) == -1)
			return;
	m->permits_due = false;
	m->permits_next = 0;
}

/* --- who is no member --- */

static int
send_revoke(struct manager *m, const uint8_t *node_id, bool revoked)
{
	struct procmsg msg = { .type = PM_REVOKE, .revoke.revoked = revoked };

	memcpy(msg.revoke.node_id, node_id, NODE_ID_LEN);
	return m->ops->dataplane(&msg, m->arg);
}

/* --- whom this node meets of other tenants --- */

static int
send_tenants(struct manager *m)
{
	const struct tenants *t = knowns_tenants(m->knowns);
	struct procmsg msg = { .type = PM_TENANTS, .tenants = { t->others, { t->list, t->len } } };

	return m->ops->dataplane(&msg, m->arg);
}

void
manager_tell_more(struct manager *m)
{
	if (!m->dataplane || !m->is_self)	/* before the configuration no policy is loaded: "all" would be a lie */
		return;
	for (; m->npardoned > 0; m->npardoned--)
		if (send_revoke(m, m->pardoned + (m->npardoned - 1) * NODE_ID_LEN, false) == -1)
			return;
	while (m->revoked_told < m->nrevoked) {
		if (send_revoke(m, m->revoked + m->revoked_told * NODE_ID_LEN, true) == -1)
			return;
		m->revoked_told++;
	}
	/* What is not told of is not permitted, and ends: first it has to be known what there is. */
	if (m->permits_due && m->serves)
		tell_permits(m);
	if (m->tenants_due && send_tenants(m) == 0)
		m->tenants_due = false;
}

static unsigned
judge_revoked(const struct installed *e, void *arg)
{
	const struct manager *m = arg;
	const struct ticket *t = &e->t;

	if (knowns_revoked(m->knowns, e->issuer) || (t->place != TICKET_SOURCE && knowns_revoked(m->knowns, t->prev)) ||
	    (t->place != TICKET_DEST && knowns_revoked(m->knowns, t->next)) ||
	    (t->place != TICKET_RELAY && knowns_revoked(m->knowns, t->far)))
		return TICKET_E_REVOKED;
	return INSTALL_OK;
}

static bool
listed(const uint8_t *ids, size_t n, const uint8_t *id)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(ids + i * NODE_ID_LEN, id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

static size_t
unlisted(uint8_t *to, const uint8_t *ids, size_t nids, const uint8_t *now, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < nids; i++)
		if (!listed(now, n, ids + i * NODE_ID_LEN))
			memcpy(to + k++ * NODE_ID_LEN, ids + i * NODE_ID_LEN, NODE_ID_LEN);
	return k;
}

/* A newer list may leave out whom an older one had; who waits to be told so may be on it again. -1: no memory. */
static int
pardon(struct manager *m, const uint8_t *now, size_t n)
{
	uint8_t *ids = m->dataplane ? malloc((m->npardoned + m->nrevoked) * NODE_ID_LEN + 1) : NULL;
	size_t k;

	if (!m->dataplane)
		return 0;
	if (ids == NULL)
		return -1;
	k = unlisted(ids, m->pardoned, m->npardoned, now, n);
	k += unlisted(ids + k * NODE_ID_LEN, m->revoked, m->nrevoked, now, n);
	free(m->pardoned);
	m->pardoned = ids;
	m->npardoned = k;
	return 0;
}

void
manager_revocations(struct manager *m, const struct record *r)
{
	size_t n = r->content.len / NODE_ID_LEN;
	uint8_t *ids = malloc(r->content.len + 1);

	if (ids == NULL || pardon(m, r->content.p, n) == -1) {
		log_warnx("no memory for a revocation: it is heeded after the next start");
		free(ids);
		return;
	}
	memcpy(ids, r->content.p, n * NODE_ID_LEN);
	free(m->revoked);
	m->revoked = ids;
	m->nrevoked = n;
	m->revoked_told = 0;
	install_judge(m->install, judge_revoked, m, REASON_REVOKED);
	for (size_t i = 0; i < n; i++) {
		fences_drop(&m->fences, ids + i * NODE_ID_LEN);
		routes_revoked(m->routes, ids + i * NODE_ID_LEN, &m->now);
	}
	STAT_SET(ROUTED_REVOKED, n);
	manager_tell_more(m);
}
