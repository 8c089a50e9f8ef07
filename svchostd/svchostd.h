/* svchostd: the node's services, `echo' and those with a TCP target, and the ways into others'. svchostd(8). */
#ifndef SVCHOSTD_SVCHOSTD_H
#define SVCHOSTD_SVCHOSTD_H

#include "fabric/streamid.h"
#include "proc/worker.h"
#include "svchostd/certify.h"
#include "svchostd/echo.h"
#include "svchostd/hub.h"
#include "svchostd/local.h"
#include "svchostd/names.h"
#include "svchostd/nodes.h"
#include "svchostd/pinger.h"
#include "svchostd/tcp.h"

#define SVCHOSTD_STREAMS_MAX 8192	/* reliable ones, each with a descriptor; less when the system allows less */
#define SVCHOSTD_FDS	     256	/* descriptors for all else */
#define SVCHOSTD_BUFFERS     (384u << 20) /* bytes that streams may be promised */

struct event;

struct svchostd_conf {
	bool		 have_node, echo;
	struct pm_conf_node node;
	struct nodes	 peers;
	struct tcp_conf	 tcp;
	struct ways	*ways;
};

struct svchostd {
	struct worker	*worker;
	struct svchostd_conf *conf, *pending;
	struct nodes	 nodes;
	struct echo	*echo;
	struct pinger	*pinger;
	struct ipc	*dataplane;	/* NULL while there is none */
	struct stream_ids ids;		/* on the channel to the dataplane */
	char		 bound[TCP_SERVICES_MAX + 1][FRAME_SERVICE_MAX + 1];	/* services that the dataplane knows to be here */
	size_t		 nbound;
	struct certify	 certify;
	struct hub	*hub;
	struct tcp	*tcp;
	struct names	*names;
	uint64_t	 sweep_ns;	/* when names that were not told again are forgotten; 0: nothing is told yet, or all is */
	bool		 names_stale;
	struct local	*local;
	size_t		 streams_max;
	struct event	*tick;
};

extern const struct worker_ops svchostd_ops;

#endif
