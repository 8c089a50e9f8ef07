/*
 * vpnd_pair -v VPND -a NETNS -b NETNS [-d datagram_max] [-s] [-l loss] [-m mtu] [-p] [-n] [-w TEXT]: two vpnd, each with
 * a TUN in a network namespace of its own, and between them a dataplane that only hands streams over. It certifies the
 * keys of both, as their supervisors would, and tells each of the other's service.
 *
 *	ns a: tun0 10.77.0.1 -- vpnd -- (this process) -- vpnd -- tun0 10.77.0.2 :ns b
 *
 * -s: path MTU discovery has ended; -l: of a thousand units so many are lost; -n: a TUN without offload;
 * -p: without the header (as Android's). Prints "ready" when both are up. A line "stats" on standard input prints
 * both workers' counters, "down" and "up" take the session away and bring it back, "kill" kills and restarts b's vpnd,
 * "tamper" changes a bit of each unit from then on or no more, "twice" hands each over twice or no more, the input's end
 * ends all. -w: counts what crossed with this text in it, or a part of 16 bytes of it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "fabric/streamid.h"
#include "proc/ipc.h"
#include "proc/stats.h"
#include "proc/worker.h"

#define STREAMS 100000
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct side {
	const char *ns;
	char	 name;
	uint8_t	 id[NODE_ID_LEN];
	uint8_t	 addr6[16];
	struct sign_key key;
	uint8_t	 e2e[RECORD_KEY_LEN];	/* vpnd's; zero: not said yet */
	bool	 has_e2e;
	int	 tun, stats_fd;
	const struct stats_page *page;
	pid_t	 pid;
	uint32_t generation;
	struct ipc *ctl, *port;
	struct stream_ids ids;
	uint64_t other[STREAMS];	/* the id on the other side's port, by the id on this one */
	bool	 bound, committed;
	struct side *peer;
};

static struct side sides[2];
static struct event_base *base;
static const char *vpnd;
static uint32_t datagram_max = 1420;
static unsigned loss, mtu = 1380;
static bool settled, no_offload, plain, session = true, announced;
static uint64_t full;		/* frames for which there was no room */
static struct sign_key authority;
static const char *text;
static uint64_t crossed, seen;	/* bytes of units, and units with the text in them */
static bool tamper, twice;

static int
open_tun(const char *ns)
{
	char path[64];
	int fd, nsfd, home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | (plain ? 0 : IFF_VNET_HDR) };
	unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	nsfd = open(path, O_RDONLY | O_CLOEXEC);
	if (nsfd == -1 || setns(nsfd, CLONE_NEWNET) == -1)
		err(1, "%s", path);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	strcpy(ifr.ifr_name, "tun0");
	if (fd == -1 || ioctl(fd, TUNSETIFF, &ifr) == -1)
		err(1, "tun");
	if (!plain && !no_offload && ioctl(fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) == -1 &&
	    ioctl(fd, TUNSETOFFLOAD, offload) == -1)
		err(1, "TUNSETOFFLOAD");
	if (setns(home, CLONE_NEWNET) == -1)
		err(1, "setns");
	close(home);
	close(nsfd);
	return fd;
}

static void
configure_tun(const struct side *s, unsigned n)
{
	char cmd[512], addr6[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, s->addr6, addr6, sizeof(addr6));
	snprintf(cmd, sizeof(cmd), "ip -n %s link set tun0 mtu %u up && ip -n %s addr add 10.77.0.%u/16 dev tun0 && "
	    "ip -n %s -6 addr add %s/32 dev tun0 nodad", s->ns, mtu, s->ns, n, s->ns, addr6);
	if (system(cmd) != 0)
		errx(1, "%s", cmd);
}

