"""Whether building a backbone printed anything or touched what belongs to the whole process."""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import random
import sys
import warnings

import numpy as np
import pytest

import ssdreg
from ssdreg.mx import mx
from ssdreg.testing import Examination, Subject
from ssdreg.testing.checks import QUIET
from ssdreg.testing.process_state import watch


def replace_names():
    mx.name.NameManager._current.value = mx.name.NameManager()


#: What changes at every call, for state that stays changed after the first.
fresh = itertools.count(1)


@pytest.fixture
def world(monkeypatch, tmp_path):
    """Put back what is touched here."""
    for folder in "ab":
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "a")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("CONFORMANCE", "")
    level, limit = logging.root.level, sys.getrecursionlimit()
    names, scope = mx.name.NameManager.current, mx.AttrScope.current
    with np.printoptions(), np.errstate(), warnings.catch_warnings():
        yield
    logging.root.setLevel(level)
    sys.setrecursionlimit(limit)
    mx.name.NameManager._current.value, mx.AttrScope._current.value = names, scope


@pytest.mark.parametrize(("action", "what"), [
    (lambda: print("hello"), "prints 'hello'"),
    (lambda: print("hello", file=sys.stderr), "prints 'hello'"),
    (lambda: os.write(2, b"from below\n"), "prints 'from below'"),
    (lambda: ctypes.CDLL(None).puts(b"from C"), "prints 'from C'"),
    (lambda: warnings.warn("take care", stacklevel=1), "prints 'UserWarning: take care'"),
    (random.random, "changes the random state,"),
    (lambda: random.seed(0), "changes the random state,"),
    (np.random.rand, "changes NumPy's random state,"),
    (lambda: np.random.seed(0), "changes NumPy's random state,"),
    (lambda: mx.random.uniform(shape=(2,)), "changes MXNet's random state,"),
    (lambda: mx.random.seed(0), "changes MXNet's random state,"),
    (lambda: np.set_printoptions(precision=3), "changes NumPy's print options,"),
    (lambda: np.seterr(under=("warn", "ignore")[next(fresh) % 2]),
     "changes NumPy's handling of errors,"),
    (lambda: os.environ.update(CONFORMANCE=str(next(fresh))), "changes the environment,"),
    (lambda: os.chdir(f"../{'ab'[next(fresh) % 2]}"), "changes the working directory,"),
    (lambda: sys.path.append("/nowhere"), "changes sys.path,"),
    (lambda: sys.setrecursionlimit(2000 + next(fresh)), "changes the recursion limit,"),
    (lambda: logging.root.setLevel(next(fresh)), "changes logging,"),
    (lambda: warnings.filterwarnings("ignore", message=str(next(fresh))),
     "changes warnings.filters,"),
    (lambda: mx.AttrScope().__enter__(), "changes MXNet's attribute scope,"),
    (replace_names, "changes MXNet's name manager,"),
])
@pytest.mark.usefixtures("world")
@pytest.mark.filterwarnings("ignore:take care")
def test_a_build_that_is_not_quiet(action, what):
    def build():
        action()
        return mx.sym.Activation(mx.sym.Variable("data"), act_type="relu", name="relu")

    made = ssdreg.Backbone(name="loud", family="loud", depth=1, build=build,
                           paper="https://example.org")
    verdict = Examination(Subject("strangers-nets", made)).verdict(QUIET)
    assert verdict.sentence.startswith(f"strangers-nets: loud: quiet: building it {what}")


def test_what_python_keeps_from_users_is_no_print():
    happened = watch(lambda: warnings.warn("old", DeprecationWarning, stacklevel=1))
    assert (happened.printed, happened.touched) == ("", ())


def test_watching_gives_the_output_back(capfd):
    print("before")
    happened = watch(lambda: print("meanwhile", file=sys.stderr))
    print("after")
    assert happened.printed == "meanwhile"
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_watching_leaves_generators_and_options_as_they_were():
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    options = np.get_printoptions()
    watch(lambda: (random.random(), np.random.rand(), np.set_printoptions(precision=2)))
    assert (random.random(), np.random.rand()) == expected
    assert np.get_printoptions() == options


def test_what_goes_wrong_comes_through(capfd):
    with pytest.raises(KeyError):
        watch(lambda: {}["gone"])
    print("still there")
    assert capfd.readouterr().out == "still there\n"
