/* The peers' side of vpnd/keys.h: handshakes that they open, and their streams under them. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "vpnd/vpnd.h"

#define COUNTERS 64u	/* streams whose OPEN_STREAM may be overtaken by others */

/* Each counter once. False: it was, or is too old to tell. */
static bool
counter_take(struct keys_in *in, uint64_t counter)
{
	uint64_t behind;

	if (counter > in->top) {
		behind = counter - in->top;
		in->seen = behind < COUNTERS ? in->seen << behind | 1 : 1;
		in->top = counter;
		return true;
	}
	behind = in->top - counter;
	if (counter == 0 || behind >= COUNTERS || (in->seen >> behind & 1) != 0)
		return false;
	in->seen |= 1ull << behind;
	return true;
}

static struct keys_in *
keys_find(struct vpn_keys *k, const uint8_t id[E2E_KEY_ID_LEN])
{
	for (unsigned i = 0; i < KEYS_SLOTS; i++)
		if (k->in[i].have && memcmp(k->in[i].keys.id, id, E2E_KEY_ID_LEN) == 0)
			return &k->in[i];
	return NULL;
}

static uint64_t
accept_packets(struct vpnd *v, const struct frame_open_stream *o, uint32_t peer)
{
	uint8_t field[KEYED_LEN], *id = field + 1;
	struct vpn_stream *s;
	struct e2e_keys keys;
	struct keys_in *in;
	uint64_t counter = 0;

	memcpy(field, o->noise.p, sizeof(field));
	in = keys_find(&v->peers[peer]->keys, id);
	for (unsigned i = 0; i < 8; i++)
		counter = counter << 8 | field[1 + E2E_KEY_ID_LEN + i];
	if (in == NULL || clock_wall() >= in->not_after || !counter_take(in, counter)) {
		STAT_INC(VPND_IN_STREAMS_NO_KEY);
		return REASON_NO_KEY;
	}
	if ((s = vpn_stream_add(&v->streams, o->stream_id, peer, STREAM_IN)) == NULL)
		return REASON_LIMIT;
	if (e2e_keys_derive(&keys, &in->keys, counter, o->class) == 0)
		s->rx = seal_rx_new(keys.cipher, keys.rx, NULL, false);
	e2e_keys_wipe(&keys);
	if (s->rx == NULL) {
		vpn_stream_remove(&v->streams, o->stream_id);
		return REASON_LIMIT;
	}
	memcpy(s->key_id, id, E2E_KEY_ID_LEN);
	s->class = o->class;
	s->not_after = in->not_after;
	return REASON_NONE;
}

/* Message 2, as the stream's only unit. */
static int
send_message(struct vpnd *v, uint64_t id, const uint8_t *message, size_t len)
{
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = id, .flags = DATA_UNRELIABLE, .payload = message,
	    .payload_len = len } };

	return ipc_send(v->port, &f);
}

static uint64_t
accept_handshake(struct vpnd *v, const struct frame_open_stream *o, uint32_t peer)
{
	struct vpn_peer *p = v->peers[peer];
	struct vpn_keys *k = &p->keys;
	uint8_t first[E2E_MESSAGE_MAX], message[E2E_MESSAGE_MAX];
	struct keys_in *in = &k->in[KEYS_NEW];
	struct e2e_hello hello;
	struct e2e_keys keys;
	struct e2e *e;
	size_t len;
	int reason;

	if (k->accepts.burst == 0)
		ratelimit_init(&k->accepts, KEYS_ACCEPT_NS, KEYS_ACCEPT_BURST);
	if (!ratelimit_take(&k->accepts, v->now_ns))
		return REASON_LIMIT;
	memcpy(first, o->noise.p, o->noise.len);	/* at most FRAME_NOISE_MAX; the dataplane's bytes may change */
	reason = e2e_accept(&e, &v->self, VPN_SERVICE, o->flags, o->source, first, o->noise.len, clock_wall(), &hello);
	if (reason != REASON_NONE) {
		STAT_INC(VPND_SHAKES_REFUSED);
		log_debug("handshake of name=%s: %s", p->name, reason_name((uint64_t)reason));
		return (uint64_t)reason;
	}
	reason = e2e_answer(e, &v->self, message, &len, &keys) == -1 ? REASON_INTERNAL : REASON_NONE;
	e2e_free(e);
	if (reason == REASON_NONE && (vpn_stream_add(&v->streams, o->stream_id, peer, STREAM_IN_SHAKE) == NULL ||
	    send_message(v, o->stream_id, message, len) == -1)) {
		vpn_stream_remove(&v->streams, o->stream_id);
		reason = REASON_LIMIT;
	}
	if (reason == REASON_NONE) {
		*in = (struct keys_in){ .have = true, .keys = keys,
		    .not_after = hello.peer.not_after < v->self.not_after ? hello.peer.not_after : v->self.not_after };
		STAT_INC(VPND_SHAKES_ACCEPTED);
	}
	e2e_keys_wipe(&keys);
	return (uint64_t)reason;
}

uint64_t
vpn_keys_accept(struct vpnd *v, const struct frame_open_stream *o, uint32_t peer)
{
	if (o->noise.len == 0) {
		STAT_INC(VPND_IN_STREAMS_UNSEALED);
		return REASON_NO_KEY;
	}
	if (o->noise.len == KEYED_LEN && o->noise.p[0] == KEYED_KIND)
		return accept_packets(v, o, peer);
	return accept_handshake(v, o, peer);
}

/*
 * A handshake that somebody only repeats makes keys as well, but nothing is ever sealed with them: so keys become the
 * current ones when a packet has opened.
 */
void
vpn_keys_proven(struct vpnd *v, const struct vpn_stream *s)
{
	struct vpn_keys *k = &v->peers[s->peer]->keys;

	if (!k->in[KEYS_NEW].have || memcmp(k->in[KEYS_NEW].keys.id, s->key_id, E2E_KEY_ID_LEN) != 0)
		return;
	k->in[KEYS_LAST] = k->in[KEYS_CURRENT];
	k->in[KEYS_CURRENT] = k->in[KEYS_NEW];
	crypto_wipe(&k->in[KEYS_NEW], sizeof(k->in[KEYS_NEW]));
}
