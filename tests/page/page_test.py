#!/usr/bin/env python3
"""The page in Debian's Chromium, served by a real hub with small models: tests/page/*.mjs by playwright-core and axe."""

import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from adviser_server import AdviserServer  # noqa: E402
from hub_process import Home, Hub  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


def why_not():
    """What is missing for these tests; empty if nothing is."""
    if not shutil.which("node"):
        return "node is not installed"
    if not Path(CHROMIUM).exists():
        return f"Chromium is not installed ({CHROMIUM})"
    if not (ROOT / "web/node_modules/playwright-core").exists():
        return "the page's packages are not installed (npm could not, or HEARTH_WEB is off)"
    return ""


class Page(unittest.TestCase):
    def test_in_chromium(self):
        if why_not():
            self.skipTest(f"SKIPPED: {why_not()}")
        with AdviserServer() as adviser, Home(adviser.toml()) as home:
            (home.path / ".config/hearth/policy.toml").write_text('[actions]\nprivate = "ask"\n')
            for name in ("tiny-a", "tiny-b", "tiny-c"):
                home.make_model(name)
            with Hub(home, TEST_ADVISER_KEY="sk-test-0123456789abcdefghij") as hub:
                if "page is not in this program" in hub.request("GET", "/")[2]:
                    self.skipTest("SKIPPED: this program was built without the page")
                done = subprocess.run(["node", ROOT / "tests/page/run.mjs", hub.url], capture_output=True, text=True,
                                      timeout=300, env={**os.environ, "CHROMIUM": CHROMIUM})
                print(done.stdout[-20_000:])
                self.assertEqual(done.returncode, 0, done.stdout[-20_000:] + done.stderr[-5_000:])


if __name__ == "__main__":
    unittest.main()
