/* routed: what it knows of peers, what it tells the dataplane, what it answers. */
#include "fake_routed.h"

#include "wire/varint.h"

#define WAIT_MS 10000	/* for what comes at once: a slow machine is no failure */

/* --- configuration --- */

static const struct {
	const char *what, *error;
	int kind;
} refused[] = {
	{ "no node", "node is missing", 0 },
	{ "an address before its peer", "not configured", 1 },
	{ "a prefix of nobody", "not configured", 2 },
	{ "a peer twice", "the same node id", 3 },
	{ "too many addresses", "more than 8 addresses", 4 },
	{ "something else", "no use for", 5 },
};

START_TEST(conf_refused)
{
	struct procmsg items[16] = { refused[_i].kind == 0 ? fake_conf_peer(1, "a") : fake_conf_node() };
	size_t n = 1;

	if (refused[_i].kind == 1)
		items[n++] = conf_addr(1, fake_addr(1, 1));
	if (refused[_i].kind == 2)
		items[n++] = conf_prefix(1, 1);
	if (refused[_i].kind == 3) {
		items[n++] = fake_conf_peer(1, "a");
		items[n++] = fake_conf_peer(1, "b");
	}
	if (refused[_i].kind == 4) {
		items[n++] = fake_conf_peer(1, "a");
		for (uint8_t i = 0; i <= PEER_CONF_ADDRS_MAX; i++)
			items[n++] = conf_addr(1, fake_addr(i, 1));
	}
	if (refused[_i].kind == 5)
		items[n++] = (struct procmsg){ .type = PM_CONF_SERVICE };
	ck_assert_msg(!fake_configure(&fk, items, n), "%s", refused[_i].what);
	ck_assert_msg(strstr(fk.worker.conf_error, refused[_i].error) != NULL, "%s", fk.worker.conf_error);
	ck_assert_ptr_null(routed()->conf);
}
END_TEST

START_TEST(a_node_may_be_in_its_own_list)
{
	const struct procmsg items[] = { fake_conf_node(), fake_conf_peer(0xee, "here"), conf_addr(0xee, fake_addr(9, 1)),
	    fake_conf_peer(1, "home-1") };

	ck_assert(fake_configure(&fk, items, 4));
	ck_assert_ptr_null(peer(0xee));
	ck_assert_ptr_nonnull(peer(1));
}
END_TEST

/* --- targets --- */

START_TEST(targets_at_each_port)
{
	for (int round = 0; round < 3; round++) {
		if (round != 1)
			new_port();
		else
			configure_two();
		hear();
		if (round == 0) {
			ck_assert_uint_eq(messages, 0);
			continue;
		}
		ck_assert(told[1].known && told[1].dial);
		ck_assert(has_addr(1, fake_addr(1, 4433)) && has_addr(1, fake_addr(2, 4433)));
		ck_assert(told[2].known && !told[2].dial);
		ck_assert_uint_eq(told[2].n, 0);
	}
}
END_TEST

START_TEST(same_configuration_says_nothing)
{
	new_port();
	configure_two();
	hear();
	configure_two();
	hear();
	ck_assert_uint_eq(messages, 0);
}
END_TEST

START_TEST(only_differences_are_told)
{
	const struct procmsg items[] = { fake_conf_node(), fake_conf_peer(1, "home-1"), conf_addr(1, fake_addr(1, 4433)),
	    conf_addr(1, fake_addr(2, 4433)), conf_addr(1, fake_addr(3, 4433)), fake_conf_peer(3, "entry-1"),
	    conf_addr(3, fake_addr(4, 4433)) };

	configure_two();
	new_port();
	ck_assert(fake_configure(&fk, items, 7));
	hear();
	ck_assert_uint_eq(messages, 4);	/* one address, one gone, one new with its address */
	ck_assert_uint_eq(told[1].n, 3);
	ck_assert(!told[2].known);
	ck_assert(told[3].dial && has_addr(3, fake_addr(4, 4433)));
}
END_TEST

START_TEST(address_taken_away)
{
	const struct procmsg items[] = { fake_conf_node(), fake_conf_peer(1, "home-1"), conf_addr(1, fake_addr(2, 4433)) };

	configure_two();
	new_port();
	ck_assert(fake_configure(&fk, items, 3));
	hear();
	ck_assert_uint_eq(messages, 3);	/* the other peer goes; this one keeps its session */
	ck_assert(told[1].dial);
	ck_assert_uint_eq(told[1].n, 1);
	ck_assert(has_addr(1, fake_addr(2, 4433)));
}
END_TEST

