#!/bin/bash
# The supervisor and its control socket, with real workers and with such that misbehave.
#
#	+------------ na ------------+
#	| fabricd - five workers     |	10.0.1.1 on lo; fab0 10.77.0.1
#	+----------------------------+
# shellcheck source=tests/net/lib.sh
. "$(dirname "$0")/lib.sh"
BAD=$ROOT/$FABRIC_O/tests/net/badworker
ABUSE=$ROOT/$FABRIC_O/tests/net/ctlabuse
TUNGIVE=$ROOT/$FABRIC_O/tests/net/tungive
sandbox "$@"

WORKERS='dataplane routed vpnd svchostd telemd'
host na
ip -n na addr add 10.0.1.1/24 dev lo
node na 10.0.1.1 10.77.0.1
CONF=$W/na/fabricd.conf
cp "$CONF" "$W/good.conf"
FLOG=$W/na/log/fabricd.log

fabricd_pid() { cat "$W/na/pid"; }
field() { # WORKER FIELD: of `show workers'
	ctl na show workers --json | grep -oE "\{\"name\":\"$1\"[^}]*\}" | sed -E "s/.*\"$2\":\"?([^\",}]*).*/\1/"
}
runs_as() { [ "$(field "$1" state) $(field "$1" generation)" = "running $2" ]; }
all_run() { [ "$(ctl na show workers --json | grep -o '"state":"running"' | wc -l)" -eq 5 ]; }
healthy() { ctl na health; }
pids() { for w in $WORKERS; do field "$w" pid; done; }
log_has() { grep -qE -- "$1" "$FLOG"; }
logged() { wait_for 3 log_has "$1"; }
fds() { find "/proc/$(fabricd_pid)/fd" -mindepth 1 2>/dev/null | wc -l; }
mtu() { in_ na ip link show fab0 | grep -oE 'mtu [0-9]+'; }
fails_with() { # STATUS TEXT COMMAND...
	local want=$1 text=$2 out rv
	shift 2
	out=$("$@" 2>&1)
	rv=$?
	echo "exit $rv: $out"
	[ "$rv" -eq "$want" ] && grep -qE -- "$text" <<<"$out"
}
start_na() { start na; wait_for 10 all_run; }

# --- a worker that dies ---------------------------------------------------------------------------

start_na
t 'a node starts and is healthy' wait_for 5 healthy
ms_of() { date -d "$(grep -E "$1" "$FLOG" | tail -n 1 | cut -d' ' -f1)" +%s%3N; }
killed_and_back() { # WORKER: kill -9; back within a second, next generation, configured; the others live on
	local w=$1 g other took
	g=$(field "$w" generation)
	other=$(pids | grep -v "^$(field "$w" pid)$")
	kill -9 "$(field "$w" pid)"
	wait_for 10 runs_as "$w" $((g + 1)) || { echo 'not back'; return 1; }
	# By the log: what this script takes to look is not the supervisor's time.
	took=$(($(ms_of "worker=$w .*generation=$((g + 1)) runs") - $(ms_of "worker=$w .*generation=$g died")))
	echo "$w was back after $took ms"
	[ "$took" -ge 0 ] && [ "$took" -lt 1000 ] || return 1
	[ "$(pids | grep -v "^$(field "$w" pid)$")" = "$other" ] || { echo 'another one changed'; return 1; }
}
for w in $WORKERS; do
	t "kill -9 $w: back within a second as the next generation, the others untouched" killed_and_back "$w"
done
t 'its death was logged with its cause' log_has 'worker=vpnd pid=[0-9]+ generation=1 died after [0-9]+ ms: signal 9'
t 'all have their configuration: requests are answered' eval \
	'ctl na show sessions && ctl na show vpn && ctl na show services && ctl na show served && ctl na show peers && ctl na show counters'
t 'the new routed, vpnd and svchostd are wired to the dataplane' eval \
	'ctl na show served --json | grep -q "\"bound\":true" && ctl na show vpn | grep -q 10.77.0.1'
t 'healthy again' wait_for 5 healthy

echo 'restart delay 10 ms max 10 ms' >>"$CONF"
ctl na reload
kill_often() {
	local before after i w g
	before=$(fds)
	for i in $(seq 20); do
		for w in $WORKERS; do
			g=$(field "$w" generation)
			kill -9 "$(field "$w" pid)"
			wait_for 3 runs_as "$w" $((g + 1)) || return 1
		done
	done
	after=$(fds)
	echo "descriptors: $before before, $after after 100 restarts"
	[ "$before" -gt 10 ] && [ "$after" -le "$before" ]
}
t '100 restarts leak no descriptor' kill_often
t 'no zombie is left' eval '! ps -o stat= --ppid "$(fabricd_pid)" | grep Z'
cp "$W/good.conf" "$CONF"
ctl na reload

# --- reload ---------------------------------------------------------------------------------------

