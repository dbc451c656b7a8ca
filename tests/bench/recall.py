#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well the memory knows failures again: leave one out over folders of labelled logs.

    recall.py build/release/faultline FOLDER... [--with-rules]

Each failed job becomes an incident with the cause of its label, made by `diagnose` with all failure rules
off, so that nothing but the log's own words is there to go by. Then each job is diagnosed again, with all
the others (and the shipped incidents) in memory: is the cause of the nearest one right, or one of the
nearest three? And when the memory gives the verdict (method: incident), is it right?
Jobs that say nothing of a failure without rules (called healthy, or without a telling line), or whose
failure is in their metrics, are left out and counted. Jobs with the same fingerprint are one incident:
the first one's; its cause then answers for the others.
"""
import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile


def jobs(folders):
    for top in folders:
        for folder, _, files in sorted(os.walk(top)):
            if "label.json" in files:
                label = json.load(open(os.path.join(folder, "label.json")))
                if label["cause"] != "healthy":
                    yield folder, [label["cause"]] + (label.get("also_accept") or [])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("binary")
    ap.add_argument("folders", nargs="+")
    ap.add_argument("--with-rules", action="store_true", help="incidents and queries as with all rules")
    args = ap.parse_args()
    env = dict(os.environ, OPENAI_BASE_URL="")
    without = [] if args.with_rules else ["--without-rules", "*"]

    def run(*words, **more):
        return subprocess.run([args.binary, *words], capture_output=True, text=True, env=env, **more).stdout

    def diagnose(folder, state, *more):
        return json.loads(run("diagnose", "--offline", "--format", "json", "--state", state, *without, *more, folder))

    with tempfile.TemporaryDirectory(prefix="fl-recall-") as top:
        known, silent, metric = {}, 0, 0
        for n, (folder, causes) in enumerate(jobs(args.folders)):
            state = os.path.join(top, "one")
            shutil.rmtree(state, ignore_errors=True)
            verdict = diagnose(folder, state)
            metric += verdict["method"] == "signal" and verdict["verdict"] == "failed"
            if "incident" not in verdict or (verdict["method"] == "signal" and verdict["verdict"] == "failed"):
                silent += "incident" not in verdict
                continue
            incident = json.loads(run("incidents", "show", verdict["incident"]["id"], "--format", "json", "--state", state))
            known[folder] = (incident, causes)
        count = collections.Counter()
        rows = []
        for folder, (own, causes) in known.items():
            state = os.path.join(top, "all")
            shutil.rmtree(state, ignore_errors=True)
            others = {}
            for other, (incident, theirs) in known.items():
                if other != folder and incident["id"] not in others:
                    others[incident["id"]] = dict(incident, cause=theirs[0], outcome="confirmed", origin="operator")
            lines = "".join(json.dumps(o) + "\n" for o in others.values())
            os.mkdir(state)
            run("incidents", "import", "--state", state, "-", input=lines)
            verdict = diagnose(folder, state, "--forget")
            near = [(1.0, others[own["id"]]["cause"])] if own["id"] in others else []
            near += [(s["similarity"], s["cause"]) for s in verdict["similar"]]
            count["jobs"] += 1
            count["first"] += bool(near) and near[0][1] in causes
            count["three"] += any(c in causes for _, c in near[:3])
            if verdict["method"] == "incident" and verdict["verdict"] == "failed":
                count["answered"] += 1
                count["answered right"] += verdict["cause"] in causes
            if near:
                rows.append((near[0][0], near[0][1] in causes, os.path.basename(folder), causes[0], near[0][1]))
    n = max(1, count["jobs"])
    print("%d jobs (%d say nothing without rules, %d by their metrics)" % (count["jobs"], silent, metric))
    print("nearest incident has the cause: %.1f %%; one of the nearest three: %.1f %%" % (100 * count["first"] / n, 100 * count["three"] / n))
    print("verdicts by memory: %d, right %d" % (count["answered"], count["answered right"]))
    for least in (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1):
        some = [r for r in rows if r[0] >= least]
        print("  similarity %.1f and more: %3d jobs, %5.1f %% right" % (least, len(some), 100 * sum(r[1] for r in some) / max(1, len(some))))
    for similarity, right, name, cause, got in sorted(rows, reverse=True):
        if not right and similarity >= 0.4:
            print("  wrong at %.2f: %s is %s, nearest %s" % (similarity, name, cause, got))


if __name__ == "__main__":
    main()
