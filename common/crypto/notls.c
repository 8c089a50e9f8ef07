/*
 * For programs that use wolfCrypt and must hold no TLS: link this object and they hold none.
 *
 * wolfCrypt_Init(), which nobody here calls, shares an object of libwolfssl.a with functions that are needed,
 * and its one reference to wolfSSL_EVP_init() would pull all of TLS out of the archive. Defined here, it does
 * not; and when anything else pulls TLS in, the linker sees the name twice and refuses, which is the proof.
 */
#include <stdlib.h>

int	wolfSSL_EVP_init(void);

int
wolfSSL_EVP_init(void)
{
	abort();
}
