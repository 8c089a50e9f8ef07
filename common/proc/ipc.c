#include "proc/ipc.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc/procmsg.h"

/*
 * Of the kernel's buffer, per direction. Enough for the other process to be scheduled; more would only
 * be a queue that no scheduler of ours sees.
 */
#define SOCKET_BUFFER	(512 * 1024)
#define SPARE_MAX	4	/* free messages kept by the process */

struct msg {
	TAILQ_ENTRY(msg) entry;
	size_t	len;
	int	fd;		/* -1, or passed with the message and then closed */
	uint8_t	data[IPC_MSG_MAX];
};
TAILQ_HEAD(msg_queue, msg);

struct ipc {
	const struct ipc_ops *ops;
	void	*arg;
	int	 fd;
	struct event *readable, *writable;
	struct msg_queue queue;		/* full messages, or such with a descriptor, that wait for the socket */
	unsigned queued;
	size_t	 queued_bytes;
	struct msg *cur;		/* the message being built; NULL: none */
	bool	 want_room;		/* ipc_reserve() gave NULL: ops->writable is due */
	bool	 paused;
	const char *why_dead;		/* nothing more can be sent; `closed` is due or has been called */
	bool	 closed;		/* ops->closed has been called */
	bool	 freed;			/* by a callback; the memory goes when the last of them has returned */
	unsigned depth;			/* callbacks that run now */
};

static struct msg_queue spare = TAILQ_HEAD_INITIALIZER(spare);
static unsigned nspare;

static const char gone[] = "the other side is gone";
static const struct frame_limits limits = { FRAME_PORT_PROC, FRAME_MAX_CEILING };

static struct msg *
msg_get(void)
{
	struct msg *m = TAILQ_FIRST(&spare);

	if (m != NULL) {
		TAILQ_REMOVE(&spare, m, entry);
		nspare--;
	} else if ((m = malloc(sizeof(*m))) == NULL) {
		return NULL;
	}
	m->len = 0;
	m->fd = -1;
	return m;
}

static void
msg_put(struct msg *m)
{
	if (m == NULL)
		return;
	if (m->fd != -1)
		close(m->fd);
	if (nspare == SPARE_MAX) {
		free(m);
		return;
	}
	TAILQ_INSERT_HEAD(&spare, m, entry);
	nspare++;
}

static void
drop_output(struct ipc *ipc)
{
	struct msg *m;

	while ((m = TAILQ_FIRST(&ipc->queue)) != NULL) {
		TAILQ_REMOVE(&ipc->queue, m, entry);
		msg_put(m);
	}
	ipc->queued = 0;
	ipc->queued_bytes = 0;
	msg_put(ipc->cur);
	ipc->cur = NULL;
	ipc->want_room = false;
}

static int
set_buffer(int fd)
{
	int size = SOCKET_BUFFER;

	/* What the system allows without privilege may be less than one message. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == 0)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int
ipc_pair(int fds[2])
{
	int saved;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	if (set_buffer(fds[0]) == 0 && set_buffer(fds[1]) == 0)
		return 0;
	saved = errno;
	close(fds[0]);
	close(fds[1]);
	fds[0] = fds[1] = -1;
	errno = saved;
	return -1;
}

static void
release(struct ipc *ipc)
{
	if (ipc->depth == 0 && ipc->freed)
		free(ipc);
}

static void
stop_events(struct ipc *ipc)
{
	event_del(ipc->readable);
	event_del(ipc->writable);
}

/* The end of the channel: called from the event loop only, never from inside a caller's send. */
static void
end(struct ipc *ipc, const char *why)
{
	ipc->why_dead = why;
	drop_output(ipc);
	stop_events(ipc);
	if (ipc->closed || ipc->freed)
		return;
	ipc->closed = true;
	ipc->ops->closed(ipc, why, ipc->arg);
}

/* Found out while sending: what was received is still to be read, so the reader ends the channel. */
static void
mark_dead(struct ipc *ipc, const char *why)
{
	ipc->why_dead = why;
	drop_output(ipc);
	event_del(ipc->writable);
	event_active(ipc->readable, EV_READ, 0);
}

/* 1 sent, 0 the socket is full, -1 the channel is dead. */
static int
send_msg(struct ipc *ipc, const uint8_t *p, size_t len, int fd)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t n;

	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(ipc->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n != -1)
		return 1;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS)
		return 0;
	mark_dead(ipc, errno == EPIPE || errno == ECONNRESET ? gone : strerror(errno));
	return -1;
}

