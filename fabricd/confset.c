#include "fabricd/confset.h"

#include <arpa/inet.h>

#include <ctype.h>
#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "crypto/identity.h"
#include "fabric/turn.h"
#include "wire/fields.h"

int
confset_fail(struct confset *s, const struct lex_token *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (s->err[0] != '\0')
		return -1;		/* the first one is the cause */
	n = t == NULL ? snprintf(s->err, CONF_ERR_MAX, "%s: ", s->name)
	    : snprintf(s->err, CONF_ERR_MAX, "%s:%u: ", t->file, t->line);
	if (n < 0 || n >= CONF_ERR_MAX)
		return -1;
	va_start(ap, fmt);
	vsnprintf(s->err + n, CONF_ERR_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	return -1;
}

static void
free_nothing(void *p)
{
	(void)p;
}

int
confset_init(struct confset *s, const char *name, char *err)
{
	memset(s, 0, sizeof(*s));
	s->name = name;
	s->err = err;
	s->conf = conf_new();
	return s->conf == NULL ? -1 : 0;
}

void
confset_clear(struct confset *s)
{
	tdestroy(s->ids, free_nothing);
	tdestroy(s->names, free_nothing);
	tdestroy(s->prefixes, free);
	s->ids = s->names = s->prefixes = NULL;
}

int
confset_finish(struct confset *s, const struct lex_token *end)
{
	if (s->conf->name[0] == '\0')
		return confset_fail(s, end, "there is no node block");
	if (s->conf->nlisten == 0)
		return confset_fail(s, end, "there is no listen line");
	return 0;
}

int
confset_once(struct confset *s, unsigned bit, const struct lex_token *t)
{
	s->block = 0;
	if (s->once & 1u << bit)
		return confset_fail(s, t, "\"%s\" is given twice", t->text);
	s->once |= 1u << bit;
	return 0;
}

int
confset_in_block(struct confset *s, unsigned bit, const struct lex_token *t)
{
	if (s->block & 1u << bit)
		return confset_fail(s, t, "\"%s\" is given twice", t->text);
	s->block |= 1u << bit;
	return 0;
}

int
confset_range(struct confset *s, const struct lex_token *t, uint64_t min, uint64_t max)
{
	if (t->number >= min && t->number <= max)
		return 0;
	return confset_fail(s, t, "\"%s\" is not within %llu and %llu", t->text, (unsigned long long)min,
	    (unsigned long long)max);
}

/* A time of min..max milliseconds. */
static int
time_range(struct confset *s, const struct lex_token *t, uint64_t min, uint64_t max)
{
	if (t->number >= min && t->number <= max)
		return 0;
	return confset_fail(s, t, "the time \"%s\" is not within %llu ms and %llu s", t->text,
	    (unsigned long long)min, (unsigned long long)max / 1000);
}

static uint64_t
unit_ms(const char *unit)
{
	static const struct {
		const char	*unit;
		uint64_t	 ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(unit, units[i].unit) == 0)
			return units[i].ms;
	return 0;
}

#define TIME_MAX_MS (366ull * 86400 * 1000)

static int
time_make(struct confset *s, const struct lex_token *at, uint64_t n, const char *unit, uint64_t *ms)
{
	uint64_t scale = unit_ms(unit);

	if (scale == 0)
		return confset_fail(s, at, "\"%s\" is no unit of time: ms, s, m or h", unit);
	if (n > TIME_MAX_MS / scale)
		return confset_fail(s, at, "the time \"%s\" is too long", at->text);
	*ms = n * scale;
	return 0;
}

int
confset_time(struct confset *s, const struct lex_token *n, const struct lex_token *unit, uint64_t *ms)
{
	if (unit_ms(unit->text) == 0)
		return confset_fail(s, unit, "\"%s\" is no unit of time: ms, s, m or h", unit->text);
	return time_make(s, n, n->number, unit->text, ms);
}

int
confset_time_word(struct confset *s, const struct lex_token *t, uint64_t *ms)
{
	size_t digits = strspn(t->text, "0123456789");

	if (digits == 0 || digits > 15)
		return confset_fail(s, t, "\"%s\" is no time", t->text);
	return time_make(s, t, strtoull(t->text, NULL, 10), t->text + digits, ms);
}

static int
path_copy(struct confset *s, char *out, size_t max, const struct lex_token *t)
{
	size_t len = strlen(t->text);

	if (t->text[0] != '/')
		return confset_fail(s, t, "\"%s\" is not an absolute path", t->text);
	if (len > max)
		return confset_fail(s, t, "\"%s\" is longer than %zu bytes", t->text, max);
	memcpy(out, t->text, len + 1);
	return 0;
}

int
confset_path(struct confset *s, char out[CONF_PATH_MAX + 1], const struct lex_token *t)
{
	return path_copy(s, out, CONF_PATH_MAX, t);
}

int
confset_name(struct confset *s, char *out, size_t max, const struct lex_token *t, bool dots)
{
	size_t len = strlen(t->text);

	if (!text_name((const uint8_t *)t->text, len, max, dots))
		return confset_fail(s, t, "\"%s\" is no name: small letters, digits%s and \"-\"", t->text,
		    dots ? ", \".\"" : "");
	memcpy(out, t->text, len + 1);
	return 0;
}

int
confset_node(struct confset *s, const struct lex_token *name)
{
	return confset_name(s, s->conf->name, RECORD_NAME_MAX, name, true);
}

int
confset_delegation(struct confset *s, const struct lex_token *ms)
{
	if (time_range(s, ms, 10000, DELEGATION_MAX_S * 1000ull) == -1)
		return -1;
	s->conf->delegation_s = (uint32_t)(ms->number / 1000);
	return 0;
}

static int
addr_make(struct confset *s, struct pm_addr *a, const struct lex_token *addr, const struct lex_token *port,
    unsigned min_port)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, addr->text, a->addr) == 1)
		a->family = 4;
	else if (inet_pton(AF_INET6, addr->text, a->addr) == 1)
		a->family = 6;
	else
		return confset_fail(s, addr, "\"%s\" is no IP address", addr->text);
	if (port->number < min_port || port->number > 65535)
		return confset_fail(s, port, "\"%s\" is no port: %u to 65535", port->text, min_port);
	a->port = (uint16_t)port->number;
	return 0;
}

