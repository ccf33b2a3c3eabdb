from __future__ import annotations

import os

# Read when MXNet is imported. Its threads wait by spinning, which, on a machine with other work,
# takes the processors from those it waits for: these small networks then run for seconds.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_configure(config):
    # MXNet 1.9.1 is the last release: what it does in an outdated way will stay
    config.addinivalue_line("filterwarnings", r"ignore::DeprecationWarning:mxnet(\..*)?")