/* Sends what waits, oldest first, and then the message being built. As send_msg(). */
static int
drain(struct ipc *ipc)
{
	struct msg *m;
	int n = 1;

	if (ipc->why_dead != NULL)
		return -1;
	while (n == 1 && (m = TAILQ_FIRST(&ipc->queue)) != NULL) {
		n = send_msg(ipc, m->data, m->len, m->fd);
		if (n != 1)
			return n;
		TAILQ_REMOVE(&ipc->queue, m, entry);
		ipc->queued--;
		ipc->queued_bytes -= m->len;
		msg_put(m);
	}
	if (ipc->cur == NULL || ipc->cur->len == 0)
		return 1;
	n = send_msg(ipc, ipc->cur->data, ipc->cur->len, -1);
	if (n == 1)
		ipc->cur->len = 0;
	return n;
}

static bool
queue_full(const struct ipc *ipc)
{
	return ipc->queued >= IPC_QUEUE_MAX;
}

static void
enqueue(struct ipc *ipc, struct msg *m)
{
	TAILQ_INSERT_TAIL(&ipc->queue, m, entry);
	ipc->queued++;
	ipc->queued_bytes += m->len;
}

/* Puts the message being built behind those that wait, so that a new one can begin. */
static bool
seal(struct ipc *ipc)
{
	if (ipc->cur == NULL || ipc->cur->len == 0)
		return true;
	if (queue_full(ipc))
		return false;
	enqueue(ipc, ipc->cur);
	ipc->cur = NULL;
	return true;
}

static void
watch_output(struct ipc *ipc)
{
	if (ipc->why_dead == NULL)
		event_add(ipc->writable, NULL);
}

static void
no_room(struct ipc *ipc)
{
	ipc->want_room = true;
	watch_output(ipc);
	errno = EAGAIN;
}

int
ipc_flush(struct ipc *ipc)
{
	int n;

	if (ipc->why_dead != NULL) {
		errno = EAGAIN;
		return -1;
	}
	n = drain(ipc);
	if (n == 1)
		return 0;
	watch_output(ipc);
	errno = EAGAIN;
	return -1;
}

uint8_t	*
ipc_reserve(struct ipc *ipc, size_t len)
{
	struct msg *m = ipc->cur;

	if (len > IPC_MSG_MAX) {
		errno = EINVAL;
		return NULL;
	}
	if (ipc->why_dead != NULL) {
		errno = EAGAIN;
		return NULL;
	}
	/* A full message that is still here did not go out in ipc_commit(): it has to wait with the others. */
	if (m != NULL && (m->len >= IPC_MSG_FLUSH || len > IPC_MSG_MAX - m->len)) {
		if (ipc_flush(ipc) == -1 && (ipc->why_dead != NULL || !seal(ipc))) {
			no_room(ipc);
			return NULL;
		}
	}
	if (ipc->cur == NULL && (ipc->cur = msg_get()) == NULL) {
		no_room(ipc);
		return NULL;
	}
	return ipc->cur->data + ipc->cur->len;
}

void
ipc_commit(struct ipc *ipc, size_t used)
{
	if (ipc->cur == NULL)
		return;
	ipc->cur->len += used;
	if (ipc->cur->len >= IPC_MSG_FLUSH && ipc_flush(ipc) == -1 && ipc->why_dead == NULL)
		seal(ipc);
}

/* At most so long; the exact length is known after encoding. */
static size_t
frame_room(const struct frame *f)
{
	if (frame_type_is_data(f->type))
		return FRAME_HEADER_MAX + 24 + f->data.payload_len;
	if (f->type >= FT_SKIP_FIRST)
		return FRAME_HEADER_MAX + f->body.len;
	return FRAME_CONTROL_MAX;
}

