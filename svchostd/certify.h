/* svchostd's own half of every handshake: a key made at start, which the supervisor certifies again and again. */
#ifndef SVCHOSTD_CERTIFY_H
#define SVCHOSTD_CERTIFY_H

#include "fabric/e2e.h"
#include "proc/worker.h"

#define CERTIFY_AGAIN_S	10	/* an answer that is waited for is asked for again */

struct certify {
	struct e2e_self	self;
	uint64_t	renew_at;	/* seconds since 1970; 0: there is none yet */
	uint64_t	asked_ns;	/* 0: nothing is waited for */
	bool		configured;
};

/* -1 when the library fails. */
int	certify_init(struct certify *);

/* The node of the running configuration: asks when the key has no delegation for it. */
void	certify_node(struct certify *, struct worker *, const struct pm_conf_node *);

/* The supervisor's answer, which may come unasked. */
void	certify_take(struct certify *, const struct pm_delegation *);

/* Each second: asks when it is time. */
void	certify_tick(struct certify *, struct worker *);

#endif
