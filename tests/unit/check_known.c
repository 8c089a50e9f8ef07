/* What is believed of nodes: the chain, times, who may drive out whom, revocation. */
#include <check.h>
#include <stdio.h>

#include "known_world.h"
#include "suite.h"

#include "base/clock.h"

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define FROM(c) ((const uint8_t *)c c c c "----------------------------")	/* a neighbour's id */

static struct knowns *ks;
static struct kw_node a, b, c;
static char heard[4096];	/* what was called back */
static unsigned nsigned;
static struct kw_node self;

static void
changed(struct known *k, enum known_change change, void *arg)
{
	static const char letters[] = { [KNOWN_NEW] = '+', [KNOWN_RECORD] = 'r', [KNOWN_KEYS] = 'k', [KNOWN_SERVICES] = 's',
	    [KNOWN_GONE] = '-' };
	size_t len = strlen(heard);

	ck_assert_ptr_eq(arg, &ks);
	if (len + 2 + strlen(k->member.name) < sizeof(heard))
		sprintf(heard + len, "%c%s ", letters[change], k->member.name);
}

static void
signed_record(const struct record *r, const struct known *issuer, void *arg)
{
	(void)r;
	(void)issuer;
	(void)arg;
	nsigned++;
}

static const struct known_ops ops = { .changed = changed, .signed_record = signed_record };

static void
begin(size_t max)
{
	knowns_free(ks);
	ks = knowns_new(max, 12345, &ops, &ks);
	ck_assert_ptr_nonnull(ks);
	knowns_self(ks, self.id, kw_authority.public, KW_TENANT);
	heard[0] = '\0';
}

static void
setup(void)
{
	kw_init();
	kw_wall = KW_NOW;
	kw_node_init(&self, 99, "here", 1u << ROLE_RELAY);
	kw_node_init(&a, 1, "alpha", 1u << ROLE_RELAY);
	kw_node_init(&b, 2, "beta", 1u << ROLE_SERVICE_HOST);
	kw_node_init(&c, 3, "gamma", 1u << ROLE_ROUTE_COORDINATOR);
	ks = NULL;
	begin(100);
}

static void
teardown(void)
{
	knowns_free(ks);
}

static enum known_error
take(struct kw_node *n)
{
	return knowns_take(ks, kw_item(n), FROM("x"), kw_wall, NULL);
}

static enum known_error
again(struct kw_node *n)
{
	return knowns_take(ks, kw_again(n), FROM("x"), kw_wall, NULL);
}

