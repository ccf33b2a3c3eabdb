"""Checkpoints as other programs write them: symbols of their structure, parameters by the rule."""

from __future__ import annotations

import io
import json
import re
import tarfile

import numpy as np
from attrs import frozen
from support import reference_rule
from support.nets import separable

import ssdreg
from ssdreg.mx import mx
from ssdreg.runs.params import Params, write_params

sym = mx.sym
RATIOS = (1, 2, .5)
#: Of the small networks, in pixels.
SIDE = 64
TOLERANCE = 1e-5


def taps_of(backbone, *strides):
    return tuple(ssdreg.get_backbone(backbone).tap(stride).node for stride in strides)


def example_symbol(backbone, taps, classes, mode="train", extras=(512, 256), sizes=(), steps=(),
                   scale=None, copied=False, detection=()):
    """Put a head on a backbone as MXNet's SSD example does, in its names; heads are not ssdreg's.

    What the example does not name has MXNet's automatic names. `copied` puts a copy behind the
    input, as SageMaker's networks have it; `detection` are settings of the suppression.
    """
    network = ssdreg.get_backbone(backbone).symbol()
    if copied:
        network = after_copy(network)
    with mx.name.NameManager():
        features = [network.get_internals()[f"{tap}_output"] for tap in taps]
        for level, channels in enumerate(extras, start=len(taps)):
            name, half = f"multi_feat_{level}", max(128, channels // 2)
            x = conv_relu(features[-1], f"{name}_conv_1x1", half, (1, 1))
            features.append(conv_relu(x, f"{name}_conv_3x3", channels, (3, 3), stride=(2, 2),
                                      pad=(1, 1)))
        cls_pred, loc_pred, anchors = example_predictions(features, classes, sizes, steps, scale)
        return MODES[mode](cls_pred, loc_pred, anchors, dict(detection))


def conv_relu(x, name, channels, kernel, **settings):
    x = sym.Convolution(x, num_filter=channels, kernel=kernel, name=f"{name}_conv", **settings)
    return sym.Activation(x, act_type="relu", name=f"{name}_relu")


def example_predictions(features, classes, sizes, steps, scale):
    scores, offsets, boxes = [], [], []
    for level, feature in enumerate(features):
        name, size = feature.name, sizes[level] if sizes else (.2 + .2 * level, .3 + .2 * level)
        if scale and not level:
            factor = sym.Variable(f"{name}_scale", shape=(1, scale, 1, 1), wd_mult=.1,
                                  init=mx.init.Constant(20))
            feature = sym.broadcast_mul(
                factor, sym.L2Normalization(feature, mode="channel", name=f"{name}_norm"))
        count = len(size) + len(RATIOS) - 1
        for found, kind, outputs in ((offsets, "loc", count * 4),
                                     (scores, "cls", count * (classes + 1))):
            bias = sym.Variable(f"{name}_{kind}_pred_conv_bias", init=mx.init.Constant(0),
                                attr={"__lr_mult__": "2.0"})
            x = sym.Convolution(feature, bias=bias, kernel=(3, 3), pad=(1, 1), num_filter=outputs,
                                name=f"{name}_{kind}_pred_conv")
            found.append(sym.Flatten(sym.transpose(x, axes=(0, 2, 3, 1))))
        prior = sym.contrib.MultiBoxPrior(
            feature, sizes=size, ratios=RATIOS, clip=False, name=f"{name}_anchors",
            steps=(steps[level],) * 2 if steps else (-1., -1.))
        boxes.append(sym.Flatten(prior))
    cls_pred = sym.transpose(
        sym.Reshape(sym.Concat(*scores, dim=1), shape=(0, -1, classes + 1)), axes=(0, 2, 1),
        name="multibox_cls_pred")
    return (cls_pred, sym.Concat(*offsets, dim=1, name="multibox_loc_pred"),
            sym.Reshape(sym.Concat(*boxes, dim=1), shape=(0, -1, 4), name="multibox_anchors"))


def targets(cls_pred, anchors):
    return sym.contrib.MultiBoxTarget(
        anchors, sym.Variable("label"), cls_pred, overlap_threshold=.5, ignore_label=-1,
        negative_mining_ratio=3, negative_mining_thresh=.5, minimum_negative_samples=0,
        variances=(.1, .1, .2, .2), name="multibox_target")


def losses(cls_pred, loc_pred, anchors):
    loc_target, loc_mask, cls_target = targets(cls_pred, anchors)
    cls_prob = sym.SoftmaxOutput(cls_pred, cls_target, ignore_label=-1, use_ignore=True,
                                 multi_output=True, normalization="valid", name="cls_prob")
    loc_loss = sym.MakeLoss(sym.smooth_l1(loc_mask * (loc_pred - loc_target), scalar=1.,
                                          name="loc_loss_"), normalization="valid", name="loc_loss")
    return cls_prob, loc_loss, sym.MakeLoss(cls_target, grad_scale=0, name="cls_label")


def train(cls_pred, loc_pred, anchors, detection):
    cls_prob, loc_loss, cls_label = losses(cls_pred, loc_pred, anchors)
    found = sym.contrib.MultiBoxDetection(cls_prob, loc_pred, anchors, name="detection",
                                          **{"nms_topk": 400, **detection})
    return sym.Group([cls_prob, loc_loss, cls_label,
                      sym.MakeLoss(found, grad_scale=0, name="det_out")])


def blind(cls_pred, loc_pred, anchors, detection):
    """A training symbol as the first mxnet-ssd had it, which shows no detections."""
    return sym.Group(list(losses(cls_pred, loc_pred, anchors)))


def deploy(cls_pred, loc_pred, anchors, detection):
    cls_prob = sym.SoftmaxActivation(cls_pred, mode="channel", name="cls_prob")
    return sym.contrib.MultiBoxDetection(cls_prob, loc_pred, anchors, name="detection",
                                         **{"nms_topk": 400, **detection})


MODES = {"train": train, "blind": blind, "deploy": deploy}


def after_copy(network):
    """Put a copy node behind the input of a symbol."""
    document = json.loads(network.tojson())
    data = next(index for index, node in enumerate(document["nodes"]) if node["name"] == "data")
    assert data == 0
    for node in document["nodes"]:
        node["inputs"] = [[index and index + 1, *rest] for index, *rest in node["inputs"]]
        node["inputs"] = [[1 if index == 0 else index, *rest] for index, *rest in node["inputs"]]
    document["nodes"].insert(1, {"op": "_copy", "name": "id", "inputs": [[0, 0, 0]]})
    document["heads"] = [[index + 1, *rest] for index, *rest in document["heads"]]
    document["arg_nodes"] = [index and index + 1 for index in document["arg_nodes"]]
    del document["node_row_ptr"]
    return mx.sym.load_json(json.dumps(document))


# spellings ---------------------------------------------------------------------------------------


def today(text):
    return text


def version_0_9(text):
    """``attr`` instead of ``attrs``, as from 2017."""
    document = json.loads(text)
    for node in document["nodes"]:
        if "attrs" in node:
            node["attr"] = node.pop("attrs")
    document["attrs"] = {"mxnet_version": ["int", 905]}
    return json.dumps(document)


def version_0_8(text):
    """Write a symbol as MXNet did before 2017, under Python 2.

    An operator's own settings were ``param`` and the user's ``attr``; shapes may hold long
    integers; running moments were no nodes of the graph; there is no version.
    """
    document = json.loads(text)
    nodes, renumbered, kept = document["nodes"], {}, []
    auxiliary = {entry[0] for node in nodes if node["op"] == "BatchNorm"
                 for entry in node["inputs"][3:]}
    for index, node in enumerate(nodes):
        if index in auxiliary:
            continue
        renumbered[index] = len(kept)
        attrs = node.pop("attrs", {})
        node["attr"] = {key: value for key, value in attrs.items() if key.startswith("__")}
        node["param"] = {} if node["op"] == "null" else {
            key: re.sub(r"(\d)(?=[,)])", r"\1L", value) if key in ("kernel", "stride", "pad")
            else value for key, value in attrs.items() if key not in node["attr"]}
        node["inputs"] = [[renumbered[entry[0]], entry[1]] for entry in node["inputs"]
                          if entry[0] not in auxiliary]
        node["backward_source_id"] = -1
        kept.append(node)
    return json.dumps({
        "nodes": kept, "heads": [[renumbered[entry[0]], entry[1]] for entry in document["heads"]],
        "arg_nodes": [renumbered[index] for index in document["arg_nodes"]
                      if index in renumbered]})


# files -------------------------------------------------------------------------------------------


@frozen(eq=False)
class Checkpoint:
    """A symbol and parameters by the rule, on disk under a prefix."""

    prefix: object
    symbol: mx.sym.Symbol
    params: Params
    side: int

    def detections(self, data):
        """Run the original symbol, which MXNet reads as it is, and return its detections."""
        return outputs(self.symbol, self.params, data)[-1]


def write(prefix, symbol, side, spelling=today, epoch=3, salt=""):
    """Write a checkpoint with parameters by the rule for an input of `side` pixels."""
    params = by_rule(symbol, side, salt)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_name(f"{prefix.name}-symbol.json").write_text(spelling(symbol.tojson()))
    write_params(prefix.with_name(f"{prefix.name}-{epoch:04d}.params"), params)
    return Checkpoint(prefix, symbol, params, side)


def by_rule(symbol, side, salt=""):
    inputs = {"data": (1, 3, side, side)}
    if "label" in symbol.list_arguments():
        inputs["label"] = (1, 4, 5)
    args, _, auxs = symbol.infer_shape(**inputs)
    return Params(*({name: mx.nd.array(reference_rule.fill(name, shape, salt))
                     for name, shape in zip(names, shapes) if name not in inputs}
                    for names, shapes in ((symbol.list_arguments(), args),
                                          (symbol.list_auxiliary_states(), auxs))))


def picture(side, batch=1):
    return np.random.RandomState(7).uniform(-128, 127, (batch, 3, side, side)).astype("float32")


def outputs(symbol, params, data, **inputs):
    """Run a symbol as in inference; a label nobody looks at is filled in."""
    if "label" in symbol.list_arguments() and "label" not in inputs:
        inputs["label"] = -np.ones((len(data), 4, 5), "float32")
    inputs["data"] = data
    executor = symbol.simple_bind(mx.cpu(), grad_req="null",
                                  **{name: value.shape for name, value in inputs.items()})
    executor.copy_params_from(dict(params.args), dict(params.auxs), allow_extra_params=True)
    found = executor.forward(is_train=False, **{name: mx.nd.array(value)
                                                for name, value in inputs.items()})
    return [output.asnumpy() for output in found]


def same(detector, checkpoint, batch=2):
    """Tell whether a detector detects what the original symbol does, run by MXNet."""
    data = picture(checkpoint.side, batch)
    ours = outputs(detector.symbol, detector.params, data)[0]
    return all(rows_equal(*(found[found[:, 0] >= 0] for found in pair))
               for pair in zip(ours, checkpoint.detections(data)))


def rows_equal(ours, theirs):
    """Tell whether two lists hold the same rows; those of equal scores may change places."""
    assert len(theirs)
    apart = np.abs(ours[:, None] - theirs[None]).max(axis=2)
    return len(ours) == len(theirs) and max(apart.min(0).max(), apart.min(1).max()) <= TOLERANCE


def own_symbol(mode, **settings):
    """A network that nobody registered, its taps the ends of its stages."""
    with mx.name.NameManager():
        internals = separable().get_internals()
        features = [internals[f"{name}_output"] for name in ("pw3_relu", "pw4_relu")]
        features.append(conv_relu(features[-1], "behind", 32, (3, 3), stride=(2, 2), pad=(1, 1)))
        pieces = example_predictions(features, 2, (), (), None)
        return MODES[mode](*pieces, settings)


HYPERPARAMETERS = {"base_network": "resnet-50", "num_classes": "2", "image_shape": str(SIDE),
                   "nms_threshold": "0.45", "use_pretrained_model": "1"}


def tarred(folder, target):
    # gzipped, but not compressed: weights take long and stay as large
    with tarfile.open(target, "w:gz", compresslevel=0) as tar:
        for file in sorted(folder.iterdir()):
            if file != target:
                tar.add(file, file.name)
    return target


def member(name, content=b"{}", **settings):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in settings.items():
        setattr(info, key, value)
    return info, io.BytesIO(content)


def archive_of(target, *members):
    with tarfile.open(target, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, content)
    return target
