#include "proc/worker.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "proc/sandbox.h"
#include "proc/stats.h"
#include "wire/fields.h"

/* Where the worker stands; a message of the supervisor's is legal in some of them. */
enum state {
	IDLE	 = 1,	/* no transaction: before the first, or with a running configuration */
	CONF	 = 2,	/* between PM_CONF_BEGIN and PM_CONF_END */
	CHECKED	 = 4,	/* answered PM_CONF_OK */
	STOPPING = 8,
	ANY	 = IDLE | CONF | CHECKED | STOPPING
};

/* A worker is one for its process. */
static enum state state = IDLE;
static bool conf_failed;	/* an item was refused: the others are not looked at any more */
static int exit_status;

struct options {
	uint32_t generation;
	uid_t	 uid;
	gid_t	 gid;
	const char *chroot;
	enum log_level level;
	bool	 have_uid, have_gid, have_level;
};

static void
close_fd(int fd)
{
	if (fd != -1)
		close(fd);
}

void
worker_send(struct worker *w, const struct procmsg *m, int fd)
{
	if (procmsg_send(w->ctl, m, fd) == -1) {
		if (errno != EAGAIN)
			fatal("cannot encode message=%s", procmsg_name(m->type));
		/* The supervisor does not read, or is gone and we with it soon: what asks again will ask again. */
		log_warnx("control channel full, lost message=%s", procmsg_name(m->type));
	}
	ipc_flush(w->ctl);
}

/* Text that is sent has to be printable, whatever it quotes. */
static void
copy_text(char *dst, size_t size, const char *src)
{
	size_t len = strnlen(src, size - 1);

	while (len > 0 && ((unsigned char)src[len] & 0xc0) == 0x80)
		len--;
	memcpy(dst, src, len);
	dst[len] = '\0';
	if (text_printable((const uint8_t *)dst, len))
		return;
	for (size_t i = 0; i < len; i++)
		if (dst[i] < 0x20 || dst[i] > 0x7e)
			dst[i] = '?';
}

/* --- answers --- */

/* What the control channel has not taken yet of answers: frames, each behind its length, in the order of their making. */
static struct evbuffer *waiting;

/* Rows of the answer that is made now which nobody will send: worker_row_once(). */
static uint64_t lost_id;
static unsigned lost_rows;

/* What else the worker has to tell the supervisor finds room beside answers, however long they are. */
static bool
has_room(struct ipc *ctl)
{
	return ipc_backlog(ctl) <= IPC_QUEUE_MAX / 2 * IPC_MSG_FLUSH;
}

/* It waits, with what waits already in front of it. -1: too much does, or there is no memory. */
static int
wait_for_room(struct worker *w, const struct procmsg *m, size_t max)
{
	uint8_t buf[sizeof(size_t) + FRAME_CONTROL_MAX];
	size_t len = procmsg_encode(buf + sizeof(len), sizeof(buf) - sizeof(len), m);

	memcpy(buf, &len, sizeof(len));
	if (len == 0 || (waiting == NULL && (waiting = evbuffer_new()) == NULL) ||
	    evbuffer_get_length(waiting) + sizeof(len) + len > max || evbuffer_add(waiting, buf, sizeof(len) + len) == -1)
		return -1;
	ipc_want_room(w->ctl);
	return 0;
}

static int
answer(struct worker *w, const struct procmsg *m, size_t max)
{
	if ((waiting != NULL && evbuffer_get_length(waiting) > 0) || !has_room(w->ctl))
		return wait_for_room(w, m, max);
	return procmsg_send(w->ctl, m, -1) == 0 ? 0 : wait_for_room(w, m, max);
}

void
worker_writable(struct ipc *ctl, void *arg)
{
	uint8_t *p;
	size_t len;

	while (waiting != NULL && evbuffer_copyout(waiting, &len, sizeof(len)) == sizeof(len)) {
		if (!has_room(ctl)) {
			ipc_want_room(ctl);
			return;
		}
		if ((p = ipc_reserve(ctl, len)) == NULL)
			return;
		evbuffer_drain(waiting, sizeof(len));
		evbuffer_remove(waiting, p, len);
		ipc_commit(ctl, len);
	}
	ipc_flush(ctl);
}

int
worker_row(struct worker *w, uint64_t id, const struct row_writer *row)
{
	struct procmsg m = { .type = PM_ROW, .row = { .id = id, .row = { row->buf, row->len } } };

	if (row->failed) {
		log_warnx("row too long, request=%llu", (unsigned long long)id);
		return -1;
	}
	return answer(w, &m, WORKER_WAIT_MAX);
}

void
worker_row_once(struct worker *w, uint64_t id, const struct row_writer *row)
{
	if (lost_id != id)
		lost_rows = 0;
	lost_id = id;
	if (worker_row(w, id, row) == -1)
		lost_rows++;
}

