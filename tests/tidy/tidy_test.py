#!/usr/bin/env python3
"""Proves that tidy.py can fail: each rule catches a tree made to break it, and passes a clean one."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TIDY = Path(__file__).with_name("tidy.py")


def run_on(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, TIDY, folder], capture_output=True, text=True)
        return done.returncode, done.stdout


class TidyTest(unittest.TestCase):
    def assert_breach(self, files, word):
        code, out = run_on(files)
        self.assertEqual(code, 1, out)
        self.assertIn(word, out)

    def test_clean_tree_passes(self):
        code, out = run_on({"src/hub/a.cpp": '#include "base/result.h"\n#include "hub/b.h"\n'})
        self.assertEqual(code, 0, out)

    def test_upward_include_fails(self):
        self.assert_breach({"src/base/a.cpp": '#include "hub/hub.h"\n'}, "[includes]")

    def test_sideways_include_fails(self):
        self.assert_breach({"src/net/a.cpp": '#include "ledger/ledger.h"\n'}, "[includes]")

    def test_unknown_room_fails(self):
        self.assert_breach({"src/misc/a.cpp": "\n"}, "no room")

    def test_long_function_fails_and_short_passes(self):
        body = "  x();\n"
        self.assert_breach({"src/base/a.cpp": "// Head.\nvoid f(int a) {\n" + body * 70 + "}\n"}, "[function_length]")
        code, out = run_on({"src/base/a.cpp": "// Head.\nvoid f(int a) {\n" + body * 69 + "}\n"})
        self.assertEqual(code, 0, out)

    def test_missing_head_fails(self):
        self.assert_breach({"src/base/a.cpp": "int a;\n" * 60}, "[head_comment]")

    def test_banned_calls_fail(self):
        for call in ["std::cout << 1;", "printf(\"\");", "throw 1;", "std::exit(1);", "// TODO later"]:
            self.assert_breach({"src/base/a.cpp": call + "\n"}, "[banned]")

    def test_banned_words_in_strings_and_tests_pass(self):
        code, out = run_on({"src/base/a.cpp": 'auto s = "throw";\n', "src/base/a_test.cpp": "throw 1;\n"})
        self.assertEqual(code, 0, out)

    def test_stale_exception_fails(self):
        self.assert_breach({"src/base/a.cpp": "\n", "tests/tidy/exceptions.txt": "banned src/base/a.cpp  none\n"}, "excuses nothing")


if __name__ == "__main__":
    unittest.main()
