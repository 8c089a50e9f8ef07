/* One request to fabricd and its answer. */
#ifndef FABRICCTL_CLIENT_H
#define FABRICCTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/procmsg.h"
#include "proc/row.h"

/* Where fabricd is: a socket, or the directory of both; NULL: the compiled-in one. Says why when it is not there. */
struct client;
struct client *client_open(const char *where);
void	client_close(struct client *);

/*
 * Sends the request; calls `row` for each well-formed row of the answer, in order. The end's status, or -1 when
 * the connection broke (said). `text` receives the end's text.
 */
int	client_request(struct client *, const char *command, const char *argument, uint64_t count, unsigned wait_s,
	    void (*row)(const struct frame_bytes *, void *), void *arg, char text[PM_TEXT_MAX + 1]);

/* Waits until fabricd has closed the connection. False: it has not. */
bool	client_wait_end(struct client *, unsigned wait_s);

#endif
