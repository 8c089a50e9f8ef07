/* What uses the streams: conversations of all kinds, whose every byte is known beforehand. */
#include <string.h>

#include "tests/sim/sim.h"

/* The byte at `off' of what side k of a conversation writes: no part of it looks like another. */
static uint8_t
pattern(const struct conv *c, unsigned k, uint64_t off)
{
	uint64_t x = (off + c->salt + k * 0x5851f42d4c957f2dull) * 0x9e3779b97f4a7c15ull;

	return (uint8_t)(x >> 56);
}

static uint64_t
size_pick(struct sim *sim)
{
	switch (sim_random(sim, 20)) {
	case 0: case 1:
		return 0;
	case 2: case 3: case 4: case 5: case 6:
		return sim_random(sim, 100);
	case 7: case 8: case 9: case 10: case 11: case 12: case 13:
		return sim_random(sim, 20000);
	case 19:
		return sim_random(sim, 1500000);
	default:
		return sim_random(sim, 200000);
	}
}

static uint8_t
reader_pick(struct sim *sim)
{
	switch (sim_random(sim, 10)) {
	case 0:
		return READ_NEVER;
	case 1: case 2:
		return READ_SLOW;
	default:
		return READ_FAST;
	}
}

static void
conv_make(struct sim *sim, unsigned i)
{
	struct conv *c = &sim->conv[i];
	unsigned from = (unsigned)sim_random(sim, sim->nnodes), to = (unsigned)sim_random(sim, sim->nnodes - 1);

	c->sim = sim;
	c->index = i;
	c->class = (uint8_t)sim_random(sim, CLASS_COUNT);
	c->reliable = !sim_chance(sim, 150);
	c->salt = sim_random(sim, UINT64_MAX);
	c->start_ns = sim_random(sim, sim->conf.calm_ns);
	c->gap_ns = MS + sim_random(sim, 30 * MS);
	for (unsigned k = 0; k < STREAM_TOKEN_LEN; k++)
		c->token[k] = (uint8_t)sim_random(sim, 256);
	for (unsigned k = 0; k < 2; k++) {
		struct use *u = &c->use[k];

		u->conv = c;
		u->index = k;
		u->node = &sim->node[k == 0 ? from : (to + (to >= from))];
		u->reader = reader_pick(sim);
		u->target = size_pick(sim);
		u->piece = 1 + (size_t)sim_random(sim, 30000);
		u->answers = k == 1 && sim_chance(sim, 400);
		if (sim_chance(sim, 50))
			u->abort_at = 1 + sim_random(sim, 100000);
	}
	sim_post(sim, (struct event){ .type = EV_START, .at_ns = c->start_ns, .p = c });
}

void
app_make(struct sim *sim)
{
	sim->nconvs = sim->conf.wide ? 1 : 1 + (unsigned)sim_random(sim, sim_chance(sim, 300) ? CONVS_MAX : 10);
	for (unsigned i = 0; i < sim->nconvs; i++)
		conv_make(sim, i);
	if (!sim->conf.wide)
		return;
	sim->conv[0].reliable = true;
	for (unsigned k = 0; k < 2; k++) {
		sim->conv[0].use[k].reader = READ_FAST;
		sim->conv[0].use[k].abort_at = 0;
		sim->conv[0].use[k].target = k == 0 ? WIDE_BYTES : 0;
		sim->conv[0].use[k].piece = 30000;
	}
}

static void
timer(struct use *u, uint64_t in_ns)
{
	if (u->timer)
		return;
	u->timer = true;
	sim_post(u->conv->sim, (struct event){ .type = EV_APP, .at_ns = u->conv->sim->now_ns + in_ns, .p = u });
}

void
app_start(struct conv *c)
{
	struct use *u = &c->use[0];
	uint64_t reason;

	if (!u->node->adapter_up) {
		u->finished = true;
		return;
	}
	u->begun = true;
	u->progress_ns = c->sim->now_ns;
	u->s = streams_open(&u->node->streams, c->token, c->class, c->reliable, u, sim_local(u->node), &reason);
	if (u->s == NULL) {
		u->finished = true;
		u->reason = reason;
		if (c->sim->conf.plenty)
			sim_fail(c->sim, "refused though there is memory: %s", reason_name(reason));
		return;
	}
	node_attach(u);
	app_run(u);
	node_wake(u->node);
}

