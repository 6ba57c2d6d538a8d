"""A scripted adviser: an OpenAI-compatible endpoint on loopback that misbehaves on request.

It keeps every request's body as the bytes that arrived, so that a test can hold them against
the ledger.
"""

import http.server
import json
import threading
import time

from loopback_server import LoopbackServer


def sse(value):
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chunk(text=None, finish=None, usage=None):
    choices = [] if text is None and finish is None else [
        {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "choices": choices, "usage": usage}


def answer(text="Paris is the capital of France.", prompt_tokens=200, completion_tokens=7):
    """The whole event stream of a good answer."""
    pieces = [sse(chunk(word + " ")) for word in text.split()]
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
             "total_tokens": prompt_tokens + completion_tokens}
    return b"".join(pieces) + sse(chunk(finish="stop")) + sse(chunk(usage=usage)) + sse(b"[DONE]")


class AdviserServer(LoopbackServer):
    """`respond(handler, body)` writes the response; the default is a good answer."""

    def __init__(self, respond=None):
        self.model = "scripted"
        self.bodies = []
        self.headers = []
        self.lock = threading.Lock()
        self.respond = respond or (lambda handler, body: handler.stream(answer()))
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.lock:
                    outer.bodies.append(body)
                    outer.headers.append(dict(self.headers))
                try:
                    outer.respond(self, body)
                except OSError:
                    pass  # The hub hung up first: some tests want that.
                self.close_connection = True

            def do_GET(self):
                if self.path != "/v1/models":
                    return self.fail(404, {"message": "there is no such thing"})
                data = json.dumps({"object": "list", "data": [{"id": outer.model, "object": "model"}]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def stream(self, data, status=200):
                self.send_response(status)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(data)

            def fail(self, status, error, **headers):
                data = json.dumps({"error": error}).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        super().__init__(Handler)
        self.url += "/v1"

    def toml(self, extra="", budget=""):
        """A configuration that asks this adviser, at a dollar for a million tokens each way."""
        return (f'[advisor]\nbase_url = "{self.url}"\nmodel = "scripted"\nprovider = "test"\nkey_env = "TEST_ADVISER_KEY"\n'
                f"price_in_usd_per_mtok = 1.0\nprice_out_usd_per_mtok = 1.0\n{extra}\n[budget]\n{budget or 'usd_per_day = 100.0'}\n")


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False
