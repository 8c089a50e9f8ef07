# Sourced by the tests that run real daemons: a sandbox of namespaces, nodes in it, conditions, counting.
#
#	. tests/net/lib.sh
#	sandbox "$@"            # re-executes the script inside mount, network and pid namespaces of its own
#	host a; host r; host b  # network namespaces
#	link a 10.0.1.1/24 r 10.0.1.254/24
#	node a 10.0.1.1 10.77.0.1 [role,role]
#	peer a b; start a b
#	t "what is claimed" command...
#	finish
#
# Everything ends with the sandbox: its first process is the pid namespace's init, so that nothing can
# be left behind, whatever ends the script.
# shellcheck shell=bash

FABRIC_O=${FABRIC_O:-build}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
FABRICD=$ROOT/$FABRIC_O/fabricd/fabricd
FABRICCTL=$ROOT/$FABRIC_O/fabricctl/fabricctl
LIBEXEC=${LIBEXEC:-$ROOT/$FABRIC_O/libexec}
PORT=4600
OVERLAY=10.77.0.0/16
passed=0 failed=0 skipped=0

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

sandbox() {
	if [ -z "${FABRIC_SANDBOX:-}" ]; then
		[ "$(id -u)" -eq 0 ] || { say 'SKIP: not root'; say '0 passed, 0 failed, 1 skipped'; exit 0; }
		for p in ${NEEDS-"$FABRICD" "$FABRICCTL" "$LIBEXEC/dataplane"}; do
			[ -x "$p" ] || die "$p is not built: run make"
		done
		export FABRIC_SANDBOX=1
		# In the background, for then an interrupt ends it at once, whatever it waits for at the moment.
		env --default-signal=INT,QUIT \
			unshare --mount --net --pid --ipc --uts --fork --kill-child=KILL --mount-proc -- "$0" "$@" <&0 &
		box=$!
		trap 'kill -KILL $box; exit 130' INT TERM
		wait "$box"
		exit
	fi
	mount --make-rprivate /
	mount -t tmpfs -o mode=755 tmpfs /run
	mkdir -p /run/netns /run/nodes /run/build
	W=/run/nodes
	# Other users run the programs too, and the tree may be in a directory that is root's alone.
	mount --bind "$ROOT/$FABRIC_O" /run/build
	FABRICD=/run/build/fabricd/fabricd
	FABRICCTL=/run/build/fabricctl/fabricctl
	[ "$LIBEXEC" != "$ROOT/$FABRIC_O/libexec" ] || LIBEXEC=/run/build/libexec
	ip link set lo up
	trap 'exit 130' INT TERM
	trap 'show_failure' EXIT
}

# The logs of all nodes when a test failed: nobody can look again, the sandbox is gone.
show_failure() {
	[ "$failed" -eq 0 ] && [ "${finished:-0}" -eq 1 ] && return
	for f in "$W"/*/log/*.log "$W"/*/stderr; do
		[ -s "$f" ] && { say "--- $f"; tail -n "${LOGLINES:-15}" "$f"; }
	done
}

host() { # NAME: a network namespace
	ip netns add "$1"
	ip -n "$1" link set lo up
	in_ "$1" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
}

in_() { # NAME COMMAND...
	local ns=$1
	shift
	ip netns exec "$ns" "$@"
}

link() { # HOST ADDRESS/LEN HOST ADDRESS/LEN: a veth pair, named after the other end
	ip link add name "$3" netns "$1" type veth peer name "$1" netns "$3"
	ip -n "$1" addr add "$2" dev "$3"
	ip -n "$3" addr add "$4" dev "$1"
	ip -n "$1" link set dev "$3" up
	ip -n "$3" link set dev "$1" up
}

