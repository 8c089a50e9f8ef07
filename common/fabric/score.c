/*
 * The formula of fabric-route(7). A score is microseconds: of a link or a relay each input's share is what a person would
 * rather wait than have it. Shares add up, link by link and relay by relay, so that the best path is one that a search
 * finds exactly. Integers only: the same on every machine.
 */
#include <string.h>

#include "fabric/graph_in.h"

#define SHARE_MAX	10000000u	/* us; of one share, so that a sum of all cannot wrap */
#define KBPS_UNKNOWN	20000u		/* taken for a link of which nothing larger was seen */
#define LOAD_FREE	500u		/* thousandths of a limit up to which load does not matter */
#define BATTERY_LOW	20u		/* percent */

/* What a class makes of the inputs: three kinds of classes. */
enum kind { KIND_DELAY, KIND_BALANCED, KIND_BANDWIDTH, KIND_COUNT };

static const uint8_t kinds[CLASS_COUNT] = {
	[CLASS_CONTROL] = KIND_DELAY, [CLASS_DNS] = KIND_DELAY, [CLASS_INTERACTIVE] = KIND_DELAY,
	[CLASS_RELIABLE] = KIND_BALANCED, [CLASS_BULK] = KIND_BANDWIDTH, [CLASS_DROPPABLE] = KIND_BANDWIDTH,
};

static const struct coefficients {
	uint32_t rtt_8, jitter_8;	/* eighths */
	uint32_t loss;			/* us a thousandth */
	uint32_t piece;			/* bytes that a hop passes on together */
	uint32_t hop;			/* us a relay */
	uint32_t queue, load;		/* us a thousandth; load: above LOAD_FREE */
	uint32_t battery, battery_low;	/* us: on battery; a percent that is missing; with little left */
	uint32_t percent;
	uint32_t metered;		/* us */
	uint32_t failure;		/* us a failure */
	uint32_t away;			/* us: in another region than either end */
	uint32_t cost;			/* us a unit */
	uint32_t phone, stranger, tier;	/* us: a mobile-edge; of another tenant; a tier below the highest */
} table[KIND_COUNT] = {
	[KIND_DELAY] = { 8, 16, 1000, 1200, 5000, 50, 40, 20000, 300000, 500, 30000, 50000, 5000, 100, 50000, 10000, 500 },
	[KIND_BALANCED] = { 4, 8, 1500, 65536, 5000, 30, 40, 40000, 600000, 1000, 100000, 50000, 5000, 1000, 100000, 10000, 500 },
	[KIND_BANDWIDTH] = { 1, 1, 1000, 1048576, 2000, 20, 40, 80000, 1200000, 2000, 600000, 50000, 2000, 5000, 200000, 20000,
	    500 },
};

static const char *const names[SCORE_PARTS] = {
	[SCORE_RTT] = "rtt", [SCORE_JITTER] = "jitter", [SCORE_LOSS] = "loss", [SCORE_BANDWIDTH] = "bandwidth",
	[SCORE_HOPS] = "hops", [SCORE_QUEUE] = "queue", [SCORE_LOAD] = "load", [SCORE_BATTERY] = "battery",
	[SCORE_METERED] = "metered", [SCORE_HISTORY] = "history", [SCORE_LOCALITY] = "locality", [SCORE_COST] = "cost",
	[SCORE_PREFERENCE] = "preference",
};

const char *
score_part_name(unsigned part)
{
	return part < SCORE_PARTS ? names[part] : "unknown";
}

