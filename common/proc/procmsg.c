#include "proc/procmsg.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "proc/ipc.h"
#include "proc/row.h"
#include "wire/fields.h"
#include "wire/tenants.h"
#include "wire/tlv.h"
#include "wire/varint.h"

#define LOG_LEVEL_MAX	3	/* enum log_level */
#define ERRNO_MAX	4095	/* the kernel's */
#define TIER_MAX	9
#define MTU_MIN		576
#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)
#define MINUTES_A_DAY	1440
#define PREFIX_LEN_MAX	(2 + 16)
#define ADDR_LEN_MAX	(3 + 16)

enum field_kind {
	F_END,
	F_UINT,		/* varint of min..max into an integer of `size` bytes; a bool is one of 0..1 */
	F_BYTES,	/* exactly `size` bytes */
	F_TEXT,		/* printable text of min..size-1 bytes, with its NUL in the struct only */
	F_NAME,		/* a node's or tenant's name */
	F_SERVICE,	/* a name without dots */
	F_IFNAME,	/* a network interface's name */
	F_BLOB,		/* min..max bytes, borrowed from the frame */
	F_ADDR,		/* family, port (2), address (4 or 16) */
	F_PREFIX,	/* family, length, address; the bits beyond the length are zero */
	F_IFADDR,	/* as a prefix of family `max`, but it is an address: those bits count */
	F_PREFIXES,	/* prefixes back to back, borrowed from the frame */
};

struct field {
	uint8_t	 tag;
	uint8_t	 kind;
	bool	 optional;	/* zero, or empty, is not written, and refused when it is */
	uint16_t off, size;	/* of the member in struct procmsg */
	uint64_t min, max;
};

enum fd_rule { FD_NONE, FD_MAY, FD_MUST };

struct desc {
	const char	   *name;
	const struct field *fields;	/* tags ascend; NULL: an empty body */
	enum fd_rule	    fd;
};

#define MEMBER(m)		offsetof(struct procmsg, m), sizeof(((struct procmsg *)NULL)->m)
#define UINT(t, m, lo, hi)	{ t, F_UINT, false, MEMBER(m), lo, hi }
#define UINT_OPT(t, m, hi)	{ t, F_UINT, true, MEMBER(m), 0, hi }
#define BOOL(t, m)		UINT(t, m, 0, 1)
#define BYTES(t, m)		{ t, F_BYTES, false, MEMBER(m), 0, 0 }
#define TEXT(t, m)		{ t, F_TEXT, false, MEMBER(m), 0, 0 }
#define TEXT_OPT(t, m)		{ t, F_TEXT, true, MEMBER(m), 0, 0 }
#define NAME(t, m)		{ t, F_NAME, false, MEMBER(m), 0, 0 }
#define SERVICE(t, m)		{ t, F_SERVICE, false, MEMBER(m), 0, 0 }
#define IFNAME(t, m)		{ t, F_IFNAME, false, MEMBER(m), 0, 0 }
#define BLOB(t, m, lo, hi)	{ t, F_BLOB, false, MEMBER(m), lo, hi }
#define ADDR(t, m)		{ t, F_ADDR, false, MEMBER(m), 0, 0 }
#define ADDR_OPT(t, m)		{ t, F_ADDR, true, MEMBER(m), 0, 0 }
#define PREFIX(t, m)		{ t, F_PREFIX, false, MEMBER(m), 0, 0 }
#define IFADDR(t, m, fam)	{ t, F_IFADDR, false, MEMBER(m), 0, fam }
#define IFADDR_OPT(t, m, fam)	{ t, F_IFADDR, true, MEMBER(m), 0, fam }
#define PREFIXES_OPT(t, m, n)	{ t, F_PREFIXES, true, MEMBER(m), 0, n }
#define FIELDS(...)		(const struct field[]){ __VA_ARGS__, { .kind = F_END } }

#define U32(t, m)		UINT(t, m, 0, UINT32_MAX)
#define U32_POS(t, m)		UINT(t, m, 1, UINT32_MAX)
#define U62(t, m)		UINT(t, m, 0, VARINT_MAX)

#define TYPE(t)			[t - FT_PROC_FIRST]

