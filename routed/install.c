#include "routed/install.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "wire/fields.h"
#include "wire/varint.h"

#define BUCKETS		1024u
#define RATES		128u	/* neighbours and tenants whose rate is remembered, each */

_Static_assert(PM_RANK_MAX == 1 + LEASE_HELD_MAX + INSTALL_FAR_MAX, "each has a place among the ways");

struct rate {
	uint8_t		 key[RECORD_TENANT_MAX + 1];
	struct ratelimit limit;
	bool		 used;
};

struct install {
	const struct install_ops *ops;
	void		*arg;
	size_t		 n;
	bool		 untold, unsent;
	uint64_t	 begun_ns;	/* the first tick, or the first neighbour; 0: there was none */
	uint64_t	 kbps;		/* that relayed routes were promised together */
	struct installed *bucket[BUCKETS];
	struct rate	 peers[RATES], tenants[RATES];
};

struct install *
install_new(const struct install_ops *ops, void *arg)
{
	struct install *in = calloc(1, sizeof(*in));

	_Static_assert(sizeof(((struct rate *)NULL)->key) >= NODE_ID_LEN, "either fits");
	if (in != NULL) {
		in->ops = ops;
		in->arg = arg;
	}
	return in;
}

static void
entry_free(struct installed *e)
{
	free(e->rest);
	free(e);
}

void
install_free(struct install *in)
{
	if (in == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct installed *e = in->bucket[i], *next; e != NULL; e = next) {
			next = e->hash_next;
			entry_free(e);
		}
	free(in);
}

/* --- the table --- */

static struct installed **
bucket(const struct install *in, uint64_t route_id)
{
	return (struct installed **)&in->bucket[(route_id ^ route_id >> 20 ^ route_id >> 40) % BUCKETS];
}

struct installed *
install_find(const struct install *in, uint64_t route_id)
{
	struct installed *e = *bucket(in, route_id);

	while (e != NULL && e->t.route_id != route_id)
		e = e->hash_next;
	return e;
}

size_t
install_count(const struct install *in)
{
	return in->n;
}

void
install_each(const struct install *in, void (*fn)(struct installed *, void *), void *arg)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct installed *e = in->bucket[i], *next; e != NULL; e = next) {
			next = e->hash_next;
			fn(e, arg);
		}
}

static uint64_t
promised(const struct installed *e)
{
	return e->t.place == TICKET_RELAY ? e->t.kbps : 0;
}

static void
unlink_entry(struct install *in, struct installed *e)
{
	struct installed **p = bucket(in, e->t.route_id);

	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	in->n--;
	in->kbps -= promised(e);
}

static bool
is(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, NODE_ID_LEN) == 0;
}

/* --- the dataplane --- */

static int
tell_route(struct install *in, const struct installed *e)
{
	struct procmsg m = { .type = PM_ROUTE };
	struct install_limits own = { 0, 0 };

	if (e->t.place == TICKET_RELAY)
		own = in->ops->limits(&e->t, in->arg);
	m.route = (struct pm_route){ .route_id = e->t.route_id, .epoch = e->t.epoch, .place = e->t.place,
	    .classes = e->t.classes, .kbps = policy_tighter(e->t.kbps, own.kbps),
	    .streams = policy_tighter(e->t.streams, own.streams), .hard = e->t.hard };
	if (e->t.place == TICKET_RELAY)
		m.route.kbps_all = in->ops->kbps_all(in->arg);
	memcpy(m.route.prev, e->t.prev, NODE_ID_LEN);
	memcpy(m.route.next, e->t.next, NODE_ID_LEN);
	memcpy(m.route.far, e->t.far, NODE_ID_LEN);
	strcpy(m.route.tenant, e->t.tenant);
	return in->ops->dataplane(&m, in->arg);
}

/* A way that is not there yet would only be found silent: the source's dataplane hears of it last. */
static bool
to_be_told(const struct installed *e)
{
	return !e->told && (e->t.place != TICKET_SOURCE || e->state == ROUTE_UP);
}

static void
tell(struct install *in, struct installed *e)
{
	if (!to_be_told(e))
		return;
	if (tell_route(in, e) == 0)
		e->told = true;
	else
		in->untold = true;
}

static void
tell_del(struct install *in, uint64_t route_id, uint64_t reason)
{
	struct procmsg m = { .type = PM_ROUTE_DEL, .route_del = { route_id, reason } };

	in->ops->dataplane(&m, in->arg);	/* when it does not hear, its hard expiry is the end */
}

