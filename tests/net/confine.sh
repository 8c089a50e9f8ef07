#!/bin/bash
# Confinement of the workers: from outside, by what the kernel says of each worker of a running node; from
# inside, by a probe in a worker's place that tries what no worker may (tests/net/probe.c).
#
#	a 10.0.1.1 ---- r ---- 10.0.2.1 p (its telemd is the probe)
#	                |
#	                +----- 10.0.3.1 u (fabricd -U: without root)
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
PROBE=$ROOT/$FABRIC_O/tests/net/probe
LAUNCH=$ROOT/$FABRIC_O/tests/net/launch
NEEDS="$PROBE" # the others are looked at by lib.sh when they are used
[ -x "$LAUNCH" ] && [ -x "$FABRICD" ] || die "$LAUNCH or $FABRICD is not built: run make net-tools"
sandbox "$@"

WORKERS='dataplane routed vpnd svchostd telemd'
declare -A UID_OF=([dataplane]=64001 [routed]=64002 [vpnd]=64003 [svchostd]=64004 [telemd]=64005)
# The one that has network is the one that holds the sessions' sockets.
HAS_NETWORK=dataplane
# Every descriptor of each, by what it is. Nothing may be missing and nothing may be more.
COMMON='eventpoll log log null null pipe pipe unix'
declare -A FDS=(
	[dataplane]="$COMMON timerfd timerfd udp unix unix unix"
	[routed]="$COMMON unix state/directory.db state/directory.db-wal state/routes.db state/routes.db-wal"
	[vpnd]="$COMMON unix tun"
	[svchostd]="$COMMON unix"
	[telemd]="$COMMON tcp"
)

status_of() { # PID FIELD: the words behind it
	awk -v f="$2:" '$1 == f { $1 = ""; sub(/^[ \t]+/, ""); print; exit }' "/proc/$1/status"
}
has() { # PID FIELD WORDS...
	local got
	got=$(status_of "$1" "$2" | xargs)
	[ "$got" = "${*:3}" ] || { echo "$2 is \"$got\""; return 1; }
}
limited() { # PID NAME VALUE: soft and hard
	local got
	got=$(awk -v n="$2" 'index($0, n) == 1 { sub(n, ""); print $1, $2 }' "/proc/$1/limits")
	[ "$got" = "$3 $3" ] || { echo "$2 is $got"; return 1; }
}
net_of() { readlink "/proc/$1/ns/net"; }
alone_in_net() { # PID: nobody else is in its namespace
	local p mine
	mine=$(net_of "$1")
	for p in /proc/[0-9]*; do
		[ "$p" != "/proc/$1" ] && [ "$(net_of "${p#/proc/}" 2>/dev/null)" = "$mine" ] && { echo "with $p"; return 1; }
	done
	return 0
}
is_empty_of_root() { # DIRECTORY
	[ -z "$(ls -A "$1")" ] && [ "$(stat -c '%u %a' "$1")" = '0 755' ] || { stat "$1"; ls -A "$1"; return 1; }
}

# The descriptors of a process, each as a word, sorted. Sockets are looked up in the namespace they are of.
inventory() { # NODE PID
	local target inode kind
	local -A kinds=()
	while read -r inode kind; do kinds[$inode]=$kind; done < <(sockets "$1")
	while read -r target; do
		case $target in
		/dev/null) echo null ;;
		/dev/net/tun) echo tun ;;
		"$W/$1/log/"*) echo log ;;
		"$W/$1/state/"*) echo "state/${target##*/}" ;;
		anon_inode:*) target=${target#*[}; echo "${target%]}" ;;
		pipe:*) echo pipe ;;
		socket:*) target=${target#*[}; echo "${kinds[${target%]}]:-socket-elsewhere}" ;;
		*) echo "$target" ;;
		esac
	done < <(find "/proc/$2/fd" -type l -printf '%l\n') | sort | xargs
}
sockets() { # NODE: "INODE KIND" a line
	in_ "$1" awk 'FNR > 1 { k = FILENAME; sub(".*/", "", k); sub("6$", "", k); print k == "unix" ? $7 : $10, k }' \
		/proc/net/unix /proc/net/udp /proc/net/udp6 /proc/net/tcp /proc/net/tcp6
}
has_exactly() { # NODE PID WORDS...
	local want got
	want=$(printf '%s\n' "${@:3}" | sort | xargs)
	got=$(inventory "$1" "$2")
	[ "$got" = "$want" ] || { echo "has  $got"; echo "want $want"; return 1; }
}
running() { # NODE: all five
	[ "$(ctl "$1" show workers --json | grep -o '"state": *"running"' | wc -l)" -eq 5 ]
}

