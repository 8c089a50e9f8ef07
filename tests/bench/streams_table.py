"""streams_table.py FILE: what tests/bench/streams measured, one JSON object a line, as tables with ratios."""
import json
import sys

with open(sys.argv[1]) as f:
    lines = [json.loads(line) for line in f if line.strip()]
if not lines:
    sys.exit("nothing was measured")
kinds = list(dict.fromkeys(r["kind"] for r in lines))
tests = {(r["kind"], r["test"]): r for r in lines}


def value(kind, test, key):
    return tests.get((kind, test), {}).get(key)


def cell(v, form):
    return "-" if v is None else form % v



def table(title, columns):
    """Columns: heading, function of a kind, format."""
    widths = [max(10, len(c[0]) + 2) for c in columns]
    print("\n" + title)
    print("%-8s" % "" + "".join(c[0].rjust(w) for c, w in zip(columns, widths)))
    for k in kinds:
        print("%-8s" % k + "".join(cell(c[1](k), c[2]).rjust(w) for c, w in zip(columns, widths)))


def of(test, key):
    return lambda k: value(k, test, key)


def above_idle(test):
    """How much higher the 99th percentile is than on the idle path, in ms."""
    def f(k):
        a, b = value(k, "idle", "p99_ms"), value(k, test, "p99_ms")
        return None if a is None or b is None else b - a
    return f


def against(test, key, other):
    return lambda k: (lambda a, b: None if not a or b is None else b / a)(value(k, other, key), value(k, test, key))


table("A message of 64 bytes every 10 ms, there and back, ms; 100 Mbit/s, 20 ms. Mark: p99 at most 5 above idle.", [
    ("idle p50", of("idle", "p50_ms"), "%.1f"), ("p99", of("idle", "p99_ms"), "%.1f"),
    ("1 bulk p50", of("one", "p50_ms"), "%.1f"), ("p99", of("one", "p99_ms"), "%.1f"),
    ("above idle", above_idle("one"), "%+.1f"),
    ("64 bulk p50", of("many", "p50_ms"), "%.1f"), ("p99", of("many", "p99_ms"), "%.1f"),
    ("above idle", above_idle("many"), "%+.1f"),
])
table("Bulk on that path, Mbit/s. Jain's index: 1 is fair. Mark: 64 together within 5 % of one.", [
    ("1 stream", of("one", "mbps"), "%.1f"), ("64 streams", of("many", "mbps"), "%.1f"),
    ("ratio", against("many", "mbps", "one"), "%.3f"), ("Jain of 64", of("many", "jain"), "%.3f"),
    ("least", of("many", "least_mbps"), "%.2f"), ("most", of("many", "most_mbps"), "%.2f"),
])
table("Beside a bulk stream that nobody reads (ratio: to the same without it).", [
    ("other bulk", of("blocked", "mbps"), "%.1f"), ("ratio", against("blocked", "mbps", "one"), "%.2f"),
    ("message p50", of("blocked", "p50_ms"), "%.1f"), ("p99", of("blocked", "p99_ms"), "%.1f"),
    ("p99 ratio", against("blocked", "p99_ms", "one"), "%.2f"),
])
table("Streams opened and ended a second, 16 at a time (20 ms there and back), ms each.", [
    ("opens/s", of("opens", "opens_s"), "%.0f"), ("p50", of("opens", "p50_ms"), "%.1f"),
    ("p99", of("opens", "p99_ms"), "%.1f"),
])
table("One bulk stream, Mbit/s; 0 ms: no limit but the machine, else 500 Mbit/s (ratio: to plain TCP).", [
    c for ms in ("0", "20", "100") for c in (
        (ms + " ms", of("bulk" + ms, "mbps"), "%.0f"),
        ("ratio", lambda k, t="bulk" + ms: (lambda a, b: None if not a or b is None else b / a)(
            value("plain", t, "mbps"), value(k, t, "mbps")), "%.2f"))
])
for k in kinds:
    m = tests.get((k, "memory"))
    if m is not None:
        print("\nBytes for a stream that is there and silent (%d of them), by process: opening node a, serving node b."
              % m["idle"])
        print("Marks: dataplane below 1024, svchostd below 4096.")
        for p in ("dataplane", "svchostd"):
            print("%-10s a %6d  b %6d" % (p, m[p + "_a"], m[p + "_b"]))
print("\nplain: TCP as it is. ssh: -L. h2: CONNECT through two nghttpx, one HTTP/2 connection. socks: a SOCKS server behind")
print("the fabric's VPN. On a busy machine only rows of one run can be compared.")
