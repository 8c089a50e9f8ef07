/* fabricctl policy: what its commands share. */
#ifndef FABRICCTL_POLICY_CMD_H
#define FABRICCTL_POLICY_CMD_H

#include "fabricctl/policy_conf.h"
#include "fabricctl/rows.h"

struct policy_options {
	const char	*command;		/* "policy check", ...: what JSON calls it */
	const char	*socket;
	bool		 json;
	const char	*file, *dir, *output, *passphrase_file, *authority;
	uint64_t	 expires_s;
	const char	**members;		/* files of memberships */
	size_t		 nmembers;
	uint8_t		 classes;		/* 0: all */
	int		 failed;		/* the exit status when there is no answer */
};

/* A policy.conf(5), or a signed policy: then `rec' is its record. */
struct policy_file {
	struct policy_conf *conf;
	uint8_t		*bytes;
	struct record	 rec;			/* kind 0: it was a text */
};

/* 0, or -1 after saying why (to stderr, or with --json as the answer). */
int	policy_file_read(struct policy_file *, const struct policy_options *, bool text_only);
void	policy_file_free(struct policy_file *);

/* Says why, where the options want it; returns `status'. -1: the command ends with o->failed. */
int	policy_say(const struct policy_options *, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prints rows, and returns `status'. */
int	policy_rows(const struct policy_options *, struct rows *, int status);

int	policy_show(const struct policy_options *);
int	policy_why(const struct policy_options *, const char *src, const char *target);

#endif
