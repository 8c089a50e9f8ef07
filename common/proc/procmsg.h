/*
 * Process-only frames: the messages between the supervisor and its workers and
 * between the workers of one node. A network port refuses them (FRAME_E_PROC).
 *
 * Each body is a TLV list (wire/tlv.h). One table in procmsg.c describes, for each
 * type, its fields; encoding, decoding and every range check follow from the table.
 */
#ifndef PROC_PROCMSG_H
#define PROC_PROCMSG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/frame.h"
#include "wire/record.h"

enum worker_kind {
	WORKER_DATAPLANE, WORKER_ROUTED, WORKER_VPND, WORKER_SVCHOSTD, WORKER_TELEMD,
	WORKER_COUNT,
	WORKER_SUPERVISOR = WORKER_COUNT	/* the other end of a worker's control channel */
};

enum procmsg_type {
	/* life of a worker: supervisor <-> worker */
	PM_READY = 0x1000,	/* w->s: in its sandbox, waiting for configuration */
	PM_STATS,		/* s->telemd, fd: another worker's counter page (read-only) */
	PM_PORT,		/* s->w, fd: a channel to another worker, replacing the one before */
	PM_LOG,			/* s->w, fd optional: level, and the new descriptor after a rotation */
	PM_STOP,		/* s->w: drain and exit */
	PM_SECRET,		/* s->dataplane: keys for retry tokens and stateless resets; outlive a restart */
	PM_NET_CHANGED,		/* s->dataplane: a local address or route changed */
	PM_PORT_LOST,		/* dataplane->s: the channel to that worker is gone: another, if it lives */
	/* configuration, a transaction: BEGIN, items, END -> OK or BAD; then COMMIT or ABORT */
	PM_CONF_BEGIN = 0x1020,
	PM_CONF_END,
	PM_CONF_OK,		/* w->s */
	PM_CONF_BAD,		/* w->s: text says why */
	PM_CONF_COMMIT,
	PM_CONF_ABORT,
	PM_CONF_NODE = 0x1030,
	PM_CONF_PEER,
	PM_CONF_PEER_ADDR,
	PM_CONF_PEER_PREFIX,
	PM_CONF_SESSION,
	PM_CONF_SOCKET,		/* fd: a bound UDP socket (dataplane) or a listening TCP socket (telemd) */
	PM_CONF_VPN,
	PM_CONF_TUN,		/* fd: vpnd's TUN; comes with PM_CONF_VPN in the same transaction */
	PM_CONF_SERVICE,
	PM_CONF_STATE_DIR,	/* fd: routed's state directory */
	PM_CONF_LISTEN,		/* fd: a listening TCP socket for clients of this machine (svchostd) */
	PM_CONF_ROUTING,	/* routed: what this node relays, and what it says of itself */
	PM_CONF_WEIGHT,		/* routed: of one part of the score of routes */
	/* identity */
	PM_DELEGATE = 0x1050,	/* w->s: certify this key of mine */
	PM_DELEGATION,		/* s->w */
	/* svchostd's connections: it has no sockets of its own making */
	PM_CONNECT = 0x1058,	/* svchostd->s: connect to this service's configured target */
	PM_CONNECTED,		/* s->svchostd, fd when error is 0: the socket, which may still be connecting */
	/* requests of fabricctl, handed on by the supervisor */
	PM_REQUEST = 0x1060,	/* s->w */
	PM_ROW,			/* w->s: one row of the answer (proc/row.h) */
	PM_DONE,		/* w->s: the answer is whole, or failed */
	PM_LOCAL,		/* s->svchostd, fd: join it with the target; PM_DONE says how that ended. s->fabricctl, fd: the other end */
	/* between workers */
	PM_BIND = 0x1080,	/* adapter->dataplane: I serve this service */
	PM_TARGET,		/* routed->dataplane: hold a session to this node */
	PM_TARGET_ADDR,		/* routed->dataplane: it may be dialled here */
	PM_TARGET_DEL,
	PM_PEER_UP,		/* dataplane->routed, vpnd, svchostd: an authenticated session */
	PM_PEER_DOWN,
	PM_PEER_STAT,		/* dataplane->routed, svchostd (each second) and vpnd (when mtu changes) */
	PM_DIAL_FAILED,		/* dataplane->routed */
	PM_RECORDS,		/* a node's whole set of service records: s->routed, routed->dataplane (to this peer),
				   dataplane->routed (from this peer) */
	PM_SERVICE,		/* routed->dataplane->adapter: this node serves this, or again with another record */
	PM_SERVICE_DEL,		/* routed->dataplane->adapter: it does so no more */
	PM_SERVICES,		/* adapter->dataplane->routed: tell me all services */
	PM_UNBIND,		/* adapter->dataplane: I serve this no more (a pm_bind) */
	/* routes */
	PM_SIGNED = 0x10a0,	/* s->routed: a policy or revocation record, from a file */
	PM_SYSTEM,		/* s->routed: what the machine says of itself: battery, network */
	PM_LOAD,		/* dataplane->routed, each second: this node's pressure */
	PM_REMOTE,		/* routed->dataplane: who a node is that routes lead to (a pm_peer_up) */
	PM_REMOTE_DEL,		/* routed->dataplane: no route leads there (a pm_target_del) */
	PM_ROUTE,		/* routed->dataplane: a table entry, from a verified ticket; again with a new epoch */
	PM_ROUTE_DEL,		/* routed->dataplane */
	PM_ROUTE_RANK,		/* routed->dataplane: which ways to a node come first, for these classes */
	PM_ROUTE_STAT,		/* dataplane->routed, each second: how a way to a node is */
	PM_ROUTE_MOVED,		/* dataplane->routed: streams were moved from one way to another */
	PM_ROUTE_USED,		/* dataplane->routed, each second where it changed: what was relayed */
	PM_PERMIT,		/* routed->dataplane: which services here this node may reach, in which classes */
	PM_REVOKE,		/* routed->dataplane: this node is no member any more */
	PM_WANT,		/* adapter->dataplane->routed: a way to this node is wanted */
	PM_WANT_FAILED,		/* routed->dataplane->adapters: there is none now, and why */
	PM_STREAM_MOVED,	/* dataplane->routed: one of them goes on, on another way */
	PM_TENANTS,		/* routed->dataplane->adapters: whose members this node meets beside its own tenant's */
};

