#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast the service takes logs on loopback, both sides on this machine.

    serve.py PATH/TO/faultline [SECONDS]

Four connections push bodies of some 1 MiB; meanwhile one reads jobs every 50 ms. Printed are megabytes of
log text a second, the longest and the 99th percentile of the reads, and the service's memory and CPU.
"""
import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time


def lines(rng, n):
    for i in range(n):
        step = rng.randrange(1000000)
        yield ("2026-03-01T10:%02d:%02d INFO trainer step %d/1000000 loss %.4f grad_norm %.3f lr 2.0e-05 tokens/s %d"
               % (i // 60 % 60, i % 60, step, rng.random() * 3, rng.random(), rng.randrange(9000, 12000)))


def bodies(kind, rng, count=24, n=8000):
    out = []
    for b in range(count):
        text = list(lines(rng, n))
        size = sum(len(t) + 1 for t in text)
        job = "bench-%d" % (b % 4)
        if kind == "ndjson":
            body = "\n".join(json.dumps({"time": "2026-03-01T10:00:00Z", "log": t}) for t in text)
            out.append(("/api/v1/ingest?job=%s&rank=%d" % (job, b % 8), "application/x-ndjson", body.encode(), size))
        elif kind == "loki":
            body = json.dumps({"streams": [{"stream": {"job": job, "rank": str(b % 8)},
                                            "values": [["%d" % (1772359200000000000 + i), t] for i, t in enumerate(text)]}]})
            out.append(("/loki/api/v1/push", "application/json", body.encode(), size))
        else:
            out.append(("/api/v1/ingest?job=%s&rank=%d" % (job, b % 8), "text/plain", ("\n".join(text) + "\n").encode(), size))
    return out


def memory(pid):
    with open("/proc/%d/status" % pid) as f:
        text = f.read()
    return int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) / 1024


def cpu(pid):
    with open("/proc/%d/stat" % pid) as f:
        parts = f.read().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def push(port, work, until, total, again, lock):
    c = http.client.HTTPConnection("127.0.0.1", port)
    i = random.randrange(len(work))
    while time.time() < until:
        path, kind, body, size = work[i % len(work)]
        i += 1
        head = {"Content-Type": kind}
        if kind == "application/json":  # no two bodies are the same, or they would be one
            body = body.replace(b"17723592", b"%08d" % random.randrange(10000000, 99999999))
        c.request("POST", path, body, head)
        r = c.getresponse()
        r.read()
        with lock:
            if r.status in (200, 204):
                total[0] += size
            else:
                again[0] += 1
        if r.status == 503:
            time.sleep(0.05)
    c.close()


def read(port, until, times):
    c = http.client.HTTPConnection("127.0.0.1", port)
    while time.time() < until:
        t = time.time()
        c.request("GET", random.choice(["/api/v1/jobs", "/api/v1/jobs/bench-1?wait=0", "/healthz"]))
        r = c.getresponse()
        r.read()
        times.append(time.time() - t)
        time.sleep(0.05)
    c.close()


def main():
    binary = sys.argv[1]
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    for kind in ("text", "ndjson", "loki"):
        work = bodies(kind, random.Random(7))
        with tempfile.TemporaryDirectory() as state:
            p = subprocess.Popen([binary, "serve", "--listen", "127.0.0.1:0", "--state", state],
                                 stderr=subprocess.PIPE, text=True)
            port = int(re.search(r"port (\d+)", p.stderr.readline()).group(1))
            threading.Thread(target=p.stderr.read, daemon=True).start()
            total, again, times, lock = [0], [0], [], threading.Lock()
            until = time.time() + seconds
            began = time.time()
            threads = [threading.Thread(target=push, args=(port, work, until, total, again, lock)) for _ in range(4)]
            threads.append(threading.Thread(target=read, args=(port, until, times)))
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            took = time.time() - began
            used = cpu(p.pid)
            peak = memory(p.pid)
            p.terminate()
            p.wait()
            times.sort()
            print("%-7s %6.1f MB/s   refused %d   reads p99 %.0f ms, longest %.0f ms   peak %.0f MiB   CPU %.2f s of %.1f"
                  % (kind, total[0] / took / 1e6, again[0], times[int(len(times) * 0.99)] * 1e3, times[-1] * 1e3, peak, used, took))


main()
