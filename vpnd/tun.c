#include "vpnd/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int
tun_attach(struct tun *t, int fd, bool vnet_hdr)
{
	int flags = fcntl(fd, F_GETFL);

	t->fd = fd;
	t->vnet_hdr = vnet_hdr;
	t->hdr_len = vnet_hdr ? VNET_HDR_LEN : 0;
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return -1;
	return 0;
}

void
tun_detach(struct tun *t)
{
	if (t->fd != -1)
		close(t->fd);
	t->fd = -1;
}

int
tun_read(struct tun *t, struct vnet_hdr *h, uint8_t **pkt, size_t *len)
{
	ssize_t n;

	do {
		n = read(t->fd, t->buf, sizeof(t->buf));
	} while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN)
		return TUN_EMPTY;
	if (n <= 0 || (size_t)n < t->hdr_len) {
		if (n >= 0)
			errno = EIO;
		return TUN_ERROR;
	}
	if (t->vnet_hdr)
		memcpy(h, t->buf, sizeof(*h));
	else
		memset(h, 0, sizeof(*h));
	*pkt = t->buf + t->hdr_len;
	*len = (size_t)n - t->hdr_len;
	return TUN_OK;
}

int
tun_write(struct tun *t, const struct vnet_hdr *h, const uint8_t *pkt, size_t len)
{
	uint8_t hdr[VNET_HDR_LEN_MAX] = { 0 };
	struct iovec iov[2] = { { hdr, t->hdr_len }, { (void *)(uintptr_t)pkt, len } };
	ssize_t n;

	if (t->vnet_hdr && h != NULL)
		memcpy(hdr, h, sizeof(*h));
	do {
		n = t->hdr_len != 0 ? writev(t->fd, iov, 2) : write(t->fd, pkt, len);
	} while (n == -1 && errno == EINTR);
	if (n != -1)
		return TUN_OK;
	if (errno == EINVAL)
		return TUN_REFUSED;
	return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? TUN_FULL : TUN_ERROR;
}
