/*
 * sim [-n seeds] [-s seed] [-vw]: runs so many simulations from one seed on (1), and each of the first ones twice; -w:
 * how one stream fills 1 Gbit/s and 100 ms. The last line is `N passed, N failed'. A run that fails says what did not hold, the last frames before it, and how to see
 * all of it: -s SEED -v.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#define LINES		40u
#define STEPS_MAX	20000000ull
#define TWICE		20u	/* runs that are repeated, to see that they are the same */

static bool verbose;

/* --- randomness and time --- */

static uint64_t
next_random(struct sim *sim)
{
	uint64_t z = sim->rand += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t
sim_random(struct sim *sim, uint64_t below)
{
	return below == 0 ? 0 : next_random(sim) % below;
}

bool
sim_chance(struct sim *sim, unsigned in_1000)
{
	return sim_random(sim, 1000) < in_1000;
}

uint64_t
sim_local(const struct node *n)
{
	int64_t now = (int64_t)n->sim->now_ns;

	return (uint64_t)(now + n->offset_ns + now / 1000000 * n->ppm);
}

/* --- the trace --- */

static void
hash_add(struct sim *sim, const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		sim->hash = (sim->hash ^ b[i]) * 0x100000001b3ull;
}

static void
line(struct sim *sim, const char *text)
{
	snprintf(sim->lines[sim->nlines++ % LINES], sizeof(sim->lines[0]), "%s", text);
	if (sim->verbose)
		printf("%s\n", text);
}

void
sim_say(struct sim *sim, const char *fmt, ...)
{
	char text[160];
	va_list ap;
	int n = snprintf(text, sizeof(text), "%12.6f ", (double)sim->now_ns / (double)SEC);

	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	hash_add(sim, text, strlen(text));
	line(sim, text);
}

void
sim_fail(struct sim *sim, const char *fmt, ...)
{
	va_list ap;

	if (sim->failed)
		return;
	sim->failed = true;
	printf("seed %llu FAILED at %.6f s: ", (unsigned long long)sim->seed, (double)sim->now_ns / (double)SEC);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static void
frame_text(char *out, size_t size, const struct frame *f)
{
	unsigned long long a = 0, b = 0, id = 0;
	const char *fmt = "%s stream=%llu %llu %llu";

	switch (f->type) {
	case FT_ACK:
		fmt = "%s stream=%llu seq=%llu window=%llu";
		id = f->ack.stream_id, a = f->ack.seq, b = f->ack.window;
		break;
	case FT_STREAM_CREDIT:
		fmt = "%s stream=%llu limit=%llu";
		id = f->credit.stream_id, a = f->credit.limit;
		break;
	case FT_OPEN_STREAM:
		fmt = "%s stream=%llu route=%llu class=%llu";
		id = f->open.stream_id, a = f->open.route_id, b = f->open.class;
		break;
	case FT_CLOSE_STREAM:
		fmt = "%s stream=%llu final=%llu";
		id = f->close.stream_id, a = f->close.final_seq;
		break;
	case FT_RESET_STREAM:
		fmt = "%s stream=%llu reason=%llu";
		id = f->reset.stream_id, a = f->reset.reason;
		break;
	default:
		fmt = "%s stream=%llu seq=%llu len=%llu";
		id = f->data.stream_id, a = f->data.seq, b = f->data.payload_len;
	}
	/* The formats are those above. */
	_Pragma("GCC diagnostic push")
	_Pragma("GCC diagnostic ignored \"-Wformat-nonliteral\"")
	snprintf(out, size, fmt, frame_type_name(f->type), id, a, b);
	_Pragma("GCC diagnostic pop")
}

void
sim_frame(struct sim *sim, const struct port *p, const uint8_t *buf, size_t len, const char *what)
{
	const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_DEFAULT };
	char frame[100], text[160];
	struct frame f;

	hash_add(sim, &sim->now_ns, sizeof(sim->now_ns));
	hash_add(sim, buf, len < 64 ? len : 64);
	if (frame_decode(&f, buf, len, &lim) != FRAME_OK)
		return;
	frame_text(frame, sizeof(frame), &f);
	snprintf(text, sizeof(text), "%12.6f %u%s %s %u%s %s", (double)sim->now_ns / (double)SEC, p->node->index,
	    p->adapter ? "a" : "", what, p->peer->node->index, p->peer->adapter ? "a" : "", frame);
	line(sim, text);
}

/* --- events --- */

static bool
sooner(const struct event *a, const struct event *b)
{
	return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

void
sim_post(struct sim *sim, struct event e)
{
	size_t at;

	e.order = sim->order++;
	if (sim->nheap + 2 > sim->heap_size) {
		sim->heap_size = sim->heap_size == 0 ? 1024 : 2 * sim->heap_size;
		sim->heap = reallocarray(sim->heap, sim->heap_size, sizeof(e));
		if (sim->heap == NULL)
			abort();
	}
	for (at = ++sim->nheap; at > 1 && sooner(&e, &sim->heap[at / 2]); at /= 2)
		sim->heap[at] = sim->heap[at / 2];
	sim->heap[at] = e;
}

static struct event
take(struct sim *sim)
{
	struct event first = sim->heap[1], last = sim->heap[sim->nheap--];
	size_t at = 1, child;

	while ((child = 2 * at) <= sim->nheap) {
		if (child < sim->nheap && sooner(&sim->heap[child + 1], &sim->heap[child]))
			child++;
		if (!sooner(&sim->heap[child], &last))
			break;
		sim->heap[at] = sim->heap[child];
		at = child;
	}
	sim->heap[at] = last;
	return first;
}

static void
act(struct sim *sim, struct event *e)
{
	struct use *u = e->p;

	switch (e->type) {
	case EV_TICK:
		node_tick(e->p, e->a);
		break;
	case EV_SWEEP:
		node_sweep(e->p);
		break;
	case EV_APP:
		u->timer = false;
		app_run(u);
		node_wake(u->node);
		break;
	case EV_START:
		app_start(e->p);
		break;
	case EV_ATTACH:
		node_attach(u);
		node_wake(u->node);
		break;
	case EV_WATCH:
		app_watch(sim);
		break;
	default:
		world_event(sim, e);
	}
}

/* --- one run --- */

static struct sim *
run(uint64_t seed, bool wide)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (sim == NULL || (sim->lines = calloc(LINES, sizeof(sim->lines[0]))) == NULL)
		abort();
	sim->seed = sim->rand = seed;
	sim->hash = 0xcbf29ce484222325ull;
	sim->verbose = verbose;
	sim->conf.faults = sim_chance(sim, 700);
	sim->conf.plenty = sim_chance(sim, 600);
	sim->conf.wide = wide;
	if (wide) {
		sim->conf.faults = false;
		sim->conf.plenty = true;
	}
	sim->conf.calm_ns = wide ? SEC : (5 + sim_random(sim, 30)) * SEC;
	world_make(sim);
	app_make(sim);
	sim_post(sim, (struct event){ .type = EV_WATCH, .at_ns = sim->conf.calm_ns + SEC });
	while (sim->nheap > 0 && !sim->failed) {
		struct event e = take(sim);

		sim->now_ns = e.at_ns;
		if (++sim->steps > STEPS_MAX)
			sim_fail(sim, "it does not end");
		act(sim, &e);
		free(e.data);
	}
	if (!sim->failed)
		judge_end(sim);
	if (sim->failed) {
		for (uint64_t i = sim->nlines > LINES ? sim->nlines - LINES : 0; i < sim->nlines && !verbose; i++)
			printf("  %s\n", sim->lines[i % LINES]);
		printf("replay: tests/sim/sim -s %llu -v\n", (unsigned long long)seed);
	}
	while (sim->nheap > 0)
		free(take(sim).data);
	world_free(sim);
	return sim;
}

static void
run_free(struct sim *sim)
{
	free(sim->heap);
	free(sim->lines);
	free(sim);
}

static uint64_t passed, failed, bytes, frames, resumed, completed, ended;

static void
run_one(uint64_t seed, bool twice)
{
	struct sim *sim = run(seed, false), *again;
	bool good = !sim->failed;

	if (good && twice) {
		again = run(seed, false);
		if (again->hash != sim->hash || again->steps != sim->steps) {
			printf("seed %llu FAILED: the same seed does not give the same trace\n", (unsigned long long)seed);
			good = false;
		}
		run_free(again);
	}
	if (verbose)
		printf("seed %llu: %s, %llu steps, %.1f s, trace %016llx\n", (unsigned long long)seed,
		    good ? "passed" : "FAILED", (unsigned long long)sim->steps, (double)sim->now_ns / (double)SEC,
		    (unsigned long long)sim->hash);
	passed += good;
	failed += !good;
	bytes += sim->bytes_read;
	frames += sim->frames;
	resumed += sim->resumed;
	completed += sim->completed;
	ended += sim->resets;
	run_free(sim);
}

static void
run_wide(uint64_t seed)
{
	struct sim *sim = run(seed, true);
	const struct use *u = sim->conv[0].use;
	double took = (double)(u[1].progress_ns - sim->conv[0].start_ns) / (double)SEC;
	uint64_t peak[2] = { sim->node[0].plane_budget.peak, sim->node[1].plane_budget.peak };
	bool good = !sim->failed && u[1].read == WIDE_BYTES && sim->second_best >= WIDE_RATE / 10 * 9;

	printf("one stream, 1 Gbit/s, 100 ms: %.2f s for %llu MB; best second %.0f Mbit/s; peak memory of a dataplane %.1f MB\n",
	    took, (unsigned long long)(u[1].read >> 20), (double)sim->second_best * 8 / 1e6,
	    (double)(peak[0] > peak[1] ? peak[0] : peak[1]) / 1e6);
	passed += good;
	failed += !good;
	run_free(sim);
}

int
main(int argc, char **argv)
{
	uint64_t n = 1, first = 1;
	bool wide = false;
	int opt;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "n:s:vw")) != -1) {
		switch (opt) {
		case 'n':
			n = strtoull(optarg, NULL, 10);
			break;
		case 's':
			first = strtoull(optarg, NULL, 10);
			break;
		case 'v':
			verbose = true;
			break;
		case 'w':
			wide = true;
			break;
		default:
			fprintf(stderr, "usage: sim [-n seeds] [-s seed] [-vw]\n");
			return 2;
		}
	}
	if (wide)
		run_wide(first);
	for (uint64_t i = 0; i < n && !wide; i++)
		run_one(first + i, i < TWICE && !verbose);
	printf("%llu frames, %llu bytes read; %llu ends of streams completed, %llu ended early, %llu resumed\n",
	    (unsigned long long)frames, (unsigned long long)bytes, (unsigned long long)completed,
	    (unsigned long long)ended, (unsigned long long)resumed);
	printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
	return failed > 0;
}
