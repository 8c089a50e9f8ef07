/*
 * fabricctl ping --layer: which layer towards a node works and which does not. Prints a row for each, the lowest first: the
 * first that is not well is where to look. The exit status: 0 the node answers, 1 it does not, 2 no fabricd.
 */
#ifndef FABRICCTL_LAYERS_H
#define FABRICCTL_LAYERS_H

#include <stdbool.h>
#include <stdint.h>

int	cmd_ping_layers(const char *socket, bool json, const char *node, uint64_t count);

#endif
