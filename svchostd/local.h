/*
 * The ways into services of the fabric from this machine: `fabricctl connect', TCP listeners, SOCKS5. Each connection is a
 * guest: it names a service, and becomes a pump.
 */
#ifndef SVCHOSTD_LOCAL_H
#define SVCHOSTD_LOCAL_H

#include "proc/worker.h"
#include "svchostd/names.h"

struct hub;
struct local;
struct ways;

#define GUESTS_MAX	4096u	/* of all listeners */
#define GUESTS_WAY_MAX	1024u	/* of one: who waits beyond that waits in the kernel */
#define WAIT_S		5	/* for a way to a node, before it is said to be unreachable */
#define SOCKS_TIME_S	10	/* from the connection to a whole request */

/* What guests need; kept by reference, and the fields may change as long as no guest is there. */
struct local_env {
	struct worker	*worker;
	struct hub	*hub;
	const struct names *names;
	const struct nodes *nodes;
	const uint8_t	*self;		/* this node's id */
	/* Asks for a way to a node. */
	void		(*want)(const uint8_t *node_id, unsigned class, void *arg);
	void		*want_arg;
};

/* NULL when memory is short. */
struct local *local_new(const struct local_env *);
void	local_free(struct local *);	/* with all guests; before the hub */

/* PM_LOCAL: fd is owned from here on. Ends with worker_done(). */
void	local_connect(struct local *, const struct pm_local *, int fd);

/* A configuration's listeners. local_ways_add() owns fd, and gives -1 and closes it when there is no room. */
struct ways *local_ways_new(void);
void	local_ways_free(struct ways *);
int	local_ways_add(struct ways *, const struct pm_conf_listen *, int fd);

/*
 * Takes them over and listens. Of those that were there the ones whose address is not among the new are closed; guests
 * stay, whatever way they came.
 */
void	local_commit(struct local *, struct ways *);

/* A node is up, or what it serves has become known: those that wait for it go on. Or there is no way to it. */
void	local_node_news(struct local *, const uint8_t *node_id);
void	local_node_failed(struct local *, const uint8_t *node_id, uint64_t reason);

size_t	local_guests(const struct local *);

/* Rows of `fabricctl show services' for the listeners. */
void	local_rows(const struct local *, uint64_t request);

/* What PM_DONE says of a stream that failed, or, once it was open, ended. */
enum connect_status local_status(uint64_t reason, bool opened);

#endif
