/*
 * What a node says of itself in its node record (RECORD_NODE's content): where it can be reached, what it measures. Facts,
 * not rights: what it may do stands in its membership. fabric-record(5) has the layout.
 *
 * Decoding copies into a struct of fixed size and refuses what does not fit it; encoding cannot produce what decoding
 * refuses.
 */
#ifndef FABRIC_FACTS_H
#define FABRIC_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/record.h"

#define FACTS_ADDRS_MAX		8u
#define FACTS_LINKS_MAX		48u	/* sessions that are told of; the best by loss and round trip when there are more */
#define FACTS_DOMAIN_MAX	31u	/* bytes of the failure domain's and the region's name */

enum nat_type { NAT_UNKNOWN, NAT_NONE, NAT_CONE, NAT_SYMMETRIC, NAT_COUNT };
enum net_type { NET_UNKNOWN, NET_WIRED, NET_WIFI, NET_MOBILE, NET_COUNT };

#define CARRIER_QUIC	0x01u

struct fact_addr {
	uint8_t	 family;	/* 4 or 6 */
	uint8_t	 carrier;	/* CARRIER_*, one bit */
	uint16_t port;
	uint8_t	 addr[16];	/* network order; IPv4 in the first four bytes */
};

/* One session of the node's, as it measures it. */
struct fact_link {
	uint8_t	 node_id[NODE_ID_LEN];
	uint32_t rtt_us, jitter_us;
	uint16_t loss;			/* thousandths */
	uint32_t kbps;			/* what the path was seen to carry, 0: not known */
};

struct facts {
	uint32_t versions;		/* bit n: protocol version n */
	uint32_t carriers;		/* CARRIER_* */
	uint8_t	 naddrs;
	struct fact_addr addrs[FACTS_ADDRS_MAX];
	uint8_t	 nat;			/* enum nat_type */
	uint8_t	 net;			/* enum net_type */
	bool	 metered, on_battery, charging;
	uint8_t	 battery;		/* percent; with on_battery or charging */
	uint16_t cpu, memory, queue, descriptors;	/* thousandths of the node's limit */
	bool	 relay;			/* it relays, by its own configuration; whether it may is the role's and the policy's */
	uint32_t relay_kbps;		/* for all that it relays together; 0: no limit of its own */
	uint8_t	 relay_classes;		/* 1 << enum traffic_class */
	uint32_t cost;			/* operator's, per megabyte, in units of their own; 0: free */
	char	 domain[FACTS_DOMAIN_MAX + 1];	/* what fails together; "": the node itself */
	char	 region[FACTS_DOMAIN_MAX + 1];	/* locality; "": not said */
	uint64_t policy_version, directory_version, routes_version;
	uint64_t services;		/* sum of its service records, routed/known.h; so no other node can leave one out. 0: none */
	uint64_t sent_at;		/* seconds since 1970, by the node's clock: for skew */
	uint8_t	 nlinks;		/* in the order of their node ids, none twice; the last member: what is kept may end there */
	struct fact_link links[FACTS_LINKS_MAX];
};

/* 0, or a negative frame_error. */
int	facts_decode(struct facts *, const uint8_t *p, size_t len);

/* The length, or 0: it does not fit, or decode would refuse it. At most FACTS_MAX. */
size_t	facts_encode(uint8_t *buf, size_t size, const struct facts *);
#define FACTS_MAX	3600u

const char *nat_type_name(unsigned);
const char *net_type_name(unsigned);

#endif
