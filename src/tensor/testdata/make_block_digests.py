#!/usr/bin/env python3
"""Writes block_digests.txt: what 64 blocks of each quantised type are as floats.

The floats are those of the Python package that specifies the format, an implementation in numpy
that shares nothing with ours.  Every product in them is exact, so that a SHA-256 of their bytes can
stand for them.  The blocks are the bytes of a little generator, with scales made ordinary numbers.

Usage: pip install gguf && python3 make_block_digests.py > block_digests.txt
"""
import hashlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

N_BLOCKS = 64
# Where a block's half-precision scales lie.  Their high bytes become 0x2C.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ1_S": [0],
    "IQ1_M": [], "TQ1_0": [52], "TQ2_0": [64],
}


def blocks(name: str) -> np.ndarray:
    size = GGML_QUANT_SIZES[GGMLQuantizationType[name]][1]
    state = 1
    data = bytearray()
    for _ in range(N_BLOCKS * size):
        state = (state * 1664525 + 1013904223) % 2**32
        data.append(state >> 24)
    for block in range(0, len(data), size):
        for half in HALVES[name]:
            data[block + half + 1] = 0x2C
        if name == "IQ1_M":  # The top nibbles of its scales are 0xC, 0x2.
            data[block + 53] = data[block + 53] % 16 + 0xC0
            data[block + 55] = data[block + 55] % 16 + 0x20
    return np.frombuffer(bytes(data), dtype=np.uint8)


def main() -> None:
    for name in HALVES:
        values = quants.dequantize(blocks(name), GGMLQuantizationType[name])
        print(name, hashlib.sha256(values.astype("<f4").tobytes()).hexdigest())


if __name__ == "__main__":
    main()
