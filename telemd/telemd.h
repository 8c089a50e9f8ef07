/* telemd: what all workers count, for who asks. telemd(8). */
#ifndef TELEMD_TELEMD_H
#define TELEMD_TELEMD_H

#include "proc/worker.h"
#include "telemd/pages.h"
#include "telemd/server.h"

struct telemd_conf {
	bool		 have_node;
	struct pm_conf_node node;
	size_t		 nsockets;
	int		 sockets[SERVER_SOCKETS_MAX];	/* owned until they are the server's */
};

struct telemd {
	struct worker	*worker;
	struct telemd_conf *conf, *pending;
	struct counter_pages pages;
	struct server	*server;
};

extern const struct worker_ops telemd_ops;

#endif
