/* Sealing a ticket, and what a hop does with one that it is shown. The order of the checks is fabric-lease(5)'s. */
#include <string.h>

#include "crypto/box.h"
#include "fabric/ticket.h"

#define PROLOGUE_LEN (sizeof(TICKET_PROLOGUE) + 8)

/* Binds what is sealed to the route id it is shown with. */
static void
prologue(uint8_t out[PROLOGUE_LEN], uint64_t route_id)
{
	memcpy(out, TICKET_PROLOGUE, sizeof(TICKET_PROLOGUE));
	for (int i = 0; i < 8; i++)
		out[sizeof(TICKET_PROLOGUE) + (size_t)i] = (uint8_t)(route_id >> (56 - 8 * i));
}

size_t
ticket_seal(uint8_t *buf, size_t size, const uint8_t to[NOISE_DH_LEN], uint64_t route_id, struct frame_bytes membership,
    struct frame_bytes delegation, struct frame_bytes ticket)
{
	const struct frame_bytes part[3] = { membership, delegation, ticket };
	uint8_t plain[TICKET_MAX], pro[PROLOGUE_LEN];
	size_t len = 0;
	int n;

	for (size_t i = 0; i < 3; i++) {
		if (part[i].len > sizeof(plain) - len)
			return 0;
		if (part[i].len > 0)
			memcpy(plain + len, part[i].p, part[i].len);
		len += part[i].len;
	}
	prologue(pro, route_id);
	n = box_seal(buf, size, to, pro, sizeof(pro), plain, len);
	return n < 0 ? 0 : (size_t)n;
}

/* What was sealed: the ticket alone, or behind the records of who issued it. */
struct opened {
	uint8_t		 plain[TICKET_SEALED_MAX];	/* of the box's size, so that what is too long is not cut */
	bool		 has_issuer;
	struct record	 membership, delegation, ticket;
};

static enum ticket_error
seal_open(const struct ticket_ctx *c, struct opened *o, size_t *plain_len, const uint8_t *sealed, size_t len)
{
	uint8_t pro[PROLOGUE_LEN];
	int n;

	if (len > TICKET_SEALED_MAX)
		return TICKET_E_FORM;
	prologue(pro, c->route_id);
	for (size_t i = 0; i < c->nkeys; i++) {
		n = box_open(o->plain, sizeof(o->plain), &c->keys[i], pro, sizeof(pro), sealed, len);
		if (n >= 0) {
			*plain_len = (size_t)n;
			return TICKET_OK;
		}
	}
	return TICKET_E_SEAL;
}

static enum ticket_error
form(const struct ticket_ctx *c, struct opened *o, size_t len, struct ticket *t)
{
	const uint8_t *p = o->plain, *end = p + len;

	if (record_decode_first(&o->ticket, p, len) != RECORD_OK)
		return TICKET_E_FORM;
	o->has_issuer = o->ticket.kind == RECORD_MEMBERSHIP;
	if (o->has_issuer) {
		o->membership = o->ticket;
		p += o->membership.raw.len;
		if (record_decode_first(&o->delegation, p, (size_t)(end - p)) != RECORD_OK ||
		    o->delegation.kind != RECORD_DELEGATION)
			return TICKET_E_FORM;
		p += o->delegation.raw.len;
	}
	if (record_decode(&o->ticket, p, (size_t)(end - p)) != RECORD_OK || ticket_decode(t, &o->ticket) != 0)
		return TICKET_E_FORM;
	return t->route_id == c->route_id ? TICKET_OK : TICKET_E_FORM;
}

/* Whose route key signed it: by the records that came with it, else by what is known of the key. */
static enum ticket_error
issuer_find(const struct ticket_ctx *c, const struct opened *o, struct ticket_issuer *by)
{
	if (!o->has_issuer)
		return c->issuer != NULL && c->issuer(o->ticket.issuer, by, c->arg) && by->who.not_after > c->now ?
		    TICKET_OK : TICKET_E_ISSUER;
	/* Any tenant's: the authority gave it the role. */
	if (identity_membership(&o->membership, c->authority, NULL, c->now) != REASON_NONE ||
	    identity_delegation(&o->delegation, &o->membership, PURPOSE_ROUTE, c->now) != REASON_NONE ||
	    memcmp(o->delegation.subject, o->ticket.issuer, RECORD_KEY_LEN) != 0)
		return TICKET_E_ISSUER;
	identity_fill(&by->who, &o->membership, &o->delegation);
	return TICKET_OK;
}

