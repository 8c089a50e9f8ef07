#!/bin/bash
# Real clients of services: ssh, scp, rsync, curl, a database; by ProxyCommand, by a port that listens, by SOCKS5.
#
#	a 10.0.1.1 ---- 10.0.1.2 b        a: the clients, and a way in for each service
#	                                  b: sshd, a web server, PostgreSQL, all at 127.0.0.1
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

host a; host b
link a 10.0.1.1/24 b 10.0.1.2/24
node a 10.0.1.1 10.77.0.1
node b 10.0.1.2 10.77.0.2 service-host
peer a b
peer b a
cat >>"$W/b/fabricd.conf" <<-'CONF'
	service "ssh" { tcp to 127.0.0.1 port 22 class interactive }
	service "web" { tcp to 127.0.0.1 port 8000 class bulk }
	service "db" { tcp to 127.0.0.1 port 5432 class interactive }
	service "nobody" { tcp to 127.0.0.1 port 9 class interactive }
	service "staff" { tcp to 127.0.0.1 port 8000 class bulk allow role control-plane }
CONF
cat >>"$W/a/fabricd.conf" <<-'CONF'
	listen on 127.0.0.1 port 2222 to service "ssh"
	listen on 127.0.0.1 port 8080 to service "web"
	listen on 127.0.0.1 port 5432 to service "db@b"
	listen on 127.0.0.1 port 9 to service "nobody"
	listen on 127.0.0.1 port 8081 to service "staff"
	socks listen on 127.0.0.1 port 1080
CONF

have() { # WHAT PROGRAM...: all are installed
	local p
	for p in "${@:2}"; do
		command -v "$p" >/dev/null || [ -x "/usr/sbin/$p" ] || { skip "$1: no $p"; return 1; }
	done
}
same() { cmp "$1" "$2"; }
sum() { sha256sum | cut -d ' ' -f 1; }

mkdir -p "$W/www"
head -c 30000000 /dev/urandom >"$W/www/large"
for i in $(seq 40); do head -c $((i * 20000)) /dev/urandom >"$W/www/f$i"; done
cat >"$W/web.py" <<-'PY'
	import http.server, os, sys
	class Handler(http.server.SimpleHTTPRequestHandler):
	    protocol_version = "HTTP/1.1"
	    def do_PUT(self):
	        left = int(self.headers["Content-Length"])
	        with open("put", "wb") as f:
	            while left > 0:
	                part = self.rfile.read(min(left, 65536))
	                f.write(part)
	                left -= len(part)
	        self.send_response(204)
	        self.end_headers()
	    def log_message(self, *args):
	        pass
	os.chdir(sys.argv[1])
	http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
PY
ip netns exec b python3 "$W/web.py" "$W/www" >"$W/web.log" 2>&1 &

start a b
get() { in_ a curl -sf -m "${LIMIT:-60}" "$@"; }
t 'a service of another node answers' wait_for 20 get -o /dev/null http://127.0.0.1:8080/f1

# --- ssh
if have ssh ssh sshd ssh-keygen; then
	sshd_in b 127.0.0.1 22
	cat >"$W/ssh/config" <<-CONF
		Host fabric
		ProxyCommand $FABRICCTL -s $W/a/run connect ssh
		Host port
		HostName 127.0.0.1
		Port 2222
	CONF
	mkdir "$W/tree" "$W/got"
	for i in $(seq 200); do head -c $((i * 97)) /dev/urandom >"$W/tree/$i"; done
	OPTIONS=(-F "$W/ssh/config" "${SSH_OPTIONS[@]:2}")
	over() { in_ a timeout 60 ssh "${OPTIONS[@]}" "$@"; }
	says() { [ "$(over "$1" echo hello)" = hello ]; }
	t 'ssh with fabricctl connect as ProxyCommand' says fabric
	t 'ssh to a port that listens' says port
	status() { over fabric exit 7; [ $? -eq 7 ]; }
	t 'the exit status comes back' status
	through() { [ "$(over "$1" cat <"$W/www/large" | sum)" = "$(sum <"$W/www/large")" ]; }
	t 'thirty megabytes there and back through ssh arrive whole' through fabric
	at_once() { # many sessions at a time, each with its own stream
		local i pids=()
		for i in $(seq 8); do (over port cat "$W/www/f$i" | cmp - "$W/www/f$i") & pids+=($!); done
		for i in "${pids[@]}"; do wait "$i" || return 1; done
	}
	t 'eight sessions at once' at_once
	if have scp scp; then
		copy() { in_ a timeout 60 scp -q "${OPTIONS[@]}" "$@"; }
		t 'scp there' eval 'copy "$W/www/large" fabric:"$W/got/up" && same "$W/www/large" "$W/got/up"'
		t 'scp back' eval 'copy port:"$W/www/large" "$W/got/down" && same "$W/www/large" "$W/got/down"'
	fi
	if have rsync rsync; then
		sync() { in_ a timeout 60 rsync -a -e "ssh ${OPTIONS[*]}" "$@"; }
		t 'rsync of a tree' eval 'sync "$W/tree/" fabric:"$W/got/tree/" && diff -r "$W/tree" "$W/got/tree"'
		date >"$W/tree/77"
		t 'rsync of what has changed' eval 'sync "$W/tree/" port:"$W/got/tree/" && diff -r "$W/tree" "$W/got/tree"'
		t 'rsync back' eval 'sync port:"$W/got/tree/" "$W/got/back/" && diff -r "$W/tree" "$W/got/back"'
	fi
