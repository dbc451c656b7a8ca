#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the service has acknowledged is kept, once: killed at any moment, on a full disk, on a broken one, and when the clock
jumps.

    serve_kill.py PATH/TO/faultline [NAME...]      runs the tests whose names contain one of the NAMEs

FL_LONG=1: 500 kills in place of 50, every write and sync in place of a sample, 50 full disks in place of 6. FL_SEED repeats a run.
"""
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import serve
from commands import CRASH, preload, run_tests
from serve import LONG, OOM, START_NS, Daemon, log_of, wait_final

SEED = int(os.environ.get("FL_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
EIO, ENOSPC = 5, 28
UP_S = 2.0


def integrity(c, state, what):
    """Of a copy, as a start after the crash would find it."""
    for name in ("jobs.db", "faultline.db"):
        folder = os.path.join(c.folder, "copy")
        os.makedirs(folder, exist_ok=True)
        for end in ("", "-wal"):
            source = os.path.join(state, name + end)
            target = os.path.join(folder, name + end)
            if os.path.exists(source):
                shutil.copyfile(source, target)
            elif os.path.exists(target):
                os.remove(target)
        if os.path.exists(os.path.join(folder, name)):
            db = sqlite3.connect(os.path.join(folder, name))
            said = db.execute("PRAGMA integrity_check").fetchall()
            db.close()
            c.check(said == [("ok",)], "%s: %s is damaged: %s" % (what, name, said[:3]))
        shutil.rmtree(folder)


class Pusher:
    """Pushes of a client that sends again what was not acknowledged; `acked` is what it must find again."""

    def __init__(self, c, name, kind, random_):
        self.c, self.name, self.kind, self.random = c, name, kind, random_
        self.acked, self.sent, self.offset, self.again, self.odd = [], 0, 0, 0, []

    def next(self):
        """(target, body, headers, lines) of the next push."""
        n = self.random.choice((1, 1, 2, 5, 40))
        lines = ["%s-%d %s" % (self.name, self.sent + i, "x" * self.random.randrange(90)) for i in range(n)]
        self.sent += n
        text = "".join(line + "\n" for line in lines).encode()
        if self.kind == "key":
            return "/api/v1/ingest?job=" + self.name, text, {"Idempotency_Key": "%s-%d" % (self.name, self.sent), "Content_Type": "text/plain"}, lines
        if self.kind == "offset":
            back = self.random.choice((0, 0, self.offset % 50)) # what is sent twice by an offset is known
            return "/api/v1/ingest?job=%s&stream=s&offset=%d" % (self.name, self.offset - back), (self.tail[-back:] if back else b"") + text, {}, lines
        values = [[str(START_NS + (self.sent + i) * 1000), line] for i, line in enumerate(lines)]
        body = json.dumps({"streams": [{"stream": {"job": self.name}, "values": values}]}).encode()
        return "/loki/api/v1/push", body, {"Content_Type": "application/json"}, lines

    tail = b""

    def push(self, port_of, over, most=30):
        """One push, until it is acknowledged; False when it is over before."""
        target, body, headers, lines = self.next()
        until = time.monotonic() + most
        while True:
            try:
                client = self.client_of(port_of())
                r = client.request("POST", target, body, **headers)
                if r.status in (200, 204):
                    self.acked += lines
                    if self.kind == "offset":
                        new = "".join(line + "\n" for line in lines).encode()
                        self.offset += len(new)
                        self.tail = (self.tail + new)[-100:]
                    return True
                if r.status not in (503, 507, 429):
                    self.odd.append(repr(r)[:200])
            except OSError:
                pass
            self.again += 1
            if time.monotonic() > until or over():
                self.left = lines # may be there, or not
                return False
            time.sleep(0.01)

    def give_up(self):
        """What was refused for good was not taken: its lines come anew with the next push."""
        if self.left:
            self.sent -= len(self.left)
            self.left = ()

    left = ()
    client = None

    def client_of(self, port):
        if self.client is None or self.client.port != port:
            self.client = serve.Client(port, timeout=10)
        return self.client

    def verify(self, it, what):
        """Each acknowledged line is there once, in its order, and nothing else but what was left open."""
        log = log_of(it, self.name, "s" if self.kind == "offset" else None)
        found = re.findall(r"%s-\d+ x*" % re.escape(self.name), (log or b"").decode())
        want = [line for line in self.acked]
        if found != want and found != want + list(self.left):
            lost = [x for x in want if x not in set(found)]
            twice = len(found) - len(set(found))
            self.c.check(False, "%s (%s) %s: %d acknowledged, %d lost (%s), %d twice, %d there" % (self.name, self.kind, what, len(want), len(lost), lost[:2], twice, len(found)))
        self.c.check(not self.odd, "%s: refused with %s" % (self.name, self.odd[:3]))


def pushers(c, random_, names="key offset loki key"):
    return [Pusher(c, "%s%d" % (kind, i), kind, random.Random(random_.random())) for i, kind in enumerate(names.split())]


def test_killed_at_any_moment(c):
    """S1"""
    kills = 500 if LONG else 50
    random_ = random.Random(SEED)
    all_of = pushers(c, random_)
    d = Daemon(c)
    port = d.port
    stop = threading.Event()

    def run(p):
        while not stop.is_set():
            p.push(lambda: port, lambda: False)

    threads = [threading.Thread(target=run, args=(p,)) for p in all_of]
    for t in threads:
        t.start()
    ups = []
    try:
        for i in range(kills):
            time.sleep(random_.choice((0, 0.01, 0.05, 0.1, 0.2)) * random_.random() * 2)
            d.kill()
            integrity(c, c.state, "kill %d of seed %d" % (i, SEED))
            d = Daemon(c, listen="127.0.0.1:%d" % port)
            if not c.check(d.port == port and d.took < UP_S, "start %d took %.1f s: %s" % (i, getattr(d, "took", -1), d.said()[-500:])):
                if not d.port:
                    break
            ups.append(getattr(d, "took", 9))
    finally:
        stop.set()
        for t in threads:
            t.join()
    if d.port:
        with d.client() as it:
            for p in all_of:
                p.verify(it, "after %d kills of seed %d" % (kills, SEED))
        d.stop()
    integrity(c, c.state, "at the end")
    c.check(sum(len(p.acked) for p in all_of) > kills * 5, "only %d lines were taken" % sum(len(p.acked) for p in all_of))
    print("     seed %d: %d kills, %d lines acknowledged, %d pushes sent again, slowest start %.2f s"
          % (SEED, kills, sum(len(p.acked) for p in all_of), sum(p.again for p in all_of), max(ups)), flush=True)


def test_full_disk(c):
    """S6, on a small file system in memory."""
    state = os.path.join(c.folder, "small")
    os.makedirs(state)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=700", "tmpfs", state], capture_output=True)
    if mount.returncode != 0:
        c.skipped = "mount is not permitted here"
        return
    random_ = random.Random(SEED)
    try:
        with Daemon(c, state=os.path.join(state, "s")) as d, d.client() as it:
            all_of = pushers(c, random_)
            filler = os.path.join(state, "filler")
            it.post("/api/v1/ingest?job=seen", OOM + "\n", Content_Type="text/plain")
            for i in range(50 if LONG else 6):
                left = (0, 4096, 65536, 300000, 1 << 20)[i] if i < 5 else random_.randrange(1 << 20)
                try:
                    with open(filler, "wb") as f:
                        room = os.statvfs(state).f_bavail * os.statvfs(state).f_frsize
                        f.write(b"\0" * max(0, room - left))
                except OSError:  # the service took the rest meanwhile: it is full
                    pass
                refused = False
                until = time.monotonic() + 10
                for n in range(4000):
                    p = all_of[n % len(all_of)]
                    before = p.again
                    p.push(lambda: d.port, lambda: True)
                    refused |= p.again > before
                    if refused or time.monotonic() > until:
                        break
                    r = it.post("/api/v1/ingest?job=bulk&stream=b%d" % i, os.urandom(40000).hex() + "\n", Content_Type="text/plain")
                    refused |= r.status in (503, 507)
                    c.check(r.status in (200, 503, 507), "%d bytes left: %r" % (left, r))
                c.check(refused, "%d bytes left: nothing was refused" % left)
                r = it.post("/api/v1/ingest?job=bulk", os.urandom(500000).hex(), Content_Type="text/plain")
                c.check(r.status == 507 and "retry-after" in r.headers, "a full disk: %r" % r)
                r = it.post("/loki/api/v1/push", json.dumps({"streams": [{"stream": {"job": "bulk"}, "values": [[str(START_NS + i), os.urandom(500000).hex()]]}]}), Content_Type="application/json")
                c.check(r.status == 503, "a full disk, to Loki's clients: %r" % r)
                c.check(it.get("/healthz").status == 200 and b"degraded" in it.get("/healthz").body, "/healthz does not say that the disk is full")
                c.check(it.get("/readyz").status == 503, "/readyz does not say that the disk is full")
                c.check(it.get("/api/v1/jobs").status == 200, "jobs cannot be read while the disk is full")
                until = time.monotonic() + 15
                seen = None
                while not seen and time.monotonic() < until:
                    time.sleep(0.1)
                    seen = it.get("/api/v1/jobs/seen").json().get("verdict")
                c.check(seen and seen["cause"] == "gpu_oom", "no verdict of what was taken before the disk was full: %s" % seen)
                if os.path.exists(filler):
                    os.remove(filler)
                began = time.monotonic()
                for p in all_of:
                    p.give_up()
                while it.post("/api/v1/ingest?job=bulk", "x\n", Content_Type="text/plain").status != 200 and time.monotonic() - began < 10:
                    time.sleep(0.05)
                c.check(time.monotonic() - began < 5, "with room again it took %.1f s" % (time.monotonic() - began))
                c.check(it.get("/readyz").status == 200, "/readyz after there was room again")
                r = it.request("DELETE", "/api/v1/jobs/bulk")
                c.check(r.status == 204, "a job cannot be forgotten: %r" % r)
            for p in all_of:
                p.odd = []
                p.verify(it, "after full disks of seed %d" % SEED)
        integrity(c, os.path.join(state, "s"), "after full disks")
    finally:
        subprocess.run(["umount", "-l", state], capture_output=True)


def shim(c):
    env = preload("FL_BAD_DISK")
    c.skipped = None if env else "no $FL_BAD_DISK"
    return env


def scenario(c, env, state, count_file, heal=False):
    """Some pushes and a verdict; the pushers, and what went wrong."""
    d = Daemon(c, state=state, env=env)
    all_of = pushers(c, random.Random(SEED), "key offset loki")
    faults = 0
    if not d.port:
        said = d.said()
        c.check(not CRASH.search(said) and d.process.wait(5) not in (0, -6, -11), "the start: %s" % said[-1500:])
        c.check(state in said, "the message does not name the path: %s" % said[-300:])
        return all_of, True, d
    with d.client() as it:
        for _ in range(4):
            for p in all_of:
                if p.left:
                    continue
                began = time.monotonic()
                if not p.push(lambda: d.port, lambda: False, most=0.15):
                    faults += 1
                    c.check(time.monotonic() - began < 2, "a refusal took %.1f s" % (time.monotonic() - began))
                    if heal and faults == 2:
                        with open(count_file, "r+") as f:
                            f.write("!")
        r = it.post("/api/v1/ingest?job=ended&end=1", OOM + "\n", Idempotency_Key="end")
        if r.status == 200:
            wait_final(it, "ended", 0.5)
    if heal:
        with open(count_file, "r+") as f:
            f.write("!")
        p = Pusher(c, "healed", "key", random.Random(1))
        began = time.monotonic()
        c.check(p.push(lambda: d.port, lambda: False, most=5), "it does not heal within 5 s: %s" % d.said()[-600:])
        all_of.append(p)
    d.stop()
    return all_of, faults, d


def test_each_write_fails(c):
    """S2: the Nth write or sync of the state folder fails, once or from then on."""
    env = shim(c)
    if env is None:
        return
    count_file = os.path.join(c.folder, "count")
    first = os.path.join(c.folder, "bad-0")
    serve.commands.warm(first)
    scenario(c, dict(env, BAD_DISK_UNDER=first, BAD_DISK_FILE=count_file), first, count_file)
    with open(count_file) as f:
        calls = int(f.read().strip("! \n\0"))
    c.check(calls > 40, "only %d writes were seen" % calls)
    random_ = random.Random(SEED)
    points = [(n, e, more) for n in range(1, calls + 1) for e in (ENOSPC, EIO) for more in (1, 10**6)]
    if not LONG:
        points = [(min(calls, 1 + int(calls * (i + random_.random()) / 28)), (ENOSPC, EIO)[i % 2], (1, 10**6)[i // 2 % 2]) for i in range(28)]

    def one(at):
        n, code, more = at
        sub = serve.commands.Case(c.binary, os.path.join(c.folder, "p-%d-%d-%d" % at))
        os.makedirs(sub.folder, exist_ok=True)
        sub.env = dict(sub.env, **{k: v for k, v in c.env.items() if k.startswith("FAULTLINE_SHARE")})
        state = sub.state
        counts = os.path.join(sub.folder, "count")
        with open(counts, "w") as f:
            f.write(" 0\n")
        e = dict(env, BAD_DISK_UNDER=state, BAD_DISK_FILE=counts, BAD_DISK_AT=str(n), BAD_DISK_ERRNO=str(code), BAD_DISK_FOR=str(more))
        all_of, refused, _ = scenario(sub, e, state, counts, heal=more > 1)
        with Daemon(sub, state=state) as d:
            if sub.check(d.port, "the start after it: %s" % d.said()[-600:]):
                with d.client() as it:
                    for p in all_of:
                        p.verify(it, "afterwards")
        integrity(sub, state, "afterwards")
        shutil.rmtree(sub.folder, ignore_errors=True)
        return at, sub.faults, refused

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(one, points))
    for at, faults, _ in done:
        for fault in faults:
            c.check(False, "write %d of %d fails with %d, %d times (seed %d): %s" % (at[0], calls, at[1], at[2], SEED, fault))
    print("     seed %d: %d of %d points, %d told the client" % (SEED, len(points), calls * 4, sum(bool(r) for _, _, r in done)), flush=True)


def test_clock_jumps(c):
    """S12: the wall clock jumps; deadlines, waits and the order of things do not."""
    env = shim(c)
    if env is None:
        return
    clock = c.write("clock", "0\n")
    random_ = random.Random(SEED)
    with Daemon(c, "--rest", "2", env=dict(env, BAD_CLOCK_FILE=clock)) as d, d.client() as it:
        for i in range(200 if LONG else 20):
            c.write("clock", "%d\n" % random_.choice((0, 1, -1, 3600, -3600, 315360000, -315360000)))
            it.post("/api/v1/ingest?job=clock%d&end=1" % i, OOM + "\n")
            began = time.monotonic()
            r = it.get("/api/v1/jobs/clock%d?wait=5" % i).json()
            c.check(r["final"] and time.monotonic() - began < 2, "jump %d: final %s after %.1f s" % (i, r["final"], time.monotonic() - began))
        listed = [j["job"] for j in it.get("/api/v1/jobs?limit=500").json()["jobs"]]
        c.check(listed == ["clock%d" % i for i in reversed(range(len(listed)))], "the order is %s" % listed)
        it.post("/api/v1/ingest?job=rests", OOM + "\n")
        c.write("clock", "-315360000\n")
        doc = wait_final(it, "rests", 8)
        c.check(doc.get("final"), "a job does not come to rest after a jump: %s" % str(doc)[:200])
        with open("/proc/%d/stat" % d.process.pid) as f:
            before = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        time.sleep(1)
        with open("/proc/%d/stat" % d.process.pid) as f:
            used = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) - before
        c.check(used <= 10, "idle, it used %d %% of a processor" % used)


TESTS = [f for name, f in list(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv, 2))