static void
sync_one(struct installed *e, void *arg)
{
	tell(arg, e);
}

void
install_sync(struct install *in)
{
	if (!in->untold)
		return;
	in->untold = false;
	install_each(in, sync_one, in);
}

static void
forget_told(struct installed *e, void *arg)
{
	e->told = false;
}

void
install_again(struct install *in)
{
	install_each(in, forget_told, NULL);
	in->untold = true;
	install_sync(in);
}

/* --- to the neighbours --- */

static void
send_state(struct install *in, const uint8_t *to, unsigned type, uint64_t route_id, unsigned error, unsigned left)
{
	const struct route_installed m = { route_id, (uint8_t)error, (uint8_t)left };
	uint8_t buf[32];
	size_t len = route_installed_encode(buf, sizeof(buf), &m);

	if (len > 0)
		in->ops->send(to, type, buf, len, in->arg);
}

/* What came of it: to the node before, or to who wanted the route. `left': nodes behind and with this one that have it not. */
static void
report(struct install *in, const struct installed *e, unsigned error, unsigned left)
{
	if (e->t.place == TICKET_SOURCE)
		in->ops->result(e->t.route_id, error, left, in->arg);
	else
		send_state(in, e->t.prev, DIRMSG_INSTALLED, e->t.route_id, error, left);
}

/* 0, or -1: there is no next one. `rest' is what stood behind the own ticket. */
static int
pass_on(struct install *in, const struct installed *e)
{
	uint8_t buf[16 + LEASE_HOPS_MAX * (TICKET_SEALED_MAX + 4)], *p = buf;

	p = varint_put(p, e->t.route_id);
	memcpy(p, e->rest, e->rest_len);
	return in->ops->send(e->t.next, DIRMSG_INSTALL, buf, (size_t)(p - buf) + e->rest_len, in->arg);
}

/* --- ending --- */

static void
drop(struct install *in, struct installed *e, unsigned error, uint64_t reason, const uint8_t *not_to)
{
	struct ticket t = e->t;
	bool told = e->told;

	unlink_entry(in, e);
	entry_free(e);
	if (told)
		tell_del(in, t.route_id, reason);
	if (t.place != TICKET_SOURCE && (not_to == NULL || !is(not_to, t.prev)))
		send_state(in, t.prev, DIRMSG_TEARDOWN, t.route_id, error, 0);
	if (t.place != TICKET_DEST && (not_to == NULL || !is(not_to, t.next)))
		send_state(in, t.next, DIRMSG_TEARDOWN, t.route_id, error, 0);
	in->ops->event(INSTALL_EV_GONE, &t, error, not_to, in->arg);
	if (t.place == TICKET_SOURCE)
		in->ops->result(t.route_id, error, 0, in->arg);
}

void
install_end(struct install *in, uint64_t route_id, unsigned error, uint64_t reason)
{
	struct installed *e = install_find(in, route_id);

	if (e != NULL)
		drop(in, e, error, reason, NULL);
}

size_t
install_judge(struct install *in, unsigned (*judge)(const struct installed *, void *), void *arg, uint64_t reason)
{
	size_t n = 0;

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct installed *e = in->bucket[i], *next; e != NULL; e = next) {
			unsigned error = judge(e, arg);

			next = e->hash_next;
			if (error == INSTALL_OK)
				continue;
			drop(in, e, error, reason, NULL);
			n++;
		}
	return n;
}

/* --- verifying --- */

struct asking {
	struct install	*in;
	const uint8_t	*from;		/* NULL: a lease of the own */
};

static bool
ask_issuer(const uint8_t *key, struct ticket_issuer *by, void *arg)
{
	const struct asking *a = arg;

	return a->in->ops->issuer(key, by, a->in->arg);
}

static bool
ask_revoked(const uint8_t *node_id, void *arg)
{
	const struct asking *a = arg;

	return a->in->ops->revoked(node_id, a->in->arg);
}

static uint64_t
ask_fenced(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	const struct asking *a = arg;

	return a->in->ops->fenced(t, a->in->arg);
}

static bool
ask_permitted(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	const struct asking *a = arg;

	return a->in->ops->permitted(t, by, a->in->arg);
}

