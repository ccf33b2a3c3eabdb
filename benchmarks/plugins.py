"""How long `ssdreg list` takes among many distributions, beside a bare scan of their metadata.

    python benchmarks/plugins.py [RUNS]

Makes 300 distributions, 100 of which bring a backbone, in a temporary folder, and times whole
processes, interleaved: `ssdreg list`, and a scan by `importlib.metadata` for the same entry points.
Prints medians, their range and the ratio; the exit status is 1 when `ssdreg list` takes a second or
more, or two and a half times the scan's time or more. On 2 cores of an AMD EPYC it is 0.124 s to
0.062 s, twice the scan's time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ssdreg

DISTRIBUTIONS, PLUGINS = 300, 100
LIMIT_SECONDS, LIMIT_RATIO = 1.0, 2.5

MODULE = """
from ssdreg import Backbone, Tap, hookimpl

@hookimpl
def ssdreg_backbones():
    yield Backbone(name="net{0}", family="net{0}", depth=1, build="plugin{0}:build",
                   taps=[Tap(1, 2, 4, "c1"), Tap(2, 4, 8, "c2")], tap_strides=(2, 4),
                   paper="https://example.org")
"""

SCAN = """
from importlib import metadata
found = [point for distribution in metadata.distributions()
         for point in distribution.entry_points if point.group == "ssdreg"]
print(len(found))
"""

#: What most distributions' metadata look like: a page of headers and a description.
HEADERS = "".join(f"Classifier: Topic :: Number {number}\n" for number in range(30))
DESCRIPTION = "Words about what this is for.\n" * 100


def make(folder: Path) -> None:
    """Write the distributions as pip leaves them: a module and its ``.dist-info``."""
    for number in range(DISTRIBUTIONS):
        plugin = number < PLUGINS
        name = f"plugin{number}"
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{HEADERS}"
            f"Requires-Dist: {'ssdreg' if plugin else 'numpy'}\n\n{DESCRIPTION}",
            encoding="utf-8")
        group = "ssdreg" if plugin else "console_scripts"
        (info / "entry_points.txt").write_text(f"[{group}]\nnet = {name}\n", "utf-8")
        (info / "RECORD").write_text(f"{name}.py,,\n", "utf-8")
        (folder / f"{name}.py").write_text(MODULE.format(number) if plugin else "", "utf-8")


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Run a command; return its wall time in seconds and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True,
                          encoding="utf-8", check=True)
    return time.perf_counter() - began, done.stdout


def main() -> int:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        project = Path(ssdreg.__file__).parent.parent
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(project)])}
        # pip compiles what it installs; here the first run does
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        commands = {"ssdreg list": [str(Path(sys.executable).with_name("ssdreg")), "list"],
                    "bare scan": [sys.executable, "-c", SCAN]}
        for command in commands.values():  # compiles the modules, warms the disk's cache
            timed(command, environment)
        times: dict[str, list[float]] = {each: [] for each in commands}
        ratios = []
        for _ in range(runs):
            for each, command in commands.items():
                seconds, printed = timed(command, environment)
                times[each].append(seconds)
                if each == "ssdreg list":
                    assert printed.count("\nnet") == PLUGINS, printed
            ratios.append(times["ssdreg list"][-1] / times["bare scan"][-1])
    for each, seconds in times.items():
        print(f"{each:12} {statistics.median(seconds):.3f} s "
              f"({min(seconds):.3f} to {max(seconds):.3f})")
    ratio = statistics.median(ratios)
    print(f"ratio        {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {runs} runs")
    return int(statistics.median(times["ssdreg list"]) >= LIMIT_SECONDS or ratio >= LIMIT_RATIO)


if __name__ == "__main__":
    sys.exit(main())
