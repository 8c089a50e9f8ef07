/* Watches local addresses, links and routes; tells the dataplane, once for many changes. */
#ifndef FABRICD_NETWATCH_H
#define FABRICD_NETWATCH_H

struct fabricd;
struct netwatch;

/* NULL (logged): then nobody is told. */
struct netwatch *netwatch_new(struct fabricd *);
void	netwatch_free(struct netwatch *);

/* Changes of this interface, the own TUN, are no news. NULL is fine. */
void	netwatch_ignore(struct netwatch *, unsigned ifindex);

#endif
