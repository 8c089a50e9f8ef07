/* A connection's life: made by a dial or by a stranger's first packet, fed, ended. */
#include <stdlib.h>
#include <string.h>

#include <ngtcp2/ngtcp2_crypto_wolfssl.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/conn.h"
#include "fabricd/dataplane/peer.h"
#include "fabricd/dataplane/protect.h"
#include "fabricd/dataplane/tls.h"
#include "proc/stats.h"

#define MAX_UDP_PAYLOAD 1472	/* of an Ethernet path over IPv4 */

/* Largest first that common paths have: Ethernet with IPv6, then with PPPoE, then with IPv4, then tunnels. */
static const uint16_t mtu_probes[] = { 1452, 1432, 1472, 1406, 1342, 1232 };

static void
rand_cb(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx)
{
	(void)ctx;
	crypto_random(dest, len);
}

static int
new_cid_cb(ngtcp2_conn *q, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token, size_t len, void *arg)
{
	struct conn *c = arg;

	(void)q;
	crypto_random(cid->data, len);
	cid->datalen = len;
	if (ngtcp2_crypto_generate_stateless_reset_token(token->data, c->dp->reset_key, sizeof(c->dp->reset_key),
	    cid) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return cid_add(c->dp->cids, &c->cids, c, cid->data, cid->datalen) == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int
remove_cid_cb(ngtcp2_conn *q, const ngtcp2_cid *cid, void *arg)
{
	struct conn *c = arg;

	(void)q;
	if (cid_find(c->dp->cids, cid->data, cid->datalen) == c)
		cid_remove(c->dp->cids, cid->data, cid->datalen);
	return 0;
}

/* The tokens by which the peer may end the connection when it has forgotten it: such a packet names no connection. */
static int
dcid_status_cb(ngtcp2_conn *q, ngtcp2_connection_id_status_type type, uint64_t seq, const ngtcp2_cid *cid,
    const ngtcp2_stateless_reset_token *token, void *arg)
{
	struct conn *c = arg;

	(void)q;
	(void)seq;
	(void)cid;
	if (token == NULL)
		return 0;
	if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE)
		cid_add(c->dp->tokens, &c->tokens, c, token->data, sizeof(token->data));
	else if (cid_find(c->dp->tokens, token->data, sizeof(token->data)) == c)
		cid_remove(c->dp->tokens, token->data, sizeof(token->data));
	return 0;
}

static bool
alpn_agreed(WOLFSSL *ssl)
{
	char *name = NULL;
	unsigned short len = 0;

	return wolfSSL_ALPN_GetProtocol(ssl, &name, &len) == WOLFSSL_SUCCESS &&
	    len == sizeof(TLS_ALPN) - 1 && memcmp(name, TLS_ALPN, len) == 0;
}

static int
handshake_completed_cb(ngtcp2_conn *q, void *arg)
{
	struct conn *c = arg;
	uint8_t exporter[EXPORTER_LEN], nonce[FRAME_NONCE_LEN];

	if (!alpn_agreed(c->ssl) || tls_exporter(c->ssl, EXPORTER_LABEL, exporter, sizeof(exporter)) == -1 ||
	    tls_exporter(c->ssl, EXPRESS_LABEL, c->express_keys, sizeof(c->express_keys)) == -1)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	tls_exported(c->ssl);
	if (c->session.initiator && ngtcp2_conn_open_bidi_stream(q, &c->control_id, NULL) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	c->handshake_done = true;
	STAT_INC(DP_HANDSHAKES);
	crypto_random(nonce, sizeof(nonce));
	session_start(&c->session, exporter, nonce, c->dp->now_ns);
	crypto_wipe(exporter, sizeof(exporter));
	return 0;
}

static int
recv_stream_cb(ngtcp2_conn *q, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data, size_t len,
    void *arg, void *stream_arg)
{
	struct conn *c = arg;

	(void)offset;
	if (c->control_id == -1 && !c->session.initiator)
		c->control_id = id;
	if (id != c->control_id)
		return qstream_recv(c, id, data, len, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0, stream_arg);
	session_input(&c->session, data, len, c->dp->now_ns, clock_wall());
	if (flags & NGTCP2_STREAM_DATA_FLAG_FIN)
		session_fail(&c->session, REASON_PROTOCOL);
	ngtcp2_conn_extend_max_stream_offset(q, id, len);
	ngtcp2_conn_extend_max_offset(q, len);
	return 0;
}

/* The control stream lives as long as the session: whoever ends it alone ends both. */
static int
stream_close_cb(ngtcp2_conn *q, uint32_t flags, int64_t id, uint64_t code, void *arg, void *stream_arg)
{
	struct conn *c = arg;

	(void)q;
	(void)flags;
	(void)code;
	if (id == c->control_id)
		session_fail(&c->session, REASON_PROTOCOL);
	else
		qstream_closed(c, id, stream_arg);
	return 0;
}

/* Streams are broken off by RESET_STREAM of the fabric's, which says why, and never by QUIC's. */
static int
stream_reset_cb(ngtcp2_conn *q, int64_t id, uint64_t size, uint64_t code, void *arg, void *stream_arg)
{
	struct conn *c = arg;

	(void)q;
	(void)id;
	(void)size;
	(void)code;
	(void)stream_arg;
	session_fail(&c->session, REASON_PROTOCOL);
	return 0;
}

static int
stop_sending_cb(ngtcp2_conn *q, int64_t id, uint64_t code, void *arg, void *stream_arg)
{
	return stream_reset_cb(q, id, 0, code, arg, stream_arg);
}

static int
acked_stream_cb(ngtcp2_conn *q, int64_t id, uint64_t offset, uint64_t len, void *arg, void *stream_arg)
{
	struct conn *c = arg;

	(void)q;
	if (id == c->control_id)
		control_acked(&c->out, offset + len);
	else if (stream_arg != NULL)
		qstream_acked(c, stream_arg, offset + len);
	return 0;
}

static int
more_window_cb(ngtcp2_conn *q, int64_t id, uint64_t max, void *arg, void *stream_arg)
{
	struct conn *c = arg;

	(void)q;
	(void)max;
	if (id == c->control_id)
		c->blocked = false;
	else if (stream_arg != NULL)
		qstream_window(c, stream_arg);
	return 0;
}

static int
more_streams_cb(ngtcp2_conn *q, uint64_t max, void *arg)
{
	(void)q;
	(void)max;
	qstreams_more(arg);
	return 0;
}

static int
recv_datagram_cb(ngtcp2_conn *q, uint32_t flags, const uint8_t *data, size_t len, void *arg)
{
	struct conn *c = arg;

	(void)q;
	(void)flags;
	if (hop_datagram(c, data, len) == -1)
		session_fail(&c->session, REASON_PROTOCOL);
	return 0;
}

/*
 * A path is used by QUIC at once, sparingly, and by express packets when it is proven. When a new one is, ngtcp2 asks the
 * one before too, and tells only that it begins: what counts is the one in use.
 */
static int
path_begin_cb(ngtcp2_conn *q, uint32_t flags, const ngtcp2_path *path, const ngtcp2_path *fallback, void *arg)
{
	struct conn *c = arg;

	(void)flags;
	(void)fallback;
	if (ngtcp2_path_eq(path, ngtcp2_conn_get_path2(q)))
		c->path_unproven = true;
	return 0;
}

/*
 * The path in use was proven, or QUIC is back on the one before, which was. A validation that was given up proves nothing: a
 * peer brings that about when it retires the connection ids that it takes, from any address that it may have made up.
 */
static int
path_end_cb(ngtcp2_conn *q, uint32_t flags, const ngtcp2_path *path, const ngtcp2_path *fallback,
    ngtcp2_path_validation_result res, void *arg)
{
	const ngtcp2_path *current = ngtcp2_conn_get_path2(q);
	struct conn *c = arg;

	(void)flags;
	if ((res == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS && ngtcp2_path_eq(path, current)) ||
	    (fallback != NULL && (res == NGTCP2_PATH_VALIDATION_RESULT_FAILURE || ngtcp2_path_eq(fallback, current))))
		c->path_unproven = false;
	return 0;
}

static int
stateless_reset_cb(ngtcp2_conn *q, const ngtcp2_pkt_stateless_reset2 *sr, void *arg)
{
	struct conn *c = arg;

	(void)q;
	(void)sr;
	STAT_INC(DP_RESETS_RECEIVED);
	c->by_peer = true;
	c->reason = REASON_PEER_GONE;
	return 0;
}

static void
callbacks_set(ngtcp2_callbacks *cb)
{
	memset(cb, 0, sizeof(*cb));
	cb->client_initial = ngtcp2_crypto_client_initial_cb;
	cb->recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
	cb->recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
	cb->recv_retry = ngtcp2_crypto_recv_retry_cb;
	cb->update_key = ngtcp2_crypto_update_key_cb;
	cb->delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
	cb->delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
	cb->get_path_challenge_data2 = ngtcp2_crypto_get_path_challenge_data2_cb;
	cb->version_negotiation = ngtcp2_crypto_version_negotiation_cb;
	cb->rand = rand_cb;
	cb->get_new_connection_id2 = new_cid_cb;
	cb->remove_connection_id = remove_cid_cb;
	cb->dcid_status2 = dcid_status_cb;
	cb->handshake_completed = handshake_completed_cb;
	cb->recv_stream_data = recv_stream_cb;
	cb->stream_close = stream_close_cb;
	cb->stream_reset = stream_reset_cb;
	cb->recv_stop_sending = stop_sending_cb;
	cb->acked_stream_data_offset = acked_stream_cb;
	cb->extend_max_stream_data = more_window_cb;
	cb->extend_max_local_streams_bidi = more_streams_cb;
	cb->recv_datagram = recv_datagram_cb;
	cb->recv_stateless_reset2 = stateless_reset_cb;
	cb->begin_path_validation = path_begin_cb;
	cb->path_validation = path_end_cb;
	protect_callbacks(cb);
}

static void
settings_set(struct dataplane *dp, ngtcp2_settings *s)
{
	ngtcp2_settings_default(s);
	s->initial_ts = dp->now_ns;
	/*
	 * Measured (tests/net/impair, iperf3 through two TUNs): 100 Mbit/s with 20 ms and 1 % loss, BBR 43-74, CUBIC
	 * 6 Mbit/s; with a buffer of 1 MB, ping beside a download 36 against 51 ms; between namespaces both alike.
	 */
	s->cc_algo = NGTCP2_CC_ALGO_BBR;
	s->max_tx_udp_payload_size = MAX_UDP_PAYLOAD;
	s->pmtud_probes = mtu_probes;
	s->pmtud_probeslen = sizeof(mtu_probes) / sizeof(mtu_probes[0]);
	s->handshake_timeout = dp->self.auth_timeout_ns;
}

static void
params_set(struct dataplane *dp, ngtcp2_transport_params *p, bool server)
{
	ngtcp2_transport_params_default(p);
	p->initial_max_streams_bidi = server ? 1 : 0;	/* the control stream, which the client opens */
	p->initial_max_streams_uni = 0;
	p->initial_max_stream_data_bidi_local = QSTREAM_WINDOW;
	p->initial_max_stream_data_bidi_remote = QSTREAM_WINDOW;
	p->initial_max_data = CONTROL_WINDOW;	/* until the peer is proven */
	p->max_idle_timeout = dp->self.dead_ns;
	p->active_connection_id_limit = 7;
	p->max_datagram_frame_size = 65535;
}

static ngtcp2_conn *
get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct conn *)ref->user_data)->q;
}

