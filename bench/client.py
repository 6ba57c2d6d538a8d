"""A load of streamed completions, and what its clients saw.

Both servers get the same bytes: POST /v1/completions (or /v1/chat/completions) with `stream`.  The
client has to be cheap, since it shares the cores with the server that it measures: one thread, one
timestamp per read, events counted and not parsed but for the last.
"""

import asyncio
import json
import statistics
import time
from dataclasses import dataclass, field


@dataclass
class Stream:
    """One answer; times in seconds of time.perf_counter."""

    sent: float = 0
    events: list = field(default_factory=list)   # When each piece with text came.
    ended: float = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    text: str = ""
    receipt: dict = field(default_factory=dict)  # Hearth's, of a stream that was read to its end.

    @property
    def first(self):
        return self.events[0] - self.sent

    @property
    def gaps(self):
        return [b - a for a, b in zip(self.events, self.events[1:])]


# What makes an event one with text: not the role, the finish, the usage.
TEXT_MARKS = (b'"text":"', b'"content":"', b'"reasoning_content":"')


class Reader:
    """Takes a chunked event stream apart as it comes."""

    def __init__(self, stream, n_asked, keep_text):
        self.stream, self.n_asked, self.keep_text = stream, n_asked, keep_text
        self.rest = b""
        self.done = False

    def feed(self, data):
        now = time.perf_counter()
        data = self.rest + data
        lines = data.split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            if not line.startswith(b"data: "):
                continue
            if line.startswith(b"data: [DONE]"):
                self.done = True
            elif b'"error"' in line[:20]:
                self.take_error(line)
            elif b'"prompt_tokens"' in line:
                self.take_usage(json.loads(line[6:]))
            if any(mark in line and mark + b'"' not in line for mark in TEXT_MARKS):
                self.stream.events.append(now)
                if self.keep_text:
                    self.take_text(json.loads(line[6:]))

    def take_error(self, line):
        # llama-server computes and sends every token, then complains that a text which ends within a
        # code point is none: the work was done.
        if self.stream.events and b"does not match the expected" in line:
            self.stream.completion_tokens = self.n_asked
            self.done = True
        else:
            self.stream.error = line.decode()

    def take_usage(self, event):
        usage = event.get("usage") or {}
        self.stream.receipt = event.get("hearth") or {}
        self.stream.prompt_tokens = usage.get("prompt_tokens", 0)
        self.stream.completion_tokens = usage.get("completion_tokens", 0)

    def take_text(self, event):
        for choice in event.get("choices", []):
            delta = choice.get("delta", choice)
            self.stream.text += delta.get("text") or delta.get("content") or delta.get("reasoning_content") or ""


def request_bytes(host, port, path, body):
    data = json.dumps(body).encode()
    head = (f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n")
    return head.encode() + data


async def stream(host, port, body, path="/v1/completions", leave_after=None, keep_text=False, timeout_s=600,
                 silence_s=None):
    """Sends one request and reads its answer to the end, or leaves after so many pieces.

    A stream that takes longer than `timeout_s`, or says nothing for `silence_s`, is stuck.
    """
    result = Stream()
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
            result.sent = time.perf_counter()
            writer.write(request_bytes(host, port, path, body))
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status != 200:
                result.error = f"{status}: {(await reader.read(4000)).decode(errors='replace')}"
                return result
            parts = Reader(result, body.get("max_tokens", 0), keep_text)
            while not parts.done:
                data = await asyncio.wait_for(reader.read(1 << 16), silence_s)
                if not data:
                    result.error = result.error or "the connection ended before the answer did"
                    break
                parts.feed(data)
                if leave_after is not None and len(result.events) >= leave_after:
                    break
    except TimeoutError:
        result.error = (f"stuck: {time.perf_counter() - (result.events or [result.sent])[-1]:.0f} s of silence after "
                        f"{len(result.events)} pieces")
    except (OSError, asyncio.IncompleteReadError) as error:
        result.error = f"{type(error).__name__}: {error}"
    finally:
        result.ended = time.perf_counter()
        if writer is not None:
            writer.close()
    return result


def percentile(values, share):
    """The smallest value that at least `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 1).__int__() - 1))] if ordered else 0.0


@dataclass
class LoadFigures:
    """Of several streams that began together."""

    tokens_s: float       # All completion tokens over the time from the first byte sent to the last read.
    first_p50_ms: float
    first_p99_ms: float
    gap_p50_ms: float     # Between two pieces of one stream, all streams together.
    gap_p99_ms: float
    prompt_tokens: int
    completion_tokens: int
    seconds: float


def figures(streams):
    broken = [s.error for s in streams if s.error]
    if broken:
        raise RuntimeError(f"{len(broken)} of {len(streams)} streams failed: {broken[0]}")
    gaps = [gap for s in streams for gap in s.gaps]
    first = [s.first for s in streams]
    seconds = max(s.ended for s in streams) - min(s.sent for s in streams)
    tokens = sum(s.completion_tokens for s in streams)
    return LoadFigures(tokens / seconds, 1e3 * statistics.median(first), 1e3 * percentile(first, 0.99),
                       1e3 * statistics.median(gaps or [0]), 1e3 * percentile(gaps, 0.99),
                       sum(s.prompt_tokens for s in streams), tokens, seconds)


async def load(host, port, bodies, path="/v1/completions", timeout_s=600):
    """Streams all bodies at once."""
    return await asyncio.gather(*(stream(host, port, body, path, timeout_s=timeout_s) for body in bodies))


def run_load(host, port, bodies, path="/v1/completions", timeout_s=600):
    return figures(asyncio.run(load(host, port, bodies, path, timeout_s)))
