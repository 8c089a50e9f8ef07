/* What the supervisor reads of the machine, from trees of files as Linux shows them. */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fabric/facts.h"
#include "fabricd/system.h"
#include "suite.h"

static char root[] = "/tmp/check_system.XXXXXX";

/* root/PATH with this text; the directories are made. */
static void
put(const char *path, const char *text)
{
	char whole[PATH_MAX];
	FILE *f;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	for (char *p = strchr(whole + strlen(root) + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(whole, 0755);
		*p = '/';
	}
	f = fopen(whole, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void
setup(void)
{
	strcpy(root + strlen(root) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void
teardown(void)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0);
}

static struct pm_system
read_it(void)
{
	struct pm_system s;

	memset(&s, 0xff, sizeof(s));
	system_read(&s, root);
	return s;
}

static void
is(const char *what, bool on_battery, bool charging, unsigned battery, unsigned net)
{
	struct pm_system s = read_it();

	ck_assert_msg(s.on_battery == on_battery && s.charging == charging && s.battery == battery && s.net == net,
	    "%s: on_battery=%d charging=%d battery=%u net=%s", what, s.on_battery, s.charging, s.battery,
	    net_type_name(s.net));
}

START_TEST(nothing)
{
	is("no files at all", false, false, 0, NET_UNKNOWN);
	put("sys/class/power_supply/AC/type", "Mains\n");
	put("proc/net/route", "");
	is("none of either", false, false, 0, NET_UNKNOWN);
}
END_TEST

static void
battery(const char *name, const char *status, const char *capacity)
{
	char path[128];

	snprintf(path, sizeof(path), "sys/class/power_supply/%s/type", name);
	put(path, "Battery\n");
	snprintf(path, sizeof(path), "sys/class/power_supply/%s/status", name);
	put(path, status);
	snprintf(path, sizeof(path), "sys/class/power_supply/%s/capacity", name);
	put(path, capacity);
}

START_TEST(one_battery)
{
	battery("BAT0", "Discharging\n", "63\n");
	is("discharging", true, false, 63, NET_UNKNOWN);
	battery("BAT0", "Charging\n", "64\n");
	is("charging", false, true, 64, NET_UNKNOWN);
	battery("BAT0", "Full\n", "100\n");
	is("full: how full is no matter", false, false, 0, NET_UNKNOWN);
	battery("BAT0", "Not charging\n", "80\n");
	is("on mains, held at 80", false, false, 0, NET_UNKNOWN);
	battery("BAT0", "Discharging\n", "104\n");
	is("more than full", true, false, 100, NET_UNKNOWN);
	battery("BAT0", "Discharging\n", "junk\n");
	is("no number", true, false, 0, NET_UNKNOWN);
	battery("BAT0", "Discharging", "9");
	is("lines without an end", true, false, 9, NET_UNKNOWN);
}
END_TEST

START_TEST(more_batteries)
{
	battery("BAT0", "Discharging\n", "20\n");
	battery("BAT1", "Not charging\n", "90\n");
	is("one after the other", true, false, 55, NET_UNKNOWN);
	battery("BAT1", "Charging\n", "90\n");
	is("mains is there", false, true, 55, NET_UNKNOWN);
	battery("mouse", "Discharging\n", "1\n");
	put("sys/class/power_supply/mouse/scope", "Device\n");
	is("a mouse does not count", false, true, 55, NET_UNKNOWN);
	put("sys/class/power_supply/BAT2/type", "Battery\n");
	is("nor one without a capacity", false, true, 55, NET_UNKNOWN);
}
END_TEST

#define ROUTES4 "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define TO_LAN(ifname) ifname "\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
#define DEFAULT4(ifname, metric) ifname "\t00000000\t0100A8C0\t0003\t0\t0\t" metric "\t00000000\t0\t0\t0\n"
#define HALF4(ifname) ifname "\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n"
#define DOWN4(ifname) ifname "\t00000000\t0100A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n"
#define ZERO "00000000000000000000000000000000"
#define ROUTE6(dest, bits, metric, flags, ifname) dest " " bits " " ZERO " 00 " ZERO " " metric " 00000002 00000000 " flags \
	" " ifname "\n"

static void
interfaces(void)
{
	put("sys/class/net/eth0/type", "1\n");
	put("sys/class/net/wlan0/type", "1\n");
	put("sys/class/net/wlan0/wireless/status", "");
	put("sys/class/net/wlp2/type", "1\n");
	put("sys/class/net/wlp2/uevent", "INTERFACE=wlp2\nDEVTYPE=wlan\nIFINDEX=3\n");
	put("sys/class/net/wwan0/type", "1\n");
	put("sys/class/net/wwan0/uevent", "DEVTYPE=wwan\nINTERFACE=wwan0\n");
	put("sys/class/net/ppp0/type", "512\n");
	put("sys/class/net/rmnet0/type", "519\n");
	put("sys/class/net/tun7/type", "65534\n");
	put("sys/class/net/tun7/tun_flags", "0x1\n");
	put("sys/class/net/wg0/type", "65534\n");
}

static const struct {
	const char *what, *routes4, *routes6;
	unsigned    net;
} routes[] = {
	{ "no default", ROUTES4 TO_LAN("eth0"), "", NET_UNKNOWN },
	{ "wired", ROUTES4 TO_LAN("wlan0") DEFAULT4("eth0", "100"), "", NET_WIRED },
	{ "wifi, by its directory", ROUTES4 DEFAULT4("wlan0", "600"), "", NET_WIFI },
	{ "wifi, by its uevent", ROUTES4 DEFAULT4("wlp2", "600"), "", NET_WIFI },
	{ "mobile, by its uevent", ROUTES4 DEFAULT4("wwan0", "700"), "", NET_MOBILE },
	{ "mobile: ppp", ROUTES4 DEFAULT4("ppp0", "0"), "", NET_MOBILE },
	{ "mobile: raw IP", ROUTES4 DEFAULT4("rmnet0", "0"), "", NET_MOBILE },
	{ "another kind", ROUTES4 DEFAULT4("wg0", "0"), "", NET_UNKNOWN },
	{ "one that has no files", ROUTES4 DEFAULT4("gone0", "0"), "", NET_UNKNOWN },
	{ "the least metric", ROUTES4 DEFAULT4("wlan0", "600") DEFAULT4("eth0", "100") DEFAULT4("wwan0", "700"), "", NET_WIRED },
	{ "of equal ones the first", ROUTES4 DEFAULT4("wlan0", "0") DEFAULT4("eth0", "0"), "", NET_WIFI },
	{ "not through a TUN", ROUTES4 DEFAULT4("tun7", "0") DEFAULT4("wwan0", "700"), "", NET_MOBILE },
	{ "half of it is no default", ROUTES4 HALF4("eth0") DEFAULT4("wlan0", "600"), "", NET_WIFI },
	{ "one that is not up", ROUTES4 DOWN4("eth0") DEFAULT4("wlan0", "600"), "", NET_WIFI },
	{ "IPv6 alone", ROUTES4, ROUTE6(ZERO, "40", "00000001", "00000001", "eth0")
	    ROUTE6(ZERO, "00", "ffffffff", "00200200", "lo") ROUTE6(ZERO, "00", "00000400", "00000003", "wlan0")
	    ROUTE6(ZERO, "00", "00000064", "00000003", "wwan0"), NET_MOBILE },
	{ "IPv6 to somewhere", ROUTES4, ROUTE6("fd" "000000000000000000000000000000", "00", "00000001", "00000003", "eth0"),
	    NET_UNKNOWN },
	{ "IPv6 unreachable", ROUTES4, ROUTE6(ZERO, "00", "00000400", "00000201", "eth0"), NET_UNKNOWN },
	{ "IPv4 before IPv6", ROUTES4 DEFAULT4("wlan0", "600"), ROUTE6(ZERO, "00", "00000001", "00000003", "eth0"), NET_WIFI },
	{ "junk", "junk\n\neth0\n", "junk\n", NET_UNKNOWN },
};

START_TEST(networks)
{
	interfaces();
	put("proc/net/route", routes[_i].routes4);
	put("proc/net/ipv6_route", routes[_i].routes6);
	is(routes[_i].what, false, false, 0, routes[_i].net);
}
END_TEST

/* Whatever this machine has, it is read, and fits a message. */
START_TEST(this_machine)
{
	struct pm_system s;

	system_read(&s, "");
	ck_assert_uint_lt(s.net, NET_COUNT);
	ck_assert_uint_le(s.battery, 100);
	ck_assert(!s.on_battery || !s.charging);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("system");
	TCase *tc = tcase_create("system");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing);
	tcase_add_test(tc, one_battery);
	tcase_add_test(tc, more_batteries);
	tcase_add_loop_test(tc, networks, 0, (int)(sizeof(routes) / sizeof(routes[0])));
	tcase_add_test(tc, this_machine);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
