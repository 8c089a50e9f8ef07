#include "svchostd/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "wire/fields.h"
#include "wire/record.h"

#define BUCKETS 1024	/* a power of two */

struct name {
	LIST_ENTRY(name) bucket;
	struct e2e_service service;
	bool	foreign;	/* its node is of another tenant */
	bool	stale;		/* said on an earlier channel, and not again yet */
};
LIST_HEAD(bucket, name);

struct names {
	struct bucket	buckets[BUCKETS];	/* by the service's name: all who serve it are in one */
	size_t		n;
};

struct names *
names_new(void)
{
	return calloc(1, sizeof(struct names));
}

void
names_clear(struct names *ns)
{
	struct name *n;

	for (size_t i = 0; i < BUCKETS; i++)
		while ((n = LIST_FIRST(&ns->buckets[i])) != NULL) {
			LIST_REMOVE(n, bucket);
			free(n);
		}
	ns->n = 0;
}

void
names_stale(struct names *ns)
{
	struct name *n;

	for (size_t i = 0; i < BUCKETS; i++)
		LIST_FOREACH(n, &ns->buckets[i], bucket)
			n->stale = true;
}

void
names_sweep(struct names *ns)
{
	struct name *n, *next;

	for (size_t i = 0; i < BUCKETS; i++)
		for (n = LIST_FIRST(&ns->buckets[i]); n != NULL; n = next) {
			next = LIST_NEXT(n, bucket);
			if (!n->stale)
				continue;
			LIST_REMOVE(n, bucket);
			free(n);
			ns->n--;
		}
}

void
names_free(struct names *ns)
{
	if (ns == NULL)
		return;
	names_clear(ns);
	free(ns);
}

size_t
names_count(const struct names *ns)
{
	return ns->n;
}

/* FNV-1a. Who chooses names to meet in a bucket makes a list of NAMES_MAX at most, once a connection. */
static const struct bucket *
bucket_of(const struct names *ns, const char *service)
{
	uint32_t h = 2166136261u;

	for (; *service != '\0'; service++)
		h = (h ^ (uint8_t)*service) * 16777619u;
	return &ns->buckets[(h ^ h >> 16) % BUCKETS];
}

static struct name *
find(const struct names *ns, const uint8_t *node_id, const char *service)
{
	struct name *n;

	LIST_FOREACH(n, bucket_of(ns, service), bucket)
		if (memcmp(n->service.node_id, node_id, NODE_ID_LEN) == 0 && strcmp(n->service.name, service) == 0)
			return n;
	return NULL;
}

uint64_t
names_put(struct names *ns, const struct pm_service *m, uint64_t wall_s)
{
	struct e2e_service s;
	struct name *n;
	int reason = e2e_service_check(&s, m->record.p, m->record.len, wall_s);

	if (reason != REASON_NONE)
		return (uint64_t)reason;
	if (memcmp(s.node_id, m->node_id, NODE_ID_LEN) != 0)
		return REASON_AUTH_NODE;
	if ((n = find(ns, s.node_id, s.name)) == NULL) {
		if (ns->n >= NAMES_MAX)
			return REASON_LIMIT;
		if ((n = calloc(1, sizeof(*n))) == NULL)
			return REASON_INTERNAL;
		LIST_INSERT_HEAD((struct bucket *)(uintptr_t)bucket_of(ns, s.name), n, bucket);
		ns->n++;
	}
	n->service = s;
	n->foreign = m->foreign;
	n->stale = false;
	return REASON_NONE;
}

void
names_del(struct names *ns, const struct pm_service_del *m)
{
	struct name *n = find(ns, m->node_id, m->name);

	if (n == NULL)
		return;
	LIST_REMOVE(n, bucket);
	free(n);
	ns->n--;
}

bool
names_find(const struct names *ns, const uint8_t *node_id, const char *service, uint64_t wall_s, struct e2e_service *out)
{
	const struct name *n = find(ns, node_id, service);

	if (n == NULL || n->service.not_after <= wall_s)
		return false;
	*out = n->service;
	return true;
}

/* --- what a person means --- */

struct search {
	const struct nodes *nodes;
	const uint8_t	*self;
	char		 service[FRAME_SERVICE_MAX + 1];
	const uint8_t	*node_id;	/* only there; NULL: anywhere */
	uint64_t	 wall_s;
	const struct name *best;
	uint64_t	 best_rtt_us;
	const uint8_t	*away;		/* the first by id of those that serve it and are not up */
	unsigned	 known, own, unfit;
};

/* A round trip that was not measured yet is longer than any that was. */
static uint64_t
rtt_of(const struct node *node)
{
	return node->rtt_us == 0 ? UINT64_MAX : node->rtt_us;
}

