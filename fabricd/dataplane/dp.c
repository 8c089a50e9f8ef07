#include "fabricd/dataplane/dp.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/cid.h"
#include "fabricd/dataplane/limits.h"
#include "fabricd/dataplane/peer.h"
#include "fabricd/dataplane/quic.h"
#include "fabricd/dataplane/reach.h"
#include "fabricd/dataplane/tls.h"
#include "proc/stats.h"

#define RESETS_PER_SEC	200u
#define REFUSALS_PER_SEC 200u
#define REFUSED_LOGS_PER_SEC 5u
#define REFUSED_LOGS_BURST 50u
#define PROBE_NS	(2 * NS_PER_SEC)	/* for an answer after the machine's addresses changed */

uint64_t
dp_begin(struct dataplane *dp)
{
	dp->sw.routes.wall = clock_wall();
	return dp->now_ns = clock_ns();
}

void
dp_flush(struct dataplane *dp)
{
	struct conn *c;

	dp->now_ns = clock_ns();
	probes_flush(dp);
	reach_flush(dp);
	while ((c = TAILQ_FIRST(&dp->dirty)) != NULL) {
		TAILQ_REMOVE(&dp->dirty, c, dirty_entry);
		c->dirty = false;
		conn_flush(c);
	}
	wports_flush(dp);
	/* A port that broke reset its streams at their sessions. */
	if (TAILQ_FIRST(&dp->dirty) != NULL)
		dp_flush(dp);
	else {
		timers_arm(dp->timers);
		probes_arm(dp);
	}
}

static void
on_due(void *arg)
{
	struct dataplane *dp = arg;
	uint64_t now = dp_begin(dp);
	struct timer *tm;

	while ((tm = timers_due(dp->timers, now)) != NULL)
		conn_due((struct conn *)(void *)((char *)tm - offsetof(struct conn, timer)));
	dp_flush(dp);
}

static void
second_arm(struct dataplane *dp)
{
	event_add(dp->second, &(struct timeval){ 1, 0 });
}

static void
sessions_watch(struct dataplane *dp)
{
	uint64_t wall = clock_wall();
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&dp->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, all);
		if (c->session.state != SESSION_UP)
			continue;
		if (c->probed_ns != 0 && c->session.heard_ns > c->probed_ns)
			c->probed_ns = 0;
		if (c->probed_ns != 0 && dp->now_ns - c->probed_ns >= PROBE_NS)
			conn_end(c, REASON_TIMEOUT);
		else if (mtu_blackhole(c)) {
			STAT_INC(DP_MTU_LOST);
			log_info("session path=smaller name=%s", c->session.peer.name);
			conn_end(c, REASON_TIMEOUT);
		} else
			peer_renew(c, wall);
	}
}

static void
on_second(evutil_socket_t fd, short what, void *arg)
{
	struct dataplane *dp = arg;

	(void)fd;
	(void)what;
	dp_begin(dp);
	sessions_watch(dp);
	switch_tick(&dp->sw);
	pressure_second(dp);
	STAT_SET(DATAPLANE_HEAP, stats_heap());
	wports_stats(dp);
	reach_second(dp);
	show_counters(dp);
	second_arm(dp);
	dp_flush(dp);
}

void
dp_delegate(struct dataplane *dp)
{
	struct procmsg m = { .type = PM_DELEGATE };

	m.delegate.purpose = PURPOSE_SESSION;
	memcpy(m.delegate.key, dp->self.key.public, SIGN_PUBLIC_LEN);
	dp->ops->send(&m, dp->arg);
}

static void
on_renew(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	dp_delegate(arg);
}

static void
on_drain(evutil_socket_t fd, short what, void *arg)
{
	struct dataplane *dp = arg;

	(void)fd;
	(void)what;
	dp->ops->drained(dp->arg);
}

static void
self_init(struct session_self *self)
{
	crypto_random(&self->boot_id, sizeof(self->boot_id));
	self->boot_id >>= 2;	/* fits a varint, whatever the frame uses */
	self->versions[0] = FABRIC_VERSION_1;
	self->nversions = 1;
	self->limits.max_frame = FRAME_MAX_DEFAULT;
	self->limits.max_streams = DP_STREAMS_MAX;
	self->limits.max_credit = CREDIT_INITIAL;
	self->limits.max_datagram = FRAME_DATAGRAM_CEILING;
	self->capabilities = EXPRESS_CAPABILITY;
}

static int
parts_make(struct dataplane *dp)
{
	uint64_t secret[4];

	crypto_random(secret, sizeof(secret));
	/* Until the supervisor gives those that outlive this process. */
	crypto_random(dp->token_key, sizeof(dp->token_key));
	crypto_random(dp->reset_key, sizeof(dp->reset_key));
	switch_init(&dp->sw, peer_port, secret[0], &dp->now_ns, dp->self.node_id);
	if (sign_key_generate(&dp->self.key) == -1 || (dp->tls = tls_new(&dp->self.key)) == NULL)
		return -1;
	if ((dp->cids = cid_table_new(secret[1])) == NULL || (dp->tokens = cid_table_new(secret[2])) == NULL ||
	    (dp->prefixes = prefix_table_new(secret[3])) == NULL)
		return -1;
	if ((dp->timers = timers_new(dp->base, on_due, dp)) == NULL || reaches_init(dp) == -1 || probes_init(dp) == -1)
		return -1;
	dp->second = evtimer_new(dp->base, on_second, dp);
	dp->renew = evtimer_new(dp->base, on_renew, dp);
	dp->drain = evtimer_new(dp->base, on_drain, dp);
	return dp->second == NULL || dp->renew == NULL || dp->drain == NULL ? -1 : 0;
}

