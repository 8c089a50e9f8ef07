"""Both ends of the conversations of tests/net/tcp.sh, every byte of which is known beforehand.

tcppeer.py serve PORT
    A request is 17 bytes: a letter, and two numbers of 8 bytes.
    x UP DOWN   reads UP bytes and their end, then answers with how many came and a checksum, and DOWN bytes
    e UP 0      gives back what it reads as it comes
    h UP 0      says so, and reads nothing for UP seconds
    r 0 DOWN    sends DOWN bytes, then resets
tcppeer.py full PORT
    Listens, and takes nobody.
tcppeer.py ask PORT LETTER UP DOWN [COUNT [AT-ONCE]]
    Has so many conversations; says what went wrong, and exits 1, or nothing.
tcppeer.py stuck PORT
    Writes to one that does not read: prints how many bytes were taken when no more are.
tcppeer.py fails PORT
    Exits 0 when a connection is broken off, with a reset, before it has had a byte.
tcppeer.py hold PORT SECONDS
    Prints "open" when the service has answered, then why and when the connection ended.
"""
import socket
import struct
import sys
import threading
import time
import zlib

BLOCK = bytes((i * 167 + (i >> 8) * 13) & 255 for i in range(1 << 20))


def pattern(off, n):
    at = off % len(BLOCK)
    return memoryview(BLOCK)[at:at + min(n, len(BLOCK) - at)]


def write(s, n):
    sent = 0
    while sent < n:
        sent += s.send(pattern(sent, min(n - sent, 262144)))


def read(s, limit=None):
    """Bytes until the end, or until `limit' of them, each checked."""
    got = 0
    while limit is None or got < limit:
        d = s.recv(262144 if limit is None else min(262144, limit - got))
        if not d:
            break
        view = memoryview(d)
        at = 0
        while at < len(d):
            want = pattern(got + at, len(d) - at)
            if view[at:at + len(want)] != want:
                raise ValueError('other bytes than were sent, behind %d' % (got + at))
            at += len(want)
        got += len(d)
    return got


def exactly(s, n):
    d = b''
    while len(d) < n:
        more = s.recv(n - len(d))
        if not more:
            raise ValueError('ends after %d of %d bytes' % (len(d), n))
        d += more
    return d


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()


def serve_one(s):
    letter, up, down = struct.unpack('!cQQ', exactly(s, 17))
    if letter == b'x':
        s.sendall(struct.pack('!Q', read(s)))
        write(s, down)
        s.close()
    elif letter == b'e':
        while True:
            d = s.recv(262144)
            if not d:
                break
            s.sendall(d)
        s.close()
    elif letter == b'h':
        s.sendall(b'!')
        time.sleep(up)
        s.close()
    else:
        write(s, down)
        reset(s)


def guarded(s):
    try:
        serve_one(s)
    except (OSError, ValueError):
        s.close()


def serve(port):
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind(('127.0.0.1', port))
    l.listen(4096)
    threading.stack_size(131072)
    while True:
        s, _ = l.accept()
        threading.Thread(target=guarded, args=(s,), daemon=True).start()


def full(port):
    l = socket.socket()
    l.bind(('127.0.0.1', port))
    l.listen(0)
    held = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(('127.0.0.1', port))
        held.append(s)
    time.sleep(3600)


def connect(port):
    s = socket.create_connection(('127.0.0.1', port))
    s.settimeout(300)
    return s


def one(port, letter, up, down):
    s = connect(port)
    s.sendall(struct.pack('!cQQ', letter.encode(), up, down))
    if letter == 'e':
        w = threading.Thread(target=lambda: (write(s, up), s.shutdown(socket.SHUT_WR)))
        w.start()
        n = read(s)
        w.join()
        if n != up:
            raise ValueError('%d bytes of %d came back' % (n, up))
    elif letter == 'r':
        try:
            n = read(s)
        except ConnectionResetError:
            s.close()
            return
        raise ValueError('an end after %d bytes, not a reset' % n)
    else:
        write(s, up)
        s.shutdown(socket.SHUT_WR)
        there = struct.unpack('!Q', exactly(s, 8))[0]
        n = read(s)
        if there != up or n != down:
            raise ValueError('%d of %d bytes arrived, %d of %d came' % (there, up, n, down))
    s.close()


def ask(port, letter, up, down, count=1, at_once=1):
    todo = [count]
    wrong = []
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if todo[0] == 0 or len(wrong) > 5:
                    return
                todo[0] -= 1
            try:
                one(port, letter, up, down)
            except (OSError, ValueError) as e:
                wrong.append(repr(e))

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if wrong:
        sys.exit('; '.join(wrong))


def stuck(port):
    s = connect(port)
    s.sendall(struct.pack('!cQQ', b'h', 20, 0))
    exactly(s, 1)
    s.settimeout(2)
    n = 0
    try:
        while n < 1 << 30:
            n += s.send(pattern(n, 65536))
    except TimeoutError:
        pass
    print(n, flush=True)
    time.sleep(3600)


def fails(port):
    try:
        s = connect(port)
        s.settimeout(30)
        s.sendall(b'x')
        d = s.recv(1)
    except ConnectionResetError:
        return
    sys.exit('it had %r' % d)


def hold(port, seconds):
    s = connect(port)
    s.sendall(struct.pack('!cQQ', b'h', 3600, 0))
    exactly(s, 1)
    print('open', flush=True)
    s.settimeout(seconds)
    began = time.monotonic()
    try:
        d = s.recv(1)
        why = 'end' if not d else 'byte'
    except ConnectionResetError:
        why = 'reset'
    except TimeoutError:
        why = 'nothing'
    print(why, round(time.monotonic() - began, 1), flush=True)


if __name__ == '__main__':
    args = [int(a) if a.isdigit() else a for a in sys.argv[2:]]
    {'serve': serve, 'full': full, 'ask': ask, 'stuck': stuck, 'fails': fails, 'hold': hold}[sys.argv[1]](*args)
