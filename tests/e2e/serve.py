#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The service as its clients meet it: what they push, what they are told, who may, and how it starts and stops.

    serve.py PATH/TO/faultline [NAME...]      runs the tests whose names contain one of the NAMEs

serve_kill.py and serve_hostile.py use the same Daemon and Client. FL_LONG=1: 200 double starts in place of 20.
"""
import base64
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import commands
from commands import CRASH, HEALTHY, JOB, OOM, run_tests

ROOT = os.path.join(commands.HERE, "..", "..")
LONG = os.environ.get("FL_LONG", "") == "1"


# ------------------------------------------------------------------------------------------------- a client

class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%d %r" % (self.status, self.body[:300])


def read_response(f, head=False):
    """One answer off a file that reads a socket; OSError when there is none."""
    line = f.readline(65536)
    if not line:
        raise ConnectionError("closed without an answer")
    status = int(line.split()[1])
    headers = {}
    for raw in iter(lambda: f.readline(65536).rstrip(b"\r\n"), b""):
        name, _, value = raw.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if status == 100:
        return read_response(f, head)
    if head or status in (204, 304):
        body = b""
    elif "chunked" in headers.get("transfer-encoding", ""):
        body = b""
        while True:
            n = int(f.readline().split(b";")[0] or b"0", 16)
            body += f.read(n)
            f.readline()
            if n == 0:
                break
    else:
        n = int(headers.get("content-length", 0))
        body = f.read(n)
        if len(body) < n:
            raise ConnectionError("the answer is cut")
    return Response(status, headers, body)


class Client:
    """A connection that is kept, and opened anew where the service closed it."""

    def __init__(self, port, token=None, timeout=30):
        self.port, self.token, self.timeout = port, token, timeout
        self.socket = self.file = None

    def connect(self):
        self.close()
        self.socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def close(self):
        if self.socket:
            self.file.close()
            self.socket.close()
        self.socket = self.file = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def request(self, method, target, body=b"", **headers):
        if self.socket is None:
            self.connect()
        body = body.encode() if isinstance(body, str) else body
        lines = {"Host": "127.0.0.1:%d" % self.port}
        if self.token:
            lines["Authorization"] = "Bearer " + self.token
        if body or method in ("POST", "PUT"):
            lines["Content-Length"] = str(len(body))
        lines.update({k.replace("_", "-"): v for k, v in headers.items()})
        head = "%s %s HTTP/1.1\r\n%s\r\n" % (method, target, "".join("%s: %s\r\n" % (k, v) for k, v in lines.items() if v is not None))
        try:
            self.socket.sendall(head.encode("latin-1") + body)
            answer = read_response(self.file, method == "HEAD")
        except (OSError, ValueError, IndexError):
            self.close()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def get(self, target, **headers):
        return self.request("GET", target, **headers)

    def post(self, target, body=b"", **headers):
        return self.request("POST", target, body, **headers)


def raw(port, data, timeout=5, shut=False):
    """Sends bytes, reads until the service closes: (what it said, whether it closed)."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            while True:
                got = s.recv(65536)
                if not got:
                    return said, True
                said += got
        except socket.timeout:
            return said, False
        except OSError:
            return said, True


# ------------------------------------------------------------------------------------------------ the daemon

