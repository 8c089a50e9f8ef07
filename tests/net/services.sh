#!/bin/bash
# routed, svchostd and telemd as they run: proof and status, pings, metrics, the directory on disk.
#
#	alpha 10.0.1.1 ---- 10.0.1.2 beta         overlay 10.77.0.1, .2
#	gamma 10.0.1.3 (fabricd -U, in alpha's namespace)
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

host alpha; host beta
link alpha 10.0.1.1/24 beta 10.0.1.2/24
node alpha 10.0.1.1 10.77.0.1
node beta 10.0.1.2 10.77.0.2
cp "$W/alpha/fabricd.conf" "$W/alpha/no-peers"
peer alpha beta
cp "$W/alpha/fabricd.conf" "$W/alpha/with-address"
cp "$W/beta/fabricd.conf" "$W/beta/with-echo"
grep -v '^service' "$W/beta/with-echo" >"$W/beta/without-echo"
DB=$W/alpha/state/routed/directory.db

# rows of `fabricctl ... --json' by a Python expression over them
number() { # EXPRESSION NODE COMMAND...: prints it
	local expression=$1 node=$2
	shift 2
	ctl "$node" "$@" --json | python3 -c '
import json, sys
rows = json.load(sys.stdin)["rows"]
print(int(eval(sys.argv[1])))' "$expression"
}
counter() { number "sum(r['value'] for r in rows if r['name'] == '$2')" "$1" show counters; }
above() { [ "$(counter "$1" "$2")" -gt "$3" ]; }
is_up() { rows 'len(rows) == 1 and rows[0]["state"] == "up"' alpha status; }
refused() { # TEXT NODE COMMAND...: fails with exit status 1 and says so
	local text=$1 out
	shift
	out=$(ctl "$@" 2>&1)
	[ $? -eq 1 ] && [[ $out == *$text* ]] || { echo "$out"; return 1; }
}
logged() { grep -qF "$2" "$W/alpha/log/$1.log"; }

start alpha beta
t 'the peer is up, by proof' wait_for 20 is_up
t 'the proof is recent' rows 'rows[0]["age_ms"] < 10000 and rows[0]["carrier"] == "quic" and rows[0]["rtt_us"] > 0' alpha status
t 'the directory has it from both sides' rows 'rows[0]["source"] == "config,session" and rows[0]["addresses"] == "10.0.1.2:4600"' alpha show peers
t 'a guest is in the directory of the one that does not know it' rows 'rows[0]["source"] == "session" and rows[0]["name"] == "alpha"' beta show peers

# --- pings
t 'ping by name' rows 'len(rows) == 4 and rows[3]["received"] == 3 and rows[3]["min_us"] > 0' alpha ping -c 3 beta
t 'ping of a guest by the name that it proved' rows 'rows[-1]["received"] == 1' beta ping -c 1 alpha
t 'ping by the first digits of the id' rows 'rows[-1]["received"] == 1' alpha ping -c 1 "${node_id[beta]:0:8}"
t 'ping by the whole id' rows 'rows[-1]["received"] == 1' alpha ping -c 1 "${node_id[beta]}"
t 'ping of nobody' refused 'no such node' alpha ping -c 1 nobody
t 'ping of itself' refused 'itself' alpha ping -c 1 alpha
t 'ping of a node that nobody has a session to' refused unreachable alpha ping -c 1 "$(printf '%064d' 0)"
cp "$W/beta/without-echo" "$W/beta/fabricd.conf"
t 'the service is taken away' ctl beta reload
t 'and then there is no service' refused no-service alpha ping -c 1 beta
t 'and none is shown' rows 'rows == []' beta show served
cp "$W/beta/with-echo" "$W/beta/fabricd.conf"
t 'the service is given back' ctl beta reload
t 'and answers' rows 'rows[-1]["received"] == 1' alpha ping -c 1 beta
t 'no stream of a ping is left' wait_for 5 rows 'rows[0]["streams"] == 0' beta show served

