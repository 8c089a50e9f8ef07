/*
 * fabricd.conf(5) from memory: whatever the text is, there is a configuration or a reason with a line. What
 * was parsed prints as text that parses again to the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabricd/conf.h"

int	LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

static char *
print(const struct conf *c, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (f == NULL)
		abort();
	conf_print(f, c);
	if (fclose(f) != 0)
		abort();
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	char err[CONF_ERR_MAX], *first, *second;
	struct conf *c = conf_parse_text("fuzz", (const char *)in, len, err);
	size_t n, m;

	if (c == NULL) {
		if (strncmp(err, "fuzz:", 5) != 0)
			abort();
		return 0;
	}
	first = print(c, &n);
	conf_free(c);
	if ((c = conf_parse_text("again", first, n, err)) == NULL)
		abort();
	second = print(c, &m);
	conf_free(c);
	if (n != m || memcmp(first, second, n) != 0)
		abort();
	free(first);
	free(second);
	return 0;
}