/* A configured peer that came to us is dialled where it was, until that fails too often; then again when it is back. */
START_TEST(learned_address_is_a_target)
{
	struct pm_addr learned = fake_addr(77, 5000);
	struct procmsg up = fake_peer_up(2, "phone-a", learned), down = peer_down(2, REASON_TIMEOUT);
	struct procmsg failed = dial_failed(2, learned, REASON_TIMEOUT);

	configure_two();
	new_port();
	fake_tell(&fk, &up);
	hear();
	ck_assert(told[2].dial && has_addr(2, learned));
	fake_tell(&fk, &down);
	for (int i = 0; i < LEARNED_FAILURES_MAX; i++) {
		ck_assert(told[2].dial);
		fake_tell(&fk, &failed);
		hear();
	}
	ck_assert(told[2].known && !told[2].dial);
	ck_assert_uint_eq(told[2].n, 0);
	fake_tell(&fk, &up);
	hear();
	ck_assert(told[2].dial && has_addr(2, learned));
}
END_TEST

START_TEST(configured_address_is_dialled_for_ever)
{
	struct procmsg failed = dial_failed(1, fake_addr(1, 4433), REASON_TIMEOUT);

	configure_two();
	new_port();
	for (int i = 0; i < 3 * LEARNED_FAILURES_MAX; i++)
		fake_tell(&fk, &failed);
	hear();
	ck_assert_uint_eq(messages, 0);
	ck_assert(has_addr(1, fake_addr(1, 4433)));
}
END_TEST

START_TEST(a_stranger_is_no_target)
{
	struct procmsg up = fake_peer_up(9, "stranger", fake_addr(9, 9));

	configure_two();
	new_port();
	fake_tell(&fk, &up);
	hear();
	ck_assert_uint_eq(messages, 0);
	ck_assert_ptr_nonnull(peer(9));
}
END_TEST

/* What does not fail first, then what is configured, then what worked last. */
START_TEST(order_of_addresses)
{
	struct peer *p;
	struct pm_addr out[PEER_DIAL_ADDRS_MAX];
	const struct peer_addr learned[] = {
		{ .addr = fake_addr(10, 1), .learned = true, .last_ok = 100 },
		{ .addr = fake_addr(11, 1), .learned = true, .last_ok = 300 },
		{ .addr = fake_addr(12, 1), .learned = true, .last_ok = 200 },
		{ .addr = fake_addr(13, 1), .learned = true, .last_ok = 900, .failures = 1 },
		{ .addr = fake_addr(14, 1), .learned = true, .last_ok = 900, .failures = LEARNED_FAILURES_MAX },
	};
	static const uint8_t want[] = { 2, 11, 12, 10, 1, 13 };
	struct procmsg failed = dial_failed(1, fake_addr(1, 4433), REASON_TIMEOUT);

	configure_two();
	new_port();
	p = peer(1);
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(peer_addr_load(p, &learned[i]), 0);
	fake_tell(&fk, &failed);
	ck_assert_uint_eq(peer_dial_addrs(p, out), sizeof(want));
	for (size_t i = 0; i < sizeof(want); i++)
		ck_assert_uint_eq(out[i].addr[3], want[i]);
}
END_TEST

/* Facts of a node that others see at these addresses: 10.9.9.<last>, or `odd' as it is. */
static struct facts
seen_at(uint8_t nat, const uint8_t *last, size_t n)
{
	struct facts f = { .nat = nat };

	for (size_t i = 0; i < n; i++)
		f.addrs[f.naddrs++] = (struct fact_addr){ .family = 4, .carrier = CARRIER_QUIC, .port = 4600,
		    .addr = { 10, 9, 9, last[i] } };
	return f;
}

static bool
dials(const struct peer *p, uint8_t last)
{
	struct pm_addr out[PEER_DIAL_ADDRS_MAX];
	size_t n = peer_dial_addrs(p, out);

	for (size_t i = 0; i < n; i++)
		if (out[i].family == 4 && out[i].addr[0] == 10 && out[i].addr[1] == 9 && out[i].addr[3] == last)
			return true;
	return false;
}

/* Where others see a configured node it is dialled too, behind what was written down, as long as its record says so. */
START_TEST(heard_addresses)
{
	static const uint8_t last[] = { 1, 2 };
	struct facts f = seen_at(NAT_CONE, last, 2);
	struct pm_addr out[PEER_DIAL_ADDRS_MAX];
	uint8_t id[NODE_ID_LEN];

	configure_two();
	new_port();
	memcpy(id, peer(1)->node_id, sizeof(id));
	directory_heard(routed()->dir, id, &f);
	ck_assert_uint_eq(peer_dial_addrs(peer(1), out), 4);	/* two are configured */
	ck_assert(out[0].addr[1] != 9 && out[1].addr[1] != 9);
	ck_assert(dials(peer(1), 1) && dials(peer(1), 2));
	f = seen_at(NAT_NONE, last + 1, 1);
	directory_heard(routed()->dir, id, &f);
	ck_assert(!dials(peer(1), 1) && dials(peer(1), 2));
	f.nat = NAT_SYMMETRIC;
	directory_heard(routed()->dir, id, &f);
	ck_assert(!dials(peer(1), 2));
	f.nat = NAT_UNKNOWN;
	directory_heard(routed()->dir, id, &f);
	ck_assert(dials(peer(1), 2));
	directory_heard(routed()->dir, id, NULL);
	ck_assert_uint_eq(peer_dial_addrs(peer(1), out), 2);
	ck_assert_uint_eq(peer(1)->naddrs, 2);
}
END_TEST

