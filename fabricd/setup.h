/*
 * What a configuration means on this machine: identity read and checked, users looked up, sockets and
 * TUN opened. A new one borrows by dup(2) what the running one has, so that either can be thrown away.
 */
#ifndef FABRICD_SETUP_H
#define FABRICD_SETUP_H

#include "fabricd/conf.h"
#include "fabricd/keys.h"
#include "fabricd/signed.h"
#include "fabricd/tun.h"

struct setup {
	struct conf	*conf;
	struct keys	*keys;
	struct signed_files authorised;	/* what the authority signed for all */
	struct { uid_t uid; gid_t gid; } user[WORKER_COUNT];
	int		 listen_fd[CONF_LISTEN_MAX];
	struct pm_addr	 listen_addr[CONF_LISTEN_MAX];	/* as bound: the port is known */
	int		 metrics_fd[CONF_LISTEN_MAX];
	int		 forward_fd[CONF_FORWARDS_MAX];
	struct tun	 tun;
	struct pm_conf_vpn vpn;
	struct record_prefix *routes;			/* what leads into the TUN, beside its own network */
	size_t		 nroutes;
};

/*
 * Takes conf over, also when it fails. `running` may be NULL. Changes nothing that runs: a new interface
 * has no address yet. NULL and err.
 */
struct setup *setup_new(struct conf *conf, const struct setup *running, bool root, char err[CONF_ERR_MAX]);
void	setup_free(struct setup *);

/* Adds the addresses and routes that `old` (NULL: nothing) has not. -1 and err: nothing was changed. */
int	setup_apply(const struct setup *, const struct setup *old, char err[CONF_ERR_MAX]);
/* Removes those that the new one has no more. */
void	setup_retire(const struct setup *old, const struct setup *now);

#endif
