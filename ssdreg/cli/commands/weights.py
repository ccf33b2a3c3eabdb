"""``ssdreg weights``: what pretrained weights there are, and fetching them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Union
from urllib.parse import urlsplit

from ssdreg_runtime.system.tables import text_table

from ssdreg.errors import UnknownNameError
from ssdreg.registry.detector_weights import DetectorWeights
from ssdreg.registry.names import find_detector, list_detectors, list_weights
from ssdreg.registry.weights import Weights

#: Weights of a backbone, or of a whole detector.
Declared = Union[Weights, DetectorWeights]

NAME = "weights"
SUMMARY = "list pretrained weights and whether they are on disk; fetch them"

HEADER = ("weights", "on disk", "licence", "from")
#: Stands for a licence that nobody states; a column of nothing else is left out.
UNSAID = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("backbones", metavar="BACKBONE", nargs="*",
                        help="only the weights of these (all when none is named); BACKBONE/NAME "
                             "chooses one of several, and the name of a detector that comes with "
                             "weights its own")
    parser.add_argument("--fetch", action="store_true",
                        help="fetch the default weights of each BACKBONE, or those so named")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Print a table of the declared weights, after fetching what is asked for."""
    from ssdreg.weights.fetching import fetch
    if options.fetch and not options.backbones:
        raise UnknownNameError("say whose weights to fetch: `ssdreg weights BACKBONE --fetch`")
    # nothing is fetched when a later name is wrong
    fetched = [_named(text)[0] for text in options.backbones] if options.fetch else []
    if fetched:
        from ssdreg.cli.progress import Console
        console = Console()
        for weights in fetched:
            fetch(weights, progress=console)
    chosen: tuple[Declared, ...] = (*list_weights(), *list_detectors())
    if options.backbones:
        chosen = tuple(dict.fromkeys(weights for text in options.backbones
                                     for weights in _named(text)))
    if options.json:
        print(json.dumps([_entry(weights) for weights in chosen], indent=2))
    elif chosen:
        rows = [_row(weights) for weights in chosen]
        shown = [column for column in range(len(HEADER))
                 if any(row[column] != UNSAID for row in rows)]
        print(text_table([HEADER[column] for column in shown],
                         [[row[column] for column in shown] for row in rows]))
    else:
        print("no weights are declared; plug-ins bring them (ssdreg-resnet, for instance)")
    return 0


def _named(text: str) -> Sequence[Declared]:
    """Return the weights of ``BACKBONE``, ``BACKBONE/NAME`` or of a detector; one at least."""
    from ssdreg.weights.loading import find_weights, weights_of
    backbone, slash, name = text.partition("/")
    detector = find_detector(text)
    if detector is not None and not slash:
        return (detector,)
    if slash:
        return (find_weights(backbone, name),)
    return weights_of(backbone) or (find_weights(backbone),)


def _entry(weights: Declared) -> dict[str, str | None]:
    from ssdreg.weights.fetching import on_disk
    path = on_disk(weights)
    return {"backbone": weights.backbone, "name": weights.name, "url": weights.url,
            "sha256": weights.sha256, "path": None if path is None else str(path),
            "licence": weights.licence, "about": weights.about}


def _row(weights: Declared) -> tuple[str, ...]:
    from ssdreg.weights.fetching import on_disk
    source = urlsplit(weights.url).hostname or ""
    return (weights.title, "no" if on_disk(weights) is None else "yes", weights.licence or UNSAID,
            ": ".join(filter(None, (source, weights.about))) or "its plug-in")
