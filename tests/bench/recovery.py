"""recovery.py: a stream of messages, and how long it is quiet when something is done to its path.

recovery.py PORT TIMES SECONDS-BETWEEN COMMAND...

Sends 64 bytes every 10 ms to `serve at' behind 127.0.0.1 PORT. TIMES times, with so many seconds between, it runs
COMMAND, which does something to the path and prints when it did (CLOCK_MONOTONIC, ns). The quiet time is the longest from
then on in which no answer came, less the 10 ms that are between two messages. Prints a JSON
object: of all times p50, p99 and the greatest, and whether every message was answered, once and in order.
"""
import json
import socket
import subprocess
import sys
import threading
import time

port, times, between, command = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
sock = socket.create_connection(("127.0.0.1", port), timeout=10)
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
sock.sendall(b"e")
sent, got = [], []      # ns, by number
over = threading.Event()
wrong = []


def send():
    while not over.is_set():
        sent.append(time.monotonic_ns())
        sock.sendall((len(sent) - 1).to_bytes(64, "big"))
        time.sleep(0.01)


def receive():
    part = b""
    sock.settimeout(20)
    while not over.is_set() or len(got) < len(sent):
        try:
            data = sock.recv(65536)
        except TimeoutError:
            wrong.append("no answer for 20 s")
            return
        if not data:
            wrong.append("the stream ended")
            return
        part += data
        now = time.monotonic_ns()
        while len(part) >= 64:
            if int.from_bytes(part[:64], "big") != len(got):
                wrong.append("answer %d is another" % len(got))
                return
            got.append(now)
            part = part[64:]


sender = threading.Thread(target=send, daemon=True)
receiver = threading.Thread(target=receive, daemon=True)
sender.start()
receiver.start()
time.sleep(1)
done_at = []
for _ in range(times):
    if wrong:
        break
    out = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if out.returncode == 0 and out.stdout.strip():
        done_at.append(int(out.stdout.split()[-1]))
    time.sleep(between)
over.set()
sender.join(10)
receiver.join(30)

usual = sorted(g - s for s, g in zip(sent, got))
usual = usual[len(usual) // 2] if usual else 0
quiet = []
for at in done_at:
    gap = 0
    last = at
    for s, g in zip(sent, got):
        if g < at:
            continue
        if g - at > between * 1e9:
            break
        gap = max(gap, g - last)
        last = g
    quiet.append(max(0, gap - 10_000_000) / 1e6)
quiet.sort()
print(json.dumps({
    "times": len(quiet), "rtt_p50_ms": usual / 1e6,
    "p50_ms": quiet[len(quiet) // 2] if quiet else None,
    "p99_ms": quiet[min(len(quiet) - 1, len(quiet) * 99 // 100)] if quiet else None,
    "max_ms": quiet[-1] if quiet else None,
    "messages": len(sent), "answered": len(got), "wrong": wrong[0] if wrong else None,
}))
sys.exit(1 if wrong or len(got) != len(sent) else 0)
