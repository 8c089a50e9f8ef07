#include "fabric/session.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_SEC 1000000000ULL

static const char *const state_names[] = {
	[SESSION_NEW] = "handshake", [SESSION_WAIT_HELLO] = "hello", [SESSION_WAIT_AUTH] = "auth",
	[SESSION_WAIT_READY] = "ready", [SESSION_UP] = "up", [SESSION_FAILED] = "failed",
};

const char *
session_state_name(enum session_state state)
{
	return state_names[state];
}

void
session_init(struct session *s, const struct session_self *self, const struct session_ops *ops, void *arg,
    bool initiator, const uint8_t *expect, uint64_t started_ns)
{
	memset(s, 0, sizeof(*s));
	s->self = self;
	s->ops = ops;
	s->arg = arg;
	s->initiator = initiator;
	if (expect != NULL) {
		memcpy(s->expect_id, expect, NODE_ID_LEN);
		s->expect = s->expect_id;
	}
	s->started_ns = started_ns;
	s->heard_ns = started_ns;
	s->ours = self->limits;
	ratelimit_init(&s->pings, NS_PER_SEC / SESSION_PINGS_PER_SEC, SESSION_PINGS_PER_SEC);
}

void
session_free(struct session *s)
{
	free(s->membership);
	free(s->in);
	crypto_wipe(s->exporter, sizeof(s->exporter));
	s->membership = NULL;
	s->in = NULL;
}

static void
end(struct session *s, uint64_t reason, bool remote)
{
	s->failed_in = s->state;
	s->state = SESSION_FAILED;
	s->reason = reason;
	s->ops->failed(s, reason, remote, s->arg);
}

static void
goaway(struct session *s, uint64_t reason)
{
	const char *text = reason_name(reason);
	struct frame f = { .type = FT_GOAWAY };
	uint8_t buf[FRAME_REASON_MAX + 64];
	size_t len;

	f.goaway.reason = reason;
	f.goaway.text.p = (const uint8_t *)text;
	f.goaway.text.len = strlen(text);
	len = frame_encode(buf, sizeof(buf), &f, FRAME_PORT_STREAM);
	if (len > 0)
		s->ops->send(s, buf, len, s->arg);
}

void
session_fail(struct session *s, uint64_t reason)
{
	if (s->state == SESSION_FAILED)
		return;
	if (s->state != SESSION_NEW)
		goaway(s, reason);
	end(s, reason, false);
}

void
session_lost(struct session *s, uint64_t reason)
{
	if (s->state != SESSION_FAILED)
		end(s, reason, false);
}

int
session_send(struct session *s, const struct frame *f)
{
	uint8_t buf[FRAME_CONTROL_MAX];
	size_t len;

	if (s->state == SESSION_FAILED)
		return -1;
	len = frame_encode(buf, sizeof(buf), f, FRAME_PORT_STREAM);
	if (len == 0 || (s->theirs.max_frame != 0 && len > s->theirs.max_frame) ||
	    s->ops->send(s, buf, len, s->arg) == -1) {
		session_fail(s, REASON_LIMIT);
		return -1;
	}
	return 0;
}

static int
hello_send(struct session *s, const uint8_t *nonce)
{
	const struct session_self *me = s->self;
	struct frame f = { .type = FT_HELLO };
	int slot = s->initiator ? 0 : 1;

	memcpy(f.hello.versions, me->versions, sizeof(f.hello.versions));
	f.hello.nversions = me->nversions;
	f.hello.node_id = me->node_id;
	f.hello.nonce = nonce;
	f.hello.boot_id = me->boot_id;
	f.hello.max_frame = s->ours.max_frame;
	f.hello.max_streams = s->ours.max_streams;
	f.hello.max_credit = s->ours.max_credit;
	f.hello.max_datagram = s->ours.max_datagram;
	f.hello.capabilities = me->capabilities;
	s->hello_len[slot] = (uint16_t)frame_encode(s->hello[slot], sizeof(s->hello[slot]), &f, FRAME_PORT_STREAM);
	if (s->hello_len[slot] == 0)
		return -1;
	/* The responder's is made early, for its nonce, and sent when the initiator's has come. */
	return s->initiator ? s->ops->send(s, s->hello[slot], s->hello_len[slot], s->arg) : 0;
}

void
session_start(struct session *s, const uint8_t exporter[EXPORTER_LEN], const uint8_t nonce[FRAME_NONCE_LEN],
    uint64_t now_ns)
{
	if (s->state != SESSION_NEW)
		return;
	memcpy(s->exporter, exporter, EXPORTER_LEN);
	s->heard_ns = now_ns;
	s->state = SESSION_WAIT_HELLO;
	if (hello_send(s, nonce) == -1)
		session_fail(s, REASON_INTERNAL);
}

