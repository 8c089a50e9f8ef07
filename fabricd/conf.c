#include "fabricd/conf.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "fabric/turn.h"
#include "fabricd/paths.h"

static const char *const dir_names[DIR_COUNT] = { "run", "log", "state", "chroot" };
static const char *const default_dirs[DIR_COUNT] = { PATH_RUN, PATH_LOG, PATH_STATE, PATH_CHROOT };
static const char *const default_users[WORKER_COUNT] = {
	[WORKER_DATAPLANE] = "_fabdata", [WORKER_ROUTED] = "_fabroute", [WORKER_VPND] = "_fabvpn",
	[WORKER_SVCHOSTD] = "_fabsvc", [WORKER_TELEMD] = "_fabtele",
};

static const struct pm_conf_session default_session = {
	.keepalive_ms = 10000, .dead_ms = 30000, .auth_timeout_ms = 10000, .max_sessions = 4096,
	.retry_above = 64, .auth_fail_per_min = 20, .peers_only = false, .gso = true,
};

const char *
conf_dir_name(enum conf_dir d)
{
	return dir_names[d];
}

struct conf *
conf_new(void)
{
	struct conf *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	TAILQ_INIT(&c->peers);
	strcpy(c->key, PATH_KEY);
	strcpy(c->certificate, PATH_CERTIFICATE);
	strcpy(c->authority, PATH_AUTHORITY);
	strcpy(c->libexec, PATH_LIBEXEC);
	for (unsigned d = 0; d < DIR_COUNT; d++)
		strcpy(c->dir[d], default_dirs[d]);
	for (unsigned k = 0; k < WORKER_COUNT; k++)
		strcpy(c->user[k].name, default_users[k]);
	c->delegation_s = 4 * 3600;
	c->session = default_session;
	memcpy(c->session.weight, turn_usual, sizeof(c->session.weight));
	conf_routing_default(c);
	strcpy(c->vpn.ifname, "fab0");
	c->vpn.mtu = 1380;
	c->log_level = LOG_LEVEL_INFO;
	c->restart_ms = 500;
	c->restart_max_ms = 30000;
	return c;
}

void
conf_free(struct conf *c)
{
	struct conf_peer *p;

	if (c == NULL)
		return;
	while ((p = TAILQ_FIRST(&c->peers)) != NULL) {
		TAILQ_REMOVE(&c->peers, p, entry);
		free(p);
	}
	free(c);
}

const struct conf_peer *
conf_peer_by_id(const struct conf *c, const uint8_t id[NODE_ID_LEN])
{
	const struct conf_peer *p;

	TAILQ_FOREACH(p, &c->peers, entry)
		if (p->has_id && memcmp(p->id, id, NODE_ID_LEN) == 0)
			return p;
	return NULL;
}

char *
conf_addr_str(char *buf, const struct pm_addr *a)
{
	char ip[INET6_ADDRSTRLEN];

	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->addr, ip, sizeof(ip));
	snprintf(buf, CONF_ADDR_MAX, "%s port %u", ip, a->port);
	return buf;
}

char *
conf_prefix_str(char *buf, const struct record_prefix *p)
{
	char ip[INET6_ADDRSTRLEN];

	inet_ntop(p->family == 4 ? AF_INET : AF_INET6, p->addr, ip, sizeof(ip));
	snprintf(buf, CONF_ADDR_MAX, "%s/%u", ip, p->len);
	return buf;
}

bool
pm_addr_equal(const struct pm_addr *a, const struct pm_addr *b)
{
	return a->family == b->family && a->port == b->port &&
	    memcmp(a->addr, b->addr, a->family == 4 ? 4 : 16) == 0;
}

bool
prefix_equal(const struct record_prefix *a, const struct record_prefix *b)
{
	return a->family == b->family && a->len == b->len &&
	    memcmp(a->addr, b->addr, a->family == 4 ? 4 : 16) == 0;
}

void
prefix_mask(struct record_prefix *p)
{
	unsigned size = p->family == 4 ? 4 : 16;

	for (unsigned i = 0; i < size; i++) {
		if (p->len < i * 8 + 8)
			p->addr[i] &= p->len <= i * 8 ? 0 : (uint8_t)(0xff00 >> (p->len - i * 8));
	}
}

bool
prefix_masked(const struct record_prefix *p)
{
	struct record_prefix m = *p;

	prefix_mask(&m);
	return memcmp(m.addr, p->addr, sizeof(m.addr)) == 0;
}

bool
prefix_covers(const struct record_prefix *p, const struct record_prefix *a)
{
	struct record_prefix m = *a;

	if (p->family != a->family || a->len < p->len)
		return false;
	m.len = p->len;
	prefix_mask(&m);
	return prefix_equal(&m, p);
}

bool
conf_addr_local(const struct pm_addr *a)
{
	static const uint8_t loopback6[16] = { [15] = 1 };

	return a->family == 4 ? a->addr[0] == 127 : memcmp(a->addr, loopback6, sizeof(loopback6)) == 0;
}

