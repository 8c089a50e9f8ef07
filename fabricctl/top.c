#include "fabricctl/top.h"

#include <sys/ioctl.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

#define WAIT_S		20
#define SHOWN_MAX	512	/* columns of a line that is shown */

/* --- asking --- */

struct asking {
	struct rows *rows;
	const char *at;
};

/* A row is its fields, one after the other: another field in front makes another row. */
static void
keep_row(const struct frame_bytes *row, void *arg)
{
	const struct asking *a = arg;
	struct row_writer w;
	struct frame_bytes b;

	row_init(&w);
	row_str(&w, "at", a->at);
	if (w.len + row->len > sizeof(w.buf))
		return;
	memcpy(w.buf + w.len, row->p, row->len);
	b = (struct frame_bytes){ w.buf, w.len + row->len };
	rows_add(a->rows, &b);
}

int
streams_ask(struct client *c, struct rows *rows, char text[PM_TEXT_MAX + 1])
{
	static const struct { const char *command, *at; } asks[] = {
		{ "ends", "svchostd" }, { "packets", "vpnd" }, { "streams", "dataplane" },
	};
	char why[PM_TEXT_MAX + 1];
	int rv = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		struct asking a = { rows, asks[i].at };

		switch (client_request(c, asks[i].command, NULL, 0, WAIT_S, keep_row, &a, why)) {
		case -1:
			return -1;
		case 0:
			break;
		default:
			rv = 1;
		}
		if (why[0] != '\0')
			strcpy(text, why);
	}
	return rv;
}

static void
print_part(const struct rows *all, const char *at)
{
	struct rows part = { .n = 0 };

	for (size_t i = 0; i < all->n; i++)
		if (row_is(&all->list[i], "at", at))
			rows_add(&part, &all->list[i]);
	table_print(stdout, &part);
	rows_free(&part);
}

int
cmd_streams(const char *socket, bool json)
{
	struct client *c = client_open(socket);
	struct rows rows = { .n = 0 };
	char text[PM_TEXT_MAX + 1];
	int status;

	if (c == NULL)
		return 2;
	status = streams_ask(c, &rows, text);
	if (status == -1) {
		status = 2;
	} else if (json) {
		json_print(stdout, "streams", &rows, status, text);
	} else {
		print_part(&rows, "svchostd");
		print_part(&rows, "dataplane");
		if (text[0] != '\0')
			fprintf(stderr, "fabricctl: %s\n", text);
	}
	rows_free(&rows);
	client_close(c);
	return status;
}

/* --- from two samples to one picture --- */

static const char *const same_by[] = { "at", "stream", "port", "peer", "opened_by" };

static bool
same_field(const struct frame_bytes *a, const struct frame_bytes *b, const char *name)
{
	struct row_field f, g;
	bool x = row_find(a, name, &f), y = row_find(b, name, &g);

	if (!x || !y)
		return x == y;
	return f.type == g.type && f.num == g.num && f.str.len == g.str.len &&
	    (f.str.len == 0 || memcmp(f.str.p, g.str.p, f.str.len) == 0);
}

static bool
same_stream(const struct frame_bytes *a, const struct frame_bytes *b)
{
	for (size_t i = 0; i < sizeof(same_by) / sizeof(same_by[0]); i++)
		if (!same_field(a, b, same_by[i]))
			return false;
	return true;
}

struct key {
	uint32_t hash;
	const struct frame_bytes *row;
};

/* FNV-1a over what names a stream. */
static uint32_t
hash_of(const struct frame_bytes *row)
{
	struct row_field f;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(same_by) / sizeof(same_by[0]); i++) {
		if (!row_find(row, same_by[i], &f))
			continue;
		for (size_t n = 0; n < f.str.len; n++)
			h = (h ^ f.str.p[n]) * 16777619u;
		h = (h ^ (uint32_t)f.num) * 16777619u;
	}
	return h;
}

