#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "crypto/identity.h"
#include "vpnd/vpnd.h"

struct vpn_peer *
vpn_peer_find(const struct vpnd *v, const uint8_t *node_id, uint32_t *index)
{
	for (uint32_t i = 0; i < v->npeers; i++) {
		if (v->peers[i] == NULL || memcmp(v->peers[i]->node_id, node_id, NODE_ID_LEN) != 0)
			continue;
		if (index != NULL)
			*index = i;
		return v->peers[i];
	}
	return NULL;
}

/* A place for a new peer: a free one, or one more. */
static int
peer_index(struct vpnd *v, uint32_t *index)
{
	struct vpn_peer **p;

	for (*index = 0; *index < v->npeers; ++*index)
		if (v->peers[*index] == NULL)
			return 0;
	if (v->npeers >= VPN_PEERS_MAX)
		return -1;
	p = reallocarray(v->peers, v->npeers + 1, sizeof(struct vpn_peer *));
	if (p == NULL)
		return -1;
	v->peers = p;
	v->peers[v->npeers++] = NULL;
	return 0;
}

static struct vpn_peer *
peer_get(struct vpnd *v, const uint8_t *node_id, const char *name, uint32_t *index)
{
	struct vpn_peer *p = vpn_peer_find(v, node_id, index);

	if (p != NULL)
		return p;
	if (peer_index(v, index) == -1 || (p = calloc(1, sizeof(*p))) == NULL) {
		log_warnx("no room for peer name=%s", name);
		return NULL;
	}
	memcpy(p->node_id, node_id, NODE_ID_LEN);
	snprintf(p->name, sizeof(p->name), "%s", name);
	v->peers[*index] = p;
	v->routes_stale = true;
	return p;
}

/* Its streams and half-made units end with the session, or with what we know of it. */
static void
peer_clear(struct vpnd *v, uint32_t index)
{
	struct vpn_peer *p = v->peers[index];

	vpn_stream_remove_peer(&v->streams, index);
	STAT_ADD(VPND_IN_DROP_FRAGMENT, frag_forget(v->frags, index, 0));
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		for (unsigned g = 0; g < FLOW_GROUPS; g++)
			flow_forget(&p->flow[c][g]);
	p->streams_in = 0;
	vpn_keys_down(v, index);
}

static void
peer_remove(struct vpnd *v, uint32_t index)
{
	peer_clear(v, index);
	vpn_keys_clear(&v->peers[index]->keys);
	free(v->peers[index]);
	v->peers[index] = NULL;
	v->routes_stale = true;
}

void
vpn_peers_free(struct vpnd *v)
{
	for (uint32_t i = 0; i < v->npeers; i++)
		if (v->peers[i] != NULL)
			peer_remove(v, i);
	free(v->peers);
	v->peers = NULL;
	v->npeers = 0;
}

void
vpn_peers_configure(struct vpnd *v)
{
	uint32_t index;

	for (uint32_t i = 0; i < v->npeers; i++)
		if (v->peers[i] != NULL)
			v->peers[i]->configured = false;
	for (size_t i = 0; i < v->conf->npeers; i++) {
		const struct pm_conf_peer *c = &v->conf->peers[i];
		struct vpn_peer *p = peer_get(v, c->node_id, c->name, &index);

		if (p != NULL)
			p->configured = true;
	}
	for (uint32_t i = 0; i < v->npeers; i++)
		if (v->peers[i] != NULL && !v->peers[i]->configured && !v->peers[i]->up)
			peer_remove(v, i);
	v->routes_stale = true;
}

/* The membership's prefixes: family, length, address, back to back. What is malformed ends the list. */
static void
read_prefixes(struct vpn_peer *p, struct frame_bytes b)
{
	p->nproven = 0;
	while (b.len >= 2 && p->nproven < RECORD_ADDRS_MAX) {
		struct record_prefix *x = &p->proven[p->nproven];
		size_t n = b.p[0] == 4 ? 4 : 16;

		if ((b.p[0] != 4 && b.p[0] != 6) || b.p[1] > n * 8 || b.len < 2 + n)
			break;
		memset(x, 0, sizeof(*x));
		x->family = b.p[0];
		x->len = b.p[1];
		memcpy(x->addr, b.p + 2, n);
		p->nproven++;
		b.p += 2 + n;
		b.len -= 2 + n;
	}
	if (b.len != 0)
		log_warnx("malformed prefixes in a membership name=%s", p->name);
}