#define PM_TEXT_MAX	255
#define PM_IFNAME_MAX	15
#define TARGET_MAX	(FRAME_SERVICE_MAX + 1 + 2 * NODE_ID_LEN)	/* bytes of SERVICE[@NODE]; NODE is a name or an id */

struct pm_ready { uint32_t generation; uint32_t pid; };
struct pm_stats { uint8_t kind; uint32_t generation; };
struct pm_port { uint8_t kind; uint32_t generation; };
struct pm_port_lost { uint8_t kind; };
struct pm_log { uint8_t level; bool has_fd; };
struct pm_stop { uint32_t drain_ms; };
struct pm_secret { uint8_t token_key[32]; uint8_t reset_key[32]; };
struct pm_conf_begin { uint64_t version; };	/* counts the supervisor's configurations */
struct pm_conf_bad { char text[PM_TEXT_MAX + 1]; };

struct pm_conf_node {
	char	name[RECORD_NAME_MAX + 1];
	uint8_t	node_id[NODE_ID_LEN];
	uint8_t	authority[RECORD_KEY_LEN];	/* public */
	char	tenant[RECORD_TENANT_MAX + 1];
};

struct pm_conf_peer {
	uint8_t	node_id[NODE_ID_LEN];
	char	name[RECORD_NAME_MAX + 1];
};

struct pm_addr {		/* an underlay address */
	uint8_t	 family;	/* 4 or 6 */
	uint8_t	 addr[16];	/* network order */
	uint16_t port;
};

struct pm_conf_peer_addr { uint8_t node_id[NODE_ID_LEN]; struct pm_addr addr; };
struct pm_conf_peer_prefix { uint8_t node_id[NODE_ID_LEN]; struct record_prefix prefix; };

struct pm_conf_session {
	uint32_t keepalive_ms;		/* PING when idle for this long */
	uint32_t dead_ms;		/* a session from which nothing came for this long is dead */
	uint32_t auth_timeout_ms;	/* from the first packet to SESSION_READY */
	uint32_t max_sessions;
	uint32_t retry_above;		/* half-open connections above which Retry is asked for */
	uint32_t auth_fail_per_min;	/* failed authentications an address prefix (/24, /56) may have a minute */
	bool	 peers_only;		/* only configured peers may connect; else any member of the tenant */
	bool	 gso;			/* UDP_SEGMENT and UDP_GRO */
	uint8_t	 weight[CLASS_COUNT];	/* of a class among those that wait at a port; 0: the usual one */
};

struct pm_conf_socket { uint8_t purpose; struct pm_addr addr; };
enum { SOCKET_FABRIC_UDP = 1, SOCKET_METRICS };