static const struct desc descs[] = {
	TYPE(PM_READY) = { "READY", FIELDS(
	    U32_POS(1, ready.generation), U32_POS(2, ready.pid)), FD_NONE },
	TYPE(PM_STATS) = { "STATS", FIELDS(
	    UINT(1, stats.kind, 0, WORKER_COUNT - 1), U32_POS(2, stats.generation)), FD_MUST },
	TYPE(PM_PORT) = { "PORT", FIELDS(
	    UINT(1, port.kind, 0, WORKER_COUNT - 1), U32_POS(2, port.generation)), FD_MUST },
	TYPE(PM_LOG) = { "LOG", FIELDS(
	    UINT(1, log.level, 0, LOG_LEVEL_MAX), BOOL(2, log.has_fd)), FD_MAY },
	TYPE(PM_STOP) = { "STOP", FIELDS(U32(1, stop.drain_ms)), FD_NONE },
	TYPE(PM_SECRET) = { "SECRET", FIELDS(
	    BYTES(1, secret.token_key), BYTES(2, secret.reset_key)), FD_NONE },
	TYPE(PM_NET_CHANGED) = { "NET_CHANGED", NULL, FD_NONE },
	TYPE(PM_PORT_LOST) = { "PORT_LOST", FIELDS(UINT(1, port_lost.kind, 0, WORKER_COUNT - 1)), FD_NONE },

	TYPE(PM_CONF_BEGIN) = { "CONF_BEGIN", FIELDS(U62(1, conf_begin.version)), FD_NONE },
	TYPE(PM_CONF_END) = { "CONF_END", NULL, FD_NONE },
	TYPE(PM_CONF_OK) = { "CONF_OK", NULL, FD_NONE },
	TYPE(PM_CONF_BAD) = { "CONF_BAD", FIELDS(TEXT(1, conf_bad.text)), FD_NONE },
	TYPE(PM_CONF_COMMIT) = { "CONF_COMMIT", NULL, FD_NONE },
	TYPE(PM_CONF_ABORT) = { "CONF_ABORT", NULL, FD_NONE },
	TYPE(PM_CONF_NODE) = { "CONF_NODE", FIELDS(
	    NAME(1, conf_node.name), BYTES(2, conf_node.node_id),
	    BYTES(3, conf_node.authority), NAME(4, conf_node.tenant)), FD_NONE },
	TYPE(PM_CONF_PEER) = { "CONF_PEER", FIELDS(
	    BYTES(1, conf_peer.node_id), NAME(2, conf_peer.name)), FD_NONE },
	TYPE(PM_CONF_PEER_ADDR) = { "CONF_PEER_ADDR", FIELDS(
	    BYTES(1, conf_peer_addr.node_id), ADDR(2, conf_peer_addr.addr)), FD_NONE },
	TYPE(PM_CONF_PEER_PREFIX) = { "CONF_PEER_PREFIX", FIELDS(
	    BYTES(1, conf_peer_prefix.node_id), PREFIX(2, conf_peer_prefix.prefix)), FD_NONE },
	TYPE(PM_CONF_SESSION) = { "CONF_SESSION", FIELDS(
	    U32_POS(1, conf_session.keepalive_ms), U32_POS(2, conf_session.dead_ms),
	    U32_POS(3, conf_session.auth_timeout_ms), U32_POS(4, conf_session.max_sessions),
	    U32(5, conf_session.retry_above), U32_POS(6, conf_session.auth_fail_per_min),
	    BOOL(7, conf_session.peers_only), BOOL(8, conf_session.gso),
	    BYTES(9, conf_session.weight)), FD_NONE },
	TYPE(PM_CONF_SOCKET) = { "CONF_SOCKET", FIELDS(
	    UINT(1, conf_socket.purpose, SOCKET_FABRIC_UDP, SOCKET_METRICS),
	    ADDR(2, conf_socket.addr)), FD_MUST },
	TYPE(PM_CONF_VPN) = { "CONF_VPN", FIELDS(
	    IFNAME(1, conf_vpn.ifname), UINT(2, conf_vpn.mtu, MTU_MIN, UINT16_MAX),
	    IFADDR_OPT(3, conf_vpn.addr4, 4), IFADDR(4, conf_vpn.addr6, 6)), FD_NONE },
	TYPE(PM_CONF_TUN) = { "CONF_TUN", FIELDS(
	    BOOL(1, conf_tun.vnet_hdr), BOOL(2, conf_tun.offload)), FD_MUST },
	TYPE(PM_CONF_SERVICE) = { "CONF_SERVICE", FIELDS(
	    SERVICE(1, conf_service.name), UINT(2, conf_service.class, 0, CLASS_COUNT - 1),
	    ADDR_OPT(3, conf_service.target), UINT_OPT(4, conf_service.roles, UINT32_MAX),
	    TEXT_OPT(5, conf_service.tenants)), FD_NONE },
	TYPE(PM_CONF_STATE_DIR) = { "CONF_STATE_DIR", NULL, FD_MUST },
	TYPE(PM_CONF_LISTEN) = { "CONF_LISTEN", FIELDS(
	    UINT(1, conf_listen.purpose, LISTEN_TCP, LISTEN_SOCKS), ADDR(2, conf_listen.addr),
	    TEXT_OPT(3, conf_listen.target)), FD_MUST },

	TYPE(PM_DELEGATE) = { "DELEGATE", FIELDS(
	    UINT(1, delegate.purpose, 1, PURPOSE_COUNT - 1), BYTES(2, delegate.key)), FD_NONE },
	TYPE(PM_DELEGATION) = { "DELEGATION", FIELDS(
	    UINT(1, delegation.purpose, 1, PURPOSE_COUNT - 1),
	    BLOB(2, delegation.membership, 1, FRAME_RECORD_MAX),
	    BLOB(3, delegation.delegation, 1, FRAME_RECORD_MAX),
	    UINT(4, delegation.renew_at, 0, RECORD_TIME_MAX)), FD_NONE },

	TYPE(PM_CONNECT) = { "CONNECT", FIELDS(U62(1, connect.id), SERVICE(2, connect.service)), FD_NONE },
	TYPE(PM_CONNECTED) = { "CONNECTED", FIELDS(
	    U62(1, connected.id), UINT(2, connected.error, 0, ERRNO_MAX)), FD_MAY },

	TYPE(PM_REQUEST) = { "REQUEST", FIELDS(
	    U62(1, request.id), SERVICE(2, request.command), TEXT_OPT(3, request.argument),
	    UINT_OPT(4, request.count, VARINT_MAX)), FD_NONE },
	TYPE(PM_ROW) = { "ROW", FIELDS(U62(1, row.id), BLOB(2, row.row, 0, ROW_MAX)), FD_NONE },
	TYPE(PM_DONE) = { "DONE", FIELDS(
	    U62(1, done.id), UINT(2, done.status, 0, UINT8_MAX), TEXT_OPT(3, done.text)), FD_NONE },
	TYPE(PM_LOCAL) = { "LOCAL", FIELDS(U62(1, local.id), TEXT(2, local.target)), FD_MUST },

	TYPE(PM_BIND) = { "BIND", FIELDS(SERVICE(1, bind.service)), FD_NONE },
	TYPE(PM_TARGET) = { "TARGET", FIELDS(
	    BYTES(1, target.node_id), BOOL(2, target.dial)), FD_NONE },
	TYPE(PM_TARGET_ADDR) = { "TARGET_ADDR", FIELDS(
	    BYTES(1, target_addr.node_id), ADDR(2, target_addr.addr)), FD_NONE },
	TYPE(PM_TARGET_DEL) = { "TARGET_DEL", FIELDS(BYTES(1, target_del.node_id)), FD_NONE },
	TYPE(PM_PEER_UP) = { "PEER_UP", FIELDS(
	    BYTES(1, peer_up.node_id), NAME(2, peer_up.name), NAME(3, peer_up.tenant),
	    U32(4, peer_up.roles), UINT(5, peer_up.tier, 0, TIER_MAX),
	    UINT(6, peer_up.not_after, 0, RECORD_TIME_MAX),
	    PREFIXES_OPT(7, peer_up.prefixes, RECORD_ADDRS_MAX), ADDR(8, peer_up.addr),
	    UINT(9, peer_up.datagram_max, 0, FRAME_DATAGRAM_CEILING), BOOL(10, peer_up.initiator),
	    BLOB(11, peer_up.membership, 1, FRAME_RECORD_MAX)), FD_NONE },
	TYPE(PM_PEER_DOWN) = { "PEER_DOWN", FIELDS(
	    BYTES(1, peer_down.node_id), U62(2, peer_down.reason)), FD_NONE },
	TYPE(PM_PEER_STAT) = { "PEER_STAT", FIELDS(
	    BYTES(1, peer_stat.node_id), U32(2, peer_stat.rtt_us), U32(3, peer_stat.rttvar_us),
	    U62(4, peer_stat.sent), U62(5, peer_stat.lost), U62(6, peer_stat.bytes_in),
	    U62(7, peer_stat.bytes_out),
	    UINT(8, peer_stat.datagram_max, 0, FRAME_DATAGRAM_CEILING),
	    BOOL(9, peer_stat.mtu_settled), U62(10, peer_stat.idle_ms),
	    U62(11, peer_stat.up_ms), UINT_OPT(12, peer_stat.pressure, FRAME_PRESSURE_MAX)), FD_NONE },
	TYPE(PM_DIAL_FAILED) = { "DIAL_FAILED", FIELDS(
	    BYTES(1, dial_failed.node_id), ADDR(2, dial_failed.addr),
	    U62(3, dial_failed.reason)), FD_NONE },
	TYPE(PM_RECORDS) = { "RECORDS", FIELDS(
	    BYTES(1, records.node_id), BLOB(2, records.records, 0, PM_RECORDS_MAX)), FD_NONE },
	TYPE(PM_SERVICE) = { "SERVICE", FIELDS(
	    BYTES(1, service.node_id), SERVICE(2, service.name),
	    BLOB(3, service.record, 1, FRAME_RECORD_MAX), BOOL(4, service.foreign)), FD_NONE },
	TYPE(PM_SERVICE_DEL) = { "SERVICE_DEL", FIELDS(
	    BYTES(1, service_del.node_id), SERVICE(2, service_del.name)), FD_NONE },
	TYPE(PM_SERVICES) = { "SERVICES", NULL, FD_NONE },
	TYPE(PM_CONF_ROUTING) = { "CONF_ROUTING", FIELDS(
	    BOOL(1, conf_routing.relay), U32(2, conf_routing.kbps), UINT(3, conf_routing.classes, 0, CLASSES_ALL),
	    UINT(4, conf_routing.from_minute, 0, MINUTES_A_DAY - 1),
	    UINT(5, conf_routing.to_minute, 0, MINUTES_A_DAY - 1),
	    U32(6, conf_routing.cost), BOOL(7, conf_routing.metered), TEXT_OPT(8, conf_routing.domain),
	    TEXT_OPT(9, conf_routing.region)), FD_NONE },
	TYPE(PM_CONF_WEIGHT) = { "CONF_WEIGHT", FIELDS(
	    UINT(1, conf_weight.part, 0, UINT8_MAX), U32(2, conf_weight.weight)), FD_NONE },
	TYPE(PM_SIGNED) = { "SIGNED", FIELDS(BLOB(1, signed_record.record, 1, PM_SIGNED_MAX)), FD_NONE },
	TYPE(PM_SYSTEM) = { "SYSTEM", FIELDS(
	    BOOL(1, system.on_battery), BOOL(2, system.charging), UINT(3, system.battery, 0, 100),
	    UINT(4, system.net, 0, UINT8_MAX)), FD_NONE },
	TYPE(PM_LOAD) = { "LOAD", FIELDS(
	    UINT(1, load.queue, 0, FRAME_PRESSURE_MAX), UINT(2, load.cpu, 0, FRAME_PRESSURE_MAX),
	    UINT(3, load.memory, 0, FRAME_PRESSURE_MAX), UINT(4, load.descriptors, 0, FRAME_PRESSURE_MAX)), FD_NONE },
	TYPE(PM_REMOTE) = { "REMOTE", FIELDS(
	    BYTES(1, peer_up.node_id), NAME(2, peer_up.name), NAME(3, peer_up.tenant),
	    U32(4, peer_up.roles), UINT(5, peer_up.tier, 0, TIER_MAX),
	    UINT(6, peer_up.not_after, 0, RECORD_TIME_MAX),
	    PREFIXES_OPT(7, peer_up.prefixes, RECORD_ADDRS_MAX),
	    BLOB(11, peer_up.membership, 1, FRAME_RECORD_MAX)), FD_NONE },
	TYPE(PM_REMOTE_DEL) = { "REMOTE_DEL", FIELDS(BYTES(1, target_del.node_id)), FD_NONE },
	TYPE(PM_ROUTE) = { "ROUTE", FIELDS(
	    UINT(1, route.route_id, 1, VARINT_MAX), U62(2, route.epoch), UINT(3, route.place, 0, 2),
	    BYTES(4, route.prev), BYTES(5, route.next), BYTES(6, route.far), UINT(7, route.classes, 1, CLASSES_ALL),
	    U32(8, route.kbps), U32(9, route.streams), UINT(10, route.hard, 0, RECORD_TIME_MAX),
	    U32(11, route.kbps_all), TEXT_OPT(12, route.tenant)), FD_NONE },
	TYPE(PM_ROUTE_DEL) = { "ROUTE_DEL", FIELDS(
	    UINT(1, route_del.route_id, 1, VARINT_MAX), U62(2, route_del.reason)), FD_NONE },
	TYPE(PM_ROUTE_RANK) = { "ROUTE_RANK", FIELDS(
	    BYTES(1, route_rank.node_id), UINT(2, route_rank.classes, 1, CLASSES_ALL),
	    BLOB(3, route_rank.ids, 0, 8 * PM_RANK_MAX)), FD_NONE },
	TYPE(PM_ROUTE_STAT) = { "ROUTE_STAT", FIELDS(
	    U62(1, route_stat.route_id), BYTES(2, route_stat.node_id), UINT(3, route_stat.state, 0, WAY_COUNT - 1),
	    U32(4, route_stat.rtt_us), U32(5, route_stat.jitter_us), UINT(6, route_stat.loss, 0, 1000),
	    U32(7, route_stat.probes), U32(8, route_stat.kbps), U32(9, route_stat.streams)), FD_NONE },
	TYPE(PM_ROUTE_MOVED) = { "ROUTE_MOVED", FIELDS(
	    BYTES(1, route_moved.node_id), U62(2, route_moved.from), U62(3, route_moved.to),
	    BOOL(4, route_moved.to_none), U62(5, route_moved.reason), U32(6, route_moved.streams),
	    U32(7, route_moved.packets_lost), U32(8, route_moved.detect_us), U32(9, route_moved.recover_us)), FD_NONE },
	TYPE(PM_ROUTE_USED) = { "ROUTE_USED", FIELDS(
	    UINT(1, route_used.route_id, 1, VARINT_MAX), UINT(2, route_used.class, 0, CLASS_COUNT - 1),
	    U62(3, route_used.forth), U62(4, route_used.back)), FD_NONE },
	TYPE(PM_PERMIT) = { "PERMIT", FIELDS(
	    BYTES(1, permit.node_id), BOOL(2, permit.all), BLOB(3, permit.services, 0, PM_PERMITS_MAX)), FD_NONE },
	TYPE(PM_REVOKE) = { "REVOKE", FIELDS(BYTES(1, revoke.node_id), BOOL(2, revoke.revoked)), FD_NONE },
	TYPE(PM_WANT) = { "WANT", FIELDS(BYTES(1, want.node_id), UINT(2, want.class, 0, CLASS_COUNT - 1)), FD_NONE },
	TYPE(PM_WANT_FAILED) = { "WANT_FAILED", FIELDS(
	    BYTES(1, want_failed.node_id), U62(2, want_failed.reason)), FD_NONE },
	TYPE(PM_STREAM_MOVED) = { "STREAM_MOVED", FIELDS(
	    BYTES(1, stream_moved.node_id), UINT(2, stream_moved.stream_id, 1, FRAME_DATAGRAM_STREAM_MAX),
	    UINT(3, stream_moved.class, 0, CLASS_COUNT - 1), SERVICE(4, stream_moved.service),
	    U62(5, stream_moved.from), U62(6, stream_moved.to), U62(7, stream_moved.reason),
	    U32(8, stream_moved.detect_us), U32(9, stream_moved.recover_us)), FD_NONE },
	TYPE(PM_TENANTS) = { "TENANTS", FIELDS(
	    BOOL(1, tenants.others), BLOB(2, tenants.list, 0, TENANTS_LIST_MAX)), FD_NONE },
	TYPE(PM_UNBIND) = { "UNBIND", FIELDS(SERVICE(1, bind.service)), FD_NONE },
};