/* --- reading and writing --- */

static void
finish(struct use *u)
{
	u->finished = true;
	stream_release(u->s, sim_local(u->node));
}

static void
at_end(struct use *u)
{
	struct use *other = &u->conv->use[1 - u->index];

	u->eof = true;
	if (!other->shut || u->read != other->wrote)
		sim_fail(u->conv->sim, "bytes: stream %u ends after %llu of %llu bytes, shut %d", u->conv->index,
		    (unsigned long long)u->read, (unsigned long long)other->wrote, other->shut);
}

static ssize_t
read_some(struct use *u, size_t n)
{
	uint8_t buf[16384];
	ssize_t k = stream_read(u->s, buf, n < sizeof(buf) ? n : sizeof(buf), sim_local(u->node));

	for (ssize_t i = 0; i < k; i++) {
		if (buf[i] == pattern(u->conv, 1 - u->index, u->read + (uint64_t)i))
			continue;
		sim_fail(u->conv->sim, "bytes: stream %u side %u byte %llu is another", u->conv->index, u->index,
		    (unsigned long long)(u->read + (uint64_t)i));
		return 0;
	}
	if (k > 0) {
		u->read += (uint64_t)k;
		u->conv->sim->bytes_read += (uint64_t)k;
		u->progress_ns = u->conv->sim->now_ns;
	} else if (k == -1 && u->s->state != STREAM_GONE) {
		at_end(u);
	}
	return k;
}

static void
use_read(struct use *u)
{
	if (u->eof || u->reader == READ_NEVER)
		return;
	if (u->reader == READ_SLOW) {
		if (!u->timer && read_some(u, 3000) != -1)
			timer(u, 20 * MS);
		return;
	}
	while (read_some(u, 16384) > 0)
		;
}

static bool
write_some(struct use *u)
{
	uint8_t buf[32768];
	uint64_t left = u->target - u->wrote;
	size_t n = left < u->piece ? (size_t)left : u->piece;
	ssize_t k;

	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(u->conv, u->index, u->wrote + i);
	k = stream_write(u->s, buf, n, sim_local(u->node));
	if (k > 0) {
		u->wrote += (uint64_t)k;
		u->progress_ns = u->conv->sim->now_ns;
	}
	return k == (ssize_t)n;
}

static void
use_write(struct use *u)
{
	if (u->shut || (u->answers && !u->eof))
		return;
	while (u->wrote < u->target)
		if (!write_some(u))
			return;
	u->shut = true;
	stream_shut(u->s, sim_local(u->node));
}

static void
units_run(struct use *u)
{
	uint8_t unit[1200], frame[1300];
	size_t len = 16 + (u->units_sent * 37) % 1100, n;

	if (u->index != 0 || u->timer)
		return;
	if (u->units_sent * 1000 >= u->target) {
		stream_shut(u->s, sim_local(u->node));
		finish(u);
		return;
	}
	for (size_t i = 0; i < len; i++)
		unit[i] = pattern(u->conv, 0, u->units_sent * 4096 + i);
	n = stream_unit(u->s, unit, len, frame, sizeof(frame), sim_local(u->node));
	if (n > 0) {
		port_queue(&u->node->local.end[1], frame, n, u->s->id);
		u->units_sent++;
	}
	u->progress_ns = u->conv->sim->now_ns;
	timer(u, u->conv->gap_ns);
}

/* Its packet number says which it is: what is in it must be that. */
void
app_unit(struct use *u, const struct frame_data *d)
{
	for (size_t i = 0; i < d->payload_len; i++) {
		if (d->payload[i] != pattern(u->conv, 1 - u->index, d->seq * 4096 + i)) {
			sim_fail(u->conv->sim, "bytes: unit %llu is another", (unsigned long long)d->seq);
			return;
		}
	}
	u->units_new++;
	u->progress_ns = u->conv->sim->now_ns;
	if (u->units_new > u->conv->use[1 - u->index].units_sent)
		sim_fail(u->conv->sim, "twice: more units came than were sent");
}

