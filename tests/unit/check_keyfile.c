/* Key and record files: what is written is read back, and everything else is refused with its reason. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/armour.h"
#include "crypto/keyfile.h"
#include "suite.h"
#include "wire/record.h"

static char dir[] = "/tmp/check_keyfile.XXXXXX";
static char err[KEYFILE_ERR_MAX];
static int asked;

static void
setup(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	umask(022);
	err[0] = '\0';
	asked = 0;
}

static void
teardown(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static const char *
path(const char *name)
{
	static char out[4][128];
	static unsigned n;

	snprintf(out[n % 4], sizeof(out[0]), "%s/%s", dir, name);
	return out[n++ % 4];
}

static const char *
right(void)
{
	asked++;
	return "correct horse";
}

static const char *
wrong(void)
{
	asked++;
	return "correct horsf";
}

static const char *
none(void)
{
	return NULL;
}

static mode_t
mode_of(const char *p)
{
	struct stat st;

	ck_assert_int_eq(lstat(p, &st), 0);
	return st.st_mode & 07777;
}

static void
put(const char *p, const void *bytes, size_t len, mode_t mode)
{
	FILE *f = fopen(p, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
	fclose(f);
	ck_assert_int_eq(chmod(p, mode), 0);
}

static size_t
slurp(char *buf, size_t size, const char *p)
{
	FILE *f = fopen(p, "r");
	size_t n;

	ck_assert_ptr_nonnull(f);
	n = fread(buf, 1, size, f);
	fclose(f);
	return n;
}

/* The number of names in the directory: no temporary file stays behind. */
static int
names(void)
{
	char command[64], line[16] = "";
	FILE *p;

	snprintf(command, sizeof(command), "ls -A '%s' | wc -l", dir);
	ck_assert_ptr_nonnull(p = popen(command, "r"));
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), p));
	pclose(p);
	return atoi(line);
}

#define refused(call, why)                                                                    \
	do {                                                                                  \
		err[0] = '\0';                                                                \
		ck_assert_int_eq((call), -1);                                                 \
		ck_assert_msg(strstr(err, (why)) != NULL, "'%s' does not say '%s'", err, why); \
	} while (0)

START_TEST(test_secret)
{
	struct sign_key k, back;
	char text[1024];

	umask(0);	/* whatever the umask */
	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(keyfile_write_secret(&k, path("k"), NULL, err), 0);
	ck_assert_uint_eq(mode_of(path("k")), 0600);
	ck_assert_int_eq(keyfile_read_secret(&back, path("k"), NULL, err), 0);
	ck_assert_mem_eq(&k, &back, sizeof(k));
	text[slurp(text, sizeof(text) - 1, path("k"))] = '\0';
	ck_assert_int_eq(strncmp(text, "-----BEGIN FABRIC SECRET KEY-----\n", 34), 0);
	ck_assert_int_eq(names(), 1);
}
END_TEST

START_TEST(test_never_over)
{
	struct sign_key k, back;

	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(keyfile_write_secret(&k, path("k"), NULL, err), 0);
	ck_assert_int_eq(sign_key_generate(&back), 0);
	refused(keyfile_write_secret(&back, path("k"), NULL, err), "never overwritten");
	ck_assert_int_eq(keyfile_read_secret(&back, path("k"), NULL, err), 0);
	ck_assert_mem_eq(&k, &back, sizeof(k));
	ck_assert_int_eq(symlink(path("elsewhere"), path("link")), 0);
	refused(keyfile_write_secret(&k, path("link"), NULL, err), "exists");
	refused(keyfile_write_secret(&k, path("no/such"), NULL, err), strerror(ENOENT));
	ck_assert_int_eq(access(path("elsewhere"), F_OK), -1);
}
END_TEST

static const struct {
	mode_t	mode;
	bool	good;
} modes[] = {
	{ 0600, true }, { 0400, true }, { 0700, true }, { 0640, false }, { 0604, false }, { 0644, false },
	{ 0620, false }, { 0602, false }, { 0610, false }, { 0601, false }, { 0666, false },
};