P=$(pids)
sed -i 's/mtu 1380/mtu 1400/' "$CONF"
t 'reload: a new MTU' eval 'ctl na reload && [ "$(mtu)" = "mtu 1400" ]'
echo 'peer "nb" { id bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb address 10.0.1.77 prefix 10.9.0.0/16 prefix fd99::/64 prefix 0.0.0.0/0 }' >>"$CONF"
t 'reload: a peer is known and its prefixes have routes' eval \
	'ctl na reload && in_ na ip route show 10.9.0.0/16 | grep -q fab0 && in_ na ip -6 route show fd99::/64 | grep -q fab0 && ctl na show peers | grep -q nb'
t 'a default route is left to the operator' eval '! in_ na ip route | grep -q ^default'
t 'health: a peer that is not there is not well' fails_with 1 'peer nb +no' ctl na health
never_heard() { ! ctl na health | grep -q 'heard of' && ! ctl na status --json | grep -q age_ms; }
t 'and nobody claims to have heard of it' never_heard
t 'the UDP socket has large buffers' eval 'in_ na ss -lunm src 10.0.1.1 | grep -qE "rb8388608.*tb8388608"'
t 'the same workers run' [ "$P" = "$(pids)" ]
G=$(ctl na show config)
GOOD=$(cat "$CONF")

unchanged() {
	[ "$(ctl na show config)" = "$G" ] && [ "$(pids)" = "$P" ] && [ "$(mtu)" = 'mtu 1400' ] &&
		in_ na ip route show 10.9.0.0/16 | grep -q fab0 && [ "$(fds)" -eq "$FDS" ]
}
FDS=$(fds)
bad_reload() { # WHAT EXPECTED SED-COMMAND
	sed -i -E "$3" "$CONF"
	t "reload refused: $1" fails_with 1 "$2" ctl na reload
	t "and nothing has changed ($1)" unchanged
	printf '%s\n' "$GOOD" >"$CONF"
}
"$FABRICCTL" node init --name na -d "$W/na2" >/dev/null
"$FABRICCTL" authority sign "$W/na2/node.req" --roles relay --tenant acme --expires 1d -d "$W/authority" -o "$W/na2/node.cert" >/dev/null
"$FABRICCTL" authority sign "$W/na/node.req" --roles relay --tenant zork --expires 1d -d "$W/authority" -o "$W/zork.cert" >/dev/null
lines=$(wc -l <"$CONF")
bad_reload 'a word that is none' "fabricd.conf:$((lines + 1)): unknown word \"frob\"" "\$a frob on"
bad_reload 'a number out of its range' 'fabricd.conf:[0-9]+: "99" is not within 1280 and 9000' 's/mtu 1400/mtu 99/'
bad_reload 'an address that cannot be bound' 'listen on 10.0.9.9 port 4600: Cannot assign' 's/(listen on) 10.0.1.1/\1 10.0.9.9/'
# What the authority has signed for all.
"$FABRICCTL" authority revoke "$(printf '1%.0s' {1..64})" -d "$W/authority" -o "$W/revoked.rec" >/dev/null
"$FABRICCTL" authority init --no-passphrase -d "$W/other-authority" >/dev/null
"$FABRICCTL" authority revoke "$(printf '1%.0s' {1..64})" -d "$W/other-authority" -o "$W/foreign.rec" >/dev/null
bad_reload 'a list of revocations that is not there' 'none.rec: No such file' "\$a revocations $W/none.rec"
bad_reload 'one that another authority signed' 'foreign.rec was signed by another authority' "\$a revocations $W/foreign.rec"
bad_reload 'a policy that is a list of revocations' 'revoked.rec is a revocation record, not a policy' "\$a policy $W/revoked.rec"
bad_reload 'a policy that is a key' 'authority.pub: not a record file' "\$a policy $W/na/authority.pub"
bad_reload 'a key that is not there' 'nokey: No such file' 's,/node.key,/nokey,'
bad_reload 'another directory' '"directory" has changed' 's,(directory log ").*(")$,\1/tmp/elsewhere\2,'
bad_reload 'another user' '"user" has changed' 's/user vpnd 64003/user vpnd 64099/'
bad_reload 'an interface that cannot be' 'interface lo: ' 's/interface fab0/interface lo/'
bad_reload 'another key' "the node's key has changed" "s,$W/na/node.(key|cert),$W/na2/node.\\1,"
bad_reload 'another tenant' 'the tenant has changed' "s,$W/na/node.cert,$W/zork.cert,"
sed -i 's/mtu 1400/mtu 99/' "$CONF"
kill -HUP "$(fabricd_pid)"
t 'SIGHUP with a bad file: logged with its line' logged 'reload failed, nothing has changed: .*fabricd.conf:[0-9]+: "99"'
t 'and nothing has changed (SIGHUP)' unchanged
cp "$W/good.conf" "$CONF"
kill -HUP "$(fabricd_pid)"
mtu_is() { [ "$(mtu)" = "$1" ]; }
t 'SIGHUP with a good file applies it' wait_for 3 mtu_is 'mtu 1380'
t 'and removes the routes' eval '[ -z "$(in_ na ip route show 10.9.0.0/16)" ] && [ -z "$(in_ na ip -6 route show fd99::/64)" ]'
sed -i 's/^listen on.*/&\nlisten on 10.0.1.1 port 4700\nlisten on ::1 port 4701/; s/interface fab0/interface fab7/; /^metrics/d' "$CONF"
t 'reload: another socket, another interface, no metrics' eval \
	'ctl na reload && in_ na ss -lun | grep -q 10.0.1.1:4700 && in_ na ss -lun | grep -qF "[::1]:4701" && in_ na ip link show fab7 && ! in_ na ip link show fab0 && ! in_ na ss -ltn | grep -q 9464'
