#!/usr/bin/env python3
"""A thousand mixed requests through a real hub to emulated providers that misbehave.

What must hold, whatever is scripted and however slow the machine is:
  * what the hub charges is what the provider bills, to the micro-dollar, wherever a client can know the
    bill, and never less than the bill nor more than was reserved where it can't;
  * no money stays reserved, no request and no day is over its budget;
  * what the providers received is what the ledger recorded, byte for byte, and nothing else;
  * each call has its label, and no address leaves;
  * every row of the ledger verifies, by Hearth and without it.
"""

import collections
import concurrent.futures
import json
import random
import socket
import sqlite3
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from emulator import ARGUMENTS, KEYS, MODELS, PRICES, WIRES, Emulator, words  # noqa: E402
from hub_process import ROOT, Home, Hub  # noqa: E402

N_DIRECT = 222   # For each wire,
N_ADVISED = 112  # and so many for the advisers: a thousand in all.
MAX_TOKENS = 96
REQUEST_USD = 0.02
# What to ask for, and how often.
SCENARIOS = {
    "ok": 60, "split": 16, "whole": 10, "calls": 20, "refusal": 6, "hangup_at_end": 8,
    "rate_limit": 12, "busy": 10, "error_first": 8, "cut_first": 3,
    "spent": 6, "bad_request": 6, "no_access": 4,
    "cut_middle": 8, "error_middle": 6, "no_usage": 6, "html": 4, "torn": 6,
    "lie_zero": 4, "lie_huge": 4, "lie_negative": 4, "lie_parts": 4,
    "over_budget": 6,
}
GOOD = {"ok", "split", "whole", "calls", "hangup_at_end", "rate_limit", "busy", "error_first", "cut_first", "no_usage",
        "lie_zero", "lie_huge", "lie_negative", "lie_parts", "refusal"}
# Those that a circuit breaker counts; five in a row would open it.
FAILING = {"cut_middle", "error_middle", "html", "torn", "busy", "error_first", "cut_first"}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tells the weather.",
                                         "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}


