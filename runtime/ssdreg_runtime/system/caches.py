"""Folders for what is worth keeping between runs, and where they are when there is no home.

A cache is below ``$XDG_CACHE_HOME``, or ``~/.cache``. Accounts without a home folder, with one that
cannot be written, or without an entry in the system's list of users are common where programs run
in containers: there it is in a temporary folder that belongs to the user alone, and one line on
standard error says so and names the variable that moves it.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import stat
import tempfile
from functools import cache as once
from pathlib import Path

from attrs import frozen

from ssdreg_runtime.errors import CacheError

VARIABLE = "XDG_CACHE_HOME"

_log = logging.getLogger(__name__)
#: The variables that the user has been told about.
_told: set[str] = set()


def home() -> Path | None:
    """Return the user's home folder; None where there is none to be found out."""
    # not Path.home, which older Pythons end in other errors where no user has this number
    found = os.path.expanduser("~")  # noqa: PTH111
    return None if found == "~" else Path(found)


@frozen
class Cache:
    """A folder of a cache.

    - `preferred`: where it should be; None where that is below a home folder and there is none
    - `variable`: the environment variable that moves it
    - `name`: what it is called below the temporary folder; several folders deep, or ``""``
    """

    preferred: Path | None
    variable: str
    name: str

    def places(self) -> tuple[Path, ...]:
        """Return the folders to look for files in; they need not exist, and nothing is made.

        A cache that cannot be written, such as one that an image of a container brings along, is
        still one to read from.
        """
        temporary = _temporary_path()
        ours = (temporary / self.name,) if temporary is not None and _is_ours(temporary) else ()
        return (*((self.preferred,) if self.preferred else ()), *ours)

    def place(self, name: str) -> Path:
        """Return where a file of this name belongs, without making anything."""
        base = self.preferred or Path(tempfile.gettempdir(), f"ssdreg-{_user()}", self.name)
        return base / name

    def find(self, name: str) -> Path | None:
        """Return the file of this name if there is one."""
        return next((file for place in self.places() if _is_file(file := place / name)), None)

    def folder(self) -> Path:
        """Return the folder to write to, after making it.

        It is `preferred`, or where that cannot be written one below the temporary folder; the
        user is told so once. Raises CacheError where there is neither.
        """
        why = _refusal(self.preferred) if self.preferred else "there is no home folder"
        if self.preferred and not why:
            return self.preferred
        try:
            base = _temporary()
            made = base / self.name
            made.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(f"{why}, and no temporary folder can be made ({error.strerror}): set "
                             f"{self.variable} to a folder that can be written") from error
        _tell(why, base, self.variable)
        return made


def cache(name: str = "") -> Cache:
    """Return the folder of this name in the cache of ssdreg."""
    return Cache(_preferred(name), VARIABLE, name)


def _preferred(name: str) -> Path | None:
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE], "ssdreg", name)
    at_home = home()
    return at_home and at_home / ".cache" / "ssdreg" / name


def temporary(name: str) -> Path | None:
    """Return a folder below the temporary one, made, for what others keep; None where none can be.

    Nothing is said of it: it is nobody's loss.
    """
    try:
        made = _temporary() / name
        made.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return made


def refuses(folder: Path) -> bool:
    """Tell whether nothing can be written to a folder, which is made if need be."""
    return bool(_refusal(folder))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not even be looked into, such as root's home
        return False


def _refusal(folder: Path) -> str:
    """Say why nothing can be written there; nothing where it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # asking for permission is not enough: file systems can be mounted for reading only
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror})"


def _tell(why: str, folder: Path, variable: str) -> None:
    if variable in _told:
        return
    _told.add(variable)
    # where no application has set up logging, this is the sentence itself on standard error
    _log.warning("ssdreg: %s, so caches are kept in %s; %s moves them", why, folder, variable)


def _temporary_path() -> Path | None:
    """Return where the user's temporary folder is, or will be; None without any."""
    try:
        # the same in every run, or what is kept there would be kept for nothing
        return Path(tempfile.gettempdir(), f"ssdreg-{_user()}")
    except OSError:
        return None


def _temporary() -> Path:
    """Make the user's temporary folder, if it is not there; nobody else can read or write it.

    Anybody can make a folder of its name first, or a link. What is not ours and ours alone is left
    as it is, and a folder of another name, which nobody can know, lasts as long as this process.
    """
    path = Path(tempfile.gettempdir(), f"ssdreg-{_user()}")
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not _is_ours(path):
            return _until_the_end()
    return path


@once
def _until_the_end() -> Path:
    folder = tempfile.mkdtemp(prefix="ssdreg-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _is_ours(folder: Path) -> bool:
    """Tell whether it is a folder, no link, of this user, and closed to all others."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):  # temporary folders are the user's own there
        return stat.S_ISDIR(found.st_mode)
    return (stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            and not stat.S_IMODE(found.st_mode) & 0o077)


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"
