"""GluonCV's SSD presets as detectors with weights: what is declared is what GluonCV says."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest
from ssdreg_gluon.classes import COCO, VOC
from ssdreg_gluon.detectors import DIGESTS
from ssdreg_gluon.zoo import GLUONCV, digests

import ssdreg


def gluoncv_file(*parts):
    spec = find_spec("gluoncv")  # of a package at the top, this imports nothing
    if spec is None or spec.origin is None:
        pytest.skip("GluonCV is not installed: there is nothing to compare with")
    return Path(spec.origin).parent.joinpath(*parts)


def test_every_preset_with_weights_is_declared():
    gluoncv_file()
    store = {name: digest for name, digest in digests(GLUONCV).items()
             if name.startswith("ssd_")}
    assert store == DIGESTS


@pytest.mark.parametrize(("data", "classes"), [("pascal_voc", VOC), ("mscoco", COCO)])
def test_classes_are_gluoncvs(data, classes):
    source = gluoncv_file("data", data, "detection.py").read_text(encoding="utf-8")
    theirs = [tuple(ast.literal_eval(node.value)) for node in ast.walk(ast.parse(source))
              if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CLASSES"]
    assert classes in theirs


def test_a_preset_is_found_by_its_name(tmp_path, monkeypatch):
    from ssdreg.weights.fetching import cached_file, on_disk
    declared = ssdreg.get_detector("SSD_512_ResNet50_v1_VOC")
    assert declared.name == "ssd_512_resnet50_v1_voc"
    assert declared.url.endswith("/ssd_512_resnet50_v1_voc-9c8b225a.zip")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    assert on_disk(declared) is None
    assert cached_file(declared).name == "ssd_512_resnet50_v1_voc-9c8b225a.params"
    # where GluonCV itself has put it
    stored = tmp_path / "models" / "ssd_512_resnet50_v1_voc-9c8b225a.params"
    stored.parent.mkdir()
    stored.write_bytes(b"some")
    assert on_disk(declared) == stored


def test_what_is_wrong_is_said():
    assert "inside blocks" in ssdreg.get_detector("ssd_512_resnet101_v2_voc").about
