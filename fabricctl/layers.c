#include "fabricctl/layers.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fabricctl/client.h"
#include "fabricctl/rows.h"

#define WAIT_S		10u
#define PING_WAIT_S	2u
#define DETAIL_MAX	512

/* What is asked: the answers of one layer. */
struct asked {
	struct rows rows;
	int	    status;
	char	    text[PM_TEXT_MAX + 1];
};

static void
keep(const struct frame_bytes *row, void *arg)
{
	rows_add(&((struct asked *)arg)->rows, row);
}

static void
ask(struct asked *a, const char *socket, const char *command, const char *argument, uint64_t count)
{
	struct client *c = client_open(socket);

	memset(a, 0, sizeof(*a));
	a->status = -1;
	if (c == NULL)
		return;
	a->status = client_request(c, command, argument, count, WAIT_S + (unsigned)count * PING_WAIT_S, keep, a, a->text);
	client_close(c);
}

/* The row of this node, by its name or the beginning of its id. */
static const struct frame_bytes *
row_of(const struct rows *r, const char *node)
{
	struct row_field f;

	for (size_t i = 0; i < r->n; i++) {
		if (row_is(&r->list[i], "name", node))
			return &r->list[i];
		if (strlen(node) >= 8 && row_find(&r->list[i], "id", &f) && f.type == ROW_STR && f.str.len >= strlen(node) &&
		    strncasecmp((const char *)f.str.p, node, strlen(node)) == 0)
			return &r->list[i];
	}
	return NULL;
}

static const char *
text_of(char buf[VALUE_MAX], const struct frame_bytes *row, const char *name)
{
	struct row_field f;

	return row_find(row, name, &f) ? table_value(buf, &f) : "-";
}

static void
say(struct rows *out, const char *layer, const char *state, const char *detail)
{
	struct row_writer w;
	struct frame_bytes b;

	row_init(&w);
	row_str(&w, "layer", layer);
	row_str(&w, "state", state);
	row_str(&w, "detail", detail);
	b = (struct frame_bytes){ w.buf, w.len };
	rows_add(out, &b);
}

static void
session_layer(struct rows *out, const char *socket, const char *node)
{
	char detail[DETAIL_MAX], a[VALUE_MAX], b[VALUE_MAX];
	const struct frame_bytes *row;
	struct asked s;

	ask(&s, socket, "status", NULL, 0);
	if ((row = row_of(&s.rows, node)) == NULL) {
		say(out, "session", "none", "it is no neighbour: routes have to lead there");
	} else if (row_is(row, "state", "up")) {
		snprintf(detail, sizeof(detail), "%.60s, heard of %.60s ago", text_of(a, row, "rtt_us"), text_of(b, row, "age_ms"));
		say(out, "session", "up", detail);
	} else {
		snprintf(detail, sizeof(detail), "%.200s", text_of(b, row, "reason"));
		say(out, "session", row_is(row, "state", "routed") ? "none" : text_of(a, row, "state"), detail);
	}
	rows_free(&s.rows);
}

/* A row for each way that ends at the node; the last hop's row has its state. */
static void
route_layer(struct rows *out, const char *socket, const char *node)
{
	char detail[DETAIL_MAX], a[VALUE_MAX], b[VALUE_MAX], c[VALUE_MAX];
	struct row_field f;
	struct asked p;
	bool any = false;

	ask(&p, socket, "path", node, 0);
	for (size_t i = 0; i < p.rows.n; i++) {
		const struct frame_bytes *row = &p.rows.list[i];

		if (!row_find(row, "state", &f))
			continue;
		any = true;
		snprintf(detail, sizeof(detail), "%.40s: %.60s hops, %.60s", text_of(a, row, "way"), text_of(b, row, "hop"),
		    text_of(c, row, "rtt_us"));
		say(out, "route", text_of(a, row, "state"), detail);
	}
	if (!any)
		say(out, "route", "none", p.text);
	rows_free(&p.rows);
}

static int
echo_layer(struct rows *out, const char *socket, const char *node, uint64_t count)
{
	char detail[DETAIL_MAX];
	struct asked e;
	int status;

	ask(&e, socket, "ping", node, count);
	status = e.status;
	snprintf(detail, sizeof(detail), "%zu answers%s%.200s", e.rows.n, e.text[0] != '\0' ? ": " : "", e.text);
	say(out, "echo", status == 0 ? "answers" : "silent", detail);
	rows_free(&e.rows);
	return status;
}

int
cmd_ping_layers(const char *socket, bool json, const char *node, uint64_t count)
{
	struct rows out = { 0 };
	struct asked n;
	int status;

	ask(&n, socket, "nodes", NULL, 0);
	if (n.status == -1) {
		rows_free(&n.rows);
		return 2;
	}
	if (row_of(&n.rows, node) != NULL)
		say(&out, "directory", "known", "it has told of itself");
	else
		say(&out, "directory", "unknown", "no node record of it is here");
	rows_free(&n.rows);
	session_layer(&out, socket, node);
	route_layer(&out, socket, node);
	status = echo_layer(&out, socket, node, count);
	if (json)
		json_print(stdout, "ping-layer", &out, status, NULL);
	else
		table_print(stdout, &out);
	rows_free(&out);
	return status == -1 ? 2 : status;
}
