/*
 * A session and the switch behind it, fed by a peer that may say anything. Input: one byte that selects how far a
 * good peer comes first and which side this one is, then pieces: a length byte, or 0 and a time step, and the bytes. A
 * piece whose length byte has its top bit set is a DATAGRAM. Whatever comes: one end at most, nothing sent after
 * it, no more streams than was said, and nothing left behind.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fabric/session.h"
#include "fabricd/dataplane/switch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)
#define WALL	1800000000ull
#define MS	1000000ull
#define STREAMS	8u

struct side {
	struct session	s;
	struct port	port;
	uint8_t		out[256 * 1024];
	size_t		out_len;
	unsigned	ups, ends;
	bool		port_on;
};

static struct session_self self[2];
static struct fswitch sw;
static struct port worker, beyond;	/* beyond: the session that a relay hands on to */
static struct side under, good;
static uint64_t now;

static int
side_send(struct session *s, const uint8_t *p, size_t len, void *arg)
{
	struct side *d = arg;

	HOLDS(s->state != SESSION_FAILED);
	HOLDS(len <= FRAME_CONTROL_MAX);
	if (d->out_len + len > sizeof(d->out))
		return -1;
	memcpy(d->out + d->out_len, p, len);
	d->out_len += len;
	return 0;
}

static uint64_t
side_accept(struct session *s, void *arg)
{
	HOLDS(s->peer_known);
	HOLDS(((struct side *)arg)->ups == 0);
	return REASON_NONE;
}

static int
port_control(struct port *p, const struct frame *f)
{
	return p == &worker || p == &beyond ? 0 : session_send(&under.s, f);
}

static bool
port_data(struct port *p, const struct stream_end *out, unsigned class, const struct frame_data *d)
{
	uint8_t hdr[FRAME_HEADER_MAX + 24];

	HOLDS(out->port == p && class < CLASS_COUNT);
	return frame_data_rewrite(hdr, d, out->id) != 0;
}

static const struct port_ops port_ops = { .control = port_control, .data = port_data };

static void
side_up(struct session *s, void *arg)
{
	struct side *d = arg;

	HOLDS(++d->ups == 1);
	HOLDS(s->peer_known && s->membership != NULL);
	if (d != &under)
		return;
	port_attach(&d->port, &sw, &port_ops, PORT_SESSION, s->initiator, s->ours.max_streams, s->theirs.max_streams);
	memcpy(d->port.node_id, s->peer.node_id, NODE_ID_LEN);
	d->port_on = true;
}

static uint64_t
side_frame(struct session *s, const struct frame *f, void *arg)
{
	struct side *d = arg;

	HOLDS(s->state == SESSION_UP);
	if (!d->port_on)
		return REASON_NONE;
	if (f->type == FT_ROUTE_UPDATE || f->type == FT_NODE_PRESSURE)
		return REASON_NONE;
	if (!frame_type_is_data(f->type) || !(f->data.flags & DATA_UNRELIABLE))
		return switch_control(&d->port, f);
	switch_data(&d->port, &f->data);
	return REASON_NONE;
}

/* What reliable streams send at a port, each frame one that decodes. */
static void
drain(struct port *p, enum frame_port kind)
{
	static uint8_t buf[CREDIT_DATA_MAX + CREDIT_FRAME_MIN];
	const struct frame_limits lim = { kind, FRAME_MAX_DEFAULT };
	struct turn_entry *e;
	struct frame f;
	size_t n;

	while ((e = turn_next(&p->turn)) != NULL) {
		n = switch_output(switch_turn_end(e), buf, sizeof(buf));
		HOLDS(n > 0 && frame_decode(&f, buf, n, &lim) == FRAME_OK && f.raw.len == n);
	}
}

static void
side_failed(struct session *s, uint64_t reason, bool remote, void *arg)
{
	(void)remote;
	HOLDS(++((struct side *)arg)->ends == 1);
	HOLDS(s->state == SESSION_FAILED && s->reason == reason);
}

