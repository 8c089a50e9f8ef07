#include "routed/mesh.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "fabric/stream.h"
#include "proc/stats.h"
#include "routed/dirmsg.h"
#include "routed/order.h"
#include "wire/varint.h"

#define MEMORY		(64u << 20)	/* of all streams together */
#define WINDOW_MAX	(512u * 1024)
#define RESUME_NS	(5 * NS_PER_SEC)	/* a stream without a leg is of no use: another begins anew */
#define OUTPUT_ROOM	(STREAM_DATA_MAX + STREAM_FRAME_MIN)
#define READ_MAX	(128u * 1024)	/* bytes of one peer before the others have their turn */
#define HEADER_MAX	16u		/* type and length */
#define RETRY_MIN_NS	(250 * NS_PER_MS)
#define RETRY_MAX_NS	(30 * NS_PER_SEC)
#define GOOD_NS		(60 * NS_PER_SEC)	/* a stream that lived so long was no failure */

struct queue {
	uint8_t	*p;
	size_t	 off, len, size;	/* len: from the beginning of p */
};

struct mesh_peer {
	uint8_t	 node_id[NODE_ID_LEN];
	bool	 opener;
	struct fabric_stream *s;	/* NULL: none */
	bool	 up;			/* mesh_ops.up was called */
	bool	 punish;
	bool	 more;			/* there may be something to read */
	struct queue in, out;
	uint64_t meter_ns;		/* when all that it sent would have been paid for */
	uint64_t retry_ns, backoff_ns;	/* not before; the next one */
	uint64_t up_ns;
};

struct mesh {
	const struct mesh_ops *ops;
	void	*arg;
	const struct mesh_port_ops *port;
	void	*port_arg;
	bool	 self_known;
	uint8_t	 self[NODE_ID_LEN];
	struct stream_ids ids;
	struct streams streams;
	struct budget budget;
	struct mesh_peer **peers;	/* sorted by node id */
	size_t	 npeers, size, nup;
	size_t	 in_bytes, out_bytes;	/* in all queues */
};

struct mesh *
mesh_new(const struct mesh_ops *ops, void *arg, uint64_t secret)
{
	struct mesh *m = calloc(1, sizeof(*m));
	struct stream_conf sc;

	if (m == NULL)
		return NULL;
	m->ops = ops;
	m->arg = arg;
	stream_conf_default(&sc);
	sc.window_max = WINDOW_MAX;
	sc.resume_ns = RESUME_NS;
	sc.streams_max = 2 * MESH_PEERS_MAX;
	sc.linger_max = MESH_PEERS_MAX;
	budget_init(&m->budget, MEMORY);
	if (streams_init(&m->streams, &sc, &m->budget, secret) == -1) {
		free(m);
		return NULL;
	}
	return m;
}

static void
queue_free(struct queue *q)
{
	free(q->p);
	memset(q, 0, sizeof(*q));
}

static void
peer_free(struct mesh_peer *p)
{
	if (p->s != NULL)
		p->s->arg = NULL;
	queue_free(&p->in);
	queue_free(&p->out);
	free(p);
}

void
mesh_free(struct mesh *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->npeers; i++)
		peer_free(m->peers[i]);
	streams_free(&m->streams);
	free(m->peers);
	free(m);
}

/* --- who there is --- */

static size_t
place(const struct mesh *m, const uint8_t *node_id, bool *found)
{
	_Static_assert(offsetof(struct mesh_peer, node_id) == 0, "order_place() finds the id there");
	return order_place(m->peers, m->npeers, node_id, found);
}

static struct mesh_peer *
find(const struct mesh *m, const uint8_t *node_id)
{
	bool found;
	size_t i = place(m, node_id, &found);

	return found ? m->peers[i] : NULL;
}

/* The stream is over; another may begin when the time has come. */
static void
stream_drop(struct mesh *m, struct mesh_peer *p, uint64_t reason, uint64_t now_ns)
{
	struct fabric_stream *s = p->s;

	p->s = NULL;
	p->punish = p->more = false;
	m->in_bytes -= p->in.len - p->in.off;
	m->out_bytes -= p->out.len - p->out.off;
	queue_free(&p->in);
	queue_free(&p->out);
	if (s != NULL) {
		s->arg = NULL;
		stream_abort(s, reason, now_ns);
		stream_release(s, now_ns);
	}
	if (!p->up)
		return;
	p->up = false;
	STAT_SET(ROUTED_MESH_UP, --m->nup);
	m->ops->down(p->node_id, m->arg);
}

