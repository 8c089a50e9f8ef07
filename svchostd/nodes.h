/* Who can be named: the configured peers and those that are connected. */
#ifndef SVCHOSTD_NODES_H
#define SVCHOSTD_NODES_H

#include "proc/procmsg.h"

#define NODES_MAX	8192
#define NODE_PREFIX_MIN	4	/* hex digits of an id that may stand for the whole */

struct node {
	uint8_t	node_id[NODE_ID_LEN];
	char	conf_name[RECORD_NAME_MAX + 1];		/* "" when it is not configured */
	char	proven_name[RECORD_NAME_MAX + 1];	/* "" when it is not connected */
	bool	foreign;	/* proven to be of another tenant */
	uint32_t roles;		/* proven, as long as it is connected */
	uint32_t rtt_us;	/* 0: not measured yet */
};

struct nodes {
	size_t	 n, size;
	struct node *list;
};

void	nodes_free(struct nodes *);

/* Adds or changes one. -1: no room. */
int	nodes_configure(struct nodes *, const struct pm_conf_peer *);
int	nodes_up(struct nodes *, const struct pm_peer_up *, const char *tenant);	/* this node's */
void	nodes_stat(struct nodes *, const struct pm_peer_stat *);
void	nodes_down(struct nodes *, const uint8_t *node_id);
void	nodes_all_down(struct nodes *);

/* Takes over who is configured from `conf` (only its configured names are looked at). */
void	nodes_reconfigure(struct nodes *, const struct nodes *conf);

const struct node *nodes_find(const struct nodes *, const uint8_t *node_id);

/*
 * The node that a person means: a configured name, a whole id, the proven name of a connected node (of this tenant first), or
 * the first digits of exactly one known id. 0, or -1 and `err` (PM_TEXT_MAX + 1 bytes) says why not.
 */
int	nodes_resolve(const struct nodes *, const char *text, uint8_t node_id[NODE_ID_LEN], char *err);

#endif