void
worker_done(struct worker *w, uint64_t id, unsigned status, const char *text)
{
	struct procmsg m = { .type = PM_DONE, .done = { .id = id, .status = (uint8_t)status } };

	if (text != NULL)
		copy_text(m.done.text, sizeof(m.done.text), text);
	if (lost_id == id && lost_rows > 0) {
		m.done.status = 1;
		snprintf(m.done.text, sizeof(m.done.text),
		    "%u rows more are left out: they are too long, or too much waits to be read", lost_rows);
		lost_rows = 0;
	}
	if (answer(w, &m, 2 * WORKER_WAIT_MAX) == -1)
		log_warnx("no room for the end of an answer, request=%llu", (unsigned long long)id);
	ipc_flush(w->ctl);
}

void
worker_exit(struct worker *w)
{
	event_base_loopbreak(w->base);
}

static int
pass_on(struct worker *w, const struct procmsg *m, int fd)
{
	if (w->ops->message != NULL)
		return w->ops->message(w, m, fd);
	close_fd(fd);
	return -1;
}

/* The channels that exist: the dataplane with each of these. */
static bool
port_legal(enum worker_kind self, unsigned other)
{
	unsigned w = self == WORKER_DATAPLANE ? other : self;

	if ((self == WORKER_DATAPLANE) == (other == WORKER_DATAPLANE))
		return false;
	return w == WORKER_ROUTED || w == WORKER_VPND || w == WORKER_SVCHOSTD;
}

static int
on_port(struct worker *w, const struct procmsg *m, int fd)
{
	if (!port_legal(w->kind, m->port.kind) || w->ops->port == NULL) {
		close_fd(fd);
		return -1;
	}
	log_debug("channel to worker=%s generation=%u", worker_name(m->port.kind), m->port.generation);
	w->ops->port(w, (enum worker_kind)m->port.kind, fd);
	return 0;
}

static int
on_log(struct worker *w, const struct procmsg *m, int fd)
{
	if (m->log.has_fd != (fd != -1)) {
		close_fd(fd);
		return -1;
	}
	log_setlevel((enum log_level)m->log.level);
	if (fd == -1)
		return 0;
	/* The supervisor made it our stderr too: the rotated file must not stay open there. */
	if (dup2(fd, STDERR_FILENO) == -1)
		log_warn("stderr");
	log_setfd(fd);
	return 0;
}

static int
on_stop(struct worker *w, const struct procmsg *m, int fd)
{
	log_debug("stopping, drain_ms=%u", m->stop.drain_ms);
	if (state == CONF || state == CHECKED)
		w->ops->conf_abort(w);
	state = STOPPING;
	if (w->ops->drain != NULL)
		w->ops->drain(w, m->stop.drain_ms);
	else
		worker_exit(w);
	return 0;
}

static int
on_conf_begin(struct worker *w, const struct procmsg *m, int fd)
{
	log_debug("configuration version=%llu", (unsigned long long)m->conf_begin.version);
	w->conf_error[0] = '\0';
	conf_failed = false;
	state = CONF;
	w->ops->conf_begin(w);
	return 0;
}

/* What cannot be taken is told at the end: the supervisor sends a transaction without waiting in between. */
static int
on_conf_item(struct worker *w, const struct procmsg *m, int fd)
{
	if (conf_failed) {
		close_fd(fd);
		return 0;
	}
	if (w->ops->conf_item(w, m, fd) == 0)
		return 0;
	conf_failed = true;
	if (w->conf_error[0] == '\0')
		snprintf(w->conf_error, sizeof(w->conf_error), "refused: %s", procmsg_name(m->type));
	return 0;
}

static int
on_conf_end(struct worker *w, const struct procmsg *m, int fd)
{
	struct procmsg answer = { .type = PM_CONF_OK };

	if (!conf_failed && w->ops->conf_check(w) == 0) {
		state = CHECKED;
	} else {
		state = IDLE;
		w->ops->conf_abort(w);
		answer.type = PM_CONF_BAD;
		copy_text(answer.conf_bad.text, sizeof(answer.conf_bad.text), w->conf_error);
		log_warnx("configuration refused: %s", answer.conf_bad.text);
	}
	worker_send(w, &answer, -1);
	return 0;
}

static int
on_conf_commit(struct worker *w, const struct procmsg *m, int fd)
{
	state = IDLE;
	w->ops->conf_commit(w);
	return 0;
}

/* Legal without a transaction as well: this worker may have refused it, or be newer than it. */
static int
on_conf_abort(struct worker *w, const struct procmsg *m, int fd)
{
	if (state == CONF || state == CHECKED) {
		state = IDLE;
		w->ops->conf_abort(w);
	}
	return 0;
}