static void
transcript(const struct session *s, struct auth_transcript *t)
{
	t->exporter = s->exporter;
	t->hello_initiator.p = s->hello[0];
	t->hello_initiator.len = s->hello_len[0];
	t->hello_responder.p = s->hello[1];
	t->hello_responder.len = s->hello_len[1];
	t->version = s->version;
}

/* The highest version that both name; 0 when there is none. Both lists descend. */
static uint32_t
version_choose(const struct session_self *me, const struct frame_hello *h)
{
	for (size_t i = 0; i < me->nversions; i++)
		for (size_t j = 0; j < h->nversions; j++)
			if (me->versions[i] == h->versions[j])
				return me->versions[i];
	return 0;
}

static uint64_t
auth_send(struct session *s)
{
	const struct session_self *me = s->self;
	struct frame f = { .type = FT_AUTH };
	struct auth_transcript t;
	uint8_t sig[SIGN_LEN];

	if (me->delegation_len == 0)
		return REASON_INTERNAL;
	f.auth.membership.p = me->membership;
	f.auth.membership.len = me->membership_len;
	f.auth.delegation.p = me->delegation;
	f.auth.delegation.len = me->delegation_len;
	transcript(s, &t);
	if (auth_proof_make(sig, s->initiator ? 'I' : 'R', &t, &f.auth, &me->key) == -1)
		return REASON_INTERNAL;
	f.auth.signature = sig;
	return session_send(s, &f) == -1 ? s->reason : REASON_NONE;
}

static uint32_t
min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* What both can do: each accepts no more than it said, and neither needs more than the other can use. */
static void
limits_meet(struct session *s, const struct frame_hello *h)
{
	struct session_limits *l = &s->ours;

	l->max_frame = min32(l->max_frame, h->max_frame);
	l->max_streams = min32(l->max_streams, h->max_streams);
	l->max_credit = l->max_credit < h->max_credit ? l->max_credit : h->max_credit;
	l->max_datagram = min32(l->max_datagram, h->max_datagram);
	s->theirs = *l;
}

static uint64_t
on_hello(struct session *s, const struct frame *f)
{
	const struct frame_hello *h = &f->hello;
	int slot = s->initiator ? 1 : 0;

	if (s->state != SESSION_WAIT_HELLO)
		return REASON_PROTOCOL;
	memcpy(s->hello[slot], f->raw.p, f->raw.len);	/* at most SESSION_HELLO_MAX: the decoder's limit */
	s->hello_len[slot] = (uint16_t)f->raw.len;
	memcpy(s->peer_hello_id, h->node_id, NODE_ID_LEN);
	s->peer_boot_id = h->boot_id;
	if (memcmp(h->node_id, s->self->node_id, NODE_ID_LEN) == 0)
		return REASON_AUTH_SELF;
	if (s->expect != NULL && memcmp(h->node_id, s->expect, NODE_ID_LEN) != 0)
		return REASON_AUTH_NODE;
	if ((s->version = version_choose(s->self, h)) == 0)
		return REASON_VERSION;
	limits_meet(s, h);
	s->capabilities = s->self->capabilities & h->capabilities;
	s->state = SESSION_WAIT_AUTH;
	if (s->initiator)
		return auth_send(s);
	return s->ops->send(s, s->hello[1], s->hello_len[1], s->arg) == -1 ? REASON_LIMIT : REASON_NONE;
}

static uint64_t
ready_send(struct session *s)
{
	struct frame f = { .type = FT_SESSION_READY };

	f.ready.version = s->version;
	f.ready.max_frame = s->ours.max_frame;
	f.ready.max_streams = s->ours.max_streams;
	f.ready.max_credit = s->ours.max_credit;
	f.ready.max_datagram = s->ours.max_datagram;
	return session_send(s, &f) == -1 ? s->reason : REASON_NONE;
}

static uint64_t
membership_keep(struct session *s, const struct frame_auth *a)
{
	if ((s->membership = malloc(a->membership.len)) == NULL)
		return REASON_INTERNAL;
	memcpy(s->membership, a->membership.p, a->membership.len);
	s->membership_len = a->membership.len;
	return REASON_NONE;
}

