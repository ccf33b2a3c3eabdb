"""The runtime where nothing else is: the oldest Python, the newest, no MXNet, no ssdreg.

A detector is exported here and run there, and has to find what MXNet finds here. The runtime's own
tests run beside all others with this Python, and in one of these environments with another. Needs
pip's index; the environments take a while, so each is made once.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from PIL import Image
from support import paths
from support.environments import PROJECT, add, clean, install, python_of, run, version_of

from ssdreg.data.synthetic import write_shapes
from ssdreg.deploy.executor import Inference, prepare
from ssdreg.deploy.model import random_deploy_model
from ssdreg.detector.overrides import Overrides
from ssdreg.exporting import write_onnx

SHARED = paths.SHARED / "data" / "bccd" / "JPEGImages"
BACKENDS = ("onnxruntime", "openvino")
NEWEST = ("3.14", "3.13", "3.12", "3.11", "3.10", "3.9")
TOLERANCE = 1e-3
#: Tests that take most of the time and hold whatever else is installed: servers that are killed or
#: attacked, their page in a browser, cameras that go away, full disks, and crowds of labels. They
#: run beside all others only.
SAME_EVERYWHERE = ("serving/test_life.py", "serving/test_bounds.py", "serving/test_attack.py",
                   "serving/test_page.py", "io/test_camera.py", "cli/test_full_output.py",
                   "draw/test_crowds.py")

LOOK = """
import json, sys
import numpy as np
import ssdreg_runtime
found = {}
for backend in ("onnxruntime", "openvino"):
    (seen,) = ssdreg_runtime.Detector(sys.argv[1], backend=backend, threads=1).detect(sys.argv[2])
    found[backend] = np.column_stack([seen.labels, seen.scores, seen.xyxy]).tolist()
missing = []
for name in ("mxnet", "ssdreg"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        missing.append(name)
print(json.dumps({"numpy": np.__version__, "missing": missing, "found": found}))
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    """A real photo where there is one, else a drawn one; not of the network's size."""
    photos = sorted(SHARED.glob("*.jpg"))
    if photos:
        return photos[0]
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder, 1, 1, (120, 160))
    return sorted((folder / "JPEGImages").iterdir())[0]


@pytest.fixture(scope="module")
def source():
    """A detector whose scores lie well apart: of tied boxes, any may suppress the others."""
    made = random_deploy_model("resnet18", 3, 128, overrides=Overrides(tap_strides=(8, 16)))
    calm = {name: values * 0.1 if "cls_pred" in name else values
            for name, values in made.params.args.items()}
    return evolve(made, params=evolve(made.params, args=calm))


