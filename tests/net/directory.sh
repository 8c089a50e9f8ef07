#!/bin/bash
# Services as three real nodes know them: signed, spread, kept, taken back.
#
#	        alpha 10.0.1.1, 10.0.2.1	service-host: echo, web
#	       /     \
#	beta 10.0.1.2  gamma 10.0.2.3		not: echo, and beta "file" for which it lacks the role
#
# beta and gamma know nothing of each other, and so nothing of each other's services.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

host alpha; host beta; host gamma
link alpha 10.0.1.1/24 beta 10.0.1.2/24
link alpha 10.0.2.1/24 gamma 10.0.2.3/24
node alpha 0.0.0.0 10.77.0.1 service-host
node beta 10.0.1.2 10.77.0.2
node gamma 10.0.2.3 10.77.0.3
node_addr[alpha]=10.0.1.1; peer beta alpha
node_addr[alpha]=10.0.2.1; peer gamma alpha
echo 'restart delay 6 s max 6 s' >>"$W/beta/fabricd.conf"
echo 'service "file" { tcp to 127.0.0.1 port 21 }' >>"$W/beta/fabricd.conf"
cp "$W/alpha/fabricd.conf" "$W/alpha/without-web"
echo 'service "web" { tcp to 127.0.0.1 port 80 class bulk }' >>"$W/alpha/fabricd.conf"
cp "$W/alpha/fabricd.conf" "$W/alpha/with-web"

