/*
 * The peer directory: who is configured, who is connected, where each was reached, how good the path is.
 * Pure state: it is given messages and the time, opens nothing and reads no clock. store.c keeps it on disk,
 * targets.c tells the dataplane what follows from it, answers.c tells a person.
 *
 * Two clocks: `now_ns` (monotonic) for proof and measurement, `wall` (seconds since 1970) for what outlives a restart.
 */
#ifndef ROUTED_DIRECTORY_H
#define ROUTED_DIRECTORY_H

#include "base/ratelimit.h"
#include "proc/procmsg.h"
#include "routed/services.h"

#define DIRECTORY_PEERS_MAX	4096	/* nodes at most; the least recently seen that is neither configured nor connected goes */
#define PEER_ADDRS_MAX		16	/* addresses a peer */
#define PEER_CONF_ADDRS_MAX	8	/* of these from the configuration */
#define PEER_DIAL_ADDRS_MAX	8	/* of these given to the dataplane at a time */
#define PEER_PREFIXES_MAX	32	/* configured prefixes a peer */
#define LEARNED_FAILURES_MAX	5	/* a learned address that failed so often in a row is not dialled any more */
#define LEARNED_KEEP_S		(30u * 86400)	/* nor one that did not work for so long */
#define HEARD_AGAIN_S		3600u		/* one that only its node says is tried anew after so long */
#define PEER_FORGET_S		(90u * 86400)	/* a node that is not configured is forgotten after so long */
#define DEAD_MS_DEFAULT		30000u	/* a session without proof for so long is not shown as up */

struct peer_addr {
	struct pm_addr	 addr;
	bool		 configured;
	bool		 learned;	/* an authenticated session ran over it */
	bool		 heard;		/* the node's record has it: there others see it */
	uint64_t	 last_ok;	/* wall; 0: never */
	uint64_t	 last_failed;	/* wall; 0: never */
	uint32_t	 failures;	/* in a row */
	uint64_t	 reason;	/* of the last failure */
};

/* What the peer proved with its membership record. */
struct peer_member {
	char		 name[RECORD_NAME_MAX + 1];
	char		 tenant[RECORD_TENANT_MAX + 1];
	uint32_t	 roles;
	uint8_t		 tier;
	uint64_t	 not_after;
	uint8_t		 nprefixes;
	struct record_prefix prefixes[RECORD_ADDRS_MAX];
	uint8_t		*record;	/* owned */
	size_t		 record_len;	/* 0: never connected */
};

/* Measured; outlives the session. */
struct peer_quality {
	uint32_t	 srtt_us;	/* smoothed over the dataplane's reports; 0: unknown */
	uint32_t	 min_us;
	uint32_t	 loss_permille;
};

/* The session of now. */
struct peer_session {
	bool		 up;		/* the dataplane holds one */
	bool		 initiator;
	bool		 stat_seen;	/* sent and lost below are of this session */
	struct pm_addr	 addr;
	uint64_t	 since_ns;
	uint64_t	 proof_ns;	/* when something was last received; 0: nothing is proven yet */
	uint64_t	 sent, lost;	/* at the last report */
	uint64_t	 window_sent, window_lost;	/* decaying sums, in 1/16 packets */
	uint64_t	 bytes_in, bytes_out;
	uint32_t	 rttvar_us;
	uint32_t	 kbps;		/* the most that went over it in a second, of late */
	uint64_t	 measured_ns;
	uint32_t	 datagram_max;
	uint16_t	 pressure;	/* what it says of itself, thousandths */
	uint64_t	 announced;	/* which version of the own services it was told; 0: none */
	struct ratelimit announces;
};

enum peer_dirty { PEER_CLEAN, PEER_DIRTY_SOON, PEER_DIRTY };

