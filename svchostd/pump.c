#include "svchostd/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "proc/stats.h"
#include "svchostd/hub_int.h"

#define TEXT_MAX	(STREAM_DATA_MAX - E2E_OVERHEAD)	/* a record is one DATA */
#define OUT_ROOM_MIN	1024u	/* below this the stream is full: records stay larger than their seals */
#define READS_MAX	8u	/* in one go, before others get their turn */

_Static_assert(TEXT_MAX <= HUB_BUF && TEXT_MAX <= E2E_TEXT_MAX, "a record's plaintext fits");

static void on_readable(evutil_socket_t, short, void *);
static void on_writable(evutil_socket_t, short, void *);

/* --- life --- */

struct pump *
pump_new(struct hub *h, uint64_t now_ns)
{
	struct pump *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->hub = h;
	p->fd = -1;
	p->number = ++h->last_number;
	p->started_ns = now_ns;
	TAILQ_INSERT_TAIL(&h->pumps, p, entry);
	h->npumps++;
	STAT_SET(SVCHOSTD_STREAMS, h->npumps);
	return p;
}

/* To close it resets the connection. A socketpair has no such thing, and just ends. */
static void
fd_resets(int fd, bool on)
{
	const struct linger l = { .l_onoff = on };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* From now on its end is a reset, also when this process dies: only a stream that ended whole takes that back. */
static void
fd_watch(struct pump *p, int fd)
{
	p->fd = fd;
	fd_resets(fd, true);
	event_assign(&p->readable, p->hub->base, fd, EV_READ | EV_PERSIST, on_readable, p);
}

/* `reset': the local side is told that this was not all. */
static void
fd_close(struct pump *p, bool reset)
{
	if (p->fd == -1)
		return;
	event_del(&p->readable);
	if (!reset)
		fd_resets(p->fd, false);
	close(p->fd);
	p->fd = -1;
}

static void
rest_drop(struct pump *p)
{
	if (p->rest == NULL)
		return;
	event_del(&p->rest->writable);
	budget_give(&p->hub->budget, p->rest->len);
	free(p->rest);
	p->rest = NULL;
}

static void
rest_time(struct pump *p, bool waits, uint64_t now_ns)
{
	if (p->rest_ns != 0)
		p->stall_local_ns += now_ns - p->rest_ns;
	p->rest_ns = waits ? now_ns : 0;
}

/* All but the struct, which the stream may need for another leg, and what is on the books of the hub. */
static void
contents_free(struct pump *p, bool reset)
{
	rest_drop(p);
	fd_close(p, reset);
	e2e_free(p->e2e);
	e2e_stream_free(p->seal);
	free(p->hello);
	p->e2e = NULL;
	p->seal = NULL;
	p->hello = NULL;
}

static void
want_drop(struct pump *p)
{
	if (p->wants_leg)
		TAILQ_REMOVE(&p->hub->want, p, want);
	p->wants_leg = false;
}

void
pump_free(struct pump *p)
{
	if (!p->over)
		hub_pump_over(p);
	STAT_SET(SVCHOSTD_STREAMS, p->hub->npumps);
	contents_free(p, true);
	want_drop(p);
	if (p->s != NULL)
		p->s->arg = NULL;
	free(p);
}

void
pump_gone(void *arg)
{
	struct pump *p = arg;

	if (p == NULL)
		return;
	want_drop(p);
	p->s = NULL;
	if (p->over && !p->held)
		free(p);
}

/* Releasing the stream may be its end, and then the pump's. */
static void
stream_leave(struct pump *p, uint64_t reason, uint64_t now_ns)
{
	struct fabric_stream *s = p->s;

	if (s == NULL) {
		if (!p->held)
			free(p);
		return;
	}
	if (reason != REASON_NONE)
		stream_abort(s, reason, now_ns);
	stream_release(s, now_ns);
}

static void
owner_tell(struct pump *p, uint64_t reason)
{
	const struct pump_ops *ops = p->ops;

	if (!p->opener) {
		if (p->state == PUMP_CONNECTING)
			p->hub->ops->gone(p, p->hub->arg);
	} else if (p->state == PUMP_OPENING) {
		ops->failed(p, reason, p->arg);
	} else {
		ops->ended(p, reason, p->arg);
	}
}

static void
share_add(struct pump *p, enum stats_share_value which, uint64_t more)
{
	for (unsigned i = 0; i < PUMP_SHARES && p->share[i] != NULL; i++)
		p->share[i]->v[which] += more;
}

static void
ended_keep(const struct pump *p, uint64_t reason, uint64_t now_ns)
{
	struct hub *h = p->hub;
	struct pump_ended *e = &h->ended[h->nended++ % ENDED_MAX];

	pump_info(p, &e->info, now_ns);
	strcpy(e->service, p->to.name);
	e->info.service = e->service;
	e->reason = reason;
	e->at_ns = now_ns;
}

static void
count_end(const struct pump *p, uint64_t reason)
{
	stats_share(BY_REASON, reason_name(reason))->v[SHARE_STREAMS]++;
	if (p->state != PUMP_OPEN)
		STAT_INC(SVCHOSTD_STREAMS_FAILED);
	else if (reason == REASON_NONE)
		STAT_INC(SVCHOSTD_STREAMS_WHOLE);
	else if (reason == REASON_CONNECTION_RESET)
		STAT_INC(SVCHOSTD_STREAMS_RESET);
	else if (reason == REASON_TAMPERED)
		STAT_INC(SVCHOSTD_STREAMS_TAMPERED);
	else
		STAT_INC(SVCHOSTD_STREAMS_BROKEN);
}

void
pump_end(struct pump *p, uint64_t reason, bool tell, uint64_t now_ns)
{
	if (p->over)
		return;
	p->over = true;
	pump_account(p);
	count_end(p, reason);
	if (reason != REASON_NONE)
		share_add(p, SHARE_BROKEN, 1);
	ended_keep(p, reason, now_ns);
	hub_pump_over(p);
	STAT_SET(SVCHOSTD_STREAMS, p->hub->npumps);
	if (reason != REASON_NONE)
		log_debug("stream %llu to %s ends: %s", (unsigned long long)p->number, p->to.name, reason_name(reason));
	if (tell)
		owner_tell(p, reason);
	contents_free(p, reason != REASON_NONE && !p->gently);
	stream_leave(p, reason, now_ns);
}

void
pump_gently(struct pump *p)
{
	p->gently = true;
}

void
pump_abort(struct pump *p, uint64_t reason)
{
	struct hub *h = p->hub;

	pump_end(p, reason == REASON_NONE ? REASON_CONNECTION_RESET : reason, false, clock_ns());
	hub_wake(h);
}

/* Both directions have ended: what was written is delivered all the same. */
static bool
end_check(struct pump *p, uint64_t now_ns)
{
	if (!p->in_done || !p->out_done)
		return false;
	pump_end(p, REASON_NONE, true, now_ns);
	return true;
}

/* --- opening --- */

/* Message 1 of the first leg, whose keys the stream has. */
static uint64_t
hello_first(struct pump *p)
{
	uint8_t app[STREAM_ID_LEN];
	struct e2e *e2e;

	if ((p->hello = malloc(sizeof(*p->hello))) == NULL)
		return REASON_INTERNAL;
	stream_identity_put(p->s, app);
	e2e = e2e_open(p->hub->self, &p->to, 0, app, sizeof(app), p->hello->message, &p->hello->len, clock_wall());
	if (e2e == NULL)
		return REASON_INTERNAL;
	if ((p->seal = e2e_stream_connect(e2e, p->hub->self)) == NULL) {
		e2e_free(e2e);
		return REASON_INTERNAL;
	}
	return REASON_NONE;
}

static uint64_t
open_stream(struct pump *p, uint64_t now_ns)
{
	struct hub *h = p->hub;
	uint8_t token[STREAM_TOKEN_LEN];
	uint64_t reason;

	if (getrandom(token, sizeof(token), 0) != sizeof(token))
		return REASON_INTERNAL;
	p->s = streams_open(&h->streams, token, p->to.class, true, p, now_ns, &reason);
	return p->s == NULL ? reason : hello_first(p);
}

struct pump *
pump_open(struct hub *h, const struct e2e_service *target, int fd, const struct pump_ops *ops, void *arg, uint64_t *reason)
{
	uint64_t now = clock_ns();
	struct pump *p = NULL;

	*reason = REASON_UNREACHABLE;
	if (h->ipc == NULL || !e2e_self_ready(h->self, clock_wall()))
		return NULL;
	*reason = REASON_LIMIT;
	if (h->npumps >= h->conf.streams_max)
		return NULL;
	*reason = REASON_INTERNAL;
	if ((p = pump_new(h, now)) == NULL)
		return NULL;
	p->opener = true;
	p->ops = ops;
	p->arg = arg;
	p->to = *target;
	if ((*reason = open_stream(p, now)) != REASON_NONE) {
		pump_end(p, *reason, false, now);
		return NULL;
	}
	fd_watch(p, fd);
	p->is_opening = p->wants_leg = true;
	TAILQ_INSERT_TAIL(&h->opening, p, opening);
	TAILQ_INSERT_TAIL(&h->want, p, want);
	STAT_INC(SVCHOSTD_STREAMS_OPENED);
	hub_wake(h);
	return p;
}

/* Both ends are there. -1: it is over, by its owner's word. */
static int
up(struct pump *p, uint64_t now_ns)
{
	bool over;

	p->state = PUMP_OPEN;
	p->opened_ns = now_ns;
	hub_opening_done(p);
	free(p->hello);
	p->hello = NULL;
	p->held = true;
	if (p->opener && p->ops->opened != NULL)
		p->ops->opened(p, p->arg);
	p->held = false;
	over = p->over;
	if (over && p->s == NULL)
		free(p);
	if (over)
		return -1;
	event_add(&p->readable, NULL);
	return 0;
}

static int
answer(struct pump *p, uint64_t now_ns)
{
	uint8_t message[E2E_MESSAGE_MAX], out[E2E_RECORD_HEADER + E2E_MESSAGE_MAX];
	struct e2e_keys keys;
	size_t len;

	if (e2e_answer(p->e2e, p->hub->self, message, &len, &keys) == -1)
		return -1;
	e2e_free(p->e2e);
	p->e2e = NULL;
	p->seal = e2e_stream_accept(&keys, now_ns);
	e2e_keys_wipe(&keys);
	if (p->seal == NULL)
		return -1;
	len = e2e_stream_message_put(out, message, len);
	return stream_write(p->s, out, len, now_ns) == (ssize_t)len ? 0 : -1;
}

void
pump_answered(struct pump *p, int fd, uint64_t now_ns)
{
	fd_watch(p, fd);
	if (answer(p, now_ns) == -1) {
		p->state = PUMP_OPEN;	/* its owner knows */
		pump_end(p, REASON_INTERNAL, false, now_ns);
		return;
	}
	up(p, now_ns);
}

/* --- out: from the descriptor into the stream --- */

static void
broken(struct pump *p, uint64_t now_ns)
{
	pump_end(p, REASON_CONNECTION_RESET, true, now_ns);
}

/* -1: it is over. */
static int
record_write(struct pump *p, size_t len, uint64_t now_ns)
{
	if (len > 0 && stream_write(p->s, p->hub->out, len, now_ns) == (ssize_t)len)
		return 0;
	pump_end(p, REASON_INTERNAL, true, now_ns);
	return -1;
}

static void
out_end(struct pump *p, uint64_t now_ns)
{
	event_del(&p->readable);
	if (record_write(p, e2e_stream_finish(p->seal, p->hub->out, sizeof(p->hub->out), now_ns), now_ns) == -1)
		return;
	stream_shut(p->s, now_ns);
	p->out_done = true;
	end_check(p, now_ns);
}

static size_t
min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Bytes that were moved; 0: there is no room, nothing came, or the pump is over. */
static size_t
out_some(struct pump *p, uint64_t now_ns)
{
	size_t room = stream_room(p->s), used;
	struct hub *h = p->hub;
	ssize_t n;

	if (room < OUT_ROOM_MIN) {
		event_del(&p->readable);
		p->s->write_wanted = true;
		return 0;
	}
	n = read(p->fd, h->text, min_size(room - E2E_OVERHEAD, TEXT_MAX));
	if (n == 0)
		out_end(p, now_ns);
	else if (n == -1 && errno != EAGAIN && errno != EINTR)
		broken(p, now_ns);
	if (n <= 0)
		return 0;
	if (record_write(p, e2e_stream_seal(p->seal, h->out, sizeof(h->out), h->text, (size_t)n, &used, now_ns), now_ns) == -1)
		return 0;
	p->bytes_out += (uint64_t)n;
	hub_sample(p, now_ns);
	return (size_t)n;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct pump *p = arg;
	struct hub *h = p->hub;
	uint64_t now = clock_ns();

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < READS_MAX; i++)
		if (out_some(p, now) < TEXT_MAX)
			break;
	hub_wake(h);
}