# --- metrics
scrape() { in_ alpha curl -sS -m 5 "$@"; }
URL=http://127.0.0.1:9464
scrape -D "$W/head" -o "$W/metrics" "$URL/metrics"
t 'metrics are OpenMetrics 1.0 by name' grep -qi '^content-type: application/openmetrics-text; version=1.0.0; charset=utf-8' "$W/head"
t 'and by content' python3 tests/net/openmetrics.py "$W/metrics"
t 'every worker counts' sh -c "for w in dataplane routed vpnd svchostd telemd; do grep -q \"^fabric_\${w}_start_generation [1-9]\" '$W/metrics' || exit 1; done"
t 'it knows its node' grep -q "^fabric_node_info{id=\"${node_id[alpha]}\",name=\"alpha\"" "$W/metrics"
status_is() { [ "$(scrape -o /dev/null -w '%{http_code}' "${@:2}")" = "$1" ]; }
t 'another path is not found' status_is 404 "$URL/"
t 'another method is not allowed' status_is 405 -X POST "$URL/metrics"
t 'content is refused' status_is 413 -d hello "$URL/metrics"
t 'a long request is refused' status_is 431 -H "X: $(head -c 5000 /dev/zero | tr '\0' x)" "$URL/metrics"
t 'a long target is refused' status_is 414 "$URL/$(head -c 5000 /dev/zero | tr '\0' x)"
ip netns exec alpha python3 -c '
import socket, time
held = [socket.create_connection(("127.0.0.1", 9464)) for i in range(40)]
for s in held:
    try: s.send(b"GET /me")
    except OSError: pass
print("held", flush=True)
time.sleep(60)' >"$W/held" &
holder=$!
wait_for 10 grep -q held "$W/held"
t 'a scrape is answered while forty others dawdle' status_is 200 "$URL/metrics"
kill "$holder"

# --- death of one costs the others nothing
wait_for 10 rows 'rows[0]["since_s"] >= 4' alpha status
begun=$(number 'rows[0]["since_s"]' alpha status)
generation=$(counter alpha fabric_dataplane_start_generation)
ctl alpha ping -c 15 beta --json >"$W/ping" &
pinging=$!
kill -9 "$(worker_pid alpha routed)" "$(worker_pid alpha telemd)"
wait "$pinging"
t 'killing routed and telemd costs no ping' grep -q '"sent":15,"received":15' "$W/ping"
t 'routed is back with the proof' wait_for 5 is_up
since() { [ "$(number 'rows[0]["since_s"]' alpha status)" -ge $((begun + 2)) ]; }
t 'and knows how old the session is' since
t 'telemd is back' wait_for 5 status_is 200 "$URL/metrics"
t 'the dataplane is the same' [ "$(counter alpha fabric_dataplane_start_generation)" -eq "$generation" ]
before=$(counter alpha fabric_svchostd_pings_sent_total)
kill -9 "$(worker_pid alpha svchostd)"
again() { rows 'rows[-1]["received"] == 1' alpha ping -c 1 beta; }
t 'svchostd is back' wait_for 5 again
t 'its counters went on where they were' above alpha fabric_svchostd_pings_sent_total "$before"
t 'its generation shows that it is another' [ "$(counter alpha fabric_svchostd_start_generation)" -eq 2 ]
first=$(worker_pid alpha dataplane)
kill -9 "$first"
replaced() { local p; p=$(worker_pid alpha dataplane) && [ "$p" -ne "$first" ]; }
another() { replaced && is_up; }
t 'a dead dataplane is back with its session' wait_for 10 another
# One that dies as soon as it is there is started again after the delay only, and that can be looked at.
echo 'restart delay 5 s max 5 s' >>"$W/alpha/fabricd.conf"
ctl alpha reload
first=$(worker_pid alpha dataplane)
kill -9 "$first"
wait_for 10 replaced
kill -9 "$(worker_pid alpha dataplane)"
none_up() { rows 'rows[0]["state"] != "up" and rows[0]["reason"] == "no-dataplane"' alpha status; }
t 'without a dataplane nothing is up' wait_for 5 none_up
t 'and then it is again' wait_for 20 is_up