START_TEST(test_modes)
{
	struct sign_key k, back;
	char word[16];

	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(keyfile_write_secret(&k, path("k"), NULL, err), 0);
	ck_assert_int_eq(chmod(path("k"), modes[_i].mode), 0);
	if (modes[_i].good) {
		ck_assert_int_eq(keyfile_read_secret(&back, path("k"), NULL, err), 0);
		return;
	}
	snprintf(word, sizeof(word), "mode %04o", modes[_i].mode);
	refused(keyfile_read_secret(&back, path("k"), NULL, err), word);
	ck_assert_ptr_nonnull(strstr(err, path("k")));
}
END_TEST

START_TEST(test_kinds_of_file)
{
	struct sign_key k, back;
	uint8_t public[SIGN_PUBLIC_LEN];

	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(keyfile_write_secret(&k, path("k"), NULL, err), 0);
	ck_assert_int_eq(symlink(path("k"), path("link")), 0);
	refused(keyfile_read_secret(&back, path("link"), NULL, err), "symbolic link");
	ck_assert_int_eq(mkfifo(path("fifo"), 0600), 0);
	refused(keyfile_read_secret(&back, path("fifo"), NULL, err), "not a regular file");
	refused(keyfile_read_public(public, path("fifo"), err), "not a regular file");
	refused(keyfile_read_secret(&back, dir, NULL, err), "not a regular file");
	refused(keyfile_read_secret(&back, "/dev/null", NULL, err), "not a regular file");
	refused(keyfile_read_secret(&back, path("absent"), NULL, err), strerror(ENOENT));
	ck_assert_int_eq(keyfile_write_public(k.public, path("p"), err), 0);
	ck_assert_int_eq(symlink(path("p"), path("plink")), 0);	/* what is public may be a link */
	ck_assert_int_eq(keyfile_read_public(public, path("plink"), err), 0);
}
END_TEST

/* As root: another user's file is refused, root's is not. */
START_TEST(test_owner)
{
	struct sign_key k, back;
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		puts("SKIP: another user's file: not root");
		return;
	}
	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(keyfile_write_secret(&k, path("k"), NULL, err), 0);
	ck_assert_int_eq(chown(path("k"), 12345, 12345), 0);
	refused(keyfile_read_secret(&back, path("k"), NULL, err), "owned by uid 12345");
	ck_assert_int_eq(chmod(dir, 0755), 0);
	if ((pid = fork()) == 0)
		_exit(setgid(12345) == 0 && setuid(12345) == 0 &&
		    keyfile_read_secret(&back, path("k"), NULL, err) == 0 ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(test_sealed)
{
	struct sign_key k, back, zero;
	char text[1024];

	memset(&zero, 0, sizeof(zero));
	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(keyfile_write_secret(&k, path("k"), "correct horse", err), 0);
	ck_assert_uint_eq(mode_of(path("k")), 0600);
	text[slurp(text, sizeof(text) - 1, path("k"))] = '\0';
	ck_assert_int_eq(strncmp(text, "-----BEGIN FABRIC SEALED KEY-----\n", 34), 0);
	ck_assert_ptr_null(memmem(text, strlen(text), k.secret, 8));
	ck_assert_int_eq(keyfile_read_secret(&back, path("k"), right, err), 0);
	ck_assert_mem_eq(&k, &back, sizeof(k));
	ck_assert_int_eq(asked, 1);
	refused(keyfile_read_secret(&back, path("k"), wrong, err), "wrong passphrase");
	ck_assert_mem_eq(&back, &zero, sizeof(back));
	refused(keyfile_read_secret(&back, path("k"), NULL, err), "sealed");
	refused(keyfile_read_secret(&back, path("k"), none, err), "no passphrase");
}
END_TEST

/* Every byte of a sealed key is authenticated, and its cost is bounded before anything is calculated. */
START_TEST(test_sealed_bytes)
{
	uint8_t data[256], changed[256];
	struct sign_key k, back;
	char text[1024];
	size_t n;
	int len;
	static const struct { size_t at; uint8_t flip; const char *why; bool ask; } t[] = {
		{ 0, 1, "not known", false }, { 1, 3, "not known", false },		/* version, method */
		{ 2, 0x80, "rounds", false }, { 3, 0xff, "rounds", false }, { 3, 0x08, "rounds", false },
		{ 5, 1, "wrong passphrase", true },					/* rounds, still allowed */
		{ 6, 1, "wrong passphrase", true }, { 22, 1, "wrong passphrase", true },	/* salt, nonce */
		{ 34, 1, "wrong passphrase", true }, { 66, 1, "wrong passphrase", true },	/* public, secret */
		{ 113, 1, "wrong passphrase", true },					/* tag */
	};

	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(keyfile_write_secret(&k, path("k"), "correct horse", err), 0);
	n = slurp(text, sizeof(text), path("k"));
	ck_assert_int_eq(len = armour_decode(data, sizeof(data), "SEALED KEY", text, n), 114);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memcpy(changed, data, sizeof(data));
		changed[t[i].at] ^= t[i].flip;
		n = armour_encode(text, sizeof(text), "SEALED KEY", changed, (size_t)len);
		asked = 0;
		refused(keyfile_parse_secret(&back, text, n, right, err), t[i].why);
		ck_assert_int_eq(asked, t[i].ask);
	}
	n = armour_encode(text, sizeof(text), "SEALED KEY", data, (size_t)len);
	ck_assert_int_eq(keyfile_parse_secret(&back, text, n, right, err), 0);
}
END_TEST

