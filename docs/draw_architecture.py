"""Draw docs/architecture.svg: what goes from a declaration to a deployed detector, and where.

    python docs/draw_architecture.py [FILE]

Run it when a step, a module or what is handed on has changed; the tests compare the words.
"""

from __future__ import annotations

import sys
from pathlib import Path

from attrs import field, frozen

from ssdreg.drawing.canvas import Picture, Polyline, Rectangle, Text, text_width, write_picture

FILE = Path(__file__).with_name("architecture.svg")

# inches
WIDTH, MARGIN = 9.0, 0.1
SIDE_WIDTH, STEP_WIDTH = 2.2, 3.8
STEP_X = (WIDTH - STEP_WIDTH) / 2
STEP_HEIGHT, GAP = 0.92, 0.46
SIDE_HEIGHT, SIDE_GAP = 0.44, 0.1
PADDING, LINE_HEIGHT = 0.12, 0.26

# points
TITLE, PLAIN, SMALL = 12.0, 9.5, 8.5

# Okabe and Ito's blue and vermilion, which people with and without colour blindness tell apart,
# and paler ones of their hues to fill boxes with
BLUE, VERMILION = "#0072b2", "#d55e00"
PALE_BLUE, PALE_VERMILION, PALE_GREY = "#e5f1f8", "#fbeee5", "#f4f4f4"
INK, MUTED = "#222222", "#5f5f5f"


@frozen
class Side:
    """What comes from outside or goes there: what it is, and more about it."""

    title: str
    about: str


@frozen
class Step:
    """One step: what is done, the modules of the package that do it, and what is handed on."""

    title: str
    told: str
    modules: str
    result: str = ""
    inputs: tuple[Side, ...] = ()
    outputs: tuple[Side, ...] = ()


@frozen
class Place:
    """Where a step is drawn; `top` and `height` are those of its box."""

    step: Step
    top: float
    height: float = field(default=STEP_HEIGHT)

    @property
    def bottom(self) -> float:
        """The lower edge of its box."""
        return self.top + self.height


STEPS = (
    Step("declare", "a plug-in names the end of every stage",
         "registry/  backbones/  heads/",
         "Backbone, Head, Weights: frozen, nothing built yet",
         inputs=(Side("a plug-in", "a package, or the built-in ones"),)),
    Step("register", "plug-ins are found by entry points, and asked",
         "registry/", "one Backbone, by its name",
         outputs=(Side("ssdreg list", "names, families, taps"),)),
    Step("derive and verify", "every number is worked out; taps are proven",
         "graph/  detector/  anchors/",
         "Plan: every number of the detector",
         inputs=(Side("input shape, classes", "and what you want otherwise"),
                 Side("boxes of your images", "anchors are fitted to them")),
         outputs=(Side("TapError", "names the taps that are right"),
                  Side("ssdreg show, draw, check", "stages, weights, levels"))),
    Step("assemble", "backbone, head and MultiBox become one symbol",
         "detector/  heads/  ops/", "two symbols: with losses, and with detections"),
    Step("train", "augmented batches, checkpoints, exact resuming",
         "data/  weights/  training/  runs/", "Run: a folder with all that is needed later",
         inputs=(Side("images with boxes", "PASCAL VOC folder, .rec file"),
                 Side("pretrained weights", "safetensors, .params, .pth"))),
    Step("evaluate", "average precision per class, on images held out",
         "evaluation/  metrics/  deploy/", "the epoch with the best mAP",
         inputs=(Side("old checkpoints", "become runs: checkpoints/"),),
         outputs=(Side("mAP at IoU 0.5", "per class, per epoch: log.csv"),)),
    Step("deploy", "one file, suppression included; no MXNet to run it",
         "deploy/  exporting/  quantization/  bench/", "detector.onnx, or int8 and bfloat16 of it",
         outputs=(Side("ONNX file", "any runtime, any language"),
                  Side("ssdreg bench", "what each engine makes of it"))),
    Step("detect", "ssdreg-runtime: ONNX Runtime, OpenVINO, or MXNet",
         "inference/  drawing/",
         inputs=(Side("photos, videos, streams", "of any size"),),
         outputs=(Side("detections", "class, score, box"),)),
)