# --- the directory on disk
remembered() { rows 'rows[0]["rtt_us"] > 0 and rows[0]["addresses"] == "10.0.1.2:4600"' alpha show peers; }
without_address() { sed "s/ address ${node_addr[beta]} port $PORT//" "$W/alpha/with-address"; }
stop alpha
t 'nothing but databases is left, each with its log in it' [ -s "$DB" -a -z "$(find "$(dirname "$DB")" -type f ! -name '*.db')" ]
without_address >"$W/alpha/fabricd.conf"
start alpha
t 'a peer without an address is found where it was' wait_for 10 is_up
cp "$W/alpha/with-address" "$W/alpha/fabricd.conf"

aside() { # WHAT FILE COMMAND...: what is done to the database while alpha is stopped, and where it is then
	local what=$1 file=$2
	shift 2
	stop alpha
	"$@"
	start alpha
	t "$what: moved aside" wait_for 10 test -s "$file"
	t "$what: works with a new one" wait_for 10 is_up
}
sql() { python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit(); c.close()' "$DB" "$1"; }
garbage() { head -c 8192 /dev/urandom >"$DB"; }
aside 'a database of random bytes' "$DB.bad" garbage
aside 'a newer schema' "$DB.newer" sql 'PRAGMA user_version = 99'
rm -f "$DB.bad"
aside 'a table is missing' "$DB.bad" sql 'DROP TABLE address'
stop alpha
chmod 644 "$DB"
start alpha
t 'a database with another mode' wait_for 10 is_up
stop alpha
mv "$DB" "$DB.moved" && ln -s "$DB.moved" "$DB"
start alpha
t 'a database that is a link is not followed' wait_for 10 logged routed 'cannot open'
t 'and works without' wait_for 10 is_up
stop alpha
rm "$DB"
: >"$W/alpha/log/routed.log"

# A disk with no room: 256 KiB, filled.
mount -t tmpfs -o size=256k,mode=755 tmpfs "$W/alpha/state"
start alpha
wait_for 10 is_up
head -c 1000000 /dev/zero >"$W/alpha/state/filler" 2>/dev/null
errors=$(counter alpha fabric_routed_database_errors_total)
change() { # the configuration changes, so there is something to write
	without_address >"$W/alpha/fabricd.conf" && ctl alpha reload &&
		cp "$W/alpha/with-address" "$W/alpha/fabricd.conf" && ctl alpha reload
}
fills() { change && above alpha fabric_routed_database_errors_total "$errors"; }
t 'a full disk is counted' wait_for 20 fills
t 'and costs nothing' is_up
commits=$(counter alpha fabric_routed_database_commits_total)
rm "$W/alpha/state/filler"
written() { change && above alpha fabric_routed_database_commits_total "$commits"; }
t 'with room it is written again' wait_for 20 written
kill -9 "$(worker_pid alpha routed)"
t 'and read by the next one' wait_for 5 remembered

# --- without root: the same, and the state directory is no root directory
node gamma 10.0.1.3 10.77.0.3
ip -n alpha addr add 10.0.1.3/24 dev beta
sed -i -e '/^user /d' -e '/^vpn /d' -e 's/9464/9465/' "$W/gamma/fabricd.conf"
peer gamma beta
chown -R 64010:64010 "$W/gamma"
ip netns exec alpha setpriv --reuid 64010 --regid 64010 --clear-groups "$FABRICD" -U -d -f "$W/gamma/fabricd.conf" >"$W/gamma/stderr" 2>&1 &
echo $! >"$W/gamma/pid"
gamma_up() { rows 'rows[0]["state"] == "up"' gamma status; }
t '-U: the peer is up' wait_for 20 gamma_up
t '-U: it answers' rows 'rows[-1]["received"] == 1' gamma ping -c 1 beta
t '-U: it counts' status_is 200 http://127.0.0.1:9465/metrics
t '-U: the directory is on disk' [ "$(counter gamma fabric_routed_database_open)" -eq 1 ]
t '-U: in its place' test -s "$W/gamma/state/routed/directory.db"

cannot() { ! grep -hE "signal 31|Bad system call" "$W"/*/log/fabricd.log; }
t 'none did what its filter forbids' cannot
finish
