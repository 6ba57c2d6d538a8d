"""bench/streams: a thousand open event streams on one hub.

Two hubs in turn, each warmed up with 64 streams, so that model, pages and working memory are there:

  local   a tiny model of random weights on one thread answers a thousand chats, 64 at a time; the rest wait
  relayed another server answers all of them at once, one piece per stream every half a second

Bars, each of which fails the run:

  memory      what the streams add to anonymous resident bytes, at its highest: under 100 MB
  processor   local: all threads but the busiest, which computes the model; relayed: the whole hub, while all
              streams are open: at most one core
  answers     every stream gets all of its pieces and its end
"""

import argparse
import asyncio
import json
import os
import threading
import time
from collections import Counter
from pathlib import Path

from client import request_bytes
from models import made_model
from results import Results, exit_with
from servers import HearthServer, resident_bytes

WARM_UP = 64
MEMORY_BYTES_MAX = 100_000_000
CORES_MAX = 1.0
PIECE_EVERY_S = 0.5
N_TOKENS = 24  # Of a local answer.
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def thread_seconds(pid):
    """Processor time of each thread so far."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It has ended.
        found[task.name] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return found


class Watch:
    """Samples a hub's memory while `with` holds; afterwards its highest, and each thread's cores, busiest first."""

    def __init__(self, pid):
        self.pid, self.highest, self.stopping = pid, 0, threading.Event()

    def sample(self):
        while not self.stopping.wait(0.1):
            self.highest = max(self.highest, resident_bytes(self.pid))

    def __enter__(self):
        self.before, self.began = thread_seconds(self.pid), time.monotonic()
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        took = time.monotonic() - self.began
        self.cores = sorted(((seconds - self.before.get(name, 0)) / took for name, seconds in thread_seconds(self.pid).items()),
                            reverse=True)


class Upstream:
    """Another server of OpenAI's API: each stream gets a piece at every beat, until `stop` is set."""

    def __init__(self):
        self.writers, self.stopping = set(), False

    async def start(self):
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0, backlog=2048)
        self.port = self.server.sockets[0].getsockname()[1]
        self.beat = asyncio.create_task(self.send_pieces())

    async def answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
        await reader.readexactly(length)
        if head.startswith("POST"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            self.writers.add(writer)
            return
        if not head.startswith("GET /v1/models "):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        body = json.dumps({"object": "list", "data": [{"id": "echo", "object": "model"}]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
                     % (len(body), body))
        writer.close()

    @staticmethod
    def event(delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "echo",
                                       "choices": [choice]}).encode() + b"\n\n"

    async def send_pieces(self):
        piece, end = self.event({"content": "word "}), self.event({}, "stop") + b"data: [DONE]\n\n"
        while True:
            await asyncio.sleep(PIECE_EVERY_S)
            for writer in list(self.writers):
                writer.write(end if self.stopping else piece)
                if self.stopping:
                    writer.close()
                    self.writers.discard(writer)


async def follow(server, body, counts):
    """Reads one stream to its end; counts those that had a first piece, and those that ended well."""
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1 << 18)
    writer.write(request_bytes(server.host, server.port, "/v1/chat/completions", {**body, "stream": True}))
    n_pieces, done = 0, False
    try:
        while data := await asyncio.wait_for(reader.read(1 << 16), 300):
            found = data.count(b'"content":"') - data.count(b'"content":""')
            counts["first"] += n_pieces == 0 and found > 0
            n_pieces += found
            done = done or b"data: [DONE]" in data  # And the hub closes, as it was asked to.
    finally:
        writer.close()
    counts["done"] += done


async def local(options):
    model = made_model("tiny", "Q8_0")
    body = {"max_tokens": N_TOKENS, "temperature": 1.0, "ignore_eos": True, "messages": [{"role": "user", "content": "Say something."}]}
    # Keys and values have a budget of their own, which fills with what may be asked again, whatever the streams.
    with HearthServer([model], threads=1, kv_mib=64, speculation=False) as server:
        body["model"] = server.model_name(model)
        await asyncio.gather(*(follow(server, body, Counter()) for _ in range(WARM_UP)))
        before, counts = resident_bytes(server.pid), Counter()
        with Watch(server.pid) as watch:
            await asyncio.gather(*(follow(server, body, counts) for _ in range(options.streams)))
    return {"before": before, "added": watch.highest - before, "cores": sum(watch.cores[1:]), "engine": watch.cores[0],
            "done": counts["done"]}


async def relayed(options):
    upstream = Upstream()
    await upstream.start()
    body = {"model": "bench/echo", "messages": [{"role": "user", "content": "Say something."}]}
    server = HearthServer([], threads=1, kv_mib=64,
                          models_toml=f'[[upstreams]]\nname = "bench"\nurl = "http://127.0.0.1:{upstream.port}/v1"\nlocal = true\n')
    with server:
        warm = [asyncio.create_task(follow(server, body, Counter())) for _ in range(WARM_UP)]
        await asyncio.sleep(3)
        upstream.stopping = True
        await asyncio.gather(*warm)
        upstream.stopping = False
        before, counts = resident_bytes(server.pid), Counter()
        streams = [asyncio.create_task(follow(server, body, counts)) for _ in range(options.streams)]
        until = time.monotonic() + 120
        while counts["first"] < options.streams and time.monotonic() < until and not any(s.done() for s in streams):
            await asyncio.sleep(0.1)
        with Watch(server.pid) as watch:
            await asyncio.sleep(options.seconds)
        upstream.stopping = True
        await asyncio.gather(*streams)
    upstream.beat.cancel()
    return {"before": before, "added": watch.highest - before, "cores": sum(watch.cores), "threads": watch.cores[:4],
            "done": counts["done"]}


def judge(name, found, options):
    broken = []
    if found["done"] != options.streams:
        broken.append(f"{name}: {options.streams - found['done']} of {options.streams} streams did not end well")
    if found["added"] >= MEMORY_BYTES_MAX:
        broken.append(f"{name}: {found['added'] / 1e6:.0f} MB more for {options.streams} streams, 100 MB at most")
    if found["cores"] > CORES_MAX:
        broken.append(f"{name}: {found['cores']:.2f} cores, {CORES_MAX:g} at most")
    return broken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--out", help="the CSV to append to (bench/results, by this machine's name)")
    options = parser.parse_args()
    results, broken = Results(options.out), []
    for name, measure in (("local", local), ("relayed", relayed)):
        found = asyncio.run(measure(options))
        print(f"{name}: {options.streams} streams add {found['added'] / 1e6:.1f} MB to {found['before'] / 1e6:.1f} MB "
              f"({found['added'] / options.streams / 1e3:.1f} kB each); {found['cores']:.2f} cores"
              + (f" beside the engine's {found['engine']:.2f}" if name == "local" else f" {[round(c, 2) for c in found['threads']]}"))
        what = f"{options.streams} streams, {name}"
        results.add("", f"{what}: memory added", "MB", [found["added"] / 1e6])
        results.add("", f"{what}: cores", "cores", [found["cores"]])
        broken += judge(name, found, options)
    results.write()
    exit_with(broken)


if __name__ == "__main__":
    main()
