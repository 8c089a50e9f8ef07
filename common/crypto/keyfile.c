#include "crypto/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/chacha20_poly1305.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/pwdbased.h>

#include "crypto/armour.h"

#define LABEL_SECRET	"SECRET KEY"
#define LABEL_SEALED	"SEALED KEY"
#define LABEL_PUBLIC	"PUBLIC KEY"
#define LABEL_RECORD	"RECORD"

#define KEYFILE_VERSION	1
#define KDF_PBKDF2_SHA256 1

/* The bytes inside the armour: version, secret, public. */
#define PLAIN_SECRET	1
#define PLAIN_PUBLIC	(PLAIN_SECRET + SIGN_SECRET_LEN)
#define PLAIN_LEN	(PLAIN_PUBLIC + SIGN_PUBLIC_LEN)

/* Version, kdf, rounds (big endian), salt, nonce, public; all these authenticated; secret encrypted; tag. */
#define SALT_LEN	16
#define SEALED_KDF	1
#define SEALED_ROUNDS	2
#define SEALED_SALT	(SEALED_ROUNDS + 4)
#define SEALED_NONCE	(SEALED_SALT + SALT_LEN)
#define SEALED_PUBLIC	(SEALED_NONCE + CHACHA20_POLY1305_AEAD_IV_SIZE)
#define SEALED_SECRET	(SEALED_PUBLIC + SIGN_PUBLIC_LEN)
#define SEALED_TAG	(SEALED_SECRET + SIGN_SECRET_LEN)
#define SEALED_LEN	(SEALED_TAG + CHACHA20_POLY1305_AEAD_AUTHTAG_SIZE)

#define PUBLIC_FILE_LEN	(1 + SIGN_PUBLIC_LEN)

