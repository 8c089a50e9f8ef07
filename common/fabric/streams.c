/* The streams at one port: found by id and by token, asked in turn for what they send, woken when it is time. */
#include <stdlib.h>
#include <string.h>

#include "fabric/stream_int.h"

#define TABLE_MIN	64u
#define NS_PER_MS	1000000ull
#define NS_PER_SEC	1000000000ull

void
stream_conf_default(struct stream_conf *c)
{
	*c = (struct stream_conf){
		.window_max = 16u << 20,
		.open_ns = 10 * NS_PER_SEC,
		.keepalive_ns = 30 * NS_PER_SEC,
		.dead_ns = 90 * NS_PER_SEC,
		.resume_ns = 60 * NS_PER_SEC,
		.linger_ns = 10 * NS_PER_SEC,
		.idle_ns = 0,
		.half_ns = 3600 * NS_PER_SEC,
		.ack_delay_ns = 10 * NS_PER_MS,
		.streams_max = 65536,
		.linger_max = 4096,
	};
}

int
streams_init(struct streams *t, const struct stream_conf *conf, struct budget *budget, uint64_t secret)
{
	memset(t, 0, sizeof(*t));
	t->conf = *conf;
	t->budget = budget;
	t->secret = secret | 1;
	TAILQ_INIT(&t->all);
	TAILQ_INIT(&t->events);
	TAILQ_INIT(&t->linger);
	turn_init(&t->turn, NULL);
	t->by_id = calloc(TABLE_MIN, sizeof(*t->by_id));
	t->by_token = calloc(TABLE_MIN, sizeof(*t->by_token));
	if (t->by_id == NULL || t->by_token == NULL) {
		free(t->by_id);
		free(t->by_token);
		return -1;
	}
	t->table_len = TABLE_MIN;
	return 0;
}

void
streams_free(struct streams *t)
{
	struct fabric_stream *s;

	while ((s = TAILQ_FIRST(&t->all)) != NULL)
		streams_forget(s);
	free(t->by_id);
	free(t->by_token);
	free(t->heap);
	free(t->resets);
	memset(t, 0, sizeof(*t));
}

/* --- tables --- */

static struct fabric_stream **
id_slot(const struct streams *t, struct fabric_stream **table, size_t len, uint64_t id)
{
	return &table[(size_t)((id * t->secret) >> 32) & (len - 1)];
}

static struct fabric_stream **
token_slot(const struct streams *t, struct fabric_stream **table, size_t len, const uint8_t *token)
{
	uint64_t a, b;

	memcpy(&a, token, 8);
	memcpy(&b, token + 8, 8);
	return &table[(size_t)((((a ^ t->secret) * 0x9e3779b97f4a7c15ull ^ b) * t->secret) >> 32) & (len - 1)];
}

struct fabric_stream *
streams_by_id(struct streams *t, uint64_t id)
{
	struct fabric_stream *s = id == 0 ? NULL : *id_slot(t, t->by_id, t->table_len, id);

	while (s != NULL && s->id != id)
		s = s->id_next;
	return s;
}

struct fabric_stream *
streams_by_token(struct streams *t, const uint8_t token[STREAM_TOKEN_LEN])
{
	struct fabric_stream *s = *token_slot(t, t->by_token, t->table_len, token);

	while (s != NULL && memcmp(s->token, token, STREAM_TOKEN_LEN) != 0)
		s = s->token_next;
	return s;
}

void
streams_id_set(struct fabric_stream *s, uint64_t id)
{
	struct streams *t = s->set;
	struct fabric_stream **at;

	if (s->id != 0) {
		for (at = id_slot(t, t->by_id, t->table_len, s->id); *at != s;)
			at = &(*at)->id_next;
		*at = s->id_next;
	}
	s->id = id;
	if (id == 0)
		return;
	at = id_slot(t, t->by_id, t->table_len, id);
	s->id_next = *at;
	*at = s;
}

