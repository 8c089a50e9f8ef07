#include "vpnd/keys.h"

#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "vpnd/vpnd.h"

#define RUN_MIN_NS	(10 * NS_PER_MS)	/* between two looks at all peers */
#define BEGIN_MAX	32u			/* handshakes that one look begins */
#define ASK_NS		(200 * NS_PER_MS)	/* between two questions for services */
#define DELEGATE_NS	NS_PER_SEC		/* between two for a delegation */

/* --- our own ------------------------------------------------------------------ */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct vpnd *v = arg;

	(void)fd;
	(void)what;
	v->now_ns = clock_ns();
	vpn_keys_run(v);
	if (v->port != NULL)
		ipc_flush(v->port);
}

void
vpn_keys_start(struct vpnd *v)
{
	v->keys_timer = event_new(v->worker->base, -1, 0, on_timer, v);
	if (v->keys_timer == NULL || e2e_self_init(&v->self) == -1)
		fatalx("no key");
}

void
vpn_keys_stop(struct vpnd *v)
{
	if (v->keys_timer != NULL)
		event_free(v->keys_timer);
	v->keys_timer = NULL;
	e2e_self_wipe(&v->self);
}

/* After a second again, should the answer be lost. */
static void
delegate(struct vpnd *v)
{
	struct procmsg m = { .type = PM_DELEGATE, .delegate.purpose = PURPOSE_E2E };

	memcpy(m.delegate.key, v->self.key.public, RECORD_KEY_LEN);
	worker_send(v->worker, &m, -1);
	v->delegate_ns = v->now_ns + DELEGATE_NS;
}

void
vpn_keys_configured(struct vpnd *v)
{
	e2e_self_node(&v->self, v->conf->node.node_id, v->conf->node.authority, v->conf->node.tenant);
	delegate(v);
	vpn_keys_run(v);
}

int
vpn_keys_delegation(struct vpnd *v, const struct pm_delegation *m)
{
	if (m->purpose != PURPOSE_E2E || e2e_self_certify(&v->self, m->membership, m->delegation) == -1)
		return -1;
	v->renew_at = m->renew_at;
	log_debug("delegated not_after=%llu", (unsigned long long)v->self.not_after);
	vpn_keys_run(v);
	return 0;
}

/* --- services ------------------------------------------------------------------ */

/* Several peers that come up together ask once. */
void
vpn_keys_ask(struct vpnd *v)
{
	v->ask_services = true;
	vpn_keys_run(v);
}

static void
ask(struct vpnd *v)
{
	struct procmsg m = { .type = PM_SERVICES };

	if (procmsg_send(v->port, &m, -1) == -1)
		return;		/* when the timer comes */
	v->ask_services = false;
	v->ask_ns = v->now_ns + ASK_NS;
}

/* Whether it is what we have already, so that nothing has to be verified. */
static bool
same_service(const struct vpn_keys *k, const struct pm_service *m)
{
	const struct e2e_service *s = &k->service;
	struct record r;

	return k->have_service && record_decode(&r, m->record.p, m->record.len) == RECORD_OK &&
	    r.kind == RECORD_SERVICE && r.serial == s->serial && r.not_before == s->not_before &&
	    r.not_after == s->not_after && memcmp(r.subject, s->key, NOISE_DH_LEN) == 0 &&
	    memcmp(r.issuer, s->node_key, SIGN_PUBLIC_LEN) == 0 && strcmp(r.name, s->name) == 0;
}

static void shake_drop(struct vpnd *, uint32_t, uint64_t);
static void out_drop(struct vpnd *, uint32_t);

