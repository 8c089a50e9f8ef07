#include "svchostd/echo.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/ratelimit.h"
#include "proc/ipc.h"
#include "proc/stats.h"
#include "svchostd/unit.h"

#define BUCKETS 256	/* a power of two */
#define UNIT_MAX (1u << 16)	/* bytes that come back; the largest packet there is */

/* A node that has streams here, or had: who opens, closes and opens again has not more than the others. */
struct source {
	LIST_ENTRY(source) entry;
	uint8_t		 node_id[NODE_ID_LEN];
	unsigned	 streams;
	uint64_t	 used_ns;	/* when it opened last */
	struct ratelimit rate, opens;
};

struct stream {
	LIST_ENTRY(stream) bucket;
	TAILQ_ENTRY(stream) by_use;	/* the longest idle first */
	uint64_t	 id;
	uint64_t	 seq;		/* of the next packet that goes back; message 2 was the first */
	struct unit_seal seal;
	uint64_t	 used_ns;
	struct source	*source;
};

LIST_HEAD(stream_bucket, stream);
LIST_HEAD(source_bucket, source);

struct echo {
	struct stream_bucket streams[BUCKETS];
	struct source_bucket sources[BUCKETS];
	TAILQ_HEAD(, stream) by_use;
	size_t	nstreams, nsources;
	const struct e2e_self *self;
	uint8_t	unit[UNIT_MAX];		/* the one at hand, out of the dataplane's reach */
};

struct echo *
echo_new(const struct e2e_self *self)
{
	struct echo *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	TAILQ_INIT(&e->by_use);
	e->self = self;
	return e;
}

/* Those that have no stream, and opened none since `used_ns'. */
static void
sources_forget(struct echo *e, uint64_t used_ns)
{
	struct source *src, *next;

	for (size_t i = 0; i < BUCKETS; i++) {
		for (src = LIST_FIRST(&e->sources[i]); src != NULL; src = next) {
			next = LIST_NEXT(src, entry);
			if (src->streams > 0 || src->used_ns > used_ns)
				continue;
			LIST_REMOVE(src, entry);
			free(src);
			e->nsources--;
		}
	}
}

void
echo_free(struct echo *e)
{
	if (e == NULL)
		return;
	echo_end_all(e, NULL, REASON_NONE);
	sources_forget(e, UINT64_MAX);
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
	if (e->nsources >= ECHO_SOURCES_MAX || (src = calloc(1, sizeof(*src))) == NULL)
		return NULL;
	memcpy(src->node_id, node_id, NODE_ID_LEN);
	ratelimit_init(&src->rate, NS_PER_SEC / ECHO_RATE, ECHO_BURST);
	ratelimit_init(&src->opens, NS_PER_SEC / ECHO_OPEN_RATE, ECHO_OPEN_BURST);
	LIST_INSERT_HEAD(source_bucket(e, node_id), src, entry);
	e->nsources++;
	return src;
}

static void
stream_free(struct echo *e, struct stream *s)
{
	LIST_REMOVE(s, bucket);
	TAILQ_REMOVE(&e->by_use, s, by_use);
	s->source->streams--;
	unit_seal_free(&s->seal);
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
refusal(const struct echo *e, struct source *src, const struct frame_open_stream *o, uint64_t now_ns)
{
	if ((o->flags & OPEN_UNRELIABLE) == 0)
		return REASON_UNSUPPORTED;
	if (o->noise.len == 0)
		return REASON_NO_KEY;
	if (src == NULL || e->nstreams >= ECHO_STREAMS_MAX || src->streams >= ECHO_STREAMS_PER_NODE ||
	    !ratelimit_take(&src->opens, now_ns))
		return REASON_LIMIT;
	return REASON_NONE;
}

static int
stream_add(struct echo *e, struct source *src, uint64_t id, const struct e2e_keys *keys, uint64_t now_ns)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -1;
	if (unit_seal_init(&s->seal, keys, now_ns) == -1) {
		free(s);
		return -1;
	}
	s->id = id;
	s->seq = 1;
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

static bool
unit_send(struct ipc *ipc, uint64_t id, uint64_t seq, const uint8_t *unit, size_t len)
{
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = id, .seq = seq & UINT32_MAX,
	    .flags = DATA_UNRELIABLE, .payload = unit, .payload_len = len } };
	size_t room = FRAME_HEADER_MAX + FRAME_DATA_OVERHEAD + len, n;
	uint8_t *p = ipc_reserve(ipc, room);

	n = p == NULL ? 0 : frame_encode(p, room, &f, FRAME_PORT_PROC);
	if (p != NULL)
		ipc_commit(ipc, n);
	if (n == 0)
		STAT_INC(SVCHOSTD_IPC_DROPPED);
	return n > 0;
}

