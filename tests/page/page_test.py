#!/usr/bin/env python3
"""The page in Debian's Chromium, served by a real hub with small models: tests/page/*.mjs by playwright-core and axe;
and what an attacker would send to that hub (docs/design/0029-more-of-the-page.md lists all that is tried)."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from adviser_server import AdviserServer  # noqa: E402
from hub_process import Home, Hub  # noqa: E402
from registry import Registry  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
KEY = "sk-test-0123456789abcdefghij"
HOST = "Host: 127.0.0.1\r\n"


def why_not():
    """What is missing for these tests; empty if nothing is."""
    if not shutil.which("node"):
        return "node is not installed"
    if not Path(CHROMIUM).exists():
        return f"Chromium is not installed ({CHROMIUM})"
    if not (ROOT / "web/node_modules/playwright-core").exists():
        return "the page's packages are not installed (npm could not, or HEARTH_WEB is off)"
    return ""


def model_to_pull(home):
    """Bytes of a model that is not in the hub's folders."""
    home.make_model("pulled")
    path = home.models / "pulled.gguf"
    data = path.read_bytes()
    path.unlink()
    return data


class Page(unittest.TestCase):
    def test_in_chromium(self):
        if why_not():
            self.skipTest(f"SKIPPED: {why_not()}")
        with AdviserServer() as adviser, Home(adviser.toml()) as home, Registry(model_to_pull(home)) as registry:
            (home.path / ".config/hearth/policy.toml").write_text('[actions]\nprivate = "ask"\n')
            for name in ("tiny-a", "tiny-b", "tiny-c"):
                home.make_model(name)
            with Hub(home, TEST_ADVISER_KEY=KEY, HEARTH_OLLAMA_REGISTRY=registry.url, HF_ENDPOINT=registry.url) as hub:
                if "page is not in this program" in hub.request("GET", "/")[2]:
                    self.skipTest("SKIPPED: this program was built without the page")
                done = subprocess.run(["node", ROOT / "tests/page/run.mjs", hub.url], capture_output=True, text=True,
                                      timeout=840, env={**os.environ, "CHROMIUM": CHROMIUM})
                print(done.stdout[-20_000:])
                self.assertEqual(done.returncode, 0, done.stdout[-20_000:] + done.stderr[-5_000:])
                self.assert_key_nowhere(home, hub)
            for name, starts in registry.starts.items():
                self.assertEqual(starts[0], 0, name)
                self.assertGreater(starts[-1], 0, f"{name} was fetched again from its beginning")
            self.assertEqual(set(registry.starts), {"good", "stalled"})

    def assert_key_nowhere(self, home, hub):
        """The adviser's key is in no file of the hub's and in nothing that it says."""
        for path in home.path.rglob("*"):
            if path.is_file():
                self.assertNotIn(KEY.encode(), path.read_bytes(), path)
        for path in ("/metrics", "/hearth/v1/receipts", "/hearth/v1/ledger", "/hearth/v1/memory", "/hearth/v1/conversations", "/props"):
            self.assertNotIn(KEY, str(hub.request("GET", path)[2]), path)


# Raw requests, and the status line's number that each gets.
ATTACKS = [
    ("DNS rebinding", "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    ("rebinding to a name like ours", "GET /v1/models HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 403),
    ("two hosts", f"GET /v1/models HTTP/1.1\r\n{HOST}Host: evil.example\r\n\r\n", 400),
    ("no host", "GET /v1/models HTTP/1.1\r\n\r\n", 400),
    ("another origin reads", f"GET /v1/models HTTP/1.1\r\n{HOST}Origin: https://evil.example\r\n\r\n", 403),
    ("another origin acts", f"POST /models/load HTTP/1.1\r\n{HOST}Origin: null\r\nContent-Length: 2\r\n\r\n{{}}", 403),
    ("another port's page", f"GET /v1/models HTTP/1.1\r\n{HOST}Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n\r\n", 403),
    ("another origin deletes", f"DELETE /hearth/v1/conversations/a HTTP/1.1\r\n{HOST}Origin: https://evil.example\r\n\r\n", 403),
    ("traversal", f"GET /assets/../../../../etc/passwd HTTP/1.1\r\n{HOST}\r\n", 404),
    ("escaped traversal", f"GET /assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\n{HOST}\r\n", 404),
    ("traversal to a conversation", f"GET /hearth/v1/conversations/..%2f..%2fledger.db HTTP/1.1\r\n{HOST}\r\n", 404),
    ("an escaped NUL", f"GET /hearth/v1/receipts/a%00 HTTP/1.1\r\n{HOST}\r\n", 404),
    ("a bomb of headers", f"GET / HTTP/1.1\r\n{HOST}X: {'x' * 40_000}\r\n\r\n", 431),
    ("a bomb of a target", f"GET /{'a' * 40_000} HTTP/1.1\r\n{HOST}\r\n", 431),
    ("a bomb of a body", f"POST /v1/chat/completions HTTP/1.1\r\n{HOST}Content-Length: 99999999999\r\n\r\n", 413),
    ("a compressed body", f"POST /v1/chat/completions HTTP/1.1\r\n{HOST}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}", 415),
    ("deep JSON", f"POST /v1/chat/completions HTTP/1.1\r\n{HOST}Content-Length: 200000\r\n\r\n{'[' * 200_000}", 400),
    ("a smuggled request", f"POST /v1/models HTTP/1.1\r\n{HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
]


class Attacks(unittest.TestCase):
    def status_of(self, hub, raw):
        with contextlib.closing(socket.create_connection((hub.host, hub.port), timeout=30)) as peer:
            with contextlib.suppress(OSError):  # The hub may answer, and close, before it read all.
                peer.sendall(raw.encode())
            return int(peer.makefile("rb").readline().split()[1])

    def test_what_an_attacker_would_send(self):
        with Home() as home, Hub(home) as hub:
            for name, raw, status in ATTACKS:
                with self.subTest(name):
                    self.assertEqual(self.status_of(hub, raw), status)
            self.assertEqual(hub.request("GET", "/health")[0], 200)


if __name__ == "__main__":
    unittest.main()
