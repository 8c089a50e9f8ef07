#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vpnd/vpnd.h"

void
vpn_conf_free(struct vpn_conf *c)
{
	if (c == NULL)
		return;
	if (c->tun_fd != -1)
		close(c->tun_fd);
	free(c->peers);
	free(c->prefixes);
	free(c);
}

void
vpn_conf_begin(struct worker *w)
{
	struct vpnd *v = w->state;

	vpn_conf_free(v->next);
	v->next = calloc(1, sizeof(*v->next));
	if (v->next == NULL)
		fatal("configuration");
	v->next->tun_fd = -1;
}

static int
bad(struct worker *w, const char *why)
{
	snprintf(w->conf_error, sizeof(w->conf_error), "%s", why);
	return -1;
}

/* Room for one more than `n`: the list doubles each time that it is full. NULL when there is no memory. */
static void *
one_more(void *list, size_t n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return list;
	return reallocarray(list, n == 0 ? 1 : 2 * n, size);
}

static int
add_peer(struct worker *w, struct vpn_conf *c, const struct pm_conf_peer *peer)
{
	struct pm_conf_peer *p;

	if (c->npeers >= VPN_PEERS_MAX)
		return bad(w, "too many peers");
	p = one_more(c->peers, c->npeers, sizeof(*p));
	if (p == NULL)
		return bad(w, "out of memory");
	c->peers = p;
	p[c->npeers++] = *peer;
	return 0;
}

static int
add_prefix(struct worker *w, struct vpn_conf *c, const struct pm_conf_peer_prefix *prefix)
{
	struct vpn_conf_prefix *p;

	if (c->nprefixes >= VPN_PREFIXES_MAX)
		return bad(w, "too many prefixes");
	p = one_more(c->prefixes, c->nprefixes, sizeof(*p));
	if (p == NULL)
		return bad(w, "out of memory");
	c->prefixes = p;
	memcpy(p[c->nprefixes].node_id, prefix->node_id, NODE_ID_LEN);
	p[c->nprefixes++].prefix = prefix->prefix;
	return 0;
}

static void
set_tun(struct vpn_conf *c, const struct pm_conf_tun *tun, int fd)
{
	if (c->tun_fd != -1)
		close(c->tun_fd);
	c->tun = *tun;
	c->tun_fd = fd;
}

int
vpn_conf_item(struct worker *w, const struct procmsg *m, int fd)
{
	struct vpn_conf *c = ((struct vpnd *)w->state)->next;
	int r = 0;

	if (m->type == PM_CONF_TUN && fd != -1) {
		set_tun(c, &m->conf_tun, fd);
		return 0;
	}
	switch (m->type) {
	case PM_CONF_NODE:
		c->node = m->conf_node;
		c->have_node = true;
		break;
	case PM_CONF_VPN:
		c->vpn = m->conf_vpn;
		c->have_vpn = true;
		break;
	case PM_CONF_PEER:
		r = add_peer(w, c, &m->conf_peer);
		break;
	case PM_CONF_PEER_PREFIX:
		r = add_prefix(w, c, &m->conf_peer_prefix);
		break;
	default:
		r = bad(w, "vpnd: an item that is not vpnd's");
		break;
	}
	if (fd != -1)
		close(fd);
	return r;
}

static bool
names_peer(const struct vpn_conf *c, const uint8_t *id)
{
	if (memcmp(c->node.node_id, id, NODE_ID_LEN) == 0)
		return true;	/* a prefix behind this node */
	for (size_t i = 0; i < c->npeers; i++)
		if (memcmp(c->peers[i].node_id, id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

static bool
same_prefix(const struct record_prefix *a, const struct record_prefix *b)
{
	return a->family == b->family && a->len == b->len && memcmp(a->addr, b->addr, a->family == 4 ? 4 : 16) == 0;
}

/* Two owners of one prefix in a configuration are a mistake; the same said twice is not. */
static int
check_conflicts(struct worker *w, const struct vpn_conf *c)
{
	struct lpm *t = lpm_new();
	uint32_t holder;
	int r = 0;

	if (t == NULL)
		return bad(w, "out of memory");
	for (uint32_t i = 0; i < c->nprefixes && r == 0; i++) {
		const struct vpn_conf_prefix *p = &c->prefixes[i];

		switch (lpm_insert(t, &p->prefix, i, &holder)) {
		case -1:
			r = bad(w, "vpnd: a prefix that is none");
			break;
		case 1:
			if (memcmp(c->prefixes[holder].node_id, p->node_id, NODE_ID_LEN) != 0 &&
			    same_prefix(&c->prefixes[holder].prefix, &p->prefix))
				r = bad(w, "a prefix is given to two peers");
			break;
		}
	}
	lpm_free(t);
	return r;
}

int
vpn_conf_check(struct worker *w)
{
	const struct vpn_conf *c = ((struct vpnd *)w->state)->next;

	if (!c->have_node)
		return bad(w, "vpnd: no node");
	if (c->tun_fd != -1 && !c->have_vpn)
		return bad(w, "vpnd: a TUN without a vpn");
	if (c->have_vpn && c->vpn.mtu < 576)
		return bad(w, "vpn: the mtu is below 576");
	if (c->have_vpn && c->vpn.addr6.family != 0 && c->vpn.mtu < IP_MTU_MIN6)
		return bad(w, "vpn: IPv6 needs an mtu of 1280");
	for (size_t i = 0; i < c->nprefixes; i++)
		if (!names_peer(c, c->prefixes[i].node_id))
			return bad(w, "a prefix of a peer that is not there");
	return check_conflicts(w, c);
}

void
vpn_conf_abort(struct worker *w)
{
	struct vpnd *v = w->state;

	vpn_conf_free(v->next);
	v->next = NULL;
}
