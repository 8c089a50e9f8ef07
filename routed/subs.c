#include "routed/subs.h"

#include <stdlib.h>
#include <string.h>

bool
subs_has(const struct subs *s, const uint8_t *node_id)
{
	for (size_t i = 0; i < s->n; i++)
		if (memcmp(s->ids[i], node_id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

void
subs_add(struct subs *s, const uint8_t *node_id)
{
	if (subs_has(s, node_id) || (s->ids == NULL && (s->ids = calloc(SUBS_MAX, NODE_ID_LEN)) == NULL))
		return;
	if (s->n == SUBS_MAX) {
		memmove(s->ids[0], s->ids[1], (SUBS_MAX - 1) * NODE_ID_LEN);
		s->n--;
	}
	memcpy(s->ids[s->n++], node_id, NODE_ID_LEN);
}

void
subs_free(struct subs *s)
{
	free(s->ids);
	*s = (struct subs){ NULL, 0 };
}
