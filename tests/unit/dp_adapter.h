/* An adapter at the end of a dataplane's channel, with the real ends of streams: for tests of whole dataplanes. */
#ifndef TESTS_DP_ADAPTER_H
#define TESTS_DP_ADAPTER_H

#include "dp_node.h"
#include "fabric/stream.h"

#define ADAPTER_STREAMS	20000u

struct adapter;

/* What one end does with its stream: writes `target' bytes of a pattern and closes, reads the other's and compares. */
struct user {
	struct adapter	*at;
	struct fabric_stream *s;
	uint8_t		 salt;		/* of what it reads; what it writes has salt + 1 for the acceptor */
	uint8_t		 wsalt;
	uint64_t	 target, wrote, read, read_max;	/* read_max: stops reading there */
	uint64_t	 reason;
	bool		 shut, eof, ended, wrong, up, no_resume;
	uint8_t		 class;
	const uint8_t	*dest;
	const char	*service;
	bool		 hold;		/* does not close */
};

struct adapter {
	struct event_base *base;
	struct ipc	*ipc;
	struct event	*tick;
	struct streams	 set;
	struct budget	 budget;
	uint64_t	 next_id;
	struct user	*accepted[ADAPTER_STREAMS];
	size_t		 naccepted;
	uint64_t	 answer;	/* bytes that an acceptor writes */
	uint64_t	 answer_read_max;
	bool		 refuse, hold;
	uint64_t	 refuse_reason;
	unsigned	 opens, peer_ups;
	uint64_t	 last_source_first;
	bool		 closed;
	size_t		 live;
};

static inline void	adapter_pump(struct adapter *);

static inline uint8_t
pattern(uint8_t salt, uint64_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + salt);
}

static inline void
user_write(struct user *u)
{
	static uint8_t buf[32768];

	while (u->s != NULL && !u->shut && u->wrote < u->target) {
		size_t want = u->target - u->wrote < sizeof(buf) ? (size_t)(u->target - u->wrote) : sizeof(buf);
		size_t room = stream_room(u->s);
		ssize_t n;

		if (room == 0)
			room = 1;	/* so that it is told of room */
		if (want > room)
			want = room;
		for (size_t i = 0; i < want; i++)
			buf[i] = pattern(u->wsalt, u->wrote + i);
		if ((n = stream_write(u->s, buf, want, clock_ns())) <= 0)
			return;
		u->wrote += (uint64_t)n;
	}
	if (u->s != NULL && !u->shut && u->wrote == u->target && !u->hold) {
		u->shut = true;
		stream_shut(u->s, clock_ns());
	}
}

static inline void
user_read(struct user *u)
{
	static uint8_t buf[32768];
	ssize_t n;

	while (u->s != NULL && !u->eof) {
		size_t want = sizeof(buf);

		if (u->read_max != 0 && u->read_max - u->read < want)
			want = (size_t)(u->read_max - u->read);
		if (want == 0 || (n = stream_read(u->s, buf, want, clock_ns())) == 0)
			return;
		if (n < 0) {
			u->eof = true;
			break;
		}
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != pattern(u->salt, u->read + (uint64_t)i))
				u->wrong = true;
		u->read += (uint64_t)n;
	}
}

static inline void
user_end(struct user *u)
{
	if (u->s == NULL)
		return;
	u->ended = true;
	u->reason = u->s->reason;
	stream_release(u->s, clock_ns());
	u->s = NULL;
	u->at->live--;
}

static inline void
user_attach(struct user *u)
{
	struct adapter *a = u->at;
	struct frame f = { .type = FT_OPEN_STREAM };
	uint8_t noise[STREAM_ID_LEN];

	if (u->s == NULL || a->ipc == NULL)
		return;
	stream_identity_put(u->s, noise);
	f.open.stream_id = a->next_id;
	a->next_id += 2;
	f.open.class = u->class;
	f.open.service.p = (const uint8_t *)u->service;
	f.open.service.len = strlen(u->service);
	f.open.noise.p = noise;
	f.open.noise.len = sizeof(noise);
	f.open.dest = u->dest;
	f.open.before = u->s->before;
	if (stream_attach(u->s, f.open.stream_id, clock_ns()) == -1 || ipc_send(a->ipc, &f) == -1)
		abort();
}

static inline void
adapter_events(struct adapter *a)
{
	struct fabric_stream *s;
	unsigned events;

	while ((s = streams_event(&a->set, &events)) != NULL) {
		struct user *u = s->arg;

		if (u->s == NULL)
			continue;
		if (events & STREAM_EV_UP)
			u->up = true;
		if (events & STREAM_EV_LEG) {
			if (u->no_resume)
				stream_abort(u->s, REASON_NONE, clock_ns());
			else
				user_attach(u);
		}
		if (events & STREAM_EV_READ)
			user_read(u);
		if (events & STREAM_EV_WRITE)
			user_write(u);
		if ((events & STREAM_EV_END) || (u->eof && u->shut))
			user_end(u);
	}
}

static inline void
adapter_output(struct adapter *a)
{
	uint8_t *to;
	size_t n;

	while (a->ipc != NULL && !a->closed && streams_want_output(&a->set)) {
		if ((to = ipc_reserve(a->ipc, 16200)) == NULL)
			return;
		n = streams_output(&a->set, to, 16200, clock_ns());
		ipc_commit(a->ipc, n);
		if (n == 0)
			break;
	}
	if (a->ipc != NULL)
		ipc_flush(a->ipc);
}

