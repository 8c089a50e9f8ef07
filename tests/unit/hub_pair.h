/*
 * Two of svchostd's hubs in one process, and between them what the dataplanes of two nodes would be: it hands frames on
 * under the other side's stream ids, and can do worse on request. `a' opens, `b' serves.
 */
#ifndef TESTS_HUB_PAIR_H
#define TESTS_HUB_PAIR_H

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "e2e_world.h"
#include "fabric/streamid.h"
#include "proc/ipc.h"
#include "proc/stats.h"
#include "svchostd/hub_int.h"

#define PAIR_LEGS	8192u
#define PAIR_PAUSE	(1u << 20)	/* bytes that may wait for a side before the other is not read any more */

struct waiting {
	STAILQ_ENTRY(waiting) link;
	size_t	len;
	uint8_t	data[];
};

struct side {
	struct pair	*pair;
	struct world_node *node;
	struct hub	*hub;
	struct ipc	*ipc, *plane;	/* the hub's end, and the dataplane's */
	struct stream_ids ids, plane_ids;
	STAILQ_HEAD(, waiting) waiting;
	size_t		 backlog;
	uint64_t	 opens;		/* OPEN_STREAM that came from here */
	uint64_t	 before;	/* which stream the last of them follows */
};

struct leg { uint64_t id[2]; };

struct pair {
	struct event_base *base;
	struct world	 world;
	struct side	 side[2];
	struct leg	 legs[PAIR_LEGS];
	size_t		 nlegs;
	/* what is done to frames on their way; 0: nothing. Returns false to drop it */
	bool		(*meddle)(struct pair *, unsigned from, struct frame *);
	const uint8_t	*source;	/* not NULL: who it says has opened */
	uint64_t	 data[2];	/* DATA from each side */
	/* b's answers */
	uint64_t	(*accept)(struct pair *, struct pump *, const struct peer_identity *);
	void		(*gone)(struct pump *);
	struct pump	*accepted[PAIR_LEGS];	/* NULL: gone */
	size_t		 naccepted, ngone;
};

static inline void
pair_flush(struct side *s)
{
	struct waiting *w;

	while (s->plane != NULL && (w = STAILQ_FIRST(&s->waiting)) != NULL) {
		uint8_t *to = ipc_reserve(s->plane, w->len);

		if (to == NULL)
			return;
		memcpy(to, w->data, w->len);
		ipc_commit(s->plane, w->len);
		STAILQ_REMOVE_HEAD(&s->waiting, link);
		s->backlog -= w->len;
		free(w);
	}
	if (s->plane != NULL)
		ipc_flush(s->plane);
	if (s->backlog < PAIR_PAUSE && s->pair->side[s == s->pair->side].plane != NULL)
		ipc_resume(s->pair->side[s == s->pair->side].plane);
}

static inline void
pair_send(struct side *s, const struct frame *f)
{
	static uint8_t buf[FRAME_MAX_CEILING];
	size_t len = frame_encode(buf, sizeof(buf), f, FRAME_PORT_PROC);
	struct waiting *w = malloc(sizeof(*w) + len);

	ck_assert_uint_gt(len, 0);
	ck_assert_ptr_nonnull(w);
	w->len = len;
	memcpy(w->data, buf, len);
	STAILQ_INSERT_TAIL(&s->waiting, w, link);
	s->backlog += len;
	if (s->backlog > PAIR_PAUSE && s->pair->side[s == s->pair->side].plane != NULL)
		ipc_pause(s->pair->side[s == s->pair->side].plane);
}

static inline uint64_t *
frame_stream_id_of(struct frame *f)
{
	switch (f->type) {
	case FT_OPEN_STREAM:
		return &f->open.stream_id;
	case FT_ACK:
		return &f->ack.stream_id;
	case FT_STREAM_CREDIT:
		return &f->credit.stream_id;
	case FT_CLOSE_STREAM:
		return &f->close.stream_id;
	case FT_RESET_STREAM:
		return &f->reset.stream_id;
	default:
		return &f->data.stream_id;
	}
}

static inline struct leg *
leg_of(struct pair *p, unsigned side, uint64_t id)
{
	for (size_t i = 0; i < p->nlegs; i++)
		if (p->legs[i].id[side] == id)
			return &p->legs[i];
	return NULL;
}

/* What a next hop with much memory would say. */
static inline void
credit(struct side *s, uint64_t id)
{
	struct frame f = { .type = FT_STREAM_CREDIT, .credit = { .stream_id = id, .limit = 1ull << 40 } };

	pair_send(s, &f);
}

