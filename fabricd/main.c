/* fabricd(8): reads its configuration, opens what needs privilege, starts the workers, and waits. */
#include <sys/stat.h>

#include <bsd/unistd.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabricd/control.h"
#include "fabricd/dirs.h"
#include "fabricd/fabricd.h"
#include "fabricd/logs.h"
#include "fabricd/netwatch.h"
#include "fabricd/paths.h"
#include "fabricd/priv.h"
#include "fabricd/reload.h"
#include "fabricd/services.h"
#include "fabricd/system.h"
#include "fabricd/request.h"

#ifndef FABRIC_VERSION
#define FABRIC_VERSION "unknown"
#endif

struct options {
	bool foreground, check, print;
};

static void __attribute__((noreturn))
usage(void)
{
	fprintf(stderr, "usage: fabricd [-deUV] [-f file] [-S directory]\n       fabricd -n [-v] [-f file]\n");
	exit(2);
}

static void
parse_options(struct options *o, struct fabricd *d, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "def:nS:UvV")) != -1) {
		switch (c) {
		case 'd':
			o->foreground = true;
			break;
		case 'e':
			o->foreground = d->to_stderr = true;
			break;
		case 'f':
			d->conf_path = optarg;
			break;
		case 'n':
			o->check = true;
			break;
		case 'S':
			d->run_dir = optarg;
			break;
		case 'U':
			d->root = false;
			break;
		case 'v':
			o->print = true;
			break;
		case 'V':
			printf("fabricd %s\n", FABRIC_VERSION);
			exit(0);
		default:
			usage();
		}
	}
	if (optind != argc || (o->print && !o->check) ||
	    (d->run_dir != NULL && (d->run_dir[0] != '/' || strlen(d->run_dir) > CONF_RUN_MAX)))
		usage();
}

/* -n: what the text alone can tell. No file that it names is opened. */
static int
check(const struct fabricd *d, bool print)
{
	char err[CONF_ERR_MAX];
	struct conf *conf = fabricd_read_conf(d, err);

	if (conf == NULL) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	if (print)
		conf_print(stdout, conf);
	else
		fprintf(stderr, "configuration OK\n");
	conf_free(conf);
	return 0;
}

/* The path is used again at a reload, from another directory. */
static void
absolute_path(struct fabricd *d)
{
	char cwd[PATH_MAX], *path;

	if (d->conf_path[0] == '/')
		return;
	if (getcwd(cwd, sizeof(cwd)) == NULL || asprintf(&path, "%s/%s", cwd, d->conf_path) == -1)
		fatal("%s", d->conf_path);
	d->conf_path = path;
}

#define STARTED_WITHIN_MS	15000

/* What the shell waits for: when it goes on, the node answers. */
static void __attribute__((noreturn))
wait_for_start(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	switch (poll(&p, 1, STARTED_WITHIN_MS)) {
	case -1:
		fatal("poll");
	case 0:
		log_warnx("it is started, but not all of its workers run yet: see \"fabricctl health\"");
		break;
	default:
		if (read(fd, &c, 1) != 1)
			fatalx("it ended while it started: see its log");
	}
	_exit(0);
}

/* Errors until here go to the terminal; the parent leaves when the daemon is on its own and its workers run. */
static void
daemonise(struct fabricd *d)
{
	int null, fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1)
		fatal("pipe");
	switch (fork()) {
	case -1:
		fatal("fork");
	case 0:
		close(fds[0]);
		d->started_fd = fds[1];
		break;
	default:
		close(fds[1]);
		wait_for_start(fds[0]);
	}
	if (setsid() == -1 || (null = open("/dev/null", O_RDWR)) == -1)
		fatal("daemon");
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	static const struct reply nobody;
	struct fabricd *d = arg;

	(void)what;
	switch (sig) {
	case SIGCHLD:
		workers_reap(d);
		break;
	case SIGHUP:
		if (!d->stopping)
			reload_start(d, &nobody);
		break;
	case SIGUSR1:
		logs_reopen(d);
		break;
	default:
		fabricd_stop(d);
		break;
	}
}

