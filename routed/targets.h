/* What the dataplane is told to hold sessions to: the directory's configured peers, and then only differences. */
#ifndef ROUTED_TARGETS_H
#define ROUTED_TARGETS_H

#include "routed/directory.h"

struct ipc;

/*
 * Sends what the dataplane does not know yet. Every configured peer is a target; one without any address is a
 * target that is not dialled. 0, or -1 with errno EAGAIN: the channel is full, call again when it is writable.
 */
int	targets_sync(struct directory *, struct ipc *);

/* The dataplane is gone or new: it knows nothing. */
void	targets_forget(struct directory *);

#endif
