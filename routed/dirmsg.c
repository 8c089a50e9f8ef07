#include "routed/dirmsg.h"

#include <string.h>

#include "routed/mesh.h"
#include "wire/fields.h"
#include "wire/varint.h"

#define ITEM_SERVICES	0x01u	/* flags of an ITEM */
#define QUERY_NAME	0x01u	/* flags of a QUERY */

const char *
dirmsg_name(unsigned type)
{
	static const char *const names[] = {
		[DIRMSG_HELLO] = "hello", [DIRMSG_DIGEST] = "digest", [DIRMSG_HAVE] = "have", [DIRMSG_WANT] = "want",
		[DIRMSG_ITEM] = "item", [DIRMSG_SIGNED] = "signed", [DIRMSG_QUERY] = "query",
		[DIRMSG_ROUTE_REQUEST] = "route-request", [DIRMSG_ROUTE_ANSWER] = "route-answer",
		[DIRMSG_INSTALL] = "install", [DIRMSG_INSTALLED] = "installed", [DIRMSG_TEARDOWN] = "teardown",
		[DIRMSG_RECEIPT] = "receipt",
	};

	return type < sizeof(names) / sizeof(names[0]) && names[type] != NULL ? names[type] : "unknown";
}

int
dirmsg_next(const uint8_t *p, size_t len, uint64_t *type, struct frame_bytes *body, size_t *whole)
{
	struct field_reader r;
	uint64_t body_len;

	field_read_init(&r, p, len);
	*type = field_uint(&r, 0, VARINT_MAX);
	body_len = field_uint(&r, 0, MESH_BODY_MAX);
	if (r.err != 0)
		return r.err == FRAME_E_SHORT ? 0 : -1;
	*body = (struct frame_bytes){ r.p, (size_t)body_len };
	*whole = (size_t)(r.p - p) + (size_t)body_len;
	return (size_t)(r.end - r.p) < body_len ? 0 : 1;
}

/* --- HELLO: version, leaf, wall, family, and with a family the address and the port --- */

int
dirmsg_hello_decode(struct dirmsg_hello *m, const uint8_t *p, size_t len)
{
	struct field_reader r;
	const uint8_t *addr;

	memset(m, 0, sizeof(*m));
	field_read_init(&r, p, len);
	m->version = (uint32_t)field_uint(&r, 1, UINT32_MAX);
	m->leaf = field_uint(&r, 0, 1) != 0;
	m->wall = field_uint(&r, 0, RECORD_TIME_MAX);
	m->seen.family = (uint8_t)field_uint(&r, 0, 6);
	if (r.err != 0 || m->seen.family == 0)
		return field_end(&r);
	if (m->seen.family != 4 && m->seen.family != 6)
		return FRAME_E_VALUE;
	if ((addr = field_raw(&r, m->seen.family == 4 ? 4 : 16)) != NULL)
		memcpy(m->seen.addr, addr, m->seen.family == 4 ? 4 : 16);
	m->seen.port = (uint16_t)field_uint(&r, 1, UINT16_MAX);
	return field_end(&r);
}

static size_t
done(const struct tlv_writer *w, int err)
{
	return w->failed || err != 0 ? 0 : w->len;
}

size_t
dirmsg_hello_encode(uint8_t *buf, size_t size, const struct dirmsg_hello *m)
{
	struct dirmsg_hello back;
	struct tlv_writer w;

	tlv_write_init(&w, buf, size);
	field_put_uint(&w, m->version);
	field_put_uint(&w, m->leaf);
	field_put_uint(&w, m->wall);
	field_put_uint(&w, m->seen.family);
	if (m->seen.family != 0) {
		field_put_raw(&w, m->seen.addr, m->seen.family == 4 ? 4 : 16);
		field_put_uint(&w, m->seen.port);
	}
	return done(&w, w.failed ? 0 : dirmsg_hello_decode(&back, buf, w.len));
}

/* --- DIGEST: serials, sums, and the buckets that are not empty, each with its number, ascending --- */

int
dirmsg_digest_decode(struct dirmsg_digest *m, const uint8_t *p, size_t len)
{
	struct field_reader r;
	uint64_t next = 0;

	memset(m, 0, sizeof(*m));
	field_read_init(&r, p, len);
	m->policy = field_uint(&r, 0, VARINT_MAX);
	m->revocation = field_uint(&r, 0, VARINT_MAX);
	m->fences = field_u64(&r);
	m->nodes = field_uint(&r, 0, VARINT_MAX);
	while (r.err == 0 && r.p < r.end) {
		const uint8_t *n = field_raw(&r, 1);
		uint64_t sum = field_u64(&r);

		if (r.err != 0)
			break;
		if (*n < next || sum == 0)
			return FRAME_E_VALUE;
		m->bucket[*n] = sum;
		next = *n + 1u;
	}
	return field_end(&r);
}

