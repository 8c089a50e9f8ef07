#!/bin/bash
# Routes over relays with the real daemons: nine nodes, of which none but neighbours can reach each other; nine.sh draws them.
#
# phone-a wants home-1 and host-7. Each of the three ways of the picture carries pings, TCP, ssh and a download whose sum
# must hold, while what it leads over is killed, cut, slowed, thinned, made lossy, revoked or fenced.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"
# shellcheck source=tests/net/nine.sh
. tests/net/nine.sh

# --- what is said of a way
# A leaf knows names of its neighbours only; of others it has the id.
goes_by() { [[ " $(route_to "$1") " == *" $2 "* || " $(route_to "$1") " == *" ${node_id[$2]:0:8} "* ]]; } # DESTINATION RELAY
goes_not_by() { route_to "$1" >/dev/null && ! goes_by "$1" "$2"; }

# Messages every 10 ms for as long as something is done to the way; how long the longest was away.
talk_start() { in_ phone-a "$B/load" -p "$1" -i -w 0.5 -t "$2" >"$W/talk" 2>&1 & talker=$!; }
talk_end() { # LIMIT-MS: none was lost, and none was away for longer
	python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
print("    %d messages, %d unanswered, %d failed; the longest was away for %.0f ms" %
      (r["messages"], r["unanswered"], r["failed"], r["max_ms"]))
sys.exit(r["unanswered"] > 0 or r["failed"] > 0 or r["messages"] == 0 or r["max_ms"] > float(sys.argv[2]))' "$W/talk" "$1" | tee -a "$W/told"
	[ "${PIPESTATUS[0]}" -eq 0 ]
}
during() { # WHAT PORT SECONDS LIMIT-MS COMMAND...: a stream of messages lives through it
	local what=$1 port=$2 seconds=$3 limit=$4
	shift 4
	talk_start "$port" "$seconds"
	sleep 1
	"$@"
	wait "$talker"
	echo "$what" >>"$W/told"
	t "$what: no message is lost, and none is away for more than $limit ms" talk_end "$limit"
}
fetch() { rm -f "$W/got"; in_ phone-a curl -sf -m 60 -o "$W/got" "http://127.0.0.1:$1/small" && cmp "$W/got" "$W/www/small"; }
says() { [ "$(in_ phone-a timeout 20 "${SSH[@]}" -p "$1" 127.0.0.1 echo hello)" = hello ]; }
ping_() { in_ phone-a ping -n -q -c 5 -i 0.1 -W 2 "$1"; }
tcp_() {
	in_ "$2" iperf3 -s -1 -D -B "$1" --logfile "$W/iperf.log"
	wait_for 5 in_ "$2" sh -c 'ss -ltn | grep -q :5201'
	in_ phone-a timeout 20 iperf3 -c "$1" -t 1 -J >"$W/iperf.json" && python3 -c '
import json, sys
sys.exit(json.load(sys.stdin)["end"]["sum_received"]["bytes"] < 100000)' <"$W/iperf.json"
}
carries() { # WAY DESTINATION LISTENERS' LAST DIGIT
	t "$1: ping" ping_ "${ip[$2]}"
	t "$1: TCP through the VPN" tcp_ "${ip[$2]}" "$2"
	t "$1: ssh" says "220$3"
	t "$1: a download is whole" fetch "800$3"
}

nine_start
t 'phone-a has a route to home-1' wait_for 30 route_to home-1
t 'and to host-7' wait_for 30 route_to host-7
t 'packets reach home-1' wait_for 20 up phone-a "${ip[home-1]}"
t 'and host-7' wait_for 20 up phone-a "${ip[host-7]}"
t 'home-1 by entry-1' wait_for 20 goes_by home-1 entry-1
carries 'phone-a -> entry-1 -> home-1' home-1 1
t 'host-7 by entry-2 and relay-4' wait_for 20 eval 'goes_by host-7 entry-2 && goes_by host-7 relay-4'
carries 'phone-a -> entry-2 -> relay-4 -> host-7' host-7 7

