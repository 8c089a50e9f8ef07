#include "routed/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "routed/order.h"
#include "wire/varint.h"

#define ALL_CLASSES	((1u << CLASS_COUNT) - 1)
#define UNSAVED_EPOCHS	2000u	/* an epoch is a time in ms, or one more than the last */
#define HINT_NS		(300u * NS_PER_MS)	/* after a hint, and a random part of as much again: not all at once */

struct routes {
	const struct routes_ops *ops;
	void		*arg;
	struct route_dest **dests;	/* sorted by node id */
	size_t		 n;
	uint64_t	 version;
	struct ratelimit asks;
	struct lease	 fresh[LEASE_MAX];	/* what an op gives; empty in between */
};

const char *
route_state_name(unsigned state)
{
	static const char *const names[] = { "installing", "up", "leaving" };

	_Static_assert(sizeof(names) / sizeof(names[0]) == HELD_STATES, "a state without a name");
	return state < HELD_STATES ? names[state] : "unknown";
}

struct routes *
routes_new(const struct routes_ops *ops, void *arg)
{
	struct routes *r = calloc(1, sizeof(*r));

	if (r == NULL || (r->dests = calloc(ROUTES_DESTS_MAX, sizeof(struct route_dest *))) == NULL) {
		free(r);
		return NULL;
	}
	r->ops = ops;
	r->arg = arg;
	ratelimit_init(&r->asks, ROUTES_ASK_MS * NS_PER_MS, ROUTES_ASK_BURST);
	return r;
}

static void
dest_free(struct route_dest *d)
{
	for (unsigned i = 0; i < d->n; i++)
		lease_free(&d->held[i].lease);
	free(d);
}

void
routes_drop(struct routes *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		dest_free(r->dests[i]);
	free(r->dests);
	free(r);
}

/* --- destinations --- */

static size_t
place(const struct routes *r, const uint8_t *node_id, bool *found)
{
	_Static_assert(offsetof(struct route_dest, node_id) == 0, "order_place() finds the id there");
	return order_place(r->dests, r->n, node_id, found);
}

static struct route_dest *
find(const struct routes *r, const uint8_t *node_id)
{
	bool found;
	size_t i = place(r, node_id, &found);

	return found ? r->dests[i] : NULL;
}

const struct route_dest *
routes_find(const struct routes *r, const uint8_t *node_id)
{
	return find(r, node_id);
}

size_t
routes_count(const struct routes *r)
{
	return r->n;
}

const struct route_dest *
routes_get(const struct routes *r, size_t i)
{
	return i < r->n ? r->dests[i] : NULL;
}

static struct route_dest *
dest_add(struct routes *r, const uint8_t *node_id, uint64_t now_ns)
{
	bool found;
	size_t i = place(r, node_id, &found);
	struct route_dest *d;

	if (found)
		return r->dests[i];
	if (r->n == ROUTES_DESTS_MAX || (d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	memcpy(d->node_id, node_id, NODE_ID_LEN);
	d->ask_ns = now_ns;
	memmove(&r->dests[i + 1], &r->dests[i], (r->n - i) * sizeof(struct route_dest *));
	r->dests[i] = d;
	r->n++;
	return d;
}

void
routes_configured(struct routes *r, const uint8_t (*ids)[NODE_ID_LEN], size_t n, const struct clock_both *now)
{
	for (size_t i = 0; i < r->n; i++)
		r->dests[i]->configured = false;
	for (size_t i = 0; i < n; i++) {
		struct route_dest *d = dest_add(r, ids[i], now->now_ns);

		if (d != NULL)
			d->configured = true;
	}
}

static struct route_held *
held_find(const struct routes *r, uint64_t route_id, struct route_dest **dest)
{
	for (size_t i = 0; i < r->n; i++)
		for (unsigned k = 0; k < r->dests[i]->n; k++)
			if (r->dests[i]->held[k].lease.route_id == route_id) {
				*dest = r->dests[i];
				return &r->dests[i]->held[k];
			}
	return NULL;
}

/* Routes that there are, or will be in a moment, and that are not to be left. */
static unsigned
usable(const struct route_dest *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->n; i++)
		n += d->held[i].state != HELD_LEAVING;
	return n;
}

/* Of these such as it has tickets of: one of the routed before this one may be dead, and goes with the next that come. */
static unsigned
held_anew(const struct route_dest *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->n; i++)
		n += d->held[i].state != HELD_LEAVING && !d->held[i].restored;
	return n;
}

