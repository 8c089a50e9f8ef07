/* What a coordinator's answer is made of: one lease as bytes, and what the source's ticket says of it. */
#include <stdlib.h>
#include <string.h>

#include "routed/coordinator.h"
#include "wire/fields.h"

#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)
#define ANSWER_DOMAIN	"fabric lease v1"	/* hashed with its NUL */

void
lease_free(struct lease *l)
{
	for (unsigned i = 0; i < LEASE_HOPS_MAX; i++)
		free(l->sealed[i].p);
	memset(l, 0, sizeof(*l));
}

static bool
nodes_differ(const struct lease *l)
{
	for (unsigned i = 0; i < l->n; i++)
		for (unsigned j = 0; j < i; j++)
			if (memcmp(l->nodes[i], l->nodes[j], NODE_ID_LEN) == 0)
				return false;
	return true;
}

/* What lies between the fields: the same for who writes it and who reads it. */
static bool
sound(const struct lease *l)
{
	if (l->route_id == 0 || l->epoch == 0 || l->n < 2 || l->n > LEASE_HOPS_MAX || l->classes == 0 ||
	    l->classes > CLASSES_ALL || l->soft > l->hard || l->hard > RECORD_TIME_MAX || l->scored_class >= CLASS_COUNT ||
	    (l->self && l->n > 3) || !nodes_differ(l))
		return false;
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if ((l->score[c] != UINT32_MAX) != (l->classes >> c & 1) || l->score[c] == 0)
			return false;
	return true;
}

static void
scored_put(struct tlv_writer *w, const struct lease *l)
{
	field_put_uint(w, l->scored_class);
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if (l->classes >> c & 1)
			field_put_uint(w, l->score[c]);
	field_put_uint(w, SCORE_PARTS);
	for (unsigned i = 0; i < SCORE_PARTS; i++)
		field_put_uint(w, l->scored.part[i]);
	field_put_uint(w, l->scored.rtt_us);
	field_put_uint(w, l->scored.kbps);
	field_put_uint(w, l->scored.loss);
}

/* `own': with the source's own ticket, which cannot be in what it is the hash of. */
static size_t
encode(uint8_t *buf, size_t size, const struct lease *l, bool own)
{
	struct tlv_writer w;

	tlv_write_init(&w, buf, size);
	field_put_uint(&w, l->route_id);
	field_put_uint(&w, l->epoch);
	field_put_uint(&w, l->soft);
	field_put_uint(&w, l->hard);
	field_put_uint(&w, l->self);
	field_put_uint(&w, l->classes);
	field_put_uint(&w, l->kbps);
	field_put_uint(&w, l->streams);
	scored_put(&w, l);
	field_put_uint(&w, l->n);
	for (unsigned i = 0; i < l->n; i++)
		field_put_raw(&w, l->nodes[i], NODE_ID_LEN);
	for (unsigned i = own ? 0 : 1; i < l->n; i++)
		field_put_bytes(&w, (struct frame_bytes){ l->sealed[i].p, l->sealed[i].len });
	return w.failed ? 0 : w.len;
}

size_t
lease_encode(uint8_t *buf, size_t size, const struct lease *l)
{
	if (!sound(l))
		return 0;
	for (unsigned i = 0; i < l->n; i++)
		if (l->sealed[i].len == 0 || l->sealed[i].len > TICKET_SEALED_MAX)
			return 0;
	return encode(buf, size, l, true);
}

static void
scored_get(struct field_reader *r, struct lease *l)
{
	uint64_t parts, sum = 0;

	l->scored_class = (uint8_t)field_uint(r, 0, CLASS_COUNT - 1);
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		l->score[c] = l->classes >> c & 1 ? (uint32_t)field_uint(r, 1, UINT32_MAX - 1) : UINT32_MAX;
	parts = field_uint(r, SCORE_PARTS, SCORE_PARTS);
	for (unsigned i = 0; i < parts; i++) {
		l->scored.part[i] = (uint32_t)field_uint(r, 0, UINT32_MAX);
		sum += l->scored.part[i];
	}
	l->scored.score = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
	l->scored.rtt_us = (uint32_t)field_uint(r, 0, UINT32_MAX);
	l->scored.kbps = (uint32_t)field_uint(r, 0, UINT32_MAX);
	l->scored.loss = (uint16_t)field_uint(r, 0, 1000);
}

