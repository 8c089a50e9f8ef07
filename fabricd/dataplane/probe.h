/*
 * Is a way there, and how is it? Each dataplane serves "probe": it sends back the first bytes of every unit of such a
 * stream. So a way is asked from one end to the other, through whatever nodes it leads, by the same frames as all else.
 */
#ifndef DATAPLANE_PROBE_H
#define DATAPLANE_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "fabricd/dataplane/timer.h"

#define PROBE_RING	64u		/* probes whose answer may still come; a power of two */
#define PROBE_SECONDS	8u		/* that loss is counted over */
#define PROBE_ECHO_MAX	16u		/* bytes that are sent back */
#define PROBE_SIZES	4u

struct dataplane;
struct way;

struct probe_sent {
	uint64_t at_ns, nonce;
	uint16_t size;			/* bytes of the frame; 0: as small as can be */
	bool	 answered;
};

struct probe {
	LIST_ENTRY(probe) by_id;
	struct timer	 timer;
	bool		 on;
	bool		 refused;	/* the far node does not answer such streams */
	uint64_t	 stream_id;	/* 0: none */
	uint64_t	 due_ns;	/* when the timer is */
	uint64_t	 next_ns;	/* when the next is sent */
	uint32_t	 seq, judged;	/* of the next; of the oldest that is not known to be lost */
	struct probe_sent sent[PROBE_RING];
	uint64_t	 answered_ns;	/* the last answer, 0: none yet */
	uint64_t	 first_ns;	/* when the first was sent that is not answered, of those since; 0: none */
	uint32_t	 since;		/* how many were sent since the last answer */
	uint32_t	 good;		/* answers on end of a way that was silent */
	uint64_t	 srtt_ns, rttvar_ns;
	struct { uint32_t second; uint16_t ok, lost; } counts[PROBE_SECONDS];
	/* what a datagram over all of it holds */
	uint32_t	 datagram_max;	/* 0: not known */
	uint8_t		 size_at;	/* of the sizes that are tried */
	uint8_t		 size_tries;
	uint64_t	 size_ns;	/* when the next is tried */
};

int	probes_init(struct dataplane *);
void	probes_free(struct dataplane *);

void	probe_start(struct way *);
void	probe_stop(struct way *);

/* At once, as something has changed. */
void	probe_soon(struct way *);

/* Sends the answers that were asked for. */
void	probes_flush(struct dataplane *);
/* Before the loop waits again. */
void	probes_arm(struct dataplane *);

/* The way's loss, in thousandths, of so many probes. */
uint16_t probe_loss(const struct probe *, uint64_t now_ns, uint32_t *probes);

#endif
