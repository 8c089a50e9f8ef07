/* Arrays of pointers to things that begin with the id of a node, in the order of these ids. */
#ifndef ROUTED_ORDER_H
#define ROUTED_ORDER_H

#include <stdbool.h>
#include <string.h>

#include "wire/frame.h"

/* The place of node_id among the n pointers of `array', or, when *found is false, where it belongs. */
static inline size_t
order_place(const void *array, size_t n, const uint8_t *node_id, bool *found)
{
	size_t lo = 0, hi = n;

	*found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const uint8_t *id;
		int c;

		memcpy(&id, (const char *)array + mid * sizeof(id), sizeof(id));
		c = memcmp(id, node_id, NODE_ID_LEN);
		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

#endif