struct peer {
	uint8_t		 node_id[NODE_ID_LEN];
	bool		 configured;
	char		 conf_name[RECORD_NAME_MAX + 1];
	struct peer_member member;
	struct peer_quality quality;
	struct peer_session session;
	uint64_t	 first_seen, last_seen;	/* wall; 0: never */
	uint64_t	 down_reason;		/* why there is no session; REASON_NONE before the first */
	uint8_t		 naddrs;
	struct peer_addr addrs[PEER_ADDRS_MAX];
	uint8_t		 nprefixes;
	struct record_prefix prefixes[PEER_PREFIXES_MAX];	/* configured */
	enum peer_dirty	 dirty;		/* SOON: only measurements changed */
	bool		 in_store;
	struct service_set services;	/* what it says that it serves */
	bool		 services_dirty;	/* these have to be written too */
	/* what the dataplane was told; targets.c */
	bool		 told, told_dial;
	uint8_t		 ntold;
	struct pm_addr	 told_addrs[PEER_DIAL_ADDRS_MAX];
};

struct directory {
	struct peer	**peers;	/* sorted by node id */
	size_t		 npeers, size;
	uint32_t	 dead_ms;
	bool		 dataplane;	/* there is a port to it */
	struct service_board board;
	struct knowns	*knowns;	/* not owned; NULL: there are only neighbours */
	/* nodes that are gone and have to leave the store too */
	uint8_t		(*removed)[NODE_ID_LEN];
	size_t		 nremoved, removed_size;
};

enum peer_state { PEER_STATE_DOWN, PEER_STATE_CONNECTING, PEER_STATE_UP };

struct facts;
struct routed_conf;

struct directory *directory_new(void);
void	directory_free(struct directory *);

struct peer *directory_find(const struct directory *, const uint8_t *node_id);

/* Finds or adds. NULL: there is no room (all are configured or connected) or no memory. */
struct peer *directory_add(struct directory *, const uint8_t *node_id);

/* Makes `conf` the configured part: peers, their addresses and prefixes. What is no longer in it is not configured. */
void	directory_configure(struct directory *, const struct routed_conf *conf);

/* An authenticated session. -1: no room, or the membership's prefixes are malformed (EINVAL). */
int	directory_peer_up(struct directory *, const struct pm_peer_up *, uint64_t now_ns, uint64_t wall);
void	directory_peer_down(struct directory *, const struct pm_peer_down *);
void	directory_peer_stat(struct directory *, const struct pm_peer_stat *, uint64_t now_ns, uint64_t wall);
void	directory_dial_failed(struct directory *, const struct pm_dial_failed *, uint64_t wall);

/* A node that is no neighbour now proved this elsewhere, as known.h says. -1: memory is short. */
int	directory_member(struct peer *, const struct record *membership);

/*
 * The record of a configured node came, NULL: is gone. Where others see it, it is dialled too; but not where a NAT gives each who
 * is spoken to another port, nor where no node can be: on this machine, on no one network, or everywhere.
 */
void	directory_heard(struct directory *, const uint8_t *node_id, const struct facts *);

/* This node is in another network: what it heard of and could not reach is tried anew. */
void	directory_moved(struct directory *);

/* The dataplane is gone: nothing is proven until it says so again. */
void	directory_all_down(struct directory *, uint64_t reason);

/* Drops nodes that were not seen for PEER_FORGET_S and learned addresses that are too old; tries anew as HEARD_AGAIN_S says. */
void	directory_expire(struct directory *, uint64_t wall);

/*
 * The addresses to dial, best first: what does not fail now before what does; of these the configured, then what
 * worked last, then what was only heard of. Returns how many.
 */
size_t	peer_dial_addrs(const struct peer *, struct pm_addr out[PEER_DIAL_ADDRS_MAX]);

enum peer_state	peer_state(const struct directory *, const struct peer *, uint64_t now_ns);
const char	*peer_state_name(enum peer_state);
const char	*peer_name(const struct peer *);	/* configured, else proven, else "" */
bool		 peer_addr_equal(const struct pm_addr *, const struct pm_addr *);

/* Puts an address of the stored directory in. -1: no room. */
int	peer_addr_load(struct peer *, const struct peer_addr *);

/* Reads prefixes packed as in pm_peer_up. The count, or -1. */
int	prefixes_unpack(struct record_prefix *out, size_t max, const uint8_t *p, size_t len);

#endif
