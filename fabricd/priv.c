#include "fabricd/priv.h"

#include <errno.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"

/*
 * What root keeps here. Workers are started as root and inherit these through exec (the bounding set
 * caps what they get); each gives them all up when it enters its sandbox.
 */
static const cap_value_t kept[] = {
	CAP_NET_ADMIN,		/* TUN, addresses and routes at a reload; socket buffers above the system's limit */
	CAP_NET_BIND_SERVICE,	/* a reload may bring a port below 1024 */
	CAP_KILL,		/* to end a worker, which is another user by then */
	CAP_SYS_CHROOT,		/* workers: chroot */
	CAP_SYS_ADMIN,		/* workers: a network namespace of their own */
	CAP_SETGID,		/* workers: group, no supplementary groups */
	CAP_SETUID,		/* workers: user */
	CAP_SETPCAP,		/* workers: an empty bounding set */
	CAP_SYS_NICE,		/* workers: those that carry packets go before other programs */
};
#define NKEPT (sizeof(kept) / sizeof(kept[0]))

static bool
is_kept(cap_value_t cap)
{
	for (size_t i = 0; i < NKEPT; i++)
		if (kept[i] == cap)
			return true;
	return false;
}

static void
drop_bounding(bool root)
{
	for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++)
		if (!(root && is_kept(cap)) && cap_drop_bound(cap) == -1 && (root || errno != EPERM))
			fatal("bounding set, capability %d", cap);
}

/* A container may have less; what then does not work says so itself. */
static void
keep(cap_t to, cap_t from, cap_value_t cap)
{
	cap_flag_value_t has = CAP_CLEAR;
	char *name;

	if (cap_get_flag(from, cap, CAP_PERMITTED, &has) == 0 && has == CAP_SET) {
		if (cap_set_flag(to, CAP_PERMITTED, 1, &cap, CAP_SET) == -1 ||
		    cap_set_flag(to, CAP_EFFECTIVE, 1, &cap, CAP_SET) == -1)
			fatal("capabilities");
		return;
	}
	name = cap_to_name(cap);
	log_warnx("capability %s is missing", name == NULL ? "?" : name);
	cap_free(name);
}

void
priv_drop(bool root)
{
	const struct rlimit no_core = { 0, 0 };
	cap_t now = cap_get_proc(), want = cap_init();

	if (now == NULL || want == NULL)
		fatal("capabilities");
	drop_bounding(root);
	for (size_t i = 0; root && i < NKEPT; i++)
		keep(want, now, kept[i]);
	if (cap_set_proc(want) == -1 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		fatal("capabilities");
	cap_free(now);
	cap_free(want);
	/* The node key is in this memory: no core, and no exec that gains anything. */
	if (setrlimit(RLIMIT_CORE, &no_core) == -1 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("limits");
	/* Not under -U: the own /proc entries, which are needed, would belong to root. */
	if (root && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("dumpable");
}