/* The newest epoch that a source has here: an older one is no more to be installed. */
static uint64_t
newest_of(const struct install *in, const struct ticket *t)
{
	uint64_t epoch = 0;

	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct installed *e = in->bucket[i]; e != NULL; e = e->hash_next)
			if (e->t.place == TICKET_DEST && is(e->t.far, t->far) && e->t.epoch > epoch)
				epoch = e->t.epoch;
	return epoch;
}

static bool
ask_replayed(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	const struct asking *a = arg;
	const struct installed *e = install_find(a->in, t->route_id);

	if (e != NULL && (t->epoch < e->t.epoch || t->place != e->t.place || !is(t->prev, e->t.prev) ||
	    !is(t->next, e->t.next) || !is(t->far, e->t.far)))
		return true;
	if (e != NULL && t->epoch == e->t.epoch)
		return false;	/* told again: it goes on for as long as it would have */
	return t->place == TICKET_DEST && t->epoch < newest_of(a->in, t);
}

static bool
ask_room(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	const struct asking *a = arg;
	const struct install *in = a->in;
	const struct installed *e = install_find(in, t->route_id);
	uint64_t all = in->ops->kbps_all(in->arg);
	size_t peer = 0, tenant = 0, far = 0;

	if (t->place == TICKET_RELAY && all != 0 && t->kbps != 0 &&
	    in->kbps - (e != NULL ? promised(e) : 0) + t->kbps > all)
		return false;
	if (e != NULL)
		return true;
	for (size_t i = 0; i < BUCKETS; i++)
		for (e = in->bucket[i]; e != NULL; e = e->hash_next) {
			tenant += strcmp(e->t.tenant, t->tenant) == 0;
			peer += t->place != TICKET_SOURCE && e->t.place != TICKET_SOURCE && is(e->t.prev, t->prev);
			far += t->place == TICKET_DEST && e->t.place == TICKET_DEST && is(e->t.far, t->far);
		}
	return in->n < INSTALL_MAX && peer < INSTALL_PEER_MAX && tenant < INSTALL_TENANT_MAX && far < INSTALL_FAR_MAX;
}

static unsigned
check(struct install *in, const uint8_t *from, uint64_t route_id, struct frame_bytes sealed, struct ticket *t,
    struct ticket_issuer *by)
{
	struct asking a = { in, from };
	struct ticket_ctx ctx = { 0 };

	in->ops->context(&ctx, in->arg);
	ctx.from = from;
	ctx.route_id = route_id;
	ctx.arg = &a;
	ctx.issuer = ask_issuer;
	ctx.revoked = ask_revoked;
	ctx.fenced = ask_fenced;
	ctx.replayed = ask_replayed;
	ctx.permitted = ask_permitted;
	ctx.room = ask_room;
	return ticket_check(&ctx, sealed.p, sealed.len, t, by);
}

/* A bucket for each name, as far as there are; the fullest is taken for a new one: whose it was comes back with a full one. */
static bool
rate_take(struct rate *v, const void *key, size_t len, uint64_t ms, uint64_t burst, uint64_t now_ns)
{
	struct rate *fullest = &v[0], *r = NULL;

	for (size_t i = 0; i < RATES && r == NULL; i++) {
		if (v[i].used && memcmp(v[i].key, key, len) == 0)
			r = &v[i];
		else if (v[i].limit.full_at_ns < fullest->limit.full_at_ns)
			fullest = &v[i];
	}
	if (r == NULL) {
		r = fullest;
		memset(r, 0, sizeof(*r));
		memcpy(r->key, key, len);
		ratelimit_init(&r->limit, ms * NS_PER_MS, burst);
	}
	r->used = true;
	return ratelimit_take(&r->limit, now_ns);
}

/* --- taking --- */

/* A source's older routes are not to be used any more once it has a newer one; it is given time to leave them. */
static void
outdate(struct install *in, const struct installed *newer, uint64_t now_ns)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct installed *e = in->bucket[i]; e != NULL; e = e->hash_next)
			if (e->t.place == TICKET_DEST && e->old_ns == 0 && is(e->t.far, newer->t.far) &&
			    e->t.epoch < newer->t.epoch)
				e->old_ns = now_ns + 1;
}

