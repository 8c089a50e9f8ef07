#include "routed/routemsg.h"

#include <string.h>

#include "wire/fields.h"
#include "wire/varint.h"

#define ASK_CLASSES_MAX	((1u << CLASS_COUNT) - 1)

enum ask_tag {
	ASK_ID = 1, ASK_DEST, ASK_CLASSES, ASK_ROUTES, ASK_EPOCH, ASK_KBPS, ASK_STREAMS, ASK_HELD,
	ASK_FAILED = TLV_SKIP_FIRST	/* a coordinator that does not know it answers all the same */
};

const char *
install_strerror(unsigned e)
{
	static const char *const names[] = { "no-next", "timeout", "unknown-source", "rate", "closed" };

	_Static_assert(sizeof(names) / sizeof(names[0]) == INSTALL_E_LAST - INSTALL_E_NO_NEXT, "an error without a name");
	if (e < TICKET_E_COUNT)
		return ticket_strerror(e);
	return e >= INSTALL_E_NO_NEXT && e < INSTALL_E_LAST ? names[e - INSTALL_E_NO_NEXT] : "unknown";
}

static bool
install_error_known(uint64_t e)
{
	return e < TICKET_E_COUNT || (e >= INSTALL_E_NO_NEXT && e < INSTALL_E_LAST);
}

/* --- asking --- */

int
route_request_decode(struct route_request *m, const uint8_t *p, size_t len)
{
	struct field_reader r;

	memset(m, 0, sizeof(*m));
	field_read_init(&r, p, len);
	m->ttl = (uint8_t)field_uint(&r, 0, ROUTEMSG_TTL);
	m->id = field_u64(&r);
	do {
		if (m->n == REQUEST_TO_MAX)
			return FRAME_E_VALUE;
		m->sealed[m->n].to = field_raw(&r, NODE_ID_LEN);
		m->sealed[m->n++].box = field_bytes(&r, 1, REQUEST_MAX + BOX_OVERHEAD);
	} while (r.err == 0 && r.p < r.end);
	return field_end(&r);
}

size_t
route_request_encode(uint8_t *buf, size_t size, const struct route_request *m)
{
	struct tlv_writer w;

	if (m->ttl > ROUTEMSG_TTL || m->n == 0 || m->n > REQUEST_TO_MAX)
		return 0;
	tlv_write_init(&w, buf, size);
	field_put_uint(&w, m->ttl);
	field_put_u64(&w, m->id);
	for (unsigned i = 0; i < m->n; i++) {
		if (m->sealed[i].box.len == 0 || m->sealed[i].box.len > REQUEST_MAX + BOX_OVERHEAD)
			return 0;
		field_put_raw(&w, m->sealed[i].to, NODE_ID_LEN);
		field_put_bytes(&w, m->sealed[i].box);
	}
	return w.failed ? 0 : w.len;
}

static int
held_decode(struct lease_ask *a, const struct tlv *t)
{
	struct field_reader r;

	field_read_init(&r, t->value.p, t->value.len);
	while (r.err == 0 && r.p < r.end) {
		struct lease_held *h = &a->held[a->nheld];

		if (a->nheld == LEASE_HELD_MAX)
			return FRAME_E_VALUE;
		h->route_id = field_u64(&r);
		h->n = (uint8_t)field_uint(&r, 2, LEASE_HOPS_MAX);
		for (unsigned i = 0; i < h->n; i++) {
			const uint8_t *id = field_raw(&r, NODE_ID_LEN);

			if (id != NULL)
				memcpy(h->nodes[i], id, NODE_ID_LEN);
		}
		if (r.err == 0 && (h->route_id == 0 || h->route_id > VARINT_MAX))
			return FRAME_E_VALUE;
		a->nheld++;
	}
	return r.err;
}

static int
failed_decode(struct lease_ask *a, const struct tlv *t)
{
	size_t n = t->value.len / NODE_ID_LEN;

	if (n == 0 || n > LEASE_FAILED_MAX || t->value.len % NODE_ID_LEN != 0)
		return FRAME_E_VALUE;
	a->nfailed = (uint8_t)n;
	memcpy(a->failed, t->value.p, t->value.len);
	return 0;
}

static int
ask_field(struct lease_ask *a, uint64_t *id, const struct tlv *t)
{
	struct field_reader r;
	uint64_t v = 0;
	int e;

	switch (t->tag) {
	case ASK_ID:
		field_read_init(&r, t->value.p, t->value.len);
		*id = field_u64(&r);
		return field_end(&r);
	case ASK_DEST:
		if (t->value.len != NODE_ID_LEN)
			return FRAME_E_VALUE;
		memcpy(a->dest, t->value.p, NODE_ID_LEN);
		return 0;
	case ASK_CLASSES:
		if ((e = tlv_uint(t, ASK_CLASSES_MAX, &v)) == 0 && v == 0)
			return FRAME_E_VALUE;
		a->classes = (uint8_t)v;
		return e;
	case ASK_ROUTES:
		e = tlv_uint(t, GRAPH_ROUTES_MAX, &v);
		a->routes = (uint8_t)v;
		return e;
	case ASK_EPOCH:
		return tlv_uint(t, VARINT_MAX, &a->known_epoch);
	case ASK_KBPS:
		e = tlv_uint(t, UINT32_MAX, &v);
		a->kbps = (uint32_t)v;
		return e;
	case ASK_STREAMS:
		e = tlv_uint(t, UINT32_MAX, &v);
		a->streams = (uint32_t)v;
		return e;
	case ASK_HELD:
		return held_decode(a, t);
	case ASK_FAILED:
		return failed_decode(a, t);
	default:
		return t->tag < TLV_SKIP_FIRST ? FRAME_E_TLV_UNKNOWN : 0;
	}
}

