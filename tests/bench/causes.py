#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a Markdown table: for each cause in folders of labelled logs, what faultline finds and what
grep finds.

    causes.py PATH/TO/faultline FOLDER...

A case is a folder with a label.json (cause, also_accept, evidence); the other files are its logs.
grep stands for the first look of whoever is on call:

    grep -n -i -E 'error|exception|traceback|fail|fatal|killed|oom|timeout|abort' LOG...

A job with a hit is failed; its first hits, logs in order of their names, are its evidence. It names
no cause. A line below the table tells what reading the hits from the last one backwards gives.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile

WORDS = "error|exception|traceback|fail|fatal|killed|oom|timeout|abort"
COLUMNS = ("right", "noticed", "first", "in_3", "grep_noticed", "grep_first", "grep_in_3")


def cases(folders):
    for top in folders:
        for folder, _, names in sorted(os.walk(top)):
            if "label.json" in names:
                with open(os.path.join(folder, "label.json"), encoding="utf-8") as f:
                    label = json.load(f)
                yield label, [os.path.join(folder, n) for n in sorted(names) if n != "label.json" and not n.endswith(".md")]


def grep(logs):
    done = subprocess.run(["grep", "-n", "-i", "-a", "-h", "-E", WORDS, "--", *logs], stdout=subprocess.PIPE,
                          env=dict(os.environ, LC_ALL="C"), check=False)
    if done.returncode > 1:
        raise SystemExit("grep ended with status %d" % done.returncode)
    hits = [h for h in done.stdout.split(b"\n") if h]
    return [h.split(b":", 1)[1].decode("utf-8", "replace") for h in (hits if len(hits) < 6 else hits[:3] + hits[-3:])]


def diagnose(binary, logs, state):
    done = subprocess.run([binary, "diagnose", "--offline", "--format", "json", "--state", state, *logs], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise SystemExit("no verdict on %s" % logs[0]) from None


def proves(text, label):
    """Is it a line that the label names?"""
    text = text.strip()
    wanted = [e["text"].strip() for e in label.get("evidence") or []]
    return any(text and (w in text or (len(text) >= 20 and text in w)) for w in wanted)


def score(label, verdict, hits):
    right = {label["cause"], *(label.get("also_accept") or [])}
    shown = [proves(e["text"], label) for e in verdict["evidence"][:3]]
    found = [proves(text, label) for text in hits[:3]]
    back = [proves(text, label) for text in hits[:-4:-1]]
    correct = (verdict["cause"] or verdict["verdict"]) in right
    return {"cases": 1, "labelled": bool(label.get("evidence")), "right": correct, "noticed": verdict["verdict"] == "failed" or correct,
            "first": shown[:1] == [True], "in_3": any(shown), "grep_noticed": bool(hits), "grep_first": found[:1] == [True],
            "grep_in_3": any(found), "back_first": back[:1] == [True], "back_in_3": any(back)}


def row(name, sums, share=False):
    cells = []
    for column in COLUMNS:
        of = sums["labelled" if "first" in column or "in_3" in column else "cases"]
        cells.append("%.0f %%" % (100 * sums[column] / of) if share and of else "%d" % sums[column] if of == sums["cases"]
                     else "%d of %d" % (sums[column], of))
    return "| %s | %d | %s |" % (name, sums["cases"], " | ".join(cells))


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    table, well, false = collections.defaultdict(collections.Counter), 0, collections.Counter()
    with tempfile.TemporaryDirectory(prefix="faultline-causes-") as state:
        for label, logs in cases(sys.argv[2:]):
            verdict, hits = diagnose(sys.argv[1], logs, state), grep(logs)
            if label["cause"] == "healthy":
                well += 1
                false.update(faultline=verdict["verdict"] == "failed", grep=bool(hits), unknown=verdict["verdict"] == "unknown")
            else:
                table[label["cause"]].update({k: int(v) for k, v in score(label, verdict, hits).items()})
    total = collections.Counter()
    for sums in table.values():
        total.update(sums)
    print("| cause | cases | cause right | noticed | evidence first | in 3 | grep: noticed | evidence first | in 3 |")
    print("|---" * 9 + "|")
    for cause in sorted(table, key=lambda c: (-table[c]["cases"], c)):
        print(row("`%s`" % cause, table[cause]))
    print(row("**all failures**", total))
    print(row("**share**", total, True))
    print("\nWith grep's hits from the last one backwards: evidence first in %d, in 3 in %d."
          % (total["back_first"], total["back_in_3"]))
    print("\n| healthy jobs | cases | faultline | grep |\n|---|---|---|---|")
    print("| called failed | %d | %d | %d |" % (well, false["faultline"], false["grep"]))
    print("| called unknown | %d | %d | - |" % (well, false["unknown"]))


if __name__ == "__main__":
    main()
