"""What an examination of a run has found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import evolve, field, frozen


@frozen
class Finding:
    """Something that is wrong with a run.

    - `file`: the name of the file in the run's folder
    - `wrong`: what is wrong with it
    - `repair`: what a repair does about it; empty where nothing can be done
    - `repaired`: whether that was done
    """

    file: str
    wrong: str
    repair: str = ""
    repaired: bool = False
    mend: Callable[[], object] | None = field(default=None, repr=False, eq=False)

    def __str__(self) -> str:
        done = "" if not self.repair else (
            f"; repaired: {self.repair}" if self.repaired else f"; --repair: {self.repair}")
        return f"{self.file}: {self.wrong}{done}"

    def after_repair(self) -> Finding:
        """Repair it where that can be done; return it as it is then."""
        if self.mend is None:
            return self
        self.mend()
        return evolve(self, repaired=True)


@frozen
class Examination:
    """What was found in a run.

    - `run`: its folder
    - `findings`: all that is wrong, repaired or not
    - `epochs`: those whose parameters are whole, in their order
    - `goes_on`: what `ssdreg train --resume` would go on from, in words; empty where it cannot
    - `busy`: the process that is writing into it, in words; empty where none is
    """

    run: Path
    findings: tuple[Finding, ...]
    epochs: tuple[int, ...]
    goes_on: str = ""
    busy: str = ""

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong, or all that was is repaired."""
        return all(finding.repaired for finding in self.findings)

    def text(self) -> str:
        """Return it as lines for people."""
        lines = [str(finding) for finding in self.findings] or ["nothing is wrong"]
        if self.busy:
            lines.append(f"it is being written by {self.busy}: what is found may be under way")
        lines.append("whole epochs: " + (", ".join(map(str, self.epochs)) or "none"))
        lines.append(f"--resume goes on {self.goes_on}" if self.goes_on
                     else "--resume has nothing to go on from")
        return "\n".join(f"{self.run}: {line}" for line in lines)

    def to_dict(self) -> dict[str, object]:
        """Return everything for JSON."""
        return {"run": str(self.run), "healthy": self.healthy, "epochs": list(self.epochs),
                "goes_on": self.goes_on, "busy": self.busy,
                "findings": [{"file": finding.file, "wrong": finding.wrong,
                              "repair": finding.repair, "repaired": finding.repaired}
                             for finding in self.findings]}
