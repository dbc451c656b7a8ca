#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""signals, as its users meet it.

    signals.py PATH/TO/faultline [NAME...]
"""
import json
import math
import os
import random
import re
import subprocess
import sys
import time
from html.parser import HTMLParser

from commands import HEALTHY, OOM, append, run_tests, wait_until_open

STEPS = 1600
BLOCKS = "▁▂▃▄▅▆▇█×"


def diverging(spike=700, nan_from=1500):
    """One printer: the loss grows at the end, then is nan; one value of the gradient norm stands out."""
    rng = random.Random(4)
    lines = []
    for i in range(1, STEPS + 1):
        loss = 2.2 + 8.5 * math.exp(-i / 150) + 0.05 * rng.random() + max(0, (i - 1200) / 40)
        norm = 9000 if i == spike else 0.8 + 0.3 * rng.random()
        lines.append("step %d loss %s grad_norm %.3f tps: %d" % (
            i, "nan" if i >= nan_from else "%.4f" % loss, norm, 12000 + rng.randint(-300, 300)))
    return "\n".join(lines) + "\n"


def ranks(case, slow=2, n=4):
    """All ranks print the same loss, and times of their own; one is slow from step 150 on."""
    rng = random.Random(5)
    loss = [2 + 8 * math.exp(-i / 50) + 0.05 * rng.random() for i in range(300)]
    paths = []
    for k in range(n):
        lines = ["[rank%d]: step %d loss %.4f step_time %.3f" % (
            k, i, loss[i], (1.6 if k == slow and i >= 150 else 1) + 0.05 * rng.random()) for i in range(300)]
        paths.append(case.write("rank%d.log" % k, "\n".join(lines) + "\n"))
    return paths


def test_files_of_loggers(case):
    """What Hugging Face's Trainer and exports of loggers leave; Python's NaN is no JSON."""
    history = [{"epoch": i / 10, "grad_norm": 1.0 + i % 3, "learning_rate": 1e-5, "loss": 2.0 - i / 100 if i < 60 else float("nan"),
                "step": 10 * i} for i in range(1, 100)]
    history.insert(50, {"epoch": 5.0, "eval_loss": 1.7, "eval_runtime": 3.1, "step": 500})
    state = {"best_metric": None, "epoch": 9.9, "global_step": 990, "log_history": history, "trial_name": "a [b] {c"}
    for indent in (None, 2):
        path = case.write("checkpoint-%s-trainer_state.json" % indent, json.dumps(state, indent=indent))
        told = json.loads(case.run("signals", "--format", "json", path).out)
        loss = of_metric(told, "loss")[0]
        case.check((loss["count"], loss["not_finite"], loss["to_step"]) == (99, 40, 990), "indent %s: %r" % (indent, loss))
        case.check([s["metric"] for s in told["series"]] == ["loss", "eval_loss", "grad_norm", "learning_rate"], "metrics")
        verdict = case.verdict(path)
        case.check(verdict["cause"] == "numerical_instability" and verdict["evidence"][0]["text"] in open(path).read(), "verdict: %r" % verdict["cause"])
    case.run("signals", case.write("trainer_state.json", '{"epoch": 1.0}'), status=3, says="log_history")
    rows = "".join(json.dumps({"train/loss": 2.5 - i / 100, "_runtime": 3.5 * i, "_step": i}) + "\n" for i in range(60))
    told = json.loads(case.run("signals", "--format", "json", case.write("history.jsonl", rows)).out)
    case.check(of_metric(told, "loss")[0]["to_step"] == 59, "rows of JSON: %r" % told["series"])


def of_metric(told, metric):
    return [s for s in told["series"] if s["metric"] == metric]


def test_json(case):
    path = case.write("job.log", diverging())
    told = json.loads(case.run("signals", "--format", "json", path).out)
    case.check(told["schema"] == "faultline.signals/1" and told["worst"] == "high", "head: %r" % told["worst"])
    case.check([s["metric"] for s in told["series"]] == ["loss", "grad_norm", "throughput"], "series: %r" % [s["metric"] for s in told["series"]])
    loss = of_metric(told, "loss")[0]
    case.check(loss["count"] == STEPS and loss["not_finite"] == 101, "counts: %r %r" % (loss["count"], loss["not_finite"]))
    case.check((loss["from_step"], loss["to_step"], loss["last"]) == (1, STEPS, "nan"), "ends: %r" % loss["last"])
    case.check(len(loss["points"]) <= 1030 and loss["points"][-1] == [STEPS, "nan"], "points: %d" % len(loss["points"]))
    case.check(loss["max"] == max(v for _, v in loss["points"] if v != "nan"), "max %r" % loss["max"])
    steps = [s for s, _ in loss["points"]]
    case.check(steps == sorted(set(steps)), "steps are not in order")
    kinds = {d["kind"]: d for d in loss["detections"]}
    case.check(set(kinds) == {"nan", "divergence"}, "detections: %r" % sorted(kinds))
    nan = kinds["nan"]
    case.check(nan["from_step"] == 1500 and nan["evidence"]["line"] == 1500 and nan["cause"] == "numerical_instability", "nan: %r" % nan)
    with open(path, "rb") as f:
        f.seek(nan["evidence"]["offset"])
        case.check(f.readline().decode().rstrip("\n") == nan["evidence"]["text"], "evidence is not at its offset")
    norm = of_metric(told, "grad_norm")[0]
    case.check(norm["max"] == 9000 and [700, 9000] in norm["points"], "a spike between two sampled lines is lost")
    verdict = case.verdict("--offline", path)
    shown = [(d["metric"], d["kind"], d["from_step"]) for s in told["series"] for d in s["detections"]]
    case.check(sorted(shown) == sorted((s["metric"], s["kind"], s["from_step"]) for s in verdict["signals"]), "diagnose tells others: %r" % shown)


def test_text(case):
    path = case.write("job.log", diverging())
    case.env.update(LC_ALL="C.UTF-8")
    text = case.run("signals", path).out
    lines = text.split("\n")
    case.check(lines[0].startswith("3 metrics in 1 file, ") and "high severity" in lines[0], "head: %r" % lines[0])
    spark = lines[lines.index("loss") + 1].strip()
    case.check(len(spark) == 64 and set(spark) <= set(BLOCKS), "sparkline: %r" % spark)
    case.check(spark[0] == "█" and spark.endswith("×××"), "sparkline: %r" % spark)
    marks = [l for l in lines if re.match(r" +\^+ nan$", l)]
    case.check(marks and marks[0].index("^") - 2 == spark.index("×"), "marks: %r" % marks)
    case.check("steps 1 to 1600, 1600 values (101 not finite): first " in text, "numbers: %r" % text)
    case.check("    > job.log:1500  step 1500 loss nan" in text, "evidence: %r" % text)
    for how in (dict(LC_ALL="C"), dict(LC_ALL="", LC_CTYPE="", LANG="en_GB.ISO-8859-1")):
        case.env.update(how)
        case.check(case.run("signals", path).stdout.isascii(), "not ASCII with %r" % how)
    case.env.update(LC_ALL="", LC_CTYPE="en_GB.utf8", LANG="C")
    case.check("█" in case.run("signals", path).out, "LC_CTYPE says UTF-8")
    case.check(case.run("signals", "--ascii", path).stdout.isascii(), "--ascii")
    narrow = case.run("signals", "--width", "20", "-m", "loss", path).out.split("\n")
    case.check(len(narrow[3].strip()) == 20, "--width: %r" % narrow[3])
    case.run("signals", "--width", "0", path, status=2, says="--width takes")


def test_choice_and_exit_status(case):
    path = case.write("job.log", diverging())
    only = json.loads(case.run("signals", "-f", "json", "--metric", "throughput,loss", path).out)
    case.check([s["metric"] for s in only["series"]] == ["loss", "throughput"], "--metric: %r" % [s["metric"] for s in only["series"]])
    case.run("signals", "--metric", "loss,malus", path, status=2, says=["no metric is called malus", "grad_norm"])
    case.run("signals", "--metric", "", path, status=2, says="no metric is called")
    case.run("signals", "--fail-on", "high", path, status=1)
    case.run("signals", "--fail-on", "critical", path)
    case.run("signals", "--fail-on", "low", "--metric", "throughput", path)
    case.run("signals", "--fail-on", "low", HEALTHY)
    case.run("signals", status=2, says="signals PATH...")
    case.run("signals", os.path.join(case.folder, "absent"), status=3, says="no log could be read")
    case.check("nothing wrong found" in case.run("signals", HEALTHY).out, "a healthy job")


def test_ranks(case):
    told = json.loads(case.run("signals", "-f", "json", *ranks(case)).out)
    loss = of_metric(told, "loss")
    case.check(len(loss) == 1 and [p["rank"] for p in loss[0]["printers"]] == [0, 1, 2, 3], "the same loss: %r" % [s["printers"] for s in loss])
    times = of_metric(told, "step_time")
    case.check(len(times) == 4, "%d series of times" % len(times))
    found = [(s["printers"][0]["rank"], d["kind"], d["rank"]) for s in times for d in s["detections"]]
    case.check(found == [(2, "straggler", 2)], "detections: %r" % found)
    text = case.run("signals", case.folder).out
    case.check("loss  4 files, ranks 0-3\n" in text and "step_time  rank1.log, rank 1\n" in text, "labels: %r" % text)
    case.check(text.index("rank2.log, rank 2") < text.index("rank0.log, rank 0"), "the odd one comes first")


def test_many_ranks(case):
    lines = ["[rank%d]: step %d loss 2.5 step_time %.3f" % (k, i, 1 + random.Random(i * 99 + k).random() / 20) for i in range(30) for k in range(20)]
    path = case.write("job.log", "\n".join(lines) + "\n")
    text = case.run("signals", path).out
    case.check(text.count("step_time  rank") == 8 and "... and 12 more" in text, "some: %r" % text[-300:])
    case.check(case.run("signals", "--all", path).out.count("step_time  rank") == 20, "--all")
    page = case.run("signals", "-f", "html", path).out
    case.check(page.count('<path class="p') == 21 and "<summary>8 more" in page, "all are in the plot")


class Page(HTMLParser):
    VOID = ("meta",)

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.loads, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href") and not v.startswith("#")] + [k for k, _ in attrs if k.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data


def test_html(case):
    nasty = "<script>alert(1)</script> \"'><img src=x onerror=y> &lt; \x07"
    text = diverging().replace("loss nan", nasty + " loss nan")
    name = "<b onclick=z>.log"
    page = case.run("signals", "-f", "html", case.write(name, text)).out
    seen = Page()
    seen.feed(page)
    case.check(not seen.open and seen.tags.count("svg") == 3, "open: %r, plots: %d" % (seen.open, seen.tags.count("svg")))
    case.check(not seen.loads and not {"script", "img", "b onclick", "link", "iframe"} & set(seen.tags), "it loads or runs: %r" % seen.loads)
    case.check("alert(1)</script>" in seen.text and name in seen.text and "\x07" not in page, "text of the log is missing")
    case.check("NaN" not in page and "\"nan" not in page and "inf\"" not in page, "a coordinate is not finite")
    case.check("url(" not in page and "@import" not in page and "prefers-color-scheme" in page, "style")
    for path, what in (("empty.log", "step 1 loss nan\n" * 3), ("one.log", "step 5 loss 2.5\n"), ("flat.log", "step 5 loss 2.5\nstep 6 loss 2.5\n"),
                       ("huge.log", "step 1 loss 1e308\nstep 2 loss -1e308\nstep 900000000000000000 loss 1e-300\n")):
        page = case.run("signals", "-f", "html", case.write(path, what)).out
        case.check("<svg" in page and not re.search(r'[="\s](-?nan|-?inf)["\s]', page), "%s: %r" % (path, page[-900:]))
        case.run("signals", path, cwd=case.folder)


def test_markdown(case):
    text = re.sub("(loss nan.*)", r"\1 [x](http://y) `z` |", diverging())
    out = case.run("signals", "-f", "markdown", "--ascii", case.write("job.log", text)).out
    case.check(out.startswith("## 3 metrics") and "### loss" in out and out.count("```") % 2 == 0, "head: %r" % out[:200])
    case.check("\\[x\\]\\(http://y\\) \\`z\\` \\|" in out, "escaped: %r" % out)


def test_no_metric(case):
    path = case.write("plain.log", "hello\nworld\n")
    for form in ("text", "markdown", "html"):
        out = case.run("signals", "-f", form, path).out
        case.check("No metric was found in 1 file, 2 lines" in out and "faultline.metrics/1" in out and "rules import" in out, "%s: %r" % (form, out[-700:]))
    told = json.loads(case.run("signals", "-f", "json", path, says="no metric was found").out)
    case.check(told["series"] == [] and told["worst"] is None, "json: %r" % told)


def test_runs_and_tables(case):
    one = "\n".join("step %d loss %.3f" % (i, 5 - i / 100) for i in range(100))
    start = "\nTraining started: world size 4\n"
    table = case.write("metrics.csv", "step,loss,memory\n" + "\n".join("%d,%.3f,40" % (i, 5 - i / 100) for i in range(100)) + "\n")
    told = json.loads(case.run("signals", "-f", "json", table).out)
    case.check([(s["metric"], s["count"]) for s in told["series"]] == [("loss", 100), ("memory", 100)], "table: %r" % told["series"])
    piped = case.run("signals", "-", stdin=(one + start + one).encode()).out
    case.check("loss" in piped, "standard input: %r" % piped)


def site_detector(**more):
    one = {"id": "site-frames-drop", "metric": "throughput", "statistic": "ratio_to_first", "window": 10, "comparison": "below",
           "value": 0.8, "duration": 20, "kind": "straggler", "severity": "critical", "cause": "straggler", "confidence": 0.6,
           "text": "the throughput is {value} of what it was, from step {step} on"}
    one.update(more)
    return json.dumps({"format": "faultline.detectors/1", "detectors": [one]})


def test_declared(case):
    """A detector of a file: checked, imported, heard by signals and by diagnose."""
    slow = "\n".join("step %d loss 2.5 tps: %d" % (i, 1000 - (i > 100) * 250) for i in range(200)) + "\n"
    path = case.write("job.log", slow)
    case.check(not case.verdict("--offline", path)["signals"], "found without it")
    own = case.write("site.json", site_detector())
    case.check("0 rules, 0 bad" in case.run("rules", "lint", own).out, "lint")
    for bad, says in (({"metric": "malus"}, "names a metric malus"), ({"statistic": "modus"}, "must be one of mean"),
                      ({"windwo": 3}, "no key \"windwo\"")):
        other = case.write("bad.json", site_detector(**bad))
        case.run("rules", "lint", other, status=1, says=["bad.json: detector site-frames-drop: ", says])
        case.run("rules", "import", other, status=3, says="nothing imported")
    case.check("and a detector imported" in case.run("rules", "import", own).out, "import")
    case.check(re.search(r"^site-frames-drop .* detector +throughput straggler$", case.run("rules", "list").out, re.M), "list")
    told = json.loads(case.run("signals", "-f", "json", "--fail-on", "critical", path, status=1).out)
    found = [d for s in told["series"] for d in s["detections"]]
    case.check([(d["detector"], d["from_step"], d["evidence"]["line"]) for d in found] == [("site-frames-drop", 109, 110)], "found: %r" % found)
    case.check(found and found[0]["text"] == "the throughput is 0.775 of what it was, from step 109 on", "text: %r" % found)
    verdict = case.verdict("--offline", path)
    case.check(verdict["cause"] == "straggler" and verdict["method"] == "signal", "verdict: %r" % verdict["cause"])
    back = case.write("back.log", slow + "\n".join("step %d loss 2.5 tps: 1000" % i for i in range(200, 300)) + "\n")
    verdict = case.verdict("--offline", back)
    case.check(verdict["cause"] != "straggler" and len(verdict["signals"]) == 1, "it got over it: %r" % verdict["cause"])
    case.write("state/rules/operator/broken.json", site_detector(id="broken", metric="malus"))
    case.check(case.verdict("--offline", path, says="detector broken: ")["cause"] == "straggler", "a bad one beside it")


def test_live(case):
    """A job that fails, goes on, and then learns no more: told while it runs; the verdict stands alone on standard output."""
    path, told = case.write("job.log", ""), os.path.join(case.folder, "told")
    with open(told, "wb") as errors:
        p = subprocess.Popen([case.binary, "diagnose", "--offline", "--follow", "--format", "json", path], env=case.env, stdout=subprocess.PIPE, stderr=errors)

    def events(n, write=lambda: None):
        """The first n events, when there are so many; write is called meanwhile."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with open(told) as f:
                lines = [json.loads(l) for l in f.read().split("\n") if l.startswith("{") and l.endswith("}")]
            if len(lines) >= n:
                return lines
            write()
            time.sleep(0.2)
        case.check(False, "%d events instead of %d: %r" % (len(lines), n, lines))
        return lines + [{"signal": {}}] * n

    step = iter(range(1, 10000))

    def lines(n, loss="2.5"):
        append(path, "".join("step %d loss %s\n" % (next(step), loss) for _ in range(n)))

    wait_until_open(p, [path])
    lines(40)
    append(path, OOM + "\n")
    one = events(1)[0]
    case.check(one.get("schema") == "faultline.live/1" and one.get("event") == "detected", "head: %r" % one)
    failure = dict(one["signal"], summary="", confidence=one["signal"].get("confidence", 0) > 0.8)
    case.check(failure == dict(metric=None, kind="failure", from_step=40, to_step=40, rank=3, severity="high", confidence=True,
                               cause="gpu_oom", file="job.log", line=41, summary=""), "failure: %r" % one)
    lines(10)
    two = events(2)[1]
    case.check(two.get("event") == "withdrawn" and two["signal"].get("cause") == "gpu_oom", "withdrawn: %r" % two)
    three = events(3, lambda: lines(1, "nan"))[2]
    case.check(three.get("event") == "detected" and three["signal"].get("kind") == "nan" and three["signal"].get("from_step") == 51, "nan: %r" % three)
    p.terminate()
    out, _ = p.communicate(timeout=60)
    verdict = json.loads(out)
    case.check(p.returncode == 0 and verdict["cause"] == "numerical_instability", "verdict: %d %r" % (p.returncode, verdict["cause"]))
    case.check(len(events(3)) == 3, "told again: %r" % events(3))


if __name__ == "__main__":
    sys.exit(run_tests([v for k, v in list(globals().items()) if k.startswith("test_")], sys.argv))
