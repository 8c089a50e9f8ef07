#include "proc/shmring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct shmring_control) <= SHMRING_CONTROL, "the flags have their own page");
_Static_assert((SHMRING_SIZE & (SHMRING_SIZE - 1)) == 0, "an index that overflows stays in its place");

/* Sizes cannot change any more: who maps it never gets SIGBUS from what the other does. */
#define SEALS		(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define RELEASE_EVERY	(SHMRING_SIZE / 8)	/* within a round of reading, so that the writer sees it go on */

static size_t
place(uint32_t index)
{
	return index & (SHMRING_SIZE - 1);
}

int
shmring_create(void)
{
	int fd = memfd_create("fabric-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int saved;

	if (fd == -1)
		return -1;
	if (ftruncate(fd, SHMRING_LEN) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static bool
size_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	return seals != -1 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &st) == 0 && st.st_size == SHMRING_LEN;
}

/* The same bytes twice, one behind the other. NULL with errno. */
static uint8_t *
map_twice(int fd, off_t off)
{
	uint8_t *p = mmap(NULL, 2 * (size_t)SHMRING_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int saved;

	if (p == MAP_FAILED)
		return NULL;
	if (mmap(p, SHMRING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, off) != MAP_FAILED &&
	    mmap(p + SHMRING_SIZE, SHMRING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, off) != MAP_FAILED)
		return p;
	saved = errno;
	munmap(p, 2 * (size_t)SHMRING_SIZE);
	errno = saved;
	return NULL;
}

int
shmring_map(struct shmring *r, int fd, unsigned side)
{
	void *control;
	int saved;

	memset(r, 0, sizeof(*r));
	if (side > 1 || !size_sealed(fd)) {
		errno = EINVAL;
		return -1;
	}
	control = mmap(NULL, SHMRING_CONTROL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		return -1;
	r->control = control;
	r->mine = &r->control->side[side];
	r->other = &r->control->side[1 - side];
	r->out = map_twice(fd, (off_t)(SHMRING_CONTROL + side * (size_t)SHMRING_SIZE));
	r->in = map_twice(fd, (off_t)(SHMRING_CONTROL + (1 - side) * (size_t)SHMRING_SIZE));
	if (r->out != NULL && r->in != NULL)
		return 0;
	saved = errno;
	shmring_unmap(r);
	errno = saved;
	return -1;
}

void
shmring_unmap(struct shmring *r)
{
	if (r->control != NULL)
		munmap(r->control, SHMRING_CONTROL);
	if (r->out != NULL)
		munmap(r->out, 2 * (size_t)SHMRING_SIZE);
	if (r->in != NULL)
		munmap(r->in, 2 * (size_t)SHMRING_SIZE);
	memset(r, 0, sizeof(*r));
}

/* How far the other has read: not back, and not beyond what it was shown. */
static void
see_tail(struct shmring *r)
{
	uint32_t tail = atomic_load_explicit(&r->other->tail, memory_order_acquire);

	if (tail - r->out_tail > r->published - r->out_tail)
		r->broken = true;
	else
		r->out_tail = tail;
}

/* How far the other has written; all that was seen before is read: not back, and not over what is not read yet. */
static void
see_head(struct shmring *r)
{
	uint32_t head = atomic_load_explicit(&r->other->head, memory_order_acquire);

	if (head - r->tail > SHMRING_SIZE)
		r->broken = true;
	else
		r->in_head = head;
}

static size_t
room(const struct shmring *r)
{
	return SHMRING_SIZE - (r->head - r->out_tail);
}

uint8_t *
shmring_reserve(struct shmring *r, size_t len)
{
	if (len > room(r))
		see_tail(r);
	return r->broken || len > room(r) ? NULL : r->out + place(r->head);
}

bool
shmring_publish(struct shmring *r)
{
	if (r->published == r->head)
		return false;
	r->published = r->head;
	atomic_store_explicit(&r->mine->head, r->head, memory_order_release);
	/* Either the other sees this before it sleeps, or it is seen here that it does: see shmring_sleep(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&r->other->sleeps, memory_order_relaxed) == 0)
		return false;
	atomic_store_explicit(&r->other->sleeps, 0, memory_order_relaxed);
	return true;
}

size_t
shmring_backlog(struct shmring *r)
{
	see_tail(r);
	return r->head - r->out_tail;
}

bool
shmring_wait(struct shmring *r, uint32_t backlog)
{
	atomic_store_explicit(&r->mine->waits, backlog + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	see_tail(r);
	if (r->head - r->out_tail > backlog)
		return true;
	atomic_store_explicit(&r->mine->waits, 0, memory_order_relaxed);
	return false;
}

size_t
shmring_readable(struct shmring *r, const uint8_t **p)
{
	if (r->in_head == r->tail)
		see_head(r);
	if (r->broken)
		return 0;
	*p = r->in + place(r->tail);
	return r->in_head - r->tail;
}

void
shmring_consume(struct shmring *r, size_t len)
{
	r->tail += (uint32_t)len;
	if (r->tail - r->released < RELEASE_EVERY)
		return;
	r->released = r->tail;
	atomic_store_explicit(&r->mine->tail, r->tail, memory_order_release);
}

bool
shmring_release(struct shmring *r)
{
	uint32_t waits;

	r->released = r->tail;
	atomic_store_explicit(&r->mine->tail, r->tail, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	waits = atomic_load_explicit(&r->other->waits, memory_order_relaxed);
	if (waits == 0 || r->in_head - r->tail > waits - 1)
		return false;
	atomic_store_explicit(&r->other->waits, 0, memory_order_relaxed);
	return true;
}

bool
shmring_sleep(struct shmring *r)
{
	atomic_store_explicit(&r->mine->sleeps, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&r->other->head, memory_order_relaxed) == r->in_head && r->in_head == r->tail)
		return true;
	shmring_wake(r);
	return false;
}

void
shmring_wake(struct shmring *r)
{
	atomic_store_explicit(&r->mine->sleeps, 0, memory_order_relaxed);
}
