/*
 * The frames of Fabric Data Session V1: fabric-frame(5) is normative.
 *
 * A frame is type, length, body; type and length are RFC 9000 section 16
 * varints in their shortest form. The same bytes travel on a QUIC stream, in a
 * QUIC DATAGRAM, on TCP, in an HTTP body and on a socketpair between processes.
 *
 * Decoding copies nothing, allocates nothing and reads no payload byte: every
 * pointer in a decoded frame points into the input and lives as long as it.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FABRIC_VERSION_1	1

#define NODE_ID_LEN		32	/* SHA-256 of the node's Ed25519 public key */
#define FRAME_NONCE_LEN		32
#define FRAME_VERSIONS_MAX	8
#define FRAME_SERVICE_MAX	63	/* bytes of a service name */
#define FRAME_REASON_MAX	128	/* bytes of a reason's text */
#define FRAME_RECORD_MAX	4096	/* bytes of one signed record */
#define FRAME_HEADER_MAX	(8 + 8)	/* type and length */
#define FRAME_DATA_OVERHEAD	12	/* an unreliable DATA's header at most, while its body is below 16 KiB (else 14) */
#define FRAME_NOISE_MAX		1024	/* bytes of the handshake message in OPEN_STREAM */
#define FRAME_PRESSURE_MAX	1000	/* thousandths */

/* Hard ceilings; what a session uses is negotiated in HELLO and never above. */
#define FRAME_MAX_CEILING	(128u * 1024)	/* a whole frame */
#define FRAME_MAX_DEFAULT	(72u * 1024)	/* holds one 64 KiB superpacket with its headers */
#define FRAME_MAX_MIN		(16u * 1024)	/* every node accepts at least this */
#define FRAME_CONTROL_MAX	(16u * 1024)	/* any frame but DATA and process-only ones */
#define FRAME_STREAMS_CEILING	(1u << 20)
#define FRAME_CREDIT_CEILING	(1ull << 30)
#define FRAME_DATAGRAM_CEILING	65535u
#define FRAME_DATAGRAM_STREAM_MAX ((1ull << 30) - 1) /* so that its id is at most 4 bytes */

enum frame_type {
	FT_HELLO	= 0x01,
	FT_AUTH		= 0x02,
	FT_SESSION_READY = 0x03,
	FT_OPEN_STREAM	= 0x04,
	FT_ACK		= 0x05,
	FT_PING		= 0x06,
	FT_PONG		= 0x07,
	/* DATA has its flags in its type, as a QUIC STREAM frame has. */
	FT_DATA		= 0x08,
	FT_DATA_U	= 0x09,	/* unreliable, a whole unit */
	FT_DATA_UF	= 0x0b,	/* unreliable, a fragment that is not the last */
	FT_DATA_UFL	= 0x0f,	/* unreliable, the last fragment */
	FT_ROUTE_UPDATE	= 0x10,
	FT_STREAM_CREDIT = 0x11,
	FT_NODE_PRESSURE = 0x12,
	FT_CLOSE_STREAM	= 0x13,
	FT_RESET_STREAM	= 0x14,
	FT_GOAWAY	= 0x15,

	/* 0x00 and 0x16-0x3f are refused when unknown, 0x40-0xfff are skipped when unknown. */
	FT_SKIP_FIRST	= 0x40,
	FT_SKIP_LAST	= 0xfff,
	/* Only between the processes of one node; a network port refuses these. See proc/procmsg.h. */
	FT_PROC_FIRST	= 0x1000,
	FT_PROC_LAST	= 0x1fff,
	/* Everything above is refused. */
};

#define DATA_UNRELIABLE	0x01u
#define DATA_FRAGMENT	0x02u
#define DATA_LAST	0x04u
#define DATA_FRAGMENT_UNIT 256u	/* a fragment's offset counts these; all but the last are a multiple */
#define DATA_UNIT_MAX	65536u	/* a fragmented unit, put together */

enum traffic_class {
	CLASS_CONTROL, CLASS_DNS, CLASS_INTERACTIVE, CLASS_RELIABLE, CLASS_BULK, CLASS_DROPPABLE,
	CLASS_COUNT
};

