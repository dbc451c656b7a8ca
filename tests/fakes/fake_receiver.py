#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pretended receivers of notices, good and bad: the path of a URL names a mode and whose it is, /MODE/NAME...

    fake_receiver.py [--port 0]        prints its port, then serves until it is killed

  ok        200 (Alertmanager's, with an empty body, for /api/v2/alerts; Slack's "ok" else)
  fail      500 always                     flaky     500 once, then ok
  limit     429 with Retry-After: 2 once, then ok
  refuse    400 invalid_payload            gone      404
  hang      takes the request, never answers
  huge      200 with 10 MB                 heads     200 with a megabyte of headers
  redirect  302 to /ok/redirected here     private   302 to the metadata address of clouds
  close     closes the connection          drip      a byte a second
GET /seen gives what came, as JSON: [{"path", "headers", "body", "time"}]; POST /mode/OLD/NEW lets OLD behave as NEW.
"""
import argparse
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with self.server.lock:
            self.answer(200, json.dumps(self.server.seen).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        parts = self.path.split("/")
        if parts[1] == "mode":
            self.server.modes[parts[2]] = parts[3]
            return self.answer(200)
        with self.server.lock:
            self.server.seen.append({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()},
                                     "body": body, "time": time.time()})
            first = sum(s["path"] == self.path for s in self.server.seen) == 1
        mode = self.server.modes.get(parts[1], parts[1])
        if mode == "fail" or (mode == "flaky" and first):
            self.answer(500, b"no \x1b[31mluck")
        elif mode == "limit" and first:
            self.answer(429, b"slow down", [("Retry-After", "2")])
        elif mode == "refuse":
            self.answer(400, b"invalid_payload")
        elif mode == "gone":
            self.answer(404, b"no_service")
        elif mode == "hang":
            time.sleep(60)
        elif mode == "huge":
            try:
                self.answer(200, b"x" * 10_000_000)
            except OSError:
                pass
        elif mode == "heads":
            try:
                self.answer(200, b"", [("X-%d" % i, "y" * 1000) for i in range(1000)])
            except OSError:
                pass
        elif mode == "redirect":
            self.answer(302, b"", [("Location", "/ok/redirected")])
        elif mode == "private":
            self.answer(302, b"", [("Location", "http://169.254.169.254/latest/meta-data/")])
        elif mode == "close":
            self.close_connection = True
        elif mode == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            try:
                for _ in range(60):
                    self.wfile.write(b".")
                    self.wfile.flush()
                    time.sleep(1)
            except OSError:
                pass
        else:
            self.answer(200, b"" if "alerts" in self.path else b"ok")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # clients that hang up are what is tested


def start(port=0):
    server = Server(("127.0.0.1", port), Handler)
    server.seen, server.modes, server.lock = [], {}, threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    server = start(parser.parse_args().port)
    print(server.server_address[1], flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