no_rights() { # PID
	local c
	for c in CapInh CapPrm CapEff CapBnd CapAmb; do
		has "$1" $c 0000000000000000 || return 1
	done
}

# Those that carry packets go before other programs, also where each session is weighed as one (autogroup, sched(7)).
declare -A NICE=([dataplane]=-10 [vpnd]=-10)
has_nice() { # PID NICE
	[ "$(ps -o ni= -p "$1" | xargs)" = "$2" ] || { ps -o pid,ni,comm -p "$1"; return 1; }
	[ "$2" -eq 0 ] || [ ! -e "/proc/$1/autogroup" ] || grep -q "nice $2\$" "/proc/$1/autogroup" ||
		{ cat "/proc/$1/autogroup"; return 1; }
}

host r
router r
i=0
for n in a p u; do
	i=$((i + 1))
	host $n
	link $n 10.0.$i.1/24 r 10.0.$i.254/24
done

# --- from outside -----------------------------------------------------------------------------------
node a 10.0.1.1 10.77.0.1
start a
t 'all workers of a run' wait_for 20 running a
sup=$(cat "$W/a/pid")
for w in $WORKERS; do
	pid=$(worker_pid a "$w")
	u=${UID_OF[$w]}
	t "$w: its own user" has "$pid" Uid "$u" "$u" "$u" "$u"
	t "$w: its own group" has "$pid" Gid "$u" "$u" "$u" "$u"
	t "$w: no further groups" has "$pid" Groups
	t "$w: no capabilities, of any kind" no_rights "$pid"
	t "$w: no new privileges" has "$pid" NoNewPrivs 1
	t "$w: a filter" has "$pid" Seccomp 2
	t "$w: one thread" has "$pid" Threads 1
	t "$w: cannot be dumped or traced by its user" [ "$(stat -c %u "/proc/$pid/status")" -eq 0 ]
	t "$w: as nice as it should be" has_nice "$pid" "${NICE[$w]:-0}"
	t "$w: no core" limited "$pid" 'Max core file size' 0
	t "$w: no process" limited "$pid" 'Max processes' 0
	most=1024
	[ $w != svchostd ] || most=8448		# one for each stream
	t "$w: few descriptors" [ "$(awk '/^Max open files/ { print $5 }' "/proc/$pid/limits")" -le $most ]
	root=$(readlink "/proc/$pid/root")
	if [ "$w" = routed ]; then
		t "$w: locked in its state directory" [ "$root" = "$W/a/state/routed" ]
	else
		t "$w: locked in a directory of root's" [ "$root" = "$W/a/empty" ]
		t "$w: which is empty" is_empty_of_root "$root"
	fi
	t "$w: works in its root" [ "$(readlink "/proc/$pid/cwd")" = "$root" ]
	if [ "$w" = "$HAS_NETWORK" ]; then
		t "$w: in the node's network" [ "$(net_of "$pid")" = "$(net_of "$sup")" ]
	else
		t "$w: a network namespace of its own" alone_in_net "$pid"
	fi
	# shellcheck disable=SC2086
	t "$w: its descriptors and no others" wait_for 5 has_exactly a "$pid" ${FDS[$w]}
	# shellcheck disable=SC2086
	has_exactly a "$pid" ${FDS[$w]} # says what is wrong
done

# Who shares memory with whom: the dataplane with the two that carry data, each by itself, and nobody else.
rings() { sed -n 's/.*[rwxsp-]\{4\} [0-9a-f]* [0-9a-f:]* \([0-9]*\) *\/memfd:fabric-ring.*/\1/p' "/proc/$1/maps" | sort -u | xargs; }
vpnd=$(rings "$(worker_pid a vpnd)")
svchostd=$(rings "$(worker_pid a svchostd)")
t 'vpnd: one ring' [ "$(wc -w <<<"$vpnd")" -eq 1 ]
t 'svchostd: one ring, another' [ "$(printf '%s\n' $vpnd $svchostd | sort -u | wc -l)" -eq 2 ]
t 'dataplane: these two' [ "$(rings "$(worker_pid a dataplane)")" = "$(printf '%s\n' $vpnd $svchostd | sort -u | xargs)" ]
for w in routed telemd; do
	t "$w: none" [ -z "$(rings "$(worker_pid a $w)")" ]
