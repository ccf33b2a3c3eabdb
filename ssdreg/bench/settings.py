"""How many threads workers get, and how they are told."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ssdreg_runtime.system.threads import VARIABLE, choose

WAITING = "OMP_WAIT_POLICY"


def thread_count(threads: int | None) -> int:
    """Return the threads to use: those asked for, else as ssdreg chooses them."""
    return threads or choose(os.environ).count or 1


def environment(threads: int | None, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a worker's environment: ours, with the number of threads for OpenMP and OpenBLAS.

    It is set there because NumPy and MXNet read it nowhere else. How threads wait is left to each
    engine, because that is what users get, but for one setting: where OpenMP's wait actively, they
    never stop, and take the cores from whoever's turn it is.
    """
    count = str(thread_count(threads))
    variables = {**(os.environ if environ is None else environ), VARIABLE: count,
                 "OPENBLAS_NUM_THREADS": count}
    if variables.get(WAITING, "").lower() == "active":
        del variables[WAITING]
    return variables