/*
 * A coordinator may issue any. A node may issue to itself what leads to the destination directly or over one relay: so
 * the hop after it, and at the far end the hop before, are the two that there can be.
 */
static enum ticket_error
issuer_may(const struct ticket_ctx *c, const struct ticket *t, const struct ticket_issuer *by)
{
	const uint8_t *source = t->place == TICKET_SOURCE ? c->node_id : t->place == TICKET_RELAY ? t->prev : t->far;

	if (!t->self)
		return by->who.roles & 1u << ROLE_ROUTE_COORDINATOR ? TICKET_OK : TICKET_E_ISSUER;
	if (memcmp(by->who.node_id, source, NODE_ID_LEN) != 0 || strcmp(by->who.tenant, t->tenant) != 0)
		return TICKET_E_ISSUER;
	return TICKET_OK;
}

static enum ticket_error
hop(const struct ticket_ctx *c, const struct opened *o, const struct ticket *t)
{
	if (memcmp(o->ticket.subject, c->node_key, RECORD_KEY_LEN) != 0)
		return TICKET_E_HOP;
	if (t->place == TICKET_SOURCE)
		return c->from == NULL ? TICKET_OK : TICKET_E_HOP;
	return c->from != NULL && memcmp(c->from, t->prev, NODE_ID_LEN) == 0 ? TICKET_OK : TICKET_E_HOP;
}

static enum ticket_error
lifetime(const struct ticket_ctx *c, const struct opened *o, const struct ticket *t)
{
	switch (identity_time(&o->ticket, c->now)) {
	case REASON_NONE:
		if (!lease_epoch_bounded(t->epoch, c->now))
			return TICKET_E_NOT_YET;
		return t->hard - t->not_before > LEASE_LIFE_MAX_S ? TICKET_E_LIFETIME : TICKET_OK;
	case REASON_AUTH_EXPIRED:
		return TICKET_E_EXPIRED;
	default:
		return TICKET_E_NOT_YET;
	}
}

static bool
revoked(const struct ticket_ctx *c, const uint8_t *node_id)
{
	return c->revoked != NULL && c->revoked(node_id, c->arg);
}

/* Of the nodes that it names; a field that its place does not have is all zero, and nobody's. */
static enum ticket_error
revocations(const struct ticket_ctx *c, const struct ticket *t, const struct ticket_issuer *by)
{
	return revoked(c, by->who.node_id) || revoked(c, c->node_id) || revoked(c, t->prev) || revoked(c, t->next) ||
	    revoked(c, t->far) ? TICKET_E_REVOKED : TICKET_OK;
}

/* What only this node knows: what it has accepted before, what it relays, what its policy says, and what it has room for. */
static enum ticket_error
here(const struct ticket_ctx *c, const struct ticket *t, const struct ticket_issuer *by)
{
	const uint32_t may_relay = 1u << ROLE_RELAY | 1u << ROLE_ENTRY;

	if (c->fenced != NULL && t->epoch <= c->fenced(t, by, c->arg))
		return TICKET_E_FENCED;
	if (c->replayed != NULL && c->replayed(t, by, c->arg))
		return TICKET_E_REPLAYED;
	if (t->place == TICKET_RELAY && (!c->relays || !(c->roles & may_relay)))
		return TICKET_E_ROLE;
	if (t->place == TICKET_RELAY && t->classes & ~c->relay_classes)
		return TICKET_E_CLASS;
	if (c->permitted != NULL && !c->permitted(t, by, c->arg))
		return TICKET_E_POLICY;
	return c->room == NULL || c->room(t, by, c->arg) ? TICKET_OK : TICKET_E_LIMIT;
}

enum ticket_error
ticket_check(const struct ticket_ctx *c, const uint8_t *sealed, size_t len, struct ticket *t, struct ticket_issuer *by)
{
	struct opened o;
	enum ticket_error err;
	size_t plain_len = 0;

	memset(t, 0, sizeof(*t));
	memset(by, 0, sizeof(*by));
	if ((err = seal_open(c, &o, &plain_len, sealed, len)) != TICKET_OK ||
	    (err = form(c, &o, plain_len, t)) != TICKET_OK ||
	    (err = issuer_find(c, &o, by)) != TICKET_OK ||
	    (err = issuer_may(c, t, by)) != TICKET_OK)
		return err;
	if (record_verify(&o.ticket) == -1)
		return TICKET_E_SIGNATURE;
	if ((err = hop(c, &o, t)) != TICKET_OK ||
	    (err = lifetime(c, &o, t)) != TICKET_OK ||
	    (err = revocations(c, t, by)) != TICKET_OK)
		return err;
	return here(c, t, by);
}
