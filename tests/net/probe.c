/*
 * A worker that tries what no worker may. It starts under worker_main() like any other, as the kind that its
 * file's name says, and does one of the attempts below when it is asked to:
 *
 *	- a request whose command is an attempt's name (tests/net/launch.c), "wait" for none, or
 *	- any other request: the attempt named in the file <its own path>.try (tests/net/confine.sh, below fabricd).
 *
 * With PROBE_LET_THROUGH set, or a second line "through" in that file, the filter lets the attempt's system
 * calls pass, so that one sees what stands behind it. `probe -x ATTEMPT' does it unconfined: exit status 0
 * when it succeeds, which shows that the attempt itself is sound. `probe -a' prints the kernel's Landlock ABI.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "proc/worker.h"

#define PAGE 4096

static pid_t parent;	/* asked for in time: getppid() is not in the filter */

static int
try_open(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int
try_open_root(void)
{
	return open("/", O_RDONLY | O_DIRECTORY);
}

static int
try_create(void)
{
	return open("probe-was-here", O_CREAT | O_WRONLY, 0600);
}

static int
try_open_parent(void)
{
	return open("../../../../../../etc/passwd", O_RDONLY);
}

static int
try_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int
try_socket_raw(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static struct sockaddr_in
loopback(unsigned port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sin;
}

static int
try_connect(void)
{
	struct sockaddr_in sin = loopback(9);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return fd == -1 ? -1 : connect(fd, (struct sockaddr *)&sin, sizeof(sin));
}

static int
try_bind(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd == -1 ? -1 : bind(fd, (struct sockaddr *)&sin, sizeof(sin));
}

static int
try_ptrace(void)
{
	return (int)ptrace(PTRACE_SEIZE, parent, 0, 0);
}

static int
try_execve(void)
{
	char *argv[] = { (char *)"true", NULL };
	char *envp[] = { NULL };

	return execve("/bin/true", argv, envp);
}

static int
try_kill(void)
{
	return kill(parent, 0);
}

static int
try_tgkill(void)
{
	return (int)syscall(SYS_tgkill, parent, parent, 0);
}

static int
try_mmap_exec(void)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	    MAP_FAILED ? -1 : 0;
}

static int
try_mprotect_exec(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? 0 : mprotect(p, PAGE, PROT_READ | PROT_EXEC);
}

static int
try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid == -1 ? -1 : 0;
}

static int
try_setuid(void)
{
	return setresuid(0, 0, 0);
}

static int
try_setgroups(void)
{
	gid_t group = 0;

	return (int)syscall(SYS_setgroups, 1, &group);
}

static int
try_chroot(void)
{
	return chroot(".");
}

static int
try_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int
try_mount(void)
{
	return unshare(CLONE_NEWNS) == -1 ? -1 : mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int
try_rlimit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return -1;
	rl.rlim_cur++;
	rl.rlim_max++;
	return setrlimit(RLIMIT_NOFILE, &rl);
}

static int
try_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int
try_memfd(void)
{
	return memfd_create("probe", 0);
}

static int
try_io_uring(void)
{
	uint8_t params[120] = { 0 };

	return (int)syscall(SYS_io_uring_setup, 1, params);
}

static int
try_abstract(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "\0fabric-probe" };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	return fd == -1 ? -1 : connect(fd, (struct sockaddr *)&sun, offsetof(struct sockaddr_un, sun_path) + 13);
}

