#include "routed/directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fabric/facts.h"
#include "proc/stats.h"
#include "routed/conf.h"
#include "routed/known.h"
#include "routed/order.h"

#define RTT_SHIFT	3	/* a report moves the smoothed RTT by an eighth of the difference */
#define LOSS_SHIFT	4	/* the sums lose a sixteenth at each report: about 16 s of memory */

struct directory *
directory_new(void)
{
	struct directory *d = calloc(1, sizeof(*d));

	if (d != NULL)
		d->dead_ms = DEAD_MS_DEFAULT;
	return d;
}

static void
peer_free(struct peer *p)
{
	free(p->member.record);
	service_set_free(&p->services);
	free(p);
}

void
directory_free(struct directory *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->npeers; i++)
		peer_free(d->peers[i]);
	services_free(d);
	free(d->peers);
	free(d->removed);
	free(d);
}

/* The place of node_id, or where it belongs. */
static size_t
place(const struct directory *d, const uint8_t *node_id, bool *found)
{
	_Static_assert(offsetof(struct peer, node_id) == 0, "order_place() finds the id there");
	return order_place(d->peers, d->npeers, node_id, found);
}

struct peer *
directory_find(const struct directory *d, const uint8_t *node_id)
{
	bool found;
	size_t i = place(d, node_id, &found);

	return found ? d->peers[i] : NULL;
}

/* Without memory for the note the row stays in the store until it expires there: no harm. */
static void
note_removed(struct directory *d, const struct peer *p)
{
	if (!p->in_store)
		return;
	if (d->nremoved == d->removed_size) {
		size_t size = d->removed_size == 0 ? 16 : d->removed_size * 2;
		void *grown = reallocarray(d->removed, size, sizeof(*d->removed));

		if (grown == NULL)
			return;
		d->removed = grown;
		d->removed_size = size;
	}
	memcpy(d->removed[d->nremoved++], p->node_id, NODE_ID_LEN);
}

static void
remove_at(struct directory *d, size_t i)
{
	services_drop(d, d->peers[i]);
	note_removed(d, d->peers[i]);
	peer_free(d->peers[i]);
	d->npeers--;
	memmove(&d->peers[i], &d->peers[i + 1], (d->npeers - i) * sizeof(*d->peers));
}

/* `told`: the dataplane still has to hear that it goes. */
static bool
removable(const struct peer *p)
{
	return !p->configured && !p->session.up && !p->told;
}

static bool
evict_one(struct directory *d)
{
	size_t oldest = d->npeers;

	for (size_t i = 0; i < d->npeers; i++) {
		if (removable(d->peers[i]) &&
		    (oldest == d->npeers || d->peers[i]->last_seen < d->peers[oldest]->last_seen))
			oldest = i;
	}
	if (oldest == d->npeers)
		return false;
	remove_at(d, oldest);
	STAT_INC(ROUTED_PEERS_EVICTED);
	return true;
}

static bool
grow(struct directory *d)
{
	size_t size = d->size == 0 ? 16 : d->size * 2;
	struct peer **peers;

	if (d->npeers < d->size)
		return true;
	peers = reallocarray(d->peers, size, sizeof(*peers));
	if (peers == NULL)
		return false;
	d->peers = peers;
	d->size = size;
	return true;
}