static inline void
pair_open(struct pair *p, unsigned from, struct frame *f)
{
	struct side *s = &p->side[from], *to = &p->side[1 - from];
	struct leg *g;

	s->opens++;
	s->before = f->open.before;
	ck_assert_int_eq(stream_id_accept(&s->plane_ids, f->open.stream_id), STREAM_ID_OK);
	if (to->plane == NULL) {
		struct frame r = { .type = FT_RESET_STREAM,
		    .reset = { .stream_id = f->open.stream_id, .reason = REASON_UNREACHABLE } };

		pair_send(s, &r);
		return;
	}
	ck_assert_mem_eq(f->open.dest, to->node->self.node_id, NODE_ID_LEN);
	ck_assert_uint_lt(p->nlegs, PAIR_LEGS);
	g = &p->legs[p->nlegs++];
	g->id[from] = f->open.stream_id;
	g->id[1 - from] = stream_id_alloc(&to->plane_ids);
	f->open.stream_id = g->id[1 - from];
	f->open.dest = NULL;
	f->open.before = 0;
	f->open.source = p->source != NULL ? p->source : s->node->self.node_id;
	pair_send(to, f);
	credit(to, g->id[1 - from]);
	credit(s, g->id[from]);
}

static inline int
pair_frame(struct ipc *ipc, const struct frame *frame, int fd, void *arg)
{
	struct side *s = arg;
	struct pair *p = s->pair;
	unsigned from = s == &p->side[0] ? 0 : 1;
	struct frame f = *frame;
	struct leg *g;

	ck_assert_int_eq(fd, -1);
	if (f.type == FT_STREAM_CREDIT)
		return 0;
	if (f.type == FT_OPEN_STREAM) {
		if (p->meddle == NULL || p->meddle(p, from, &f))
			pair_open(p, from, &f);
		return 0;
	}
	if ((g = leg_of(p, from, *frame_stream_id_of(&f))) == NULL)
		return 0;
	*frame_stream_id_of(&f) = g->id[1 - from];
	p->data[from] += f.type == FT_DATA;
	if (p->meddle == NULL || p->meddle(p, from, &f))
		pair_send(&p->side[1 - from], &f);
	if (f.type == FT_RESET_STREAM)
		*g = p->legs[--p->nlegs];
	return 0;
}

static inline void
pair_batch_end(struct ipc *ipc, void *arg)
{
	struct side *s = arg;

	pair_flush(&s->pair->side[0]);
	pair_flush(&s->pair->side[1]);
}

static inline void
pair_writable(struct ipc *ipc, void *arg)
{
	pair_flush(arg);
}

static inline void
pair_closed(struct ipc *ipc, const char *why, void *arg)
{
	ck_abort_msg("channel: %s", why);
}

/* The hub's end, as svchostd.c has it. */
static inline int
hub_side_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct side *s = arg;

	if (f->type == FT_OPEN_STREAM) {
		ck_assert_int_eq(stream_id_accept(&s->ids, f->open.stream_id), STREAM_ID_OK);
		hub_open_frame(s->hub, &f->open);
	} else {
		hub_frame(s->hub, f);
	}
	return 0;
}

static inline void
hub_side_batch_end(struct ipc *ipc, void *arg)
{
	hub_run(((struct side *)arg)->hub);
}

static const struct ipc_ops plane_ops = { .frame = pair_frame, .batch_end = pair_batch_end, .writable = pair_writable,
    .closed = pair_closed };
static const struct ipc_ops hub_side_ops = { .frame = hub_side_frame, .batch_end = hub_side_batch_end,
    .writable = hub_side_batch_end, .closed = pair_closed };

