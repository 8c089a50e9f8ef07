/* The compiled policy in memory: shared by policy.c, policy_build.c and policy_text.c, and by nobody else. */
#ifndef FABRIC_POLICY_INT_H
#define FABRIC_POLICY_INT_H

#include "fabric/policy.h"

#define POLICY_VERSION	1
#define POLICY_TIER_MAX	9
#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)
#define ROLES_ALL	((1u << ROLE_COUNT) - 1)

enum { RULE_PASS = 0x01, RULE_QUICK = 0x02, RULE_RELAY = 0x04, RULE_ACROSS = 0x08, RULE_SERVICES = 0x10,
    RULE_CLASSES = 0x20, RULE_KBPS = 0x40, RULE_STREAMS = 0x80, RULE_FLAGS = 0xff };
enum { WHO_ROLES = 0x01, WHO_TIERS = 0x02, WHO_LISTS = 0x04, WHO_FLAGS = 0x7f };

/* The lists of a who; their flags are WHO_LISTS and the bits after it. */
enum who_list { LIST_TENANTS, LIST_NAMES, LIST_IDS, LIST_IN, LIST_NOT_IN, LIST_COUNT };

struct span {		/* of policy.pool */
	uint32_t off, n;
};

struct who {
	uint32_t	roles;		/* 0: any */
	uint8_t		tier_min, tier_max;
	struct span	list[LIST_COUNT];
};

struct rule {
	uint8_t		flags, classes;
	uint32_t	line, kbps, streams;
	struct who	from, to;
	struct span	services;
};

struct table {
	uint16_t	name;
	uint32_t	first, n;	/* of policy.entries */
};

struct policy {
	uint32_t	 nstrings, nids, ntables, nrules, nentries, npool;
	const char	**strings;	/* in chars */
	char		*chars;
	uint8_t		*ids;		/* NODE_ID_LEN each */
	struct table	*tables;
	struct who	*entries;
	struct rule	*rules;
	uint16_t	*order;		/* of rules: the first of this order that matches decides */
	uint16_t	*pool;		/* indices of strings, ids, tables */
};

#endif
