#include "fabric/sched.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "fabric/turn.h"

#define SLAB_PKTS	64u
#define CLASS_QUANTUM	600		/* bytes a unit of weight */
#define BUCKET_QUANTUM	1514		/* RFC 8290, section 5.2.1: about one packet */
#define CONTROL_BURST	(64ll << 10)	/* bytes that control may go first; it earns what the others send */

struct codel {
	uint64_t first_above_ns;	/* 0: the wait is below the target */
	uint64_t drop_next_ns;
	uint32_t count, last_count;
	bool	 dropping;
};

struct bucket {
	struct sched_pkt *head, *tail;
	size_t		 bytes;
	int		 deficit;
	bool		 listed;
	struct codel	 codel;
	TAILQ_ENTRY(bucket) entry;
};

TAILQ_HEAD(bucket_list, bucket);

struct class_queue {
	struct bucket	 *buckets;	/* SCHED_BUCKETS of them, made at the first packet */
	struct bucket_list fresh, old;	/* RFC 8290, section 4: new queues before those that were served */
	size_t		  bytes;
	int		  deficit;
};

struct sched {
	struct sched_pool *pool;
	size_t		  bytes, max_bytes;
	int64_t		  control_tokens;
	uint8_t		  weight[CLASS_COUNT];
	struct class_queue class[CLASS_COUNT];
};

struct sched_slab {
	struct sched_slab *next;
	_Alignas(16) uint8_t mem[];
};

static const char *const drop_names[SCHED_DROP_COUNT] = {
	[SCHED_DROP_CODEL] = "codel", [SCHED_DROP_FULL] = "full",
	[SCHED_DROP_POOL] = "pool", [SCHED_DROP_TOO_LONG] = "too-long",
};

const char *
sched_drop_name(unsigned drop)
{
	return drop < SCHED_DROP_COUNT ? drop_names[drop] : "unknown";
}

void
sched_pool_init(struct sched_pool *pool, size_t data_max, size_t bytes)
{
	memset(pool, 0, sizeof(*pool));
	pool->data_max = data_max;
	pool->stride = (sizeof(struct sched_pkt) + data_max + 15) & ~(size_t)15;
	pool->slabs_max = bytes / (pool->stride * SLAB_PKTS);
	if (pool->slabs_max == 0)
		pool->slabs_max = 1;
}

void
sched_pool_free(struct sched_pool *pool)
{
	struct sched_slab *slab;

	while ((slab = pool->slabs) != NULL) {
		pool->slabs = slab->next;
		free(slab);
	}
	pool->free = NULL;
}

static int
pool_grow(struct sched_pool *pool)
{
	struct sched_slab *slab;

	if (pool->nslabs == pool->slabs_max)
		return -1;
	if ((slab = malloc(sizeof(*slab) + SLAB_PKTS * pool->stride)) == NULL)
		return -1;
	slab->next = pool->slabs;
	pool->slabs = slab;
	pool->nslabs++;
	for (size_t i = SLAB_PKTS; i-- > 0;) {
		struct sched_pkt *pkt = (struct sched_pkt *)(void *)(slab->mem + i * pool->stride);

		pkt->next = pool->free;
		pool->free = pkt;
	}
	return 0;
}

static struct sched_pkt *
pool_take(struct sched_pool *pool)
{
	struct sched_pkt *pkt;

	if (pool->free == NULL && pool_grow(pool) == -1)
		return NULL;
	pkt = pool->free;
	pool->free = pkt->next;
	pool->in_use++;
	return pkt;
}

void
sched_pkt_free(struct sched_pool *pool, struct sched_pkt *pkt)
{
	pkt->next = pool->free;
	pool->free = pkt;
	pool->in_use--;
}

struct sched *
sched_new(struct sched_pool *pool, size_t max_bytes)
{
	struct sched *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->pool = pool;
	s->max_bytes = max_bytes;
	s->control_tokens = CONTROL_BURST;
	for (size_t c = 0; c < CLASS_COUNT; c++) {
		TAILQ_INIT(&s->class[c].fresh);
		TAILQ_INIT(&s->class[c].old);
		s->weight[c] = turn_usual[c];
		s->class[c].deficit = s->weight[c] * CLASS_QUANTUM;
	}
	return s;
}

void
sched_weigh(struct sched *s, const uint8_t *weight)
{
	for (size_t c = 0; c < CLASS_COUNT; c++)
		s->weight[c] = weight[c] == 0 ? turn_usual[c] : weight[c];
}

void
sched_free(struct sched *s)
{
	if (s == NULL)
		return;
	for (size_t c = 0; c < CLASS_COUNT; c++) {
		for (size_t b = 0; s->class[c].buckets != NULL && b < SCHED_BUCKETS; b++) {
			struct sched_pkt *pkt;

			while ((pkt = s->class[c].buckets[b].head) != NULL) {
				s->class[c].buckets[b].head = pkt->next;
				sched_pkt_free(s->pool, pkt);
			}
		}
		free(s->class[c].buckets);
	}
	if (s->pool->fattest == s)
		s->pool->fattest = NULL;
	free(s);
}

