/*
 * Who serves what: the service records of this node, which the supervisor signed, and of others, which they sent over
 * a session on which they had proven themselves. A node's records are a set: what it sends replaces what it sent before.
 * Pure state, as the directory that it is a part of.
 *
 * Others' records are verified here, so that nothing that is not worth a place takes one; the adapters, who use the
 * keys, verify them once more and do not depend on this.
 */
#ifndef ROUTED_SERVICES_H
#define ROUTED_SERVICES_H

#include "proc/procmsg.h"

#define SERVICES_MAX		(128 * NODE_SERVICES_MAX) /* of all others; who was not seen for longest, and has no session, loses its own */
#define SERVICE_RECORD_MAX	512	/* bytes of one record: what one needs is below 240 */
#define SERVICES_ANNOUNCE_MS	1000	/* between two tellings of the own set to one peer, */
#define SERVICES_ANNOUNCE_BURST	6u	/* after so many; fewer than a peer takes in a row */
#define SERVICES_BATCH		128	/* told to the adapters at a time */

struct directory;
struct ipc;
struct known;
struct peer;

struct service {
	char	 name[FRAME_SERVICE_MAX + 1];
	uint8_t	 key[RECORD_KEY_LEN];	/* X25519: the adapter's that answers */
	uint8_t	 class;			/* enum traffic_class */
	uint64_t serial, not_before, not_after;
	bool	 told;			/* the adapters may know of it */
	bool	 due;			/* but not this record, or not all of them */
	size_t	 len;
	uint8_t	*record;		/* owned */
};

struct service_set {
	size_t	n;
	struct service *v;		/* sorted by name */
};

struct service_gone { uint8_t node_id[NODE_ID_LEN]; char name[FRAME_SERVICE_MAX + 1]; };

/* The directory's part that is not of one peer. */
struct service_board {
	struct service_set own;
	uint8_t	 own_id[NODE_ID_LEN];
	uint8_t	*own_records;		/* as the supervisor gave them */
	size_t	 own_len;
	uint64_t own_version;		/* counts the own sets; 0: the supervisor has not said yet */
	size_t	 n;			/* services of others */
	bool	 changed;		/* the adapters may have to hear something */
	bool	 announce;		/* a peer may */
	struct service_gone *gone;	/* the adapters have to hear that these are not any more */
	size_t	 ngone, gone_size;
};

/* Why a set of records is not believed; SERVICES_OK is 0. Each has a counter. */
enum services_error {
	SERVICES_OK,
	SERVICES_E_FORM,	/* not service records back to back, or one too long */
	SERVICES_E_ISSUER,	/* of another node than the one that it came from */
	SERVICES_E_SIGNATURE,
	SERVICES_E_LIFETIME,	/* valid for longer than a delegated key may be */
	SERVICES_E_TWICE,	/* the same name again */
	SERVICES_E_MANY,	/* more than a node may have, or no room for them */
	SERVICES_E_NODE,	/* from a node that is not known, or has no session any more */
	SERVICES_E_MEMORY,
	SERVICES_E_COUNT
};
const char *services_strerror(enum services_error);

void	services_free(struct directory *);

/*
 * Records back to back into *set, which is empty on every error; what has expired is among them. `known': what that node
 * said before, which is not verified again.
 */
enum services_error services_parse(struct service_set *set, struct frame_bytes, const uint8_t *node_id,
	    const struct service_set *known);
void	service_set_free(struct service_set *);

/* The supervisor's word: this node's whole set. -1: it is malformed, and nothing has changed. */
int	services_own(struct directory *, const struct pm_records *, uint64_t wall);

/*
 * A peer's whole set, as it came from it. What in it has expired or is not yet valid is left out; for anything else
 * that is wrong nothing of it is taken and what was known stays.
 */
enum services_error services_take(struct directory *, const struct pm_records *, uint64_t wall);

/* A record out of the store: judged as from the peer, but for the session. -1: it is not kept. */
int	services_load(struct directory *, struct peer *, const uint8_t *record, size_t len, uint64_t wall);

/* All that this peer serves is forgotten; the adapters will be told. */
void	services_drop(struct directory *, struct peer *);

/*
 * What a known node serves, which may be far: the adapters hear of it as of a neighbour's. Its set in *set is replaced by
 * *now, which is taken over; or all of it is gone.
 */
void	services_known_replace(struct directory *, struct known *, struct service_set *now);
void	services_known_gone(struct directory *, struct known *);

/* A node of the directory that has no session, or has not said yet what it serves: what is known of it counts. */
void	services_known_adopt(struct directory *, struct known *);

/* What has expired goes. */
void	services_expire(struct directory *, uint64_t wall);

/* Whether others may use it: its node has the role for it, or it needs none. */
bool	service_allowed(const struct peer *, const struct service *);
bool	service_allowed_to(uint32_t roles, const struct service *);

/* An adapter is new: it is to be told all. */
void	services_again(struct directory *);

/*
 * Tells the adapters what they do not know yet, at most SERVICES_BATCH, and the peers the own set. 0: all is told, 1:
 * there is more, to be told in a moment; -1 with errno EAGAIN: the channel is full.
 */
int	services_sync(struct directory *, struct ipc *, uint64_t now_ns);

#endif
