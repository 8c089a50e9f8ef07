#include "svchostd/hub.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/ipc.h"
#include "proc/stats.h"
#include "svchostd/hub_int.h"

#define OUTPUT_ROOM (STREAM_DATA_MAX + STREAM_FRAME_MIN)

static void
on_run(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hub_run(arg);
}

static int
start(struct hub *h)
{
	struct stream_conf sc;
	uint64_t secret;

	stream_conf_default(&sc);
	sc.streams_max = h->conf.streams_max;
	h->run = event_new(h->base, -1, 0, on_run, h);
	h->timer = event_new(h->base, -1, 0, on_run, h);
	if (h->run == NULL || h->timer == NULL || getrandom(&secret, sizeof(secret), 0) != sizeof(secret) ||
	    streams_init(&h->streams, &sc, &h->budget, secret) == -1)
		return -1;
	h->streams.gone = pump_gone;
	return 0;
}

struct hub *
hub_new(struct event_base *base, const struct hub_conf *conf, const struct e2e_self *self, const struct hub_ops *ops,
    void *arg)
{
	struct hub *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->base = base;
	h->conf = *conf;
	h->self = self;
	h->ops = ops;
	h->arg = arg;
	budget_init(&h->budget, conf->memory);
	TAILQ_INIT(&h->pumps);
	TAILQ_INIT(&h->want);
	TAILQ_INIT(&h->opening);
	for (size_t i = 0; i < SOURCE_BUCKETS; i++)
		LIST_INIT(&h->sources[i]);
	if (start(h) == 0)
		return h;
	hub_free(h);
	return NULL;
}

static void
sources_free(struct hub *h)
{
	struct source *src;

	for (size_t i = 0; i < SOURCE_BUCKETS; i++) {
		while ((src = LIST_FIRST(&h->sources[i])) != NULL) {
			LIST_REMOVE(src, entry);
			free(src);
		}
	}
}

void
hub_free(struct hub *h)
{
	struct pump *p;

	if (h == NULL)
		return;
	while ((p = TAILQ_FIRST(&h->pumps)) != NULL)
		pump_free(p);
	if (h->streams.by_id != NULL)
		streams_free(&h->streams);
	sources_free(h);
	if (h->run != NULL)
		event_free(h->run);
	if (h->timer != NULL)
		event_free(h->timer);
	free(h);
}

size_t
hub_streams(const struct hub *h)
{
	return h->npumps;
}

void
hub_wake(struct hub *h)
{
	if (!h->running)
		event_active(h->run, 0, 0);
}

/* --- who has opened streams here --- */

/* One that has none and was not heard of for the longest time makes room. */
static bool
source_evict(struct hub *h)
{
	struct source *src, *oldest = NULL;

	for (size_t i = 0; i < SOURCE_BUCKETS; i++)
		LIST_FOREACH(src, &h->sources[i], entry)
			if (src->streams == 0 && (oldest == NULL || src->used_ns < oldest->used_ns))
				oldest = src;
	if (oldest == NULL)
		return false;
	LIST_REMOVE(oldest, entry);
	free(oldest);
	h->nsources--;
	return true;
}

static struct source *
source_get(struct hub *h, const uint8_t *node_id)
{
	struct source_list *list = &h->sources[node_id[0] % SOURCE_BUCKETS];	/* node ids are hashes */
	struct source *src;

	LIST_FOREACH(src, list, entry)
		if (memcmp(src->node_id, node_id, NODE_ID_LEN) == 0)
			return src;
	if ((h->nsources >= SOURCES_MAX && !source_evict(h)) || (src = calloc(1, sizeof(*src))) == NULL)
		return NULL;
	memcpy(src->node_id, node_id, NODE_ID_LEN);
	ratelimit_init(&src->rate, NS_PER_SEC / SOURCE_RATE, SOURCE_BURST);
	LIST_INSERT_HEAD(list, src, entry);
	h->nsources++;
	return src;
}

/* --- OPEN_STREAM that comes --- */