static const char *const worker_names[WORKER_COUNT + 1] = {
	[WORKER_DATAPLANE] = "dataplane", [WORKER_ROUTED] = "routed", [WORKER_VPND] = "vpnd",
	[WORKER_SVCHOSTD] = "svchostd", [WORKER_TELEMD] = "telemd", [WORKER_SUPERVISOR] = "fabricd",
};

static const struct desc *
desc_of(uint64_t type)
{
	uint64_t i = type - FT_PROC_FIRST;

	if (type < FT_PROC_FIRST || i >= sizeof(descs) / sizeof(descs[0]) || descs[i].name == NULL)
		return NULL;
	return &descs[i];
}

static uint64_t
load_uint(const void *p, size_t size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		return *(const uint16_t *)p;
	case 4:
		return *(const uint32_t *)p;
	default:
		return *(const uint64_t *)p;
	}
}

static void
store_uint(void *p, size_t size, uint64_t v)
{
	switch (size) {
	case 1:
		*(uint8_t *)p = (uint8_t)v;
		break;
	case 2:
		*(uint16_t *)p = (uint16_t)v;
		break;
	case 4:
		*(uint32_t *)p = (uint32_t)v;
		break;
	default:
		*(uint64_t *)p = v;
	}
}

static int
get_uint(const struct field *f, const struct tlv *t, void *p)
{
	uint64_t v;
	int err = tlv_uint(t, f->max, &v);

	if (err != 0)
		return err;
	if (v < f->min || (f->optional && v == 0))
		return FRAME_E_VALUE;
	store_uint(p, f->size, v);
	return 0;
}

