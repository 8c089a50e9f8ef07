#!/bin/bash
# What a node says of itself because its operator or its machine says so: another node hears of it.
#
#	a 10.1.0.1 -- 10.1.0.2 b
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

host a
host b
link a 10.1.0.1/24 b 10.1.0.2/24
node a 10.1.0.1 10.77.0.1 entry
node b 10.1.0.2 10.77.0.2 relay
peer a b
cp "$W/b/fabricd.conf" "$W/b/base.conf"

says() { # FIELD VALUE: of b, at a
	ctl a show nodes --json | python3 -c '
import json, sys
row = [r for r in json.load(sys.stdin)["rows"] if r["name"] == "b"]
sys.exit(not row or str(row[0].get(sys.argv[1])) != sys.argv[2])' "$1" "$2"
}
conf() { # LINES: b's configuration is the first one and these
	{ cat "$W/b/base.conf"; printf '%s\n' "$@"; } >"$W/b/fabricd.conf"
	ctl b reload
}

start a b
t 'a knows b, which relays nothing unless it is told to' wait_for 20 says relay False
t 'b relays' conf 'relay { bandwidth 20 Mbit class bulk,interactive }'
t 'a hears of it' wait_for 10 says relay True
hour=$(date -u +%H)
t 'b relays at another time of day' conf "relay { hours $(printf '%02d:00 %02d:00' $(((10#$hour + 2) % 24)) $(((10#$hour + 4) % 24))) }"
t 'and not now' wait_for 10 says relay False
t 'b relays at this time of day' conf "relay { hours $(printf '%02d:00 %02d:00' $(((10#$hour + 23) % 24)) $(((10#$hour + 2) % 24))) }"
t 'and now' wait_for 10 says relay True
t 'b relays no more' conf 'relay { no }'
t 'a hears of that, too' wait_for 10 says relay False

# --- the machine
t 'b has no way out of its network' says net unknown
ip -n b route add default via 10.1.0.1
t 'now its packets leave by wire' wait_for 10 says net wired
ip -n b route del default
t 'and now they do not' wait_for 10 says net unknown
finish
