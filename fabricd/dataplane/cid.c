#include "fabricd/dataplane/cid.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_MIN 64u

struct cid_table {
	struct cid_entry **slots;
	size_t		   len, used;
	uint64_t	   secret;
};

static size_t
slot(const struct cid_table *t, const uint8_t *id, size_t len)
{
	uint64_t h = t->secret;

	/* Own ids, 8 random bytes, take one round. */
	while (len >= 8) {
		uint64_t word;

		memcpy(&word, id, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
		id += 8;
		len -= 8;
	}
	for (; len > 0; len--)
		h = (h ^ *id++) * 0x9e3779b97f4a7c15ull;
	return (size_t)(h >> 20) & (t->len - 1);
}

struct cid_table *
cid_table_new(uint64_t secret)
{
	struct cid_table *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	t->secret = secret;
	t->len = TABLE_MIN;
	if ((t->slots = calloc(t->len, sizeof(*t->slots))) == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

void
cid_table_free(struct cid_table *t)
{
	if (t == NULL)
		return;
	free(t->slots);		/* the entries went with their connections */
	free(t);
}

static struct cid_entry **
find(const struct cid_table *t, const uint8_t *id, size_t len)
{
	struct cid_entry **at = &t->slots[slot(t, id, len)];

	while (*at != NULL && ((*at)->len != len || memcmp((*at)->id, id, len) != 0))
		at = &(*at)->next;
	return at;
}

struct conn *
cid_find(const struct cid_table *t, const uint8_t *id, size_t len)
{
	const struct cid_entry *e = *find(t, id, len);

	return e == NULL ? NULL : e->conn;
}

static void
grow(struct cid_table *t)
{
	size_t old_len = t->len;
	struct cid_entry **old = t->slots, **slots = calloc(old_len * 2, sizeof(*slots));

	if (slots == NULL)
		return;		/* longer chains, nothing worse */
	t->slots = slots;
	t->len = old_len * 2;
	for (size_t i = 0; i < old_len; i++) {
		struct cid_entry *e, *next;

		for (e = old[i]; e != NULL; e = next) {
			size_t at = slot(t, e->id, e->len);

			next = e->next;
			e->next = slots[at];
			slots[at] = e;
		}
	}
	free(old);
}

int
cid_add(struct cid_table *t, struct cid_list *list, struct conn *c, const uint8_t *id, size_t len)
{
	struct cid_entry *e, **at;

	if (len > CID_MAX)
		return -1;
	if (t->used >= t->len)
		grow(t);
	at = find(t, id, len);
	if (*at != NULL)
		return (*at)->conn == c ? 0 : -1;
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return -1;
	e->conn = c;
	e->len = (uint8_t)len;
	memcpy(e->id, id, len);
	*at = e;
	t->used++;
	LIST_INSERT_HEAD(list, e, of_conn);
	return 0;
}

void
cid_remove(struct cid_table *t, const uint8_t *id, size_t len)
{
	struct cid_entry **at = find(t, id, len), *e = *at;

	if (e == NULL)
		return;
	*at = e->next;
	LIST_REMOVE(e, of_conn);
	t->used--;
	free(e);
}

void
cid_remove_all(struct cid_table *t, struct cid_list *list)
{
	struct cid_entry *e;

	while ((e = LIST_FIRST(list)) != NULL)
		cid_remove(t, e->id, e->len);
}
