"""The servers that are measured: each a context manager with host, port and the model's name."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from hub_process import Home, Hub  # noqa: E402

START_TIMEOUT_S = 120


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def toml(switch):
    return "true" if switch else "false"


class HearthServer:
    """`hearth serve` in a home of its own, with `models` and nothing else."""

    name = "hearth"

    def __init__(self, models, threads, kv_mib=2048, speculation=True, pack=False, models_toml="", log="warn"):
        self.home = Home(models=[Path(m).resolve() for m in models])
        self.home.write_config(
            f'[models]\nfolders = ["{self.home.models}"]\nscan = false\npack = {toml(pack)}\n{models_toml}'
            f"[engine]\nthreads = {threads}\nkv_mib = {kv_mib}\nspeculation = {toml(speculation)}\n")
        self.log = log
        self.host, self.port, self.hub = "127.0.0.1", 0, None

    def model_name(self, model):
        return Path(model).stem

    @property
    def pid(self):
        return self.hub.process.pid

    def __enter__(self):
        self.hub = Hub(self.home, "--log", self.log)
        self.host, self.port = self.hub.host, self.hub.port
        return self

    def __exit__(self, kind, *_):
        self.hub.__exit__(kind)
        self.home.close()


class LlamaServer:
    """llama-server (of llama.cpp or ik_llama.cpp) with one model and as many slots as streams."""

    def __init__(self, program, model, threads, n_slots, slot_tokens, name="llama.cpp"):
        self.program, self.model, self.name = program, Path(model), name
        self.threads, self.n_slots, self.slot_tokens = threads, n_slots, slot_tokens
        self.host, self.port, self.process = "127.0.0.1", free_port(), None
        self.log = tempfile.TemporaryFile("w+")

    def model_name(self, model):
        return Path(model).stem

    @property
    def pid(self):
        return self.process.pid

    def command(self):
        return [self.program, "-m", str(self.model), "-t", str(self.threads), "--host", self.host, "--port",
                str(self.port), "-np", str(self.n_slots), "-c", str(self.n_slots * self.slot_tokens)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=subprocess.STDOUT)
        wait_for_health(self.host, self.port, self.process, self.log_tail)
        return self

    def log_tail(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def __exit__(self, *_):
        stop(self.process)
        self.log.close()


def wait_for_health(host, port, process, log_tail, path="/health"):
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {log_tail()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(host, port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server was not ready after {START_TIMEOUT_S} s: {log_tail()}")


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def resident_bytes(pid, field="RssAnon"):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def get_json(host, port, path, timeout=30):
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=timeout)) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