static void
send_conf(struct side *s)
{
	struct procmsg m = { .type = PM_CONF_BEGIN };
	unsigned n = s->name == 'a' ? 1 : 2;

	procmsg_send(s->ctl, &m, -1);
	m = (struct procmsg){ .type = PM_CONF_NODE };
	snprintf(m.conf_node.name, sizeof(m.conf_node.name), "node-%c", s->name);
	snprintf(m.conf_node.tenant, sizeof(m.conf_node.tenant), "acme");
	memcpy(m.conf_node.node_id, s->id, NODE_ID_LEN);
	memcpy(m.conf_node.authority, authority.public, RECORD_KEY_LEN);
	procmsg_send(s->ctl, &m, -1);
	m = (struct procmsg){ .type = PM_CONF_PEER };
	snprintf(m.conf_peer.name, sizeof(m.conf_peer.name), "node-%c", s->peer->name);
	memcpy(m.conf_peer.node_id, s->peer->id, NODE_ID_LEN);
	procmsg_send(s->ctl, &m, -1);
	m = (struct procmsg){ .type = PM_CONF_PEER_PREFIX };
	memcpy(m.conf_peer_prefix.node_id, s->peer->id, NODE_ID_LEN);
	m.conf_peer_prefix.prefix = (struct record_prefix){ 4, 32, { 10, 77, 0, (uint8_t)(3 - n) } };
	procmsg_send(s->ctl, &m, -1);
	m = (struct procmsg){ .type = PM_CONF_VPN };
	snprintf(m.conf_vpn.ifname, sizeof(m.conf_vpn.ifname), "tun0");
	m.conf_vpn.mtu = (uint16_t)mtu;
	m.conf_vpn.addr4 = (struct record_prefix){ 4, 16, { 10, 77, 0, (uint8_t)n } };
	m.conf_vpn.addr6 = (struct record_prefix){ .family = 6, .len = OVERLAY_PREFIX6_LEN };
	memcpy(m.conf_vpn.addr6.addr, s->addr6, 16);
	procmsg_send(s->ctl, &m, -1);
	m = (struct procmsg){ .type = PM_CONF_TUN, .conf_tun = { .vnet_hdr = !plain, .offload = !plain && !no_offload } };
	if (procmsg_send(s->ctl, &m, s->tun) == -1)
		err(1, "PM_CONF_TUN");
	m = (struct procmsg){ .type = PM_CONF_END };
	procmsg_send(s->ctl, &m, -1);
	ipc_flush(s->ctl);
}

static void
send_peer(struct side *s, bool up)
{
	struct procmsg m = { .type = up ? PM_PEER_UP : PM_PEER_DOWN };

	if (up) {
		memcpy(m.peer_up.node_id, s->peer->id, NODE_ID_LEN);
		snprintf(m.peer_up.name, sizeof(m.peer_up.name), "node-%c", s->peer->name);
		snprintf(m.peer_up.tenant, sizeof(m.peer_up.tenant), "acme");
		m.peer_up.not_after = 4000000000u;
		m.peer_up.addr = (struct pm_addr){ 4, { 10, 0, 0, 1 }, 4600 };
		m.peer_up.datagram_max = datagram_max;
		m.peer_up.membership = (struct frame_bytes){ s->peer->id, NODE_ID_LEN };	/* vpnd does not read it */
	} else {
		memcpy(m.peer_down.node_id, s->peer->id, NODE_ID_LEN);
	}
	if (procmsg_send(s->port, &m, -1) == -1)
		warn("PM_PEER_UP");
	if (up) {
		m = (struct procmsg){ .type = PM_PEER_STAT, .peer_stat = { .datagram_max = datagram_max,
		    .mtu_settled = settled } };
		memcpy(m.peer_stat.node_id, s->peer->id, NODE_ID_LEN);
		procmsg_send(s->port, &m, -1);
	}
	ipc_flush(s->port);
}

static void
announce(void)
{
	if (announced || !sides[0].bound || !sides[1].bound || !sides[0].committed || !sides[1].committed || !session)
		return;
	announced = true;
	send_peer(&sides[0], true);
	send_peer(&sides[1], true);
	puts("ready");
	fflush(stdout);
}

/* What routed would say to s: its peer's service. */
static void
tell_service(struct side *s)
{
	uint8_t buf[FRAME_RECORD_MAX];
	uint64_t now = clock_wall();
	struct record r = { .kind = RECORD_SERVICE, .subject = s->peer->e2e, .serial = clock_ns(), .not_before = now - 1,
	    .not_after = now + 3600, .class = CLASS_RELIABLE, .name = "vpn" };
	struct procmsg m = { .type = PM_SERVICE, .service.record = { buf, 0 } };

	if (s->port == NULL || !s->peer->has_e2e)
		return;
	m.service.record.len = record_sign(buf, sizeof(buf), &r, &s->peer->key);
	memcpy(m.service.node_id, s->peer->id, NODE_ID_LEN);
	memcpy(m.service.name, "vpn", 4);
	if (procmsg_send(s->port, &m, -1) == -1)
		warn("PM_SERVICE");
	ipc_flush(s->port);
}

