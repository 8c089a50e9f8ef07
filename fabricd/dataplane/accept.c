/* Packets that come in: to their connection, or to a new one, or answered without keeping anything. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/conn.h"
#include "fabricd/dataplane/limits.h"
#include "fabricd/dataplane/quic.h"
#include "proc/stats.h"

#define RETRY_TOKEN_NS	(10 * NGTCP2_SECONDS)	/* how long an address may take to answer */
#define RESET_MIN	(5 + NGTCP2_STATELESS_RESET_TOKENLEN)	/* RFC 9000, section 10.3 */
#define RESET_MAX	43u	/* no observer takes it for a short packet of another kind */
#define REPLY_MAX	1500u

static void
reply(struct udp_sock *us, const struct udp_meta *meta, const uint8_t *buf, size_t len)
{
	struct udp_local from = meta->local;

	if (!us->blocked)
		udp_send(us, meta->remote, meta->remote_len, &from, 0, buf, len, len);
}

static void
version_negotiate(struct udp_sock *us, const struct udp_meta *meta, const ngtcp2_version_cid *vc)
{
	static const uint32_t versions[] = { NGTCP2_PROTO_VER_V1 };
	uint8_t buf[REPLY_MAX], unused;
	ngtcp2_ssize n;

	if (!ratelimit_take(&us->dp->refusals, us->dp->now_ns))
		return;
	crypto_random(&unused, 1);
	n = ngtcp2_pkt_write_version_negotiation(buf, sizeof(buf), unused, vc->scid, vc->scidlen, vc->dcid, vc->dcidlen,
	    versions, 1);
	if (n > 0)
		reply(us, meta, buf, (size_t)n);
}

static void
retry_send(struct udp_sock *us, const struct udp_meta *meta, const ngtcp2_pkt_hd *hd)
{
	struct dataplane *dp = us->dp;
	uint8_t buf[REPLY_MAX], token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2];
	ngtcp2_cid scid = { .datalen = QUIC_CID_LEN };
	ngtcp2_ssize len, n;

	crypto_random(scid.data, scid.datalen);
	len = ngtcp2_crypto_generate_retry_token2(token, dp->token_key, sizeof(dp->token_key), hd->version,
	    meta->remote, meta->remote_len, &scid, &hd->dcid, clock_wall() * NGTCP2_SECONDS);
	if (len < 0)
		return;
	n = ngtcp2_crypto_write_retry(buf, sizeof(buf), hd->version, &hd->scid, &scid, &hd->dcid, token, (size_t)len);
	if (n <= 0)
		return;
	STAT_INC(DP_RETRY_SENT);
	reply(us, meta, buf, (size_t)n);
}

static void
refuse(struct udp_sock *us, const struct udp_meta *meta, const ngtcp2_pkt_hd *hd, uint64_t code)
{
	uint8_t buf[REPLY_MAX];
	ngtcp2_ssize n;

	STAT_INC(DP_ACCEPT_REFUSED);
	if (!ratelimit_take(&us->dp->refusals, us->dp->now_ns))
		return;
	n = ngtcp2_crypto_write_connection_close(buf, sizeof(buf), hd->version, &hd->scid, &hd->dcid, code, NULL, 0);
	if (n > 0)
		reply(us, meta, buf, (size_t)n);
}

/*
 * A short header for nobody: most likely a peer that still speaks to this worker's last generation. The reset key
 * outlives a worker, so the peer believes the answer and dials at once instead of waiting for its timeout.
 */
static void
stateless_reset(struct udp_sock *us, const struct udp_meta *meta, const uint8_t *pkt, size_t len)
{
	struct dataplane *dp = us->dp;
	ngtcp2_stateless_reset_token token;
	uint8_t buf[RESET_MAX], noise[RESET_MAX];
	size_t reset_len = len - 1 < RESET_MAX ? len - 1 : RESET_MAX;	/* shorter than what it answers: no loop */
	ngtcp2_cid cid = { .datalen = QUIC_CID_LEN };
	ngtcp2_ssize n;

	STAT_INC(DP_UNKNOWN_CID);
	if (reset_len < RESET_MIN || !ratelimit_take(&dp->resets, dp->now_ns))
		return;
	memcpy(cid.data, pkt + 1, QUIC_CID_LEN);
	if (ngtcp2_crypto_generate_stateless_reset_token(token.data, dp->reset_key, sizeof(dp->reset_key), &cid) != 0)
		return;
	crypto_random(noise, sizeof(noise));
	n = ngtcp2_pkt_write_stateless_reset2(buf, sizeof(buf), &token, noise,
	    reset_len - NGTCP2_STATELESS_RESET_TOKENLEN);
	if (n <= 0)
		return;
	STAT_INC(DP_RESETS_SENT);
	reply(us, meta, buf, (size_t)n);
}

