/* fabricd.conf(5): what parses, prints and parses again to the same; each thing that can be wrong, with its line. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "fabric/turn.h"
#include "fabricd/conf.h"
#include "suite.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define BASE "node \"n\" {}\nlisten on 10.0.0.1\n"	/* two lines that make any text a configuration */

static struct conf *
parse(const char *text, char err[CONF_ERR_MAX])
{
	return conf_parse_text("c", text, strlen(text), err);
}

static struct conf *
good(const char *text)
{
	char err[CONF_ERR_MAX];
	struct conf *c = parse(text, err);

	ck_assert_msg(c != NULL, "%s: %s", text, err);
	ck_assert_str_eq(err, "");
	return c;
}

static char *
print(const struct conf *c)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_print(f, c);
	fclose(f);
	return text;
}

/* --- accepted ---------------------------------------------------------------------------------- */

static const char *const accepted[] = {
	BASE,
	"# only a comment\n\n" BASE "\n\n# and one at the end",
	"node \"n\" {\n}\nlisten on 10.0.0.1 port 1",
	"node n { key /k certificate \"/c c\" authority \"/a\\\"q\\\\\" delegation 1h }\nlisten on :: port 0\n",
	"a = \"10.0.0.1\"\nb = 4601\nnode \"n\" {}\nlisten on $a port $b\n",
	"a = \"10.0.0.1 port 7\"\nb = \"on $a\"\nnode \"n\" {}\nlisten $b\n",
	BASE "listen on 10.0.0.1 port 4601\nlisten on fe80::1\nlisten on 0.0.0.0 port 0\nlisten on 0.0.0.0 port 0\n",
	BASE "session { }\n",
	BASE "session { keepalive 100 ms dead 300ms auth timeout 1 m auth failures 1 max 1 accept peers"
	    " retry above 0 gso no }\n",
	BASE "session {\n keepalive 1 h\n\n dead 2 h\n accept members\n}\n",
	BASE "peer \"p\" { id " ID_A " }\n",
	BASE "peer \"p\" { id " ID_1 " address 1.2.3.4 address 1.2.3.4 port 5 prefix 10.0.0.0/8 prefix fd00::/8\n"
	    " prefix 1.2.3.4 prefix 0.0.0.0/0 prefix ::/0 }\npeer \"session\" { id " ID_A " prefix 10.0.0.0/9 }\n",
	BASE "vpn { }\n",
	BASE "vpn { interface a.b-c_d address 10.1.2.3/8 mtu 9000 tun socket \"/s\" }\n",
	BASE "vpn { address 10.1.2.3 network 10.1.0.0/16 mtu 1280 }\n",
	BASE "service \"echo\"\nmetrics listen on 127.0.0.1 port 1\nmetrics listen on ::1 port 1\n",
	BASE "service \"ssh\" { tcp to 127.0.0.1 port 22 }\nservice \"db\" {\n\tclass bulk\n\ttcp to ::1 port 65535"
	    " allow role mobile-edge allow role relay\n\n\tallow tenant \"home\" allow tenant a.b }\nservice \"echo\"\n",
	BASE "listen on 127.0.0.1 port 2222 to service \"ssh\"\nlisten on ::1 port 2222 to service ssh@home-1\n"
	    "listen on 127.8.9.1 port 1 to service ssh@" ID_A "\nlisten on 10.0.0.1 port 65535 to service s@a.b shared\n",
	BASE "socks listen on 127.0.0.1 port 1080\nsocks listen on 0.0.0.0 port 1 shared\nsocks listen on ::1 port 1 shared\n",
	BASE "log level debug\ndirectory run /r\ndirectory log /l\ndirectory state /s\ndirectory chroot /c\nlibexec /x\n",
	BASE "user dataplane 1\nuser routed 2 group 3\nuser vpnd \"me\"\nuser svchostd _x\nuser telemd 4294967294\n",
	BASE "restart delay 10 ms max 10 ms\n",
	BASE "log \\\n level \\\n  warn\n",
	BASE "policy \"/etc/fabric/policy.rec\"\nrevocations /r\n",
	BASE "relay { }\nroute { }\n",
	BASE "relay { no }\n",
	BASE "relay {\n yes\n bandwidth 20 Mbit\n class bulk\n hours 22:00 06:00\n}\n",
	BASE "relay { bandwidth 4Gbit class interactive,droppable hours 00:00 23:59 }\n",
	BASE "relay { bandwidth 1 kbit class control }\n",
	BASE "route {\n domain \"rack-1\"\n region eu\n cost 3\n metered yes\n weight loss 2.0\n weight rtt 0\n"
	    " weight cost 100 weight bandwidth 0.125 weight metered 1.5 }\n",
	/* words of these blocks are names elsewhere */
	"relay = \"10.0.0.9\"\nnode route {}\nlisten on $relay\npeer relay { id " ID_A " }\nservice policy { tcp to ::1 port 7"
	    " allow role relay allow tenant domain }\nroute { domain region region cost }\n",
	"node \"n\" {}\r\nlisten on 10.0.0.1\r\n",
};

START_TEST(prints_what_parses)
{
	struct conf *c = good(accepted[_i]), *again;
	char *first = print(c), *second;

	again = good(first);
	second = print(again);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	conf_free(c);
	conf_free(again);
}
END_TEST