static int
on_request(struct worker *w, const struct procmsg *m, int fd)
{
	if (state == STOPPING)
		worker_done(w, m->request.id, 1, "stopping");
	else if (w->ops->request == NULL)
		worker_done(w, m->request.id, 1, "no such command");
	else
		w->ops->request(w, &m->request);
	return 0;
}

#define KIND(k) (1u << (k))
#define EVERY	(KIND(WORKER_COUNT) - 1)

/* What the supervisor may say, to whom, and when. Anything else is not our supervisor. */
static const struct rule {
	enum procmsg_type type;
	unsigned kinds;
	unsigned states;
	int	(*act)(struct worker *, const struct procmsg *, int fd);
} rules[] = {
	{ PM_STATS, KIND(WORKER_TELEMD), ANY, pass_on },
	{ PM_PORT, EVERY, ANY, on_port },
	{ PM_LOG, EVERY, ANY, on_log },
	{ PM_STOP, EVERY, ANY, on_stop },
	{ PM_SECRET, KIND(WORKER_DATAPLANE), IDLE, pass_on },
	{ PM_NET_CHANGED, KIND(WORKER_DATAPLANE), ANY, pass_on },
	{ PM_CONF_BEGIN, EVERY, IDLE, on_conf_begin },
	{ PM_CONF_END, EVERY, CONF, on_conf_end },
	{ PM_CONF_COMMIT, EVERY, CHECKED, on_conf_commit },
	{ PM_CONF_ABORT, EVERY, ANY, on_conf_abort },
	{ PM_CONF_NODE, EVERY, CONF, on_conf_item },
	{ PM_CONF_PEER, EVERY, CONF, on_conf_item },
	{ PM_CONF_PEER_ADDR, EVERY, CONF, on_conf_item },
	{ PM_CONF_PEER_PREFIX, EVERY, CONF, on_conf_item },
	{ PM_CONF_SESSION, EVERY, CONF, on_conf_item },
	{ PM_CONF_SOCKET, EVERY, CONF, on_conf_item },
	{ PM_CONF_VPN, EVERY, CONF, on_conf_item },
	{ PM_CONF_TUN, EVERY, CONF, on_conf_item },
	{ PM_CONF_SERVICE, EVERY, CONF, on_conf_item },
	{ PM_CONF_STATE_DIR, EVERY, CONF, on_conf_item },
	{ PM_CONF_LISTEN, KIND(WORKER_SVCHOSTD), CONF, on_conf_item },
	{ PM_CONF_ROUTING, KIND(WORKER_ROUTED), CONF, on_conf_item },
	{ PM_CONF_WEIGHT, KIND(WORKER_ROUTED), CONF, on_conf_item },
	{ PM_SIGNED, KIND(WORKER_ROUTED), ANY, pass_on },
	{ PM_SYSTEM, KIND(WORKER_ROUTED), ANY, pass_on },
	{ PM_DELEGATION, EVERY, ANY, pass_on },
	{ PM_RECORDS, KIND(WORKER_ROUTED), ANY, pass_on },
	{ PM_CONNECTED, KIND(WORKER_SVCHOSTD), ANY, pass_on },
	{ PM_LOCAL, KIND(WORKER_SVCHOSTD), ANY, pass_on },
	{ PM_REQUEST, EVERY, ANY, on_request },
};

static const struct rule *
rule_of(const struct worker *w, uint64_t type)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].type == type && (rules[i].kinds & KIND(w->kind)) != 0 &&
		    (rules[i].states & state) != 0)
			return &rules[i];
	return NULL;
}

static int
on_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct worker *w = arg;
	const struct rule *rule = rule_of(w, f->type);
	struct procmsg m;
	int err;

	if (rule == NULL)
		fatalx("supervisor: message=%s (0x%llx) out of place in state=%d", procmsg_name(f->type),
		    (unsigned long long)f->type, state);
	err = procmsg_decode(&m, f);
	if (err != 0)
		fatalx("supervisor: message=%s: %s", procmsg_name(f->type), frame_strerror(err));
	if (rule->act(w, &m, fd) == -1)
		fatalx("supervisor: message=%s not for this worker", procmsg_name(f->type));
	return 0;
}

/* Nothing is left to do without a supervisor, and nobody to hand the traffic's descriptors to a successor. */
static void
on_closed(struct ipc *ipc, const char *why, void *arg)
{
	log_warnx("control channel: %s", why);
	exit_status = 1;
	worker_exit(arg);
}

static const struct ipc_ops ctl_ops = { .frame = on_frame, .writable = worker_writable, .closed = on_closed };

static unsigned long
number(const char *what, const char *s, unsigned long max)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (s[0] < '0' || s[0] > '9' || *end != '\0' || errno != 0 || v > max)
		fatalx("%s: not a number up to %lu: %s", what, max, s);
	return v;
}

