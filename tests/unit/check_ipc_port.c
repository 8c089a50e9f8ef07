#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/ipc.h"
#include "proc/procmsg.h"
#include "proc/shmring.h"
#include "suite.h"

static bool
put(struct shmring *r, const void *p, size_t len)
{
	uint8_t *to = shmring_reserve(r, len);

	if (to == NULL)
		return false;
	memcpy(to, p, len);
	shmring_commit(r, len);
	return true;
}

/* --- a channel over them -------------------------------------------------------------------------- */

struct end {
	struct ipc *ipc;
	unsigned frames, batches, writables, closed;
	unsigned fail_at, free_at, pause_at;
	bool	 free_in_batch_end, free_in_writable, free_in_closed;
	uint64_t next_seq, bytes;
	uint64_t types[16];
	char	 why[80];
};

static struct event_base *base;
static int fds[2];
static struct end x, y;
static struct shmring raw;	/* the other end of x, in a stranger's hands */
static uint8_t payload[65000];

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

	ck_assert_int_eq(fd, -1);
	e->types[e->frames++ % 16] = f->type;
	if (frame_type_is_data(f->type)) {
		ck_assert_uint_eq(f->data.seq, e->next_seq);
		e->next_seq++;
		e->bytes += f->data.payload_len;
		if (f->data.payload_len > 0)
			ck_assert_uint_eq(f->data.payload[f->data.payload_len - 1], payload[f->data.payload_len - 1]);
		ck_assert(f->data.payload + f->data.payload_len == f->raw.p + f->raw.len);
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
	snprintf(e->why, sizeof(e->why), "%s", why);
	if (e->free_in_closed)
		drop(e);
}

static const struct ipc_ops ops = {
	.frame = on_frame, .batch_end = on_batch_end, .writable = on_writable, .closed = on_closed
};

static void
spin(void)
{
	for (int i = 0; i < 200; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
setup_one(void)
{
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 31);
	base = event_base_new();
	ck_assert_int_eq(ipc_port_pair(fds), 0);
	x = y = (struct end){ .frames = 0 };
	x.ipc = ipc_new_port(base, fds[0], &ops, &x);
	ck_assert_ptr_nonnull(x.ipc);
}

static void
setup(void)
{
	setup_one();
	y.ipc = ipc_new_port(base, fds[1], &ops, &y);
	ck_assert_ptr_nonnull(y.ipc);
	spin();
}

static void
teardown(void)
{
	ipc_free(x.ipc);
	ipc_free(y.ipc);
	event_base_free(base);
}

/* The memory that lies in a new end. */
static int
take_memory(int fd, uint8_t *side)
{
	uint8_t buf[16];
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
	    .msg_controllen = sizeof(control.buf) };
	int m;

	ck_assert_int_eq(recvmsg(fd, &mh, 0), 6);
	ck_assert_uint_eq(control.hdr.cmsg_type, SCM_RIGHTS);
	memcpy(&m, CMSG_DATA(&control.hdr), sizeof(m));
	*side = buf[5];
	return m;
}

static void
setup_stranger(void)
{
	uint8_t side;
	int m;

	setup_one();
	m = take_memory(fds[1], &side);
	ck_assert_uint_eq(side, 1);
	ck_assert_int_eq(shmring_map(&raw, m, side), 0);
	close(m);
	spin();
}

static void
teardown_stranger(void)
{
	shmring_unmap(&raw);
	close(fds[1]);
	teardown();
}

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

