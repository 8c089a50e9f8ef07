/* The frame switch between fake ports: every way that streams open, carry, end and are refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabricd/dataplane/switch.h"
#include "suite.h"

#define LOG_MAX 256

struct fake {
	struct port	port;
	struct {
		struct frame f;
		char	     service[FRAME_SERVICE_MAX + 1];
		uint8_t	     source[NODE_ID_LEN];
	} log[LOG_MAX];
	size_t		nlog;
	uint64_t	data, data_id;
	unsigned	data_class;
	bool		full;
};

static struct fswitch sw;
static struct fake vpnd, svc, peer, peer2;
static bool peer_is_up;
static uint64_t now_ns = 1;
static uint8_t self_id[NODE_ID_LEN] = { 0x99 };

static int
fake_control(struct port *p, const struct frame *f)
{
	struct fake *k = (struct fake *)(void *)p;

	ck_assert_uint_lt(k->nlog, LOG_MAX);
	k->log[k->nlog].f = *f;
	if (f->type == FT_OPEN_STREAM) {
		frame_bytes_copy(k->log[k->nlog].service, f->open.service);
		if (f->open.source != NULL)
			memcpy(k->log[k->nlog].source, f->open.source, NODE_ID_LEN);
	}
	k->nlog++;
	return 0;
}

static bool
fake_data(struct port *p, const struct stream_end *out, unsigned class, const struct frame_data *d)
{
	struct fake *k = (struct fake *)(void *)p;

	(void)d;
	if (k->full)
		return false;
	k->data++;
	k->data_id = out->id;
	k->data_class = class;
	return true;
}

static const struct port_ops ops = { .control = fake_control, .data = fake_data };

static struct port *
session_to(struct fswitch *s, const uint8_t *id)
{
	(void)s;
	if (peer_is_up && id[0] == peer.port.node_id[0])
		return &peer.port;
	return id[0] == peer2.port.node_id[0] ? &peer2.port : NULL;
}

static void
setup(void)
{
	switch_init(&sw, session_to, 12345, &now_ns, self_id);
	memset(&vpnd, 0, sizeof(vpnd));
	memset(&svc, 0, sizeof(svc));
	memset(&peer, 0, sizeof(peer));
	memset(&peer2, 0, sizeof(peer2));
	memset(peer.port.node_id, 0x11, NODE_ID_LEN);
	memset(peer2.port.node_id, 0x22, NODE_ID_LEN);
	port_attach(&vpnd.port, &sw, &ops, PORT_WORKER, false, 1000, 1000);
	port_attach(&svc.port, &sw, &ops, PORT_WORKER, false, 1000, 1000);
	port_attach(&peer.port, &sw, &ops, PORT_SESSION, true, 10, 10);
	port_attach(&peer2.port, &sw, &ops, PORT_SESSION, false, 10, 10);
	ck_assert_int_eq(switch_bind(&vpnd.port, "vpn"), 0);
	peer_is_up = true;
}

static void
teardown(void)
{
	port_detach(&vpnd.port);
	port_detach(&svc.port);
	port_detach(&peer.port);
	port_detach(&peer2.port);
	ck_assert_uint_eq(sw.nstreams, 0);
	routes_free(&sw.routes);
	ck_assert_uint_eq(sw.routes.n, 0);
}

static uint64_t
open_at(struct fake *from, uint64_t id, const uint8_t *dest, const char *service)
{
	struct frame f = { .type = FT_OPEN_STREAM };

	f.open.stream_id = id;
	f.open.class = CLASS_INTERACTIVE;
	f.open.flags = OPEN_UNRELIABLE;
	f.open.service.p = (const uint8_t *)service;
	f.open.service.len = strlen(service);
	f.open.dest = dest;
	return switch_control(&from->port, &f);
}

static void
data_at(struct fake *from, uint64_t id)
{
	struct frame_data d = { .stream_id = id, .flags = DATA_UNRELIABLE, .payload = (const uint8_t *)"x",
	    .payload_len = 1 };

	switch_data(&from->port, &d);
}

static void
expect_reset(struct fake *at, uint64_t id, unsigned reason)
{
	const struct frame *f = &at->log[at->nlog - 1].f;

	ck_assert_uint_gt(at->nlog, 0);
	ck_assert_uint_eq(f->type, FT_RESET_STREAM);
	ck_assert_uint_eq(f->reset.stream_id, id);
	ck_assert_str_eq(reason_name(f->reset.reason), reason_name(reason));
}

START_TEST(opens_outward)
{
	const struct frame *f = &peer.log[0].f;

	ck_assert_uint_eq(open_at(&vpnd, 2, peer.port.node_id, "vpn"), REASON_NONE);
	ck_assert_uint_eq(peer.nlog, 1);
	ck_assert_uint_eq(f->type, FT_OPEN_STREAM);
	ck_assert_uint_eq(f->open.stream_id, 2);	/* we began that session */
	ck_assert_uint_eq(f->open.class, CLASS_INTERACTIVE);
	ck_assert_ptr_null(f->open.dest);
	ck_assert_ptr_null(f->open.source);
	ck_assert_str_eq(peer.log[0].service, "vpn");
	data_at(&vpnd, 2);
	ck_assert_uint_eq(peer.data, 1);
	ck_assert_uint_eq(peer.data_id, 2);
	ck_assert_uint_eq(peer.data_class, CLASS_INTERACTIVE);
	data_at(&peer, 2);
	ck_assert_uint_eq(vpnd.data, 1);
	ck_assert_uint_eq(vpnd.data_id, 2);
}
END_TEST