static const int signals[] = { SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1 };
#define NSIGNALS (sizeof(signals) / sizeof(signals[0]))

static void
watch_signals(struct fabricd *d, struct event *ev[NSIGNALS])
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < NSIGNALS; i++) {
		ev[i] = evsignal_new(d->base, signals[i], on_signal, d);
		if (ev[i] == NULL || event_add(ev[i], NULL) == -1)
			fatalx("out of memory");
	}
}

/* Opens all that may fail, so that it fails before anything runs. */
static void
prepare(struct fabricd *d)
{
	char err[CONF_ERR_MAX];
	struct conf *conf = fabricd_read_conf(d, err);

	if (conf == NULL)
		fatalx("%s", err);
	dirs_check_lock(conf);
	if ((d->setup = setup_new(conf, NULL, d->root, err)) == NULL)
		fatalx("%s", err);
	d->log_level = conf->log_level;
	log_setlevel(d->log_level);
	dirs_make(d);
	dirs_lock(d);
	if (setup_apply(d->setup, NULL, err) == -1)
		fatalx("%s", err);
	d->version = 1;
	crypto_random(&d->secret, sizeof(d->secret));
}

static void
run(struct fabricd *d)
{
	struct event *ev[NSIGNALS];

	if ((d->base = event_base_new()) == NULL)
		fatalx("no event loop");
	watch_signals(d, ev);
	d->control = control_new(d);
	d->netwatch = netwatch_new(d);
	d->sysinfo = system_new(d);
	if ((d->services = services_new()) == NULL)
		fatalx("out of memory");
	netwatch_ignore(d->netwatch, d->setup->tun.ifindex);
	priv_drop(d->root);
	log_info("fabricd %s starts, node=%s", FABRIC_VERSION, d->setup->conf->name);
	workers_init(d);
	workers_start(d);
	if (event_base_dispatch(d->base) == -1)
		fatal("event loop");
	for (size_t i = 0; i < NSIGNALS; i++)
		event_free(ev[i]);
}

/* The control sockets last: who said stop waits for their end, and then finds nothing left. */
static void
clean_up(struct fabricd *d)
{
	setup_retire(d->setup, NULL);
	dirs_unlock(d);
	reload_free(d);
	requests_free();
	netwatch_free(d->netwatch);
	system_free(d->sysinfo);
	workers_free(d);
	services_free(d->services);
	setup_free(d->setup);
	crypto_wipe(&d->secret, sizeof(d->secret));
	control_free(d->control);
	d->control = NULL;
	if (d->stop_timer != NULL)
		event_free(d->stop_timer);
	event_base_free(d->base);
	log_info("has stopped");
}

/* Whoever started us may have closed 0, 1 or 2: they must not become something else. */
static void
sanitise_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd != -1 && fd <= STDERR_FILENO);
	if (fd == -1)
		exit(1);
	close(fd);
	closefrom(STDERR_FILENO + 1);
}

int
main(int argc, char **argv)
{
	struct options o = { .foreground = false };
	struct fabricd d = { .conf_path = PATH_CONF, .root = true, .started_fd = -1 };

	sanitise_fds();
	log_init("fabricd", STDERR_FILENO, LOG_LEVEL_INFO);
	parse_options(&o, &d, argc, argv);
	if (o.check)
		return check(&d, o.print);
	if (d.root && geteuid() != 0)
		fatalx("needs root, or -U");
	if (!d.root && geteuid() == 0)
		log_warnx("-U as root: the workers stay root, without any capability");
	crypto_init();
	umask(022);
	absolute_path(&d);
	prepare(&d);
	if (!o.foreground)
		daemonise(&d);
	dirs_write_pid();
	if (chdir("/") == -1)
		fatal("chdir");
	logs_begin(&d);
	run(&d);
	clean_up(&d);
	return 0;
}
