#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`faultline eval` on labelled logs: some of the golden cases, with labels of their own.

    eval.py PATH/TO/faultline [NAME...]      runs the tests whose names contain one of the NAMEs
"""
import json
import os
import re
import shutil
import subprocess
import sys

from commands import HERE, JOB, run_tests

ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
GOLDEN = os.path.join(ROOT, "tests", "golden")
KINDS = ["failed_by_rule", "failed_by_signal", "healthy_by_success", "healthy_by_progress", "unknown"]


def label_golden(c):
    """Some golden cases as labelled logs, two repositories to three cases; returns the folder and their number."""
    top = os.path.join(c.folder, "labelled")
    wants = {}
    for name in sorted(os.listdir(GOLDEN)):
        path = os.path.join(GOLDEN, name, "expect.json")
        if os.path.isfile(path) and not os.path.exists(os.path.join(GOLDEN, name, "known-gap")):
            with open(path, encoding="utf-8") as f:
                wants[name] = json.load(f)
    names = [n for n in wants if wants[n]["verdict"] == "healthy"][:4] + [n for n in wants if wants[n]["verdict"] != "healthy"][::6]
    for i, name in enumerate(names):
        want = wants[name]
        shutil.copytree(os.path.join(GOLDEN, name), os.path.join(top, name), ignore=shutil.ignore_patterns("expect.json"))
        label = {"id": name, "source": "https://github.com/lab/jobs-%d/issues/%d" % (i * 2 // 3, i),
                 "cause": want.get("cause") or want["verdict"], "evidence": []}
        with open(os.path.join(top, name, "label.json"), "w", encoding="utf-8") as f:
            json.dump(label, f)
    return top, len(names)


def share_with(c, calibration):
    """A share folder whose data/calibration.json holds that text (None: there is no such file)."""
    share = os.path.join(c.folder, "share")
    shutil.rmtree(share, ignore_errors=True)
    os.makedirs(os.path.join(share, "data"))
    for name in ("rules", "prompts"):
        os.symlink(os.path.join(ROOT, name), os.path.join(share, name))
    for name in ("taxonomy.json", "incidents.jsonl"):
        os.symlink(os.path.join(ROOT, "data", name), os.path.join(share, "data", name))
    if calibration is not None:
        c.write("share/data/calibration.json", calibration)
    c.env["FAULTLINE_SHARE"] = share


def cases_scored(c, *args):
    found = re.search(r"calibration error +[\d.]+ over (\d+) cases", c.run("eval", *args).out)
    return int(found.group(1)) if found else 0


def check_file(c, text, cases):
    new = json.loads(text)
    c.check(new["format"] == "faultline.calibration/1" and new["cases"] == cases, text[:120])
    c.check(re.fullmatch(r"\d{4}-\d\d-\d\d", new["fitted"]), "fitted %r" % new["fitted"])
    c.check(list(new["kinds"]) == KINDS, "kinds %s" % list(new["kinds"]))
    c.check(sum(k["cases"] for k in new["kinds"].values()) == cases, "the kinds' cases do not add up")
    for name, kind in new["kinds"].items():
        points = kind["points"]
        c.check(points == sorted(points) and [p[1] for p in points] == sorted(p[1] for p in points), "%s falls: %s" % (name, points))
        c.check(all(0.01 <= p[1] <= 0.99 for p in points), "%s: %s" % (name, points))
        c.check(bool(points) == bool(kind["cases"]), "%s: %d cases, points %s" % (name, kind["cases"], points))
    return new


def test_calibrate(c):
    """What --calibrate prints is taken up by the next diagnosis; without a file scores stand."""
    top, cases = label_golden(c)
    share_with(c, None)
    raw = c.verdict("--offline", JOB)
    done = c.run("eval", "--calibrate", top, says=["before", "after", "cross-validated", "error"])
    check_file(c, done.out, cases)
    share_with(c, done.out)
    c.check(c.run("eval", "--calibrate", top).out == done.out, "the fit depends on the file in use")
    points = [[0.0, 0.2], [1.0, 0.6]]
    share_with(c, json.dumps({"format": "faultline.calibration/1", "kinds": {"failed_by_rule": {"points": points}}}))
    v = c.verdict("--offline", JOB)
    c.check(abs(v["confidence"] - (0.2 + 0.4 * raw["confidence"])) < 1e-4, "%s became %s" % (raw["confidence"], v["confidence"]))
    same = [[h["cause"] for h in one["hypotheses"]] for one in (raw, v)]
    c.check(same[0] == same[1] and raw["cause"] == v["cause"], "the order of causes changed: %s" % same)
    sure = [h["confidence"] for h in v["hypotheses"]]
    c.check(sure == sorted(sure, reverse=True) and sure[0] == v["confidence"], "confidences %s" % sure)


def test_calibrate_onto_itself(c):
    """`> data/calibration.json` empties the file that the program reads."""
    top, cases = label_golden(c)
    share_with(c, "")
    with open(os.path.join(c.env["FAULTLINE_SHARE"], "data", "calibration.json"), "wb") as f:
        done = subprocess.run([c.binary, "eval", "--calibrate", top], stdout=f, stderr=subprocess.PIPE, env=c.env, check=False)
    c.check(done.returncode == 0 and b"WARN" not in done.stderr.upper().split(b"CONFIDENCE")[0], done.stderr[-400:])
    with open(os.path.join(c.env["FAULTLINE_SHARE"], "data", "calibration.json"), encoding="utf-8") as f:
        check_file(c, f.read(), cases)
    c.check(c.verdict("--offline", JOB).get("cause") == "gpu_ecc_error", "no verdict with the new file")


def test_broken_calibration(c):
    """A fault in the file is told; the verdict stands, its scores are its confidences."""
    share_with(c, None)
    raw = c.verdict("--offline", JOB)
    for text in ("{", '{"format": "other"}', '{"format": "faultline.calibration/1", "kinds": {"failed_by_rule": {"points": [[0.5, 7]]}}}'):
        share_with(c, text)
        v = c.verdict("--offline", JOB, says="calibration.json")
        c.check(v.get("cause") == raw["cause"] and v.get("confidence") == raw["confidence"], "with %r: %s" % (text, v.get("confidence")))


def test_parts(c):
    """The parts are disjoint, complete, keep repositories whole, and do not change."""
    top, cases = label_golden(c)
    c.check(cases_scored(c, top) == cases == cases_scored(c, "--part", "all", top), "not all cases are scored")
    held = cases_scored(c, "--part", "held-out", top)
    c.check(0 < held < cases / 2, "%d of %d held out" % (held, cases))
    c.check(cases_scored(c, "--part=worked-on", top) == cases - held, "the parts do not add up")
    parts = set()
    for name in sorted(os.listdir(top)):  # each case alone belongs to the part of its repository
        with open(os.path.join(top, name, "label.json"), encoding="utf-8") as f:
            repository = json.load(f)["source"].rsplit("/issues/", 1)[0]
        done = c.run("eval", "--part", "held-out", os.path.join(top, name), status=None)
        c.check(done.returncode in (0, 3), "exit status %d" % done.returncode)
        parts.add((repository, done.returncode == 0))
    c.check(len(parts) == len({r for r, _ in parts}), "a repository stands in both parts")
    c.run("eval", "--part", "half", top, status=2, says="held-out")


def test_folders(c):
    top, cases = label_golden(c)
    names = sorted(os.listdir(top))
    c.check(cases_scored(c, *(os.path.join(top, n) for n in names)) == cases, "several folders are not several folders")
    c.run("eval", status=2)
    c.run("eval", c.folder + "/none", status=3, says="none")


def test_causes_table(c):
    """tests/bench/causes.py: rows add up, grep's share is counted from the logs."""
    top, cases = label_golden(c)
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "bench", "causes.py"), c.binary, top], capture_output=True,
                          text=True, env=c.env, check=False)
    c.check(done.returncode == 0, done.stderr[-600:])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if line.startswith("|")]
    counts = [r for r in rows if r[0].startswith("`")]
    total = next(r for r in rows if r[0] == "**all failures**")
    c.check(sum(int(r[1]) for r in counts) == int(total[1]), "the causes' cases do not add up to %s" % total[1])
    healthy = next(r for r in rows if r[0] == "called failed")
    c.check(int(total[1]) + int(healthy[1]) == cases, "%s + %s cases" % (total[1], healthy[1]))
    c.check(healthy[2] == "0" and int(healthy[3]) > 0, "healthy: %s" % healthy)
    c.check(int(total[2]) == int(total[1]) and 0 < int(total[6]) <= int(total[1]), "totals: %s" % total)


TESTS = [f for name, f in sorted(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv))