START_TEST(test_plain_bytes)
{
	uint8_t data[256];
	struct sign_key k, back;
	char text[1024];
	size_t n;

	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(keyfile_write_secret(&k, path("k"), NULL, err), 0);
	n = slurp(text, sizeof(text), path("k"));
	ck_assert_int_eq(armour_decode(data, sizeof(data), "SECRET KEY", text, n), 65);
	for (size_t at = 0; at < 65; at++) {
		data[at] ^= 0x10;
		n = armour_encode(text, sizeof(text), "SECRET KEY", data, 65);
		refused(keyfile_parse_secret(&back, text, n, NULL, err), at == 0 ? "version" : "damaged");
		data[at] ^= 0x10;
	}
	n = armour_encode(text, sizeof(text), "SECRET KEY", data, 64);
	refused(keyfile_parse_secret(&back, text, n, NULL, err), "not a secret key file");
	n = armour_encode(text, sizeof(text), "SECRET KEY", data, 66);
	refused(keyfile_parse_secret(&back, text, n, NULL, err), "not a secret key file");
	n = armour_encode(text, sizeof(text), "PUBLIC KEY", data, 65);
	refused(keyfile_parse_secret(&back, text, n, NULL, err), "not a secret key file");
	refused(keyfile_parse_secret(&back, "", 0, NULL, err), "not a secret key file");
}
END_TEST

START_TEST(test_public)
{
	uint8_t public[SIGN_PUBLIC_LEN], small[33] = { 1, 1 }, data[40] = { 1 };
	struct sign_key k, other;
	char text[256];

	umask(077);
	ck_assert_int_eq(sign_key_generate(&k), 0);
	ck_assert_int_eq(sign_key_generate(&other), 0);
	ck_assert_int_eq(keyfile_write_public(other.public, path("p"), err), 0);
	ck_assert_int_eq(keyfile_write_public(k.public, path("p"), err), 0);	/* replaces */
	ck_assert_uint_eq(mode_of(path("p")), 0644);
	ck_assert_int_eq(names(), 1);
	ck_assert_int_eq(keyfile_read_public(public, path("p"), err), 0);
	ck_assert_mem_eq(public, k.public, sizeof(public));
	put(path("q"), text, armour_encode(text, sizeof(text), "PUBLIC KEY", small, 33), 0644);
	refused(keyfile_read_public(public, path("q"), err), "not a sound");
	small[0] = 2;
	put(path("q"), text, armour_encode(text, sizeof(text), "PUBLIC KEY", small, 33), 0644);
	refused(keyfile_read_public(public, path("q"), err), "version");
	memcpy(data + 1, k.public, 32);
	put(path("q"), text, armour_encode(text, sizeof(text), "PUBLIC KEY", data, 34), 0644);
	refused(keyfile_read_public(public, path("q"), err), "not a public key file");
	ck_assert_int_eq(keyfile_write_secret(&k, path("k"), NULL, err), 0);
	refused(keyfile_read_public(public, path("k"), err), "not a public key file");
	refused(keyfile_write_public(k.public, path("no/such"), err), strerror(ENOENT));
}
END_TEST