static unsigned
up(const struct route_dest *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->n; i++)
		n += d->held[i].state == HELD_UP;
	return n;
}

/* Out of the list first: what is called may speak of it. */
static void
forget(struct routes *r, struct route_dest *d, unsigned i, bool end)
{
	struct lease l = d->held[i].lease;

	r->version++;
	d->n--;
	memmove(&d->held[i], &d->held[i + 1], (d->n - i) * sizeof(d->held[0]));
	r->ops->gone(d, &l, r->arg);
	if (end)
		r->ops->end(l.route_id, r->arg);
	lease_free(&l);
}

static void
end(struct routes *r, struct route_dest *d, unsigned i)
{
	forget(r, d, i, true);
}

/* --- when to ask --- */

/* A quarter of it at random, so that what began at once does not go on at once. */
static uint64_t
about(struct routes *r, uint64_t ns)
{
	return ns - r->ops->random(r->arg) % (ns / 4 + 1);
}

static void
sooner(struct route_dest *d, uint64_t ns)
{
	if (ns < d->ask_ns)
		d->ask_ns = ns;
}

static uint64_t
retry_ns(struct routes *r, const struct route_dest *d)
{
	bool spare = r->ops->session(d->node_id, r->arg);
	uint64_t most = spare ? ROUTES_FEW_NS : ROUTES_RETRY_MAX_NS;
	uint64_t ns = (spare ? ROUTES_SPARE_NS : ROUTES_RETRY_NS) << (d->tries < 6 ? d->tries : 6);

	return about(r, ns < most ? ns : most);
}

/* For which there are routes. */
static uint8_t
classes_of(const struct route_dest *d)
{
	uint8_t classes = 0;

	for (unsigned i = 0; i < d->n; i++)
		if (d->held[i].state != HELD_LEAVING)
			classes |= d->held[i].lease.classes;
	return classes;
}

/* Within how long more than there is would be welcome; ever more seldom. */
static uint64_t
for_more_ns(struct route_dest *d)
{
	uint64_t ns = UINT64_MAX, few;

	if (classes_of(d) == ALL_CLASSES) {
		d->lacked = 0;
	} else if (d->lacked < ROUTES_LACK_MAX) {	/* after that it is the policy, and will stay so */
		d->lacked++;
		ns = ROUTES_LACK_NS;
	}
	if (held_anew(d) >= 2) {
		d->few = 0;
		return ns;
	}
	few = ROUTES_SPARE_NS << (d->few < 4 ? d->few++ : 4);
	few = few < ROUTES_FEW_NS ? few : ROUTES_FEW_NS;
	return few < ns ? few : ns;
}

static void
schedule(struct routes *r, struct route_dest *d, const struct clock_both *now)
{
	uint64_t ns;

	if (usable(d) == 0) {
		d->ask_ns = now->now_ns + retry_ns(r, d);
		if (d->tries < 32)
			d->tries++;
		return;
	}
	d->tries = 0;
	ns = for_more_ns(d);
	d->ask_ns = d->renew_ns;
	if (ns != UINT64_MAX)
		sooner(d, now->now_ns + about(r, ns));
}

/*
 * New leases are renewed after the first soft expiry. soft is by the issuer's clock: where ours is ahead of it, it is not
 * asked again at once, but after a fifth of what is left, which with equal clocks is the same.
 */
static void
renew_when(struct routes *r, struct route_dest *d, const struct clock_both *now)
{
	uint64_t soft = UINT64_MAX, hard = UINT64_MAX, ns, left;

	for (unsigned i = 0; i < d->n; i++) {
		const struct lease *l = &d->held[i].lease;

		if (d->held[i].state == HELD_LEAVING)
			continue;
		soft = l->soft < soft ? l->soft : soft;
		hard = l->hard < hard ? l->hard : hard;
	}
	ns = soft > now->wall ? (soft - now->wall) * NS_PER_SEC : ROUTES_RETRY_NS;
	left = hard > now->wall ? (hard - now->wall) * NS_PER_SEC / (LEASE_HARD_S / LEASE_SOFT_S) : 0;
	d->renew_ns = now->now_ns + about(r, left > ns ? left : ns);
}

