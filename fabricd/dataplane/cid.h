/* Which connection a QUIC connection id, or a stateless reset token, belongs to. */
#ifndef DATAPLANE_CID_H
#define DATAPLANE_CID_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define CID_OWN_LEN	8	/* of the ids that we give */
#define CID_MAX		20

struct conn;

struct cid_entry {
	LIST_ENTRY(cid_entry) of_conn;
	struct cid_entry *next;
	struct conn	*conn;
	uint8_t		 len;
	uint8_t		 id[CID_MAX];
};

LIST_HEAD(cid_list, cid_entry);
struct cid_table;

/* `secret` keeps strangers, who choose their first ids, from filling one chain. */
struct cid_table *cid_table_new(uint64_t secret);
void	cid_table_free(struct cid_table *);
struct conn *cid_find(const struct cid_table *, const uint8_t *id, size_t len);
/* -1 when memory is short or another connection has it. */
int	cid_add(struct cid_table *, struct cid_list *, struct conn *, const uint8_t *id, size_t len);
void	cid_remove(struct cid_table *, const uint8_t *id, size_t len);
void	cid_remove_all(struct cid_table *, struct cid_list *);

#endif
