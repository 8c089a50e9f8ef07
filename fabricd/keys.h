/* The node key and what the authority says about it. Never leaves the supervisor. */
#ifndef FABRICD_KEYS_H
#define FABRICD_KEYS_H

#include "crypto/crypto.h"
#include "fabricd/conf.h"

struct keys {
	struct sign_key	key;
	uint8_t		node_id[NODE_ID_LEN];
	uint8_t		authority[SIGN_PUBLIC_LEN];
	uint8_t		membership_raw[FRAME_RECORD_MAX];
	struct record	membership;		/* points into membership_raw */
};

/* Reads and checks: files, the certificate for this key and by this authority, name, time, peers. NULL and err. */
struct keys *keys_load(const struct conf *, char err[CONF_ERR_MAX]);
void	keys_free(struct keys *);	/* zeroes */

struct fabricd;
struct child;

/* Grows with every record of this process and, by the clock, of the one before it. */
uint64_t keys_serial(void);

/* A worker asks to certify its key. 0, or -1: it may not ask for that. The answer may come a little later. */
int	keys_delegate(struct child *, const struct pm_delegate *);

/* Certifies what had to wait, as far as the rate allows it now; the child's timer asks again for the rest. */
void	keys_delegate_due(struct child *);

/* After a reload: what was delegated is delegated again, under the new membership. */
void	keys_renew(struct fabricd *);

/* The child is gone, and its key with it. */
void	keys_forget(struct child *);

#endif
