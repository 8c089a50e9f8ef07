#!/bin/bash
# What takes a relay away besides its death, and who computes routes when a coordinator is gone.
#
#	phone 10.1.0.1 -- 10.1.0.2 e1 10.3.0.1 -- 10.3.0.2 home		coord and other, two coordinators,
#	      10.2.0.1 -- 10.2.0.2 e2 10.4.0.1 -- 10.4.0.2		are neighbours of e1 and e2
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"
B=$ROOT/$FABRIC_O/tests/bench

for h in phone e1 e2 home coord other; do host "$h"; done
link phone 10.1.0.1/24 e1 10.1.0.2/24
link phone 10.2.0.1/24 e2 10.2.0.2/24
link home 10.3.0.2/24 e1 10.3.0.1/24
link home 10.4.0.2/24 e2 10.4.0.1/24
link coord 10.5.0.2/24 e1 10.5.0.1/24
link coord 10.6.0.2/24 e2 10.6.0.1/24
link other 10.7.0.2/24 e1 10.7.0.1/24
link other 10.8.0.2/24 e2 10.8.0.1/24
node phone 10.1.0.1 10.77.0.1 mobile-edge
node e1 10.1.0.2 10.77.0.2 entry,relay
node e2 10.2.0.2 10.77.0.3 entry,relay
node home 10.3.0.2 10.77.0.4 service-host
node coord 10.5.0.2 10.77.0.5 route-coordinator
node other 10.7.0.2 10.77.0.6 route-coordinator
for n in phone e1 e2 home coord other; do sed -i "s/^listen on .*/listen on 0.0.0.0 port $PORT/" "$W/$n/fabricd.conf"; done
peer phone e1 e2
echo "peer \"home\" { id ${node_id[home]} }" >>"$W/phone/fabricd.conf"
node_addr[e1]=10.3.0.1 node_addr[e2]=10.4.0.1
peer home e1 e2
node_addr[e1]=10.5.0.1 node_addr[e2]=10.6.0.1
peer coord e1 e2
node_addr[e1]=10.7.0.1 node_addr[e2]=10.8.0.1
peer other e1 e2
for n in e1 e2; do
	cp "$W/$n/fabricd.conf" "$W/$n/base.conf"
	echo 'relay { yes }' >>"$W/$n/fabricd.conf"
done
echo 'service "talk" { tcp to 127.0.0.1 port 7000 class interactive }' >>"$W/home/fabricd.conf"
echo 'listen on 127.0.0.1 port 7001 to service "talk@home"' >>"$W/phone/fabricd.conf"
ip netns exec home "$B/serve" at 7000 &

two_ways() { # up, to home, computed by a coordinator
	rows 'sum(r.get("to") == "home" and r.get("route") != "session" and r["state"] == "up" and r["by"] == "coordinator" for r in rows) == 2' phone show routes
}
first() { # which entry the phone's first way to home goes over, for what is urgent
	ctl phone show routes --json | python3 -c '
import json, sys
print("".join(r["via"] for r in json.load(sys.stdin)["rows"] if r.get("to") == "home" and r.get("first") in ("all", "delay")))'
}

knows_both() { rows 'sum(r["name"] in ("coord", "other") and "route-coordinator" in str(r) for r in rows) == 2' "$1" show nodes; }
ping_home() { in_ phone ping -n -c 1 -W 1 "${1:-10.77.0.4}"; }
no_route_over() { rows "not any(r.get('to') == 'home' and r.get('via') == '$1' for r in rows)" phone show routes; }
relays_nothing() { rows 'not any(r["place"] == "relay" for r in rows)' "$1" show routes; }
relays_one() { rows 'any(r["place"] == "relay" for r in rows)' "$1" show routes; }