START_TEST(opens_inward)
{
	ck_assert_uint_eq(open_at(&peer2, 2, NULL, "vpn"), REASON_NONE);
	ck_assert_uint_eq(vpnd.nlog, 1);
	ck_assert_uint_eq(vpnd.log[0].f.open.stream_id, 1);	/* the dataplane's are odd */
	ck_assert_mem_eq(vpnd.log[0].source, peer2.port.node_id, NODE_ID_LEN);
	data_at(&peer2, 2);
	ck_assert_uint_eq(vpnd.data_id, 1);
	data_at(&vpnd, 1);
	ck_assert_uint_eq(peer2.data_id, 2);
}
END_TEST

START_TEST(refused)
{
	struct frame f = { .type = FT_OPEN_STREAM };

	ck_assert_uint_eq(open_at(&peer2, 2, NULL, "nothing"), REASON_NONE);
	expect_reset(&peer2, 2, REASON_NO_SERVICE);
	peer_is_up = false;
	ck_assert_uint_eq(open_at(&vpnd, 2, peer.port.node_id, "vpn"), REASON_NONE);
	expect_reset(&vpnd, 2, REASON_UNREACHABLE);
	ck_assert_uint_eq(open_at(&vpnd, 4, NULL, "vpn"), REASON_NONE);
	expect_reset(&vpnd, 4, REASON_UNREACHABLE);
	f.open.service = (struct frame_bytes){ (const uint8_t *)"vpn", 3 };
	f.open.stream_id = 8;
	f.open.flags = OPEN_UNRELIABLE;
	f.open.route_id = 9;
	ck_assert_uint_eq(switch_control(&vpnd.port, &f), REASON_NONE);	/* by a route */
	expect_reset(&vpnd, 8, REASON_UNSUPPORTED);
	ck_assert_uint_eq(sw.counters.refused, 4);
	ck_assert_uint_eq(sw.nstreams, 0);
}
END_TEST

START_TEST(protocol_errors)
{
	struct frame f = { .type = FT_RESET_STREAM };

	ck_assert_uint_eq(open_at(&peer2, 1, NULL, "vpn"), REASON_PROTOCOL);	/* parity */
	ck_assert_uint_eq(open_at(&peer2, 4, NULL, "vpn"), REASON_NONE);
	ck_assert_uint_eq(open_at(&peer2, 4, NULL, "vpn"), REASON_PROTOCOL);	/* again */
	ck_assert_uint_eq(open_at(&peer2, 2, NULL, "vpn"), REASON_PROTOCOL);	/* below */
	ck_assert_uint_eq(open_at(&peer2, FRAME_DATAGRAM_STREAM_MAX + 1, NULL, "vpn"), REASON_PROTOCOL);
	f.reset.stream_id = 3;		/* never opened by us */
	ck_assert_uint_eq(switch_control(&peer2.port, &f), REASON_PROTOCOL);
	f.type = FT_PING;
	ck_assert_uint_eq(switch_control(&peer2.port, &f), REASON_PROTOCOL);
}
END_TEST

START_TEST(limits_each_way)
{
	for (uint64_t n = 1; n <= 12; n++)
		ck_assert_uint_eq(open_at(&peer2, 2 * n, NULL, "vpn"), REASON_NONE);
	expect_reset(&peer2, 24, REASON_LIMIT);
	ck_assert_uint_eq(vpnd.nlog, 10);
	for (uint64_t n = 1; n <= 12; n++)
		ck_assert_uint_eq(open_at(&vpnd, 2 * n, peer.port.node_id, "vpn"), REASON_NONE);
	expect_reset(&vpnd, 24, REASON_LIMIT);
	ck_assert_uint_eq(peer.nlog, 10);
	ck_assert_uint_eq(sw.nstreams, 20);
}
END_TEST

static void
end_at(struct fake *from, uint64_t type, uint64_t id)
{
	struct frame f = { .type = type };

	if (type == FT_CLOSE_STREAM)
		f.close.stream_id = id;
	else
		f.reset.stream_id = id;
	ck_assert_uint_eq(switch_control(&from->port, &f), REASON_NONE);
}

