#include "routed/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct routed_conf *
routed_conf_new(void)
{
	struct routed_conf *conf = calloc(1, sizeof(*conf));

	if (conf == NULL)
		return NULL;
	conf->dead_ms = DEAD_MS_DEFAULT;
	score_weights_default(&conf->weights);
	return conf;
}

void
routed_conf_free(struct routed_conf *conf)
{
	if (conf == NULL)
		return;
	free(conf->peers);
	free(conf);
}

static int __attribute__((format(printf, 2, 3)))
bad(char *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, PM_TEXT_MAX + 1, fmt, ap);
	va_end(ap);
	return -1;
}

/* Items of a peer follow it, so the last one is looked at first. */
static struct routed_conf_peer *
find(struct routed_conf *conf, const uint8_t *node_id)
{
	for (size_t i = conf->npeers; i-- > 0;)
		if (memcmp(conf->peers[i].node_id, node_id, NODE_ID_LEN) == 0)
			return &conf->peers[i];
	return NULL;
}

static int
add_peer(struct routed_conf *conf, const struct pm_conf_peer *m, char *err)
{
	struct routed_conf_peer *peers, *p;

	if (conf->npeers == DIRECTORY_PEERS_MAX)
		return bad(err, "more than %d peers", DIRECTORY_PEERS_MAX);
	if (conf->npeers == conf->size) {
		size_t size = conf->size == 0 ? 16 : conf->size * 2;

		peers = reallocarray(conf->peers, size, sizeof(*peers));
		if (peers == NULL)
			return bad(err, "no memory for peers");
		conf->peers = peers;
		conf->size = size;
	}
	p = &conf->peers[conf->npeers++];
	memset(p, 0, sizeof(*p));
	memcpy(p->node_id, m->node_id, NODE_ID_LEN);
	memcpy(p->name, m->name, sizeof(p->name));
	return 0;
}

static int
add_addr(struct routed_conf *conf, const struct pm_conf_peer_addr *m, char *err)
{
	struct routed_conf_peer *p = find(conf, m->node_id);

	if (p == NULL)
		return bad(err, "an address for a peer that is not configured");
	for (size_t i = 0; i < p->naddrs; i++)
		if (peer_addr_equal(&p->addrs[i], &m->addr))
			return 0;
	if (p->naddrs == PEER_CONF_ADDRS_MAX)
		return bad(err, "peer %s: more than %d addresses", p->name, PEER_CONF_ADDRS_MAX);
	p->addrs[p->naddrs++] = m->addr;
	return 0;
}

static int
add_prefix(struct routed_conf *conf, const struct pm_conf_peer_prefix *m, char *err)
{
	struct routed_conf_peer *p = find(conf, m->node_id);

	if (p == NULL)
		return bad(err, "a prefix for a peer that is not configured");
	if (p->nprefixes == PEER_PREFIXES_MAX)
		return bad(err, "peer %s: more than %d prefixes", p->name, PEER_PREFIXES_MAX);
	p->prefixes[p->nprefixes++] = m->prefix;
	return 0;
}

static int
set_weight(struct routed_conf *conf, const struct pm_conf_weight *m, char *err)
{
	if (m->part >= SCORE_PARTS)
		return bad(err, "a weight for a part of the score that there is not");
	conf->weights.w[m->part] = m->weight;
	return 0;
}

int
routed_conf_item(struct routed_conf *conf, const struct procmsg *m, char *err)
{
	switch (m->type) {
	case PM_CONF_NODE:
		if (conf->have_node)
			return bad(err, "the node is given twice");
		conf->node = m->conf_node;
		conf->have_node = true;
		return 0;
	case PM_CONF_SESSION:
		conf->dead_ms = m->conf_session.dead_ms;
		return 0;
	case PM_CONF_ROUTING:
		conf->routing = m->conf_routing;
		return 0;
	case PM_CONF_WEIGHT:
		return set_weight(conf, &m->conf_weight, err);
	case PM_CONF_PEER:
		return add_peer(conf, &m->conf_peer, err);
	case PM_CONF_PEER_ADDR:
		return add_addr(conf, &m->conf_peer_addr, err);
	case PM_CONF_PEER_PREFIX:
		return add_prefix(conf, &m->conf_peer_prefix, err);
	default:
		return bad(err, "routed has no use for %s", procmsg_name(m->type));
	}
}

static int
by_node_id(const void *a, const void *b)
{
	const struct routed_conf_peer *x = a, *y = b;

	return memcmp(x->node_id, y->node_id, NODE_ID_LEN);
}

/* One list of peers may serve all nodes of a fabric, so a node may be among its own peers. */
static void
drop_self(struct routed_conf *conf)
{
	struct routed_conf_peer *self = find(conf, conf->node.node_id);

	if (self != NULL)
		*self = conf->peers[--conf->npeers];
}

int
routed_conf_check(struct routed_conf *conf, char *err)
{
	if (!conf->have_node)
		return bad(err, "the node is missing");
	drop_self(conf);
	if (conf->npeers > 0)
		qsort(conf->peers, conf->npeers, sizeof(*conf->peers), by_node_id);
	for (size_t i = 1; i < conf->npeers; i++) {
		const struct routed_conf_peer *p = &conf->peers[i];

		if (by_node_id(p - 1, p) == 0)
			return bad(err, "peers %s and %s have the same node id", p[-1].name, p->name);
	}
	return 0;
}