START_TEST(test_record)
{
	uint8_t rec[FRAME_RECORD_MAX], back[FRAME_RECORD_MAX];

	for (size_t i = 0; i < sizeof(rec); i++)
		rec[i] = (uint8_t)(i * 7);
	memcpy(rec, "FR", 2);
	for (size_t len = 1; len <= sizeof(rec); len += len < 200 ? 1 : 1299) {
		ck_assert_int_eq(keyfile_write_record(rec, len, path("r"), err), 0);
		ck_assert_int_eq(keyfile_read_record(back, sizeof(back), path("r"), err), (int)len);
		ck_assert_mem_eq(rec, back, len);
		refused(keyfile_read_record(back, len - 1, path("r"), err), "not a record file");
	}
	ck_assert_int_eq(keyfile_write_record(rec, sizeof(rec), path("r"), err), 0);
	ck_assert_int_eq(keyfile_read_record(back, sizeof(back), path("r"), err), (int)sizeof(rec));
	refused(keyfile_write_record(rec, 0, path("r"), err), "not the length");
	put(path("raw"), rec, 300, 0644);
	ck_assert_int_eq(keyfile_read_record(back, sizeof(back), path("raw"), err), 300);
	ck_assert_mem_eq(rec, back, 300);
	refused(keyfile_read_record(back, 299, path("raw"), err), "longer than a record");
	put(path("raw"), "xx", 2, 0644);
	refused(keyfile_read_record(back, sizeof(back), path("raw"), err), "not a record file");
	put(path("raw"), "", 0, 0644);
	refused(keyfile_read_record(back, sizeof(back), path("raw"), err), "not a record file");
}
END_TEST

/* A policy or a list of revocations, as large as it may be. */
START_TEST(test_large_record)
{
	static uint8_t rec[RECORD_LARGE_MAX], back[RECORD_LARGE_MAX];

	for (size_t i = 0; i < sizeof(rec); i++)
		rec[i] = (uint8_t)(i * 7 + i / 256);
	ck_assert_int_eq(keyfile_write_record(rec, sizeof(rec), path("r"), err), 0);
	ck_assert_int_eq(keyfile_read_record(back, sizeof(back), path("r"), err), (int)sizeof(rec));
	ck_assert_mem_eq(rec, back, sizeof(rec));
}
END_TEST

START_TEST(test_long_file)
{
	char text[ARMOUR_TEXT_MAX + 1];
	uint8_t back[FRAME_RECORD_MAX];

	memset(text, 'A', sizeof(text));
	memcpy(text, "FR", 2);
	put(path("long"), text, ARMOUR_TEXT_MAX + 1, 0600);
	refused(keyfile_read_record(back, sizeof(back), path("long"), err), "longer than any");
	put(path("long"), text, ARMOUR_TEXT_MAX, 0600);
	refused(keyfile_read_record(back, sizeof(back), path("long"), err), "longer than a record");
}
END_TEST

#define B "-----BEGIN FABRIC RECORD-----\n"
#define E "-----END FABRIC RECORD-----\n"

