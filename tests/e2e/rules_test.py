#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`faultline rules test`: what the author of a rule is told.

    rules_test.py PATH/TO/faultline [NAME...]
"""
import json
import os
import sys

from commands import BUS, OOM, RULE, STEPS, run_tests


def rule_file(c, name, *rules, **top):
    base = {k: v for k, v in RULE["rules"][0].items() if k not in ("id", "any", "samples")}
    full = [dict({"samples": {"match": [], "nomatch": []}}, **(rule if "pattern" in rule else dict(base, **rule))) for rule in rules]
    return c.write(name, json.dumps(dict({"format": "faultline.diagnosis/1", "rules": full}, **top)))


def tested(c, *args, **more):
    return json.loads(c.run("rules", "test", "--format", "json", *args, **more).out)


def test_rules_test_samples(c):
    """Every sample that fails is told: which pattern, how far it got, what it should not have matched."""
    path = rule_file(c, "site.json",
                     {"id": "site-a", "any": [r"zebra", r"cooling lost (?:pressure|power) in bay \d+"], "samples": {
                         "match": ["cooling lost power in bay 7", "the cooling lost poise in bay 7", "Cooling Lost Power in bay 7"], "nomatch": ["cooling", "no cooling lost power in bay 12, or so"]}},
                     {"id": "site-b", "scope": "stream", "any": ["cooling lost"], "all": ["bay 7$"], "none": ["recovered"], "samples": {
                         "match": ["cooling lost\nin bay 7", "cooling lost\nin bay 8", "cooling lost\nrecovered bay 7"], "nomatch": []}})
    faults = {(f["rule"], f["kind"], f["number"]): f for f in tested(c, path, status=1)["failed_samples"]}
    c.check(sorted(faults) == [("site-a", "match", 1), ("site-a", "match", 2), ("site-a", "nomatch", 1), ("site-b", "match", 1), ("site-b", "match", 2)], "failing samples: %s" % sorted(faults))
    wants = {("site-a", "match", 1): ("any", 1, "cooling lost (?:pressure|po", "w", "cooling lost po", False),
             ("site-a", "match", 2): ("any", 1, "", "c", "", True),
             ("site-a", "nomatch", 1): ("any", 1, r"cooling lost (?:pressure|power) in bay \d+", "", "cooling lost power in bay 12", False),
             ("site-b", "match", 1): ("all", 0, "bay ", "7", "bay ", False),
             ("site-b", "match", 2): ("none", 0, "recovered", "", "recovered", False)}
    for key, want in wants.items():
        f = faults.get(key, {})
        got = tuple(f.get(k) for k in ("list", "list_number", "reached", "fails", "matched", "caseless_matches"))
        c.check(got == want, "%s is told as %s, not %s" % (key, got, want))
    out = c.run("rules", "test", path, status=1).out.splitlines()
    at = next((i for i, row in enumerate(out) if row == path + ": rule site-a: sample match[1] is not matched"), None)
    if c.check(at is not None, "the failing sample is not told: %s" % out):
        c.check(out[at + 1].index("power") + 2 == out[at + 2].index("^"), "the caret is elsewhere: %s" % out[at:at + 5])
        c.check((out[at + 3].index("cooling"), 15) == (out[at + 4].index("~"), out[at + 4].count("~")), "the sample's marks are elsewhere: %s" % out[at:at + 5])
    c.check(out[-1] == "2 rules, 8 samples, 5 fail", "the summary is %r" % out[-1])
    c.check("(?i)" in "\n".join(out), "no word of letter case")
    c.check("1 rule, 2 samples, 0 fail" in c.run("rules", "test", c.write("good.json", json.dumps(RULE))).out, "a good file is not good")
    c.run("rules", "test", rule_file(c, "broken.json", {"id": "site-c", "any": ["bay (7"]}), status=1, says=["site-c", "bay (7"])
    c.run("rules", "test", "no-such-rule", status=3, says="no-such-rule")
    c.run("rules", "test", os.path.join(c.folder, "none.json"), status=3, says="none.json")
    c.check("\x1b" not in c.run("rules", "test", rule_file(c, "evil.json", {"id": "site-d", "any": ["b\x1b[31m"], "samples": {"match": ["a\x1b[31m"], "nomatch": []}}), status=1).out, "an escape of a sample comes through")


LOST = "widget cooling lost pressure in bay 3\n"


def test_rules_test_jobs(c):
    """What a rule would change: lines, verdicts, jobs as diagnose sees them."""
    path = c.write("site.json", json.dumps(RULE))
    c.write("jobs/one/rank0.log", "nothing here\n" + LOST * 5)
    c.write("jobs/one/rank1.log", STEPS + LOST)
    c.write("jobs/one/config.json", LOST)
    c.write("jobs/one/more/late.log", LOST)
    c.write("jobs/two/attempt_0/0/stderr.log", "nothing\n")
    c.write("jobs/two/attempt_0/1/stderr.log", LOST)
    c.write("jobs/three/rank0/a.log", LOST)
    c.write("jobs/three/rank1/a.log", "nothing\n")
    c.write("jobs/four/calm.log", STEPS)
    single = c.write("w.log", "[rank3]: ERROR " + LOST)
    jobs = os.path.join(c.folder, "jobs")
    report = tested(c, path, jobs + "/", single)
    c.check({k: report["summary"][k] for k in ("jobs", "lines", "changed", "causes_changed", "dangers", "unreadable")} == {"jobs": 5, "lines": 10, "changed": 4, "causes_changed": 4, "dangers": 0, "unreadable": 0}, "summary: %s" % report["summary"])
    told = {os.path.relpath(j["job"], c.folder): j for j in report["jobs"]}
    c.check({k: j["lines"] for k, j in told.items()} == {"jobs/one": 7, "jobs/two": 1, "jobs/three": 1, "w.log": 1}, "lines by job: %s" % {k: j["lines"] for k, j in told.items()})
    w = told["w.log"]
    c.check((w["before"]["verdict"], w["before"]["cause"], w["after"]["cause"], w["after"]["line"]) == ("unknown", None, "node_failure", 1), "w.log: %s" % w)
    c.check(w["first"] == [{"rule": "site-widget-pressure", "file": single, "line": 1, "text": "[rank3]: ERROR " + LOST.strip(), "counts": True, "captures": {"bay": "3"}}], "the line of w.log: %s" % w["first"])
    job = told["jobs/one"]  # as diagnose says it before the rule is installed, and after
    v = c.verdict(os.path.join(jobs, "one"))
    c.check((v["verdict"], v["cause"], v["confidence"]) == (job["before"]["verdict"], job["before"]["cause"], job["before"]["confidence"]), "before: %s, diagnose says %s" % (job["before"], v["verdict"]))
    out = c.run("rules", "test", path, jobs, single).out
    for row in ("w.log:1: site-widget-pressure: [rank3]: ERROR widget", "  {bay=3}", "  ... and 4 more", single + ": unknown %.2f -> node_failure %.2f, proof none -> %s:1" % (w["before"]["confidence"], w["after"]["confidence"], single),
                "1 rule, 2 samples, 0 fail; 5 jobs read, 10 lines matched, 4 verdicts changed (4 in cause)"):
        c.check(row in out, "the text lacks %r: %s" % (row, out))
    c.run("rules", "import", path)
    v = c.verdict(os.path.join(jobs, "one"))
    c.check((v["cause"], v["confidence"], v["evidence"][0]["line"]) == (job["after"]["cause"], job["after"]["confidence"], job["after"]["line"]), "after: %s, diagnose says %s" % (job["after"], v["cause"]))
    for state, one in (("active", path), ("active", "site-widget-pressure"), ("proposed", "site-widget-pressure")):  # the base lacks the installed one
        c.run("rules", "import", c.write("site.json", json.dumps(dict(RULE, rules=[dict(RULE["rules"][0], state=state)]))))
        again = tested(c, one, single)["jobs"]
        c.check(again and again[0]["before"] == w["before"] and again[0]["after"] == w["after"], "%s %s: %s" % (state, one, again))
    c.check(tested(c, path, single, os.path.join(c.folder, "none.log"), status=3, says="none.log")["summary"]["jobs"] == 1, "one unreadable file hides the others")
    c.run("rules", "test", path, "-", status=2, says="read twice")
    os.mkdir(os.path.join(c.folder, "empty"))
    c.run("rules", "test", path, os.path.join(c.folder, "empty"), status=3, says="no log files")


def test_rules_test_tables(c):
    """A rule that looks codes up is tested by its variants; what it has no row for is told, too, if it names a cause."""
    path = rule_file(c, "codes.json", {"id": "site-code", "any": [r"widget errno (?<key>\d+)"], "table": "errno",
                                       "samples": {"match": ["widget errno 28"], "nomatch": ["widget 28"]}})
    log = c.write("w.log", "widget errno 28\nwidget errno 99999\nwidget errno 13\n")
    report = tested(c, path, log)
    first = report["jobs"][0]["first"]
    c.check(report["summary"]["lines"] == 3 and report["failed_samples"] == [], "%s" % report["summary"])
    c.check(sorted((x["line"], x["rule"]) for x in first) == [(1, "site-code.28"), (2, "site-code"), (3, "site-code.13")], "lines: %s" % first)
    for name in ("gpu-xid", "gpu-xid.79"):  # a variant goes with its rule
        job = tested(c, name, c.write("x.log", BUS))["jobs"][0]
        c.check([x["rule"] for x in job["first"]] == ["gpu-xid.79"], "%s: %s" % (name, job["first"]))


TRACE = """[rank2]: Traceback (most recent call last):
[rank2]:   File "/w/pump.py", line 3, in start
[rank2]:     pump.prime()
[rank2]: PumpError: valve 9 is stuck
"""


def test_rules_test_scopes(c):
    """Rules of every scope go through the pipeline itself; what does not count is told as such."""
    path = rule_file(c, "scopes.json",
                     {"id": "site-event", "scope": "event", "any": [r"^PumpError: valve (?<valve>\d+)"], "all": [r"pump\.prime"]},
                     {"id": "site-stream", "scope": "stream", "any": ["widget red"], "all": ["widget amber"]},
                     {"id": "site-job", "scope": "job", "any": ["gadget red"], "all": ["gadget amber"]},
                     {"id": "site-vague", "any": ["GPU has fallen"], "confidence": 0.3})
    c.write("job/a.log", TRACE + "widget amber\nwidget red\ngadget red\n")
    c.write("job/b.log", "widget red\ngadget amber\n" + BUS)
    lines = {}
    report = tested(c, path, os.path.join(c.folder, "job"))["jobs"][0]
    for line in report["first"]:
        lines[line["rule"]] = (os.path.basename(line["file"]), line["line"], line["captures"], line["counts"])
    c.check(report["lines"] == 4, "%d lines" % report["lines"])
    for rule in ("site-event", "site-stream", "site-job", "site-vague"):  # the first three of a job are shown
        alone = json.loads(open(path).read())
        alone["rules"] = [r for r in alone["rules"] if r["id"] == rule]
        job = tested(c, c.write("alone.json", json.dumps(alone)), os.path.join(c.folder, "job"))["jobs"][0]
        c.check(job["lines"] == 1, "%s matches %d lines" % (rule, job["lines"]))
        got = [(os.path.basename(x["file"]), x["line"], x["captures"], x["counts"]) for x in job["first"]]
        want = {"site-event": ("a.log", 4, {"valve": "9"}, True), "site-stream": ("a.log", 6, {}, True), "site-job": ("a.log", 7, {}, True), "site-vague": ("b.log", 3, {}, False)}[rule]
        c.check(got == [want], "%s: %s instead of %s" % (rule, got, want))
        c.check(rule not in lines or lines[rule] == want, "%s beside others: %s" % (rule, lines.get(rule)))


def test_rules_test_filters(c):
    """What a filter would drop that nothing dropped before; first of all what a diagnosis rule knows."""
    top = {"format": "faultline.filters/1", "stack": "site"}
    samples = {"match": ["widget telemetry 3"], "nomatch": ["telemetry"]}
    c.run("rules", "import", rule_file(c, "old.json", {"id": "site-old", "pattern": r"widget telemetry \d\b", "samples": samples}, **top))
    log = c.write("job.log", "".join("widget telemetry %d\n" % i for i in range(25)) + OOM + "\n" + TRACE)
    good = rule_file(c, "good.json", {"id": "site-good", "pattern": r"widget telemetry \d+", "samples": samples}, **top)
    job = tested(c, good, log)["jobs"][0]
    c.check((job["lines"], job["dangers"], job["first"][0]["line"], job["changed"]) == (15, 0, 11, False), "a good filter: %s" % job)
    wide = rule_file(c, "wide.json", {"id": "site-wide", "pattern": r"rank\d+\]: \w+", "samples": {"match": ["[rank3]: x"], "nomatch": ["x"]}}, **top)
    job = tested(c, wide, log)["jobs"][0]
    c.check([(d["line"], d["known_by"]) for d in job["dangerous"]][:1] == [(26, "gpu-oom-torch")], "dangers: %s" % job["dangerous"])
    c.check(job["lines"] == 3, "a wide filter drops %d lines" % job["lines"])
    out = c.run("rules", "test", wide, log).out
    c.check(out.startswith("DANGER") and "job.log:26: site-wide drops what is known to gpu-oom-torch" in out and "DANGEROUS" in out, "the danger is not shown first: %s" % out)
    c.run("rules", "import", rule_file(c, "pump.json", {"id": "site-event", "scope": "event", "any": [r"^PumpError: valve"]}))
    known = [(d["line"], d["known_by"]) for d in tested(c, wide, log)["jobs"][0]["dangerous"]]
    c.check((30, "site-event") in known, "what a rule of scope event knows is no danger: %s" % known)


TESTS = [f for name, f in sorted(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv))
