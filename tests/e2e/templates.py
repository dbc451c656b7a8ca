#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""templates, diff, learn and diagnose --learn, as their users meet them.

    templates.py PATH/TO/faultline [NAME...]
"""
import json
import os
import random
import re
import sys

from commands import HEALTHY, JOB, OOM, run_tests


def healthy_log(seed, n=400):
    rng = random.Random(seed)
    lines = []
    for i in range(n):
        lines.append("[rank%d]: 2031-03-14 11:%02d:%02d,%03d [INFO] loader - shard %d packed from /data/s%d.bin in %d ms" % (
            i % 4, i // 60 % 60, i % 60, rng.randint(0, 999), i, i, rng.randint(1, 900)))
        lines.append("[rank%d]: step %d loss %.4f lr %.2e tokens/s %d" % (i % 4, i, rng.random(), rng.random(), i * 7))
    return lines


def templates_of(case, *args):
    return json.loads(case.run("templates", "--format", "json", *args).out)


def test_templates(case):
    path = case.write("job.log", "\n".join(healthy_log(1)) + "\nthis came once only\n")
    told = templates_of(case, path)
    case.check(told["schema"] == "faultline.templates/1" and told["lines"] == 801, "head: %r" % told["lines"])
    case.check(len(told["templates"]) == 3, "templates: %r" % [t["template"] for t in told["templates"]])
    first = told["templates"][0]
    case.check(first["count"] == 400 and first["ranks"] == 4, "the first: %r" % first)
    shown = {t["template"] for t in told["templates"]}
    case.check("[INFO] loader - shard <num> packed from <path> in <num> ms" in shown, "shown: %r" % shown)
    case.check(templates_of(case, path) == told, "a second run tells something else")
    text = case.run("templates", path).out
    case.check(re.search(r"^400 x ", text, re.M) and "first %s:" % path in text, "text: %r" % text[:300])
    rare = case.run("templates", "--rare", "--limit", "1", path).out
    case.check("1 x this came once only" in rare and "400 x" not in rare, "--rare: %r" % rare)
    piped = case.run("templates", stdin=open(path, "rb").read()).out
    case.check("400 x " in piped, "standard input: %r" % piped[:200])
    case.run("templates", os.path.join(case.folder, "absent"), status=3, says="no log could be read")


def test_order_does_not_matter(case):
    lines = healthy_log(2) + ["odd line %s here" % w for w in ("a", "b", "c")]
    rng = random.Random(5)
    seen = set()
    for i in range(3):
        rng.shuffle(lines)
        told = templates_of(case, case.write("l%d.log" % i, "\n".join(lines) + "\n"))
        seen.add(tuple((t["id"], t["template"], t["count"]) for t in told["templates"]))
    case.check(len(seen) == 1, "%d different answers" % len(seen))


def test_diff(case):
    good = [case.write("good%d.log" % i, "\n".join(healthy_log(i)) + "\n") for i in (1, 2)]
    bad = healthy_log(3)
    bad[500:500] = ["[rank2]: resharding because peer 3 went quiet", OOM]
    bad += ["[rank1]: waiting for the others"] * 30
    case.write("bad/rank0.log", "\n".join(bad) + "\n")
    folder = os.path.join(case.folder, "bad")
    told = json.loads(case.run("diff", "-f", "json", *good, "--", folder).out)
    new = [t["template"] for t in told["new"]]
    case.check(len(new) == 3, "new: %r" % new)
    case.check(new and "CUDA out of memory" in new[0], "an alarming rare line comes first: %r" % new)
    case.check(told["new"][0]["rank"] == 3 and told["new"][0]["first"]["line"] == 502, "first: %r" % told["new"][0])
    case.check(told["new"][-1]["bad"] == 30 and not told["grown"] and not told["silent"], "the rest: %r" % told["new"][-1])
    text = case.run("diff", good[0], folder).out
    case.check("Only in the bad run (3)" in text, "text: %r" % text[:300])
    same = case.run("diff", good[0], good[1]).out
    case.check("nothing that the good ones do not say" in same, "two good runs: %r" % same)
    silent = json.loads(case.run("diff", "-f", "json", good[0], case.write("x.log", "\n".join(bad[0::2]) + "\n")).out)["silent"]
    case.check([t["bad"] for t in silent] == [0], "silent: %r" % silent)
    case.run("diff", good[0], status=2, says="GOOD... -- BAD...")
    case.run("diff", good[0], "--", status=2, says="GOOD... -- BAD...")
    case.run("diff", good[0], "--", os.path.join(case.folder, "absent"), status=3)


def learned(case):
    path = os.path.join(case.state, "rules", "learned_filters.json")
    return json.load(open(path))["rules"] if os.path.exists(path) else []


def test_learn(case):
    lines = healthy_log(4) + ["error budget %d of the day" % i for i in range(50)] + ["x %d" % i for i in range(9)]
    path = case.write("good.log", "\n".join(lines) + "\n")
    out = case.run("learn", "--healthy", "--job", "nightly", path).out
    rules = learned(case)
    case.check("2 filter rules proposed" in out and len(rules) == 2, "it said %r; rules %r" % (out, [r["pattern"] for r in rules]))
    case.check("words that failures use" in out and "too few bytes" in out, "reasons: %r" % out)
    for rule in rules:
        case.check(rule["state"] == "proposed", "state: %r" % rule["state"])
        case.check(rule["origin"]["job"].startswith("nightly (400 of ") and rule["origin"]["time"], "origin: %r" % rule["origin"])
        case.check(rule["pattern"].startswith("^") and rule["pattern"].endswith("$"), "anchors: %r" % rule["pattern"])
    again = case.run("learn", "--healthy", path).out
    case.check("0 filter rules proposed, 2 known" in again and len(learned(case)) == 2, "again: %r" % again)
    only = case.write("only.json", json.dumps([r["pattern"] for r in rules]))
    other = healthy_log(9) + [OOM, "error budget 3 of the day",
                              "[rank1]: 2031-03-14 11:00:00,000 [INFO] loader - shard 3 packed from /data/failed.bin in 4 ms"]
    left = case.run("filter", "--only", only, case.write("new.log", "\n".join(other) + "\n")).out.splitlines()
    case.check(left == other[-3:], "left: %r" % left[:5])
    kept = case.run("filter", case.write("n.log", "\n".join(other) + "\n")).out.splitlines()
    case.check(sum("packed" in k for k in kept) > 300, "a proposal was applied")


def test_learn_from_a_failed_job(case):
    """Only what recurs over time and ranks counts, and not what comes near the end."""
    def heartbeat(n):
        return ["[rank%d]: heartbeat of the feeder, queue %d" % (i % 4, i) for i in range(n)]
    lines = heartbeat(2000) + ["[rank0]: only one rank says such things %d" % i for i in range(900)]
    lines += ["[rank%d]: the burst came at one moment, number %d" % (i % 4, i) for i in range(100)] + heartbeat(100)
    lines += ["[rank%d]: waiting for peer %d to answer" % (i % 4, i) for i in range(300)]
    out = case.run("learn", case.write("bad.log", "\n".join(lines) + "\n")).out
    patterns = [r["pattern"] for r in learned(case)]
    case.check(len(patterns) == 1 and "heartbeat" in patterns[0], "%r: %r" % (out, patterns))
    for why in ("over time", "over ranks", "before the end"):
        case.check(why in out, "%r lacks %r" % (out, why))


def test_diagnose_learns(case):
    plain = case.verdict("--offline", JOB)
    done = case.run("diagnose", "--offline", "--learn", "--format", "json", JOB)
    verdict = json.loads(done.out)
    for key in ("cause", "confidence", "evidence"):
        case.check(verdict[key] == plain[key], "%s changed: %r" % (key, verdict[key]))
    case.check("filter rules proposed" in done.err and learned(case), "it said %r" % done.err)
    case.run("diagnose", "--offline", "--learn", HEALTHY)
    only = case.write("only.json", json.dumps([r["pattern"] for r in learned(case)]))
    for e in plain["evidence"]:
        left = case.run("filter", "--only", only, stdin=(e["text"] + "\n").encode()).out
        case.check(left == e["text"] + "\n", "a learned rule hides %r" % e["text"])
    case.run("diagnose", "--offline", "--learn", "-", stdin=b"x\n", status=2, says="reads the logs twice")


if __name__ == "__main__":
    sys.exit(run_tests([v for k, v in list(globals().items()) if k.startswith("test_")], sys.argv))
