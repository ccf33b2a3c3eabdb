"""Weights on disk: a cache, the check of the digest, downloads with retries.

The cache is ``$XDG_CACHE_HOME/ssdreg/weights`` (``~/.cache/ssdreg/weights``), a folder a digest;
see `ssdreg_runtime.system.caches` for where there is neither. With the environment variable
``SSDREG_OFFLINE`` set to anything but 0, nothing is fetched.

Requests, which MXNet needs anyway, does the transfer. Pooch would be the library for the rest, but
it supports full digests only, and retries the download of a file that does not exist.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ssdreg_runtime.system.caches import VARIABLE, Cache, cache
from ssdreg_runtime.system.files import replacing

from ssdreg.errors import WeightsError
from ssdreg.progress import Progress, Telling, Work
from ssdreg.registry.lazy_reference import Reference, resolve
from ssdreg.registry.weights import PublishedFile

OFFLINE = "SSDREG_OFFLINE"

#: Attempts of a download, and the seconds before the second one; they double each time.
ATTEMPTS = 4
FIRST_WAIT = 1.0

#: Seconds without a connection, and without a further byte, after which an attempt fails.
TIMEOUTS = (10, 30)

#: HTTP statuses of failures that may be transient.
TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}

_CHUNK_BYTES = 1 << 18


def cached_file(weights: PublishedFile) -> Path:
    """Return the cached file of a `url`, or its path in the cache before it was fetched."""
    folder, name = _cache(weights), _file_name(weights)
    return folder.find(name) or folder.default_path(name)


def _cache(weights: PublishedFile) -> Cache:
    return cache(f"weights/{weights.digest}")


def _file_name(weights: PublishedFile) -> str:
    name = weights.member or PurePosixPath(unquote(urlsplit(weights.url).path)).name
    return re.sub(r"[^\w.-]", "_", name)


def on_disk(weights: PublishedFile) -> Path | None:
    """Return the file of weights if it is on disk, else None; its content is not checked.

    Raises WeightsError when the plug-in's own `locate` fails.
    """
    if weights.locate is not None:
        file = _call_plugin(weights, weights.locate, "locate")
        if file is not None and file.is_file():
            return file
    return _cache(weights).find(_file_name(weights)) if weights.url else None


def fetch(weights: PublishedFile, *, progress: Progress | None = None) -> Path:
    """Return the file of weights, fetched if need be; its digest is checked where one is declared.

    A damaged file in the cache is fetched again. `progress` is told how far a download is, see
    `ssdreg.progress`. Raises WeightsError when the file cannot be
    fetched, has another digest than declared, or would be fetched with ``SSDREG_OFFLINE`` set.
    """
    file = on_disk(weights)
    if file is not None:
        issue = _digest_issue(weights, file)
        if not issue:
            return file
        if not weights.url or file != cached_file(weights):
            raise WeightsError(f"{file} {issue}; install it anew")
        try:
            file.unlink()
        except OSError as error:  # another user's file, or a read-only file system
            raise WeightsError(f"{file} {issue}, and cannot be replaced ({error.strerror}): "
                               f"delete it, or set {VARIABLE} to another folder") from error
    if weights.fetch is None and not weights.url:
        raise WeightsError(f"the weights {weights.title} are not on disk, and cannot be fetched"
                           + (f": {weights.about}" if weights.about else ""))
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise WeightsError(f"the weights {weights.title} are not on disk, and {OFFLINE} forbids "
                           f"to fetch them" + _manual_hint(weights))
    if weights.fetch is not None:
        file = _call_plugin(weights, weights.fetch, "fetch")
        if file is None or not file.is_file():
            raise WeightsError(f"the loader of {weights.title} brought no file ({file})")
        issue = _digest_issue(weights, file)
        if issue:
            raise WeightsError(f"{file} {issue}")
        return file
    return _download(weights, _cache(weights).folder() / _file_name(weights), progress)


def _call_plugin(weights: PublishedFile, reference: Reference, name: str) -> Path | None:
    """Call a plug-in's function with the weights; raise WeightsError for any exception of it."""
    try:
        path = resolve(reference)(weights)
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"{name} of the weights {weights.title} raised "
                           f"{type(error).__name__}: {error}") from error
    return None if path is None else Path(path)


