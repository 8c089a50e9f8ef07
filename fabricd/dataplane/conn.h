/* Between accept.c, conn.c and write.c; the rest of the dataplane uses quic.h. */
#ifndef DATAPLANE_CONN_H
#define DATAPLANE_CONN_H

#include "fabricd/dataplane/quic.h"

struct accept_args {
	struct udp_sock		*sock;
	const struct udp_meta	*meta;
	ngtcp2_pkt_hd		 hd;
	ngtcp2_cid		 odcid;		/* the client's first, before a Retry */
	bool			 retried;
};

/* The server's side of a new connection. NULL when it cannot be made. */
struct conn *conn_accept(struct dataplane *, const struct accept_args *);

/* One packet for it. */
void	conn_input(struct conn *, struct udp_sock *, const struct udp_meta *, const uint8_t *pkt, size_t len);

/* ngtcp2 says that it is over. */
void	conn_error(struct conn *, int liberr);

/* hop.c: the session that it carries */
extern const struct session_ops hop_ops;

/* pressure.c: tells this peer */
void	pressure_tell(struct conn *);

/* hop.c: one DATAGRAM's frames. 0, or -1 when they are malformed and the session is to end. */
int	hop_datagram(struct conn *, const uint8_t *p, size_t len);

/*
 * write.c: sends one frame at once when nothing waits before it and the window has room. False: it has to be queued.
 * Not from inside a callback of ngtcp2's for the same connection.
 */
bool	conn_send_direct(struct conn *, const uint8_t *hdr, size_t hdr_len, const uint8_t *payload, size_t len);
/* It is being freed. */
void	conn_direct_forget(const struct conn *);

#endif