START_TEST(values)
{
	struct conf *c = good("net = \"10.9.0.0/16\"\n"
	    "node \"phone-a\" { key \"/k\" certificate \"/c\" authority \"/a\" delegation 90 m }\n"
	    "listen on 10.0.1.1\nlisten on fd00::1 port 99\n"
	    "session { keepalive 2 s dead 10 s accept peers gso no weight bulk 7 weight dns 100 }\n"
	    "peer \"entry-1\" { id " ID_A " address 10.0.1.2 port 4601 prefix $net }\n"
	    "vpn { interface fab7 address 10.77.0.1/24 network 10.77.0.0/16 mtu 1400 }\n"
	    "service \"echo\"\nmetrics listen on 127.0.0.1 port 9464\nlog level warn\n"
	    "service \"db\" { tcp to 10.0.0.9 port 5432 class reliable allow role relay allow role mobile-edge\n"
	    " allow tenant \"home\" allow tenant work }\nservice \"www\" { tcp to ::1 port 80 }\n"
	    "listen on 127.0.0.1 port 2222 to service \"ssh@home-1\"\nsocks listen on 10.0.0.1 port 1080 shared\n"
	    "policy \"/p\"\nrevocations \"/r\"\nrelay { bandwidth 20 Mbit class bulk,reliable hours 22:30 06:00 }\n"
	    "route { domain \"rack-1\" region eu cost 3 metered yes weight loss 2.05 weight rtt 0 }\n"
	    "directory run \"/tmp/run\"\nuser vpnd 64003 group 64004\nrestart delay 1 s max 1 m\n");
	const struct conf_peer *p = TAILQ_FIRST(&c->peers);
	uint8_t id[NODE_ID_LEN];

	ck_assert_str_eq(c->name, "phone-a");
	ck_assert_str_eq(c->key, "/k");
	ck_assert_uint_eq(c->delegation_s, 5400);
	ck_assert_uint_eq(c->nlisten, 2);
	ck_assert_uint_eq(c->listen[0].port, 4600);
	ck_assert_mem_eq(c->listen[0].addr, "\x0a\0\x01\x01", 4);
	ck_assert_uint_eq(c->listen[1].family, 6);
	ck_assert_uint_eq(c->listen[1].port, 99);
	ck_assert_uint_eq(c->session.keepalive_ms, 2000);
	ck_assert_uint_eq(c->session.dead_ms, 10000);
	ck_assert(c->session.peers_only);
	ck_assert(!c->session.gso);
	ck_assert_uint_eq(c->session.weight[CLASS_BULK], 7);
	ck_assert_uint_eq(c->session.weight[CLASS_DNS], 100);
	ck_assert_uint_eq(c->session.weight[CLASS_INTERACTIVE], 8);
	ck_assert_uint_eq(c->npeers, 1);
	ck_assert_str_eq(p->name, "entry-1");
	hex_decode(id, sizeof(id), ID_A);
	ck_assert_mem_eq(p->id, id, sizeof(id));
	ck_assert_ptr_eq(conf_peer_by_id(c, id), p);
	ck_assert_uint_eq(p->addrs[0].port, 4601);
	ck_assert_uint_eq(p->prefixes[0].len, 16);
	ck_assert_mem_eq(p->prefixes[0].addr, "\x0a\x09\0\0", 4);
	ck_assert(c->vpn.configured);
	ck_assert_str_eq(c->vpn.ifname, "fab7");
	ck_assert_uint_eq(c->vpn.mtu, 1400);
	ck_assert_uint_eq(c->vpn.address.len, 24);
	ck_assert_uint_eq(c->vpn.network.len, 16);
	ck_assert_str_eq(c->services[0].name, "echo");
	ck_assert_uint_eq(c->services[0].target.family, 0);
	ck_assert_uint_eq(c->nservices, 3);
	ck_assert_str_eq(c->services[1].name, "db");
	ck_assert_uint_eq(c->services[1].target.port, 5432);
	ck_assert_mem_eq(c->services[1].target.addr, "\x0a\0\0\x09", 4);
	ck_assert_uint_eq(c->services[1].class, CLASS_RELIABLE);
	ck_assert_uint_eq(c->services[1].roles, 1u << ROLE_RELAY | 1u << ROLE_MOBILE_EDGE);
	ck_assert_str_eq(c->services[1].tenants, "home work");
	ck_assert_uint_eq(c->services[2].target.family, 6);
	ck_assert_uint_eq(c->services[2].class, CLASS_INTERACTIVE);
	ck_assert_uint_eq(c->services[2].roles, 0);
	ck_assert_str_eq(c->services[2].tenants, "");
	ck_assert_uint_eq(c->metrics[0].port, 9464);
	ck_assert_uint_eq(c->nforwards, 2);
	ck_assert_int_eq(c->forwards[0].to.purpose, LISTEN_TCP);
	ck_assert_uint_eq(c->forwards[0].to.addr.port, 2222);
	ck_assert_str_eq(c->forwards[0].to.target, "ssh@home-1");
	ck_assert(!c->forwards[0].shared);
	ck_assert_int_eq(c->forwards[1].to.purpose, LISTEN_SOCKS);
	ck_assert_mem_eq(c->forwards[1].to.addr.addr, "\x0a\0\0\x01", 4);
	ck_assert_str_eq(c->forwards[1].to.target, "");
	ck_assert(c->forwards[1].shared);
	ck_assert_int_eq(c->log_level, LOG_LEVEL_WARN);
	ck_assert_str_eq(c->dir[DIR_RUN], "/tmp/run");
	ck_assert(c->user[WORKER_VPND].numeric);
	ck_assert_uint_eq(c->user[WORKER_VPND].gid, 64004);
	ck_assert(!c->user[WORKER_ROUTED].numeric);
	ck_assert_str_eq(c->user[WORKER_ROUTED].name, "_fabroute");
	ck_assert_uint_eq(c->restart_max_ms, 60000);
	ck_assert_str_eq(c->policy, "/p");
	ck_assert_str_eq(c->revocations, "/r");
	ck_assert(c->routing.relay);
	ck_assert_uint_eq(c->routing.kbps, 20000);
	ck_assert_uint_eq(c->routing.classes, 1u << CLASS_CONTROL | 1u << CLASS_BULK | 1u << CLASS_RELIABLE);
	ck_assert_uint_eq(c->routing.from_minute, 22 * 60 + 30);
	ck_assert_uint_eq(c->routing.to_minute, 6 * 60);
	ck_assert_str_eq(c->routing.domain, "rack-1");
	ck_assert_str_eq(c->routing.region, "eu");
	ck_assert_uint_eq(c->routing.cost, 3);
	ck_assert(c->routing.metered);
	ck_assert_uint_eq(c->score.w[SCORE_LOSS], 2050);
	ck_assert_uint_eq(c->score.w[SCORE_RTT], 0);
	ck_assert_uint_eq(c->score.w[SCORE_HOPS], 1000);
	conf_free(c);
}
END_TEST

