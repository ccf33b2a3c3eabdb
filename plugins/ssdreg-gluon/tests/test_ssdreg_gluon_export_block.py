"""What GluonCV's own ``export_block`` writes of its SSD presets, imported: equal to MXNet's."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

import ssdreg
from ssdreg.auditing.gluoncv_presets import import_gluoncv
from ssdreg.deploy.executor import bind_checkpoint
from ssdreg.mx import mx

if importlib.util.find_spec("gluoncv") is None:
    pytest.skip("GluonCV is not installed (pip install gluoncv==0.10.5)", allow_module_level=True)

#: Presets of the three forms, the light ones; the sides their anchors are made for.
PRESETS = {"ssd_300_mobilenet0.25_voc": 300, "ssd_512_resnet18_v1_voc": 512,
           "ssd_300_vgg16_atrous_voc": 300}


@pytest.fixture(scope="module", params=PRESETS)
def exported(request, tmp_path_factory):
    """Export a preset with random weights, with the defaults and as planes."""
    model_zoo = import_gluoncv().model_zoo
    from gluoncv.utils import export_block
    folder, side = tmp_path_factory.mktemp("exported"), PRESETS[request.param]
    mx.random.seed(1)
    net = model_zoo.get_model(request.param, pretrained=False, pretrained_base=False)
    net.initialize()
    net(mx.nd.zeros((1, 3, side, side)))
    net.reset_class(["cat", "dog"])
    net(mx.nd.zeros((1, 3, side, side)))
    export_block(str(folder / "pixels"), net)
    export_block(str(folder / "planes"), net, data_shape=(3, side, side), preprocess=None,
                 layout="CHW")
    return folder, side


def predictions(prefix, data):
    """Return MXNet's own probabilities (B, N, C + 1) and boxes in pixels of an exported file."""
    symbol, args, auxs = mx.model.load_checkpoint(str(prefix), 0)
    nodes = {node["op"]: node["name"] for node in json.loads(symbol.tojson())["nodes"]}
    internals = symbol.get_internals()
    scores = internals[f"{nodes['softmax']}_output"]
    boxes = mx.sym.slice_axis(symbol[2], axis=1, begin=0, end=None)
    executor = mx.sym.Group([scores, symbol[0], symbol[1], boxes]).bind(
        mx.cpu(), {**args, "data": mx.nd.array(data)}, aux_states=auxs, grad_req="null")
    return [output.asnumpy() for output in executor.forward()]


def imported(found, data):
    """Return an imported detector's probabilities and its detections on (B, H, W, 3)."""
    given = found.plan.preprocessing
    planes = ((data - np.float32(given.mean)) / np.float32(given.std)).transpose(0, 3, 1, 2)
    scores = found.symbol.get_internals()["cls_prob_output"]
    executor = scores.bind(mx.cpu(), {
        **{name: found.params.args[name] for name in scores.list_arguments() if name != "data"},
        "data": mx.nd.array(planes)}, aux_states={
            name: found.params.auxs[name] for name in scores.list_auxiliary_states()})
    return (executor.forward()[0].asnumpy().transpose(0, 2, 1),
            bind_checkpoint(found, len(data)).detect(mx.nd.array(planes)))


def test_the_defaults_of_export_block_are_imported(exported):
    folder, side = exported
    found = ssdreg.load_checkpoint(folder / "pixels", classes=("cat", "dog"))
    assert found.plan.data_shape == (side, side)
    assert found.plan.num_classes == 2
    assert found.plan.preprocessing.mean == pytest.approx((123.675, 116.28, 103.53))
    data = np.random.RandomState(5).randint(0, 256, (1, side, side, 3)).astype("float32")
    theirs = predictions(folder / "pixels", data)
    probabilities, rows = imported(found, data)
    np.testing.assert_allclose(probabilities, theirs[0], atol=1e-5)
    best = theirs[2][0, :, 0].argmax()
    wanted = [theirs[1][0, best, 0], theirs[2][0, best, 0],
              *np.clip(theirs[3][0, best] / side, 0, 1)]
    kept = rows[0][rows[0][:, 0] >= 0]
    tied = kept[kept[:, 1] > wanted[1] - 1e-6]
    assert np.abs(tied - wanted).max(axis=1).min() < 1e-5


def test_both_layouts_detect_the_same(exported):
    folder, side = exported
    data = np.random.RandomState(6).randint(0, 256, (1, side, side, 3)).astype("float32")
    pixels, planes = (imported(ssdreg.load_checkpoint(folder / name), data) for name in ("pixels",
                                                                                         "planes"))
    np.testing.assert_allclose(pixels[0], planes[0], atol=1e-5)
    kept = [rows[0][rows[0][:, 0] >= 0] for rows in (pixels[1], planes[1])]
    assert len(kept[0]) == len(kept[1]) > 0
    assert np.abs(kept[0][:, None] - kept[1]).max(axis=2).min(axis=1).max() < 1e-5
