/* What the supervisor answers itself. fabricctl(8) describes the rows. */
#ifndef FABRICD_ANSWERS_H
#define FABRICD_ANSWERS_H

#include "fabricd/control.h"
#include "proc/procmsg.h"

void	answer_workers(struct fabricd *, const struct reply *, const struct pm_request *);
void	answer_config(struct fabricd *, const struct reply *, const struct pm_request *);
void	answer_health(struct fabricd *, const struct reply *, const struct pm_request *);
void	answer_log(struct fabricd *, const struct reply *, const struct pm_request *);
void	answer_reload(struct fabricd *, const struct reply *, const struct pm_request *);
void	answer_stop(struct fabricd *, const struct reply *, const struct pm_request *);

#endif
