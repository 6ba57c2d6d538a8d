#!/usr/bin/env python3
"""`hearth inspect` held against the references in ../shared: logits, token ids, template renders."""

import array
import json
import math
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hub_process import Home, shared

INDEX = shared("parity/index.json")
VOCAB = shared("vocab")
TEMPLATES = shared("templates/chat_templates.json")
ARCHITECTURES = ("llama", "qwen2", "qwen3")
TYPES = ("F16", "Q8_0", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "BF16")
F16_ERROR_MAX = 2e-3
PEER_FACTOR_MAX = 1.3
TEMPLATES_EQUAL_MIN = 30


def floats(path):
    values = array.array("f")
    values.frombytes(Path(path).read_bytes())
    return values


def relative_error(ours, true):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(ours, true)) / sum(b * b for b in true))


class Inspect(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.addCleanup(self.home.close)

    @unittest.skipUnless(INDEX, "SKIPPED: needs ../shared")
    def test_logits_within_their_bounds(self):
        index = json.loads(INDEX.read_text())
        tokens = " ".join(map(str, index["tokens"]))
        rows = {name: row for name, row in index["rows"].items()
                if row["adapter"] is None and name.split("-")[0] in ARCHITECTURES and name.rsplit("-", 1)[1] in TYPES}
        self.assertEqual(len(rows), 9, sorted(rows))
        for name, row in rows.items():
            out = self.home.path / "logits"
            done = self.home.run("inspect", "logits", str(INDEX.parent / row["model"]), "--tokens", tokens, "--out", str(out))
            self.assertEqual(done.returncode, 0, done.stderr)
            ours, true = floats(out), floats(INDEX.parent / f"{name}.logits")
            self.assertEqual(len(ours), len(true))
            error = relative_error(ours, true)
            bound = F16_ERROR_MAX if name.endswith("-F16") else PEER_FACTOR_MAX * row["peer_relative_error"]
            print(f"{name}: error {error:.2e}, bound {bound:.2e}, peer {row['peer_relative_error']:.2e}")
            self.assertLessEqual(error, bound, name)

    @unittest.skipUnless(INDEX, "SKIPPED: needs ../shared")
    def test_logits_with_adapters_within_their_bounds(self):
        index = json.loads(INDEX.read_text())
        tokens = " ".join(map(str, index["tokens"]))
        rows = {name: row for name, row in index["rows"].items() if row["adapter"]}
        self.assertEqual(len(rows), 3)
        for name, row in rows.items():
            out = self.home.path / "logits"
            done = self.home.run("inspect", "logits", str(INDEX.parent / row["model"]), "--adapter",
                                 str(INDEX.parent / row["adapter"]), "--tokens", tokens, "--out", str(out))
            self.assertEqual(done.returncode, 0, done.stderr)
            error = relative_error(floats(out), floats(INDEX.parent / f"{name}.logits"))
            print(f"{name}: error {error:.2e}, peer {row['peer_relative_error']:.2e}")
            self.assertLessEqual(error, PEER_FACTOR_MAX * row["peer_relative_error"], name)
        wrong = self.home.run("inspect", "logits", str(INDEX.parent / "llama-F16.gguf"), "--adapter",
                              str(INDEX.parent / "qwen3-lora.gguf"), "--tokens", "1", "--out", str(out))
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("qwen3", wrong.stderr)

    @unittest.skipUnless(INDEX, "SKIPPED: needs ../shared")
    def test_adapters_are_listed_beside_models(self):
        config = self.home.path / "adapters.toml"
        config.write_text(f'[models]\nscan = false\nfolders = ["{INDEX.parent}"]\n')
        done = self.home.run("--config", str(config), "--json", "models", "list")
        self.assertEqual(done.returncode, 0, done.stderr)
        kinds = {entry["name"]: entry["kind"] for entry in json.loads(done.stdout)}
        self.assertEqual(kinds["qwen3-lora"], "adapter")
        self.assertEqual(kinds["qwen3-F16"], "model")
        shown = self.home.run("models", "show", "qwen3-F16@qwen3-lora", "--config", str(config))
        self.assertIn("MODEL@qwen3-lora", shown.stdout)
        self.assertIn("qwen3-F16", shown.stdout)

    @unittest.skipUnless(VOCAB, "SKIPPED: needs ../shared")
    def test_token_ids_equal(self):
        files = sorted(VOCAB.glob("*.gguf"))
        self.assertEqual(len(files), 7)
        for file in files:
            texts = file.with_suffix(".inp").read_text().split("\n__ggml_vocab_test__\n")
            ids = file.with_suffix(".out").read_text().split("\n")
            with ThreadPoolExecutor(2) as pool:
                ours = list(pool.map(lambda text: self.home.run("inspect", "tokens", str(file), stdin=text), texts))
            for number, (text, done) in enumerate(zip(texts, ours)):
                expected = ids[number] if number < len(ids) else ""
                self.assertEqual(done.stdout.split(), expected.split(), f"{file.name}: {text!r}: {done.stderr}")
            print(f"{file.stem}: {len(texts)} texts equal")

    @unittest.skipUnless(TEMPLATES, "SKIPPED: needs ../shared")
    def test_templates_equal(self):
        data = json.loads(TEMPLATES.read_text())
        wrong = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, source in data["templates"].items():
                (Path(folder) / name).write_text(source)

            def check(numbered):
                number, row = numbered
                template, context = Path(folder) / row["template"], Path(folder) / f"{number}.json"
                context.write_text(json.dumps(row["context"]))
                done = self.home.run("inspect", "template", str(template), "--context", str(context), "--now", data["now"])
                right = done.returncode != 0 if "error" in row else (done.returncode == 0 and done.stdout == row["output"])
                if not right:
                    wrong.setdefault(row["template"], []).append((row["case"], done.stderr.strip()))
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(check, enumerate(data["rows"])))
        equal = len(data["templates"]) - len(wrong)
        print(f"{equal} of {len(data['templates'])} templates equal on every row; not: {wrong}")
        self.assertGreaterEqual(equal, TEMPLATES_EQUAL_MIN)

    def test_each_wrong_use_is_one_sentence(self):
        for args, word in ((["gguf", "/no/such"], "/no/such"), (["logits", "ember", "--tokens", "1 -2", "--out", "/dev/null"], "-2"),
                           (["logits", "ember", "--tokens", "1 x", "--out", "/dev/null"], "x")):
            done = self.home.run("inspect", *args)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(word, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
