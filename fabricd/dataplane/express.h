/*
 * Unreliable DATA of a session beside QUIC: express packets on QUIC's path (fabric-frame(5)), with keys from its TLS
 * exporter and a congestion control of their own. DATAGRAM remains for a peer, or a path, that takes none.
 */
#ifndef DATAPLANE_EXPRESS_H
#define DATAPLANE_EXPRESS_H

#include <ngtcp2/ngtcp2.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/express.h"

struct conn;
struct dataplane;
struct express;
struct udp_meta;
struct udp_sock;

/* Both sides are up and take express packets: from now on they are sent. What memory is lacking for goes in DATAGRAMs. */
void	express_start(struct conn *);
void	express_free(struct conn *);

/* Decides whether what waits goes in them now, c->express_on, or in DATAGRAMs, and puts it into the port's turn then. */
void	express_choose(struct conn *);

/*
 * Express packets that came in one message, of `segment` bytes each but for the last: takes those at its start that are
 * for the same connection and gives the bytes that they were, at least one packet's. They are opened where they lie.
 */
size_t	express_input(struct dataplane *, struct udp_sock *, const struct udp_meta *, uint8_t *buf, size_t len,
	    size_t segment);

/*
 * One frame, at once, when nothing waits before it and there is room; `bare` when its payload is sealed end to end.
 * False: it has to be queued.
 */
bool	express_send_direct(struct conn *, const uint8_t *hdr, size_t hdr_len, const uint8_t *payload, size_t len,
	    bool bare);

/* Sends what may be sent: frames that wait, feedback that is due. */
void	express_flush(struct conn *);

/* When that is wanted next; UINT64_MAX for never. */
uint64_t express_deadline(const struct conn *);

/* Adds what express packets have sent and received to what QUIC has. */
void	express_info(const struct conn *, ngtcp2_conn_info *);

#endif
