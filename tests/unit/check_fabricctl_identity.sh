#!/bin/bash
# fabricctl authority, node and record as a person uses them, and what they must refuse.
# usage: check_fabricctl_identity.sh FABRICCTL
set -u
ctl=$(realpath "${1:?usage: $0 fabricctl}") || exit 2
vectors=$(realpath "$(dirname "$0")/vectors/record.txt") || exit 2
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
# refused WHAT WORDS COMMAND...: fails with status 1, nothing on stdout, one line on stderr that has the words.
refused() {
	local what=$1 words=$2
	shift 2
	run "$what" 1 "$@"
	if [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] && grep -q "^fabricctl: .*$words" err; then ok; else
		bad "$what: does not say '$words' in one line"; fi
}
# usage WHAT COMMAND...: status 2 and something said.
usage() {
	local what=$1
	shift
	run "$what" 2 "$@"
	if [ -s err ] && [ ! -s out ]; then ok; else bad "$what: says nothing"; fi
}
# has WHAT PATTERN FILE
has() { if grep -qE -- "$2" "$3"; then ok; else bad "$1: no '$2' in $3"; fi; }
same() { if cmp -s "$2" "$3"; then ok; else bad "$1: $2 and $3 differ"; fi; }
mode() { if [ "$(stat -c %a "$2")" = "$1" ]; then ok; else bad "$2: mode $(stat -c %a "$2"), not $1"; fi; }

printf 'correct horse\n' >pass
printf 'wrong horse\n' >wrong
printf '\n' >empty
chmod 600 pass wrong empty

# --- the way through --------------------------------------------------------
run 'authority init' 0 "$ctl" authority init -d a --passphrase-file pass
mode 600 a/authority.key
mode 644 a/authority.pub
has 'sealed' 'BEGIN FABRIC SEALED KEY' a/authority.key
run 'node init' 0 "$ctl" node init --name home-1 -d n
has 'node init prints the id and nothing else' '^[0-9a-f]{64}$' out
cp out id
mode 600 n/node.key
mode 644 n/node.req
run 'record of a request' 0 "$ctl" record n/node.req
has 'request: kind' '^kind +request$' out
has 'request: name' '^name +home-1$' out
has 'request: id' "^node id +$(cat id)$" out
run 'authority sign' 0 "$ctl" authority sign n/node.req --roles relay,exit --tenant acme --tier 3 --expires 30d \
	--address 10.77.0.2/32 --address fd12::/16 --address 10.9.9.9 -d a --passphrase-file pass
run 'record of a membership' 0 "$ctl" record n/node.cert --authority a/authority.pub
has 'membership: kind' '^kind +membership$' out
has 'membership: roles' '^roles +relay,exit$' out
has 'membership: tenant' '^tenant +acme$' out
has 'membership: tier' '^tier +3$' out
has 'membership: address' '^address +10\.77\.0\.2/32$' out
has 'membership: address' '^address +fd12::/16$' out
has 'membership: bare address' '^address +10\.9\.9\.9/32$' out
has 'membership: id' "^node id +$(cat id)$" out
has 'membership: time' '^time +valid$' out
has 'membership: authority' '^authority +matches$' out
has 'membership: signature' '^signature +good$' out
from=$(date -d "$(sed -n 's/^not before *//p' out)" +%s)
to=$(date -d "$(sed -n 's/^not after *//p' out)" +%s)
if [ $((to - from)) -eq $((30 * 86400)) ]; then ok; else bad "30d became $((to - from)) s"; fi
if [ $(($(date +%s) - from)) -le 60 ]; then ok; else bad "begins at $from"; fi
run 'json' 0 "$ctl" record --json n/node.cert
has 'json' '"version":1.*"kind":"membership".*"name":"home-1".*"roles":\["relay","exit"\],"tier":3' out
has 'json' '"addresses":\["10.77.0.2/32","fd12::/16","10.9.9.9/32"\].*"time":"valid".*"verifies":true' out
sed '/^-/d' n/node.cert | base64 -d >raw
run 'a record without armour' 0 "$ctl" record raw

