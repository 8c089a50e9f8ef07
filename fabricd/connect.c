#include "fabricd/connect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fabricd/fabricd.h"
#include "fabricd/sockets.h"

static const struct pm_addr *
target_of(const struct conf *c, const char *service)
{
	for (unsigned i = 0; i < c->nservices; i++)
		if (strcmp(c->services[i].name, service) == 0 && c->services[i].target.family != 0)
			return &c->services[i].target;
	return NULL;
}

/* The socket, or -1 with errno. */
static int
open_target(struct child *c, const char *service)
{
	const struct pm_addr *a = target_of(c->fabricd->setup->conf, service);

	if (a == NULL) {
		errno = ENOENT;
		return -1;
	}
	if (!ratelimit_take(&c->connect_rate, clock_ns())) {
		errno = EAGAIN;
		return -1;
	}
	return sockets_connect(a);
}

int
connect_target(struct child *c, const struct pm_connect *q)
{
	int fd = open_target(c, q->service);
	struct procmsg m = { .type = PM_CONNECTED,
	    .connected = { .id = q->id, .error = fd == -1 ? (uint32_t)errno : 0 } };

	child_send(c, &m, fd);
	if (fd != -1)
		close(fd);
	return 0;
}