struct pm_conf_vpn {
	char	 ifname[PM_IFNAME_MAX + 1];
	uint16_t mtu;
	struct record_prefix addr4;	/* own address; family 0 when there is none; len is the fabric's IPv4 prefix */
	struct record_prefix addr6;	/* own address; len is OVERLAY_PREFIX6_LEN */
};

struct pm_conf_tun { bool vnet_hdr; bool offload; };	/* vnet_hdr false: a plain fd handed in by Android or -U */
struct pm_conf_service {
	char	 name[FRAME_SERVICE_MAX + 1];
	uint8_t	 class;			/* enum traffic_class: its streams', unless they say otherwise */
	struct pm_addr target;		/* family 0: none, it is served by svchostd itself */
	uint32_t roles;			/* who may use it: a node with one of these (1 << enum node_role); 0: any */
	char	 tenants[PM_TEXT_MAX + 1];	/* and a member of one of these, between single spaces; empty: the own */
};

struct pm_delegate { uint8_t purpose; uint8_t key[RECORD_KEY_LEN]; };
struct pm_delegation {
	uint8_t	purpose;
	struct frame_bytes membership, delegation;	/* borrowed from the frame */
	uint64_t renew_at;				/* seconds since 1970: ask again from then on */
};

struct pm_connect { uint64_t id; char service[FRAME_SERVICE_MAX + 1]; };
struct pm_connected { uint64_t id; uint32_t error; };	/* errno; 0: with the descriptor */

struct pm_request {
	uint64_t id;				/* the supervisor's; rows and the end repeat it */
	char	 command[32];			/* "sessions", "streams", "counters", "ping", ... */
	char	 argument[PM_TEXT_MAX + 1];
	uint64_t count;				/* e.g. pings; 0 when the command has none */
};
struct pm_row { uint64_t id; struct frame_bytes row; };
struct pm_done { uint64_t id; uint8_t status; char text[PM_TEXT_MAX + 1]; };	/* status: fabricctl's exit status */

struct pm_conf_listen {
	uint8_t	purpose;
	struct pm_addr addr;
	char	target[TARGET_MAX + 1];		/* LISTEN_TCP: the service, as a person names it; LISTEN_SOCKS: "" */
};
enum { LISTEN_TCP = 1, LISTEN_SOCKS };

/* How `fabricctl connect' ends: PM_DONE's status for a PM_LOCAL, and the exit status. */
enum connect_status {
	CONNECT_OK		= 0,	/* both directions came to their end */
	CONNECT_FAILED		= 1,	/* anything that has no number of its own */
	CONNECT_UNUSABLE	= 2,	/* fabricctl itself: wrong usage, no fabricd, not allowed */
	CONNECT_NO_SERVICE	= 3,
	CONNECT_UNREACHABLE	= 4,
	CONNECT_REFUSED		= 5,
	CONNECT_TARGET_DOWN	= 6,
	CONNECT_RESET		= 7,	/* it was there, and broke */
};

struct pm_local { uint64_t id; char target[TARGET_MAX + 1]; };	/* the id of the request */

struct pm_bind { char service[FRAME_SERVICE_MAX + 1]; };
struct pm_target { uint8_t node_id[NODE_ID_LEN]; bool dial; };
struct pm_target_addr { uint8_t node_id[NODE_ID_LEN]; struct pm_addr addr; };
struct pm_target_del { uint8_t node_id[NODE_ID_LEN]; };