START_TEST(defaults)
{
	struct conf *c = good(BASE);

	ck_assert_uint_eq(c->session.keepalive_ms, 10000);
	ck_assert_uint_eq(c->session.dead_ms, 30000);
	ck_assert(!c->session.peers_only);
	ck_assert(c->session.gso);
	ck_assert_mem_eq(c->session.weight, turn_usual, CLASS_COUNT);
	ck_assert_uint_eq(c->delegation_s, 4 * 3600);
	ck_assert(!c->vpn.configured);
	ck_assert_int_eq(c->log_level, LOG_LEVEL_INFO);
	ck_assert_str_eq(c->dir[DIR_STATE], "/var/lib/fabric");
	ck_assert_str_eq(c->policy, "");
	ck_assert_str_eq(c->revocations, "");
	ck_assert(!c->routing.relay && !c->routing.metered);
	ck_assert_uint_eq(c->routing.classes, (1u << CLASS_COUNT) - 1);
	ck_assert_uint_eq(c->routing.kbps, 0);
	ck_assert_uint_eq(c->routing.from_minute, c->routing.to_minute);
	ck_assert_str_eq(c->routing.domain, "");
	for (unsigned i = 0; i < SCORE_PARTS; i++)
		ck_assert_uint_eq(c->score.w[i], 1000);
	conf_free(c);
}
END_TEST

/* --- refused ------------------------------------------------------------------------------------- */