START_TEST(in_order_whatever_they_are)
{
	const struct procmsg m = { .type = PM_PEER_DOWN };
	struct frame big = { .type = FT_RESET_STREAM, .reset = { .stream_id = 4, .reason = 1,
	    .text = { (const uint8_t *)"because", 7 } } };

	ck_assert_int_eq(send_data(&x, 0, sizeof(payload)), 0);
	ck_assert_int_eq(procmsg_send(x.ipc, &m, -1), 0);
	ck_assert_int_eq(send_data(&x, 1, 0), 0);
	ck_assert_int_eq(ipc_send(x.ipc, &big), 0);
	ck_assert_int_eq(send_data(&x, 2, 1), 0);
	ck_assert_uint_gt(ipc_backlog(x.ipc), sizeof(payload));
	ck_assert_int_eq(ipc_flush(x.ipc), 0);
	spin();
	ck_assert_uint_eq(y.frames, 5);
	ck_assert_uint_eq(y.types[1], PM_PEER_DOWN);
	ck_assert_uint_eq(y.types[3], FT_RESET_STREAM);
	ck_assert_uint_eq(y.bytes, sizeof(payload) + 1);
	ck_assert_uint_eq(ipc_backlog(x.ipc), 0);
	ck_assert_int_eq(send_data(&y, 0, 10), 0);
	ipc_flush(y.ipc);
	spin();
	ck_assert_uint_eq(x.frames, 1);
}
END_TEST

START_TEST(leaves_at_the_flush)
{
	for (unsigned i = 0; i < 40; i++)
		ck_assert_int_eq(send_data(&x, i, 1400), 0);
	spin();
	ck_assert_uint_eq(y.frames, 0);
	ipc_flush(x.ipc);
	spin();
	ck_assert_uint_eq(y.frames, 40);
	ck_assert_uint_eq(y.batches, 1);
	for (unsigned i = 40; i < 40 + SHMRING_SIZE / 3 / 1400; i++) {
		ck_assert_int_eq(send_data(&x, i, 1400), 0);
		spin();
	}
	ck_assert_msg(y.frames > 40, "much goes by itself");
}
END_TEST

static const size_t sizes[] = { 100, 1400, 9000, 65000 };

START_TEST(backpressure)
{
	unsigned sent = 0;

	ipc_pause(y.ipc);
	while (sent < 1000000 && send_data(&x, sent, sizes[_i]) == 0)
		sent++;
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_lt(sent, 1000000);
	ck_assert_uint_le(ipc_backlog(x.ipc), SHMRING_SIZE);
	ck_assert_uint_ge(ipc_backlog(x.ipc), SHMRING_SIZE - IPC_MSG_MAX);
	spin();
	ck_assert_uint_eq(x.writables, 0);
	ck_assert_uint_eq(y.frames, 0);
	ipc_resume(y.ipc);
	spin();
	ck_assert_uint_eq(x.writables, 1);
	ipc_flush(x.ipc);
	spin();
	ck_assert_msg(y.frames == sent, "%u of %u", y.frames, sent);
	ck_assert_uint_eq(ipc_backlog(x.ipc), 0);
	ck_assert_int_eq(send_data(&x, sent, 100), 0);
	ipc_flush(x.ipc);
	spin();
	ck_assert_uint_eq(y.frames, sent + 1);
	ck_assert_msg(x.writables == 1, "not called again without need");
	ck_assert_msg(y.batches >= 5, "others had their turn in between");
}
END_TEST

/* The other side makes room and rings. */
START_TEST(told_of_room)
{
	const uint8_t *p;
	unsigned sent = 0;

	while (send_data(&x, sent, 1400) == 0)
		sent++;
	spin();
	ck_assert_uint_eq(x.writables, 0);
	raw.mine->tail = raw.in_head = 0;
	ck_assert_uint_gt(shmring_readable(&raw, &p), SHMRING_SIZE - 2000);
	shmring_consume(&raw, shmring_readable(&raw, &p));
	shmring_release(&raw);
	ck_assert_ptr_nonnull(ipc_reserve(x.ipc, 1400));
	ipc_commit(x.ipc, 0);
	ck_assert_ptr_null(ipc_reserve(x.ipc, IPC_MSG_MAX + 1));
	ck_assert_int_eq(send(fds[1], "", 1, 0), 1);
	spin();
	ck_assert_uint_eq(x.writables, 1);
}
END_TEST

