/* fabricctl(8): what an operator sees and says. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "fabricctl/client.h"
#include "fabricctl/connect.h"
#include "fabricctl/identity.h"
#include "fabricctl/layers.h"
#include "fabricctl/route.h"
#include "fabricctl/rows.h"
#include "fabricctl/top.h"

#ifndef FABRIC_VERSION
#define FABRIC_VERSION "unknown"
#endif

#define WAIT_S		20	/* a little more than fabricd itself waits for a worker */
#define PING_WAIT_S	3	/* more for each */
#define STOP_WAIT_S	10

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_UNUSABLE = 2 };

static const char usage_text[] =
	"usage: fabricctl [-s socket] [--json] command\n"
	"  status                     one line a peer\n"
	"  show sessions|streams|workers|config|counters|peers|vpn|services|served|routes|fences\n"
	"  stream top [-n count] [-d seconds]  what the streams do now\n"
	"  health                     exit status 0 when all is well\n"
	"  ping node [-c count] [--layer]\n"
	"                             round trips to a node over the fabric; which layer works\n"
	"  connect service[@node]     stdin and stdout to a service; an ssh ProxyCommand\n"
	"  route explain node | history [node] | fence ...  ways to a node, why this one, what happened\n"
	"  path trace node | netcheck | events [-f]  hops; how this node stands; what happens\n"
	"  relay usage [--by tenant,class,neighbour]  what this node relayed\n"
	"  reload | stop | log level  level is error, warn, info or debug\n"
	"  authority | node | record  keys and certificates, see fabricctl(8)\n"
	"  policy check|test|sign|show|why  who may reach what, see policy.conf(5)\n";

struct options {
	const char *socket;
	bool	    json;
	uint64_t    count;
	unsigned    delay_ms;
	bool	    layer;
};

struct command {
	const char *name;
	int	  (*run)(const struct options *, int argc, char **argv);
};

static int
usage(void)
{
	fputs(usage_text, stderr);
	return EXIT_UNUSABLE;
}

static void
keep_row(const struct frame_bytes *row, void *arg)
{
	rows_add(arg, row);
}

/* As fabricd -nv prints it, indented by tabs. */
static void
print_config(const struct rows *r)
{
	char buf[VALUE_MAX];
	struct row_field f;

	for (size_t i = 0; i < r->n; i++) {
		if (!row_find(&r->list[i], "line", &f))
			continue;
		for (; f.str.len > 0 && *f.str.p == '\t'; f.str.p++, f.str.len--)
			putchar('\t');
		puts(table_value(buf, &f));
	}
}

static int
say_end(int status, const char *text)
{
	if (status != EXIT_OK && text[0] != '\0')
		fprintf(stderr, "fabricctl: %s\n", text);
	return status;
}

/* One request, its rows as a table or as JSON. */
static int
ask(const struct options *o, const char *name, const char *command, const char *argument)
{
	struct client *c = client_open(o->socket);
	struct rows rows = { .n = 0 };
	char text[PM_TEXT_MAX + 1];
	int status;

	if (c == NULL)
		return EXIT_UNUSABLE;
	status = client_request(c, command, argument, 0, WAIT_S, keep_row, &rows, text);
	if (status == 0 && rows.full)
		status = 1;
	if (status == -1)
		status = EXIT_UNUSABLE;
	else if (o->json)
		json_print(stdout, name, &rows, status, text);
	else if (strcmp(command, "config") == 0)
		print_config(&rows);
	else
		table_print(stdout, &rows);
	if (!o->json)
		say_end(status, text);
	if (rows.full)
		fprintf(stderr, "fabricctl: the answer was too long: some rows are not shown\n");
	rows_free(&rows);
	client_close(c);
	return status;
}

static int
run_status(const struct options *o, int argc, char **argv)
{
	(void)argv;
	return argc == 1 ? ask(o, "status", "status", NULL) : usage();
}

