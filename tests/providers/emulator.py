"""Emulated providers: each speaks one real wire on loopback, misbehaves on request, and keeps its own bill.

A request names its scenario in any of its texts, as "scenario=NAME seed=N".  The emulator keeps what
arrived, byte for byte, and what it would bill for it: `Call.bill`, in micro-dollars by the same prices that
the hub is given, and `Call.is_certain`, whether a client can know that bill from what it was told.
"""

import dataclasses
import http.server
import json
import re
import sys
import threading
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from loopback_server import LoopbackServer  # noqa: E402

WIRES = ("openai", "responses", "anthropic", "gemini")
KEYS = {wire: f"key-of-{wire}-0123456789" for wire in WIRES}
MODELS = {"openai": "gpt-emulated", "responses": "gpt-emulated", "anthropic": "claude-emulated", "gemini": "gemini-emulated"}

# Dollars per million tokens: input, cached input, input written to a cache, output.
PRICES = {
    "openai": ("2.5", "0.25", "3.125", "15"),
    "responses": ("1.25", "0.1", "1.5625", "10"),
    "anthropic": ("3", "0.3", "3.75", "15"),
    "gemini": ("0.3", "0.03", "0.3", "2.5"),
}


@dataclasses.dataclass
class Usage:
    """Tokens; `prompt` is all input, `cached` and `written` are parts of it."""

    prompt: int
    cached: int
    written: int
    output: int
    thinking: int = 0

    def bill(self, wire):
        """What it costs, rounded up to a micro-dollar: dollars per million tokens are micro-dollars a token."""
        plain, cached, written, output = (Fraction(price) for price in PRICES[wire])
        exact = ((self.prompt - self.cached - self.written) * plain + self.cached * cached
                 + self.written * written + self.output * output)
        return -(-exact.numerator // exact.denominator)


@dataclasses.dataclass
class Call:
    wire: str
    scenario: str
    body: bytes
    path: str = ""
    headers: dict = dataclasses.field(default_factory=dict)
    bill: int = 0
    is_certain: bool = True


def words(seed):
    """The text that is answered to a request: the same for everyone who knows the seed."""
    return " ".join(f"wörd{(seed * 7919 + i * 104729) % 997}" for i in range(3 + seed % 9))


def pieces_of(text):
    return [part for part in re.split(r"(?<= )", text) if part]


ARGUMENTS = '{"city": "Ålesund", "days": 3}'


class Writer:
    """A response in pieces over one connection."""

    def __init__(self, handler):
        self.handler = handler
        self.out = handler.wfile

    def head(self, kind="text/event-stream", status=200, **headers):
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("Content-Type", kind)
        self.handler.send_header("Connection", "close")
        # Chunked, so that a stream which is cut can be told from one that ends.
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def put(self, data):
        if data:
            self.out.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def put_bytewise(self, data):
        for i in range(0, len(data), 3):
            self.put(data[i:i + 3])

    def end(self):
        self.out.write(b"0\r\n\r\n")

    def whole(self, status, value, **headers):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.head("application/json", status, **headers)
        self.put(data)
        self.end()


def event(value, name=None):
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


# ---- The wires' words: each gives (begin, text pieces, call pieces, end, terminator) and errors ----

class OpenAi:
    @staticmethod
    def usage(u):
        return {"prompt_tokens": u.prompt, "completion_tokens": u.output, "total_tokens": u.prompt + u.output,
                "prompt_tokens_details": {"cached_tokens": u.cached, "cache_write_tokens": u.written},
                "completion_tokens_details": {"reasoning_tokens": u.thinking}}

    @staticmethod
    def chunk(delta, finish=None, usage=None, choices=True):
        value = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-emulated", "obfuscation": "xx",
                 "choices": [{"index": 0, "delta": delta, "finish_reason": finish}] if choices else [], "usage": usage}
        return event(value)

    def begin(self, u):
        return self.chunk({"role": "assistant", "content": ""})

    def text(self, pieces):
        return [self.chunk({"content": piece}) for piece in pieces]

    def call(self):
        head = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
        return [self.chunk({"tool_calls": [head]})] + [
            self.chunk({"tool_calls": [{"index": 0, "function": {"arguments": ARGUMENTS[i:i + 9]}}]})
            for i in range(0, len(ARGUMENTS), 9)]

    def end(self, finish, u):
        word = {"stop": "stop", "call": "tool_calls", "refusal": "content_filter"}[finish]
        return self.chunk({}, word) + (self.chunk(None, None, self.usage(u), choices=False) if u else b"")

    terminator = b"data: [DONE]\n\n"

    def whole(self, text, u):
        return {"object": "chat.completion", "model": "gpt-emulated", "usage": self.usage(u),
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}

    def stream_error(self, kind):
        return event({"error": {"message": "the server had an error", "type": "server_error", "code": kind}})

    def error(self, status, kind, message):
        code = {"rate": "rate_limit_exceeded", "spent": "insufficient_quota"}.get(kind, kind)
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Responses(OpenAi):
    @staticmethod
    def usage(u):
        return {"input_tokens": u.prompt, "input_tokens_details": {"cached_tokens": u.cached, "cache_write_tokens": u.written},
                "output_tokens": u.output, "output_tokens_details": {"reasoning_tokens": u.thinking},
                "total_tokens": u.prompt + u.output}

    def begin(self, u):
        return event({"type": "response.created", "sequence_number": 0, "response": {"status": "in_progress", "model": "gpt-emulated"}},
                     "response.created")

    def text(self, pieces):
        added = {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "role": "assistant", "content": []}}
        return [event(added)] + [event({"type": "response.output_text.delta", "output_index": 0, "delta": piece}) for piece in pieces]

    def call(self):
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": ""}
        return ([event({"type": "response.output_item.added", "output_index": 1, "item": item})]
                + [event({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": ARGUMENTS[i:i + 9]})
                   for i in range(0, len(ARGUMENTS), 9)]
                + [event({"type": "response.output_item.done", "output_index": 1, "item": {**item, "arguments": ARGUMENTS}})])

    def end(self, finish, u):
        status = "incomplete" if finish == "refusal" else "completed"
        response = {"status": status, "model": "gpt-emulated", "usage": self.usage(u) if u else None}
        if finish == "refusal":
            response["incomplete_details"] = {"reason": "content_filter"}
        return event({"type": f"response.{status}", "response": response}, f"response.{status}")

    terminator = b""

    def whole(self, text, u):
        return {"object": "response", "status": "completed", "model": "gpt-emulated", "usage": self.usage(u), "error": None,
                "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]}

    def stream_error(self, kind):
        return event({"type": "error", "code": "server_error", "message": "the server had an error", "param": None}, "error")


class Anthropic:
    @staticmethod
    def input_usage(u):
        return {"input_tokens": u.prompt - u.cached - u.written, "cache_read_input_tokens": u.cached,
                "cache_creation_input_tokens": u.written,
                "cache_creation": {"ephemeral_5m_input_tokens": u.written, "ephemeral_1h_input_tokens": 0}}

    def named(self, value):
        return event(value, value["type"])

    def begin(self, u):
        usage = {**self.input_usage(u), "output_tokens": 1} if u else {}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-emulated", "content": [], "usage": usage}
        return self.named({"type": "message_start", "message": message}) + self.named({"type": "ping"})

    def text(self, pieces):
        start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        return [self.named(start)] + [
            self.named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})
            for piece in pieces] + [self.named({"type": "content_block_stop", "index": 0})]

    def call(self):
        start = {"type": "content_block_start", "index": 1,
                 "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}}
        return [self.named(start)] + [
            self.named({"type": "content_block_delta", "index": 1,
                        "delta": {"type": "input_json_delta", "partial_json": ARGUMENTS[i:i + 9]}})
            for i in range(0, len(ARGUMENTS), 9)] + [self.named({"type": "content_block_stop", "index": 1})]

    def end(self, finish, u):
        word = {"stop": "end_turn", "call": "tool_use", "refusal": "refusal"}[finish]
        value = {"type": "message_delta", "delta": {"stop_reason": word, "stop_sequence": None}}
        if u:
            value["usage"] = {"output_tokens": u.output}
        return self.named(value)

    terminator = b'event: message_stop\ndata: {"type": "message_stop"}\n\n'

    def whole(self, text, u):
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-emulated",
                "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
                "usage": {**self.input_usage(u), "output_tokens": u.output}}

    def stream_error(self, kind):
        return self.named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})

    def error(self, status, kind, message):
        if kind == "spent":
            return {"type": "error", "error": {"type": "rate_limit_error", "message": message,
                                               "details": {"error_code": "enforced_spend_limit_reached"}}}
        return {"type": "error", "error": {"type": {"rate": "rate_limit_error"}.get(kind, kind), "message": message}}


