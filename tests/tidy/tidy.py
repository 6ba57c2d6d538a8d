#!/usr/bin/env python3
"""Holds the source tree against its own rules; prints each breach and exits 1 if there is one.

    tests/tidy/tidy.py [ROOT]

Rules, each a function below: includes point down the floors, functions stay short, files
open with what they are, and nothing outside `cli` prints, exits or throws.  Exceptions need
a reason and stand in tests/tidy/exceptions.txt as `RULE PATH[:NAME]  reason`.
"""

import re
import sys
from pathlib import Path

FLOORS = {
    "base": 0,
    "tensor": 1, "net": 1, "sandbox": 1, "ledger": 1,
    "gguf": 2, "text": 2, "device": 2, "privacy": 2,
    "model": 3, "store": 3,
    "engine": 4, "advisor": 4, "compute": 4, "convert": 4,
    "hub": 5,
    "api": 6,
    "server": 7,
    "cli": 8,
}
FUNCTION_LINES_MAX = 70
HEAD_COMMENT_FROM_LINES = 60  # Shorter files may speak for themselves.

# What libraries may not call, and what to do instead.  Tests, benches and fuzzers may.
BANNED = [
    (r"\bstd::(cout|cerr|clog)\b", "libraries never print; return a Result or use base/log.h"),
    (r"(?<![\w.>])(f|v|vf)?printf\(", "libraries never print; return a Result or use base/log.h"),
    (r"(?<![\w.:>])(std::)?_?exit\(", "libraries never exit; return a Result"),
    (r"(?<!\w)throw\b(?!\()", "errors are values; return a Result"),
    (r"(?<![\w.>])(strcpy|strcat|sprintf|gets|strtok|atoi|atof)\(", "unbounded or unchecked; use spans and from_chars"),
    (r"\bstd::regex\b", "slow and recursive; match by hand or with PCRE2"),
    (r"\b(TODO|FIXME|XXX)\b", "open work belongs in an issue"),
]
BANNED_FREE = {("cli", 0), ("cli", 1), ("cli", 2)}  # (room, index into BANNED) pairs that are fine.


def strip_literals(line):
    """The line without its string literals and trailing comment."""
    line = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
    return line.split("//")[0]


def sources(root):
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in {".h", ".cpp", ".cu"}:
            yield path


def is_test(path):
    return re.search(r"_(test|bench|fuzz)$", path.stem) is not None or "test_support" in path.parts


def check_includes(path, room, lines):
    """A room includes itself and rooms on lower floors."""
    for number, line in enumerate(lines, 1):
        match = re.match(r'#include "(\w+)/', line)
        if not match or match[1] == room:
            continue
        target = match[1]
        if target not in FLOORS:
            yield number, f'include of unknown room "{target}"'
        elif FLOORS[target] >= FLOORS[room]:
            yield number, f'{room} (floor {FLOORS[room]}) includes {target} (floor {FLOORS[target]})'


def check_function_length(path, room, lines):
    """From the line that opens a body to the brace in the same column."""
    opening = re.compile(r"^( {0,4})(?!namespace|class|struct|enum|union|extern|if|for|while|switch|else|do|case|default|return|\}|#)\S.*[\w)>\]] ?(const |noexcept |override |final )*\{$")
    start = None
    for number, line in enumerate(lines, 1):
        match = opening.match(line)
        if match and "(" in "".join(lines[max(0, number - 6):number]):
            start, indent, text = number, match[1], line
        if start and line.rstrip(";") == f"{indent}}}":
            if number - start > FUNCTION_LINES_MAX:
                names = re.findall(r"([\w~:]+)\(", text) or ["?"]
                yield start, f"function {names[0]} has {number - start} lines, at most {FUNCTION_LINES_MAX}"
            start = None


def check_head_comment(path, room, lines):
    """A file that is not trivial says what it is before its first code; a test's name says it."""
    if is_test(path):
        return
    if len(lines) >= HEAD_COMMENT_FROM_LINES and not lines[0].startswith("//"):
        header = path.with_suffix(".h")
        if path.suffix == ".cpp" and header.exists() and header.read_text().startswith("//"):
            return  # The header says it.
        yield 1, "no head comment: say what this file is and why it is shaped so"


def check_banned(path, room, lines):
    if is_test(path):
        return
    for number, line in enumerate(lines, 1):
        code = strip_literals(line)
        for index, (pattern, reason) in enumerate(BANNED):
            text = line if "TODO" in pattern else code
            if re.search(pattern, text) and (room, index) not in BANNED_FREE:
                yield number, f"{pattern!s} is banned: {reason}"


RULES = [check_includes, check_function_length, check_head_comment, check_banned]


def load_exceptions(root):
    """(rule, path) pairs, and (rule, path, text) where a name narrows it."""
    exceptions = []
    path = root / "tests/tidy/exceptions.txt"
    for line in path.read_text().splitlines() if path.exists() else []:
        if not line.strip() or line.startswith("#"):
            continue
        rule, where, reason = line.split(None, 2)
        file, _, name = where.partition(":")
        exceptions.append([rule, file, name, False])
    return exceptions


def excepted(exceptions, rule, file, message):
    for entry in exceptions:
        if entry[0] == rule and entry[1] == file and entry[2] in message:
            entry[3] = True
            return True
    return False


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    exceptions = load_exceptions(root)
    breaches = files = 0
    for path in sources(root):
        files += 1
        file = path.relative_to(root).as_posix()
        room = path.relative_to(root).parts[1]
        if room not in FLOORS:
            print(f"{file}: folder src/{room} is no room with a floor")
            breaches += 1
            continue
        lines = path.read_text().splitlines()
        for rule in RULES:
            name = rule.__name__.removeprefix("check_")
            for number, message in rule(path, room, lines):
                if not excepted(exceptions, name, file, message):
                    print(f"{file}:{number}: [{name}] {message}")
                    breaches += 1
    for rule, file, name, used in exceptions:
        if not used:
            print(f"tests/tidy/exceptions.txt: {rule} {file}:{name} excuses nothing: remove it")
            breaches += 1
    print(f"tidy: {files} files, {breaches} breaches")
    return 1 if breaches or not files else 0


if __name__ == "__main__":
    sys.exit(main())
