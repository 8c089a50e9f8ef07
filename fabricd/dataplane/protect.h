/* QUIC packet protection, past OpenSSL's interface: see protect.c. */
#ifndef DATAPLANE_PROTECT_H
#define DATAPLANE_PROTECT_H

#include <ngtcp2/ngtcp2.h>

/* Sets the callbacks encrypt, decrypt and hp_mask. */
void	protect_callbacks(ngtcp2_callbacks *);

#endif
