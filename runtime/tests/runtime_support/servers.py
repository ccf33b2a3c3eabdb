"""Servers as processes on free ports, and a client that sends what it is told to the byte."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

import onnx
from attrs import field, frozen
from PIL import Image
from runtime_support.tiny_model import picture, tiny_model

RED, GREEN, BLUE, BLACK = (200, 0, 0), (0, 100, 0), (0, 0, 250), (0, 0, 0)
COLORS = (RED, GREEN, BLUE, BLACK)
SIZE = (64, 48)

#: Seconds in which a server starts, answers and ends, on machines that have other things to do.
PATIENCE = 120


@frozen
class Answer:
    """An answer: its status, headers (lower case), and body."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


@frozen(eq=False)
class RunningServer:
    """A server that answers at `port`; `log` is the file of its standard error."""

    process: subprocess.Popen
    port: int
    log: Path

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value
                                            for name, value in response.getheaders()},
                          response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def send(self, path, content, kind="application/x-image", **headers):
        """Send a picture as the body."""
        return self.ask("POST", path, content, {"Content-Type": kind, **headers})

    def detect(self, content, query="", **headers):
        return self.send(f"/models/tiny/detect{query}", content, **headers)

    def send_form(self, path, files):
        """Send files, pairs of name and content, as a form."""
        body, kind = form(files)
        return self.send(path, body, kind)

    def connect(self):
        """Open a connection to write to as one likes."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def figure(self, name):
        """Return a figure by its name, with its labels where it has any; 0 until it is counted."""
        lines = self.get("/metrics").body.decode().splitlines()
        return next((float(line[len(name):]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def logged(self, event):
        """Return the lines of the log that tell of an event."""
        # the last line may be half written, or be the command's own word to its user
        lines = self.log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        return [line for text in lines if text.startswith("{")
                if (line := json.loads(text))["event"] == event]

    def line_of(self, request_id):
        """Return the line of a request, which is written when its answer has been sent."""
        return wait_for(lambda: next((line for line in self.logged("request")
                                      if line["request_id"] == request_id), None))

    def stop(self, number=signal.SIGTERM):
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def is_well(self):
        """Tell whether it still lives and answers."""
        return self.process.poll() is None and self.get("/ping").status == 200


def wait_for(find):
    """Return what `find` finds, as soon as that is something."""
    end = monotonic() + PATIENCE
    while monotonic() < end:
        if found := find():
            return found
        sleep(0.01)
    raise AssertionError("it did not come")


@contextmanager
def serving(folder, *arguments, models=("tiny.onnx",), environ=()):
    """Run ``ssdreg-serve`` in a folder; what is left of it is ended afterwards."""
    log = folder / f"server-{uuid4().hex}.log"
    with log.open("wb") as errors, subprocess.Popen(
            [sys.executable, "-c", "import sys; from ssdreg_runtime.cli.serve import main; "
             "sys.exit(main())", *models, "--port", "0", "--threads", "1", *arguments],
            cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True,
            env={**os.environ, "SSDREG_SERVE_TOKEN": "", **dict(environ)}) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("serving "), log.read_text(encoding="utf-8")
            yield RunningServer(process, int(line.rpartition(":")[2]), log)
        finally:
            if process.poll() is None:
                process.terminate()


def write_models(folder, **batches):
    """Write detectors of `tiny_model` into a folder, by name, each for so many images at a time."""
    for name, batch in batches.items():
        onnx.save(tiny_model(batch), str(folder / f"{name}.onnx"))


def encoded(kind="JPEG", colors=COLORS, size=SIZE, **options):
    """Return a picture as a file of this format."""
    file = io.BytesIO()
    if kind == "JPEG":
        options = {"quality": 95, **options}
    Image.fromarray(picture(colors, size)).save(file, kind, **options)
    return file.getvalue()


def form(files):
    """Return a form with these files, and its content type."""
    boundary = uuid4().hex
    parts = [b"".join([f"--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; "
                       f"filename=\"{name}\"\r\n\r\n".encode(), content, b"\r\n"])
             for name, content in files]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), \
        f"multipart/form-data; boundary={boundary}"
