#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What CI systems are given: JUnit XML and commands of GitHub workflows, also of hostile logs.

    ci.py PATH/TO/faultline [NAME...]      runs the tests whose names contain one of the NAMEs
"""
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

from commands import HEALTHY, JOB, OOM, run_tests

HOSTILE = [bytes([i]) for i in range(32) if i != 10] + [b"\x7f", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xef\xbf\xbe", b"\xef\xbf\xbf",
           "\u202e\u2066\u200b\u0085\ufeff".encode(), b"]]>", b"<!--", b"</failure><failure message='x'>", b"\"'&lt;&amp;<>",
           b"<!ENTITY x SYSTEM 'file:///etc/passwd'>&x;", b"<?xml version='1.0'?>", b"%0A::error::x", b"\r::stop-commands::x",
           b"\x1b]8;;http://e.example\x07x", b"::add-mask::y", "\U0001f525".encode() * 400, b"A" * 5000, b"%25%0a,:"]
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def parse(c, done):
    c.check(not RAW.search(done.out), "raw control signs: %r" % RAW.findall(done.out)[:5])
    try:
        root = ElementTree.fromstring(done.stdout)
    except ElementTree.ParseError as fault:
        c.check(False, "%s in %r" % (fault, done.out[:800]))
        return None
    cases = list(root.iter("testcase"))
    suite = root.find("testsuite")
    c.check(len(cases) == 1 and suite.get("tests") == "1", "%d test cases" % len(cases))
    c.check({e.tag for e in root.iter()} <= {"testsuites", "testsuite", "testcase", "failure", "skipped"}, "elements of its own")
    c.check(suite.get("failures") == str(len(list(root.iter("failure")))), "failures are not counted")
    c.check(suite.get("skipped") == str(len(list(root.iter("skipped")))), "skipped ones are not counted")
    return cases[0]


def test_junit(c):
    case = parse(c, c.run("diagnose", "--offline", "--format", "junit", JOB))
    failure = case.find("failure")
    c.check(failure.get("type") == "gpu_ecc_error" and "ECC" in failure.get("message"), "message %r" % failure.attrib)
    c.check("rank5.log:247: " in failure.text and "1. " in failure.text, "text %r" % failure.text)
    c.check(parse(c, c.run("diagnose", "--offline", "--format", "junit", HEALTHY)).find("failure") is None, "a healthy job fails")
    nothing = c.write("nothing.log", "hello\nworld\n")
    c.check(parse(c, c.run("diagnose", "--offline", "--format", "junit", nothing)).find("skipped").text.startswith("nothing.log:"), "unknown is not skipped, or without a line")
    c.run("diagnose", "--offline", "--format", "junit", "--fail-on", "low", JOB, status=1)


def test_github(c):
    out = c.run("diagnose", "--offline", "--format", "github", JOB).out
    c.check(re.match(r"::error file=[^,:]*rank5\.log,line=247,title=failed gpu_ecc_error::Uncorrectable ECC", out), "said %r" % out)
    c.check(out.count("\n") == 1 and "%0Arank5.log:247: " in out, "not one line: %r" % out)
    c.check(c.run("diagnose", "--offline", "--format", "github", HEALTHY).out.startswith("::notice title=healthy::"), "healthy")
    nothing = c.write("nothing.log", "hello\nworld\n")
    out = c.run("diagnose", "--offline", "--format", "github", nothing).out
    c.check(re.match(r"::warning file=[^,:]*nothing\.log,line=\d,title=unknown::", out) and "%0Anothing.log:" in out, "of an unknown failure: %r" % out)
    comma = c.write("a,b:c%d.log", OOM + "\n")
    c.check("a%2Cb%3Ac%25d.log,line=1" in c.run("diagnose", "--offline", "--format", "github", comma).out, "file name not escaped")


def test_hostile(c):
    for i, bad in enumerate(HOSTILE if os.environ.get("FL_LONG") == "1" else HOSTILE[::3]):
        log = c.write("hostile-%d.log" % i, OOM.encode().replace(b"GPU 3", b"GPU 3 " + bad + b" ") + b"\n")
        case = parse(c, c.run("diagnose", "--offline", "--forget", "--format", "junit", log))
        c.check(case is not None and case.find("failure") is not None, "%r: no failure" % bad)
        out = c.run("diagnose", "--offline", "--forget", "--format", "github", log).out
        c.check(out.count("\n") == 1 and "\r" not in out and not RAW.search(out), "%r: %r" % (bad, out))
        c.check(out.startswith("::error file="), "%r: %r" % (bad, out[:80]))


TESTS = [v for k, v in list(globals().items()) if k.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv, 2))
