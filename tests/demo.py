"""demo.py: the ends of the streams that tests/demo shows.

demo.py echo PORT               sends back what comes, to anybody
demo.py talk PORT MESSAGES      64 bytes every 10 ms, and how long each was away; a line for people to read
demo.py stuck PORT              asks for a download and never reads it, until it is killed
"""
import socket
import socketserver
import sys
import time

what, port = sys.argv[1], int(sys.argv[2])


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := self.request.recv(65536):
            self.request.sendall(data)


def connect():
    s = socket.create_connection(("127.0.0.1", port), timeout=10)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def talk(messages):
    s = connect()
    times = []
    for i in range(messages):
        began = time.monotonic()
        s.sendall(i.to_bytes(64, "big"))
        answer = b""
        while len(answer) < 64:
            part = s.recv(64 - len(answer))
            if not part:
                sys.exit("the stream ended")
            answer += part
        if int.from_bytes(answer, "big") != i:
            sys.exit("another answer")
        times.append((time.monotonic() - began) * 1000)
        time.sleep(max(0, 0.01 - times[-1] / 1000))
    times.sort()
    print("%d messages, p50 %.1f ms, p99 %.1f ms" % (messages, times[messages // 2], times[messages * 99 // 100]))


if what == "echo":
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer(("127.0.0.1", port), Echo).serve_forever()
elif what == "talk":
    talk(int(sys.argv[3]))
else:
    s = connect()
    s.sendall(b"GET /file HTTP/1.0\r\n\r\n")
    time.sleep(3600)
