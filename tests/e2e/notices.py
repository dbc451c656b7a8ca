#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Notices of the service, and what their receivers get.

    notices.py PATH/TO/faultline [NAME...]      runs the tests whose names contain one of the NAMEs
"""
import datetime
import hashlib
import hmac
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes"))
sys.dont_write_bytecode = True
import fake_receiver
from commands import CRASH, JOB, OOM, run_tests

KEY = "correct horse battery staple"
SECRET = "hunter2hunter2XY"
FAILED = "step 1 loss 2.0\nstep 2 loss 1.9\n%s\n" % OOM
HEALTHY = "".join("step %d loss %.2f\n" % (i, 2 - i / 100) for i in range(1, 101)) + "Training completed successfully.\n"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WAIT_S = 20


class Service:
    """`faultline serve` with receivers, and the fake that they are on."""

    def __init__(self, case, receivers, **settings):
        self.case = case
        self.fake = fake_receiver.start()
        self.at = "http://127.0.0.1:%d" % self.fake.server_address[1]
        self.write(receivers, **settings)
        case.env["FAULTLINE_NOTICES"] = self.path
        self.start()

    def write(self, receivers, **settings):
        key = self.case.write("key", KEY + "\n")
        for r in receivers:
            r.setdefault("private", True)
            r.setdefault("retry_s", 0.3)
            r["url"] = self.at + r["url"]
            if r["kind"] == "webhook":
                r["key_file"] = key
        self.path = self.case.write("notices.json", json.dumps(
            dict({"format": "faultline.notices/1", "base_url": "https://faultline.example/", "receivers": receivers}, **settings)))

    def start(self):
        self.process = subprocess.Popen([self.case.binary, "serve", "--listen", "127.0.0.1:0", "--rest", "1"],
                                        stderr=subprocess.PIPE, env=self.case.env)
        said = b""
        until = time.time() + 60
        while time.time() < until and self.process.poll() is None:
            if select.select([self.process.stderr], [], [], 0.2)[0]:
                said += os.read(self.process.stderr.fileno(), 65536)
            port = re.search(rb"listening on port (\d+)", said)
            if port:
                self.port = int(port.group(1))
                return
        raise RuntimeError("serve did not start: %s" % said.decode("utf-8", "replace"))

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        said = self.process.communicate(timeout=60)[1].decode("utf-8", "replace")
        self.case.check(not CRASH.search(said), "crashed: " + said[-2000:])
        self.case.check(how == signal.SIGKILL or self.process.returncode == 0, "exit status %d" % self.process.returncode)
        return said

    def ask(self, method, path, body=None, headers={}):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), data=body and body.encode(),
                                         method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def push(self, job, text, end=True):
        self.ask("POST", "/api/v1/ingest?job=%s%s" % (job, "&end=1" if end else ""), text)

    def verdict(self, job):
        return json.loads(self.ask("GET", "/api/v1/jobs/%s?wait=20" % job))

    def seen(self, part):
        with self.fake.lock:
            return [dict(s, json=json.loads(s["body"])) for s in self.fake.seen if part in s["path"]]

    def wait(self, part, n=1, seconds=WAIT_S, test=lambda s: True):
        until = time.time() + seconds
        while time.time() < until and sum(test(s) for s in self.seen(part)) < n:
            time.sleep(0.05)
        return [s for s in self.seen(part) if test(s)]

    def quiet(self, seconds=2.5):
        time.sleep(seconds)

    def finals(self):
        """How many jobs are judged for good."""
        n, before = 0, 0
        while True:
            jobs = json.loads(self.ask("GET", "/api/v1/jobs?limit=499&before=%d" % before))["jobs"]
            n += sum(j["final"] for j in jobs)
            if len(jobs) < 499:
                return n
            before = jobs[-1]["id"]

    def metrics(self):
        return self.ask("GET", "/metrics").decode()


THREE = [{"name": "alerts", "kind": "alertmanager", "url": "/ok/am"},
         {"name": "hook", "kind": "webhook", "url": "/ok/hook?x=1"},
         {"name": "chat", "kind": "slack", "url": "/ok/slack"}]


def three():
    return [dict(r) for r in THREE]


def ended(alert):
    end = datetime.datetime.strptime(alert["endsAt"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    return end.timestamp() <= time.time()


def test_failed_then_healthy(c):
    s = Service(c, three())
    s.push("job-a", FAILED.replace("GPU 3", "GPU 3 <b>&`x` password=%s" % SECRET), end=False)
    s.ask("POST", "/api/v1/jobs/job-a/end", "{}", {"traceparent": TRACE})
    am = s.wait("/am/api/v2/alerts")
    hook, slack = s.wait("/hook"), s.wait("/slack")
    if not c.check(am and hook and slack, "not told: %d %d %d" % (len(am), len(hook), len(slack))):
        c.check(False, s.stop())
        return
    alert = am[0]["json"][0]
    c.check(alert["labels"] == {"alertname": "FaultlineJobFailed", "cause": "gpu_oom", "category": "framework",
                                "severity": "high", "job": "job-a"}, "labels %r" % alert["labels"])
    c.check(all(alert["labels"].values()) and all(alert["annotations"].values()), "empty values in %r" % alert)
    c.check(alert["annotations"]["evidence"].find("CUDA out of memory") > 0, "evidence %r" % alert["annotations"])
    c.check(alert["annotations"]["link"] == "https://faultline.example/api/v1/jobs/job-a", "link %r" % alert)
    c.check(not ended(alert), "ended at once")
    h = hook[0]["headers"]
    mac = hmac.new(KEY.encode(), hook[0]["body"].encode(), hashlib.sha256).hexdigest()
    c.check(h.get("x-signature-256") == "sha256=" + mac, "signature %r" % h)
    c.check(h.get("idempotency-key", "").startswith("faultline-"), "key %r" % h)
    c.check(h.get("traceparent") == TRACE, "trace %r" % h.get("traceparent"))
    v = hook[0]["json"]
    c.check(v["schema"] == "faultline.verdict/1" and v["verdict"] == "failed" and v["notice"]["event"] == "failed", "hook %r" % v)
    said = slack[0]["json"]
    c.check("job-a" in said["text"] and "<b>" not in slack[0]["body"] and "&lt;b&gt;&amp;" in json.dumps(said["blocks"]),
            "slack %r" % said)
    c.check(all(SECRET not in x["body"] for x in am + hook + slack), "a secret left")
    s.quiet()
    c.check(len(s.seen("/hook")) == 1 and len(s.seen("/slack")) == 1, "told twice")
    s.push("job-a", HEALTHY)
    over = s.wait("/am", 1, test=lambda x: ended(x["json"][0]))
    c.check(over and over[0]["json"][0]["labels"] == alert["labels"], "not resolved: %r" % over)
    done = s.wait("/hook", 1, test=lambda x: x["json"]["notice"]["event"] == "resolved")
    c.check(done and done[0]["json"]["verdict"] == "healthy", "hook not resolved")
    c.check(s.wait("/slack", 1, test=lambda x: "RESOLVED" in x["json"]["text"]), "slack not resolved")
    metrics = s.metrics()
    c.check('faultline_notices_total{kind="slack",result="sent"} 2' in metrics, "metrics: %s" % metrics[-600:])
    s.stop()
    c.run("notices", "list", says="no notice waits")


def test_thousand_alike(c):
    n = 1000 if os.environ.get("FL_LONG") == "1" else 60
    s = Service(c, three(), window_s=3600)
    for i in range(n):
        if i == n // 2:
            s.quiet(1)
            s.stop(signal.SIGKILL)
            s.start()
        s.push("job-%d" % i, FAILED.replace("rank3", "rank%d" % (i % 8)))
    s.wait("/hook")
    until = time.time() + 200
    while time.time() < until and s.finals() < n:
        time.sleep(0.5)
    s.quiet(5)
    c.check(s.finals() == n, "%d of %d are judged" % (s.finals(), n))
    c.check(len(s.seen("/hook")) == 1 and len(s.seen("/slack")) == 1, "%d and %d messages" % (len(s.seen("/hook")), len(s.seen("/slack"))))
    labels = {json.dumps(a["labels"], sort_keys=True) for x in s.seen("/am") for a in x["json"]}
    c.check(len(labels) == 1, "%d alerts" % len(labels))
    s.stop()
    s.write(three(), window_s=1)
    s.start()
    more = s.wait("/slack", 2, test=lambda x: "seen in %d jobs" % n in x["json"]["text"] or "FAILED*" in x["json"]["text"])
    c.check(any("seen in %d jobs" % n in x["json"]["text"] for x in more), "no word of the others: %r" % [x["json"]["text"] for x in more])
    s.quiet()
    c.check(len(s.seen("/slack")) == 2, "%d messages" % len(s.seen("/slack")))
    s.stop()


def test_restart_repeats_nothing(c):
    s = Service(c, three())
    s.push("job-a", FAILED)
    s.wait("/hook"), s.wait("/slack"), s.wait("/am")
    s.stop(signal.SIGKILL)
    s.start()
    am = s.wait("/am", 2)
    s.quiet()
    c.check(len(s.seen("/hook")) == 1 and len(s.seen("/slack")) == 1, "repeated")
    c.check(len(am) >= 2 and not ended(am[1]["json"][0]), "an active alert is sent again after a start")
    s.stop()


def test_dead_letters(c):
    s = Service(c, [{"name": "hook", "kind": "webhook", "url": "/fail/hook"}, {"name": "chat", "kind": "slack", "url": "/refuse/slack"}])
    s.push("job-a", FAILED)
    tries = s.wait("/hook", 3)
    c.check(len(tries) == 3, "%d tries" % len(tries))
    s.quiet()
    c.check(len(s.seen("/hook")) == 3 and len(s.seen("/slack")) == 1, "tried on")
    c.check(len({x["headers"]["idempotency-key"] for x in tries}) == 1, "another key at a retry")
    said = c.run("notices", "list").out
    rows = {m[1]: m[0] for m in re.findall(r"^(\d+)\s+dead\s+(\w+)\s", said, re.M)}
    c.check(set(rows) == {"hook", "chat"} and "invalid_payload" in said and "\x1b" not in said, "list: %r" % said)
    c.check('faultline_notices_total{kind="webhook",result="dead"} 1' in s.metrics(), "no counter")
    urllib.request.urlopen(urllib.request.Request(s.at + "/mode/fail/ok", data=b""))
    c.run("notices", "retry", rows.get("hook", "0"))
    c.check(len(s.wait("/hook", 4)) == 4, "not sent again")
    c.run("notices", "drop", rows.get("chat", "0"))
    c.run("notices", "retry", "999", status=3, says="no dead notice 999")
    c.run("notices", "retry", "x", status=2)
    s.quiet(1)
    c.run("notices", "list", says="no notice waits")
    s.stop()


def test_receivers_that_fail(c):
    modes = ("flaky", "limit", "redirect", "private", "hang", "huge", "heads", "close", "drip")
    s = Service(c, [{"name": m, "kind": "webhook", "url": "/%s/hook" % m, "timeout_s": 1.5} for m in modes])
    s.push("job-a", FAILED)
    for mode, n in (("flaky", 2), ("limit", 2), ("redirect", 1), ("private", 1), ("hang", 3), ("huge", 1), ("close", 3), ("drip", 3)):
        got = s.wait("/%s/" % mode, n, seconds=40)
        c.check(len(got) >= n, "%s: %d requests" % (mode, len(got)))
    s.quiet(4)
    limit = s.seen("/limit/")
    c.check(limit[1]["time"] - limit[0]["time"] >= 1.9, "Retry-After not obeyed")
    c.check(not s.seen("redirected"), "followed a redirect")
    for mode, n in (("flaky", 2), ("limit", 2), ("redirect", 1), ("private", 1), ("hang", 3), ("huge", 1)):
        c.check(len(s.seen("/%s/" % mode)) == n, "%s: %d requests" % (mode, len(s.seen("/%s/" % mode))))
    dead = c.run("notices", "list").out
    for mode in ("redirect", "private", "hang", "close", "drip"):
        c.check(re.search(r"dead\s+%s " % mode, dead), "%s is not dead: %s" % (mode, dead))
    for mode in ("flaky", "limit", "huge"):
        c.check(not re.search(r"\s%s " % mode, dead), "%s is there: %s" % (mode, dead))
    s.stop()


def test_stops_while_a_receiver_hangs(c):
    s = Service(c, [{"name": "hang", "kind": "webhook", "url": "/hang/hook", "timeout_s": 60}])
    s.push("job-a", FAILED)
    s.wait("/hang")
    began = time.time()
    s.stop()
    c.check(time.time() - began < 5, "took %.1f s to stop" % (time.time() - began))
    c.run("notices", "list")


def test_only(c):
    filters = {"low": {"severity": "low"}, "critical": {"severity": "critical"}, "cause": {"causes": ["gpu_oom"]},
               "other": {"causes": ["disk_full"]}}
    s = Service(c, [{"name": n, "kind": "slack", "url": "/ok/" + n, "only": only} for n, only in filters.items()])
    s.push("job-a", FAILED)
    c.check(s.wait("/low") and s.wait("/cause"), "not told")
    s.quiet(1)
    c.check(not s.seen("/critical") and not s.seen("/other"), "told what they did not want")
    s.stop()


def test_cause_changes(c):
    s = Service(c, three())

    def push(name, rank):
        with open(os.path.join(JOB, name), encoding="utf-8") as f:
            s.ask("POST", "/api/v1/ingest?job=job-a&end=1&stream=%s%s" % (name, rank), f.read())

    push("rank7.log", "&rank=7")
    s.wait("/am")
    first = s.verdict("job-a")["verdict"]["cause"]
    push("rank5.log", "&rank=5")
    told = s.wait("/am", 1, test=lambda x: any(a["labels"]["cause"] == "gpu_ecc_error" for a in x["json"]))
    over = s.wait("/am", 1, test=lambda x: any(a["labels"]["cause"] == first and ended(a) for a in x["json"]))
    s.wait("/slack", 2)
    c.check(not any("RESOLVED" in x["json"]["text"] for x in s.seen("/slack")), "people were told that it is repaired")
    for x in s.seen("/am"):
        c.check(all(a["startsAt"] <= a["endsAt"] for a in x["json"]), "ends before it starts: %r" % x["json"])
    c.check(first != "gpu_ecc_error" and told and over, "from %s: told %d, the other over %d" % (first, len(told), len(over)))
    s.stop()


def test_forgotten_and_expired(c):
    s = Service(c, [dict(THREE[0], resend_s=1)] + three()[1:], window_s=1, active_s=6)
    s.push("job-a", FAILED)
    s.push("job-b", FAILED.replace("torch.cuda.OutOfMemoryError: CUDA out of memory", "OSError: [Errno 28] No space left on device"))
    s.wait("/slack", 2)
    c.check(len(s.wait("/am", 4)) >= 4, "not sent again while active")
    s.ask("DELETE", "/api/v1/jobs/job-a")
    over = s.wait("/am", 1, test=lambda x: any(a["labels"]["job"] == "job-a" and ended(a) for a in x["json"]))
    c.check(over, "a forgotten job's alert is not over")
    over = s.wait("/am", 1, test=lambda x: any(a["labels"]["job"] == "job-b" and ended(a) for a in x["json"]))
    c.check(over, "an old alert is not over")
    s.quiet(1)
    said = [x["json"]["text"] for x in s.seen("/slack")]
    c.check(not any("RESOLVED" in t for t in said), "people were told that it was repaired: %r" % said)
    s.stop()


def test_reload(c):
    s = Service(c, [three()[1]])
    s.case.write("notices.json", '{"format": "faultline.notices/1", "receivers": [{"name": "x"}]}')
    s.process.send_signal(signal.SIGHUP)
    s.push("job-a", FAILED)
    c.check(s.wait("/hook"), "a bad file took the old receivers away")
    s.write([dict(three()[2], url="/ok/other")])
    s.process.send_signal(signal.SIGHUP)
    s.quiet(1)
    s.push("job-b", "OSError: [Errno 28] No space left on device: '/ckpt/step4.pt'\n")
    c.check(s.wait("/other"), "the new receiver was not told")
    c.check(len(s.seen("/hook")) == 1, "the old one was")
    c.check("reload: " in s.stop(), "nothing said of the bad file")


def test_file_faults(c):
    def load(receiver, says, **more):
        path = c.write("n.json", json.dumps(dict({"format": "faultline.notices/1", "receivers": [receiver]}, **more)))
        said = c.run("notices", "test", "a", "--notices", path, status=None, says=says).err
        c.check("n.json" in said, "no file in: " + said)
        c.check("s3cr3t" not in said, "the URL is told: " + said)

    good = {"name": "a", "kind": "slack", "url": "https://h.example/s3cr3t"}
    load(dict(good, url="http://127.0.0.1/s3cr3t"), "private")
    load(dict(good, url="http://169.254.169.254/s3cr3t", private=True), "link-local")
    load(dict(good, url="https://u:s3cr3t@h.example/"), "user name")
    load(dict(good, url="ftp://h.example/s3cr3t"), "neither")
    load(dict(good, url="https://h.example/s3cr3t\r\nX: y"), "line end")
    load(dict(good, kind="mail"), "alertmanager, webhook or slack")
    load(dict(good, retries=3), '"retries" is not known')
    load(dict(good, name="a b"), '"name"')
    load(dict(good, url_file="/nonexistent"), "receiver 1 (a)")
    load(dict(good, only={"severity": "bad"}), "low, medium, high or critical")
    load(dict(good, resend_s=0), "seconds")
    load(good, "window_s", window_s=-1)
    load(good, '"extra" is not known', extra=1)
    load(good, '"format"', format="x")
    loose = c.write("loose.json", json.dumps({"format": "faultline.notices/1", "receivers": [good]}))
    os.chmod(loose, 0o666)
    c.run("notices", "test", "a", "--notices", loose, status=3, says="loose.json")
    c.run("serve", "--listen", "127.0.0.1:0", "--notices", loose, status=3, says="loose.json")


def test_test(c):
    fake = fake_receiver.start()
    at = "http://127.0.0.1:%d" % fake.server_address[1]
    path = c.write("n.json", json.dumps({"format": "faultline.notices/1", "receivers": [
        {"name": k, "kind": k, "url": at + "/ok/" + k, "private": True} for k in ("alertmanager", "webhook", "slack")] + [
        {"name": "gone", "kind": "slack", "url": at + "/gone/x", "private": True}, 
        {"name": "public", "kind": "slack", "url": "http://ip6-localhost:%d/" % fake.server_address[1]}]}))
    for kind in ("alertmanager", "webhook", "slack"):
        c.run("notices", "test", kind, "--notices", path, says="took it")
    c.run("notices", "test", "gone", "--notices", path, status=3, says="no_service")
    c.run("notices", "test", "public", "--notices", path, status=3)
    c.run("notices", "test", "nobody", "--notices", path, status=3, says="no receiver")
    c.env["http_proxy"] = at + "/ok/proxy"
    c.run("notices", "test", "slack", "--notices", path, says="took it")
    c.check(not any("proxy" in s["path"] for s in fake.seen), "a proxy of the environment was used")
    c.check(len(fake.seen) == 5, "%d requests" % len(fake.seen))


TESTS = [v for k, v in list(globals().items()) if k.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv, 2))