/* The supervisor's: this key is the node's, which is a member. */
static void
certify(struct side *s, const struct pm_delegate *d)
{
	uint8_t mbuf[FRAME_RECORD_MAX], dbuf[FRAME_RECORD_MAX];
	uint64_t now = clock_wall();
	struct record m = { .kind = RECORD_MEMBERSHIP, .subject = s->key.public, .serial = 1, .not_before = now - 60,
	    .not_after = now + 86400, .tenant = "acme", .name = "node" };
	struct record r = { .kind = RECORD_DELEGATION, .subject = d->key, .serial = 2, .not_before = now - 60,
	    .not_after = now + 3600, .purpose = PURPOSE_E2E };
	struct procmsg answer = { .type = PM_DELEGATION, .delegation = { .purpose = PURPOSE_E2E,
	    .membership = { mbuf, 0 }, .delegation = { dbuf, 0 }, .renew_at = now + 1800 } };

	if (d->purpose != PURPOSE_E2E)
		errx(1, "side %c asked for purpose %d", s->name, d->purpose);
	answer.delegation.membership.len = record_sign(mbuf, sizeof(mbuf), &m, &authority);
	answer.delegation.delegation.len = record_sign(dbuf, sizeof(dbuf), &r, &s->key);
	procmsg_send(s->ctl, &answer, -1);
	ipc_flush(s->ctl);
	memcpy(s->e2e, d->key, RECORD_KEY_LEN);
	s->has_e2e = true;
	tell_service(s->peer);
}

static void give_port(struct side *);

static int
on_ctl(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct side *s = arg;
	struct procmsg m;

	if (procmsg_decode(&m, f) != 0)
		errx(1, "control message");
	switch (m.type) {
	case PM_READY:
		give_port(s);
		send_conf(s);
		break;
	case PM_CONF_OK:
		m = (struct procmsg){ .type = PM_CONF_COMMIT };
		procmsg_send(s->ctl, &m, -1);
		ipc_flush(s->ctl);
		s->committed = true;
		announce();
		break;
	case PM_DELEGATE:
		certify(s, &m.delegate);
		break;
	case PM_CONF_BAD:
		errx(1, "configuration refused: %s", m.conf_bad.text);
	default:
		break;
	}
	return 0;
}

static uint64_t *
other_id(struct side *s, uint64_t id)
{
	if (id >= STREAMS)
		errx(1, "stream id %llu", (unsigned long long)id);
	return &s->other[id];
}

/* What this process, a dataplane to both, can see. */
static void
look(const struct frame_data *d)
{
	size_t len = text == NULL ? 0 : strlen(text);

	crossed += d->payload_len;
	for (size_t i = 0; i + 16 <= len; i++)
		if (memmem(d->payload, d->payload_len, text + i, 16) != NULL) {
			seen++;
			return;
		}
}

static void
forward_data(struct side *s, const struct frame_data *d)
{
	uint64_t id = *other_id(s, d->stream_id);
	uint8_t *p;
	size_t hdr;

	look(d);
	if (id == 0 || (loss != 0 && (unsigned)random() % 1000 < loss))
		return;
	p = ipc_reserve(s->peer->port, FRAME_HEADER_MAX + 24 + d->payload_len);
	if (p == NULL) {
		full++;
		return;
	}
	hdr = frame_data_rewrite(p, d, id);
	memcpy(p + hdr, d->payload, d->payload_len);
	if (tamper)
		p[hdr + (size_t)random() % d->payload_len] ^= (uint8_t)(1u << random() % 8);
	ipc_commit(s->peer->port, hdr + d->payload_len);
}

static void
forward_open(struct side *s, const struct frame_open_stream *o)
{
	struct side *to = s->peer;
	struct frame f = { .type = FT_OPEN_STREAM, .open = *o };

	if (stream_id_accept(&s->ids, o->stream_id) != STREAM_ID_OK || o->dest == NULL ||
	    memcmp(o->dest, to->id, NODE_ID_LEN) != 0)
		errx(1, "OPEN_STREAM of side %c", s->name);
	if (!session || !to->bound) {
		f = (struct frame){ .type = FT_RESET_STREAM, .reset = { o->stream_id,
		    session ? REASON_NO_SERVICE : REASON_UNREACHABLE, { NULL, 0 } } };
		ipc_send(s->port, &f);
		return;
	}
	f.open.stream_id = stream_id_alloc(&to->ids);
	f.open.dest = NULL;
	f.open.source = s->id;
	*other_id(s, o->stream_id) = f.open.stream_id;
	*other_id(to, f.open.stream_id) = o->stream_id;
	ipc_send(to->port, &f);
}