static int
get_bytes(const struct field *f, const struct tlv *t, void *p)
{
	if (t->value.len != f->size)
		return FRAME_E_VALUE;
	memcpy(p, t->value.p, f->size);
	return 0;
}

static bool
ifname_ok(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
		    (p[i] >= '0' && p[i] <= '9') || (i > 0 && strchr("._-", p[i]) != NULL)) ||
		    p[i] == '\0')
			return false;
	return len > 0;
}

static bool
text_ok(const struct field *f, const uint8_t *p, size_t len)
{
	switch (f->kind) {
	case F_NAME:
		return text_name(p, len, f->size - 1u, true);
	case F_SERVICE:
		return text_name(p, len, f->size - 1u, false);
	case F_IFNAME:
		return ifname_ok(p, len);
	default:
		return text_printable(p, len);
	}
}

static int
get_text(const struct field *f, const struct tlv *t, void *p)
{
	if (t->value.len >= f->size || (f->optional && t->value.len == 0))
		return FRAME_E_VALUE;
	if (!text_ok(f, t->value.p, t->value.len))
		return FRAME_E_TEXT;
	memcpy(p, t->value.p, t->value.len);
	((char *)p)[t->value.len] = '\0';
	return 0;
}

static int
get_blob(const struct field *f, const struct tlv *t, void *p)
{
	if (t->value.len < f->min || t->value.len > f->max)
		return FRAME_E_VALUE;
	*(struct frame_bytes *)p = t->value;
	return 0;
}

