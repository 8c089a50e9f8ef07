"""table.py FILE: one JSON object a line, as a table with ratios to wireguard-go (or to the first)."""
import json
import sys

with open(sys.argv[1]) as f:
    rows = [json.loads(line) for line in f if line.strip()]
columns = [
    ("tcp1_mbps", "TCP 1 Mbit/s", "%.0f"), ("tcp4_mbps", "TCP 4", "%.0f"), ("reverse_mbps", "reverse", "%.0f"),
    ("pps200", "200 B pkt/s", "%.0f"), ("cpu_s_per_gb", "CPU s/GB", "%.2f"),
    ("ping_p50_ms", "ping p50 ms", "%.2f"), ("ping_p99_ms", "p99", "%.2f"),
    ("load_p50_ms", "loaded p50", "%.2f"), ("load_p99_ms", "p99", "%.2f"), ("peak_mb_a_node", "peak MB/node", "%.1f"),
]
if not rows:
    sys.exit("nothing was measured")
base = next((r for r in rows if r["kind"] == "wireguard"), rows[0])
print("%-10s" % "" + "".join("%14s" % c[1] for c in columns))
for r in rows:
    print("%-10s" % r["kind"] + "".join("%14s" % (c[2] % r[c[0]] if r[c[0]] is not None else "-") for c in columns))
print("ratio to %s:" % base["kind"])
for r in rows:
    if r is not base:
        cells = ["%.2f" % (r[c[0]] / base[c[0]]) if r[c[0]] and base[c[0]] else "-" for c in columns]
        print("%-10s" % r["kind"] + "".join("%14s" % c for c in cells))
print("A node's memory is the peak sum of all its processes' resident sets. Fabric's dataplane and vpnd run at nice -10,")
print("as installed; the others as they come. On a busy machine only rows of one run can be compared.")
