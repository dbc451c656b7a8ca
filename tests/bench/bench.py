#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure faultline beside ripgrep, grep, Python's re and wc; README.md has the results.

    tests/bench/bench.py [PART...]       all parts, or those named: rg grep python wc flat fresh threads
                                         rules diagnose gzip templates memory start live
      --binary FILE    program to measure (default: builds build/release)
      --mib N          size of the log (200); the largest one is 5 times that
      --pairs N        timed pairs of a comparison (5)
      --shared DIR     logs by DIR/gen/genlog.py and rules of DIR/rules/filterN.txt instead of our own

Every comparison runs the two programs in turn, after one run each that is not timed and whose outputs
are compared byte by byte; what is printed is the median of the pairs' ratios, for the wall clock and for
CPU time. Exit status 1 when any output differs. Needs ripgrep, GNU time and Python 3.
"""
import argparse
import gzip
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON_RE = """import re, sys
rules = [re.compile(l.rstrip("\\n").encode()) for l in open(sys.argv[1]) if l.strip()]
out = sys.stdout.buffer
for line in open(sys.argv[2], "rb"):
    if not any(r.search(line[:-1] if line.endswith(b"\\n") else line) for r in rules):
        out.write(line)
"""


class Bench:
    def __init__(self, args):
        self.args = args
        self.folder = tempfile.mkdtemp(prefix="faultline-bench.")
        self.differs = False
        self.logs = {}
        self.env = dict(os.environ, LC_ALL="C", FAULTLINE_SHARE=ROOT, RIPGREP_CONFIG_PATH="", FAULTLINE_STATE=self.path("state"))
        for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
            self.env.pop(name, None)
        with open(self.path("re.py"), "w") as f:
            f.write(PYTHON_RE)

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, *command):
        subprocess.run([sys.executable, *map(str, command)], check=True, stdout=subprocess.DEVNULL)

    def log(self, mib, fresh=False):
        name = self.path("%dm%s.log" % (mib, "-fresh" if fresh else ""))
        if name not in self.logs:
            if self.args.shared and not fresh:
                self.make(os.path.join(self.args.shared, "gen", "genlog.py"), name, mib, 2)
            else:
                self.make(os.path.join(HERE, "gen_log.py"), name, mib, 1, *(["fresh"] if fresh else []))
            self.logs[name] = True
        return name

    def rules(self, n):
        """The rules as (JSON file for us, one a line for others)."""
        base = self.path("rules%d" % n)
        if not os.path.exists(base + ".txt"):
            if self.args.shared:
                shutil.copy(os.path.join(self.args.shared, "rules", "filter%d.txt" % n), base + ".txt")
                with open(base + ".txt", encoding="latin-1") as f, open(base + ".json", "w") as out:
                    json.dump([line.rstrip("\n") for line in f if line.strip()], out)
            else:
                self.make(os.path.join(HERE, "gen_rules.py"), n, base)
        return base + ".json", base + ".txt"

    def run(self, command, out="/dev/null", accept=(0, 1)):
        """CPU seconds, wall seconds, peak KiB."""
        note = self.path("peak")
        with open(out, "wb") as sink, open(self.path("stderr"), "wb") as errors:
            began = time.monotonic()
            child = subprocess.Popen(["/usr/bin/time", "-q", "-f", "%M", "-o", note, *command], stdin=subprocess.DEVNULL, stdout=sink, stderr=errors, env=self.env)
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in accept:
            with open(self.path("stderr"), errors="replace") as errors:
                sys.exit("%s: status %d\n%s" % (" ".join(command), child.returncode, errors.read()[-2000:]))
        with open(note) as f:
            return usage.ru_utime + usage.ru_stime, wall, int(f.read().split()[-1])

    def filter(self, n, log, *flags):
        return [self.args.binary, "filter", "--only", self.rules(n)[0], *flags, log]

    def compare(self, what, ours, theirs, bar, same=True, pairs=None, invert=False, out="/dev/null"):
        """How many times as fast we are; invert: how many times as long we take."""
        self.run(ours, self.path("a"))
        self.run(theirs, self.path("b"))
        equal = ""
        if same:
            equal = "same bytes" if open(self.path("a"), "rb").read() == open(self.path("b"), "rb").read() else "DIFFERENT"
            self.differs |= equal != "same bytes"
        got = [(self.run(ours, out), self.run(theirs, out)) for _ in range(pairs or self.args.pairs)]
        ratio = lambda k: statistics.median((a[k] / max(b[k], 1e-3)) if invert else (b[k] / max(a[k], 1e-3)) for a, b in got)
        mid = lambda side, k: statistics.median(pair[side][k] for pair in got)
        print("| %s | %s | %.2f | %.2f | %.3f / %.3f s | %s |" % (what, bar, ratio(1), ratio(0), mid(0, 1), mid(1, 1), equal), flush=True)

    # ---- the parts ----

    def rg(self, n, log):
        return ["rg", "--no-unicode", "--no-mmap", "-N", "-a", "-v", "-f", self.rules(n)[1], log]

    def part_rg(self):
        log = self.log(self.args.mib)
        for n, bar in ((20, "4.5"), (100, "7"), (500, "45")):
            self.compare("%d rules against rg" % n, self.filter(n, log), self.rg(n, log), bar, pairs=3 if n == 500 else None)
        log = self.log(self.args.mib // 10)
        self.compare("2,000 rules against rg, a tenth of the log", self.filter(2000, log), self.rg(2000, log), "150", pairs=1)

    def part_grep(self):
        log = self.log(self.args.mib // 10)
        with open(self.rules(20)[1]) as f:
            pattern = "|".join("(?:%s)" % line.rstrip("\n") for line in f)
        self.compare("20 rules against grep -P, a tenth of the log", self.filter(20, log), ["grep", "-a", "-v", "-P", pattern, log], "", pairs=3,
                     out=self.path("out"))  # into /dev/null grep stops at the first line

    def part_python(self):
        log = self.log(self.args.mib // 10)
        for n, bar in ((20, "35"), (100, "110")):
            self.compare("%d rules against Python any(search), a tenth" % n, self.filter(n, log), [sys.executable, self.path("re.py"), self.rules(n)[1], log], bar, pairs=1 if n == 100 else 3)

    def part_wc(self):
        log = self.log(self.args.mib * 5)
        self.compare("500 rules, time of wc -l (one thread)", self.filter(500, log, "--threads", "1"), ["wc", "-l", log], "at most 4", same=False, invert=True)

    def part_flat(self):
        log = self.log(self.args.mib * 5)
        self.compare("speed with 2,000 rules of that with 100", self.filter(2000, log), self.filter(100, log), "0.85", same=False)

    def part_fresh(self):
        log = self.log(self.args.mib // 4, fresh=True)
        self.compare("20 rules against rg, shapes never repeat", self.filter(20, log), self.rg(20, log), "1.0")

    def part_threads(self):
        log = self.log(self.args.mib * 5)
        self.compare("two threads against one, 500 rules", self.filter(500, log, "--threads", "2"), self.filter(500, log, "--threads", "1"), "1.5")

    def shipped(self):
        """The shipped filter rules alone."""
        name = self.path("shipped.json")
        patterns = []
        folder = os.path.join(ROOT, "rules", "filters")
        for file in sorted(os.listdir(folder)):
            with open(os.path.join(folder, file)) as f:
                patterns += [r["pattern"] for r in json.load(f)["rules"]]
        with open(name, "w") as f:
            json.dump(patterns, f)
        return name

    def part_rules(self):
        log = self.log(self.args.mib * 5)
        for threads in ("2", "1"):
            self.compare("all diagnosis rules on every line, time of the filter rules alone, %s thread(s)" % threads,
                         [self.args.binary, "filter", "--threads", threads, log],
                         [self.args.binary, "filter", "--threads", threads, "--only", self.shipped(), log], "at most 1.2", same=False, invert=True)

    def part_diagnose(self):
        log = self.log(self.args.mib * 5)
        self.compare("diagnose, time of filter", [self.args.binary, "diagnose", "--offline", log], [self.args.binary, "filter", log],
                     "at most 1.5", same=False, invert=True)

    def part_gzip(self):
        log = self.log(self.args.mib)
        with open(log, "rb") as f, gzip.open(log + ".gz", "wb", 6) as out:
            shutil.copyfileobj(f, out)
        self.compare(".gz, 500 rules, against zcat alone", self.filter(500, log + ".gz"), ["zcat", log + ".gz"], "2", same=False)

    def part_templates(self):
        log = self.log(self.args.mib)
        cpu = statistics.median(self.run([self.args.binary, "templates", log])[0] for _ in range(3))
        with open(log, "rb") as f:
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: f.read(1 << 20), b""))
        print("| templates against Drain3's 14,000 lines a second | 300 | | %.0f | %.1f million lines a second | |" % (lines / cpu / 14000, lines / cpu / 1e6), flush=True)

    def part_memory(self):
        for threads in ("1", "2"):
            peak = self.run(self.filter(2000, self.log(self.args.mib * 5), "--threads", threads))[2]
            print("| peak memory, 2,000 rules, %s thread(s) | 48 MiB | | | %.0f MiB | |" % (threads, peak / 1024), flush=True)

    def part_start(self):
        command = [self.args.binary, "diagnose", "--offline", os.path.join(ROOT, "data", "samples", "healthy-finetune", "job.log")]
        self.run(command)
        print("| start to verdict on a small log | 30 ms | | | %.0f ms | |" % (1000 * statistics.median(self.run(command)[1] for _ in range(9))), flush=True)

    def part_live(self):
        for n in (20, 2000):
            print("| a rule added beside %d takes effect | 10 ms | | | %.1f ms | |" % (n, self.live(n)), flush=True)

    def live(self, n):
        with open(self.rules(n)[0]) as f:
            base = json.load(f)
        rules, log, took = self.path("live.json"), self.path("live.log"), []

        def put(more):
            with open(rules + ".new", "w") as f:
                json.dump(base + more, f)
            os.rename(rules + ".new", rules)
        put([])
        open(log, "w").close()
        child = subprocess.Popen([self.args.binary, "filter", "--follow", "--only", rules, log], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self.env)
        os.set_blocking(child.stderr.fileno(), False)
        time.sleep(1)
        for k in range(9):
            put(["^marker %s$" % "abcdefghi"[k]])
            began, said = time.monotonic(), b""
            while b"in force" not in said and time.monotonic() < began + 5:
                with open(log, "a") as f:
                    f.write("a line\n")
                said += child.stderr.read() or b""
                time.sleep(0.0003)
            took.append(1000 * (time.monotonic() - began))
        child.send_signal(signal.SIGTERM)
        child.communicate()
        return statistics.median(took)


def main():
    parts = [name[5:] for name in vars(Bench) if name.startswith("part_")]
    ap = argparse.ArgumentParser(usage=re.sub(r"^.*?\n\n", "", __doc__, flags=re.S), add_help=True)
    ap.add_argument("parts", nargs="*")
    ap.add_argument("--binary")
    ap.add_argument("--mib", type=int, default=200)
    ap.add_argument("--pairs", type=int, default=5)
    ap.add_argument("--shared")
    args = ap.parse_args()
    for name in args.parts:
        if name not in parts:
            ap.error("no part %s; there are %s" % (name, " ".join(parts)))
    for need in ("rg", "/usr/bin/time"):
        if not shutil.which(need):
            sys.exit("%s is not installed (packages ripgrep, time)" % need)
    if not args.binary:
        for command in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release"]):
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        args.binary = os.path.join(ROOT, "build", "release", "faultline")
    args.binary = os.path.abspath(args.binary)
    bench = Bench(args)
    print("| what | bar | by wall clock | by CPU | ours / theirs, wall | |\n|---|---|---|---|---|---|")
    try:
        for name in args.parts or parts:
            getattr(bench, "part_" + name)()
    finally:
        shutil.rmtree(bench.folder, ignore_errors=True)
    return bench.differs


if __name__ == "__main__":
    sys.exit(main())
