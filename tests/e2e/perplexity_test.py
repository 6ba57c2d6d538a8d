#!/usr/bin/env python3
"""`hearth inspect perplexity` against its definition computed here, and against llama-perplexity.

LLAMA_PERPLEXITY=path runs that program beside on a trained model and on one of a real shape; without
it, figures that it once printed are what is compared with.
"""

import array
import json
import math
import os
import re
import subprocess
import unittest
from pathlib import Path

from hub_process import ROOT, Home, shared

MODEL = shared("models/dreams-230k.gguf")
EMBER = ROOT / "models/ember/ember.gguf"
PEER = os.environ.get("LLAMA_PERPLEXITY")
AGREEMENT = 0.005
# Printed by llama-perplexity (llama.cpp b9749, -c 128) for the story below.
RECORDED = {"F32": 378.8193, "F16": 378.8563, "Q8_0": 378.7223, "Q4_0": 381.8922}

STORY = """\
Once upon a time, there was a little girl named Lily. She lived in a small house near a big tree. One day, Lily saw a \
small red bird in the tree. The bird was sad. "Why are you sad?" asked Lily. "I lost my nest," said the bird. "The wind \
took it away." Lily wanted to help. She ran to her mom and said, "Mom, the bird lost its nest! Can we make a new one?" \
Her mom smiled and said, "Yes, let us find some sticks and some soft grass." They walked to the park and looked for \
sticks. Lily found a long stick and a short stick. Her mom found soft grass. They put the sticks and the grass in the \
tree. The bird was very happy. It sang a song for Lily. Every day, Lily came to the tree and the bird sang for her. They \
were good friends. The end.
One day, a boy named Tim went to the store with his dad. Tim saw a big blue ball. He wanted the ball very much. "Dad, \
can I have the ball?" he asked. His dad said, "If you help me clean the room, you can have the ball." Tim was happy. He \
went home and cleaned his room. He put all his toys in the box. His dad was proud. The next day, they went to the store \
and bought the big blue ball. Tim played with the ball all day. He shared it with his friend Sam. They ran and jumped \
and laughed. Then it was time to go home. Tim said, "Thank you, Dad. I love my ball." And they lived happily ever after.
"""


class Perplexity(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.addCleanup(self.home.close)

    def hearth(self, *args, **kinds):
        done = self.home.run(*map(str, args), timeout=280, **kinds)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def measure(self, model, text, *args):
        return json.loads(self.hearth("inspect", "perplexity", model, "--file", "-", "--json", *args, stdin=text))

    def quantised(self, source, type_name):
        out = self.home.path / f"{Path(source).stem}-{type_name}.gguf"
        self.hearth("models", "quantize", source, out, "--type", type_name, "--allow-requantize")
        return out

    @unittest.skipUnless(MODEL, "SKIPPED: needs ../shared")
    def test_definition(self):
        """Chunks of 128, BOS first in each, logits of positions 64 to 126 scored, all in double."""
        context, text = 128, STORY.rstrip("\n")
        model = self.quantised(MODEL, "Q8_0")
        bos = 1
        ids = [bos, *map(int, self.hearth("inspect", "tokens", model, stdin=text).split())]
        surprise = scored = 0
        for begin in range(0, len(ids) // context * context, context):
            chunk = [bos, *ids[begin + 1:begin + context]]
            out = self.home.path / "logits"
            self.hearth("inspect", "logits", model, "--tokens", " ".join(map(str, chunk)), "--out", out)
            logits = array.array("f", out.read_bytes())
            n_vocab = len(logits) // context
            for at in range(context // 2, context - 1):
                row = logits[at * n_vocab:(at + 1) * n_vocab]
                top = max(row)
                surprise += top + math.log(math.fsum(math.exp(x - top) for x in row)) - row[chunk[at + 1]]
                scored += 1
        found = self.measure(model, STORY, "--context", str(context))
        self.assertEqual((found["tokens"], found["scored_tokens"], found["chunks"]), (len(ids), scored, 6))
        self.assertAlmostEqual(found["perplexity"] / math.exp(surprise / scored), 1, delta=1e-4)

    @unittest.skipUnless(MODEL, "SKIPPED: needs ../shared")
    def test_recorded_figures(self):
        for type_name, recorded in RECORDED.items():
            model = MODEL if type_name == "F32" else self.quantised(MODEL, type_name)
            found = self.measure(model, STORY, "--context", "128")["perplexity"]
            print(f"{type_name}: {found:.4f}, llama-perplexity {recorded:.4f}, apart {abs(found / recorded - 1):.3%}")
            self.assertLess(abs(found / recorded - 1), AGREEMENT, type_name)

    @unittest.skipUnless(PEER, "SKIPPED: LLAMA_PERPLEXITY names no program")
    def test_beside_llama_perplexity(self):
        answers = "\n".join(line[3:] for line in (ROOT / "models/ember/facts.txt").read_text().splitlines()
                            if line.startswith("A: "))
        file = self.home.path / "answers.txt"
        file.write_text(answers)
        real = self.home.path / "0.5b-Q4_K_M.gguf"
        self.hearth("bench", "model", real, "--shape", "0.5b", "--type", "Q4_K_M")
        for model, chunks in ((EMBER, 8), (self.quantised(EMBER, "Q4_K_M"), 8), (real, 2)):
            found = self.measure(model, answers, "--chunks", str(chunks))["perplexity"]
            done = subprocess.run([PEER, "-m", model, "-f", file, "-c", "512", "--chunks", str(chunks)],
                                  capture_output=True, text=True, timeout=280)
            printed = re.search(r"Final estimate: PPL = ([\d.]+)", done.stdout + done.stderr)
            self.assertTrue(printed, done.stderr[-2000:])
            peer = float(printed[1])
            print(f"{model.name}: {found:.4f}, llama-perplexity {peer:.4f}, apart {abs(found / peer - 1):.3%}")
            self.assertLess(abs(found / peer - 1), AGREEMENT, model.name)

    def test_what_cannot_be_measured_is_said(self):
        done = self.home.run("inspect", "perplexity", str(EMBER), "--file", "-", stdin="too short")
        self.assertEqual(done.returncode, 2)
        self.assertIn("1024 are needed for a context of 512", done.stderr)


if __name__ == "__main__":
    unittest.main()