/* Puts it in, or renews what is there. NULL when memory is short. */
static struct installed *
keep(struct install *in, const struct ticket *t, const struct ticket_issuer *by, struct frame_bytes rest, unsigned nrest,
    const struct clock_both *now)
{
	struct installed *e = install_find(in, t->route_id), **b;
	uint8_t *copy = malloc(rest.len + 1);

	if (copy == NULL || (e == NULL && (e = calloc(1, sizeof(*e))) == NULL)) {
		free(copy);
		return NULL;
	}
	if (e->since == 0) {
		e->since = now->wall;
		e->t.route_id = t->route_id;
		b = bucket(in, t->route_id);
		e->hash_next = *b;
		*b = e;
		in->n++;
	}
	if (t->epoch > e->t.epoch)
		e->old_ns = 0;
	in->kbps -= promised(e);
	e->t = *t;
	in->kbps += promised(e);
	memcpy(e->issuer, by->who.node_id, NODE_ID_LEN);
	if (rest.len > 0)
		memcpy(copy, rest.p, rest.len);
	free(e->rest);
	e->rest = copy;
	e->rest_len = rest.len;
	e->nrest = (uint8_t)nrest;
	e->told = e->confirmed = e->unsent = false;
	return e;
}

/* What its dataplane carries is of before; others that began anew as lately are not yet known with the keys that they have now. */
static bool
young(const struct install *in, const struct clock_both *now)
{
	return in->begun_ns != 0 && now->now_ns - in->begun_ns < INSTALL_YOUNG_NS;
}

/* A ticket that is good: `nrest' is how many nodes are behind. */
static unsigned
take(struct install *in, const struct ticket *t, const struct ticket_issuer *by, struct frame_bytes rest, unsigned nrest,
    const struct clock_both *now)
{
	struct installed *e;

	if ((t->place == TICKET_DEST) != (nrest == 0))
		return TICKET_E_FORM;
	if (t->place != TICKET_RELAY && !in->ops->far(t->far, in->arg))
		return INSTALL_E_UNKNOWN;
	if ((e = keep(in, t, by, rest, nrest, now)) == NULL)
		return TICKET_E_LIMIT;
	if (t->place == TICKET_DEST) {
		e->state = ROUTE_UP;
		tell(in, e);
		outdate(in, e, now->now_ns);
		in->ops->event(INSTALL_EV_UP, &e->t, INSTALL_OK, NULL, in->arg);
		report(in, e, INSTALL_OK, 0);
		return INSTALL_OK;
	}
	tell(in, e);
	e->deadline_ns = now->now_ns + INSTALL_WAIT_NS * (1 + nrest);
	if (pass_on(in, e) == 0)
		return INSTALL_OK;
	if (young(in, now)) {
		e->deadline_ns = in->begun_ns + INSTALL_YOUNG_NS;	/* install_mesh_up() passes it on */
		return INSTALL_OK;
	}
	/* One that was up stays: the neighbour's routed is away, its dataplane need not be. */
	if (e->state == ROUTE_UP)
		return INSTALL_OK;
	if (e->told)
		tell_del(in, e->t.route_id, REASON_HOP_GONE);
	unlink_entry(in, e);
	entry_free(e);
	return INSTALL_E_NO_NEXT;
}

static bool
unproven(unsigned e)
{
	return e == TICKET_E_SEAL || e == TICKET_E_FORM || e == TICKET_E_ISSUER || e == TICKET_E_SIGNATURE || e == TICKET_E_HOP;
}

bool
install_forged(struct install *in, const struct lease *l)
{
	struct ticket_issuer by;
	struct ticket t;

	if (l->n < 2 || l->n > LEASE_HOPS_MAX)
		return true;
	return unproven(check(in, NULL, l->route_id, (struct frame_bytes){ l->sealed[0].p, l->sealed[0].len }, &t, &by)) ||
	    t.place != TICKET_SOURCE || lease_check(l, &t) == -1;
}

unsigned
install_lease(struct install *in, const struct lease *l, const struct clock_both *now)
{
	uint8_t buf[LEASE_HOPS_MAX * (TICKET_SEALED_MAX + 4)];
	struct ticket_issuer by;
	struct tlv_writer w;
	struct ticket t;
	unsigned e;

	if (l->n < 2 || l->n > LEASE_HOPS_MAX)
		return TICKET_E_FORM;
	e = check(in, NULL, l->route_id, (struct frame_bytes){ l->sealed[0].p, l->sealed[0].len }, &t, &by);
	if (e == TICKET_OK && (t.place != TICKET_SOURCE || lease_check(l, &t) == -1))
		e = TICKET_E_FORM;
	tlv_write_init(&w, buf, sizeof(buf));
	for (unsigned i = 1; i < l->n; i++)
		field_put_bytes(&w, (struct frame_bytes){ l->sealed[i].p, l->sealed[i].len });
	if (e == TICKET_OK && w.failed)
		e = TICKET_E_FORM;
	if (e == TICKET_OK)
		e = take(in, &t, &by, (struct frame_bytes){ buf, w.len }, l->n - 1u, now);
	if (e != TICKET_OK)
		in->ops->event(INSTALL_EV_REFUSED, &t, e, NULL, in->arg);
	return e;
}

