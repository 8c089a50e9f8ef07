/*
 * What the grammar calls to set a value: each checks its range and whether it was given before. All
 * return 0, or -1 with set->err filled.
 */
#ifndef FABRICD_CONFSET_H
#define FABRICD_CONFSET_H

#include "base/lex.h"
#include "fabric/facts.h"
#include "fabricd/conf.h"

enum confset_single {		/* what may be said once in a configuration */
	SET_NODE, SET_SESSION, SET_VPN, SET_LOG, SET_RUN, SET_LOGDIR, SET_STATE, SET_CHROOT, SET_LIBEXEC,
	SET_RESTART, SET_POLICY, SET_REVOCATIONS, SET_RELAY, SET_ROUTE, SET_USER0		/* and one for each worker */
};

struct confset {
	struct conf	*conf;
	struct conf_peer *peer;		/* the block that is open */
	const char	*name;		/* of the main file */
	char		*err;		/* CONF_ERR_MAX */
	uint32_t	 once, block;	/* bits that were seen */
	void		*ids, *names, *prefixes;	/* search trees over all peers, by what must differ */
};

int	confset_init(struct confset *, const char *name, char *err);
int	confset_fail(struct confset *, const struct lex_token *, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* What was only needed while parsing; the configuration stays. */
void	confset_clear(struct confset *);
/* After the whole text: what must be there is there. */
int	confset_finish(struct confset *, const struct lex_token *end);

/* Once in the configuration; once in the block, whose bits the block's start clears. */
int	confset_once(struct confset *, unsigned bit, const struct lex_token *);
int	confset_in_block(struct confset *, unsigned bit, const struct lex_token *);

int	confset_time(struct confset *, const struct lex_token *n, const struct lex_token *unit, uint64_t *ms);
int	confset_time_word(struct confset *, const struct lex_token *, uint64_t *ms);
int	confset_path(struct confset *, char out[CONF_PATH_MAX + 1], const struct lex_token *);
int	confset_range(struct confset *, const struct lex_token *, uint64_t min, uint64_t max);
/* A name of at most `max' bytes and a NUL to out. */
int	confset_name(struct confset *, char *out, size_t max, const struct lex_token *, bool dots);

int	confset_node(struct confset *, const struct lex_token *name);
int	confset_delegation(struct confset *, const struct lex_token *ms);
int	confset_listen(struct confset *, const struct lex_token *addr, const struct lex_token *port);
int	confset_metrics(struct confset *, const struct lex_token *addr, const struct lex_token *port);
/* service NULL: SOCKS. shared->number: whether that was said. */
int	confset_forward(struct confset *, const struct lex_token *addr, const struct lex_token *port,
	    const struct lex_token *service, const struct lex_token *shared);
int	confset_service(struct confset *, const struct lex_token *name);
/* It has no block: it is one that svchostd serves itself. */
int	confset_service_own(struct confset *, const struct lex_token *name);
int	confset_target(struct confset *, const struct lex_token *addr, const struct lex_token *port);
int	confset_class(struct confset *, const struct lex_token *);
int	confset_allow_role(struct confset *, const struct lex_token *);
int	confset_allow_tenant(struct confset *, const struct lex_token *);
int	confset_service_end(struct confset *, const struct lex_token *end);
int	confset_log(struct confset *, const struct lex_token *);
int	confset_dir(struct confset *, enum conf_dir, const struct lex_token *);
int	confset_libexec(struct confset *, const struct lex_token *);
int	confset_user_name(struct confset *, const struct lex_token *worker, const struct lex_token *name);
int	confset_user_ids(struct confset *, const struct lex_token *worker, const struct lex_token *uid,
	    const struct lex_token *gid);
int	confset_restart(struct confset *, const struct lex_token *ms, const struct lex_token *max_ms);

int	confset_keepalive(struct confset *, const struct lex_token *ms);
int	confset_dead(struct confset *, const struct lex_token *ms);
int	confset_auth_timeout(struct confset *, const struct lex_token *ms);
int	confset_auth_failures(struct confset *, const struct lex_token *);
int	confset_max_sessions(struct confset *, const struct lex_token *);
int	confset_retry(struct confset *, const struct lex_token *);
int	confset_weight(struct confset *, const struct lex_token *class, const struct lex_token *);
int	confset_session_end(struct confset *, const struct lex_token *);

int	confset_peer(struct confset *, const struct lex_token *name);
int	confset_peer_id(struct confset *, const struct lex_token *);
int	confset_peer_addr(struct confset *, const struct lex_token *addr, const struct lex_token *port);
int	confset_peer_prefix(struct confset *, const struct lex_token *);
int	confset_peer_end(struct confset *, const struct lex_token *);

/* confroute.c: the blocks relay and route. */
int	confset_bandwidth(struct confset *, const struct lex_token *n, const struct lex_token *unit);
int	confset_bandwidth_word(struct confset *, const struct lex_token *);
int	confset_relay_classes(struct confset *, const struct lex_token *);
int	confset_hours(struct confset *, const struct lex_token *from, const struct lex_token *to);
int	confset_domain(struct confset *, char out[FACTS_DOMAIN_MAX + 1], const struct lex_token *);
int	confset_cost(struct confset *, const struct lex_token *);
int	confset_score(struct confset *, const struct lex_token *part, const struct lex_token *weight);

int	confset_ifname(struct confset *, const struct lex_token *);
int	confset_vpn_address(struct confset *, const struct lex_token *);
int	confset_vpn_network(struct confset *, const struct lex_token *);
int	confset_mtu(struct confset *, const struct lex_token *);
int	confset_vpn_end(struct confset *, const struct lex_token *);

#endif
