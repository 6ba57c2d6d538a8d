#!/usr/bin/env python3
"""What may leave, over real HTTP: a brief with placeholders, advice with values, and text that stays here."""

import concurrent.futures
import json
import sqlite3
import unittest

from adviser_server import AdviserServer, answer, wait_until
from hub_process import Home, Hub

KEY = "sk-test-0123456789abcdefghij"
ALWAYS = {"hearth": {"advice": "always"}}
QUESTION = "Please write to ann.lee@example.com and mention card 4111 1111 1111 1111."


def receipt_of(home, headers):
    done = home.run("ledger", "show", headers["x-hearth-receipt"], "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Privacy(unittest.TestCase):
    def start(self, adviser, policy=None):
        home = Home(adviser.toml())
        self.addCleanup(home.close)
        if policy is not None:
            (home.path / ".config/hearth/policy.toml").write_text(policy)
        hub = Hub(home, TEST_ADVISER_KEY=KEY)
        self.addCleanup(lambda: hub.process.poll() is None and hub.kill())
        return home, hub

    def test_a_brief_leaves_with_placeholders_and_advice_comes_back_with_values(self):
        reply = "Write to [EMAIL_ADDRESS_1] about [credit card 1], not [EMAIL_ADDRESS_9]."
        with AdviserServer(lambda handler, body: handler.stream(answer(reply))) as adviser:
            home, hub = self.start(adviser)
            _, headers, body = hub.chat(QUESTION, **ALWAYS)
            sent = adviser.bodies[0].decode()
            self.assertIn("[EMAIL_ADDRESS_1]", sent)
            self.assertIn("[CREDIT_CARD_1]", sent)
            self.assertNotIn("ann.lee", sent)
            self.assertNotIn("4111", sent)
            text = body["choices"][0]["message"]["content"]
            self.assertIn("ann.lee@example.com about 4111 1111 1111 1111, not [EMAIL_ADDRESS_9]", text)
            receipt = receipt_of(home, headers)
            self.assertEqual(receipt["advice"], "advised", receipt)
            self.assertIn("[EMAIL_ADDRESS_9]", receipt["advice_detail"])
            self.assertIn("class private by rule 'default', redacted: CREDIT_CARD 1, EMAIL_ADDRESS", receipt["egress"][0]["rule"])
            self.assertNotIn("ann.lee", json.dumps(receipt["egress"]))
            hub.stop()

    def test_what_the_policy_denies_stays_here_and_the_receipt_says_so(self):
        with AdviserServer() as adviser:
            home, hub = self.start(adviser, 'default = "secret"\n')
            status, headers, _ = hub.chat(QUESTION, **ALWAYS)
            self.assertEqual(status, 200)
            receipt = receipt_of(home, headers)
            self.assertEqual(receipt["advice"], "not_allowed")
            self.assertIn("the privacy policy keeps it here: class secret by rule 'default'", receipt["advice_detail"])
            self.assertEqual(adviser.bodies, [])
            self.assertEqual(receipt["bytes_out"], 0)
            hub.stop()
            with sqlite3.connect(home.ledger) as database:
                self.assertEqual(database.execute("SELECT count(*) FROM egress").fetchone()[0], 0)

    def test_where_somebody_must_agree_nothing_leaves_before(self):
        with AdviserServer() as adviser:
            home, hub = self.start(adviser, '[actions]\nprivate = "ask"\n')
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                asked = pool.submit(hub.chat, QUESTION, **ALWAYS)
                self.assertTrue(wait_until(lambda: hub.request("GET", "/hearth/v1/consents")[2]["consents"], 30))
                [consent] = hub.request("GET", "/hearth/v1/consents")[2]["consents"]
                self.assertEqual(adviser.bodies, [])
                self.assertIn("[EMAIL_ADDRESS_1]", consent["body"])
                status, _, _ = hub.request("POST", f"/hearth/v1/consents/{consent['id']}", {"answer": "allow", "remember": True})
                self.assertEqual(status, 200)
                _, headers, _ = asked.result(60)
            self.assertEqual(adviser.bodies, [consent["body"].encode()], "the bytes that were shown")
            receipt = receipt_of(home, headers)
            self.assertEqual(receipt["advice"], "advised", receipt)
            self.assertIn("; consent: allowed by 127.0.0.1, for all of rule 'default'", receipt["egress"][0]["rule"])
            _, headers, _ = hub.chat(QUESTION + " Again.", **ALWAYS)
            self.assertIn("; consent: allowed by 127.0.0.1 for all of rule 'default'", receipt_of(home, headers)["egress"][0]["rule"])
            [remembered] = json.loads(home.run("policy", "consents", "--json").stdout)
            self.assertEqual((remembered["rule"], remembered["answer"]), ("default", "allow"))
            self.assertEqual(home.run("policy", "consents", "--forget").returncode, 0)
            # In a process without a terminal there is nobody to ask: no.
            done = home.run("ask", "--json", "--advice", "always", QUESTION + " More.")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("refused by 127.0.0.1", json.loads(done.stdout)["receipt"]["advice_detail"])
            self.assertEqual(len(adviser.bodies), 2)
            hub.stop()

    def test_a_dry_run_shows_the_bytes_and_sends_none(self):
        with AdviserServer() as adviser:
            home, hub = self.start(adviser)
            for where in ("hub", "local"):
                done = home.run("ask", "--dry-run", "--json", "--hub", where, "--advice", "always", QUESTION, TEST_ADVISER_KEY=KEY)
                self.assertEqual(done.returncode, 0, done.stderr)
                [leaving] = json.loads(done.stdout)["would_leave"]
                self.assertIn("[EMAIL_ADDRESS_1]", json.loads(leaving["body"])["messages"][1]["content"])
                self.assertTrue(leaving["label"].startswith("class private by rule 'default', redacted: "), leaving["label"])
            done = home.run("ask", "--dry-run", "--advice", "never", QUESTION, TEST_ADVISER_KEY=KEY)
            self.assertIn("nothing would leave", done.stderr)
            self.assertEqual(adviser.bodies, [])
            hub.stop()

    def test_a_policy_tests_itself_and_explains_a_request(self):
        home = Home()
        self.addCleanup(home.close)
        policy = home.path / ".config/hearth/policy.toml"
        policy.write_text('[[rules]]\nname = "keys"\nclass = "secret"\npaths = ["**/.ssh/**"]\n'
                          '[[expect]]\nname = "k"\npath = "/h/.ssh/id"\naction = "never"\n')
        self.assertEqual(home.run("policy", "check").returncode, 0)
        call = {"id": "1", "type": "function", "function": {"name": "read", "arguments": '{"path": "/h/.ssh/id"}'}}
        request = home.path / "request.json"
        request.write_text(json.dumps({"model": "auto", "messages": [
            {"role": "user", "content": "hi ann.lee@example.com"}, {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "x"}]}))
        done = home.run("policy", "explain", str(request), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual((said["class"], said["rule"], said["action"]), ("secret", "keys", "never"))
        self.assertEqual(said["sources"][0]["found"], {"EMAIL_ADDRESS": 1})
        policy.write_text('[[expect]]\nname = "k"\npath = "/x"\nclass = "public"\n')
        done = home.run("policy", "check")
        self.assertEqual(done.returncode, 2)
        self.assertIn("'k': class public expected, rule 'default' gives private", done.stderr)


if __name__ == "__main__":
    unittest.main()
