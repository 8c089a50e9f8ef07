#include "routed/own.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/stats.h"
#include "routed/directory.h"

#define ENOUGH_KBPS	20000u	/* as much is taken for a path of which nothing is known: fabric-route(7) */
#define QUEUE_US	40000u

int
own_init(struct own *o, void (*ask)(unsigned, const uint8_t *, void *), void *arg)
{
	memset(o, 0, sizeof(*o));
	o->ask = ask;
	o->arg = arg;
	return sign_key_generate(&o->route) == 0 && noise_key_generate(&o->ticket) == 0 ? 0 : -1;
}

void
own_free(struct own *o)
{
	for (unsigned i = 0; i < PURPOSE_COUNT; i++)
		free(o->keys[i].delegation.p);
	free(o->membership.p);
	crypto_wipe(o, sizeof(*o));
}

/* --- keys --- */

static void
raw_clear(struct known_raw *raw)
{
	free(raw->p);
	memset(raw, 0, sizeof(*raw));
}

static int
raw_set(struct known_raw *raw, struct frame_bytes b)
{
	uint8_t *p = malloc(b.len);

	if (p == NULL)
		return -1;
	memcpy(p, b.p, b.len);
	free(raw->p);
	raw->p = p;
	raw->len = b.len;
	return 0;
}

void
own_conf(struct own *o, const struct pm_conf_node *node, const struct pm_conf_routing *conf)
{
	o->conf = *conf;
	if (o->configured && memcmp(o->node_id, node->node_id, NODE_ID_LEN) == 0)
		return;
	memcpy(o->node_id, node->node_id, NODE_ID_LEN);
	o->configured = true;
	raw_clear(&o->membership);
	for (unsigned i = 0; i < PURPOSE_COUNT; i++) {
		raw_clear(&o->keys[i].delegation);
		o->keys[i].asked_ns = 0;
	}
	o->said_ns = 0;
}

static const uint8_t *
public_key(const struct own *o, unsigned purpose)
{
	return purpose == PURPOSE_ROUTE ? o->route.public : purpose == PURPOSE_TICKET ? o->ticket.public : NULL;
}

int
own_delegation(struct own *o, const struct pm_delegation *m)
{
	const uint8_t *key = public_key(o, m->purpose);
	uint8_t id[NODE_ID_LEN];
	struct record member, d;

	if (key == NULL || record_decode(&member, m->membership.p, m->membership.len) != RECORD_OK ||
	    record_decode(&d, m->delegation.p, m->delegation.len) != RECORD_OK ||
	    member.kind != RECORD_MEMBERSHIP || d.kind != RECORD_DELEGATION)
		return -1;
	node_id_from_key(id, member.subject);
	/* After a change of the node one that was on its way may still be for the old one. */
	if (memcmp(id, o->node_id, NODE_ID_LEN) != 0 || memcmp(d.subject, key, RECORD_KEY_LEN) != 0)
		return -1;
	if (raw_set(&o->membership, m->membership) == -1 || raw_set(&o->keys[m->purpose].delegation, m->delegation) == -1)
		return -1;
	o->keys[m->purpose].renew_at = m->renew_at;
	o->keys[m->purpose].asked_ns = 0;
	o->keys_changed = true;
	return 0;
}

static void
ask_if_due(struct own *o, unsigned purpose, const struct sync_time *now)
{
	struct own_key *k = &o->keys[purpose];
	bool due = k->delegation.len == 0 || now->wall >= k->renew_at;

	if (!due || (k->asked_ns != 0 && now->ns < k->asked_ns + OWN_ASK_AGAIN_S * NS_PER_SEC))
		return;
	k->asked_ns = now->ns;
	o->ask(purpose, public_key(o, purpose), o->arg);
}

static bool
valid(const struct known_raw *raw, uint64_t wall)
{
	struct record r;

	return raw->len > 0 && record_decode(&r, raw->p, raw->len) == RECORD_OK && wall < r.not_after;
}

bool
own_ready(const struct own *o, uint64_t wall)
{
	return valid(&o->membership, wall) && valid(&o->keys[PURPOSE_ROUTE].delegation, wall) &&
	    valid(&o->keys[PURPOSE_TICKET].delegation, wall);
}

/* --- where this node is --- */

void
own_seen(struct own *o, const uint8_t *node_id, const struct pm_addr *addr, bool dialled)
{
	struct own_seen *at = NULL;

	if (addr->family == 0)
		return;
	for (size_t i = 0; i < o->nseen && at == NULL; i++)
		if (memcmp(o->seen[i].node_id, node_id, NODE_ID_LEN) == 0)
			at = &o->seen[i];
	if (at == NULL && o->nseen < OWN_SEEN_MAX)
		at = &o->seen[o->nseen++];
	if (at == NULL)
		at = &o->seen[o->seen_next++ % OWN_SEEN_MAX];
	memcpy(at->node_id, node_id, NODE_ID_LEN);
	at->addr = *addr;
	at->dialled = dialled;
}

