"""Cameras and streams of a network: lost and found again, recorded and live."""

from __future__ import annotations

import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.inference.streams import open_streams
from ssdreg_runtime.io.camera import Camera, file_name, is_camera

pytest.importorskip("av", reason="PyAV, which reads streams, is not installed")

WIDTH, HEIGHT = 64, 48


def jpeg(level):
    file = io.BytesIO()
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), level, np.uint8)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def serve():
    """Serve on loopback what a function writes for each connection, counted from 0."""
    servers = []

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                number, server.connections = server.connections, server.connections + 1
                try:
                    answer(self, number)
                except OSError:  # the reader went away
                    self.close_connection = True

            def log_message(self, *_):
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.connections = 0
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://user:secret@127.0.0.1:{server.server_port}/camera"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def motion(handler, levels, pause=0.02):
    """Send pictures as cameras do, until there are no more."""
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
    handler.end_headers()
    for level in levels:
        content = jpeg(level)
        handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: "
                            + str(len(content)).encode() + b"\r\n\r\n" + content + b"\r\n")
        time.sleep(pause)


def taken(camera):
    """Return the frames that come, and what ended them."""
    frames = []
    try:
        for decode in camera.frames():
            if decode is not None:
                frames.append(decode())
    except DataError as error:
        return frames, str(error)
    return frames, ""


def test_a_stream_that_is_lost_is_connected_to_again(serve, caplog):
    def answer(handler, number):
        if number > 1:
            handler.send_error(503)
            return
        motion(handler, [40 + 100 * number] * 20)

    camera = Camera(serve(answer), patience=1.5)
    frames, end = taken(camera)
    levels = [int(frame.pixels.mean().round()) for frame in frames]
    assert {40, 140} == set(levels)
    assert levels == sorted(levels)
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
    assert frames[0].pixels.shape == (HEIGHT, WIDTH, 3)
    assert "was lost, and did not come back for 1.5 s" in end
    assert caplog.text.count("and is tried again") == 2
    assert "secret" not in caplog.text + end + camera.name + frames[0].name


def test_who_is_slow_gets_the_newest(serve):
    camera = Camera(serve(lambda handler, _: motion(handler, range(0, 250, 2))), patience=0)
    levels = []
    for decode in camera.frames():
        if decode is not None:
            levels.append(decode().pixels.mean())
            time.sleep(0.3)
        if len(levels) == 4:
            break
    assert np.diff(levels).min() > 10


def test_a_recording_is_read_to_its_end_once(serve, tmp_path):
    from runtime_support.videos import colors, write_video
    write_video(tmp_path / "clip.mp4", colors(7))
    content = (tmp_path / "clip.mp4").read_bytes()

    def answer(handler, _):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    frames, end = taken(Camera(serve(answer)))
    assert (len(frames), end) == (7, "")
    assert frames[0].time == 0 < frames[1].time


def test_what_cannot_be_opened_is_said_at_once(serve):
    gone = serve(lambda handler, _: handler.send_error(404))
    for source, sentence in ((gone, "/camera cannot be read as a video: "),
                             ("9173", "camera 9173 cannot be read as a video: ")):
        begun = time.monotonic()
        frames, end = taken(Camera(source))
        assert frames == []
        assert sentence in end
        assert "secret" not in end
        assert time.monotonic() - begun < 5


def test_what_is_a_camera(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [is_camera(name) for name in ("0", "12", "rtsp://h/1", "HTTP://h", "file:///etc/passwd",
                                         "concat:a|b", "photo.jpg", "-", "")] == [
        True, True, True, True, False, False, False, False, False]
    assert [type(each) for each in open_streams(["0", "rtsp://host/cam"])] == [Camera, Camera]
    (tmp_path / "0").write_bytes(b"a file of that name")
    assert not is_camera("0")
    assert file_name("rtsp://host:554/cam 1") == "rtsp-host-554-cam-1"


def test_a_camera_on_the_command_line_keeps_what_was_found(serve, tmp_path, monkeypatch, capsys):
    """Until it is lost; the status says that it was."""
    import json

    import onnx
    from runtime_support.tiny_model import tiny_model
    from ssdreg_runtime.backends import installed
    from ssdreg_runtime.cli.main import main
    if not installed():
        pytest.skip("neither OpenVINO nor ONNX Runtime is installed")
    monkeypatch.chdir(tmp_path)
    onnx.save(tiny_model(), "tiny.onnx")
    source = serve(lambda handler, _: motion(handler, [90] * 15))
    status = main(["tiny.onnx", source, "--reconnect", "0", "--json-lines", "--save-coco",
                   "--threads", "1", "--out", "saved"])
    told = capsys.readouterr()
    lines = list(map(json.loads, told.out.splitlines()))
    assert status == 2
    assert "was lost, and did not come back for 0 s" in told.err
    assert "secret" not in told.err + told.out
    images = json.loads((tmp_path / "saved" / "coco.json").read_text())["images"]
    assert len(images) == len(lines) > 3
    assert images[0]["file_name"].startswith("http-127.0.0.1-")
    assert images[0]["file_name"].endswith("-camera-000001.png")