static uint64_t
on_auth(struct session *s, const struct frame *f, uint64_t wall_s)
{
	struct auth_transcript t;
	uint64_t reason;

	if (s->state != SESSION_WAIT_AUTH)
		return REASON_PROTOCOL;
	transcript(s, &t);
	reason = (uint64_t)auth_check(&s->peer, &f->auth, s->initiator ? 'R' : 'I', &t, s->peer_hello_id,
	    s->self->authority, &s->self->tenants, wall_s);
	if (reason != REASON_NONE)
		return reason;
	s->peer_known = true;
	if ((reason = membership_keep(s, &f->auth)) != REASON_NONE ||
	    (reason = s->ops->accept(s, s->arg)) != REASON_NONE)
		return reason;
	s->state = SESSION_WAIT_READY;
	if (s->initiator)
		return REASON_NONE;
	if ((reason = auth_send(s)) != REASON_NONE)
		return reason;
	return ready_send(s);
}

static uint64_t
on_ready(struct session *s, const struct frame *f, uint64_t now_ns)
{
	const struct frame_session_ready *r = &f->ready;
	uint64_t reason;

	if (s->state != SESSION_WAIT_READY)
		return REASON_PROTOCOL;
	if (r->version != s->version)
		return REASON_VERSION;
	/* It may take back what its HELLO offered, never add to what both can do. */
	if (r->max_frame > s->theirs.max_frame || r->max_streams > s->theirs.max_streams ||
	    r->max_credit > s->theirs.max_credit || r->max_datagram > s->theirs.max_datagram)
		return REASON_LIMIT;
	s->theirs.max_frame = r->max_frame;
	s->theirs.max_streams = r->max_streams;
	s->theirs.max_credit = r->max_credit;
	s->theirs.max_datagram = r->max_datagram;
	if (s->initiator && (reason = ready_send(s)) != REASON_NONE)
		return reason;
	s->state = SESSION_UP;
	s->up_ns = now_ns;
	s->last_ping_ns = now_ns;
	crypto_wipe(s->exporter, sizeof(s->exporter));
	s->ops->up(s, s->arg);
	return REASON_NONE;
}

static uint64_t
on_ping(struct session *s, const struct frame *f, uint64_t now_ns)
{
	struct frame pong = { .type = FT_PONG };

	if (!ratelimit_take(&s->pings, now_ns)) {
		s->pings_ignored++;
		return REASON_NONE;
	}
	pong.ping.id = f->ping.id;
	return session_send(s, &pong) == -1 ? s->reason : REASON_NONE;
}

static void
on_pong(struct session *s, const struct frame *f, uint64_t now_ns)
{
	uint64_t took = now_ns - s->ping_sent_ns;

	if (s->ping_sent_ns == 0 || f->ping.id != s->ping_id)
		return;
	s->ping_sent_ns = 0;
	/* The peer's own delay is its word: it may make the path look faster, never turn the sum around. */
	if (f->ping.delay_us < took / 1000)
		took -= f->ping.delay_us * 1000;
	s->rtt_ns = took > 0 ? took : 1;
	s->rtts++;
}

static uint64_t
on_frame_up(struct session *s, const struct frame *f, uint64_t now_ns)
{
	switch (f->type) {
	case FT_PING:
		return on_ping(s, f, now_ns);
	case FT_PONG:
		on_pong(s, f, now_ns);
		return REASON_NONE;
	case FT_HELLO:
	case FT_AUTH:
	case FT_SESSION_READY:
		return REASON_PROTOCOL;
	default:
		return s->ops->frame(s, f, s->arg);
	}
}

static uint64_t
on_frame(struct session *s, const struct frame *f, uint64_t now_ns, uint64_t wall_s)
{
	if (f->skipped)
		return s->state == SESSION_UP ? REASON_NONE : REASON_PROTOCOL;
	if (f->type == FT_GOAWAY) {
		end(s, f->goaway.reason == REASON_NONE ? REASON_SHUTDOWN : f->goaway.reason, true);
		return REASON_NONE;
	}
	if (s->state == SESSION_UP)
		return on_frame_up(s, f, now_ns);
	switch (f->type) {
	case FT_HELLO:
		return on_hello(s, f);
	case FT_AUTH:
		return on_auth(s, f, wall_s);
	case FT_SESSION_READY:
		return on_ready(s, f, now_ns);
	default:
		return REASON_PROTOCOL;
	}
}

/* What a frame may measure now: nothing that is not yet proven fills memory. */
static uint32_t
frame_limit(const struct session *s)
{
	switch (s->state) {
	case SESSION_WAIT_HELLO:
		return SESSION_HELLO_MAX;
	case SESSION_WAIT_AUTH:
	case SESSION_WAIT_READY:
		return SESSION_AUTH_MAX;
	default:
		return min32(s->ours.max_frame, FRAME_CONTROL_MAX);
	}
}

