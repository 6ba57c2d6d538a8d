#!/usr/bin/env python3
"""The store as a user has it: import, run, remove; and every fault that a disk and a kill -9 bring.

HEARTH_KILLS says how many times a writer is killed (20; CONTRIBUTING.md names the long run).
"""

import json
import os
import random
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from hub_process import HEARTH, Home, Hub

KILLS = int(os.environ.get("HEARTH_KILLS", "20"))


class StoreTest(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.addCleanup(self.home.close)
        self.store = self.home.path / ".local/share/hearth/store"

    def run_ok(self, *args, **kwargs):
        done = self.home.run(*args, **kwargs)
        self.assertEqual(done.returncode, 0, f"{args}: {done.stderr}")
        return done.stdout

    def make_model(self, name, seed=1, kind="Q8_0"):
        path = self.home.path / f"{name}.gguf"
        self.run_ok("bench", "model", str(path), "--shape", "tiny", "--type", kind, "--seed", str(seed))
        return path

    def names(self, source="store"):
        return sorted(m["name"] for m in json.loads(self.run_ok("models", "list", "--json")) if m["source"] == source)

    def verify(self):
        done = self.home.run("models", "verify", "--json")
        report = json.loads(done.stdout)
        self.assertEqual(done.returncode, 6 if report["problems"] else 0, done.stderr)
        return report

    def packs(self):
        return sorted((self.store / "packs").glob("*.pack"))

    def ask(self, model, **fields):
        return self.home.run("ask", "--hub", "local", "-m", str(model), "-t", "0", "-n", "12", "--advice", "never", "one two three")

    def test_an_imported_model_answers_as_its_file_does(self):
        path = self.make_model("one")
        expected = self.ask(path)
        self.assertEqual(expected.returncode, 0, expected.stderr)
        self.run_ok("models", "import", str(path))
        self.assertEqual(self.names(), ["one"])
        self.assertEqual(self.ask("one").stdout, expected.stdout)
        path.unlink()  # The store does not need it.
        self.assertEqual(self.ask("one").stdout, expected.stdout)
        self.assertEqual(self.verify()["problems"], [])

    def test_the_same_weights_under_two_names_take_no_more_disk(self):
        path = self.make_model("one")
        self.run_ok("models", "import", str(path))
        report = json.loads(self.run_ok("models", "import", str(path), "--name", "a/b:c", "--json"))
        self.assertEqual(report["new_bytes"], 0)
        self.assertEqual(self.names(), ["a/b:c", "one"])
        again = self.home.run("models", "import", str(path))
        self.assertEqual(again.returncode, 2)
        self.assertIn("--force", again.stderr)
        self.run_ok("models", "import", str(path), "--force")
        self.run_ok("models", "rm", "one")
        self.assertEqual(self.verify()["problems"], [])
        self.assertEqual(len(self.packs()), 1)
        self.run_ok("models", "rm", "a/b:c")
        self.assertEqual(self.packs(), [])
        self.assertEqual(self.home.run("models", "rm", "one").returncode, 3)

    def test_a_file_that_was_imported_is_listed_once(self):
        self.home.make_model("two")
        self.assertEqual(self.names("config"), ["two"])
        self.run_ok("models", "import", "two")
        self.assertEqual((self.names("config"), self.names()), ([], ["two"]))
        self.run_ok("models", "rm", "two")
        self.assertEqual(self.names("config"), ["two"])

    def fine_tune(self, base, name, seed):
        """A copy of a file in half precision in which every third weight is a little larger."""
        rng = random.Random(seed)
        data = bytearray(base.read_bytes())
        # Weights take the last parts of the file; of a number, the first byte is the least.
        for at in range(len(data) // 2 & ~3, len(data), 2):
            if rng.random() < 1 / 3 and data[at] < 255:
                data[at] += 1
        path = self.home.path / f"{name}.gguf"
        path.write_bytes(data)
        return path

    def test_a_fine_tune_is_kept_as_a_difference_and_answers_alike(self):
        base = self.make_model("base", kind="F16")
        tuned = self.fine_tune(base, "tuned", 1)
        expected = self.ask(tuned).stdout
        missing = self.home.run("models", "import", str(tuned), "--delta-of", "base")
        self.assertEqual(missing.returncode, 3)
        self.run_ok("models", "import", str(base))
        report = json.loads(self.run_ok("models", "import", str(tuned), "--delta-of", "base", "--json"))
        self.assertEqual((report["form"], report["losses"]), ("exact", []))
        self.assertLess(report["new_bytes"], 0.6 * report["bytes"])
        tuned.unlink()
        self.assertEqual(self.ask("tuned").stdout, expected)
        with Hub(self.home) as hub:  # Restored layer by layer here, while it answers.
            body = {"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 8, "temperature": 0}
            answers = [hub.request("POST", "/v1/chat/completions", {**body, "model": m}) for m in ("tuned", "base", "tuned")]
            self.assertEqual([status for status, _, _ in answers], [200, 200, 200], answers)
            texts = [answer["choices"][0]["message"] for _, _, answer in answers]
            self.assertEqual(texts[0], texts[2])
        self.assertIn("difference of base", self.run_ok("models", "list"))
        self.assertIn("base of", self.run_ok("models", "show", "base"))
        refused = self.home.run("models", "rm", "base")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("is the base of tuned", refused.stderr)
        self.assertEqual(len(refused.stderr.strip().splitlines()), 1, refused.stderr)
        self.run_ok("models", "gc")
        self.assertEqual(self.verify()["problems"], [])
        self.run_ok("models", "rm", "tuned")
        self.run_ok("models", "rm", "base")
        self.assertEqual(self.packs(), [])

    def test_a_fine_tune_as_signs_or_as_an_adapter_says_what_it_costs(self):
        base = self.make_model("base", kind="F16")
        tuned = self.fine_tune(base, "tuned", 1)
        self.run_ok("models", "import", str(base))
        bit = json.loads(self.run_ok("models", "import", str(tuned), "--delta-of", "base", "--as", "1bit",
                                     "--name", "bit", "--json"))
        self.assertLess(bit["new_bytes"], bit["bytes"] / 8)
        low = json.loads(self.run_ok("models", "import", str(tuned), "--delta-of", "base", "--as", "lowrank:8",
                                     "--name", "low", "--json"))
        self.assertEqual(low["model"], "base@low")
        for report in (bit, low):
            self.assertGreater(report["divergence"]["tokens"], 100)
            self.assertGreater(len(report["losses"]), 5)
        self.assertEqual(self.ask("bit").returncode, 0)
        self.assertEqual(self.ask("base@low").returncode, 0)
        text = self.run_ok("models", "import", str(tuned), "--delta-of", "base", "--as", "1bit", "--name", "bit", "--force")
        self.assertIn("divergence", text)
        self.assertIn("relative error", text)
        self.assertEqual(self.home.run("models", "import", str(tuned), "--delta-of", "base", "--as", "2bit").returncode, 2)
        self.assertEqual(self.home.run("models", "import", str(tuned), "--as", "1bit").returncode, 2)
        self.assertEqual(self.home.run("models", "rm", "base").returncode, 2)
        for name in ("bit", "low", "base"):
            self.run_ok("models", "rm", name)
        self.assertEqual(self.packs(), [])

    def kill_at_random(self, rng, *args):
        """Starts a writer and kills it within the time that it takes; whether it was quicker."""
        process = subprocess.Popen([HEARTH, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=self.home.environment())
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        return process.wait() == 0

    def test_a_kill_at_any_moment_leaves_a_good_store(self):
        seed = int(os.environ.get("HEARTH_SEED", time.time()))
        print(f"{KILLS} kills, HEARTH_SEED={seed}")
        rng = random.Random(seed)
        kept = self.make_model("kept", 1)
        others = [self.make_model(f"other{i}", 2 + i) for i in range(3)]
        deltas = [self.fine_tune(kept, f"delta{i}", i) for i in range(2)]
        self.run_ok("models", "import", str(kept))
        self.run_ok("models", "import", str(deltas[0]), "--delta-of", "kept", "--name", "tuned")
        answer, tuned = self.ask("kept").stdout, self.ask("tuned").stdout
        for i in range(KILLS):
            path = rng.choice(others)
            verb = rng.choice(["import", "import", "delta", "delta", "adapter", "rm", "gc"])
            delta = ["import", str(rng.choice(deltas)), "--delta-of", "kept", "--force"]
            args = {"import": ["import", str(path), "--force"], "delta": delta,
                    "adapter": [*delta, "--as", "lowrank:2", "--name", "low"],
                    "rm": ["rm", path.stem], "gc": ["gc"]}[verb]
            self.kill_at_random(rng, "models", *args)
            report = self.verify()
            self.assertEqual(report["problems"], [], f"kill {i} of {verb}, seed {seed}")
            self.assertIn("kept", self.names())
        self.assertEqual((self.ask("kept").stdout, self.ask("tuned").stdout), (answer, tuned))
        for path in others:
            self.run_ok("models", "import", str(path), "--force")
        self.run_ok("models", "gc")
        self.assertEqual(self.verify()["problems"], [])
        leftovers = [p for p in self.store.rglob(".*") if p.is_file()]
        self.assertEqual(leftovers, [])

    def test_two_imports_at_once_both_succeed(self):
        paths = [self.make_model(f"m{i}", i) for i in range(3)]
        writers = [subprocess.Popen([HEARTH, "models", "import", str(p)], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE, text=True, env=self.home.environment()) for p in paths]
        for writer in writers:
            _, err = writer.communicate(timeout=60)
            self.assertEqual(writer.returncode, 0, err)
        self.assertEqual(self.names(), ["m0", "m1", "m2"])
        self.assertEqual(self.verify()["problems"], [])

    def flip(self, path, at):
        os.chmod(path, 0o644)
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))

    def test_a_flipped_byte_is_named_and_repaired_by_importing_again(self):
        path = self.make_model("one")
        self.run_ok("models", "import", str(path))
        pack = self.packs()[0]
        self.flip(pack, pack.stat().st_size - 100)
        report = self.verify()
        self.assertEqual(report["bad_models"], ["one"])
        self.run_ok("models", "import", str(path), "--force")
        self.run_ok("models", "gc")
        self.assertEqual(self.verify()["problems"], [])

    def test_a_hub_finds_a_flipped_byte_beside_its_work(self):
        self.run_ok("models", "import", str(self.make_model("one")))
        pack = self.packs()[0]
        self.flip(pack, pack.stat().st_size - 100)
        with Hub(self.home) as hub:
            body = {"model": "one", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
            deadline = time.monotonic() + 20
            status = 200
            while status == 200 and time.monotonic() < deadline:
                status, _, answer = hub.request("POST", "/v1/chat/completions", body)
                time.sleep(0.05)
            self.assertGreaterEqual(status, 500, answer)
            self.assertIn("damaged", hub.log_text())
            self.assertEqual(hub.request("GET", "/health")[0], 200)

    def test_a_damaged_manifest_is_one_clear_error(self):
        self.run_ok("models", "import", str(self.make_model("one")))
        self.flip(self.store / "models/one.model", 900)
        done = self.ask("one")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("import the model again", done.stderr)

    def test_a_pack_that_is_cut_off_while_it_runs_ends_an_answer_and_not_the_hub(self):
        path = self.make_model("one")
        self.run_ok("models", "import", str(path))
        self.home.make_model("two")
        with Hub(self.home) as hub:
            body = {"model": "one", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
            self.assertEqual(hub.request("POST", "/v1/chat/completions", body)[0], 200)
            pack = self.packs()[0]
            os.chmod(pack, 0o644)
            os.truncate(pack, 4096)
            for _ in range(2):  # What runs into it, and what would load it anew.
                status, _, answer = hub.request("POST", "/v1/chat/completions", body)
                self.assertGreaterEqual(status, 500, answer)
                self.assertIn("message", answer["error"])
            self.assertEqual(hub.request("GET", "/health")[0], 200)
            self.assertEqual(hub.request("POST", "/v1/chat/completions", {**body, "model": "two"})[0], 200)

    def test_ps_tells_what_is_in_memory(self):
        self.run_ok("models", "import", str(self.make_model("one")))
        before = {m["name"]: m for m in json.loads(self.run_ok("models", "ps", "--json"))["models"]}
        self.assertIn(before["one"]["state"], ("cached", "cold"))
        toml = '[models]\npinned = ["one"]\n'
        self.home.write_config(toml)
        with Hub(self.home) as hub:
            deadline = time.monotonic() + 20
            state = ""
            while state != "pinned" and time.monotonic() < deadline:
                report = hub.request("GET", "/hearth/v1/memory")[2]
                one = next(m for m in report["models"] if m["name"] == "one")
                state = one["state"]
                time.sleep(0.05)
            self.assertEqual(state, "pinned", report)
            self.assertTrue(one["loaded"])
            self.assertEqual(report["bytes_used"], one["bytes"])

    def test_removing_a_model_leaves_what_runs_alone(self):
        self.run_ok("models", "import", str(self.make_model("one")))
        with Hub(self.home) as hub:
            body = {"model": "one", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
            self.assertEqual(hub.request("POST", "/v1/chat/completions", body)[0], 200)
            self.run_ok("models", "rm", "one")
            self.assertEqual(hub.request("POST", "/v1/chat/completions", body)[0], 200)

    def mounted(self, options):
        """A tmpfs of its own, where this user may mount one."""
        folder = Path(tempfile.mkdtemp(prefix="hearth-tmpfs-"))
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        if done.returncode != 0:
            shutil.rmtree(folder)
            self.skipTest("only root can mount a small disk")
        self.addCleanup(lambda: (subprocess.run(["umount", str(folder)]), shutil.rmtree(folder, ignore_errors=True)))
        return folder

    def test_a_full_disk_is_one_clear_error(self):
        path = self.make_model("one")
        disk = self.mounted("size=3m")
        done = self.home.run("models", "import", str(path), XDG_DATA_HOME=str(disk))
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertEqual([p for p in (disk / "hearth/store/packs").iterdir()], [])
        verify = self.home.run("models", "verify", "--json", XDG_DATA_HOME=str(disk))
        self.assertEqual(json.loads(verify.stdout)["problems"], [])

    def test_a_read_only_disk_is_one_clear_error(self):
        path = self.make_model("one")
        disk = self.mounted("size=3m,ro")
        done = self.home.run("models", "import", str(path), XDG_DATA_HOME=str(disk))
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
