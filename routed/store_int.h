/* Between store.c, which has the file and the neighbours, and store_known.c, which has the known nodes. */
#ifndef ROUTED_STORE_INT_H
#define ROUTED_STORE_INT_H

#include <sqlite3.h>

#include "routed/store.h"

enum statement {
	PUT_PEER, DEL_PEER, DEL_ADDRS, PUT_ADDR, DEL_PREFIXES, PUT_PREFIX, GET_PEERS, GET_ADDRS, DEL_SERVICES, PUT_SERVICE,
	GET_SERVICES,
	PUT_KNOWN, DEL_KNOWN, GET_KNOWN, PUT_SIGNED, GET_SIGNED, PUT_META, GET_META,
	STATEMENT_COUNT
};

struct store {
	const char	*path;
	sqlite3		*db;
	sqlite3_stmt	*st[STATEMENT_COUNT];
	bool		 warned;	/* one line a fault, not one a second */
};

/* 0, or -1: it is not open and cannot be opened now. */
int	store_open(struct store *);
int	store_run(struct store *, const char *text);		/* an SQLite result code */
void	store_complain(struct store *, const char *what);
/* A write failed in a transaction: it is said, undone, and a file that is corrupt is closed. */
void	store_failed(struct store *);
int	store_step(sqlite3_stmt *);				/* 0, or -1 */
void	store_bind_uint(sqlite3_stmt *, int i, uint64_t v);
const uint8_t *store_blob(sqlite3_stmt *, int col, size_t min, size_t max, size_t *len);	/* NULL: it is none of that */
uint64_t store_uint(sqlite3_stmt *, int col, uint64_t max);

#endif
