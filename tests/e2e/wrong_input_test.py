#!/usr/bin/env python3
"""Wrong input by hand: each gets one clear sentence that names the thing and the way out."""

import json
import os
import socket
import struct
import unittest

from hub_process import Home, Hub, shared

MODEL = shared("parity/llama-F16.gguf")
STORIES = shared("models/dreams-230k.gguf")


def gguf_string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def giant_gguf(path, bytes_of_weights):
    """A well-formed llama file whose one tensor is a hole in the file: large, but costs no disk."""
    def u32(key, value):
        return gguf_string(key) + struct.pack("<II", 4, value)
    cols = 4096
    rows = bytes_of_weights // cols // 4
    pairs = [gguf_string("general.architecture") + struct.pack("<I", 8) + gguf_string("llama"),
             u32("llama.block_count", 1), u32("llama.embedding_length", cols), u32("llama.context_length", 64),
             u32("llama.feed_forward_length", 64), u32("llama.attention.head_count", 32)]
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs)
    head += gguf_string("token_embd.weight") + struct.pack("<IQQIQ", 2, cols, rows, 0, 0)
    head += b"\0" * (-len(head) % 32)
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(len(head) + rows * cols * 4)


class WrongInput(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.addCleanup(self.home.close)

    def ask(self, model, *args, **kwargs):
        return self.home.run("ask", "--hub", "local", "-m", str(model), "hello", *args, **kwargs)

    def assert_refused(self, done, code, *words):
        """Exit code, nothing on standard output, one line on standard error with the words."""
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    @unittest.skipUnless(MODEL, "SKIPPED: needs ../shared")
    def test_truncated_gguf(self):
        cut = self.home.path / "cut.gguf"
        cut.write_bytes(MODEL.read_bytes()[:-1000])
        self.assert_refused(self.ask(cut), 1, "cut.gguf", "download")

    def test_doctor_names_what_is_wrong(self):
        file = self.home.path / "file"
        file.write_text("")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.home.write_config(f"[server]\nport = {port}\n")
            (self.home.path / ".config/hearth/policy.toml").write_text('[actions]\nprivate = "perhaps"\n')
            done = self.home.run("doctor", "--json", XDG_STATE_HOME=str(file / "state"))
        found = {row["check"]: row for row in json.loads(done.stdout)}
        self.assertEqual({name for name, row in found.items() if row["verdict"] == "wrong"}, {"folders", "policy", "hub"}, found)
        self.assertIn(f"another program listens at 127.0.0.1:{port}: end it, or choose another server.port", found["hub"]["text"])
        self.assertIn(f"{file} can't be written: make it yours, or set XDG_STATE_HOME", found["folders"]["text"])
        self.assertIn("line 2: private must be free, redacted, ask or never", found["policy"]["text"])
        self.assertIn("3 of ", done.stderr)
        self.assertRegex(found["models"]["text"], r"models pull [\w-]+/")

        self.home.write_config('[server]\nhost = "localhost.localdomain"\n')
        named = {row["check"]: row["text"] for row in json.loads(self.home.run("doctor", "--json").stdout)}
        self.assertIn("'localhost.localdomain' is no IP address to listen on", named["hub"])  # As `hearth serve` says it.

        self.home.write_config("")
        (self.home.path / ".config/hearth/policy.toml").unlink()
        well = self.home.run("doctor")
        self.assertRegex(well.stdout, r"ok     folders         data in .*free\)\n(.*\n)*ok     policy .*\n")

    def test_text_file_named_gguf(self):
        fake = self.home.path / "notes.gguf"
        fake.write_text("These are my notes, not a model.\n" * 100)
        self.assert_refused(self.ask(fake), 1, "notes.gguf", "GGUF")

    def test_empty_file_named_gguf(self):
        fake = self.home.path / "empty.gguf"
        fake.write_text("")
        self.assert_refused(self.ask(fake), 1, "empty.gguf")

    @unittest.skipUnless(MODEL, "SKIPPED: needs ../shared")
    def test_unknown_architecture(self):
        data = MODEL.read_bytes().replace(gguf_string("llama"), gguf_string("warp9"), 1)
        odd = self.home.path / "odd.gguf"
        odd.write_bytes(data)
        self.assert_refused(self.ask(odd), 1, "odd.gguf", "warp9", "llama")

    def test_model_larger_than_memory(self):
        giant = self.home.path / "giant.gguf"
        giant_gguf(giant, 1 << 42)
        self.assert_refused(self.ask(giant), 5, "giant.gguf", "memory")

    def test_missing_model_names_those_there_are(self):
        self.assert_refused(self.ask("no-such-model"), 3, "no-such-model", "ember")

    def test_prompt_longer_than_the_context(self):
        self.assert_refused(self.home.run("ask", "--hub", "local", stdin="word " * 100_000), 2,
                            "exceeds the available context size")

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = self.home.run("serve", "--port", str(port))
            self.assert_refused(done, 4, str(port), "another port")
            done = self.home.run("serve", "--background", "--port", str(port))
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn(str(port), done.stderr)

    def test_config_with_a_typo(self):
        self.home.write_config("[budget]\nusd_per_dya = 2\n")
        self.assert_refused(self.home.run("models", "list"), 2, "hearth.toml", "usd_per_dya", "budget.usd_per_day")

    def test_public_address_without_keys(self):
        self.assert_refused(self.home.run("serve", "--host", "0.0.0.0", "--port", "0"), 2, "api_keys_file")

    def test_foreign_hosts_and_origins_until_they_are_configured(self):
        evil, friend = {"Host": "notes.example"}, {"Origin": "https://notes.example"}
        with Hub(self.home) as hub:
            self.assertEqual(hub.request("GET", "/v1/models", headers=evil)[0], 403)
            self.assertEqual(hub.request("GET", "/v1/models", headers=friend)[0], 403)
        self.home.write_config('[server]\nhost_names = ["notes.example"]\norigins = ["https://notes.example"]\n')
        with Hub(self.home) as hub:
            self.assertEqual(hub.request("GET", "/v1/models", headers=evil)[0], 200)
            self.assertEqual(hub.request("GET", "/v1/models", headers=friend)[0], 200)

    def test_api_keys(self):
        keys = self.home.path / "keys"
        keys.write_text("# who  key\nlaptop sk-hearth-0123456789\n")
        keys.chmod(0o644)
        self.home.write_config(f'[server]\napi_keys_file = "{keys}"\n')
        self.assert_refused(self.home.run("serve", "--port", "0"), 5, "chmod 600")
        keys.chmod(0o600)
        with Hub(self.home) as hub:
            self.assertEqual(hub.request("GET", "/v1/models")[0], 401)
            self.assertEqual(hub.request("GET", "/v1/models", headers={"Authorization": "Bearer sk-wrong-0123456789"})[0], 401)
            self.assertEqual(hub.request("GET", "/v1/models", headers={"Authorization": "Bearer sk-hearth-0123456789"})[0], 200)
            self.assertNotIn("sk-hearth-0123456789", hub.log_text())

    def test_no_question(self):
        self.assert_refused(self.home.run("ask", "--hub", "local", stdin="  \n"), 2, "question")

    def test_unknown_verb_and_option(self):
        for args in (["frobnicate"], ["ask", "--frob", "x"], []):
            done = self.home.run(*args)
            self.assertEqual(done.returncode, 2, done.stderr)

    def test_asking_a_hub_that_is_not_there(self):
        self.assert_refused(self.home.run("ask", "--hub", "http://127.0.0.1:9", "hello"), 4, "127.0.0.1:9")

    def test_unwritable_ledger_folder(self):
        data = self.home.path / ".local/share/hearth"
        data.parent.mkdir(parents=True)
        data.write_text("a file where a folder should be")
        done = self.home.run("ask", "--hub", "local", "hello")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("hearth", done.stderr)

    def test_damaged_ledger(self):
        self.assertEqual(self.home.run("ask", "--hub", "local", "hello").returncode, 0)
        self.home.ledger.write_bytes(b"not a database at all" * 1000)
        done = self.home.run("ask", "--hub", "local", "hello")
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("ledger.db", done.stderr)

    def test_broken_requests_leave_the_hub_well(self):
        with Hub(self.home) as hub:
            for body in ("", "{", "[]", "null", '{"messages": 3}', '{"model": "ember", "messages": []}', "x" * 1000):
                status, _, answer = hub.request("POST", "/v1/chat/completions", body)
                self.assertEqual(status, 400, body)
                self.assertTrue(answer["error"]["message"], body)
            status, _, answer = hub.chat("hello", model="nope")
            self.assertEqual(status, 404)
            self.assertIn("nope", answer["error"]["message"])
            self.assertEqual(hub.chat("hello")[0], 200)


if __name__ == "__main__":
    unittest.main()
