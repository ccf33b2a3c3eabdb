"""`ssdreg export --format torch`: the folder detects and learns where nothing but PyTorch is.

That is a virtual environment of its own, with links to PyTorch and what its metadata require: no
ssdreg, no MXNet, no NumPy, no attrs.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from PIL import Image  # noqa: E402
from ssdreg_torch.export.tensors import read_tensors, write_tensors  # noqa: E402

import ssdreg  # noqa: E402
from ssdreg.cli.main import main  # noqa: E402
from ssdreg.data.synthetic import write_shapes  # noqa: E402
from ssdreg.deploy.model import open_deploy_model  # noqa: E402
from ssdreg.deploy.mxnet_backend import MXNetBackend  # noqa: E402
from ssdreg.exporting.checking import compare_folder  # noqa: E402
from ssdreg.exporting.parity import compare  # noqa: E402

SIDE = 64
#: Detects in images, then learns from these and prints all as JSON.
SCRIPT = """
import importlib.util, json, sys
import torch
sys.path.insert(0, sys.argv[1])
from detector import CLASSES, load
torch.set_num_threads(1)
there = [name for name in ("ssdreg", "mxnet", "numpy", "attrs", "safetensors", "ssdreg_torch")
         if importlib.util.find_spec(name)]
given = torch.load(sys.argv[2], weights_only=True)
network = load()
rows = [found.tolist() for found in network.detect(given["images"])]
network.train()
optimizer = torch.optim.SGD([parameter for parameter in network.parameters()
                             if parameter.requires_grad], lr=2e-3, momentum=0.9)
