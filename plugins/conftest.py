"""What the tests of all plug-ins share; tools/test-plugins runs them on installed wheels."""

from __future__ import annotations

import os

# Read when MXNet is imported; its threads would otherwise spin while they wait for others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_configure(config):
    """Leave out warnings that nobody here can mend."""
    # MXNet 1.9.1 is the last release: what it does in an outdated way will stay
    config.addinivalue_line("filterwarnings", r"ignore::DeprecationWarning:mxnet(\..*)?")
