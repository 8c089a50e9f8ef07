#include "svchostd/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"

void
nodes_free(struct nodes *ns)
{
	free(ns->list);
	memset(ns, 0, sizeof(*ns));
}

static struct node *
find(const struct nodes *ns, const uint8_t *node_id)
{
	for (size_t i = 0; i < ns->n; i++)
		if (memcmp(ns->list[i].node_id, node_id, NODE_ID_LEN) == 0)
			return &ns->list[i];
	return NULL;
}

const struct node *
nodes_find(const struct nodes *ns, const uint8_t *node_id)
{
	return find(ns, node_id);
}

static struct node *
add(struct nodes *ns, const uint8_t *node_id)
{
	struct node *n = find(ns, node_id);

	if (n != NULL || ns->n == NODES_MAX)
		return n;
	if (ns->n == ns->size) {
		size_t size = ns->size == 0 ? 16 : ns->size * 2;

		n = reallocarray(ns->list, size, sizeof(*n));
		if (n == NULL)
			return NULL;
		ns->list = n;
		ns->size = size;
	}
	n = &ns->list[ns->n++];
	memset(n, 0, sizeof(*n));
	memcpy(n->node_id, node_id, NODE_ID_LEN);
	return n;
}

/* Those that are neither configured nor connected are nobody. */
static void
sweep(struct nodes *ns)
{
	for (size_t i = ns->n; i-- > 0;)
		if (ns->list[i].conf_name[0] == '\0' && ns->list[i].proven_name[0] == '\0')
			ns->list[i] = ns->list[--ns->n];
}

int
nodes_configure(struct nodes *ns, const struct pm_conf_peer *m)
{
	struct node *n = add(ns, m->node_id);

	if (n == NULL)
		return -1;
	memcpy(n->conf_name, m->name, sizeof(n->conf_name));
	return 0;
}

int
nodes_up(struct nodes *ns, const struct pm_peer_up *m, const char *tenant)
{
	struct node *n = add(ns, m->node_id);

	if (n == NULL)
		return -1;
	memcpy(n->proven_name, m->name, sizeof(n->proven_name));
	n->foreign = strcmp(m->tenant, tenant) != 0;
	n->roles = m->roles;
	n->rtt_us = 0;
	return 0;
}

void
nodes_stat(struct nodes *ns, const struct pm_peer_stat *m)
{
	struct node *n = find(ns, m->node_id);

	if (n != NULL)
		n->rtt_us = m->rtt_us;
}

void
nodes_down(struct nodes *ns, const uint8_t *node_id)
{
	struct node *n = find(ns, node_id);

	if (n == NULL)
		return;
	n->proven_name[0] = '\0';
	sweep(ns);
}

void
nodes_all_down(struct nodes *ns)
{
	for (size_t i = 0; i < ns->n; i++)
		ns->list[i].proven_name[0] = '\0';
	sweep(ns);
}

void
nodes_reconfigure(struct nodes *ns, const struct nodes *conf)
{
	for (size_t i = 0; i < ns->n; i++)
		ns->list[i].conf_name[0] = '\0';
	sweep(ns);
	for (size_t i = 0; i < conf->n; i++) {
		struct node *n = add(ns, conf->list[i].node_id);

		if (n != NULL)
			memcpy(n->conf_name, conf->list[i].conf_name, sizeof(n->conf_name));
	}
}

static bool
has_conf_name(const struct node *n, const char *text)
{
	return n->conf_name[0] != '\0' && strcmp(n->conf_name, text) == 0;
}

static bool
has_proven_name(const struct node *n, const char *text)
{
	return n->proven_name[0] != '\0' && strcmp(n->proven_name, text) == 0;
}

static bool
has_own_name(const struct node *n, const char *text)
{
	return !n->foreign && has_proven_name(n, text);
}

static bool
has_id_prefix(const struct node *n, const char *text)
{
	char id[2 * NODE_ID_LEN + 1];
	size_t len = strlen(text);

	hex_encode(id, n->node_id, NODE_ID_LEN);
	return len >= NODE_PREFIX_MIN && strncasecmp(id, text, len) == 0;
}

/* How many match; `found` is one of them. */
static size_t
count(const struct nodes *ns, const char *text, bool (*match)(const struct node *, const char *),
    const struct node **found)
{
	size_t n = 0;

	for (size_t i = 0; i < ns->n; i++) {
		if (match(&ns->list[i], text)) {
			*found = &ns->list[i];
			n++;
		}
	}
	return n;
}

int
nodes_resolve(const struct nodes *ns, const char *text, uint8_t node_id[NODE_ID_LEN], char *err)
{
	static bool (*const matches[])(const struct node *, const char *) = {
		has_conf_name, has_own_name, has_proven_name, has_id_prefix
	};
	const struct node *found;

	for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
		size_t n = count(ns, text, matches[i], &found);

		if (n == 1) {
			memcpy(node_id, found->node_id, NODE_ID_LEN);
			return 0;
		}
		if (n > 1) {
			snprintf(err, PM_TEXT_MAX + 1, "%.64s: means more than one node", text);
			return -1;
		}
	}
	/* A whole id needs nobody's knowledge. */
	if (strlen(text) == 2 * NODE_ID_LEN && hex_decode(node_id, NODE_ID_LEN, text) == 0)
		return 0;
	snprintf(err, PM_TEXT_MAX + 1, "%.64s: no such node", text);
	return -1;
}
