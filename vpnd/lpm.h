/*
 * Longest prefix match for IPv4 and IPv6: a path-compressed binary trie in one array. A table is built once and then
 * only read; a change builds a new one.
 */
#ifndef VPND_LPM_H
#define VPND_LPM_H

#include <stddef.h>
#include <stdint.h>

#include "wire/record.h"

#define LPM_NONE UINT32_MAX

struct lpm;

/* An empty table, or NULL with errno. lpm_free(NULL) is fine. */
struct lpm *lpm_new(void);
void	lpm_free(struct lpm *);

/* Takes all prefixes out. */
void	lpm_clear(struct lpm *);

/*
 * Adds a prefix with a value below LPM_NONE. 0; 1 when this very prefix is there already (it keeps its value, which
 * *holder receives unless NULL); -1 with errno: EINVAL, or ENOMEM.
 */
int	lpm_insert(struct lpm *, const struct record_prefix *, uint32_t value, uint32_t *holder);

/* The value of the longest prefix that holds addr, or LPM_NONE. addr has 4 or 16 bytes. */
uint32_t	lpm_lookup4(const struct lpm *, const uint8_t *addr);
uint32_t	lpm_lookup6(const struct lpm *, const uint8_t *addr);

size_t	lpm_count(const struct lpm *);

#endif
