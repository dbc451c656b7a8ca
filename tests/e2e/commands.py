#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every command of the program, as its users and their scripts meet it.

    commands.py PATH/TO/faultline [NAME...]      runs the tests whose names contain one of the NAMEs

bad_input.py uses the same small frame: a test is a function that takes a Case.
"""
import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES = os.path.join(HERE, "..", "..", "data", "samples")
JOB = os.path.join(SAMPLES, "llama-pretrain-8rank")
HEALTHY = os.path.join(SAMPLES, "healthy-finetune", "job.log")
CRASH = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|\.[ch]:\d+:\d+: runtime error")
ACTIONS = ("none restart restart_exclude_node restart_from_earlier_checkpoint wait_and_retry fix_config fix_code fix_data "
           "fix_environment increase_limit drain_node escalate").split()
OOM = ("[rank3]: torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 5.11 GiB. GPU 3 has a total capacity of "
       "79.15 GiB of which 1.07 GiB is free.")


def warm(state):
    """Gives a new state folder the compiled scanner that an earlier run leaves, from $FL_WARM."""
    cache = os.path.join(os.environ.get("FL_WARM", ""), "cache")
    if os.path.isdir(cache) and not os.path.exists(state):
        shutil.copytree(cache, os.path.join(state, "cache"))


def preload(name):
    """The environment with which the program runs the shim whose path is in that variable, or None where there is none."""
    path = os.environ.get(name, "")
    asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return {"LD_PRELOAD": path, "ASAN_OPTIONS": asan} if os.path.exists(path) else None


class Case:
    """One test: a folder of its own, and what was found wrong."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = folder
        self.state = os.path.join(folder, "state")
        warm(self.state)
        self.faults = []
        self.skipped = None
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "FAULTLINE_"))}
        if os.environ.get("FL_LONG") == "1" and "ASAN_OPTIONS" in self.env:
            self.env["ASAN_OPTIONS"] = self.env["ASAN_OPTIONS"].replace(":detect_leaks=0", "")
        self.env.update(HOME=folder, XDG_CONFIG_HOME=folder, XDG_STATE_HOME=folder, FAULTLINE_STATE=self.state)
        if "FAULTLINE_SHARE" in os.environ:
            self.env["FAULTLINE_SHARE"] = os.environ["FAULTLINE_SHARE"]

    def check(self, good, what):
        if not good:
            self.faults.append(what)
        return good

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self, *args, status=0, says=(), stdin=b"", timeout=120, **more):
        """Runs the program; its exit status and the words it must say on standard error are checked."""
        done = subprocess.run([self.binary, *args], input=stdin, capture_output=True, timeout=timeout, env=self.env, **more)
        done.err = done.stderr.decode("utf-8", "replace")
        done.out = done.stdout.decode("utf-8", "replace")
        told = "%s: " % " ".join(os.path.basename(a)[:60] for a in args)
        self.check(done.returncode >= 0 and not CRASH.search(done.err), told + "crashed (%d): %s" % (done.returncode, done.err[-1500:]))
        self.check(status is None or done.returncode == status,
                   told + "exit status %d instead of %s; it said: %s" % (done.returncode, status, done.err[-600:].strip()))
        for word in [says] if isinstance(says, str) else says:
            self.check(word in done.err, told + "the message lacks %r: %s" % (word, done.err[-600:].strip()))
        return done

    def verdict(self, *args, **more):
        """The JSON verdict of `diagnose`; {} (and a fault) when there is none."""
        done = self.run("diagnose", "--format", "json", *args, **more)
        try:
            return json.loads(done.stdout.decode("utf-8"))
        except ValueError as e:
            self.check(False, "diagnose %s: no JSON verdict (%s): %r" % (" ".join(map(str, args))[-200:], e, done.out[:200]))
            return {}


def run_test(test, binary):
    folder = tempfile.mkdtemp(prefix="faultline-")
    case = Case(binary, folder)
    try:
        test(case)
    except Exception:  # a test that breaks is a test that failed
        case.faults.append(traceback.format_exc())
    shutil.rmtree(folder, ignore_errors=True)
    said = ["FAIL %s: %s" % (test.__name__, fault) for fault in case.faults]
    if not case.faults:
        said = ["skip %s: %s" % (test.__name__, case.skipped) if case.skipped else "ok   %s" % test.__name__]
    print("\n".join(said), flush=True)
    return bool(case.faults)


def run_tests(tests, argv, at_once=1):
    if len(argv) < 2:
        sys.exit("usage: %s PATH/TO/faultline [NAME...]" % argv[0])
    chosen = [t for t in tests if not argv[2:] or any(part in t.__name__ for part in argv[2:])]
    with ThreadPoolExecutor(at_once) as pool:
        return 1 if any(list(pool.map(lambda t: run_test(t, os.path.abspath(argv[1])), chosen))) else 0


# ---------------------------------------------------------------------------------------------- diagnose

KEYS = {
    "": "schema job verdict cause category severity confidence method summary evidence symptoms hypotheses faulty signals "
        "progress recoverable action recovery similar stats",
    "job": "id streams",
    "faulty": "rank local_rank node gpu",
    "progress": "last_step last_checkpoint_step lost_steps",
    "stats": "seconds kept_lines model_calls model_tokens",
}
PARTS = {
    "evidence": "file line offset text rank node rule",
    "symptoms": "cause count first",
    "hypotheses": "cause confidence evidence",
    "signals": "metric kind from_step to_step rank severity confidence",
    "similar": "incident similarity cause resolution",
}


def has_keys(c, value, keys, where):
    missing = [k for k in keys.split() if k not in value]
    c.check(not missing, "the verdict lacks %s in %s" % (", ".join(missing), where or "its top"))


def is_verbatim(c, folder, evidence):
    path = os.path.join(folder, evidence["file"])
    with open(path, "rb") as f:
        data = f.read()
    text = evidence["text"].encode()
    at = evidence["offset"]
    c.check(data[at:at + len(text)] == text, "%s: evidence is not at offset %d: %r" % (evidence["file"], at, text[:80]))
    line = data.count(b"\n", 0, at) + 1
    c.check(line == evidence["line"], "%s: evidence said to be in line %d is in %d" % (evidence["file"], evidence["line"], line))