static int
run_show(const struct options *o, int argc, char **argv)
{
	static const char *const things[] = {
		"sessions", "workers", "config", "counters", "peers", "vpn", "services", "served", "routes", "fences",
		"nodes",
	};

	if (argc != 2)
		return usage();
	if (strcmp(argv[1], "streams") == 0)
		return cmd_streams(o->socket, o->json);
	for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++)
		if (strcmp(argv[1], things[i]) == 0)
			return ask(o, argv[1], argv[1], NULL);
	fprintf(stderr, "fabricctl: show: unknown word \"%s\"\n", argv[1]);
	return usage();
}

static int
run_stream(const struct options *o, int argc, char **argv)
{
	const struct top_options top = { o->socket, o->json, o->count, o->delay_ms == 0 ? 1000 : o->delay_ms };

	if (argc != 2 || strcmp(argv[1], "top") != 0)
		return usage();
	return cmd_top(&top);
}

static int
run_reload(const struct options *o, int argc, char **argv)
{
	(void)argv;
	return argc == 1 ? ask(o, "reload", "reload", NULL) : usage();
}

static int
run_log(const struct options *o, int argc, char **argv)
{
	enum log_level level;

	if (argc != 2)
		return usage();
	if (log_level_parse(argv[1], &level) == -1) {
		fprintf(stderr, "fabricctl: log: unknown level \"%s\"\n", argv[1]);
		return usage();
	}
	return ask(o, "log", "log", argv[1]);
}

static int
run_stop(const struct options *o, int argc, char **argv)
{
	struct client *c;
	struct rows rows = { .n = 0 };
	char text[PM_TEXT_MAX + 1];
	int status;

	(void)argv;
	if (argc != 1)
		return usage();
	if ((c = client_open(o->socket)) == NULL)
		return EXIT_UNUSABLE;
	status = client_request(c, "stop", NULL, 0, WAIT_S, keep_row, &rows, text);
	if (status == EXIT_OK && !client_wait_end(c, STOP_WAIT_S)) {
		snprintf(text, sizeof(text), "fabricd has not ended within %d seconds", STOP_WAIT_S);
		status = EXIT_FAILED;
	}
	if (status == -1)
		status = EXIT_UNUSABLE;
	else if (o->json)
		json_print(stdout, "stop", &rows, status, text);
	else
		say_end(status, text);
	rows_free(&rows);
	client_close(c);
	return status;
}

/* --- ping ----------------------------------------------------------------------------------------- */

struct pinging {
	struct rows rows;
	bool	    json;
};

static void
print_ping(const struct frame_bytes *row)
{
	char value[VALUE_MAX], label[ROW_NAME_MAX + 1];
	struct row_field f;
	const char *space = "";
	size_t off = 0;

	for (; row_next(row, &off, &f) == 1; space = "  ")
		printf("%s%s %s", space, table_label(label, f.name), table_value(value, &f));
	putchar('\n');
	fflush(stdout);
}

static void
ping_row(const struct frame_bytes *row, void *arg)
{
	struct pinging *p = arg;
	size_t n = p->rows.n;

	rows_add(&p->rows, row);
	if (!p->json && p->rows.n > n)
		print_ping(&p->rows.list[n]);
}

static int
run_ping(const struct options *o, int argc, char **argv)
{
	uint64_t count = o->count == 0 ? 4 : o->count;
	struct pinging p = { .json = o->json };
	struct client *c;
	char text[PM_TEXT_MAX + 1];
	int status;

	if (argc != 2)
		return usage();
	if (o->layer)
		return cmd_ping_layers(o->socket, o->json, argv[1], count);
	if ((c = client_open(o->socket)) == NULL)
		return EXIT_UNUSABLE;
	status = client_request(c, "ping", argv[1], count, WAIT_S + (unsigned)count * PING_WAIT_S, ping_row, &p, text);
	if (status == -1)
		status = EXIT_UNUSABLE;
	else if (o->json)
		json_print(stdout, "ping", &p.rows, status, text);
	else
		say_end(status, text);
	rows_free(&p.rows);
	client_close(c);
	return status;
}

static int
run_connect(const struct options *o, int argc, char **argv)
{
	if (argc != 2)
		return usage();
	return cmd_connect(o->socket, argv[1]);
}

/* --- health --------------------------------------------------------------------------------------- */

