#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "vpnd/vpnd.h"

#define TICK_S		1
#define EXPIRE_TICKS	5	/* between looks for idle streams */
#define ICMP_INTERVAL_NS (NS_PER_SEC / 100)
#define ICMP_BURST	50

static void
on_tun(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vpn_out_run(arg);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct vpnd *v = arg;

	(void)fd;
	(void)what;
	v->now_ns = clock_ns();
	STAT_ADD(VPND_IN_DROP_FRAGMENT_TIMEOUT, frag_expire(v->frags, v->now_ns));
	vpn_keys_run(v);
	vpn_streams_expire(v);
	if (++v->ticks % EXPIRE_TICKS == 0)
		vpn_flows_expire(v);
	vpn_routes_update(v);
	if (v->tun_event != NULL && !event_pending(v->tun_event, EV_READ, NULL))
		event_add(v->tun_event, NULL);
}

static void
vpnd_init(struct worker *w)
{
	(void)w;
	crypto_init();
}

static void
vpnd_start(struct worker *w)
{
	struct vpnd *v = calloc(1, sizeof(*v));
	struct timeval each = { TICK_S, 0 };

	if (v == NULL)
		fatal("vpnd");
	w->state = v;
	v->worker = w;
	v->tun.fd = -1;
	v->now_ns = clock_ns();
	v->frags = frag_new();
	v->routes = lpm_new();
	v->tick = event_new(w->base, -1, EV_PERSIST, on_tick, v);
	if (v->frags == NULL || v->routes == NULL || v->tick == NULL || event_add(v->tick, &each) == -1)
		fatal("vpnd");
	crypto_random(&v->seed, sizeof(v->seed));
	vpn_keys_start(v);
	ratelimit_init(&v->icmp_limit, ICMP_INTERVAL_NS, ICMP_BURST);
	STAT_SET(VPND_STARTS, w->generation);
}

static void
tun_stop(struct vpnd *v)
{
	if (v->tun_event != NULL)
		event_free(v->tun_event);
	v->tun_event = NULL;
	coalesce_free(v->coalescer);
	v->coalescer = NULL;
	tun_detach(&v->tun);
}

/* From here on the running configuration's TUN is the one that is read. */
static void
tun_start(struct vpnd *v)
{
	struct vpn_conf *c = v->conf;
	bool offload = c->tun.vnet_hdr && c->tun.offload;
	struct coalesce_config cc = { .vnet_hdr = c->tun.vnet_hdr, .tcp = offload, .udp = offload,
	    .seed = v->seed, .write = vpn_in_write, .arg = v };

	tun_stop(v);
	if (c->tun_fd == -1)
		return;
	if (tun_attach(&v->tun, c->tun_fd, c->tun.vnet_hdr) == -1)
		fatal("TUN");
	c->tun_fd = -1;
	v->gso_taken = v->gso_refused = v->gso_given_up = 0;
	v->tun_failed = false;
	v->coalescer = coalesce_new(&cc);
	v->tun_event = event_new(v->worker->base, v->tun.fd, EV_READ | EV_PERSIST, on_tun, v);
	if (v->coalescer == NULL || v->tun_event == NULL || event_add(v->tun_event, NULL) == -1)
		fatal("TUN");
}

static void
vpnd_commit(struct worker *w)
{
	struct vpnd *v = w->state;

	vpn_conf_free(v->conf);
	v->conf = v->next;
	v->next = NULL;
	vpn_peers_configure(v);
	vpn_routes_update(v);
	tun_start(v);
	vpn_keys_configured(v);
	if (v->port != NULL)
		ipc_flush(v->port);
	log_info("configured interface=%s mtu=%u peers=%zu prefixes=%zu offload=%d",
	    v->conf->have_vpn ? v->conf->vpn.ifname : "none", (unsigned)v->conf->vpn.mtu, v->conf->npeers,
	    lpm_count(v->routes), v->conf->tun.offload);
}

static void
vpnd_port(struct worker *w, enum worker_kind kind, int fd)
{
	struct vpnd *v = w->state;

	(void)kind;	/* worker_main() lets only the dataplane through: it is vpnd's one neighbour */
	v->now_ns = clock_ns();
	vpn_port_set(v, fd);
}

static void
vpnd_request(struct worker *w, const struct pm_request *r)
{
	struct vpnd *v = w->state;

	if (strcmp(r->command, "vpn") != 0 && strcmp(r->command, "packets") != 0) {
		worker_done(w, r->id, 1, "vpnd knows no such command");
		return;
	}
	if (v->conf != NULL && strcmp(r->command, "vpn") == 0)
		vpn_routes_rows(v, r->id);
	else if (v->conf != NULL)
		vpn_streams_rows(v, r->id);
	worker_done(w, r->id, 0, "");
}

static int
vpnd_message(struct worker *w, const struct procmsg *m, int fd)
{
	struct vpnd *v = w->state;

	if (fd != -1)
		close(fd);
	if (m->type != PM_DELEGATION)
		return -1;
	v->now_ns = clock_ns();
	if (vpn_keys_delegation(v, &m->delegation) == -1)
		return -1;
	if (v->port != NULL)
		ipc_flush(v->port);
	return 0;
}

static const int no_more_syscalls[] = { -1 };

const struct worker_ops vpnd_ops = {
	.kind = WORKER_VPND,
	.network = false,
	.nice = -10,		/* packets go before whatever else this machine computes, as in its kernel */
	.nofile = 64,
	.memory = 48u * 1024 * 1024,
	.syscalls = no_more_syscalls,	/* read and writev of the TUN are in every worker's list */
	.init = vpnd_init,
	.start = vpnd_start,
	.conf_begin = vpn_conf_begin,
	.conf_item = vpn_conf_item,
	.conf_check = vpn_conf_check,
	.conf_commit = vpnd_commit,
	.conf_abort = vpn_conf_abort,
	.port = vpnd_port,
	.message = vpnd_message,
	.request = vpnd_request,
};
