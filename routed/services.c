#include "routed/services.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "proc/ipc.h"
#include "proc/stats.h"
#include "routed/directory.h"
#include "routed/known.h"

/* Every node has these, whatever its roles: they reach the node itself, and nothing behind it. */
static const char *const for_all[] = { "vpn", "echo" };

const char *
services_strerror(enum services_error e)
{
	static const char *const names[] = {
		[SERVICES_OK] = "no error", [SERVICES_E_FORM] = "malformed", [SERVICES_E_ISSUER] = "another node's",
		[SERVICES_E_SIGNATURE] = "a bad signature", [SERVICES_E_LIFETIME] = "valid for too long",
		[SERVICES_E_TWICE] = "a name twice", [SERVICES_E_MANY] = "too many", [SERVICES_E_NODE] = "from nobody",
		[SERVICES_E_MEMORY] = "no memory",
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == SERVICES_E_COUNT, "an error without a name");
	return (unsigned)e < SERVICES_E_COUNT ? names[e] : "unknown";
}

static void
service_clear(struct service *s)
{
	free(s->record);
	s->record = NULL;
}

void
service_set_free(struct service_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		service_clear(&set->v[i]);
	free(set->v);
	set->v = NULL;
	set->n = 0;
}

void
services_free(struct directory *d)
{
	struct service_board *b = &d->board;

	service_set_free(&b->own);
	free(b->own_records);
	free(b->gone);
}

/* --- one record, one set --------------------------------------------------------------------------------- */

static struct service *
find(const struct service_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->v[i].name, name) == 0)
			return &set->v[i];
	return NULL;
}

/* Into its place by name; takes s->record over. */
static enum services_error
insert(struct service_set *set, const struct service *s)
{
	struct service *grown;
	size_t i;

	for (i = 0; i < set->n && strcmp(set->v[i].name, s->name) < 0; i++)
		continue;
	if (i < set->n && strcmp(set->v[i].name, s->name) == 0)
		return SERVICES_E_TWICE;
	if (set->n == NODE_SERVICES_MAX)
		return SERVICES_E_MANY;
	if ((grown = reallocarray(set->v, set->n + 1, sizeof(*grown))) == NULL)
		return SERVICES_E_MEMORY;
	set->v = grown;
	memmove(&grown[i + 1], &grown[i], (set->n - i) * sizeof(*grown));
	grown[i] = *s;
	set->n++;
	return SERVICES_OK;
}

static bool
valid_now(const struct record *r, uint64_t wall)
{
	return wall < r->not_after && (r->not_before <= wall || r->not_before - wall <= CLOCK_SKEW_S);
}

/*
 * Whether this node may say this. A record that was verified before, byte for byte, is not verified again: who sends
 * the same a thousand times costs a thousand comparisons.
 */
static enum services_error
judge(const struct record *r, const uint8_t *node_id, const struct service_set *known)
{
	uint8_t id[NODE_ID_LEN];
	const struct service *was;

	if (r->kind != RECORD_SERVICE || r->raw.len > SERVICE_RECORD_MAX)
		return SERVICES_E_FORM;
	node_id_from_key(id, r->issuer);
	if (memcmp(id, node_id, NODE_ID_LEN) != 0)
		return SERVICES_E_ISSUER;
	if (r->not_after - r->not_before > DELEGATION_MAX_S)
		return SERVICES_E_LIFETIME;
	was = find(known, r->name);
	if (was != NULL && was->len == r->raw.len && memcmp(was->record, r->raw.p, was->len) == 0)
		return SERVICES_OK;
	STAT_INC(ROUTED_SERVICE_VERIFIED);
	return record_verify(r) == 0 ? SERVICES_OK : SERVICES_E_SIGNATURE;
}

static enum services_error
keep(struct service_set *set, const struct record *r)
{
	struct service s = { .class = r->class, .serial = r->serial, .not_before = r->not_before,
	    .not_after = r->not_after, .len = r->raw.len, .due = true };
	enum services_error e;

	memcpy(s.name, r->name, sizeof(s.name));
	memcpy(s.key, r->subject, sizeof(s.key));
	if ((s.record = malloc(s.len)) == NULL)
		return SERVICES_E_MEMORY;
	memcpy(s.record, r->raw.p, s.len);
	if ((e = insert(set, &s)) != SERVICES_OK)
		free(s.record);
	return e;
}

