#include "fabricd/signed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"
#include "fabricd/fabricd.h"

_Static_assert(RECORD_LARGE_MAX <= PM_SIGNED_MAX, "a message holds any of them");

static int
check(const struct record *r, int decoded, enum record_kind kind, const char *path,
    const uint8_t authority[RECORD_KEY_LEN], char err[CONF_ERR_MAX])
{
	const char *what = NULL;

	if (decoded != RECORD_OK) {
		snprintf(err, CONF_ERR_MAX, "%s: %s", path, record_strerror(decoded));
		return -1;
	}
	if (r->kind != kind) {
		snprintf(err, CONF_ERR_MAX, "%s is a %s record, not a %s", path, record_kind_name(r->kind),
		    record_kind_name(kind));
		return -1;
	}
	if (memcmp(r->issuer, authority, RECORD_KEY_LEN) != 0)
		what = "was signed by another authority than the configured one";
	else if (record_verify(r) == -1)
		what = "has a signature that does not verify";
	if (what == NULL)
		return 0;
	snprintf(err, CONF_ERR_MAX, "%s %s", path, what);
	return -1;
}

static int
load(struct signed_file *f, enum record_kind kind, const char *path, const uint8_t authority[RECORD_KEY_LEN],
    char err[CONF_ERR_MAX])
{
	char why[KEYFILE_ERR_MAX];
	struct record r;
	uint64_t now = clock_wall();
	int len;

	if (path[0] == '\0')
		return 0;
	if ((f->p = malloc(RECORD_LARGE_MAX)) == NULL) {
		snprintf(err, CONF_ERR_MAX, "out of memory");
		return -1;
	}
	if ((len = keyfile_read_record(f->p, RECORD_LARGE_MAX, path, why)) == -1) {
		snprintf(err, CONF_ERR_MAX, "%s", why);
		return -1;
	}
	f->len = (size_t)len;
	if (check(&r, record_decode(&r, f->p, f->len), kind, path, authority, err) == -1)
		return -1;
	if (r.not_before > now + CLOCK_SKEW_S) {
		log_warnx("%s is not valid yet and is left out", path);
		free(f->p);
		memset(f, 0, sizeof(*f));
		return 0;
	}
	/* Without it everything would be open that it closes: it holds until there is a later one. */
	if (now >= r.not_after)
		log_warnx("%s has expired and holds until there is a later one", path);
	log_info("%s file=\"%s\" serial=%" PRIu64, record_kind_name(kind), path, r.serial);
	return 0;
}

int
signed_load(struct signed_files *s, const struct conf *c, const uint8_t authority[RECORD_KEY_LEN], char err[CONF_ERR_MAX])
{
	memset(s, 0, sizeof(*s));
	if (load(&s->policy, RECORD_POLICY, c->policy, authority, err) == 0 &&
	    load(&s->revocations, RECORD_REVOCATION, c->revocations, authority, err) == 0)
		return 0;
	signed_clear(s);
	return -1;
}

void
signed_clear(struct signed_files *s)
{
	free(s->policy.p);
	free(s->revocations.p);
	memset(s, 0, sizeof(*s));
}

static void
send_one(struct child *routed, const struct signed_file *f)
{
	struct procmsg m = { .type = PM_SIGNED };

	if (f->p == NULL)
		return;
	m.signed_record.record = (struct frame_bytes){ f->p, f->len };
	child_send(routed, &m, -1);
}

/* Who is revoked comes first: nothing of the policy is asked for them. */
void
signed_send(struct fabricd *d)
{
	struct child *routed = &d->child[WORKER_ROUTED];

	if (routed->state != CHILD_RUNNING)
		return;
	send_one(routed, &d->setup->authorised.revocations);
	send_one(routed, &d->setup->authorised.policy);
}