static int
by_hash(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* NULL when memory is short: then all seems new. */
static struct key *
keys_of(const struct rows *r)
{
	struct key *keys = calloc(r->n == 0 ? 1 : r->n, sizeof(*keys));

	if (keys == NULL)
		return NULL;
	for (size_t i = 0; i < r->n; i++)
		keys[i] = (struct key){ hash_of(&r->list[i]), &r->list[i] };
	qsort(keys, r->n, sizeof(*keys), by_hash);
	return keys;
}

static const struct frame_bytes *
find_before(const struct key *keys, size_t n, const struct frame_bytes *row)
{
	const struct key want = { hash_of(row), row };
	const struct key *k = keys == NULL ? NULL : bsearch(&want, keys, n, sizeof(*keys), by_hash);

	if (k == NULL)
		return NULL;
	while (k > keys && k[-1].hash == want.hash)
		k--;
	for (; k < keys + n && k->hash == want.hash; k++)
		if (same_stream(k->row, row))
			return k->row;
	return NULL;
}

/* What a counter grew by; of one that is new, all of it. */
static uint64_t
grown(const struct frame_bytes *before, const struct frame_bytes *now, const char *name)
{
	uint64_t a = before == NULL ? 0 : row_number(before, name, 0), b = row_number(now, name, 0);

	return b > a ? b - a : 0;
}

static uint64_t
per_second(uint64_t n, uint64_t elapsed_us)
{
	return elapsed_us == 0 ? 0 : (uint64_t)((double)n * 1e6 / (double)elapsed_us);
}

static void
copy_field(struct row_writer *w, const struct frame_bytes *row, const char *from, const char *to)
{
	char text[VALUE_MAX];
	struct row_field f;

	if (!row_find(row, from, &f))
		return;
	if (f.type == ROW_UINT)
		row_uint(w, to, f.num);
	else if (f.type == ROW_BOOL)
		row_bool(w, to, f.num != 0);
	else {
		snprintf(text, sizeof(text), "%.*s", (int)(f.str.len < 256 ? f.str.len : 256), (const char *)f.str.p);
		row_str(w, to, text);
	}
}

/* Who held it up most, and for how much of the time. */
static void
put_stall(struct row_writer *w, const struct frame_bytes *before, const struct frame_bytes *now, uint64_t elapsed_us)
{
	static const struct { const char *field, *who; uint64_t us; } stalls[] = {
		{ "stall_far_us", "far", 1 }, { "stall_hop_us", "hop", 1 }, { "stall_local_us", "local", 1 },
		{ "stall_path_us", "path", 1 }, { "stalled_by_peer_ms", "peer", 1000 },
		{ "stalled_by_adapter_ms", "adapter", 1000 },
	};
	uint64_t most = 0, us;
	const char *who = "";

	for (size_t i = 0; i < sizeof(stalls) / sizeof(stalls[0]); i++)
		if ((us = grown(before, now, stalls[i].field) * stalls[i].us) > most) {
			most = us;
			who = stalls[i].who;
		}
	if (most > elapsed_us)
		most = elapsed_us;
	row_str(w, "stalled_by", who);
	if (elapsed_us > 0)
		row_uint(w, "stalled_permille", most * 1000 / elapsed_us);
}

struct busy {
	uint8_t	*row;
	size_t	 len;
	uint64_t rate, bytes;
};

static void
make_row(struct busy *b, const struct frame_bytes *before, const struct frame_bytes *now, uint64_t elapsed_us)
{
	uint64_t in = per_second(grown(before, now, "bytes_in"), elapsed_us);
	uint64_t out = per_second(grown(before, now, "bytes_out"), elapsed_us);
	struct row_writer writer, *w = &writer;
	struct row_field f;

	b->rate = in + out;
	b->bytes = row_number(now, "bytes_in", 0) + row_number(now, "bytes_out", 0);
	row_init(w);
	copy_field(w, now, "service", "service");
	copy_field(w, now, row_find(now, "node", &f) ? "node" : "peer", "peer");
	copy_field(w, now, "class", "class");
	copy_field(w, now, "opened_by", "opened_by");
	copy_field(w, now, "state", "state");
	copy_field(w, now, "reason", "reason");
	row_uint(w, "bytes_in_rate", in);
	row_uint(w, "bytes_out_rate", out);
	copy_field(w, now, "rtt_us", "rtt_us");
	copy_field(w, now, "bytes_again", "bytes_again");
	copy_field(w, now, "loss_permille", "loss_permille");
	if (row_is(now, "at", "svchostd") || row_find(now, "blocked_by", &f))
		put_stall(w, before, now, elapsed_us);
	copy_field(w, now, "queue_p50_us", "queue_p50_us");
	copy_field(w, now, "queue_p99_us", "queue_p99_us");
	copy_field(w, now, "age_s", "age_s");
	copy_field(w, now, "age_ms", "age_ms");
	b->len = w->failed ? 0 : w->len;
	if ((b->row = malloc(w->len)) != NULL)
		memcpy(b->row, w->buf, w->len);
	else
		b->len = 0;
}

static int
by_rate(const void *a, const void *b)
{
	const struct busy *x = a, *y = b;

	if (x->rate != y->rate)
		return x->rate > y->rate ? -1 : 1;
	return x->bytes > y->bytes ? -1 : x->bytes < y->bytes;
}

static bool
shown_by_adapter(const struct frame_bytes *row, bool svchostd, bool vpnd)
{
	if (!row_is(row, "at", "dataplane"))
		return false;
	/* vpnd knows of what comes in what became of it; of what goes out it knows no more than the dataplane. */
	return (svchostd && row_is(row, "port", "svchostd")) ||
	    (vpnd && row_is(row, "port", "vpnd") && row_is(row, "opened_by", "peer"));
}

/* That is seen once, in the first picture after it. */
static bool
ended_before(const struct frame_bytes *row, uint64_t elapsed_us)
{
	return row_is(row, "state", "ended") && row_number(row, "ended_ms", 0) * 1000 > elapsed_us;
}

void
top_rows(struct rows *out, const struct rows *before, const struct rows *now, uint64_t elapsed_us)
{
	struct busy *list = calloc(now->n == 0 ? 1 : now->n, sizeof(*list));
	struct key *keys = keys_of(before);
	struct frame_bytes b;
	bool svchostd = false, vpnd = false;
	size_t n = 0;

	for (size_t i = 0; i < now->n; i++) {
		svchostd |= row_is(&now->list[i], "at", "svchostd");
		vpnd |= row_is(&now->list[i], "at", "vpnd");
	}
	for (size_t i = 0; list != NULL && i < now->n; i++)
		if (!shown_by_adapter(&now->list[i], svchostd, vpnd) && !ended_before(&now->list[i], elapsed_us))
			make_row(&list[n++], find_before(keys, before->n, &now->list[i]), &now->list[i], elapsed_us);
	if (list != NULL)
		qsort(list, n, sizeof(*list), by_rate);
	for (size_t i = 0; i < n; i++) {
		b = (struct frame_bytes){ list[i].row, list[i].len };
		if (b.len > 0)
			rows_add(out, &b);
		free(list[i].row);
	}
	free(keys);
	free(list);
}

/* --- the terminal --- */

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

struct screen {
	bool	 keys;		/* stdin is a terminal, and gives single keys now */
	bool	 clears;	/* stdout is a terminal that knows where its corner is */
	unsigned lines, columns;
	struct termios was;
};

static void
screen_size(struct screen *s)
{
	struct winsize ws;

	s->lines = 24;
	s->columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 2 && ws.ws_col > 0) {
		s->lines = ws.ws_row;
		s->columns = ws.ws_col;
	}
	if (s->columns > SHOWN_MAX)
		s->columns = SHOWN_MAX;
}