#define HEARD(text) do { ck_assert_str_eq(heard, text); heard[0] = '\0'; } while (0)
#define TAKE(n, want) do { enum known_error e_ = take(n); \
	ck_assert_msg(e_ == (want), "%s: %s", #n, known_strerror(e_)); } while (0)
#define AGAIN(n, want) do { enum known_error e_ = again(n); \
	ck_assert_msg(e_ == (want), "%s: %s", #n, known_strerror(e_)); } while (0)

START_TEST(taken_and_found)
{
	uint8_t buf[PM_RECORDS_MAX];
	struct dirmsg_item out;
	struct known *k;

	a.nservices = 2;
	a.facts.nlinks = 1;
	a.facts.links[0] = (struct fact_link){ .rtt_us = 1234 };
	TAKE(&a, KNOWN_OK);
	HEARD("+alpha ");
	k = known_find(ks, a.id);
	ck_assert_ptr_nonnull(k);
	ck_assert_ptr_eq(known_by_route_key(ks, a.route.public), k);
	ck_assert_ptr_eq(known_by_name(ks, "alpha"), k);
	ck_assert_ptr_null(known_by_name(ks, "alph"));
	ck_assert_ptr_null(known_find(ks, b.id));
	ck_assert_mem_eq(k->ticket_key, a.ticket, RECORD_KEY_LEN);
	ck_assert_uint_eq(k->route_end, a.r.not_after);
	ck_assert_uint_eq(k->ticket_end, a.t.not_after);
	ck_assert_uint_eq(k->serial, 1000);
	ck_assert_uint_eq(k->member.roles, 1u << ROLE_RELAY);
	ck_assert_uint_eq(k->facts->links[0].rtt_us, 1234);
	ck_assert_uint_eq(k->services.n, 2);
	ck_assert(!k->leaf && !k->self);
	ck_assert_uint_eq(knowns_count(ks), 1);
	ck_assert_uint_gt(knowns_memory(ks), 1000);
	/* What is passed on is what came. */
	known_item(k, true, &out, buf);
	ck_assert(out.record.len == a.item.record.len && memcmp(out.record.p, a.item.record.p, out.record.len) == 0);
	ck_assert(out.membership.len == a.item.membership.len && out.route.len == a.item.route.len);
	ck_assert(out.services.len == a.item.services.len && memcmp(out.services.p, a.sbuf, out.services.len) == 0);
}
END_TEST

/* --- each thing that may be wrong --- */

static void w_none(void) { }
static void w_record_key(void) { a.n_signer = &kw_stranger; }
static void w_record_by_node_key(void) { a.n_signer = &a.key; }
static void w_record_long(void) { a.n.not_after = KW_NOW + KNOWN_LIFE_MAX_S + 1; }
static void w_record_over(void) { a.n.not_before = KW_NOW - 901; a.n.not_after = KW_NOW; }
static void w_record_early(void) { a.n.not_before = KW_NOW + CLOCK_SKEW_S + 1; a.n.not_after = a.n.not_before + 900; }
static void w_record_skew(void) { a.n.not_before = KW_NOW + CLOCK_SKEW_S; a.n.not_after = a.n.not_before + 900; }
static void w_record_of_other(void) { a.n.subject = b.key.public; }
static void w_authority(void) { a.m_signer = &kw_stranger; }
static void w_tenant(void) { strcpy(a.m.tenant, "other"); }
static void w_member_over(void) { a.m.not_after = KW_NOW; }
static void w_member_early(void) { a.m.not_before = KW_NOW + CLOCK_SKEW_S + 1; }
static void w_member_of_other(void) { a.m.subject = b.key.public; }
static void w_route_purpose(void) { a.r.purpose = PURPOSE_SESSION; }
static void w_route_by_other(void) { a.r_signer = &b.key; }
static void w_route_over(void) { a.r.not_after = KW_NOW; }
static void w_route_long(void) { a.r.not_after = a.r.not_before + DELEGATION_MAX_S + 1; }
static void w_route_other_key(void) { a.r.subject = kw_stranger.public; }
static void w_ticket_purpose(void) { a.t.purpose = PURPOSE_E2E; }
static void w_ticket_by_other(void) { a.t_signer = &b.key; }
static void w_ticket_over(void) { a.t.not_after = KW_NOW; }
static void w_service_by_other(void) { a.nservices = 2; a.s_signer[1] = &b.key; }
static void w_service_twice(void) { a.nservices = 2; a.s[1].name[0] = 'a'; }
static void w_services(void) { a.nservices = 3; }
static void w_services_sum(void) { a.nservices = 1; a.wrong_sum = true; }
static void w_service_expired(void) { a.nservices = 1; a.s[0].not_after = KW_NOW - 1; }

static const struct { const char *what; void (*change)(void); enum known_error want; } wrong[] = {
	{ "nothing", w_none, KNOWN_OK },
	{ "a record of another key", w_record_key, KNOWN_E_CHAIN },
	{ "a record signed with the node key", w_record_by_node_key, KNOWN_E_CHAIN },
	{ "a record that lives too long", w_record_long, KNOWN_E_LIFETIME },
	{ "a record that has expired", w_record_over, KNOWN_E_EXPIRED },
	{ "a record of the future", w_record_early, KNOWN_E_NOT_YET },
	{ "a record as far ahead as clocks may be", w_record_skew, KNOWN_OK },
	{ "a record about another node", w_record_of_other, KNOWN_E_CHAIN },
	{ "a membership of another authority", w_authority, KNOWN_E_CHAIN },
	{ "a membership of another tenant", w_tenant, KNOWN_E_TENANT },
	{ "a membership that has expired", w_member_over, KNOWN_E_EXPIRED },
	{ "a membership of the future", w_member_early, KNOWN_E_NOT_YET },
	{ "a membership of another node", w_member_of_other, KNOWN_E_CHAIN },
	{ "a delegation for another purpose", w_route_purpose, KNOWN_E_CHAIN },
	{ "a delegation by another node", w_route_by_other, KNOWN_E_CHAIN },
	{ "a delegation that has expired", w_route_over, KNOWN_E_EXPIRED },
	{ "a delegation for too long", w_route_long, KNOWN_E_CHAIN },
	{ "a delegation of another key", w_route_other_key, KNOWN_E_CHAIN },
	{ "a ticket key for another purpose", w_ticket_purpose, KNOWN_E_CHAIN },
	{ "a ticket key by another node", w_ticket_by_other, KNOWN_E_CHAIN },
	{ "a ticket key that has expired", w_ticket_over, KNOWN_OK },
	{ "services", w_services, KNOWN_OK },
	{ "a service that has expired", w_service_expired, KNOWN_OK },
	{ "another node's service", w_service_by_other, KNOWN_E_CHAIN },
	{ "a service twice", w_service_twice, KNOWN_E_CHAIN },
	{ "services that are not those of the record", w_services_sum, KNOWN_E_CHAIN },
};

START_TEST(wrong_in_one_thing)
{
	uint64_t *counter = &stats->counter[STAT_ROUTED_KNOWN_OK + wrong[_i].want], before = *counter;
	enum known_error e;

	wrong[_i].change();
	e = take(&a);
	ck_assert_msg(e == wrong[_i].want, "%s: %s", wrong[_i].what, known_strerror(e));
	ck_assert_uint_eq(knowns_count(ks), e == KNOWN_OK);
	ck_assert_uint_eq(*counter, before + 1);
	if (e == KNOWN_OK && wrong[_i].change == w_ticket_over)
		ck_assert_uint_eq(known_find(ks, a.id)->ticket_end, 0);
}
END_TEST

/* Any bit of any of it: either it is refused, or (in a part that is held already) it was not looked at. */
START_TEST(bytes_changed)
{
	struct dirmsg_item *i;
	uint8_t *bufs[] = { a.mbuf, a.rbuf, a.tbuf, a.nbuf, a.sbuf };

	a.nservices = 1;
	i = kw_item(&a);
	{
		const size_t lens[] = { i->membership.len, i->route.len, i->ticket.len, i->record.len, i->services.len };

		for (size_t part = 0; part < 5; part++)
			for (size_t at = part; at < lens[part]; at += 7) {
				bufs[part][at] ^= 0x10;
				ck_assert_int_ne(knowns_take(ks, i, FROM("x"), kw_wall, NULL), KNOWN_OK);
				bufs[part][at] ^= 0x10;
			}
	}
	ck_assert_uint_eq(knowns_count(ks), 0);
	ck_assert_int_eq(knowns_take(ks, i, FROM("x"), kw_wall, NULL), KNOWN_OK);
}
END_TEST

static enum known_error
take_without(struct kw_node *n, bool membership, bool route, bool ticket, bool services)
{
	struct dirmsg_item *i = kw_item(n);

	if (!membership)
		i->membership.len = 0;
	if (!route)
		i->route.len = 0;
	if (!ticket)
		i->ticket.len = 0;
	if (!services)
		i->has_services = false, i->services.len = 0;
	return knowns_take(ks, i, FROM("x"), kw_wall, NULL);
}

START_TEST(parts)
{
	a.nservices = 1;
	ck_assert_int_eq(take_without(&a, false, true, true, true), KNOWN_E_PARTS);
	ck_assert_int_eq(take_without(&a, true, false, true, true), KNOWN_E_PARTS);
	ck_assert_int_eq(take_without(&a, true, true, true, false), KNOWN_E_PARTS);
	ck_assert_uint_eq(knowns_count(ks), 0);
	ck_assert_int_eq(take_without(&a, true, true, false, true), KNOWN_OK);
	ck_assert_uint_eq(known_find(ks, a.id)->ticket_end, 0);
	HEARD("+alpha ");
	a.n.serial++;
	ck_assert_int_eq(take_without(&a, false, false, false, false), KNOWN_OK);
	HEARD("ralpha ");
	a.n.serial++;
	ck_assert_int_eq(take_without(&a, false, false, true, false), KNOWN_OK);
	HEARD("kalpha ralpha ");
	ck_assert_uint_ne(known_find(ks, a.id)->ticket_end, 0);
	/* Another service: the record alone does not do. */
	a.n.serial++;
	a.nservices = 2;
	ck_assert_int_eq(take_without(&a, false, false, false, false), KNOWN_E_PARTS);
	ck_assert_int_eq(take_without(&a, false, false, false, true), KNOWN_OK);
	HEARD("ralpha salpha ");
	/* Nor does it with another key, whose delegation is not known. */
	a.n.serial++;
	a.route.secret[5] ^= 1;
	ck_assert_int_eq(sign_key_from_secret(&a.route), 0);
	a.r.serial++;
	ck_assert_int_eq(take_without(&a, true, false, true, true), KNOWN_E_PARTS);
	ck_assert_int_eq(take_without(&a, true, true, true, true), KNOWN_OK);
	HEARD("kalpha ralpha ");
	ck_assert_ptr_nonnull(known_by_route_key(ks, a.route.public));
}
END_TEST

START_TEST(only_newer)
{
	TAKE(&a, KNOWN_OK);
	TAKE(&a, KNOWN_E_OLD);
	a.n.serial--;
	TAKE(&a, KNOWN_E_OLD);
	a.n.serial += 2;
	TAKE(&a, KNOWN_OK);
	HEARD("+alpha ralpha ");
}
END_TEST

/* Nobody brings back what the node may do no more: of two memberships, and of two delegations, the later holds. */
START_TEST(no_way_back)
{
	TAKE(&a, KNOWN_OK);
	a.m.serial++;
	a.m.roles = 1u << ROLE_MOBILE_EDGE;
	AGAIN(&a, KNOWN_OK);
	ck_assert(known_find(ks, a.id)->leaf);
	a.m.serial--;
	a.m.roles = 1u << ROLE_RELAY | 1u << ROLE_ROUTE_COORDINATOR;
	AGAIN(&a, KNOWN_OK);
	ck_assert_uint_eq(known_find(ks, a.id)->member.roles, 1u << ROLE_MOBILE_EDGE);
	strcpy(a.m.name, "omega");
	a.m.serial += 2;
	AGAIN(&a, KNOWN_OK);
	ck_assert_ptr_null(known_by_name(ks, "alpha"));
	ck_assert_ptr_nonnull(known_by_name(ks, "omega"));
}
END_TEST

/* What came before, byte for byte, costs no signature; nor does what is not newer. */
START_TEST(verified_once)
{
	uint64_t *verified = &stats->counter[STAT_ROUTED_KNOWN_VERIFIED], *services = &stats->counter[STAT_ROUTED_SERVICE_VERIFIED];
	uint64_t before;

	a.nservices = 3;
	TAKE(&a, KNOWN_OK);
	before = *verified + *services;
	for (unsigned i = 0; i < 100; i++)
		knowns_take(ks, &a.item, FROM("y"), kw_wall, NULL);
	ck_assert_uint_eq(*verified + *services, before);
	AGAIN(&a, KNOWN_OK);
	ck_assert_uint_eq(*verified + *services, before + 1);
}
END_TEST

START_TEST(expires)
{
	size_t n;

	TAKE(&a, KNOWN_OK);
	kw_wall += 100;
	b.n.not_before = kw_wall;
	b.n.not_after = kw_wall + 900;
	TAKE(&b, KNOWN_OK);
	known_find(ks, a.id)->in_store = true;
	HEARD("+alpha +beta ");
	knowns_expire(ks, KW_NOW + 899);
	HEARD("");
	knowns_expire(ks, KW_NOW + 900);
	HEARD("-alpha ");
	ck_assert_ptr_null(known_find(ks, a.id));
	ck_assert_ptr_null(known_by_name(ks, "alpha"));
	ck_assert_ptr_null(known_by_route_key(ks, a.route.public));
	ck_assert_mem_eq(knowns_removed(ks, &n)[0], a.id, NODE_ID_LEN);
	ck_assert_uint_eq(n, 1);
	knowns_removed_clear(ks);
	knowns_removed(ks, &n);
	ck_assert_uint_eq(n, 0);
	knowns_expire(ks, KW_NOW + 1000);
	HEARD("-beta ");
	ck_assert_uint_eq(knowns_count(ks), 0);
}
END_TEST

/* What was verified once is still looked at for its time. */
START_TEST(held_parts_expire)
{
	struct record *held[] = { &a.m, &a.r };

	for (size_t i = 0; i < 2; i++) {
		begin(100);
		kw_wall = KW_NOW;
		held[i]->not_after = KW_NOW + 500;
		AGAIN(&a, KNOWN_OK);
		kw_wall = KW_NOW + 499;
		AGAIN(&a, KNOWN_OK);
		kw_wall = KW_NOW + 500;
		AGAIN(&a, KNOWN_E_EXPIRED);
		knowns_expire(ks, kw_wall);
		ck_assert_uint_eq(knowns_count(ks), 0);
		held[i]->not_after = KW_NOW + 86400;
	}
}
END_TEST

/* Full: a neighbour makes room with what it brought itself, and with nothing else. */
START_TEST(room)
{
	static struct kw_node n[6];
	char name[8];

	begin(4);
	for (unsigned i = 0; i < 6; i++) {
		sprintf(name, "n%u", i);
		kw_node_init(&n[i], 10 + i, name, 1u << ROLE_RELAY);
		n[i].n.not_after -= i;
	}
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(knowns_take(ks, kw_item(&n[i]), FROM("x"), kw_wall, NULL), KNOWN_OK);
	ck_assert_int_eq(knowns_take(ks, kw_item(&n[3]), FROM("y"), kw_wall, NULL), KNOWN_OK);
	HEARD("+n0 +n1 +n2 +n3 ");
	ck_assert_int_eq(knowns_take(ks, kw_item(&n[4]), FROM("z"), kw_wall, NULL), KNOWN_E_ROOM);
	HEARD("");
	/* y has brought one, which goes, though others are over sooner */
	ck_assert_int_eq(knowns_take(ks, kw_item(&n[4]), FROM("y"), kw_wall, NULL), KNOWN_OK);
	HEARD("-n3 +n4 ");
	/* of x's the one that is over first */
	ck_assert_int_eq(knowns_take(ks, kw_item(&n[5]), FROM("x"), kw_wall, NULL), KNOWN_OK);
	HEARD("-n2 +n5 ");
	/* and what is known goes on being renewed by anybody */
	ck_assert_int_eq(knowns_take(ks, kw_again(&n[0]), FROM("z"), kw_wall, NULL), KNOWN_OK);
}
END_TEST

/* --- this node --- */

START_TEST(own_word)
{
	ck_assert_int_eq(knowns_take(ks, kw_item(&self), NULL, kw_wall, NULL), KNOWN_OK);
	ck_assert_ptr_nonnull(knowns_own(ks));
	ck_assert(knowns_own(ks)->self);
	ck_assert_uint_eq(knowns_serial_floor(ks), 0);
	/* From a neighbour: it cannot say anything for this node, but how far that had counted. */
	ck_assert_int_eq(knowns_take(ks, kw_again(&self), FROM("x"), kw_wall, NULL), KNOWN_E_OLD);
	ck_assert_uint_eq(knowns_own(ks)->serial, 1000);
	ck_assert_uint_eq(knowns_serial_floor(ks), 1001);
	self.n_signer = &kw_stranger;
	self.n.serial = 5000;
	ck_assert_int_eq(knowns_take(ks, kw_item(&self), FROM("x"), kw_wall, NULL), KNOWN_E_CHAIN);
	ck_assert_uint_eq(knowns_serial_floor(ks), 1001);
}
END_TEST

START_TEST(another_authority)
{
	TAKE(&a, KNOWN_OK);
	knowns_self(ks, self.id, kw_authority.public, KW_TENANT);
	ck_assert_uint_eq(knowns_count(ks), 1);
	knowns_self(ks, b.id, kw_authority.public, KW_TENANT);
	ck_assert_uint_eq(knowns_count(ks), 1);
	knowns_self(ks, self.id, kw_authority.public, "other");
	ck_assert_uint_eq(knowns_count(ks), 0);
	TAKE(&a, KNOWN_E_TENANT);
}
END_TEST

/* --- what is signed for all --- */

static uint8_t buf[RECORD_LARGE_MAX];

static enum known_error
say(enum record_kind kind, uint64_t serial, const void *content, size_t len, const struct sign_key *k)
{
	return knowns_take_signed(ks, buf, kw_signed(buf, sizeof(buf), kind, serial, content, len, k), false, kw_wall);
}

static enum known_error
fence(uint64_t serial, const struct kw_node *by)
{
	return knowns_take_signed(ks, buf, kw_fence(buf, sizeof(buf), serial, by), false, kw_wall);
}

/* A compiled policy of nothing but the default. */
static const uint8_t compiled[] = { 0x01, 0x00, 0x00, 0x00, 0x00 };

START_TEST(policies)
{
	size_t len;

	ck_assert_ptr_null(knowns_policy(ks));
	ck_assert_int_eq(say(RECORD_POLICY, 5, compiled, sizeof(compiled), &kw_stranger), KNOWN_E_CHAIN);
	ck_assert_int_eq(say(RECORD_POLICY, 5, "no policy", 9, &kw_authority), KNOWN_E_FORM);
	ck_assert_int_eq(say(RECORD_POLICY, 5, compiled, sizeof(compiled), &kw_authority), KNOWN_OK);
	kw_wall++;
	ck_assert_int_eq(say(RECORD_POLICY, 5, compiled, sizeof(compiled), &kw_authority), KNOWN_E_OLD);
	ck_assert_int_eq(say(RECORD_POLICY, 4, compiled, sizeof(compiled), &kw_authority), KNOWN_E_OLD);
	ck_assert_mem_eq(knowns_policy(ks)->content.p, compiled, sizeof(compiled));
	ck_assert_int_eq(say(RECORD_POLICY, 6, compiled, sizeof(compiled), &kw_authority), KNOWN_OK);
	ck_assert_uint_eq(knowns_policy(ks)->serial, 6);
	ck_assert_uint_eq(nsigned, 2);
	ck_assert(knowns_signed_dirty(ks));
	knowns_signed_clean(ks);
	ck_assert(!knowns_signed_dirty(ks));
	/* Changed on the way; expired, which only counts when it comes from the own disk. */
	len = kw_signed(buf, sizeof(buf), RECORD_POLICY, 7, compiled, sizeof(compiled), &kw_authority);
	buf[len - 1] ^= 1;
	ck_assert_int_eq(knowns_take_signed(ks, buf, len, false, kw_wall), KNOWN_E_SIGNATURE);
	buf[len - 1] ^= 1;
	ck_assert_int_eq(knowns_take_signed(ks, buf, len - 1, false, kw_wall), KNOWN_E_FORM);
	ck_assert_int_eq(knowns_take_signed(ks, buf, len, false, kw_wall + 3600), KNOWN_E_EXPIRED);
	ck_assert_int_eq(knowns_take_signed(ks, buf, len, false, kw_wall - 10 - CLOCK_SKEW_S - 1), KNOWN_E_NOT_YET);
	ck_assert_int_eq(knowns_take_signed(ks, buf, len, true, kw_wall + 3600), KNOWN_OK);
	ck_assert_int_eq(say(RECORD_NODE, 9, "x", 1, &kw_authority), KNOWN_E_FORM);
	/* It holds on when its time is over: there is nothing better. */
	knowns_expire(ks, kw_wall + 86400);
	ck_assert_uint_eq(knowns_policy(ks)->serial, 7);
}
END_TEST

static size_t
ids(uint8_t out[3 * NODE_ID_LEN], const struct kw_node *x, const struct kw_node *y)
{
	bool swap = memcmp(x->id, y->id, NODE_ID_LEN) > 0;

	memcpy(out, swap ? y->id : x->id, NODE_ID_LEN);
	memcpy(out + NODE_ID_LEN, swap ? x->id : y->id, NODE_ID_LEN);
	return 2 * NODE_ID_LEN;
}

START_TEST(revocations)
{
	uint8_t list[3 * NODE_ID_LEN];

	TAKE(&a, KNOWN_OK);
	TAKE(&b, KNOWN_OK);
	TAKE(&c, KNOWN_OK);
	HEARD("+alpha +beta +gamma ");
	ids(list, &a, &b);
	ck_assert_int_eq(say(RECORD_REVOCATION, 1, list, NODE_ID_LEN - 1, &kw_authority), KNOWN_E_FORM);
	memcpy(list, list + NODE_ID_LEN, NODE_ID_LEN);
	ck_assert_int_eq(say(RECORD_REVOCATION, 1, list, 2 * NODE_ID_LEN, &kw_authority), KNOWN_E_FORM);
	ids(list, &a, &b);
	memmove(list + 2 * NODE_ID_LEN, list, NODE_ID_LEN);
	ck_assert_int_eq(say(RECORD_REVOCATION, 1, list, 3 * NODE_ID_LEN, &kw_authority), KNOWN_E_FORM);
	ck_assert_int_eq(say(RECORD_REVOCATION, 1, list, 2 * NODE_ID_LEN, &kw_stranger), KNOWN_E_CHAIN);
	ck_assert_uint_eq(knowns_count(ks), 3);
	ck_assert_int_eq(say(RECORD_REVOCATION, 1, list, 2 * NODE_ID_LEN, &kw_authority), KNOWN_OK);
	ck_assert(knowns_revoked(ks, a.id) && knowns_revoked(ks, b.id) && !knowns_revoked(ks, c.id));
	ck_assert_uint_eq(knowns_count(ks), 1);
	ck_assert_ptr_nonnull(known_find(ks, c.id));
	AGAIN(&a, KNOWN_E_REVOKED);
	/* A newer list without it: it is a member again. */
	ck_assert_int_eq(say(RECORD_REVOCATION, 2, b.id, NODE_ID_LEN, &kw_authority), KNOWN_OK);
	AGAIN(&a, KNOWN_OK);
	AGAIN(&b, KNOWN_E_REVOKED);
}
END_TEST

static unsigned nfences;

static void
count_fence(const uint8_t *record, size_t len, void *arg)
{
	(void)record;
	(void)len;
	(void)arg;
	nfences++;
}

START_TEST(fences)
{
	struct kw_node other;
	uint64_t sum;

	TAKE(&a, KNOWN_OK);
	ck_assert_int_eq(fence(1, &c), KNOWN_E_PARTS);	/* not known yet */
	TAKE(&c, KNOWN_OK);
	ck_assert_int_eq(fence(1, &a), KNOWN_E_CHAIN);	/* no coordinator */
	other = c;
	other.key = a.key;
	ck_assert_int_eq(fence(1, &other), KNOWN_E_CHAIN);
	other = c;
	other.route = c.key;
	ck_assert_int_eq(fence(1, &other), KNOWN_E_PARTS);
	ck_assert_int_eq(say(RECORD_FENCE, 1, "f", 1, &c.route), KNOWN_E_CHAIN);
	ck_assert_uint_eq(knowns_fences_sum(ks), 0);
	ck_assert_int_eq(fence(1, &c), KNOWN_OK);
	ck_assert_int_eq(fence(1, &c), KNOWN_E_OLD);
	sum = knowns_fences_sum(ks);
	ck_assert_uint_ne(sum, 0);
	for (unsigned i = 2; i < 100; i++)
		ck_assert_int_eq(fence(i, &c), KNOWN_OK);
	knowns_fences_each(ks, count_fence, NULL);
	ck_assert_uint_eq(nfences, 64);
	knowns_expire(ks, kw_wall + 3600);
	ck_assert_uint_eq(knowns_fences_sum(ks), 0);
	/* Of a coordinator that is revoked none is left. */
	kw_wall += 10;
	AGAIN(&c, KNOWN_OK);
	ck_assert_int_eq(fence(200, &c), KNOWN_OK);
	ck_assert_int_eq(say(RECORD_REVOCATION, 1, c.id, NODE_ID_LEN, &kw_authority), KNOWN_OK);
	ck_assert_uint_eq(knowns_fences_sum(ks), 0);
	ck_assert_int_eq(fence(201, &c), KNOWN_E_PARTS);
}
END_TEST

/* What all have to keep up with has bounds, whoever says it. */
START_TEST(fences_are_bounded)
{
	static const struct { uint64_t ahead_s, life; enum known_error want; } v[] = {
		{ 0, FENCE_LIFE_MAX_S, KNOWN_OK }, { 0, FENCE_LIFE_MAX_S + 1, KNOWN_E_LIFETIME },
		{ 240, LEASE_LIFE_MAX_S, KNOWN_OK }, { LEASE_LIFE_MAX_S - 10, LEASE_LIFE_MAX_S, KNOWN_OK },
		{ LEASE_LIFE_MAX_S - 9, LEASE_LIFE_MAX_S, KNOWN_E_LIFETIME }, { 1ull << 50, 60, KNOWN_E_LIFETIME },
	};
	struct fence f = { .what = FENCE_NODE };

	TAKE(&c, KNOWN_OK);
	memcpy(f.node, a.id, NODE_ID_LEN);
	for (unsigned i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		f.epoch = (kw_wall + v[i].ahead_s) * 1000;
		ck_assert_msg(knowns_take_signed(ks, buf, kw_fence_life(buf, sizeof(buf), i + 1, &f, v[i].life, &c), false,
		    kw_wall) == v[i].want, "%u", i);
	}
}
END_TEST

#define MANY 130

static struct { uint8_t p[400]; size_t len; } said[MANY];

/* 80, 9 and 41 of three coordinators, in the order of their ends, some of which are the same. */
static void
many_make(void)
{
	const struct kw_node *by[] = { &a, &b, &c };
	const unsigned upto[] = { 80, 89, MANY };

	for (unsigned i = 0, k = 0; i < MANY; i++) {
		struct fence f = { .what = FENCE_ROUTE, .route_id = i + 1, .epoch = kw_wall * 1000 };

		k += i == upto[k];
		said[i].len = kw_fence_life(said[i].p, sizeof(said[i].p), i + 1, &f, 3000 + i / 3, by[k]);
	}
}

/* All of them, in another order for each seed (7919 is a prime): how many were taken. */
static unsigned
many_take(unsigned seed)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++) {
		unsigned up = (i * (seed % 2 == 0 ? 1 : 7919) + seed * 31) % MANY, at = seed % 4 < 2 ? up : MANY - 1 - up;
		enum known_error e = knowns_take_signed(ks, said[at].p, said[at].len, false, kw_wall);

		ck_assert(e == KNOWN_OK || e == KNOWN_E_OLD || e == KNOWN_E_ROOM);
		n += e == KNOWN_OK;
	}
	return n;
}