losses = []
for _ in range(12):
    loss = network.loss(given["images"], given["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
torch.save(network.state_dict(), sys.argv[3])
tuned = load(sys.argv[3])
same = all(torch.equal(value, tuned.state_dict()[name])
           for name, value in network.state_dict().items())
print(json.dumps({"there": there, "classes": CLASSES, "rows": rows, "losses": losses,
                  "same": same}))
"""

pytestmark = pytest.mark.filterwarnings("ignore::ssdreg.DetectorWarning")


def required(name, found):
    """Collect a distribution and what it requires, without extras."""
    if name in found:
        return found
    try:
        found[name] = distribution(name)
    except PackageNotFoundError:  # of another platform
        return found
    for line in found[name].requires or ():
        if "extra ==" not in line:
            required(re.match(r"[\w.-]+", line)[0], found)
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment that has PyTorch, and Pillow for what reads images."""
    folder = tmp_path_factory.mktemp("alone") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for each in {**required("torch", {}), **required("pillow", {})}.values():
        tops = {Path(file).parts[0] for file in each.files or () if ".." not in Path(file).parts}
        for top in tops - {"__pycache__"}:
            target = Path(each.locate_file(top))
            if target.exists() and not (packages / top).exists():
                (packages / top).symlink_to(target)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, 16, 6, (SIDE, SIDE))
    return folder


@pytest.fixture(scope="module")
def run(shapes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    ssdreg.train(data=shapes, out=folder, backbone="resnet18", data_shape=SIDE,
                 tap_strides=(8, 16), pretrained=False, batch_size=8, epochs=2)
    return folder


@pytest.fixture
def copy(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "run"))


def command(*arguments):
    """Return a command's status, and what it printed on either stream."""
    printed, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
    return status, printed.getvalue(), complained.getvalue()


def export(*arguments):
    status, printed, complained = command("export", "--format", "torch", *arguments)
    assert status == 0, complained
    return printed


def refused(sentence, *arguments):
    status, printed, complained = command("export", *arguments)
    lines = [line for line in complained.splitlines() if "warning" not in line]
    return status == 2 and printed == "" and len(lines) == 1 and sentence in lines[0]


def batch():
    """Return images (4, 3, SIDE, SIDE) with a bright square each, and labels of these."""
    generator = np.random.default_rng(3)
    images = generator.integers(0, 80, (4, SIDE, SIDE, 3), np.uint8)
    labels = np.full((4, 2, 5), -1, np.float32)
    for index in range(3):  # the last is empty
        left, top = generator.integers(4, 28, 2)
        images[index, top:top + 24, left:left + 24] = 230
        labels[index, 0] = [index, left / SIDE, top / SIDE, (left + 24) / SIDE, (top + 24) / SIDE]
    return images, labels


def used(python, folder, tmp_path):
    """Detect and learn in an environment without ssdreg; return what it printed."""
    images, labels = batch()
    torch.save({"images": torch.from_numpy(images.transpose(0, 3, 1, 2).copy()),
                "labels": torch.from_numpy(labels)}, tmp_path / "batch.pt")
    done = subprocess.run([str(python), "-I", "-c", SCRIPT, str(folder), str(tmp_path / "batch.pt"),
                           str(tmp_path / "tuned.pt")],
                          capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_rows(path, rows, **told):
    """Hold detections against MXNet's, to 1e-4 but for proved ties."""
    model = open_deploy_model(path, **told)
    expected = MXNetBackend(model, 4).run(batch()[0])
    padded = np.full((4, expected.shape[1], 6), -1.0)
    for index, found in enumerate(rows):
        if found:
            padded[index, :len(found)] = found
    parity = compare(expected, padded)
    assert parity.boxes
    assert parity.mismatches == 0, parity.sentences
    assert max(parity.score, parity.coordinate) <= 1e-4


def test_a_run_detects_and_learns_with_pytorch_alone(python, copy, tmp_path):
    printed = export(copy)
    folder = copy / "torch"
    assert {file.name for file in folder.iterdir()} == {
        "detector.py", "model.safetensors", "README.md", "export.json"}
    assert f"written:        {folder} (" in printed
    assert "files:          README.md, detector.py, model.safetensors" in printed
    told = used(python, folder, tmp_path)
    assert told["there"] == []
    assert told["classes"] == ["circle", "square", "triangle"]
    check_rows(copy, told["rows"])
    assert told["losses"][-1] < 0.7 * told["losses"][0]
    assert told["same"]


def test_an_old_checkpoint_does_too(python, copy, tmp_path):
    """One of another program: only the symbol to train and its parameters are there."""
    shutil.copy(copy / "ssd-symbol.json", tmp_path / "old-symbol.json")
    shutil.copy(copy / "ssd-0002.params", tmp_path / "old-0002.params")
    told = {"classes": ("a", "b", "c"), "data_shape": SIDE}
    printed = export(tmp_path / "old", "--classes", "a,b,c", "--data-shape", SIDE)
    assert f"written:        {tmp_path / 'old-torch'} (" in printed
    found = used(python, tmp_path / "old-torch", tmp_path)
    assert found["classes"] == ["a", "b", "c"]
    check_rows(tmp_path / "old", found["rows"], **told)
    assert found["losses"][-1] < 0.7 * found["losses"][0]


def test_the_file_detects_in_image_files(python, copy, shapes, tmp_path):
    export(copy, "--out", tmp_path / "out")
    Image.fromarray(batch()[0][0]).save(tmp_path / "square.png")
    done = subprocess.run([str(python), str(tmp_path / "out" / "detector.py"), "square.png"],
                          capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.match(r"square\.png: (circle|square|triangle) [01]\.\d{3} at \d+ \d+ \d+ \d+\n",
                    done.stdout)


def test_a_folder_is_compared_with_mxnet(copy, tmp_path):
    """The one that was written finds the same; one with other parameters does not."""
    images = batch()[0]
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    status, printed, _ = command("export", copy, "--format", "torch", "--check", tmp_path)
    assert status == 0
    assert "compared with MXNet on 4 images:" in printed
    assert re.search(r"^torch +[\d,]+ .* equal$", printed, re.MULTILINE)
    folder = copy / "torch"
    assert {file.name for file in folder.iterdir()} == {
        "detector.py", "model.safetensors", "README.md", "export.json"}
    tensors = read_tensors(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("cls_pred_conv.bias"))
    # one score of each anchor: what is added to all of them changes no probability
    tensors[name] = tensors[name] + np.arange(len(tensors[name])) % 2
    write_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    other = compare_folder(open_deploy_model(copy), ssdreg.get_engine("torch"), folder, images)
    assert not other.equal
    assert command("export", copy, "--format", "torch", "--check", "no.jpg")[0] == 2


def test_a_folder_is_replaced_unless_somebody_has_worked_in_it(copy):
    export(copy)
    folder = copy / "torch"
    assert "replaced:" in export(copy)
    (folder / "tuned.pt").write_bytes(b"mine")
    assert refused("tuned.pt was put there since ssdreg wrote the folder", copy,
                   "--format", "torch")
    (folder / "tuned.pt").unlink()
    with (folder / "detector.py").open("a") as stream:
        stream.write("# mine\n")
    assert refused("detector.py was changed since ssdreg wrote it", copy, "--format", "torch")
    assert (folder / "detector.py").read_text().endswith("# mine\n")
    (folder / "export.json").unlink()
    assert refused("is there already and was not written by ssdreg", copy, "--format", "torch")
    assert [file for file in copy.iterdir() if file.name.startswith(".")] == []


def test_what_is_of_an_onnx_file_is_refused(copy, tmp_path):
    for options in (("--opset", 18), ("--no-nms",), ("--precision", "float16"),
                    ("--batch-size", 1), ("--dynamic-batch",)):
        sentence = f"{options[0]} is of an ONNX file"
        assert refused(sentence, copy, "--format", "torch", *options)
    assert refused("there is no format 'pickle' to export to: choose one of onnx, openvino, torch",
                   copy, "--format", "pickle")
    (tmp_path / "file").write_text("mine")
    assert refused("is a file, and a folder is written", copy, "--format", "torch",
                   "--out", tmp_path / "file")
    assert not (copy / "torch").exists()