sed -i '/^vpn/d' "$CONF"
t 'reload: without a vpn block there is no interface' eval 'ctl na reload && ! in_ na ip link show fab7 && healthy'
cp "$W/good.conf" "$CONF"
t 'reload: back to the first one' eval 'ctl na reload && in_ na ip addr show fab0 | grep -q 10.77.0.1/16 && healthy'

# Everything as large as it may be.
many_peers() {
	awk 'BEGIN { for (i = 1; i <= 1024; i++) { printf "peer \"p%062d\" {\nid %064x\n", i, i
		for (j = 0; j < 4; j++) printf "address fd77::%x port %d\n", i, 5000 + j
		for (j = 1; j <= 16; j++) printf "prefix fd88:%x:%x::/64\n", j, i
		print "}" } }'
}
many_peers >>"$CONF"
our_routes() { in_ na ip -6 route | grep -c 'proto 250'; }
t 'reload: 1024 peers' eval 'ctl na reload && [ "$(our_routes)" -eq 16384 ] && [ "$(ctl na show peers | wc -l)" -gt 1024 ]'
t 'fabricctl show config has all of it' eval '[ "$(ctl na show config | grep -c "prefix ")" -eq 16384 ]'
killed_with_peers() { # a worker that has to be told all of that again
	local g
	g=$(field vpnd generation)
	kill -9 "$(field vpnd pid)"
	wait_for 15 runs_as vpnd $((g + 1)) || { ctl na show workers; return 1; }
	ctl na show vpn >"$W/vpn" || return 1
	echo "$(wc -l <"$W/vpn") rows, configured within $(($(ms_of "worker=vpnd .*generation=$((g + 1)) runs") - $(ms_of "worker=vpnd .*generation=$g died"))) ms"
	[ "$(wc -l <"$W/vpn")" -gt 16384 ]
}
t 'a new worker is told all of it' killed_with_peers
cp "$W/good.conf" "$CONF"
t 'reload: and nobody again' eval 'ctl na reload && [ "$(our_routes)" -eq 0 ] && [ "$(ctl na show config | grep -c "prefix ")" -eq 0 ]'
P=$(pids)

# --- logs -----------------------------------------------------------------------------------------

for w in fabricd $WORKERS; do mv "$W/na/log/$w.log" "$W/na/log/$w.log.1"; done
kill -USR1 "$(fabricd_pid)"
logged 'opened anew'
new_logs() {
	local w f pid
	for w in $WORKERS; do
		f=$W/na/log/$w.log
		pid=$(field "$w" pid)
		[ "$(readlink "/proc/$pid/fd/2")" = "$f" ] || { echo "$w: stderr is not the new file"; return 1; }
		readlink "/proc/$pid/fd/"* | grep -qxF "$f.1" && { echo "$w still has the old file"; return 1; }
	done
	[ -s "$FLOG" ]
}
t 'SIGUSR1: new log files, none writes to an old one' wait_for 3 new_logs
t 'fabricctl log debug' ctl na log debug
ctl na reload
written() { grep -q 'debug: configuration version' "$W/na/log/$1.log"; }
for w in $WORKERS; do
	t "$w takes the level and writes to its new file" wait_for 3 written "$w"
done
t 'an unknown level is refused' fails_with 2 'unknown level' ctl na log loud
ctl na log debug
for i in 1 2 3 4 5; do echo "addr add 10.0.2.$i/32 dev lo"; done | ip -n na -batch -	# at once, whatever else runs
t 'changes of addresses are told to the dataplane' logged 'addresses or routes have changed'
sleep 0.5
t 'and once for many' eval '[ "$(grep -c "addresses or routes have changed" "$FLOG")" -le 2 ]'
n=$(grep -c 'addresses or routes have changed' "$FLOG")
ip -n na addr add 10.99.0.1/32 dev fab0
ip -n na route add 10.98.0.0/16 dev fab0
sleep 0.5
t 'changes on the own interface are no news' eval '[ "$(grep -c "addresses or routes have changed" "$FLOG")" -eq '"$n"' ]'
ctl na reload

# The dataplane has its key certified for ten seconds, and again after two thirds of that; at once with a new certificate.
delegations() { grep -c 'debug: worker=dataplane delegation serial=' "$FLOG"; }
more_delegations() { [ "$(delegations)" -gt "$1" ]; }
sed -i "s,certificate .*,&\n delegation 10 s,; s/^log level.*/log level debug/" "$CONF"
n=$(delegations)
ctl na reload
t 'a delegation is renewed with the reload' wait_for 5 more_delegations "$n"
t 'and before it ends' wait_for 9 more_delegations $((n + 1))
cp "$W/good.conf" "$CONF"
ctl na reload && ctl na log debug