/*
 * Too many: whatever order they came in, all keep the same, so that nobody gives for ever what the other puts out again; and one
 * that fences a lot drives out none of another's.
 */
START_TEST(too_many_fences)
{
	uint64_t sum = 0;

	a.m.roles = b.m.roles = 1u << ROLE_ROUTE_COORDINATOR;
	many_make();
	for (unsigned seed = 0; seed < 8; seed++) {
		begin(100);
		TAKE(&a, KNOWN_OK);
		TAKE(&b, KNOWN_OK);
		TAKE(&c, KNOWN_OK);
		ck_assert_uint_ge(many_take(seed), 64);
		ck_assert_uint_eq(many_take(seed + 1), 0);
		nfences = 0;
		knowns_fences_each(ks, count_fence, NULL);
		ck_assert_uint_eq(nfences, 64);
		if (seed > 0)
			ck_assert_uint_eq(knowns_fences_sum(ks), sum);
		sum = knowns_fences_sum(ks);
		/* All nine of the one that said least, and another that says its first. */
		for (unsigned i = 80; i < 89; i++)
			ck_assert_int_eq(knowns_take_signed(ks, said[i].p, said[i].len, false, kw_wall), KNOWN_E_OLD);
		self.m.roles = 1u << ROLE_ROUTE_COORDINATOR;
		ck_assert_int_eq(knowns_take(ks, kw_again(&self), NULL, kw_wall, NULL), KNOWN_OK);
		ck_assert_int_eq(fence(1, &self), KNOWN_OK);
	}
}
END_TEST