static void
parse_options(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "g:u:G:c:l:")) != -1) {
		switch (c) {
		case 'g':
			o->generation = (uint32_t)number("generation", optarg, UINT32_MAX);
			break;
		case 'u':
			o->uid = (uid_t)number("uid", optarg, UINT32_MAX - 1);
			o->have_uid = true;
			break;
		case 'G':
			o->gid = (gid_t)number("gid", optarg, UINT32_MAX - 1);
			o->have_gid = true;
			break;
		case 'c':
			o->chroot = optarg;
			break;
		case 'l':
			if (log_level_parse(optarg, &o->level) == -1)
				fatalx("no such log level: %s", optarg);
			o->have_level = true;
			break;
		default:
			fatalx("fabricd starts this program; it is of no use alone");
		}
	}
	if (optind != argc || o->generation == 0 || !o->have_level || o->have_uid != o->have_gid)
		fatalx("fabricd starts this program; it is of no use alone");
	if (o->have_uid && (geteuid() != 0 || o->chroot == NULL))
		fatalx("a user to become needs root and a directory");
}

/*
 * Signals that a terminal or a service manager sends to the whole group are for the supervisor, which then
 * says PM_STOP.
 */
static void
ignore_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2 };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

static void
prepare_descriptors(void)
{
	for (int fd = WORKER_FD_CTL; fd < WORKER_FD_FIRST_FREE; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
			fatal("descriptor %d", fd);
	closefrom(WORKER_FD_FIRST_FREE);
	if (fcntl(WORKER_FD_CTL, F_SETFL, O_NONBLOCK) == -1)
		fatal("control channel");
}

/*
 * Not EVENT_BASE_FLAG_PRECISE_TIMER: libevent then sets a timerfd before every wait, a sixth of a busy worker's
 * time. Who needs more than epoll's milliseconds keeps a timerfd of its own, as the dataplane does.
 */
static struct event_base *
make_base(void)
{
	struct event_base *base = event_base_new();

	if (base == NULL)
		fatalx("no event loop");
	return base;
}

static void
confine(const struct worker *w, const struct options *o)
{
	const struct sandbox s = {
		.privileged = w->privileged, .uid = o->uid, .gid = o->gid, .chroot = o->chroot,
		.files = w->ops->files, .network = w->ops->network, .nofile = w->ops->nofile,
		.memory = w->ops->memory, .syscalls = w->ops->syscalls,
		.sockopts = w->ops->sockopts,
	};

	sandbox_enter(&s);
}

static void
say_ready(struct worker *w)
{
	const struct procmsg m = { .type = PM_READY,
	    .ready = { .generation = w->generation, .pid = (uint32_t)getpid() } };

	worker_send(w, &m, -1);
}

static void
prepare(struct worker *w, const struct worker_ops *ops, const struct options *o)
{
	w->ops = ops;
	w->kind = ops->kind;
	w->generation = o->generation;
	w->privileged = o->have_uid;
	ignore_signals();
	prepare_descriptors();
	log_init(worker_name(ops->kind), WORKER_FD_LOG, o->level);
	if (stats_map(WORKER_FD_STATS, ops->kind, o->generation) == -1)
		fatal("counter page");
	w->base = make_base();
}

/*
 * Before or behind other programs. Where the kernel weighs sessions against each other, a nice value counts within its
 * session alone (sched(7), "The autogroup feature"): the worker gets one of its own, and that the same value. Without
 * privilege this fails, and nothing depends on it.
 */
static void
set_nice(int nice)
{
	int fd;

	if (setpriority(PRIO_PROCESS, 0, nice) == -1 || setsid() == -1) {
		log_debug("nice=%d: %s", nice, strerror(errno));
		return;
	}
	fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	if (fd == -1)
		return;		/* this kernel has no such groups */
	if (dprintf(fd, "%d", nice) < 0)
		log_debug("autogroup nice=%d: %s", nice, strerror(errno));
	close(fd);
}

int
worker_main(const struct worker_ops *ops, int argc, char **argv)
{
	struct options o = { .level = LOG_LEVEL_INFO };
	struct worker w = { .ops = NULL };

	parse_options(&o, argc, argv);
	prepare(&w, ops, &o);
	if (ops->init != NULL)
		ops->init(&w);
	if (ops->nice != 0)
		set_nice(ops->nice);
	confine(&w, &o);
	w.ctl = ipc_new(w.base, WORKER_FD_CTL, &ctl_ops, &w);
	if (w.ctl == NULL)
		fatal("control channel");
	if (ops->start != NULL)
		ops->start(&w);
	say_ready(&w);
	if (event_base_dispatch(w.base) == -1)
		fatal("event loop");
	ipc_flush(w.ctl);
	ipc_free(w.ctl);
	event_base_free(w.base);
	return exit_status;
}
