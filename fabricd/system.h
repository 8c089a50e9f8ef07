/*
 * What the machine says of itself and a confined worker cannot see: whether it runs on a battery, and by what kind of
 * network its packets leave. Read at the start, about once a minute, and when addresses or routes change.
 */
#ifndef FABRICD_SYSTEM_H
#define FABRICD_SYSTEM_H

#include "proc/procmsg.h"

/* From /sys and /proc below `root', "" for this machine's. What cannot be read is not known: zero. */
void	system_read(struct pm_system *, const char *root);

struct fabricd;
struct sysinfo;

/* NULL (logged): then routed is told nothing. Reads at once. */
struct sysinfo *system_new(struct fabricd *);
void	system_free(struct sysinfo *);

/* Reads again, and tells routed if something is another. NULL is fine, here and below. */
void	system_update(struct sysinfo *);

/* To routed, which is new and knows nothing. */
void	system_send(struct sysinfo *);

#endif
