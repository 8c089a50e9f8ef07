#include "routed/route_answers.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "proc/stats.h"

#define RETRY_MS	5	/* after the control channel was full */

static const struct { const char *name; int (*rows)(struct route_request_args *); } commands[] = {
	{ "routes", rows_routes }, { "route-explain", rows_explain }, { "route-history", rows_history },
	{ "events", rows_events }, { "relay-usage", rows_usage }, { "path", rows_path }, { "netcheck", rows_netcheck },
	{ "fences", rows_fences }, { "route-fence", rows_fence }, { "policy-why", rows_policy_why },
};

void
rowlist_add(struct rowlist *l, const struct row_writer *w)
{
	uint8_t *copy;

	if (w->failed || l->cut)
		return;
	if (l->n == l->size) {
		size_t size = l->size == 0 ? 64 : l->size * 2;
		void *grown = size > ROUTE_ROWS_MAX ? NULL : reallocarray(l->v, size, sizeof(*l->v));

		if (grown == NULL) {
			l->cut = true;
			return;
		}
		l->v = grown;
		l->size = size;
	}
	if (l->bytes + w->len > ROUTE_ROWS_BYTES || (copy = malloc(w->len)) == NULL) {
		l->cut = true;
		return;
	}
	memcpy(copy, w->buf, w->len);
	l->v[l->n++] = (struct frame_bytes){ copy, w->len };
	l->bytes += w->len;
}

void
rowlist_free(struct rowlist *l)
{
	for (size_t i = 0; i < l->n; i++)
		free((void *)l->v[i].p);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

/* --- names --- */

const char *
rows_name(const struct manager *m, const uint8_t *id)
{
	const struct peer *p = directory_find(m->dir, id);
	const struct known *k = known_find(m->knowns, id);

	if (p != NULL && peer_name(p)[0] != '\0')
		return peer_name(p);
	return k != NULL ? k->member.name : "";
}

bool
rows_node(struct route_request_args *a, const char *name, uint8_t id[NODE_ID_LEN])
{
	const struct known *k = known_by_name(a->m->knowns, name);

	if (hex_decode(id, NODE_ID_LEN, name) == 0)
		return true;
	for (size_t i = 0; i < a->m->dir->npeers; i++) {
		const struct peer *p = a->m->dir->peers[i];

		if (strcmp(peer_name(p), name) == 0) {
			memcpy(id, p->node_id, NODE_ID_LEN);
			return true;
		}
	}
	if (k != NULL)
		memcpy(id, k->node_id, NODE_ID_LEN);
	else
		snprintf(a->text, PM_TEXT_MAX + 1, "node \"%.63s\" is not known here", name);
	return k != NULL;
}

const char *
rows_way(char buf[24], uint64_t route_id)
{
	if (route_id == 0)
		return "session";
	snprintf(buf, 24, "%016llx", (unsigned long long)route_id);
	return buf;
}

/* --- answering --- */

static void
finish(struct route_answers *r, struct route_answer_state *a)
{
	if (a->rows.cut && a->status == 0) {
		snprintf(a->text, sizeof(a->text), "the answer was too long: some rows are not shown");
		a->status = 1;
	}
	worker_done(r->worker, a->id, a->status, a->text);
	rowlist_free(&a->rows);
	a->used = false;
	STAT_INC(ROUTED_REQUESTS);
}

/* False: the control channel is full. */
static bool
send_rows(struct route_answers *r, struct route_answer_state *a)
{
	struct row_writer w;

	for (; a->rows.next < a->rows.n; a->rows.next++) {
		row_init(&w);
		memcpy(w.buf, a->rows.v[a->rows.next].p, a->rows.v[a->rows.next].len);
		w.len = a->rows.v[a->rows.next].len;
		if (worker_row(r->worker, a->id, &w) == -1)
			return false;
	}
	finish(r, a);
	return true;
}

static void
run(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval again = { .tv_usec = RETRY_MS * 1000 };
	struct route_answers *r = arg;
	bool waiting = false;

	for (size_t i = 0; i < ROUTE_ANSWERS_MAX; i++)
		if (r->v[i].used && !send_rows(r, &r->v[i]))
			waiting = true;
	if (waiting)
		evtimer_add(r->timer, &again);
}

int
route_answers_init(struct route_answers *r, struct worker *w, struct manager *m)
{
	memset(r, 0, sizeof(*r));
	r->worker = w;
	r->manager = m;
	r->timer = evtimer_new(w->base, run, r);
	return r->timer == NULL ? -1 : 0;
}

void
route_answers_free(struct route_answers *r)
{
	for (size_t i = 0; i < ROUTE_ANSWERS_MAX; i++)
		rowlist_free(&r->v[i].rows);
	if (r->timer != NULL)
		event_free(r->timer);
}

bool
route_answers_request(struct route_answers *r, const struct pm_request *q)
{
	struct route_answer_state *a = NULL;
	struct route_request_args args = { .m = r->manager, .argument = q->argument };
	size_t c = 0;

	while (c < sizeof(commands) / sizeof(commands[0]) && strcmp(q->command, commands[c].name) != 0)
		c++;
	if (c == sizeof(commands) / sizeof(commands[0]))
		return false;
	for (size_t i = 0; i < ROUTE_ANSWERS_MAX && a == NULL; i++)
		if (!r->v[i].used)
			a = &r->v[i];
	if (a == NULL) {
		worker_done(r->worker, q->id, 1, "routed is busy");
		return true;
	}
	memset(a, 0, sizeof(*a));
	a->used = true;
	a->id = q->id;
	args.rows = &a->rows;
	args.text = a->text;
	a->status = (uint8_t)commands[c].rows(&args);
	run(-1, 0, r);
	return true;
}
