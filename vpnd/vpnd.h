/*
 * vpnd, the inside: one struct vpnd with the running configuration, the peers, the routes, the TUN and the channel to
 * the dataplane. conf.c reads the configuration, peers.c keeps peers and routes, out.c carries packets from the TUN to
 * the dataplane, in.c the other way, port.c speaks to the dataplane, keys.c and keys_in.c have the keys of what is sent
 * and of what comes, vpnd.c ties them to the worker.
 */
#ifndef VPND_VPND_H
#define VPND_VPND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ratelimit.h"
#include "fabric/streamid.h"
#include "proc/stats.h"
#include "proc/worker.h"
#include "vpnd/coalesce.h"
#include "vpnd/flow.h"
#include "vpnd/frag.h"
#include "vpnd/icmp.h"
#include "vpnd/keys.h"
#include "vpnd/lpm.h"
#include "vpnd/segment.h"
#include "vpnd/tun.h"

struct event;

#define VPN_SERVICE	"vpn"
#define VPN_PEERS_MAX	8192u
#define VPN_PREFIXES_MAX 65536u		/* configured */
#define VPN_MTU_DEFAULT	1380u
#define VPN_ROUTE_SELF	(LPM_NONE - 1)	/* a prefix of this node's own, beside the index of a peer */
#define VPN_STREAMS_PEER_MAX 256u	/* that one peer may have open towards us */

/* A unit of service "vpn": this byte in clear, and behind it a packet, sealed. */
#define UNIT_CSUM_PARTIAL 0x01u		/* TCP or UDP checksum field: the pseudo-header's sum only */
#define UNIT_PHASE	0x80u		/* the key's; not sealed with it, as the others are */
#define UNIT_FLAGS	(UNIT_CSUM_PARTIAL)
#define UNIT_HDR_LEN	1u
#define UNIT_OVERHEAD	(UNIT_HDR_LEN + SEAL_TAG_LEN)
#define UNIT_MAX	(IP_PACKET_MAX + UNIT_OVERHEAD)

struct vpn_conf_prefix {
	uint8_t	node_id[NODE_ID_LEN];
	struct record_prefix prefix;
};

/* One configuration, running or being received. */
struct vpn_conf {
	struct pm_conf_node node;
	struct pm_conf_vpn vpn;
	struct pm_conf_tun tun;
	bool	have_node, have_vpn;
	int	tun_fd;			/* -1: none, or given to struct tun */
	struct pm_conf_peer *peers;
	size_t	npeers;
	struct vpn_conf_prefix *prefixes;
	size_t	nprefixes;
};

struct vpn_peer {
	uint8_t	 node_id[NODE_ID_LEN];
	char	 name[RECORD_NAME_MAX + 1];
	char	 tenant[RECORD_TENANT_MAX + 1];	/* proven */
	bool	 configured;
	bool	 up;
	bool	 mtu_settled;
	uint32_t datagram_max;
	uint64_t up_order;		/* who proved a prefix first */
	uint8_t	 nproven;
	struct record_prefix proven[RECORD_ADDRS_MAX];
	uint32_t streams_in;
	uint64_t wanted_ns;		/* when a way to it was last asked for; 0: never */
	struct vpn_keys keys;
	struct flow flow[CLASS_COUNT][FLOW_GROUPS];
};

struct vpnd {
	struct worker	*worker;
	struct vpn_conf	*conf, *next;	/* running (NULL: none yet), being received */
	uint64_t	 now_ns;	/* of this wakeup */
	uint64_t	 seed;		/* of the flows' hashes */

	struct vpn_peer	**peers;	/* index = value in routes; NULL where one went away */
	uint32_t	 npeers;
	uint64_t	 ups;
	struct lpm	*routes;	/* never NULL once started */
	bool		 routes_stale;	/* rebuilt at the end of the round */
	uint64_t	 conflicts;	/* which claims lost, in one number; 0: none */

	struct tun	 tun;
	struct event	*tun_event;
	bool		 tun_failed;	/* the last read: said once */
	struct coalescer *coalescer;
	struct frag_table *frags;
	unsigned	 gso_taken, gso_refused;	/* VPN_GSO_*: what this kernel took, and what it never did */
	unsigned	 gso_given_up;	/* of those refused, what is not made any more */
	struct ratelimit icmp_limit;

	struct ipc	*port;		/* to the dataplane; NULL: none now */
	struct stream_ids ids;
	struct vpn_streams streams;
	struct event	*tick;
	unsigned	 ticks;

