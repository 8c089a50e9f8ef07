#!/bin/bash
# Routes over relays: a phone reaches home over one of two entries; a coordinator beside them.
#
#	phone 10.1.0.1 -- 10.1.0.2 e1 10.3.0.1 -- 10.3.0.2 home
#	      10.2.0.1 -- 10.2.0.2 e2 10.4.0.1 -- 10.4.0.2
#	                           e1 10.5.0.1 -- 10.5.0.2 coord
#	                           e2 10.6.0.1 -- 10.6.0.2
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

for h in phone e1 e2 home coord; do host "$h"; done
link phone 10.1.0.1/24 e1 10.1.0.2/24
link phone 10.2.0.1/24 e2 10.2.0.2/24
link home 10.3.0.2/24 e1 10.3.0.1/24
link home 10.4.0.2/24 e2 10.4.0.1/24
link coord 10.5.0.2/24 e1 10.5.0.1/24
link coord 10.6.0.2/24 e2 10.6.0.1/24
node phone 10.1.0.1 10.77.0.1 mobile-edge
node e1 10.1.0.2 10.77.0.2 entry,relay
node e2 10.2.0.2 10.77.0.3 entry,relay
node home 10.3.0.2 10.77.0.4 service-host
node coord 10.5.0.2 10.77.0.5 route-coordinator
for n in phone e1 e2 home coord; do sed -i "s/^listen on .*/listen on 0.0.0.0 port $PORT/" "$W/$n/fabricd.conf"; done
for n in e1 e2; do echo 'relay { }' >>"$W/$n/fabricd.conf"; done
peer phone e1 e2
echo "peer \"home\" { id ${node_id[home]} }" >>"$W/phone/fabricd.conf"
node_addr[e1]=10.3.0.1 node_addr[e2]=10.4.0.1
peer home e1 e2
node_addr[e1]=10.5.0.1 node_addr[e2]=10.6.0.1
peer coord e1 e2

rows() { # EXPRESSION NODE COMMAND...
	local expression=$1 node=$2
	shift 2
	ctl "$node" "$@" --json | python3 -c '
import json, sys
answer = json.load(sys.stdin)
rows = answer["rows"]
ok = eval(sys.argv[1])
if not ok:
    print(answer)
sys.exit(not ok)' "$expression"
}
routes() { # NODE STATE N BY: so many routes to home that are so
	rows "sum(r.get('to') == 'home' and r.get('route') != 'session' and r['state'] == '$2' and r.get('by') == '$4' for r in rows) == $3" "$1" show routes
}

start phone e1 e2 home coord
t 'the phone has two routes to home, by the coordinator' wait_for 30 routes phone up 2 coordinator
t 'a ping goes over one' wait_for 10 in_ phone ping -c 1 -W 1 10.77.0.4
sleep 6
for c in 'show routes' 'route explain home' 'route history' 'path trace home' netcheck 'relay usage' 'show fences' events; do echo "== phone $c"; ctl phone $c; done
for c in 'show routes' 'relay usage' netcheck 'route history'; do echo "== e1 $c"; ctl e1 $c; done
echo "== home"; ctl home show routes; ctl home route explain phone; ctl home route history
echo "== coord"; ctl coord netcheck; ctl coord show counters | grep -E "lease|ticket|coordin" ; ctl coord policy why phone echo@home
