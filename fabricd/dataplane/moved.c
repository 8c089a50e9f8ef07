#include "fabricd/dataplane/moved.h"

#include <string.h>

/* The ids that an adapter gives are even, and follow on each other. */
static uint16_t *
chain(struct moveds *ms, uint64_t id)
{
	return &ms->chain[id / 2 % MOVED_MAX];
}

struct moved *
moved_find(struct moveds *ms, const struct port *p, uint64_t id)
{
	for (uint16_t at = *chain(ms, id); at != 0; at = ms->ring[at - 1].next)
		if (ms->ring[at - 1].id == id && ms->ring[at - 1].port == p)
			return &ms->ring[at - 1];
	return NULL;
}

static void
link_in(struct moveds *ms, struct moved *m, uint32_t id)
{
	m->id = id;
	m->next = *chain(ms, id);
	*chain(ms, id) = (uint16_t)(m - ms->ring + 1);
}

void
moved_drop(struct moveds *ms, struct moved *m)
{
	uint16_t *at = chain(ms, m->id);

	if (m->id == 0)
		return;
	while (&ms->ring[*at - 1] != m)
		at = &ms->ring[*at - 1].next;
	*at = m->next;
	m->id = 0;
}

void
moved_rename(struct moveds *ms, struct moved *m, uint32_t id)
{
	moved_drop(ms, m);
	link_in(ms, m, id);
}

struct moved *
moved_put(struct moveds *ms, const struct port *p, uint32_t id)
{
	struct moved *m = &ms->ring[ms->n++ % MOVED_MAX];

	moved_drop(ms, m);
	memset(m, 0, sizeof(*m));
	m->port = p;
	link_in(ms, m, id);
	return m;
}

void
moved_forget(struct moveds *ms, const struct port *p)
{
	for (size_t i = 0; i < MOVED_MAX; i++)
		if (ms->ring[i].port == p)
			moved_drop(ms, &ms->ring[i]);
}