layers() { # each layer says what it is, and echo answers; home-1 is dialled where others see it, in vain
	ctl phone-a ping home-1 -c 2 --layer >"$W/layers" && cat "$W/layers" && grep -q '^directory *known' "$W/layers" &&
		grep -qE '^session *none' "$W/layers" && grep -q '^route *up' "$W/layers" && grep -q '^echo *answers' "$W/layers"
}
t 'fabricctl ping --layer' layers

# --- the path is spoilt, while a gigabyte is downloaded and packets flow over it
head -c 1000000000 /dev/urandom >"$W/www/gigabyte"
in_ phone-a curl -sf -m 280 --limit-rate 12M -o "$W/gigabyte" http://127.0.0.1:8001/gigabyte &
gigabyte=$!
pings_for phone-a 70 0.02 "${ip[home-1]}" >"$W/pings" 2>&1 &
pings=$!
# An inner TCP connection, through the VPN, from before all of it until after.
ip netns exec home-1 "$B/serve" at 7100 &
in_ phone-a "$B/load" -h "${ip[home-1]}" -p 7100 -i -w 0.5 -t 60 >"$W/inner" 2>&1 &
inner=$!
# A path of last minute's troubles need not be the first again at once, so each is done to the path that is used.
on() { # sets $relay, which the path goes over now, and the links before and behind it
	relay=$(route_to home-1 | awk '{ print $1 }')
	case $relay in
	entry-1) near='phone-a entry-1 2' far='entry-1 home-1 2' ;;
	*) near='phone-a phone-b 5' far='relay-2 home-1 5' ;;
	esac
}
recovered() { wait_for 60 two_ways; } # there is an alternate again

t 'an alternate is there' recovered
kill_dataplane() { on; kill -9 "$(worker_pid "$relay" dataplane)"; }
during "the relay's dataplane is killed" 7001 4 1500 kill_dataplane
t 'an alternate is there again' recovered
kill_node() { kill -9 "$(cat "$W/$1/pid")"; rm "$W/$1/pid"; }
kill_relay() { on; kill_node "$relay"; }
kill_and_look() { # while the stream of messages is still there
	kill_relay
	t 'history has the stream of messages: from where to where, why and how fast' wait_for 2 moved_stream phone-a talk
}
during 'the relay is killed altogether' 7001 5 1500 kill_and_look
left() { ! goes_by home-1 "$relay"; }
t 'another path is used' left
[ "$relay" != entry-1 ] || carries 'phone-a -> phone-b -> relay-2 -> home-1' home-1 1
start "$relay"
t 'an alternate is there again' recovered
sever_() { on; sever ${near% *}; }
during 'the link to the relay is cut' 7001 5 2000 sever_
rejoin ${near% *}
t 'joined: an alternate is there again' recovered
lossy() { on; change $near 200000 500 1000; }
during 'every tenth packet to the relay is lost' 7001 6 6000 lossy
t 'that path was left' wait_for 10 left
change $near 200000 500 0
t 'mended: an alternate is there again' recovered
slow() { on; change ${near% *} 205 200000 500 0; }
during 'packets to the relay take 200 ms longer' 7001 6 6000 slow
t 'that path was left' wait_for 10 left
change $near 200000 500 0
t 'mended: an alternate is there again' recovered
thin() { on; change $far 1000 50 0; }
during 'the link from the relay on has 1 Mbit/s' 7001 6 6000 thin
t 'that path was left' wait_for 20 left
change $far 200000 500 0
wait "$gigabyte"
t 'the gigabyte that was downloaded meanwhile is whole' cmp "$W/gigabyte" "$W/www/gigabyte"
wait "$pings"
wait "$inner"
inner_lived() { grep '"unanswered": 0' "$W/inner" | grep '"failed": 0'; }
t 'a TCP connection through the VPN lived through all of it' inner_lived
few_lost() { # pings; each is a fiftieth of a second
	awk '/packets transmitted/ { print "    " $1 - $4 " of " $1 " pings were lost"; exit $1 < 1000 || ($1 - $4) * 5 > $1 }' "$W/pings"
}
t 'packets flowed' few_lost