START_TEST(ends)
{
	open_at(&vpnd, 2, peer.port.node_id, "vpn");
	open_at(&vpnd, 4, peer.port.node_id, "vpn");
	end_at(&vpnd, FT_CLOSE_STREAM, 4);
	ck_assert_uint_eq(peer.log[peer.nlog - 1].f.type, FT_CLOSE_STREAM);
	ck_assert_uint_eq(peer.log[peer.nlog - 1].f.close.stream_id, 4);
	end_at(&peer, FT_RESET_STREAM, 2);
	ck_assert_uint_eq(vpnd.log[vpnd.nlog - 1].f.reset.stream_id, 2);
	ck_assert_uint_eq(sw.nstreams, 0);
	/* The other side's word crossed ours: ignored, and so is late data. */
	end_at(&vpnd, FT_RESET_STREAM, 2);
	data_at(&peer, 2);
	data_at(&vpnd, 4);
	ck_assert_uint_eq(sw.counters.unknown_stream, 2);
}
END_TEST

START_TEST(early_data_is_dropped)
{
	data_at(&peer2, 2);
	ck_assert_uint_eq(sw.counters.unknown_stream, 1);
	ck_assert_uint_eq(vpnd.data, 0);
}
END_TEST

START_TEST(port_goes)
{
	for (uint64_t n = 1; n <= 8; n++) {
		open_at(&peer2, 2 * n, NULL, "vpn");
		open_at(&vpnd, 2 * n, peer.port.node_id, "vpn");
	}
	ck_assert_uint_eq(sw.nstreams, 16);
	port_detach(&vpnd.port);
	ck_assert_uint_eq(sw.nstreams, 0);
	ck_assert_uint_eq(peer2.nlog, 8);
	ck_assert_uint_eq(peer2.log[7].f.type, FT_RESET_STREAM);
	ck_assert_uint_eq(peer2.log[7].f.reset.reason, REASON_PEER_GONE);
	ck_assert_uint_eq(peer.nlog, 16);
	/* Its service went with it. */
	open_at(&peer2, 100, NULL, "vpn");
	expect_reset(&peer2, 100, REASON_NO_SERVICE);
	port_attach(&vpnd.port, &sw, &ops, PORT_WORKER, false, 1000, 1000);
}
END_TEST

START_TEST(bind_replaces_and_is_bounded)
{
	char name[16];

	ck_assert_int_eq(switch_bind(&svc.port, "vpn"), 0);
	open_at(&peer2, 2, NULL, "vpn");
	ck_assert_uint_eq(svc.nlog, 1);
	for (unsigned n = 1; n < SWITCH_SERVICES_MAX; n++) {
		snprintf(name, sizeof(name), "s%u", n);
		ck_assert_int_eq(switch_bind(&svc.port, name), 0);
	}
	ck_assert_int_eq(switch_bind(&svc.port, "one-more"), -1);
	ck_assert_int_eq(switch_bind(&svc.port, "s1"), 0);
}
END_TEST

START_TEST(full_port_counts)
{
	open_at(&peer2, 2, NULL, "vpn");
	vpnd.full = true;
	data_at(&peer2, 2);
	vpnd.full = false;
	data_at(&peer2, 2);
	ck_assert_uint_eq(vpnd.data, 1);
	ck_assert_uint_eq(peer2.port.last->packets, 2);
	ck_assert_uint_eq(peer2.port.last->dropped, 1);
}
END_TEST

/* A peer has a few probes, and they are no more when they have ended. */
START_TEST(probes_are_few)
{
	ck_assert_int_eq(switch_bind(&svc.port, SWITCH_PROBE), 0);
	peer2.port.max_peer = 1000;
	for (uint64_t n = 1; n <= SWITCH_PROBES; n++)
		ck_assert_uint_eq(open_at(&peer2, 2 * n, NULL, SWITCH_PROBE), REASON_NONE);
	ck_assert_uint_eq(svc.nlog, SWITCH_PROBES);
	open_at(&peer2, 100, NULL, SWITCH_PROBE);
	expect_reset(&peer2, 100, REASON_LIMIT);
	open_at(&peer2, 102, NULL, "vpn");
	ck_assert_uint_eq(vpnd.nlog, 1);
	end_at(&peer2, FT_RESET_STREAM, 2);
	end_at(&svc, FT_RESET_STREAM, svc.log[1].f.open.stream_id);
	ck_assert_uint_eq(peer2.port.probes, SWITCH_PROBES - 2);
	open_at(&peer2, 104, NULL, SWITCH_PROBE);
	open_at(&peer2, 106, NULL, SWITCH_PROBE);
	ck_assert_uint_eq(svc.nlog, SWITCH_PROBES + 2 + 1);	/* and the RESET */
	ck_assert_uint_eq(peer2.port.probes, SWITCH_PROBES);
}
END_TEST

static bool
count(const struct stream *st, void *arg)
{
	ck_assert_str_eq(st->service, "vpn");
	return ++*(unsigned *)arg < 5000;
}

