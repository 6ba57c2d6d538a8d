#!/usr/bin/env python3
"""codex and opencode, unchanged, doing a job with a real hub: a file is written by a tool that the model calls.

    tests/clients/agents/run

The model is another server's that the hub relays, with a script: asked for the job it calls the tool that the client
offers for it, and when the tool has answered it says so.  So what is tested is all between them: requests with tools,
streamed calls, results that come back, and the end of it, over OpenAI's responses (codex) and chat (opencode).

HEARTH_RECORD=FOLDER writes down what the clients send (tests/clients/recorder.py).
"""

import contextlib
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "e2e")]

from adviser_server import AdviserServer, chunk, sse  # noqa: E402
from hub_process import Home, Hub  # noqa: E402
from recorder import Recorder  # noqa: E402

INSTALLED = Path(os.environ["HEARTH_AGENTS_DIR"]) / "node_modules"
# Where each client's package has its program.
PROGRAMS = {"codex": "codex-linux-*/vendor/*/bin/codex", "opencode": "opencode-linux-*/bin/opencode"}
JOB_S_MAX = 300  # On a machine that does other things beside.
NOTE, WORDS = "note.txt", "the fire is lit"
JOB = f"Write the words '{WORDS}' into the file {NOTE} in the working folder."
COMMAND = f"printf '{WORDS}' > {NOTE}"

# The tools with which some client writes a file, and the arguments of a call; the first that is offered is called.
TOOLS = {
    "exec_command": lambda folder: {"cmd": COMMAND},
    "shell_command": lambda folder: {"command": COMMAND},
    "shell": lambda folder: {"command": ["bash", "-c", COMMAND]},
    "write": lambda folder: {"filePath": str(folder / NOTE), "content": WORDS},
    "bash": lambda folder: {"command": COMMAND, "description": "Writes the note"},
}


def call_chunks(name, arguments):
    """A streamed call, its arguments in pieces."""
    text = json.dumps(arguments)
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    yield {"tool_calls": [first]}
    for i in range(0, len(text), 11):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": text[i:i + 11]}}]}


class Model(AdviserServer):
    """The scripted model."""

    def __init__(self, folder):
        self.folder, self.called, self.results = folder, [], []
        super().__init__(self.answer)
        self.model = "agent"

    def answer(self, handler, body):
        request = json.loads(body)
        tools = {tool["function"]["name"] for tool in request.get("tools", [])}
        results = [m for m in request["messages"] if m["role"] == "tool"]
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        name = next((tool for tool in TOOLS if tool in tools), None)
        if results:
            self.results.append(results[-1]["content"])
            deltas, finish = [{"content": "The note "}, {"content": "is written."}], "stop"
        elif name:
            self.called.append(name)
            deltas, finish = call_chunks(name, TOOLS[name](self.folder)), "tool_calls"
        else:
            deltas, finish = [{"content": "A note"}], "stop"  # A title, without tools.
        pieces = [sse({**chunk(""), "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}) for delta in deltas]
        handler.stream(b"".join(pieces) + sse(chunk(finish=finish)) + sse(chunk(usage=usage)) + sse(b"[DONE]"))


def program(client):
    """The client's program; a test of it is skipped where it is not installed, or does not start on this machine."""
    found = next(INSTALLED.glob(PROGRAMS[client]), None)
    if found is None:
        raise unittest.SkipTest(f"SKIPPED: {client} is not in the registry for this machine")
    with Home() as home:
        started = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=JOB_S_MAX, stdin=subprocess.DEVNULL,
                                 env={"PATH": "/usr/bin:/bin", "HOME": str(home.path)})
    if started.returncode != 0:
        raise unittest.SkipTest(f"SKIPPED: {client} does not start here: {(started.stderr or started.stdout).strip()[:300]}")
    return found


def recorded(client, hub):
    """Something whose .url leads to the hub: the hub itself, or a recorder before it."""
    folder = os.environ.get("HEARTH_RECORD")
    return Recorder(hub.url, Path(folder) / f"{client}.http") if folder else contextlib.nullcontext(hub)


class Agents(unittest.TestCase):
    def do_job(self, client, make_command):
        """Has a client do the job in an empty folder; what it printed."""
        found = program(client)
        with Home() as home:
            folder = home.path / "work"
            folder.mkdir()
            with Model(folder) as model:
                home.write_config(f'[[upstreams]]\nname = "scripted"\nurl = "{model.url}"\nwire = "chat"\nlocal = true\n'
                                  'models = ["agent"]\n')
                with Hub(home) as hub, recorded(client, hub) as front:
                    arguments, extra = make_command(home, front.url)
                    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home.path), "LANG": "C.UTF-8", "NO_COLOR": "1",
                                   "NO_PROXY": "127.0.0.1,localhost", **extra}
                    done = subprocess.run([found, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
                                          timeout=JOB_S_MAX, stdin=subprocess.DEVNULL)
                    said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}\n{hub.log_text()[-2000:]}"
                    self.assertEqual(done.returncode, 0, said)
                    self.assertTrue((folder / NOTE).is_file(), f"no file; called {model.called}, answered {model.results}\n{said}")
                    self.assertEqual((folder / NOTE).read_text(), WORDS)
                    self.assertEqual(len(model.called), 1)
                    self.assertTrue(model.results)
                    receipts = hub.request("GET", "/hearth/v1/receipts?limit=10")[2]["receipts"]
                    self.assertTrue(all(r["upstream"] == "scripted" for r in receipts) and len(receipts) >= 2, receipts)
        return done.stdout

    def test_codex(self):
        def command(home, url):
            settings = home.path / "codex"
            settings.mkdir()
            (settings / "config.toml").write_text(
                'model = "scripted/agent"\nmodel_provider = "hearth"\n\n[model_providers.hearth]\nname = "Hearth"\n'
                f'base_url = "{url}/v1"\nwire_api = "responses"\n')
            return ["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", JOB], {
                "CODEX_HOME": str(settings)}

        events = [json.loads(line) for line in self.do_job("codex", command).splitlines() if line.startswith("{")]
        texts = [e["item"]["text"] for e in events if e.get("item", {}).get("type") == "agent_message"]
        self.assertEqual(texts[-1], "The note is written.")
        usage = next(e["usage"] for e in events if e["type"] == "turn.completed")
        self.assertGreater(usage["input_tokens"], 0)

    def test_opencode(self):
        def command(home, url):
            settings = home.path / "opencode.json"
            settings.write_text(json.dumps({
                "autoupdate": False, "share": "disabled", "permission": {"*": "allow"},
                "provider": {"hearth": {"npm": "@ai-sdk/openai-compatible", "name": "Hearth",
                                        "options": {"baseURL": f"{url}/v1", "apiKey": "x"},
                                        "models": {"scripted/agent": {"name": "agent", "tool_call": True,
                                                                      "limit": {"context": 32768, "output": 1024}}}}}}))
            return ["run", "--format", "json", "--model", "hearth/scripted/agent", JOB], {
                "OPENCODE_CONFIG": str(settings), "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "OPENCODE_DISABLE_LSP_DOWNLOAD": "1", "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1"}

        events = [json.loads(line) for line in self.do_job("opencode", command).splitlines() if line.startswith("{")]
        texts = [e["part"]["text"] for e in events if e["type"] == "text"]
        self.assertEqual(texts[-1], "The note is written.")


if __name__ == "__main__":
    unittest.main()
