/*
 * What became of a stream of unreliable units, by their packet numbers (fabric-frame(5), "DATA, unreliable"): which are
 * new, which came before, how many are missing.
 */
#ifndef FABRIC_LOSS_H
#define FABRIC_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#define LOSS_WINDOW 64u		/* units behind the newest that are told apart */

struct loss {
	bool	 any;
	uint64_t newest;	/* whole packet number */
	uint64_t seen;		/* bit i: newest - i has come */
	uint64_t received, duplicates, late;	/* late: too old to say whether it is a duplicate; not counted as received */
	uint64_t expected;	/* units from the first to the newest */
};

enum loss_verdict { LOSS_NEW, LOSS_DUPLICATE, LOSS_LATE };

/* The unit whose packet number ends in these 32 bits has come. */
enum loss_verdict loss_seen(struct loss *, uint32_t seq);

/* Units that did not come, so far. */
uint64_t loss_missing(const struct loss *);

#endif