/* Many streams, ended in another order: the tables grow, nothing is lost or found twice. */
START_TEST(many)
{
	unsigned n = 0;

	vpnd.port.max_us = peer2.port.max_peer = 100000;
	for (uint64_t k = 1; k <= 3000; k++) {
		vpnd.nlog = 0;
		ck_assert_uint_eq(open_at(&peer2, 2 * k, NULL, "vpn"), REASON_NONE);
	}
	switch_each(&sw, count, &n);
	ck_assert_uint_eq(n, 3000);
	for (uint64_t k = 1; k <= 3000; k++) {
		data_at(&peer2, 2 * k);
		ck_assert_uint_eq(vpnd.data_id, 2 * k - 1);
	}
	for (uint64_t k = 1; k <= 3000; k += 2) {
		vpnd.nlog = 0;
		end_at(&peer2, FT_RESET_STREAM, 2 * k);
	}
	ck_assert_uint_eq(sw.nstreams, 1500);
	ck_assert_uint_eq(peer2.port.opened_by_peer, 1500);
	vpnd.data = 0;
	for (uint64_t k = 1; k <= 3000; k++)
		data_at(&peer2, 2 * k);
	ck_assert_uint_eq(vpnd.data, 1500);
	vpnd.nlog = 0;
	for (uint64_t k = 2; k <= 3000; k += 2) {
		vpnd.nlog = 0;
		end_at(&peer2, FT_RESET_STREAM, 2 * k);
	}
	ck_assert_uint_eq(sw.nstreams, 0);
}
END_TEST

/* --- routes --- */

static struct pm_route entry = { .route_id = 77, .epoch = 1, .classes = 0x3f, .hard = 2000 };

/* An entry of this place between peer (before) and peer2 (next), as far as the place has them; far begins with 0x44. */
static struct route *
route_at(unsigned place)
{
	struct pm_route m = entry;

	sw.routes.wall = 1000;
	m.place = (uint8_t)place;
	if (place != TICKET_SOURCE)
		memset(m.prev, 0x11, NODE_ID_LEN);
	if (place != TICKET_DEST)
		memset(m.next, 0x22, NODE_ID_LEN);
	if (place != TICKET_RELAY)
		memset(m.far, 0x44, NODE_ID_LEN);
	return route_put(&sw.routes, &m, now_ns);
}

static uint64_t
open_route(struct fake *from, uint64_t id, uint64_t route, unsigned class, unsigned flags, const char *service)
{
	struct frame f = { .type = FT_OPEN_STREAM };

	f.open.stream_id = id;
	f.open.route_id = route;
	f.open.class = (uint8_t)class;
	f.open.flags = flags;
	f.open.service.p = (const uint8_t *)service;
	f.open.service.len = service == NULL ? 0 : strlen(service);
	return switch_control(&from->port, &f);
}

START_TEST(relays)
{
	struct route *r = route_at(TICKET_RELAY);

	ck_assert_ptr_nonnull(r);
	/* Away from the source, and back over the same entry. */
	ck_assert_uint_eq(open_route(&peer, 1, 77, CLASS_BULK, OPEN_UNRELIABLE, "vpn"), REASON_NONE);
	ck_assert_uint_eq(peer2.log[0].f.type, FT_OPEN_STREAM);
	ck_assert_uint_eq(peer2.log[0].f.open.route_id, 77);
	ck_assert_ptr_null(peer2.log[0].f.open.source);
	ck_assert_uint_eq(open_route(&peer2, 2, 77, CLASS_DNS, OPEN_UNRELIABLE, "vpn"), REASON_NONE);
	ck_assert_uint_eq(peer.log[0].f.open.route_id, 77);
	ck_assert_uint_eq(vpnd.nlog, 0);
	data_at(&peer, 1);
	data_at(&peer, 1);
	data_at(&peer2, peer2.log[0].f.open.stream_id);
	data_at(&peer2, 2);
	ck_assert_uint_eq(peer2.data, 2);
	ck_assert_uint_eq(peer.data, 2);
	ck_assert_uint_eq(r->forth[CLASS_BULK], 2);
	ck_assert_uint_eq(r->back[CLASS_BULK], 1);
	ck_assert_uint_eq(r->forth[CLASS_DNS], 0);
	ck_assert_uint_eq(r->back[CLASS_DNS], 1);
	ck_assert_uint_eq(r->nstreams, 2);
	end_at(&peer, FT_CLOSE_STREAM, 1);
	ck_assert_uint_eq(r->nstreams, 1);
	/* What is taken back ends at both sides, and is known no more. */
	switch_route_del(&sw, r, REASON_FENCED);
	expect_reset(&peer2, 2, REASON_FENCED);
	expect_reset(&peer, peer.log[0].f.open.stream_id, REASON_FENCED);
	open_route(&peer, 3, 77, CLASS_BULK, OPEN_UNRELIABLE, "vpn");
	expect_reset(&peer, 3, REASON_NO_ROUTE);
	/* Over a route the service may be left out (fabric-frame(5)): a relay hands that on as well. */
	r = route_at(TICKET_RELAY);
	open_route(&peer, 5, 77, CLASS_BULK, OPEN_UNRELIABLE, NULL);
	ck_assert_uint_eq(peer2.log[peer2.nlog - 1].f.type, FT_OPEN_STREAM);
	ck_assert_uint_eq(r->nstreams, 1);
}
END_TEST