done
t 'the supervisor: none' [ -z "$(rings "$sup")" ]
t 'no ring can be executed' sh -c "! grep -h 'fabric-ring' /proc/$(worker_pid a dataplane)/maps | grep -v ' rw-s '"

# After the death of each, what the others hold is what they held.
for w in $WORKERS; do
	kill -9 "$(worker_pid a "$w")"
	wait_for 5 running a
done
t 'all workers are back' wait_for 10 running a
for w in $WORKERS; do
	# shellcheck disable=SC2086
	t "$w: its descriptors and no others, after restarts" wait_for 10 has_exactly a "$(worker_pid a "$w")" ${FDS[$w]}
done

orphans=$(pgrep -P "$sup" | xargs)
kill -STOP "$(worker_pid a vpnd)" # a worker that hangs must not stay either
kill -9 "$sup"
all_gone() {
	local p
	for p in $orphans; do
		gone "$p" || return 1
	done
}
t 'the supervisor killed: all workers end' wait_for 5 all_gone
rm -f "$W/a/pid"

# --- from inside ------------------------------------------------------------------------------------
LIB=$W/lib
mkdir -p "$LIB" "$W/empty" "$W/free"
chmod 755 "$LIB" "$W/empty"
chmod 777 "$W/free"
cp "$LIBEXEC"/* "$LIB/"
cp "$PROBE" "$LIB/telemd"
cp "$LAUNCH" "$W/launch"
abi=$("$PROBE" -a)
say "landlock abi: $abi"
[ "$abi" -gt 0 ] || skip 'this kernel has no landlock'

# As a worker of fabricd, and as one of fabricd -U.
as_root() { "$W/launch" -u 64005 -c "$W/empty" "$LIB/telemd" "$1"; }
as_user() { (cd "$W/free" && setpriv --reuid 64006 --regid 64006 --clear-groups "$W/launch" "$LIB/telemd" "$1"); }
answers() { # TEXT COMMAND...
	local got
	got=$("${@:2}" 2>/dev/null)
	[ "$got" = "$1" ] || { echo "says \"$got\""; return 1; }
}
python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("\0fabric-probe"); time.sleep(300)' &
listener=$!
wait_for 5 grep -q @fabric-probe /proc/net/unix

# attempt | what stands behind the filter: with root | the Landlock it takes | without root | the Landlock it takes
while read -r name root root_abi user user_abi; do
	case $name in '' | '#'*) continue ;; esac
	case $name in
	io-uring | rlimit) ;; # may be turned off; takes CAP_SYS_RESOURCE, which a container's root may lack
	*) t "$name: works unconfined" sh -c "cd '$W/free' && '$PROBE' -x $name" ;;
	esac
	t "$name: ends a worker" answers 'killed SIGSYS' as_root "$name"
	t "$name: ends a worker of -U" answers 'killed SIGSYS' as_user "$name"
	export PROBE_LET_THROUGH=$name
	if [ "$root" != - ] && [ "$root_abi" -le "$abi" ]; then
		t "$name: refused behind the filter" answers "refused $root" as_root "$name"
	fi
	if [ "$user" != - ] && [ "$user_abi" -le "$abi" ]; then
		t "$name: refused behind the filter of -U" answers "refused $user" as_user "$name"
	fi
	unset PROBE_LET_THROUGH
done <<'TABLE'
open		ENOENT	0	EACCES	1
open-root	EACCES	1	EACCES	1
open-parent	ENOENT	0	EACCES	1
create		EACCES	0	EACCES	1
socket		-	0	-	0
socket-raw	EPERM	0	EPERM	0
connect		ENETUNREACH 0	-	0
bind		EACCES	4	EACCES	4
abstract	ECONNREFUSED 0	EPERM	6
ptrace		EPERM	0	EPERM	1
execve		ENOENT	0	EACCES	1
kill		EPERM	0	EPERM	6
tgkill		EPERM	0	EPERM	6
mmap-exec	-	0	-	0
mprotect-exec	-	0	-	0
fork		EAGAIN	0	-	0
setuid		EPERM	0	EPERM	0
setgroups	EPERM	0	EPERM	0
chroot		EPERM	0	EPERM	0
unshare		EPERM	0	-	0
mount		EPERM	0	-	0
rlimit		EPERM	0	EPERM	0
dumpable	-	0	-	0
memfd		-	0	-	0
io-uring	-	0	-	0
sockopt		-	0	-	0
TABLE
kill $listener

# A supervisor that was started with more than it should have been: none of it reaches the worker.
(
	ulimit -c unlimited
	exec setpriv --groups 4,24 --inh-caps +net_raw,+setuid --ambient-caps +net_raw,+setuid \
		"$W/launch" -u 64005 -c "$W/empty" "$LIB/telemd" wait >/dev/null 2>&1
) &
waiting=$!
child=$(wait_for 5 pgrep -P $waiting && pgrep -P $waiting)
t 'it waits in its sandbox' wait_for 5 has "$child" Seccomp 2
t 'the supervisor had groups' has $waiting Groups 4 24
t 'the supervisor had inheritable capabilities' has $waiting CapAmb 0000000000002080
t 'the worker has no groups' has "$child" Groups
t 'the worker has no capabilities' no_rights "$child"
t 'the worker dumps no core' limited "$child" 'Max core file size' 0
kill $waiting

# The launcher plays a supervisor that dies.
left_alone() {
	local pid
	pid=$("$W/launch" -k -u 64005 -c "$W/empty" "$LIB/telemd" none 2>/dev/null)
	[ -n "$pid" ] && wait_for 2 gone "$pid"
}
t 'a worker whose supervisor is gone ends' left_alone

# In a real node: the supervisor sees each such end, says how, and starts another; the other workers live on.
LIBEXEC=$LIB
node p 10.0.2.1 10.77.0.2
echo open >"$LIB/telemd.try"
start p
t 'all workers of p run' wait_for 20 running p
others() { for w in dataplane routed vpnd svchostd; do worker_pid p $w; done | xargs; }
before=$(others)
deaths() { [ "$(grep -c 'worker=telemd .*signal 31' "$W/p/log/fabricd.log")" -eq "$1" ]; }
n=0
set -- open socket ptrace execve kill mmap-exec none
while [ "$1" != none ]; do
	n=$((n + 1))
	echo "$2" >"$LIB/telemd.try" # read by its successor
	ctl p show counters >/dev/null 2>&1
	t "$1 in a node: ends the worker, and is reported" wait_for 5 deaths $n
	t "$1 in a node: was tried" grep -q "probe: trying=$1\$" "$W/p/log/telemd.log"
	t "and there is a new one" wait_for 10 running p
	shift
done
t 'none of it had an answer' sh -c "! grep -E 'probe: (allowed|refused)' '$W/p/log/telemd.log'"
t 'the other workers live on' [ "$before" = "$(others)" ]
stop p
LIBEXEC=/run/build/libexec

# --- without root -----------------------------------------------------------------------------------
node u 10.0.3.1 10.77.0.3
sed -i -e '/^user /d' -e '/^vpn /d' "$W/u/fabricd.conf"
chown -R 64010:64010 "$W/u"
ip netns exec u setpriv --reuid 64010 --regid 64010 --clear-groups "$FABRICD" -U -d -f "$W/u/fabricd.conf" >"$W/u/stderr" 2>&1 &
echo $! >"$W/u/pid"
t 'all workers of u run without root' wait_for 20 running u
for w in $WORKERS; do
	pid=$(worker_pid u "$w")
	t "$w of -U: the one user" has "$pid" Uid 64010 64010 64010 64010
	t "$w of -U: no capabilities, effective or permitted" sh -c "! grep -E '^Cap(Inh|Prm|Eff|Amb):.*[1-9a-f]' /proc/$pid/status"
	t "$w of -U: no new privileges" has "$pid" NoNewPrivs 1
	t "$w of -U: a filter" has "$pid" Seccomp 2
	t "$w of -U: cannot be dumped or traced by its user" [ "$(stat -c %u "/proc/$pid/status")" -eq 0 ]
	t "$w of -U: no core" limited "$pid" 'Max core file size' 0
	want=${FDS[$w]/ tun/}
	# shellcheck disable=SC2086
	t "$w of -U: its descriptors and no others" wait_for 5 has_exactly u "$pid" $want
done

finish
