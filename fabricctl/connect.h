/* `fabricctl connect': standard input and output joined with a service of the fabric. */
#ifndef FABRICCTL_CONNECT_H
#define FABRICCTL_CONNECT_H

/* `target' is SERVICE[@NODE]. The exit status, an enum connect_status; what went wrong is said on stderr. */
int	cmd_connect(const char *socket, const char *target);

#endif
