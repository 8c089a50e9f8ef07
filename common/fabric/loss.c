#include "fabric/loss.h"

/* The whole number nearest to the newest one, as RFC 9000, appendix A.3 has it. */
static uint64_t
whole(const struct loss *l, uint32_t seq)
{
	return l->newest + (uint64_t)(int64_t)(int32_t)(seq - (uint32_t)l->newest);
}

static void
newest_set(struct loss *l, uint64_t n)
{
	uint64_t by = n - l->newest;

	l->seen = by < LOSS_WINDOW ? l->seen << by | 1 : 1;
	l->newest = n;
	l->expected += by;
	l->received++;
}

enum loss_verdict
loss_seen(struct loss *l, uint32_t seq)
{
	uint64_t n, behind;

	if (!l->any) {
		/* Far from 0, so that one before the first is not below it. */
		*l = (struct loss){ .any = true, .newest = 1ull << 32 | seq, .seen = 1, .received = 1, .expected = 1 };
		return LOSS_NEW;
	}
	n = whole(l, seq);
	if (n > l->newest) {
		newest_set(l, n);
		return LOSS_NEW;
	}
	behind = l->newest - n;
	if (behind >= LOSS_WINDOW) {
		l->late++;
		return LOSS_LATE;
	}
	if (l->seen >> behind & 1) {
		l->duplicates++;
		return LOSS_DUPLICATE;
	}
	l->seen |= 1ull << behind;
	l->received++;
	if (behind >= l->expected)	/* before the one that came first */
		l->expected = behind + 1;
	return LOSS_NEW;
}

uint64_t
loss_missing(const struct loss *l)
{
	return l->expected > l->received ? l->expected - l->received : 0;
}
