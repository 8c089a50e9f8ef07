/* The workers: one static table says what each is; everything else follows from it. */
#ifndef FABRICD_WORKERS_H
#define FABRICD_WORKERS_H

#include <sys/types.h>

#include <event2/event.h>

#include "base/ratelimit.h"
#include "fabricd/conf.h"
#include "proc/ipc.h"
#include "proc/procmsg.h"

struct fabricd;
struct confsend;

enum child_state {
	CHILD_DOWN,		/* waits to be started again */
	CHILD_STARTING,		/* not in its sandbox yet */
	CHILD_WIRED,		/* ready; has its channels, waits for its configuration */
	CHILD_CONFIGURING,	/* has the running configuration, has not answered */
	CHILD_RUNNING,
	CHILD_ENDING,		/* killed, or broke its channel: to be reaped */
	CHILD_STATE_COUNT
};

/* What a worker may say; a frame outside its state's set ends the worker. */
#define SAYS_READY	0x01u
#define SAYS_VERDICT	0x02u	/* CONF_OK, CONF_BAD */
#define SAYS_ANSWERS	0x04u	/* ROW, DONE */
#define SAYS_DELEGATE	0x08u
#define SAYS_PORT_LOST	0x10u
#define SAYS_CONNECT	0x20u

enum chroot_rule { CHROOT_EMPTY, CHROOT_STATE };

struct worker_kind_desc {
	const char	*executable;
	enum chroot_rule chroot;
	unsigned	 channels;	/* 1 << enum worker_kind of the other end */
	bool		 ring;		/* its channel to another that has this too goes through shared memory */
	unsigned	 says[CHILD_STATE_COUNT];
	unsigned	 config;	/* CONFIG_*: which items it is sent */
};

#define CONFIG_PEERS	0x01u
#define CONFIG_ADDRS	0x02u
#define CONFIG_PREFIXES	0x04u
#define CONFIG_SESSION	0x08u
#define CONFIG_LISTEN	0x80u	/* the UDP sockets */
#define CONFIG_VPN	0x10u
#define CONFIG_SERVICES	0x20u
#define CONFIG_METRICS	0x40u
#define CONFIG_FORWARDS	0x100u	/* the ways into services */
#define CONFIG_ROUTING	0x200u	/* what it relays, and how routes are chosen */

extern const struct worker_kind_desc worker_table[WORKER_COUNT];

#define CHILD_EXIT_MAX	80

/* A key that a worker has certified for one purpose. */
struct child_key {
	bool		 asked, due;		/* it has asked; `want' waits to be certified */
	uint8_t		 want[RECORD_KEY_LEN];	/* the last that it asked for */
	uint8_t		 certified[RECORD_KEY_LEN];
	uint64_t	 from, end;		/* validity of the certified one; the end is 0 when there is none */
};

struct child {
	struct fabricd	*fabricd;
	enum worker_kind kind;
	enum child_state state;
	pid_t		 pid;		/* 0: none */
	uint32_t	 generation;	/* of the last that was started; counts from 1 */
	struct ipc	*ctl;
	int		 stats_fd;	/* its counter page */
	int		 log_fd;
	uint64_t	 started_ns, running_ns;
	uint32_t	 backoff_ms;	/* the delay before the last start */
	unsigned	 restarts;
	char		 last_exit[CHILD_EXIT_MAX];
	char		 closed_why[CHILD_EXIT_MAX];	/* CHILD_ENDING: what became of its channel */
	struct event	*timer;		/* start again; or: has been silent for too long */
	struct confsend	*confsend;	/* a configuration that is being sent */
	struct ratelimit rewire_rate;	/* new channels to the dataplane */
	bool		 verdict_due;	/* it has a whole configuration and owes OK or BAD */

	struct child_key keys[PURPOSE_COUNT];	/* what it had certified, by purpose */
	struct ratelimit delegate_rate;		/* all purposes together */
	struct event	*delegate_timer;

	struct ratelimit connect_rate;	/* svchostd: connections to targets */
};

void	workers_init(struct fabricd *);
void	workers_start(struct fabricd *);
void	workers_free(struct fabricd *);

/* SIGCHLD: takes every child that ended, and starts it again in time. */
void	workers_reap(struct fabricd *);

/* Asks all to finish within drain_ms; ends those that did not. False: there is none. */
bool	workers_stop(struct fabricd *, unsigned drain_ms);
bool	workers_kill(struct fabricd *);

/* Ends a worker that is not to be trusted or does not answer; why is logged. It comes back as another generation. */
void	child_kill(struct child *, const char *why) __attribute__((nonnull));

/* Its control channel is gone: it is of no use any more, whatever it does now. */
void	child_closed(struct child *c, const char *why);

/* Sends, and kills a worker that does not take it. */
void	child_send(struct child *, const struct procmsg *, int fd);

/* In its sandbox, and not on its way out. */
static inline bool
child_is_up(const struct child *c)
{
	return c->state == CHILD_WIRED || c->state == CHILD_CONFIGURING || c->state == CHILD_RUNNING;
}

/* After c was found ready: wire.c. Channels to all others that are up, counter pages to telemd, secrets. */
void	wire_child(struct child *);
/* c says that its channel to another worker is gone. 0, or -1: there is none between those two. */
int	wire_lost(struct child *c, const struct pm_port_lost *);
/* A new log level to all that are up. */
void	wire_log_level(struct fabricd *);

/* dispatch.c: the callbacks of a control channel. */
extern const struct ipc_ops dispatch_ops;

const char *child_state_name(enum child_state);

#endif