fi

# --- curl
fetch() { # URL FILE
	rm -f "$W/fetched"
	get -o "$W/fetched" "$1/$2" && cmp "$W/fetched" "$W/www/$2"
}
t 'a download' fetch http://127.0.0.1:8080 large
upload() { get -T "$W/www/large" http://127.0.0.1:8080/put && cmp "$W/www/put" "$W/www/large"; }
t 'an upload' upload
kept() { # one connection, so one stream, for all of them
	local i words=()
	for i in $(seq 40); do words+=(-o "$W/k$i" "http://127.0.0.1:8080/f$i"); done
	[ "$(get -w '%{num_connects}\n' "${words[@]}" | awk '{ n += $1 } END { print n }')" -eq 1 ] || return 1
	for i in $(seq 40); do cmp "$W/k$i" "$W/www/f$i" || return 1; done
}
t 'forty files over one connection that is kept' kept
parallel() {
	local i words=()
	for i in $(seq 40); do words+=(-o "$W/p$i" "http://127.0.0.1:8080/f$i"); done
	get -Z --parallel-max 20 "${words[@]}" || return 1
	for i in $(seq 40); do cmp "$W/p$i" "$W/www/f$i" || return 1; done
}
t 'forty files, twenty at a time' parallel
socks() { # NAME
	rm -f "$W/fetched"
	get --socks5-hostname 127.0.0.1:1080 -o "$W/fetched" "http://$1/large" && cmp "$W/fetched" "$W/www/large"
}
t 'SOCKS5: a service by its name' socks web.fabric
t 'SOCKS5: a service of one node' socks web.b.fabric
t 'SOCKS5: a name that is no service' eval '! socks nothing.fabric'
t 'SOCKS5: the world outside is not reached' eval '! socks 127.0.0.1'

# --- fabricctl connect as a pipe: half-close, and what it says when there is nothing to join
piped() { # the request, then an end; the answer comes all the same
	printf 'GET /large HTTP/1.0\r\n\r\n' | in_ a timeout 30 "$FABRICCTL" -s "$W/a/run" connect web >"$W/piped" || return 1
	tail -c 30000000 "$W/piped" | cmp - "$W/www/large"
}
t 'fabricctl connect: a request, its end, and the whole answer' piped
refused() { # REASON SERVICE
	local out
	out=$(in_ a timeout 30 "$FABRICCTL" -s "$W/a/run" connect "$2" 2>&1 </dev/null) && { echo "no failure: $out"; return 1; }
	grep -q "$1" <<<"$out" || { echo "$out"; return 1; }
}
t 'a target that is down: the client is told' refused target-down nobody
t 'a service that this node may not use: the client is told' refused not-allowed staff
t 'a service that nobody has: the client is told' refused 'no service "nothing"' nothing
reset() { # PORT: it ends at once, rather than to hang
	local LIMIT=10 s
	get -o /dev/null "http://127.0.0.1:$1/"
	s=$?
	# 7 is what curl calls a reset that comes before it has looked whether it is connected, which is so by then.
	[ $s -eq 7 ] && in_ a ss -Hltn "sport = :$1" | grep -q . && return
	[ $s -eq 52 ] || [ $s -eq 56 ] || { echo "curl: $s"; return 1; }
}
t 'a target that is down: a listening port resets' reset 9
t 'a service that this node may not use: a listening port resets' reset 8081

# --- a database
PG=$(find /usr/lib/postgresql -maxdepth 3 -name initdb 2>/dev/null | sort -V | tail -n 1)
PG=${PG%/*}
if have postgresql psql pgbench && { [ -x "$PG/postgres" ] || { skip 'postgresql: no server'; false; }; }; then
	as_pg() { ip netns exec b setpriv --reuid=postgres --regid=postgres --clear-groups env -C / "$@"; }
	mkdir "$W/pg" && chown postgres: "$W/pg"
	as_pg "$PG/initdb" -D "$W/pg/data" -A trust -N -E UTF8 --locale=C >"$W/pg.log" 2>&1 || { tail -n 5 "$W/pg.log"; die initdb; }
	as_pg "$PG/postgres" -D "$W/pg/data" -h 127.0.0.1 -k '' -F >>"$W/pg.log" 2>&1 &
	DB=(-h 127.0.0.1 -U postgres)
	sql() { in_ a timeout 30 psql -X -A -t -q "${DB[@]}" -c "$1" postgres; }
	t 'psql' wait_for 20 sql 'select 1'
	t 'pgbench makes its tables' in_ a timeout 60 pgbench -q -i -s 2 "${DB[@]}" postgres
	pgbench_runs() {
		local out
		out=$(in_ a timeout 60 pgbench -c 8 -j 2 -t 100 "${DB[@]}" postgres 2>&1) || { echo "$out"; return 1; }
		grep -q 'actually processed: 800/800' <<<"$out" || { echo "$out"; return 1; }
	}
	t 'pgbench: eight clients, eight hundred transactions' pgbench_runs
	balanced() {
		local sums
		sums=$(sql 'select count(distinct n) from (select sum(abalance) n from pgbench_accounts union all select sum(tbalance)
			from pgbench_tellers union all select sum(bbalance) from pgbench_branches union all select sum(delta)
			from pgbench_history) x')
		[ "$sums" = 1 ]
	}
	t 'and the books balance' balanced
	rows() {
		sql 'create table big as select i, md5(i::text) m from generate_series(1, 200000) i' || return 1
		[ "$(sql 'copy big to stdout' | sum)" = "$(python3 -c 'import hashlib
for i in range(1, 200001):
    print(i, hashlib.md5(str(i).encode()).hexdigest(), sep="\t")' | sum)" ]
	}
	t 'two hundred thousand rows arrive as they are' rows
fi

# --- when something dies
slow_get() { get --limit-rate 10M -o "$W/slow" "http://127.0.0.1:8080/$1"; }
truncate -s 300M "$W/www/endless"	# more than windows and socket buffers hold
begun() { wait_for 10 test -s "$W/slow"; }
survives() { # NODE: its dataplane is killed in the middle of a download, which goes on when sessions are back
	local p
	rm -f "$W/slow"
	slow_get large &
	p=$!
	begun || return 1
	sleep 0.5
	kill -9 "$(worker_pid "$1" dataplane)"
	wait $p && cmp "$W/slow" "$W/www/large"
}
t 'kill -9 dataplane on the client: a download goes on and arrives whole' survives a
t 'kill -9 dataplane on the server: a download goes on and arrives whole' survives b
ends() { # NODE: its svchostd is killed: what it carried ends, and at once
	local p began
	rm -f "$W/slow"
	slow_get endless &
	p=$!
	begun || return 1
	sleep 0.5
	began=$SECONDS
	kill -9 "$(worker_pid "$1" svchostd)"
	wait $p && { echo "the download is whole: $(stat -c %s "$W/slow") bytes, $((SECONDS - began)) s later"; return 1; }
	[ $((SECONDS - began)) -le 5 ] || { echo "it ended $((SECONDS - began)) s later"; return 1; }
	LIMIT=3 wait_for 15 fetch http://127.0.0.1:8080 f7
}
t 'kill -9 svchostd on the client: downloads end, and new ones begin' ends a
t 'kill -9 svchostd on the server: downloads end, and new ones begin' ends b
finish