void
own_unseen(struct own *o, const uint8_t *node_id)
{
	for (size_t i = 0; i < o->nseen; i++)
		if (memcmp(o->seen[i].node_id, node_id, NODE_ID_LEN) == 0) {
			o->seen[i] = o->seen[--o->nseen];
			return;
		}
}

static int
by_addr(const void *a, const void *b)
{
	const struct fact_addr *x = a, *y = b;
	int c = x->family - y->family;

	if (c == 0)
		c = memcmp(x->addr, y->addr, sizeof(x->addr));
	return c != 0 ? c : x->port - y->port;
}

/* Where several see it, each address once. */
static void
addrs_make(const struct own *o, struct facts *f)
{
	for (size_t i = 0; i < o->nseen && f->naddrs < FACTS_ADDRS_MAX; i++) {
		const struct pm_addr *a = &o->seen[i].addr;
		struct fact_addr new = { .family = a->family, .carrier = CARRIER_QUIC, .port = a->port };
		size_t j = 0;

		memcpy(new.addr, a->addr, a->family == 4 ? 4 : 16);
		while (j < f->naddrs && by_addr(&new, &f->addrs[j]) != 0)
			j++;
		if (j == f->naddrs)
			f->addrs[f->naddrs++] = new;
	}
	qsort(f->addrs, f->naddrs, sizeof(f->addrs[0]), by_addr);
}

/*
 * Who came by itself shows that others can. Where two see different ports of one address, the NAT makes a new one for each
 * that is spoken to. Where all see the same, whoever knows it may get through.
 */
static uint8_t
nat_guess(const struct own *o)
{
	bool dialled = false, agree = false;

	for (size_t i = 0; i < o->nseen; i++) {
		const struct pm_addr *a = &o->seen[i].addr;

		dialled |= o->seen[i].dialled;
		for (size_t j = 0; j < i; j++) {
			const struct pm_addr *b = &o->seen[j].addr;

			if (a->family != b->family || memcmp(a->addr, b->addr, a->family == 4 ? 4 : 16) != 0)
				continue;
			if (a->port != b->port)
				return NAT_SYMMETRIC;
			agree = true;
		}
	}
	return dialled ? NAT_NONE : agree ? NAT_CONE : NAT_UNKNOWN;
}

/* --- facts --- */

/* Full nodes before leaves, which tell of the link themselves; then what loses less, then what is nearer. */
static int
by_worth(const void *a, const void *b)
{
	const struct peer *x = *(struct peer *const *)a, *y = *(struct peer *const *)b;
	const uint32_t leaf = 1u << ROLE_MOBILE_EDGE | 1u << ROLE_OBSERVER;
	bool xl = (x->member.roles & ~leaf) == 0, yl = (y->member.roles & ~leaf) == 0;

	if (xl != yl)
		return xl - yl;
	if (x->quality.loss_permille != y->quality.loss_permille)
		return x->quality.loss_permille < y->quality.loss_permille ? -1 : 1;
	if (x->quality.srtt_us != y->quality.srtt_us)
		return x->quality.srtt_us < y->quality.srtt_us ? -1 : 1;
	return memcmp(x->node_id, y->node_id, NODE_ID_LEN);
}

static int
by_id(const void *a, const void *b)
{
	return memcmp(((const struct fact_link *)a)->node_id, ((const struct fact_link *)b)->node_id, NODE_ID_LEN);
}

/*
 * What went over a session says what its path can carry only when that was a lot, or when a queue stood before it. Else it
 * is what somebody happened to send, and of two paths the one that nobody uses would look the worse.
 */
static uint32_t
carries_kbps(const struct peer *p)
{
	bool queued = p->quality.min_us != 0 && p->quality.srtt_us > 2 * p->quality.min_us + QUEUE_US;

	return p->session.kbps >= ENOUGH_KBPS || queued ? p->session.kbps : 0;
}

static void
links_make(const struct directory *d, uint64_t now_ns, struct facts *f)
{
	struct peer **up = calloc(d->npeers + 1, sizeof(struct peer *));
	size_t n = 0;

	if (up == NULL)
		return;
	for (size_t i = 0; i < d->npeers; i++)
		if (d->peers[i]->session.up && peer_state(d, d->peers[i], now_ns) == PEER_STATE_UP)
			up[n++] = d->peers[i];
	qsort(up, n, sizeof(struct peer *), by_worth);
	for (size_t i = 0; i < n && f->nlinks < FACTS_LINKS_MAX; i++) {
		struct fact_link *l = &f->links[f->nlinks++];

		memcpy(l->node_id, up[i]->node_id, NODE_ID_LEN);
		l->rtt_us = up[i]->quality.srtt_us;
		l->jitter_us = up[i]->session.rttvar_us;
		l->loss = (uint16_t)(up[i]->quality.loss_permille < 1000 ? up[i]->quality.loss_permille : 1000);
		l->kbps = carries_kbps(up[i]);
	}
	qsort(f->links, f->nlinks, sizeof(f->links[0]), by_id);
	free(up);
}