static void
other_route_key(struct kw_node *n)
{
	n->route.secret[31]++;
	ck_assert_int_eq(sign_key_from_secret(&n->route), 0);
	n->r.serial++;
}

/* Said again with the key that its coordinator has since its restart, it takes its own place, and no other's. */
START_TEST(fences_said_again)
{
	uint64_t sum;

	TAKE(&c, KNOWN_OK);
	for (unsigned i = 1; i <= 64; i++)
		ck_assert_int_eq(fence(i, &c), KNOWN_OK);
	other_route_key(&c);
	ck_assert_int_eq(fence(7, &c), KNOWN_E_PARTS);
	AGAIN(&c, KNOWN_OK);
	sum = knowns_fences_sum(ks);
	for (unsigned i = 1; i <= 64; i++) {
		ck_assert_int_eq(fence(i, &c), KNOWN_OK);
		ck_assert_int_eq(fence(i, &c), KNOWN_E_OLD);
	}
	ck_assert_uint_ne(knowns_fences_sum(ks), sum);
	sum = knowns_fences_sum(ks);
	nfences = 0;
	knowns_fences_each(ks, count_fence, NULL);
	ck_assert_uint_eq(nfences, 64);
	/* With the same key a number is used once: whoever sends two would have all exchange them for ever. */
	kw_wall++;
	ck_assert_int_eq(fence(7, &c), KNOWN_E_OLD);
	ck_assert_uint_eq(knowns_fences_sum(ks), sum);
}
END_TEST