/* --- in: from the stream into the descriptor --- */

/* All that there was is there, and the stream has ended. */
static void
in_end(struct pump *p, uint64_t now_ns)
{
	if (!p->in_closed || p->rest != NULL || p->in_done)
		return;
	p->in_done = true;
	if (shutdown(p->fd, SHUT_WR) == -1 && errno != ENOTCONN)
		broken(p, now_ns);
	else
		end_check(p, now_ns);
}

static int
rest_keep(struct pump *p, const uint8_t *text, size_t n, uint64_t now_ns)
{
	size_t len = p->rest == NULL ? 0 : p->rest->len;
	struct pump_rest *r;

	if (p->rest != NULL)
		event_del(&p->rest->writable);	/* it may move */
	if ((r = realloc(p->rest, sizeof(*r) + len + n)) == NULL) {
		pump_end(p, REASON_LIMIT, true, now_ns);
		return -1;
	}
	if (len == 0)
		r->off = 0;
	memcpy(r->data + len, text, n);
	r->len = len + n;
	p->rest = r;
	p->hub->budget.used += n;	/* it has come, and has to be: new streams are what it costs */
	if (p->rest_ns == 0)
		rest_time(p, true, now_ns);
	event_assign(&r->writable, p->hub->base, p->fd, EV_WRITE | EV_PERSIST, on_writable, p);
	event_add(&r->writable, NULL);
	return 0;
}