/* TLV parameters (in HELLO, OPEN_STREAM, SESSION_READY, GOAWAY, NODE_PRESSURE, ROUTE_UPDATE):
 * tag, length, value; tags strictly ascend. An unknown tag below 0x40 is refused, from 0x40 on it is skipped. */
#define TLV_SKIP_FIRST	0x40

/* How an input can be malformed; frame_strerror() names each. Negative, so that 1 and 0 remain. */
enum frame_error {
	FRAME_OK		= 1,	/* one frame decoded */
	FRAME_MORE		= 0,	/* the input ends inside a frame: wait for more (or truncated, in a datagram) */
	FRAME_E_VARINT		= -1,	/* a varint is not in its shortest form */
	FRAME_E_TYPE		= -2,	/* an unknown type that must be understood */
	FRAME_E_PROC		= -3,	/* a process-only type at a network port */
	FRAME_E_TOO_LONG	= -4,	/* the length is above the limit */
	FRAME_E_SHORT		= -5,	/* the body ends inside a field */
	FRAME_E_TRAILING	= -6,	/* bytes follow the last field */
	FRAME_E_VALUE		= -7,	/* a field's value is outside its range */
	FRAME_E_TLV_ORDER	= -8,	/* a tag repeats or descends */
	FRAME_E_TLV_UNKNOWN	= -9,	/* an unknown tag that must be understood */
	FRAME_E_TLV_MISSING	= -10,	/* a required tag is not there */
	FRAME_E_TEXT		= -11,	/* text that is not printable UTF-8, or a service name that is not one */
	FRAME_E_NOT_HERE	= -12,	/* a type or parameter that this port may not carry */
};

/* Where a frame came from: decides which types and parameters are accepted. */
enum frame_port {
	FRAME_PORT_STREAM,	/* a session's reliable bytes */
	FRAME_PORT_DATAGRAM,	/* one datagram: DATA with DATA_UNRELIABLE only */
	FRAME_PORT_PROC,	/* a socketpair to a process of the same node */
};

struct frame_limits {
	enum frame_port	port;
	uint32_t	max_frame;	/* a whole frame, in bytes */
};

struct frame_bytes {	/* borrowed bytes; p may be NULL where len is 0, as in a frame that left them out */
	const uint8_t	*p;
	size_t		 len;
};

/* Copies b to `to`, which has room for b.len bytes. Empty bytes are well, which memcpy(3) does not promise. */
static inline void
frame_bytes_copy(void *to, struct frame_bytes b)
{
	if (b.len > 0)
		memcpy(to, b.p, b.len);
}

struct frame_hello {
	uint32_t	 versions[FRAME_VERSIONS_MAX];	/* strictly descending, most wanted first */
	uint8_t		 nversions;			/* 1..FRAME_VERSIONS_MAX */
	const uint8_t	*node_id;			/* NODE_ID_LEN */
	const uint8_t	*nonce;				/* FRAME_NONCE_LEN, random */
	uint64_t	 boot_id;	/* random at process start: tells a restarted peer from a second dial */
	uint32_t	 max_frame;	/* what the sender accepts */
	uint32_t	 max_streams;	/* streams the receiver may have open */
	uint64_t	 max_credit;	/* bytes a stream */
	uint32_t	 max_datagram;	/* 0: no datagrams */
	uint64_t	 capabilities;	/* bits: 0, express packets (wire/express.h); unknown ones are ignored */
};

struct frame_auth {
	struct frame_bytes membership;	/* record: authority -> node */
	struct frame_bytes delegation;	/* record: node -> session key */
	const uint8_t	*signature;	/* 64 bytes, by the session key: see fabric-frame(5), "Proof" */
};

struct frame_session_ready {
	uint32_t	version;
	uint32_t	max_frame;
	uint32_t	max_streams;
	uint64_t	max_credit;
	uint32_t	max_datagram;
	uint64_t	route_epoch;
	uint64_t	peer_epoch;
};

#define OPEN_UNRELIABLE	0x01u	/* all other flag bits are refused */

