"""Sizes fitted to boxes: allowed, as good as any, and the same every time."""

from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest
from support import paths

import ssdreg
from ssdreg.anchors.fit import MOST_CELLS, REWARD, fit_sizes
from ssdreg.anchors.match import matches
from ssdreg.data import read_voc
from ssdreg.data.boxes import boxes as boxes_of
from ssdreg.detector.anchor_schemes import SIZES, named_sizes
from ssdreg.errors import DataError

BCCD = paths.SHARED / "data" / "bccd"


def around(size, count, spread=0.15, seed=0):
    """Boxes (count, 4) of about `size` by `size`, anywhere in the image."""
    rng = np.random.default_rng(seed)
    sides = np.clip(size * np.exp(rng.normal(0, spread, (count, 2))), 0.005, 1)
    corners = rng.uniform(0, 1 - sides)
    return np.hstack([corners, corners + sides])


PLANS = {
    "six levels": lambda: ssdreg.plan("resnet18", 2, 300),
    "eight levels": lambda: ssdreg.plan("resnet18", 2, 512, tap_strides=(4, 8, 16, 32)),
    "wide": lambda: ssdreg.plan("resnet18", 2, (160, 320), tap_strides=(8, 16)),
    "high": lambda: ssdreg.plan("resnet18", 2, (320, 160), tap_strides=(8, 16)),
    "one level": lambda: ssdreg.plan("resnet18", 2, 300, from_layers=(
        ssdreg.get_backbone("resnet18").tap(32).node,)),
    "one cell": lambda: ssdreg.plan("resnet18", 2, 32, tap_strides=(32,)),
    "steps": lambda: ssdreg.plan("vgg16_reduced", 2, 300),
    "one size a level": lambda: ssdreg.plan("resnet18", 2, 128, sizes=[(0.1,)] * 4),
    "many sizes a level": lambda: ssdreg.plan(
        "resnet18", 2, 128, sizes=[tuple(np.linspace(0.1, 0.9, 9))] * 4),
}

BOXES = {
    "one": np.array([[0.4, 0.3, 0.6, 0.4]]),
    "all alike": np.tile([0.4, 0.3, 0.6, 0.4], (50, 1)),
    "the whole image": np.tile([0.0, 0.0, 1.0, 1.0], (7, 1)),
    "tiny": around(0.008, 60),
    "small and large": np.concatenate([around(0.05, 100), around(0.6, 5)]),
    "lines": np.array([[0.0, 0.5, 1.0, 0.501], [0.2, 0.0, 0.201, 1.0]]),
}


def schemes_and_fit(boxes, plan):
    """Match with every named scheme, and with fitted sizes."""
    named = {name: matches(boxes, attrs.evolve(plan, sizes=named_sizes(name, len(plan.levels))))
             for name in SIZES}
    return named, matches(boxes, attrs.evolve(plan, sizes=fit_sizes(boxes, plan)))


def worth(matching):
    """What a fit without classes makes as large as it can."""
    return REWARD * matching.share + matching.mean_overlap


@pytest.mark.parametrize(("name", "kind"), [
    *(("six levels", kind) for kind in BOXES),
    *(itertools.product(sorted(PLANS.keys() - {"six levels"}), ("one", "small and large")))])
def test_sizes_rise_and_keep_the_plan(name, kind):
    plan = PLANS[name]()
    sizes = fit_sizes(BOXES[kind], plan)
    assert [len(level) for level in sizes] == [len(level) for level in plan.sizes]
    line = list(itertools.chain(*sizes))
    assert all(low < high for low, high in zip(line, line[1:]))
    assert min(line) > 0
    # what covers as much as the whole image is enough
    assert max(line) <= max(np.sqrt(level.width / level.height) for level in plan.levels) + 1e-3
    assert line == [float(f"{size:.3g}") for size in line]
    # the plan's own check takes them
    assert ssdreg.plan("resnet18", 2, 300, sizes=[(0.1,)] * 5 + [(max(line),)]).sizes


def test_the_fine_levels_leave_large_sizes_to_the_coarse_ones():
    plan = PLANS["six levels"]()
    sizes = fit_sizes(around(0.5, 300), plan)
    for level, own in zip(plan.levels[:2], sizes):
        assert max(own) * level.height <= MOST_CELLS * 1.01
    found = matches(around(0.5, 300), attrs.evolve(plan, sizes=sizes))
    assert found.level.min() >= 1
    assert found.share > 0.99


