#include "routed/routed.h"

#include <event2/event.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "proc/stats.h"
#include "routed/spread.h"
#include "routed/targets.h"

#define TICK_S		1	/* at most one transaction in this time */
#define MEASURED_TICKS	60	/* what is only measured is written this often: it changes all the time */
#define REOPEN_TICKS	60
#define KNOWN_TICKS	5	/* known nodes say something new once a minute at least, each */
#define EXPIRE_TICKS	3600
#define SERVICES_EXPIRE_TICKS 5
#define SERVICES_PAUSE_MS 10

/*
 * What SQLite does with its one file and the log beside it; what of it a run shows is in tests/net/services.sh.
 * fchmod only when the file has another mode than the umask gives, readlink only when it is a link (and then refused);
 * rename is move_aside()'s. No fsync, lseek or stat: it has fdatasync, pread and newfstatat for them.
 */
static const int syscalls[] = {
	SCMP_SYS(openat), SCMP_SYS(getcwd), SCMP_SYS(newfstatat), SCMP_SYS(readlink), SCMP_SYS(pread64),
	SCMP_SYS(pwrite64), SCMP_SYS(ftruncate), SCMP_SYS(fdatasync), SCMP_SYS(fcntl), SCMP_SYS(geteuid),
	SCMP_SYS(fchmod), SCMP_SYS(unlink), SCMP_SYS(rename), -1
};

static struct routed *
self(struct worker *w)
{
	return w->state;
}

/* --- the dataplane --- */

static void
sync_targets(struct routed *r)
{
	if (r->dataplane != NULL && r->conf != NULL)
		targets_sync(r->dir, r->dataplane);	/* a full channel: again when it is writable */
}

/* A lot is told piece by piece: the dataplane hands it on, and nobody's channel is to overflow. */
static void
sync_services(struct routed *r)
{
	static const struct timeval soon = { .tv_usec = SERVICES_PAUSE_MS * 1000 };

	if (r->dataplane == NULL || evtimer_pending(r->again, NULL))
		return;
	if (services_sync(r->dir, r->dataplane, clock_ns()) == 1)
		evtimer_add(r->again, &soon);
}

static void
dataplane_lost(struct routed *r)
{
	ipc_free(r->dataplane);
	r->dataplane = NULL;
	spread_lost(r->spread);
	r->dir->dataplane = false;
	targets_forget(r->dir);
	directory_all_down(r->dir, REASON_PEER_GONE);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	sync_services(arg);
}

/* What peers send is counted, and seen in the log now and then. */
static void
peer_records(struct routed *r, const struct pm_records *m)
{
	enum services_error e = services_take(r->dir, m, clock_wall());
	const struct peer *p;

	_Static_assert(STAT_ROUTED_SERVICES_E_MEMORY - STAT_ROUTED_SERVICES_TAKEN == SERVICES_E_COUNT - 1,
	    "a counter for each");
	stats->counter[STAT_ROUTED_SERVICES_TAKEN + e]++;
	if (e == SERVICES_OK || !ratelimit_take(&r->refused_logs, clock_ns()))
		return;
	p = directory_find(r->dir, m->node_id);
	log_warnx("services of peer=%s are not believed: %s", p != NULL ? peer_name(p) : "?", services_strerror(e));
}

static void
peer_up(struct routed *r, const struct pm_peer_up *m)
{
	if (directory_peer_up(r->dir, m, clock_ns(), clock_wall()) == -1)
		log_warn("peer=%s not kept in the directory", m->name);
	spread_peer_up(r->spread, m);
	STAT_INC(ROUTED_SESSIONS_UP);
}

static int
dispatch(struct routed *r, const struct procmsg *m)
{
	switch (m->type) {
	case PM_PEER_UP:
		peer_up(r, &m->peer_up);
		return 0;
	case PM_PEER_DOWN:
		directory_peer_down(r->dir, &m->peer_down);
		spread_peer_down(r->spread, &m->peer_down);
		STAT_INC(ROUTED_SESSIONS_DOWN);
		return 0;
	case PM_PEER_STAT:
		directory_peer_stat(r->dir, &m->peer_stat, clock_ns(), clock_wall());
		STAT_INC(ROUTED_MEASUREMENTS);
		return 0;
	case PM_RECORDS:
		peer_records(r, &m->records);
		return 0;
	case PM_SERVICES:
		services_again(r->dir);
		return 0;
	case PM_DIAL_FAILED:
		directory_dial_failed(r->dir, &m->dial_failed, clock_wall());
		STAT_INC(ROUTED_DIAL_FAILURES);
		return 0;
	default:
		return spread_dataplane(r->spread, m);
	}
}

static int
dataplane_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct procmsg m;

	if (fd != -1) {
		close(fd);
		return -1;
	}
	if (f->type < FT_PROC_FIRST)
		return spread_frame(((struct routed *)arg)->spread, f);
	return procmsg_decode(&m, f) < 0 ? -1 : dispatch(arg, &m);
}

static void
dataplane_batch_end(struct ipc *ipc, void *arg)
{
	struct routed *r = arg;

	spread_run(r->spread);
	sync_targets(r);
	sync_services(r);
}

static void
dataplane_closed(struct ipc *ipc, const char *why, void *arg)
{
	log_info("channel to dataplane closed: %s", why);
	dataplane_lost(arg);
}

static const struct ipc_ops dataplane_ops = {
	.frame = dataplane_frame,
	.batch_end = dataplane_batch_end,
	.writable = dataplane_batch_end,
	.closed = dataplane_closed,
};

