/* What the end of a stream sends: one frame a turn. */
#include <string.h>

#include "fabric/stream_int.h"

#define DATA_PIECE 2048u

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Bytes that may go now. */
static uint64_t
sendable(const struct fabric_stream *s)
{
	uint64_t n;

	if (s->leg != LEG_UP && s->leg != LEG_OPENING)
		return 0;
	n = min64(s->snd_end, s->snd_edge);
	n = n > s->snd_nxt ? n - s->snd_nxt : 0;
	return s->leg_limit > s->leg_sent ? min64(n, s->leg_limit - s->leg_sent) : 0;
}

static bool
close_ready(const struct fabric_stream *s)
{
	return s->shut && !s->close_sent && s->snd_nxt == s->snd_end && (s->leg == LEG_UP || s->leg == LEG_OPENING);
}

bool
stream_ready(const struct fabric_stream *s)
{
	if (s->leg == LEG_NONE || s->state == STREAM_GONE || !s->reliable)
		return false;
	return s->ack_due || s->credit_due || sendable(s) > 0 || close_ready(s);
}

/* The window as it is now; what is promised here has its place already. */
static size_t
ack_put(struct fabric_stream *s, uint8_t *buf, size_t size, uint64_t now_ns)
{
	struct frame f = { .type = FT_ACK };
	uint64_t edge = s->rcv_read + s->window.size;
	bool all = s->final_known && s->rcv_nxt == s->rcv_final;

	if (!s->final_known && edge > s->rcv_edge) {
		if (s->edge_ns == 0) {
			s->edge_seq = s->rcv_edge;
			s->edge_ns = now_ns;
		}
		s->rcv_edge = edge;
	}
	f.ack.stream_id = s->id;
	f.ack.seq = s->rcv_nxt + (all ? 1 : 0);
	f.ack.window = all ? 0 : s->rcv_edge - s->rcv_nxt;
	s->ack_due = false;
	s->credit_due = s->leg_received + (s->rcv_edge - s->rcv_nxt) > s->leg_granted;
	s->ack_at_ns = 0;
	s->rcv_unacked = 0;
	s->acked_ns = now_ns;
	return frame_encode(buf, size, &f, FRAME_PORT_PROC);
}

/* The next hop may send on this leg what the other end may. */
static size_t
credit_put(struct fabric_stream *s, uint8_t *buf, size_t size)
{
	struct frame f = { .type = FT_STREAM_CREDIT };

	s->leg_granted = s->leg_received + (s->rcv_edge - s->rcv_nxt);
	s->credit_due = false;
	f.credit.stream_id = s->id;
	f.credit.limit = s->leg_granted;
	return frame_encode(buf, size, &f, FRAME_PORT_PROC);
}

static size_t
data_put(struct fabric_stream *s, uint8_t *buf, size_t size, uint64_t now_ns)
{
	struct frame_data d = { .stream_id = s->id, .seq = s->snd_nxt };
	uint64_t n = min64(sendable(s), STREAM_DATA_MAX), piece = (s->snd_edge - s->snd_una) / 4;
	size_t hdr;

	/* Not the whole window in one: what it frees comes back while the rest is still on its way. */
	n = min64(n, piece > DATA_PIECE ? piece : DATA_PIECE);
	n = min64(n, size - STREAM_FRAME_MIN / 2);
	d.payload_len = n;
	hdr = frame_encode_data_header(buf, size, &d);
	if (hdr == 0 || ring_read(&s->out, buf + hdr, n) != n)
		return 0;
	if (s->snd_nxt < s->snd_max)
		s->n.bytes_again += min64(n, s->snd_max - s->snd_nxt);
	s->snd_nxt += n;
	s->leg_sent += n;
	if (s->snd_nxt > s->snd_max) {
		s->n.bytes_out += s->snd_nxt - s->snd_max;
		s->snd_max = s->snd_nxt;
		if (s->timed_ns == 0) {
			s->timed_seq = s->snd_nxt;
			s->timed_ns = now_ns;
		}
	}
	s->n.frames_out++;
	return hdr + n;
}

static size_t
close_put(struct fabric_stream *s, uint8_t *buf, size_t size)
{
	struct frame f = { .type = FT_CLOSE_STREAM };

	f.close.stream_id = s->id;
	f.close.final_seq = s->snd_end;
	s->close_sent = s->close_ever = true;
	return frame_encode(buf, size, &f, FRAME_PORT_PROC);
}

size_t
stream_output(struct fabric_stream *s, uint8_t *buf, size_t size, uint64_t now_ns)
{
	if (s->leg == LEG_NONE || s->state == STREAM_GONE || !s->reliable)
		return 0;
	if (s->ack_due)
		return ack_put(s, buf, size, now_ns);
	if (s->credit_due)
		return credit_put(s, buf, size);
	if (sendable(s) > 0)
		return data_put(s, buf, size, now_ns);
	return close_ready(s) ? close_put(s, buf, size) : 0;
}

size_t
stream_unit(struct fabric_stream *s, const uint8_t *p, size_t n, uint8_t *buf, size_t size, uint64_t now_ns)
{
	struct frame f = { .type = FT_DATA_U };
	size_t len;

	if (s->reliable || s->state != STREAM_OPEN || s->leg != LEG_UP)
		return 0;
	f.data = (struct frame_data){ .stream_id = s->id, .seq = s->packets_out & UINT32_MAX, .flags = DATA_UNRELIABLE,
	    .payload = p, .payload_len = n };
	if ((len = frame_encode(buf, size, &f, FRAME_PORT_PROC)) == 0)
		return 0;
	s->packets_out++;
	s->n.bytes_out += n;
	s->n.frames_out++;
	s->active_ns = now_ns;
	stream_update(s, now_ns);
	return len;
}
