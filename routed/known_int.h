/* Between known.c, which holds the nodes, and known_take.c, which decides what is believed. */
#ifndef ROUTED_KNOWN_INT_H
#define ROUTED_KNOWN_INT_H

#include "routed/fences.h"
#include "routed/known.h"

#define KNOWN_FENCES_MAX 64u	/* what a neighbour is given at once */

struct known_signed {
	struct known_raw raw;
	struct record	 r;		/* of it */
};

struct known_fence {
	struct fence_key key;			/* first */
	uint8_t		 signer[RECORD_KEY_LEN];
	struct known_raw raw;
	uint64_t	 sum;
};

struct knowns {
	const struct known_ops *ops;
	void		*arg;
	size_t		 max, n, mask;
	uint64_t	 secret;
	struct known_list all[DIRMSG_BUCKETS];	/* by the first byte of the id */
	uint64_t	 sums[DIRMSG_BUCKETS];	/* of these */
	struct known	**by_id, **by_key, **by_name;
	struct known	*own;
	bool		 self_known, signed_dirty;
	uint8_t		 self[NODE_ID_LEN], authority[SIGN_PUBLIC_LEN];
	struct tenants	 tenants;		/* whose members are believed: by the policy */
	uint64_t	 serial_floor;
	struct known_signed policy, revocation;
	struct known_fence fences[KNOWN_FENCES_MAX];
	size_t		 nfences;
	uint8_t		(*removed)[NODE_ID_LEN];
	size_t		 nremoved, removed_size;
};

/* In the order of the buckets; `k' NULL: the first. */
struct known *knowns_next(const struct knowns *, const struct known *k);
#define KNOWNS_FOREACH(k, ks) for ((k) = knowns_next(ks, NULL); (k) != NULL; (k) = knowns_next(ks, k))

void	known_insert(struct knowns *, struct known *);
void	known_remove(struct knowns *, struct known *);
void	known_index(struct knowns *, struct known *);	/* by key and name */
void	known_unindex(struct knowns *, struct known *);
void	known_free(struct known *);
void	known_serial_set(struct knowns *, struct known *, uint64_t serial);	/* 0: it has none any more */

#endif
