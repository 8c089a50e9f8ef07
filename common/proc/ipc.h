/*
 * A channel between two processes of one node: frames over an AF_UNIX SEQPACKET
 * socketpair, many frames a message, descriptors only with types that carry one.
 *
 * What is sent is collected in one message and leaves at ipc_flush() or when the
 * message is full. What the socket does not take waits in a bounded queue; when
 * that is full, ipc_reserve() returns NULL and the caller drops or waits for
 * ops->writable. Nothing blocks and nothing grows.
 *
 * A channel between two workers can be a port's: then its frames go through shared memory (proc/shmring.h) and the
 * socket only rings when the other side sleeps, and tells of its end. To its owner it is the same, but that
 *   - the payload of a DATA that it is given is shared memory, which the other process can change while it is looked at:
 *     read each byte once, or copy first what you decide upon. Open sealed bytes in a copy, never from there;
 *   - what ipc_reserve() gives can be read and changed by the other process before it is committed: write only what it
 *     may see, and do not read it back (so seal elsewhere, and copy the result);
 *   - what waits is what the other side has not read, and there is room for SHMRING_SIZE of it;
 *   - it leaves at ipc_flush(): without one only when there is much more than a message's worth;
 *   - no message of it brings a descriptor.
 */
#ifndef PROC_IPC_H
#define PROC_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

struct event_base;
struct ipc;

#define IPC_MSG_MAX	(128u * 1024)	/* one SEQPACKET message; holds any frame */
#define IPC_MSG_FLUSH	(64u * 1024)	/* a message this full is sent at once */
#define IPC_QUEUE_MAX	8u		/* messages that wait for the socket */
#define IPC_READ_BATCH	16u		/* messages read in one go before others get their turn */

struct ipc_ops {
	/*
	 * One frame. `fd` is -1, or a descriptor that the callee owns from now on; only
	 * process-only types that procmsg_carries_fd() names can bring one, and those that
	 * procmsg_needs_fd() names have one. 0, or -1: the other side broke the protocol, and
	 * the channel is closed.
	 */
	int	(*frame)(struct ipc *, const struct frame *f, int fd, void *arg);
	/* After the frames of one read round: the place to flush what they caused. May be NULL. */
	void	(*batch_end)(struct ipc *, void *arg);
	/* There is room again after ipc_reserve() gave NULL, or as ipc_want_room() asked. May be NULL. */
	void	(*writable)(struct ipc *, void *arg);
	/* The other side is gone or broken (`why` for the log). The ipc is still to be freed by the owner. */
	void	(*closed)(struct ipc *, const char *why, void *arg);
};

/* A connected pair, non-blocking, close-on-exec, with large buffers. 0 or -1 with errno. */
int	ipc_pair(int fds[2]);

/* As ipc_pair(), with memory for the frames, which both ends find in it: see ipc_new_port(). */
int	ipc_port_pair(int fds[2]);

/* What ipc_new() and ipc_new_port() are made of. */
struct ipc *ipc_open(struct event_base *, int fd, const struct ipc_ops *ops, void *arg, bool port);

/* Takes ownership of fd. NULL when memory is short (fd is closed). `ops` is kept by reference. */
static inline struct ipc *
ipc_new(struct event_base *base, int fd, const struct ipc_ops *ops, void *arg)
{
	return ipc_open(base, fd, ops, arg, false);
}

/*
 * As ipc_new() for one end of a channel between two workers, which uses shared memory if ipc_port_pair() made it. Only
 * for an end that the supervisor gave: the first message is believed. NULL also when that memory is not what it must be.
 */
static inline struct ipc *
ipc_new_port(struct event_base *base, int fd, const struct ipc_ops *ops, void *arg)
{
	return ipc_open(base, fd, ops, arg, true);
}

/* Closes the descriptor and what was queued. May be called from any callback of the same ipc. NULL is fine. */
void	ipc_free(struct ipc *);

/*
 * Room for `len` bytes (whole frames) in the message being built, or NULL when the queue is full. Nothing else of
 * this ipc's may be called before ipc_commit().
 */
uint8_t	*ipc_reserve(struct ipc *, size_t len);

/* Keeps the first `used` bytes of what ipc_reserve() gave. */
void	ipc_commit(struct ipc *, size_t used);

/* Encodes one frame. -1 with errno EAGAIN (queue full, or `closed` is due) or EINVAL (would not decode). */
int	ipc_send(struct ipc *, const struct frame *f);

/*
 * As ipc_send() for a process-only type, with a descriptor that is duplicated; the caller keeps its own. It is a
 * message of its own and leaves at once, after what was built before it. EINVAL on a channel with shared memory.
 */
int	ipc_send_fd(struct ipc *, const struct frame *f, int fd);

/* Sends the message being built. 0, or -1 with errno EAGAIN when it has to wait for the socket (which is fine). */
int	ipc_flush(struct ipc *);

/*
 * Stops and resumes reading: backpressure towards the other process. The frames of a message that has been
 * read from the socket are still delivered, and while it is paused the other side's end goes unnoticed; with shared
 * memory it is noticed, and what was not read is not read any more.
 */
void	ipc_pause(struct ipc *);
void	ipc_resume(struct ipc *);

/*
 * Asks for ops->writable, once, when the socket has taken something of what waits and there is room: for who stops
 * below the bound of its own accord.
 */
void	ipc_want_room(struct ipc *);

/* Whether the channel is known to have ended, so that nothing more can be sent: `closed` has been called, or is due. */
bool	ipc_ended(const struct ipc *);

/* Bytes that wait for the socket; with shared memory, for the other process to read them. */
size_t	ipc_backlog(const struct ipc *);

#endif