struct dataplane *
dp_new(struct event_base *base, const struct dp_ops *ops, void *arg)
{
	struct dataplane *dp;

	if ((dp = calloc(1, sizeof(*dp))) == NULL)
		return NULL;
	dp->base = base;
	dp->ops = ops;
	dp->arg = arg;
	dp->inflight_max = DP_INFLIGHT_MAX;
	TAILQ_INIT(&dp->conns);
	TAILQ_INIT(&dp->dirty);
	ratelimit_init(&dp->resets, NS_PER_SEC / RESETS_PER_SEC, RESETS_PER_SEC);
	ratelimit_init(&dp->refusals, NS_PER_SEC / REFUSALS_PER_SEC, REFUSALS_PER_SEC);
	ratelimit_init(&dp->refused_logs, NS_PER_SEC / REFUSED_LOGS_PER_SEC, REFUSED_LOGS_BURST);
	sched_pool_init(&dp->pool, DP_DATAGRAM_MAX, DP_POOL_BYTES);
	self_init(&dp->self);
	wports_init(dp);
	peers_init(dp);
	if (parts_make(dp) == -1) {
		dp_free(dp);
		return NULL;
	}
	dp_begin(dp);
	second_arm(dp);
	return dp;
}

static void
event_drop(struct event *ev)
{
	if (ev != NULL)
		event_free(ev);
}

void
dp_free(struct dataplane *dp)
{
	struct conn *c;

	if (dp == NULL)
		return;
	dp->draining = true;	/* nothing is dialled any more */
	while ((c = TAILQ_FIRST(&dp->conns)) != NULL)
		conn_free(c);
	for (size_t i = 0; i < WORKER_COUNT; i++)
		wport_close(&dp->workers[i]);
	for (size_t i = 0; i < dp->nsocks; i++)
		udp_free(dp->socks[i]);
	reaches_free(dp);
	probes_free(dp);
	routes_free(&dp->sw.routes);
	peers_free(dp);
	cid_table_free(dp->cids);
	cid_table_free(dp->tokens);
	prefix_table_free(dp->prefixes);
	tls_free(dp->tls);
	timers_free(dp->timers);
	event_drop(dp->second);
	event_drop(dp->renew);
	event_drop(dp->drain);
	sched_pool_free(&dp->pool);
	dp_conf_free(dp->conf);
	dp_conf_free(dp->next_conf);
	crypto_wipe(dp, sizeof(*dp));
	free(dp);
}

void
dp_port(struct dataplane *dp, enum worker_kind kind, int fd)
{
	if (kind != WORKER_ROUTED && kind != WORKER_VPND && kind != WORKER_SVCHOSTD) {
		close(fd);	/* the others have no business here */
		return;
	}
	dp_begin(dp);
	wport_attach(dp, kind, fd);
	dp_flush(dp);
}

/* When the first of our records ends; 0 when that cannot be read, which a peer will find out as well. */
static uint64_t
records_end(const struct pm_delegation *d)
{
	struct record m, w;

	if (record_decode(&m, d->membership.p, d->membership.len) != RECORD_OK ||
	    record_decode(&w, d->delegation.p, d->delegation.len) != RECORD_OK)
		return 0;
	return m.not_after < w.not_after ? m.not_after : w.not_after;
}

static int
delegation_take(struct dataplane *dp, const struct pm_delegation *d)
{
	struct session_self *self = &dp->self;
	uint64_t wall = clock_wall(), wait;

	if (d->purpose != PURPOSE_SESSION || d->membership.len > sizeof(self->membership) ||
	    d->delegation.len > sizeof(self->delegation) || d->delegation.len == 0)
		return -1;
	memcpy(self->membership, d->membership.p, d->membership.len);
	self->membership_len = d->membership.len;
	memcpy(self->delegation, d->delegation.p, d->delegation.len);
	self->delegation_len = d->delegation.len;
	dp->own_not_after = records_end(d);
	wait = d->renew_at > wall ? d->renew_at - wall : 1;
	event_add(dp->renew, &(struct timeval){ (time_t)wait, 0 });
	peers_redial(dp);
	return 0;
}

/* The machine's addresses changed: whoever is up is asked whether it still hears us, whoever is not is dialled. */
static void
net_changed(struct dataplane *dp)
{
	struct conn *c;

	TAILQ_FOREACH(c, &dp->conns, all) {
		memset(&c->local, 0, sizeof(c->local));
		if (c->session.state == SESSION_UP) {
			session_probe(&c->session, dp->now_ns);
			c->probed_ns = dp->now_ns;
		}
		conn_dirty(c);
	}
	peers_redial(dp);
}

int
dp_message(struct dataplane *dp, const struct procmsg *m)
{
	int rv = 0;

	dp_begin(dp);
	switch (m->type) {
	case PM_SECRET:
		memcpy(dp->token_key, m->secret.token_key, sizeof(dp->token_key));
		memcpy(dp->reset_key, m->secret.reset_key, sizeof(dp->reset_key));
		break;
	case PM_DELEGATION:
		rv = delegation_take(dp, &m->delegation);
		break;
	case PM_NET_CHANGED:
		net_changed(dp);
		break;
	default:
		rv = -1;
	}
	dp_flush(dp);
	return rv;
}

void
dp_request(struct dataplane *dp, const struct pm_request *r)
{
	dp_begin(dp);
	show_request(dp, r);
}

void
dp_drain(struct dataplane *dp, unsigned ms)
{
	struct conn *c;

	dp_begin(dp);
	dp->draining = true;
	TAILQ_FOREACH(c, &dp->conns, all)
		conn_end(c, REASON_SHUTDOWN);
	event_add(dp->drain, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
	dp_flush(dp);
	if (dp->nconns == 0)
		event_add(dp->drain, &(struct timeval){ 0, 0 });
}
