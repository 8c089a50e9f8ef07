/* What fabricctl(8) sees of the streams that end here. */
#ifndef SVCHOSTD_SHOW_H
#define SVCHOSTD_SHOW_H

#include "proc/worker.h"
#include "svchostd/hub.h"
#include "svchostd/nodes.h"

/* Answers the request "ends": a row for each pump, as many as fit. */
void	show_ends(struct worker *, struct hub *, const struct nodes *, uint64_t request);

/* A node as people call it: what the configuration says, else what it has proven, else its id. */
const char *show_node(const struct nodes *, const uint8_t *node_id, char buf[2 * NODE_ID_LEN + 1]);

#endif
