#include "proc/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct stats_page) == STATS_PAGE_LEN, "a page is exactly so long");

#define SLOTS (sizeof(((struct stats_page *)NULL)->counter) / sizeof(uint64_t))
_Static_assert((int)STAT_DATAPLANE_COUNT <= (int)SLOTS && (int)STAT_ROUTED_COUNT <= (int)SLOTS &&
    (int)STAT_VPND_COUNT <= (int)SLOTS && (int)STAT_SVCHOSTD_COUNT <= (int)SLOTS &&
    (int)STAT_TELEMD_COUNT <= (int)SLOTS, "every list fits the page");

/* Sizes cannot change any more: who maps a page never gets SIGBUS from what its writer does. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static struct stats_page private_page;
struct stats_page *stats = &private_page;

#define X(sym, name, labels, help) { name, labels, help },
static const struct stats_desc dataplane_list[] = { STATS_DATAPLANE };
static const struct stats_desc routed_list[] = { STATS_ROUTED };
static const struct stats_desc vpnd_list[] = { STATS_VPND };
static const struct stats_desc svchostd_list[] = { STATS_SVCHOSTD };
static const struct stats_desc telemd_list[] = { STATS_TELEMD };
#undef X

#define LIST(l) { l, sizeof(l) / sizeof((l)[0]) }
static const struct {
	const struct stats_desc *list;
	size_t count;
} lists[WORKER_COUNT] = {
	[WORKER_DATAPLANE] = LIST(dataplane_list), [WORKER_ROUTED] = LIST(routed_list),
	[WORKER_VPND] = LIST(vpnd_list), [WORKER_SVCHOSTD] = LIST(svchostd_list),
	[WORKER_TELEMD] = LIST(telemd_list),
};

uint64_t
stats_heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Each kind has slots of its own, so that none takes another's. */
static const struct { unsigned first, n; } regions[BY_COUNT] = {
	[BY_SERVICE] = { 0, 128 }, [BY_PEER] = { 128, 128 }, [BY_CLASS] = { 256, 16 }, [BY_REASON] = { 272, 80 },
};
_Static_assert(272 + 80 == STATS_SHARES, "all are used");

struct stats_share *
stats_share(enum stats_by by, const char *name)
{
	struct stats_share *first = &stats->share[regions[by].first], *s;

	if (first->by == BY_NOTHING) {
		strcpy(first->name, STATS_SHARE_OTHER);
		__atomic_store_n(&first->by, by, __ATOMIC_RELEASE);
	}
	for (s = first + 1; s < first + regions[by].n; s++) {
		if (s->by == BY_NOTHING) {
			if (strlen(name) >= sizeof(s->name))
				return first;
			strcpy(s->name, name);
			__atomic_store_n(&s->by, by, __ATOMIC_RELEASE);
			return s;
		}
		if (strcmp(s->name, name) == 0)
			return s;
	}
	return first;
}

const struct stats_desc *
stats_desc(enum worker_kind kind, size_t *count)
{
	if ((unsigned)kind >= WORKER_COUNT) {
		*count = 0;
		return NULL;
	}
	*count = lists[kind].count;
	return lists[kind].list;
}

int
stats_create(void)
{
	int fd = memfd_create("fabric-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int saved;

	if (fd == -1)
		return -1;
	if (ftruncate(fd, STATS_PAGE_LEN) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int
stats_open_ro(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void *
map_page(int fd, int prot)
{
	struct stat st;
	void *p = MAP_FAILED;
	int saved, seals = fcntl(fd, F_GET_SEALS);

	if (seals == -1 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &st) == -1 ||
	    st.st_size != STATS_PAGE_LEN)
		errno = EINVAL;
	else
		p = mmap(NULL, STATS_PAGE_LEN, prot, MAP_SHARED, fd, 0);
	saved = errno;
	close(fd);
	errno = saved;
	return p;
}

int
stats_map(int fd, enum worker_kind kind, uint32_t generation)
{
	struct stats_page *p = map_page(fd, PROT_READ | PROT_WRITE);
	size_t count;

	if (p == MAP_FAILED)
		return -1;
	stats_desc(kind, &count);
	p->magic = STATS_MAGIC;
	p->kind = kind;
	p->generation = generation;
	p->count = (uint32_t)count;
	stats = p;
	return 0;
}

const struct stats_page *
stats_map_ro(int fd)
{
	void *p = map_page(fd, PROT_READ);

	return p == MAP_FAILED ? NULL : p;
}

void
stats_unmap(const struct stats_page *p)
{
	if (p != NULL)
		munmap((void *)(uintptr_t)p, STATS_PAGE_LEN);
}
