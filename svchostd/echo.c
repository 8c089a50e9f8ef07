#include "svchostd/echo.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/ratelimit.h"
#include "proc/ipc.h"
#include "proc/stats.h"

#define BUCKETS 256	/* a power of two */

/* A node that has streams here. */
struct source {
	LIST_ENTRY(source) entry;
	uint8_t		 node_id[NODE_ID_LEN];
	unsigned	 streams;
	struct ratelimit rate;
};

struct stream {
	LIST_ENTRY(stream) bucket;
	TAILQ_ENTRY(stream) by_use;	/* the longest idle first */
	uint64_t	 id;
	uint64_t	 seq;		/* of the next packet that goes back */
	uint64_t	 used_ns;
	struct source	*source;
};

LIST_HEAD(stream_bucket, stream);
LIST_HEAD(source_bucket, source);

struct echo {
	struct stream_bucket streams[BUCKETS];
	struct source_bucket sources[BUCKETS];
	TAILQ_HEAD(, stream) by_use;
	size_t	nstreams;
};

struct echo *
echo_new(void)
{
	struct echo *e = calloc(1, sizeof(*e));

	if (e != NULL)
		TAILQ_INIT(&e->by_use);
	return e;
}

void
echo_free(struct echo *e)
{
	if (e == NULL)
		return;
	echo_end_all(e, NULL, REASON_NONE);
	free(e);
}

size_t
echo_streams(const struct echo *e)
{
	return e->nstreams;
}

/* Ids of one side are all odd or all even. */
static struct stream_bucket *
bucket(struct echo *e, uint64_t id)
{
	return &e->streams[id / 2 % BUCKETS];
}

static struct stream *
find(struct echo *e, uint64_t id)
{
	struct stream *s;

	LIST_FOREACH(s, bucket(e, id), bucket)
		if (s->id == id)
			return s;
	return NULL;
}

/* Node ids are hashes. */
static struct source_bucket *
source_bucket(struct echo *e, const uint8_t *node_id)
{
	return &e->sources[node_id[0] % BUCKETS];
}

static struct source *
source_get(struct echo *e, const uint8_t *node_id)
{
	struct source *src;

	LIST_FOREACH(src, source_bucket(e, node_id), entry)
		if (memcmp(src->node_id, node_id, NODE_ID_LEN) == 0)
			return src;
	src = calloc(1, sizeof(*src));
	if (src == NULL)
		return NULL;
	memcpy(src->node_id, node_id, NODE_ID_LEN);
	ratelimit_init(&src->rate, NS_PER_SEC / ECHO_RATE, ECHO_BURST);
	LIST_INSERT_HEAD(source_bucket(e, node_id), src, entry);
	return src;
}

static void
source_put(struct source *src)
{
	if (src->streams > 0)
		return;
	LIST_REMOVE(src, entry);
	free(src);
}

static void
stream_free(struct echo *e, struct stream *s)
{
	LIST_REMOVE(s, bucket);
	TAILQ_REMOVE(&e->by_use, s, by_use);
	s->source->streams--;
	source_put(s->source);
	free(s);
	e->nstreams--;
	STAT_SET(SVCHOSTD_ECHO_STREAMS, e->nstreams);
}

static void
send_reset(struct ipc *ipc, uint64_t stream_id, uint64_t reason)
{
	struct frame f = { .type = FT_RESET_STREAM, .reset = { .stream_id = stream_id, .reason = reason } };

	if (ipc_send(ipc, &f) == -1)
		STAT_INC(SVCHOSTD_IPC_DROPPED);
}

static uint64_t
refusal(const struct echo *e, const struct source *src, const struct frame_open_stream *o)
{
	if ((o->flags & OPEN_UNRELIABLE) == 0 || o->noise.len > 0)
		return REASON_UNSUPPORTED;
	if (src == NULL)
		return REASON_INTERNAL;
	if (e->nstreams >= ECHO_STREAMS_MAX || src->streams >= ECHO_STREAMS_PER_NODE)
		return REASON_LIMIT;
	return REASON_NONE;
}