/* Bytes of an address of this family; 0: there is no such family. */
static size_t
addr_len(uint8_t family)
{
	return family == 4 ? 4 : family == 6 ? 16 : 0;
}

static int
get_addr(const struct field *f, const struct tlv *t, void *p)
{
	struct pm_addr *a = p;
	const uint8_t *v = t->value.p;

	if (t->value.len < 3 || addr_len(v[0]) == 0 || t->value.len != 3 + addr_len(v[0]))
		return FRAME_E_VALUE;
	a->family = v[0];
	a->port = (uint16_t)(v[1] << 8 | v[2]);
	memcpy(a->addr, v + 3, addr_len(v[0]));
	return 0;
}

/* One prefix at v: its length in bytes, or 0. */
static size_t
prefix_read(struct record_prefix *x, const uint8_t *v, size_t len)
{
	size_t n = len < 2 ? 0 : addr_len(v[0]);

	if (n == 0 || len < 2 + n || v[1] > 8 * n)
		return 0;
	*x = (struct record_prefix){ .family = v[0], .len = v[1] };
	memcpy(x->addr, v + 2, n);
	return 2 + n;
}

static bool
prefix_bits_clear(const struct record_prefix *x)
{
	for (size_t bit = x->len; bit < 8 * addr_len(x->family); bit++)
		if ((x->addr[bit / 8] & (0x80u >> (bit % 8))) != 0)
			return false;
	return true;
}

