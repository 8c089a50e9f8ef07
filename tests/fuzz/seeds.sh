#!/bin/bash
# tests/fuzz/seeds.sh DIR: writes every golden vector as a file to DIR/frame, DIR/record and DIR/services, where tests/fuzz/run
# looks for seeds. A frame gets the byte in front that fuzz_frame takes its port from.
set -eu
cd "$(dirname "$0")/../.."
out=$1

# "NAME PORT HEX" a vector.
vectors() {
	awk 'function flush() { if (name != "") print name, port, hex; name = "" }
		NF == 0 || /^#/ { next }
		/^[a-z]/ { flush(); name = $2; port = "00"; hex = ""; next }
		$1 == "port" { port = $2 == "datagram" ? "01" : $2 == "proc" ? "02" : "00" }
		$1 == "bytes" { hex = hex $2 }
		END { flush() }' "$1"
}

# write FILE HEX
write() {
	printf '%b' "$(sed 's/../\\x&/g' <<<"$2")" >"$1"
}

mkdir -p "$out/frame" "$out/record"
for set in frame frame-refused; do
	vectors "tests/unit/vectors/$set.txt" | while read -r name port hex; do
		write "$out/frame/$set-$name" "$port$hex"
	done
done
for set in record record-refused; do
	vectors "tests/unit/vectors/$set.txt" | while read -r name port hex; do
		write "$out/record/$set-$name" "${hex:-}"
	done
done

mkdir -p "$out/facts"
vectors tests/unit/vectors/facts.txt | while read -r name port hex; do
	write "$out/facts/$name" "${hex:-}"
done

# fuzz_services: each record as the set of the second node, and of the first.
mkdir -p "$out/services"
vectors tests/unit/vectors/record.txt | while read -r name port hex; do
	write "$out/services/$name" "0000$(printf '%04x' $((${#hex} / 2)))$hex"
	write "$out/services/$name-first" "$(printf '%04x' $((${#hex} / 2)))$hex"
done

# fuzz_ticket: contents of tickets and fences.
mkdir -p "$out/ticket"
vectors tests/unit/vectors/ticket.txt | while read -r name port hex; do
	write "$out/ticket/ticket-$name" "00$hex"
	write "$out/ticket/fence-$name" "01$hex"
done
vectors tests/unit/vectors/record.txt | while read -r name port hex; do
	write "$out/ticket/sealed-$name" "02$hex"
done

# fuzz_policyconf: the shipped example.
mkdir -p "$out/policyconf"
cp etc/policy.conf.example "$out/policyconf/example"