def picture() -> Picture:
    """Lay out the steps from top to bottom, what comes in on the left, what goes out right."""
    boxes: list[Rectangle] = []
    lines: list[Polyline] = []
    texts: list[Text] = []
    places = _places()
    for place, after in zip(places, (*places[1:], None)):
        _draw_step(place, boxes, texts)
        _draw_sides(place, place.step.inputs, MARGIN, boxes, lines, texts)
        _draw_sides(place, place.step.outputs, WIDTH - MARGIN - SIDE_WIDTH, boxes, lines, texts)
        if after is not None:
            _draw_result(place, after, lines, texts)
    return Picture(WIDTH, places[-1].bottom + MARGIN, tuple(boxes), tuple(lines), tuple(texts))


def _places() -> list[Place]:
    places, top = [], MARGIN
    for step in STEPS:
        count = max(len(step.inputs), len(step.outputs))
        height = max(STEP_HEIGHT, count * (SIDE_HEIGHT + SIDE_GAP) - SIDE_GAP)
        places.append(Place(step, top, height))
        top += height + GAP
    return places


def _draw_step(place: Place, boxes: list[Rectangle], texts: list[Text]) -> None:
    boxes.append(Rectangle(STEP_X, place.top, STEP_WIDTH, place.height, PALE_BLUE, BLUE, 1.2))
    middle, left = place.top + place.height / 2, STEP_X + PADDING
    texts += [Text(left, middle - LINE_HEIGHT, place.step.title, TITLE, INK, bold=True),
              Text(left, middle, place.step.told, PLAIN, INK),
              Text(left, middle + LINE_HEIGHT, place.step.modules, SMALL, MUTED)]


def _draw_result(place: Place, after: Place, lines: list[Polyline], texts: list[Text]) -> None:
    """Draw an arrow to the next step, and beside it what is handed on."""
    x = STEP_X + 4 * PADDING
    lines.append(Polyline(((x, place.bottom), (x, after.top)), BLUE, 1.6, arrow=True))
    texts.append(Text(x + PADDING, (place.bottom + after.top) / 2, place.step.result, PLAIN, BLUE))


def _draw_sides(place: Place, sides: tuple[Side, ...], x: float, boxes: list[Rectangle],
                lines: list[Polyline], texts: list[Text]) -> None:
    """Draw what comes in or goes out, with an arrow each, beside the middle of a step."""
    coming = x < STEP_X
    high = len(sides) * (SIDE_HEIGHT + SIDE_GAP) - SIDE_GAP
    top = place.top + (place.height - high) / 2
    for side in sides:
        middle = top + SIDE_HEIGHT / 2
        boxes.append(Rectangle(x, top, SIDE_WIDTH, SIDE_HEIGHT,
                               PALE_GREY if coming else PALE_VERMILION,
                               MUTED if coming else VERMILION))
        texts += [Text(x + PADDING, middle - 0.1, side.title, PLAIN, INK, bold=True),
                  Text(x + PADDING, middle + 0.1, side.about, SMALL, MUTED)]
        ends = ((x + SIDE_WIDTH, middle), (STEP_X, middle)) if coming else (
            (STEP_X + STEP_WIDTH, middle), (x, middle))
        lines.append(Polyline(ends, MUTED if coming else VERMILION, arrow=True))
        top += SIDE_HEIGHT + SIDE_GAP


def modules() -> list[str]:
    """Return the files and folders of the package that the picture names."""
    return [name for step in STEPS for name in step.modules.split()]


def overfull() -> list[str]:
    """Return the texts that are too wide for the box they stand in."""
    lines = [(text, size, bold, STEP_WIDTH) for step in STEPS
             for text, size, bold in ((step.title, TITLE, True), (step.told, PLAIN, False),
                                      (step.modules, SMALL, False))]
    lines += [(text, size, bold, SIDE_WIDTH) for step in STEPS
              for side in (*step.inputs, *step.outputs)
              for text, size, bold in ((side.title, PLAIN, True), (side.about, SMALL, False))]
    return [text for text, size, bold, width in lines
            if text_width(text, size, bold) > width - 2 * PADDING]


if __name__ == "__main__":
    write_picture(picture(), Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
