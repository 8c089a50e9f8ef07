#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc/ipc.h"
#include "proc/procmsg.h"
#include "suite.h"

/* One end of a channel and what came to it. */
struct end {
	struct ipc *ipc;
	unsigned frames, batches, writables, closed;
	unsigned fail_at;	/* the frame callback gives -1 for this frame; 0: never */
	unsigned free_at;	/* and frees the ipc at this one */
	unsigned pause_at;
	bool	 free_in_batch_end, free_in_writable, free_in_closed;
	uint64_t types[64];
	uint64_t next_seq;	/* DATA: what the next has to be */
	uint64_t bytes;
	int	 fd;		/* the last one that came */
	char	 why[64];
};

static struct event_base *base;
static int fds[2];
static struct end a, b;

static void
drop(struct end *e)
{
	ipc_free(e->ipc);
	e->ipc = NULL;
}

static int
on_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct end *e = arg;

	ck_assert_ptr_eq(e->ipc, ipc);
	e->types[e->frames++ % 64] = f->type;
	if (frame_type_is_data(f->type)) {
		ck_assert_uint_eq(f->data.seq, e->next_seq);
		e->next_seq++;
		e->bytes += f->data.payload_len;
		ck_assert(f->data.payload >= f->raw.p && f->data.payload + f->data.payload_len == f->raw.p + f->raw.len);
		ck_assert(!f->skipped);
	}
	if (fd != -1) {
		if (e->fd != -1)
			close(e->fd);
		e->fd = fd;
	}
	if (e->frames == e->free_at)
		drop(e);
	if (e->frames == e->pause_at)
		ipc_pause(ipc);
	return e->frames == e->fail_at ? -1 : 0;
}

static void
on_batch_end(struct ipc *ipc, void *arg)
{
	struct end *e = arg;

	e->batches++;
	if (e->free_in_batch_end)
		drop(e);
}

static void
on_writable(struct ipc *ipc, void *arg)
{
	struct end *e = arg;

	e->writables++;
	if (e->free_in_writable)
		drop(e);
}

static void
on_closed(struct ipc *ipc, const char *why, void *arg)
{
	struct end *e = arg;

	e->closed++;
	strncpy(e->why, why, sizeof(e->why) - 1);
	if (e->free_in_closed)
		drop(e);
}

static const struct ipc_ops ops = {
	.frame = on_frame, .batch_end = on_batch_end, .writable = on_writable, .closed = on_closed
};

static void
setup(void)
{
	base = event_base_new();
	ck_assert_int_eq(ipc_pair(fds), 0);
	a = b = (struct end){ .fd = -1 };
	a.ipc = ipc_new(base, fds[0], &ops, &a);
	b.ipc = ipc_new(base, fds[1], &ops, &b);
	ck_assert(a.ipc != NULL && b.ipc != NULL);
}

static void
teardown(void)
{
	if (b.fd != -1)
		close(b.fd);
	ipc_free(a.ipc);
	ipc_free(b.ipc);
	event_base_free(base);
}

/* b as a bare socket: a stranger at the other end. */
static void
setup_raw(void)
{
	setup();
	fds[0] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
	drop(&a);
}

static void
teardown_raw(void)
{
	close(fds[0]);
	teardown();
}

