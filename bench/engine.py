"""bench/engine: the engine and its server beside others and beside the machine's roofs.

Models are of a real shape with random weights (speed does not depend on what the weights are) under
build/bench.  For each of them, round by round and in turn, so that all meet the same machine:

  prefill N       tokens per second of a prompt of N tokens, from its first batch to its first token
  decode at N     tokens per second of 64 tokens one after another, after N others
  N streams       all completion tokens of N clients that begin together, over the time from the first
                  byte sent to the last read; each sends 24 words of its own (about 128 tokens) to
                  /v1/completions and reads 128 tokens; greedy, end of generation ignored, no cached
                  prompts, drafts off
  first token     from a request's last byte sent to the first piece of its answer
  gap             between two pieces of one answer

Medians of the rounds with their range; a ratio is the median of the rounds' ratios (below 1 is
better where the unit is ms).  Roofs: `read` and `int8` are probes of this machine right before and right
after each figure.  `read` is the median of passes over as many bytes as a token sweeps, since a decode is
a second of good and bad sweeps too; what it took of the best single pass stands beside it.  For streams
the larger of what all products and all sweeps of the weights would take.
"""

import argparse
import json
import os
import random
import subprocess
import sys

from client import run_load
from models import made_model
from results import Results, cores
from servers import HearthServer, LlamaServer

HEARTH = os.environ["HEARTH"]
STREAMS = (1, 4, 16)
PROMPT_WORDS = 24
ANSWER_TOKENS = 128
PROMPTS_TRIED = 3
SLOT_TOKENS = 1024
WORDS = ("river", "stone", "cloud", "light", "seven", "garden", "winter", "music", "harbour", "engine", "paper", "copper")


def say(text):
    end = "" if sys.stderr.isatty() else "\n"
    print(f"\r\033[K{text}" if sys.stderr.isatty() else text, end=end, file=sys.stderr, flush=True)


def find_peers():
    """[(name, llama-bench or None, llama-server or None)]"""
    peers = []
    for name, variable in (("llama.cpp", "LLAMA_CPP"), ("ik_llama.cpp", "IK_LLAMA_CPP")):
        folder = os.environ.get(variable)
        short = variable.removesuffix("_CPP")
        bench = os.environ.get(short + "_BENCH") or (folder and f"{folder}/llama-bench")
        server = os.environ.get(short + "_SERVER") or (folder and f"{folder}/llama-server")
        for program in (bench, server):
            if program and not os.access(program, os.X_OK):
                sys.exit(f"bench/engine: {program} is no program: {variable} must name the folder with llama-bench and llama-server")
        if bench or server:
            peers.append((name, bench, server))
    return peers


def name_of(model, options):
    return f"{model.stem} packed" if options.pack else model.stem


def measure_engine(model, peers, options, results):
    """`hearth bench engine` interleaves itself with the peers; returns what it says of the machine."""
    say(f"{model.stem}: prefill and decode, {options.rounds} rounds")
    command = [HEARTH, "bench", "engine", str(model), "--json", "--repeats", str(options.rounds),
               "--prompt", "512,2048", "--depth", "0,4096", *(["--pack"] if options.pack else [])]
    benches = [(name, bench) for name, bench, _ in peers if bench]
    for _, bench in benches:
        command += ["--peer", bench]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if not done.stdout:
        sys.exit(done.returncode)
    found = json.loads(done.stdout)
    for figure in found["figures"]:
        results.add(name_of(model, options), figure["figure"], "tokens/s", figure["tokens_s"]["values"],
                    {name: peer["tokens_s"]["values"] for (name, _), peer in zip(benches, figure["peers"])},
                    figure["roof"], figure["of_roof"]["median"])
        if figure["roof"] == "read":
            results.add(name_of(model, options), f"{figure['figure']}: share of the best pass", "", figure["of_best"]["values"])
    return found


def bodies(server, model, n_streams, salt):
    """Equal bytes for all servers but for the model's name and the wish to cache nothing."""
    chance = random.Random(salt)
    def words():
        return " ".join(f"{chance.choice(WORDS)}{chance.randrange(1000)}" for _ in range(PROMPT_WORDS))
    return [{"model": server.model_name(model), "prompt": words(), "max_tokens": ANSWER_TOKENS, "temperature": 0,
             "ignore_eos": True, "cache_prompt": False} for _ in range(n_streams)]


def bound_seconds(machine, found):
    """What the machine's roofs allow for a load: all products, or a sweep of the weights per step."""
    tokens = found.prompt_tokens + found.completion_tokens
    products = 2e-9 * machine["multiply_adds"] * tokens / machine["int8_gop_s"]["median"]
    sweeps = 1e-9 * machine["sweep_bytes"] * ANSWER_TOKENS / machine["read_gb_s"]["median"]
    return max(products, sweeps)


