#include "fabricd/dataplane/express.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/seal.h"
#include "fabric/rate.h"
#include "fabricd/dataplane/conn.h"
#include "proc/stats.h"

#define ROUNDS_MAX	64u		/* quanta that one session sends before others get their turn */
#define GRID_NS		NS_PER_MS	/* deadlines are rounded up to these, as in write.c */
#define GRID_PACED_NS	(100 * NS_PER_US)
#define QUIETS_MAX	3u		/* in a row, while QUIC is answered: they do not get through */
#define OFF_NS		(60 * NS_PER_SEC)
#define ECN_CE		3u

struct express {
	struct seal_tx	*data_tx, *feedback_tx;
	struct seal_rx	*data_rx, *feedback_rx;
	struct rate	 rate;
	struct rate_in	 in;
	uint64_t	 off_until_ns;
	uint64_t	 pongs;		/* when it became quiet */
};

/* Packets on their way to the socket, of one session at a time. */
static struct {
	struct conn	*conn;		/* NULL: none */
	uint8_t		 buf[UDP_BATCH_MAX];
	struct seal_pkt	 pkt[UDP_SEGMENTS_MAX];
	size_t		 n, len, segment;
	size_t		 room;		/* bytes that the rate still lets go */
} out;

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static struct seal_tx *
tx_new(const uint8_t *keys, enum express_key key, uint64_t now)
{
	return seal_tx_new(AEAD_AESGCM, keys + EXPRESS_KEY_LEN * (unsigned)key, NULL, now);
}

static struct seal_rx *
rx_new(const uint8_t *keys, enum express_key key)
{
	return seal_rx_new(AEAD_AESGCM, keys + EXPRESS_KEY_LEN * (unsigned)key, NULL, false);
}

static void
parts_free(struct express *x)
{
	seal_tx_free(x->data_tx);
	seal_tx_free(x->feedback_tx);
	seal_rx_free(x->data_rx);
	seal_rx_free(x->feedback_rx);
	free(x);
}

static struct express *
parts_new(const uint8_t *keys, bool initiator, uint64_t now)
{
	struct express *x;

	if ((x = calloc(1, sizeof(*x))) == NULL)
		return NULL;
	x->data_tx = tx_new(keys, initiator ? EXPRESS_KEY_DATA_I : EXPRESS_KEY_DATA_R, now);
	x->data_rx = rx_new(keys, initiator ? EXPRESS_KEY_DATA_R : EXPRESS_KEY_DATA_I);
	x->feedback_tx = tx_new(keys, initiator ? EXPRESS_KEY_FEEDBACK_I : EXPRESS_KEY_FEEDBACK_R, now);
	x->feedback_rx = rx_new(keys, initiator ? EXPRESS_KEY_FEEDBACK_R : EXPRESS_KEY_FEEDBACK_I);
	if (x->data_tx != NULL && x->data_rx != NULL && x->feedback_tx != NULL && x->feedback_rx != NULL)
		return x;
	parts_free(x);
	return NULL;
}

static size_t
packet_max(const struct conn *c)
{
	return c->datagram_max + EXPRESS_OVERHEAD;
}

void
express_start(struct conn *c)
{
	ngtcp2_conn_info info;
	uint64_t seed;

	if ((c->session.capabilities & EXPRESS_CAPABILITY) &&
	    (c->express = parts_new(c->express_keys, c->session.initiator, c->dp->now_ns)) != NULL) {
		ngtcp2_conn_get_conn_info2(c->q, &info);
		crypto_random(&seed, sizeof(seed));
		rate_init(&c->express->rate, packet_max(c), info.smoothed_rtt, seed, c->dp->now_ns);
	}
	crypto_wipe(c->express_keys, sizeof(c->express_keys));
}

void
express_free(struct conn *c)
{
	crypto_wipe(c->express_keys, sizeof(c->express_keys));
	if (out.conn == c)
		out.conn = NULL;
	if (c->express != NULL)
		parts_free(c->express);
	c->express = NULL;
}

/* QUIC's path is proven, and the peer found by its connection id. */
static bool
path_is_good(const struct conn *c)
{
	return !c->path_unproven && ngtcp2_conn_get_dcid2(c->q)->datalen == EXPRESS_CID_LEN;
}

