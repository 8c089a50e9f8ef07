#include "fabricd/dataplane/records.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fabricd/dataplane/dp.h"
#include "fabricd/dataplane/peer.h"
#include "fabricd/dataplane/quic.h"
#include "proc/stats.h"

#define UPDATES_BURST	8u	/* of a peer's that go on to routed at once; then one a second */
/* What may wait for routed. A set is large, and with many peers they are more than a channel holds: the rest waits here. */
#define BACKLOG_MAX	(256u * 1024)

void
records_init(struct conn_records *r)
{
	memset(r, 0, sizeof(*r));
	ratelimit_init(&r->rate, NS_PER_SEC, UPDATES_BURST);
}

void
records_free(struct conn_records *r)
{
	free(r->p);
	r->p = NULL;
	r->len = 0;
	r->have = r->due = false;
}

uint64_t
records_in(struct conn *c, const struct frame_route_update *f)
{
	struct conn_records *r = &c->records;
	uint8_t *p = NULL;

	if (f->records.len > 0) {
		if ((p = malloc(f->records.len)) == NULL)
			return REASON_INTERNAL;
		memcpy(p, f->records.p, f->records.len);
	}
	STAT_INC(DP_RECORDS_IN);
	if (r->due)
		STAT_INC(DP_RECORDS_REPLACED);
	free(r->p);
	r->p = p;
	r->len = f->records.len;
	r->have = r->due = true;
	records_tell(c, false);
	return REASON_NONE;
}

void
records_tell(struct conn *c, bool all)
{
	struct conn_records *r = &c->records;
	struct procmsg m = { .type = PM_RECORDS };

	if (!r->have || !c->told_up || c->dp->workers[WORKER_ROUTED].ipc == NULL || (!r->due && !all))
		return;
	r->due = true;
	if (ipc_backlog(c->dp->workers[WORKER_ROUTED].ipc) >= BACKLOG_MAX ||
	    (!all && !ratelimit_take(&r->rate, c->dp->now_ns)))
		return;		/* each second it is tried again */
	r->due = false;
	memcpy(m.records.node_id, c->session.peer.node_id, NODE_ID_LEN);
	m.records.records = (struct frame_bytes){ r->p, r->len };
	wport_send(c->dp, WORKER_ROUTED, &m);
}

void
records_out(struct dataplane *dp, const struct pm_records *m)
{
	struct frame f = { .type = FT_ROUTE_UPDATE, .route_update = { m->records } };
	struct peer *p = peer_find(dp, m->node_id);

	/* Gone meanwhile: with its next session it is told anew. */
	if (p == NULL || p->up == NULL || !p->up->told_up)
		return;
	STAT_INC(DP_RECORDS_OUT);
	conn_dirty(p->up);
	session_send(&p->up->session, &f);
}

enum worker_kind
adapter_of(const char *name)
{
	if (strcmp(name, DIRECTORY_SERVICE) == 0)
		return WORKER_ROUTED;
	return strcmp(name, "vpn") == 0 ? WORKER_VPND : WORKER_SVCHOSTD;
}

int
records_message(struct wport *w, const struct procmsg *m)
{
	bool routed = w->kind == WORKER_ROUTED;

	switch (m->type) {
	case PM_RECORDS:
		if (routed)
			records_out(w->dp, &m->records);
		return routed ? 0 : -1;
	case PM_SERVICE:
		if (routed)
			wport_send(w->dp, adapter_of(m->service.name), m);
		return routed ? 0 : -1;
	case PM_SERVICE_DEL:
		if (routed)
			wport_send(w->dp, adapter_of(m->service_del.name), m);
		return routed ? 0 : -1;
	case PM_SERVICES:
		/* Once is enough for a channel; one that goes on asking would keep routed from telling anybody. */
		if (routed || !ratelimit_take(&w->asked, w->dp->now_ns))
			return -1;
		wport_send(w->dp, WORKER_ROUTED, m);
		return 0;
	default:
		return -1;
	}
}
