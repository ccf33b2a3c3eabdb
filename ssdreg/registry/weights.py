"""What a plug-in declares: weights for a backbone, where they lie, and how their names map."""

from __future__ import annotations

import re
from typing import Any

from attrs import field, frozen, validators

from ssdreg.registry.converters import is_text
from ssdreg.registry.lazy_reference import Reference, valid_reference

_digest = re.compile(r"[0-9a-f]{8,64}")


@frozen(kw_only=True)
class Weights:
    """Weights trained elsewhere for the backbone of this name.

    The first that is declared for a backbone is its default; `name` tells several apart. They
    lie at a `url` (http or https), or on disk where `locate` finds them, or both. `sha256` is the
    file's digest, or its first 8 hexadecimal digits or more: where only those are published, as in
    the names of torchvision's files, they still detect a damaged or mistaken download, though not
    one forged on purpose. What follows the last dot of a file's name is its format: see
    `ssdreg.weights.formats`.

    - `locate` is called with the `Weights`; it returns the `pathlib.Path` of a file on disk, or
      None, and never fetches.
    - `fetch` is called with the `Weights` too, and returns the path after getting the file by a
      loader of its own.
    - `names` is called with a dictionary of NumPy arrays by the names in the file, and returns one
      by the names of the backbone's own symbol; None says that they are the same.

    All three are callables or texts ``"module:function"``. Raises ValueError or TypeError when
    a declaration contradicts itself.
    """

    backbone: str = field(validator=is_text)
    name: str = field(default="imagenet", validator=is_text)
    url: str = field(default="", validator=validators.instance_of(str))
    sha256: str = field(default="", validator=validators.instance_of(str))
    locate: Reference | None = field(default=None,
                                     validator=validators.optional(valid_reference))
    fetch: Reference | None = field(default=None, validator=validators.optional(valid_reference))
    names: Reference | None = field(default=None, validator=validators.optional(valid_reference))
    licence: str = field(default="", validator=validators.instance_of(str))
    about: str = field(default="", validator=validators.instance_of(str))

    @url.validator
    def _is_an_address(self, attribute: Any, url: str) -> None:
        if not url:
            return
        # takes a few milliseconds, which most plug-ins need not spend
        from urllib.parse import urlsplit
        parts = urlsplit(url)
        if not (parts.scheme in ("http", "https") and parts.hostname
                        and not parts.path.endswith("/")):
            raise ValueError(f"weights {self.title!r}: the url must be the http or https address "
                             f"of a file, not {url!r}")

    @sha256.validator
    def _is_a_digest(self, attribute: Any, sha256: str) -> None:
        if sha256 and not _digest.fullmatch(sha256):
            raise ValueError(f"weights {self.title!r}: sha256 must be 8 to 64 hexadecimal digits "
                             f"in lower case, not {sha256!r}")
        if self.url and not sha256:
            raise ValueError(f"weights {self.title!r}: a url needs the sha256 of its file")

    @locate.validator
    def _lie_somewhere(self, attribute: Any, locate: Reference | None) -> None:
        if not self.url and locate is None:
            raise ValueError(f"weights {self.title!r}: say where they are, by url and sha256, or "
                             f"by locate")

    @property
    def title(self) -> str:
        """Backbone and name in one word: ``resnet18_v1b/imagenet``."""
        return f"{self.backbone}/{self.name}"
