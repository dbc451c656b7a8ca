#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The service among clients that are broken, slow, many, or mean harm.

    serve_hostile.py PATH/TO/faultline [NAME...]      runs the tests whose names contain one of the NAMEs

FL_LONG=1: 10,000 malformed requests in place of 250, 1,000 slow clients in place of 100. FL_SEED repeats a run.
"""
import gzip
import json
import os
import random
import re
import select
import socket
import struct
import sys
import threading
import time
import zlib

import serve
from commands import run_tests
from serve import LONG, OOM, TEXT, Daemon, bodies, log_of, read_response

SEED = int(os.environ.get("FL_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
PUSHES = ("/api/v1/ingest", "/loki/api/v1/push", "/v1/logs", "/_bulk", "/upload")
RSS_MOST = 700 << 20 # with ASan's quarantine (256 MiB) and shadow; of the release build see test_bodies_at_once


def head(*lines, first="POST /api/v1/ingest?job=h HTTP/1.1", host=True):
    return ("\r\n".join((first,) + (("Host: localhost",) if host else ()) + lines) + "\r\n\r\n").encode("latin-1")


SMUGGLED = "GET /api/v1/jobs/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

# (what, bytes, whether a request that is smuggled in the body may be seen as one of its own)
FIXED = [
    ("CL and TE", head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED),
    ("TE and CL", head("Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n" + SMUGGLED),
    ("two CL", head("Content-Length: 5", "Content-Length: 6") + b"hello" + SMUGGLED),
    ("two equal CL", head("Content-Length: 5", "Content-Length: 5") + b"hello" + SMUGGLED),
    ("CL list", head("Content-Length: 5, 5") + b"hello" + SMUGGLED),
    ("CL +5", head("Content-Length: +5") + b"hello" + SMUGGLED),
    ("CL -1", head("Content-Length: -1") + SMUGGLED),
    ("CL 0x5", head("Content-Length: 0x5") + b"hello" + SMUGGLED),
    ("CL empty", head("Content-Length:") + SMUGGLED),
    ("CL huge", head("Content-Length: 99999999999999999999999") + SMUGGLED),
    ("CL 2^64", head("Content-Length: 18446744073709551616") + SMUGGLED),
    ("TE identity", head("Transfer-Encoding: identity") + SMUGGLED),
    ("TE xchunked", head("Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SMUGGLED),
    ("TE gzip, chunked", head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n" + SMUGGLED),
    ("TE chunked twice", head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED),
    ("TE with a blank before the colon", head("Transfer-Encoding : chunked") + b"0\r\n\r\n" + SMUGGLED),
    ("CL with a blank before the colon", head("Content-Length : 5") + b"hello" + SMUGGLED),
    ("TE with a tab", head("Transfer-Encoding:\tchunked", "Content-Length: 4") + b"0\r\n\r\n" + SMUGGLED),
    ("obs-fold", head("X-A: b", " folded: c", "Content-Length: 0")),
    ("folded TE", head("Transfer-Encoding:", " chunked", "Content-Length: 5") + b"0\r\n\r\n" + SMUGGLED),
    ("no Host", head("Content-Length: 0", host=False)),
    ("two Hosts", head("Host: other", "Content-Length: 0")),
    ("NUL in a name", head("X\0A: b", "Content-Length: 0")),
    ("NUL in a value", head("X-A: b\0c", "Content-Length: 0")),
    ("name with a blank", head("X A: b", "Content-Length: 0")),
    ("no name", head(": b", "Content-Length: 0")),
    ("no colon", head("X-A", "Content-Length: 0")),
    ("bare CR in a value", head("X-A: b\rContent-Length: 5", "Content-Length: 0")),
    ("bad version", b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n"),
    ("no version", b"GET /healthz\r\nHost: localhost\r\n\r\n"),
    ("three words more", b"GET /healthz HTTP/1.1 more\r\nHost: localhost\r\n\r\n"),
    ("blank in the address", b"GET /health z HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("no method", b" /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("TLS hello", bytes.fromhex("16030100a5010000a10303") + bytes(range(160))),
    ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
    ("binary", bytes(range(256)) * 4 + b"\r\n\r\n"),
    ("long address", b"GET /" + b"a" * 60000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("long head", head("X-A: " + "b" * 60000, "Content-Length: 0")),
    ("many heads", head(*("X-%d: y" % i for i in range(9000)))),
    ("chunk size not hex", head("Transfer-Encoding: chunked") + b"xyz\r\nhello\r\n0\r\n\r\n"),
    ("chunk size huge", head("Transfer-Encoding: chunked") + b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    ("chunk size 2^63", head("Transfer-Encoding: chunked") + b"8000000000000000\r\nhello\r\n0\r\n\r\n"),
    ("chunk size negative", head("Transfer-Encoding: chunked") + b"-5\r\nhello\r\n0\r\n\r\n"),
    ("chunk without its end", head("Transfer-Encoding: chunked") + b"5\r\nhelloXX0\r\n\r\n"),
    ("chunk size 0x5", head("Transfer-Encoding: chunked") + b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("CONNECT", b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("TRACE", b"TRACE /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("absolute address", b"GET http://evil.example/api/v1/jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    ("traversal", b"GET /../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("escaped traversal", b"GET /api/v1/jobs/..%2f..%2f..%2fetc%2fpasswd/log HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("bad escapes", b"GET /api/v1/jobs/%zz%%1%g1?a=%&%=b&&==& HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("escaped NUL", b"GET /api/v1/jobs/a%00b HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("escaped NUL in a name of a job", head("Content-Length: 2", first="POST /api/v1/jobs/%00/end HTTP/1.1") + b"{}"),
    ("Expect of something", head("Expect: something", "Content-Length: 0", first="GET /nowhere HTTP/1.1")),
    ("encoding not known", head("Content-Encoding: br", "Content-Length: 3") + b"abc"),
    ("encodings without an end", head("Content-Encoding: " + ", ".join(["gzip"] * 500), "Content-Length: 3") + b"abc"),
]
# libmicrohttpd 0.9.75 does not show us these: a value ends at its NUL, and a head at a line that begins with a colon.
LENIENT = {"NUL in a value", "no name"}


def snappy(text):
    """A block of literals only."""
    n, size = len(text), b""
    while True:
        size += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            break
    out = b"".join(bytes([61 << 2]) + struct.pack("<H", len(text[i:i + 60000]) - 1) + text[i:i + 60000] for i in range(0, len(text), 60000))
    return size + out


def bad_bodies(r):
    """(target, headers, body) of a push whose body is broken."""
    name, target, body, headers = r.choice(bodies())
    data = bytearray(body if isinstance(body, bytes) else body.encode())
    how = r.randrange(8)
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    if how == 0:
        data = data[:r.randrange(len(data))]
    elif how == 1:
        for _ in range(r.choice((1, 3, 30))):
            data[r.randrange(len(data))] = r.randrange(256)
    elif how == 2:
        at = r.randrange(len(data))
        data[at:at] = bytes(r.randrange(256) for _ in range(r.choice((1, 5, 200))))
    elif how == 3:
        target = r.choice(PUSHES)
    elif how == 4:
        headers["Content-Type"] = r.choice(("application/json", "application/x-protobuf", "text/plain", "", "application/vnd.fdo.journal", "\xff/\xff", "a" * 300))
    elif how == 5:
        packed = r.choice((gzip.compress(data), zlib.compress(data), snappy(bytes(data)), b"\x28\xb5\x2f\xfd" + bytes(data), b"\xff\x06\0\0sNaPpY" + bytes(data)))
        data = bytearray(packed)
        headers["Content-Encoding"] = r.choice(("gzip", "deflate", "zstd", "snappy", "gzip, gzip", "identity", "x-snappy-framed"))
        if r.random() < 0.5:
            data = data[:r.randrange(len(data))]
    elif how == 6:
        data = bytearray(r.choice((b"[" * 5000, b'{"a":' * 3000, b"\0" * 300, b"\xff" * 300, b"[1,2", b'{"streams":7}', b'{"streams":[{"values":[[1]]}]}',
                                   b'{"resourceLogs":{}}', b"\x0a\xff\xff\xff\xff\x0f", b"KEY\n\xff\xff\xff\xff\xff\xff\xff\x7fx", b'{"index":{}}', b"1e999999", b'"\\ud800"')))
    else:
        data = bytearray(os.urandom(r.choice((1, 50, 3000))))
    return target, headers, bytes(data)


def malformed(r):
    """(what, bytes): a fixed one, one that grew out of a good one, or a broken body."""
    kind = r.randrange(3)
    if kind == 0:
        return r.choice(FIXED)
    if kind == 1:
        target, headers, body = bad_bodies(r)
        length = len(body) if r.random() < 0.9 else r.randrange(len(body) + 1)
        lines = ["%s: %s" % (k, v) for k, v in headers.items()] + ["Content-Length: %d" % length]
        return "body", head(*lines, first="POST %s%s HTTP/1.1" % (target, r.choice(("", "?job=b", "?job=b&rank=x&node=%ff", "?offset=9")) if "?" not in target else "")) + body
    good = bytearray(head("Content-Type: text/plain", "Content-Length: 12", "X-Request-Id: a", first="POST /api/v1/ingest?job=m&rank=1 HTTP/1.1") + b"hello\nworld\n")
    for _ in range(r.choice((1, 1, 2, 5))):
        at = r.randrange(len(good) - 12)
        what = r.randrange(5)
        if what == 0:
            good[at] = r.randrange(256)
        elif what == 1:
            del good[at:at + r.randrange(1, 6)]
        elif what == 2:
            good[at:at] = r.choice((b"\r", b"\n", b"\0", b"\r\n", b" ", b"\t", b"%", b"\xff", b":", b"\r\n\r\n", b"A" * 300))
        elif what == 3:
            good[at:at] = good[at:at + 40]
        else:
            good = good[:max(30, at)] + b"\r\n\r\n"
    return "mutation", bytes(good)


def test_malformed_requests(c):
    """H1: each is answered or closed within a second (or cut, when it is not complete), and a good one works after it."""
    n = 10000 if LONG else 250
    queue = [(what, data) for what, data in FIXED]
    r = random.Random(SEED)
    queue += [malformed(r) for _ in range(n - len(queue))]
    at = iter(range(len(queue)))
    lock = threading.Lock()
    open_ones, taken = [], {}
    with Daemon(c) as d, d.client() as good:
        began_rss = d.rss()

        def run():
            while True:
                with lock:
                    i = next(at, None)
                if i is None or d.process.poll() is not None:
                    return
                what, data = queue[i]
                s = socket.create_connection(("127.0.0.1", d.port), 5)
                try:
                    s.sendall(data)
                except OSError:
                    pass
                s.settimeout(1.5)
                said = b""
                try:
                    while len(said) < 1 << 20:
                        got = s.recv(65536)
                        if not got:
                            break
                        said += got
                        if b"\r\n\r\n" in said and what in ("body", "mutation"):
                            break
                        s.settimeout(0.3)
                except socket.timeout:
                    if not said: # it waits for more: for as long as a head or a body may take
                        with lock:
                            open_ones.append((time.monotonic(), s, what, data))
                        continue
                except OSError:
                    pass
                s.close()
                statuses = [int(x) for x in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", said)]
                with lock:
                    taken[what] = statuses
                if what not in ("body", "mutation") and what not in LENIENT:
                    c.check(all(400 <= x < 500 or x in (501, 505) for x in statuses), "%s: answered with %s" % (what, statuses))
                    # (libmicrohttpd 0.9.75 says the head of its own error page twice, and closes)
                    c.check(len(statuses) < 2 or (len(set(statuses)) == 1 and b"X-Request-Id" not in said), "%s: %d answers, so a request was smuggled: %r" % (what, len(statuses), said[:300]))
                c.check(not [x for x in statuses if x >= 500 and x not in (501, 505)], "%s: %s to %r: %r" % (what, statuses, data[:300], said[-300:]))

        threads = [threading.Thread(target=run) for _ in range(8)]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            began = time.monotonic()
            ok = good.get("/healthz").status == 200 and good.post("/api/v1/ingest?job=good", "a line\n").status == 200
            c.check(ok and time.monotonic() - began < 2, "a good request meanwhile: %s, %.1f s" % (ok, time.monotonic() - began))
            time.sleep(0.1)
        for t in threads:
            t.join()
        c.check(len(taken) > 30, "only %d kinds were answered" % len(taken))
        for began, s, what, data in open_ones:
            s.settimeout(max(0.1, began + 12 - time.monotonic()))
            try:
                while s.recv(65536):
                    pass
            except socket.timeout:
                c.check(False, "still open after 12 s: %s %r" % (what, data[:200]))
            except OSError:
                pass
            s.close()
        grown = (d.rss() - began_rss) >> 20
        c.check(d.rss() < RSS_MOST, "%d MiB more memory" % grown)
        c.check(good.get("/api/v1/jobs/smuggled").status == 404, "smuggled")
    print("     seed %d: %d requests, %d left to be cut, %d MiB more" % (SEED, len(queue), len(open_ones), grown), flush=True)


def test_early_answers_arrive(c):
    """Who sends a large body that is refused gets to see why, not a reset connection."""
    serve.token(c, "t", "ingest")
    big = b"x" * (3 << 20)
    with Daemon(c) as d:
        for what, target, length, status in (("no token", "/api/v1/ingest?job=e", len(big), 401), ("no such address", "/nowhere", len(big), 404),
                                             ("no token, small", "/api/v1/ingest", 100, 401)):
            for chunked in (False, True):
                for _ in range(5):
                    with d.client() as it:
                        it.connect()
                        lengths = "Transfer-Encoding: chunked" if chunked else "Content-Length: %d" % length
                        data = big[:length]
                        if chunked:
                            data = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (data[:1 << 20], data[1 << 20:]) if p) + b"0\r\n\r\n"
                        try:
                            it.socket.sendall(head(lengths, first="POST %s HTTP/1.1" % target) + data)
                            got = read_response(it.file).status
                        except OSError as e:
                            got = repr(e)
                    c.check(got == status, "%s%s: %s, not %d" % (what, ", chunked" * chunked, got, status))
    os.remove(os.path.join(c.state, "tokens.json"))
    with Daemon(c) as d: # a body over the limit
        for chunked in (False, True):
            with d.client() as it:
                it.connect()
                piece = b"y" * (1 << 20)
                try:
                    it.socket.sendall(head("Transfer-Encoding: chunked" if chunked else "Content-Length: %d" % (20 << 20)))
                    for _ in range(20):
                        it.socket.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                    it.socket.sendall(b"0\r\n\r\n" if chunked else b"")
                    got = read_response(it.file).status
                except OSError as e:
                    got = repr(e)
            c.check(got == 413, "20 MiB%s: %s, not 413" % (", chunked" * chunked, got))


def test_slow_clients(c):
    """H2: slow heads, slow bodies, answers that are not read, and silence are cut; others do not notice."""
    n = 1000 if LONG else 100
    with Daemon(c) as d, d.client() as it:
        for i in range(8): # an answer that no buffer of the kernel holds
            it.post("/api/v1/ingest?job=big&stream=s", (b"%07d " % i + os.urandom(250000).hex().encode() + b"\n") * 2, Content_Type="text/plain")
        before = d.fds()
        began_rss = d.rss()
        slow = []
        for i in range(n):
            s = socket.socket()
            if i % 4 == 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", d.port))
            if i % 4 == 1:
                s.sendall(head("Content-Length: 1000"))
            elif i % 4 == 2:
                s.sendall(b"GET /api/v1/jobs/big/log?to=1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            s.setblocking(False)
            slow.append([s, i % 4, time.monotonic()])
        until = time.monotonic() + 5
        while d.fds() - before < n * 0.95 and time.monotonic() < until:
            time.sleep(0.05)
        open_at_once = d.fds() - before
        c.check(open_at_once >= n * 0.9, "only %d connections were let in" % open_at_once)
        began = time.monotonic()
        times, lived = [], {}
        # What is in the buffers of the kernel is answered, for us: such a connection may rest for a minute.
        may_stay = 2 if LONG else 2 + n // 4
        while slow and time.monotonic() - began < (80 if LONG else 14):
            for x in list(slow):
                s, kind, since = x
                try:
                    if kind == 0:
                        s.send(b"GET /healthz HTTP/1.1\r\nX-Slow: "[int(time.monotonic() - since)::][:1] or b"y")
                    elif kind == 1:
                        s.send(b"z")
                    elif kind == 2:
                        s.recv(1)
                        continue
                    if select.select([s], [], [], 0)[0] and not s.recv(4096):
                        raise ConnectionError
                except BlockingIOError:
                    continue
                except OSError:
                    lived.setdefault(kind, []).append(time.monotonic() - since)
                    slow.remove(x)
                    s.close()
            t = time.monotonic()
            ok = it.post("/api/v1/ingest?job=fine", "x\n").status == 200
            times.append(time.monotonic() - t)
            c.check(ok, "a healthy client was refused")
            time.sleep(0.1)
            if d.fds() - before <= may_stay and (LONG or all(x[1] == 2 for x in slow)):
                break
        cut_all = d.fds() - before
        took = time.monotonic() - began
        worst = {k: round(max(v), 1) for k, v in lived.items()}
        c.check(cut_all <= may_stay, "%d connections are still held after %.0f s" % (cut_all, took))
        c.check(all(v < 12.5 for k, v in worst.items() if k != 2), "cut after %s s (0 head, 1 body, 3 idle)" % worst)
        p99 = sorted(times)[int(len(times) * 0.99)]
        c.check(p99 < 0.5, "the healthy client's p99 was %.0f ms" % (p99 * 1000))
        for s, _, _ in slow:
            s.close()
        grown = (d.rss() - began_rss) >> 20
        c.check(d.rss() < RSS_MOST, "%d MiB more memory" % grown)
    print("     %d slow clients: cut after at most %s s, all gone after %.1f s, p99 of a healthy one %.0f ms, %d MiB more"
          % (n, worst, took, p99 * 1000, grown), flush=True)


def test_unread_answers(c):
    """Many who ask for much and do not read it: some are told to come later, none fills the memory."""
    with Daemon(c) as d, d.client() as it:
        it.post("/api/v1/ingest?job=big&stream=s", os.urandom(1 << 20).hex() + "\n" + os.urandom(1 << 20).hex() + "\n", Content_Type="text/plain")
        sockets = []
        for _ in range(40):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", d.port))
            s.sendall(b"GET /api/v1/jobs/big/log HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sockets.append(s)
        statuses = []
        for s in sockets:
            s.settimeout(5)
            statuses.append(int(s.recv(12).split()[1]))
        held = d.metric("faultline_http_held_bytes")
        c.check(set(statuses) == {200, 503} and held <= 48 << 20, "40 answers of 4 MiB: %s, %s bytes held" % (statuses, held))
        for s in sockets:
            s.close()
        until = time.monotonic() + 5
        while it.get("/api/v1/jobs/big/log").status != 200 and time.monotonic() < until:
            time.sleep(0.1)
        c.check(it.get("/api/v1/jobs/big/log").status == 200, "busy for ever")


def test_one_address(c):
    """Another machine's address may hold 64 connections (two more when two threads let them in at once); this one's, more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            own = s.getsockname()[0]
        except OSError:
            own = "127.0.0.1"
    if own.startswith("127."):
        c.skipped = "this machine has no other address"
        return
    with Daemon(c, "--insecure", listen="0.0.0.0:0") as d:
        held = [socket.create_connection((own, d.port), 5) for _ in range(80)]
        time.sleep(0.5)
        shut = 0
        for s in held:
            s.setblocking(False)
            try:
                shut += s.recv(1) == b""
            except BlockingIOError:
                pass
            except OSError:
                shut += 1
        c.check(14 <= shut <= 16, "of 80 connections of one address %d were refused" % shut)
        with d.client() as it:
            c.check(it.get("/healthz").status == 200, "others are refused, too")
        for s in held:
            s.close()