/* "c:LINE: TEXT", or the beginning of it. */
static const struct {
	const char	*text, *error;
} refused[] = {
	{ "", "c:1: there is no node block" },
	{ "listen on 1.1.1.1\n", "c:2: there is no node block" },
	{ "node \"n\" {}\n", "c:2: there is no listen line" },
	/* words */
	{ BASE "frob on\n", "c:3: unknown word \"frob\"" },
	{ BASE "frob 1\n", "c:3: unknown word \"frob\"" },
	{ BASE "frob\n", "c:3: unknown word \"frob\"" },
	{ BASE "frob {\n", "c:3: unknown word \"frob\"" },
	{ BASE "frob = frob = frob\n", "c:3: \"=\" is not expected here" },
	{ BASE "listen frob 1\n", "c:3: unknown word \"frob\"" },
	{ BASE "peers\n", "c:3: \"peers\" is not expected here" },
	{ BASE "session { keepalive 1 s frob }\n", "c:3: unknown word \"frob\"" },
	{ BASE "session { port 7 }\n", "c:3: \"port\" is not expected here" },
	{ BASE "service\n", "c:3: the line ends too early" },
	{ BASE "listen on\n10.0.0.2\n", "c:3: the line ends too early" },
	{ BASE "listen on 10.0.0.2 port\n", "c:3: the line ends too early" },
	{ BASE "listen on 10.0.0.2 listen on 10.0.0.3\n", "c:3: \"listen\" is not expected here" },
	{ BASE "session {\n", "c:4: the file ends inside a statement or block" },
	{ BASE "session {", "c:3: the file ends inside a statement or block" },
	{ BASE "}\n", "c:3: \"}\" is not expected here" },
	{ BASE "session { { }\n", "c:3: \"{\" is not expected here" },
	/* the lexer */
	{ BASE "service \"echo\n", "c:3: a string does not end on its line" },
	{ BASE "service \"echo", "c:3: a string does not end on its line" },
	{ BASE "service \"ec\tho\"\n", "c:3: a string holds a control character" },
	{ BASE "service \x01\n", "c:3: a character that does not belong here" },
	{ BASE "service $no\n", "c:3: macro \"$no\" is not defined" },
	{ BASE "service $\n", "c:3: macro \"$\" is not defined" },
	{ "a = \"$a\"\n" BASE "service $a\n", "c:4: macros are used too deep or too often" },
	{ "a = \"x\"\na = \"y\"\n" BASE, "c:2: macro \"a\" is defined twice" },
	{ "a-b = \"x\"\n" BASE, "c:1: \"a-b\" is no name for a macro" },
	{ BASE "include \"/etc/passwd\"\n", "c:3: \"/etc/passwd\": files cannot be included here" },
	{ BASE "include \"x.conf\"\n", "c:3: \"x.conf\" is not an absolute path" },
	/* twice */
	{ BASE "node \"m\" {}\n", "c:3: \"node\" is given twice" },
	{ "node \"n\" { key /a\nkey /b }\n", "c:2: \"key\" is given twice" },
	{ BASE "listen on 10.0.0.1 port 4600\n", "c:3: \"10.0.0.1\" is given twice with the same port" },
	{ BASE "session {}\nsession {}\n", "c:4: \"session\" is given twice" },
	{ BASE "session { keepalive 1 s\n keepalive 2 s }\n", "c:4: \"keepalive\" is given twice" },
	{ BASE "session { auth failures 3 auth failures 4 }\n", "c:3: \"failures\" is given twice" },
	{ BASE "session { accept peers accept members }\n", "c:3: \"accept\" is given twice" },
	{ BASE "session { weight bulk 1 weight dns 1 weight bulk 2 }\n", "c:3: \"bulk\" is given twice" },
	{ BASE "vpn {}\nvpn {}\n", "c:4: \"vpn\" is given twice" },
	{ BASE "vpn { mtu 1300 mtu 1300 }\n", "c:3: \"mtu\" is given twice" },
	{ BASE "service \"echo\"\nservice \"echo\"\n", "c:4: service \"echo\" is given twice" },
	{ BASE "log level info\nlog level info\n", "c:4: \"log\" is given twice" },
	{ BASE "directory run /a\ndirectory run /b\n", "c:4: \"run\" is given twice" },
	{ BASE "user vpnd 1\nuser vpnd 2\n", "c:4: \"vpnd\" is given twice" },
	{ BASE "peer \"p\" { id " ID_A " }\npeer \"p\" { id " ID_1 " }\n", "c:4: peer \"p\" is given twice" },
	{ BASE "peer \"p\" { id " ID_A " }\npeer \"q\" { id " ID_A " }\n", "c:4: \"" ID_A "\" is the id of peer \"p\" already" },
	{ BASE "peer \"p\" { id " ID_A " id " ID_1 " }\n", "c:3: \"id\" is given twice" },
	{ BASE "peer \"p\" { id " ID_A " prefix 10.0.0.0/8 }\npeer \"q\" { id " ID_1 "\nprefix 10.0.0.0/8 }\n",
	    "c:5: prefix \"10.0.0.0/8\" belongs to peer \"p\" already" },
	{ BASE "peer \"p\" { id " ID_A " address 1.1.1.1 address 1.1.1.1 port 4600 }\n",
	    "c:3: \"1.1.1.1\" is given twice with the same port" },
	/* names and paths */
	{ "node \"\" {}\n", "c:1: \"\" is no name" },
	{ "node \"Upper\" {}\n", "c:1: \"Upper\" is no name" },
	{ "node \"-n\" {}\n", "c:1: \"-n\" is no name" },
	{ "node \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg\" {}\n", "c:1: \"aaa" },
	{ "node \"n\" {\n\nkey rel }\n", "c:3: \"rel\" is not an absolute path" },
	{ BASE "directory run \"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n",
	    "c:3: \"/aaa" },
	{ BASE "service \"no.dots\"\n", "c:3: \"no.dots\" is no name" },
	{ BASE "service \"ssh\"\n", "c:3: service \"ssh\" needs a block" },
	{ BASE "service \"ssh\" {\n}\n", "c:4: service \"ssh\" has no target: tcp to ADDRESS port NUMBER" },
	{ BASE "service \"echo\" { tcp to 127.0.0.1 port 7 }\n", "c:3: service \"echo\" is the fabric's own" },
	{ BASE "service \"vpn\" { tcp to 127.0.0.1 port 7 }\n", "c:3: service \"vpn\" is the fabric's own" },
	{ BASE "service \"directory\" { tcp to 127.0.0.1 port 7 }\n", "c:3: service \"directory\" is the fabric's own" },
	{ BASE "service s { tcp to 127.0.0.1 }\n", "c:3: \"}\" is not expected here" },
	{ BASE "service s { tcp to 127.0.0.1 port 0 }\n", "c:3: \"0\" is no port: 1 to 65535" },
	{ BASE "service s { tcp to localhost port 7 }\n", "c:3: \"localhost\" is no IP address" },
	{ BASE "service s { tcp to 127.0.0.1 port 7\ntcp to 127.0.0.1 port 8 }\n", "c:4: \"tcp\" is given twice" },
	{ BASE "service s { class bulk class dns }\n", "c:3: \"class\" is given twice" },
	{ BASE "service s { class control }\n", "c:3: \"control\" is no class of a service: dns," },
	{ BASE "service s { class quick }\n", "c:3: \"quick\" is no class of a service" },
	{ BASE "service s { allow role king }\n", "c:3: \"king\" is no role" },
	{ BASE "service s { allow role relay allow role relay }\n", "c:3: role \"relay\" is given twice" },
	{ BASE "service s { allow tenant Home }\n", "c:3: \"Home\" is no name" },
	{ BASE "service s { allow tenant a allow tenant b allow tenant a }\n", "c:3: tenant \"a\" is given twice" },
	{ BASE "service s { allow everybody }\n", "c:3: unknown word \"everybody\"" },
	{ BASE "service s { tcp to 127.0.0.1 port 7 }\nservice s { tcp to 127.0.0.1 port 8 }\n",
	    "c:4: service \"s\" is given twice" },
	{ BASE "vpn { interface \"a b\" }\n", "c:3: \"a b\" is no interface name" },
	{ BASE "vpn { interface aaaabbbbccccdddd }\n", "c:3: \"aaaabbbbccccdddd\" is no interface name" },
	{ BASE "vpn { interface a/b }\n", "c:3: \"a/b\" is no interface name" },
	{ BASE "user frob 1\n", "c:3: \"frob\" is no worker" },
	{ BASE "user vpnd \"a:b\"\n", "c:3: \"a:b\" is no user name" },
	{ BASE "log level loud\n", "c:3: \"loud\" is no log level: error, warn, info or debug" },
	/* numbers */
	{ BASE "user vpnd 0\n", "c:3: \"0\" is not within 1 and" },
	{ BASE "user vpnd 5 group 0\n", "c:3: \"0\" is not within 1 and" },
	{ BASE "listen on 10.0.0.2 port 65536\n", "c:3: \"65536\" is no port: 0 to 65535" },
	{ BASE "metrics listen on 127.0.0.1 port 0\n", "c:3: \"0\" is no port: 1 to 65535" },
	{ BASE "peer \"p\" { address 1.1.1.1 port 0 }\n", "c:3: \"0\" is no port: 1 to 65535" },
	{ BASE "listen on 10.0.0.2 port http\n", "c:3: unknown word \"http\"" },
	{ BASE "vpn { mtu 1279 }\n", "c:3: \"1279\" is not within 1280 and 9000" },
	{ BASE "vpn { mtu 9001 }\n", "c:3: \"9001\" is not within 1280 and 9000" },
	{ BASE "session { weight bulk 0 }\n", "c:3: \"0\" is not within 1 and 100" },
	{ BASE "session { weight bulk 101 }\n", "c:3: \"101\" is not within 1 and 100" },
	{ BASE "session { weight heavy 1 }\n", "c:3: \"heavy\" is no traffic class" },
	{ BASE "session { max 0 }\n", "c:3: \"0\" is not within 1 and 65536" },
	{ BASE "session { max 65537 }\n", "c:3: \"65537\" is not within 1 and 65536" },
	{ BASE "session { auth failures 0 }\n", "c:3: \"0\" is not within 1 and" },
	{ BASE "session { retry above 65537 }\n", "c:3: \"65537\" is not within 0 and" },
	{ BASE "session { max 99999999999999999999 }\n", "c:3: unknown word \"99999999999999999999\"" },
	/* times */
	{ BASE "session {\n keepalive 5\n}\n", "c:4: \"5\" needs a unit: ms, s, m or h" },
	{ BASE "session { keepalive 5 parsecs }\n", "c:3: \"parsecs\" is no unit of time" },
	{ BASE "session { keepalive 5x }\n", "c:3: \"x\" is no unit of time" },
	{ BASE "session { keepalive soon }\n", "c:3: \"soon\" is no time" },
	{ BASE "session { keepalive 99 ms }\n", "c:3: the time \"99\" is not within 100 ms and 3600 s" },
	{ BASE "session { keepalive 2 h }\n", "c:3: the time \"2\" is not within" },
	{ BASE "session { keepalive 999999999999 h }\n", "c:3: the time \"999999999999\" is too long" },
	{ BASE "session { keepalive 10 s dead 10 s\n}\n", "c:4: \"dead\" (10000 ms) must be longer than \"keepalive\"" },
	{ BASE "session { keepalive 40 s }\n", "c:3: \"dead\" (30000 ms) must be longer" },
	{ BASE "session { auth timeout 3 m }\n", "c:3: the time \"3\" is not within" },
	{ "node \"n\" { delegation 9 s }\n", "c:1: the time \"9\" is not within" },
	{ "node \"n\" { delegation 169 h }\n", "c:1: the time \"169\" is not within" },
	{ BASE "restart delay 9 ms max 1 s\n", "c:3: the time \"9\" is not within" },
	{ BASE "restart delay 2 s max 1 s\n", "c:3: the time \"1\" is not within" },
	/* addresses */
	{ BASE "listen on example.org\n", "c:3: \"example.org\" is no IP address" },
	{ BASE "listen on 10.0.0.256\n", "c:3: \"10.0.0.256\" is no IP address" },
	{ BASE "peer \"p\" { id " ID_A " prefix 10.0.0.1/8 }\n", "c:3: \"10.0.0.1/8\" has bits beyond its prefix length" },
	{ BASE "peer \"p\" { id " ID_A " prefix fd00::1/127 }\n", "c:3: \"fd00::1/127\" has bits" },
	{ BASE "peer \"p\" { id " ID_A " prefix 10.0.0.0/33 }\n", "c:3: \"10.0.0.0/33\" is no IP prefix" },
	{ BASE "peer \"p\" { id " ID_A " prefix fd00::/129 }\n", "c:3: \"fd00::/129\" is no IP prefix" },
	{ BASE "peer \"p\" { id " ID_A " prefix 10.0.0.0/ }\n", "c:3: \"10.0.0.0/\" is no IP prefix" },
	{ BASE "peer \"p\" { id " ID_A " prefix 10.0.0.0/08 }\n", "c:3: \"10.0.0.0/08\" is no IP prefix" },
	{ BASE "peer \"p\" { id " ID_A " prefix 10.0.0.0/8x }\n", "c:3: \"10.0.0.0/8x\" is no IP prefix" },
	{ BASE "peer \"p\" { id " ID_A " prefix 10.0.0.0/-1 }\n", "c:3: \"10.0.0.0/-1\" is no IP prefix" },
	{ BASE "peer \"p\" { id " ID_A " prefix all }\n", "c:3: \"all\" is no IP prefix" },
	{ BASE "vpn { address fd00::1/64 }\n", "c:3: \"fd00::1/64\" is not IPv4" },
	{ BASE "vpn { network fd00::/64 }\n", "c:3: \"fd00::/64\" is not IPv4" },
	{ BASE "vpn { network 10.0.0.1/8 }\n", "c:3: \"10.0.0.1/8\" has bits" },
	{ BASE "vpn { address 10.1.0.1/24\nnetwork 10.2.0.0/16\n}\n", "c:5: address 10.1.0.1/24 is not in network 10.2.0.0/16" },
	/* what is relayed, and routes */
	{ BASE "policy p\n", "c:3: \"p\" is not an absolute path" },
	{ BASE "policy /p\npolicy /q\n", "c:4: \"policy\" is given twice" },
	{ BASE "revocations /p\nrevocations /q\n", "c:4: \"revocations\" is given twice" },
	{ BASE "relay yes\n", "c:3: \"yes\" is not expected here" },
	{ BASE "relay {}\nrelay {}\n", "c:4: \"relay\" is given twice" },
	{ BASE "relay { yes no }\n", "c:3: \"no\" is given twice" },
	{ BASE "relay { maybe }\n", "c:3: unknown word \"maybe\"" },
	{ BASE "relay { bandwidth 20 }\n", "c:3: \"}\" is not expected here" },
	{ BASE "relay { bandwidth 20 MB }\n", "c:3: \"MB\" is no unit of bandwidth: kbit, Mbit or Gbit" },
	{ BASE "relay { bandwidth 20MB }\n", "c:3: \"MB\" is no unit of bandwidth" },
	{ BASE "relay { bandwidth much }\n", "c:3: \"much\" is no bandwidth" },
	{ BASE "relay { bandwidth 0 Mbit }\n", "c:3: the bandwidth \"0\" is not within 1 kbit and 4000000 Mbit" },
	{ BASE "relay { bandwidth 4001 Gbit }\n", "c:3: the bandwidth \"4001\" is not within" },
	{ BASE "relay { bandwidth 1Gbit bandwidth 1Gbit }\n", "c:3: \"bandwidth\" is given twice" },
	{ BASE "relay { class bulk,heavy }\n", "c:3: \"heavy\" is no traffic class" },
	{ BASE "relay { class bulk, }\n", "c:3: \"\" is no traffic class" },
	{ BASE "relay { class bulk,bulk }\n", "c:3: class \"bulk\" is given twice" },
	{ BASE "relay { class bulk class dns }\n", "c:3: \"class\" is given twice" },
	{ BASE "relay { hours 22:00 }\n", "c:3: \"}\" is not expected here" },
	{ BASE "relay { hours 22:00 24:00 }\n", "c:3: \"24:00\" is no time of day: 00:00 to 23:59" },
	{ BASE "relay { hours 22:60 23:00 }\n", "c:3: \"22:60\" is no time of day" },
	{ BASE "relay { hours 9:00 23:00 }\n", "c:3: \"9:00\" is no time of day" },
	{ BASE "relay { hours 09:0x 23:00 }\n", "c:3: \"09:0x\" is no time of day" },
	{ BASE "relay { hours 09:00 09:00 }\n", "c:3: the hours end when they begin" },
	{ BASE "route { domain \"Rack\" }\n", "c:3: \"Rack\" is no name" },
	{ BASE "route { domain aaaaaaaaaabbbbbbbbbbccccccccccdd }\n", "c:3: \"aaaaaaaaaabbbbbbbbbbccccccccccdd\" is longer than 31" },
	{ BASE "route { domain a domain b }\n", "c:3: \"domain\" is given twice" },
	{ BASE "route { region a region a }\n", "c:3: \"region\" is given twice" },
	{ BASE "route { cost 4294967296 }\n", "c:3: \"4294967296\" is not within 0 and 4294967295" },
	{ BASE "route { metered maybe }\n", "c:3: unknown word \"maybe\"" },
	{ BASE "route { weight luck 2 }\n", "c:3: \"luck\" is no part of the score of routes" },
	{ BASE "route { weight loss 2 weight loss 2 }\n", "c:3: \"loss\" is given twice" },
	{ BASE "route { weight loss 100.001 }\n", "c:3: \"100.001\" is no weight: 0 to 100" },
	{ BASE "route { weight loss 1.2345 }\n", "c:3: \"1.2345\" is no weight" },
	{ BASE "route { weight loss -1 }\n", "c:3: \"-1\" is no weight" },
	{ BASE "route { weight loss 1. }\n", "c:3: \"1.\" is no weight" },
	{ BASE "route { weight loss 1.5x }\n", "c:3: \"1.5x\" is no weight" },
	/* ways in */
	{ BASE "listen on 127.0.0.1 to service ssh\n", "c:3: \"to\" is not expected here" },
	{ BASE "listen on 127.0.0.1 port 22 to ssh\n", "c:3: unknown word \"ssh\"" },
	{ BASE "listen on 127.0.0.1 port 22 shared\n", "c:3: \"shared\" is not expected here" },
	{ BASE "listen on 127.0.0.1 port 0 to service ssh\n", "c:3: \"0\" is no port: 1 to 65535" },
	{ BASE "listen on 127.0.0.1 port 22 to service SSH\n", "c:3: \"SSH\" names no service: SERVICE or SERVICE@NODE" },
	{ BASE "listen on 127.0.0.1 port 22 to service s.h\n", "c:3: \"s.h\" names no service" },
	{ BASE "listen on 127.0.0.1 port 22 to service \"\"\n", "c:3: \"\" names no service" },
	{ BASE "listen on 127.0.0.1 port 22 to service @n\n", "c:3: \"@n\" names no service" },
	{ BASE "listen on 127.0.0.1 port 22 to service s@\n", "c:3: \"s@\" names no service" },
	{ BASE "listen on 127.0.0.1 port 22 to service s@n@m\n", "c:3: \"s@n@m\" names no service" },
	{ BASE "listen on 127.0.0.1 port 22 to service s@" ID_A "a\n", "c:3: \"s@" },
	{ BASE "listen on 10.0.0.2 port 22 to service ssh\n", "c:3: other machines reach \"10.0.0.2\"" },
	{ BASE "listen on 128.0.0.1 port 22 to service ssh\n", "c:3: other machines reach \"128.0.0.1\"" },
	{ BASE "listen on :: port 22 to service ssh\n", "c:3: other machines reach \"::\"" },
	{ BASE "listen on ::2 port 22 to service ssh\n", "c:3: other machines reach \"::2\"" },
	{ BASE "listen on ::ffff:127.0.0.1 port 22 to service ssh\n", "c:3: other machines reach \"::ffff:127.0.0.1\"" },
	{ BASE "socks listen on 0.0.0.0 port 1080\n", "c:3: other machines reach \"0.0.0.0\"" },
	{ BASE "socks listen on 127.0.0.1\n", "c:3: the line ends too early" },
	{ BASE "socks listen on 127.0.0.1 port 1080 to service ssh\n", "c:3: \"to\" is not expected here" },
	{ BASE "socks listen on 127.0.0.1 port 22\nlisten on 127.0.0.1 port 22 to service ssh\n",
	    "c:4: \"127.0.0.1\" is given twice with the same port" },
	/* peers */
	{ BASE "peer \"p\" {\n}\n", "c:4: peer \"p\" has no id" },
	{ BASE "peer \"p\" { id abcd }\n", "c:3: \"abcd\" is no node id: 64 hexadecimal digits" },
	{ BASE "peer \"p\" { id 12 }\n", "c:3: \"12\" is no node id: 64 hexadecimal digits" },
	{ BASE "peer \"p\" { id " ID_A "a }\n", "c:3: \"" ID_A "a\" is no node id" },
	{ BASE "peer \"P\" { }\n", "c:3: \"P\" is no name" },
	{ BASE "peer \"p\" { id " ID_A " address 1.1.1.1 address 1.1.1.2 address 1.1.1.3 address 1.1.1.4\n"
	    "address 1.1.1.5 }\n", "c:4: \"1.1.1.5\" is one address too many: 4 at most" },
};

