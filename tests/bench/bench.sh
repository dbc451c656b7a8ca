#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compare `faultline filter` with ripgrep on a generated log; see README.md in this folder.
#   tests/bench/bench.sh FAULTLINE_BINARY
# Environment: BENCH_MIB (200), BENCH_SEED (1), BENCH_PAIRS (5), BENCH_RULES ("20 100 500"),
#   TMPDIR (needs about 4 times BENCH_MIB), BENCH_KEEP=1 keeps the folder.
# Exit status: 0 all outputs equal, 1 an output differs or a program failed, 2 usage.
set -eu

if [ $# -ne 1 ] || ! [ -x "$1" ]; then
    echo "usage: ${0##*/} FAULTLINE_BINARY" >&2
    exit 2
fi
for need in rg python3; do
    command -v "$need" >/dev/null || { echo "${0##*/}: $need is not installed" >&2; exit 2; }
done

here=$(cd "$(dirname "$0")" && pwd)
faultline=$(realpath "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/faultline-bench.XXXXXX")
[ -n "${BENCH_KEEP:-}" ] && echo "folder: $work" || trap 'rm -rf "$work"' EXIT

export LC_ALL=C FAULTLINE_STATE="$work/state" RIPGREP_CONFIG_PATH=
unset OPENAI_BASE_URL OPENAI_API_KEY
export BENCH_MIB="${BENCH_MIB:-200}" BENCH_SEED="${BENCH_SEED:-1}"
export BENCH_PAIRS="${BENCH_PAIRS:-5}" BENCH_RULES="${BENCH_RULES:-20 100 500}"

python3 "$here/gen_log.py" "$work/log" "$BENCH_MIB" "$BENCH_SEED"
for n in $BENCH_RULES; do
    python3 "$here/gen_rules.py" "$n" "$work/rules$n"
done
echo "log: $(stat -c %s "$work/log") bytes, $(wc -l <"$work/log") lines (seed $BENCH_SEED);" \
    "$(rg --version | head -n 1); $("$faultline" --version 2>/dev/null | head -n 1)"

python3 - "$faultline" "$work" <<'PY'
import filecmp, os, shutil, statistics, subprocess, sys, time

faultline, work = sys.argv[1:]
log = work + "/log"
pairs = int(os.environ["BENCH_PAIRS"])
gnu_time = shutil.which("time", path="/usr/bin:/bin")
failed = False


def run(name, args, out, accept=(0,)):
    """Runs a program to the end; gives CPU seconds, wall seconds, peak KiB. Its output goes to a file."""
    note = work + "/usage"
    wrapped = [gnu_time, "-q", "-f", "%M", "-o", note] + args if gnu_time else args
    with open(out, "wb") as sink, open(work + "/stderr", "wb") as errors:
        start = time.monotonic()
        child = subprocess.Popen(wrapped, stdin=subprocess.DEVNULL, stdout=sink, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
    child.returncode = code = os.waitstatus_to_exitcode(status)
    if code not in accept:
        with open(work + "/stderr", errors="replace") as errors:
            print("FAILED: %s (status %d)\n%s" % (name, code, errors.read()[-2000:]))
        sys.exit(1)
    # Without time(1) the peak includes what this interpreter used before the exec.
    peak = int(open(note).read().split()[-1]) if gnu_time else usage.ru_maxrss
    return usage.ru_utime + usage.ru_stime, wall, peak


def difference(a, b):
    with open(a, "rb") as fa, open(b, "rb") as fb:
        for n, (x, y) in enumerate(zip(fa, fb), 1):
            if x != y:
                return "survivor %d\n  faultline %r\n  rg        %r" % (n, x[:200], y[:200])
    return "one output is the beginning of the other: faultline %d bytes, rg %d bytes" % (
        os.path.getsize(a), os.path.getsize(b))


print("%6s %6s %13s %8s %15s %7s %15s %8s" % (
    "rules", "same", "faultline CPU", "rg CPU", "rg / faultline", "range", "wall (f / rg)", "peak f/rg"))
for n in os.environ["BENCH_RULES"].split():
    rules, out_f, out_rg = "%s/rules%s" % (work, n), work + "/out.faultline", work + "/out.rg"
    ours = lambda: run("faultline filter", [faultline, "filter", "--only", rules + ".json", log], out_f)
    theirs = lambda: run("rg", ["rg", "--no-unicode", "--no-mmap", "-N", "-a", "-v", "-f",
                                rules + ".txt", log], out_rg, accept=(0, 1))
    ours(), theirs()  # also warms the page cache; not counted
    same = filecmp.cmp(out_f, out_rg, shallow=False)
    if not same:
        failed = True
        print("DIFFERENT with %s rules: %s" % (n, difference(out_f, out_rg)))
    got = [(ours(), theirs()) for _ in range(pairs)]
    middle = lambda which, what: statistics.median(g[which][what] for g in got)
    ratios = sorted(g[1][0] / max(g[0][0], 1e-3) for g in got)
    print("%6s %6s %11.3f s %6.3f s %14.2fx %7s %7.3f / %5.3f s %s" % (
        n, "yes" if same else "NO", middle(0, 0), middle(1, 0), statistics.median(ratios),
        "%.1f-%.1f" % (ratios[0], ratios[-1]), middle(0, 1), middle(1, 1),
        "%d / %d MiB" % (max(g[0][2] for g in got) >> 10, max(g[1][2] for g in got) >> 10)))

cpu, wall, peak = run("faultline diagnose", [faultline, "diagnose", "--offline", "--format", "json", log],
                      work + "/verdict.json")
print("diagnose --offline: %.3f s CPU, %.3f s wall, %.0f MB/s, peak %.1f MiB" % (
    cpu, wall, os.path.getsize(log) / 1e6 / max(wall, 1e-3), peak / 1024))
sys.exit(1 if failed else 0)
PY