void
vpn_keys_service(struct vpnd *v, const struct pm_service *m)
{
	struct e2e_service s;
	struct vpn_keys *k;
	uint32_t index;
	int reason;

	if (strcmp(m->name, VPN_SERVICE) != 0 || vpn_peer_find(v, m->node_id, &index) == NULL)
		return;		/* asked for again when it comes up */
	k = &v->peers[index]->keys;
	if (same_service(k, m))
		return;
	reason = e2e_service_check(&s, m->record.p, m->record.len, clock_wall());
	if (reason != REASON_NONE) {
		STAT_INC(VPND_SERVICES_REFUSED);
		log_warnx("service record of name=%s: %s", v->peers[index]->name, reason_name((uint64_t)reason));
		return;
	}
	if (memcmp(s.node_id, m->node_id, NODE_ID_LEN) != 0 || strcmp(s.name, VPN_SERVICE) != 0)
		return;
	/* One that was away and is back, as with another routed, has the key that it had: what runs goes on. */
	if (memcmp(k->service.key, s.key, NOISE_DH_LEN) != 0) {
		shake_drop(v, index, REASON_NONE);
		out_drop(v, index);
		k->retry_ns = k->backoff_ns = 0;
	}
	k->service = s;
	k->have_service = true;
	vpn_keys_run(v);
}

void
vpn_keys_service_del(struct vpnd *v, const struct pm_service_del *m)
{
	struct vpn_peer *p = vpn_peer_find(v, m->node_id, NULL);

	/* What runs goes on; it ends with its keys. */
	if (p != NULL && strcmp(m->name, VPN_SERVICE) == 0)
		p->keys.have_service = false;
}

/* --- what we seal with --------------------------------------------------------- */

/* Not before so long; twice as long each time. */
static void
back_off(struct vpn_keys *k, uint64_t now_ns)
{
	k->backoff_ns = k->backoff_ns == 0 ? KEYS_BACKOFF_MIN_NS : 2 * k->backoff_ns;
	if (k->backoff_ns > KEYS_BACKOFF_MAX_NS)
		k->backoff_ns = KEYS_BACKOFF_MAX_NS;
	k->retry_ns = now_ns + k->backoff_ns;
}

/* The handshake under way is over, for good or ill; its stream as well. */
static void
shake_drop(struct vpnd *v, uint32_t index, uint64_t reason)
{
	struct vpn_keys *k = &v->peers[index]->keys;
	struct frame f = { .type = FT_CLOSE_STREAM, .close = { .stream_id = k->shake_id, .reason = reason } };

	if (k->shake == NULL)
		return;
	if (v->port != NULL && vpn_stream_find(&v->streams, k->shake_id) != NULL) {
		ipc_send(v->port, &f);
		vpn_stream_remove(&v->streams, k->shake_id);
	}
	e2e_free(k->shake);
	k->shake = NULL;
	k->shake_id = 0;
}

static void
out_drop(struct vpnd *v, uint32_t index)
{
	struct vpn_keys *k = &v->peers[index]->keys;

	if (!k->have)
		return;
	k->have = false;
	e2e_keys_wipe(&k->out);
	vpn_flows_retire(v, index);
}

/* Message 1, in the OPEN_STREAM of a stream of its own. */
static int
shake_begin(struct vpnd *v, uint32_t index, uint64_t now)
{
	struct vpn_peer *p = v->peers[index];
	struct vpn_keys *k = &p->keys;
	uint8_t message[E2E_MESSAGE_MAX];
	uint64_t id;
	size_t len;

	k->shake = e2e_open(&v->self, &k->service, OPEN_UNRELIABLE, NULL, 0, message, &len, now);
	if (k->shake == NULL)
		return -1;
	id = vpn_stream_open(v, index, CLASS_CONTROL, STREAM_SHAKE, (struct frame_bytes){ message, len }, 0);
	if (id == 0) {
		e2e_free(k->shake);
		k->shake = NULL;
		return -1;
	}
	k->shake_id = id;
	k->shake_wait_ns = k->shake_wait_ns == 0 ? KEYS_SHAKE_NS : k->shake_wait_ns;
	k->shake_end_ns = v->now_ns + k->shake_wait_ns;
	STAT_INC(VPND_SHAKES);
	return 0;
}

