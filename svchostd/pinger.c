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
#include "svchostd/unit.h"

#define INTERVAL_NS	(PING_INTERVAL_MS * NS_PER_MS)
#define TIMEOUT_NS	(PING_TIMEOUT_MS * NS_PER_MS)
#define AGAIN_NS	(50 * NS_PER_MS)	/* between two looks for what a handshake needs */
#define WAITING_MAX	8	/* pings sent and neither answered nor given up */
_Static_assert(WAITING_MAX > PING_TIMEOUT_MS / PING_INTERVAL_MS + 1, "each sequence number has a slot while it waits");

struct waiting {
	uint64_t seq;		/* 0: free */
	uint64_t sent_ns;
};

struct ping {
	struct pinger	*pinger;
	bool		 used;
	uint64_t	 request, stream_id, cookie;	/* stream_id 0: there is none now */
	struct e2e	*shake;		/* message 2 is waited for */
	struct unit_seal seal;
	bool		 sealed;	/* the handshake is over, and pings go */
	uint64_t	 begun_ns, again_ns;	/* when the handshake is tried anew */
	uint64_t	 reason;	/* why it has not come to that yet */
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
	const struct e2e_self *self;
	const struct names *names;
	struct ipc	*ipc;
	struct stream_ids *ids;
	struct ping	 pings[PINGS_MAX];
};

struct pinger *
pinger_new(struct worker *w, const struct e2e_self *self, const struct names *names)
{
	struct pinger *pg = calloc(1, sizeof(*pg));

	if (pg == NULL)
		return NULL;
	pg->worker = w;
	pg->self = self;
	pg->names = names;
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
	worker_row_once(p->pinger->worker, p->request, &w);
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
	worker_row_once(p->pinger->worker, p->request, &w);
}

static void
finish(struct ping *p, unsigned status, const char *text)
{
	if (p->sent > 0)
		row_sums(p);
	worker_done(p->pinger->worker, p->request, status, text);
	event_free(p->timer);
	e2e_free(p->shake);
	unit_seal_free(&p->seal);
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

/* REASON_NONE: message 1 has gone. */
static uint64_t
open_stream(struct ping *p)
{
	struct pinger *pg = p->pinger;
	uint8_t message[E2E_MESSAGE_MAX];
	struct e2e_service service;
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .class = CLASS_INTERACTIVE, .flags = OPEN_UNRELIABLE,
	    .service = { (const uint8_t *)ECHO_SERVICE, strlen(ECHO_SERVICE) }, .dest = p->node_id } };

	if (!names_find(pg->names, p->node_id, ECHO_SERVICE, clock_wall(), &service))
		return REASON_NO_SERVICE;
	p->shake = e2e_open(pg->self, &service, OPEN_UNRELIABLE, NULL, 0, message, &f.open.noise.len, clock_wall());
	if (p->shake == NULL)
		return REASON_NO_KEY;	/* this process is not certified yet */
	f.open.noise.p = message;
	f.open.stream_id = stream_id_alloc(pg->ids);
	if (f.open.stream_id == 0 || ipc_send(pg->ipc, &f) == -1)
		return REASON_LIMIT;
	ipc_flush(pg->ipc);
	p->stream_id = f.open.stream_id;
	return REASON_NONE;
}

static void
close_stream(struct ping *p)
{
	struct frame f = { .type = FT_CLOSE_STREAM,
	    .close = { .stream_id = p->stream_id, .final_seq = p->sent, .reason = REASON_NONE } };

	if (p->stream_id == 0)
		return;
	send_frame(p->pinger, &f);
	ipc_flush(p->pinger->ipc);
	p->stream_id = 0;
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
	uint64_t seq = ++p->sent, number;
	struct waiting *w = &p->waiting[seq % WAITING_MAX];
	uint8_t unit[PING_PAYLOAD_LEN + UNIT_OVERHEAD];
	struct frame f = { .type = FT_DATA_U, .data = { .stream_id = p->stream_id, .flags = DATA_UNRELIABLE,
	    .payload = unit } };

	payload_make(unit + UNIT_HEAD, p, seq, now_ns);
	w->seq = seq;
	w->sent_ns = now_ns;
	p->next_ns = now_ns + INTERVAL_NS;
	STAT_INC(SVCHOSTD_PINGS_SENT);
	if ((f.data.payload_len = unit_seal(&p->seal, unit, PING_PAYLOAD_LEN, now_ns, &number)) == 0)
		return;
	f.data.seq = number & UINT32_MAX;
	send_frame(p->pinger, &f);
	ipc_flush(p->pinger->ipc);
}

