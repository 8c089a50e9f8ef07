#!/bin/bash
# Who may reach a service, decided at its node by what the other end has proven.
#
#	         alpha 10.0.1.1, 10.0.2.1	service-host: services before one web server
#	        /     \
#	 beta 10.0.1.2  gamma 10.0.2.3		mobile-edge; entry and relay
#
# The client's node does not know the policy: what is refused was asked for.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

host alpha; host beta; host gamma
link alpha 10.0.1.1/24 beta 10.0.1.2/24
link alpha 10.0.2.1/24 gamma 10.0.2.3/24
node alpha 0.0.0.0 10.77.0.1 service-host
node beta 10.0.1.2 10.77.0.2 mobile-edge
node gamma 10.0.2.3 10.77.0.3 entry,relay
node_addr[alpha]=10.0.1.1; peer beta alpha
node_addr[alpha]=10.0.2.1; peer gamma alpha
mkdir "$W/www"
echo 'behind the service' >"$W/www/page"
in_ alpha python3 -m http.server 80 --bind 127.0.0.1 -d "$W/www" >/dev/null 2>&1 &
serve() { echo "service \"$1\" { tcp to 127.0.0.1 port 80 $2 }" >>"$W/alpha/fabricd.conf"; }
cp "$W/alpha/fabricd.conf" "$W/alpha/none"
serve all ''
serve edge 'allow role mobile-edge'
serve inner 'allow role entry allow role exit'
serve ours 'allow tenant "acme"'
serve theirs 'allow tenant "other"'
serve both 'allow role relay allow tenant "other" allow tenant "acme"'
serve neither 'allow role mobile-edge allow tenant "other"'
echo 'service "fake" { tcp to 127.0.0.1 port 80 }' >>"$W/beta/fabricd.conf"

knows() { ctl "$1" show services | grep -q "^$2 .*reachable"; }
get() { # NODE SERVICE: the page; fabricctl's exit status
	printf 'GET /page HTTP/1.0\r\n\r\n' | timeout 10 "$FABRICCTL" -s "$W/$1/run" connect "$2" 2>"$W/connect.err" >"$W/connect.out"
	local status=$?
	cat "$W/connect.err"
	[ "$status" -eq 0 ] || return "$status"
	grep -qx 'behind the service' "$W/connect.out"
}
gets_no() { # NODE SERVICE STATUS: nothing, and fabricctl says so
	get "$1" "$2"
	[ $? -eq "$3" ] && [ ! -s "$W/connect.out" ]
}

start alpha beta gamma
wait_for 20 knows beta neither
wait_for 20 knows gamma neither
wait_for 5 in_ alpha curl -s -o /dev/null http://127.0.0.1/page
t 'no rule: every member may' eval 'get beta all && get gamma all'
t 'a role: who has it' get beta edge
t 'and nobody else' gets_no gamma edge 5
t 'one of several roles' get gamma inner
t 'and none of them' gets_no beta inner 5
t "the node's own tenant" eval 'get beta ours && get gamma ours'
t 'another tenant: nobody of this one' eval 'gets_no beta theirs 5 && gets_no gamma theirs 5'
t 'a role and one of the tenants' get gamma both
t 'the tenant without the role' gets_no beta both 5
t 'the role without the tenant' gets_no beta neither 5
t 'who may not be a service host is not asked' gets_no alpha fake 3

# --- roles that change: what counts is what the next stream proves, not how the session was begun
"$FABRICCTL" authority sign "$W/gamma/node.req" --roles mobile-edge --tenant acme --expires 30d \
	--address 10.77.0.3/32 -d "$W/authority" -o "$W/gamma/edge.cert" >/dev/null
"$FABRICCTL" node install "$W/gamma/edge.cert" -d "$W/gamma" --authority "$W/authority/authority.pub" >/dev/null
t 'a node with another certificate' ctl gamma reload
t 'has lost its roles' gets_no gamma inner 5
t 'and has its new one' get gamma edge
"$FABRICCTL" node install "$W/gamma/signed.cert" -d "$W/gamma" --authority "$W/authority/authority.pub" >/dev/null
ctl gamma reload

# --- a policy that changes
cp "$W/alpha/none" "$W/alpha/fabricd.conf"
serve all 'allow role entry'
serve edge ''
t 'another policy' ctl alpha reload
t 'is obeyed at once' gets_no beta all 5
t 'for the others too' eval 'get gamma all && get gamma edge && get beta edge'

# --- the policy of the fabric: alpha has it as a file, the others are told; services ask their own rules besides
sign_policy() { # WHO: it lets through to the service "edge"
	printf 'block all\npass from any to service { "echo" "vpn" }\npass from %s to service "edge"\n' "$1" >"$W/policy.conf"
	"$FABRICCTL" policy sign "$W/policy.conf" -d "$W/authority" -o "$W/policy"
}
t 'without one the default decides' wait_for 10 why_says gamma 0 '^alpha +all +pass +0 +0 +no rule: the default$' gamma edge@alpha
t 'a signed policy' sign_policy 'role mobile-edge'
echo "policy \"$W/policy\"" >>"$W/alpha/fabricd.conf"
t 'is read again with the rest' ctl alpha reload
t 'and known at once where it was read' wait_for 5 why_says alpha 1 '^alpha +all +block +1 +1 ' gamma edge@alpha
t 'who may, may still' get beta edge
t 'who may not, may not any more' gets_no gamma edge 5
t 'nor what no rule speaks of, whatever the service itself allows' gets_no gamma all 5
t 'the others are told' wait_for 10 why_says beta 0 '^alpha +all +pass +3 +3 +pass from role mobile-edge to service "edge"$' \
	beta edge@alpha
t 'who could relay it' why_says alpha 0 '^gamma +all +pass +0 +0 +no rule: the default$' beta edge@alpha
hold() { # NODE SERVICE: a stream that stays open, as nobody says anything; its pid in $held
	sleep 90 | "$FABRICCTL" -s "$W/$1/run" connect "$2" >/dev/null 2>"$W/$1.held" &
	held=$!
}
over() { ! kill -0 "$1" 2>/dev/null; }
hold beta edge
sleep 1
t 'a stream is open' kill -0 "$held"
kill -9 "$(worker_pid alpha routed)"
wait_for 20 why_says alpha 1 '^alpha +all +block +1 +1 ' gamma edge@alpha
sleep 2
t 'it stays when routed starts again' kill -0 "$held"
t 'a newer one' sign_policy 'role relay'
t 'takes its place' eval 'ctl alpha reload && wait_for 5 get gamma edge'
t 'what it does not permit any more ends' wait_for 5 over "$held"
t 'and is told why' grep -q 'not-allowed\|not allowed' "$W/beta.held"
t 'also for who could before' gets_no beta edge 5
sed -i '/^policy /d' "$W/alpha/fabricd.conf"
t 'a node whose file is gone' ctl alpha reload
kill -9 "$(worker_pid alpha routed)"
t 'has kept it' wait_for 20 why_says alpha 1 '^alpha +all +block +1 +1 ' beta edge@alpha
t 'and lets nobody through it in the meantime' eval 'wait_for 20 get gamma edge && gets_no beta edge 5'
finish
