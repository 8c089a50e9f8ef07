#!/usr/bin/env python3
"""Reads OpenMetrics 1.0 text strictly, as far as counters, gauges and infos go. Written apart from telemd's own test.

Debian's promtool is no help here: "promtool check metrics" reads the older Prometheus format only, and refuses an info.
"""
import re
import sys

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)\Z')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|\Z)')
SUFFIX = {"counter": "_total", "gauge": "", "info": "_info"}


def labels_of(text):
    found, at = [], 0
    while at < len(text):
        m = LABEL.match(text, at)
        assert m, f"labels: {text}"
        found.append((m[1], m[2]))
        at = m.end()
    assert len({n for n, _ in found}) == len(found), f"a label twice: {text}"
    return tuple(sorted(found))


def check(text):
    assert text.endswith("# EOF\n") and "\r" not in text
    lines = text.split("\n")
    assert lines[-1] == "" and lines.index("# EOF") == len(lines) - 2
    families, samples, now, kind = {}, set(), None, None
    for line in lines[:-2]:
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            assert word in ("TYPE", "HELP") and NAME.match(name), line
            if word == "TYPE":
                assert name not in families and rest in SUFFIX, line
                families[name], now, kind = {"TYPE"}, name, rest
            else:
                assert name == now and "HELP" not in families[name], line
                assert re.fullmatch(r'(?:[^\\\n"]|\\["\\n])*', rest), line
                families[name].add("HELP")
            continue
        m = SAMPLE.match(line)
        assert m and now, line
        assert m[1] == now + SUFFIX[kind], f"{line} among {now}"
        key = (m[1], labels_of(m[2] or ""))
        assert key not in samples, f"twice: {line}"
        samples.add(key)
        families[now].add("samples")
        assert float(m[3]) >= 0 or kind == "gauge", line
        assert kind != "info" or m[3] == "1", line
    for name, has in families.items():
        assert has == {"TYPE", "HELP", "samples"}, name
    assert len(samples) > 50, "too few"


with open(sys.argv[1], encoding="utf-8", newline="") as f:
    check(f.read())