START_TEST(routes_end_here)
{
	struct route *r = route_at(TICKET_DEST);

	ck_assert_uint_eq(open_route(&peer, 1, 77, CLASS_BULK, OPEN_UNRELIABLE, "vpn"), REASON_NONE);
	ck_assert_uint_eq(vpnd.log[0].f.open.route_id, 0);
	ck_assert_uint_eq(vpnd.log[0].source[0], 0x44);		/* the far end, and not the neighbour */
	data_at(&peer, 1);
	data_at(&vpnd, 1);
	ck_assert_uint_eq(r->forth[CLASS_BULK], 1);
	ck_assert_uint_eq(r->back[CLASS_BULK], 1);
	open_route(&peer, 3, 77, CLASS_BULK, OPEN_UNRELIABLE, "none");
	expect_reset(&peer, 3, REASON_NO_SERVICE);
	ck_assert_int_eq(switch_bind(&svc.port, SWITCH_DIRECTORY), 0);
	open_route(&peer, 5, 77, CLASS_CONTROL, 0, SWITCH_DIRECTORY);	/* between neighbours only */
	expect_reset(&peer, 5, REASON_NOT_ALLOWED);
	switch_route_del(&sw, r, REASON_NO_ROUTE);
	/* At the source it is the next hop that may bring streams of the destination's. */
	r = route_at(TICKET_SOURCE);
	open_route(&peer2, 2, 77, CLASS_BULK, OPEN_UNRELIABLE, "vpn");
	ck_assert_uint_eq(vpnd.log[vpnd.nlog - 1].source[0], 0x44);
	data_at(&peer2, 2);
	ck_assert_uint_eq(r->back[CLASS_BULK], 1);
}
END_TEST

START_TEST(routes_refuse)
{
	const struct route_counters *n = &sw.routes.counters;
	struct route *r;
	uint64_t rate;

	entry.classes = 1u << CLASS_BULK;
	entry.streams = 2;
	r = route_at(TICKET_RELAY);
	entry.classes = 0x3f;
	entry.streams = 0;
	open_route(&peer, 1, 78, CLASS_BULK, 0, "vpn");
	expect_reset(&peer, 1, REASON_NO_ROUTE);
	memset(peer2.port.node_id, 0x33, NODE_ID_LEN);		/* a third node knows the id */
	open_route(&peer2, 2, 77, CLASS_BULK, 0, "vpn");
	expect_reset(&peer2, 2, REASON_NO_ROUTE);
	memset(peer2.port.node_id, 0x22, NODE_ID_LEN);
	open_route(&peer, 3, 77, CLASS_DNS, 0, "vpn");
	expect_reset(&peer, 3, REASON_ROUTE_CLASS);
	for (uint64_t id = 5; id <= 9; id += 2)
		open_route(&peer, id, 77, CLASS_BULK, OPEN_UNRELIABLE, "vpn");
	expect_reset(&peer, 9, REASON_ROUTE_LIMIT);
	ck_assert_uint_eq(r->nstreams, 2);
	open_route(&peer, 11, 77, CLASS_CONTROL, OPEN_UNRELIABLE, SWITCH_PROBE);	/* beside those, and of any class */
	ck_assert_uint_eq(r->nstreams, 3);
	for (uint64_t id = 13; id <= 19; id += 2)
		open_route(&peer, id, 77, CLASS_CONTROL, OPEN_UNRELIABLE, SWITCH_PROBE);
	expect_reset(&peer, 19, REASON_ROUTE_LIMIT);
	sw.routes.wall = 2000;
	open_route(&peer, 21, 77, CLASS_BULK, 0, "vpn");
	expect_reset(&peer, 21, REASON_ROUTE_EXPIRED);
	ck_assert_uint_eq(n->no_route, 2);
	ck_assert_uint_eq(n->class, 1);
	ck_assert_uint_eq(n->limit, 2);
	ck_assert_uint_eq(n->expired, 1);
	peer_is_up = false;
	sw.routes.wall = 1000;
	r->max_streams = 0;
	peer2.nlog = 0;
	open_route(&peer2, 4, 77, CLASS_BULK, 0, "vpn");
	expect_reset(&peer2, 4, REASON_HOP_GONE);
	peer.port.max_peer = 10000;
	for (uint64_t id = 101; id < 101 + 2 * (ROUTE_BURST + 1); id += 2) {
		peer.nlog = peer2.nlog = 0;
		open_route(&peer, id, 77, CLASS_BULK, OPEN_UNRELIABLE, "vpn");
		end_at(&peer, FT_CLOSE_STREAM, id);
	}
	ck_assert_uint_gt(n->rate, 0);
	rate = n->rate;
	for (uint64_t id = 11; id <= 17; id += 2)
		end_at(&peer, FT_CLOSE_STREAM, id);
	for (uint64_t id = 10001; id < 10001 + 2 * (ROUTE_PROBE_BURST + 1); id += 2) {	/* no more than so many probes */
		peer.nlog = peer2.nlog = 0;
		open_route(&peer, id, 77, CLASS_CONTROL, OPEN_UNRELIABLE, SWITCH_PROBE);
		end_at(&peer, FT_CLOSE_STREAM, id);
	}
	ck_assert_uint_gt(n->rate, rate);
}
END_TEST

