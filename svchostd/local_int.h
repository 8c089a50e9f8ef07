/* What svchostd/local.c and svchostd/listen.c share. */
#ifndef SVCHOSTD_LOCAL_INT_H
#define SVCHOSTD_LOCAL_INT_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "base/ratelimit.h"
#include "svchostd/local.h"
#include "svchostd/pump.h"
#include "svchostd/socks.h"

/* A listener. */
struct way {
	TAILQ_ENTRY(way) entry;
	struct pm_conf_listen conf;
	int		 fd;
	struct local	*local;		/* NULL: not taken over yet */
	struct event	 readable, again;
	bool		 waiting;	/* takes nobody until a guest has left, or `again' */
	unsigned	 guests;
	uint64_t	 accepted, failed;
};
TAILQ_HEAD(way_list, way);

struct ways {
	struct way_list	list;
	unsigned	n;
};

struct guest {
	TAILQ_ENTRY(guest) entry;
	struct local	*local;
	struct way	*way;		/* NULL: it came by PM_LOCAL, or the listener is gone */
	enum { GUEST_CONTROL, GUEST_TCP, GUEST_SOCKS } kind;
	uint64_t	 request;	/* GUEST_CONTROL */
	int		 fd;		/* -1: it is the pump's */
	struct pump	*pump;
	bool		 opened;
	struct socks	*socks;		/* until the request is whole */
	struct event	 readable;
	uint64_t	 deadline_ns;
	bool		 waits;		/* for a way to this node */
	uint8_t		 away[NODE_ID_LEN];
	char		 target[TARGET_MAX + 1];
};

struct local {
	struct local_env env;
	struct ways	*ways;
	TAILQ_HEAD(, guest) guests;
	size_t		 nguests, nwait;
	struct event	*wait;		/* each second while guests wait */
	struct ratelimit log_rate;
};

/* A connection that a listener took: fd is owned from here on. */
void	guest_arrive(struct local *, struct way *, int fd);

/* A guest of some listener has left: those that wait for room take again. */
void	ways_room(struct local *);

#endif
