/* The control stream on its way out. */
#include <stdlib.h>
#include <string.h>

#include "fabricd/dataplane/quic.h"

void
control_out_init(struct control_out *o)
{
	TAILQ_INIT(&o->chunks);
	o->acked = o->sent = o->end = 0;
}

void
control_out_free(struct control_out *o)
{
	struct control_chunk *ch;

	while ((ch = TAILQ_FIRST(&o->chunks)) != NULL) {
		TAILQ_REMOVE(&o->chunks, ch, entry);
		free(ch);
	}
}

static struct control_chunk *
chunk_add(struct control_out *o)
{
	struct control_chunk *ch = malloc(sizeof(*ch));

	if (ch == NULL)
		return NULL;
	ch->offset = o->end;
	ch->len = 0;
	TAILQ_INSERT_TAIL(&o->chunks, ch, entry);
	return ch;
}

/* Takes all or nothing, but for memory that runs out half way: then the session ends anyway. */
int
control_put(struct control_out *o, const uint8_t *p, size_t len)
{
	if (o->end - o->acked + len > CONTROL_QUEUE_MAX)
		return -1;
	while (len > 0) {
		struct control_chunk *ch = TAILQ_LAST(&o->chunks, control_chunks);
		size_t n;

		if (ch == NULL || ch->len == CONTROL_CHUNK)
			if ((ch = chunk_add(o)) == NULL)
				return -1;
		n = CONTROL_CHUNK - ch->len < len ? CONTROL_CHUNK - ch->len : len;
		memcpy(ch->data + ch->len, p, n);
		ch->len += n;
		o->end += n;
		p += n;
		len -= n;
	}
	return 0;
}

size_t
control_unsent(const struct control_out *o, ngtcp2_vec *vec, size_t n)
{
	struct control_chunk *ch;
	size_t used = 0;

	TAILQ_FOREACH(ch, &o->chunks, entry) {
		size_t skip;

		if (used == n || ch->offset >= o->end)
			break;
		if (ch->offset + ch->len <= o->sent)
			continue;
		skip = o->sent > ch->offset ? (size_t)(o->sent - ch->offset) : 0;
		vec[used].base = ch->data + skip;
		vec[used].len = ch->len - skip;
		used++;
	}
	return used;
}

void
control_acked(struct control_out *o, uint64_t offset)
{
	struct control_chunk *ch;

	o->acked = offset;
	while ((ch = TAILQ_FIRST(&o->chunks)) != NULL && ch->offset + ch->len <= offset &&
	    (ch->len == CONTROL_CHUNK || offset == o->end)) {
		TAILQ_REMOVE(&o->chunks, ch, entry);
		free(ch);
	}
}
