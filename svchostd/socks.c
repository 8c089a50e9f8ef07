#include "svchostd/socks.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "wire/fields.h"
#include "wire/frame.h"

#define DOMAIN ".fabric"

enum { VERSION_4 = 4, VERSION_5 = 5 };
enum { METHOD_NONE = 0, METHOD_NOT_ACCEPTABLE = 0xff };
enum { COMMAND_CONNECT = 1 };
enum { ADDRESS_IPV4 = 1, ADDRESS_NAME = 3, ADDRESS_IPV6 = 4 };
enum {
	REPLY_SUCCEEDED, REPLY_FAILURE, REPLY_NOT_ALLOWED, REPLY_NET_UNREACHABLE, REPLY_HOST_UNREACHABLE,
	REPLY_CONNECTION_REFUSED, REPLY_TTL_EXPIRED, REPLY_COMMAND, REPLY_ADDRESS_TYPE
};
enum { REPLY_4_REJECTED = 0x5b, REPLY_4_LEN = 8 };

#define GREETING_HEAD	2	/* version, number of methods */
#define REQUEST_HEAD	5	/* version, command, reserved, kind of address, its first byte */

void
socks_init(struct socks *s)
{
	memset(s, 0, sizeof(*s));
}

/* Bytes of the whole message, as far as it can be told. */
static size_t
message_len(const struct socks *s)
{
	if (s->len == 0)
		return 1;	/* another version is another message */
	if (!s->greeted)
		return s->len < GREETING_HEAD ? GREETING_HEAD : GREETING_HEAD + (size_t)s->buf[1];
	if (s->len < REQUEST_HEAD)
		return REQUEST_HEAD;
	switch (s->buf[3]) {
	case ADDRESS_IPV4:
		return 4 + 4 + 2;
	case ADDRESS_IPV6:
		return 4 + 16 + 2;
	case ADDRESS_NAME:
		return 4 + 1 + (size_t)s->buf[4] + 2;
	default:
		return REQUEST_HEAD;
	}
}

size_t
socks_want(const struct socks *s)
{
	return message_len(s) - s->len;
}

static size_t
put_reply(uint8_t reply[SOCKS_REPLY_MAX], uint8_t code)
{
	/* "Bound" to 0.0.0.0 port 0: there is no such address. */
	memset(reply, 0, SOCKS_REPLY_MAX);
	reply[0] = VERSION_5;
	reply[1] = code;
	reply[3] = ADDRESS_IPV4;
	return SOCKS_REPLY_MAX;
}

static uint8_t
code_of(uint64_t reason)
{
	switch (reason) {
	case REASON_NONE:
		return REPLY_SUCCEEDED;
	case REASON_NO_SERVICE:
		return REPLY_HOST_UNREACHABLE;
	case REASON_UNREACHABLE:
	case REASON_PEER_GONE:
	case REASON_SHUTDOWN:
	case REASON_MOVED:
	case REASON_NO_ROUTE:
	case REASON_ROUTE_EXPIRED:
	case REASON_HOP_GONE:
	case REASON_FENCED:
		return REPLY_NET_UNREACHABLE;
	case REASON_TIMEOUT:
	case REASON_TARGET_TIMEOUT:
		return REPLY_TTL_EXPIRED;
	case REASON_TARGET_DOWN:
		return REPLY_CONNECTION_REFUSED;
	case REASON_NOT_ALLOWED:
	case REASON_REFUSED:
		return REPLY_NOT_ALLOWED;
	default:
		return reason >= REASON_AUTH_RECORD && reason <= REASON_AUTH_RATE ? REPLY_NOT_ALLOWED : REPLY_FAILURE;
	}
}

size_t
socks_reply(uint8_t reply[SOCKS_REPLY_MAX], uint64_t reason)
{
	return put_reply(reply, code_of(reason));
}

/* Version 4 has a reply of its own, and its clients understand no other. */
static enum socks_verdict
wrong_version(const struct socks *s, uint8_t *reply, size_t *reply_len)
{
	if (s->buf[0] == VERSION_4 && !s->greeted) {
		memset(reply, 0, REPLY_4_LEN);
		reply[1] = REPLY_4_REJECTED;
		*reply_len = REPLY_4_LEN;
	}
	return SOCKS_END;
}

static enum socks_verdict
greeting(struct socks *s, uint8_t *reply, size_t *reply_len)
{
	bool acceptable = memchr(s->buf + GREETING_HEAD, METHOD_NONE, s->buf[1]) != NULL;

	reply[0] = VERSION_5;
	reply[1] = acceptable ? METHOD_NONE : METHOD_NOT_ACCEPTABLE;
	*reply_len = 2;
	s->greeted = true;
	s->len = 0;
	return acceptable ? SOCKS_MORE : SOCKS_END;
}

static void
keep_host(struct socks *s, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s->host[i] = p[i] > 0x20 && p[i] < 0x7f ? (char)p[i] : '?';
	s->host[len] = '\0';
}

/* "ssh.home-1.fabric" is ssh@home-1; a dot at the end, which says that a name is whole, is no part of it. */
static bool
target_of(struct socks *s, const uint8_t *p, size_t len)
{
	const size_t domain = sizeof(DOMAIN) - 1;
	size_t name;

	if (len > 0 && p[len - 1] == '.')
		len--;
	if (len <= domain || strncasecmp((const char *)p + len - domain, DOMAIN, domain) != 0)
		return false;
	len -= domain;
	if (len > TARGET_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		s->target[i] = (char)tolower(p[i]);
	s->target[len] = '\0';
	name = strcspn(s->target, ".");
	if (name < len)
		s->target[name] = '@';
	return text_name((const uint8_t *)s->target, name, FRAME_SERVICE_MAX, false) &&
	    (name == len || text_name((const uint8_t *)s->target + name + 1, len - name - 1, 2 * NODE_ID_LEN, true));
}

static enum socks_verdict
request(struct socks *s, uint8_t *reply, size_t *reply_len)
{
	uint8_t code;

	if (s->buf[3] == ADDRESS_NAME)
		keep_host(s, s->buf + REQUEST_HEAD, s->buf[4]);
	if (s->buf[1] != COMMAND_CONNECT)
		code = REPLY_COMMAND;
	else if (s->buf[3] != ADDRESS_NAME)
		code = REPLY_ADDRESS_TYPE;
	else if (target_of(s, s->buf + REQUEST_HEAD, s->buf[4]))
		return SOCKS_REQUEST;
	else
		code = REPLY_HOST_UNREACHABLE;
	*reply_len = put_reply(reply, code);
	return SOCKS_END;
}

enum socks_verdict
socks_input(struct socks *s, const uint8_t *p, size_t n, uint8_t reply[SOCKS_REPLY_MAX], size_t *reply_len)
{
	*reply_len = 0;
	memcpy(s->buf + s->len, p, n);
	s->len += n;
	if (s->len > 0 && s->buf[0] != VERSION_5)
		return wrong_version(s, reply, reply_len);
	if (s->len < message_len(s))
		return SOCKS_MORE;
	return s->greeted ? request(s, reply, reply_len) : greeting(s, reply, reply_len);
}