# --- once more a gigabyte, over all that follows
whole() { in_ phone-a curl -sf -m 280 --limit-rate "$1" "http://127.0.0.1:$2" | cmp - "$W/www/${2#*/}"; }
rm "$W/gigabyte"
whole 7M 8001/gigabyte >"$W/again" 2>&1 &
again=$!

# --- the only way to host-7, whose stream waits until what was killed is back
whole 4M 8007/large >"$W/large" 2>&1 &
large=$!
t 'host-7 is reached by entry-2 and relay-4' wait_for 20 eval 'goes_by host-7 entry-2 && goes_by host-7 relay-4'
kill_dataplane_of() { kill -9 "$(worker_pid "$1" dataplane)"; }
during "relay-4's dataplane is killed, on the only way to host-7" 7007 8 8000 kill_dataplane_of relay-4
kill_and_start() { kill_node "$1"; start "$1"; }
during "entry-2 is killed altogether, on the only way to host-7, and starts again" 7007 12 12000 kill_and_start entry-2
wait "$large"
t 'what was downloaded from host-7 meanwhile is whole' [ $? -eq 0 ]

# --- without a coordinator
t 'mended: an alternate is there again' recovered
during 'the coordinator is killed' 7001 3 500 kill_node coord-1
during 'and then the relay' 7001 5 1500 kill_relay
t 'packets still reach home-1' wait_for 5 up phone-a "${ip[home-1]}"
start "$relay" coord-1
t 'both are back' recovered

# --- a phone that changes its address
new_address() {
	local to
	on
	to=$(set -- $near; echo "$2")
	in_ phone-a sysctl -qw "net.ipv4.conf.$to.promote_secondaries=1"	# else the new one goes with the old
	ip -n phone-a addr add "${at[phone-a/$to]%.*}.77/24" dev "$to"
	ip -n phone-a addr del "${at[phone-a/$to]}/24" dev "$to"
}
during 'the phone changes its address' 7001 5 2000 new_address

# --- the network splits and heals
split() { sever entry-1 home-1; sever relay-2 home-1; }
talk_start 7001 25
sleep 1
split
no_way() { ! up phone-a "${ip[home-1]}"; }
t 'home-1 cut off: packets do not arrive' wait_for 10 no_way
cut_layers() { ctl phone-a ping home-1 -c 1 --layer >"$W/layers"; [ $? -eq 1 ] && grep -q '^echo *silent' "$W/layers"; }
t 'ping --layer says so' cut_layers
rejoin entry-1 home-1
rejoin relay-2 home-1
t 'healed: they arrive' wait_for 40 up phone-a "${ip[home-1]}"
t 'and ssh as well' says 2201
wait "$talker"
echo 'split and healed' >>"$W/told"
t 'split and healed: no message is lost, and none is away for more than 20000 ms' talk_end 20000

# --- fenced and revoked
t 'two ways again' recovered
fence() { on; ctl coord-1 route fence node "$relay"; }
during 'leases over the relay are fenced' 7001 5 2000 fence
t 'two ways again' recovered
revoke() {
	on
	"$FABRICCTL" authority revoke "${node_id[$relay]}" -d "$W/authority" -o "$W/revoked" >/dev/null || return 1
	echo "revocations \"$W/revoked\"" >>"$W/coord-1/fabricd.conf"
	ctl coord-1 reload
}
during 'the relay is revoked' 7001 6 3000 revoke
gone_from() { ! ctl "$1" status | grep -q "^$relay .* up "; }
gone_everywhere() { gone_from phone-a && gone_from coord-1 && gone_from home-1; }
t 'nobody has a session with it any more' wait_for 10 gone_everywhere
t 'and nothing goes over it' left
t 'ssh to home-1 lives without it' says 2201
wait "$again"
t 'the gigabyte that was downloaded meanwhile is whole, too' [ $? -eq 0 ]
cat "$W/told"
finish
