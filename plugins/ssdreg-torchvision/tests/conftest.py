from __future__ import annotations

import os

# read when MXNet is imported: threads that wait by spinning take the processors from others
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_configure(config):
    # MXNet 1.9.1 is the last release: what it does in an outdated way will stay
    config.addinivalue_line("filterwarnings", r"ignore::DeprecationWarning:mxnet(\..*)?")