START_TEST(entries_that_make_no_sense)
{
	struct pm_route m = entry;

	m.place = TICKET_RELAY;
	ck_assert_ptr_null(route_put(&sw.routes, &m, now_ns));	/* between nobody */
	ck_assert_ptr_nonnull(route_at(TICKET_RELAY));
	ck_assert_ptr_nonnull(route_at(TICKET_RELAY));		/* again: the same */
	ck_assert_ptr_null(route_at(TICKET_DEST));		/* the id of another */
	ck_assert_uint_eq(sw.routes.n, 1);
}
END_TEST

/* A route's rate: packets beyond it are dropped; bytes of reliable streams wait, and nothing of them is lost. */
START_TEST(routes_have_a_rate)
{
	struct frame f = { .type = FT_DATA };
	static uint8_t payload[8000], out[20000];
	struct route *r;
	struct stream_end *e;
	size_t n = 0;

	entry.kbps = 800;		/* 100 bytes a millisecond */
	r = route_at(TICKET_RELAY);
	entry.kbps = 0;
	ck_assert_uint_eq(open_route(&peer, 1, 77, CLASS_BULK, 0, "tcp"), REASON_NONE);
	e = switch_find(&peer2.port, peer2.log[0].f.open.stream_id);
	r->rate.tokens = 1000;
	f.data.stream_id = 1;
	f.data.payload = payload;
	f.data.payload_len = sizeof(payload);
	ck_assert_uint_eq(switch_control(&peer.port, &f), REASON_NONE);
	ck_assert(!turn_idle(&peer2.port.turn));
	n = switch_output(e, out, 2000);
	ck_assert_uint_gt(n, 1900);
	ck_assert(r->held);
	ck_assert(!credit_ready(&stream_of(e)->credit, 1));	/* it waits */
	ck_assert_uint_eq(open_route(&peer, 3, 77, CLASS_BULK, OPEN_UNRELIABLE, "vpn"), REASON_NONE);
	data_at(&peer, 3);
	ck_assert_uint_eq(peer2.data, 0);
	ck_assert_uint_eq(sw.routes.counters.over_rate, 1);
	now_ns += 5000000;
	ck_assert(switch_pace(&sw));		/* 500 of 1000 bytes are back */
	now_ns += 20000000;
	ck_assert(!switch_pace(&sw));
	ck_assert(credit_ready(&stream_of(e)->credit, 1));
	data_at(&peer, 3);
	ck_assert_uint_eq(peer2.data, 1);
	r->rate.tokens = 1;
	for (n = 0; credit_waiting(&stream_of(e)->credit.way[0]) > 0; now_ns += 1000000, n++, switch_pace(&sw))
		if (credit_ready(&stream_of(e)->credit, 1))
			switch_output(e, out, 500);
	ck_assert_uint_ge(n, 50);	/* milliseconds, for 6032 bytes but for the last 500 */
	ck_assert_uint_le(n, 80);
	ck_assert_uint_eq(e->frames_out, 1 + (8000 - (2000 - 32) + 467) / 468);
}
END_TEST