class Daemon:
    """`faultline serve` on a free port of this machine."""

    def __init__(self, c, *args, state=None, env=None, listen="127.0.0.1:0", wait=True, says=None):
        self.c = c
        self.state = state or c.state
        commands.warm(self.state)
        c.daemons = getattr(c, "daemons", 0) + 1
        self.said_path = os.path.join(c.folder, "serve-%d.log" % c.daemons)
        with open(self.said_path, "wb") as f:
            self.process = subprocess.Popen([c.binary, "serve", "--listen", listen, "--state", self.state, *args],
                                            stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=dict(c.env, **(env or {})))
        self.began = time.monotonic()
        self.port = self.up(says) if wait else None

    def said(self):
        with open(self.said_path, errors="replace") as f:
            return f.read()

    def up(self, most=None):
        """Its port, once it listens; 0 when it ended."""
        while time.monotonic() - self.began < (most or 30):
            found = re.search(r"listening on port (\d+)", self.said())
            if found:
                self.took = time.monotonic() - self.began
                return int(found.group(1))
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        return 0

    def client(self, token=None, timeout=30):
        return Client(self.port, token, timeout)

    def rss(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def metric(self, name, client=None):
        with client or self.client() as it:
            found = re.search(r"^%s(?:\{[^}]*\})? (\S+)$" % re.escape(name), it.get("/metrics").body.decode(), re.M)
        return float(found.group(1)) if found else None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, status=0, most=30):
        """SIGTERM; what it exits with and whether a sanitizer spoke is checked."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(most)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "no end within %d s" % most
        said = self.said()
        crash = CRASH.search(said)
        self.c.check(code == status and not crash, "serve ended with %s, not %s: %s" % (code, status, said[crash.start():][:2500] if crash else said[-1500:]))
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def token(c, name, scope, state=None):
    return c.run("token", "add", name, "--scope", scope, "--state", state or c.state).out.strip()


def wait_final(client, job, most=20):
    """The job, once its final verdict has seen all."""
    until = time.monotonic() + most
    while True:
        r = client.get("/api/v1/jobs/%s?wait=5" % job)
        doc = r.json() if r.status == 200 else {}
        if (doc.get("final") and not doc["pending"]) or time.monotonic() > until:
            return doc


def log_of(client, job, stream=None):
    out = b""
    while True:
        target = "/api/v1/jobs/%s/log?from=%d" % (job, len(out))
        r = client.get(target + ("&stream=" + urllib.parse.quote(stream) if stream else ""))
        if r.status != 200:
            return None
        if not r.body:
            return out
        out += r.body


def quote(text):
    return urllib.parse.quote(text, safe="")


LINES = ["step %d loss %.3f" % (i, 3 - i / 100) for i in range(20)] + [OOM]
TEXT = "\n".join(LINES) + "\n"
START_NS = 1763770000 * 10**9


# ----------------------------------------------------------------------------------------------- protocols

def same_verdict(c, doc, direct, what):
    v = doc.get("verdict") or {}
    ours = [(e["text"], e["line"], e["rank"]) for e in v.get("evidence", [])[:1]]
    theirs = [(e["text"], e["line"], e["rank"]) for e in direct.get("evidence", [])[:1]]
    c.check([v.get(k) for k in ("verdict", "cause", "action")] == [direct.get(k) for k in ("verdict", "cause", "action")],
            "%s: %s %s, but diagnose says %s %s" % (what, v.get("verdict"), v.get("cause"), direct.get("verdict"), direct.get("cause")))
    c.check(ours == theirs and v.get("faulty") == direct.get("faulty"), "%s: %s at %s, but diagnose says %s at %s"
            % (what, ours, v.get("faulty"), theirs, direct.get("faulty")))


def test_text_of_many_ranks(c):
    """The sample job, a file a rank: the verdict of the service is the one of `diagnose`."""
    direct = c.verdict("--offline", "--forget", JOB)
    names = sorted(n for n in os.listdir(JOB) if n.endswith((".log", ".out")))
    with Daemon(c) as d, d.client() as client:
        for name in names:
            with open(os.path.join(JOB, name), "rb") as f:
                data = f.read()
            rank = re.match(r"rank(\d+)", name)
            target = "/api/v1/ingest?job=llama&stream=%s%s%s" % (name, "&rank=" + rank.group(1) if rank else "",
                                                                 "&end=1" if name == names[-1] else "")
            for at in range(0, len(data), 100000): # lines are cut at will: ?offset= says where
                part = data[at:at + 100000]
                last = at + 100000 >= len(data)
                r = client.post((target if last else target.replace("&end=1", "")) + "&offset=%d" % at, part, Content_Type="text/plain")
                c.check(r.status == 200, "ingest of %s: %r" % (name, r))
        doc = wait_final(client, "llama")
        same_verdict(c, doc, direct, "llama")
        c.check(doc["state"] == "ended" and len(doc["streams"]) == len(names), "the job is %s" % {k: doc[k] for k in ("state", "streams")})
        for name in names:
            with open(os.path.join(JOB, name), "rb") as f:
                c.check(log_of(client, "llama", name) == f.read(), "the log of %s is not what was sent" % name)
        r = client.get("/api/v1/jobs/llama/verdicts/last").json()
        c.check(r == doc["verdict"], "verdicts/last differs from the one of the job")
        listed = client.get("/api/v1/jobs?cause=" + direct["cause"]).json()["jobs"]
        c.check([j["job"] for j in listed] == ["llama"], "the list says %s" % listed)
        c.check(client.get("/api/v1/jobs?cause=disk_full").json()["jobs"] == [], "the list filters nothing")


def bodies():
    """The same lines in each protocol: name, target, body, headers."""
    ns = [str(START_NS + i * 10**9) for i in range(len(LINES))]
    records = [{"log": line, "job": "J"} for line in LINES]
    ndjson = "".join(json.dumps(r) + "\n" for r in records)
    loki = json.dumps({"streams": [{"stream": {"job": "J", "faultline_rank": "3"}, "values": [[t, line] for t, line in zip(ns, LINES)]}]})
    otlp = json.dumps({"resourceLogs": [{"resource": {"attributes": [{"key": "faultline.job", "value": {"stringValue": "J"}}]}, "scopeLogs": [
        {"logRecords": [{"timeUnixNano": t, "body": {"stringValue": line}} for t, line in zip(ns, LINES)]}]}]})
    bulk = "".join('{"index":{}}\n%s\n\n' % json.dumps({"message": line, "job": "J"}) for line in LINES)
    journal = "".join("__REALTIME_TIMESTAMP=%d\n_HOSTNAME=gpu-07\n_TRANSPORT=kernel\nMESSAGE=%s\n\n" % (int(t) // 1000, line)
                      for t, line in zip(ns, LINES))
    js = {"Content_Type": "application/json; charset=utf-8"}
    return [
        ("text", "/api/v1/ingest?job=J", TEXT, {"Content_Type": "text/plain"}),
        ("text-gzip", "/api/v1/ingest?job=J", gzip.compress(TEXT.encode()), {"Content_Type": "text/plain", "Content_Encoding": "gzip"}),
        ("untyped", "/api/v1/ingest?job=J", TEXT, {}),
        ("ndjson", "/api/v1/ingest", ndjson, {"Content_Type": "application/x-ndjson"}),
        ("array", "/api/v1/ingest?job=J", json.dumps(records), js),
        ("loki", "/loki/api/v1/push", loki, js),
        ("otlp", "/v1/logs", otlp, js),
        ("otlp-gzip", "/otlp/v1/logs", gzip.compress(otlp.encode()), dict(js, Content_Encoding="gzip")),
        ("bulk", "/_bulk", bulk, js),
        ("bulk-index", "/logs/_bulk", bulk, {"Content_Type": "application/x-ndjson"}),
        ("journal", "/upload", journal, {"Content_Type": "application/vnd.fdo.journal"}),
    ]


GOOD = {"loki": 204, "journal": 202}


def test_protocols(c):
    direct = c.verdict("--offline", "--forget", c.write("j.log", TEXT))
    with Daemon(c) as d, d.client() as client:
        for name, target, body, headers in bodies():
            data = body.encode() if isinstance(body, str) else body
            if "gzip" not in name:
                data = data.replace(b'"job": "J"', b'"job": "%s"' % name.encode()).replace(b'"stringValue": "J"', b'"stringValue": "%s"' % name.encode())
            job = {"journal": "node.gpu-07", "otlp-gzip": "J"}.get(name, name)
            r = client.post(target.replace("job=J", "job=" + name), data, **headers)
            c.check(r.status == GOOD.get(name, 200), "%s: %r" % (name, r))
            if name in ("text", "ndjson", "array"):
                c.check(r.json()["accepted"] == len(LINES) and r.json()["rejected"] == 0, "%s: %r" % (name, r))
            if name.startswith("bulk"):
                c.check(r.json()["errors"] is False and len(r.json()["items"]) == len(LINES), "%s: %r" % (name, r))
                c.check(r.headers.get("x-elastic-product") == "Elasticsearch", "%s: %s" % (name, r.headers))
            c.check(client.post("/api/v1/jobs/%s/end" % job).status == 204, "%s cannot be ended" % name)
            doc = wait_final(client, job)
            c.check(doc.get("lines") == len(LINES), "%s: %s lines" % (name, doc.get("lines")))
            v = doc.get("verdict") or {}
            c.check(v.get("cause") == direct["cause"] and OOM in v["evidence"][0]["text"], "%s is %s" % (name, v.get("cause")))
            c.check(v.get("faulty", {}).get("rank") == 3, "%s: rank %s" % (name, v.get("faulty")))
        metrics = client.get("/metrics").body.decode()
        for name in ("ingest", "loki", "otlp", "bulk", "journal"):
            c.check(re.search(r'faultline_ingest_lines_total\{protocol="%s"\} [1-9]' % name, metrics), "no lines of %s in /metrics" % name)


def test_chunked_and_expect(c):
    with Daemon(c) as d, d.client() as client:
        client.connect()
        data = TEXT.encode()
        parts = [data[i:i + 97] for i in range(0, len(data), 97)]
        client.socket.sendall(b"POST /api/v1/ingest?job=chunked HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in parts + [b""]:
            client.socket.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        c.check(read_response(client.file).status == 200, "a chunked body is not taken")
        client.socket.sendall(b"POST /api/v1/ingest?job=expects HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(data))
        c.check(client.file.readline().split()[1] == b"100", "no 100 (Continue)")
        client.file.readline()
        client.socket.sendall(data)
        c.check(read_response(client.file).status == 200, "a body after 100 (Continue) is not taken")
        for job in ("chunked", "expects"):
            c.check(log_of(client, job) == data, "%s: %r" % (job, log_of(client, job)))
        # one that is refused is not asked for its body
        client.socket.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(data))
        c.check(read_response(client.file).status == 404, "no early answer to Expect: 100-continue")


def test_offsets(c):
    data = TEXT.encode()
    with Daemon(c) as d, d.client() as client:
        def put(at, part, **more):
            return client.post("/api/v1/ingest?job=o&stream=s&offset=%s" % at, part, **more)
        r = put(0, data[:300])
        c.check(r.status == 200 and r.json()["accepted"] == data[:300].count(b"\n"), "the first part is not taken: %r" % r)
        c.check(put(0, data[:300]).status == 200, "the same part again is not taken")
        c.check(put(100, data[100:500]).status == 200, "an overlap is not taken")
        r = put(501, data[501:])
        c.check(r.status == 409 and b"500" in r.body, "a gap: %r" % r)
        c.check(put(500, data[500:]).status == 200, "the rest is not taken")
        for bad in ("-1", "x", "", "1x", "99999999999999999999"):
            c.check(put(bad, b"x\n").status == 400, "offset=%s: %r" % (bad, put(bad, b"x\n")))
        c.check(log_of(client, "o", "s") == data, "the log is not what was sent")
        job = client.get("/api/v1/jobs/o").json()
        c.check((job["bytes"], job["lines"]) == (len(data), len(LINES)), "%d bytes, %d lines" % (job["bytes"], job["lines"]))
        part = client.get("/api/v1/jobs/o/log?stream=s&from=-20").body
        c.check(part == data[-20:], "the last 20 bytes are %r" % part)
        part = client.get("/api/v1/jobs/o/log?stream=s&from=5&to=25").body
        c.check(part == data[5:25], "bytes 5 to 25 are %r" % part)
        for odd in ("from=-9223372036854775808", "to=9223372036854775807", "from=9223372036854775807", "from=9&to=3", "to=-9"):
            c.check(client.get("/api/v1/jobs/o/log?" + odd).status == 200, "log?" + odd)


def test_keys(c):
    """What is sent again with its key is taken once; keys of different pushes are different."""
    with Daemon(c) as d, d.client() as client:
        def push(job, line, key, **more):
            r = client.post("/api/v1/ingest?job=%s" % job, line + "\n", Idempotency_Key=key, Content_Type="text/plain", **more)
            c.check(r.status == 200, "key %.30s: %r" % (key, r))
        for _ in range(3):
            push("k", "one", "K1")
        push("k", "two", "K2")
        long = "k" * 400
        push("k", "three", long + "A")
        push("k", "four", long + "B")
        push("other", "five", "K1")
        push("k", "six", "K1")  # a client that counts anew after its restart
        c.check(log_of(client, "k") == b"one\ntwo\nthree\nfour\nsix\n", "the log is %r" % log_of(client, "k"))
        c.check(log_of(client, "other") == b"five\n", "a key of one job hides a push of another: %r" % log_of(client, "other"))
        name, target, body, headers = next(b for b in bodies() if b[0] == "loki")
        for job in ("a", "b", "a"):
            c.check(client.post(target + "?job=" + job, body, **headers).status == 204, "loki")
        c.check([client.get("/api/v1/jobs/" + j).json().get("lines") for j in "ab"] == [len(LINES)] * 2, "the same body for two jobs")
    clerk, other = token(c, "clerk", "ingest,read"), token(c, "other", "ingest,read")
    with Daemon(c) as d, d.client(clerk) as one, d.client(other) as two:
        for it, line in ((one, "mine"), (two, "yours"), (one, "mine")):
            it.post("/api/v1/ingest?job=t", line + "\n", Idempotency_Key="K1")
        c.check(log_of(one, "t") == b"mine\nyours\n", "keys of two tokens: %r" % log_of(one, "t"))


def test_end(c):
    with Daemon(c) as d, d.client() as client:
        client.post("/api/v1/ingest?job=e", TEXT)
        c.check(client.post("/api/v1/ingest?job=e&end=1", b"").status == 200, "an end without a line")
        c.check(wait_final(client, "e", 6).get("state") == "ended", "an end without a line ends nothing: %s" % client.get("/api/v1/jobs/e"))
        client.post("/api/v1/ingest?job=e2&end=0", TEXT)
        c.check(client.get("/api/v1/jobs/e2").json()["state"] == "running", "end=0 ends")
        r = client.post("/api/v1/jobs/e2/end", json.dumps({"exit_code": 137, "node": "n1"}))
        c.check(r.status == 204, "end with facts: %r" % r)
        c.check(wait_final(client, "e2")["facts"] == {"exit_code": 137, "node": "n1"}, "facts are lost")
        for bad, status in (('{"a":01}', 400), ("[1]", 400), ("{", 400), ('{"a":"%s"}' % ("x" * 200000), 413), ("{" * 5000, 400),
                            ('\ufeff{"b":1}', 204), ('{"n":null}', 204)):
            r = client.post("/api/v1/jobs/e2/end", bad)
            c.check(r.status in (status, 204 if bad == '{"a":01}' else 0), "facts %.20s: %r" % (bad, r))
        r = client.get("/api/v1/jobs")
        c.check(r.status == 200 and len(r.json()["jobs"]) == 2, "the list of jobs: %r" % r)
        c.check(client.request("DELETE", "/api/v1/jobs/e").status == 204, "a job cannot be forgotten")
        c.check(client.get("/api/v1/jobs/e").status == 404 and client.request("DELETE", "/api/v1/jobs/e").status == 404, "forgotten, but there")
        c.check(client.post("/api/v1/jobs/.bad/end").status == 400, "a bad name")
        r = client.post("/api/v1/jobs/empty/end")
        began = time.monotonic()
        c.check(client.get("/api/v1/jobs/empty?wait=1").status == 200 and time.monotonic() - began < 3, "a job without a log")


def test_verdict_is_of_all_that_came(c):
    """?wait= answers with the verdict on what had come when it was asked, at once when there is one."""
    with Daemon(c) as d, d.client() as client, d.client() as pusher:
        for i in range(40):
            job = "w%d" % (i % 4)
            pusher.post("/api/v1/ingest?job=%s" % job, "line %d\n" % i if i < 36 else OOM + "\n")
            began = time.monotonic()
            doc = client.get("/api/v1/jobs/%s?wait=5" % job).json()
            c.check(not doc["pending"] and time.monotonic() - began < 2.5, "push %d: pending %s after %.1f s" % (i, doc["pending"], time.monotonic() - began))
            if i >= 36:
                c.check((doc["verdict"] or {}).get("cause") == "gpu_oom", "%s is %s" % (job, (doc["verdict"] or {}).get("cause")))


# -------------------------------------------------------------------------------------------------- events

class Events:
    def __init__(self, d, last=None, token=None):
        self.client = d.client(token, timeout=10)
        self.client.connect()
        self.client.socket.sendall(("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n" % (
            "Last-Event-ID: %s\r\n" % last if last is not None else "", "Authorization: Bearer %s\r\n" % token if token else "")).encode())
        f = self.client.file
        self.status = int(f.readline().split()[1])
        for line in iter(f.readline, b"\r\n"):
            if not line:
                break
        self.data = b""

    def next(self):
        """(id, type, data) of the next event; None when the stream is over."""
        f = self.client.file
        while b"\n\n" not in self.data:
            n = int(f.readline() or b"0", 16)
            if n == 0:
                return None
            self.data += f.read(n)
            f.readline()
        text, _, self.data = self.data.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in text.decode().splitlines() if ": " in line)
        return (fields["id"], fields["event"], json.loads(fields["data"])) if fields else self.next()

    def close(self):
        self.client.close()


def test_events(c):
    with Daemon(c) as d, d.client() as client:
        live = Events(d)
        for i in range(3):
            client.post("/api/v1/ingest?job=ev%d&end=1" % i, TEXT)
            wait_final(client, "ev%d" % i)
        got = [live.next() for _ in range(3)]
        c.check([e[2]["job"] for e in got] == ["ev0", "ev1", "ev2"], "events are %s" % got)
        c.check(all(e[1] == "verdict" and e[2]["cause"] == "gpu_oom" and e[2]["final"] for e in got), "events are %s" % got)
        again = Events(d, last=got[0][0])
        c.check([again.next(), again.next()] == got[1:], "Last-Event-ID does not replay")
        again.close()
        old = got[-1][0]
        many = [Events(d) for _ in range(20)]
        client.post("/api/v1/ingest?job=ev9&end=1", TEXT)
        c.check(all(e.next()[2]["job"] == "ev9" for e in many), "20 streams do not see the same")
        for e in many[:10]:
            e.close()
        client.post("/api/v1/ingest?job=ev10&end=1", TEXT)
        c.check(all(e.next()[2]["job"] == "ev10" for e in many[10:]), "10 streams do not see the same")
        began = time.monotonic()
        d.stop()
        c.check(time.monotonic() - began < 5, "open streams of events hold up the end")
        c.check(many[19].next() is None, "the stream does not end with the service")
    with Daemon(c) as d, d.client() as client:
        client.post("/api/v1/ingest?job=anew&end=1", TEXT)
        wait_final(client, "anew")
        e = Events(d, last=old)
        first = e.next()
        c.check(first and first[2]["job"] == "anew", "Last-Event-ID of before a restart: %s" % (first,))
        e.close()
        for odd in ("-1", "x", "18446744073709551616", "0"):
            e = Events(d, last=odd)
            client.post("/api/v1/ingest?job=odd%s&end=1" % quote(odd), TEXT)
            c.check(e.status == 200 and e.next(), "Last-Event-ID: %s" % odd)
            e.close()


# ---------------------------------------------------------------------------------------------- who may what

ANY, READ, INGEST, ADMIN = "any read ingest admin".split()
MATRIX = { # H3: a route that is not here fails
    ("GET", "/"): (ANY, 200), ("GET", "/healthz"): (ANY, 200), ("GET", "/readyz"): (ANY, 200), ("GET", "/ready"): (ANY, 200),
    ("GET", "/version"): (ANY, 200), ("GET", "/metrics"): (READ, 200),
    ("POST", "/api/v1/ingest"): (INGEST, 200), ("PUT", "/api/v1/ingest"): (INGEST, 200),
    ("POST", "/loki/api/v1/push"): (INGEST, 400), ("POST", "/api/prom/push"): (INGEST, 400),
    ("POST", "/v1/logs"): (INGEST, 200), ("POST", "/otlp/v1/logs"): (INGEST, 200),
    ("POST", "/_bulk"): (INGEST, 200), ("PUT", "/_bulk"): (INGEST, 200), ("POST", "/{}/_bulk"): (INGEST, 200), ("PUT", "/{}/_bulk"): (INGEST, 200),
    ("POST", "/upload"): (INGEST, 202),
    ("GET", "/api/v1/jobs"): (READ, 200), ("GET", "/api/v1/jobs/{}"): (READ, 404), ("DELETE", "/api/v1/jobs/{}"): (ADMIN, 404),
    ("POST", "/api/v1/jobs/{}/end"): (INGEST, 204), ("GET", "/api/v1/jobs/{}/log"): (READ, 404),
    ("GET", "/api/v1/jobs/{}/verdicts/{}"): (READ, 404), ("GET", "/api/v1/events"): (READ, 200),
    ("GET", "/api/v1/openapi.json"): (ANY, 200), ("GET", "/api/v1/jobs/{}/signals"): (READ, 404),
    ("GET", "/api/v1/incidents"): (READ, 200), ("GET", "/api/v1/incidents/{}"): (READ, 404),
    ("POST", "/api/v1/incidents/{}/feedback"): (ADMIN, 400), ("POST", "/api/v1/incidents/{}/flag"): (ADMIN, 404),
    ("POST", "/api/v1/incidents/{}/merge"): (ADMIN, 404), ("POST", "/api/v1/incidents/{}/split"): (ADMIN, 404),
    ("GET", "/api/v1/search"): (READ, 200), ("POST", "/api/v1/similar"): (READ, 200), ("GET", "/api/v1/review"): (READ, 200),
    ("GET", "/api/v1/rules"): (READ, 200), ("GET", "/api/v1/rules/{}"): (READ, 404), ("POST", "/api/v1/rules/{}/{}"): (ADMIN, 404),
    ("GET", "/api/v1/stats"): (READ, 200), ("POST", "/{}/_doc"): (INGEST, 400), ("POST", "/api/v1/alerts"): (INGEST, 400),
}


def routes():
    """What service/http/route.c says: {(method, path): scope}."""
    with open(os.path.join(ROOT, "service", "http", "route.c")) as f:
        text = f.read()
    rows = re.findall(r'\{\s*"([A-Z]+)",\s*"([^"]+)",\s*(ANYBODY|INGEST|READ|ADMIN)\b', text)
    return {(m, p): {"ANYBODY": ANY}.get(s, s.lower()) for m, p, s in rows}


def test_every_route_and_token(c):
    found = routes()
    c.check(len(found) > 20, "route.c could not be read")
    c.check(found == {k: v[0] for k, v in MATRIX.items()}, "route.c differs from the matrix here in %s"
            % sorted(set(found.items()) ^ {(k, v[0]) for k, v in MATRIX.items()}))
    tokens = {s: token(c, s, s) for s in (READ, INGEST, ADMIN)}
    tokens.update({"none": None, "wrong": "fl_" + "0" * 48})
    allowed = {READ: (READ, ADMIN), INGEST: (INGEST, ADMIN), ADMIN: (ADMIN,), ANY: tuple(tokens)}
    with Daemon(c) as d:
        for who, text in tokens.items():
            for path in sorted({p for _, p in found}):
                for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "JUNK"):
                    scope, good = MATRIX.get(("GET" if method == "HEAD" else method, path), (None, 405))
                    if scope is None:
                        want = 405
                    elif who in allowed[scope]:
                        want = good
                    else:
                        want = 401 if who in ("none", "wrong") else 403
                    if want == 401 and who == "wrong":
                        time.sleep(0.25) # five a second may be tried
                    if path == "/api/v1/events" and want == 200 and method == "GET":
                        e = Events(d, token=text)
                        c.check(e.status == 200, "events for %s: %d" % (who, e.status))
                        e.close()
                        continue
                    with d.client(text) as it:
                        r = it.request(method, path.replace("{}", "zz-%s" % who), b"")
                    want = {want} | ({400} if method == "JUNK" else set())
                    c.check(r.status in want, "%s %s with %s token: %r, not %s" % (method, path, who, r, want))
        with d.client(tokens[READ]) as it:
            c.check(it.get("/nowhere").status == 404, "an unknown address")
            for target in ("/api/v1/jobs/", "/api/v1//jobs", "//", "/healthz/", "/api/v1/jobs/a/b", "/api/v1/jobs/a/log/", "/api/v1/ingest/.."):
                r = it.get(target)
                c.check(r.status in (404, 405), "%s: %r" % (target, r))
        time.sleep(1.1) # what was wrong is forgotten
        basic = base64.b64encode(b"any:" + tokens[READ].encode()).decode()
        with d.client() as it:
            c.check(it.get("/api/v1/jobs", Authorization="Basic " + basic).status == 200, "Basic is not taken")
            c.check(it.get("/api/v1/jobs", Authorization="bEARER  %s " % tokens[READ]).status == 200, "bearer in other letters")
            for odd in ("Bearer", "Bearer ", "Basic", "Basic !!", "Basic " + "A" * 3000, "Digest x", "Bearer " + "x" * 8000, "Basic " + base64.b64encode(b"nocolon").decode()):
                time.sleep(0.25)
                c.check(it.get("/api/v1/jobs", Authorization=odd).status == 401, "Authorization: %.20s" % odd)
            r = it.get("/api/v1/jobs")
            c.check(r.headers.get("www-authenticate", "").startswith("Bearer"), "no WWW-Authenticate: %s" % r.headers)


def test_wrong_tokens_are_slowed(c):
    good = token(c, "good", "read")
    with Daemon(c) as d:
        time.sleep(1.02 - time.monotonic() % 1) # the seconds of this clock are those of the service
        with d.client("wrong") as it:
            said = [it.get("/api/v1/jobs").status for _ in range(12)]
        c.check(said[:5] == [401] * 5 and set(said[5:]) == {429}, "12 wrong tokens: %s" % said)
        with d.client(good) as it:
            r = it.get("/healthz")
            c.check(r.status == 200, "others are shut out, too: %r" % r)
            time.sleep(1.1)
            c.check(it.get("/api/v1/jobs").status == 200, "after a second the right token is not taken")


def test_tokens_at_sighup(c):
    first = token(c, "first", "read")
    with Daemon(c) as d, d.client() as it:
        def status(text):
            got = it.get("/api/v1/jobs", Authorization="Bearer " + text).status
            if got == 429:  # too many wrong ones in this second
                time.sleep(1.1)
                got = it.get("/api/v1/jobs", Authorization="Bearer " + text).status
            return got

        def reload(word="read anew"):
            before = d.said().count(word)
            d.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 10
            while d.said().count(word) == before and time.monotonic() < until:
                time.sleep(0.02)
        second = token(c, "second", "read")
        c.check((status(first), status(second)) == (200, 401), "a token counts before SIGHUP")
        reload()
        c.check(status(second) == 200, "SIGHUP does not read tokens")
        c.run("token", "revoke", "first", "--state", c.state)
        reload()
        c.check((status(first), status(second)) == (401, 200), "a revoked token still counts")
        path = os.path.join(c.state, "tokens.json")
        with open(path) as f:
            kept = f.read()
        for broken in ("", "{", '{"tokens":[{"name":"x"}]}', "{}", '{"tokens":7}'):
            with open(path, "w") as f:
                f.write(broken)
            reload("reload:")
            time.sleep(0.3)
            c.check((status(second), status("x")) == (200, 401), "after a reload of %r: %s, %s" % (broken, status(second), status("x")))
        with open(path, "w") as f:
            f.write(kept)
        c.check("fl_" not in kept and oct(os.stat(path).st_mode & 0o777) == "0o600", "tokens.json holds the token, or others can read it")


def test_bind_matrix(c):
    """H6: where others could reach it, it wants a token or the word --insecure."""
    for listen, has_token, insecure, works in (
            ("127.0.0.1:0", False, False, True), ("127.0.0.1:0", True, False, True), ("127.0.0.1:0", False, True, True),
            ("127.9.9.9:0", False, False, True), ("localhost:0", False, False, True), ("[::1]:0", False, False, None),
            ("0.0.0.0:0", False, False, False), ("0.0.0.0:0", True, False, True), ("0.0.0.0:0", False, True, True),
            (":0", False, False, False), (":0", True, False, True), ("[::]:0", False, False, False)):
        state = os.path.join(c.folder, "bind-%s-%d%d" % (re.sub(r"\W", "_", listen), has_token, insecure))
        commands.warm(state)
        if has_token:
            token(c, "t", "read", state)
        d = Daemon(c, *["--insecure"] * insecure, state=state, listen=listen)
        what = "--listen %s, token %s, insecure %s" % (listen, has_token, insecure)
        if works is None and not d.port: # no IPv6 here
            c.check("token" not in d.said(), "%s: %s" % (what, d.said()))
            continue
        c.check(bool(d.port) == (works is not False), "%s: %s" % (what, d.said()))
        if d.port and "127.9" not in listen and "::1" not in listen:
            with d.client() as it:
                r = it.get("/api/v1/jobs")
                c.check(r.status == (401 if has_token else 200), "%s: %r" % (what, r))
        if d.port:
            d.stop()
        else:
            c.check("token" in d.said() and d.process.wait(10) not in (0, -6), "%s: %s" % (what, d.said()))
    for bad in ("127.0.0.1", "nonsense", "127.0.0.1:", "127.0.0.1:99999", "300.1.1.1:0", "[::1:0", "127.0.0.1:x", ""):
        c.run("serve", "--listen", bad, "--state", c.state, status=2)
    c.run("serve", "--rest", "0", status=2)
    c.run("serve", "more", status=2)


def test_last_token_is_revoked(c):
    """An address that others can reach does not open up when the last token goes."""
    text = token(c, "only", "read")
    with Daemon(c, listen="0.0.0.0:0") as d, d.client() as it:
        c.check(it.get("/api/v1/jobs").status == 401, "open without a token")
        c.run("token", "revoke", "only", "--state", c.state)
        d.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        c.check(it.get("/api/v1/jobs").status == 401, "open to all, once no token is left")
        c.check(it.get("/api/v1/jobs", Authorization="Bearer " + text).status == 401, "a revoked token counts")


def test_foreign_pages(c):
    with Daemon(c) as d, d.client() as it:
        own = "127.0.0.1:%d" % d.port
        for host, origin, status in (
                (own, None, 200), ("localhost:%d" % d.port, None, 200), ("LOCALHOST", None, 200), ("[::1]:80", None, 200),
                (own, "http://" + own, 200), ("evil.example", None, 403), ("evil.example:%d" % d.port, None, 403),
                ("localhost.evil.example", None, 403), ("127.0.0.1.evil.example", None, 403), ("", None, 403),
                (own, "http://evil.example", 403), (own, "null", 403), (own, "http://localhost:1", 403), (own, "", 403)):
            for method, target in (("GET", "/api/v1/jobs"), ("POST", "/api/v1/ingest?job=x")):
                r = it.request(method, target, b"", Host=host, Origin=origin)
                c.check(r.status == status, "%s with Host %r, Origin %r: %r" % (target, host, origin, r))
            c.check(it.get("/healthz", Host=host, Origin=origin).status == 200, "/healthz asks for a Host")
        c.check(it.get("/api/v1/jobs").headers.get("access-control-allow-origin") is None, "other origins are let in")


# ------------------------------------------------------------------------------------------- start and stop

def test_double_start(c):
    """S11: of two that start at once on a state folder, exactly one runs."""
    for i in range(200 if LONG else 20):
        two = [Daemon(c, wait=False) for _ in range(2)]
        ports = [d.up() for d in two]
        c.check(bool(ports[0]) != bool(ports[1]), "round %d: ports %s; %s" % (i, ports, [d.said()[-300:] for d in two]))
        for d, port in zip(two, ports):
            if port:
                d.kill()
            else:
                c.check(d.process.wait(10) == 3 or "another faultline serve" in d.said(), "round %d: %s" % (i, d.said()))


def test_sigterm_loses_nothing(c):
    """What was acknowledged while it stopped is there afterwards, and it waits for what is in hand. In every second
    round threads that stop listening at the same time are made to meet."""
    for round_ in range(4):
        d = Daemon(c, env=commands.preload("FL_SLOW_EPOLL") if round_ % 2 else None)
        acked, refused = [], []

        def push(k):
            with d.client() as it:
                for i in range(10000):
                    line = "r%d-%d-%d" % (round_, k, i)
                    try:
                        r = it.post("/api/v1/ingest?job=stop", line + "\n", Content_Type="text/plain")
                    except OSError:
                        return
                    (acked if r.status == 200 else refused).append((r.status, line))
                    if r.status == 200 and r.headers.get("connection") == "close":
                        return

        threads = [threading.Thread(target=push, args=(k,)) for k in range(6)]
        for t in threads:
            t.start()
        with d.client() as bad: # malformed ones are not to be counted as in hand, or out of it
            for _ in range(20):
                bad.connect()
                bad.socket.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
                c.check(read_response(bad.file).status == 400, "two Hosts")
        waits = d.client()
        waits.post("/api/v1/ingest?job=waits", "a line\n")
        waits.socket.sendall(b"GET /api/v1/jobs/waits?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2 + 0.1 * round_)
        slow = d.client()
        slow.connect()
        slow.socket.sendall(b"POST /api/v1/ingest?job=stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nslow")
        time.sleep(0.05)
        d.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        slow.socket.sendall(b"-r%03d\n" % round_)
        try:
            c.check(read_response(slow.file).status == 200, "the body in hand was not taken")
        except OSError as e:
            c.check(False, "the body in hand was lost: %s" % e)
        try:
            c.check(read_response(waits.file).status == 200, "who waited got no answer")
        except OSError as e:
            c.check(False, "who waited got no answer: %s" % e)
        began = time.monotonic()
        d.stop()
        c.check(time.monotonic() - began < 10, "the end took %.1f s" % (time.monotonic() - began))
        for t in threads:
            t.join()
        c.check({s for s, _ in refused} <= {503}, "refused with %s" % {s for s, _ in refused})
        with Daemon(c) as d, d.client() as it:
            lines = (log_of(it, "stop") or b"").decode().split("\n")
        lost = [line for _, line in acked if line not in set(lines)]
        c.check(len(acked) > 20 and not lost, "%d lines acknowledged, %d lost" % (len(acked), len(lost)))
        c.check(len(lines) == len(set(lines)), "lines are there twice")
        c.check("slow-r%03d" % round_ in lines, "the slow body is lost")


def test_jobs_of_before_are_judged(c):
    """Killed before it judged: the next start does."""
    d = Daemon(c)
    with d.client() as it:
        it.post("/api/v1/ingest?job=before&end=1", TEXT * 3)
        it.post("/api/v1/ingest?job=open", TEXT)
    d.kill()
    with Daemon(c, "--rest", "1") as d, d.client() as it:
        for job in ("before", "open"):
            doc = wait_final(it, job)
            c.check((doc.get("verdict") or {}).get("cause") == "gpu_oom" and doc.get("final"), "%s: %s" % (job, str(doc)[:300]))


def test_log_lines_are_safe(c):
    """What a request says reaches the log without control bytes."""
    with Daemon(c) as d, d.client() as it:
        it.get("/api/v1/jobs/a%0Aforged%1b%5b31m", X_Request_Id="a b\tc")
        it.post("/api/v1/ingest?job=%0a&stream=%1b%00&node=%0d", "x\n")
        r = it.get("/version")
        c.check(r.json()["name"] == "faultline", "%r" % r)
        c.check(not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", d.said()) and "\nforged" not in d.said(), "the log has %r" % d.said())


TESTS = [f for name, f in list(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv, 2))
