#include "fabricd/system.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <linux/if_arp.h>
#include <net/route.h>

#include "fabric/facts.h"
#include "fabricd/fabricd.h"

#define LINE_LEN	256

static const struct timeval period = { 60, 0 };

struct sysinfo {
	struct fabricd	*d;
	struct event	*timer;
	struct pm_system last;
};

/* The first line of root/dir/name/file, without its end. False: there is none. */
static bool
line_of(char out[LINE_LEN], const char *root, const char *dir, const char *name, const char *file)
{
	char path[PATH_MAX];
	bool read;
	FILE *f;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s/%s/%s", root, dir, name, file) >= sizeof(path) ||
	    (f = fopen(path, "re")) == NULL)
		return false;
	read = fgets(out, LINE_LEN, f) != NULL;
	fclose(f);
	if (read)
		out[strcspn(out, "\n")] = '\0';
	return read;
}

static bool
line_is(const char *root, const char *dir, const char *name, const char *file, const char *word)
{
	char line[LINE_LEN];

	return line_of(line, root, dir, name, file) && strcmp(line, word) == 0;
}

/* --- battery --- */

#define POWER "sys/class/power_supply"

struct batteries {
	unsigned n, percent;	/* sum of them all */
	bool	 discharging, charging;
};

/* One of the machine's own: a mouse has a battery too, of scope Device. */
static void
battery_add(struct batteries *b, const char *root, const char *name)
{
	char line[LINE_LEN];
	unsigned long v;

	if (!line_is(root, POWER, name, "type", "Battery") || line_is(root, POWER, name, "scope", "Device") ||
	    !line_of(line, root, POWER, name, "capacity"))
		return;
	v = strtoul(line, NULL, 10);
	b->n++;
	b->percent += v > 100 ? 100 : (unsigned)v;
	b->discharging |= line_is(root, POWER, name, "status", "Discharging");
	b->charging |= line_is(root, POWER, name, "status", "Charging");
}

/* Several count alike. One that discharges while another is charged is how a machine with two uses up the first. */
static void
battery_read(struct pm_system *s, const char *root)
{
	struct batteries b = { .n = 0 };
	const struct dirent *e;
	char path[PATH_MAX];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", root, POWER);
	if ((dir = opendir(path)) == NULL)
		return;
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			battery_add(&b, root, e->d_name);
	closedir(dir);
	s->charging = b.charging;
	s->on_battery = b.discharging && !b.charging;
	if (s->charging || s->on_battery)
		s->battery = (uint8_t)(b.percent / b.n);
}

/* --- network --- */

#define NET "sys/class/net"

static bool
net_has(const char *root, const char *ifname, const char *what)
{
	char path[PATH_MAX];
	struct stat st;

	return (size_t)snprintf(path, sizeof(path), "%s/%s/%s/%s", root, NET, ifname, what) < sizeof(path) &&
	    stat(path, &st) == 0;
}

/* DEVTYPE of its uevent is this word. */
static bool
net_devtype(const char *root, const char *ifname, const char *word)
{
	char path[PATH_MAX], line[LINE_LEN];
	bool is = false;
	FILE *f;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s/%s/uevent", root, NET, ifname) >= sizeof(path) ||
	    (f = fopen(path, "re")) == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		is |= strncmp(line, "DEVTYPE=", 8) == 0 && strcmp(line + 8, word) == 0;
	}
	fclose(f);
	return is;
}

static unsigned
net_type(const char *root, const char *ifname)
{
	char line[LINE_LEN];
	unsigned long type = 0;

	if (net_has(root, ifname, "wireless") || net_has(root, ifname, "phy80211") || net_devtype(root, ifname, "wlan"))
		return NET_WIFI;
	if (line_of(line, root, NET, ifname, "type"))
		type = strtoul(line, NULL, 10);
	if (net_devtype(root, ifname, "wwan") || type == ARPHRD_PPP || type == ARPHRD_RAWIP)
		return NET_MOBILE;
	return type == ARPHRD_ETHER ? NET_WIRED : NET_UNKNOWN;
}