struct pm_peer_up {
	uint8_t	 node_id[NODE_ID_LEN];
	char	 name[RECORD_NAME_MAX + 1];	/* from the membership: proven, not configured */
	char	 tenant[RECORD_TENANT_MAX + 1];
	uint32_t roles;
	uint8_t	 tier;
	uint64_t not_after;
	struct frame_bytes prefixes;	/* the membership's: family, len, addr (4 or 16 bytes), back to back */
	struct pm_addr addr;		/* where it is now */
	uint32_t datagram_max;		/* bytes of frames that fit in one datagram now */
	bool	 initiator;		/* we dialled */
	struct frame_bytes membership;	/* the record itself */
};
struct pm_peer_down { uint8_t node_id[NODE_ID_LEN]; uint64_t reason; };
struct pm_peer_stat {
	uint8_t	 node_id[NODE_ID_LEN];
	uint32_t rtt_us, rttvar_us;
	uint64_t sent, lost;		/* packets on this session */
	uint64_t bytes_in, bytes_out;
	uint32_t datagram_max;
	bool	 mtu_settled;		/* path MTU discovery has ended: datagram_max will not soon grow */
	uint64_t idle_ms;		/* since something was received */
	uint64_t up_ms;			/* since the session came up; 0: just now */
	uint16_t pressure;		/* of the peer, as it says: the highest of queue, cpu and memory, thousandths */
};
#define PM_RECORDS_MAX	(FRAME_CONTROL_MAX - 6)	/* so that a ROUTE_UPDATE holds them */
#define NODE_SERVICES_MAX 65u			/* of one node: as many as can be configured, and vpn */
struct pm_records { uint8_t node_id[NODE_ID_LEN]; struct frame_bytes records; };	/* back to back; may be empty */
struct pm_service {
	uint8_t	node_id[NODE_ID_LEN];
	char	name[FRAME_SERVICE_MAX + 1];
	struct frame_bytes record;
	bool	foreign;		/* the node is of another tenant */
};
struct pm_service_del { uint8_t node_id[NODE_ID_LEN]; char name[FRAME_SERVICE_MAX + 1]; };
struct pm_conf_routing {
	bool	 relay;			/* it relays */
	uint32_t kbps;			/* for all that it relays; 0: no limit */
	uint8_t	 classes;		/* that it relays: 1 << enum traffic_class */
	uint16_t from_minute, to_minute;	/* of the day, UTC, when it relays; the same: always */
	uint32_t cost;
	bool	 metered;
	char	 domain[32], region[32];	/* "": not said */
};
struct pm_conf_weight { uint8_t part; uint32_t weight; };	/* enum score_part, thousandths */

#define PM_SIGNED_MAX	65536u
struct pm_signed { struct frame_bytes record; };
struct pm_system { bool on_battery, charging; uint8_t battery; uint8_t net; };	/* percent; enum net_type */
struct pm_load { uint16_t queue, cpu, memory, descriptors; };	/* thousandths */

/* A way to `far', or what is relayed between prev and next. An id of zeros: there is none. */
struct pm_route {
	uint64_t route_id, epoch;
	uint8_t	 place;			/* enum ticket_place */
	uint8_t	 prev[NODE_ID_LEN], next[NODE_ID_LEN], far[NODE_ID_LEN];
	uint8_t	 classes;
	uint32_t kbps, streams;		/* 0: no limit */
	uint64_t hard;			/* seconds since 1970: not honoured from then on */
	uint32_t kbps_all;		/* of all that is relayed here together, as the last one says; 0: no limit */
	char	 tenant[RECORD_TENANT_MAX + 1];	/* the source's; may be empty */
};
struct pm_route_del { uint64_t route_id; uint64_t reason; };	/* enum fabric_reason, for the streams on it */

#define PM_RANK_MAX	25u	/* ways to one node: the session, the routes that one holds to it, and those that it holds */
struct pm_route_rank { uint8_t node_id[NODE_ID_LEN]; uint8_t classes; struct frame_bytes ids; };	/* 8 bytes each, big endian, best first; 0: the session */

struct pm_route_stat {
	uint64_t route_id;		/* 0: the session */
	uint8_t	 node_id[NODE_ID_LEN];	/* where it leads to */
	uint8_t	 state;			/* enum way_state */
	uint32_t rtt_us, jitter_us;
	uint16_t loss;			/* thousandths of the probes of the last seconds */
	uint32_t probes;		/* that these come from */
	uint32_t kbps;			/* what went over it in the last second */
	uint32_t streams;		/* on it now */
};
enum way_state { WAY_NEW, WAY_UP, WAY_SILENT, WAY_COUNT };	/* not proven yet; answers; does not */

struct pm_route_moved {
	uint8_t	 node_id[NODE_ID_LEN];
	uint64_t from, to;		/* route ids; 0: the session */
	bool	 to_none;		/* there was no other way */
	uint64_t reason;		/* enum fabric_reason */
	uint32_t streams, packets_lost;
	uint32_t detect_us;		/* from the last proof of life to the decision */
	uint32_t recover_us;		/* from the last proof of life to the first proof on the new way; 0: not yet */
};

struct pm_stream_moved {
	uint8_t	 node_id[NODE_ID_LEN];	/* the far end's */
	uint32_t stream_id;		/* by now, towards it */
	uint8_t	 class;
	char	 service[FRAME_SERVICE_MAX + 1];
	uint64_t from, to, reason;	/* as above */
	uint32_t detect_us;
	uint32_t recover_us;		/* from the last proof of life to the far end's answer on the new way */
};