/* Into a list without duplicates; port 0, which the kernel chooses, is never one. */
static int
addr_add(struct confset *s, struct pm_addr *list, unsigned *n, unsigned max, const struct pm_addr *a,
    const struct lex_token *t)
{
	for (unsigned i = 0; i < *n; i++)
		if (a->port != 0 && pm_addr_equal(&list[i], a))
			return confset_fail(s, t, "\"%s\" is given twice with the same port", t->text);
	if (*n == max)
		return confset_fail(s, t, "\"%s\" is one address too many: %u at most", t->text, max);
	list[(*n)++] = *a;
	return 0;
}

int
confset_listen(struct confset *s, const struct lex_token *addr, const struct lex_token *port)
{
	struct pm_addr a;

	if (addr_make(s, &a, addr, port, 0) == -1)
		return -1;
	return addr_add(s, s->conf->listen, &s->conf->nlisten, CONF_LISTEN_MAX, &a, addr);
}

int
confset_metrics(struct confset *s, const struct lex_token *addr, const struct lex_token *port)
{
	struct pm_addr a;

	if (addr_make(s, &a, addr, port, 1) == -1)
		return -1;
	return addr_add(s, s->conf->metrics, &s->conf->nmetrics, CONF_LISTEN_MAX, &a, addr);
}

/* SERVICE or SERVICE@NODE; what nodes and services there are is known while it runs. */
static int
target_copy(struct confset *s, char out[TARGET_MAX + 1], const struct lex_token *t)
{
	const char *at = strchr(t->text, '@');
	size_t len = strlen(t->text), name = at == NULL ? len : (size_t)(at - t->text);

	if (!text_name((const uint8_t *)t->text, name, FRAME_SERVICE_MAX, false) ||
	    (at != NULL && !text_name((const uint8_t *)at + 1, len - name - 1, 2 * NODE_ID_LEN, true)))
		return confset_fail(s, t, "\"%s\" names no service: SERVICE or SERVICE@NODE", t->text);
	memcpy(out, t->text, len + 1);
	return 0;
}

