#!/bin/bash
# Packets between real nodes: both families, sizes, checksums, spoofing, small paths, dead workers, dead peers.
#
#	a 10.0.1.1 ---- r ---- 10.0.2.1 b         overlay 10.77.0.1, .2, .3
#	                |
#	                +---- 10.0.3.1 c
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

host r; router r
i=0
for n in a b c; do
	i=$((i + 1))
	host $n
	link $n 10.0.$i.1/24 r 10.0.$i.254/24
	in_ $n ip route add default via 10.0.$i.254
	node $n 10.0.$i.1 10.77.0.$i
done
peer a b c
peer b a c
peer c a b
start a b c

addr6() { in_ "$1" ip -6 -o addr show dev fab0 scope global | awk '{ sub("/.*", "", $4); print $4; exit }'; }
counter() { # NODE WORKER NAME [LABELS-PATTERN]: the sum of what matches
	ctl "$1" show counters --json | python3 -c '
import json, re, sys
rows = json.load(sys.stdin)["rows"]
print(sum(r["value"] for r in rows if r["worker"] == sys.argv[1] and r["name"] == sys.argv[2]
          and re.search(sys.argv[3], r["labels"])))' "$2" "$3" "${4:-}"
}
grows() { # BEFORE NODE WORKER NAME [LABELS]
	local before=$1
	shift
	more() { [ "$(counter "$@")" -gt "$before" ]; }
	wait_for 5 more "$@"
}

t 'a reaches b over IPv4' wait_for 20 up a 10.77.0.2
t 'c reaches b over IPv4' wait_for 20 up c 10.77.0.2
b6=$(addr6 b)
t 'a reaches b over IPv6, the address made of its node id' wait_for 5 in_ a ping -6 -n -c 1 -W 1 "$b6"

for size in 0 1 100 1000 1172 1352 1400 4000 20000; do
	t "ping with $size bytes" in_ a ping -n -q -c 3 -i 0.05 -W 2 -s $size 10.77.0.2
done
t 'IPv6 ping with 1300 bytes' in_ a ping -6 -n -q -c 2 -i 0.05 -W 2 -s 1300 "$b6"
t 'ping flood of 2000 without loss' sh -c "ip netns exec a ping -n -q -f -c 2000 10.77.0.2 | grep ' 0% packet loss'"

# A transfer with its checksum, each way, IPv4 and IPv6: the segments are cut and coalesced on the way.
head -c 20000000 /dev/urandom >"$W/file"
mkdir -p "$W/www"
cp "$W/file" "$W/www/file"
ip netns exec b python3 -m http.server --bind :: --directory "$W/www" 8000 >"$W/http.log" 2>&1 &
wait_for 10 in_ a curl -sf -o /dev/null http://10.77.0.2:8000/
download() {
	rm -f "$W/got"
	in_ "$1" timeout 60 curl -gsf -o "$W/got" "$2" && cmp "$W/file" "$W/got"
}
t 'TCP download over IPv4 arrives whole' download a http://10.77.0.2:8000/file
t 'TCP download over IPv6 arrives whole' download a "http://[$b6]:8000/file"
in_ b iperf3 -s -D
wait_for 5 in_ b pgrep -x iperf3
t 'UDP datagrams of 200 bytes arrive' in_ a iperf3 -c 10.77.0.2 -u -l 200 -b 10M -t 1
# Nothing slows a UDP sender down: beside another load a queue may overflow in one second, hardly in three.
large_udp() {
	in_ a iperf3 -c 10.77.0.2 -u -l 8000 -b 20M -t 1 -J | python3 -c '
import json, sys
end = json.load(sys.stdin)["end"]
sent, got = end["sum"]["bytes"], end["sum_received"]["bytes"]	# "lost" is 0 when none came
print(got, "of", sent, "bytes")
sys.exit(sent < 1000000 or got < sent * 0.95)'
}
large_udp_thrice() { large_udp || large_udp || large_udp; }
t 'UDP datagrams of 8000 bytes (IP fragments) arrive' large_udp_thrice
t 'four TCP streams in reverse' in_ a iperf3 -c 10.77.0.2 -P 4 -R -t 1
in_ b pkill -x iperf3

