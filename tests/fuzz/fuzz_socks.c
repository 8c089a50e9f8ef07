/* SOCKS5: however the bytes are cut, the same is said and wanted; nothing is taken that is behind the request. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "svchostd/socks.h"
#include "wire/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

struct outcome {
	enum socks_verdict v;
	size_t	taken, replied;
	uint8_t	reply[2 + SOCKS_REPLY_MAX];
	char	target[TARGET_MAX + 1];
};

/* `step': bytes at a time, at most; 0: as many as are wanted. */
static void
run(struct outcome *o, const uint8_t *data, size_t size, size_t step)
{
	struct socks s;
	uint8_t reply[SOCKS_REPLY_MAX], *copy;
	size_t n, len;

	memset(o, 0, sizeof(*o));
	socks_init(&s);
	for (o->v = SOCKS_MORE; o->v == SOCKS_MORE && o->taken < size; o->taken += n) {
		n = socks_want(&s);
		HOLDS(n > 0 && n <= SOCKS_MESSAGE_MAX);
		if (step > 0 && n > step)
			n = step;
		if (n > size - o->taken)
			n = size - o->taken;
		HOLDS((copy = malloc(n)) != NULL);
		memcpy(copy, data + o->taken, n);
		o->v = socks_input(&s, copy, n, reply, &len);
		free(copy);
		HOLDS(o->replied + len <= sizeof(o->reply));
		memcpy(o->reply + o->replied, reply, len);
		o->replied += len;
	}
	if (o->v == SOCKS_REQUEST)
		strcpy(o->target, s.target);
	HOLDS(strlen(s.host) <= 255 && text_printable((const uint8_t *)s.host, strlen(s.host)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, cut;

	if (size < 1)
		return 0;
	run(&whole, data + 1, size - 1, 0);
	run(&cut, data + 1, size - 1, 1 + data[0] % 16);
	HOLDS(memcmp(&whole, &cut, sizeof(whole)) == 0);
	if (whole.v == SOCKS_REQUEST)
		HOLDS(whole.target[0] != '\0' && whole.target[0] != '@' && whole.replied == 2);
	return 0;
}