START_TEST(refuses)
{
	char err[CONF_ERR_MAX];
	struct conf *c = parse(refused[_i].text, err);

	ck_assert_msg(c == NULL, "accepted: %s", refused[_i].text);
	ck_assert_msg(strncmp(err, refused[_i].error, strlen(refused[_i].error)) == 0, "%s\nis:     %s\nnot:    %s",
	    refused[_i].text, err, refused[_i].error);
}
END_TEST

/* A text that ends anywhere, or lacks any byte, is a configuration or has a reason. */
START_TEST(cut_anywhere)
{
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		size_t len = strlen(accepted[i]);

		for (size_t n = 0; n < len; n++) {
			char err[CONF_ERR_MAX], *copy = malloc(n + 1);
			struct conf *c;

			memcpy(copy, accepted[i], n);
			c = conf_parse_text("c", copy, n, err);
			ck_assert((c == NULL) == (err[0] != '\0'));
			conf_free(c);
			free(copy);
		}
	}
}
END_TEST

START_TEST(too_many)
{
	size_t size = 300 * (CONF_PEERS_MAX + 1), n;
	char err[CONF_ERR_MAX], want[80], *text = malloc(size);
	struct conf *c;

	n = (size_t)snprintf(text, size, BASE);
	for (unsigned i = 0; i < CONF_PEERS_MAX; i++)
		n += (size_t)snprintf(text + n, size - n, "peer \"p%u\" { id %064x }\n", i, i);
	c = good(text);
	ck_assert_uint_eq(c->npeers, CONF_PEERS_MAX);
	conf_free(c);
	snprintf(text + n, size - n, "peer \"last\" { id %s }\n", ID_A);
	ck_assert_ptr_null(parse(text, err));
	snprintf(want, sizeof(want), "c:%u: peer \"last\" is one too many: %u at most", CONF_PEERS_MAX + 3, CONF_PEERS_MAX);
	ck_assert_str_eq(err, want);
	n = (size_t)snprintf(text, size, BASE);
	for (unsigned i = 0; i <= CONF_SERVICES_MAX; i++)
		n += (size_t)snprintf(text + n, size - n, "service s%u { tcp to ::1 port 1 }\n", i);
	ck_assert_ptr_null(parse(text, err));
	ck_assert_ptr_nonnull(strstr(err, "is one too many: 64 at most"));
	n = (size_t)snprintf(text, size, BASE "service s { tcp to ::1 port 1\n");
	for (unsigned i = 0; i < 5; i++)
		n += (size_t)snprintf(text + n, size - n, "allow tenant %c%061u\n", 'a' + i, 0);
	ck_assert_ptr_null(parse(strcat(text, "}\n"), err));
	ck_assert_ptr_nonnull(strstr(err, "c:8: tenant \"e0"));
	ck_assert_ptr_nonnull(strstr(err, "is one too many: 255 bytes of names at most"));
	free(text);
}
END_TEST