int
confset_forward(struct confset *s, const struct lex_token *addr, const struct lex_token *port,
    const struct lex_token *service, const struct lex_token *shared)
{
	struct conf *c = s->conf;
	struct conf_forward w = { .to.purpose = service == NULL ? LISTEN_SOCKS : LISTEN_TCP, .shared = shared->number };

	if (addr_make(s, &w.to.addr, addr, port, 1) == -1 ||
	    (service != NULL && target_copy(s, w.to.target, service) == -1))
		return -1;
	if (!w.shared && !conf_addr_local(&w.to.addr))
		return confset_fail(s, addr, "other machines reach \"%s\", and would be served as this node is: say"
		    " \"shared\" at the end of the line if that is meant", addr->text);
	for (unsigned i = 0; i < c->nforwards; i++)
		if (pm_addr_equal(&c->forwards[i].to.addr, &w.to.addr))
			return confset_fail(s, addr, "\"%s\" is given twice with the same port", addr->text);
	if (c->nforwards == CONF_FORWARDS_MAX)
		return confset_fail(s, addr, "\"%s\" is one address too many: %u at most", addr->text, CONF_FORWARDS_MAX);
	c->forwards[c->nforwards++] = w;
	return 0;
}

int
confset_service(struct confset *s, const struct lex_token *t)
{
	struct conf *c = s->conf;
	struct pm_conf_service svc = { .class = CLASS_INTERACTIVE };

	s->block = 0;
	if (confset_name(s, svc.name, FRAME_SERVICE_MAX, t, false) == -1)
		return -1;
	for (unsigned i = 0; i < c->nservices; i++)
		if (strcmp(c->services[i].name, svc.name) == 0)
			return confset_fail(s, t, "service \"%s\" is given twice", t->text);
	if (c->nservices == CONF_SERVICES_MAX)
		return confset_fail(s, t, "service \"%s\" is one too many: %u at most", t->text, CONF_SERVICES_MAX);
	c->services[c->nservices++] = svc;
	return 0;
}

int
confset_service_own(struct confset *s, const struct lex_token *t)
{
	if (strcmp(t->text, "echo") != 0)
		return confset_fail(s, t, "service \"%s\" needs a block that says where it is; without one there is echo", t->text);
	return 0;
}

/* The one whose block is open. */
static struct pm_conf_service *
service_last(struct confset *s)
{
	return &s->conf->services[s->conf->nservices - 1];
}

int
confset_target(struct confset *s, const struct lex_token *addr, const struct lex_token *port)
{
	return addr_make(s, &service_last(s)->target, addr, port, 1);
}

/* Control is for the fabric's own use: it goes before all else. */
int
confset_class(struct confset *s, const struct lex_token *t)
{
	int class = class_parse(t->text);

	if (class == -1 || class == CLASS_CONTROL)
		return confset_fail(s, t, "\"%s\" is no class of a service: dns, interactive, reliable, bulk or droppable", t->text);
	service_last(s)->class = (uint8_t)class;
	return 0;
}

int
confset_allow_role(struct confset *s, const struct lex_token *t)
{
	int role = role_parse(t->text);

	if (role == -1)
		return confset_fail(s, t, "\"%s\" is no role", t->text);
	if (service_last(s)->roles & 1u << role)
		return confset_fail(s, t, "role \"%s\" is given twice", t->text);
	service_last(s)->roles |= 1u << role;
	return 0;
}

int
confset_allow_tenant(struct confset *s, const struct lex_token *t)
{
	char name[RECORD_TENANT_MAX + 1], *list = service_last(s)->tenants;
	size_t len = strlen(list);

	if (confset_name(s, name, RECORD_TENANT_MAX, t, true) == -1)
		return -1;
	if (pm_tenant_listed(list, name))
		return confset_fail(s, t, "tenant \"%s\" is given twice", t->text);
	if (len + 1 + strlen(name) > PM_TEXT_MAX)
		return confset_fail(s, t, "tenant \"%s\" is one too many: %u bytes of names at most", t->text, PM_TEXT_MAX);
	snprintf(list + len, PM_TEXT_MAX + 1 - len, "%s%s", len == 0 ? "" : " ", name);
	return 0;
}

/* Workers answer these themselves. */
static bool
name_is_own(const char *name)
{
	static const char *const own[] = { "directory", "echo", "probe", "vpn" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcmp(name, own[i]) == 0)
			return true;
	return false;
}

