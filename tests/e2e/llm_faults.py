#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""faultline diagnose with every endpoint of fakes/faulty.py: those that are only different are understood, those that
fail take nothing away, not even time.

    llm_faults.py PATH/TO/faultline [NAME...]      runs the tests whose names contain one of the NAMEs

With FL_LONG=1 all run, in place of every second one.
"""
import os
import shutil
import socket
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import llm
from commands import CRASH, preload

AT_A_TIME = 8
SLOW = 3  # seconds of deadline
# What is good in the end, and after how many requests.
MENDS = {
    "once-retry-ms": 2, "once-retry-date": 2, "once-408": 2, "once-409": 2, "once-502": 2, "once-503": 2, "once-should": 2,
    "once-reset": 2, "once-error-in-200": 2, "once-error-in-stream": 2, "stream": 1, "stream-crlf": 1, "stream-undone": 1,
    "stream-tool": 1, "stream-only": 2, "tool-call": 1, "tool-object": 1, "function-call": 1, "reasoning": 1,
    "reasoning-content": 1, "think-unopened": 1, "bom": 1, "plain": 1, "bare": 1, "gzip": 1, "chunked": 1, "unmeasured": 1,
    "no-tokens": 3, "no-tokens-detail": 2, "no-warmth": 2, "no-system": 2, "json-object": 2, "no-schema-501": 2, "nameless": 3}
# What is not: the most requests that it may cost, and words of the reason given.
FAULTS = {
    "refuse": (3, ""), "stall": (1, "deadline"), "drip": (1, "deadline"), "drip-headers": (1, "deadline"), "endless": (1, "over"),
    "endless-headers": (1, "headers"), "endless-comments": (1, "deadline"), "huge": (1, "over"), "reset-status": (3, ""),
    "reset-headers": (3, ""), "reset-body": (3, ""), "not-http": (3, ""), "html": (1, "not a chat completion"), "rubbish": (2, ""),
    "length-short": (3, ""), "length-long": (1, ""), "length-none": (3, ""), "bad-chunks": (3, ""), "cut-chunks": (3, ""),
    "long-header": (1, ""), "truncated-json": (1, "not a chat completion"), "nan": (1, "not a chat completion"),
    "twice": (1, "twice"), "wrong-types": (1, "not a chat completion"), "wrong-schema": (1, "not a chat completion"),
    "no-choices": (1, "not a chat completion"), "empty": (1, ""), "list": (1, ""), "deep": (1, "nested"), "nul": (1, "NUL"),
    "not-utf8": (2, ""), "null": (1, "empty"), "gzip-bare": (1, ""), "gzip-broken": (1, ""), "gzip-bomb": (1, "over"),
    "stream-cut": (2, ""), "stream-error": (1, "who are you"), "stream-empty": (1, "empty"), "stream-garbage": (1, "empty"),
    "filtered": (1, "filter"), "declined": (1, "declined"), "cut-for-ever": (4, ""), "error200": (1, "Unexpected endpoint"),
    "error401": (1, "repeats the API key"), "error403": (1, "Forbidden"), "error404": (1, "model_not_found"), "error404-plain": (1, "not found"),
    "error408": (3, "HTTP 408"), "error409": (3, "conflict"), "error413": (2, "HTTP 413"), "error422": (3, "field required"),
    "error429-hour": (1, "3600 s"), "error429-date": (1, "slow down"), "error429-quota": (1, "quota"), "error500": (3, "engine"),
    "error500-final": (1, "HTTP 500"), "error501": (1, "does not support"), "error502": (3, "502 Bad Gateway"),
    "error503": (3, "HTTP 503"), "error504": (3, "upstream"), "status204": (1, "204"), "status299": (1, "299"),
    "context": (2, "req_42"), "context-size": (2, "context size"), "redirect": (1, "redirect"), "redirect-loop": (1, "redirect"),
    "redirect-away": (1, "redirect"), "key-in-answer": (1, "repeats the API key"), "key-in-error": (3, "repeats the API key"),
    "terminal": (1, "HTTP 403"), "wrong-quote": (2, ""), "bad-enum": (2, "")}


class Bench:
    """What the tests share: a server of all modes, and the verdict without a model."""

    def __init__(self, folder):
        self.folder = folder
        self.fake = llm.Fake("good", folder)
        self.root = self.fake.url[:-len("/v1")]
        self.alone = llm.Run(self.sub("alone"), None, "--offline")
        self.patience = SLOW + 1 + AT_A_TIME * self.alone.seconds

    def sub(self, name):
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path

    def url(self, mode):
        return "%s/mode/%s/x/v1" % (self.root, mode)

    def requests(self, mode):
        return [r for r in self.fake.requests() if r["path"].startswith("/mode/%s/x/" % mode)]


def plain(verdict):
    return {k: v for k, v in verdict.items() if k not in ("stats", "job", "model_note")}


def stands(bench, run):
    """The verdict of the rules, in time, and no secret anywhere."""
    llm.equal(plain(run.verdict), plain(bench.alone.verdict), "verdict")
    assert run.seconds < bench.patience, "took %.1f s" % run.seconds
    assert not CRASH.search(run.stderr), run.stderr
    assert run.stderr.strip(), "silent about the model"
    assert not any(c < " " and c != "\n" for c in run.stderr), "control bytes: %r" % run.stderr
    assert llm.KEY not in run.stderr + run.stdout, "the key was printed"
    for name, data in run.state_files().items():
        assert llm.KEY.encode() not in data, "the key is in " + name


def fault(mode, most, words):
    def test(bench, folder):
        run = llm.Run(folder, bench.url(mode))
        requests = bench.requests(mode)
        stands(bench, run)
        assert words in run.stderr, "%r is not in %r" % (words, run.stderr)
        assert 1 <= len(requests) <= most, "%d requests" % len(requests)
        assert all(r["path"].endswith("/chat/completions") for r in requests), "went elsewhere"
    return test


def mends(mode, n):
    def test(bench, folder):
        run = llm.Run(folder, bench.url(mode))
        llm.equal(run.verdict["method"], "model", "method (%s)" % run.stderr.strip())
        llm.equal(run.verdict["cause"], llm.CAUSE, "cause")
        llm.equal(len(bench.requests(mode)), n, "number of requests")
    return test


def untrusted(*flags):
    def test(bench, folder):
        if not shutil.which("openssl"):
            return
        with llm.Fake("good", folder, "--tls", os.path.join(folder, "cert.pem"), *flags) as fake:
            run = llm.Run(folder, fake.url.replace("http:", "https:"))
            llm.equal(fake.requests(), [], "requests")
        stands(bench, run)
        assert "certificate" in run.stderr or "SSL" in run.stderr, run.stderr
    return test


def test_https_to_a_plain_port(bench, folder):
    stands(bench, llm.Run(folder, bench.url("good").replace("http:", "https:")))


def test_nobody_listens(bench, folder):
    stands(bench, llm.Run(folder, "http://127.0.0.1:1/v1"))


def test_nobody_accepts(bench, folder):
    """The connection is made by the kernel, and nobody ever reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stands(bench, llm.Run(folder, "http://127.0.0.1:%d/v1" % listener.getsockname()[1]))


