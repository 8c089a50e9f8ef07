/* The configuration transaction over a channel that holds a fraction of it, to a worker that reads now and then. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fabricd/confsend.h"
#include "fabricd/fabricd.h"
#include "suite.h"

#define SMALL_BUFFER (160 * 1024)	/* one message and a little more */

static struct event_base *base;
static struct child child;
static unsigned seen[0x100];		/* by type - PM_READY */
static unsigned stalls;
static enum procmsg_type last;

static void
on_writable(struct ipc *ipc, void *arg)
{
	(void)ipc;
	stalls++;
	confsend_continue(arg);
}

static int
refuse_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	(void)ipc, (void)f, (void)fd, (void)arg;
	return -1;
}

static void
on_closed(struct ipc *ipc, const char *why, void *arg)
{
	(void)ipc, (void)arg;
	ck_abort_msg("closed: %s", why);
}

static int
count_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct procmsg m;

	(void)ipc, (void)arg;
	ck_assert_int_ge(procmsg_decode(&m, f), 0);
	ck_assert_int_eq(fd, -1);
	seen[m.type - PM_READY]++;
	last = m.type;
	return 0;
}

static const struct ipc_ops sender = { .frame = refuse_frame, .writable = on_writable, .closed = on_closed };
static const struct ipc_ops reader = { .frame = count_frame, .closed = on_closed };

static struct conf *
many_peers(void)
{
	char err[CONF_ERR_MAX], *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct conf *c;

	fprintf(f, "node \"n\" {}\nlisten on 10.0.0.1\n");
	for (unsigned i = 0; i < CONF_PEERS_MAX; i++) {
		fprintf(f, "peer \"p%u\" { id %064x\n", i, i);
		for (unsigned j = 0; j < CONF_ADDRS_MAX; j++)
			fprintf(f, "address fd00::%x port %u\n", i, 5000 + j);
		for (unsigned j = 0; j < CONF_PREFIXES_MAX; j++)
			fprintf(f, "prefix fd01:%x:%x::/64\n", i, j);
		fprintf(f, "}\n");
	}
	fclose(f);
	c = conf_parse_text("c", text, len, err);
	ck_assert_msg(c != NULL, "%s", err);
	free(text);
	return c;
}

START_TEST(slow_reader)
{
	struct setup s = { .conf = many_peers(), .keys = calloc(1, sizeof(struct keys)), .tun = { .fd = -1 } };
	int fds[2], size = SMALL_BUFFER;
	struct ipc *in;

	strcpy(s.keys->membership.tenant, "acme");
	base = event_base_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	child = (struct child){ .kind = WORKER_ROUTED, .state = CHILD_RUNNING };
	child.ctl = ipc_new(base, fds[0], &sender, &child);
	in = ipc_new(base, fds[1], &reader, NULL);
	ipc_pause(in);

	confsend_start(&child, &s, 2);
	ck_assert(!child.verdict_due);
	ck_assert_ptr_nonnull(child.confsend);
	for (unsigned i = 0; i < 10000 && last != PM_CONF_END; i++) {
		if (i % 3 == 0)
			ipc_resume(in);
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		ipc_pause(in);
	}
	ck_assert_int_eq(last, PM_CONF_END);
	ck_assert_uint_gt(stalls, 0);
	ck_assert(child.verdict_due);
	ck_assert_ptr_null(child.confsend);
	ck_assert_int_eq(child.state, CHILD_RUNNING);
	ck_assert_uint_eq(seen[PM_CONF_BEGIN - PM_READY], 1);
	ck_assert_uint_eq(seen[PM_CONF_NODE - PM_READY], 1);
	ck_assert_uint_eq(seen[PM_CONF_PEER - PM_READY], CONF_PEERS_MAX);
	ck_assert_uint_eq(seen[PM_CONF_PEER_ADDR - PM_READY], CONF_PEERS_MAX * CONF_ADDRS_MAX);
	ck_assert_uint_eq(seen[PM_CONF_PEER_PREFIX - PM_READY], CONF_PEERS_MAX * CONF_PREFIXES_MAX);
	ck_assert_uint_eq(seen[PM_CONF_END - PM_READY], 1);
	ipc_free(child.ctl);
	ipc_free(in);
	event_base_free(base);
	keys_free(s.keys);
	conf_free(s.conf);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("confsend");
	TCase *tc = tcase_create("confsend");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, slow_reader);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