# --- the control sockets --------------------------------------------------------------------------

RW=$W/na/run/fabricd.sock RO=$W/na/run/fabricd.ro.sock
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$FABRICCTL" -s "$W/na/run" "$@"; }
t 'modes of the sockets' [ "$(stat -c %a "$RW" "$RO" | tr '\n' ' ')" = '600 666 ' ]
t 'anybody may look' eval 'as_nobody status && as_nobody show workers | grep -q telemd && as_nobody health'
for c in reload stop 'log debug' 'ping na'; do
	# shellcheck disable=SC2086
	t "but not $c" fails_with 2 'not allowed on the read-only socket' as_nobody $c
done
t 'the same by root on the read-only socket' fails_with 2 'not allowed' "$FABRICCTL" -s "$RO" stop
t 'no daemon: exit status 2' fails_with 2 'cannot be reached' "$FABRICCTL" -s /nonexistent status
t 'unknown command: exit status 2' fails_with 2 'unknown command "frob"' ctl na frob
t 'unknown thing to show: exit status 2' fails_with 2 'unknown word "frob"' ctl na show frob
t 'a ping to nobody: exit status 1' fails_with 1 '.' ctl na ping no-such-node -c 1
t 'JSON has a version and the command' eval 'ctl na show workers --json | grep -q "^{\"version\":1,\"command\":\"workers\",\"status\":0,\"rows\":\[{\"name\":\"dataplane\""'
t 'fabricctl show config prints what parses' eval 'ctl na show config >"$W/again.conf" && "$FABRICD" -n -f "$W/again.conf"'
for s in "$RW" "$RO"; do
	for how in garbage data control cut huge descriptor flood deaf; do
		t "a hostile client ($how) on $(basename "$s") loses its connection" timeout 20 "$ABUSE" "$s" "$how"
	done
done
t 'clients are limited' [ "$("$ABUSE" "$RO" crowd 40)" = 16 ]
t 'but one socket does not fill the other' eval '"$ABUSE" "$RO" crowd 40 & sleep 0.3; ctl na show workers; rv=$?; wait; [ $rv -eq 0 ]'
t 'after all that the same workers run' [ "$(pids)" = "$P" ]
no_more_fds() { [ "$(fds)" -le "$FDS" ]; }
t 'and no descriptor is left over' wait_for 5 no_more_fds

# --- privileges -----------------------------------------------------------------------------------

S=/proc/$(fabricd_pid)/status
t 'fabricd has its nine capabilities and no others' [ "$(awk '/^Cap(Prm|Eff|Bnd)/ { print $2 }' "$S" | uniq)" = 0000000000a415e0 ]
t 'no_new_privs' grep -qE '^NoNewPrivs:.*1' "$S"
t 'it links neither TLS nor QUIC' eval '! nm "$FABRICD" | grep -E " [TtDd] (wolfSSL_(new|connect|CTX_new|accept)|ngtcp2_)"'
t 'workers have an empty environment' eval '[ "$(for p in $(pids); do cat /proc/$p/environ; done | wc -c)" -eq 0 ]'
sed 's/port 4600/port 4999/; /^vpn/d; /^metrics/d' "$CONF" >"$W/second.conf"
t 'a second fabricd is told that one runs, not that its addresses are in use' fails_with 1 'runs already' in_ na "$FABRICD" -d -f "$CONF"
t 'a second fabricd with the same run directory is refused' fails_with 1 'runs already' in_ na "$FABRICD" -d -f "$W/second.conf"

# --- the end --------------------------------------------------------------------------------------

P=$(pids)
stop na
t 'SIGTERM: no process is left' eval 'for p in $P; do gone $p || exit 1; done'
t 'SIGTERM: no interface, no socket, no pid file is left' eval '! in_ na ip link show fab0 && [ -z "$(ls -A "$W/na/run")" ]'
t 'SIGTERM: that was an orderly end' eval 'tail -n 1 "$FLOG" | grep -q "has stopped" && ! grep -q "did not stop" "$FLOG"'

start_na
P=$(pids)
{ kill -9 "$(fabricd_pid)"; wait "$(fabricd_pid)"; } 2>/dev/null
t 'kill -9 of fabricd itself: no worker, no interface is left' eval 'wait_for 3 gone $(echo $P | cut -d" " -f1) && for p in $P; do wait_for 3 gone $p || exit 1; done; ! in_ na ip link show fab0'
start_na
t 'and it starts again' wait_for 5 healthy
stop na
in_ na sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
echo "peer \"nb\" { id $(printf 'b%.0s' {1..64}) prefix fd99::/64 prefix 10.9.0.0/16 }" >>"$CONF"
start_na
t 'without IPv6 it carries IPv4' eval 'wait_for 5 healthy && in_ na ip route show 10.9.0.0/16 | grep -q fab0'
stop na
in_ na sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
cp "$W/good.conf" "$CONF"