size_t
dirmsg_digest_encode(uint8_t *buf, size_t size, const struct dirmsg_digest *m)
{
	struct tlv_writer w;

	tlv_write_init(&w, buf, size);
	field_put_uint(&w, m->policy);
	field_put_uint(&w, m->revocation);
	field_put_u64(&w, m->fences);
	field_put_uint(&w, m->nodes);
	for (unsigned i = 0; i < DIRMSG_BUCKETS; i++) {
		if (m->bucket[i] == 0)
			continue;
		field_put_raw(&w, (const uint8_t[]){ (uint8_t)i }, 1);
		field_put_u64(&w, m->bucket[i]);
	}
	return done(&w, 0);
}

/* --- HAVE and WANT: node id, serial; again and again --- */

int
dirmsg_have_decode(struct dirmsg_have *m, const uint8_t *p, size_t len)
{
	struct field_reader r;

	m->n = 0;
	field_read_init(&r, p, len);
	do {
		const uint8_t *id = field_raw(&r, NODE_ID_LEN);
		uint64_t serial = field_uint(&r, 0, VARINT_MAX);

		if (r.err != 0)
			break;
		if (m->n == DIRMSG_HAVE_MAX)
			return FRAME_E_TOO_LONG;
		memcpy(m->v[m->n].node_id, id, NODE_ID_LEN);
		m->v[m->n++].serial = serial;
	} while (r.p < r.end);
	return field_end(&r);
}

size_t
dirmsg_have_encode(uint8_t *buf, size_t size, const struct dirmsg_have *m)
{
	struct tlv_writer w;

	if (m->n == 0 || m->n > DIRMSG_HAVE_MAX)
		return 0;
	tlv_write_init(&w, buf, size);
	for (unsigned i = 0; i < m->n; i++) {
		field_put_raw(&w, m->v[i].node_id, NODE_ID_LEN);
		field_put_uint(&w, m->v[i].serial);
	}
	return done(&w, 0);
}

/* --- ITEM: flags, four records each behind its length, and the services --- */

int
dirmsg_item_decode(struct dirmsg_item *m, const uint8_t *p, size_t len)
{
	struct field_reader r;

	memset(m, 0, sizeof(*m));
	field_read_init(&r, p, len);
	m->has_services = field_uint(&r, 0, ITEM_SERVICES) != 0;
	m->membership = field_bytes(&r, 0, FRAME_RECORD_MAX);
	m->route = field_bytes(&r, 0, FRAME_RECORD_MAX);
	m->ticket = field_bytes(&r, 0, FRAME_RECORD_MAX);
	m->record = field_bytes(&r, 1, FRAME_RECORD_MAX);
	if (m->has_services)
		m->services = field_bytes(&r, 0, PM_RECORDS_MAX);
	return field_end(&r);
}

size_t
dirmsg_item_encode(uint8_t *buf, size_t size, const struct dirmsg_item *m)
{
	struct dirmsg_item back;
	struct tlv_writer w;

	if (!m->has_services && m->services.len > 0)
		return 0;
	tlv_write_init(&w, buf, size);
	field_put_uint(&w, m->has_services ? ITEM_SERVICES : 0);
	field_put_bytes(&w, m->membership);
	field_put_bytes(&w, m->route);
	field_put_bytes(&w, m->ticket);
	field_put_bytes(&w, m->record);
	if (m->has_services)
		field_put_bytes(&w, m->services);
	return done(&w, w.failed ? 0 : dirmsg_item_decode(&back, buf, w.len));
}

/* --- QUERY: ttl, flags, and the id or the name to the end --- */

int
dirmsg_query_decode(struct dirmsg_query *m, const uint8_t *p, size_t len)
{
	struct field_reader r;
	const uint8_t *id;
	size_t left;

	memset(m, 0, sizeof(*m));
	field_read_init(&r, p, len);
	m->ttl = (uint8_t)field_uint(&r, 0, DIRMSG_TTL_MAX);
	m->by_name = field_uint(&r, 0, QUERY_NAME) != 0;
	if (r.err != 0)
		return r.err;
	left = (size_t)(r.end - r.p);
	if (m->by_name) {
		if (!text_name(r.p, left, RECORD_NAME_MAX, true))
			return FRAME_E_TEXT;
		memcpy(m->name, field_raw(&r, left), left);
	} else if ((id = field_raw(&r, NODE_ID_LEN)) != NULL) {
		memcpy(m->node_id, id, NODE_ID_LEN);
	}
	return field_end(&r);
}

size_t
dirmsg_query_encode(uint8_t *buf, size_t size, const struct dirmsg_query *m)
{
	struct dirmsg_query back;
	struct tlv_writer w;

	tlv_write_init(&w, buf, size);
	field_put_uint(&w, m->ttl);
	field_put_uint(&w, m->by_name ? QUERY_NAME : 0);
	if (m->by_name)
		field_put_raw(&w, m->name, strnlen(m->name, sizeof(m->name)));
	else
		field_put_raw(&w, m->node_id, NODE_ID_LEN);
	return done(&w, w.failed ? 0 : dirmsg_query_decode(&back, buf, w.len));
}
