/* Requests of fabricctl: answered here, or handed to the worker that holds the state. */
#ifndef FABRICD_REQUEST_H
#define FABRICD_REQUEST_H

#include "fabricd/control.h"
#include "proc/procmsg.h"

#define REQUEST_CLIENT_MAX 4	/* without their end, a client */

struct child;

/* The end of the answer always comes. `may_change`: what the client's socket allows. */
void	request_start(struct fabricd *, const struct reply *, const struct pm_request *, bool may_change);

/* A worker answers. -1: it was not asked. */
int	request_row(struct child *, const struct pm_row *);
int	request_done(struct child *, const struct pm_done *);

/* What it was asked and has not answered is answered for it. */
void	request_child_gone(struct fabricd *, struct child *);

void	requests_free(void);

#endif
