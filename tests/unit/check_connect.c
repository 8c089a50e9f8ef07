/*
 * `fabricctl connect' against a fabricd of this test's own: what passes, how each direction ends by itself, what the exit
 * status says, and that nothing waits for what does not come.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fabricctl/connect.h"
#include "proc/ipc.h"
#include "proc/procmsg.h"
#include "suite.h"
#include "wire/frame.h"

static char dir[] = "/tmp/check_connect.XXXXXX", path[64];
static int lfd, ctl, sock;			/* the fabricd: listener, the client's channel, the service's end */
static int to_client, from_client, err_fd;	/* the user: stdin, stdout, stderr of fabricctl */
static pid_t pid;
static uint64_t id;

static int
wait_in(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 10000);
}

static void
hear_request(struct procmsg *m)
{
	static const struct frame_limits limits = { FRAME_PORT_PROC, FRAME_MAX_CEILING };
	uint8_t buf[4096];
	struct frame f;
	ssize_t n;

	ck_assert_int_eq(wait_in(lfd), 1);
	ctl = accept(lfd, NULL, NULL);
	ck_assert_int_ne(ctl, -1);
	ck_assert_int_eq(wait_in(ctl), 1);
	n = recv(ctl, buf, sizeof(buf), 0);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(frame_decode(&f, buf, (size_t)n, &limits), FRAME_OK);
	ck_assert_int_eq(procmsg_decode(m, &f), 0);
	ck_assert_int_eq(m->type, PM_REQUEST);
	id = m->request.id;
}

static void
say(const struct procmsg *m, int fd)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	uint8_t buf[1024];
	struct iovec iov = { buf, procmsg_encode(buf, sizeof(buf), m) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	ck_assert_uint_gt(iov.iov_len, 0);
	memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	if (fd != -1) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	ck_assert_int_eq(sendmsg(ctl, &msg, MSG_NOSIGNAL), (int)iov.iov_len);
}

static void
say_done(unsigned status, const char *text)
{
	struct procmsg m = { .type = PM_DONE, .done = { .id = id, .status = (uint8_t)status } };

	strcpy(m.done.text, text);
	say(&m, -1);
}

static void
say_connected(void)
{
	struct procmsg m = { .type = PM_LOCAL, .local = { .id = id, .target = "ssh" } };
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	say(&m, fds[0]);
	close(fds[0]);
	sock = fds[1];
	fcntl(sock, F_SETFL, 0);
}

/* stdin and stdout: a pipe each, or one socket for both. */
static void
start(bool one_socket)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int in[2], out[2], err[2];

	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	strcpy(sun.sun_path, path);
	lfd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ck_assert_int_eq(bind(lfd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(lfd, 1), 0);
	ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
	if (one_socket) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
		out[0] = in[1];
		out[1] = in[0];
	} else {
		ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
		ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	}
	sock = ctl = -1;
	if ((pid = fork()) == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		closefrom(3);
		_exit(cmd_connect(path, "ssh"));
	}
	close(in[0]);
	close(err[1]);
	if (!one_socket)
		close(out[1]);
	to_client = in[1];
	from_client = out[0];
	err_fd = err[0];
}

/* The exit status, and what was said on stderr. */
static int
status_of(const char *says)
{
	char text[512] = "";
	size_t len = 0;
	ssize_t n = 1;
	int status;

	while (n > 0) {
		n = wait_in(err_fd) == 1 ? read(err_fd, text + len, sizeof(text) - 1 - len) : -1;
		ck_assert_msg(n != -1, "it does not end");
		len += (size_t)n;
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
	ck_assert_str_eq(text, says);
	unlink(path);
	rmdir(dir);
	return WEXITSTATUS(status);
}

static void
expect_bytes(int fd, const char *want)
{
	char buf[64];
	size_t n = strlen(want);

	ck_assert_int_eq(wait_in(fd), 1);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), (int)n);
	ck_assert_mem_eq(buf, want, n);
}

static void
expect_end(int fd)
{
	char c;

	ck_assert_int_eq(wait_in(fd), 1);
	ck_assert_int_eq(read(fd, &c, 1), 0);
}

static void
put(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
}

static void
begin(bool one_socket)
{
	struct procmsg m;

	start(one_socket);
	hear_request(&m);
	ck_assert_str_eq(m.request.command, "connect");
	ck_assert_str_eq(m.request.argument, "ssh");
	say_connected();
}

/* The user ends first, and still hears; then the other way round. */
START_TEST(half_close_out)
{
	begin(_i == 1);
	put(to_client, "hello");
	expect_bytes(sock, "hello");
	_i == 1 ? shutdown(to_client, SHUT_WR) : close(to_client);
	expect_end(sock);
	put(sock, "answer");
	expect_bytes(from_client, "answer");
	shutdown(sock, SHUT_WR);
	expect_end(from_client);
	say_done(CONNECT_OK, "");
	close(sock);
	ck_assert_int_eq(status_of(""), 0);
}
END_TEST

