#!/usr/bin/env python3
"""The adviser over real HTTP: a second hub, scripted misbehaviour, races, and kill -9.

Everything is asked of a real `hearth serve`; what the adviser received is held against the
ledger byte for byte.
"""

import concurrent.futures
import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
import unittest

from adviser_server import AdviserServer, answer, chunk, sse, wait_until
from hub_process import ROOT, Home, Hub

UNSURE = "What is the capital of France?"
SURE = "What is a receipt?"
KEY = "sk-test-0123456789abcdefghij"


def receipt_of(home, headers):
    done = home.run("ledger", "show", headers["x-hearth-receipt"], "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class AdviserCase(unittest.TestCase):
    def start(self, adviser, extra="", budget="", **environment):
        home = Home(adviser.toml(extra, budget))
        self.addCleanup(home.close)
        hub = Hub(home, TEST_ADVISER_KEY=KEY, **environment)
        self.addCleanup(lambda: hub.process.poll() is None and hub.kill())
        return home, hub

    def assert_ledger_holds(self, home):
        done = home.run("ledger", "verify")
        self.assertEqual(done.returncode, 0, done.stderr)
        independent = subprocess.run([sys.executable, ROOT / "scripts/verify_ledger.py", home.ledger],
                                     capture_output=True, text=True, timeout=60)
        self.assertEqual(independent.returncode, 0, independent.stdout + independent.stderr)

    def recorded_bodies(self, home):
        with sqlite3.connect(home.ledger) as database:
            return [bytes(b if isinstance(b, bytes) else b.encode()) for (b,) in
                    database.execute("SELECT body FROM egress WHERE kind = 'send' ORDER BY seq")]

    def assert_key_nowhere(self, home, hub):
        self.assertNotIn(KEY, hub.log_text())
        self.assertNotIn(KEY.encode(), home.ledger.read_bytes())


class Advised(AdviserCase):
    def test_unsure_is_advised_and_every_byte_is_in_the_ledger(self):
        with AdviserServer() as adviser:
            home, hub = self.start(adviser)
            status, headers, body = hub.chat(UNSURE)
            self.assertEqual(status, 200)
            self.assertIn("Paris", body["choices"][0]["message"]["content"])
            receipt = receipt_of(home, headers)
            self.assertEqual(receipt["advice"], "advised")
            self.assertEqual(receipt["cost_usd_micro"], 207)  # 200 in + 7 out at $1 a million.
            self.assertEqual(self.recorded_bodies(home), adviser.bodies)
            self.assertEqual(receipt["bytes_out"], len(adviser.bodies[0]))
            self.assertEqual(adviser.headers[0]["Authorization"], f"Bearer {KEY}")
            self.assert_key_nowhere(home, hub)
            hub.stop()
            self.assert_ledger_holds(home)

    def test_the_field_is_measured_and_the_ledger_exported(self):
        with AdviserServer() as adviser:
            home, hub = self.start(adviser)
            questions = home.path / "questions.txt"
            questions.write_text(f"{UNSURE}\n{SURE}\n")
            _, headers, _ = hub.chat(UNSURE)  # Its advice is remembered, and answers no measurement.
            before = receipt_of(home, headers)
            done = home.run("bench", "hybrid", "--file", str(questions), "-n", "32", "--json", TEST_ADVISER_KEY=KEY)
            self.assertEqual(done.returncode, 0, done.stderr)
            alone, advised, cloud = json.loads(done.stdout)
            self.assertEqual((alone["advised"], alone["bytes_out"], alone["cost_usd_micro"]), (0, 0, 0))
            self.assertEqual(advised["advised"], 2)
            self.assertEqual(advised["bytes_out"], sum(map(len, adviser.bodies[1:])))
            self.assertGreater(advised["cost_usd_micro"], 0)
            self.assertIn("--cloud", cloud["not_measured"])
            self.assertNotIn("total_ms", cloud)

            rows = [json.loads(line) for line in home.run("ledger", "export").stdout.splitlines()]
            self.assertEqual([row["seq"] for row in rows], list(range(1, len(rows) + 1)))
            self.assertEqual([row["body"].encode() for row in rows if row["kind"] == "send"], adviser.bodies)
            receipts = [json.loads(line) for line in home.run("ledger", "export", "--receipts").stdout.splitlines()]
            self.assertEqual(len(receipts), 5)
            self.assertEqual(sum(receipt["cost_usd_micro"] for receipt in receipts),
                             before["cost_usd_micro"] + advised["cost_usd_micro"])

    def test_sure_and_local_and_never_stay_here(self):
        with AdviserServer() as adviser:
            home, hub = self.start(adviser)
            _, headers, _ = hub.chat(SURE)
            self.assertEqual(receipt_of(home, headers)["advice"], "not_needed")
            for fields in ({"model": "local"}, {"hearth": {"advice": "never"}}):
                _, headers, _ = hub.chat(UNSURE, **fields)
                self.assertEqual(receipt_of(home, headers)["advice"], "not_allowed", fields)
            _, headers, _ = hub.chat(UNSURE, model="local", hearth={"advice": "always"})
            self.assertEqual(receipt_of(home, headers)["advice"], "not_allowed")
            self.assertEqual(adviser.bodies, [])
            hub.stop()

    def test_advice_is_remembered_until_it_was_bad(self):
        with AdviserServer() as adviser:
            home, hub = self.start(adviser)
            _, headers, _ = hub.chat(UNSURE)
            self.assertTrue(wait_until(lambda: json.loads(home.run("advisor", "memory", "list", "--json").stdout)))
            _, headers, body = hub.chat("please: what is the capital of France")
            self.assertIn("Paris", body["choices"][0]["message"]["content"])
            receipt = receipt_of(home, headers)
            self.assertEqual((receipt["advice"], receipt["bytes_out"], receipt["cost_usd_micro"]), ("advised", 0, 0))
            self.assertEqual(receipt["advice_remembered"], "a-1")
            self.assertEqual(len(adviser.bodies), 1)
            hub.chat("What is the capital of Spain?")
            self.assertEqual(len(adviser.bodies), 2)
            status, _, noted = hub.request("POST", "/hearth/v1/outcomes", {"receipt": receipt["id"], "outcome": "bad"})
            self.assertEqual((status, noted["good"]), (200, False))
            hub.chat(UNSURE)
            self.assertEqual(len(adviser.bodies), 3)
            self.assertEqual(home.run("advisor", "memory", "forget", "all").returncode, 0)
            self.assertEqual(json.loads(home.run("advisor", "memory", "list", "--json").stdout), [])
            hub.stop()
            self.assert_ledger_holds(home)

    def test_always_asks_even_when_sure(self):
        with AdviserServer() as adviser:
            home, hub = self.start(adviser)
            _, headers, _ = hub.chat(SURE, hearth={"advice": "always"})
            self.assertEqual(receipt_of(home, headers)["advice"], "advised")
            self.assertEqual(len(adviser.bodies), 1)
            hub.stop()

    def test_stream_stays_alive_while_advice_is_sought(self):
        with AdviserServer() as adviser:
            home, hub = self.start(adviser)
            events = list(hub.events({"model": "auto", "messages": [{"role": "user", "content": UNSURE}]}))
            text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])
            self.assertIn("Paris", text)
            hub.stop()

    def test_second_hub_with_another_model(self):
        with Home() as other_home:
            other_home.make_model("other")
            other = Hub(other_home)
            self.addCleanup(lambda: other.process.poll() is None and other.kill())
            toml = (f'[advisor]\nbase_url = "{other.url}/v1"\nmodel = "other"\nprovider = "hearth"\n'
                    "price_in_usd_per_mtok = 1.0\nprice_out_usd_per_mtok = 1.0\nmax_output_tokens = 40\n")
            home = Home(toml)
            self.addCleanup(home.close)
            with Hub(home) as hub:
                status, headers, body = hub.chat(UNSURE)
                self.assertEqual(status, 200)
                receipt = receipt_of(home, headers)
                self.assertEqual(receipt["advice"], "advised", receipt)
                self.assertGreater(receipt["cost_usd_micro"], 0)
                self.assertEqual(other.metrics()["hearth_requests_total"], 1)
            self.assert_ledger_holds(home)
            other.stop()


