/*
 * What batches and shared memory save between two processes: DATA frames of 1400 bytes through a channel, one frame a
 * message, as many as a message holds, and through a ring, flushed as often. Prints each in Gbit/s and CPU seconds a GB,
 * and the ratios. `bench_ipc SECONDS', each.
 */
#include <err.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "proc/ipc.h"

#define FRAME_PAYLOAD 1400

struct run {
	struct event_base *base;
	struct ipc *ipc;
	bool	 batch;
	uint64_t until_ns;
	uint64_t frames, bytes, sum;
	bool	 end;
};

static uint8_t payload[FRAME_PAYLOAD];

static int
on_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct run *r = arg;

	r->frames++;
	r->bytes += f->data.payload_len;
	r->sum += f->data.payload[0];
	return 0;
}

static void
on_closed(struct ipc *ipc, const char *why, void *arg)
{
	struct run *r = arg;

	event_base_loopbreak(r->base);
}

/* As vpnd does it: header, then payload, straight into the message. */
static bool
put_frame(struct run *r)
{
	const struct frame_data d = { .stream_id = 4, .seq = r->frames, .flags = DATA_UNRELIABLE,
	    .payload_len = sizeof(payload) };
	uint8_t *p = ipc_reserve(r->ipc, FRAME_HEADER_MAX + 24 + sizeof(payload));
	size_t n;

	if (p == NULL)
		return false;
	n = frame_encode_data_header(p, FRAME_HEADER_MAX + 24, &d);
	memcpy(p + n, payload, sizeof(payload));
	ipc_commit(r->ipc, n + sizeof(payload));
	r->frames++;
	if (!r->batch)
		ipc_flush(r->ipc);
	return true;
}

static void
on_writable(struct ipc *ipc, void *arg)
{
	struct run *r = arg;

	while (put_frame(r))
		if (r->frames % 64 == 0 && clock_ns() > r->until_ns) {
			event_base_loopbreak(r->base);
			return;
		}
}

static const struct ipc_ops ops = { .frame = on_frame, .writable = on_writable, .closed = on_closed };

static void
produce(int fd, bool batch, unsigned seconds)
{
	struct run r = { .base = event_base_new(), .batch = batch };

	r.ipc = ipc_new_port(r.base, fd, &ops, &r);
	r.until_ns = clock_ns() + seconds * NS_PER_SEC;
	on_writable(r.ipc, &r);
	event_base_dispatch(r.base);
	_exit(0);
}

static double
cpu_seconds(void)
{
	struct rusage self, children;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	return (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec + children.ru_utime.tv_sec +
	    children.ru_stime.tv_sec) + (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec +
	    children.ru_utime.tv_usec + children.ru_stime.tv_usec) / 1e6;
}

struct result {
	double	gbit;		/* of payload a second */
	double	cpu;		/* seconds a gigabyte, of both */
};

static struct result
measure(const char *name, int (*pair)(int *), bool batch, unsigned seconds)
{
	struct run r = { .base = event_base_new() };
	uint64_t began;
	double elapsed, cpu = cpu_seconds();
	struct result res;
	int fds[2];
	pid_t pid;

	if (pair(fds) == -1)
		err(1, "no channel");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		produce(fds[1], batch, seconds);
	}
	close(fds[1]);
	r.ipc = ipc_new_port(r.base, fds[0], &ops, &r);
	began = clock_ns();
	event_base_dispatch(r.base);
	elapsed = (double)(clock_ns() - began) / 1e9;
	waitpid(pid, NULL, 0);
	res.cpu = (cpu_seconds() - cpu) / ((double)r.bytes / 1e9);
	res.gbit = (double)r.bytes * 8 / 1e9 / elapsed;
	printf("%-28s %7.2f Gbit/s %8.2f Mframes/s %6.2f CPU s/GB\n", name, res.gbit,
	    (double)r.frames / elapsed / 1e6, res.cpu);
	ipc_free(r.ipc);
	event_base_free(r.base);
	return res;
}

int
main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2;
	struct result one = measure("one frame a message", ipc_pair, false, seconds);
	struct result many = measure("frames in batches", ipc_pair, true, seconds);
	struct result ring = measure("batches through a ring", ipc_port_pair, true, seconds);

	printf("%-28s %7.2f times the frames, %6.2f times the CPU a frame\n", "batches / one a message",
	    many.gbit / one.gbit, many.cpu / one.cpu);
	printf("%-28s %7.2f times the frames, %6.2f times the CPU a frame\n", "ring / batches", ring.gbit / many.gbit,
	    ring.cpu / many.cpu);
	return 0;
}