static inline void
adapter_pump(struct adapter *a)
{
	adapter_events(a);
	adapter_output(a);
}

static inline void
adapter_open_frame(struct adapter *a, const struct frame_open_stream *o)
{
	uint8_t token[STREAM_TOKEN_LEN];
	uint64_t reason;
	struct fabric_stream *s;
	struct user *u;
	bool exist;

	a->opens++;
	if (o->source != NULL)
		a->last_source_first = o->source[0];
	if (a->refuse || o->noise.len != STREAM_ID_LEN || stream_identity_get(o->noise.p, o->noise.len, token, &exist) == -1) {
		streams_refuse(&a->set, o->stream_id, a->refuse_reason);
		return;
	}
	if ((s = streams_by_token(&a->set, token)) != NULL) {
		if (stream_attach(s, o->stream_id, clock_ns()) == -1)
			streams_refuse(&a->set, o->stream_id, REASON_REFUSED);
		return;
	}
	if (exist || a->naccepted == ADAPTER_STREAMS) {
		streams_refuse(&a->set, o->stream_id, REASON_REFUSED);
		return;
	}
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		abort();
	u->at = a;
	u->class = o->class;
	u->salt = token[0];
	u->wsalt = (uint8_t)(token[0] + 1);
	u->target = a->answer;
	u->read_max = a->answer_read_max;
	u->hold = a->hold;
	u->s = streams_accept(&a->set, token, o->stream_id, o->class, true, u, clock_ns(), &reason);
	if (u->s == NULL) {
		streams_refuse(&a->set, o->stream_id, reason);
		free(u);
		return;
	}
	a->live++;
	a->accepted[a->naccepted++] = u;
	user_write(u);
}

static inline int
adapter_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct adapter *a = arg;
	bool unit;

	(void)ipc;
	(void)fd;
	if (f->type >= FT_PROC_FIRST) {
		a->peer_ups++;
		return 0;
	}
	if (f->type == FT_OPEN_STREAM)
		adapter_open_frame(a, &f->open);
	else
		streams_input(&a->set, f, clock_ns(), &unit);
	return 0;
}

static inline void
adapter_batch(struct ipc *ipc, void *arg)
{
	(void)ipc;
	adapter_pump(arg);
}

static inline void
adapter_closed(struct ipc *ipc, const char *why, void *arg)
{
	struct adapter *a = arg;

	(void)ipc;
	(void)why;
	a->closed = true;
	streams_port_lost(&a->set, clock_ns());
}

static const struct ipc_ops adapter_ops = {
	.frame = adapter_frame, .batch_end = adapter_batch, .writable = adapter_batch, .closed = adapter_closed,
};

static inline void
adapter_tick(evutil_socket_t fd, short what, void *arg)
{
	struct adapter *a = arg;

	(void)fd;
	(void)what;
	streams_tick(&a->set, clock_ns());
	adapter_pump(a);
}

static inline void
adapter_init(struct adapter *a, struct event_base *base)
{
	struct stream_conf conf;

	memset(a, 0, sizeof(*a));
	a->base = base;
	stream_conf_default(&conf);
	conf.streams_max = ADAPTER_STREAMS;
	budget_init(&a->budget, 1ull << 30);
	if (streams_init(&a->set, &conf, &a->budget, 77) == -1)
		abort();
	a->tick = event_new(base, -1, EV_PERSIST, adapter_tick, a);
	event_add(a->tick, &(struct timeval){ 0, 5000 });
	a->refuse_reason = REASON_REFUSED;
}

/* A new channel to the dataplane of n, for a service. */
static inline void
adapter_join(struct adapter *a, struct node *n, enum worker_kind kind, const char *service)
{
	struct procmsg m = { .type = PM_BIND };
	int fds[2];

	if (a->ipc != NULL) {
		ipc_free(a->ipc);
		if (!a->closed)
			streams_port_lost(&a->set, clock_ns());
	}
	a->closed = false;
	a->next_id = 2;
	if (ipc_pair(fds) == -1 || (a->ipc = ipc_new(a->base, fds[1], &adapter_ops, a)) == NULL)
		abort();
	dp_port(n->dp, kind, fds[0]);
	if (service == NULL)
		return;
	strcpy(m.bind.service, service);
	procmsg_send(a->ipc, &m, -1);
	ipc_flush(a->ipc);
}

static inline void
adapter_free(struct adapter *a)
{
	ipc_free(a->ipc);
	event_free(a->tick);
	streams_free(&a->set);
	for (size_t i = 0; i < a->naccepted; i++)
		free(a->accepted[i]);
}

/* Opens a stream that writes `target' bytes and closes; u->hold and u->no_resume are set before it. */
static inline void
user_open(struct user *u, struct adapter *a, const uint8_t *dest, const char *service, unsigned class, uint64_t target)
{
	uint8_t token[STREAM_TOKEN_LEN];
	uint64_t reason;

	*u = (struct user){ .hold = u->hold, .no_resume = u->no_resume };
	u->at = a;
	u->dest = dest;
	u->service = service;
	u->class = (uint8_t)class;
	u->target = target;
	crypto_random(token, sizeof(token));
	u->wsalt = token[0];
	u->salt = (uint8_t)(token[0] + 1);
	u->s = streams_open(&a->set, token, class, true, u, clock_ns(), &reason);
	if (u->s == NULL)
		abort();
	a->live++;
	user_attach(u);
	user_write(u);
}

#endif