/* Bytes that the descriptor took, or -1: the pump is over. */
static ssize_t
local_write(struct pump *p, const uint8_t *text, size_t n, uint64_t now_ns)
{
	ssize_t k = write(p->fd, text, n);

	if (k == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (k == -1)
		broken(p, now_ns);
	return k;
}

static int
in_text(struct pump *p, const struct frame_bytes *text, uint64_t now_ns)
{
	ssize_t k = 0;

	p->bytes_in += text->len;
	if (p->rest == NULL && (k = local_write(p, text->p, text->len, now_ns)) == -1)
		return -1;
	if ((size_t)k == text->len)
		return 0;
	return rest_keep(p, text->p + k, text->len - (size_t)k, now_ns);
}

/* Before READY only message 2 can be there, and an acceptor's seal is made with it. -1: the pump is over. */
static int
in_bytes(struct pump *p, uint8_t *in, size_t len, uint64_t now_ns)
{
	struct frame_bytes text;

	for (;;) {
		switch (e2e_stream_open(p->seal, &in, &len, &text, now_ns, clock_wall())) {
		case E2E_STREAM_MORE:
			return 0;
		case E2E_STREAM_READY:
			if (up(p, now_ns) == -1)
				return -1;
			break;
		case E2E_STREAM_TEXT:
			if (in_text(p, &text, now_ns) == -1)
				return -1;
			break;
		case E2E_STREAM_END:
			break;
		case E2E_STREAM_FAILED:
			pump_end(p, (uint64_t)e2e_stream_reason(p->seal), true, now_ns);
			return -1;
		}
	}
}

static void
in_closed(struct pump *p, uint64_t now_ns)
{
	uint64_t reason = (uint64_t)e2e_stream_closed(p->seal);

	if (reason != REASON_NONE) {
		pump_end(p, reason, true, now_ns);
		return;
	}
	p->in_closed = true;
	in_end(p, now_ns);
}

/* As long as the descriptor takes it. */
static void
in_run(struct pump *p, uint64_t now_ns)
{
	struct hub *h = p->hub;
	ssize_t n;

	while (p->seal != NULL && !p->in_closed && p->rest == NULL) {
		n = stream_read(p->s, h->in, sizeof(h->in), now_ns);
		if (n > 0) {
			if (in_bytes(p, h->in, (size_t)n, now_ns) == -1)
				return;
			continue;
		}
		if (n == 0)
			e2e_stream_trim(p->seal);
		else if (p->s->state != STREAM_GONE)
			in_closed(p, now_ns);
		return;
	}
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct pump *p = arg;
	struct pump_rest *r = p->rest;
	struct hub *h = p->hub;
	uint64_t now = clock_ns();
	ssize_t k = local_write(p, r->data + r->off, r->len - r->off, now);

	(void)fd;
	(void)what;
	hub_wake(h);
	if (k == -1)
		return;
	r->off += (size_t)k;
	if (r->off < r->len)
		return;
	rest_drop(p);
	rest_time(p, false, now);
	if (p->in_closed)
		in_end(p, now);
	else
		in_run(p, now);
}

/* --- what the stream says --- */

/* A reason that the other end gives for breaking off is one, also when it gives none. */
static uint64_t
end_reason(const struct pump *p)
{
	return p->s->reason == REASON_NONE ? REASON_CONNECTION_RESET : p->s->reason;
}

void
pump_event(struct pump *p, unsigned events, uint64_t now_ns)
{
	if (events & STREAM_EV_END) {
		if (!p->over)
			pump_end(p, end_reason(p), true, now_ns);
		return;
	}
	if (events & STREAM_EV_LEG && !p->wants_leg) {
		p->leg_ns = p->leg_ns != 0 ? p->leg_ns : p->s->lost_ns;
		p->wants_leg = true;
		TAILQ_INSERT_TAIL(&p->hub->want, p, want);
	}
	if (p->over)
		return;
	if (events & STREAM_EV_UP && p->leg_ns != 0) {
		p->stall_leg_ns += now_ns - p->leg_ns;
		p->leg_ns = 0;
	}
	if (events & STREAM_EV_WRITE && p->state == PUMP_OPEN && !p->out_done)
		event_add(&p->readable, NULL);
	if (events & STREAM_EV_READ)
		in_run(p, now_ns);
}

/* --- numbers --- */

static uint64_t
account(uint64_t *seen, uint64_t now)
{
	uint64_t more = now - *seen;

	*seen = now;
	return more;
}

/* Names of services and nodes that were never reached are not worth a slot. */
static void
share_find(struct pump *p)
{
	char hex[2 * NODE_ID_LEN + 1];

	if (p->share[0] != NULL || p->state != PUMP_OPEN)
		return;
	p->share[0] = stats_share(BY_SERVICE, p->to.name);
	p->share[1] = stats_share(BY_PEER, hex_encode(hex, p->to.node_id, NODE_ID_LEN));
	p->share[2] = stats_share(BY_CLASS, class_name(p->to.class));
	share_add(p, SHARE_STREAMS, 1);
}

/* The delays of each sum, as those of each pump are in the pump. */
void
pump_delay(struct pump *p, uint64_t us)
{
	static struct delay sums[STATS_SHARES];

	delay_add(&p->delay, us);
	for (unsigned i = 0; i < PUMP_SHARES && p->share[i] != NULL; i++) {
		struct delay *d = &sums[p->share[i] - stats->share];

		delay_add(d, us);
		p->share[i]->v[SHARE_QUEUE_P50_US] = delay_percentile(d, 50);
		p->share[i]->v[SHARE_QUEUE_P99_US] = delay_percentile(d, 99);
	}
}

static void
account_stalls(struct pump *p, const struct pump_info *i, unsigned class)
{
	uint64_t far_us = account(&p->seen.stall_far_us, i->stall_far_us);
	uint64_t hop_us = account(&p->seen.stall_hop_us, i->stall_hop_us);

	stats->counter[STAT_SVCHOSTD_STALL_FAR_CONTROL + class] += far_us;
	stats->counter[STAT_SVCHOSTD_STALL_HOP_CONTROL + class] += hop_us;
	share_add(p, SHARE_STALL_US, far_us + hop_us);
	share_add(p, SHARE_STALL_FAR_US, far_us);
	share_add(p, SHARE_STALL_HOP_US, hop_us);
	share_add(p, SHARE_STALL_LOCAL_US, account(&p->seen.stall_local_us, i->stall_local_us));
	share_add(p, SHARE_STALL_PATH_US, account(&p->seen.stall_path_us, i->stall_leg_us));
}

void
pump_account(struct pump *p)
{
	unsigned c = p->to.class;
	struct pump_info i;
	uint64_t in, out, again;

	if (p->s == NULL || c >= CLASS_COUNT)
		return;
	pump_info(p, &i, clock_ns());
	share_find(p);
	in = account(&p->seen.bytes_in, p->s->n.bytes_in);
	out = account(&p->seen.bytes_out, p->s->n.bytes_out);
	again = account(&p->seen.bytes_again, i.bytes_again);
	stats->counter[STAT_SVCHOSTD_BYTES_IN_CONTROL + c] += in;
	stats->counter[STAT_SVCHOSTD_BYTES_OUT_CONTROL + c] += out;
	STAT_ADD(SVCHOSTD_BYTES_AGAIN, again);
	share_add(p, SHARE_BYTES_IN, in);
	share_add(p, SHARE_BYTES_OUT, out);
	share_add(p, SHARE_BYTES_AGAIN, again);
	share_add(p, SHARE_FRAMES_IN, account(&p->seen.frames_in, i.frames_in));
	share_add(p, SHARE_FRAMES_OUT, account(&p->seen.frames_out, i.frames_out));
	account_stalls(p, &i, c);
	if (in + out > 0 && i.rtt_us > 0) {
		share_add(p, SHARE_RTT_US, i.rtt_us);
		share_add(p, SHARE_RTT_SAMPLES, 1);
	}
}

void
pump_rest(struct pump *p, uint64_t now_ns)
{
	if (p->seal != NULL && p->s != NULL && now_ns - p->s->active_ns >= PUMP_REST_NS)
		e2e_stream_rest(p->seal);
}

const char *
pump_state_name(unsigned state)
{
	static const char *const names[PUMP_STATES] = { "opening", "connecting", "open" };

	return state < PUMP_STATES ? names[state] : "unknown";
}

static void
info_stream(const struct fabric_stream *s, struct pump_info *i, uint64_t now_ns)
{
	uint64_t stall = s->stall == 0 ? 0 : now_ns - s->stall_ns;

	i->no_leg = s->leg == LEG_NONE;
	i->frames_in = s->n.frames_in;
	i->frames_out = s->n.frames_out;
	i->bytes_again = s->n.bytes_again;
	i->legs = s->n.legs;
	i->rtt_us = s->rtt_ns / NS_PER_US;
	i->stall_far_us = (s->n.stall_window_ns + (s->stall == 1 ? stall : 0)) / NS_PER_US;
	i->stall_hop_us = (s->n.stall_credit_ns + (s->stall == 2 ? stall : 0)) / NS_PER_US;
	i->queued_in = s->in.len;
	i->queued_out = s->out.len;
	i->active_ns = s->active_ns;
}

void
pump_info(const struct pump *p, struct pump_info *i, uint64_t now_ns)
{
	memset(i, 0, sizeof(*i));
	i->number = p->number;
	i->service = p->to.name;
	memcpy(i->node_id, p->to.node_id, NODE_ID_LEN);
	i->class = p->to.class;
	i->state = p->state;
	i->opener = p->opener;
	i->eof_in = p->in_closed;
	i->eof_out = p->out_done;
	i->bytes_in = p->bytes_in;
	i->bytes_out = p->bytes_out;
	i->stall_local_us = (p->stall_local_ns + (p->rest_ns == 0 ? 0 : now_ns - p->rest_ns)) / NS_PER_US;
	i->stall_leg_us = (p->stall_leg_ns + (p->leg_ns == 0 ? 0 : now_ns - p->leg_ns)) / NS_PER_US;
	i->queue_p50_us = delay_percentile(&p->delay, 50);
	i->queue_p99_us = delay_percentile(&p->delay, 99);
	i->started_ns = p->started_ns;
	i->opened_ns = p->opened_ns;
	if (p->s != NULL)
		info_stream(p->s, i, now_ns);
	if (p->rest != NULL)
		i->queued_in += p->rest->len - p->rest->off;
}

int
pump_fd(const struct pump *p)
{
	return p->fd;
}

uint64_t
pump_number(const struct pump *p)
{
	return p->number;
}

const char *
pump_service(const struct pump *p)
{
	return p->to.name;
}

unsigned
pump_class(const struct pump *p)
{
	return p->to.class;
}

uint32_t
pump_roles(const struct pump *p)
{
	return p->roles;
}

const char *
pump_tenant(const struct pump *p)
{
	return p->tenant;
}

bool
pump_is_opener(const struct pump *p)
{
	return p->opener;
}
