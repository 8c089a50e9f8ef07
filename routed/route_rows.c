/* Rows about routes: which there are, why this one comes first, which hops it has. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "routed/route_answers.h"

#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)

/* "relay-2, home-1": names where there are some, else the first digits of ids. */
static void
add_name(char *buf, size_t size, const struct manager *m, const uint8_t *id)
{
	char hex[2 * NODE_ID_LEN + 1];
	const char *name = rows_name(m, id);
	size_t len = strlen(buf);

	if (name[0] == '\0') {
		hex_encode(hex, id, NODE_ID_LEN);
		hex[8] = '\0';
		name = hex;
	}
	snprintf(buf + len, size - len, "%s%s", len > 0 ? "," : "", name);
}

static void
via(char *buf, size_t size, const struct manager *m, const struct lease *l)
{
	buf[0] = '\0';
	for (unsigned i = 1; i + 1 < l->n; i++)
		add_name(buf, size, m, l->nodes[i]);
}

static void
row_node(struct row_writer *w, const struct manager *m, const char *what, const uint8_t *id)
{
	char hex[2 * NODE_ID_LEN + 1], name[RECORD_NAME_MAX + 1];

	snprintf(name, sizeof(name), "%s_id", what);
	row_str(w, what, rows_name(m, id));
	row_str(w, name, hex_encode(hex, id, NODE_ID_LEN));
}

static uint64_t
left_s(uint64_t end, uint64_t wall)
{
	return end > wall ? end - wall : 0;
}

static void
measured(struct row_writer *w, const struct way *y)
{
	if (y == NULL || !y->measured)
		return;
	row_uint(w, "rtt_us", y->rtt_us);
	row_uint(w, "jitter_us", y->jitter_us);
	row_uint(w, "loss_permille", y->loss);
	row_uint(w, "kbps", y->kbps);
	row_uint(w, "streams", y->streams);
}

static unsigned
rank_of(const struct ways_node *n, enum way_group g, uint64_t route_id)
{
	for (unsigned i = 0; n != NULL && i < n->norder[g]; i++)
		if (n->order[g][i] == route_id)
			return i + 1;
	return 0;
}

static const char *
first_for(const struct ways_node *n, uint64_t route_id)
{
	bool delay = rank_of(n, WAYS_DELAY, route_id) == 1, bulk = rank_of(n, WAYS_BULK, route_id) == 1;

	return delay && bulk ? "all" : delay ? "delay" : bulk ? "bulk" : "";
}

/* --- show routes --- */

static void
session_row(struct route_request_args *a, const struct route_dest *d, const struct ways_node *n)
{
	const struct way *y = n == NULL ? NULL : ways_way(n, 0);
	struct row_writer w;

	if (y == NULL)
		return;
	row_init(&w);
	row_node(&w, a->m, "to", d->node_id);
	row_str(&w, "place", "source");
	row_str(&w, "route", "session");
	row_str(&w, "state", way_state_name(y->state));
	row_str(&w, "first", first_for(n, 0));
	measured(&w, y);
	rowlist_add(a->rows, &w);
}

static void
held_row(struct route_request_args *a, const struct route_dest *d, const struct route_held *h, const struct ways_node *n)
{
	const struct way *y = n == NULL ? NULL : ways_way(n, h->lease.route_id);
	char text[256], id[24], classes[POLICY_CLASSES_TEXT];
	struct row_writer w;

	row_init(&w);
	row_node(&w, a->m, "to", d->node_id);
	row_str(&w, "place", "source");
	row_str(&w, "route", rows_way(id, h->lease.route_id));
	row_str(&w, "state", h->state == HELD_UP && y != NULL ? way_state_name(y->state) : route_state_name(h->state));
	row_str(&w, "first", first_for(n, h->lease.route_id));
	via(text, sizeof(text), a->m, &h->lease);
	row_str(&w, "via", text);
	measured(&w, y);
	row_str(&w, "classes", policy_classes_text(classes, h->lease.classes));
	row_str(&w, "by", h->lease.self ? "self" : "coordinator");
	row_uint(&w, "epoch", h->lease.epoch);
	row_uint(&w, "soft_in_s", left_s(h->lease.soft, a->m->now.wall));
	row_uint(&w, "hard_in_s", left_s(h->lease.hard, a->m->now.wall));
	rowlist_add(a->rows, &w);
}

static void
nothing_row(struct route_request_args *a, const struct route_dest *d, bool spare)
{
	struct row_writer w;

	row_init(&w);
	row_node(&w, a->m, "to", d->node_id);
	row_str(&w, "place", "source");
	row_str(&w, "state", d->answer_ns != 0 ? "asking" : spare ? "no-spare" : "none");
	row_str(&w, "why", d->error == LEASE_OK ? "" : lease_strerror(d->error));
	if (d->ask_ns > a->m->now.now_ns)
		row_uint(&w, "asked_in_ms", (d->ask_ns - a->m->now.now_ns) / NS_PER_MS);
	rowlist_add(a->rows, &w);
}

