#!/usr/bin/env python3
"""`hearth models quantize` as a user runs it: files in, files out, and every refusal in one sentence."""

import json
import os
import signal
import struct
import subprocess
import time
import unittest

from hf_folder import write_hf_folder
from hub_process import HEARTH, ROOT, Home, shared

EMBER = ROOT / "models/ember/ember.gguf"
WIDE = shared("parity/llama-wide-BF16.gguf")


def dat_importance(entries):
    """An importance matrix in the old binary format: {name: values}."""
    data = struct.pack("<i", len(entries))
    for name, values in entries.items():
        data += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, len(values))
        data += struct.pack(f"<{len(values)}f", *values)
    return data


class QuantizeTest(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.addCleanup(self.home.close)
        self.source = self.home.path / "source.gguf"
        self.out = self.home.path / "out.gguf"

    def make_source(self, kind="F16"):
        done = self.home.run("bench", "model", str(self.source), "--shape", "tiny", "--type", kind)
        self.assertEqual(done.returncode, 0, done.stderr)

    def quantize(self, *args, source=None, **kwargs):
        return self.home.run("models", "quantize", str(source or self.source), str(self.out), *args, **kwargs)

    def assert_refused(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(self.out.exists())

    def test_a_smaller_file_that_answers(self):
        self.make_source()
        done = self.quantize("--type", "Q4_K_M")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Q4_K", done.stdout)
        self.assertIn(f"hearth ask --model {self.out}", done.stdout)
        self.assertLess(self.out.stat().st_size, self.source.stat().st_size / 2)
        answer = self.home.run("ask", "--hub", "local", "-m", str(self.out), "-n", "3", "hello")
        self.assertEqual(answer.returncode, 0, answer.stderr)

    @unittest.skipUnless(WIDE, "SKIPPED: needs ../shared")
    def test_json_and_logits_near_the_original(self):
        done = self.quantize("--type", "q8_0", "--json", source=WIDE)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["path"], str(self.out))
        self.assertEqual(sum(share["bytes"] for share in report["types"]), report["bytes"])
        found, truth = (self.logits(path) for path in (self.out, WIDE))
        error = sum((a - b) ** 2 for a, b in zip(found, truth)) / sum(b * b for b in truth)
        self.assertLess(error ** 0.5, 0.02)

    def test_hugging_face_folder_is_the_same_model(self):
        for n_files in (1, 3):
            folder = self.home.path / f"ember-{n_files}"
            write_hf_folder(EMBER, folder, n_files)
            done = self.quantize("--type", "Q8_0", "--force", source=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.logits(self.out), self.logits(EMBER))
            ids = [self.home.run("inspect", "tokens", str(model), "--special", stdin="<|user|>It's 2026, naïve or not?")
                   for model in (self.out, EMBER)]
            self.assertEqual(ids[0].stdout, ids[1].stdout)
        self.assertEqual(self.home.run("ask", "--hub", "local", "-m", str(self.out), "-n", "5", "What is a receipt?")
                         .returncode, 0)

    def test_wrong_folders(self):
        folder = self.home.path / "model"
        folder.mkdir()
        self.assert_refused(self.quantize(source=folder), 3, "config.json")
        folder.rmdir()
        write_hf_folder(EMBER, folder)
        self.assert_refused(self.quantize(source=folder / "model.safetensors"), 2, "folder")
        weights = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(weights[:-100])
        self.assert_refused(self.quantize(source=folder), 6, "model.safetensors", "download")
        (folder / "model.safetensors").write_bytes(weights)
        config = json.loads((folder / "config.json").read_text())
        for change, code, word in (({"architectures": ["WarpForCausalLM"]}, 1, "WarpForCausalLM"),
                                   ({"hidden_act": "relu"}, 1, "relu"), ({"num_hidden_layers": 9}, 6, "blk.3"),
                                   ({"quantization_config": {"quant_method": "awq"}}, 1, "quantised already")):
            (folder / "config.json").write_text(json.dumps({**config, **change}))
            self.assert_refused(self.quantize(source=folder), code, word)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer.json").unlink()
        self.assert_refused(self.quantize(source=folder), 3, "tokenizer.json")

    def logits(self, model):
        path = self.home.path / "logits"
        done = self.home.run("inspect", "logits", str(model), "--tokens", "1 300 301 402", "--out", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        data = path.read_bytes()
        return struct.unpack(f"<{len(data) // 4}f", data)

    @unittest.skipUnless(WIDE, "SKIPPED: needs ../shared")
    def test_importance_matrix(self):
        path = self.home.path / "imatrix.dat"
        path.write_bytes(dat_importance({"blk.0.attn_q.weight": [float(1 + i % 7) for i in range(256)]}))
        done = self.quantize("--type", "Q4_K_M", "--imatrix", str(path), source=WIDE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("guided 1 of", done.stderr)
        self.out.unlink()
        path.write_bytes(dat_importance({"blk.0.attn_q.weight": [1.0] * 64}))
        self.assert_refused(self.quantize("--imatrix", str(path), source=WIDE), 2, "64 values", "256 inputs")
        path.write_bytes(b"these are no numbers")
        self.assert_refused(self.quantize("--imatrix", str(path), source=WIDE), 6, "imatrix.dat")
        path.unlink()
        self.assert_refused(self.quantize("--imatrix", str(path), source=WIDE), 3, "imatrix.dat")

    def test_wrong_use(self):
        self.assert_refused(self.quantize(source=self.home.path / "none.gguf"), 3, "none.gguf")
        self.make_source("Q8_0")
        self.assert_refused(self.quantize("--type", "Q9_X"), 2, "Q9_X", "Q4_K_M")
        self.assert_refused(self.quantize("--type", "Q4_0"), 2, "--allow-requantize", "Q8_0")
        self.assertEqual(self.quantize("--type", "Q4_0", "--allow-requantize").returncode, 0)
        before = self.out.read_bytes()
        again = self.quantize("--type", "Q4_0", "--allow-requantize")
        self.assertEqual(again.returncode, 2)
        self.assertIn("--force", again.stderr)
        self.assertEqual(self.out.read_bytes(), before)
        self.assertEqual(self.quantize("--type", "Q4_0", "--allow-requantize", "--force").returncode, 0)
        self.assertEqual(self.out.read_bytes(), before)

    def test_wrong_files(self):
        self.make_source()
        data = self.source.read_bytes()
        self.source.write_bytes(data[:-5000])
        self.assert_refused(self.quantize(), 6, "source.gguf", "download")
        self.source.write_text("my notes " * 100)
        self.assert_refused(self.quantize(), 6, "source.gguf", "GGUF")
        self.assert_refused(self.home.run("models", "quantize", str(self.source),
                                          str(self.home.path / "no/such/folder.gguf")), 6)

    def test_interrupt_leaves_nothing(self):
        done = self.home.run("bench", "model", str(self.source), "--shape", "0.5b", "--type", "Q8_0", timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        process = subprocess.Popen([HEARTH, "models", "quantize", str(self.source), str(self.out), "--type", "Q4_K_M",
                                    "--allow-requantize"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=self.home.environment())
        while not list(self.home.path.glob("out.gguf*")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual(out, "")
        self.assertIn("nothing was written", err)
        self.assertEqual(list(self.home.path.glob("out.gguf*")), [])

    @unittest.skipIf(os.geteuid() == 0, "SKIPPED: root may write anywhere")
    def test_folder_without_permission(self):
        self.make_source()
        closed = self.home.path / "closed"
        closed.mkdir(0o500)
        done = self.home.run("models", "quantize", str(self.source), str(closed / "out.gguf"))
        self.assertEqual(done.returncode, 5, done.stderr)


if __name__ == "__main__":
    unittest.main()
