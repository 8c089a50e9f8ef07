#!/bin/bash
# vpnd alone, with real TUNs and kernels but a dataplane that only hands over: every kind of TUN, paths of any size,
# loss, a peer that goes, a vpnd that is killed. Data must arrive whole in each case: both kernels check every sum.
#
#	ns a: tun0 10.77.0.1 -- vpnd -- vpnd_pair -- vpnd -- tun0 10.77.0.2 :ns b
cd "$(dirname "$0")/../.." || exit 1
O=${FABRIC_O:-build}
for p in "$O/tests/net/vpnd_pair" "$O/libexec/vpnd"; do
	[ -x "$p" ] || { echo "$p is not built: run make"; exit 1; }
done
# shellcheck disable=SC2034
NEEDS=
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

host a
host b
mkfifo "$W/in"
exec 9<>"$W/in"
head -c 5000000 /dev/urandom >"$W/file"
mkdir -p "$W/www"
cp "$W/file" "$W/www/file"

said() { [ "$(grep -c "^$1" "$W/out")" -ge "${2:-1}" ]; }
tell() { echo "$1" >&9; }
# The counter of side $1 whose line holds $2, now.
counter() {
	local n
	n=$(grep -c '^\.' "$W/out")
	tell stats
	wait_for 5 said '\.' $((n + 1))
	tac "$W/out" | awk -v side="$1" -v what="$2" '$1 == side && index($0, what) { print $NF; found = 1; exit } END { if (!found) print 0 }'
}
begin() { # OPTIONS of vpnd_pair
	: >"$W/out"
	"$ROOT/$O/tests/net/vpnd_pair" -v "$ROOT/$O/libexec/vpnd" -a a -b b "$@" <"$W/in" >>"$W/out" 2>>"$W/pair.log" 9>&- &
	pair=$!
	wait_for 10 said ready || { tail -n 20 "$W/pair.log"; die 'vpnd_pair is not ready'; }
	ip netns exec b python3 -m http.server --bind :: --directory "$W/www" 8000 >/dev/null 2>&1 9>&- &
	http=$!
	b6=$(in_ b ip -6 -o addr show dev tun0 scope global | awk '{ sub("/.*", "", $4); print $4; exit }')
	wait_for 10 in_ b curl -sf -o /dev/null http://127.0.0.1:8000/
}
no_tuns() { ! ip -n a link show tun0 && ! ip -n b link show tun0; }
# The vpnds die with their vpnd_pair, but a little later; until then each has its TUN open.
end() {
	kill "$http" "$pair"
	wait "$http" "$pair" 2>/dev/null
	wait_for 10 no_tuns || die 'a TUN is still open'
}
ping_() { in_ a ping -n -q -c 3 -i 0.05 -W 2 "$@"; }
download() {
	rm -f "$W/got"
	in_ a timeout 30 curl -gsf -o "$W/got" "http://$1:8000/file" && cmp "$W/file" "$W/got"
}
both() { # WHAT: pings and downloads in both families
	t "$1: ping" ping_ 10.77.0.2
	t "$1: ping with 1300 bytes over IPv6" ping_ -6 -s 1300 "$b6"
	t "$1: ping with 9000 bytes" ping_ -s 9000 10.77.0.2
	t "$1: download over IPv4" download 10.77.0.2
	t "$1: download over IPv6" download "[$b6]"
}
snmp() { in_ b awk -v want="$1" '$1 == "Udp:" && !n { for (i = 2; i <= NF; i++) name[i] = $i; n = 1; next }
	$1 == "Udp:" { for (i = 2; i <= NF; i++) if (name[i] == want) print $i; exit }' /proc/net/snmp; }
# Slow enough for a vpnd that has to wait for its turn: the TUN's queue then holds half a second.
udp() { # DATAGRAM-BYTES BITS-A-SECOND: they arrive, and the receiver's kernel finds no wrong sum
	in_ b iperf3 -s -1 -D
	wait_for 5 in_ b sh -c 'ss -ltn | grep -q :5201'
	in_ a iperf3 -c 10.77.0.2 -u -l "$1" -b "$2" -t 1 -J >"$W/udp.json"
	python3 -c 'import json, sys; s = json.load(sys.stdin)["end"]["sum"]; print(s["packets"], s["lost_percent"]); sys.exit(s["packets"] < 100 or s["lost_percent"] > 20)' <"$W/udp.json"
}
sums_good() { [ "$(snmp InCsumErrors)" = 0 ]; }

begin
both 'offload'
t 'offload: UDP of 200 bytes' udp 200 1500K
t 'offload: UDP of 4000 bytes' udp 4000 5M
reads=$(counter a tun_reads_total) packets=$(counter b 'packets_total{direction="out"')
writes=$(counter a tun_writes_total) in=$(counter a 'packets_total{direction="in"')
t "superpackets are made again ($in packets in $writes writes)" [ "$in" -gt $((writes * 4)) ]
t "and were cut ($packets packets)" [ "$packets" -gt $((packets > 1000 ? reads / 10 : reads)) ]
t 'no fragment was needed' [ "$(counter b 'fragments_total{direction="out"')" -eq 0 ]
t 'no UDP checksum was wrong' sums_good
t 'nothing was malformed' [ "$(counter b 'direction="in",reason="malformed"')" -eq 0 ]

# What the dataplane, here vpnd_pair, gets to see: nothing of what crosses.
known='this text is known to all, packets have it'
end
begin -w "$known"
yes "$known" | head -c 2000000 >"$W/www/known"
known_arrives() { in_ a timeout 30 curl -sf -o "$W/got" http://10.77.0.2:8000/known && cmp "$W/www/known" "$W/got"; }
crossed() {
	local n
	n=$(grep -c '^\.' "$W/out")
	tell stats
	wait_for 5 said '\.' $((n + 1))
	tac "$W/out" | awk -v what="$1" '$1 == what { print $2; exit }'
}
t 'a text of two megabytes arrives' known_arrives
t 'pings with it arrive' ping_ -p "$(printf %s "$known" | head -c 16 | od -An -tx1 | tr -d ' \n')" 10.77.0.2
t 'all of it crossed the dataplane' [ "$(crossed crossed)" -gt 2000000 ]
t 'and not 16 bytes of it were to be seen' [ "$(crossed seen)" -eq 0 ]

# A dataplane that changes what it carries, or says it twice.
tell tamper
silent() { ! in_ a ping -n -q -c 5 -i 0.05 -W 1 10.77.0.2; }
t 'a dataplane that changes packets: none arrives' silent
t 'and they are counted' [ "$(counter b 'direction="in",reason="tampered"')" -gt 0 ]
tell tamper
t 'one that stops doing so: packets flow again' wait_for 5 up a 10.77.0.2
tell twice
no_duplicates() { in_ a ping -n -c 5 -i 0.05 -W 1 10.77.0.2 >"$W/dup" && ! grep -q DUP "$W/dup"; }
t 'a dataplane that says things twice: packets arrive once' no_duplicates
t 'and they are counted' [ "$(counter b 'direction="in",reason="replayed"')" -gt 0 ]
tell twice

# A peer that goes and comes.
tell down
wait_for 5 said down
unreachable() { in_ a ping -n -c 1 -W 1 10.77.0.2 | grep -q 'Host Unreachable'; }
t 'a peer without a session: the sender is told' unreachable
tell up
t 'and with one again' wait_for 5 up a 10.77.0.2

# vpnd itself killed.
tell kill
t 'a vpnd that was killed: packets flow again' wait_for 5 up a 10.77.0.2
t 'and data' download 10.77.0.2
end

begin -n
both 'no offload'
end
begin -p
both 'plain descriptor'
t 'plain descriptor: UDP of 200 bytes' udp 200 1500K
t 'no UDP checksum was wrong' sums_good
end
begin -d 1200
both 'datagrams of 1200'
t 'datagrams of 1200: packets travelled in fragments' [ "$(counter a fragmented_total)" -gt 0 ]
end
begin -d 1330 -s
t 'a path of 1301 bytes, known: ping of what fits' ping_ -M 'do' -s 1273 10.77.0.2
too_big() { in_ a ping -n -c 2 -W 1 -i 0.2 -M 'do' -s 1274 10.77.0.2 | grep -q 'mtu = 1301'; }
t 'a packet of one byte more is answered with the size' too_big
t 'IPv6 learns it as well' sh -c "ip netns exec a ping -6 -n -c 2 -i 0.2 -W 1 -s 1300 $b6; ip -n a -6 route get $b6 | grep 'mtu 1301'"
t 'a download over it' download 10.77.0.2
t 'a download over it, IPv6' download "[$b6]"
end
begin -l 20
t 'two of a hundred lost: a download arrives' download 10.77.0.2
t 'and is counted as missing' [ "$(counter a units_missing_total)" -gt 0 ]
end
finish
