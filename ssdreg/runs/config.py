"""A run's ``config.json``: what a detector is made of, and what its classes are called.

Read whole, or refused: nothing behind `read_config` asks again. The plan's own rules, which hold
for arguments too, are those of its numbers; here are those of what stands around it. They are rules
of the classes and no hooks of cattrs: fields are checked against one another, which only a whole
value can do, and so they are wherever a plan comes from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from ssdreg._version import __version__
from ssdreg.detector.plan import Level, Plan
from ssdreg.errors import PlanError, RunError
from ssdreg.registry.preprocessing import Preprocessing

FORMAT = 1
#: The configuration of the deepest detector has some kilobytes.
_MAX_BYTES = 16 * 2**20


def _listed(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"classes must be a list of names, not {value!r:.60}")
    return tuple(value)


@frozen(kw_only=True)
class RunConfig:
    """The names of a run's classes, in the order of the labels, and its plan.

    Raises ValueError, a sentence, for names that are not those of the plan's classes.
    """

    classes: tuple[str, ...] = field(converter=_listed)
    plan: Plan

    def __attrs_post_init__(self) -> None:
        for name in self.classes:
            if not isinstance(name, str) or not name:
                raise ValueError(f"classes must hold names, not {name!r:.60}")
        if len(self.classes) != self.plan.num_classes:
            raise ValueError(f"its plan detects {self.plan.num_classes} classes, and it names "
                             f"{len(self.classes)}")
        if len(set(self.classes)) != len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise ValueError(f"classes has the name {twice!r:.60} twice")

    def to_json(self) -> dict[str, Any]:
        """Return what is written."""
        return {"format": FORMAT, "ssdreg": __version__, "classes": list(self.classes),
                "plan": attrs.asdict(self.plan)}


def read_config(file: Path) -> RunConfig:
    """Read a run's configuration; raise RunError when it is damaged, or of a newer ssdreg."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has {file.stat().st_size:,} bytes")
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format"] > FORMAT:
            raise RunError(f"{file} was written by ssdreg {document['ssdreg']}, newer than this "
                           f"{__version__}: upgrade ssdreg from where you have it")
        if document["format"] != FORMAT:
            raise ValueError(f"there is no format {document['format']!r:.60}")
        return RunConfig(classes=document["classes"], plan=_plan(document["plan"]))
    except RunError:
        raise
    except PlanError as error:
        raise RunError(f"{file} is not what `ssdreg train` wrote: {error}") from error
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise RunError(f"{file} is not what `ssdreg train` wrote: {kind}{error}") from error


def _plan(stated: Any) -> Plan:
    """Return a plan as JSON has it. What is not what it should be is left for the plan to say."""
    if not isinstance(stated, dict):
        raise ValueError("its plan is no object")
    values = dict(stated)
    if isinstance(values.get("levels"), list):
        values["levels"] = [Level(**level) if isinstance(level, dict) else level
                            for level in values["levels"]]
    if isinstance(values.get("preprocessing"), dict):
        values["preprocessing"] = Preprocessing(**values["preprocessing"])
    return Plan(**values)