class Misbehaving(AdviserCase):
    def unadvised(self, respond, extra="timeout_s = 2"):
        """The local answer comes, marked unadvised with a reason; returns (receipt, adviser, home)."""
        with AdviserServer(respond) as adviser:
            home, hub = self.start(adviser, extra)
            status, headers, body = hub.chat(UNSURE)
            self.assertEqual(status, 200)
            self.assertTrue(body["choices"][0]["message"]["content"])
            receipt = receipt_of(home, headers)
            self.assertEqual(receipt["advice"], "failed", receipt)
            self.assertTrue(receipt["advice_detail"])
            self.assert_key_nowhere(home, hub)
            hub.stop()
            self.assert_ledger_holds(home)
            self.assertEqual(self.recorded_bodies(home), adviser.bodies)
            return receipt, adviser, home

    def test_down(self):
        with AdviserServer() as adviser:
            toml = adviser.toml("timeout_s = 3")
        home = Home(toml)
        self.addCleanup(home.close)
        with Hub(home, TEST_ADVISER_KEY=KEY) as hub:
            _, headers, _ = hub.chat(UNSURE)
            receipt = receipt_of(home, headers)
            self.assertEqual(receipt["advice"], "failed")
            self.assertEqual(receipt["cost_usd_micro"], 0)
        self.assert_ledger_holds(home)

    def test_what_nobody_could_be_reached_for_is_asked_later(self):
        with AdviserServer() as adviser:
            home = Home(adviser.toml().replace(adviser.url, "http://127.0.0.1:9/v1"))
            self.addCleanup(home.close)
            with Hub(home, TEST_ADVISER_KEY=KEY) as hub:
                _, headers, _ = hub.chat(UNSURE)
                self.assertIn("deferred ask", receipt_of(home, headers)["advice_detail"])
                self.assertTrue(wait_until(lambda: json.loads(home.run("advisor", "deferred", "list", "--json").stdout)))
            [waiting] = json.loads(home.run("advisor", "deferred", "list", "--json").stdout)
            self.assertEqual(waiting["question"], UNSURE)
            [asked] = json.loads(home.run("advisor", "deferred", "ask", "--json", TEST_ADVISER_KEY=KEY).stdout)
            self.assertEqual(asked["advice"], "failed")
            home.write_config(adviser.toml())
            [asked] = json.loads(home.run("advisor", "deferred", "ask", "--json", TEST_ADVISER_KEY=KEY).stdout)
            self.assertEqual(asked["advice"], "advised")
            self.assertIn("Paris", asked["after"])
            self.assertIn("{+", asked["difference"])
            self.assertEqual(json.loads(home.run("advisor", "deferred", "list", "--json").stdout), [])
            self.assert_ledger_holds(home)

    def test_slow_first_byte(self):
        receipt, _, _ = self.unadvised(lambda handler, body: time.sleep(6), "timeout_s = 1")
        self.assertLess(receipt["total_ms"], 6_000)

    def test_dies_mid_stream(self):
        self.unadvised(lambda handler, body: handler.stream(sse(chunk("Paris is")) + sse(chunk(" the"))))

    def test_error_inside_the_stream(self):
        self.unadvised(lambda handler, body: handler.stream(sse(chunk("Paris")) + sse({"error": {"message": "overloaded", "type": "server_error"}})))

    def test_out_of_quota_is_not_retried(self):
        _, adviser, _ = self.unadvised(lambda handler, body: handler.fail(429, {"message": "quota", "type": "insufficient_quota", "code": "insufficient_quota"}))
        self.assertEqual(len(adviser.bodies), 1)

    def test_rate_limit_is_retried_and_each_attempt_recorded(self):
        calls = []

        def respond(handler, body):
            calls.append(body)
            if len(calls) == 1:
                return handler.fail(429, {"message": "slow down", "type": "rate_limit_exceeded", "code": "rate_limit_exceeded"}, retry_after_ms="50")
            return handler.stream(answer())

        with AdviserServer(respond) as adviser:
            home, hub = self.start(adviser)
            _, headers, _ = hub.chat(UNSURE)
            self.assertEqual(receipt_of(home, headers)["advice"], "advised")
            hub.stop()
            self.assertEqual(self.recorded_bodies(home), adviser.bodies)
            self.assertEqual(len(adviser.bodies), 2)

    def test_garbage(self):
        self.unadvised(lambda handler, body: handler.stream(b"\x00\xff" * 5000))

    def test_lies_about_its_length(self):
        def respond(handler, body):
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            handler.wfile.write(sse(chunk("Paris")))
        self.unadvised(respond)

    def test_endless_stream_is_cut(self):
        def respond(handler, body):
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.end_headers()
            for _ in range(100_000):
                handler.wfile.write(sse(chunk("word " * 50)))
        with AdviserServer(respond) as adviser:
            home, hub = self.start(adviser, "timeout_s = 3\nmax_output_tokens = 50")
            status, headers, body = hub.chat(UNSURE)
            self.assertEqual(status, 200)
            self.assertLess(len(body["choices"][0]["message"]["content"]), 300_000)
            hub.stop()
            self.assert_ledger_holds(home)

    def test_second_hub_killed_mid_stream(self):
        """The adviser is a real hub; a relay kills it once the first part of its answer has passed."""
        import socket
        with Home() as other_home:
            other_home.make_model("other")
            other = Hub(other_home)
            relay = socket.create_server(("127.0.0.1", 0))

            def forward():
                client, _ = relay.accept()
                upstream = socket.create_connection((other.host, other.port))
                threading.Thread(target=lambda: upstream.sendall(client.recv(1 << 20)), daemon=True).start()
                passed = 0
                while passed < 1500 and (data := upstream.recv(500)):
                    client.sendall(data)
                    passed += len(data)
                other.kill()
                upstream.close()
                client.close()

            threading.Thread(target=forward, daemon=True).start()
            toml = (f'[advisor]\nbase_url = "http://127.0.0.1:{relay.getsockname()[1]}/v1"\nmodel = "other"\n'
                    "price_in_usd_per_mtok = 1.0\nprice_out_usd_per_mtok = 1.0\ntimeout_s = 5\n")
            home = Home(toml)
            self.addCleanup(home.close)
            with Hub(home) as hub:
                status, headers, body = hub.chat(UNSURE)
                self.assertEqual(status, 200)
                self.assertTrue(body["choices"][0]["message"]["content"])
                self.assertEqual(receipt_of(home, headers)["advice"], "failed")
            relay.close()
            self.assert_ledger_holds(home)


