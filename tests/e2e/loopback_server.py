"""An HTTP server of a test's own, at a free port of loopback."""

import http.server
import sys
import threading


class LoopbackServer:
    """Answers with `handler`, a class of http.server, from now until it is closed, or left by `with`."""

    def __init__(self, handler):
        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *args):
                if not isinstance(sys.exc_info()[1], OSError):  # The hub may hang up when it likes.
                    super().handle_error(*args)

        handler.log_message = lambda *_: None
        self._server = Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