void
conn_due(struct conn *c)
{
	uint64_t now = c->dp->now_ns;
	int rv = 0;

	if (!c->closing && now >= ngtcp2_conn_get_expiry2(c->q))
		rv = ngtcp2_conn_handle_expiry(c->q, now);
	if (rv != 0)
		conn_error(c, rv);
	session_tick(&c->session, now);
	conn_dirty(c);
}

/* What both sides share. The connection is in dp's lists from here on; conn_free() takes it back. */
static struct conn *
conn_new(struct dataplane *dp, struct udp_sock *us, bool initiator, const uint8_t *expect)
{
	struct conn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->dp = dp;
	c->sock = us;
	c->control_id = -1;
	c->ref.get_conn = get_conn;
	c->ref.user_data = c;
	c->since_wall = clock_wall();
	LIST_INIT(&c->cids);
	LIST_INIT(&c->tokens);
	control_out_init(&c->out);
	qstreams_init(&c->qs);
	govern_init(&c->govern);
	records_init(&c->records);
	session_init(&c->session, &dp->self, &hop_ops, c, initiator, expect, dp->now_ns);
	TAILQ_INSERT_TAIL(&dp->conns, c, all);
	dp->nconns++;
	c->half_open = true;
	dp->nhalf_open++;
	c->timer_reserved = timers_reserve(dp->timers) == 0;
	if (!c->timer_reserved || (c->ssl = tls_session(dp->tls, initiator ? 0 : 1)) == NULL) {
		conn_free(c);
		return NULL;
	}
	wolfSSL_set_app_data(c->ssl, &c->ref);
	return c;
}