int
confset_service_end(struct confset *s, const struct lex_token *end)
{
	const struct pm_conf_service *svc = service_last(s);

	if (name_is_own(svc->name))
		return confset_fail(s, end, "service \"%s\" is the fabric's own and leads nowhere else", svc->name);
	if (svc->target.family == 0)
		return confset_fail(s, end, "service \"%s\" has no target: tcp to ADDRESS port NUMBER", svc->name);
	return 0;
}

int
confset_log(struct confset *s, const struct lex_token *t)
{
	if (log_level_parse(t->text, &s->conf->log_level) == -1)
		return confset_fail(s, t, "\"%s\" is no log level: error, warn, info or debug", t->text);
	return 0;
}

int
confset_dir(struct confset *s, enum conf_dir d, const struct lex_token *t)
{
	return path_copy(s, s->conf->dir[d], d == DIR_RUN ? CONF_RUN_MAX : CONF_PATH_MAX - 32, t);
}

int
confset_libexec(struct confset *s, const struct lex_token *t)
{
	return path_copy(s, s->conf->libexec, CONF_PATH_MAX - 32, t);
}

static struct conf_user *
user_of(struct confset *s, const struct lex_token *worker)
{
	int kind = worker_parse(worker->text);

	if (kind == -1) {
		confset_fail(s, worker, "\"%s\" is no worker", worker->text);
		return NULL;
	}
	if (confset_once(s, SET_USER0 + (unsigned)kind, worker) == -1)
		return NULL;
	return &s->conf->user[kind];
}

int
confset_user_name(struct confset *s, const struct lex_token *worker, const struct lex_token *name)
{
	struct conf_user *u = user_of(s, worker);
	size_t len = strlen(name->text);

	if (u == NULL)
		return -1;
	if (len == 0 || len >= sizeof(u->name) || name->text[0] == '-' || strpbrk(name->text, ":/ ") != NULL)
		return confset_fail(s, name, "\"%s\" is no user name", name->text);
	memcpy(u->name, name->text, len + 1);
	return 0;
}

int
confset_user_ids(struct confset *s, const struct lex_token *worker, const struct lex_token *uid,
    const struct lex_token *gid)
{
	struct conf_user *u = user_of(s, worker);

	if (u == NULL || confset_range(s, uid, 1, 0xfffffffe) == -1 || confset_range(s, gid, 1, 0xfffffffe) == -1)
		return -1;
	u->numeric = true;
	u->uid = (uid_t)uid->number;
	u->gid = (gid_t)gid->number;
	return 0;
}

int
confset_restart(struct confset *s, const struct lex_token *ms, const struct lex_token *max_ms)
{
	if (time_range(s, ms, 10, 60000) == -1 || time_range(s, max_ms, ms->number, 3600000) == -1)
		return -1;
	s->conf->restart_ms = (uint32_t)ms->number;
	s->conf->restart_max_ms = (uint32_t)max_ms->number;
	return 0;
}

int
confset_keepalive(struct confset *s, const struct lex_token *ms)
{
	s->conf->session.keepalive_ms = (uint32_t)ms->number;
	return time_range(s, ms, 100, 3600000);
}

int
confset_dead(struct confset *s, const struct lex_token *ms)
{
	s->conf->session.dead_ms = (uint32_t)ms->number;
	return time_range(s, ms, 300, 24 * 3600000);
}

int
confset_auth_timeout(struct confset *s, const struct lex_token *ms)
{
	s->conf->session.auth_timeout_ms = (uint32_t)ms->number;
	return time_range(s, ms, 100, 120000);
}

int
confset_auth_failures(struct confset *s, const struct lex_token *t)
{
	s->conf->session.auth_fail_per_min = (uint32_t)t->number;
	return confset_range(s, t, 1, 100000);
}

int
confset_max_sessions(struct confset *s, const struct lex_token *t)
{
	s->conf->session.max_sessions = (uint32_t)t->number;
	return confset_range(s, t, 1, 65536);
}

int
confset_retry(struct confset *s, const struct lex_token *t)
{
	s->conf->session.retry_above = (uint32_t)t->number;
	return confset_range(s, t, 0, 65536);
}

