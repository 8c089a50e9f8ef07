#!/bin/bash
# What the nodes of a tenant know of each other: with real daemons in a line, each a neighbour of the next only.
#
#	a 10.1.0.1 -- 10.1.0.2 b 10.2.0.1 -- 10.2.0.2 c 10.3.0.1 -- 10.3.0.2 d     p: a phone, at b
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

for h in a b c d p; do host "$h"; done
link a 10.1.0.1/24 b 10.1.0.2/24
link b 10.2.0.1/24 c 10.2.0.2/24
link c 10.3.0.1/24 d 10.3.0.2/24
link b 10.4.0.1/24 p 10.4.0.2/24
node a 10.1.0.1 10.77.0.1 entry
node b 10.1.0.2 10.77.0.2 relay,entry
node c 10.2.0.2 10.77.0.3 relay,route-coordinator
node d 10.3.0.2 10.77.0.4 service-host
node p 10.4.0.2 10.77.0.9 mobile-edge
# b and c are reached at more than one address
for n in b c; do sed -i "s/^listen on .*/listen on 0.0.0.0 port $PORT/" "$W/$n/fabricd.conf"; done
peer a b
peer b c
node_addr[b]=10.4.0.1 node_addr[c]=10.3.0.1
peer p b
peer d c
echo 'service "web" { class bulk tcp to 127.0.0.1 port 80 }' >>"$W/d/fabricd.conf"

knows() { # NODE NAMES: just these
	rows "sorted(by) == sorted('$2'.split())" "$1" show nodes
}
serial() { ctl "$1" show nodes --json | python3 -c '
import json, sys
print([r["serial"] for r in json.load(sys.stdin)["rows"] if r["name"] == sys.argv[1]][0])' "$2"; }
newer() { [ "$(serial "$1" "$2")" -gt "$3" ]; }

start a b c d
t 'a knows all, far or near' wait_for 30 knows a 'a b c d'
t 'and so do the others' wait_for 10 knows d 'a b c d'
t 'b is a neighbour of a, d is far' rows 'by["a"]["state"] == "self" and by["b"]["state"] == "neighbour" and by["c"]["state"] == "far" and by["d"]["state"] == "far"' a show nodes
t 'roles are as the memberships grant them' rows 'by["c"]["roles"] == "relay,route-coordinator" and not by["d"]["leaf"]' a show nodes
links() { rows 'by["c"]["links"].count(":") == 2 and "'"${node_id[d]:0:8}"'" in by["c"]["links"]' a show nodes; }
t 'a knows the links of c' wait_for 15 links
t 'where d is seen: by whom it dialled' wait_for 15 rows '"10.3.0.2:4600" in by["d"]["addresses"]' a show nodes
has_web() { rows 'any(r["name"] == "web" and r["node"] == "d" and r["state"] == "far" for r in rows)' "$1" show services; }
t 'a knows what d serves' wait_for 10 has_web a
heard() { rows 'sum(r["value"] for r in rows if r["name"] == "fabric_svchostd_services_known") > 0' a show counters; }
t 'its svchostd has heard of it' wait_for 5 heard

# --- a leaf
start p
t 'the phone knows the coordinator, its neighbour and itself' wait_for 20 knows p 'b c p'
t 'the others know the phone' wait_for 10 knows d 'a b c d p'
t 'as a leaf' rows 'by["p"]["leaf"]' d show nodes
echo "peer \"d\" { id ${node_id[d]} }" >>"$W/p/fabricd.conf"
t 'a peer is configured that has no address' ctl p reload
t 'and the phone has asked for it' wait_for 15 knows p 'b c d p'
t 'with what it serves' wait_for 5 has_web p
t 'it cannot be reached where others see it' rows 'by["d"]["state"] == "far"' p show nodes
router b
router c
ip -n d route add default via 10.3.0.1
ip -n c route add 10.4.0.0/24 via 10.2.0.1
ip -n b route add 10.3.0.0/24 via 10.2.0.2
ip -n p route add default via 10.4.0.1
t 'until the phone is in a network from where it can: it has a session of its own' wait_for 30 rows 'by["d"]["state"] == "neighbour"' p show nodes
ip -n p route del default

# --- changes
before=$(serial a d)
sed -i 's/"web"/"www"/' "$W/d/fabricd.conf"
t 'd serves something else' ctl d reload
www() { rows 'any(r["name"] == "www" for r in rows) and not any(r["name"] == "web" for r in rows)' "$1" show services; }
t 'a hears of it' wait_for 10 www a
t 'the phone, too' wait_for 10 www p
t 'in a newer record' newer a d "$before"

# --- without anybody
stop b
generation() { knows a 'a b c d p'; }
t 'a goes on with what it knows' generation
kill -9 "$(worker_pid a routed)"
sleep 0.5
t 'also a new routed, without a neighbour' wait_for 10 generation
stop a
start a
t 'and after a restart of the node' wait_for 10 generation
start b
t 'b comes back, from its cache' wait_for 10 knows b 'a b c d p'
back() { rows 'by["b"]["state"] == "neighbour"' a show nodes; }
t 'and is the neighbour again' wait_for 20 back

# --- a routed that dies takes nothing with it
before=$(serial a c)
kill -9 "$(worker_pid c routed)"
t 'c has a new routed, which says something newer with its new keys' wait_for 20 newer a c "$before"
t 'and all know all' knows a 'a b c d p'

# --- a dataplane that dies takes the streams between routeds with it, and they come again
before=$(serial a d)
kill -9 "$(worker_pid c dataplane)"
sed -i 's/"www"/"web"/' "$W/d/fabricd.conf"
t 'd serves something else again, while c has no dataplane' ctl d reload
web() { has_web "$1" && ! www "$1"; }
t 'a hears of it' wait_for 30 web a
t 'in a newer record' newer a d "$before"

# --- a link that is down for a while
ip -n b link set dev c down
serves_ssh() { rows 'any(r["name"] == "ssh" and r["node"] == "d" for r in rows)' "$1" show services; }
sed -i 's/"web"/"ssh"/' "$W/d/fabricd.conf"
t 'd changes once more, while b and c are apart' ctl d reload
t 'c hears of it' wait_for 10 serves_ssh c
t 'a does not' eval '! serves_ssh a'
ip -n b link set dev c up
t 'until they are together again' wait_for 40 serves_ssh a

# --- revocation
"$FABRICCTL" authority revoke "${node_id[d]}" -d "$W/authority" -o "$W/revoked" >/dev/null 2>&1 ||
	"$FABRICCTL" authority revoke --help
if [ -s "$W/revoked" ]; then
	cp "$W/revoked" "$W/c/revoked"
	echo "revocations \"$W/c/revoked\"" >>"$W/c/fabricd.conf"
	t 'c is given a revocation' ctl c reload
	t 'a has heard of it, and d is gone' wait_for 10 knows a 'a b c p'
	gone_web() { ! serves_ssh a; }
	t 'with what it served' wait_for 5 gone_web
	stop a
	start a
	t 'it stays gone after a restart' wait_for 10 knows a 'a b c p'
else
	skip 'fabricctl authority revoke wrote nothing'
fi
finish
