/* fabricctl record: prints any record, and says whether it verifies. */
#include "fabricctl/identity.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hex.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"
#include "fabricctl/contents.h"

static const char usage[] = "usage: fabricctl record file [--authority file] [--json]\n";

#define KEY_HEX_LEN (2 * RECORD_KEY_LEN + 1)
#define DATE_LEN sizeof("9999-12-31T23:59:59Z")
#define PREFIX_LEN (INET6_ADDRSTRLEN + sizeof("/128"))

/* What was found out about one record. */
struct verdict {
	bool		 signature;	/* good */
	const char	*time;		/* "valid", "expired", "not yet valid" */
	const char	*authority;	/* "not checked", "matches", "differs" */
	bool		 verifies;	/* all that the exit status says */
};

static const char *
time_word(const struct record *r, uint64_t now)
{
	if (now >= r->not_after)
		return "expired";
	return r->not_before > now && r->not_before - now > CLOCK_SKEW_S ? "not yet valid" : "valid";
}

static struct verdict
judge(const struct record *r, const uint8_t *authority)
{
	struct verdict v = { .signature = record_verify(r) == 0, .time = time_word(r, clock_wall()) };
	bool match = authority != NULL && memcmp(r->issuer, authority, RECORD_KEY_LEN) == 0;

	v.authority = authority == NULL ? "not checked" : match ? "matches" : "differs";
	v.verifies = v.signature && (authority == NULL || match);
	return v;
}

/* A decoded record's times are at most RECORD_TIME_MAX: the year has four digits. */
static const char *
date_text(char out[DATE_LEN], uint64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, DATE_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, DATE_LEN, "?");
	return out;
}

static const char *
prefix_text(char out[PREFIX_LEN], const struct record_prefix *p)
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(p->family == 6 ? AF_INET6 : AF_INET, p->addr, addr, sizeof(addr));
	snprintf(out, PREFIX_LEN, "%s/%u", addr, p->len);
	return out;
}

/* The names of the roles, each between quotes `q`; a bit without a name as "role-N". */
static void
print_roles(uint32_t roles, const char *q)
{
	for (unsigned role = 0, n = 0; role < 32; role++) {
		if ((roles & 1u << role) == 0)
			continue;
		if (role < ROLE_COUNT)
			printf("%s%s%s%s", n++ > 0 ? "," : "", q, role_name(role), q);
		else
			printf("%s%srole-%u%s", n++ > 0 ? "," : "", q, role, q);
	}
}

static void
print_membership(const struct record *r)
{
	char text[PREFIX_LEN];

	printf("tenant      %s\nroles       ", r->tenant);
	print_roles(r->roles, "");
	printf("\ntier        %u\n", r->tier);
	for (size_t i = 0; i < r->nprefixes; i++)
		printf("address     %s\n", prefix_text(text, &r->prefixes[i]));
}

/* The key of the node that it is about: of a worker's key or a service, its issuer's. */
static const uint8_t *
node_key(const struct record *r)
{
	return r->kind == RECORD_DELEGATION || r->kind == RECORD_SERVICE ? r->issuer : r->subject;
}

/* False: its content is malformed. */
static bool
print_text(const struct record *r, const struct verdict *v)
{
	char hex[KEY_HEX_LEN], date[DATE_LEN];
	uint8_t id[NODE_ID_LEN];
	bool sound;

	node_id_from_key(id, node_key(r));
	printf("kind        %s\n", record_kind_name(r->kind));
	if (r->name[0] != '\0')
		printf("name        %s\n", r->name);
	if (r->kind < RECORD_POLICY)
		printf("node id     %s\n", hex_encode(hex, id, sizeof(id)));
	printf("subject     %s\n", hex_encode(hex, r->subject, RECORD_KEY_LEN));
	printf("issuer      %s\n", hex_encode(hex, r->issuer, RECORD_KEY_LEN));
	if (r->kind == RECORD_MEMBERSHIP)
		print_membership(r);
	if (r->kind == RECORD_DELEGATION)
		printf("purpose     %s\n", record_purpose_name(r->purpose));
	if (r->kind == RECORD_SERVICE)
		printf("class       %s\n", class_name(r->class));
	sound = contents_text(r);
	printf("serial      %" PRIu64 "\n", r->serial);
	printf("not before  %s\n", date_text(date, r->not_before));
	printf("not after   %s\n", date_text(date, r->not_after));
	printf("time        %s\n", v->time);
	printf("authority   %s\n", v->authority);
	printf("signature   %s\n", v->signature ? "good" : "bad");
	if (r->params_skipped)
		printf("fields      some are not known to this version and are not shown\n");
	return sound;
}

