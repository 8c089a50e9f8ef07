/*
 * SOCKS5 (RFC 1928) as far as the fabric has use for it: no authentication, CONNECT, hosts given by name. A host is
 * NAME.fabric or NAME.NODE.fabric; its port says nothing here. Sans-I/O: who reads the socket asks how many bytes are
 * wanted and reads no more, so that what the client sends to the service stays in the socket.
 */
#ifndef SVCHOSTD_SOCKS_H
#define SVCHOSTD_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/procmsg.h"

#define SOCKS_MESSAGE_MAX	(4 + 1 + 255 + 2)	/* a request; a greeting is shorter */
#define SOCKS_REPLY_MAX		10

enum socks_verdict {
	SOCKS_MORE,	/* go on, after the reply was sent, if there is one */
	SOCKS_REQUEST,	/* `target' is what the client wants; the reply to it is socks_reply() */
	SOCKS_END,	/* send the reply, if there is one, and close */
};

struct socks {
	uint8_t	buf[SOCKS_MESSAGE_MAX];
	size_t	len;			/* bytes of the message so far */
	bool	greeted;
	char	target[TARGET_MAX + 1];	/* SERVICE[@NODE] */
	char	host[256];		/* as the client wrote it, printable; for the log */
};

void	socks_init(struct socks *);

/* How many bytes come next; at least 1 and never beyond the message. */
size_t	socks_want(const struct socks *);

/* Takes at most socks_want() bytes. The reply, when its length is not 0, is to be sent in any case. */
enum socks_verdict socks_input(struct socks *, const uint8_t *p, size_t n, uint8_t reply[SOCKS_REPLY_MAX],
	    size_t *reply_len);

/* The reply to a request that ended with this enum fabric_reason; REASON_NONE: it is connected. Its length. */
size_t	socks_reply(uint8_t reply[SOCKS_REPLY_MAX], uint64_t reason);

#endif