static struct sched_pkt *
bucket_pop(struct sched *s, struct class_queue *q, struct bucket *b)
{
	struct sched_pkt *pkt = b->head;

	if (pkt == NULL)
		return NULL;
	if ((b->head = pkt->next) == NULL)
		b->tail = NULL;
	b->bytes -= pkt->len;
	q->bytes -= pkt->len;
	s->bytes -= pkt->len;
	return pkt;
}

static void
drop(struct sched *s, struct sched_pkt *pkt, enum sched_drop why)
{
	s->pool->drops[pkt->class][why]++;
	sched_pkt_free(s->pool, pkt);
}

/* Drops one packet, of the least urgent class that waits but of none more urgent than `class`. */
static int
make_room(struct sched *s, unsigned class, enum sched_drop why)
{
	for (unsigned c = CLASS_COUNT; c-- > class;) {
		struct class_queue *q = &s->class[c];
		struct bucket *fat;

		if (q->bytes == 0)
			continue;
		fat = &q->buckets[0];
		for (size_t b = 1; b < SCHED_BUCKETS; b++)
			if (q->buckets[b].bytes > fat->bytes)
				fat = &q->buckets[b];
		drop(s, bucket_pop(s, q, fat), why);
		return 0;
	}
	return -1;
}

static struct sched_pkt *
refuse(struct sched *s, unsigned class, enum sched_drop why)
{
	s->pool->drops[class][why]++;
	return NULL;
}

struct sched_pkt *
sched_alloc(struct sched *s, unsigned class, size_t len)
{
	struct sched_pool *pool = s->pool;
	struct sched_pkt *pkt;

	if (len == 0 || len > pool->data_max)
		return refuse(s, class, SCHED_DROP_TOO_LONG);
	while (s->bytes + len > s->max_bytes)
		if (make_room(s, class, SCHED_DROP_FULL) == -1)
			return refuse(s, class, SCHED_DROP_FULL);
	if ((pkt = pool_take(pool)) == NULL) {
		struct sched *giver = pool->fattest != NULL && pool->fattest->bytes > s->bytes ? pool->fattest : s;

		if (make_room(giver, class, SCHED_DROP_POOL) == -1 || (pkt = pool_take(pool)) == NULL)
			return refuse(s, class, SCHED_DROP_POOL);
	}
	pkt->class = (uint8_t)class;
	pkt->len = (uint16_t)len;
	pkt->bare_at = 0;
	return pkt;
}

static struct bucket *
bucket_of(struct class_queue *q, uint32_t flow)
{
	if (q->buckets == NULL && (q->buckets = calloc(SCHED_BUCKETS, sizeof(*q->buckets))) == NULL)
		return NULL;
	/* Multiplicative hashing: stream ids of one side differ in their low bits only. */
	return &q->buckets[(flow * 2654435761u) >> 27];
}

_Static_assert(SCHED_BUCKETS == 1u << (32 - 27), "the shift above gives a bucket's number");

void
sched_enqueue(struct sched *s, struct sched_pkt *pkt, uint32_t flow, uint64_t now_ns)
{
	struct class_queue *q = &s->class[pkt->class];
	struct bucket *b = bucket_of(q, flow);

	if (b == NULL) {
		drop(s, pkt, SCHED_DROP_POOL);
		return;
	}
	pkt->at_ns = now_ns;
	pkt->next = NULL;
	if (b->tail != NULL)
		b->tail->next = pkt;
	else
		b->head = pkt;
	b->tail = pkt;
	b->bytes += pkt->len;
	q->bytes += pkt->len;
	s->bytes += pkt->len;
	if (!b->listed) {
		b->listed = true;
		b->deficit = BUCKET_QUANTUM;
		TAILQ_INSERT_TAIL(&q->fresh, b, entry);
	}
	if (s->pool->fattest == NULL || s->bytes > s->pool->fattest->bytes)
		s->pool->fattest = s;
}

/* 2^32 / sqrt(count) by Newton would be RFC 8289's choice on a router; at our rates the plain form will do. */
static uint64_t
isqrt(uint64_t v)
{
	uint64_t r = 0;

	for (uint64_t bit = 1ull << 30; bit != 0; bit >>= 2) {
		if (v >= r + bit) {
			v -= r + bit;
			r = (r >> 1) + bit;
		} else {
			r >>= 1;
		}
	}
	return r;
}

static uint64_t
control_law(uint64_t t, uint32_t count)
{
	/* 256 / sqrt(count) in integers: count is scaled by 2^16 under the root. */
	return t + (SCHED_CODEL_INTERVAL_NS << 8) / isqrt((uint64_t)(count < 16384 ? count : 16383) << 16);
}

