"""bench/switch: random switches between eight models, all in the page cache.

A switch is a request that names another model than the one before; right after it, a second request
to the same model shows what is usual.  Prompts are of equal length (31 tokens), never the same, and
one token is answered.  Definitions:

  ready         from the parsed request to the moment when the first matrix product of its model may
                start (`ready_ms` of the receipt): the model is found, or loaded and its tokenizer and
                template are there, the prompt is laid out, and the engine has taken it up
  first token   from a request's last byte sent to the first piece of its answer, at the client
  tax           first token after a switch minus that of the second request; also as a share of one
                sweep of the model's weights at this machine's measured read bandwidth
  equal         a fixed greedy request, sent on one switch in twenty, is answered as by a hub that was
                started for this model alone

`kept` leaves all models loaded (state cached: mapped, bound, tokenizer there); `anew` gives the hub a
memory budget that holds one model, so that each switch loads from the page cache.  The router is
llama-server's with one model at a time; it has no `ready`, so its tax stands beside Hearth's ready.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from client import percentile, stream
from results import ROOT, Results, cores
from servers import HearthServer, LlamaServer

HEARTH = os.environ["HEARTH"]
MODELS = (("0.1b", "Q4_K_M"), ("0.1b", "Q8_0"), ("0.1b", "F16"), ("0.5b", "Q4_0"), ("0.5b", "Q4_K_M"), ("0.5b", "Q8_0"),
          ("1.5b", "Q4_K_M"), ("1.5b", "Q8_0"))
READY_P99_MS_MAX, TAX_SHARE_MAX, ROUTER_RATIO_MIN = 10.0, 0.05, 100.0


def make_models(wanted):
    folder = ROOT / "build/bench"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for shape, type_name in wanted:
        path = folder / f"{shape}-{type_name}.gguf"
        if not path.exists():
            subprocess.run([HEARTH, "bench", "model", str(path), "--shape", shape, "--type", type_name], check=True)
        path.read_bytes()  # Into the page cache.
        paths.append(path)
    return paths


def sweep_ms(path):
    """One sweep of the weights at the read bandwidth that this machine shows for as many bytes."""
    done = subprocess.run([HEARTH, "bench", "engine", str(path), "--json", "--repeats", "1", "--prompt", "8", "--decode", "8"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = json.loads(done.stdout)
    return found["sweep_bytes"] / (found["read_gb_s"]["median"] * 1e6)


def prompt(chance):
    return " ".join(str(chance.randrange(100, 1000)) for _ in range(8))


class Asker:
    def __init__(self, server, hearth):
        self.server, self.hearth = server, hearth

    def ask(self, path, text, max_tokens=1):
        body = {"model": self.server.model_name(path), "prompt": text, "max_tokens": max_tokens, "temperature": 0,
                "ignore_eos": True}
        if not self.hearth:
            body["cache_prompt"] = False
        found = asyncio.run(stream(self.server.host, self.server.port, body, keep_text=True))
        if found.error or not found.events:
            raise RuntimeError(f"{body['model']}: {found.error or 'no text'}")
        return found


FIXED = "river 7 stone 12 cloud 345 light"


def fresh_answers(paths):
    answers = {}
    for path in paths:
        with HearthServer([path], cores()) as server:
            answers[path] = Asker(server, True).ask(path, FIXED, 12).text
    return answers


def switch_around(asker, paths, n_switches, answers, what):
    """[(path, ready ms or None, first ms, tax ms)] of so many random switches; the number of unequal answers."""
    chance = random.Random(7)
    found, unequal, current = [], 0, None
    for number in range(n_switches):
        current = chance.choice([path for path in paths if path != current])
        if sys.stderr.isatty():
            print(f"\r\033[K{what}: switch {number + 1} of {n_switches}", end="", file=sys.stderr, flush=True)
        if answers and number % 20 == 19:
            unequal += asker.ask(current, FIXED, 12).text != answers[current]
            continue
        after = asker.ask(current, prompt(chance))
        usual = asker.ask(current, prompt(chance))
        found.append((current, after.receipt.get("ready_ms"), 1e3 * after.first, 1e3 * (after.first - usual.first)))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return found, unequal


def warm(asker, paths):
    for path in paths:
        asker.ask(path, prompt(random.Random(str(path))))


def measure_hearth(paths, options, answers, sweeps, kept, results):
    extra = {} if kept else {"memory_mib": 1}
    what = "kept" if kept else "anew"
    with HearthServer(paths, cores(), models_toml="".join(f"{k} = {v}\n" for k, v in extra.items())) as server:
        asker = Asker(server, True)
        warm(asker, paths)
        found, unequal = switch_around(asker, paths, options.switches, answers, what)
    ready, first, tax = ([row[i] for row in found] for i in (1, 2, 3))
    share = [row[3] / sweeps[row[0]] for row in found]
    for figure, values in (("ready", ready), ("first token", first), ("tax", tax)):
        for name, value in (("p50", statistics.median(values)), ("p99", percentile(values, 0.99))):
            results.add("eight models", f"switch, {what}: {figure} {name}", "ms", [value])
    results.add("eight models", f"switch, {what}: median tax / sweep", "", [statistics.median(share)])
    print(f"{what}: {len(found)} switches  ready p50 {statistics.median(ready):.2f} ms, p99 {percentile(ready, 0.99):.2f} ms  "
          f"first token p50 {statistics.median(first):.1f} ms  tax p50 {statistics.median(tax):.2f} ms "
          f"({100 * statistics.median(share):.1f} % of a sweep), p99 {percentile(tax, 0.99):.1f} ms  "
          f"{unequal} unequal answers")
    broken = [f"{what}: {unequal} answers differ from a fresh load's"] if unequal else []
    if percentile(ready, 0.99) > READY_P99_MS_MAX:
        broken.append(f"{what}: ready p99 is {percentile(ready, 0.99):.2f} ms, at most {READY_P99_MS_MAX:g} ms were to be reached")
    if statistics.median(share) > TAX_SHARE_MAX:
        broken.append(f"{what}: the tax is {100 * statistics.median(share):.1f} % of a sweep, at most {100 * TAX_SHARE_MAX:g} % were to be reached")
    return statistics.median(ready), broken


class Router(LlamaServer):
    """llama-server without a model: starts one child per model and stops the last one first."""

    def __init__(self, program, paths, threads):
        super().__init__(program, paths[0], threads, 1, 1024, "llama.cpp's router")
        self.folder = Path(tempfile.mkdtemp(prefix="hearth-router-"))
        for path in paths:
            os.symlink(path.resolve(), self.folder / path.name)

    def command(self):
        return [self.program, "--models-dir", str(self.folder), "--models-max", "1", "-t", str(self.threads), "--host",
                self.host, "--port", str(self.port), "-np", "1", "-c", "1024"]

    def __exit__(self, *how):
        super().__exit__(*how)
        shutil.rmtree(self.folder, ignore_errors=True)


def measure_router(program, paths, options, ready_ms, results):
    with Router(program, paths, cores()) as server:
        found, _ = switch_around(Asker(server, False), paths, options.router_switches, None, "router")
    first, tax = ([row[i] for row in found] for i in (2, 3))
    ratio = statistics.median(tax) / ready_ms
    results.add("eight models", "switch, kept: ready p50 beside the router's tax", "ms", [ready_ms],
                {"llama.cpp's router": [statistics.median(tax)]})
    print(f"router: {len(found)} switches  first token p50 {statistics.median(first):.0f} ms  tax p50 {statistics.median(tax):.0f} ms, "
          f"p99 {percentile(tax, 0.99):.0f} ms: {ratio:.0f} times Hearth's ready")
    return [] if ratio >= ROUTER_RATIO_MIN else [f"the router's tax is {ratio:.0f} times Hearth's ready, {ROUTER_RATIO_MIN:g} were to be reached"]


def main():
    parser = argparse.ArgumentParser(prog="bench/switch", description=__doc__.split("\n")[0])
    parser.add_argument("--switches", type=int, default=1000)
    parser.add_argument("--router-switches", type=int, default=40)
    parser.add_argument("--small", action="store_true", help="models of the 0.1 B class only, for a short try")
    parser.add_argument("--out", help="CSV to append to (default: bench/results/MACHINE.csv)")
    options = parser.parse_args()
    paths = make_models([("tiny", t) for t in ("Q4_K_M", "Q8_0", "F16", "Q4_0")] + list(MODELS[:2]) if options.small else MODELS)
    print("\n".join(line for line in __doc__.split("\n")[2:]))
    results, broken = Results(options.out), []
    sweeps = {path: sweep_ms(path) for path in paths}
    answers = fresh_answers(paths)
    readies = []
    for kept in (True, False):
        ready, found = measure_hearth(paths, options, answers, sweeps, kept, results)
        readies.append(ready)
        broken += found
    program = os.environ.get("LLAMA_SERVER") or (os.environ.get("LLAMA_CPP") and os.environ["LLAMA_CPP"] + "/llama-server")
    if program:
        broken += measure_router(program, paths, options, readies[0], results)
    if not shutil.which("llama-swap"):
        print("llama-swap: not installed")
    results.write()
    for bar in broken:
        print(f"BROKEN: {bar}", file=sys.stderr)
    print("all bars hold" if not broken else f"{len(broken)} bars broken")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
