/* A configuration: what fabricd.conf(5) says, checked. Never changed once parsed. */
#ifndef FABRICD_CONF_H
#define FABRICD_CONF_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdio.h>

#include "base/log.h"
#include "fabric/graph.h"
#include "proc/procmsg.h"

#define CONF_PATH_MAX	255
#define CONF_RUN_MAX	80		/* bytes of the run directory: a socket's path must fit in sockaddr_un */
#define CONF_ERR_MAX	512
#define CONF_PEERS_MAX	1024
#define CONF_ADDRS_MAX	4		/* addresses of a peer */
#define CONF_PREFIXES_MAX 16		/* prefixes of a peer */
#define CONF_LISTEN_MAX	16
#define CONF_SERVICES_MAX 64
#define CONF_FORWARDS_MAX 64
#define CONF_PORT	4600

enum conf_dir { DIR_RUN, DIR_LOG, DIR_STATE, DIR_CHROOT, DIR_COUNT };

struct conf_peer {
	TAILQ_ENTRY(conf_peer) entry;
	char		 name[RECORD_NAME_MAX + 1];
	uint8_t		 id[NODE_ID_LEN];
	bool		 has_id;
	struct pm_addr	 addrs[CONF_ADDRS_MAX];
	unsigned	 naddrs;
	struct record_prefix prefixes[CONF_PREFIXES_MAX];
	unsigned	 nprefixes;
};
TAILQ_HEAD(conf_peers, conf_peer);

struct conf_user {
	bool	numeric;		/* ids from the configuration, not from the user database */
	char	name[32];
	uid_t	uid;
	gid_t	gid;
};

struct conf_vpn {
	bool	 configured;
	char	 ifname[PM_IFNAME_MAX + 1];
	uint16_t mtu;
	struct record_prefix address;	/* with host bits; family 0: from the certificate */
	struct record_prefix network;	/* family 0: none */
	char	 tun_socket[CONF_PATH_MAX + 1];	/* not empty: the TUN is handed in here */
};

/* A way into services of the fabric for clients of this machine. */
struct conf_forward {
	struct pm_conf_listen to;
	bool	 shared;		/* the address may be one that other machines reach */
};

struct conf {
	char	 name[RECORD_NAME_MAX + 1];	/* of the node */
	char	 key[CONF_PATH_MAX + 1];
	char	 certificate[CONF_PATH_MAX + 1];
	char	 authority[CONF_PATH_MAX + 1];
	char	 policy[CONF_PATH_MAX + 1];	/* signed files; "": none */
	char	 revocations[CONF_PATH_MAX + 1];
	uint32_t delegation_s;
	struct pm_addr listen[CONF_LISTEN_MAX];
	unsigned nlisten;
	struct pm_addr metrics[CONF_LISTEN_MAX];
	unsigned nmetrics;
	struct pm_conf_session session;
	struct conf_peers peers;
	unsigned npeers;
	struct conf_vpn vpn;
	struct pm_conf_service services[CONF_SERVICES_MAX];
	unsigned nservices;
	struct conf_forward forwards[CONF_FORWARDS_MAX];
	unsigned nforwards;
	struct pm_conf_routing routing;
	struct score_weights score;
	enum log_level log_level;
	char	 dir[DIR_COUNT][CONF_PATH_MAX + 1];
	char	 libexec[CONF_PATH_MAX + 1];
	struct conf_user user[WORKER_COUNT];
	uint32_t restart_ms, restart_max_ms;	/* the first delay of a worker that keeps dying, and the longest */
};

/* The defaults, without a node. NULL when memory is short. */
struct conf *conf_new(void);
void	conf_free(struct conf *);

/*
 * Parse into a new configuration; touch nothing else. NULL: err is "file:line: what is wrong". Text from
 * memory may not include files. Not reentrant: yacc's state is static.
 */
struct conf *conf_parse_file(const char *path, char err[CONF_ERR_MAX]);
struct conf *conf_parse_text(const char *name, const char *text, size_t len, char err[CONF_ERR_MAX]);

/* Whether packets to it come from this machine only. */
bool	conf_addr_local(const struct pm_addr *);

/* Prints what parses again to the same. */
void	conf_print(FILE *, const struct conf *);

/* In quotes, after `before'. */
void	conf_print_string(FILE *, const char *before, const char *);

const char *conf_dir_name(enum conf_dir);

/* The peer of this id, or NULL. */
const struct conf_peer *conf_peer_by_id(const struct conf *, const uint8_t id[NODE_ID_LEN]);

/* Numbers as text. The buffers hold at least CONF_ADDR_MAX bytes; the buffer is returned. */
#define CONF_ADDR_MAX 64
char	*conf_addr_str(char *buf, const struct pm_addr *);		/* "10.0.0.1 port 4600" */
char	*conf_prefix_str(char *buf, const struct record_prefix *);	/* "10.9.0.0/16" */

/* confroute.c: the defaults, and the blocks relay and route. */
void	conf_routing_default(struct conf *);
void	conf_routing_print(FILE *, const struct conf *);

bool	pm_addr_equal(const struct pm_addr *, const struct pm_addr *);
bool	prefix_equal(const struct record_prefix *, const struct record_prefix *);
/* Whether the address of `a` (family, addr) lies in p. */
bool	prefix_covers(const struct record_prefix *p, const struct record_prefix *a);
void	prefix_mask(struct record_prefix *);	/* clears the bits beyond len */
bool	prefix_masked(const struct record_prefix *);

#endif