/* RFC 8289, section 5.6: whether the packet at the head has waited above the target for a whole interval. */
static bool
should_drop(struct bucket *b, const struct sched_pkt *pkt, uint64_t now_ns)
{
	struct codel *c = &b->codel;

	if (now_ns - pkt->at_ns < SCHED_CODEL_TARGET_NS || b->bytes <= BUCKET_QUANTUM) {
		c->first_above_ns = 0;
		return false;
	}
	if (c->first_above_ns == 0) {
		c->first_above_ns = now_ns + SCHED_CODEL_INTERVAL_NS;
		return false;
	}
	return now_ns >= c->first_above_ns;
}

static void
codel_start(struct codel *c, uint64_t now_ns)
{
	uint32_t delta = c->count - c->last_count;

	c->dropping = true;
	c->count = delta > 1 && now_ns - c->drop_next_ns < 16 * SCHED_CODEL_INTERVAL_NS ? delta : 1;
	c->drop_next_ns = control_law(now_ns, c->count);
	c->last_count = c->count;
}

/* The next packet of a bucket after CoDel took its part, or NULL when none is left. */
static struct sched_pkt *
codel_pop(struct sched *s, struct class_queue *q, struct bucket *b, uint64_t now_ns)
{
	struct codel *c = &b->codel;
	struct sched_pkt *pkt = bucket_pop(s, q, b);
	bool bad;

	if (pkt == NULL) {
		c->dropping = false;
		return NULL;
	}
	bad = should_drop(b, pkt, now_ns);
	if (!c->dropping) {
		if (!bad)
			return pkt;
		drop(s, pkt, SCHED_DROP_CODEL);
		codel_start(c, now_ns);
		return bucket_pop(s, q, b);
	}
	while (bad && now_ns >= c->drop_next_ns) {
		drop(s, pkt, SCHED_DROP_CODEL);
		c->count++;
		if ((pkt = bucket_pop(s, q, b)) == NULL)
			break;
		bad = should_drop(b, pkt, now_ns);
		c->drop_next_ns = control_law(c->drop_next_ns, c->count);
	}
	if (pkt == NULL || !bad)
		c->dropping = false;
	return pkt;
}

/* RFC 8290, section 4.2. */
static struct sched_pkt *
class_pop(struct sched *s, struct class_queue *q, uint64_t now_ns)
{
	for (;;) {
		bool fresh = !TAILQ_EMPTY(&q->fresh);
		struct bucket_list *list = fresh ? &q->fresh : &q->old;
		struct bucket *b = TAILQ_FIRST(list);
		struct sched_pkt *pkt;

		if (b == NULL)
			return NULL;
		if (b->deficit <= 0) {
			b->deficit += BUCKET_QUANTUM;
			TAILQ_REMOVE(list, b, entry);
			TAILQ_INSERT_TAIL(&q->old, b, entry);
			continue;
		}
		if ((pkt = codel_pop(s, q, b, now_ns)) != NULL) {
			b->deficit -= pkt->len;
			return pkt;
		}
		TAILQ_REMOVE(list, b, entry);
		/* One that just emptied goes behind the old ones, so that it cannot stay first by emptying often. */
		if (fresh && !TAILQ_EMPTY(&q->old))
			TAILQ_INSERT_TAIL(&q->old, b, entry);
		else
			b->listed = false;
	}
}

static void
round_start(struct sched *s)
{
	for (size_t c = 0; c < CLASS_COUNT; c++) {
		struct class_queue *q = &s->class[c];
		int quantum = s->weight[c] * CLASS_QUANTUM;

		q->deficit += quantum;
		if (q->deficit > quantum)
			q->deficit = quantum;
	}
}

struct sched_pkt *
sched_dequeue(struct sched *s, uint64_t now_ns)
{
	struct sched_pkt *pkt;

	if (s->class[CLASS_CONTROL].bytes > 0 && s->control_tokens > 0 &&
	    (pkt = class_pop(s, &s->class[CLASS_CONTROL], now_ns)) != NULL) {
		s->control_tokens -= pkt->len;
		return pkt;
	}
	while (s->bytes > 0) {
		for (size_t c = 0; c < CLASS_COUNT; c++) {
			struct class_queue *q = &s->class[c];

			if (q->bytes == 0 || q->deficit <= 0)
				continue;
			if ((pkt = class_pop(s, q, now_ns)) == NULL)
				continue;
			q->deficit -= pkt->len;
			if (c != CLASS_CONTROL && (s->control_tokens += pkt->len) > CONTROL_BURST)
				s->control_tokens = CONTROL_BURST;
			return pkt;
		}
		round_start(s);
	}
	return NULL;
}

struct sched_pkt *
sched_dequeue_class(struct sched *s, unsigned class, uint64_t now_ns)
{
	return class < CLASS_COUNT ? class_pop(s, &s->class[class], now_ns) : NULL;
}

bool
sched_empty(const struct sched *s)
{
	return s->bytes == 0;
}

size_t
sched_bytes(const struct sched *s)
{
	return s->bytes;
}

size_t
sched_class_bytes(const struct sched *s, unsigned class)
{
	return class < CLASS_COUNT ? s->class[class].bytes : 0;
}