# A daemon, by the rc.d script.
sed "s#@sbindir@#$ROOT/$FABRIC_O/fabricd#" "$ROOT/etc/rc.d/fabricd" >"$W/rc"
rc() { fabricd_conf=$CONF fabricd_run=$W/na/run in_ na sh "$W/rc" "$@"; }
t 'rc.d: start' rc start
t 'and when it is back, all workers run' eval 'all_run && ctl na show peers'
t 'rc.d: check' rc check
t 'it has left the terminal' eval 'p=$(cat "$W/na/run/fabricd.pid") && [ "$(ps -o tty=,sid= $p | tr -d " ")" = "?$p" ] && [ "$(readlink /proc/$p/cwd)" = / ]'
sed -i 's/mtu 1380/mtu 1390/' "$CONF"
t 'rc.d: reload' eval 'rc reload && wait_for 3 mtu_is "mtu 1390"'
t 'fabricctl stop waits for the end' eval 'ctl na stop && ! in_ na ip link show fab0 && [ -z "$(ls -A "$W/na/run")" ]'
t 'rc.d: check after the end fails' eval '! rc check'
as_daemon() { in_ na "$FABRICD" -f "$CONF" -S "$W/na/run"; }
no_run_long() { # stopped from outside before its workers run
	sed "s,^libexec .*,libexec \"$W/slow\"," "$W/good.conf" >"$CONF"
	mkdir -p "$W/slow"
	for w in $WORKERS; do printf '#!/bin/sh\nexec sleep 5\n' >"$W/slow/$w"; chmod 755 "$W/slow/$w"; done
	{ wait_for 5 test -s "$W/na/run/fabricd.pid" && sleep 0.2 && kill "$(cat "$W/na/run/fabricd.pid")"; } &
	as_daemon
}
t 'who starts one that ends before it is started is told' fails_with 1 'it ended while it started' no_run_long
wait_for 5 test ! -e "$W/na/run/fabricd.pid"
cp "$W/good.conf" "$CONF"
t 'rc.d: a configuration that is wrong is not started' eval 'echo frob >>"$CONF"; ! rc start && ! rc check'
cp "$W/good.conf" "$CONF"

# --- what is wrong at the start -------------------------------------------------------------------

refused() { # WHAT EXPECTED SED-COMMAND
	sed -E "$3" "$W/good.conf" >"$CONF"
	t "no start: $1" fails_with 1 "$2" timeout 10 ip netns exec na "$FABRICD" -d -f "$CONF"
	cp "$W/good.conf" "$CONF"
}
refused 'no such file' 'conf:1: "/nosuch.conf": No such file' 's,^node.*,include "/nosuch.conf"\n&,'
refused 'the name of another node' 'is for node "na", the configuration says node "nx"' 's/node "na"/node "nx"/'
refused 'a user that does not exist' 'user "_nobody_here" of worker vpnd does not exist: "make install"' 's/user vpnd .*/user vpnd "_nobody_here"/'
refused 'two workers with one user' 'workers dataplane and vpnd have the same user id 64001' 's/user vpnd .*/user vpnd 64001/'
refused 'an address that is not here' 'listen on 10.7.7.7 port 4600: Cannot assign' 's/listen on 10.0.1.1/listen on 10.7.7.7/'
chmod 644 "$W/na/node.key"
refused 'a key that others can read' 'node.key' 's/^$//'
chmod 600 "$W/na/node.key"
node nb 10.0.1.1 10.77.0.2
refused 'a certificate for another key' 'was made for another key' "s,$W/na/node.cert,$W/nb/node.cert,"
"$FABRICCTL" authority init --no-passphrase -d "$W/other" >/dev/null
refused 'another authority' 'signed by another authority' "s,$W/na/authority.pub,$W/other/authority.pub,"
"$FABRICCTL" authority sign "$W/na/node.req" --roles relay --tenant acme --expires 1s -d "$W/authority" -o "$W/short.cert" >/dev/null
sleep 2
refused 'an expired certificate' 'short.cert expired at ' "s,$W/na/node.cert,$W/short.cert,"
refused 'its own id as a peer' 'has this node.s own id' "\$a peer \"me\" { id ${node_id[na]} }"
mkdir -p "$W/na/empty" && touch "$W/na/empty/x"
refused 'a chroot that is not empty' 'must be empty' 's/^$//'
rm "$W/na/empty/x"

# --- workers that misbehave -----------------------------------------------------------------------

