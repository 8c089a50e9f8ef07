/* routed: the peer directory of this node, and what the dataplane should hold sessions to. routed(8). */
#ifndef ROUTED_ROUTED_H
#define ROUTED_ROUTED_H

#include "base/ratelimit.h"
#include "proc/worker.h"
#include "routed/conf.h"
#include "routed/directory.h"
#include "routed/route_answers.h"
#include "routed/store.h"

#define ANSWERS_MAX	8	/* requests of fabricctl under way at a time */

struct event;
struct spread;

/* One request being answered: its rows leave as the control channel takes them. */
struct answer {
	bool		 used;
	enum { ANSWER_PEERS, ANSWER_STATUS, ANSWER_SERVICES, ANSWER_NODES } what;
	uint64_t	 id;
	uint8_t		(*ids)[NODE_ID_LEN];
	size_t		 n, next;
	size_t		 next_service;	/* of that node's */
};

struct routed {
	struct worker	*worker;
	struct directory *dir;
	struct store	*store;
	struct routed_conf *pending, *conf;
	struct ipc	*dataplane;	/* NULL while there is none */
	struct spread	*spread;
	struct event	*tick, *answer_timer;
	struct event	*again;		/* there are more services to tell */
	struct ratelimit refused_logs;
	uint64_t	 ticks;
	struct answer	 answers[ANSWERS_MAX];
	struct route_answers route_answers;
};

extern const struct worker_ops routed_ops;

/* answers.c */
void	answers_init(struct routed *);
void	answers_request(struct worker *, const struct pm_request *);

#endif
