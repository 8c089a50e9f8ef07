/*
 * The scaffold of a worker: each test plays the supervisor of a worker in a process of its own, which is in its
 * sandbox as under fabricd -U.
 */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/ipc.h"
#include "proc/stats.h"
#include "proc/worker.h"
#include "suite.h"

static pid_t pid;
static int ctl = -1, log_read = -1, page = -1;

/* --- the worker ----------------------------------------------------------------------------------- */
/* No ck_assert() in it: check's own descriptor is closed here. */

/* What the callbacks say reaches the test as the text of requests' answers. */
static char calls[256];

static void
note(const char *what)
{
	size_t len = strlen(calls);

	snprintf(calls + len, sizeof(calls) - len, "%s ", what);
}

static void
conf_begin(struct worker *w)
{
	note("begin");
}

static int
conf_item(struct worker *w, const struct procmsg *m, int fd)
{
	if (fd != -1)
		close(fd);
	note(fd != -1 ? "item+fd" : "item");
	if (m->type == PM_CONF_SERVICE && strcmp(m->conf_service.name, "silent") == 0)
		return -1;
	if (m->type != PM_CONF_SERVICE || strcmp(m->conf_service.name, "bad") != 0)
		return 0;
	snprintf(w->conf_error, sizeof(w->conf_error), "no service \"%s\x01\"", "bad");
	return -1;
}

static int
conf_check(struct worker *w)
{
	note("check");
	if (strstr(calls, "item+fd") == NULL)
		return 0;
	snprintf(w->conf_error, sizeof(w->conf_error), "a descriptor");
	return -1;
}

static void
conf_commit(struct worker *w)
{
	note("commit");
}

static void
conf_abort(struct worker *w)
{
	note("abort");
}

static void
port(struct worker *w, enum worker_kind kind, int fd)
{
	note(worker_name(kind));
	close(fd);
}

static int
message(struct worker *w, const struct procmsg *m, int fd)
{
	note(procmsg_name(m->type));
	if (fd != -1)
		close(fd);
	return m->type == PM_NET_CHANGED ? -1 : 0;
}

static void
numbered(struct row_writer *row, unsigned n)
{
	row_init(row);
	row_uint(row, "n", n);
	row_str(row, "text", "as much as a row has");
}

static void
request(struct worker *w, const struct pm_request *r)
{
	struct row_writer row;

	row_init(&row);
	row_str(&row, "command", r->command);
	row_uint(&row, "count", r->count);
	if (strcmp(r->command, "rows") == 0) {
		for (unsigned i = 0; i < r->count; i++)
			if (worker_row(w, r->id, &row) == -1)
				abort();
		row_str(&row, "Not a name", "");
		if (worker_row(w, r->id, &row) != -1)
			abort();
	}
	if (strcmp(r->command, "once") == 0)
		for (unsigned i = 0; i < r->count; i++) {
			numbered(&row, i);
			worker_row_once(w, r->id, &row);
		}
	if (strcmp(r->command, "log") == 0 && write(STDERR_FILENO, "to stderr\n", 10) != 10)
		abort();
	if (strcmp(r->command, "exit") == 0)
		worker_exit(w);
	worker_done(w, r->id, 3, calls);
	calls[0] = '\0';
}

static void
drain(struct worker *w, unsigned ms)
{
	note("drain");
	if (ms == 0)
		worker_exit(w);
}

static void
on_hour(evutil_socket_t fd, short what, void *arg)
{
}

/* A loop without events would end of itself. */
static void
start_worker(struct worker *w)
{
	static const struct timeval hour = { 3600, 0 };

	event_base_once(w->base, -1, EV_TIMEOUT, on_hour, NULL, &hour);
}

static struct worker_ops ops = {
	.kind = WORKER_DATAPLANE, .nofile = 64, .start = start_worker, .conf_begin = conf_begin, .conf_item = conf_item,
	.conf_check = conf_check, .conf_commit = conf_commit, .conf_abort = conf_abort, .port = port,
	.message = message, .request = request, .drain = drain,
};

