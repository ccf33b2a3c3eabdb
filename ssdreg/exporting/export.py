"""A run or an old checkpoint as one file, written and compared: `ssdreg.export`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from ssdreg.deploy.model import DeployModel, open_deploy_model
from ssdreg.errors import DependencyError, ExportError, ModelError
from ssdreg.exporting.options import (
    IMAGE,
    IMAGES,
    OLDEST_OPSET,
    ONNX,
    OPENVINO,
    SUFFIXES,
    Options,
)
from ssdreg.exporting.parity import Parity
from ssdreg.progress import Progress, silent
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    import numpy as np

#: Endings of checkpoint names, left out of the exported file's name.
_ENDINGS = (".tar.gz", ".tgz", "-symbol.json", ".json", ".params", ".onnx")


@frozen(eq=False)
class Exported:
    """A file that was written, and what it was compared with.

    - `file`, `size` in bytes; `replaced`: whether one was there before
    - `source`: the detector that it was made of, None where that is an ONNX file; `options`: how
      it was written
    - `images`: how many it was compared with MXNet on; `parity`: what that found, by runtime
    """

    file: Path
    size: int
    replaced: bool
    source: DeployModel | None = field(repr=False)
    options: Options
    images: int = 0
    parity: Mapping[str, Parity] = MappingProxyType({})

    @property
    def agrees(self) -> bool:
        """Whether every runtime found what MXNet finds, as far as the precision allows."""
        from ssdreg.exporting.checking import agrees
        return all(agrees(parity, self.options.precision) for parity in self.parity.values())


def export(model: str | os.PathLike[str], *, out: str | os.PathLike[str] | None = None,
           format: str = ONNX, input: str = IMAGES, batch_size: int | None = 1,
           opset: int = OLDEST_OPSET, nms: bool = True, precision: str = "float32",
           epoch: int | None = None, classes: Sequence[str] | None = None,
           data_shape: int | tuple[int, int] | None = None,
           preprocessing: Preprocessing | None = None,
           check: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
           progress: Progress | None = None) -> Exported:
    """Write a run or an old checkpoint as one ONNX file, as ``ssdreg export`` does.

    - `model`: a run's folder, or a checkpoint; `epoch`, `classes`, `data_shape` and
      `preprocessing` are those of `ssdreg.load_checkpoint`. An ONNX file that ssdreg wrote, of 8
      bits too, does for another `format` or `input`, and is otherwise left as it is
    - `out`: the file; by default ``model.onnx`` in a run's folder, and beside a checkpoint one of
      its name. It is written whole or not at all; one that ssdreg wrote before is replaced
    - `format`: ``onnx``, or ``openvino`` for OpenVINO's own files, .xml and .bin
    - `input`: ``images`` of the network's size, or ``image``, one picture of any size as it is:
      the file resizes it as `ssdreg.Detector` does, and gives boxes in pixels; its default name
      ends in ``-image``
    - `batch_size`: images at a time, None for any number; `opset`: the set of ONNX operators
    - `nms`: False leaves suppression out: the file gives the scores and boxes of all anchors
    - `precision`: ``float32`` or ``float16``
    - `check`: an image, a folder of images, or several of these, on which the file is compared with
      MXNet, with every runtime that is installed

    `progress` is called with the `Exported` as soon as the file is written, before it is compared.

    Raises ExportError for a network that cannot be written, a file that may not be, and options
    that cannot be; RunError for what cannot be read; DependencyError where `check` finds no
    runtime, and without OpenVINO for its format; DataError for an image that cannot be read.
    """
    from ssdreg.exporting import write_onnx
    path, tell = Path(model), progress or silent
    options = Options(batch=batch_size, opset=opset, nms=nms, precision=precision, input=input)
    if format not in SUFFIXES:
        raise ExportError(f"there is no format {format!r} of one file: choose one of "
                          f"{', '.join(SUFFIXES)}")
    file = default_file(path, format, input) if out is None else Path(out)
    _refuse(file, format)
    files = check_images(check)
    if files:
        _check_runtimes(options)
    if path.suffix.lower() == f".{ONNX}" and path.is_file():
        of_a_run = (epoch, classes, data_shape, preprocessing, check or None)
        if any(option is not None for option in of_a_run) or options != Options(input=input):
            raise ExportError(f"{path} is exported already, and is written anew with --input and "
                              f"--format alone: give the run it was made of for other options")
        return _rewrite(path, file, options, format, tell)
    source = open_deploy_model(path, epoch, classes, data_shape, preprocessing)
    compare = _comparison(files, source, file, input) if files else None
    replaced = file.exists()
    write_onnx(source, file, options)
    exported = Exported(file, _size(file), replaced, source, options)
    tell(exported)
    return (exported if compare is None else
            evolve(exported, images=len(files), parity=compare()))


def _comparison(files: Sequence[Path], source: DeployModel, file: Path, input: str
                ) -> Callable[[], Mapping[str, Parity]]:
    """Return what compares the written file with MXNet; the images are read now."""
    from ssdreg_runtime.io.images import read

    from ssdreg.exporting.checking import compare_file, compare_picture_file
    if input == IMAGE:
        return partial(compare_picture_file, source, file, [read(each) for each in files])
    return partial(compare_file, source, file, pixels(files, source))


def _rewrite(path: Path, file: Path, options: Options, format: str, tell: Progress) -> Exported:
    """Write an ONNX file of ssdreg anew, for another input or in another format."""
    import onnx

    from ssdreg.exporting import write_model
    from ssdreg.exporting.image_input import with_image_input
    if not _is_ours(path):
        raise ExportError(f"{path} was not written by ssdreg: give a run, a checkpoint, or a file "
                          f"of `ssdreg export` or `ssdreg quantize`")
    if options.input != IMAGE and format == ONNX:
        raise ExportError(f"{path} is an ONNX file already: with --input image or --format "
                          f"openvino it is written anew")
    model = onnx.load(str(path))
    if options.input == IMAGE:
        model = with_image_input(model, str(path))
    replaced = file.exists()
    write_model(model, file)
    opset = next(each.version for each in model.opset_import if not each.domain)
    exported = Exported(file, _size(file), replaced, None, evolve(options, opset=opset))
    tell(exported)
    return exported


def _size(file: Path) -> int:
    """Return the bytes of a file, and of OpenVINO's weights beside it."""
    weights = [file.with_suffix(".bin")] if file.suffix == SUFFIXES[OPENVINO] else []
    return sum(each.stat().st_size for each in (file, *weights))