static int
get_prefix(const struct field *f, const struct tlv *t, void *p)
{
	struct record_prefix x;
	size_t n = prefix_read(&x, t->value.p, t->value.len);

	if (n == 0 || n != t->value.len)
		return FRAME_E_VALUE;
	if (f->kind == F_PREFIX ? !prefix_bits_clear(&x) : x.family != f->max)
		return FRAME_E_VALUE;
	*(struct record_prefix *)p = x;
	return 0;
}

static int
get_prefixes(const struct field *f, const struct tlv *t, void *p)
{
	struct record_prefix x;
	size_t off = 0, n;

	for (uint64_t i = 0; off < t->value.len; i++, off += n) {
		n = prefix_read(&x, t->value.p + off, t->value.len - off);
		if (n == 0 || i == f->max || !prefix_bits_clear(&x))
			return FRAME_E_VALUE;
	}
	if (off == 0)
		return FRAME_E_VALUE;
	*(struct frame_bytes *)p = t->value;
	return 0;
}

static void
put_uint(const struct field *f, struct tlv_writer *w, const void *p)
{
	uint64_t v = load_uint(p, f->size);

	if (v != 0 || !f->optional)
		tlv_put_uint(w, f->tag, v);
}

static void
put_bytes(const struct field *f, struct tlv_writer *w, const void *p)
{
	tlv_put(w, f->tag, p, f->size);
}

