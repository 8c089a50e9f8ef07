/*
 * One QUIC connection that carries one fabric session: ngtcp2 with wolfSSL, the control stream, and DATAGRAMs
 * for unreliable DATA.
 */
#ifndef DATAPLANE_QUIC_H
#define DATAPLANE_QUIC_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "fabric/govern.h"
#include "fabricd/dataplane/cid.h"
#include "fabricd/dataplane/dp.h"
#include "fabricd/dataplane/express.h"
#include "fabricd/dataplane/qstream.h"
#include "fabricd/dataplane/records.h"
#include "fabricd/dataplane/timer.h"
#include "fabricd/dataplane/udp.h"

#define QUIC_CID_LEN		CID_OWN_LEN
#define QUIC_STAGE_MAX		16u	/* frames packed in one DATAGRAM */
#define QUIC_LARGE	1200u	/* every path of QUIC's carries this much */
#define CONTROL_CHUNK		4096u
#define CONTROL_QUEUE_MAX	(4u << 20)	/* bytes of the control stream that the peer has not acknowledged */
#define CONTROL_QUEUE_OPENS	(1u << 20)	/* of those, beyond which no stream is opened */
#define CONTROL_WINDOW		(64u * 1024)	/* bytes of it that a peer may send ahead */

/* Bytes of the control stream stay where they are until they are acknowledged: ngtcp2 points into them. */
struct control_chunk {
	TAILQ_ENTRY(control_chunk) entry;
	uint64_t offset;	/* of data[0] in the stream */
	size_t	 len;
	uint8_t	 data[CONTROL_CHUNK];
};

struct control_out {
	TAILQ_HEAD(control_chunks, control_chunk) chunks;
	uint64_t acked, sent, end;	/* stream offsets */
};

#define CONN_KEY_PACKETS (1ull << 22)	/* under one key: well below what ngtcp2 and AES-GCM bear */

struct conn {
	struct dataplane *dp;
	ngtcp2_conn	*q;
	WOLFSSL		*ssl;
	ngtcp2_crypto_conn_ref ref;
	struct udp_sock	*sock;
	struct udp_local local;		/* the own address that the peer reaches us at */
	struct timer	 timer;
	bool		 timer_reserved;
	TAILQ_ENTRY(conn) all, dirty_entry;
	bool		 dirty;
	bool		 quic_dirty;	/* not for its express packets alone */
	bool		 half_open;	/* counted as such */
	bool		 handshake_done;
	bool		 closing;	/* to be ended at dp_flush() */
	bool		 silent;	/* nothing more is to be sent */
	bool		 blocked;	/* the control stream has no window */
	bool		 port_on;	/* attached to the switch */
	bool		 told_up;	/* PM_PEER_UP went out */
	bool		 replaced;	/* a younger session to the same dataplane is about to come up */
	bool		 dialling;	/* counted in peer->ndials */
	int		 liberr;	/* ngtcp2's, when that ends it */
	uint64_t	 reason;	/* why it ends */
	bool		 by_peer;	/* the peer's doing */
	int64_t		 control_id;	/* -1: not open yet */
	struct control_out out;
	struct session	 session;
	struct port	 port;
	struct peer	*peer;		/* who was dialled, or whose session it is or was */
	struct pm_addr	 dialled;
	struct sched	*sched;		/* once it is up */
	struct turn_entry packets[CLASS_COUNT];	/* sched's place in the port's turn */
	struct qstreams	 qs;
	struct express	*express;	/* NULL: the peer takes none */
	uint8_t		 express_keys[EXPRESS_KEYS * EXPRESS_KEY_LEN];	/* until it is up */
	bool		 express_on;	/* what waits in sched is for it, and not in the port's turn */
	bool		 path_unproven;	/* QUIC validates a new one */
	uint8_t		 ecn;		/* of QUIC's last packet: what the path is thought to bear */
	struct sched_pkt *stage[QUIC_STAGE_MAX + 1];	/* frames of the packet being sent, and one that was too many */
	size_t		 nstage, stage_len;
	uint32_t	 datagram_max, datagram_told;
	bool		 settled_told;
	uint64_t	 mtu_ns;	/* when datagram_max last changed */
	struct {		/* counters when packets last began to be lost */
		uint64_t at_ns, lost, bytes_lost, large;
		uint64_t suspect_until_ns;	/* many large ones were lost, though not all */
	} mtu_mark;
	int64_t		 inflight_room;	/* bytes that may still be put under way; see write.c */
	int64_t		 patient_room;	/* of those, for classes that can wait */
	int64_t		 bulk_room;	/* and for the last two of these */
	struct frame_node_pressure pressure;	/* the peer's, as it said */
	struct govern	 govern;
	uint64_t	 large_sent;	/* packets above QUIC_LARGE */
	struct conn_records records;	/* what the peer says that it serves */
	uint64_t	 since_wall;
	uint64_t	 own_not_after;	/* of the records that this side proved itself with */
	uint64_t	 renewed_wall;	/* when it was last dialled anew for that */
	uint64_t	 probed_ns;	/* a PING to see whether the path still is; 0: none is out */
	uint64_t	 packets_in;	/* authentic ones, at the last look */
	uint64_t	 key_packets;	/* packets sent at the last key update */
	struct cid_list	 cids, tokens;	/* its entries in dp->cids and dp->tokens */
};

/* A datagram came in at `sock`. */
void	quic_input(struct dataplane *, struct udp_sock *, const struct udp_meta *, const uint8_t *pkt, size_t len);

/* Dials by this socket; the connection reports to `peer`. NULL when the socket does not fit or memory is short. */
struct conn *quic_dial(struct dataplane *, struct peer *, const struct pm_addr *, struct udp_sock *);

/* Ends it at the next dp_flush(), with a GOAWAY when a session is there to say it on. */
void	conn_end(struct conn *, uint64_t reason);

/* Wants dp_flush() to write it. */
void	conn_dirty(struct conn *);

/* The same when only express packets came or wait: QUIC has nothing to do. */
void	conn_touch(struct conn *);

/* Its timer is due. */
void	conn_due(struct conn *);

/* Writes what its window takes, sets its timer; frees it when it is to end. */
void	conn_flush(struct conn *);

void	conn_free(struct conn *);

/* Bytes of frames that one DATAGRAM holds now, 0 when the peer takes none. */
uint32_t conn_datagram_max(const struct conn *);

void	conn_remote(const struct conn *, struct pm_addr *);
void	conn_info(const struct conn *, ngtcp2_conn_info *);

/* hop.c: takes it out of the switch and tells the workers that the session is over; the connection goes on. */
void	hop_down(struct conn *, uint64_t reason);

/* mtu.c: each second; true when nothing large arrives any more although small packets do. */
bool	mtu_blackhole(struct conn *);

/* stream.c: the control stream's bytes that wait for their acknowledgement */
void	control_out_init(struct control_out *);
void	control_out_free(struct control_out *);
int	control_put(struct control_out *, const uint8_t *p, size_t len);
size_t	control_unsent(const struct control_out *, ngtcp2_vec *vec, size_t n);	/* entries of vec that were filled */
void	control_acked(struct control_out *, uint64_t offset);

#endif
