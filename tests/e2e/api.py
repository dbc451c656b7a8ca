#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The service's answers are what data/openapi.json says, for every address that service/http/route.c has.

    api.py PATH/TO/faultline [NAME...]
"""
import glob
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from commands import HEALTHY, HERE, JOB, run_tests

try:
    import jsonschema
except ImportError:
    jsonschema = None

ROOT = os.path.join(HERE, "..", "..")


class Service:
    """faultline serve, on a port of its own; every answer is checked against the document."""

    def __init__(self, case, *args):
        self.case = case
        with open(os.path.join(ROOT, "data", "openapi.json")) as f:
            self.document = json.load(f)
        self.p = subprocess.Popen([case.binary, "serve", "--listen", "127.0.0.1:0", "--rest", "5", *args],
                                  env=case.env, stderr=subprocess.PIPE, text=True)
        self.log = []
        self.port = None
        self.seen = set()
        threading.Thread(target=self.read_log, daemon=True).start()
        until = time.time() + 30
        while self.port is None and time.time() < until and self.p.poll() is None:
            time.sleep(0.01)
        if self.port is None:
            raise RuntimeError("the service did not start: %s" % self.log)

    def read_log(self):
        for line in self.p.stderr:
            self.log.append(line)
            found = re.search(r"listening on port (\d+)", line)
            if found:
                self.port = int(found.group(1))

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        self.p.wait(30)

    def template(self, path):
        for known in self.document["paths"]:
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", known), path):
                yield known

    def validate(self, method, path, status, kind, body):
        bare = path.split("?")[0]
        known = sorted(self.template(bare), key=lambda t: t.count("{"))
        if not self.case.check(known and method.lower() in self.document["paths"][known[0]], "undocumented: %s %s" % (method, path)):
            return
        self.seen.add((method, known[0]))
        responses = self.document["paths"][known[0]][method.lower()]["responses"]
        answer = responses.get(str(status)) or responses.get("default" if status >= 400 else "none")
        if not self.case.check(answer is not None, "%s %s: undocumented status %d" % (method, path, status)):
            return
        content = answer.get("content", {})
        if not content:
            self.case.check(body == b"", "%s %s: a body that is not documented: %r" % (method, path, body[:80]))
            return
        if not self.case.check(kind in content, "%s %s: type %s" % (method, path, kind)):
            return
        if "json" in kind and jsonschema:
            schema = dict(content[kind]["schema"], components=self.document["components"])
            faults = list(jsonschema.Draft202012Validator(schema).iter_errors(json.loads(body)))
            self.case.check(not faults, "%s %s: %s" % (method, path, faults[:2]))

    def ask(self, method, path, body=None, **headers):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), data, method=method,
                                         headers={k.replace("_", "-"): v for k, v in headers.items()})
        try:
            with urllib.request.urlopen(request, timeout=30) as r:
                status, got, kind = r.status, r.read(), r.headers.get("Content-Type") or ""
        except urllib.error.HTTPError as e:
            status, got, kind = e.code, e.read(), e.headers.get("Content-Type") or ""
        kind = kind.split(";")[0]
        self.validate(method, path, status, kind, got)
        return status, json.loads(got) if "json" in kind and got else got


def push_sample(service):
    for path in sorted(glob.glob(os.path.join(JOB, "*"))):
        name = os.path.basename(path).rsplit(".", 1)[0]
        rank = re.fullmatch(r"rank(\d+)", name)
        where = {"job": "llama", "node": "gpu-a17", **({"rank": rank.group(1)} if rank else {"stream": name})}
        with open(path, "rb") as f:
            status, got = service.ask("POST", "/api/v1/ingest?" + urllib.parse.urlencode(where), f.read(),
                                      Content_Type="text/plain")
        service.case.check(status == 200 and got["jobs"] == ["llama"], "push of %s: %r" % (name, got))


def test_answers(case):
    if jsonschema is None:
        case.skipped = "python3-jsonschema is not installed"
        return
    s = Service(case)
    try:
        push_sample(s)
        with open(HEALTHY, "rb") as f:
            s.ask("PUT", "/api/v1/ingest?job=fine&end=1&node=gpu-b1", f.read(), Content_Type="text/plain")
        case.check(s.ask("POST", "/api/v1/jobs/llama/end", {"user": "ann", "image": "train:7", "nodes": ["gpu-a17", "gpu-a18"]})[0] == 204, "end")
        status, job = s.ask("GET", "/api/v1/jobs/llama?wait=20")
        case.check(job["final"] and job["verdict"]["cause"] == "gpu_ecc_error" and job["verdict"]["faulty"]["rank"] == 5, "verdict: %r" % job["verdict"])
        case.check(job["facts"]["user"] == "ann" and len(job["streams"]) == 9, "facts, streams: %r" % job["facts"])
        case.check(s.ask("GET", "/api/v1/jobs/fine?wait=20")[1]["verdict"]["verdict"] == "healthy", "healthy")
        case.check(len(s.ask("GET", "/api/v1/jobs?limit=1")[1]["jobs"]) == 1, "limit")
        case.check([j["job"] for j in s.ask("GET", "/api/v1/jobs?cause=gpu_ecc_error")[1]["jobs"]] == ["llama"], "by cause")
        with open(os.path.join(JOB, "rank5.log"), "rb") as f:
            whole = f.read()
        case.check(s.ask("GET", "/api/v1/jobs/llama/log?stream=rank5&from=100&to=300")[1] == whole[100:300], "bytes of a log")
        case.check(s.ask("GET", "/api/v1/jobs/llama/log?stream=rank5&from=-50")[1] == whole[-50:], "its end")
        case.check(s.ask("GET", "/api/v1/jobs/llama/verdicts/last")[1]["cause"] == "gpu_ecc_error", "revision")
        case.check(s.ask("GET", "/api/v1/jobs/llama/verdicts/99")[0] == 404, "no such revision")
        case.check(s.ask("GET", "/api/v1/jobs/llama/signals?metric=loss")[1]["series"], "signals")
        incident = job["incident"]
        case.check(incident in [i["id"] for i in s.ask("GET", "/api/v1/incidents?cause=gpu_ecc_error")[1]["incidents"]], "incidents")
        one = s.ask("GET", "/api/v1/incidents/" + incident)[1]
        case.check(one["jobs"] == ["llama"] and one["seen"] == 1 and one["members"] == [incident], "incident: %r" % one)
        case.check(s.ask("GET", "/api/v1/search?q=uncorrectable+ecc")[1]["hits"], "search")
        case.check(s.ask("POST", "/api/v1/similar", whole[-4000:], Content_Type="text/plain")[1]["hits"], "similar")
        said = s.ask("POST", "/api/v1/incidents/%s/feedback" % incident, {"right": True, "fix": "replaced the GPU"})
        case.check(said[0] == 200, "feedback: %r" % (said,))
        case.check(s.ask("POST", "/api/v1/incidents/%s/feedback" % incident, {"cause": "x"})[0] == 400, "feedback without a word")
        case.check(s.ask("POST", "/api/v1/incidents/%s/flag" % incident, {"note": "third time"})[0] == 204, "flag")
        review = s.ask("GET", "/api/v1/review")[1]
        case.check(review["jobs"] == 1 and {"node", "user", "image"} <= {c["key"] for c in review["in_common"]}, "review: %r" % review)
        other = [i["id"] for i in s.ask("GET", "/api/v1/incidents")[1]["incidents"] if i["id"] != incident][0]
        case.check(s.ask("POST", "/api/v1/incidents/%s/merge" % incident, {"into": other})[0] == 204, "merge")
        case.check(s.ask("POST", "/api/v1/incidents/%s/merge" % other, {"into": incident})[0] == 409, "merge in a ring")
        case.check(s.ask("GET", "/api/v1/incidents/" + other)[1]["jobs"] == ["llama"], "a merged incident's jobs")
        case.check(s.ask("POST", "/api/v1/incidents/%s/split" % incident)[0] == 204, "split")
        case.check(s.ask("GET", "/api/v1/incidents/" + other)[1]["jobs"] == [], "after the split")
        rules = s.ask("GET", "/api/v1/rules?kind=diagnosis")[1]["rules"]
        case.check(len(rules) > 100 and s.ask("GET", "/api/v1/rules/" + rules[0]["id"])[1]["id"] == rules[0]["id"], "rules")
        case.check(s.ask("POST", "/api/v1/rules/%s/revoke" % rules[0]["id"])[0] == 404, "shipped rules stay")
        case.check(s.ask("GET", "/api/v1/stats")[1]["verdicts"][0]["right"] == 1, "stats")
        case.check("faultline_ingest_lines_total" in s.ask("GET", "/metrics")[1].decode(), "metrics")
        for path in ("/", "/healthz", "/readyz", "/ready", "/version"):
            case.check(s.ask("GET", path)[0] == 200, path)
        case.check(s.ask("GET", "/api/v1/openapi.json")[1] == s.document, "the document itself")
        case.check(s.ask("GET", "/api/v1/jobs/nobody")[0] == 404, "no such job")
        case.check(s.ask("DELETE", "/api/v1/jobs/fine")[0] == 204 and s.ask("GET", "/api/v1/jobs/fine")[0] == 404, "forget")
        values = [["%d" % (1772359200000000000 + i), "step %d loss 2.1" % i] for i in range(5)]
        for path in ("/loki/api/v1/push", "/api/prom/push"):
            case.check(s.ask("POST", path, {"streams": [{"stream": {"job": "by-loki"}, "values": values}]}, Content_Type="application/json")[0] == 204, path)
        records = [{"timeUnixNano": v[0], "body": {"stringValue": v[1]}} for v in values]
        for path in ("/v1/logs", "/otlp/v1/logs"):
            body = {"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "by-otlp"}}]},
                                      "scopeLogs": [{"logRecords": records}]}]}
            case.check(s.ask("POST", path, body, Content_Type="application/json")[0] == 200, path)
        bulk = b"".join(b'{"index":{}}\n' + json.dumps({"message": v[1], "job": "by-bulk"}).encode() + b"\n" for v in values)
        for method in ("POST", "PUT"):
            for path in ("/_bulk", "/logs/_bulk"):
                got = s.ask(method, path, bulk, Content_Type="application/x-ndjson")
                case.check(got[0] == 200 and len(got[1]["items"]) == 5, "%s %s: %r" % (method, path, got))
        journal = b"__REALTIME_TIMESTAMP=1772359200000000\n_HOSTNAME=gpu-a17\n_TRANSPORT=kernel\nMESSAGE=NVRM: Xid 79\n\n"
        case.check(s.ask("POST", "/upload", journal, Content_Type="application/vnd.fdo.journal")[0] == 202, "journal")
        done = {"jobid": 4711, "state": "FAILED", "exit_code": "1:0", "username": "ann", "cluster": "c1", "nodes": "gpu-a17",
                "work_dir": "/home/ann", "@submit": "2026-03-01T10:00:00", "@end": "2026-03-01T11:00:00"}
        case.check(s.ask("POST", "/slurm/_doc", done, Content_Type="application/json")[0] == 201, "slurm")
        alert = {"version": "4", "status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "KubeJobFailed", "job_name": "by-loki"}}]}
        case.check(s.ask("POST", "/api/v1/alerts", alert, Content_Type="application/json")[0] == 200, "alerts")
        counts = {j["job"]: j["lines"] for j in s.ask("GET", "/api/v1/jobs")[1]["jobs"]}
        case.check(counts.get("by-loki") == 5 and counts.get("by-otlp") == 5 and counts.get("by-bulk") == 20, "lines: %r" % counts)
        with open(os.path.join(ROOT, "service", "http", "route.c")) as f:
            routes = re.findall(r'\{"(\w+)", "([^"]+)",', f.read())
        asked = {(m, re.sub(r"{\w+}", "{}", p)) for m, p in s.seen}
        documented = {(m.upper(), re.sub(r"{\w+}", "{}", p)) for p, ms in s.document["paths"].items() for m in ms}
        case.check(set(routes) == documented, "routes and the document differ: %r" % (set(routes) ^ documented))
        left = set(routes) - asked - {("GET", "/api/v1/events")}
        case.check(not left, "not asked: %r" % left)
    finally:
        s.stop()


def test_kernel_of_the_node(case):
    """The job's own log only knows that a peer stopped to answer; the node's kernel knows why."""
    s = Service(case)
    job = "".join("[rank%d]: step %d loss 2.%d\n" % (r, i, i % 10) for i in range(20) for r in (0, 1))
    job += ("[rank0]:[E301 10:30:00.000000000 ProcessGroupNCCL.cpp:629] [Rank 0] Watchdog caught collective operation timeout: "
            "WorkNCCL(SeqNum=41, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600031 milliseconds before timing out.\n")
    journal = (b"__REALTIME_TIMESTAMP=%d\n_HOSTNAME=gpu-a17\n_TRANSPORT=kernel\nMESSAGE=NVRM: Xid (PCI:0000:87:00): 79, pid=4711, "
               b"name=python3, GPU has fallen off the bus.\n\n" % int((time.time() - 5) * 1e6))
    try:
        s.ask("POST", "/api/v1/ingest?job=hang&node=gpu-a17.example", job.encode(), Content_Type="text/plain")
        before = s.ask("GET", "/api/v1/jobs/hang?wait=10")[1]["verdict"]
        s.ask("POST", "/upload", journal, Content_Type="application/vnd.fdo.journal")
        s.ask("POST", "/api/v1/jobs/hang/end")
        after = s.ask("GET", "/api/v1/jobs/hang?wait=10")[1]
        case.check(before["cause"] == "nccl_timeout", "before: %r" % before["cause"])
        told = after["verdict"]
        case.check(after["final"] and told["cause"] not in (None, "nccl_timeout") and "Xid" in told["evidence"][0]["text"], "after: %r %r" % (told["cause"], told["evidence"][:1]))
        case.check(told["evidence"] and told["evidence"][0]["file"] == "node.gpu-a17/kernel" and told["faulty"]["node"], "where: %r" % told["faulty"])
        case.check(after["pending"] is False, "its own bytes are judged")
    finally:
        s.stop()


def test_backup_while_it_runs(case):
    s = Service(case)
    try:
        lines = 0
        for n in range(20):
            s.ask("POST", "/api/v1/ingest?job=j%d" % (n % 3), b"".join(b"step %d loss 1.5\n" % i for i in range(200)), Content_Type="text/plain")
            lines += 200
            if n == 10:
                acknowledged = lines
                case.run("backup", os.path.join(case.folder, "copy"))
        case.run("backup", os.path.join(case.folder, "copy"), status=3, says="is there already")
    finally:
        s.stop()
    case.run("restore", os.path.join(case.folder, "copy"), status=3, says="move the state folder away")
    case.env["FAULTLINE_STATE"] = os.path.join(case.folder, "restored")
    case.run("restore", os.path.join(case.folder, "copy"))
    s = Service(case)
    try:
        got = sum(j["lines"] for j in s.ask("GET", "/api/v1/jobs")[1]["jobs"])
        case.check(got >= acknowledged, "%d lines of %d" % (got, acknowledged))
    finally:
        s.stop()


if __name__ == "__main__":
    sys.exit(run_tests([v for k, v in list(globals().items()) if k.startswith("test_")], sys.argv))