START_TEST(half_close_in)
{
	begin(_i == 1);
	put(sock, "banner");
	shutdown(sock, SHUT_WR);
	expect_bytes(from_client, "banner");
	expect_end(from_client);
	put(to_client, "still");
	expect_bytes(sock, "still");
	_i == 1 ? shutdown(to_client, SHUT_WR) : close(to_client);
	expect_end(sock);
	say_done(CONNECT_OK, "");
	close(sock);
	ck_assert_int_eq(status_of(""), 0);
}
END_TEST

/* All that came before the end is out before the exit, also when the end is told first and the reader is slow. */
START_TEST(end_after_bytes)
{
	static char big[600000], got[sizeof(big)];
	size_t n = 0;
	ssize_t r;
	pid_t writer;

	begin(false);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 >> 3);
	say_done(CONNECT_RESET, "the connection was reset");
	if ((writer = fork()) == 0)
		_exit(write(sock, big, sizeof(big)) == sizeof(big) ? 0 : 1);
	close(sock);
	usleep(100000);
	while ((r = read(from_client, got + n, sizeof(got) - n)) > 0)
		n += (size_t)r;
	ck_assert_uint_eq(n, sizeof(big));
	ck_assert_mem_eq(got, big, sizeof(big));
	waitpid(writer, NULL, 0);
	ck_assert_int_eq(status_of("fabricctl: ssh: the connection was reset\n"), CONNECT_RESET);
}
END_TEST

/* A reader that does not read holds up its own direction only. */
START_TEST(blocked_out)
{
	static char big[1 << 20];

	begin(false);
	fcntl(sock, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 200 && (write(sock, big, sizeof(big)) > 0 || errno == EAGAIN); i++)
		usleep(2000);
	/* Room for a page: a write of more than that would wait for the rest. */
	ck_assert_int_eq(read(from_client, big, 4096), 4096);
	usleep(50000);
	put(to_client, "through");
	expect_bytes(sock, "through");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
	rmdir(dir);
}
END_TEST

static const struct {
	unsigned status;
	const char *text, *says;
} refusals[] = {
	{ CONNECT_NO_SERVICE, "no service \"ssh\" is known", "fabricctl: ssh: no service \"ssh\" is known\n" },
	{ CONNECT_UNREACHABLE, "x", "fabricctl: ssh: x\n" },
	{ CONNECT_REFUSED, "x", "fabricctl: ssh: x\n" },
	{ CONNECT_TARGET_DOWN, "x", "fabricctl: ssh: x\n" },
	{ CONNECT_UNUSABLE, "not allowed on the read-only socket", "fabricctl: ssh: not allowed on the read-only socket\n" },
};

/* Before there is a descriptor, and after: stdin is open all the time. */
START_TEST(refused_at_once)
{
	struct procmsg m;

	start(false);
	hear_request(&m);
	say_done(refusals[_i].status, refusals[_i].text);
	ck_assert_int_eq(status_of(refusals[_i].says), (int)refusals[_i].status);
}
END_TEST

START_TEST(refused_later)
{
	begin(false);
	put(to_client, "early");
	say_done(refusals[_i].status, refusals[_i].text);
	close(sock);
	ck_assert_int_eq(status_of(refusals[_i].says), (int)refusals[_i].status);
}
END_TEST

START_TEST(fabricd_dies)
{
	begin(false);
	close(ctl);
	close(sock);
	ck_assert_int_eq(status_of("fabricctl: fabricd: closed the connection\nfabricctl: ssh: fabricd is gone\n"),
	    CONNECT_RESET);
}
END_TEST

/* Who reads no more is no end of what the service has to say: that is an error. */
START_TEST(reader_gone)
{
	begin(false);
	close(from_client);
	put(sock, "for nobody");
	ck_assert_int_eq(status_of("fabricctl: standard output: Broken pipe\n"), CONNECT_FAILED);
	expect_end(sock);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("connect");
	TCase *tc = tcase_create("connect");
	int n = sizeof(refusals) / sizeof(refusals[0]);

	signal(SIGPIPE, SIG_IGN);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, half_close_out, 0, 2);
	tcase_add_loop_test(tc, half_close_in, 0, 2);
	tcase_add_test(tc, end_after_bytes);
	tcase_add_test(tc, blocked_out);
	tcase_add_loop_test(tc, refused_at_once, 0, n);
	tcase_add_loop_test(tc, refused_later, 0, n);
	tcase_add_test(tc, fabricd_dies);
	tcase_add_test(tc, reader_gone);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
