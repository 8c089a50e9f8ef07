/*
 * The connections' deadlines: a heap and one timerfd. libevent's precise timers set their timerfd before every wait,
 * which costs a sixth of a busy dataplane; here it is set only when the earliest deadline comes closer.
 */
#ifndef DATAPLANE_TIMER_H
#define DATAPLANE_TIMER_H

#include <stddef.h>
#include <stdint.h>

struct event_base;

/* One deadline, inside what it is for. */
struct timer {
	uint64_t at_ns;		/* CLOCK_MONOTONIC */
	size_t	 place;		/* in the heap, from 1; 0: not set */
};

struct timers;

/* `due` is called from the event loop when one or more may be due. NULL with errno. */
struct timers *timers_new(struct event_base *, void (*due)(void *), void *arg);
void	timers_free(struct timers *);

/* Makes room for one more timer: -1 when memory is short. Give it back with timers_release(). */
int	timers_reserve(struct timers *);
void	timers_release(struct timers *, struct timer *);

/* Sets or moves it. */
void	timers_set(struct timers *, struct timer *, uint64_t at_ns);

/* Takes one that is due, or NULL. */
struct timer *timers_due(struct timers *, uint64_t now_ns);

/* Before the loop waits again: sees to it that the earliest one wakes it. */
void	timers_arm(struct timers *);

#endif