/* The token of an Initial: 1 a Retry of ours was answered, 0 none that counts, -1 the client must be refused. */
static int
token_check(struct dataplane *dp, const struct udp_meta *meta, const ngtcp2_pkt_hd *hd, ngtcp2_cid *odcid)
{
	int rv;

	if (hd->tokenlen == 0 || hd->token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2)
		return 0;
	rv = ngtcp2_crypto_verify_retry_token2(odcid, hd->token, hd->tokenlen, dp->token_key, sizeof(dp->token_key),
	    hd->version, meta->remote, meta->remote_len, &hd->dcid, RETRY_TOKEN_NS,
	    clock_wall() * NGTCP2_SECONDS);
	return rv == 0 ? 1 : -1;
}

/* A first packet that is well formed: whether it may cost us a connection. */
static void
initial(struct udp_sock *us, const struct udp_meta *meta, const uint8_t *pkt, size_t len)
{
	struct dataplane *dp = us->dp;
	const struct pm_conf_session *cs;
	struct accept_args args = { .sock = us, .meta = meta };
	struct pm_addr from;
	struct conn *c;
	int token;

	if (ngtcp2_accept(&args.hd, pkt, len) != 0) {
		STAT_INC(DP_PACKETS_IGNORED);
		return;
	}
	if (dp->conf == NULL || dp->self.delegation_len == 0 || dp->draining)
		return;		/* not able yet, or not any more: the client tries again, or elsewhere */
	cs = &dp->conf->session;
	udp_addr_from_sockaddr(meta->remote, &from);
	if (prefix_blocked(dp->prefixes, &from, cs->auth_fail_per_min, dp->now_ns)) {
		STAT_INC(DP_ACCEPT_AUTH_RATE);
		refuse(us, meta, &args.hd, NGTCP2_CONNECTION_REFUSED);
		return;
	}
	if (dp->nhalf_open >= DP_HALF_OPEN_MAX || dp->nconns >= cs->max_sessions + DP_HALF_OPEN_MAX) {
		STAT_INC(DP_ACCEPT_FULL);
		return;		/* without an answer: it would cost what there is none of */
	}
	token = token_check(dp, meta, &args.hd, &args.odcid);
	if (token == -1) {
		STAT_INC(DP_TOKENS_BAD);
		refuse(us, meta, &args.hd, NGTCP2_INVALID_TOKEN);
		return;
	}
	args.retried = token == 1;
	if (token == 0 && dp->nhalf_open >= cs->retry_above) {
		retry_send(us, meta, &args.hd);
		return;
	}
	if ((c = conn_accept(dp, &args)) == NULL)
		return;
	STAT_INC(DP_ACCEPTED);
	conn_input(c, us, meta, pkt, len);
}

void
quic_input(struct dataplane *dp, struct udp_sock *us, const struct udp_meta *meta, const uint8_t *pkt, size_t len)
{
	ngtcp2_version_cid vc;
	struct conn *c;

	if (len > QUIC_CID_LEN && (pkt[0] & 0x80) == 0) {	/* a short header: nearly all */
		if ((c = cid_find(dp->cids, pkt + 1, QUIC_CID_LEN)) == NULL && len >= RESET_MIN)
			c = cid_find(dp->tokens, pkt + len - NGTCP2_STATELESS_RESET_TOKENLEN,
			    NGTCP2_STATELESS_RESET_TOKENLEN);
		if (c != NULL)
			conn_input(c, us, meta, pkt, len);
		else
			stateless_reset(us, meta, pkt, len);
		return;
	}
	switch (ngtcp2_pkt_decode_version_cid(&vc, pkt, len, QUIC_CID_LEN)) {
	case 0:
		break;
	case NGTCP2_ERR_VERSION_NEGOTIATION:
		version_negotiate(us, meta, &vc);
		return;
	default:
		STAT_INC(DP_PACKETS_IGNORED);
		return;
	}
	if ((c = cid_find(dp->cids, vc.dcid, vc.dcidlen)) != NULL)
		conn_input(c, us, meta, pkt, len);
	else
		initial(us, meta, pkt, len);
}