static void
path_set(ngtcp2_path_storage *ps, struct udp_sock *us, const struct sockaddr *remote, socklen_t len)
{
	/*
	 * The local half is always the socket's own bound address: which of the machine's addresses a packet came
	 * to is kept in conn.local, so that a client whose address changes stays on its path and the server follows.
	 */
	ngtcp2_path_storage_init(ps, (const struct sockaddr *)&us->bound, us->bound_len, remote, len, NULL);
}

struct conn *
conn_accept(struct dataplane *dp, const struct accept_args *args)
{
	const ngtcp2_pkt_hd *hd = &args->hd;
	ngtcp2_callbacks cb;
	ngtcp2_settings settings;
	ngtcp2_transport_params params;
	ngtcp2_path_storage ps;
	ngtcp2_cid scid = { .datalen = QUIC_CID_LEN };
	struct conn *c;

	if ((c = conn_new(dp, args->sock, false, NULL)) == NULL)
		return NULL;
	c->local = args->meta->local;
	callbacks_set(&cb);
	settings_set(dp, &settings);
	params_set(dp, &params, true);
	params.original_dcid = args->retried ? args->odcid : hd->dcid;
	params.original_dcid_present = 1;
	if (args->retried) {
		params.retry_scid = hd->dcid;
		params.retry_scid_present = 1;
		settings.token = hd->token;
		settings.tokenlen = hd->tokenlen;
		settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
	}
	crypto_random(scid.data, scid.datalen);
	params.stateless_reset_token_present = 1;
	if (ngtcp2_crypto_generate_stateless_reset_token(params.stateless_reset_token, dp->reset_key,
	    sizeof(dp->reset_key), &scid) != 0)
		goto fail;
	path_set(&ps, args->sock, args->meta->remote, args->meta->remote_len);
	if (ngtcp2_conn_server_new(&c->q, &hd->scid, &scid, &ps.path, hd->version, &cb, &settings, &params, NULL, c) != 0)
		goto fail;
	ngtcp2_conn_set_tls_native_handle(c->q, c->ssl);
	if (cid_add(dp->cids, &c->cids, c, scid.data, scid.datalen) == -1 ||
	    cid_add(dp->cids, &c->cids, c, hd->dcid.data, hd->dcid.datalen) == -1)
		goto fail;
	return c;
fail:
	conn_free(c);
	return NULL;
}