def default_file(path: Path, format: str = ONNX, input: str = IMAGES) -> Path:
    """Return where a run or a checkpoint is exported to, unless a file is named."""
    ending = f"{'-image' if input == IMAGE else ''}{SUFFIXES[format]}"
    if path.is_dir():
        return path / f"model{ending}"
    return path.with_name(f"{without_ending(path)}{ending}")


def without_ending(path: Path) -> str:
    """Return a checkpoint's name without what all of its kind end with."""
    ending = next((ending for ending in _ENDINGS if path.name.endswith(ending)), "")
    return path.name[:len(path.name) - len(ending)]


def _refuse(file: Path, format: str) -> None:
    """Raise ExportError for a file that should not be written, or not be replaced."""
    suffix = SUFFIXES[format]
    if file.suffix != suffix:
        raise ExportError(f"--out {file} does not end in {suffix}, by which runtimes know the "
                          f"format")
    if file.is_dir():
        raise ExportError(f"{file} is a folder: choose another --out")
    if file.exists() and not _is_ours(file):
        raise ExportError(f"{file} is there already and was not written by ssdreg: move it away, "
                          f"or choose another --out")


def _is_ours(file: Path) -> bool:
    from ssdreg_runtime.backends import ir_file, onnx_file
    from ssdreg_runtime.backends.facts import PREFIX
    try:
        if file.suffix == SUFFIXES[OPENVINO]:
            return f"{PREFIX}format" in ir_file.read_metadata(file)
        with file.open("rb") as stream:  # the weights are not read
            return f"{PREFIX}format" in onnx_file.read_metadata(stream, str(file))
    except ModelError:
        return False


def check_images(check: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the images to compare with: those named, and those in the folders that are named."""
    from ssdreg_runtime.io.pictures import find_images
    named = [check] if isinstance(check, (str, os.PathLike)) else check
    return [file for path in map(Path, named)
            for file in (find_images(path) if path.is_dir() else [path])]


def _check_runtimes(options: Options) -> None:
    """Refuse a comparison that cannot be, before anything is written."""
    from ssdreg_runtime.backends import installed
    from ssdreg_runtime.system.installing import install
    if not options.nms:
        raise ExportError("--check compares detections, which a file with --no-nms does not make: "
                          "leave one of them out")
    if not installed():
        raise DependencyError("--check runs the file, and neither OpenVINO nor ONNX Runtime is "
                              f"installed: run `{install('onnxruntime')}`")


def pixels(files: Sequence[Path], source: DeployModel) -> np.ndarray:
    """Return images (B, H, W, 3) uint8 as the network takes them."""
    import numpy as np
    from ssdreg_runtime.io.images import prepare
    return np.stack([prepare(file, source.plan.data_shape).pixels for file in files])
