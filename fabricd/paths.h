/* Where things are, unless the build or the configuration says otherwise. */
#ifndef FABRICD_PATHS_H
#define FABRICD_PATHS_H

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc/fabric"
#endif
#ifndef LIBEXECDIR
#define LIBEXECDIR "/usr/local/libexec/fabricd"
#endif

#define PATH_CONF	SYSCONFDIR "/fabricd.conf"
#define PATH_KEY	SYSCONFDIR "/node.key"
#define PATH_CERTIFICATE SYSCONFDIR "/node.cert"
#define PATH_AUTHORITY	SYSCONFDIR "/authority.pub"
#define PATH_LIBEXEC	LIBEXECDIR
#define PATH_RUN	"/run/fabric"
#define PATH_LOG	"/var/log/fabric"
#define PATH_STATE	"/var/lib/fabric"
#define PATH_CHROOT	"/var/empty/fabric"

#define NAME_SOCKET	"fabricd.sock"
#define NAME_SOCKET_RO	"fabricd.ro.sock"
#define NAME_PID	"fabricd.pid"

#endif