struct conn *
quic_dial(struct dataplane *dp, struct peer *peer, const struct pm_addr *to, struct udp_sock *us)
{
	ngtcp2_callbacks cb;
	ngtcp2_settings settings;
	ngtcp2_transport_params params;
	ngtcp2_path_storage ps;
	ngtcp2_cid scid = { .datalen = QUIC_CID_LEN }, dcid = { .datalen = 18 };
	struct sockaddr_storage ss;
	socklen_t ss_len;
	struct conn *c;

	if (us == NULL || us->addr.family != to->family || udp_addr_to_sockaddr(to, &ss, &ss_len) == -1)
		return NULL;
	if ((c = conn_new(dp, us, true, peer->node_id)) == NULL)
		return NULL;
	c->dialled = *to;
	callbacks_set(&cb);
	settings_set(dp, &settings);
	params_set(dp, &params, false);
	crypto_random(scid.data, scid.datalen);
	crypto_random(dcid.data, dcid.datalen);
	path_set(&ps, us, (struct sockaddr *)&ss, ss_len);
	if (ngtcp2_conn_client_new(&c->q, &dcid, &scid, &ps.path, NGTCP2_PROTO_VER_V1, &cb, &settings, &params, NULL,
	    c) != 0)
		goto fail;
	ngtcp2_conn_set_tls_native_handle(c->q, c->ssl);
	if (cid_add(dp->cids, &c->cids, c, scid.data, scid.datalen) == -1)
		goto fail;
	c->peer = peer;
	c->dialling = true;
	peer->ndials++;
	peer->nconns++;
	STAT_INC(DP_DIALS);
	conn_dirty(c);
	return c;
fail:
	conn_free(c);
	return NULL;
}

/* What the peer's CONNECTION_CLOSE said, as one of our reasons. */
static uint64_t
close_reason(const struct conn *c)
{
	const ngtcp2_ccerr *e = ngtcp2_conn_get_ccerr2(c->q);

	if (c->by_peer && c->reason != REASON_NONE)
		return c->reason;	/* a stateless reset */
	if (e->type == NGTCP2_CCERR_TYPE_APPLICATION)
		return e->error_code == REASON_NONE ? REASON_SHUTDOWN : e->error_code;
	if (e->type == NGTCP2_CCERR_TYPE_TRANSPORT && e->error_code == NGTCP2_NO_ERROR)
		return REASON_SHUTDOWN;
	if (e->type == NGTCP2_CCERR_TYPE_TRANSPORT && e->error_code == NGTCP2_CONNECTION_REFUSED)
		return REASON_REFUSED;
	return REASON_PROTOCOL;
}

