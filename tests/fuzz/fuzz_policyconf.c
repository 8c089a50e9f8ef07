/*
 * policy.conf(5) from memory: whatever the text is, there is a policy or a reason with a line. What was read prints as text
 * that parses again to the same but for the lines of its rules; its tests run.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabricctl/policy_conf.h"

int	LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

static char *
print(const struct policy_conf *c, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (f == NULL)
		abort();
	policy_print(f, c->policy);
	if (fclose(f) != 0)
		abort();
	return text;
}

static size_t
encode(uint8_t buf[POLICY_MAX], struct policy_conf *c)
{
	const char *why;
	size_t len;

	for (uint32_t i = 0; i < c->source.nrules; i++)
		c->source.rule[i].line = 0;
	if ((len = policy_encode(buf, POLICY_MAX, &c->source, &why)) == 0)
		abort();
	return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	static uint8_t first[POLICY_MAX], second[POLICY_MAX];
	char err[POLICY_CONF_ERR_MAX], *text;
	struct policy_conf *c = policy_conf_parse("fuzz", (const char *)in, len, err), *again;
	size_t n;

	if (c == NULL) {
		if (strncmp(err, "fuzz:", 5) != 0)
			abort();
		return 0;
	}
	for (uint32_t i = 0; i < c->ntests && i < 100; i++)
		policy_conf_test(c, &c->tests[i], err);
	text = print(c, &n);
	if ((again = policy_conf_parse("again", text, n, err)) == NULL)
		abort();
	n = encode(first, c);
	if (encode(second, again) != n || memcmp(first, second, n) != 0)
		abort();
	free(text);
	policy_conf_free(c);
	policy_conf_free(again);
	return 0;
}
