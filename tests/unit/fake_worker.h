/*
 * A worker's real objects in a test: its operations are called as worker_main() would call them, and the test holds
 * the other end of its control channel and of its channel to the dataplane.
 */
#ifndef TESTS_FAKE_WORKER_H
#define TESTS_FAKE_WORKER_H

#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proc/ipc.h"
#include "proc/row.h"
#include "proc/stats.h"
#include "proc/worker.h"

#define FAKE_FRAMES_MAX 16384

/* One end that a test holds: what came is kept, in order. */
struct fake_end {
	struct ipc	*ipc;
	struct { uint8_t *p; size_t len; } got[FAKE_FRAMES_MAX];
	size_t		 ngot, next;
	bool		 closed;
};

struct fake {
	struct worker	 worker;
	struct fake_end	 supervisor, dataplane;
};

static int
fake_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct fake_end *end = arg;

	ck_assert_int_eq(fd, -1);
	ck_assert_uint_lt(end->ngot, FAKE_FRAMES_MAX);
	end->got[end->ngot].p = malloc(f->raw.len);
	ck_assert_ptr_nonnull(end->got[end->ngot].p);
	memcpy(end->got[end->ngot].p, f->raw.p, f->raw.len);
	end->got[end->ngot++].len = f->raw.len;
	return 0;
}

static void
fake_closed(struct ipc *ipc, const char *why, void *arg)
{
	((struct fake_end *)arg)->closed = true;
}

static const struct ipc_ops fake_ops = { .frame = fake_frame, .closed = fake_closed };

/* Connects `end` with the descriptor that is returned. */
static inline int
fake_connect(struct fake *fk, struct fake_end *end)
{
	int fds[2];

	ck_assert_int_eq(ipc_pair(fds), 0);
	end->ipc = ipc_new(fk->worker.base, fds[0], &fake_ops, end);
	ck_assert_ptr_nonnull(end->ipc);
	end->closed = false;
	return fds[1];
}

static inline void
fake_start(struct fake *fk, const struct worker_ops *ops)
{
	static const struct ipc_ops worker_side = { .frame = NULL, .writable = worker_writable, .closed = fake_closed };
	static struct fake_end nobody;
	size_t count;

	memset(fk, 0, sizeof(*fk));
	memset(stats, 0, sizeof(*stats));
	stats_desc(ops->kind, &count);
	stats->magic = STATS_MAGIC;
	stats->kind = ops->kind;
	stats->generation = 1;
	stats->count = (uint32_t)count;
	fk->worker.ops = ops;
	fk->worker.kind = ops->kind;
	fk->worker.generation = 1;
	fk->worker.base = event_base_new();
	fk->worker.ctl = ipc_new(fk->worker.base, fake_connect(fk, &fk->supervisor), &worker_side, &nobody);
	if (ops->init != NULL)
		ops->init(&fk->worker);
	ops->start(&fk->worker);
}

static inline void
fake_clear(struct fake_end *end)
{
	for (size_t i = 0; i < end->ngot; i++)
		free(end->got[i].p);
	end->ngot = end->next = 0;
}

/* A worker ends with its process and frees nothing itself; what it had is kept in sight of the leak checker. */
static inline void
fake_stop(struct fake *fk)
{
	static void *ended[64][2] __attribute__((used));
	static size_t n;

	ck_assert_uint_lt(n, 64);
	ended[n][0] = fk->worker.state;
	ended[n++][1] = fk->worker.base;
	fake_clear(&fk->supervisor);
	fake_clear(&fk->dataplane);
	ipc_free(fk->supervisor.ipc);
	ipc_free(fk->dataplane.ipc);
	ipc_free(fk->worker.ctl);
}

/* A new channel to the dataplane. */
static inline void
fake_port(struct fake *fk)
{
	int fd;

	ipc_free(fk->dataplane.ipc);
	fk->dataplane.ipc = NULL;
	fake_clear(&fk->dataplane);
	fd = fake_connect(fk, &fk->dataplane);
	fk->worker.ops->port(&fk->worker, WORKER_DATAPLANE, fd);
}

/* Lets everything that is ready happen. */
static inline void
fake_run(struct fake *fk)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(fk->worker.base, EVLOOP_NONBLOCK);
}

/* What a suite does not look at; NULL: nothing is left out. */
static bool (*fake_skip)(const struct frame *);

/* The next frame that came, waiting for it; false when none comes in `ms`. */
static inline bool
fake_wait_any(struct fake *fk, struct fake_end *end, struct frame *f, unsigned ms)
{
	static const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_CEILING };
	uint64_t until = clock_ns() + ms * NS_PER_MS;

	while (end->next == end->ngot && clock_ns() < until) {
		struct timeval tv = { .tv_usec = 2000 };

		event_base_loopexit(fk->worker.base, &tv);
		event_base_dispatch(fk->worker.base);
	}
	if (end->next == end->ngot)
		return false;
	ck_assert_int_eq(frame_decode(f, end->got[end->next].p, end->got[end->next].len, &lim), FRAME_OK);
	end->next++;
	return true;
}

static inline bool
fake_wait(struct fake *fk, struct fake_end *end, struct frame *f, unsigned ms)
{
	bool got;

	do {
		got = fake_wait_any(fk, end, f, ms);
	} while (got && fake_skip != NULL && fake_skip(f));
	return got;
}

/* Drops what has been looked at, when there is much of it. */
static inline void
fake_forget(struct fake_end *end)
{
	if (end->next < end->ngot)
		return;
	for (size_t i = 0; i < end->ngot; i++)
		free(end->got[i].p);
	end->ngot = end->next = 0;
}

