/*
 * `fabricctl ping': an unreliable stream of the interactive class to another node's echo service, sealed end to end, and its
 * measurement.
 */
#ifndef SVCHOSTD_PINGER_H
#define SVCHOSTD_PINGER_H

#include "fabric/streamid.h"
#include "proc/worker.h"
#include "svchostd/names.h"

struct ipc;
struct pinger;

#define PINGS_MAX	16	/* requests under way at a time */
#define PING_COUNT_MAX	1000
#define PING_COUNT_DEFAULT 5
#define PING_INTERVAL_MS 200
#define PING_TIMEOUT_MS	1000
#define PING_NAME_MS	1000	/* how long a service record of the node is waited for */
#define PING_SHAKE_MS	3000	/* how long handshakes are tried, each for PING_TIMEOUT_MS */
#define PING_PAYLOAD_LEN 64

/*
 * What a ping carries: the magic, a random number of this request, sequence and time of sending (monotonic, ns), each
 * eight bytes big endian; zeros up to PING_PAYLOAD_LEN. Only an answer that repeats all of it counts.
 */
#define PING_MAGIC	0x66616270696e6731ull	/* "fabping1" */

/* All three are kept by reference: this adapter's own half of handshakes, and whose echo has which key. */
struct pinger *pinger_new(struct worker *, const struct e2e_self *, const struct names *);

/* The channel to the dataplane and its stream ids, kept by reference; NULL: it is gone, and so are all streams. */
void	pinger_port(struct pinger *, struct ipc *, struct stream_ids *);

/*
 * Begins: rows as answers come or fail to come, a last row with the sums, then the end. `name` is what a person calls it.
 * `up': there is a session to it.
 */
void	pinger_start(struct pinger *, const struct pm_request *, const uint8_t *node_id, const char *name, bool up);

/* A DATA frame or the end of a stream; false when the stream is none of the pinger's. */
bool	pinger_data(struct pinger *, const struct frame_data *);
bool	pinger_end(struct pinger *, uint64_t stream_id, uint64_t reason);

#endif