static const struct session_ops ops = {
	.send = side_send, .accept = side_accept, .up = side_up, .frame = side_frame, .failed = side_failed,
};

static struct port *
next_hop(struct fswitch *s, const uint8_t *id)
{
	(void)s;
	return memcmp(id, beyond.node_id, NODE_ID_LEN) == 0 ? &beyond : NULL;
}

/* Over this node to the one beyond, slowly; from the peer to here; from here over the peer. */
static void
routes_make(void)
{
	struct pm_route m = { .epoch = 1, .classes = 0x3f, .hard = UINT64_MAX };
	struct route *r;

	memset(beyond.node_id, 0xbe, NODE_ID_LEN);
	sw.routes.wall = WALL;
	for (unsigned place = 0; place < 3; place++) {
		memset(m.prev, 0, sizeof(m.prev));
		memset(m.next, 0, sizeof(m.next));
		memset(m.far, place == TICKET_RELAY ? 0 : 0xfa, sizeof(m.far));
		m.route_id = place + 1;
		m.place = (uint8_t)place;
		m.kbps = place == TICKET_RELAY ? 8 : 0;
		m.kbps_all = 16;
		m.streams = 3;
		if (place != TICKET_SOURCE)
			memcpy(m.prev, self[1].node_id, NODE_ID_LEN);
		if (place != TICKET_DEST)
			memcpy(m.next, place == TICKET_SOURCE ? self[1].node_id : beyond.node_id, NODE_ID_LEN);
		HOLDS((r = route_put(&sw.routes, &m, now)) != NULL);
		r->rate.tokens = 1;	/* soon used up */
	}
}

static void
routes_unmake(void)
{
	struct route *r;

	for (uint64_t id = 1; id <= 3; id++)
		if ((r = route_find(&sw.routes, id)) != NULL)
			switch_route_del(&sw, r, REASON_FENCED);
	HOLDS(sw.routes.n == 0 && TAILQ_EMPTY(&sw.routes.held));
}

static void
key_from(struct sign_key *k, uint8_t seed)
{
	memset(k->secret, seed, sizeof(k->secret));
	HOLDS(sign_key_from_secret(k) == 0);
}

static void
self_make(struct session_self *me, const struct sign_key *authority, uint8_t seed)
{
	struct record m = { .kind = RECORD_MEMBERSHIP, .serial = 1, .not_before = WALL - 100, .not_after = WALL + 1000 };
	struct record d = { .kind = RECORD_DELEGATION, .serial = 1, .not_before = WALL - 100, .not_after = WALL + 1000,
	    .purpose = PURPOSE_SESSION };
	struct sign_key node;

	key_from(&node, seed);
	key_from(&me->key, (uint8_t)(seed + 100));
	node_id_from_key(me->node_id, node.public);
	me->boot_id = seed;
	memcpy(me->authority, authority->public, SIGN_PUBLIC_LEN);
	tenants_init(&me->tenants, "t");
	m.subject = node.public;
	strcpy(m.name, "n");
	strcpy(m.tenant, "t");
	d.subject = me->key.public;
	me->membership_len = record_sign(me->membership, sizeof(me->membership), &m, authority);
	me->delegation_len = record_sign(me->delegation, sizeof(me->delegation), &d, &node);
	HOLDS(me->membership_len > 0 && me->delegation_len > 0);
	me->versions[0] = 1;
	me->nversions = 1;
	me->limits = (struct session_limits){ FRAME_MAX_DEFAULT, STREAMS, 1 << 20, 65535 };
	me->auth_timeout_ns = 5000 * MS;
	me->keepalive_ns = 2000 * MS;
	me->dead_ns = 10000 * MS;
}

static void
once(void)
{
	static bool done;
	struct sign_key authority;

	if (done)
		return;
	done = true;
	log_setlevel(LOG_LEVEL_ERROR);
	key_from(&authority, 1);
	self_make(&self[0], &authority, 2);
	self_make(&self[1], &authority, 3);
}

