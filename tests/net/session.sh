#!/bin/bash
# Sessions over paths that are not kind: an address that changes, a path that is cut, losses, a bottleneck, noise.
#
#	a 10.0.1.1 ---- r ---- 10.0.2.1 b         overlay 10.77.0.1, .2, .3
#	                |  (impair: b and c, as c sees them, behind 10.0.3.254)
#	                +---- 10.0.3.1 c
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

IMPAIR=$ROOT/$FABRIC_O/tests/net/impair
[ -x "$IMPAIR" ] || { skip "$IMPAIR is not built"; finish; }
host r; router r
i=0
for n in a b c; do
	i=$((i + 1))
	host $n
	link $n 10.0.$i.1/24 r 10.0.$i.254/24
	in_ $n ip route add default via 10.0.$i.254
	node $n 10.0.$i.1 10.77.0.$i
done
# a is found by nobody and listens everywhere: its address will change. c reaches b through impair only.
sed -i "s/^listen on .*/listen on 0.0.0.0 port $PORT/" "$W/a/fabricd.conf"
peer a b
node_addr[b]=10.0.3.254
peer c b
start a b c

path() { # DELAY-MS RATE-KBIT BUFFER-KB LOSS-PERMYRIAD: from c to b
	[ -n "${path_pid:-}" ] && { kill "$path_pid"; wait "$path_pid" 2>/dev/null; }
	ip netns exec r "$IMPAIR" 10.0.3.254 $PORT 10.0.2.1 $PORT "$@" &
	path_pid=$!
}
field() { # NODE PEER FIELD: of fabricctl show sessions
	ctl "$1" show sessions --json | python3 -c '
import json, sys
print([r[sys.argv[2]] for r in json.load(sys.stdin)["rows"] if r["name"] == sys.argv[1] and r["state"] == "up"][0])' "$2" "$3"
}
path 5 0 0 0
t 'a reaches b' wait_for 20 up a 10.77.0.2
t 'c reaches b through a path of 10 ms' wait_for 20 up c 10.77.0.2

# The address of a node that dialled changes: the session goes on, the other side follows.
head -c 3000000 /dev/urandom >"$W/file"
mkdir -p "$W/www"
cp "$W/file" "$W/www/file"
ip netns exec b python3 -m http.server --directory "$W/www" 8000 >"$W/http.log" 2>&1 &
wait_for 10 in_ a curl -sf -o /dev/null http://10.77.0.2:8000/
sleep 2
move() { # FROM TO
	in_ a ip addr del "$1/24" dev r
	in_ a ip addr add "$2/24" dev r
	in_ a ip route replace default via 10.0.1.254
}
move 10.0.1.1 10.0.1.7
t 'after a change of address packets go on' wait_for 5 up a 10.77.0.2
t 'in the same session' [ "$(field a b since_s)" -ge 2 ]
at_b() { field b a address | grep -q "10.0.1.7:"; }
t 'which b knows by its new address' wait_for 5 at_b
fetch() {
	rm -f "$W/got.$1"
	in_ "$1" timeout 60 curl -sf -o "$W/got.$1" http://10.77.0.2:8000/file && cmp "$W/file" "$W/got.$1"
}
t 'and a download arrives whole' fetch a
fed() { ctl b show counters --json | python3 -c '
import json, sys
print(sum(r["value"] for r in json.load(sys.stdin)["rows"] if r["name"] == "fabric_express_packets_total"
          and "out" in r["labels"] and "feedback" in r["labels"]))'; }
fed_more() { [ "$(fed)" -gt "$before" ]; }
sleep 1
before=$(fed)
fetch a
t 'in express packets, which b answers at the new address' wait_for 5 fed_more

# A path that is cut for less than the session's patience.
since=$(field c b since_s)
kill -USR1 "$path_pid"
sleep 2
kill -USR2 "$path_pid"
t 'after two seconds without a path packets flow again' wait_for 10 up c 10.77.0.2
t 'in the same session' [ "$(field c b since_s)" -ge "$since" ]

path 10 0 0 100
t 'a download over 1 % loss and 20 ms arrives whole' fetch c
path 10 20000 100 0
t 'a download through 20 Mbit/s with a small buffer arrives whole' fetch c
t 'while ping is answered' sh -c "ip netns exec c ping -n -q -c 20 -i 0.05 -W 2 10.77.0.2 | grep -q ' 0% packet loss'"

# The path between a and b becomes smaller than what a session had found; nobody is told.
smaller() { ctl b show counters --json | tr '{' '\n' | grep fabric_sessions_path_smaller_total | grep -oE '"value": *[0-9]+' | grep -oE '[0-9]+'; }
noticed() { [ "$(smaller)" -ge 1 ]; }
fetch a		# what arrived just before must not hide it
in_ r ip link set dev a mtu 1300
fetch a && : >"$W/met" &
n=$!
t 'b notices a path that became smaller' wait_for 20 noticed
wait $n
t 'and the download that met it arrives whole' [ -e "$W/met" ]
t 'and found its size' [ "$(field b a datagram_max)" -lt 1260 ]
in_ r ip link set dev a mtu 1500

# Noise at the port, for as long as the ping takes: no session suffers, and no connection is left of it.
noise() {
	in_ r python3 -c '
import os, random, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(20000):
    first = random.choice([0x40, 0xc0, 0xc3, 0xe0, 0x00, 0xff])
    s.sendto(bytes([first]) + (b"\0\0\0\1" if i % 2 else b"") + os.urandom(random.randrange(1, 1300)), ("10.0.2.1", 4600))
    if i % 200 == 0: time.sleep(0.02)	# or the socket would overflow, and all that came were lost alike
'
}
noise &
n=$!
t 'ping under a flood of noise' sh -c "ip netns exec a ping -n -q -c 40 -i 0.05 -W 2 10.77.0.2 | grep -E ' (0|2.5|5)% packet loss'"
wait $n
no_strangers() { ! ctl b show sessions --json | grep -q '"state": *"handshake"'; }
t 'nothing of the noise is left' wait_for 15 no_strangers
ups() { ctl b show sessions --json | grep -o '"state": *"up"' | wc -l; }
t 'and a and c are still there' [ "$(ups)" -eq 2 ]
[ -n "${path_pid:-}" ] && kill "$path_pid"
finish