START_TEST(pause_inside_a_callback)
{
	y.pause_at = 1;
	send_data(&x, 0, 10);
	send_data(&x, 1, 10);
	ipc_flush(x.ipc);
	spin();
	ck_assert_uint_eq(y.frames, 1);
	send_data(&x, 2, 10);
	ipc_flush(x.ipc);
	spin();
	ck_assert_uint_eq(y.frames, 1);
	ipc_resume(y.ipc);
	spin();
	ck_assert_uint_eq(y.frames, 3);
}
END_TEST

/* Who stops below the bound of its own accord is told once, when half of what waits has been read. */
START_TEST(wants_room_early)
{
	ipc_pause(y.ipc);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_int_eq(send_data(&x, i, 1400), 0);
	ipc_want_room(x.ipc);
	spin();
	ck_assert_uint_eq(x.writables, 0);
	y.pause_at = 10;
	ipc_resume(y.ipc);
	spin();
	ck_assert_uint_eq(y.frames, 10);
	ck_assert_uint_eq(x.writables, 0);
	ipc_resume(y.ipc);
	spin();
	ck_assert_uint_eq(y.frames, 40);
	ck_assert_uint_eq(x.writables, 1);
	ipc_want_room(x.ipc);
	ck_assert_msg(x.writables == 1, "not from inside the call");
	spin();
	ck_assert_msg(x.writables == 2, "there is room already");
}
END_TEST

/* While it does not read it still hears that there is room. */
START_TEST(room_while_paused)
{
	unsigned sent = 0;

	ipc_pause(y.ipc);
	while (send_data(&x, sent, 1400) == 0)
		sent++;
	spin();
	ipc_pause(x.ipc);
	ipc_resume(y.ipc);
	spin();
	ck_assert_uint_eq(x.writables, 1);
}
END_TEST

