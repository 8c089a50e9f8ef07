#include "telemd/openmetrics.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <string.h>

#include "base/hex.h"
#include "wire/fields.h"

struct metric {
	enum worker_kind kind;
	size_t		 index;
	const struct stats_desc *desc;
};

#define METRICS_MAX ((size_t)STAT_DATAPLANE_COUNT + (size_t)STAT_ROUTED_COUNT + (size_t)STAT_VPND_COUNT + \
	(size_t)STAT_SVCHOSTD_COUNT + (size_t)STAT_TELEMD_COUNT)

struct writer {
	struct evbuffer	*out;
	bool		 failed;
};

static void __attribute__((format(printf, 2, 3)))
put(struct writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!w->failed && evbuffer_add_vprintf(w->out, fmt, ap) < 0)
		w->failed = true;
	va_end(ap);
}

/* A label's value or a help text: both have the same three escapes. */
static void
put_escaped(struct writer *w, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n')
			put(w, "\\n");
		else if (*s == '"' || *s == '\\')
			put(w, "\\%c", *s);
		else
			put(w, "%c", *s);
	}
}

/* All that there is, in the order of the lists; returns how many. */
static size_t
collect(struct metric *list, const struct counter_pages *pages)
{
	size_t n = 0;

	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		size_t count;
		const struct stats_desc *desc = stats_desc((enum worker_kind)k, &count);

		if (!pages_have(pages, (enum worker_kind)k))
			continue;
		for (size_t i = 0; i < count; i++)
			list[n++] = (struct metric){ (enum worker_kind)k, i, &desc[i] };
	}
	return n;
}

/* The family's name is the counter's without its suffix. */
static void
put_family(struct writer *w, const struct stats_desc *d)
{
	bool counter = metric_is_counter(d->name);
	int len = (int)(strlen(d->name) - (counter ? strlen("_total") : 0));

	put(w, "# TYPE %.*s %s\n", len, d->name, counter ? "counter" : "gauge");
	put(w, "# HELP %.*s ", len, d->name);
	put_escaped(w, d->help);
	put(w, "\n");
}

static void
put_sample(struct writer *w, const struct counter_pages *pages, const struct metric *m)
{
	bool labels = m->desc->labels[0] != '\0';

	put(w, "%s%s%s%s %" PRIu64 "\n", m->desc->name, labels ? "{" : "", m->desc->labels, labels ? "}" : "",
	    pages_value(pages, m->kind, m->index));
}

/* Samples of a family stand together, wherever the lists have them: what was put is struck off the list. */
static void
put_metrics(struct writer *w, const struct counter_pages *pages)
{
	struct metric list[METRICS_MAX];
	size_t n = collect(list, pages);

	for (size_t i = 0; i < n; i++) {
		const char *name;

		if (list[i].desc == NULL)
			continue;
		name = list[i].desc->name;
		put_family(w, list[i].desc);
		for (size_t j = i; j < n; j++) {
			if (list[j].desc == NULL || strcmp(list[j].desc->name, name) != 0)
				continue;
			put_sample(w, pages, &list[j]);
			list[j].desc = NULL;
		}
	}
}

static void
put_node(struct writer *w, const struct pm_conf_node *node)
{
	char id[2 * NODE_ID_LEN + 1];

	put(w, "# TYPE fabric_node info\n# HELP fabric_node This node\nfabric_node_info{id=\"%s\",name=\"",
	    hex_encode(id, node->node_id, NODE_ID_LEN));
	put_escaped(w, node->name);
	put(w, "\",tenant=\"");
	put_escaped(w, node->tenant);
	put(w, "\",version=\"" FABRIC_VERSION "\"} 1\n");
}