def test_diagnose_json(c):
    v = c.verdict(JOB)
    for where, keys in KEYS.items():
        has_keys(c, v.get(where, {}) if where else v, keys, where)
    for where, keys in PARTS.items():
        for item in v.get(where, []):
            has_keys(c, item, keys, where)
    c.check(v["schema"] == "faultline.verdict/1", "schema is %r" % v["schema"])
    c.check((v["verdict"], v["cause"], v["category"]) == ("failed", "gpu_ecc_error", "infrastructure"), "the sample is called %s, %s, %s" % (v["verdict"], v["cause"], v["category"]))
    c.check(v["faulty"]["rank"] == 5, "the faulty rank of the sample is 5, not %r" % v["faulty"]["rank"])
    c.check(v["action"] in ACTIONS, "unknown action %r" % v["action"])
    c.check(v["severity"] in ("low", "medium", "high", "critical"), "severity %r" % v["severity"])
    c.check(v["method"] in ("rule", "signal", "incident", "model"), "method %r" % v["method"])
    c.check(0 <= v["confidence"] <= 1, "confidence %r" % v["confidence"])
    c.check(v["recovery"] and all(isinstance(s, str) for s in v["recovery"]), "no recovery steps")
    c.check(v["stats"]["model_calls"] == 0, "a model was called without an endpoint")
    c.check(v["progress"]["last_checkpoint_step"] == 61000, "last checkpoint %r" % v["progress"]["last_checkpoint_step"])
    c.check(len(v["job"]["streams"]) == 9, "%d streams instead of 9" % len(v["job"]["streams"]))
    for s in v["job"]["streams"]:
        size = os.path.getsize(os.path.join(JOB, s["name"]))
        c.check(s["bytes"] == size, "%s: %d bytes of %d read" % (s["name"], s["bytes"], size))
    c.check(v["evidence"], "no evidence")
    for e in v["evidence"]:
        is_verbatim(c, JOB, e)


def test_diagnose_text(c):
    out = c.run("diagnose", JOB).out
    c.check("\x1b" not in out, "colour in a pipe")
    c.check(out.count("\n") < 40, "%d lines of text" % out.count("\n"))
    for word in ("FAILED", "gpu_ecc_error", "rank 5", "rank5.log:", "restart_exclude_node", "61000"):
        c.check(word in out, "the text lacks %r" % word)


def test_diagnose_markdown(c):
    out = c.run("diagnose", "-f", "markdown", JOB).out
    c.check(out.startswith("## failed: gpu_ecc_error\n"), "the title is %r" % out[:60])
    c.check("**action** `restart_exclude_node`" in out, "no action")
    c.check("\x1b" not in out, "colour in Markdown")


def test_end_of_a_flood(c):
    """Of an error that comes with every step the last one counts, however many there were."""
    log = "".join("iteration %d loss: 2.0\n%s\n" % (i, OOM) for i in range(1, 1088))
    v = c.verdict(c.write("flood.log", log))
    c.check(v["cause"] == "gpu_oom", "after 1,087 of them it is called %s, %s" % (v["verdict"], v["cause"]))


def test_diagnose_unknown(c):
    """Where no rule knows it, the lines that look like trouble are shown; without any, the last ones."""
    odd = c.write("odd.log", "starting\nERROR pool 3 lost its lease\x1b[31m\nshutting down\n")
    out = c.run("diagnose", odd).out
    c.check("  look at odd.log:2  ERROR pool 3 lost its lease" in out and "odd.log:3" not in out, "shown to look at: %s" % out)
    c.check("\x1b" not in out, "control bytes of a log come through")
    out = c.run("diagnose", "-f", "markdown", odd).out
    c.check("Look at:\n\n- odd.log:2: ERROR pool 3 lost its lease" in out, "in Markdown: %s" % out)
    out = c.run("diagnose", c.write("still.log", "starting\nreading the data\n")).out
    c.check("still.log:2  reading the data" in out, "of a log without trouble is shown: %s" % out)
    c.check("look at" not in c.run("diagnose", JOB).out, "more to look at than the proof")


def test_diagnose_healthy(c):
    v = c.verdict(HEALTHY)
    c.check((v["verdict"], v["cause"], v["category"], v["action"]) == ("healthy", None, "none", "none"), "the healthy sample is called %s, %s, %s, %s" % (v["verdict"], v["cause"], v["category"], v["action"]))
    c.run("diagnose", "--fail-on", "low", HEALTHY, status=0)


BUS = "2025-03-04T10:20:00 node7 kernel: NVRM: Xid (PCI:0000:07:00): 79, pid=4242, GPU has fallen off the bus.\n"
STEPS = "".join("2025-03-04T10:%02d:00 iteration %d loss: 2.0\n" % (i, i) for i in range(1, 20))
RESET = "2025-03-04T10:50:00 ConnectionResetError: [Errno 104] Connection reset by peer\n"


