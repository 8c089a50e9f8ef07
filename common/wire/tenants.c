#include "wire/tenants.h"

#include <string.h>

#include "wire/fields.h"

void
tenants_init(struct tenants *t, const char *own)
{
	memset(t, 0, sizeof(*t));
	memcpy(t->own, own, strnlen(own, RECORD_TENANT_MAX));
}

void
tenants_own(struct tenants *t, const char *own)
{
	if (t->own[0] != '\0' && strcmp(t->own, own) != 0)
		tenants_init(t, own);
	memcpy(t->own, own, strnlen(own, RECORD_TENANT_MAX));
}

int
tenants_add(struct tenants *t, const char *tenant)
{
	size_t n = strnlen(tenant, RECORD_TENANT_MAX);

	if (1 + n > sizeof(t->list) - t->len)
		return -1;
	t->list[t->len] = (uint8_t)n;
	memcpy(t->list + t->len + 1, tenant, n);
	t->len = (uint16_t)(t->len + 1 + n);
	return 0;
}

int
tenants_set(struct tenants *t, bool others, struct frame_bytes list)
{
	if (list.len > sizeof(t->list))
		return -1;
	for (size_t i = 0; i < list.len; i += 1u + list.p[i])
		if (list.p[i] >= list.len - i || !text_name(list.p + i + 1, list.p[i], RECORD_TENANT_MAX, true))
			return -1;
	t->others = others;
	t->len = (uint16_t)list.len;
	if (list.len > 0)
		memcpy(t->list, list.p, list.len);
	return 0;
}

bool
tenants_meet(const struct tenants *t, const char *tenant)
{
	size_t n = strlen(tenant);

	if (strcmp(t->own, tenant) == 0)
		return true;
	for (size_t i = 0; i < t->len; i += 1u + t->list[i])
		if (t->list[i] == n && memcmp(t->list + i + 1, tenant, n) == 0)
			return !t->others;
	return t->others;
}
