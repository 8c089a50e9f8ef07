#include <string.h>

#include "wire/record.h"

static const char *const error_names[] = {
	"not a record", "a version that is not known", "a kind that is not known",
	"truncated, or longer than a record may be", "a field that its kind does not have, or outside its range",
	"a required field is missing", "its list of fields is malformed", "a name or tenant that is not one",
	"a validity that ends before it starts or after the year 9999", "a malformed prefix", "bytes follow the record",
};
_Static_assert(sizeof error_names / sizeof error_names[0] == RECORD_E_MAGIC - RECORD_E_TRAILING + 1,
    "an error without a name");

static const char *const kind_names[] = {
	[RECORD_REQUEST] = "request", [RECORD_MEMBERSHIP] = "membership", [RECORD_DELEGATION] = "delegation",
	[RECORD_SERVICE] = "service", [RECORD_NODE] = "node", [RECORD_TICKET] = "ticket", [RECORD_FENCE] = "fence",
	[RECORD_ROUTE_REQUEST] = "route request", [RECORD_RECEIPT] = "receipt", [RECORD_POLICY] = "policy",
	[RECORD_REVOCATION] = "revocation",
};
_Static_assert(sizeof kind_names / sizeof kind_names[0] == RECORD_KIND_COUNT, "a kind without a name");

static const char *const purpose_names[] = {
	[PURPOSE_SESSION] = "session", [PURPOSE_E2E] = "e2e", [PURPOSE_ROUTE] = "route", [PURPOSE_TICKET] = "ticket",
};
_Static_assert(sizeof purpose_names / sizeof purpose_names[0] == PURPOSE_COUNT, "a purpose without a name");

static const char *const role_names[] = {
	[ROLE_MOBILE_EDGE] = "mobile-edge", [ROLE_ENTRY] = "entry", [ROLE_RELAY] = "relay", [ROLE_EXIT] = "exit",
	[ROLE_SERVICE_HOST] = "service-host", [ROLE_CONTROL_PLANE] = "control-plane",
	[ROLE_ROUTE_COORDINATOR] = "route-coordinator", [ROLE_STORAGE] = "storage",
	[ROLE_OBSERVER] = "observer", [ROLE_UPDATE_CACHE] = "update-cache",
};
_Static_assert(sizeof role_names / sizeof role_names[0] == ROLE_COUNT, "a role without a name");

const char *
record_strerror(int err)
{
	if (err == RECORD_OK)
		return "no error";
	return err <= RECORD_E_MAGIC && err >= RECORD_E_TRAILING ? error_names[RECORD_E_MAGIC - err] : "unknown";
}

const char *
record_kind_name(unsigned kind)
{
	return kind > 0 && kind < RECORD_KIND_COUNT ? kind_names[kind] : "unknown";
}

const char *
record_purpose_name(unsigned purpose)
{
	return purpose > 0 && purpose < PURPOSE_COUNT ? purpose_names[purpose] : "unknown";
}

const char *
role_name(unsigned role)
{
	return role < ROLE_COUNT ? role_names[role] : "unknown";
}

int
role_parse(const char *name)
{
	for (int i = 0; i < ROLE_COUNT; i++)
		if (strcmp(name, role_names[i]) == 0)
			return i;
	return -1;
}
