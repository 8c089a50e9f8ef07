#include "fabricd/services.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/identity.h"
#include "fabricd/fabricd.h"

#define SERVICE_VPN "vpn"

/* head, issuer, subject, serial, times, name, class, signature */
#define SERVICE_RECORD_LEN_MAX (4 + 2 + 34 + 34 + 3 * 10 + 2 + FRAME_SERVICE_MAX + 3 + RECORD_SIG_LEN)
_Static_assert((CONF_SERVICES_MAX + 1) * SERVICE_RECORD_LEN_MAX <= PM_RECORDS_MAX, "the whole set is one message");
_Static_assert(CONF_SERVICES_MAX + 1 <= NODE_SERVICES_MAX, "and others believe it");

struct services {
	size_t	len;			/* of the set that routed was told */
	uint8_t	records[PM_RECORDS_MAX];
	size_t	nsigned;
	struct signed_service {		/* for what each record was signed: as long as that holds it is not signed anew */
		char	 name[FRAME_SERVICE_MAX + 1];
		uint8_t	 class, key[RECORD_KEY_LEN];
		uint64_t from, end;
		size_t	 off, len;
	} is[CONF_SERVICES_MAX + 1];
};

struct services *
services_new(void)
{
	return calloc(1, sizeof(struct services));
}

void
services_free(struct services *s)
{
	free(s);
}

static const struct signed_service *
find(const struct services *s, const struct signed_service *want)
{
	for (size_t i = 0; i < s->nsigned; i++) {
		const struct signed_service *x = &s->is[i];

		if (strcmp(x->name, want->name) == 0 && x->class == want->class && x->from == want->from &&
		    x->end == want->end && memcmp(x->key, want->key, sizeof(x->key)) == 0)
			return x;
	}
	return NULL;
}

static size_t
sign(uint8_t *out, size_t size, const struct keys *k, const struct signed_service *is)
{
	struct record r = { .kind = RECORD_SERVICE, .subject = is->key, .serial = keys_serial(), .not_before = is->from,
	    .not_after = is->end, .class = is->class };
	size_t len;

	memcpy(r.name, is->name, sizeof(r.name));
	len = record_sign(out, size, &r, &k->key);
	if (len == 0)
		log_warnx("service=%s cannot be signed", is->name);
	return len;
}

/* Adds `name`, if the worker that serves it has a certified key; from `old` when that is signed already. */
static void
add(struct services *s, const struct services *old, const struct child *c, const char *name, unsigned class)
{
	struct signed_service *is = &s->is[s->nsigned];
	const struct child_key *key = &c->keys[PURPOSE_E2E];
	const struct signed_service *was;

	if (key->end == 0)
		return;
	memset(is, 0, sizeof(*is));
	strcpy(is->name, name);
	is->class = (uint8_t)class;
	memcpy(is->key, key->certified, sizeof(is->key));
	is->from = key->from;
	is->end = key->end;
	is->off = s->len;
	if ((was = find(old, is)) != NULL) {
		is->len = was->len;
		memcpy(s->records + s->len, old->records + was->off, was->len);
	} else if ((is->len = sign(s->records + s->len, sizeof(s->records) - s->len, c->fabricd->setup->keys, is)) == 0) {
		return;
	}
	s->len += is->len;
	s->nsigned++;
}

void
services_update(struct fabricd *d)
{
	const struct conf *conf = d->setup->conf;
	struct services *old = d->services, *s = services_new();
	bool same;

	if (d->stopping) {
		services_free(s);
		return;
	}
	if (s == NULL) {
		log_warn("services");
		return;
	}
	if (conf->vpn.configured)
		add(s, old, &d->child[WORKER_VPND], SERVICE_VPN, CLASS_CONTROL);
	for (unsigned i = 0; i < conf->nservices; i++)
		add(s, old, &d->child[WORKER_SVCHOSTD], conf->services[i].name, conf->services[i].class);
	same = s->len == old->len && memcmp(s->records, old->records, s->len) == 0;
	d->services = s;
	services_free(old);
	if (!same)
		services_send(d);
}

void
services_send(struct fabricd *d)
{
	struct child *routed = &d->child[WORKER_ROUTED];
	struct procmsg m = { .type = PM_RECORDS };

	if (routed->state != CHILD_RUNNING)
		return;		/* when it runs, it is told */
	memcpy(m.records.node_id, d->setup->keys->node_id, NODE_ID_LEN);
	m.records.records = (struct frame_bytes){ d->services->records, d->services->len };
	child_send(routed, &m, -1);
	log_debug("services=%zu signed and given to routed", d->services->nsigned);
}
