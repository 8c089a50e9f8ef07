/*
 * An end of a stream and a hop, given frames in any order with any numbers near the ones that matter, between calls of
 * the adapter's in any order. Whatever comes, the books of memory are right, what leaves decodes, and all is given back.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric/credit.h"
#include "fabric/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)
#define MS 1000000ull

struct input { const uint8_t *p, *end; };

struct world {
	struct budget	 ends_budget, hops_budget;
	struct streams	 set;
	struct fabric_stream *s;	/* NULL once it was given back */
	struct credit_node node;
	struct credit	 hop;
	struct turn	 turn[2];
	uint64_t	 now, id;
	uint64_t	 read;
};

static struct world *world;

static void
gone(void *arg)
{
	(void)arg;
	world->s = NULL;
}

static uint8_t
next(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

/* A number near one that matters, or far away. */
static uint64_t
near(struct input *in, uint64_t v)
{
	int8_t d = (int8_t)next(in);

	if (d == -128)
		return (1ull << 62) - 1;
	if (d == 127)
		return v + 8192 * (uint64_t)next(in);
	return d < 0 && (uint64_t)-d > v ? 0 : v + (uint64_t)(int64_t)d;
}

/* A frame about numbers near a (what was received) and b (what was sent), as its bytes would decode. */
static bool
frame_make(struct input *in, struct frame *f, uint8_t *buf, size_t size, uint64_t id, uint64_t a, uint64_t b)
{
	static const uint64_t types[] = { FT_DATA, FT_ACK, FT_STREAM_CREDIT, FT_CLOSE_STREAM, FT_RESET_STREAM, FT_DATA_U,
	    FT_DATA, FT_ACK };
	static const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_DEFAULT };
	static const uint8_t payload[16384];
	struct frame e = { 0 };
	size_t n;

	e.type = types[next(in) % 8];
	switch (e.type) {
	case FT_DATA: case FT_DATA_U:
		e.data = (struct frame_data){ .stream_id = id, .seq = near(in, a), .payload = payload,
		    .payload_len = 1 + 64u * next(in) };
		if (e.type == FT_DATA_U)
			e.data.flags = DATA_UNRELIABLE, e.data.seq &= UINT32_MAX;
		break;
	case FT_ACK:
		e.ack.stream_id = id;
		e.ack.seq = near(in, b);
		e.ack.window = near(in, 8192);
		break;
	case FT_STREAM_CREDIT:
		e.credit.stream_id = id;
		e.credit.limit = near(in, b);
		break;
	case FT_CLOSE_STREAM:
		e.close.stream_id = id;
		e.close.final_seq = near(in, a);
		break;
	default:
		e.reset.stream_id = id;
		e.reset.reason = next(in);
	}
	n = frame_encode(buf, size, &e, FRAME_PORT_PROC);
	return n > 0 && frame_decode(f, buf, n, &lim) == FRAME_OK;
}

static void
books(const struct budget *b)
{
	HOLDS(b->used <= b->limit);
	HOLDS(b->held <= b->used);
}

static void
leaves(const uint8_t *buf, size_t n)
{
	static const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_DEFAULT };
	struct frame f;

	HOLDS(frame_decode(&f, buf, n, &lim) == FRAME_OK && f.raw.len == n);
}

static void
end_frame(struct world *w, struct input *in)
{
	static uint8_t buf[20000];
	struct frame f;
	bool unit;

	if (w->s != NULL && frame_make(in, &f, buf, sizeof(buf), w->s->id == 0 ? w->id : w->s->id, w->s->rcv_nxt, w->s->snd_nxt))
		streams_input(&w->set, &f, w->now, &unit);
}

static void
hop_frame(struct world *w, struct input *in)
{
	static uint8_t buf[20000];
	unsigned side = next(in) & 1;
	const struct credit_way *way = &w->hop.way[side];
	struct frame f;

	if (frame_make(in, &f, buf, sizeof(buf), 5, way->next_seq, w->hop.way[1 - side].forwarded))
		credit_input(&w->hop, side, &f, next(in) * MS, w->now);
	HOLDS(credit_waiting(way) <= way->granted - way->forwarded);
}

