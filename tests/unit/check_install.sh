#!/bin/sh
# make install and uninstall under DESTDIR: all that a node needs is there, and afterwards nothing is.
cd "$(dirname "$0")/../.." || exit 1
unset MAKEFLAGS MAKELEVEL
D=$(mktemp -d)
trap 'rm -rf "$D"' EXIT
passed=0 failed=0
t() {
	what=$1
	shift
	if "$@" >"$D/out" 2>&1; then passed=$((passed + 1)); else
		failed=$((failed + 1))
		echo "FAILED: $what"
		tail -n 5 "$D/out"
	fi
}
t 'install' make O="${FABRIC_O:-build}" DESTDIR="$D/root" prefix=/usr install
for f in usr/sbin/fabricd usr/sbin/fabricctl usr/libexec/fabricd/dataplane usr/libexec/fabricd/routed \
	usr/libexec/fabricd/vpnd usr/libexec/fabricd/svchostd usr/libexec/fabricd/telemd \
	usr/share/man/man8/fabricd.8 usr/share/man/man5/fabricd.conf.5 usr/share/man/man7/fabric.7 \
	etc/fabric/fabricd.conf.example etc/fabric/policy.conf.example etc/logrotate.d/fabric usr/lib/systemd/system/fabricd.service; do
	t "$f is installed" test -s "$D/root/$f"
done
t 'every page is installed' sh -c "[ \$(find '$D/root/usr/share/man' -type f | wc -l) -eq \$(ls man/*.[1-9] | wc -l) ]"
t 'no directory of the build is named in what is installed for the operator' sh -c "! grep -rl '@sbindir@' '$D/root/etc' '$D/root/usr/lib' '$D/root/usr/share'"
t 'fabricd looks for its workers where they are' grep -q /usr/libexec/fabricd "$D/root/usr/sbin/fabricd"
t 'uninstall' make O="${FABRIC_O:-build}" DESTDIR="$D/root" prefix=/usr uninstall
t 'nothing is left' sh -c "[ -z \"\$(find '$D/root' -type f)\" ]"

# The users: with stand-ins for id(1) and useradd(8), for this machine's own users are not to be touched.
USERS='_fabdata _fabroute _fabvpn _fabsvc _fabtele'
mkdir "$D/bin" || exit 1
: >"$D/users"
cat >"$D/bin/id" <<-EOF
	#!/bin/sh
	[ "\$1" = -u ] && { cat "$D/uid"; exit; }
	grep -qx -- "\$1" "$D/users"
EOF
cat >"$D/bin/useradd" <<-EOF
	#!/bin/sh
	echo "\$@" >>"$D/useradds"
	while [ \$# -gt 1 ]; do shift; done
	echo "\$1" >>"$D/users"
EOF
chmod 755 "$D/bin/id" "$D/bin/useradd"
install_as() { # UID
	echo "$1" >"$D/uid"
	PATH=$D/bin:$PATH prefix=$D/p sbindir=$D/p/sbin libexecdir=$D/p/libexec sysconfdir=$D/p/etc mandir=$D/p/man \
		O="${FABRIC_O:-build}" DESTDIR='' tools/install.sh install 2>"$D/err"
}
t 'install by another than root' install_as 1000
t 'says which users are needed' grep -q "make these system users.*: $USERS" "$D/err"
t 'and makes none' test ! -s "$D/users"
t 'install by root' install_as 0
t 'makes the users' test "$(xargs <"$D/users")" = "$USERS"
t 'who cannot log in and have nothing' sh -c "! grep -vE -- '--system --user-group .*--no-create-home --shell /usr/sbin/nologin' '$D/useradds'"
t 'install again' install_as 0
t 'makes none again' test "$(wc -l <"$D/users")" -eq 5
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
