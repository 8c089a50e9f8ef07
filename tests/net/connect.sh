#!/bin/bash
# Ways into services: fabricctl connect, listen ... to service, SOCKS5, with the real daemons.
#
#	alpha 10.0.1.1 ---- 10.0.1.2 beta (service-host)
#	clients             targets on 127.0.0.1
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

host alpha; host beta
link alpha 10.0.1.1/24 beta 10.0.1.2/24
node alpha 10.0.1.1 10.77.0.1 mobile-edge
node beta 10.0.1.2 10.77.0.2 service-host
peer alpha beta
peer beta alpha
cat >>"$W/beta/fabricd.conf" <<-CONF
	service "mirror" { tcp to 127.0.0.1 port 7001 }
	service "web" { tcp to 127.0.0.1 port 7002 class bulk }
	service "down" { tcp to 127.0.0.1 port 7009 }
	service "private" { tcp to 127.0.0.1 port 7001 allow role relay }
	service "breaks" { tcp to 127.0.0.1 port 7003 }
CONF
cat >>"$W/alpha/fabricd.conf" <<-CONF
	listen on 127.0.0.1 port 2201 to service "mirror"
	listen on ::1 port 2202 to service "web@beta"
	listen on 127.0.0.1 port 2209 to service "down"
	listen on 127.0.0.1 port 2210 to service "nothing"
	socks listen on 127.0.0.1 port 1080
CONF
cp "$W/alpha/fabricd.conf" "$W/alpha/first.conf"

# The targets. mirror: says "banner", then gives back in capitals what it is sent, and after the end of it "bye".
# breaks: resets after ten bytes.
in_ beta python3 - >"$W/targets" 2>&1 <<'PY' &
import socket, struct, threading, time

def mirror(c):
    c.sendall(b"banner\n")
    n = 0
    while True:
        d = c.recv(65536)
        if not d:
            break
        n += len(d)
        c.sendall(d.upper())
    c.sendall(b"bye %d\n" % n)
    c.close()

def breaks(c):
    c.sendall(b"some of it")
    c.recv(10)
    time.sleep(0.3)	# what has not been read when a stream is reset is gone
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()

def serve(port, f):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen(1024)
    while True:
        c, _ = s.accept()
        threading.Thread(target=run, args=(f, c), daemon=True).start()

def run(f, c):
    try:
        f(c)
    except OSError:
        pass

threading.Thread(target=serve, args=(7003, breaks), daemon=True).start()
serve(7001, mirror)
PY
mkdir "$W/www"
head -c 3000000 /dev/urandom >"$W/www/file"
in_ beta sh -c "cd '$W/www' && exec python3 -m http.server --bind 127.0.0.1 7002" >"$W/www.log" 2>&1 &

fabricctl() { "$FABRICCTL" -s "$W/alpha/run" "$@"; }

start alpha beta
known() { [ "$(echo hello | fabricctl connect mirror 2>&1)" = "$(printf 'banner\nHELLO\nbye 6')" ]; }
t 'connect: what is sent comes back, and the end of it is told before the answer ends' wait_for 20 known

