"""``ssdreg serve``, which is the runtime's server."""

from __future__ import annotations

import io
import signal
import subprocess
import sys

import numpy as np
import onnx
from runtime_support.servers import serving
from runtime_support.tiny_model import tiny_model
from ssdreg_runtime.inference.detector import Detector
from support.runs import command

from ssdreg.data.synthetic import draw_shapes
from ssdreg.deploy.model import random_deploy_model
from ssdreg.detector.overrides import Overrides
from ssdreg.exporting import write_onnx


def test_it_serves_without_mxnet(tmp_path):
    onnx.save(tiny_model(None), str(tmp_path / "tiny.onnx"))
    code = ("import sys; sys.modules['mxnet'] = None; from ssdreg.cli.main import main; "
            "sys.exit(main(['serve', 'tiny.onnx', '--port', '0', '--threads', '1']))")
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        said = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=60)[1]
    assert said.startswith("serving tiny at http://127.0.0.1:"), errors
    assert process.returncode == 0, errors


def test_device_suppression_and_number_are_those_of_a_detector(tmp_path):
    file = tmp_path / "shapes.onnx"
    write_onnx(random_deploy_model("resnet18", 3, (96, 128),
                                   overrides=Overrides(tap_strides=(8, 16))), file)
    picture = draw_shapes((333, 201), np.random.default_rng(0))[0]
    content = io.BytesIO()
    picture.save(content, "PNG")
    answers = []
    for device, iou, max_det in (("openvino:CPU", 0.2, 40), ("cpu", 0.7, 40), ("cpu", None, None)):
        options = [f"--device={device}", *([] if iou is None else [f"--iou={iou}"]),
                   *([] if max_det is None else [f"--max-det={max_det}"])]
        with serving(tmp_path, *options, models=[file.name]) as server:
            answer = server.send("/models/shapes/detect?threshold=0", content.getvalue())
        expected, = Detector(file, threads=1, device=device, iou=iou, max_det=max_det)(picture)
        assert answer.json["images"] == [{"image": "the picture", **expected.to_dict()}]
        answers.append(len(expected))
    assert 0 < answers[0] <= answers[1] == 40 < answers[2]


def test_a_missing_extra_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = command(capsys, "serve", "cells.onnx")
    assert done.status == 2
    assert done.err.startswith("ssdreg: serving needs uvicorn, not installed here: run `pip inst")
    assert done.err.count("\n") == 1


def test_what_is_no_model_is_a_sentence(capsys, tmp_path):
    done = command(capsys, "serve", tmp_path, "--port", "0")
    assert done.status == 2
    assert done.err.startswith(f"ssdreg: {tmp_path} is a folder and no model file")
