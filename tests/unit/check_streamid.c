#include <check.h>

#include "fabric/streamid.h"
#include "suite.h"
#include "wire/frame.h"
#include "wire/varint.h"

static struct stream_ids initiator, responder;

static void
setup(void)
{
	stream_ids_init(&initiator, true);
	stream_ids_init(&responder, false);
}

START_TEST(each_side_has_its_parity)
{
	for (uint64_t i = 1; i <= 1000; i++) {
		uint64_t a = stream_id_alloc(&initiator), b = stream_id_alloc(&responder);

		ck_assert_uint_eq(a, 2 * i);
		ck_assert_uint_eq(b, 2 * i - 1);
		ck_assert_int_eq(stream_id_accept(&responder, a), STREAM_ID_OK);
		ck_assert_int_eq(stream_id_accept(&initiator, b), STREAM_ID_OK);
		ck_assert(stream_id_is_own(&initiator, a) && !stream_id_is_own(&initiator, b));
		ck_assert(stream_id_is_own(&responder, b) && !stream_id_is_own(&responder, a));
	}
}
END_TEST

/* What the initiator, which is the even one, says to ids that it is offered one after the other. */
static const struct {
	uint64_t	id;
	int		result;
	uint64_t	last;
} offered[] = {
	{ 0, STREAM_ID_E_RANGE, 0 },
	{ 2, STREAM_ID_E_PARITY, 0 },
	{ VARINT_MAX - 1, STREAM_ID_E_PARITY, 0 },
	{ 1, STREAM_ID_OK, 1 },
	{ 1, STREAM_ID_E_REUSED, 1 },
	{ 7, STREAM_ID_OK, 7 },
	{ 3, STREAM_ID_E_REUSED, 7 },
	{ 7, STREAM_ID_E_REUSED, 7 },
	{ 8, STREAM_ID_E_PARITY, 7 },
	{ VARINT_MAX + 1, STREAM_ID_E_RANGE, 7 },
	{ VARINT_MAX + 2, STREAM_ID_E_RANGE, 7 },
	{ UINT64_MAX, STREAM_ID_E_RANGE, 7 },
	{ 9, STREAM_ID_OK, 9 },
	{ VARINT_MAX, STREAM_ID_OK, VARINT_MAX },
	{ VARINT_MAX, STREAM_ID_E_REUSED, VARINT_MAX },
	{ 11, STREAM_ID_E_REUSED, VARINT_MAX },
};

START_TEST(accepts_only_what_grows)
{
	for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++) {
		ck_assert_msg(stream_id_accept(&initiator, offered[i].id) == offered[i].result, "step %zu", i);
		ck_assert_uint_eq(stream_id_last_accepted(&initiator), offered[i].last);
	}
}
END_TEST

START_TEST(knows_what_was_used)
{
	ck_assert(!stream_id_was_used(&initiator, 0));
	ck_assert(!stream_id_was_used(&initiator, 1));
	ck_assert(!stream_id_was_used(&initiator, 2));
	stream_id_alloc(&initiator);
	ck_assert(stream_id_was_used(&initiator, 2));
	ck_assert(!stream_id_was_used(&initiator, 4));
	stream_id_accept(&initiator, 5);
	ck_assert(stream_id_was_used(&initiator, 5));
	ck_assert_msg(stream_id_was_used(&initiator, 3), "an id that was passed over is used up");
	ck_assert(!stream_id_was_used(&initiator, 7));
}
END_TEST

START_TEST(ends_at_the_ceiling)
{
	initiator.next = FRAME_DATAGRAM_STREAM_MAX - 1;		/* even */
	ck_assert_uint_eq(stream_id_alloc(&initiator), FRAME_DATAGRAM_STREAM_MAX - 1);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(stream_id_alloc(&initiator), 0);
	responder.next = FRAME_DATAGRAM_STREAM_MAX;		/* odd */
	ck_assert_uint_eq(stream_id_alloc(&responder), FRAME_DATAGRAM_STREAM_MAX);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(stream_id_alloc(&responder), 0);
	ck_assert(stream_id_was_used(&responder, FRAME_DATAGRAM_STREAM_MAX));
}
END_TEST

START_TEST(errors_have_names)
{
	for (int a = STREAM_ID_E_REUSED; a <= STREAM_ID_OK; a++)
		ck_assert_str_ne(stream_id_strerror(a), "unknown");
	ck_assert_str_eq(stream_id_strerror(1), "unknown");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("streamid");
	TCase *tc = tcase_create("streamid");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, each_side_has_its_parity);
	tcase_add_test(tc, accepts_only_what_grows);
	tcase_add_test(tc, knows_what_was_used);
	tcase_add_test(tc, ends_at_the_ceiling);
	tcase_add_test(tc, errors_have_names);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
