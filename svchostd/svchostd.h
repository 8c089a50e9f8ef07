/* svchostd: the node's services; in this release `echo'. svchostd(8). */
#ifndef SVCHOSTD_SVCHOSTD_H
#define SVCHOSTD_SVCHOSTD_H

#include "fabric/streamid.h"
#include "proc/worker.h"
#include "svchostd/echo.h"
#include "svchostd/nodes.h"
#include "svchostd/pinger.h"

struct event;

struct svchostd_conf {
	bool		 have_node, echo;
	struct pm_conf_node node;
	struct nodes	 peers;
};

struct svchostd {
	struct worker	*worker;
	struct svchostd_conf *conf, *pending;
	struct nodes	 nodes;
	struct echo	*echo;
	struct pinger	*pinger;
	struct ipc	*dataplane;	/* NULL while there is none */
	struct stream_ids ids;		/* on the channel to the dataplane */
	bool		 bound;		/* the dataplane knows that echo is here */
	struct event	*tick;
};

extern const struct worker_ops svchostd_ops;

#endif
