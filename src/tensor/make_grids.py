#!/usr/bin/env python3
"""Writes grids.inc: the lattice points of the IQ1, IQ2 and IQ3 types, packed.

A point has 8 (IQ3: 4) coordinates, each one of 3 (IQ3: 8) values; it is written as one number with
2 (IQ3: 3) bits per coordinate, the first lowest.  The points are part of the format: they are read
from the Python package that specifies it.

Usage: pip install gguf && python3 make_grids.py > grids.inc
"""
import numpy as np
from gguf import quants

GRIDS = [("IQ2_XXS", 2), ("IQ2_XS", 2), ("IQ2_S", 2), ("IQ3_XXS", 3), ("IQ3_S", 3), ("IQ1_S", 2)]


def packed_points(name: str, bits: int) -> list[int]:
    kind = getattr(quants, name)
    kind.init_grid()
    values = list(kind.grid_map)
    points = np.asarray(kind.grid).reshape(kind.grid_shape)
    return [sum(values.index(int(v)) << (bits * i) for i, v in enumerate(p)) for p in points]


def main() -> None:
    print("// Written by make_grids.py.")
    for name, bits in GRIDS:
        points = packed_points(name, bits)
        print(f"constexpr std::uint16_t kPacked{name}[{len(points)}] = {{")
        for at in range(0, len(points), 13):
            print("    " + " ".join(f"0x{p:04X}," for p in points[at:at + 13]))
        print("};")


if __name__ == "__main__":
    main()
