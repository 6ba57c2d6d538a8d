"""bench/soak: hours of a busy day in some minutes, watched.

N clients, each with one request in flight at any time, ask two models of random weights, one of them
also with two adapters (and the names given): prompts of 4 to 400 words, answers of 8 to 200 tokens; of the requests

  1 in 8   is left by its client after some pieces
  1 in 8   is bound to a JSON schema, and its answer must validate
  1 in 16  is one of some fixed greedy ones, each model and adapter among them, whose answer must be the same each time
  the rest are sampled at temperatures from 0 to 1.5

while one more client embeds texts, if an encoder is there.  Bars, each of which fails the run:

  memory        anonymous resident bytes: the median of the last fifth of the time at most 3 % or
                16 MiB above that of the second fifth (the first warms up; the page arena is full then)
  descriptors   as many at the end, when all have left, as after the first requests
  pages         in the end no page in use but by the prefix cache; no job running or waiting
  streams       none silent for 60 s, none failed
  gaps          between two pieces of one stream while all clients are busy: p99 under 3x the median,
                for each model
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from adapter import write_adapter
from client import percentile, stream
from encoder import write_encoder
from models import made_model
from results import Results, cores, exit_with
from servers import HearthServer, open_files, resident_bytes

HEARTH = os.environ["HEARTH"]
MODELS = (("0.1b", "Q4_K_M", 3), ("tiny", "Q8_0", 1))  # Shape, type, share of the requests.
ADAPTERS = ("spring", "autumn")  # Of the first model.
SILENCE_S = 60
GAP_FACTOR_MAX = 3.0
GROWTH_SHARE_MAX, GROWTH_BYTES_MAX = 0.03, 16 << 20
KV_MIB = 192
WORDS = ("river", "stone", "cloud", "light", "seven", "garden", "winter", "music", "harbour", "engine", "paper", "copper")
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["kind", "count", "ok"],
          "properties": {"kind": {"enum": ["river", "stone", "cloud"]},
                         "count": {"type": "integer", "minimum": 0, "maximum": 999}, "ok": {"type": "boolean"}}}


def validates(text):
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return (isinstance(value, dict) and set(value) == {"kind", "count", "ok"} and isinstance(value["ok"], bool)
            and value["kind"] in SCHEMA["properties"]["kind"]["enum"] and type(value["count"]) is int
            and 0 <= value["count"] <= 999)


class Soak:
    def __init__(self, server, names, options):
        self.server, self.names, self.options = server, names, options
        self.until = time.monotonic() + 60 * options.minutes
        self.started = time.monotonic()
        self.gaps = defaultdict(list)        # By model: (when, gap) of its streams.
        self.first = defaultdict(list)
        self.counts = Counter()
        self.failures = []
        self.answers = {}                    # Of the fixed requests.
        self.samples = []                    # (when, resident bytes, open files, pages used, jobs running)
        self.n_busy = 0

    def words(self, chance, n):
        return " ".join(f"{chance.choice(WORDS)}{chance.randrange(1000)}" for _ in range(n))

    def request(self, chance):
        """(path, body, leave_after, what) of one request."""
        names, shares = zip(*self.names)
        body = {"model": chance.choices(names, shares)[0], "seed": chance.randrange(1 << 30)}
        kind = chance.random()
        if kind < 1 / 16:
            number = chance.randrange(max(4, len(names)))
            fixed = random.Random(number)
            body = {"model": names[number % len(names)], "temperature": 0, "max_tokens": 40, "ignore_eos": True,
                    "prompt": self.words(fixed, 20 + 40 * number)}
            return "/v1/completions", body, None, f"fixed {number}"
        if kind < 3 / 16:
            schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
            body |= {"messages": [{"role": "user", "content": self.words(chance, chance.randint(4, 60))}],
                     "response_format": schema, "temperature": chance.choice((0, 1.0, 1.5)), "max_tokens": 100}
            return "/v1/chat/completions", body, None, "schema"
        body |= {"prompt": self.words(chance, chance.randint(4, 400) if chance.random() < 0.2 else chance.randint(4, 60)),
                 "max_tokens": chance.randint(8, 200), "temperature": chance.choice((0, 0.7, 1.0, 1.5)), "ignore_eos": True}
        if kind < 5 / 16:
            return "/v1/completions", body, chance.randint(0, 30), "left"
        return "/v1/completions", body, None, "plain"

    def judge(self, body, what, found):
        self.counts[what] += 1
        if found.error:
            return self.failures.append(f"{what} on {body['model']}: {found.error}")
        if what == "schema" and not validates(found.text):
            self.failures.append(f"an answer does not fit its schema: {found.text!r}")
        if what.startswith("fixed") and self.answers.setdefault(what, found.text) != found.text:
            self.failures.append(f"'{what}' was answered otherwise than before: {found.text!r}")
        if found.events:
            self.first[body["model"]].append(found.first)
            self.gaps[body["model"]] += [(end, gap) for end, gap in zip(found.events[1:], found.gaps)]

    async def client(self, number):
        chance = random.Random(f"{self.options.seed}/{number}")
        while time.monotonic() < self.until:
            path, body, leave_after, what = self.request(chance)
            found = await stream(self.server.host, self.server.port, body, path, leave_after,
                                 keep_text=what not in ("plain", "left"), silence_s=SILENCE_S)
            self.judge(body, what, found)

    async def embed(self, name):
        """Embeds a few texts every half second."""
        chance = random.Random(f"{self.options.seed}/embed")
        while time.monotonic() < self.until:
            body = json.dumps({"model": name, "input": [self.words(chance, chance.randint(1, 12)) for _ in range(4)]})
            status, answer = await asyncio.to_thread(self.post, "/v1/embeddings", body)
            self.counts["embedding"] += 1
            if status != 200 or len(answer["data"]) != 4:
                self.failures.append(f"embedding: {status} {str(answer)[:200]}")
            await asyncio.sleep(0.5)

    def post(self, path, body):
        status, _, answer = self.server.hub.request("POST", path, body)
        return status, answer

    async def watch(self):
        while time.monotonic() < self.until:
            await asyncio.to_thread(self.sample)
            await asyncio.sleep(2)

    def sample(self):
        metrics = self.server.hub.metrics()
        self.samples.append((time.monotonic() - self.started, resident_bytes(self.server.pid), open_files(self.server.pid),
                             metrics["hearth_kv_pages_used"], metrics["hearth_jobs_running"]))
        if sys.stderr.isatty():
            when, resident, files, pages, running = self.samples[-1]
            print(f"\r\033[K{when / 60:.1f} of {self.options.minutes:g} min  {resident >> 20} MiB  {files} files  {pages:.0f} "
                  f"pages  {running:.0f} jobs  {sum(self.counts.values())} answers  {len(self.failures)} failures",
                  end="", file=sys.stderr, flush=True)

    async def run(self, encoder):
        tasks = [self.client(i) for i in range(self.options.streams)] + [self.watch()]
        if encoder:
            tasks.append(self.embed(encoder))
        await asyncio.gather(*tasks)

    # What is held against the bars.

    def share_of_time(self, begin, end):
        length = 60 * self.options.minutes
        return [s for s in self.samples if begin * length <= s[0] < end * length]

    def growth(self):
        early = statistics.median(s[1] for s in self.share_of_time(0.2, 0.4))
        late = statistics.median(s[1] for s in self.share_of_time(0.8, 1.01))
        return early, late

    def busy_gaps(self, model):
        """Those after the warm-up and before the clients stop."""
        begin = self.started_perf + 0.1 * 60 * self.options.minutes
        end = self.started_perf + 60 * self.options.minutes
        return [gap for when, gap in self.gaps[model] if begin <= when < end]


def settle(server, n_files_before):
    """Waits until all is quiet, at most 20 s; what is left then."""
    for _ in range(40):
        metrics = server.hub.metrics()
        left = {"jobs running": metrics["hearth_jobs_running"], "jobs waiting": metrics["hearth_jobs_waiting"],
                "pages in use": metrics["hearth_kv_pages_used"] - metrics["hearth_kv_pages_cached"],
                "descriptors more than before": max(0, open_files(server.pid) - n_files_before)}
        if not any(left.values()):
            return {}
        time.sleep(0.5)
    return {name: value for name, value in left.items() if value}


def make_models():
    """The files that are served: of the models, of an encoder, and the folders of the adapters."""
    paths = [made_model(shape, type_name) for shape, type_name, _ in MODELS]
    folder = paths[0].parent
    encoder = folder / "encoder.gguf"
    if not encoder.exists():
        write_encoder(folder / "encoder")
        subprocess.run([HEARTH, "models", "quantize", str(folder / "encoder"), str(encoder), "--type", "F16"], check=True,
                       stdout=subprocess.DEVNULL)
    adapters = [folder / name for name in ADAPTERS]
    for seed, adapter in enumerate(adapters):
        if not adapter.exists():
            write_adapter(adapter, seed)
    return paths, encoder, adapters


def judge(soak, left, results, options):
    """Prints what was found; the bars that were broken."""
    broken = [f"{len(soak.failures)} failures, the first: {soak.failures[0]}"] if soak.failures else []
    broken += [f"{value:g} {name} after all clients left" for name, value in left.items()]
    early, late = soak.growth()
    if late - early > max(GROWTH_SHARE_MAX * early, GROWTH_BYTES_MAX):
        broken.append(f"memory grew from {early / 2**20:.1f} to {late / 2**20:.1f} MiB")
    print(f"\n{sum(soak.counts.values())} answers in {options.minutes:g} min: "
          + ", ".join(f"{n} {what}" for what, n in sorted(soak.counts.items())))
    print(f"memory {early / 2**20:.1f} MiB early, {late / 2**20:.1f} MiB late; pages in use up to {max(s[3] for s in soak.samples):.0f}; "
          f"descriptors up to {max(s[2] for s in soak.samples)}")
    label = f"soak of {options.minutes:g} min, {options.streams} clients"
    results.add("all", f"{label}: memory late / early", "", [late / early])
    for model in sorted(soak.gaps):
        gaps = soak.busy_gaps(model)
        if len(gaps) < 200:
            continue
        middle, high = 1e3 * statistics.median(gaps), 1e3 * percentile(gaps, 0.99)
        print(f"{model}: {len(gaps)} gaps, median {middle:.1f} ms, p99 {high:.1f} ms ({high / middle:.2f}x), longest {1e3 * max(gaps):.0f} ms; "
              f"first token median {1e3 * statistics.median(soak.first[model]):.0f} ms, p99 {1e3 * percentile(soak.first[model], 0.99):.0f} ms")
        for figure, value in (("gap p50", middle), ("gap p99", high)):
            results.add(model, f"{label}: {figure}", "ms", [value])
        results.add(model, f"{label}: gap p99 / p50", "", [high / middle])
        if high >= GAP_FACTOR_MAX * middle:
            broken.append(f"{model}: the p99 gap of {high:.1f} ms is {high / middle:.2f} times the median of {middle:.1f} ms")
    return broken


def main():
    parser = argparse.ArgumentParser(prog="bench/soak", description=__doc__.split("\n")[0])
    parser.add_argument("minutes", nargs="?", type=float, default=30)
    parser.add_argument("--streams", type=int, default=8, help="clients, each with one request in flight")
    parser.add_argument("--names", default="", help="more models to ask, as clients name them: NAME or NAME@ADAPTER, with commas between")
    parser.add_argument("--models", default="", help="files that those names need, with commas between")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--out", help="CSV to append to (default: bench/results/MACHINE.csv)")
    options = parser.parse_args()
    paths, encoder, adapters = make_models()
    extra = [Path(p) for p in options.models.split(",") if p]
    with HearthServer([*paths, encoder, *adapters, *extra], cores(), kv_mib=KV_MIB) as server:
        names = [(path.stem, share) for path, (_, _, share) in zip(paths, MODELS)]
        names += [(f"{paths[0].stem}@{name}", 1) for name in ADAPTERS]
        names += [(name, 1) for name in options.names.split(",") if name]
        for name, _ in names:  # Loads each, before descriptors are counted.
            found = asyncio.run(stream(server.host, server.port, {"model": name, "prompt": "one", "max_tokens": 2}))
            if found.error:
                sys.exit(f"bench/soak: {name}: {found.error}")
        n_files = open_files(server.pid)
        soak = Soak(server, names, options)
        soak.started_perf = time.perf_counter()
        asyncio.run(soak.run(encoder.stem))
        left = settle(server, n_files + 2)  # A kept connection of the watcher's, a file being rotated.
        results = Results(options.out)
        broken = judge(soak, left, results, options)
        results.write()
    exit_with(broken)


if __name__ == "__main__":
    main()
