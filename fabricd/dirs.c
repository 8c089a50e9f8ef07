#include "fabricd/dirs.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fabricd/fabricd.h"
#include "fabricd/paths.h"

static int lock_fd = -1;

/* mkdir -p; directories on the way are root's and readable. */
static void
make_parents(const char *path)
{
	char p[CONF_PATH_MAX + 40];

	snprintf(p, sizeof(p), "%s", path);
	for (char *s = strchr(p + 1, '/'); s != NULL; s = strchr(s + 1, '/')) {
		*s = '\0';
		if (mkdir(p, 0755) == -1 && errno != EEXIST)
			fatal("directory %s", p);
		*s = '/';
	}
}

static void
make(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat st;
	int fd;

	make_parents(path);
	if (mkdir(path, mode) == -1 && errno != EEXIST)
		fatal("directory %s", path);
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) == -1 || fstat(fd, &st) == -1)
		fatal("directory %s", path);
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) == -1)
		fatal("owner of %s", path);
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) == -1)
		fatal("mode of %s", path);
	close(fd);
}

/* Workers are locked into it: what is in it, they could reach. */
static void
check_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	if (dir == NULL)
		fatal("directory %s", path);
	while ((e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			fatalx("directory %s holds \"%s\": the chroot of the workers must be empty", path, e->d_name);
	closedir(dir);
}

void
dirs_make(const struct fabricd *d)
{
	const struct conf *c = d->setup->conf;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char state[CONF_PATH_MAX + 40];

	make(c->dir[DIR_RUN], 0755, uid, gid);
	make(c->dir[DIR_LOG], 0755, uid, gid);
	make(c->dir[DIR_STATE], 0755, uid, gid);
	snprintf(state, sizeof(state), "%s/%s", c->dir[DIR_STATE], worker_table[WORKER_ROUTED].executable);
	if (!d->root) {
		make(state, 0700, uid, gid);
		return;
	}
	/* Root's group may look, so that routed, still root, can lock itself in without overriding permissions. */
	make(state, 0750, d->setup->user[WORKER_ROUTED].uid, gid);
	make(c->dir[DIR_CHROOT], 0755, uid, gid);
	check_empty(c->dir[DIR_CHROOT]);
}

static void
pid_path(char path[CONF_PATH_MAX + 1], const struct conf *c)
{
	snprintf(path, CONF_PATH_MAX + 1, "%.*s/%s", CONF_RUN_MAX, c->dir[DIR_RUN], NAME_PID);
}

static void
lock(int fd, const char *path)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		fatalx("%s is locked: fabricd runs already with this run directory", path);
}

void
dirs_check_lock(const struct conf *c)
{
	char path[CONF_PATH_MAX + 1];
	int fd;

	pid_path(path, c);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) == -1)
		return;
	lock(fd, path);
	close(fd);
}

void
dirs_lock(const struct fabricd *d)
{
	char path[CONF_PATH_MAX + 1];

	pid_path(path, d->setup->conf);
	lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (lock_fd == -1)
		fatal("%s", path);
	lock(lock_fd, path);
	dirs_write_pid();
}

void
dirs_write_pid(void)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(lock_fd, 0) == -1 || pwrite(lock_fd, text, (size_t)n, 0) != n)
		log_warn("pid file");
}

void
dirs_unlock(const struct fabricd *d)
{
	char path[CONF_PATH_MAX + 1];

	pid_path(path, d->setup->conf);
	unlink(path);
}
