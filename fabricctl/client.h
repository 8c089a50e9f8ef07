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

/*
 * Asks for a connection to a service: 0 and a non-blocking descriptor that the caller owns; an enum connect_status with
 * `text' when it is refused; -1 when the connection to fabricd broke (said).
 */
int	client_connect(struct client *, const char *target, unsigned wait_s, int *fd, char text[PM_TEXT_MAX + 1]);

/* What client_end() reads from can be read: for poll(2). */
int	client_fd(const struct client *);

/* How the connection ended; waits for it. An enum connect_status with `text', or -1 when fabricd is gone (said). */
int	client_end(struct client *, char text[PM_TEXT_MAX + 1]);

/* Waits until fabricd has closed the connection. False: it has not. */
bool	client_wait_end(struct client *, unsigned wait_s);

#endif
