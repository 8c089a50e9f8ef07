#include "routed/targets.h"

#include <string.h>

#include "proc/ipc.h"
#include "proc/stats.h"

/* The dataplane then has no address of it until they follow. */
static int
send_target(struct peer *p, bool dial, struct ipc *ipc)
{
	struct procmsg m = { .type = PM_TARGET, .target.dial = dial };

	memcpy(m.target.node_id, p->node_id, NODE_ID_LEN);
	if (procmsg_send(ipc, &m, -1) == -1)
		return -1;
	p->told = true;
	p->told_dial = dial;
	p->ntold = 0;
	STAT_INC(ROUTED_TARGETS_SENT);
	return 0;
}

static int
send_del(struct peer *p, struct ipc *ipc)
{
	struct procmsg m = { .type = PM_TARGET_DEL };

	memcpy(m.target_del.node_id, p->node_id, NODE_ID_LEN);
	if (procmsg_send(ipc, &m, -1) == -1)
		return -1;
	p->told = p->told_dial = false;
	p->ntold = 0;
	STAT_INC(ROUTED_TARGETS_DELETED);
	return 0;
}

static bool
contains(const struct pm_addr *list, size_t n, const struct pm_addr *addr)
{
	for (size_t i = 0; i < n; i++)
		if (peer_addr_equal(&list[i], addr))
			return true;
	return false;
}

static int
send_addr(struct peer *p, const struct pm_addr *addr, struct ipc *ipc)
{
	struct procmsg m = { .type = PM_TARGET_ADDR, .target_addr.addr = *addr };

	memcpy(m.target_addr.node_id, p->node_id, NODE_ID_LEN);
	if (procmsg_send(ipc, &m, -1) == -1)
		return -1;
	p->told_addrs[p->ntold++] = *addr;
	return 0;
}

/* Whether the dataplane has an address that it should not have any more. */
static bool
has_stale(const struct peer *p, const struct pm_addr *want, size_t n)
{
	for (size_t i = 0; i < p->ntold; i++)
		if (!contains(want, n, &p->told_addrs[i]))
			return true;
	return false;
}

/* What was sent is noted message by message, so that a full channel leaves nothing half known. */
static int
sync_peer(struct peer *p, struct ipc *ipc)
{
	struct pm_addr want[PEER_DIAL_ADDRS_MAX];
	size_t n = p->configured ? peer_dial_addrs(p, want) : 0;

	if (!p->configured)
		return p->told ? send_del(p, ipc) : 0;
	if ((!p->told || p->told_dial != (n > 0) || has_stale(p, want, n)) && send_target(p, n > 0, ipc) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!contains(p->told_addrs, p->ntold, &want[i]) && send_addr(p, &want[i], ipc) == -1)
			return -1;
	return 0;
}

int
targets_sync(struct directory *d, struct ipc *ipc)
{
	int rv = 0;

	for (size_t i = 0; i < d->npeers && rv == 0; i++)
		rv = sync_peer(d->peers[i], ipc);
	ipc_flush(ipc);
	return rv;
}

void
targets_forget(struct directory *d)
{
	for (size_t i = 0; i < d->npeers; i++) {
		d->peers[i]->told = d->peers[i]->told_dial = false;
		d->peers[i]->ntold = 0;
	}
}
