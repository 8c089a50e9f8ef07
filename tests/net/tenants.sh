#!/bin/bash
# Three tenants of one authority, and what the policy lets pass between them: a relay of infra carries for acme, acme uses one
# service of bolt, and nobody has to do with core.
#
#	phone (acme) 10.1.0.1 -- 10.1.0.2 relay (infra) 10.2.0.1 -- 10.2.0.2 home (acme)
#	      10.3.0.1 -- 10.3.0.2 coord (acme) 10.4.0.1 ---------- 10.4.0.2
#	      10.5.0.1 -- 10.5.0.2 shop (bolt)          10.6.0.1 -- 10.6.0.2 stray (core)	the relay's neighbour, or so it would like
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

for h in phone relay home coord shop stray; do host "$h"; done
link phone 10.1.0.1/24 relay 10.1.0.2/24
link home 10.2.0.2/24 relay 10.2.0.1/24
link phone 10.3.0.1/24 coord 10.3.0.2/24
link home 10.4.0.2/24 coord 10.4.0.1/24
link phone 10.5.0.1/24 shop 10.5.0.2/24
link stray 10.6.0.2/24 relay 10.6.0.1/24
node phone 0.0.0.0 10.77.0.1 mobile-edge
node relay 0.0.0.0 10.77.0.2 entry,relay infra
node home 0.0.0.0 10.77.0.3 service-host
node coord 0.0.0.0 10.77.0.4 route-coordinator
node shop 0.0.0.0 10.77.0.5 service-host bolt
node stray 0.0.0.0 10.77.0.6 mobile-edge core
echo 'relay { }' >>"$W/relay/fabricd.conf"
node_addr[relay]=10.1.0.2 node_addr[coord]=10.3.0.2 node_addr[shop]=10.5.0.2
peer phone relay coord shop
echo "peer \"home\" { id ${node_id[home]} }" >>"$W/phone/fabricd.conf"
node_addr[relay]=10.2.0.1 node_addr[coord]=10.4.0.1
peer home relay coord
node_addr[relay]=10.6.0.1
peer stray relay
mkdir "$W/www"
echo 'behind the service' >"$W/www/page"
for n in home shop; do in_ "$n" python3 -m http.server 80 --bind 127.0.0.1 -d "$W/www" >/dev/null 2>&1 & done
echo 'service "page" { tcp to 127.0.0.1 port 80 }' >>"$W/home/fabricd.conf"
for s in web stock; do echo "service \"$s\" { tcp to 127.0.0.1 port 80 allow tenant \"acme\" allow tenant \"bolt\" }"; done >>"$W/shop/fabricd.conf"

# Each tenant has one node that is given the policy as a file; who else there is, is told.
givers=(coord relay shop stray)
sign_policy() { # RULE...: and hands it out
	printf '%s\n' "$@" >"$W/policy.conf"
	"$FABRICCTL" policy sign "$W/policy.conf" -d "$W/authority" -o "$W/policy"
}
for n in "${givers[@]}"; do echo "policy \"$W/policy\"" >>"$W/$n/fabricd.conf"; done
session() { rows "any(r['name'] == '$2' and r['state'] == 'up' for r in rows)" "$1" status; }
no_session() { rows "not any(r['name'] == '$2' and r['state'] == 'up' for r in rows)" "$1" status; }
refused() { rows "any(r['name'] == '$2' and r['state'] != 'up' and 'auth-tenant' in r['reason'] for r in rows)" "$1" status; }
knows() { rows "any(r['name'] == '$2' for r in rows)" "$1" show nodes; }
knows_not() { rows "not any(r['name'] == '$2' for r in rows)" "$1" show nodes; }
over_relay() { rows "any(r.get('to') == 'home' and r.get('via') == 'relay' and r['state'] == 'up' and r['by'] == 'coordinator' for r in rows)" phone show routes; }
get() { # NODE SERVICE: the page
	printf 'GET /page HTTP/1.0\r\n\r\n' | timeout 10 "$FABRICCTL" -s "$W/$1/run" connect "$2" 2>"$W/connect.err" >"$W/connect.out"
	local status=$?
	cat "$W/connect.err"
	[ "$status" -eq 0 ] || return "$status"
	grep -qx 'behind the service' "$W/connect.out"
}
gets_no() { # NODE SERVICE STATUS
	get "$1" "$2"
	[ $? -eq "$3" ] && [ ! -s "$W/connect.out" ]
}
ping_home() { in_ phone ping -n -c 1 -W 1 10.77.0.3; }

