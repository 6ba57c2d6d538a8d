#!/usr/bin/env python3
"""Stands for llama-server in tests.  The model's name says how it behaves:

    crash-at-start, never-opens, hangs, crash-mid, slow, anything else answers well
"""
import http.server
import json
import os
import sys
import threading
import time

args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
model = os.path.basename(args["--model"])
key = os.environ["LLAMA_API_KEY"]
print("fake llama-server", os.getpid(), "loads", model, flush=True)
with open(os.environ["FAKE_LLAMA_LOG"], "a", encoding="utf-8") as log:
    log.write(f"{os.getpid()} {model}\n")

if model == "crash-at-start":
    print("error: tensor 'blk.0.x' is strange\x01\xff", file=sys.stderr, flush=True)
    sys.exit(3)
if model == "never-opens":
    time.sleep(3600)

started = time.monotonic()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if model == "hangs":
            time.sleep(3600)
        if time.monotonic() - started < 0.1:
            return self.reply(503, {"error": {"message": "Loading model", "code": 503}})
        return self.reply(200, {"status": "ok"})

    def say(self, text):
        chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def do_POST(self):
        if self.headers["Authorization"] != f"Bearer {key}":
            return self.reply(401, {"error": {"message": "Invalid API Key"}})
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.say(f"{model} ")
        if model == "crash-mid":
            print("GGML_ASSERT failed", flush=True)
            os.abort()
        if model == "slow":
            time.sleep(1)
        self.say(f"says {os.getpid()}")
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
               "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
        self.wfile.write(f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode())


server = http.server.ThreadingHTTPServer((args["--host"], int(args["--port"])), Handler)
threading.Thread(target=server.serve_forever).start()