/* --- leases --- */

static void
leave(struct routes *r, struct route_dest *d, struct route_held *h, uint64_t leave_ns)
{
	if (h->state == HELD_LEAVING) {
		if (h->leave_ns == 0)
			h->leave_ns = leave_ns;
		return;
	}
	h->state = HELD_LEAVING;
	h->leave_ns = leave_ns;
	r->ops->leaving(d, &h->lease, r->arg);
}

/* The same route with a later end: it stays up, whatever comes of telling the hops. */
static void
renew(struct routes *r, struct route_held *h, struct lease *l)
{
	if (r->ops->install(l, r->arg) != INSTALL_OK) {
		lease_free(l);
		return;
	}
	lease_free(&h->lease);
	h->lease = *l;
	h->restored = false;
	r->version++;
	memset(l, 0, sizeof(*l));
}

/* Whether others that are known to work carry all that this one does: such as are not left, or all. */
static bool
replaced(const struct routes *r, const struct route_dest *d, const struct route_held *h, bool all)
{
	uint8_t classes = 0;

	for (unsigned i = 0; i < d->n; i++) {
		const struct route_held *o = &d->held[i];

		if (o != h && (o->state == HELD_UP || (all && o->up_wall != 0)) &&
		    r->ops->state(d, &o->lease, r->arg) == WAY_UP)
			classes |= o->lease.classes;
	}
	return (h->lease.classes & ~classes) == 0;
}

/* It is left anyway; but what nothing replaces may be all that there is, whatever the coordinator says, or be back. */
static bool
dispensable(const struct routes *r, const struct route_dest *d, const struct route_held *h, bool all)
{
	return h->up_wall == 0 || r->ops->state(d, &h->lease, r->arg) == WAY_SILENT || replaced(r, d, h, all);
}

/* Room for a new one costs one that is left, if it can be spared; else the new one waits for the next asking. */
static bool
make_room(struct routes *r, struct route_dest *d)
{
	for (unsigned i = d->n; d->n == ROUTES_HELD_MAX && i-- > 0;)
		if (d->held[i].state == HELD_LEAVING && dispensable(r, d, &d->held[i], true))
			end(r, d, i);
	return d->n < ROUTES_HELD_MAX;
}

static void
add(struct routes *r, struct route_dest *d, struct lease *l)
{
	struct route_held *h;

	if (!make_room(r, d) || r->ops->install(l, r->arg) != INSTALL_OK) {
		lease_free(l);
		return;
	}
	h = &d->held[d->n++];
	memset(h, 0, sizeof(*h));
	h->lease = *l;
	memset(l, 0, sizeof(*l));
}

static struct route_held *
held_of(struct route_dest *d, uint64_t route_id)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->held[i].lease.route_id == route_id)
			return &d->held[i];
	return NULL;
}

static bool
among(const struct lease *v, int n, uint64_t route_id)
{
	for (int i = 0; i < n; i++)
		if (v[i].route_id == route_id)
			return true;
	return false;
}

/*
 * A relay knows of whom it relays for the tenant only, and who gave the lease may not have heard of a policy yet: the source
 * alone sees what that forbids it.
 */
static bool
permitted(const struct routes *r, const struct lease *l)
{
	return r->ops->permitted == NULL || r->ops->permitted(l, r->arg);
}

/* A lease to where it was asked for, from here, over at least one node: the direct way is the session. */
static bool
fits(const struct routes *r, const struct route_dest *d, const struct lease *l)
{
	return l->n > 2 && l->n <= LEASE_HOPS_MAX && memcmp(l->nodes[l->n - 1], d->node_id, NODE_ID_LEN) == 0 &&
	    permitted(r, l);
}

/* How many of them; below zero as it is. */
static int
fitting(const struct routes *r, const struct route_dest *d, const struct lease *v, int n)
{
	int fit = 0;

	for (int i = 0; i < n; i++)
		fit += fits(r, d, &v[i]);
	return n < 0 ? n : fit;
}

