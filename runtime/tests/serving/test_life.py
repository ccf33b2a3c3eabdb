"""A server's life: what it says at its start, the end that finishes, and replaced models."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from runtime_support.servers import encoded, serving, wait_for, write_models
from runtime_support.tiny_model import tiny_model
from ssdreg_runtime.backends import BACKENDS, installed
from ssdreg_runtime.cli.serve import main
from ssdreg_runtime.serving.browser import MODULE


@pytest.fixture
def folder(tmp_path):
    write_models(tmp_path, tiny=None)
    return tmp_path


def slow_picture():
    """Return a picture that takes some tenths of a second to decode."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((6000, 6000, 3), np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_what_was_taken_is_finished_at_the_end(folder, number, status):
    with serving(folder, "--workers", "1", "--timeout", "300") as server, \
            ThreadPoolExecutor(4) as pool:
        content = slow_picture()
        taken = [pool.submit(server.detect, content) for _ in range(3)]
        # on a busy machine the first may be answered before the last comes; the answered are read
        # first, so that none counts twice
        wait_for(lambda: server.figure(
            'ssdreg_requests_total{route="/models/{name}/detect",status="200"}')
            + server.figure("ssdreg_pictures_waiting") == 3)
        assert server.stop(number) == status
        assert [answer.result().status for answer in taken] == [200] * 3
        assert server.logged("stopped")
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_a_killed_server_leaves_nothing_and_the_same_command_starts_again(folder):
    temporary = folder / "temporary"
    temporary.mkdir()
    # more than is kept in memory of a file in a form
    pictures = [("a.png", slow_picture() + bytes(2 << 20))] * 4
    port = 0
    for _ in range(2):
        with serving(folder, "--workers", "1", "--port", str(port),
                     environ={"TMPDIR": str(temporary)}) as server, ThreadPoolExecutor(2) as pool:
            port = server.port
            taken = [pool.submit(server.send_form, "/models/tiny/detect", pictures)
                     for _ in range(2)]
            wait_for(lambda: server.figure("ssdreg_pictures_waiting"))
            pid = server.process.pid
            assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""
            with server.connect() as half:
                half.sendall(b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
                assert server.stop(signal.SIGKILL) == -signal.SIGKILL
            for asked in taken:
                assert isinstance(asked.exception(), (ConnectionError, HTTPException))
        assert list(temporary.iterdir()) == []
        assert {file.name for file in folder.iterdir() if file.suffix != ".log"} == {
            "tiny.onnx", "temporary"}
    with serving(folder, "--port", str(port)) as server:
        assert server.detect(encoded()).status == 200


def test_a_replaced_model_is_opened_and_no_request_is_lost(folder):
    def names_of(answer):
        assert answer.status == 200
        return {found["class"] for found in answer.json["images"][0]["objects"]}

    with serving(folder, "--reload", "0.1") as server, ThreadPoolExecutor(4) as pool:
        ended = False
        seen = [set() for _ in range(4)]

        def ask_on(names):
            while not ended:
                names.add(frozenset(names_of(server.detect(encoded()))))

        asking = [pool.submit(ask_on, names) for names in seen]

        def all_saw(*names):
            return (all(frozenset(names) in each for each in seen)
                    or any(future.done() for future in asking))

        try:
            wait_for(lambda: all_saw("red", "blue"))
            beside = folder / "beside.onnx"
            onnx.save(tiny_model(None, classes=["rot", "grün", "blau"]), str(beside))
            beside.replace(folder / "tiny.onnx")
            wait_for(lambda: server.logged("model reloaded"))
            wait_for(lambda: server.get("/models/tiny").json["classes"][0] == "rot")
            # one that cannot be opened, written in two parts, leaves the old one
            whole = (folder / "tiny.onnx").read_bytes()
            os.truncate(folder / "tiny.onnx", 100)
            wait_for(lambda: server.logged("model not reloaded"))
            assert names_of(server.detect(encoded())) == {"rot", "blau"}
            with (folder / "tiny.onnx").open("ab") as file:
                file.write(whole[100:])
            wait_for(lambda: len(server.logged("model reloaded")) == 2)
            # and so does one that is gone
            (folder / "tiny.onnx").unlink()
            assert names_of(server.detect(encoded())) == {"rot", "blau"}
            wait_for(lambda: all_saw("rot", "blau"))
        finally:
            ended = True
        for future, names in zip(asking, seen):
            future.result()
            assert names == {frozenset({"red", "blue"}), frozenset({"rot", "blau"})}
        figures = server.get("/metrics").body
        assert b'ssdreg_model_reloads_total{model="tiny",result="ok"} 2.0' in figures
        assert b'ssdreg_model_reloads_total{model="tiny",result="failed"} 1.0' in figures


def test_a_token_is_asked_for(folder):
    (folder / "token").write_text("s3cret\n")
    with serving(folder, "--token-file", "token") as server:
        without = server.detect(encoded())
        assert (without.status, without.error) == (
            401, "the token is missing or wrong: send the header Authorization: Bearer TOKEN")
        assert without.headers["www-authenticate"] == "Bearer"
        for sent in ("Bearer", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret",
                     "Bearer \xff"):
            assert server.detect(encoded(), Authorization=sent).status == 401
        for path in ("/models", "/models/tiny", "/models/none", "/metrics"):
            assert server.get(path).status == 401
        for path in ("/invocations", "/endpoints/a/invocations"):
            assert server.send(path, encoded()).status == 401
        assert server.get("/ping").status == server.get("/openapi.json").status == 200
        assert server.detect(encoded(), Authorization="Bearer s3cret").status == 200
        assert "s3cret" not in server.log.read_text()


def test_the_environment_has_a_token_too(folder):
    with serving(folder, environ={"SSDREG_SERVE_TOKEN": "s3cret"}) as server:
        assert server.get("/models").status == 401
        assert server.get("/models", Authorization="Bearer s3cret").status == 200


def test_a_server_for_other_machines_says_that_anybody_may_ask(folder):
    with serving(folder, "--host", "0.0.0.0") as server:
        [warning] = server.logged(
            "anybody who reaches this address may ask: give a token by --token-file")
        assert warning["level"] == "warning"
        assert server.is_well()


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["none.onnx"], "none.onnx is not there: give a model file, .onnx or .xml"),
    (["tiny.onnx", "sub/tiny.onnx"], "tiny.onnx and sub/tiny.onnx would both be called tiny: give "
                                     "one another name, as NAME=sub/tiny.onnx"),
    (["a b=tiny.onnx"], "'a b' is no name for a model in an address: give one of ASCII letters, "
                        "digits, '.', '_' and '-', as NAME=tiny.onnx"),
    (["tiny.onnx", "--queue", "0"], "--queue 0 cannot be used: give 1 or more"),
    (["tiny.onnx", "--timeout", "0"], "--timeout 0 leaves no time: give seconds above 0"),
    (["tiny.onnx", "--port", "99999"], "--port 99999 is no port: give one of 1 to 65535, or 0 for "
                                       "any that is free"),
    (["tiny.onnx", "--token-file", "none"], "none cannot be read as a token: "),
    (["tiny.onnx", "--token-file", "empty"], "empty is empty: write the token into it"),
    (["tiny.onnx", "--token-file", "tiny.onnx"], ""),
    (["tiny.onnx", "--device", "tpu"], "--device 'tpu' is no device that runs a model file: "),
    (["tiny.onnx", "--iou", "2"], "--iou 2 is no overlap of boxes: "),
    (["bare.onnx", "--iou", "0.3"], "bare.onnx was made without suppression, which --iou would "),
    (["tiny.onnx", "--max-det", "0"], "--max-det 0 keeps nothing: give 1 or more"),
    (["tiny.onnx", "--max-det", "3", "--browser-runtime", "web"],
     "--max-det 3 is not what a browser detects with, by the file alone: leave it or "
     "--browser-runtime out"),
    (["tiny.onnx", "--iou", "0.3", "--browser-runtime", "web"], "--iou 0.3 is not what a browser "),
])
def test_what_cannot_be_served_is_a_sentence(folder, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(folder)
    (folder / "sub").mkdir()
    shutil.copy("tiny.onnx", "sub/tiny.onnx")
    (folder / "empty").write_bytes(b"\n")
    onnx.save(tiny_model(nms_threshold=-1), "bare.onnx")
    (folder / "web").mkdir()
    (folder / "web" / MODULE).touch()
    port = [] if "--port" in arguments else ["--port", "0"]
    assert main([*arguments, *port, "--threads", "1"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ssdreg-serve: {sentence}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(("backend", "device", "sentence"), [
    ("openvino", "openvino:NPU9", "OpenVINO finds no NPU9 here, for --device openvino:NPU9: "),
    ("onnxruntime", "cuda", "--device cuda needs an ONNX Runtime with CUDAExecutionProvider")])
def test_a_device_that_is_missing_is_named(folder, monkeypatch, capsys, backend, device, sentence):
    if backend not in installed():
        pytest.skip(f"the package {backend} is not installed")
    if device == "cuda":
        import onnxruntime
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("this package of ONNX Runtime has CUDA")
    monkeypatch.chdir(folder)
    assert main(["tiny.onnx", "--port", "0", "--device", device]) == 2
    assert capsys.readouterr().err.startswith(f"ssdreg-serve: tiny.onnx: {sentence}")
    other = BACKENDS[backend == BACKENDS[0]]
    assert main(["tiny.onnx", "--port", "0", "--device", device, "--backend", other]) == 2
    assert f"--device {device} is a device of {backend}, not of {other}" in capsys.readouterr().err


def test_the_best_few_are_answered(folder):
    with serving(folder, "--max-det", "1") as server:
        [image] = server.detect(encoded(), "?threshold=0").json["images"]
        assert [found["class"] for found in image["objects"]] == ["blue"]
        assert len(server.send("/invocations", encoded()).json["prediction"]) == 1


def test_a_port_that_is_taken_is_named(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["tiny.onnx", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"ssdreg-serve: 127.0.0.1, port {port}, cannot be listened at: Address already in use; "
        f"choose others by --host and --port\n")
