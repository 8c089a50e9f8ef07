/* A connection's way out: the control stream first, then what the scheduler gives, in batches for the kernel. */
#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/conn.h"
#include "proc/stats.h"

#define CONTROL_VECS	8u
#define BLOCKED_NS	NS_PER_MS
#define GRID_NS		NS_PER_MS	/* deadlines are rounded up to these */
#define GRID_PACED_NS	(100 * NS_PER_US)
#define ROUNDS_MAX	64u		/* of a send quantum each: others get their turn */

/* Packets lie here on their way to the socket; one connection writes at a time. */
static uint8_t batch_buf[2 * UDP_BATCH_MAX];

/* What one sendmsg takes: packets of one size to one place. */
struct batch {
	uint8_t	*start;		/* in batch_buf */
	size_t	 len, count;
	size_t	 segment;
	uint8_t	 ecn;
	ngtcp2_path_storage path;
};

/* Who sends next. While something urgent travels, what can wait has less under way than congestion control allows. */
static struct turn_entry *
conn_turn(struct conn *c)
{
	return turn_next_upto(&c->port.turn, c->patient_room <= 0 || govern_next(&c->govern) > 0 ? CLASS_INTERACTIVE :
	    c->bulk_room <= 0 ? CLASS_RELIABLE : CLASS_COUNT - 1);
}

/* Takes frames from the scheduler, while it is the turn of packets, until a DATAGRAM is full. */
static void
stage_fill(struct conn *c, uint64_t now)
{
	uint32_t max = c->datagram_max;
	struct turn *turn = &c->port.turn;
	struct turn_entry *e;

	while (c->nstage < QUIC_STAGE_MAX && (e = conn_turn(c)) != NULL && e->tag == CREDIT_TAGS) {
		struct sched_pkt *pkt;

		if (c->nstage > 0 && c->stage_len + 64 > max)
			break;		/* hardly anything fits behind */
		pkt = sched_dequeue_class(c->sched, e->class, now);
		turn_sent(turn, e, pkt == NULL ? 0 : pkt->len, sched_class_bytes(c->sched, e->class) > 0);
		if (pkt == NULL)
			continue;
		if (pkt->len > max) {
			/* The path became smaller after the adapter cut its packets. */
			STAT_INC(DP_DROP_TOO_LONG);
			sched_pkt_free(&c->dp->pool, pkt);
			continue;
		}
		c->stage[c->nstage++] = pkt;
		c->stage_len += pkt->len;
		if (c->stage_len > max)
			break;		/* the last one waits for the next DATAGRAM */
	}
}

static void
stage_sent(struct conn *c, size_t n, size_t len)
{
	for (size_t i = 0; i < n; i++)
		sched_pkt_free(&c->dp->pool, c->stage[i]);
	for (size_t i = n; i < c->nstage; i++)
		c->stage[i - n] = c->stage[i];
	c->nstage -= n;
	c->stage_len -= len;
}

/* Writes one packet with a DATAGRAM. As ngtcp2_conn_writev_datagram(). */
static ngtcp2_ssize
datagram_write(struct conn *c, ngtcp2_path *path, ngtcp2_pkt_info *pi, uint8_t *dest, size_t size, uint64_t ts)
{
	ngtcp2_vec vec[QUIC_STAGE_MAX];
	ngtcp2_ssize n;
	size_t count = 0, len = 0;
	int accepted = 0;

	while (count < c->nstage && len + c->stage[count]->len <= c->datagram_max) {
		vec[count].base = c->stage[count]->data;
		vec[count].len = c->stage[count]->len;
		len += c->stage[count]->len;
		count++;
	}
	if (count == 0) {	/* staged before the path became smaller */
		STAT_INC(DP_DROP_TOO_LONG);
		stage_sent(c, 1, c->stage[0]->len);
		return NGTCP2_ERR_WRITE_MORE;
	}
	n = ngtcp2_conn_writev_datagram(c->q, path, pi, dest, size, &accepted, NGTCP2_WRITE_DATAGRAM_FLAG_NONE, 0,
	    vec, count, ts);
	if (accepted)
		stage_sent(c, count, len);
	return n;
}

/* Writes control stream bytes, alone or with more to follow in the packet. As ngtcp2_conn_writev_stream(). */
static ngtcp2_ssize
control_write(struct conn *c, ngtcp2_path *path, ngtcp2_pkt_info *pi, uint8_t *dest, size_t size, uint64_t ts)
{
	ngtcp2_vec vec[CONTROL_VECS];
	ngtcp2_ssize n, used = -1;
	size_t count = control_unsent(&c->out, vec, CONTROL_VECS);

	n = ngtcp2_conn_writev_stream(c->q, path, pi, dest, size, &used, NGTCP2_WRITE_STREAM_FLAG_MORE, c->control_id,
	    vec, count, ts);
	if (used > 0)
		c->out.sent += (uint64_t)used;
	if (n == NGTCP2_ERR_STREAM_DATA_BLOCKED || n == NGTCP2_ERR_STREAM_SHUT_WR || n == NGTCP2_ERR_STREAM_NOT_FOUND) {
		c->blocked = true;
		return NGTCP2_ERR_WRITE_MORE;
	}
	return n;
}