static void
spin(void)
{
	for (int i = 0; i < 200; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static uint8_t payload[65000];

static struct frame
data(uint64_t seq, size_t len)
{
	return (struct frame){ .type = FT_DATA_U, .data = { .stream_id = 4, .seq = seq,
	    .flags = DATA_UNRELIABLE, .payload = payload, .payload_len = len } };
}

static int
send_data(struct end *e, uint64_t seq, size_t len)
{
	struct frame f = data(seq, len);

	return ipc_send(e->ipc, &f);
}

static unsigned
open_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

START_TEST(many_frames_one_message)
{
	for (unsigned i = 0; i < 40; i++)
		ck_assert_int_eq(send_data(&a, i, 1400), 0);
	spin();
	ck_assert_msg(b.frames == 0, "nothing leaves before the flush");
	ck_assert_uint_gt(ipc_backlog(a.ipc), 40 * 1400);
	ck_assert_int_eq(ipc_flush(a.ipc), 0);
	ck_assert_uint_eq(ipc_backlog(a.ipc), 0);
	spin();
	ck_assert_uint_eq(b.frames, 40);
	ck_assert_uint_eq(b.batches, 1);
	ck_assert_uint_eq(b.bytes, 40 * 1400);
	ck_assert_int_eq(ipc_flush(a.ipc), 0);
	spin();
	ck_assert_msg(b.frames == 40 && b.closed == 0, "an empty flush sends nothing");
}
END_TEST

START_TEST(a_full_message_leaves_alone)
{
	for (unsigned i = 0; i < IPC_MSG_FLUSH / 1400 + 1; i++)
		ck_assert_int_eq(send_data(&a, i, 1400), 0);
	ck_assert_uint_eq(ipc_backlog(a.ipc), 0);
	spin();
	ck_assert_uint_eq(b.frames, IPC_MSG_FLUSH / 1400 + 1);
}
END_TEST

START_TEST(largest_frames)
{
	struct procmsg m = { .type = PM_READY, .ready = { 1, 1 } };

	ck_assert_int_eq(send_data(&a, 0, sizeof(payload)), 0);
	ck_assert_int_eq(send_data(&a, 1, sizeof(payload)), 0);
	ck_assert_int_eq(procmsg_send(a.ipc, &m, -1), 0);
	ck_assert_int_eq(send_data(&a, 2, sizeof(payload)), 0);
	ipc_flush(a.ipc);
	spin();
	ck_assert_uint_eq(b.frames, 4);
	ck_assert_uint_eq(b.types[2], PM_READY);
	ck_assert_uint_eq(b.bytes, 3 * sizeof(payload));
	ck_assert_ptr_null(ipc_reserve(a.ipc, IPC_MSG_MAX + 1));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_nonnull(ipc_reserve(a.ipc, IPC_MSG_MAX));
	ipc_commit(a.ipc, 0);
}
END_TEST

/* A reader that has much to read lets others have their turn. */
START_TEST(reads_in_rounds)
{
	for (unsigned i = 0; i < 2 * IPC_READ_BATCH + 1; i++) {
		send_data(&a, i, 100);
		ck_assert_int_eq(ipc_flush(a.ipc), 0);
	}
	event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	ck_assert_uint_eq(b.frames, IPC_READ_BATCH);
	ck_assert_uint_eq(b.batches, 1);
	spin();
	ck_assert_uint_eq(b.frames, 2 * IPC_READ_BATCH + 1);
	ck_assert_uint_eq(b.batches, 3);
}
END_TEST

/* Sends until nothing more is taken; the number of frames that were. */
static unsigned
fill(size_t len, bool flush)
{
	unsigned sent = 0;

	while (sent < 1000000 && send_data(&a, sent, len) == 0) {
		sent++;
		if (flush)
			ipc_flush(a.ipc);
	}
	ck_assert_int_eq(errno, EAGAIN);
	return sent;
}

static const struct {
	size_t	len;
	bool	flush;
} fillings[] = { { 1400, false }, { 1400, true }, { 100, true }, { 65000, false }, { 65000, true } };

START_TEST(backpressure)
{
	unsigned sent;

	ipc_pause(b.ipc);
	sent = fill(fillings[_i].len, fillings[_i].flush);
	ck_assert_uint_lt(sent, 1000000);
	ck_assert_msg(ipc_backlog(a.ipc) <= (IPC_QUEUE_MAX + 1) * IPC_MSG_MAX, "backlog %zu", ipc_backlog(a.ipc));
	spin();
	ck_assert_uint_eq(a.writables, 0);
	ck_assert_uint_eq(b.frames, 0);
	ipc_resume(b.ipc);
	spin();
	ck_assert_uint_eq(a.writables, 1);
	ipc_flush(a.ipc);
	spin();
	ck_assert_msg(b.frames == sent, "%u of %u", b.frames, sent);
	ck_assert_uint_eq(ipc_backlog(a.ipc), 0);
	ck_assert_int_eq(send_data(&a, sent, 100), 0);
	ipc_flush(a.ipc);
	spin();
	ck_assert_uint_eq(b.frames, sent + 1);
	ck_assert_msg(a.writables == 1, "not called again without need");
}
END_TEST

START_TEST(pause_inside_a_callback)
{
	b.pause_at = 1;
	send_data(&a, 0, 10);
	send_data(&a, 1, 10);
	ipc_flush(a.ipc);
	send_data(&a, 2, 10);
	ipc_flush(a.ipc);
	spin();
	ck_assert_msg(b.frames == 2, "the message is finished");
	ipc_resume(b.ipc);
	spin();
	ck_assert_uint_eq(b.frames, 3);
}
END_TEST

/* A descriptor that came works, and is the one that was sent. */
static void
check_pipe(int w, int r)
{
	char c = 0;

	ck_assert_int_ge(w, 0);
	ck_assert_int_eq(fcntl(w, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(write(w, "!", 1), 1);
	ck_assert_int_eq(read(r, &c, 1), 1);
	ck_assert_int_eq(c, '!');
}

START_TEST(descriptor)
{
	const struct procmsg port = { .type = PM_PORT, .port = { WORKER_VPND, 2 } };
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	send_data(&a, 0, 100);
	ck_assert_int_eq(procmsg_send(a.ipc, &port, p[1]), 0);
	close(p[1]);
	send_data(&a, 1, 100);
	ipc_flush(a.ipc);
	spin();
	ck_assert_uint_eq(b.frames, 3);
	ck_assert_uint_eq(b.types[1], PM_PORT);
	check_pipe(b.fd, p[0]);
	close(p[0]);
}
END_TEST

/* Sends until the socket is full; the queue is not. */
static unsigned
block(void)
{
	unsigned sent = 0;

	ipc_pause(b.ipc);
	do {
		ck_assert_int_eq(send_data(&a, sent++, 1400), 0);
	} while (ipc_flush(a.ipc) == 0);
	ck_assert_uint_gt(ipc_backlog(a.ipc), 1000);
	return sent;
}

/* It keeps its place when the socket is full, and the caller may close its own at once. */
START_TEST(descriptor_waits)
{
	const struct procmsg port = { .type = PM_PORT, .port = { WORKER_VPND, 2 } };
	unsigned sent, before = open_descriptors();
	int p[2];

	sent = block();
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(procmsg_send(a.ipc, &port, p[1]), 0);
	close(p[1]);
	send_data(&a, sent, 1400);
	ipc_resume(b.ipc);
	spin();
	ipc_flush(a.ipc);
	spin();
	ck_assert_uint_eq(b.frames, sent + 2);
	ck_assert_uint_eq(b.types[sent % 64], PM_PORT);
	check_pipe(b.fd, p[0]);
	close(p[0]);
	close(b.fd);
	b.fd = -1;
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

START_TEST(descriptors_fill_the_queue)
{
	const struct procmsg port = { .type = PM_PORT, .port = { WORKER_VPND, 2 } };
	unsigned before = open_descriptors(), n = 0;

	block();
	while (n < 1000 && procmsg_send(a.ipc, &port, 0) == 0)
		n++;
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_msg(n == IPC_QUEUE_MAX - 1, "%u, behind what was built before", n);
	ck_assert_uint_eq(open_descriptors(), before + n);
	drop(&a);
	ck_assert_uint_eq(open_descriptors(), before - 1);
}
END_TEST

START_TEST(descriptor_rules_of_the_sender)
{
	const struct procmsg ready = { .type = PM_READY, .ready = { 1, 1 } };
	const struct procmsg port = { .type = PM_PORT, .port = { WORKER_VPND, 2 } };
	const struct procmsg log = { .type = PM_LOG, .log = { 1, true } }, log_no = { .type = PM_LOG };
	struct frame f = { .type = PM_READY };

	ck_assert_int_eq(procmsg_send(a.ipc, &ready, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(procmsg_send(a.ipc, &port, -1), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(procmsg_send(a.ipc, &log, -1), -1);
	ck_assert_int_eq(procmsg_send(a.ipc, &log_no, 0), -1);
	ck_assert_int_eq(procmsg_send(a.ipc, &log, 0), 0);
	ck_assert_int_eq(procmsg_send(a.ipc, &log_no, -1), 0);
	ck_assert_int_eq(ipc_send_fd(a.ipc, &f, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	f = data(0, 10);
	ck_assert_int_eq(ipc_send_fd(a.ipc, &f, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ipc_flush(a.ipc);
	spin();
	ck_assert_uint_eq(b.frames, 2);
}
END_TEST

START_TEST(refuses_to_send)
{
	struct frame f = data(0, 0);

	f.type = FT_DATA_UF;
	f.data.flags = DATA_UNRELIABLE | DATA_FRAGMENT;
	ck_assert_int_eq(ipc_send(a.ipc, &f), -1);
	ck_assert_int_eq(errno, EINVAL);
	f = (struct frame){ .type = FT_RESET_STREAM, .reset = { .stream_id = 0 } };
	ck_assert_int_eq(ipc_send(a.ipc, &f), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(ipc_backlog(a.ipc), 0);
}
END_TEST

/* Sends bytes, and n descriptors, from the bare end. */
static void
raw_send(const void *p, size_t len, unsigned n)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(4 * sizeof(int))];
	} control = { 0 };
	int dups[4] = { 0, 0, 0, 0 };
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n > 0) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.hdr), dups, n * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(fds[0], &mh, 0), (ssize_t)len);
}

static size_t
put(uint8_t *p, const struct procmsg *m)
{
	return procmsg_encode(p, 256, m);
}

static const struct procmsg ready = { .type = PM_READY, .ready = { 1, 1 } };
static const struct procmsg port = { .type = PM_PORT, .port = { WORKER_VPND, 2 } };
static const struct procmsg conf_log = { .type = PM_LOG, .log = { 1, false } };

/* What a stranger may do with descriptors: frames that arrive, and whether the channel lives. */
static const struct {
	const char *what;
	const struct procmsg *first, *second;
	unsigned nfds, frames;
	bool	 lives, got;
} passing[] = {
	{ "with a type that carries one", &port, NULL, 1, 1, true, true },
	{ "and a frame behind it", &port, &ready, 1, 2, true, true },
	{ "optional, there", &conf_log, NULL, 1, 1, true, true },
	{ "optional, not there", &conf_log, NULL, 0, 1, true, false },
	{ "with a type that carries none", &ready, NULL, 1, 0, false, false },
	{ "missing", &port, NULL, 0, 0, false, false },
	{ "second frame's", &ready, &port, 1, 0, false, false },
	{ "second frame's, missing", &port, &port, 1, 1, false, true },
	{ "two", &port, NULL, 2, 0, false, false },
	{ "two for two", &port, &port, 2, 0, false, false },
	{ "four", &port, NULL, 4, 0, false, false },
};

START_TEST(stranger_passes_descriptors)
{
	unsigned before = open_descriptors();
	uint8_t msg[512];
	size_t len = put(msg, passing[_i].first);

	if (passing[_i].second != NULL)
		len += put(msg + len, passing[_i].second);
	raw_send(msg, len, passing[_i].nfds);
	spin();
	ck_assert_msg(b.frames == passing[_i].frames, "%s", passing[_i].what);
	ck_assert_msg(b.closed == !passing[_i].lives, "%s: %s", passing[_i].what, b.why);
	ck_assert_msg((b.fd != -1) == passing[_i].got, "%s", passing[_i].what);
	ck_assert_msg(open_descriptors() == before + passing[_i].got, "%s: leaks", passing[_i].what);
}
END_TEST

START_TEST(stranger_passes_one_with_data)
{
	struct frame f = data(0, 10);
	unsigned before = open_descriptors();
	uint8_t msg[64];

	raw_send(msg, frame_encode(msg, sizeof(msg), &f, FRAME_PORT_PROC), 1);
	spin();
	ck_assert_uint_eq(b.frames, 0);
	ck_assert_uint_eq(b.closed, 1);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

/* Messages that are not frames; the good frame in front of each arrives. */
static const struct {
	const char *what;
	size_t	len;
	uint8_t	bytes[16];
	bool	lives;
} garbage[] = {
	{ "nothing more", 0, { 0 }, true },
	{ "type 0", 2, { 0, 0 }, false },
	{ "an unknown critical type", 2, { 0x3f, 0 }, false },
	{ "an unknown skippable type", 4, { 0x40, 0x7f, 1, 9 }, true },
	{ "above all ranges", 5, { 0x80, 0, 0x20, 0, 0 }, false },
	{ "a DATA cut off", 3, { FT_DATA_U, 9, 4 }, false },
	{ "a DATA without length", 1, { FT_DATA_U }, false },
	{ "a DATA that is malformed", 3, { FT_DATA_U, 1, 4 }, false },
	{ "a DATA with a length not in its shortest form", 4, { FT_DATA_U, 0x40, 1, 4 }, false },
	{ "a PING cut off", 2, { FT_PING, 9 }, false },
	{ "a length above the ceiling", 6, { FT_PING, 0xbf, 0xff, 0xff, 0xff, 0 }, false },
	{ "a process message with an empty body", 3, { 0x50, 0x01, 0 }, false },	/* STATS without its descriptor */
};

START_TEST(stranger_sends_garbage)
{
	uint8_t msg[64];
	size_t len = put(msg, &ready);

	memcpy(msg + len, garbage[_i].bytes, garbage[_i].len);
	raw_send(msg, len + garbage[_i].len, 0);
	raw_send(msg, len, 0);
	spin();
	ck_assert_msg(b.closed == !garbage[_i].lives, "%s: %s", garbage[_i].what, b.why);
	ck_assert_msg(b.frames == (garbage[_i].lives ? 2 : 1), "%s: %u frames", garbage[_i].what, b.frames);
}
END_TEST

START_TEST(stranger_sends_too_much)
{
	uint8_t *msg = calloc(1, IPC_MSG_MAX + 1);
	size_t len = 0;

	/* The first IPC_MSG_MAX bytes are good frames. */
	while (len + 16 <= IPC_MSG_MAX)
		len += put(msg + len, &ready);
	raw_send(msg, IPC_MSG_MAX + 1, 0);
	spin();
	ck_assert_uint_eq(b.frames, 0);
	ck_assert_uint_eq(b.closed, 1);
	ck_assert_str_eq(b.why, "a message is too long, or brings too much");
	free(msg);
}
END_TEST

START_TEST(stranger_sends_an_empty_message)
{
	raw_send("", 0, 0);
	spin();
	ck_assert_uint_eq(b.closed, 1);
}
END_TEST

START_TEST(callback_refuses)
{
	b.fail_at = 2;
	for (unsigned i = 0; i < 5; i++)
		send_data(&a, i, 100);
	ipc_flush(a.ipc);
	send_data(&a, 5, 100);
	ipc_flush(a.ipc);
	spin();
	ck_assert_uint_eq(b.frames, 2);
	ck_assert_uint_eq(b.closed, 1);
	ck_assert_msg(send_data(&b, 0, 10) == -1 && errno == EAGAIN, "a closed channel takes nothing");
	ck_assert_int_eq(ipc_flush(b.ipc), -1);
}
END_TEST

START_TEST(freed_in_frame)
{
	b.free_at = 2;
	b.fail_at = (unsigned)_i;
	for (unsigned i = 0; i < 5; i++)
		send_data(&a, i, 100);
	ipc_flush(a.ipc);
	spin();
	ck_assert_uint_eq(b.frames, 2);
	ck_assert_uint_eq(b.batches, 0);
	ck_assert_uint_eq(b.closed, 0);
	ck_assert_msg(a.closed == 1, "its other end sees it");
}
END_TEST

START_TEST(freed_in_batch_end)
{
	b.free_in_batch_end = true;
	send_data(&a, 0, 100);
	ipc_flush(a.ipc);
	spin();
	ck_assert_uint_eq(b.batches, 1);
	ck_assert_uint_eq(b.closed, 0);
	ck_assert_uint_eq(a.closed, 1);
}
END_TEST

START_TEST(freed_in_writable)
{
	a.free_in_writable = true;
	ipc_pause(b.ipc);
	fill(65000, false);
	ipc_resume(b.ipc);
	spin();
	ck_assert_uint_eq(a.writables, 1);
	ck_assert_uint_eq(a.closed, 0);
	ck_assert_uint_eq(b.closed, 1);
}
END_TEST

START_TEST(freed_in_closed)
{
	b.free_in_closed = true;
	send_data(&a, 0, 100);
	ipc_flush(a.ipc);
	drop(&a);
	spin();
	ck_assert_msg(b.frames == 1, "what was sent before is read");
	ck_assert_uint_eq(b.closed, 1);
}
END_TEST

/* An end that died with our messages unread: what it said before is still heard. */
START_TEST(last_words)
{
	const struct procmsg bad = { .type = PM_CONF_BAD, .conf_bad = { "because" } };

	send_data(&b, 0, 100);
	ipc_flush(b.ipc);
	ck_assert_int_eq(procmsg_send(a.ipc, &bad, -1), 0);
	ipc_flush(a.ipc);
	drop(&a);
	if (_i == 1) {
		ck_assert_int_eq(send_data(&b, 1, 100), 0);
		ck_assert_msg(ipc_flush(b.ipc) == -1 && errno == EAGAIN, "not a signal, and not inside the call");
		ck_assert_uint_eq(b.closed, 0);
		ck_assert_uint_eq(ipc_backlog(b.ipc), 0);
	}
	spin();
	ck_assert_uint_eq(b.frames, 1);
	ck_assert_uint_eq(b.types[0], PM_CONF_BAD);
	ck_assert_uint_eq(b.closed, 1);
	ck_assert_str_eq(b.why, "the other side is gone");
}
END_TEST

START_TEST(death_seen_while_paused)
{
	ipc_pause(b.ipc);
	drop(&a);
	spin();
	ck_assert_msg(b.closed == 0, "not watched");
	send_data(&b, 0, 100);
	ipc_flush(b.ipc);
	spin();
	ck_assert_uint_eq(b.closed, 1);
	ipc_resume(b.ipc);
	spin();
	ck_assert_uint_eq(b.closed, 1);
}
END_TEST

START_TEST(free_of_null)
{
	ipc_free(NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ipc");
	TCase *tc = tcase_create("ipc"), *raw = tcase_create("stranger");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, many_frames_one_message);
	tcase_add_test(tc, a_full_message_leaves_alone);
	tcase_add_test(tc, largest_frames);
	tcase_add_test(tc, reads_in_rounds);
	tcase_add_loop_test(tc, backpressure, 0, sizeof(fillings) / sizeof(fillings[0]));
	tcase_add_test(tc, pause_inside_a_callback);
	tcase_add_test(tc, descriptor);
	tcase_add_test(tc, descriptor_waits);
	tcase_add_test(tc, descriptors_fill_the_queue);
	tcase_add_test(tc, descriptor_rules_of_the_sender);
	tcase_add_test(tc, refuses_to_send);
	tcase_add_test(tc, callback_refuses);
	tcase_add_loop_test(tc, freed_in_frame, 2, 4);
	tcase_add_test(tc, freed_in_batch_end);
	tcase_add_test(tc, freed_in_writable);
	tcase_add_test(tc, freed_in_closed);
	tcase_add_loop_test(tc, last_words, 0, 2);
	tcase_add_test(tc, death_seen_while_paused);
	tcase_add_test(tc, free_of_null);
	tcase_add_checked_fixture(raw, setup_raw, teardown_raw);
	tcase_add_loop_test(raw, stranger_passes_descriptors, 0, sizeof(passing) / sizeof(passing[0]));
	tcase_add_test(raw, stranger_passes_one_with_data);
	tcase_add_loop_test(raw, stranger_sends_garbage, 0, sizeof(garbage) / sizeof(garbage[0]));
	tcase_add_test(raw, stranger_sends_too_much);
	tcase_add_test(raw, stranger_sends_an_empty_message);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, raw);
	return suite_run(s);
}
