#include "fabricd/dataplane/peer.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/quic.h"
#include "fabricd/dataplane/reach.h"
#include "fabricd/dataplane/udp.h"
#include "proc/stats.h"

#define BACKOFF_MIN_NS	(200 * NS_PER_MS)
#define BACKOFF_MAX_NS	(15 * NS_PER_SEC)
#define RACE_NS		(300 * NS_PER_MS)	/* until the next address, or socket, is tried beside the first */
#define TRIES_MAX	16u			/* of one round */
#define RENEW_S		120u			/* before the records end */
#define RENEW_AGAIN_S	20u
#define TENANT_NS	(500 * NS_PER_MS)	/* that a session stays while its tenant is not met any more */
#define YOUNG_NS	(10 * NS_PER_SEC)	/* a session no older than this may be one of two dialled at once */

static size_t
slot(const uint8_t *node_id)
{
	return (size_t)(node_id[0] | node_id[1] << 8) % PEER_HASH;	/* a hash already */
}

void
peers_init(struct dataplane *dp)
{
	if ((dp->peers = calloc(PEER_HASH, sizeof(*dp->peers))) == NULL)
		fatal("peers");
}

struct peer *
peer_find(struct dataplane *dp, const uint8_t *node_id)
{
	struct peer *p;

	LIST_FOREACH(p, &dp->peers[slot(node_id)], entry)
		if (memcmp(p->node_id, node_id, NODE_ID_LEN) == 0)
			return p;
	return NULL;
}

static void	on_timer(evutil_socket_t, short, void *);

struct peer *
peer_get(struct dataplane *dp, const uint8_t *node_id)
{
	struct peer *p = peer_find(dp, node_id);

	if (p != NULL || dp->npeers >= DP_PEERS_MAX)
		return p;
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->dp = dp;
	memcpy(p->node_id, node_id, NODE_ID_LEN);
	if ((p->timer = evtimer_new(dp->base, on_timer, p)) == NULL) {
		free(p);
		return NULL;
	}
	LIST_INSERT_HEAD(&dp->peers[slot(node_id)], p, entry);
	dp->npeers++;
	return p;
}

/* Forgets a peer that nothing needs any more. */
static void
peer_drop(struct peer *p)
{
	if (p->target || p->up != NULL || p->nconns > 0)
		return;
	LIST_REMOVE(p, entry);
	p->dp->npeers--;
	event_free(p->timer);
	free(p);
}

void
peers_free(struct dataplane *dp)
{
	for (size_t i = 0; dp->peers != NULL && i < PEER_HASH; i++) {
		struct peer *p;

		while ((p = LIST_FIRST(&dp->peers[i])) != NULL) {
			LIST_REMOVE(p, entry);
			event_free(p->timer);
			free(p);
		}
	}
	free(dp->peers);
	dp->peers = NULL;
}

static void
timer_set(struct peer *p, uint64_t ns)
{
	struct timeval tv = { .tv_sec = (time_t)(ns / NS_PER_SEC), .tv_usec = (suseconds_t)(ns % NS_PER_SEC / NS_PER_US) };

	evtimer_add(p->timer, &tv);
}

/* A quarter more or less, so that nodes that lost the same peer do not come back in step. */
static uint64_t
jitter(uint64_t ns)
{
	uint32_t r;

	crypto_random(&r, sizeof(r));
	return ns - ns / 4 + ns / 2 * (r >> 8) / (1u << 24);
}

/* --- addresses and sockets: which of these is in the network of which of those, only trying tells --- */

static size_t
nsocks(const struct dataplane *dp, unsigned family)
{
	size_t n = 0;

	for (size_t i = 0; i < dp->nsocks; i++)
		n += dp->socks[i]->addr.family == family;
	return n;
}

/* The i-th of its family; NULL: there are not so many. */
static struct udp_sock *
sock_at(const struct dataplane *dp, unsigned family, size_t i)
{
	for (size_t k = 0; k < dp->nsocks; k++)
		if (dp->socks[k]->addr.family == family && i-- == 0)
			return dp->socks[k];
	return NULL;
}