# --- connect: both directions, each with its own end
half_in() { # the service has ended, and still takes what is sent
	local out
	out=$( (sleep 0.3; printf more) | fabricctl connect mirror@beta)
	[ "$out" = "$(printf 'banner\nMOREbye 4')" ]
}
t 'connect: input that comes late' half_in
by_id() { [ "$(printf x | fabricctl connect "mirror@${node_id[beta]}")" = "$(printf 'banner\nXbye 1')" ]; }
t 'connect: a node by its id' by_id
big() {
	head -c 20000000 /dev/urandom | tr 'a-z' 'A-Z' >"$W/big"
	fabricctl connect mirror <"$W/big" >"$W/back" && cmp <(printf 'banner\n'; cat "$W/big"; printf 'bye 20000000\n') "$W/back"
}
t 'connect: twenty megabytes there and back' big
exits() { # STATUS TEXT SERVICE
	local out
	out=$(fabricctl connect "$3" </dev/null 2>&1 >/dev/null)
	[ $? -eq "$1" ] && [[ $out == *"$3: "*"$2"* ]] || { echo "$?: $out"; return 1; }
}
t 'exit 2: no name' exits 2 'names no service' ''
t 'exit 3: an unknown service' exits 3 'no service "nothing" is known' nothing
t 'exit 3: an unknown node' exits 3 'no such node' mirror@nowhere
t 'exit 3: no such service there' exits 3 'no service "nothing@beta" is known' nothing@beta
t 'exit 5: not for this node' exits 5 'not-allowed' private
t 'exit 6: its target is down' exits 6 'target-down' down
t 'exit 7: broken off' exits 7 'connection-reset' breaks
beginning() { [ "$(fabricctl connect breaks </dev/null 2>/dev/null)" = 'some of it' ]; }
t 'what came before it broke is there' beginning
# As anybody else: only the socket for everybody is in reach.
other_user() {
	local out
	out=$(setpriv --reuid 64020 --regid 64020 --clear-groups "$FABRICCTL" -s "$W/alpha/run" connect mirror </dev/null 2>&1)
	[ $? -eq 2 ] && [[ $out == *'not allowed on the read-only socket'* ]]
}
t 'exit 2: root only' other_user
killed() { # fabricctl dies: the service is told that this was not all
	fabricctl connect mirror <"$W/fifo" >"$W/out" 2>&1 &
	local pid=$!
	exec 9>"$W/fifo"
	wait_for 5 grep -q banner "$W/out" || return 1
	kill -9 "$pid"
	exec 9>&-
	wait_for 5 rows 'not [r for r in rows if r["at"] == "svchostd" and r["state"] != "ended"]' alpha show streams &&
		wait_for 5 rows 'not [r for r in rows if r["at"] == "svchostd" and r["state"] != "ended"]' beta show streams
}
mkfifo "$W/fifo"
t 'a fabricctl that dies leaves nothing behind' killed
many() { # more than the control socket has clients, all at once; and fabricctl is still answered
	local pids=() i n=0
	for i in $(seq 40); do
		(sleep 1; echo "$i") | fabricctl connect mirror >"$W/many.$i" 2>&1 &
		pids+=($!)
	done
	sleep 0.7
	fabricctl status >/dev/null || return 1
	wait "${pids[@]}"
	for i in $(seq 40); do
		[ "$(sed -n 2p "$W/many.$i")" = "$i" ] && n=$((n + 1))
	done
	[ "$n" -eq 40 ] || { echo "$n of 40"; cat "$W/many.1"; return 1; }
}
t 'forty at once, and status beside them' many

