#!/usr/bin/env python3
"""Snapshots as a user has them: over restarts and kills, beside a second hub, listed, dropped, switched off.

HEARTH_KILLS says how many times a hub is killed (20; CONTRIBUTING.md names the long run).
"""

import contextlib
import json
import os
import random
import signal
import stat
import threading
import time
import unittest

from hub_process import Home, Hub

KILLS = int(os.environ.get("HEARTH_KILLS", "20"))


def prompt(seed, n_words=300):
    chance = random.Random(seed)
    return " ".join(chance.choice(("river", "stone", "cloud", "light", "ember")) + str(chance.randrange(100))
                    for _ in range(n_words))


class SnapshotsTest(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.addCleanup(self.home.close)
        self.home.make_model("small")
        self.folder = self.home.path / ".cache/hearth/snapshots"

    def configure(self, snapshots=""):
        self.home.write_config(f'[models]\nfolders = ["{self.home.models}"]\nscan = false\n[snapshots]\n{snapshots}\n')

    def files(self):
        return sorted(self.folder.glob("*.kv"))

    def ask(self, hub, text, **fields):
        """(text, usage of the receipt) of a greedy completion."""
        body = {"model": "small", "prompt": text, "max_tokens": 12, "temperature": 0, "ignore_eos": True, **fields}
        status, _, answer = hub.request("POST", "/v1/completions", body)
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]["text"], answer["hearth"]["usage"]

    def metric(self, hub, name):
        text = hub.request("GET", "/metrics")[2]
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(name + " ")))

    def test_a_restart_computes_nothing_twice(self):
        text = prompt(1)
        with Hub(self.home) as hub:
            answer, usage = self.ask(hub, text)
            self.assertEqual(usage["restored_tokens"], 0)
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o700)
        self.assertEqual({stat.S_IMODE(path.stat().st_mode) for path in self.files()}, {0o600})
        with Hub(self.home) as hub:
            again, usage = self.ask(hub, text)
            self.assertEqual(again, answer)
            self.assertEqual(usage["restored_tokens"], usage["prompt_tokens"])
            self.assertEqual(self.metric(hub, "hearth_snapshot_restores_total"), 1)
            self.assertEqual(self.metric(hub, "hearth_restored_tokens_total"), usage["prompt_tokens"])
            self.assertGreater(self.metric(hub, "hearth_snapshot_bytes"), 0)
            more, usage = self.ask(hub, text + again + " and then")
            self.assertGreater(usage["cached_tokens"], 0)
            # Dropped beside the hub: it goes on.
            done = self.home.run("snapshots", "drop")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.files(), [])
            self.assertEqual(self.ask(hub, text)[0], answer)
        with Hub(self.home) as hub:
            self.assertEqual(self.ask(hub, text)[0], answer)

    def test_listed(self):
        with Hub(self.home) as hub:
            self.ask(hub, prompt(1))
        listed = json.loads(self.home.run("snapshots", "list", "--json").stdout)
        self.assertEqual(sum(entry["bytes"] for entry in listed), sum(path.stat().st_size for path in self.files()))
        self.assertTrue(all(entry["usable"] for entry in listed))
        self.assertIn("LONGEST", self.home.run("snapshots", "list").stdout)

    def test_what_asks_not_to_be_kept_is_not(self):
        with Hub(self.home) as hub:
            self.ask(hub, prompt(1), store=False)
            self.ask(hub, prompt(2), prompt_cache_retention="in-memory")
            self.ask(hub, prompt(3, 10))
        self.assertEqual(self.files(), [])
        self.configure("unstored = true")
        with Hub(self.home) as hub:
            self.ask(hub, prompt(1), store=False)
        self.assertNotEqual(self.files(), [])
        self.home.run("snapshots", "drop")
        self.configure("enabled = false")
        with Hub(self.home) as hub:
            self.ask(hub, prompt(1))
        self.assertEqual(self.files(), [])

    def test_stays_within_its_limit(self):
        self.configure("disk_mib = 1")
        for run in range(2):
            with Hub(self.home) as hub:
                for i in range(6):
                    self.ask(hub, prompt(10 * run + i))
            self.assertLessEqual(sum(path.stat().st_size for path in self.files()), 1 << 20)
            self.assertNotEqual(self.files(), [])

    def test_two_hubs_share_the_folder(self):
        with Hub(self.home) as a, Hub(self.home) as b:
            for i in range(4):
                first, second = (a, b) if i % 2 == 0 else (b, a)
                n_before = len(self.files())
                answer, _ = self.ask(first, prompt(i))
                for _ in range(100):
                    if len(self.files()) >= n_before + 2:
                        break
                    time.sleep(0.02)
                again, usage = self.ask(second, prompt(i))
                self.assertEqual(again, answer)
                self.assertEqual(usage["cached_tokens"], usage["prompt_tokens"])
                # Other prompts in memory may begin with the same few tokens.
                self.assertGreater(usage["restored_tokens"], usage["prompt_tokens"] - 32)

    def test_kills_leave_nothing_bad(self):
        expected = {}
        started = time.monotonic()
        with Hub(self.home) as hub:
            for i in range(4):
                expected[i], _ = self.ask(hub, prompt(i), store=False)
        slow = max(1.0, (time.monotonic() - started) / 0.4)  # A sanitizer, or a busy machine.
        chance = random.Random(3)
        restored, wrong = 0, 0
        for _ in range(max(5, round(KILLS / slow))):
            hub = Hub(self.home)
            killer = threading.Timer(chance.uniform(0.05, 0.6) * slow, hub.process.send_signal, [signal.SIGKILL])
            killer.start()
            with contextlib.suppress(Exception):
                for i in range(200):
                    text, usage = self.ask(hub, prompt(i % 8))
                    restored += usage["restored_tokens"]
                    wrong += expected.get(i % 8, text) != text
            killer.join()
            hub.process.wait(20)
            hub.process.stdout.close()
            hub.log.close()
        with Hub(self.home) as hub:
            for i, answer in expected.items():
                text, usage = self.ask(hub, prompt(i))
                self.assertEqual(text, answer)
                restored += usage["restored_tokens"]
            self.assertEqual(self.metric(hub, "hearth_snapshots_damaged_total"), 0)
            self.ask(hub, prompt(1000))
        self.assertEqual(wrong, 0)
        self.assertGreater(restored, 0)
        self.assertEqual(list(self.folder.glob(".write-*")), [])


if __name__ == "__main__":
    unittest.main()
