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
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
