/*
 * routes [-n seeds] [-s seed] [-N nodes] [-m minutes] [-v]: runs so many simulations of routes from one seed on; the first one
 * twice, which must come out the same. The last line is `N passed, N failed'. -v says what happens.
 */
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/sim/routes.h"

uint64_t
rsim_random(struct rsim *s, uint64_t below)
{
	uint64_t z = s->rand += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % below;
}

bool
rsim_chance(struct rsim *s, uint64_t one_in)
{
	return rsim_random(s, one_in) == 0;
}

/* All that is said is the trace: two runs of a seed say the same. */
void
rsim_say(struct rsim *s, const char *fmt, ...)
{
	char text[200];
	va_list ap;
	int n = snprintf(text, sizeof(text), "%10.1f ", (double)s->now_ns / (double)SEC);

	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	for (const char *p = text; *p != '\0'; p++)
		s->hash = (s->hash ^ (uint8_t)*p) * 0x100000001b3ull;
	if (s->verbose)
		printf("%s\n", text);
}

void
rsim_fail(struct rsim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	rsim_say(s, "FAILED: %s", s->why);
}

static void
run(struct rsim *s)
{
	fake_seed(s->seed);
	world_make(s);
	for (; s->now_ns < s->end_ns && !s->failed; s->now_ns += TICK) {
		world_deliver(s);
		world_tick(s);
		for (uint32_t i = 0; i < s->nnodes && !s->failed; i++)
			if (s->node[i].up)
				node_tick(&s->node[i]);
		judge_tick(s);
		if (s->now_ns % SEC == 0)
			judge_second(s);
	}
	if (!s->failed)
		judge_end(s);
}

static void
end(struct rsim *s)
{
	for (uint32_t i = 0; i < s->nnodes; i++) {
		if (s->node[i].up)
			node_stop(&s->node[i]);
		free(s->node[i].table);
		free(s->node[i].table_id);
	}
	for (size_t i = 0; i < s->nheap; i++)
		free(s->heap[i].body);
	for (unsigned i = 0; i < POLICIES; i++)
		policy_free(s->policy[i]);
	free(s->issued);
	free(s->heap);
	free(s);
}

static struct rsim *
simulate(uint64_t seed, uint32_t nodes, unsigned minutes, bool verbose)
{
	struct rsim *s = calloc(1, sizeof(*s));

	if (s == NULL)
		err(1, NULL);
	s->seed = s->rand = seed;
	s->nnodes = nodes;
	s->nrelays = nodes / 4;
	s->end_ns = minutes * 60 * SEC;
	s->verbose = verbose;
	s->hash = 0xcbf29ce484222325ull;
	run(s);
	return s;
}

static void
report(const struct rsim *s)
{
	printf("seed %llu: %u nodes, %u pairs, %.0f min: %llu leases, %llu times by the source, %llu installed, %llu refused; "
	    "%llu moves of need, %llu for better; %llu outages beside a path, the longest %.1f s, beside a way %.1f s; "
	    "%llu streams, %llu lost, %llu with an end; %u fences, %llu pairs with their first way after one, %llu revoked\n",
	    (unsigned long long)s->seed, s->nnodes, s->npairs, (double)s->end_ns / (60.0 * (double)SEC),
	    (unsigned long long)s->leases, (unsigned long long)s->selfs, (unsigned long long)s->installs,
	    (unsigned long long)s->refused, (unsigned long long)s->forced, (unsigned long long)s->flaps,
	    (unsigned long long)s->outs, (double)s->longest_out_ns / (double)SEC, (double)s->longest_dead_ns / (double)SEC,
	    (unsigned long long)s->streams, (unsigned long long)s->lost, (unsigned long long)s->bereft, s->nfences,
	    (unsigned long long)s->late_ways, (unsigned long long)s->revocations);
}

int
main(int argc, char **argv)
{
	unsigned long long seed = 1, seeds = 1;
	unsigned nodes = 200, minutes = 60, passed = 0, failed = 0;
	bool verbose = false;
	int c;

	while ((c = getopt(argc, argv, "n:s:N:m:v")) != -1)
		switch (c) {
		case 'n': seeds = strtoull(optarg, NULL, 10); break;
		case 's': seed = strtoull(optarg, NULL, 10); break;
		case 'N': nodes = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'm': minutes = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'v': verbose = true; break;
		default:
			fprintf(stderr, "usage: routes [-v] [-n seeds] [-s seed] [-N nodes] [-m minutes]\n");
			return 2;
		}
	if (nodes < 20 || nodes > NODES_MAX)
		errx(2, "20 to %u nodes", NODES_MAX);
	log_init("sim", STDERR_FILENO, LOG_LEVEL_ERROR);
	for (unsigned long long i = 0; i < seeds; i++) {
		struct rsim *s = simulate(seed + i, nodes, minutes, verbose), *again = NULL;

		report(s);
		if (i == 0 && !verbose && !s->failed) {
			again = simulate(seed + i, nodes, minutes, false);
			if (again->hash != s->hash)
				rsim_fail(s, "a second run went otherwise");
			end(again);
		}
		if (s->failed)
			printf("seed %llu FAILED at %.1f s: %s; see -s %llu -N %u -m %u -v\n", seed + i,
			    (double)s->now_ns / (double)SEC, s->why, seed + i, nodes, minutes);
		failed += s->failed;
		passed += !s->failed;
		end(s);
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
