/* The nodes this one holds sessions to or wants to: who is up, who is dialled, and when again. */
#ifndef DATAPLANE_PEER_H
#define DATAPLANE_PEER_H

#include "fabricd/dataplane/dp.h"

#define PEER_ADDRS_MAX	8u
#define PEER_HASH	1024u

struct peer {
	struct dataplane *dp;
	uint8_t		 node_id[NODE_ID_LEN];
	bool		 target;	/* routed wants a session */
	bool		 dial;		/* and we are to dial */
	struct pm_addr	 addrs[PEER_ADDRS_MAX];
	size_t		 naddrs;
	size_t		 next_try;	/* of this round: each address by one socket of its family, then each by the next */
	size_t		 first_sock;	/* which of them begins: the one that the last session was dialled by */
	struct conn	*up;		/* the session, or NULL */
	size_t		 ndials;	/* of ours under way */
	size_t		 nconns;	/* connections that point here */
	uint64_t	 backoff_ns;
	uint64_t	 last_reason;	/* why the last dial or session ended */
	struct event	*timer;		/* the next address, or the next round */
	LIST_ENTRY(peer) entry;
};

struct peer *peer_find(struct dataplane *, const uint8_t *node_id);
struct peer *peer_get(struct dataplane *, const uint8_t *node_id);	/* makes it; NULL when there are too many */
void	peers_init(struct dataplane *);
void	peers_free(struct dataplane *);

/* routed's word. */
void	peer_target(struct dataplane *, const struct pm_target *);
void	peer_target_addr(struct dataplane *, const struct pm_target_addr *);
void	peer_target_del(struct dataplane *, const uint8_t *node_id);
/* routed is new: it will name its targets again. Sessions that are up stay. */
void	peers_targets_forget(struct dataplane *);

/* Whom of other tenants this node meets. -1: malformed. */
int	peers_tenants(struct dataplane *, const struct pm_tenants *);

/* May this proven connection become the session to its peer? REASON_NONE, or why not. */
uint64_t peer_accept(struct dataplane *, const struct conn *);
/* It is up: it replaces the one before, or has to go (false) as the loser of two that were dialled at once. */
bool	peer_up(struct dataplane *, struct conn *);
/* A connection ended, up or not. */
void	peer_conn_gone(struct dataplane *, struct conn *);
/* Addresses or routes of this machine changed: dial at once whoever is not up. */
void	peers_redial(struct dataplane *);

/* Each second, for a session that is up: dials anew before its records end, ends it when they have, or its tenant is not met. */
void	peer_renew(struct conn *, uint64_t wall);

/* For the switch. */
struct port *peer_port(struct fswitch *, const uint8_t *node_id);

#endif
