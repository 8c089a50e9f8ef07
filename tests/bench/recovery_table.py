"""recovery_table.py FILE: what tests/bench/recovery printed, for people, beside the marks.

Exits with 1 when a mark is missed by more than twice, when a message was lost, or when something was not measured.
"""
import json
import sys

with open(sys.argv[1]) as f:
    tests = {r["test"]: r for r in map(json.loads, filter(str.strip, f))}
print("\nAn interactive stream over a relay, 20 ms there and back: how long it is quiet, ms, beyond the 10 ms between messages.")
print("%-34s%8s%9s%9s%9s  %s" % ("", "times", "p50", "p99", "most", "messages"))
missed = []
for name, what, mark in (("kill", "relay killed (mark: p99 500)", 500), ("goaway", "relay stopped (mark: p99 50)", 50)):
    r = tests.get(name)
    if r is None or r["p50_ms"] is None:
        print("%-34s not measured" % what)
        missed.append(name)
        continue
    if r["p99_ms"] > 2 * mark or r["wrong"] or r["answered"] != r["messages"]:
        missed.append(name)
    print("%-34s%8d%9.1f%9.1f%9.1f  %d sent, %d answered in order%s" % (
        what, r["times"], r["p50_ms"], r["p99_ms"], r["max_ms"], r["messages"], r["answered"],
        ": " + r["wrong"] if r["wrong"] else ""))
times = sorted(tests.get("lossy", {}).get("ms", []))
if times:
    print("%-34s%8d%9d%9s%9d" % ("every tenth packet lost (mark: 3000)", len(times), times[len(times) // 2], "", times[-1]))
if not times or times[len(times) // 2] > 2 * 3000:
    missed.append("lossy")
if missed:
    print("missed by more than twice, or not whole: " + " ".join(missed))
sys.exit(bool(missed))