void
conn_error(struct conn *c, int liberr)
{
	if (c->closing)
		return;
	c->liberr = liberr;
	log_debug("quic error=%s alert=%u initiator=%d", ngtcp2_strerror(liberr), ngtcp2_conn_get_tls_alert2(c->q),
	    c->session.initiator);
	switch (liberr) {
	case NGTCP2_ERR_DRAINING:
		c->silent = true;
		c->by_peer = true;
		session_lost(&c->session, close_reason(c));
		break;
	case NGTCP2_ERR_IDLE_CLOSE:
		c->silent = true;
		session_lost(&c->session, REASON_TIMEOUT);
		break;
	case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
		c->silent = true;
		session_lost(&c->session, REASON_AUTH_TIMEOUT);
		break;
	case NGTCP2_ERR_DROP_CONN:
		c->silent = true;
		session_lost(&c->session, REASON_PROTOCOL);
		break;
	case NGTCP2_ERR_CRYPTO:
		STAT_INC(DP_TLS_FAILURES);
		session_lost(&c->session, REASON_PROTOCOL);
		break;
	case NGTCP2_ERR_NOMEM:
		session_lost(&c->session, REASON_INTERNAL);
		break;
	default:
		session_lost(&c->session, REASON_PROTOCOL);
	}
}

void
conn_input(struct conn *c, struct udp_sock *us, const struct udp_meta *meta, const uint8_t *pkt, size_t len)
{
	ngtcp2_path path = {
		.local = { (struct sockaddr *)&us->bound, us->bound_len },
		.remote = { (struct sockaddr *)(uintptr_t)meta->remote, meta->remote_len },
	};
	ngtcp2_pkt_info pi = { .ecn = meta->ecn };
	int rv;

	if (c->closing)
		return;
	c->sock = us;
	if ((rv = ngtcp2_conn_read_pkt(c->q, &path, &pi, pkt, len, c->dp->now_ns)) != 0)
		conn_error(c, rv);
	else
		c->local = meta->local;
	conn_dirty(c);
}

void
conn_dirty(struct conn *c)
{
	c->quic_dirty = true;
	conn_touch(c);
}

void
conn_touch(struct conn *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	TAILQ_INSERT_TAIL(&c->dp->dirty, c, dirty_entry);
}

void
conn_end(struct conn *c, uint64_t reason)
{
	session_fail(&c->session, reason);
	conn_dirty(c);
}

void
conn_free(struct conn *c)
{
	struct dataplane *dp = c->dp;

	conn_direct_forget(c);
	express_free(c);
	hop_down(c, c->reason);
	peer_conn_gone(dp, c);
	if (c->half_open)
		dp->nhalf_open--;
	dp->nconns--;
	TAILQ_REMOVE(&dp->conns, c, all);
	if (c->dirty)
		TAILQ_REMOVE(&dp->dirty, c, dirty_entry);
	cid_remove_all(dp->cids, &c->cids);
	cid_remove_all(dp->tokens, &c->tokens);
	for (size_t i = 0; i < c->nstage; i++)
		sched_pkt_free(&dp->pool, c->stage[i]);
	sched_free(c->sched);
	session_free(&c->session);
	records_free(&c->records);
	if (c->timer_reserved)
		timers_release(dp->timers, &c->timer);
	qstreams_free(c);
	ngtcp2_conn_del(c->q);
	wolfSSL_free(c->ssl);
	control_out_free(&c->out);
	free(c);
}

void
conn_remote(const struct conn *c, struct pm_addr *a)
{
	udp_addr_from_sockaddr(ngtcp2_conn_get_path2(c->q)->remote.addr, a);
}

void
conn_info(const struct conn *c, ngtcp2_conn_info *info)
{
	ngtcp2_conn_get_conn_info2(c->q, info);
	express_info(c, info);
}

uint32_t
conn_datagram_max(const struct conn *c)
{
	const ngtcp2_transport_params *p = ngtcp2_conn_get_remote_transport_params2(c->q);
	size_t payload = ngtcp2_conn_get_path_max_tx_udp_payload_size2(c->q);
	/* Short header: flags, connection id, packet number; the AEAD tag; DATAGRAM's type and length. */
	size_t used = 1 + ngtcp2_conn_get_dcid2(c->q)->datalen + 4 + 16 + 3;
	uint32_t max;

	if (p == NULL || p->max_datagram_frame_size < 3 || payload <= used)
		return 0;
	max = (uint32_t)(payload - used);
	if (max > p->max_datagram_frame_size - 3)
		max = (uint32_t)p->max_datagram_frame_size - 3;
	if (max > c->session.theirs.max_datagram)
		max = c->session.theirs.max_datagram;
	return max < DP_DATAGRAM_MAX ? max : DP_DATAGRAM_MAX;
}