static int
sealed_get(struct field_reader *r, struct lease_sealed *s)
{
	struct frame_bytes b = field_bytes(r, 1, TICKET_SEALED_MAX);

	if (r->err != 0)
		return r->err;
	if ((s->p = malloc(b.len)) == NULL)
		return FRAME_E_VALUE;
	memcpy(s->p, b.p, b.len);
	s->len = b.len;
	return 0;
}

int
lease_decode(struct lease *l, const uint8_t *p, size_t len)
{
	struct field_reader r;
	const uint8_t *id;
	int err;

	memset(l, 0, sizeof(*l));
	field_read_init(&r, p, len);
	l->route_id = field_uint(&r, 1, UINT64_MAX);
	l->epoch = field_uint(&r, 1, UINT64_MAX);
	l->soft = field_uint(&r, 0, RECORD_TIME_MAX);
	l->hard = field_uint(&r, 0, RECORD_TIME_MAX);
	l->self = field_uint(&r, 0, 1) != 0;
	l->classes = (uint8_t)field_uint(&r, 1, CLASSES_ALL);
	l->kbps = (uint32_t)field_uint(&r, 0, UINT32_MAX);
	l->streams = (uint32_t)field_uint(&r, 0, UINT32_MAX);
	scored_get(&r, l);
	l->n = (uint8_t)field_uint(&r, 2, LEASE_HOPS_MAX);
	for (unsigned i = 0; i < l->n; i++)
		if ((id = field_raw(&r, NODE_ID_LEN)) != NULL)
			memcpy(l->nodes[i], id, NODE_ID_LEN);
	for (unsigned i = 0; r.err == 0 && i < l->n; i++)
		if ((err = sealed_get(&r, &l->sealed[i])) != 0)
			break;
	err = field_end(&r);
	if (err == 0 && !sound(l))
		err = FRAME_E_VALUE;
	if (err == 0 && l->sealed[l->n - 1].p == NULL)	/* memory was short */
		err = FRAME_E_VALUE;
	if (err != 0) {
		lease_free(l);
		return err;
	}
	l->scored.n = l->n;
	memcpy(l->scored.nodes, l->nodes, sizeof(l->nodes));
	return 0;
}

int
lease_answer_hash(uint8_t out[HASH_LEN], const struct lease *l)
{
	uint8_t *buf = malloc(LEASE_ANSWER_MAX);
	struct crypto_piece pieces[2] = { { ANSWER_DOMAIN, sizeof(ANSWER_DOMAIN) }, { buf, 0 } };

	if (buf == NULL || !sound(l) || (pieces[1].len = encode(buf, LEASE_ANSWER_MAX, l, false)) == 0) {
		free(buf);
		return -1;
	}
	crypto_hash(out, pieces, 2);
	free(buf);
	return 0;
}

int
lease_check(const struct lease *l, const struct ticket *t)
{
	uint8_t hash[HASH_LEN];

	if (t->place != TICKET_SOURCE || lease_answer_hash(hash, l) == -1 || memcmp(hash, t->answer, sizeof(hash)) != 0)
		return -1;
	return t->route_id == l->route_id && t->epoch == l->epoch && t->soft == l->soft && t->hard == l->hard &&
	    t->classes == l->classes && t->self == l->self && memcmp(t->next, l->nodes[1], NODE_ID_LEN) == 0 &&
	    memcmp(t->far, l->nodes[l->n - 1], NODE_ID_LEN) == 0 ? 0 : -1;
}
