# SPDX-License-Identifier: Apache-2.0
"""The modes of fake_llm.py beyond the plain ones: what endpoints disagree about, and how they fail.

A mode is a method mode_NAME; it gets the request and n, which counts the requests in that mode."""
import base64
import gzip
import json
import re
import socket
import struct
import time
from email.utils import formatdate

HTML = "<html><head><title>%d</title></head><body><h1>%d Bad Gateway</h1><hr>nginx</body></html>"


def event(value, end="\n\n"):
    return "data: " + (value if isinstance(value, str) else json.dumps(value)) + end


def chunk(delta, reason=None, **more):
    return dict({"id": "c1", "object": "chat.completion.chunk", "model": "fake-model",
                 "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}, **more)


def pieces(text, size=17):
    return [text[i:i + size] for i in range(0, len(text), size)]


def stream(text, end="\n\n", done=True):
    """An answer in events, with the oddities that endpoints have: comments, a first event without choices, a last one
    with nothing but usage."""
    events = [": PROCESSING" + end, event({"choices": [], "prompt_filter_results": []}, end), "event: message" + end[:len(end) // 2],
              event(chunk({"role": "assistant", "content": ""}), end), ": keep-alive" + end]
    events += [event(chunk({"content": p}), end) for p in pieces(text)]
    events += [event(chunk({}, "stop"), end), event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}, end)]
    return "".join(events) + (event("[DONE]", end) if done else "")


class Different:
    """Good in the end. Once: the first request fails, the second is answered."""

    def once(self, n, status, text, headers=(), kind="application/json"):
        if n == 1:
            self.send(status, text if isinstance(text, str) else json.dumps(text), kind, headers)
        else:
            self.complete(self.good())

    def mode_once_retry_ms(self, n, **_):
        self.once(n, 429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, [("retry-after-ms", "120"), ("Retry-After", "3600")])

    def mode_once_retry_date(self, n, **_):
        self.once(n, 503, HTML % (503, 503), [("Retry-After", formatdate(time.time() + 2, usegmt=True))], "text/html")

    def mode_once_408(self, n, **_):
        self.once(n, 408, {"error": {"message": "too slow"}})

    def mode_once_409(self, n, **_):
        self.once(n, 409, {"error": {"message": "lock timeout"}})

    def mode_once_502(self, n, **_):
        self.once(n, 502, HTML % (502, 502), kind="text/html")

    def mode_once_503(self, n, **_):
        self.once(n, 503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})

    def mode_once_should(self, n, **_):
        self.once(n, 400, {"error": {"message": "try again"}}, [("x-should-retry", "true")])

    def mode_once_reset(self, n, **_):
        return self.reset() if n == 1 else self.complete(self.good())

    def mode_once_error_in_200(self, n, **_):
        self.once(n, 200, {"error": {"code": 429, "message": "Provider returned error"}, "user_id": "u"})

    def mode_once_error_in_stream(self, n, **_):
        self.once(n, 200, event({"error": {"code": 503, "message": "Loading model"}}), kind="text/event-stream")

    def mode_stream(self, **_):
        self.send(200, stream(self.good()), "text/event-stream")

    def mode_stream_crlf(self, **_):
        self.send(200, "\ufeff" + stream(self.good(), "\r\n\r\n"), "text/event-stream; charset=utf-8")

    def mode_stream_undone(self, **_):
        self.start("text/event-stream")
        for part in pieces(stream(self.good(), done=False), 200):
            self.wfile.write(part.encode())
            self.wfile.flush()

    def mode_stream_tool(self, **_):
        calls = [{"index": 0, "function": {"name": "diagnosis", "arguments": p}} for p in pieces(self.good())]
        self.send(200, "".join(event(chunk({"tool_calls": [c]})) for c in calls) + event(chunk({}, "tool_calls")) + event("[DONE]"), "text/event-stream")

    def mode_stream_only(self, request, **_):
        if not request.get("stream"):
            return self.fail(400, "This model only support stream mode, please enable the stream parameter to access the model.")
        self.mode_stream()

    def mode_tool_call(self, **_):
        self.complete(None, "tool_calls", {"content": None, "tool_calls": [{"id": "1", "function": {"name": "diagnosis", "arguments": self.good()}}]})

    def mode_tool_object(self, **_):
        self.complete(None, None, {"content": "", "tool_calls": [{"function": {"arguments": json.loads(self.good())}}]})

    def mode_function_call(self, **_):
        self.complete(None, "function_call", {"content": None, "function_call": {"name": "diagnosis", "arguments": self.good()}})

    def mode_reasoning(self, **_):
        self.complete(None, message={"content": None, "reasoning": self.good()})

    def mode_reasoning_content(self, **_):
        self.complete(None, message={"content": "<think>hm</think>", "reasoning_content": self.good()})

    def mode_think_unopened(self, **_):
        self.complete("Is it {\"cause\": \"gremlins\"}? No.</think>" + self.good())

    def mode_bom(self, **_):
        self.send(200, "\ufeff" + self.completion(self.good()))

    def mode_certified(self, **_):
        return self.complete(self.good()) if self.connection.getpeercert() else self.fail(403, "who are you?")

    def mode_headers(self, **_):
        self.complete(str(self.headers))

    def mode_plain(self, **_):
        self.send(200, "\r\n" + self.completion(self.good()), "text/plain")

    def mode_bare(self, **_):
        self.send(200, json.dumps({"choices": [{"message": {"content": self.good()}, "surprise": [1, {"a": None}]}], "error": None}))

    def mode_gzip(self, **_):
        self.send(200, gzip.compress(self.completion(self.good()).encode()), headers=[("Content-Encoding", "gzip")])

    def mode_chunked(self, **_):
        self.start(headers=[("Transfer-Encoding", "chunked")])
        for part in pieces(self.completion(self.good()), 100):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part.encode()), part.encode()))
        self.wfile.write(b"0\r\n\r\n")

    def mode_unmeasured(self, **_):
        self.start()
        self.wfile.write(self.completion(self.good()).encode())

    def mode_no_tokens(self, request, **_):
        for name in ("max_tokens", "max_completion_tokens"):
            if name in request:
                return self.send(400, json.dumps({"error": {"message": "Extra inputs are not permitted, field: '%s'" % name, "type": "BadRequestError", "param": None, "code": 400}}))
        self.complete(self.good())

    def mode_no_tokens_detail(self, request, **_):
        """FastAPI, which echoes the request: only the place tells what is wrong."""
        if "max_tokens" in request:
            return self.send(422, json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted",
                                                          "input": {"temperature": 0, "response_format": "json_schema", "role": "system message"}}]}))
        if "temperature" not in request or request.get("response_format", {}).get("type") != "json_schema":
            return self.fail(403, "something else was given up")
        self.complete(self.good())

    def mode_no_warmth(self, request, **_):
        if "temperature" in request:
            return self.send(400, json.dumps([{"error": {"code": 400, "message": "Unsupported value: temperature", "status": "INVALID_ARGUMENT"}}]))
        self.complete(self.good())

    def mode_no_system(self, request, **_):
        if any(m["role"] == "system" for m in request["messages"]):
            return self.fail(400, "Conversation roles must alternate user/assistant/user/assistant/...")
        self.complete(self.good())

    def mode_json_object(self, request, **_):
        if request.get("response_format", {}).get("type") != "json_object":
            return self.send(400, json.dumps({"error": "'response_format.type' must be 'json_object'"}))
        self.complete(self.good())

    def mode_no_schema_501(self, request, **_):
        if "json_schema" in json.dumps(request.get("response_format", "")):
            return self.send(501, json.dumps({"detail": "structured output is not built in"}))
        self.complete(self.good())

    def mode_nameless(self, request, **_):
        if "response_format" in request:
            return self.send(400, "Bad Request", "text/plain")
        self.complete(self.good())


