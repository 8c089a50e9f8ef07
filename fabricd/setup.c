#include "fabricd/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/identity.h"
#include "fabricd/rtnl.h"
#include "fabricd/sockets.h"

#define TXQLEN 500	/* packets that wait for vpnd: what CoDel there cannot see */

/*
 * Bytes of a superpacket at most: as many segments as one UDP_SEGMENT send of the dataplane's carries, so that none
 * of its packets has to leave alone. A segment becomes a datagram of about WIRE_OVERHEAD bytes more; the kernel
 * keeps GSO_MARGIN (its MAX_TCP_HEADER) for headers when it fills one.
 */
static unsigned
gso_max(unsigned mtu)
{
	enum { WIRE_OVERHEAD = 52, INNER_HEADERS = 40, GSO_MARGIN = 330, UDP_GSO_BYTES = 65507, UDP_GSO_SEGMENTS = 64 };
	unsigned segments = UDP_GSO_BYTES / (mtu + WIRE_OVERHEAD);

	if (segments > UDP_GSO_SEGMENTS)
		segments = UDP_GSO_SEGMENTS;
	if (segments > 1)
		segments--;	/* IPv6's are shorter: one more would fit */
	return segments * (mtu - INNER_HEADERS) + GSO_MARGIN;
}

static int
find_user(struct setup *s, unsigned kind, char err[CONF_ERR_MAX])
{
	const struct conf_user *u = &s->conf->user[kind];
	const struct passwd *pw;

	s->user[kind].uid = u->uid;
	s->user[kind].gid = u->gid;
	if (!u->numeric) {
		if ((pw = getpwnam(u->name)) == NULL) {
			snprintf(err, CONF_ERR_MAX, "user \"%s\" of worker %s does not exist: \"make install\" makes it,"
			    " or say \"user %s\" and numeric ids in the configuration", u->name, worker_name(kind),
			    worker_name(kind));
			return -1;
		}
		s->user[kind].uid = pw->pw_uid;
		s->user[kind].gid = pw->pw_gid;
	}
	for (unsigned k = 0; k < kind; k++)
		if (s->user[k].uid == s->user[kind].uid) {
			snprintf(err, CONF_ERR_MAX, "workers %s and %s have the same user id %u", worker_name(k),
			    worker_name(kind), (unsigned)s->user[k].uid);
			return -1;
		}
	if (s->user[kind].uid != 0 && s->user[kind].gid != 0)
		return 0;
	snprintf(err, CONF_ERR_MAX, "worker %s may not be root", worker_name(kind));
	return -1;
}

static int
find_users(struct setup *s, char err[CONF_ERR_MAX])
{
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (find_user(s, k, err) == -1)
			return -1;
	return 0;
}

/* The index of an address in a list, or -1. Port 0 is found by its place, for there may be several. */
static int
find_addr(const struct pm_addr *list, unsigned n, const struct pm_addr *a, unsigned place)
{
	if (a->port == 0)
		return place < n && pm_addr_equal(&list[place], a) ? (int)place : -1;
	for (unsigned i = 0; i < n; i++)
		if (pm_addr_equal(&list[i], a))
			return (int)i;
	return -1;
}

static int
borrow(int fd, char err[CONF_ERR_MAX])
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy == -1)
		snprintf(err, CONF_ERR_MAX, "dup: %s", strerror(errno));
	return copy;
}

static int
open_listen(struct setup *s, unsigned i, const struct setup *running, char err[CONF_ERR_MAX])
{
	const struct pm_addr *a = &s->conf->listen[i];
	int o = running == NULL ? -1 : find_addr(running->conf->listen, running->conf->nlisten, a, i);

	if (o == -1) {
		s->listen_fd[i] = sockets_udp(a, s->conf->session.gso, &s->listen_addr[i], err);
	} else {
		s->listen_fd[i] = borrow(running->listen_fd[o], err);
		s->listen_addr[i] = running->listen_addr[o];
	}
	return s->listen_fd[i] == -1 ? -1 : 0;
}

