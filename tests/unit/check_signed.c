/* The files that the authority has signed: what the supervisor takes, and what it says of those that it does not. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"
#include "fabricd/signed.h"
#include "suite.h"

static char dir[] = "/tmp/check_signed.XXXXXX", path[64], err[CONF_ERR_MAX];
static struct sign_key authority, other;
static struct conf *conf;
static struct signed_files files;

static void
setup(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file.rec", dir);
	ck_assert_int_eq(sign_key_generate(&authority), 0);
	ck_assert_int_eq(sign_key_generate(&other), 0);
	ck_assert_ptr_nonnull(conf = conf_new());
	err[0] = '\0';
}

static void
teardown(void)
{
	signed_clear(&files);
	conf_free(conf);
	unlink(path);
	rmdir(dir);
}

/* A record with so much content into the file; changed by one byte when `flip' is where. */
static size_t
put(enum record_kind kind, const struct sign_key *k, int64_t from, int64_t to, size_t len, size_t flip)
{
	static uint8_t content[RECORD_LARGE_MAX], raw[RECORD_LARGE_MAX];
	struct record r = { .kind = kind, .subject = k->public, .serial = 7, .not_before = (uint64_t)((int64_t)clock_wall() + from),
	    .not_after = (uint64_t)((int64_t)clock_wall() + to), .content = { content, len } };
	char why[KEYFILE_ERR_MAX];
	size_t n = record_sign(raw, sizeof(raw), &r, (struct sign_key *)(uintptr_t)k);

	ck_assert_uint_gt(n, 0);
	if (flip > 0)
		raw[n - flip] ^= 1;
	ck_assert_int_eq(keyfile_write_record(raw, n, path, why), 0);
	return n;
}

START_TEST(none)
{
	ck_assert_int_eq(signed_load(&files, conf, authority.public, err), 0);
	ck_assert(files.policy.p == NULL && files.revocations.p == NULL);
}
END_TEST

START_TEST(taken)
{
	size_t n = put(RECORD_POLICY, &authority, 0, 100, 20, 0);
	struct record r;

	strcpy(conf->policy, path);
	ck_assert_msg(signed_load(&files, conf, authority.public, err) == 0, "%s", err);
	ck_assert_uint_eq(files.policy.len, n);
	ck_assert_int_eq(record_decode(&r, files.policy.p, files.policy.len), RECORD_OK);
	ck_assert_uint_eq(r.serial, 7);
	ck_assert_ptr_null(files.revocations.p);
}
END_TEST

/* As large as a record may be, and still one message. */
START_TEST(largest)
{
	size_t n = put(RECORD_REVOCATION, &authority, 0, 100, RECORD_LARGE_MAX - 200, 0);

	strcpy(conf->revocations, path);
	ck_assert_msg(signed_load(&files, conf, authority.public, err) == 0, "%s", err);
	ck_assert_uint_eq(files.revocations.len, n);
}
END_TEST

static void
refused(const char *what)
{
	ck_assert_int_eq(signed_load(&files, conf, authority.public, err), -1);
	ck_assert_msg(strncmp(err, path, strlen(path)) == 0, "it does not name the file: %s", err);
	ck_assert_msg(strcmp(err + strlen(path), what) == 0, "%s", err);
	ck_assert(files.policy.p == NULL && files.revocations.p == NULL);
}

START_TEST(not_taken)
{
	strcpy(conf->policy, path);
	refused(": No such file or directory");
	put(RECORD_REVOCATION, &authority, 0, 100, 32, 0);
	refused(" is a revocation record, not a policy");
	put(RECORD_POLICY, &other, 0, 100, 20, 0);
	refused(" was signed by another authority than the configured one");
	put(RECORD_POLICY, &authority, 0, 100, 20, 1);		/* the signature */
	refused(" has a signature that does not verify");
	put(RECORD_POLICY, &authority, 0, 100, 20, RECORD_SIG_LEN + 5);	/* what is signed */
	refused(" has a signature that does not verify");
	/* one that is good goes with the one that is not */
	put(RECORD_POLICY, &authority, 0, 100, 20, 0);
	strcpy(conf->revocations, path);
	refused(" is a policy record, not a revocation");
}
END_TEST

/* Without what has expired everything would be open that it closes; it has to be good in all else. */
START_TEST(expired)
{
	size_t n = put(RECORD_POLICY, &authority, -100, -1, 20, 0);

	strcpy(conf->policy, path);
	ck_assert_msg(signed_load(&files, conf, authority.public, err) == 0, "%s", err);
	ck_assert_ptr_nonnull(files.policy.p);
	ck_assert_uint_eq(files.policy.len, n);
	signed_clear(&files);
	put(RECORD_POLICY, &authority, -100, -1, 20, 1);
	refused(" has a signature that does not verify");
	put(RECORD_POLICY, &other, -100, -1, 20, 0);
	refused(" was signed by another authority than the configured one");
	conf->policy[0] = '\0';
	strcpy(conf->revocations, path);
	n = put(RECORD_REVOCATION, &authority, -100, -1, 32, 0);
	ck_assert_msg(signed_load(&files, conf, authority.public, err) == 0, "%s", err);
	ck_assert_ptr_nonnull(files.revocations.p);
	ck_assert_uint_eq(files.revocations.len, n);
}
END_TEST

/* Time must not keep a node from starting. */
START_TEST(left_out)
{
	strcpy(conf->policy, path);
	put(RECORD_POLICY, &authority, CLOCK_SKEW_S + 60, CLOCK_SKEW_S + 100, 20, 0);
	ck_assert_int_eq(signed_load(&files, conf, authority.public, err), 0);
	ck_assert_ptr_null(files.policy.p);
	put(RECORD_POLICY, &authority, CLOCK_SKEW_S / 2, CLOCK_SKEW_S + 100, 20, 0);	/* clocks differ */
	ck_assert_int_eq(signed_load(&files, conf, authority.public, err), 0);
	ck_assert_ptr_nonnull(files.policy.p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("signed");
	TCase *tc = tcase_create("signed");

	crypto_init();
	log_setlevel(LOG_LEVEL_ERROR);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, none);
	tcase_add_test(tc, taken);
	tcase_add_test(tc, largest);
	tcase_add_test(tc, not_taken);
	tcase_add_test(tc, expired);
	tcase_add_test(tc, left_out);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