static void
run_worker(int theirs, int log_write, char **argv)
{
	int argc = 0;

	/* First out of each other's way. */
	theirs = fcntl(theirs, F_DUPFD, 20);
	log_write = fcntl(log_write, F_DUPFD, 20);
	page = fcntl(page, F_DUPFD, 20);
	dup2(theirs, WORKER_FD_CTL);
	dup2(log_write, WORKER_FD_LOG);
	dup2(log_write, STDERR_FILENO);
	dup2(page, WORKER_FD_STATS);
	while (argv[argc] != NULL)
		argc++;
	optind = 1;
	_exit(worker_main(&ops, argc, argv));
}

/* --- the supervisor ------------------------------------------------------------------------------- */

static void
start_with(char **argv)
{
	int fds[2], p[2];

	ck_assert_int_eq(ipc_pair(fds), 0);
	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	page = stats_create();
	pid = fork();
	if (pid == 0)
		run_worker(fds[1], p[1], argv);
	close(fds[1]);
	close(p[1]);
	ctl = fds[0];
	log_read = p[0];
}

static void
start(void)
{
	char *argv[] = { "dataplane", "-g", "7", "-l", "debug", NULL };

	start_with(argv);
}

static void
stop(void)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	close(ctl);
	close(log_read);
	close(page);
}

static void
send_msg(const struct procmsg *m, int fd)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { .hdr = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	uint8_t buf[8192];
	struct iovec iov = { buf, procmsg_encode(buf, sizeof(buf), m) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	ck_assert_uint_gt(iov.iov_len, 0);
	if (fd != -1) {
		memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(fd));
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control.buf);
	}
	/* A worker that has ended already is what some tests are about. */
	ck_assert(sendmsg(ctl, &mh, MSG_NOSIGNAL) > 0 || errno == EPIPE);
}

static void
say(enum procmsg_type type)
{
	send_msg(&(struct procmsg){ .type = type }, -1);
}

/* One message of the worker's: its type, or 0 when it has ended. Rows are counted. */
static unsigned rows;

static unsigned
hear(struct procmsg *m)
{
	static const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_CEILING };
	static uint8_t buf[IPC_MSG_MAX];
	static size_t len, off;
	struct pollfd p = { ctl, POLLIN, 0 };
	struct frame f;

	if (off == len) {
		ck_assert_msg(poll(&p, 1, 20000) == 1, "no answer");
		len = (size_t)recv(ctl, buf, sizeof(buf), 0);
		off = 0;
		if ((ssize_t)len <= 0) {
			len = 0;
			return 0;
		}
	}
	ck_assert_int_eq(frame_decode(&f, buf + off, len - off, &lim), FRAME_OK);
	ck_assert_int_eq(procmsg_decode(m, &f), 0);
	off += f.raw.len;
	rows += m->type == PM_ROW;
	return m->type;
}

static void
expect(unsigned type, struct procmsg *m)
{
	struct procmsg mine;
	unsigned got = hear(m != NULL ? m : &mine);

	ck_assert_msg(got == type, "%s instead of %s", procmsg_name(got), procmsg_name(type));
}

/* What the callbacks have noted since the last time. */
static const char *
called(void)
{
	static struct procmsg m;

	send_msg(&(struct procmsg){ .type = PM_REQUEST, .request = { .id = 5, .command = "calls" } }, -1);
	expect(PM_DONE, &m);
	ck_assert_uint_eq(m.done.id, 5);
	ck_assert_uint_eq(m.done.status, 3);
	return m.done.text;
}