void
express_choose(struct conn *c)
{
	bool on = c->express != NULL && c->port_on && path_is_good(c) && c->dp->now_ns >= c->express->off_until_ns;

	if (on == c->express_on || !c->port_on)
		return;
	c->express_on = on;
	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (on)
			turn_remove(&c->port.turn, &c->packets[class]);
		else if (sched_class_bytes(c->sched, class) > 0)
			turn_add(&c->port.turn, &c->packets[class]);
	if (!on)
		conn_dirty(c);
}

/* --- out --- */

/* Seals the batch and sends it. */
static void
batch_send(void)
{
	struct conn *c = out.conn;
	const ngtcp2_addr *to;
	size_t sealed;

	if (c == NULL || out.n == 0)
		return;
	to = &ngtcp2_conn_get_path2(c->q)->remote;
	sealed = seal_packets(c->express->data_tx, out.pkt, out.n, c->dp->now_ns);
	for (size_t i = 0; i < out.n; i++)
		express_phase_set(out.pkt[i].data - EXPRESS_HEADER_LEN, out.pkt[i].phase);
	if (sealed == out.n && path_is_good(c)) {
		udp_send(c->sock, to->addr, to->addrlen, &c->local, c->ecn, out.buf, out.len, out.segment);
		STAT_ADD(DP_EXPRESS_OUT, out.n);
		if (out.segment > QUIC_LARGE)
			c->large_sent += out.len - (out.n - 1) * out.segment > QUIC_LARGE ? out.n : out.n - 1;
	} else {	/* the library fails, or the path changed in between: all of them count as lost */
		STAT_INC(DP_EXPRESS_UNSEALED);
	}
	rate_sent(&c->express->rate, out.n, out.segment, out.len, c->dp->now_ns);
	out.n = out.len = 0;
}

static void
batch_end(void)
{
	batch_send();
	out.conn = NULL;
}

/*
 * What the rate lets go is about what one call takes, and hardly ever a number of whole packets: the one over would leave
 * alone, by a call of its own, and cost the receiver one more wakeup.
 */
static bool
batch_has_room(void)
{
	return out.n == 0 ? out.room > 0 : out.room >= out.segment;
}

/* Makes it c's turn. False when nothing may be sent now. */
static bool
batch_begin(struct conn *c)
{
	if (out.conn == c && batch_has_room())
		return !c->sock->blocked;
	batch_end();
	if (c->sock->blocked || !path_is_good(c))
		return false;
	c->dp->now_ns = clock_ns();
	if ((out.room = rate_room(&c->express->rate, c->dp->now_ns)) == 0)
		return false;
	out.conn = c;
	out.n = out.len = 0;
	return true;
}

/*
 * Room for a packet of `len` bytes of which head_len are to be sealed, behind the others of its batch: of these only the
 * last may be shorter. The head's first byte; what is not sealed comes after the head and a tag.
 */
static uint8_t *
packet_begin(struct conn *c, enum express_kind kind, size_t head_len, size_t len)
{
	struct express_header h = { .kind = kind, .head_len = (uint16_t)head_len };
	uint8_t *p;

	if (out.n > 0 && (len > out.segment || out.n == UDP_SEGMENTS_MAX || out.len + len > sizeof(out.buf)))
		batch_send();
	if (out.n == 0)
		out.segment = len;
	p = out.buf + out.len;
	memcpy(h.cid, ngtcp2_conn_get_dcid2(c->q)->data, EXPRESS_CID_LEN);
	h.number = (uint32_t)(seal_tx_next(c->express->data_tx) + out.n);
	express_header_put(p, &h);
	out.pkt[out.n++] = (struct seal_pkt){ .data = p + EXPRESS_HEADER_LEN, .len = head_len, .ad = p,
	    .ad_len = EXPRESS_HEADER_LEN };
	out.len += len;
	out.room -= smaller(out.room, len);
	return p + EXPRESS_HEADER_LEN;
}

static void
packet_end(size_t len)
{
	if (len < out.segment)
		batch_send();
}

bool
express_send_direct(struct conn *c, const uint8_t *hdr, size_t hdr_len, const uint8_t *payload, size_t len, bool bare)
{
	size_t all = hdr_len + len;
	uint8_t *p;

	/* Small ones are better packed together, and that takes the queue. */
	if (c->nstage > 0 || !sched_empty(c->sched) || c->out.sent < c->out.end || c->closing ||
	    all < c->datagram_max / 2)
		return false;
	if (!batch_begin(c))
		return false;
	p = packet_begin(c, bare ? EXPRESS_BARE : EXPRESS_WHOLE, bare ? hdr_len : all, all + EXPRESS_OVERHEAD);
	memcpy(p, hdr, hdr_len);
	memcpy(p + hdr_len + (bare ? EXPRESS_TAG_LEN : 0), payload, len);
	packet_end(all + EXPRESS_OVERHEAD);
	return true;
}