struct peer *
directory_add(struct directory *d, const uint8_t *node_id)
{
	struct peer *p = directory_find(d, node_id);
	bool found;
	size_t i;

	if (p != NULL)
		return p;
	if ((d->npeers >= DIRECTORY_PEERS_MAX && !evict_one(d)) || !grow(d)) {
		STAT_INC(ROUTED_PEERS_REFUSED);
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	memcpy(p->node_id, node_id, NODE_ID_LEN);
	i = place(d, node_id, &found);
	memmove(&d->peers[i + 1], &d->peers[i], (d->npeers - i) * sizeof(*d->peers));
	d->peers[i] = p;
	d->npeers++;
	return p;
}

static void
touch(struct peer *p)
{
	p->dirty = PEER_DIRTY;
}

bool
peer_addr_equal(const struct pm_addr *a, const struct pm_addr *b)
{
	return a->family == b->family && a->port == b->port &&
	    memcmp(a->addr, b->addr, a->family == 4 ? 4 : 16) == 0;
}

static struct peer_addr *
addr_find(struct peer *p, const struct pm_addr *addr)
{
	for (size_t i = 0; i < p->naddrs; i++)
		if (peer_addr_equal(&p->addrs[i].addr, addr))
			return &p->addrs[i];
	return NULL;
}

static void
addr_remove(struct peer *p, size_t i)
{
	p->naddrs--;
	memmove(&p->addrs[i], &p->addrs[i + 1], (p->naddrs - i) * sizeof(p->addrs[0]));
	touch(p);
}

/* A full list loses the learned address that worked the longest ago; configured ones stay. */
static struct peer_addr *
addr_add(struct peer *p, const struct pm_addr *addr)
{
	struct peer_addr *a = addr_find(p, addr);
	size_t oldest = p->naddrs;

	if (a != NULL)
		return a;
	if (p->naddrs == PEER_ADDRS_MAX) {
		for (size_t i = 0; i < p->naddrs; i++)
			if (!p->addrs[i].configured &&
			    (oldest == p->naddrs || p->addrs[i].last_ok < p->addrs[oldest].last_ok))
				oldest = i;
		if (oldest == p->naddrs)
			return NULL;
		addr_remove(p, oldest);
	}
	a = &p->addrs[p->naddrs++];
	memset(a, 0, sizeof(*a));
	a->addr = *addr;
	touch(p);
	return a;
}

int
peer_addr_load(struct peer *p, const struct peer_addr *from)
{
	struct peer_addr *a = addr_add(p, &from->addr);

	if (a == NULL)
		return -1;
	*a = *from;
	return 0;
}

static void
peer_configure(struct peer *p, const struct routed_conf_peer *c)
{
	p->configured = true;
	memcpy(p->conf_name, c->name, sizeof(p->conf_name));
	memcpy(p->prefixes, c->prefixes, sizeof(p->prefixes));
	p->nprefixes = c->nprefixes;
	/* At most PEER_CONF_ADDRS_MAX of PEER_ADDRS_MAX, and the old ones are no longer marked: there is room. */
	for (size_t i = 0; i < c->naddrs; i++) {
		struct peer_addr *a = addr_add(p, &c->addrs[i]);

		if (a != NULL)
			a->configured = true;
	}
}

static void
peer_unconfigure(struct peer *p)
{
	p->configured = false;
	p->conf_name[0] = '\0';
	p->nprefixes = 0;
	for (size_t i = 0; i < p->naddrs; i++)
		p->addrs[i].configured = p->addrs[i].heard = false;
}

static void
drop_unused_addrs(struct peer *p)
{
	for (size_t i = p->naddrs; i-- > 0;)
		if (!p->addrs[i].configured && !p->addrs[i].learned && !p->addrs[i].heard)
			addr_remove(p, i);
}

/* What could be a node's in some network, and can be dialled. */
static bool
dialable(const struct fact_addr *a, struct pm_addr *out)
{
	static const uint8_t zero[16], mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *b = a->addr;

	if (a->carrier != CARRIER_QUIC || a->port == 0)
		return false;
	*out = (struct pm_addr){ .family = a->family, .port = a->port };
	memcpy(out->addr, b, a->family == 4 ? 4 : 16);
	if (a->family == 4)
		return b[0] != 0 && b[0] != 127 && b[0] < 224 && (b[0] != 169 || b[1] != 254);
	return b[0] != 0xff && (b[0] != 0xfe || (b[1] & 0xc0) != 0x80) && memcmp(b, zero, 15) != 0 &&
	    memcmp(b, mapped, sizeof(mapped)) != 0;
}

/* What others need more room for is not driven out by what a node says. */
static void
peer_heard(struct peer *p, const struct facts *f)
{
	struct pm_addr addr;
	struct peer_addr *a;

	for (size_t i = 0; i < p->naddrs; i++)
		p->addrs[i].heard = false;
	for (size_t i = 0; f != NULL && f->nat != NAT_SYMMETRIC && i < f->naddrs; i++) {
		if (!dialable(&f->addrs[i], &addr) || (p->naddrs == PEER_ADDRS_MAX && addr_find(p, &addr) == NULL))
			continue;
		if ((a = addr_add(p, &addr)) != NULL)
			a->heard = true;
	}
	drop_unused_addrs(p);
}

void
directory_heard(struct directory *d, const uint8_t *node_id, const struct facts *f)
{
	struct peer *p = directory_find(d, node_id);

	if (p != NULL && p->configured)
		peer_heard(p, f);
}

void
directory_moved(struct directory *d)
{
	for (size_t i = 0; i < d->npeers; i++)
		for (size_t j = 0; j < d->peers[i]->naddrs; j++)
			if (d->peers[i]->addrs[j].heard)
				d->peers[i]->addrs[j].failures = 0;
}

void
directory_configure(struct directory *d, const struct routed_conf *conf)
{
	const struct known *k;

	d->dead_ms = conf->dead_ms;
	for (size_t i = 0; i < d->npeers; i++)
		peer_unconfigure(d->peers[i]);
	for (size_t i = 0; i < conf->npeers; i++) {
		struct peer *p = directory_add(d, conf->peers[i].node_id);

		if (p == NULL)
			continue;
		peer_configure(p, &conf->peers[i]);
		if (d->knowns != NULL && (k = known_find(d->knowns, p->node_id)) != NULL)
			peer_heard(p, k->facts);
	}
	for (size_t i = 0; i < d->npeers; i++) {
		drop_unused_addrs(d->peers[i]);
		touch(d->peers[i]);
	}
	/* One that was only configured and never seen is nobody any more. */
	for (size_t i = d->npeers; i-- > 0;)
		if (removable(d->peers[i]) && d->peers[i]->last_seen == 0)
			remove_at(d, i);
}

int
prefixes_unpack(struct record_prefix *out, size_t max, const uint8_t *p, size_t len)
{
	size_t n = 0, bytes;

	for (; len > 0; p += 2 + bytes, len -= 2 + bytes) {
		if (n == max || len < 2 || (p[0] != 4 && p[0] != 6))
			return -1;
		bytes = p[0] == 4 ? 4 : 16;
		if (p[1] > bytes * 8 || len - 2 < bytes)
			return -1;
		memset(&out[n], 0, sizeof(out[n]));
		out[n].family = p[0];
		out[n].len = p[1];
		memcpy(out[n++].addr, p + 2, bytes);
	}
	return (int)n;
}

static int
member_set(struct peer_member *m, const struct pm_peer_up *up)
{
	struct record_prefix prefixes[RECORD_ADDRS_MAX] = { 0 };
	int n = prefixes_unpack(prefixes, RECORD_ADDRS_MAX, up->prefixes.p, up->prefixes.len);
	uint8_t *record = NULL;

	if (n == -1 || up->membership.len > FRAME_RECORD_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (up->membership.len > 0) {
		record = malloc(up->membership.len);
		if (record == NULL)
			return -1;
		memcpy(record, up->membership.p, up->membership.len);
	}
	free(m->record);
	m->record = record;
	m->record_len = up->membership.len;
	memcpy(m->name, up->name, sizeof(m->name));
	memcpy(m->tenant, up->tenant, sizeof(m->tenant));
	m->roles = up->roles;
	m->tier = up->tier;
	m->not_after = up->not_after;
	memcpy(m->prefixes, prefixes, sizeof(prefixes));
	m->nprefixes = (uint8_t)n;
	return 0;
}

/* A membership that was verified here, of a node that is no neighbour now. */
int
directory_member(struct peer *p, const struct record *r)
{
	struct peer_member *m = &p->member;
	uint8_t *record;

	if (m->record_len == r->raw.len && memcmp(m->record, r->raw.p, r->raw.len) == 0)
		return 0;
	if ((record = malloc(r->raw.len)) == NULL)
		return -1;
	memcpy(record, r->raw.p, r->raw.len);
	free(m->record);
	m->record = record;
	m->record_len = r->raw.len;
	memcpy(m->name, r->name, sizeof(m->name));
	memcpy(m->tenant, r->tenant, sizeof(m->tenant));
	m->roles = r->roles;
	m->tier = r->tier;
	m->not_after = r->not_after;
	memcpy(m->prefixes, r->prefixes, sizeof(m->prefixes));
	m->nprefixes = r->nprefixes;
	touch(p);
	return 0;
}

static void
addr_worked(struct peer *p, const struct pm_addr *addr, uint64_t wall)
{
	struct peer_addr *a = addr_add(p, addr);

	if (a == NULL)
		return;
	a->learned = true;
	a->last_ok = wall;
	a->failures = 0;
}

/* What was proven of the session so far is of the session before: only a PEER_STAT proves this one. */
static void
session_begin(struct peer_session *s, const struct pm_peer_up *up, uint64_t now_ns)
{
	memset(s, 0, sizeof(*s));
	s->up = true;
	s->initiator = up->initiator;
	s->addr = up->addr;
	s->since_ns = now_ns;
	s->datagram_max = up->datagram_max;
	ratelimit_init(&s->announces, SERVICES_ANNOUNCE_MS * NS_PER_MS, SERVICES_ANNOUNCE_BURST);
}

int
directory_peer_up(struct directory *d, const struct pm_peer_up *up, uint64_t now_ns, uint64_t wall)
{
	struct peer *p = directory_add(d, up->node_id);

	if (p == NULL) {
		errno = ENOSPC;
		return -1;
	}
	if (member_set(&p->member, up) == -1)
		return -1;
	session_begin(&p->session, up, now_ns);
	d->board.announce = d->board.changed = true;	/* it knows nothing; and its roles may be others */
	p->quality.min_us = 0;	/* perhaps another path */
	addr_worked(p, &up->addr, wall);
	if (p->first_seen == 0)
		p->first_seen = wall;
	p->last_seen = wall;
	p->down_reason = REASON_NONE;
	touch(p);
	return 0;
}

static void
peer_down(struct peer *p, uint64_t reason)
{
	if (!p->session.up)
		return;
	memset(&p->session, 0, sizeof(p->session));
	p->down_reason = reason;
	touch(p);
}

void
directory_peer_down(struct directory *d, const struct pm_peer_down *m)
{
	struct peer *p = directory_find(d, m->node_id);

	if (p != NULL)
		peer_down(p, m->reason);
}

void
directory_all_down(struct directory *d, uint64_t reason)
{
	for (size_t i = 0; i < d->npeers; i++)
		peer_down(d->peers[i], reason);
}

static void
measure_rtt(struct peer_quality *q, uint32_t rtt_us)
{
	if (rtt_us == 0)
		return;
	if (q->srtt_us == 0)
		q->srtt_us = rtt_us;
	else
		q->srtt_us = (uint32_t)((int64_t)q->srtt_us +
		    ((int64_t)rtt_us - (int64_t)q->srtt_us) / (1 << RTT_SHIFT));
	if (q->min_us == 0 || rtt_us < q->min_us)
		q->min_us = rtt_us;
}

/* Counters that went back are another session's: they are the new base and measure nothing. */
static void
measure_loss(struct peer *p, uint64_t sent, uint64_t lost)
{
	struct peer_session *s = &p->session;

	if (s->stat_seen && sent >= s->sent && lost >= s->lost) {
		uint64_t dsent = sent - s->sent, dlost = lost - s->lost;

		if (dlost > dsent)
			dlost = dsent;
		s->window_sent += (dsent << LOSS_SHIFT) - (s->window_sent >> LOSS_SHIFT);
		s->window_lost += (dlost << LOSS_SHIFT) - (s->window_lost >> LOSS_SHIFT);
		if (s->window_sent > 0)
			p->quality.loss_permille = (uint32_t)(s->window_lost * 1000 / s->window_sent);
	}
	s->sent = sent;
	s->lost = lost;
	s->stat_seen = true;
}

/* The time `ms` before now; never 0, which means that there is none. */
static uint64_t
ago(uint64_t now_ns, uint64_t ms)
{
	return ms < now_ns / NS_PER_MS ? now_ns - ms * NS_PER_MS : 1;
}

/* The most of late: a sixty-fourth of it is forgotten at each report. */
static void
measure_rate(struct peer_session *s, const struct pm_peer_stat *m, uint64_t now_ns)
{
	uint64_t in = m->bytes_in - s->bytes_in, out = m->bytes_out - s->bytes_out, ms = (now_ns - s->measured_ns) / NS_PER_MS;
	uint64_t kbps;

	s->kbps -= s->kbps / 64;
	if (s->measured_ns != 0 && ms >= 500 && m->bytes_in >= s->bytes_in && m->bytes_out >= s->bytes_out) {
		kbps = (in > out ? in : out) * 8 / ms;
		if (kbps > s->kbps)
			s->kbps = kbps < UINT32_MAX ? (uint32_t)kbps : UINT32_MAX;
	}
	s->measured_ns = now_ns;
}

void
directory_peer_stat(struct directory *d, const struct pm_peer_stat *m, uint64_t now_ns, uint64_t wall)
{
	struct peer *p = directory_find(d, m->node_id);
	struct peer_addr *a;

	if (p == NULL || !p->session.up)
		return;	/* PEER_DOWN overtook nothing: the dataplane sends in order; a stray one proves nothing */
	measure_rtt(&p->quality, m->rtt_us);
	measure_loss(p, m->sent, m->lost);
	measure_rate(&p->session, m, now_ns);
	p->session.rttvar_us = m->rttvar_us;
	p->session.bytes_in = m->bytes_in;
	p->session.bytes_out = m->bytes_out;
	p->session.datagram_max = m->datagram_max;
	p->session.pressure = m->pressure;
	p->session.proof_ns = ago(now_ns, m->idle_ms);
	p->session.since_ns = ago(now_ns, m->up_ms);
	p->last_seen = wall - (now_ns - p->session.proof_ns) / NS_PER_SEC;
	a = addr_find(p, &p->session.addr);
	if (a != NULL)
		a->last_ok = p->last_seen;
	if (p->dirty == PEER_CLEAN)
		p->dirty = PEER_DIRTY_SOON;
}

void
directory_dial_failed(struct directory *d, const struct pm_dial_failed *m, uint64_t wall)
{
	struct peer *p = directory_find(d, m->node_id);
	struct peer_addr *a = p == NULL ? NULL : addr_find(p, &m->addr);

	if (p != NULL && !p->session.up)
		p->down_reason = m->reason;
	if (a == NULL)
		return;
	if (a->failures < UINT32_MAX)
		a->failures++;
	a->last_failed = wall;
	a->reason = m->reason;
	/* Only what changes a decision is worth a write at once; a dead peer fails for days. */
	if (a->failures <= LEARNED_FAILURES_MAX)
		touch(p);
}

static bool
addr_expired(const struct peer_addr *a, uint64_t wall)
{
	return !a->configured && !a->heard && a->last_ok + LEARNED_KEEP_S < wall;
}

void
directory_expire(struct directory *d, uint64_t wall)
{
	for (size_t i = d->npeers; i-- > 0;) {
		struct peer *p = d->peers[i];

		for (size_t j = p->naddrs; j-- > 0;) {
			struct peer_addr *a = &p->addrs[j];

			if (addr_expired(a, wall))
				addr_remove(p, j);
			else if (a->heard && a->last_failed + HEARD_AGAIN_S <= wall)
				a->failures = 0;
		}
		if (removable(p) && p->last_seen + PEER_FORGET_S < wall)
			remove_at(d, i);
	}
}

/* What does not fail now goes first; then what a person wrote down; then what worked last. */
static bool
addr_better(const struct peer_addr *a, const struct peer_addr *b)
{
	if ((a->failures == 0) != (b->failures == 0))
		return a->failures == 0;
	if (a->configured != b->configured)
		return a->configured;
	return a->last_ok > b->last_ok;
}

size_t
peer_dial_addrs(const struct peer *p, struct pm_addr out[PEER_DIAL_ADDRS_MAX])
{
	const struct peer_addr *order[PEER_ADDRS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < p->naddrs; i++) {
		const struct peer_addr *a = &p->addrs[i];
		size_t j = n;

		if (!a->configured && ((!a->learned && !a->heard) || a->failures >= LEARNED_FAILURES_MAX))
			continue;
		for (; j > 0 && addr_better(a, order[j - 1]); j--)
			order[j] = order[j - 1];
		order[j] = a;
		n++;
	}
	if (n > PEER_DIAL_ADDRS_MAX)
		n = PEER_DIAL_ADDRS_MAX;
	for (size_t i = 0; i < n; i++)
		out[i] = order[i]->addr;
	return n;
}

enum peer_state
peer_state(const struct directory *d, const struct peer *p, uint64_t now_ns)
{
	const struct peer_session *s = &p->session;

	if (s->up && s->proof_ns != 0)
		return now_ns < s->proof_ns + d->dead_ms * NS_PER_MS ? PEER_STATE_UP : PEER_STATE_DOWN;
	/* Without a dataplane neither is so. */
	return s->up || p->told_dial ? PEER_STATE_CONNECTING : PEER_STATE_DOWN;
}

const char *
peer_state_name(enum peer_state s)
{
	static const char *const names[] = { "down", "connecting", "up" };

	return names[s];
}

const char *
peer_name(const struct peer *p)
{
	return p->conf_name[0] != '\0' ? p->conf_name : p->member.name;
}
