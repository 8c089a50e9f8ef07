#include <string.h>

#include "wire/frame.h"

static const char *const type_names[] = {
	[FT_HELLO] = "HELLO", [FT_AUTH] = "AUTH", [FT_SESSION_READY] = "SESSION_READY",
	[FT_OPEN_STREAM] = "OPEN_STREAM", [FT_ACK] = "ACK", [FT_PING] = "PING", [FT_PONG] = "PONG",
	[FT_DATA] = "DATA", [FT_DATA_U] = "DATA", [FT_DATA_UF] = "DATA", [FT_DATA_UFL] = "DATA",
	[FT_ROUTE_UPDATE] = "ROUTE_UPDATE", [FT_STREAM_CREDIT] = "STREAM_CREDIT",
	[FT_NODE_PRESSURE] = "NODE_PRESSURE", [FT_CLOSE_STREAM] = "CLOSE_STREAM",
	[FT_RESET_STREAM] = "RESET_STREAM", [FT_GOAWAY] = "GOAWAY",
};

static const char *const class_names[] = {
	[CLASS_CONTROL] = "control", [CLASS_DNS] = "dns", [CLASS_INTERACTIVE] = "interactive",
	[CLASS_RELIABLE] = "reliable", [CLASS_BULK] = "bulk", [CLASS_DROPPABLE] = "droppable",
};
_Static_assert(sizeof class_names / sizeof class_names[0] == CLASS_COUNT, "a class without a name");

static const char *const reason_names[] = {
	[REASON_NONE] = "none", [REASON_INTERNAL] = "internal", [REASON_PROTOCOL] = "protocol",
	[REASON_VERSION] = "version", [REASON_LIMIT] = "limit", [REASON_TIMEOUT] = "timeout",
	[REASON_SHUTDOWN] = "shutdown", [REASON_DUPLICATE] = "duplicate",
	[REASON_UNREACHABLE] = "unreachable", [REASON_NO_SERVICE] = "no-service",
	[REASON_REFUSED] = "refused", [REASON_IDLE] = "idle", [REASON_PEER_GONE] = "peer-gone",
	[REASON_UNSUPPORTED] = "unsupported",
	[REASON_AUTH_RECORD] = "auth-record", [REASON_AUTH_EXPIRED] = "auth-expired",
	[REASON_AUTH_NOT_YET] = "auth-not-yet", [REASON_AUTH_TENANT] = "auth-tenant",
	[REASON_AUTH_AUTHORITY] = "auth-authority", [REASON_AUTH_NODE] = "auth-node",
	[REASON_AUTH_DELEGATION] = "auth-delegation", [REASON_AUTH_PROOF] = "auth-proof",
	[REASON_AUTH_SELF] = "auth-self", [REASON_AUTH_POLICY] = "auth-policy",
	[REASON_AUTH_TIMEOUT] = "auth-timeout", [REASON_AUTH_RATE] = "auth-rate",
	[REASON_TAMPERED] = "tampered",
	[REASON_TARGET_DOWN] = "target-down", [REASON_TARGET_TIMEOUT] = "target-timeout",
	[REASON_NOT_ALLOWED] = "not-allowed", [REASON_CONNECTION_RESET] = "connection-reset",
	[REASON_NO_KEY] = "no-key", [REASON_MOVED] = "moved", [REASON_NO_ROUTE] = "no-route",
	[REASON_ROUTE_EXPIRED] = "route-expired", [REASON_ROUTE_CLASS] = "route-class",
	[REASON_ROUTE_LIMIT] = "route-limit", [REASON_ROUTE_RATE] = "route-rate", [REASON_HOP_GONE] = "hop-gone",
	[REASON_FENCED] = "fenced", [REASON_REVOKED] = "revoked", [REASON_BETTER] = "better",
};
_Static_assert(sizeof reason_names / sizeof reason_names[0] == REASON_COUNT, "a reason without a name");

static const char *const error_names[] = {
	"a varint is not in its shortest form", "an unknown type that must be understood",
	"a process-only type at a network port", "the length is above the limit",
	"the body ends inside a field", "bytes follow the last field",
	"a field's value is outside its range", "a tag repeats or descends",
	"an unknown tag that must be understood", "a required tag is missing",
	"text that is not printable UTF-8, or not a service name",
	"a type or parameter that this port may not carry",
};
_Static_assert(sizeof error_names / sizeof error_names[0] == -FRAME_E_NOT_HERE, "an error without a name");

/* names[i], or "unknown" when there is none. */
static const char *
name_of(const char *const *names, size_t n, uint64_t i)
{
	return i < n && names[i] != NULL ? names[i] : "unknown";
}

#define NAME_OF(names, i) name_of(names, sizeof names / sizeof names[0], i)

const char *
frame_type_name(uint64_t type)
{
	return NAME_OF(type_names, type);
}

const char *
class_name(unsigned class)
{
	return NAME_OF(class_names, class);
}

int
class_parse(const char *name)
{
	for (int i = 0; i < CLASS_COUNT; i++)
		if (strcmp(name, class_names[i]) == 0)
			return i;
	return -1;
}

const char *
reason_name(uint64_t reason)
{
	return NAME_OF(reason_names, reason);
}

const char *
frame_strerror(int err)
{
	if (err == FRAME_OK)
		return "no error";
	if (err == FRAME_MORE)
		return "the input ends inside a frame";
	return err < 0 ? NAME_OF(error_names, (uint64_t)(-(int64_t)err - 1)) : "unknown";
}