/* What is held and is not among these, of which one fits, is left once something newer is up. */
static void
leave_others(struct routes *r, struct route_dest *d, const struct lease *v, int n, bool *again)
{
	uint8_t classes = 0;

	for (int i = 0; i < n; i++)
		if (fits(r, d, &v[i]))
			classes |= v[i].classes;
	for (unsigned i = 0; classes != 0 && i < d->n; i++) {
		struct route_held *h = &d->held[i];

		if (among(v, n, h->lease.route_id))
			continue;
		if (h->state != HELD_LEAVING && h->lease.classes & ~classes)
			d->lacked = 0;	/* for what there was just now, it is asked again */
		/* What restarted with this node may only have keys that the coordinator does not know yet. */
		if (h->restored && !h->missed)
			h->missed = *again = true;
		else
			leave(r, d, h, 0);
	}
}

/* Takes the leases over. */
static void
take(struct routes *r, struct route_dest *d, struct lease *v, int n, const struct clock_both *now)
{
	bool again = false;

	for (int i = 0; i < n; i++)
		if (v[i].epoch > d->epoch && lease_epoch_bounded(v[i].epoch, now->wall))
			d->epoch = v[i].epoch;
	leave_others(r, d, v, n, &again);
	for (int i = 0; i < n; i++) {
		struct route_held *h = held_of(d, v[i].route_id);

		if (!fits(r, d, &v[i]))
			lease_free(&v[i]);
		else if (h == NULL)
			add(r, d, &v[i]);
		else if (h->state != HELD_LEAVING)
			renew(r, h, &v[i]);
		else
			lease_free(&v[i]);
	}
	if (usable(d) > 0)
		renew_when(r, d, now);
	schedule(r, d, now);
	if (again)
		sooner(d, now->now_ns + about(r, ROUTES_SPARE_NS));
}

/* Nobody answered, or none knows a way. What still holds goes on. */
static bool
holds_for_long(const struct route_dest *d, uint64_t wall)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->held[i].state == HELD_UP && !d->held[i].restored && d->held[i].lease.hard > wall + ROUTES_SELF_LEFT_S)
			return true;
	return false;
}

static bool
helps_oneself(enum lease_error e)
{
	return e != LEASE_E_POLICY && e != LEASE_E_REVOKED && e != LEASE_E_FORM;
}

static void
fill_ask(const struct route_dest *d, struct lease_ask *a)
{
	memset(a, 0, sizeof(*a));
	memcpy(a->dest, d->node_id, NODE_ID_LEN);
	a->classes = ALL_CLASSES;
	a->routes = ROUTES_EACH;
	a->known_epoch = d->epoch;
	for (unsigned i = 0; i < d->n && a->nheld < LEASE_HELD_MAX; i++) {
		struct lease_held *h = &a->held[a->nheld];
		const struct lease *l = &d->held[i].lease;

		if (d->held[i].state == HELD_LEAVING)
			continue;
		h->route_id = l->route_id;
		h->n = l->n;
		memcpy(h->nodes, l->nodes, sizeof(h->nodes));
		a->nheld++;
	}
}

static void
tell_failure(struct routes *r, struct route_dest *d)
{
	if (!d->waiting || usable(d) > 0 || r->ops->session(d->node_id, r->arg))
		return;
	d->waiting = false;
	r->ops->failed(d->node_id, d->error, r->arg);
}

static void
refused(struct routes *r, struct route_dest *d, enum lease_error e, const struct clock_both *now)
{
	struct lease_ask a;
	int n;

	d->error = (uint8_t)e;
	if (helps_oneself(e) && !holds_for_long(d, now->wall)) {
		fill_ask(d, &a);
		a.self = true;
		n = r->ops->self(&a, r->fresh, &e, r->arg);
		d->self = n > 0;
		r->ops->answered(d, fitting(r, d, r->fresh, n), n < 0 ? e : LEASE_OK, true, r->arg);
		if (n > 0) {
			take(r, d, r->fresh, n, now);
			if (d->lacking)
				sooner(d, now->now_ns + about(r, ROUTES_SPARE_NS));
			tell_failure(r, d);
			return;
		}
	}
	if (usable(d) > 0) {	/* it holds; not every coordinator may be away for long */
		d->ask_ns = now->now_ns + retry_ns(r, d);
		if (d->tries < 32)
			d->tries++;
	} else
		schedule(r, d, now);
	tell_failure(r, d);
}

