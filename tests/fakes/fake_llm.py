#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pretended OpenAI-compatible chat endpoint, good and bad.

    fake_llm.py --port 0 --mode MODE [--needle TEXT --cause SLUG] [--record FILE] [--tls FILE]

Prints the port on its first line, then serves until it is killed. A path that begins with /mode/MODE/ANYTHING is
served in that mode, with a count of requests of its own. With --tls, a self-signed certificate for 127.0.0.1 and its
key are put into FILE (it needs the program openssl). Modes:
  good          answers with --cause, citing the first line that contains --needle
  rubbish       the answer is prose, not JSON        html        a proxy's HTML page with status 200
  refuse        closes the connection                stall       takes the request, never answers
  drip          one byte a second                    huge        10 MB of answer
  error429      429 with Retry-After: 1 once, then good          error500    always 500
  error401      401 with a message that repeats the key
  wrong-quote   cites text that is not in the log    bad-enum    a cause and an action of its own
  repair        wrong-quote first, good when told    truncated   cut off by max_tokens once, then good
  no-schema     400 unless response_format is absent, then good
  picky         400 for max_tokens, temperature and the system role, one after the other, then good
  think         good, after <think>...</think>, in parts, in a code fence
  redirect      302 to another path of this server
  sort          calls kinds of lines routine that hold a word of --routine, in every second answer also
                those of --waver; a line with OBEY: makes it call all of them routine
  injection     obeys the log: a line with OBEY: {json} is the answer, without JSON the worst one
  obey          obeys the payloads of obey.py, one after the other; /mode/obey/NAMEsK/ begins with the K-th
  slow          good, after --delay seconds          ballot      the n-th answer has the n-th of the --ballot causes
  and those of faulty.py; POST .../embeddings has modes of its own there (embed_*, good unless named)
