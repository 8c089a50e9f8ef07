#include "fabricctl/route.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabricctl/client.h"
#include "fabricctl/identity.h"
#include "fabricctl/rows.h"

#define WAIT_S		20
#define FOLLOW_MS	300

static const char usage_text[] =
    "usage: fabricctl route explain node\n"
    "       fabricctl route history [node]\n"
    "       fabricctl route fence route | source destination | node node\n"
    "       fabricctl relay usage [--by tenant,class,neighbour]\n"
    "       fabricctl path trace node\n"
    "       fabricctl netcheck\n"
    "       fabricctl events [-f]\n"
    "       each: [-s socket] [--json]\n";

struct options {
	const char *socket, *by;
	bool	 json, follow;
};

static int
usage(void)
{
	fputs(usage_text, stderr);
	return CMD_USAGE;
}

static void
keep_row(const struct frame_bytes *row, void *arg)
{
	rows_add(arg, row);
}

static int
ask(const struct options *o, const char *name, const char *command, const char *argument)
{
	struct client *c = client_open(o->socket);
	struct rows rows = { .n = 0 };
	char text[PM_TEXT_MAX + 1];
	int status;

	if (c == NULL)
		return CMD_USAGE;
	status = client_request(c, command, argument, 0, WAIT_S, keep_row, &rows, text);
	if (status == -1)
		status = CMD_USAGE;
	else if (o->json)
		json_print(stdout, name, &rows, status, text);
	else
		table_print(stdout, &rows);
	if (!o->json && status > 0 && text[0] != '\0')
		fprintf(stderr, "fabricctl: %s\n", text);
	rows_free(&rows);
	client_close(c);
	return status;
}

/* --- events ------------------------------------------------------------------------------------------- */

/* One line an event: when, what, and what else it says. */
static void
print_event(const struct frame_bytes *row)
{
	static const char *const apart[] = { "number", "at", "event", "node_id" };
	char value[VALUE_MAX], label[ROW_NAME_MAX + 1];
	struct row_field f;
	const char *space = "";
	size_t off = 0;

	for (size_t i = 1; i < 3; i++)
		if (row_find(row, apart[i], &f))
			printf("%s ", table_value(value, &f));
	while (row_next(row, &off, &f) == 1) {
		size_t i = 0;

		while (i < sizeof(apart) / sizeof(apart[0]) && strcmp(f.name, apart[i]) != 0)
			i++;
		if (i < sizeof(apart) / sizeof(apart[0]) || (f.type == ROW_STR && f.str.len == 0))
			continue;
		printf("%s%s=%s", space, table_label(label, f.name), table_value(value, &f));
		space = " ";
	}
	putchar('\n');
}

/* Those that came since: each poll is one request, so that who goes away leaves nothing behind. */
static int
poll_events(const struct options *o, struct client *c, uint64_t *seen, char text[PM_TEXT_MAX + 1])
{
	struct rows rows = { .n = 0 };
	char argument[32];
	int status;

	snprintf(argument, sizeof(argument), "%" PRIu64, *seen);
	status = client_request(c, "events", *seen == UINT64_MAX ? NULL : argument, 0, WAIT_S, keep_row, &rows, text);
	if (*seen == UINT64_MAX && status == 0)
		*seen = 0;
	for (size_t i = 0; i < rows.n; i++) {
		*seen = row_number(&rows.list[i], "number", *seen);
		if (!o->json)
			print_event(&rows.list[i]);
	}
	if (o->json && (rows.n > 0 || status != 0))
		json_print(stdout, "events", &rows, status == -1 ? CMD_USAGE : status, text);
	fflush(stdout);
	rows_free(&rows);
	return status;
}

static int
cmd_events(const struct options *o)
{
	struct client *c = client_open(o->socket);
	char text[PM_TEXT_MAX + 1] = "";
	uint64_t seen = UINT64_MAX;
	int status;

	if (c == NULL)
		return CMD_USAGE;
	/* routed that restarts answers for a moment not at all, and begins to count anew. */
	while ((status = poll_events(o, c, &seen, text)) != -1 && o->follow) {
		if (status != 0)
			seen = UINT64_MAX;
		usleep(FOLLOW_MS * 1000);
	}
	if (status > 0 && !o->json)
		fprintf(stderr, "fabricctl: %s\n", text);
	client_close(c);
	return status == -1 ? CMD_USAGE : status;
}

/* --- the words ---------------------------------------------------------------------------------------- */

static int
run_fence(const struct options *o, int argc, char **argv)
{
	char argument[PM_TEXT_MAX + 1];
	int n;

	if (argc != 3 && argc != 4)
		return usage();
	n = snprintf(argument, sizeof(argument), "%s%s%s", argv[2], argc == 4 ? " " : "", argc == 4 ? argv[3] : "");
	if (n < 0 || (size_t)n >= sizeof(argument))
		return usage();
	return ask(o, "route fence", "route-fence", argument);
}

static int
run_route(const struct options *o, int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "explain") == 0)
		return ask(o, "route explain", "route-explain", argv[2]);
	if ((argc == 2 || argc == 3) && strcmp(argv[1], "history") == 0)
		return ask(o, "route history", "route-history", argc == 3 ? argv[2] : NULL);
	if (argc > 2 && strcmp(argv[1], "fence") == 0)
		return run_fence(o, argc, argv);
	return usage();
}

static int
run(const struct options *o, int argc, char **argv)
{
	if (strcmp(argv[0], "route") == 0)
		return run_route(o, argc, argv);
	if (strcmp(argv[0], "relay") == 0 && argc == 2 && strcmp(argv[1], "usage") == 0)
		return ask(o, "relay usage", "relay-usage", o->by == NULL ? "tenant,class" : o->by);
	if (strcmp(argv[0], "path") == 0 && argc == 3 && strcmp(argv[1], "trace") == 0)
		return ask(o, "path trace", "path", argv[2]);
	if (strcmp(argv[0], "netcheck") == 0 && argc == 1)
		return ask(o, "netcheck", "netcheck", NULL);
	if (strcmp(argv[0], "events") == 0 && argc == 1)
		return cmd_events(o);
	return usage();
}

int
cmd_route(const char *socket, bool json, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' }, { "by", required_argument, NULL, 'b' }, { NULL, 0, NULL, 0 },
	};
	struct options o = { .socket = socket, .json = json };
	char *command = argv[0];
	int c;

	while ((c = getopt_long(argc, argv, strcmp(command, "events") == 0 ? "s:jf" : "s:j", longs, NULL)) != -1) {
		if (c == 's')
			o.socket = optarg;
		else if (c == 'j')
			o.json = true;
		else if (c == 'f')
			o.follow = true;
		else if (c == 'b' && strcmp(command, "relay") == 0)
			o.by = optarg;
		else
			return usage();
	}
	/* getopt has moved the words behind the options. */
	argv[optind - 1] = command;
	return run(&o, argc - optind + 1, argv + optind - 1);
}
