"""Cache folders, and where they are for accounts without a home folder.

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
from functools import cache as cached
from pathlib import Path

from attrs import frozen

from ssdreg_runtime.errors import CacheError

VARIABLE = "XDG_CACHE_HOME"

_log = logging.getLogger(__name__)
#: The variables that a message has named.
_notified: set[str] = set()


def home() -> Path | None:
    """Return the user's home folder; None where it is unknown."""
    # not Path.home, which raises other errors in older Pythons where no user has this number
    path = os.path.expanduser("~")  # noqa: PTH111
    return None if path == "~" else Path(path)


@frozen
class Cache:
    """A folder of a cache.

    - `preferred`: its place; None where that is below a home folder and there is none
    - `variable`: the environment variable that moves it
    - `name`: its path below the temporary folder; several folders deep, or ``""``
    """

    preferred: Path | None
    variable: str
    name: str

    def search_folders(self) -> tuple[Path, ...]:
        """Return the folders to search for files; they may not exist, and none is made.

        A cache that cannot be written, such as one inside a container's image, is still read.
        """
        temporary = _temporary_folder()
        folders = [] if self.preferred is None else [self.preferred]
        if temporary is not None and _is_private(temporary):
            folders.append(temporary / self.name)
        return tuple(folders)

    def default_path(self, name: str) -> Path:
        """Return the path that a file of this name belongs at; makes nothing."""
        base = self.preferred or Path(tempfile.gettempdir(), f"ssdreg-{_user()}", self.name)
        return base / name

    def find(self, name: str) -> Path | None:
        """Return the cached file of this name; None where there is none."""
        files = (folder / name for folder in self.search_folders())
        return next(filter(_is_file, files), None)

    def folder(self) -> Path:
        """Return the folder to write to, after making it.

        It is `preferred`, or where that cannot be written one below the temporary folder, which a
        warning states once. Raises CacheError where there is neither.
        """
        reason = _write_error(self.preferred) if self.preferred else "there is no home folder"
        if self.preferred and not reason:
            return self.preferred
        try:
            base = _make_temporary_folder()
            folder = base / self.name
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(f"{reason}, and no temporary folder can be made ({error.strerror}): "
                             f"set {self.variable} to a folder that can be written") from error
        _notify_once(reason, base, self.variable)
        return folder


def cache(name: str = "") -> Cache:
    """Return the folder of this name in the cache of ssdreg."""
    return Cache(_preferred(name), VARIABLE, name)


def _preferred(name: str) -> Path | None:
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE], "ssdreg", name)
    at_home = home()
    return at_home and at_home / ".cache" / "ssdreg" / name


def temporary_folder(name: str) -> Path | None:
    """Return a new folder below the temporary one; None where it cannot be made.

    It is for files of other packages, whose loss costs nothing, so that no warning is given.
    """
    try:
        folder = _make_temporary_folder() / name
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


def is_unwritable(folder: Path) -> bool:
    """Tell whether a folder, made if need be, cannot be written to."""
    return bool(_write_error(folder))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that this user may not list, such as root's home
        return False


def _write_error(folder: Path) -> str:
    """Return the sentence why a folder cannot be written to; empty where it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # permissions are not enough: a file system can be mounted for reading only
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror})"


def _notify_once(reason: str, folder: Path, variable: str) -> None:
    if variable in _notified:
        return
    _notified.add(variable)
    # where logging is not set up, this prints the sentence on standard error
    _log.warning("ssdreg: %s, so caches are kept in %s; %s moves them", reason, folder, variable)


def _temporary_folder() -> Path | None:
    """Return the path of the user's temporary folder; None where there is no temporary folder."""
    try:
        # the same in every run, or the cache would be of no use
        return Path(tempfile.gettempdir(), f"ssdreg-{_user()}")
    except OSError:
        return None


def _make_temporary_folder() -> Path:
    """Make the user's temporary folder, readable and writable by this user alone, and return it.

    Another user can have made a folder or a link of its name before. That is left as it is, and a
    folder with a random name, which lasts as long as this process, is returned instead.
    """
    path = Path(tempfile.gettempdir(), f"ssdreg-{_user()}")
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not _is_private(path):
            return _process_folder()
    return path


@cached
def _process_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="ssdreg-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _is_private(folder: Path) -> bool:
    """Tell whether a path is a folder, no link, that belongs to this user and no other can access.
    """
    try:
        status = folder.lstat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):  # Windows has a temporary folder for each user
        return stat.S_ISDIR(status.st_mode)
    return (stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            and not stat.S_IMODE(status.st_mode) & 0o077)


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"