static void
put_text(const struct field *f, struct tlv_writer *w, const void *p)
{
	size_t len = strnlen(p, f->size);

	/* One without its NUL is too long for decode. */
	if (len > 0 || !f->optional)
		tlv_put(w, f->tag, p, len);
}

static void
put_blob(const struct field *f, struct tlv_writer *w, const void *p)
{
	const struct frame_bytes *b = p;

	if (b->len > 0 || !f->optional)
		tlv_put(w, f->tag, b->p, b->len);
}

static void
put_addr(const struct field *f, struct tlv_writer *w, const void *p)
{
	const struct pm_addr *a = p;
	uint8_t v[ADDR_LEN_MAX] = { a->family, (uint8_t)(a->port >> 8), (uint8_t)a->port };

	if (f->optional && a->family == 0)
		return;
	memcpy(v + 3, a->addr, addr_len(a->family));
	tlv_put(w, f->tag, v, 3 + addr_len(a->family));
}

static void
put_prefix(const struct field *f, struct tlv_writer *w, const void *p)
{
	const struct record_prefix *x = p;
	uint8_t v[PREFIX_LEN_MAX] = { x->family, x->len };

	if (f->optional && x->family == 0)
		return;
	memcpy(v + 2, x->addr, addr_len(x->family));
	tlv_put(w, f->tag, v, 2 + addr_len(x->family));
}

static const struct {
	int	(*get)(const struct field *, const struct tlv *, void *);
	void	(*put)(const struct field *, struct tlv_writer *, const void *);
} kinds[] = {
	[F_UINT] = { get_uint, put_uint }, [F_BYTES] = { get_bytes, put_bytes },
	[F_TEXT] = { get_text, put_text }, [F_NAME] = { get_text, put_text },
	[F_SERVICE] = { get_text, put_text }, [F_IFNAME] = { get_text, put_text },
	[F_BLOB] = { get_blob, put_blob }, [F_ADDR] = { get_addr, put_addr },
	[F_PREFIX] = { get_prefix, put_prefix }, [F_IFADDR] = { get_prefix, put_prefix },
	[F_PREFIXES] = { get_prefixes, put_blob },
};

static const struct field no_fields[] = { { .kind = F_END } };

static const struct field *
fields_of(const struct desc *d)
{
	return d->fields != NULL ? d->fields : no_fields;
}

/* The first field at or after f whose tag is not below `tag`; NULL when one that is required was passed over. */
static const struct field *
field_seek(const struct field *f, uint64_t tag)
{
	for (; f->kind != F_END && f->tag < tag; f++)
		if (!f->optional)
			return NULL;
	return f;
}

int
procmsg_decode(struct procmsg *m, const struct frame *f)
{
	const struct desc *d = desc_of(f->type);
	const struct field *field;
	struct tlv_reader r;
	struct tlv t;
	int n;

	if (d == NULL)
		return FRAME_E_TYPE;
	memset(m, 0, sizeof(*m));
	m->type = (enum procmsg_type)f->type;
	field = fields_of(d);
	tlv_read_init(&r, f->body.p, f->body.len);
	while ((n = tlv_read(&r, &t)) == 1) {
		field = field_seek(field, t.tag);
		if (field == NULL)
			return FRAME_E_TLV_MISSING;
		if (field->kind == F_END || field->tag != t.tag)
			return FRAME_E_TLV_UNKNOWN;
		n = kinds[field->kind].get(field, &t, (uint8_t *)m + field->off);
		if (n != 0)
			return n;
		field++;
	}
	if (n < 0)
		return n;
	return field_seek(field, UINT64_MAX) != NULL ? 0 : FRAME_E_TLV_MISSING;
}