static void
routed_port(struct worker *w, enum worker_kind kind, int fd)
{
	struct routed *r = self(w);

	if (kind != WORKER_DATAPLANE) {
		log_warnx("a channel to %s is not routed's", worker_name(kind));
		close(fd);
		return;
	}
	dataplane_lost(r);
	r->dataplane = ipc_new(w->base, fd, &dataplane_ops, r);
	if (r->dataplane == NULL)
		fatal("channel to dataplane");
	r->dir->dataplane = true;
	services_again(r->dir);
	spread_port(r->spread);
	sync_targets(r);
	sync_services(r);
}

/* --- configuration --- */

static void
conf_begin(struct worker *w)
{
	struct routed *r = self(w);

	routed_conf_free(r->pending);
	r->pending = routed_conf_new();
	if (r->pending == NULL)
		fatal("configuration");
}

static int
conf_item(struct worker *w, const struct procmsg *m, int fd)
{
	if (fd != -1)
		close(fd);
	return routed_conf_item(self(w)->pending, m, w->conf_error);
}

static int
conf_check(struct worker *w)
{
	return routed_conf_check(self(w)->pending, w->conf_error);
}

static void
conf_commit(struct worker *w)
{
	struct routed *r = self(w);

	routed_conf_free(r->conf);
	r->conf = r->pending;
	r->pending = NULL;
	directory_configure(r->dir, r->conf);
	STAT_SET(ROUTED_PEERS_CONFIGURED, r->conf->npeers);
	spread_conf(r->spread);
	sync_targets(r);
}

static void
conf_abort(struct worker *w)
{
	struct routed *r = self(w);

	routed_conf_free(r->pending);
	r->pending = NULL;
}

/* --- life --- */

static void
count_peers(const struct routed *r)
{
	uint64_t up = 0, now = clock_ns();

	for (size_t i = 0; i < r->dir->npeers; i++)
		up += peer_state(r->dir, r->dir->peers[i], now) == PEER_STATE_UP;
	STAT_SET(ROUTED_PEERS_UP, up);
	STAT_SET(ROUTED_PEERS_KNOWN, r->dir->npeers);
}

static void
tick(evutil_socket_t fd, short what, void *arg)
{
	struct routed *r = arg;

	r->ticks++;
	if (r->ticks % EXPIRE_TICKS == 0)
		directory_expire(r->dir, clock_wall());
	if (store_is_open(r->store) || r->ticks % REOPEN_TICKS == 0)
		store_save(r->store, r->dir, r->ticks % MEASURED_TICKS == 0);
	if (store_is_open(r->store) && !r->spread->loading && r->ticks % KNOWN_TICKS == 0)
		store_save_known(r->store, r->spread->knowns, r->spread->own.serial, false);
	if (r->ticks % SERVICES_EXPIRE_TICKS == 0)
		services_expire(r->dir, clock_wall());
	count_peers(r);
	spread_tick(r->spread, r->ticks);
	sync_targets(r);
	sync_services(r);
}

static void
routed_init(struct worker *w)
{
	crypto_init();
	store_init();
}

static void
routed_start(struct worker *w)
{
	struct routed *r = calloc(1, sizeof(*r));
	struct timeval tv = { .tv_sec = TICK_S };

	if (r == NULL || (r->dir = directory_new()) == NULL || (r->store = store_new(STORE_FILE)) == NULL)
		fatal("start");
	w->state = r;
	r->worker = w;
	STAT_SET(ROUTED_STARTS, w->generation);
	store_load(r->store, r->dir);
	directory_expire(r->dir, clock_wall());
	ratelimit_init(&r->refused_logs, 10 * NS_PER_SEC, 5);
	if ((r->again = evtimer_new(w->base, on_again, r)) == NULL)
		fatal("timer");
	r->tick = event_new(w->base, -1, EV_PERSIST, tick, r);
	if (r->tick == NULL || event_add(r->tick, &tv) == -1)
		fatal("timer");
	if ((r->spread = spread_new(r)) == NULL)
		fatal("start");
	answers_init(r);
}

/* The supervisor's word: what this node serves, certificates, signed files, the machine. */
static int
routed_message(struct worker *w, const struct procmsg *m, int fd)
{
	struct routed *r = self(w);

	if (m->type != PM_RECORDS)
		return spread_message(r->spread, m);
	if (services_own(r->dir, &m->records, clock_wall()) == -1)
		return -1;
	log_debug("own services=%zu", r->dir->board.own.n);
	spread_services(r->spread);
	sync_services(r);
	return 0;
}

static void
routed_drain(struct worker *w, unsigned ms)
{
	struct routed *r = self(w);

	store_save(r->store, r->dir, true);
	if (!r->spread->loading)	/* else what was not read yet would be taken for gone */
		store_save_known(r->store, r->spread->knowns, r->spread->own.serial, true);
	store_free(r->store);
	r->store = NULL;
	event_del(r->tick);
	manager_free(r->spread->manager);	/* what was relayed since it was last written, and the files closed */
	r->spread->manager = NULL;
	worker_exit(w);
}

const struct worker_ops routed_ops = {
	.kind = WORKER_ROUTED,
	.network = false,
	.files = true,
	.nofile = 32,
	.memory = 1u << 30,	/* the known nodes, KNOWN_MAX of a few KB each, and the streams to neighbours */
	.syscalls = syscalls,
	.init = routed_init,
	.start = routed_start,
	.conf_begin = conf_begin,
	.conf_item = conf_item,
	.conf_check = conf_check,
	.conf_commit = conf_commit,
	.conf_abort = conf_abort,
	.port = routed_port,
	.message = routed_message,
	.request = answers_request,
	.drain = routed_drain,
};