refused 'install without an authority' 'give the authority' "$ctl" node install n/node.cert -d n
mv n/node.cert c
run 'install' 0 "$ctl" node install c -d n --authority a/authority.pub
same 'the authority is kept' n/authority.pub a/authority.pub
same 'the membership is kept' n/node.cert c
run 'install again, authority known' 0 "$ctl" node install c -d n
run 'install again, authority the same' 0 "$ctl" node install c -d n --authority a/authority.pub
if [ "$(ls n)" = "$(printf '%s\n' authority.pub node.cert node.key node.req)" ]; then ok; else bad "left behind: $(ls n)"; fi
run 'sign to a file' 0 env FABRIC_PASSPHRASE_FILE=pass "$ctl" authority sign n/node.req --roles entry --tenant acme -d a -o d
run 'the later serial' 0 "$ctl" record d
if [ "$(sed -n 's/^serial *//p' out)" -gt "$("$ctl" record c | sed -n 's/^serial *//p')" ]; then ok; else bad 'serial'; fi
cp n/node.key key.before
run 'another request with the same key' 0 "$ctl" node request --name home-2 -d n
same 'the id is the same' out id
same 'the key is the same' n/node.key key.before
run 'the other name' 0 "$ctl" record n/node.req
has 'the other name' '^name +home-2$' out

# --- keys that are refused -----------------------------------------------------
refused 'a key is not overwritten' 'never overwritten' "$ctl" node init --name home-1 -d n
same 'the key is the same' n/node.key key.before
refused 'an authority is not overwritten' 'never overwritten' "$ctl" authority init --no-passphrase -d a
chmod 644 n/node.key
refused 'a node key others can read' 'n/node.key: mode 0644' "$ctl" node install c -d n
refused 'the same for a request' 'n/node.key: mode 0644' "$ctl" node request --name home-1 -d n
chmod 600 n/node.key
chmod 640 a/authority.key
sign=("$ctl" authority sign n/node.req --roles relay --tenant acme -d a -o x)
refused 'an authority key others can read' 'authority.key: mode 0640' "${sign[@]}" --passphrase-file pass
chmod 600 a/authority.key
refused 'the wrong passphrase' 'wrong passphrase' "${sign[@]}" --passphrase-file wrong
chmod 644 pass
refused 'a passphrase file others can read' 'pass: mode 0644' "${sign[@]}" --passphrase-file pass
chmod 600 pass
refused 'no terminal to ask at' 'no terminal' "${sign[@]}"
refused 'an empty passphrase' 'empty' "$ctl" authority init -d e --passphrase-file empty
if [ ! -e x ] && [ ! -e e/authority.key ]; then ok; else bad 'something was written all the same'; fi
mv n/node.key real.key
ln -s ../real.key n/node.key
refused 'a link for a key' 'symbolic link' "$ctl" node install c -d n
mv real.key n/node.key
sed 's/^[A-Za-z0-9]/*/' n/node.key >t
cat t >bad.key
chmod 600 bad.key
mkdir b && mv bad.key b/node.key
refused 'a damaged key' 'not a secret key file' "$ctl" node request --name x -d b

# --- memberships that are refused -------------------------------------------------
run 'another authority' 0 "$ctl" authority init -d a2 --no-passphrase
has 'not sealed' 'BEGIN FABRIC SECRET KEY' a2/authority.key
run 'another node' 0 "$ctl" node init --name home-3 -d n3
run 'signed by another authority' 0 "$ctl" authority sign n/node.req --roles relay --tenant acme -d a2 -o other
refused 'wrong authority' 'another authority' "$ctl" node install other -d n
refused 'another authority in its place' 'not the authority in' "$ctl" node install other -d n --authority a2/authority.pub
same 'the authority is the same' n/authority.pub a/authority.pub
same 'the membership is the same' n/node.cert c
run 'record of another authority' 1 "$ctl" record other --authority a/authority.pub
has 'record of another authority' '^authority +differs$' out
has 'record of another authority' '^signature +good$' out
run 'signed for another node' 0 "$ctl" authority sign n3/node.req --roles relay --tenant acme -d a --passphrase-file pass
refused 'wrong node' "another node's key" "$ctl" node install n3/node.cert -d n
refused 'not yet trusted' "another node's key" "$ctl" node install c -d n3 --authority a/authority.pub
if [ ! -e n3/authority.pub ]; then ok; else bad 'an authority was kept though its membership was refused'; fi
sed 's/acme/acmf/' raw >tampered
run 'record of a tampered one' 1 "$ctl" record tampered
has 'record of a tampered one' '^signature +bad$' out
run 'json of a tampered one' 1 "$ctl" record --json tampered
has 'json of a tampered one' '"signature":"bad","verifies":false' out
refused 'tampered' 'signature is bad' "$ctl" node install tampered -d n
head -c -1 raw >short
refused 'cut short' 'short: ' "$ctl" record short
refused 'cut short' 'short: ' "$ctl" node install short -d n
refused 'a request is no membership' 'a request record' "$ctl" node install n/node.req -d n
refused 'a membership is no request' 'a membership record' "$ctl" authority sign c --roles relay --tenant acme -d a2
sed '/^-/d' n/node.req | base64 -d | sed 's/home-2/home-9/' >forged.req
refused 'a request that its key did not sign' 'not signed by its own key' "$ctl" authority sign forged.req --roles relay \
	--tenant acme -d a2