# A stream of messages and pings, each every 10 ms and 50 ms, while something is done to the relay that they go over.
during() { # WHAT SECONDS COMMAND...
	local what=$1 seconds=$2 pings talk
	shift 2
	pings_for phone "$seconds" 0.05 10.77.0.4 >"$W/pings" 2>&1 &
	pings=$!
	in_ phone "$B/load" -p 7001 -i -w 0.5 -t "$seconds" >"$W/talk" 2>&1 &
	talk=$!
	sleep 1
	t "$what" "$@"
	wait "$pings" "$talk"
	echo "$what" >>"$W/told"
	t '... few pings are lost' few_lost
	t '... and no message of a stream' talked
}
few_lost() { # of 50 ms: a second of them
	python3 -c '
import re, sys
m = re.search(r"(\d+) packets transmitted, (\d+) received", open(sys.argv[1]).read())
lost = int(m[1]) - int(m[2])
print("    %d of %s pings of 50 ms were lost" % (lost, m[1]))
sys.exit(int(m[2]) == 0 or lost > 20)' "$W/pings" | tee -a "$W/told"
	[ "${PIPESTATUS[0]}" -eq 0 ]
}
talked() {
	python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
print("    %d messages, %d unanswered, %d failed; the longest was away for %.0f ms" %
      (r["messages"], r["unanswered"], r["failed"], r["max_ms"]))
sys.exit(r["unanswered"] > 0 or r["failed"] > 0 or r["messages"] == 0)' "$W/talk" | tee -a "$W/told"
	[ "${PIPESTATUS[0]}" -eq 0 ]
}

# At the relays, as a source may have an older one on its disk: no route has a lower epoch than before, and none that is
# new a lower one than any before it. $W/epochs: what was seen.
watch_epochs() {
	while sleep 0.3; do for n in e1 e2; do ctl $n show routes --json; done; done 2>/dev/null | python3 -c '
import json, sys
seen, most = {}, {}      # by the node before, which is the source
for line in sys.stdin:
    try:
        rows = [r for r in json.loads(line)["rows"] if r["place"] == "relay"]
    except (ValueError, KeyError):      # routed is not there
        continue
    for r in rows:
        key = r["prev"], r["next"], r["route"]
        least = seen.get(key, most.get(r["prev"], 0))
        if r["epoch"] < least:
            print("fell: route", r["route"], "has", r["epoch"], "after", least, flush=True)
        if seen.get(key) != r["epoch"]:
            print("route", r["route"], "has", r["epoch"], flush=True)
        seen[key] = r["epoch"]
    for r in rows:
        most[r["prev"]] = max(most.get(r["prev"], 0), r["epoch"])' >"$W/epochs"
}

start coord other e1 e2 home
t 'e1 knows both coordinators' wait_for 30 knows_both e1
t 'e2, too' wait_for 30 knows_both e2
start phone
watch_epochs &
t 'the phone has two routes to home' wait_for 90 two_ways
t 'packets go over one' wait_for 20 ping_home
home_is() { # its state in the status, and those of its services, at the phone
	rows "[(r['state'], r['rtt_us'] > 0) for r in rows if r['name'] == 'home'] == [('$1', $2)]" phone status &&
		rows "{r['state'] for r in rows if r['node'] == 'home'} == {'$3'}" phone show services
}
t 'the status says so, and that its services are reachable' wait_for 5 home_is routed True reachable

# --- a relay whose operator says no
ctl phone events -f >"$W/events" 2>&1 &
follower=$!
moves() { grep -c ' moved node=home .*streams=[1-9]' "$W/events"; }
t 'events are followed' wait_for 5 test -s "$W/events"
before=$(moves)
was=$(first)
says_no() {
	cp "$W/$was/base.conf" "$W/$was/fabricd.conf"
	echo 'relay { no }' >>"$W/$was/fabricd.conf"
	ctl "$was" reload
}
during "relay { no } at the relay in use, and reload" 5 says_no
t 'it carries no route any more' wait_for 5 relays_nothing "$was"
t 'the phone has none over it' wait_for 5 no_route_over "$was"
more_moves() { [ "$(moves)" -gt "$before" ]; }
t 'whoever follows the events sees that streams moved' wait_for 5 more_moves
t 'and still does' kill -0 "$follower"
kill "$follower"
sed -i 's/^relay { no }/relay { yes }/' "$W/$was/fabricd.conf"
t 'yes again' ctl "$was" reload
t 'and it is used again' wait_for 90 two_ways