def test_no_such_host(bench, folder):
    stands(bench, llm.Run(folder, "http://no-such-host.invalid/v1"))


def test_slow_names(bench, folder):
    env = preload("FL_SLOW_NAMES")
    if env:
        stands(bench, llm.Run(folder, "http://slow.example/v1", env_more=env))


TESTS = {name[5:]: value for name, value in list(globals().items()) if name.startswith("test_")}
TESTS.update({"fault_" + m: fault(m, *rest) for m, rest in FAULTS.items()})
TESTS.update({"mends_" + m: mends(m, n) for m, n in MENDS.items()})
TESTS.update({"self_signed": untrusted(), "expired": untrusted("--tls-days", "-1")})


def main():
    llm.BINARY = os.path.abspath(sys.argv[1])
    llm.DEADLINE = SLOW
    names = list(TESTS) if os.environ.get("FL_LONG") == "1" or len(sys.argv) > 2 else list(TESTS)[::2]
    chosen = [n for n in names if len(sys.argv) == 2 or any(part in n for part in sys.argv[2:])]
    failed = []
    lock = threading.Lock()
    with tempfile.TemporaryDirectory(prefix="fl-faults-") as folder:
        bench = Bench(folder)

        def run(name):
            try:
                TESTS[name](bench, bench.sub(name))
                line = "ok     " + name
            except Exception as e:  # each test reports and the next one runs
                failed.append(name)
                line = "FAILED %s: %s: %s" % (name, type(e).__name__, e)
            with lock:
                print(line, flush=True)

        with bench.fake, ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(run, chosen))
    print("%d tests, %d failed" % (len(chosen), len(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main())
