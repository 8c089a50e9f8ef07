/* A connection's way out: the control stream first, then what the scheduler gives, in batches for the kernel. */
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/conn.h"
#include "proc/stats.h"

#define CONTROL_VECS	8u
#define KEY_PACKETS	(1ull << 22)	/* packets under one key: well below what ngtcp2 and AES-GCM bear */
#define BLOCKED_NS	NS_PER_MS
#define BATCHES_MAX	64u		/* a round: others get their turn */

/* Packets of one batch lie here on their way to the socket; one connection writes at a time. */
static uint8_t batch[UDP_BATCH_MAX];

/* Takes frames from the scheduler until a DATAGRAM is full. False when there is nothing to send. */
static bool
stage_fill(struct conn *c, uint64_t now)
{
	uint32_t max = c->datagram_max;

	while (c->nstage < QUIC_STAGE_MAX && !sched_empty(c->sched)) {
		struct sched_pkt *pkt;

		if (c->nstage > 0 && c->stage_len + 64 > max)
			break;		/* hardly anything fits behind */
		if ((pkt = sched_dequeue(c->sched, now)) == NULL)
			break;
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
	return c->nstage > 0;
}

static void
stage_sent(struct conn *c, size_t n, size_t len)
{
	c->bytes_out += len;
	c->datagrams_out++;
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

/* One packet, for ngtcp2_conn_write_aggregate_pkt2(). */
static ngtcp2_ssize
packet_write(ngtcp2_conn *q, ngtcp2_path *path, ngtcp2_pkt_info *pi, uint8_t *dest, size_t size, ngtcp2_tstamp ts,
    void *arg)
{
	struct conn *c = arg;
	ngtcp2_ssize n;

	while (c->control_id != -1 && !c->blocked && c->out.sent < c->out.end) {
		n = control_write(c, path, pi, dest, size, ts);
		if (n != NGTCP2_ERR_WRITE_MORE)
			return n;
	}
	while (c->sched != NULL && c->datagram_max > 0 && !c->closing && stage_fill(c, ts)) {
		n = datagram_write(c, path, pi, dest, size, ts);
		if (n != NGTCP2_ERR_WRITE_MORE)
			return n;
	}
	return ngtcp2_conn_writev_stream(q, path, pi, dest, size, NULL, NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, ts);
}

static void
batch_send(struct conn *c, const ngtcp2_path *path, const ngtcp2_pkt_info *pi, size_t len, size_t segment)
{
	udp_send(c->sock, path->remote.addr, path->remote.addrlen, &c->local, pi->ecn, batch, len, segment);
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
	if (sent - c->key_packets < KEY_PACKETS)
		return;
	if (ngtcp2_conn_initiate_key_update(c->q, c->dp->now_ns) == 0) {
		STAT_INC(DP_KEY_UPDATES);
		c->key_packets = sent;
	}
}

void
conn_write(struct conn *c)
{
	uint64_t ts = c->dp->now_ns;
	ngtcp2_path_storage ps;
	ngtcp2_pkt_info pi;
	ngtcp2_ssize n;

	if (c->session.state == SESSION_UP)
		mtu_watch(c);
	for (unsigned i = 0; i < BATCHES_MAX && !c->sock->blocked; i++) {
		size_t segment = 0, mtu = ngtcp2_conn_get_path_max_tx_udp_payload_size2(c->q);
		size_t packets = ngtcp2_conn_get_send_quantum2(c->q) / mtu;

		if (packets > UDP_SEGMENTS_MAX)
			packets = UDP_SEGMENTS_MAX;
		ngtcp2_path_storage_zero(&ps);
		n = ngtcp2_conn_write_aggregate_pkt2(c->q, &ps.path, &pi, batch, sizeof(batch), &segment, packet_write,
		    packets == 0 ? 1 : packets, ts);
		if (n < 0) {
			conn_error(c, (int)n);
			return;
		}
		if (n == 0)
			break;
		ngtcp2_conn_update_pkt_tx_time(c->q, ts);
		batch_send(c, &ps.path, &pi, (size_t)n, segment);
	}
}

void
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
	n = ngtcp2_conn_write_connection_close(c->q, &ps.path, &pi, batch, sizeof(batch), &e, c->dp->now_ns);
	if (n > 0 && !c->sock->blocked)
		batch_send(c, &ps.path, &pi, (size_t)n, (size_t)n);
}

void
conn_arm(struct conn *c)
{
	uint64_t now = c->dp->now_ns, at = ngtcp2_conn_get_expiry2(c->q), session = session_deadline(&c->session);
	struct timeval tv;

	if (session < at)
		at = session;
	if (at < now)
		at = now;
	if (c->sock->blocked && at < now + BLOCKED_NS)
		at = now + BLOCKED_NS;	/* nothing can be sent: its own event tells when */
	/* One that is set for earlier finds out by itself: moving it for every packet costs more. */
	if (c->timer_ns != 0 && c->timer_ns <= at && c->timer_ns > now)
		return;
	c->timer_ns = at == 0 ? 1 : at;
	at -= now;
	tv.tv_sec = (time_t)(at / NS_PER_SEC);
	tv.tv_usec = (suseconds_t)((at % NS_PER_SEC + NS_PER_US - 1) / NS_PER_US);
	evtimer_add(c->timer, &tv);
}

void
conn_flush(struct conn *c)
{
	ngtcp2_conn_info info;

	if (!c->closing) {
		ngtcp2_conn_get_conn_info2(c->q, &info);
		if (info.pkt_recv != c->packets_in) {	/* only authentic ones count */
			c->packets_in = info.pkt_recv;
			session_heard(&c->session, c->dp->now_ns);
		}
		key_watch(c, info.pkt_sent);
		conn_write(c);
	}
	if (c->closing) {
		if (!c->silent) {
			if (c->liberr == 0)
				conn_write(c);	/* GOAWAY */
			conn_write_close(c);
		}
		conn_free(c);
		return;
	}
	conn_arm(c);
}