static void
answered(struct routes *r, struct route_dest *d, struct lease *v, int n, enum lease_error e, const struct clock_both *now)
{
	d->answer_ns = 0;
	d->ask_id = 0;
	d->self = d->self && n < 0;
	r->ops->answered(d, fitting(r, d, v, n), e, false, r->arg);
	if (n < 0) {
		refused(r, d, e, now);
		return;
	}
	d->error = LEASE_OK;
	take(r, d, v, n, now);
	if (usable(d) == 0)
		d->error = LEASE_E_NO_ROUTE;
	tell_failure(r, d);
}

/* Those that somebody made who may: how many. Whoever handed the request on can seal an answer to this node. */
static int
genuine(struct routes *r, struct lease *v, int n)
{
	int k = 0;

	for (int i = 0; i < n; i++) {
		if (r->ops->forged != NULL && r->ops->forged(&v[i], r->arg))
			lease_free(&v[i]);
		else
			v[k++] = v[i];
	}
	return k;
}

void
routes_answer(struct routes *r, uint64_t id, struct lease *v, int n, enum lease_error e, const struct clock_both *now)
{
	struct route_dest *d = NULL;

	for (size_t i = 0; id != 0 && i < r->n && d == NULL; i++)
		if (r->dests[i]->ask_id == id)
			d = r->dests[i];
	if (d == NULL) {
		for (int i = 0; i < n; i++)
			lease_free(&v[i]);
		return;
	}
	if (n > 0 && (n = genuine(r, v, n)) == 0)
		return;		/* another may answer yet */
	/* Another coordinator may know more: it is waited for. */
	if (n < 0 && d->answer_ns != 0 && helps_oneself(e)) {
		d->error = (uint8_t)e;
		d->lacking = true;
		return;
	}
	if (n < 0 && d->answer_ns == 0)
		return;
	answered(r, d, v, n, e, now);
}

static void
ask(struct routes *r, struct route_dest *d, const struct clock_both *now)
{
	enum lease_error e = LEASE_OK;
	struct lease_ask a;
	int n;

	fill_ask(d, &a);
	d->lacking = false;
	d->asked_ns = now->now_ns;
	d->ask_id = r->ops->random(r->arg) | 1;
	n = r->ops->ask(&a, d->ask_id, d->tries, r->fresh, &e, r->arg);
	if (n == ROUTES_SENT) {
		d->answer_ns = now->now_ns + ROUTES_ANSWER_NS;
		d->error = LEASE_E_NO_ROUTE;
		return;
	}
	if (n == ROUTES_NOBODY) {
		d->ask_id = 0;
		refused(r, d, LEASE_E_NO_ROUTE, now);
		return;
	}
	answered(r, d, r->fresh, n, e, now);
}

/* --- what comes in --- */

/* What waits for a class that no route is for: it is asked, unless it was just now, whatever it said before. */
static void
lacks(struct route_dest *d, uint64_t now_ns)
{
	d->lacked = 0;
	d->self = false;	/* or it would only look whether it can make more itself */
	if (d->asked_ns + ROUTES_LACK_NS > now_ns)
		sooner(d, d->asked_ns + ROUTES_LACK_NS);
	else
		sooner(d, now_ns + ROUTES_RETRY_NS);
}

int
routes_want(struct routes *r, const uint8_t *node_id, uint8_t waiting, const struct clock_both *now)
{
	struct route_dest *d = dest_add(r, node_id, now->now_ns);

	if (d == NULL)
		return -1;
	d->until_ns = now->now_ns + ROUTES_WANT_NS;
	d->waiting |= waiting != 0;
	if (waiting == 0 || d->answer_ns != 0)
		return 0;
	if (usable(d) == 0)
		sooner(d, now->now_ns + (d->tries == 0 ? 0 : ROUTES_RETRY_NS));
	else if (waiting & ~classes_of(d))
		lacks(d, now->now_ns);
	return 0;
}

void
routes_used(struct routes *r, const uint8_t *node_id, const struct clock_both *now)
{
	struct route_dest *d = find(r, node_id);

	if (d != NULL)
		d->until_ns = now->now_ns + ROUTES_WANT_NS;
}

