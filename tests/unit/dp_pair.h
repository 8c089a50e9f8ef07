/* Two whole dataplanes, a and b, of one authority, on one loop. */
#ifndef TESTS_UNIT_DP_PAIR_H
#define TESTS_UNIT_DP_PAIR_H

#include "dp_node.h"

static struct event_base *base;
static struct sign_key authority;
static struct node a, b;

/* Neither is started. DP_LOG in the environment: with all that they log. */
static void
pair_make(void)
{
	log_setlevel(getenv("DP_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	base = event_base_new();
	ck_assert_int_eq(sign_key_generate(&authority), 0);
	node_init(&a, base, "a", &authority);
	node_init(&b, base, "b", &authority);
}

static void
pair_free(void)
{
	node_free(&a);
	node_free(&b);
	event_base_free(base);
}

#endif