t 'a policy without a word of other tenants' sign_policy 'pass all' 'pass relay all'
start phone relay home coord shop stray
t 'the nodes of a tenant meet' wait_for 20 eval 'session phone coord && session home coord'
t 'those of two do not' wait_for 10 eval 'refused phone relay && refused phone shop && refused home relay && refused stray relay'

rules=('pass all' 'pass relay all' 'pass relay across tenants by tenant "infra" for tenant "acme"'
    'pass across tenants from tenant "acme" to service "web" on tenant "bolt"')
t 'a policy lets some of it pass' sign_policy "${rules[@]}"
for n in "${givers[@]}"; do ctl "$n" reload >/dev/null; done
t 'those have sessions within seconds' wait_for 10 eval 'session phone relay && session home relay && session phone shop'
t 'and core has none' refused stray relay
t 'the relay is known in acme, that its coordinator may lease over it' wait_for 15 knows coord relay
t 'a route over it' wait_for 40 over_relay
t 'which carries packets' wait_for 10 ping_home
t 'and a service' wait_for 10 get phone page@home
t 'the policy says so' why_says phone 0 "^relay +all +pass +3 +3 " phone page@home
t 'what is relayed is told by tenant' wait_for 5 rows 'any(r["tenant"] == "acme" and r["bytes"] > 0 for r in rows)' relay relay usage
t 'a service of bolt' wait_for 10 get phone web@shop
t 'the policy says so' why_says phone 0 "^shop +all +pass +4 +4 " phone web@shop
t 'and no other service of it' gets_no phone stock@shop 5
t 'the policy says so' why_says phone 1 "^shop +all +block +0 +0 " phone stock@shop
t 'none of acme is for bolt, or for whom it is relayed by' eval '! ctl shop ping -c 1 phone && ! ctl phone ping -c 1 shop && gets_no relay page@home 5'
t 'while the own are reached' ctl phone ping -c 1 coord
t 'nor its network' eval '! in_ relay ping -n -c 2 -W 1 10.77.0.3 && ! in_ shop ping -n -c 2 -W 1 10.77.0.1'
t 'the policy says so' why_says shop 1 "^phone +all +block +0 +0 " shop echo@phone
t 'a name without a node is meant in this tenant' gets_no phone web 3
t 'the relay knows of its neighbours, and of nobody behind them' eval 'knows relay phone && knows relay home && knows_not relay coord && knows_not relay shop'
t 'nor does acme of anybody else' eval 'knows phone shop && knows_not phone stray'

# --- what starts again is told again, and what goes on goes on
downs() { cat "$W"/*/log/dataplane.log | grep -c 'session down'; }
were=$(downs)
kill -9 "$(worker_pid phone routed)" "$(worker_pid relay routed)" "$(worker_pid shop routed)"
sleep 3
t 'routeds are killed' wait_for 10 eval 'session phone relay && session phone shop'
t 'the sessions go on' [ "$(downs)" = "$were" ]
t 'and the service is there' wait_for 10 get phone web@shop
kill -9 "$(worker_pid relay dataplane)" "$(worker_pid phone dataplane)"
t 'dataplanes are killed: they meet again' wait_for 20 eval 'session phone relay && session home relay && session phone shop'
t 'with all there was' eval 'wait_for 15 get phone web@shop && wait_for 30 get phone page@home && gets_no phone stock@shop 5'
kill -9 "$(worker_pid shop svchostd)"
t 'so does an adapter' wait_for 20 get phone web@shop

# --- it is taken back, in one place, and is heard of over what it ends
t 'a policy that lets nothing pass between tenants' sign_policy 'pass all' 'pass relay all'
was=$SECONDS
t 'one node is given it' ctl coord reload
t 'all of it ends' wait_for 10 eval 'no_session phone relay && no_session home relay && no_session phone shop'
say "    within $((SECONDS - was)) s"
t 'and the other ends say so, too' wait_for 5 eval 'no_session relay phone && no_session relay home && no_session shop phone'
t 'the phone has no route over the relay' wait_for 5 eval '! over_relay'
t 'nor the service' eval '! get phone web@shop'
t 'nothing of the others is known any more' wait_for 5 eval 'knows_not coord relay && knows_not phone shop && knows_not relay phone && knows_not shop phone'
t 'within the tenant all is as it was' eval 'session phone coord && session home coord'
t 'the log says why' grep -rqE 'session (down|refused).*auth-tenant' "$W/relay/log"
finish
