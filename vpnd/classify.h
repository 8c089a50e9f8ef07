/* Which traffic class a packet belongs to: its DSCP when it has one, else what it is. */
#ifndef VPND_CLASSIFY_H
#define VPND_CLASSIFY_H

#include "vpnd/ip.h"
#include "wire/frame.h"

enum traffic_class	classify_packet(const struct ip_packet *ip);

#endif
