#include "svchostd/pinger.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/ipc.h"
#include "proc/stats.h"
#include "svchostd/echo.h"

#define INTERVAL_NS	(PING_INTERVAL_MS * NS_PER_MS)
#define TIMEOUT_NS	(PING_TIMEOUT_MS * NS_PER_MS)
#define WAITING_MAX	8	/* pings sent and neither answered nor given up */
_Static_assert(WAITING_MAX > PING_TIMEOUT_MS / PING_INTERVAL_MS + 1, "each sequence number has a slot while it waits");

struct waiting {
	uint64_t seq;		/* 0: free */
	uint64_t sent_ns;
};

struct ping {
	struct pinger	*pinger;
	bool		 used;
	uint64_t	 request, stream_id, cookie;
	uint8_t		 node_id[NODE_ID_LEN];
	char		 name[2 * NODE_ID_LEN + 1];	/* or the id itself */
	struct event	*timer;
	struct waiting	 waiting[WAITING_MAX];
	uint64_t	 count, sent, received;
	uint64_t	 next_ns;	/* when the next is sent */
	uint64_t	 min_us, max_us, sum_us;
};

struct pinger {
	struct worker	*worker;
	struct ipc	*ipc;
	struct stream_ids *ids;
	struct ping	 pings[PINGS_MAX];
};

struct pinger *
pinger_new(struct worker *w)
{
	struct pinger *pg = calloc(1, sizeof(*pg));

	if (pg != NULL)
		pg->worker = w;
	return pg;
}

/* --- what fabricctl sees --- */

static void
row_answer(struct ping *p, uint64_t seq, const uint64_t *rtt_us)
{
	struct row_writer w;

	row_init(&w);
	row_uint(&w, "seq", seq);
	row_str(&w, "node", p->name);
	if (rtt_us != NULL)
		row_uint(&w, "rtt_us", *rtt_us);
	else
		row_str(&w, "reason", reason_name(REASON_TIMEOUT));
	worker_row(p->pinger->worker, p->request, &w);
	ipc_flush(p->pinger->worker->ctl);	/* somebody watches */
}

static void
row_sums(struct ping *p)
{
	struct row_writer w;

	row_init(&w);
	row_str(&w, "node", p->name);
	row_uint(&w, "sent", p->sent);
	row_uint(&w, "received", p->received);
	row_uint(&w, "loss_permille", p->sent == 0 ? 0 : (p->sent - p->received) * 1000 / p->sent);
	row_uint(&w, "min_us", p->min_us);
	row_uint(&w, "avg_us", p->received == 0 ? 0 : p->sum_us / p->received);
	row_uint(&w, "max_us", p->max_us);
	worker_row(p->pinger->worker, p->request, &w);
}

static void
finish(struct ping *p, unsigned status, const char *text)
{
	if (p->sent > 0)
		row_sums(p);
	worker_done(p->pinger->worker, p->request, status, text);
	event_free(p->timer);
	memset(p, 0, sizeof(*p));
}

static void
fail(struct ping *p, const char *why)
{
	char text[PM_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%s: %s", p->name, why);
	finish(p, 1, text);
}

/* --- what the dataplane gets --- */

static void
send_frame(struct pinger *pg, const struct frame *f)
{
	if (ipc_send(pg->ipc, f) == -1)
		STAT_INC(SVCHOSTD_IPC_DROPPED);
}

static int
open_stream(struct ping *p)
{
	struct pinger *pg = p->pinger;
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .class = CLASS_INTERACTIVE, .flags = OPEN_UNRELIABLE,
	    .service = { (const uint8_t *)ECHO_SERVICE, strlen(ECHO_SERVICE) }, .dest = p->node_id } };

	f.open.stream_id = p->stream_id = stream_id_alloc(pg->ids);
	return p->stream_id == 0 ? -1 : ipc_send(pg->ipc, &f);
}

static void
close_stream(struct ping *p)
{
	struct frame f = { .type = FT_CLOSE_STREAM,
	    .close = { .stream_id = p->stream_id, .final_seq = p->sent, .reason = REASON_NONE } };

	send_frame(p->pinger, &f);
	ipc_flush(p->pinger->ipc);
}

static void
put_u64(uint8_t *b, uint64_t v)
{
	for (int i = 8; i-- > 0; v >>= 8)
		b[i] = (uint8_t)v;
}

static void
payload_make(uint8_t b[PING_PAYLOAD_LEN], const struct ping *p, uint64_t seq, uint64_t sent_ns)
{
	memset(b, 0, PING_PAYLOAD_LEN);
	put_u64(b, PING_MAGIC);
	put_u64(b + 8, p->cookie);
	put_u64(b + 16, seq);
	put_u64(b + 24, sent_ns);
}

static void
send_ping(struct ping *p, uint64_t now_ns)
{
	uint64_t seq = ++p->sent;
	struct waiting *w = &p->waiting[seq % WAITING_MAX];
	uint8_t payload[PING_PAYLOAD_LEN];
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = p->stream_id, .seq = seq - 1,
	    .flags = DATA_UNRELIABLE, .payload = payload, .payload_len = sizeof(payload) } };

	payload_make(payload, p, seq, now_ns);
	w->seq = seq;
	w->sent_ns = now_ns;
	p->next_ns = now_ns + INTERVAL_NS;
	send_frame(p->pinger, &f);
	ipc_flush(p->pinger->ipc);
	STAT_INC(SVCHOSTD_PINGS_SENT);
}

/* --- the course of one request --- */