int
confset_weight(struct confset *s, const struct lex_token *class, const struct lex_token *t)
{
	int c = class_parse(class->text);

	if (c == -1)
		return confset_fail(s, class, "\"%s\" is no traffic class", class->text);
	if (confset_in_block(s, 8 + (unsigned)c, class) == -1)
		return -1;
	s->conf->session.weight[c] = (uint8_t)t->number;
	return confset_range(s, t, 1, TURN_WEIGHT_MAX);
}

int
confset_session_end(struct confset *s, const struct lex_token *end)
{
	const struct pm_conf_session *c = &s->conf->session;

	if (c->dead_ms <= c->keepalive_ms)
		return confset_fail(s, end, "\"dead\" (%u ms) must be longer than \"keepalive\" (%u ms)", c->dead_ms,
		    c->keepalive_ms);
	return 0;
}

/* Peers in their trees; a thousand of them with a dozen prefixes each would take seconds in lists. */
static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct conf_peer *)a)->name, ((const struct conf_peer *)b)->name);
}

static int
by_id(const void *a, const void *b)
{
	return memcmp(((const struct conf_peer *)a)->id, ((const struct conf_peer *)b)->id, NODE_ID_LEN);
}

int
confset_peer(struct confset *s, const struct lex_token *name)
{
	struct conf *c = s->conf;
	void *found;

	s->block = 0;
	if (c->npeers == CONF_PEERS_MAX)
		return confset_fail(s, name, "peer \"%s\" is one too many: %u at most", name->text, CONF_PEERS_MAX);
	if ((s->peer = calloc(1, sizeof(*s->peer))) == NULL)
		return confset_fail(s, name, "out of memory");
	TAILQ_INSERT_TAIL(&c->peers, s->peer, entry);
	c->npeers++;
	if (confset_name(s, s->peer->name, RECORD_NAME_MAX, name, true) == -1)
		return -1;
	if ((found = tsearch(s->peer, &s->names, by_name)) == NULL)
		return confset_fail(s, name, "out of memory");
	if (*(struct conf_peer **)found != s->peer)
		return confset_fail(s, name, "peer \"%s\" is given twice", name->text);
	return 0;
}

int
confset_peer_id(struct confset *s, const struct lex_token *t)
{
	struct conf_peer **found;

	if (hex_decode(s->peer->id, NODE_ID_LEN, t->text) == -1)
		return confset_fail(s, t, "\"%s\" is no node id: 64 hexadecimal digits", t->text);
	if ((found = tsearch(s->peer, &s->ids, by_id)) == NULL)
		return confset_fail(s, t, "out of memory");
	if (*found != s->peer)
		return confset_fail(s, t, "\"%s\" is the id of peer \"%s\" already", t->text, (*found)->name);
	s->peer->has_id = true;
	return 0;
}

int
confset_peer_addr(struct confset *s, const struct lex_token *addr, const struct lex_token *port)
{
	struct pm_addr a;

	if (addr_make(s, &a, addr, port, 1) == -1)
		return -1;
	return addr_add(s, s->peer->addrs, &s->peer->naddrs, CONF_ADDRS_MAX, &a, addr);
}

/* "10.9.0.0/16"; without a length, a single address. Host bits are left as they are. */
static int
prefix_make(struct confset *s, struct record_prefix *p, const struct lex_token *t)
{
	const char *slash = strchr(t->text, '/');
	size_t len = slash == NULL ? strlen(t->text) : (size_t)(slash - t->text);
	char ip[INET6_ADDRSTRLEN];
	unsigned max, bits = 0, digits = 0;

	memset(p, 0, sizeof(*p));
	if (len < sizeof(ip)) {
		memcpy(ip, t->text, len);
		ip[len] = '\0';
		if (inet_pton(AF_INET, ip, p->addr) == 1)
			p->family = 4;
		else if (inet_pton(AF_INET6, ip, p->addr) == 1)
			p->family = 6;
	}
	max = p->family == 4 ? 32 : 128;
	if (slash != NULL)
		for (const char *d = slash + 1; isdigit((unsigned char)*d) && digits < 4; d++, digits++)
			bits = bits * 10 + (unsigned)(*d - '0');
	if (p->family == 0 || bits > max ||
	    (slash != NULL && (digits == 0 || digits > 3 || slash[1 + digits] != '\0' || (digits > 1 && slash[1] == '0'))))
		return confset_fail(s, t, "\"%s\" is no IP prefix", t->text);
	p->len = (uint8_t)(slash == NULL ? max : bits);
	return 0;
}

