/* One log file a daemon, opened here, so that no worker needs a path. */
#ifndef FABRICD_LOGS_H
#define FABRICD_LOGS_H

struct fabricd;

/* Opens <log directory>/<name>.log for appending; with -e, a copy of stderr. A descriptor or -1 (logged). */
int	logs_open(const struct fabricd *, const char *name);

/* The supervisor's own lines go to its file from now on. */
void	logs_begin(struct fabricd *);

/* SIGUSR1: every file anew, and to every worker its descriptor. */
void	logs_reopen(struct fabricd *);

#endif