router() { # HOST: forwards
	in_ "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

authority() {
	[ -e "$W/authority/authority.key" ] && return
	"$FABRICCTL" authority init --no-passphrase -d "$W/authority" >/dev/null || die 'authority init'
}

declare -A node_addr node_id
node() { # NAME UNDERLAY-ADDRESS OVERLAY-ADDRESS [ROLES [TENANT]]: identity and configuration
	local name=$1 addr=$2 overlay=$3 d=$W/$1
	authority
	mkdir -p "$d/log" "$d/state"
	"$FABRICCTL" node init --name "$name" -d "$d" >/dev/null || die "node init $name"
	"$FABRICCTL" authority sign "$d/node.req" --roles "${4:-mobile-edge}" --tenant "${5:-acme}" --expires 30d \
		--address "$overlay/32" -d "$W/authority" -o "$d/signed.cert" >/dev/null || die "sign $name"
	"$FABRICCTL" node install "$d/signed.cert" -d "$d" --authority "$W/authority/authority.pub" >/dev/null ||
		die "node install $name"
	node_addr[$name]=$addr
	node_id[$name]=$("$FABRICCTL" record "$d/node.cert" --json | grep -oE '"node_?id": *"[0-9a-f]{64}"' | grep -oE '[0-9a-f]{64}' | head -n 1)
	[ -n "${node_id[$name]}" ] || die "node id of $name"
	cat >"$d/fabricd.conf" <<-CONF
	node "$name" {
		key "$d/node.key"
		certificate "$d/node.cert"
		authority "$d/authority.pub"
	}
	directory run "$d/run"
	directory log "$d/log"
	directory state "$d/state"
	directory chroot "$d/empty"
	libexec "$LIBEXEC"
	user dataplane 64001
	user routed 64002
	user vpnd 64003
	user svchostd 64004
	user telemd 64005
	log level ${LOGLEVEL:-info}
	listen on $addr port $PORT
	session { keepalive 2 s dead 10 s accept members }
	vpn { interface fab0 address $overlay/${OVERLAY#*/} mtu ${MTU:-1380} }
	service "echo"
	metrics listen on 127.0.0.1 port 9464
	CONF
}

# For so long, whatever comes: with -w ping(8) ends at the first error that the network says, and tells of nothing after it.
pings_for() { # HOST SECONDS INTERVAL ADDRESS
	in_ "$1" timeout -s INT "$2" ping -n -i "$3" "$4"
}

why_says() { # NODE STATUS PATTERN policy why's words...: the answer of a running node
	local node=$1 status=$2 pattern=$3
	shift 3
	ctl "$node" policy why "$@" >"$W/why.out" 2>&1
	[ $? -eq "$status" ] && grep -qE "$pattern" "$W/why.out" && return
	cat "$W/why.out"
	false
}

peer() { # NODE PEER...: NODE is told the address and id of each PEER
	local name=$1 p
	shift
	for p in "$@"; do
		echo "peer \"$p\" { id ${node_id[$p]} address ${node_addr[$p]} port $PORT }" >>"$W/$name/fabricd.conf"
	done
}

# An SSH server of this test's own, its user and its clients' key; SSH is how to reach it: "${SSH[@]}" -p PORT ADDRESS
ssh_keys() {
	[ -d "$W/ssh" ] && return
	mkdir -p "$W/ssh" /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$W/ssh/host"
	ssh-keygen -q -t ed25519 -N '' -f "$W/ssh/user"
	cp "$W/ssh/user.pub" "$W/ssh/authorized"
	SSH_OPTIONS=(-F none -i "$W/ssh/user" -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null
		-o StrictHostKeyChecking=no -o LogLevel=ERROR -o BatchMode=yes)
	# shellcheck disable=SC2034	# for whoever sources this
	SSH=(ssh "${SSH_OPTIONS[@]}")
}
sshd_in() { # HOST ADDRESS PORT
	ssh_keys
	cat >"$W/ssh/sshd.$1" <<-CONF
	ListenAddress $2
	Port $3
	HostKey $W/ssh/host
	PidFile $W/ssh/pid.$1
	AuthorizedKeysFile $W/ssh/authorized
	PermitRootLogin prohibit-password
	PasswordAuthentication no
	KbdInteractiveAuthentication no
	StrictModes no
	UsePAM no
	UseDNS no
	MaxStartups 100
	Subsystem sftp internal-sftp
	CONF
	in_ "$1" "$(command -v sshd || echo /usr/sbin/sshd)" -f "$W/ssh/sshd.$1" -E "$W/ssh/log.$1"
	wait_for 5 test -s "$W/ssh/pid.$1"
}

start() { # NODE...
	local name
	for name in "$@"; do
		ip netns exec "$name" "$FABRICD" -d -f "$W/$name/fabricd.conf" >>"$W/$name/stderr" 2>&1 &
		echo $! >"$W/$name/pid"
	done
}

stop() { # NODE...: ends the supervisor as an operator would, and waits
	local name pid
	for name in "$@"; do
		pid=$(cat "$W/$name/pid")
		kill -TERM "$pid" 2>/dev/null
		wait_for 10 gone "$pid" || say "node $name did not stop"
		rm -f "$W/$name/pid"
	done
}

gone() { ! kill -0 "$1" 2>/dev/null; }
moved_stream() { # NODE SERVICE: the last of its streams that moved is known, and is on the way that it is said to have gone to
	ctl "$1" route history --json >"$W/history" && ctl "$1" show streams --json >"$W/streams" && python3 -c '
import json, sys
events, streams = (json.load(open(name))["rows"] for name in sys.argv[1:3])
events = [e for e in events if e["event"] == "stream" and e["service"] == sys.argv[3]]
e = events[-1] if events else sys.exit("no such stream has moved")
print("    %s" % e)
if not (e["from"] != e["to"] and e["why"] in ("timeout", "hop-gone", "peer-gone", "fenced", "better", "shutdown", "unreachable") and
        e["node"] and e["class"] and 0 <= e["detect_us"] <= e["recover_us"] < 10000000):
    sys.exit("that is no event of a stream")
if not any(s.get("stream") == e["stream"] and s.get("service") == sys.argv[3] and s.get("way") == e["to"] for s in streams):
    sys.exit("and it is not there: %s" % [(s.get("stream"), s.get("way")) for s in streams if s.get("service") == sys.argv[3]])
' "$W/history" "$W/streams" "$2"
}

ctl() { # NODE fabricctl's words...
	local name=$1
	shift
	"$FABRICCTL" -s "$W/$name/run" "$@"
}

rows() { # EXPRESSION NODE COMMAND...: over the rows of `fabricctl ... --json'; by: the same by their names
	local expression=$1 node=$2
	shift 2
	ctl "$node" "$@" --json | python3 -c '
import json, sys
answer = json.load(sys.stdin)
rows = answer["rows"]
by = {r["name"]: r for r in rows if "name" in r}
ok = eval(sys.argv[1])
if not ok:
    print(answer)
sys.exit(not ok)' "$expression"
}

worker_pid() { # NODE WORKER
	pgrep -P "$(cat "$W/$1/pid")" -x "$2"
}

wait_for() { # SECONDS COMMAND...: until it succeeds
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -ge "$end" ] && return 1
		sleep 0.05
	done
}

up() { # NODE PEER-OVERLAY-ADDRESS: one ping goes through
	in_ "$1" ping -n -c 1 -W 1 "$2"
}

t() { # DESCRIPTION COMMAND...
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then
		passed=$((passed + 1))
		say "ok: $what"
	else
		failed=$((failed + 1))
		say "FAILED: $what: $*"
		printf '%s\n' "$out" | tail -n 20 | sed 's/^/    /'
	fi
}

skip() {
	skipped=$((skipped + 1))
	say "SKIP: $*"
}

finish() {
	local name
	for name in "$W"/*/pid; do
		[ -e "$name" ] && stop "$(basename "$(dirname "$name")")"
	done
	finished=1
	say "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
}
