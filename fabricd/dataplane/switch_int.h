/* Between switch.c and target.c. */
#ifndef DATAPLANE_SWITCH_INT_H
#define DATAPLANE_SWITCH_INT_H

#include "fabricd/dataplane/switch.h"

/* Where a stream that wants to open has to go. */
struct target {
	struct port	*port;		/* NULL: nowhere */
	struct route	*route;		/* NULL: over none */
	const uint8_t	*source;	/* at a worker of this node: who opens it */
	uint64_t	 reason;	/* why it goes nowhere */
	bool		 follows;	/* a worker's, that was moved */
};

void	switch_target(struct port *from, const struct frame_open_stream *, struct target *);
/* An OPEN that has just come in: REASON_NONE, or why it is not even looked where it has to go. */
uint64_t switch_too_fast(const struct port *from, const struct frame_open_stream *);

bool	switch_service_is(const struct frame_open_stream *, const char *name);

#endif
