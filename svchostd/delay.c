#include "svchostd/delay.h"

#define FIRST_US 16u
#define HALVE_AT 1024u

/* Where step i ends: 16, 24, 32, 48, 64, ... */
static uint64_t
step_us(unsigned i)
{
	uint64_t base = (uint64_t)FIRST_US << i / 2;

	return i % 2 == 0 ? base : base + base / 2;
}

void
delay_add(struct delay *d, uint64_t us)
{
	unsigned i = 0;

	while (i < DELAY_STEPS - 1 && us > step_us(i))
		i++;
	d->count[i]++;
	if (++d->n < HALVE_AT)
		return;
	d->n = 0;
	for (i = 0; i < DELAY_STEPS; i++)
		d->n = (uint16_t)(d->n + (d->count[i] /= 2));
}

uint64_t
delay_percentile(const struct delay *d, unsigned percent)
{
	unsigned want = (d->n * percent + 99) / 100, seen = 0;

	if (d->n == 0)
		return 0;
	for (unsigned i = 0; i < DELAY_STEPS; i++)
		if ((seen += d->count[i]) >= want)
			return step_us(i);
	return step_us(DELAY_STEPS - 1);
}
