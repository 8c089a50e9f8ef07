/* svchostd's adapter tcp: who may, what the supervisor is asked for, and what becomes of the target's answer. */
#include "hub_talk.h"
#include "suite.h"

#include "proc/worker.h"
#include "svchostd/tcp.h"

static struct worker worker;
static struct ipc *supervisor;
static struct tcp *tcp;
static struct tcp_conf conf;
static struct pm_connect asked[256];
static size_t nasked;

static int
on_asked(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct procmsg m;

	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(procmsg_decode(&m, f), 0);
	ck_assert_int_eq(m.type, PM_CONNECT);
	ck_assert_uint_lt(nasked, 256);
	asked[nasked++] = m.connect;
	return 0;
}

static const struct ipc_ops supervisor_ops = { .frame = on_asked, .closed = pair_closed };

static uint64_t
accepts(struct pair *p, struct pump *pump, const struct peer_identity *peer)
{
	return tcp_accept(pump, peer, tcp);
}

static void
gone(struct pump *pump)
{
	tcp_gone(pump, tcp);
}

static struct pm_conf_service
service(const char *name, uint32_t roles, const char *tenants, uint8_t class)
{
	struct pm_conf_service s = { .roles = roles, .class = class, .target = { .family = 4, .port = 22 } };

	snprintf(s.name, sizeof(s.name), "%s", name);
	snprintf(s.tenants, sizeof(s.tenants), "%s", tenants);
	return s;
}

static void
setup(void)
{
	int fds[2];

	pair_start(&pair, &pair_conf);
	memset(&worker, 0, sizeof(worker));
	nasked = 0;
	ck_assert_int_eq(ipc_pair(fds), 0);
	worker.base = pair.base;
	worker.ctl = ipc_new(pair.base, fds[0], &supervisor_ops, NULL);
	supervisor = ipc_new(pair.base, fds[1], &supervisor_ops, NULL);
	tcp = tcp_new(&worker);
	pair.accept = accepts;
	pair.gone = gone;
	conf = (struct tcp_conf){ .n = 5, .tenant = WORLD_TENANT, .services = {
	    service("ssh", 0, "", CLASS_INTERACTIVE),
	    service("phones", 1u << ROLE_MOBILE_EDGE, "", CLASS_INTERACTIVE),
	    service("hosts", 1u << ROLE_MOBILE_EDGE | 1u << ROLE_SERVICE_HOST, "", CLASS_INTERACTIVE),
	    service("family", 0, "other family", CLASS_INTERACTIVE),
	    service("bulk", 0, "", CLASS_BULK) } };
	tcp_configure(tcp, pair.side[1].hub, &conf);
}

static void
teardown(void)
{
	ck_assert_uint_eq(hub_streams(pair.side[0].hub), 0);
	ck_assert_uint_eq(hub_streams(pair.side[1].hub), 0);
	tcp_free(tcp);
	ipc_free(worker.ctl);
	ipc_free(supervisor);
	pair_stop(&pair);
}

/* The supervisor's answer to the i-th question. */
static int
answer(size_t i, int error, int fd)
{
	struct pm_connected m = { .id = asked[i].id, .error = (uint32_t)error };

	return tcp_connected(tcp, &m, fd);
}

static int
listener(struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*sin = (struct sockaddr_in){ .sin_family = AF_INET };
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)sin, len), 0);
	ck_assert_int_eq(listen(fd, 0), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)sin, &len), 0);
	return fd;
}

/* As the supervisor makes it: still connecting. */
static int
connecting(const struct sockaddr_in *sin)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	ck_assert(connect(fd, (const struct sockaddr *)sin, sizeof(*sin)) == 0 || errno == EINPROGRESS);
	return fd;
}

/* --- who may --- */

