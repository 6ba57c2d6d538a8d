"""bench/snapshots: a prompt after a restart, computed and restored from disk.

Every figure is of the first request to a hub that was just started, so that all of them load the model,
which is in the page cache.  Definitions:

  computed      a prompt that no snapshot knows
  restored      the same prompt after a restart: its pages are read from disk, and what follows it, too
  prefix        a prompt that ends otherwise, after a restart: its last two dozen tokens are computed
  from the disk as restored, but the snapshots' files were dropped from the page cache before
  engine        from the moment that the model is ready and the prompt laid out until the first token
                (first_token_ms - submitted, both of the receipt: ready_ms less queue_ms)
  first token   from a request's last byte sent to the first piece of its answer, at the client
  equal         the greedy answers of 16 tokens of all of these are compared

Bar: the engine restores a prefix at least 50 times faster than it computes it.
"""

import argparse
import asyncio
import os
import random
import statistics
from pathlib import Path

from client import stream
from models import made_model
from results import Results, cores, exit_with
from servers import HearthServer
from hub_process import Hub

RATIO_MIN = 50.0


def words(chance, n):
    return " ".join(chance.choice("river stone cloud light ember garden dream moon night echo".split()) + str(chance.randrange(10))
                    for _ in range(n))


class Restarted(HearthServer):
    """A hub that is stopped and started again in the same home."""

    def restart(self):
        self.hub.__exit__(None)
        self.hub = Hub(self.home, "--log", self.log)
        self.host, self.port = self.hub.host, self.hub.port

    def snapshot_files(self):
        return sorted((self.home.path / ".cache/hearth/snapshots").glob("*.kv"))

    def drop_from_page_cache(self):
        for path in self.snapshot_files():
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)

    def ask(self, model, text):
        body = {"model": self.model_name(model), "prompt": text, "max_tokens": 16, "temperature": 0, "ignore_eos": True}
        found = asyncio.run(stream(self.host, self.port, body, keep_text=True))
        if found.error or not found.events:
            raise RuntimeError(found.error or "no text")
        return found


def prompt_of(server, model, seed, n_tokens):
    """A text of nearly n_tokens tokens of the model's; the hub counts them."""
    n_words = n_tokens // 4
    for _ in range(4):
        text = words(random.Random(seed), n_words)
        done = server.home.run("inspect", "tokens", str(Path(model).resolve()), stdin=text)
        n_found = len(done.stdout.split())
        if abs(n_found - n_tokens) < 12:
            break
        n_words = n_words * n_tokens // max(1, n_found)
    return text


def engine_ms(found):
    receipt = found.receipt
    return receipt["first_token_ms"] - (receipt["ready_ms"] - receipt["queue_ms"])


def measure(model, options, results):
    figures = {name: ([], []) for name in ("computed", "restored", "prefix", "from the disk")}
    unequal, n_tokens, n_bytes = 0, 0, 0
    with Restarted([model], cores(), log="warn") as server:
        for number in range(options.rounds):
            server.home.run("snapshots", "drop")
            text = prompt_of(server, model, f"{model}{number}", options.tokens)
            other = text[:-80] + words(random.Random(number), 6)
            answers = {}
            for name, asked, before in (("computed", text, None), ("restored", text, None),
                                        ("from the disk", text, server.drop_from_page_cache), ("prefix", other, None)):
                server.restart()
                if name == "restored":
                    n_bytes = sum(path.stat().st_size for path in server.snapshot_files())
                if before:
                    before()
                found = server.ask(model, asked)
                answers[name] = found.text
                figures[name][0].append(engine_ms(found))
                figures[name][1].append(1e3 * found.first)
                usage = found.receipt["usage"]
                if (usage["restored_tokens"] == 0) != (name == "computed"):
                    raise RuntimeError(f"{name}: {usage['restored_tokens']} of {usage['prompt_tokens']} tokens restored")
                n_tokens = usage["prompt_tokens"]
            server.home.run("snapshots", "drop")
            server.restart()
            unequal += answers["restored"] != answers["computed"] or answers["from the disk"] != answers["computed"]
            unequal += server.ask(model, other).text != answers["prefix"]
    name = Path(model).stem
    computed = figures["computed"]
    for what, place in (("engine", 0), ("first token", 1)):
        results.add(name, f"{n_tokens} tokens computed: {what}", "ms", computed[place])
        for figure in ("restored", "prefix", "from the disk"):
            results.add(name, f"{n_tokens} tokens {figure}: {what}", "ms", figures[figure][place],
                        {"computed": computed[place]})
    results.add(name, f"{n_tokens} tokens: on disk", "MB", [n_bytes / 1e6])
    print(f"{name}: {n_tokens} tokens, {n_bytes / 1e6:.1f} MB, {unequal} unequal answers")
    for figure, (engine, first) in figures.items():
        ratio = statistics.median(computed[0]) / statistics.median(engine)
        overall = statistics.median(computed[1]) / statistics.median(first)
        print(f"  {figure:14} engine {statistics.median(engine):9.1f} ms ({ratio:6.1f} x)   "
              f"first token {statistics.median(first):9.1f} ms ({overall:6.1f} x)")
    broken = [f"{name}: {unequal} answers differ"] if unequal else []
    ratio = statistics.median(computed[0]) / statistics.median(figures["restored"][0])
    if ratio < RATIO_MIN:
        broken.append(f"{name}: restoring is {ratio:.1f} times faster than computing, {RATIO_MIN:g} were to be reached")
    return broken


def main():
    parser = argparse.ArgumentParser(prog="bench/snapshots", description=__doc__.split("\n")[0])
    parser.add_argument("--model", action="append", help="GGUF file (default: made ones of 0.4 B and 1.5 B)")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", help="CSV to append to (default: bench/results/MACHINE.csv)")
    options = parser.parse_args()
    models = options.model or [str(made_model(shape, "Q4_K_M")) for shape in ("0.5b", "1.5b")]
    results, broken = Results(options.out), []
    for model in models:
        Path(model).read_bytes()  # Into the page cache.
        broken += measure(model, options, results)
    results.write()
    exit_with(broken)


if __name__ == "__main__":
    main()