/* The stream is known: who asks must be who has it. */
static uint64_t
resume(struct fabric_stream *s, const struct frame_open_stream *o, const char *service, uint64_t now_ns)
{
	struct pump *p = s->arg;
	bool none = s->leg == LEG_NONE;

	if (s->opener || memcmp(p->to.node_id, o->source, NODE_ID_LEN) != 0 || strcmp(p->to.name, service) != 0)
		return REASON_REFUSED;
	if (stream_attach(s, o->stream_id, now_ns) == -1)
		return REASON_REFUSED;
	if (none)
		p->leg_ns = s->lost_ns;
	STAT_INC(SVCHOSTD_LEGS_AGAIN);
	return REASON_NONE;
}

static struct pump *
accepted_new(struct hub *h, struct source *src, const struct frame_open_stream *o, const char *service,
    const struct peer_identity *peer, uint64_t now_ns)
{
	struct pump *p = pump_new(h, now_ns);

	if (p == NULL)
		return NULL;
	p->state = PUMP_CONNECTING;
	p->source = src;
	src->streams++;
	p->roles = peer->roles;
	memcpy(p->tenant, peer->tenant, sizeof(p->tenant));
	memcpy(p->to.node_id, peer->node_id, NODE_ID_LEN);
	strcpy(p->to.name, service);
	p->to.class = o->class;
	return p;
}

/* *e2e is taken when all is well. */
static uint64_t
accept_new(struct hub *h, struct source *src, const struct frame_open_stream *o, const char *service,
    const struct e2e_hello *hello, const uint8_t *token, struct e2e **e2e, uint64_t now_ns)
{
	uint64_t reason;
	struct pump *p;

	if (h->npumps >= h->conf.streams_max || src->streams >= h->conf.node_streams_max)
		return REASON_LIMIT;
	if ((p = accepted_new(h, src, o, service, &hello->peer, now_ns)) == NULL)
		return REASON_INTERNAL;
	p->s = streams_accept(&h->streams, token, o->stream_id, o->class, true, p, now_ns, &reason);
	if (p->s == NULL) {
		pump_free(p);
		return reason;
	}
	p->e2e = *e2e;
	*e2e = NULL;
	reason = h->ops->accept(p, &hello->peer, h->arg);
	if (reason != REASON_NONE)	/* its stream says so to the other end */
		pump_end(p, reason, false, now_ns);
	else
		STAT_INC(SVCHOSTD_STREAMS_ACCEPTED);
	return REASON_NONE;
}

static uint64_t
open_checked(struct hub *h, struct source *src, const struct frame_open_stream *o, uint64_t now_ns)
{
	char service[FRAME_SERVICE_MAX + 1];
	uint8_t token[STREAM_TOKEN_LEN];
	struct e2e_hello hello;
	struct e2e *e2e = NULL;
	struct fabric_stream *s;
	uint64_t reason;
	bool known;

	if (o->noise.len == 0)
		return REASON_UNSUPPORTED;
	if (!e2e_self_ready(h->self, clock_wall()))
		return REASON_UNREACHABLE;
	frame_bytes_copy(service, o->service);
	service[o->service.len] = '\0';
	reason = (uint64_t)e2e_accept(&e2e, h->self, service, o->flags, o->source, o->noise.p, o->noise.len, clock_wall(),
	    &hello);
	if (reason != REASON_NONE)
		return reason;
	if (stream_identity_get(hello.app, hello.app_len, token, &known) == -1)
		reason = REASON_PROTOCOL;
	else if ((s = streams_by_token(&h->streams, token)) != NULL)
		reason = resume(s, o, service, now_ns);
	else if (known)
		reason = REASON_REFUSED;
	else
		reason = accept_new(h, src, o, service, &hello, token, &e2e, now_ns);
	e2e_free(e2e);
	return reason;
}

void
hub_open_frame(struct hub *h, const struct frame_open_stream *o)
{
	uint64_t now = clock_ns(), reason = REASON_LIMIT;
	struct source *src = source_get(h, o->source);

	if (src != NULL) {
		src->used_ns = now;
		if (ratelimit_take(&src->rate, now))
			reason = open_checked(h, src, o, now);
	}
	if (reason != REASON_NONE) {
		streams_refuse(&h->streams, o->stream_id, reason);
		log_debug("a stream is refused: %s", reason_name(reason));
		STAT_INC(SVCHOSTD_OPENS_REFUSED);
		if (reason == REASON_LIMIT)
			STAT_INC(SVCHOSTD_REFUSED_LIMIT);
		else if (reason >= REASON_AUTH_RECORD && reason <= REASON_AUTH_RATE)
			STAT_INC(SVCHOSTD_REFUSED_AUTH);
	}
	hub_wake(h);
}