# services NODE: what NODE knows, as "node/name:state", sorted, but vpn, which all have
services() {
	ctl "$1" show services --json | python3 -c '
import json, sys
print(*sorted("%s/%s:%s" % (r["node"], r["name"], r["state"]) for r in json.load(sys.stdin)["rows"] if r["name"] != "vpn"))'
}
knows() { # NODE SERVICES...: exactly these
	local node=$1 got
	shift
	got=$(services "$node")
	[ "$got" = "$*" ] || { echo "$node knows $got"; return 1; }
}
value() { # NODE OF SERVICE FIELD: a field of what NODE knows of OF's SERVICE
	ctl "$1" show services --json | python3 -c '
import json, sys
print(*(r[sys.argv[3]] for r in json.load(sys.stdin)["rows"] if (r["node"], r["name"]) == (sys.argv[1], sys.argv[2])))' "$2" "$3" "$4"
}
same() { [ "$(value "$@")" = "$(value alpha alpha "$3" "$4")" ]; }
differs() { [ -n "$(value "$1" "$2" "$3" "$4")" ] && [ "$(value "$1" "$2" "$3" "$4")" != "$5" ]; }
counter() { ctl "$1" show counters --json | python3 -c '
import json, sys
print(sum(r["value"] for r in json.load(sys.stdin)["rows"] if r["name"] == sys.argv[1]))' "$2"; }
replaced() { local p; p=$(worker_pid "$1" "$2") && [ -n "$p" ] && [ "$p" != "$3" ]; }
end() { # NODE WORKER: kill -9, and wait for the next
	local p
	p=$(worker_pid "$1" "$2")
	kill -9 "$p"
	wait_for 15 replaced "$1" "$2" "$p"
}

ALPHA='alpha/echo:reachable alpha/web:reachable'
start alpha beta gamma
t "beta knows alpha's services" wait_for 20 knows beta "$ALPHA beta/echo:own beta/file:own"
t "and gamma does" wait_for 20 knows gamma "$ALPHA gamma/echo:own"
t 'alpha knows those of both, and what it may not use' wait_for 5 knows alpha \
	'alpha/echo:own alpha/web:own beta/echo:reachable beta/file:no-role gamma/echo:reachable'
t 'the key is the one that alpha has' same beta alpha web key
t 'of both that svchostd serves it is the same' [ "$(value beta alpha web key)" = "$(value beta alpha echo key)" ]
t 'the VPN has a key of its own' eval 'wait_for 5 same beta alpha vpn key && differs beta alpha vpn key "$(value beta alpha web key)"'
t 'and needs no role' [ "$(value alpha beta vpn state)" = reachable ]
t 'the class is as configured' [ "$(value gamma alpha web class)" = bulk ]
t 'a table for people' eval 'ctl beta show services | grep -q "^web  *alpha  *reachable  *bulk"'

# --- reload
SESSIONS=$(counter beta fabric_routed_sessions_up_total)
cp "$W/alpha/without-web" "$W/alpha/fabricd.conf"
t 'alpha serves it no more' ctl alpha reload
t 'and beta knows' wait_for 5 knows beta 'alpha/echo:reachable beta/echo:own beta/file:own'
t 'and gamma' wait_for 5 knows gamma 'alpha/echo:reachable gamma/echo:own'
cp "$W/alpha/with-web" "$W/alpha/fabricd.conf"
t 'alpha serves it again' ctl alpha reload
t 'and both know' eval 'wait_for 5 knows beta "$ALPHA beta/echo:own beta/file:own" && wait_for 5 knows gamma "$ALPHA gamma/echo:own"'
t 'no session was begun for that' [ "$(counter beta fabric_routed_sessions_up_total)" = "$SESSIONS" ]

# --- a delegation that is renewed
K=$(value beta alpha web key)
sed 's,certificate .*,&\n delegation 10 s,' "$W/alpha/with-web" >"$W/alpha/fabricd.conf"
t 'records for ten seconds' ctl alpha reload
t 'are known' wait_for 4 same beta alpha web serial
t 'and renewed before they end' wait_for 9 differs beta alpha web serial "$(value beta alpha web serial)"
t 'with the same key' [ "$(value beta alpha web key)" = "$K" ]
t 'and were never missing' knows beta "$ALPHA beta/echo:own beta/file:own"
cp "$W/alpha/with-web" "$W/alpha/fabricd.conf"
ctl alpha reload

# --- processes that die
t 'the records have settled' wait_for 5 same beta alpha web serial
D=$(worker_pid beta dataplane)
t "beta's routed is killed" end beta routed
t 'and knows the same' wait_for 5 knows beta "$ALPHA beta/echo:own beta/file:own"
t "alpha's routed is killed" end alpha routed
t 'and knows the same' wait_for 5 knows alpha \
	'alpha/echo:own alpha/web:own beta/echo:reachable beta/file:no-role gamma/echo:reachable'
end beta routed
kill -9 "$(worker_pid beta routed)"	# so soon after the last time it has to wait
cp "$W/alpha/without-web" "$W/alpha/fabricd.conf"
N=$(counter beta fabric_service_updates_total)
received() { [ "$(counter beta fabric_service_updates_total)" -gt "$N" ]; }
t "alpha's services change while beta has no routed" eval 'ctl alpha reload && wait_for 4 received && [ -z "$(worker_pid beta routed)" ]'
t 'which the next one knows' wait_for 15 knows beta "alpha/echo:reachable beta/echo:own beta/file:own"
cp "$W/alpha/with-web" "$W/alpha/fabricd.conf"
t 'and what changes after that' eval 'ctl alpha reload && wait_for 5 knows beta "$ALPHA beta/echo:own beta/file:own"'
K=$(value beta alpha web key)
t "alpha's svchostd is killed" end alpha svchostd
t 'and has another key, which beta knows' eval 'wait_for 8 differs beta alpha web key "$K" && wait_for 5 same beta alpha web key'
K=$(value beta alpha vpn key)
t "alpha's vpnd is killed" end alpha vpnd
t 'and has another key, which beta knows' eval 'wait_for 8 differs beta alpha vpn key "$K" && wait_for 5 same beta alpha vpn key'
t 'and the VPN goes on' wait_for 10 up beta 10.77.0.1
t 'all that over one session' [ "$(worker_pid beta dataplane)" = "$D" ]
t "beta's dataplane is killed" end beta dataplane
t 'and with the new session all is as before' wait_for 15 knows beta "$ALPHA beta/echo:own beta/file:own"

# --- nodes that are not there
stop alpha
t 'alpha stops: known, and not reachable' wait_for 15 knows beta \
	'alpha/echo:unreachable alpha/web:unreachable beta/echo:own beta/file:own'
stop beta
start beta
t 'beta, started anew, knows them without anybody' wait_for 5 knows beta \
	'alpha/echo:unreachable alpha/web:unreachable beta/echo:own beta/file:own'
t 'with the key that they had' differs beta alpha web key "$K"
start alpha
t 'alpha is back' wait_for 20 knows beta "$ALPHA beta/echo:own beta/file:own"
t 'with its new keys' wait_for 5 same beta alpha web key

# --- a role is given
"$FABRICCTL" authority sign "$W/beta/node.req" --roles service-host --tenant acme --expires 30d \
	--address 10.77.0.2/32 -d "$W/authority" -o "$W/beta/host.cert" >/dev/null
stop beta
"$FABRICCTL" node install "$W/beta/host.cert" -d "$W/beta" --authority "$W/authority/authority.pub" >/dev/null
start beta
t 'with the role its service may be used' wait_for 20 knows alpha \
	'alpha/echo:own alpha/web:own beta/echo:reachable beta/file:reachable gamma/echo:reachable'
t 'and gamma, who has no session to beta, knows nothing of it' knows gamma "$ALPHA gamma/echo:own"

# --- as many as can be configured, with names as long as can be: one frame has to hold them
cp "$W/alpha/without-web" "$W/alpha/fabricd.conf"
for i in $(seq 10 72); do
	echo "service \"$i$(printf 'x%.0s' {1..61})\" { tcp to 127.0.0.1 port 80 }" >>"$W/alpha/fabricd.conf"
done
count() { services "$1" | tr ' ' '\n' | grep -c "^alpha/.*:reachable"; }
counts() { [ "$(count "$1")" = "$2" ]; }
t '64 services' ctl alpha reload
t 'both know them all' eval 'wait_for 8 counts beta 64 && wait_for 8 counts gamma 64'

refused() { ctl "$1" show counters | grep fabric_services_sets_total | grep -v 'result="ok"' | grep -v ' 0$'; }
t 'no set was refused' eval '! refused alpha && ! refused beta && ! refused gamma'
t 'they are in the metrics' eval 'in_ alpha curl -sS -m 5 http://127.0.0.1:9464/metrics | grep -q "^fabric_services{.*of=\"others\".*} [1-9]"'
finish
