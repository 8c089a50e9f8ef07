/* A frame as the lines of a golden vector and back, from one table of the fields of each type. */
#ifndef TESTS_UNIT_FRAME_TEXT_H
#define TESTS_UNIT_FRAME_TEXT_H

#include <inttypes.h>
#include <stddef.h>

#include "tests/unit/vectors.h"

enum field_kind {
	F_UINT,		/* an unsigned integer of `size` bytes */
	F_UINT_OPT,	/* the same; left out when 0 */
	F_RAW,		/* a pointer to `size` bytes, or NULL: then it is left out */
	F_BYTES,	/* struct frame_bytes, in hex; left out when empty */
	F_TEXT,		/* struct frame_bytes, as it is; left out when empty */
	F_PAYLOAD,	/* of a DATA, always there */
	F_VERSIONS,
};

struct field {
	const char	*name;
	enum field_kind	 kind;
	size_t		 offset, size;
};

#define F(kind, member, name) { #name, kind, offsetof(struct frame, member.name), \
	sizeof(((struct frame *)0)->member.name) }
#define U(member, name) F(F_UINT, member, name)
#define OPT(member, name) F(F_UINT_OPT, member, name)
#define RAW(member, name, len) { #name, F_RAW, offsetof(struct frame, member.name), len }

static const struct field hello_fields[] = {
	{ "versions", F_VERSIONS, 0, 0 }, RAW(hello, node_id, NODE_ID_LEN), RAW(hello, nonce, FRAME_NONCE_LEN),
	U(hello, boot_id), U(hello, max_frame), U(hello, max_streams), U(hello, max_credit),
	U(hello, max_datagram), U(hello, capabilities), { 0 }
};
static const struct field auth_fields[] = {
	F(F_BYTES, auth, membership), F(F_BYTES, auth, delegation), RAW(auth, signature, 64), { 0 }
};
static const struct field ready_fields[] = {
	U(ready, version), U(ready, max_frame), U(ready, max_streams), U(ready, max_credit),
	U(ready, max_datagram), U(ready, route_epoch), U(ready, peer_epoch), { 0 }
};
static const struct field open_fields[] = {
	U(open, stream_id), U(open, route_id), U(open, class), U(open, flags), F(F_TEXT, open, service),
	F(F_BYTES, open, noise), RAW(open, dest, NODE_ID_LEN), RAW(open, source, NODE_ID_LEN),
	OPT(open, before), { 0 }
};
static const struct field data_fields[] = {
	U(data, stream_id), U(data, seq), U(data, frag_offset), { "payload", F_PAYLOAD, 0, 0 }, { 0 }
};
static const struct field ack_fields[] = { U(ack, stream_id), U(ack, seq), U(ack, window), { 0 } };
static const struct field ping_fields[] = { U(ping, id), { 0 } };
static const struct field pong_fields[] = { U(ping, id), U(ping, delay_us), { 0 } };
static const struct field route_fields[] = { F(F_BYTES, route_update, records), { 0 } };
static const struct field credit_fields[] = { U(credit, stream_id), U(credit, limit), { 0 } };
static const struct field pressure_fields[] = {
	U(pressure, queue), U(pressure, cpu), U(pressure, memory), U(pressure, descriptors), U(pressure, loss), { 0 }
};
static const struct field close_fields[] = { U(close, stream_id), U(close, final_seq), U(close, reason), { 0 } };
static const struct field reset_fields[] = {
	U(reset, stream_id), U(reset, reason), F(F_TEXT, reset, text), { 0 }
};
static const struct field goaway_fields[] = {
	U(goaway, last_stream_id), U(goaway, reason), F(F_TEXT, goaway, text), { 0 }
};
static const struct field body_fields[] = {	/* of types that are not known */
	{ "body", F_BYTES, offsetof(struct frame, body), 0 }, { 0 }
};

static const struct field *const type_fields[] = {
	[FT_HELLO] = hello_fields, [FT_AUTH] = auth_fields, [FT_SESSION_READY] = ready_fields,
	[FT_OPEN_STREAM] = open_fields, [FT_ACK] = ack_fields, [FT_PING] = ping_fields, [FT_PONG] = pong_fields,
	[FT_DATA] = data_fields, [FT_DATA_U] = data_fields, [FT_DATA_UF] = data_fields, [FT_DATA_UFL] = data_fields,
	[FT_ROUTE_UPDATE] = route_fields, [FT_STREAM_CREDIT] = credit_fields, [FT_NODE_PRESSURE] = pressure_fields,
	[FT_CLOSE_STREAM] = close_fields, [FT_RESET_STREAM] = reset_fields, [FT_GOAWAY] = goaway_fields,
};

