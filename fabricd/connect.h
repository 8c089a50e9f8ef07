/* svchostd asks for a connection to a service's target: it makes no sockets, and never learns of another address. */
#ifndef FABRICD_CONNECT_H
#define FABRICD_CONNECT_H

#include "proc/procmsg.h"

struct child;

#define CONNECT_RATE	5000	/* a second */
#define CONNECT_BURST	1000

/*
 * Answers with PM_CONNECTED: a socket to the target that the running configuration has for the service, which may still
 * be connecting, or an errno: ENOENT when there is no such target, EAGAIN when too many are asked for, or connect(2)'s.
 * Always 0: a service may be gone since svchostd last heard of it.
 */
int	connect_target(struct child *, const struct pm_connect *);

#endif