/* Its membership is another, and it coordinates no more. */
START_TEST(fences_of_who_was_coordinator)
{
	TAKE(&c, KNOWN_OK);
	ck_assert_int_eq(fence(1, &c), KNOWN_OK);
	AGAIN(&c, KNOWN_OK);
	ck_assert_uint_ne(knowns_fences_sum(ks), 0);
	c.m.roles = 1u << ROLE_RELAY;
	c.m.serial++;
	knowns_signed_clean(ks);
	AGAIN(&c, KNOWN_OK);
	ck_assert_uint_eq(knowns_fences_sum(ks), 0);
	ck_assert(knowns_signed_dirty(ks));
	ck_assert_int_eq(fence(2, &c), KNOWN_E_CHAIN);
}
END_TEST

static void
policy_say(uint64_t serial, const char *x, const char *y)
{
	static uint8_t content[POLICY_MAX];

	ck_assert_int_eq(say(RECORD_POLICY, serial, content, kw_policy_across(content, x, y), &kw_authority), KNOWN_OK);
}

/* Of which other tenants nodes are believed is the policy's to say, and what it takes back goes. */
START_TEST(other_tenants)
{
	strcpy(a.m.tenant, "infra");
	strcpy(b.m.tenant, "bolt");
	TAKE(&a, KNOWN_E_TENANT);
	policy_say(1, "infra", KW_TENANT);
	TAKE(&a, KNOWN_OK);
	TAKE(&b, KNOWN_E_TENANT);
	TAKE(&c, KNOWN_OK);
	ck_assert(known_find(ks, a.id)->foreign && !known_find(ks, c.id)->foreign);
	ck_assert(tenants_meet(knowns_tenants(ks), "infra") && !tenants_meet(knowns_tenants(ks), "bolt"));
	heard[0] = '\0';
	policy_say(2, KW_TENANT, "bolt");
	HEARD("-alpha ");
	AGAIN(&a, KNOWN_E_TENANT);
	TAKE(&b, KNOWN_OK);
	ck_assert_uint_eq(knowns_count(ks), 2);
	/* It is the policy of an authority: another one's says nothing yet. */
	knowns_self(ks, self.id, kw_stranger.public, KW_TENANT);
	ck_assert(!tenants_meet(knowns_tenants(ks), "bolt"));
}
END_TEST

