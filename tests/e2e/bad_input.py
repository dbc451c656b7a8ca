#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a night brings: missing, broken, hostile input. Each gets a message that names the place, the agreed exit
status (0 a verdict, 1 only with --fail-on, 2 usage, 3 unreadable), and never a crash.

    bad_input.py PATH/TO/faultline [NAME...]      runs the tests whose names contain one of the NAMEs
"""
import ctypes
import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

from commands import CRASH, HEALTHY, INCIDENT, JOB, OOM, RULE, run_tests

LOG = "iteration 1 loss: 2.31\niteration 2 loss: 2.27\n" + OOM + "\n"
DIFFERENT = "Error: the cooling loop of widget 7 lost its pressure\n"


def is_oom(c, v, what):
    c.check(v.get("verdict") == "failed" and v.get("cause") == "gpu_oom", "%s: verdict %r, cause %r" % (what, v.get("verdict"), v.get("cause")))


# ------------------------------------------------------------------------------------------------- usage

def test_usage(c):
    c.run(status=2, says="Usage: faultline")
    c.run("frobnicate", status=2, says="frobnicate")
    c.run("diagnose", status=2, says="diagnose PATH")
    c.run("diagnose", "--frobnicate", JOB, status=2, says=["--frobnicate", "--help"])
    c.run("diagnose", "-z", JOB, status=2, says="-z")
    c.run("diagnose", "--format", "xml", JOB, status=2, says=["xml", "text|json|markdown"])
    c.run("diagnose", JOB, "--format", status=2, says=["--format", "needs a value"])
    c.run("diagnose", "--offline=yes", JOB, status=2, says="--offline")
    c.run("diagnose", "--fail-on", "sometimes", JOB, status=2, says=["sometimes", "critical"])
    c.run("diagnose", "--follow", "no-such.log", status=3, says="no-such.log")
    c.run("filter", "--follow", "no-such.log", status=3, says="no-such.log")
    c.run("diagnose", c.write("sizes.csv", "name,size\nwheel,3\n"), status=3, says=["sizes.csv", "must name a step or epoch"])
    c.run("filter", "--threads", "99", JOB, status=2, says="--threads")
    c.run("incidents", "list", "--limit", "-3", status=2, says="--limit")
    c.run("filter", "--only", status=2, says="--only")
    for command in ("diagnose", "filter", "rules", "incidents", "eval", "config", "doctor"):
        c.run(command, "--frobnicate", status=2, says="--frobnicate")
    c.run("diagnose", "--", "--odd-name.log", status=3, says="--odd-name.log")


def test_fail_on(c):
    path = c.write("job.log", LOG)
    severity = c.verdict(path)["severity"]
    order = ["low", "medium", "high", "critical"]
    for level in order:
        reached = order.index(severity) >= order.index(level)
        c.run("diagnose", "--fail-on", level, path, status=int(reached))
    c.run("diagnose", "--fail-on", "high", JOB, status=1)
    c.run("diagnose", "--fail-on", "low", HEALTHY, status=0)


# ------------------------------------------------------------------------------------------ what to read

def test_missing_file(c):
    for command in (("diagnose",), ("filter",), ("diagnose", "--follow")):
        c.run(*command, os.path.join(c.folder, "no.log"), status=3, says=["no.log", "No such file"])
    forged = c.run("diagnose", "x\nfaultline: error: all is well", status=3, says="all is well").err
    c.check(not any(line.startswith("faultline: error: all") for line in forged.splitlines()), "a file name forged a message: %r" % forged)
    good = c.write("good.log", LOG)
    v = c.verdict(os.path.join(c.folder, "no.log"), good, says=["no.log", "No such file"])
    is_oom(c, v, "a missing file beside a good one")
    is_oom(c, c.verdict(good, os.path.join(c.folder, "no.log"), says="no.log"), "a missing file after a good one")


def test_folder_without_logs(c):
    os.mkdir(os.path.join(c.folder, "empty"))
    c.run("diagnose", os.path.join(c.folder, "empty"), status=3, says=["empty", "no log"])
    c.write("code/train.py", "print('x')\n")
    c.run("diagnose", os.path.join(c.folder, "code"), status=3, says=["code", "no log"])
    c.run("filter", os.path.join(c.folder, "code"), status=None, says="code")
    c.run("eval", os.path.join(c.folder, "empty"), status=3, says="empty")
    os.symlink("loop", os.path.join(c.folder, "loop"))
    c.run("diagnose", os.path.join(c.folder, "loop"), status=3, says="loop")
    c.write("round/good.log", LOG)
    os.symlink("../round", os.path.join(c.folder, "round", "again"))
    is_oom(c, c.verdict(os.path.join(c.folder, "round")), "a folder that holds itself")


def test_binary_file(c):
    dice = random.Random(3)
    data = bytes(dice.randrange(256) for _ in range(100000))
    c.run("diagnose", c.write("core.log", data), status=3, says=["core.log", "binary"])
    c.run("diagnose", "-", stdin=data, status=3, says=["standard input", "binary"])
    is_oom(c, c.verdict(c.write("core.log", data), c.write("good.log", LOG), says="core.log"), "a binary file beside a good one")


def test_empty_file(c):
    for name, data in (("empty.log", b""), ("newlines.log", b"\n" * 100000), ("returns.log", b"\r" * 5000), ("blank.log", b" \t \n" * 1000)):
        v = c.verdict(c.write(name, data), status=None)
        c.check(not v or v["verdict"] in ("unknown", "healthy") and v["cause"] is None and not v["evidence"], "%s: %s, %s" % (name, v.get("verdict"), v.get("cause")))
    done = c.run("diagnose", c.write("empty.log", b""), status=None)
    c.check(done.returncode in (0, 3), "an empty file ends with %d" % done.returncode)
    c.check("empty" in done.out + done.err, "nothing says that the file is empty: %r %r" % (done.out[:200], done.err))
    is_oom(c, c.verdict(c.write("empty.log", b""), c.write("good.log", LOG)), "an empty file beside a good one")
    c.check(c.run("filter", c.write("empty.log", b"")).stdout == b"", "something of nothing")


def test_unreadable_file(c):
    path = c.write("secret.log", LOG)
    good = c.write("good.log", LOG)
    os.chmod(path, 0)
    more = {}
    if os.geteuid() == 0:
        nobody = 65534
        os.chmod(c.folder, 0o755)
        more = {"user": nobody, "group": nobody, "extra_groups": []}
        try:
            subprocess.run([c.binary, "version"], env=c.env, capture_output=True, check=True, **more)
        except (OSError, subprocess.CalledProcessError):
            c.skipped = "run as root, and another user cannot run the program"
            return
    c.env["FAULTLINE_STATE"] = ""
    c.run("diagnose", path, status=3, says=["secret.log", "Permission denied"], **more)
    c.run("filter", path, status=3, says=["secret.log", "Permission denied"], **more)
    is_oom(c, c.verdict(path, good, says="secret.log", **more), "an unreadable file beside a good one")


def test_broken_archives(c):
    r = random.Random(4)
    lines = [OOM] + ["shard %d has checksum %x%x" % (i, r.getrandbits(60), r.getrandbits(60)) for i in range(20000)]
    data = "\n".join(lines).encode()
    packed = {"half.log.gz": gzip.compress(data)}
    if shutil.which("zstd"):
        packed["half.log.zst"] = subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout
    else:
        print("     no zstd program: truncated zstd is not tried")
    for name, whole in packed.items():
        path = c.write(name, whole[:len(whole) // 2])
        is_oom(c, c.verdict(path, says=name), "the first half of " + name)
        text = c.run("diagnose", path, says=name).out
        c.check("caution" in text and name in text, "the text report does not say that %s is broken" % name)
        kept = c.run("filter", path, status=3, says=name).stdout
        c.check(kept and data.startswith(kept[:20000]), "filter gives nothing of the first half of " + name)
        middle = bytearray(whole)
        for at in range(len(whole) // 2, len(whole) // 2 + 64):
            middle[at] ^= 0x5a
        is_oom(c, c.verdict(c.write("bent-" + name, bytes(middle)), says="bent-" + name), "a bent " + name)
        if name.endswith("zst"):  # small enough to be unpacked by one call; its first 128 KiB are sound
            small = bytearray(subprocess.run(["zstd", "-q", "-c"], input=data[:200000], capture_output=True, check=True).stdout)
            for at in range(len(small) * 9 // 10, len(small) * 9 // 10 + 64):
                small[at] ^= 0x5a
            is_oom(c, c.verdict(c.write("small-" + name, bytes(small)), says="small-" + name), "a small bent " + name)
        c.run("diagnose", c.write("tiny-" + name, whole[:6]), status=3, says="tiny-" + name)
        c.run("diagnose", c.write("junk-" + name, whole[:4] + b"\xff" * 500), status=3, says="junk-" + name)
    bomb = gzip.compress(b"\0" * (64 << 20) + b"\n" + OOM.encode())
    c.run("diagnose", c.write("zeros.log.gz", bomb), status=3, says="zeros.log.gz")


def test_hostile_bytes(c):
    oom = OOM.encode()
    for name, data in {
        "nul.log": b"a\0b\0\n" * 10 + oom + b"\0\0\n", "utf8.log": b"\xff\xfe\xc3\x28 \xe2\x82\n" * 10 + oom + b"\n",
        "utf8bom.log": b"\xef\xbb\xbf" + oom, "crlf.log": b"step\r\n" + oom + b"\r\n", "cr.log": b"10%\r20%\r30%\r" + oom + b"\r90%\r",
        "long.log": b"x" * (10 << 20) + b"\n" + oom + b"\n", "longest.log": oom + b"\n" + b"y" * (10 << 20), "noend.log": oom,
        "empties.log": b"\n" * 100000 + oom + b"\n" + b"\n" * 100000, "long2.log": b"[rank3]: " * 20000 + b"\n" + oom,
    }.items():
        path = c.write(name, data)
        is_oom(c, c.verdict(path), name)
        c.run("diagnose", path)
        c.check(c.run("filter", path).stdout == data, "filter changes or drops bytes of " + name)
    line = c.verdict(c.write("empties.log", b"\n" * 100000 + oom + b"\n"))["evidence"][0]["line"]
    c.check(line == 100001, "evidence after 100000 empty lines is said to be in line %d" % line)
    v = c.verdict("-", stdin=b"word " * (4 << 20), timeout=60)
    c.check(v.get("verdict") == "unknown", "20 MiB without a newline: %r" % v.get("verdict"))


def test_no_escape_reaches_the_terminal(c):
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\x08\x7f"
    data = (evil + "\n" + OOM + evil + "\nloss is " + evil + "\n" + "Traceback (most recent call last):\n  File \"" + evil + "\", line 1\nRuntimeError: " + evil + "\n")
    raw = data.encode("utf-8") + b"\x9b2J\n"
    os.mkdir(os.path.join(c.folder, "evil"))
    for name in ("job.log", "evil/rank0\x1b[31m\n.log"):
        path = c.write(name, raw)
        for form in ("text", "markdown", "json"):
            done = c.run("diagnose", "--format", form, path)
            shown = done.stdout + done.stderr
            for bad in (b"\x1b", b"\x07", b"\x08", b"\x7f", b"\xe2\x80\xae" if form != "json" else b"\x1b", b"\xc2\x9b" if form != "json" else b"\x1b"):
                c.check(bad not in shown, "%r in the %s report of %r" % (bad, form, name))
    done = c.run("diagnose", os.path.join(c.folder, "no\x1b[31m.log"), status=3)
    c.check("\x1b" not in done.err, "an escape of a file name reaches the terminal")
    rules = c.write("only.json", json.dumps(["loss is"]))
    c.check("\x1b" not in c.run("filter", "--only", rules, "--explain", path).err, "an escape in what --explain says")
    c.check("\x1b" not in c.run("rules", "test", c.write("r.json", json.dumps(["loss is"])), path).out, "an escape in what rules test says")
    c.run("incidents", "add", c.write("evil.json", json.dumps(dict(INCIDENT, title=evil, resolution=evil))))
    for args in (("list",), ("search", "widget cooling lost pressure"), ("show", c.run("incidents", "search", "widget", "-f", "json").out and json.loads(c.run("incidents", "search", "widget emergency stop", "-f", "json").out)["incidents"][0]["incident"]["id"])):
        c.check("\x1b" not in c.run("incidents", *args).out, "an escape in incidents %s" % args[0])


# ------------------------------------------------------------------------------------------------- rules

def operator(c, name, content):
    return c.write(os.path.join("state", "rules", "operator", name), content if isinstance(content, str) else json.dumps(content))


def one_rule(**changes):
    rule = dict(RULE["rules"][0], **changes)
    return {"format": RULE["format"], "rules": [rule]}


def test_broken_rule_files(c):
    log = c.write("job.log", LOG)
    operator(c, "good.json", RULE)
    widget = c.write("w.log", "widget cooling lost pressure in bay 3\n")
    bad = {
        "json.json": ('{"format": "faultline.diagnosis/1", "rules": [', []), "empty.json": ("", []), "other.json": ('{"a": 1}', ["faultline.diagnosis/1"]),
        "regex.json": (one_rule(id="site-broken-regex", any=[r"widget (cooling"]), ["site-broken-regex", "widget (cooling", "^"]),
        "cause.json": (one_rule(id="site-no-cause", cause="gremlins"), ["site-no-cause", "gremlins"]),
        "action.json": (one_rule(id="site-no-action", action="pray"), ["site-no-action", "pray"]),
        "sample.json": (one_rule(id="site-bad-sample", samples={"match": ["nothing like it"], "nomatch": []}), ["site-bad-sample", "match[0]", "nothing like it"]),
        "types.json": ('{"format": "faultline.diagnosis/1", "rules": [17, null, {"id": 3}, {"id": "site-typed", "any": "x"}]}', []),
        "deep.json": ("[" * 100000, []), "bytes.json": ("\0\1\2", []),
    }
    paths = [operator(c, name, content) for name, (content, _) in bad.items()]
    is_oom(c, c.verdict(log, says=[w for name, (_, words) in bad.items() for w in (name, *words)]), "with broken rule files")
    c.check(c.verdict(widget)["cause"] == "node_failure", "the good rule beside broken files is lost")
    c.run("doctor", status=1)
    for path in paths:
        os.remove(path)
    twice = operator(c, "twice.json", RULE)
    is_oom(c, c.verdict(log, says=["twice.json", "site-widget-pressure", "another rule has this id"]), "with a rule twice")
    os.remove(twice)
    told = c.run("rules", "lint", c.write("caret.json", json.dumps(one_rule(any=["widget [0-9 cooling"]))), status=1).err.splitlines()
    at = next((i for i, row in enumerate(told) if row.strip() == "widget [0-9 cooling"), None)
    c.check(at is not None and told[at + 1].strip() == "^", "no caret under the pattern: %s" % told)
    c.run("rules", "import", c.write("caret.json", json.dumps(one_rule(any=["widget (cooling"]))), status=3, says=["caret.json", "nothing imported"])
    c.run("rules", "lint", os.path.join(c.folder, "none.json"), status=3, says="none.json")
    c.run("rules", "import", os.path.join(c.folder, "none.json"), status=3, says="none.json")


def test_filter_only_broken(c):
    for name, content in {"json.json": '["a"', "regex.json": '["fine", "bro(ken"]', "other.json": '{"rules": 3}', "mixed.json": '["a", 7]', "number.json": "7"}.items():
        done = c.run("filter", "--only", c.write(name, content), stdin=b"some lines\n", status=3, says=name)
        c.check(done.stdout == b"", "lines come out in spite of " + name)
    c.run("filter", "--only", os.path.join(c.folder, "none.json"), stdin=b"x\n", status=3, says="none.json")


def test_runaway_regex(c):
    """Time stays bounded, what cannot be told is kept, and the other rules still work."""
    evil = ["(a+)+$", "(a|aa)+$", "(.*a){20}b", r"^(\w+\s?)*end$"]
    data = b"".join(b"a" * n + b"!\n" for n in range(20, 60)) + b"routine telemetry\n" + b"a " * 20000 + b"!\n"
    began = time.monotonic()
    out = c.run("filter", "--only", c.write("evil.json", json.dumps(evil + ["routine telemetry"])), stdin=data, timeout=60).stdout
    c.check(out == data.replace(b"routine telemetry\n", b""), "%d bytes of %d came out" % (len(out), len(data)))
    operator(c, "evil.json", {"format": RULE["format"], "rules": [dict(RULE["rules"][0], id="site-evil-%d" % i, any=[x], samples={"match": [], "nomatch": []}) for i, x in enumerate(evil)]})
    is_oom(c, c.verdict("-", stdin=data + LOG.encode(), timeout=60), "with rules that run away")
    took = time.monotonic() - began
    c.check(took < 30, "it took %.0f seconds" % took)


# ----------------------------------------------------------------------------------------- state folder

def test_state_folder_unusable(c):
    log = c.write("job.log", LOG)
    fresh = c.write("w.log", DIFFERENT)
    file = c.write("file", "not a folder")
    cases = {"a file": file, "below a file": os.path.join(file, "deeper"), "nowhere to make it": "/proc/no"}
    for what, state in cases.items():
        c.env["FAULTLINE_STATE"] = state
        is_oom(c, c.verdict(log, says=state), "state folder is " + what)
        c.check(c.verdict(fresh)["verdict"] in ("unknown", "failed"), "no verdict, state folder is " + what)
        c.run("incidents", "add", c.write("one.json", json.dumps(INCIDENT)), status=3, says=state)
    c.run("rules", "import", c.write("site.json", json.dumps(RULE)), status=3, says=state)
    c.run("doctor", status=1)
    for name in ("FAULTLINE_STATE", "XDG_STATE_HOME", "HOME", "XDG_CONFIG_HOME"):
        c.env.pop(name, None)
    is_oom(c, c.verdict(log), "without even a home")


def test_state_folder_read_only(c):
    if os.geteuid() == 0 and not mount(c, "tmpfs", "size=4m", 0):
        c.skipped = "run as root, and mounting is not allowed"
        return
    state = os.path.join(c.folder, "mnt")
    os.makedirs(state, exist_ok=True)
    try:
        if os.geteuid() == 0:
            mount(c, "tmpfs", "size=4m", 32 | 1)  # MS_REMOUNT | MS_RDONLY
        else:
            os.chmod(state, 0o500)
        c.env["FAULTLINE_STATE"] = state
        is_oom(c, c.verdict(c.write("job.log", LOG), says=state), "a read-only state folder")
        c.run("incidents", "add", c.write("one.json", json.dumps(INCIDENT)), status=3, says=state)
        c.run("rules", "import", c.write("site.json", json.dumps(RULE)), status=3, says=state)
    finally:
        unmount(c)


def test_state_folder_from_the_future(c):
    log = c.write("job.log", LOG)
    c.run("incidents", "list")
    db = sqlite3.connect(os.path.join(c.state, "faultline.db"))
    db.execute("PRAGMA user_version = 999")
    db.commit()
    db.close()
    is_oom(c, c.verdict(log, says=["faultline.db", "999"]), "a state folder of a newer version")
    c.run("incidents", "add", c.write("one.json", json.dumps(INCIDENT)), status=3, says=["faultline.db", "999"])
    db = sqlite3.connect(os.path.join(c.state, "faultline.db"))
    c.check(db.execute("PRAGMA user_version").fetchone() == (999,), "the newer version was overwritten")
    db.close()


def test_state_folder_damaged(c):
    log = c.write("job.log", LOG)
    c.run("incidents", "list")
    for name in os.listdir(c.state):
        if name.startswith("faultline.db"):
            os.remove(os.path.join(c.state, name))
    c.write("state/faultline.db", b"this is no database" * 500)
    is_oom(c, c.verdict(log, says="faultline.db"), "a damaged database")
    c.run("incidents", "list", status=3, says="faultline.db")
    c.write("state/rules/learned_diagnosis.json", "{ broken")
    c.write("state/rules/learned_filters.json", b"\0\0")
    is_oom(c, c.verdict(log, says=["learned_diagnosis.json", "learned_filters.json"]), "damaged learned rules")


def test_many_at_once(c):
    """Ten on one state folder that is not there yet: half look, half write."""
    log = c.write("job.log", LOG)
    runs = []
    for i in range(10):
        one = c.write("one%d.json" % i, json.dumps(dict(INCIDENT, title="Widget %d" % i, text="widget %d: bay %d lost pressure" % (i, i * 7))))
        args = ["diagnose", "--format", "json", log] if i % 2 else ["incidents", "add", one]
        runs.append(subprocess.Popen([c.binary, *args], env=c.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    for i, p in enumerate(runs):
        out, err = p.communicate(timeout=120)
        c.check(p.returncode == 0 and not CRASH.search(err.decode()), "process %d: exit status %d, %s" % (i, p.returncode, err.decode()[-500:]))
        c.check(not i % 2 or json.loads(out or b"{}").get("cause") == "gpu_oom", "process %d: another verdict" % i)
        c.check(b"warning" not in err, "process %d: %s" % (i, err.decode()[-300:]))
    dump = c.run("incidents", "export").out
    c.check(all("Widget %d" % i in dump for i in range(0, 10, 2)), "an incident was lost")


LIBC = ctypes.CDLL(None, use_errno=True)


def mount(c, kind, options, flags):
    target = os.path.join(c.folder, "mnt")
    os.makedirs(target, exist_ok=True)
    return LIBC.mount(b"none", target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()) == 0


def unmount(c):
    LIBC.umount2(os.path.join(c.folder, "mnt").encode(), 2)


def test_disk_full(c):
    if not mount(c, "tmpfs", "size=1m", 0):
        c.skipped = "mounting a small file system is not allowed"
        return
    try:
        state = os.path.join(c.folder, "mnt", "state")
        c.env["FAULTLINE_STATE"] = state
        log = c.write("job.log", LOG)
        filler = os.open(os.path.join(c.folder, "mnt", "filler"), os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(filler, b"x" * 4096)
        except OSError:
            os.close(filler)
        is_oom(c, c.verdict(log, says="mnt"), "a full disk")
        c.run("incidents", "add", c.write("one.json", json.dumps(INCIDENT)), status=3, says="no space")
        big = dict(one_rule(), comment="x" * 50000)
        c.run("rules", "import", c.write("site.json", json.dumps(big)), status=3, says="No space")
        left = [f for _, _, files in os.walk(state) for f in files if "site" in f]
        c.check(not left, "a part of the rule file is left behind: %s" % left)
        os.remove(os.path.join(c.folder, "mnt", "filler"))
        c.run("rules", "import", os.path.join(c.folder, "site.json"))
    finally:
        unmount(c)


def test_output_full(c):
    if not os.path.exists("/dev/full"):
        c.skipped = "no /dev/full"
        return
    for args in (["diagnose", JOB], ["filter", HEALTHY], ["rules", "list"], ["incidents", "export"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([c.binary, *args], env=c.env, stdout=full, stderr=subprocess.PIPE, timeout=60)
        c.check(done.returncode > 0 and b"standard output" in done.stderr, "%s > /dev/full: exit status %d, %s" % (args[0], done.returncode, done.stderr[-200:]))


def test_interrupted(c):
    """Ctrl-C while reading a pipe that gives nothing ends at once."""
    p = subprocess.Popen([c.binary, "diagnose", "-"], env=c.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    p.send_signal(signal.SIGINT)
    try:
        p.wait(20)
    except subprocess.TimeoutExpired:
        c.check(False, "still running 20 s after SIGINT")
        p.kill()
    _, err = p.communicate()
    c.check(not CRASH.search(err.decode()), err.decode()[-500:])


TESTS = [f for name, f in sorted(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv))