/* What two routes have together: packets beyond it are dropped, urgent ones last; streams take turns. */
START_TEST(relayed_routes_share_a_rate)
{
	struct frame f = { .type = FT_DATA };
	static uint8_t payload[8000], out[2000];
	struct stream_end *e[2];
	uint64_t sent[2] = { 0, 0 };
	unsigned ms = 0;

	entry.kbps_all = 800;		/* 100 bytes a millisecond */
	for (unsigned i = 0; i < 2; i++) {
		entry.route_id = 77 + i;
		ck_assert_ptr_nonnull(route_at(TICKET_RELAY));
		ck_assert_uint_eq(open_route(&peer, 1 + 2 * i, 77 + i, CLASS_BULK, 0, "tcp"), REASON_NONE);
		e[i] = switch_find(&peer2.port, peer2.log[i].f.open.stream_id);
		f.data.stream_id = 1 + 2 * i;
		f.data.payload = payload;
		f.data.payload_len = sizeof(payload);
		ck_assert_uint_eq(switch_control(&peer.port, &f), REASON_NONE);
	}
	ck_assert_uint_eq(sw.routes.relayed.kbps, 800);
	sw.routes.relayed.tokens = 1;
	ck_assert_uint_eq(open_route(&peer, 5, 77, CLASS_BULK, OPEN_UNRELIABLE, "vpn"), REASON_NONE);
	ck_assert_uint_eq(open_route(&peer, 7, 78, CLASS_DNS, OPEN_UNRELIABLE, "vpn"), REASON_NONE);
	for (; ms < 100; ms++, now_ns += 1000000, switch_pace(&sw))
		for (unsigned i = 0; i < 2; i++)
			while (credit_ready(&stream_of(e[i])->credit, 1) && credit_waiting(&stream_of(e[i])->credit.way[0]) > 0)
				sent[i] += switch_output(e[i], out, 1200);
	ck_assert_uint_ge(sent[0] + sent[1], 9000);
	ck_assert_uint_le(sent[0] + sent[1], 10000 + 2 * 1200 + 1);
	ck_assert_uint_ge(sent[0], 4000);
	ck_assert_uint_ge(sent[1], 4000);
	sw.routes.relayed.tokens = 0;
	data_at(&peer, 5);
	ck_assert_uint_eq(peer2.data, 0);
	data_at(&peer, 7);
	ck_assert_uint_eq(peer2.data, 1);
	sw.routes.relayed.tokens = -32768;
	data_at(&peer, 7);
	ck_assert_uint_eq(peer2.data, 1);
	ck_assert_uint_eq(sw.routes.counters.over_rate, 2);
	/* What begins or ends here is not relayed. */
	entry.route_id = 79;
	ck_assert_ptr_nonnull(route_at(TICKET_DEST));
	ck_assert_uint_eq(open_route(&peer, 9, 79, CLASS_BULK, OPEN_UNRELIABLE, "vpn"), REASON_NONE);
	data_at(&peer, 9);
	ck_assert_uint_eq(vpnd.data, 1);
	/* The limit is taken away: those that wait do not any more. */
	entry.kbps_all = 0;
	entry.route_id = 78;
	ck_assert_ptr_nonnull(route_at(TICKET_RELAY));
	ck_assert(!switch_pace(&sw));
	data_at(&peer, 5);
	ck_assert_uint_eq(peer2.data, 2);
	entry.route_id = 77;
}
END_TEST

/* A relay between whose sessions one goes says another thing than an end whose worker is gone. */
START_TEST(a_hop_goes)
{
	route_at(TICKET_RELAY);
	open_route(&peer, 1, 77, CLASS_BULK, OPEN_UNRELIABLE, "vpn");
	open_at(&vpnd, 2, peer2.port.node_id, "vpn");
	port_detach(&peer2.port);
	expect_reset(&peer, 1, REASON_HOP_GONE);
	expect_reset(&vpnd, 2, REASON_PEER_GONE);
	port_attach(&peer2.port, &sw, &ops, PORT_SESSION, false, 10, 10);
}
END_TEST

static bool was_moved;

static bool
broken(struct fswitch *s, const struct stream *st, uint64_t reason)
{
	(void)s;
	ck_assert_uint_eq(reason, REASON_HOP_GONE);
	if (was_moved)
		ck_assert_uint_eq(switch_sweep_route(st->route, NULL, NULL, REASON_MOVED), 2);
	return was_moved;
}

static struct route *the_way;

static struct port *
way(struct fswitch *s, const uint8_t *id, unsigned class, struct route **r)
{
	(void)class;
	ck_assert_uint_eq(id[0], 0x44);
	*r = the_way;
	return the_way == NULL ? NULL : s->session(s, route_neighbour(the_way));
}

/* What this node's workers open over a route, and what becomes of it when a node on it says that it is broken. */
START_TEST(own_streams_over_a_route)
{
	static const struct switch_hooks hooks = { .way = way, .broken = broken };
	uint8_t far[NODE_ID_LEN];
	struct frame f = { .type = FT_RESET_STREAM, .reset = { .reason = REASON_HOP_GONE } };

	memset(far, 0x44, sizeof(far));
	sw.hooks = &hooks;
	the_way = NULL;
	open_at(&vpnd, 2, far, "vpn");
	expect_reset(&vpnd, 2, REASON_UNREACHABLE);
	the_way = route_at(TICKET_SOURCE);
	open_at(&vpnd, 4, far, "vpn");
	open_at(&vpnd, 6, far, "vpn");
	open_at(&vpnd, 8, far, "vpn");
	ck_assert_uint_eq(peer2.log[0].f.open.route_id, 77);
	data_at(&vpnd, 4);
	ck_assert_uint_eq(the_way->forth[CLASS_INTERACTIVE], 1);
	was_moved = false;
	f.reset.stream_id = peer2.log[0].f.open.stream_id;
	switch_control(&peer2.port, &f);
	expect_reset(&vpnd, 4, REASON_HOP_GONE);
	was_moved = true;
	f.reset.stream_id = peer2.log[1].f.open.stream_id;
	switch_control(&peer2.port, &f);
	expect_reset(&vpnd, 6, REASON_MOVED);
	ck_assert_uint_eq(the_way->nstreams, 0);
	/* An end's word is no route's. */
	was_moved = false;
	open_at(&vpnd, 10, far, "vpn");
	f.reset.stream_id = peer2.log[peer2.nlog - 1].f.open.stream_id;
	f.reset.reason = REASON_PEER_GONE;
	switch_control(&peer2.port, &f);
	expect_reset(&vpnd, 10, REASON_PEER_GONE);
}
END_TEST

