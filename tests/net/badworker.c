/*
 * A worker that keeps to the rules until it is told not to, for tests/net/supervisor.sh: linked into a libexec
 * directory under a worker's name, it does once what the file NAME.mode beside it says. It is in no sandbox.
 */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc/ipc.h"
#include "proc/procmsg.h"
#include "proc/worker.h"

static char mode_path[PATH_MAX], id_path[PATH_MAX], dir_path[PATH_MAX - 64];
static const char *generation = "0";
static uint64_t version;

static void
find_mode(const char *name)
{
	char exe[PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n < 0 ? 0 : n] = '\0';
	*strrchr(exe, '/') = '\0';
	snprintf(mode_path, sizeof(mode_path), "%s/%s.mode", exe, name);
	snprintf(dir_path, sizeof(dir_path), "%s", exe);
	snprintf(id_path, sizeof(id_path), "%s/request.id", exe);
}

static bool
mode_is(const char *mode)
{
	char line[40] = "";
	FILE *f = fopen(mode_path, "r");

	if (f == NULL)
		return false;
	if (fgets(line, sizeof(line), f) != NULL)
		line[strcspn(line, "\n")] = '\0';
	fclose(f);
	return strcmp(line, mode) == 0;
}

/* What it does once: whoever comes after it is good. */
static bool
take(const char *mode)
{
	return mode_is(mode) && unlink(mode_path) == 0;
}

static void
say(const struct procmsg *m)
{
	uint8_t buf[FRAME_CONTROL_MAX];
	size_t len = procmsg_encode(buf, sizeof(buf), m);

	if (len == 0 || send(WORKER_FD_CTL, buf, len, MSG_NOSIGNAL) == -1)
		exit(9);
}

static void
say_type(enum procmsg_type type)
{
	const struct procmsg m = { .type = type };

	say(&m);
}

static void
say_with_fd(const struct procmsg *m)
{
	union { struct cmsghdr hdr; char buf[CMSG_SPACE(sizeof(int))]; } control;
	uint8_t buf[FRAME_CONTROL_MAX];
	struct iovec iov = { buf, procmsg_encode(buf, sizeof(buf), m) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int fd = 0;

	memset(&control, 0, sizeof(control));
	control.hdr.cmsg_level = SOL_SOCKET;
	control.hdr.cmsg_type = SCM_RIGHTS;
	control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(fd));
	sendmsg(WORKER_FD_CTL, &mh, MSG_NOSIGNAL);
}

static void
say_ready(uint32_t off)
{
	struct procmsg m = { .type = PM_READY };

	m.ready.generation = (uint32_t)strtoul(generation, NULL, 10) + off;
	m.ready.pid = (uint32_t)getpid();
	say(&m);
}

static void
refuse(void)
{
	const struct procmsg m = { .type = PM_CONF_BAD, .conf_bad = { "it is not to my taste" } };

	say(&m);
}

/* The end of a transaction: the first one is always taken. */
static void
verdict(void)
{
	if (version > 1 && take("refuse"))
		refuse();
	else if (version > 1 && take("die-at-reload"))
		exit(7);
	else if (version > 1 && take("mute"))
		return;
	else
		say_type(PM_CONF_OK);
}

/* A key to sign with that is one (RFC 8032, 7.1, test 1). */
static void
delegate_signing(enum record_purpose purpose, unsigned times)
{
	const struct procmsg m = { .type = PM_DELEGATE, .delegate = { (uint8_t)purpose, {
		0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
		0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a } } };

	for (unsigned i = 0; i < times; i++)
		say(&m);
}

/* A key that is sealed to; any 32 bytes are one. */
static void
delegate_sealing(enum record_purpose purpose)
{
	struct procmsg m = { .type = PM_DELEGATE, .delegate = { .purpose = (uint8_t)purpose } };

	memset(m.delegate.key, 0xe2, sizeof(m.delegate.key));
	say(&m);
}