bool
hub_frame(struct hub *h, const struct frame *f)
{
	bool unit;

	return streams_input(&h->streams, f, clock_ns(), &unit);
}

/* --- legs --- */

/* Message 1 for this leg: the first again, unless the other end must know the stream by now. False: none can be made. */
static bool
hello_make(struct pump *p, uint8_t out[E2E_MESSAGE_MAX], size_t *len)
{
	uint8_t app[STREAM_ID_LEN];
	struct e2e *e2e;

	stream_identity_put(p->s, app);
	if (p->hello != NULL && app[0] == 0) {
		memcpy(out, p->hello->message, p->hello->len);
		*len = p->hello->len;
		return true;
	}
	e2e = e2e_open(p->hub->self, &p->to, 0, app, sizeof(app), out, len, clock_wall());
	e2e_free(e2e);		/* only the first handshake's keys are used */
	return e2e != NULL;
}

/* False: the channel has no room, and none of the others need try. */
static bool
attach(struct pump *p, uint64_t now_ns)
{
	struct hub *h = p->hub;
	uint8_t message[E2E_MESSAGE_MAX];
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .class = p->to.class,
	    .service = { (const uint8_t *)p->to.name, strlen(p->to.name) }, .dest = p->to.node_id,
	    .before = p->s->before } };

	if (!hello_make(p, message, &f.open.noise.len))
		return true;
	f.open.noise.p = message;
	if ((f.open.stream_id = stream_id_alloc(h->ids)) == 0)
		return false;
	if (ipc_send(h->ipc, &f) == -1)
		return false;
	if (p->s->n.legs > 0)
		STAT_INC(SVCHOSTD_LEGS_AGAIN);
	stream_attach(p->s, f.open.stream_id, now_ns);
	TAILQ_REMOVE(&h->want, p, want);
	p->wants_leg = false;
	return true;
}

static void
attach_all(struct hub *h, uint64_t now_ns)
{
	struct pump *p, *next;

	if (h->ipc == NULL)
		return;
	for (p = TAILQ_FIRST(&h->want); p != NULL; p = next) {
		next = TAILQ_NEXT(p, want);
		if (!attach(p, now_ns))
			return;
	}
}

void
hub_port(struct hub *h, struct ipc *ipc, struct stream_ids *ids)
{
	uint64_t now = clock_ns();

	if (h->ipc != NULL)
		streams_port_lost(&h->streams, now);
	h->ipc = ipc;
	h->ids = ids;
	hub_wake(h);
}

/* --- what happened, and what is to be sent --- */

void
hub_opening_done(struct pump *p)
{
	if (p->is_opening)
		TAILQ_REMOVE(&p->hub->opening, p, opening);
	p->is_opening = false;
}

static void
give_up_opening(struct hub *h, uint64_t now_ns)
{
	struct pump *p;

	while ((p = TAILQ_FIRST(&h->opening)) != NULL && p->started_ns + OPEN_NS <= now_ns)
		pump_end(p, REASON_TIMEOUT, true, now_ns);
}

static void
events(struct hub *h, uint64_t now_ns)
{
	struct fabric_stream *s;
	unsigned what;

	while ((s = streams_event(&h->streams, &what)) != NULL)
		pump_event(s->arg, what, now_ns);
}

static void
unsample(struct hub *h, unsigned i)
{
	h->samples[i]->sampled = false;
	h->samples[i] = h->samples[--h->nsamples];
}

void
hub_sample(struct pump *p, uint64_t now_ns)
{
	struct hub *h = p->hub;

	if (p->sampled || h->nsamples == SAMPLES_MAX)
		return;
	p->sampled = true;
	p->sample_seq = p->s->snd_end;
	p->sample_ns = now_ns;
	h->samples[h->nsamples++] = p;
}