def script(seed, n):
    """`n` scenarios in an order that opens no circuit breaker."""
    rng = random.Random(seed)
    names = [name for name, times in SCENARIOS.items() for _ in range(times)]
    chosen = (names * (n // len(names) + 1))[:n]
    rng.shuffle(chosen)
    in_a_row = 0
    for i, name in enumerate(chosen):
        in_a_row = in_a_row + 1 if name in FAILING or name in ("spent", "bad_request", "no_access", "over_budget") else 0
        if in_a_row > 2:
            chosen[i], in_a_row = "ok", 0
    return chosen


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def config(emulators, advisers, day_usd):
    lines = ['[server]\n[budget]', f"usd_per_day = {day_usd:.6f}", f"usd_per_request = {REQUEST_USD}",
             '[advisor]\nmode = "auto"\ntimeout_s = 600']
    for wire, emulator in emulators.items():
        lines.append(f'[[upstreams]]\nname = "{wire}"\nurl = "{emulator.url}"\nwire = "{wire}"\nlocal = false\n'
                     f'key_env = "KEY_{wire.upper()}"\nattempts = 2\nmax_output_tokens = {MAX_TOKENS}')
    # One that never says a word, with patience of its own.
    lines.append(f'[[upstreams]]\nname = "silent"\nurl = "{emulators["anthropic"].url}"\nwire = "anthropic"\n'
                 f'key_env = "KEY_ANTHROPIC"\nattempts = 1\nfirst_byte_timeout_s = 1\nmax_output_tokens = {MAX_TOKENS}')
    lines.append(f'[[upstreams]]\nname = "down"\nurl = "http://127.0.0.1:{unused_port()}/v1"\nwire = "anthropic"\n'
                 f'key_env = "KEY_ANTHROPIC"\nattempts = 2\nmax_output_tokens = {MAX_TOKENS}')
    for name, emulator in advisers:
        lines.append(f'[[advisers]]\nprovider = "{name}"\nwire = "{emulator.wire}"\nbase_url = "{emulator.url}"\n'
                     f'model = "{MODELS[emulator.wire]}"\nkey_env = "KEY_{emulator.wire.upper()}"\nmax_output_tokens = {MAX_TOKENS}')
    owners = [(wire, wire) for wire in emulators] + [("silent", "anthropic"), ("down", "anthropic")] + [(n, e.wire) for n, e in advisers]
    for owner, wire in owners:
        price = PRICES[wire]
        lines.append(f'[[prices]]\nprovider = "{owner}"\nmodel = "{MODELS[wire]}"\nin_usd_per_mtok = {price[0]}\n'
                     f"cached_usd_per_mtok = {price[1]}\ncache_write_usd_per_mtok = {price[2]}\nout_usd_per_mtok = {price[3]}")
    return "\n".join(lines) + "\n"


class Ledger:
    """The rows of a ledger, as calls: each send with its settle."""

    def __init__(self, path):
        with sqlite3.connect(path) as database:
            database.row_factory = sqlite3.Row
            rows = database.execute("SELECT * FROM egress ORDER BY seq").fetchall()
        self.sends = [row for row in rows if row["kind"] == "send"]
        self.settles = {row["call_seq"]: row for row in rows if row["kind"] == "settle"}

    @staticmethod
    def body(send):
        return send["body"] if isinstance(send["body"], bytes) else send["body"].encode()

    def left(self):
        """(send, settle) of the calls of which something left."""
        return [(send, self.settles[send["seq"]]) for send in self.sends
                if self.settles[send["seq"]]["outcome"] != "not_sent"]

    def charged(self):
        return sum(settle["charged_usd_micro"] for settle in self.settles.values())


class Thousand(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulators = {wire: Emulator(wire) for wire in WIRES}
        # The first adviser fails where a scenario is called so; the others stand in for it.
        cls.advisers = [("first", Emulator("anthropic", fails_as={"failover": "busy_always", "failover_late": "cut_middle"})),
                        ("second", Emulator("gemini", fails_as={"failover": "ok", "failover_late": "ok"})),
                        ("third", Emulator("responses", fails_as={"failover": "ok", "failover_late": "ok"}))]
        cls.keys = {f"KEY_{wire.upper()}": key for wire, key in KEYS.items()}

    @classmethod
    def tearDownClass(cls):
        for emulator in [*cls.emulators.values(), *(emulator for _, emulator in cls.advisers)]:
            emulator.close()

    def all_emulators(self):
        return [*self.emulators.values(), *(emulator for _, emulator in self.advisers)]

    # ---- Requests

    def ask(self, hub, wire, scenario, seed):
        """One direct request; checks what can be checked of its answer.  Returns what became of it."""
        content = f"scenario={'ok' if scenario == 'over_budget' else scenario} seed={seed}. Grüße! ann.lee@example.com {'x' * (seed % 700)}"
        body = {"model": f"{wire}/{MODELS[wire if wire in MODELS else 'anthropic']}", "max_tokens": MAX_TOKENS,
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]}
        if scenario == "over_budget":
            body["max_tokens"] = 1_000_000
        if scenario == "calls":
            body["tools"] = [TOOL]
        if seed % 2:
            body["stream"] = True
            return self.read_stream(hub, body, scenario, seed)
        status, _, answer = hub.request("POST", "/v1/chat/completions", body, timeout=300)
        if status != 200:
            return status
        choice = answer["choices"][0]
        calls = choice["message"].get("tool_calls") or []
        self.check_answer(choice["message"].get("content") or "", [c["function"]["arguments"] for c in calls], scenario, seed)
        return 200

    def read_stream(self, hub, body, scenario, seed):
        text, arguments = "", collections.defaultdict(str)
        try:
            for event in hub.events(body):
                if "error" in event:
                    return 429 if event["error"].get("code") == "out_of_budget" else 502
                for choice in event["choices"]:
                    text += choice["delta"].get("content") or ""
                    for call in choice["delta"].get("tool_calls") or []:
                        arguments[call["index"]] += call["function"].get("arguments") or ""
        except RuntimeError as error:
            return int(str(error)[:3])
        self.check_answer(text, list(arguments.values()), scenario, seed)
        return 200

    def check_answer(self, text, calls, scenario, seed):
        if scenario not in GOOD:
            return
        self.assertEqual(text, words(seed), scenario)
        self.assertEqual([json.loads(call) for call in calls], [json.loads(ARGUMENTS)] if scenario == "calls" else [])

    def run_direct(self, hub, wire):
        outcomes = collections.Counter()
        for seed, scenario in enumerate(script(wire, N_DIRECT)):
            status = self.ask(hub, wire, scenario, seed)
            outcomes[scenario, status] += 1
            if scenario in GOOD:
                self.assertEqual(status, 200, f"{wire} {scenario} {seed}")
            else:
                self.assertNotEqual(status, 200, f"{wire} {scenario} {seed}")
        return outcomes

    def run_advised(self, hub):
        scenarios = ["ok", "failover", "whole", "failover_late", "split", "no_usage", "ok"]
        for seed in range(300, 300 + N_ADVISED):  # Five digits may be a ZIP code, which would not leave.
            scenario = scenarios[seed % len(scenarios)]
            status, headers, _ = hub.chat(f"scenario={scenario} seed={seed} What is this?", hearth={"advice": "always"},
                                          max_tokens=8)
            self.assertEqual(status, 200, scenario)
            receipt = json.loads(hub.home.run("ledger", "show", headers["x-hearth-receipt"], "--json").stdout) \
                if seed % 16 == 0 else None
            if receipt:
                self.assertEqual(receipt["advice"], "advised", receipt)
                expected = "second/" if scenario.startswith("failover") else "first/"
                self.assertTrue(receipt["adviser"].startswith(expected), receipt["adviser"])

    def run_silent(self, hub):
        for seed in range(600, 603):
            self.assertNotEqual(self.ask(hub, "silent", "silent", seed), 200)

    def run_down(self, hub):
        for seed in range(610, 612):
            self.assertNotEqual(self.ask(hub, "down", "ok", seed), 200)

    def run_left(self, hub):
        """Clients that leave in the middle of an answer."""
        for seed, wire in enumerate(WIRES * 2, 620):
            body = {"model": f"{wire}/{MODELS[wire]}", "max_tokens": MAX_TOKENS,
                    "messages": [{"role": "user", "content": f"scenario=endless seed={seed}"}]}
            for event in hub.events(body):
                if event["choices"] and event["choices"][0]["delta"].get("content"):
                    break

    # ---- What must hold

    def check(self, home, day_usd):
        ledger = Ledger(home.ledger)
        self.assertEqual([emulator.strangers for emulator in self.all_emulators()], [[]] * len(self.all_emulators()))
        self.assertEqual(len(ledger.settles), len(ledger.sends), "nothing stays reserved")
        for send in ledger.sends:
            self.assertIn("; class private by rule 'default', ", send["rule"], "an unlabelled byte out")
            self.assertNotIn(b"ann.lee", ledger.body(send), "an address left")
        self.check_bytes(ledger)
        certain = self.check_bills(ledger)
        self.check_budgets(ledger, day_usd)
        for send in ledger.sends:
            if send["provider"] == "down":
                settle = ledger.settles[send["seq"]]
                self.assertEqual((settle["outcome"], settle["charged_usd_micro"]), ("not_sent", 0))
            if b"scenario=endless" in ledger.body(send):
                self.assertEqual(ledger.settles[send["seq"]]["outcome"], "cancelled")
        done = home.run("ledger", "verify")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        alone = subprocess.run([sys.executable, ROOT / "scripts/verify_ledger.py", home.ledger], capture_output=True,
                               text=True, timeout=120)
        self.assertEqual(alone.returncode, 0, alone.stdout + alone.stderr)
        raw = b"".join(Path(f"{home.ledger}{end}").read_bytes() for end in ("", "-wal") if Path(f"{home.ledger}{end}").exists())
        for key in KEYS.values():
            self.assertNotIn(key.encode(), raw, "a key in the ledger")
        return certain

    def check_bytes(self, ledger):
        received = collections.Counter(call.body for emulator in self.all_emulators() for call in emulator.calls)
        recorded = collections.Counter(ledger.body(send) for send, _ in ledger.left())
        self.assertEqual(received - recorded, collections.Counter(), "received but not recorded")
        # One that was cut off before a byte of it arrived may have left and not have come.
        for body in (recorded - received):
            outcomes = {settle["outcome"] for send, settle in ledger.left() if ledger.body(send) == body}
            self.assertLessEqual(outcomes, {"timeout", "broken", "cancelled"}, body)

    def check_bills(self, ledger):
        """Holds each call against its provider's bill; the number and the sum of those that are certain."""
        calls = collections.defaultdict(list)
        for emulator in self.all_emulators():
            for call in emulator.calls:
                calls[call.body].append(call)
        n, billed, charged = 0, 0, 0
        for send, settle in ledger.left():
            waiting = calls[ledger.body(send)]
            if not waiting:
                continue  # See check_bytes.
            call = waiting.pop(0)  # Tries of one request follow one another.
            what = f"{call.wire} {call.scenario} {settle['outcome']} call {send['seq']}"
            self.assertLessEqual(settle["charged_usd_micro"], send["reserved_usd_micro"], what)
            if call.is_certain and settle["outcome"] in ("answered", "refused"):
                self.assertEqual(settle["charged_usd_micro"], call.bill, what)
                n, billed, charged = n + 1, billed + call.bill, charged + settle["charged_usd_micro"]
            else:
                self.assertGreaterEqual(settle["charged_usd_micro"], min(call.bill, send["reserved_usd_micro"]), what)
        self.assertEqual(charged, billed)
        return n, billed

    def check_budgets(self, ledger, day_usd):
        spent = collections.Counter()
        for send in ledger.sends:
            spent[send["request_id"]] += ledger.settles[send["seq"]]["charged_usd_micro"]
            self.assertLessEqual(send["reserved_usd_micro"], REQUEST_USD * 1e6)
        self.assertLessEqual(max(spent.values()), REQUEST_USD * 1e6)
        self.assertLessEqual(ledger.charged(), round(day_usd * 1e6))

    # ---- The test

    def test_the_bill_is_the_bill(self):
        begin = time.monotonic()
        day_usd = 50.0
        home = Home(config(self.emulators, self.advisers, day_usd))
        self.addCleanup(home.close)
        with Hub(home, **self.keys) as hub:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                direct = [pool.submit(self.run_direct, hub, wire) for wire in WIRES]
                others = [pool.submit(run, hub) for run in (self.run_advised, self.run_silent, self.run_down, self.run_left)]
                outcomes = sum((future.result() for future in direct), collections.Counter())
                for future in others:
                    future.result()
        n_certain, billed = self.check(home, day_usd)
        n_calls = sum(len(emulator.calls) for emulator in self.all_emulators())
        ends = collections.Counter(settle["outcome"] for settle in Ledger(home.ledger).settles.values())
        print(f"{sum(outcomes.values()) + N_ADVISED} requests, {n_calls} calls, {n_certain} bills known and met: "
              f"${billed / 1e6:.6f}; calls by their ends: {dict(ends)}; {time.monotonic() - begin:.0f} s", file=sys.stderr)
        self.assertGreater(n_certain, 700)
        self.check_the_last_cents(home)

    def check_the_last_cents(self, home):
        """A day that is nearly spent: many at once until its money is gone, and the day's limit holds."""
        day_usd = (Ledger(home.ledger).charged() + 20_000) / 1e6
        home.write_config(config(self.emulators, self.advisers, day_usd))
        statuses = collections.Counter()
        with Hub(home, **self.keys) as hub:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                # A fast machine settles each before the next reserves: forty may then cost less than what is left.
                for first in range(700, 980, 40):
                    asked = [pool.submit(self.ask, hub, WIRES[seed % 4], "ok", seed) for seed in range(first, first + 40)]
                    statuses += collections.Counter(future.result() for future in asked)
                    if statuses[429]:
                        break
        self.check(home, day_usd)
        self.assertEqual(set(statuses) - {200, 429}, set(), statuses)
        self.assertGreater(statuses[200], 0)
        self.assertGreater(statuses[429], 0, "the day's money was not spent")


if __name__ == "__main__":
    unittest.main()