/* A name may be used in several tenants, and means the own one's; nor is another's coordinator this one's. */
START_TEST(own_tenant_first)
{
	static struct kw_node twin[3];

	policy_say(1, "infra", KW_TENANT);
	for (unsigned i = 0; i < 3; i++) {
		kw_node_init(&twin[i], 50 + i, "gamma", 1u << ROLE_ROUTE_COORDINATOR);
		strcpy(twin[i].m.tenant, "infra");
		if (i == 1) {
			TAKE(&twin[0], KNOWN_OK);
			ck_assert_mem_eq(known_by_name(ks, "gamma")->node_id, twin[0].id, NODE_ID_LEN);
			ck_assert_ptr_null(knowns_coordinator_next(ks, NULL));
			TAKE(&c, KNOWN_OK);
		}
		if (i > 0)
			TAKE(&twin[i], KNOWN_OK);
	}
	ck_assert_mem_eq(known_by_name(ks, "gamma")->node_id, c.id, NODE_ID_LEN);
	ck_assert_mem_eq(knowns_coordinator_next(ks, NULL)->node_id, c.id, NODE_ID_LEN);
	ck_assert_ptr_null(knowns_coordinator_next(ks, known_find(ks, c.id)));
	ck_assert_int_eq(fence(1, &twin[0]), KNOWN_E_TENANT);
	ck_assert_int_eq(fence(1, &c), KNOWN_OK);
}
END_TEST

