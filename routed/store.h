/*
 * The directory on disk: SQLite, one file beside which only its write-ahead log stands. It is a cache of what can be
 * learned again, so no fault of it is fatal: a file that is corrupt or of a newer schema is moved aside, a disk that is
 * full or missing is counted and tried again, and the directory goes on in memory.
 */
#ifndef ROUTED_STORE_H
#define ROUTED_STORE_H

#include "routed/directory.h"

#define STORE_FILE	"directory.db"
#define STORE_SCHEMA	3
#define STORE_APP_ID	0x46414252	/* "FABR" */

struct knowns;
struct store;

/* Before a sandbox: what SQLite needs of the system once (its random numbers' seed). */
void	store_init(void);

/* `path` is kept by reference. NULL only without memory; the file is opened by store_load() or when next needed. */
struct store *store_new(const char *path);
void	store_free(struct store *);

/* Opens the file, moves a bad one aside, reads all into the directory. 0, or -1: it goes on in memory and tries again later. */
int	store_load(struct store *, struct directory *);

/*
 * Writes what is dirty in one transaction; `all`: also where only measurements changed. Opens the file again when it
 * could not be. 0, or -1: nothing was written and it is all still dirty.
 */
int	store_save(struct store *, struct directory *, bool all);

/*
 * What the authority said, the known nodes, and what coordinators said: what is believed of the store's is taken. For a
 * node that has said who it is (knowns_self()). *serial gets the last one of this node's own record, when that is greater.
 * Verifying takes its time: nodes are read from `cursor' on, at first all zeros, until the clock is at until_ns. 0, 1 when
 * there are more, or -1: there are none to be had.
 */
int	store_load_signed(struct store *, struct knowns *, uint64_t *serial, uint64_t wall);
int	store_load_known(struct store *, struct knowns *, uint8_t cursor[NODE_ID_LEN], uint64_t wall, uint64_t until_ns);

/* Writes what differs in one transaction, at most STORE_KNOWN_BATCH nodes unless `all'. 0, or -1. */
int	store_save_known(struct store *, struct knowns *, uint64_t serial, bool all);
#define STORE_KNOWN_BATCH 1000u

bool	store_is_open(const struct store *);

#endif
