#!/bin/bash
# TCP services, with the real daemons: bytes both ways, ends, resets, targets that are down, who may, many, and processes
# that die under a stream. TCP_MANY connections are made in a row and again at once (500 unless set), TCP_BULK bytes go
# through one (100 MB).
#
#	a 10.0.1.1 ---- 10.0.1.2 b (service-host)
#	clients on 127.0.0.1    targets on 127.0.0.1
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

MANY=${TCP_MANY:-500}
BULK=${TCP_BULK:-100000000}
PEER=$PWD/tests/net/tcppeer.py
host a; host b
link a 10.0.1.1/24 b 10.0.1.2/24
node a 10.0.1.1 10.77.0.1 mobile-edge
node b 10.0.1.2 10.77.0.2 service-host
peer a b
cp "$W/b/fabricd.conf" "$W/b/none.conf"
cat >>"$W/b/fabricd.conf" <<-CONF
	service "talk" { tcp to 127.0.0.1 port 7001 allow role mobile-edge }
	service "bulk" { tcp to 127.0.0.1 port 7001 class bulk }
	service "down" { tcp to 127.0.0.1 port 7009 }
	service "full" { tcp to 127.0.0.1 port 7002 }
	service "private" { tcp to 127.0.0.1 port 7001 allow role relay }
	service "theirs" { tcp to 127.0.0.1 port 7001 allow tenant "other" }
CONF
i=2200
for s in talk bulk down full private theirs; do
	echo "listen on 127.0.0.1 port $((++i)) to service \"$s@b\"" >>"$W/a/fabricd.conf"
done
TALK=2201 BLK=2202 DOWN=2203 FULL=2204 PRIVATE=2205 THEIRS=2206
in_ b python3 "$PEER" serve 7001 &
in_ b python3 "$PEER" full 7002 &
p() { in_ a timeout 300 python3 "$PEER" "$@"; }
start a b
t 'a service is reached' wait_for 20 p ask $TALK x 10 10

# --- bytes and their ends
t 'both directions have their own end' p ask $TALK x 300000 200000
t 'nothing at all' p ask $TALK x 0 0
t 'twenty megabytes there and back at the same time' p ask $TALK e 20000000 0
bulk() { p ask $BLK x "$BULK" 0 && p ask $BLK x 0 "$BULK"; }
t 'much, one way and the other' bulk
t 'a reset there is a reset here' p ask $TALK r 0 100000
t 'forty at once, each with its megabyte' p ask $TALK e 1000000 0 40 40

# --- who does not read holds who writes, and nobody else
in_ a python3 "$PEER" stuck $BLK >"$W/stuck" &
stuck_pid=$!
t 'a target that does not read stops its client' wait_for 60 test -s "$W/stuck"
t 'before sixty megabytes' test "$(cat "$W/stuck")" -lt 60000000
t 'while others are served' p ask $TALK e 5000000 0 4 4
kill $stuck_pid

# --- targets and rights
counter() { # NODE METRIC
	in_ "$1" curl -s http://127.0.0.1:9464/metrics | awk -v m="$2" '$1 == m { print $2 }'
}
known() { ctl "$1" show "${@:2}" --json; }
t 'a target that is down' p fails $DOWN
t 'the reason arrives' sh -c "'$FABRICCTL' -s '$W/a/run' connect down </dev/null 2>&1 | grep -q target-down"
t 'is counted there' test "$(counter b 'fabric_svchostd_targets_total{result="down"}')" -ge 2
t 'one that is for another role' p fails $PRIVATE
t 'one that is for another tenant' p fails $THEIRS
t 'not-allowed is the reason' sh -c "'$FABRICCTL' -s '$W/a/run' connect private </dev/null 2>&1 | grep -q not-allowed"
t 'is counted there' test "$(counter b 'fabric_svchostd_streams_refused_total{reason="not-allowed"}')" -ge 3
before=$SECONDS
t 'a target that takes nobody is given up' p fails $FULL
t 'after ten seconds' test $((SECONDS - before)) -ge 9 -a $((SECONDS - before)) -le 20
t 'and counted' test "$(counter b 'fabric_svchostd_targets_total{result="timeout"}')" -ge 1

# --- many, and nothing is left of them
of() { # NODE FIELD: of svchostd
	case $2 in
	fds) find "/proc/$(worker_pid "$1" svchostd)/fd" -type l | wc -l ;;
	kb) awk '/^VmRSS/ { print $2 }' "/proc/$(worker_pid "$1" svchostd)/status" ;;
	esac
}
none() { [ "$(counter a fabric_svchostd_streams)" -eq 0 ] && [ "$(counter b fabric_svchostd_streams)" -eq 0 ]; }
t 'no stream is left' wait_for 30 none
p ask $TALK x 100 1000 200 8
wait_for 10 none
fds_a=$(of a fds) fds_b=$(of b fds) kb_b=$(of b kb)
t "$MANY connections in a row" p ask $TALK x 100 1000 "$MANY"
t "$MANY connections, fifty at a time" p ask $TALK x 100 1000 "$MANY" 50
t 'no stream is left of them' wait_for 20 none
t 'and no descriptor' test "$(of a fds)" -le "$fds_a" -a "$(of b fds)" -le "$fds_b"
t 'nor much memory' test "$(of b kb)" -le $((kb_b + 32768))

# --- processes that die
under_way() { [ "$(counter b fabric_svchostd_streams)" -ge 1 ]; }
killed() { # NODE WORKER: under a transfer
	p ask $TALK e 60000000 0 >"$W/transfer" 2>&1 &
	local transfer=$! n=0
	wait_for 10 under_way || return 1
	sleep 0.2
	while kill -0 $transfer 2>/dev/null && [ $((n++)) -lt 2 ]; do
		kill -9 "$(worker_pid "$1" "$2")"
		sleep 0.7
	done
	if ! wait $transfer || [ "$n" -eq 0 ]; then
		cat "$W/transfer"
		return 1
	fi
}
again() { counter a fabric_svchostd_legs_again_total; }
t 'the dataplane here is killed, and nothing is lost' killed a dataplane
t 'the one there' killed b dataplane
t 'by streams that went on' test "$(again)" -ge 1
hold() {
	in_ a python3 "$PEER" hold $TALK 30 >"$W/hold" &
	wait_for 10 grep -q open "$W/hold"
}
ended() { wait_for 10 grep -q '^reset' "$W/hold" || { cat "$W/hold"; return 1; }; }
hold
kill -9 "$(worker_pid b svchostd)"
t 'svchostd there is killed: its streams end within seconds' ended
t 'and others begin' wait_for 20 p ask $TALK x 10 10
hold
kill -9 "$(worker_pid a svchostd)"
t 'svchostd here is killed' ended
t 'and others begin' wait_for 20 p ask $TALK x 10 10
t 'no stream is left there' wait_for 75 none
t 'a service is reached after it all' wait_for 20 p ask $TALK x 10 10
hold
cp "$W/b/none.conf" "$W/b/fabricd.conf"
ctl b reload >/dev/null
t 'a reload without the service ends its streams' ended
t 'and there is none' p fails $TALK
finish
