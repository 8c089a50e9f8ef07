/*
 * A path that becomes smaller under a session: ngtcp2 finds the size of a path once and never doubts it, so that
 * the session would live on small packets and lose every other. What is lost tells: it is large, and next to
 * nothing large arrives. The session is then begun anew, and finds the path's size again.
 *
 * What arrived before in the same second hides that, and a TCP that gets no answer then sends less and less often: once
 * many large ones were lost, a few that follow are enough, when these are all that was sent.
 */
#include "base/clock.h"
#include "fabricd/dataplane/quic.h"

#define WINDOW_NS	(30 * NS_PER_SEC)
#define LOST_MIN	5u	/* packets that say something: a TCP that gets no answer sends few */
#define LOST_SUSPECT	2u	/* as much, after so many */

static void
mark(struct conn *c, const ngtcp2_conn_info *info)
{
	c->mtu_mark.at_ns = c->dp->now_ns;
	c->mtu_mark.lost = info->pkt_lost;
	c->mtu_mark.bytes_lost = info->bytes_lost;
	c->mtu_mark.large = c->large_sent;
}

bool
mtu_blackhole(struct conn *c)
{
	ngtcp2_conn_info info;
	uint64_t lost, bytes_lost, large;
	bool suspect;

	conn_info(c, &info);
	lost = info.pkt_lost - c->mtu_mark.lost;
	bytes_lost = info.bytes_lost - c->mtu_mark.bytes_lost;
	large = c->large_sent - c->mtu_mark.large;
	suspect = c->dp->now_ns < c->mtu_mark.suspect_until_ns;
	if (lost < (suspect ? LOST_SUSPECT : LOST_MIN)) {
		if (lost == 0 || c->dp->now_ns - c->mtu_mark.at_ns >= WINDOW_NS)
			mark(c, &info);
		return false;
	}
	mark(c, &info);
	if (bytes_lost / lost <= QUIC_LARGE)
		return false;
	if (lost >= LOST_MIN)
		c->mtu_mark.suspect_until_ns = c->dp->now_ns + WINDOW_NS;
	return lost * 10 >= large * 9;
}
