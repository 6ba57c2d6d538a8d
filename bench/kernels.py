"""bench/kernels: built-in kernels beside OpenBLAS and beside the machine's roofs.

Round by round, each figure's roof is probed, the kernel runs, and OpenBLAS runs, in the same second; the
best call of each slice counts, since what disturbs one only ever makes it slower:

  gemm_TYPE n = N        a product of two N x N matrices; roof: fused multiply-adds on all threads
  NAME SIZE              an elementwise kernel over so many bytes in all; roof: streams of as many reads
                         and one write past the caches ("stream 2:1"), over as many bytes
  sum, dot, max, gemv    roof: reads in order over as many bytes
  jacobi5, sor           useful bytes of a sweep (16 and 24 a cell); several sweeps share a way through
                         memory, so they have no roof

Medians of the rounds with their range; a ratio is the median of the rounds' ratios.  What is above its roof by more than the noise is a mistake in
the measurement and is refused.

OpenBLAS names the processor that it takes this one for, and is wrong for new ones (0.3.21 takes Emerald Rapids
for a Prescott of 2004, and is five times slower than it could be).  So it is measured as what this processor can
do (`--blas-core auto`); `--blas-core detect` leaves it to itself.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from results import Results, exit_with

NOISE = 0.05
# The best core of OpenBLAS by what the processor can do.
CORES = [("avx512_bf16", "Cooperlake"), ("avx512f", "SkylakeX"), ("avx2", "Haswell")]


def blas_core():
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "").split()
    return next((core for flag, core in CORES if flag in flags), None)


def figures(options):
    """The measuring program's lines as they come."""
    environment = dict(os.environ)
    core = blas_core() if options.blas_core == "auto" else options.blas_core
    if core and core != "detect":
        environment["OPENBLAS_CORETYPE"] = core
    command = [os.environ["KERNELS_BENCH"], "--rounds", str(options.rounds)]
    for name in ("threads", "only"):
        if getattr(options, name):
            command += [f"--{name}", getattr(options, name)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as program:
        for line in program.stdout:
            yield json.loads(line)
    if program.returncode:
        sys.exit(f"bench/kernels: {command[0]} ended with {program.returncode}")


def model_of(figure):
    return f"kernels, {figure['threads']} thread{'s' if figure['threads'] > 1 else ''}"


def above_roof(figure):
    """None, or a sentence."""
    if not figure["roofs"]:
        return None
    share = statistics.median(ours / roof for ours, roof in zip(figure["values"], figure["roofs"]))
    if share <= 1 + NOISE:
        return None
    return (f"{figure['figure']} with {figure['threads']} threads was measured at {100 * share:.0f} % of its roof "
            f"({figure['roof']}): nothing can be above it, so other programs disturbed the probes; run again on a quiet machine")


def main():
    parser = argparse.ArgumentParser(prog="bench/kernels", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "5")))
    parser.add_argument("--threads", help="numbers of threads (default: 1 and all cores)")
    parser.add_argument("--only", help="figures with this in their name")
    parser.add_argument("--blas-core", default="auto", help="what OpenBLAS takes this processor for (default: %(default)s)")
    parser.add_argument("--out", help="CSV to append to (default: bench/results/MACHINE.csv)")
    options = parser.parse_args()
    results, refused, models, head = Results(options.out), [], [], None
    for figure in figures(options):
        if "figure" not in figure:
            head = figure
            continue
        print(f"\r\033[K{model_of(figure)}: {figure['figure']}" if sys.stderr.isatty() else figure["figure"],
              end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
        if model_of(figure) not in models:
            models.append(model_of(figure))
        if sentence := above_roof(figure):
            refused.append(sentence)
            continue
        of_roof = [ours / roof for ours, roof in zip(figure["values"], figure["roofs"])]
        results.add(model_of(figure), figure["figure"], figure["unit"], figure["values"],
                    {figure["peer"]: figure["peer_values"]} if figure["peer"] else None, figure["roof"],
                    statistics.median(of_roof) if of_roof else None)
    print(f"{head['kernels']} kernels; " + (f"OpenBLAS runs as {head['openblas']}" if head["openblas"] else head["reason"]))
    for model in models:
        print(f"\n{model}, {options.rounds} rounds\n{results.table(model)}")
    results.write()
    print(f"\nappended {len(results.rows)} rows to {results.path}")
    exit_with(refused)


if __name__ == "__main__":
    main()