static void
count_up(struct vpnd *v)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < v->npeers; i++)
		n += v->peers[i] != NULL && v->peers[i]->up;
	STAT_SET(VPND_PEERS_UP, n);
}

void
vpn_peer_up(struct vpnd *v, const struct pm_peer_up *m)
{
	uint32_t index;
	struct vpn_peer *p = peer_get(v, m->node_id, m->name, &index);

	if (p == NULL)
		return;
	/*
	 * Up again without a down: the session was replaced. Its streams were reset one by one; what was opened since
	 * belongs to the new session and stays.
	 */
	if (!p->up)
		peer_clear(v, index);
	p->up = true;
	memcpy(p->tenant, m->tenant, sizeof(p->tenant));
	p->up_order = v->ups++;
	p->datagram_max = m->datagram_max;
	p->mtu_settled = false;
	read_prefixes(p, m->prefixes);
	v->routes_stale = true;
	count_up(v);
	log_info("peer up name=%s datagram_max=%u", p->name, (unsigned)p->datagram_max);
	if (p->keys.have_service)
		vpn_keys_run(v);
	else
		vpn_keys_ask(v);
}

void
vpn_peer_down(struct vpnd *v, const uint8_t *node_id)
{
	uint32_t index;
	struct vpn_peer *p = vpn_peer_find(v, node_id, &index);

	if (p == NULL || !p->up)
		return;
	log_info("peer down name=%s", p->name);
	p->up = false;
	peer_clear(v, index);
	if (!p->configured)
		peer_remove(v, index);
	v->routes_stale = true;
	count_up(v);
}

void
vpn_peers_reset(struct vpnd *v)
{
	for (uint32_t i = 0; i < v->npeers; i++)
		if (v->peers[i] != NULL && v->peers[i]->up)
			vpn_peer_down(v, v->peers[i]->node_id);
}

void
vpn_peer_stat(struct vpnd *v, const struct pm_peer_stat *m)
{
	struct vpn_peer *p = vpn_peer_find(v, m->node_id, NULL);

	if (p == NULL || !p->up)
		return;
	if (p->datagram_max != m->datagram_max || p->mtu_settled != m->mtu_settled)
		log_debug("peer name=%s datagram_max=%u settled=%d", p->name, (unsigned)m->datagram_max, m->mtu_settled);
	p->datagram_max = m->datagram_max;
	p->mtu_settled = m->mtu_settled;
}

static void
prefix_text(char *out, size_t size, const struct record_prefix *p)
{
	char addr[INET6_ADDRSTRLEN];

	if (inet_ntop(p->family == 4 ? AF_INET : AF_INET6, p->addr, addr, sizeof(addr)) == NULL)
		addr[0] = '\0';
	snprintf(out, size, "%s/%u", addr, (unsigned)p->len);
}

static const char *
owner_name(const struct vpnd *v, uint32_t owner)
{
	return owner == VPN_ROUTE_SELF ? v->conf->node.name : v->peers[owner]->name;
}

/* A walk over all prefixes in the order in which they count: fills a table, and may tell of each. */
struct visit {
	struct lpm *table;
	void	(*entry)(struct vpnd *, const struct record_prefix *, uint32_t owner, const char *origin, bool held,
		    void *arg);	/* `held`: it is another's; may be NULL */
	void	*arg;
	bool	 failed;	/* no memory: not all are in the table */
	uint32_t conflicts;	/* prefixes that are another's */
	uint64_t mark;		/* made of those: tells whether they are the same as last time */
};

static void
add(struct vpnd *v, struct visit *x, const struct record_prefix *p, uint32_t owner, const char *origin)
{
	uint32_t holder = owner;
	int r = lpm_insert(x->table, p, owner, &holder);
	bool held = r == 1 && holder != owner;

	if (r == -1)
		x->failed = true;
	if (r == -1 || (r == 1 && !held))
		return;
	if (held) {
		x->conflicts++;
		for (unsigned i = 0; i < sizeof(p->addr); i++)
			x->mark = (x->mark ^ p->addr[i]) * 0x100000001b3ull;
		x->mark = (x->mark ^ owner ^ (uint64_t)holder << 32) * 0x100000001b3ull;
	}
	if (x->entry != NULL)
		x->entry(v, p, owner, origin, held, x->arg);
}