static int
stream_add(struct echo *e, struct source *src, uint64_t id, uint64_t now_ns)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -1;
	s->id = id;
	s->used_ns = now_ns;
	s->source = src;
	src->streams++;
	LIST_INSERT_HEAD(bucket(e, id), s, bucket);
	TAILQ_INSERT_TAIL(&e->by_use, s, by_use);
	e->nstreams++;
	STAT_INC(SVCHOSTD_ECHO_OPENED);
	STAT_SET(SVCHOSTD_ECHO_STREAMS, e->nstreams);
	return 0;
}

void
echo_open(struct echo *e, struct ipc *ipc, const struct frame_open_stream *o, uint64_t now_ns)
{
	struct source *src = source_get(e, o->source);
	uint64_t reason = refusal(e, src, o);

	if (reason == REASON_NONE && stream_add(e, src, o->stream_id, now_ns) == -1)
		reason = REASON_INTERNAL;
	if (reason == REASON_NONE)
		return;
	if (src != NULL)
		source_put(src);
	STAT_INC(SVCHOSTD_ECHO_REFUSED);
	send_reset(ipc, o->stream_id, reason);
}

/* The payload is copied once, from the message that came into the one that goes. */
static void
answer(struct stream *s, struct ipc *ipc, const struct frame_data *d)
{
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = s->id, .seq = s->seq & UINT32_MAX,
	    .flags = DATA_UNRELIABLE, .payload = d->payload, .payload_len = d->payload_len } };
	size_t room = FRAME_HEADER_MAX + FRAME_DATA_OVERHEAD + d->payload_len;
	uint8_t *p = ipc_reserve(ipc, room);
	size_t len = p == NULL ? 0 : frame_encode(p, room, &f, FRAME_PORT_PROC);

	if (p != NULL)
		ipc_commit(ipc, len);
	if (len == 0) {
		STAT_INC(SVCHOSTD_IPC_DROPPED);
		return;
	}
	s->seq++;
	STAT_INC(SVCHOSTD_ECHO_PACKETS);
	STAT_ADD(SVCHOSTD_ECHO_BYTES, d->payload_len);
}

bool
echo_data(struct echo *e, struct ipc *ipc, const struct frame_data *d, uint64_t now_ns)
{
	struct stream *s = find(e, d->stream_id);

	if (s == NULL)
		return false;
	s->used_ns = now_ns;
	TAILQ_REMOVE(&e->by_use, s, by_use);
	TAILQ_INSERT_TAIL(&e->by_use, s, by_use);
	if (d->flags != DATA_UNRELIABLE)
		STAT_INC(SVCHOSTD_ECHO_FRAGMENTS);
	else if (!ratelimit_take(&s->source->rate, now_ns))
		STAT_INC(SVCHOSTD_ECHO_LIMITED);
	else
		answer(s, ipc, d);
	return true;
}

bool
echo_end(struct echo *e, uint64_t stream_id)
{
	struct stream *s = find(e, stream_id);

	if (s == NULL)
		return false;
	stream_free(e, s);
	return true;
}

static void
send_close(struct ipc *ipc, const struct stream *s, uint64_t reason)
{
	struct frame f = { .type = FT_CLOSE_STREAM,
	    .close = { .stream_id = s->id, .final_seq = s->seq, .reason = reason } };

	if (ipc_send(ipc, &f) == -1)
		STAT_INC(SVCHOSTD_IPC_DROPPED);
}

void
echo_expire(struct echo *e, struct ipc *ipc, uint64_t now_ns)
{
	struct stream *s;

	while ((s = TAILQ_FIRST(&e->by_use)) != NULL && s->used_ns + ECHO_IDLE_S * NS_PER_SEC <= now_ns) {
		send_close(ipc, s, REASON_IDLE);
		stream_free(e, s);
		STAT_INC(SVCHOSTD_ECHO_IDLE);
	}
}

void
echo_end_all(struct echo *e, struct ipc *ipc, uint64_t reason)
{
	struct stream *s;

	while ((s = TAILQ_FIRST(&e->by_use)) != NULL) {
		if (ipc != NULL)
			send_reset(ipc, s->id, reason);
		stream_free(e, s);
	}
}