def test_diagnose_explain(c):
    """What speaks for and against each cause: earlier, explained, healed; the other fields stay as they are."""
    log = c.write("job.log", STEPS + BUS + RESET)
    plain = c.verdict(log)
    v = c.verdict("--explain", log)
    lead, other = v["hypotheses"][:2]
    c.check((lead["cause"], other.get("explained_by")) == ("gpu_lost", "gpu_lost"), "the log means %s, %s" % (lead["cause"], other))
    said = "\n".join(lead["reasons"]["for"])
    for words in ('job.log:20 "2025-03-04T10:20:00 node7', "(rule %s, 0.97), seen once" % lead["evidence"][0]["rule"], "the earliest of all", "no step was made after it", "explains %s (1 line)" % other["cause"]):
        c.check(words in said, "nothing speaks for it with %r: %s" % (words, said))
    c.check(lead["reasons"]["against"] == [], "against it speaks %s" % lead["reasons"]["against"])
    c.check(other["reasons"]["against"][0] == "explained by gpu_lost (it began 30 min and 1 line earlier); only a consequence", "against the other: %s" % other["reasons"])
    c.check(other["reasons"]["for"] and "the earliest of all" not in "".join(other["reasons"]["for"]), "for the other: %s" % other["reasons"])
    for h in v["hypotheses"]:
        h.pop("reasons")
    for one in (v, plain):
        one["stats"].pop("seconds")
    c.check(v == plain, "--explain changes more than it adds")

    out = c.run("diagnose", "--explain", log).out
    told = out[out.index("\n  why\n"):].splitlines()
    for row in ("    1. gpu_lost 0.9", "       for      job.log:20 ", "                no step was made after it", "       explains %s (1 line)" % other["cause"], "       against  explained by gpu_lost (it began 30 min"):
        c.check(any(t.startswith(row) for t in told), "the text lacks %r: %s" % (row, told))
    c.check("why" not in c.run("diagnose", log).out, "reasons without --explain")
    c.check("   - against: explained by gpu\\_lost" in c.run("diagnose", "--explain", "-f", "markdown", log).out, "reasons in Markdown")

    healed = c.run("diagnose", "--explain", c.write("healed.log", OOM + "\n" + STEPS)).out
    c.check(healed.startswith("HEALTHY") and "against  the job went on: 19 steps after it" in healed, "a healed error: %s" % healed)
    c.check("no rule found anything to blame" in c.run("diagnose", "--explain", c.write("calm.log", "nothing here\n")).out, "an unknown log is not explained")
    evil = c.run("diagnose", "--explain", c.write("evil.log", OOM + " \x1b[31m\x07red\n")).out
    c.check("\x1b" not in evil and "\x07" not in evil and "why" in evil, "control bytes of a log come through")


def test_diagnose_same_by_any_way_in(c):
    """Standard input, several files, a folder, gzip: the same cause, line and offset."""
    with open(os.path.join(JOB, "rank5.log"), "rb") as f:
        data = f.read()
    rank5 = c.write("job.log", data)  # a name that says nothing of a rank
    wants = [(e["line"], e["offset"], e["text"]) for e in c.verdict(rank5)["evidence"]]
    ways = {"standard input": c.verdict("-", stdin=data),
            "gzip": c.verdict(c.write("job.log.gz", gzip.compress(data))),
            "two gzip members": c.verdict(c.write("twice.log.gz", gzip.compress(data[:9000]) + gzip.compress(data[9000:])))}
    if shutil.which("zstd"):
        packed = subprocess.run(["zstd", "-q", "-c", rank5], capture_output=True, check=True).stdout
        ways["zstd"] = c.verdict(c.write("job.log.zst", packed))
    for way, v in ways.items():
        got = [(e["line"], e["offset"], e["text"]) for e in v.get("evidence", [])]
        c.check(v.get("cause") == "gpu_ecc_error" and got == wants, "%s: %s, evidence %s instead of %s" % (way, v.get("cause"), got, wants))
    files = sorted(os.listdir(JOB))
    whole = c.verdict(JOB)
    several = c.verdict(*[os.path.join(JOB, f) for f in files])
    for key in ("verdict", "cause", "confidence", "summary", "action", "faulty", "progress"):
        c.check(whole[key] == several[key], "folder and files differ in %s: %r, %r" % (key, whole[key], several[key]))


def test_diagnose_same_with_any_cache(c):
    def told(**more):
        got = c.verdict(JOB, **more)
        got.get("stats", {}).pop("seconds", None)
        return got
    first = told()
    cache = os.path.join(c.state, "cache")
    names = sorted(os.listdir(cache)) if os.path.isdir(cache) else []
    c.check(any(n.startswith("sieve-lines-") for n in names), "no sieve was kept: %s" % names)
    before = {n: os.stat(os.path.join(cache, n)).st_ino for n in names}
    c.check(told() == first, "the second run differs")
    c.check(before == {n: os.stat(os.path.join(cache, n)).st_ino for n in os.listdir(cache)}, "the second run wrote the cache anew")
    for n in names:
        with open(os.path.join(cache, n), "r+b") as f:
            f.seek(-100, os.SEEK_END)
            f.write(b"damaged")
    got = c.run("diagnose", "--format", "json", JOB)
    c.check(json.loads(got.out)["cause"] == first["cause"] and not got.err, "a damaged cache shows: %s" % got.err)
    shutil.rmtree(cache)
    open(cache, "w").close()
    c.check(told() == first, "a run that cannot keep its scanner differs")


def test_shipped_rules_are_checked_by_lint(c):
    share = os.environ.get("FAULTLINE_SHARE")
    if not share:
        c.skipped = "FAULTLINE_SHARE is not set"
        return
    copy = os.path.join(c.folder, "share")
    for part in ("rules", "data"):
        shutil.copytree(os.path.join(share, part), os.path.join(copy, part))
    c.env["FAULTLINE_SHARE"] = copy
    rules = {"format": "faultline.diagnosis/1", "rules": [dict(RULE["rules"][0], id="bad-syntax", any=["widget (cooling"]),
                                                          dict(RULE["rules"][0], id="bad-sample", any=["widget cooling h.s"])]}
    c.write("share/rules/diagnosis/zz.json", json.dumps(rules))
    c.run("rules", "lint", status=1, says=["rule bad-syntax: missing", "rule bad-sample: sample match[0]"])
    c.check(c.verdict(JOB)["cause"] == "gpu_ecc_error", "one bad shipped rule changes the verdict")