static struct record_prefix
host_prefix(uint8_t family, const uint8_t *addr)
{
	struct record_prefix p = { .family = family, .len = family == 4 ? 32 : 128 };

	memcpy(p.addr, addr, family == 4 ? 4 : 16);
	return p;
}

static void
add_own(struct vpnd *v, struct visit *x)
{
	const struct pm_conf_vpn *c = &v->conf->vpn;
	struct record_prefix p;

	if (!v->conf->have_vpn)
		return;
	if (c->addr4.family == 4) {
		p = host_prefix(4, c->addr4.addr);
		add(v, x, &p, VPN_ROUTE_SELF, "own");
	}
	if (c->addr6.family == 6) {
		p = host_prefix(6, c->addr6.addr);
		add(v, x, &p, VPN_ROUTE_SELF, "own");
	}
}

static void
add_configured(struct vpnd *v, struct visit *x)
{
	for (size_t i = 0; i < v->conf->nprefixes; i++) {
		const struct vpn_conf_prefix *c = &v->conf->prefixes[i];
		uint32_t index;

		if (memcmp(c->node_id, v->conf->node.node_id, NODE_ID_LEN) == 0)
			add(v, x, &c->prefix, VPN_ROUTE_SELF, "configured");
		else if (vpn_peer_find(v, c->node_id, &index) != NULL)
			add(v, x, &c->prefix, index, "configured");
	}
}

static void
add_overlay(struct vpnd *v, struct visit *x)
{
	for (uint32_t i = 0; i < v->npeers; i++) {
		struct record_prefix p;
		uint8_t addr[16];

		if (v->peers[i] == NULL)
			continue;
		node_overlay_addr6(addr, v->conf->node.authority, v->peers[i]->node_id);
		p = host_prefix(6, addr);
		add(v, x, &p, i, "overlay");
	}
}

struct proof {
	bool	 foreign, up;
	uint64_t order;
	uint32_t index;
};

static int
by_proof(const void *a, const void *b)
{
	const struct proof *p = a, *q = b;

	/* What is given out in two tenants is the own one's. Then those that are up before those that were. */
	if (p->foreign != q->foreign)
		return p->foreign ? 1 : -1;
	if (p->up != q->up)
		return p->up ? -1 : 1;
	return p->order < q->order ? -1 : p->order > q->order;
}

/* Proven prefixes: the peer that has been up longest comes first and keeps what others claim as well. */
static void
add_proven(struct vpnd *v, struct visit *x)
{
	struct proof *proofs = calloc(v->npeers + 1, sizeof(*proofs));
	uint32_t n = 0;

	if (proofs == NULL) {
		x->failed = true;
		return;
	}
	for (uint32_t i = 0; i < v->npeers; i++) {
		const struct vpn_peer *p = v->peers[i];

		if (p != NULL && p->nproven != 0)
			proofs[n++] = (struct proof){ strcmp(p->tenant, v->conf->node.tenant) != 0, p->up, p->up_order, i };
	}
	qsort(proofs, n, sizeof(*proofs), by_proof);
	for (uint32_t i = 0; i < n; i++) {
		const struct vpn_peer *p = v->peers[proofs[i].index];

		for (unsigned k = 0; k < p->nproven; k++)
			add(v, x, &p->proven[k], proofs[i].index, "proven");
	}
	free(proofs);
}

static void
add_all(struct vpnd *v, struct visit *x)
{
	if (v->conf == NULL)
		return;
	add_own(v, x);
	add_configured(v, x);
	add_overlay(v, x);
	add_proven(v, x);
}

static void
log_held(struct vpnd *v, const struct record_prefix *p, uint32_t owner, const char *origin, bool held, void *arg)
{
	char text[64];

	(void)arg;
	if (!held)
		return;
	prefix_text(text, sizeof(text), p);
	log_warnx("prefix=%s node=%s origin=%s is another's already: ignored", text, owner_name(v, owner), origin);
}

