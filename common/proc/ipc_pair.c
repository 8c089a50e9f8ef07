/* The socketpair below a channel. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc/ipc.h"

#define SOCKET_BUFFER	(512 * 1024)

static int
set_buffer(int fd)
{
	int size = SOCKET_BUFFER;

	/* What the system allows without privilege may be less than one message. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == 0)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int
ipc_pair(int fds[2])
{
	int saved;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	if (set_buffer(fds[0]) == 0 && set_buffer(fds[1]) == 0)
		return 0;
	saved = errno;
	close(fds[0]);
	close(fds[1]);
	fds[0] = fds[1] = -1;
	errno = saved;
	return -1;
}
