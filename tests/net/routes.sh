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

routes() { # NODE STATE N [BY]: so many routes to home that are so
	rows "sum(r.get('to') == 'home' and r.get('route') != 'session' and r['state'] == '$2' and r.get('by') in ('${4:-coordinator}', '${4:-self}') for r in rows) == $3" "$1" show routes
}

other() { case $1 in e1) echo e2 ;; *) echo e1 ;; esac }
first() { # which entry the phone's first way to home goes over, for what is urgent
	ctl phone show routes --json | python3 -c '
import json, sys
print("".join(r["via"] for r in json.load(sys.stdin)["rows"] if r.get("to") == "home" and r.get("first") in ("all", "delay")))'
}
event() { # NODE EXPRESSION: there is such an event
	rows "any($2 for r in rows)" "$1" route history
}
ping_home() { in_ phone ping -c 1 -W 1 10.77.0.4; }
lost() { # SECONDS COMMAND...: pings every 50 ms while the command runs and after; says how many were lost
	local seconds=$1 log=$W/ping
	shift
	pings_for phone "$seconds" 0.05 10.77.0.4 >"$log" 2>&1 &
	local ping=$!
	sleep 1
	"$@"
	wait $ping
	python3 -c '
import re, sys
m = re.search(r"(\d+) packets transmitted, (\d+) received", open(sys.argv[1]).read())
print(int(m[1]) - int(m[2]))' "$log"
}
fewer() { # N WHAT...: at most N pings are lost
	local most=$1 n
	shift
	n=$(lost "$@")
	say "    $n pings of 50 ms were lost"
	[ "$n" -le "$most" ]
}

start phone e1 e2 home coord
t 'the phone has two routes to home' wait_for 30 routes phone up 2
t 'a ping goes over one' wait_for 10 ping_home
t 'it is explained' rows 'len(rows) == 2 and rows[0]["rank_delay"] == 1 and rows[0]["of_hops"] > 0 and "first" in rows[0]["why"]' phone route explain home
t 'its hops are named' rows 'len(rows) == 4 and rows[1]["node"] == "home" and rows[1]["state"] == "up"' phone path trace home
t 'netcheck finds nothing wrong' wait_for 10 ctl phone netcheck
t 'a relay knows who is before and behind, and nobody else' rows 'len([r for r in rows if r["place"] == "relay"]) == 1 and all(r["prev"] == "phone" and r["next"] == "home" and "to" not in r for r in rows if r["place"] == "relay")' e1 show routes
t 'home has both, as their end' rows 'sum(r["place"] == "dest" and r["from"] == "phone" for r in rows) == 2' home show routes

ids() { ctl phone show routes --json | python3 -c '
import json, sys
print(sorted(r["route"] for r in json.load(sys.stdin)["rows"] if r.get("to") == "home" and r["state"] != "leaving"))'; }
# --- the relay in use goes, in each way there is
kill_dataplane() { kill -9 "$(worker_pid "$was" dataplane)"; }
was=$(first)
t 'its relay is killed: few pings are lost' fewer 20 4 kill_dataplane
t 'the streams went over the other' event phone 'r["event"] == "moved" and r["streams"] > 0'
t 'each stream is known: from where to where, why and how fast, and it is there' wait_for 3 moved_stream phone vpn
moved() { [ "$(first)" = "$(other "$was")" ]; }
t 'which comes first now' wait_for 5 moved
t 'both are there again' wait_for 40 routes phone up 2
# --- nobody to ask
was=$(first)
kill_routed() { kill -9 "$(worker_pid "$1" routed)"; }
in_use() { ctl phone show routes --json | python3 -c '
import json, sys
print("".join(r["route"] for r in json.load(sys.stdin)["rows"] if r.get("to") == "home" and r.get("first") in ("all", "delay")))'; }
before=$(in_use)
t 'every routed on the way is killed: nothing is lost' fewer 0 3 eval 'kill_routed phone; kill_routed "$was"; kill_routed home'
t 'and the routes are there again' wait_for 30 routes phone up 2
t 'the one in use is one of them' rows "any(r.get('route') == '$before' and r['state'] == 'up' for r in rows)" phone show routes
stop coord
t 'without a coordinator it goes on' ping_home
t 'netcheck says what is so' rows 'any(r["check"] == "keys" and r["ok"] for r in rows)' phone netcheck
stop phone
start phone
t 'a phone that starts makes its routes itself' wait_for 30 routes phone up 2 self
t 'and they carry' wait_for 5 ping_home
start coord
before=$(ids)
sleep 5
t 'when one comes back nothing is hurried' [ "$(ids)" = "$before" ]

# --- fences and revocation
t 'a fence needs a coordinator' sh -c "! $FABRICCTL -s $W/e1/run route fence node e1 2>/dev/null"
fence() { ctl coord route fence node e1 >/dev/null; }
t 'there are two ways' wait_for 40 routes phone up 2
t 'e1 is fenced: few pings are lost' fewer 20 4 fence
t 'the phone knows why' event phone 'r["event"] == "fenced" and r["why"] in ("node e1, by coord", "fenced, says e1")'
t 'and whose leases it has' event phone 'r["event"] == "installed" and r["why"] in ("lease by coord", "lease by phone")'
t 'e1 has it no more' wait_for 5 rows 'not any(r["place"] == "relay" and r["epoch"] <= 0 for r in rows)' e1 show routes
t 'all know the fence' wait_for 5 rows 'len(rows) == 1 and rows[0]["fence"] == "node e1" and rows[0]["by"] == "coord"' home show fences
t 'and when it came' event home 'r["event"] == "fence" and r["node"] == "e1" and r["why"] == "node e1, by coord"'
t 'a fence of the way from a node to itself is none' sh -c "! $FABRICCTL -s $W/coord/run route fence phone phone 2>/dev/null"

t 'what was relayed is counted' rows 'any(r["tenant"] == "acme" and r["bytes"] > 0 for r in rows)' e2 relay usage
confirmed() { rows 'rows[0]["bytes_confirmed"] > 0' e2 relay usage --by tenant; }
t 'and the neighbours sign for it' wait_for 75 confirmed

"$FABRICCTL" authority revoke -d "$W/authority" -o "$W/revoked" "$W/e2/node.cert" >/dev/null 2>&1
cp "$W/revoked" "$W/coord/revoked"
echo "revocations \"$W/coord/revoked\"" >>"$W/coord/fabricd.conf"
t 'e2 is revoked' ctl coord reload
without() { rows 'not any(r.get("via") == "e2" for r in rows)' phone show routes; }
t 'the phone has no route over it' wait_for 10 without
t 'nor a session' wait_for 10 rows 'not any(r["name"] == "e2" and r["state"] == "up" for r in rows)' phone status
t 'home is reached over e1 again' wait_for 60 ping_home
finish