/* The handshake, whose answer is the first unit of the stream. When that is lost the opener begins anew. */
static uint64_t
shake(struct echo *e, struct ipc *ipc, struct source *src, const struct frame_open_stream *o, uint64_t now_ns)
{
	uint8_t message[E2E_MESSAGE_MAX];
	struct e2e_hello hello;
	struct e2e_keys keys;
	struct e2e *e2e;
	size_t len;
	int reason = e2e_accept(&e2e, e->self, ECHO_SERVICE, o->flags, o->source, o->noise.p, o->noise.len, clock_wall(),
	    &hello);

	if (reason != REASON_NONE)
		return (uint64_t)reason;
	if (hello.app_len > 0)
		reason = REASON_PROTOCOL;
	else if (e2e_answer(e2e, e->self, message, &len, &keys) == -1)
		reason = REASON_INTERNAL;
	e2e_free(e2e);
	if (reason != REASON_NONE)
		return (uint64_t)reason;
	if (stream_add(e, src, o->stream_id, &keys, now_ns) == -1)
		reason = REASON_INTERNAL;
	else
		unit_send(ipc, o->stream_id, 0, message, len);
	e2e_keys_wipe(&keys);
	return (uint64_t)reason;
}

void
echo_open(struct echo *e, struct ipc *ipc, const struct frame_open_stream *o, uint64_t now_ns)
{
	struct source *src = source_get(e, o->source);
	uint64_t reason = refusal(e, src, o, now_ns);

	if (src != NULL)
		src->used_ns = now_ns;
	if (reason == REASON_NONE)
		reason = shake(e, ipc, src, o, now_ns);
	if (reason == REASON_NONE)
		return;
	STAT_INC(SVCHOSTD_ECHO_REFUSED);
	send_reset(ipc, o->stream_id, reason);
}

/* Sealed anew, under the number of this direction. */
static void
answer(struct echo *e, struct stream *s, struct ipc *ipc, size_t len, uint64_t now_ns)
{
	uint64_t number;
	size_t n = unit_seal(&s->seal, e->unit, len, now_ns, &number);

	/* A number is used once, whatever became of its packet. */
	if (n > 0)
		s->seq = number + 2;
	if (n == 0 || !unit_send(ipc, s->id, number + 1, e->unit, n))
		return;
	STAT_INC(SVCHOSTD_ECHO_PACKETS);
	STAT_ADD(SVCHOSTD_ECHO_BYTES, len);
}

/* False: so much has not opened that the stream is of no more use. */
static bool
unit_came(struct echo *e, struct stream *s, struct ipc *ipc, const struct frame_data *d, uint64_t now_ns)
{
	int error = SEAL_E_LONG;
	size_t len;

	if (d->payload_len <= sizeof(e->unit)) {
		memcpy(e->unit, d->payload, d->payload_len);
		error = unit_open(&s->seal, e->unit, d->payload_len, (uint32_t)d->seq, now_ns, &len);
	}
	switch (error) {
	case SEAL_OK:
		answer(e, s, ipc, len, now_ns);
		return true;
	case SEAL_E_REPLAYED:
	case SEAL_E_OLD:
		STAT_INC(SVCHOSTD_ECHO_REPLAYED);
		return true;
	default:
		STAT_INC(SVCHOSTD_ECHO_TAMPERED);
		return !unit_failed(&s->seal);
	}
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
	else if (!unit_came(e, s, ipc, d, now_ns)) {
		send_reset(ipc, s->id, REASON_TAMPERED);
		stream_free(e, s);
	}
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
	if (now_ns > ECHO_IDLE_S * NS_PER_SEC)
		sources_forget(e, now_ns - ECHO_IDLE_S * NS_PER_SEC);
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
