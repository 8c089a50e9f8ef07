/*
 * What this node says that it serves: one signed record for each configured service whose worker has a certified key.
 * routed gets the whole set, and again when it changes; what is no longer in it is served no more.
 */
#ifndef FABRICD_SERVICES_H
#define FABRICD_SERVICES_H

struct fabricd;
struct services;

/* NULL when memory is short. */
struct services *services_new(void);
void	services_free(struct services *);

/* A key was certified, or is gone, or the configuration is another: signs what follows, and tells routed if that changed. */
void	services_update(struct fabricd *);

/* To routed, which is new and knows nothing. */
void	services_send(struct fabricd *);

#endif