/* Acts on every whole frame in p; the bytes that were used. */
static size_t
frames_take(struct session *s, const uint8_t *p, size_t len, uint64_t now_ns, uint64_t wall_s)
{
	size_t off = 0;

	while (off < len && s->state != SESSION_FAILED) {
		struct frame_limits lim = { FRAME_PORT_STREAM, frame_limit(s) };
		struct frame f;
		uint64_t reason;
		int rv = frame_decode(&f, p + off, len - off, &lim);

		if (rv == FRAME_MORE)
			break;
		if (rv < 0) {
			session_fail(s, rv == FRAME_E_TOO_LONG ? REASON_LIMIT : REASON_PROTOCOL);
			break;
		}
		off += f.raw.len;
		if ((reason = on_frame(s, &f, now_ns, wall_s)) != REASON_NONE)
			session_fail(s, reason);
	}
	return off;
}

/* Keeps what is not a whole frame yet; the limit on frames keeps it below the buffer's size. */
static int
stash(struct session *s, const uint8_t *p, size_t len)
{
	if (s->in == NULL && (s->in = malloc(FRAME_CONTROL_MAX)) == NULL)
		return -1;
	if (len > FRAME_CONTROL_MAX)
		return -1;
	memmove(s->in, p, len);
	s->in_len = len;
	return 0;
}

void
session_input(struct session *s, const uint8_t *p, size_t len, uint64_t now_ns, uint64_t wall_s)
{
	size_t used, n;

	if (s->state == SESSION_NEW || s->state == SESSION_FAILED)
		return;
	session_heard(s, now_ns);
	while (s->in_len > 0 && len > 0 && s->state != SESSION_FAILED) {
		n = FRAME_CONTROL_MAX - s->in_len < len ? FRAME_CONTROL_MAX - s->in_len : len;
		memcpy(s->in + s->in_len, p, n);
		s->in_len += n;
		p += n;
		len -= n;
		used = frames_take(s, s->in, s->in_len, now_ns, wall_s);
		memmove(s->in, s->in + used, s->in_len - used);
		s->in_len -= used;
		if (used == 0 && n == 0)
			session_fail(s, REASON_LIMIT);
	}
	if (s->state == SESSION_FAILED || len == 0)
		return;
	used = frames_take(s, p, len, now_ns, wall_s);
	if (s->state == SESSION_FAILED || used == len)
		return;
	if (stash(s, p + used, len - used) == -1)
		session_fail(s, REASON_LIMIT);
}

void
session_heard(struct session *s, uint64_t now_ns)
{
	s->heard_ns = now_ns;
}

static uint64_t
ping_due(const struct session *s)
{
	uint64_t last = s->heard_ns > s->last_ping_ns ? s->heard_ns : s->last_ping_ns;

	/* The first goes out at once: the directory wants a round trip time. */
	return s->rtts == 0 && s->ping_sent_ns == 0 ? s->up_ns : last + s->self->keepalive_ns;
}

uint64_t
session_deadline(const struct session *s)
{
	uint64_t ping, dead;

	if (s->state == SESSION_FAILED)
		return UINT64_MAX;
	if (s->state != SESSION_UP)
		return s->started_ns + s->self->auth_timeout_ns;
	ping = ping_due(s);
	dead = s->heard_ns + s->self->dead_ns;
	return ping < dead ? ping : dead;
}

static void
ping_send(struct session *s, uint64_t now_ns)
{
	struct frame f = { .type = FT_PING };

	s->ping_id++;
	s->ping_sent_ns = now_ns;
	s->last_ping_ns = now_ns;
	f.ping.id = s->ping_id;
	session_send(s, &f);
}

void
session_probe(struct session *s, uint64_t now_ns)
{
	if (s->state == SESSION_UP)
		ping_send(s, now_ns);
}

void
session_tick(struct session *s, uint64_t now_ns)
{
	if (s->state == SESSION_FAILED)
		return;
	if (s->state != SESSION_UP) {
		if (now_ns >= s->started_ns + s->self->auth_timeout_ns)
			session_fail(s, REASON_AUTH_TIMEOUT);
		return;
	}
	if (now_ns >= s->heard_ns + s->self->dead_ns)
		session_fail(s, REASON_TIMEOUT);
	else if (now_ns >= ping_due(s))
		ping_send(s, now_ns);
}