static const struct {
	const char *name, *help;
} shares[SHARE_COUNT] = {
	[SHARE_STREAMS] = { "streams", "Reliable streams that were opened" },
	[SHARE_BROKEN] = { "streams_broken", "Reliable streams that did not come to their end" },
	[SHARE_BYTES_IN] = { "bytes_in", "Bytes from the fabric, sealed" },
	[SHARE_BYTES_OUT] = { "bytes_out", "Bytes into the fabric, sealed" },
	[SHARE_STALL_US] = { "stall_us", "Time that streams with something to send were not allowed to" },
	[SHARE_STALL_FAR_US] = { "stall_far_us", "Of that, by the reader at the far end" },
	[SHARE_STALL_HOP_US] = { "stall_hop_us", "Of that, by the next hop's credit" },
	[SHARE_STALL_LOCAL_US] = { "stall_local_us", "Time that the client or service here did not read" },
	[SHARE_STALL_PATH_US] = { "stall_path_us", "Time that streams had no path" },
	[SHARE_FRAMES_IN] = { "frames_in", "DATA frames from the fabric" },
	[SHARE_FRAMES_OUT] = { "frames_out", "DATA frames into the fabric" },
	[SHARE_BYTES_AGAIN] = { "bytes_again", "Bytes sent again by another path, sealed" },
	[SHARE_RTT_US] = { "rtt_us", "Round trips from end to end, each second of each stream that carries something" },
	[SHARE_RTT_SAMPLES] = { "rtt_samples", "How many of them" },
	[SHARE_QUEUE_P50_US] = { "queue_p50_us", "What half of the bytes waited here at most before they left, of late" },
	[SHARE_QUEUE_P99_US] = { "queue_p99_us", "What 99 of 100 bytes waited here at most before they left, of late" },
};

/* As another process wrote it: whatever is no name of a service or node is left out, so that the text stays text. */
static bool
share_read(struct stats_share *to, const struct stats_page *page, size_t i, enum stats_by by)
{
	const volatile struct stats_share *from = &page->share[i];

	if (__atomic_load_n(&page->share[i].by, __ATOMIC_ACQUIRE) != (uint32_t)by)
		return false;
	for (size_t n = 0; n < sizeof(to->name); n++)
		to->name[n] = from->name[n];
	for (size_t n = 0; n < SHARE_COUNT; n++)
		to->v[n] = from->v[n];
	return text_name((const uint8_t *)to->name, strnlen(to->name, sizeof(to->name)), 2 * NODE_ID_LEN, false);
}

/* Each name once: the writer has no two of a name, but nobody here has to believe that. */
static size_t
shares_read(struct stats_share list[STATS_SHARES], const struct stats_page *page, enum stats_by by)
{
	size_t n = 0, same;

	for (size_t i = 0; i < STATS_SHARES; i++) {
		if (!share_read(&list[n], page, i, by))
			continue;
		for (same = 0; same < n && strcmp(list[same].name, list[n].name) != 0; same++)
			;
		n += same == n;
	}
	return n;
}

static void
put_shares(struct writer *w, const struct stats_page *page, enum stats_by by, const char *label)
{
	struct stats_share list[STATS_SHARES];
	size_t n = shares_read(list, page, by);

	for (size_t v = 0; v < SHARE_COUNT && n > 0; v++) {
		bool gauge = v >= SHARE_GAUGES;

		put(w, "# TYPE fabric_%s_%s %s\n# HELP fabric_%s_%s %s, by %s\n", label, shares[v].name,
		    gauge ? "gauge" : "counter", label, shares[v].name, shares[v].help, label);
		for (size_t i = 0; i < n; i++)
			put(w, "fabric_%s_%s%s{%s=\"%s\"} %" PRIu64 "\n", label, shares[v].name, gauge ? "" : "_total", label,
			    list[i].name, list[i].v[v]);
	}
}

static void
put_reasons(struct writer *w, const struct stats_page *page)
{
	struct stats_share list[STATS_SHARES];
	size_t n = shares_read(list, page, BY_REASON);

	if (n > 0)
		put(w, "# TYPE fabric_stream_ends counter\n# HELP fabric_stream_ends Reliable streams that ended, and why\n");
	for (size_t i = 0; i < n; i++)
		put(w, "fabric_stream_ends_total{reason=\"%s\"} %" PRIu64 "\n", list[i].name, list[i].v[SHARE_STREAMS]);
}

int
openmetrics_write(struct evbuffer *out, const struct counter_pages *pages, const struct pm_conf_node *node)
{
	struct writer w = { .out = out };
	const struct stats_page *page;

	if (node != NULL)
		put_node(&w, node);
	put_metrics(&w, pages);
	if ((page = pages_of(pages, WORKER_SVCHOSTD)) != NULL) {
		put_shares(&w, page, BY_SERVICE, "service");
		put_shares(&w, page, BY_PEER, "peer");
		put_shares(&w, page, BY_CLASS, "class");
		put_reasons(&w, page);
	}
	put(&w, "# EOF\n");
	return w.failed ? -1 : 0;
}