static void
stream_failed(struct mesh *m, struct mesh_peer *p, uint64_t reason, uint64_t now_ns)
{
	uint16_t random;

	if (p->up && now_ns - p->up_ns >= GOOD_NS)
		p->backoff_ns = 0;
	p->backoff_ns = p->backoff_ns == 0 ? RETRY_MIN_NS : p->backoff_ns * 2 < RETRY_MAX_NS ? p->backoff_ns * 2 : RETRY_MAX_NS;
	crypto_random(&random, sizeof(random));
	/* An eighth more or less: not all that lost a node come back to it at once. */
	p->retry_ns = now_ns + p->backoff_ns / 8 * 7 + p->backoff_ns / 4 * random / UINT16_MAX;
	STAT_INC(ROUTED_MESH_FAILED);
	stream_drop(m, p, reason, now_ns);
}

static bool
grow(struct mesh *m)
{
	size_t size = m->size == 0 ? 16 : m->size * 2;
	struct mesh_peer **grown;

	if (m->npeers < m->size)
		return true;
	if ((grown = reallocarray(m->peers, size, sizeof(struct mesh_peer *))) == NULL)
		return false;
	m->peers = grown;
	m->size = size;
	return true;
}

int
mesh_peer_up(struct mesh *m, const uint8_t *node_id, uint64_t now_ns)
{
	struct mesh_peer *p;
	bool found;
	size_t i = place(m, node_id, &found);

	if (found) {	/* a session in place of another: what was under way is lost, or goes on as the streams do */
		m->peers[i]->retry_ns = now_ns;
		return 0;
	}
	if (m->npeers == MESH_PEERS_MAX || !grow(m) || (p = calloc(1, sizeof(*p))) == NULL)
		return -1;
	memcpy(p->node_id, node_id, NODE_ID_LEN);
	p->opener = memcmp(m->self, node_id, NODE_ID_LEN) < 0;
	p->retry_ns = now_ns;
	memmove(&m->peers[i + 1], &m->peers[i], (m->npeers - i) * sizeof(*m->peers));
	m->peers[i] = p;
	m->npeers++;
	return 0;
}

void
mesh_peer_down(struct mesh *m, const uint8_t *node_id, uint64_t now_ns)
{
	bool found;
	size_t i = place(m, node_id, &found);

	if (!found)
		return;
	stream_drop(m, m->peers[i], REASON_PEER_GONE, now_ns);
	peer_free(m->peers[i]);
	m->npeers--;
	memmove(&m->peers[i], &m->peers[i + 1], (m->npeers - i) * sizeof(*m->peers));
}

void
mesh_self(struct mesh *m, const uint8_t *node_id, uint64_t now_ns)
{
	if (m->self_known && memcmp(m->self, node_id, NODE_ID_LEN) == 0)
		return;
	memcpy(m->self, node_id, NODE_ID_LEN);
	m->self_known = true;
	for (size_t i = 0; i < m->npeers; i++) {
		stream_drop(m, m->peers[i], REASON_SHUTDOWN, now_ns);
		m->peers[i]->opener = memcmp(node_id, m->peers[i]->node_id, NODE_ID_LEN) < 0;
	}
}

void
mesh_port(struct mesh *m, const struct mesh_port_ops *ops, void *arg, uint64_t now_ns)
{
	while (m->npeers > 0)
		mesh_peer_down(m, m->peers[m->npeers - 1]->node_id, now_ns);
	streams_port_lost(&m->streams, now_ns);
	m->port = ops;
	m->port_arg = arg;
	stream_ids_init(&m->ids, true);
}

/* --- opening and accepting --- */

static void
stream_up(struct mesh *m, struct mesh_peer *p, uint64_t now_ns)
{
	if (p->up)
		return;
	p->up = true;
	p->up_ns = now_ns;
	STAT_SET(ROUTED_MESH_UP, ++m->nup);
	m->ops->up(p->node_id, m->arg);
}