int
score_part_parse(const char *name)
{
	for (int i = 0; i < SCORE_PARTS; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

void
score_weights_default(struct score_weights *w)
{
	for (int i = 0; i < SCORE_PARTS; i++)
		w->w[i] = 1000;
}

static uint32_t
capped(uint64_t us)
{
	return us < SHARE_MAX ? (uint32_t)us : SHARE_MAX;
}

/* Weighs one share and adds it. */
static uint32_t
share(struct score *s, const struct score_ends *e, enum score_part part, uint64_t us)
{
	uint32_t v = capped(us);

	if (e->weights != NULL)
		v = capped((uint64_t)v * e->weights->w[part] / 1000);
	s->part[part] += v;
	return v;
}

/* How long a piece of the class takes at this rate. */
static uint64_t
piece_us(const struct coefficients *k, uint32_t kbps)
{
	return (uint64_t)k->piece * 8 * 1000 / kbps;
}

uint32_t
score_link(struct score *s, const struct score_ends *e, const struct measure *m)
{
	const struct coefficients *k = &table[kinds[e->class]];
	uint32_t sum = 0;

	sum += share(s, e, SCORE_RTT, (uint64_t)m->rtt_us * k->rtt_8 / 8);
	sum += share(s, e, SCORE_JITTER, (uint64_t)m->jitter_us * k->jitter_8 / 8);
	sum += share(s, e, SCORE_LOSS, (uint64_t)m->loss * k->loss);
	sum += share(s, e, SCORE_BANDWIDTH, piece_us(k, m->kbps > 0 ? m->kbps : KBPS_UNKNOWN));
	if (sum > 0)
		return sum;
	s->part[SCORE_HOPS]++;	/* no link is free: what is longer by nothing is still longer */
	return 1;
}

static uint64_t
battery_us(const struct coefficients *k, const struct graph_node *n)
{
	if (!n->on_battery || n->charging)
		return 0;
	return (uint64_t)k->battery + (n->battery < 100 ? 100u - n->battery : 0u) * k->percent +
	    (n->battery < BATTERY_LOW ? k->battery_low : 0);
}

static uint64_t
preference_us(const struct coefficients *k, const struct score_ends *e, const struct graph_node *n)
{
	const char *tenant = n->text == NULL ? "" : n->text + strlen(n->text) + 1;

	return (n->roles & 1u << ROLE_MOBILE_EDGE ? k->phone : 0) + (strcmp(tenant, e->tenant) != 0 ? k->stranger : 0) +
	    (n->tier < 9 ? 9u - n->tier : 0u) * k->tier;
}

#define FADE_NS	3600000000000ull	/* a failure weighs less and less, and nothing after so long */

uint32_t
score_faded(const struct failures *f, uint64_t now_ns)
{
	uint64_t age = now_ns > f->failed_ns ? now_ns - f->failed_ns : 0;

	return age >= FADE_NS ? 0 : (uint32_t)((FADE_NS - age) / 1000000 * f->failed / (FADE_NS / 1000000));
}

uint32_t
score_failures(const struct graph_node *n, uint64_t now_ns)
{
	uint32_t v = score_faded(&n->own, now_ns);

	for (unsigned i = 0; n->tellers != NULL && i < TELLERS_MAX; i++)
		v += score_faded(&n->tellers[i].f, now_ns);
	return v < FAILURES_MAX ? v : FAILURES_MAX;
}

uint32_t
score_relay(struct score *s, const struct score_ends *e, const struct graph_node *n)
{
	const struct coefficients *k = &table[kinds[e->class]];
	bool away = n->region != 0 && n->region != e->source_region && n->region != e->dest_region &&
	    (e->source_region != 0 || e->dest_region != 0);
	uint32_t sum = 0;

	if (n->relay_kbps > 0)
		sum += share(s, e, SCORE_BANDWIDTH, piece_us(k, n->relay_kbps));
	sum += share(s, e, SCORE_HOPS, k->hop);
	sum += share(s, e, SCORE_QUEUE, (uint64_t)n->queue * k->queue);
	sum += share(s, e, SCORE_LOAD, n->load > LOAD_FREE ? (uint64_t)(n->load - LOAD_FREE) * k->load : 0);
	sum += share(s, e, SCORE_BATTERY, battery_us(k, n));
	sum += share(s, e, SCORE_METERED, n->metered || n->net == NET_MOBILE ? k->metered : 0);
	sum += share(s, e, SCORE_HISTORY, (uint64_t)score_failures(n, e->now_ns) * k->failure / 1000);
	sum += share(s, e, SCORE_LOCALITY, away ? k->away : 0);
	sum += share(s, e, SCORE_COST, (uint64_t)n->cost * k->cost);
	sum += share(s, e, SCORE_PREFERENCE, preference_us(k, e, n));
	return sum > 0 ? sum : 1;
}