/* `wall' 0: also what is not valid now. */
static enum services_error
parse(struct service_set *set, struct frame_bytes b, const uint8_t *node_id, const struct service_set *known,
    uint64_t wall)
{
	enum services_error e = SERVICES_OK;
	struct record r;
	size_t n = 0;

	memset(set, 0, sizeof(*set));
	for (; b.len > 0 && e == SERVICES_OK; b.p += r.raw.len, b.len -= r.raw.len) {
		if (record_decode_first(&r, b.p, b.len) != RECORD_OK)
			e = SERVICES_E_FORM;
		else if (++n > NODE_SERVICES_MAX)
			e = SERVICES_E_MANY;
		else if ((e = judge(&r, node_id, known)) != SERVICES_OK)
			continue;
		else if (wall == 0 || valid_now(&r, wall))
			e = keep(set, &r);
		else
			STAT_INC(ROUTED_SERVICE_EXPIRED);
		if (e == SERVICES_E_FORM)
			break;
	}
	if (e != SERVICES_OK)
		service_set_free(set);
	return e;
}

enum services_error
services_parse(struct service_set *set, struct frame_bytes b, const uint8_t *node_id, const struct service_set *known)
{
	return parse(set, b, node_id, known, 0);
}

/* --- one node's set instead of another -------------------------------------------------------------------- */

static void
gone_add(struct service_board *b, const uint8_t *node_id, const char *name)
{
	struct service_gone *g;

	if (b->ngone == b->gone_size) {
		size_t size = b->gone_size == 0 ? 16 : b->gone_size * 2;

		/* Without memory an adapter keeps a record that nobody answers for, until it expires. */
		if ((g = reallocarray(b->gone, size, sizeof(*g))) == NULL)
			return;
		b->gone = g;
		b->gone_size = size;
	}
	g = &b->gone[b->ngone++];
	memcpy(g->node_id, node_id, NODE_ID_LEN);
	strcpy(g->name, name);
	b->changed = true;
}

/* Takes *now over. What the adapters know of the old one stays known of the new. True when they differ. */
static bool
replace(struct service_board *b, const uint8_t *node_id, struct service_set *old, struct service_set *now)
{
	bool differs = old->n != now->n;

	for (size_t i = 0; i < old->n; i++) {
		struct service *was = &old->v[i], *is = find(now, was->name);

		if (is == NULL) {
			differs = true;
			if (was->told)
				gone_add(b, node_id, was->name);
			continue;
		}
		is->told = was->told;
		if (is->len == was->len && memcmp(is->record, was->record, is->len) == 0)
			is->due = was->due;
		else
			differs = true;
	}
	service_set_free(old);
	*old = *now;
	b->changed |= differs;
	return differs;
}

int
services_own(struct directory *d, const struct pm_records *m, uint64_t wall)
{
	struct service_board *b = &d->board;
	struct service_set now;
	uint8_t *copy;

	if (parse(&now, m->records, m->node_id, &b->own, wall) != SERVICES_OK)
		return -1;
	if ((copy = malloc(m->records.len + 1)) == NULL) {
		service_set_free(&now);
		return -1;
	}
	if (m->records.len > 0)
		memcpy(copy, m->records.p, m->records.len);
	free(b->own_records);
	b->own_records = copy;
	b->own_len = m->records.len;
	memcpy(b->own_id, m->node_id, NODE_ID_LEN);
	replace(b, b->own_id, &b->own, &now);
	b->own_version++;
	b->announce = true;
	STAT_SET(ROUTED_SERVICES_OWN, b->own.n);
	return 0;
}

static void
count(struct directory *d, const struct service_set *before, const struct service_set *after)
{
	d->board.n = d->board.n - before->n + after->n;
	STAT_SET(ROUTED_SERVICES_OTHERS, d->board.n);
}