def test_diagnose_follow(c):
    path = c.write("job.log", "iteration 1 loss: 2.1\n")
    p = subprocess.Popen([c.binary, "diagnose", "--follow", "--format", "json", path], env=c.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    with open(path, "a") as f:
        for i in range(2, 40):
            f.write("iteration %d loss: 2.0\n" % i)
            f.flush()
        f.write(OOM + "\n")
    time.sleep(1)
    c.check(p.poll() is None, "--follow ended by itself")
    p.send_signal(signal.SIGTERM)
    try:
        out, err = p.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        c.check(False, "--follow did not end within a minute of SIGTERM")
        return
    c.check(p.returncode == 0, "exit status %d: %s" % (p.returncode, err.decode()))
    v = json.loads(out or b"{}")
    c.check(v.get("cause") == "gpu_oom" and v["evidence"][0]["line"] == 40, "followed to %r" % (v.get("cause"),))


def wait_until_open(p, paths, seconds=30):
    until, folder = time.monotonic() + seconds, "/proc/%d/fd" % p.pid
    while time.monotonic() < until and p.poll() is None:
        held = set()
        for fd in os.listdir(folder):
            try:
                held.add(os.path.realpath(os.path.join(folder, fd)))
            except OSError:
                pass
        if {os.path.realpath(path) for path in paths} <= held:
            return
        time.sleep(0.01)


def follower(c, *args, paths=()):
    """The program in follow mode, its files open; read(n) waits for n lines of output."""
    p = subprocess.Popen([c.binary, *args], env=c.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until_open(p, paths)
    os.set_blocking(p.stdout.fileno(), False)
    seen = bytearray()

    def read(n, seconds=10):
        until = time.monotonic() + seconds
        while seen.count(b"\n") < n and time.monotonic() < until:
            seen.extend(p.stdout.read() or b"")
            time.sleep(0.005)
        return bytes(seen)

    def end():
        p.send_signal(signal.SIGTERM)
        try:
            out, err = p.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            c.check(False, "--follow did not end within a minute of SIGTERM")
        return bytes(seen) + (out or b""), err.decode()

    return read, end


def append(path, text):
    with open(path, "a") as f:
        f.write(text)


def test_diagnose_follows_many(c):
    paths = [c.write("rank%d.log" % i, "iteration 1 loss: 2.1\n") for i in range(12)]
    read, end = follower(c, "diagnose", "--follow", "--format", "json", *paths, paths=paths)
    for i, path in enumerate(paths):
        append(path, "".join("iteration %d loss: 2.0\n" % n for n in range(2, 30)))
    os.rename(paths[7], paths[7] + ".1")
    append(paths[7] + ".1", OOM + "\n")
    append(paths[7], "iteration 30 loss: 2.0\n")
    time.sleep(0.8)
    out, err = end()
    v = json.loads(out or b"{}")
    c.check(v.get("cause") == "gpu_oom" and v["evidence"][0]["file"] == "rank7.log" and v["evidence"][0]["line"] == 30,
            "followed to %r %r %s" % (v.get("cause"), v.get("evidence"), err))


def test_filter_follow(c):
    one, two = c.write("one.log", "step 1\nkept 1\n"), c.write("two.log", "")
    rules = c.write("only.json", json.dumps(["^step \\d+$"]))
    read, end = follower(c, "filter", "--follow", "--only", rules, one, two, paths=[one, two])
    want = b"==> %s <==\nkept 1\n" % one.encode()
    c.check(read(2) == want, "begins with %r" % read(2))
    append(two, "step 2\nhalf of")
    time.sleep(0.4)
    append(two, " a line\n")
    want += b"\n==> %s <==\nhalf of a line\n" % two.encode()
    c.check(read(5) == want, "goes on with %r" % read(5))
    append(one, "last 1\n")
    os.rename(one, one + ".old")
    append(one + ".old", "late 1\n")
    append(one, "new 1\nstep 3\nnew 2\n")
    want += b"\n==> %s <==\nlast 1\nlate 1\nnew 1\nnew 2\n" % one.encode()
    c.check(read(11) == want, "rotation gives %r" % read(11))
    c.write("only.json", "new rules that are none")
    append(one, "step 4\nkept 5\n")
    want += b"kept 5\n"
    c.check(read(12) == want, "a broken rule file changes the rules: %r" % read(12))
    c.write("only.json.new", json.dumps(["^kept \\d+$"]))
    os.rename(os.path.join(c.folder, "only.json.new"), rules)
    until = time.monotonic() + 10
    while b"step" not in read(0) and time.monotonic() < until:
        append(one, "step 6\n")
        time.sleep(0.01)
    append(one, "kept 7\nthe end\n")
    time.sleep(0.4)
    out, err = end()
    c.check(b"step 6" in out and b"kept 7" not in out and out.endswith(b"the end\n"), "new rules give %r" % out[len(want):])
    c.check("the rules changed: 1 are in force" in err and "the rules stay as they were" in err, "says %s" % err)


def test_filter_follow_loses_nothing(c):
    """A slow reader, a file that grows and is truncated: every line that was written whole comes out."""
    path = c.write("busy.log", "")
    rules = c.write("none.json", json.dumps(["^never$"]))
    p = subprocess.Popen([c.binary, "filter", "--follow", "--only", rules, path], env=c.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = ["line %06d %s\n" % (i, "x" * (i % 300)) for i in range(30000)]
    for at in range(0, len(lines), 3000):
        append(path, "".join(lines[at:at + 3000]))
    got = bytearray()
    until = time.monotonic() + 30
    while not got.endswith(lines[-1].encode()) and time.monotonic() < until:
        got.extend(os.read(p.stdout.fileno(), 65536))
        time.sleep(0.0005)
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=60)
    c.check(bytes(got) == "".join(lines).encode(), "%d of %d bytes came out" % (len(got), sum(map(len, lines))))


# ------------------------------------------------------------------------------------------------ filter

def filter_log(seed):
    """Lines of every awkward kind; the last has no newline."""
    r = random.Random(seed)
    words = [b"step", b"loss", b"INFO", b"WARN", b"error", b"rank", b"epoch", b"nan", b"10.0.0.1", b"[ok]", b"\xff\xfe", b"\xc3\xa9", b"\x00", b"\t", b"a.b"]
    lines = []
    for i in range(4000):
        line = b" ".join(r.choice(words) for _ in range(r.randrange(0, 12))) + b" %d" % r.randrange(1000)
        if i % 7 == 0:
            line += b"\r"
        if i % 11 == 0:
            line = line.replace(b" ", b"\r", 2)
        if i % 400 == 5:
            line = b"x" * r.randrange(20000, 60000) + line
        if i % 400 == 9:
            line = line + b" " + b"y" * r.randrange(20000, 60000)
        if i % 50 == 3:
            line = b""
        lines.append(line)
    return b"\n".join(lines)


REGEXES = [r"^step\b", r"loss \d+\r?$", r"INFO.*(?:rank|epoch) ", r"(?i)ERROR nan", r"10\.0\.0\.\d+ \[ok\]", r"\xff\xfe\s", r"^x{100,}.*WARN", r" y{50,}$", r"a\.b\t", r"^(?!.*step)epoch"]


def test_filter_only_is_what_the_regexes_say(c):
    rules = c.write("only.json", json.dumps(REGEXES))
    compiled = [re.compile(x.replace("{100,}", "{100}").encode("latin-1")) for x in REGEXES]  # the same lines, in linear time
    for seed in (1, 2):
        data = filter_log(seed)
        kept = [i for i, line in enumerate(data.split(b"\n")) if not any(x.search(line) for x in compiled)]
        ended = re.findall(rb"[^\n]*\n|[^\n]+$", data)
        want = b"".join(ended[i] for i in kept)
        c.check(100 < len(kept) < 3900, "the test itself keeps %d lines" % len(kept))
        path = c.write("filter%d.log" % seed, data)
        got_file = c.run("filter", "--only", rules, path).stdout
        got_pipe = c.run("filter", "--only", rules, stdin=data).stdout
        c.check(got_pipe == got_file, "file and pipe differ")
        if got_file != want:
            got = got_file.split(b"\n")
            at = next((i for i, (a, b) in enumerate(zip(got, want.split(b"\n"))) if a != b), -1)
            c.check(False, "seed %d: %d bytes instead of %d; first difference in kept line %d: %r" % (seed, len(got_file), len(want), at, got[at][:100]))


def test_filter_is_a_pipe(c):
    with open(os.path.join(JOB, "rank5.log"), "rb") as f:
        data = f.read()
    done = c.run("filter", stdin=data, says="lines, ")
    rest = iter(data.splitlines(True))
    got = done.stdout.splitlines(True)
    c.check(all(line in rest for line in got), "what comes out is no subsequence of what went in")
    c.check(0 < len(got) < data.count(b"\n"), "%d of %d lines kept" % (len(got), data.count(b"\n")))
    c.check(b"uncorrectable ECC error" in done.stdout, "the decisive line was filtered")
    c.check(done.stdout.endswith(b"".join(data.splitlines(True)[-20:])), "the last 20 lines were touched")
    c.check(c.run("filter", "-", stdin=data).stdout == done.stdout, "- differs from no PATH")
    c.check(c.run("filter", c.write("a.log.gz", gzip.compress(data))).stdout == done.stdout, "gzip differs")
    c.check(c.run("filter", stdin=b"").stdout == b"", "something out of nothing")
    told = c.run("filter", "--explain", stdin=data)
    c.check(told.stdout == done.stdout, "--explain changes the output")
    dropped = told.err.count("dropped by ")
    c.check(dropped == data.count(b"\n") - len(got), "--explain names %d of %d dropped lines" % (dropped, data.count(b"\n") - len(got)))


def test_filter_keeps_what_it_cannot_judge(c):
    rules = c.write("only.json", json.dumps(["z+"]))
    data = b"z" * (1 << 20) + b"\nzz\nkeep\n" + b"z" * (70 << 10)
    c.check(c.run("filter", "--only", rules, stdin=data).stdout == data.replace(b"\nzz\n", b"\n"), "an overlong line was dropped or changed")


def test_filter_into_a_closed_pipe(c):
    p = subprocess.Popen([c.binary, "filter", os.path.join(JOB, "rank5.log")], env=c.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    err = p.stderr.read().decode()
    p.stderr.close()
    c.check(p.wait(60) >= 0 and not CRASH.search(err), "crashed: %s" % err)


# ------------------------------------------------------------------------------------------------ redact

PRIVATE = """[rank0]: HF_TOKEN=hf_CANARYabcdefghijklmnop at /home/canary/run from 10.20.30.40
step 4 loss 2.31 commit 0123456789abcdef0123456789abcdef01234567
again hf_CANARYabcdefghijklmnop, mail canary@example.org
-----BEGIN PRIVATE KEY-----
MIICANARYcanary0
-----END PRIVATE KEY-----
password = CANARY99"""
REDACTED = """[rank0]: HF_TOKEN=<secret:1> at /home/<user:1>/run from <ip:1>
step 4 loss 2.31 commit 0123456789abcdef0123456789abcdef01234567
again <secret:1>, mail <email:1>
<secret:2>
<secret:3>
<secret:3>
password = <secret:4>"""


def test_redact(c):
    path = c.write("a.log", PRIVATE)
    c.check(c.run("redact", path).out == REDACTED, "printed: %r" % c.run("redact", path).out)
    packed = c.write("a.log.gz", gzip.compress(PRIVATE.encode()))
    for how in (("redact",), ("redact", "-"), ("redact", packed)):
        c.check(c.run(*how, stdin=PRIVATE.encode()).out == REDACTED, "%r prints something else" % (how,))
    both = c.run("redact", path, c.write("b.log", "\nhf_CANARYabcdefghijklmnop /home/other"), path).out
    c.check(both.startswith(REDACTED) and "\n<secret:1> /home/<user:2>" in both, "numbers differ between files: %r" % both)
    with open(HEALTHY, "rb") as f:
        data = f.read()
    out = c.run("redact", stdin=data).stdout
    c.check(out.count(b"\n") == data.count(b"\n") and b"<secret" not in out, "a healthy log: %r" % out[:300])


def test_redact_count(c):
    told = json.loads(c.run("redact", "--count", "--format", "json", stdin=PRIVATE.encode()).out)
    c.check(told == {"schema": "faultline.redact/1", "lines": 7, "secret": {"replaced": 6, "different": 4},
                     "user": {"replaced": 1, "different": 1}, "ip": {"replaced": 1, "different": 1},
                     "email": {"replaced": 1, "different": 1}}, "--count: %r" % told)
    text = c.run("redact", "-c", stdin=PRIVATE.encode()).out
    c.check("secret  6 replaced, 4 different\n" in text and "CANARY" not in text, "--count: %r" % text)


def test_redact_faults(c):
    c.run("redact", os.path.join(c.folder, "absent"), status=3, says=("absent: cannot open", "give a log you may read"))
    c.run("redact", c.folder, status=2, says=("is a folder", "name the files in it"))
    c.run("redact", "--format", "json", status=2, says="add --count")
    torn = c.run("redact", c.write("torn.gz", gzip.compress(PRIVATE.encode())[:-12]), status=3, says="torn.gz: broken gzip data")
    c.check("CANARY" not in torn.out, "leaked: %r" % torn.out)


def test_redact_of_a_line_without_end(c):
    rng = random.Random(3)
    parts = ["a%d=%s, " % (i, rng.choice(("0.5", "hf_CANARYabcdefghijklmnop", "'x y'"))) for i in range(60000)]
    line = "".join(parts).encode()
    out = c.run("redact", stdin=line).out
    c.check("CANARY" not in out and out.replace("<secret:1>", "hf_CANARYabcdefghijklmnop").encode() == line, "a long line was torn")
    blob = b"QUJD" * 500000
    c.check(c.run("redact", stdin=blob + b"\nx\n").stdout == blob + b"\nx\n", "a line without blanks was changed")


# ------------------------------------------------------------------------------------------------- rules

RULE = {"format": "faultline.diagnosis/1", "rules": [{
    "id": "site-widget-pressure", "cause": "node_failure", "role": "root", "any": [r"widget cooling lost pressure in bay (?<bay>\d+)"],
    "confidence": 0.95, "summary": "The widget of bay {bay} lost its cooling", "action": "drain_node", "recovery": ["Call the widget desk"],
    "samples": {"match": ["widget cooling lost pressure in bay 7"], "nomatch": ["widget cooling has pressure in bay 7"]}}]}


def test_rules_list_show(c):
    rows = c.run("rules", "list").out.splitlines()
    listed = json.loads(c.run("rules", "list", "--format", "json").out)
    c.check(len(rows) == len(listed) > 100, "%d rows, %d in JSON" % (len(rows), len(listed)))
    c.check(not [r for r in rows if " broken " in r], "a shipped rule is broken")
    c.check(len({r["id"] for r in listed}) == len(listed), "an id stands twice")
    one = json.loads(c.run("rules", "show", listed[0]["id"]).out)
    c.check(one == listed[0], "show and list differ")
    c.run("rules", "show", "no-such-rule", status=3, says="no-such-rule")
    c.run("rules", status=2)
    c.run("rules", "frobnicate", status=2, says="frobnicate")


def test_rules_test_lint(c):
    path = c.write("site.json", json.dumps(RULE))
    log = c.write("w.log", "nothing here\nwidget cooling lost pressure in bay 3\n")
    c.check("1 rules, 0 bad" in c.run("rules", "lint", path).out, "a good file is not good")
    c.run("rules", "lint")
    c.run("rules", "test")
    bad = json.loads(json.dumps(RULE))
    bad["rules"][0]["samples"]["nomatch"].append("widget cooling lost pressure in bay 9")
    wrong = c.write("bad.json", json.dumps(bad))
    c.run("rules", "lint", wrong, status=1, says=["bad.json", "site-widget-pressure", "nomatch[1]"])
    bad["rules"][0]["samples"]["nomatch"].pop()
    bad["rules"][0]["id"] = "site-widget-pressure-2"
    good = c.write("good.json", json.dumps(bad))
    c.check("2 rules, 0 bad" in c.run("rules", "lint", path, good).out, "two good files are not good")
    c.run("rules", "lint", good, wrong, status=1, says=["bad.json", "nomatch[1]"])
    c.run("rules", "lint", good, os.path.join(c.folder, "none.json"), status=3, says="none.json")


def test_rules_import_export(c):
    path = c.write("site.json", json.dumps(RULE))
    log = c.write("w.log", "widget cooling lost pressure in bay 3\n")
    c.check(c.verdict(log)["cause"] != "node_failure", "the rule applies before it is imported")
    c.run("rules", "import", path)
    v = c.verdict(log)
    c.check(v["cause"] == "node_failure" and v["summary"] == "The widget of bay 3 lost its cooling", "the imported rule does not apply: %r" % v["summary"])
    c.check((v["action"], v["recovery"]) == ("drain_node", ["Call the widget desk"]), "action and recovery of the rule are not used")
    out = c.run("rules", "export").out
    c.check([r["id"] for r in json.loads(out)["rules"]] == ["site-widget-pressure"], "export gives %s" % out[:200])
    again = c.write("again.json", out)
    c.run("rules", "lint", again)
    other = os.path.join(c.folder, "other")
    c.run("rules", "--state", other, "import", again)
    c.check(c.verdict("--state", other, log)["cause"] == "node_failure", "an exported rule does not apply elsewhere")
    os.remove(os.path.join(c.state, "rules", "operator", "site.json"))
    c.check(c.verdict(log)["cause"] != "node_failure", "the rule still applies after its file was removed")


def test_rules_states(c):
    """Only an active rule decides; proposed, shadow and retired ones are listed, no more."""
    log = c.write("w.log", "widget cooling lost pressure in bay 3\n")
    data = b"".join(b"widget telemetry %d\n" % i for i in range(100))
    for state in ("proposed", "shadow", "active", "retired"):
        c.run("rules", "import", c.write("site.json", json.dumps(dict(RULE, rules=[dict(RULE["rules"][0], state=state)]))))
        c.run("rules", "import", c.write("filter.json", json.dumps({"format": "faultline.filters/1", "stack": "site", "rules": [
            {"id": "site-telemetry", "pattern": "widget telemetry \\d+", "state": state, "samples": {"match": ["widget telemetry 3"], "nomatch": ["widget 3"]}}]})))
        rows = [r for r in c.run("rules", "list").out.splitlines() if r.startswith("site-")]
        c.check(len(rows) == 2 and all(" %s " % state in r for r in rows), "%s: list says %s" % (state, rows))
        v = c.verdict(log)
        c.check((v["cause"] == "node_failure") == (state == "active"), "a rule in state %s: cause %r" % (state, v["cause"]))
        kept = c.run("filter", stdin=data).stdout.count(b"\n")
        c.check(kept == (20 if state == "active" else 100), "a filter rule in state %s: %d lines kept" % (state, kept))


def test_rules_import_prototype_files(c):
    c.run("rules", "import", c.write("filter_rules.json", json.dumps([r"^widget telemetry \d+$"])))
    c.run("rules", "import", c.write("diagnosis_rules.json", json.dumps([{"regex": "widget cooling lost", "diagnosis": {"cause": "node_failure", "summary": "widget trouble"}}])))
    v = c.verdict(c.write("w.log", "widget cooling lost pressure\n"))
    c.check((v["cause"], v["summary"]) == ("node_failure", "widget trouble"), "%r, %r" % (v["cause"], v["summary"]))
    data = b"".join(b"widget telemetry %d\n" % i for i in range(100))
    c.check(len(c.run("filter", stdin=data).stdout.splitlines()) == 20, "an imported filter rule does not apply")


def write_learned(c, *rules):
    """A learned file as the program writes it: the checksum is that of the bytes of the list."""
    body = json.dumps(list(rules), indent=2)
    total = 14695981039346656037
    for byte in body.encode():
        total = (total ^ byte) * 1099511628211 % 2**64
    return c.write("state/rules/learned_filters.json",
                   '{\n  "format": "faultline.filters/1",\n  "checksum": "fnv1a:%016x",\n  "rules": %s\n}\n' % (total, body))


def learned_filter(name, pattern, sample):
    return {"id": "learned-filter-" + name, "pattern": pattern, "samples": {"match": [sample], "nomatch": ["no such line"]},
            "state": "proposed", "origin": {"kind": "learned", "model": "m-1", "time": "2031-04-02T10:00:00Z"}}


def test_rules_life(c):
    """A learned filter from the proposal to the end, as its operator sees it."""
    good = learned_filter("good", r"^widget press \d+ is well oiled today$", "widget press 1 is well oiled today")
    wide = learned_filter("wide", r"widget press \d+", "widget press 1 is well oiled today")
    path = write_learned(c, good, wide)
    job = c.write("jobs/llama-1/rank0.log", "".join("widget press %d is well oiled today\nquiet line %s\n" % (i, "x" * (i % 9)) for i in range(60)))
    c.env["USER"] = "ada"
    c.check(c.verdict(job)["job"]["streams"][0]["dropped"] == 0, "a proposed filter drops lines")
    out = c.run("rules", "pending").out
    c.check("learned-filter-good" in out and "well oiled" in out, "pending: %s" % out)
    c.run("rules", "approve", "learned-filter-wide", status=3, says="refused")
    c.run("rules", "approve", "learned-filter-nil", status=3, says="no learned rule")
    c.run("rules", "approve", "gpu-oom-torch", status=3, says="not a learned one")
    c.run("rules", "approve", "learned-filter-good", "--reason", "seen it")
    c.check(c.verdict(job)["job"]["streams"][0]["dropped"] == 0, "a filter in shadow drops lines")
    pending = {p["rule"]["id"]: p for p in json.loads(c.run("rules", "pending", "--format", "json").out)}
    c.check(pending["learned-filter-good"]["lines_in_state"] == 60 and not pending["learned-filter-good"]["proved"], "%r" % pending)
    c.run("rules", "approve", "--active", "learned-filter-good")
    c.check(c.verdict(job)["job"]["streams"][0]["dropped"] == 60, "an active filter does not drop its lines")
    c.check(c.verdict("--no-learned", job)["job"]["streams"][0]["dropped"] == 0, "--no-learned goes with learned rules")
    kept = len(c.run("filter", job).out.splitlines())
    c.check(len(c.run("filter", "--no-learned", job).out.splitlines()) == 120 and kept == 70, "filter keeps %d lines" % kept)
    shown = json.loads(c.run("rules", "show", "learned-filter-good", "--format", "json").out)
    steps = [(h["was"], h["now"], h["actor"], h["reason"]) for h in shown["history"]]
    c.check(steps == [("proposed", "shadow", "user ada", "seen it"), ("shadow", "active", "user ada", "")], "history: %r" % steps)
    c.check(shown["rule"]["origin"]["model"] == "m-1" and shown["lines"] == 60 and "well oiled" in shown["uses"][0]["sample"], "%r" % shown)
    out = c.run("rules", "show", "learned-filter-good").out
    c.check("shadow -> active by user ada" in out and "60 of 120 lines" in out, "show: %s" % out)
    c.run("rules", "retire", "learned-filter-good")
    c.check(c.verdict(job)["job"]["streams"][0]["dropped"] == 0, "a retired filter drops lines")
    c.run("rules", "reject", "learned-filter-wide")
    c.check("learned" not in c.run("rules", "pending").out, "rules that were judged are pending")
    c.run("rules", "revoke", "learned-filter-wide")
    c.run("rules", "revoke", "learned-filter-good")
    c.check(not os.path.exists(os.path.dirname(path)), "revoked rules left files")


def test_rules_approve_protects(c):
    """What a person says must stay visible, is left alone."""
    write_learned(c, learned_filter("oil", r"^widget press \d+ is \w+ oiled today$", "widget press 1 is well oiled today"))
    lines = c.write("telling.txt", "widget press 7 is badly oiled today\n")
    label = c.write("cases/one/label.json", json.dumps({"cause": "node_failure", "evidence": [{"file": "job.log", "text": "widget press 9 is hardly oiled today"}]}))
    c.run("rules", "approve", "--protect", lines, "learned-filter-oil", status=3, says="telling.txt")
    c.run("rules", "approve", "--protect", os.path.join(c.folder, "cases"), "learned-filter-oil", status=3, says="label.json")
    os.remove(label)
    c.run("rules", "approve", "--protect", os.path.join(c.folder, "cases"), "learned-filter-oil")


# --------------------------------------------------------------------------------------------- incidents

INCIDENT = {"cause": "node_failure", "stack": "widget", "title": "Widget overheated", "summary": "The widget of bay 4 overheated",
            "text": "widget cooling lost pressure in bay 4\nwidget emergency stop", "resolution": "Replaced the widget pump", "action": "drain_node", "outcome": "resolved"}


def test_incidents(c):
    path = c.write("one.json", json.dumps(INCIDENT))
    name = c.run("incidents", "add", path).out.strip()
    c.check(name, "add gives no id")
    listed = json.loads(c.run("incidents", "list", "--limit", "0", "--format", "json").out)["incidents"]
    c.check(name in [i["id"] for i in listed] and len(listed) > 50, "list does not have it (of %d)" % len(listed))
    few = json.loads(c.run("incidents", "list", "-n", "3", "--cause", "node_failure", "-f", "json").out)["incidents"]
    c.check(0 < len(few) <= 3 and {i["cause"] for i in few} == {"node_failure"}, "--cause and --limit give %s" % few)
    one = json.loads(c.run("incidents", "show", name, "-f", "json").out)
    c.check({k: one.get(k) for k in INCIDENT} == INCIDENT, "show differs from what was added: %s" % one)
    c.check("Replaced the widget pump" in c.run("incidents", "show", name).out, "text of show")
    hits = json.loads(c.run("incidents", "search", "widget cooling lost pressure", "-f", "json").out)["incidents"]
    c.check(hits and hits[0]["incident"]["id"] == name, "search does not find it first")
    c.check(name in c.run("incidents", "search", "-", stdin=b"widget cooling lost pressure in bay 8\n").out, "search of standard input")
    v = c.verdict(c.write("w.log", "Error: widget cooling lost pressure in bay 8\nwidget emergency stop\n"))
    c.check(name in [s["incident"] for s in v["similar"]], "diagnose does not remember it: %s" % v["similar"])
    listed = json.loads(c.run("incidents", "list", "--limit", "0", "--format", "json").out)["incidents"]
    dump = c.run("incidents", "export").stdout
    c.check(len([json.loads(x) for x in dump.splitlines()]) == len(listed), "export gives another number than list")
    c.run("incidents", "forget", name)
    c.run("incidents", "show", name, status=3, says=name)
    c.check(name not in c.run("incidents", "search", "widget cooling lost pressure").out, "forgotten, but found")
    c.run("incidents", "import", c.write("dump.jsonl", dump))
    c.check(json.loads(c.run("incidents", "show", name, "-f", "json").out)["title"] == INCIDENT["title"], "import of the export")
    c.run("incidents", "forget", "no-such-incident", status=3, says="no-such-incident")
    c.run("incidents", status=2)
    c.run("incidents", "frobnicate", status=2, says="frobnicate")
    c.run("incidents", "add", c.write("bad.json", '{"cause": "no_such_cause", "title": "x"'), status=3, says="bad.json")


# ------------------------------------------------------------------------------------- config, doctor, help

def test_config(c):
    c.env.update(OPENAI_API_KEY="sk-secret-value", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    c.write("faultline/config.json", json.dumps({"model": "from-file", "base_url": "http://nowhere/v1", "deadline_seconds": 7}))
    out = c.run("config").out
    c.check("sk-secret-value" not in out, "config shows the key")
    for setting, source, value in (("base_url", "environment", "http://127.0.0.1:9/v1"), ("model", "configuration file", "from-file"), ("deadline_seconds", "configuration file", "7"), ("state", "environment", c.state)):
        row = next((r for r in out.splitlines() if r.startswith(setting)), "")
        c.check(source in row and row.rstrip().endswith(value), "%s: %r" % (setting, row))
    key = c.write("key", "sk-filed-value\n")
    c.env["OPENAI_API_KEY_FILE"] = key
    row = next(r for r in c.run("config").out.splitlines() if r.startswith("api_key "))
    c.check("environment" in row, "a key beside the name of its file: %r" % row)
    del c.env["OPENAI_API_KEY"]
    c.env["FAULTLINE_HEADERS"] = "X-Title: faultline\nX-Token: header-secret"
    out = c.run("config").out
    row = next(r for r in out.splitlines() if r.startswith("api_key "))
    c.check("api_key_file" in row and row.endswith("(set, hidden)"), "key from its file: %r" % row)
    c.check("sk-filed" not in out and "header-secret" not in out, "config shows a secret")
    os.chmod(key, 0o622)
    c.run("config", status=3, says="only this user or root can write")
    os.chmod(key, 0o600)
    link = os.path.join(c.folder, "mounted-key")  # as container platforms mount secrets
    os.symlink(key, link)
    c.env["OPENAI_API_KEY_FILE"] = link
    row = next(r for r in c.run("config").out.splitlines() if r.startswith("api_key "))
    c.check("api_key_file" in row, "key behind a link: %r" % row)
    c.env["OPENAI_API_KEY_FILE"] = c.write("no-key", "\n")
    c.run("config", status=3, says="empty")
    c.env["OPENAI_API_KEY_FILE"] = os.path.join(c.folder, "nowhere")
    c.run("config", status=3, says="nowhere")
    del c.env["OPENAI_API_KEY_FILE"], c.env["FAULTLINE_HEADERS"]
    c.env["FAULTLINE_CONFIG"] = c.write("bad.json", '{"modle": "x"}')
    c.run("config", status=3, says=["bad.json", "modle"])
    c.env["FAULTLINE_CONFIG"] = c.write("bad2.json", '{"model": ')
    c.run("diagnose", JOB, status=3, says="bad2.json")
    c.env["FAULTLINE_CONFIG"] = c.write("none", "") + "-at-all.json"
    c.run("config", status=3, says="none-at-all.json")


def test_doctor_version(c):
    out = c.run("doctor").out
    c.check("!!" not in out and "rules" in out and "none set: nothing is ever sent" in out, out)
    c.env["OPENAI_BASE_URL"] = "http://127.0.0.1:9/v1"
    c.check("FAULTLINE_MODEL is not" in c.run("doctor", status=1).out, "half an endpoint is not told")
    for args in (("version",), ("--version",)):
        c.check(re.fullmatch(r"faultline \d+\.\d+\.\d+\S*\n", c.run(*args).out), "%s prints something else" % args)


def test_help(c):
    options = {"diagnose": "--format --explain --follow --offline --state --no-learned --fail-on --base-url --model --deadline", "filter": "--only --explain --state",
               "rules": "--state --format list show test lint import export pending approve reject retire revoke", "incidents": "--state --format --limit --cause list show search add forget export import",
               "eval": "--verbose --part --calibrate", "config": "", "redact": "--count --format", "doctor": "--state", "version": ""}
    top = c.run("--help").out
    c.check(c.run("-h").out == top == c.run("help").out, "-h, --help and help differ")
    known = re.findall(r"^  (\w+) +\S", top, re.M)
    c.check(set(options) <= set(known), "--help lacks %s" % (set(options) - set(known)))
    for command in known:
        out = c.run(command, "--help").out
        for word in options.get(command, "").split():
            c.check(word in out, "%s --help lacks %s" % (command, word))
        if command != "version":
            c.check(out.startswith("Usage: faultline %s" % command), "%s --help begins %r" % (command, out[:40]))


TESTS = [f for name, f in sorted(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv))