LE=$W/libexec
mkdir "$LE"
for w in $WORKERS; do cp "$BAD" "$LE/$w"; done
sed -i "s,^libexec .*,libexec \"$LE\"," "$CONF" "$W/good.conf"
: >"$FLOG"
start_na
t 'the stand-ins run' all_run
misbehaves() { # WORKER MODE REASON
	local g
	g=$(field "$1" generation)
	echo "$2" >"$LE/$1.mode.new" && mv "$LE/$1.mode.new" "$LE/$1.mode"
	wait_for 5 runs_as "$1" $((g + 1)) && log_has "worker=$1 pid=[0-9]+ generation=$g is ended: .*$3"
}
echo 'restart delay 10 ms max 10 ms' >>"$CONF"
ctl na reload
t 'bytes that are no frame end a worker' misbehaves vpnd garbage 'its control channel: '
t 'a frame that no control channel carries ends it' misbehaves svchostd data 'malformed'
t 'a malformed message ends it' misbehaves routed malformed 'malformed DELEGATE'
t 'ready when it is already' misbehaves vpnd ready-again 'it sent READY while running'
t 'a verdict that nobody asked for' misbehaves telemd verdict 'it sent CONF_OK while running'
t 'an answer that nobody asked for' misbehaves routed row 'it sent ROW while running'
echo hold >"$LE/telemd.mode"
ctl na show counters >"$W/held" 2>&1 &
HELD=$!
wait_for 3 test -s "$LE/request.id"
t 'an answer to what another one was asked' misbehaves vpnd steal 'it sent DONE while running'
t 'and it is not taken for the answer' eval 'kill -0 $HELD && [ ! -s "$W/held" ]'
kill -9 "$(field telemd pid)"
wait "$HELD"
t 'a delegation for another than the dataplane' misbehaves vpnd delegate 'it sent DELEGATE while running'
t 'a delegation for a key that is none' misbehaves dataplane delegate 'it sent DELEGATE while running'
# --- what the node key signs: routed's two keys

NODE_KEY=$("$FABRICCTL" record "$W/na/node.cert" --json | grep -oE '"subject":"[0-9a-f]*"' | cut -d'"' -f4)
says() { echo "$2" >"$LE/$1.mode.new" && mv "$LE/$1.mode.new" "$LE/$1.mode"; }
certified() { # PURPOSE NAME SUBJECT: the last delegation for it is by the node, for this key
	local json
	json=$("$FABRICCTL" record "$LE/delegation.$1" --json) &&
		grep -q "\"issuer\":\"$NODE_KEY\"" <<<"$json" && grep -q "\"subject\":\"$3" <<<"$json" &&
		grep -q "\"purpose\":\"$2\"" <<<"$json" && grep -q '"kind":"delegation"' <<<"$json"
}
serial() { "$FABRICCTL" record "$LE/delegation.$1" --json | grep -oE '"serial":[0-9]*' | cut -d: -f2; }
newer() { [ "$(serial 3)" -gt "$1" ] && [ "$(serial 4)" -gt "$2" ]; }
for w in dataplane vpnd svchostd telemd; do
	t "a routing key of $w" misbehaves "$w" delegate-route 'it sent DELEGATE while running'
	t "a ticket key of $w" misbehaves "$w" delegate-ticket 'it sent DELEGATE while running'
done
t 'a session key of routed' misbehaves routed delegate-flood 'it sent DELEGATE while running'
t 'nothing was certified for them' eval '! ls "$LE"/delegation.[34] 2>&-'
says routed delegate-route
t "routed's own routing key" wait_for 3 certified 3 route d75a98
says routed delegate-ticket
t 'and its ticket key' wait_for 3 certified 4 ticket e2e2e2
R=$(serial 3) T=$(serial 4)
ctl na reload
t 'a reload renews both' wait_for 3 newer "$R" "$T"
t 'for the same keys' eval 'certified 3 route d75a98 && certified 4 ticket e2e2e2'
kill -9 "$(field routed pid)"
wait_for 5 all_run
S="$(serial 3) $(serial 4)"
ctl na reload
sleep 0.3
t 'one that died has no key any more' [ "$(serial 3) $(serial 4)" = "$S" ]
# --- what the authority has signed for all
given() { # KIND: routed has this very list
	[ -e "$LE/signed.$1" ] && cmp -s <("$FABRICCTL" record "$LE/signed.$1") <("$FABRICCTL" record "$W/revoked.rec")
}
t 'nobody is given what is not configured' eval '! ls "$LE"/signed.* 2>&-'
echo "revocations $W/revoked.rec" >>"$CONF"
t 'a reload gives routed the list of who is revoked' eval 'ctl na reload && wait_for 3 given 11'
"$FABRICCTL" authority revoke "$(printf '2%.0s' {1..64})" -d "$W/authority" -o "$W/revoked.rec" >/dev/null
t 'it has grown: a reload gives it again' eval '! given 11 && ctl na reload && wait_for 3 given 11'
rm "$LE/signed.11"
kill -9 "$(field routed pid)"
t 'a new routed is given it' wait_for 5 given 11
wait_for 5 all_run
sed -i '/^revocations /d' "$CONF"
ctl na reload
# --- what the node key signs: two adapters' keys, and what they serve

