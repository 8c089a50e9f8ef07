#include "fabricd/confsend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabricd/fabricd.h"

struct item {
	struct procmsg	m;
	int		fd;	/* borrowed from the setup */
};

struct confsend {
	struct item	*items;
	size_t		 n, next, size;
	bool		 failed;
};

void
confsend_free(struct confsend *s)
{
	if (s == NULL)
		return;
	free(s->items);
	free(s);
}

static struct procmsg *
add(struct confsend *cs, enum procmsg_type type, int fd)
{
	static struct procmsg spill;
	struct item *more;

	if (cs->n == cs->size) {
		cs->size = cs->size == 0 ? 32 : cs->size * 2;
		if ((more = realloc(cs->items, cs->size * sizeof(*more))) == NULL) {
			cs->failed = true;
			cs->size = cs->n;
			return &spill;
		}
		cs->items = more;
	}
	memset(&cs->items[cs->n], 0, sizeof(cs->items[cs->n]));
	cs->items[cs->n].m.type = type;
	cs->items[cs->n].fd = fd;
	return &cs->items[cs->n++].m;
}

static void
add_node(struct confsend *cs, const struct setup *s)
{
	struct pm_conf_node *n = &add(cs, PM_CONF_NODE, -1)->conf_node;

	strcpy(n->name, s->conf->name);
	strcpy(n->tenant, s->keys->membership.tenant);
	memcpy(n->node_id, s->keys->node_id, sizeof(n->node_id));
	memcpy(n->authority, s->keys->authority, sizeof(n->authority));
}

static void
add_peer(struct confsend *cs, const struct conf_peer *p, unsigned what)
{
	struct pm_conf_peer *peer = &add(cs, PM_CONF_PEER, -1)->conf_peer;

	memcpy(peer->node_id, p->id, NODE_ID_LEN);
	strcpy(peer->name, p->name);
	for (unsigned i = 0; what & CONFIG_ADDRS && i < p->naddrs; i++) {
		struct pm_conf_peer_addr *a = &add(cs, PM_CONF_PEER_ADDR, -1)->conf_peer_addr;

		memcpy(a->node_id, p->id, NODE_ID_LEN);
		a->addr = p->addrs[i];
	}
	for (unsigned i = 0; what & CONFIG_PREFIXES && i < p->nprefixes; i++) {
		struct pm_conf_peer_prefix *a = &add(cs, PM_CONF_PEER_PREFIX, -1)->conf_peer_prefix;

		memcpy(a->node_id, p->id, NODE_ID_LEN);
		a->prefix = p->prefixes[i];
	}
}

static void
add_socket(struct confsend *cs, unsigned purpose, const struct pm_addr *addr, int fd)
{
	struct pm_conf_socket *s = &add(cs, PM_CONF_SOCKET, fd)->conf_socket;

	s->purpose = (uint8_t)purpose;
	s->addr = *addr;
}

static void
add_vpn(struct confsend *cs, const struct setup *s)
{
	struct procmsg *m;

	if (!s->conf->vpn.configured)
		return;
	/* What the authority gave this node lies behind it: packets for that are to be taken. */
	for (unsigned i = 0; i < s->keys->membership.nprefixes; i++) {
		struct pm_conf_peer_prefix *own = &add(cs, PM_CONF_PEER_PREFIX, -1)->conf_peer_prefix;

		memcpy(own->node_id, s->keys->node_id, NODE_ID_LEN);
		own->prefix = s->keys->membership.prefixes[i];
	}
	add(cs, PM_CONF_VPN, -1)->conf_vpn = s->vpn;
	m = add(cs, PM_CONF_TUN, s->tun.fd);
	m->conf_tun.vnet_hdr = s->tun.vnet_hdr;
	m->conf_tun.offload = s->tun.offload;
}

static void
add_routing(struct confsend *cs, const struct conf *c)
{
	add(cs, PM_CONF_ROUTING, -1)->conf_routing = c->routing;
	for (unsigned i = 0; i < SCORE_PARTS; i++) {
		struct pm_conf_weight *w = &add(cs, PM_CONF_WEIGHT, -1)->conf_weight;

		w->part = (uint8_t)i;
		w->weight = c->score.w[i];
	}
}

static void
add_all(struct confsend *cs, const struct setup *s, unsigned what, uint64_t version)
{
	const struct conf *c = s->conf;
	const struct conf_peer *p;

	add(cs, PM_CONF_BEGIN, -1)->conf_begin.version = version;
	add_node(cs, s);
	if (what & CONFIG_PEERS)
		TAILQ_FOREACH(p, &c->peers, entry)
			add_peer(cs, p, what);
	if (what & CONFIG_SESSION)
		add(cs, PM_CONF_SESSION, -1)->conf_session = c->session;
	for (unsigned i = 0; what & CONFIG_LISTEN && i < c->nlisten; i++)
		add_socket(cs, SOCKET_FABRIC_UDP, &s->listen_addr[i], s->listen_fd[i]);
	if (what & CONFIG_VPN)
		add_vpn(cs, s);
	if (what & CONFIG_ROUTING)
		add_routing(cs, c);
	for (unsigned i = 0; what & CONFIG_SERVICES && i < c->nservices; i++)
		add(cs, PM_CONF_SERVICE, -1)->conf_service = c->services[i];
	for (unsigned i = 0; what & CONFIG_FORWARDS && i < c->nforwards; i++)
		add(cs, PM_CONF_LISTEN, s->forward_fd[i])->conf_listen = c->forwards[i].to;
	for (unsigned i = 0; what & CONFIG_METRICS && i < c->nmetrics; i++)
		add_socket(cs, SOCKET_METRICS, &c->metrics[i], s->metrics_fd[i]);
	add(cs, PM_CONF_END, -1);
}

void
confsend_start(struct child *c, const struct setup *s, uint64_t version)
{
	struct confsend *cs = calloc(1, sizeof(*cs));

	confsend_free(c->confsend);
	c->confsend = cs;
	if (cs != NULL)
		add_all(cs, s, worker_table[c->kind].config, version);
	if (cs == NULL || cs->failed) {
		child_kill(c, "its configuration does not fit in memory");
		return;
	}
	confsend_continue(c);
}

void
confsend_continue(struct child *c)
{
	struct confsend *cs = c->confsend;

	if (cs == NULL)
		return;
	for (; cs->next < cs->n; cs->next++) {
		if (procmsg_send(c->ctl, &cs->items[cs->next].m, cs->items[cs->next].fd) == 0)
			continue;
		if (errno == EAGAIN)
			return;		/* dispatch_ops.writable comes back here */
		log_warn("worker=%s %s", worker_name(c->kind), procmsg_name(cs->items[cs->next].m.type));
		child_kill(c, "its configuration cannot be sent");
		return;
	}
	ipc_flush(c->ctl);
	confsend_free(cs);
	c->confsend = NULL;
	c->verdict_due = true;
}