START_TEST(carries_no_descriptor)
{
	struct procmsg m = { .type = PM_LOG, .log = { 1, true } };
	unsigned before = open_descriptors();

	ck_assert_int_eq(procmsg_send(x.ipc, &m, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	spin();
	ck_assert_uint_eq(y.closed, 0);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

START_TEST(last_words)
{
	send_data(&x, 0, 1000);
	for (unsigned i = 1; i < 20; i++)
		send_data(&x, i, 65000);
	ipc_flush(x.ipc);
	drop(&x);
	spin();
	ck_assert_uint_eq(y.frames, 20);
	ck_assert_uint_eq(y.closed, 1);
	ck_assert_str_eq(y.why, "the other side is gone");
	ck_assert_int_eq(send_data(&y, 0, 10), -1);
	ck_assert_int_eq(ipc_flush(y.ipc), -1);
	ck_assert_uint_eq(ipc_backlog(y.ipc), 0);
}
END_TEST

/* It dies with a bell of ours that it did not hear, which is an error of the socket's and not yet its end. */
START_TEST(last_words_after_an_unheard_bell)
{
	struct frame f = data(0, 100);
	uint8_t *p;

	ck_assert(shmring_sleep(&raw));
	send_data(&x, 0, 10);
	ipc_flush(x.ipc);
	p = shmring_reserve(&raw, 1000);
	shmring_commit(&raw, frame_encode(p, 1000, &f, FRAME_PORT_PROC));
	shmring_publish(&raw);
	close(fds[1]);
	fds[1] = -1;
	spin();
	ck_assert_uint_eq(x.frames, 1);
	ck_assert_uint_eq(x.closed, 1);
}
END_TEST

START_TEST(death_seen_while_paused)
{
	ipc_pause(y.ipc);
	drop(&x);
	spin();
	ck_assert_uint_eq(y.closed, 1);
	ipc_resume(y.ipc);
	spin();
	ck_assert_uint_eq(y.closed, 1);
}
END_TEST

START_TEST(death_seen_by_the_sender)
{
	ck_assert(shmring_sleep(&raw));
	close(fds[1]);
	fds[1] = -1;
	ck_assert_int_eq(send_data(&x, 0, 10), 0);
	ipc_flush(x.ipc);
	ck_assert_msg(x.closed == 0, "not from inside a send");
	ck_assert_int_eq(send_data(&x, 1, 10), -1);
	ck_assert(ipc_ended(x.ipc));
	spin();
	ck_assert_uint_eq(x.closed, 1);
}
END_TEST

START_TEST(freed_in_callbacks)
{
	y.free_at = _i == 0 ? 2 : 0;
	y.free_in_batch_end = _i == 1;
	y.free_in_closed = _i == 2;
	x.free_in_writable = _i == 3;
	y.fail_at = _i == 2 ? 2 : 0;
	for (unsigned i = 0; send_data(&x, i, 1400) == 0 && (_i == 3 || i < 4); i++)
		;
	ipc_flush(x.ipc);
	spin();
	ck_assert(_i == 3 ? x.ipc == NULL && x.writables == 1 : y.ipc == NULL);
	ck_assert_uint_eq(y.frames, _i == 0 || _i == 2 ? 2 : _i == 1 ? 5 : y.frames);
}
END_TEST

START_TEST(callback_refuses)
{
	y.fail_at = 2;
	for (unsigned i = 0; i < 5; i++)
		send_data(&x, i, 10);
	ipc_flush(x.ipc);
	spin();
	ck_assert_uint_eq(y.frames, 2);
	ck_assert_uint_eq(y.closed, 1);
	ck_assert_str_eq(y.why, "a message that is out of place");
	spin();
	ck_assert_uint_eq(y.closed, 1);
}
END_TEST

/* The bell is rung once for one who sleeps, and not for one who is awake. */
START_TEST(one_bell)
{
	const uint8_t *p;
	char byte;

	ck_assert(shmring_sleep(&raw));
	for (unsigned i = 0; i < 100; i++) {
		send_data(&x, i, 1400);
		ipc_flush(x.ipc);
	}
	ck_assert_int_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), 1);
	ck_assert_int_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_uint_gt(shmring_readable(&raw, &p), 100 * 1400);
}
END_TEST

static const struct {
	const char *bytes;
	size_t	 len;
	unsigned frames;
	const char *why;
} garbage[] = {
	{ "\x16\x00", 2, 0, "an unknown type that must be understood" },
	{ "\x00\x00", 2, 0, NULL },
	{ "\x40\x09", 2, 0, NULL },
	{ "\x09", 1, 0, "a frame is cut off" },
	{ "\x09\x10\x04\x00", 4, 0, "a frame is cut off" },
	{ "\x14", 1, 0, "a frame is cut off" },
	{ "\x14\x40\x50\x04\x00", 5, 0, "a frame is cut off" },
	{ "\x09\xc0\xff\xff\xff\xff\xff\xff\xff\x04", 10, 0, NULL },
	{ "\x14\xc0\xff\xff\xff\xff\xff\xff\xff\x04", 10, 0, NULL },
	{ "\x14\x02\x04\x01\x14\x01", 6, 0, NULL },
	{ "\x50\x02\x00", 3, 0, "a message without its descriptor" },	/* PM_PORT, its body is not looked at */
	{ "\x40\x40\x03xyz\x14\x01", 8, 0, NULL },
};

START_TEST(stranger_writes_garbage)
{
	ck_assert(put(&raw, garbage[_i].bytes, garbage[_i].len));
	shmring_publish(&raw);
	ck_assert_int_eq(send(fds[1], "", 1, 0), 1);
	spin();
	ck_assert_uint_eq(x.frames, garbage[_i].frames);
	ck_assert_uint_eq(x.closed, 1);
	if (garbage[_i].why != NULL)
		ck_assert_str_eq(x.why, garbage[_i].why);
	ck_assert_int_eq(send_data(&x, 0, 10), -1);
}
END_TEST

START_TEST(stranger_moves_indexes)
{
	if (_i == 0)
		raw.mine->head = SHMRING_SIZE + 1;
	else
		raw.mine->tail = 77;
	ck_assert_uint_eq(ipc_backlog(x.ipc), 0);
	ck_assert_int_eq(send(fds[1], "", 1, 0), 1);
	spin();
	ck_assert_uint_eq(x.closed, 1);
	ck_assert_str_eq(x.why, "an index of the shared memory is wrong");
}
END_TEST

/* Found out by the writer: it takes nothing more, and the event loop ends the channel. */
START_TEST(stranger_claims_to_have_read)
{
	unsigned sent = 0;

	raw.mine->tail = 0u - 77;
	while (sent < 1000000 && send_data(&x, sent, 1400) == 0)
		sent++;
	ck_assert_uint_lt(sent, SHMRING_SIZE / 1400 + 1);
	ck_assert_uint_eq(x.closed, 0);
	spin();
	ck_assert_uint_eq(x.closed, 1);
	ck_assert_str_eq(x.why, "an index of the shared memory is wrong");
}
END_TEST

START_TEST(stranger_speaks_beside_the_ring)
{
	unsigned before = open_descriptors();
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { .hdr = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { "xx", _i == 0 ? 2 : 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd = 0;

	memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(fd));
	if (_i == 1) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control.buf);
	}
	ck_assert_int_eq(sendmsg(fds[1], &mh, 0), iov.iov_len);
	spin();
	ck_assert_uint_eq(x.closed, _i == 0);
	if (_i == 0)
		ck_assert_str_eq(x.why, "a message beside the shared memory");
	ck_assert_msg(open_descriptors() == before, "a bell brings no descriptor in");
}
END_TEST

