/*
 * What of a coordinator has to outlive a restart: up to where it gave epochs, the leases that are out, the fences that are
 * in force. One small interface with one backend, SQLite in a file of this node; a store that several coordinators share
 * would be another struct leasestore_ops.
 *
 * Epochs are the time in milliseconds as long as clocks run forward: the store is what they fall back on when one was set
 * back. So no fault of a store is fatal; it is counted, and the coordinator goes on without.
 */
#ifndef ROUTED_LEASESTORE_H
#define ROUTED_LEASESTORE_H

#include "fabric/ticket.h"

#define LEASESTORE_FILE		"leases.db"
#define LEASESTORE_SCHEMA	1
#define LEASESTORE_APP_ID	0x46414c53	/* "FALS" */
#define LEASESTORE_MAX		100000u		/* leases, or fences; what expires first goes */

struct leasestore;

/* A lease that is out: who may still be on it. */
struct lease_out {
	uint64_t route_id, epoch, hard;
	uint8_t	 n;
	uint8_t	 nodes[LEASE_HOPS_MAX][NODE_ID_LEN];
};

/* Each 0, or -1 when it could not be done. Batches are between begin and commit. */
struct leasestore_ops {
	int	(*epoch_get)(struct leasestore *, uint64_t *upto);	/* 0 when none was ever given */
	int	(*epoch_put)(struct leasestore *, uint64_t upto);	/* written when it returns */
	int	(*begin)(struct leasestore *);
	int	(*commit)(struct leasestore *);
	int	(*lease_put)(struct leasestore *, const struct lease_out *);
	/* Those that hold at `now', in no order; fn may not call back. */
	int	(*leases)(struct leasestore *, uint64_t now, void (*fn)(const struct lease_out *, void *), void *arg);
	int	(*fence_put)(struct leasestore *, uint64_t number, uint64_t until, const uint8_t *record, size_t len);
	/* Of those that hold at `now' the `max' that end last, the last first; fn may not call back. */
	int	(*fences)(struct leasestore *, uint64_t now, unsigned max,
		    void (*fn)(const uint8_t *record, size_t len, void *), void *arg);
	int	(*expire)(struct leasestore *, uint64_t now);
	void	(*free)(struct leasestore *);
};

struct leasestore {
	const struct leasestore_ops *ops;
};

/*
 * Leases and fences in a file; `path' is kept by reference. It is opened when first needed, or at once where one that was
 * killed left its log, and again when that failed; one that is corrupt or of another schema is moved aside. NULL when memory
 * is short.
 */
struct leasestore *leasestore_sqlite(const char *path);

#endif