int
ipc_send(struct ipc *ipc, const struct frame *f)
{
	size_t len, room = frame_room(f);
	uint8_t *p = ipc_reserve(ipc, room);

	if (p == NULL)
		return -1;
	len = frame_encode(p, room, f, FRAME_PORT_PROC);
	ipc_commit(ipc, len);
	if (len > 0)
		return 0;
	errno = EINVAL;
	return -1;
}

/* m waits in the queue with a descriptor of its own. */
static int
enqueue_fd(struct ipc *ipc, struct msg *m, int fd)
{
	m->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (m->fd == -1)
		return -1;
	enqueue(ipc, m);
	watch_output(ipc);
	return 0;
}

/* Such a message has one frame: the descriptor is that frame's. */
int
ipc_send_fd(struct ipc *ipc, const struct frame *f, int fd)
{
	struct msg *m = NULL;
	int n;

	if (!procmsg_carries_fd(f->type)) {
		errno = EINVAL;
		return -1;
	}
	n = ipc_flush(ipc) == 0;
	if (ipc->why_dead != NULL || (n == 0 && (!seal(ipc) || queue_full(ipc))) || (m = msg_get()) == NULL) {
		no_room(ipc);
		return -1;
	}
	m->len = frame_encode(m->data, sizeof(m->data), f, FRAME_PORT_PROC);
	if (m->len == 0) {
		errno = EINVAL;
		goto fail;
	}
	if (n == 1)
		n = send_msg(ipc, m->data, m->len, fd);
	if (n == 0 && enqueue_fd(ipc, m, fd) == 0)
		return 0;
	if (n == 1) {
		msg_put(m);
		return 0;
	}
	errno = EAGAIN;
fail:
	msg_put(m);
	return -1;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct ipc *ipc = arg;

	if (drain(ipc) == 1)
		event_del(ipc->writable);
	if (ipc->why_dead != NULL || !ipc->want_room || ipc->queued > IPC_QUEUE_MAX / 2)
		return;
	ipc->want_room = false;
	if (ipc->ops->writable == NULL)
		return;
	ipc->depth++;
	ipc->ops->writable(ipc, ipc->arg);
	ipc->depth--;
	release(ipc);
}

/*
 * The descriptor that came with a message, or -1. A padded control buffer has room for a second one, which
 * is closed: false then.
 */
static bool
take_fd(struct msghdr *mh, int *fd)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(mh);
	int fds[2] = { -1, -1 };
	size_t len;

	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		len = c->cmsg_len - CMSG_LEN(0);
		memcpy(fds, CMSG_DATA(c), len < sizeof(fds) ? len : sizeof(fds));
	}
	*fd = fds[0];
	if (fds[1] == -1)
		return true;
	close(fds[1]);
	return false;
}

