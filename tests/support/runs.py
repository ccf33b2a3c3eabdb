"""A tiny run, trained by the command line, and commands called as a user calls them."""

from __future__ import annotations

from types import SimpleNamespace

from attrs import evolve, frozen

from ssdreg.backbones.resnet import ResNet, declare
from ssdreg.cli.main import main
from ssdreg.registry import host as plugins
from ssdreg.registry.hookspecs import hookimpl

SIDE = 64
TRAIN_IMAGES, VALIDATION_IMAGES = 16, 6
#: A network that every process knows by its name, as small as one can be had: two taps, 64 pixels.
DETECTOR = ("--backbone", "resnet18", "--data-shape", str(SIDE), "--tap-strides", "8,16")

#: A ResNet of one unit a stage and an eighth of the channels: what it learns does not matter.
SMALL = evolve(declare(ResNet(10, (1, 1, 1, 1), bottleneck=False, stem=8)), name="resnet10_eighth",
               aliases=(), tap_strides=(8, 16))
#: The same for commands of this process, where the fixture `small` makes the name known.
TINY = ("--backbone", SMALL.name, "--data-shape", str(SIDE), "--tap-strides", "8,16")


def with_small() -> plugins.Registration:
    """Let this process know `SMALL` by its name; use it as a context."""
    return plugins.register(SimpleNamespace(ssdreg_backbones=hookimpl(lambda: [SMALL])))


@frozen
class Done:
    """What a command returned and wrote."""

    status: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """The lines of ssdreg on stderr; other packages' warnings are not its own."""
        return [line for line in self.err.splitlines() if line.startswith("ssdreg: ")]


def command(capsys, *arguments: object) -> Done:
    """Run a command in this process; argparse's own exits count as statuses."""
    capsys.readouterr()
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = int(stop.code or 0)
    written = capsys.readouterr()
    return Done(status, written.out, written.err)


#: Said of `DETECTOR`, whose strides leave the network's last stage unused, and of `TINY`.
UNUSED = "ssdreg: warning: this detector uses 24.9% of the weights of resnet18"
UNUSED_OF_TINY = f"ssdreg: warning: this detector uses 26.3% of the weights of {SMALL.name}"


def refused(done: Done, sentence: str) -> bool:
    """Tell whether a command ended with status 2 and `sentence` in its one line on stderr.

    What the detector leaves unused may have been said before.
    """
    lines = [line for line in done.err.splitlines()
             if not line.startswith((UNUSED, UNUSED_OF_TINY))]
    return (done.status == 2 and done.out == "" and len(lines) == 1
            and lines[0].startswith("ssdreg: ") and sentence in lines[0])