static int fail(char err[KEYFILE_ERR_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Says what is wrong; always -1. */
static int
fail(char err[KEYFILE_ERR_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, KEYFILE_ERR_MAX, fmt, ap);
	va_end(ap);
	return -1;
}

/* As fail(), with the path in front of what `err` says already. */
static int
fail_at(char err[KEYFILE_ERR_MAX], const char *path)
{
	char what[KEYFILE_ERR_MAX];

	memcpy(what, err, sizeof(what));
	what[sizeof(what) - 1] = '\0';
	return fail(err, "%s: %s", path, what);
}

/* Whether an open file may hold a secret. */
static int
secret_stat_check(int fd, const char *path, char err[KEYFILE_ERR_MAX])
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return fail(err, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(err, "%s: not a regular file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return fail(err, "%s: owned by uid %u, must be the caller's or root's", path, (unsigned)st.st_uid);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return fail(err, "%s: mode %04o lets others at it, must be 0600 or stricter", path,
		    (unsigned)(st.st_mode & 07777));
	return 0;
}

static int
regular_check(int fd, const char *path, char err[KEYFILE_ERR_MAX])
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return fail(err, "%s: %s", path, strerror(errno));
	return S_ISREG(st.st_mode) ? 0 : fail(err, "%s: not a regular file", path);
}

/* Reads a whole file of at most ARMOUR_TEXT_MAX bytes. Returns its length, or -1. */
static ssize_t
read_file(char text[ARMOUR_TEXT_MAX + 1], const char *path, bool secret, char err[KEYFILE_ERR_MAX])
{
	size_t len = 0;
	ssize_t n, rv = -1;
	int fd;

	/* O_NONBLOCK: a fifo put in the file's place must not make us wait; it is refused below. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (secret ? O_NOFOLLOW : 0));
	if (fd == -1 && errno == ELOOP && secret)
		return fail(err, "%s: is a symbolic link", path);
	if (fd == -1)
		return fail(err, "%s: %s", path, strerror(errno));
	if ((secret ? secret_stat_check : regular_check)(fd, path, err) == -1)
		goto done;
	while ((n = read(fd, text + len, ARMOUR_TEXT_MAX + 1 - len)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			fail(err, "%s: %s", path, strerror(errno));
			goto done;
		}
		if ((len += (size_t)n) > ARMOUR_TEXT_MAX) {
			fail(err, "%s: longer than any key or record file", path);
			goto done;
		}
	}
	rv = (ssize_t)len;
done:
	close(fd);
	return rv;
}

/* The key that a passphrase opens; slow by design. */
static int
derive(uint8_t key[CHACHA20_POLY1305_AEAD_KEYSIZE], const char *passphrase, const uint8_t *salt, uint32_t rounds)
{
	return wc_PBKDF2(key, (const byte *)passphrase, (int)strlen(passphrase), salt, SALT_LEN, (int)rounds,
	    CHACHA20_POLY1305_AEAD_KEYSIZE, WC_SHA256) == 0 ? 0 : -1;
}

static int
parse_plain(struct sign_key *k, const uint8_t *in, char err[KEYFILE_ERR_MAX])
{
	if (in[0] != KEYFILE_VERSION)
		return fail(err, "key file version %u is not known", in[0]);
	memcpy(k->secret, in + PLAIN_SECRET, SIGN_SECRET_LEN);
	if (sign_key_from_secret(k) == -1 || crypto_memcmp(k->public, in + PLAIN_PUBLIC, SIGN_PUBLIC_LEN) != 0)
		return fail(err, "the secret does not belong to the public key: the file is damaged");
	return 0;
}

static int
parse_sealed(struct sign_key *k, const uint8_t *in, const char *(*passphrase)(void), char err[KEYFILE_ERR_MAX])
{
	uint8_t key[CHACHA20_POLY1305_AEAD_KEYSIZE];
	uint32_t rounds = 0;
	const char *words;
	int rv;

	if (in[0] != KEYFILE_VERSION || in[SEALED_KDF] != KDF_PBKDF2_SHA256)
		return fail(err, "key file version %u, method %u is not known", in[0], in[SEALED_KDF]);
	for (int i = 0; i < 4; i++)
		rounds = rounds << 8 | in[SEALED_ROUNDS + i];
	if (rounds < KEYFILE_ROUNDS || rounds > KEYFILE_ROUNDS_MAX)
		return fail(err, "%u rounds are outside %u to %u", rounds, KEYFILE_ROUNDS, KEYFILE_ROUNDS_MAX);
	if (passphrase == NULL)
		return fail(err, "sealed with a passphrase");
	if ((words = passphrase()) == NULL)
		return fail(err, "no passphrase");
	if (derive(key, words, in + SEALED_SALT, rounds) == -1)
		return fail(err, "the library cannot derive a key");
	rv = wc_ChaCha20Poly1305_Decrypt(key, in + SEALED_NONCE, in, SEALED_SECRET, in + SEALED_SECRET,
	    SIGN_SECRET_LEN, in + SEALED_TAG, k->secret);
	crypto_wipe(key, sizeof(key));
	if (rv != 0)
		return fail(err, "wrong passphrase, or the file is damaged");
	if (sign_key_from_secret(k) == -1 || crypto_memcmp(k->public, in + SEALED_PUBLIC, SIGN_PUBLIC_LEN) != 0)
		return fail(err, "the secret does not belong to the public key: the file is damaged");
	return 0;
}

int
keyfile_parse_secret(struct sign_key *k, const char *text, size_t len, const char *(*passphrase)(void),
    char err[KEYFILE_ERR_MAX])
{
	uint8_t data[SEALED_LEN];
	int rv;

	_Static_assert(SEALED_LEN > PLAIN_LEN, "one buffer holds either");
	if (armour_decode(data, sizeof(data), LABEL_SECRET, text, len) == PLAIN_LEN)
		rv = parse_plain(k, data, err);
	else if (armour_decode(data, sizeof(data), LABEL_SEALED, text, len) == SEALED_LEN)
		rv = parse_sealed(k, data, passphrase, err);
	else
		rv = fail(err, "not a secret key file");
	crypto_wipe(data, sizeof(data));
	if (rv == -1)
		crypto_wipe(k, sizeof(*k));
	return rv;
}

int
keyfile_read_secret(struct sign_key *k, const char *path, const char *(*passphrase)(void), char err[KEYFILE_ERR_MAX])
{
	char text[ARMOUR_TEXT_MAX + 1];
	ssize_t len;
	int rv = -1;

	if ((len = read_file(text, path, true, err)) != -1 &&
	    (rv = keyfile_parse_secret(k, text, (size_t)len, passphrase, err)) == -1)
		fail_at(err, path);
	crypto_wipe(text, sizeof(text));
	return rv;
}

static int
write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A name is on the disk only when its directory is. */
static int
sync_dir_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	int fd, rv;

	if (len >= sizeof(dir)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(dir, path, len);
	dir[len] = '\0';
	fd = open(slash == NULL ? "." : len == 0 ? "/" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	rv = fsync(fd);
	close(fd);
	return rv;
}

/* Sets the mode (whatever the umask), writes, and waits for the disk. Closes fd. */
static int
fill(int fd, mode_t mode, const char *text, size_t len)
{
	if (fchmod(fd, mode) == -1 || write_all(fd, text, len) == -1 || fsync(fd) == -1) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return close(fd);
}

static int
write_new(const char *path, const char *text, size_t len, char err[KEYFILE_ERR_MAX])
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1 && errno == EEXIST)
		return fail(err, "%s: exists already, and a secret key is never overwritten", path);
	if (fd == -1)
		return fail(err, "%s: %s", path, strerror(errno));
	if (fill(fd, 0600, text, len) == -1 || sync_dir_of(path) == -1) {
		fail(err, "%s: %s", path, strerror(errno));
		unlink(path);
		return -1;
	}
	return 0;
}

static int
write_over(const char *path, const char *text, size_t len, char err[KEYFILE_ERR_MAX])
{
	char temp[PATH_MAX];
	int fd;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= sizeof(temp))
		return fail(err, "%s: %s", path, strerror(ENAMETOOLONG));
	if ((fd = mkostemp(temp, O_CLOEXEC)) == -1)
		return fail(err, "%s: %s", path, strerror(errno));
	if (fill(fd, 0644, text, len) == -1 || rename(temp, path) == -1) {
		fail(err, "%s: %s", path, strerror(errno));
		unlink(temp);
		return -1;
	}
	return sync_dir_of(path) == -1 ? fail(err, "%s: %s", path, strerror(errno)) : 0;
}