static void
give_up_old(struct ping *p, uint64_t now_ns)
{
	for (uint64_t seq = p->sent >= WAITING_MAX ? p->sent - WAITING_MAX + 1 : 1; seq <= p->sent; seq++) {
		struct waiting *w = &p->waiting[seq % WAITING_MAX];

		if (w->seq != seq || w->sent_ns + TIMEOUT_NS > now_ns)
			continue;
		w->seq = 0;
		row_answer(p, seq, NULL);
	}
}

/* When something is to be done next; UINT64_MAX: all is done. */
static uint64_t
next_deadline(const struct ping *p)
{
	uint64_t next = p->sent < p->count ? p->next_ns : UINT64_MAX;

	for (size_t i = 0; i < WAITING_MAX; i++)
		if (p->waiting[i].seq != 0 && p->waiting[i].sent_ns + TIMEOUT_NS < next)
			next = p->waiting[i].sent_ns + TIMEOUT_NS;
	return next;
}

static void
go_on(struct ping *p, uint64_t now_ns)
{
	uint64_t next = next_deadline(p), wait;
	struct timeval tv;

	if (next == UINT64_MAX) {
		close_stream(p);
		finish(p, p->received > 0 ? 0 : 1, p->received > 0 ? "" : "no answer");
		return;
	}
	wait = next > now_ns ? (next - now_ns + NS_PER_US - 1) / NS_PER_US : 0;
	tv.tv_sec = (time_t)(wait / 1000000);
	tv.tv_usec = (suseconds_t)(wait % 1000000);
	event_add(p->timer, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ping *p = arg;
	uint64_t now = clock_ns();

	give_up_old(p, now);
	if (p->sent < p->count && now >= p->next_ns)
		send_ping(p, now);
	go_on(p, now);
}

static struct ping *
slot(struct pinger *pg)
{
	for (size_t i = 0; i < PINGS_MAX; i++)
		if (!pg->pings[i].used)
			return &pg->pings[i];
	return NULL;
}

static int
ping_init(struct ping *p, struct pinger *pg, const struct pm_request *req, const uint8_t *node_id, const char *name)
{
	memset(p, 0, sizeof(*p));
	p->pinger = pg;
	p->request = req->id;
	p->count = req->count == 0 ? PING_COUNT_DEFAULT : req->count < PING_COUNT_MAX ? req->count : PING_COUNT_MAX;
	memcpy(p->node_id, node_id, NODE_ID_LEN);
	snprintf(p->name, sizeof(p->name), "%.64s", name);
	if (getrandom(&p->cookie, sizeof(p->cookie), 0) != sizeof(p->cookie))
		return -1;
	p->timer = evtimer_new(pg->worker->base, on_timer, p);
	p->used = p->timer != NULL;
	return p->used ? 0 : -1;
}

void
pinger_start(struct pinger *pg, const struct pm_request *req, const uint8_t *node_id, const char *name)
{
	struct ping *p = slot(pg);
	uint64_t now = clock_ns();

	if (pg->ipc == NULL) {
		worker_done(pg->worker, req->id, 1, "there is no dataplane");
		return;
	}
	if (p == NULL || ping_init(p, pg, req, node_id, name) == -1) {
		worker_done(pg->worker, req->id, 1, "too many pings at a time");
		return;
	}
	if (open_stream(p) == -1) {
		fail(p, "no stream to be had");
		return;
	}
	send_ping(p, now);
	go_on(p, now);
}

static struct ping *
by_stream(struct pinger *pg, uint64_t stream_id)
{
	for (size_t i = 0; i < PINGS_MAX; i++)
		if (pg->pings[i].used && pg->pings[i].stream_id == stream_id)
			return &pg->pings[i];
	return NULL;
}

static void
answered(struct ping *p, struct waiting *w, uint64_t now_ns)
{
	uint64_t rtt_us = (now_ns - w->sent_ns) / NS_PER_US;

	if (p->received++ == 0 || rtt_us < p->min_us)
		p->min_us = rtt_us;
	if (rtt_us > p->max_us)
		p->max_us = rtt_us;
	p->sum_us += rtt_us;
	row_answer(p, w->seq, &rtt_us);
	w->seq = 0;
	STAT_INC(SVCHOSTD_PINGS_ANSWERED);
}

/* The far node may send anything: only the very bytes that one ping had, and only once. */
static struct waiting *
match(struct ping *p, const struct frame_data *d)
{
	uint8_t expected[PING_PAYLOAD_LEN];

	if (d->flags != DATA_UNRELIABLE || d->payload_len != PING_PAYLOAD_LEN)
		return NULL;
	for (size_t i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &p->waiting[i];

		payload_make(expected, p, w->seq, w->sent_ns);
		if (w->seq != 0 && memcmp(expected, d->payload, PING_PAYLOAD_LEN) == 0)
			return w;
	}
	return NULL;
}

bool
pinger_data(struct pinger *pg, const struct frame_data *d)
{
	struct ping *p = by_stream(pg, d->stream_id);
	uint64_t now = clock_ns();
	struct waiting *w;

	if (p == NULL)
		return false;
	w = match(p, d);
	if (w == NULL) {
		STAT_INC(SVCHOSTD_PINGS_STRAY);
		return true;
	}
	answered(p, w, now);
	go_on(p, now);
	return true;
}

bool
pinger_end(struct pinger *pg, uint64_t stream_id, uint64_t reason)
{
	struct ping *p = by_stream(pg, stream_id);

	if (p == NULL)
		return false;
	fail(p, reason == REASON_NONE ? "closed by the other side" : reason_name(reason));
	return true;
}

void
pinger_port(struct pinger *pg, struct ipc *ipc, struct stream_ids *ids)
{
	for (size_t i = 0; i < PINGS_MAX; i++)
		if (pg->pings[i].used)
			fail(&pg->pings[i], "the dataplane is gone");
	pg->ipc = ipc;
	pg->ids = ids;
}