/* --- the course of one request --- */

/* A handshake, or another when the last one was not answered or could not be. False: it was tried for long enough. */
static bool
shake(struct ping *p, uint64_t now_ns)
{
	uint64_t most = p->reason == REASON_NO_SERVICE ? PING_NAME_MS : PING_SHAKE_MS;

	close_stream(p);
	e2e_free(p->shake);
	p->shake = NULL;
	if (p->begun_ns + most * NS_PER_MS <= now_ns) {
		fail(p, reason_name(p->reason));
		return false;
	}
	p->reason = open_stream(p);
	p->again_ns = now_ns + (p->reason == REASON_NONE ? TIMEOUT_NS : AGAIN_NS);
	if (p->reason == REASON_NONE)
		p->reason = REASON_TIMEOUT;	/* unless an answer comes */
	return true;
}

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
	uint64_t next = !p->sealed ? p->again_ns : p->sent < p->count ? p->next_ns : UINT64_MAX;

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
	if (!p->sealed && now >= p->again_ns && !shake(p, now))
		return;
	if (p->sealed && p->sent < p->count && now >= p->next_ns)
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
pinger_start(struct pinger *pg, const struct pm_request *req, const uint8_t *node_id, const char *name, bool up)
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
	if (!up) {
		fail(p, reason_name(REASON_UNREACHABLE));
		return;
	}
	p->begun_ns = now;
	if (shake(p, now))
		go_on(p, now);
}

static struct ping *
by_stream(struct pinger *pg, uint64_t stream_id)
{
	for (size_t i = 0; i < PINGS_MAX; i++)
		if (pg->pings[i].used && stream_id != 0 && pg->pings[i].stream_id == stream_id)
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
match(struct ping *p, const struct frame_data *d, uint64_t now_ns)
{
	uint8_t expected[PING_PAYLOAD_LEN], unit[PING_PAYLOAD_LEN + UNIT_OVERHEAD];
	size_t len;

	if (d->flags != DATA_UNRELIABLE || d->payload_len != sizeof(unit))
		return NULL;
	memcpy(unit, d->payload, sizeof(unit));
	/* Message 2 had the first number of the DATA from there. */
	if (unit_open(&p->seal, unit, sizeof(unit), (uint32_t)d->seq - 1, now_ns, &len) != SEAL_OK)
		return NULL;
	for (size_t i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &p->waiting[i];

		payload_make(expected, p, w->seq, w->sent_ns);
		if (w->seq != 0 && memcmp(expected, unit + UNIT_HEAD, PING_PAYLOAD_LEN) == 0)
			return w;
	}
	return NULL;
}

/* Message 2: now it is known that the node itself is there, and pings begin. */
static void
shaken(struct ping *p, const struct frame_data *d, uint64_t now_ns)
{
	uint8_t message[E2E_MESSAGE_MAX];
	struct peer_identity peer;
	struct e2e_keys keys;
	uint64_t reason;

	if (d->flags != DATA_UNRELIABLE || d->payload_len > sizeof(message)) {
		STAT_INC(SVCHOSTD_PINGS_STRAY);
		return;
	}
	memcpy(message, d->payload, d->payload_len);
	reason = (uint64_t)e2e_finish(p->shake, p->pinger->self, message, d->payload_len, clock_wall(), &keys, &peer);
	if (reason == REASON_NONE && unit_seal_init(&p->seal, &keys, now_ns) == -1)
		reason = REASON_INTERNAL;
	e2e_keys_wipe(&keys);
	if (reason != REASON_NONE) {
		close_stream(p);
		fail(p, reason_name(reason));
		return;
	}
	p->sealed = true;
	send_ping(p, now_ns);
	go_on(p, now_ns);
}

bool
pinger_data(struct pinger *pg, const struct frame_data *d)
{
	struct ping *p = by_stream(pg, d->stream_id);
	uint64_t now = clock_ns();
	struct waiting *w;

	if (p == NULL)
		return false;
	if (!p->sealed) {
		shaken(p, d, now);
		return true;
	}
	w = match(p, d, now);
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
	p->stream_id = 0;
	/* Its adapter is another by now, or is not certified yet: its next record, with its next key, is on the way. */
	if (!p->sealed && (reason == REASON_AUTH_PROOF || reason == REASON_NO_KEY)) {
		p->reason = reason;
		p->again_ns = clock_ns() + AGAIN_NS;
		go_on(p, clock_ns());
		return true;
	}
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