/*
 * The first record of a routed that was started anew brings its new keys at once, and it has not heard of all sessions yet. Those
 * of the record before go on meanwhile, as the dataplane lived on: without them nobody would be led over this node.
 */
static void
links_keep(struct facts *f, const struct facts *before)
{
	for (size_t i = 0; i < before->nlinks && f->nlinks < FACTS_LINKS_MAX; i++)
		if (bsearch(&before->links[i], f->links, f->nlinks, sizeof(f->links[0]), by_id) == NULL) {
			f->links[f->nlinks++] = before->links[i];
			qsort(f->links, f->nlinks, sizeof(f->links[0]), by_id);
		}
}

/* Minutes of the day, UTC; the same twice: always. */
static bool
relays_now(const struct pm_conf_routing *c, uint64_t wall)
{
	unsigned minute = (unsigned)(wall / 60 % 1440);

	if (!c->relay || c->from_minute == c->to_minute)
		return c->relay;
	if (c->from_minute < c->to_minute)
		return minute >= c->from_minute && minute < c->to_minute;
	return minute >= c->from_minute || minute < c->to_minute;
}

void
own_facts(const struct own *o, const struct knowns *ks, const struct directory *d, const struct sync_time *now,
    struct facts *f)
{
	const struct record *policy = knowns_policy(ks), *revocation = knowns_revocation(ks);

	memset(f, 0, sizeof(*f));
	f->versions = 1u << DIRMSG_VERSION;
	f->carriers = CARRIER_QUIC;
	addrs_make(o, f);
	f->nat = nat_guess(o);
	f->net = o->system.net < NET_COUNT ? o->system.net : NET_UNKNOWN;
	f->metered = o->conf.metered;
	f->on_battery = o->system.on_battery;
	f->charging = o->system.charging;
	if (f->on_battery || f->charging)
		f->battery = o->system.battery == 0 ? 1 : o->system.battery > 100 ? 100 : o->system.battery;
	f->cpu = o->load.cpu;
	f->memory = o->load.memory;
	f->queue = o->load.queue;
	f->descriptors = o->load.descriptors;
	f->relay = relays_now(&o->conf, now->wall);
	if (f->relay) {
		f->relay_kbps = o->conf.kbps;
		f->relay_classes = o->conf.classes;
	}
	f->cost = o->conf.cost;
	memcpy(f->domain, o->conf.domain, sizeof(f->domain));
	memcpy(f->region, o->conf.region, sizeof(f->region));
	f->policy_version = policy != NULL ? policy->serial : 0;
	f->directory_version = revocation != NULL ? revocation->serial : 0;
	f->routes_version = o->routes_version;
	f->services = known_services_sum(&d->board.own);
	f->sent_at = now->wall;
	links_make(d, now->ns, f);
}

/* --- when it is said --- */

static bool
far_apart(uint64_t was, uint64_t is, uint64_t least)
{
	uint64_t d = was > is ? was - is : is - was;

	return d > least && d > was / 2;
}

static uint32_t
sooner(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t
links_differ(const struct facts *was, const struct facts *is)
{
	uint32_t when = UINT32_MAX;

	if (was->nlinks != is->nlinks)
		return OWN_SOON_S;
	for (size_t i = 0; i < is->nlinks; i++) {
		const struct fact_link *a = &was->links[i], *b = &is->links[i];

		if (memcmp(a->node_id, b->node_id, NODE_ID_LEN) != 0)
			return OWN_SOON_S;
		if (far_apart(a->rtt_us, b->rtt_us, 20000) || far_apart(a->jitter_us, b->jitter_us, 30000) ||
		    (a->loss > b->loss ? a->loss - b->loss : b->loss - a->loss) > 20)
			when = sooner(when, OWN_NOTABLE_S);
		else if (memcmp(a, b, sizeof(*a)) != 0)
			when = sooner(when, OWN_REFRESH_S);
	}
	return when;
}

static uint32_t
loads_differ(const struct facts *was, const struct facts *is)
{
	const uint16_t a[] = { was->cpu, was->memory, was->queue, was->descriptors };
	const uint16_t b[] = { is->cpu, is->memory, is->queue, is->descriptors };
	uint32_t when = UINT32_MAX;

	for (size_t i = 0; i < sizeof(a) / sizeof(a[0]); i++) {
		if ((a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]) > 200)
			return OWN_NOTABLE_S;
		if (a[i] != b[i])
			when = OWN_REFRESH_S;
	}
	return when;
}