/* Takes what has the turn out of the switch. False when there is nothing, or no room for it. */
static bool
next_take(struct conn *c, uint64_t ts)
{
	struct turn_entry *e = conn_turn(c);

	if (e == NULL)
		return false;
	if (e->class <= CLASS_INTERACTIVE)
		govern_urgent(&c->govern, ts);
	if (e->tag == CREDIT_TAGS) {
		stage_fill(c, ts);
		return true;
	}
	if (!qstreams_room(c) || ngtcp2_conn_get_max_data_left2(c->q) == 0)
		return false;
	qstream_pull(c, e);
	return true;
}

/* One packet: its length, 0 when none may be sent now, or an error. */
static ngtcp2_ssize
packet_write(struct conn *c, ngtcp2_path *path, ngtcp2_pkt_info *pi, uint8_t *dest, size_t size, uint64_t ts)
{
	ngtcp2_ssize n;

	while (c->control_id != -1 && !c->blocked && c->out.sent < c->out.end) {
		n = control_write(c, path, pi, dest, size, ts);
		if (n != NGTCP2_ERR_WRITE_MORE)
			return n;
	}
	while (c->port_on && c->inflight_room > 0 && !c->closing) {
		if (qstreams_unsent(&c->qs) && ngtcp2_conn_get_max_data_left2(c->q) > 0)
			n = qstream_write(c, path, pi, dest, size, ts);
		else if (c->nstage > 0 && !c->express_on)
			n = datagram_write(c, path, pi, dest, size, ts);
		else if (next_take(c, ts))
			continue;
		else
			break;
		if (n != NGTCP2_ERR_WRITE_MORE)
			return n;
	}
	return ngtcp2_conn_writev_stream(c->q, path, pi, dest, size, NULL, NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, ts);
}

static void
batch_send(struct conn *c, struct batch *b)
{
	if (b->count > 0)
		udp_send(c->sock, b->path.path.remote.addr, b->path.path.remote.addrlen, &c->local, b->ecn, b->start,
		    b->len, b->segment);
	b->start += b->len;
	b->len = b->count = 0;
}

/*
 * Adds the packet that lies behind the batch. The kernel cuts a batch in equal pieces of which the last may be shorter:
 * a longer packet, or one for elsewhere, begins a new one. Inner packets of one size make packets of one size, so
 * none has to be padded for this.
 */
static void
batch_add(struct conn *c, struct batch *b, size_t n, const ngtcp2_path *path, uint8_t ecn)
{
	if (b->count > 0 && (n > b->segment || b->count == UDP_SEGMENTS_MAX || b->len + n > UDP_BATCH_MAX ||
	    ecn != b->ecn || !ngtcp2_path_eq(path, &b->path.path)))
		batch_send(c, b);
	if (b->count == 0) {
		b->segment = n;
		b->ecn = ecn;
		ngtcp2_path_storage_zero(&b->path);
		ngtcp2_path_copy(&b->path.path, path);
	}
	c->large_sent += n > QUIC_LARGE;
	c->inflight_room -= (int64_t)n;
	c->patient_room -= (int64_t)n;
	c->bulk_room -= (int64_t)n;
	govern_sent(&c->govern, n);
	b->len += n;
	b->count++;
	if (n < b->segment)
		batch_send(c, b);
}

/*
 * The short way: while nothing of a session waits, its next frame goes straight from the worker's message into a
 * packet. The batch that it joins leaves at the next dp_flush(), or when another connection wants to write.
 */
static struct {
	struct conn *conn;
	struct batch b;
	size_t	     sent;	/* since the last send quantum */
} direct;

static void
direct_end(void)
{
	struct conn *c = direct.conn;

	if (c == NULL)
		return;
	batch_send(c, &direct.b);
	direct.conn = NULL;
	ngtcp2_conn_update_pkt_tx_time(c->q, c->dp->now_ns);
}

void
conn_direct_forget(const struct conn *c)
{
	if (direct.conn == c)
		direct.conn = NULL;
}

/* Room for a packet behind the batch: what is in the way is sent. */
static uint8_t *
batch_room(struct conn *c, struct batch *b, size_t max)
{
	if (b->count == 0)
		b->start = batch_buf;
	if (b->start + b->len + max > batch_buf + sizeof(batch_buf)) {
		batch_send(c, b);
		b->start = batch_buf;
	}
	return b->start + b->len;
}