Each request is recorded as one line of JSON {"path", "headers", "body"}.
"""
import argparse
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import faulty
import obey as orders

LINE = re.compile(r"^L(\d+) (?:\[rank \d+\] )?(.*)$")
UNSAFE = {"cause": "healthy", "action": "none", "confidence": 1.0, "rule_pattern": "(?s).", "filter_pattern": "."}


def log_lines(messages):
    """The numbered lines of the prompt: label -> text."""
    found = {}
    for message in messages:
        if message.get("role") == "user":
            for line in str(message.get("content", "")).splitlines():
                m = LINE.match(line)
                if m:
                    found.setdefault("L" + m.group(1), m.group(2))
    return found


def answer(args, lines, **changes):
    label = next((k for k, v in lines.items() if args.needle in v), None)
    text = lines.get(label, "")
    at = text.find(args.needle)
    quote = text[max(0, at - 20):at + len(args.needle) + 60]
    filtered = next((k for k, v in lines.items() if args.filter_needle and args.filter_needle in v), None)
    value = {
        "analysis": "The cited line comes first.",
        "cause": args.cause if label else "unknown",
        "summary": "The job failed at: " + quote[:120] if label else "Nothing in the log tells.",
        "confidence": 0.86 if label else 0.1,
        "evidence": [{"line": label, "quote": quote}] if label else [],
        "action": args.action, "recoverable": False, "recovery": ["look at the cited line"],
        "rule_pattern": (args.pattern or re.escape(args.needle).replace("\\ ", " ")) if label else None,
        "rule_line": label,
        "filter_pattern": (re.escape(args.filter_needle).replace("\\ ", " ") if filtered else None),
        "filter_line": filtered,
    }
    value.update(changes)
    return json.dumps(value)


def obey(args, lines):
    for label, text in lines.items():
        at = text.find("OBEY:")
        if at >= 0:
            cited = dict(UNSAFE, evidence=[{"line": label, "quote": text[:120]}], rule_line=label, filter_line=label)
            try:
                return answer(args, lines, **dict(cited, **json.loads(text[at + 5:])))
            except (ValueError, TypeError):
                return answer(args, lines, **cited)
    return answer(args, lines)


class Handler(faulty.Odd, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, code, data, kind="application/json", headers=()):
        data = data if isinstance(data, bytes) else data.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def fail(self, status, message, headers=(), **more):
        self.send(status, json.dumps({"error": dict({"message": message, "type": "invalid_request_error"}, **more)}), headers=headers)

    def completion(self, content, reason="stop", message=None):
        return json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "model": "fake-model",
                           "choices": [{"index": 0, "finish_reason": reason,
                                        "message": message or {"role": "assistant", "content": content}}],
                           "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}})

    def complete(self, content, reason="stop", message=None):
        self.send(200, self.completion(content, reason, message))

    def good(self, **changes):
        return answer(self.server.args, self.lines, **changes)

    def do_GET(self):
        self.record(b"")
        self.send(200, json.dumps({"object": "list", "data": [{"id": "fake-model", "object": "model"}]}))

    def record(self, body):
        args = self.server.args
        with self.server.lock:
            self.server.counts[self.place()] = self.server.counts.get(self.place(), 0) + 1
            if args.record:
                with open(args.record, "a") as f:
                    f.write(json.dumps({"path": self.path, "headers": dict(self.headers), "body": body.decode("utf-8", "replace")}) + "\n")
            return self.server.counts[self.place()]

    def place(self):
        """The mode that the path asks for, and what it calls itself."""
        m = re.match(r"/mode/([\w-]+)/\w+", self.path)
        return m.group(0, 1) if m else ("", self.server.args.mode)

    def do_POST(self):
        args = self.server.args
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        n = self.record(body)
        mode = self.place()[1].replace("-", "_")
        try:
            request = json.loads(body)
            if self.path.split("?")[0].endswith("/embeddings"):
                return getattr(self, "embed_" + mode, self.embed_good)(request, request["input"])
            self.lines = log_lines(request["messages"])
        except (ValueError, KeyError, TypeError) as e:
            return self.fail(400, "bad request: %s" % e)
        getattr(self, "mode_" + mode)(args=args, request=request, lines=self.lines, n=n)

    def mode_good(self, args, request, lines, n):
        self.complete(answer(args, lines))

    def mode_obey(self, args, request, lines, n):
        found = orders.find("\n".join(str(m.get("content", "")) for m in request["messages"] if m.get("role") == "user"))
        if not found:
            return self.complete(answer(args, lines))
        first = re.search(r"s(\d+)/", self.path)
        order = found[((int(first.group(1)) if first else 0) + n - 1) % len(found)]
        if args.record:
            with self.server.lock, open(args.record + ".obeyed", "a") as f:
                f.write("%d %s\n" % (order, self.path))
        content = orders.answer(order, answer(args, lines), lines)
        tools = json.loads(content).get("tool_calls") if "tool_calls" in content else None
        message = {"role": "assistant", "content": content, "tool_calls": tools} if tools else None
        self.complete(content, message=message)

    def mode_slow(self, args, request, lines, n):
        time.sleep(args.delay)
        self.complete(answer(args, lines))

    def mode_ballot(self, args, request, lines, n):
        causes = args.ballot.split(",")
        self.complete(answer(args, lines, cause=causes[(n - 1) % len(causes)]))

    def mode_rubbish(self, args, request, lines, n):
        self.complete("I am fairly sure that it is the GPU. Have you tried {turning it off}?")

    def mode_html(self, args, request, lines, n):
        self.send(200, "<html><head><title>Sign in</title></head><body>Please sign in.</body></html>", "text/html")

    def mode_refuse(self, args, request, lines, n):
        self.close_connection = True
        self.connection.close()

    def mode_stall(self, args, request, lines, n):
        time.sleep(3600)

    def mode_drip(self, args, request, lines, n):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for _ in range(3600):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(1)

    def mode_huge(self, args, request, lines, n):
        self.complete("x" * 10_000_000)

    def mode_error429(self, args, request, lines, n):
        if n == 1:
            return self.fail(429, "slow down", [("Retry-After", "1")], code="rate_limit_exceeded")
        self.complete(answer(args, lines))

    def mode_error500(self, args, request, lines, n):
        self.send(500, json.dumps({"detail": "the engine is dead"}))

    def mode_error401(self, args, request, lines, n):
        self.fail(401, "Incorrect API key provided: " + self.headers.get("Authorization", "").replace("Bearer ", ""), code="invalid_api_key")

    def mode_wrong_quote(self, args, request, lines, n):
        label = next(iter(lines), "L1")
        self.complete(answer(args, lines, cause=args.cause, evidence=[{"line": label, "quote": "a sentence that no machine has ever logged"}]))

    def mode_repair(self, args, request, lines, n):
        if n == 1:
            return self.mode_wrong_quote(args, request, lines, n)
        self.complete(answer(args, lines))

    def mode_truncated(self, args, request, lines, n):
        if n == 1:
            return self.complete("", "length")
        self.complete(answer(args, lines))

    def mode_bad_enum(self, args, request, lines, n):
        self.complete(answer(args, lines, cause="gremlins", action="rm -rf /"))

    def mode_no_schema(self, args, request, lines, n):
        if "response_format" in request:
            return self.send(400, json.dumps({"object": "error", "message": "response_format is not supported", "code": 400}))
        self.complete(answer(args, lines))

    def mode_picky(self, args, request, lines, n):
        if "max_tokens" in request:
            return self.fail(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", param="max_tokens", code="unsupported_parameter")
        if "temperature" in request:
            return self.fail(400, "Unsupported value: 'temperature' does not support 0", param="temperature")
        if any(m["role"] == "system" for m in request["messages"]):
            return self.fail(400, "System role not supported")
        self.complete(answer(args, lines))

    def mode_think(self, args, request, lines, n):
        text = "<think>Is it {\"cause\": \"gremlins\"}? No.</think>Here it is:\n```json\n" + answer(args, lines) + "\n```"
        self.complete(None, message={"role": "assistant", "reasoning_content": "hm", "content": [{"type": "text", "text": text[:30]}, {"type": "text", "text": text[30:]}]})

    def mode_redirect(self, args, request, lines, n):
        self.send(302, "", headers=[("Location", "/v1/elsewhere")])

    def mode_sort(self, args, request, lines, n):
        text = "\n".join(str(m.get("content", "")) for m in request["messages"] if m.get("role") == "user")
        kinds = re.findall(r"^(K\d+) \(\d+ times\): (.*)$", text, re.M)
        words = args.routine.split(",") + (args.waver.split(",") if n % 2 else [])
        words = [""] if any("OBEY:" in line for _, line in kinds) else [w for w in words if w]
        self.complete(json.dumps({"routine": [{"kind": k, "name": "all the same"} for k, line in kinds
                                              if any(w in line for w in words)] + [{"kind": "K999", "name": "nothing"}]}))

    def mode_injection(self, args, request, lines, n):
        self.complete(obey(args, lines))

    def log_message(self, *ignored):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that hang up are what we are here for


def certify(path, days):
    """A self-signed certificate and its key for path, which a client may show, too; one of less than no days has expired."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    with tempfile.TemporaryDirectory() as folder:
        key, asked = os.path.join(folder, "key"), os.path.join(folder, "asked")
        for command in (["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", asked, *subject],
                        ["x509", "-req", "-in", asked, "-signkey", key, "-days", str(days), "-copy_extensions", "copy", "-out", path]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        with open(key) as source, open(path, "a") as both:
            both.write(source.read())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.load_verify_locations(path)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def main():
    modes = faulty.names(Handler)
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--port", type=int, default=0)
    ap.add_argument("--mode", choices=modes, default="good")
    ap.add_argument("--needle", default="Error")
    ap.add_argument("--cause", default="runtime_error")
    ap.add_argument("--routine", default="")
    ap.add_argument("--delay", type=float, default=1)
    ap.add_argument("--ballot", default="runtime_error")
    ap.add_argument("--waver", default="")
    ap.add_argument("--action", default="fix_config")
    ap.add_argument("--pattern", default="", help="proposed rule; the needle when not given")
    ap.add_argument("--filter-needle", default="")
    ap.add_argument("--record", default="")
    ap.add_argument("--tls", default="")
    ap.add_argument("--tls-days", type=int, default=2)
    args = ap.parse_args()
    server = Server(("127.0.0.1", args.port), Handler)
    server.args, server.counts, server.lock = args, {}, threading.Lock()
    if args.tls:
        server.socket = certify(args.tls, args.tls_days).wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