static uint64_t followed, following;
static unsigned answers;
static bool told;

static bool
follows(struct fswitch *s, const struct port *from, uint64_t before, uint64_t id)
{
	(void)s;
	ck_assert_ptr_eq(from, &svc.port);
	followed = before;
	following = id;
	return before == 2;
}

static bool
answered(struct fswitch *s, const struct stream *st)
{
	(void)s;
	ck_assert_uint_eq(st->end[0].id, following);
	answers++;
	return told;
}

static void
ack_at(struct fake *at, uint64_t id)
{
	struct frame f = { .type = FT_ACK, .ack = { .stream_id = id } };

	ck_assert_uint_eq(switch_control(&at->port, &f), REASON_NONE);
}

/* The owner hears what follows a stream that was moved, and when the far end has answered: of no other, and just once. */
START_TEST(what_follows)
{
	static const struct switch_hooks hooks = { .follows = follows, .answered = answered };
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = 4, .service = { (const uint8_t *)"tcp", 3 },
	    .dest = peer.port.node_id, .before = 2 } }, credit = { .type = FT_STREAM_CREDIT };

	sw.hooks = &hooks;
	told = true;
	switch_control(&svc.port, &f);
	ck_assert_uint_eq(followed, 2);
	ck_assert_uint_eq(peer.log[0].f.open.before, 0);	/* no other node's business */
	ck_assert_uint_eq(answers, 0);
	credit.credit.stream_id = peer.log[0].f.open.stream_id;
	credit.credit.limit = 100000;
	switch_control(&peer.port, &credit);
	ack_at(&svc, 4);
	ck_assert_uint_eq(answers, 0);		/* neither the next hop's word nor one's own */
	ack_at(&peer, peer.log[0].f.open.stream_id);
	ck_assert_uint_eq(answers, 1);
	ack_at(&peer, peer.log[0].f.open.stream_id);
	ck_assert_uint_eq(answers, 1);
	f.open.stream_id = 6;			/* of something else */
	f.open.before = 3;
	switch_control(&svc.port, &f);
	ck_assert_uint_eq(followed, 3);
	ack_at(&peer, peer.log[1].f.open.stream_id);
	ck_assert_uint_eq(answers, 1);
	/* Of packets nothing comes back: it is asked when they leave, and again until the owner knows. */
	f.open.stream_id = 8;
	f.open.before = 2;
	f.open.flags = OPEN_UNRELIABLE;
	told = false;
	switch_control(&svc.port, &f);
	ck_assert_uint_eq(answers, 2);
	switch_answered(&sw, stream_of(switch_find(&svc.port, 8)));
	told = true;
	switch_answered(&sw, stream_of(switch_find(&svc.port, 8)));
	switch_answered(&sw, stream_of(switch_find(&svc.port, 8)));
	ck_assert_uint_eq(answers, 4);
	/* One that goes nowhere is known as well, by its new id. */
	peer_is_up = false;
	f.open.stream_id = 10;
	switch_control(&svc.port, &f);
	ck_assert_uint_eq(following, 10);
	ck_assert_uint_eq(answers, 4);
	/* What another node would say of the kind is not looked at. */
	f.open = (struct frame_open_stream){ .stream_id = 2, .flags = OPEN_UNRELIABLE, .service = { (const uint8_t *)"vpn", 3 },
	    .before = 2 };
	switch_control(&peer2.port, &f);
	ck_assert_uint_eq(following, 10);
	ck_assert_uint_eq(vpnd.log[0].f.open.before, 0);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		opens_outward, opens_inward, refused, protocol_errors, limits_each_way, ends, early_data_is_dropped,
		port_goes, bind_replaces_and_is_bounded, full_port_counts, many,
		probes_are_few, relays, routes_end_here, routes_refuse, entries_that_make_no_sense, routes_have_a_rate,
		relayed_routes_share_a_rate, a_hop_goes,
		own_streams_over_a_route, what_follows,
	};

	return suite_run(suite_of("switch", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown));
}
