#!/bin/bash
# fabricctl policy as a person uses it: check, test, sign, show, why; and what they must refuse.
# usage: check_fabricctl_policy.sh FABRICCTL
set -u
ctl=$(realpath "${1:?usage: $0 fabricctl}") || exit 2
top=$(realpath "$(dirname "$0")/../..") || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
umask 022
unset FABRIC_PASSPHRASE_FILE
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; sed 's/^/    /' out err 2>/dev/null; }

# run WHAT STATUS COMMAND...: the exit status must be this one. No terminal: nothing may wait for one.
run() {
	local what=$1 want=$2 got
	shift 2
	setsid "$@" >out 2>err </dev/null
	got=$?
	if [ "$got" -eq "$want" ]; then ok; else bad "$what: exit status $got, not $want"; fi
}
# has WHAT PATTERN FILE
has() { if grep -qE -- "$2" "$3"; then ok; else bad "$1: no '$2' in $3"; fi; }
hasnot() { if grep -qE -- "$2" "$3"; then bad "$1: '$2' in $3"; else ok; fi; }
json() { if python3 -c "import json,sys; d=json.load(open('out')); assert ($2), d" 2>/dev/null; then ok; else
	bad "$1: not $2"; fi; }

printf 'correct horse\n' >pass
chmod 600 pass
run 'authority init' 0 "$ctl" authority init -d a --passphrase-file pass
run 'another authority' 0 "$ctl" authority init -d b --passphrase-file pass
# member NAME ROLES AUTHORITY: n-NAME.cert
member() {
	run "node $1" 0 "$ctl" node init --name "$1" -d "n-$3-$1"
	run "membership of $1" 0 "$ctl" authority sign "n-$3-$1/node.req" --roles "$2" --tenant acme --tier 3 -d "$3" \
		--passphrase-file pass -o "$3-$1.cert"
}
member phone-a mobile-edge a
member phone-z mobile-edge b

cat >good.conf <<'EOF'
block all
pass from role mobile-edge to service "ssh" on role service-host class interactive
pass relay by role relay for any class interactive bandwidth 3 Mbit streams 70
node "phone-a" roles mobile-edge tenant acme
node "home-1" roles service-host tenant acme
node "relay-2" roles relay tenant acme
test { "phone-a" to "ssh@home-1" class interactive: pass
	"phone-a" to "ssh@home-1" class bulk: block
	relay "relay-2" for "phone-a" class interactive: pass }
EOF
sed '$s/: pass }/: block }/' good.conf >fails.conf
sed 's/role service-host/role boss/' good.conf >wrong.conf

# --- check and test ---------------------------------------------------------
run check 0 "$ctl" policy check good.conf
has 'check: what is in it' 'good.conf +3 +0 +3 +[0-9]+ B' out
run 'check --json' 0 "$ctl" policy check good.conf --json
json 'check --json' "d['version'] == 1 and d['command'] == 'policy check' and d['rows'][0]['rules'] == 3"
run 'check: failing tests are not its matter' 0 "$ctl" policy check fails.conf
run 'check: an error' 1 "$ctl" policy check wrong.conf
has 'check: where and which word' '^fabricctl: wrong.conf:2: "boss" is no role$' err
run 'check --json: an error' 1 "$ctl" policy check wrong.conf --json
json 'check --json: an error' "d['status'] == 1 and d['error'] == 'wrong.conf:2: \"boss\" is no role'"
run 'check: no file' 1 "$ctl" policy check nowhere.conf
has 'check: no file' 'nowhere.conf: No such file' err
run test 0 "$ctl" policy test good.conf
has 'test: count' '^good.conf: 0 of 3 tests failed$' out
run 'test: one fails' 1 "$ctl" policy test fails.conf
has 'test: which' '^fabricctl: fails.conf:9: relay relay-2 for phone-a class interactive: pass by line 3, not block$' err
has 'test: count' '^fails.conf: 1 of 3 tests failed$' out
run 'test --json' 1 "$ctl" policy test fails.conf --json
json 'test --json' "[r['ok'] for r in d['rows']] == [True, True, False] and d['rows'][2]['line'] == 9"
run 'the example' 0 "$ctl" policy test "$top/etc/policy.conf.example"
awk '/^\.Sh/ { at = $2 == "EXAMPLES" } at && /^\.Ed/ { exit } inside { print } at && /^\.Bd/ { inside = 1 }' \
	"$top/man/policy.conf.5" >page.conf
