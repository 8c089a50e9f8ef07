/*
 * The supervisor as a whole. Small, privileged, one thread; it opens, starts, wires and restarts, and
 * parses nothing that came from the network.
 */
#ifndef FABRICD_FABRICD_H
#define FABRICD_FABRICD_H

#include <event2/event.h>

#include "fabricd/setup.h"
#include "fabricd/workers.h"

struct control;
struct netwatch;
struct services;
struct sysinfo;
struct reload;

struct fabricd {
	struct event_base *base;
	const char	*conf_path;
	const char	*run_dir;	/* -S: instead of the configured one; may be NULL */
	bool		 root;		/* false: -U, one user, no chroot, no interfaces */
	bool		 to_stderr;	/* -e: no log files */
	bool		 stopping;
	int		 started_fd;	/* told once that all workers run; -1: nobody waits for that */
	struct setup	*setup;		/* what runs */
	uint64_t	 version;	/* of the configuration that runs: counts from 1 */
	enum log_level	 log_level;
	struct child	 child[WORKER_COUNT];
	struct control	*control;
	struct netwatch	*netwatch;
	struct services	*services;
	struct sysinfo	*sysinfo;
	struct reload	*reload;	/* not NULL: one is under way */
	struct pm_secret secret;	/* outlives every dataplane */
	struct event	*stop_timer;
};

/* Reads the configuration as the options have it. NULL and err. */
struct conf *fabricd_read_conf(const struct fabricd *, char err[CONF_ERR_MAX]);

/* Drains the workers, then ends the event loop. */
void	fabricd_stop(struct fabricd *);
/* A worker has its configuration: with the last of them the node is started. */
void	fabricd_running(struct fabricd *);
/* A worker has ended: the last of them ends a stop. */
void	fabricd_reaped(struct fabricd *);

#endif
