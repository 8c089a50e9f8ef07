/* The rights of the supervisor itself. */
#ifndef FABRICD_PRIV_H
#define FABRICD_PRIV_H

#include <stdbool.h>

/* As root: keeps the listed capabilities and gives up all others for good. Under -U: none at all. Fatal on failure. */
void	priv_drop(bool root);

#endif