static int
open_metrics(struct setup *s, unsigned i, const struct setup *running, char err[CONF_ERR_MAX])
{
	const struct pm_addr *a = &s->conf->metrics[i];
	int o = running == NULL ? -1 : find_addr(running->conf->metrics, running->conf->nmetrics, a, i);

	s->metrics_fd[i] = o == -1 ? sockets_tcp(a, "metrics listen", err) : borrow(running->metrics_fd[o], err);
	return s->metrics_fd[i] == -1 ? -1 : 0;
}

/* One address has one listener: whatever it led to, the socket stays, and with it who waits to be accepted. */
static int
open_forward(struct setup *s, unsigned i, const struct setup *running, char err[CONF_ERR_MAX])
{
	const struct pm_addr *a = &s->conf->forwards[i].to.addr;
	unsigned o = 0, n = running == NULL ? 0 : running->conf->nforwards;

	while (o < n && !pm_addr_equal(&running->conf->forwards[o].to.addr, a))
		o++;
	s->forward_fd[i] = o == n ? sockets_forward(a, err) : borrow(running->forward_fd[o], err);
	return s->forward_fd[i] == -1 ? -1 : 0;
}

static int
open_sockets(struct setup *s, const struct setup *running, char err[CONF_ERR_MAX])
{
	for (unsigned i = 0; i < s->conf->nlisten; i++)
		if (open_listen(s, i, running, err) == -1)
			return -1;
	for (unsigned i = 0; i < s->conf->nmetrics; i++)
		if (open_metrics(s, i, running, err) == -1)
			return -1;
	for (unsigned i = 0; i < s->conf->nforwards; i++)
		if (open_forward(s, i, running, err) == -1)
			return -1;
	return 0;
}

static bool
same_tun(const struct setup *running, const struct conf_vpn *v)
{
	const struct conf_vpn *o;

	if (running == NULL || running->tun.fd == -1)
		return false;
	o = &running->conf->vpn;
	return strcmp(o->ifname, v->ifname) == 0 && strcmp(o->tun_socket, v->tun_socket) == 0;
}

static int
open_tun(struct setup *s, const struct setup *running, bool root, char err[CONF_ERR_MAX])
{
	const struct conf_vpn *v = &s->conf->vpn;

	if (!v->configured)
		return 0;
	if (same_tun(running, v)) {
		s->tun = running->tun;
		s->tun.fd = borrow(running->tun.fd, err);
		return s->tun.fd == -1 ? -1 : 0;
	}
	if (v->tun_socket[0] != '\0')
		return tun_receive(&s->tun, v->tun_socket, err);
	if (root)
		return tun_open(&s->tun, v->ifname, err);
	snprintf(err, CONF_ERR_MAX, "vpn: without root (-U) the TUN has to come from a \"tun socket\"");
	return -1;
}

/* The node's IPv4 address where the configuration has none: the certificate's, when it leaves no choice. */
static void
certified_address(struct record_prefix *a, const struct record *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->nprefixes; i++) {
		if (m->prefixes[i].family != 4 || m->prefixes[i].len != 32)
			continue;
		*a = m->prefixes[i];
		n++;
	}
	if (n != 1)
		memset(a, 0, sizeof(*a));
}

static bool
certified(const struct record *m, const struct record_prefix *a)
{
	struct record_prefix host = *a;

	host.len = 32;
	for (unsigned i = 0; i < m->nprefixes; i++)
		if (prefix_covers(&m->prefixes[i], &host))
			return true;
	return false;
}

