"""The file data.yaml of a YOLO data set, in all its forms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from attrs import field, frozen

from ssdreg.data.contents import Contents, is_absolute, parts_of
from ssdreg.data.json_file import whole
from ssdreg.data.text import decoded
from ssdreg.errors import DataError

SUFFIXES = (".yaml", ".yml")
_SPLITS = ("train", "val", "valid", "test")
#: Keys whose values may be called as a folder is, and are none.
_NO_SPLITS = ("path", "names", "nc", "download", "yaml_file", "roboflow", "task")
_NOTHING = (None, "", "~", "null", "Null")
#: Bytes of the file: names of a hundred thousand classes.
_MAX = 2**22


@frozen
class DataYaml:
    """What the file says: names by number, places by split, and the folder they are below.

    `behind` is how many numbers follow a box in each line, for key points.
    """

    file: Path
    names: dict[int, str] | None
    splits: dict[str, tuple[str, ...]] = field(repr=False)
    path: str = ""
    behind: int = 0

    def place(self, value: str) -> Path | None:
        """Return where a folder or list of the file is; None where it is not.

        It is below ``path``, or below the folder of the file itself, also where the names say
        otherwise because the data set was moved.
        """
        here = self.file.parent
        named = Path(value.replace("\\", "/"))
        base = Path(self.path.replace("\\", "/")) if self.path else Path()
        # as it is written first, then ever less of what stands in front
        tails = [Path(*parts[start:]) for parts in (parts_of(str(base / named)), parts_of(value))
                 for start in range(len(parts))]
        places = [here / base / named, here / named]
        places += [here / tail for tail in tails if ".." not in tail.parts]
        if is_absolute(value):
            places.insert(0, named)
        return next((place.resolve() if ".." in place.parts else place for place in places
                     if place.exists() and place != here), None)


def has_yaml(contents: Contents) -> bool:
    """Tell whether a data set has such a file."""
    return any(_is_data_yaml(file) for file in _candidates(contents.root, contents))


def find_yaml(root: Path) -> DataYaml | None:
    """Read the file of a data set, or `root` itself; None where there is none.

    Raises DataError for one that is damaged, and where there are several.
    """
    files = [file for file in _candidates(root, None) if _is_data_yaml(file)]
    if len(files) > 1:
        raise DataError(f"{root} has several of data.yaml: "
                        f"{', '.join(file.name for file in files)}; give the one that is meant")
    return _parse(files[0]) if files else None


def names_alone(contents: Contents) -> tuple[dict[int, str] | None, Path | None]:
    """Return the names of a file that has no splits, and the file; None where there is none.

    Raises DataError for names that are none.
    """
    for file in _candidates(contents.root, contents):
        try:
            value = _load(file)
        except DataError:
            continue  # of another program
        if isinstance(value, dict) and "names" in value:
            return _names(file, value), file
    return None, None


def _candidates(root: Path, contents: Contents | None) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix.lower() in SUFFIXES else []
    files = contents.files if contents is not None else tuple(sorted(root.iterdir())) \
        if root.is_dir() else ()
    return [file for file in files if file.parent == root and file.suffix.lower() in SUFFIXES]


def _is_data_yaml(file: Path) -> bool:
    try:
        value = _load(file)
    except DataError:
        # damaged, but called as it is called
        return file.stem in ("data", "dataset")
    return isinstance(value, dict) and ("names" in value or "nc" in value) and (
        any(split in value for split in _SPLITS) or bool(_others(file, value)))


def _load(file: Path) -> Any:
    if file.stat().st_size > _MAX:
        raise DataError(f"{file} has {file.stat().st_size:,} bytes: no data.yaml is that large")
    try:
        # everything as text: a class called no is not False
        return yaml.load(decoded(file.read_bytes()), yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{file} is no YAML: {' '.join(str(error).split())}") from error


def _parse(file: Path) -> DataYaml:
    value = _load(file)
    if not isinstance(value, dict):
        raise DataError(f"{file} has no names and no splits, as a data.yaml has them")
    names = _names(file, value)
    splits = {}
    for split in _SPLITS:
        given = value.get(split)
        values = given if isinstance(given, list) else [given]
        values = [place for place in values if place not in _NOTHING]
        if values and all(isinstance(place, str) for place in values):
            splits[split] = tuple(values)
        elif values:
            raise DataError(f"{file}: {split} is {given!r}, and no folder or list")
    splits.update(_others(file, value))
    if not splits:
        raise DataError(f"{file} names no pictures: it needs train: and val:, folders or lists")
    shape = value.get("kpt_shape")
    behind = 0
    if isinstance(shape, list) and len(shape) == 2:
        behind = (whole(shape[0]) or 0) * (whole(shape[1]) or 0)
    return DataYaml(file, names, splits, str(value.get("path") or ""), behind)


def _others(file: Path, value: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return splits of other names: what names a folder or list that is there."""
    places = DataYaml(file, None, {}, str(value.get("path") or ""))
    return {str(key): (given,) for key, given in value.items()
            if key not in (*_SPLITS, *_NO_SPLITS) and isinstance(given, str)
            and given not in _NOTHING and places.place(given) is not None}


def _names(file: Path, value: Mapping[str, Any]) -> dict[int, str] | None:
    given, count = value.get("names"), whole(value.get("nc"))
    if given is None:
        return None
    if isinstance(given, dict):
        pairs = [(whole(key), name) for key, name in given.items()]
    elif isinstance(given, list):
        pairs = list(enumerate(given))
    else:
        raise DataError(f"{file}: names is {given!r}, and no list of names")
    names = {key: str(name).strip() for key, name in pairs if key is not None}
    if len(names) != len(pairs):
        raise DataError(f"{file}: names has keys that are no whole numbers")
    if count is not None and count != len(names):
        raise DataError(f"{file}: nc is {count}, but there are {len(names)} names; put right the "
                        f"one that is wrong")
    return names