static void
forward_end(struct side *s, struct frame f)
{
	uint64_t id = f.type == FT_RESET_STREAM ? f.reset.stream_id : f.close.stream_id, to = *other_id(s, id);

	if (to == 0)
		return;
	*other_id(s, id) = *other_id(s->peer, to) = 0;
	if (f.type == FT_RESET_STREAM)
		f.reset.stream_id = to;
	else
		f.close.stream_id = to;
	if (s->peer->port != NULL)
		ipc_send(s->peer->port, &f);
}

static int
on_port(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct side *s = arg;

	if (f->type == PM_BIND) {
		s->bound = true;
		announce();
	} else if (f->type == PM_SERVICES) {
		tell_service(s);
	} else if (frame_type_is_data(f->type)) {
		for (unsigned i = 0; s->peer->port != NULL && i < (twice ? 2 : 1); i++)
			forward_data(s, &f->data);
	} else if (f->type == FT_OPEN_STREAM) {
		forward_open(s, &f->open);
	} else if (f->type == FT_CLOSE_STREAM || f->type == FT_RESET_STREAM) {
		forward_end(s, *f);
	} else if (f->type != PM_WANT) {	/* nobody here knows another way */
		errx(1, "side %c sent %s", s->name, frame_type_name(f->type));
	}
	return 0;
}

static void
on_batch_end(struct ipc *ipc, void *arg)
{
	struct side *s = arg;

	if (s->peer->port != NULL)
		ipc_flush(s->peer->port);
	ipc_flush(ipc);
}

/* What a dataplane does when a port's worker dies: its streams end. */
static void
on_port_closed(struct ipc *ipc, const char *why, void *arg)
{
	struct side *s = arg;

	ipc_free(s->port);
	s->port = NULL;
	s->bound = false;
	for (uint64_t id = 1; id < STREAMS; id++) {
		struct frame f = { .type = FT_RESET_STREAM, .reset = { id, REASON_PEER_GONE, { NULL, 0 } } };

		forward_end(s, f);
	}
	if (s->peer->port != NULL)
		ipc_flush(s->peer->port);
}

static void start(struct side *);

