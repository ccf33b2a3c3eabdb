"""Write this project's own reference files, ``tests/reference/*.json``.

They hold a few networks' parameter names, shapes and sampled outputs, so that a change of numbers
is seen where the large reference is not at hand. To make them again, after a change of numbers
that is meant, run from the repository's root, ssdreg installed or not::

    PYTHONPATH=. python tests/support/make_reference.py

and look at ``git diff tests/reference``: what is meant to change has changed, and nothing else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from attrs import frozen
from support import paths, reference_rule

FOLDER = paths.TESTS / "reference"
PLAN_FIELDS = ("from_layers", "num_filters", "strides", "pads", "sizes", "ratios",
               "normalizations", "steps")


@frozen
class Case:
    """One network at one input shape (height, width)."""

    network: str
    data_shape: tuple[int, int]
    head: str = "ssd"
    num_classes: int = 3

    @property
    def path(self) -> Path:
        """Where the case's file lies."""
        height, width = self.data_shape
        return FOLDER / f"ssdreg-{self.network}-{self.head}-{height}x{width}.json"


CASES = (
    Case("resnet18", (128, 128)),
    Case("vgg16_reduced", (300, 300)),
    Case("inceptionv3", (139, 139)),
    Case("resnet50", (128, 160), head="ssdlite"),
)


def describe(case: Case) -> dict[str, object]:
    """Build, run and sample a case: the content of its file."""
    network = reference_rule.network(case.network, case.num_classes, case.data_shape,
                                     head=case.head)
    values = reference_rule.outputs(network)
    return {
        "source": "ssdreg", "network": case.network, "head": case.head,
        "data_shape": case.data_shape, "num_classes": case.num_classes, "salt": "",
        **{name: getattr(network.plan, name) for name in PLAN_FIELDS},
        "tap_shapes": {level.node: reference_rule.map_shape(level)
                       for level in network.plan.levels if level.node},
        "arguments": network.arguments, "auxiliary": network.auxiliary,
        "train_outputs": network.train_outputs,
        "deploy_outputs": network.deploy.list_outputs(),
        **{name: reference_rule.sample(values[name]) for name in reference_rule.SAMPLED},
        "valid_detections": int((values["detection"][..., 0] >= 0).sum()),
    }


def text(content: dict[str, object]) -> str:
    """Write an entry a line: short, and a difference shows which entry it is in."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}"
             for key, value in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> int:
    """Write every case's file."""
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        unfinished = case.path.with_suffix(".part")
        unfinished.write_text(text(describe(case)), encoding="utf-8")
        unfinished.replace(case.path)
        print(case.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
