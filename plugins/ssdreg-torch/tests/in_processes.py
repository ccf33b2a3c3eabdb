"""Trainings in processes that torchrun starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ssdreg.data.synthetic import write_shapes

SIDE, BATCH = 64, 8
OPTIONS = ("--engine", "torch", "--backbone", "resnet18", "--data-shape", SIDE, "--tap-strides",
           "8,16", "--batch-size", BATCH, "--precision", "float32", "--freeze-stages", 0)
TOGETHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)


def written_shapes(folder):
    """Write a small data set, and return its folder."""
    write_shapes(folder, 4 * BATCH, 6, (SIDE, SIDE))
    return folder


def begun(*arguments):
    return subprocess.Popen([sys.executable, *map(str, arguments)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, "OMP_NUM_THREADS": "1"})


def printed_by(job):
    """Return what torchrun printed when it has ended; end it, its workers too, if it does not."""
    try:
        return job.communicate(timeout=400)[0]
    except subprocess.TimeoutExpired:
        # killed, it would leave its workers behind
        job.terminate()
        pytest.fail(f"torchrun did not end by itself: {job.communicate(timeout=100)[0]}")


def command(**given):
    """Return the words of the command that trains."""
    return ("train", *OPTIONS, *(part for name, value in given.items() for part in (
        f"--{name.replace('_', '-')}", *(() if value is True else (value,)))))


#: Train, and tell how many of gloo's threads live on. One that frees a tensor while Python ends is
#: ended itself, at which C++ aborts the process.
PROGRAM = """
import sys
from pathlib import Path
from ssdreg.cli.main import main
status = main(sys.argv[1:])
names = [file.read_text() for file in Path("/proc/self/task").glob("*/comm")]
print(f"{sum('gloo' in name for name in names)} threads are left")
sys.exit(status)
"""


def train_together(**given):
    """Train to the end in two processes; return their status, and what was printed."""
    program = given["out"].with_suffix(".py")
    program.write_text(PROGRAM, encoding="utf-8")
    process = begun(*TOGETHER, program, *command(**given))
    printed = printed_by(process)
    return process.returncode, printed
