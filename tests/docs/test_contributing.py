"""What those who carry it on are told: it names everything there is, and nothing that is not."""

from __future__ import annotations

import ast
import re
from configparser import ConfigParser
from fnmatch import fnmatch

import pytest
import yaml
from support import layout, paths

PROJECT = paths.PROJECT
CONTRIBUTING, SECURITY = PROJECT / "CONTRIBUTING.md", PROJECT / "SECURITY.md"
README = PROJECT / "README.md"
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")


def read(file):
    return file.read_text(encoding="utf-8")


def folders():
    """Return the folders of the repository; what builds and tools leave behind is ignored."""
    ignored = [line.strip("/") for line in read(PROJECT / ".gitignore").splitlines()]
    return {path.name for path in PROJECT.iterdir() if path.is_dir()
            and not any(fnmatch(path.name, pattern) for pattern in (*ignored, ".git"))}


def recipe(target):
    """Return the commands of a target of the Makefile, as a shell gets them."""
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    return [line.strip().lstrip("@") for line in lines.splitlines()]


def test_every_top_level_folder_has_a_sentence():
    rows = dict(re.findall(r"^\| `([\w.]+)/` \| (.+) \|$", read(CONTRIBUTING), re.MULTILINE))
    # others' tools may keep hidden folders of their own here
    assert {name for name in folders() if not name.startswith(".")} <= set(rows) <= folders()
    assert all(rows.values())


@pytest.mark.parametrize("package", layout.PACKAGES)
def test_the_tables_are_the_packages_own_sentences(package):
    assert layout.held(read(CONTRIBUTING), package) == layout.table(package), (
        "write the tables anew: PYTHONPATH=tests python tests/support/layout.py")


@pytest.mark.parametrize("file", [CONTRIBUTING, SECURITY, README], ids=lambda file: file.stem)
def test_every_path_and_target_is_there(file):
    text = read(file)
    named = re.findall(r"`((?:ssdreg|runtime|plugins|tests|benchmarks|docs|tools|\.ci|\.github)"
                       r"/[^`*<>{}:= ]*)`", text)
    assert named
    assert [path for path in named if not (PROJECT / path).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"(?:`|^ {4})make\s([a-z-]+)", text, re.MULTILINE)) <= targets


def test_no_test_imports_another():
    """What tests share is in `support`: a test that another needs could not be changed alone."""
    modules = [file for file in PROJECT.glob("**/tests/**/*.py")
               if not {"build", ".venv"} & set(file.relative_to(PROJECT).parts)]
    tests = {file.stem for file in modules if file.stem.startswith("test_")}
    imported = {(file.name, name) for file in modules for name in imports(file)
                if tests & set(name.split("."))}
    assert len(tests) > 100
    assert imported == set()


def imports(file):
    """Return all that a module imports, with the names that it takes from there."""
    for node in ast.walk(ast.parse(read(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def test_every_marker_is_explained():
    configured = ConfigParser()
    configured.read(PROJECT / "setup.cfg", encoding="utf-8")
    markers = re.findall(r"^(\w+):", configured["tool:pytest"]["markers"], re.MULTILINE)
    for marker in markers:
        assert f"| `{marker}` |" in read(CONTRIBUTING)


def test_the_hooks_run_what_make_lint_runs():
    (repository,) = yaml.safe_load(read(PROJECT / ".pre-commit-config.yaml"))["repos"]
    preparing, *commands = recipe("lint")
    assert preparing == "tools/make-venv lint"
    assert [hook["entry"] for hook in repository["hooks"]] == commands
    # on everything, as make does, whatever a commit touches
    assert all(hook["always_run"] and not hook["pass_filenames"] and hook["language"] == "system"
               for hook in repository["hooks"])


def test_the_workflow_runs_all_on_every_supported_python():
    workflow = yaml.safe_load(read(PROJECT / ".github" / "workflows" / "ci.yml"))
    test = workflow["jobs"]["test"]
    supported = re.findall(r"Programming Language :: Python :: ([\d.]+)$",
                           read(PROJECT / "setup.cfg"), re.MULTILINE)
    matrix = test["strategy"]["matrix"]["include"]
    assert [each["python"] for each in matrix] == supported
    # NumPy 1 on one side, and 2 on the other
    assert all((each["python"] == "3.13") != (each["other"] == "3.13") for each in matrix)
    assert test["steps"][-1]["run"] == ".ci/run"
    assert workflow["jobs"]["release"]["steps"][-1]["run"] == "make release-check"
