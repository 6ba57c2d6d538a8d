"""Patterns of questions: parse once, then draw at random.

A pattern is text with `(a|b)` for one of several, `[opt]` for perhaps, `{slot}` for a named pattern.
The names of hearth.toml's sections are written in brackets too, so `[advisor]` and its siblings are text.
"""
import re

SECTIONS = ("server", "models", "advisor", "budget", "engine")
MAYBE = 0.5       # How often an [opt] is drawn.
DEPTH_MAX = 12    # Slots inside slots; deeper is a mistake in the file.


class Node:
    """A choice between sequences; a sequence holds strings, Nodes and slot names."""

    def __init__(self, branches, optional=False):
        self.branches = branches
        self.optional = optional


class Slot(str):
    pass


def parse(text):
    """Returns the Node of a pattern; ValueError names the pattern that is malformed."""
    position = 0

    def literal_section(at):
        for name in SECTIONS:
            if text.startswith(f"[{name}]", at):
                return f"[{name}]"
        return None

    def choice(closer):
        nonlocal position
        branches, sequence, run = [], [], ""
        while True:
            if position >= len(text):
                if closer:
                    raise ValueError(f"'{closer}' is missing in: {text}")
                break
            c = text[position]
            section = literal_section(position) if c == "[" else None
            if section:
                run += section
                position += len(section)
            elif c == closer:
                break
            elif c in "([":
                position += 1
                sequence += [run, choice(")" if c == "(" else "]")]
                sequence[-1].optional = c == "["
                run = ""
                position += 1
            elif c == "{":
                end = text.index("}", position)
                sequence += [run, Slot(text[position + 1:end])]
                run = ""
                position = end + 1
            elif c == "|" and closer:
                branches.append(sequence + [run])
                sequence, run = [], ""
                position += 1
            elif c in ")]":
                raise ValueError(f"'{c}' closes nothing in: {text}")
            else:
                run += c
                position += 1
        branches.append(sequence + [run])
        return Node(branches)

    return choice("")


def draw(node, slots, random, depth=0):
    """One text of the pattern, with single spaces."""
    text = _draw(node, slots, random, depth)
    return re.sub(r"\s+([,?.!])", r"\1", re.sub(r"\s+", " ", text)).strip(" ,")


def _draw(node, slots, random, depth):
    if depth > DEPTH_MAX:
        raise ValueError("slots nest too deep")
    if node.optional and random.random() >= MAYBE:
        return ""
    out = ""
    for part in random.choice(node.branches):
        if isinstance(part, Slot):
            out += _draw(slots[part], slots, random, depth + 1)
        elif isinstance(part, Node):
            out += _draw(part, slots, random, depth)
        else:
            out += part
    return out


def count(node, slots):
    """How many texts a pattern has (an upper bound: equal ones are counted apart)."""
    total = 0
    for sequence in node.branches:
        product = 1
        for part in sequence:
            if isinstance(part, Slot):
                product *= count(slots[part], slots)
            elif isinstance(part, Node):
                product *= count(part, slots)
        total += product
    return total + (1 if node.optional else 0)
