#!/usr/bin/env python3
"""The clients that people use, unchanged, against a real hub: the openai, @anthropic-ai/sdk and ollama packages and pi (tests/clients)."""

import subprocess
import unittest

from hub_process import ROOT, Home, Hub

SKIPPED = 77


class Clients(unittest.TestCase):
    def meet(self, client):
        with Home() as home, Hub(home) as hub:
            done = subprocess.run([ROOT / "tests/clients/run", hub.url, "auto", client], capture_output=True, text=True, timeout=600)
            print(done.stdout)
            if done.returncode == SKIPPED:
                self.skipTest(f"SKIPPED: {done.stderr.strip()}")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_openai_package(self):
        self.meet("openai")

    def test_anthropic_package(self):
        self.meet("anthropic")

    def test_ollama_package(self):
        self.meet("ollama")

    def test_pi(self):
        self.meet("pi")


if __name__ == "__main__":
    unittest.main()
