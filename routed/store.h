/*
 * The directory on disk: SQLite, one file beside which only its write-ahead log stands. It is a cache of what can be
 * learned again, so no fault of it is fatal: a file that is corrupt or of a newer schema is moved aside, a disk that is
 * full or missing is counted and tried again, and the directory goes on in memory.
 */
#ifndef ROUTED_STORE_H
#define ROUTED_STORE_H

#include "routed/directory.h"

#define STORE_FILE	"directory.db"
#define STORE_SCHEMA	2
#define STORE_APP_ID	0x46414252	/* "FABR" */

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

bool	store_is_open(const struct store *);

#endif