static void
hand_over(struct side *from, struct side *to)
{
	session_input(&to->s, from->out, from->out_len, now, WALL);
	from->out_len = 0;
}

/* The good peer's first steps: 0 nothing, 1 its HELLO, 2 its AUTH as well, 3 all. */
static void
come_to(unsigned steps, bool initiator)
{
	static const uint8_t exporter[EXPORTER_LEN] = { 1 }, nonce[FRAME_NONCE_LEN] = { 2 };

	memset(&under, 0, offsetof(struct side, out));
	memset(&good, 0, offsetof(struct side, out));
	under.out_len = good.out_len = 0;
	under.ups = under.ends = good.ups = good.ends = 0;
	under.port_on = good.port_on = false;
	session_init(&under.s, &self[0], &ops, &under, initiator, NULL, now);
	session_init(&good.s, &self[1], &ops, &good, !initiator, NULL, now);
	session_start(&under.s, exporter, nonce, now);
	session_start(&good.s, exporter, nonce, now);
	for (unsigned i = 0; i < steps; i++) {
		hand_over(&under, &good);
		hand_over(&good, &under);
	}
	HOLDS(under.ends == 0 && good.ends == 0);
}

static void
datagram(const uint8_t *p, size_t len)
{
	struct frame_limits lim = { FRAME_PORT_DATAGRAM, under.s.ours.max_frame };
	struct frame_data d;
	size_t used;

	while (under.port_on && len > 0 && frame_decode_data(&d, &used, p, len, &lim) == FRAME_OK) {
		switch_data(&under.port, &d);
		p += used;
		len -= used;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum session_state before;

	if (size == 0)
		return 0;
	once();
	now = 1000000 * MS;
	switch_init(&sw, next_hop, 99, &now, self[0].node_id);
	port_attach(&beyond, &sw, &port_ops, PORT_SESSION, true, 1000, 1000);
	routes_make();
	port_attach(&worker, &sw, &port_ops, PORT_WORKER, false, 1000, 1000);
	switch_bind(&worker, "vpn");
	come_to(data[0] >> 1 & 3, data[0] & 1);
	before = under.s.state;
	for (data++, size--; size > 0;) {
		size_t len = *data & 0x7f;
		bool dgram = *data & 0x80;

		data++;
		size--;
		if (len == 0) {
			now += size > 0 ? *data * 10 * MS : MS;
			session_tick(&under.s, now);
			switch_tick(&sw);
			switch_pace(&sw);
			if (size > 0 && *data == 0xff)
				routes_unmake();
			continue;
		}
		if (len > size)
			len = size;
		if (dgram)
			datagram(data, len);
		else
			session_input(&under.s, data, len, now, WALL);
		data += len;
		size -= len;
		HOLDS(under.s.state >= before);		/* only forward */
		before = under.s.state;
		HOLDS(sw.nstreams <= STREAMS);
		if (under.port_on)
			drain(&under.port, FRAME_PORT_STREAM);
		drain(&worker, FRAME_PORT_PROC);
		drain(&beyond, FRAME_PORT_STREAM);
		HOLDS(sw.budget.held <= sw.budget.used && sw.budget.used <= sw.budget.limit);
		HOLDS((under.s.state == SESSION_FAILED) == (under.ends == 1));
		HOLDS((under.s.state == SESSION_FAILED) == (session_deadline(&under.s) == UINT64_MAX));
	}
	if (under.port_on)
		port_detach(&under.port);
	drain(&worker, FRAME_PORT_PROC);
	drain(&beyond, FRAME_PORT_STREAM);
	HOLDS(sw.nstreams == 0);
	routes_unmake();
	HOLDS(sw.budget.used == 0 && sw.budget.held == 0);
	port_detach(&worker);
	port_detach(&beyond);
	session_free(&under.s);
	session_free(&good.s);
	return 0;
}
