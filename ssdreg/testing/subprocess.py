"""The observation of a plug-in in a new process: effects of its import, symbols it builds."""

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
from ssdreg.testing.verdict import AnySubject, Subject

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The environment before plug-ins are loaded: a variable that one sets must show in a new process.
_ENVIRONMENT = dict(os.environ)
_SCRIPT = ("import sys; from ssdreg.testing.subprocess import print_observation; "
           "print_observation(*sys.argv[1:])")


@frozen
class BuildObservation:
    """The side effects of building a backbone for the first time, and its symbol's SHA-256.

    `digest` is "" where it cannot be built: the checks of the backbone say why.
    """

    digest: str
    printed: str = ""
    touched: tuple[str, ...] = ()


@frozen
class ProcessObservation:
    """The observation of a distribution in a new process.

    `printed` and `touched` are the side effects of listing its declarations, `imports_mxnet` is
    whether that imported MXNet; `builds` has its backbones by name.
    """

    printed: str
    touched: tuple[str, ...]
    imports_mxnet: bool
    builds: Mapping[str, BuildObservation]


def observe_in_new_process(distribution: str, *names: str) -> ProcessObservation:
    """Observe a distribution in a new process, with another seed of hashes and so of sets' order.

    It finds the packages that this process finds. Raises ConformanceError when it fails.
    """
    variables = {"PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2",
                 "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.run([sys.executable, "-c", _SCRIPT, distribution, *names],
                             encoding="utf-8", errors="replace", capture_output=True,
                             env={**_ENVIRONMENT, **variables}, check=False)
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["without a word"])[-1]
        raise ConformanceError(f"a new process that uses it ends with status {process.returncode}: "
                               f"{reason}")
    return cattrs.structure(json.loads(process.stdout.splitlines()[-1]), ProcessObservation)


def print_observation(distribution: str, *names: str) -> None:
    """Print the observation of a distribution in this process, a new one: JSON on the last line."""
    subjects: list[AnySubject] = []
    effects = watch(lambda: subjects.extend(subjects_of(distribution, *names)))
    imports_mxnet = "mxnet" in sys.modules
    observation = ProcessObservation(effects.printed, effects.touched, imports_mxnet,
                                     {subject.title: observe_build(subject.backbone)
                                      for subject in subjects
                                      if isinstance(subject, Subject) and subject.head is None})
    sys.stdout.write(f"\n{json.dumps(cattrs.unstructure(observation))}\n")


def observe_build(backbone: Backbone) -> BuildObservation:
    """Observe the build of a backbone's symbol; its modules are imported before."""
    import ssdreg.mx  # noqa: F401  (it sets the environment up, once)
    symbols: list[mx.sym.Symbol] = []
    try:
        resolve(backbone.build)
        effects = watch(lambda: symbols.append(backbone.symbol()))
        return BuildObservation(digest(symbols[0]), effects.printed, effects.touched)
    except Exception:  # a plug-in's code may raise anything
        return BuildObservation("")


def digest(symbol: mx.sym.Symbol) -> str:
    """Return the SHA-256 of a symbol's JSON."""
    return hashlib.sha256(symbol.tojson().encode()).hexdigest()