static int
prefix_exact(struct confset *s, struct record_prefix *p, const struct lex_token *t)
{
	if (prefix_make(s, p, t) == -1)
		return -1;
	if (!prefix_masked(p))
		return confset_fail(s, t, "\"%s\" has bits beyond its prefix length", t->text);
	return 0;
}

struct owned_prefix {
	struct record_prefix	prefix;
	const struct conf_peer	*owner;
};

static int
by_prefix(const void *a, const void *b)
{
	const struct record_prefix *p = &((const struct owned_prefix *)a)->prefix;
	const struct record_prefix *q = &((const struct owned_prefix *)b)->prefix;

	if (p->family != q->family)
		return p->family < q->family ? -1 : 1;
	if (p->len != q->len)
		return p->len < q->len ? -1 : 1;
	return memcmp(p->addr, q->addr, sizeof(p->addr));
}

int
confset_peer_prefix(struct confset *s, const struct lex_token *t)
{
	struct owned_prefix *mine = calloc(1, sizeof(*mine)), **found;

	if (mine == NULL)
		return confset_fail(s, t, "out of memory");
	mine->owner = s->peer;
	if (prefix_exact(s, &mine->prefix, t) == -1) {
		free(mine);
		return -1;
	}
	if ((found = tsearch(mine, &s->prefixes, by_prefix)) == NULL || *found != mine) {
		free(mine);
		return found == NULL ? confset_fail(s, t, "out of memory") :
		    confset_fail(s, t, "prefix \"%s\" belongs to peer \"%s\" already", t->text, (*found)->owner->name);
	}
	if (s->peer->nprefixes == CONF_PREFIXES_MAX)
		return confset_fail(s, t, "prefix \"%s\" is one too many: %u at most", t->text, CONF_PREFIXES_MAX);
	s->peer->prefixes[s->peer->nprefixes++] = mine->prefix;
	return 0;
}

int
confset_peer_end(struct confset *s, const struct lex_token *end)
{
	if (!s->peer->has_id)
		return confset_fail(s, end, "peer \"%s\" has no id", s->peer->name);
	return 0;
}

int
confset_ifname(struct confset *s, const struct lex_token *t)
{
	size_t len = strlen(t->text);

	if (len == 0 || len > PM_IFNAME_MAX || strpbrk(t->text, "/:% \"\\") != NULL || strcmp(t->text, ".") == 0 ||
	    strcmp(t->text, "..") == 0)
		return confset_fail(s, t, "\"%s\" is no interface name", t->text);
	for (size_t i = 0; i < len; i++)
		if (!isascii((unsigned char)t->text[i]))
			return confset_fail(s, t, "\"%s\" is no interface name", t->text);
	memcpy(s->conf->vpn.ifname, t->text, len + 1);
	return 0;
}

int
confset_vpn_address(struct confset *s, const struct lex_token *t)
{
	if (prefix_make(s, &s->conf->vpn.address, t) == -1)
		return -1;
	if (s->conf->vpn.address.family != 4)
		return confset_fail(s, t, "\"%s\" is not IPv4; the IPv6 address comes from the node id", t->text);
	return 0;
}

int
confset_vpn_network(struct confset *s, const struct lex_token *t)
{
	if (prefix_exact(s, &s->conf->vpn.network, t) == -1)
		return -1;
	if (s->conf->vpn.network.family != 4)
		return confset_fail(s, t, "\"%s\" is not IPv4", t->text);
	return 0;
}

int
confset_mtu(struct confset *s, const struct lex_token *t)
{
	s->conf->vpn.mtu = (uint16_t)t->number;
	return confset_range(s, t, 1280, 9000);		/* IPv6 needs 1280 */
}

int
confset_vpn_end(struct confset *s, const struct lex_token *end)
{
	const struct conf_vpn *v = &s->conf->vpn;
	char a[CONF_ADDR_MAX], n[CONF_ADDR_MAX];

	if (v->address.family != 0 && v->network.family != 0 && !prefix_covers(&v->network, &v->address))
		return confset_fail(s, end, "address %s is not in network %s", conf_prefix_str(a, &v->address),
		    conf_prefix_str(n, &v->network));
	return 0;
}
