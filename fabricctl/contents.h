/* What a record says in its content, by its kind, for fabricctl record. */
#ifndef FABRICCTL_CONTENTS_H
#define FABRICCTL_CONTENTS_H

#include <stdbool.h>

#include "wire/record.h"

/* Lines as the others of the record: a word, padded, and what it is. False: the content is malformed, and that is said. */
bool	contents_text(const struct record *);

/* The same as members of a JSON object, each with a comma behind it. */
bool	contents_json(const struct record *);

#endif