static void
link_add(struct kw_node *from, const struct kw_node *to, uint32_t rtt_us)
{
	struct facts *f = &from->facts;
	size_t at = f->nlinks;

	while (at > 0 && memcmp(f->links[at - 1].node_id, to->id, NODE_ID_LEN) > 0)
		at--;
	memmove(&f->links[at + 1], &f->links[at], (f->nlinks - at) * sizeof(f->links[0]));
	f->links[at] = (struct fact_link){ .rtt_us = rtt_us };
	memcpy(f->links[at].node_id, to->id, NODE_ID_LEN);
	f->nlinks++;
}

/* The node itself, its neighbours by round trip, then those behind them, then any. */
START_TEST(coordinators_in_order)
{
	static struct kw_node n[5];
	const struct known *k = NULL;
	const char *want[] = { "here", "n1", "n0", "n3", "n2" };

	ck_assert_ptr_null(knowns_coordinator_next(ks, NULL));
	for (unsigned i = 0; i < 5; i++) {
		char name[4];

		sprintf(name, "n%u", i);
		kw_node_init(&n[i], 10 + i, name, 1u << (i == 4 ? ROLE_RELAY : ROLE_ROUTE_COORDINATOR));
	}
	self.m.roles |= 1u << ROLE_ROUTE_COORDINATOR;
	link_add(&self, &n[0], 30000);
	link_add(&self, &n[1], 10000);
	link_add(&self, &n[4], 1000);
	link_add(&n[4], &n[3], 1000);
	for (unsigned i = 0; i < 5; i++)
		TAKE(&n[i], KNOWN_OK);
	ck_assert_int_eq(knowns_take(ks, kw_item(&self), NULL, kw_wall, NULL), KNOWN_OK);
	for (unsigned i = 0; i < 5; i++) {
		k = knowns_coordinator_next(ks, k);
		ck_assert_ptr_nonnull(k);
		ck_assert_str_eq(k->member.name, want[i]);
	}
	ck_assert_ptr_null(knowns_coordinator_next(ks, k));
}
END_TEST