/* Both tables double. It is not fatal when they cannot. */
static void
tables_grow(struct streams *t)
{
	size_t len = t->table_len * 2;
	struct fabric_stream **by_id = calloc(len, sizeof(*by_id)), **by_token = calloc(len, sizeof(*by_token)), *s, **at;

	if (by_id == NULL || by_token == NULL) {
		free(by_id);
		free(by_token);
		return;
	}
	TAILQ_FOREACH(s, &t->all, all) {
		at = token_slot(t, by_token, len, s->token);
		s->token_next = *at;
		*at = s;
		if (s->id == 0)
			continue;
		at = id_slot(t, by_id, len, s->id);
		s->id_next = *at;
		*at = s;
	}
	free(t->by_id);
	free(t->by_token);
	t->by_id = by_id;
	t->by_token = by_token;
	t->table_len = len;
}

/* --- deadlines: a binary heap, the earliest at 1 --- */

static void
heap_put(struct streams *t, size_t at, struct fabric_stream *s)
{
	t->heap[at] = s;
	s->heap_at = at;
}

static void
heap_up(struct streams *t, size_t at, struct fabric_stream *s)
{
	while (at > 1 && t->heap[at / 2]->deadline_ns > s->deadline_ns) {
		heap_put(t, at, t->heap[at / 2]);
		at /= 2;
	}
	heap_put(t, at, s);
}

static void
heap_down(struct streams *t, size_t at, struct fabric_stream *s)
{
	size_t child;

	while ((child = 2 * at) <= t->heap_len) {
		if (child < t->heap_len && t->heap[child + 1]->deadline_ns < t->heap[child]->deadline_ns)
			child++;
		if (t->heap[child]->deadline_ns >= s->deadline_ns)
			break;
		heap_put(t, at, t->heap[child]);
		at = child;
	}
	heap_put(t, at, s);
}

static void
heap_remove(struct fabric_stream *s)
{
	struct streams *t = s->set;
	size_t at = s->heap_at;
	struct fabric_stream *last;

	if (at == 0)
		return;
	s->heap_at = 0;
	last = t->heap[t->heap_len--];
	if (last == s)
		return;
	if (at > 1 && t->heap[at / 2]->deadline_ns > last->deadline_ns)
		heap_up(t, at, last);
	else
		heap_down(t, at, last);
}

/* Room for every stream is made when it comes, so that a deadline can always be set. */
static int
heap_grow(struct streams *t)
{
	size_t size = t->heap_size == 0 ? TABLE_MIN : t->heap_size * 2;
	struct fabric_stream **heap;

	if (t->n + 2 <= t->heap_size)
		return 0;
	if ((heap = reallocarray(t->heap, size, sizeof(*heap))) == NULL)
		return -1;
	t->heap = heap;
	t->heap_size = size;
	return 0;
}

void
streams_deadline_set(struct fabric_stream *s, uint64_t at_ns)
{
	struct streams *t = s->set;

	/* One that has moved away is found to have when its time comes: moving it for every frame costs more. */
	if (s->heap_at != 0 && s->deadline_ns <= at_ns)
		return;
	heap_remove(s);
	s->deadline_ns = at_ns;
	if (at_ns != UINT64_MAX)
		heap_up(t, ++t->heap_len, s);
}

uint64_t
streams_deadline(const struct streams *t)
{
	return t->heap_len == 0 ? UINT64_MAX : t->heap[1]->deadline_ns;
}

void
streams_tick(struct streams *t, uint64_t now_ns)
{
	while (t->heap_len > 0 && t->heap[1]->deadline_ns <= now_ns) {
		struct fabric_stream *s = t->heap[1];

		heap_remove(s);
		stream_tick(s, now_ns);
	}
}

/* --- what is to be told --- */

void
streams_event_add(struct fabric_stream *s, unsigned events)
{
	if (s->released)
		events &= STREAM_EV_LEG;
	if (events == 0)
		return;
	if (s->events == 0)
		TAILQ_INSERT_TAIL(&s->set->events, s, event);
	s->events |= (uint8_t)events;
}

void
streams_event_clear(struct fabric_stream *s)
{
	if (s->events != 0)
		TAILQ_REMOVE(&s->set->events, s, event);
	s->events = 0;
}