def _digest_issue(weights: PublishedFile, file: Path) -> str:
    """Return what is wrong with the file's digest; empty when it is right, or none is declared."""
    kind, digest = (("SHA-256", hashlib.sha256()) if weights.sha256 else
                    ("SHA-1", hashlib.sha1(usedforsecurity=False)))
    if weights.digest:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    if digest.hexdigest().startswith(weights.digest) or not weights.digest:
        return ""
    return (f"has the {kind} {digest.hexdigest()}, but {weights.title} is declared with "
            f"{weights.digest}")


def _manual_hint(weights: PublishedFile) -> str:
    """Return the end of a message on a manual download; empty without a `url`."""
    if not weights.url:
        return ""
    what = f"{weights.member} out of it" if weights.member else "it"
    return f"; elsewhere, download {weights.url} and put {what} at {cached_file(weights)}"


class TransientError(Exception):
    """An attempt to download failed, and another one may succeed."""


def _download(weights: PublishedFile, target: Path, progress: Progress | None) -> Path:
    """Download to a file beside the target, check it there, and rename it."""
    with replacing(target) as beside:
        for attempt in range(ATTEMPTS):
            try:
                _transfer(weights, beside, progress)
                break
            except TransientError as failure:
                if attempt + 1 == ATTEMPTS:
                    raise WeightsError(
                        f"cannot fetch the weights {weights.title} from "
                        f"{urlsplit(weights.url).hostname}, tried {ATTEMPTS} times: {failure}"
                        + _manual_hint(weights)) from failure
                time.sleep(FIRST_WAIT * 2**attempt)
        if weights.member:
            _unpack(weights, beside)
        issue = _digest_issue(weights, beside)
        if issue:
            raise WeightsError(f"what {weights.url} sent {issue}; it was not kept. The file "
                               f"there was replaced, or something on the way changed it")
    return target


def _unpack(weights: PublishedFile, file: Path) -> None:
    """Put the member of an archive in the archive's place."""
    import zipfile
    with replacing(file) as beside:
        try:
            with zipfile.ZipFile(file) as archive, archive.open(weights.member) as member, \
                    beside.open("wb") as stream:
                shutil.copyfileobj(member, stream, _CHUNK_BYTES)
        except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
            raise WeightsError(f"what {weights.url} sent is no zip archive with {weights.member} "
                               f"in it ({error}); it was not kept") from error


def _transfer(weights: PublishedFile, file: Path, progress: Progress | None) -> None:
    """Make one attempt to download the file, and tell how far it is."""
    import requests
    try:
        # identity: the digest is that of the file itself, and its length is known
        with requests.get(weights.url, stream=True, timeout=TIMEOUTS,
                          headers={"Accept-Encoding": "identity"}) as response:
            if response.status_code in TRANSIENT_STATUSES:
                raise TransientError(f"the server answers {response.status_code} {response.reason}")
            if not response.ok:
                raise WeightsError(f"cannot fetch the weights {weights.title}: {weights.url} "
                                   f"answers {response.status_code} {response.reason}")
            length = int(response.headers.get("Content-Length", 0))
            received = 0
            work = Work(what=f"fetching {weights.title}", unit="bytes", total=length or None)
            with file.open("wb") as stream, Telling(progress, work) as told:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    stream.write(chunk)
                    received += len(chunk)
                    told.advance(len(chunk))
            if received < length:
                raise TransientError(f"the connection ended after {received:,} of {length:,} bytes")
    except requests.RequestException as error:
        raise TransientError(_reason(error)) from error
    # requests' own errors are of this type too
    except OSError as error:
        raise WeightsError(f"{file.parent}: {error.strerror}; the weights {weights.title} were "
                           f"not kept") from error


def _reason(error: Exception) -> str:
    """Return the innermost exception of a failed connection as text."""
    inner: BaseException = error
    while (inner.__cause__ or inner.__context__) is not None:
        inner = inner.__cause__ or inner.__context__  # type: ignore[assignment]
    return f"{type(inner).__name__}: {inner}"
