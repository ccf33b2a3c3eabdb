"""Names of files as text, and text on any standard output, whatever the locale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.system.files import write_json
from ssdreg_runtime.system.names import as_path, as_text, native, shown

#: As a system without a locale starts Python, with what Python would do about that switched off.
BARE = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ASCII = {"PYTHONIOENCODING": "ascii"}
LATIN = os.fsdecode(b"caf\xe9.jpg")


def python(code, *arguments, **environ):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("LC_", "LANG", "PYTHON"))}
    return subprocess.run([sys.executable, "-c", code, *arguments], env={**kept, **environ},
                          capture_output=True, check=False)


def test_a_name_of_letters_is_itself():
    assert as_text(Path("щука.jpg")) == shown("щука.jpg") == native("щука.jpg") == "щука.jpg"
    assert as_path("щука.jpg") == Path("щука.jpg")


def test_a_name_that_is_no_utf_8():
    assert as_path(as_text(LATIN)) == Path(LATIN)
    assert shown(LATIN) == "caf\\xe9.jpg"
    with pytest.raises(DataError, match=r"caf\\xe9\.jpg has a name whose bytes are not UTF-8"):
        native(LATIN)


def test_names_mean_the_same_without_a_locale(tmp_path):
    (tmp_path / "щука.jpg").write_bytes(b"here")
    # letters as escapes, because the code is an argument too
    code = ("import sys\nfrom ssdreg_runtime.system.names import *\n"
            "given = sys.argv[1]\n"
            "assert sys.getfilesystemencoding() == 'ascii'\n"
            "assert as_text(given) == native(given) == shown(given)\n"
            "assert as_text(given).endswith('\\u0449\\u0443\\u043a\\u0430.jpg')\n"
            "assert as_path(as_text(given)).read_bytes() == b'here'\n"
            "assert shown('\\xd7') == '\\xd7'\n")
    done = python(code, str(tmp_path / "щука.jpg"), **BARE)
    assert (done.returncode, done.stderr) == (0, b"")


def test_json_holds_any_name(tmp_path):
    write_json(tmp_path / "a.json", {"name": "щука"})
    assert "щука" in (tmp_path / "a.json").read_text(encoding="utf-8")
    write_json(tmp_path / "b.json", {"name": LATIN})
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == {"name": LATIN}


@pytest.mark.parametrize("environ", [BARE, ASCII, {"PYTHONIOENCODING": "latin-1"}])
def test_any_text_can_be_printed(environ):
    code = ("import sys\nfrom ssdreg_runtime.system.console import *\naccept_all_letters()\n"
            "text = '\\u0401\\u0436 \\xe9 \\U0001f600 \\udcff'\n"
            "print(text); print(text, file=sys.stderr)\n"
            "print(to_json({'class': text}))\n")
    done = python(code, **environ)
    assert done.returncode == 0, done.stderr
    encoding = "latin-1" if environ.get("PYTHONIOENCODING") == "latin-1" else "ascii"
    line, in_json = done.stdout.decode(encoding).splitlines()
    assert line.startswith("\\u0401\\u0436 ")
    assert line == done.stderr.decode(encoding).strip()
    # escapes of Python's would be no JSON
    assert json.loads(in_json) == {"class": "Ёж é \U0001f600 \udcff"}


def test_letters_that_can_be_printed_are(tmp_path):
    code = ("from ssdreg_runtime.system.console import *\naccept_all_letters()\n"
            "print(to_json('\\u0401\\u0436'), '\\u0401\\u0436')")
    assert python(code, PYTHONUTF8="1").stdout.decode("utf-8") == '"Ёж" Ёж\n'


@pytest.mark.parametrize("environ", [BARE, ASCII])
def test_the_command_refuses_with_a_sentence(tmp_path, environ):
    done = python("import sys; from ssdreg_runtime.cli.main import main; sys.exit(main())",
                  str(tmp_path / "Ёж.onnx"), str(tmp_path / "щука.jpg"), **environ)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode("ascii").splitlines()
    assert line.startswith("ssdreg-detect: ")
