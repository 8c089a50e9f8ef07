/*
 * Confinement of a worker. The order is fixed: what must be open is open; then network
 * namespace, chroot, groups, uid, capabilities, limits, no_new_privs, Landlock, seccomp.
 * Any failure is fatal, but for a kernel that has no Landlock, which is logged.
 */
#ifndef PROC_SANDBOX_H
#define PROC_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct sandbox {
	bool	    privileged;	/* started as root: chroot, uid, namespace; false under fabricd -U */
	uid_t	    uid;
	gid_t	    gid;
	const char *chroot;	/* an empty directory of root's, or the worker's own when `files`; without root the
				 * working directory, or NULL */
	bool	    files;	/* may use files below that directory: by paths relative to the working directory */
	bool	    network;	/* keeps the node's network namespace */
	unsigned    nofile;	/* descriptors at most */
	size_t	    memory;	/* RLIMIT_DATA in bytes; 0: none */
	const int  *syscalls;	/* beyond what every worker may do; ends with -1 */
	const int (*sockopts)[2]; /* level and name of what setsockopt(2) may set; ends with a level of -1; NULL: nothing */
};

/* Confines this process. Does not return on failure. */
void	sandbox_enter(const struct sandbox *);

#endif
