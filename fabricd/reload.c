#include "fabricd/reload.h"

#include <stdlib.h>
#include <string.h>

#include "fabricd/confsend.h"
#include "fabricd/fabricd.h"
#include "fabricd/netwatch.h"

#define CONFIGURE_LIMIT_S 10

struct reload {
	struct setup	*next;
	struct reply	 reply;
	struct event	*timer;
	bool		 begun;
	unsigned	 asked;		/* 1 << kind: was sent the new configuration */
	unsigned	 due;		/* has not said what it thinks of it */
};

void
reload_configure(struct child *c)
{
	static const struct timeval limit = { CONFIGURE_LIMIT_S, 0 };

	c->state = CHILD_CONFIGURING;
	event_add(c->timer, &limit);
	confsend_start(c, c->fabricd->setup, c->fabricd->version);
}

void
reload_free(struct fabricd *d)
{
	struct reload *r = d->reload;

	if (r == NULL)
		return;
	d->reload = NULL;
	if (r->timer != NULL)
		event_free(r->timer);
	setup_free(r->next);
	free(r);
}

/* Whoever became ready meanwhile has waited for the outcome. */
static void
end(struct fabricd *d, unsigned status, const char *text)
{
	struct reply reply = d->reload->reply;

	reload_free(d);
	if (status == 0)
		log_info("configuration version=%llu runs", (unsigned long long)d->version);
	else
		log_warnx("reload failed, nothing has changed: %s", text);
	control_done(d, &reply, status, text);
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (d->child[k].state == CHILD_WIRED)
			reload_configure(&d->child[k]);
}

static void
send_asked(struct fabricd *d, enum procmsg_type type)
{
	const struct procmsg m = { .type = type };
	unsigned asked = d->reload->asked;

	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		struct child *c = &d->child[k];

		if ((asked & 1u << k) == 0 || c->state != CHILD_RUNNING)
			continue;
		confsend_free(c->confsend);	/* only if the whole of it is not wanted any more */
		c->confsend = NULL;
		child_send(c, &m, -1);
	}
}

static void
fail(struct fabricd *d, const char *text)
{
	send_asked(d, PM_CONF_ABORT);
	end(d, 1, text);
}

static void
commit(struct fabricd *d)
{
	struct setup *next = d->reload->next, *old = d->setup;
	char err[CONF_ERR_MAX];

	if (setup_apply(next, old, err) == -1) {
		fail(d, err);
		return;
	}
	send_asked(d, PM_CONF_COMMIT);
	d->reload->next = NULL;
	d->setup = next;
	d->version++;
	setup_retire(old, next);
	setup_free(old);
	d->log_level = next->conf->log_level;
	log_setlevel(d->log_level);
	wire_log_level(d);
	keys_renew(d);
	signed_send(d);
	netwatch_ignore(d->netwatch, next->tun.ifindex);
	end(d, 0, "");
}

/* Verdicts of an aborted reload may be under way still; they must not be taken for this one's. */
static bool
settled(const struct fabricd *d)
{
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (d->child[k].state == CHILD_CONFIGURING || d->child[k].verdict_due)
			return false;
	return true;
}

static void
begin(struct fabricd *d)
{
	struct reload *r = d->reload;

	if (r->begun || !settled(d))
		return;
	r->begun = true;
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (d->child[k].state == CHILD_RUNNING)
			r->asked |= 1u << k;
	r->due = r->asked;
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (r->asked & 1u << k)
			confsend_start(&d->child[k], r->next, d->version + 1);
	if (r->due == 0)
		commit(d);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct fabricd *d = arg;
	struct reload *r = d->reload;
	char text[80];
	unsigned k;

	(void)fd;
	(void)what;
	for (k = 0; k < WORKER_COUNT; k++)
		if (r->due & 1u << k || d->child[k].verdict_due)
			break;
	if (k == WORKER_COUNT) {
		fail(d, "the workers did not settle in time");
		return;
	}
	snprintf(text, sizeof(text), "worker %s did not answer in time", worker_name(k));
	fail(d, text);
	child_kill(&d->child[k], "it did not answer to a configuration");
}

