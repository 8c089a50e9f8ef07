#!/bin/bash
# The examples of the man pages against the golden vectors: a literal block that follows
#	.\" vector: FILE NAME [FIELD]
# must be the bytes (or the field) of that block of tests/unit/vectors/FILE.txt; "; ..." is a comment. Each type of frame
# and kind of record must have an example. Ends with "N passed, N failed".
cd "$(dirname "$0")/../.." || exit 1

awk '
function hex_of(file, name, field) { return vectors[file, name, field] }
function verdict(ok, what) {
	if (ok) passed++
	else { failed++; print "FAILED: " what }
}
FILENAME ~ /vectors/ {
	if (FNR == 1) { file = FILENAME; sub(/.*\//, "", file); sub(/\.txt$/, "", file) }
	if (/^[a-z]/) name = $2
	else if (NF == 2) vectors[file, name, $1] = vectors[file, name, $1] $2
	next
}
/^\.\\" vector: / {
	want = hex_of($3, $4, NF > 4 ? $5 : "bytes")
	what = FILENAME ":" FNR ": " $3 " " $4 " " $5
	if (want == "") verdict(0, what ": no such vector")
	wanted = 1
	next
}
wanted && /^\.Bd -literal/ { inside = 1; got = ""; next }
inside && /^\.Ed/ {
	verdict(got == want, what "\n  page    " got "\n  vector  " want)
	seen[substr(want, 1, 2)] = seen[substr(want, 1, 8)] = 1
	inside = wanted = 0
	next
}
inside { sub(/;.*/, ""); gsub(/[ \t]/, ""); got = got $0; next }
wanted { verdict(0, what ": no literal block behind it"); wanted = 0 }
END {
	n = split("01 03 04 05 06 07 08 09 0f 11 12 13 14 15 46520101 46520102 46520103", kinds, " ")
	for (i = 1; i <= n; i++) verdict(seen[kinds[i]], "no example of " kinds[i])
	print passed + 0 " passed, " failed + 0 " failed"
	exit failed > 0
}' tests/unit/vectors/*.txt man/fabric-frame.5 man/fabric-record.5
