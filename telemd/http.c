#include "telemd/http.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct text {
	const char	*p;
	size_t		 len;
};

struct request {
	int	status;		/* of the request line */
	int	minor;
	size_t	fields, hosts;
};

static bool
equals(struct text t, const char *s)
{
	return t.len == strlen(s) && memcmp(t.p, s, t.len) == 0;
}

/* Names of header fields have no case. */
static bool
is_field(struct text name, const char *s)
{
	return name.len == strlen(s) && strncasecmp(name.p, s, name.len) == 0;
}

static bool
is_tchar(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(struct text t)
{
	for (size_t i = 0; i < t.len; i++)
		if (!is_tchar(t.p[i]))
			return false;
	return t.len > 0;
}

/* Printable, and for a value also blanks and what is not ASCII. */
static bool
is_text(struct text t, bool value)
{
	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.p[i];

		if (c > 0x20 && c != 0x7f && (value || c < 0x80))
			continue;
		if (value && (c == ' ' || c == '\t'))
			continue;
		return false;
	}
	return true;
}

/* Cuts t at the first `c`: what is before it; t becomes what is after it. false when there is none. */
static bool
cut(struct text *t, char c, struct text *before)
{
	const char *at = t->len == 0 ? NULL : memchr(t->p, c, t->len);

	if (at == NULL)
		return false;
	before->p = t->p;
	before->len = (size_t)(at - t->p);
	t->len -= before->len + 1;
	t->p = at + 1;
	return true;
}

/* 1: a line without its CRLF; 0: there is none yet; -1: it does not end as it must. */
static int
next_line(struct text *rest, struct text *line)
{
	if (!cut(rest, '\n', line))
		return 0;
	if (line->len == 0 || line->p[line->len - 1] != '\r')
		return -1;
	line->len--;
	return 1;
}

/* The path of a target in origin-form, or in absolute-form, which a server has to take as well. */
static struct text
path_of(struct text target)
{
	static const char scheme[] = "http://";
	struct text before;

	if (target.len > sizeof(scheme) - 1 && strncasecmp(target.p, scheme, sizeof(scheme) - 1) == 0) {
		target.p += sizeof(scheme) - 1;
		target.len -= sizeof(scheme) - 1;
		if (!cut(&target, '/', &before))
			return (struct text){ "/", 1 };
		target.p--;
		target.len++;
	}
	return cut(&target, '?', &before) ? before : target;
}

static int
request_line(struct request *r, struct text line)
{
	struct text method, target;

	if (!cut(&line, ' ', &method) || !is_token(method) || !cut(&line, ' ', &target) || target.len == 0 ||
	    !is_text(target, false))
		return HTTP_BAD_REQUEST;
	if (line.len != 8 || memcmp(line.p, "HTTP/", 5) != 0 || line.p[6] != '.' ||
	    line.p[5] < '0' || line.p[5] > '9' || line.p[7] < '0' || line.p[7] > '9')
		return HTTP_BAD_REQUEST;
	if (line.p[5] != '1')
		return HTTP_VERSION_NOT_SUPPORTED;
	r->minor = line.p[7] - '0';
	if (!equals(path_of(target), "/metrics"))
		r->status = HTTP_NOT_FOUND;
	else
		r->status = equals(method, "GET") ? HTTP_OK : HTTP_METHOD_NOT_ALLOWED;
	return HTTP_OK;
}

static struct text
trim(struct text t)
{
	while (t.len > 0 && (t.p[0] == ' ' || t.p[0] == '\t')) {
		t.p++;
		t.len--;
	}
	while (t.len > 0 && (t.p[t.len - 1] == ' ' || t.p[t.len - 1] == '\t'))
		t.len--;
	return t;
}

/* A name that begins with a blank, which is no token, would be a folded line. */
static int
header_field(struct request *r, struct text line)
{
	struct text name;

	if (++r->fields > HTTP_FIELDS_MAX)
		return HTTP_FIELDS_TOO_LARGE;
	if (!cut(&line, ':', &name) || !is_token(name) || !is_text(line, true))
		return HTTP_BAD_REQUEST;
	if (is_field(name, "host") && ++r->hosts > 1)
		return HTTP_BAD_REQUEST;
	if (is_field(name, "transfer-encoding"))
		return HTTP_CONTENT_TOO_LARGE;
	if (is_field(name, "content-length") && !equals(trim(line), "0"))
		return HTTP_CONTENT_TOO_LARGE;
	return HTTP_OK;
}

static int
whole(const struct request *r)
{
	return r->minor >= 1 && r->hosts != 1 ? HTTP_BAD_REQUEST : r->status;
}

int
http_request(const char *buf, size_t len)
{
	struct text rest = { buf, len < HTTP_REQUEST_MAX ? len : HTTP_REQUEST_MAX }, line;
	struct request r = { .status = HTTP_MORE };
	bool full = len >= HTTP_REQUEST_MAX;
	int status, n = next_line(&rest, &line);

	if (n == 0)
		return full ? HTTP_URI_TOO_LONG : HTTP_MORE;
	status = n == -1 ? HTTP_BAD_REQUEST : request_line(&r, line);
	while (status == HTTP_OK) {
		n = next_line(&rest, &line);
		if (n == 0)
			return full ? HTTP_FIELDS_TOO_LARGE : HTTP_MORE;
		if (n == 1 && line.len == 0)
			return whole(&r);
		status = n == -1 ? HTTP_BAD_REQUEST : header_field(&r, line);
	}
	return status;
}

const char *
http_reason(int status)
{
	switch (status) {
	case HTTP_OK:
		return "OK";
	case HTTP_NOT_FOUND:
		return "Not Found";
	case HTTP_METHOD_NOT_ALLOWED:
		return "Method Not Allowed";
	case HTTP_CONTENT_TOO_LARGE:
		return "Content Too Large";
	case HTTP_URI_TOO_LONG:
		return "URI Too Long";
	case HTTP_FIELDS_TOO_LARGE:
		return "Request Header Fields Too Large";
	case HTTP_VERSION_NOT_SUPPORTED:
		return "HTTP Version Not Supported";
	default:
		return "Bad Request";
	}
}
