/*
 * The commands about routes: route, relay, path, netcheck, events. Each has options of its own; argv[0] is the command's
 * name. `socket' and `json' are what stood before it. The exit status: 0, 1 it failed or there is no such thing, 2 wrong
 * usage or no fabricd.
 */
#ifndef FABRICCTL_ROUTE_H
#define FABRICCTL_ROUTE_H

#include <stdbool.h>

int	cmd_route(const char *socket, bool json, int argc, char **argv);

#endif
