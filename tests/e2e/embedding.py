#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Incidents by an embedding model: what is sent, that missing vectors are caught up with, that nothing depends on it.

    embedding.py PATH/TO/faultline [NAME...]
"""
import json
import os
import sqlite3
import sys
import tempfile

import llm
from llm import PRIVATE, Fake, Run, equal

MODEL = "fake-embedder"


def run(folder, fake, *flags, log="job.log", extra=(), **more):
    return Run(folder, fake.url if fake else None, *flags, log=log, extra=extra, env_more={"FAULTLINE_EMBED_MODEL": MODEL, **more})


def sent(fake):
    return [json.loads(r["body"]) for r in fake.requests() if r["path"].endswith("/embeddings")]


def kept(folder, model=MODEL):
    with sqlite3.connect(os.path.join(folder, "state", "faultline.db")) as db:
        return db.execute("SELECT COUNT(*) FROM dense WHERE model = ?", (model,)).fetchone()[0], db.execute("SELECT COUNT(*) FROM incidents").fetchone()[0]


def test_caught_up_with_while_it_is_used(folder):
    with Fake("wrong-quote", folder) as fake:  # the failure stays unknown, so it is asked about again and again
        counts = []
        for n in range(4):
            run(folder, fake, log="job%d.log" % n)
            counts.append(kept(folder))
        requests = sent(fake)
    assert all(r["model"] == MODEL and 1 <= len(r["input"]) <= 64 for r in requests), [len(r["input"]) for r in requests]
    equal(counts[0][0], 60, "vectors after the first run")
    have, incidents = counts[-1]
    assert have >= incidents - 1, "%d vectors of %d incidents" % (have, incidents)
    for r in requests:
        for secret in PRIVATE:
            assert not any(secret in text for text in r["input"]), secret + " was sent"
    stats = run(folder, None, "--offline").verdict["stats"]
    assert stats["model_calls"] == 0


def test_another_model_begins_anew(folder):
    with Fake("wrong-quote", folder) as fake:
        run(folder, fake)
        run(folder, fake, log="b.log", FAULTLINE_EMBED_MODEL="other")
    equal(kept(folder, "other")[0], 60, "vectors of the other model")


def test_only_when_the_failure_is_unknown_and_may_be_sent(folder):
    with Fake("good", folder) as fake:
        run(folder, fake, "--offline")
        run(folder, fake, extra=["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"])
        equal(sent(fake), [], "requests")


def test_within_the_budget(folder):
    with Fake("wrong-quote", folder) as fake:
        one = run(folder, fake, FAULTLINE_CALLS_PER_DAY="0")
        equal(fake.requests(), [], "requests")
    assert "used up" in one.stderr, one.stderr


def bad(mode):
    def test(folder):
        with Fake("good", folder) as fake:
            fake.url = fake.url.replace("/v1", "/mode/%s/x/v1" % mode)
            one = run(folder, fake)
        assert one.verdict["verdict"] in ("unknown", "failed"), one.verdict
        assert "embeddings:" in one.stderr, one.stderr
        equal(kept(folder)[0], 0, "vectors")
    return test


TESTS = {name[5:]: value for name, value in list(globals().items()) if name.startswith("test_")}
TESTS.update({"bad_" + mode: bad(mode) for mode in ("ragged", "few", "twice", "infinite")})


def main():
    failed = 0
    for name, test in sorted(TESTS.items()):
        if len(sys.argv) > 2 and not any(part in name for part in sys.argv[2:]):
            continue
        with tempfile.TemporaryDirectory(prefix="fl-embed-") as folder:
            try:
                test(folder)
                print("ok     " + name, flush=True)
            except Exception as e:  # each test reports and the next one runs
                failed += 1
                print("FAILED %s: %s: %s" % (name, type(e).__name__, e), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    llm.BINARY = os.path.abspath(sys.argv[1])
    sys.exit(main())
