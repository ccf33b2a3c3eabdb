"""A run or an old checkpoint as a folder that another program computes: ``--format torch``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen
from ssdreg_runtime.system.files import digest, replacing_folder, write_json

from ssdreg._version import __version__
from ssdreg.deploy.model import DeployModel, open_trainable
from ssdreg.errors import DependencyError, ExportError
from ssdreg.exporting.export import check_images, pixels, without_ending
from ssdreg.exporting.options import SUFFIXES
from ssdreg.exporting.parity import Parity
from ssdreg.progress import Progress, silent
from ssdreg.registry.names import get_engine, list_engines
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Writes a detector, with its training symbol, to a folder that is there and empty.
FolderExporter = Callable[[DeployModel, "mx.sym.Symbol", Path], None]

#: The file by which a folder is known: what wrote it, and the digests of its files.
MANIFEST = "export.json"
#: What Python and file managers leave beside files.
_LEFT = ("__pycache__", ".DS_Store")

#: The plug-ins of this repository that write a format, for who has not installed one.
_PLUGINS: Mapping[str, str] = MappingProxyType({"torch": "ssdreg-torch"})


@frozen(eq=False)
class ExportedFolder:
    """A folder that was written.

    - `folder`, `files`: their names; `size` of all of them in bytes
    - `replaced`: whether it had been exported to before
    - `source`: the detector that it was made of; `format`: its kind
    - `images`: how many it was compared with MXNet on; `parity`: what that found, None without any
    """

    folder: Path
    files: tuple[str, ...]
    size: int
    replaced: bool
    source: DeployModel = field(repr=False)
    format: str
    images: int = 0
    parity: Parity | None = None

    @property
    def agrees(self) -> bool:
        """Whether the folder found what MXNet finds, where they were compared."""
        return self.parity is None or self.parity.equal


def folder_formats() -> tuple[str, ...]:
    """Return the formats that are folders: the engines that write one."""
    return tuple(engine.name for engine in list_engines() if engine.export is not None)


def folder_exporter(name: str) -> FolderExporter:
    """Return what writes a format.

    Raises ExportError for a format that nothing writes, DependencyError for one whose plug-in is
    not installed.
    """
    if name in folder_formats():
        return get_engine(name).write
    if name in _PLUGINS:
        raise DependencyError(f"--format {name} is written by the plug-in {_PLUGINS[name]}, which "
                              f"is not installed, or not loaded (`ssdreg plugins` tells): run "
                              f"`pip install {_PLUGINS[name]}`")
    raise ExportError(f"there is no format {name!r} to export to: choose one of "
                      f"{', '.join((*SUFFIXES, *folder_formats()))}")


def export_folder(model: str | os.PathLike[str], format: str, *,
                  out: str | os.PathLike[str] | None = None, epoch: int | None = None,
                  classes: Sequence[str] | None = None,
                  data_shape: int | tuple[int, int] | None = None,
                  preprocessing: Preprocessing | None = None,
                  check: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
                  progress: Progress | None = None) -> ExportedFolder:
    """Write a run or an old checkpoint as a folder, as ``ssdreg export --format`` does.

    - `model`: a run's folder, or a checkpoint; `epoch`, `classes`, `data_shape` and
      `preprocessing` are those of `ssdreg.load_checkpoint`
    - `format`: ``torch``
    - `out`: the folder; by default one of the format's name in a run's folder, and beside a
      checkpoint one of both names. It is written whole or not at all; one that was written by this
      before is replaced if nothing in it was changed or added since
    - `check`: an image, a folder of images, or several of these, on which what was written is
      compared with MXNet

    `progress` is called with the `ExportedFolder` as soon as it is written, before it is compared.

    Raises ExportError for a network that cannot be written, and for a folder that may not be;
    RunError for what cannot be read; DependencyError where what writes the format is not installed,
    or what was written cannot be run here; DataError for an image that cannot be read.
    """
    path = Path(model)
    write = folder_exporter(format)
    folder = default_folder(path, format) if out is None else Path(out)
    _refuse(folder)
    files = check_images(check)
    source, training = open_trainable(path, epoch, classes, data_shape, preprocessing)
    images = pixels(files, source) if files else None
    replaced = (folder / MANIFEST).is_file()
    with replacing_folder(folder) as beside:
        write(source, training, beside)
        written = sorted(file for file in beside.rglob("*") if file.is_file())
        size = sum(file.stat().st_size for file in written)
        names = tuple(file.relative_to(beside).as_posix() for file in written)
        write_json(beside / MANIFEST, {
            "ssdreg": __version__, "format": format,
            "files": {name: digest(file) for name, file in zip(names, written)}})
    exported = ExportedFolder(folder, names, size, replaced, source, format)
    (progress or silent)(exported)
    if images is None:
        return exported
    from ssdreg.exporting.checking import compare_folder
    return evolve(exported, images=len(images),
                  parity=compare_folder(source, get_engine(format), folder, images))


def default_folder(path: Path, format: str) -> Path:
    """Return where a run or a checkpoint is exported to, unless a folder is named."""
    return path / format if path.is_dir() else path.with_name(f"{without_ending(path)}-{format}")


def _refuse(folder: Path) -> None:
    """Raise ExportError for a folder that should not be replaced."""
    if not folder.exists():
        return
    instead = "move it away, or choose another --out"
    if not folder.is_dir():
        raise ExportError(f"{folder} is a file, and a folder is written: choose another --out")
    there = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*"))
             if file.is_file() and not set(file.relative_to(folder).parts) & set(_LEFT)}
    manifest = there.pop(MANIFEST, None)
    if manifest is None:
        if any(folder.iterdir()):
            raise ExportError(f"{folder} is there already and was not written by ssdreg: {instead}")
        return
    try:
        written = dict(json.loads(manifest.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExportError(f"{manifest} is not what ssdreg wrote: move the folder away, or choose "
                          f"another --out") from error
    for name, file in there.items():
        if name not in written:
            raise ExportError(f"{file} was put there since ssdreg wrote the folder: {instead}")
        if written[name] != digest(file):
            raise ExportError(f"{file} was changed since ssdreg wrote it: {instead}")


def describe_folder(exported: ExportedFolder) -> str:
    """Say in a few lines what was done, and what the folder holds."""
    source, plan = exported.source, exported.source.plan
    height, width = plan.data_shape
    rows = [
        ("replaced" if exported.replaced else "written",
         f"{exported.folder} ({exported.size / 1e6:.1f} MB)"),
        ("files", ", ".join(exported.files)),
        ("network", f"{plan.backbone}, {plan.head}, {exported.format}"),
        ("input", f"images: {height}x{width} pixels of RGB"),
        ("classes", f"{len(source.classes)} ({', '.join(source.classes)})")]
    return "\n".join(f"{name + ':':16}{text}" for name, text in rows)