static inline bool
fake_message(struct fake *fk, struct fake_end *end, struct procmsg *m, unsigned ms)
{
	struct frame f;

	if (!fake_wait(fk, end, &f, ms))
		return false;
	ck_assert_uint_ge(f.type, FT_PROC_FIRST);
	ck_assert_int_eq(procmsg_decode(m, &f), 0);
	return true;
}

/* As the dataplane. */
static inline void
fake_send(struct fake *fk, const struct frame *f)
{
	ck_assert_int_eq(ipc_send(fk->dataplane.ipc, f), 0);
	ipc_flush(fk->dataplane.ipc);
	fake_run(fk);
}

static inline void
fake_tell(struct fake *fk, const struct procmsg *m)
{
	ck_assert_int_eq(procmsg_send(fk->dataplane.ipc, m, -1), 0);
	ipc_flush(fk->dataplane.ipc);
	fake_run(fk);
}

/* A whole transaction; false when it was refused (worker.conf_error says why). */
static inline bool
fake_configure(struct fake *fk, const struct procmsg *items, size_t n)
{
	const struct worker_ops *ops = fk->worker.ops;
	bool ok = true;

	fk->worker.conf_error[0] = '\0';
	ops->conf_begin(&fk->worker);
	for (size_t i = 0; ok && i < n; i++)
		ok = ops->conf_item(&fk->worker, &items[i], -1) == 0;
	ok = ok && ops->conf_check(&fk->worker) == 0;
	if (ok)
		ops->conf_commit(&fk->worker);
	else
		ops->conf_abort(&fk->worker);
	fake_run(fk);
	return ok;
}

static inline void
fake_request(struct fake *fk, const char *command, const char *argument, uint64_t count)
{
	struct pm_request req = { .id = 7, .count = count };

	snprintf(req.command, sizeof(req.command), "%s", command);
	snprintf(req.argument, sizeof(req.argument), "%s", argument);
	fk->worker.ops->request(&fk->worker, &req);
}

/* A field of a row, or NULL. Of the last call only. */
static inline const struct row_field *
row_get(const struct frame_bytes *row, const char *name)
{
	static struct row_field f;
	size_t off = 0;

	while (row_next(row, &off, &f) == 1)
		if (strcmp(f.name, name) == 0)
			return &f;
	return NULL;
}

static inline const char *
row_text(const struct frame_bytes *row, const char *name)
{
	static char text[ROW_MAX];
	const struct row_field *f = row_get(row, name);

	if (f == NULL || f->type != ROW_STR)
		return "(none)";
	memcpy(text, f->str.p, f->str.len);
	text[f->str.len] = '\0';
	return text;
}

static inline uint64_t
row_num(const struct frame_bytes *row, const char *name)
{
	const struct row_field *f = row_get(row, name);

	ck_assert_msg(f != NULL && f->type != ROW_STR, "no number %s", name);
	return f->num;
}

static inline void
fake_id(uint8_t id[NODE_ID_LEN], uint8_t n)
{
	memset(id, 0, NODE_ID_LEN);
	id[0] = n;
	id[1] = 0xab;
	id[NODE_ID_LEN - 1] = n;
}

static inline struct procmsg
fake_conf_node(void)
{
	struct procmsg m = { .type = PM_CONF_NODE, .conf_node = { .name = "here", .tenant = "home" } };

	fake_id(m.conf_node.node_id, 0xee);
	return m;
}

static inline struct procmsg
fake_conf_peer(uint8_t n, const char *name)
{
	struct procmsg m = { .type = PM_CONF_PEER };

	fake_id(m.conf_peer.node_id, n);
	snprintf(m.conf_peer.name, sizeof(m.conf_peer.name), "%s", name);
	return m;
}

static inline struct pm_addr
fake_addr(uint8_t last, uint16_t port)
{
	return (struct pm_addr){ .family = 4, .addr = { 192, 0, 2, last }, .port = port };
}

/* A membership as the dataplane would have verified it; the signature is not looked at any more. */
static inline struct frame_bytes
fake_membership(uint8_t n, const char *name)
{
	static uint8_t buf[FRAME_RECORD_MAX], key[RECORD_KEY_LEN];
	struct record r = { .kind = RECORD_MEMBERSHIP, .issuer = key, .subject = key, .serial = 1, .not_before = 1000,
	    .not_after = 4000000000, .tenant = "home", .roles = 1, .tier = 3 };
	size_t len;

	memset(key, n, sizeof(key));
	snprintf(r.name, sizeof(r.name), "%s", name);
	len = record_encode(buf, sizeof(buf) - RECORD_SIG_LEN, &r);
	ck_assert_uint_gt(len, 0);
	memset(buf + len, 0x55, RECORD_SIG_LEN);
	return (struct frame_bytes){ buf, len + RECORD_SIG_LEN };
}

static inline struct procmsg
fake_peer_up(uint8_t n, const char *name, struct pm_addr addr)
{
	struct procmsg m = { .type = PM_PEER_UP, .peer_up = { .tenant = "home", .roles = 1, .tier = 3,
	    .not_after = 4000000000, .addr = addr, .datagram_max = 1200, .initiator = true,
	    .membership = fake_membership(n, name) } };

	fake_id(m.peer_up.node_id, n);
	snprintf(m.peer_up.name, sizeof(m.peer_up.name), "%s", name);
	return m;
}

static inline struct procmsg
fake_peer_stat(uint8_t n, uint32_t rtt_us, uint64_t sent, uint64_t lost, uint64_t idle_ms)
{
	struct procmsg m = { .type = PM_PEER_STAT, .peer_stat = { .rtt_us = rtt_us, .sent = sent, .lost = lost,
	    .idle_ms = idle_ms, .datagram_max = 1200 } };

	fake_id(m.peer_stat.node_id, n);
	return m;
}

#endif
