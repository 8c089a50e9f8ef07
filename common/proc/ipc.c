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
#include "proc/shmring.h"
#include "wire/varint.h"

/*
 * Of the kernel's buffer, per direction. Enough for the other process to be scheduled; more would only
 * be a queue that no scheduler of ours sees.
 */
#define SPARE_MAX	1	/* free messages kept by the process, for whichever channel is next */
/*
 * Bytes of a ring that go without ipc_flush(). Much: who is woken while the other still writes takes its core away, and
 * then sends what it got in smaller batches.
 */
#define RING_FLUSH	(512 * 1024)
#define RING_ROUND	(256 * 1024)	/* bytes of a ring read in one go before others get their turn */
#define HEADER_COPY	64	/* holds any DATA frame's header, and any frame's type and length */

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
	struct shmring *ring;		/* NULL: frames go through the socket. Else that only rings the doorbell */
	struct event *again;		/* ring: there is more to do than one round's work */
	struct msg_queue queue;		/* full messages, or such with a descriptor, that wait for the socket */
	unsigned queued;
	size_t	 queued_bytes;
	struct msg *cur;		/* the message being built; NULL: none */
	bool	 want_room;		/* ipc_reserve() gave NULL: ops->writable is due */
	uint32_t room_at;		/* ring: when no more bytes than these wait */
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

	if (ipc->ring != NULL) {
		ipc->want_room = false;
		return;
	}
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

static void
ring_free(struct shmring *r)
{
	if (r != NULL)
		shmring_unmap(r);
	free(r);
}

static void
release(struct ipc *ipc)
{
	if (ipc->depth != 0 || !ipc->freed)
		return;
	ring_free(ipc->ring);	/* a callback may still have looked at its frame */
	free(ipc);
}

