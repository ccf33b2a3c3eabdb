"""The options of an exported file."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from ssdreg.errors import DependencyError, ExportError

#: The oldest set of ONNX operators that is written.
OLDEST_OPSET = 17
PRECISIONS = ("float32", "float16")
#: The formats of one file, with what its name ends in; OpenVINO's weights lie beside it.
ONNX, OPENVINO = "onnx", "openvino"
SUFFIXES: Mapping[str, str] = MappingProxyType({ONNX: ".onnx", OPENVINO: ".xml"})
#: What a file takes: images of the network's size, or one picture of any size as it is.
IMAGES, IMAGE = "images", "image"
INPUTS = (IMAGES, IMAGE)


@frozen(kw_only=True)
class Options:
    """How to write a detector as ONNX.

    - `batch`: images at a time; None for any number, decided when it runs.
    - `opset`: the set of ONNX operators, 17 or later, as far as the installed onnx goes.
    - `nms`: False leaves out thresholds and suppression: the outputs are then ``scores``
      (B, N, C), probabilities without background, and ``boxes`` (B, N, 4), decoded corners.
    - `precision`: ``float16`` halves the file; the network computes in it where the processor
      can, decoding and suppression stay float32.
    - `input`: ``image`` makes a file that takes one picture of any size; see
      `ssdreg.exporting.image_input`.

    Raises ExportError for anything else, DependencyError where onnx cannot be imported.
    """

    batch: int | None = field(default=1)
    opset: int = OLDEST_OPSET
    nms: bool = True
    precision: str = "float32"
    input: str = IMAGES

    def __attrs_post_init__(self) -> None:
        newest = newest_opset()
        if not OLDEST_OPSET <= self.opset <= newest:
            raise ExportError(f"opset {self.opset} cannot be written: the installed onnx knows "
                              f"those up to {newest}, and detections need {OLDEST_OPSET} or later")
        if self.batch is not None and self.batch < 1:
            raise ExportError(f"a batch of {self.batch} images holds nothing: give 1 or more")
        if self.input not in INPUTS:
            raise ExportError(f"there is no input {self.input!r}: choose one of "
                              f"{', '.join(INPUTS)}")
        if self.input == IMAGE and self.batch != 1:
            raise ExportError("--input image is one picture of any size, and several at a time "
                              "would have to be of one: leave --batch-size and --dynamic-batch out")
        if self.input == IMAGE and not self.nms:
            raise ExportError("--input image gives the objects of a picture, which --no-nms leaves "
                              "to a suppression of your own: leave one of them out")
        if self.precision not in PRECISIONS:
            raise ExportError(f"precision {self.precision!r} cannot be written as ONNX: there are "
                              f"{' and '.join(PRECISIONS)}; int8 is made by `ssdreg quantize`")


def newest_opset() -> int:
    """Return the newest set of operators that the installed onnx knows."""
    try:
        from onnx.defs import onnx_opset_version
    except ImportError as error:
        raise DependencyError(f"writing ONNX needs the package onnx, which cannot be imported "
                              f"({error}): run `pip install onnx`") from error
    return int(onnx_opset_version())