static int
exit_status_of(void)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	pid = 0;
	ck_assert_msg(WIFEXITED(status), "killed by %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

/* It refuses and ends, saying so in its log. */
static void
expect_fatal(const char *words)
{
	struct procmsg m;
	char text[4096];
	size_t len = 0;
	ssize_t n;

	while (hear(&m) != 0)
		;
	ck_assert_int_eq(exit_status_of(), 1);
	while (len < sizeof(text) - 1 && (n = read(log_read, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	ck_assert_msg(strstr(text, words) != NULL, "%s is not in: %s", words, text);
}

static void
send_service(const char *name)
{
	struct procmsg m = { .type = PM_CONF_SERVICE };

	strcpy(m.conf_service.name, name);
	send_msg(&m, -1);
}

START_TEST(ready)
{
	const struct stats_page *seen = stats_map_ro(stats_open_ro(page));
	struct procmsg m;

	expect(PM_READY, &m);
	ck_assert_uint_eq(m.ready.generation, 7);
	ck_assert_uint_eq(m.ready.pid, (unsigned)pid);
	ck_assert_ptr_nonnull(seen);
	ck_assert_uint_eq(seen->magic, STATS_MAGIC);
	ck_assert_uint_eq(seen->kind, WORKER_DATAPLANE);
	ck_assert_uint_eq(seen->generation, 7);
	stats_unmap(seen);
}
END_TEST

START_TEST(transaction)
{
	expect(PM_READY, NULL);
	for (int i = 0; i < 2; i++) {
		say(PM_CONF_BEGIN);
		send_service("echo");
		send_service("vpn");
		say(PM_CONF_END);
		expect(PM_CONF_OK, NULL);
		ck_assert_str_eq(called(), "begin item item check ");
		say(i == 0 ? PM_CONF_COMMIT : PM_CONF_ABORT);
		ck_assert_str_eq(called(), i == 0 ? "commit " : "abort ");
	}
	say(PM_CONF_ABORT);
	ck_assert_msg(called()[0] == '\0', "without a transaction it does nothing");
	say(PM_CONF_BEGIN);
	say(PM_CONF_ABORT);
	ck_assert_str_eq(called(), "begin abort ");
}
END_TEST

START_TEST(bad_item)
{
	const struct procmsg sock = { .type = PM_CONF_SOCKET,
	    .conf_socket = { SOCKET_METRICS, { .family = 4, .port = 1 } } };
	struct procmsg m;

	expect(PM_READY, NULL);
	say(PM_CONF_BEGIN);
	send_service("bad");
	send_service("echo");
	send_msg(&sock, page);
	say(PM_CONF_END);
	expect(PM_CONF_BAD, &m);
	ck_assert_str_eq(m.conf_bad.text, "no service \"bad?\"");
	ck_assert_str_eq(called(), "begin item abort ");

	say(PM_CONF_BEGIN);
	send_service("silent");
	say(PM_CONF_END);
	expect(PM_CONF_BAD, &m);
	ck_assert_str_eq(m.conf_bad.text, "refused: CONF_SERVICE");
	called();

	say(PM_CONF_ABORT);
	say(PM_CONF_BEGIN);
	send_msg(&sock, page);
	say(PM_CONF_END);
	expect(PM_CONF_BAD, &m);
	ck_assert_str_eq(m.conf_bad.text, "a descriptor");
	ck_assert_str_eq(called(), "begin item+fd check abort ");
}
END_TEST

START_TEST(requests)
{
	struct procmsg m, req = { .type = PM_REQUEST, .request = { .id = 77, .command = "rows", .count = 500 } };

	expect(PM_READY, NULL);
	rows = 0;
	send_msg(&req, -1);
	while (hear(&m) == PM_ROW)
		ck_assert_uint_eq(m.row.id, 77);
	ck_assert_uint_eq(rows, 500);
	ck_assert_int_eq(m.type, PM_DONE);
	ck_assert_uint_eq(m.done.id, 77);
}
END_TEST

/* Nobody reads while the answer is made: it waits, in its order, with its end and the next answer behind it. */
START_TEST(long_answers_wait)
{
	struct procmsg m, req = { .type = PM_REQUEST, .request = { .id = 78, .command = "once", .count = 100000 } };
	struct row_writer row;

	expect(PM_READY, NULL);
	send_msg(&req, -1);
	send_msg(&(struct procmsg){ .type = PM_REQUEST, .request = { .id = 79, .command = "calls" } }, -1);
	usleep(500000);
	for (unsigned i = 0; i < req.request.count; i++) {
		expect(PM_ROW, &m);
		numbered(&row, i);
		ck_assert_uint_eq(m.row.id, 78);
		ck_assert_uint_eq(m.row.row.len, row.len);
		ck_assert_mem_eq(m.row.row.p, row.buf, row.len);
	}
	expect(PM_DONE, &m);
	ck_assert_uint_eq(m.done.id, 78);
	ck_assert_uint_eq(m.done.status, 3);
	expect(PM_DONE, &m);
	ck_assert_uint_eq(m.done.id, 79);
}
END_TEST

/* A long answer that nobody reads does not keep from the supervisor what else there is to say. */
START_TEST(long_answers_leave_room)
{
	struct procmsg m, req = { .type = PM_REQUEST, .request = { .id = 81, .command = "once", .count = 100000 } };
	unsigned oks = 0, ends = 0;

	expect(PM_READY, NULL);
	rows = 0;
	send_msg(&req, -1);
	for (unsigned i = 0; i < 3; i++) {
		say(PM_CONF_BEGIN);
		say(PM_CONF_END);
		say(PM_CONF_ABORT);
	}
	usleep(500000);
	while (oks < 3 || ends < 1) {
		unsigned type = hear(&m);

		ck_assert_uint_ne(type, 0);
		oks += type == PM_CONF_OK;
		ends += type == PM_DONE;
	}
	ck_assert_uint_eq(rows, req.request.count);
}
END_TEST

/* More than may wait: its end says how much is missing. The next one is whole. */
START_TEST(longer_answers_say_so)
{
	struct procmsg m, req = { .type = PM_REQUEST, .request = { .id = 80, .command = "once", .count = 600000 } };
	unsigned missing;

	expect(PM_READY, NULL);
	rows = 0;
	send_msg(&req, -1);
	usleep(500000);
	while (hear(&m) == PM_ROW)
		;
	ck_assert_int_eq(m.type, PM_DONE);
	ck_assert_uint_eq(m.done.status, 1);
	ck_assert_int_eq(sscanf(m.done.text, "%u rows more are left out", &missing), 1);
	ck_assert_uint_eq(rows + missing, req.request.count);
	ck_assert_uint_gt(rows, 100000);
	req.request.count = 3;
	rows = 0;
	send_msg(&req, -1);
	while (hear(&m) == PM_ROW)
		;
	ck_assert_uint_eq(rows, 3);
	ck_assert_uint_eq(m.done.status, 3);
}
END_TEST

START_TEST(ports)
{
	expect(PM_READY, NULL);
	for (unsigned k = WORKER_ROUTED; k <= WORKER_SVCHOSTD; k++)
		send_msg(&(struct procmsg){ .type = PM_PORT, .port = { (uint8_t)k, 1 } }, page);
	ck_assert_str_eq(called(), "routed vpnd svchostd ");
}
END_TEST

START_TEST(other_messages)
{
	expect(PM_READY, NULL);
	say(PM_SECRET);
	send_msg(&(struct procmsg){ .type = PM_DELEGATION, .delegation = { 1, { page ? (const uint8_t *)"m" : NULL, 1 },
	    { (const uint8_t *)"d", 1 }, 9 } }, -1);
	ck_assert_str_eq(called(), "SECRET DELEGATION ");
	say(PM_NET_CHANGED);
	expect_fatal("not for this worker");
}
END_TEST

static void
log_line(int fd, char *buf, size_t size)
{
	ssize_t n = read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
}

/* A new log takes the place of both descriptors of the old one. */
START_TEST(log_rotation)
{
	const struct procmsg rot = { .type = PM_LOG, .log = { 3, true } };
	struct procmsg req = { .type = PM_REQUEST, .request = { .id = 5, .command = "log" } };
	char buf[512];
	int p[2];

	expect(PM_READY, NULL);
	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	send_msg(&rot, p[1]);
	close(p[1]);
	send_msg(&req, -1);
	expect(PM_DONE, NULL);
	log_line(p[0], buf, sizeof(buf));
	ck_assert_str_eq(buf, "to stderr\n");
	/* Nobody else holds the old one: it ends. */
	while (read(log_read, buf, sizeof(buf)) > 0)
		;
	send_msg(&(struct procmsg){ .type = PM_CONF_BEGIN }, -1);
	log_line(p[0], buf, sizeof(buf));
	ck_assert_ptr_nonnull(strstr(buf, "dataplane["));
	close(p[0]);
}
END_TEST

/* Signals to the whole group are the supervisor's. */
START_TEST(signals)
{
	expect(PM_READY, NULL);
	kill(pid, SIGTERM);
	kill(pid, SIGINT);
	kill(pid, SIGHUP);
	kill(pid, SIGUSR1);
	called();
}
END_TEST

START_TEST(stops)
{
	struct procmsg m = { .type = PM_STOP, .stop = { 500 } }, req = { .type = PM_REQUEST,
	    .request = { .id = 1, .command = "calls" } };

	expect(PM_READY, NULL);
	say(PM_CONF_BEGIN);
	send_msg(&m, -1);
	send_msg(&req, -1);
	expect(PM_DONE, &m);
	ck_assert_str_eq(m.done.text, "stopping");
	m = (struct procmsg){ .type = PM_STOP };
	send_msg(&m, -1);
	expect(0, NULL);
	ck_assert_int_eq(exit_status_of(), 0);
}
END_TEST

/* What was to be said before the exit is heard. */
START_TEST(exits_by_itself)
{
	struct procmsg m = { .type = PM_REQUEST, .request = { .id = 9, .command = "exit" } };

	expect(PM_READY, NULL);
	send_msg(&m, -1);
	expect(PM_DONE, &m);
	ck_assert_int_eq(exit_status_of(), 0);
}
END_TEST

START_TEST(supervisor_is_gone)
{
	expect(PM_READY, NULL);
	shutdown(ctl, SHUT_RDWR);
	ck_assert_int_eq(exit_status_of(), 1);
}
END_TEST

/* Out of place, each after what comes before it. */
static const struct {
	const char *what, *words;
	struct procmsg before[3];
	struct procmsg m;
	bool	fd;
} misplaced[] = {
	{ "END without BEGIN", "CONF_END (0x1021) out of place", { { 0 } }, { .type = PM_CONF_END }, false },
	{ "COMMIT without BEGIN", "out of place", { { 0 } }, { .type = PM_CONF_COMMIT }, false },
	{ "COMMIT before END", "out of place", { { .type = PM_CONF_BEGIN } }, { .type = PM_CONF_COMMIT }, false },
	{ "BEGIN twice", "out of place", { { .type = PM_CONF_BEGIN } }, { .type = PM_CONF_BEGIN }, false },
	{ "BEGIN before COMMIT", "out of place", { { .type = PM_CONF_BEGIN }, { .type = PM_CONF_END } },
	    { .type = PM_CONF_BEGIN }, false },
	{ "COMMIT twice", "out of place",
	    { { .type = PM_CONF_BEGIN }, { .type = PM_CONF_END }, { .type = PM_CONF_COMMIT } },
	    { .type = PM_CONF_COMMIT }, false },
	{ "an item without BEGIN", "out of place", { { 0 } }, { .type = PM_CONF_SERVICE, .conf_service = { "a" } }, false },
	{ "an item after END", "out of place", { { .type = PM_CONF_BEGIN }, { .type = PM_CONF_END } },
	    { .type = PM_CONF_SERVICE, .conf_service = { "a" } }, false },
	{ "a secret in a transaction", "out of place", { { .type = PM_CONF_BEGIN } }, { .type = PM_SECRET }, false },
	{ "BEGIN while it stops", "out of place", { { .type = PM_STOP, .stop = { 9 } } }, { .type = PM_CONF_BEGIN }, false },
	{ "READY to a worker", "out of place", { { 0 } }, { .type = PM_READY, .ready = { 1, 1 } }, false },
	{ "an answer to a worker", "out of place", { { 0 } }, { .type = PM_DONE, .done = { 1, 0, "" } }, false },
	{ "a worker's message", "out of place", { { 0 } }, { .type = PM_BIND, .bind = { "vpn" } }, false },
	{ "another's page", "out of place", { { 0 } }, { .type = PM_STATS, .stats = { 1, 1 } }, true },
	{ "a port to itself", "not for this worker", { { 0 } },
	    { .type = PM_PORT, .port = { WORKER_DATAPLANE, 1 } }, true },
	{ "a port to telemd", "not for this worker", { { 0 } }, { .type = PM_PORT, .port = { WORKER_TELEMD, 1 } }, true },
	{ "a port without descriptor", "without its descriptor", { { 0 } },
	    { .type = PM_PORT, .port = { WORKER_VPND, 1 } }, false },
	{ "a descriptor with BEGIN", "may not carry", { { 0 } }, { .type = PM_CONF_BEGIN }, true },
	{ "a log without descriptor", "LOG not for this worker", { { 0 } }, { .type = PM_LOG, .log = { 1, true } }, false },
	{ "a log with an unannounced one", "LOG not for this worker", { { 0 } }, { .type = PM_LOG, .log = { 1, false } }, true },
};

START_TEST(refuses)
{
	expect(PM_READY, NULL);
	for (int i = 0; i < 3 && misplaced[_i].before[i].type != 0; i++)
		send_msg(&misplaced[_i].before[i], -1);
	send_msg(&misplaced[_i].m, misplaced[_i].fd ? page : -1);
	expect_fatal(misplaced[_i].words);
}
END_TEST

START_TEST(malformed)
{
	static const uint8_t bytes[] = { 0x50, 0x04, 3, 1, 1, 0x40 };	/* PM_STOP with half a varint */

	expect(PM_READY, NULL);
	ck_assert_int_eq(send(ctl, bytes, sizeof(bytes), 0), sizeof(bytes));
	expect_fatal("STOP: ");
}
END_TEST

static const struct {
	const char *what;
	char *argv[12];
} lines[] = {
	{ "nothing", { "dataplane" } },
	{ "no generation", { "dataplane", "-l", "info" } },
	{ "generation 0", { "dataplane", "-g", "0", "-l", "info" } },
	{ "a generation that is no number", { "dataplane", "-g", "1x", "-l", "info" } },
	{ "a negative one", { "dataplane", "-g", "-1", "-l", "info" } },
	{ "a generation behind a blank", { "dataplane", "-g", " 1", "-l", "info" } },
	{ "one too large", { "dataplane", "-g", "4294967296", "-l", "info" } },
	{ "no level", { "dataplane", "-g", "1" } },
	{ "an unknown level", { "dataplane", "-g", "1", "-l", "loud" } },
	{ "an operand", { "dataplane", "-g", "1", "-l", "info", "more" } },
	{ "an unknown option", { "dataplane", "-g", "1", "-l", "info", "-x" } },
	{ "uid without gid", { "dataplane", "-g", "1", "-l", "info", "-u", "9" } },
	{ "uid without directory", { "dataplane", "-g", "1", "-l", "info", "-u", "9", "-G", "9" } },
	{ "a missing directory", { "dataplane", "-g", "1", "-l", "info", "-c", "/nonexistent" } },
};

START_TEST(command_line)
{
	struct procmsg m;

	start_with((char **)(uintptr_t)lines[_i].argv);
	ck_assert_msg(hear(&m) == 0, "%s", lines[_i].what);
	ck_assert_int_eq(exit_status_of(), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("worker");
	TCase *tc = tcase_create("worker"), *args = tcase_create("arguments");

	tcase_add_checked_fixture(tc, start, stop);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, ready);
	tcase_add_test(tc, transaction);
	tcase_add_test(tc, bad_item);
	tcase_add_test(tc, requests);
	tcase_add_test(tc, long_answers_wait);
	tcase_add_test(tc, long_answers_leave_room);
	tcase_add_test(tc, longer_answers_say_so);
	tcase_add_test(tc, ports);
	tcase_add_test(tc, other_messages);
	tcase_add_test(tc, log_rotation);
	tcase_add_test(tc, signals);
	tcase_add_test(tc, stops);
	tcase_add_test(tc, exits_by_itself);
	tcase_add_test(tc, supervisor_is_gone);
	tcase_add_loop_test(tc, refuses, 0, sizeof(misplaced) / sizeof(misplaced[0]));
	tcase_add_test(tc, malformed);
	tcase_add_checked_fixture(args, NULL, stop);
	tcase_add_loop_test(args, command_line, 0, sizeof(lines) / sizeof(lines[0]));
	suite_add_tcase(s, tc);
	suite_add_tcase(s, args);
	return suite_run(s);
}