/* Bells without end cost turns, not memory, and nobody else's turn. */
START_TEST(stranger_rings_and_rings)
{
	unsigned rung = 0;

	for (int i = 0; i < 50; i++) {
		while (send(fds[1], "", 1, MSG_DONTWAIT) == 1)
			rung++;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	ck_assert_uint_gt(rung, 50);
	ck_assert_uint_eq(x.closed, 0);
	ck_assert_int_eq(send_data(&x, 0, 10), 0);
}
END_TEST

/* An end whose first message is no offer is a channel through its socket; an offer that is wrong is refused. */
START_TEST(offers)
{
	struct end e = { .frames = 0 }, o = { .frames = 0 };
	unsigned before = open_descriptors();
	int pair[2], other = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t side;

	ck_assert_int_eq(ipc_pair(pair), 0);
	e.ipc = ipc_new_port(base, pair[0], &ops, &e);
	o.ipc = ipc_new_port(base, pair[1], &ops, &o);
	ck_assert(e.ipc != NULL && o.ipc != NULL);
	send_data(&e, 0, 100);
	ipc_flush(e.ipc);
	spin();
	ck_assert_uint_eq(o.frames, 1);
	drop(&e);
	drop(&o);

	ck_assert_int_eq(ipc_pair(pair), 0);
	ck_assert_int_eq(send(pair[1], "\0ring\0", 6, 0), 6);
	ck_assert_msg(ipc_new_port(base, pair[0], &ops, &e) == NULL, "an offer of nothing");
	close(pair[1]);

	/* Whoever was to have the other end has died, and left its own offer unread: recv(2) says so before it gives ours. */
	ck_assert_int_eq(ipc_port_pair(pair), 0);
	close(pair[1]);
	o = (struct end){ .frames = 0 };
	o.ipc = ipc_new_port(base, pair[0], &ops, &o);
	spin();
	ck_assert_uint_eq(o.closed, 1);
	ck_assert_str_eq(o.why, "the other side is gone");
	drop(&o);

	/* The whole one, to an end that does not know of rings: a frame that nobody sends. */
	ck_assert_int_eq(ipc_port_pair(pair), 0);
	e.ipc = ipc_new(base, pair[0], &ops, &e);
	spin();
	ck_assert_uint_eq(e.closed, 1);
	drop(&e);
	close(take_memory(pair[1], &side));
	close(pair[1]);
	close(other);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

/* --- two processes -------------------------------------------------------------------------------- */

#define STRESS_FRAMES 60000u

struct talker {
	struct event_base *base;
	struct ipc *ipc;
	struct event *pace;
	uint64_t seed;
	uint64_t sent, got;
	bool	 wrong;
};

static uint64_t
rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	return *s ^= *s << 17;
}

/* Length and bytes of a frame follow from its number: the reader knows what has to come. */
static size_t
length_of(uint64_t seq)
{
	uint64_t s = seq * 0x9e3779b97f4a7c15u + 1;

	return rnd(&s) % 50 == 0 ? rnd(&s) % sizeof(payload) : rnd(&s) % 1500;
}

static void
talk(struct talker *t)
{
	while (t->sent < STRESS_FRAMES) {
		struct frame f = data(t->sent, length_of(t->sent));

		f.data.payload = payload + t->sent % 97 % (sizeof(payload) - f.data.payload_len);
		if (ipc_send(t->ipc, &f) == -1)
			return;		/* on_writable goes on */
		t->sent++;
		if (rnd(&t->seed) % 40 == 0)
			ipc_flush(t->ipc);
		if (rnd(&t->seed) % 300 == 0)
			break;		/* and sleep: the pace goes on */
	}
	ipc_flush(t->ipc);
	if (t->sent < STRESS_FRAMES) {
		struct timeval tv = { 0, (suseconds_t)(rnd(&t->seed) % 3 * 50) };

		event_add(t->pace, &tv);
	}
}

static void
talk_done(struct talker *t)
{
	if (t->sent == STRESS_FRAMES && t->got == STRESS_FRAMES && ipc_backlog(t->ipc) == 0)
		event_base_loopbreak(t->base);
}

static int
talk_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct talker *t = arg;
	size_t len = length_of(t->got);

	if (f->data.seq != t->got || f->data.payload_len != len ||
	    memcmp(f->data.payload, payload + t->got % 97 % (sizeof(payload) - len), len) != 0)
		t->wrong = true;
	t->got++;
	return t->wrong ? -1 : 0;
}

