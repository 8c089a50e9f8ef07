#include "proc/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

/*
 * What every worker may do on descriptors that it has. Nothing here opens, makes a socket or a process, or
 * reaches another one.
 */
static const int base_syscalls[] = {
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev),
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(close),
	/* libevent; its epoll descriptor is made before */
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	/* memory; mmap and mprotect are below */
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	SCMP_SYS(futex), SCMP_SYS(getrandom), SCMP_SYS(fstat),
	SCMP_SYS(sysinfo),	/* qsort() of glibc, from a kilobyte on: how much memory there is */
	SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
	-1
};

static const int base_fcntls[] = {
	F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_GET_SEALS,
	-1
};

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
/* What the sanitizers' run time does when it reports, and while it keeps its shadow memory. */
static const int sanitizer_syscalls[] = {
	SCMP_SYS(sigaltstack), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield), SCMP_SYS(getrlimit),
	SCMP_SYS(prlimit64), SCMP_SYS(openat), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(lseek),
	SCMP_SYS(ioctl), SCMP_SYS(getuid), SCMP_SYS(getppid), SCMP_SYS(uname), SCMP_SYS(prctl),
	-1
};
static const bool limit_memory = false;	/* terabytes of shadow are reserved */

static bool confined;

/* The leak checker traces its own process, which no worker may; what is not confined goes on being checked. */
int	__lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return confined;
}

static void
note_confined(void)
{
	confined = true;
}
#else
static const int sanitizer_syscalls[] = { -1 };
static const bool limit_memory = true;

static void
note_confined(void)
{
}
#endif

/* Debian 12's headers know the first two ABIs of Landlock; the kernel's documentation has the others. */
struct landlock_rules {
	uint64_t fs;
	uint64_t net;		/* from ABI 4 on */
	uint64_t scoped;	/* from ABI 6 on */
};

struct landlock_below {
	uint64_t access;
	int32_t	 dir_fd;
} __attribute__((packed));

#define LL_VERSION		1u
#define LL_RULE_PATH_BENEATH	1
#define LL_FS_WRITE_FILE	(1ull << 1)
#define LL_FS_READ_FILE		(1ull << 2)
#define LL_FS_READ_DIR		(1ull << 3)
#define LL_FS_REMOVE_FILE	(1ull << 5)
#define LL_FS_MAKE_REG		(1ull << 8)
#define LL_FS_TRUNCATE		(1ull << 14)
#define LL_FS_ALL(bits)		((1ull << (bits)) - 1)
#define LL_FS_FILES		(LL_FS_WRITE_FILE | LL_FS_READ_FILE | LL_FS_READ_DIR | \
				LL_FS_REMOVE_FILE | LL_FS_MAKE_REG | LL_FS_TRUNCATE)
#define LL_NET_BIND_CONNECT_TCP	3ull
#define LL_SCOPE_SOCKET_SIGNAL	3ull

/* A namespace with nothing in it, not even an address of lo; descriptors of sockets elsewhere go on working. */
static void
leave_network(void)
{
	if (unshare(CLONE_NEWNET) == -1)
		fatal("sandbox: network namespace");
}

static void
enter_root(const struct sandbox *s)
{
	if (s->chroot == NULL)
		fatalx("sandbox: no directory for chroot");
	if (chroot(s->chroot) == -1 || chdir("/") == -1)
		fatal("sandbox: chroot to %s", s->chroot);
}

/* Without CAP_SETPCAP, under fabricd -U, it stays; no_new_privs then makes it worthless. */
static void
drop_bounding_set(bool must)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) == -1 && (must || errno != EPERM))
			fatal("sandbox: bounding set, capability %d", cap);
}

static void
become_user(const struct sandbox *s)
{
	if (s->uid == 0 || s->gid == 0)
		fatalx("sandbox: a worker cannot be root");
	if (setgroups(0, NULL) == -1)
		fatal("sandbox: groups");
	if (setresgid(s->gid, s->gid, s->gid) == -1)
		fatal("sandbox: gid %u", (unsigned)s->gid);
	if (setresuid(s->uid, s->uid, s->uid) == -1)
		fatal("sandbox: uid %u", (unsigned)s->uid);
	if (setuid(0) != -1 || setgid(0) != -1)
		fatalx("sandbox: root can be had back");
}

static void
drop_capabilities(void)
{
	cap_t none = cap_init(), now;

	if (none == NULL || cap_set_proc(none) == -1)
		fatal("sandbox: capabilities");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		fatal("sandbox: ambient capabilities");
	now = cap_get_proc();
	if (now == NULL || cap_compare(now, none) != 0)
		fatalx("sandbox: capabilities are left");
	cap_free(now);
	cap_free(none);
}

static void
limit(int which, const char *name, rlim_t value)
{
	struct rlimit rl = { value, value };

	if (setrlimit(which, &rl) == -1)
		fatal("sandbox: limit %s to %llu", name, (unsigned long long)value);
}

/* No more than the system lets it have. */
static void
limit_files(rlim_t want)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("sandbox: limit nofile");
	limit(RLIMIT_NOFILE, "nofile", want < rl.rlim_max ? want : rl.rlim_max);
}