static size_t
seal(char *text, size_t size, const struct sign_key *k, const char *passphrase)
{
	uint8_t data[SEALED_LEN], key[CHACHA20_POLY1305_AEAD_KEYSIZE];
	size_t len = 0;

	data[0] = KEYFILE_VERSION;
	data[SEALED_KDF] = KDF_PBKDF2_SHA256;
	for (int i = 0; i < 4; i++)
		data[SEALED_ROUNDS + i] = (uint8_t)(KEYFILE_ROUNDS >> (24 - 8 * i));
	crypto_random(data + SEALED_SALT, SALT_LEN + CHACHA20_POLY1305_AEAD_IV_SIZE);
	memcpy(data + SEALED_PUBLIC, k->public, SIGN_PUBLIC_LEN);
	if (derive(key, passphrase, data + SEALED_SALT, KEYFILE_ROUNDS) == 0 &&
	    wc_ChaCha20Poly1305_Encrypt(key, data + SEALED_NONCE, data, SEALED_SECRET, k->secret, SIGN_SECRET_LEN,
	    data + SEALED_SECRET, data + SEALED_TAG) == 0)
		len = armour_encode(text, size, LABEL_SEALED, data, sizeof(data));
	crypto_wipe(key, sizeof(key));
	return len;
}

static size_t
plain(char *text, size_t size, const struct sign_key *k)
{
	uint8_t data[PLAIN_LEN];
	size_t len;

	data[0] = KEYFILE_VERSION;
	memcpy(data + PLAIN_SECRET, k->secret, SIGN_SECRET_LEN);
	memcpy(data + PLAIN_PUBLIC, k->public, SIGN_PUBLIC_LEN);
	len = armour_encode(text, size, LABEL_SECRET, data, sizeof(data));
	crypto_wipe(data, sizeof(data));
	return len;
}

int
keyfile_write_secret(const struct sign_key *k, const char *path, const char *passphrase, char err[KEYFILE_ERR_MAX])
{
	char text[ARMOUR_TEXT_MAX];
	size_t len;
	int rv;

	len = passphrase == NULL ? plain(text, sizeof(text), k) : seal(text, sizeof(text), k, passphrase);
	rv = len == 0 ? fail(err, "%s: the library cannot seal the key", path) : write_new(path, text, len, err);
	crypto_wipe(text, sizeof(text));
	return rv;
}

int
keyfile_read_public(uint8_t public[SIGN_PUBLIC_LEN], const char *path, char err[KEYFILE_ERR_MAX])
{
	char text[ARMOUR_TEXT_MAX + 1];
	uint8_t data[PUBLIC_FILE_LEN];
	ssize_t len;

	if ((len = read_file(text, path, false, err)) == -1)
		return -1;
	if (armour_decode(data, sizeof(data), LABEL_PUBLIC, text, (size_t)len) != sizeof(data))
		return fail(err, "%s: not a public key file", path);
	if (data[0] != KEYFILE_VERSION)
		return fail(err, "%s: key file version %u is not known", path, data[0]);
	if (sign_public_check(data + 1) == -1)
		return fail(err, "%s: the key in it is not a sound Ed25519 key", path);
	memcpy(public, data + 1, SIGN_PUBLIC_LEN);
	return 0;
}

int
keyfile_write_public(const uint8_t public[SIGN_PUBLIC_LEN], const char *path, char err[KEYFILE_ERR_MAX])
{
	uint8_t data[PUBLIC_FILE_LEN] = { KEYFILE_VERSION };
	char text[ARMOUR_TEXT_MAX];

	memcpy(data + 1, public, SIGN_PUBLIC_LEN);
	return write_over(path, text, armour_encode(text, sizeof(text), LABEL_PUBLIC, data, sizeof(data)), err);
}

int
keyfile_read_record(uint8_t *buf, size_t size, const char *path, char err[KEYFILE_ERR_MAX])
{
	char text[ARMOUR_TEXT_MAX + 1];
	ssize_t len;
	int n;

	if ((len = read_file(text, path, false, err)) == -1)
		return -1;
	if (len >= 2 && memcmp(text, "FR", 2) == 0) {	/* a record's magic: it came without armour */
		if ((size_t)len > size)
			return fail(err, "%s: longer than a record may be", path);
		memcpy(buf, text, (size_t)len);
		return (int)len;
	}
	if ((n = armour_decode(buf, size, LABEL_RECORD, text, (size_t)len)) == -1)
		return fail(err, "%s: not a record file", path);
	return n;
}

int
keyfile_write_record(const uint8_t *rec, size_t len, const char *path, char err[KEYFILE_ERR_MAX])
{
	char text[ARMOUR_TEXT_MAX];
	size_t n = armour_encode(text, sizeof(text), LABEL_RECORD, rec, len);

	return n == 0 ? fail(err, "%s: not the length of a record", path) : write_over(path, text, n, err);
}
