"""A training job in SageMaker's place: from its folders to its model, through the entry point."""

from __future__ import annotations

import json
import tarfile

import numpy as np
from ssdreg_runtime.inference.detector import Detector
from support import jobs
from support.runs import SMALL, command

import ssdreg
from ssdreg.mx import mx

MODEL = ["hyperparams.json", "model.onnx", "model_algo_1-0000.params", "model_algo_1-symbol.json"]


def train(capsys, root):
    return command(capsys, "sagemaker", "train", "--root", root)


def left(root):
    return sorted(file.name for file in (root / "model").iterdir())


def rows(root, picture):
    """Return what the ONNX file of a job detects, at least one object."""
    found, = Detector(root / "model" / "model.onnx").detect([picture])
    assert len(found.rows)
    return found.rows


# What is left

def test_a_job_leaves_its_model_and_its_figures(capsys, tmp_path):
    root = jobs.pictures_job(tmp_path / "ml", weight_decay=0.001)
    done = train(capsys, root)
    assert done.status == 0, done.err
    assert left(root) == MODEL
    assert not (root / "output" / "failure").exists()
    found = jobs.figures(done.out)
    assert found["train:progress"] == [50, 100]
    assert all(len(values) == 2 for values in found.values())
    told = json.loads((root / "model" / "hyperparams.json").read_text())
    assert (told["base_network"], told["optimizer"], told["epochs"]) == (SMALL.name, "sgd", "2")
    assert "num_training_samples: images are counted" in done.out


def test_the_model_has_the_classes_by_their_numbers(trained):
    assert Detector(trained / "model" / "model.onnx").classes == jobs.CLASSES


def test_import_reads_what_was_trained(trained, tmp_path):
    """Packed as the service packs it; the network inside is the one that detects in the file."""
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz", compresslevel=1) as archive:
        for file in (trained / "model").iterdir():
            archive.add(file, file.name)
    checkpoint = ssdreg.load_checkpoint(tmp_path / "model.tar.gz", classes=jobs.CLASSES)
    assert checkpoint.kind == f"SageMaker's object detection ({SMALL.name})"
    assert (checkpoint.plan.data_shape, checkpoint.plan.nms_threshold) == ((64, 64), 0.4)
    assert checkpoint.plan.preprocessing == ssdreg.plan(SMALL).preprocessing
    assert checkpoint.plan.backbone == SMALL.name
    run = checkpoint.save(tmp_path / "run")
    picture = jobs.drawn(3)[0]
    ours, = ssdreg.Detector(run.path, backend="mxnet").detect([picture])
    assert np.allclose(ours.rows, rows(trained, picture), atol=1e-3)


def test_an_old_client_feeds_pixels_as_they_are(trained):
    """MXNet's own module with the files by the built-in algorithm's names, as its samples have."""
    symbol, args, auxs = mx.model.load_checkpoint(str(trained / "model" / "model_algo_1"), 0)
    picture = jobs.drawn(3)[0]
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1)[None]
    module = mx.mod.Module(symbol, label_names=("label",), context=mx.cpu())
    module.bind(for_training=False, data_shapes=[("data", pixels.shape)],
                label_shapes=[("label", (1, 1, 5))])
    module.set_params(args, auxs)
    # a training symbol, which is given labels that nobody looks at
    module.forward(mx.io.DataBatch([mx.nd.array(pixels)], [-mx.nd.ones((1, 1, 5))]),
                   is_train=False)
    ours = module.get_outputs()[-1].asnumpy()[0]
    assert np.allclose(ours[ours[:, 0] >= 0], rows(trained, picture), atol=1e-3)
