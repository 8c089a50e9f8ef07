/*
 * One HTTP/1 request, as far as telemd needs it. Written here and not taken from libevent's evhttp, which has a limit
 * neither on connections nor on the time that a whole request may take, and parses far more than GET.
 */
#ifndef TELEMD_HTTP_H
#define TELEMD_HTTP_H

#include <stddef.h>

#define HTTP_REQUEST_MAX	4096	/* bytes of request line and header fields */
#define HTTP_FIELDS_MAX		64

enum {
	HTTP_MORE = 0,		/* the request is not whole yet */
	HTTP_OK = 200, HTTP_BAD_REQUEST = 400, HTTP_NOT_FOUND = 404, HTTP_METHOD_NOT_ALLOWED = 405,
	HTTP_CONTENT_TOO_LARGE = 413, HTTP_URI_TOO_LONG = 414, HTTP_FIELDS_TOO_LARGE = 431,
	HTTP_VERSION_NOT_SUPPORTED = 505,
};

/*
 * Reads the request that begins buf (RFC 9112, lines end with CRLF only) and returns the status of its answer, or
 * HTTP_MORE. HTTP_OK: it is a GET of /metrics, without content. What follows the request is not looked at.
 */
int	http_request(const char *buf, size_t len);

const char *http_reason(int status);

#endif
