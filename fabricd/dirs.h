/* The directories of a node. */
#ifndef FABRICD_DIRS_H
#define FABRICD_DIRS_H

struct conf;
struct fabricd;

/* Before anything is opened or made: fatal when another holds the lock, whose sockets would only be found in use. */
void	dirs_check_lock(const struct conf *);

/* Makes what is missing, with its owner and mode; refuses what others may write. Fatal on failure. */
void	dirs_make(const struct fabricd *);

/* <run>/fabricd.pid, locked for as long as this process lives. Fatal when another holds it. */
void	dirs_lock(const struct fabricd *);
/* After a fork: the file names this process. */
void	dirs_write_pid(void);
void	dirs_unlock(const struct fabricd *);

#endif
