#include "fabric/pressure.h"

#define VALUES	5u
#define LOWS	3u
#define ROOM_MIN 4096u

uint16_t
pressure_of(uint64_t part, uint64_t whole)
{
	if (whole == 0)
		return 0;
	if (part >= whole)
		return FRAME_PRESSURE_MAX;
	return (uint16_t)((double)part * FRAME_PRESSURE_MAX / (double)whole);
}

static void
values(const struct frame_node_pressure *p, uint16_t v[VALUES])
{
	v[0] = p->queue;
	v[1] = p->cpu;
	v[2] = p->memory;
	v[3] = p->descriptors;
	v[4] = p->loss;
}

bool
pressure_news(struct pressure *p, const struct frame_node_pressure *now)
{
	uint16_t was[VALUES], is[VALUES];
	bool higher = false, lower = false;

	values(&p->told, was);
	values(now, is);
	for (unsigned i = 0; i < VALUES; i++) {
		higher = higher || is[i] >= was[i] + PRESSURE_STEP;
		lower = lower || is[i] + PRESSURE_STEP <= was[i] || (is[i] == 0 && was[i] > 0);
	}
	p->low = lower ? p->low + 1 : 0;
	if (!higher && p->low < LOWS)
		return false;
	p->told = *now;
	p->low = 0;
	return true;
}

uint16_t
pressure_level(const struct frame_node_pressure *p)
{
	uint16_t level = p->queue > p->cpu ? p->queue : p->cpu;

	return p->memory > level ? p->memory : level;
}

uint64_t
pressure_room(uint16_t level, uint64_t room)
{
	if (level < PRESSURE_HIGH)
		return room;
	/* Three quarters where it begins, a tenth at the end. */
	room = room / 1000 * (750 - (level - PRESSURE_HIGH) * 650ull / (FRAME_PRESSURE_MAX - PRESSURE_HIGH));
	return room < ROOM_MIN ? ROOM_MIN : room;
}
