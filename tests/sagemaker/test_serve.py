"""An endpoint in SageMaker's place, asked as clients of the built-in object detection ask."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime.inference.detector import Detector
from support import jobs, paths
from support.runs import command

import ssdreg
from ssdreg.data import read_voc
from ssdreg.sagemaker.serve import Environment, read_environment

BCCD = paths.SHARED / "data" / "bccd"


@contextmanager
def endpoint(root, **environment):
    """Serve a root by the container's entry point, at a free port; yield the address."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    with subprocess.Popen(
            [paths.PROJECT / "deploy" / "serve", "--root", root], text=True,
            env={**os.environ, "PATH": path, "SAGEMAKER_BIND_TO_PORT": "0", **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            said = process.stdout.readline()
            assert said.startswith("serving model at http://0.0.0.0:"), process.stderr.read()
            yield f"http://127.0.0.1:{said.rpartition(':')[2].strip()}"
        finally:
            process.send_signal(signal.SIGTERM)
            errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0, errors


def asked(address, picture):
    """Ask as a client that was written for the built-in algorithm does."""
    boto3 = pytest.importorskip("boto3", reason="boto3, the client of SageMaker, is not installed")
    client = boto3.client("sagemaker-runtime", region_name="us-east-1", endpoint_url=address,
                          aws_access_key_id="none", aws_secret_access_key="none")
    content = io.BytesIO()
    picture.save(content, "PNG")
    response = client.invoke_endpoint(EndpointName="object-detection-2019-01-01",
                                      ContentType="image/png", Body=content.getvalue())
    answer = json.loads(response["Body"].read().decode())
    assert list(answer) == ["prediction"]
    return np.array(answer["prediction"])


def test_a_client_of_the_built_in_algorithm_is_answered(trained):
    picture = jobs.drawn(3)[0]
    with endpoint(trained, SAGEMAKER_MODEL_SERVER_WORKERS="1") as address:
        rows = asked(address, picture)
    expected, = Detector(trained / "model" / "model.onnx").detect([picture])
    assert np.allclose(rows, expected.rows, atol=1e-5)
    assert rows[:, 2:].min() >= 0
    assert rows[:, 2:].max() <= 1


def test_what_the_built_in_algorithm_has_left_is_served(trained, tmp_path):
    """A model folder without our file: the endpoint moves, and nothing is trained anew."""
    model = tmp_path / "ml" / "model"
    shutil.copytree(trained / "model", model)
    (model / "model.onnx").unlink()
    picture = jobs.drawn(3)[0]
    with endpoint(tmp_path / "ml") as address:
        rows = asked(address, picture)
    expected, = Detector(trained / "model" / "model.onnx").detect([picture])
    assert np.allclose(rows, expected.rows, atol=1e-3)
    # the folder may be one that cannot be written
    assert not (model / "model.onnx").exists()


@pytest.mark.reference
def test_photos_of_blood_cells_from_job_to_answer(capsys, tmp_path):
    """BCCD in the image format: a few steps through the entry point, served and asked."""
    if not BCCD.is_dir():
        pytest.skip(f"there is no BCCD at {BCCD}")
    dataset = read_voc(BCCD, "train")
    root, data = tmp_path / "ml", tmp_path / "ml" / "input" / "data"
    for name, samples in (("train", dataset.samples[:16]), ("validation", dataset.samples[16:20])):
        (data / name).mkdir(parents=True)
        for sample in samples:
            shutil.copy(sample.image, data / name)
            jobs.write(data / f"{name}_annotation" / f"{sample.image.stem}.json", {
                "file": sample.image.name,
                "image_size": [{"width": sample.width, "height": sample.height, "depth": 3}],
                "annotations": [{"class_id": dataset.classes.index(box.label), "left": box.x1,
                                 "top": box.y1, "width": box.x2 - box.x1,
                                 "height": box.y2 - box.y1} for box in sample.boxes],
                "categories": [{"class_id": number, "name": name}
                               for number, name in enumerate(dataset.classes)]})
    jobs.configure(root, jobs.told(image_shape=128, num_training_samples=16, epochs=1), {
        f"{name}{end}": jobs.channel("image/jpeg") for name in ("train", "validation")
        for end in ("", "_annotation")})
    done = command(capsys, "sagemaker", "train", "--root", root)
    assert done.status == 0, done.err
    assert len(jobs.figures(done.out)["validation:mAP"]) == 1
    picture = Image.open(dataset.samples[20].image)
    with endpoint(root) as address:
        rows = asked(address, picture)
    detector = Detector(root / "model" / "model.onnx")
    assert detector.classes == dataset.classes
    assert set(rows[:, 0]) <= {0.0, 1.0, 2.0}
    assert np.allclose(rows, detector.detect([picture])[0].rows, atol=1e-5)


# What the container says

@pytest.mark.parametrize(("variables", "environment"), [
    ({}, Environment()),
    ({"SAGEMAKER_BIND_TO_PORT": "9000"}, Environment(port=9000)),
    ({"SAGEMAKER_MODEL_SERVER_WORKERS": "2", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "60",
      "SAGEMAKER_BIND_TO_PORT": ""}, Environment(workers=2, timeout=60))])
def test_the_environment(variables, environment):
    assert read_environment(variables) == environment


def test_a_variable_that_is_no_number():
    with pytest.raises(ssdreg.DataError, match=r"SAGEMAKER_BIND_TO_PORT is '80\.0', and must"):
        read_environment({"SAGEMAKER_BIND_TO_PORT": "80.0"})


def test_a_device_is_that_of_the_server(capsys, trained, monkeypatch):
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "0")
    done = command(capsys, "sagemaker", "serve", "--root", trained, "--device", "tpu")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("ssdreg: --device 'tpu' is no device that runs a model file: ")


def test_a_folder_without_a_model(capsys, tmp_path):
    done = command(capsys, "sagemaker", "serve", "--root", tmp_path)
    assert (done.status, done.out) == (2, "")
    assert f"{tmp_path / 'model'} is not there" in done.err
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").touch()
    done = command(capsys, "sagemaker", "serve", "--root", tmp_path)
    assert ("holds no model: neither model.onnx nor model_algo_1-symbol.json, but notes.txt"
            in done.err)