struct default_route {
	char	 ifname[IFNAMSIZ];	/* "": none yet */
	uint32_t metric;
};

/* The lowest metric counts, of equal ones the first. A tunnel, our own TUN too, goes over some other interface. */
static void
route_take(struct default_route *best, const char *root, const char *ifname, uint32_t metric)
{
	if (strcmp(ifname, "lo") == 0 || net_has(root, ifname, "tun_flags") ||
	    (best->ifname[0] != '\0' && metric >= best->metric))
		return;
	snprintf(best->ifname, sizeof(best->ifname), "%s", ifname);
	best->metric = metric;
}

static void
routes4(struct default_route *best, const char *root)
{
	char path[PATH_MAX], line[LINE_LEN], ifname[IFNAMSIZ];
	unsigned dest, gateway, flags, refs, use, metric, mask;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/net/route", root);
	if ((f = fopen(path, "re")) == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%15s %x %x %x %u %u %u %x", ifname, &dest, &gateway, &flags, &refs, &use, &metric,
		    &mask) == 8 && dest == 0 && mask == 0 && flags & RTF_UP && !(flags & RTF_REJECT))
			route_take(best, root, ifname, metric);
	fclose(f);
}

static void
routes6(struct default_route *best, const char *root)
{
	char path[PATH_MAX], line[LINE_LEN], ifname[IFNAMSIZ], dest[33];
	unsigned bits, metric, flags;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/net/ipv6_route", root);
	if ((f = fopen(path, "re")) == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%32s %x %*s %*s %*s %x %*s %*s %x %15s", dest, &bits, &metric, &flags, ifname) == 5 &&
		    bits == 0 && strspn(dest, "0") == 32 && flags & RTF_UP && !(flags & RTF_REJECT))
			route_take(best, root, ifname, metric);
	fclose(f);
}

static void
net_read(struct pm_system *s, const char *root)
{
	struct default_route best = { .ifname = "" };

	routes4(&best, root);
	if (best.ifname[0] == '\0')
		routes6(&best, root);
	s->net = (uint8_t)(best.ifname[0] == '\0' ? NET_UNKNOWN : net_type(root, best.ifname));
}

void
system_read(struct pm_system *s, const char *root)
{
	memset(s, 0, sizeof(*s));
	battery_read(s, root);
	net_read(s, root);
}

/* --- telling routed --- */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	system_update(arg);
}

struct sysinfo *
system_new(struct fabricd *d)
{
	struct sysinfo *si = calloc(1, sizeof(*si));

	if (si == NULL || (si->timer = event_new(d->base, -1, EV_PERSIST, on_timer, si)) == NULL ||
	    event_add(si->timer, &period) == -1) {
		log_warn("battery and network are not watched");
		system_free(si);
		return NULL;
	}
	si->d = d;
	system_read(&si->last, "");
	return si;
}

void
system_free(struct sysinfo *si)
{
	if (si == NULL)
		return;
	if (si->timer != NULL)
		event_free(si->timer);
	free(si);
}

static bool
same(const struct pm_system *a, const struct pm_system *b)
{
	return a->on_battery == b->on_battery && a->charging == b->charging && a->battery == b->battery && a->net == b->net;
}

void
system_update(struct sysinfo *si)
{
	struct pm_system now;

	if (si == NULL)
		return;
	system_read(&now, "");
	if (same(&now, &si->last))
		return;
	si->last = now;
	log_debug("system net=%s battery=%u on_battery=%d charging=%d", net_type_name(now.net), now.battery, now.on_battery,
	    now.charging);
	system_send(si);
}

void
system_send(struct sysinfo *si)
{
	struct procmsg m = { .type = PM_SYSTEM };
	struct child *routed;

	if (si == NULL)
		return;
	routed = &si->d->child[WORKER_ROUTED];
	m.system = si->last;
	if (routed->state == CHILD_RUNNING)
		child_send(routed, &m, -1);
}