struct fabric_stream *
streams_event(struct streams *t, unsigned *events)
{
	struct fabric_stream *s = TAILQ_FIRST(&t->events);

	if (s == NULL)
		return NULL;
	*events = s->events;
	streams_event_clear(s);
	return s;
}

static void
ending_add(struct streams *t, struct stream_reset r)
{
	if (t->nresets == t->resets_size) {
		size_t size = t->resets_size == 0 ? 16 : t->resets_size * 2;
		struct stream_reset *list = reallocarray(t->resets, size, sizeof(*list));

		/* Then the other end finds out by its own clock. */
		if (list == NULL)
			return;
		t->resets = list;
		t->resets_size = size;
	}
	t->resets[t->nresets++] = r;
}

void
streams_refuse(struct streams *t, uint64_t id, uint64_t reason)
{
	ending_add(t, (struct stream_reset){ .id = id, .reason = reason });
}

void
streams_close(struct streams *t, uint64_t id, uint64_t final)
{
	ending_add(t, (struct stream_reset){ .id = id, .final = final, .close = true });
}

/* --- streams come and go --- */

static struct fabric_stream *
stream_make(struct streams *t, const uint8_t *token, unsigned class, bool reliable, void *arg, uint64_t now_ns)
{
	struct fabric_stream *s = calloc(1, sizeof(*s)), **at;

	if (s == NULL || heap_grow(t) == -1) {
		free(s);
		return NULL;
	}
	s->set = t;
	s->arg = arg;
	memcpy(s->token, token, STREAM_TOKEN_LEN);
	memcpy(&s->rand, token, sizeof(s->rand));
	s->rand |= 1;
	s->reliable = reliable;
	s->reason = REASON_NONE;
	ring_init(&s->out);
	ring_init(&s->in);
	s->snd_edge = s->rcv_edge = STREAM_WINDOW_INITIAL;
	window_init(&s->window, STREAM_WINDOW_INITIAL, now_ns);
	s->active_ns = s->lost_ns = now_ns;
	s->again_ns = UINT64_MAX;
	s->deadline_ns = UINT64_MAX;
	turn_entry_init(&s->turn, class);
	TAILQ_INSERT_TAIL(&t->all, s, all);
	at = token_slot(t, t->by_token, t->table_len, token);
	s->token_next = *at;
	*at = s;
	if (++t->n > t->table_len)
		tables_grow(t);
	return s;
}

static struct fabric_stream *
stream_admit(struct streams *t, const uint8_t *token, unsigned class, bool reliable, void *arg, uint64_t now_ns,
    uint64_t *reason)
{
	uint64_t base = reliable ? 2 * STREAM_BASE : 0;
	struct fabric_stream *s;

	*reason = REASON_LIMIT;
	if (t->n - t->nlinger >= t->conf.streams_max || !budget_take(t->budget, base)) {
		t->refused++;
		return NULL;
	}
	*reason = REASON_INTERNAL;
	if ((s = stream_make(t, token, class, reliable, arg, now_ns)) == NULL) {
		budget_give(t->budget, base);
		return NULL;
	}
	*reason = REASON_NONE;
	s->out_reserved = s->in_reserved = base / 2;
	return s;
}

struct fabric_stream *
streams_open(struct streams *t, const uint8_t token[STREAM_TOKEN_LEN], unsigned class, bool reliable, void *arg,
    uint64_t now_ns, uint64_t *reason)
{
	struct fabric_stream *s = stream_admit(t, token, class, reliable, arg, now_ns, reason);

	if (s == NULL)
		return NULL;
	s->opener = true;
	stream_update(s, now_ns);
	return s;
}

struct fabric_stream *
streams_accept(struct streams *t, const uint8_t token[STREAM_TOKEN_LEN], uint64_t id, unsigned class, bool reliable,
    void *arg, uint64_t now_ns, uint64_t *reason)
{
	struct fabric_stream *s = stream_admit(t, token, class, reliable, arg, now_ns, reason);

	if (s == NULL)
		return NULL;
	stream_attach(s, id, now_ns);
	return s;
}