static void
stop_events(struct ipc *ipc)
{
	event_del(ipc->readable);
	event_del(ipc->writable);
	if (ipc->again != NULL)
		event_del(ipc->again);
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

/* 0, or -1 with errno. */
static int
send_raw(int to, const uint8_t *p, size_t len, int fd)
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
		n = sendmsg(to, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

/* 1 sent, 0 the socket is full, -1 the channel is dead. */
static int
send_msg(struct ipc *ipc, const uint8_t *p, size_t len, int fd)
{
	if (send_raw(ipc->fd, p, len, fd) == 0)
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
	if (n == 1) {
		msg_put(ipc->cur);
		ipc->cur = NULL;
	}
	return n;
}

static const char wrong_index[] = "an index of the shared memory is wrong";

/* In the next turn of the event loop: event_active() would come before everybody else. */
static void
go_on_later(struct ipc *ipc)
{
	const struct timeval now = { 0, 0 };

	event_add(ipc->again, &now);
}

/* One byte is enough, and one that waits already as well. */
static void
ring_doorbell(struct ipc *ipc)
{
	ssize_t n;

	do {
		n = send(ipc->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n == -1 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
		mark_dead(ipc, errno == EPIPE || errno == ECONNRESET ? gone : strerror(errno));
}

static void
ring_flush(struct ipc *ipc)
{
	if (shmring_publish(ipc->ring))
		ring_doorbell(ipc);
}

/* The owner is to be told when no more than `backlog` bytes wait; of room that is there already as well. */
static void
ring_want(struct ipc *ipc, uint32_t backlog)
{
	if (ipc->why_dead != NULL)
		return;
	ipc->want_room = true;
	ipc->room_at = backlog;
	if (!shmring_wait(ipc->ring, backlog))
		go_on_later(ipc);
}

static uint8_t *
ring_reserve(struct ipc *ipc, size_t len)
{
	uint8_t *p = shmring_reserve(ipc->ring, len);

	if (p != NULL)
		return p;
	ring_flush(ipc);	/* or nobody would make room */
	if (ipc->ring->broken && ipc->why_dead == NULL)
		mark_dead(ipc, wrong_index);
	ring_want(ipc, SHMRING_SIZE / 2);
	errno = EAGAIN;
	return NULL;
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
	if (ipc->ring != NULL) {
		ring_flush(ipc);
		return 0;
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
	if (ipc->ring != NULL)
		return ring_reserve(ipc, len);
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
	if (ipc->ring != NULL) {
		if (ipc->why_dead != NULL)
			return;
		shmring_commit(ipc->ring, used);
		if (shmring_unpublished(ipc->ring) >= RING_FLUSH)
			ring_flush(ipc);
		return;
	}
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

	if (!procmsg_carries_fd(f->type) || ipc->ring != NULL) {
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
receive(struct ipc *ipc, uint8_t *buf, size_t size, int *fd)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];	/* the kernel closes what does not fit */
	} control;
	struct iovec iov = { buf, size };
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

static const char *
why_malformed(int err)
{
	return err == FRAME_MORE ? "a frame is cut off" : frame_strerror(err);
}

static const char out_of_place[] = "a message that is out of place";

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
			why = why_malformed(n);
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
			why = out_of_place;
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
		n = receive(ipc, buf, sizeof(buf), &fd);
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

/* Copies a frame that is no DATA out of `len` shared bytes, of which `copy` has the first already. Its length, or 0. */
static size_t
copy_control(uint8_t *copy, const uint8_t *p, size_t len)
{
	size_t have = len < HEADER_COPY ? len : HEADER_COPY;
	uint64_t type, body, whole;
	int t, n;

	t = varint_get(&type, copy, have);
	n = t <= 0 ? 0 : varint_get(&body, copy + t, have - (size_t)t);
	if (n <= 0)
		return have;	/* the decoder says what is wrong with it */
	whole = body + (unsigned)(t + n);
	if (whole > len)
		whole = have;	/* this as well */
	if (whole > have)
		memcpy(copy + have, p + have, (size_t)whole - have);
	return (size_t)whole;
}

/*
 * Decodes the first frame of `len` shared bytes, each of which is read once. Only a DATA's payload stays where it is:
 * it is the callee's to read it no more often.
 */
static int
decode_shared(struct frame *f, const uint8_t *p, size_t len)
{
	static uint8_t copy[IPC_MSG_MAX];	/* one is enough: no callback reads a channel */
	int n;

	if (len > sizeof(copy))
		len = sizeof(copy);
	memcpy(copy, p, len < HEADER_COPY ? len : HEADER_COPY);
	if (!frame_type_is_data(copy[0]))
		return frame_decode(f, copy, copy_control(copy, p, len), &limits);
	n = decode(f, copy, len);
	if (n != FRAME_OK)
		return n;
	f->raw.p = p;
	f->data.payload = p + (f->data.payload - copy);
	return n;
}

/* A round of reading from the ring. NULL, or why the channel ends. */
static const char *
read_ring(struct ipc *ipc, bool *any)
{
	struct shmring *r = ipc->ring;
	size_t len, done = 0;
	const uint8_t *p;
	struct frame f;
	int n;

	while (done < RING_ROUND && !ipc->freed && !ipc->paused && (len = shmring_readable(r, &p)) > 0) {
		n = decode_shared(&f, p, len);
		if (n != FRAME_OK)
			return why_malformed(n);
		if (procmsg_needs_fd(f.type))
			return "a message without its descriptor";
		*any = true;
		len = f.raw.len;
		if (!f.skipped && ipc->ops->frame(ipc, &f, -1, ipc->arg) == -1)
			return out_of_place;
		shmring_consume(r, len);
		done += len;
	}
	return r->broken ? wrong_index : NULL;
}

/* The other side rang, or it ended: what it left in the ring is still to be read then. */
static const char *
take_doorbell(struct ipc *ipc)
{
	uint8_t byte[2];
	ssize_t n;

	do {
		n = recv(ipc->fd, byte, sizeof(byte), MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	if (n == 1 || (n == -1 && errno == EAGAIN))
		return NULL;
	if (n > 1)
		return "a message beside the shared memory";
	if (n == -1 && errno != ECONNRESET)
		return strerror(errno);
	if (ipc->why_dead == NULL)
		ipc->why_dead = gone;
	drop_output(ipc);
	event_del(ipc->readable);	/* it would be so for ever */
	return NULL;
}

/* Tells the owner that there is room again, when it wanted to know. */
static void
ring_writable(struct ipc *ipc)
{
	if (!ipc->want_room || ipc->why_dead != NULL || shmring_wait(ipc->ring, ipc->room_at))
		return;
	ipc->want_room = false;
	if (ipc->ops->writable != NULL)
		ipc->ops->writable(ipc, ipc->arg);
}

/* What a round leaves behind: sleep when all is read. NULL, or why the channel ends. */
static const char *
ring_rest(struct ipc *ipc)
{
	const uint8_t *p;

	if (ipc->paused)
		return ipc->why_dead;
	if (ipc->why_dead != NULL && shmring_readable(ipc->ring, &p) == 0)
		return ipc->why_dead;
	if (ipc->why_dead != NULL || !shmring_sleep(ipc->ring))
		go_on_later(ipc);
	return NULL;
}

static void
ring_turn(struct ipc *ipc, const char *why)
{
	bool any = false;

	ipc->depth++;
	shmring_wake(ipc->ring);
	if (why == NULL)
		why = read_ring(ipc, &any);
	if (shmring_release(ipc->ring) && !ipc->freed && ipc->why_dead == NULL)
		ring_doorbell(ipc);
	if (any && !ipc->freed && ipc->ops->batch_end != NULL)
		ipc->ops->batch_end(ipc, ipc->arg);
	if (!ipc->freed && why == NULL)
		ring_writable(ipc);
	if (!ipc->freed && why == NULL)
		why = ring_rest(ipc);
	if (!ipc->freed && why != NULL)
		end(ipc, why);
	ipc->depth--;
	release(ipc);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	ring_turn(arg, NULL);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ipc *ipc = arg;
	bool any = false;
	const char *why;

	if (ipc->ring != NULL) {
		ring_turn(ipc, take_doorbell(ipc));
		return;
	}
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

/*
 * What the supervisor puts into a pair before it gives the ends away: a message that no frame can be (type 0 is always
 * refused), the number of the end and the memory.
 */
static const uint8_t offer[] = { 0, 'r', 'i', 'n', 'g' };
#define OFFER_LEN (sizeof(offer) + 1)

static int
send_offer(int fd, uint8_t side, int memory)
{
	uint8_t buf[OFFER_LEN];

	memcpy(buf, offer, sizeof(offer));
	buf[sizeof(offer)] = side;
	return send_raw(fd, buf, sizeof(buf), memory);
}

int
ipc_port_pair(int fds[2])
{
	int saved, rv = -1, memory = shmring_create();

	fds[0] = fds[1] = -1;
	if (memory == -1)
		return -1;
	if (ipc_pair(fds) == 0 && send_offer(fds[0], 1, memory) == 0 && send_offer(fds[1], 0, memory) == 0)
		rv = 0;
	saved = errno;
	close(memory);
	for (unsigned i = 0; i < 2 && rv == -1; i++) {
		if (fds[i] != -1)
			close(fds[i]);
		fds[i] = -1;
	}
	errno = saved;
	return rv;
}

/* Takes the ring that lies at the beginning of fd, if there is one. 0, or -1: there was none that can be used. */
static int
take_ring(struct ipc *ipc)
{
	uint8_t buf[OFFER_LEN] = { 0xff };
	struct shmring *r;
	int memory, n = -1;
	ssize_t len = recv(ipc->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK);

	if (len == -1 && errno == ECONNRESET)	/* the other side has died before it took its own: once, as in read_round() */
		len = recv(ipc->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK);
	if (len < (ssize_t)sizeof(offer) || memcmp(buf, offer, sizeof(offer)) != 0)
		return 0;
	if (receive(ipc, buf, sizeof(buf), &memory) != (ssize_t)sizeof(buf) || memory == -1)
		return -1;
	if ((r = malloc(sizeof(*r))) != NULL && (n = shmring_map(r, memory, buf[sizeof(offer)])) == 0)
		ipc->ring = r;
	else
		free(r);
	close(memory);
	return n;
}

struct ipc *
ipc_open(struct event_base *base, int fd, const struct ipc_ops *ops, void *arg, bool port)
{
	struct ipc *ipc = calloc(1, sizeof(*ipc));

	if (ipc == NULL) {
		close(fd);
		return NULL;
	}
	ipc->ops = ops;
	ipc->arg = arg;
	ipc->fd = fd;
	TAILQ_INIT(&ipc->queue);
	if (port && take_ring(ipc) == -1)
		goto fail;
	if (ipc->ring != NULL) {
		if ((ipc->again = event_new(base, -1, 0, on_again, ipc)) == NULL)
			goto fail;
		go_on_later(ipc);	/* what the other has written already, and then to sleep */
	}
	ipc->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, ipc);
	ipc->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, ipc);
	if (ipc->readable == NULL || ipc->writable == NULL || event_add(ipc->readable, NULL) == -1)
		goto fail;
	return ipc;
fail:
	if (ipc->again != NULL)
		event_free(ipc->again);
	if (ipc->readable != NULL)
		event_free(ipc->readable);
	if (ipc->writable != NULL)
		event_free(ipc->writable);
	ring_free(ipc->ring);
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
	if (ipc->again != NULL)
		event_free(ipc->again);
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
	/* The doorbell of a ring is also rung for room: it goes on being heard. */
	if (ipc->ring == NULL)
		event_del(ipc->readable);
}

void
ipc_resume(struct ipc *ipc)
{
	if (!ipc->paused)
		return;
	ipc->paused = false;
	if (ipc->closed)
		return;
	if (ipc->ring != NULL)
		go_on_later(ipc);	/* what came meanwhile rang no bell */
	else
		event_add(ipc->readable, NULL);
}

void
ipc_want_room(struct ipc *ipc)
{
	if (ipc->why_dead != NULL)
		return;
	if (ipc->ring != NULL) {
		ring_flush(ipc);
		ring_want(ipc, (uint32_t)shmring_backlog(ipc->ring) / 2);
		return;
	}
	ipc->want_room = true;
	watch_output(ipc);
}

bool
ipc_ended(const struct ipc *ipc)
{
	return ipc->why_dead != NULL;
}

size_t
ipc_backlog(const struct ipc *ipc)
{
	if (ipc->ring != NULL)
		return ipc->why_dead == NULL ? shmring_backlog(ipc->ring) : 0;
	return ipc->queued_bytes + (ipc->cur != NULL ? ipc->cur->len : 0);
}
