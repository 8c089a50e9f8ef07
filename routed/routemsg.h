/*
 * The messages between routeds that are about routes: asking a coordinator, its answer, installing, and receipts. Each is
 * the body of one of dirmsg.h's numbers; fabric-lease(5) is normative. Decoded fields are borrowed from the body.
 */
#ifndef ROUTED_ROUTEMSG_H
#define ROUTED_ROUTEMSG_H

#include "crypto/box.h"
#include "fabric/ticket.h"
#include "routed/coordinator.h"
#include "routed/dirmsg.h"

#define ROUTEMSG_TTL	4u		/* times that a request is handed on, at most */
#define ROUTEMSG_LIFE_S	60u		/* a request is valid for so long */
#define ROUTEMSG_MAX	(68u * 1024)	/* MESH_BODY_MAX */
#define REQUEST_MAX	2600u		/* bytes of a request's record */
#define REQUEST_TO_MAX	3u		/* coordinators that one request is for */
#define REQUEST_PROLOGUE "fabric route request v1"	/* with its NUL, then the request's id: what the boxes bind; */
#define ANSWER_PROLOGUE	"fabric route answer v1"	/* and of an answer */
#define REFUSAL_PROLOGUE "fabric route refusal v1"	/* with its NUL, then the id and the error: what is proven of a refusal */
#define REFUSAL_PROOF_LEN 16u

/* Why a route could not be installed, when it is none of enum ticket_error's. */
enum install_error {
	INSTALL_OK = TICKET_OK,
	INSTALL_E_NO_NEXT = 32,		/* the hop has no session to the next one */
	INSTALL_E_TIMEOUT,		/* the next one did not answer */
	INSTALL_E_UNKNOWN,		/* the destination does not know who the source is, yet */
	INSTALL_E_RATE,			/* too many from this neighbour, or of this tenant */
	INSTALL_E_CLOSED,		/* it was taken back */
	INSTALL_E_LAST
};
const char *install_strerror(unsigned);		/* of enum ticket_error, too */

/* DIRMSG_ROUTE_REQUEST: handed on by neighbours toward a coordinator, each of which can open what is sealed to it. */
struct route_request {
	uint8_t	 ttl;
	uint64_t id;			/* random, the source's */
	uint8_t	 n;			/* 1..REQUEST_TO_MAX */
	struct {
		const uint8_t *to;		/* NODE_ID_LEN */
		struct frame_bytes box;		/* RECORD_ROUTE_REQUEST, by the source's route key, sealed to its ticket key */
	} sealed[REQUEST_TO_MAX];
};
int	route_request_decode(struct route_request *, const uint8_t *p, size_t len);
size_t	route_request_encode(uint8_t *buf, size_t size, const struct route_request *);
size_t	route_request_prologue(uint8_t buf[64], uint64_t id);

/* The record's content: the id again, and what is asked for; ask->source and ask->self are not in it. */
int	route_ask_decode(struct lease_ask *, uint64_t *id, const uint8_t *p, size_t len);
size_t	route_ask_encode(uint8_t *buf, size_t size, const struct lease_ask *, uint64_t id);

/* DIRMSG_ROUTE_ANSWER: back the way that the request came. */
struct route_answer {
	uint64_t id;
	uint8_t	 error;			/* enum lease_error */
	struct frame_bytes box;		/* the leases, sealed to the source's ticket key; with an error REFUSAL_PROOF_LEN bytes */
};
int	route_answer_decode(struct route_answer *, const uint8_t *p, size_t len);
size_t	route_answer_encode(uint8_t *buf, size_t size, const struct route_answer *);
size_t	route_answer_prologue(uint8_t buf[64], uint64_t id);

/*
 * That who refuses has opened the request: nobody else but the source has its record, which was sealed to those who may
 * answer.
 * The key is the record's; the proof is of this request and this error alone. 0, or -1 when the library fails.
 */
void	route_refusal_key(uint8_t key[HASH_LEN], const uint8_t *record, size_t len);
int	route_refusal_proof(uint8_t proof[REFUSAL_PROOF_LEN], const uint8_t key[HASH_LEN], uint64_t id, unsigned error);

/* What is in the box: leases, each with its length before it. The count, or a negative frame_error. */
int	route_leases_decode(struct lease out[LEASE_MAX], const uint8_t *p, size_t len);
size_t	route_leases_encode(uint8_t *buf, size_t size, const struct lease *, size_t n);

/* DIRMSG_INSTALL: the tickets of the receiver and of all behind it, in their order, each sealed. */
struct route_install {
	uint64_t route_id;
	uint8_t	 n;
	struct frame_bytes sealed[LEASE_HOPS_MAX];
	struct frame_bytes rest;	/* decoded: what is to be handed on, the tickets behind the first as they came */
};
int	route_install_decode(struct route_install *, const uint8_t *p, size_t len);
size_t	route_install_encode(uint8_t *buf, size_t size, const struct route_install *);

/* DIRMSG_INSTALLED, toward the source; DIRMSG_TEARDOWN, either way: `error' is then why. */
struct route_installed {
	uint64_t route_id;
	uint8_t	 error;			/* enum ticket_error or install_error */
	uint8_t	 left;			/* nodes of the route that had not installed it; 0: all have */
};
int	route_installed_decode(struct route_installed *, const uint8_t *p, size_t len);
size_t	route_installed_encode(uint8_t *buf, size_t size, const struct route_installed *);

#endif
