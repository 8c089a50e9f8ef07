/*
 * What the authority has signed for the whole tenant and an operator has put into files here: the policy, and who is
 * revoked. Read with the configuration, given to routed, which looks into it and spreads it.
 */
#ifndef FABRICD_SIGNED_H
#define FABRICD_SIGNED_H

#include "fabricd/conf.h"

struct signed_file {
	uint8_t	*p;		/* the record; NULL: none */
	size_t	 len;
};

struct signed_files {
	struct signed_file policy, revocations;
};

/*
 * Reads those that are configured; *s is zeroed. Each has to be a record of its kind that `authority' signed. Time must not
 * keep a node from starting, nor open it: one that has expired is taken as one that is valid, one that is not valid yet is
 * left out, both with a warning. -1 and err, which names the file.
 */
int	signed_load(struct signed_files *s, const struct conf *, const uint8_t authority[RECORD_KEY_LEN],
	    char err[CONF_ERR_MAX]);
void	signed_clear(struct signed_files *);

struct fabricd;

/* To routed, when it runs; else when it does. */
void	signed_send(struct fabricd *);

#endif
