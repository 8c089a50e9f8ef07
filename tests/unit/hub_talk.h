/* Clients and servers at the ends of streams between two hubs, and what they say to each other. */
#ifndef TESTS_HUB_TALK_H
#define TESTS_HUB_TALK_H

#include "hub_pair.h"

#define MB (1u << 20)

static struct pair pair;

/* --- who uses them --- */

/* One end of a local connection, as a client or a server holds it. */
struct app {
	int	 fd;
	uint64_t salt;			/* of what it writes */
	uint64_t expect;		/* of what it reads */
	uint64_t target, wrote, read;
	bool	 shut, eof, lazy;	/* lazy: does not read */
	int	 error;
};

static inline uint8_t
pattern(uint64_t salt, uint64_t off)
{
	return (uint8_t)((off + salt) * 0x9e3779b97f4a7c15ull >> 56);
}

static inline void
app_write(struct app *a)
{
	uint8_t buf[20000];

	while (a->wrote < a->target && a->error == 0) {
		size_t n = a->target - a->wrote < sizeof(buf) ? (size_t)(a->target - a->wrote) : sizeof(buf);
		ssize_t k;

		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(a->salt, a->wrote + i);
		k = send(a->fd, buf, n, MSG_NOSIGNAL);
		if (k == -1 && errno != EAGAIN)
			a->error = errno;
		if (k <= 0)
			return;
		a->wrote += (uint64_t)k;
	}
	if (!a->shut && a->wrote == a->target) {
		a->shut = true;
		shutdown(a->fd, SHUT_WR);
	}
}

static inline void
app_read(struct app *a)
{
	uint8_t buf[20000];
	ssize_t k;

	while (!a->eof && a->error == 0 && (k = read(a->fd, buf, sizeof(buf))) != -1) {
		a->eof = k == 0;
		for (ssize_t i = 0; i < k; i++)
			if (buf[i] != pattern(a->expect, a->read + (uint64_t)i))
				ck_abort_msg("byte %llu is another", (unsigned long long)a->read + (uint64_t)i);
		a->read += (uint64_t)k;
	}
	if (!a->eof && a->error == 0 && errno != EAGAIN)
		a->error = errno;
}

static inline bool
app_done(struct app *a)
{
	if (a->fd == -1)
		return false;
	if (a->error == 0)
		app_write(a);
	if (a->error == 0 && !a->lazy)
		app_read(a);
	return a->error != 0 || (a->shut && a->eof);
}

static inline void
nonblock(int fd)
{
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

/* A socketpair has no way to say that a connection was reset. */
static inline void
tcp_pair(int fds[2])
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(l, (struct sockaddr *)&sin, len), 0);
	ck_assert_int_eq(listen(l, 1), 0);
	ck_assert_int_eq(getsockname(l, (struct sockaddr *)&sin, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&sin, len), 0);
	fds[1] = accept(l, NULL, NULL);
	close(l);
	nonblock(fds[0]);
	nonblock(fds[1]);
}

/* A stream from a client at a to a server at b. */
struct talk {
	struct app	client, server;
	struct pump	*pump;
	unsigned	opened, failed, ended;
	uint64_t	reason;
	const char	*greeting;	/* what the owner writes before all else */
	bool		abort_when_open;
};

static inline void
on_opened(struct pump *p, void *arg)
{
	struct talk *t = arg;

	t->opened++;
	if (t->greeting != NULL)
		ck_assert_int_eq(write(pump_fd(p), t->greeting, strlen(t->greeting)), (ssize_t)strlen(t->greeting));
	if (t->abort_when_open) {
		t->pump = NULL;
		pump_abort(p, REASON_REFUSED);
	}
}

static inline void
on_failed(struct pump *p, uint64_t reason, void *arg)
{
	struct talk *t = arg;

	ck_assert_uint_eq(t->opened, 0);
	ck_assert_int_ne(fcntl(pump_fd(p), F_GETFD), -1);
	t->failed++;
	t->reason = reason;
	t->pump = NULL;
}

static inline void
on_ended(struct pump *p, uint64_t reason, void *arg)
{
	struct talk *t = arg;

	ck_assert_uint_eq(t->opened, 1);
	t->ended++;
	t->reason = reason;
	t->pump = NULL;
}

static const struct pump_ops pump_ops = { on_opened, on_failed, on_ended };

static inline void
talk_open(struct talk *t, const char *service)
{
	struct e2e_service to = pair_service(&pair, service);
	uint64_t reason;
	int fds[2];

	memset(t, 0, sizeof(*t));
	tcp_pair(fds);
	t->client = (struct app){ .fd = fds[1], .salt = 7, .expect = 99 };
	t->server = (struct app){ .fd = -1, .salt = 99, .expect = 7 };
	t->pump = pump_open(pair.side[0].hub, &to, fds[0], &pump_ops, t, &reason);
	ck_assert_ptr_nonnull(t->pump);
}

/* b's target takes the i-th stream. */
static inline void
talk_answer(struct talk *t, size_t i)
{
	int fds[2];

	ck_assert(RUN_UNTIL(&pair, pair.naccepted > i));
	ck_assert_ptr_nonnull(pair.accepted[i]);
	tcp_pair(fds);
	t->server.fd = fds[1];
	hub_connected(pair.accepted[i], fds[0]);
}

static inline void
talk_close(struct talk *t)
{
	close(t->client.fd);
	if (t->server.fd != -1)
		close(t->server.fd);
}

static inline bool
both_done(struct talk *t)
{
	bool a = app_done(&t->client), b = app_done(&t->server);

	return a && b;
}

static inline void
talk_whole(const struct talk *t)
{
	ck_assert_int_eq(t->client.error, 0);
	ck_assert_int_eq(t->server.error, 0);
	ck_assert_uint_eq(t->server.read, t->client.target);
	ck_assert_uint_eq(t->client.read, t->server.target);
	ck_assert_uint_eq(t->ended, 1);
	ck_assert_uint_eq(t->failed, 0);
	ck_assert_uint_eq(t->reason, REASON_NONE);
}

#define BOTH_EMPTY (hub_streams(pair.side[0].hub) == 0 && hub_streams(pair.side[1].hub) == 0)

static inline void
expect_failed(struct talk *t, uint64_t reason)
{
	ck_assert(RUN_UNTIL(&pair, t->failed > 0));
	ck_assert_uint_eq(t->reason, reason);
	ck_assert_uint_eq(t->opened, 0);
	t->client.target = 1;
	ck_assert(RUN_UNTIL(&pair, app_done(&t->client)));
	ck_assert_int_ne(t->client.error, 0);
	ck_assert(RUN_UNTIL(&pair, BOTH_EMPTY));
	talk_close(t);
}

#endif