static void
on_ctl_closed(struct ipc *ipc, const char *why, void *arg)
{
	struct side *s = arg;
	int status;

	waitpid(s->pid, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		errx(1, "side %c's vpnd ended with status 0x%x", s->name, status);
	ipc_free(s->ctl);
	s->ctl = NULL;
	s->committed = s->has_e2e = false;
	start(s);
}

static const struct ipc_ops ctl_ops = { .frame = on_ctl, .closed = on_ctl_closed };
static const struct ipc_ops port_ops = { .frame = on_port, .batch_end = on_batch_end, .closed = on_port_closed };

static void
give_port(struct side *s)
{
	struct procmsg m = { .type = PM_PORT, .port = { WORKER_DATAPLANE, 1 } };
	int fds[2];

	if (ipc_port_pair(fds) == -1)
		err(1, "ipc_port_pair");
	s->port = ipc_new_port(base, fds[0], &port_ops, s);
	stream_ids_init(&s->ids, false);
	procmsg_send(s->ctl, &m, fds[1]);
	close(fds[1]);
	announced = false;
}

static void
start(struct side *s)
{
	int fds[2], log = dup(STDERR_FILENO);
	char generation[16];

	if (ipc_pair(fds) == -1 || (s->stats_fd = stats_create()) == -1)
		err(1, "channel");
	snprintf(generation, sizeof(generation), "%u", (unsigned)++s->generation);
	s->pid = fork();
	if (s->pid == -1)
		err(1, "fork");
	if (s->pid == 0) {
		int ctl = fcntl(fds[1], F_DUPFD, 10), page = fcntl(s->stats_fd, F_DUPFD, 10);

		log = fcntl(log, F_DUPFD, 10);
		dup2(ctl, WORKER_FD_CTL);
		dup2(log, WORKER_FD_LOG);
		dup2(page, WORKER_FD_STATS);
		execl(vpnd, vpnd, "-g", generation, "-l", "debug", (char *)NULL);
		err(1, "%s", vpnd);
	}
	close(fds[1]);
	close(log);
	s->ctl = ipc_new(base, fds[0], &ctl_ops, s);
	stats_unmap(s->page);
	s->page = stats_map_ro(dup(s->stats_fd));
	close(s->stats_fd);
}

static void
print_stats(void)
{
	const struct stats_desc *d;
	size_t n;

	d = stats_desc(WORKER_VPND, &n);
	for (unsigned i = 0; i < 2; i++)
		for (size_t k = 0; k < n; k++)
			if (sides[i].page->counter[k] != 0)
				printf("%c %s{%s} %llu\n", sides[i].name, d[k].name, d[k].labels,
				    (unsigned long long)sides[i].page->counter[k]);
	printf("full %llu\ncrossed %llu\nseen %llu\n.\n", (unsigned long long)full, (unsigned long long)crossed,
	    (unsigned long long)seen);
	fflush(stdout);
}

static void
set_session(bool up)
{
	session = up;
	if (up) {
		announced = false;
		announce();
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		for (uint64_t id = 1; id < STREAMS; id++) {
			struct frame f = { .type = FT_RESET_STREAM, .reset = { id, REASON_PEER_GONE, { NULL, 0 } } };

			if (sides[i].other[id] == 0)
				continue;
			sides[i].other[id] = 0;
			ipc_send(sides[i].port, &f);
		}
		send_peer(&sides[i], false);
	}
	puts("down");
	fflush(stdout);
}

static void
command(const char *line)
{
	if (strcmp(line, "stats") == 0) {
		print_stats();
	} else if (strcmp(line, "kill") == 0) {
		kill(sides[1].pid, SIGKILL);
	} else if (strcmp(line, "tamper") == 0) {
		tamper = !tamper;
	} else if (strcmp(line, "twice") == 0) {
		twice = !twice;
	} else if (strcmp(line, "down") == 0 || strcmp(line, "up") == 0) {
		set_session(line[0] == 'u');
	}
}

/* Whole lines come, but perhaps several at once. */
static void
on_stdin(evutil_socket_t fd, short what, void *arg)
{
	char buf[64], *rest = buf, *line;
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	if (n <= 0) {
		event_base_loopbreak(base);
		return;
	}
	buf[n] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL)
		command(line);
}

static void
options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "v:a:b:d:l:m:w:snp")) != -1) {
		switch (c) {
		case 'v': vpnd = optarg; break;
		case 'a': sides[0].ns = optarg; break;
		case 'b': sides[1].ns = optarg; break;
		case 'd': datagram_max = (uint32_t)atoi(optarg); break;
		case 'l': loss = (unsigned)atoi(optarg); break;
		case 'm': mtu = (unsigned)atoi(optarg); break;
		case 'w': text = optarg; break;
		case 's': settled = true; break;
		case 'n': no_offload = true; break;
		case 'p': plain = true; break;
		default: exit(2);
		}
	}
	if (vpnd == NULL || sides[0].ns == NULL || sides[1].ns == NULL)
		errx(2, "-v, -a and -b are needed");
}

int
main(int argc, char **argv)
{
	struct event_config *cfg = event_config_new();

	options(argc, argv);
	if (sign_key_generate(&authority) == -1)
		errx(1, "no key");
	signal(SIGPIPE, SIG_IGN);
	event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER);
	base = event_base_new_with_config(cfg);
	for (unsigned i = 0; i < 2; i++) {
		struct side *s = &sides[i];

		s->name = (char)('a' + i);
		s->peer = &sides[1 - i];
		if (sign_key_generate(&s->key) == -1)
			errx(1, "no key");
		node_id_from_key(s->id, s->key.public);
		node_overlay_addr6(s->addr6, authority.public, s->id);
		s->tun = open_tun(s->ns);
		configure_tun(s, i + 1);
	}
	start(&sides[0]);
	start(&sides[1]);
	event_add(event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, NULL), NULL);
	event_base_dispatch(base);
	print_stats();
	kill(sides[0].pid, SIGKILL);
	kill(sides[1].pid, SIGKILL);
	return 0;
}
