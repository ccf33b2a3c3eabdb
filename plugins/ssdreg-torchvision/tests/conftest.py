from __future__ import annotations

import os
import sys
from pathlib import Path

# where pytest imports tests by their paths, it does not find what stands beside them
sys.path.insert(0, str(Path(__file__).parent))

# read when MXNet is imported: threads that wait by spinning take the processors from others
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_configure(config):
    # MXNet 1.9.1 is the last release: what it does in an outdated way will stay
    config.addinivalue_line("filterwarnings", r"ignore::DeprecationWarning:mxnet(\..*)?")
