#include "svchostd/show.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hex.h"

#define ENDED_SHOWN_S 60u

const char *
show_node(const struct nodes *nodes, const uint8_t *node_id, char buf[2 * NODE_ID_LEN + 1])
{
	const struct node *n = nodes_find(nodes, node_id);

	if (n != NULL && n->conf_name[0] != '\0')
		return n->conf_name;
	if (n != NULL && n->proven_name[0] != '\0')
		return n->proven_name;
	return hex_encode(buf, node_id, NODE_ID_LEN);
}

static void
put_times(struct row_writer *w, const struct pump_info *i, uint64_t now_ns)
{
	row_uint(w, "rtt_us", i->rtt_us);
	row_uint(w, "stall_far_us", i->stall_far_us);
	row_uint(w, "stall_hop_us", i->stall_hop_us);
	row_uint(w, "stall_local_us", i->stall_local_us);
	row_uint(w, "stall_path_us", i->stall_leg_us);
	row_uint(w, "queue_p50_us", i->queue_p50_us);
	row_uint(w, "queue_p99_us", i->queue_p99_us);
	row_uint(w, "age_s", (now_ns - i->started_ns) / NS_PER_SEC);
	row_uint(w, "idle_ms", i->active_ns == 0 || i->active_ns > now_ns ? 0 : (now_ns - i->active_ns) / NS_PER_MS);
}

static void
end_row(struct row_writer *w, const struct pump_info *i, const struct nodes *nodes, const char *state, uint64_t now_ns)
{
	char hex[2 * NODE_ID_LEN + 1];

	row_init(w);
	row_uint(w, "stream", i->number);
	row_str(w, "service", i->service);
	row_str(w, "node", show_node(nodes, i->node_id, hex));
	row_str(w, "peer", hex_encode(hex, i->node_id, NODE_ID_LEN));
	row_str(w, "class", class_name(i->class));
	row_str(w, "opened_by", i->opener ? "us" : "peer");
	row_str(w, "state", state);
	row_bool(w, "ended_in", i->eof_in);
	row_bool(w, "ended_out", i->eof_out);
	row_uint(w, "bytes_in", i->bytes_in);
	row_uint(w, "bytes_out", i->bytes_out);
	row_uint(w, "frames_in", i->frames_in);
	row_uint(w, "frames_out", i->frames_out);
	row_uint(w, "bytes_again", i->bytes_again);
	row_uint(w, "paths", i->legs);
	row_uint(w, "bytes_waiting_in", i->queued_in);
	row_uint(w, "bytes_waiting_out", i->queued_out);
	put_times(w, i, now_ns);
}

/* Those that ended not long ago, and why. How many found no room. */
static uint64_t
ended_rows(struct worker *worker, const struct hub *hub, const struct nodes *nodes, uint64_t request, uint64_t now_ns)
{
	const struct pump_ended *e;
	struct row_writer w;
	uint64_t lost = 0;

	for (unsigned i = 0; (e = pump_ended(hub, i)) != NULL && e->at_ns + ENDED_SHOWN_S * NS_PER_SEC > now_ns; i++) {
		end_row(&w, &e->info, nodes, "ended", e->at_ns);
		row_str(&w, "reason", reason_name(e->reason));
		row_uint(&w, "ended_ms", (now_ns - e->at_ns) / NS_PER_MS);
		lost += worker_row(worker, request, &w) == -1;
	}
	return lost;
}

void
show_ends(struct worker *worker, struct hub *hub, const struct nodes *nodes, uint64_t request)
{
	uint64_t now = clock_ns(), n = 0, shown = 0, lost;
	char text[128] = "";
	struct pump_info info;
	struct row_writer w;

	for (struct pump *p = pump_first(hub); p != NULL; p = pump_next(p), n++) {
		if (shown != n)
			continue;	/* the channel is full: the others are only counted */
		pump_info(p, &info, now);
		end_row(&w, &info, nodes, info.no_leg ? "no-path" : pump_state_name(info.state), now);
		if (worker_row(worker, request, &w) == 0)
			shown++;
	}
	lost = ended_rows(worker, hub, nodes, request, now);
	if (shown != n || lost > 0)
		snprintf(text, sizeof(text), "only the oldest %llu of %llu streams are shown, and %llu that ended are not",
		    (unsigned long long)shown, (unsigned long long)n, (unsigned long long)lost);
	worker_done(worker, request, text[0] != '\0', text);
}
