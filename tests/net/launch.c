/*
 * launch [-u uid -c chroot] WORKER-EXECUTABLE COMMAND: plays the supervisor for one worker. Starts it on the
 * descriptors that worker.h names, waits for PM_READY, sends one request, and prints how that ended: the text of
 * the answer, "killed SIGNAL" or "exit STATUS". With -k the worker gets no request: this process ends, and
 * the worker has to follow.
 */
#include <err.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/ipc.h"
#include "proc/stats.h"
#include "proc/worker.h"

#define SECONDS_AT_MOST 20

static struct event_base *base;
static const char *command;
static bool leave;
static char answer[PM_TEXT_MAX + 1];

static int
on_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct procmsg m, req = { .type = PM_REQUEST, .request = { .id = 1 } };
	pid_t *pid = arg;

	if (procmsg_decode(&m, f) != 0)
		return -1;
	if (m.type == PM_READY && leave) {
		printf("%d\n", (int)*pid);
		fflush(stdout);
		_exit(0);
	}
	if (m.type == PM_READY) {
		snprintf(req.request.command, sizeof(req.request.command), "%s", command);
		if (procmsg_send(ipc, &req, -1) == -1)
			err(1, "request");
		ipc_flush(ipc);
	} else if (m.type == PM_DONE) {
		memcpy(answer, m.done.text, sizeof(answer));
		event_base_loopbreak(base);
	}
	return 0;
}

static void
on_closed(struct ipc *ipc, const char *why, void *arg)
{
	event_base_loopbreak(base);
}

static const struct ipc_ops ops = { .frame = on_frame, .closed = on_closed };

static void
place(int from, int to)
{
	if (dup2(from, to) == -1)
		err(1, "dup2");
}

static void
exec_worker(const char *path, int ctl, const char *uid, const char *chroot_dir)
{
	int log = fcntl(STDERR_FILENO, F_DUPFD, 20), page = fcntl(stats_create(), F_DUPFD, 20);
	const char *argv[12] = { path, "-g", "1", "-l", "debug", NULL };
	int n = 5;

	ctl = fcntl(ctl, F_DUPFD, 20);
	place(ctl, WORKER_FD_CTL);
	place(log, WORKER_FD_LOG);
	place(page, WORKER_FD_STATS);
	if (uid != NULL) {
		argv[n++] = "-u";
		argv[n++] = uid;
		argv[n++] = "-G";
		argv[n++] = uid;
	}
	if (chroot_dir != NULL) {
		argv[n++] = "-c";
		argv[n++] = chroot_dir;
	}
	argv[n] = NULL;
	execv(path, (char *const *)(uintptr_t)argv);
	err(1, "%s", path);
}

static void
report(pid_t pid)
{
	int status;

	if (answer[0] != '\0')
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) == -1)
		err(1, "waitpid");
	if (answer[0] != '\0')
		puts(answer);
	else if (WIFSIGNALED(status))
		printf("killed SIG%s\n", sigabbrev_np(WTERMSIG(status)));
	else
		printf("exit %d\n", WEXITSTATUS(status));
}

int
main(int argc, char **argv)
{
	const char *uid = NULL, *chroot_dir = NULL;
	struct ipc *ipc;
	pid_t pid;
	int c, fds[2];

	while ((c = getopt(argc, argv, "u:c:k")) != -1) {
		if (c == 'u')
			uid = optarg;
		else if (c == 'c')
			chroot_dir = optarg;
		else if (c == 'k')
			leave = true;
		else
			return 2;
	}
	if (argc - optind != 2)
		errx(2, "usage: launch [-k] [-u uid] [-c chroot] worker command");
	command = argv[optind + 1];
	if (ipc_pair(fds) == -1)
		err(1, "ipc_pair");
	pid = fork();
	if (pid == 0)
		exec_worker(argv[optind], fds[1], uid, chroot_dir);
	close(fds[1]);
	base = event_base_new();
	ipc = ipc_new(base, fds[0], &ops, &pid);
	alarm(SECONDS_AT_MOST);
	event_base_dispatch(base);
	report(pid);
	ipc_free(ipc);
	event_base_free(base);
	return 0;
}