run 'the example of the page' 0 "$ctl" policy test page.conf
has 'the example of the page' '^page.conf: 0 of 6 tests failed$' out

# --- memberships -------------------------------------------------------------
run 'test: a membership takes the place of a line' 0 "$ctl" policy test good.conf -m a-phone-a.cert
sed '/^node "phone-a"/d' good.conf >nonode.conf
run 'test: a node that is not there' 1 "$ctl" policy test nonode.conf
has 'test: which node' 'node "phone-a" is not described' err
run 'test: its membership' 0 "$ctl" policy test nonode.conf -m a-phone-a.cert
run 'test: a request is none' 1 "$ctl" policy test nonode.conf -m n-a-phone-a/node.req
has 'test: a request is none' 'node.req: a request record, not a membership' err
run 'test: two of one name' 1 "$ctl" policy test good.conf -m a-phone-a.cert -m a-phone-a.cert

# --- sign -------------------------------------------------------------------
run 'sign: failing tests' 1 "$ctl" policy sign fails.conf -d a -o p.rec --passphrase-file pass
has 'sign: failing tests' '^fabricctl: fails.conf: not signed: its tests fail$' err
run 'sign: an error' 1 "$ctl" policy sign wrong.conf -d a -o p.rec --passphrase-file pass
run 'sign: no passphrase' 1 "$ctl" policy sign good.conf -d a -o p.rec
if [ ! -e p.rec ]; then ok; else bad 'something was written all the same'; fi
run 'sign: a membership of another authority' 1 "$ctl" policy sign good.conf -d a -o p.rec -m b-phone-z.cert \
	--passphrase-file pass
has 'sign: a membership of another authority' 'b-phone-z.cert: a membership of another authority' err
run sign 0 "$ctl" policy sign good.conf -d a -o p.rec -m a-phone-a.cert --passphrase-file pass --expires 30d
first=$(sed -n 's/.*version \([0-9]*\),.*/\1/p' out)
run 'a record as any' 0 "$ctl" record p.rec --authority a/authority.pub
has 'a record as any: kind' '^kind +policy$' out
has 'a record as any: serial' "^serial +$first$" out
has 'a record as any: signature' '^signature +good$' out
cp p.rec first.rec
run 'sign again' 0 "$ctl" policy sign good.conf -d a -o p.rec --passphrase-file pass
second=$(sed -n 's/.*version \([0-9]*\),.*/\1/p' out)
if [ "$second" -gt "$first" ]; then ok; else bad "version $second after $first"; fi
if command -v faketime >/dev/null; then
	run 'sign when the clock went back' 0 faketime -f -10d "$ctl" policy sign good.conf -d a -o p.rec --passphrase-file pass
	third=$(sed -n 's/.*version \([0-9]*\),.*/\1/p' out)
	if [ "$third" -eq $((second + 1)) ]; then ok; else bad "version $third after $second"; fi
fi

