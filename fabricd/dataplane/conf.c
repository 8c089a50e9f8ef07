/* Configuration, as a transaction: a new object is put together and checked, then swapped in or forgotten. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/dp.h"
#include "fabricd/dataplane/peer.h"
#include "fabricd/dataplane/quic.h"

#define PEERS_STEP 64u

static int	item_bad(char *err, const char *why);

void
dp_conf_free(struct dp_conf *conf)
{
	if (conf == NULL)
		return;
	for (size_t i = 0; i < conf->nsockets; i++)
		if (conf->sockets[i].fd != -1)
			close(conf->sockets[i].fd);
	free(conf->peers);
	free(conf);
}

void
dp_conf_begin(struct dataplane *dp)
{
	dp_conf_free(dp->next_conf);
	if ((dp->next_conf = calloc(1, sizeof(*dp->next_conf))) == NULL)
		fatal("configuration");
}

static int
item_bad(char *err, const char *why)
{
	snprintf(err, PM_TEXT_MAX + 1, "%s", why);
	return -1;
}

static int
peer_add(struct dp_conf *conf, const struct pm_conf_peer *peer, char *err)
{
	if (conf->npeers >= DP_PEERS_MAX)
		return item_bad(err, "too many peers");
	if (conf->npeers % PEERS_STEP == 0) {
		struct pm_conf_peer *more = reallocarray(conf->peers, conf->npeers + PEERS_STEP, sizeof(*more));

		if (more == NULL)
			return item_bad(err, strerror(errno));
		conf->peers = more;
	}
	conf->peers[conf->npeers++] = *peer;
	return 0;
}

static int
socket_add(struct dp_conf *conf, const struct pm_conf_socket *s, int fd, char *err)
{
	if (fd == -1 || s->purpose != SOCKET_FABRIC_UDP || conf->nsockets == DP_SOCKETS_MAX) {
		if (fd != -1)
			close(fd);
		return item_bad(err, "a socket that the dataplane does not take");
	}
	conf->sockets[conf->nsockets].fd = fd;
	conf->sockets[conf->nsockets].addr = s->addr;
	conf->nsockets++;
	return 0;
}

int
dp_conf_item(struct dataplane *dp, const struct procmsg *m, int fd, char *err)
{
	struct dp_conf *conf = dp->next_conf;

	switch (m->type) {
	case PM_CONF_NODE:
		conf->node = m->conf_node;
		conf->has_node = true;
		return 0;
	case PM_CONF_SESSION:
		conf->session = m->conf_session;
		conf->has_session = true;
		return 0;
	case PM_CONF_PEER:
		return peer_add(conf, &m->conf_peer, err);
	case PM_CONF_SOCKET:
		return socket_add(conf, &m->conf_socket, fd, err);
	default:
		return item_bad(err, "not for the dataplane");
	}
}

int
dp_conf_check(struct dataplane *dp, char *err)
{
	const struct dp_conf *conf = dp->next_conf;
	const struct pm_conf_session *s = &conf->session;

	if (!conf->has_node || !conf->has_session)
		return item_bad(err, "no node or no session block");
	if (s->keepalive_ms == 0 || s->dead_ms <= s->keepalive_ms || s->auth_timeout_ms == 0)
		return item_bad(err, "session times: dead has to be above keepalive, and none is 0");
	if (s->max_sessions == 0)
		return item_bad(err, "max-sessions is 0");
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if (s->weight[c] > TURN_WEIGHT_MAX)
			return item_bad(err, "a class weighs too much");
	return 0;
}

void
dp_conf_abort(struct dataplane *dp)
{
	dp_conf_free(dp->next_conf);
	dp->next_conf = NULL;
}

const struct pm_conf_peer *
dp_conf_peer(const struct dataplane *dp, const uint8_t *node_id)
{
	for (size_t i = 0; dp->conf != NULL && i < dp->conf->npeers; i++)
		if (memcmp(dp->conf->peers[i].node_id, node_id, NODE_ID_LEN) == 0)
			return &dp->conf->peers[i];
	return NULL;
}

/* What the sessions read of it. */
static void
self_set(struct dataplane *dp, const struct dp_conf *conf)
{
	struct session_self *self = &dp->self;

	tenants_own(&self->tenants, conf->node.tenant);
	memcpy(self->node_id, conf->node.node_id, NODE_ID_LEN);
	memcpy(self->authority, conf->node.authority, SIGN_PUBLIC_LEN);
	self->auth_timeout_ns = conf->session.auth_timeout_ms * NS_PER_MS;
	self->keepalive_ns = conf->session.keepalive_ms * NS_PER_MS;
	self->dead_ns = conf->session.dead_ms * NS_PER_MS;
	for (size_t i = 0; i < WORKER_COUNT; i++)
		memcpy(dp->workers[i].port.node_id, self->node_id, NODE_ID_LEN);
}