/* Nothing came back: perhaps it is a long way. */
static void
shake_timeout(struct vpnd *v, uint32_t index)
{
	struct vpn_keys *k = &v->peers[index]->keys;

	STAT_INC(VPND_SHAKES_TIMEOUT);
	shake_drop(v, index, REASON_TIMEOUT);
	k->shake_wait_ns = k->shake_wait_ns >= KEYS_SHAKE_MAX_NS ? KEYS_SHAKE_MAX_NS : 2 * k->shake_wait_ns;
	k->retry_ns = v->now_ns;
}

static void
shake_failed(struct vpnd *v, uint32_t index, uint64_t reason)
{
	struct vpn_peer *p = v->peers[index];

	STAT_INC(VPND_SHAKES_FAILED);
	log_debug("no keys name=%s: %s", p->name, reason_name(reason));
	back_off(&p->keys, v->now_ns);
}

void
vpn_keys_shake_ended(struct vpnd *v, uint32_t peer, uint64_t reason)
{
	struct vpn_keys *k = &v->peers[peer]->keys;

	e2e_free(k->shake);
	k->shake = NULL;
	k->shake_id = 0;
	/* Moved, it begins anew at once, but for one that was so just now. */
	if (reason == REASON_MOVED && v->now_ns - k->moved_ns >= NS_PER_SEC)
		k->moved_ns = v->now_ns;
	else
		shake_failed(v, peer, reason);
	vpn_keys_run(v);
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void
out_set(struct vpnd *v, uint32_t index, const struct e2e_keys *keys, uint64_t not_after)
{
	struct vpn_keys *k = &v->peers[index]->keys;
	bool had = k->have;

	vpn_flows_retire(v, index);
	k->have = true;
	k->out = *keys;
	k->out_ns = v->now_ns;
	k->out_wall = clock_wall();
	k->out_counter = 0;
	k->out_not_after = least(not_after, least(k->service.not_after, v->self.not_after));
	k->shake_wait_ns = 0;
	STAT_INC(VPND_SHAKES_DONE);
	if (!had)
		log_info("sealed name=%s cipher=%s", v->peers[index]->name, aead_name(keys->cipher));
}

void
vpn_keys_message(struct vpnd *v, struct vpn_stream *s, const uint8_t *data, size_t len)
{
	struct vpn_keys *k = &v->peers[s->peer]->keys;
	uint8_t message[E2E_MESSAGE_MAX];
	struct peer_identity peer;
	uint32_t index = s->peer;
	struct e2e_keys keys;
	int reason = REASON_AUTH_PROOF;

	if (k->shake == NULL || k->shake_id != s->id)
		return;
	if (len <= sizeof(message)) {
		memcpy(message, data, len);	/* the dataplane's bytes may change */
		reason = e2e_finish(k->shake, &v->self, message, len, clock_wall(), &keys, &peer);
	}
	shake_drop(v, index, REASON_NONE);
	if (reason == REASON_NONE) {
		out_set(v, index, &keys, peer.not_after);
		e2e_keys_wipe(&keys);
	} else {
		shake_failed(v, index, (uint64_t)reason);
	}
	vpn_keys_run(v);
}

int
vpn_keys_out(struct vpnd *v, uint32_t peer, unsigned class, struct e2e_keys *keys, uint8_t field[KEYED_LEN])
{
	struct vpn_keys *k = &v->peers[peer]->keys;
	uint64_t counter = k->out_counter + 1;

	if (!k->have || clock_wall() >= k->out_not_after)
		return -1;
	if (e2e_keys_derive(keys, &k->out, counter, (uint8_t)class) == -1)
		return -1;
	k->out_counter = counter;	/* used up, whatever comes of it */
	field[0] = KEYED_KIND;
	memcpy(field + 1, k->out.id, E2E_KEY_ID_LEN);
	for (unsigned i = 0; i < 8; i++)
		field[1 + E2E_KEY_ID_LEN + i] = (uint8_t)(counter >> 8 * (7 - i));
	return 0;
}

void
vpn_keys_lost(struct vpnd *v, uint32_t peer, const uint8_t id[E2E_KEY_ID_LEN])
{
	struct vpn_keys *k = &v->peers[peer]->keys;

	if (!k->have || memcmp(k->out.id, id, E2E_KEY_ID_LEN) != 0)
		return;		/* said of other streams already */
	STAT_INC(VPND_KEYS_LOST);
	if (v->now_ns - k->out_ns >= KEYS_STABLE_NS) {
		k->backoff_ns = 0;
		k->retry_ns = v->now_ns;
	} else {
		back_off(k, v->now_ns);
	}
	out_drop(v, peer);
	vpn_keys_run(v);
}

void
vpn_keys_down(struct vpnd *v, uint32_t peer)
{
	struct vpn_keys *k = &v->peers[peer]->keys;

	e2e_free(k->shake);
	k->shake = NULL;
	k->shake_id = 0;
	k->retry_ns = k->backoff_ns = k->shake_wait_ns = 0;
}

void
vpn_keys_clear(struct vpn_keys *k)
{
	e2e_free(k->shake);
	crypto_wipe(k, sizeof(*k));
}

/* --- when ---------------------------------------------------------------------- */

static bool
in_use(const struct vpn_peer *p)
{
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		for (unsigned g = 0; g < FLOW_GROUPS; g++)
			if (p->flow[c][g].stream_id != 0)
				return true;
	return false;
}

/* Whether a handshake is wanted: there are no keys, or the ones there are will end or are old. */
static bool
wanted(const struct vpnd *v, const struct vpn_peer *p, uint64_t now)
{
	const struct vpn_keys *k = &p->keys;
	uint64_t best;

	if (!p->up || !k->have_service || now >= k->service.not_after)
		return false;
	if (!k->have)
		return true;
	best = least(k->service.not_after, v->self.not_after);
	if (now + KEYS_MARGIN_S >= k->out_not_after && best > k->out_not_after)
		return true;
	return v->now_ns - k->out_ns >= KEYS_RENEW_NS && in_use(p);
}

/* Does what is due for one peer; when the next thing is, or UINT64_MAX. */
static uint64_t
step(struct vpnd *v, uint32_t index, uint64_t now, unsigned *begun)
{
	struct vpn_keys *k = &v->peers[index]->keys;

	if (k->have && now >= k->out_not_after)
		out_drop(v, index);
	if (k->shake != NULL && v->now_ns >= k->shake_end_ns)
		shake_timeout(v, index);
	if (k->shake != NULL)
		return k->shake_end_ns;
	if (!wanted(v, v->peers[index], now))
		return UINT64_MAX;
	if (v->now_ns < k->retry_ns)
		return k->retry_ns;
	if (*begun >= BEGIN_MAX)
		return v->now_ns + RUN_MIN_NS;
	++*begun;
	if (shake_begin(v, index, now) == -1)
		back_off(k, v->now_ns);
	return k->shake != NULL ? k->shake_end_ns : k->retry_ns;
}

static void
arm(struct vpnd *v, uint64_t due_ns)
{
	uint64_t wait = due_ns <= v->now_ns + RUN_MIN_NS ? RUN_MIN_NS : due_ns - v->now_ns;
	struct timeval tv = { (time_t)(wait / NS_PER_SEC), (suseconds_t)(wait % NS_PER_SEC / NS_PER_US) };

	if (due_ns != UINT64_MAX)
		event_add(v->keys_timer, &tv);
}

void
vpn_keys_run(struct vpnd *v)
{
	uint64_t now = clock_wall(), due = UINT64_MAX;
	unsigned begun = 0;

	if (v->conf == NULL || v->keys_timer == NULL)
		return;
	if ((v->self.delegation_len == 0 || now >= v->renew_at) && v->now_ns >= v->delegate_ns)
		delegate(v);
	if (v->port == NULL)
		return;
	if (v->ask_services && v->now_ns >= v->ask_ns)
		ask(v);
	if (v->ask_services)
		due = v->ask_ns;
	if (e2e_self_ready(&v->self, now) && v->tun.fd != -1)
		for (uint32_t i = 0; i < v->npeers; i++)
			if (v->peers[i] != NULL)
				due = least(due, step(v, i, now, &begun));
	arm(v, due);
}