static bool
better(const struct search *q, const struct name *n, uint64_t rtt_us)
{
	if (q->best == NULL || rtt_us != q->best_rtt_us)
		return q->best == NULL || rtt_us < q->best_rtt_us;
	return memcmp(n->service.node_id, q->best->service.node_id, NODE_ID_LEN) < 0;
}

static void
consider(struct search *q, const struct name *n)
{
	const struct node *node;

	if (strcmp(n->service.name, q->service) != 0 || n->service.not_after <= q->wall_s ||
	    (q->node_id != NULL ? memcmp(n->service.node_id, q->node_id, NODE_ID_LEN) != 0 : n->foreign))
		return;
	q->known++;
	if (memcmp(n->service.node_id, q->self, NODE_ID_LEN) == 0) {
		q->own++;
		return;
	}
	node = nodes_find(q->nodes, n->service.node_id);
	if (node == NULL || node->proven_name[0] == '\0') {
		if (q->away == NULL || memcmp(n->service.node_id, q->away, NODE_ID_LEN) < 0)
			q->away = n->service.node_id;
		return;
	}
	if ((node->roles & 1u << ROLE_SERVICE_HOST) == 0) {
		q->unfit++;
		return;
	}
	if (better(q, n, rtt_of(node))) {
		q->best = n;
		q->best_rtt_us = rtt_of(node);
	}
}

static bool
is_up(const struct search *q)
{
	const struct node *n = nodes_find(q->nodes, q->node_id);

	return n != NULL && n->proven_name[0] != '\0';
}

static void
fail(struct search *q, const char *node, uint64_t *reason, char *err)
{
	const char *at = node == NULL ? "" : "@", *name = node == NULL ? "" : node;

	/* A node that is named and not up may serve it, once its records are here. */
	if (q->known == 0 && q->node_id != NULL && memcmp(q->node_id, q->self, NODE_ID_LEN) != 0 && !is_up(q))
		q->away = q->node_id;
	*reason = q->known == 0 ? REASON_NO_SERVICE : q->unfit > 0 ? REASON_NOT_ALLOWED : REASON_UNREACHABLE;
	if (q->known == 0)
		snprintf(err, PM_TEXT_MAX + 1, "no service \"%.63s%s%.64s\" is known", q->service, at, name);
	else if (q->unfit > 0)
		snprintf(err, PM_TEXT_MAX + 1, "who serves \"%.63s%s%.64s\" has not the role service-host", q->service, at,
		    name);
	else if (q->own == q->known)
		snprintf(err, PM_TEXT_MAX + 1, "only this node itself serves \"%.63s\"", q->service);
	else
		snprintf(err, PM_TEXT_MAX + 1, "there is no session to a node that serves \"%.63s%s%.64s\"", q->service, at,
		    name);
}

/* The service's name, and in *node what follows the '@' or NULL. */
static int
split(struct search *q, const char *text, const char **node)
{
	const char *at = strchr(text, '@');
	size_t len = at == NULL ? strlen(text) : (size_t)(at - text);

	if (!text_name((const uint8_t *)text, len, FRAME_SERVICE_MAX, false))
		return -1;
	memcpy(q->service, text, len);
	q->service[len] = '\0';
	*node = at == NULL ? NULL : at + 1;
	return 0;
}

int
names_resolve(const struct names *ns, const struct nodes *nodes, const uint8_t self[NODE_ID_LEN], const char *text,
    uint64_t wall_s, struct e2e_service *out, uint64_t *reason, char *err)
{
	uint8_t away[NODE_ID_LEN];
	bool has_away;

	return names_resolve_or(ns, nodes, self, text, wall_s, out, away, &has_away, reason, err);
}

int
names_resolve_or(const struct names *ns, const struct nodes *nodes, const uint8_t self[NODE_ID_LEN], const char *text,
    uint64_t wall_s, struct e2e_service *out, uint8_t away[NODE_ID_LEN], bool *has_away, uint64_t *reason, char *err)
{
	struct search q = { .nodes = nodes, .self = self, .wall_s = wall_s };
	const struct name *n;
	uint8_t node_id[NODE_ID_LEN];
	const char *node;

	*has_away = false;
	*reason = REASON_NO_SERVICE;
	if (split(&q, text, &node) == -1) {
		snprintf(err, PM_TEXT_MAX + 1, "that names no service: SERVICE or SERVICE@NODE");
		return -1;
	}
	if (node != NULL) {
		if (nodes_resolve(nodes, node, node_id, err) == -1)
			return -1;
		q.node_id = node_id;
	}
	LIST_FOREACH(n, bucket_of(ns, q.service), bucket)
		consider(&q, n);
	if (q.best == NULL) {
		fail(&q, node, reason, err);
		if (q.away != NULL && *reason != REASON_NOT_ALLOWED) {
			memcpy(away, q.away, NODE_ID_LEN);
			*has_away = true;
		}
		return -1;
	}
	*out = q.best->service;
	*reason = REASON_NONE;
	return 0;
}