/*
 * Once its makers and its way are proven, a fence or a revocation is heeded also where only the dataplane knew the route. One
 * that is known here was judged when the fence came: such a ticket with its id is somebody else's, to end it.
 */
static bool
ends_it(const struct install *in, uint64_t route_id, unsigned e)
{
	return (e == TICKET_E_FENCED || e == TICKET_E_REVOKED) && install_find(in, route_id) == NULL;
}

static int
on_install(struct install *in, const uint8_t *from, const uint8_t *body, size_t len, const struct clock_both *now)
{
	struct ticket t = { .route_id = 0 };
	struct ticket_issuer by;
	struct route_install m;
	unsigned e;

	if (route_install_decode(&m, body, len) < 0)
		return -1;
	if (!rate_take(in->peers, from, NODE_ID_LEN, INSTALL_PEER_MS, INSTALL_PEER_BURST, now->now_ns))
		e = INSTALL_E_RATE;
	else
		e = check(in, from, m.route_id, m.sealed[0], &t, &by);
	if (e == TICKET_OK && !rate_take(in->tenants, t.tenant, sizeof(t.tenant), INSTALL_TENANT_MS,
	    INSTALL_TENANT_BURST, now->now_ns))
		e = INSTALL_E_RATE;
	if (e == TICKET_OK)
		e = take(in, &t, &by, m.rest, m.n - 1u, now);
	if (e == INSTALL_OK)
		return 0;
	t.route_id = m.route_id;
	in->ops->event(INSTALL_EV_REFUSED, &t, e, from, in->arg);
	if (ends_it(in, m.route_id, e))
		tell_del(in, m.route_id, e == TICKET_E_FENCED ? REASON_FENCED : REASON_REVOKED);
	send_state(in, from, DIRMSG_INSTALLED, m.route_id, e, m.n);
	return 0;
}

bool
install_passing(unsigned e)
{
	return e == INSTALL_E_NO_NEXT || e == INSTALL_E_TIMEOUT || e == INSTALL_E_UNKNOWN || e == INSTALL_E_RATE ||
	    install_stale(e);
}

bool
install_stale(unsigned e)
{
	return e == TICKET_E_SEAL || e == TICKET_E_ISSUER;
}

static int
on_installed(struct install *in, const uint8_t *from, const uint8_t *body, size_t len, const struct clock_both *now)
{
	struct route_installed m;
	struct installed *e;

	if (route_installed_decode(&m, body, len) < 0)
		return -1;
	e = install_find(in, m.route_id);
	if (e == NULL || e->t.place == TICKET_DEST || !is(e->t.next, from))
		return 0;	/* of one that ended meanwhile */
	if (m.error == INSTALL_OK && m.left == 0) {
		if (e->confirmed)
			return 0;	/* said again: no news, and none of the history's events */
		e->confirmed = true;
		if (e->state != ROUTE_UP || e->t.place == TICKET_SOURCE)
			in->ops->event(INSTALL_EV_UP, &e->t, INSTALL_OK, NULL, in->arg);
		e->state = ROUTE_UP;
		tell(in, e);
		report(in, e, INSTALL_OK, 0);
		return 0;
	}
	in->ops->event(INSTALL_EV_REFUSED, &e->t, m.error, from, in->arg);
	if (m.error == INSTALL_OK)
		m.error = INSTALL_E_TIMEOUT;	/* neither good nor bad: nobody says that */
	report(in, e, m.error, m.left);
	if (e->state == ROUTE_UP && install_passing(m.error))
		return 0;
	if (young(in, now) && install_stale(m.error)) {
		e->deadline_ns = in->begun_ns + 2 * INSTALL_YOUNG_NS;	/* until then the source may have others for it */
		return 0;
	}
	if (e->told)
		tell_del(in, m.route_id, REASON_HOP_GONE);
	unlink_entry(in, e);
	entry_free(e);
	return 0;
}