static void
screen_begin(struct screen *s, bool json)
{
	const struct sigaction sa = { .sa_handler = on_signal };
	const char *term = getenv("TERM");
	struct termios t;

	memset(s, 0, sizeof(*s));
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	s->clears = !json && isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
	if (!s->clears || tcgetattr(STDIN_FILENO, &s->was) == -1)
		return;
	t = s->was;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	s->keys = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

static void
screen_end(struct screen *s)
{
	if (s->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &s->was);
}

/* The first `columns' characters of a line: a character may be several bytes. */
static int
cut(const char *line, unsigned columns)
{
	int n = 0;

	for (unsigned width = 0; line[n] != '\0'; n++)
		if (((unsigned char)line[n] & 0xc0) != 0x80 && width++ == columns)
			break;
	return n;
}

static void
print_sums(FILE *f, const struct rows *r)
{
	char in[VALUE_MAX], out[VALUE_MAX];
	struct row_field a = { .name = "bytes", .type = ROW_UINT }, b = a;

	for (size_t i = 0; i < r->n; i++) {
		a.num += row_number(&r->list[i], "bytes_in_rate", 0);
		b.num += row_number(&r->list[i], "bytes_out_rate", 0);
	}
	fprintf(f, "%zu streams, a second: %s in, %s out\n\n", r->n, table_value(in, &a), table_value(out, &b));
}

static void
draw(struct screen *s, const struct rows *r)
{
	char *text = NULL, *line, *rest;
	unsigned n = 0;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return;
	print_sums(f, r);
	table_print(f, r);
	fclose(f);
	screen_size(s);
	if (s->clears)
		fputs("\033[H", stdout);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL && rest != NULL && (!s->clears || ++n < s->lines);)
		if (s->clears)
			printf("%.*s\033[K\n", cut(line, s->columns), line);
		else
			puts(line);
	if (s->clears)
		fputs("\033[J", stdout);
	else
		putchar('\n');
	fflush(stdout);
	free(text);
}

