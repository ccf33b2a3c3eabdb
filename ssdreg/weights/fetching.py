"""Getting weights onto the disk: a cache, the check of the digest, downloads that try again.

The cache is ``$XDG_CACHE_HOME/ssdreg/weights`` (``~/.cache/ssdreg/weights``), a folder a digest;
see `ssdreg_runtime.system.caches` for where there is neither. With the environment variable
``SSDREG_OFFLINE`` set to anything but 0, nothing is fetched.

Requests, which MXNet needs anyway, does the transfer. Pooch would be the library for the rest, but
it knows whole digests only, and tries a file that does not exist again and again.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ssdreg_runtime.system.caches import VARIABLE, Cache, cache
from ssdreg_runtime.system.files import replacing

from ssdreg.errors import WeightsError
from ssdreg.progress import Progress, Telling, Work
from ssdreg.registry.lazy_reference import Reference, resolve
from ssdreg.registry.weights import Weights

OFFLINE = "SSDREG_OFFLINE"

#: How often a download is tried, and the seconds before the second time; they double each time.
ATTEMPTS = 4
FIRST_WAIT = 1.0

#: Seconds without a connection, and without another byte, after which a try has failed.
TIMEOUTS = (10, 30)

#: Statuses of servers that may answer better the next time.
PASSING = {408, 429, 500, 502, 503, 504}

_CHUNK = 1 << 18


def cached_file(weights: Weights) -> Path:
    """Return where the file of a `url` is kept, or where it belongs before it was fetched."""
    folder, name = _cache(weights), _name(weights)
    return folder.find(name) or folder.place(name)


def _cache(weights: Weights) -> Cache:
    return cache(f"weights/{weights.sha256}")


def _name(weights: Weights) -> str:
    name = PurePosixPath(unquote(urlsplit(weights.url).path)).name
    return re.sub(r"[^\w.-]", "_", name)


def on_disk(weights: Weights) -> Path | None:
    """Return the file, if it is on disk; looks for it only, and checks nothing in it.

    Raises WeightsError when the plug-in's own `locate` fails.
    """
    if weights.locate is not None:
        found = _ask(weights, weights.locate, "locate")
        if found is not None and found.is_file():
            return found
    return _cache(weights).find(_name(weights)) if weights.url else None


def fetch(weights: Weights, *, progress: Progress | None = None) -> Path:
    """Return the file, after fetching it if need be, and checking its digest if it has one.

    A file in the cache that is damaged is fetched anew. `progress` is told how far a download is,
    see `ssdreg.progress`. Raises WeightsError when there is no way to the file, when it is another
    than declared, or with ``SSDREG_OFFLINE`` set.
    """
    found = on_disk(weights)
    if found is not None:
        complaint = _complaint(weights, found)
        if not complaint:
            return found
        if not weights.url or found != cached_file(weights):
            raise WeightsError(f"{found} {complaint}; install it anew")
        try:
            found.unlink()
        except OSError as error:  # somebody else's, or a file system for reading only
            raise WeightsError(f"{found} {complaint}, and cannot be replaced ({error.strerror}): "
                               f"delete it, or set {VARIABLE} to another folder") from error
    if weights.fetch is None and not weights.url:
        raise WeightsError(f"the weights {weights.title} are not on disk, and cannot be fetched"
                           + (f": {weights.about}" if weights.about else ""))
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise WeightsError(f"the weights {weights.title} are not on disk, and {OFFLINE} forbids "
                           f"to fetch them" + _by_hand(weights))
    if weights.fetch is not None:
        found = _ask(weights, weights.fetch, "fetch")
        if found is None or not found.is_file():
            raise WeightsError(f"the loader of {weights.title} brought no file ({found})")
        complaint = _complaint(weights, found)
        if complaint:
            raise WeightsError(f"{found} {complaint}")
        return found
    return _download(weights, _cache(weights).folder() / _name(weights), progress)


def _ask(weights: Weights, reference: Reference, what: str) -> Path | None:
    """Call a plug-in's own function, which may raise anything."""
    try:
        found = resolve(reference)(weights)
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"{what} of the weights {weights.title} raised "
                           f"{type(error).__name__}: {error}") from error
    return None if found is None else Path(found)


def _complaint(weights: Weights, file: Path) -> str:
    """Say what is wrong with the file's digest; nothing when it is right, or none is declared."""
    digest = hashlib.sha256()
    if weights.sha256:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    if digest.hexdigest().startswith(weights.sha256) or not weights.sha256:
        return ""
    return (f"has the SHA-256 {digest.hexdigest()}, but {weights.title} is declared with "
            f"{weights.sha256}")


def _by_hand(weights: Weights) -> str:
    """Say how to do without a network here."""
    if not weights.url:
        return ""
    return f"; elsewhere, download {weights.url} and put it at {cached_file(weights)}"


class PassingError(Exception):
    """A try to download failed in a way that the next one may not."""


def _download(weights: Weights, target: Path, progress: Progress | None) -> Path:
    """Download to a file beside the target, check it there, and rename it."""
    with replacing(target) as beside:
        for attempt in range(ATTEMPTS):
            try:
                _transfer(weights, beside, progress)
                break
            except PassingError as failure:
                if attempt + 1 == ATTEMPTS:
                    raise WeightsError(
                        f"cannot fetch the weights {weights.title} from "
                        f"{urlsplit(weights.url).hostname}, tried {ATTEMPTS} times: {failure}"
                        + _by_hand(weights)) from failure
                time.sleep(FIRST_WAIT * 2**attempt)
        complaint = _complaint(weights, beside)
        if complaint:
            raise WeightsError(f"what {weights.url} sent {complaint}; it was not kept. The file "
                               f"there was replaced, or something on the way changed it")
    return target


def _transfer(weights: Weights, file: Path, progress: Progress | None) -> None:
    """Try once to download the whole file, and tell how far that is."""
    import requests
    try:
        # identity: the digest is that of the file itself, and its length is known
        with requests.get(weights.url, stream=True, timeout=TIMEOUTS,
                          headers={"Accept-Encoding": "identity"}) as response:
            if response.status_code in PASSING:
                raise PassingError(f"the server answers {response.status_code} {response.reason}")
            if not response.ok:
                raise WeightsError(f"cannot fetch the weights {weights.title}: {weights.url} "
                                   f"answers {response.status_code} {response.reason}")
            length = int(response.headers.get("Content-Length", 0))
            received = 0
            work = Work(what=f"fetching {weights.title}", unit="bytes", total=length or None)
            with file.open("wb") as stream, Telling(progress, work) as told:
                for chunk in response.iter_content(_CHUNK):
                    stream.write(chunk)
                    received += len(chunk)
                    told.advance(len(chunk))
            if received < length:
                raise PassingError(f"the connection ended after {received:,} of {length:,} bytes")
    except requests.RequestException as error:
        raise PassingError(_reason(error)) from error
    # requests' own errors are of this type too
    except OSError as error:
        raise WeightsError(f"{file.parent}: {error.strerror}; the weights {weights.title} were "
                           f"not kept") from error


def _reason(error: Exception) -> str:
    """Return the innermost reason of a failed connection, in its own words."""
    inner: BaseException = error
    while (inner.__cause__ or inner.__context__) is not None:
        inner = inner.__cause__ or inner.__context__  # type: ignore[assignment]
    return f"{type(inner).__name__}: {inner}"