# --- a policy that takes relaying away
was=$(first)
sign_policy() { # RULE
	printf 'pass all\n%s\n' "$1" >"$W/policy.conf"
	"$FABRICCTL" policy sign "$W/policy.conf" -d "$W/authority" -o "$W/policy"
}
t 'a policy is signed that takes relaying from the relay in use' sign_policy "block relay by node $was for any"
echo "policy \"$W/policy\"" >>"$W/coord/fabricd.conf"
during 'a coordinator is given it' 6 ctl coord reload
t 'its routes end, though it was another node that read the policy' wait_for 5 relays_nothing "$was"
t 'the phone has none over it' wait_for 5 no_route_over "$was"
t 'the other still relays' relays_one "$([ "$was" = e1 ] && echo e2 || echo e1)"
sign_policy 'pass relay all' >/dev/null
t 'a policy that gives it back' ctl coord reload
t 'and it is used again' wait_for 90 two_ways

# --- two coordinators, of which one is gone
epoch() { ctl phone show routes --json | python3 -c '
import json, sys
print(min(r["epoch"] for r in json.load(sys.stdin)["rows"] if r.get("to") == "home" and r.get("by") == "coordinator" and r["state"] == "up"))'; }
newer() { two_ways && [ "$(epoch)" -gt "$1" ]; } # both ways are of a later answer
stop coord
was=$(epoch)
t 'one coordinator stops, the other fences e1' ctl other route fence node e1
t 'and it answers: both ways are new, and computed by a coordinator' wait_for 90 newer "$was"
start coord
t 'the first is back' wait_for 30 rows 'any(r["name"] == "coord" and r["state"] == "up" for r in rows)' e1 status
stop other
was=$(epoch)
t 'the other stops, and the first fences e2' ctl coord route fence node e2
t 'and it answers: both ways are new, and computed by a coordinator' wait_for 90 newer "$was"
t 'packets still go over one' ping_home

# --- what netcheck finds
t 'netcheck finds nothing wrong' wait_for 30 ctl phone netcheck
stop home
finding() {
	ctl phone netcheck >"$W/netcheck"
	[ $? -eq 1 ] && grep -qE '^routes +no .*no way to 1' "$W/netcheck"
}
t 'home is away: netcheck says that there is no way, and exits with 1' wait_for 60 finding
not_routed() { rows "[(r['state'] in ('down', 'connecting'), r['rtt_us']) for r in rows if r['name'] == 'home'] == [(True, 0)]" phone status; }
t 'and the status that it is not there' wait_for 5 not_routed
kill -KILL "$(worker_pid coord routed)"
rm -rf "$W/home/state"/*
start home
t 'home is back' wait_for 90 two_ways
t 'it knew nothing any more, and has what coord fenced before its routed had another key' wait_for 20 rows \
	'any(r["by"] == "coord" and r["fence"].startswith("node ") for r in rows)' home show fences

# --- each failure has its counter: a fenced ticket
# The phone's routed hears nothing of the fence, and the next one begins with the tickets that are on disk.
shown() { in_ e1 curl -s -m 5 http://127.0.0.1:9464/metrics | sed -n 's/^fabric_tickets_total{result="fenced"} //p'; }
fenced_upto() { ctl e1 show fences --json | python3 -c '
import json, sys
print(max(r["upto_epoch"] for r in json.load(sys.stdin)["rows"]))'; }
was=$(fenced_upto)
before=$(shown)
kill -STOP "$(worker_pid phone routed)"
t 'e1 is fenced, and the phone hears nothing of it' ctl coord route fence node e1
t 'e1 does' wait_for 10 eval '[ "$(fenced_upto)" -gt "$was" ]'
kill -KILL "$(worker_pid phone routed)"
t 'a ticket from before is shown to e1, refused as fenced, and counted' wait_for 20 eval '[ "$(shown)" -gt "$before" ]'
t 'and it asks for newer ones' wait_for 90 two_ways
t 'that carry' wait_for 10 ping_home
epochs_rose() { grep -q '^route' "$W/epochs" && ! grep '^fell' "$W/epochs"; }
t 'epochs never fell, from the first to the last of this' epochs_rose
cat "$W/told"
finish