/* True: it is over. */
static bool
wait_for_key(const struct screen *s, unsigned ms)
{
	uint64_t until = clock_ns() + ms * NS_PER_MS, now;
	struct pollfd p = { .fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN };
	char key;

	while (!interrupted && (now = clock_ns()) < until) {
		if (poll(&p, 1, (int)((until - now) / NS_PER_MS) + 1) != 1)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1)
			p.fd = -1;
		else if (key == 'q' || key == 'Q')
			return true;
	}
	return interrupted;
}

static int
pictures(struct client *c, const struct top_options *o, struct screen *s)
{
	struct rows before = { .n = 0 }, now, out;
	char text[PM_TEXT_MAX + 1];
	uint64_t then = clock_ns(), t;
	int rv = streams_ask(c, &before, text);

	for (uint64_t i = 0; rv != -1 && (o->count == 0 || i < o->count) && !wait_for_key(s, o->delay_ms); i++) {
		memset(&now, 0, sizeof(now));
		memset(&out, 0, sizeof(out));
		if ((rv = streams_ask(c, &now, text)) == -1) {
			rows_free(&now);
			break;
		}
		t = clock_ns();
		top_rows(&out, &before, &now, (t - then) / NS_PER_US);
		then = t;
		if (o->json)
			json_print(stdout, "top", &out, rv, text);
		else
			draw(s, &out);
		fflush(stdout);
		rows_free(&out);
		rows_free(&before);
		before = now;
		if (ferror(stdout))
			break;
	}
	rows_free(&before);
	if (rv == 1)
		fprintf(stderr, "fabricctl: %s\n", text);
	return rv == -1 ? 2 : rv;
}

int
cmd_top(const struct top_options *o)
{
	struct client *c = client_open(o->socket);
	struct screen s;
	int status;

	if (c == NULL)
		return 2;
	screen_begin(&s, o->json);
	if (s.clears)
		fputs("\033[H\033[J", stdout);
	status = pictures(c, o, &s);
	screen_end(&s);
	client_close(c);
	return status;
}
