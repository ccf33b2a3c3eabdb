"""Every registered backbone, each of its taps declared wrongly in every way: all are refused.

Where plug-ins are installed, their backbones are tried too.
"""

from __future__ import annotations

from functools import cache

import attrs
import pytest

import ssdreg
from ssdreg import TapError
from ssdreg.detector.built import BuiltBackbone, SizedBackbone
from ssdreg.detector.declaration import prove, verify_backbone
from ssdreg.detector.families import check
from ssdreg.graph.summary import dissect
from ssdreg.graph.taps import verify_taps

SHAPE = (256, 256)
BACKBONES = [each.name for each in ssdreg.list_backbones()]


@cache
def known(name):
    """Return a backbone with its taps, its graph, and the blocks of its stages."""
    sized = BuiltBackbone.of(name).at(SHAPE)
    backbone, graph = sized.backbone, sized.graph
    stages = {stage.stride: stage for stage in dissect(graph, SHAPE, backbone.taps).stages}
    return backbone, graph, stages


def proven(backbone, graph):
    return prove(SizedBackbone(backbone, None, SHAPE, graph))


def with_taps(backbone, taps):
    """Declare other taps, and no more than them to feed detection."""
    strides = [tap.stride for tap in taps]
    strides_left = [stride for stride in backbone.tap_strides if stride in strides] or strides[-1:]
    return attrs.evolve(backbone, taps=taps, tap_strides=strides_left, presets=(), stops_at=None,
                        l2_scales={
        stride: scale for stride, scale in backbone.l2_scales if stride in strides}, projections={
        stride: channels for stride, channels in backbone.projections if stride in strides})


def refusal(name, taps):
    """Return why a backbone with these taps is refused."""
    backbone, graph, _ = known(name)
    made = with_taps(backbone, taps)
    with pytest.raises(TapError) as caught:
        proven(made, graph)
    return str(caught.value)


def changed(taps, tap, **changes):
    return [attrs.evolve(each, **changes) if each is tap else each for each in taps]


def as_tap(tap, node):
    """Return a tap at another node, with what is true of that."""
    return attrs.evolve(tap, node=node.name, stride=node.stride[0], channels=node.channels)


@pytest.fixture(params=BACKBONES)
def name(request):
    return request.param


def test_as_it_is_declared_it_passes(name):
    backbone, graph, _ = known(name)
    found = proven(backbone, graph)
    assert found.coverage > 0.5
    assert [end.node for end in found.stages] == [tap.node for tap in backbone.taps]


def test_each_tap_left_out(name):
    taps = known(name)[0].taps
    for tap in taps:
        said = refusal(name, [each for each in taps if each is not tap])
        assert f"{tap.node!r} (stride {tap.stride}, {tap.channels} channels) ends a stage" in said
    assert "% of the backbone's weights" in said
    assert "% are lost" in said


def test_each_tap_doubled(name):
    backbone, graph, _ = known(name)
    taps = backbone.taps
    for index, tap in enumerate(taps):
        with pytest.raises(ValueError, match="rising strides, one a stride"):
            attrs.evolve(backbone, taps=(*taps[:index], tap, *taps[index:]))
        with pytest.raises(TapError, match="are both at stride"):
            verify_taps(graph, [each.node for each in (*taps[:index], tap, *taps[index:])])
        for other in taps:
            if other is not tap:  # the same node at another one's place, as if it lay there
                said = refusal(name, changed(taps, other, node=tap.node))
                assert f"{tap.node!r} is declared at stride {other.stride}" in said


def test_each_tap_shifted_by_a_unit(name):
    backbone, graph, stages = known(name)
    tried = 0
    for index, tap in enumerate(backbone.taps):
        own = stages[tap.stride].blocks
        if len(own) > 1:
            before = graph.find(own[-2].node)
            assert f"{before.name!r} is not the end of stage {tap.stage}" in refusal(
                name, changed(backbone.taps, tap, node=before.name, channels=before.channels))
            tried += 1
        if index + 1 < len(backbone.taps):
            # the next unit lies in the next stage: declared at the stride that is missing now ...
            behind = graph.find(stages[backbone.taps[index + 1].stride].blocks[0].node)
            assert f"{behind.name!r} is declared at stride {tap.stride} but lies at" in refusal(
                name, changed(backbone.taps, tap, node=behind.name, channels=behind.channels))
            # ... and at its own
            with pytest.raises(TapError):
                verify_taps(graph, [as_tap(tap, behind) if each is tap else each
                                    for each in backbone.taps])
            tried += 1
    assert tried >= len(backbone.taps) - 1


def test_each_tap_swapped_with_the_inside_of_its_block(name):
    backbone, graph, stages = known(name)
    tried = 0
    for tap in backbone.taps:
        for node in (graph.nodes[index] for index in sorted(stages[tap.stride].blocks[-1].members)):
            if (node.op == "null" or node.name == tap.node or graph.count(node.name) > 1
                    or node.stride != (tap.stride, tap.stride) or len(node.shape) != 4):
                continue
            said = refusal(name, changed(backbone.taps, tap, node=node.name,
                                         channels=node.channels))
            assert f"{node.name!r} is not " in said
            assert f"{tap.stride}: {tap.node!r} ({tap.channels} channels)" in said
            tried += 1
    assert tried


def test_each_channel_count_and_stage_number_that_is_not_true(name):
    taps = known(name)[0].taps
    for tap in taps:
        assert f"{tap.node!r} is declared with {tap.channels + 1} channels" in refusal(
            name, changed(taps, tap, channels=tap.channels + 1))
        assert f"{tap.node!r} is declared as the end of stage {tap.stage + 1}, but " in refusal(
            name, changed(taps, tap, stage=tap.stage + 1))
    said = refusal(name, [attrs.evolve(tap, stage=tap.stage + 2) for tap in taps])
    assert said.count("is declared as the end of stage") == len(taps)


# What somebody sees of it who forgets the last tap.

def test_check_and_build_refuse_what_the_graph_refuses():
    resnet50 = ssdreg.get_backbone("resnet50")
    forgotten = attrs.evolve(resnet50, taps=resnet50.taps[:-1], tap_strides=(8, 16))
    found, = check([forgotten])
    assert not found.passed
    sentence, = found.issues
    assert sentence.startswith("at every input size: these taps are not the ends of the backbone's")
    assert f"They use {found.coverage:.1%} of the backbone's weights" in sentence
    assert f"{1 - found.coverage:.1%} are lost" in sentence
    last = resnet50.taps[-1]
    for refused in (lambda: ssdreg.build(forgotten, data_shape=300),
                    lambda: ssdreg.build(forgotten, data_shape=300, tap_strides=(8,)),
                    lambda: verify_backbone(forgotten, 300)):
        with pytest.raises(TapError, match=f"the last tap is missing: '{last.node}' \\(stride 32"):
            refused()