def refusing(status, body, kind="application/json", headers=()):
    def mode(self, **_):
        self.send(status, body if isinstance(body, (str, bytes)) else json.dumps(body), kind, headers)
    return mode


class Failing:
    """Never of use."""
    mode_error403 = refusing(403, {"message": "Forbidden"})
    mode_error404 = refusing(404, {"error": {"message": "The model `fake-model` does not exist", "code": "model_not_found"}})
    mode_error404_plain = refusing(404, "404 page not found", "text/plain")
    mode_error408 = refusing(408, "")
    mode_error409 = refusing(409, {"error": {"message": "conflict"}})
    mode_error413 = refusing(413, HTML % (413, 413), "text/html")
    mode_error422 = refusing(422, {"detail": [{"loc": ["body", "messages", 0], "msg": "field required", "type": "value_error.missing"}]})
    mode_error429_hour = refusing(429, {"error": {"message": "slow down"}}, headers=[("Retry-After", "3600")])
    mode_error429_date = refusing(429, {"error": {"message": "slow down"}}, headers=[("Retry-After", formatdate(time.time() + 7200, usegmt=True))])
    mode_error429_quota = refusing(429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}})
    mode_error501 = refusing(501, {"error": {"code": 501, "message": "This server does not support chat"}})
    mode_error502 = refusing(502, HTML % (502, 502), "text/html")
    mode_error503 = refusing(503, HTML % (503, 503), "text/html")
    mode_error504 = refusing(504, "upstream request timeout", "text/plain")
    mode_error500_final = refusing(500, {"error": "no"}, headers=[("x-should-retry", "false")])
    mode_error200 = refusing(200, {"error": "Unexpected endpoint or method. (POST /v1/chat/completions)"})
    mode_status204 = refusing(204, "")
    mode_status299 = refusing(299, {"choices": []})
    mode_context = refusing(400, {"error": {"message": "This model's maximum context length is 4,096 tokens. However, you requested 9000 tokens", "code": "context_length_exceeded"}},
                            headers=[("x-request-id", "req_42")])
    mode_context_size = refusing(500, {"error": {"code": 500, "type": "exceed_context_size_error", "message": "the request exceeds the available context size", "n_ctx": 2048}})
    mode_truncated_json = refusing(200, '{"id": "1", "choices": [{"message": {"role": "assistant", "cont')
    mode_nan = refusing(200, '{"choices": [{"logprobs": NaN, "message": {"content": "{}"}}]}')
    mode_twice = refusing(200, '{"choices": [], "choices": [{"message": {"content": "{}"}}]}')
    mode_wrong_types = refusing(200, {"choices": [{"message": "an answer", "finish_reason": 7}]})
    mode_wrong_schema = refusing(200, {"choices": {"0": 1}, "result": True})
    mode_no_choices = refusing(200, {"choices": [], "usage": None})
    mode_empty = refusing(200, "")
    mode_list = refusing(200, "[]")
    mode_deep = refusing(200, "[" * 100000)
    mode_nul = refusing(200, b'{"choices": [{"message": {"content": "\x00"}}]}')
    mode_not_utf8 = refusing(200, b'{"choices": [{"message": {"content": "{\\"cause\\": \\"\xff\xfe\xc3\\"}"}}]}')
    mode_gzip_bare = refusing(200, gzip.compress(b'{"choices": []}'))
    mode_gzip_broken = refusing(200, gzip.compress(b"x" * 5000)[:40], headers=[("Content-Encoding", "gzip")])
    mode_gzip_bomb = refusing(200, gzip.compress(b" " * 50_000_000), headers=[("Content-Encoding", "gzip")])
    mode_long_header = refusing(200, "{}", headers=[("X-Long", "x" * 200_000)])
    mode_redirect_away = refusing(308, "", headers=[("Location", "http://127.0.0.1:1/v1/chat/completions")])
    mode_stream_error = refusing(200, event({"error": {"code": 401, "message": "who are you?"}}) + event("[DONE]"), "text/event-stream")
    mode_stream_empty = refusing(200, event("[DONE]"), "text/event-stream")
    mode_stream_garbage = refusing(200, "data: {\ndata: [[[\n\ndata: NaN\n\nevent\nid\n:\n\ndata:\n\n", "text/event-stream")

    def mode_redirect_loop(self, **_):
        self.send(307, "", headers=[("Location", self.path)])

    def mode_reset_status(self, **_):
        self.wfile.write(b"HTTP/1.1 20")
        self.reset()

    def mode_reset_headers(self, **_):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        self.reset()

    def mode_reset_body(self, **_):
        self.start(headers=[("Content-Length", "4000")])
        self.wfile.write(b'{"choices": [{"mess')
        self.reset()

    def mode_not_http(self, **_):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\x00\x01\x02")
        self.close_connection = True

    def mode_drip_headers(self, **_):
        self.slowly(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 3600)

    def mode_endless(self, **_):
        self.start()
        while True:
            self.wfile.write(b" " * 65536)

    def mode_endless_headers(self, **_):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.wfile.write(b"X-More: " + b"x" * 4000 + b"\r\n")

    def mode_endless_comments(self, **_):
        self.start("text/event-stream")
        while True:
            self.wfile.write(b": keep-alive\n\n")
            self.wfile.flush()
            time.sleep(0.05)

    def mode_length_short(self, **_):
        """More was promised than comes."""
        self.start(headers=[("Content-Length", "100000")])
        self.wfile.write(self.completion(self.good()).encode())

    def mode_length_long(self, **_):
        self.start(headers=[("Content-Length", "40")])
        self.wfile.write(self.completion(self.good()).encode())

    def mode_length_none(self, **_):
        self.start(headers=[("Content-Length", "many")])
        self.wfile.write(b"{}")

    def mode_bad_chunks(self, **_):
        self.start(headers=[("Transfer-Encoding", "chunked")])
        self.wfile.write(b"zz\r\n{}\r\n0\r\n\r\n")

    def mode_cut_chunks(self, **_):
        self.start(headers=[("Transfer-Encoding", "chunked")])
        self.wfile.write(b'ff\r\n{"choices"')

    def mode_stream_cut(self, **_):
        text = stream(self.good())
        self.send(200, text[:len(text) // 2], "text/event-stream")

    def mode_null(self, **_):
        self.complete(None)

    def mode_filtered(self, **_):
        self.complete(self.good(), "content_filter")

    def mode_declined(self, **_):
        self.complete(None, message={"content": None, "refusal": "I can't help with that."})

    def mode_cut_for_ever(self, **_):
        self.complete(self.good()[:50], "length")

    def mode_key_in_answer(self, **_):
        self.complete(self.good(summary="The key is " + self.key(), recovery=["use " + self.key()]))

    def mode_key_in_error(self, **_):
        self.send(400, "no such key, model " + "x" * 180 + " " + self.key() * 3, "text/plain", [("x-request-id", self.key())])

    def mode_terminal(self, **_):
        self.fail(403, "\x1b]0;owned\x07\x1b[2J\u202e reversed \x9b31m")


def vector(text, dim=8):
    return [float((len(text) * 7 + i * i) % 13 - 6) for i in range(dim - 1)] + [1.5]


class Embedding:
    """POST .../embeddings: each vector comes from the length of its text."""

    def embed(self, texts, order=None, encode=list, **more):
        data = [{"object": "embedding", "index": i, "embedding": encode(vector(texts[i]))} for i in order or range(len(texts))]
        self.send(200, json.dumps(dict({"object": "list", "data": data, "model": "fake-embed", "usage": {"prompt_tokens": len(texts)}}, **more)))

    def embed_good(self, request, texts):
        if request.get("encoding_format") != "float" or "" in texts or len(texts) > 64:
            return self.fail(400, "'input' must not hold empty strings, and no more than 64")
        self.embed(texts)

    def embed_base64(self, request, texts):
        self.embed(texts, encode=lambda v: base64.b64encode(struct.pack("<%df" % len(v), *v)).decode())

    def embed_backwards(self, request, texts):
        self.embed(texts, list(reversed(range(len(texts)))))

    def embed_no_format(self, request, texts):
        if "encoding_format" in request:
            return self.send(422, json.dumps({"detail": [{"loc": ["body", "encoding_format"], "msg": "extra"}]}))
        self.embed(texts)

    def embed_ragged(self, request, texts):
        self.send(200, json.dumps({"data": [{"index": i, "embedding": [1.0] * (i + 2)} for i in range(len(texts))]}))

    def embed_few(self, request, texts):
        self.embed(texts, range(len(texts) - 1))

    def embed_twice(self, request, texts):
        self.embed(texts, [0] * len(texts))

    def embed_infinite(self, request, texts):
        self.send(200, '{"data": [%s]}' % ", ".join('{"index": %d, "embedding": [1e999, 1]}' % i for i in range(len(texts))))

    def embed_zero(self, request, texts):
        self.embed(texts, encode=lambda v: [0.0] * len(v))

    def embed_nested(self, request, texts):
        self.embed(texts, encode=lambda v: [v, v])


class Odd(Different, Failing, Embedding):
    """What a request handler needs to be any of them; self.good(**changes) is the text of a good answer."""

    def key(self):
        return self.headers.get("Authorization", "").replace("Bearer ", "")

    def start(self, kind="application/json", headers=()):
        """Headers of a response after whose body the connection is closed."""
        self.send_response(200)
        for name, value in [("Content-Type", kind), ("Connection", "close"), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True

    def reset(self):
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def slowly(self, data):
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(1)


def names(cls):
    return sorted(re.sub("^mode_", "", n).replace("_", "-") for n in dir(cls) if n.startswith("mode_"))
