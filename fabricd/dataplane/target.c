#include "fabricd/dataplane/switch_int.h"

#include <string.h>

bool
switch_service_is(const struct frame_open_stream *o, const char *name)
{
	return o->service.len == strlen(name) && memcmp(o->service.p, name, o->service.len) == 0;
}

static struct port *
service_port(struct fswitch *sw, struct frame_bytes name)
{
	for (size_t i = 0; i < sw->nservices; i++)
		if (strlen(sw->services[i].name) == name.len && memcmp(sw->services[i].name, name.p, name.len) == 0)
			return sw->services[i].port;
	return NULL;
}

/* A worker of this node's wants another node. */
static void
target_outward(struct port *from, const struct frame_open_stream *o, struct target *t)
{
	struct fswitch *sw = from->sw;

	t->reason = REASON_UNREACHABLE;
	if (o->dest == NULL)
		return;
	/* Neighbours' routeds talk to each other, and nobody between. */
	if (sw->hooks == NULL || sw->hooks->way == NULL || switch_service_is(o, SWITCH_DIRECTORY))
		t->port = sw->session(sw, o->dest);
	else
		t->port = sw->hooks->way(sw, o->dest, o->class, &t->route);
	if (t->route == NULL)
		return;
	t->reason = route_admit(t->route, o->class, false, *sw->now_ns);
	if (t->reason != REASON_NONE)
		t->port = NULL;
}

/* This node's probe names its way itself. */
static void
target_probe(struct port *from, const struct frame_open_stream *o, struct target *t)
{
	struct fswitch *sw = from->sw;

	t->reason = REASON_UNREACHABLE;
	if (o->route_id == 0) {
		t->port = o->dest == NULL ? NULL : sw->session(sw, o->dest);
		return;
	}
	if ((t->route = route_find(&sw->routes, o->route_id)) == NULL || t->route->place == TICKET_RELAY)
		return;
	t->reason = route_admit(t->route, o->class, true, *sw->now_ns);
	if (t->reason == REASON_NONE) {
		t->reason = REASON_UNREACHABLE;
		t->port = sw->session(sw, route_neighbour(t->route));
	}
}

static void
target_inward(struct port *from, const struct frame_open_stream *o, const uint8_t *source, struct target *t)
{
	struct fswitch *sw = from->sw;
	bool ask = from->kind == PORT_SESSION && sw->hooks != NULL && sw->hooks->permit != NULL;

	t->source = source;
	t->reason = REASON_NO_SERVICE;
	if (switch_service_is(o, SWITCH_PROBE)) {
		if (!(o->flags & OPEN_UNRELIABLE))
			t->reason = REASON_UNSUPPORTED;
		else if (from->probes >= SWITCH_PROBES && t->route == NULL)
			t->reason = REASON_LIMIT;
		if (t->reason != REASON_NO_SERVICE)
			return;
	}
	if ((t->port = service_port(sw, o->service)) == NULL || !ask || switch_service_is(o, SWITCH_PROBE) ||
	    switch_service_is(o, SWITCH_DIRECTORY))
		return;
	if ((t->reason = sw->hooks->permit(sw, source, o->service, o->class)) != REASON_NONE)
		t->port = NULL;
}

/* The route that it comes over; NULL: there is none from there. */
static struct route *
route_of(const struct port *from, const struct frame_open_stream *o)
{
	struct route *r = route_find(&from->sw->routes, o->route_id);

	return r != NULL && (route_is_prev(r, from->node_id) || route_is_next(r, from->node_id)) ? r : NULL;
}

/* What comes from a neighbour over a route: it goes on to the other neighbour, or ends here. */
static void
target_routed(struct port *from, const struct frame_open_stream *o, struct target *t)
{
	struct fswitch *sw = from->sw;
	struct route *r = route_of(from, o);
	const uint8_t *to = NULL;

	if (r == NULL) {
		sw->routes.counters.no_route++;
		t->reason = REASON_NO_ROUTE;
		return;
	}
	t->reason = REASON_NOT_ALLOWED;
	if (switch_service_is(o, SWITCH_DIRECTORY) ||
	    (t->reason = route_admit(r, o->class, switch_service_is(o, SWITCH_PROBE), *sw->now_ns)) != REASON_NONE)
		return;
	t->route = r;
	if (r->place == TICKET_RELAY) {
		to = route_is_prev(r, from->node_id) ? r->next : r->prev;
		t->reason = REASON_HOP_GONE;
		t->port = sw->session(sw, to);
		sw->routes.counters.hop_gone += t->port == NULL;
	} else {
		target_inward(from, o, r->far, t);
	}
}

uint64_t
switch_too_fast(const struct port *from, const struct frame_open_stream *o)
{
	const struct switch_hooks *h = from->sw->hooks;
	const struct route *r = NULL;

	if (from->kind != PORT_SESSION || h == NULL || h->opens == NULL)
		return REASON_NONE;
	if (o->route_id != 0 && (r = route_of(from, o)) == NULL)
		return REASON_NONE;	/* it is refused for that, and nobody's account pays for it */
	return h->opens(from->sw, from, r, switch_service_is(o, SWITCH_PROBE) || switch_service_is(o, SWITCH_DIRECTORY));
}

void
switch_target(struct port *from, const struct frame_open_stream *o, struct target *t)
{
	const struct fswitch *sw = from->sw;
	bool here = o->dest != NULL && memcmp(o->dest, sw->node_id, NODE_ID_LEN) == 0;

	*t = (struct target){ .reason = REASON_LIMIT };
	if (from->opened_by_peer >= from->max_peer)
		return;
	if (from->kind == PORT_PROBE)
		target_probe(from, o, t);
	else if (from->kind == PORT_WORKER && o->route_id != 0)
		t->reason = REASON_UNSUPPORTED;		/* which way, is not a worker's business */
	else if (from->kind == PORT_WORKER && !here)
		target_outward(from, o, t);
	else if (from->kind == PORT_SESSION && o->route_id != 0)
		target_routed(from, o, t);
	else
		target_inward(from, o, from->kind == PORT_WORKER ? sw->node_id : from->node_id, t);
	if (t->port != NULL && (t->port->opened_by_us >= t->port->max_us ||
	    (t->port->ops->opens != NULL && !t->port->ops->opens(t->port)))) {
		t->reason = REASON_LIMIT;
		t->port = NULL;
	}
}