# --- listeners
client() { # PORT PYTHON: in alpha, with a connected socket c
	in_ alpha timeout 20 python3 -c '
import socket, sys, time
c = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
def all(c):
    d = b""
    while True:
        x = c.recv(65536)
        if not x:
            return d
        d += x
exec(sys.argv[2])' "$@"
}
t 'listen: there and back, half-closed' client 2201 'c.sendall(b"abc"); c.shutdown(socket.SHUT_WR); assert all(c) == b"banner\nABCbye 3\n"'
resets() { # PORT: no client takes it for an empty answer
	in_ alpha timeout 20 python3 -c '
import socket, sys
try:
    c = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
    while c.recv(65536): pass
    sys.exit("an end, not a reset")
except ConnectionResetError: pass' "$1"
}
t 'listen: a service that is down resets' resets 2209
t 'listen: a service that is not known resets' resets 2210
logged() { grep -qF "$1" "$W/alpha/log/svchostd.log"; }
t 'and the log says why' logged 'listen port=2210 service=nothing: no service "nothing" is known'
curl_() { in_ alpha curl -sS -m 20 --noproxy '' "$@"; }
t 'listen: over IPv6, to that node' eval 'curl_ -o "$W/got" "http://[::1]:2202/file" && cmp "$W/got" "$W/www/file"'
slow() { # one that does not read, with its buffers full, and others beside it
	client 2201 '
c.settimeout(3)
try:
    while True: c.sendall(b"x" * 65536)
except TimeoutError: pass
print("full", flush=True)
time.sleep(8)' >"$W/slow" &
	local pid=$!
	wait_for 15 grep -q full "$W/slow" || return 1
	client 2201 'c.settimeout(2); assert c.recv(7) == b"banner\n"; c.sendall(b"q"); assert c.recv(1) == b"Q"' || return 1
	rows '[r for r in rows if r["at"] == "svchostd" and r["stall_local_us"] > 1000000]' alpha show streams || return 1
	kill "$pid"
}
t 'listen: a client that does not read stops only itself' slow
parallel() { # sixty at a time, three hundred in all
	in_ alpha timeout 60 python3 -c '
import socket, concurrent.futures as f
def one(i):
    c = socket.create_connection(("127.0.0.1", 2201), 20)
    m = b"%d" % i * 1000
    c.sendall(m)
    c.shutdown(socket.SHUT_WR)
    d = b""
    while True:
        x = c.recv(65536)
        if not x: break
        d += x
    return d == b"banner\n" + m + b"bye %d\n" % len(m)
with f.ThreadPoolExecutor(60) as e:
    assert all(e.map(one, range(300)))'
}
t 'listen: three hundred, sixty at a time' parallel
full() { # 1024 that stay; the next waits, another listener does not, and it is taken when one has left
	in_ alpha timeout 100 python3 -c '
import socket, resource, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = []
for i in range(1024):
    c = socket.create_connection(("127.0.0.1", 2201), 20)
    held.append(c)
for c in held:
    c.settimeout(20)
    assert c.recv(7) == b"banner\n"
late = socket.create_connection(("127.0.0.1", 2201), 20)
late.settimeout(1)
try:
    late.recv(7)
    raise SystemExit("one too many")
except TimeoutError: pass
other = socket.create_connection(("::1", 2202), 20)
other.settimeout(10)
other.sendall(b"GET / HTTP/1.0\r\n\r\n")
assert other.recv(4) == b"HTTP"
held.pop().close()
late.settimeout(20)
assert late.recv(7) == b"banner\n"'
}
t 'listen: its limit' full
t 'which is counted' rows '[r for r in rows if r["name"] == "fabric_svchostd_local_listeners_full_total" and r["value"] > 0]' alpha show counters