static const struct {
	uint32_t need;
	const char *tenants;
	uint32_t roles;
	const char *tenant;
	bool	 ok;
} access_rules[] = {
	{ 0, "", 0, "home", true },
	{ 0, "", 5, "home", true },
	{ 0, "", 5, "work", false },
	{ 4, "", 4, "home", true },
	{ 4, "", 12, "home", true },
	{ 4, "", 8, "home", false },
	{ 4, "", 0, "home", false },
	{ 6, "", 2, "home", true },
	{ 4, "", 4, "work", false },
	{ 0, "work", 0, "work", true },
	{ 0, "work", 0, "home", false },
	{ 0, "work", 0, "wor", false },
	{ 0, "work", 0, "works", false },
	{ 0, "home work", 0, "work", true },
	{ 0, "home work", 0, "home", true },
	{ 0, "home work", 0, "home work", false },
	{ 0, "home work", 0, "", false },
	{ 4, "home work", 4, "work", true },
	{ 4, "home work", 8, "work", false },
	{ 4, "home work", 4, "else", false },
};

START_TEST(allowed)
{
	struct pm_conf_service s = service("x", access_rules[_i].need, access_rules[_i].tenants, CLASS_BULK);

	ck_assert_int_eq(tcp_allowed(&s, access_rules[_i].roles, access_rules[_i].tenant, "home"), access_rules[_i].ok);
}
END_TEST

/* The node that asks is of role service-host and tenant acme. */
static const struct {
	const char *service;
	uint64_t reason;
	uint8_t	 class;
} refusals[] = {
	{ "phones", REASON_NOT_ALLOWED, CLASS_INTERACTIVE },
	{ "family", REASON_NOT_ALLOWED, CLASS_INTERACTIVE },
	{ "nothing", REASON_NO_SERVICE, CLASS_INTERACTIVE },
	{ "ss", REASON_NO_SERVICE, CLASS_INTERACTIVE },
	{ "sshd", REASON_NO_SERVICE, CLASS_INTERACTIVE },
	{ "bulk", REASON_NOT_ALLOWED, CLASS_INTERACTIVE },
	{ "ssh", REASON_NOT_ALLOWED, CLASS_CONTROL },
	{ "ssh", REASON_NONE, CLASS_INTERACTIVE },
	{ "ssh", REASON_NONE, CLASS_BULK },
	{ "hosts", REASON_NONE, CLASS_INTERACTIVE },
	{ "bulk", REASON_NONE, CLASS_BULK },
};

static void
talk_class(struct talk *t, const char *name, uint8_t class)
{
	struct e2e_service to = pair_service(&pair, name);
	uint64_t reason;
	int fds[2];

	memset(t, 0, sizeof(*t));
	to.class = class;
	tcp_pair(fds);
	t->client = (struct app){ .fd = fds[1], .salt = 7, .expect = 99 };
	t->server = (struct app){ .fd = -1, .salt = 99, .expect = 7 };
	t->pump = pump_open(pair.side[0].hub, &to, fds[0], &pump_ops, t, &reason);
	ck_assert_ptr_nonnull(t->pump);
}

START_TEST(refused)
{
	struct talk t;

	talk_class(&t, refusals[_i].service, refusals[_i].class);
	if (refusals[_i].reason != REASON_NONE) {
		expect_failed(&t, refusals[_i].reason);
		ck_assert_uint_eq(nasked, 0);
		ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_REFUSED_NOT_ALLOWED], refusals[_i].reason == REASON_NOT_ALLOWED);
		ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_REFUSED_NO_SERVICE], refusals[_i].reason == REASON_NO_SERVICE);
		return;
	}
	ck_assert(RUN_UNTIL(&pair, nasked == 1));
	ck_assert_str_eq(asked[0].service, refusals[_i].service);
	ck_assert_int_eq(answer(0, ECONNREFUSED, -1), 0);
	expect_failed(&t, REASON_TARGET_DOWN);
}
END_TEST

/* --- targets --- */