static void
talk_batch(struct ipc *ipc, void *arg)
{
	talk_done(arg);
}

static void
talk_writable(struct ipc *ipc, void *arg)
{
	talk(arg);
}

static void
talk_closed(struct ipc *ipc, const char *why, void *arg)
{
	struct talker *t = arg;

	event_base_loopbreak(t->base);
}

static const struct ipc_ops talk_ops = {
	.frame = talk_frame, .batch_end = talk_batch, .writable = talk_writable, .closed = talk_closed
};

static void
on_pace(evutil_socket_t fd, short what, void *arg)
{
	talk(arg);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	talk_done(arg);
}

/* Both talk and listen until all was said and heard; a wake-up that got lost would be waited for until the limit. */
static int
talker_run(int fd, uint64_t seed)
{
	struct talker t = { .base = event_base_new(), .seed = seed };
	struct timeval limit = { 60, 0 }, often = { 0, 100000 };
	struct event *look = event_new(t.base, -1, EV_PERSIST, on_look, &t);

	t.pace = event_new(t.base, -1, 0, on_pace, &t);
	t.ipc = ipc_new_port(t.base, fd, &talk_ops, &t);
	event_base_loopexit(t.base, &limit);
	event_add(look, &often);
	talk(&t);
	event_base_dispatch(t.base);
	if (t.wrong || t.sent != STRESS_FRAMES || t.got != STRESS_FRAMES)
		fprintf(stderr, "sent=%llu got=%llu wrong=%d\n", (unsigned long long)t.sent, (unsigned long long)t.got,
		    t.wrong);
	ipc_free(t.ipc);
	event_free(look);
	event_free(t.pace);
	event_base_free(t.base);
	return t.wrong || t.sent != STRESS_FRAMES || t.got != STRESS_FRAMES;
}

START_TEST(two_processes)
{
	int pair[2], status;
	pid_t pid;

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 31 ^ i >> 8);
	ck_assert_int_eq(ipc_port_pair(pair), 0);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		_exit(talker_run(pair[1], 0x1234567 + (unsigned)_i));
	}
	close(pair[1]);
	ck_assert_int_eq(talker_run(pair[0], 0x89abcdef + (unsigned)_i), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static int
any_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	static uint8_t copy[IPC_MSG_MAX];

	if (frame_type_is_data(f->type))
		memcpy(copy, f->data.payload, f->data.payload_len);
	return 0;
}