static void
peer_set(struct directory *d, struct peer *p, struct service_set *now)
{
	count(d, &p->services, now);
	if (!replace(&d->board, p->node_id, &p->services, now))
		return;
	p->services_dirty = true;
	p->dirty = PEER_DIRTY;
}

void
services_drop(struct directory *d, struct peer *p)
{
	struct service_set none = { 0 };

	peer_set(d, p, &none);
}

/* Room for `n` more, at the cost of nodes that are not there. */
static bool
make_room(struct directory *d, size_t n, const struct peer *not)
{
	while (d->board.n + n > SERVICES_MAX) {
		struct peer *oldest = NULL;

		for (size_t i = 0; i < d->npeers; i++) {
			struct peer *p = d->peers[i];

			if (p != not && p->services.n > 0 && !p->session.up &&
			    (oldest == NULL || p->last_seen < oldest->last_seen))
				oldest = p;
		}
		if (oldest == NULL)
			return false;
		STAT_ADD(ROUTED_SERVICES_EVICTED, oldest->services.n);
		services_drop(d, oldest);
	}
	return true;
}

enum services_error
services_take(struct directory *d, const struct pm_records *m, uint64_t wall)
{
	struct peer *p = directory_find(d, m->node_id);
	struct service_set now;
	enum services_error e;

	/* There was no room for the node itself, or its session is over: it will say it again in the next. */
	if (p == NULL || !p->session.up)
		return SERVICES_E_NODE;
	if ((e = parse(&now, m->records, m->node_id, &p->services, wall)) != SERVICES_OK)
		return e;
	if (now.n > p->services.n && !make_room(d, now.n - p->services.n, p)) {
		service_set_free(&now);
		return SERVICES_E_MANY;
	}
	peer_set(d, p, &now);
	return SERVICES_OK;
}

/* The adapters may know it from the routed before this one, and have to hear when it is not any more. */
int
services_load(struct directory *d, struct peer *p, const uint8_t *record, size_t len, uint64_t wall)
{
	static const struct service_set none;
	struct service_set one = { 0 };
	enum services_error e;

	if (d->board.n == SERVICES_MAX ||
	    parse(&one, (struct frame_bytes){ record, len }, p->node_id, &none, wall) != SERVICES_OK || one.n != 1) {
		service_set_free(&one);
		return -1;
	}
	one.v->told = true;
	if ((e = insert(&p->services, one.v)) != SERVICES_OK)
		service_clear(one.v);
	free(one.v);
	if (e != SERVICES_OK)
		return -1;
	d->board.changed = true;
	d->board.n++;
	STAT_SET(ROUTED_SERVICES_OTHERS, d->board.n);
	return 0;
}

/* --- known nodes, which may be far -------------------------------------------------------------------------- */

void
services_known_replace(struct directory *d, struct known *k, struct service_set *now)
{
	replace(&d->board, k->node_id, &k->services, now);
}

void
services_known_gone(struct directory *d, struct known *k)
{
	for (size_t i = 0; i < k->services.n; i++) {
		if (k->services.v[i].told)
			gone_add(&d->board, k->node_id, k->services.v[i].name);
		k->services.v[i].told = false;
	}
}

/* The directory's node tells the adapters from now on: what they heard of it is known to be told. */
static void
hand_over(struct known *k, struct service_set *now)
{
	for (size_t i = 0; i < now->n; i++) {
		const struct service *was = find(&k->services, now->v[i].name);

		now->v[i].told |= was != NULL && was->told;
		if (was != NULL && was->told)	/* the very same record */
			now->v[i].due = was->due;
	}
	for (size_t i = 0; i < k->services.n; i++)
		k->services.v[i].told = false;
}

/*
 * Whether the peer itself told of something that the node record of `serial' cannot speak of yet. Both numbers are of that
 * node's clock; of the same second, what came over its session counts, until the next record.
 */
static bool
told_since(const struct peer *p, uint64_t serial)
{
	for (size_t i = 0; i < p->services.n; i++)
		if (p->services.v[i].serial >= serial)
			return true;
	return false;
}

