/* telemd's reader of HTTP requests: a part of a request says nothing yet or the same, and what follows it changes nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "telemd/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

/* Of exactly the bytes that there are, so that the sanitizer sees a read beyond them. */
static int
status_of(const uint8_t *data, size_t len)
{
	char *copy = malloc(len == 0 ? 1 : len);
	int status;

	HOLDS(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	status = len == 0 ? http_request(copy + 1, 0) : http_request(copy, len);
	free(copy);
	return status;
}

static int
is_answer(int status)
{
	return status == HTTP_OK || strcmp(http_reason(status), "Bad Request") != 0 || status == HTTP_BAD_REQUEST;
}

/* The first two bytes say where the request is cut. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t cut;
	int status, part;

	if (size < 2)
		return 0;
	cut = (size_t)(data[0] << 8 | data[1]);
	data += 2;
	size -= 2;
	status = status_of(data, size);
	part = status_of(data, cut % (size + 1));
	HOLDS(part == HTTP_MORE || part == status);
	HOLDS(status == HTTP_MORE ? size < HTTP_REQUEST_MAX : is_answer(status));
	if (status == HTTP_OK)
		HOLDS(size > 4 && memcmp(data, "GET ", 4) == 0 && memmem(data, size, "/metrics", 8) != NULL &&
		    memmem(data, size, "\r\n\r\n", 4) != NULL);
	return 0;
}
