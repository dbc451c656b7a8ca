#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the verdict on the logs of a case against what is expected of it.

    check.py PATH/TO/faultline CASE_DIR

CASE_DIR holds log files (folders too) and expect.json, a part of the verdict document: every key
in it must be there with an equal value, objects and lists compared likewise. Besides these keys:
  "why"                what the case is about, for the reader
  "evidence_contains"  text that the first evidence must hold
  "summary_contains"   text that the summary must hold
  "not_cause"          a cause, or a list of them, that must not be given
  "considered"         causes that must be among the hypotheses
A file named known-gap (it says why) reports a difference without failing, and fails when there is
none any more, so that it is taken away.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

NOT_LOGS = ("expect.json", "known-gap", "README.md")


def differences(want, got, where):
    if isinstance(want, dict) and isinstance(got, dict):
        for key, value in want.items():
            if key not in got:
                yield "%s.%s is missing" % (where, key)
            else:
                yield from differences(value, got[key], where + "." + key)
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for i, value in enumerate(want):
            yield from differences(value, got[i], "%s[%d]" % (where, i))
    elif want != got or isinstance(want, bool) != isinstance(got, bool):
        yield "%s is %s, not %s" % (where, json.dumps(got), json.dumps(want))


def check(want, got):
    want = dict(want)
    want.pop("why", None)
    first = got["evidence"][0]["text"] if got["evidence"] else ""
    for key, text in (("evidence_contains", first), ("summary_contains", got["summary"])):
        part = want.pop(key, "")
        if part not in text:
            yield "%s: %s lacks %s" % (key, json.dumps(text), json.dumps(part))
    never = want.pop("not_cause", [])
    if got["cause"] in (never if isinstance(never, list) else [never]):
        yield "the cause is %s" % got["cause"]
    for cause in want.pop("considered", []):
        if cause not in [h["cause"] for h in got["hypotheses"]]:
            yield "%s was not considered" % cause
    yield from differences(want, got, "verdict")


def quotes_hold(got, folder):
    """Every evidence stands in the log, at the line and offset given."""
    for e in got["evidence"]:
        with open(os.path.join(folder, e["file"]), "rb") as f:
            data = f.read()
        text = e["text"].encode("utf-8", "replace")
        line = data.split(b"\n")[e["line"] - 1]
        if b"\x1b" in line or b"\xef\xbf\xbd" in text:
            continue
        if text not in line:
            yield "evidence is not in line %d of %s: %s" % (e["line"], e["file"], e["text"][:120])
        elif not data[e["offset"]:].startswith(text):
            yield "evidence is not at offset %d of %s" % (e["offset"], e["file"])


def diagnose(binary, folder):
    if os.path.isdir(os.path.join(os.environ.get("FL_WARM", ""), "cache")):
        shutil.copytree(os.path.join(os.environ["FL_WARM"], "cache"), os.path.join(folder, "state", "cache"))
    environment = dict(os.environ, FAULTLINE_CONFIG="", OPENAI_BASE_URL="")
    done = subprocess.run(
        [binary, "diagnose", "--offline", "--format", "json", "--state",
         os.path.join(folder, "state"), "job"],
        cwd=folder, env=environment, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    sys.stderr.write(done.stderr.decode("utf-8", "replace"))
    if done.returncode != 0:
        raise SystemExit("faultline ended with status %d" % done.returncode)
    return json.loads(done.stdout.decode("utf-8"))


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    binary, case = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    with open(os.path.join(case, "expect.json"), encoding="utf-8") as f:
        want = json.load(f)
    with tempfile.TemporaryDirectory(prefix="fl-golden-") as folder:
        job = os.path.join(folder, "job")
        shutil.copytree(case, job, ignore=lambda _, names: [n for n in names if n in NOT_LOGS])
        got = diagnose(binary, folder)
        wrong = list(check(want, got)) + list(quotes_hold(got, job))
    for line in wrong:
        print("%s: %s" % (os.path.basename(case), line))
    if wrong:
        print("  said: %s %s: %s" % (got["verdict"], got["cause"], got["summary"]))
        for e in got["evidence"][:3]:
            print("  %s:%d: %s" % (e["file"], e["line"], e["text"][:160]))
        for s in got["hypotheses"][:4]:
            print("  considered: %s %s" % (s["cause"], s["confidence"]))
    if os.path.exists(os.path.join(case, "known-gap")):
        if wrong:
            print("a known gap, not counted as a failure")
            return 0
        print("%s holds now: take its known-gap file away" % os.path.basename(case))
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