struct frame_open_stream {
	uint64_t	 stream_id;	/* never 0, here and in every frame; see fabric/streamid.h */
	uint64_t	 route_id;	/* 0: direct, to the peer itself */
	uint8_t		 class;		/* enum traffic_class */
	uint8_t		 flags;		/* OPEN_* */
	struct frame_bytes service;	/* required when route_id is 0: [a-z0-9][a-z0-9-]*, at most FRAME_SERVICE_MAX */
	struct frame_bytes noise;	/* first end-to-end handshake message; may be empty; at most FRAME_NOISE_MAX */
	const uint8_t	*dest;		/* NODE_ID_LEN or NULL; FRAME_PORT_PROC only */
	const uint8_t	*source;	/* NODE_ID_LEN or NULL; FRAME_PORT_PROC only */
	uint64_t	 before;	/* the stream that this one takes the place of, as its way was lost; or 0; FRAME_PORT_PROC only */
};

struct frame_data {
	uint64_t	 stream_id;
	uint64_t	 seq;		/* reliable: offset of the first byte; unreliable: the packet number, of which the
					 * low 32 bits travel. Fragments of one unit have the same. */
	uint8_t		 flags;		/* DATA_*, from the type */
	uint16_t	 frag_offset;	/* in bytes; with DATA_FRAGMENT, else 0 */
	const uint8_t	*payload;
	size_t		 payload_len;	/* not 0; at FRAME_PORT_PROC it may be, except in a fragment */
};

struct frame_ack {
	uint64_t	stream_id;
	uint64_t	seq;		/* all before this is received; 0 answers an OPEN_STREAM */
	uint64_t	window;		/* further bytes the receiver takes beyond seq */
};

struct frame_ping {	/* PING and PONG */
	uint64_t	id;		/* any 64 bits; PONG repeats it */
	uint64_t	delay_us;	/* PONG: between PING's arrival and PONG; in PING absent */
};

struct frame_stream_credit {
	uint64_t	stream_id;
	uint64_t	limit;		/* absolute offset up to which the peer may send */
};

struct frame_node_pressure {	/* each 0..1000, thousandths of the node's limit */
	uint16_t	queue;
	uint16_t	cpu;
	uint16_t	memory;
	uint16_t	descriptors;
	uint16_t	loss;
};

struct frame_route_update {
	struct frame_bytes records;	/* all of the sender's service records, back to back; frame_decode() does not look inside */
};

/* Why a stream or a session ends. One space for RESET_STREAM, CLOSE and GOAWAY; unknown codes are kept as they are. */
enum fabric_reason {
	REASON_NONE = 0, REASON_INTERNAL, REASON_PROTOCOL, REASON_VERSION, REASON_LIMIT,
	REASON_TIMEOUT, REASON_SHUTDOWN, REASON_DUPLICATE, REASON_UNREACHABLE, REASON_NO_SERVICE,
	REASON_REFUSED, REASON_IDLE, REASON_PEER_GONE, REASON_UNSUPPORTED,
	/* AUTH, each with its own counter */
	REASON_AUTH_RECORD, REASON_AUTH_EXPIRED, REASON_AUTH_NOT_YET, REASON_AUTH_TENANT,
	REASON_AUTH_AUTHORITY, REASON_AUTH_NODE, REASON_AUTH_DELEGATION, REASON_AUTH_PROOF,
	REASON_AUTH_SELF, REASON_AUTH_POLICY, REASON_AUTH_TIMEOUT, REASON_AUTH_RATE,
	/* end to end: what came is not what was sent, or was cut short */
	REASON_TAMPERED,
	/* of a service whose target is a connection */
	REASON_TARGET_DOWN, REASON_TARGET_TIMEOUT, REASON_NOT_ALLOWED, REASON_CONNECTION_RESET,
	REASON_NO_KEY,		/* the receiver has not, or no longer, the key that this would need: a handshake anew helps */
	/* of routes: the path's word, by whichever node on it */
	REASON_MOVED,		/* this leg is given up for another: attach again at once */
	REASON_NO_ROUTE, REASON_ROUTE_EXPIRED, REASON_ROUTE_CLASS, REASON_ROUTE_LIMIT, REASON_ROUTE_RATE,
	REASON_HOP_GONE,	/* a relay has no session to the next hop, or no longer */
	REASON_FENCED, REASON_REVOKED,
	REASON_BETTER,		/* why streams were moved: another way is better */
	REASON_COUNT
};