static void
stream_begin(struct mesh *m, struct mesh_peer *p, uint64_t now_ns)
{
	uint8_t token[STREAM_TOKEN_LEN], identity[STREAM_ID_LEN];
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .class = CLASS_CONTROL, .dest = p->node_id,
	    .service = { (const uint8_t *)MESH_SERVICE, strlen(MESH_SERVICE) }, .noise = { identity, sizeof(identity) } } };
	uint64_t reason;

	crypto_random(token, sizeof(token));
	if ((p->s = streams_open(&m->streams, token, CLASS_CONTROL, true, p, now_ns, &reason)) == NULL) {
		stream_failed(m, p, reason, now_ns);
		return;
	}
	stream_identity_put(p->s, identity);
	if ((f.open.stream_id = stream_id_alloc(&m->ids)) == 0 || m->port->send(&f, m->port_arg) == -1 ||
	    stream_attach(p->s, f.open.stream_id, now_ns) == -1)
		stream_failed(m, p, REASON_LIMIT, now_ns);
}

/*
 * A stream in place of an older one: who opens it has lost that. It is a failure like any, with a while until the next:
 * what a neighbour is told at its beginning costs much more than the OPEN.
 */
static uint64_t
accept_open(struct mesh *m, const struct frame_open_stream *o, uint64_t now_ns)
{
	struct mesh_peer *p = o->source == NULL ? NULL : find(m, o->source);
	uint8_t token[STREAM_TOKEN_LEN];
	uint64_t reason;
	bool known;

	if (p == NULL || p->opener || (o->flags & OPEN_UNRELIABLE) || o->class != CLASS_CONTROL)
		return REASON_REFUSED;
	if (stream_identity_get(o->noise.p, o->noise.len, token, &known) == -1)
		return REASON_PROTOCOL;
	if (known || streams_by_token(&m->streams, token) != NULL)
		return REASON_REFUSED;		/* none goes on here: it is to begin anew */
	if (now_ns < p->retry_ns)
		return REASON_LIMIT;
	if (p->s != NULL)
		stream_failed(m, p, REASON_DUPLICATE, now_ns);
	p->s = streams_accept(&m->streams, token, o->stream_id, o->class, true, p, now_ns, &reason);
	if (p->s == NULL)
		return reason;
	stream_up(m, p, now_ns);
	return REASON_NONE;
}

static int
on_open(struct mesh *m, const struct frame_open_stream *o, uint64_t now_ns)
{
	uint64_t reason;

	if (stream_id_accept(&m->ids, o->stream_id) != STREAM_ID_OK)
		return -1;
	reason = accept_open(m, o, now_ns);
	if (reason != REASON_NONE) {
		streams_refuse(&m->streams, o->stream_id, reason);
		STAT_INC(ROUTED_MESH_REFUSED);
	}
	return 0;
}

int
mesh_frame(struct mesh *m, const struct frame *f, uint64_t now_ns)
{
	bool unit;

	switch (f->type) {
	case FT_OPEN_STREAM:
		return on_open(m, &f->open, now_ns);
	case FT_DATA:
	case FT_ACK:
	case FT_STREAM_CREDIT:
	case FT_CLOSE_STREAM:
	case FT_RESET_STREAM:
		streams_input(&m->streams, f, now_ns, &unit);	/* one for no stream is late */
		return 0;
	default:
		return -1;
	}
}

/* --- messages --- */

/* Room for n more bytes behind q's: NULL without memory. What was taken from the front makes room. */
static uint8_t *
queue_room(struct queue *q, size_t n)
{
	uint8_t *grown;
	size_t size;

	if (q->off > 0 && (q->off == q->len || q->len + n > q->size)) {
		memmove(q->p, q->p + q->off, q->len - q->off);
		q->len -= q->off;
		q->off = 0;
	}
	if (q->len + n > q->size) {
		size = q->size == 0 ? 1024 : q->size * 2;
		while (size < q->len + n)
			size *= 2;
		if ((grown = realloc(q->p, size)) == NULL)
			return NULL;
		q->p = grown;
		q->size = size;
	}
	return q->p + q->len;
}

/* A large message is rare: its memory is not kept for all peers. */
static void
queue_emptied(struct queue *q)
{
	if (q->off < q->len)
		return;
	q->off = q->len = 0;
	if (q->size > 8192)
		queue_free(q);
}

