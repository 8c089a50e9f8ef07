/* How loaded this node's dataplane is, measured each second and told to the peers when it changes. */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "fabricd/dataplane/conn.h"
#include "proc/stats.h"

static uint64_t
cpu_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == -1)
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* The lowest number that is free: about as many descriptors as there are. */
static uint16_t
descriptors(const struct dp_load *l)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	if (fd == -1)
		return FRAME_PRESSURE_MAX;
	close(fd);
	return pressure_of((uint64_t)fd, l->nofile);
}

static void
packets(const struct dataplane *dp, uint64_t *sent, uint64_t *lost)
{
	ngtcp2_conn_info info;
	struct conn *c;

	*sent = *lost = 0;
	TAILQ_FOREACH(c, &dp->conns, all) {
		conn_info(c, &info);
		*sent += info.pkt_sent;
		*lost += info.pkt_lost;
	}
}

static void
measure(struct dataplane *dp, struct frame_node_pressure *now)
{
	struct dp_load *l = &dp->load;
	uint64_t cpu = cpu_ns(), sent, lost;

	packets(dp, &sent, &lost);
	now->queue = pressure_of(dp->pool.in_use * dp->pool.stride, DP_POOL_BYTES);
	now->cpu = pressure_of(cpu - l->cpu_ns, dp->now_ns - l->at_ns);
	now->memory = pressure_of(dp->sw.budget.used, dp->sw.budget.limit);
	now->descriptors = descriptors(l);
	/* Connections come and go: a sum that fell says nothing. */
	now->loss = sent > l->sent && lost > l->lost ? pressure_of(lost - l->lost, sent - l->sent) : 0;
	l->cpu_ns = cpu;
	l->at_ns = dp->now_ns;
	l->sent = sent;
	l->lost = lost;
}

void
pressure_tell(struct conn *c)
{
	struct frame f = { .type = FT_NODE_PRESSURE };

	f.pressure = c->dp->load.pressure.told;
	conn_dirty(c);
	session_send(&c->session, &f);
}

void
pressure_second(struct dataplane *dp)
{
	struct frame_node_pressure now;
	struct conn *c, *next;

	measure(dp, &now);
	dp->load.now = now;
	STAT_SET(DP_PRESSURE_QUEUE, now.queue);
	STAT_SET(DP_PRESSURE_CPU, now.cpu);
	STAT_SET(DP_PRESSURE_MEMORY, now.memory);
	STAT_SET(DP_PRESSURE_DESCRIPTORS, now.descriptors);
	STAT_SET(DP_PRESSURE_LOSS, now.loss);
	if (!pressure_news(&dp->load.pressure, &now))
		return;
	for (c = TAILQ_FIRST(&dp->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, all);
		if (c->told_up && !c->closing)
			pressure_tell(c);
	}
}