run 'a short life' 0 "$ctl" authority sign n/node.req --roles relay --tenant acme --expires 1s -d a2 -o brief
mkdir late && cp n/node.key late
end=$(date -d "$("$ctl" record brief | sed -n 's/^not after *//p')" +%s)
while [ "$(date +%s)" -lt "$end" ]; do sleep 0.1; done
refused 'expired' 'expired' "$ctl" node install brief -d late --authority a2/authority.pub
run 'record of an expired one' 0 "$ctl" record brief
has 'record of an expired one' '^time +expired$' out
refused 'no such file' 'No such file' "$ctl" record nowhere
refused 'not a record' 'not a record file' "$ctl" record pass
refused 'a key is not a record' 'not a record file' "$ctl" record a/authority.pub

# --- wrong words ------------------------------------------------------------------
sign=("$ctl" authority sign n/node.req -d a2 -o x --roles relay --tenant acme)
usage 'no command' "$ctl" authority
usage 'no command' "$ctl" node
usage 'unknown command' "$ctl" node burn
usage 'unknown command' "$ctl" authority burn
usage 'no record' "$ctl" record
usage 'two records' "$ctl" record c d
usage 'unknown option' "$ctl" record c --wrong
usage 'unknown short option' "$ctl" node init --name x -q
usage 'option without its value' "$ctl" node init --name
usage 'no name' "$ctl" node init -d z
usage 'init takes no word' "$ctl" authority init --no-passphrase -d z z
usage 'two passphrases' "$ctl" authority init --no-passphrase --passphrase-file pass -d z
usage 'install takes no name' "$ctl" node install c --name x -d n
usage 'no request' "$ctl" authority sign --roles relay --tenant acme -d a2
usage 'no roles' "$ctl" authority sign n/node.req --tenant acme -d a2
usage 'no tenant' "$ctl" authority sign n/node.req --roles relay -d a2
for name in '' A home_1 -home .home 'a b' "$(printf 'a%.0s' {1..64})"; do
	usage "name '$name'" "$ctl" node init --name="$name" -d z
	usage "tenant '$name'" "${sign[@]}" --tenant="$name"
done
for value in '' 'relay,' ',relay' king 'relay exit' relayrelayrelayrelayrelayrelayrelay; do
	usage "roles '$value'" "${sign[@]}" --roles="$value"
done
for value in '' 10 -1 x; do usage "tier '$value'" "${sign[@]}" --tier="$value"; done
for value in '' 0d 5 d -1d 1dd 1y 3661d 99999999999999999999s; do
	usage "expires '$value'" "${sign[@]}" --expires="$value"
done
for value in '' 10.0.0.1/24 10.0.0.0/33 10.0.0/8 fd00::1/64 fd00::/129 10.0.0.1/ 10.0.0.1/-1 x/8 10.0.0.0/8x ::/0/0; do
	usage "address '$value'" "${sign[@]}" --address="$value"
done
nine=()
for i in {1..9}; do nine+=(--address "10.0.0.$i"); done
usage 'nine addresses' "${sign[@]}" "${nine[@]}"
if [ ! -e z ] && [ ! -e x ]; then ok; else bad 'wrong words made a file'; fi
run 'eight addresses' 0 "${sign[@]}" "${nine[@]:0:16}"

# --- who is revoked: a list that only grows -----------------------------------------------------
list=a2/revocations.rec
revoke=("$ctl" authority revoke -d a2)
listed() { "$ctl" record "$list" | sed -n 's/^revoked  *//p' | tr '\n' ' '; }
serial() { "$ctl" record "$list" | sed -n 's/^serial *//p'; }
ones=$(printf '1%.0s' {1..64}) twos=$(printf '2%.0s' {1..64})
run 'revoke' 0 "${revoke[@]}" "$twos"
run 'the list verifies' 0 "$ctl" record "$list" --authority a2/authority.pub
has 'the list is a revocation' '^kind +revocation$' out
first=$(serial)
run 'revoke another' 0 "${revoke[@]}" "$ones"
if [ "$(listed)" = "$ones $twos " ]; then ok; else bad "the list is $(listed)"; fi
if [ "$(serial)" -gt "$first" ]; then ok; else bad 'the serial did not grow'; fi
cp "$list" before
run 'revoke again' 0 "${revoke[@]}" "$twos" "$ones"
has 'revoke again says so' ': 0 new, 2 revoked in all' out
same 'and changes nothing' "$list" before
run 'revoke by certificate' 0 "${revoke[@]}" other
if [[ " $(listed)" = *" $(cat id) "* ]]; then ok; else bad "the certificate's node is not in $(listed)"; fi
cp "$list" before
refused 'a certificate of another authority' 'n/node.cert: not signed by this authority' "${revoke[@]}" "${ones/1/3}" n/node.cert
refused 'a word that is no node' 'nobody: No such file' "${revoke[@]}" nobody
refused 'a request' 'a request record, not a membership' "${revoke[@]}" n/node.req
same 'one that is wrong revokes nobody' "$list" before
refused "another authority's list" 'not signed by this authority' \
	"$ctl" authority revoke -d a --passphrase-file pass -o "$list" "${ones/1/3}"
