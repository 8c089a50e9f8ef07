/*
 * What every worker does alike: start on the descriptors it was given, enter the
 * sandbox, answer the supervisor, take configuration as a transaction, stop.
 */
#ifndef PROC_WORKER_H
#define PROC_WORKER_H

#include "proc/ipc.h"
#include "proc/procmsg.h"
#include "proc/row.h"

/* The descriptors at exec; nothing else is open. */
#define WORKER_FD_CTL	3	/* the control channel */
#define WORKER_FD_LOG	4
#define WORKER_FD_STATS	5	/* the own counter page */
#define WORKER_FD_FIRST_FREE 6

struct worker {
	const struct worker_ops *ops;
	struct event_base *base;
	struct ipc	*ctl;
	enum worker_kind kind;
	uint32_t	 generation;
	bool		 privileged;	/* started as root */
	char		 conf_error[PM_TEXT_MAX + 1];	/* set by conf_item/conf_check before they return -1 */
	void		*state;		/* the worker's own */
};

struct worker_ops {
	enum worker_kind kind;
	bool		 network;	/* see struct sandbox */
	bool		 files;
	unsigned	 nofile;
	size_t		 memory;
	const int	*syscalls;
	const int	(*sockopts)[2];
	int		 nice;		/* below 0 for a worker that carries packets; 0: as started */
	/* Before the sandbox: libraries that open files, randomness. May be NULL. */
	void	(*init)(struct worker *);
	/* In the sandbox, event base made, before PM_READY. */
	void	(*start)(struct worker *);
	/* Configuration: begin a new object, add items, check it, make it the running one, or forget it. */
	void	(*conf_begin)(struct worker *);
	int	(*conf_item)(struct worker *, const struct procmsg *, int fd);	/* owns fd */
	int	(*conf_check)(struct worker *);
	void	(*conf_commit)(struct worker *);
	void	(*conf_abort)(struct worker *);
	/* A channel to another worker: the worker owns fd. Replaces an earlier one of that kind. */
	void	(*port)(struct worker *, enum worker_kind, int fd);
	/* Any other message of the supervisor's; -1: it is out of place. May be NULL. */
	int	(*message)(struct worker *, const struct procmsg *, int fd);
	/* A request of fabricctl. Answer with worker_row() and, at the end, worker_done(); may be later. */
	void	(*request)(struct worker *, const struct pm_request *);
	/* Drain: finish within `ms`, then call worker_exit(). NULL: exit at once. */
	void	(*drain)(struct worker *, unsigned ms);
};

/*
 * The whole main() of a worker: argv is what the supervisor gave
 * (-g generation [-u uid -G gid -c chroot] -l level). Returns the exit status.
 */
int	worker_main(const struct worker_ops *, int argc, char **argv);

/*
 * Rows leave many a message: when it is full, with worker_done(), or at ipc_flush(w->ctl). What the control channel does not
 * take waits here, up to WORKER_WAIT_MAX bytes of all answers together. -1: no room now; the caller tries again, or says in
 * worker_done() what is missing. So it is for a row that is longer than ROW_MAX, which is logged.
 */
#define WORKER_WAIT_MAX	(8u << 20)
int	worker_row(struct worker *, uint64_t id, const struct row_writer *);

/* As worker_row(): if the row found no room worker_done() fails the answer, unless another was made meanwhile. */
void	worker_row_once(struct worker *, uint64_t id, const struct row_writer *);

/* The end of an answer, behind its rows; `status' is fabricctl's exit status. */
void	worker_done(struct worker *, uint64_t id, unsigned status, const char *text);

/* The control channel's writable(): what waits goes on. For who makes that channel himself. */
void	worker_writable(struct ipc *ctl, void *arg);

void	worker_exit(struct worker *);
/* Sends to the supervisor and flushes. */
void	worker_send(struct worker *, const struct procmsg *, int fd);

#endif