class Budget(AdviserCase):
    def test_unknown_price_is_refused(self):
        with AdviserServer() as adviser:
            home = Home(adviser.toml().replace("price_in_usd_per_mtok = 1.0\n", ""))
            self.addCleanup(home.close)
            with Hub(home, TEST_ADVISER_KEY=KEY) as hub:
                _, headers, _ = hub.chat(UNSURE)
                self.assertEqual(receipt_of(home, headers)["advice"], "unknown_price")
            self.assertEqual(adviser.bodies, [])

    def test_fifty_calls_race_for_ten(self):
        """Output alone costs: 100 tokens at $1,000 a million reserve $0.10 each, and the day has $1."""
        gate = threading.Event()

        def respond(handler, body):
            gate.wait(30)
            handler.stream(answer(prompt_tokens=0, completion_tokens=100))

        with AdviserServer(respond) as adviser:
            toml = adviser.toml("max_output_tokens = 100\ntimeout_s = 60", "usd_per_day = 1.0\nusd_per_request = 1.0")
            toml = toml.replace("price_in_usd_per_mtok = 1.0", "price_in_usd_per_mtok = 0.0")
            home = Home(toml.replace("price_out_usd_per_mtok = 1.0", "price_out_usd_per_mtok = 1000.0"))
            self.addCleanup(home.close)
            with Hub(home, TEST_ADVISER_KEY=KEY) as hub, concurrent.futures.ThreadPoolExecutor(50) as pool:
                running = [pool.submit(hub.chat, UNSURE) for _ in range(50)]
                self.assertTrue(wait_until(lambda: sum(f.done() for f in running) == 40, 30))
                gate.set()
                receipts = [receipt_of(home, future.result()[1]) for future in running]
                outcomes = [receipt["advice"] for receipt in receipts]
                self.assertEqual(outcomes.count("advised"), 10)
                self.assertEqual(outcomes.count("over_budget"), 40)
                self.assertEqual(len(adviser.bodies), 10)
                self.assertEqual(sum(receipt["cost_usd_micro"] for receipt in receipts), 1_000_000)
            self.assert_ledger_holds(home)


