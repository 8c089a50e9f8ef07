/* The nodes that a neighbour has asked for, and hears of again: so many at most, and the one that it asked for first goes. */
#ifndef ROUTED_SUBS_H
#define ROUTED_SUBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

#define SUBS_MAX 256u

struct subs {			/* all zero: none; nothing is allocated before the first */
	uint8_t	(*ids)[NODE_ID_LEN];
	size_t	 n;
};

bool	subs_has(const struct subs *, const uint8_t *node_id);
void	subs_add(struct subs *, const uint8_t *node_id);	/* without memory: nothing */
void	subs_free(struct subs *);

#endif