struct frame_close_stream {
	uint64_t	stream_id;
	uint64_t	final_seq;	/* bytes (reliable) or packets (unreliable) that were sent */
	uint64_t	reason;
};

struct frame_reset_stream {
	uint64_t	stream_id;
	uint64_t	reason;
	struct frame_bytes text;	/* UTF-8, at most FRAME_REASON_MAX; may be empty */
};

struct frame_goaway {
	uint64_t	last_stream_id;	/* streams of the receiver above this were not acted on */
	uint64_t	reason;
	struct frame_bytes text;
};

struct frame {
	uint64_t	 type;		/* FT_*; FT_DATA* keep their exact type */
	bool		 skipped;	/* an unknown type in the skippable range: only raw and body are set */
	bool		 params_skipped;/* an unknown parameter was skipped: encoding would leave it out */
	struct frame_bytes raw;		/* the whole frame */
	struct frame_bytes body;	/* after type and length; what a process message decodes */
	union {
		struct frame_hello hello;
		struct frame_auth auth;
		struct frame_session_ready ready;
		struct frame_open_stream open;
		struct frame_data data;
		struct frame_ack ack;
		struct frame_ping ping;
		struct frame_route_update route_update;
		struct frame_stream_credit credit;
		struct frame_node_pressure pressure;
		struct frame_close_stream close;
		struct frame_reset_stream reset;
		struct frame_goaway goaway;
	};
};

/*
 * Decodes the first frame of buf. FRAME_OK: `f` is filled and f->raw.len bytes were used.
 * FRAME_MORE: the frame is not whole yet and nothing says that it is wrong.
 * Negative: an enum frame_error; the port should be closed. A length above
 * lim->max_frame is refused as soon as it can be read.
 */
int	frame_decode(struct frame *f, const uint8_t *buf, size_t len, const struct frame_limits *lim);

/*
 * The fast path: decodes the header of any DATA frame into `d` and sets *used to
 * the whole frame's length. Same results as frame_decode(); FRAME_E_TYPE when it is not a DATA.
 */
int	frame_decode_data(struct frame_data *d, size_t *used, const uint8_t *buf, size_t len,
	    const struct frame_limits *lim);

/*
 * The same for an unreliable DATA whose payload is somewhere else: only the header has to be in buf. d->payload is what
 * follows it, for the caller to set; *used is the header's length.
 */
int	frame_decode_data_header(struct frame_data *d, size_t *used, const uint8_t *buf, size_t len,
	    const struct frame_limits *lim);


/*
 * Encodes f (type and the union's fields; raw and body are not read, except that a process-only
 * or a skippable type is written with f->body as its body). Returns the bytes written, or 0
 * when `size` is too small or a field is outside what decode accepts for port `port`; then
 * buf may have been written to. A DATA's payload may already be in its place in buf.
 */
size_t	frame_encode(uint8_t *buf, size_t size, const struct frame *f, enum frame_port port);

/*
 * Writes only the header of a DATA whose payload_len bytes, not 0, the caller puts behind it
 * (d->payload is not read). Returns the header's length, or 0 as frame_encode().
 */
size_t	frame_encode_data_header(uint8_t *buf, size_t size, const struct frame_data *d);

/* The length that frame_encode_data_header() would write; d is one that it accepts. */
size_t	frame_data_header_len(const struct frame_data *d);

/*
 * Replaces the stream id of a DATA frame without touching its payload, for a switch: writes the new
 * header to hdr (FRAME_HEADER_MAX + 24 bytes) and returns its length; the payload is d->payload.
 * 0 when the id does not fit.
 */
size_t	frame_data_rewrite(uint8_t *hdr, const struct frame_data *d, uint64_t new_stream_id);

const char *frame_strerror(int err);
const char *frame_type_name(uint64_t type);	/* "DATA", ...; "unknown" */
const char *class_name(unsigned class);		/* "control", ...; "unknown" */
int	class_parse(const char *name);		/* enum traffic_class, or -1 */
const char *reason_name(uint64_t reason);	/* "auth-expired", ...; "unknown" */

static inline bool
frame_type_is_data(uint64_t type)
{
	return (type & ~7ull) == FT_DATA;
}

#endif