START_TEST(connected)
{
	struct sockaddr_in sin;
	struct talk t;
	int l = listener(&sin);

	talk_open(&t, "ssh");
	t.client.target = 300000;
	t.server.target = 200000;
	ck_assert(RUN_UNTIL(&pair, nasked == 1));
	ck_assert_int_eq(answer(0, 0, connecting(&sin)), 0);
	t.server.fd = accept(l, NULL, NULL);
	nonblock(t.server.fd);
	ck_assert(RUN_UNTIL(&pair, both_done(&t)));
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_whole(&t);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_TARGETS_CONNECTED], 1);
	ck_assert_uint_eq(pair.ngone, 0);
	talk_close(&t);
	close(l);
}
END_TEST

static const struct { int error; uint64_t reason; } errors[] = {
	{ ECONNREFUSED, REASON_TARGET_DOWN }, { ENETUNREACH, REASON_TARGET_DOWN }, { EHOSTUNREACH, REASON_TARGET_DOWN },
	{ ETIMEDOUT, REASON_TARGET_TIMEOUT }, { ENOENT, REASON_NO_SERVICE }, { EAGAIN, REASON_LIMIT }, { EMFILE, REASON_LIMIT },
};

START_TEST(error_at_once)
{
	struct talk t;

	talk_open(&t, "ssh");
	ck_assert(RUN_UNTIL(&pair, nasked == 1));
	ck_assert_int_eq(answer(0, errors[_i].error, -1), 0);
	expect_failed(&t, errors[_i].reason);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_TARGETS_DOWN], errors[_i].reason == REASON_TARGET_DOWN);
	ck_assert_int_eq(answer(0, 0, -1), -1);		/* it is forgotten */
}
END_TEST

/* Nobody listens there, which is known only after the supervisor has answered. */
START_TEST(error_later)
{
	struct sockaddr_in sin;
	struct talk t;
	int l = listener(&sin);

	close(l);
	talk_open(&t, "ssh");
	ck_assert(RUN_UNTIL(&pair, nasked == 1));
	ck_assert_int_eq(answer(0, 0, connecting(&sin)), 0);
	expect_failed(&t, REASON_TARGET_DOWN);
}
END_TEST

