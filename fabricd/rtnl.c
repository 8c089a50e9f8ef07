#include "fabricd/rtnl.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct request {
	struct nlmsghdr hdr;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg	 route;
		char		 space[256];
	} u;
};

static int
ioctl_if(unsigned long what, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rv, saved;

	if (fd == -1)
		return -1;
	rv = ioctl(fd, what, ifr);
	saved = errno;
	close(fd);
	errno = saved;
	return rv;
}

unsigned
rtnl_ifindex(const char *ifname)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	strncpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name) - 1);
	return ioctl_if(SIOCGIFINDEX, &ifr) == -1 ? 0 : (unsigned)ifr.ifr_ifindex;
}

bool
rtnl_is_up(unsigned ifindex)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_ifindex = (int)ifindex;
	return ioctl_if(SIOCGIFNAME, &ifr) == 0 && ioctl_if(SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & IFF_UP) != 0;
}

static void
begin(struct request *r, unsigned type, unsigned flags, size_t body)
{
	memset(r, 0, sizeof(*r));
	r->hdr.nlmsg_type = (uint16_t)type;
	r->hdr.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	r->hdr.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
}

static struct rtattr *
put(struct request *r, unsigned type, const void *value, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->hdr.nlmsg_len));

	a->rta_type = (uint16_t)type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len > 0)
		memcpy(RTA_DATA(a), value, len);
	r->hdr.nlmsg_len = (uint32_t)(NLMSG_ALIGN(r->hdr.nlmsg_len) + RTA_ALIGN(a->rta_len));
	return a;
}

static void
put_u32(struct request *r, unsigned type, uint32_t value)
{
	put(r, type, &value, sizeof(value));
}

static void
close_nest(struct request *r, struct rtattr *a)
{
	a->rta_len = (uint16_t)((char *)r + r->hdr.nlmsg_len - (char *)a);
}

/* Sends and waits for the kernel's word, which comes at once. */
static int
transact(struct request *r)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct { struct nlmsghdr hdr; struct nlmsgerr err; char rest[1024]; } answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n = -1;

	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) == 0 &&
	    send(fd, r, r->hdr.nlmsg_len, 0) == (ssize_t)r->hdr.nlmsg_len)
		n = recv(fd, &answer, sizeof(answer), 0);
	if (n != -1)
		errno = n >= (ssize_t)NLMSG_LENGTH(sizeof(answer.err)) && answer.hdr.nlmsg_type == NLMSG_ERROR ?
		    -answer.err.error : EBADMSG;
	n = errno;
	close(fd);
	errno = (int)n;
	return errno == 0 ? 0 : -1;
}

int
rtnl_link(unsigned ifindex, unsigned mtu, unsigned txqlen, unsigned gso_max)
{
	uint8_t none = IN6_ADDR_GEN_MODE_NONE;
	struct rtattr *spec, *inet6;
	struct request r;

	begin(&r, RTM_NEWLINK, 0, sizeof(r.u.link));
	r.u.link.ifi_index = (int)ifindex;
	spec = put(&r, IFLA_AF_SPEC, NULL, 0);
	inet6 = put(&r, AF_INET6, NULL, 0);
	put(&r, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof(none));
	close_nest(&r, inet6);
	close_nest(&r, spec);
	/* A kernel without IPv6 refuses this, which then does no harm either. */
	transact(&r);

	begin(&r, RTM_NEWLINK, 0, sizeof(r.u.link));
	r.u.link.ifi_index = (int)ifindex;
	r.u.link.ifi_flags = r.u.link.ifi_change = IFF_UP;
	put_u32(&r, IFLA_MTU, mtu);
	put_u32(&r, IFLA_TXQLEN, txqlen);
	put_u32(&r, IFLA_GSO_MAX_SIZE, gso_max);
	return transact(&r);
}

static int
forgive(int rv, int harmless)
{
	return rv == -1 && errno == harmless ? 0 : rv;
}

int
rtnl_address(unsigned ifindex, const struct record_prefix *p, bool add)
{
	size_t len = p->family == 4 ? 4 : 16;
	struct request r;

	begin(&r, add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(r.u.addr));
	r.u.addr.ifa_family = p->family == 4 ? AF_INET : AF_INET6;
	r.u.addr.ifa_prefixlen = p->len;
	r.u.addr.ifa_flags = p->family == 4 ? 0 : IFA_F_NODAD;	/* nobody else has this one */
	r.u.addr.ifa_index = ifindex;
	put(&r, IFA_LOCAL, p->addr, len);
	put(&r, IFA_ADDRESS, p->addr, len);
	return forgive(transact(&r), add ? EEXIST : EADDRNOTAVAIL);
}

int
rtnl_route(unsigned ifindex, const struct record_prefix *p, bool add)
{
	struct request r;

	begin(&r, add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE : 0, sizeof(r.u.route));
	r.u.route.rtm_family = p->family == 4 ? AF_INET : AF_INET6;
	r.u.route.rtm_dst_len = p->len;
	r.u.route.rtm_table = RT_TABLE_MAIN;
	r.u.route.rtm_protocol = RTNL_PROTO;
	r.u.route.rtm_scope = p->family == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	r.u.route.rtm_type = RTN_UNICAST;
	put(&r, RTA_DST, p->addr, p->family == 4 ? 4 : 16);
	put_u32(&r, RTA_OIF, ifindex);
	return forgive(transact(&r), add ? EEXIST : ESRCH);
}
