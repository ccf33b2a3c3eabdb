"""The command `ssdreg-serve` where what it needs is missing, and the names of models."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from ssdreg_runtime.cli.serve import main, parser
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.serving.models import ModelSource, model_sources
from ssdreg_runtime.serving.settings import Settings


def test_a_missing_extra_is_one_sentence_with_the_line_that_installs_it(monkeypatch, capsys):
    for name in ("uvicorn", "fastapi"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["tiny.onnx"]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"ssdreg-serve: serving needs fastapi and uvicorn, not installed here: run "
                        r"`pip install 'fastapi>=\S+' 'uvicorn>=\S+' 'python-multipart>=\S+' "
                        r"'prometheus-client>=\S+'`\n", said)


def test_help_says_what_settings_are_by_default(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    usage = " ".join(capsys.readouterr().out.split())
    assert "(default: None)" not in usage
    options = parser().parse_args(["tiny.onnx"])
    settings = Settings()
    for name in ("host", "port", "backend", "threads", "precision", "device", "iou", "max_det",
                 "workers", "batch", "queue", "timeout", "keep_alive", "max_bytes", "max_pixels",
                 "reload"):
        assert getattr(options, name) == getattr(settings, name)
        assert f"--{name.replace('_', '-')} " in usage
    assert options.batch_wait / 1000 == settings.batch_wait


def test_models_have_their_own_names_or_those_of_their_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.onnx").touch()
    assert model_sources(["cells.onnx", "traffic=models/v7.xml"]) == [
        ModelSource("cells", Path("cells.onnx")), ModelSource("traffic", Path("models/v7.xml"))]
    # the names of files may have the sign too
    with pytest.raises(DataError, match="'a=b' is no name for a model in an address"):
        model_sources(["a=b.onnx"])
    assert model_sources(["name=a=b.onnx"]) == [ModelSource("name", Path("a=b.onnx"))]
