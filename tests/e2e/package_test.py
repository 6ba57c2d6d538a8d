#!/usr/bin/env python3
"""The Debian package: made, unpacked into an empty folder, and used from there by its manual page, its
completions and an answer.  The container file: what can be said of it without a container."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from hub_process import HEARTH, ROOT, Home, Hub

BUILD = Path(HEARTH).resolve().parents[2]


@unittest.skipUnless(shutil.which("dpkg-shlibdeps") and shutil.which("dpkg-deb"), "SKIPPED: dpkg-dev is not installed")
class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="hearth-package-")
        made = subprocess.run([ROOT / "scripts/package", BUILD], capture_output=True, text=True, timeout=300)
        if made.returncode:
            raise RuntimeError(made.stdout + made.stderr)
        cls.deb = made.stdout.strip()
        cls.root = Path(cls.folder.name)
        subprocess.run(["dpkg-deb", "-x", cls.deb, cls.root], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_in_bash(self, script):
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split()

    def test_it_names_what_it_needs(self):
        fields = subprocess.run(["dpkg-deb", "-f", self.deb], capture_output=True, text=True, check=True).stdout
        for needed in ("Package: hearth", "libcurl4", "libsqlite3", "ca-certificates", "Architecture: "):
            self.assertIn(needed, fields)

    def test_the_program_answers(self):
        with Home() as home:
            done = subprocess.run([self.root / "usr/bin/hearth", "ask", "--hub", "local", "What is a receipt?"],
                                  capture_output=True, text=True, timeout=60, env=home.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.strip())

    def test_the_service_and_the_papers_are_there(self):
        for path in ("usr/lib/systemd/user/hearth.service", "usr/share/doc/hearth/copyright", "usr/share/doc/hearth/README.md",
                     "usr/share/man/man1/hearth.1", "usr/share/zsh/vendor-completions/_hearth",
                     "usr/share/fish/vendor_completions.d/hearth.fish"):
            self.assertTrue((self.root / path).is_file(), path)
        page = (self.root / "usr/share/man/man1/hearth.1").read_text()
        self.assertIn("hearth models pull", page.replace("\\-", "-"))

    def test_bash_completes(self):
        script = self.root / "usr/share/bash-completion/completions/hearth"
        complete = lambda *words: self.run_in_bash(
            f"source {script}; COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _hearth; "
            'printf "%s\\n" "${COMPREPLY[@]}"')
        with tempfile.TemporaryDirectory() as empty:
            here = os.getcwd()
            os.chdir(empty)
            try:
                self.assertEqual(complete("hearth", "led"), ["ledger"])
                self.assertIn("pull", complete("hearth", "models", ""))
                self.assertEqual(complete("hearth", "ask", "--advice", "a"), ["auto", "always"])
                self.assertIn("--temperature", complete("hearth", "--config", "x", "ask", "--t"))
                self.assertEqual(complete("hearth", "completions", "z"), ["zsh"])
            finally:
                os.chdir(here)


class Container(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Containerfile").read_text())
        lines = [line for line in text.replace("\\\n", " ").split("\n") if line.strip()]
        cls.stages = []
        for line in lines:
            name, _, rest = line.partition(" ")
            if name == "FROM":
                cls.stages.append([])
            cls.stages[-1].append((name, rest.strip()))

    def values(self, name):
        return [rest for instruction, rest in self.stages[-1] if instruction == name]

    def test_its_instructions_are_some_that_there_are(self):
        known = {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
        self.assertEqual(len(self.stages), 2)
        self.assertLessEqual({name for stage in self.stages for name, _ in stage}, known)
        for name in ("ENTRYPOINT", "CMD"):
            self.assertTrue(all(isinstance(word, str) for word in json.loads(self.values(name)[0])))
        for stage in self.stages:
            for name, rest in stage:
                if name == "COPY" and not rest.startswith("--from="):
                    self.assertTrue((ROOT / rest.split()[0]).exists(), rest)

    def test_an_ordinary_user_runs_it_and_nothing_secret_is_in_it(self):
        self.assertEqual(self.values("USER"), ["hearth"])
        after = self.stages[-1][self.stages[-1].index(("USER", "hearth")):]
        self.assertFalse([name for name, _ in after if name in ("RUN", "COPY")])
        words = " ".join(self.values("ENV") + self.values("COPY"))
        self.assertNotRegex(words, r"(?i)(key|token|secret|password)\S*=")

    def test_it_starts_with_keys_alone(self):
        with Home() as home:
            done = home.run("--config", str(ROOT / "packaging/container.toml"), "serve")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/run/secrets/hearth_keys", done.stderr)

    def test_its_health_check_tells_a_hub_from_none(self):
        command = json.loads(self.values("HEALTHCHECK")[0].partition("CMD")[2])
        check = lambda port: subprocess.run([word.replace("/8642", f"/{port}") for word in command], capture_output=True, timeout=30).returncode
        with Home() as home:
            with Hub(home) as hub:
                port = hub.port
                self.assertEqual(check(port), 0)
            self.assertNotEqual(check(port), 0)


if __name__ == "__main__":
    unittest.main()