/* What may wait for one: little, once much waits for all together, as for peers that do not read. */
static size_t
queue_max(const struct mesh *m)
{
	return m->out_bytes < MESH_QUEUES_MAX ? MESH_QUEUE_MAX : MESH_QUEUE_LEAST;
}

int
mesh_send(struct mesh *m, const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len)
{
	struct mesh_peer *p = find(m, node_id);
	uint8_t *to, *end;

	if (p == NULL || !p->up || len > MESH_BODY_MAX)
		return -1;
	if (p->out.len - p->out.off + len + HEADER_MAX > queue_max(m) ||
	    (to = queue_room(&p->out, len + HEADER_MAX)) == NULL) {
		STAT_INC(ROUTED_MESH_FULL);
		return -1;
	}
	end = varint_put(varint_put(to, type), len);
	if (len > 0)
		memcpy(end, body, len);
	p->out.len += (size_t)(end - to) + len;
	m->out_bytes += (size_t)(end - to) + len;
	STAT_INC(ROUTED_MESH_OUT);
	return 0;
}

size_t
mesh_room(const struct mesh *m, const uint8_t *node_id)
{
	const struct mesh_peer *p = find(m, node_id);
	size_t used;

	if (p == NULL || !p->up)
		return 0;
	used = p->out.len - p->out.off + HEADER_MAX;
	return used < queue_max(m) ? queue_max(m) - used : 0;
}

bool
mesh_adjacent(const struct mesh *m, const uint8_t *node_id)
{
	const struct mesh_peer *p = find(m, node_id);

	return p != NULL && p->up;
}

void
mesh_each(struct mesh *m, void (*fn)(const uint8_t *node_id, void *arg), void *arg)
{
	for (size_t i = 0; i < m->npeers; i++)
		if (m->peers[i]->up)
			fn(m->peers[i]->node_id, arg);
}

void
mesh_punish(struct mesh *m, const uint8_t *node_id, uint64_t now_ns)
{
	struct mesh_peer *p = find(m, node_id);

	(void)now_ns;
	if (p != NULL && p->s != NULL)
		p->punish = true;
}

static void
charge(struct mesh_peer *p, size_t len, uint64_t now_ns)
{
	uint64_t cost = len * NS_PER_SEC / MESH_BYTES_RATE, least = NS_PER_SEC / MESH_RATE;

	if (p->meter_ns < now_ns)
		p->meter_ns = now_ns;
	p->meter_ns += cost > least ? cost : least;
}

static bool
overdrawn(const struct mesh_peer *p, uint64_t now_ns)
{
	return p->meter_ns > now_ns + MESH_BURST_S * NS_PER_SEC;
}

/* Hands on what is whole. False: the peer sent what it must not, or its stream is over. */
static bool
messages_take(struct mesh *m, struct mesh_peer *p, uint64_t now_ns)
{
	struct frame_bytes body;
	uint64_t type;
	size_t whole;
	int rv = 0;

	while (!overdrawn(p, now_ns) && p->in.off < p->in.len && (rv = dirmsg_next(p->in.p + p->in.off, p->in.len - p->in.off,
	    &type, &body, &whole)) == 1) {
		charge(p, whole, now_ns);
		STAT_INC(ROUTED_MESH_IN);
		if (type > UINT16_MAX)
			type = UINT16_MAX;	/* as unknown as any */
		rv = m->ops->message(p->node_id, (unsigned)type, body.p, body.len, m->arg);
		if (rv == -1 || p->punish)
			break;
		p->in.off += whole;
		m->in_bytes -= whole;
	}
	queue_emptied(&p->in);
	if (rv != -1 && !p->punish)
		return true;
	STAT_INC(ROUTED_MESH_RUBBISH);
	return false;
}