	struct e2e_self	 self;		/* our own key, and who says that it is ours */
	struct event	*keys_timer;
	uint64_t	 delegate_ns;	/* not to be asked for before */
	uint64_t	 renew_at;	/* seconds since 1970 */
	bool		 ask_services;
	uint64_t	 ask_ns;	/* not before */
};

#define VPN_GSO_TCP	1u
#define VPN_GSO_UDP	2u

/* conf.c: struct worker_ops' transaction, but for commit. */
void	vpn_conf_begin(struct worker *);
int	vpn_conf_item(struct worker *, const struct procmsg *, int fd);
int	vpn_conf_check(struct worker *);
void	vpn_conf_abort(struct worker *);
void	vpn_conf_free(struct vpn_conf *);

/* peers.c */
/* Makes the peers of v->conf the configured ones; those that are up stay so. */
void	vpn_peers_configure(struct vpnd *);
void	vpn_peer_up(struct vpnd *, const struct pm_peer_up *);
void	vpn_peer_down(struct vpnd *, const uint8_t *node_id);
void	vpn_peer_stat(struct vpnd *, const struct pm_peer_stat *);
/* The dataplane went away: nobody is up. */
void	vpn_peers_reset(struct vpnd *);
struct vpn_peer *vpn_peer_find(const struct vpnd *, const uint8_t *node_id, uint32_t *index);
/* Builds the routes anew when something changed. */
void	vpn_routes_update(struct vpnd *);
/* Rows for fabricctl: what leads where. */
void	vpn_routes_rows(struct vpnd *, uint64_t request);

/* Rows of what came in, a stream each. */
void	vpn_streams_rows(struct vpnd *, uint64_t request);
void	vpn_peers_free(struct vpnd *);

/* Whose the address at `addr` (4 or 16 bytes by ip's version) is: a peer's index, VPN_ROUTE_SELF or LPM_NONE. */
static inline uint32_t
vpn_route(const struct vpnd *v, const struct ip_packet *ip, const uint8_t *addr)
{
	return ip->version == 4 ? lpm_lookup4(v->routes, addr) : lpm_lookup6(v->routes, addr);
}

/* port.c: the channel to the dataplane. */
void	vpn_port_set(struct vpnd *, int fd);
void	vpn_port_close(struct vpnd *);
/* Opens a stream to a peer with what is to stand in its handshake field, in the place of `before', or 0. Its id, 0: not now. */
uint64_t vpn_stream_open(struct vpnd *, uint32_t peer, unsigned class, enum vpn_stream_kind, struct frame_bytes field,
	    uint64_t before);
/* A packet for a peer to which there is no way: routed hears of it, once a second at most. */
void	vpn_peer_want(struct vpnd *, uint32_t peer, unsigned class);
enum vpn_flow_result { VPN_FLOW_OPEN = 0, VPN_FLOW_FULL = -1, VPN_FLOW_NO_KEY = -2 };
/* Opens the stream of a flow group. */
enum vpn_flow_result vpn_flow_open(struct vpnd *, uint32_t peer, unsigned class, struct flow *);
/* Closes the streams that were idle. */
void	vpn_flows_expire(struct vpnd *);
/* The next packet of each flow to this peer opens a stream anew; those there are end when what they hold has left. */
void	vpn_flows_retire(struct vpnd *, uint32_t peer);
/* Ends what is retired, and what lives by keys whose time is over. */
void	vpn_streams_expire(struct vpnd *);
/* Resets a stream of a peer's that is no good any more; it is gone. */
void	vpn_stream_refuse(struct vpnd *, struct vpn_stream *, uint64_t reason);

/* out.c: TUN -> dataplane. */
#define VPN_OUT_BATCH	64u	/* reads of the TUN before others get their turn */
/* Reads the TUN until it is empty or the batch is full, and flushes. */
void	vpn_out_run(struct vpnd *);
/* One packet or superpacket as the TUN gave it; pkt may be changed. */
void	vpn_out_packet(struct vpnd *, const struct vnet_hdr *, uint8_t *pkt, size_t len);

/* in.c: dataplane -> TUN. */
void	vpn_in_data(struct vpnd *, const struct frame_data *);
void	vpn_in_flush(struct vpnd *);
/* The coalescer's writer. */
void	vpn_in_write(void *vpnd, const struct vnet_hdr *, const uint8_t *pkt, size_t len);

/* vpnd.c */
extern const struct worker_ops vpnd_ops;

#endif
