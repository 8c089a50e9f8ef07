/* A new configuration: whole or not at all. */
#ifndef FABRICD_RELOAD_H
#define FABRICD_RELOAD_H

#include "fabricd/control.h"

struct child;
struct fabricd;

/* Reads the configuration file anew and begins. The answer goes to `reply` and to the log. */
void	reload_start(struct fabricd *, const struct reply *);
void	reload_free(struct fabricd *);

/* A worker that is wired up and has no configuration gets the running one. */
void	reload_configure(struct child *);

/* Called by the others: a running worker's verdict (NULL: it agrees), a worker that got to run, one that ended. */
void	reload_verdict(struct child *, const char *bad);
void	reload_worker_ready(struct fabricd *);
void	reload_child_gone(struct fabricd *, struct child *);

#endif