static void
json_membership(const struct record *r)
{
	char text[PREFIX_LEN];

	printf("\"tenant\":\"%s\",\"roles\":[", r->tenant);
	print_roles(r->roles, "\"");
	printf("],\"tier\":%u,\"addresses\":[", r->tier);
	for (size_t i = 0; i < r->nprefixes; i++)
		printf("%s\"%s\"", i > 0 ? "," : "", prefix_text(text, &r->prefixes[i]));
	printf("],");
}

/* Names and tenants are [a-z0-9.-] once decoded: no text here needs escaping. */
static bool
print_json(const struct record *r, const struct verdict *v)
{
	char hex[KEY_HEX_LEN], date[DATE_LEN];
	uint8_t id[NODE_ID_LEN];
	bool sound;

	node_id_from_key(id, node_key(r));
	printf("{\"version\":1,\"kind\":\"%s\",", record_kind_name(r->kind));
	if (r->name[0] != '\0')
		printf("\"name\":\"%s\",", r->name);
	if (r->kind < RECORD_POLICY)
		printf("\"node_id\":\"%s\",", hex_encode(hex, id, sizeof(id)));
	printf("\"subject\":\"%s\",", hex_encode(hex, r->subject, RECORD_KEY_LEN));
	printf("\"issuer\":\"%s\",", hex_encode(hex, r->issuer, RECORD_KEY_LEN));
	if (r->kind == RECORD_MEMBERSHIP)
		json_membership(r);
	if (r->kind == RECORD_DELEGATION)
		printf("\"purpose\":\"%s\",", record_purpose_name(r->purpose));
	if (r->kind == RECORD_SERVICE)
		printf("\"class\":\"%s\",", class_name(r->class));
	sound = contents_json(r);
	printf("\"serial\":%" PRIu64 ",\"not_before\":\"%s\",", r->serial, date_text(date, r->not_before));
	printf("\"not_after\":\"%s\",\"time\":\"%s\",", date_text(date, r->not_after), v->time);
	printf("\"authority\":\"%s\",\"signature\":\"%s\",\"verifies\":%s}\n", v->authority,
	    v->signature ? "good" : "bad", v->verifies && sound ? "true" : "false");
	return sound;
}

static int
show(const char *path, const char *authority, bool json)
{
	static uint8_t buf[RECORD_LARGE_MAX];
	uint8_t key[SIGN_PUBLIC_LEN];
	char err[KEYFILE_ERR_MAX];
	struct verdict v;
	struct record r;
	int len, e;

	if (authority != NULL && keyfile_read_public(key, authority, err) == -1)
		return identity_fail("%s", err);
	if ((len = keyfile_read_record(buf, sizeof(buf), path, err)) == -1)
		return identity_fail("%s", err);
	if ((e = record_decode(&r, buf, (size_t)len)) != RECORD_OK)
		return identity_fail("%s: %s", path, record_strerror(e));
	v = judge(&r, authority != NULL ? key : NULL);
	return (json ? print_json : print_text)(&r, &v) && v.verifies ? CMD_OK : CMD_FAILED;
}

int
cmd_record(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "authority", required_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	const char *authority = NULL;
	bool json = false;
	int c;

	optind = 0;		/* getopt_long() begins anew, whatever main() read before */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		switch (c) {
		case 'a':
			authority = optarg;
			break;
		case 'j':
			json = true;
			break;
		default:
			return identity_bad_option(argv, usage);
		}
	}
	if (optind != argc - 1)
		return identity_usage(usage);
	return show(argv[optind], authority, json);
}
