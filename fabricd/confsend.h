/* The configuration transaction towards one worker. */
#ifndef FABRICD_CONFSEND_H
#define FABRICD_CONFSEND_H

#include <stdint.h>

struct child;
struct confsend;
struct setup;

/*
 * Begins to send BEGIN, the items of c's kind, END; goes on whenever the channel has room. `s` must
 * live until the answer. Kills the worker on failure.
 */
void	confsend_start(struct child *c, const struct setup *s, uint64_t version);

/* The channel has room. */
void	confsend_continue(struct child *c);

/* What is left is not sent; NULL is fine. */
void	confsend_free(struct confsend *);

#endif
