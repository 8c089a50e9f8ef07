#!/bin/sh
# tools/install.sh install|uninstall: called by make, which gives prefix, DESTDIR and the rest in the environment.
set -eu
cd "$(dirname "$0")/.."
: "${prefix:?}" "${sbindir:?}" "${libexecdir:?}" "${sysconfdir:?}" "${mandir:?}" "${O:?}"
D=${DESTDIR:-}
sbin=$D$sbindir libexec=$D$libexecdir/fabricd
man=$D$mandir conf=$D$sysconfdir/fabric
users='_fabdata _fabroute _fabvpn _fabsvc _fabtele'
workers='dataplane routed vpnd svchostd telemd'

install_all() {
	install -d -m 755 "$sbin" "$libexec" "$D$sysconfdir"
	install -d -m 700 "$conf"
	install -m 755 "$O/fabricd/fabricd" "$O/fabricctl/fabricctl" "$sbin/"
	for w in $workers; do install -m 755 "$O/libexec/$w" "$libexec/"; done
	for page in man/*.[1-9]; do
		section=${page##*.}
		install -d -m 755 "$man/man$section"
		install -m 644 "$page" "$man/man$section/"
	done
	install -m 600 etc/fabricd.conf.example "$conf/fabricd.conf.example"
	install -m 600 etc/policy.conf.example "$conf/policy.conf.example"
	install -d -m 755 "$D$sysconfdir/logrotate.d" "$D$prefix/share/fabric"
	install -m 644 etc/logrotate "$D$sysconfdir/logrotate.d/fabric"
	sed "s#@sbindir@#$sbindir#" etc/rc.d/fabricd >"$D$prefix/share/fabric/fabricd.rc"
	chmod 755 "$D$prefix/share/fabric/fabricd.rc"
	install -d -m 755 "$D$prefix/lib/systemd/system"
	sed "s#@sbindir@#$sbindir#" etc/fabricd.service >"$D$prefix/lib/systemd/system/fabricd.service"
	make_users
}

make_users() {
	if [ -n "$D" ]; then
		echo "users were not made (DESTDIR): $users" >&2
	elif [ "$(id -u)" -ne 0 ]; then
		echo "not root: make these system users, each with a group of its name: $users" >&2
	else
		for u in $users; do
			id "$u" >/dev/null 2>&1 || useradd --system --user-group --home-dir /nonexistent --no-create-home \
				--shell /usr/sbin/nologin "$u"
		done
	fi
}

# Keys, configuration, logs and users stay: they are the operator's.
uninstall_all() {
	rm -f "$sbin/fabricd" "$sbin/fabricctl" "$conf/fabricd.conf.example" \
		"$conf/policy.conf.example" "$D$sysconfdir/logrotate.d/fabric" \
		"$D$prefix/lib/systemd/system/fabricd.service" "$D$prefix/share/fabric/fabricd.rc"
	for w in $workers; do rm -f "$libexec/$w"; done
	for page in man/*.[1-9]; do rm -f "$man/man${page##*.}/$(basename "$page")"; done
	rmdir "$libexec" "$D$prefix/share/fabric" 2>/dev/null || true
	rmdir "$conf" 2>/dev/null || true
}

case "$1" in
install) install_all ;;
uninstall) uninstall_all ;;
*) echo 'usage: install.sh install|uninstall' >&2; exit 2 ;;
esac