/* What cannot be changed under running workers. */
static const char *
fixed_part(const struct conf *now, const struct conf *next)
{
	for (unsigned i = 0; i < DIR_COUNT; i++)
		if (strcmp(now->dir[i], next->dir[i]) != 0)
			return "directory";
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		if (now->user[k].numeric != next->user[k].numeric || now->user[k].uid != next->user[k].uid ||
		    now->user[k].gid != next->user[k].gid || strcmp(now->user[k].name, next->user[k].name) != 0)
			return "user";
	return NULL;
}

/* A certificate may be a new one; who this node is, and to whom it belongs, is what its sessions have proven. */
static const char *
fixed_identity(const struct keys *now, const struct keys *next)
{
	if (memcmp(now->node_id, next->node_id, sizeof(now->node_id)) != 0)
		return "the node's key";
	if (memcmp(now->authority, next->authority, sizeof(now->authority)) != 0)
		return "the authority";
	return strcmp(now->membership.tenant, next->membership.tenant) != 0 ? "the tenant" : NULL;
}

static struct setup *
read_setup(struct fabricd *d, char err[CONF_ERR_MAX])
{
	struct conf *conf = fabricd_read_conf(d, err);
	struct setup *next;
	const char *fixed;

	if (conf == NULL)
		return NULL;
	if ((fixed = fixed_part(d->setup->conf, conf)) != NULL) {
		snprintf(err, CONF_ERR_MAX, "%s: \"%s\" has changed, which needs a new start", d->conf_path, fixed);
		conf_free(conf);
		return NULL;
	}
	if ((next = setup_new(conf, d->setup, d->root, err)) == NULL)
		return NULL;
	if ((fixed = fixed_identity(d->setup->keys, next->keys)) != NULL) {
		snprintf(err, CONF_ERR_MAX, "%s has changed, which needs a new start", fixed);
		setup_free(next);
		return NULL;
	}
	return next;
}

void
reload_start(struct fabricd *d, const struct reply *reply)
{
	static const struct timeval limit = { CONFIGURE_LIMIT_S, 0 };
	char err[CONF_ERR_MAX] = "a reload is under way already";
	struct setup *next = d->reload == NULL ? read_setup(d, err) : NULL;

	if (next != NULL && (d->reload = calloc(1, sizeof(*d->reload))) == NULL) {
		snprintf(err, sizeof(err), "out of memory");
		setup_free(next);
		next = NULL;
	}
	if (next == NULL) {
		log_warnx("reload failed, nothing has changed: %s", err);
		control_done(d, reply, 1, err);
		return;
	}
	d->reload->next = next;
	d->reload->reply = *reply;
	d->reload->timer = evtimer_new(d->base, on_timeout, d);
	if (d->reload->timer == NULL) {
		fail(d, "out of memory");
		return;
	}
	event_add(d->reload->timer, &limit);
	begin(d);
}

void
reload_verdict(struct child *c, const char *bad)
{
	struct fabricd *d = c->fabricd;
	struct reload *r = d->reload;
	char text[PM_TEXT_MAX + 40];

	if (r == NULL)
		return;			/* of one that was aborted */
	if (!r->begun) {
		begin(d);
		return;
	}
	if (bad != NULL) {
		snprintf(text, sizeof(text), "%s: %s", worker_name(c->kind), bad);
		fail(d, text);
		return;
	}
	r->due &= ~(1u << c->kind);
	if (r->due == 0)
		commit(d);
}

void
reload_worker_ready(struct fabricd *d)
{
	if (d->reload != NULL)
		begin(d);
}

void
reload_child_gone(struct fabricd *d, struct child *c)
{
	struct reload *r = d->reload;
	char text[80];

	if (r == NULL || d->stopping)
		return;
	if (!r->begun) {
		begin(d);
	} else if (r->due & 1u << c->kind) {
		snprintf(text, sizeof(text), "worker %s died over it", worker_name(c->kind));
		fail(d, text);
	}
}