class Gemini:
    @staticmethod
    def usage(u):
        return {"promptTokenCount": u.prompt, "cachedContentTokenCount": u.cached, "thoughtsTokenCount": u.thinking,
                "candidatesTokenCount": u.output - u.thinking, "totalTokenCount": u.prompt + u.output}

    def content(self, parts, finish=None, usage=None):
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        value = {"candidates": [candidate], "modelVersion": "gemini-emulated", "responseId": "r"}
        if usage:
            value["usageMetadata"] = usage
        return event(value)

    def begin(self, u):
        so_far = {"promptTokenCount": u.prompt, "cachedContentTokenCount": u.cached} if u else None
        return self.content([{"text": ""}], None, so_far)

    def text(self, pieces):
        return [self.content([{"text": piece}]) for piece in pieces]

    def call(self):
        return [self.content([{"functionCall": {"name": "weather", "args": json.loads(ARGUMENTS)}, "thoughtSignature": "c2ln"}])]

    def end(self, finish, u):
        word = {"stop": "STOP", "call": "STOP", "refusal": "SAFETY"}[finish]
        return self.content([{"text": ""}], word, self.usage(u) if u else None)

    terminator = b""

    def whole(self, text, u):
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}],
                "usageMetadata": self.usage(u), "modelVersion": "gemini-emulated"}

    def stream_error(self, kind):
        return event({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})

    def error(self, status, kind, message):
        details = {
            "rate": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.001s"}],
            "spent": [{"@type": "type.googleapis.com/google.rpc.QuotaFailure",
                       "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}],
        }.get(kind, [])
        word = {429: "RESOURCE_EXHAUSTED", 400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED"}.get(status, "INTERNAL")
        return [{"error": {"code": status, "message": message, "status": word, "details": details}}]


SPEAKERS = {"openai": OpenAi(), "responses": Responses(), "anthropic": Anthropic(), "gemini": Gemini()}

# What a request must look like to be taken at all: its path, and where its key is.
PATHS = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/gemini-emulated:streamGenerateContent?alt=sse",
}
KEY_HEADERS = {
    "openai": ("Authorization", "Bearer "), "responses": ("Authorization", "Bearer "),
    "anthropic": ("x-api-key", ""), "gemini": ("x-goog-api-key", ""),
}


def problem_of(wire, body):
    """Why a real provider would refuse this body; empty if it would not."""
    if wire == "anthropic":
        if not isinstance(body.get("max_tokens"), int):
            return "max_tokens: Field required"
        roles = [message["role"] for message in body["messages"]]
        if roles[0] != "user" or roles[-1] != "user" or any(a == b for a, b in zip(roles, roles[1:])):
            return "messages: roles must alternate between user and assistant"
    if wire == "gemini" and not body.get("contents"):
        return "contents is not specified"
    if wire in ("openai", "responses") and body.get("store") is not False:
        return "this emulator takes only what is not stored"
    if wire != "gemini" and body.get("stream") is not True:
        return "this emulator only streams"
    return ""


def max_tokens_of(wire, body):
    if wire == "gemini":
        return body["generationConfig"]["maxOutputTokens"]
    return body[{"openai": "max_completion_tokens", "responses": "max_output_tokens", "anthropic": "max_tokens"}[wire]]


class Emulator(LoopbackServer):
    """One provider.  `fails_as` replaces a scenario's name by another's, for one that others stand in for."""

    def __init__(self, wire, key=None, fails_as=None):
        self.wire = wire
        self.key = key or KEYS[wire]
        self.fails_as = fails_as or {}
        self.calls = []
        self.strangers = []  # What no provider would have taken.
        self.tries = {}
        self.lock = threading.Lock()
        self.released = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.close_connection = True
                try:
                    outer.serve(self, body)
                except OSError:
                    pass  # The hub hung up first: some scenarios want that.

        super().__init__(Handler)
        self.url += "/v1beta" if wire == "gemini" else "/v1"

    def close(self):
        self.released.set()
        super().close()

    # ---- One request

    def serve(self, handler, raw):
        writer = Writer(handler)
        header, prefix = KEY_HEADERS[self.wire]
        body = json.loads(raw)
        text = json.dumps(body, ensure_ascii=False)
        found = re.search(r"scenario=([a-z0-9_]+) seed=(\d+)", text)
        strange = ("key" if handler.headers.get(header) != prefix + self.key else "path" if handler.path != PATHS[self.wire]
                   else problem_of(self.wire, body) or ("scenario" if not found else ""))
        if strange:
            with self.lock:
                self.strangers.append((strange, raw))
            return writer.whole(400, SPEAKERS[self.wire].error(400, "invalid_request_error", strange))
        scenario, seed = self.fails_as.get(found[1], found[1]), int(found[2])
        call = Call(self.wire, scenario, raw, handler.path, dict(handler.headers))
        with self.lock:
            self.calls.append(call)
            self.tries[scenario, seed] = self.tries.get((scenario, seed), 0) + 1
            n = self.tries[scenario, seed]
        usage = self.usage_of(raw, body, seed)
        getattr(self, "do_" + scenario)(writer, call, usage, seed, n)

    def usage_of(self, raw, body, seed):
        """Plausible tokens of this request and of its whole answer."""
        prompt = max(len(raw) // 4, 8)
        can_write = self.wire != "gemini"
        cached = prompt * (seed % 3) // 4
        written = prompt // 5 if can_write and seed % 2 else 0
        output = max(len(words(seed).encode()) // 3, 4) + 6
        assert output + 40 <= max_tokens_of(self.wire, body), "the scenarios ask for room"
        return Usage(prompt, cached, written, output, thinking=seed % 5)

    def say(self, usage, seed, finish="stop", told="usage", with_call=False):
        """The events of an answer: (begin, middle, end).  `told` is the usage that is reported."""
        speaker = SPEAKERS[self.wire]
        told = usage if told == "usage" else told
        middle = speaker.text(pieces_of(words(seed)))
        if with_call:
            middle += speaker.call()
        return speaker.begin(told), middle, speaker.end(finish, told)

    def stream(self, writer, begin, middle, end, put=None, **headers):
        put = put or writer.put
        writer.head(**headers)
        put(begin)
        for piece in middle:
            put(piece)
        put(end + SPEAKERS[self.wire].terminator)
        writer.end()

    def error(self, writer, status, kind, **headers):
        message = {"rate": "Too fast.", "spent": "You have spent it all."}.get(kind, "It went wrong.")
        writer.whole(status, SPEAKERS[self.wire].error(status, kind, message), **headers)

    # ---- Scenarios: what goes well

    def do_ok(self, writer, call, usage, seed, n):
        call.bill = usage.bill(self.wire)
        self.stream(writer, *self.say(usage, seed))

    def do_split(self, writer, call, usage, seed, n):
        call.bill = usage.bill(self.wire)
        self.stream(writer, *self.say(usage, seed), put=writer.put_bytewise)

    def do_whole(self, writer, call, usage, seed, n):
        call.bill = usage.bill(self.wire)
        writer.whole(200, SPEAKERS[self.wire].whole(words(seed), usage))

    def do_calls(self, writer, call, usage, seed, n):
        call.bill = usage.bill(self.wire)
        self.stream(writer, *self.say(usage, seed, finish="call", with_call=True))

    def do_refusal(self, writer, call, usage, seed, n):
        call.bill = usage.bill(self.wire)
        self.stream(writer, *self.say(usage, seed, finish="refusal"))

    def do_hangup_at_end(self, writer, call, usage, seed, n):
        """All is said, but the connection breaks before it is ended."""
        call.bill = usage.bill(self.wire)
        begin, middle, end = self.say(usage, seed)
        writer.head()
        writer.put(begin + b"".join(middle) + end)

    # ---- What works the second time

    def do_rate_limit(self, writer, call, usage, seed, n):
        if n > 1:
            return self.do_ok(writer, call, usage, seed, n)
        self.error(writer, 429, "rate", **({} if self.wire == "gemini" else {"retry-after-ms": "1"}))

    def do_busy(self, writer, call, usage, seed, n):
        if n > 1:
            return self.do_ok(writer, call, usage, seed, n)
        self.error(writer, 529 if self.wire == "anthropic" else 503, "overloaded_error", retry_after_ms="1")

    def do_error_first(self, writer, call, usage, seed, n):
        if n > 1:
            return self.do_ok(writer, call, usage, seed, n)
        writer.head(retry_after_ms="1")
        writer.put(SPEAKERS[self.wire].stream_error("server_error"))
        writer.end()

    def do_cut_first(self, writer, call, usage, seed, n):
        """Nothing but a head: nobody can know what that costs."""
        if n > 1:
            return self.do_ok(writer, call, usage, seed, n)
        call.is_certain = False
        writer.head(retry_after_ms="1")

    # ---- What costs nothing

    def do_busy_always(self, writer, call, usage, seed, n):
        self.error(writer, 503, "overloaded_error", retry_after_ms="1")

    def do_spent(self, writer, call, usage, seed, n):
        self.error(writer, 429, "spent")

    def do_bad_request(self, writer, call, usage, seed, n):
        self.error(writer, 400, "invalid_request_error")

    def do_no_access(self, writer, call, usage, seed, n):
        self.error(writer, 401, "authentication_error")

    # ---- What leaves the bill unknown

    def do_cut_middle(self, writer, call, usage, seed, n):
        call.bill, call.is_certain = usage.bill(self.wire), False
        begin, middle, _ = self.say(usage, seed)
        writer.head()
        writer.put(begin + b"".join(middle[:max(len(middle) // 2, 2)]))

    def do_error_middle(self, writer, call, usage, seed, n):
        call.bill, call.is_certain = usage.bill(self.wire), False
        begin, middle, _ = self.say(usage, seed)
        writer.head()
        writer.put(begin + b"".join(middle[:max(len(middle) // 2, 2)]) + SPEAKERS[self.wire].stream_error("server_error"))
        writer.end()

    def do_no_usage(self, writer, call, usage, seed, n):
        call.bill, call.is_certain = usage.bill(self.wire), False
        self.stream(writer, *self.say(usage, seed, told=None))

    def do_html(self, writer, call, usage, seed, n):
        call.is_certain = False
        writer.head("text/html")
        writer.put(b"<html><body>Bad gateway</body></html>")
        writer.end()

    def do_torn(self, writer, call, usage, seed, n):
        call.bill, call.is_certain = usage.bill(self.wire), False
        begin, middle, end = self.say(usage, seed)
        self.stream(writer, begin, middle[:2] + [b'data: {"torn": \n\n'] + middle[2:], end)

    def do_silent(self, writer, call, usage, seed, n):
        """Not a byte until the hub has gone."""
        call.is_certain = False
        self.released.wait(60)

    def do_endless(self, writer, call, usage, seed, n):
        """Goes on until the hub has gone."""
        call.bill, call.is_certain = usage.bill(self.wire), False
        begin, middle, _ = self.say(usage, seed)
        writer.head()
        writer.put(begin + b"".join(middle))
        while not self.released.wait(0.01):
            writer.put(b": still here\n\n")

    # ---- Lies: nobody can know the bill

    def lie(self, writer, call, told, usage, seed):
        call.is_certain = False
        self.stream(writer, *self.say(usage, seed, told=told))

    def do_lie_zero(self, writer, call, usage, seed, n):
        self.lie(writer, call, Usage(0, 0, 0, 0), usage, seed)

    def do_lie_huge(self, writer, call, usage, seed, n):
        self.lie(writer, call, Usage(10**9, 0, 0, 10**9), usage, seed)

    def do_lie_negative(self, writer, call, usage, seed, n):
        self.lie(writer, call, Usage(-500, 0, 0, -10), usage, seed)

    def do_lie_parts(self, writer, call, usage, seed, n):
        self.lie(writer, call, dataclasses.replace(usage, cached=usage.prompt * 3, written=0), usage, seed)
