/*
 * What this node says of itself: its two keys, which the supervisor certifies, and its node record, made of what it
 * measures and signed anew when that changes, or is about to expire. Pure state: told what happens, and the time.
 */
#ifndef ROUTED_OWN_H
#define ROUTED_OWN_H

#include "crypto/noise.h"
#include "routed/known.h"
#include "routed/sync.h"

struct directory;

#define OWN_SOON_S	2u	/* a link that came or went, an address, a key: no more often than this */
#define OWN_NOTABLE_S	10u	/* a link or a load that is quite another */
#define OWN_REFRESH_S	60u	/* what else changes */
#define OWN_RENEW_S	(KNOWN_LIFE_S / 3)	/* and without any change */
#define OWN_ASK_AGAIN_S	10u	/* a certificate that is waited for is asked for again */
#define OWN_SEEN_MAX	16u	/* neighbours whose view of this node's address is remembered */

struct own_seen {
	uint8_t	 node_id[NODE_ID_LEN];
	struct pm_addr addr;		/* where it sees this node */
	bool	 dialled;		/* it dialled this node there: no NAT keeps others out */
};

/* A key and its delegation. */
struct own_key {
	struct known_raw delegation;
	uint64_t renew_at, asked_ns;	/* 0: nothing is waited for */
};

struct own {
	struct sign_key	 route;
	struct noise_key ticket;
	struct own_key	 keys[PURPOSE_COUNT];
	struct known_raw membership;
	uint8_t		 node_id[NODE_ID_LEN];
	bool		 configured;
	struct pm_conf_routing conf;
	struct pm_system system;
	struct pm_load	 load;
	uint64_t	 routes_version;	/* of the routes that are held here */
	struct own_seen	 seen[OWN_SEEN_MAX];
	size_t		 nseen, seen_next;
	uint64_t	 serial;	/* the last that was given, also before a restart */
	bool		 keys_changed;
	struct facts	 said;		/* in the last record */
	uint64_t	 said_ns, said_at;	/* 0: never */
	/* Sends PM_DELEGATE. */
	void		(*ask)(unsigned purpose, const uint8_t *key, void *arg);
	void		*arg;
};

/* New keys. -1 when the library fails. */
int	own_init(struct own *, void (*ask)(unsigned purpose, const uint8_t *key, void *arg), void *arg);
void	own_free(struct own *);

void	own_conf(struct own *, const struct pm_conf_node *, const struct pm_conf_routing *);

/* The supervisor's answer. -1: it is not for these keys and this node. True in *new_keys when there is another delegation. */
int	own_delegation(struct own *, const struct pm_delegation *);

/* Where a neighbour sees this node. `dialled': by it. */
void	own_seen(struct own *, const uint8_t *node_id, const struct pm_addr *, bool dialled);
void	own_unseen(struct own *, const uint8_t *node_id);

/* Both keys are certified. */
bool	own_ready(const struct own *, uint64_t wall);

/* Each second and when something happened: asks for certificates, and says anew what is to be said. True when it did. */
bool	own_run(struct own *, struct knowns *, const struct directory *, const struct sync_time *);

/* The facts as of now. */
void	own_facts(const struct own *, const struct knowns *, const struct directory *, const struct sync_time *, struct facts *);

/* How much two facts differ: after how many seconds it has to be said, UINT32_MAX: they do not. */
uint32_t own_differs(const struct facts *was, const struct facts *is);

#endif