says_e2e() { says "$1" delegate-e2e; }
records() { # the names in the set that routed was told, all of them verified
	local f
	for f in "$LE"/record.*; do
		[ -e "$f" ] || continue
		"$FABRICCTL" record "$f" --json >"$W/record.json" || echo bad
		grep -q '"kind":"service"' "$W/record.json" || echo other
		grep -q "\"issuer\":\"$NODE_KEY\"" "$W/record.json" || echo foreign
		grep -q '"subject":"e2e2e2' "$W/record.json" || echo anothers
		grep -oE '"name":"[a-z0-9]*"' "$W/record.json" | cut -d'"' -f4
	done | tr '\n' ' '
}
records_are() { [ "$(records)" = "$1" ]; }
t 'an end-to-end key of the dataplane' misbehaves dataplane delegate-e2e 'it sent DELEGATE while running'
t 'of routed' misbehaves routed delegate-e2e 'it sent DELEGATE while running'
t 'of telemd' misbehaves telemd delegate-e2e 'it sent DELEGATE while running'
t 'nothing was signed for them' records_are ''
says_e2e vpnd
t 'an end-to-end key of vpnd: with it, a record of its service' wait_for 3 records_are 'vpn '
says_e2e svchostd
t "one of svchostd: the node's whole set" wait_for 3 records_are 'vpn echo '
cp "$LE/record.1" "$W/echo.record"
t 'a record is valid, and of its class' eval '"$FABRICCTL" record "$LE/record.0" --json | grep -qE "\"class\":\"control\".*\"time\":\"valid\""'
G=$(field routed generation)
rm "$LE"/record.*
kill -9 "$(field routed pid)"
t 'a new routed is told the set' eval 'wait_for 5 records_are "vpn echo "'
t 'with the same records' cmp "$W/echo.record" "$LE/record.1"
sed -i '/^service "echo"/d' "$CONF"
t 'a service that is configured no more' eval 'ctl na reload && wait_for 3 records_are "vpn "'
says_e2e svchostd
t 'and cannot be had by asking' eval 'sleep 0.3; records_are "vpn "'
echo 'service "echo"' >>"$CONF"
t 'and is there again' eval 'ctl na reload && wait_for 3 records_are "vpn echo "'
kill -9 "$(field svchostd pid)"
t 'a worker that died serves nothing' wait_for 3 records_are 'vpn '
kill -9 "$(field vpnd pid)"
t 'nor does the other' wait_for 3 records_are ''
wait_for 5 all_run
t 'a lost channel that is said by another than the dataplane' misbehaves vpnd port-lost 'it sent PORT_LOST while running'
t 'a lost channel that never was' misbehaves dataplane port-of-nobody 'it sent PORT_LOST while running'
G=$(field routed generation)
echo port-lost >"$LE/dataplane.mode"
t 'a channel that was lost: both get a new one' wait_for 3 log_has 'channel dataplane-routed was lost: a new one'
t 'and live on' [ "$(field routed generation)" = "$G" ]
echo port-lost-often >"$LE/dataplane.mode"
t 'who loses one after the other is ended' wait_for 3 log_has "worker=routed pid=[0-9]+ generation=$G is ended: it lost one channel"
wait_for 3 runs_as routed $((G + 1))
t 'a descriptor' misbehaves svchostd descriptor 'it sent a descriptor with LOG'
t 'a message between workers' misbehaves dataplane worker-message 'it sent PEER_DOWN while running'
t 'a channel that it closes while it lives on' misbehaves telemd close 'its control channel: the other side is gone'
ctl na log debug
n=$(delegations)
echo delegate-flood >"$LE/dataplane.mode"
ten_more() { [ "$(delegations)" -ge $((n + 10)) ]; }
t 'certifying often' wait_for 5 ten_more
sleep 1		# what was earned meanwhile is little
echo delegate-flood >"$LE/dataplane.mode"
wait_for 5 test ! -e "$LE/dataplane.mode"
sleep 0.5
limited() { # ten at once and one a second, by the log's own clock
	local times
	times=$(grep 'debug: worker=dataplane delegation serial=' "$FLOG" | tail -n +$((n + 1)) | cut -d' ' -f1)
	echo "$(wc -l <<<"$times") of 2000 requests"
	[ "$(wc -l <<<"$times")" -le $((11 + $(date -d "$(tail -n 1 <<<"$times")" +%s) - $(date -d "$(head -n 1 <<<"$times")" +%s))) ]
}
t 'is limited in rate' limited
at_start() { # WORKER MODE REASON: at its next start
	local g
	g=$(field "$1" generation)
	echo "$2" >"$LE/$1.mode"
	kill -9 "$(field "$1" pid)"
	wait_for 15 runs_as "$1" $((g + 2)) && log_has "worker=$1 pid=[0-9]+ generation=$((g + 1)) is ended: .*$3"
}
t 'a verdict before it is ready' at_start vpnd early 'it sent CONF_OK while starting'
t 'ready as another generation' at_start routed wrong-generation 'it sent READY while starting'
t 'never ready' at_start telemd hang 'it was not ready in time'