/* What was certified, to delegation.PURPOSE; what the authority signed, to signed.KIND. */
static void
write_record(const char *what, unsigned n, struct frame_bytes b)
{
	char path[PATH_MAX], temp[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.%u", dir_path, what, n);
	snprintf(temp, sizeof(temp), "%s/new.%d", dir_path, (int)getpid());	/* other workers write here too */
	if ((f = fopen(temp, "w")) == NULL)
		exit(9);
	fwrite(b.p, 1, b.len, f);
	if (fclose(f) != 0 || rename(temp, path) == -1)
		exit(9);
}

static void
write_signed(struct frame_bytes b)
{
	struct record r;

	if (record_decode(&r, b.p, b.len) != RECORD_OK)
		exit(9);
	write_record("signed", r.kind, b);
}

/* Each record of the set to a file of its own, record.0 and so on; what was there of the set before goes. */
static void
write_records(const struct pm_records *m)
{
	struct frame_bytes b = m->records;
	char path[PATH_MAX];
	struct record r;
	unsigned n;
	FILE *f;

	for (n = 0; b.len > 0; n++, b.p += r.raw.len, b.len -= r.raw.len) {
		snprintf(path, sizeof(path), "%s/record.%u", dir_path, n);
		if (record_decode_first(&r, b.p, b.len) != RECORD_OK || (f = fopen(path, "w")) == NULL)
			exit(9);
		fwrite(r.raw.p, 1, r.raw.len, f);
		fclose(f);
	}
	do
		snprintf(path, sizeof(path), "%s/record.%u", dir_path, n++);
	while (unlink(path) == 0);
}

/* The channel to `kind` is gone, `n` times. */
static void
lose_port(enum worker_kind kind, unsigned n)
{
	const struct procmsg m = { .type = PM_PORT_LOST, .port_lost.kind = (uint8_t)kind };

	for (unsigned i = 0; i < n; i++)
		say(&m);
}

/* Keeps a request to itself, and lets another worker know its number. */
static void
hold(uint64_t id)
{
	FILE *f = fopen(id_path, "w");

	if (f == NULL)
		exit(9);
	fprintf(f, "%llu\n", (unsigned long long)id);
	fclose(f);
}

/* Answers what another one was asked. */
static void
steal(void)
{
	struct procmsg m = { .type = PM_DONE };
	unsigned long long id = 0;
	FILE *f = fopen(id_path, "r");

	if (f == NULL || fscanf(f, "%llu", &id) != 1)
		exit(9);
	fclose(f);
	m.done.id = id;
	say(&m);
}

/* What makes it a worker that was taken over. */
static void
misbehave(void)
{
	struct procmsg row = { .type = PM_ROW, .row = { 4711, { (const uint8_t *)"", 0 } } };
	struct procmsg delegate = { .type = PM_DELEGATE, .delegate = { PURPOSE_SESSION, { 0 } } };
	struct procmsg log = { .type = PM_LOG, .log = { 0, true } };
	struct procmsg peer = { .type = PM_PEER_DOWN, .peer_down = { { 1 }, 1 } };

	if (take("garbage"))
		send(WORKER_FD_CTL, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, MSG_NOSIGNAL);
	if (take("data"))
		send(WORKER_FD_CTL, "\x09\x06\x01\x00\x00\x00\x00\x41", 8, MSG_NOSIGNAL);
	if (take("malformed"))
		send(WORKER_FD_CTL, "\x50\x50\x01\x00", 4, MSG_NOSIGNAL);
	if (take("ready-again"))
		say_ready(0);
	if (take("verdict"))
		say_type(PM_CONF_OK);
	if (take("row"))
		say(&row);
	if (take("delegate"))
		say(&delegate);
	if (take("delegate-e2e"))
		delegate_sealing(PURPOSE_E2E);
	if (take("delegate-flood"))
		delegate_signing(PURPOSE_SESSION, 1000);
	if (take("delegate-route"))
		delegate_signing(PURPOSE_ROUTE, 1);
	if (take("delegate-ticket"))
		delegate_sealing(PURPOSE_TICKET);
	if (take("port-lost"))
		lose_port(WORKER_ROUTED, 1);
	if (take("port-lost-often"))
		lose_port(WORKER_ROUTED, 20);
	if (take("port-of-nobody"))
		lose_port(WORKER_TELEMD, 1);
	if (take("steal"))
		steal();
	if (take("descriptor"))
		say_with_fd(&log);
	if (take("worker-message"))
		say(&peer);
	if (take("close"))
		close(WORKER_FD_CTL), pause();
}

static void
on_message(const struct frame *f)
{
	struct procmsg m;

	if (procmsg_decode(&m, f) < 0)
		exit(8);
	if (m.type == PM_CONF_BEGIN)
		version = m.conf_begin.version;
	else if (m.type == PM_CONF_END)
		verdict();
	else if (m.type == PM_STOP && !mode_is("ignore-stop"))
		exit(0);
	else if (m.type == PM_RECORDS)
		write_records(&m.records);
	else if (m.type == PM_DELEGATION)
		write_record("delegation", m.delegation.purpose, m.delegation.delegation);
	else if (m.type == PM_SIGNED)
		write_signed(m.signed_record.record);
	else if (m.type == PM_REQUEST && take("die-at-request"))
		exit(6);
	else if (m.type == PM_REQUEST && take("hold"))
		hold(m.request.id);
}

static void
receive(void)
{
	static const struct frame_limits limits = { FRAME_PORT_PROC, FRAME_MAX_CEILING };
	static uint8_t buf[IPC_MSG_MAX];
	ssize_t n = recv(WORKER_FD_CTL, buf, sizeof(buf), 0);
	struct frame f;

	if (n <= 0)
		exit(5);
	for (size_t off = 0; off < (size_t)n; off += f.raw.len) {
		if (frame_decode(&f, buf + off, (size_t)n - off, &limits) != FRAME_OK)
			exit(4);
		on_message(&f);
	}
}

int
main(int argc, char **argv)
{
	struct pollfd p = { .fd = WORKER_FD_CTL, .events = POLLIN };

	find_mode(argv[0]);
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "-g") == 0)
			generation = argv[i + 1];
	if (mode_is("exit"))
		return 3;
	if (take("hang"))
		pause();
	if (take("early"))
		say_type(PM_CONF_OK);
	say_ready(take("wrong-generation"));
	for (;;) {
		if (poll(&p, 1, 20) == 1)
			receive();
		misbehave();
	}
}