/* Its queue is full: it neither takes nor refuses. */
START_TEST(never_accepts)
{
	struct sockaddr_in sin;
	struct talk t;
	int l = listener(&sin), fill[8], fd;

	for (unsigned i = 0; i < 8; i++)
		fill[i] = connecting(&sin);
	talk_open(&t, "ssh");
	ck_assert(RUN_UNTIL(&pair, nasked == 1));
	fd = connecting(&sin);
	ck_assert_int_eq(answer(0, 0, fd), 0);
	run_for(&pair, 50);
	tcp_tick(tcp, clock_ns() + (TCP_TARGET_S - 1) * NS_PER_SEC);
	run_for(&pair, 20);
	ck_assert_uint_eq(t.failed, 0);
	tcp_tick(tcp, clock_ns() + TCP_TARGET_S * NS_PER_SEC);
	expect_failed(&t, REASON_TARGET_TIMEOUT);
	ck_assert_uint_eq(stats->counter[STAT_SVCHOSTD_TARGETS_TIMEOUT], 1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	for (unsigned i = 0; i < 8; i++)
		close(fill[i]);
	close(l);
}
END_TEST

/* The supervisor does not answer; when it does, nobody is left. */
START_TEST(answer_too_late)
{
	struct sockaddr_in sin;
	struct talk t;
	int l = listener(&sin), fd;

	talk_open(&t, "ssh");
	ck_assert(RUN_UNTIL(&pair, nasked == 1));
	if (_i == 0)
		tcp_tick(tcp, clock_ns() + TCP_TARGET_S * NS_PER_SEC);
	else
		pump_abort(t.pump, REASON_NONE);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	fd = connecting(&sin);
	ck_assert_int_eq(answer(0, 0, fd), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	talk_close(&t);
	close(l);
}
END_TEST

START_TEST(unasked)
{
	struct pm_connected m = { .id = 77 };
	int fd = dup(0);

	ck_assert_int_eq(tcp_connected(tcp, &m, fd), -1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

/* The supervisor is asked for a few at a time, and the others get their turn. */
START_TEST(many_at_once)
{
	enum { N = 150 };
	static struct talk t[N];
	size_t failed = 0;

	for (unsigned i = 0; i < N; i++)
		talk_open(&t[i], "ssh");
	ck_assert(RUN_UNTIL(&pair, hub_streams(pair.side[1].hub) == N));
	run_for(&pair, 50);
	ck_assert_uint_eq(nasked, TCP_ASKED_MAX);
	pump_abort(t[N - 1].pump, REASON_NONE);		/* one that waits for its turn */
	pump_abort(t[0].pump, REASON_NONE);		/* one that was asked for: it counts until it is answered */
	run_for(&pair, 50);
	ck_assert_uint_eq(nasked, TCP_ASKED_MAX);
	for (size_t i = 0; i < N - 1; i++) {
		ck_assert(RUN_UNTIL(&pair, nasked > i));
		ck_assert_int_eq(answer(i, ECONNREFUSED, -1), 0);
	}
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	ck_assert_uint_eq(nasked, N - 1);
	for (unsigned i = 0; i < N; i++) {
		failed += t[i].failed;
		talk_close(&t[i]);
	}
	ck_assert_uint_eq(failed, N - 2);
}
END_TEST

/* --- another configuration --- */

static void
up(struct talk *t, const char *name)
{
	size_t i = nasked;
	struct sockaddr_in sin;
	int l = listener(&sin);

	talk_open(t, name);
	ck_assert(RUN_UNTIL(&pair, nasked == i + 1));
	ck_assert_int_eq(answer(i, 0, connecting(&sin)), 0);
	t->server.fd = accept(l, NULL, NULL);
	nonblock(t->server.fd);
	close(l);
	ck_assert(RUN_UNTIL(&pair, t->opened == 1));
}

START_TEST(reconfigured)
{
	static struct tcp_conf other;
	struct talk ssh, hosts, waits, stays;

	up(&ssh, "ssh");
	up(&hosts, "hosts");
	up(&stays, "hosts");
	talk_open(&waits, "ssh");
	ck_assert(RUN_UNTIL(&pair, nasked == 4));
	other = (struct tcp_conf){ .n = 1, .tenant = WORLD_TENANT, .services = {
	    service("hosts", 1u << ROLE_SERVICE_HOST, "", CLASS_INTERACTIVE) } };
	tcp_configure(tcp, pair.side[1].hub, &other);
	ck_assert(RUN_UNTIL(&pair, ssh.ended == 1 && waits.failed == 1));
	ck_assert_uint_eq(ssh.reason, REASON_NO_SERVICE);
	ck_assert_uint_eq(waits.reason, REASON_NO_SERVICE);
	ck_assert_uint_eq(hosts.ended + stays.ended, 0);
	ck_assert_int_eq(answer(3, ENOENT, -1), 0);
	stays.client.target = stays.server.target = 100000;
	ck_assert(RUN_UNTIL(&pair, both_done(&stays)));
	talk_whole(&stays);
	other.services[0].roles = 1u << ROLE_ENTRY;
	tcp_configure(tcp, pair.side[1].hub, &other);
	ck_assert(RUN_UNTIL(&pair, hosts.ended == 1));
	ck_assert_uint_eq(hosts.reason, REASON_NOT_ALLOWED);
	talk_close(&ssh);
	talk_close(&hosts);
	talk_close(&waits);
	talk_close(&stays);
}
END_TEST

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *s = suite_create("tcp");
	TCase *tc = tcase_create("adapter");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, allowed, 0, N(access_rules));
	tcase_add_loop_test(tc, refused, 0, N(refusals));
	tcase_add_test(tc, connected);
	tcase_add_loop_test(tc, error_at_once, 0, N(errors));
	tcase_add_test(tc, error_later);
	tcase_add_test(tc, never_accepts);
	tcase_add_loop_test(tc, answer_too_late, 0, 2);
	tcase_add_test(tc, unasked);
	tcase_add_test(tc, many_at_once);
	tcase_add_test(tc, reconfigured);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