/*
 * No RLIMIT_FSIZE: the log is a file. NPROC counts what the user has anywhere, and under fabricd -U that is
 * everything of theirs; fork is not in the filter anyway.
 */
static void
set_limits(const struct sandbox *s)
{
	limit(RLIMIT_CORE, "core", 0);
	limit_files(s->nofile);
	if (s->privileged)
		limit(RLIMIT_NPROC, "nproc", 0);
	if (s->memory != 0 && limit_memory)
		limit(RLIMIT_DATA, "data", s->memory);
}

/* After the change of user, which resets both. */
static void
set_process(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("sandbox: dumpable");
	/* The control channel's end says the same, but to a worker that hangs it says nothing. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		fatal("sandbox: signal at the supervisor's end");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("sandbox: no_new_privs");
}

static unsigned
landlock_fs_bits(long abi)
{
	return abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;
}

static void
landlock_allow_files(int rules, uint64_t handled)
{
	struct landlock_below below = { LL_FS_FILES & handled, -1 };

	below.dir_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (below.dir_fd == -1 ||
	    syscall(SYS_landlock_add_rule, rules, LL_RULE_PATH_BENEATH, &below, 0) == -1)
		fatal("sandbox: landlock, working directory");
	close(below.dir_fd);
}

/* Everything that this kernel can deny is denied. */
static void
enter_landlock(bool files)
{
	struct landlock_rules r = { 0, LL_NET_BIND_CONNECT_TCP, LL_SCOPE_SOCKET_SIGNAL };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LL_VERSION);
	size_t size = abi >= 6 ? sizeof(r) : abi >= 4 ? offsetof(struct landlock_rules, scoped) : sizeof(r.fs);
	int fd;

	if (abi == -1 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
		log_info("sandbox: this kernel has no landlock");
		return;
	}
	r.fs = LL_FS_ALL(landlock_fs_bits(abi));
	fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
	if (fd == -1)
		fatal("sandbox: landlock, abi %ld", abi);
	if (files)
		landlock_allow_files(fd, r.fs);
	if (syscall(SYS_landlock_restrict_self, fd, 0) == -1)
		fatal("sandbox: landlock");
	close(fd);
}

static void
allow(scmp_filter_ctx ctx, const int *list)
{
	int err;

	/* Negative numbers other than the end are names that this architecture does not have. */
	for (; *list != -1; list++) {
		err = *list < 0 ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, *list, 0);
		if (err != 0) {
			errno = -err;
			fatal("sandbox: filter, system call %d", *list);
		}
	}
}

static void
allow_if(scmp_filter_ctx ctx, int nr, struct scmp_arg_cmp arg)
{
	int err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1, arg);

	if (err != 0) {
		errno = -err;
		fatal("sandbox: filter, system call %d with an argument", nr);
	}
}

static void
allow_sockopts(scmp_filter_ctx ctx, const int (*o)[2])
{
	int err = 0;

	for (; o != NULL && (*o)[0] != -1 && err == 0; o++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
		    SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)(*o)[0], 0), SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)(*o)[1], 0));
	if (err != 0) {
		errno = -err;
		fatal("sandbox: filter, socket options");
	}
}

static void
allow_by_argument(scmp_filter_ctx ctx)
{
	allow_if(ctx, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	allow_if(ctx, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (const int *f = base_fcntls; *f != -1; f++)
		allow_if(ctx, SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)*f, 0));
	/* a new log becomes stderr as well */
	allow_if(ctx, SCMP_SYS(dup2), SCMP_A1(SCMP_CMP_EQ, STDERR_FILENO, 0));
	/* abort() */
	allow_if(ctx, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	/* fstat() of glibc: what is behind a descriptor */
	allow_if(ctx, SCMP_SYS(newfstatat), SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH, 0));
}

static void
enter_filter(const struct sandbox *s)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (ctx == NULL)
		fatalx("sandbox: filter");
	/* A call by another architecture's numbers is no mistake of ours. */
	err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (err == 0)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	allow(ctx, base_syscalls);
	allow_by_argument(ctx);
	allow(ctx, sanitizer_syscalls);
	if (s->syscalls != NULL)
		allow(ctx, s->syscalls);
	allow_sockopts(ctx, s->sockopts);
	if (err == 0)
		err = seccomp_load(ctx);
	if (err != 0) {
		errno = -err;
		fatal("sandbox: filter");
	}
	seccomp_release(ctx);
}

static void
enter_as_root(const struct sandbox *s)
{
	if (!s->network)
		leave_network();
	enter_root(s);
	drop_bounding_set(true);
	become_user(s);
}

static void
enter_as_user(const struct sandbox *s)
{
	if (s->chroot != NULL && chdir(s->chroot) == -1)
		fatal("sandbox: working directory %s", s->chroot);
	drop_bounding_set(false);
}

void
sandbox_enter(const struct sandbox *s)
{
	if (s->privileged)
		enter_as_root(s);
	else
		enter_as_user(s);
	drop_capabilities();
	set_limits(s);
	set_process();
	enter_landlock(s->files);
	enter_filter(s);
	note_confined();
}
