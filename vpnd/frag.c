#include "vpnd/frag.h"

#include <stdlib.h>
#include <string.h>

#define UNITS (DATA_UNIT_MAX / DATA_FRAGMENT_UNIT)	/* of 256 bytes */

struct entry {
	uint64_t	 stream_id;	/* 0: free */
	uint64_t	 born_ns;
	uint64_t	 have[UNITS / 64];	/* a bit for each 256 bytes that are here */
	uint32_t	 owner;
	uint32_t	 seq;
	uint32_t	 units;		/* bits set in have */
	uint32_t	 end;		/* highest byte so far */
	uint32_t	 total;		/* 0: the last piece is not here yet */
	uint8_t		*buf;
};

struct frag_table {
	struct entry	 entry[FRAG_SLOTS];
	uint64_t	 evicted;
	uint8_t		*memory;	/* touched only as far as units are large */
};

size_t
frag_piece(size_t len, size_t off, size_t max)
{
	size_t piece = max - max % DATA_FRAGMENT_UNIT;

	if (piece == 0)
		return 0;
	return len - off <= max && off != 0 ? len - off : piece;
}

struct frag_table *
frag_new(void)
{
	struct frag_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->memory = malloc((size_t)FRAG_SLOTS * DATA_UNIT_MAX);
	if (t->memory == NULL) {
		free(t);
		return NULL;
	}
	for (unsigned i = 0; i < FRAG_SLOTS; i++)
		t->entry[i].buf = t->memory + (size_t)i * DATA_UNIT_MAX;
	return t;
}

void
frag_free(struct frag_table *t)
{
	if (t == NULL)
		return;
	free(t->memory);
	free(t);
}

static struct entry *
find(struct frag_table *t, uint32_t owner, const struct frame_data *d)
{
	for (unsigned i = 0; i < FRAG_SLOTS; i++) {
		struct entry *e = &t->entry[i];

		if (e->stream_id == d->stream_id && e->seq == (uint32_t)d->seq && e->owner == owner)
			return e;
	}
	return NULL;
}

static struct entry *
older(struct entry *a, struct entry *b)
{
	return a == NULL || b->born_ns < a->born_ns ? b : a;
}

/* A free entry, or the oldest: this peer's own when it has its share, else anybody's. */
static struct entry *
take(struct frag_table *t, uint32_t owner)
{
	struct entry *unused = NULL, *own = NULL, *any = NULL;
	unsigned count = 0;

	for (unsigned i = 0; i < FRAG_SLOTS; i++) {
		struct entry *e = &t->entry[i];

		if (e->stream_id == 0) {
			unused = e;
			continue;
		}
		any = older(any, e);
		if (e->owner == owner) {
			own = older(own, e);
			count++;
		}
	}
	if (count >= FRAG_PER_OWNER)
		unused = own;
	else if (unused == NULL)
		unused = any;
	if (unused->stream_id != 0)
		t->evicted++;
	return unused;
}

static struct entry *
begin(struct frag_table *t, uint32_t owner, const struct frame_data *d, uint64_t now_ns)
{
	struct entry *e = take(t, owner);

	e->stream_id = d->stream_id;
	e->born_ns = now_ns;
	e->owner = owner;
	e->seq = (uint32_t)d->seq;
	e->units = e->end = e->total = 0;
	memset(e->have, 0, sizeof(e->have));
	return e;
}

/* How many of the units first..last are here. */
static unsigned
count_have(const struct entry *e, unsigned first, unsigned last)
{
	unsigned n = 0;

	for (unsigned i = first; i <= last; i++)
		n += e->have[i / 64] >> i % 64 & 1;
	return n;
}

/* Whether a piece agrees with what is here: 0, or why not. */
static int
check(const struct entry *e, uint32_t off, uint32_t end, bool last)
{
	unsigned a = off / DATA_FRAGMENT_UNIT, z = (end - 1) / DATA_FRAGMENT_UNIT;
	unsigned have = count_have(e, a, z);

	if (e->total != 0 && (end > e->total || last != (end == e->total)))
		return FRAG_E_OVERLAP;
	if (last && e->end > end)
		return FRAG_E_OVERLAP;
	if (have == 0)
		return 0;
	return have == z - a + 1 ? FRAG_E_DUPLICATE : FRAG_E_OVERLAP;
}

static void
keep(struct entry *e, const struct frame_data *d, uint32_t end)
{
	unsigned a = d->frag_offset / DATA_FRAGMENT_UNIT, z = (end - 1) / DATA_FRAGMENT_UNIT;

	memcpy(e->buf + d->frag_offset, d->payload, d->payload_len);
	for (unsigned i = a; i <= z; i++)
		e->have[i / 64] |= 1ull << i % 64;
	e->units += z - a + 1;
	if (end > e->end)
		e->end = end;
	if (d->flags & DATA_LAST)
		e->total = end;
}

int
frag_add(struct frag_table *t, uint32_t owner, const struct frame_data *d, uint64_t now_ns, struct frame_bytes *unit)
{
	uint32_t end = (uint32_t)(d->frag_offset + d->payload_len);
	bool last = (d->flags & DATA_LAST) != 0;
	struct entry *e;
	int err;

	if (d->stream_id == 0 || d->payload_len == 0 || d->payload_len > DATA_UNIT_MAX || end > DATA_UNIT_MAX ||
	    d->frag_offset % DATA_FRAGMENT_UNIT != 0 || (!last && d->payload_len % DATA_FRAGMENT_UNIT != 0))
		return FRAG_E_RANGE;
	e = find(t, owner, d);
	if (e != NULL && now_ns - e->born_ns >= FRAG_TIMEOUT_NS) {
		e->stream_id = 0;	/* the number has come round again, or it is far too late */
		t->evicted++;
		e = NULL;
	}
	if (e == NULL)
		e = begin(t, owner, d, now_ns);
	err = check(e, d->frag_offset, end, last);
	if (err != 0) {
		if (err == FRAG_E_OVERLAP)
			e->stream_id = 0;
		return err;
	}
	keep(e, d, end);
	if (e->total == 0 || e->units < (e->total + DATA_FRAGMENT_UNIT - 1) / DATA_FRAGMENT_UNIT)
		return FRAG_MORE;
	e->stream_id = 0;
	unit->p = e->buf;
	unit->len = e->total;
	return FRAG_DONE;
}

unsigned
frag_expire(struct frag_table *t, uint64_t now_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FRAG_SLOTS; i++) {
		struct entry *e = &t->entry[i];

		if (e->stream_id == 0 || now_ns - e->born_ns < FRAG_TIMEOUT_NS)
			continue;
		e->stream_id = 0;
		n++;
	}
	return n;
}

unsigned
frag_forget(struct frag_table *t, uint32_t owner, uint64_t stream_id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FRAG_SLOTS; i++) {
		struct entry *e = &t->entry[i];

		if (e->stream_id == 0 || e->owner != owner || (stream_id != 0 && e->stream_id != stream_id))
			continue;
		e->stream_id = 0;
		n++;
	}
	return n;
}

uint64_t
frag_evicted(const struct frag_table *t)
{
	return t->evicted;
}
