/*
 * The control sockets: fabricd.sock, root's, and fabricd.ro.sock, anybody's. Which socket a client came
 * through is all that decides what it may ask.
 */
#ifndef FABRICD_CONTROL_H
#define FABRICD_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/procmsg.h"

struct control;
struct fabricd;
struct row_writer;

/* Where an answer goes: a client that may be gone by then. All zero: nobody waits. */
struct reply {
	uint64_t client;	/* a serial number, never used again */
	uint64_t id;		/* the client's own */
};

/* Binds both sockets. Fatal when that fails. */
struct control *control_new(struct fabricd *);
void	control_free(struct control *);	/* removes the sockets */

/* Rows and the end of an answer. Nothing happens when the client is gone; one that does not read is dropped. */
void	control_row(struct fabricd *, const struct reply *, struct frame_bytes row);
void	control_row_written(struct fabricd *, const struct reply *, const struct row_writer *);
/* Rows leave many a message: with the end of the answer, or now. */
void	control_flush(struct fabricd *);

/*
 * Sends a message with a descriptor, of which the caller keeps its own. False: the client is gone, or there are too many
 * such. From then on it counts among those that hold a connection, and no more among those that ask.
 */
bool	control_lend(struct fabricd *, const struct reply *, struct procmsg *, int fd);
void	control_done(struct fabricd *, const struct reply *, unsigned status, const char *text);

#endif