/* All but times, loads, links and the battery's level. */
static bool
same_rest(const struct facts *was, const struct facts *is)
{
	return was->nat == is->nat && was->net == is->net && was->metered == is->metered &&
	    was->on_battery == is->on_battery && was->charging == is->charging && was->relay == is->relay &&
	    was->relay_kbps == is->relay_kbps && was->relay_classes == is->relay_classes && was->cost == is->cost &&
	    strcmp(was->domain, is->domain) == 0 && strcmp(was->region, is->region) == 0 &&
	    was->services == is->services && was->naddrs == is->naddrs &&
	    memcmp(was->addrs, is->addrs, was->naddrs * sizeof(was->addrs[0])) == 0;
}

uint32_t
own_differs(const struct facts *was, const struct facts *is)
{
	uint32_t when = sooner(links_differ(was, is), loads_differ(was, is));

	if (!same_rest(was, is))
		return OWN_SOON_S;
	if (was->battery != is->battery || was->policy_version != is->policy_version ||
	    was->directory_version != is->directory_version || was->routes_version != is->routes_version)
		when = sooner(when, OWN_REFRESH_S);
	return when;
}

static bool
due(const struct own *o, const struct knowns *ks, const struct facts *f, const struct sync_time *now)
{
	uint64_t age_s = (now->ns - o->said_ns) / NS_PER_SEC;

	if (o->said_ns == 0)
		return true;
	if (age_s < OWN_SOON_S)
		return false;
	return o->keys_changed || knowns_serial_floor(ks) > o->serial || age_s >= OWN_RENEW_S ||
	    now->wall >= o->said_at + OWN_RENEW_S || age_s >= own_differs(&o->said, f);
}

static uint64_t
serial_next(struct own *o, const struct knowns *ks, uint64_t wall)
{
	uint64_t next = wall * 1000, floor = knowns_serial_floor(ks);

	if (next <= o->serial)
		next = o->serial + 1;
	if (next <= floor)
		next = floor + 1;
	return o->serial = next;
}

static struct frame_bytes
bytes(const struct known_raw *raw)
{
	return (struct frame_bytes){ raw->p, raw->len };
}

/* 0, or -1: it is not believed by ourselves. */
static int
say(struct own *o, struct knowns *ks, const struct directory *d, const struct facts *f, const struct sync_time *now)
{
	uint8_t content[FACTS_MAX], raw[FRAME_RECORD_MAX], services[PM_RECORDS_MAX];
	struct record member, r = { .kind = RECORD_NODE, .not_before = now->wall, .not_after = now->wall + KNOWN_LIFE_S };
	struct dirmsg_item item = { .membership = bytes(&o->membership), .has_services = true,
	    .route = bytes(&o->keys[PURPOSE_ROUTE].delegation), .ticket = bytes(&o->keys[PURPOSE_TICKET].delegation) };
	enum known_error e;

	if (record_decode(&member, o->membership.p, o->membership.len) != RECORD_OK)
		return -1;
	r.subject = member.subject;
	r.serial = serial_next(o, ks, now->wall);
	r.content = (struct frame_bytes){ content, facts_encode(content, sizeof(content), f) };
	item.record = (struct frame_bytes){ raw, record_sign(raw, sizeof(raw), &r, &o->route) };
	item.services.p = services;
	for (size_t i = 0; i < d->board.own.n && item.services.len + d->board.own.v[i].len <= sizeof(services); i++) {
		memcpy(services + item.services.len, d->board.own.v[i].record, d->board.own.v[i].len);
		item.services.len += d->board.own.v[i].len;
	}
	e = item.record.len == 0 ? KNOWN_E_FORM : knowns_take(ks, &item, NULL, now->wall, NULL);
	if (e == KNOWN_OK)
		return 0;
	log_warnx("this node's own record cannot be made: %s", known_strerror(e));
	return -1;
}

bool
own_run(struct own *o, struct knowns *ks, const struct directory *d, const struct sync_time *now)
{
	struct facts f;
	bool said;

	if (!o->configured)
		return false;
	ask_if_due(o, PURPOSE_ROUTE, now);
	ask_if_due(o, PURPOSE_TICKET, now);
	if (!own_ready(o, now->wall))
		return false;
	own_facts(o, ks, d, now, &f);
	if (!due(o, ks, &f, now))
		return false;
	if (o->said_ns == 0 && knowns_own(ks) != NULL && knowns_own(ks)->facts != NULL)
		links_keep(&f, knowns_own(ks)->facts);
	said = say(o, ks, d, &f, now) == 0;
	o->said_ns = now->ns;
	o->said_at = now->wall;
	o->said = f;
	o->keys_changed = false;
	if (said)
		STAT_INC(ROUTED_OWN_RECORDS);
	return said;
}