static int
make_vpn(struct setup *s, char err[CONF_ERR_MAX])
{
	const struct conf_vpn *v = &s->conf->vpn;
	struct record_prefix *a = &s->vpn.addr4;

	if (!v->configured)
		return 0;
	strcpy(s->vpn.ifname, v->ifname);
	s->vpn.mtu = v->mtu;
	*a = v->address;
	if (a->family == 0)
		certified_address(a, &s->keys->membership);
	else if (!certified(&s->keys->membership, a))
		log_warnx("vpn: the address is not among the certificate's prefixes: peers may refuse what comes from it");
	if (a->family != 0 && v->network.family != 0) {
		if (!prefix_covers(&v->network, a)) {
			snprintf(err, CONF_ERR_MAX, "vpn: the certificate's address is not in the configured network");
			return -1;
		}
		a->len = v->network.len;
	}
	s->vpn.addr6.family = 6;
	s->vpn.addr6.len = OVERLAY_PREFIX6_LEN;
	node_overlay_addr6(s->vpn.addr6.addr, s->keys->authority, s->keys->node_id);
	return 0;
}

/* A default route is the operator's to set: it would lead the sessions' own packets into the TUN. */
static bool
needs_route(const struct setup *s, const struct record_prefix *p)
{
	struct record_prefix own = p->family == 4 ? s->vpn.addr4 : s->vpn.addr6;

	if (p->len == 0)
		return false;
	prefix_mask(&own);
	return own.family == 0 || !prefix_covers(&own, p);
}

static int
make_routes(struct setup *s, char err[CONF_ERR_MAX])
{
	const struct conf_peer *p;
	size_t max = 0;

	if (!s->conf->vpn.configured || s->tun.ifindex == 0)
		return 0;
	TAILQ_FOREACH(p, &s->conf->peers, entry)
		max += p->nprefixes;
	if (max > 0 && (s->routes = calloc(max, sizeof(*s->routes))) == NULL) {
		snprintf(err, CONF_ERR_MAX, "out of memory");
		return -1;
	}
	TAILQ_FOREACH(p, &s->conf->peers, entry)
		for (unsigned i = 0; i < p->nprefixes; i++)
			if (needs_route(s, &p->prefixes[i]))
				s->routes[s->nroutes++] = p->prefixes[i];
	return 0;
}

struct setup *
setup_new(struct conf *conf, const struct setup *running, bool root, char err[CONF_ERR_MAX])
{
	struct setup *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		snprintf(err, CONF_ERR_MAX, "out of memory");
		conf_free(conf);
		return NULL;
	}
	s->conf = conf;
	s->tun.fd = -1;
	for (unsigned i = 0; i < CONF_LISTEN_MAX; i++)
		s->listen_fd[i] = s->metrics_fd[i] = -1;
	for (unsigned i = 0; i < CONF_FORWARDS_MAX; i++)
		s->forward_fd[i] = -1;
	if ((!root || find_users(s, err) == 0) && (s->keys = keys_load(conf, err)) != NULL &&
	    signed_load(&s->authorised, conf, s->keys->authority, err) == 0 &&
	    open_sockets(s, running, err) == 0 && make_vpn(s, err) == 0 && open_tun(s, running, root, err) == 0 &&
	    make_routes(s, err) == 0)
		return s;
	setup_free(s);
	return NULL;
}

void
setup_free(struct setup *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < CONF_LISTEN_MAX; i++) {
		if (s->listen_fd[i] != -1)
			close(s->listen_fd[i]);
		if (s->metrics_fd[i] != -1)
			close(s->metrics_fd[i]);
	}
	for (unsigned i = 0; i < CONF_FORWARDS_MAX; i++)
		if (s->forward_fd[i] != -1)
			close(s->forward_fd[i]);
	if (s->tun.fd != -1)
		close(s->tun.fd);
	signed_clear(&s->authorised);
	keys_free(s->keys);
	conf_free(s->conf);
	free(s->routes);
	free(s);
}

/* --- addresses and routes ------------------------------------------------------------------------- */

static bool
same_interface(const struct setup *a, const struct setup *b)
{
	return a != NULL && b != NULL && a->tun.ifindex != 0 && a->tun.ifindex == b->tun.ifindex;
}

