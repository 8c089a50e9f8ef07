#include "fabricctl/identity.h"

#include <arpa/inet.h>
#include <bsd/readpassphrase.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "crypto/keyfile.h"

#define DURATION_MAX_S (10ull * 366 * 86400)

static const char *passphrase_file;
static char passphrase[KEYFILE_PASSPHRASE_MAX + 1];

int
identity_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("fabricctl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return CMD_FAILED;
}

int
identity_usage(const char *text)
{
	fputs(text, stderr);
	return CMD_USAGE;
}

int
identity_bad_option(char **argv, const char *text)
{
	if (optopt != 0 && optind > 0 && strncmp(argv[optind - 1], "--", 2) != 0)
		identity_fail("-%c: not an option here, or lacks its value", optopt);
	else
		identity_fail("%s: not an option here, or its value is missing or too much", argv[optind - 1]);
	return identity_usage(text);
}

int
identity_path(char path[PATH_MAX], const char *dir, const char *file)
{
	if (snprintf(path, PATH_MAX, "%s/%s", dir, file) < PATH_MAX)
		return 0;
	identity_fail("%s: %s", dir, strerror(ENAMETOOLONG));
	return -1;
}

int
identity_mkdir(const char *dir)
{
	if (mkdir(dir, 0755) == 0 || errno == EEXIST)
		return 0;
	identity_fail("%s: %s", dir, strerror(errno));
	return -1;
}

void
identity_no_core(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
}

uint64_t
identity_serial(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int
identity_duration(const char *s, uint64_t *seconds)
{
	static const struct { char unit; uint64_t seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 },
	};
	char *end;
	unsigned long long n;

	if (s[0] < '0' || s[0] > '9')
		return -1;
	errno = 0;
	n = strtoull(s, &end, 10);
	if (errno != 0 || n == 0 || end[0] == '\0' || end[1] != '\0')
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (end[0] != units[i].unit)
			continue;
		if (n > DURATION_MAX_S / units[i].seconds)
			return -1;
		*seconds = n * units[i].seconds;
		return 0;
	}
	return -1;
}

int
identity_roles(const char *s, uint32_t *roles, char bad[32])
{
	*roles = 0;
	for (;;) {
		size_t len = strcspn(s, ",");
		int role = -1;

		snprintf(bad, 32, "%.*s", (int)(len < 31 ? len : 31), s);
		if (len <= 31)
			role = role_parse(bad);
		if (role == -1)
			return -1;
		*roles |= 1u << role;
		if (s[len] == '\0')
			return 0;
		s += len + 1;
	}
}

/* Whether all bits of addr from `bits` on are zero. */
static bool
tail_zero(const uint8_t *addr, size_t bytes, unsigned bits)
{
	for (size_t i = bits; i < bytes * 8; i++)
		if ((addr[i / 8] >> (7 - i % 8) & 1) != 0)
			return false;
	return true;
}

int
identity_prefix(const char *s, struct record_prefix *p)
{
	char addr[INET6_ADDRSTRLEN];
	size_t len = strcspn(s, "/"), bytes;
	unsigned long bits;
	char *end;

	if (len >= sizeof(addr))
		return -1;
	memcpy(addr, s, len);
	addr[len] = '\0';
	memset(p, 0, sizeof(*p));
	p->family = strchr(addr, ':') != NULL ? 6 : 4;
	bytes = p->family == 6 ? 16 : 4;
	if (inet_pton(p->family == 6 ? AF_INET6 : AF_INET, addr, p->addr) != 1)
		return -1;
	bits = bytes * 8;
	if (s[len] == '/') {
		if (s[len + 1] < '0' || s[len + 1] > '9')
			return -1;
		bits = strtoul(s + len + 1, &end, 10);
		if (*end != '\0' || bits > bytes * 8)
			return -1;
	}
	p->len = (uint8_t)bits;
	return tail_zero(p->addr, bytes, p->len) ? 0 : -1;
}

bool
identity_name_ok(const char *s, size_t max, bool dots)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t len = strlen(s);

	if (len == 0 || len > max || strchr(first, s[0]) == NULL)
		return false;
	for (; *s != '\0'; s++)
		if (strchr(first, *s) == NULL && *s != '-' && !(dots && *s == '.'))
			return false;
	return true;
}

void
identity_passphrase_from(const char *file)
{
	passphrase_file = file != NULL ? file : getenv(PASSPHRASE_FILE_ENV);
}

/* Keeps the first line. A file that others can read is refused; a pipe from a password store is not. */
static const char *
passphrase_read(const char *path)
{
	const char *rv = NULL;
	struct stat st;
	FILE *f;

	if ((f = fopen(path, "re")) == NULL) {
		identity_fail("%s: %s", path, strerror(errno));
		return NULL;
	}
	setvbuf(f, NULL, _IONBF, 0);	/* no copy of it stays in a buffer */
	if (fstat(fileno(f), &st) == -1)
		identity_fail("%s: %s", path, strerror(errno));
	else if (S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		identity_fail("%s: mode %04o lets others at it, must be 0600 or stricter", path,
		    (unsigned)(st.st_mode & 07777));
	else if (fgets(passphrase, sizeof(passphrase), f) == NULL)
		identity_fail("%s: no passphrase in it", path);
	else if (strchr(passphrase, '\n') == NULL && fgetc(f) != EOF)
		identity_fail("%s: the passphrase is longer than %zu bytes", path, sizeof(passphrase) - 2);
	else
		rv = passphrase;
	passphrase[strcspn(passphrase, "\r\n")] = '\0';
	fclose(f);
	return rv;
}

static const char *
passphrase_ask(const char *prompt, char *buf)
{
	if (readpassphrase(prompt, buf, sizeof(passphrase), RPP_ECHO_OFF | RPP_REQUIRE_TTY) != NULL)
		return buf;
	identity_fail("passphrase: no terminal to ask at; give --passphrase-file or %s", PASSPHRASE_FILE_ENV);
	return NULL;
}

const char *
identity_passphrase(void)
{
	if (passphrase_file != NULL)
		return passphrase_read(passphrase_file);
	return passphrase_ask("Passphrase of the authority's key: ", passphrase);
}

const char *
identity_passphrase_new(void)
{
	char again[sizeof(passphrase)];
	const char *rv = NULL;

	if (passphrase_file != NULL)
		rv = passphrase_read(passphrase_file);
	else if (passphrase_ask("New passphrase for the authority's key: ", passphrase) != NULL &&
	    passphrase_ask("Once more: ", again) != NULL) {
		if (strcmp(passphrase, again) == 0)
			rv = passphrase;
		else
			identity_fail("passphrase: the two are not the same");
		crypto_wipe(again, sizeof(again));
	}
	if (rv != NULL && rv[0] == '\0') {
		identity_fail("passphrase: it is empty; --no-passphrase says so on purpose");
		rv = NULL;
	}
	return rv;
}

void
identity_passphrase_wipe(void)
{
	crypto_wipe(passphrase, sizeof(passphrase));
}

static bool passphrase_missing;

static const char *
ask(void)
{
	const char *words = identity_passphrase();

	passphrase_missing = words == NULL;	/* and it was said why */
	return words;
}

int
identity_authority_key(struct sign_key *k, const char *dir, const char *file)
{
	char path[PATH_MAX], err[KEYFILE_ERR_MAX];

	if (identity_path(path, dir, AUTHORITY_KEY_FILE) == -1)
		return -1;
	identity_passphrase_from(file);
	if (keyfile_read_secret(k, path, ask, err) == 0)
		return 0;
	if (!passphrase_missing)
		identity_fail("%s", err);
	return -1;
}