void
app_run(struct use *u)
{
	if (u->s == NULL || u->finished || u->s->state == STREAM_GONE)
		return;
	if (!u->conv->reliable) {
		units_run(u);
		return;
	}
	use_read(u);
	use_write(u);
	if (u->abort_at != 0 && u->read + u->wrote >= u->abort_at && !u->conv->sim->calm) {
		u->aborted = u->conv->sim->disturbed = true;
		stream_abort(u->s, REASON_REFUSED, sim_local(u->node));
		finish(u);
	} else if (u->eof && u->shut) {
		u->conv->sim->completed++;
		finish(u);
	}
}

/* Whether a stream may end with this reason, as things are. */
static bool
reason_fits(const struct use *u, uint64_t reason)
{
	const struct sim *sim = u->conv->sim;

	if (reason == REASON_PROTOCOL || reason == REASON_INTERNAL || reason == REASON_IDLE)
		return false;
	if (!u->conv->reliable && reason == REASON_NONE)
		return true;
	if (sim->conf.faults || u->conv->use[1 - u->index].aborted)
		return true;
	return reason == REASON_LIMIT && !sim->conf.plenty;
}

void
app_event(struct use *u, unsigned events)
{
	struct sim *sim = u->conv->sim;

	if (events & STREAM_EV_END) {
		u->reason = u->s->reason;
		sim->resets++;
		if (u->conv->reliable)
			sim->disturbed = true;
		sim_say(sim, "stream %u side %u ends: %s", u->conv->index, u->index, reason_name(u->reason));
		if (!reason_fits(u, u->reason))
			sim_fail(sim, "reason: stream %u side %u ends with %s", u->conv->index, u->index,
			    reason_name(u->reason));
		finish(u);
		return;
	}
	if (events & STREAM_EV_LEG)
		node_attach(u);
	app_run(u);
}

void
app_gone(void *arg)
{
	struct use *u = arg;

	u->s = NULL;
}

/* The process is gone with its ends of streams. */
void
app_crashed(struct node *n)
{
	for (unsigned i = 0; i < n->sim->nconvs; i++) {
		for (unsigned k = 0; k < 2; k++) {
			struct use *u = &n->sim->conv[i].use[k];

			if (u->node != n || u->s == NULL)
				continue;
			u->crashed = u->crashed || !u->finished;
			u->finished = true;
		}
	}
}

/* --- the end --- */

static bool
use_over(const struct use *u)
{
	if (u->finished)
		return true;
	return u->index == 1 && !u->begun && u->conv->use[0].finished;
}

bool
app_over(const struct sim *sim)
{
	for (unsigned i = 0; i < sim->nconvs; i++)
		if (!use_over(&sim->conv[i].use[0]) || !use_over(&sim->conv[i].use[1]))
			return false;
	return true;
}

/* When all is calm, what is not over must move. */
void
app_watch(struct sim *sim)
{
	for (unsigned i = 0; i < sim->nconvs; i++) {
		struct use *u = sim->conv[i].use;

		if (u[0].finished && u[1].finished)
			continue;
		for (unsigned k = 0; k < 2; k++)
			if (u[k].begun && !u[k].finished && sim->now_ns > u[k].progress_ns + 60 * SEC &&
			    sim->now_ns > u[1 - k].progress_ns + 60 * SEC)
				sim_fail(sim, "deadlock: stream %u side %u, %llu of %llu written, %llu read, state %s leg %s", i,
				    k, (unsigned long long)u[k].wrote, (unsigned long long)u[k].target,
				    (unsigned long long)u[k].read, stream_state_name(u[k].s->state),
				    stream_leg_name(u[k].s->leg));
	}
	if (!app_over(sim))
		sim_post(sim, (struct event){ .type = EV_WATCH, .at_ns = sim->now_ns + 5 * SEC });
}