/* The next frame of the queue, or NULL. */
static struct sched_pkt *
frame_take(struct conn *c)
{
	struct sched_pkt *pkt;

	while ((pkt = c->nstage > 0 ? c->stage[0] : sched_dequeue(c->sched, c->dp->now_ns)) != NULL) {
		if (c->nstage > 0) {
			c->nstage--;
			c->stage_len -= pkt->len;
			memmove(c->stage, c->stage + 1, c->nstage * sizeof(c->stage[0]));
		}
		if (pkt->len <= c->datagram_max)
			return pkt;
		/* The path became smaller after the adapter cut its packets. */
		STAT_INC(DP_DROP_TOO_LONG);
		sched_pkt_free(&c->dp->pool, pkt);
	}
	return NULL;
}

/* It has to wait for the next packet. */
static void
frame_back(struct conn *c, struct sched_pkt *pkt)
{
	memmove(c->stage + 1, c->stage, c->nstage * sizeof(c->stage[0]));
	c->stage[0] = pkt;
	c->nstage++;
	c->stage_len += pkt->len;
}

/* Frames for one packet: all of one kind, as many as fit. */
static size_t
frames_take(struct conn *c, struct sched_pkt **f, size_t *head_len, size_t *len)
{
	size_t n = 0;

	*head_len = *len = 0;
	while (n < QUIC_STAGE_MAX && *len + (n == 0 ? 0 : 64) <= c->datagram_max) {
		struct sched_pkt *pkt = frame_take(c);

		if (pkt == NULL)
			break;
		if (n > 0 && (*len + pkt->len > c->datagram_max || (pkt->bare_at == 0) != (f[0]->bare_at == 0))) {
			frame_back(c, pkt);
			break;
		}
		f[n++] = pkt;
		*len += pkt->len;
		*head_len += pkt->bare_at == 0 ? pkt->len : pkt->bare_at;
	}
	return n;
}

/* One packet of what waits. False when nothing does. */
static bool
packet_write(struct conn *c)
{
	struct sched_pkt *f[QUIC_STAGE_MAX];
	size_t head_len, len, n = frames_take(c, f, &head_len, &len);
	uint8_t *head, *rest;

	if (n == 0)
		return false;
	head = packet_begin(c, f[0]->bare_at == 0 ? EXPRESS_WHOLE : EXPRESS_BARE, head_len, len + EXPRESS_OVERHEAD);
	rest = head + head_len + EXPRESS_TAG_LEN;
	for (size_t i = 0; i < n; i++) {
		size_t in_head = f[i]->bare_at == 0 ? f[i]->len : f[i]->bare_at;

		memcpy(head, f[i]->data, in_head);
		memcpy(rest, f[i]->data + in_head, f[i]->len - in_head);
		head += in_head;
		rest += f[i]->len - in_head;
		sched_pkt_free(&c->dp->pool, f[i]);
	}
	packet_end(len + EXPRESS_OVERHEAD);
	return true;
}

static bool
has_frames(const struct conn *c)
{
	return c->nstage > 0 || !sched_empty(c->sched);
}

static void
data_write(struct conn *c)
{
	size_t rounds = 0;

	rate_mtu(&c->express->rate, packet_max(c));
	while (has_frames(c) && rounds < ROUNDS_MAX && batch_begin(c)) {
		while (batch_has_room() && !c->sock->blocked && packet_write(c))
			continue;
		batch_end();
		rounds++;
	}
	batch_end();
	if (!has_frames(c))
		rate_limited(&c->express->rate);
}

