/* Requests of fabricctl about routes: what the route manager knows, as rows. */
#ifndef ROUTED_ROUTE_ANSWERS_H
#define ROUTED_ROUTE_ANSWERS_H

#include "proc/row.h"
#include "proc/worker.h"
#include "routed/manager.h"

#define ROUTE_ANSWERS_MAX 8u		/* under way at a time */
#define ROUTE_ROWS_MAX	8192u		/* of one answer */
#define ROUTE_ROWS_BYTES (4u << 20)

/* The rows of one answer, made at once and sent as the control channel takes them. */
struct rowlist {
	struct frame_bytes *v;		/* each owned */
	size_t	n, size, bytes, next;
	bool	cut;			/* there were more, or no memory for more */
};
void	rowlist_add(struct rowlist *, const struct row_writer *);
void	rowlist_free(struct rowlist *);

struct route_answer_state {
	bool	 used;
	uint64_t id;
	uint8_t	 status;
	char	 text[PM_TEXT_MAX + 1];
	struct rowlist rows;
};

struct event;
struct route_answers {
	struct worker	*worker;
	struct manager	*manager;
	struct event	*timer;
	struct route_answer_state v[ROUTE_ANSWERS_MAX];
};

int	route_answers_init(struct route_answers *, struct worker *, struct manager *);	/* -1: no memory */
void	route_answers_free(struct route_answers *);

/* False: it is no command of these. */
bool	route_answers_request(struct route_answers *, const struct pm_request *);

/* --- the rows: each appends; what it returns is the exit status, with `text' (PM_TEXT_MAX + 1) when that is not 0 --- */
struct route_request_args {
	struct manager	*m;
	const char	*argument;
	struct rowlist	*rows;
	char		*text;
};
int	rows_routes(struct route_request_args *);
int	rows_explain(struct route_request_args *);
int	rows_history(struct route_request_args *);
int	rows_events(struct route_request_args *);
int	rows_usage(struct route_request_args *);
int	rows_path(struct route_request_args *);
int	rows_netcheck(struct route_request_args *);
int	rows_fences(struct route_request_args *);
int	rows_fence(struct route_request_args *);
int	rows_policy_why(struct route_request_args *);

/* By name, or by the digits of its id. NULL: not known (said in text). */
bool	rows_node(struct route_request_args *, const char *name, uint8_t id[NODE_ID_LEN]);
/* What people call it: configured, proven, or "" */
const char *rows_name(const struct manager *, const uint8_t *id);
/* "session", or the id in 16 digits. */
const char *rows_way(char buf[24], uint64_t route_id);

#endif