/* The filter lets a worker set the options that its table names: here SO_LINGER, see main(). */
static int
try_sockopt(void)
{
	int on = 1, fds[2] = { WORKER_FD_CTL, -1 };

	/* Unconfined there is no such channel. */
	if (fcntl(fds[0], F_GETFD) == -1 && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1)
		return -1;
	return setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

#define CALLS(...) (const int[]){ __VA_ARGS__, -1 }

static const struct attempt {
	const char *name;
	int	(*try)(void);
	const int *calls;	/* what it takes to get past the filter; NULL: arguments decide, there is no way */
} attempts[] = {
	{ "open", try_open, CALLS(SCMP_SYS(openat)) },
	{ "open-root", try_open_root, CALLS(SCMP_SYS(openat)) },
	{ "open-parent", try_open_parent, CALLS(SCMP_SYS(openat)) },
	{ "create", try_create, CALLS(SCMP_SYS(openat)) },
	{ "socket", try_socket, CALLS(SCMP_SYS(socket)) },
	{ "socket-raw", try_socket_raw, CALLS(SCMP_SYS(socket)) },
	{ "connect", try_connect, CALLS(SCMP_SYS(socket), SCMP_SYS(connect)) },
	{ "bind", try_bind, CALLS(SCMP_SYS(socket), SCMP_SYS(bind)) },
	{ "abstract", try_abstract, CALLS(SCMP_SYS(socket), SCMP_SYS(connect)) },
	{ "ptrace", try_ptrace, CALLS(SCMP_SYS(ptrace)) },
	{ "execve", try_execve, CALLS(SCMP_SYS(execve)) },
	{ "kill", try_kill, CALLS(SCMP_SYS(kill)) },
	{ "tgkill", try_tgkill, CALLS(SCMP_SYS(tgkill)) },
	{ "mmap-exec", try_mmap_exec, NULL },
	{ "mprotect-exec", try_mprotect_exec, NULL },
	{ "fork", try_fork, CALLS(SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(wait4)) },
	{ "setuid", try_setuid, CALLS(SCMP_SYS(setresuid)) },
	{ "setgroups", try_setgroups, CALLS(SCMP_SYS(setgroups)) },
	{ "chroot", try_chroot, CALLS(SCMP_SYS(chroot)) },
	{ "unshare", try_unshare, CALLS(SCMP_SYS(unshare)) },
	{ "mount", try_mount, CALLS(SCMP_SYS(unshare), SCMP_SYS(mount)) },
	{ "rlimit", try_rlimit, CALLS(SCMP_SYS(prlimit64), SCMP_SYS(getrlimit), SCMP_SYS(setrlimit)) },
	{ "dumpable", try_dumpable, NULL },
	{ "memfd", try_memfd, NULL },
	{ "io-uring", try_io_uring, NULL },
	{ "sockopt", try_sockopt, NULL },
};

static char from_file[32];	/* an attempt's name */
static bool let_through;

static const struct attempt *
attempt_of(const char *name)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		if (strcmp(attempts[i].name, name) == 0)
			return &attempts[i];
	return NULL;
}

static void
request(struct worker *w, const struct pm_request *r)
{
	const struct attempt *a = attempt_of(r->command);
	char text[64];

	if (strcmp(r->command, "wait") == 0)
		return;	/* to be looked at */
	if (a == NULL)
		a = attempt_of(from_file);
	if (a == NULL) {
		worker_done(w, r->id, 1, "no such attempt");
		return;
	}
	log_info("probe: trying=%s", a->name);
	if (a->try() == -1)
		snprintf(text, sizeof(text), "refused %s", strerrorname_np(errno));
	else
		snprintf(text, sizeof(text), "allowed");
	log_info("probe: %s", text);
	worker_done(w, r->id, 0, text);
}

static void
nothing(struct worker *w)
{
}

static int
accept_all(struct worker *w)
{
	return 0;
}

static int
accept_item(struct worker *w, const struct procmsg *m, int fd)
{
	if (fd != -1)
		close(fd);
	return 0;
}

static void
accept_port(struct worker *w, enum worker_kind kind, int fd)
{
	close(fd);
}

/* <own path>.try: the attempt's name, and perhaps "through". Read before anything is confined. */
static void
read_try_file(void)
{
	char path[4096], through[32] = "";
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 8);
	FILE *f;

	if (n <= 0)
		return;
	strcpy(path + n, ".try");
	f = fopen(path, "r");
	if (f == NULL)
		return;
	if (fscanf(f, "%31s %31s", from_file, through) < 1)
		from_file[0] = '\0';
	let_through = strcmp(through, "through") == 0;
	fclose(f);
}

/* 0: none. */
static long
landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);

	return abi > 0 ? abi : 0;
}

static int
kind_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	int kind = worker_parse(slash != NULL ? slash + 1 : path);

	return kind == -1 ? WORKER_TELEMD : kind;
}

int
main(int argc, char **argv)
{
	static const int sockopts[][2] = { { SOL_SOCKET, SO_LINGER }, { -1, -1 } };
	struct worker_ops ops = {
		.sockopts = sockopts, .nofile = 32, .conf_begin = nothing, .conf_item = accept_item, .conf_check = accept_all,
		.conf_commit = nothing, .conf_abort = nothing, .port = accept_port, .message = accept_item,
		.request = request,
	};
	const char *name = getenv("PROBE_LET_THROUGH");
	const struct attempt *a;

	parent = getppid();
	if (argc == 3 && strcmp(argv[1], "-x") == 0) {
		a = attempt_of(argv[2]);
		return a == NULL ? 2 : a->try() == -1;
	}
	if (argc == 2 && strcmp(argv[1], "-a") == 0)
		return printf("%ld\n", landlock_abi()) < 0;
	read_try_file();
	if (name == NULL && let_through)
		name = from_file;
	a = name != NULL ? attempt_of(name) : NULL;
	ops.kind = (enum worker_kind)kind_of(argv[0]);
	ops.syscalls = a != NULL ? a->calls : NULL;
	return worker_main(&ops, argc, argv);
}
