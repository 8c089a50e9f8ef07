/* routed's configuration: collected from the transaction's items, checked, then given to the directory whole. */
#ifndef ROUTED_CONF_H
#define ROUTED_CONF_H

#include "fabric/graph.h"
#include "routed/directory.h"

struct routed_conf_peer {
	uint8_t		 node_id[NODE_ID_LEN];
	char		 name[RECORD_NAME_MAX + 1];
	uint8_t		 naddrs, nprefixes;
	struct pm_addr	 addrs[PEER_CONF_ADDRS_MAX];
	struct record_prefix prefixes[PEER_PREFIXES_MAX];
};

struct routed_conf {
	bool		 have_node;
	struct pm_conf_node node;
	uint32_t	 dead_ms;
	struct pm_conf_routing routing;
	struct score_weights weights;
	size_t		 npeers, size;
	struct routed_conf_peer *peers;
};

struct routed_conf *routed_conf_new(void);
void	routed_conf_free(struct routed_conf *);

/* One item. -1 and `err` (PM_TEXT_MAX + 1 bytes) says what is wrong with it. */
int	routed_conf_item(struct routed_conf *, const struct procmsg *, char *err);

/* The whole: sorts the peers by node id. -1 and `err`. */
int	routed_conf_check(struct routed_conf *, char *err);

#endif
