from __future__ import annotations

import os

import pytest

# Read when MXNet is imported. Its threads wait by spinning, which, on a machine with other work,
# takes the processors from those it waits for: these small networks then run for seconds.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_configure(config):
    # MXNet 1.9.1 is the last release: what it does in an outdated way will stay
    config.addinivalue_line("filterwarnings", r"ignore::DeprecationWarning:mxnet(\..*)?")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """What tests pack does not land in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
