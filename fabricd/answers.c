#include "fabricd/answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "fabricd/fabricd.h"
#include "fabricd/reload.h"
#include "proc/row.h"

static uint64_t
since_s(uint64_t ns)
{
	return (clock_ns() - ns) / NS_PER_SEC;
}

void
answer_workers(struct fabricd *d, const struct reply *to, const struct pm_request *q)
{
	struct row_writer w;

	(void)q;
	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		const struct child *c = &d->child[k];

		row_init(&w);
		row_str(&w, "name", worker_name(k));
		row_str(&w, "state", child_state_name(c->state));
		row_uint(&w, "pid", (uint64_t)c->pid);
		row_uint(&w, "generation", c->generation);
		row_uint(&w, "restarts", c->restarts);
		row_uint(&w, "uptime_s", c->pid == 0 ? 0 : since_s(c->started_ns));
		row_str(&w, "last_exit", c->last_exit);
		control_row_written(d, to, &w);
	}
	control_done(d, to, 0, "");
}

void
answer_config(struct fabricd *d, const struct reply *to, const struct pm_request *q)
{
	struct row_writer w;
	char *text = NULL, *line, *rest;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)q;
	if (f == NULL) {
		control_done(d, to, 1, "out of memory");
		return;
	}
	conf_print(f, d->setup->conf);
	if (fclose(f) == 0)
		for (rest = text; (line = strsep(&rest, "\n")) != NULL && rest != NULL;) {
			row_init(&w);
			row_str(&w, "line", line);
			control_row_written(d, to, &w);
		}
	free(text);
	control_done(d, to, 0, "");
}

static void
check_row(struct fabricd *d, const struct reply *to, const char *check, bool ok, const char *detail)
{
	struct row_writer w;

	row_init(&w);
	row_str(&w, "check", check);
	row_bool(&w, "ok", ok);
	row_str(&w, "detail", detail);
	control_row_written(d, to, &w);
}

/* A peer that should be there: whether it is, routed knows, and fabricctl asks it. */
static void
peer_row(struct fabricd *d, const struct reply *to, const struct conf_peer *p)
{
	char id[2 * NODE_ID_LEN + 1];
	struct row_writer w;

	row_init(&w);
	row_str(&w, "expect", p->name);
	row_str(&w, "id", hex_encode(id, p->id, NODE_ID_LEN));
	row_uint(&w, "dead_ms", d->setup->conf->session.dead_ms);
	control_row_written(d, to, &w);
}

void
answer_health(struct fabricd *d, const struct reply *to, const struct pm_request *q)
{
	const struct setup *s = d->setup;
	const struct conf_peer *p;
	char check[48];

	(void)q;
	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		snprintf(check, sizeof(check), "worker %s", worker_name(k));
		check_row(d, to, check, d->child[k].state == CHILD_RUNNING, child_state_name(d->child[k].state));
	}
	if (s->conf->vpn.configured)
		check_row(d, to, "tun", tun_is_up(&s->tun), s->tun.ifindex == 0 ? "handed in" : s->conf->vpn.ifname);
	check_row(d, to, "certificate", clock_wall() < s->keys->membership.not_after,
	    s->keys->membership.not_after > clock_wall() ? "valid" : "expired");
	TAILQ_FOREACH(p, &s->conf->peers, entry)
		if (p->naddrs > 0)
			peer_row(d, to, p);
	control_done(d, to, 0, "");
}

void
answer_log(struct fabricd *d, const struct reply *to, const struct pm_request *q)
{
	if (log_level_parse(q->argument, &d->log_level) == -1) {
		control_done(d, to, 2, "no such log level: error, warn, info or debug");
		return;
	}
	log_setlevel(d->log_level);
	wire_log_level(d);
	control_done(d, to, 0, "");
}

void
answer_reload(struct fabricd *d, const struct reply *to, const struct pm_request *q)
{
	(void)q;
	reload_start(d, to);
}

void
answer_stop(struct fabricd *d, const struct reply *to, const struct pm_request *q)
{
	(void)q;
	control_done(d, to, 0, "");
	fabricd_stop(d);
}
