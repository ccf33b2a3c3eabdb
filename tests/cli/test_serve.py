"""``ssdreg serve``, which is the runtime's server."""

from __future__ import annotations

import signal
import subprocess
import sys

import onnx
from runtime_support.tiny_model import tiny_model
from support.runs import command


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