static void
direct_begin(struct conn *c)
{
	if (direct.conn == c &&
	    direct.sent + ngtcp2_conn_get_max_tx_udp_payload_size2(c->q) <= ngtcp2_conn_get_send_quantum2(c->q))
		return;
	direct_end();
	c->dp->now_ns = clock_ns();
	direct.conn = c;
	direct.b.count = direct.b.len = 0;
	direct.sent = 0;
}

bool
conn_send_direct(struct conn *c, const uint8_t *hdr, size_t hdr_len, const uint8_t *payload, size_t len)
{
	ngtcp2_vec vec[2] = { { (uint8_t *)(uintptr_t)hdr, hdr_len }, { (uint8_t *)(uintptr_t)payload, len } };
	size_t max = ngtcp2_conn_get_max_tx_udp_payload_size2(c->q);
	ngtcp2_path_storage ps;
	ngtcp2_pkt_info pi;
	ngtcp2_ssize n;
	int accepted = 0;
	uint8_t *to;

	/* Small ones are better packed together, and that takes the queue. */
	if (c->nstage > 0 || !turn_idle(&c->port.turn) || qstreams_unsent(&c->qs) || c->out.sent < c->out.end || c->closing ||
	    c->inflight_room <= 0 || hdr_len + len < c->datagram_max / 2)
		return false;
	direct_begin(c);
	to = batch_room(c, &direct.b, max);
	if (c->sock->blocked)
		return false;
	ngtcp2_path_storage_zero(&ps);
	n = ngtcp2_conn_writev_datagram(c->q, &ps.path, &pi, to, max, &accepted, NGTCP2_WRITE_DATAGRAM_FLAG_NONE, 0,
	    vec, 2, c->dp->now_ns);
	if (n <= 0) {
		if (n < 0)
			conn_error(c, (int)n);
		return false;
	}
	direct.sent += (size_t)n;
	batch_add(c, &direct.b, (size_t)n, &ps.path, (uint8_t)pi.ecn);
	return accepted != 0;
}

static void
mtu_watch(struct conn *c)
{
	uint32_t max = conn_datagram_max(c);

	if (max == c->datagram_max)
		return;
	c->datagram_max = max;
	c->mtu_ns = c->dp->now_ns;
}

static void
key_watch(struct conn *c, uint64_t sent)
{
	if (sent - c->key_packets < CONN_KEY_PACKETS)
		return;
	if (ngtcp2_conn_initiate_key_update(c->q, c->dp->now_ns) == 0) {
		STAT_INC(DP_KEY_UPDATES);
		c->key_packets = sent;
	}
}

/* Writes until `quantum` bytes are on their way. 1 when there may be more, 0 when nothing more may be sent now, or -1. */
static int
quantum_write(struct conn *c, struct batch *b, size_t quantum, uint64_t ts)
{
	ngtcp2_path_storage ps;
	ngtcp2_pkt_info pi;
	size_t sent = 0, max = ngtcp2_conn_get_max_tx_udp_payload_size2(c->q);

	/* Only whole packets: one over would leave alone, as the kernel takes hardly more at once than a quantum. */
	while (sent == 0 || sent + max <= quantum) {
		ngtcp2_ssize n;

		if (c->sock->blocked)
			return 0;
		ngtcp2_path_storage_zero(&ps);
		n = packet_write(c, &ps.path, &pi, batch_room(c, b, max), max, ts);
		if (n <= 0) {
			if (n < 0)
				conn_error(c, (int)n);
			return n < 0 ? -1 : 0;
		}
		sent += (size_t)n;
		c->ecn = (uint8_t)pi.ecn;
		batch_add(c, b, (size_t)n, &ps.path, (uint8_t)pi.ecn);
	}
	return 1;
}

static void
conn_write(struct conn *c)
{
	struct batch b = { .start = batch_buf };
	uint64_t ts = c->dp->now_ns;
	int more;

	if (c->session.state == SESSION_UP)
		mtu_watch(c);
	for (unsigned i = 0; i < ROUNDS_MAX && !c->sock->blocked; i++) {
		more = quantum_write(c, &b, ngtcp2_conn_get_send_quantum2(c->q), ts);
		batch_send(c, &b);
		if (more == -1)
			return;
		ngtcp2_conn_update_pkt_tx_time(c->q, ts);
		if (more == 0)
			return;
		/* While that was sent its time has often passed: a timer would come much later. */
		ts = c->dp->now_ns = clock_ns();
	}
}

