#include "fabric/ring.h"

#include <stdlib.h>
#include <string.h>

struct ring_piece {
	struct ring_piece *next;
	uint8_t		   data[RING_PIECE_DATA];
};

_Static_assert(sizeof(struct ring_piece) == RING_PIECE, "a piece is what it is counted as");

void
ring_init(struct ring *r)
{
	*r = (struct ring){ 0 };
}

void
ring_free(struct ring *r, struct budget *b)
{
	ring_drop(r, b, r->len);
}

/* Bytes in piece p. */
static size_t
piece_end(const struct ring *r, const struct ring_piece *p)
{
	return p == r->tail ? r->tail_len : RING_PIECE_DATA;
}

/* A list of pieces for n bytes, or NULL. */
static struct ring_piece *
pieces_new(size_t n, struct ring_piece **last)
{
	struct ring_piece *list = NULL;

	*last = NULL;
	for (size_t have = 0; have < n; have += RING_PIECE_DATA) {
		struct ring_piece *p = malloc(sizeof(*p));

		if (p == NULL) {
			while ((p = list) != NULL) {
				list = p->next;
				free(p);
			}
			return NULL;
		}
		if (*last == NULL)
			*last = p;
		p->next = list;
		list = p;
	}
	return list;
}

static void
fill(struct ring *r, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t room = RING_PIECE_DATA - r->tail_len, k = n < room ? n : room;

		if (room == 0) {
			r->tail = r->tail->next;
			r->tail_len = 0;
			continue;
		}
		memcpy(r->tail->data + r->tail_len, p, k);
		r->tail_len = (uint16_t)(r->tail_len + k);
		p += k;
		n -= k;
		r->len += (uint32_t)k;
	}
}

int
ring_put(struct ring *r, struct budget *b, const uint8_t *p, size_t n)
{
	size_t room = r->tail == NULL ? 0 : RING_PIECE_DATA - r->tail_len;
	struct ring_piece *list, *last;

	if (n > room) {
		size_t more = n - room;

		if ((list = pieces_new(more, &last)) == NULL)
			return -1;
		b->held += (more + RING_PIECE_DATA - 1) / RING_PIECE_DATA * RING_PIECE;
		if (r->tail == NULL) {
			r->head = r->tail = list;
			r->head_off = r->tail_len = 0;
		} else {
			r->tail->next = list;
		}
	}
	fill(r, p, n);
	return 0;
}

/* Takes the front piece off when it is used up. */
static void
head_pop(struct ring *r, struct budget *b)
{
	struct ring_piece *p = r->head;

	if (p == NULL || (r->len > 0 && r->head_off < RING_PIECE_DATA))
		return;
	if (r->cur == p) {
		r->cur = r->len > 0 ? p->next : NULL;
		r->cur_off = 0;
	}
	if (r->len == 0) {
		r->head = r->tail = r->cur = NULL;
		r->tail_len = 0;
	} else {
		r->head = p->next;
	}
	r->head_off = 0;
	free(p);
	b->held -= RING_PIECE;
}

static size_t
take(struct ring *r, struct budget *b, uint8_t *out, size_t n)
{
	size_t done = 0;

	if (n > r->len)
		n = r->len;
	while (done < n) {
		size_t have = piece_end(r, r->head) - r->head_off, k = n - done < have ? n - done : have;

		if (out != NULL)
			memcpy(out + done, r->head->data + r->head_off, k);
		r->head_off = (uint16_t)(r->head_off + k);
		r->len -= (uint32_t)k;
		done += k;
		r->ahead -= r->ahead < k ? r->ahead : (uint32_t)k;
		head_pop(r, b);
	}
	if (r->ahead == 0)
		r->cur = NULL;
	return done;
}

size_t
ring_get(struct ring *r, struct budget *b, uint8_t *out, size_t n)
{
	return take(r, b, out, n);
}

void
ring_drop(struct ring *r, struct budget *b, size_t n)
{
	take(r, b, NULL, n);
}

size_t
ring_read(struct ring *r, uint8_t *out, size_t n)
{
	size_t done = 0;

	if (n > r->len - r->ahead)
		n = r->len - r->ahead;
	if (n > 0 && r->cur == NULL) {
		r->cur = r->head;
		r->cur_off = r->head_off;
	}
	while (done < n) {
		size_t have = piece_end(r, r->cur) - r->cur_off, k = n - done < have ? n - done : have;

		if (have == 0) {
			r->cur = r->cur->next;
			r->cur_off = 0;
			continue;
		}
		memcpy(out + done, r->cur->data + r->cur_off, k);
		r->cur_off = (uint16_t)(r->cur_off + k);
		done += k;
	}
	r->ahead += (uint32_t)done;
	return done;
}

void
ring_rewind(struct ring *r)
{
	r->cur = NULL;
	r->ahead = 0;
}

size_t
ring_held(const struct ring *r)
{
	size_t n = 0;

	for (const struct ring_piece *p = r->head; p != NULL; p = p == r->tail ? NULL : p->next)
		n += RING_PIECE;
	return n;
}