static void
drain(struct world *w, struct input *in)
{
	static uint8_t buf[20000];
	size_t n, room = 64 + 64u * next(in);

	for (unsigned i = 0; i < 20 && (n = streams_output(&w->set, buf, room, w->now)) > 0; i++)
		leaves(buf, n);
	for (unsigned side = 0; side < 2; side++)
		for (unsigned i = 0; i < 20 && (n = credit_output(&w->hop, side, 7, buf, room, w->now)) > 0; i++)
			leaves(buf, n);
}

static void
read_some(struct world *w, struct input *in)
{
	static uint8_t buf[20000];
	ssize_t n = stream_read(w->s, buf, 1 + 64u * next(in), w->now);

	w->read += n > 0 ? (uint64_t)n : 0;
	HOLDS(w->read == w->s->rcv_read);
}

static void
adapter(struct world *w, struct input *in)
{
	static const uint8_t bytes[20000];
	struct fabric_stream *e;
	unsigned events;

	while ((e = streams_event(&w->set, &events)) != NULL)
		HOLDS(e == w->s);
	if (w->s == NULL || w->s->released)
		return;
	switch (next(in) % 8) {
	case 0: case 1:
		stream_write(w->s, bytes, 64u * next(in), w->now);
		break;
	case 2: case 3:
		read_some(w, in);
		break;
	case 4:
		stream_shut(w->s, w->now);
		break;
	case 5:
		if (stream_attach(w->s, w->id + 2, w->now) == 0)
			w->id += 2;
		break;
	case 6:
		if (next(in) < 32)
			stream_abort(w->s, next(in), w->now);
		break;
	default:
		if (next(in) < 64)
			stream_release(w->s, w->now);
	}
}

static void
time_passes(struct world *w, struct input *in)
{
	w->now += next(in) * next(in) * (MS + next(in) * MS);
	streams_tick(&w->set, w->now);
	HOLDS(streams_deadline(&w->set) > w->now);
	credit_tick(&w->hop, w->now);
}

static void
step(struct world *w, struct input *in)
{
	switch (next(in) % 8) {
	case 0: case 1:
		end_frame(w, in);
		break;
	case 2: case 3:
		hop_frame(w, in);
		break;
	case 4:
		drain(w, in);
		break;
	case 5:
		time_passes(w, in);
		break;
	case 6:
		adapter(w, in);
		break;
	default:
		if (next(in) < 8)
			streams_port_lost(&w->set, w->now);
		else if (next(in) < 8)
			credit_port_lost(&w->hop, next(in) & 1);
	}
	books(&w->ends_budget);
	books(&w->hops_budget);
}

static void
begin(struct world *w, struct input *in)
{
	static const uint8_t token[STREAM_TOKEN_LEN] = "0123456789abcdef";
	static const uint64_t initial[2] = { CREDIT_INITIAL, CREDIT_INITIAL };
	struct credit_conf hop_conf;
	struct stream_conf conf;
	uint64_t reason;
	uint8_t how = next(in);

	memset(w, 0, sizeof(*w));
	w->now = 1000000 * MS;
	w->id = 2;
	stream_conf_default(&conf);
	credit_conf_default(&hop_conf);
	budget_init(&w->ends_budget, how & 1 ? 100000 : 1u << 24);
	budget_init(&w->hops_budget, how & 1 ? 100000 : 1u << 24);
	HOLDS(streams_init(&w->set, &conf, &w->ends_budget, 99) == 0);
	w->set.gone = gone;
	if (how & 2)
		w->s = streams_open(&w->set, token, CLASS_BULK, !(how & 4), NULL, w->now, &reason);
	else
		w->s = streams_accept(&w->set, token, 2, CLASS_BULK, !(how & 4), NULL, w->now, &reason);
	HOLDS(w->s != NULL);
	if (how & 2)
		HOLDS(stream_attach(w->s, 2, w->now) == 0);
	credit_node_init(&w->node, &hop_conf, &w->hops_budget);
	turn_init(&w->turn[0], NULL);
	turn_init(&w->turn[1], NULL);
	HOLDS(credit_init(&w->hop, &w->node, CLASS_BULK, &w->turn[0], &w->turn[1], initial, w->now) == REASON_NONE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct world w;

	world = &w;
	begin(&w, &in);
	while (in.p < in.end)
		step(&w, &in);
	credit_free(&w.hop);
	streams_free(&w.set);
	HOLDS(w.ends_budget.used == 0 && w.ends_budget.held == 0);
	HOLDS(w.hops_budget.used == 0 && w.hops_budget.held == 0);
	return 0;
}
