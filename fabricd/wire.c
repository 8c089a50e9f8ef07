/* The channels between workers: made here, handed to both ends, forgotten. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fabricd/fabricd.h"

static void
connect_pair(struct child *a, struct child *b)
{
	struct procmsg to_a = { .type = PM_PORT, .port = { (uint8_t)b->kind, b->generation } };
	struct procmsg to_b = { .type = PM_PORT, .port = { (uint8_t)a->kind, a->generation } };
	bool ring = worker_table[a->kind].ring && worker_table[b->kind].ring;
	int fds[2];

	if ((ring ? ipc_port_pair(fds) : ipc_pair(fds)) == -1) {
		log_warn("channel %s-%s", worker_name(a->kind), worker_name(b->kind));
		child_kill(a, "it cannot be connected");
		return;
	}
	child_send(a, &to_a, fds[0]);
	child_send(b, &to_b, fds[1]);
	close(fds[0]);
	close(fds[1]);
}

/* Opened a second time, for reading only: no mapping of it can be made writable. */
static void
send_page(struct child *telemd, const struct child *c)
{
	struct procmsg m = { .type = PM_STATS, .stats = { (uint8_t)c->kind, c->generation } };
	char path[32];
	int fd;

	if (c->stats_fd == -1)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", c->stats_fd);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1) {
		log_warn("counters of worker=%s", worker_name(c->kind));
		return;
	}
	child_send(telemd, &m, fd);
	close(fd);
}

static void
wire_pages(struct child *c)
{
	struct fabricd *d = c->fabricd;
	struct child *telemd = &d->child[WORKER_TELEMD];

	if (c != telemd) {
		if (child_is_up(telemd))
			send_page(telemd, c);
		return;
	}
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (k != WORKER_TELEMD && d->child[k].generation > 0)
			send_page(telemd, &d->child[k]);
}

void
wire_child(struct child *c)
{
	struct fabricd *d = c->fabricd;
	struct procmsg secret = { .type = PM_SECRET, .secret = d->secret };
	struct procmsg level = { .type = PM_LOG, .log = { (uint8_t)d->log_level, false } };

	/* It may have changed since the worker was started. */
	child_send(c, &level, -1);
	if (c->kind == WORKER_DATAPLANE)
		child_send(c, &secret, -1);
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (worker_table[c->kind].channels & 1u << k && child_is_up(&d->child[k]))
			connect_pair(c, &d->child[k]);
	wire_pages(c);
}

/* One that died tells by its control channel, and is wired up when it is back. */
int
wire_lost(struct child *c, const struct pm_port_lost *m)
{
	struct child *other = &c->fabricd->child[m->kind];

	if ((worker_table[c->kind].channels & 1u << m->kind) == 0)
		return -1;
	if (!child_is_up(other))
		return 0;
	if (!ratelimit_take(&other->rewire_rate, clock_ns())) {
		child_kill(other, "it lost one channel after the other");
		return 0;
	}
	log_warnx("channel %s-%s was lost: a new one", worker_name(c->kind), worker_name(other->kind));
	connect_pair(c, other);
	return 0;
}

void
wire_log_level(struct fabricd *d)
{
	struct procmsg m = { .type = PM_LOG, .log = { (uint8_t)d->log_level, false } };

	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (child_is_up(&d->child[k]))
			child_send(&d->child[k], &m, -1);
}
