# Sourced after lib.sh: nine nodes with the links between them, of which none but neighbours can reach each other.
#
#	                coord-1 (to entry-1, relay-2, entry-2, relay-4)
#
#	            .--- entry-1 ------------------.
#	phone-a ----+--- phone-b --- relay-2 ------'--- home-1
#	            |
#	            '--- entry-2 --- relay-4 ---------- host-7
#
# phone-a wants home-1 and host-7, which serve ssh, talk (tests/bench/serve) and files ($W/www); it listens for each.
# shellcheck shell=bash
B=$ROOT/$FABRIC_O/tests/bench

nodes=(phone-a phone-b entry-1 entry-2 relay-2 relay-4 home-1 host-7 coord-1)
for n in "${nodes[@]}"; do host "$n"; done

# --- the links: those that are to be worsened are played by tests/bench/link
declare -A at peers wire
number=0
ends() { # A B: their addresses on the link between them, for the nodes' configurations
	number=$((number + 1))
	at[$1/$2]=10.1.$number.1
	at[$2/$1]=10.1.$number.2
	peers[$1]+=" $2"
	peers[$2]+=" $1"
}
plain() { ends "$1" "$2"; link "$1" "${at[$1/$2]}/24" "$2" "${at[$2/$1]}/24"; }
wired() { # A B DELAY-MS: a link that change() can make worse
	local fd
	ends "$1" "$2"
	mkfifo "$W/wire.$1.$2"
	exec {fd}<>"$W/wire.$1.$2"
	wire[$1/$2]=$fd
	"$B/link" "$1" "$2" "$3" 200000 500 0 <"$W/wire.$1.$2" >"$W/wire.$1.$2.up" &
	wait_for 5 test -s "$W/wire.$1.$2.up" || die "no link between $1 and $2"
	ip -n "$1" addr add "${at[$1/$2]}/24" dev "$2"
	ip -n "$2" addr add "${at[$2/$1]}/24" dev "$1"
	ip -n "$1" link set dev "$2" up txqueuelen 1000
	ip -n "$2" link set dev "$1" up txqueuelen 1000
}
change() { echo "$3 $4 $5 $6" >&"${wire[$1/$2]}"; } # A B DELAY-MS RATE-KBIT BUFFER-KB LOSS-PERMYRIAD
well() { change "$1" "$2" 2 200000 500 0; }
sever() { ip -n "$1" link set dev "$2" down; }
rejoin() { ip -n "$1" link set dev "$2" up; }

wired phone-a entry-1 2
wired entry-1 home-1 2
wired phone-a phone-b 5
wired relay-2 home-1 5
plain phone-b relay-2
plain phone-a entry-2
plain entry-2 relay-4
plain relay-4 host-7
for n in entry-1 relay-2 entry-2 relay-4; do plain coord-1 $n; done

# --- the nodes
overlay=1
roles() {
	case $1 in
	phone-a) echo mobile-edge ;;
	phone-b) echo mobile-edge,relay ;;
	entry-*) echo entry,relay ;;
	relay-*) echo relay ;;
	coord-*) echo route-coordinator ;;
	*) echo service-host ;;
	esac
}
declare -A ip
for n in "${nodes[@]}"; do
	ip[$n]=10.77.0.$((overlay++))
	first=$(echo ${peers[$n]} | awk '{ print $1 }')
	node "$n" "${at[$n/$first]}" "${ip[$n]}" "$(roles "$n")"
done
for n in "${nodes[@]}"; do
	sed -i 's/^listen on [0-9.]* port/listen on 0.0.0.0 port/' "$W/$n/fabricd.conf"
	for p in ${peers[$n]}; do
		echo "peer \"$p\" { id ${node_id[$p]} address ${at[$p/$n]} port $PORT }" >>"$W/$n/fabricd.conf"
	done
	case $n in
	phone-b | entry-* | relay-*) echo 'relay { yes }' >>"$W/$n/fabricd.conf" ;;
	esac
done
# What the phone wants, though no link leads there.
for n in home-1 host-7; do echo "peer \"$n\" { id ${node_id[$n]} }" >>"$W/phone-a/fabricd.conf"; done
for n in home-1 host-7; do
	cat >>"$W/$n/fabricd.conf" <<-'CONF'
		service "ssh" { tcp to 127.0.0.1 port 22 class interactive }
		service "talk" { tcp to 127.0.0.1 port 7000 class interactive }
		service "files" { tcp to 127.0.0.1 port 8000 class bulk }
	CONF
	ip netns exec $n "$B/serve" at 7000 &
	sshd_in $n 127.0.0.1 22
done
cat >>"$W/phone-a/fabricd.conf" <<-'CONF'
	listen on 127.0.0.1 port 7001 to service "talk@home-1"
	listen on 127.0.0.1 port 7007 to service "talk@host-7"
	listen on 127.0.0.1 port 8001 to service "files@home-1"
	listen on 127.0.0.1 port 8007 to service "files@host-7"
	listen on 127.0.0.1 port 2201 to service "ssh@home-1"
	listen on 127.0.0.1 port 2207 to service "ssh@host-7"
CONF
mkdir -p "$W/www"
head -c 20000000 /dev/urandom >"$W/www/small"
head -c 60000000 /dev/urandom >"$W/www/large"
for n in home-1 host-7; do
	ip netns exec $n python3 -m http.server --bind 127.0.0.1 --directory "$W/www" 8000 >/dev/null 2>&1 &
done

# The nodes that lead to DESTINATION for what is urgent, at NODE (phone-a).
route_to() { ctl "${2:-phone-a}" show routes --json | python3 -c '
import json, re, sys
for r in json.load(sys.stdin)["rows"]:
    if r.get("to") == sys.argv[1] and r.get("first") in ("all", "delay") and r.get("state") == "up":
        print(*re.findall(r"[a-z0-9-]*[a-z0-9]", r.get("via", ""))); sys.exit()
sys.exit(1)' "$1"; }
two_ways() { # up, from phone-a to home-1
	[ "$(ctl phone-a show routes --json | python3 -c '
import json, sys
print(sum(r.get("to") == "home-1" and r.get("state") == "up" for r in json.load(sys.stdin)["rows"]))')" -ge 2 ]
}
nine_start() { start coord-1 entry-1 entry-2 relay-2 relay-4 phone-b home-1 host-7 phone-a; }
