/*
 * Shared memory of two processes that need not trust each other: a byte ring for each direction, each with one writer
 * and one reader, and for each process the word that it sleeps, or waits for room. No descriptor is left of it once it
 * is mapped, its size is sealed (so no access of it can fail because of the other side), and each ring is mapped twice,
 * one behind the other: what is written or read at once is always in one piece.
 *
 * What the other process says is an index and checked; whatever else it does, an access stays within the rings.
 * What it wrote it may change at any time afterwards, though. So:
 *   - nothing that is read here may be read twice when the two results have to agree: what is decided upon (a header, a
 *     length, an address that is checked) is copied out first, and then only the copy is looked at;
 *   - authenticated ciphertext is opened, and plaintext is sealed, in private memory: a cipher that reads its
 *     ciphertext once for the tag and once for the text, as GCM and ChaCha20-Poly1305 do, would in here
 *     authenticate one text and deliver another.
 */
#ifndef PROC_SHMRING_H
#define PROC_SHMRING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHMRING_SIZE	(1u << 22)	/* of one direction; at 3 Gbit/s 11 ms */
#define SHMRING_CONTROL	4096u		/* bytes before the rings */
#define SHMRING_LEN	(SHMRING_CONTROL + 2 * (size_t)SHMRING_SIZE)	/* of the memfd */

/* What one process writes, the other reads and, of the flags, clears. Indexes count bytes and run on past the size. */
struct shmring_side {
	_Alignas(64) _Atomic uint32_t head;	/* of the ring that it writes: up to here the other may read */
	_Alignas(64) _Atomic uint32_t tail;	/* of the ring that it reads: up to here the other may write again */
	_Alignas(64) _Atomic uint32_t sleeps;	/* it has read all and wants the doorbell when there is more */
	_Alignas(64) _Atomic uint32_t waits;	/* 1 + bytes: it wants the doorbell when no more than these are unread */
};

struct shmring_control {
	struct shmring_side side[2];
};

/* One process's end. Its fields are its own module's: what they say is never read back from the shared memory. */
struct shmring {
	struct shmring_control *control;
	struct shmring_side *mine, *other;
	uint8_t	*out, *in;		/* each SHMRING_SIZE bytes, twice */
	uint32_t head, published;	/* written up to; the other knows up to */
	uint32_t out_tail;		/* the other has read up to, as last seen */
	uint32_t tail, released;	/* read up to; the other knows up to */
	uint32_t in_head;		/* the other has written up to, as last seen */
	bool	 broken;		/* the other gave an index that cannot be: for good */
};

/* The memory: a memfd of sealed size, all zeroes. -1 with errno. Not for a worker: its filter has no memfd_create(). */
int	shmring_create(void);

/*
 * Maps one end of what shmring_create() made; side 0 or 1. The descriptor stays the caller's and is not needed
 * afterwards. -1 with errno; EINVAL: its size is not the right one, or not sealed.
 */
int	shmring_map(struct shmring *, int fd, unsigned side);
void	shmring_unmap(struct shmring *);

/* Room for `len` bytes behind what is written, in one piece; NULL: there is none now, or the ring is broken. */
uint8_t	*shmring_reserve(struct shmring *, size_t len);

/* Keeps the first `len` of them. */
static inline void
shmring_commit(struct shmring *r, size_t len)
{
	r->head += (uint32_t)len;
}

/* Bytes that are written and that the other side does not know of. */
static inline size_t
shmring_unpublished(const struct shmring *r)
{
	return r->head - r->published;
}

/* Lets the other side read what is written. True: it sleeps, and the caller has to wake it. */
bool	shmring_publish(struct shmring *);

/* Bytes that are written and that the other side has not read. */
size_t	shmring_backlog(struct shmring *);

/* Asks to be woken when the other side has read all but `backlog` bytes. False: it has already. */
bool	shmring_wait(struct shmring *, uint32_t backlog);

/* Bytes that can be read at *p, in one piece: 0 when there are none or the ring is broken. */
size_t	shmring_readable(struct shmring *, const uint8_t **p);

/* Takes the first `len` of them: what they were is not to be looked at any more. */
void	shmring_consume(struct shmring *, size_t len);

/* Tells the other side what was consumed. True: it waited for that, and the caller has to wake it. */
bool	shmring_release(struct shmring *);

/* Says that this side sleeps, and has to be woken when there is more. False: there is more already, it does not. */
bool	shmring_sleep(struct shmring *);
void	shmring_wake(struct shmring *);

#endif
