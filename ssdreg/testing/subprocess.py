"""A plug-in seen from a process of its own: what importing it does, and the symbols it builds."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import cattrs
from attrs import frozen

from ssdreg.errors import ConformanceError
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.lazy_reference import resolve
from ssdreg.testing.distribution import subjects_of
from ssdreg.testing.process_state import watch
from ssdreg.testing.verdict import Subject

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: As it is before plug-ins are asked for here: what one of them sets must show in a new process.
_ENVIRONMENT = dict(os.environ)
_SCRIPT = "import sys; from ssdreg.testing.subprocess import report; report(*sys.argv[1:])"


@frozen
class Built:
    """What building a backbone for the first time did, and the SHA-256 of its symbol.

    `digest` is "" where it cannot be built: the checks of the backbone say why.
    """

    digest: str
    printed: str = ""
    touched: tuple[str, ...] = ()


@frozen
class Fresh:
    """What a new process saw of a distribution.

    `printed` and `touched` are what asking for its declarations did, `imports_mxnet` whether that
    imported MXNet; `built` has its backbones by name.
    """

    printed: str
    touched: tuple[str, ...]
    imports_mxnet: bool
    built: Mapping[str, Built]


def look(distribution: str, *names: str) -> Fresh:
    """Look at a distribution in a new process, in which sets are in another order.

    It finds the packages that this process finds. Raises ConformanceError when it ends early.
    """
    changed = {"PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2",
               "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", _SCRIPT, distribution, *names],
                          encoding="utf-8", errors="replace", capture_output=True,
                          env={**_ENVIRONMENT, **changed}, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise ConformanceError(f"a new process that uses it ends with status {done.returncode}: "
                               f"{reason}")
    return cattrs.structure(json.loads(done.stdout.splitlines()[-1]), Fresh)


def report(distribution: str, *names: str) -> None:
    """Print what this process, a new one, sees of a distribution: JSON on the last line."""
    found: list[Subject] = []
    happened = watch(lambda: found.extend(subjects_of(distribution, *names)))
    imports_mxnet = "mxnet" in sys.modules
    seen = Fresh(happened.printed, happened.touched, imports_mxnet,
                 {each.title: build(each.backbone) for each in found if each.head is None})
    sys.stdout.write(f"\n{json.dumps(cattrs.unstructure(seen))}\n")


def build(backbone: Backbone) -> Built:
    """Build a backbone's symbol and watch it; what that imports is imported before."""
    import ssdreg.mx  # noqa: F401  (it sets the environment up, once)
    symbols: list[mx.sym.Symbol] = []
    try:
        resolve(backbone.build)
        happened = watch(lambda: symbols.append(backbone.symbol()))
        return Built(digest(symbols[0]), happened.printed, happened.touched)
    except Exception:  # a stranger's code may raise anything
        return Built("")


def digest(symbol: mx.sym.Symbol) -> str:
    """Return the SHA-256 of a symbol's JSON."""
    return hashlib.sha256(symbol.tojson().encode()).hexdigest()