/* Says which claims lost, when they are not those of the last time. */
static void
note_conflicts(struct vpnd *v, const struct visit *x)
{
	struct visit again = { .table = NULL, .entry = log_held };

	STAT_SET(VPND_PREFIX_CONFLICTS, x->conflicts);
	if (x->mark == v->conflicts)
		return;
	v->conflicts = x->mark;
	again.table = lpm_new();
	if (again.table != NULL)
		add_all(v, &again);
	lpm_free(again.table);
}

void
vpn_routes_update(struct vpnd *v)
{
	struct visit x = { .table = NULL };

	if (!v->routes_stale)
		return;
	x.table = lpm_new();
	if (x.table != NULL)
		add_all(v, &x);
	if (x.table == NULL || x.failed) {
		/* Neither the old ones nor some of the new: a packet could go to the wrong peer. on_tick() tries again. */
		log_warnx("no memory for the table of prefixes");
		lpm_free(x.table);
		lpm_clear(v->routes);
		return;
	}
	lpm_free(v->routes);
	v->routes = x.table;
	v->routes_stale = false;
	STAT_SET(VPND_PREFIXES, lpm_count(v->routes));
	note_conflicts(v, &x);
}

/* Under which cipher packets go there, and since when with these keys. */
static void
row_sealed(struct row_writer *w, const struct vpn_keys *k)
{
	row_str(w, "sealed", k->have ? aead_name(k->out.cipher) : "no");
	if (k->have)
		row_uint(w, "sealed_since_s", k->out_wall);
}

static void
row(struct vpnd *v, const struct record_prefix *p, uint32_t owner, const char *origin, bool held, void *arg)
{
	bool own = owner == VPN_ROUTE_SELF;
	const uint8_t *id = own ? v->conf->node.node_id : v->peers[owner]->node_id;
	struct row_writer w;
	char text[2 * NODE_ID_LEN + 1];

	row_init(&w);
	prefix_text(text, sizeof(text), p);
	row_str(&w, "prefix", text);
	row_str(&w, "node", owner_name(v, owner));
	for (unsigned i = 0; i < NODE_ID_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
	row_str(&w, "id", text);
	row_str(&w, "origin", origin);
	row_str(&w, "state", held ? "conflict" : own ? "own" : v->peers[owner]->up ? "up" : "down");
	row_str(&w, "interface", v->conf->vpn.ifname);
	row_uint(&w, "mtu", v->conf->vpn.mtu);
	if (!own)
		row_sealed(&w, &v->peers[owner]->keys);
	if (!w.failed)
		worker_row_once(v->worker, *(uint64_t *)arg, &w);
}

void
vpn_routes_rows(struct vpnd *v, uint64_t request)
{
	struct visit x = { .table = lpm_new(), .entry = row, .arg = &request };

	if (x.table == NULL)
		return;
	add_all(v, &x);
	lpm_free(x.table);
}

/* --- what came on each stream --- */

struct streams_ask { struct vpnd *v; uint64_t request; };

/* What is missing is what has not come into its gap by now. */
static void
stream_row(struct vpn_stream *s, void *argp)
{
	const struct streams_ask *ask = argp;
	const struct vpn_peer *p = ask->v->peers[s->peer];
	uint64_t lost = s->missing > s->late ? s->missing - s->late : 0;
	char hex[2 * NODE_ID_LEN + 1];
	struct row_writer w;

	if (s->kind != STREAM_IN)
		return;
	row_init(&w);
	row_uint(&w, "stream", s->id);
	row_str(&w, "service", VPN_SERVICE);
	row_str(&w, "node", p->name);
	row_str(&w, "peer", hex_encode(hex, p->node_id, NODE_ID_LEN));
	row_str(&w, "class", class_name(s->class));
	row_str(&w, "opened_by", "peer");
	row_uint(&w, "packets_in", s->units);
	row_uint(&w, "bytes_in", s->bytes);
	row_uint(&w, "lost_in", lost);
	row_uint(&w, "late_in", s->late);
	row_uint(&w, "loss_permille", s->units + lost == 0 ? 0 : lost * 1000 / (s->units + lost));
	worker_row_once(ask->v->worker, ask->request, &w);
}

void
vpn_streams_rows(struct vpnd *v, uint64_t request)
{
	struct streams_ask ask = { v, request };

	vpn_stream_each(&v->streams, stream_row, &ask);
}
