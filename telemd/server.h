/* The scrapes: one GET a connection, on listening sockets that the supervisor made. */
#ifndef TELEMD_SERVER_H
#define TELEMD_SERVER_H

#include <stddef.h>

struct event_base;
struct evbuffer;
struct server;

#define SERVER_SOCKETS_MAX	16
#define SERVER_CONNS_MAX	16
#define SERVER_REQUEST_S	5	/* for the whole request */
#define SERVER_RESPONSE_S	10	/* for the whole answer */
#define SERVER_LINGER_S		2	/* for the other side to take an answer to what it had not finished */

/* `content` writes the text that GET /metrics answers with; -1: it cannot. */
struct server *server_new(struct event_base *, int (*content)(struct evbuffer *, void *), void *arg);
void	server_free(struct server *);

/* Listens on these from now on, and no more on those of before. Owns the descriptors. -1: without memory. */
int	server_listen(struct server *, const int *fds, size_t n);

/* Connections of now. */
size_t	server_conns(const struct server *);

#endif