/* --- files --------------------------------------------------------------------------------------- */

static char dir[] = "/tmp/check_conf.XXXXXX";

static void
write_file(char path[256], const char *name, const char *text)
{
	FILE *f;

	snprintf(path, 256, "%s/%s", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

START_TEST(includes)
{
	char main_path[256], inc[256], text[1024], want[600], err[CONF_ERR_MAX];
	struct conf *c;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	/* A macro goes through; the last line needs no end; lines count on behind it. */
	write_file(inc, "inc.conf", "listen on $a\nq = 5\nlisten on $a port $q");
	snprintf(text, sizeof(text), "a = \"10.0.0.9\"\ninclude \"%s\"\nnode \"n\" {}\n", inc);
	write_file(main_path, "main.conf", text);
	c = conf_parse_file(main_path, err);
	ck_assert_msg(c != NULL, "%s", err);
	ck_assert_uint_eq(c->nlisten, 2);
	ck_assert_uint_eq(c->listen[1].port, 5);
	conf_free(c);

	/* An error is told where it is. */
	write_file(inc, "inc.conf", "\n\nfrob {\n");
	ck_assert_ptr_null(conf_parse_file(main_path, err));
	snprintf(want, sizeof(want), "%s:3: unknown word \"frob\"", inc);
	ck_assert_str_eq(err, want);
	write_file(inc, "inc.conf", "\n");
	snprintf(text, sizeof(text), "include \"%s\"\n\nfrob {\n", inc);
	write_file(main_path, "main.conf", text);
	ck_assert_ptr_null(conf_parse_file(main_path, err));
	snprintf(want, sizeof(want), "%s:3: unknown word \"frob\"", main_path);
	ck_assert_str_eq(err, want);

	/* A file that includes itself ends, and one that is not there is named. */
	snprintf(text, sizeof(text), "include \"%s\"\n", inc);
	write_file(inc, "inc.conf", text);
	ck_assert_ptr_null(conf_parse_file(main_path, err));
	ck_assert_ptr_nonnull(strstr(err, "too deep"));
	write_file(main_path, "main.conf", "\ninclude \"/nonexistent/x\"\n");
	ck_assert_ptr_null(conf_parse_file(main_path, err));
	snprintf(want, sizeof(want), "%s:2: \"/nonexistent/x\": No such file or directory", main_path);
	ck_assert_str_eq(err, want);
	ck_assert_ptr_null(conf_parse_file("/nonexistent/y", err));
	ck_assert_str_eq(err, "/nonexistent/y: No such file or directory");
	ck_assert_ptr_null(conf_parse_file("/dev/zero", err));
	ck_assert_str_eq(err, "/dev/zero: not a regular file");
	unlink(inc);
	unlink(main_path);
	rmdir(dir);
}
END_TEST

static const char *const shipped[] = {
	"etc/fabricd.conf.example", "etc/examples/entry.conf", "etc/examples/home.conf",
	"etc/examples/laptop.conf", "etc/examples/unprivileged.conf",
};

START_TEST(shipped_examples)
{
	char err[CONF_ERR_MAX], *text;
	struct conf *c = conf_parse_file(shipped[_i], err);

	ck_assert_msg(c != NULL, "%s", err);
	text = print(c);
	conf_free(c);
	conf_free(good(text));
	free(text);
}
END_TEST

/* What the example shows commented out are the defaults: with the marks gone it means the same. */
START_TEST(example_shows_defaults)
{
	char err[CONF_ERR_MAX], line[512], *text = NULL, *a, *b;
	FILE *in = fopen(shipped[0], "r"), *out;
	struct conf *c, *d;
	size_t len;

	ck_assert_ptr_nonnull(in);
	out = open_memstream(&text, &len);
	while (fgets(line, sizeof(line), in) != NULL) {
		bool off = line[0] == '#' && line[1] != ' ' && line[1] != '\n' && strncmp(line, "#\t(", 3) != 0 &&
		    strncmp(line, "#\tfabricctl", 11) != 0 && strncmp(line, "#listen", 7) != 0;

		fputs(off ? line + 1 : line, out);
	}
	fclose(in);
	fclose(out);
	c = conf_parse_file(shipped[0], err);
	d = good(text);
	a = print(c);
	b = print(d);
	ck_assert_str_eq(a, b);
	ck_assert_ptr_nonnull(strstr(text, "\nsession {"));
	conf_free(c);
	conf_free(d);
	free(a);
	free(b);
	free(text);
}
END_TEST

/* --- prefixes ------------------------------------------------------------------------------------ */

START_TEST(prefixes)
{
	struct record_prefix p = { 4, 9, { 10, 0xff, 3, 4 } }, q = { 4, 16, { 10, 0x81, 0, 0 } };

	ck_assert(!prefix_masked(&p));
	prefix_mask(&p);
	ck_assert_mem_eq(p.addr, "\x0a\x80\0\0", 4);
	ck_assert(prefix_masked(&p));
	ck_assert(prefix_covers(&p, &q));
	ck_assert(!prefix_covers(&q, &p));
	q.addr[1] = 0x01;
	ck_assert(!prefix_covers(&p, &q));
	q.family = 6;
	ck_assert(!prefix_covers(&p, &q));
	p.len = 0;
	prefix_mask(&p);
	ck_assert_mem_eq(p.addr, "\0\0\0\0", 4);
	p.len = 32;
	memcpy(p.addr, "\1\2\3\4", 4);
	prefix_mask(&p);
	ck_assert_mem_eq(p.addr, "\1\2\3\4", 4);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

int
main(void)
{
	Suite *s = suite_create("conf");
	TCase *tc = tcase_create("conf");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, prints_what_parses, 0, N(accepted));
	tcase_add_test(tc, values);
	tcase_add_test(tc, defaults);
	tcase_add_loop_test(tc, refuses, 0, N(refused));
	tcase_add_test(tc, cut_anywhere);
	tcase_add_test(tc, too_many);
	tcase_add_test(tc, includes);
	tcase_add_loop_test(tc, shipped_examples, 0, N(shipped));
	tcase_add_test(tc, example_shows_defaults);
	tcase_add_test(tc, prefixes);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
