"""A registry of models as Ollama's is, on loopback, whose line breaks, and one as Hugging Face's.

  good:1b     its line breaks once, in the middle of the file, and works from then on
  stalled:1b  stands still in the middle until the client leaves; goes on from there when it is asked again
  Qwen/Qwen3-0.6B-GGUF:Q8_0  a name that the page knows
"""

import hashlib
import http.server
import json

from loopback_server import LoopbackServer

KNOWN = "Qwen3-0.6B-Q8_0.gguf"


class Registry(LoopbackServer):
    def __init__(self, model):
        self.model = model
        self.digest = hashlib.sha256(model).hexdigest()
        self.starts = {}  # From which bytes on each model's file was asked for.
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                parts = self.path.split("/")
                if self.path.startswith("/api/models/Qwen/Qwen3-0.6B-GGUF/"):
                    self.whole(json.dumps({"siblings": [{"rfilename": KNOWN, "size": len(outer.model), "lfs": {"sha256": outer.digest}}]}).encode())
                elif parts[-1] == KNOWN:
                    self.whole(outer.model)
                elif "manifests" in parts:
                    self.whole(json.dumps({"layers": [{"mediaType": "application/vnd.ollama.image.model",
                                                       "digest": f"sha256:{outer.digest}", "size": len(outer.model)}]}).encode())
                elif "blobs" in parts:
                    self.close_connection = True
                    self.blob(parts[parts.index("blobs") - 1])
                else:
                    self.send_error(404)

            def whole(self, data):
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def blob(self, name):
                start = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
                seen = outer.starts.setdefault(name, [])
                seen.append(start)
                rest = outer.model[start:]
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(outer.model) - 1}/{len(outer.model)}")
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                if len(seen) > 1:
                    self.wfile.write(rest)
                    return
                self.wfile.write(rest[:len(rest) // 2])
                self.wfile.flush()
                if name == "stalled":
                    self.connection.settimeout(60)
                    self.connection.recv(1)  # Until the hub hangs up.

        super().__init__(Handler)
