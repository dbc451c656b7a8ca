#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of a routine log goes away after learning on its first half?

usage: learn.py FAULTLINE LONG_DIR [CASES_DIR]

For each log of LONG_DIR: `faultline learn --healthy` on the first half of its lines; all that it
proposes is taken as active in a rule file, and `faultline filter --only` is run on the second half.
What is left falls into four kinds:
  stay   a diagnosis rule keeps it from being filtered, or it holds a word of the failure lexicon
  short  less than 12 bytes other than digits, blanks, colours and paths: too little to go by
  new    of a kind that the first half never showed (`faultline diff`)
  left   the rest, which should have gone
The figure of a log is gone / (gone + left); the share of all lines is printed beside it.

With CASES_DIR (labelled logs): no line of evidence of any case may be matched by any of the rules.
Exit status: 0, 1 when a bar is missed (99 % median, 97 % worst, no evidence hidden), 2 usage,
77 when there is no such folder.
"""
import glob
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

MEDIAN, WORST = 99.0, 97.0
PAD = b"zz\n" * 20  # the last lines of a stream are kept whatever they say


def is_short(line):
    return len(re.sub(rb"\x1b\[[\d;]*m|\S*/\S*|[\d\s]", b"", line)) < 12


def run(*args):
    done = subprocess.run(args, capture_output=True)
    if done.returncode:
        sys.exit("%s: %s" % (" ".join(args[:3]), done.stderr.decode("utf-8", "replace")[-800:]))
    return done.stdout


def lexicon():
    """The pattern of words that failures use, from the source that the program is built from."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "..", "..", "rules", "base", "ruleset.c")) as f:
        text = f.read()
    part = text[text.index("attention_words[] ="):]
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', part[:part.index(";")])).replace("\\\\", "\\")


def known_lines(faultline, lines, folder, words):
    """Lines that a diagnosis rule protects from a filter that matches everything, or with words of failure."""
    state = os.path.join(folder, "all")
    os.makedirs(os.path.join(state, "rules", "operator"), exist_ok=True)
    with open(os.path.join(state, "rules", "operator", "all.json"), "w") as f:
        json.dump({"format": "faultline.filters/1", "stack": "bench", "rules": [
            {"id": "all", "pattern": "^", "samples": {"match": ["a"], "nomatch": []}}]}, f)
    path = os.path.join(folder, "kept.log")
    with open(path, "wb") as f:
        f.write(b"".join(lines) + PAD)
    kept = run(faultline, "filter", "--state", state, path)
    kept = kept[:-len(PAD)]
    return set(kept.split(b"\n")) | {line.rstrip(b"\n") for line in lines if words.search(line)}


def learn(faultline, path, folder):
    with open(path, "rb") as f:
        lines = [x + b"\n" for x in f.read().rstrip(b"\n").split(b"\n")]
    half = len(lines) // 2
    first, second = os.path.join(folder, "first.log"), os.path.join(folder, "second.log")
    for name, part in ((first, lines[:half]), (second, lines[half:])):
        with open(name, "wb") as f:
            f.write(b"".join(part))
    state = os.path.join(folder, "state-" + os.path.basename(path))
    start = time.monotonic()
    run(faultline, "learn", "--healthy", "--state", state, first)
    seconds = time.monotonic() - start
    learned = os.path.join(state, "rules", "learned_filters.json")
    rules = json.load(open(learned))["rules"] if os.path.exists(learned) else []
    patterns = [r["pattern"] for r in rules]
    only = os.path.join(folder, "only.json")
    with open(only, "w") as f:
        json.dump(patterns, f)
    kept = [x + b"\n" for x in run(faultline, "filter", "--only", only, second).split(b"\n")[:-1]]
    return lines[half:], kept, patterns, seconds


def new_lines(faultline, first, kept, folder):
    """How many of the lines are of a kind that the file `first` does not show."""
    path = os.path.join(folder, "left.log")
    with open(path, "wb") as f:
        f.write(b"".join(line + b"\n" for line in kept))
    told = json.loads(run(faultline, "diff", "--format", "json", "--limit", "0", first, path))
    return sum(t["bad"] for t in told["new"])


def measure(faultline, paths, folder):
    words = re.compile(lexicon().encode())
    rows, rules = [], []
    print("%-36s %7s %6s | %7s %6s %6s %6s %6s | %8s %8s %6s" % (
        "log", "lines", "rules", "gone", "stay", "short", "new", "left", "% of all", "figure", "learn"))
    for path in paths:
        lines, kept, patterns, seconds = learn(faultline, path, folder)
        stay = known_lines(faultline, lines, folder, words)
        text = [line.rstrip(b"\n") for line in kept]
        short = sum(is_short(t) for t in text)
        text = [t for t in text if not is_short(t)]
        must = sum(t in stay for t in text)
        text = [t for t in text if t not in stay]
        new = new_lines(faultline, os.path.join(folder, "first.log"), text, folder) if text else 0
        new = min(new, len(text))  # redraws of one progress bar are lines to diff
        gone = len(lines) - len(kept)
        left = len(text) - new
        rows.append(100.0 * gone / max(gone + left, 1))
        rules += patterns
        print("%-36s %7d %6d | %7d %6d %6d %6d %6d | %8.2f %8.2f %4.2f s" % (
            os.path.basename(path), len(lines), len(patterns), gone, must, short, new, left,
            100.0 * gone / len(lines), rows[-1], seconds))
        if os.environ.get("BENCH_KEPT"):
            with open(os.path.join(os.environ["BENCH_KEPT"], os.path.basename(path)), "wb") as f:
                f.write(b"\n".join(text) + b"\n")
    return rows, rules


def hidden_evidence(faultline, cases, rules, folder):
    """Lines of evidence that some rule matches."""
    lines = set()
    for label in glob.glob(os.path.join(cases, "**", "label.json"), recursive=True):
        for e in json.load(open(label)).get("evidence", []):
            path = os.path.join(os.path.dirname(label), e.get("file", "job.log"))
            with open(path, "rb") as f:
                lines |= {x for x in f.read().split(b"\n") if e["text"].encode() in x}
    path, only = os.path.join(folder, "evidence.log"), os.path.join(folder, "rules.json")
    with open(path, "wb") as f:
        f.write(b"\n".join(sorted(lines)) + b"\n")
    with open(only, "w") as f:
        json.dump(sorted(set(rules)), f)
    kept = set(run(faultline, "filter", "--only", only, path).split(b"\n"))
    return lines, sorted(lines - kept)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.split("\n\n")[1])
    faultline, paths = sys.argv[1], sorted(glob.glob(os.path.join(sys.argv[2], "*.log")))
    if not paths:
        print("no logs in %s" % sys.argv[2])
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="faultline-learn-") as folder:
        rows, rules = measure(faultline, paths, folder)
        median, worst = statistics.median(rows), min(rows)
        print("%d rules; median %.2f %%, worst %.2f %%" % (
            len(rules), median, worst))
        hidden = []
        if len(sys.argv) == 4:
            lines, hidden = hidden_evidence(faultline, sys.argv[3], rules, folder)
            print("%d lines of evidence, %d hidden" % (len(lines), len(hidden)))
            for line in hidden[:5]:
                print("  " + line[:200].decode("utf-8", "replace"))
    return 0 if median >= MEDIAN and worst >= WORST and not hidden else 1


if __name__ == "__main__":
    sys.exit(main())
