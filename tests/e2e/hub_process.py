"""Runs `hearth` as its users do: a real process, real sockets, folders of its own.

`Home` is a throw-away home folder; `Hub` a `hearth serve` in it on a free port.  The program
is found through HEARTH (CTest sets it) or in build/release.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
HEARTH = os.environ.get("HEARTH", str(ROOT / "build/release/src/cli/hearth"))


class Home:
    """A home folder with a hearth.toml; nothing of the real user's is seen or touched."""

    def __init__(self, toml="", models=()):
        self.path = Path(tempfile.mkdtemp(prefix="hearth-e2e-"))
        self.models = self.path / "models"
        self.models.mkdir()
        for model in models:
            os.symlink(model, self.models / Path(model).name)
        self.write_config(toml)

    def write_config(self, toml):
        folder = self.path / ".config/hearth"
        folder.mkdir(parents=True, exist_ok=True)
        if "[models]" not in toml:
            toml += f'\n[models]\nfolders = ["{self.models}"]\n'
        (folder / "hearth.toml").write_text(toml)

    def environment(self, **extra):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "HEARTH_", "OLLAMA", "HF_", "LLAMA_"))}
        return {**kept, "HOME": str(self.path), "NO_COLOR": "1", **extra}

    def run(self, *args, stdin="", timeout=60, **extra):
        """Runs one `hearth` command to its end; the completed process with text output."""
        return subprocess.run([HEARTH, *args], input=stdin, capture_output=True, text=True,
                              timeout=timeout, env=self.environment(**extra))

    def make_model(self, name):
        """A small model with random weights in the models folder: it says nonsense, at a real speed."""
        done = self.run("bench", "model", str(self.models / f"{name}.gguf"), "--shape", "tiny", "--type", "Q8_0")
        assert done.returncode == 0, done.stderr

    @property
    def ledger(self):
        return self.path / ".local/share/hearth/ledger.db"

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Hub:
    """A hub that listens; `with` stops it by SIGTERM and checks that it ended well."""

    def __init__(self, home, *args, **extra):
        self.home = home
        self.log = open(home.path / f"serve-{time.monotonic_ns()}.log", "w+")
        self.process = subprocess.Popen([HEARTH, "serve", "--port", "0", "--json", *args], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, env=home.environment(**extra))
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(10)
            raise RuntimeError(f"the hub did not start: {self.log_text()}")
        self.url = json.loads(line)["url"]
        self.host, self.port = urllib.parse.urlsplit(self.url).hostname, urllib.parse.urlsplit(self.url).port

    def log_text(self):
        return Path(self.log.name).read_text()

    def connect(self, timeout=60):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, parsed JSON or text) of one request on a connection of its own."""
        with contextlib.closing(self.connect(timeout)) as connection:
            data = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            text = response.read().decode()
            kind = response.headers.get("Content-Type", "")
            return response.status, response.headers, json.loads(text) if "json" in kind else text

    def chat(self, content, model="auto", **fields):
        """(status, headers, JSON) of a chat completion with one user message."""
        body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
        return self.request("POST", "/v1/chat/completions", body)

    def events(self, body, path="/v1/chat/completions", headers=None):
        """Yields the data of each server-sent event of a streamed request, parsed; ends at [DONE]."""
        with contextlib.closing(self.connect()) as connection:
            connection.request("POST", path, json.dumps({**body, "stream": True}),
                               {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {response.read().decode()}")
            for line in response:
                if line.startswith(b"data: "):
                    data = line[6:].strip()
                    if data == b"[DONE]":
                        return
                    yield json.loads(data)

    def metrics(self):
        """Prometheus text as {name or name{labels}: number}."""
        _, _, text = self.request("GET", "/metrics")
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no RssAnon")

    def stop(self, expect=0):
        """SIGTERM; the hub must end within 5 s with `expect` (None: any)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(5)
        self.process.stdout.close()
        text = self.log_text()
        self.log.close()
        if expect is not None and code != expect:
            raise AssertionError(f"the hub ended with {code}: {text}")

    def kill(self):
        self.process.kill()
        self.process.wait(5)
        self.process.stdout.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()


def shared(name):
    """A file of ../shared, or None where the folder is absent."""
    path = SHARED / name
    return path if path.exists() else None