# --- SOCKS5
socks() { curl_ --proxy socks5h://127.0.0.1:1080 "$@"; }
t 'socks: NAME.fabric' eval 'socks -o "$W/got" http://web.fabric/file && cmp "$W/got" "$W/www/file"'
t 'socks: NAME.NODE.fabric, in capitals, with another port' eval 'socks -o "$W/got" http://WEB.beta.Fabric:8080/file && cmp "$W/got" "$W/www/file"'
replies() { # CODE HOST
	client 1080 '
host = sys.argv[4].encode()
c.sendall(b"\5\1\0" + b"\5\1\0\3" + bytes([len(host)]) + host + b"\0\x50")
d = b""
while len(d) < 12: d += c.recv(12 - len(d)) or sys.exit("cut")
assert d[3] == int(sys.argv[3]), d' "$@"
}
t 'socks: a name that is not ours' replies 4 example.org
t 'socks: an unknown service' replies 4 nothing.fabric
t 'socks: a target that is down' replies 5 down.fabric
t 'socks: not allowed' replies 2 private.fabric
t 'socks: what follows the request at once is for the service' client 1080 '
c.sendall(b"\5\1\0\5\1\0\3\x0dmirror.fabric\0\x50early")
c.shutdown(socket.SHUT_WR)
d = all(c)
assert d[2:4] == b"\5\0" and d[12:] == b"banner\nEARLYbye 5\n", d'
refused_by() { # ANSWER BYTES, both for printf: what is answered, and then the end
	[ "$(client 1080 'c.sendall(bytes.fromhex(sys.argv[4])); d = all(c).hex(); print(d)' "$@")" = "$1" ]
}
t 'socks: an IP address' refused_by 050005080001000000000000 050100050100017f0000010016
t 'socks: version 4' refused_by 005b000000000000 04
t 'socks: HTTP' refused_by '' 47
dawdle() { # half a request: after ten seconds the end, for which this waits longer; others are served meanwhile
	client 1080 'c.settimeout(18); c.sendall(b"\5"); t = time.time(); d = all(c); t = time.time() - t; assert d == b"" and t > 8, t' &
	local pid=$!
	socks -m 5 -o /dev/null http://web.fabric/file || return 1
	wait "$pid"
}
t 'socks: one that dawdles is ended, and holds up nobody' dawdle

# --- seeing
holding() { client 2201 'c.recv(7); print("held", flush=True); time.sleep(20)'; }
holding >"$W/held" &
holder=$!
wait_for 5 grep -q held "$W/held"
t 'show streams: the end here' rows '[r for r in rows if r["at"] == "svchostd" and r["service"] == "mirror" and r["node"] == "beta" and
	r["opened_by"] == "us" and r["state"] == "open" and r["bytes_in"] == 7 and r["rtt_us"] > 0]' alpha show streams
t 'show streams: the end there' rows '[r for r in rows if r["at"] == "svchostd" and r["opened_by"] == "peer" and r["bytes_out"] == 7]' beta show streams
short() { fabricctl connect mirror </dev/null >"$W/short" && rows '[r for r in rows if r["state"] == "ended" and r["reason"] == "none" and
	r["service"] == "mirror" and r["ended_ms"] < 60000]' alpha show streams; }