def test_churn(c):
    """H5: connections that end in every state leave nothing behind."""
    n = 20000 if LONG else 600
    r = random.Random(SEED)
    with Daemon(c) as d, d.client() as it:
        it.post("/api/v1/ingest?job=churn&end=1", TEXT)
        whole = head("Content-Length: %d" % len(TEXT), first="POST /api/v1/ingest?job=churn HTTP/1.1") + TEXT.encode()
        asks = (b"GET /api/v1/jobs/churn HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"GET /api/v1/jobs/churn?wait=5 HTTP/1.1\r\nHost: localhost\r\n\r\n", whole, whole + whole, b"")
        before = d.fds()
        kept = []
        for i in range(n):
            s = socket.create_connection(("127.0.0.1", d.port), 5)
            data = r.choice(asks)
            try:
                s.sendall(data[:r.randrange(len(data) + 1)] if r.random() < 0.6 else data)
                if r.random() < 0.3:
                    s.settimeout(0.02)
                    s.recv(100)
            except OSError:
                pass
            if r.random() < 0.3: # a reset
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            kept.append(s)
            if len(kept) > r.randrange(60):
                for x in kept:
                    x.close()
                kept = []
        for x in kept:
            x.close()
        it.close() # it was idle for longer than one may be
        until = time.monotonic() + 25 # streams see at the next ping that nobody listens
        while d.fds() > before + 2 and time.monotonic() < until:
            it.get("/healthz")
            it.post("/api/v1/ingest?job=other%d&end=1" % (time.monotonic() * 10), TEXT) # news wakes the streams
            time.sleep(0.2)
        c.check(d.fds() <= before + 2, "%d file descriptors became %d" % (before, d.fds()))
        c.check(it.get("/healthz").status == 200, "not well after it")
        until = time.monotonic() + 2 # what is answered is given back a moment later
        held = 1
        while held and time.monotonic() < until:
            held = d.metric("faultline_http_held_bytes")
        c.check(held == 0, "%s bytes of bodies are held" % held)
        c.check(d.metric("faultline_event_streams") <= 1, "streams of events are left")


def test_a_thousand_streams(c):
    """1,000 streams of 50 jobs at once, from a few threads: every line is accounted for."""
    streams, jobs, rounds, workers = 1000, 50, 2, 8
    with Daemon(c) as d:
        sent, refused = [0] * workers, [0] * workers

        def run(w):
            with d.client() as it:
                for round_ in range(rounds):
                    for i in range(w, streams, workers):
                        lines = 1 + (i + round_) % 7
                        body = "".join("s%d r%d l%d\n" % (i, round_, k) for k in range(lines))
                        while True:
                            r = it.post("/api/v1/ingest?job=many%d&stream=s%d&rank=%d" % (i % jobs, i, i), body, Content_Type="text/plain")
                            if r.status == 200:
                                sent[w] += lines
                                break
                            refused[w] += 1
                            if not c.check(r.status in (503, 429), "%r" % r):
                                return
                            time.sleep(0.05)

        threads = [threading.Thread(target=run, args=(w,)) for w in range(workers)]
        began = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        took = time.monotonic() - began
        with d.client() as it:
            listed = {j["job"]: j for j in it.get("/api/v1/jobs?limit=500").json()["jobs"]}
            there = sum(j["lines"] for j in listed.values())
            c.check(len(listed) == jobs and there == sum(sent), "%d jobs, %d lines sent, %d there" % (len(listed), sum(sent), there))
            doc = it.get("/api/v1/jobs/many7").json()
            c.check(len(doc["streams"]) == streams // jobs and [s["rank"] for s in doc["streams"]] == list(range(7, streams, jobs)), "streams of many7: %s" % str(doc["streams"])[:300])
            c.check(log_of(it, "many7", "s57") == b"".join(b"s57 r%d l%d\n" % (r, k) for r in range(rounds) for k in range(1 + (57 + r) % 7)), "the log of s57")
            c.check(d.metric("faultline_ingest_lines_total") == sum(sent), "/metrics counts %s lines" % d.metric("faultline_ingest_lines_total"))
    print("     %d pushes in %.1f s, %d refused" % (streams * rounds, took, sum(refused)), flush=True)


def test_bodies_at_once(c):
    """More bytes than it may hold: 503, not more memory; and a packed one that grows without an end is refused."""
    piece = os.urandom(3000).hex().encode() + b"\n"
    body = piece * ((12 << 20) // len(piece))
    bomb = gzip.compress(b"\0" * (200 << 20), 1)
    with Daemon(c) as d:
        began_rss = peak = d.rss()
        acked, statuses = [], []

        def run(w):
            with d.client() as it:
                for k in range(3):
                    try:
                        r = it.post("/api/v1/ingest?job=large%d&stream=s%d" % (w, k), body, Content_Type="text/plain")
                        statuses.append(r.status)
                    except OSError as e:
                        statuses.append(repr(e))
                    if statuses[-1] == 200:
                        acked.append((w, k))

        threads = [threading.Thread(target=run, args=(w,)) for w in range(10)]
        began = time.monotonic()
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            peak = max(peak, d.rss())
            time.sleep(0.02)
        took = time.monotonic() - began
        c.check(set(statuses) <= {200, 503} and 200 in statuses, "answers: %s" % sorted(set(map(str, statuses))))
        with d.client() as it:
            r = it.post("/api/v1/ingest?job=bomb", bomb, Content_Encoding="gzip")
            c.check(r.status in (400, 413), "a bomb: %r" % r)
            peak = max(peak, d.rss())
            for w, k in acked[:3]:
                n = [s for s in it.get("/api/v1/jobs/large%d" % w).json()["streams"] if s["name"] == "s%d" % k]
                c.check(n and n[0]["bytes"] == len(body), "large%d s%d: %s" % (w, k, n))
            c.check(it.get("/healthz").status == 200, "not well after it")
        c.check(peak < RSS_MOST, "%d MiB of memory" % (peak >> 20))
    print("     %d of %d bodies of 12 MiB taken in %.1f s; memory %d MiB, at most %d MiB" % (len(acked), len(statuses), took, began_rss >> 20, peak >> 20), flush=True)


TESTS = [f for name, f in list(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv, 2))
