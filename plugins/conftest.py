"""What the tests of all plug-ins share. They run against installed wheels: see tools/test-plugins."""

from __future__ import annotations

import os

# Read when MXNet is imported; its threads would otherwise spin while they wait for others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_configure(config):
    # MXNet 1.9.1 is the last release: what it does in an outdated way will stay
    config.addinivalue_line("filterwarnings", r"ignore::DeprecationWarning:mxnet(\..*)?")
