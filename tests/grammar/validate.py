"""Samples answers to random schemas from a small model at temperature 1.5 and holds them against the
independent validator `jsonschema`, formats included.  Run by `check`."""

import collections
import contextlib
import json
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from hub_process import Home, Hub, shared  # noqa: E402
from schemas import make  # noqa: E402

SKIPPED = 77
MODEL = shared("models/dreams-230k.gguf")
MAX_TOKENS = 1000
COMPLETE_MIN = 0.9  # Of the answers; the others run into their limit, as unbounded strings may.
CHECKER = jsonschema.Draft202012Validator.FORMAT_CHECKER
CONTEXT_KEY = b"llama.context_length" + struct.pack("<I", 4)  # GGUF's type 4: uint32.


def with_long_context(path, folder):
    """A copy of the model that may write MAX_TOKENS: what it says beyond its training need make no sense."""
    data = bytearray(path.read_bytes())
    at = data.index(CONTEXT_KEY) + len(CONTEXT_KEY)
    data[at:at + 4] = struct.pack("<I", 4 * MAX_TOKENS)
    (folder / path.name).write_bytes(data)


def judge(schema, status, answer):
    """(what came of it, detail)."""
    if status != 200:
        return "refused", answer["error"]["message"]
    choice = answer["choices"][0]
    text = choice["message"]["content"]
    if choice["finish_reason"] == "length":
        return "cut", text
    try:
        value = json.loads(text)
    except ValueError as error:
        return "no JSON", f"{error}: {text}"
    validator = jsonschema.Draft202012Validator(schema, format_checker=CHECKER)
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(value)]
    return ("invalid", f"{errors[0]}: {text}") if errors else ("valid", text)


def main(count, seed):
    if MODEL is None:
        print("grammar: skipped: needs ../shared", file=sys.stderr)
        return SKIPPED
    schemas = [make(seed + i) for i in range(count)]
    started = time.monotonic()
    tokens = collections.Counter()
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(Home())
        with_long_context(MODEL, home.models)
        hub = stack.enter_context(Hub(home))

        def ask(number):
            schema = schemas[number]
            jsonschema.Draft202012Validator.check_schema(schema)
            status, _, answer = hub.chat(
                "Write JSON.", model="dreams-230k", temperature=1.5, seed=number, max_tokens=MAX_TOKENS,
                response_format={"type": "json_schema", "json_schema": {"name": f"s{number}", "schema": schema}})
            tokens["completion"] += answer.get("usage", {}).get("completion_tokens", 0)
            return judge(schema, status, answer)

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(ask, range(count)))
    seconds = time.monotonic() - started
    counts = collections.Counter(kind for kind, _ in results)
    for number, (kind, detail) in enumerate(results):
        if kind not in ("valid", "cut"):
            print(f"seed {seed + number}: {kind}: {detail[:400]}\n  schema {json.dumps(schemas[number])[:1500]}")
    print(f"{count} schemas from seed {seed}: {dict(counts)}; {tokens['completion']} tokens in {seconds:.1f} s")
    failed = count - counts["valid"] - counts["cut"]
    return 1 if failed or counts["valid"] < COMPLETE_MIN * count else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, int(sys.argv[2]) if len(sys.argv) > 2 else 0))
