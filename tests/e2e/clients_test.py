#!/usr/bin/env python3
"""The clients that people use, unchanged, against a real hub: the openai, @anthropic-ai/sdk and ollama packages, the official MCP
clients and pi (tests/clients); MCP's conformance suite; and real calls against the hub's OpenAPI document."""

import json
import os
import subprocess
import unittest

from hub_process import HEARTH, ROOT, Home, Hub

SKIPPED = 77


class Clients(unittest.TestCase):
    def meet(self, client):
        with Home() as home, Hub(home) as hub:
            done = subprocess.run([ROOT / "tests/clients/run", hub.url, "auto", client], capture_output=True, text=True, timeout=600,
                                  env={**os.environ, "HEARTH": HEARTH})
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

    def test_mcp_packages(self):
        self.meet("mcp")

    def test_mcp_conformance(self):
        self.meet("mcp_conformance")

    def test_openapi_document(self):
        self.meet("openapi")

    def test_pi(self):
        self.meet("pi")


KERNEL = "HEARTH_KERNEL twice(f32* restrict out, const f32* restrict in, i64 n) { for (i64 k = 0; k < n; ++k) out[k] = 2 * in[k]; }"
CONTRACT = """name = "twice"
signature = "out f32[n], in f32[n], n i64"
tolerance_ulps = 1
determinism = "D1"
oracle = '''
HEARTH_ORACLE twice(f64* out, const f64* in, i64 n) { for (i64 k = 0; k < n; ++k) out[k] = 2 * in[k]; }
'''
"""


class Kernels(unittest.TestCase):
    """A kernel of the shelf, run by an MCP client that starts `hearth mcp`."""

    def call(self, process, request_id, tool, arguments):
        message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": {"name": tool, "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}}
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        self.assertEqual(answer["id"], request_id)
        return answer["result"]

    def test_a_kernel_of_the_shelf(self):
        with Home() as home:
            (home.path / "twice.cpp").write_text(KERNEL)
            (home.path / "twice.toml").write_text(CONTRACT)
            built = home.run("kernel", "build", str(home.path / "twice.cpp"), "--contract", str(home.path / "twice.toml"), timeout=120)
            if "can't be built" in built.stderr or "not installed" in built.stderr:
                self.skipTest(built.stderr)
            self.assertEqual(built.returncode, 0, built.stderr)
            with subprocess.Popen([HEARTH, "mcp", "--hub", "local"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=home.environment()) as process:
                listed = self.call(process, 1, "list_kernels", {})["structuredContent"]["kernels"]
                self.assertEqual([(kernel["name"], kernel["signature"]) for kernel in listed if kernel["origin"] == "verified"],
                                 [("twice", "out f32[n], in f32[n], n i64")])
                ran = self.call(process, "two", "run_kernel", {"name": "twice", "arrays": {"in": [1, -2.5, 0]}})
                self.assertEqual(ran["structuredContent"]["outputs"], {"out": {"dtype": "f32", "shape": [3], "data": [2, -5, 0]}})
                for arrays, says in ({"in": 3}, "arrays.in"), ({"in": [1], "out": [1]}, "out"), ({"in": [[1]]}, "arrays.in"), ({"inn": [1]}, "takes no 'inn'"):
                    wrong = self.call(process, 3, "run_kernel", {"name": "twice", "arrays": arrays})
                    self.assertTrue(wrong["isError"], arrays)
                    self.assertIn(says, wrong["content"][0]["text"])
                process.stdin.close()
                self.assertEqual(process.wait(20), 0)


if __name__ == "__main__":
    unittest.main()