static size_t
sock_place(const struct dataplane *dp, const struct udp_sock *us)
{
	size_t i = 0;

	for (size_t k = 0; k < dp->nsocks && dp->socks[k] != us; k++)
		i += dp->socks[k]->addr.family == us->addr.family;
	return i;
}

static size_t
all_tries(const struct peer *p)
{
	size_t most = 0;

	for (size_t i = 0; i < p->naddrs; i++) {
		size_t n = nsocks(p->dp, p->addrs[i].family);

		most = n > most ? n : most;
	}
	return p->naddrs * most;
}

static bool
has_try(const struct peer *p)
{
	return p->next_try < TRIES_MAX && p->next_try < all_tries(p);
}

static struct conn *
dial_try(struct peer *p, size_t try)
{
	const struct pm_addr *to = &p->addrs[try % p->naddrs];
	size_t n = nsocks(p->dp, to->family), turn = try / p->naddrs;

	return turn >= n ? NULL : quic_dial(p->dp, p, to, sock_at(p->dp, to->family, (p->first_sock + turn) % n));
}

static void
backoff(struct peer *p)
{
	if (all_tries(p) > TRIES_MAX)	/* those that had no turn come first the next time */
		p->first_sock += TRIES_MAX / p->naddrs;
	p->backoff_ns = p->backoff_ns == 0 ? BACKOFF_MIN_NS : p->backoff_ns * 2;
	if (p->backoff_ns > BACKOFF_MAX_NS)
		p->backoff_ns = BACKOFF_MAX_NS;
	p->next_try = 0;
	timer_set(p, jitter(p->backoff_ns));
}

static bool
may_dial(const struct peer *p)
{
	return p->dial && p->up == NULL && !p->dp->draining && p->dp->conf != NULL && p->dp->self.delegation_len > 0;
}

/* The next address, or socket, of this round; when none is left, the round has failed as soon as its dials have. */
static void
dial_next(struct peer *p)
{
	while (has_try(p)) {
		if (dial_try(p, p->next_try++) == NULL)
			continue;
		if (has_try(p))
			timer_set(p, RACE_NS);
		return;
	}
	if (p->ndials == 0 && p->naddrs > 0)
		backoff(p);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct dataplane *dp = p->dp;

	(void)fd;
	(void)what;
	dp_begin(dp);
	if (may_dial(p)) {
		if (p->ndials == 0)
			p->next_try = 0;
		dial_next(p);
	}
	dp_flush(dp);
}

void
peer_target(struct dataplane *dp, const struct pm_target *t)
{
	struct peer *p;

	if (memcmp(t->node_id, dp->self.node_id, NODE_ID_LEN) == 0 || (p = peer_get(dp, t->node_id)) == NULL)
		return;
	p->target = true;
	p->dial = t->dial;
	p->naddrs = p->next_try = 0;	/* they follow */
}

void
peer_target_addr(struct dataplane *dp, const struct pm_target_addr *t)
{
	struct peer *p = peer_find(dp, t->node_id);

	if (p == NULL || p->naddrs == PEER_ADDRS_MAX)
		return;
	for (size_t i = 0; i < p->naddrs; i++)
		if (memcmp(&p->addrs[i], &t->addr, sizeof(t->addr)) == 0)
			return;
	p->addrs[p->naddrs++] = t->addr;
	if (may_dial(p) && p->ndials == 0 && (p->backoff_ns == 0 || !evtimer_pending(p->timer, NULL)))
		timer_set(p, 0);	/* when its other addresses have come as well */
}

void
peer_target_del(struct dataplane *dp, const uint8_t *node_id)
{
	struct peer *p = peer_find(dp, node_id);
	struct conn *c;

	if (p == NULL)
		return;
	p->target = p->dial = false;
	evtimer_del(p->timer);
	TAILQ_FOREACH(c, &dp->conns, all)
		if (c->peer == p && c->dialling)
			conn_end(c, REASON_SHUTDOWN);
	peer_drop(p);
}

