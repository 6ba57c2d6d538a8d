#!/usr/bin/env python3
"""Writes down what clients send, as conversations that tests/conformance_test.cpp replays (tests/conformance/clients).

    tests/clients/recorder.py FAKE_HUB_SERVER [CLIENT...]

Each client of tests/clients/run meets the scripted hub through a proxy here, then codex and opencode do their job
(agents/run).  A request is kept once per kind: method, path, whether it streams, offers tools, or brings their results.
It is what went over the wire, but for three things: long texts (system prompts, descriptions of tools) are cut and say how
long they were, the model is called "fake", and what belongs to one connection or one machine is left out.  Behind it stands
what an answer must hold, as far as the answer did.
"""

import http.client
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from loopback_server import LoopbackServer  # noqa: E402

FIXTURES = HERE.parent / "conformance/clients"
CLIENTS = ["openai", "anthropic", "ollama", "mcp", "pi"]
TEXT_MAX = 160
EXCHANGES_MAX = 12

# Of the machine, the connection or the session; and what every request has.
HEADERS_LEFT_OUT = {"host", "content-length", "connection", "keep-alive", "transfer-encoding", "traceparent", "authorization",
                    "x-api-key", "accept-language", "sec-fetch-mode"}
PATHS_LEFT_OUT = {"/api/pull", "/api/delete"}  # They need a registry behind the hub; pull_answer_test has one.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}

# What may stand in an answer, and means that it came to its end.
MARKS = ["data: [DONE]", "event: response.created", "event: response.completed", "event: message_start", "event: message_stop",
         '"done":true', '"object":"chat.completion"', '"object":"list"', '"type":"message"', '"jsonrpc":"2.0"', '"code":-32']


def shortened(value):
    """The value with its long texts cut."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if not isinstance(value, str):
        return value
    text = value if len(value) <= TEXT_MAX else f"{value[:TEXT_MAX]} ... ({len(value)} characters)"
    return re.sub(r"/tmp/[\w.-]+", "/tmp/home", text)


def kind_of(method, target, body):
    path = target.split("?")[0]
    if method == "GET":
        path = "/".join(path.split("/")[:3])  # One model as good as another.
    turns = body.get("messages") or body.get("input") or []
    turns = turns if isinstance(turns, list) else []
    brings_results = any(turn.get("role") == "tool" or turn.get("type") == "function_call_output" or
                         (isinstance(turn.get("content"), list) and any(part.get("type") == "tool_result" for part in turn["content"]))
                         for turn in turns if isinstance(turn, dict))
    return (method, path, bool(body.get("stream")), bool(body.get("tools")), brings_results, body.get("method"))


def body_lines(body):
    """A line per member, so that a change can be read."""
    members = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in body.items()]
    return "{" + ",\n ".join(members) + "}"


class Recorder(LoopbackServer):
    """A proxy before the hub at `upstream`; what it saw is in `path` when it is left."""

    def __init__(self, upstream, path):
        self.upstream, self.path = urllib.parse.urlsplit(upstream).netloc, path
        self.lock, self.kept = threading.Lock(), {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def relay(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                hub = http.client.HTTPConnection(outer.upstream, timeout=600)
                hub.request(self.command, self.path, body or None, dict(self.headers.items()))
                answer = hub.getresponse()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                text = b""
                try:
                    while piece := answer.read1(65536):
                        text += piece
                        self.wfile.write(piece)
                        self.wfile.flush()
                except OSError:
                    return  # The client left, and would never hear the end.
                finally:
                    hub.close()
                    self.close_connection = True
                outer.keep(self, body, answer.status, text.decode(errors="replace"))

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = relay

        super().__init__(Handler)

    def keep(self, request, raw, status, answer):
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            return
        names = {name.lower() for name in request.headers}
        if not isinstance(body, dict) or "mcp-session-id" in names or request.path in PATHS_LEFT_OUT or status >= 500:
            return  # A session is known to one server alone.
        kind = kind_of(request.command, request.path, body)
        with self.lock:
            if kind in self.kept or len(self.kept) >= EXCHANGES_MAX:
                return
            if "model" in body:
                body["model"] = "fake"
            head = [f"{request.command} {request.path} HTTP/1.1", "Host: localhost"]
            head += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() not in HEADERS_LEFT_OUT]
            if raw:
                head += ["Content-Length: auto"]
            marks = [mark for mark in MARKS if mark in answer] if status == 200 else []
            self.kept[kind] = "\n".join([">>>", *head, "", *([body_lines(shortened(body))] if raw else []), f"<<< {status}", *marks])

    def close(self):
        super().close()
        head = f"# What {self.path.stem} sends, recorded by tests/clients/recorder.py.\n"
        self.path.write_text(head + "\n".join(self.kept.values()) + "\n")


def main():
    program, *clients = sys.argv[1:]
    FIXTURES.mkdir(exist_ok=True)
    with subprocess.Popen([program, "0", "200"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as hub:
        url = hub.stdout.readline().strip()
        for client in clients or CLIENTS:
            with Recorder(url, FIXTURES / f"{client}.http") as recorder:
                subprocess.run([HERE / "run", recorder.url, "fake", client], check=True)
        hub.stdin.close()
    if not clients:
        subprocess.run([HERE / "agents/run"], check=True, env={**os.environ, "HEARTH_RECORD": str(FIXTURES)})


if __name__ == "__main__":
    main()