void
services_known_adopt(struct directory *d, struct known *k)
{
	static uint8_t buf[PM_RECORDS_MAX];
	struct peer *p = directory_find(d, k->node_id);
	struct dirmsg_item item;
	struct service_set now;
	struct record r;

	if (p == NULL || (p->session.up && p->services.n > 0))
		return;
	if (!p->session.up && record_decode(&r, k->membership.p, k->membership.len) == RECORD_OK)
		directory_member(p, &r);
	if (told_since(p, k->serial))
		return;
	known_item(k, true, &item, buf);
	if (services_parse(&now, item.services, k->node_id, &k->services) != SERVICES_OK)
		return;
	if (now.n > p->services.n && !make_room(d, now.n - p->services.n, p)) {
		service_set_free(&now);
		return;
	}
	hand_over(k, &now);
	peer_set(d, p, &now);
	d->board.changed = true;
}

/* --- time -------------------------------------------------------------------------------------------------- */

/* True when some went. */
static bool
expire(struct service_board *b, const uint8_t *node_id, struct service_set *set, uint64_t wall)
{
	size_t n = 0, was = set->n;

	for (size_t i = 0; i < was; i++) {
		struct service *s = &set->v[i];

		if (wall < s->not_after) {
			set->v[n++] = *s;
			continue;
		}
		if (s->told)
			gone_add(b, node_id, s->name);
		service_clear(s);
		STAT_INC(ROUTED_SERVICE_EXPIRED);
	}
	set->n = n;
	return n < was;
}

void
services_expire(struct directory *d, uint64_t wall)
{
	for (size_t i = 0; i < d->npeers; i++) {
		struct peer *p = d->peers[i];
		size_t before = p->services.n;

		if (!expire(&d->board, p->node_id, &p->services, wall))
			continue;
		d->board.n -= before - p->services.n;
		p->services_dirty = true;
		p->dirty = PEER_DIRTY;
	}
	expire(&d->board, d->board.own_id, &d->board.own, wall);
	STAT_SET(ROUTED_SERVICES_OTHERS, d->board.n);
	STAT_SET(ROUTED_SERVICES_OWN, d->board.own.n);
}

/* --- telling ------------------------------------------------------------------------------------------------ */

bool
service_allowed_to(uint32_t roles, const struct service *s)
{
	for (size_t i = 0; i < sizeof(for_all) / sizeof(for_all[0]); i++)
		if (strcmp(s->name, for_all[i]) == 0)
			return true;
	return (roles & 1u << ROLE_SERVICE_HOST) != 0;
}

bool
service_allowed(const struct peer *p, const struct service *s)
{
	return service_allowed_to(p->member.roles, s);
}

static void
set_again(struct service_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		set->v[i].due = true;
}

static bool
known_again(struct known *k, void *arg)
{
	(void)arg;
	set_again(&k->services);
	return true;
}

void
services_again(struct directory *d)
{
	for (size_t i = 0; i < d->npeers; i++)
		set_again(&d->peers[i]->services);
	if (d->knowns != NULL)
		knowns_each(d->knowns, known_again, NULL);
	set_again(&d->board.own);
	d->board.changed = true;
}

static int
send_del(struct ipc *ipc, const uint8_t *node_id, const char *name)
{
	struct procmsg m = { .type = PM_SERVICE_DEL };

	memcpy(m.service_del.node_id, node_id, NODE_ID_LEN);
	strcpy(m.service_del.name, name);
	return procmsg_send(ipc, &m, -1);
}

/* Who serves it. */
struct server {
	const uint8_t	*node_id;
	uint32_t	 roles;
	bool		 foreign;	/* of another tenant */
};

static int
send_service(struct ipc *ipc, const struct server *who, const struct service *s)
{
	struct procmsg m = { .type = PM_SERVICE };

	memcpy(m.service.node_id, who->node_id, NODE_ID_LEN);
	memcpy(m.service.name, s->name, sizeof(m.service.name));
	m.service.foreign = who->foreign;
	m.service.record = (struct frame_bytes){ s->record, s->len };
	return procmsg_send(ipc, &m, -1);
}