static void
add_check(struct rows *r, const char *check, bool ok, const char *detail)
{
	struct row_writer w;
	struct frame_bytes b;

	row_init(&w);
	row_str(&w, "check", check);
	row_bool(&w, "ok", ok);
	row_str(&w, "detail", detail);
	b = (struct frame_bytes){ w.buf, w.len };
	rows_add(r, &b);
}

static void
field_text(char buf[VALUE_MAX], const struct frame_bytes *row, const char *name)
{
	struct row_field f;

	buf[0] = '\0';
	if (row_find(row, name, &f) && f.type == ROW_STR)
		snprintf(buf, VALUE_MAX, "%.*s", (int)f.str.len, (const char *)f.str.p);
}

/*
 * A peer is well when its session is up and something came from it within the time after which a session
 * counts as dead: proof, not hope.
 */
static bool
check_peer(struct rows *out, const struct frame_bytes *expect, const struct rows *status)
{
	char id[VALUE_MAX], name[VALUE_MAX], check[80], detail[120] = "not known to routed", state[VALUE_MAX];
	uint64_t age, dead = row_number(expect, "dead_ms", 0);
	bool ok = false;

	field_text(id, expect, "id");
	field_text(name, expect, "expect");
	for (size_t i = 0; i < status->n; i++) {
		if (!row_is(&status->list[i], "id", id))
			continue;
		age = row_number(&status->list[i], "age_ms", UINT64_MAX);
		ok = row_is(&status->list[i], "state", "up") && age <= dead;
		field_text(state, &status->list[i], "state");
		if (age == UINT64_MAX)
			snprintf(detail, sizeof(detail), "%.60s", state);
		else
			snprintf(detail, sizeof(detail), "%.60s, heard of %" PRIu64 " ms ago", state, age);
	}
	snprintf(check, sizeof(check), "peer %.63s", name);
	add_check(out, check, ok, detail);
	return ok;
}

/* fabricd says how it is itself and whom it expects; routed says who is there. */
static int
judge_health(struct client *c, struct rows *out, char text[PM_TEXT_MAX + 1])
{
	struct rows self = { .n = 0 }, status = { .n = 0 };
	struct row_field f;
	int rv, peers = 0, end = EXIT_OK;

	rv = client_request(c, "health", NULL, 0, WAIT_S, keep_row, &self, text);
	for (size_t i = 0; rv == EXIT_OK && i < self.n; i++) {
		if (row_find(&self.list[i], "expect", &f)) {
			peers++;
			continue;
		}
		rows_add(out, &self.list[i]);
		if (!row_number(&self.list[i], "ok", 0))
			end = EXIT_FAILED;
	}
	if (rv == EXIT_OK && peers > 0)
		rv = client_request(c, "status", NULL, 0, WAIT_S, keep_row, &status, text);
	for (size_t i = 0; rv != -1 && i < self.n; i++)
		if (row_find(&self.list[i], "expect", &f) && !check_peer(out, &self.list[i], &status))
			end = EXIT_FAILED;
	rows_free(&self);
	rows_free(&status);
	return rv == -1 ? -1 : rv != EXIT_OK ? EXIT_FAILED : end;
}

static int
run_health(const struct options *o, int argc, char **argv)
{
	struct client *c;
	struct rows out = { .n = 0 };
	char text[PM_TEXT_MAX + 1];
	int status;

	(void)argv;
	if (argc != 1)
		return usage();
	if ((c = client_open(o->socket)) == NULL)
		return EXIT_UNUSABLE;
	status = judge_health(c, &out, text);
	if (status == -1)
		status = EXIT_UNUSABLE;
	else if (o->json)
		json_print(stdout, "health", &out, status, text);
	else {
		table_print(stdout, &out);
		say_end(status, text);
	}
	rows_free(&out);
	client_close(c);
	return status;
}

/* -------------------------------------------------------------------------------------------------- */

static int
run_authority(const struct options *o, int argc, char **argv)
{
	(void)o;
	return cmd_authority(argc, argv);
}

static int
run_node(const struct options *o, int argc, char **argv)
{
	(void)o;
	return cmd_node(argc, argv);
}

static int
run_record(const struct options *o, int argc, char **argv)
{
	(void)o;
	return cmd_record(argc, argv);
}

