#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logs that the service reads itself, or is told of: finished Slurm jobs, watched folders, syslog, alerts.

    fetch.py PATH/TO/faultline [NAME...]
"""
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from commands import CRASH, OOM, run_tests  # noqa: E402

LONG = os.environ.get("FL_LONG", "") == "1"
JOBCOMP = {  # the keys of slurm 22.05, jobcomp_elasticsearch.c
    "jobid": 48213, "username": "ada", "user_id": os.getuid(), "groupname": "ml", "group_id": 0, "@start": "2026-11-22T01:00:00",
    "@end": "2026-11-22T02:00:00", "elapsed": 3600, "partition": "gpu", "alloc_node": "login1", "nodes": "gpu[01-02]",
    "total_cpus": 64, "total_nodes": 2, "derived_ec": "0:0", "exit_code": "1:0", "state": "FAILED", "cpu_hours": 64.0,
    "@submit": "2026-11-22T00:59:00", "@eligible": "2026-11-22T00:59:00", "std_err": "", "std_in": "/dev/null", "cluster": "c1",
    "qos": "normal", "ntasks": 8, "time_limit": 1440, "job_name": "train", "account": "ml", "parent_accounts": "/root/ml",
    "script": "#!/bin/sh\nexport TOKEN=do-not-keep-me-4711\n"}
LOG = "step 1 loss 2.1\nstep 2 loss 2.0\n" + OOM + "\n"


class Service:
    """A running `faultline serve`."""

    def __init__(self, case, *args, env=None):
        self.case = case
        self.args = args
        self.env = dict(case.env, **(env or {}))
        self.token = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.case.binary, "serve", "--listen", "127.0.0.1:0", *self.args], env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.said = []
        self.port = self.syslog = None
        for line in self.process.stderr:
            self.said.append(line)
            found = re.search(r"(listening|syslog) on port (\d+)", line)
            if found:
                setattr(self, "port" if found[1] == "listening" else "syslog", int(found[2]))
            if self.port and (self.syslog or "--syslog" not in self.args):
                break
        else:
            raise RuntimeError("serve did not start: " + "".join(self.said)[-500:])
        threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, kill=False):
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait(60)
        if not kill:
            time.sleep(0.1)
            said = "".join(self.said)
            self.case.check(self.process.returncode == 0 and not CRASH.search(said),
                            "serve ended with %d: %s" % (self.process.returncode, said[-1500:]))

    def ask(self, path, body=None, **headers):
        """Status and body, parsed when it is JSON."""
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body.encode() if isinstance(body, str) else body
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as fault:
            status, text = fault.code, fault.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode("utf-8", "replace")

    def job(self, name, until=lambda job: job.get("final"), seconds=30):
        """The job once it is so, or as it is at last."""
        end = time.time() + seconds
        while True:
            status, job = self.ask("/api/v1/jobs/%s?wait=1" % name)
            job = job if status == 200 else {}
            if (job and until(job)) or time.time() > end:
                return job
            time.sleep(0.1)

    def log(self, name, stream):
        return self.ask("/api/v1/jobs/%s/log?stream=%s" % (name, urllib.parse.quote(stream)))[1]


def cause(job):
    return (job.get("verdict") or {}).get("cause")


def streams(job):
    return {s["name"]: s["bytes"] for s in job.get("streams", [])}


def until_log(service, name, stream, text, seconds=20):
    end = time.time() + seconds
    while service.log(name, stream) != text and time.time() < end:
        time.sleep(0.1)
    return service.log(name, stream) == text


# ---------------------------------------------------------------------------------------------- Slurm

def test_slurm_finished(c):
    """The log is found by the record alone, judged for good, and sent again changes nothing."""
    c.write("work/logs/train-48213-gpu01.out", LOG)
    record = dict(JOBCOMP, work_dir=os.path.join(c.folder, "work"), std_out="logs/%x-%j-%N.out")
    with Service(c, "--log-root", c.folder) as s:
        for _ in range(2):
            status, answer = s.ask("/slurm/_doc", record)
            c.check(status == 201 and answer.get("result") == "created", "the record was answered with %s %s" % (status, answer))
            job = s.job("slurm-48213")
            c.check(cause(job) == "gpu_oom" and job["state"] == "ended" and job["final"], "verdict %s" % json.dumps(job)[:600])
            c.check(streams(job) == {"train-48213-gpu01.out": len(LOG)}, "streams %s" % streams(job))
            facts = job["facts"]
            c.check(facts["slurm"]["state"] == "FAILED" and facts["slurm"]["user"] == "ada" and facts["log"]["state"] == "read", facts)
            c.check("do-not-keep-me" not in json.dumps(job), "the script was kept")
        for name in os.listdir(c.state):
            path = os.path.join(c.state, name)
            c.check(not os.path.isfile(path) or b"do-not-keep-me" not in open(path, "rb").read(), "the script is in " + name)
        status, answer = s.ask("/slurm/_doc", dict(record, cluster="c2", job_name="other"))
        c.check(status == 201 and answer["_id"] == "c2-slurm-48213", "a second cluster's job is %s" % answer)
        status, _ = s.ask("/slurm/_doc", {"a": 1})
        c.check(status == 400, "no record was answered with %s" % status)


def test_slurm_names(c):
    """The symbols of sbatch --output."""
    cases = [("", {}, "slurm-48213.out"), ("", {"array_job_id": 48000, "array_task_id": 17}, "slurm-48000_17.out"),
             ("o-%A_%3a-%8j-%%.log", {"array_job_id": 48000, "array_task_id": 7}, "o-48000_007-00048213-%.log"),
             ("%u/%x.%N.txt", {"nodes": "gpu-a17.example.org,gpu-b1"}, "ada/train.gpu-a17.txt"), ("%j\\plain", {}, "%jplain"),
             (c.folder + "/abs-%J", {}, "abs-48213"), ("%t-%n-%s-%b", {}, "0-0-batch-0"), ("n%N", {"nodes": "a[3,5-7]"}, "na3")]
    with Service(c, "--log-root", c.folder) as s:
        for number, (pattern, more, name) in enumerate(cases):
            c.write(name, LOG)
            record = dict(JOBCOMP, work_dir=c.folder, cluster="k%d" % number, std_out=pattern, **more)
            if not pattern:
                del record["std_out"]
            job = s.job(s.ask("/slurm/_doc", record)[1]["_id"])
            c.check(job["facts"]["log"]["state"] == "read" and cause(job) == "gpu_oom",
                    "%r: expected %s, got %s" % (pattern, name, job["facts"]["log"]))


def escapes(c, root, outside):
    """Paths that must lead nowhere: the folder `outside` holds a file `secret.log`."""
    up = "../" * 30
    os.symlink(outside, os.path.join(root, "link"))
    os.symlink(os.path.join(outside, "secret.log"), os.path.join(root, "link.log"))
    os.symlink(up + outside.lstrip("/"), os.path.join(root, "relative"))
    os.mkfifo(os.path.join(root, "fifo.log"))
    base = [outside + "/secret.log", "../outside/secret.log", up + outside.lstrip("/") + "/secret.log", "link/secret.log", "link.log",
            "relative/secret.log", "fifo.log", "/proc/self/root" + outside + "/secret.log", "/proc/self/environ", "/proc/self/fd/0",
            "/dev/stdin", "/dev/zero", "/dev/null", "/etc/passwd", ".", "..", "/", "", "x" * 5000, "a/" * 2100, "sub/../../outside/secret.log",
            "secret.log\x00.txt", "%2e%2e/outside/secret.log", "..%2foutside%2fsecret.log", "%252e%252e/outside/secret.log", "\\..\\outside\\secret.log",
            root + "/../outside/secret.log", root + "x/secret.log", "//" + outside + "/secret.log", "./././../outside/secret.log", "%u/secret.log"]
    rng = random.Random(7)
    parts = ["..", ".", "link", "relative", "sub", "outside", "secret.log", "proc", "self", "root", "", "%2e%2e", "..;", "\u2025", "fd", "0", "%u"]
    while len(base) < 500:
        base.append(rng.choice(["", "/", root + "/", outside + "/../"]) + "/".join(rng.choices(parts, k=rng.randint(1, 9))))
    return base


def test_slurm_escapes(c):
    """500 paths (F1): nothing outside of the roots is read, nothing hangs, and each job ends."""
    root, outside = os.path.join(c.folder, "root"), os.path.join(c.folder, "outside")
    os.makedirs(os.path.join(root, "sub"))
    os.makedirs(outside)
    with open(os.path.join(outside, "secret.log"), "w") as f:
        f.write("SECRET-OUTSIDE\n" + LOG)
    payloads = escapes(c, root, outside)
    with Service(c, "--log-root", root) as s:
        for number, path in enumerate(payloads):
            user = "../outside" if number % 2 else "ada"
            status, _ = s.ask("/slurm/_doc", dict(JOBCOMP, jobid=number + 1, work_dir=root, std_out=path, std_err=path, username=user))
            c.check(status in (201, 400), "%r was answered with %s" % (path[:80], status))
        names = ["slurm-%d" % (n + 1) for n in range(len(payloads))]
        end = time.time() + (100 if LONG else 3)  # those that are not there are waited for a minute
        left = names
        while left and time.time() < end:
            left = [n for n in left if s.ask("/api/v1/jobs/" + n)[1].get("facts", {}).get("log", {}).get("state") == "waiting"]
            time.sleep(1)
        c.check(not left or not LONG, "%d logs are still waited for: %s" % (len(left), left[:5]))
        jobs = [s.ask("/api/v1/jobs/" + n)[1] for n in names]
        c.check(sum(j.get("bytes", 0) for j in jobs) == 0, "read: %s" % [j["facts"]["log"] for j in jobs if j.get("bytes")][:3])
        told = json.dumps(jobs)
        c.check("SECRET-OUTSIDE" not in told and "SECRET-OUTSIDE" not in "".join(s.said), "the secret was told")


def test_slurm_refused(c):
    """No root: not read, and said. Files of others, and large ones of jobs that did well, are not read."""
    path = c.write("slurm-48213.out", LOG)
    record = dict(JOBCOMP, work_dir=c.folder)
    with Service(c) as s:
        s.ask("/slurm/_doc", record)
        job = s.job("slurm-48213", lambda j: j["facts"]["log"]["state"] != "waiting")
        c.check("--log-root" in job["facts"]["log"]["state"] and job["state"] == "ended", job)
    os.truncate(path, 32 << 20)
    with Service(c, "--log-root", c.folder) as s:
        for number, (more, why) in enumerate([({"user_id": os.getuid() + 1}, "not the file of the job's user"), ({"state": "COMPLETED"}, "too large")]):
            s.ask("/slurm/_doc", dict(record, jobid=number + 1, std_out="slurm-48213.out", **more))
            job = s.job("slurm-%d" % (number + 1), lambda j: j["facts"]["log"]["state"] != "waiting")
            c.check(why in job["facts"]["log"]["state"] and job["bytes"] == 0, job)


def test_slurm_killed(c):
    """What was answered with 201 is read after kill -9, once."""
    text = "".join("%d line of the log %s\n" % (n, "x" * 60) for n in range(200000)) + LOG
    c.write("slurm-48213.out", text)
    s = Service(c, "--log-root", c.folder)
    for _ in range(6):
        s.ask("/slurm/_doc", dict(JOBCOMP, work_dir=c.folder))
        time.sleep(random.random() * 0.15)
        s.stop(kill=True)
        s.start()
    job = s.job("slurm-48213", lambda j: j["final"] and j["state"] == "ended", 60)
    c.check(streams(job) == {"slurm-48213.out": len(text)} and cause(job) == "gpu_oom", "%s %s" % (streams(job), cause(job)))
    c.check(job["final"] and job["state"] == "ended" and job["facts"]["log"]["state"] == "read", "never ended: %s" % job["facts"])
    s.stop()


# ---------------------------------------------------------------------------------------------- watched folders

def test_watch_layouts(c):
    """Whose a log is, by where it lies."""
    uid = "0a1b2c3d-0000-1111-2222-333344445555"
    cri = "2026-11-22T01:02:03.000000001Z stderr F "
    files = {"slurm/slurm-7001.out": ("slurm-7001", "slurm-7001.out"), "slurm/train-7002_3.err": ("slurm-7002_3", "train-7002_3.err"),
             "torch/none_x1y2z3ab/attempt_0/3/stderr.log": ("none_x1y2z3ab", "attempt_0/3/stderr.log"),
             "torch/none_x1y2z3ab/attempt_0/3/error.json": ("none_x1y2z3ab", "attempt_0/3/error.json"),
             "pods/ml_train-0-x7k2p_%s/main/0.log" % uid: ("train", "train-0-x7k2p/main/0.log"),
             "plain/exp7/logs/rank3.log": ("exp7", "logs/rank3.log"), "plain/exp8.log": ("exp8", "exp8.log")}
    for name in files:
        c.write(name, (cri if "pods" in name else "") + OOM + "\n")
    for name in ("plain/.hidden.log", "plain/model.bin", "plain/exp7/x.log.1", "plain/.git/a.log"):
        c.write(name, OOM + "\n")
    old = c.write("plain/old.log", OOM + "\n")
    os.utime(old, (1, 1))
    watch = ":".join(os.path.join(c.folder, d) for d in ("slurm", "torch"))
    with Service(c, "--watch", watch, "--watch", os.path.join(c.folder, "pods"), "--watch=" + os.path.join(c.folder, "plain"), "--rest", "3") as s:
        for name, (job, stream) in files.items():
            got = s.job(job)
            c.check(stream in streams(got), "%s: no %s in job %s, which has %s" % (name, stream, job, list(streams(got))))
            c.check(cause(got) == "gpu_oom", "%s: %s" % (name, cause(got)))
        pod = s.job("train")
        c.check([x["node"] for x in pod["streams"]] == ["train-0-x7k2p"], pod["streams"])
        names = {j["job"] for j in s.ask("/api/v1/jobs")[1]["jobs"]}
        c.check(names == {j for j, _ in files.values()}, "jobs %s" % names)


def test_watch_rotation(c):
    """Growth, rotation of three kinds, and restarts by kill -9 in between: no line is lost or twice there."""
    path = c.write("w/exp.log", "")
    lines, stream = 0, 1
    s = Service(c, "--watch", os.path.join(c.folder, "w"))
    texts = {1: ""}

    def name():
        return "exp.log" if stream == 1 else "exp.log (%d)" % stream

    def write(n, where=path):
        nonlocal lines
        text = "".join("%06d of the log, said by rank0 %s\n" % (lines + i, "y" * random.randrange(80)) for i in range(n))
        lines += n
        texts[stream] += text
        with open(where, "a") as f:
            f.write(text)

    for number, how in enumerate(["", "rename", "truncate", "replace", "rename", "kill", "rename", "kill"]):
        write(2000)
        if how != "kill":
            c.check(until_log(s, "exp", name(), texts[stream]), "%s before %s is not what was written" % (name(), how or "all"))
        if how == "rename":  # what is written meanwhile is in the old file
            write(500)
            os.rename(path, path + ".%d" % (100 - number))
            write(300, path + ".%d" % (100 - number))
        elif how == "kill":
            s.stop(kill=True)
            write(700)
            s.start()
        if how == "replace":
            os.remove(path)
        if how in ("rename", "truncate", "replace"):
            stream += 1
            texts[stream] = ""
            open(path, "w").close()
    write(10)
    for stream, text in texts.items():
        c.check(until_log(s, "exp", name(), text), "%s: %d bytes instead of %d" % (name(), len(s.log("exp", name())), len(text)))
    c.check(len(s.job("exp", lambda j: True)["streams"]) == len(texts), "streams %s" % streams(s.job("exp", lambda j: True)))
    s.stop()


def test_watch_many(c):
    """A thousand logs that grow cost little."""
    n = 1000
    for i in range(n):
        c.write("w/big/rank%d.log" % i, "step 1\n")
    with Service(c, "--watch", os.path.join(c.folder, "w")) as s:
        job = s.job("big", lambda j: j["bytes"] == 7 * n, 60)
        c.check(job["bytes"] == 7 * n, "%d bytes" % job["bytes"])
        cpu = lambda: sum(int(x) for x in open("/proc/%d/stat" % s.process.pid).read().rsplit(")", 1)[1].split()[11:13]) / 100  # noqa: E731
        time.sleep(15 if LONG else 4)  # its verdicts are over
        used = cpu()
        time.sleep(5 if LONG else 2)
        c.check(not LONG or cpu() - used < 1.0, "%.2f s of processor in 5 s without a new line" % (cpu() - used))
        for i in range(n):
            with open(os.path.join(c.folder, "w/big/rank%d.log" % i), "a") as f:
                f.write("step 2\n")
        began = time.time()
        job = s.job("big", lambda j: j["bytes"] == 14 * n, 60)
        c.check(job["bytes"] == 14 * n and time.time() - began < 15, "%d bytes after %.1f s" % (job["bytes"], time.time() - began))
        c.check("faultline_watched_files 1000" in s.ask("/metrics")[1], "the gauge of watched files")


# ---------------------------------------------------------------------------------------------- syslog

def send(port, data, pieces=1):
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        step = max(1, len(data) // pieces)
        for at in range(0, len(data), step):
            sock.sendall(data[at:at + step])
            if pieces > 1:
                time.sleep(0.002)


def test_syslog(c):
    xid = "NVRM: Xid (PCI:0000:87:00): 79, pid=1234, GPU has fallen off the bus."
    modern = ("<3>1 2026-11-22T01:02:03.5Z %s kernel - - - " + xid).encode()
    classic = ("<3>Nov 22 01:02:03 %s kernel: " + xid).encode()
    with Service(c, "--syslog", "127.0.0.1:0") as s:
        counted = modern % b"gpu-a1"
        send(s.syslog, b"%d %s" % (len(counted), counted) * 3)
        send(s.syslog, (modern % b"gpu-a2" + b"\n") * 2 + modern % b"gpu-a2", pieces=40)
        send(s.syslog, classic % b"gpu-a3" + b"\n")
        for node, lines in (("gpu-a1", 3), ("gpu-a2", 3), ("gpu-a3", 1)):
            job = s.job("node." + node, lambda j: j["lines"] == lines and j["verdict"])
            c.check(job.get("lines") == lines, "%s: %s lines" % (node, job.get("lines")))
            c.check(cause(job) == "gpu_lost", "%s: %s" % (node, cause(job)))
        for bad in (b"GET / HTTP/1.1\r\n\r\n", b"99999999 x", b"<3>" + b"z" * 500000, os.urandom(5000), b"0 <3>x", b"5 <3>"):
            try:
                send(s.syslog, bad)
            except OSError:
                pass
        big = (modern % b"gpu-b1" + b"\n") * 100000
        send(s.syslog, big)
        job = s.job("node.gpu-b1", lambda j: j["lines"] == 100000, 60)
        c.check(job["lines"] == 100000, "%d of 100000 lines" % job["lines"])
    said = c.run("serve", "--listen", "127.0.0.1:0", "--syslog", "0.0.0.0:0", status=None, says="--insecure")
    c.check(said.returncode != 0, "syslog is open to all")


# ---------------------------------------------------------------------------------------------- Alertmanager

def test_alerts(c):
    alert = {"status": "firing", "labels": {"alertname": "KubeJobFailed", "namespace": "ml", "job": "kube-state-metrics", "job_name": "train-x"},
             "annotations": {"summary": "Job failed"}, "startsAt": "2026-11-22T01:02:03Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f"}
    hook = {"version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "faultline", "groupLabels": {},
            "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": [alert, dict(alert, labels={"job_name": "nobody"}),
                                                                                                dict(alert, status="resolved")]}
    with Service(c, "--rest", "600") as s:
        s.ask("/api/v1/ingest?job=train-x", LOG)
        c.check(s.job("train-x", lambda j: j["verdict"])["state"] == "running", "ended before the alert")
        status, answer = s.ask("/api/v1/alerts?end=0", hook)
        job = s.job("train-x", lambda j: j["facts"].get("alert"))
        c.check(status == 200 and answer == {"jobs": 1} and job["state"] == "running", "%s %s %s" % (status, answer, job["state"]))
        status, answer = s.ask("/api/v1/alerts", hook)
        job = s.job("train-x")
        c.check(job["state"] == "ended" and job["final"] and cause(job) == "gpu_oom", json.dumps(job)[:400])
        c.check(job["facts"]["alert"]["alertname"] == "KubeJobFailed", job["facts"])
        c.check(s.ask("/api/v1/jobs/nobody")[0] == 404, "an alert made a job")
        c.check(s.ask("/api/v1/alerts", {"x": 1})[0] == 400, "no webhook was taken")


TESTS = [f for name, f in sorted(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv, at_once=4))