/* What was heard of is given up after a while; anew an hour later, or in another network, or when its node has moved. */
START_TEST(heard_address_fails)
{
	static const uint8_t last[] = { 1 };
	struct facts f = seen_at(NAT_CONE, last, 1), none = { .nat = NAT_CONE };
	struct procmsg failed = dial_failed(1, (struct pm_addr){ .family = 4, .addr = { 10, 9, 9, 1 }, .port = 4600 }, REASON_TIMEOUT);
	struct procmsg system = { .type = PM_SYSTEM, .system.net = NET_WIFI };
	uint8_t id[NODE_ID_LEN];

	configure_two();
	new_port();
	memcpy(id, peer(1)->node_id, sizeof(id));
	for (unsigned round = 0; round < 3; round++) {
		directory_heard(routed()->dir, id, &f);
		for (unsigned i = 0; i < LEARNED_FAILURES_MAX; i++) {
			ck_assert(dials(peer(1), 1));
			fake_tell(&fk, &failed);
		}
		ck_assert(!dials(peer(1), 1));
		directory_heard(routed()->dir, id, &f);
		directory_expire(routed()->dir, clock_wall() + HEARD_AGAIN_S - 60);
		ck_assert(!dials(peer(1), 1));
		if (round == 0)
			directory_expire(routed()->dir, clock_wall() + HEARD_AGAIN_S);
		else if (round == 1)
			ck_assert_int_eq(routed_ops.message(&fk.worker, &system, -1), 0);
		else
			directory_heard(routed()->dir, id, &none);
	}
	directory_heard(routed()->dir, id, &f);
	ck_assert(dials(peer(1), 1));
}
END_TEST

/* A node that would have others send packets to where no node is. */
START_TEST(heard_nonsense)
{
	static const struct fact_addr odd[] = {
		{ 4, CARRIER_QUIC, 4600, { 127, 0, 0, 1 } }, { 4, CARRIER_QUIC, 4600, { 0, 0, 0, 0 } },
		{ 4, CARRIER_QUIC, 4600, { 224, 0, 0, 1 } }, { 4, CARRIER_QUIC, 4600, { 255, 255, 255, 255 } },
		{ 4, CARRIER_QUIC, 4600, { 169, 254, 1, 1 } }, { 4, CARRIER_QUIC, 0, { 10, 9, 9, 1 } },
		{ 6, CARRIER_QUIC, 4600, { [15] = 1 } }, { 6, CARRIER_QUIC, 4600, { 0 } },
		{ 6, CARRIER_QUIC, 4600, { 0xff, 2, [15] = 1 } }, { 6, CARRIER_QUIC, 4600, { 0xfe, 0x80, [15] = 1 } },
		{ 6, CARRIER_QUIC, 4600, { [10] = 0xff, 0xff, 127, 0, 0, 1 } }, { 4, CARRIER_QUIC << 1, 4600, { 10, 9, 9, 1 } },
	};
	static const struct fact_addr good = { 6, CARRIER_QUIC, 4600, { 0x20, 1, 0xd, 0xb8, [15] = 1 } };
	struct facts f = { .nat = NAT_NONE, .naddrs = 1 };
	struct pm_addr out[PEER_DIAL_ADDRS_MAX];
	uint8_t id[NODE_ID_LEN];

	configure_two();
	memcpy(id, peer(1)->node_id, sizeof(id));
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		f.addrs[0] = odd[i];
		directory_heard(routed()->dir, id, &f);
		ck_assert_msg(peer_dial_addrs(peer(1), out) == 2, "address %zu", i);
	}
	f.addrs[0] = good;
	directory_heard(routed()->dir, id, &f);
	ck_assert_uint_eq(peer_dial_addrs(peer(1), out), 3);
}
END_TEST