/* The oldest of too many that only linger goes. */
void
streams_linger(struct fabric_stream *s)
{
	struct streams *t = s->set;
	struct fabric_stream *old;

	if (s->lingers)
		return;
	s->lingers = true;
	TAILQ_INSERT_TAIL(&t->linger, s, lingering);
	t->nlinger++;
	if (t->nlinger > t->conf.linger_max && (old = TAILQ_FIRST(&t->linger)) != s)
		streams_forget(old);
}

static void
token_forget(struct fabric_stream *s)
{
	struct fabric_stream **at = token_slot(s->set, s->set->by_token, s->set->table_len, s->token);

	while (*at != s)
		at = &(*at)->token_next;
	*at = s->token_next;
}

void
streams_forget(struct fabric_stream *s)
{
	struct streams *t = s->set;

	streams_id_set(s, 0);
	token_forget(s);
	heap_remove(s);
	turn_remove(&t->turn, &s->turn);
	streams_event_clear(s);
	if (s->lingers) {
		TAILQ_REMOVE(&t->linger, s, lingering);
		t->nlinger--;
	}
	TAILQ_REMOVE(&t->all, s, all);
	t->n--;
	ring_free(&s->out, t->budget);
	ring_free(&s->in, t->budget);
	budget_give(t->budget, s->out_reserved + s->in_reserved);
	if (t->gone != NULL)
		t->gone(s->arg);
	free(s);
}

/* --- the port --- */

static uint64_t
frame_stream_id(const struct frame *f)
{
	switch (f->type) {
	case FT_ACK:
		return f->ack.stream_id;
	case FT_STREAM_CREDIT:
		return f->credit.stream_id;
	case FT_CLOSE_STREAM:
		return f->close.stream_id;
	case FT_RESET_STREAM:
		return f->reset.stream_id;
	case FT_OPEN_STREAM:
		return f->open.stream_id;
	default:
		return frame_type_is_data(f->type) ? f->data.stream_id : 0;
	}
}

bool
streams_input(struct streams *t, const struct frame *f, uint64_t now_ns, bool *unit)
{
	struct fabric_stream *s = f->skipped ? NULL : streams_by_id(t, frame_stream_id(f));

	*unit = false;
	if (s == NULL) {
		t->unknown++;
		return false;
	}
	*unit = stream_frame(s, f, now_ns);
	return true;
}

void
streams_port_lost(struct streams *t, uint64_t now_ns)
{
	struct fabric_stream *s, *next;

	t->nresets = 0;
	for (s = TAILQ_FIRST(&t->all); s != NULL; s = next) {
		next = TAILQ_NEXT(s, all);
		stream_port_lost(s, now_ns);
	}
}

static size_t
reset_put(struct streams *t, uint8_t *buf, size_t size)
{
	struct stream_reset r = t->resets[--t->nresets];
	struct frame f = { .type = r.close ? FT_CLOSE_STREAM : FT_RESET_STREAM };

	if (t->nresets == 0) {
		free(t->resets);
		t->resets = NULL;
		t->resets_size = 0;
	}
	if (r.close) {
		f.close.stream_id = r.id;
		f.close.final_seq = r.final;
	} else {
		f.reset.stream_id = r.id;
		f.reset.reason = r.reason;
	}
	return frame_encode(buf, size, &f, FRAME_PORT_PROC);
}

size_t
streams_output(struct streams *t, uint8_t *buf, size_t size, uint64_t now_ns)
{
	struct fabric_stream *s;
	struct turn_entry *e;
	size_t n;

	if (t->nresets > 0)
		return reset_put(t, buf, size);
	if ((e = turn_next(&t->turn)) == NULL)
		return 0;
	s = (struct fabric_stream *)(void *)((char *)e - offsetof(struct fabric_stream, turn));
	n = stream_output(s, buf, size, now_ns);
	turn_sent(&t->turn, e, n, stream_ready(s));
	stream_update(s, now_ns);
	return n;
}

bool
streams_want_output(const struct streams *t)
{
	return t->nresets > 0 || !turn_idle(&t->turn);
}
