"""A web server on this machine, which counts what it is asked for."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answering(BaseHTTPRequestHandler):
    """Notes the paths it is asked for in the server's `asked`; `reply` answers, with bytes."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.reply()

    def answer(self, announced, sent=None):
        """Announce bytes and send them, or other ones."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(announced)))
        self.end_headers()
        self.wfile.write(announced if sent is None else sent)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def served(handler):
    """Yield a server that answers by an `Answering` handler."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
