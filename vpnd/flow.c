#include "vpnd/flow.h"

#include <errno.h>
#include <stdlib.h>

#include "vpnd/lpm.h"

void
flow_opened(struct flow *f, uint64_t stream_id, struct seal_tx *tx, uint64_t now_ns)
{
	seal_tx_free(f->tx);
	f->tx = tx;
	f->stream_id = stream_id;
	f->opened_ns = f->used_ns = now_ns;
}

void
flow_reset(struct flow *f, uint64_t now_ns)
{
	if (f->stream_id != 0 && now_ns - f->opened_ns >= FLOW_STABLE_NS)
		f->backoff_ns = 0;
	f->backoff_ns = f->backoff_ns == 0 ? FLOW_BACKOFF_MIN_NS : f->backoff_ns * 2;
	if (f->backoff_ns > FLOW_BACKOFF_MAX_NS)
		f->backoff_ns = FLOW_BACKOFF_MAX_NS;
	f->retry_ns = now_ns + f->backoff_ns;
	if (f->stream_id != 0)
		f->before = f->stream_id;
	f->stream_id = 0;
	seal_tx_free(f->tx);
	f->tx = NULL;
}

void
flow_moved(struct flow *f, uint64_t now_ns)
{
	uint64_t before = f->stream_id;

	if (now_ns - f->opened_ns < FLOW_MOVED_NS) {
		flow_reset(f, now_ns);
		return;
	}
	flow_forget(f);
	f->before = before;
	f->retry_ns = now_ns;
}

void
flow_forget(struct flow *f)
{
	seal_tx_free(f->tx);
	*f = (struct flow){ 0 };
}

bool
flow_idle(const struct flow *f, uint64_t now_ns)
{
	return f->stream_id != 0 && now_ns - f->used_ns >= FLOW_IDLE_NS;
}

struct vpn_stream *
vpn_stream_add(struct vpn_streams *t, uint64_t id, uint32_t peer, enum vpn_stream_kind kind)
{
	struct vpn_stream *s;

	if (t->count >= STREAMS_MAX) {
		errno = ENOSPC;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->id = id;
	s->peer = peer;
	s->kind = kind;
	s->next = t->bucket[id % STREAM_BUCKETS];
	t->bucket[id % STREAM_BUCKETS] = s;
	t->count++;
	return s;
}

static void
unlink_at(struct vpn_streams *t, struct vpn_stream **at)
{
	struct vpn_stream *s = *at;

	*at = s->next;
	t->count--;
	seal_rx_free(s->rx);
	free(s);
}

void
vpn_stream_remove(struct vpn_streams *t, uint64_t id)
{
	struct vpn_stream **at = &t->bucket[id % STREAM_BUCKETS];

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	if (*at != NULL)
		unlink_at(t, at);
}

void
vpn_stream_remove_peer(struct vpn_streams *t, uint32_t peer)
{
	for (unsigned i = 0; i < STREAM_BUCKETS; i++) {
		struct vpn_stream **at = &t->bucket[i];

		while (*at != NULL) {
			if (peer == LPM_NONE || (*at)->peer == peer)
				unlink_at(t, at);
			else
				at = &(*at)->next;
		}
	}
}

void
vpn_stream_each(struct vpn_streams *t, void (*fn)(struct vpn_stream *, void *arg), void *arg)
{
	struct vpn_stream *s, *next;

	for (unsigned i = 0; i < STREAM_BUCKETS; i++)
		for (s = t->bucket[i]; s != NULL; s = next) {
			next = s->next;
			fn(s, arg);
		}
}

int64_t
vpn_stream_seen(struct vpn_stream *s, uint32_t seq)
{
	uint32_t gap = seq - s->next_seq;

	if (!s->seen) {
		s->seen = true;
		gap = 0;
	} else if (gap >= UINT32_MAX / 2) {
		return -1;
	}
	s->next_seq = seq + 1;
	return gap;
}
