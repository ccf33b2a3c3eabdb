"""torchvision's detectors here and there: the same parameters, and the same detections."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torchvision_networks as networks
from torchvision_here import torch, torchvision

import ssdreg
from ssdreg.deploy.executor import Inference
from ssdreg.deploy.pretrained import open_pretrained
from ssdreg.mx import mx

NAMES = tuple(networks.NETWORKS)
#: Greatest difference of scores, and of boxes as shares of the image.
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=[(NAMES[0], 15), (NAMES[1], 15), (NAMES[1], 0)],
                ids=["ssd300", "ssdlite", "ssdlite-crowded"])
def both(request, tmp_path_factory):
    """A detector of torchvision's, and the one that is made of its file here."""
    name, background = request.param
    theirs = networks.network(name, background)
    file = tmp_path_factory.mktemp("weights") / "some.pth"
    torch.save(theirs.state_dict(), file)
    declared = attrs.evolve(ssdreg.get_detector(name), url="", sha256="",
                            locate=lambda declaration: file)
    return theirs, open_pretrained(declared)


def outputs(opened, data, *names):
    """Return outputs of a network by their nodes' names."""
    internals = opened.deploy.get_internals()
    chosen = mx.sym.Group([internals[f"{name}_output"] for name in names])
    given = {**opened.params.args, **opened.params.auxs, "data": mx.nd.array(data)}
    executor = chosen.bind(mx.cpu(), {name: given[name] for name in chosen.list_arguments()},
                           grad_req="null", aux_states={
                               name: given[name] for name in chosen.list_auxiliary_states()})
    return [output.asnumpy() for output in executor.forward(is_train=False)]


def test_what_is_published(both):
    theirs, opened = both
    name = opened.declared.name
    published = torchvision.models.get_model_weights(networks.NETWORKS[name]).COCO_V1
    declared = ssdreg.get_detector(name)
    assert declared.url == published.url
    assert published.url.endswith(f"-{declared.sha256}.pth")
    named = [category if category != "N/A" else f"unused {number}"
             for number, category in enumerate(published.meta["categories"])]
    assert declared.classes == tuple(named[1:])
    learnt = sum(parameter.numel() for parameter in theirs.parameters())
    assert published.meta["num_params"] == learnt
    assert sum(array.size for array in opened.params.args.values()) == learnt


def test_the_same_predictions(both):
    theirs, opened = both
    pixels = networks.pictures(theirs, 1)
    given = networks.transformed(theirs, pixels)
    data = opened.plan.preprocessing.normalized(pixels)
    assert np.abs(given.tensors.numpy() - data).max() < TOLERANCE
    with torch.no_grad():
        features = list(theirs.backbone(torch.from_numpy(data)).values())
        predicted = theirs.head(features)
        anchors = theirs.anchor_generator(given, features)[0]
    scores, offsets, ours = outputs(opened, data, "multibox_cls_pred", "multibox_loc_pred",
                                    "anchors_within")
    for mine, yours in ((scores.transpose(0, 2, 1), predicted["cls_logits"]),
                        (offsets.reshape(1, -1, 4), predicted["bbox_regression"])):
        assert np.abs(mine - yours.numpy()).max() < TOLERANCE * np.abs(yours.numpy()).max()
    assert np.abs(ours[0] - anchors.numpy() / networks.side(theirs)).max() < 1e-6


def test_the_same_detections(both):
    theirs, opened = both
    pixels = networks.pictures(theirs, 2, seed=3)
    with torch.no_grad():
        expected = theirs(networks.as_torch(pixels))
    data = mx.nd.array(opened.plan.preprocessing.normalized(pixels))
    found = Inference(opened.deploy, opened.params, 2, opened.plan.data_shape).detect(data)
    places = []
    for rows, wanted in zip(found, expected):
        rows = rows[rows[:, 0] >= 0]
        assert len(rows) == len(wanted["scores"]) > 20
        assert (np.diff(rows[:, 1]) <= 0).all()
        yours = np.column_stack((wanted["labels"].numpy() - 1, wanted["scores"].numpy(),
                                 wanted["boxes"].numpy() / networks.side(theirs)))
        # an anchor is an object of several classes, which one best class would not give
        places += [tuple(box) for box in yours[:, 2:].round(5)]
        for one, other in ((rows, yours), (yours, rows)):
            apart = np.abs(one[:, None] - other[None])
            apart[..., 0] *= 2  # another class is another detection
            assert apart.max(2).min(1).max() < TOLERANCE
    assert len(set(places)) < len(places) or len(places) == 2 * theirs.detections_per_img


def test_threshold_and_counts_are_torchvisions(both):
    theirs, opened = both
    from ssdreg.detector.by_class import find_detection_by_class
    from ssdreg.graph.nodes import Net
    rules = find_detection_by_class(Net.of(opened.deploy)).rules
    assert (rules.threshold, rules.nms_threshold, rules.nms_topk, rules.most) == (
        theirs.score_thresh, theirs.nms_thresh, theirs.topk_candidates, theirs.detections_per_img)
    assert rules.widest == pytest.approx(np.exp(theirs.box_coder.bbox_xform_clip))