sealed() { ctl a show vpn --json | python3 -c 'import json, sys, time; rows = [r for r in json.load(sys.stdin)["rows"] if r["node"] == "b"]
sys.exit(not rows or any(r["sealed"] == "no" or abs(time.time() - r["sealed_since_s"]) > 600 for r in rows))'; }
t 'fabricctl show vpn: to b it is sealed, and since when' sealed

# Spoofing: a sends with an address that is not its own; b must not get it, and a must count it.
in_ a ip addr add 10.77.9.9/32 dev fab0
before=$(counter a vpnd fabric_vpn_drops_total)
spoof() { ! in_ a ping -n -c 2 -i 0.1 -W 1 -I 10.77.9.9 10.77.0.2; }
t 'a packet with a source that is not ours goes nowhere' spoof
t 'and is counted' grows "$before" a vpnd fabric_vpn_drops_total
in_ a ip addr del 10.77.9.9/32 dev fab0

# A path of 1280 bytes: datagrams are smaller than an inner packet.
in_ r ip link set dev b mtu 1280
in_ b ip link set dev r mtu 1280
in_ r ip link set dev c mtu 1280
in_ c ip link set dev r mtu 1280
for n in b c; do stop $n; start $n; done
t 'b and c meet again over a path of 1280 bytes' wait_for 20 up c 10.77.0.2
t 'a packet of 1280 bytes passes it' in_ c ping -n -q -c 3 -i 0.1 -W 2 -s 1252 10.77.0.2
t 'a download passes it' download c http://10.77.0.2:8000/file

# Workers killed under traffic.
killed() { # NODE WORKER MOST-LOST: it is back with a new pid, and of 60 packets at 20 a second so many were lost at most
	local before lost
	before=$(worker_pid "$1" "$2") || return 99
	ip netns exec a ping -n -q -i 0.05 -c 60 -W 1 10.77.0.2 >"$W/ping" 2>&1 &
	local p=$!
	sleep 0.5
	kill -9 "$before"
	wait "$p"
	lost=$(awk '/packets transmitted/ { print $1 - $4 }' "$W/ping")
	local now
	now=$(worker_pid "$1" "$2")
	echo "$lost lost, pid $before, now $now"
	[ -n "$now" ] && [ "$now" != "$before" ] && [ "$lost" -le "$3" ]
}
for w in routed telemd svchostd; do
	for n in a b; do
		t "kill -9 $w on $n: it is back and cost no packet" killed $n $w 0
	done
done
since() { ctl a show sessions --json | python3 -c 'import json, sys; print([r["since_s"] for r in json.load(sys.stdin)["rows"] if r["name"] == "b"][0])'; }
sleep 1
t 'kill -9 vpnd on b: it is back within a second' killed b vpnd 20
age=$(since)
t 'and the session lived on' [ "${age:-0}" -ge 4 ]
t 'kill -9 dataplane on b: it is back, and so are the sessions' killed b dataplane 40
t 'and packets flow again' wait_for 10 up a 10.77.0.2

# A peer that is gone: seen within the configured time, told to the sender, and found again.
down() { ctl a status --json | grep -o '"name":"b"[^}]*' | grep -qv '"state":"up"'; }
kill -STOP "$(worker_pid b dataplane)"
t 'a silent peer is seen to be down within 15 s' wait_for 15 down
kill -CONT "$(worker_pid b dataplane)"
t 'and up again when it answers' wait_for 20 up a 10.77.0.2
t 'fabricctl ping b' ctl a ping b -c 2
t 'health says so' wait_for 5 ctl a health

finish