refused 'a list that is none' 'a membership record, not a revocation' "${revoke[@]}" -o other "${ones/1/3}"
refused 'the wrong passphrase for revoke' 'wrong passphrase' "$ctl" authority revoke -d a --passphrase-file wrong "$ones"
usage 'revoke whom' "${revoke[@]}"
mapfile -t many < <(for ((i = 1; i <= 2100; i++)); do printf '%064x\n' "$i"; done)
run 'as many as a record holds' 0 "${revoke[@]}" -o full "${many[@]:0:2040}"
has 'as many as a record holds' '2040 revoked in all' out
refused 'more than that' 'full: the list is full' "${revoke[@]}" -o full "${many[@]:0:2045}"
refused 'far more' 'the list is full' "${revoke[@]}" -o full "${many[@]}"
has 'json names them' '"revoked":\["0{63}1","0{63}2"' <("$ctl" record full --json)

# --- what the kinds with a content say: the golden vectors ---------------------------------------
vector() { # NAME: its bytes, to a file of that name with .rec
	printf '%b' "$(awk -v name="$1" '/^record / { on = $2 == name } on && $1 == "bytes" { hex = hex $2 }
		END { gsub(/../, "\\\\x&", hex); print hex }' "$vectors")" >"$1.rec"
}
says() { # NAME PATTERN ...: `record NAME.rec' verifies and has a line for each; as JSON it is one object
	local name=$1 pattern
	shift
	vector "$name"
	run "$name" 0 "$ctl" record "$name.rec"
	for pattern in "$@"; do has "$name" "$pattern" out; done
	run "$name, json" 0 "$ctl" record "$name.rec" --json
	if python3 -c 'import json, sys
json.load(sys.stdin, object_pairs_hook=lambda p: len(dict(p)) == len(p) or sys.exit(1))' <out; then ok; else
		bad "$name: not JSON, or a member twice"; fi
}
says node '^reachable +192\.0\.2\.1 port 4600 quic$' '^nat +cone$' '^net +wifi$' '^metered +yes$' '^on_battery +yes$' \
	'^battery +80$' '^relay_kbps +20000$' '^relays +bulk$' '^cost +5$' '^domain +rack-1$' '^region +eu$' \
	'^load +cpu=120 memory=300 queue=7 descriptors=40$' '^link +b62e.* rtt_us=12500 jitter_us=800 loss_permille=3 kbps=50000$'
says node-least '^relay +no$' '^net +unknown$' '^on_battery +no$'
says ticket-source '^route +1122334455667788$' '^place +source$' '^next +e{64}$' '^far +b62e' '^soft +2026-01-01T00:05:00Z$'
says ticket-relay '^place +relay$' '^prev +6a38' '^next +e{64}$' '^classes +interactive,reliable$' '^kbps +20000$' '^tenant +home$'
if grep -q '^far' <("$ctl" record ticket-relay.rec); then bad 'a relay has no far end'; else ok; fi
says ticket-dest-self '^place +destination$' '^self +yes$' '^route +0000000000000001$'
says fence-route '^fences +route$' '^route +1122334455667788$' '^epoch +7$'
says fence-pair '^fences +pair$' '^source +6a38' '^dest +b62e'
says fence-node '^fences +node$' '^over +e{64}$'
says policy '^rules +2$' '^serial +19$'
says revocation '^nodes +2$' '^revoked +b62e' '^revoked +e{64}$'
says receipt '^bytes +16$'
says delegation-route '^purpose +route$'
says delegation-ticket '^purpose +ticket$'
vector policy-large
run 'a policy that is none' 1 "$ctl" record policy-large.rec
has 'a policy that is none' '^content +malformed: ' out
has 'a policy that is none' '^signature +good$' out
run 'a policy that is none, json' 1 "$ctl" record policy-large.rec --json
has 'a policy that is none, json' '"verifies":false' out

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
