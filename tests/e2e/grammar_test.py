#!/usr/bin/env python3
"""Answers that are bound to a format, through the whole program."""

import json
import re
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

from hub_process import ROOT, Home, Hub, shared

SKIPPED = 77
STORIES = shared("models/dreams-230k.gguf")
PERSON = {"type": "object",
          "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
                         "ok": {"type": "boolean"}},
          "required": ["name", "age", "ok"], "additionalProperties": False}


def schema_format(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def content(answer):
    return answer["choices"][0]["message"]["content"]


class RandomSchemas(unittest.TestCase):
    def test_answers_to_100_random_schemas_are_valid(self):
        done = subprocess.run([ROOT / "tests/grammar/check", "100", "0"], capture_output=True, text=True, timeout=500)
        print(done.stdout)
        if done.returncode == SKIPPED:
            self.skipTest(f"SKIPPED: {done.stderr.strip()}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


@unittest.skipUnless(STORIES, "SKIPPED: needs ../shared")
class Formats(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home(models=[STORIES])
        cls.addClassCleanup(cls.home.close)
        cls.hub = Hub(cls.home)
        cls.addClassCleanup(cls.hub.stop)

    def ask(self, expect=200, **fields):
        fields = {"model": "dreams-230k", "temperature": 1.5, "seed": 3, **fields}
        status, _, answer = self.hub.chat("Echoes", **fields)
        self.assertEqual(status, expect, answer)
        return answer

    def test_a_schema_whole_and_streamed(self):
        for model in ("dreams-230k", "ember"):
            answer = self.ask(model=model, response_format=schema_format(PERSON))
            value = json.loads(content(answer))
            self.assertEqual(list(value), ["name", "age", "ok"])
            self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
            body = {"model": model, "messages": [{"role": "user", "content": "Echoes"}], "temperature": 1.5, "seed": 3,
                    "response_format": schema_format(PERSON)}
            events = list(self.hub.events(body))
            text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])
            self.assertEqual(text, content(answer))

    def test_other_formats(self):
        self.assertIsInstance(json.loads(content(self.ask(guided_json={"type": "array", "maxItems": 2}, max_tokens=90, seed=1))), list)
        self.assertRegex(content(self.ask(guided_regex="[a-c]{3}-\\d{2}")), "^[a-c]{3}-[0-9]{2}$")
        self.assertIn(content(self.ask(guided_choice=["red", "green", "blue"])), ["red", "green", "blue"])
        self.assertIn(content(self.ask(grammar='root ::= greeting " " name\ngreeting ::= "Hi" | "Hey"\nname ::= "Ada" | "Bob"')),
                      ["Hi Ada", "Hi Bob", "Hey Ada", "Hey Bob"])
        self.assertTrue(content(self.ask(response_format={"type": "json_object"}, max_tokens=40)).startswith("{"))
        self.assertEqual(self.ask(response_format={"type": "text"}, max_tokens=5)["usage"]["completion_tokens"], 5)

    def test_plain_completions(self):
        body = {"model": "dreams-230k", "prompt": "Echoes", "temperature": 1.5, "seed": 1, "guided_regex": "(yes|no) [0-9]{3}"}
        status, _, answer = self.hub.request("POST", "/v1/completions", body)
        self.assertEqual(status, 200, answer)
        self.assertRegex(answer["choices"][0]["text"], "^(yes|no) [0-9]{3}$")

    def test_max_tokens_cuts_and_says_so(self):
        answer = self.ask(response_format=schema_format({"type": "string", "minLength": 500}), max_tokens=20)
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        self.assertEqual(answer["usage"]["completion_tokens"], 20)

    def test_log_probabilities_are_those_of_the_free_model(self):
        answer = self.ask(guided_choice=["q", "z"], logprobs=True, top_logprobs=5, temperature=0)
        token = answer["choices"][0]["logprobs"]["content"][0]
        self.assertLess(token["logprob"], -2)  # Hardly a likely beginning, and so it is told.
        self.assertNotIn(token["token"], [top["token"] for top in token["top_logprobs"][:1]])

    def test_errors_name_the_parameter(self):
        rows = [
            (dict(response_format=schema_format({"not": {}})), "response_format", "'not'"),
            (dict(response_format=schema_format({"type": "integer", "minimum": 2, "maximum": 1})), "response_format", "no number"),
            (dict(response_format={"type": "xml"}), "response_format.type", "json_object"),
            (dict(grammar="root ::= root \"a\" | \"b\""), "grammar", "begins with itself"),
            (dict(guided_regex="(a"), "guided_regex", "never closed"),
            (dict(guided_regex="a", guided_choice=["a"]), "guided_choice", "another field"),
        ]
        for fields, param, words in rows:
            error = self.ask(expect=400, **fields)["error"]
            self.assertEqual((error["type"], error["param"]), ("invalid_request_error", param))
            self.assertIn(words, error["message"])

    def test_neighbours_are_not_disturbed(self):
        def free(seed):
            return content(self.ask(seed=seed, max_tokens=40))

        def bound(seed):
            return content(self.ask(seed=seed, response_format=schema_format(PERSON)))

        alone = [free(seed) for seed in range(6)], [bound(seed) for seed in range(6)]
        with ThreadPoolExecutor(12) as pool:
            jobs = [pool.submit(ask, seed) for seed in range(6) for ask in (free, bound)]
            together = [job.result() for job in jobs]
        self.assertEqual((together[0::2], together[1::2]), alone)

    def test_several_choices_each_keep_the_format(self):
        answer = self.ask(n=4, guided_regex="[0-9]{4}")
        texts = [choice["message"]["content"] for choice in answer["choices"]]
        self.assertTrue(all(re.fullmatch("[0-9]{4}", text) for text in texts), texts)
        self.assertGreater(len(set(texts)), 1)


if __name__ == "__main__":
    unittest.main()