static bool
has_address(const struct setup *s, const struct setup *of, const struct record_prefix *p)
{
	return same_interface(s, of) && prefix_equal(p->family == 4 ? &s->vpn.addr4 : &s->vpn.addr6, p);
}

static bool
has_route(const struct setup *s, const struct setup *of, const struct record_prefix *p)
{
	if (!same_interface(s, of))
		return false;
	for (size_t i = 0; i < s->nroutes; i++)
		if (prefix_equal(&s->routes[i], p))
			return true;
	return false;
}

/* Removes from s what `keep` has not. */
void
setup_retire(const struct setup *s, const struct setup *keep)
{
	const struct record_prefix *addrs[2] = { &s->vpn.addr4, &s->vpn.addr6 };

	if (s->tun.ifindex == 0)
		return;
	for (size_t i = 0; i < s->nroutes; i++)
		if (!has_route(keep, s, &s->routes[i]))
			rtnl_route(s->tun.ifindex, &s->routes[i], false);
	for (unsigned i = 0; i < 2; i++)
		if (addrs[i]->family != 0 && !has_address(keep, s, addrs[i]))
			rtnl_address(s->tun.ifindex, addrs[i], false);
}

/* A kernel without IPv6, or with it turned off, still carries IPv4. */
static bool
forgive_ipv6(const struct record_prefix *p)
{
	return p->family == 6 && (errno == EOPNOTSUPP || errno == EACCES || errno == EAFNOSUPPORT || errno == EPERM);
}

static int
add_addresses(const struct setup *s, const struct setup *old, char err[CONF_ERR_MAX])
{
	const struct record_prefix *addrs[2] = { &s->vpn.addr4, &s->vpn.addr6 };
	char text[CONF_ADDR_MAX];

	for (unsigned i = 0; i < 2; i++) {
		if (addrs[i]->family == 0 || has_address(old, s, addrs[i]) ||
		    rtnl_address(s->tun.ifindex, addrs[i], true) == 0)
			continue;
		if (forgive_ipv6(addrs[i])) {
			log_warn("interface %s has no IPv6", s->vpn.ifname);
			continue;
		}
		snprintf(err, CONF_ERR_MAX, "interface %s address %s: %s", s->vpn.ifname,
		    conf_prefix_str(text, addrs[i]), strerror(errno));
		return -1;
	}
	return 0;
}

static int
add_routes(const struct setup *s, const struct setup *old, char err[CONF_ERR_MAX])
{
	char text[CONF_ADDR_MAX];

	for (size_t i = 0; i < s->nroutes; i++) {
		if (has_route(old, s, &s->routes[i]) || rtnl_route(s->tun.ifindex, &s->routes[i], true) == 0 ||
		    forgive_ipv6(&s->routes[i]))
			continue;
		snprintf(err, CONF_ERR_MAX, "route to %s: %s", conf_prefix_str(text, &s->routes[i]), strerror(errno));
		return -1;
	}
	return 0;
}

static int
add_all(const struct setup *s, const struct setup *old, char err[CONF_ERR_MAX])
{
	if (rtnl_link(s->tun.ifindex, s->vpn.mtu, TXQLEN, gso_max(s->vpn.mtu)) == 0)
		return add_addresses(s, old, err) == -1 || add_routes(s, old, err) == -1 ? -1 : 0;
	snprintf(err, CONF_ERR_MAX, "interface %s: %s", s->vpn.ifname, strerror(errno));
	return -1;
}

int
setup_apply(const struct setup *s, const struct setup *old, char err[CONF_ERR_MAX])
{
	for (unsigned i = 0; i < s->conf->nlisten; i++)
		sockets_udp_gro(s->listen_fd[i], s->conf->session.gso);
	if (s->tun.ifindex == 0 || add_all(s, old, err) == 0)
		return 0;
	setup_retire(s, old);
	if (same_interface(s, old))
		rtnl_link(old->tun.ifindex, old->vpn.mtu, TXQLEN, gso_max(old->vpn.mtu));
	return -1;
}