int
route_ask_decode(struct lease_ask *a, uint64_t *id, const uint8_t *p, size_t len)
{
	struct tlv_reader r;
	struct tlv t;
	unsigned seen = 0;
	int e;

	memset(a, 0, sizeof(*a));
	tlv_read_init(&r, p, len);
	while ((e = tlv_read(&r, &t)) == 1) {
		if ((e = ask_field(a, id, &t)) < 0)
			return e;
		if (t.tag <= ASK_CLASSES)
			seen |= 1u << t.tag;
	}
	if (e < 0)
		return e;
	return seen == (1u << ASK_ID | 1u << ASK_DEST | 1u << ASK_CLASSES) ? 0 : FRAME_E_TLV_MISSING;
}

static bool
held_encode(struct tlv_writer *w, const struct lease_ask *a)
{
	uint8_t buf[LEASE_HELD_MAX * (9 + LEASE_HOPS_MAX * NODE_ID_LEN)];
	struct tlv_writer h;

	if (a->nheld > LEASE_HELD_MAX)
		return false;
	tlv_write_init(&h, buf, sizeof(buf));
	for (unsigned i = 0; i < a->nheld; i++) {
		const struct lease_held *e = &a->held[i];

		if (e->n < 2 || e->n > LEASE_HOPS_MAX || e->route_id == 0 || e->route_id > VARINT_MAX)
			return false;
		field_put_u64(&h, e->route_id);
		field_put_uint(&h, e->n);
		field_put_raw(&h, e->nodes, (size_t)e->n * NODE_ID_LEN);
	}
	if (h.failed)
		return false;
	if (h.len > 0)
		tlv_put(w, ASK_HELD, buf, h.len);
	return true;
}

size_t
route_ask_encode(uint8_t *buf, size_t size, const struct lease_ask *a, uint64_t id)
{
	uint8_t raw[8];
	struct tlv_writer w, f;

	tlv_write_init(&w, buf, size);
	tlv_write_init(&f, raw, sizeof(raw));
	field_put_u64(&f, id);
	tlv_put(&w, ASK_ID, raw, sizeof(raw));
	tlv_put(&w, ASK_DEST, a->dest, NODE_ID_LEN);
	tlv_put_uint(&w, ASK_CLASSES, a->classes);
	tlv_put_uint(&w, ASK_ROUTES, a->routes);
	tlv_put_uint(&w, ASK_EPOCH, a->known_epoch);
	tlv_put_uint(&w, ASK_KBPS, a->kbps);
	tlv_put_uint(&w, ASK_STREAMS, a->streams);
	if (a->nfailed > LEASE_FAILED_MAX || !held_encode(&w, a))
		return 0;
	if (a->nfailed > 0)
		tlv_put(&w, ASK_FAILED, a->failed, (size_t)a->nfailed * NODE_ID_LEN);
	if (a->classes == 0 || a->classes > ASK_CLASSES_MAX || a->routes > GRAPH_ROUTES_MAX)
		return 0;
	return w.failed ? 0 : w.len;
}

/* --- the answer --- */

static bool
answer_sound(const struct route_answer *m)
{
	return m->error < LEASE_E_COUNT && (m->error == LEASE_OK ? m->box.len > 0 : m->box.len == REFUSAL_PROOF_LEN);
}

int
route_answer_decode(struct route_answer *m, const uint8_t *p, size_t len)
{
	struct field_reader r;
	int e;

	memset(m, 0, sizeof(*m));
	field_read_init(&r, p, len);
	m->id = field_u64(&r);
	m->error = (uint8_t)field_uint(&r, 0, LEASE_E_COUNT - 1);
	m->box = field_bytes(&r, 0, ROUTEMSG_MAX);
	if ((e = field_end(&r)) < 0)
		return e;
	return answer_sound(m) ? 0 : FRAME_E_VALUE;
}

size_t
route_answer_encode(uint8_t *buf, size_t size, const struct route_answer *m)
{
	struct tlv_writer w;

	tlv_write_init(&w, buf, size);
	field_put_u64(&w, m->id);
	field_put_uint(&w, m->error);
	field_put_bytes(&w, m->box);
	return w.failed || !answer_sound(m) ? 0 : w.len;
}