t 'show streams: one that has ended, and why' short
t 'show streams: the dataplane between' rows '[r for r in rows if r["at"] == "dataplane" and r["service"] == "mirror" and r["reliable"]]' alpha show streams
t 'show served: the listener' rows '[r for r in rows if r.get("listen") == "127.0.0.1:2201" and r["streams"] == 1 and r["accepted"] > 1300]' alpha show served
top() {
	fabricctl stream top -n 2 -d 0.2 >"$W/top" && [ "$(grep -c 'streams, a second' "$W/top")" -eq 2 ] &&
		grep -q 'SERVICE.*IN-RATE.*OUT-RATE.*RTT.*STALLED.*QUEUE-P99' "$W/top" && grep -q '^mirror  *beta ' "$W/top" || { cat "$W/top"; return 1; }
}
t 'stream top' top
t 'stream top --json' eval 'fabricctl stream top -n 1 -d 0.2 --json | python3 -c "import json, sys; a = json.load(sys.stdin); sys.exit(not (a[\"version\"] == 1 and [r for r in a[\"rows\"] if r[\"service\"] == \"mirror\" and r[\"peer\"] == \"beta\"]))"'
scrape() { curl_ http://127.0.0.1:9464/metrics >"$W/metrics" && python3 tests/net/openmetrics.py "$W/metrics"; }
t 'metrics are OpenMetrics' scrape
t 'metrics: by service' grep -qE '^fabric_service_bytes_out_total\{service="mirror"\} [1-9][0-9]{7}' "$W/metrics"
t 'metrics: by peer' grep -qE "^fabric_peer_streams_total\{peer=\"${node_id[beta]}\"\} [1-9][0-9]{3}" "$W/metrics"
t 'metrics: by class' grep -qE '^fabric_class_frames_out_total\{class="[a-z]*"\} [1-9][0-9]{3}' "$W/metrics"
t 'metrics: by reason' grep -qE '^fabric_stream_ends_total\{reason="connection-reset"\} [1-9]' "$W/metrics"
t 'metrics: not by stream' [ "$(grep -c '^fabric_\(service\|peer\)_streams_total' "$W/metrics")" -lt 10 ]
keys() { # on a terminal: q ends it, an interrupt ends it, and the terminal is as before
	python3 - "$FABRICCTL" "$W/alpha/run" <<'PY'
import os, pty, select, signal, subprocess, sys, termios, time
for key in (b"q", b"\x03"):
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(sys.argv[1], [sys.argv[1], "-s", sys.argv[2], "stream", "top", "-d", "0.2"])
    before = termios.tcgetattr(fd)
    seen = b""
    end = time.time() + 10
    while b"mirror" not in seen and time.time() < end:
        if select.select([fd], [], [], 0.2)[0]:
            seen += os.read(fd, 65536)
    assert b"mirror" in seen and b"\x1b[H" in seen, seen
    assert not termios.tcgetattr(fd)[3] & termios.ICANON
    os.write(fd, key)
    after = None
    while time.time() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                if not os.read(fd, 65536): break
            except OSError:
                break
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, status
            break
    else:
        raise SystemExit("it does not end")
PY
}
t 'stream top on a terminal ends on q and on an interrupt' keys

# --- reload: added, taken away, changed, kept
sed -e '/port 2202/d' -e 's/port 2209 to service "down"/port 2209 to service "mirror"/' "$W/alpha/first.conf" >"$W/alpha/fabricd.conf"
echo 'listen on 127.0.0.1 port 2211 to service "mirror"' >>"$W/alpha/fabricd.conf"
in_ alpha python3 -c '
import socket, time
c = [socket.create_connection(("127.0.0.1", 2201)), socket.create_connection(("::1", 2202))]
c[0].recv(7)
c[1].sendall(b"GET /file HTTP/1.0\r\n")
print("held", flush=True)
open("'"$W/fifo"'").read()
c[1].sendall(b"\r\n")
assert c[1].recv(4) == b"HTTP"
c[0].sendall(b"z")
assert c[0].recv(1) == b"Z"' >"$W/held2" &
kept=$!
wait_for 5 grep -q held "$W/held2"
t 'reload' fabricctl reload
t 'a listener is added' client 2211 'assert c.recv(7) == b"banner\n"'
t 'one leads elsewhere' client 2209 'assert c.recv(7) == b"banner\n"'
t 'one stays' client 2201 'assert c.recv(7) == b"banner\n"'
refuses() { ! in_ alpha python3 -c 'import socket; socket.create_connection(("::1", 2202), 5)' 2>/dev/null; }
t 'one is gone' refuses
: >"$W/fifo"
wait "$kept"
status=$?
t 'connections go on, also those of one that is gone' [ "$status" -eq 0 ]
sed -i 's/127.0.0.1 port 2211/10.0.1.1 port 2211/' "$W/alpha/fabricd.conf"
not_taken() { local out; out=$(fabricctl reload 2>&1); [ $? -eq 1 ] && [[ $out == *'say "shared"'* ]]; }
t 'an address that others reach is not taken without a word' not_taken
sed -i '/port 2211/s/$/ shared/' "$W/alpha/fabricd.conf"
t 'and with it is' fabricctl reload
t 'and others reach it' in_ beta timeout 10 python3 -c 'import socket; c = socket.create_connection(("10.0.1.1", 2211)); assert c.recv(7) == b"banner\n"'
kill "$holder"

# --- what goes down
stop beta
unreachable() { exits 4 'there is no session' mirror; }
t 'exit 4: the node is gone' wait_for 20 unreachable
t 'socks: the node is gone' replies 3 mirror.fabric

cannot() { ! grep -hE "signal 31|Bad system call" "$W"/*/log/fabricd.log; }
t 'none did what its filter forbids' cannot
finish