static void
weights_set(struct dataplane *dp, const uint8_t *weight)
{
	struct conn *c;

	switch_weigh(&dp->sw, weight);
	TAILQ_FOREACH(c, &dp->conns, all)
		if (c->sched != NULL)
			sched_weigh(c->sched, weight);
}

/* Whom this node may no longer speak to: another identity, or peers that are configured no more. */
static void
sessions_review(struct dataplane *dp, bool all)
{
	struct conn *c;

	TAILQ_FOREACH(c, &dp->conns, all) {
		if (all)
			conn_end(c, REASON_SHUTDOWN);
		else if (dp->conf->session.peers_only && c->session.state == SESSION_UP &&
		    dp_conf_peer(dp, c->session.peer.node_id) == NULL)
			conn_end(c, REASON_AUTH_POLICY);
	}
}

static struct udp_sock *
sock_same(struct dataplane *dp, const struct pm_addr *addr)
{
	for (size_t i = 0; i < dp->nsocks; i++)
		if (memcmp(&dp->socks[i]->addr, addr, sizeof(*addr)) == 0)
			return dp->socks[i];
	return NULL;
}

/* Connections go on over the new socket of the same address; without one they end. */
static void
socks_swap(struct dataplane *dp, struct dp_conf *conf)
{
	struct udp_sock *old[DP_SOCKETS_MAX];
	size_t nold = dp->nsocks;
	struct conn *c;

	memcpy(old, dp->socks, sizeof(old));
	dp->nsocks = 0;
	for (size_t i = 0; i < conf->nsockets; i++) {
		struct udp_sock *us = udp_new(dp, conf->sockets[i].fd, &conf->sockets[i].addr, conf->session.gso);

		conf->sockets[i].fd = -1;
		if (us == NULL)
			log_warn("udp socket=%zu", i);
		else
			dp->socks[dp->nsocks++] = us;
	}
	TAILQ_FOREACH(c, &dp->conns, all) {
		struct udp_sock *us = sock_same(dp, &c->sock->addr);

		if (us != NULL) {
			c->sock = us;
			continue;
		}
		c->silent = true;
		conn_end(c, REASON_SHUTDOWN);
	}
	dp_flush(dp);	/* those that end still point to the old ones */
	for (size_t i = 0; i < nold; i++)
		udp_free(old[i]);
}

void
dp_conf_commit(struct dataplane *dp)
{
	struct dp_conf *conf = dp->next_conf, *old = dp->conf;
	bool other = old != NULL && memcmp(&old->node, &conf->node, sizeof(old->node)) != 0;

	dp_begin(dp);
	dp->next_conf = NULL;
	dp->conf = conf;
	self_set(dp, conf);
	weights_set(dp, conf->session.weight);
	if (other)
		dp->self.delegation_len = 0;
	sessions_review(dp, other);
	dp_flush(dp);
	if (conf->nsockets > 0)
		socks_swap(dp, conf);
	dp_conf_free(old);
	if (dp->self.delegation_len == 0)
		dp_delegate(dp);
	else
		peers_redial(dp);
	dp_flush(dp);
}
