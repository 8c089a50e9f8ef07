/* The messages about routes: what decodes is encoded again to the same bytes, as far as it says how it was written. */
#include <stdlib.h>
#include <string.h>

#include "routed/routemsg.h"

static uint8_t out[ROUTEMSG_MAX + 64];

static void
same(size_t len, const uint8_t *p, size_t n)
{
	if (len != n || memcmp(out, p, n) != 0)
		abort();
}

static void
leases(const uint8_t *p, size_t n)
{
	struct lease v[LEASE_MAX];
	int count = route_leases_decode(v, p, n);

	if (count < 0)
		return;
	if (route_leases_encode(out, sizeof(out), v, (size_t)count) > sizeof(out))
		abort();
	for (int i = 0; i < count; i++)
		lease_free(&v[i]);
}

static void
asks(const uint8_t *p, size_t n)
{
	struct lease_ask a, b;
	uint64_t id = 0, id2 = 0;
	size_t len;

	if (route_ask_decode(&a, &id, p, n) < 0)
		return;
	len = route_ask_encode(out, sizeof(out), &a, id);
	if (len == 0 || route_ask_decode(&b, &id2, out, len) < 0 || id != id2 || memcmp(&a, &b, sizeof(a)) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct route_request q;
	struct route_answer a;
	struct route_install in;
	struct route_installed done;

	if (n == 0 || n > ROUTEMSG_MAX)
		return 0;
	switch (p[0] % 6) {
	case 0:
		if (route_request_decode(&q, p + 1, n - 1) == 0)
			same(route_request_encode(out, sizeof(out), &q), p + 1, n - 1);
		break;
	case 1:
		if (route_answer_decode(&a, p + 1, n - 1) == 0)
			same(route_answer_encode(out, sizeof(out), &a), p + 1, n - 1);
		break;
	case 2:
		if (route_install_decode(&in, p + 1, n - 1) == 0)
			same(route_install_encode(out, sizeof(out), &in), p + 1, n - 1);
		break;
	case 3:
		if (route_installed_decode(&done, p + 1, n - 1) == 0)
			same(route_installed_encode(out, sizeof(out), &done), p + 1, n - 1);
		break;
	case 4:
		leases(p + 1, n - 1);
		break;
	default:
		asks(p + 1, n - 1);
	}
	return 0;
}
