#include "fabric/turn.h"

#include <string.h>

#define CONTROL_BURST	(64ll << 10)	/* bytes that control may go first; it earns what the others send */

/* Control's counts only when it has no bytes left that go first: it then shares like any other. */
const uint8_t turn_usual[CLASS_COUNT] = {
	[CLASS_CONTROL] = 4, [CLASS_DNS] = 4, [CLASS_INTERACTIVE] = 8,
	[CLASS_RELIABLE] = 4, [CLASS_BULK] = 2, [CLASS_DROPPABLE] = 1,
};

void
turn_init(struct turn *t, const uint8_t *weight)
{
	memset(t, 0, sizeof(*t));
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		TAILQ_INIT(&t->list[c]);
	turn_weigh(t, weight);
	t->control_tokens = CONTROL_BURST;
}

void
turn_weigh(struct turn *t, const uint8_t *weight)
{
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		t->weight[c] = weight == NULL || weight[c] == 0 ? turn_usual[c] : weight[c];
}

void
turn_entry_init(struct turn_entry *e, unsigned class)
{
	memset(e, 0, sizeof(*e));
	e->class = (uint8_t)class;
}

void
turn_add(struct turn *t, struct turn_entry *e)
{
	if (e->listed || e->blocked)
		return;
	e->listed = true;
	/* A debt stays: who sends little and often has no advantage over who sends on and on. */
	if (e->deficit > 0)
		e->deficit = 0;
	TAILQ_INSERT_TAIL(&t->list[e->class], e, link);
	t->n++;
}

void
turn_remove(struct turn *t, struct turn_entry *e)
{
	if (!e->listed)
		return;
	TAILQ_REMOVE(&t->list[e->class], e, link);
	e->listed = false;
	t->n--;
}

void
turn_block(struct turn *t, struct turn_entry *e)
{
	turn_remove(t, e);
	e->blocked = true;
}

void
turn_unblock(struct turn_entry *e)
{
	e->blocked = false;
}

/* The first of a class whose turn is not used up. */
static struct turn_entry *
class_next(struct turn *t, unsigned c)
{
	struct turn_entry *e;

	while ((e = TAILQ_FIRST(&t->list[c]))->deficit <= 0) {
		e->deficit += TURN_QUANTUM;
		if (e->deficit > 0)
			break;
		TAILQ_REMOVE(&t->list[c], e, link);
		TAILQ_INSERT_TAIL(&t->list[c], e, link);
	}
	return e;
}

static void
round_start(struct turn *t)
{
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		int quantum = t->weight[c] * TURN_CLASS_QUANTUM;

		t->deficit[c] += quantum;
		if (t->deficit[c] > quantum)
			t->deficit[c] = quantum;
	}
}

struct turn_entry *
turn_next(struct turn *t)
{
	return turn_next_upto(t, CLASS_COUNT - 1);
}

struct turn_entry *
turn_next_upto(struct turn *t, unsigned class)
{
	bool any = false;

	for (unsigned c = 0; c <= class; c++)
		any = any || !TAILQ_EMPTY(&t->list[c]);
	if (!any)
		return NULL;
	if (!TAILQ_EMPTY(&t->list[CLASS_CONTROL]) && t->control_tokens > 0)
		return class_next(t, CLASS_CONTROL);
	for (;;) {
		for (unsigned c = 0; c <= class; c++)
			if (!TAILQ_EMPTY(&t->list[c]) && t->deficit[c] > 0)
				return class_next(t, c);
		round_start(t);
	}
}

void
turn_sent(struct turn *t, struct turn_entry *e, size_t bytes, bool more)
{
	if (e->class == CLASS_CONTROL && t->control_tokens > 0)
		t->control_tokens -= (int64_t)bytes;
	else
		t->deficit[e->class] -= (int)bytes;
	if (e->class != CLASS_CONTROL)
		t->control_tokens += (int64_t)bytes;
	if (t->control_tokens > CONTROL_BURST)
		t->control_tokens = CONTROL_BURST;
	e->deficit -= (int)bytes;
	if (!e->listed)
		return;
	if (!more) {
		turn_remove(t, e);
	} else if (e->deficit <= 0) {
		TAILQ_REMOVE(&t->list[e->class], e, link);
		TAILQ_INSERT_TAIL(&t->list[e->class], e, link);
	}
}
