#!/bin/bash
# A node that is revoked: the list is given to one node, by a file and a reload, and ends the sessions of that node
# everywhere, within seconds; nor does it come back.
#
#	a 10.1.0.1 -- 10.1.0.2 b 10.2.0.1 -- 10.2.0.2 c		the list is given to c; a is revoked
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

for h in a b c; do host "$h"; done
link a 10.1.0.1/24 b 10.1.0.2/24
link b 10.2.0.1/24 c 10.2.0.2/24
node a 10.1.0.1 10.77.0.1 entry
node b 10.1.0.2 10.77.0.2 relay
node c 10.2.0.2 10.77.0.3 relay,route-coordinator
sed -i "s/^listen on .*/listen on 0.0.0.0 port $PORT/" "$W/b/fabricd.conf"
peer a b
node_addr[b]=10.2.0.1
peer c b
LIST=$W/revocations.rec
revoke() { "$FABRICCTL" authority revoke "$@" -d "$W/authority" -o "$LIST" >/dev/null; }

has_session() { ctl "$1" show sessions --json | grep -qE "\"name\":\"$2\",\"id\":\"[0-9a-f]*\",\"state\":\"up\""; }
no_session() { ctl "$1" show sessions >/dev/null && ! has_session "$1" "$2"; }
knows() { ctl "$1" show nodes --json | grep -q "\"name\":\"$2\""; }
forgot() { ! knows "$1" "$2"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

start a b c
t 'sessions are up' eval 'wait_for 10 has_session a b && wait_for 10 has_session b c'
t 'c knows the node that it never saw' wait_for 20 knows c a

# --- a list with somebody else: nothing happens to those that are not on it
revoke "$(printf '1%.0s' {1..64})"
echo "revocations \"$LIST\"" >>"$W/c/fabricd.conf"
cp "$LIST" "$W/older.rec"
t 'a list is given to c' ctl c reload
sleep 2
t 'who is not on it stays' eval 'has_session b a && has_session b c && knows c a'

# --- a is revoked
revoke "$W/a/node.cert"
from=$(now_ms)
t 'a is on the list of c' ctl c reload
t 'b has ended its session' wait_for 5 no_session b a
say "the session ended $(($(now_ms) - from)) ms after the list was given to the node behind"
t 'c has forgotten it' wait_for 5 forgot c a
t 'b has forgotten it' wait_for 5 forgot b a
t 'b and c go on' has_session b c
sleep 4
t 'a does not come back' no_session b a
t 'and b says why' grep -q "session refused .*name=a .*reason=revoked" "$W/b/log/dataplane.log"
t 'a is told, too' grep -q "session refused .*reason=revoked by_peer=1" "$W/a/log/dataplane.log"
kill -9 "$(worker_pid b dataplane)"
wait_for 10 has_session b c
sleep 4
t 'not to a new dataplane' no_session b a
kill -9 "$(worker_pid b routed)"
sleep 4
t 'nor when routed is another' no_session b a
stop b c
start b
sleep 5
t 'nor when b is all alone and has only what it kept' no_session b a

# --- an older list takes nothing back
start c
wait_for 10 has_session b c
cp "$W/older.rec" "$LIST"
t 'an older list is read' ctl c reload
sleep 3
t 'and changes nothing' no_session b a
finish