void
routes_result(struct routes *r, uint64_t route_id, unsigned error, const struct clock_both *now)
{
	struct route_dest *d;
	struct route_held *h = held_find(r, route_id, &d);
	bool leaving;

	if (h == NULL)
		return;
	leaving = h->state == HELD_LEAVING;
	if (error == INSTALL_OK) {
		if (h->state == HELD_INSTALLING)
			h->state = HELD_UP;
		h->up_wall = now->wall;
		r->version++;
		d->waiting = false;
		if (h->state == HELD_UP)
			r->ops->up(d, &h->lease, r->arg);
		return;
	}
	/* What is up goes on when only the word of its renewal is missing. */
	if (h->state != HELD_INSTALLING && install_passing(error)) {
		if (install_stale(error) && d->answer_ns == 0)
			sooner(d, now->now_ns + about(r, ROUTES_STALE_NS));
		return;
	}
	forget(r, d, (unsigned)(h - d->held), false);
	if (leaving && usable(d) > 0)	/* the far end ends what a newer epoch has replaced: that is no loss */
		return;
	d->error = LEASE_E_NO_ROUTE;
	sooner(d, now->now_ns + (usable(d) == 0 ? retry_ns(r, d) : ROUTES_LEAVE_NS));
	if (usable(d) == 0 && d->tries < 32)
		d->tries++;
	tell_failure(r, d);
}

void
routes_silent(struct routes *r, uint64_t route_id, const struct clock_both *now)
{
	struct route_dest *d;
	struct route_held *h = held_find(r, route_id, &d);

	if (h == NULL || h->state == HELD_LEAVING)
		return;
	leave(r, d, h, now->now_ns + ROUTES_LEAVE_NS);
	d->lacked = 0;
	if (d->answer_ns == 0)
		sooner(d, now->now_ns + about(r, ROUTES_RETRY_NS));
}

static void
hint(struct routes *r, struct route_dest *d, const struct clock_both *now)
{
	if (usable(d) > 0 || d->answer_ns != 0 || (r->ops->session(d->node_id, r->arg) && d->asked_ns != 0 &&
	    now->now_ns - d->asked_ns < ROUTES_SPARE_NS))
		return;
	sooner(d, now->now_ns + HINT_NS + r->ops->random(r->arg) % HINT_NS);
}

void
routes_hint(struct routes *r, const struct clock_both *now)
{
	for (size_t i = 0; i < r->n; i++)
		hint(r, r->dests[i], now);
}

void
routes_hint_of(struct routes *r, const uint8_t *node_id, const struct clock_both *now)
{
	struct route_dest *d = find(r, node_id);

	if (d != NULL)
		hint(r, d, now);
}

void
routes_coordinator(struct routes *r, const struct clock_both *now)
{
	for (size_t i = 0; i < r->n; i++) {
		struct route_dest *d = r->dests[i];

		if (!d->self || d->answer_ns != 0)
			continue;
		d->self = false;	/* or it would only look whether it can make more itself */
		sooner(d, now->now_ns + HINT_NS + r->ops->random(r->arg) % HINT_NS);
	}
	routes_hint(r, now);
}

