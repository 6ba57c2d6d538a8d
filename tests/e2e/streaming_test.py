#!/usr/bin/env python3
"""Many streaming clients at once, of which half leave early; and a hub that is told to stop.

What must be left behind is nothing: no page, no descriptor, no memory that grows.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
import unittest

from adviser_server import wait_until
from hub_process import Home, Hub, shared

STORIES = shared("models/dreams-230k.gguf")
CLIENTS = 200


def request_bytes(host, **fields):
    body = json.dumps({"model": "dreams-230k", "messages": [{"role": "user", "content": '"Echoes'}],
                       "stream": True, **fields}).encode()
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


@unittest.skipUnless(STORIES, "SKIPPED: needs ../shared")
class Streaming(unittest.TestCase):
    def setUp(self):
        self.home = Home(models=[STORIES])
        self.addCleanup(self.home.close)

    def client(self, hub, number, results):
        """Even numbers read to the end, odd ones leave after their first piece."""
        try:
            with contextlib.closing(socket.create_connection((hub.host, hub.port), timeout=120)) as connection:
                connection.sendall(request_bytes(f"{hub.host}:{hub.port}", max_tokens=40, seed=number))
                received = b""
                while b"data: [DONE]" not in received:
                    piece = connection.recv(4096)
                    if not piece:
                        break
                    received += piece
                    if number % 2 and received.count(b"data: ") >= 1:
                        results[number] = "left"
                        return
                results[number] = "done" if b"data: [DONE]" in received else f"cut: {received[-200:]}"
        except OSError as error:
            results[number] = repr(error)

    def wave(self, hub):
        results = {}
        threads = [threading.Thread(target=self.client, args=(hub, n, results)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(180)
        self.assertEqual(len(results), CLIENTS)
        self.assertEqual({results[n] for n in range(0, CLIENTS, 2)}, {"done"})
        self.assertLessEqual({results[n] for n in range(1, CLIENTS, 2)}, {"left", "done"})

    def settle(self, hub):
        """Waits until nothing runs; (pages in use beyond the prefix cache, files, resident bytes).

        The hub closes a connection a moment after its client did, the one that asked for these metrics
        among them, so the files are the fewest seen in a second: what is leaked stays, and is seen.
        """
        idle = lambda: (m := hub.metrics())["hearth_jobs_running"] == 0 and m["hearth_jobs_waiting"] == 0
        self.assertTrue(wait_until(idle, 30))
        metrics = hub.metrics()
        files = hub.open_files()
        for _ in range(20):
            time.sleep(0.05)
            files = min(files, hub.open_files())
        return (metrics["hearth_kv_pages_used"] - metrics["hearth_kv_pages_cached"], files, hub.resident_bytes())

    def test_200_clients_half_of_which_leave(self):
        with Hub(self.home) as hub:
            self.wave(hub)  # Warms caches and pools.
            before = self.settle(hub)
            for _ in range(2):
                self.wave(hub)
            after = self.settle(hub)
            print(f"pages {before[0]} -> {after[0]}, files {before[1]} -> {after[1]}, anonymous memory "
                  f"{before[2] >> 10} -> {after[2] >> 10} KiB")
            self.assertEqual(after[0], 0)
            self.assertLessEqual(after[1], before[1])
            self.assertLess(after[2], before[2] + (16 << 20))

    def test_a_client_that_leaves_frees_its_session_soon(self):
        with Hub(self.home) as hub:
            connection = socket.create_connection((hub.host, hub.port))
            connection.sendall(request_bytes(f"{hub.host}:{hub.port}", max_tokens=100_000, ignore_eos=True))
            connection.recv(4096)
            connection.close()
            self.assertTrue(wait_until(lambda: hub.metrics()["hearth_jobs_running"] == 0, 2))

    def test_sigterm_ends_within_a_second_and_streams_close_properly(self):
        hub = Hub(self.home)
        connection = http.client.HTTPConnection(hub.host, hub.port, timeout=30)
        connection.request("POST", "/v1/chat/completions", json.dumps({
            "model": "dreams-230k", "stream": True, "messages": [{"role": "user", "content": '"Echoes'}]}),
            {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read(50)
        started = time.monotonic()
        hub.process.send_signal(signal.SIGTERM)
        self.assertEqual(hub.process.wait(20), 0)
        self.assertLess(time.monotonic() - started, 10)  # A busy machine's pace; alone it is below 1.
        with contextlib.suppress(http.client.HTTPException, OSError):
            response.read()
        connection.close()
        hub.stop()

    def test_same_seed_same_text_alone_and_in_a_crowd(self):
        ask = lambda hub: hub.chat('"Echoes', model="dreams-230k", max_tokens=30, seed=7, temperature=1.0)[2]["choices"][0]["message"]["content"]
        with Hub(self.home) as hub:
            alone = ask(hub)
            crowd = [threading.Thread(target=self.client, args=(hub, n, {})) for n in range(20)]
            for thread in crowd:
                thread.start()
            among = ask(hub)
            for thread in crowd:
                thread.join()
            self.assertEqual(alone, among)


class Background(unittest.TestCase):
    def test_serve_in_the_background_ask_it_and_stop_it(self):
        with Home() as home, contextlib.ExitStack() as stack:
            stack.callback(home.run, "stop")
            started = home.run("serve", "--background", "--port", "0")
            self.assertEqual(started.returncode, 0, started.stderr)
            self.assertIn("http://127.0.0.1:", started.stdout)
            again = home.run("serve", "--background", "--port", "0")
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertIn("already", again.stdout + again.stderr)
            asked = home.run("ask", "--hub", "hub", "What is a receipt?", "--json")
            self.assertEqual(asked.returncode, 0, asked.stderr)
            self.assertTrue(json.loads(asked.stdout)["receipt"]["id"])
            self.assertEqual(home.run("stop").returncode, 0)
            self.assertEqual(home.run("stop").returncode, 3)


if __name__ == "__main__":
    unittest.main()