static inline const struct field *
fields_of(uint64_t type)
{
	if (type < sizeof type_fields / sizeof type_fields[0] && type_fields[type] != NULL)
		return type_fields[type];
	return body_fields;
}

static inline uint64_t
uint_load(const void *p, size_t size)
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

static inline void
uint_store(void *p, size_t size, uint64_t v)
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

static inline void
field_to_text(struct text *t, const struct frame *f, const struct field *fd)
{
	const uint8_t *at = (const uint8_t *)f + fd->offset;
	const struct frame_bytes *b = (const struct frame_bytes *)at;
	const uint8_t *raw;

	switch (fd->kind) {
	case F_UINT_OPT:
		if (uint_load(at, fd->size) == 0)
			break;
		/* FALLTHROUGH */
	case F_UINT:
		text_add(t, "%s %" PRIu64 "\n", fd->name, uint_load(at, fd->size));
		break;
	case F_RAW:
		memcpy(&raw, at, sizeof raw);
		if (raw != NULL)
			text_add_hex(t, fd->name, raw, fd->size);
		break;
	case F_BYTES:
		if (b->len > 0)
			text_add_hex(t, fd->name, b->p, b->len);
		break;
	case F_TEXT:
		if (b->len > 0)
			text_add(t, "%s %.*s\n", fd->name, (int)b->len, (const char *)b->p);
		break;
	case F_PAYLOAD:
		text_add_hex(t, fd->name, f->data.payload, f->data.payload_len);
		break;
	case F_VERSIONS:
		text_add(t, "%s", fd->name);
		for (unsigned i = 0; i < f->hello.nversions; i++)
			text_add(t, " %" PRIu32, f->hello.versions[i]);
		text_add(t, "\n");
		break;
	}
}

static inline void
frame_to_text(struct text *t, const struct frame *f)
{
	t->len = 0;
	text_add(t, "type %02" PRIx64 "\n", f->type);
	if (f->skipped)
		text_add(t, "skipped 1\n");
	for (const struct field *fd = fields_of(f->type); fd->name != NULL; fd++)
		field_to_text(t, f, fd);
	if (f->params_skipped)
		text_add(t, "params_skipped 1\n");
}

/* What the frame that frame_from_vector() made last points to. */
static uint8_t kept[VECTOR_LINE_MAX];
static size_t nkept;

static inline const uint8_t *
hex_keep(const char *hex, size_t *len)
{
	uint8_t *p = kept + nkept;

	*len = strlen(hex) / 2;
	if (*len > sizeof kept - nkept || hex_decode(p, *len, hex) == -1)
		errx(1, "hex %s?", hex);
	nkept += *len;
	return p;
}

static inline void
field_from_text(struct frame *f, const struct field *fd, const char *value)
{
	uint8_t *at = (uint8_t *)f + fd->offset;
	struct frame_bytes *b = (struct frame_bytes *)at;
	const uint8_t *raw;
	char *end = (char *)(uintptr_t)value;
	size_t len;

	switch (fd->kind) {
	case F_UINT_OPT:
	case F_UINT:
		uint_store(at, fd->size, strtoull(value, NULL, 10));
		break;
	case F_RAW:
		raw = hex_keep(value, &len);
		memcpy(at, &raw, sizeof raw);
		break;
	case F_BYTES:
		b->p = hex_keep(value, &b->len);
		break;
	case F_TEXT:
		b->len = strlen(value);
		b->p = (const uint8_t *)value;
		break;
	case F_PAYLOAD:
		f->data.payload = hex_keep(value, &f->data.payload_len);
		break;
	case F_VERSIONS:
		while (*end != '\0')
			f->hello.versions[f->hello.nversions++] = (uint32_t)strtoul(end, &end, 10);
		break;
	}
}

/* f points into v and into kept. */
static inline void
frame_from_vector(struct frame *f, const struct vector *v)
{
	memset(f, 0, sizeof *f);
	nkept = 0;
	f->type = strtoull(vector_get(v, "type"), NULL, 16);
	for (const struct field *fd = fields_of(f->type); fd->name != NULL; fd++) {
		const char *value = vector_get(v, fd->name);

		if (value != NULL)
			field_from_text(f, fd, value);
	}
}

#endif