G=$(ctl na show config)
sed -i 's/mtu 1380/mtu 1400/' "$CONF"
P=$(pids)
echo refuse >"$LE/svchostd.mode"
t 'reload: one worker refuses' fails_with 1 'svchostd: it is not to my taste' ctl na reload
t 'reload: then none of them has it' eval '[ "$(mtu)" = "mtu 1380" ] && [ "$(ctl na show config)" = "$G" ] && [ "$(pids)" = "$P" ]'
echo die-at-reload >"$LE/routed.mode"
t 'reload: one worker dies over it' fails_with 1 'worker routed died over it' ctl na reload
t 'reload: the others are as before, and it comes back' eval \
	'wait_for 3 all_run && [ "$(mtu)" = "mtu 1380" ] && [ "$(ctl na show config)" = "$G" ]'
echo mute >"$LE/vpnd.mode"
t 'reload: one worker does not answer' fails_with 1 'worker vpnd did not answer in time' ctl na reload
t 'reload: it is replaced' eval 'wait_for 3 all_run && log_has "worker=vpnd .* is ended: it did not answer to a configuration"'
t 'reload: the same file, all willing' eval 'ctl na reload && [ "$(mtu)" = "mtu 1400" ]'
echo die-at-request >"$LE/routed.mode"
t 'a request whose worker dies is answered' fails_with 1 'worker routed died before it answered' ctl na show peers

cp "$W/good.conf" "$CONF"
ctl na reload
g=$(field telemd generation)
echo exit >"$LE/telemd.mode"
kill -9 "$(field telemd pid)"
sleep 4
n=$(($(field telemd generation) - g))
t "a worker that exits at once does not spin ($n starts in 4 s)" [ "$n" -ge 2 -a "$n" -le 6 ]
t 'its delay is logged, and doubles' eval 'log_has "telemd is started again in 500 ms" && log_has "telemd is started again in 1000 ms"'
t 'health says so' fails_with 1 'worker telemd +no' ctl na health
t 'a request to it says so' fails_with 1 'worker telemd is ' ctl na show counters
rm "$LE/telemd.mode"
t 'and it comes back when it can' wait_for 10 all_run
P=$(pids)
echo ignore-stop >"$LE/routed.mode"
sleep 0.2
stop na
took=$(($(ms_of ' info: has stopped') - $(ms_of ' info: stops')))
t "a worker that does not stop is killed ($took ms)" eval "[ $took -lt 4000 ]"' && log_has "worker=routed pid=[0-9]+ did not stop: killed" && for p in $P; do gone $p || exit 1; done'

# --- without root ---------------------------------------------------------------------------------

U=$W/u
mkdir "$U" && cp "$W/na/node.key" "$W/na/node.cert" "$W/na/authority.pub" "$U/" && chown -R 65534:65534 "$U"
chmod 711 "$W"
cat >"$U/fabricd.conf" <<-CONF
	node "na" { key "$U/node.key" certificate "$U/node.cert" authority "$U/authority.pub" }
	directory run "$U/run"
	directory log "$U/log"
	directory state "$U/state"
	libexec "$LIBEXEC"
	listen on 10.0.1.1 port 4600
	service "echo"
CONF
start_u() {
	ip netns exec na setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
		"$FABRICD" -U -d -f "$U/fabricd.conf" >>"$U/stderr" 2>&1 &
	UPID=$!
}
healthy_u() { "$FABRICCTL" -s "$U/run" health; }
stop_u() { kill -TERM "$UPID"; wait_for 5 gone "$UPID"; }
start_u
t '-U: runs as an ordinary user, without a TUN' wait_for 5 healthy_u
t '-U: five workers, one user, confined all the same' eval \
	'[ "$(for p in $(pgrep -P $UPID); do awk "/^(Uid|NoNewPrivs|Seccomp|CapEff|CapPrm):/ { printf \"%s \", \$2 }" /proc/$p/status; echo; done | sort | uniq -c | tr -s " ")" = " 5 65534 0000000000000000 0000000000000000 1 2 " ]'
t '-U: ends' stop_u
echo 'vpn { network 10.77.0.0/16 }' >>"$U/fabricd.conf"
t '-U: a vpn needs a TUN from somebody' fails_with 1 'the TUN has to come from a "tun socket"' timeout 5 ip netns exec na \
	setpriv --reuid 65534 --regid 65534 --clear-groups "$FABRICD" -U -d -f "$U/fabricd.conf"
sed -i "s,^vpn.*,vpn { network 10.77.0.0/16 tun socket \"$U/tun.sock\" }," "$U/fabricd.conf"
t '-U: and says when nobody gives one' fails_with 1 'tun socket .*: No such file' timeout 5 ip netns exec na \
	setpriv --reuid 65534 --regid 65534 --clear-groups "$FABRICD" -U -d -f "$U/fabricd.conf"
ip netns exec na "$TUNGIVE" given0 "$U/tun.sock" &
GIVER=$!
wait_for 3 test -S "$U/tun.sock"
start_u
t '-U: takes a TUN over a unix socket' wait_for 5 healthy_u
t '-U: vpnd holds it' eval 'ls -l /proc/$(pgrep -P $UPID -x vpnd)/fd | grep -q /dev/net/tun'
stop_u
kill "$GIVER"

finish
