"""The models of random weights that the benchmarks run."""

import os
import subprocess

from results import ROOT


def made_model(shape, type_name):
    """The path of one of `hearth bench model`, written if it is not there yet."""
    path = ROOT / "build/bench" / f"{shape}-{type_name}.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        subprocess.run([os.environ["HEARTH"], "bench", "model", str(path), "--shape", shape, "--type", type_name], check=True)
    return path