static const struct ipc_ops any_ops = { .frame = any_frame, .closed = on_closed };

/* A process that writes where it likes while it is read: whatever is made of that, it is made of bytes of the ring. */
static void __attribute__((noreturn))
scribble(int fd, uint64_t seed)
{
	static const uint8_t kinds[] = { FT_DATA_U, FT_DATA_UF, FT_DATA, FT_RESET_STREAM, 0x50, 0x40, FT_OPEN_STREAM };
	struct shmring r;
	uint8_t side;
	int m = take_memory(fd, &side);

	if (shmring_map(&r, m, side) == -1)
		_exit(1);
	for (unsigned i = 0;; i++) {
		uint32_t at = (uint32_t)rnd(&seed);

		r.out[at % SHMRING_SIZE] = (uint8_t)rnd(&seed);
		r.out[(r.other->tail + at % 64) % SHMRING_SIZE] = at & 1 ? (uint8_t)at : kinds[at % sizeof(kinds)];
		r.mine->head = r.other->tail + at % 3000;
		if (at % 1000 == 0)
			r.mine->head = (uint32_t)rnd(&seed);
		if (at % 16 == 0)
			send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

START_TEST(scribbler)
{
	struct timeval each = { 0, 20000 };
	unsigned ends = 0;

	base = event_base_new();
	for (unsigned i = 0; i < 50; i++) {
		struct end e = { .frames = 0 };
		int pair[2];
		pid_t pid;

		ck_assert_int_eq(ipc_port_pair(pair), 0);
		e.ipc = ipc_new_port(base, pair[0], &any_ops, &e);
		pid = fork();
		if (pid == 0)
			scribble(pair[1], i * 77 + 1);
		close(pair[1]);
		event_base_loopexit(base, &each);
		event_base_dispatch(base);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		ends += e.closed;
		ipc_free(e.ipc);
	}
	ck_assert_uint_gt(ends, 0);
	event_base_free(base);
}
END_TEST

static void
add_channel_tests(Suite *s)
{
	TCase *tc = tcase_create("channel");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, in_order_whatever_they_are);
	tcase_add_test(tc, leaves_at_the_flush);
	tcase_add_loop_test(tc, backpressure, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(tc, pause_inside_a_callback);
	tcase_add_test(tc, wants_room_early);
	tcase_add_test(tc, room_while_paused);
	tcase_add_test(tc, carries_no_descriptor);
	tcase_add_test(tc, last_words);
	tcase_add_test(tc, death_seen_while_paused);
	tcase_add_loop_test(tc, freed_in_callbacks, 0, 4);
	tcase_add_test(tc, callback_refuses);
	tcase_add_test(tc, offers);
	suite_add_tcase(s, tc);
}

static void
add_stranger_tests(Suite *s)
{
	TCase *tc = tcase_create("stranger");

	tcase_add_checked_fixture(tc, setup_stranger, teardown_stranger);
	tcase_add_test(tc, told_of_room);
	tcase_add_test(tc, last_words_after_an_unheard_bell);
	tcase_add_test(tc, death_seen_by_the_sender);
	tcase_add_test(tc, one_bell);
	tcase_add_loop_test(tc, stranger_writes_garbage, 0, sizeof(garbage) / sizeof(garbage[0]));
	tcase_add_loop_test(tc, stranger_moves_indexes, 0, 2);
	tcase_add_test(tc, stranger_claims_to_have_read);
	tcase_add_loop_test(tc, stranger_speaks_beside_the_ring, 0, 2);
	tcase_add_test(tc, stranger_rings_and_rings);
	suite_add_tcase(s, tc);
	tc = tcase_create("processes");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, two_processes, 0, 3);
	tcase_add_test(tc, scribbler);
	suite_add_tcase(s, tc);
}

int
main(void)
{
	Suite *s = suite_create("ipc_port");

	add_channel_tests(s);
	add_stranger_tests(s);
	return suite_run(s);
}