static int
run_policy(const struct options *o, int argc, char **argv)
{
	return cmd_policy(o->socket, o->json, argc, argv);
}

static const struct command commands[] = {
	{ "status", run_status }, { "show", run_show }, { "ping", run_ping }, { "health", run_health },
	{ "connect", run_connect }, { "stream", run_stream }, { "reload", run_reload }, { "log", run_log }, { "stop", run_stop },
};
static int
run_routes(const struct options *o, int argc, char **argv)
{
	return cmd_route(o->socket, o->json, argc, argv);
}

static const struct command identity_commands[] = {
	{ "authority", run_authority }, { "node", run_node }, { "record", run_record },
	{ "policy", run_policy },
	{ "route", run_routes }, { "relay", run_routes }, { "path", run_routes }, { "netcheck", run_routes },
	{ "events", run_routes },
};

static int
parse_count(const char *s, uint64_t max, uint64_t *count)
{
	char *end;

	if (*s < '1' || *s > '9')
		return -1;
	*count = strtoull(s, &end, 10);
	return *end == '\0' && *count <= max ? 0 : -1;
}

static int
parse_delay(const char *s, unsigned *ms)
{
	char *end;
	double v = strtod(s, &end);

	if (*s < '0' || *s > '9' || *end != '\0' || !(v >= 0.1 && v <= 50))
		return -1;
	*ms = (unsigned)(v * 1000 + 0.5);
	return 0;
}

/* What an option's argument has to be, or NULL. */
static const char *
set_number(struct options *o, int c, const char *arg)
{
	if (c == 'c')
		return parse_count(arg, 1000, &o->count) == -1 ? "1 and 1000" : NULL;
	if (c == 'n')
		return parse_count(arg, 1000000, &o->count) == -1 ? "1 and 1000000" : NULL;
	return parse_delay(arg, &o->delay_ms) == -1 ? "0.1 and 50" : NULL;
}

/* Options may stand before and after the command. Returns 0, or -1 after saying why. */
static int
parse_options(struct options *o, int argc, char **argv, const char *how)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' }, { "layer", no_argument, NULL, 'l' }, { NULL, 0, NULL, 0 }
	};
	const char *within;
	int c;

	optind = 0;		/* glibc: begin anew */
	while ((c = getopt_long(argc, argv, how, longs, NULL)) != -1) {
		if (c == 's') {
			o->socket = optarg;
		} else if (c == 'j') {
			o->json = true;
		} else if (c == 'l') {
			o->layer = true;
		} else if (c == 'V') {
			printf("fabricctl %s\n", FABRIC_VERSION);
			exit(EXIT_OK);
		} else if (c != 'c' && c != 'n' && c != 'd') {
			return -1;
		} else if ((within = set_number(o, c, optarg)) != NULL) {
			fprintf(stderr, "fabricctl: -%c: \"%s\" is not within %s\n", c, optarg, within);
			return -1;
		}
	}
	return 0;
}

static const char *
options_of(const char *command)
{
	if (strcmp(command, "ping") == 0)
		return "s:jc:";
	return strcmp(command, "stream") == 0 ? "s:jn:d:" : "s:j";
}

int
main(int argc, char **argv)
{
	struct options o = { .socket = NULL };
	int first;

	if (parse_options(&o, argc, argv, "+s:jV") == -1 || optind >= argc)
		return usage();
	first = optind;
	argc -= first;
	argv += first;
	/* These have options of their own. */
	for (size_t i = 0; i < sizeof(identity_commands) / sizeof(identity_commands[0]); i++)
		if (strcmp(argv[0], identity_commands[i].name) == 0) {
			optind = 0;
			return identity_commands[i].run(&o, argc, argv);
		}
	if (parse_options(&o, argc, argv, options_of(argv[0])) == -1 || (o.layer && strcmp(argv[0], "ping") != 0))
		return usage();
	/* getopt has moved the words behind the options. */
	argv[optind - 1] = argv[0];
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(&o, argc - optind + 1, argv + optind - 1);
	fprintf(stderr, "fabricctl: unknown command \"%s\"\n", argv[0]);
	return usage();
}