class PeerFailed(Exception):
    """A peer's server gave no answer to a prompt."""


def one_round(model, servers, n_streams, what, salt):
    """{name: load}, the same prompts for all; others where a peer fails one (random weights write odd texts)."""
    def load_of(server, salt):
        say(f"{model.stem}: {n_streams} streams, {server.name}, {what}")
        try:
            return run_load(server.host, server.port, bodies(server, model, n_streams, salt))
        except RuntimeError as error:
            raise (RuntimeError if server.name == "hearth" else PeerFailed)(f"{server.name}: {error}") from error

    for attempt in range(PROMPTS_TRIED):
        try:
            return {server.name: load_of(server, f"{salt}/{attempt}") for server in servers}
        except PeerFailed as error:
            say(f"{error}; all are asked other prompts")
    raise RuntimeError(f"{model.stem}, {n_streams} streams: a peer failed {PROMPTS_TRIED} sets of prompts")


def measure_streams(model, servers, machine, options, results):
    for n_streams in STREAMS:
        loads = {server.name: [] for server in servers}
        for turn in range(options.rounds + 1):  # The first does not count.
            found = one_round(model, servers, n_streams, f"round {turn} of {options.rounds}", f"{n_streams}/{turn}")
            for name, load in found.items() if turn > 0 else ():
                loads[name].append(load)
        check_equal_work(loads)
        ours = loads.pop("hearth")
        of_roof = sum(bound_seconds(machine, load) / load.seconds for load in ours) / len(ours)
        for field, figure, unit in (("tokens_s", "", "tokens/s"), ("first_p50_ms", ": first token p50", "ms"),
                                    ("first_p99_ms", ": first token p99", "ms"), ("gap_p50_ms", ": gap p50", "ms"),
                                    ("gap_p99_ms", ": gap p99", "ms")):
            peers = {name: [getattr(load, field) for load in found] for name, found in loads.items()}
            results.add(name_of(model, options), f"{n_streams} streams{figure}", unit, [getattr(load, field) for load in ours], peers,
                        *(("products or sweeps", of_roof) if field == "tokens_s" else ()))


def check_equal_work(loads):
    """The servers must have computed the same number of tokens, or the figures compare nothing."""
    work = {name: [load.completion_tokens for load in found] for name, found in loads.items()}
    if len(set(map(str, work.values()))) > 1:
        print(f"\nbench/engine: the servers did not make the same number of tokens: {work}", file=sys.stderr)


def run_servers(model, peers, machine, options, results):
    servers = [HearthServer([model], cores(), speculation=False, pack=options.pack)]
    servers += [LlamaServer(program, model, cores(), max(STREAMS), SLOT_TOKENS, name) for name, _, program in peers if program]
    running = []
    try:
        for server in servers:
            running.append(server.__enter__())
        measure_streams(model, running, machine, options, results)
    finally:
        for server in running:
            server.__exit__(None, None, None)


def main():
    parser = argparse.ArgumentParser(prog="bench/engine", description=__doc__.split("\n")[0])
    parser.add_argument("--shapes", default="0.5b,1.5b", help="size classes (default: %(default)s)")
    parser.add_argument("--types", default="Q4_K_M,Q8_0", help="weight types (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "5")))
    parser.add_argument("--pack", action="store_true", help="Hearth copies its weights into the kernels' layout first")
    parser.add_argument("--only", choices=("engine", "streams"), help="half of it (streams still probe the roofs)")
    parser.add_argument("--out", help="CSV to append to (default: bench/results/MACHINE.csv)")
    options = parser.parse_args()
    peers, results = find_peers(), Results(options.out)
    for shape in options.shapes.split(","):
        for type_name in options.types.split(","):
            model = made_model(shape, type_name)
            machine = measure_engine(model, peers if options.only != "streams" else [], options, results)
            results.write()  # Now: an hour of measuring is easily broken off.
            if options.only != "engine":
                run_servers(model, peers, machine, options, results)
            say("")
            print(f"\n{name_of(model, options)} on {machine['processor']}, {machine['threads']} threads, {machine['kernels']} kernels, "
                  f"roofs {machine['read_gb_s']['median']:.1f} GB/s read and {machine['int8_gop_s']['median']:.0f} Gop/s int8, "
                  f"{options.rounds} rounds\n{results.table(name_of(model, options))}", flush=True)
            results.write()
    print(f"\nappended {results.n_written} rows to {results.path}")


if __name__ == "__main__":
    main()