void
peers_targets_forget(struct dataplane *dp)
{
	for (size_t i = 0; i < PEER_HASH; i++) {
		struct peer *p, *next;

		for (p = LIST_FIRST(&dp->peers[i]); p != NULL; p = next) {
			next = LIST_NEXT(p, entry);
			p->target = p->dial = false;
			evtimer_del(p->timer);
			peer_drop(p);
		}
	}
}

/*
 * Sessions that may not be any more end when each is looked at: what makes it so has a moment to reach the neighbour over this
 * very session. The adapters hear of it before anybody who may come now does.
 */
int
peers_tenants(struct dataplane *dp, const struct pm_tenants *m)
{
	struct tenants *t = &dp->self.tenants;
	bool same = t->others == m->others && t->len == m->list.len && (t->len == 0 || memcmp(t->list, m->list.p, t->len) == 0);

	if (same)
		return 0;
	if (tenants_set(t, m->others, m->list) == -1)
		return -1;
	dp->tenants_ns = dp->now_ns;
	wport_tenants(dp, WORKER_VPND);
	wport_tenants(dp, WORKER_SVCHOSTD);
	peers_redial(dp);	/* who refused us, or was refused, may be let in now */
	return 0;
}

/* Two connections of the same pair: whether the newer one has to go. */
static bool
loses(const struct conn *old, const struct conn *new)
{
	const struct session *o = &old->session, *n = &new->session;
	const uint8_t *us = n->self->node_id, *them = n->peer.node_id;
	bool ours_wins = memcmp(us, them, NODE_ID_LEN) < 0;

	if (o->peer_boot_id != n->peer_boot_id || o->initiator == n->initiator)
		return false;	/* the peer began again, and knows nothing of the old one */
	if (new->dp->now_ns - o->up_ns > YOUNG_NS)
		return false;	/* nobody dials who has a session: it lost the old one before we did */
	/* Both dialled at once: the one whose initiator has the lower id stays, which both ends find alike. */
	return n->initiator != ours_wins;
}

uint64_t
peer_accept(struct dataplane *dp, const struct conn *c)
{
	const uint8_t *id = c->session.peer.node_id;
	const struct reach *r;
	struct peer *p = peer_find(dp, id);

	if (dp->draining || dp->conf == NULL)
		return REASON_SHUTDOWN;
	if ((r = reach_find(dp, id)) != NULL && r->revoked)
		return REASON_REVOKED;
	if (dp->conf->session.peers_only && dp_conf_peer(dp, id) == NULL)
		return REASON_AUTH_POLICY;
	if (p != NULL && p->up != NULL)
		return loses(p->up, c) ? REASON_DUPLICATE : REASON_NONE;
	return dp->nup < dp->conf->session.max_sessions ? REASON_NONE : REASON_LIMIT;
}

/* Our other dials to a peer that is up now; one that is proven already is left to the rule for two at once. */
static void
dials_cancel(struct peer *p, const struct conn *but)
{
	struct conn *c;

	TAILQ_FOREACH(c, &p->dp->conns, all)
		if (c != but && c->peer == p && c->dialling && !c->session.peer_known)
			conn_end(c, REASON_DUPLICATE);
}

bool
peer_up(struct dataplane *dp, struct conn *c)
{
	struct peer *p = peer_get(dp, c->session.peer.node_id);
	struct conn *old;

	if (p == NULL)
		return false;
	if ((old = p->up) != NULL && loses(old, c))
		return false;
	if (c->dialling) {
		c->dialling = false;
		p->ndials--;
		p->first_sock = sock_place(dp, c->sock);
	}
	if (c->peer == NULL) {
		c->peer = p;
		p->nconns++;
	}
	if (old != NULL) {
		STAT_INC(DP_SESSIONS_REPLACED);
		old->replaced = old->session.peer_boot_id == c->session.peer_boot_id;
		hop_down(old, REASON_DUPLICATE);
		conn_end(old, REASON_DUPLICATE);
	} else {
		dp->nup++;
	}
	p->up = c;
	evtimer_del(p->timer);
	dials_cancel(p, c);
	return true;
}

