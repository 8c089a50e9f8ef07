#include "fabricd/netwatch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabricd/fabricd.h"
#include "fabricd/system.h"

#define GROUPS (RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)

/* An interface that comes up brings a dozen messages; a dataplane that redials early finds no route. */
static const struct timeval quiet = { 0, 200000 };

struct netwatch {
	struct fabricd	*d;
	int		 fd;
	unsigned	 ignore;
	struct event	*readable, *timer;
};

static unsigned
route_ifindex(const struct nlmsghdr *h)
{
	const struct rtmsg *r = NLMSG_DATA(h);
	int len = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*r));
	unsigned ifindex = 0;

	for (const struct rtattr *a = RTM_RTA(r); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof(ifindex))
			memcpy(&ifindex, RTA_DATA(a), sizeof(ifindex));
	return ifindex;
}

/* Whether a message says that the way to the peers may be another now. */
static bool
is_news(const struct netwatch *w, const struct nlmsghdr *h)
{
	const struct rtmsg *r = NLMSG_DATA(h);

	switch (h->nlmsg_type) {
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifaddrmsg)) &&
		    ((const struct ifaddrmsg *)NLMSG_DATA(h))->ifa_index != w->ignore;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifinfomsg)) &&
		    ((const struct ifinfomsg *)NLMSG_DATA(h))->ifi_index != (int)w->ignore;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		/* The kernel's own notes on single destinations come all the time. */
		return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*r)) && (r->rtm_flags & RTM_F_CLONED) == 0 &&
		    r->rtm_table != RT_TABLE_LOCAL && route_ifindex(h) != w->ignore;
	default:
		return false;
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct netwatch *w = arg;
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n;
	bool news = false;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < 16; i++) {
		n = recv(w->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == -1 && errno == ENOBUFS) {
			news = true;	/* so many that some are lost */
			continue;
		}
		if (n <= 0)
			break;
		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			news |= is_news(w, h);
	}
	if (news && !event_pending(w->timer, EV_TIMEOUT, NULL))
		event_add(w->timer, &quiet);
}

static void
on_quiet(evutil_socket_t fd, short what, void *arg)
{
	const struct procmsg m = { .type = PM_NET_CHANGED };
	struct netwatch *w = arg;
	struct child *c = &w->d->child[WORKER_DATAPLANE];

	(void)fd;
	(void)what;
	log_debug("local addresses or routes have changed");
	if (c->state == CHILD_RUNNING)
		child_send(c, &m, -1);
	system_update(w->d->sysinfo);
}

struct netwatch *
netwatch_new(struct fabricd *d)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK, .nl_groups = GROUPS };
	struct netwatch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->d = d;
	w->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (w->fd == -1 || bind(w->fd, (struct sockaddr *)&sa, sizeof(sa)) == -1) {
		log_warn("local addresses are not watched");
		goto fail;
	}
	w->readable = event_new(d->base, w->fd, EV_READ | EV_PERSIST, on_readable, w);
	w->timer = evtimer_new(d->base, on_quiet, w);
	if (w->readable == NULL || w->timer == NULL || event_add(w->readable, NULL) == -1)
		goto fail;
	return w;
fail:
	netwatch_free(w);
	return NULL;
}

void
netwatch_free(struct netwatch *w)
{
	if (w == NULL)
		return;
	if (w->readable != NULL)
		event_free(w->readable);
	if (w->timer != NULL)
		event_free(w->timer);
	if (w->fd != -1)
		close(w->fd);
	free(w);
}

void
netwatch_ignore(struct netwatch *w, unsigned ifindex)
{
	if (w != NULL)
		w->ignore = ifindex;
}