START_TEST(many)
{
	static struct kw_node n;
	char name[16];

	begin(2000);
	for (unsigned i = 0; i < 2000; i++) {
		sprintf(name, "m%u", i);
		kw_node_init(&n, 1000 + i, name, 1u << ROLE_RELAY);
		ck_assert_int_eq(knowns_take(ks, kw_item(&n), FROM("x"), kw_wall, NULL), KNOWN_OK);
		heard[0] = '\0';
	}
	ck_assert_uint_eq(knowns_count(ks), 2000);
	ck_assert_ptr_nonnull(known_by_name(ks, "m1234"));
	ck_assert_uint_lt(knowns_memory(ks) / 2000, 4096);
	knowns_expire(ks, KW_NOW + 900);
	ck_assert_uint_eq(knowns_count(ks), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("known");
	TCase *tc = tcase_create("known");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, taken_and_found);
	tcase_add_loop_test(tc, wrong_in_one_thing, 0, N(wrong));
	tcase_add_test(tc, bytes_changed);
	tcase_add_test(tc, parts);
	tcase_add_test(tc, only_newer);
	tcase_add_test(tc, no_way_back);
	tcase_add_test(tc, verified_once);
	tcase_add_test(tc, expires);
	tcase_add_test(tc, held_parts_expire);
	tcase_add_test(tc, room);
	tcase_add_test(tc, own_word);
	tcase_add_test(tc, another_authority);
	tcase_add_test(tc, policies);
	tcase_add_test(tc, revocations);
	tcase_add_test(tc, fences);
	tcase_add_test(tc, fences_are_bounded);
	tcase_add_test(tc, too_many_fences);
	tcase_add_test(tc, fences_said_again);
	tcase_add_test(tc, fences_of_who_was_coordinator);
	tcase_add_test(tc, other_tenants);
	tcase_add_test(tc, own_tenant_first);
	tcase_add_test(tc, coordinators_in_order);
	tcase_add_test(tc, many);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
