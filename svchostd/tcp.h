/*
 * The adapter `tcp': services of this node that are TCP connections to a configured target. Who may reach one is decided
 * by what the other end has proven; the connection is the supervisor's to make, svchostd sees that it comes up in time.
 */
#ifndef SVCHOSTD_TCP_H
#define SVCHOSTD_TCP_H

#include "crypto/identity.h"
#include "proc/worker.h"
#include "svchostd/hub.h"

#define TCP_SERVICES_MAX 64
#define TCP_TARGET_S	10	/* from a stream's opening to its target's answer */
#define TCP_ASKED_MAX	64	/* connections that the supervisor is asked for and has not answered */

struct tcp_conf {
	size_t	n;
	struct pm_conf_service services[TCP_SERVICES_MAX];
	char	tenant[RECORD_TENANT_MAX + 1];	/* the node's */
};

struct tcp;

/* NULL when memory is short. */
struct tcp *tcp_new(struct worker *);
void	tcp_free(struct tcp *);

/* The running configuration, kept by reference; streams that it does not allow any more end. */
void	tcp_configure(struct tcp *, struct hub *, const struct tcp_conf *);

/* struct hub_ops, with the tcp as arg. */
uint64_t tcp_accept(struct pump *, const struct peer_identity *, void *tcp);
void	tcp_gone(struct pump *, void *tcp);

/* The supervisor's answer; fd is taken over. -1: nothing was asked. */
int	tcp_connected(struct tcp *, const struct pm_connected *, int fd);

/* Each second: gives up what takes too long. */
void	tcp_tick(struct tcp *, uint64_t now_ns);

/* Whether a node with these roles and this tenant may use the service; `own' is this node's tenant. */
bool	tcp_allowed(const struct pm_conf_service *, uint32_t roles, const char *tenant, const char *own);

#endif
