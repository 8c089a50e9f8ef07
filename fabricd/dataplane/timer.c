#include "fabricd/dataplane/timer.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"

struct timers {
	struct timer **heap;	/* from 1 */
	size_t	       len, reserved, size;
	int	       fd;
	uint64_t       armed_ns;	/* what the descriptor is set to; 0: nothing */
	struct event  *ev;
	void	     (*due)(void *);
	void	      *arg;
};

static void
on_fd(evutil_socket_t fd, short what, void *arg)
{
	struct timers *t = arg;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return;
	t->armed_ns = 0;
	t->due(t->arg);
}

struct timers *
timers_new(struct event_base *base, void (*due)(void *), void *arg)
{
	struct timers *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	t->due = due;
	t->arg = arg;
	t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (t->fd == -1 || (t->ev = event_new(base, t->fd, EV_READ | EV_PERSIST, on_fd, t)) == NULL ||
	    event_add(t->ev, NULL) == -1) {
		timers_free(t);
		return NULL;
	}
	return t;
}

void
timers_free(struct timers *t)
{
	if (t == NULL)
		return;
	if (t->ev != NULL)
		event_free(t->ev);
	if (t->fd != -1)
		close(t->fd);
	free(t->heap);
	free(t);
}

int
timers_reserve(struct timers *t)
{
	if (t->reserved + 1 >= t->size) {
		size_t size = t->size == 0 ? 16 : t->size * 2;
		struct timer **heap = reallocarray(t->heap, size, sizeof(*heap));

		if (heap == NULL)
			return -1;
		t->heap = heap;
		t->size = size;
	}
	t->reserved++;
	return 0;
}

static void
put(struct timers *t, size_t at, struct timer *tm)
{
	t->heap[at] = tm;
	tm->place = at;
}

static void
sift_up(struct timers *t, struct timer *tm)
{
	size_t at = tm->place;

	for (; at > 1 && t->heap[at / 2]->at_ns > tm->at_ns; at /= 2)
		put(t, at, t->heap[at / 2]);
	put(t, at, tm);
}

static void
sift_down(struct timers *t, struct timer *tm)
{
	size_t at = tm->place, next;

	for (; (next = at * 2) <= t->len; at = next) {
		if (next < t->len && t->heap[next + 1]->at_ns < t->heap[next]->at_ns)
			next++;
		if (t->heap[next]->at_ns >= tm->at_ns)
			break;
		put(t, at, t->heap[next]);
	}
	put(t, at, tm);
}

static void
take_out(struct timers *t, struct timer *tm)
{
	struct timer *last = t->heap[t->len--];
	size_t at = tm->place;

	tm->place = 0;
	if (last == tm)
		return;
	put(t, at, last);
	sift_up(t, last);
	sift_down(t, last);
}

void
timers_release(struct timers *t, struct timer *tm)
{
	if (tm->place != 0)
		take_out(t, tm);
	t->reserved--;
}

void
timers_set(struct timers *t, struct timer *tm, uint64_t at_ns)
{
	tm->at_ns = at_ns;
	if (tm->place == 0)
		put(t, ++t->len, tm);
	sift_up(t, tm);
	sift_down(t, tm);
}

struct timer *
timers_due(struct timers *t, uint64_t now_ns)
{
	struct timer *tm;

	if (t->len == 0 || (tm = t->heap[1])->at_ns > now_ns)
		return NULL;
	take_out(t, tm);
	return tm;
}

void
timers_arm(struct timers *t)
{
	struct itimerspec its = { 0 };
	uint64_t at;

	/* One that is set too early finds nothing due and is set again: cheaper than to move it for every packet. */
	if (t->len == 0 || (t->armed_ns != 0 && t->armed_ns <= t->heap[1]->at_ns))
		return;
	at = t->heap[1]->at_ns > 0 ? t->heap[1]->at_ns : 1;
	its.it_value.tv_sec = (time_t)(at / NS_PER_SEC);
	its.it_value.tv_nsec = (long)(at % NS_PER_SEC);
	if (timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &its, NULL) == -1)
		log_warn("timer");
	t->armed_ns = at;
}
