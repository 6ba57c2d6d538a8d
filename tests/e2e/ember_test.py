#!/usr/bin/env python3
"""ember through the whole path, on the questions that its training never saw.

models/ember/heldout/graded.txt holds questions about Hearth with what a right answer must
match, elsewhere.txt questions about everything else.  The hub answers all of them; its
receipts carry the confidence.
"""

import json
import re
import unittest
from concurrent.futures import ThreadPoolExecutor

from hub_process import ROOT, Home, Hub

HELDOUT = ROOT / "models/ember/heldout"
RIGHT_MIN = 0.90
AUROC_MIN = 0.95


def lines(name):
    text = (HELDOUT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def messages(question):
    """Turns joined by ' // ' alternate between user and assistant."""
    return [{"role": "assistant" if i % 2 else "user", "content": turn} for i, turn in enumerate(question.split(" // "))]


def auroc(positive, negative):
    """The share of pairs in the right order, ties as halves."""
    return sum((p > n) + 0.5 * (p == n) for p in positive for n in negative) / (len(positive) * len(negative))


class Ember(unittest.TestCase):
    def test_compare_marks_where_answers_part(self):
        with Home() as home:
            same = home.run("compare", "-m", "ember", "-m", "local", "--hub", "local", "--json", "What is a receipt?")
            rows = [json.loads(line) for line in same.stdout.splitlines()]
            self.assertEqual([row["model"] for row in rows], ["ember", "local"])
            self.assertTrue(all(row["same"] and row["answer"] for row in rows), rows)
            table = home.run("compare", "-m", "ember", "-m", "ember", "--hub", "local", "-n", "5", "What is Hearth?").stdout
            self.assertRegex(table, r"ember +5 .* the same")
            (home.path / "prompts").write_bytes(b"What is Hearth?\r\n\r\n=1+1 \xff\r\n")
            file = ["--file", str(home.path / "prompts"), "-m", "nobody", "-m", "ember", "--hub", "local", "-n", "5"]
            batch = [json.loads(line) for line in home.run("compare", *file, "--json").stdout.splitlines()]
            self.assertEqual([row["prompt"] for row in batch], ["What is Hearth?"] * 2 + ["=1+1 \ufffd"] * 2)
            self.assertEqual([(row["model"], "error" in row, row["receipt"] is None) for row in batch],
                             [("nobody", True, True), ("ember", False, False)] * 2)
            self.assertIn("there is no model 'nobody'", batch[0]["error"])
            self.assertIn("\"'=1+1 ", home.run("compare", *file, "--csv").stdout)
            markdown = home.run("compare", *file, "--markdown").stdout
            self.assertRegex(markdown, r"^# What is Hearth\?\n\n\| model .*\n\|---.*\n\| nobody \| \| .*\n\| ember \| 5 \| \d+ ms ")
            self.assertIn("\n\n---\n\n# =1+1 ", markdown)
            self.assertIn("\n## nobody\n\n*there is no model", markdown)
            alone = home.run("compare", "-m", "nobody", "--hub", "local", "hi")
            self.assertEqual(alone.returncode, 3)
            self.assertIn("there is no model 'nobody'", alone.stderr)

    def test_what_it_recites_is_true_of_this_program(self):
        """Commands, keys, defaults, routes and files that its answers name are there: it can't read what changes."""
        facts = (ROOT / "models/ember/facts.txt").read_text(encoding="utf-8")
        answers = re.findall(r"^A: (.*)", facts, re.MULTILINE)
        self.assertGreaterEqual(len(answers), 150)
        code = [words for answer in answers for words in re.findall(r"`([^`]*)`", answer)]
        with Home() as home, Hub(home) as hub:
            explained = home.run("config", "--explain").stdout
            routes = hub.request("GET", "/openapi.json")[2]["paths"]
            commands = {tuple(re.match(r"hearth((?: [a-z]+)*)", words)[1].split()) for words in code if words.startswith("hearth ")}
            unknown = [command for command in sorted(commands) if home.run(*command, "--help").returncode != 0]
        self.assertEqual(unknown, [], "commands")

        defaults, section = {}, ""
        for line in explained.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif found := re.match(r"#? ?(\w+) = (.*)", line):
                defaults[section, found[1]] = found[2]
        self.assertEqual({words[1:-1] for words in code if re.fullmatch(r"\[\w+\]", words)}, {section for section, _ in defaults}, "sections")
        keys = {tuple(re.match(r"\[(\w+)\] (\w+)", words).groups()) for words in code if re.match(r"\[\w+\] \w+", words)}
        self.assertEqual(keys - set(defaults), set(), "keys")
        told = [found.groups() for answer in answers
                for found in re.finditer(r"`\[(\w+)\] (\w+)`[^;]*[;,] [^;]*the default is ([\d.]+)", answer)]
        self.assertGreaterEqual(len(told), 3)
        for section, key, number in told:
            self.assertEqual(float(defaults[section, key]), float(number.strip(".")), key)

        self.assertEqual({words for words in code if words.startswith("/")} - set(routes) - {"/v1"}, set(), "routes")
        for path in ("include/hearth/hearth.h", "bindings", "models/ember"):
            self.assertIn(path, code)
            self.assertTrue((ROOT / path).exists(), path)
        self.assertEqual([answer for answer in answers if "planned" in answer], [])

    def test_right_answers_and_confidence_on_held_out_questions(self):
        graded = [line.split(" => ") for line in lines("graded.txt")]
        elsewhere = lines("elsewhere.txt")
        self.assertGreaterEqual(len(graded), 100)
        self.assertGreaterEqual(len(elsewhere), 100)

        with Home() as home, Hub(home) as hub:
            def ask(question):
                body = {"model": "ember", "messages": messages(question), "temperature": 0, "max_tokens": 120}
                status, _, answer = hub.request("POST", "/v1/chat/completions", body)
                self.assertEqual(status, 200, answer)
                return answer["choices"][0]["message"]["content"], answer["hearth"]["confidence"]

            with ThreadPoolExecutor(8) as pool:
                about = list(pool.map(ask, [question for question, _ in graded]))
                others = list(pool.map(ask, elsewhere))

        wrong = [(question, text) for (question, keys), (text, _) in zip(graded, about)
                 if not all(re.search(key, text, re.IGNORECASE) for key in keys.split(" && "))]
        right = 1 - len(wrong) / len(graded)
        separation = auroc([c for _, c in about], [c for _, c in others])
        for question, text in wrong:
            print(f"wrong: {question} -> {text}")
        print(f"{right:.1%} right of {len(graded)}, AUROC {separation:.4f} against {len(others)} other questions")
        self.assertGreaterEqual(right, RIGHT_MIN)
        self.assertGreaterEqual(separation, AUROC_MIN)


if __name__ == "__main__":
    unittest.main()
