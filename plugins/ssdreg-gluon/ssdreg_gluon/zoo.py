"""The networks of a model zoo, read from its source: importing it would import MXNet.

Both zoos keep a dictionary from names to constructors, and a list of the SHA-1 digests of the
weights in their store. Listing backbones has to be quick, so both are parsed from the source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen


@frozen
class Zoo:
    """A model zoo: the package it is in, its module, and the files, inside the package, to read.

    `networks` is the file and the variable of the dictionary of networks, `store` the file with
    the digests.
    """

    name: str
    package: str
    module: str
    networks: tuple[str, str]
    store: str


GLUON = Zoo("gluon", "mxnet", "mxnet.gluon.model_zoo",
            networks=("gluon/model_zoo/vision/__init__.py", "models"),
            store="gluon/model_zoo/model_store.py")
GLUONCV = Zoo("gluoncv", "gluoncv", "gluoncv.model_zoo",
              networks=("model_zoo/model_zoo.py", "_models"),
              store="model_zoo/model_store.py")
ZOOS = {zoo.name: zoo for zoo in (GLUON, GLUONCV)}


@cache
def networks(zoo: Zoo) -> tuple[str, ...]:
    """Return the names that the zoo's ``get_model`` knows, none where it is not installed."""
    file, variable = zoo.networks
    for node in ast.walk(_parse_file(zoo, file)):
        if (isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
                and any(isinstance(target, ast.Name) and target.id == variable
                        for target in node.targets)):
            return _text_constants(node.value.keys)
    return ()


@cache
def digests(zoo: Zoo) -> dict[str, str]:
    """Return the SHA-1 of the weights in the zoo's store, by the name they have there."""
    pairs = (_text_constants(node.elts) for node in ast.walk(_parse_file(zoo, zoo.store))
             if isinstance(node, ast.Tuple))
    return {pair[1]: pair[0] for pair in pairs
            if len(pair) == 2 and re.fullmatch("[0-9a-f]{40}", pair[0])}


def _text_constants(nodes: Iterable[ast.expr | None]) -> tuple[str, ...]:
    """Return the string constants among expressions; None, as in an unpacked key, is skipped."""
    return tuple(node.value for node in nodes
                 if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _parse_file(zoo: Zoo, file: str) -> ast.Module:
    """Parse a file of the zoo's package; empty where the package is not installed."""
    spec = find_spec(zoo.package)  # of a package at the top, this imports nothing
    if spec is None or spec.origin is None:
        return ast.Module([], [])
    return ast.parse((Path(spec.origin).parent / file).read_text(encoding="utf-8"))