@pytest.mark.parametrize("name", ["six levels", "wide", "steps"])
@pytest.mark.parametrize("size", [0.06, 0.15, 0.4])
def test_a_fit_is_better_than_every_scheme(name, size):
    plan, boxes = PLANS[name](), np.concatenate([around(size, 300), around(size * 1.6, 100)])
    named, fitted = schemes_and_fit(boxes, plan)
    assert all(worth(fitted) > worth(each) - 0.01 for each in named.values())


def test_boxes_that_are_alike_are_matched_almost_in_full():
    plan = PLANS["six levels"]()
    # a square in the middle of a cell of the finest level
    middle, half = (7 + 0.5) / plan.levels[0].height, 0.06
    boxes = np.tile([middle - half, middle - half, middle + half, middle + half], (20, 1))
    named, fitted = schemes_and_fit(boxes, plan)
    assert fitted.mean_overlap > 0.95
    assert fitted.mean_overlap > max(each.mean_overlap for each in named.values())


def test_no_other_sizes_are_better_where_all_can_be_tried():
    plan = ssdreg.plan("resnet18", 2, 64, tap_strides=(16,), sizes=[(0.1,)] * 3)
    boxes = np.concatenate([around(0.25, 60), around(0.6, 40, spread=0.3)])
    fitted = fit_sizes(boxes, plan)
    found = worth(matches(boxes, attrs.evolve(plan, sizes=fitted)))
    cells = [1 / level.height for level in plan.levels]
    best = 0.0
    for first, second in itertools.product(np.arange(0.125, 1, 0.025), repeat=2):
        # the sizes that a fit may take, too; the last level has what is left
        if first < second <= 0.9 and first <= MOST_CELLS * cells[0] and second >= 1.5 * cells[1]:
            sizes = ((first,), (second,), fitted[2])
            best = max(best, worth(matches(boxes, attrs.evolve(plan, sizes=sizes))))
    # for evenness, a fit may give up a little
    assert found > best - 0.02


def test_the_same_boxes_give_the_same_sizes_whatever_the_plan_had():
    plan = PLANS["wide"]()
    boxes = np.concatenate([around(0.1, 3000), around(0.4, 1000)])
    sizes = fit_sizes(boxes, plan)
    assert fit_sizes(boxes, attrs.evolve(plan, sizes=sizes)) == sizes
    assert fit_sizes(boxes.tolist(), PLANS["wide"]()) == sizes


def test_more_boxes_than_are_looked_at():
    plan = PLANS["six levels"]()
    boxes = around(0.12, 100_000)
    few, many = (matches(boxes[-2000:], attrs.evolve(plan, sizes=fit_sizes(each, plan)))
                 for each in (boxes[:1500], boxes))
    assert many.mean_overlap == pytest.approx(few.mean_overlap, abs=0.01)


def test_a_rare_class_counts_when_classes_are_known():
    # the common boxes alone have use for all the sizes that fine levels may have
    plan = ssdreg.plan("resnet18", 2, 128, tap_strides=(8,), sizes=[(0.1,)] * 5)
    common = np.concatenate([around(0.2, 1000), around(0.3, 1000)])
    rare = around(0.1, 200, seed=1)
    boxes = np.concatenate([common, rare])
    with_class = np.column_stack([np.repeat([0, 1], [len(common), len(rare)]), boxes])
    alike, by_class = (attrs.evolve(plan, sizes=fit_sizes(each, plan))
                       for each in (boxes, with_class))
    assert matches(common, alike).share > 0.95
    assert matches(rare, alike).share < 0.1
    assert matches(rare, by_class).share > 0.5
    assert matches(common, by_class).share > 0.5


def test_what_is_no_box_is_refused():
    with pytest.raises(DataError, match="at least one row of x1, y1, x2, y2"):
        fit_sizes(np.zeros((0, 5)), PLANS["six levels"]())
    with pytest.raises(DataError, match=r"box 0 .* encloses nothing"):
        fit_sizes([(0.5, 0.5, 0.5, 0.9)], PLANS["six levels"]())


@pytest.mark.reference
@pytest.mark.skipif(not BCCD.is_dir(), reason="BCCD, real photos of blood cells, is not here")
@pytest.mark.parametrize("shape", [(192, 256), 300])
def test_real_cells_are_matched_as_well_as_by_hand(shape):
    source = read_voc(BCCD, "trainval")
    boxes = boxes_of(source)
    plan = ssdreg.plan("resnet18", len(source.classes), shape, tap_strides=(8, 16, 32))
    named, fitted = schemes_and_fit(boxes, plan)
    by_class = [fitted.matched[boxes[:, 0] == index].mean()
                for index in range(len(source.classes))]
    assert min(by_class) >= 0.9
    assert fitted.share > 0.975
    assert all(fitted.mean_overlap > each.mean_overlap for each in named.values())
