"""The bounds: bytes, pixels, time, the queue; and clients that do not do what they began."""

from __future__ import annotations

import io
import socket
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runtime_support.servers import COLORS, encoded, serving, wait_for

#: A picture that takes a tenth of a second to decode, and few bytes to send.
LARGE = (6000, 6000)


@pytest.fixture(scope="module")
def large():
    """A picture of 36 million pixels in few bytes, which takes its time to decode."""
    file = io.BytesIO()
    Image.fromarray(np.zeros(LARGE[::-1], np.uint8)).save(file, "PNG")
    return file.getvalue()


def bomb(width, height):
    """Return a PNG that says it has so many pixels, and holds a few hundred bytes."""
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content
                + struct.pack(">I", zlib.crc32(kind + content)))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(bytes(1 << 20), 9)) + chunk(b"IEND", b""))


def open_sockets(server):
    """Return the sockets that a server has open."""
    found = []
    for file in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(file.readlink()))
    return [name for name in found if name.startswith("socket:")]


def received(connection):
    """Return all that comes until the server ends a connection."""
    return b"".join(iter(lambda: connection.recv(10_000), b""))


def memory(server):
    """Return the most memory that a server has had so far, in bytes."""
    with Path(f"/proc/{server.process.pid}/status").open(encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM:"))


@pytest.mark.parametrize("size", [(40_000, 40_000), (1001, 1000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(server, size):
    before = memory(server)
    answer = server.detect(bomb(*size))
    assert answer.status == 413
    assert answer.error.endswith("pixels, and the server takes pictures of 1000000 at most: send "
                                 "a smaller one")
    assert memory(server) - before < 20 << 20
    assert server.is_well()


def test_a_body_is_bounded_whether_it_says_its_length_or_not(server):
    answer = server.detect(bytes(300_001))
    assert (answer.status, answer.error) == (
        413, "the body is larger than 300000 bytes, which is the server's limit: send less")
    chunks = iter([bytes(100_000)] * 4)
    assert server.ask("POST", "/models/tiny/detect", chunks,
                      {"Content-Type": "image/png"}).status == 413
    assert server.send_form("/models/tiny/detect",
                            [(f"{number}.png", bytes(100_000)) for number in range(4)]
                            ).status == 413
    assert server.detect(encoded()).status == 200


def test_what_is_beyond_the_queue_is_told_when_to_come_again(models_folder, large):
    with serving(models_folder, "--queue", "4", "--workers", "1", "--timeout", "300") as server:
        with ThreadPoolExecutor(1) as pool:
            # so many that they are still being decoded when the next request comes
            first = pool.submit(server.send_form, "/models/tiny/detect", [("a.png", large)] * 4)
            wait_for(lambda: server.figure("ssdreg_pictures_waiting") == 4)
            second = server.detect(encoded())
            assert first.result().status == 200
        assert (second.status, second.error) == (429, "the server is busy: send it again in 1 s")
        assert second.headers["retry-after"] == "1"
        assert b'ssdreg_requests_refused_total{reason="queue"} 1.0' in server.get("/metrics").body
        assert server.detect(encoded()).status == 200


def test_late_requests_are_ended(models_folder, large):
    """A body that comes slowly, a picture that takes long, and a connection that says nothing."""
    with serving(models_folder, "--timeout", "3", "--keep-alive", "1", "--workers", "1"
                 ) as server:
        silent, half_head, half_body = (server.connect() for _ in range(3))
        half_head.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\nX-")
        half_body.sendall(b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
                          b"Content-Length: 1000\r\n\r\n\x89PNG")
        answer = server.send_form("/models/tiny/detect", [("a.png", large)] * 40)
        assert (answer.status, answer.error) == (
            504, "not done within 3 s: send it again, or fewer pictures")
        answer = received(half_body)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body did not arrive in time: send it again" in answer
        assert received(silent) == received(half_head) == b""
        for connection in (silent, half_head, half_body):
            connection.close()
        wait_for(lambda: server.detect(encoded()).status == 200)


def test_an_answer_that_nobody_reads_is_dropped(models_folder):
    with serving(models_folder, "--keep-alive", "1") as server:
        sockets = set(open_sockets(server))
        with server.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # more than the system keeps for a client that does not read
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
            wait_for(lambda: len(open_sockets(server)) > len(sockets))
            wait_for(lambda: set(open_sockets(server)) == sockets)
        assert server.is_well()


POST = b"POST /invocations HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("sent", [
    b"", b"POST", POST + b"Content-Length: 99\r\n\r\nx", POST + b"Content-Length: nine\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nff\r\nx",
    POST + b"Transfer-Encoding: chunked\r\n\r\nno\r\n",
    POST + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"], ids=lambda sent: repr(sent)[:24])
def test_a_half_request_leaves_nothing_behind(server, sent):
    with server.connect() as connection:
        connection.sendall(sent)
    assert server.detect(encoded()).status == 200
    assert server.is_well()


def test_bodies_are_bounded_altogether(server):
    """Eight of the largest are held, and their clients have them end where they like."""
    connections = [server.connect() for _ in range(8)]
    try:
        for connection in connections:
            connection.sendall(POST + b"Content-Length: 300000\r\n\r\n" + bytes(299_990))
        wait_for(lambda: b"ssdreg_body_bytes 2.39992e+06" in server.get("/metrics").body)
        refused = server.detect(encoded())
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    finally:
        for connection in connections:
            connection.close()
    wait_for(lambda: server.detect(encoded()).status == 200)
    assert b'ssdreg_requests_refused_total{reason="memory"}' in server.get("/metrics").body


def test_nobody_needs_to_wait_for_an_answer(server):
    content = encoded(colors=COLORS)
    with server.connect() as connection:
        connection.sendall(POST + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
    assert server.detect(content).status == 200
    assert server.is_well()
    wait_for(lambda: b"ssdreg_pictures_waiting 0.0" in server.get("/metrics").body)
    assert server.logged("request failed") == []
