/* `fabricctl stream top': what the streams do now, over and over. `fabricctl show streams': what they did. */
#ifndef FABRICCTL_TOP_H
#define FABRICCTL_TOP_H

#include <stdbool.h>
#include <stdint.h>

#include "fabricctl/client.h"
#include "fabricctl/rows.h"

struct top_options {
	const char *socket;
	bool	 json;
	uint64_t count;		/* pictures; 0: until q or an interrupt */
	unsigned delay_ms;	/* between them */
};

/* Both return the exit status: 0, 1 when a worker did not answer, 2 when fabricd did not. */
int	cmd_top(const struct top_options *);
int	cmd_streams(const char *socket, bool json);

/*
 * Rows of the adapters' ends ("at" svchostd) and of the dataplane ("at" dataplane) into `rows'. -1: fabricd is gone (said);
 * else 0, or 1 with `text' when one of the two did not answer.
 */
int	streams_ask(struct client *, struct rows *rows, char text[PM_TEXT_MAX + 1]);

/*
 * One row a stream from what was before and what is `elapsed_us' later, the busiest first. Those that the adapter shows are
 * not shown again from the dataplane's side.
 */
void	top_rows(struct rows *out, const struct rows *before, const struct rows *now, uint64_t elapsed_us);

#endif
