#!/usr/bin/env python3
"""How soon the local model goes on after advice, beside a plain turn of the same length.

    bench/resume.py MODEL.gguf [--rounds N] [--threads N] [--lengths WORDS...]    (HEARTH names the program)

Two conversations in turn, through one hub, of which nothing but their words differs:

    advised   a question whose draft is advised on: from the adviser's last byte (a server in this process
              that notes when it has written it) to the first token of the answer that weighs the advice
    plain     the same question, its answer, and as next turn what the advice was laid out in: from the
              request to the first token

Both have the same turns before the last, and both find them in the prefix cache; the tokens that are computed
are compared, too.  Prints medians of milliseconds and their ratio for each length of advice.
"""

import argparse
import json
import random
import re
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import adviser_server  # noqa: E402
from hub_process import Home, Hub  # noqa: E402

WORDS = "amber barn cedar delta ember field gravel harbour island jacket kettle lantern meadow nettle orchard".split()
DRAFT_TOKENS = 24


def words(rng, n):
    return " ".join(rng.choice(WORDS) for _ in range(n))


def notice(advice):
    """The turn that advice enters in, as the hub writes it (src/hub/notices.cpp)."""
    source = (ROOT / "src/hub/notices.cpp").read_text()
    found = re.search(r"kFinishWithAdvice,(.*?)\}\s*,\s*\};", source, re.S).group(1)
    text = "".join(json.loads(f'"{part}"') for part in re.findall(r'"((?:[^"\\]|\\.)*)"', found))
    return text.replace("{}", advice)


class Adviser(adviser_server.AdviserServer):
    def __init__(self):
        self.advice, self.done_at = "", 0.0
        super().__init__(self.answer)

    def answer(self, handler, _):
        handler.stream(adviser_server.answer(self.advice))
        handler.wfile.flush()
        self.done_at = time.perf_counter()


def first_token(hub, messages, advice):
    """(when sent, when the first token came, text, receipt) of a streamed greedy answer."""
    body = {"model": "auto", "messages": messages, "max_tokens": DRAFT_TOKENS, "temperature": 0, "ignore_eos": True,
            "hearth": {"advice": advice}, "stream_options": {"include_usage": True}}
    sent, first, text, receipt = time.perf_counter(), None, "", {}
    for event in hub.events(body):
        delta = "".join(c["delta"].get("content") or "" for c in event["choices"])
        if delta and first is None:
            first = time.perf_counter()
        text += delta
        receipt = event.get("hearth") or receipt
    return sent, first, text, receipt


def user(content):
    return {"role": "user", "content": content}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lengths", type=int, nargs="+", default=[50, 200, 600])
    options = parser.parse_args()
    rng = random.Random(5)
    with Adviser() as adviser:
        home = Home(adviser.toml(), models=[Path(options.model).resolve()])
        config = home.path / ".config/hearth/hearth.toml"
        config.write_text(config.read_text() + f"scan = false\n[engine]\nthreads = {options.threads}\n[snapshots]\nenabled = false\n"
                          "[advice]\nmemory = false\n[server]\n")
        with Hub(home, TEST_ADVISER_KEY="sk-0123456789abcdef") as hub:
            first_token(hub, [user("Warm up.")], "never")
            for n_words in options.lengths:
                advised, plain, n_advised, n_plain = [], [], [], []
                for _ in range(options.rounds):
                    question = f"{words(rng, 60)} ?"
                    adviser.advice = words(rng, n_words)
                    before = hub.metrics()
                    _, first, _, receipt = first_token(hub, [user(question)], "always")
                    assert receipt["advice"] == "advised", receipt
                    advised.append(1000 * (first - adviser.done_at))
                    after = hub.metrics()
                    n_advised.append(computed(before, after) - receipt["usage"]["prompt_tokens"])

                    question = f"{words(rng, 60)} ?"
                    _, _, draft, _ = first_token(hub, [user(question)], "never")
                    turns = [user(question), {"role": "assistant", "content": draft}, user(notice(words(rng, n_words)))]
                    before = hub.metrics()
                    sent, first, _, _ = first_token(hub, turns, "never")
                    plain.append(1000 * (first - sent))
                    n_plain.append(computed(before, hub.metrics()))
                a, p = statistics.median(advised), statistics.median(plain)
                print(f"advice of {n_words:4} words: advised {a:7.1f} ms ({statistics.median(n_advised):.0f} tokens computed), "
                      f"plain {p:7.1f} ms ({statistics.median(n_plain):.0f}), ratio {a / p:.2f}", flush=True)
        home.close()


def computed(before, after):
    """Tokens of prompts that were not in the prefix cache, between two looks at the metrics."""
    def n(metrics):
        return metrics["hearth_prompt_tokens_total"] - metrics["hearth_cached_tokens_total"]
    return n(after) - n(before)


if __name__ == "__main__":
    main()