@pytest.fixture(scope="module")
def model(source, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("model") / "detector.onnx"
    write_onnx(source, file)
    return file


@pytest.fixture(scope="module")
def expected(source, photo) -> np.ndarray:
    """What MXNet finds: label, score, and the box in pixels, a row each."""
    from ssdreg.mx import mx
    image = Image.open(photo).convert("RGB")
    batch = prepare(image, source.plan.data_shape, source.plan.preprocessing)[None]
    rows = Inference(source.symbol, source.params, 1, source.plan.data_shape).detect(
        mx.nd.array(batch))[0]
    rows = rows[rows[:, 0] >= 0]
    limits = np.array(image.size * 2)
    rows[:, 2:] = np.clip(rows[:, 2:] * limits, 0, limits)
    return rows


@pytest.fixture(scope="module")
def newest(runtime_wheel, tmp_path_factory) -> Path:
    """The newest Python that is here, with both backends, unless all other tests have it."""
    python = python_of(*NEWEST)
    if newest_is_this():
        pytest.skip(f"Python {version_of(python)} is that of all other tests")
    return install(python, tmp_path_factory.mktemp("newest") / "venv",
                   f"{runtime_wheel}[{','.join(BACKENDS)}]")


@pytest.fixture(scope="module")
def bare(runtime_wheel, tmp_path_factory) -> Path:
    """The oldest Python that is here, with the wheel and neither of the two runtimes."""
    python = python_of(*reversed(NEWEST))
    if not has_older():
        pytest.skip(f"there is one supported Python on this machine only, {version_of(python)}")
    return install(python, tmp_path_factory.mktemp("oldest") / "venv", runtime_wheel)


def has_older() -> bool:
    """Tell whether there is an older Python than the newest."""
    return version_of(python_of(*NEWEST)) != version_of(python_of(*reversed(NEWEST)))


def newest_is_this() -> bool:
    """Tell whether the newest Python is that of all other tests, and there is an older one."""
    return has_older() and version_of(python_of(*NEWEST)) == version_of(Path(sys.executable))


@pytest.fixture(scope="module")
def refusal(bare, model, photo) -> subprocess.CompletedProcess[str]:
    """What the command says as long as there is nothing to run a model."""
    return subprocess.run([bare / "ssdreg-detect", model, photo], cwd=bare, env=clean(),
                          capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def oldest(bare, refusal) -> Path:
    """The same, after the commands that it names."""
    wanted = re.findall(r"`pip install '(\S+)'`", refusal.stderr)
    add(bare, *wanted)
    return bare


@pytest.fixture
def equipped(request, runtime_wheel) -> Path:
    """Where the runtime's own tests run: the newest Python; the oldest where that is this one."""
    programs = request.getfixturevalue("oldest" if newest_is_this() else "newest")
    add(programs, f"{runtime_wheel}[test]")
    return programs


@pytest.fixture(scope="module", params=["newest", "oldest"])
def programs(request) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def seen(programs, model, photo, tmp_path_factory) -> dict:
    """What a program there says of the modules around it, and of the photo."""
    return json.loads(run(programs / "python", "-c", LOOK, model, photo,
                          cwd=tmp_path_factory.mktemp("empty")))


def same(found, expected, size, tolerance=TOLERANCE):
    """Tell whether two tables hold the same objects, in the same order but for ties.

    Rows are label, score and the box in pixels of an image of `size` (width, height); scores and
    shares of the image differ by `tolerance` at most. Rows whose scores are closer to each other
    than that may have changed places.
    """
    scale = np.array([1, 1, *size * 2])
    one, two = np.array(found) / scale, np.array(expected) / scale
    if one.shape != two.shape or np.abs(one[:, 1] - two[:, 1]).max() > tolerance:
        return False
    close = (np.abs(one[:, None] - two) <= [0.5, *[tolerance] * 5]).all(axis=2)
    return bool(close.any(axis=0).all() and close.any(axis=1).all())


@pytest.mark.slow
@pytest.mark.network
def test_a_missing_runtime_is_one_sentence(refusal):
    assert (refusal.returncode, refusal.stdout) == (2, "")
    (line,) = refusal.stderr.splitlines()
    assert line.startswith("ssdreg-detect: ")
    assert re.search(r"run `pip install 'openvino>=[\d.]+'` or `pip install 'onnxruntime>=", line)


@pytest.mark.slow
@pytest.mark.network
def test_neither_mxnet_nor_ssdreg_is_there(seen):
    assert seen["missing"] == ["mxnet", "ssdreg"]
    assert seen["numpy"].startswith("2.")


def test_there_is_something_to_find(expected):
    assert len(expected) > 100
    assert len(set(expected[:, 0])) > 1
    assert np.ptp(expected[:, 1]) > 0.1


@pytest.mark.slow
@pytest.mark.network
def test_the_runtimes_own_tests_pass(equipped, tmp_path):
    tests = PROJECT / "runtime" / "tests"
    others = [option for file in SAME_EVERYWHERE
              for option in ("--ignore", (tests / file).resolve(strict=True))]
    printed = run(equipped / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", tests,
                  *others, cwd=tmp_path)
    assert " passed" in printed, printed


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_detector_finds_what_mxnet_finds(seen, expected, photo, backend):
    assert same(seen["found"][backend], expected, Image.open(photo).size)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_command_finds_what_mxnet_finds(programs, source, model, photo, expected, tmp_path,
                                            backend):
    printed = run(programs / "ssdreg-detect", model, photo, "--json-lines", "--backend", backend,
                  "--threads", "1", "--threshold", "0", cwd=tmp_path)
    (line,) = printed.splitlines()
    seen = json.loads(line)
    rows = [[source.classes.index(each["class"]), each["score"], *each["box"]]
            for each in seen["objects"]]
    # it prints tenths of a pixel
    size = (seen["width"], seen["height"])
    assert same(rows, expected, size, TOLERANCE + 0.05 / min(size))


@pytest.mark.slow
@pytest.mark.network
def test_the_command_draws(programs, model, photo, tmp_path):
    # labels that find no place would make a legend below the picture
    printed = run(programs / "ssdreg-detect", model, photo, "--threads", "1", "--hide-labels",
                  cwd=tmp_path)
    (picture,) = (tmp_path / "predictions").iterdir()
    assert picture.name in printed
    (drawn, seen) = Image.open(picture).size, Image.open(photo).size
    # small pictures are enlarged
    assert drawn[0] * seen[1] == drawn[1] * seen[0]


def test_a_comparison_that_means_something(expected, photo):
    size = Image.open(photo).size
    assert same(expected, expected, size)
    for column, change in ((0, 1), (1, 0.01), (2, 0.01 * size[0]), (5, 0.01 * size[1])):
        other = expected.copy()
        other[7, column] += change
        assert not same(other, expected, size)
    assert not same(expected[1:], expected, size)
