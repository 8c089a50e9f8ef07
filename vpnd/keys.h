/*
 * The keys of vpnd: its own, certified by the supervisor, and those that it has with each peer, by a handshake for each
 * direction of opening. What this node sends goes under the keys of the handshake that it opened, what a peer sends under
 * those of the peer's; every stream has its own, derived with a counter. fabric-e2e(7), "Service vpn".
 */
#ifndef VPND_KEYS_H
#define VPND_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ratelimit.h"
#include "fabric/e2e.h"
#include "proc/procmsg.h"

struct vpnd;
struct vpn_stream;

/* An OPEN_STREAM's handshake field that is no message 1 but names keys: kind, key id, counter (8 bytes, big endian). */
#define KEYED_KIND	0x80u
#define KEYED_LEN	(1u + E2E_KEY_ID_LEN + 8u)

#define KEYS_SHAKE_NS	(400 * 1000000ull)	/* for message 2, the first time; then twice as long each time, */
#define KEYS_SHAKE_MAX_NS (3200 * 1000000ull)	/* up to this */
#define KEYS_BACKOFF_MIN_NS (50 * 1000000ull)	/* after a refusal; the same */
#define KEYS_BACKOFF_MAX_NS (5000 * 1000000ull)
#define KEYS_RENEW_NS	(600 * 1000000000ull)	/* a handshake anew, when they are used */
#define KEYS_STABLE_NS	(10 * 1000000000ull)	/* what lived so long was good */
#define KEYS_MARGIN_S	120u			/* before they end they are renewed */
#define KEYS_ACCEPT_NS	(100 * 1000000ull)	/* a handshake of a peer's each, and some at once */
#define KEYS_ACCEPT_BURST 20u

/* Keys that a peer's handshake made, and which of its streams it has had. */
struct keys_in {
	bool	 have;
	struct e2e_keys keys;
	uint64_t not_after;	/* seconds since 1970 */
	uint64_t top, seen;	/* the highest counter, and of the 64 up to it which were */
};

enum { KEYS_NEW, KEYS_CURRENT, KEYS_LAST, KEYS_SLOTS };	/* new: nothing has opened with them yet */

struct vpn_keys {	/* with one peer */
	bool	 have_service;
	struct e2e_service service;	/* the peer's "vpn" */
	/* what we seal */
	struct e2e *shake;		/* the handshake under way, or NULL */
	uint64_t shake_id, shake_end_ns, shake_wait_ns;
	uint64_t moved_ns;		/* when one that was moved began anew at once */
	uint64_t retry_ns, backoff_ns;
	bool	 have;
	struct e2e_keys out;
	uint64_t out_ns, out_wall;	/* since when: monotonic, seconds since 1970 */
	uint64_t out_not_after, out_counter;
	/* what we open */
	struct keys_in in[KEYS_SLOTS];
	struct ratelimit accepts;
};

/* Makes this vpnd's own key. */
void	vpn_keys_start(struct vpnd *);

/* A configuration is running: asks for the key to be certified. */
void	vpn_keys_configured(struct vpnd *);

/* The supervisor's answer. -1: it is not for us. */
int	vpn_keys_delegation(struct vpnd *, const struct pm_delegation *);

/* What routed says of services; others than "vpn", and what does not verify, are left alone. */
void	vpn_keys_service(struct vpnd *, const struct pm_service *);
void	vpn_keys_service_del(struct vpnd *, const struct pm_service_del *);

/* A peer came up, or the channel: its service has to be known. */
void	vpn_keys_ask(struct vpnd *);

/* Begins, gives up and renews handshakes as it is time; also each second. */
void	vpn_keys_run(struct vpnd *);

/* The stream keys for one more stream to the peer, and its OPEN_STREAM's field. -1: there are no keys (yet). */
int	vpn_keys_out(struct vpnd *, uint32_t peer, unsigned class, struct e2e_keys *, uint8_t field[KEYED_LEN]);

/* What came on a handshake's stream of ours: message 2, or nothing that is one. */
void	vpn_keys_message(struct vpnd *, struct vpn_stream *, const uint8_t *message, size_t len);

/* The other side ended it. */
void	vpn_keys_shake_ended(struct vpnd *, uint32_t peer, uint64_t reason);

/* A stream of ours was reset for want of its key: `id' is the handshake's. */
void	vpn_keys_lost(struct vpnd *, uint32_t peer, const uint8_t id[E2E_KEY_ID_LEN]);

/*
 * A peer opens a stream: with message 1, which is answered, or with packets under keys that we have. Makes the stream, or
 * returns why it is refused.
 */
uint64_t vpn_keys_accept(struct vpnd *, const struct frame_open_stream *, uint32_t peer);

/* The first packet of a stream has opened: who knows its keys is there now. */
void	vpn_keys_proven(struct vpnd *, const struct vpn_stream *);

/* The peer's session ended: handshakes under way are over; the keys stay. */
void	vpn_keys_down(struct vpnd *, uint32_t peer);

/* The peer is forgotten. */
void	vpn_keys_clear(struct vpn_keys *);
void	vpn_keys_stop(struct vpnd *);

#endif