static bool
leads_over(const struct lease *l, const uint8_t *node_id)
{
	for (unsigned i = 0; i < l->n; i++)
		if (memcmp(l->nodes[i], node_id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

static void
dest_del(struct routes *r, size_t at)
{
	struct route_dest *d = r->dests[at];

	while (d->n > 0)
		end(r, d, d->n - 1u);
	dest_free(d);
	r->n--;
	memmove(&r->dests[at], &r->dests[at + 1], (r->n - at) * sizeof(struct route_dest *));
}

void
routes_revoked(struct routes *r, const uint8_t *node_id, const struct clock_both *now)
{
	for (size_t i = r->n; i-- > 0;) {
		struct route_dest *d = r->dests[i];
		unsigned before = d->n;

		for (unsigned k = d->n; k-- > 0;)
			if (leads_over(&d->held[k].lease, node_id))
				end(r, d, k);
		if (d->n < before)
			sooner(d, now->now_ns);
		if (memcmp(d->node_id, node_id, NODE_ID_LEN) == 0 && !d->configured)
			dest_del(r, i);
	}
}

void
routes_policy(struct routes *r, const struct clock_both *now)
{
	for (size_t i = 0; i < r->n; i++) {
		struct route_dest *d = r->dests[i];
		unsigned before = d->n;

		for (unsigned k = d->n; k-- > 0;)
			if (!permitted(r, &d->held[k].lease))
				end(r, d, k);
		if (d->n < before)
			sooner(d, now->now_ns);
	}
}

void
routes_restore(struct routes *r, const struct lease *l, const struct clock_both *now)
{
	struct route_dest *d = l->n > 2 && now->wall < l->hard ? dest_add(r, l->nodes[l->n - 1], now->now_ns) : NULL;
	struct route_held *h;

	if (d == NULL || d->n == ROUTES_HELD_MAX || held_of(d, l->route_id) != NULL)
		return;
	h = &d->held[d->n++];
	memset(h, 0, sizeof(*h));
	h->lease = *l;
	h->state = HELD_UP;
	h->restored = true;
	h->up_wall = now->wall;
	d->until_ns = now->now_ns + ROUTES_WANT_NS;
	/* What was given in the last second before that one's end is not on disk, and new ones have to be newer than that. */
	if (l->epoch + UNSAVED_EPOCHS > d->epoch && lease_epoch_bounded(l->epoch, now->wall))
		d->epoch = l->epoch + UNSAVED_EPOCHS;
	r->ops->up(d, &h->lease, r->arg);
}

void
routes_fenced(struct routes *r, uint64_t epoch, const struct clock_both *now)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->dests[i]->epoch < epoch)
			r->dests[i]->epoch = epoch;
	routes_hint(r, now);
}

uint64_t
routes_version(const struct routes *r)
{
	return r->version;
}

void
routes_again(struct routes *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (unsigned k = 0; k < r->dests[i]->n; k++)
			if (r->dests[i]->held[k].state == HELD_UP)
				r->ops->up(r->dests[i], &r->dests[i]->held[k].lease, r->arg);
}

/* --- time --- */

/*
 * One that never was up goes at once. Else a while after a newer one is up; but what that does not replace goes on for as
 * long as its far end honours it beside the newer one.
 */
static bool
is_over(const struct routes *r, const struct route_dest *d, const struct route_held *h, uint64_t now_ns)
{
	if (h->up_wall == 0)
		return true;
	if (h->leave_ns == 0 || now_ns < h->leave_ns)
		return false;
	return dispensable(r, d, h, false) || (up(d) > 0 && now_ns >= h->leave_ns + INSTALL_OLD_NS);
}

static void
tick_held(struct routes *r, struct route_dest *d, const struct clock_both *now)
{
	bool newer = up(d) > 0;

	for (unsigned i = d->n; i-- > 0;) {
		struct route_held *h = &d->held[i];

		if (h->restored && now->wall >= h->lease.hard) {
			end(r, d, i);
			continue;
		}
		if (h->state != HELD_LEAVING)
			continue;
		if (is_over(r, d, h, now->now_ns))
			end(r, d, i);
		else if (h->leave_ns == 0 && newer)
			h->leave_ns = now->now_ns + ROUTES_LEAVE_NS;
	}
}

/*
 * One lease of the node's own making, and none beside it: perhaps it knows more by now. No coordinator is asked, since what
 * it would give could be other than what there is.
 */
static void
more_of_own(struct routes *r, struct route_dest *d, const struct clock_both *now)
{
	enum lease_error e;
	struct lease_ask a;
	int n;

	fill_ask(d, &a);
	a.self = true;
	n = r->ops->self(&a, r->fresh, &e, r->arg);
	if (n > 1) {
		take(r, d, r->fresh, n, now);
		return;
	}
	for (int i = 0; i < n; i++)
		lease_free(&r->fresh[i]);
	schedule(r, d, now);
}

static void
tick_dest(struct routes *r, struct route_dest *d, const struct clock_both *now)
{
	tick_held(r, d, now);
	if (d->answer_ns != 0 && now->now_ns >= d->answer_ns) {
		d->answer_ns = 0;	/* a late answer is still taken, until the next time */
		refused(r, d, d->error, now);
	}
	if (d->answer_ns != 0 || now->now_ns < d->ask_ns || !ratelimit_take(&r->asks, now->now_ns))
		return;
	if (d->self && !d->lacking && held_anew(d) == 1 && now->now_ns < d->renew_ns)
		more_of_own(r, d, now);
	else
		ask(r, d, now);
}

void
routes_tick(struct routes *r, const struct clock_both *now)
{
	for (size_t i = r->n; i-- > 0;) {
		struct route_dest *d = r->dests[i];

		if (d->configured || now->now_ns < d->until_ns)
			tick_dest(r, d, now);
		else
			dest_del(r, i);
	}
}