/* One message: its length, 0 at the end, -1 with errno. *fd receives a descriptor, or -1. */
static ssize_t
receive(struct ipc *ipc, uint8_t *buf, int *fd)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];	/* the kernel closes what does not fit */
	} control;
	struct iovec iov = { buf, IPC_MSG_MAX };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = &control, .msg_controllen = sizeof(control.buf) };
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(ipc->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	if (n == -1 || (take_fd(&mh, fd) && (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0))
		return n;
	if (*fd != -1)
		close(*fd);
	errno = EMSGSIZE;
	return -1;
}

static int
decode(struct frame *f, const uint8_t *p, size_t len)
{
	size_t used;
	int n;

	if (!frame_type_is_data(*p))
		return frame_decode(f, p, len, &limits);
	n = frame_decode_data(&f->data, &used, p, len, &limits);
	if (n != FRAME_OK)
		return n;
	f->type = *p;
	f->skipped = f->params_skipped = false;
	f->raw = (struct frame_bytes){ p, used };
	f->body = (struct frame_bytes){ NULL, 0 };
	return n;
}

/* Whether a descriptor came where there must be one, and none where there may not. */
static bool
fd_legal(uint64_t type, int fd)
{
	return fd != -1 ? procmsg_carries_fd(type) : !procmsg_needs_fd(type);
}

/* The frames of one message. NULL, or why the channel has to be closed. */
static const char *
deliver(struct ipc *ipc, const uint8_t *p, size_t len, int fd)
{
	const char *why = NULL;
	struct frame f;
	int n;

	while (len > 0 && !ipc->freed) {
		n = decode(&f, p, len);
		if (n != FRAME_OK) {
			why = n == FRAME_MORE ? "a frame is cut off" : frame_strerror(n);
			break;
		}
		if (!fd_legal(f.type, fd)) {
			why = fd != -1 ? "a descriptor that its message may not carry" :
			    "a message without its descriptor";
			break;
		}
		p += f.raw.len;
		len -= f.raw.len;
		if (f.skipped)
			continue;
		n = ipc->ops->frame(ipc, &f, fd, ipc->arg);
		fd = -1;
		if (n == -1 && !ipc->freed) {
			why = "a message that is out of place";
			break;
		}
	}
	if (fd != -1)
		close(fd);
	return why;
}

/*
 * Reads a round. NULL: there may be more; else why the channel ends. When the other side ended with
 * messages of ours unread, one ECONNRESET comes before what it still had to say.
 */
static const char *
read_round(struct ipc *ipc, bool *any)
{
	static uint8_t buf[IPC_MSG_MAX];	/* one is enough: no callback reads a channel */
	const char *why = NULL;
	bool reset = false;
	ssize_t n;
	int fd;

	for (unsigned i = 0; i < IPC_READ_BATCH && why == NULL && !ipc->freed && !ipc->paused; i++) {
		n = receive(ipc, buf, &fd);
		if (n == -1 && errno == ECONNRESET && !reset) {
			reset = true;
			continue;
		}
		if (n == -1 && errno == EAGAIN)
			return ipc->why_dead != NULL ? ipc->why_dead : reset ? gone : NULL;
		if (n == -1)
			return errno == EMSGSIZE ? "a message is too long, or brings too much" : strerror(errno);
		if (n == 0) {
			if (fd != -1)
				close(fd);
			return gone;
		}
		*any = true;
		why = deliver(ipc, buf, (size_t)n, fd);
	}
	return why;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ipc *ipc = arg;
	bool any = false;
	const char *why;

	ipc->depth++;
	why = read_round(ipc, &any);
	if (any && !ipc->freed && ipc->ops->batch_end != NULL)
		ipc->ops->batch_end(ipc, ipc->arg);
	if (!ipc->freed && why == NULL && ipc->paused)
		why = ipc->why_dead;
	if (!ipc->freed && why != NULL)
		end(ipc, why);
	ipc->depth--;
	release(ipc);
}

struct ipc *
ipc_new(struct event_base *base, int fd, const struct ipc_ops *ops, void *arg)
{
	struct ipc *ipc = calloc(1, sizeof(*ipc));

	if (ipc == NULL) {
		close(fd);
		return NULL;
	}
	ipc->ops = ops;
	ipc->arg = arg;
	TAILQ_INIT(&ipc->queue);
	ipc->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, ipc);
	ipc->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, ipc);
	if (ipc->readable == NULL || ipc->writable == NULL || event_add(ipc->readable, NULL) == -1)
		goto fail;
	ipc->fd = fd;
	return ipc;
fail:
	if (ipc->readable != NULL)
		event_free(ipc->readable);
	if (ipc->writable != NULL)
		event_free(ipc->writable);
	free(ipc);
	close(fd);
	return NULL;
}

void
ipc_free(struct ipc *ipc)
{
	if (ipc == NULL || ipc->freed)
		return;
	drop_output(ipc);
	event_free(ipc->readable);
	event_free(ipc->writable);
	close(ipc->fd);
	ipc->why_dead = gone;
	ipc->freed = true;
	release(ipc);
}

void
ipc_pause(struct ipc *ipc)
{
	if (ipc->paused)
		return;
	ipc->paused = true;
	event_del(ipc->readable);
}

void
ipc_resume(struct ipc *ipc)
{
	if (!ipc->paused)
		return;
	ipc->paused = false;
	if (!ipc->closed)
		event_add(ipc->readable, NULL);
}

void
ipc_want_room(struct ipc *ipc)
{
	if (ipc->why_dead != NULL)
		return;
	ipc->want_room = true;
	watch_output(ipc);
}

size_t
ipc_backlog(const struct ipc *ipc)
{
	return ipc->queued_bytes + (ipc->cur != NULL ? ipc->cur->len : 0);
}