static void
feedback_write(struct conn *c)
{
	struct express *x = c->express;
	uint8_t pkt[EXPRESS_OVERHEAD + EXPRESS_FEEDBACK_LEN];
	struct express_header h = { .kind = EXPRESS_FEEDBACK, .head_len = EXPRESS_FEEDBACK_LEN };
	struct seal_pkt sp = { .data = pkt + EXPRESS_HEADER_LEN, .len = EXPRESS_FEEDBACK_LEN, .ad = pkt,
	    .ad_len = EXPRESS_HEADER_LEN };
	const ngtcp2_addr *to = &ngtcp2_conn_get_path2(c->q)->remote;
	struct express_feedback f;

	rate_in_tell(&x->in, &f, c->dp->now_ns);
	express_feedback_put(sp.data, &f);
	memcpy(h.cid, ngtcp2_conn_get_dcid2(c->q)->data, EXPRESS_CID_LEN);
	h.number = (uint32_t)seal_tx_next(x->feedback_tx);
	express_header_put(pkt, &h);
	if (seal_packets(x->feedback_tx, &sp, 1, c->dp->now_ns) != 1) {
		STAT_INC(DP_EXPRESS_UNSEALED);
		return;
	}
	express_phase_set(pkt, sp.phase);
	STAT_INC(DP_EXPRESS_FEEDBACK_OUT);
	udp_send(c->sock, to->addr, to->addrlen, &c->local, 0, pkt, sizeof(pkt), sizeof(pkt));
}

static uint64_t
feedback_deadline(const struct conn *c)
{
	return rate_in_deadline(&c->express->in, c->express->rate.srtt_ns);
}

/* Nothing was heard of what was sent: whether the path is another, or takes QUIC alone, a PING on QUIC finds out. */
static void
quiet(struct conn *c)
{
	struct express *x = c->express;

	STAT_INC(DP_EXPRESS_QUIET);
	if (x->rate.quiets == 1)
		x->pongs = c->session.rtts;
	if (x->rate.quiets >= QUIETS_MAX && c->session.rtts > x->pongs) {
		x->off_until_ns = c->dp->now_ns + OFF_NS;
		log_info("session express=lost name=%s: DATA goes in DATAGRAMs for a minute", c->session.peer.name);
	}
	session_probe(&c->session, c->dp->now_ns);
}

void
express_flush(struct conn *c)
{
	struct express *x = c->express;

	if (out.conn == c)
		batch_end();
	if (x == NULL || c->closing)
		return;
	if (rate_tick(&x->rate, c->dp->now_ns))
		quiet(c);
	if (c->express_on)
		data_write(c);
	if (feedback_deadline(c) <= c->dp->now_ns && path_is_good(c) && !c->sock->blocked)
		feedback_write(c);
}