static void
dial_gone(struct peer *p, const struct conn *c)
{
	struct procmsg m = { .type = PM_DIAL_FAILED };

	p->ndials--;
	p->last_reason = c->reason;
	STAT_INC(DP_DIALS_FAILED);
	memcpy(m.dial_failed.node_id, p->node_id, NODE_ID_LEN);
	m.dial_failed.addr = c->dialled;
	m.dial_failed.reason = c->reason;
	wport_send(p->dp, WORKER_ROUTED, &m);
	if (!may_dial(p))
		return;
	if (has_try(p))
		dial_next(p);
	else if (p->ndials == 0)
		backoff(p);
}

static void
session_gone(struct peer *p, const struct conn *c)
{
	uint64_t lived = p->dp->now_ns - c->session.up_ns;

	p->up = NULL;
	p->dp->nup--;
	p->last_reason = c->reason;
	if (lived >= YOUNG_NS)
		p->backoff_ns = 0;
	if (!may_dial(p))
		return;
	/* A peer that said goodbye needs a moment to come back; one that merely vanished may be there already. */
	if (p->backoff_ns != 0 || c->reason == REASON_SHUTDOWN) {
		backoff(p);
		return;
	}
	if (lived < YOUNG_NS)
		p->backoff_ns = BACKOFF_MIN_NS / 2;	/* at once, but not again and again */
	timer_set(p, 0);
}

void
peer_conn_gone(struct dataplane *dp, struct conn *c)
{
	struct peer *p = c->peer;

	(void)dp;
	if (p == NULL)
		return;
	p->nconns--;
	if (c->dialling)
		dial_gone(p, c);
	else if (p->up == c)
		session_gone(p, c);
	peer_drop(p);
}

void
peers_redial(struct dataplane *dp)
{
	for (size_t i = 0; i < PEER_HASH; i++) {
		struct peer *p;

		LIST_FOREACH(p, &dp->peers[i], entry) {
			if (!may_dial(p))
				continue;
			p->backoff_ns = 0;
			timer_set(p, 0);
		}
	}
}

/*
 * A session lives no longer than the records that it was proven with, of either side. Whoever dialled it dials again
 * before that, with the records of today: the new one replaces it, and nothing is down in between.
 */
void
peer_renew(struct conn *c, uint64_t wall)
{
	struct peer *p = c->peer;
	uint64_t end = c->session.peer.not_after;
	struct pm_addr to;

	if (c->own_not_after != 0 && c->own_not_after < end)
		end = c->own_not_after;
	if (wall >= c->session.peer.not_after) {
		conn_end(c, REASON_AUTH_EXPIRED);
		return;
	}
	if (!tenants_meet(&c->dp->self.tenants, c->session.peer.tenant) && c->dp->now_ns - c->dp->tenants_ns >= TENANT_NS) {
		conn_end(c, REASON_AUTH_TENANT);
		return;
	}
	if (!c->session.initiator || p == NULL || p->up != c || p->ndials > 0 || p->dp->draining ||
	    wall + RENEW_S < end || c->renewed_wall + RENEW_AGAIN_S > wall)
		return;
	c->renewed_wall = wall;
	conn_remote(c, &to);
	quic_dial(p->dp, p, &to, c->sock);
}

struct port *
peer_port(struct fswitch *sw, const uint8_t *node_id)
{
	struct dataplane *dp = (struct dataplane *)(void *)((char *)sw - offsetof(struct dataplane, sw));
	struct peer *p = peer_find(dp, node_id);

	return p != NULL && p->up != NULL && p->up->port_on && !p->up->closing ? &p->up->port : NULL;
}