/* Reads while there is something and it is paid for; no more than one message, and what was read with its end, waits here. */
static void
peer_read(struct mesh *m, struct mesh_peer *p, uint64_t now_ns)
{
	static uint8_t buf[16384];
	size_t total = 0;
	ssize_t n = 0;

	p->more = false;
	do {
		p->in.len += (size_t)n;
		m->in_bytes += (size_t)n;
		if (!messages_take(m, p, now_ns)) {
			stream_failed(m, p, REASON_PROTOCOL, now_ns);
			return;
		}
		if (overdrawn(p, now_ns) || total >= READ_MAX) {
			p->more = true;
			return;
		}
		if ((n = stream_read(p->s, buf, sizeof(buf), now_ns)) <= 0)
			break;
		total += (size_t)n;
		/* Many that begin large messages and do not end them: none of them has the room for it. */
		if ((m->in_bytes >= MESH_QUEUES_MAX && p->in.len - p->in.off >= MESH_QUEUE_LEAST) ||
		    queue_room(&p->in, (size_t)n) == NULL) {
			stream_failed(m, p, REASON_LIMIT, now_ns);
			return;
		}
		memcpy(p->in.p + p->in.len, buf, (size_t)n);
	} while (n > 0);
	if (n < 0)
		stream_failed(m, p, REASON_NONE, now_ns);
}

static void
peer_write(struct mesh *m, struct mesh_peer *p, uint64_t now_ns)
{
	ssize_t n;

	while (p->out.off < p->out.len) {
		n = stream_write(p->s, p->out.p + p->out.off, p->out.len - p->out.off, now_ns);
		if (n <= 0)
			break;
		p->out.off += (size_t)n;
		m->out_bytes -= (size_t)n;
	}
	queue_emptied(&p->out);
}

/* --- running --- */

static void
events(struct mesh *m, uint64_t now_ns)
{
	struct fabric_stream *s;
	unsigned what;

	while ((s = streams_event(&m->streams, &what)) != NULL) {
		struct mesh_peer *p = s->arg;

		if (p == NULL || p->s != s)
			continue;	/* given back already */
		if (what & STREAM_EV_UP)
			stream_up(m, p, now_ns);
		if (what & STREAM_EV_READ)
			p->more = true;
		if (what & (STREAM_EV_END | STREAM_EV_LEG))
			stream_failed(m, p, REASON_PEER_GONE, now_ns);
	}
}

static void
peer_run(struct mesh *m, struct mesh_peer *p, uint64_t now_ns)
{
	if (p->punish) {
		STAT_INC(ROUTED_MESH_RUBBISH);
		stream_failed(m, p, REASON_PROTOCOL, now_ns);
	}
	if (p->s == NULL && p->opener && m->self_known && now_ns >= p->retry_ns)
		stream_begin(m, p, now_ns);
	if (p->s != NULL && p->more && !overdrawn(p, now_ns))
		peer_read(m, p, now_ns);
	if (p->s != NULL && p->out.off < p->out.len)
		peer_write(m, p, now_ns);
}

static void
output(struct mesh *m, uint64_t now_ns)
{
	uint8_t *to;

	while (streams_want_output(&m->streams)) {
		if ((to = m->port->reserve(OUTPUT_ROOM, m->port_arg)) == NULL)
			return;
		m->port->commit(streams_output(&m->streams, to, OUTPUT_ROOM, now_ns), m->port_arg);
	}
}

void
mesh_run(struct mesh *m, uint64_t now_ns)
{
	streams_tick(&m->streams, now_ns);
	events(m, now_ns);
	if (m->port == NULL)
		return;
	for (size_t i = 0; i < m->npeers; i++)
		peer_run(m, m->peers[i], now_ns);
	/* What one was told may be for another, that had its turn before. */
	for (size_t i = 0; i < m->npeers; i++)
		if (m->peers[i]->s != NULL && m->peers[i]->out.off < m->peers[i]->out.len)
			peer_write(m, m->peers[i], now_ns);
	output(m, now_ns);
}

uint64_t
mesh_deadline(const struct mesh *m, uint64_t now_ns)
{
	uint64_t at = streams_deadline(&m->streams);

	for (size_t i = 0; m->port != NULL && i < m->npeers; i++) {
		const struct mesh_peer *p = m->peers[i];
		uint64_t want = UINT64_MAX;

		if (p->punish || (p->s != NULL && p->more))
			want = overdrawn(p, now_ns) ? p->meter_ns - MESH_BURST_S * NS_PER_SEC : now_ns;
		else if (p->s == NULL && p->opener && m->self_known)
			want = p->retry_ns;
		if (want < at)
			at = want;
	}
	return at;
}
