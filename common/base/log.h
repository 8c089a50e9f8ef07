/*
 * Logging: one line, one event, "key=value" for what an operator would search.
 * Each process writes to one descriptor; the supervisor opens the file and
 * hands the descriptor in, so that a worker never needs a path.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * Starts logging as `name` (kept by reference) to `fd`, which the log owns
 * from then on unless it is 2. Before log_init() lines go to stderr.
 */
void	log_init(const char *name, int fd, enum log_level level);

/* Replaces the descriptor (after a rotation) and closes the one before it. */
void	log_setfd(int fd);
void	log_setlevel(enum log_level level);
enum log_level	log_getlevel(void);

/* "error", "warn", "info", "debug"; -1 with errno EINVAL when it is none of them. */
int	log_level_parse(const char *s, enum log_level *level);
const char *log_level_name(enum log_level level);

/* log_warn() and fatal() append ": " and strerror(errno); the x forms do not. errno is kept. */
void	log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void	fatalx(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
