/*
 * Whose turn it is at a port: the streams that have something to send there. Control goes first, for as many bytes as the
 * others send; then deficit round robin over the classes by weight and over the streams of a class. It holds no data:
 * who has the turn is asked for one frame, when the carrier has room for it.
 */
#ifndef FABRIC_TURN_H
#define FABRIC_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "wire/frame.h"

#define TURN_QUANTUM		1514	/* bytes of a stream's turn */
#define TURN_CLASS_QUANTUM	600	/* bytes of a class's round and unit of weight */

struct turn_entry {
	TAILQ_ENTRY(turn_entry) link;
	int	deficit;
	uint8_t	class;
	uint8_t	tag;		/* the owner's, to tell what it is part of */
	bool	listed;
	bool	blocked;	/* its owner's carrier takes nothing of it now */
};

TAILQ_HEAD(turn_list, turn_entry);

struct turn {
	struct turn_list list[CLASS_COUNT];
	int		 deficit[CLASS_COUNT];
	uint8_t		 weight[CLASS_COUNT];
	int64_t		 control_tokens;
	size_t		 n;		/* entries that wait */
};

#define TURN_WEIGHT_MAX		100
extern const uint8_t turn_usual[CLASS_COUNT];	/* the weights of classes, unless they are configured */

/* weight: of each class, to TURN_WEIGHT_MAX; 0, or NULL for all of them, is the usual one. */
void	turn_init(struct turn *, const uint8_t *weight);

/* Other weights, from the next round on. */
void	turn_weigh(struct turn *, const uint8_t *weight);

void	turn_entry_init(struct turn_entry *, unsigned class);

/* It has something to send. Nothing when that was known, or while it is blocked. */
void	turn_add(struct turn *, struct turn_entry *);
void	turn_remove(struct turn *, struct turn_entry *);

/* It has no turn, whatever it has to send, until turn_unblock(); then it is to be added again. */
void	turn_block(struct turn *, struct turn_entry *);
void	turn_unblock(struct turn_entry *);

/* The one to send next, or NULL. It stays where it is until turn_sent() or turn_remove(). */
struct turn_entry *turn_next(struct turn *);

/* The same among the classes up to this one, when the others have to wait. */
struct turn_entry *turn_next_upto(struct turn *, unsigned class);

/* It sent so many bytes; `more`: and has more to send. */
void	turn_sent(struct turn *, struct turn_entry *, size_t bytes, bool more);

static inline bool
turn_idle(const struct turn *t)
{
	return t->n == 0;
}

#endif