static uint64_t
grid(uint64_t at, uint64_t step)
{
	return at == UINT64_MAX ? at : (at + step - 1) / step * step;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t
express_deadline(const struct conn *c)
{
	uint64_t at;

	if (c->express == NULL || c->closing)
		return UINT64_MAX;
	at = grid(rate_deadline(&c->express->rate), GRID_NS);
	if (path_is_good(c))
		at = earlier(at, grid(feedback_deadline(c), GRID_NS));
	if (has_frames(c) && c->express_on)
		at = earlier(at, grid(rate_next(&c->express->rate), GRID_PACED_NS));
	return at <= c->dp->now_ns ? c->dp->now_ns + GRID_PACED_NS : at;
}

void
express_info(const struct conn *c, ngtcp2_conn_info *info)
{
	const struct express *x = c->express;

	if (x == NULL)
		return;
	info->pkt_sent += x->rate.next;
	info->bytes_sent += x->rate.sent_bytes;
	info->pkt_lost += rate_lost(&x->rate);
	info->bytes_lost += rate_lost_bytes(&x->rate);
	info->pkt_recv += x->in.count;
	info->bytes_recv += x->in.bytes;
	if (x->rate.samples > 0)
		info->smoothed_rtt = x->rate.srtt_ns;
}

/* --- in --- */

static void
count_refused(int error)
{
	switch (error) {
	case SEAL_E_TAMPERED:
		STAT_INC(DP_EXPRESS_TAMPERED);
		break;
	case SEAL_E_REPLAYED:
		STAT_INC(DP_EXPRESS_REPLAYED);
		break;
	case SEAL_E_OLD:
		STAT_INC(DP_EXPRESS_OLD);
		break;
	default:
		STAT_INC(DP_EXPRESS_EXHAUSTED);
	}
}

/* An opened packet's frames. */
static void
frames_deliver(struct conn *c, enum express_kind kind, const uint8_t *head, size_t head_len, size_t rest_len)
{
	struct express_cursor cur = { kind, head, head + head_len + EXPRESS_TAG_LEN, head_len, rest_len };
	void (*deliver)(struct port *, const struct frame_data *) = kind == EXPRESS_BARE ? switch_data_bare : switch_data;
	struct frame_data d;
	int rv;

	while ((rv = express_next(&cur, &d)) == 1 && c->port_on)
		deliver(&c->port, &d);
	if (rv != -1)
		return;
	STAT_INC(DP_EXPRESS_MALFORMED);
	session_fail(&c->session, REASON_PROTOCOL);
}

static void
feedback_input(struct conn *c, struct seal_pkt *pkt)
{
	struct express_feedback f;

	if (seal_open(c->express->feedback_rx, pkt, 1, c->dp->now_ns) != 1) {
		count_refused(pkt->error);
		return;
	}
	STAT_INC(DP_EXPRESS_FEEDBACK_IN);
	session_heard(&c->session, c->dp->now_ns);
	if (express_feedback_get(&f, pkt->data, pkt->len) && rate_feedback(&c->express->rate, &f, c->dp->now_ns) == 0)
		return;
	STAT_INC(DP_EXPRESS_MALFORMED);
	session_fail(&c->session, REASON_PROTOCOL);
}

static void
data_input(struct conn *c, const struct udp_meta *meta, struct seal_pkt *pkts, const struct express_header *h,
    const size_t *rest, size_t n)
{
	struct express *x = c->express;

	if (seal_open(x->data_rx, pkts, n, c->dp->now_ns) > 0)
		session_heard(&c->session, c->dp->now_ns);
	for (size_t i = 0; i < n && !c->closing; i++) {
		if (pkts[i].error != SEAL_OK) {
			count_refused(pkts[i].error);
			continue;
		}
		/* Somebody on the way was at it: it is no fault of the peer's, and not what it sent. */
		if (h[i].kind == EXPRESS_BARE && !express_bare_fits(pkts[i].data, pkts[i].len, rest[i])) {
			STAT_INC(DP_EXPRESS_TAMPERED);
			continue;
		}
		STAT_INC(DP_EXPRESS_IN);
		rate_in_packet(&x->in, pkts[i].number, EXPRESS_OVERHEAD + pkts[i].len + rest[i], meta->ecn == ECN_CE,
		    c->dp->now_ns);
		frames_deliver(c, h[i].kind, pkts[i].data, pkts[i].len, rest[i]);
	}
}

/* Why packets cannot be opened, counted; true when they can. */
static bool
is_wanted(const struct conn *c)
{
	if (c == NULL)
		STAT_INC(DP_EXPRESS_UNKNOWN);
	else if (c->express == NULL || c->session.state != SESSION_UP || !c->port_on)
		STAT_INC(DP_DROP_EARLY);	/* overtook the peer's READY */
	else
		return true;
	return false;
}

size_t
express_input(struct dataplane *dp, struct udp_sock *us, const struct udp_meta *meta, uint8_t *buf, size_t len,
    size_t segment)
{
	struct express_header h[UDP_SEGMENTS_MAX];
	struct seal_pkt pkts[UDP_SEGMENTS_MAX];
	size_t rest[UDP_SEGMENTS_MAX], used = 0, n = 0, size;
	struct conn *c = NULL;

	(void)us;
	if (len < EXPRESS_OVERHEAD || segment < EXPRESS_OVERHEAD) {
		STAT_INC(DP_EXPRESS_SHORT);
		return smaller(len, segment);
	}
	if (!is_wanted(c = cid_find(dp->cids, buf + 1, EXPRESS_CID_LEN)))
		return segment < len ? segment : len;
	for (; used < len && n < UDP_SEGMENTS_MAX; used += size) {
		uint8_t *p = buf + used;

		size = smaller(segment, len - used);
		if (!express_is(p[0]) || (size > EXPRESS_CID_LEN && memcmp(p + 1, buf + 1, EXPRESS_CID_LEN) != 0))
			break;
		if (!express_header_get(&h[n], p, size)) {
			STAT_INC(DP_EXPRESS_SHORT);
			continue;
		}
		express_phase_clear(p);
		pkts[n] = (struct seal_pkt){ .data = p + EXPRESS_HEADER_LEN, .len = h[n].head_len + EXPRESS_TAG_LEN,
		    .ad = p, .ad_len = EXPRESS_HEADER_LEN, .number = h[n].number, .phase = h[n].phase };
		rest[n] = size - EXPRESS_OVERHEAD - h[n].head_len;
		if (h[n].kind == EXPRESS_FEEDBACK)
			feedback_input(c, &pkts[n]);
		else
			n++;
	}
	if (n > 0)
		data_input(c, meta, pkts, h, rest, n);
	conn_touch(c);
	return used;
}
