#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""signals --against, as its users meet it.

    drift.py PATH/TO/faultline [NAME...]
"""
import json
import math
import os
import random
import sys

from commands import run_tests


def table(n, seed, skewed=False):
    """Features of a model; skewed: what a broken serving path makes of them."""
    rng = random.Random(seed)
    rows = ["id,age,income,score,emb_std,country,comment"]
    for i in range(n):
        income = "" if skewed and rng.random() < 0.3 else "%.2f" % rng.lognormvariate(10, 1)
        score = "nan" if skewed and rng.random() < 0.05 else "%.4f" % rng.random()
        rows.append("%d,%.1f,%s,%s,%s,\"%s\",c%d" % (
            i, rng.gauss(40, 10) + 12 * skewed, income, score, "0.0" if skewed else "%.4f" % rng.gauss(1, 0.2),
            rng.choice(["DE", "FR"] if not skewed else ["DE", "BR"]), rng.getrandbits(40)))
    return "\n".join(rows) + "\n"


def run_log(seed, parts=10**9, n=400, nan_from=10**9):
    rng, other = random.Random(seed), random.Random(99)
    lines = []
    for i in range(n):
        loss = 2 + 8 * math.exp(-i / 60) + 0.05 * rng.random()
        loss *= 1 + (0.001 * other.random() if i >= parts else 0)
        lines.append("step %d loss %s tps: %d" % (i, "nan" if i >= nan_from else "%.5f" % loss, 6000 + other.randint(-50, 50)))
    return "\n".join(lines) + "\n"


def against(case, reference, path, *more, **how):
    return json.loads(case.run("signals", "-f", "json", "--against", reference, path, *more, **how).out or "{}")


def test_tables(case):
    ref, same = case.write("train.csv", table(9000, 1)), case.write("same.csv", table(3000, 2))
    bad = case.write("serve.csv", table(3000, 3, True))
    told = against(case, ref, same, "--fail-on", "low")
    case.check(told["schema"] == "faultline.drift/1" and told["worst"] is None and told["passed_over"] == 2, "healthy: %r" % told)
    case.check(len(told["columns"]) == 5 and not any(c["kinds"] for c in told["columns"]), "columns: %r" % told["columns"])
    told = against(case, ref, bad, "--fail-on", "high", status=1)
    found = {c["name"]: (c["kinds"], c["severity"]) for c in told["columns"]}
    case.check(found == {"age": (["shift"], "high"), "income": (["missing"], "high"), "score": (["not_finite"], "medium"),
                         "emb_std": (["collapse"], "high"), "country": (["shift"], "high")}, "found: %r" % found)
    age = [c for c in told["columns"] if c["name"] == "age"][0]
    case.check(1 < age["psi"] < 2.5 and abs(age["ks"] - 0.45) < 0.05 and age["p"] < 1e-9, "age: %r" % age)
    small = case.write("small.csv", table(30, 4))
    case.check(against(case, ref, small)["worst"] is None, "thirty rows alarm")
    case.check(against(case, ref, bad) == against(case, ref, bad), "it is not the same twice")


def test_a_part_of_a_large_table(case):
    """More rows than a sample holds, and the drift is in the last of them."""
    rows = table(30000, 1).split("\n")
    late = rows[:20000] + table(10000, 5, True).split("\n")[1:]
    told = against(case, case.write("a.csv", "\n".join(rows)), case.write("b.csv", "\n".join(late)))
    age = [c for c in told["columns"] if c["name"] == "age"][0]
    case.check("shift" in age["kinds"] and 0.1 < age["psi"] < 0.5, "age: %r" % age)
    income = [c for c in told["columns"] if c["name"] == "income"][0]
    case.check(abs(income["missing"][1] - 0.1) < 0.01, "all rows are counted: %r" % income["missing"])


def test_json_lines(case):
    rng = random.Random(7)
    ref = [{"u": rng.gauss(0, 1), "tag": rng.choice("ab"), "deep": {"x": [1, "}"]}, "old": 1} for _ in range(500)]
    now = [{"tag": rng.choice("ab"), "u": float("nan") if i % 5 == 0 else rng.gauss(0, 1), "new \"one\"": None} for i in range(500)]
    told = against(case, case.write("ref.jsonl", "\n".join(map(json.dumps, ref))),
                   case.write("now.jsonl", "\n".join(map(json.dumps, now)) + "\n{broken\n\n[1]\n"))
    case.check([(c["name"], c["kinds"]) for c in told["columns"] if c["kinds"]] == [("u", ["not_finite"])], "found: %r" % told["columns"])
    case.check(told["columns"][0]["not_finite"] == [0, 0.2], "share: %r" % told["columns"][0])
    case.check(told["only_in_reference"] == ["old"] and len(told["not_in_reference"]) == 1, "names: %r" % told)


def test_reruns(case):
    first = case.write("first.log", run_log(1))
    told = against(case, first, case.write("again.log", run_log(1, parts=150)), "--fail-on", "low", status=1)
    case.check(told["worst"] == "low" and len(told["reruns"]) == 1, "rerun: %r" % told["reruns"])
    one = told["reruns"][0]
    case.check((one["metric"], one["kind"], one["from_step"]) == ("loss", "rerun_differs", 150), "rerun: %r" % one)
    case.check(0 < one["first"] <= 0.001 and one["most"] <= 0.001 and one["common_steps"] == 400, "how much: %r" % one)
    for name, log in (("equal", run_log(1)), ("seed", run_log(2)), ("longer", run_log(1, n=800))):
        told = against(case, first, case.write(name + ".log", log), "--fail-on", "low")
        case.check(told["worst"] is None and not told["reruns"], "%s: %r %r" % (name, told["reruns"], told["worst"]))
    told = against(case, first, case.write("nan.log", run_log(1, nan_from=300)))
    loss = [c for c in told["columns"] if c["name"] == "loss"][0]
    case.check(loss["kinds"] == ["not_finite"] and loss["not_finite"] == [0, 0.25], "nan: %r" % loss)
    as_table = lambda log: "step,loss\n" + "\n".join("%s,%s" % tuple(l.split()[1:4:2]) for l in log.splitlines())
    told = against(case, case.write("first.csv", as_table(run_log(1))), case.write("again.csv", as_table(run_log(1, parts=150))))
    case.check([r["from_step"] for r in told["reruns"]] == [150], "tables: %r" % told["reruns"])
    text = case.run("signals", "--against", first, os.path.join(case.folder, "again.log")).out
    case.check("rerun_differs, low severity: loss parts at step 150, " in text, "text: %r" % text)


def test_formats(case):
    nasty = "<script>x</script>|`b`"
    ref, bad = (case.write(n, table(2000, 1, s).replace("emb_std", nasty)) for n, s in (("a.csv", False), ("b.csv", True)))
    text = case.run("signals", "--against", ref, bad).out
    case.check(text.startswith("5 of 5 columns drifted, high severity; 2 more") and "collapse" in text, "text: %r" % text[:200])
    out = case.run("signals", "-f", "markdown", "--against", ref, bad).out
    case.check("\\<script\\>" in out and out.count("\n| ") == 6, "markdown: %r" % out)
    page = case.run("signals", "-f", "html", "--against", ref, bad).out
    case.check("<script" not in page and page.count("<tr>") == page.count("</tr>") == 6 and page.endswith("</html>\n"), "html: %r" % page[-600:])


def test_what_cannot_be_compared(case):
    ref, log = case.write("a.csv", table(50, 1)), case.write("b.log", run_log(1))
    case.run("signals", "--against", ref, log, status=3, says=["nothing to compare: the reference has id, age", "has loss", "Give two tables"])
    case.run("signals", "--against", ref, case.write("empty.csv", ""), status=3, says="the other side has nothing")
    case.run("signals", "--against", os.path.join(case.folder, "absent.csv"), ref, status=3, says="absent.csv")
    case.run("signals", "--against", ref, status=2, says="PATH")
    case.run("signals", "--against", ref, "--metric", "loss", ref, status=2, says="leave --metric out")
    wide = ",".join("c%d" % i for i in range(400)) + "\n" + "\n".join(",".join(["1"] * 400) for _ in range(30))
    told = against(case, case.write("wide.csv", wide), case.write("wide2.csv", wide))
    case.check(told["worst"] is None, "four hundred columns: %r" % told["worst"])


if __name__ == "__main__":
    sys.exit(run_tests([v for k, v in list(globals().items()) if k.startswith("test_")], sys.argv))
