#!/usr/bin/env python3
"""How well signals of a local model's own sampling tell its wrong answers from its right ones.

    bench/signals.py [--model NAME] [--questions FILE] [--elsewhere FILE] [--hearth PROGRAM] [--limit N]

Asks a hub that it starts (HTTP, greedy, with log-probabilities) questions whose answers can be checked: a line each,
`question => expression && expression`, as in models/ember/heldout/graded.txt.  Questions of --elsewhere have no right
answer here: whatever a model says of them counts as wrong (it is meant for models that know one thing, like ember).

Prints, of each signal, AUROC (the share of pairs of a wrong and a right answer that it orders), with the standard error
of Hanley and McNeil (1982):

    confidence    the hub's own, from the receipt (advisor/confidence.h)
    mean          mean log-probability of the answer's tokens
    worst part    least mean over 16 tokens in a row
    worst token   least log-probability
    first         log-probability of the first token
    entropy       mean entropy over the 20 most probable tokens (negated)
    says yes      P(yes) against P(no), where the model is asked in one token whether its answer is right
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "models/ember"))
from heldout_sets import auroc, is_right  # noqa: E402

PART_TOKENS = 16
JUDGE = "Is your answer above right? Reply with one word, yes or no."


def questions(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            question, _, keys = line.partition(" => ")
            yield question, keys.split(" && ") if keys else None


class Hub:
    """A hub of its own: its folders, and a port that was free."""

    def __init__(self, program):
        self.home = tempfile.TemporaryDirectory(prefix="hearth-signals-")
        environment = dict(os.environ, HOME=self.home.name, HEARTH_CONFIG=f"{self.home.name}/none.toml",
                           **{f"XDG_{name}_HOME": f"{self.home.name}/{name.lower()}"
                              for name in ("DATA", "CACHE", "STATE", "CONFIG")})
        import socket
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen([program, "serve", "--port", str(self.port), "--log", "error"], env=environment,
                                        stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health").read()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the hub did not start")

    def chat(self, model, messages, max_tokens):
        body = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": 0, "logprobs": True,
                "top_logprobs": 20}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/chat/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.home.cleanup()


def signals_of(answer, judged):
    choice = answer["choices"][0]
    tokens = (choice.get("logprobs") or {}).get("content") or []
    logs = [token["logprob"] for token in tokens]
    parts = [sum(logs[i:i + PART_TOKENS]) / len(logs[i:i + PART_TOKENS]) for i in range(0, len(logs), PART_TOKENS)]
    entropies = [-sum(math.exp(t["logprob"]) * t["logprob"] for t in token["top_logprobs"]) for token in tokens]
    return {"confidence": answer["hearth"]["confidence"],
            "mean": sum(logs) / len(logs) if logs else -100,
            "worst part": min(parts, default=-100),
            "worst token": min(logs, default=-100),
            "first": logs[0] if logs else -100,
            "entropy": -sum(entropies) / len(entropies) if entropies else -100,
            "says yes": judged}


def says_yes(hub, model, question, text):
    judged = hub.chat(model, [{"role": "user", "content": question}, {"role": "assistant", "content": text},
                              {"role": "user", "content": JUDGE}], 1)
    tokens = (judged["choices"][0].get("logprobs") or {}).get("content") or []
    shares = {"yes": 1e-9, "no": 1e-9}
    for token in tokens[0]["top_logprobs"] if tokens else []:
        word = token["token"].strip().lower()
        if word in shares:
            shares[word] += math.exp(token["logprob"])
    return math.log(shares["yes"] / shares["no"])


def standard_error(area, n_positive, n_negative):
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (n_positive - 1) * (q1 - area * area) + (n_negative - 1) * (q2 - area * area)
    return math.sqrt(max(spread, 0) / (n_positive * n_negative))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    heldout = HERE.parent / "models/ember/heldout"
    parser.add_argument("--model", default="ember")
    parser.add_argument("--questions", type=pathlib.Path, default=heldout / "graded.txt")
    parser.add_argument("--elsewhere", type=pathlib.Path)
    parser.add_argument("--hearth", default=str(HERE.parent / "build/release/src/cli/hearth"))
    parser.add_argument("--limit", type=int, default=10_000, help="questions of each file")
    options = parser.parse_args()

    asked = list(questions(options.questions))[:options.limit]
    if options.elsewhere:
        asked += list(questions(options.elsewhere))[:options.limit]
    hub = Hub(options.hearth)
    right, wrong = [], []
    try:
        for question, keys in asked:
            answer = hub.chat(options.model, [{"role": "user", "content": question}], 128)
            text = answer["choices"][0]["message"]["content"] or ""
            found = signals_of(answer, says_yes(hub, options.model, question, text))
            (right if keys and is_right(text, keys) else wrong).append(found)
    finally:
        hub.close()
    print(f"{options.model}: {len(right)} right answers, {len(wrong)} wrong ones")
    if not right or not wrong:
        raise SystemExit("nothing to tell apart")
    for name in right[0]:
        area = auroc([row[name] for row in right], [row[name] for row in wrong])
        print(f"  {name:12} AUROC {area:.3f} +- {standard_error(area, len(wrong), len(right)):.3f}")


if __name__ == "__main__":
    main()
