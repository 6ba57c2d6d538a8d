#!/usr/bin/env python3
"""The providers' own clients beside Hearth: both ask the same of the same emulators.

What the clients send, Hearth must send in the same form (path, kinds of headers, and every field that both
have); what the emulators answer, the clients must understand as Hearth does, or the emulators prove nothing.
Exits 77 (skipped) where the clients are not installed (tests/clients/run installs them).
"""

import json
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from emulator import ARGUMENTS, KEYS, MODELS, PRICES, WIRES, Emulator, words  # noqa: E402
from hub_process import ROOT, Home, Hub  # noqa: E402

CLIENTS = Path(os.environ.get("HEARTH_CLIENTS_DIR", ROOT / "build/clients"))
TOOL = {"name": "weather", "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
SYSTEM, MAX_TOKENS = "Be brief.", 96
JOBS = [(wire, scenario, seed) for wire in WIRES for scenario, seed in (("ok", 1), ("split", 2), ("calls", 3))]
FINISH = {"stop": {"stop", "completed", "end_turn", "STOP"}, "tool_calls": {"tool_calls", "completed", "tool_use", "STOP"}}
# Headers that say nothing of the form: who asks, and how the connection is kept.
OF_NO_INTEREST = {"user-agent", "host", "content-length", "connection", "accept", "accept-language", "accept-encoding",
                  "sec-fetch-mode", "retry-after", "transfer-encoding"}


def node():
    for candidate in [shutil.which("node"), *CLIENTS.glob("node/node_modules/*/bin/node")]:
        if candidate and int(subprocess.run([candidate, "-p", 'process.versions.node.split(".")[0]'], capture_output=True,
                                            text=True).stdout or 0) >= 20:
            return str(candidate)
    return None


def content_of(scenario, seed):
    return f"scenario={scenario} seed={seed} Grüße!"


def missing_from(ours, theirs, path=""):
    """Where `ours` says something that `theirs` does not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [hit for key, value in ours.items() for hit in
                (missing_from(value, theirs[key], f"{path}.{key}") if key in theirs else [f"{path}.{key}"])]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [hit for i, value in enumerate(ours) for hit in missing_from(value, theirs[i], f"{path}[{i}]")]
    return [] if ours == theirs else [f"{path}: {ours!r}, {theirs!r}"]


class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.theirs = {wire: Emulator(wire) for wire in WIRES}
        cls.ours = {wire: Emulator(wire) for wire in WIRES}
        jobs = [{"wire": wire, "url": cls.theirs[wire].url, "key": KEYS[wire], "model": MODELS[wire], "system": SYSTEM,
                 "content": content_of(scenario, seed), "tool": TOOL if scenario == "calls" else None, "max": MAX_TOKENS}
                for wire, scenario, seed in JOBS]
        done = subprocess.run([node(), Path(__file__).with_name("sdk.mjs")], input=json.dumps(jobs), capture_output=True, text=True,
                              timeout=120, env={"CLIENTS": str(CLIENTS), "PATH": "/usr/bin:/bin", "NO_PROXY": "127.0.0.1"})
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        cls.results = json.loads(done.stdout)

    @classmethod
    def tearDownClass(cls):
        for emulator in [*cls.theirs.values(), *cls.ours.values()]:
            emulator.close()

    def test_the_clients_understand_the_emulators(self):
        for (wire, scenario, seed), result in zip(JOBS, self.results):
            self.assertEqual(result.get("text"), words(seed), f"{wire} {scenario}: {result}")
            calls = [json.loads(call) for call in result["calls"]]
            self.assertEqual(calls, [json.loads(ARGUMENTS)] if scenario == "calls" else [], f"{wire} {scenario}")
            self.assertIn(result["finish"], FINISH["tool_calls" if scenario == "calls" else "stop"])
            call = next(c for c in self.theirs[wire].calls if c.scenario == scenario)
            usage = self.theirs[wire].usage_of(call.body, json.loads(call.body), seed)
            self.assertEqual((result["prompt"], result["output"]), (usage.prompt, usage.output), f"{wire} {scenario}")

    def test_hearth_asks_as_the_clients_do(self):
        toml = "".join(
            f'[[upstreams]]\nname = "{wire}"\nurl = "{emulator.url}"\nwire = "{wire}"\nlocal = false\nkey_env = "KEY_{wire.upper()}"\n'
            f"price_in_usd_per_mtok = {PRICES[wire][0]}\nprice_out_usd_per_mtok = {PRICES[wire][3]}\n"
            for wire, emulator in self.ours.items())
        with Home(toml) as home, Hub(home, **{f"KEY_{wire.upper()}": key for wire, key in KEYS.items()}) as hub:
            for wire, scenario, seed in JOBS:
                body = {"model": f"{wire}/{MODELS[wire]}", "max_tokens": MAX_TOKENS,
                        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content_of(scenario, seed)}]}
                if scenario == "calls":
                    body["tools"] = [{"type": "function", "function": TOOL}]
                status, _, answer = hub.request("POST", "/v1/chat/completions", body)
                self.assertEqual(status, 200, answer)
        for wire in WIRES:
            self.assertEqual(self.ours[wire].strangers, [])
            for ours, theirs in zip(self.ours[wire].calls, self.theirs[wire].calls):
                what = f"{wire} {ours.scenario}"
                self.assertEqual(ours.path, theirs.path, what)
                names = {name.lower() for name in ours.headers} - OF_NO_INTEREST
                self.assertLessEqual(names, {name.lower() for name in theirs.headers}, what)
                self.assertEqual(missing_from(json.loads(ours.body), json.loads(theirs.body)), [], what)


if __name__ == "__main__":
    if not (CLIENTS / "node_modules/@google/genai").exists() or not node():
        print(f"the providers' clients are not installed in {CLIENTS}: tests/clients/run installs them", file=sys.stderr)
        sys.exit(77)
    unittest.main()