static void
samples_take(struct hub *h, uint64_t now_ns)
{
	for (unsigned i = h->nsamples; i-- > 0;) {
		struct pump *p = h->samples[i];

		if (p->s->snd_max < p->sample_seq)
			continue;
		pump_delay(p, (now_ns - p->sample_ns) / NS_PER_US);
		unsample(h, i);
	}
}

static void
output(struct hub *h, uint64_t now_ns)
{
	uint8_t *to;

	if (h->ipc == NULL)
		return;
	while (streams_want_output(&h->streams)) {
		if ((to = ipc_reserve(h->ipc, OUTPUT_ROOM)) == NULL)
			break;		/* `writable' comes back here */
		ipc_commit(h->ipc, streams_output(&h->streams, to, OUTPUT_ROOM, now_ns));
	}
	ipc_flush(h->ipc);
	if (h->nsamples > 0)
		samples_take(h, clock_ns());
}

static void
timer_set(struct hub *h, uint64_t now_ns)
{
	uint64_t at = streams_deadline(&h->streams), us;
	const struct pump *first = TAILQ_FIRST(&h->opening);
	struct timeval tv;

	if (first != NULL && first->started_ns + OPEN_NS < at)
		at = first->started_ns + OPEN_NS;
	if (at == UINT64_MAX) {
		event_del(h->timer);
		return;
	}
	us = at > now_ns ? (at - now_ns + NS_PER_US - 1) / NS_PER_US : 0;
	tv.tv_sec = (time_t)(us / 1000000);
	tv.tv_usec = (suseconds_t)(us % 1000000);
	event_add(h->timer, &tv);
}

void
hub_run(struct hub *h)
{
	uint64_t now = clock_ns();

	if (h->running)
		return;
	h->running = true;
	streams_tick(&h->streams, now);
	events(h, now);
	give_up_opening(h, now);
	attach_all(h, now);
	output(h, now);
	timer_set(h, now);
	h->running = false;
}

/* --- pumps as others see them --- */

void
hub_pump_over(struct pump *p)
{
	struct hub *h = p->hub;

	hub_opening_done(p);
	for (unsigned i = h->nsamples; p->sampled && i-- > 0;)
		if (h->samples[i] == p)
			unsample(h, i);
	TAILQ_REMOVE(&h->pumps, p, entry);
	h->npumps--;
	if (p->source != NULL)
		p->source->streams--;
	p->source = NULL;
}

void
hub_connected(struct pump *p, int fd)
{
	pump_answered(p, fd, clock_ns());
	hub_wake(p->hub);
}

void
hub_refuse(struct pump *p, uint64_t reason)
{
	struct hub *h = p->hub;

	pump_end(p, reason, false, clock_ns());
	hub_wake(h);
}

void
hub_end(struct hub *h, bool (*which)(const struct pump *, void *arg), void *arg, uint64_t reason)
{
	uint64_t now = clock_ns();
	struct pump *p, *next;

	for (p = TAILQ_FIRST(&h->pumps); p != NULL; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (which(p, arg))
			pump_end(p, reason, true, now);
	}
	hub_wake(h);
}

static bool
every(const struct pump *p, void *arg)
{
	(void)p;
	(void)arg;
	return true;
}

void
hub_end_all(struct hub *h, uint64_t reason)
{
	hub_end(h, every, NULL, reason);
}

void
hub_tick(struct hub *h)
{
	uint64_t now_ns = clock_ns();
	struct pump *p;

	TAILQ_FOREACH(p, &h->pumps, entry) {
		pump_account(p);
		pump_rest(p, now_ns);
	}
}

const struct pump_ended *
pump_ended(const struct hub *h, unsigned i)
{
	return i < ENDED_MAX && i < h->nended ? &h->ended[(h->nended - 1 - i) % ENDED_MAX] : NULL;
}

struct pump *
pump_first(struct hub *h)
{
	return TAILQ_FIRST(&h->pumps);
}

struct pump *
pump_next(struct pump *p)
{
	return TAILQ_NEXT(p, entry);
}