/* Who is not configured is not dialled, whatever it says; and what worked is not driven out by what was only said. */
START_TEST(heard_of_others)
{
	static const uint8_t last[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct procmsg up = fake_peer_up(7, "stranger", fake_addr(77, 5000));
	struct facts f = seen_at(NAT_NONE, last, 8);
	struct peer *p;

	configure_two();
	new_port();
	fake_tell(&fk, &up);
	directory_heard(routed()->dir, peer(7)->node_id, &f);
	ck_assert_uint_eq(peer(7)->naddrs, 1);
	p = peer(1);
	for (uint8_t i = 0; i < PEER_ADDRS_MAX - 2; i++) {
		struct peer_addr a = { .addr = fake_addr((uint8_t)(100 + i), 1), .learned = true, .last_ok = 1000 + i };

		ck_assert_int_eq(peer_addr_load(p, &a), 0);
	}
	directory_heard(routed()->dir, p->node_id, &f);
	ck_assert_uint_eq(p->naddrs, PEER_ADDRS_MAX);
	for (unsigned i = 2; i < PEER_ADDRS_MAX; i++)
		ck_assert(p->addrs[i].learned && !p->addrs[i].heard);
}
END_TEST

/* A person writes down an address after others were learned: it is tried before them. */
START_TEST(new_configured_address_goes_first)
{
	const struct procmsg items[] = { fake_conf_node(), fake_conf_peer(2, "phone-a"), conf_addr(2, fake_addr(9, 1)) };
	struct procmsg up = fake_peer_up(2, "phone-a", fake_addr(77, 5000));
	struct pm_addr out[PEER_DIAL_ADDRS_MAX];

	configure_two();
	new_port();
	fake_tell(&fk, &up);
	ck_assert(fake_configure(&fk, items, 3));
	ck_assert_uint_eq(peer_dial_addrs(peer(2), out), 2);
	ck_assert_uint_eq(out[0].addr[3], 9);
	ck_assert_uint_eq(out[1].addr[3], 77);
}
END_TEST

/* More learned addresses than there is room: the oldest goes, configured ones never. */
START_TEST(addresses_are_bounded)
{
	struct pm_addr out[PEER_DIAL_ADDRS_MAX];
	struct peer *p;

	configure_two();
	p = peer(1);
	for (unsigned i = 0; i < 3 * PEER_ADDRS_MAX; i++) {
		struct peer_addr a = { .addr = fake_addr((uint8_t)(100 + i), 1), .learned = true, .last_ok = 1000 + i };

		ck_assert_int_eq(peer_addr_load(p, &a), 0);
	}
	ck_assert_uint_eq(p->naddrs, PEER_ADDRS_MAX);
	ck_assert(p->addrs[0].configured && p->addrs[1].configured);
	ck_assert_uint_eq(peer_dial_addrs(p, out), PEER_DIAL_ADDRS_MAX);
	ck_assert_uint_eq(p->addrs[PEER_ADDRS_MAX - 1].last_ok, 1000 + 3 * PEER_ADDRS_MAX - 1);
}
END_TEST

/* Messages that mean nothing here, until the channel takes no more. */
static void
fill_channel(struct ipc *ipc)
{
	struct procmsg filler = fake_peer_up(0, "filler", fake_addr(0, 1));

	while (procmsg_send(ipc, &filler, -1) == 0)
		continue;
}

/* The dataplane does not read: nothing is lost, and nothing said twice, when it does again. */
START_TEST(a_full_channel_is_waited_for)
{
	static struct procmsg items[1 + 2 * DIRECTORY_PEERS_MAX];
	size_t n = 0, ntargets = 0, naddrs = 0;
	struct procmsg m;

	items[n++] = fake_conf_node();
	for (unsigned i = 0; i < DIRECTORY_PEERS_MAX; i++) {
		items[n] = fake_conf_peer((uint8_t)i, "p");
		items[n].conf_peer.node_id[5] = (uint8_t)(1 + (i >> 8));
		n++;
		items[n] = conf_addr((uint8_t)i, fake_addr((uint8_t)i, 1));
		items[n].conf_peer_addr.node_id[5] = (uint8_t)(1 + (i >> 8));
		n++;
	}
	fake_port(&fk);
	ipc_pause(fk.dataplane.ipc);
	fill_channel(routed()->dataplane);
	ck_assert(fake_configure(&fk, items, n));
	ipc_resume(fk.dataplane.ipc);
	event_del(routed()->tick);	/* it would help */
	while (ntargets + naddrs < 2 * DIRECTORY_PEERS_MAX && fake_message(&fk, &fk.dataplane, &m, WAIT_MS)) {
		ntargets += m.type == PM_TARGET;
		naddrs += m.type == PM_TARGET_ADDR;
		fake_forget(&fk.dataplane);
	}
	ck_assert_uint_eq(ntargets, DIRECTORY_PEERS_MAX);
	ck_assert_uint_eq(naddrs, DIRECTORY_PEERS_MAX);
	ck_assert(!fake_message(&fk, &fk.dataplane, &m, 50));
}
END_TEST

/* --- state from proof --- */

static const struct {
	const char *what;
	bool port, up, stat;
	uint64_t idle_ms;
	uint64_t later_ms;
	enum peer_state state;
} states[] = {
	{ "nothing", false, false, false, 0, 0, PEER_STATE_DOWN },
	{ "being dialled", true, false, false, 0, 0, PEER_STATE_CONNECTING },
	{ "said to be up, not proven", true, true, false, 0, 0, PEER_STATE_CONNECTING },
	{ "proven now", true, true, true, 0, 0, PEER_STATE_UP },
	{ "proven lately", true, true, true, DEAD_MS_DEFAULT - 1, 0, PEER_STATE_UP },
	{ "proven too long ago", true, true, true, DEAD_MS_DEFAULT, 0, PEER_STATE_DOWN },
	{ "reports have ceased, still recent", true, true, true, 100, DEAD_MS_DEFAULT - 101, PEER_STATE_UP },
	{ "reports have ceased", true, true, true, 100, DEAD_MS_DEFAULT - 100, PEER_STATE_DOWN },
	{ "idle for ever", true, true, true, UINT32_MAX * 1000ull, 0, PEER_STATE_DOWN },
};

START_TEST(state_is_proof)
{
	struct directory *d = routed()->dir;
	struct procmsg up = fake_peer_up(1, "home-1", fake_addr(1, 4433));
	struct procmsg stat = fake_peer_stat(1, 1000, 10, 0, states[_i].idle_ms);
	uint64_t now = (uint64_t)UINT32_MAX * NS_PER_SEC;

	configure_two();
	if (states[_i].port)
		new_port();
	if (states[_i].up)
		ck_assert_int_eq(directory_peer_up(d, &up.peer_up, now, 5000000000), 0);
	if (states[_i].stat)
		directory_peer_stat(d, &stat.peer_stat, now, 5000000000);
	ck_assert_msg(peer_state(d, peer(1), now + states[_i].later_ms * NS_PER_MS) == states[_i].state, "%s: %s",
	    states[_i].what, peer_state_name(peer_state(d, peer(1), now + states[_i].later_ms * NS_PER_MS)));
}
END_TEST

START_TEST(dead_after_what_is_configured)
{
	const struct procmsg items[] = { fake_conf_node(), { .type = PM_CONF_SESSION, .conf_session.dead_ms = 500 } };
	struct procmsg up = fake_peer_up(1, "home-1", fake_addr(1, 4433)), stat = fake_peer_stat(1, 1, 1, 0, 499);

	ck_assert(fake_configure(&fk, items, 2));
	new_port();
	fake_tell(&fk, &up);
	fake_tell(&fk, &stat);
	ck_assert_int_eq(peer_state(routed()->dir, peer(1), peer(1)->session.proof_ns + 499 * NS_PER_MS), PEER_STATE_UP);
	ck_assert_int_eq(peer_state(routed()->dir, peer(1), peer(1)->session.proof_ns + 500 * NS_PER_MS), PEER_STATE_DOWN);
}
END_TEST

START_TEST(no_dataplane_no_proof)
{
	bring_up();
	ipc_free(fk.dataplane.ipc);
	fk.dataplane.ipc = NULL;
	fake_run(&fk);
	ck_assert_int_eq(peer_state(routed()->dir, peer(1), clock_ns()), PEER_STATE_DOWN);
	/* Nor does a new one prove anything. */
	new_port();
	ck_assert_int_eq(peer_state(routed()->dir, peer(1), clock_ns()), PEER_STATE_CONNECTING);
}
END_TEST

START_TEST(a_stray_report_proves_nothing)
{
	struct procmsg down = peer_down(1, REASON_TIMEOUT), stat = fake_peer_stat(1, 1000, 100, 0, 0);

	bring_up();
	fake_tell(&fk, &down);
	fake_tell(&fk, &stat);
	ck_assert_int_eq(peer_state(routed()->dir, peer(1), clock_ns()), PEER_STATE_CONNECTING);
	ck_assert_str_eq(reason_name(peer(1)->down_reason), "timeout");
	ck_assert_uint_eq(peer(1)->session.proof_ns, 0);
}
END_TEST

/* A session that was there before this routed: how long it has been up is the dataplane's to say. */
START_TEST(older_than_routed)
{
	struct procmsg stat = fake_peer_stat(1, 1000, 100, 0, 0);
	uint64_t now = clock_ns();

	bring_up();
	stat.peer_stat.up_ms = 5000;
	fake_tell(&fk, &stat);
	ck_assert_uint_ge(now + NS_PER_SEC - peer(1)->session.since_ns, 5 * NS_PER_SEC);
	ck_assert_uint_le(now - peer(1)->session.since_ns, 5 * NS_PER_SEC);
	stat.peer_stat.up_ms = VARINT_MAX;
	fake_tell(&fk, &stat);
	ck_assert_uint_eq(peer(1)->session.since_ns, 1);
}
END_TEST

/* --- measurement --- */

static const struct {
	const char *what;
	struct { uint64_t sent, lost; } report[5];
	size_t n;
	uint32_t permille;
} losses[] = {
	{ "nothing sent", { { 0, 0 }, { 0, 0 } }, 2, 0 },
	{ "the first report is only a base", { { 1000, 500 } }, 1, 0 },
	{ "none lost", { { 0, 0 }, { 1000, 0 }, { 2000, 0 } }, 3, 0 },
	{ "a tenth", { { 0, 0 }, { 1000, 100 }, { 2000, 200 } }, 3, 100 },
	{ "all", { { 0, 0 }, { 10, 10 } }, 2, 1000 },
	{ "more than all", { { 0, 0 }, { 10, 50 } }, 2, 1000 },
	{ "counters begin again", { { 5000, 0 }, { 10, 5 }, { 1010, 105 } }, 3, 100 },
	{ "a pause changes nothing", { { 0, 0 }, { 1000, 100 }, { 1000, 100 }, { 1000, 100 } }, 4, 100 },
};

START_TEST(loss_is_measured)
{
	bring_up();
	memset(&peer(1)->session.stat_seen, 0, sizeof(bool));
	for (size_t i = 0; i < losses[_i].n; i++) {
		struct procmsg m = fake_peer_stat(1, 1000, losses[_i].report[i].sent, losses[_i].report[i].lost, 0);

		fake_tell(&fk, &m);
	}
	ck_assert_msg(peer(1)->quality.loss_permille == losses[_i].permille, "%s: %u", losses[_i].what,
	    peer(1)->quality.loss_permille);
}
END_TEST

START_TEST(rtt_is_smoothed)
{
	static const uint32_t rtts[] = { 9000, 0, 500, 1000 };	/* 0: not measured */
	static const uint32_t want[] = { 2000, 2000, 1813, 1712 };

	bring_up();
	ck_assert_uint_eq(peer(1)->quality.srtt_us, 1000);
	for (size_t i = 0; i < 4; i++) {
		struct procmsg m = fake_peer_stat(1, rtts[i], 100, 0, 0);

		fake_tell(&fk, &m);
		ck_assert_uint_eq(peer(1)->quality.srtt_us, want[i]);
	}
	ck_assert_uint_eq(peer(1)->quality.min_us, 500);
}
END_TEST

/* --- bounds --- */

START_TEST(directory_is_bounded)
{
	struct directory *d = routed()->dir;
	uint8_t id[NODE_ID_LEN] = { 0 };
	struct procmsg up = fake_peer_up(1, "home-1", fake_addr(1, 4433));

	configure_two();
	fake_port(&fk);
	fake_tell(&fk, &up);
	for (unsigned i = 0; d->npeers < DIRECTORY_PEERS_MAX; i++) {
		memcpy(id + 3, &i, sizeof(i));
		directory_add(d, id)->last_seen = 1000 + i;
	}
	memset(id, 0, sizeof(id));
	ck_assert_ptr_nonnull(directory_find(d, id));	/* the oldest */
	memset(id, 0xfe, sizeof(id));
	ck_assert_ptr_nonnull(directory_add(d, id));
	memset(id, 0, sizeof(id));
	ck_assert_ptr_null(directory_find(d, id));
	ck_assert_uint_eq(d->npeers, DIRECTORY_PEERS_MAX);
	ck_assert_ptr_nonnull(peer(1));
	ck_assert_ptr_nonnull(peer(2));
	/* All connected: there is no room. */
	for (size_t i = 0; i < d->npeers; i++)
		d->peers[i]->session.up = true;
	memset(id, 0xfd, sizeof(id));
	ck_assert_ptr_null(directory_add(d, id));
	ck_assert_uint_eq(stats->counter[STAT_ROUTED_PEERS_REFUSED], 1);
	for (size_t i = 1; i < d->npeers; i++)
		ck_assert_int_lt(memcmp(d->peers[i - 1]->node_id, d->peers[i]->node_id, NODE_ID_LEN), 0);
}
END_TEST

START_TEST(old_ones_are_forgotten)
{
	struct directory *d = routed()->dir;
	struct procmsg up = fake_peer_up(9, "guest", fake_addr(9, 9)), down = peer_down(9, REASON_SHUTDOWN);

	configure_two();
	ck_assert_int_eq(directory_peer_up(d, &up.peer_up, 1, 1000), 0);
	directory_expire(d, 1000 + 2 * PEER_FORGET_S);
	ck_assert_ptr_nonnull(peer(9));		/* it is connected */
	ck_assert_uint_eq(peer(9)->naddrs, 0);	/* its address is too old */
	directory_peer_down(d, &down.peer_down);
	directory_expire(d, 1000 + PEER_FORGET_S);
	ck_assert_ptr_nonnull(peer(9));
	directory_expire(d, 1000 + PEER_FORGET_S + 1);
	ck_assert_ptr_null(peer(9));
	ck_assert_ptr_nonnull(peer(1));		/* it is configured */
}
END_TEST

static const struct { const char *what; uint8_t bytes[24]; size_t len; int n; } packed[] = {
	{ "none", { 0 }, 0, 0 },
	{ "one", { 4, 24, 10, 0, 0, 0 }, 6, 1 },
	{ "both families", { 4, 24, 10, 0, 0, 0, 6, 64, 0xfd }, 24, 2 },
	{ "family 5", { 5, 24, 10, 0, 0, 0 }, 6, -1 },
	{ "33 bits", { 4, 33, 10, 0, 0, 0 }, 6, -1 },
	{ "129 bits", { 6, 129, 10 }, 18, -1 },
	{ "cut short", { 4, 24, 10, 0, 0 }, 5, -1 },
	{ "one byte", { 4 }, 1, -1 },
	{ "too many", { 4, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0 }, 18, -1 },
};

START_TEST(prefixes_are_checked)
{
	struct record_prefix out[2];
	uint8_t *bytes = malloc(packed[_i].len + 1);	/* no more than there is, for the sanitizer */

	memcpy(bytes + 1, packed[_i].bytes, packed[_i].len);
	ck_assert_msg(prefixes_unpack(out, 2, bytes + 1, packed[_i].len) == packed[_i].n, "%s", packed[_i].what);
	free(bytes);
}
END_TEST

/* --- the dataplane's mistakes --- */

static const struct { const char *what; enum procmsg_type type; uint64_t frame; } broken[] = {
	{ "a message of ours", PM_TARGET_DEL, 0 },
	{ "the supervisor's", PM_CONF_COMMIT, 0 },
	{ "a frame of a session's", 0, FT_PING },
};

START_TEST(broken_dataplane)
{
	struct procmsg m = { .type = broken[_i].type };
	struct frame f = { .type = FT_PING };

	bring_up();
	if (broken[_i].frame != 0)
		fake_send(&fk, &f);
	else
		fake_tell(&fk, &m);
	fake_run(&fk);
	ck_assert_msg(fk.dataplane.closed, "%s", broken[_i].what);
	ck_assert_int_eq(peer_state(routed()->dir, peer(1), clock_ns()), PEER_STATE_DOWN);
	new_port();
	ck_assert(told[1].dial);
}
END_TEST

/* --- answers --- */

static struct pm_row
expect_row(void)
{
	struct procmsg m;

	ck_assert(fake_message(&fk, &fk.supervisor, &m, WAIT_MS));
	ck_assert_int_eq(m.type, PM_ROW);
	ck_assert_uint_eq(m.row.id, 7);
	return m.row;
}

static struct pm_done
expect_done(void)
{
	struct procmsg m;

	ck_assert(fake_message(&fk, &fk.supervisor, &m, WAIT_MS));
	ck_assert_int_eq(m.type, PM_DONE);
	return m.done;
}

START_TEST(status_rows)
{
	struct procmsg guest = fake_peer_up(9, "guest", fake_addr(9, 9)), gone = peer_down(9, REASON_SHUTDOWN);
	struct procmsg stat = fake_peer_stat(1, 1000, 100, 0, 0);
	struct pm_row row;

	bring_up();
	stat.peer_stat.pressure = 640;
	fake_tell(&fk, &stat);
	fake_tell(&fk, &guest);
	for (int round = 0; round < 2; round++) {
		fake_request(&fk, "status", "", 0);
		if (round == 0) {	/* a guest counts while it is here */
			row = expect_row();
			ck_assert_str_eq(row_text(&row.row, "name"), "guest");
			ck_assert_str_eq(row_text(&row.row, "state"), "connecting");
			ck_assert_str_eq(row_text(&row.row, "reason"), "unproven");
		}
		row = expect_row();
		ck_assert_str_eq(row_text(&row.row, "name"), "home-1");
		ck_assert_str_eq(row_text(&row.row, "state"), "up");
		ck_assert_str_eq(row_text(&row.row, "carrier"), "quic");
		ck_assert_str_eq(row_text(&row.row, "prefixes"), "10.0.7.0/24");
		ck_assert_str_eq(row_text(&row.row, "reason"), "");
		ck_assert_uint_eq(row_num(&row.row, "rtt_us"), 1000);
		ck_assert_uint_lt(row_num(&row.row, "age_ms"), 5000);
		ck_assert_uint_eq(row_num(&row.row, "pressure"), 640);
		ck_assert_uint_eq(strlen(row_text(&row.row, "id")), 2 * NODE_ID_LEN);
		row = expect_row();
		ck_assert_str_eq(row_text(&row.row, "name"), "phone-a");
		ck_assert_str_eq(row_text(&row.row, "state"), "down");
		ck_assert_str_eq(row_text(&row.row, "carrier"), "");
		ck_assert_uint_eq(row_num(&row.row, "pressure"), 0);
		ck_assert_str_eq(row_text(&row.row, "reason"), "no-address");
		ck_assert(row_get(&row.row, "age_ms") == NULL);	/* never heard of */
		ck_assert_int_eq(expect_done().status, 0);
		fake_tell(&fk, &gone);
	}
}
END_TEST

START_TEST(status_says_why)
{
	struct procmsg down = peer_down(1, REASON_TIMEOUT), failed = dial_failed(1, fake_addr(2, 4433), REASON_AUTH_TENANT);
	struct pm_row row;

	bring_up();
	fake_tell(&fk, &down);
	fake_request(&fk, "status", "", 0);
	row = expect_row();
	ck_assert_str_eq(row_text(&row.row, "state"), "connecting");
	ck_assert_str_eq(row_text(&row.row, "reason"), "timeout");
	expect_row();
	expect_done();
	fake_tell(&fk, &failed);
	fake_request(&fk, "status", "", 0);
	row = expect_row();
	ck_assert_str_eq(row_text(&row.row, "reason"), "auth-tenant");
	expect_row();
	expect_done();
	ipc_free(fk.dataplane.ipc);
	fk.dataplane.ipc = NULL;
	fake_run(&fk);
	fake_request(&fk, "status", "", 0);
	row = expect_row();
	ck_assert_str_eq(row_text(&row.row, "reason"), "no-dataplane");
}
END_TEST

START_TEST(peers_rows)
{
	struct pm_row row;

	bring_up();
	fake_request(&fk, "peers", "", 0);
	row = expect_row();
	ck_assert_str_eq(row_text(&row.row, "name"), "home-1");
	ck_assert_str_eq(row_text(&row.row, "source"), "config,session");
	ck_assert_str_eq(row_text(&row.row, "addresses"), "192.0.2.1:4433,192.0.2.2:4433");
	ck_assert_str_eq(row_text(&row.row, "tenant"), "home");
	row = expect_row();
	ck_assert_str_eq(row_text(&row.row, "source"), "config");
	ck_assert_int_eq(expect_done().status, 0);
	fake_request(&fk, "dance", "", 0);
	ck_assert_int_eq(expect_done().status, 1);
}
END_TEST

/* More rows than the channel takes while the supervisor does not read: they come when it reads, each once. */
START_TEST(long_answer_waits)
{
	struct row_writer filler;
	struct procmsg m;
	char text[1001] = { 0 };
	size_t rows = 0;

	for (unsigned i = 0; i < DIRECTORY_PEERS_MAX; i++) {
		uint8_t id[NODE_ID_LEN] = { 0 };

		memcpy(id, &i, sizeof(i));
		ck_assert_ptr_nonnull(directory_add(routed()->dir, id));
	}
	ipc_pause(fk.supervisor.ipc);
	row_init(&filler);
	memset(text, 'x', 1000);
	for (char name[2] = "a"; name[0] <= 'c'; name[0]++)
		row_str(&filler, name, text);
	while (worker_row(&fk.worker, 99, &filler) == 0)
		continue;
	fake_request(&fk, "peers", "", 0);
	fake_run(&fk);
	ipc_resume(fk.supervisor.ipc);
	while (fake_message(&fk, &fk.supervisor, &m, WAIT_MS) && m.type == PM_ROW) {
		rows += m.row.id == 7;
		fake_forget(&fk.supervisor);
	}
	ck_assert_int_eq(m.type, PM_DONE);
	ck_assert_uint_eq(rows, DIRECTORY_PEERS_MAX);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, conf_refused, 0, N(refused));
	tcase_add_test(tc, a_node_may_be_in_its_own_list);
	tcase_add_test(tc, targets_at_each_port);
	tcase_add_test(tc, same_configuration_says_nothing);
	tcase_add_test(tc, only_differences_are_told);
	tcase_add_test(tc, address_taken_away);
	tcase_add_test(tc, learned_address_is_a_target);
	tcase_add_test(tc, configured_address_is_dialled_for_ever);
	tcase_add_test(tc, a_stranger_is_no_target);
	tcase_add_test(tc, order_of_addresses);
	tcase_add_test(tc, new_configured_address_goes_first);
	tcase_add_test(tc, heard_addresses);
	tcase_add_test(tc, heard_address_fails);
	tcase_add_test(tc, heard_nonsense);
	tcase_add_test(tc, heard_of_others);
	tcase_add_test(tc, addresses_are_bounded);
	tcase_add_test(tc, a_full_channel_is_waited_for);
	tcase_add_loop_test(tc, state_is_proof, 0, N(states));
	tcase_add_test(tc, dead_after_what_is_configured);
	tcase_add_test(tc, no_dataplane_no_proof);
	tcase_add_test(tc, a_stray_report_proves_nothing);
	tcase_add_test(tc, older_than_routed);
	tcase_add_loop_test(tc, loss_is_measured, 0, N(losses));
	tcase_add_test(tc, rtt_is_smoothed);
	tcase_add_test(tc, directory_is_bounded);
	tcase_add_test(tc, old_ones_are_forgotten);
	tcase_add_loop_test(tc, prefixes_are_checked, 0, N(packed));
	tcase_add_loop_test(tc, broken_dataplane, 0, N(broken));
	tcase_add_test(tc, status_rows);
	tcase_add_test(tc, status_says_why);
	tcase_add_test(tc, peers_rows);
	tcase_add_test(tc, long_answer_waits);
}

int
main(void)
{
	return run_suite("directory", add_tests);
}