/* The channel is gone, and with it every leg: the other side is told, as dataplanes do. */
static inline void
port_down(struct pair *p, unsigned side)
{
	struct side *s = &p->side[side];
	struct waiting *w;

	while ((w = STAILQ_FIRST(&s->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->waiting, link);
		free(w);
	}
	s->backlog = 0;
	if (s->hub != NULL)
		hub_port(s->hub, NULL, NULL);
	ipc_free(s->ipc);
	ipc_free(s->plane);
	s->ipc = s->plane = NULL;
	for (size_t i = 0; i < p->nlegs; i++) {
		struct frame f = { .type = FT_RESET_STREAM,
		    .reset = { .stream_id = p->legs[i].id[1 - side], .reason = REASON_PEER_GONE } };

		if (p->side[1 - side].plane != NULL)
			pair_send(&p->side[1 - side], &f);
	}
	p->nlegs = 0;
	pair_flush(&p->side[1 - side]);
}

static inline void
port_up(struct pair *p, unsigned side)
{
	struct side *s = &p->side[side];
	int fds[2];

	ck_assert_int_eq(ipc_pair(fds), 0);
	s->ipc = ipc_new(p->base, fds[0], &hub_side_ops, s);
	s->plane = ipc_new(p->base, fds[1], &plane_ops, s);
	ck_assert_ptr_nonnull(s->ipc);
	ck_assert_ptr_nonnull(s->plane);
	stream_ids_init(&s->ids, true);
	stream_ids_init(&s->plane_ids, false);
	hub_port(s->hub, s->ipc, &s->ids);
}

static inline uint64_t
pair_accept(struct pump *pump, const struct peer_identity *peer, void *arg)
{
	struct pair *p = arg;
	uint64_t reason = p->accept == NULL ? REASON_NONE : p->accept(p, pump, peer);

	if (reason == REASON_NONE) {
		ck_assert_uint_lt(p->naccepted, PAIR_LEGS);
		p->accepted[p->naccepted++] = pump;
	}
	return reason;
}

static inline void
pair_gone(struct pump *pump, void *arg)
{
	struct pair *p = arg;

	p->ngone++;
	if (p->gone != NULL)
		p->gone(pump);
	for (size_t i = 0; i < p->naccepted; i++)
		if (p->accepted[i] == pump)
			p->accepted[i] = NULL;
}

static inline void
node_now(struct world_node *n)
{
	uint64_t now = clock_wall();

	n->m.not_before = n->d.not_before = n->s.not_before = now - 60;
	n->m.not_after = now + 100 * WORLD_HOUR;
	n->d.not_after = n->s.not_after = now + 6 * WORLD_HOUR;
	world_node_sign(n);
}

static inline void
side_start(struct pair *p, unsigned side, const struct hub_conf *conf)
{
	static const struct hub_ops ops = { .accept = pair_accept, .gone = pair_gone };
	struct side *s = &p->side[side];

	s->hub = hub_new(p->base, conf, &s->node->self, &ops, p);
	ck_assert_ptr_nonnull(s->hub);
	port_up(p, side);
}

static const struct hub_conf pair_conf = { .memory = 256u << 20, .streams_max = 4096, .node_streams_max = 4096 };

static inline void
pair_start(struct pair *p, const struct hub_conf *conf)
{
	memset(p, 0, sizeof(*p));
	memset(stats, 0, sizeof(*stats));
	world_init(&p->world);
	node_now(&p->world.a);
	node_now(&p->world.b);
	p->base = event_base_new();
	p->side[0].node = &p->world.a;
	p->side[1].node = &p->world.b;
	for (unsigned k = 0; k < 2; k++) {
		p->side[k].pair = p;
		STAILQ_INIT(&p->side[k].waiting);
		side_start(p, k, conf);
	}
}

static inline void
pair_stop(struct pair *p)
{
	for (unsigned k = 0; k < 2; k++) {
		port_down(p, k);
		hub_free(p->side[k].hub);
		p->side[k].hub = NULL;
	}
	event_base_free(p->base);
}

static inline struct e2e_service
pair_service(const struct pair *p, const char *name)
{
	struct e2e_service s = { .class = CLASS_INTERACTIVE };

	memcpy(s.node_id, p->world.b.self.node_id, NODE_ID_LEN);
	memcpy(s.node_key, p->world.b.key.public, SIGN_PUBLIC_LEN);
	memcpy(s.key, p->world.b.self.key.public, NOISE_DH_LEN);
	snprintf(s.name, sizeof(s.name), "%s", name);
	return s;
}

/* Lets things happen for a while; true when `cond' holds at the end of it. */
#define RUN_UNTIL(p, cond) __extension__ ({							\
	uint64_t until_ = clock_ns() + 20 * NS_PER_SEC;						\
	while (!(cond) && clock_ns() < until_) {						\
		struct timeval tv_ = { .tv_usec = 1000 };					\
		event_base_loopexit((p)->base, &tv_);						\
		event_base_dispatch((p)->base);							\
	}											\
	(cond);											\
})

static inline void
run_for(struct pair *p, unsigned ms)
{
	struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000 * 1000) };

	event_base_loopexit(p->base, &tv);
	event_base_dispatch(p->base);
}

#endif
