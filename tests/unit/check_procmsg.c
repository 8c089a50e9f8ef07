#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "proc/ipc.h"
#include "proc/procmsg.h"
#include "proc/row.h"
#include "suite.h"
#include "wire/tenants.h"
#include "wire/tlv.h"
#include "wire/varint.h"

#define NODE	{ 1, 2, 3, [31] = 32 }
#define ADDR4	{ .family = 4, .addr = { 192, 0, 2, 1 }, .port = 4600 }
#define ADDR6	{ .family = 6, .addr = { 0x20, 1, 0xd, 0xb8, [15] = 1 }, .port = 65535 }
#define BYTES(s) { (const uint8_t *)(s), sizeof(s) - 1 }
#define NAME63	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

#define OTHER	{ 9, 8, 7, [31] = 6 }
#define ALL_CLASSES ((1u << CLASS_COUNT) - 1)

static const uint8_t big[FRAME_RECORD_MAX + 1], many[PM_RECORDS_MAX + 1], huge[PM_SIGNED_MAX + 1];
static char text255[PM_TEXT_MAX + 1];

/* Every type with ordinary values, and with the ends of its ranges. */
static const struct procmsg good[] = {
	{ .type = PM_READY, .ready = { 1, 1 } },
	{ .type = PM_READY, .ready = { UINT32_MAX, UINT32_MAX } },
	{ .type = PM_STATS, .stats = { WORKER_DATAPLANE, 1 } },
	{ .type = PM_STATS, .stats = { WORKER_TELEMD, UINT32_MAX } },
	{ .type = PM_PORT, .port = { WORKER_ROUTED, 7 } },
	{ .type = PM_LOG, .log = { LOG_LEVEL_ERROR, false } },
	{ .type = PM_LOG, .log = { LOG_LEVEL_DEBUG, true } },
	{ .type = PM_STOP, .stop = { 0 } },
	{ .type = PM_STOP, .stop = { UINT32_MAX } },
	{ .type = PM_SECRET, .secret = { { 1, [31] = 2 }, { 3, [31] = 4 } } },
	{ .type = PM_NET_CHANGED },
	{ .type = PM_PORT_LOST, .port_lost = { WORKER_VPND } },
	{ .type = PM_CONF_BEGIN, .conf_begin = { 0 } },
	{ .type = PM_CONF_BEGIN, .conf_begin = { VARINT_MAX } },
	{ .type = PM_CONF_END },
	{ .type = PM_CONF_OK },
	{ .type = PM_CONF_BAD, .conf_bad = { "" } },
	{ .type = PM_CONF_BAD, .conf_bad = { "prefix 10.0.0.0/8 is twice there \xc3\xa4" } },
	{ .type = PM_CONF_COMMIT },
	{ .type = PM_CONF_ABORT },
	{ .type = PM_CONF_NODE, .conf_node = { "home-1", NODE, NODE, "acme" } },
	{ .type = PM_CONF_NODE, .conf_node = { NAME63, NODE, NODE, NAME63 } },
	{ .type = PM_CONF_PEER, .conf_peer = { NODE, "p" } },
	{ .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { NODE, ADDR4 } },
	{ .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { NODE, ADDR6 } },
	{ .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix = { NODE, { 4, 0, { 0 } } } },
	{ .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix = { NODE, { 4, 32, { 10, 0, 0, 1 } } } },
	{ .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix = { NODE, { 4, 9, { 10, 0x80 } } } },
	{ .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix = { NODE, { 6, 128, { 0xfd, [15] = 1 } } } },
	{ .type = PM_CONF_SESSION, .conf_session = { 1, 1, 1, 1, 0, 1, false, false, { 0 } } },
	{ .type = PM_CONF_SESSION, .conf_session = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX,
	    UINT32_MAX, UINT32_MAX, true, true, { 1, 2, 3, 4, 5, 100 } } },
	{ .type = PM_CONF_SOCKET, .conf_socket = { SOCKET_FABRIC_UDP, ADDR6 } },
	{ .type = PM_CONF_SOCKET, .conf_socket = { SOCKET_METRICS, ADDR4 } },
	{ .type = PM_CONF_VPN, .conf_vpn = { "fab0", 1380, { 4, 16, { 10, 77, 0, 1 } }, { 6, 64, { 0xfd, [15] = 1 } } } },
	{ .type = PM_CONF_VPN, .conf_vpn = { "Tun_a.b-c012345", 65535, { 0 }, { 6, 128, { 0xfd } } } },
	{ .type = PM_CONF_TUN, .conf_tun = { true, false } },
	{ .type = PM_CONF_SERVICE, .conf_service = { .name = "echo" } },
	{ .type = PM_CONF_SERVICE, .conf_service = { "ssh", CLASS_COUNT - 1, ADDR4, UINT32_MAX, "home away" } },
	{ .type = PM_CONF_SERVICE, .conf_service = { "ssh", CLASS_INTERACTIVE, ADDR6, 0, "" } },
	{ .type = PM_CONNECT, .connect = { 1, "ssh" } },
	{ .type = PM_CONNECTED, .connected = { VARINT_MAX, 0 } },
	{ .type = PM_CONNECTED, .connected = { 0, 4095 } },
	{ .type = PM_CONF_STATE_DIR },
	{ .type = PM_CONF_LISTEN, .conf_listen = { LISTEN_TCP, ADDR4, "ssh@home-1" } },
	{ .type = PM_CONF_LISTEN, .conf_listen = { LISTEN_SOCKS, ADDR6, "" } },
	{ .type = PM_DELEGATE, .delegate = { PURPOSE_SESSION, NODE } },
	{ .type = PM_DELEGATE, .delegate = { PURPOSE_E2E, NODE } },
	{ .type = PM_DELEGATION, .delegation = { PURPOSE_SESSION, BYTES("m"), BYTES("delegation"), 0 } },
	{ .type = PM_DELEGATION, .delegation = { PURPOSE_SESSION, { big, FRAME_RECORD_MAX }, { big, FRAME_RECORD_MAX },
	    RECORD_TIME_MAX } },
	{ .type = PM_REQUEST, .request = { 1, "sessions", "", 0 } },
	{ .type = PM_REQUEST, .request = { VARINT_MAX, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "home-1", VARINT_MAX } },
	{ .type = PM_ROW, .row = { 1, { big, 0 } } },
	{ .type = PM_ROW, .row = { 1, { big, ROW_MAX } } },
	{ .type = PM_DONE, .done = { 1, 0, "" } },
	{ .type = PM_DONE, .done = { 1, 255, "no such node" } },
	{ .type = PM_LOCAL, .local = { VARINT_MAX, "ssh" } },
	{ .type = PM_BIND, .bind = { "vpn" } },
	{ .type = PM_TARGET, .target = { NODE, true } },
	{ .type = PM_TARGET_ADDR, .target_addr = { NODE, ADDR4 } },
	{ .type = PM_TARGET_DEL, .target_del = { NODE } },
	{ .type = PM_PEER_UP, .peer_up = { NODE, "home-1", "acme", UINT32_MAX, 9, RECORD_TIME_MAX,
	    BYTES("\4\40\12\0\0\1\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), ADDR4, 65535, true, BYTES("record") } },
	{ .type = PM_PEER_UP, .peer_up = { NODE, "a", "b", 0, 0, 0, { NULL, 0 }, ADDR6, 0, false,
	    { big, FRAME_RECORD_MAX } } },
	{ .type = PM_PEER_DOWN, .peer_down = { NODE, VARINT_MAX } },
	{ .type = PM_RECORDS, .records = { NODE, BYTES("record") } },
	{ .type = PM_RECORDS, .records = { NODE, { many, 0 } } },
	{ .type = PM_RECORDS, .records = { NODE, { many, PM_RECORDS_MAX } } },
	{ .type = PM_SERVICE, .service = { NODE, "vpn", BYTES("record"), false } },
	{ .type = PM_SERVICE, .service = { NODE, "a", { big, FRAME_RECORD_MAX }, true } },
	{ .type = PM_SERVICE_DEL, .service_del = { NODE, "vpn" } },
	{ .type = PM_SERVICES },
	{ .type = PM_UNBIND, .bind = { "ssh" } },
	{ .type = PM_CONF_ROUTING, .conf_routing = { .classes = 0 } },
	{ .type = PM_CONF_ROUTING, .conf_routing = { true, UINT32_MAX, ALL_CLASSES, 1439, 1439, UINT32_MAX, true,
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "eu" } },
	{ .type = PM_CONF_WEIGHT, .conf_weight = { 0, 1000 } },
	{ .type = PM_CONF_WEIGHT, .conf_weight = { UINT8_MAX, UINT32_MAX } },
	{ .type = PM_DELEGATE, .delegate = { PURPOSE_ROUTE, NODE } },
	{ .type = PM_DELEGATE, .delegate = { PURPOSE_TICKET, NODE } },
	{ .type = PM_SIGNED, .signed_record = { BYTES("r") } },
	{ .type = PM_SIGNED, .signed_record = { { huge, PM_SIGNED_MAX } } },
	{ .type = PM_SYSTEM, .system = { false, false, 0, 0 } },
	{ .type = PM_SYSTEM, .system = { true, true, 100, UINT8_MAX } },
	{ .type = PM_LOAD, .load = { 0, 0, 0, 0 } },
	{ .type = PM_LOAD, .load = { FRAME_PRESSURE_MAX, FRAME_PRESSURE_MAX, FRAME_PRESSURE_MAX, FRAME_PRESSURE_MAX } },
	{ .type = PM_REMOTE, .peer_up = { .node_id = NODE, .name = "home-1", .tenant = "acme", .roles = UINT32_MAX, .tier = 9,
	    .not_after = RECORD_TIME_MAX, .prefixes = BYTES("\4\40\12\0\0\1"), .membership = BYTES("record") } },
	{ .type = PM_REMOTE, .peer_up = { .node_id = NODE, .name = "a", .tenant = "b", .membership = { big, FRAME_RECORD_MAX } } },
	{ .type = PM_REMOTE_DEL, .target_del = { NODE } },
	{ .type = PM_ROUTE, .route = { 1, 0, 0, { 0 }, OTHER, NODE, 1, 0, 0, 0, 0, "" } },
	{ .type = PM_ROUTE, .route = { VARINT_MAX, VARINT_MAX, 2, NODE, { 0 }, OTHER, ALL_CLASSES, UINT32_MAX, UINT32_MAX,
	    RECORD_TIME_MAX, UINT32_MAX, "a123456789-123456789-123456789-123456789-123456789-123456789-12" } },
	{ .type = PM_ROUTE_DEL, .route_del = { 1, 0 } },
	{ .type = PM_ROUTE_DEL, .route_del = { VARINT_MAX, VARINT_MAX } },
	{ .type = PM_ROUTE_RANK, .route_rank = { NODE, 1, { big, 0 } } },
	{ .type = PM_ROUTE_RANK, .route_rank = { NODE, ALL_CLASSES, { big, 8 * PM_RANK_MAX } } },
	{ .type = PM_ROUTE_STAT, .route_stat = { 0, NODE, WAY_NEW, 0, 0, 0, 0, 0, 0 } },
	{ .type = PM_ROUTE_STAT, .route_stat = { VARINT_MAX, NODE, WAY_COUNT - 1, UINT32_MAX, UINT32_MAX, 1000, UINT32_MAX,
	    UINT32_MAX, UINT32_MAX } },
	{ .type = PM_ROUTE_MOVED, .route_moved = { NODE, 0, 0, false, 0, 0, 0, 0, 0 } },
	{ .type = PM_ROUTE_MOVED, .route_moved = { NODE, VARINT_MAX, VARINT_MAX, true, VARINT_MAX, UINT32_MAX, UINT32_MAX,
	    UINT32_MAX, UINT32_MAX } },
	{ .type = PM_STREAM_MOVED, .stream_moved = { NODE, 1, CLASS_CONTROL, "a", 0, 0, 0, 0, 0 } },
	{ .type = PM_STREAM_MOVED, .stream_moved = { NODE, FRAME_DATAGRAM_STREAM_MAX, CLASS_COUNT - 1,
	    "a123456789-123456789-123456789-123456789-123456789-123456789-12", VARINT_MAX, VARINT_MAX, VARINT_MAX, UINT32_MAX,
	    UINT32_MAX } },
	{ .type = PM_ROUTE_USED, .route_used = { 1, CLASS_CONTROL, 0, 0 } },
	{ .type = PM_ROUTE_USED, .route_used = { VARINT_MAX, CLASS_COUNT - 1, VARINT_MAX, VARINT_MAX } },
	{ .type = PM_PERMIT, .permit = { NODE, true, { NULL, 0 } } },
	{ .type = PM_PERMIT, .permit = { NODE, false, BYTES("\3ssh\77") } },
	{ .type = PM_PERMIT, .permit = { NODE, false, { many, PM_PERMITS_MAX } } },
	{ .type = PM_REVOKE, .revoke = { NODE, true } },
	{ .type = PM_REVOKE, .revoke = { NODE, false } },
	{ .type = PM_TENANTS, .tenants = { false, { NULL, 0 } } },
	{ .type = PM_TENANTS, .tenants = { true, BYTES("\4acme\5infra") } },
	{ .type = PM_TENANTS, .tenants = { false, { huge, TENANTS_LIST_MAX } } },
	{ .type = PM_WANT, .want = { NODE, CLASS_CONTROL } },
	{ .type = PM_WANT, .want = { NODE, CLASS_COUNT - 1 } },
	{ .type = PM_WANT_FAILED, .want_failed = { NODE, VARINT_MAX } },
	{ .type = PM_PEER_STAT, .peer_stat = { NODE, 1, 2, 3, 4, 5, 6, 1200, true, 7 } },
	{ .type = PM_PEER_STAT, .peer_stat = { NODE, UINT32_MAX, UINT32_MAX, VARINT_MAX, VARINT_MAX, VARINT_MAX,
	    VARINT_MAX, 65535, false, VARINT_MAX } },
	{ .type = PM_DIAL_FAILED, .dial_failed = { NODE, ADDR4, REASON_TIMEOUT } },
};
#define NGOOD (sizeof(good) / sizeof(good[0]))

static uint8_t out[FRAME_MAX_CEILING], again[FRAME_MAX_CEILING];
static const struct frame_limits limits = { FRAME_PORT_PROC, FRAME_MAX_CEILING };

/* Decodes a frame's body out of memory that ends where the body ends. */
static int
decode_body(struct procmsg *m, uint64_t type, const uint8_t *body, size_t len, uint8_t **copy)
{
	struct frame f = { .type = type };

	*copy = malloc(len + (len == 0));
	if (len > 0)
		memcpy(*copy, body, len);
	f.body = (struct frame_bytes){ *copy, len };
	return procmsg_decode(m, &f);
}

static void
encode(struct frame *f, const struct procmsg *m)
{
	size_t len = procmsg_encode(out, sizeof(out), m);

	ck_assert_msg(len > 0, "%s does not encode", procmsg_name(m->type));
	ck_assert_int_eq(frame_decode(f, out, len, &limits), FRAME_OK);
	ck_assert_uint_eq(f->raw.len, len);
	ck_assert_uint_eq(f->type, m->type);
}

START_TEST(round_trip)
{
	struct frame f;
	struct procmsg m;
	uint8_t *copy;
	size_t len;

	encode(&f, &good[_i]);
	ck_assert_int_eq(decode_body(&m, f.type, f.body.p, f.body.len, &copy), 0);
	len = procmsg_encode(again, sizeof(again), &m);
	ck_assert_uint_eq(len, f.raw.len);
	ck_assert_mem_eq(again, out, len);
	free(copy);
	ck_assert_uint_eq(procmsg_encode(again, len - 1, &good[_i]), 0);
}
END_TEST

START_TEST(values_survive)
{
	const struct procmsg *want = &good[NGOOD - 3];
	struct frame f;
	struct procmsg m;

	encode(&f, want);
	ck_assert_int_eq(procmsg_decode(&m, &f), 0);
	ck_assert_int_eq(m.type, PM_PEER_STAT);
	ck_assert_mem_eq(m.peer_stat.node_id, want->peer_stat.node_id, NODE_ID_LEN);
	ck_assert_uint_eq(m.peer_stat.rtt_us, 1);
	ck_assert_uint_eq(m.peer_stat.rttvar_us, 2);
	ck_assert_uint_eq(m.peer_stat.sent, 3);
	ck_assert_uint_eq(m.peer_stat.lost, 4);
	ck_assert_uint_eq(m.peer_stat.bytes_in, 5);
	ck_assert_uint_eq(m.peer_stat.bytes_out, 6);
	ck_assert_uint_eq(m.peer_stat.datagram_max, 1200);
	ck_assert(m.peer_stat.mtu_settled);
	ck_assert_uint_eq(m.peer_stat.idle_ms, 7);

	encode(&f, &(struct procmsg){ .type = PM_CONF_VPN,
	    .conf_vpn = { "fab0", 1380, { 4, 16, { 10, 77, 0, 1 } }, { 6, 64, { 0xfd, [15] = 1 } } } });
	ck_assert_int_eq(procmsg_decode(&m, &f), 0);
	ck_assert_str_eq(m.conf_vpn.ifname, "fab0");
	ck_assert_uint_eq(m.conf_vpn.mtu, 1380);
	ck_assert_mem_eq(m.conf_vpn.addr4.addr, "\12\115\0\1", 4);
	ck_assert_uint_eq(m.conf_vpn.addr4.len, 16);
	ck_assert_uint_eq(m.conf_vpn.addr6.addr[15], 1);
	ck_assert_uint_eq(m.conf_vpn.addr6.len, 64);

	encode(&f, &(struct procmsg){ .type = PM_ROUTE, .route = { 7, 8, 1, NODE, OTHER, { 5 }, 9, 10, 11, 12, 13, "acme" } });
	ck_assert_int_eq(procmsg_decode(&m, &f), 0);
	ck_assert_uint_eq(m.route.route_id, 7);
	ck_assert_uint_eq(m.route.epoch, 8);
	ck_assert_uint_eq(m.route.place, 1);
	ck_assert_mem_eq(m.route.prev, ((uint8_t[NODE_ID_LEN])NODE), NODE_ID_LEN);
	ck_assert_mem_eq(m.route.next, ((uint8_t[NODE_ID_LEN])OTHER), NODE_ID_LEN);
	ck_assert_uint_eq(m.route.far[0], 5);
	ck_assert_uint_eq(m.route.classes, 9);
	ck_assert_uint_eq(m.route.kbps, 10);
	ck_assert_uint_eq(m.route.streams, 11);
	ck_assert_uint_eq(m.route.hard, 12);
	ck_assert_uint_eq(m.route.kbps_all, 13);
	ck_assert_str_eq(m.route.tenant, "acme");

	encode(&f, &(struct procmsg){ .type = PM_CONF_ROUTING,
	    .conf_routing = { true, 1, 2, 3, 4, 5, false, "rack-1", "eu" } });
	ck_assert_int_eq(procmsg_decode(&m, &f), 0);
	ck_assert(m.conf_routing.relay && !m.conf_routing.metered);
	ck_assert_uint_eq(m.conf_routing.kbps, 1);
	ck_assert_uint_eq(m.conf_routing.classes, 2);
	ck_assert_uint_eq(m.conf_routing.from_minute, 3);
	ck_assert_uint_eq(m.conf_routing.to_minute, 4);
	ck_assert_uint_eq(m.conf_routing.cost, 5);
	ck_assert_str_eq(m.conf_routing.domain, "rack-1");
	ck_assert_str_eq(m.conf_routing.region, "eu");

	encode(&f, &(struct procmsg){ .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { NODE, ADDR6 } });
	ck_assert_int_eq(procmsg_decode(&m, &f), 0);
	ck_assert_uint_eq(m.conf_peer_addr.addr.family, 6);
	ck_assert_uint_eq(m.conf_peer_addr.addr.port, 65535);
	ck_assert_uint_eq(m.conf_peer_addr.addr.addr[15], 1);
}
END_TEST

/* Cut anywhere, a body is refused, unless what is gone are whole optional fields. */
START_TEST(truncated)
{
	struct frame f;
	struct procmsg m;
	uint8_t *copy;
	size_t len;
	int err;

	encode(&f, &good[_i]);
	if (f.body.len > 512)
		return;
	for (size_t cut = 0; cut < f.body.len; cut++) {
		err = decode_body(&m, f.type, f.body.p, cut, &copy);
		if (err == 0) {
			len = procmsg_encode(again, sizeof(again), &m);
			ck_assert_msg(len > 0 && len < f.raw.len, "%s cut at %zu", procmsg_name(f.type), cut);
		} else {
			ck_assert_int_lt(err, 0);
		}
		free(copy);
	}
}
END_TEST

/* Any byte changed: refused, or a message that encodes to just these bytes. */
START_TEST(changed)
{
	struct frame f;
	struct procmsg m;
	uint8_t *copy, body[512];
	size_t len;

	encode(&f, &good[_i]);
	if (f.body.len > sizeof(body))
		return;
	len = f.body.len;
	memcpy(body, f.body.p, len);
	for (size_t at = 0; at < len; at++) {
		for (unsigned x = 1; x < 256; x <<= 1) {
			body[at] ^= (uint8_t)x;
			if (decode_body(&m, f.type, body, len, &copy) == 0) {
				size_t n = procmsg_encode(again, sizeof(again), &m);

				ck_assert_uint_eq(n, f.raw.len);
				ck_assert_mem_eq(again + n - len, body, len);
			}
			free(copy);
			body[at] ^= (uint8_t)x;
		}
	}
}
END_TEST

START_TEST(trailing_unknown_field)
{
	struct frame f;
	struct procmsg m;
	uint8_t *copy, *body;

	encode(&f, &good[_i]);
	body = malloc(f.body.len + 2);
	memcpy(body, f.body.p, f.body.len);
	body[f.body.len] = 0x3f;
	body[f.body.len + 1] = 0;
	ck_assert_int_eq(decode_body(&m, f.type, body, f.body.len + 2, &copy), FRAME_E_TLV_UNKNOWN);
	free(copy);
	free(body);
}
END_TEST

/* What must not be sent. */
static const struct {
	const char *what;
	struct procmsg m;
} unsendable[] = {
	{ "no such type", { .type = (enum procmsg_type)(PM_PORT_LOST + 1) } },
	{ "below the range", { .type = (enum procmsg_type)FT_PING } },
	{ "above the table", { .type = (enum procmsg_type)FT_PROC_LAST } },
	{ "generation 0", { .type = PM_READY, .ready = { 0, 1 } } },
	{ "a port to the supervisor", { .type = PM_PORT, .port = { WORKER_SUPERVISOR, 1 } } },
	{ "log level 4", { .type = PM_LOG, .log = { 4, false } } },
	{ "version above a varint", { .type = PM_CONF_BEGIN, .conf_begin = { VARINT_MAX + 1 } } },
	{ "a line break in a text", { .type = PM_CONF_BAD, .conf_bad = { "a\nb" } } },
	{ "not UTF-8", { .type = PM_CONF_BAD, .conf_bad = { "\xff" } } },
	{ "an empty name", { .type = PM_CONF_PEER, .conf_peer = { NODE, "" } } },
	{ "a name with a space", { .type = PM_CONF_PEER, .conf_peer = { NODE, "a b" } } },
	{ "family 0", { .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { NODE, { .port = 1 } } } },
	{ "family 5", { .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { NODE, { .family = 5 } } } },
	{ "IPv4 /33", { .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix = { NODE, { 4, 33, { 0 } } } } },
	{ "IPv6 /129", { .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix = { NODE, { 6, 129, { 0 } } } } },
	{ "bits beyond the prefix", { .type = PM_CONF_PEER_PREFIX,
	    .conf_peer_prefix = { NODE, { 4, 9, { 10, 0xc0 } } } } },
	{ "keepalive 0", { .type = PM_CONF_SESSION, .conf_session = { 0, 1, 1, 1, 0, 1, false, false, { 0 } } } },
	{ "socket purpose 0", { .type = PM_CONF_SOCKET, .conf_socket = { 0, ADDR4 } } },
	{ "socket purpose 3", { .type = PM_CONF_SOCKET, .conf_socket = { 3, ADDR4 } } },
	{ "mtu 575", { .type = PM_CONF_VPN, .conf_vpn = { "f", 575, { 0 }, { 6, 64, { 0xfd } } } } },
	{ "no IPv6 address", { .type = PM_CONF_VPN, .conf_vpn = { "f", 1380, { 4, 8, { 10 } }, { 0 } } } },
	{ "families exchanged", { .type = PM_CONF_VPN, .conf_vpn = { "f", 1380, { 6, 8, { 10 } }, { 6, 64, { 0xfd } } } } },
	{ "an interface with a slash", { .type = PM_CONF_VPN, .conf_vpn = { "f/0", 1380, { 0 }, { 6, 64, { 0xfd } } } } },
	{ "an interface named ..", { .type = PM_CONF_VPN, .conf_vpn = { "..", 1380, { 0 }, { 6, 64, { 0xfd } } } } },
	{ "a service with a dot", { .type = PM_BIND, .bind = { "a.b" } } },
	{ "purpose 0", { .type = PM_DELEGATE, .delegate = { 0, NODE } } },
	{ "purpose 5", { .type = PM_DELEGATE, .delegate = { PURPOSE_COUNT, NODE } } },
	{ "no membership", { .type = PM_DELEGATION, .delegation = { PURPOSE_SESSION, { NULL, 0 }, BYTES("d"), 0 } } },
	{ "a record too long", { .type = PM_DELEGATION,
	    .delegation = { PURPOSE_SESSION, { big, sizeof(big) }, BYTES("d"), 0 } } },
	{ "beyond the year 9999", { .type = PM_DELEGATION,
	    .delegation = { PURPOSE_SESSION, BYTES("m"), BYTES("d"), RECORD_TIME_MAX + 1 } } },
	{ "class 6", { .type = PM_CONF_SERVICE, .conf_service = { .name = "a", .class = CLASS_COUNT } } },
	{ "a target of family 5", { .type = PM_CONF_SERVICE, .conf_service = { .name = "a", .target = { .family = 5 } } } },
	{ "listen purpose 3", { .type = PM_CONF_LISTEN, .conf_listen = { LISTEN_SOCKS + 1, ADDR4, "" } } },
	{ "listen nowhere", { .type = PM_CONF_LISTEN, .conf_listen = { LISTEN_SOCKS, { 0 }, "" } } },
	{ "a connection to no service", { .type = PM_CONNECT, .connect = { 1, "" } } },
	{ "no errno", { .type = PM_CONNECTED, .connected = { 1, 4096 } } },
	{ "too many records", { .type = PM_RECORDS, .records = { NODE, { many, sizeof(many) } } } },
	{ "a service without a record", { .type = PM_SERVICE, .service = { .node_id = NODE, .name = "a" } } },
	{ "a service's record too long", { .type = PM_SERVICE, .service = { NODE, "a", { big, sizeof(big) }, false } } },
	{ "a service with a dot is gone", { .type = PM_SERVICE_DEL, .service_del = { NODE, "a.b" } } },
	{ "no command", { .type = PM_REQUEST, .request = { 1, "", "", 0 } } },
	{ "a row too long", { .type = PM_ROW, .row = { 1, { big, ROW_MAX + 1 } } } },
	{ "tier 10", { .type = PM_PEER_UP, .peer_up = { NODE, "a", "b", 0, 10, 0, { NULL, 0 }, ADDR6, 0, false, BYTES("r") } } },
	{ "a prefix cut off", { .type = PM_PEER_UP,
	    .peer_up = { NODE, "a", "b", 0, 1, 0, BYTES("\4\40\12\0\0"), ADDR6, 0, false, BYTES("r") } } },
	{ "a list's prefix with bits beyond", { .type = PM_PEER_UP,
	    .peer_up = { NODE, "a", "b", 0, 1, 0, BYTES("\4\10\12\0\0\1"), ADDR6, 0, false, BYTES("r") } } },
	{ "nine prefixes", { .type = PM_PEER_UP, .peer_up = { NODE, "a", "b", 0, 1, 0,
	    BYTES("\4\0\0\0\0\0\4\0\0\0\0\0\4\0\0\0\0\0\4\0\0\0\0\0\4\0\0\0\0\0\4\0\0\0\0\0\4\0\0\0\0\0\4\0\0\0\0\0\4\0\0\0\0\0"),
	    ADDR6, 0, false, BYTES("r") } } },
	{ "class bits above the last", { .type = PM_CONF_ROUTING, .conf_routing = { .classes = ALL_CLASSES + 1 } } },
	{ "24:00", { .type = PM_CONF_ROUTING, .conf_routing = { .from_minute = 1440 } } },
	{ "a line break in a domain", { .type = PM_CONF_ROUTING, .conf_routing = { .domain = "a\nb" } } },
	{ "nothing signed", { .type = PM_SIGNED, .signed_record = { { NULL, 0 } } } },
	{ "too much signed", { .type = PM_SIGNED, .signed_record = { { huge, sizeof(huge) } } } },
	{ "a battery of 101 percent", { .type = PM_SYSTEM, .system = { true, false, 101, 0 } } },
	{ "load above all", { .type = PM_LOAD, .load = { FRAME_PRESSURE_MAX + 1, 0, 0, 0 } } },
	{ "a remote without a membership", { .type = PM_REMOTE, .peer_up = { .node_id = NODE, .name = "a", .tenant = "b" } } },
	{ "route 0", { .type = PM_ROUTE, .route = { .place = 1, .classes = 1 } } },
	{ "a route in place 3", { .type = PM_ROUTE, .route = { .route_id = 1, .place = 3, .classes = 1 } } },
	{ "a route of no class", { .type = PM_ROUTE, .route = { .route_id = 1 } } },
	{ "a route beyond the year 9999", { .type = PM_ROUTE,
	    .route = { .route_id = 1, .classes = 1, .hard = RECORD_TIME_MAX + 1 } } },
	{ "the end of route 0", { .type = PM_ROUTE_DEL, .route_del = { 0, 1 } } },
	{ "a rank of no class", { .type = PM_ROUTE_RANK, .route_rank = { NODE, 0, { big, 8 } } } },
	{ "one more in a rank than there can be", { .type = PM_ROUTE_RANK, .route_rank = { NODE, 1, { big, 8 * (PM_RANK_MAX + 1) } } } },
	{ "a state of a way that there is not", { .type = PM_ROUTE_STAT, .route_stat = { .node_id = NODE, .state = WAY_COUNT } } },
	{ "more lost than all", { .type = PM_ROUTE_STAT, .route_stat = { .node_id = NODE, .loss = 1001 } } },
	{ "use of class 6", { .type = PM_ROUTE_USED, .route_used = { 1, CLASS_COUNT, 0, 0 } } },
	{ "use of route 0", { .type = PM_ROUTE_USED, .route_used = { 0, 0, 0, 0 } } },
	{ "more services than there can be", { .type = PM_PERMIT, .permit = { NODE, false, { many, PM_PERMITS_MAX + 1 } } } },
	{ "more tenants than there is room for", { .type = PM_TENANTS, .tenants = { true, { huge, TENANTS_LIST_MAX + 1 } } } },
	{ "a wish of class 6", { .type = PM_WANT, .want = { NODE, CLASS_COUNT } } },
	{ "datagram_max 65536", { .type = PM_PEER_STAT, .peer_stat = { .node_id = NODE, .datagram_max = 65536 } } },
};

START_TEST(refuses_to_encode)
{
	ck_assert_msg(procmsg_encode(out, sizeof(out), &unsendable[_i].m) == 0, "%s", unsendable[_i].what);
}
END_TEST

START_TEST(unterminated_text)
{
	struct procmsg m = { .type = PM_BIND };

	memset(m.bind.service, 'a', sizeof(m.bind.service));
	ck_assert_uint_eq(procmsg_encode(out, sizeof(out), &m), 0);
	m.bind.service[sizeof(m.bind.service) - 1] = '\0';
	ck_assert_uint_gt(procmsg_encode(out, sizeof(out), &m), 0);

	m = (struct procmsg){ .type = PM_DONE };
	memset(text255, 'x', PM_TEXT_MAX);
	memcpy(m.done.text, text255, sizeof(text255));
	ck_assert_uint_gt(procmsg_encode(out, sizeof(out), &m), 0);
}
END_TEST

/* What must not be taken. */
static const struct {
	const char *what;
	uint64_t type;
	int	 err;
	size_t	 len;
	uint8_t	 body[48];
} untakable[] = {
	{ "below the range", FT_PING, FRAME_E_TYPE, 0, { 0 } },
	{ "a hole in the table", PM_PORT_LOST + 1, FRAME_E_TYPE, 0, { 0 } },
	{ "above the table", FT_PROC_LAST, FRAME_E_TYPE, 0, { 0 } },
	{ "a body where there is none", PM_CONF_END, FRAME_E_TLV_UNKNOWN, 2, { 1, 0 } },
	{ "nothing where there is something", PM_READY, FRAME_E_TLV_MISSING, 0, { 0 } },
	{ "the second is missing", PM_READY, FRAME_E_TLV_MISSING, 3, { 1, 1, 1 } },
	{ "the first is missing", PM_READY, FRAME_E_TLV_MISSING, 3, { 2, 1, 1 } },
	{ "wrong order", PM_READY, FRAME_E_TLV_MISSING, 6, { 2, 1, 1, 1, 1, 1 } },
	{ "twice", PM_READY, FRAME_E_TLV_ORDER, 6, { 1, 1, 1, 1, 1, 1 } },
	{ "tag 0", PM_READY, FRAME_E_TLV_UNKNOWN, 8, { 0, 0, 1, 1, 1, 2, 1, 1 } },
	{ "a skippable tag is not skipped", PM_READY, FRAME_E_TLV_UNKNOWN, 9, { 1, 1, 1, 2, 1, 1, 0x40, 0x40, 0 } },
	{ "below the minimum", PM_READY, FRAME_E_VALUE, 6, { 1, 1, 0, 2, 1, 1 } },
	{ "above 32 bits", PM_READY, FRAME_E_VALUE, 13,
	    { 1, 8, 0xc0, 0, 0, 1, 0, 0, 0, 0, 2, 1, 1 } },
	{ "a varint not in its shortest form", PM_STOP, FRAME_E_VARINT, 4, { 1, 2, 0x40, 1 } },
	{ "a varint with a byte behind it", PM_STOP, FRAME_E_TRAILING, 4, { 1, 2, 1, 1 } },
	{ "a varint of no bytes", PM_STOP, FRAME_E_SHORT, 2, { 1, 0 } },
	{ "a bool of 2", PM_LOG, FRAME_E_VALUE, 6, { 1, 1, 0, 2, 1, 2 } },
	{ "a node id of 31 bytes", PM_TARGET_DEL, FRAME_E_VALUE, 33, { 1, 31 } },
	{ "a node id of 33 bytes", PM_TARGET_DEL, FRAME_E_VALUE, 35, { 1, 33 } },
	{ "a NUL in a name", PM_BIND, FRAME_E_TEXT, 5, { 1, 3, 'a', 0, 'b' } },
	{ "an upper case service", PM_BIND, FRAME_E_TEXT, 5, { 1, 3, 'a', 'B', 'b' } },
	{ "an empty argument that is there", PM_REQUEST, FRAME_E_VALUE, 8, { 1, 1, 1, 2, 1, 'a', 3, 0 } },
	{ "a count of 0 that is there", PM_REQUEST, FRAME_E_VALUE, 9, { 1, 1, 1, 2, 1, 'a', 4, 1, 0 } },
	{ "an argument with an escape", PM_REQUEST, FRAME_E_TEXT, 9, { 1, 1, 1, 2, 1, 'a', 3, 1, 27 } },
	{ "a socket without family", PM_CONF_SOCKET, FRAME_E_VALUE, 5, { 1, 1, 1, 2, 0 } },
	{ "an IPv4 address of 16 bytes", PM_CONF_SOCKET, FRAME_E_VALUE, 24, { 1, 1, 1, 2, 19, 4 } },
	{ "an interface with a NUL", PM_CONF_VPN, FRAME_E_TEXT, 4, { 1, 2, 'a', 0 } },
	{ "an interface of 16 bytes", PM_CONF_VPN, FRAME_E_VALUE, 18,
	    { 1, 16, 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a' } },
};

START_TEST(refuses_to_decode)
{
	struct procmsg m;
	uint8_t *copy;
	int err = decode_body(&m, untakable[_i].type, untakable[_i].body, untakable[_i].len, &copy);

	ck_assert_msg(err == untakable[_i].err, "%s: %s", untakable[_i].what, frame_strerror(err));
	free(copy);
}
END_TEST

/* The whole range: each type that has a name is among the good ones, and which carry a descriptor is known. */
START_TEST(table)
{
	static const uint64_t with_fd[] = { PM_STATS, PM_PORT, PM_LOG, PM_CONF_SOCKET, PM_CONF_TUN, PM_CONF_STATE_DIR,
	    PM_CONF_LISTEN, PM_CONNECTED, PM_LOCAL };
	unsigned carrying = 0;

	for (uint64_t t = 0; t <= FT_PROC_LAST + 0x100; t++) {
		bool found = false;

		for (size_t i = 0; i < NGOOD; i++)
			found |= good[i].type == t;
		ck_assert_msg(found == (strcmp(procmsg_name(t), "unknown") != 0), "type 0x%llx", (unsigned long long)t);
		carrying += procmsg_carries_fd(t);
		ck_assert(!procmsg_needs_fd(t) || procmsg_carries_fd(t));
	}
	ck_assert_uint_eq(carrying, sizeof(with_fd) / sizeof(with_fd[0]));
	for (size_t i = 0; i < sizeof(with_fd) / sizeof(with_fd[0]); i++) {
		ck_assert(procmsg_carries_fd(with_fd[i]));
		ck_assert(procmsg_needs_fd(with_fd[i]) == (with_fd[i] != PM_LOG && with_fd[i] != PM_CONNECTED));
	}
}
END_TEST

START_TEST(workers)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		ck_assert_int_eq(worker_parse(worker_name((unsigned)i)), i);
	ck_assert_str_eq(worker_name(WORKER_SUPERVISOR), "fabricd");
	ck_assert_int_eq(worker_parse("fabricd"), -1);
	ck_assert_int_eq(worker_parse(""), -1);
	ck_assert_str_eq(worker_name(WORKER_COUNT + 1), "unknown");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("procmsg");
	TCase *tc = tcase_create("procmsg");

	tcase_add_loop_test(tc, round_trip, 0, NGOOD);
	tcase_add_test(tc, values_survive);
	tcase_add_loop_test(tc, truncated, 0, NGOOD);
	tcase_add_loop_test(tc, changed, 0, NGOOD);
	tcase_add_loop_test(tc, trailing_unknown_field, 0, NGOOD);
	tcase_add_loop_test(tc, refuses_to_encode, 0, sizeof(unsendable) / sizeof(unsendable[0]));
	tcase_add_test(tc, unterminated_text);
	tcase_add_loop_test(tc, refuses_to_decode, 0, sizeof(untakable) / sizeof(untakable[0]));
	tcase_add_test(tc, table);
	tcase_add_test(tc, workers);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