static size_t
prologue(uint8_t buf[64], const char *text, size_t len, uint64_t id)
{
	struct tlv_writer w;

	tlv_write_init(&w, buf, 64);
	field_put_raw(&w, text, len);
	field_put_u64(&w, id);
	return w.len;
}

size_t
route_request_prologue(uint8_t buf[64], uint64_t id)
{
	return prologue(buf, REQUEST_PROLOGUE, sizeof(REQUEST_PROLOGUE), id);
}

size_t
route_answer_prologue(uint8_t buf[64], uint64_t id)
{
	return prologue(buf, ANSWER_PROLOGUE, sizeof(ANSWER_PROLOGUE), id);
}

void
route_refusal_key(uint8_t key[HASH_LEN], const uint8_t *record, size_t len)
{
	const struct crypto_piece piece = { record, len };

	crypto_hash(key, &piece, 1);
}

int
route_refusal_proof(uint8_t proof[REFUSAL_PROOF_LEN], const uint8_t key[HASH_LEN], uint64_t id, unsigned error)
{
	uint8_t info[64];
	size_t len = prologue(info, REFUSAL_PROLOGUE, sizeof(REFUSAL_PROLOGUE), id);

	info[len++] = (uint8_t)error;
	return crypto_expand(proof, REFUSAL_PROOF_LEN, key, info, len);
}

int
route_leases_decode(struct lease out[LEASE_MAX], const uint8_t *p, size_t len)
{
	struct field_reader r;
	struct frame_bytes b;
	int n = 0, e = 0;

	field_read_init(&r, p, len);
	while (e == 0 && r.p < r.end) {
		b = field_bytes(&r, 1, LEASE_ANSWER_MAX);
		if ((e = r.err) == 0 && n == (int)LEASE_MAX)
			e = FRAME_E_VALUE;
		if (e == 0 && (e = lease_decode(&out[n], b.p, b.len)) == 0)
			n++;
	}
	if (e == 0)
		return n;
	while (n > 0)
		lease_free(&out[--n]);
	return e;
}

size_t
route_leases_encode(uint8_t *buf, size_t size, const struct lease *v, size_t n)
{
	uint8_t one[LEASE_ANSWER_MAX];
	struct tlv_writer w;

	tlv_write_init(&w, buf, size);
	for (size_t i = 0; i < n; i++) {
		size_t len = lease_encode(one, sizeof(one), &v[i]);

		if (len == 0)
			return 0;
		field_put_bytes(&w, (struct frame_bytes){ one, len });
	}
	return w.failed || n > LEASE_MAX ? 0 : w.len;
}

/* --- installing --- */

static uint64_t
route_id(struct field_reader *r)
{
	return field_uint(r, 1, VARINT_MAX);
}

int
route_install_decode(struct route_install *m, const uint8_t *p, size_t len)
{
	struct field_reader r;

	memset(m, 0, sizeof(*m));
	field_read_init(&r, p, len);
	m->route_id = route_id(&r);
	while (r.err == 0 && (r.p < r.end || m->n == 0)) {
		if (m->n == LEASE_HOPS_MAX - 1)
			return FRAME_E_VALUE;
		if (m->n == 1)
			m->rest = (struct frame_bytes){ r.p, (size_t)(r.end - r.p) };
		m->sealed[m->n++] = field_bytes(&r, 1, TICKET_SEALED_MAX);
	}
	return field_end(&r);
}

size_t
route_install_encode(uint8_t *buf, size_t size, const struct route_install *m)
{
	struct tlv_writer w;

	tlv_write_init(&w, buf, size);
	field_put_uint(&w, m->route_id);
	for (unsigned i = 0; i < m->n; i++) {
		if (m->sealed[i].len == 0 || m->sealed[i].len > TICKET_SEALED_MAX)
			return 0;
		field_put_bytes(&w, m->sealed[i]);
	}
	return w.failed || m->route_id == 0 || m->n == 0 || m->n >= LEASE_HOPS_MAX ? 0 : w.len;
}

int
route_installed_decode(struct route_installed *m, const uint8_t *p, size_t len)
{
	struct field_reader r;
	int e;

	memset(m, 0, sizeof(*m));
	field_read_init(&r, p, len);
	m->route_id = route_id(&r);
	m->error = (uint8_t)field_uint(&r, 0, UINT8_MAX);
	m->left = (uint8_t)field_uint(&r, 0, LEASE_HOPS_MAX);
	if ((e = field_end(&r)) < 0)
		return e;
	return install_error_known(m->error) ? 0 : FRAME_E_VALUE;
}

size_t
route_installed_encode(uint8_t *buf, size_t size, const struct route_installed *m)
{
	struct tlv_writer w;

	tlv_write_init(&w, buf, size);
	field_put_uint(&w, m->route_id);
	field_put_uint(&w, m->error);
	field_put_uint(&w, m->left);
	return w.failed || m->route_id == 0 || m->left > LEASE_HOPS_MAX || !install_error_known(m->error) ? 0 : w.len;
}
