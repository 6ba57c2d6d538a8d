"""The held-out questions and how they are judged; standard library only, so that every evaluation reads them alike."""
import pathlib
import re

FOLDER = pathlib.Path(__file__).parent / "heldout"
RIGHT_SHARE_MIN = 0.90   # The bars that ember is held to.
AUROC_MIN = 0.95


def lines(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def graded(name):
    """Question -> the expressions that a right answer matches, all of them."""
    return {q: keys.split(" && ") for q, keys in (line.split(" => ") for line in lines(name))}


def is_right(answer, keys):
    return all(re.search(key, answer, re.IGNORECASE) for key in keys)


def auroc(positive, negative):
    """The share of pairs in the right order, ties as halves."""
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    return sum(pairs) / len(pairs)