class Killed(AdviserCase):
    REQUESTS = 200
    KILLS = 3  # At least, however fast the requests are.

    def test_kill_9_at_random_moments(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed}")
        dice = random.Random(seed)

        def respond(handler, body):
            time.sleep(dice.random() * 0.02)
            handler.stream(answer())

        with AdviserServer(respond) as adviser:
            home = Home(adviser.toml("timeout_s = 5"))
            self.addCleanup(home.close)
            sent = kills = 0
            while sent < self.REQUESTS or kills < self.KILLS:
                hub = Hub(home, TEST_ADVISER_KEY=KEY)
                stop = threading.Timer(0.05 + dice.random() * 0.4, hub.kill)
                stop.start()

                def ask(number):
                    try:
                        hub.chat(f"{UNSURE} ({number})")
                    except OSError:
                        pass  # The hub was killed under it.
                    except Exception as error:  # http.client has several faces for a dead peer.
                        self.assertTrue(type(error).__module__.startswith(("http", "json")), error)

                with concurrent.futures.ThreadPoolExecutor(8) as pool:
                    while hub.process.poll() is None and (
                        sent < self.REQUESTS or kills < self.KILLS
                    ):
                        batch = [pool.submit(ask, sent + i) for i in range(8)]
                        concurrent.futures.wait(batch)
                        sent += len(batch)
                stop.join()
                kills += 1
                self.assert_ledger_holds(home)
            print(f"{sent} requests, {kills} kills, {len(adviser.bodies)} bodies reached the adviser")
            recorded = self.recorded_bodies(home)
            for body in adviser.bodies:
                self.assertIn(body, recorded, "a byte left that the ledger does not know")
            # Started once more, the hub settles what the last kill left open.
            with Hub(home, TEST_ADVISER_KEY=KEY) as hub:
                hub.chat(SURE)
            self.assertEqual(json.loads(home.run("ledger", "verify", "--json").stdout)["open_calls"], 0)


if __name__ == "__main__":
    unittest.main()