/* Bytes since the one before; forth: away from the source. What passed last comes after the end of the route, too. */
struct pm_route_used { uint64_t route_id; uint8_t class; uint64_t forth, back; };

/* Services as in a pm_bind: length (1), name, classes (1), back to back; `all': whatever is bound. */
struct pm_permit { uint8_t node_id[NODE_ID_LEN]; bool all; struct frame_bytes services; };
#define PM_PERMITS_MAX	(NODE_SERVICES_MAX * (2u + FRAME_SERVICE_MAX))
struct pm_revoke { uint8_t node_id[NODE_ID_LEN]; bool revoked; };
struct pm_tenants { bool others; struct frame_bytes list; };	/* as a struct tenants has them: wire/tenants.h */
struct pm_want { uint8_t node_id[NODE_ID_LEN]; uint8_t class; };
struct pm_want_failed { uint8_t node_id[NODE_ID_LEN]; uint64_t reason; };

struct pm_dial_failed { uint8_t node_id[NODE_ID_LEN]; struct pm_addr addr; uint64_t reason; };

struct procmsg {
	enum procmsg_type type;
	union {
		struct pm_ready ready;
		struct pm_stats stats;
		struct pm_port port;
		struct pm_port_lost port_lost;
		struct pm_log log;
		struct pm_stop stop;
		struct pm_secret secret;
		struct pm_conf_begin conf_begin;
		struct pm_conf_bad conf_bad;
		struct pm_conf_node conf_node;
		struct pm_conf_peer conf_peer;
		struct pm_conf_peer_addr conf_peer_addr;
		struct pm_conf_peer_prefix conf_peer_prefix;
		struct pm_conf_session conf_session;
		struct pm_conf_socket conf_socket;
		struct pm_conf_vpn conf_vpn;
		struct pm_conf_tun conf_tun;
		struct pm_conf_service conf_service;
		struct pm_delegate delegate;
		struct pm_delegation delegation;
		struct pm_connect connect;
		struct pm_connected connected;
		struct pm_request request;
		struct pm_row row;
		struct pm_done done;
		struct pm_conf_listen conf_listen;
		struct pm_local local;
		struct pm_bind bind;
		struct pm_target target;
		struct pm_target_addr target_addr;
		struct pm_target_del target_del;
		struct pm_peer_up peer_up;
		struct pm_peer_down peer_down;
		struct pm_peer_stat peer_stat;
		struct pm_dial_failed dial_failed;
		struct pm_records records;
		struct pm_service service;
		struct pm_service_del service_del;
		struct pm_conf_routing conf_routing;
		struct pm_conf_weight conf_weight;
		struct pm_signed signed_record;
		struct pm_system system;
		struct pm_load load;
		struct pm_route route;
		struct pm_route_del route_del;
		struct pm_route_rank route_rank;
		struct pm_route_stat route_stat;
		struct pm_route_moved route_moved;
		struct pm_stream_moved stream_moved;
		struct pm_route_used route_used;
		struct pm_permit permit;
		struct pm_revoke revoke;
		struct pm_tenants tenants;
		struct pm_want want;
		struct pm_want_failed want_failed;
	};
};

/* Decodes a frame of a process-only type. 0, or a negative frame_error. Borrowed fields point into the frame. */
int	procmsg_decode(struct procmsg *m, const struct frame *f);

struct ipc;

/*
 * Encodes m and puts it into ipc's message (no flush; one with a descriptor leaves at once). fd is -1 or is
 * duplicated. -1 with errno EAGAIN, or EINVAL: decode would refuse it, or fd is not what the type says.
 */
int	procmsg_send(struct ipc *, const struct procmsg *m, int fd);

/* Encodes m as a whole frame into buf; the length, or 0. For tests and for procmsg_send(). */
size_t	procmsg_encode(uint8_t *buf, size_t size, const struct procmsg *m);

/* Whether frames of this type may carry a descriptor. */
bool	procmsg_carries_fd(uint64_t type);

/* Whether they must: the receiver refuses one without. PM_LOG says it in has_fd, PM_CONNECTED in error. */
bool	procmsg_needs_fd(uint64_t type);

/* Whether `tenant' is one of a list such as pm_conf_service has. */
bool	pm_tenant_listed(const char *list, const char *tenant);

const char *procmsg_name(uint64_t type);
const char *worker_name(unsigned kind);		/* "dataplane", ..., "fabricd" */
int	worker_parse(const char *name);		/* enum worker_kind below WORKER_COUNT, or -1 */

#endif
