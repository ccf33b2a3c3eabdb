"""What a plug-in declares: weights for a backbone, where they lie, and how their names map."""

from __future__ import annotations

import re
from typing import Any

from attrs import field, frozen, validators

from ssdreg.registry.converters import is_text
from ssdreg.registry.lazy_reference import Reference, valid_reference

_digests = {"sha256": re.compile(r"[0-9a-f]{8,64}"), "sha1": re.compile(r"[0-9a-f]{8,40}")}


@frozen(kw_only=True)
class PublishedFile:
    """A file of weights that somebody published: where it lies, and what is known of it.

    It lies at a `url` (http or https), or on disk where `locate` finds it, or both. `sha256` is the
    file's digest, or its first 8 hexadecimal digits or more: where only those are published, as in
    the names of torchvision's files, they still detect a damaged or mistaken download, though not
    one forged on purpose. `sha1` is the same for those who publish that, as GluonCV does; it
    detects no forgery either. Where the url is that of a zip archive, `member` is the name of the
    file in it, which is kept without the archive, and whose digest is declared. What follows the
    last dot of a file's name is its format: see `ssdreg.weights.formats`.

    - `locate` is called with the declaration; it returns the `pathlib.Path` of a file on disk, or
      None, and never fetches.
    - `fetch` is called with the declaration too, and returns the path after getting the file by a
      loader of its own.
    - `names` is called with a dictionary of NumPy arrays by the names in the file, and returns one
      by the names of the symbol's parameters; None says that they are the same.

    All three are callables or texts ``"module:function"``. Raises ValueError or TypeError when
    a declaration contradicts itself.
    """

    url: str = field(default="", validator=validators.instance_of(str))
    member: str = field(default="", validator=validators.instance_of(str))
    sha256: str = field(default="", validator=validators.instance_of(str))
    sha1: str = field(default="", validator=validators.instance_of(str))
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
    @sha1.validator
    def _is_a_digest(self, attribute: Any, digest: str) -> None:
        pattern = _digests[attribute.name]
        if digest and not pattern.fullmatch(digest):
            most = 64 if attribute.name == "sha256" else 40
            raise ValueError(f"weights {self.title!r}: {attribute.name} must be 8 to {most} "
                             f"hexadecimal digits in lower case, not {digest!r}")

    @locate.validator
    def _lie_somewhere(self, attribute: Any, locate: Reference | None) -> None:
        if self.url and not self.digest:
            raise ValueError(f"weights {self.title!r}: a url needs the sha256 of its file")
        if not self.url and locate is None:
            raise ValueError(f"weights {self.title!r}: say where they are, by url and sha256, or "
                             f"by locate")

    @member.validator
    def _is_in_an_archive(self, attribute: Any, member: str) -> None:
        if member and not (self.url.endswith(".zip") and re.fullmatch(r"[\w-][\w.-]*", member)):
            raise ValueError(f"weights {self.title!r}: member must be the name of a file in a zip "
                             f"archive at the url, not {member!r} in {self.url!r}")

    @property
    def digest(self) -> str:
        """The digest that is declared, of either kind; empty for none."""
        return self.sha256 or self.sha1

    @property
    def title(self) -> str:
        """What messages call it."""
        raise NotImplementedError


@frozen(kw_only=True)
class Weights(PublishedFile):
    """Weights trained elsewhere for the backbone of this name: see `PublishedFile` for the file.

    The first that is declared for a backbone is its default; `name` tells several apart. Their
    names are those of the parameters of the backbone's own symbol.
    """

    backbone: str = field(validator=is_text)
    name: str = field(default="imagenet", validator=is_text)

    @property
    def title(self) -> str:
        """Backbone and name in one word: ``resnet18_v1b/imagenet``."""
        return f"{self.backbone}/{self.name}"
