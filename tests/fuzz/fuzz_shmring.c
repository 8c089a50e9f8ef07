/*
 * A channel through shared memory whose other side is hostile. Input: what that does, a byte that says what and its
 * operands: writes bytes, moves its indexes and flags, rings, sends beside the ring, ends; and what this side does in
 * between. Every byte of every frame that comes out of it is read, and lies within the ring.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc/ipc.h"
#include "proc/shmring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

static struct event_base *base;
static struct ipc *ipc;
static struct shmring other;	/* the hostile end's view */
static int sock;
static unsigned sum;

static int
on_frame(struct ipc *i, const struct frame *f, int fd, void *arg)
{
	HOLDS(i == ipc && fd == -1);
	for (size_t k = 0; k < f->raw.len; k++)
		sum += f->raw.p[k];
	if (!frame_type_is_data(f->type))
		return 0;
	HOLDS(f->data.payload >= f->raw.p && f->data.payload + f->data.payload_len == f->raw.p + f->raw.len);
	for (size_t k = 0; k < f->data.payload_len; k++)
		sum += f->data.payload[k];
	return f->data.payload_len == 13 ? -1 : 0;
}

static void
on_closed(struct ipc *i, const char *why, void *arg)
{
	HOLDS(i == ipc && why[0] != '\0');
	ipc = NULL;
	ipc_free(i);
}

static const struct ipc_ops ops = { .frame = on_frame, .closed = on_closed };

static int
take_offer(int fd)
{
	uint8_t buf[16];
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
	    .msg_controllen = sizeof(control.buf) };
	int memory;

	HOLDS(recvmsg(fd, &mh, 0) == 6);
	memcpy(&memory, CMSG_DATA(&control.hdr), sizeof(memory));
	return memory;
}

static void
begin(void)
{
	int fds[2], memory;

	if (base == NULL)
		base = event_base_new();
	HOLDS(ipc_port_pair(fds) == 0);
	HOLDS((ipc = ipc_new_port(base, fds[0], &ops, NULL)) != NULL);
	sock = fds[1];
	memory = take_offer(sock);
	HOLDS(shmring_map(&other, memory, 1) == 0);
	close(memory);
}

struct input {
	const uint8_t *p;
	size_t	 len;
};

static uint32_t
number(struct input *in, unsigned bytes)
{
	uint32_t v = 0;

	for (; bytes > 0 && in->len > 0; bytes--, in->p++, in->len--)
		v = v << 8 | in->p[0];
	return v;
}

/* Bytes behind what was shown so far, and so many more, or fewer, are shown. */
static void
write_some(struct input *in)
{
	uint32_t n = number(in, 1), more = number(in, 1);
	uint32_t head = other.mine->head;

	n = n > in->len ? (uint32_t)in->len : n;
	for (uint32_t i = 0; i < n; i++)
		other.out[(head + i) % SHMRING_SIZE] = in->p[i];
	in->p += n;
	in->len -= n;
	other.mine->head = head + n + (more > 250 ? more - 256 : more < 200 ? 0 : more * 1000);
}

static void
send_some(struct input *in)
{
	static uint8_t payload[65000];
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = 4, .flags = DATA_UNRELIABLE, .payload = payload,
	    .payload_len = number(in, 2) % sizeof(payload) } };

	if (ipc == NULL)
		return;
	ipc_send(ipc, &f);
	HOLDS(ipc_backlog(ipc) <= SHMRING_SIZE);
	if (in->len % 2 == 0)
		ipc_flush(ipc);
}

static void
step(struct input *in)
{
	switch (number(in, 1) % 12) {
	case 0: case 1: case 2:
		write_some(in);
		send(sock, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 3:
		other.mine->head = number(in, 4);
		break;
	case 4:
		other.mine->tail = other.other->head - number(in, 2);
		break;
	case 5:
		other.mine->tail = number(in, 4);
		break;
	case 6:
		other.mine->sleeps = number(in, 4);
		other.mine->waits = other.other->sleeps = number(in, 1);
		other.other->waits = number(in, 1);
		break;
	case 7:
		send(sock, "\0\0", number(in, 1) % 3, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 8: case 9:
		send_some(in);
		break;
	case 10:
		if (ipc != NULL && number(in, 1) % 2)
			ipc_pause(ipc);
		else if (ipc != NULL)
			ipc_resume(ipc);
		break;
	case 11:
		shutdown(sock, number(in, 1) % 3);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	begin();
	while (in.len > 0) {
		step(&in);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	for (unsigned i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	close(sock);
	shmring_unmap(&other);
	ipc_free(ipc);
	ipc = NULL;
	return 0;
}
