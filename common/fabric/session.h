/*
 * One hop session (fabric-frame(5), "Session"): HELLO, AUTH, SESSION_READY in their strict order, liveness, GOAWAY.
 *
 * Sans-I/O: the carrier feeds the bytes of the control stream, the TLS exporter and the time; the session hands
 * back frames to send and events. It opens nothing, reads no clock, and holds at most one partial frame.
 */
#ifndef FABRIC_SESSION_H
#define FABRIC_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ratelimit.h"
#include "crypto/identity.h"
#include "wire/frame.h"

#define SESSION_HELLO_MAX	1024u	/* bytes of a HELLO, before anything is proven */
#define SESSION_AUTH_MAX	(2u * FRAME_RECORD_MAX + 256u)
#define SESSION_PINGS_PER_SEC	20u	/* of a peer's that are answered */

enum session_state {
	SESSION_NEW,		/* the carrier's handshake is under way */
	SESSION_WAIT_HELLO,
	SESSION_WAIT_AUTH,
	SESSION_WAIT_READY,
	SESSION_UP,
	SESSION_FAILED,
};

struct session_limits {
	uint32_t max_frame;
	uint32_t max_streams;
	uint64_t max_credit;
	uint32_t max_datagram;
};

/* What this node says of itself; shared by its sessions, which keep a pointer. */
struct session_self {
	uint8_t		node_id[NODE_ID_LEN];
	uint64_t	boot_id;
	uint8_t		authority[SIGN_PUBLIC_LEN];
	struct tenants	tenants;		/* whose members it has sessions with */
	struct sign_key	key;			/* the delegated one */
	uint8_t		membership[FRAME_RECORD_MAX], delegation[FRAME_RECORD_MAX];
	size_t		membership_len, delegation_len;	/* 0: no delegation yet, no session can come up */
	uint32_t	versions[FRAME_VERSIONS_MAX];	/* strictly descending */
	uint8_t		nversions;
	struct session_limits limits;
	uint64_t	capabilities;
	uint64_t	auth_timeout_ns, keepalive_ns, dead_ns;
};

struct session;

struct session_ops {
	/* One whole frame for the control stream. -1: the carrier's bounded queue is full. */
	int	 (*send)(struct session *, const uint8_t *frame, size_t len, void *arg);
	/* Before READY is said to a proven peer: REASON_NONE, or why it is turned away. */
	uint64_t (*accept)(struct session *, void *arg);
	/* Both ends are proven and ready. */
	void	 (*up)(struct session *, void *arg);
	/*
	 * A frame of a session that is up and not about the session itself: of a stream, ROUTE_UPDATE, NODE_PRESSURE.
	 * REASON_NONE, or why the session ends.
	 */
	uint64_t (*frame)(struct session *, const struct frame *, void *arg);
	/* The end (the callee keeps the session until it is back); the GOAWAY, if one is due, was handed to send. `remote`: the peer said so. */
	void	 (*failed)(struct session *, uint64_t reason, bool remote, void *arg);
};

struct session {
	const struct session_self *self;
	const struct session_ops *ops;
	void		*arg;
	enum session_state state;
	enum session_state failed_in;	/* the state in which it failed */
	bool		 initiator;
	bool		 peer_known;	/* the peer's AUTH was good: `peer` is proven */
	const uint8_t	*expect;	/* NODE_ID_LEN: who was dialled, or NULL */
	uint8_t		 expect_id[NODE_ID_LEN];
	uint8_t		 exporter[EXPORTER_LEN];
	uint32_t	 version;
	uint64_t	 peer_boot_id;
	uint8_t		 peer_hello_id[NODE_ID_LEN];	/* claimed; proven only with peer_known */
	uint64_t	 capabilities;	/* that both have */
	struct session_limits ours, theirs;	/* what we said we take, what the peer takes from us */
	struct peer_identity peer;
	uint64_t	 reason;	/* why it failed */
	uint64_t	 started_ns, up_ns, heard_ns;
	uint64_t	 ping_sent_ns, ping_id;	/* ping_sent_ns 0: none is under way */
	uint64_t	 last_ping_ns;
	uint64_t	 rtt_ns;	/* the last PING's; 0 before the first */
	uint64_t	 rtts, pings_ignored;
	struct ratelimit pings;
	uint8_t		 hello[2][SESSION_HELLO_MAX];	/* whole frames: the initiator's, the responder's */
	uint16_t	 hello_len[2];
	uint8_t		*membership;	/* the peer's record, once proven */
	size_t		 membership_len;
	uint8_t		*in;		/* a frame that is not whole yet, FRAME_CONTROL_MAX bytes */
	size_t		 in_len;
};

/*
 * `self`, `ops` and `arg` are kept. `expect` (NODE_ID_LEN bytes, copied, or NULL) is who the initiator means to reach.
 * started_ns is when the carrier's first packet came or went: the time for authentication counts from there.
 */
void	session_init(struct session *, const struct session_self *self, const struct session_ops *ops, void *arg,
	    bool initiator, const uint8_t *expect, uint64_t started_ns);
void	session_free(struct session *);

/* The carrier's handshake is done: gives the exporter and 32 random bytes. The initiator sends its HELLO now. */
void	session_start(struct session *, const uint8_t exporter[EXPORTER_LEN], const uint8_t nonce[FRAME_NONCE_LEN],
	    uint64_t now_ns);

/* Bytes of the control stream, in order. wall_s is the time that records are compared with. */
void	session_input(struct session *, const uint8_t *p, size_t len, uint64_t now_ns, uint64_t wall_s);

/* Anything authentic came from the peer, on whatever path of the carrier. */
void	session_heard(struct session *, uint64_t now_ns);

/* When session_tick() is wanted next, UINT64_MAX for never. */
uint64_t session_deadline(const struct session *);
void	session_tick(struct session *, uint64_t now_ns);

/* Sends a PING now, whatever was heard: the path may have changed under the session. */
void	session_probe(struct session *, uint64_t now_ns);

/* Encodes one frame and hands it to the carrier. -1: it does not fit or is outside its limits; the session then ends. */
int	session_send(struct session *, const struct frame *f);

/* Ends it: GOAWAY with the reason when the carrier can carry one, then ops->failed. Nothing after the first time. */
void	session_fail(struct session *, uint64_t reason);

/* The peer or the carrier ended it: nothing is sent. */
void	session_lost(struct session *, uint64_t reason);

const char *session_state_name(enum session_state);

#endif