/* What leads over this node, or ends here. */
static void
installed_row(struct installed *e, void *arg)
{
	struct route_request_args *a = arg;
	char id[24], classes[POLICY_CLASSES_TEXT];
	uint64_t bytes = 0;
	struct row_writer w;

	if (e->t.place == TICKET_SOURCE)
		return;
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		bytes += e->used[c][0] + e->used[c][1];
	row_init(&w);
	if (e->t.place == TICKET_DEST)
		row_node(&w, a->m, "from", e->t.far);
	row_str(&w, "place", e->t.place == TICKET_DEST ? "dest" : "relay");
	row_str(&w, "route", rows_way(id, e->t.route_id));
	row_str(&w, "state", e->state == ROUTE_UP ? "up" : "installing");
	row_node(&w, a->m, "prev", e->t.prev);
	if (e->t.place == TICKET_RELAY)
		row_node(&w, a->m, "next", e->t.next);
	row_str(&w, "tenant", e->t.tenant);
	row_str(&w, "classes", policy_classes_text(classes, e->t.classes));
	row_uint(&w, "epoch", e->t.epoch);
	row_uint(&w, "hard_in_s", left_s(e->t.hard, a->m->now.wall));
	row_uint(&w, "bytes", bytes);
	rowlist_add(a->rows, &w);
}

int
rows_routes(struct route_request_args *a)
{
	for (size_t i = 0; i < routes_count(a->m->routes); i++) {
		const struct route_dest *d = routes_get(a->m->routes, i);
		const struct ways_node *n = ways_find(a->m->ways, d->node_id);

		session_row(a, d, n);
		for (unsigned k = 0; k < d->n; k++)
			held_row(a, d, &d->held[k], n);
		if (d->n == 0)
			nothing_row(a, d, n != NULL && ways_way(n, 0) != NULL);
	}
	install_each(a->m->install, installed_row, a);
	return 0;
}

/* --- route explain --- */

static const struct route_held *
held_of(const struct route_dest *d, uint64_t route_id)
{
	for (unsigned i = 0; d != NULL && i < d->n; i++)
		if (d->held[i].lease.route_id == route_id)
			return &d->held[i];
	return NULL;
}

/* What it is that puts it in its place: what it costs more than the first, and what holds it back. */
static void
reason_text(char *buf, size_t size, const struct manager *m, const struct ways_node *n, const struct way *y)
{
	const struct way *first = n->norder[WAYS_DELAY] == 0 ? y : ways_way(n, n->order[WAYS_DELAY][0]);
	const struct way_judged *j = &y->in[WAYS_DELAY];
	uint64_t now = m->now.now_ns;

	if (y == first && j->cost == 0)
		snprintf(buf, size, "first: nothing is measured yet");
	else if (y == first)
		snprintf(buf, size, "first: it costs least, or no other is better by the margin for long enough");
	else if (y->retired)
		snprintf(buf, size, "it is being left: newer leases are there");
	else if (y->state != WAY_UP)
		snprintf(buf, size, "%s", y->state == WAY_NEW ? "it has not answered a probe yet" : "it does not answer");
	else if (now < j->back_ns)
		snprintf(buf, size, "it was left for a reason; not gone back to for %llu s", (unsigned long long)((j->back_ns - now) /
		    NS_PER_SEC));
	else if (j->beats_ns != 0)
		snprintf(buf, size, "better since %llu ms: not long enough yet", (unsigned long long)((now - j->beats_ns) / NS_PER_MS));
	else if (first != NULL && j->cost >= first->in[WAYS_DELAY].cost)
		snprintf(buf, size, "it costs %u us more than the first", j->cost - first->in[WAYS_DELAY].cost);
	else
		snprintf(buf, size, "it is better, but not by the margin");
}

static void
parts(struct row_writer *w, const struct lease *l)
{
	char name[ROW_NAME_MAX + 1];

	row_uint(w, "score", l->scored.score);
	for (unsigned i = 0; i < SCORE_PARTS; i++) {
		snprintf(name, sizeof(name), "of_%s", score_part_name(i));
		row_uint(w, name, l->scored.part[i]);
	}
}

