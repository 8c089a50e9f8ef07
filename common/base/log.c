#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024

static const char *log_name = "fabric";
static int log_fd = STDERR_FILENO;
static enum log_level log_at = LOG_LEVEL_INFO;
static const char *const level_names[] = { "error", "warn", "info", "debug" };

void
log_init(const char *name, int fd, enum log_level level)
{
	/* The first gmtime_r() opens the time zone's file, which would kill a worker in its sandbox. */
	tzset();
	log_name = name;
	log_at = level;
	log_setfd(fd);
}

void
log_setfd(int fd)
{
	if (log_fd > STDERR_FILENO && log_fd != fd)
		close(log_fd);
	log_fd = fd;
}

void
log_setlevel(enum log_level level)
{
	log_at = level;
}

enum log_level
log_getlevel(void)
{
	return log_at;
}

int
log_level_parse(const char *s, enum log_level *level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(s, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	errno = EINVAL;
	return -1;
}

const char *
log_level_name(enum log_level level)
{
	return level_names[level];
}

/* A peer's or a client's text may stand among the arguments: nothing but printable bytes leaves. */
static size_t
printable(char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	return len;
}

static void
vlog(enum log_level level, int err, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	struct timespec ts;
	struct tm tm;
	size_t len;
	int n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line + len, sizeof(line) - len, ".%03ldZ %s[%d] %s: ",
	    ts.tv_nsec / 1000000, log_name, (int)getpid(), level_names[level]);
	len += (size_t)n;
	n = vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	if (n > 0)
		len += (size_t)n < sizeof(line) - len ? (size_t)n : sizeof(line) - len - 1;
	if (err != 0 && len < sizeof(line)) {
		n = snprintf(line + len, sizeof(line) - len, ": %s", strerror(err));
		len += (size_t)n < sizeof(line) - len ? (size_t)n : sizeof(line) - len - 1;
	}
	len = printable(line, len);
	if (len > sizeof(line) - 1)
		len = sizeof(line) - 1;
	line[len++] = '\n';
	/* A full disk must not stop a daemon: a line that cannot be written is lost. */
	if (write(log_fd, line, len) == -1)
		return;
}

#define LOG_BODY(level, err)                              \
	do {                                              \
		int saved = errno;                        \
		va_list ap;                               \
		if ((level) <= log_at) {                  \
			va_start(ap, fmt);                \
			vlog((level), (err), fmt, ap);    \
			va_end(ap);                       \
		}                                         \
		errno = saved;                            \
	} while (0)

void
log_warn(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_WARN, saved);
}

void
log_warnx(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_WARN, 0);
}

void
log_info(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_INFO, 0);
}

void
log_debug(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_DEBUG, 0);
}

void
fatal(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, saved);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, 0);
	exit(1);
}