/* The lexer reads \" and \\ back; no other character needs a mark. */
void
conf_print_string(FILE *f, const char *before, const char *s)
{
	fprintf(f, "%s\"", before);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

static void
print_path(FILE *f, const char *what, const char *path)
{
	if (path[0] == '\0')
		return;
	conf_print_string(f, what, path);
	fputc('\n', f);
}

static void
print_node(FILE *f, const struct conf *c)
{
	conf_print_string(f, "node ", c->name);
	conf_print_string(f, " {\n\tkey ", c->key);
	conf_print_string(f, "\n\tcertificate ", c->certificate);
	conf_print_string(f, "\n\tauthority ", c->authority);
	fprintf(f, "\n\tdelegation %u s\n}\n", c->delegation_s);
}

static void
print_session(FILE *f, const struct pm_conf_session *s)
{
	fprintf(f, "session {\n\tkeepalive %u ms\n\tdead %u ms\n\tauth timeout %u ms\n\tauth failures %u\n",
	    s->keepalive_ms, s->dead_ms, s->auth_timeout_ms, s->auth_fail_per_min);
	fprintf(f, "\tmax %u\n\taccept %s\n\tretry above %u\n\tgso %s\n", s->max_sessions,
	    s->peers_only ? "peers" : "members", s->retry_above, s->gso ? "yes" : "no");
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		fprintf(f, "\tweight %s %u\n", class_name(c), s->weight[c]);
	fputs("}\n", f);
}

static void
print_peer(FILE *f, const struct conf_peer *p)
{
	char buf[CONF_ADDR_MAX], id[2 * NODE_ID_LEN + 1];

	conf_print_string(f, "peer ", p->name);
	fprintf(f, " {\n\tid %s\n", hex_encode(id, p->id, NODE_ID_LEN));
	for (unsigned i = 0; i < p->naddrs; i++)
		fprintf(f, "\taddress %s\n", conf_addr_str(buf, &p->addrs[i]));
	for (unsigned i = 0; i < p->nprefixes; i++)
		fprintf(f, "\tprefix %s\n", conf_prefix_str(buf, &p->prefixes[i]));
	fprintf(f, "}\n");
}

static void
print_vpn(FILE *f, const struct conf_vpn *v)
{
	char buf[CONF_ADDR_MAX];

	conf_print_string(f, "vpn {\n\tinterface ", v->ifname);
	fprintf(f, "\n\tmtu %u\n", v->mtu);
	if (v->address.family != 0)
		fprintf(f, "\taddress %s\n", conf_prefix_str(buf, &v->address));
	if (v->network.family != 0)
		fprintf(f, "\tnetwork %s\n", conf_prefix_str(buf, &v->network));
	if (v->tun_socket[0] != '\0') {
		conf_print_string(f, "\ttun socket ", v->tun_socket);
		fputc('\n', f);
	}
	fprintf(f, "}\n");
}

static void
print_users(FILE *f, const struct conf *c)
{
	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		const struct conf_user *u = &c->user[k];

		fprintf(f, "user %s ", worker_name(k));
		if (u->numeric)
			fprintf(f, "%u group %u", (unsigned)u->uid, (unsigned)u->gid);
		else
			conf_print_string(f, "", u->name);
		fputc('\n', f);
	}
}

static void
print_service(FILE *f, const struct pm_conf_service *s)
{
	char buf[CONF_ADDR_MAX], tenants[PM_TEXT_MAX + 1], *rest = tenants, *t;

	fprintf(f, "service \"%s\"", s->name);
	if (s->target.family == 0) {
		fputs("\n", f);
		return;
	}
	fprintf(f, " {\n\ttcp to %s\n\tclass %s\n", conf_addr_str(buf, &s->target), class_name(s->class));
	for (unsigned r = 0; r < ROLE_COUNT; r++)
		if (s->roles & 1u << r)
			fprintf(f, "\tallow role %s\n", role_name(r));
	strcpy(tenants, s->tenants);
	while ((t = strsep(&rest, " ")) != NULL)
		if (*t != '\0')
			fprintf(f, "\tallow tenant \"%s\"\n", t);
	fputs("}\n", f);
}

static void
print_forward(FILE *f, const struct conf_forward *w)
{
	char buf[CONF_ADDR_MAX];

	fprintf(f, "%slisten on %s", w->to.purpose == LISTEN_SOCKS ? "socks " : "", conf_addr_str(buf, &w->to.addr));
	if (w->to.purpose == LISTEN_TCP)
		conf_print_string(f, " to service ", w->to.target);
	fputs(w->shared ? " shared\n" : "\n", f);
}

void
conf_print(FILE *f, const struct conf *c)
{
	const struct conf_peer *p;
	char buf[CONF_ADDR_MAX];

	print_node(f, c);
	for (unsigned i = 0; i < c->nlisten; i++)
		fprintf(f, "listen on %s\n", conf_addr_str(buf, &c->listen[i]));
	print_path(f, "policy ", c->policy);
	print_path(f, "revocations ", c->revocations);
	print_session(f, &c->session);
	conf_routing_print(f, c);
	TAILQ_FOREACH(p, &c->peers, entry)
		print_peer(f, p);
	if (c->vpn.configured)
		print_vpn(f, &c->vpn);
	for (unsigned i = 0; i < c->nservices; i++)
		print_service(f, &c->services[i]);
	for (unsigned i = 0; i < c->nforwards; i++)
		print_forward(f, &c->forwards[i]);
	for (unsigned i = 0; i < c->nmetrics; i++)
		fprintf(f, "metrics listen on %s\n", conf_addr_str(buf, &c->metrics[i]));
	fprintf(f, "log level %s\n", log_level_name(c->log_level));
	for (unsigned d = 0; d < DIR_COUNT; d++) {
		fprintf(f, "directory %s ", dir_names[d]);
		conf_print_string(f, "", c->dir[d]);
		fputc('\n', f);
	}
	conf_print_string(f, "libexec ", c->libexec);
	fprintf(f, "\nrestart delay %u ms max %u ms\n", c->restart_ms, c->restart_max_ms);
	print_users(f, c);
}
