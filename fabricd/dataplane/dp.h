/*
 * The dataplane worker's own things: what its files share. main.c is thin, so that tests run several of these
 * in one process.
 *
 * The order of work in every event callback is the same: take in all that is there, then dp_flush() writes what
 * that caused. Nothing is freed before dp_flush(), so callbacks may mark anything for its end.
 */
#ifndef DATAPLANE_DP_H
#define DATAPLANE_DP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/ratelimit.h"
#include "fabric/pressure.h"
#include "fabric/sched.h"
#include "fabric/session.h"
#include "fabricd/dataplane/switch.h"
#include "proc/ipc.h"
#include "proc/procmsg.h"
#include "proc/row.h"

#define DP_SOCKETS_MAX		16u
#define DP_PEERS_MAX		4096u		/* nodes known by configuration or from routed */
#define DP_HALF_OPEN_MAX	512u		/* connections that are not authenticated */
#define DP_STREAMS_MAX		4096u		/* a side of a session */
#define DP_WORKER_STREAMS_MAX	65536u		/* a side of a worker's port */
#define DP_DATAGRAM_MAX		1472u		/* bytes of frames in one DATAGRAM: of a 1500 byte path's packet */
#define DP_POOL_BYTES		(8u << 20)
#define MTU_SETTLED_NS		(5ull * 1000 * 1000 * 1000)	/* path MTU discovery gives up a probe well before */
#define DP_SESSION_BYTES	(4u << 20)	/* queued for one session */

struct event;
struct event_base;
struct conn;
struct dataplane;
struct peer;
struct udp_sock;
struct cid_table;
struct tls;
struct prefix_table;
struct timers;

/* Upwards: to the supervisor, or to a test that stands for it. */
struct dp_ops {
	void	(*send)(const struct procmsg *, void *arg);
	void	(*row)(uint64_t id, const struct row_writer *, void *arg);
	void	(*done)(uint64_t id, unsigned status, const char *text, void *arg);
	void	(*drained)(void *arg);
};

struct dp_socket_conf {
	int		fd;	/* -1 once it is taken */
	struct pm_addr	addr;
};

/* One configuration, as it is put together and then runs. */
struct dp_conf {
	struct pm_conf_node	node;
	struct pm_conf_session	session;
	struct dp_socket_conf	sockets[DP_SOCKETS_MAX];
	size_t			nsockets;
	struct pm_conf_peer	*peers;
	size_t			npeers;
	bool			has_node, has_session;
};

/* The channel of a worker of this node. */
struct wport {
	struct port	  port;
	struct dataplane *dp;
	struct ipc	 *ipc;		/* NULL: none now */
	enum worker_kind  kind;
	bool		  dirty;	/* has something to flush */
	bool		  broken;	/* to be closed at dp_flush() */
	bool		  in_batch;	/* its frames are being read */
	struct ratelimit  asked;	/* its PM_SERVICES */
	struct ratelimit  wants;	/* its PM_WANT */
};

/* What this node's pressure is measured by: the last second's counts. */
struct dp_load {
	struct pressure	pressure;
	struct frame_node_pressure now;
	uint64_t	at_ns, cpu_ns, sent, lost;
	unsigned	nofile;		/* descriptors that the process may have; 0: not known */
};

TAILQ_HEAD(conn_list, conn);
LIST_HEAD(peer_list, peer);

/*
 * Bytes that one connection may have under way, whatever its congestion control thinks: BBR's window can be a
 * gigabyte, which a peer that stops answering would fill. Holds 2.5 Gbit/s over 100 ms.
 */
#define DP_INFLIGHT_MAX	(32 << 20)

struct dataplane {
	struct event_base *base;
	const struct dp_ops *ops;
	void		*arg;
	struct dp_conf	*conf, *next_conf;
	struct session_self self;
	uint64_t	 own_not_after;	/* the earlier end of self's records */
	uint64_t	 tenants_ns;	/* when routed last said whom of other tenants this node meets */
	struct tls	*tls;
	struct fswitch	 sw;
	struct wport	 workers[WORKER_COUNT];
	struct udp_sock	*socks[DP_SOCKETS_MAX];
	size_t		 nsocks;
	struct cid_table *cids;		/* own connection ids */
	struct cid_table *tokens;	/* peers' stateless reset tokens */
	struct conn_list conns;		/* all */
	struct conn_list dirty;		/* want dp_flush() */
	size_t		 nconns, nhalf_open, nup;
	struct peer_list *peers;	/* hashed by node id */
	size_t		 npeers;
	struct reaches	*reaches;	/* the far nodes, and the ways to them */
	struct probes	*probes;
	struct sched_pool pool;
	struct prefix_table *prefixes;
	struct ratelimit resets, refusals, refused_logs;
	uint8_t		 token_key[32], reset_key[32];
	struct event	*second, *renew, *drain;
	struct timers	*timers;	/* of the connections */
	struct dp_load	 load;
	bool		 draining;
	int64_t		 inflight_max;	/* DP_INFLIGHT_MAX, or less in a test */
	uint64_t	 now_ns;	/* of the event at hand */
};

/* `base`, `ops` and `arg` are kept. NULL when the TLS library or memory fails. */
struct dataplane *dp_new(struct event_base *, const struct dp_ops *, void *arg);
void	dp_free(struct dataplane *);

/* The worker operations; see proc/worker.h. `err` receives PM_TEXT_MAX + 1 bytes of why a configuration is bad. */
void	dp_conf_begin(struct dataplane *);
int	dp_conf_item(struct dataplane *, const struct procmsg *, int fd, char *err);
int	dp_conf_check(struct dataplane *, char *err);
void	dp_conf_commit(struct dataplane *);
void	dp_conf_abort(struct dataplane *);
void	dp_port(struct dataplane *, enum worker_kind, int fd);
int	dp_message(struct dataplane *, const struct procmsg *);
void	dp_request(struct dataplane *, const struct pm_request *);
void	dp_drain(struct dataplane *, unsigned ms);

/* Reads the clock for the event that begins. */
uint64_t dp_begin(struct dataplane *);

/* Writes what the event caused, ends what is to end. Every event callback's last call. */
void	dp_flush(struct dataplane *);

/* Asks the supervisor to certify this process's key. */
void	dp_delegate(struct dataplane *);

/* conf.c */
void	dp_conf_free(struct dp_conf *);
const struct pm_conf_peer *dp_conf_peer(const struct dataplane *, const uint8_t *node_id);

/* port.c: the channels to the workers of this node */
void	wports_init(struct dataplane *);
void	wport_attach(struct dataplane *, enum worker_kind, int fd);
void	wport_close(struct wport *);
void	wports_flush(struct dataplane *);
/* To one worker; it leaves with the next dp_flush(). -1: its channel is not there, or took it not. */
int	wport_send(struct dataplane *, enum worker_kind, const struct procmsg *);
void	wport_peer_up(struct dataplane *, enum worker_kind, struct conn *);
void	wports_stats(struct dataplane *);
void	wport_tenants(struct dataplane *, enum worker_kind);	/* an adapter: whom of other tenants this node meets */

/* pressure.c: each second; the peers are told what changed. */
void	pressure_second(struct dataplane *);

/* show.c: the answers to fabricctl, and the counters that are kept elsewhere */
void	show_request(struct dataplane *, const struct pm_request *);
void	show_counters(struct dataplane *);

#endif
