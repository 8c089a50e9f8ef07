#include "fabricd/keys.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hex.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"
#include "fabricd/fabricd.h"
#include "fabricd/services.h"

static void
time_str(char buf[32], uint64_t when)
{
	time_t t = (time_t)when;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* What auth_check() will ask of it at the other end, asked here first, where it can be mended. */
static int
check_membership(const struct keys *k, const struct conf *c, char err[CONF_ERR_MAX])
{
	const struct record *m = &k->membership;
	uint64_t now = clock_wall();
	const char *what = NULL;
	char when[32];

	if (m->kind != RECORD_MEMBERSHIP)
		what = "is not a membership certificate";
	else if (memcmp(m->subject, k->key.public, SIGN_PUBLIC_LEN) != 0)
		what = "was made for another key than the node's";
	else if (memcmp(m->issuer, k->authority, SIGN_PUBLIC_LEN) != 0)
		what = "was signed by another authority than the configured one";
	else if (record_verify(m) == -1)
		what = "has a signature that does not verify";
	if (what != NULL) {
		snprintf(err, CONF_ERR_MAX, "%s %s", c->certificate, what);
		return -1;
	}
	if (now >= m->not_after || m->not_before > now + CLOCK_SKEW_S) {
		time_str(when, now >= m->not_after ? m->not_after : m->not_before);
		snprintf(err, CONF_ERR_MAX, "%s %s %s", c->certificate,
		    now >= m->not_after ? "expired at" : "is not valid before", when);
		return -1;
	}
	if (strcmp(m->name, c->name) != 0) {
		snprintf(err, CONF_ERR_MAX, "%s is for node \"%s\", the configuration says node \"%s\"", c->certificate,
		    m->name, c->name);
		return -1;
	}
	return 0;
}

static int
load(struct keys *k, const struct conf *c, char err[CONF_ERR_MAX])
{
	char why[KEYFILE_ERR_MAX];
	const struct conf_peer *p;
	int len, rv;

	if (keyfile_read_secret(&k->key, c->key, NULL, why) == -1 ||
	    keyfile_read_public(k->authority, c->authority, why) == -1 ||
	    (len = keyfile_read_record(k->membership_raw, sizeof(k->membership_raw), c->certificate, why)) == -1) {
		snprintf(err, CONF_ERR_MAX, "%s", why);
		return -1;
	}
	if ((rv = record_decode(&k->membership, k->membership_raw, (size_t)len)) != RECORD_OK) {
		snprintf(err, CONF_ERR_MAX, "%s: %s", c->certificate, record_strerror(rv));
		return -1;
	}
	if (check_membership(k, c, err) == -1)
		return -1;
	node_id_from_key(k->node_id, k->key.public);
	if ((p = conf_peer_by_id(c, k->node_id)) != NULL) {
		snprintf(err, CONF_ERR_MAX, "peer \"%s\" has this node's own id", p->name);
		return -1;
	}
	return 0;
}

struct keys *
keys_load(const struct conf *c, char err[CONF_ERR_MAX])
{
	struct keys *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		snprintf(err, CONF_ERR_MAX, "out of memory");
		return NULL;
	}
	if (load(k, c, err) == 0)
		return k;
	keys_free(k);
	return NULL;
}

void
keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	crypto_wipe(k, sizeof(*k));
	free(k);
}

uint64_t
keys_serial(void)
{
	static uint64_t last;
	uint64_t now = clock_wall() * 1000;

	last = now > last ? now : last + 1;
	return last;
}

static void
delegate(struct child *c, uint8_t purpose)
{
	const struct setup *s = c->fabricd->setup;
	const struct keys *k = s->keys;
	struct child_key *key = &c->keys[purpose];
	uint64_t now = clock_wall(), end = now + s->conf->delegation_s;
	uint8_t raw[FRAME_RECORD_MAX];
	struct record r = { .kind = RECORD_DELEGATION, .subject = key->want, .serial = keys_serial(), .not_before = now,
	    .purpose = purpose };
	struct procmsg m = { .type = PM_DELEGATION };
	size_t len;

	if (now >= k->membership.not_after) {
		log_warnx("the certificate has expired: nothing is delegated until a new one is installed");
		return;
	}
	r.not_after = end < k->membership.not_after ? end : k->membership.not_after;
	if ((len = record_sign(raw, sizeof(raw), &r, &k->key)) == 0) {
		log_warnx("a delegation cannot be signed");
		return;
	}
	m.delegation.purpose = purpose;
	m.delegation.membership = k->membership.raw;
	m.delegation.delegation = (struct frame_bytes){ raw, len };
	m.delegation.renew_at = now + (r.not_after - now) * 2 / 3;
	child_send(c, &m, -1);
	memcpy(key->certified, key->want, sizeof(key->certified));
	key->from = r.not_before;
	key->end = r.not_after;
	log_debug("worker=%s delegation serial=%llu purpose=%u", worker_name(c->kind), (unsigned long long)r.serial, purpose);
}

/* The one table of who may ask for what. */
static bool
may_delegate(enum worker_kind kind, unsigned purpose)
{
	switch (purpose) {
	case PURPOSE_SESSION:
		return kind == WORKER_DATAPLANE;
	case PURPOSE_E2E:
		return kind == WORKER_VPND || kind == WORKER_SVCHOSTD;
	case PURPOSE_ROUTE:
	case PURPOSE_TICKET:
		return kind == WORKER_ROUTED;
	default:
		return false;
	}
}

/* An X25519 key may be any 32 bytes; one of small order serves nobody but harms only who has it. */
static bool
key_fits(const struct pm_delegate *want)
{
	return want->purpose == PURPOSE_E2E || want->purpose == PURPOSE_TICKET || sign_public_check(want->key) == 0;
}

int
keys_delegate(struct child *c, const struct pm_delegate *want)
{
	if (!may_delegate(c->kind, want->purpose) || !key_fits(want))
		return -1;
	memcpy(c->keys[want->purpose].want, want->key, sizeof(want->key));
	c->keys[want->purpose].asked = c->keys[want->purpose].due = true;
	keys_delegate_due(c);
	return 0;
}

/* Too often is not refused, for then there would be no session; it waits, and the last one of its purpose counts. */
void
keys_delegate_due(struct child *c)
{
	static const struct timeval later = { 1, 0 };
	bool any = false;

	for (uint8_t purpose = 1; purpose < PURPOSE_COUNT; purpose++) {
		if (!c->keys[purpose].due)
			continue;
		if (!ratelimit_take(&c->delegate_rate, clock_ns())) {
			event_add(c->delegate_timer, &later);
			break;
		}
		c->keys[purpose].due = false;
		delegate(c, purpose);
		any = true;
	}
	if (any)
		services_update(c->fabricd);
}

void
keys_renew(struct fabricd *d)
{
	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		struct child *c = &d->child[k];

		for (uint8_t purpose = 1; purpose < PURPOSE_COUNT; purpose++)
			if (child_is_up(c) && c->keys[purpose].asked && !c->keys[purpose].due)
				delegate(c, purpose);
	}
	services_update(d);
}

void
keys_forget(struct child *c)
{
	event_del(c->delegate_timer);
	memset(c->keys, 0, sizeof(c->keys));
	services_update(c->fabricd);
}
