"""bench/switch: random switches between eight models, in the page cache and over the memory's budget.

A switch is a request that names another model than the one before; right after it, a second request
to the same model shows what is usual.  Prompts are of equal length (31 tokens), never the same, and
one token is answered.  Definitions:

  ready         from the parsed request to the moment when the first matrix product of its model may
                start (`ready_ms` of the receipt): the model is found, or loaded and its tokenizer and
                template are there, the prompt is laid out, and the engine has taken it up
  first token   from a request's last byte sent to the first piece of its answer, at the client
  tax           first token after a switch minus that of the second request; also as a share of one
                sweep of the model's weights at this machine's measured read bandwidth
  control       first token of a third request to the same model, after this program, and not the hub, has
                read the weights of another; minus that of the second.  What of the tax is only that other
                weights lie in the processor's caches
  equal         a fixed greedy request, sent on one switch in twenty, is answered as by a hub that was
                started for this model alone

`kept` leaves all models loaded (state cached: mapped, bound, tokenizer there); `anew` gives the hub a
memory budget that holds one model, so that each switch maps its weights from the page cache.  The router
is llama-server's with one model at a time; it has no `ready`, so its tax stands beside Hearth's ready.

`cold` asks each model first with all of its file on the disk (dropped and looked up page by page
beforehand).  Its tax stands beside the time that the same run takes to read the file from the disk, the
faster of one and two readers that map large pieces.  Then the budget holds two thirds of all models, and what
it has no room for leaves the page cache: random switches, whose tax stands beside reading what of the
file was on the disk just before; and switches in turns, of which one in ten is random (`turns`), where
the hub may read ahead while an answer is read (--pause).
"""

import argparse
import asyncio
import ctypes
import json
import mmap
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from client import percentile, stream
from models import made_model
from results import Results, cores, exit_with
from servers import HearthServer, LlamaServer, get_json

HEARTH = os.environ["HEARTH"]
MODELS = (("0.1b", "Q4_K_M"), ("0.1b", "Q8_0"), ("0.1b", "F16"), ("0.5b", "Q4_0"), ("0.5b", "Q4_K_M"), ("0.5b", "Q8_0"),
          ("1.5b", "Q4_K_M"), ("1.5b", "Q8_0"))
READY_P99_MS_MAX, TAX_SHARE_MAX, ROUTER_RATIO_MIN, COLD_TAX_MAX = 10.0, 0.05, 100.0, 1.2
BUDGET_SHARE = 1.5  # All models' bytes over the budget.
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def make_models(wanted):
    paths = []
    for shape, type_name in wanted:
        path = made_model(shape, type_name)
        drop(path)  # What comes back from the disk does so in large folios.
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


def known_facts(paths, file):
    """What is measured or asked once for all parts, kept in `file` if one is named: sweeps, answers."""
    if file and Path(file).exists():
        facts = json.loads(Path(file).read_text())
    else:
        sweeps = {path.stem: sweep_ms(path) for path in paths}
        facts = {"sweeps": sweeps, "answers": {path.stem: text for path, text in fresh_answers(paths).items()}}
    if file:
        Path(file).write_text(json.dumps(facts))
    return tuple({path: facts[what][path.stem] for path in paths} for what in ("sweeps", "answers"))


