"""Streams of pictures: files, folders of files, and Python iterables of images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from attrs import field, frozen
from PIL import UnidentifiedImageError

from ssdreg_runtime.errors import DataError
from ssdreg_runtime.io import images
from ssdreg_runtime.io.decoding import UNREADABLE, decode_and_say
from ssdreg_runtime.io.frame import Decode, Frame, name_of
from ssdreg_runtime.system.files import visible

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


def read_picture(file: Path | BinaryIO, name: str) -> images.SizedPixels:
    """Read a file as `ssdreg_runtime.io.images.read_sized` does, turned as its camera noted.

    Raises DataError, a sentence that begins with `name`, when it is no image or a damaged one.
    """
    try:
        content = file.read_bytes() if isinstance(file, Path) else file.read()
        return images.upright(decode_and_say(content, name))
    except UnidentifiedImageError as error:
        # Pillow's message is only the file's name, or an address in memory
        raise DataError(_unreadable(name, "its format is not known")) from error
    except UNREADABLE as error:
        raise DataError(_unreadable(name, error)) from error


def _unreadable(name: str, reason: object) -> str:
    return f"{name} cannot be read as an image and was passed over: {reason}"


@frozen(eq=False)
class ImageFiles:
    """Files of one image each, in this order."""

    files: Sequence[Path] = field(repr=False)
    unit: str = "image"
    live: bool = False

    @property
    def name(self) -> str:
        """Its name in messages."""
        return str(self.files[0]) if len(self.files) == 1 else f"{len(self.files)} images"

    @property
    def total(self) -> int:
        """The number of files."""
        return len(self.files)

    def frames(self) -> Iterator[Decode]:
        """Yield the images, each still to be read."""
        for file in self.files:
            yield partial(_read_file, file)


@frozen(eq=False)
class Images:
    """Images of a Python iterable: files' names, images of Pillow, arrays (h, w, 3)."""

    images: Iterable[images.ImageLike] = field(repr=False)
    name: str = "the stream"
    unit: str = "image"
    total: int | None = None
    live: bool = False

    def frames(self) -> Iterator[Decode]:
        """Yield the images, each still to be read."""
        for number, image in enumerate(self.images, 1):
            yield partial(_read_any, image, self.name, number)


def find_images(folder: Path) -> list[Path]:
    """List the images of a folder, sorted; raise DataError when there is none.

    Hidden files, whose names begin with a dot, are passed over.
    """
    files = [file for file in visible(folder)
             if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    if not files:
        raise DataError(f"{folder} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return files


def find_images_below(folder: Path) -> list[Path]:
    """List the images of a folder and of all folders in it, sorted; hidden ones are passed over.

    A folder that is reached twice, by a link, is looked through once. Raises DataError when there
    is no image in any.
    """
    files: list[Path] = []
    waiting, seen = [folder], set[Path]()
    while waiting:
        inside = waiting.pop()
        if inside.resolve() in seen:
            continue
        seen.add(inside.resolve())
        for path in visible(inside):
            if path.is_dir():
                waiting.append(path)
            elif path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                files.append(path)
    if not files:
        raise DataError(f"{folder} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}), and "
                        f"neither does a folder in it")
    return sorted(files)


def _read_file(file: Path) -> Frame:
    try:
        sized = read_picture(file, str(file))
        return Frame(stream=str(file), pixels=sized.pixels, size=sized.size)
    except DataError as error:
        return Frame(stream=str(file), error=str(error))


def _read_any(image: images.ImageLike, stream: str, number: int) -> Frame:
    try:
        sized = images.read_sized(image)
        return Frame(stream=stream, number=number, pixels=sized.pixels, size=sized.size)
    except DataError as error:
        return Frame(stream=stream, number=number, error=f"{name_of(stream, number)}: {error}")