static size_t
encode_body(uint8_t *buf, size_t size, const struct procmsg *m, const struct desc *d)
{
	struct tlv_writer w;

	tlv_write_init(&w, buf, size);
	for (const struct field *f = fields_of(d); f->kind != F_END; f++)
		kinds[f->kind].put(f, &w, (const uint8_t *)m + f->off);
	return w.failed ? SIZE_MAX : w.len;
}

/* Bytes of the whole frame, and of its body; 0 when m cannot be encoded. */
static size_t
encoded_len(const struct procmsg *m, const struct desc *d, size_t *body)
{
	*body = encode_body(NULL, FRAME_MAX_CEILING - FRAME_HEADER_MAX, m, d);
	if (*body == SIZE_MAX)
		return 0;
	return varint_len(m->type) + varint_len(*body) + *body;
}

size_t
procmsg_encode(uint8_t *buf, size_t size, const struct procmsg *m)
{
	const struct desc *d = desc_of(m->type);
	struct frame f = { .type = m->type };
	struct procmsg check;
	size_t body, len;
	uint8_t *p;

	if (d == NULL || (len = encoded_len(m, d, &body)) == 0 || len > size)
		return 0;
	p = varint_put(varint_put(buf, m->type), body);
	if (encode_body(p, body, m, d) != body)
		return 0;
	/* One set of checks, the decoder's: what it would refuse is not sent. */
	f.body = (struct frame_bytes){ p, body };
	return procmsg_decode(&check, &f) == 0 ? len : 0;
}

static bool
fd_fits(const struct procmsg *m, const struct desc *d, int fd)
{
	if (m->type == PM_LOG)
		return m->log.has_fd == (fd != -1);
	if (m->type == PM_CONNECTED)
		return (m->connected.error == 0) == (fd != -1);
	return d->fd == FD_MUST ? fd != -1 : fd == -1;
}

/* Messages with a descriptor are short and rare: a copy does no harm. */
static int
send_with_fd(struct ipc *ipc, const struct procmsg *m, int fd)
{
	uint8_t buf[256];
	struct frame f = { .type = m->type };
	size_t len = procmsg_encode(buf, sizeof(buf), m);
	size_t head;

	if (len == 0) {
		errno = EINVAL;
		return -1;
	}
	head = varint_len(m->type);
	head += (size_t)1 << (buf[head] >> 6);
	f.body = (struct frame_bytes){ buf + head, len - head };
	return ipc_send_fd(ipc, &f, fd);
}

int
procmsg_send(struct ipc *ipc, const struct procmsg *m, int fd)
{
	const struct desc *d = desc_of(m->type);
	size_t body, len;
	uint8_t *p;

	if (d == NULL || !fd_fits(m, d, fd) || (len = encoded_len(m, d, &body)) == 0)
		goto invalid;
	if (fd != -1)
		return send_with_fd(ipc, m, fd);
	p = ipc_reserve(ipc, len);
	if (p == NULL)
		return -1;
	len = procmsg_encode(p, len, m);
	ipc_commit(ipc, len);
	if (len > 0)
		return 0;
invalid:
	errno = EINVAL;
	return -1;
}

bool
procmsg_carries_fd(uint64_t type)
{
	const struct desc *d = desc_of(type);

	return d != NULL && d->fd != FD_NONE;
}

bool
procmsg_needs_fd(uint64_t type)
{
	const struct desc *d = desc_of(type);

	return d != NULL && d->fd == FD_MUST;
}

bool
pm_tenant_listed(const char *list, const char *tenant)
{
	size_t len = strlen(tenant);

	for (const char *p = list; *p != '\0'; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (n == len && memcmp(p, tenant, n) == 0)
			return true;
		p += n;
	}
	return false;
}

const char *
procmsg_name(uint64_t type)
{
	const struct desc *d = desc_of(type);

	return d != NULL ? d->name : "unknown";
}

const char *
worker_name(unsigned kind)
{
	return kind <= WORKER_COUNT ? worker_names[kind] : "unknown";
}

int
worker_parse(const char *name)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (strcmp(name, worker_names[i]) == 0)
			return i;
	return -1;
}