def read_all(path):
    """Reads a file's pages through all cores' caches, as a sweep of its weights does."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        at = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        share = len(mapped) // cores()
        readers = [threading.Thread(target=LIBC.memcmp, args=[ctypes.c_void_p(at + i * share)] * 2 + [ctypes.c_size_t(share)])
                   for i in range(cores())]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()


def switch_around(asker, paths, n_switches, answers, what):
    """[(path, ready ms or None, first ms, tax ms, control ms)] of so many random switches; how many answers were unequal."""
    chance = random.Random(7)
    found, unequal, current, before = [], 0, None, None
    for number in range(n_switches):
        before, current = current, chance.choice([path for path in paths if path != current])
        if sys.stderr.isatty():
            print(f"\r\033[K{what}: switch {number + 1} of {n_switches}", end="", file=sys.stderr, flush=True)
        if answers and number % 20 == 19:
            unequal += asker.ask(current, FIXED, 12).text != answers[current]
            continue
        after = asker.ask(current, prompt(chance))
        usual = asker.ask(current, prompt(chance))
        control = None
        if before is not None and answers and number % 4 == 0:
            read_all(before)
            control = 1e3 * (asker.ask(current, prompt(chance)).first - usual.first)
        found.append((current, after.receipt.get("ready_ms"), 1e3 * after.first, 1e3 * (after.first - usual.first), control))
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
        large = huge_share(server)
    ready, first, tax = ([row[i] for row in found] for i in (1, 2, 3))
    share = [row[3] / sweeps[row[0]] for row in found]
    control = [(row[4], row[4] / sweeps[row[0]]) for row in found if row[4] is not None]
    for figure, values in (("ready", ready), ("first token", first), ("tax", tax)):
        for name, value in (("p50", statistics.median(values)), ("p99", percentile(values, 0.99))):
            results.add("eight models", f"switch, {what}: {figure} {name}", "ms", [value])
    results.add("eight models", f"switch, {what}: median tax / sweep", "", [statistics.median(share)])
    controls = [statistics.median(values) for values in zip(*control)]
    results.add("eight models", f"switch, {what}: median control / sweep", "", [controls[1]])
    print(f"{what}: {len(found)} switches  ready p50 {statistics.median(ready):.2f} ms, p99 {percentile(ready, 0.99):.2f} ms  "
          f"first token p50 {statistics.median(first):.1f} ms  tax p50 {statistics.median(tax):.2f} ms "
          f"({100 * statistics.median(share):.1f} % of a sweep), p99 {percentile(tax, 0.99):.1f} ms  "
          f"control p50 {controls[0]:.2f} ms ({100 * controls[1]:.1f} %)  {unequal} unequal answers, {100 * large:.0f} % mapped by large pages")
    broken = [f"{what}: {unequal} answers differ from a fresh load's"] if unequal else []
    if percentile(ready, 0.99) > READY_P99_MS_MAX:
        broken.append(f"{what}: ready p99 is {percentile(ready, 0.99):.2f} ms, at most {READY_P99_MS_MAX:g} ms were to be reached")
    if statistics.median(share) > TAX_SHARE_MAX:
        broken.append(f"{what}: the tax is {100 * statistics.median(share):.1f} % of a sweep, at most {100 * TAX_SHARE_MAX:g} % were to be reached")
    return statistics.median(ready), broken


def drop(path):
    """Takes a file out of the page cache, as far as nobody has it mapped."""
    with open(path, "rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_bytes(path):
    """What of a file is in the page cache, page by page (mincore)."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        pages = (len(mapped) + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        flags = (ctypes.c_ubyte * pages)()
        at = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        if LIBC.mincore(ctypes.c_void_p(at), ctypes.c_size_t(len(mapped)), flags):
            raise OSError(ctypes.get_errno(), "mincore")
        return min(sum(flag & 1 for flag in flags) * mmap.PAGESIZE, len(mapped))


