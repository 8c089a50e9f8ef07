#include "fabricd/fabricd.h"

#include <string.h>
#include <unistd.h>

#include "fabricd/reload.h"

#define DRAIN_MS	2000
#define KILL_AFTER_MS	(DRAIN_MS + 500)	/* a worker that has drained still has to exit */

struct conf *
fabricd_read_conf(const struct fabricd *d, char err[CONF_ERR_MAX])
{
	struct conf *conf = conf_parse_file(d->conf_path, err);

	if (conf != NULL && d->run_dir != NULL)
		strcpy(conf->dir[DIR_RUN], d->run_dir);
	return conf;
}

static void
on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	struct fabricd *d = arg;

	(void)fd;
	(void)what;
	workers_kill(d);
}

void
fabricd_stop(struct fabricd *d)
{
	static const struct timeval limit = { KILL_AFTER_MS / 1000, KILL_AFTER_MS % 1000 * 1000 };

	if (d->stopping) {
		workers_kill(d);	/* asked twice */
		return;
	}
	log_info("stops");
	d->stopping = true;
	reload_free(d);
	if (!workers_stop(d, DRAIN_MS)) {
		event_base_loopbreak(d->base);
		return;
	}
	d->stop_timer = evtimer_new(d->base, on_stop_timer, d);
	if (d->stop_timer == NULL || event_add(d->stop_timer, &limit) == -1)
		workers_kill(d);
}

void
fabricd_running(struct fabricd *d)
{
	if (d->started_fd == -1)
		return;
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (d->child[k].state != CHILD_RUNNING)
			return;
	if (write(d->started_fd, "", 1) != 1)
		log_debug("nobody waits for the start any more");
	close(d->started_fd);
	d->started_fd = -1;
}

void
fabricd_reaped(struct fabricd *d)
{
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (d->child[k].pid != 0)
			return;
	event_base_loopbreak(d->base);
}