static void
conn_write_close(struct conn *c)
{
	ngtcp2_path_storage ps;
	ngtcp2_pkt_info pi;
	ngtcp2_ccerr e;
	ngtcp2_ssize n;

	ngtcp2_ccerr_default(&e);
	if (c->liberr != 0 && c->liberr == NGTCP2_ERR_CRYPTO)
		ngtcp2_ccerr_set_tls_alert(&e, ngtcp2_conn_get_tls_alert2(c->q), NULL, 0);
	else if (c->liberr != 0)
		ngtcp2_ccerr_set_liberr(&e, c->liberr, NULL, 0);
	else
		ngtcp2_ccerr_set_application_error(&e, c->reason, NULL, 0);
	ngtcp2_path_storage_zero(&ps);
	n = ngtcp2_conn_write_connection_close(c->q, &ps.path, &pi, batch_buf, 1200, &e, c->dp->now_ns);
	if (n > 0 && !c->sock->blocked)
		udp_send(c->sock, ps.path.remote.addr, ps.path.remote.addrlen, &c->local, pi.ecn, batch_buf, (size_t)n,
		    (size_t)n);
}

/* Whether data waits for its time and for nothing else. */
static bool
is_paced(const struct conn *c)
{
	bool waits = (c->nstage > 0 && !c->express_on) || (c->port_on && !turn_idle(&c->port.turn)) || qstreams_unsent(&c->qs) ||
	    (c->out.sent < c->out.end && !c->blocked);

	return waits && c->inflight_room > 0 && ngtcp2_conn_get_cwnd_left2(c->q) > 0;
}

/* When what can wait may go on as to the governor's pace; UINT64_MAX: it is not that what it waits for. */
static uint64_t
pace_deadline(struct conn *c)
{
	uint64_t at = govern_next(&c->govern);

	return at == 0 || c->patient_room <= 0 || turn_idle(&c->port.turn) ? UINT64_MAX : at;
}

/*
 * To set a timer costs more than to write ten packets where the clock is a hypervisor's. Pacing needs a tenth of a
 * millisecond; an acknowledgement or a loss timer, which for a peer nearby would come every 50 us, can wait
 * for the next whole one.
 */
static void
arm(struct conn *c)
{
	uint64_t now = c->dp->now_ns, at = ngtcp2_conn_get_expiry2(c->q), session = session_deadline(&c->session);
	uint64_t express = express_deadline(c);
	uint64_t grid = is_paced(c) ? GRID_PACED_NS : GRID_NS;

	if (at <= now)
		at = now + GRID_NS;	/* it was due, and could not be done: not at once again */
	if (at < session)
		at = (at + grid - 1) / grid * grid;
	else
		at = session;
	if (express < at)
		at = express;
	if (pace_deadline(c) < at)
		at = pace_deadline(c);
	if (c->sock->blocked && at < now + BLOCKED_NS)
		at = now + BLOCKED_NS;	/* nothing can be sent: its own event tells when */
	timers_set(c->dp->timers, &c->timer, at);
}

static void
inflight_limit(struct conn *c, const ngtcp2_conn_info *info)
{
	struct govern_facts f = {
		.now_ns = c->dp->now_ns, .rtt_ns = info->smoothed_rtt, .min_rtt_ns = info->min_rtt,
		.delivered = info->bytes_sent - info->bytes_lost - info->bytes_in_flight,
		.in_flight = info->bytes_in_flight, .cwnd = info->cwnd,
	};
	uint64_t cap = govern_cap(&c->govern, &f);
	int64_t max = c->dp->inflight_max;

	c->inflight_room = max - (int64_t)info->bytes_in_flight;
	c->patient_room = (cap < (uint64_t)max ? (int64_t)cap : max) - (int64_t)info->bytes_in_flight;
	/* A peer under pressure gets less of bulk before it gets less of anything else. */
	cap = pressure_room(pressure_level(&c->pressure), info->cwnd < cap ? info->cwnd : cap);
	c->bulk_room = pressure_level(&c->pressure) < PRESSURE_HIGH ? max :
	    (cap < (uint64_t)max ? (int64_t)cap : max) - (int64_t)info->bytes_in_flight;
}

void
conn_flush(struct conn *c)
{
	ngtcp2_conn_info info;

	direct_end();
	express_choose(c);
	if (!c->closing && (c->quic_dirty || ngtcp2_conn_get_expiry2(c->q) <= c->dp->now_ns ||
	    pace_deadline(c) <= c->dp->now_ns)) {
		c->quic_dirty = false;
		ngtcp2_conn_get_conn_info2(c->q, &info);
		if (info.pkt_recv != c->packets_in) {	/* only authentic ones count */
			c->packets_in = info.pkt_recv;
			session_heard(&c->session, c->dp->now_ns);
		}
		key_watch(c, info.pkt_sent);
		c->port.rtt_ns = info.smoothed_rtt;
		inflight_limit(c, &info);
		conn_write(c);
	}
	express_flush(c);	/* behind an OPEN_STREAM that its DATA follows */
	if (c->closing) {
		if (!c->silent) {
			if (c->liberr == 0)
				conn_write(c);	/* GOAWAY */
			conn_write_close(c);
		}
		conn_free(c);
		return;
	}
	arm(c);
}
