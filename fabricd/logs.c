#include "fabricd/logs.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fabricd/fabricd.h"

int
logs_open(const struct fabricd *d, const char *name)
{
	char path[CONF_PATH_MAX + 32];
	int fd;

	if (d->to_stderr)
		return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	snprintf(path, sizeof(path), "%s/%s.log", d->setup->conf->dir[DIR_LOG], name);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (fd == -1)
		log_warn("%s", path);
	return fd;
}

void
logs_begin(struct fabricd *d)
{
	int fd = logs_open(d, "fabricd");

	if (fd != -1)
		log_setfd(fd);
}

static void
reopen_child(struct child *c)
{
	struct procmsg m = { .type = PM_LOG, .log = { (uint8_t)c->fabricd->log_level, true } };
	int fd = logs_open(c->fabricd, worker_name(c->kind));

	if (fd == -1)
		return;
	if (c->log_fd != -1)
		close(c->log_fd);
	c->log_fd = fd;
	if (child_is_up(c))
		child_send(c, &m, fd);
}

void
logs_reopen(struct fabricd *d)
{
	logs_begin(d);
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		reopen_child(&d->child[k]);
	log_info("log files are opened anew");
}