static void
explain_way(struct route_request_args *a, const struct route_dest *d, const struct ways_node *n, const struct way *y)
{
	const struct route_held *h = held_of(d, y->route_id);
	char text[256], id[24];
	struct row_writer w;

	row_init(&w);
	row_str(&w, "way", rows_way(id, y->route_id));
	text[0] = '\0';
	if (h != NULL)
		via(text, sizeof(text), a->m, &h->lease);
	row_str(&w, "via", text);
	row_str(&w, "state", way_state_name(y->state));
	row_uint(&w, "rank_delay", rank_of(n, WAYS_DELAY, y->route_id));
	row_uint(&w, "rank_bulk", rank_of(n, WAYS_BULK, y->route_id));
	row_uint(&w, "cost_delay_us", y->in[WAYS_DELAY].cost);
	row_uint(&w, "cost_bulk_us", y->in[WAYS_BULK].cost);
	measured(&w, y);
	row_uint(&w, "thin_kbps", y->thin_kbps);
	reason_text(text, sizeof(text), a->m, n, y);
	row_str(&w, "why", text);
	if (h != NULL)
		parts(&w, &h->lease);
	rowlist_add(a->rows, &w);
}

int
rows_explain(struct route_request_args *a)
{
	const struct route_dest *d;
	const struct ways_node *n;
	uint8_t id[NODE_ID_LEN];

	if (!rows_node(a, a->argument, id))
		return 1;
	d = routes_find(a->m->routes, id);
	n = ways_find(a->m->ways, id);
	if (d == NULL && n == NULL) {
		snprintf(a->text, PM_TEXT_MAX + 1, "nobody has asked for a way to this node, and there is none");
		return 1;
	}
	for (unsigned i = 0; n != NULL && i < n->norder[WAYS_DELAY]; i++)
		explain_way(a, d, n, ways_way(n, n->order[WAYS_DELAY][i]));
	for (unsigned i = 0; n != NULL && i < n->n; i++)
		if (rank_of(n, WAYS_DELAY, n->way[i].route_id) == 0)
			explain_way(a, d, n, &n->way[i]);
	if (n == NULL || n->n == 0) {
		snprintf(a->text, PM_TEXT_MAX + 1, "there is no way to this node: %s", d == NULL || d->error == LEASE_OK ?
		    "it is being asked for" : lease_strerror(d->error));
		return 1;
	}
	return 0;
}

/* --- path trace: the hops, and what the nodes on them say of the links between --- */

static const struct fact_link *
link_of(const struct manager *m, const uint8_t *from, const uint8_t *to)
{
	const struct known *k = known_find(m->knowns, from);

	for (unsigned i = 0; k != NULL && k->facts != NULL && i < k->facts->nlinks; i++)
		if (memcmp(k->facts->links[i].node_id, to, NODE_ID_LEN) == 0)
			return &k->facts->links[i];
	return NULL;
}

static void
hop_row(struct route_request_args *a, const char *way, unsigned hop, const uint8_t *before, const uint8_t *id, const struct way *y)
{
	const struct fact_link *l = link_of(a->m, before, id);
	struct row_writer w;

	if (l == NULL)
		l = link_of(a->m, id, before);
	row_init(&w);
	row_str(&w, "way", way);
	row_uint(&w, "hop", hop);
	row_node(&w, a->m, "node", id);
	if (l != NULL) {
		row_uint(&w, "link_rtt_us", l->rtt_us);
		row_uint(&w, "link_jitter_us", l->jitter_us);
		row_uint(&w, "link_loss_permille", l->loss);
		row_uint(&w, "link_kbps", l->kbps);
	}
	if (y != NULL) {
		row_str(&w, "state", way_state_name(y->state));
		measured(&w, y);
	}
	rowlist_add(a->rows, &w);
}

static void
path_way(struct route_request_args *a, const struct route_dest *d, const struct way *y, const uint8_t *dest)
{
	const struct route_held *h = held_of(d, y->route_id);
	const struct lease *l = h == NULL ? NULL : &h->lease;
	char id[24];
	const char *way = rows_way(id, y->route_id);

	if (l == NULL) {
		hop_row(a, way, 1, a->m->id, dest, y);
		return;
	}
	for (unsigned i = 1; i < l->n; i++)
		hop_row(a, way, i, l->nodes[i - 1], l->nodes[i], i + 1u == l->n ? y : NULL);
}

int
rows_path(struct route_request_args *a)
{
	const struct route_dest *d;
	const struct ways_node *n;
	uint8_t id[NODE_ID_LEN];

	if (!rows_node(a, a->argument, id))
		return 1;
	d = routes_find(a->m->routes, id);
	if ((n = ways_find(a->m->ways, id)) == NULL || n->n == 0) {
		snprintf(a->text, PM_TEXT_MAX + 1, "there is no way to this node");
		return 1;
	}
	for (unsigned i = 0; i < n->norder[WAYS_DELAY]; i++)
		path_way(a, d, ways_way(n, n->order[WAYS_DELAY][i]), id);
	for (unsigned i = 0; i < n->n; i++)
		if (rank_of(n, WAYS_DELAY, n->way[i].route_id) == 0)
			path_way(a, d, &n->way[i], id);
	return 0;
}