# --- show -------------------------------------------------------------------
run show 0 "$ctl" policy show p.rec
has 'show: a rule and its line' '^pass relay by role relay for any class interactive bandwidth 3 Mbit streams 70	# line 3$' out
cp out shown.conf
run 'show: parses again' 0 "$ctl" policy check shown.conf
run 'show of what was shown' 0 "$ctl" policy show shown.conf
if diff <(sed 's/#.*//' out | grep .) <(sed 's/#.*//' shown.conf | grep .) >/dev/null; then ok; else bad 'show: not the same'; fi
run 'show: of this authority' 0 "$ctl" policy show p.rec --authority a/authority.pub
run 'show: of another' 1 "$ctl" policy show p.rec --authority b/authority.pub
has 'show: of another' 'of another authority' out
run 'show --json' 0 "$ctl" policy show p.rec --json
json 'show --json' "d['rows'][0]['verifies'] and d['rows'][3]['rule'] == 3 and d['rows'][3]['line'] == 3"
python3 - <<'EOF'
import base64
t = open('p.rec').read().split('\n')
b = bytearray(base64.b64decode(''.join(t[1:-2])))
b[-1] ^= 1
open('bad.rec', 'wb').write(b)
open('cut.rec', 'wb').write(b[:-1])
EOF
run 'show: a bad signature' 1 "$ctl" policy show bad.rec
has 'show: a bad signature' 'signature bad' out
run 'show: cut off' 1 "$ctl" policy show cut.rec
run 'show: another record' 1 "$ctl" policy show a-phone-a.cert
has 'show: another record' 'a membership record, not a policy' err

# --- why --------------------------------------------------------------------
run 'why: it passes' 0 "$ctl" policy why phone-a ssh@home-1 class interactive -f good.conf
has 'why: the rule and its line' '^home-1 +interactive +pass +2 +2 +pass from role mobile-edge' out
has 'why: who could relay it' '^relay-2 +interactive +pass +3000 +70 +3 +3 ' out
run 'why: it does not' 1 "$ctl" policy why phone-a ssh@home-1 class bulk -f good.conf
has 'why: it does not' '^home-1 +bulk +block +1 +1 +block from any to any$' out
has 'why: and the default of relays' '^relay-2 +bulk +pass +- +0 +0 +no rule: the default$|^relay-2 +bulk +pass +0 +0 +no rule' out
run 'why: all classes' 1 "$ctl" policy why phone-a ssh@home-1 -f good.conf
has 'why: all classes' '^home-1 +control,dns,reliable,bulk,droppable +block ' out
run 'why: any node' 0 "$ctl" policy why phone-a ssh class interactive -f good.conf
has 'why: any node' '^relay-2 +interactive +block ' out
run 'why: a signed policy and memberships' 1 "$ctl" policy why phone-a ssh -f p.rec -m a-phone-a.cert -m b-phone-z.cert
has 'why: a signed policy and memberships' '^phone-z +all +block ' out
id=$("$ctl" record a-phone-a.cert | sed -n 's/^node id *//p')
run 'why: by id' 0 "$ctl" policy why "$id" ssh@home-1 class interactive -f good.conf -m a-phone-a.cert
run 'why --json' 0 "$ctl" policy why phone-a ssh@home-1 class interactive -f good.conf --json
json 'why --json' "[r.get('node', r.get('relay')) for r in d['rows']] == ['home-1', 'relay-2']"
run 'why: who is that' 2 "$ctl" policy why phone-q ssh@home-1 -f good.conf
has 'why: who is that' 'node "phone-q" is not described' err
run 'why: where is that' 2 "$ctl" policy why phone-a ssh@home-9 -f good.conf
run 'why: what is that' 2 "$ctl" policy why phone-a s.h@home-1 -f good.conf
run 'why: no such class' 2 "$ctl" policy why phone-a ssh@home-1 class fast -f good.conf
run 'why: an error in the file' 2 "$ctl" policy why phone-a ssh@home-1 -f wrong.conf
run 'why: no node runs' 2 "$ctl" -s "$work" policy why phone-a ssh@home-1
hasnot 'why: no node runs' . out

# --- usage ------------------------------------------------------------------
for words in '' frob 'check' 'check a b' 'sign good.conf' 'check good.conf -m x' 'show good.conf -m x' 'why phone-a' \
	'why phone-a ssh x y' 'test good.conf --authority x' 'check -o x good.conf'; do
	# shellcheck disable=SC2086	# words
	run "usage: policy $words" 2 "$ctl" policy $words
	has "usage: policy $words" '^usage: ' err
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