static int
on_teardown(struct install *in, const uint8_t *from, const uint8_t *body, size_t len)
{
	struct route_installed m;
	struct installed *e;

	if (route_installed_decode(&m, body, len) < 0)
		return -1;
	e = install_find(in, m.route_id);
	if (e == NULL)
		return 0;
	if ((e->t.place != TICKET_SOURCE && is(e->t.prev, from)) || (e->t.place != TICKET_DEST && is(e->t.next, from)))
		drop(in, e, m.error == INSTALL_OK ? INSTALL_E_CLOSED : m.error, REASON_NO_ROUTE, from);
	return 0;
}

int
install_message(struct install *in, const uint8_t *from, unsigned type, const uint8_t *body, size_t len,
    const struct clock_both *now)
{
	switch (type) {
	case DIRMSG_INSTALL:
		return on_install(in, from, body, len, now);
	case DIRMSG_INSTALLED:
		return on_installed(in, from, body, len, now);
	case DIRMSG_TEARDOWN:
		return on_teardown(in, from, body, len);
	default:
		return -1;
	}
}

static void
begin(struct install *in, const struct clock_both *now)
{
	if (in->begun_ns == 0)
		in->begun_ns = now->now_ns;
}

void
install_mesh_up(struct install *in, const uint8_t *node_id, const struct clock_both *now)
{
	begin(in, now);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct installed *e = in->bucket[i]; e != NULL; e = e->hash_next)
			if (e->t.place != TICKET_DEST && is(e->t.next, node_id) && now->wall < e->t.hard)
				in->unsent |= e->unsent = pass_on(in, e) == -1;
}

/* What a mesh stream that came up had no room for. */
static void
send_rest(struct install *in)
{
	bool more = false;

	if (!in->unsent)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct installed *e = in->bucket[i]; e != NULL; e = e->hash_next)
			if (e->unsent)
				more |= e->unsent = pass_on(in, e) == -1;
	in->unsent = more;
}

/* --- time --- */

/* The clock may have been set back since it was taken: what is far ahead now would keep what comes out for as long. */
static unsigned
judge_time(const struct installed *e, const struct clock_both *now)
{
	if (!lease_epoch_bounded(e->t.epoch, now->wall))
		return TICKET_E_NOT_YET;
	if (e->old_ns != 0 && now->now_ns > e->old_ns && now->now_ns - e->old_ns > INSTALL_OLD_NS)
		return TICKET_E_REPLAYED;
	return INSTALL_OK;
}

/* Every hop sees it itself, so nobody is told. */
static void
expire(struct install *in, struct installed *e)
{
	struct ticket t = e->t;
	bool told = e->told;

	unlink_entry(in, e);
	entry_free(e);
	if (told)
		tell_del(in, t.route_id, REASON_ROUTE_EXPIRED);
	in->ops->event(INSTALL_EV_EXPIRED, &t, TICKET_E_EXPIRED, NULL, in->arg);
	if (t.place == TICKET_SOURCE)
		in->ops->result(t.route_id, TICKET_E_EXPIRED, 0, in->arg);
}

/* The source is told by the hop whose next one keeps silent, with how many nodes are behind it. */
static void
give_up(struct install *in, struct installed *e)
{
	struct ticket t = e->t;
	unsigned left = e->nrest;

	in->ops->event(INSTALL_EV_REFUSED, &t, INSTALL_E_TIMEOUT, t.next, in->arg);
	if (e->told)
		tell_del(in, t.route_id, REASON_HOP_GONE);
	send_state(in, t.next, DIRMSG_TEARDOWN, t.route_id, INSTALL_E_TIMEOUT, 0);
	unlink_entry(in, e);
	entry_free(e);
	if (t.place == TICKET_SOURCE)
		in->ops->result(t.route_id, INSTALL_E_TIMEOUT, left, in->arg);
	else
		send_state(in, t.prev, DIRMSG_INSTALLED, t.route_id, INSTALL_E_TIMEOUT, left);
}

void
install_tick(struct install *in, const struct clock_both *now)
{
	begin(in, now);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct installed *e = in->bucket[i], *next; e != NULL; e = next) {
			unsigned why;

			next = e->hash_next;
			if (now->wall >= e->t.hard)
				expire(in, e);
			else if ((why = judge_time(e, now)) != INSTALL_OK)
				drop(in, e, why, REASON_MOVED, NULL);
			else if (e->state == ROUTE_WAITING && now->now_ns >= e->deadline_ns)
				give_up(in, e);
		}
	install_sync(in);
	send_rest(in);
}
