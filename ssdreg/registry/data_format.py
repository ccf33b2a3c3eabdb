"""What a plug-in declares: a format of data sets, and the functions that recognise and read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from attrs import field, frozen, validators

from ssdreg.registry.converters import are_names, as_aliases, is_listed, is_name, is_text
from ssdreg.registry.lazy_reference import Reference, resolve, valid_reference

if TYPE_CHECKING:
    from ssdreg.data.annotation import AnnotatedSet
    from ssdreg.data.contents import Contents

#: How sure a format is that a data set is its own: not, by what lies there, by how it is laid out.
NO, POSSIBLE, CERTAIN = 0, 1, 2


@frozen(kw_only=True)
class DataFormat:
    """A format of data sets, as a plug-in declares it.

    The functions are callables, or texts ``"module:function"`` that are imported when they are
    first called:

    - `recognize(contents) -> int`: whether a data set is of this format: ``NO``, ``POSSIBLE`` or
      ``CERTAIN`` of `ssdreg.registry.data_format`. `contents` is an `ssdreg.data.Contents`, a
      folder listed once, or a single file.
    - `splits(path) -> tuple of str`: the sorted names of the data set's own splits, often none.
    - `read(path, split, columns) -> ssdreg.data.AnnotatedSet`: what was annotated, as it is
      written; of every picture where `split` is None. `columns` names those of a table, and is
      empty for others. What is wrong with one file is among the set's issues; a DataError, a
      sentence with the file, is raised where nothing can be read.
    - `sample(folder)`: writes a small data set of this format into an empty folder, with boxes
      that are right. Conformance reads it; without one it looks at little.

    Boxes are held against their pictures behind `read`, by the same checks for every format.
    """

    name: str = field(validator=is_name)
    summary: str = field(validator=is_text)
    recognize: Reference = field(validator=valid_reference, repr=False)
    splits: Reference = field(validator=valid_reference, repr=False)
    read: Reference = field(validator=valid_reference, repr=False)
    sample: Reference | None = field(
        default=None, validator=validators.optional(valid_reference), repr=False)
    aliases: tuple[str, ...] = field(
        default=(), converter=as_aliases, validator=[is_listed, are_names])

    def certainty(self, contents: Contents) -> int:
        """Tell whether a data set is of this format: NO, POSSIBLE or CERTAIN."""
        return int(resolve(self.recognize)(contents))

    def splits_of(self, path: Path) -> tuple[str, ...]:
        """Return the sorted names of a data set's own splits; empty when it has none."""
        return tuple(resolve(self.splits)(path))

    def read_from(self, path: Path, split: str | None, columns: Sequence[str]) -> AnnotatedSet:
        """Read one split as annotated, or all with None; raise DataError when it cannot be."""
        return cast("AnnotatedSet", resolve(self.read)(path, split, tuple(columns)))
