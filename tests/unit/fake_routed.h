/* What the suites of routed share: a routed in a directory of its own, and the dataplane's view of what it was told. */
#ifndef TESTS_FAKE_ROUTED_H
#define TESTS_FAKE_ROUTED_H

#include "fake_worker.h"
#include "suite.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "routed/routed.h"
#include "routed/targets.h"

static struct fake fk;
static char dir[] = "/tmp/check_directory.XXXXXX";

/* What is said of routes and to neighbours' routed has suites of its own. */
static inline bool
of_routes(const struct frame *f)
{
	return f->type < FT_PROC_FIRST || f->type == PM_BIND || f->type == PM_DELEGATE || f->type >= PM_SIGNED;
}

static inline void
setup(void)
{
	fake_skip = of_routes;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	fake_start(&fk, &routed_ops);
}

static inline void
teardown(void)
{
	char command[64];

	fake_stop(&fk);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static inline struct routed *
routed(void)
{
	return fk.worker.state;
}

static inline struct procmsg
conf_addr(uint8_t n, struct pm_addr addr)
{
	struct procmsg m = { .type = PM_CONF_PEER_ADDR, .conf_peer_addr.addr = addr };

	fake_id(m.conf_peer_addr.node_id, n);
	return m;
}

static inline struct procmsg
conf_prefix(uint8_t n, uint8_t third)
{
	struct procmsg m = { .type = PM_CONF_PEER_PREFIX,
	    .conf_peer_prefix.prefix = { .family = 4, .len = 24, .addr = { 10, 0, third, 0 } } };

	fake_id(m.conf_peer_prefix.node_id, n);
	return m;
}

static inline struct procmsg
dial_failed(uint8_t n, struct pm_addr addr, uint64_t reason)
{
	struct procmsg m = { .type = PM_DIAL_FAILED, .dial_failed = { .addr = addr, .reason = reason } };

	fake_id(m.dial_failed.node_id, n);
	return m;
}

static inline struct procmsg
peer_down(uint8_t n, uint64_t reason)
{
	struct procmsg m = { .type = PM_PEER_DOWN, .peer_down.reason = reason };

	fake_id(m.peer_down.node_id, n);
	return m;
}

/* Peers 1 (two addresses) and 2 (none). */
static inline void
configure_two(void)
{
	const struct procmsg items[] = { fake_conf_node(), fake_conf_peer(1, "home-1"), conf_addr(1, fake_addr(1, 4433)),
	    conf_addr(1, fake_addr(2, 4433)), conf_prefix(1, 7), fake_conf_peer(2, "phone-a") };

	ck_assert(fake_configure(&fk, items, 6));
}

static inline struct peer *
peer(uint8_t n)
{
	uint8_t id[NODE_ID_LEN];

	fake_id(id, n);
	return directory_find(routed()->dir, id);
}

/* What the dataplane has been told, as it would keep it. */
static struct {
	bool known, dial;
	size_t n;
	struct pm_addr addrs[32];
} told[256];
static unsigned messages;

static inline void
hear(void)
{
	struct procmsg m;

	messages = 0;
	fake_run(&fk);
	while (fake_message(&fk, &fk.dataplane, &m, 0)) {
		messages++;
		if (m.type == PM_TARGET) {
			told[m.target.node_id[0]].known = true;
			told[m.target.node_id[0]].dial = m.target.dial;
			told[m.target.node_id[0]].n = 0;
		} else if (m.type == PM_TARGET_ADDR) {
			uint8_t n = m.target_addr.node_id[0];

			ck_assert(told[n].known);
			ck_assert_uint_lt(told[n].n, 32);
			told[n].addrs[told[n].n++] = m.target_addr.addr;
		} else {
			ck_assert_int_eq(m.type, PM_TARGET_DEL);
			ck_assert(told[m.target_del.node_id[0]].known);
			memset(&told[m.target_del.node_id[0]], 0, sizeof(told[0]));
		}
	}
}

static inline void
new_port(void)
{
	memset(told, 0, sizeof(told));
	fake_port(&fk);
	hear();
}

static inline bool
has_addr(uint8_t n, struct pm_addr addr)
{
	unsigned found = 0;

	for (size_t i = 0; i < told[n].n; i++)
		found += peer_addr_equal(&told[n].addrs[i], &addr);
	ck_assert_uint_le(found, 1);
	return found == 1;
}

static inline void
bring_up(void)
{
	struct procmsg up = fake_peer_up(1, "home-1", fake_addr(1, 4433)), stat = fake_peer_stat(1, 1000, 100, 0, 0);

	configure_two();
	new_port();
	fake_tell(&fk, &up);
	fake_tell(&fk, &stat);
	ck_assert_int_eq(peer_state(routed()->dir, peer(1), clock_ns()), PEER_STATE_UP);
}

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

static inline int
run_suite(const char *name, void (*add_tests)(TCase *))
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create("routed");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	add_tests(tc);
	suite_add_tcase(s, tc);
	return suite_run(s);
}

#endif