static int
sync_gone(struct service_board *b, struct ipc *ipc)
{
	size_t sent = 0;

	if (b->ngone == 0)
		return 0;
	while (sent < b->ngone && send_del(ipc, b->gone[sent].node_id, b->gone[sent].name) == 0)
		sent++;
	memmove(b->gone, b->gone + sent, (b->ngone - sent) * sizeof(*b->gone));
	b->ngone -= sent;
	return b->ngone == 0 ? 0 : -1;
}

/* 0, 1 when *budget is used up, or -1. */
static int
sync_set(struct ipc *ipc, const struct server *who, struct service_set *set, unsigned *budget)
{
	for (size_t i = 0; i < set->n; i++) {
		struct service *s = &set->v[i];
		bool allowed = service_allowed_to(who->roles, s);

		if (allowed ? s->told && !s->due : !s->told)
			continue;
		if (*budget == 0)
			return 1;
		--*budget;
		if ((allowed ? send_service(ipc, who, s) : send_del(ipc, who->node_id, s->name)) == -1)
			return -1;
		s->told = allowed;
		s->due = false;
	}
	return 0;
}

struct far {
	struct directory *d;
	struct ipc *ipc;
	unsigned *budget;
	int	 rv;
};

/* What the directory holds as a node of its own is told as that's. */
static bool
sync_far(struct known *k, void *arg)
{
	const struct server who = { k->node_id, k->member.roles, k->foreign };
	struct far *f = arg;

	if (!k->self && k->services.n > 0 && directory_find(f->d, k->node_id) == NULL)
		f->rv = sync_set(f->ipc, &who, &k->services, f->budget);
	return f->rv == 0;
}

static int
sync_peer(const struct directory *d, struct ipc *ipc, struct peer *p, unsigned *budget)
{
	const struct server who = { p->node_id, p->member.roles,
	    d->knowns != NULL && strcmp(p->member.tenant, knowns_tenants(d->knowns)->own) != 0 };

	return sync_set(ipc, &who, &p->services, budget);
}

static int
sync_adapters(struct directory *d, struct ipc *ipc)
{
	struct service_board *b = &d->board;
	const struct server own = { b->own_id, UINT32_MAX, false };
	unsigned budget = SERVICES_BATCH;
	int rv;

	if (!b->changed)
		return 0;
	if ((rv = sync_gone(b, ipc)) == 0)
		rv = sync_set(ipc, &own, &b->own, &budget);
	for (size_t i = 0; i < d->npeers && rv == 0; i++)
		rv = sync_peer(d, ipc, d->peers[i], &budget);
	if (rv == 0 && d->knowns != NULL) {
		struct far f = { d, ipc, &budget, 0 };

		knowns_each(d->knowns, sync_far, &f);
		rv = f.rv;
	}
	if (rv == 0)
		b->changed = false;
	return rv;
}

/* 0, 1 when it is too early for one of them, -1. */
static int
sync_peers(struct directory *d, struct ipc *ipc, uint64_t now_ns)
{
	struct service_board *b = &d->board;
	struct procmsg m = { .type = PM_RECORDS };
	bool early = false;

	if (!b->announce || b->own_version == 0)
		return 0;
	m.records.records = (struct frame_bytes){ b->own_records, b->own_len };
	for (size_t i = 0; i < d->npeers; i++) {
		struct peer_session *s = &d->peers[i]->session;

		if (!s->up || s->announced == b->own_version)
			continue;
		if (!ratelimit_take(&s->announces, now_ns)) {
			early = true;
			continue;
		}
		memcpy(m.records.node_id, d->peers[i]->node_id, NODE_ID_LEN);
		if (procmsg_send(ipc, &m, -1) == -1)
			return -1;
		s->announced = b->own_version;
		STAT_INC(ROUTED_SERVICES_ANNOUNCED);
	}
	b->announce = early;
	return 0;
}

int
services_sync(struct directory *d, struct ipc *ipc, uint64_t now_ns)
{
	int rv = sync_peers(d, ipc, now_ns);

	if (rv == 0)
		rv = sync_adapters(d, ipc);
	ipc_flush(ipc);
	return rv;
}
