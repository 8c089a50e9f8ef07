/*
 * What was relayed: for whom, in which class, next to which neighbour, by bytes and never by content. A relay claims from
 * both of its neighbours, once a minute, what it carried between them and itself (RECORD_RECEIPT, signed by its route
 * key); the neighbour compares that with what it has counted on the same hop, and signs it, too. Both keep both. What
 * could not be sent is claimed with the next minute's.
 *
 * A receipt's content: what (1: a claim, 2: the answer to one).
 *	claim	the neighbour's node id (32), from and to (seconds since 1970), then for each tenant and class: the tenant's
 *		name (length, bytes), class, bytes away from the source, bytes back; all numbers varints
 *	answer	SHA-256 of the claim's record
 * DIRMSG_RECEIPT carries a claim, or a claim and its answer behind it.
 */
#ifndef ROUTED_USAGE_H
#define ROUTED_USAGE_H

#include "crypto/crypto.h"
#include "proc/procmsg.h"
#include "routed/install.h"

#define USAGE_MAX	4096u		/* of (neighbour, tenant, class); what is more is counted as of tenant "" and neighbour zero */
#define USAGE_EVERY_S	60u
#define USAGE_RECEIPT_MAX FRAME_RECORD_MAX
#define USAGE_ENTRIES_MAX 32u		/* of one receipt */
#define USAGE_SLACK	(1u << 20)	/* bytes that a claim may be more than what was counted, for the counts of a second, */
#define USAGE_SLACK_SHIFT 5		/* and a 32nd */
#define USAGE_KEEP	20000u		/* receipts on disk: the oldest go */
#define USAGE_FILE	"routes.db"

struct usage_entry {
	uint8_t	 neighbour[NODE_ID_LEN];
	char	 tenant[RECORD_TENANT_MAX + 1];
	uint8_t	 class;
	bool	 dirty;
	uint64_t forth, back;		/* that this node relayed, and that came to it from this neighbour as the one before */
	uint64_t seen_forth, seen_back;	/* on the hop to this neighbour, relayed or its own end */
	uint64_t owed_forth, owed_back;	/* relayed on this hop and not claimed yet, */
	uint64_t owed_since;		/* since when, when it was left from an earlier round; else 0 */
	uint64_t asked;			/* the round (wall) in which a claim of it was last made */
	uint64_t signed_bytes;		/* that this node has signed for */
	uint64_t claimed, answered;	/* by this process; what was claimed is answered once */
	uint64_t confirmed;		/* that the neighbour has signed for, ever */
};

struct usage_ops {
	int	(*send)(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg);
	/* The key that node's receipts are signed with, or NULL. */
	const uint8_t *(*route_key)(const uint8_t *node_id, void *arg);
	/* This node's own, and the node key that it speaks for; NULL: there is none yet. */
	const struct sign_key *(*own_key)(const uint8_t **node_key, void *arg);
};

enum usage_error {
	USAGE_OK, USAGE_E_FORM, USAGE_E_ISSUER, USAGE_E_SIGNATURE, USAGE_E_TIME,
	USAGE_E_MORE,			/* it claims more than was counted here */
	USAGE_E_COUNT
};

struct usage_store;
struct usage;

/* `store' may be NULL: in memory only. It is owned. */
struct usage *usage_new(const struct usage_ops *, void *arg, const uint8_t *self, struct usage_store *store);
void	usage_free(struct usage *);
void	usage_self(struct usage *, const uint8_t *self);

/* The dataplane's word on a route that is known; NULL: it is known no more, and was if it is among those that ended last. */
void	usage_used(struct usage *, struct installed *, const struct pm_route_used *);

/* A route that was installed is no more: what its dataplane says last is still to come. */
void	usage_ended(struct usage *, const struct ticket *);

/* DIRMSG_RECEIPT. USAGE_E_FORM: malformed. */
enum usage_error usage_message(struct usage *, const uint8_t *from, const uint8_t *body, size_t len, uint64_t wall);

/* Once a second: claims, and writes to the store once a minute. */
void	usage_tick(struct usage *, uint64_t wall);
void	usage_save(struct usage *);

size_t	usage_count(const struct usage *);
const struct usage_entry *usage_get(const struct usage *, size_t i);

/*
 * The routes that this node holds, for the routed after this one: all of them are put between begin and end, in the order in
 * which they are to be loaded. -1: not now, or there is no store.
 */
int	usage_held_begin(struct usage *);
int	usage_held_put(struct usage *, const struct lease *);
int	usage_held_end(struct usage *);
void	usage_held_load(struct usage *, void (*fn)(const struct lease *, void *arg), void *arg);

/* --- usage_store.c: SQLite, a file of its own; faults are counted, never fatal --- */
struct usage_store *usage_store_open(const char *path);		/* NULL: it cannot be opened now */
void	usage_store_close(struct usage_store *);
/* Calls `fn' for each entry that is stored. */
void	usage_store_load(struct usage_store *, void (*fn)(const struct usage_entry *, void *arg), void *arg);
int	usage_store_begin(struct usage_store *);
int	usage_store_entry(struct usage_store *, const struct usage_entry *);
int	usage_store_commit(struct usage_store *);
int	usage_store_clear_held(struct usage_store *);
int	usage_store_held(struct usage_store *, const struct lease *);
void	usage_store_load_held(struct usage_store *, void (*fn)(const struct lease *, void *arg), void *arg);
/* A receipt; answer may be empty: it is then put to the claim later. */
int	usage_store_receipt(struct usage_store *, const uint8_t hash[HASH_LEN], const uint8_t *neighbour, uint64_t from, uint64_t to,
	    struct frame_bytes claim, struct frame_bytes answer);

#endif