def populate(path, n_readers):
    """Seconds to bring a file that is on the disk into memory, in large pages, by so many readers."""
    hugepage, populate_read, piece = 14, 22, 8 << 20
    with open(path, "rb") as file:
        size = path.stat().st_size
        at = LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        advise = lambda offset, n, what: LIBC.madvise(ctypes.c_void_p(at + offset), ctypes.c_size_t(n), what)
        advise(0, size, hugepage)

        def read(first):
            for offset in range(first * piece, size, n_readers * piece):
                advise(offset, min(piece, size - offset), populate_read)

        began = time.perf_counter()
        readers = [threading.Thread(target=read, args=(i,)) for i in range(n_readers)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        bytes(memoryview((ctypes.c_char * size).from_address(at)).cast("B")[::mmap.PAGESIZE])  # A byte of each page.
        took = time.perf_counter() - began
        LIBC.munmap(ctypes.c_void_p(at), ctypes.c_size_t(size))
        return took


def read_ms(path):
    """Reading a file from the disk into memory and touching each page: the fastest of one reader and two.

    Each time right after its pages left the page cache, as for the hub that is measured next: on virtual
    machines memory that lay free for seconds is the host's again, and touching it takes longer than the disk.
    """
    best = float("inf")
    for n_readers in (1, 2, 2):
        drop(path)
        best = min(best, 1e3 * populate(path, n_readers))
    drop(path)
    return best


def budget_toml(paths):
    total = sum(path.stat().st_size for path in paths)
    return f"memory_mib = {int(total / BUDGET_SHARE) >> 20}\ndrop_cache = true\n"


def measure_first(paths, options, results):
    """Each model's first request, its whole file on the disk."""
    ratios, rows = [], []
    for round_ in range(options.cold_rounds):
        with HearthServer(paths, cores(), models_toml="drop_cache = true\n") as server:
            asker, chance = Asker(server, True), random.Random(round_)
            for path in paths:
                read = read_ms(path)
                was_cold = path.stat().st_size - cached_bytes(path)
                after = asker.ask(path, prompt(chance))
                usual = 1e3 * statistics.median(asker.ask(path, prompt(chance)).first for _ in range(3))
                tax = 1e3 * after.first - usual
                rows.append((path.stem, was_cold / path.stat().st_size, read, 1e3 * after.first, usual, tax))
                ratios.append(tax / read)
    for name, cold, read, first, usual, tax in rows:
        print(f"  {name:14} {100 * cold:3.0f} % on the disk  file read in {read:6.1f} ms  first token {first:7.1f} ms, usual {usual:6.1f} ms  "
              f"tax {tax:6.1f} ms = {tax / read:.2f} x reading")
    worst = max(ratios)
    results.add("eight models", "switch, cold: tax / time to read the file", "", ratios)
    print(f"cold: {len(rows)} first requests  tax / time to read the file p50 {statistics.median(ratios):.2f}, worst {worst:.2f}")
    middle = statistics.median(ratios)
    return [f"cold: the tax is {middle:.2f} times reading the file, at most {COLD_TAX_MAX:g} were to be reached"] if middle > COLD_TAX_MAX else []


def orders(paths, n, chance, in_turns):
    """Which model is asked for, n times: at random, or in turns with one in ten at random."""
    turns, current, at = paths[0::2] + paths[1::2], None, 0
    for _ in range(n):
        if in_turns and chance.random() >= 0.1:
            at = (at + 1) % len(turns)
            wanted = turns[at]
        else:
            wanted = chance.choice(paths)
        if wanted == current:
            wanted = chance.choice([path for path in paths if path != current])
        current = wanted
        yield current


def measure_over_budget(paths, options, answers, results, in_turns):
    what = "turns" if in_turns else "random"
    reads = {path: read_ms(path) for path in paths}
    chance, rows, unequal = random.Random(11), [], 0
    with HearthServer(paths, cores(), models_toml=budget_toml(paths)) as server:
        asker = Asker(server, True)
        warm(asker, paths)
        for number, path in enumerate(orders(paths, options.cold_switches, chance, in_turns)):
            cold = (path.stat().st_size - cached_bytes(path)) / path.stat().st_size
            if number % 20 == 19:
                unequal += asker.ask(path, FIXED, 12).text != answers[path]
                continue
            after = asker.ask(path, prompt(chance))
            usual = asker.ask(path, prompt(chance))
            rows.append((path, cold, after.receipt.get("ready_ms"), 1e3 * (after.first - usual.first)))
            if in_turns:
                time.sleep(options.pause)
        report = get_json(server.host, server.port, "/hearth/v1/memory")
    on_disk = [row for row in rows if row[1] > 0.02]
    ratios = [row[3] / (row[1] * reads[row[0]]) for row in on_disk]
    whole = [row[3] / reads[row[0]] for row in on_disk]
    tax, ready = [row[3] for row in rows], [row[2] for row in rows]
    print(f"over the budget, {what}: {len(rows)} switches, {len(on_disk)} to models partly on the disk ({100 * statistics.mean(r[1] for r in rows):.0f} % of the bytes on average)  "
          f"ready p99 {percentile(ready, 0.99):.2f} ms  tax p50 {statistics.median(tax):.1f} ms, p99 {percentile(tax, 0.99):.1f} ms")
    if on_disk:
        print(f"  tax / time to read the file p50 {statistics.median(whole):.2f}, p99 {percentile(whole, 0.99):.2f}; "
              f"/ time to read what was on the disk p50 {statistics.median(ratios):.2f}")
        results.add("eight models", f"switch, over the budget, {what}: tax / time to read the file", "", [statistics.median(whole)])
        results.add("eight models", f"switch, over the budget, {what}: tax p99 / time to read the file", "", [percentile(whole, 0.99)])
    mib = {key: report[key] >> 20 for key in ("read_bytes", "guessed_bytes", "wasted_bytes", "bytes_used", "bytes_max")}
    print(f"  foreseen {report['guesses']} switches, {report['guess_hits']} rightly; read for requests {mib['read_bytes']} MiB, ahead "
          f"{mib['guessed_bytes']} MiB, of it in vain {mib['wasted_bytes']} MiB; {mib['bytes_used']} of {mib['bytes_max']} MiB used; {unequal} unequal answers")
    for name, value in (("ready p99", percentile(ready, 0.99)), ("tax p50", statistics.median(tax)), ("tax p99", percentile(tax, 0.99))):
        results.add("eight models", f"switch, over the budget, {what}: {name}", "ms", [value])
    results.add("eight models", f"switch, over the budget, {what}: foreseen rightly", "", [report["guess_hits"] / max(report["guesses"], 1)])
    broken = [f"over the budget, {what}: {unequal} answers differ from a fresh load's"] if unequal else []
    if whole and statistics.median(whole) > COLD_TAX_MAX:
        broken.append(f"over the budget, {what}: the tax is {statistics.median(whole):.2f} times reading the file, at most {COLD_TAX_MAX:g} were to be reached")
    if in_turns and not report["guess_hits"]:
        broken.append("over the budget, turns: no switch was foreseen")
    return broken


def huge_share(server):
    models = [m for m in get_json(server.host, server.port, "/hearth/v1/memory")["models"] if m.get("mapped_bytes")]
    return sum(m["large_page_bytes"] for m in models) / max(sum(m["mapped_bytes"] for m in models), 1)


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
    parser.add_argument("--cold-rounds", type=int, default=3)
    parser.add_argument("--cold-switches", type=int, default=200)
    parser.add_argument("--facts", help="file that keeps what later calls need not measure again")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds for which an answer is read, in turns")
    parser.add_argument("--only", choices=("facts", "kept", "anew", "cold", "random", "turns", "router"), action="append")
    parser.add_argument("--small", action="store_true", help="models of the 0.1 B class only, for a short try")
    parser.add_argument("--out", help="CSV to append to (default: bench/results/MACHINE.csv)")
    options = parser.parse_args()
    paths = make_models([("tiny", t) for t in ("Q4_K_M", "Q8_0", "F16", "Q4_0")] + list(MODELS[:2]) if options.small else MODELS)
    print("\n".join(line for line in __doc__.split("\n")[2:]))
    results, broken = Results(options.out), []
    sweeps, answers = known_facts(paths, options.facts)
    if options.only == ["facts"]:
        return
    does = lambda part: not options.only or part in options.only
    readies = []
    for part, kept in (("kept", True), ("anew", False)):
        if does(part) or (kept and does("router")):
            ready, found = measure_hearth(paths, options, answers, sweeps, kept, results)
            readies.append(ready)
            broken += found
    if does("cold"):
        broken += measure_first(paths, options, results)
    for part in ("random", "turns"):
        if does(part):
            broken += measure_over_budget(paths, options, answers, results, part == "turns")
    program = os.environ.get("LLAMA_SERVER") or (os.environ.get("LLAMA_CPP") and os.environ["LLAMA_CPP"] + "/llama-server")
    if program and does("router"):
        broken += measure_router(program, paths, options, readies[0], results)
    if not shutil.which("llama-swap"):
        print("llama-swap: not installed")
    results.write()
    exit_with(broken)


if __name__ == "__main__":
    main()