static const struct {
	const char *text;
	int	    len;
} armours[] = {
	{ B "QQ==\n" E, 1 }, { B "QUI=\n" E, 2 }, { B "QUJD\n" E, 3 },
	{ B "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\n" E, 48 },
	{ B "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\nd3g=\n" E, 50 },
	{ "", -1 }, { B E, -1 }, { B "\n" E, -1 },
	{ B "QR==\n" E, -1 },			/* bits behind the last byte */
	{ B "QUJ=\n" E, -1 }, { B "QQ=\n" E, -1 }, { B "QQ\n" E, -1 }, { B "Q\n" E, -1 }, { B "QQ===\n" E, -1 },
	{ B "QQ==" E, -1 },			/* no end of line */
	{ B "QQ==\n\n" E, -1 }, { B "\nQQ==\n" E, -1 }, { B " QQ==\n" E, -1 }, { B "QQ== \n" E, -1 },
	{ B "QQ==\r\n" E, -1 }, { B "Q Q==\n" E, -1 }, { B "QU\nJD\n" E, -1 },
	{ B "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3g=\n" E, -1 },	/* one long line */
	{ B "QUJD\nREVG\n" E, -1 },		/* two short ones */
	{ B "QQ==QUJD\n" E, -1 },		/* something behind the padding */
	{ B "Q*==\n" E, -1 }, { B "Q-_=\n" E, -1 },
	{ "\n" B "QQ==\n" E, -1 }, { B "QQ==\n" E "\n", -1 }, { B "QQ==\n" E " ", -1 },
	{ B "QQ==\n", -1 }, { "QQ==\n" E, -1 }, { "QQ==\n", -1 },
	{ B "QQ==\n" "-----END FABRIC RECORD-----", -1 },
	{ B "QQ==\n" "-----END FABRIC PUBLIC KEY-----\n", -1 },
	{ "-----BEGIN FABRIC PUBLIC KEY-----\n" "QQ==\n" E, -1 },
	{ "-----begin fabric record-----\n" "QQ==\n" E, -1 },
	{ B "QQ==\n" E B "QQ==\n" E, -1 },
};

START_TEST(test_armour)
{
	uint8_t data[64];
	int got = armour_decode(data, sizeof(data), "RECORD", armours[_i].text, strlen(armours[_i].text));

	ck_assert_msg(got == armours[_i].len, "%d, not %d:\n%s", got, armours[_i].len, armours[_i].text);
	for (int i = 0; i < got; i++)
		ck_assert_uint_eq(data[i], i < 26 ? 'A' + i : 'a' + i - 26);
}
END_TEST

START_TEST(test_armour_sizes)
{
	uint8_t data[200] = { 1, 2, 3 }, back[200];
	char text[512];
	size_t n = armour_encode(text, sizeof(text), "RECORD", data, sizeof(data));

	ck_assert_uint_gt(n, 0);
	for (size_t size = 0; size < n; size++)
		ck_assert_uint_eq(armour_encode(text, size, "RECORD", data, sizeof(data)), 0);
	ck_assert_uint_eq(armour_encode(text, n, "RECORD", data, sizeof(data)), n);
	ck_assert_uint_eq(armour_encode(text, n, "RECORD", data, 0), 0);
	for (size_t size = 0; size < sizeof(data); size++)
		ck_assert_int_eq(armour_decode(back, size, "RECORD", text, n), -1);
	for (size_t len = 0; len < n; len++)
		ck_assert_int_eq(armour_decode(back, sizeof(back), "RECORD", text, len), -1);
	ck_assert_int_eq(armour_decode(back, sizeof(back), "RECORD", text, n), (int)sizeof(data));
	ck_assert_mem_eq(data, back, sizeof(data));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("keyfile");
	TCase *t = tcase_create("keyfile");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_secret);
	tcase_add_test(t, test_never_over);
	tcase_add_loop_test(t, test_modes, 0, sizeof(modes) / sizeof(modes[0]));
	tcase_add_test(t, test_kinds_of_file);
	tcase_add_test(t, test_owner);
	tcase_add_test(t, test_sealed);
	tcase_add_test(t, test_sealed_bytes);
	tcase_add_test(t, test_plain_bytes);
	tcase_add_test(t, test_public);
	tcase_add_test(t, test_record);
	tcase_add_test(t, test_large_record);
	tcase_add_test(t, test_long_file);
	tcase_add_loop_test(t, test_armour, 0, sizeof(armours) / sizeof(armours[0]));
	tcase_add_test(t, test_armour_sizes);
	suite_add_tcase(s, t);
	return suite_run(s);
}
